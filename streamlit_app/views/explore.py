"""Explore: what is in the labelled tweets, with the tweets behind every bar."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from streamlit_app.charts.theme import explore_charts, theme
from streamlit_app.components import drill_down, notices
from tf_model import data, eda, tasks
from tf_model.data import Source
from tf_model.eda import Filter
from tf_model.errors import TweetTargetError, plural
from tf_model.paths import shown

if TYPE_CHECKING:
    import pandas as pd

MOST_WORDS = 15
LABEL_COLUMNS = {"Products": "product", "Emotions": "emotion"}
RETWEETS = {"With": None, "Without": False, "Only": True}
UNITS = {"Characters": "characters", "Words": "words"}
ONCE = "Count each text once"
SIZES = {"Single words": False, "Word pairs": True}


@dataclass(frozen=True)
class View:
    """The tweets that the filters let through.

    Attributes:
        every: All tweets, see :func:`tf_model.eda.describe`.
        tweets: Those to show.
        chosen: The filters.
        stamp: Changes when the file does.
    """

    every: pd.DataFrame
    tweets: pd.DataFrame
    chosen: Filter
    stamp: str

    def table(self, name: str, **options: Any) -> Any:
        """What the function ``name`` of :mod:`tf_model.eda` says of the tweets; remembered."""
        return _table(name, tuple(options.items()), self.stamp, self.chosen, self.tweets)

    def groups(self, notion: str) -> Any:
        """Group of each shown tweet, int64 [N]: repeats by ``notion`` among all tweets."""
        return _groups(notion, self.stamp, self.every)[self.tweets.index]


def main() -> None:
    """Draw the page."""
    st.title("Explore")
    st.markdown(
        "What is in the labelled tweets. The filters act on every chart. Click a bar, or choose it in the list below "
        "its chart, to read the tweets behind it."
    )
    try:
        source = _source(os.environ.get(data.DATA_VARIABLE))
        stamp = f"{source.path}:{source.path.stat().st_mtime_ns}"
        name, every = _tweets(str(source.path), stamp)
    except (TweetTargetError, OSError) as error:
        notices.say_problem("The dataset cannot be read.", str(error))
        return
    _say_dataset(source, name, every)
    chosen = _filters(every)
    view = View(every, chosen(every), chosen, stamp)
    _say_numbers(view)
    if view.tweets.empty:
        st.info("No tweet passes these filters. Loosen one of them.", icon=":material/filter_alt_off:")
        return
    for tab, draw in zip(st.tabs(list(TABS), on_change="rerun", key="explore_tab"), TABS.values(), strict=True):
        if tab.open:  # what is not looked at is not computed
            with tab:
                draw(view)


# ---------------------------------------------------------------- data


@st.cache_data(ttl=60, show_spinner="Finding the dataset")
def _source(named: str | None) -> Source:
    """The dataset in use; ``named`` is what the environment says, so that a change is noticed at once."""
    return data.resolve()


@st.cache_data(max_entries=2, show_spinner="Reading the tweets")
def _tweets(path: str, stamp: str) -> tuple[str, pd.DataFrame]:
    """The dataset's name and its tweets."""
    dataset = data.read(path)
    return dataset.name, eda.describe(dataset.labelled)


@st.cache_data(max_entries=200, show_spinner="Counting")
def _table(name: str, options: tuple, stamp: str, chosen: Filter, _tweets: pd.DataFrame) -> Any:
    return getattr(eda, name)(_tweets, **dict(options))


@st.cache_data(max_entries=6, show_spinner="Comparing the tweets with each other (up to a minute, once)")
def _groups(notion: str, stamp: str, _every: pd.DataFrame) -> Any:
    return eda.groups_by(_every, notion)


def _say_dataset(source: Source, name: str, every: pd.DataFrame) -> None:
    if name == data.SAMPLE:
        st.warning(
            "This is the small sample corpus, whose texts were made up: nothing here says anything about real tweets.",
            icon=":material/science:",
        )
    st.caption(
        notices.plain_markdown(
            f"{len(every):,} labelled tweets of {shown(source.path)} ({source.reason.split(';')[0]})."
        )
    )


