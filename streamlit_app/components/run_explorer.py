"""The explorer of a run, with corrected shares, changes over time, a comparison of two selections, and themes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import product as pairs_of
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from streamlit_app.charts import theme
from streamlit_app.components.explorer import ROW_HEIGHT, Explorer, cached, spoken_values
from streamlit_app.components.labelling import check_rows, show_queue
from streamlit_app.components.loading import ModelState
from streamlit_app.components.notices import plain_markdown
from streamlit_app.components.runs import DONE, GUESS, Answers, Run, own_runs
from streamlit_app.components.widgets import offer_file, pick
from tf_model import tasks
from tf_model.analysis.changes import PERIODS, SIGNIFICANCE, by_period, find_changes, period_of, periods_of
from tf_model.analysis.compare import compare, distinctive_words
from tf_model.analysis.figures import correction_of, figures
from tf_model.analysis.rows import ALL, LEAST_TEXTS
from tf_model.analysis.shares import Correction, checked_sample, emotion_shares
from tf_model.analysis.themes import QUOTES, describe_themes, find_themes
from tf_model.inference.fit import FIT, STATUS
from tf_model.io.files import json_text
from tf_model.model_dir import is_of_training, training_of
from tf_model.modeling.joint_label import answer_text
from tf_model.report import percent, render

SIDES = ("A", "B")
MOST_CHANGES = 3  # described in words
UNCORRECTED = "Shares are as the model counts, without correction for its errors; 95% intervals allow for chance alone."
DEPENDENT = " Across all products, a text counts once for each that it names, which makes these intervals too narrow."
ALL_EMOTIONS = "Shares need all emotions. Clear the filter Emotions above to see them."
FILTERS = "filters"  # kept with the run, days as in 2026-05-31
THEMES = "theme_names"  # kept with the run: for each product and emotion, the name of the theme of each row


class RunExplorer(Explorer):
    """An explorer of the answers of a run; ``model``: the one that answered, None if another is in use now."""

    def __init__(self, run: Run, model: ModelState | None) -> None:
        self.run, self.model, self.answers = run, model, run.answers()
        super().__init__(
            key=run.id,
            all_tweets=self.answers.tweets,
            table=self.answers.table,
            display_table=self.answers.display_table,
            columns=_first_columns(run, self.answers),
            file=f"{Path(run.name).stem[:80]}_answers",
            no_emotion=run.no_emotion,
            dates=self.answers.dates,
            filters=run.stored(FILTERS),
            save_filters=partial(run.store, FILTERS),
            noun="Mentions" if run.per_product else "Texts",
            mentions_in=self.answers.first_columns[0] if run.per_product else None,
        )
        self.rows = self.answers.rows
        self.correction, self.correction_problem = _correction(model) if model and run.emotions else (None, "")

    def _tabs(self) -> dict[str, Callable[[pd.DataFrame], None]]:
        tabs = {"Labels": self._labels}
        if self.run.emotions:
            if self.dates:
                tabs["Over time"] = self._over_time
            tabs |= {"Compare": self._compare, "Themes": self._themes, "Label queue": self._label_queue}
        return tabs | super()._tabs() | {"Rows": self._rows}

    def _label_queue(self, tweets: pd.DataFrame) -> None:
        show_queue(self.run, self._analysed_rows(tweets), self.table, self._key("queue"))

    def _rows(self, tweets: pd.DataFrame) -> None:
        displayed = self.display_table.loc[tweets.index]
        st.dataframe(
            displayed,
            lazy=True,
            hide_index=True,
            column_order=list(dict.fromkeys([*self.columns, *displayed.columns])),
            column_config=self.columns,
            alt=f"{len(displayed):,} of {len(self.display_table):,} rows with their answers",
            key=self._key("rows"),
        )
        st.caption("Click a column header to sort by it.")

    def _offer_report(self, index: pd.Index) -> None:
        is_measured = self.model and self.run.emotions and "validation" in self.model.predictor.metrics
        if is_measured and len(index) and not self._lacks_emotions:
            with_texts = st.toggle("Quotes in the report", True, key=self._key("quotes"), persist_state="session")
            chosen = index, with_texts, self._chosen_period(index)
            for label, suffix, written in (("report", "html", render), ("report.json", "json", json_text)):
                offer_file(
                    f"Download {label}",
                    lambda written=written: written(self._figures(*chosen)),
                    f"{self.file}.{suffix}",
                    self._key(f"all_{label}"),
                    icon=":material/summarize:",
                )

    def _chosen_period(self, index: pd.Index) -> str | None:
        """The choice "Share by" for these texts; None if there is none."""
        dates = self._analysed_rows(self._counted(self.all_tweets.loc[index]))["date"].dropna()
        return None if dates.empty else st.session_state.get(self._period_key(dates))

    def _period_key(self, dates: pd.Series) -> str:
        return self._key(f"period_{period_of(dates)}_{periods_of(dates)[0]}")  # one key for each default and options

    def _figures(self, index: pd.Index, with_texts: bool, period: str | None) -> dict[str, Any]:
        selected = self.answers.result.loc[index], self.all_tweets.loc[index, "text"]
        themes = self._stored_themes(pairs_of(self._products, self._non_neutral))
        choices = {"checked_labels": self.run.checked, "chosen_themes": themes}
        choices |= {"dates": self.dates, "of_file": True, "counts_unfit": self.counts_all, "period": period}
        choices["products"] = self._products
        choices["correction"] = self.correction, self.correction_problem
        choices["by_words"] = bool(self.filters["contains"])
        name = f"{self.run.name}{_filtered(self.filters)}"
        return figures(*selected, self.model.predictor, name, with_texts, **choices)

    def _counted(self, tweets: pd.DataFrame) -> pd.DataFrame:
        counted = super()._counted(tweets)
        return counted[counted.index.isin(self.rows.index)] if self.run.per_product else counted

    def _analysed_rows(self, tweets: pd.DataFrame) -> pd.DataFrame:
        return self.rows[self.rows.index.isin(tweets.index)]

    @property
    def _products(self) -> list[str]:
        return self.rows["product"].dropna().unique().tolist()

    @property
    def _non_neutral(self) -> list[str]:
        return [emotion for emotion in self.run.emotions if emotion != self.no_emotion]

    @property
    def _lacks_emotions(self) -> bool:
        """Whether the filters leave out some emotions: the share of one among the others means nothing."""
        return bool(self.filters.get("emotions"))

    def _choose(self, tab: str, default: Mapping[str, str], *options: Iterable[str]) -> list[str]:
        """Let the user choose a product and an emotion from ``options``; the default is ``default``."""
        chosen = []
        for name, names, place in zip(("product", "emotion"), map(list, options), st.columns(2), strict=True):
            key, first = self._key(f"{tab}_{name}"), names.index(default[name])
            chosen.append(place.selectbox(name.capitalize(), names, first, key=key, persist_state="session"))
        return chosen

    # ---------------------------------------------------------------- honest shares

    def _shares(self, rows: pd.DataFrame) -> pd.DataFrame:
        by_words = bool(self.filters["contains"])
        return _emotion_shares(rows, self.run.emotions, self.correction, self.run.checked, by_words)

    def _show_totals(self, tweets: pd.DataFrame, notes: Mapping[str, str] = {}) -> None:
        if self.correction is None or self._lacks_emotions:
            return super()._show_totals(tweets)
        of_all = self._shares(self._analysed_rows(tweets)).head(len(self.run.emotions)).dropna(subset="share")
        notes = {line.emotion: f"{line.share:.0%} ({line.low:.0%} to {line.high:.0%})" for line in of_all.itertuples()}
        super()._show_totals(tweets, notes)
        if notes:
            st.caption("Below each share: the share corrected for the model's known errors, with its 95% interval.")

    def _labels(self, tweets: pd.DataFrame) -> None:
        super()._labels(tweets)
        if self.correction is None:
            if self.correction_problem:
                st.caption(plain_markdown(f"Shares are not corrected: {self.correction_problem}."))
            return
        if self._lacks_emotions:
            st.caption(ALL_EMOTIONS)
            return
        st.subheader("Corrected shares", anchor=False)
        rows = self._analysed_rows(tweets)
        shares = self._shares(rows)
        sample = checked_sample(rows, self.run.checked)
        others = len(rows.index.intersection(self.run.checked.index)) - len(sample)
        elsewhere = (
            f" {others:,} more do not count here: a row before them was skipped, or they were drawn from another "
            "selection (see the column checked)."
        )
        _show_table(shares.rename(columns={"share": "corrected share"}), "Counted and corrected share of each emotion")
        st.caption(
            "Counted: the most probable emotions. Corrected share: adjusted for the model's known errors, with its 95% "
            f"interval; unknown for fewer than {LEAST_TEXTS} texts. If these texts differ from those on which "
            "the model was validated, the error may be larger: check rows by hand. If the true shares are like theirs, "
            "the counted share of a single product can be as close, or closer. "
            f"{sample.count():,} of these texts, drawn at random, were checked by hand.{elsewhere * (others > 0)}"
        )
        check_rows(self.run, rows, self._key("check"))

    # ---------------------------------------------------------------- over time

    def _over_time(self, tweets: pd.DataFrame) -> None:
        if self._lacks_emotions:
            st.info(ALL_EMOTIONS)
            return
        rows = self._analysed_rows(tweets)
        rows = rows[rows["date"].notna()]
        notes = f". In the whole file: {'; '.join(self.dates.notes)}" if self.dates.notes else ""
        st.caption(plain_markdown(f"Dates: column {self.dates.column}{notes}."))
        if rows.empty:
            st.info("None of these texts has a date.")
            return
        st.caption(UNCORRECTED + DEPENDENT * self.run.per_product)
        period, periods = period_of(rows["date"]), periods_of(rows["date"])
        if len(periods) > 1:
            words = (
                f"Shorter periods are offered if they have {LEAST_TEXTS} texts or more on average, and are not too many"
            )
            period = pick("Share by", periods, self._period_key(rows["date"]), default=period, help=words)
        emotions = self._non_neutral  # the neutral share mirrors theirs
        columns = ["text", "product", "emotion", "date"]
        series = by_period(rows, emotions, period)
        changes = _find_changes(rows[columns], emotions, MOST_CHANGES, period)
        for change in changes.head(MOST_CHANGES).itertuples():
            st.markdown(plain_markdown(_change_in_words(change, period, self.noun.lower())))
        if changes.empty:
            least = f"{LEAST_TEXTS} {self.noun.lower()}"
            words = f"No product's shares changed by more than chance; a change needs at least {least} on each side."
            st.info(words, icon=":material/trending_flat:")
        default = changes.iloc[0] if len(changes) else series.iloc[0]
        product, emotion = self._choose("time", default, *(series[name].unique() for name in ("product", "emotion")))
        points, marks = (
            each[(each["product"] == product) & (each["emotion"] == emotion)] for each in (series, changes)
        )
        points = points.assign(name=[_time(start, period) for start in points["start"]])
        with_texts = points[points["texts"] > 0]
        selected = rows[(rows["emotion"] == emotion) & ((product == ALL) | (rows["product"] == product))]
        starts = selected["date"].dt.to_period(PERIODS[period]).dt.start_time
        title = f"{emotion} {_toward(product)}: share of the {self.noun.lower()} by {period}"
        self._drill_down(
            theme.share_over_time(points, marks["when"], emotion, title),
            with_texts,
            lambda bar: selected[starts == bar["start"]],
            key=f"time_{period}_{product}_{emotion}",
            alt=f"{title}: {spoken_values(with_texts, 'name', 'share', '.0%')}.",
            caption=f"The band is the 95% interval; a gap is a {period} without texts; a dashed line marks a change.",
        )

    # ---------------------------------------------------------------- two selections

    def _compare(self, tweets: pd.DataFrame) -> None:
        if self._lacks_emotions:
            st.info(ALL_EMOTIONS)
            return
        rows, another = self._analysed_rows(tweets), self._choose_another_run()
        if another:
            st.caption(plain_markdown(f"A: this file, filtered as above. B: {another.name}, all fit rows."))
            answers = another.answers()
            is_fit = answers.tweets["status"][answers.rows.index] == FIT
            one = np.arange(len(rows) + is_fit.sum()) < len(rows)
            rows, other = pd.concat([rows, answers.rows[is_fit]], ignore_index=True), ~one
            if shared := rows["text"][one].isin(set(rows["text"][other])).sum():
                words = f"{self.noun} of A with the text of one of B: {shared:,}. If the files overlap in time, filter"
                st.caption(f"{words} A by date: a post must count on one side only.")
        else:
            sides = []
            for name, place in zip(SIDES, st.columns(2), strict=True):
                with place:
                    st.subheader(name, anchor=False)
                    sides.append(self._filter(f"{name}_"))
            one, other = (rows.index.isin(side.index) for side in sides)
            if (in_both := one & other).any():  # the test and the interval need separate texts
                if np.array_equal(one, other):
                    words = "A and B hold the same texts: filter A or B by source, product or date."
                    st.info(words, icon=":material/compare_arrows:")
                    return
                if not (one & ~other).any():  # A is a part of B
                    other, counted = other & ~one, "counted in A alone"
                elif not (other & ~one).any():
                    one, counted = one & ~other, "counted in B alone"
                else:
                    one, other, counted = one & ~other, other & ~one, "left out of both"
                st.caption(f"{in_both.sum():,} of {len(rows):,} {self.noun.lower()} pass both filters: {counted}.")
        table = compare(rows, one, other, self.run.emotions)
        st.caption(UNCORRECTED + DEPENDENT * self.run.per_product)
        significant = table[table["p_value"] < SIGNIFICANCE]
        for line in significant.itertuples():
            st.markdown(plain_markdown(_difference_in_words(line)))
        if table["p_value"].isna().all():
            counted = f"A has {one.sum():,} {self.noun.lower()}, B {other.sum():,}"
            st.info(f"Not compared: {counted}; each needs at least {LEAST_TEXTS}.", icon=":material/compare_arrows:")
        elif significant.empty:
            st.info("No share differs by more than chance.", icon=":material/drag_handle:")
        for side, words in zip(SIDES, distinctive_words(rows, one, other), strict=True):
            if words:
                st.markdown(plain_markdown(f"Words typical of {side}: {', '.join(words)}."))
        table = table[(table["texts_one"] > 0) & (table["texts_other"] > 0)]  # both sides have texts
        names = {"texts_one": "texts A", "texts_other": "texts B", "share_one": "share A", "share_other": "share B"}
        _show_table(table.rename(columns=names), "How A and B differ", points=["difference", "low", "high"])
        st.caption(
            "The difference is B minus A in percentage points, with its 95% interval. Chance: how probable so large a "
            "difference is by chance alone, given how many are compared. The sentences above are those with a chance "
            "below 0.05.",
            help="p-values of Fisher's exact test, corrected for multiple tests (Holm); Newcombe's interval",
        )

    def _choose_another_run(self) -> Run | None:
        """Let the user choose a run to compare with, answered in the same way; None: selections of this file."""
        others = {
            f"This file and {each.name} ({datetime.fromtimestamp(each.began):%Y-%m-%d %H:%M:%S})": each
            for each in own_runs()
            if each.id != self.run.id and each.status == DONE and _answered_by(each) == _answered_by(self.run)
        }
        if not others:
            return None
        names = ["Two selections of this file", *others]
        return others.get(st.selectbox("Compare", names, key=self._key("another"), persist_state="session"))

    # ---------------------------------------------------------------- themes

    def _themes(self, tweets: pd.DataFrame) -> None:
        rows = self._analysed_rows(tweets)
        sizes = rows[rows["emotion"].isin(self._non_neutral)].groupby(["product", "emotion"], observed=True).size()
        if sizes.empty:
            st.info("None of these texts has an emotion toward a product.")
            return
        default = dict(zip(sizes.index.names, sizes.idxmax(), strict=True))
        product, emotion = self._choose("themes", default, rows["product"].value_counts().index, self._non_neutral)
        with st.spinner("Looking for themes…"):
            stored = self._stored_themes([(product, emotion)])
        key = answer_text(emotion, product)
        themes = pd.Series(stored[key], dtype=object).rename(int)
        table = _describe_themes(rows[["text", "date"]], themes, self._products).rename(columns={"theme": "name"})
        if table.empty:
            st.info(f"Themes need {LEAST_TEXTS} different texts, fit for the model, with this emotion and product.")
            return
        table["tweets"] = table["texts"].map(len)
        self._show_bars(
            table,
            lambda bar: rows.loc[bar["texts"]],
            key=f"themes_{key}",
            title="Number of different texts by theme",
            caption="Near-duplicates count once. The texts most typical of a theme come first.",
            colour=theme.colour_of(emotion),
        )
        quotes = pd.DataFrame([rows["text"].reindex(each[:QUOTES]).tolist() for each in table["texts"]])
        st.dataframe(
            table[["name", "trend"]].join(quotes.rename(columns="text {}".format)),
            hide_index=True,
            row_height=ROW_HEIGHT,
            column_config={
                "name": st.column_config.TextColumn("theme", width=150),
                "trend": st.column_config.BarChartColumn("texts over time", width=110),
                **{f"text {each}": st.column_config.TextColumn(f"text {each + 1}", width=185) for each in quotes},
            },
            alt="Each theme with its number of texts over time, and three of its texts",
        )
        with st.expander("Rename or merge"):
            self._change_themes(stored, key, table)

    def _stored_themes(self, answers: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """The stored themes, with those of these products and emotions: they are found in all fit rows of the file."""
        stored, found = self.run.stored(THEMES), {}
        is_fit = self.all_tweets["status"][self.rows.index] == FIT
        for product, emotion in answers:
            if (key := answer_text(emotion, product)) not in stored:
                is_own = (self.rows["product"] == product) & (self.rows["emotion"] == emotion)
                found[key] = find_themes(self.rows[is_own & is_fit], self._products).to_dict()
        if found:
            stored = found | self.run.stored(THEMES)  # another window may have changed themes meanwhile
            self.run.store(THEMES, stored)
        return stored

    def _change_themes(self, stored: dict[str, Any], key: str, table: pd.DataFrame) -> None:
        with st.form(self._key(f"change_{key}"), border=False, clear_on_submit=True):
            chosen = st.multiselect("Themes (several are merged)", table["name"])
            name = st.text_input("New name", max_chars=80).strip()
            if st.form_submit_button("Rename or merge") and chosen:
                name = name or chosen[0]
                stored[key] = {row: name if theme in chosen else theme for row, theme in stored[key].items()}
                self.run.store(THEMES, stored)
                st.rerun()
        if st.button("Find themes again", icon=":material/undo:", key=self._key(f"anew_{key}")):
            del stored[key]
            self.run.store(THEMES, stored)
            st.rerun()


def _answered_by(run: Run) -> tuple[Any, ...]:
    """What must be equal of two runs, so that a difference is one of their texts."""
    return run.model, run.version, run.emotions, run.per_product, run.products


def _first_columns(run: Run, answers: Answers) -> dict[str, Any]:
    """The columns to show first, and how."""
    share, wide = st.column_config.NumberColumn(format="percent"), st.column_config.TextColumn(width=330)
    plain = st.column_config.Column()  # None would hide it
    first = ("product", "emotion", GUESS) if run.per_product else (tasks.ANSWER,)
    confidence = "emotion_confidence" if run.per_product else "answer_confidence"
    names = dict.fromkeys([*first, STATUS, confidence, *run.predicted])
    names = [each for each in names if each in answers.display_table]
    columns = {name: share if name.endswith("_confidence") else plain for name in names}
    return dict.fromkeys(answers.first_columns, plain) | columns | {answers.first_columns[0]: wide}


def _filtered(filters: Mapping[str, Any]) -> str:
    """The filters as a suffix to the name of a file: `` (iPad; 2026-05-01 to 2026-05-31)``."""
    days = " to ".join(filters.get("dates", ())) if len(filters.get("dates", ())) == 2 else ""
    labels = [", ".join(filters.get(name, ())) for name in ("products", "emotions", "statuses", "sources")]
    parts = [*filter(None, [*labels, filters["contains"], days])]
    return f" ({'; '.join(parts)})" if parts else ""


def _correction(state: ModelState) -> tuple[Correction | None, str]:
    """The correction for a model's known errors, or None and the reason."""
    folder = state.predictor.folder  # for a server, the copy that --model names, if any
    if state.server_url and not (folder and is_of_training(state.version, training_of(folder))):
        return None, "the server's model has no validation rows here"
    return _read_correction(str(folder), state.version)


