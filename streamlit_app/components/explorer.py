"""Explore: what is in the labelled tweets, with a drill-down from every bar to its tweets."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.charts import bar_charts, theme
from streamlit_app.components import notices
from tf_model import data, eda
from tf_model.data import Source
from tf_model.eda import Filter
from tf_model.errors import TweetTargetError, plural
from tf_model.paths import shown

MOST_WORDS = 15
COLUMNS = {"Products": "product", "Emotions": "emotion"}
RETWEETS = {"With": None, "Without": False, "Only": True}
ONCE = "Count each text once"
ROW = 76  # pixels: three lines of text; from about 64 on, cells wrap


def main() -> None:
    """The page."""
    st.title("Explore")
    st.markdown(
        "What is in the labelled tweets. The filters act on every chart. To read the tweets that a bar counts, click "
        "it, or choose it below the chart."
    )
    try:
        source = _source(os.environ.get(data.DATA_VARIABLE))
        dataset, no_emotion, every = _read(str(source.path), source.path.stat().st_mtime_ns)
    except (TweetTargetError, OSError) as error:
        notices.say_problem("The dataset cannot be read.", str(error))
        return
    if dataset == data.SAMPLE:
        st.warning(
            "This is the small sample corpus, whose texts were made up: it says nothing about real tweets.",
            icon=":material/science:",
        )
    origin = f"{shown(source.path)} ({source.reason.split(';')[0]})"
    st.caption(notices.plain_markdown(f"{len(every):,} labelled tweets of {origin}."))
    tweets = _filter(every)
    _show_totals(tweets, no_emotion)
    if tweets.empty:
        st.info("No tweet passes these filters. Loosen one of them.", icon=":material/filter_alt_off:")
        return
    tabs = {"Labels": _labels, "Lengths": _lengths, "Words": _words, "Repeats": _repeats, "Brands named": _brands}
    for tab, draw in zip(st.tabs(list(tabs), on_change="rerun", key="explore_tab"), tabs.values(), strict=True):
        if tab.open:  # nothing is computed for the other tabs
            with tab:
                draw(tweets)


@st.cache_data(ttl=60, show_spinner="Finding the dataset")
def _source(named: str | None) -> Source:
    """The dataset in use; ``named`` is what the environment says, so that a change is noticed at once."""
    return data.resolve()


@st.cache_data(max_entries=2, show_spinner="Reading the tweets")
def _read(path: str, changed: int) -> tuple[str, str | None, pd.DataFrame]:
    """The dataset's name, its label of no emotion, and its tweets, see :func:`tf_model.eda.describe`."""
    dataset = data.read(path)
    no_emotion = next((task.no_emotion for task in dataset.tasks if task.no_emotion), None)
    return dataset.name, no_emotion, eda.describe(dataset.labelled)


# ---------------------------------------------------------------- filters and totals


def _filter(every: pd.DataFrame) -> pd.DataFrame:
    """The tweets that pass the filters of the page."""
    with st.container(border=True):
        one, two = st.columns([3, 2])
        products = one.multiselect(
            "Products",
            eda.label_order(every, "product"),
            key="explore_products",
            persist_state="session",
            placeholder="All products",
        )
        emotions = two.multiselect(
            "Emotions",
            eda.label_order(every, "emotion"),
            key="explore_emotions",
            persist_state="session",
            placeholder="All emotions",
        )
        one, two, three = st.columns([3, 2, 2], vertical_alignment="bottom")
        contains = one.text_input(
            "Text contains", key="explore_contains", persist_state="session", placeholder="Any text"
        )
        with two:
            retweets = RETWEETS[_pick("Retweets", RETWEETS, "explore_retweets")]
        once = three.toggle(
            ONCE,
            key="explore_once",
            persist_state="session",
            help="Of tweets with the same words, whatever their case, punctuation and retweet marks, the first counts",
        )
    return Filter(tuple(products), tuple(emotions), retweets, once, contains=contains.strip())(every)


def _pick(label: str, options: Any, key: str) -> str:
    """One of a few options, the first unless another is picked."""
    options = list(options)
    return st.segmented_control(label, options, default=options[0], required=True, key=key, persist_state="session")


def _show_totals(tweets: pd.DataFrame, no_emotion: str | None) -> None:
    counts = {
        "With a product": (tweets["product"] != eda.NO_PRODUCT).sum(),
        "With an emotion": (tweets["emotion"].map(eda.is_label).astype(bool) & (tweets["emotion"] != no_emotion)).sum(),
        "Retweets": tweets["is_retweet"].sum(),
    }
    first, *others = st.columns(1 + len(counts))
    first.metric("Tweets shown", f"{len(tweets):,}", border=True)
    for column, (name, count) in zip(others, counts.items(), strict=True):
        column.metric(name, f"{count / len(tweets):.1%}" if len(tweets) else "-", border=True)