# ---------------------------------------------------------------- filters


def _filters(every: pd.DataFrame) -> Filter:
    with st.container(border=True):
        one, two, three = st.columns([3, 2, 2])
        products = one.multiselect(
            "Products", eda.label_order(every, "product"), key="explore_products", placeholder="All products"
        )
        emotions = two.multiselect(
            "Emotions", eda.label_order(every, "emotion"), key="explore_emotions", placeholder="All emotions"
        )
        contains = three.text_input("Text contains", key="explore_contains", placeholder="Any text")
        one, two, three = st.columns([3, 2, 2], vertical_alignment="bottom")
        retweets = one.segmented_control(
            "Retweets", list(RETWEETS), default="With", required=True, key="explore_retweets"
        )
        longest = max(int(every["characters"].max()), 1)
        length = two.slider("Length in characters", 0, longest, (0, longest), key="explore_length")
        once = three.toggle(
            ONCE,
            key="explore_once",
            help="Of tweets with the same words, whatever their case, punctuation and retweet marks, the first counts",
        )
    return Filter(
        products=tuple(products),
        emotions=tuple(emotions),
        retweets=RETWEETS[retweets],
        once=once,
        characters=None if length == (0, longest) else length,
        contains=contains.strip(),
    )


def _say_numbers(view: View) -> None:
    tweets, total = view.tweets, len(view.tweets)
    figures = {
        "Tweets shown": f"{total:,}",
        "With a product": _share(int((tweets["product"] != eda.NO_PRODUCT).sum()), total),
        "With an emotion": _share(int(tweets["emotion"].isin((tasks.NEGATIVE, tasks.POSITIVE)).sum()), total),
        "Retweets": _share(int(tweets["is_retweet"].sum()), total),
    }
    for column, (name, value) in zip(st.columns(len(figures)), figures.items(), strict=True):
        column.metric(name, value, border=True)


def _share(part: int, total: int) -> str:
    return f"{part / total:.1%}" if total else "-"


# ---------------------------------------------------------------- the tabs


def _labels(view: View) -> None:
    tweets = view.tweets
    for column, name in zip(st.columns(2), ("product", "emotion"), strict=True):
        with column:
            _label_counts(view, name)
    order = eda.label_order(tweets, "emotion")
    frame = view.table("emotion_by_product").sort_values(
        "emotion", key=lambda column: column.map(order.index), kind="stable", ignore_index=True
    )
    drill_down.chart(
        explore_charts.emotion_shares(frame, "Emotion by product"),
        frame,
        [f"{line.product} · {line.emotion}" for line in frame.itertuples()],
        lambda bar: tweets[(tweets["product"] == bar["product"]) & (tweets["emotion"] == bar["emotion"])],
        key="explore_emotion_by_product",
        alt=f"Share of each emotion among the tweets of each product. {_shares_read_out(frame)}.",
        caption="Shares of the product's tweets. The 95% interval of each share stands in its hover text.",
    )
    without = view.table("without_product")
    drill_down.chart(
        theme.horizontal_bars(without["emotion"], without["share"], title="Tweets without a product", percent=True),
        without,
        without["emotion"],
        lambda bar: tweets[(tweets["emotion"] == bar["emotion"]) & (tweets["product"] == eda.NO_PRODUCT)],
        key="explore_without",
        alt=f"Share of tweets whose label names no product: {_read_out(without, 'emotion', 'share', '.1%')}.",
        caption="Share of the tweets of each emotion whose label names no product.",
    )


def _label_counts(view: View, column: str) -> None:
    frame, tweets = view.table(f"{column}s"), view.tweets
    drill_down.chart(
        explore_charts.counts(frame, column, title=f"{column.capitalize()}s", one_colour=False),
        frame,
        frame[column],
        lambda bar: tweets[tweets[column] == bar[column]],
        key=f"explore_{column}",
        narrow=True,
        alt=f"Number of tweets by {column}: {_read_out(frame, column)}.",
    )


