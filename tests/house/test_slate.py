"""Slates and contests: what is accepted, what is refused and with which words."""

import numpy as np
import pandas as pd
import pytest

from dfslab.errors import UserError
from dfslab.rules import ContestRules
from dfslab.slate import Contest, Race, Slate, SlateError


def _frame(n=8, **columns):
    return pd.DataFrame(
        {"driver": [f"Driver {i}" for i in range(n)], "salary": [6000 + 500 * i for i in range(n)], **columns}
    )


def test_rows_keep_their_order_and_names():
    slate = Slate.from_frame(_frame().iloc[::-1])
    assert list(slate.names) == [f"Driver {i}" for i in range(7, -1, -1)]
    assert slate.salary.tolist() == [6000 + 500 * i for i in range(7, -1, -1)]
    assert not slate.out.any()


def test_input_is_not_modified():
    frame = _frame()
    before = frame.copy()
    Slate.from_frame(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_a_series_is_aligned_by_driver_and_a_vector_is_not():
    slate = Slate.from_frame(_frame())
    values = pd.Series(np.arange(8.0), index=slate.names).iloc[::-1]
    assert slate.align(values).tolist() == list(range(8))
    assert slate.align(np.arange(8.0)[::-1]).tolist() == list(range(7, -1, -1))
    with pytest.raises(SlateError, match="no value for Driver 3"):
        slate.align(values.drop("Driver 3"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="salary"), "'salary' is missing"),
        (lambda f: f.assign(salary=[0, *f["salary"][1:]]), "Driver 0 has no salary"),
        (lambda f: f.assign(driver=["Driver 1", *f["driver"][1:]]), "Driver 1 is listed twice"),
        (lambda f: f.iloc[:5], "5 drivers race"),
        (lambda f: f.assign(salary=20_000), "above the cap of"),
    ],
)
def test_bad_rows_are_named(change, words):
    with pytest.raises(SlateError, match=words):
        Slate.from_frame(change(_frame()))


def test_drivers_who_are_out_stay_rows_but_do_not_start():
    slate = Slate.from_frame(_frame(out=[True] + [False] * 7))
    assert slate.out.tolist() == [True] + [False] * 7
    assert "Driver 0" not in set(slate.starters["driver"])
    assert len(slate) == 8


def test_groups_without_a_number_stand_alone():
    slate = Slate.from_frame(_frame(group=["a", "a", "b", "b", None, None, "c", "c"]))
    groups = slate.groups
    assert groups[0] == groups[1] != groups[2]
    assert len(set(groups)) == 5


def test_a_date_is_anything_pandas_reads():
    race = Race("x", "5 March 2023", "Las Vegas", "intermediate", "1.5", 267.0)
    assert race.date == pd.Timestamp("2023-03-05") and race.sched_laps == 267


LADDER = [{"min_rank": 1, "max_rank": 1, "prize": 50.0}, {"min_rank": 2, "max_rank": 4, "prize": 10.0}]


def test_prizes_by_rank_are_in_cents_and_add_up_to_the_pool():
    contest = Contest(10, 9, LADDER)
    assert contest.prizes.tolist() == [5000, 1000, 1000, 1000, 0, 0, 0, 0, 0]
    assert contest.pool == 80.0 and contest.rake == pytest.approx(1 - 80 / 90)


@pytest.mark.parametrize(
    ("ladder", "entries", "pool", "words"),
    [
        ([LADDER[0], {"min_rank": 1, "max_rank": 3, "prize": 1}], 9, None, "rank 1 comes where rank 2 is due"),
        ([LADDER[0], {"min_rank": 3, "max_rank": 3, "prize": 1}], 9, None, "rank 3 comes where rank 2 is due"),
        (LADDER, 3, None, "rank 4 is paid, the contest holds 3"),
        (LADDER, 9, 100, r"add up to \$80.00, the advertised pool is \$100.00"),
        ([{"min_rank": 1, "max_rank": 1, "prize": -5}], 9, None, "prize -5; .* 0 or more"),
        ([], 9, None, "min_rank"),
    ],
)
def test_ladders_that_do_not_add_up_are_refused_with_the_rank(ladder, entries, pool, words):
    with pytest.raises(SlateError, match=words):
        Contest(10, entries, ladder, pool=pool)


@pytest.mark.parametrize("blank", [None, np.nan, "", "  "])
def test_a_row_without_a_driver_is_named(blank):
    with pytest.raises(SlateError, match="row 8 has no driver"):
        Slate.from_frame(_frame().assign(driver=[*(f"Driver {i}" for i in range(7)), blank]))


def test_out_may_be_blank_and_odd_words_are_refused():
    told = [False, True, 0, 1, None, 1.0, np.nan]
    slate = Slate.from_frame(_frame(n=12).assign(out=[*told, *[np.nan] * 5]))
    assert slate.out.tolist() == [False, True, False, True, False, True, *[False] * 6]
    with pytest.raises(SlateError, match="out of Driver 2 is 'maybe'; give True or False"):
        Slate.from_frame(_frame(out=[False, False, "maybe", *[False] * 5]))