# ---------------------------------------------------------------- the tabs


def _labels(tweets: pd.DataFrame) -> None:
    for place, column, count in zip(st.columns(2), COLUMNS.values(), (eda.products, eda.emotions), strict=True):
        with place:
            _show_bars(
                count(tweets).rename(columns={column: "name"}),
                lambda bar, column=column: tweets[tweets[column] == bar["name"]],
                key=f"explore_{column}",
                title=f"{column.capitalize()}s",
                alt=f"Number of tweets by {column}",
                colour=None,
            )
    bars = eda.emotion_by_product(tweets).sort_values(
        "emotion", key=lambda names: names.map(names.unique().tolist().index), kind="stable", ignore_index=True
    )
    by_product = [f"{name}: {_in_words(part, 'emotion', 'share', '.0%')}" for name, part in bars.groupby("product")]
    _drill_down(
        bar_charts.emotion_by_product(bars, "Emotion by product"),
        bars.assign(name=bars["product"] + " · " + bars["emotion"]),
        lambda bar: tweets[(tweets["product"] == bar["product"]) & (tweets["emotion"] == bar["emotion"])],
        key="explore_emotion_by_product",
        alt=f"Share of each emotion among the tweets of each product. {'; '.join(by_product)}.",
        caption="Shares of the product's tweets. The hover text gives the 95% interval of each share.",
    )


def _lengths(tweets: pd.DataFrame) -> None:
    unit = _pick("Count", ("Characters", "Words"), "explore_unit").lower()
    bars = eda.lengths(tweets, unit=unit)
    _drill_down(
        bar_charts.lengths(bars, unit),
        bars.assign(name=[f"{bar.low} to {bar.high - 1} {unit} · {bar.label}" for bar in bars.itertuples()]),
        lambda bar: tweets[tweets[unit].between(bar["low"], bar["high"] - 1) & (tweets["emotion"] == bar["label"])],
        key=f"explore_{unit}",
        alt=f"Distribution of the tweets' length in {unit}, by emotion; the table below gives medians.",
    )
    summary = eda.length_summary(tweets, unit=unit).rename(columns={"label": "emotion", "p95": "95% are at most"})
    st.dataframe(summary, hide_index=True, alt=f"Length in {unit} by emotion")


def _words(tweets: pd.DataFrame) -> None:
    pairs = _pick("Count", ("Single words", "Word pairs"), "explore_size") == "Word pairs"
    left, right = st.columns(2)
    with left:
        st.subheader("Most frequent", anchor=False)
        st.caption("Number of tweets with the word. English function words are left out.")
        bars = eda.frequent_words(tweets, pairs=pairs).head(MOST_WORDS).rename(columns={"words": "name"})
        if bars.empty:
            st.info("No words are left to count.")
        else:
            _show_bars(
                bars,
                lambda bar: eda.with_words(tweets, bar["name"]),
                key=f"explore_frequent_{pairs}",
                alt="Most frequent words",
            )
    with right:
        st.subheader("Most distinctive", anchor=False)
        _telling_words(tweets, pairs)


def _telling_words(tweets: pd.DataFrame, pairs: bool) -> None:
    column = COLUMNS[_pick("Compare", COLUMNS, "explore_compare")]
    telling = eda.telling_words(tweets, by=column, pairs=pairs)
    if telling.empty:
        st.info(f"Nothing to compare: the filters leave fewer than two {column}s, or too few words.")
        return
    label = st.selectbox("Words of", telling["label"].unique(), key=f"explore_label_{column}", persist_state="session")
    bars = telling[(telling["label"] == label) & (telling["z"] > 0)].head(MOST_WORDS)
    _show_bars(
        bars.rename(columns={"words": "name"}),
        lambda bar: eda.with_words(tweets[tweets[column] == label], bar["name"]),
        key=f"explore_telling_{pairs}_{label}",
        alt=f"Most distinctive words of {label}, by z-score",
        value="z",
        form=".1f",
        colour=theme.colour_of(label),
    )
    st.caption(
        f"How much more often than with the other {column}s, beyond chance (z-scores, Monroe et al. 2008). By chance "
        "alone about 20 of 1,000 words exceed 2. A word counts once per tweet, and each retweet is a tweet unless "
        f'"{ONCE}" is on; words in fewer than 5 tweets are left out.'
    )


