"""The forecast a person meets: why adds up, what is held is held, and nothing else moves without reason."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from dfslab.errors import UserError
from dfslab.ownership import forecast
from dfslab.rules import ContestRules
from dfslab.slate import Slate

RULES = ContestRules(roster_size=3, salary_cap=25_000)
FRAME = pd.DataFrame(
    {
        "driver": [f"Driver {c}" for c in "ABCDEFGHIJKL"],
        "salary": [11500, 10800, 10100, 9600, 9000, 8400, 7900, 7300, 6900, 6400, 6000, 5500],
        "projected_points": [44, 46, 39, 40, 33, 36, 30, 31, 20, 27, 12, 9],
        "start": [2, 9, 1, 12, 3, 4, 7, 11, 5, 6, 8, 10],
        "out": [False] * 11 + [True],
    }
)
SLATE = Slate.from_frame(FRAME, rules=RULES)


def made(frame=FRAME, **options):
    slate = Slate.from_frame(frame, rules=RULES)
    return forecast(slate, n_draws=50, rng=np.random.default_rng(3), **options)


@pytest.mark.parametrize("vendor", [False, True])
def test_the_rows_of_why_add_up_to_the_forecast(vendor):
    own = [0.4, 0.5, 0.4, 0.35, 0.3, 0.3, 0.2, 0.2, 0.15, 0.1, 0.1, np.nan]
    crowd = made(FRAME.assign(projected_ownership=own) if vendor else FRAME)
    for driver in ("Driver A", "Driver F", "Driver K"):
        rows, own = crowd.why(driver), crowd.ownership[driver]
        assert rows["ownership"].sum() == pytest.approx(own, abs=1e-6)
        assert rows["log_odds"].sum() == pytest.approx(np.log(own / (1 - own)), abs=1e-6)
    assert ("vendor" in set(rows["input"])) == vendor


def test_a_better_projection_is_what_why_credits():
    better = FRAME.assign(projected_points=FRAME["projected_points"] + 15 * (FRAME["driver"] == "Driver H"))
    before, after = (made(frame).why("Driver H").set_index("input")["log_odds"] for frame in (FRAME, better))
    gain = after - before
    assert gain["points"] > 0.3
    assert gain["fictitious entrants"] > 0.1
    assert gain[["salary", "start"]].abs().max() < 0.1 * gain["points"]


def test_the_average_driver_is_owned_as_often_as_legal_lineups_hold_him():
    racing = FRAME[~FRAME["out"]]
    legal = [c for c in combinations(range(11), 3) if racing["salary"].iloc[list(c)].sum() <= RULES.salary_cap]
    share = np.mean([4 in lineup for lineup in legal])
    assert made().why("Driver E").set_index("input").loc["average driver", "ownership"] == pytest.approx(share)


def test_a_held_driver_is_held_in_forecast_and_draws_and_all_still_sums():
    crowd = made()
    held = crowd.given({"Driver A": 0.45, "Driver H": 0.1})
    rows = SLATE.rows(["Driver A", "Driver H"])
    np.testing.assert_allclose(held.ownership[["Driver A", "Driver H"]], [0.45, 0.1], atol=1e-8)
    np.testing.assert_allclose(held.draws[:, rows], np.tile([0.45, 0.1], (50, 1)), atol=1e-8)
    np.testing.assert_allclose(held.draws.sum(axis=1), 3)
    assert held.draws[:, SLATE.out].max() == 0
    assert crowd.ownership.sum() == pytest.approx(3) == held.ownership.sum()


def test_holding_a_driver_where_he_is_changes_nothing():
    crowd = made()
    same = crowd.given({"Driver C": crowd.ownership["Driver C"]})
    np.testing.assert_allclose(same.ownership, crowd.ownership, atol=1e-8)


def test_holding_two_drivers_one_after_the_other_is_holding_both():
    crowd = made()
    together = crowd.given({"Driver A": 0.3, "Driver B": 0.4})
    step_by_step = crowd.given({"Driver A": 0.3}).given({"Driver B": 0.4})
    np.testing.assert_allclose(step_by_step.ownership, together.ownership, atol=1e-8)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"Driver A": 45}, "fraction"),
        ({"Driver L": 0.1}, "does not race"),
        ({"Driver Z": 0.1}, "not on the slate"),
        ({"Driver A": 0.97, "Driver B": 0.97, "Driver C": 0.97}, "no mix of legal lineups"),
    ],
)
def test_what_cannot_be_held_is_refused_in_a_sentence(shares, said):
    with pytest.raises(UserError, match=said):
        made().given(shares)


def test_a_driver_who_does_not_race_has_no_reasons():
    with pytest.raises(UserError, match="does not race"):
        made().why("Driver L")


def test_the_forecast_says_itself_in_a_line():
    assert repr(made()).startswith("OwnershipForecast(12 drivers, 50 draws: Driver ")
    assert "<table" in made()._repr_html_()
