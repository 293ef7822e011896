"""The explorer of a run: also the corrected shares, what changed over time, and two selections compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.charts import time_charts
from streamlit_app.components.explorer import Explorer
from streamlit_app.components.notices import plain_markdown
from tf_model.analysis.changes import PERIODS, SIGNIFICANCE, Dates, by_period, find_changes, period_of
from tf_model.analysis.compare import compare, telling_words
from tf_model.analysis.rows import ALL, LEAST_TEXTS
from tf_model.analysis.shares import Correction, emotion_shares
from tf_model.errors import UsageError

SIDES = ("A", "B")
MOST_CHANGES = 3  # that are told in words


@dataclass(frozen=True, kw_only=True)
class RunExplorer(Explorer):
    """What is explored of the answers of a run; see :class:`streamlit_app.components.runs.Answers`."""

    rows: pd.DataFrame | None
    emotions: Sequence[str]
    correction: Correction | None
    dates: Dates | None
    report: Callable[[pd.Index], str] | None  # on some of the rows, as HTML; None where the model cannot be asked

    def _tabs(self) -> dict[str, Callable[[pd.DataFrame], None]]:
        return super()._tabs() | {"Over time": self._over_time, "Compare": self._compare}

    def _offer_downloads(self, index: pd.Index, key: str) -> None:
        super()._offer_downloads(index, key)
        if self.report and key == self._key("all"):
            st.download_button(
                "Download report",
                data=lambda: self.report(index),
                file_name=f"{self.file}.html",
                mime="text/html",
                on_click="ignore",
                icon=":material/summarize:",
            )

    def _rows_of(self, tweets: pd.DataFrame) -> pd.DataFrame:
        return self.rows[self.rows.index.isin(tweets.index)]

    # ---------------------------------------------------------------- honest shares

    def _beside_totals(self, tweets: pd.DataFrame) -> dict[str, str]:
        if self.correction is None:
            return {}
        shares = emotion_shares(self._rows_of(tweets).assign(product=ALL), self.emotions, self.correction)
        known = shares[shares["share"].notna()]
        return {line.emotion: f"{line.share:.0%} ({line.low:.0%} to {line.high:.0%})" for line in known.itertuples()}

    def _show_totals(self, tweets: pd.DataFrame) -> None:
        super()._show_totals(tweets)
        if self.correction:
            st.caption("Below a share: the same corrected for the model's known errors, with its 95% interval.")

    def _labels(self, tweets: pd.DataFrame) -> None:
        super()._labels(tweets)
        if self.correction is None:
            return
        st.subheader("Corrected shares", anchor=False)
        shares = emotion_shares(self._rows_of(tweets), self.emotions, self.correction)
        _show_table(shares.rename(columns={"share": "corrected share"}), "Counted and corrected share of each emotion")
        st.caption(
            "Counted is what the model answered; the share is corrected for the errors that it is known to make, with "
            f"its 95% interval. Of fewer than {LEAST_TEXTS} texts it is not known."
        )

    # ---------------------------------------------------------------- over time

    def _over_time(self, tweets: pd.DataFrame) -> None:
        rows = self._rows_of(tweets)
        rows = rows[rows["date"].notna()]
        for note in self.dates.notes:
            st.caption(plain_markdown(f"Column {self.dates.column}: {note}."))
        if rows.empty:
            st.info("None of these texts has a date.")
            return
        period = period_of(rows["date"])
        emotions = [emotion for emotion in self.emotions if emotion != self.no_emotion]  # which mirrors the others
        series, changes = by_period(rows, emotions, period), find_changes(rows, emotions, period)
        for change in changes.head(MOST_CHANGES).itertuples():
            st.markdown(plain_markdown(_change_in_words(change, period)))
        if changes.empty:
            st.info("No share changed by more than chance makes.", icon=":material/trending_flat:")
        first = changes.iloc[0] if len(changes) else series.iloc[0]
        one, two = st.columns(2)
        chosen = {}
        for name, place in (("product", one), ("emotion", two)):
            names = series[name].unique().tolist()
            options = {"index": names.index(first[name]), "key": self._key(f"time_{name}"), "persist_state": "session"}
            chosen[name] = place.selectbox(name.capitalize(), names, **options)
        product, emotion = chosen["product"], chosen["emotion"]
        line, marks = (each[(each["product"] == product) & (each["emotion"] == emotion)] for each in (series, changes))
        own = rows[(rows["emotion"] == emotion) & ((product == ALL) | (rows["product"] == product))]
        starts = own["date"].dt.to_period(PERIODS[period]).dt.start_time
        title = f"{emotion}: share of the texts by {period}"
        self._drill_down(
            time_charts.share_over_time(line, marks["when"], emotion, title),
            line.assign(name=[f"{_time(start, period)}" for start in line["start"]]),
            lambda bar: own[starts == bar["start"]],
            key=f"time_{product}_{emotion}",
            alt=f"{title}: {', '.join(f'{_time(at.start, period)} {at.share:.0%}' for at in line.itertuples())}.",
            caption="The band is the 95% interval; a dashed line marks a change.",
        )

    # ---------------------------------------------------------------- two selections

    def _compare(self, tweets: pd.DataFrame) -> None:
        sides = []
        for name, place in zip(SIDES, st.columns(2), strict=True):
            with place:
                st.subheader(name, anchor=False)
                sides.append(self._filter(f"{name}_"))
        rows = self._rows_of(tweets)
        one, other = (rows.index.isin(side.index) for side in sides)
        try:
            table = compare(rows, one, other, self.emotions)
        except UsageError as error:
            st.info(str(error), icon=":material/compare_arrows:")
            return
        found = table[table["p_value"] < SIGNIFICANCE]
        for line in found.itertuples():
            st.markdown(plain_markdown(_difference_in_words(line)))
        if found.empty:
            st.info("No share differs by more than chance makes.", icon=":material/drag_handle:")
        for side, words in zip(SIDES, telling_words(rows, one, other), strict=True):
            if words:
                st.markdown(plain_markdown(f"Words that tell {side}: {', '.join(words)}."))
        names = {"texts_one": "texts A", "texts_other": "texts B", "share_one": "share A", "share_other": "share B"}
        _show_table(table.rename(columns=names), "How A and B differ")
        st.caption(
            "The difference is B less A, with its 95% interval; p-values (Fisher's exact test) are corrected for their "
            "number (Holm). The corrected p-value is below 0.05 where a sentence says so above."
        )


def _show_table(table: pd.DataFrame, alt: str) -> None:
    shares = table.select_dtypes("float").columns.drop("p_value", errors="ignore")
    columns = {name: st.column_config.NumberColumn(name.replace("_", " "), format="percent") for name in shares}
    st.dataframe(table.round(3), hide_index=True, column_config=columns, alt=alt)


def _time(start: pd.Timestamp, period: str) -> str:
    if period == "month":
        return f"{start:%B %Y}"
    return f"{'week of ' * (period == 'week')}{start.day} {start:%B %Y}"


def _toward(product: str) -> str:
    return "over all products" if product == ALL else f"toward {product}"


def _change_in_words(change: Any, period: str) -> str:
    rose = change.difference > 0
    low, high = sorted(abs(each) * 100 for each in (change.low, change.high))
    words = f" Words: {', '.join(change.words)}." if change.words else ""
    return (
        f"From {'the ' * (period == 'week')}{_time(change.when, period)} on, "
        f"{change.emotion} {_toward(change.product)} {'rose' if rose else 'fell'} "
        f"from {change.before:.0%} to {change.after:.0%} of the texts, by "
        f"{abs(change.difference) * 100:.0f} points (95% interval {low:.0f} to {high:.0f}; {change.texts_before:,} "
        f"texts before, {change.texts_after:,} after).{words}"
    )


def _difference_in_words(line: Any) -> str:
    low, high = sorted(abs(each) * 100 for each in (line.low, line.high))
    return (
        f"{line.emotion} {_toward(line.product)}: {line.share_one:.0%} in A, {line.share_other:.0%} in B, "
        f"{abs(line.difference) * 100:.0f} points {'more' if line.difference > 0 else 'fewer'} (95% interval {low:.0f} "
        f"to {high:.0f})."
    )