def test_a_column_of_text_says_which_cell_is_no_number():
    slate = Slate.from_frame(_frame(start=["1", "2", None, "4", "5", "6", "pole", "8"]))
    with pytest.raises(SlateError, match="start of Driver 6 is 'pole'; give a number"):
        slate.column("start")
    numbers = Slate.from_frame(_frame(start=["1", "2", None, "4", "5", "6", "7", "8"])).column("start")
    np.testing.assert_array_equal(numbers, [1, 2, np.nan, 4, 5, 6, 7, 8])


def test_values_may_be_a_dict_by_driver_but_no_driver_twice():
    slate = Slate.from_frame(_frame())
    assert slate.align({name: i for i, name in reversed(list(enumerate(slate.names)))}).tolist() == list(range(8))
    with pytest.raises(SlateError, match="own: Driver 0 comes twice"):
        slate.align(pd.Series(1.0, [*slate.names, "Driver 0"]), "own")


def _race(**changed):
    facts = {"date": "2023-03-05", "track_length_mi": 1.5, "sched_laps": 267, **changed}
    return Race(race_id="r", track="T", track_type="short", **facts)


@pytest.mark.parametrize("date", ["2023-03-05T20:30:00Z", "2023-03-05 23:30-05:00", "5 March 2023 15:00"])
def test_a_date_with_a_time_or_a_zone_is_the_day_there(date):
    assert _race(date=date).date == pd.Timestamp("2023-03-05")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"date": "soon"}, "race r: date is 'soon'; write it as 2025-04-13"),
        ({"date": None}, "race r: date is 'None'"),
        ({"sched_laps": 0}, "race r: sched_laps: 0 given; a whole number of at least 1"),
        ({"sched_laps": 26.5}, "sched_laps: 26.5 given"),
        ({"track_length_mi": 0}, "track_length_mi: 0 given; a number from 0.05 to 10"),
    ],
)
def test_facts_of_a_race_that_cannot_be_are_refused(changed, words):
    with pytest.raises(UserError, match=words):
        _race(**changed)


ONE_PRIZE = [{"min_rank": 1, "max_rank": 1, "prize": 20}]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ((-1, 5, ONE_PRIZE), "entry_fee: -1 given; a number from 0"),
        ((np.nan, 5, ONE_PRIZE), "entry_fee: nan given"),
        ((1, 5.5, ONE_PRIZE), "entries: 5.5 given; a whole number"),
        ((1, "many", ONE_PRIZE), "entries: many given; a whole number"),
        ((1, 5, ONE_PRIZE, 0), "max_entries_per_user: 0 given; a whole number of at least 1"),
        ((1, 5, ONE_PRIZE, 2.5), "max_entries_per_user: 2.5 given"),
        ((1, 5, [{"min_rank": 1, "max_rank": 1.5, "prize": 2}]), "min_rank 1, max_rank 1.5, prize 2; ranks are whole"),
        ((1, 5, [{"min_rank": 1, "max_rank": 1, "prize": np.inf}]), "prize inf"),
        ((1, 5, [{"min_rank": 1, "max_rank": 1, "prize": "ten"}]), "prize nan; ranks are whole numbers"),
    ],
)
def test_facts_of_a_contest_that_cannot_be_are_refused(facts, words):
    with pytest.raises(UserError, match=words):
        Contest(*facts)


def test_a_blank_limit_or_pool_is_none():
    contest = Contest(1, 5.0, ONE_PRIZE, np.nan, np.nan)
    assert contest.max_entries_per_user is None and contest.pool == 20 and contest.entries == 5


# --- verbs of the nouns -------------------------------------------------------------------------------------------


def test_lineups_are_shown_by_name_and_exposures_by_driver():
    slate = Slate.from_frame(pd.DataFrame({"driver": list("ABCD"), "salary": [5, 9, 7, 6]}), ContestRules(2, 20))
    lineups = [[0, 1], [1, 2], [0, 3]]
    assert slate.lineup_names(lineups).tolist() == ["B, A", "B, C", "D, A"]
    assert slate.exposure(lineups).to_dict() == pytest.approx({"A": 2 / 3, "B": 2 / 3, "C": 1 / 3, "D": 1 / 3})
    assert slate.exposure(np.empty((0, 2))).sum() == 0
    assert repr(slate) == "Slate(4 drivers, 0 of them out; 2 a lineup)"


@pytest.mark.parametrize(
    ("paid", "kind"), [(100, "cash"), (88, "tournament"), (92, "cash"), (91, "tournament"), (1, "tournament")]
)
def test_a_contest_that_pays_two_in_five_is_a_cash_game(paid, kind):
    contest = Contest(10, 229, [{"min_rank": 1, "max_rank": paid, "prize": 20}])
    assert contest.kind == kind


def test_a_contest_knows_who_may_enter_and_where_its_best_percent_ends():
    prizes = [{"min_rank": 1, "max_rank": 1, "prize": 50}]
    contest = Contest(1, 250, prizes, max_entries_per_user=20)
    assert (contest.entering(150), contest.entering(7)) == (20, 7)
    assert Contest(1, 250, prizes).entering(150) == 150
    assert (contest.top_ranks(), contest.top_ranks(0.1), Contest(1, 30, prizes).top_ranks()) == (3, 25, 1)
    assert repr(contest) == "Contest(tournament of 250 entries at $1.00, 20 a user: $50 for 1 ranks)"