def _lengths(view: View) -> None:
    unit = UNITS[st.segmented_control("Count", list(UNITS), default="Characters", required=True, key="explore_unit")]
    frame, tweets = view.table("lengths", unit=unit), view.tweets
    drill_down.chart(
        explore_charts.histogram(frame, unit, f"Length in {unit}"),
        frame,
        [f"{line.low} to {line.high - 1} {unit} · {line.label}" for line in frame.itertuples()],
        lambda bar: tweets[tweets[unit].between(bar["low"], bar["high"] - 1) & (tweets["emotion"] == bar["label"])],
        key=f"explore_{unit}",
        alt=f"Distribution of the tweets' length in {unit}, by emotion; the table below gives medians.",
    )
    summary = view.table("length_summary", unit=unit).rename(columns={"label": "emotion", "p95": "95% are at most"})
    st.dataframe(summary, hide_index=True, alt=f"Length in {unit} by emotion")


def _words(view: View) -> None:
    pairs = SIZES[st.segmented_control("Count", list(SIZES), default="Single words", required=True, key="explore_size")]
    left, right = st.columns(2)
    with left:
        frequent = view.table("frequent_words", pairs=pairs).head(MOST_WORDS)
        st.subheader("Most frequent", anchor=False)
        st.caption("In how many tweets. English function words are left out.")
        _words_chart(view, frequent, explore_charts.counts(frequent, "words"), f"explore_frequent_{pairs}")
    with right:
        st.subheader("Most telling", anchor=False)
        _telling_words(view, pairs)


def _telling_words(view: View, pairs: bool) -> None:
    one, two = st.columns(2)
    column = LABEL_COLUMNS[
        one.segmented_control("Compare", list(LABEL_COLUMNS), default="Products", required=True, key="explore_compare")
    ]
    telling = view.table("telling_words", by=column, pairs=pairs)
    if telling.empty:
        st.info(f"Nothing to compare: the filters leave fewer than two {column}s, or too few words.")
        return
    label = two.selectbox("Words of", list(dict.fromkeys(telling["label"])), key=f"explore_label_{column}")
    best = telling[(telling["label"] == label) & (telling["z"] > 0)].head(MOST_WORDS).reset_index(drop=True)
    figure = theme.horizontal_bars(
        best["words"], best["z"], colours=[theme.colour_of(label)] * len(best), value_format=".1f", x_title="z-score"
    )
    _words_chart(view, best, figure, f"explore_telling_{pairs}_{label}")
    st.caption(
        f"Log-odds against the other {column}s with a Dirichlet prior (Monroe et al. 2008), as z-scores. Of a thousand "
        "words some twenty exceed 2 by chance alone. A word counts once a tweet, and each retweet is a tweet unless "
        f'"{ONCE}" is on; a word in fewer than 5 tweets is left out.'
    )


def _words_chart(view: View, frame: pd.DataFrame, figure: Any, key: str) -> None:
    if frame.empty:
        st.info("No words are left to count.")
        return
    tweets = view.tweets
    if "label" in frame:
        tweets = tweets[(tweets[list(LABEL_COLUMNS.values())] == frame["label"].iloc[0]).any(axis=1)]
    drill_down.chart(
        figure,
        frame,
        frame["words"],
        lambda bar: eda.with_words(tweets, bar["words"]),
        key=key,
        narrow=True,
        alt=f"Words: {', '.join(frame['words'])}.",
    )


def _repeats(view: View) -> None:
    notion = st.segmented_control(
        "Two tweets are the same if they have",
        list(eda.NOTIONS),
        default="same words",
        required=True,
        key="explore_notion",
        help="Same words: case, punctuation and leading retweet marks put aside. Near-duplicates: similar letters "
        "(cosine of TF-IDF 0.8), and chains of these",
    )
    tweets, groups = view.tweets, view.groups(notion)
    sizes = eda.repeats(tweets, groups)
    members = tweets.assign(group=groups, size=tweets.groupby(groups)["text"].transform("size"))
    names = [f"{size} times" if size > 1 else "once" for size in sizes["size"]]
    drill_down.chart(
        explore_charts.counts(sizes.assign(name=names), "name", title="Tweets by how often they occur"),
        sizes,
        names,
        lambda bar: members[members["size"] == bar["size"]].sort_values("group", kind="stable"),
        key=f"explore_repeats_{notion}",
        alt=f"Number of tweets that occur once, twice and so on: {_read_out(sizes.assign(name=names), 'name')}.",
    )
    for column, name in zip(st.columns(2), LABEL_COLUMNS.values(), strict=True):
        with column:
            _conflicts(tweets, groups, name, notion)


