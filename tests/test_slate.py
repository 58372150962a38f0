"""Slates and contests: what is accepted, what is refused and with which words."""

import numpy as np
import pandas as pd
import pytest

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
        ([LADDER[0], {"min_rank": 1, "max_rank": 3, "prize": 1}], 9, None, "rank 1 is paid twice"),
        ([LADDER[0], {"min_rank": 3, "max_rank": 3, "prize": 1}], 9, None, "rank 2 has no prize"),
        (LADDER, 3, None, "rank 4 is paid, the contest holds 3"),
        (LADDER, 9, 100, r"add up to \$80.00, the advertised pool is \$100.00"),
        ([{"min_rank": 1, "max_rank": 1, "prize": -5}], 9, None, "cannot be negative"),
        ([], 9, None, "min_rank"),
    ],
)
def test_ladders_that_do_not_add_up_are_refused_with_the_rank(ladder, entries, pool, words):
    with pytest.raises(SlateError, match=words):
        Contest(10, entries, ladder, pool=pool)
