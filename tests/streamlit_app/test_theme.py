"""How charts and pages look: colours, contrasts, legends, labels."""

import tomllib

import pandas
import pytest
from app_stub import APP

from streamlit_app.charts import monitor_charts, theme
from tf_model import tasks
from tf_model.modeling.joint_label import NOT_SURE


def test_the_colours_of_the_emotions_mean_nothing_else():
    emotions = {theme.colour_of(label) for label in tasks.EMOTIONS}
    assert len(emotions) == len(tasks.EMOTIONS)
    assert theme.colour_of("no product") == theme.GREY
    others = {theme.colour_of(label) for label in ("Kindle", NOT_SURE, tasks.CANNOT_TELL)}
    others |= {theme.colour_of(label, "product") for label in tasks.PRODUCTS}
    others |= {theme.FOR, theme.AGAINST, *(colour for colour, *_ in monitor_charts.STYLES)}
    assert not emotions & others


def test_all_products_have_the_same_colour_also_those_of_users():
    assert {theme.colour_of(label, "product") for label in ("iPhone", "Kindle", "Xbox")} == {theme.AMOUNT}
    assert theme.colour_of("no product", "product") == theme.GREY


def test_numbers_and_hatching_of_stacked_bars_can_be_read():
    labels = [*tasks.EMOTIONS, tasks.CANNOT_TELL, "Kindle"]
    frame = pandas.DataFrame({"emotion": labels, "product": "a <b>", "tweets": 1, "share": 0.2, "low": 0, "high": 1})
    frame["name"] = labels
    figure = theme.emotion_by_product(frame, "T")
    for trace in figure.data:
        assert contrast(trace.textfont.color, trace.marker.color) >= 4.5
        assert contrast(trace.textfont.color, trace.marker.pattern.fgcolor) >= 4.5 or not trace.marker.pattern.shape
        assert (trace.x, trace.y, trace.text) == ((0.2,), ("a &lt;b&gt;",), ("20%",))
    assert [trace.marker.pattern.shape for trace in figure.data] == ["/", "", "", ".", "."], "not by colour alone"
    assert figure.layout.uniformtext.mode == "hide"  # hides a number that does not fit its bar


def test_emotions_in_other_words_keep_their_colours_and_other_labels_get_one_each():
    for word, colour in (("negative", theme.NEGATIVE), ("-1", theme.NEGATIVE), ("Positive", theme.POSITIVE)):
        assert theme.colour_of(word) == colour
    assert theme.colour_of("neutral") == theme.colour_of("None") == theme.colour_of("0") == theme.NEUTRAL
    others = [theme.colour_of(f"class {number}") for number in range(6)]
    assert len({*others, theme.NEGATIVE, theme.NEUTRAL, theme.POSITIVE}) == 9
    assert theme.colour_of("class 0") == theme.colour_of("class 0", "emotion") == others[0]


def test_the_settings_keep_to_this_machine():
    config = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["browser"]["gatherUsageStats"] is False
    assert config["server"]["address"] == "localhost"
    assert {"light", "dark"} <= set(config["theme"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_buttons_and_chosen_words_can_be_read(scheme):
    colours = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"][scheme]
    assert contrast(colours["primaryColor"], "#FFFFFF") >= 4.5  # streamlit writes white on its buttons
    assert contrast(colours["primaryColor"], colours["backgroundColor"]) >= 3  # WCAG's minimum for non-text parts
    assert contrast(colours["textColor"], colours["backgroundColor"]) >= 7


def contrast(one: str, other: str) -> float:
    """The contrast ratio as WCAG 2.2 defines it, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_legend_lies_below_the_axis_of_a_low_chart():
    figure = theme.legend_below(theme.horizontal_bars(["a"], [1.0]))
    assert figure.layout.legend.yref == "container"  # not a share of the plot, which may be one bar high
    assert figure.layout.margin.b > figure.layout.margin.t


@pytest.mark.parametrize(("values", "form", "tick"), [([1, 2], ",d", 1), ([3, 400], ",d", None), ([0.2], ".2f", None)])
def test_the_axis_of_a_few_counts_has_no_fractions(values, form, tick):
    assert theme.horizontal_bars(["a", "b"][: len(values)], values, form=form).layout.xaxis.dtick == tick


def test_labels_of_charts_are_read_letter_by_letter():
    figure = theme.horizontal_bars(["<b>x</b>", "a & b"], [0.2, 0.8], form=".0%", title="T")
    assert figure.data[0].y == ("&lt;b&gt;x&lt;/b&gt;", "a &amp; b")
    assert figure.data[0].x == (0.2, 0.8)
    assert figure.layout.yaxis.autorange == "reversed"
    assert figure.layout.title.text == "T"
    assert figure.layout.paper_bgcolor is None  # the theme of the page decides