def _conflicts(tweets: pd.DataFrame, groups: Any, column: str, notion: str) -> None:
    found = eda.conflicts(tweets, groups, column)
    in_conflict = found[found["labels"] > 1]
    st.subheader(f"Conflicting labels: {column}", anchor=False)
    st.caption(
        f"{len(in_conflict):,} of {len(found):,} texts whose {column} is named on two copies or more carry more than "
        "one label; copies that name none are left out. "
        "Each bar: two labels that stand against each other on the same text."
    )
    pairs = eda.conflicting_labels(tweets, groups, column).head(MOST_WORDS)
    if pairs.empty:
        return
    pairs = pairs.assign(name=pairs["one"] + " / " + pairs["other"], tweets=pairs["groups"])
    members = tweets.assign(group=groups)

    def with_both(bar: Any) -> pd.DataFrame:
        sides = [set(members.loc[members[column] == bar[side], "group"]) for side in ("one", "other")]
        return members[members["group"].isin(sides[0] & sides[1])].sort_values("group", kind="stable")

    drill_down.chart(
        explore_charts.counts(pairs, "name"),
        pairs,
        pairs["name"],
        with_both,
        key=f"explore_conflicts_{column}_{notion}",
        narrow=True,
        alt=f"Pairs of labels on the same text: {_read_out(pairs, 'name', 'groups')}.",
    )


def _named(view: View) -> None:
    tweets = view.tweets
    frame = view.table("several_named")
    frame = frame.assign(name=[f"{number} {plural(number, 'brand', 'brands')}" for number in frame["named"]])
    drill_down.chart(
        explore_charts.counts(frame, "name", title="Brands named in a tweet"),
        frame,
        frame["name"],
        lambda bar: tweets[tweets["named"].map(len) == bar["named"]],
        key="explore_named",
        alt=f"Number of tweets that name several brands: {_read_out(frame, 'name')}.",
        caption="Found by the words iPhone, iPad, Google, Android and Apple.",
    )
    theme.show(
        explore_charts.named_map(view.table("named_by_product"), "Brands named by the tweets of each product"),
        alt="Share of the tweets of each labelled product that name each of five brands.",
        caption="A tweet may name several brands, or none.",
        key="explore_named_map",
    )
    scores, _ = view.table("keyword_scores")
    if scores["rows"]:
        st.caption(
            f"A rule of keywords finds the labelled product of {scores['right']:,} of {scores['rows']:,} tweets: "
            f"{scores['accuracy']:.1%} (95% interval {scores['low']:.1%} to {scores['high']:.1%})."
        )


def _marks(view: View) -> None:
    frame = view.table("count_marks")
    drill_down.chart(
        explore_charts.counts(frame, "mark", title="What else than words is in the tweets"),
        frame,
        frame["mark"],
        lambda bar: eda.with_mark(view.tweets, bar["mark"]),
        key="explore_marks",
        alt=f"Number of tweets with digits, emoticons, placeholders and damage: {_read_out(frame, 'mark')}.",
        caption="Number of tweets. The dataset replaces user names by @mention and addresses by {link}.",
    )


def _shares_read_out(frame: pd.DataFrame) -> str:
    products = frame.groupby("product", sort=False)
    return "; ".join(f"{name}: {_read_out(part, 'emotion', 'share', '.0%')}" for name, part in products)


def _read_out(frame: pd.DataFrame, name: str, value: str = "tweets", form: str = ",") -> str:
    return ", ".join(f"{label} {number:{form}}" for label, number in zip(frame[name], frame[value], strict=True))


TABS = {
    "Labels": _labels,
    "Lengths": _lengths,
    "Words": _words,
    "Repeats": _repeats,
    "Brands named": _named,
    "Characters": _marks,
}

main()
