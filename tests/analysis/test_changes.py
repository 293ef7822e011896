"""Dates in their usual forms, and what changed over time."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from answered_rows import frame_of, three_months

from tf_model.analysis import changes as changes_module
from tf_model.analysis.changes import by_period, find_changes, find_dates, periods_of
from tf_model.evaluation.metrics import wilson_interval
from tf_model.tasks import EMOTIONS, NEGATIVE, POSITIVE

UTC = ("times with an offset were converted to UTC",)


def dates_of(*cells, name="created_at"):
    return find_dates(pd.DataFrame({"id": range(len(cells)), name: cells}))


@pytest.mark.parametrize(
    ("cells", "time", "notes"),
    [
        (["2011-03-12", "2011-04-01"], "2011-03-12", ()),
        (["2011-03-12T10:00:00+02:00", "2011-03-12 10:00"], "2011-03-12 08:00", UTC),
        (["2011-03-12 10:00:00+02", "2011-03-12 10:00:00.5+02"], "2011-03-12 08:00", UTC),
        (["2011-03-12T10+02:00"], "2011-03-12 08:00", UTC),
        (["2011-03-12 10+02"], "2011-03-12 08:00", UTC),
        (["2011-03-12T100000+0200", "2011-03-12T1000+0200"], "2011-03-12 08:00", UTC),
        (["31-03-2011", "30-03-2011"], "2011-03-31", ()),
        (["2011-03-12 10:00:00 UTC", "2011-03-13T10:00:00.5Z"], "2011-03-12 10:00", UTC),
        (["12.03.2011", "1.4.2011 10:15"], "2011-03-12", ()),
        (["03/12/2011 1:05 PM", "03/31/2011 12:01 AM"], "2011-03-12 13:05", ()),
        (["12/03/2011", "31/03/2011"], "2011-03-12", ()),
        (["12-03-2011 18:00", "31-03-2011 9:00"], "2011-03-12 18:00", ()),
        (["03/12/11", "3/31/11 1:05 pm"], "2011-03-12", ()),
        (["2011/03/12", "2011/04/01 10:15"], "2011-03-12", ()),
        (["12 Mar 2011", "1-April-2011"], "2011-03-12", ()),
        (["12.03.11", "31.03.11 10:15", "12-Mar-11"], "2011-03-12", ()),
        (["March 12, 2011", "Apr 1, 2011, 10:15"], "2011-03-12", ()),
        (["Sat Mar 12 10:00:00 +0000 2011"] * 2, "2011-03-12 10:00", UTC),
        (["1299924000", "1299924000.0"], "2011-03-12 10:00", UTC),
        ([1299924000000, 1299924000001], "2011-03-12 10:00", UTC),
        ([pd.Timestamp("2011-03-12 10:00", tz="Europe/Berlin")] * 2, "2011-03-12 09:00", UTC),
    ],
)
def test_a_date_in_each_usual_form(cells, time, notes):
    dates = dates_of(*cells)
    assert (dates.column, dates.notes) == ("created_at", notes)
    assert dates.values[0] == pd.Timestamp(time)
    assert dates.values.notna().all()


def test_what_cannot_be_used_is_counted_and_said():
    dates = dates_of("2024-01-02", "2999-01-01", "", None, "soon", "1.1.0000", "03.01.2024", "2024-01-05T00Z")
    assert dates.values.notna().tolist() == [True, *[False] * 5, True, True]
    assert dates.notes == (
        *UTC,
        "2 rows without a date",
        "2 rows with an unreadable date",
        "1 row with a date in the future, left out",
    )
    assert dates_of(str(pd.Timestamp.now("UTC") + pd.Timedelta(hours=14))).notes == UTC, "today, farther east"
    assert dates_of("24/06/03", "24/06/05").notes == ("years of two digits: the dates were read as day/month/year",)
    exchanged = dates_of(datetime(2024, 5, 6), datetime(2024, 12, 6), "13/06/2024", "30/06/2024").notes[0]
    assert exchanged.startswith("13/06/2024 is text, and no other date has a day above 12: a spreadsheet may have")
    assert not dates_of(datetime(2024, 5, 6), datetime(2024, 6, 13), "14/06/2024").notes


@pytest.mark.parametrize(
    ("cells", "read_as", "months"),
    [
        (("01/02/2024", "03/04/2024"), "month/day/year", [1, 3]),
        (("03/06/2024", "04/06/2024", "05/06/2024"), "day/month/year", [6, 6, 6]),
        (("06/03/24", "06/04/24"), "month/day/year", [6, 6]),
        (("01/01/2024", "02/01/2024", "03/01/2024"), "month/day/year", [1, 2, 3]),  # the first of each month
        (("01/01/2024 9:30", "02/01/2024 9:31"), "day/month/year", [1, 1]),
        (("01/01/2024 00:00", "02/01/2024 00:00:00"), "month/day/year", [1, 2]),
        (("01/01/2024 12:00 AM", "02/01/2024 12:00 AM"), "month/day/year", [1, 2]),
        (("01/01/2024 00:00:30", "02/01/2024 00:00:00"), "day/month/year", [1, 1]),
    ],
)
def test_ambiguous_dates_are_read_in_the_likelier_order(cells, read_as, months):
    dates = dates_of(*cells)
    remedy = "if that is wrong, write them as 2024-06-03"
    assert dates.notes == (f"the dates are ambiguous, and were read as {read_as}; {remedy}",)
    assert dates.values.dt.month.tolist() == months


@pytest.mark.parametrize(
    ("cells", "read_as"),
    [
        (("13/02/2024", "14/02/2024", "03/04/2024", "02/15/2024"), "day/month/year"),
        (("13/02/2024", "03-04-2024", "02-15-2024", "02/16/2024"), "month/day/year"),
    ],
)
def test_two_orders_of_day_and_month_in_one_column_are_said(cells, read_as):
    forms = "both day/month/year and month/day/year occur"
    words = f"{forms}: all were read as {read_as}, so dates of the other form are wrong or unreadable"
    assert dates_of(*cells).notes == (words, "1 row with an unreadable date")
    assert dates_of("13/13/2024", "13/02/2024", "14/02/2024").notes == ("1 row with an unreadable date",)


def test_a_column_with_a_usual_name_is_named_even_if_it_cannot_be_read():
    dates = dates_of("12.5", "2024", "", "later", name="day")
    assert (dates.column, dates.notes) == ("day", ("1 row without a date", "3 rows with an unreadable date"))
    assert dates.values.isna().all()
    table = pd.DataFrame({"day": ["Monday", "Sunday"], "when": ["2024-01-01", "2024-01-02"]})
    assert find_dates(table).column == "when"


def test_other_columns_are_not_taken_for_dates():
    assert dates_of("1299924000", "1299924001", name="customer") is None
    assert dates_of("12.5", "2024", "soon", "later", name="mood") is None
    assert dates_of("2.1.10", "2.1.11", name="app_version") is None
    table = pd.DataFrame({"updated": ["2024-01-01"], "text": ["2024-01-01"], "posted_at": ["2024-01-03"]})
    assert find_dates(table).column == "posted_at"
    table = pd.DataFrame({"deleted_at": ["2024-01-01", None], "submitted": ["2024-01-02", "2024-01-03"]})
    assert find_dates(table).column == "submitted"
    for placeholder in ("0001-01-01", "1970-01-01 00:00:00", "9999-12-31"):
        table = pd.DataFrame({"edited_at": [placeholder] * 2, "submitted": ["2024-01-02", "2024-01-03"]})
        assert find_dates(table).column == "submitted"
    assert dates_of("iPad", "Google", name="emotion_in_tweet_is_directed_at") is None


def test_shares_by_period_have_wilsons_band():
    rows = three_months()
    for period, periods in (("day", 91), ("week", 13), ("month", 3)):
        table = by_period(rows, EMOTIONS, period)
        own = table[(table["product"] == "iPhone") & (table["emotion"] == NEGATIVE)]
        assert len(own) == periods
        assert own["texts"].sum() == (rows["product"] == "iPhone").sum()
        line = own.iloc[1]
        assert (line["low"], line["high"]) == pytest.approx(wilson_interval(line["count"], line["texts"]))
    assert own["start"].tolist() == list(pd.date_range("2024-04-01", periods=3, freq="MS"))
    assert by_period(rows[rows["emotion"] != NEGATIVE], (NEGATIVE,))["share"].eq(0).all()


def test_a_week_without_texts_is_a_gap_and_moves_no_change():
    rows = three_months()
    is_gone = (rows["product"] == "iPhone") & rows["date"].between("2024-05-06", "2024-05-19 23:59")
    table = by_period(rows[~is_gone], (NEGATIVE,))
    own = table[table["product"] == "iPhone"].set_index("start")
    assert own.index.tolist() == list(pd.date_range("2024-04-01", periods=13, freq="7D"))
    empty = own.loc[["2024-05-06", "2024-05-13"]]
    assert empty[["texts", "count"]].eq(0).all(axis=None)
    assert empty[["share", "low", "high"]].isna().all(axis=None)
    assert own.drop(empty.index)["share"].notna().all()
    is_gone |= (rows["product"] == "iPhone") & rows["date"].between("2024-04-22", "2024-04-28 23:59")
    changes = find_changes(rows[~is_gone], (NEGATIVE,)).sort_values("when")
    assert changes["when"].dt.strftime("%Y-%m-%d").tolist() == ["2024-04-29", "2024-06-03"]


def test_a_bad_month_is_found_with_the_words_of_its_texts():
    rows = three_months()
    changes = find_changes(rows, (NEGATIVE, POSITIVE))
    negative = changes[changes["emotion"] == NEGATIVE].sort_values("when")
    assert negative["product"].tolist() == ["iPhone", "iPhone"]  # and not also for all products
    assert negative["when"].dt.strftime("%Y-%m-%d").tolist() == ["2024-04-29", "2024-06-03"]
    rise, fall = negative.itertuples()
    assert rise.before < 0.1 < 0.25 < rise.after
    assert 0 < rise.low < rise.difference < rise.high
    assert fall.difference < 0
    assert rise.words[:2] == fall.words[:2] == ["battery", "dies"]
    assert "iPad" not in set(changes["product"])
    [first, *others] = find_changes(rows, (NEGATIVE, POSITIVE), described=1)["words"]
    assert first == changes["words"][0]
    assert others == [[]] * (len(changes) - 1)


def test_a_change_of_all_products_at_another_time_than_that_of_one_is_found_too():
    days = pd.Series(pd.date_range("2024-04-01", periods=40).repeat(80))
    emotion_ids, product = (
        np.ones(3200, int),
        np.array([f"brand {number}" for number in range(20)])[np.arange(3200) % 20],
    )
    day, position = np.divmod(np.arange(3200), 80)
    emotion_ids[(day >= 30) & (position % 10 == day % 10)] = EMOTIONS.index(NEGATIVE)  # all brands a little
    emotion_ids[(product == "brand 0") & (day >= 10)] = EMOTIONS.index(NEGATIVE)
    changes = find_changes(frame_of(emotion_ids, product, dates=days), (NEGATIVE,), period="day")
    found = dict(zip(changes["product"], changes["when"].dt.strftime("%Y-%m-%d"), strict=True))
    assert found == {"brand 0": "2024-04-11", "all products": "2024-05-01"}


@pytest.mark.parametrize("seed", range(4))
def test_a_change_of_one_product_is_not_said_of_all_products_too(seed):
    changes = find_changes(three_months(seed, count=3000), (NEGATIVE,))
    assert set(changes["product"]) == {"iPhone"}


def test_a_small_change_of_all_products_is_found_where_no_product_changed():
    days = pd.Series(pd.date_range("2024-04-01", periods=2).repeat(30))
    emotion_ids = np.array([1] * 55 + [0] * 5)
    [change] = find_changes(frame_of(emotion_ids, ["iPad", "iPhone"] * 30, dates=days), (NEGATIVE,)).itertuples()
    assert (change.product, change.before, change.after) == ("all products", 0, 5 / 30)


def test_a_product_that_becomes_more_frequent_changes_no_share_of_all_products():
    generator = np.random.default_rng(0)
    days = pd.Series(pd.date_range("2024-01-01", periods=84).repeat(18))
    is_ipad = generator.random(len(days)) < np.where(days < pd.Timestamp("2024-02-12"), 0.8, 0.2)
    emotion_ids = np.where(generator.random(len(days)) < np.where(is_ipad, 0.1, 0.45), EMOTIONS.index(NEGATIVE), 1)
    rows = frame_of(emotion_ids, np.where(is_ipad, "iPad", "iPhone"), dates=days)
    assert find_changes(rows, (NEGATIVE, POSITIVE)).empty


def test_texts_without_a_date_change_nothing():
    rows = three_months()
    undated = rows[rows["text"] == "battery dies"].assign(date=pd.NaT)
    undated.index += len(rows)
    expected = find_changes(rows, (NEGATIVE,))
    pd.testing.assert_frame_equal(find_changes(pd.concat([rows, undated]), (NEGATIVE,)), expected)


def test_a_month_that_was_a_little_worse_is_found_though_neither_point_is_sure_alone():
    changes = find_changes(three_months(1, jump=0.1), (NEGATIVE, POSITIVE))
    assert changes["when"].dt.strftime("%Y-%m-%d").tolist() == ["2024-06-03", "2024-04-29"]
    assert set(changes["product"] + changes["emotion"]) == {f"iPhone{NEGATIVE}"}
    assert (changes["low"] * changes["high"] > 0).all()


def test_chance_is_no_change():
    claimed = [len(find_changes(three_months(seed, jump=0), (NEGATIVE, POSITIVE))) for seed in range(20)]
    assert np.count_nonzero(claimed) <= 2


def test_no_change_is_claimed_of_fewer_than_thirty_texts():
    days = pd.Series(pd.date_range("2024-04-01", periods=2).repeat([100, 29]))
    emotion_ids = np.array([1] * 100 + [0] * 29)
    assert find_changes(frame_of(emotion_ids, "iPad", dates=days), (NEGATIVE,)).empty
    more = pd.concat([days, days.tail(1)], ignore_index=True)
    assert len(find_changes(frame_of(np.append(emotion_ids, 0), "iPad", dates=more), (NEGATIVE,))) == 1


@pytest.mark.parametrize("placeholder", ["0001-01-01T00:00:00", "1900-01-01", "1970-01-01", "1.1.0001"])
def test_a_date_that_stands_for_none_does_not_stretch_the_time(placeholder):
    dates = dates_of("2024-05-01", "2024-05-09", "2024-05-20", placeholder)
    assert dates.notes == ("1 row with a date before 1990, left out",)
    assert changes_module.period_of(dates.values) == "day"


@pytest.mark.parametrize(
    ("days", "texts", "periods"),
    [
        (30, 10, ["day", "week", "month"]),
        (100, 2_000, ["week", "month"]),
        (100, 3_000, ["day", "week", "month"]),
        (200, 60_000, ["week", "month"]),
        (700, 1_000, ["month"]),
        (700, 4_000, ["week", "month"]),
    ],
)
def test_the_number_of_texts_decides_which_periods_are_offered(days, texts, periods):
    dates = pd.Series(pd.date_range("2024-01-01", periods=days)[np.arange(texts) * days // texts])
    assert periods_of(dates) == periods
