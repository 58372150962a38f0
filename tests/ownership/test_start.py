"""What forecasts of NASCAR start from: recovery by track family and kind of contest, and of what is not known."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from dfslab.errors import UserError
from dfslab.ownership import HybridOwnershipEstimator, OptimizerOwnership, score_cold_start
from dfslab.ownership import _features as evidence
from dfslab.ownership._board import ContestBoard
from dfslab.ownership._entrants import exposures
from dfslab.ownership._fit import Case, Prior, fit_log_worths, temperature
from dfslab.ownership._start import fit_start
from dfslab.rules import ContestRules
from dfslab.slate import Contest, Race, Slate

RULES = ContestRules(roster_size=3, salary_cap=25_000)
NAMES = np.array([f"Driver {c}" for c in "ABCDEFGHIJKL"], object)
SALARY = np.array([11500, 10800, 10100, 9600, 9000, 8400, 7900, 7300, 6900, 6400, 6000, 5500])
ASSUMED = replace(Prior.shipped("assumed"), lineups_per_contest=2500)
"""Priors as wide as a contest of many lineups makes them: recovery is of what the data say."""
LEGAL = np.array([c for c in combinations(range(12), 3) if SALARY[list(c)].sum() <= RULES.salary_cap])


def board(week, theta_of, **more) -> ContestBoard:
    """Return a contest of a race in some week whose ownership is that of the law of `theta_of(board)`."""
    rng = np.random.default_rng(week)
    points = 30 + 12 * rng.standard_normal(12)
    columns = {"projected_points": points, "model_points": points}
    date = pd.Timestamp("2026-03-01") + pd.Timedelta(weeks=week)
    more = {"track_type": ("superspeedway", "intermediate")[week % 2], "columns": columns, "entries": 1000.0} | more
    made = ContestBoard(NAMES, SALARY, RULES, date, contest_id=f"c{week}", **more)
    return replace(made, ownership=made.law(theta_of(made)).marginals())


def by_family(made) -> np.ndarray:
    """Return log-worths that read points twice as much on superspeedways, and cash contests 1.6 times as sharp."""
    slope = 1.2 if made.track_type == "superspeedway" else 0.6
    points = evidence.projection(made)[:, 0]
    price = 50 * SALARY / RULES.salary_cap - 6
    return temperature(made, ASSUMED) * (slope * points + 0.2 * price)


def test_effects_are_recovered_by_track_family():
    fitted = fit_start([board(week, by_family) for week in range(12)], ASSUMED)
    points, family, _ = (mean for mean, _ in fitted.coefficients["projection/projection"])
    assert points == pytest.approx(0.9, abs=0.15)
    assert family == pytest.approx(0.6, abs=0.2)


def test_few_races_shrink_the_families_together():
    few, many = (fit_start([board(week, by_family) for week in range(n)], Prior.shipped("assumed")) for n in (2, 12))
    (_, one, _), (_, other, _) = (
        [mean for mean, _ in fitted.coefficients["projection/projection"]] for fitted in (few, many)
    )
    assert 0 < one < other < 0.6


def test_a_cash_contest_is_sharper_and_its_scale_is_recovered():
    tournament, cash = board(1, by_family), board(1, by_family, kind="cash")
    assert temperature(cash, ASSUMED) == pytest.approx(1.6 * temperature(tournament, ASSUMED))
    assert cash.ownership.max() > tournament.ownership.max()
    worth = temperature(tournament, ASSUMED) * 0.6 * evidence.projection(tournament)[:, :1]
    design = np.column_stack([worth, by_family(tournament) - worth[:, 0]])
    scale = fit_log_worths([Case(cash, design)], np.zeros(2), np.full(2, 1e-9))
    np.testing.assert_allclose(scale, 1.6, atol=0.01)


def test_a_forecast_of_a_cash_contest_is_sharper():
    slate = Slate.from_frame(pd.DataFrame({"driver": NAMES, "salary": SALARY, "start": range(1, 13)}), rules=RULES)
    paid = [{"min_rank": 1, "max_rank": 100, "prize": 20.0}], [{"min_rank": 1, "max_rank": 20, "prize": 90.0}]
    cash, tournament = (HybridOwnershipEstimator(RULES).fit().predict(slate, Contest(10.0, 220, p)) for p in paid)
    assert cash.std() > 1.2 * tournament.std()


def test_the_unknown_enter_by_expectation_as_in_brute_force():
    """The fit is a fixed point of its own expectation: known drivers as they are, the others as the law shares."""
    made = board(3, by_family)
    seen = np.argsort(-made.ownership)[:5]
    hidden = replace(made, ownership=np.where(np.isin(range(12), seen), made.ownership, np.nan))
    design = np.column_stack([evidence.projection(made)[:, 0], SALARY / 1000 - 8])
    found = fit_log_worths([Case(hidden, design)], np.zeros(2), np.full(2, 0.05))

    def marginals(beta):
        weight = np.exp((design @ beta)[LEGAL].sum(axis=1))
        return np.bincount(LEGAL.ravel(), np.repeat(weight / weight.sum(), 3), 12)

    own = marginals(found)
    left = 3 - made.ownership[seen].sum()
    other = ~np.isin(range(12), seen)
    filled = np.where(other, own * left / own[other].sum(), made.ownership)

    def loss(beta):
        theta = design @ beta
        return np.log(np.exp(theta[LEGAL].sum(axis=1)).sum()) - filled @ theta + 0.025 * beta @ beta

    np.testing.assert_allclose(found, minimize(loss, found).x, atol=5e-3)


# ---------------------------------------------------------------- which figures a forecast starts from


def test_a_race_starts_from_nascar_and_another_slate_does_not():
    frame = pd.DataFrame({"driver": NAMES, "salary": SALARY})
    race = Race("r", "2026-05-01", "Track", "short", 0.5, 400)
    plain, raced = Slate.from_frame(frame, rules=RULES), Slate.from_frame(frame, rules=RULES, race=race)
    own = {start: HybridOwnershipEstimator(RULES, start=start).fit() for start in ("auto", "nascar", "neutral")}
    np.testing.assert_allclose(own["auto"].predict(plain), own["neutral"].predict(plain))
    np.testing.assert_allclose(own["auto"].predict(raced), own["nascar"].predict(raced))
    assert np.abs(own["nascar"].predict(plain) - own["neutral"].predict(plain)).max() > 0.01
    with pytest.raises(UserError, match="choose one of auto, nascar, neutral"):
        HybridOwnershipEstimator(RULES, start="golf")


def test_places_of_the_simulator_are_no_part_of_a_persons_points():
    made = board(2, by_family)
    columns = made.columns | {"place_points": np.arange(12.0), "dominator_points": np.arange(12.0)}
    own = replace(made, columns=columns)
    told = replace(made, columns=columns | {"projected_points": columns["model_points"] + 1.0})
    for name in ("place_value", "dominator_value"):
        feature = evidence.FEATURES[name][1]
        np.testing.assert_allclose(feature(own)[:, 0], (np.arange(12) - 5.5) / 10)
        assert feature(told) is None


# ---------------------------------------------------------------- fictitious entrants


def test_entrants_hold_what_the_best_lineups_hold():
    made = board(2, by_family)
    held = exposures(made)
    assert held.sum() == pytest.approx(3)
    points = made.column("projected_points")
    best = LEGAL[np.argsort(-points[LEGAL].sum(axis=1))[:20]]
    share = np.bincount(best.ravel(), minlength=12) / 20
    assert np.corrcoef(held, share)[0, 1] > 0.9


def test_entrants_need_points_that_differ():
    made = board(2, by_family)
    assert evidence.entrants(made) is not None
    assert evidence.entrants(replace(made, columns={})) is None
    level = 30 + 0.01 * made.column("projected_points")
    assert evidence.entrants(replace(made, columns={"projected_points": level})) is None


def test_a_better_projection_is_owned_more_by_entrants():
    frame = pd.DataFrame({"driver": NAMES, "salary": SALARY, "projected_points": 46 - 3.0 * np.arange(12)})
    better = frame.assign(projected_points=frame["projected_points"] + 12 * (frame["driver"] == "Driver H"))
    fitted = OptimizerOwnership(RULES).fit()
    before, after = (fitted.predict(Slate.from_frame(f, rules=RULES))["Driver H"] for f in (frame, better))
    assert after > before + 0.02


# ---------------------------------------------------------------- scores of races left out


@pytest.fixture(scope="module")
def contests() -> list[pd.DataFrame]:
    """Return four contests of four races, of the last of which half of the drivers are known."""
    parts = []
    for made in (board(week, by_family) for week in range(4)):
        known = made.ownership > np.median(made.ownership)
        own = np.where(known, made.ownership, np.nan) if made.contest_id == "c3" else made.ownership
        columns = {"driver": NAMES, "salary": SALARY, "ownership": own, "start": np.arange(12) + 1, **made.columns}
        facts = {"contest_id": made.contest_id, "date": made.date, "track_type": made.track_type, "entries": 1000}
        parts.append(pd.DataFrame({**facts, **columns, "kind": "tournament"}).assign(projected_points=np.nan))
    return parts


def test_a_race_helps_to_fit_nothing_that_it_is_scored_by(contests):
    spoiled = [c.assign(ownership=c["ownership"].to_numpy()[::-1]) if k == 1 else c for k, c in enumerate(contests)]
    first, again = (
        score_cold_start(pd.concat(parts), n_draws=20, rules=RULES).drivers for parts in (contests, spoiled)
    )
    forecasts = [d[d["model"] == "hybrid"].set_index(["case", "driver"])["forecast"] for d in (first, again)]
    np.testing.assert_array_equal(*(f["c1"] for f in forecasts))
    assert np.abs(forecasts[0]["c0"] - forecasts[1]["c0"]).max() > 1e-3


def test_scores_of_races_left_out_are_those_of_the_forecasts(contests):
    parts = contests
    scored = score_cold_start(pd.concat(parts, ignore_index=True), n_draws=50, rules=RULES)
    table = scored.scores.set_index(["case", "model"])
    errors = table[table["score"] == "mean error"]["value"]
    assert "4 contests of 4 days" in repr(scored)
    assert errors["c0", "hybrid"] < errors["c0", "uniform"]
    uniform = 100 * np.abs(parts[0]["ownership"] - 3 / 12).mean()
    assert errors["c0", "uniform"] == pytest.approx(uniform)
    (least,) = table[table["score"] == "least mean error"].loc[[("c3", "uniform")], "value"]
    assert table.loc[[("c3", "uniform")], "known"].eq(6).all()
    seen = parts[3]["ownership"].dropna()
    off = 100 * (np.abs(seen - 0.25).sum() + abs(0.25 * 6 - (3 - seen.sum()))) / 12
    assert least == pytest.approx(off)
