"""The points tables against the published ones, and the units of scores."""

import numpy as np
import pandas as pd
import pytest

from dfslab import rules

# Points by finish as DraftKings prints them in its rules of the game.
PRINTED = {1: 45, 2: 42, 3: 41, 10: 34, 11: 32, 20: 23, 21: 21, 30: 12, 31: 10, 40: 1, 41: 0, 43: 0}
PRINTED_2019 = {1: 46, 2: 42, 3: 41, 10: 34, 11: 33, 20: 24, 40: 4, 43: 1, 44: 0}


def _score(scoring, start, finish, led=0, fast=0):
    row = pd.DataFrame({"start": [start], "finish": [finish], "laps_led": [led], "fastest_laps": [fast]})
    return rules.fantasy_points(row, scoring).iloc[0]


@pytest.mark.parametrize(
    ("table", "printed"), [(rules.DRAFTKINGS_NASCAR, PRINTED), (rules.DRAFTKINGS_NASCAR_2019, PRINTED_2019)]
)
def test_finish_points_are_the_printed_table(table, printed):
    for place, points in printed.items():
        assert _score(table.scoring, place, place) == points
        assert rules.finish_points(table.scoring, 50)[place - 1] == points


def test_a_worked_example_of_each_table():
    assert _score(rules.DRAFTKINGS_NASCAR.scoring, 12, 3, 40, 20) == 41 + 9 + 10 + 9
    assert _score(rules.DRAFTKINGS_NASCAR_2019.scoring, 3, 12, 40, 20) == 32 - 9 + 10 + 10


def test_a_missing_value_is_missing_points_not_zero():
    assert np.isnan(_score(rules.DRAFTKINGS_NASCAR.scoring, np.nan, 3))
    assert np.isnan(_score(rules.DRAFTKINGS_NASCAR.scoring, 3, np.nan))


def test_rules_change_with_the_date():
    assert rules.rules_on("2019-11-17") is rules.DRAFTKINGS_NASCAR_2019
    assert rules.rules_on("2020-02-16") is rules.DRAFTKINGS_NASCAR
    assert rules.rules_on("2019-11-17T20:00:00Z") is rules.DRAFTKINGS_NASCAR_2019


def test_ticks_make_equal_scores_equal():
    assert rules.DRAFTKINGS_NASCAR.to_ticks(238.65001) == rules.DRAFTKINGS_NASCAR.to_ticks(238.65) == 4773