@st.cache_resource(max_entries=2, show_spinner=False)
def _read_correction(folder: str, version: str) -> tuple[Correction | None, str]:
    return correction_of(Path(folder))


_find_changes, _describe_themes = cached(find_changes), cached(describe_themes)
_emotion_shares = cached(emotion_shares, hash_funcs={Correction: id})


def _show_table(table: pd.DataFrame, alt: str, points: Sequence[str] = ()) -> None:
    """Show a table of shares; the columns ``points`` are differences of shares, shown in percentage points."""
    shares = table.select_dtypes("float").columns.drop("p_value", errors="ignore")
    columns = {name: st.column_config.NumberColumn(name.replace("_", " "), format="percent") for name in shares}
    columns |= {name: st.column_config.NumberColumn(f"{name}, points", format="%+.1f") for name in points}
    columns["p_value"] = st.column_config.NumberColumn("chance", format="%.2g")
    table = table.round(dict.fromkeys(shares, 3)).assign(**{name: 100 * table[name] for name in points})
    st.dataframe(table, hide_index=True, column_config=columns, alt=alt)


def _time(start: pd.Timestamp, period: str) -> str:
    if period == "month":
        return f"{start:%B %Y}"
    return f"{'week of ' * (period == 'week')}{start.day} {start:%B %Y}"


