"""The explorer: filters, totals, charts and words of labelled texts, with a drill-down from every bar to its texts.

Explore uses it for the labelled tweets, Batch for the answers of a run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.charts import theme
from streamlit_app.components import files
from streamlit_app.components.notices import plain_markdown
from streamlit_app.components.widgets import offer_file, pick
from tf_model import eda
from tf_model.analysis.changes import Dates
from tf_model.analysis.compare import DISTINCTIVE_Z
from tf_model.errors import count_of, plural
from tf_model.inference.fit import FIT, NO_PRODUCT
from tf_model.io.workbooks import MOST_CHARACTERS
from tf_model.modeling.joint_label import NOT_SURE

MOST_WORDS, MOST_PRODUCTS = 15, 40  # in a chart
COLUMNS = {"Products": "product", "Emotions": "emotion"}
UNFIT_TABS = ("Repeats", "Rows")  # which also show texts unfit for the model
ROW_HEIGHT = 76  # pixels: three lines of text; from about 64 on, cells wrap
CUT = f"A cell of a workbook holds {MOST_CHARACTERS:,} characters: longer texts are cut. A CSV file keeps them whole."
LET_IN = "let_in"  # kept beside the filters: whether texts that are unfit for the model are counted


@dataclass
class Explorer:
    """An explorer of ``all_tweets``, as :func:`tf_model.eda.describe` returns them; a run adds ``status``."""

    key: str  # prefix of its widgets' keys; each explorer has its own filters
    all_tweets: pd.DataFrame
    table: pd.DataFrame  # the columns to download; all tables have the same index
    display_table: pd.DataFrame  # the same as a page can show it
    columns: Mapping[str, Any]  # of ``display_table``: those to show first, and how
    file: str  # name of a download, without suffix
    no_emotion: str | None  # the label for no emotion
    dates: Dates | None = None  # of ``table``
    filters: Mapping[str, Any] = field(default_factory=dict)  # of the last visit, then those on the page
    noun: str = "Texts"  # what a row is
    mentions_in: str | None = None  # the column of ``table`` with the texts, if a row is a mention
    save_filters: Callable[[dict[str, Any]], None] = lambda _: None  # is called with the current filters
    counts_all: bool = True  # whether the charts count texts that are unfit for the model

    def show(self) -> None:
        """Draw the explorer."""
        includes_unfit = self._includes_unfit()
        filtered = self._filter()
        self.counts_all = bool(includes_unfit or self.filters.get("statuses"))
        counted_tweets = self._counted(filtered)
        self._show_totals(counted_tweets)
        with st.container(horizontal=True, vertical_alignment="center"):
            self._offer_downloads(filtered.index, self._key("all"))
            self._offer_report(filtered.index)
            st.caption(f"{len(filtered):,} of {len(self.all_tweets):,} rows pass the filters.")
        tabs, tab_key, last_tab_key = self._tabs(), self._key("tab"), self._key("tab_kept")
        if last_tab_key in st.session_state:  # tabs have no persist_state
            st.session_state.setdefault(tab_key, st.session_state[last_tab_key])
        for (name, draw), tab in zip(tabs.items(), st.tabs(list(tabs), on_change="rerun", key=tab_key), strict=True):
            if tab.open:  # nothing is computed for the other tabs
                st.session_state[last_tab_key] = name
                with tab:
                    tab_tweets = filtered if name in UNFIT_TABS else counted_tweets
                    if tab_tweets.empty and not filtered.empty:
                        st.info("None of these texts is counted: see “Fit for the model?” above.")
                    elif tab_tweets.empty:
                        st.info("No text passes these filters. Loosen one of them.", icon=":material/filter_alt_off:")
                    else:
                        draw(tab_tweets)

    def _tabs(self) -> dict[str, Callable[[pd.DataFrame], None]]:
        """The tabs in order, each with the method that draws it."""
        return {"Labels": self._labels, "Words": self._words, "Repeats": self._repeats}

    def _counted(self, tweets: pd.DataFrame) -> pd.DataFrame:
        """Those of ``tweets`` that the charts count."""
        return tweets if self.counts_all else tweets[tweets["status"] == FIT]

    def _labels_of(self, column: str) -> list[str]:
        """The labels of ``product`` or ``emotion``; none if no text has one: a model of products knows no emotion."""
        return [label for label in eda.label_order(self.all_tweets, column) if eda.is_label(label)]

    def _key(self, name: str) -> str:
        return f"{self.key}_{name}"

    # ---------------------------------------------------------------- filters and totals

    def _includes_unfit(self) -> bool:
        """Whether the charts count texts that are unfit for the model; all texts of a dataset are fit."""
        status = self.all_tweets.get("status", pd.Series(dtype="str"))
        unfit = status[status != FIT]
        if unfit.empty:
            return True
        with st.container(border=True):
            st.subheader("Fit for the model?", anchor=False)
            reasons = unfit.str.split("; ").explode().value_counts()
            heading = f"{len(unfit):,} of {len(self.all_tweets):,} rows {plural(len(unfit), 'is', 'are')} not. "
            heading += "The charts leave them out unless you tick the box:"
            st.markdown("\n".join([heading, *(f"- {reason}: **{count:,}**" for reason, count in reasons.items())]))
            st.session_state.setdefault(self._key(LET_IN), self.filters.get(LET_IN, False))
            includes_unfit = st.checkbox("Count them in the charts", key=self._key(LET_IN), persist_state="session")
            if NO_PRODUCT in reasons:
                st.caption(
                    "A text that names no product is no mention, and never counted. To find other products, upload the "
                    "file again and list them under “Products to look for”."
                )
            st.caption("Rows, Repeats and the downloads contain all; the column status gives the reason.")
        return includes_unfit

    def _filter(self, prefix: str = "") -> pd.DataFrame:
        """The texts that pass the page's filters or, with a ``prefix``, a separate set of filters."""
        all_tweets, choices = self.all_tweets, {}

        def choose(name: str, widget: Callable[..., Any], label: str, **options: Any) -> None:
            key = self._key(prefix + name)
            if name in self.filters and not prefix:
                kept = self.filters[name]
                st.session_state.setdefault(key, tuple(map(date.fromisoformat, kept)) if name == "dates" else kept)
            choices[name] = widget(label, key=key, persist_state="session", **options)

        def choose_labels(name: str, labels: Iterable[str]) -> None:
            choose(name, st.multiselect, name.capitalize(), options=labels, placeholder=f"All {name}")

        # Two selections side by side have no room for filters side by side.
        with st.container(border=True, horizontal=not prefix, vertical_alignment="bottom"):
            if self._labels_of("product"):
                choose_labels("products", eda.label_order(all_tweets, "product"))
            if self._labels_of("emotion") and not prefix:
                choose_labels("emotions", eda.label_order(all_tweets, "emotion"))
            choose("contains", st.text_input, "Text contains", placeholder="Any text")
            if "status" not in all_tweets:
                words = "Texts that differ only in case, punctuation, links or retweet marks count as one"
                choose("once", st.toggle, "Count each text once", help=words)
            elif not prefix:
                choose_labels("statuses", sorted(all_tweets["status"].unique()))
            if "source" in all_tweets:
                choose_labels("sources", sorted(all_tweets["source"].dropna().unique()))
            if "date" in all_tweets and all_tweets["date"].notna().any():  # else there are no days to choose from
                days = {"min_value": all_tweets["date"].min(), "max_value": all_tweets["date"].max()}
                choose("dates", st.date_input, "First and last day", value=(), **days)
                choices["dates"] = [day.isoformat() for day in choices["dates"]]
        choices["contains"] = choices["contains"].strip()
        if not prefix:
            kept = choices | ({LET_IN: True} if st.session_state.get(self._key(LET_IN)) else {})
            if kept != self.filters:
                self.save_filters(kept)
            self.filters = kept
        return eda.filter_tweets(all_tweets, **choices)

    def _show_totals(self, tweets: pd.DataFrame, notes: Mapping[str, str] = {}) -> None:
        """The number of texts counted and the share of each label, with the note below each, if any."""
        labels = self._labels_of("emotion")
        counts = {label: (tweets["emotion"] == label).sum() for label in labels if label != self.no_emotion}
        if "is_abstained" in tweets:
            counts[NOT_SURE] = tweets["is_abstained"].sum()
        first, *others = st.columns(1 + len(counts))
        first.metric(f"{self.noun} counted", f"{len(tweets):,}", border=True)
        for column, (name, count) in zip(others, counts.items(), strict=True):
            share, note = f"{count / len(tweets):.1%}" if len(tweets) else "-", notes.get(name)
            column.metric(plain_markdown(name), share, note, delta_color="off", delta_arrow="off", border=True)
        if "is_abstained" in tweets:
            st.caption(f'Shares and charts count the most probable emotion, also where the answer is "{NOT_SURE}".')

    # ---------------------------------------------------------------- the tabs

    def _labels(self, tweets: pd.DataFrame) -> None:
        columns = [name for name in ("product", "emotion") if self._labels_of(name)]
        if not columns:
            st.info("None of these texts has a product or an emotion.")
            return
        counts = tweets["product"].value_counts()
        counts = counts[[eda.is_label(label) for label in counts.index]]
        shown = tweets[~tweets["product"].isin(counts.index[MOST_PRODUCTS:])]
        if len(counts) > MOST_PRODUCTS:
            st.caption(
                f"Charts by product show the {MOST_PRODUCTS} most frequent of {len(counts):,}; filter for others."
            )
        for place, column in zip(st.columns(len(columns)), columns, strict=True):
            bars = eda.label_counts(shown if column == "product" else tweets, column).rename(columns={column: "name"})
            bars = bars[bars["tweets"] > 0]
            with place:
                self._show_bars(
                    bars,
                    lambda bar, column=column: tweets[tweets[column] == bar["name"]],
                    key=column,
                    title=f"Number of {self.noun.lower()} by {column}",
                    colour=[theme.colour_of(label, column) for label in bars["name"]],
                )
        if len(columns) < 2:  # a model of one task
            return
        bars = eda.emotion_by_product(shown)
        bars["name"] = bars["product"] + " · " + bars["emotion"]
        by_product = [
            f"{name}: {spoken_values(part, 'emotion', 'share', '.0%')}" for name, part in bars.groupby("product")
        ]
        self._drill_down(
            theme.emotion_by_product(bars, "Emotion by product"),
            bars,
            lambda bar: tweets[(tweets["product"] == bar["product"]) & (tweets["emotion"] == bar["emotion"])],
            key="emotion_by_product",
            alt=f"Share of each emotion among the texts of each product. {'; '.join(by_product)}.",
            caption="Shares of each product's texts. Hover over a bar to see its 95% interval.",
        )

    def _words(self, tweets: pd.DataFrame) -> None:
        pairs = pick("Count", ("Single words", "Word pairs"), self._key("size")) == "Word pairs"
        left, right = st.columns(2)
        with left:
            counted, left_out = ("pair", "Pairs of function words") if pairs else ("word", "Function words")
            st.caption(f"Number of texts with the {counted}. {left_out} (English) are left out.")
            texts = tweets.drop_duplicates("row")  # a text may have a row for each product
            bars = _frequent_words(texts, pairs).head(MOST_WORDS).rename(columns={"words": "name"})
            if bars.empty:
                st.info("No words are left to count.")
            else:
                self._show_bars(
                    bars,
                    lambda bar: eda.with_words(texts, bar["name"]),
                    key=f"frequent_{pairs}",
                    title="Most frequent words",
                )
        with right:
            self._distinctive_words(tweets, pairs)

    def _distinctive_words(self, tweets: pd.DataFrame, pairs: bool) -> None:
        column = COLUMNS[pick("Compare", COLUMNS, self._key("compare"))]
        tweets = tweets.drop_duplicates(["row", column])
        distinctive = _distinctive_words(tweets, column, pairs)
        if distinctive.empty:
            st.info(f"Nothing to compare: the filters leave fewer than two {column}s, or too few words.")
            return
        label = st.selectbox(
            "Words of", distinctive["label"].unique(), key=self._key(f"label_{column}"), persist_state="session"
        )
        bars = distinctive[(distinctive["label"] == label) & (distinctive["z"] > DISTINCTIVE_Z)].head(MOST_WORDS)
        if bars.empty:
            st.info(f"No word occurs more often here than with the other {column}s, beyond chance.")
            return
        self._show_bars(
            bars.rename(columns={"words": "name"}),
            lambda bar: eda.with_words(tweets[tweets[column] == label], bar["name"]),
            key=f"telling_{pairs}_{label}",
            title="Most distinctive words",
            value="z",
            form=".1f",
            colour=theme.colour_of(label, column),
        )
        st.caption(
            f"The bars show how clearly a word occurs more often here than with the other {column}s; by chance alone, "
            "about 20 of 1,000 words have more than 2, fewer among few texts. A word counts once per text, and each "
            "retweet is a text; words in fewer than 5 texts are left out.",
            help="z-scores of log-odds with a Dirichlet prior (Monroe et al. 2008)",
        )

    def _repeats(self, tweets: pd.DataFrame) -> None:
        st.caption("Texts that differ only in case, punctuation, links or retweet marks are the same text.")
        tweets = tweets.drop_duplicates("row")  # a text may have a row for each product
        groups = tweets["same_words"]
        size = tweets.groupby(groups)["text"].transform("size")
        bars = eda.repeats(groups)
        self._show_bars(
            bars.assign(name=[f"{size} times" if size > 1 else "once" for size in bars["size"]]),
            lambda bar: tweets[size == bar["size"]].sort_values("same_words", kind="stable"),
            key="repeats",
            title="Number of texts by how often they occur",
        )

    # ---------------------------------------------------------------- bars that open their texts

    def _show_bars(
        self,
        bars: pd.DataFrame,
        tweets_of: Callable[[Any], pd.DataFrame],
        *,
        key: str,
        title: str,
        caption: str | None = None,
        value: str = "tweets",
        form: str = ",d",
        colour: str | Sequence[str] = theme.AMOUNT,
    ) -> None:
        """Horizontal bars of the column ``value`` with their drill-down."""
        figure = theme.horizontal_bars(bars["name"], bars[value], title=title, form=form, colour=colour)
        words = spoken_values(bars, "name", value, form)
        self._drill_down(figure, bars, tweets_of, key=key, alt=f"{title}: {words}.", caption=caption)

    @st.fragment
    def _drill_down(
        self,
        figure: Any,
        bars: pd.DataFrame,
        tweets_of: Callable[[Any], pd.DataFrame],
        *,
        key: str,
        alt: str,
        caption: str | None = None,
    ) -> None:
        """A chart, and below it the texts of the bar that is clicked, or chosen from a list with the keyboard.

        Each bar is a row of ``bars``; its unique ``name`` is the last item of its ``customdata`` in the figure.
        """
        names, key = bars["name"].tolist(), self._key(key)
        # After a choice from the list, a new chart: a click on a bar that is still selected would only deselect it.
        choices = st.session_state.setdefault(f"{key}_choices", [0])
        chart = f"{key}_chart_{choices[0]}"

        def click() -> None:
            if points := st.session_state[chart]["selection"]["points"]:
                st.session_state[f"{key}_bar"] = points[0]["customdata"][-1]

        def choose() -> None:
            choices[0] += 1

        theme.show(figure, alt=alt, caption=caption, key=chart, on_select=click, selection_mode="points")
        name = st.selectbox(
            "Read the texts of",
            names,
            index=None,
            key=f"{key}_bar",
            on_change=choose,
            persist_state="session",
            placeholder="Click a bar, or choose it here",
        )
        if name is None:
            return
        index = tweets_of(bars.iloc[names.index(name)]).index
        # A dataframe shows texts as they are: it interprets no markup.
        st.dataframe(
            self.display_table.loc[index, list(self.columns)],
            lazy=True,
            hide_index=True,
            row_height=ROW_HEIGHT,
            height=ROW_HEIGHT * min(max(len(index), 1), 5) + 40,
            column_config=self.columns,
            alt=f"Texts of the bar {name}",
            key=f"{key}_texts",
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"{count_of(len(index), 'row')}.")
            self._offer_downloads(index, f"{key}_{name}")

    def _offer_report(self, index: pd.Index) -> None:
        """Offer a report on these texts; only a run has one."""

    def _offer_downloads(self, index: pd.Index, key: str) -> None:
        """Download buttons for these texts; a file is made when its button is clicked."""
        table, dates = self.table, self.dates
        csv = partial(files.as_csv, mentions_in=self.mentions_in)
        offer_file("Download CSV", lambda: csv(table.loc[index]), f"{self.file}.csv", f"{key}_CSV")
        workbook = f"{self.file}.xlsx"
        offer_file("Download XLSX", lambda: files.as_xlsx(table.loc[index], dates), workbook, f"{key}_XLSX", help=CUT)


cached = partial(st.cache_data, max_entries=8, show_spinner=False)  # what is shown again after each choice
_frequent_words, _distinctive_words = cached(eda.frequent_words), cached(eda.distinctive_words)


def spoken_values(bars: pd.DataFrame, name: str, value: str, form: str) -> str:
    """The names and values in a chart, for screen readers."""
    return ", ".join(f"{label} {number:{form}}" for label, number in zip(bars[name], bars[value], strict=True))
