"""Changes over time: find the column of dates, the share of each emotion by period, and when it changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tf_model.analysis.compare import distinctive_words, newcombe
from tf_model.analysis.rows import ALL, LEAST_TEXTS, by_product
from tf_model.errors import count_of
from tf_model.evaluation.metrics import wilson_interval
from tf_model.io.base import as_text

PERIODS = {"day": "D", "week": "W-SUN", "month": "M"}  # as pandas calls them; a week begins on Monday
LONGEST = {"day": 45, "week": 400}  # the most days between the first and the last date for which it is chosen
MOST_PERIODS = 120  # offered: the search for changes takes time by their square
SIGNIFICANCE = 0.05  # for all changes reported for a file together
MOST_CHANGES = 3  # of the share of one emotion toward one product
MOST_DESCRIBED = 10  # changes for which words are found; each takes a quarter of a second

_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_DAYTIME = r"(?i)\b(?!0?0:00(?::00)?(?![:\d])|12:00(?::00)? am)\d{1,2}:\d{2}"  # not midnight, which exports add to days
_TWITTER = "%a %b %d %H:%M:%S %z %Y"
# With a time, since 31-05-2024 has no offset; Unix time is in UTC.
_WITH_OFFSET = r".*(?:Z|UTC|[T: ]\d{2}(?:\d{2}){0,2}(?:[.,]\d+)? ?[+-]\d{2}(?::?\d{2})?(?: \d{4})?)|\d{10,}(?:\.\d+)?"
_USUAL_NAMES = {"created", "date", "datetime", "datum", "day", "posted", "published", "sent", "time", "timestamp"}
EARLIEST = pd.Timestamp("1990-01-01")  # before: stands for a missing date, as 0001-01-01, 1900-01-01 or 1970-01-01
_SAMPLE = 1000  # cells that decide whether a column holds dates


@dataclass(frozen=True, eq=False)
class Dates:
    """The dates of a file, and notes about them for the user."""

    column: str
    position: int  # of the column, since names may repeat
    values: pd.Series  # datetime64 in UTC without a zone, NaT where no date is usable; indexed as the table
    notes: tuple[str, ...]
    is_utc: bool  # whether the file has times with an offset, which are converted to UTC


def find_dates(table: pd.DataFrame) -> Dates | None:
    """Find the column with the most dates in the usual forms; a column with a usual name takes precedence.

    None if no column holds mostly dates or has a usual name. Numbers count as dates only under a usual name. Dates
    before :data:`EARLIEST`, or more than a day in the future, are left out; they and what is no date are counted in the
    notes.
    """
    latest = pd.Timestamp.now("UTC").tz_localize(None) + pd.Timedelta(days=1)
    candidates = []
    for position, name in enumerate(map(str, table.columns)):
        is_usual = not _USUAL_NAMES.isdisjoint(each.lower() for each in re.findall("[A-Z]?[a-z]+|[A-Z]+", name))
        cells = table.iloc[:, position].map(as_text, na_action="ignore").dropna().astype("str").str.strip()
        cells = cells[cells != ""]
        sample = _parse_dates(cells.head(_SAMPLE), is_usual)[0]
        holds_dates = 2 * sample.notna().sum() > len(sample)
        if holds_dates or (is_usual and len(cells)):  # else its user would not learn that its dates cannot be read
            dates, notes = _parse_dates(cells, is_usual)
            usable = dates.between(EARLIEST, latest).sum()
            rank = (holds_dates and usable > 0, is_usual, usable)
            candidates.append((rank, name, position, cells, dates, notes))
    if not candidates:
        return None
    _, name, position, cells, dates, notes = max(candidates, key=lambda each: each[0])
    is_utc = bool(cells[dates.notna()].str.fullmatch(_WITH_OFFSET).any())
    if is_utc:
        notes.append("times with an offset were converted to UTC")
    is_future, is_too_early = dates > latest, dates < EARLIEST
    for count, description in (
        (len(table) - len(dates), "without a date"),
        (dates.isna().sum(), "with an unreadable date"),
        (is_future.sum(), "with a date in the future, left out"),
        (is_too_early.sum(), f"with a date before {EARLIEST.year}, left out"),
    ):
        if count:
            notes.append(f"{count_of(count, 'row')} {description}")
    return Dates(name, position, dates.mask(is_future | is_too_early).reindex(table.index), tuple(notes), is_utc)


def _parse_dates(cells: pd.Series, allow_numbers: bool) -> tuple[pd.Series, list[str]]:
    """Parse non-empty cells as dates, and note how they were read."""
    texts = cells.str.replace(", ", " ").str.replace(",", ".").str.replace(" ?UTC$", "Z", regex=True)
    texts = texts.str.replace("(?i) ?([ap]m)$", r" \1", regex=True)
    texts = texts.str.replace(r"^(\d{1,2})-(\d{1,2})-", r"\1/\2/", regex=True)
    texts = texts.str.replace(r"^(\d{1,2})[ -]([A-Za-z]{3,})[ -]", r"\2 \1 ", regex=True)  # 18 Apr 2026: Apr 18 2026

    def parse(beginning: str, *formats: str) -> pd.Series:
        """The dates of the cells that begin in this way, each in the first format that it has."""
        own = texts[texts.str.match(beginning)]
        dates = pd.Series(pd.NaT, own.index, dtype="datetime64[us]")
        for each in formats:
            if (rest := own[dates.isna()]).empty:
                break
            parsed = pd.to_datetime(rest, format=each, utc=True, errors="coerce").dt.tz_localize(None)
            dates[rest.index] = parsed.astype(dates.dtype)
        return dates

    def at_any_time(*days: str) -> list[str]:
        return [day + clock for day in days for clock in _CLOCKS]

    slashes = texts.str.extract(r"^(\d{1,2})/(\d{1,2})/").dropna().astype(int)
    are_days = slashes > 12
    slashed = "%d/%m" if are_days[0].sum() > are_days[1].sum() else "%m/%d"
    is_ambiguous = len(are_days) and not are_days.any(axis=None)
    are_firsts = (slashes[1] == 1).all() and not texts.str.contains(_DAYTIME).any()  # of months, rather than of January
    if is_ambiguous and slashes[1].nunique() < slashes[0].nunique() and not are_firsts:  # more days than months
        slashed = "%d/%m"
    dates = [
        parse(r"\d{4}-\d{2}-\d{2}", "ISO8601"),
        parse(r"\d{4}/", *at_any_time("%Y/%m/%d")),
        parse("[A-Za-z]", _TWITTER, *at_any_time("%b %d %Y", "%B %d %Y", "%b %d %y")),
        parse(r"\d{1,2}\.\d{1,2}\.\d{4}", *at_any_time("%d.%m.%Y")),
        parse(r"\d{2}\.\d{2}\.\d{2}(?!\d)", *at_any_time("%d.%m.%y")),  # 2.1.10 is a version
        parse(r"\d{1,2}/", *at_any_time(f"{slashed}/%Y", f"{slashed}/%y")),
    ]
    if allow_numbers:  # Unix seconds or milliseconds
        numbers = texts[texts.str.fullmatch(r"[1-3]\d{9}(?:\d{3})?(?:\.\d+)?")].astype(float)
        dates.append(pd.to_datetime(numbers.where(numbers < 1e11, numbers / 1000), unit="s").astype("datetime64[us]"))
    notes, read_as = [], "day/month/year" if slashed == "%d/%m" else "month/day/year"
    if is_ambiguous:
        notes = [f"the dates are ambiguous, and were read as {read_as}; if that is wrong, write them as 2024-06-03"]
    elif (are_days[0] & ~are_days[1]).any() and (are_days[1] & ~are_days[0]).any():
        forms = "both day/month/year and month/day/year occur"
        notes = [f"{forms}: all were read as {read_as}, so dates of the other form are wrong or unreadable"]
    elif are_days[0].any() and texts.str.match(r"\d{1,2}/\d{1,2}/\d{2}(?!\d)").any():  # the year may stand first
        notes = [f"years of two digits: the dates were read as {read_as}"]
    elif len(slashes) and are_days.any(axis=1).all() and len(iso := dates[0].dropna()) and (iso.dt.day <= 12).all():
        # As Excel leaves them that reads 05/06/2024 as 6 May, and cannot read 13/06/2024.
        notes = [
            f"{texts[slashes.index[0]]} is text, and no other date has a day above 12: a spreadsheet may have swapped "
            "day and month of the others"
        ]
    return pd.concat(dates).reindex(cells.index), notes


# ---------------------------------------------------------------- over time


def period_of(dates: pd.Series) -> str:
    """The key of :data:`PERIODS` that suits the span of the dates."""
    days = (dates.max() - dates.min()).days
    return next((period for period, longest in LONGEST.items() if days <= longest), "month")


def periods_of(dates: pd.Series) -> list[str]:
    """The keys of :data:`PERIODS` to choose from, finest first: that of :func:`period_of` and the longer ones.

    Also a shorter one, if its periods have 30 dates or more on average, and are at most :data:`MOST_PERIODS`.
    """

    def is_filled(period: str) -> bool:
        count = len(pd.period_range(dates.min(), dates.max(), freq=PERIODS[period]))
        return count <= MOST_PERIODS and len(dates) >= LEAST_TEXTS * count

    periods = list(PERIODS)
    suggested = periods.index(period_of(dates))
    return [*filter(is_filled, periods[:suggested]), *periods[suggested:]]


def by_period(rows: pd.DataFrame, emotions: Sequence[str], period: str | None = None) -> pd.DataFrame:
    """The share of each emotion over time, for all rows and for each product; ``period``: default :func:`period_of`.

    One line per ``product``, ``emotion`` and ``start`` of a period, from the first period with texts to the last:
    ``texts``, the ``count`` with the emotion, and ``share`` with Wilson's 95% interval ``low``, ``high``; these three
    are NaN if the period has no texts. Rows without a date are left out; at least one must have one.
    """
    dated = rows.loc[rows["date"].notna(), ["product", "emotion", "date"]]
    periods = dated["date"].dt.to_period(PERIODS[period or period_of(dated["date"])])
    parts = []
    for product, product_rows in by_product(dated):
        counts = pd.crosstab(periods[product_rows.index], product_rows["emotion"].astype("str"))
        counts = counts.reindex(pd.period_range(counts.index[0], counts.index[-1]), fill_value=0)
        columns = {"product": product, "start": counts.index.start_time, "texts": counts.sum(axis=1)}
        parts += [pd.DataFrame(columns | {"emotion": each, "count": counts.get(each, 0)}) for each in emotions]
    series = pd.concat(parts, ignore_index=True)
    totals = series["texts"].where(series["texts"] > 0)
    low, high = wilson_interval(series["count"], totals)
    return series.assign(share=series["count"] / totals, low=low, high=high)


# ---------------------------------------------------------------- what changed


def find_changes(
    rows: pd.DataFrame, emotions: Sequence[str], described: int = MOST_DESCRIBED, period: str | None = None
) -> pd.DataFrame:
    """When the share of an emotion changed, largest change first: for each product, and over all rows.

    A change over all rows is left out if it moved only products with a change of their own, or only their share of the
    rows. Rows without a date are left out. One line per ``product``, ``emotion`` and ``when`` (the start of a period):
    the share ``before`` and ``after``, up to the neighbouring changes, the number of texts in each, ``texts_before``
    and ``texts_after`` (at least 30), and ``difference`` with its 95% interval ``low``, ``high``. ``words`` are typical
    of the texts that appeared or disappeared, for the first ``described`` lines. Changes are those of the best
    segmentation into at most four parts (ruptures). Each passes a likelihood-ratio test, corrected for all points and
    series tried.
    """
    from ruptures import Dynp
    from ruptures.base import BaseCost
    from scipy.special import xlogy
    from scipy.stats import chi2

    class Binomial(BaseCost):
        """Twice the negative log-likelihood of counts out of totals that share one probability."""

        model, min_size = "binomial", 1

        def fit(self, signal: np.ndarray) -> Binomial:
            sums = np.vstack([np.zeros(2), signal.cumsum(axis=0)])
            counts, totals = np.maximum(sums.T[:, None] - sums.T[:, :, None], 0)  # by begin and end
            shares = counts / np.maximum(totals, 1)
            self.signal, self.costs = signal, -2 * (xlogy(counts, shares) + xlogy(totals - counts, 1 - shares))
            self.costs[totals < LEAST_TEXTS] = 1e9
            return self

        def error(self, start: int, end: int) -> float:
            return self.costs[start, end]

    rows = rows[rows["date"].notna()]
    period = period or period_of(rows["date"])
    series = by_period(rows, emotions, period).query("texts > 0").groupby(["product", "emotion"], sort=False)
    significance = SIGNIFICANCE / max(sum(len(periods) - 1 for _, periods in series), 1)
    lines = []
    for (product, emotion), periods in series:
        signal = periods[["count", "texts"]].to_numpy(np.float64)
        penalty = chi2.isf(significance, 1)
        search = Dynp(custom_cost=Binomial(), min_size=1, jump=1).fit(signal)
        segmentations = [search.predict(n_bkps=number) for number in range(min(MOST_CHANGES + 1, len(periods)))]
        edges = [0, *min(segmentations, key=lambda ends: search.cost.sum_of_costs(ends) + penalty * len(ends))]
        starts = [*periods["start"], pd.Timestamp.max]
        for first, middle, last in zip(edges, edges[1:], edges[2:], strict=False):
            sides = np.array([signal[first:middle].sum(axis=0), signal[middle:last].sum(axis=0)])
            difference, low, high = newcombe(*sides.T)
            times = [starts[each] for each in (first, middle, last)]
            shares, texts = sides[:, 0] / sides[:, 1], sides[:, 1].astype(int)
            lines.append((product, emotion, times[1], *shares, *texts, difference, low, high, times))
    sides = ["before", "after", "texts_before", "texts_after"]
    columns = ["product", "emotion", "when", *sides, "difference", "low", "high", "times"]
    changes = pd.DataFrame(lines, columns=columns)
    of_products = changes[changes["product"] != ALL].groupby("emotion")["product"].agg(set)
    is_kept = [
        each.product != ALL
        or _moved(rows[~rows["product"].isin(of_products.get(each.emotion, ()))], each, significance)
        for each in changes.itertuples()
    ]
    changes = changes[np.array(is_kept, bool)]
    changes = changes.sort_values("difference", key=abs, ascending=False, ignore_index=True)
    words = [_words(rows, each) for each in changes.head(described).itertuples()]
    return changes.drop(columns="times").assign(words=words + [[]] * (len(changes) - len(words)))


def _moved(rows: pd.DataFrame, change: Any, significance: float) -> bool:
    """Whether the share of an emotion changed within the products of these rows, too, when and as in a ``change``.

    One-sided test of N. Mantel and W. Haenszel (1959): a product that only becomes more frequent moves no share.
    """
    from scipy.stats import norm

    begin, when, end = change.times
    rows = rows[rows["date"].between(begin, end, inclusive="left")]
    is_after, has_emotion = rows["date"] >= when, rows["emotion"] == change.emotion
    counts = pd.DataFrame({"after": is_after, "emotion": has_emotion, "both": is_after & has_emotion, "all": 1})
    after, emotion, both, total = counts.groupby(rows["product"]).sum().to_numpy(np.float64).T
    expected = after * emotion / total
    variance = expected * (total - after) * (total - emotion) / total / np.maximum(total - 1, 1)
    z = (both - expected).sum() / max(variance.sum(), 1e-12) ** 0.5
    return norm.sf(z if change.difference > 0 else -z) < significance


def _words(rows: pd.DataFrame, change: Any) -> list[str]:
    """Words that distinguish an emotion's texts, on the side of a ``change`` with more, from the product's others."""
    product_rows = rows if change.product == ALL else rows[rows["product"] == change.product]
    begin, end = change.times[1:] if change.difference > 0 else change.times[:2]
    is_typical = product_rows["date"].between(begin, end, inclusive="left")
    is_typical = (is_typical & (product_rows["emotion"] == change.emotion)).to_numpy()
    return distinctive_words(product_rows, is_typical, ~is_typical)[0]