def _repeats(tweets: pd.DataFrame) -> None:
    st.caption("Two tweets are the same if their words are, whatever their case, punctuation and retweet marks.")
    groups = tweets["same_words"]
    size = tweets.groupby(groups)["text"].transform("size")
    bars = eda.repeats(tweets, groups)
    _show_bars(
        bars.assign(name=[f"{size} times" if size > 1 else "once" for size in bars["size"]]),
        lambda bar: tweets[size == bar["size"]].sort_values("same_words", kind="stable"),
        key="explore_repeats",
        title="Tweets by how often they occur",
        alt="Number of tweets that occur once, twice and so on",
    )
    for place, column in zip(st.columns(2), COLUMNS.values(), strict=True):
        with place:
            _conflicting_labels(tweets, column)


def _conflicting_labels(tweets: pd.DataFrame, column: str) -> None:
    groups = tweets["same_words"]
    texts = eda.conflicts(tweets, groups, column)
    st.subheader(f"Conflicting labels: {column}", anchor=False)
    st.caption(
        f"{(texts['labels'] > 1).sum():,} of the {len(texts):,} texts with a label on two or more duplicates have "
        "conflicting labels."
    )
    bars = eda.conflicting_labels(tweets, groups, column).head(MOST_WORDS)
    if bars.empty:
        return

    def with_both(bar: Any) -> pd.DataFrame:
        one, other = (set(groups[tweets[column] == bar[side]]) for side in ("one", "other"))
        return tweets[groups.isin(one & other)].sort_values("same_words", kind="stable")

    _show_bars(
        bars.assign(name=bars["one"] + " / " + bars["other"], tweets=bars["groups"]),
        with_both,
        key=f"explore_conflicts_{column}",
        alt="Pairs of labels on the same text",
        caption="Number of texts that have both labels.",
    )


def _brands(tweets: pd.DataFrame) -> None:
    bars = eda.several_named(tweets)
    _show_bars(
        bars.assign(name=[f"{number} {plural(number, 'brand', 'brands')}" for number in bars["named"]]),
        lambda bar: tweets[tweets["named"].map(len) == bar["named"]],
        key="explore_named",
        title="Brands named in a tweet",
        alt="Number of tweets that name several brands",
        caption="By the words iPhone, iPad, Google, Android and Apple.",
    )


# ---------------------------------------------------------------- bars that open their tweets


def _show_bars(
    bars: pd.DataFrame,
    tweets_of: Callable[[Any], pd.DataFrame],
    *,
    key: str,
    alt: str,
    title: str | None = None,
    caption: str | None = None,
    value: str = "tweets",
    form: str = ",d",
    colour: str | None = theme.AMOUNT,
) -> None:
    """Horizontal bars of the column ``value`` with their drill-down."""
    figure = theme.horizontal_bars(bars["name"], bars[value], title=title, form=form, colour=colour)
    words = _in_words(bars, "name", value, form)
    _drill_down(figure, bars, tweets_of, key=key, alt=f"{alt}: {words}.", caption=caption)


def _in_words(bars: pd.DataFrame, name: str, value: str, form: str) -> str:
    return ", ".join(f"{label} {number:{form}}" for label, number in zip(bars[name], bars[value], strict=True))


@st.fragment
def _drill_down(
    figure: Any,
    bars: pd.DataFrame,
    tweets_of: Callable[[Any], pd.DataFrame],
    *,
    key: str,
    alt: str,
    caption: str | None = None,
) -> None:
    """A chart, and below it the tweets of a bar that is clicked, or chosen from a list, which the keyboard reaches.

    The bars of the figure, over all traces in order, are the lines of ``bars``, each with a ``name`` of its own.
    """
    names = bars["name"].tolist()

    def pick() -> None:
        position = bar_charts.clicked(figure, st.session_state[f"{key}_chart"])
        if position is not None:
            st.session_state[f"{key}_bar"] = names[position]

    theme.show(figure, alt=alt, caption=caption, key=f"{key}_chart", on_select=pick, selection_mode="points")
    name = st.selectbox(
        "Read the tweets of",
        names,
        index=None,
        key=f"{key}_bar",
        persist_state="session",
        placeholder="Click a bar, or choose it here",
    )
    if name is None:
        return
    tweets = tweets_of(bars.iloc[names.index(name)])
    # A dataframe shows texts letter by letter: no markup in them is read.
    st.dataframe(
        tweets[["text", "product", "emotion"]],
        lazy=True,
        hide_index=True,
        row_height=ROW,
        height=ROW * min(max(len(tweets), 1), 5) + 40,
        column_config={
            "text": st.column_config.TextColumn("tweet", width=330),
            "product": st.column_config.TextColumn("labelled product", width=130),
            "emotion": st.column_config.TextColumn("labelled emotion", width=130),
        },
        alt=f"Tweets of the bar {name}",
        key=f"{key}_tweets",
    )
    st.caption(f"{len(tweets):,} {plural(len(tweets), 'tweet', 'tweets')}.")


main()