def _toward(product: str) -> str:
    return "across all products" if product == ALL else f"toward {product}"


def _change_in_words(change: Any, period: str, noun: str) -> str:
    rose, (size, interval) = change.difference > 0, _points(change)
    words = " No single word stands out: read the texts."
    if change.words:
        words = f" Typical words {'since then' if rose else 'before'}: {', '.join(change.words)}."
    return (
        f"From {'the ' * (period == 'week')}{_time(change.when, period)} on, "
        f"{change.emotion} {_toward(change.product)} {'rose' if rose else 'fell'} "
        f"from {percent(change.before)} to {percent(change.after)} of the {noun}, by {size} points "
        f"(95% interval {interval}; {change.texts_before:,} {noun} before, {change.texts_after:,} after).{words}"
    )


def _difference_in_words(line: Any) -> str:
    about, (size, interval) = "" if line.product == ALL else f"{line.product}, ", _points(line)
    return (
        f"{about}{line.emotion}: {percent(line.share_one)} in A, {percent(line.share_other)} in B, "
        f"{size} points {'more' if line.difference > 0 else 'fewer'} (95% interval {interval})."
    )


def _points(line: Any) -> tuple[str, str]:
    """The size of a difference of shares, and its interval, in percentage points."""
    ends = (-line.high, -line.low) if line.difference < 0 else (line.low, line.high)
    size, low, high = (percent(each).removesuffix("%") for each in (abs(line.difference), *ends))
    return size, f"{low} to {high}"
