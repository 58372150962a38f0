"""Ownership forecasts against known truths: laws that made the data, brute force, conservation, no leakage."""

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit, softmax

from dfslab import metrics
from dfslab.errors import UserError
from dfslab.ownership import (
    HistoricalOwnership,
    HybridOwnershipEstimator,
    ProjectionOwnership,
    RecentFormOwnership,
    SalarySkillOwnership,
    forecast,
)
from dfslab.ownership import _features as evidence
from dfslab.ownership._board import ContestBoard, match_known, read_history
from dfslab.ownership._errors import Residuals, draw_ownership
from dfslab.ownership._evaluate import _scores, walk_forward
from dfslab.ownership._features import PastOwnership
from dfslab.ownership._fit import Case, Prior, fit_log_worths, log_score, temperature
from dfslab.ownership._hybrid import Pool, Rolled, fit_pool
from dfslab.rules import ContestRules
from dfslab.slate import Contest, Race, Slate

RULES = ContestRules(roster_size=3, salary_cap=25_000)
NAMES = np.array([f"Driver {c}" for c in "ABCDEFGHIJKL"], object)
SALARY = np.array([11500, 10800, 10100, 9600, 9000, 8400, 7900, 7300, 6900, 6400, 6000, 5500])
ALL_FOUR = (HistoricalOwnership, ProjectionOwnership, SalarySkillOwnership, RecentFormOwnership)
PRICE = SALARY / 1000
TASTE = np.random.default_rng(5).normal(0, 0.5, len(NAMES))


def board_with(theta, date="2024-01-01", **more) -> ContestBoard:
    """Return a contest whose ownership is that of the law `theta`."""
    board = ContestBoard(NAMES, SALARY, RULES, pd.Timestamp(date), **more)
    return replace(board, ownership=board.law(theta).marginals())


def history(n=8, *, seed=0, noise=0.3, **columns) -> pd.DataFrame:
    """Return weekly contests: salary, a lasting taste for each driver, and noise."""
    rng, frames = np.random.default_rng(seed), []
    for week in range(n):
        salary = SALARY + 100 * rng.integers(-5, 6, len(SALARY))
        board = ContestBoard(NAMES, salary, RULES, pd.Timestamp("2024-02-01") + pd.Timedelta(weeks=week))
        theta = 2.5 * salary / 1000 + TASTE + noise * rng.standard_normal(len(salary))
        rows = {"contest_id": f"c{week:02d}", "date": board.date, "driver": NAMES, "salary": salary}
        more = {name: make(rng, theta) for name, make in columns.items()}
        frames.append(pd.DataFrame({**rows, "ownership": board.law(theta).marginals(), **more}))
    return pd.concat(frames, ignore_index=True)


HISTORY = history()
FRAME = pd.DataFrame({"driver": NAMES, "salary": SALARY})
SLATE = Slate.from_frame(FRAME, rules=RULES)
FITTED = HybridOwnershipEstimator(RULES).fit(HISTORY)


def contest(entries) -> Contest:
    return Contest(5.0, entries, [{"min_rank": 1, "max_rank": 1, "prize": 100.0}])


# ---------------------------------------------------------------- the likelihood


def test_a_fit_recovers_the_coefficients_that_made_the_contests():
    rng, beta = np.random.default_rng(1), np.array([1.8, -0.7, 0.4])
    designs = [np.column_stack([PRICE, rng.normal(size=(12, 2))]) for _ in range(4)]
    cases = [Case(board_with(x @ beta), x) for x in designs]
    found = fit_log_worths(cases, np.zeros(3), np.full(3, 1e-9))
    np.testing.assert_allclose(found, beta, atol=2e-3)


def test_the_fit_is_the_top_of_the_likelihood_by_brute_force():
    rng = np.random.default_rng(2)
    design, own = rng.normal(size=(12, 2)), board_with(TASTE).ownership
    lineups = np.array([c for c in combinations(range(12), 3) if SALARY[list(c)].sum() <= RULES.salary_cap])

    def loss(beta):
        theta = design @ beta
        return np.log(np.exp(theta[lineups].sum(axis=1)).sum()) - own @ theta + 0.2 * (beta - 0.5) @ (beta - 0.5)

    case = Case(replace(board_with(TASTE), ownership=own), design)
    found = fit_log_worths([case], np.full(2, 0.5), np.full(2, 0.4))
    assert loss(found) == pytest.approx(minimize(loss, np.zeros(2)).fun, abs=1e-4)


@pytest.mark.parametrize("bound", [-np.inf, 0.0])
def test_bounds_hold_and_the_bounded_top_is_found(bound):
    rng, beta = np.random.default_rng(3), np.array([0.9, -0.6, 0.5])
    design = rng.normal(size=(12, 3))
    case = Case(board_with(design @ beta), design)

    def loss(b):
        return -log_score(case.board, design @ b) + 0.01 * b @ b

    found = fit_log_worths([case], np.zeros(3), np.full(3, 0.02), lower=np.array([bound] * 3))
    limits = [(None if bound < 0 else 0.0, None)] * 3
    assert (found >= bound).all()
    assert loss(found) == pytest.approx(minimize(loss, np.full(3, 0.1), bounds=limits).fun, abs=1e-4)


def test_hidden_drivers_enter_by_what_is_known():
    rng, beta = np.random.default_rng(4), np.array([1.5, 0.8])
    cases = []
    for _ in range(6):
        design = np.column_stack([PRICE, rng.normal(size=12)])
        board = board_with(design @ beta)
        seen = np.argsort(-board.ownership)[:7]
        cases.append(
            Case(replace(board, ownership=np.where(np.isin(range(12), seen), board.ownership, np.nan)), design)
        )
    found = fit_log_worths(cases, np.zeros(2), np.full(2, 1e-6))
    np.testing.assert_allclose(found, beta, atol=0.05)


def test_matching_shows_what_is_known_and_leaves_the_odds_of_the_rest():
    target = np.where(np.arange(12) < 5, board_with(TASTE + 2 * PRICE).ownership, np.nan)
    board = ContestBoard(NAMES, SALARY, RULES, pd.Timestamp("2024-01-01"))
    theta = match_known(board, 2 * PRICE, target)
    np.testing.assert_allclose(board.law(theta).marginals()[:5], target[:5], atol=2e-3)
    np.testing.assert_array_equal(theta[5:], 2 * PRICE[5:])


def test_a_larger_contest_is_flatter():
    flatter = replace(Prior.shipped(), size_slope=-0.1)
    assert temperature(board_with(TASTE, entries=100_000.0), flatter) == pytest.approx(0.8)
    assert temperature(board_with(TASTE), flatter) == 1.0
    small, large = (FITTED.predict(SLATE, contest(n)).max() for n in (300, 100_000))
    assert large < small


# ---------------------------------------------------------------- conservation and order


@pytest.mark.parametrize("kind", [*ALL_FOUR, HybridOwnershipEstimator])
def test_a_forecast_is_a_law_on_legal_lineups(kind):
    slate = Slate.from_frame(FRAME.assign(projected_points=40 + TASTE, start=range(1, 13)), rules=RULES)
    fitted = kind(RULES).fit(HISTORY)
    own = fitted.predict(slate)
    assert own.index.tolist() == NAMES.tolist()
    assert own.sum() == pytest.approx(3, abs=1e-9)
    assert ((own > 0) & (own < 1)).all()
    assert own.to_numpy() @ SALARY <= RULES.salary_cap
    board = fitted.board(slate)
    law = board.law(fitted.knowing(board).log_worths(board))
    np.testing.assert_allclose(law.marginals(), own, atol=1e-12)


def test_who_does_not_race_is_not_owned():
    slate = Slate.from_frame(FRAME.assign(out=NAMES == "Driver C"), rules=RULES)
    own, draws = FITTED.predict(slate), FITTED.sample(slate, 20, np.random.default_rng(0))
    assert own["Driver C"] == 0
    assert (draws[:, 2] == 0).all()
    assert own.sum() == pytest.approx(3)


def test_the_order_of_drivers_changes_nothing():
    order = np.random.default_rng(1).permutation(12)
    shuffled = HISTORY.sample(frac=1, random_state=3)
    own = HybridOwnershipEstimator(RULES).fit(shuffled).predict(Slate.from_frame(FRAME.iloc[order], rules=RULES))
    np.testing.assert_allclose(own[NAMES], FITTED.predict(SLATE)[NAMES], atol=1e-7)


def test_inputs_are_not_modified():
    before, frame = HISTORY.copy(), FRAME.copy()
    HybridOwnershipEstimator(RULES).fit(HISTORY).predict(Slate.from_frame(frame, rules=RULES))
    pd.testing.assert_frame_equal(HISTORY, before)
    pd.testing.assert_frame_equal(frame, FRAME)


def test_unseen_drivers_are_forecast_from_salary():
    strangers = FRAME.assign(driver=[f"New {i}" for i in range(12)])
    slate = Slate.from_frame(strangers, rules=RULES)
    said = forecast(slate, HISTORY, n_draws=1, rng=np.random.default_rng(0)).notes
    for name in ("historical", "projection", "recent form", "optimizer"):
        assert any(f"The source {name} is left out" in note for note in said)
    assert FITTED.predict(slate).sum() == pytest.approx(3)
    with pytest.raises(UserError, match="historical is left out: no popularity"):
        HistoricalOwnership(RULES).fit(HISTORY).predict(slate)


@pytest.mark.parametrize("past", [None, HISTORY.head(0), HISTORY[HISTORY["contest_id"] == "c00"]])
def test_no_or_one_past_contest_is_enough(past):
    fitted = HybridOwnershipEstimator(RULES).fit(past)
    assert fitted.predict(SLATE).sum() == pytest.approx(3)
    np.testing.assert_allclose(fitted.sample(SLATE, 5, np.random.default_rng(0)).sum(axis=1), 3)


# ---------------------------------------------------------------- what the estimators learn


def test_lasting_taste_is_found_by_the_past():
    late = Slate.from_frame(FRAME, rules=RULES)
    truth = board_with(2.5 * PRICE + TASTE).ownership
    error = {
        kind.alone[0]: np.abs(kind(RULES).fit(HISTORY).predict(late).to_numpy() - truth).mean()
        for kind in (HistoricalOwnership, SalarySkillOwnership)
    }
    assert error["historical"] < 0.6 * error["salary_skill"]


@pytest.mark.parametrize("column", ["projected_points", "rating", "form"])
def test_what_drives_ownership_is_learned_from_its_column(column):
    told = history(10, noise=1.0, **{column: lambda rng, theta: theta - 2.5 * PRICE + 50})
    kind = {"projected_points": ProjectionOwnership, "rating": SalarySkillOwnership, "form": RecentFormOwnership}[
        column
    ]
    last = told[told["contest_id"] == "c09"]
    fitted = kind(RULES).fit(told[told["contest_id"] < "c09"])
    with_it = Slate.from_frame(last[["driver", "salary", column]], rules=RULES)
    without = SalarySkillOwnership(RULES).fit(told[told["contest_id"] < "c09"])
    errors = [
        np.abs(f.predict(s).to_numpy() - last["ownership"]).mean()
        for f, s in ((fitted, with_it), (without, Slate.from_frame(last[["driver", "salary"]], rules=RULES)))
    ]
    assert errors[0] < 0.7 * errors[1]


def test_room_to_gain_places_is_learned():
    def start(rng, theta):
        return pd.Series(-(theta - 2.5 * PRICE)).rank().to_numpy()[::-1] * 0 + rng.permutation(12) + 1

    told = history(10, start=start)
    board = read_history(told, RULES)[0][0]
    room = evidence.starting_place(board)
    last, first = board.column("start").argmax(), board.column("start").argmin()
    assert room.shape == (12, 2)
    assert room[last, 0] > room[first, 0]
    super_speedway = replace(board, track_type="superspeedway")
    np.testing.assert_allclose(evidence.starting_place(super_speedway)[:, 1], room[:, 0] / 2)


def test_a_vendor_is_followed_and_its_gaps_are_filled():
    vendor = board_with(2.2 * PRICE - TASTE).ownership
    full = Slate.from_frame(FRAME.assign(projected_ownership=vendor), rules=RULES)
    gaps = Slate.from_frame(FRAME.assign(projected_ownership=np.where(PRICE > 7, vendor, np.nan)), rules=RULES)
    plain = ProjectionOwnership(RULES).fit()
    for slate in (full, gaps):
        assert np.abs(plain.predict(slate).to_numpy() - vendor).mean() < 0.05
    pulled, alone = (np.abs(FITTED.predict(s).to_numpy() - vendor).mean() for s in (full, SLATE))
    assert pulled < 0.6 * alone
    crowd = forecast(full, HISTORY, n_draws=1, rng=np.random.default_rng(0))
    assert crowd.weights.set_index("estimator").loc["vendor", "weight"] > 0.5


def test_a_vendor_costs_what_a_field_costs():
    """A forecast tilted towards the dear drivers, beyond the cap, is read as the one it was tilted from."""
    memory = FITTED.past
    board = ContestBoard(NAMES, SALARY, RULES, pd.Timestamp("2024-06-01"))
    theta = evidence.salary_curve(board) @ memory.curve + TASTE
    honest = board.law(theta).marginals()
    alone = board.law(theta - TASTE).marginals()
    tilted = expit(logit(honest) + 0.4 * (PRICE - PRICE.mean()))
    dear = replace(board, columns={"projected_ownership": 3 * tilted / tilted.sum()})
    assert dear.columns["projected_ownership"] @ SALARY > 25_000 > honest @ SALARY
    away, start = evidence.vendor(dear, memory)[:, 0], evidence.salary_alone(dear, memory)[:, 0]
    read = board.law(start + away).marginals()
    assert read @ SALARY == pytest.approx(alone @ SALARY, rel=1e-3)
    as_told = board.law(match_known(dear, start, dear.columns["projected_ownership"]))
    assert np.abs(read - honest).mean() < 0.5 * np.abs(as_told.marginals() - honest).mean()
    last = replace(board, ownership=honest)
    assert log_score(last, start + away) > log_score(last, as_told.theta) + 0.05


def test_memory_looks_back_only_and_halves_twins():
    boards, _ = read_history(pd.concat([HISTORY, HISTORY.assign(contest_id=HISTORY["contest_id"] + "b")]), RULES)
    memory = PastOwnership.of(boards, Prior.shipped().of("salary", ("salary_curve",))[0])
    single = PastOwnership.of([b for b in boards[::2] if b.date < boards[6].date], memory.curve)
    asked = {"table": "residual", "days": 45, "shrink": 1.0}
    now = replace(boards[6], contest_id="x")
    np.testing.assert_allclose(evidence.remembered(now, memory, **asked), evidence.remembered(now, single, **asked))
    assert evidence.remembered(boards[0], memory, **asked) is None


def test_the_average_of_memory_by_hand():
    boards, _ = read_history(HISTORY, RULES)
    memory = PastOwnership.of(boards, Prior.shipped().of("salary", ("salary_curve",))[0])
    table = np.repeat([1.0, 3.0] + [np.nan] * 6, 12)
    found = evidence.remembered(boards[3], replace(memory, residual=table), table="residual", days=20, shrink=1.0)
    early, late = np.exp(-21 / 20), np.exp(-14 / 20)
    np.testing.assert_allclose(found, (early + 3 * late) / (early + late + 1))


# ---------------------------------------------------------------- the pool


LOOSE = replace(Prior.shipped(), pool={**Prior.shipped().pool, "weight_sd": 0.15})
"""Weights believed as little as for races, so that what the data say is found."""


def rolled_pool(weights, temperature=1.0, n=25):
    rng, rolled = np.random.default_rng(6), []
    for week in range(n):
        base = 2.5 * PRICE
        said = {name: base + rng.normal(0, 0.8, 12) for name in weights}
        theta = base + temperature * sum(w * (said[v] - base) for v, w in weights.items())
        rolled.append(Rolled(board_with(theta, pd.Timestamp("2024-01-01") + pd.Timedelta(weeks=week)), base, said))
    return rolled


@pytest.mark.parametrize("temperature", [0.8, 1.3])
def test_the_pool_recovers_weights_and_temperature(temperature):
    truth = {"historical": 0.6, "salary_skill": 0.1, "recent_form": 0.3}
    pool = fit_pool(tuple(truth), rolled_pool(truth, temperature), LOOSE)
    np.testing.assert_allclose(pool.weights[list(truth)], list(truth.values()), atol=0.07)
    assert pool.temperature == pytest.approx(temperature, abs=0.12)
    assert pool.weights.sum() == pytest.approx(1)


def test_a_useless_estimator_gets_no_weight():
    truth = {"historical": 1.0, "recent_form": 0.0}
    pool = fit_pool(tuple(truth), rolled_pool(truth, n=60), LOOSE)
    assert pool.weights["recent_form"] < 0.05


def test_a_saved_pool_forecasts_the_same():
    own = FITTED.predict(SLATE)
    kept = HybridOwnershipEstimator(RULES).fit(HISTORY).to_dict()
    saved = json.loads(json.dumps(kept, sort_keys=True))
    again = HybridOwnershipEstimator.from_dict(saved, rules=RULES).fit(HISTORY)
    for pool, was in zip(again.estimator.pools, kept["pools"], strict=True):
        assert list(pool.extras.items()) == list(was["extras"].items()), "a file has its names in another order"
    pd.testing.assert_series_equal(again.predict(SLATE), own)
    assert saved["contests"] == 8
    assert [set(pool["sources"]) for pool in saved["pools"]] == [
        {"salary_skill"},
        {"historical", "salary_skill", "recent_form"},
    ]
    assert not again.fits, "a pool was fitted beside the saved ones"


def test_held_weights_are_held_and_the_other_sources_left_out():
    held = HybridOwnershipEstimator(RULES, weights={"historical": 0.6, "salary_skill": 0.2, "projection": 0.2})
    crowd = forecast(SLATE, HISTORY, n_draws=1, rng=np.random.default_rng(0), estimator=held)
    weights = crowd.weights.set_index("estimator")["weight"]
    assert weights.to_dict() == pytest.approx({"historical": 0.75, "salary_skill": 0.25})
    both = replace(held, sources=("recent_form",)).fit(HISTORY).predict(SLATE)
    np.testing.assert_allclose(both, crowd.ownership, atol=1e-9)
    board = FITTED.board(SLATE)
    base, parts = (
        FITTED.past.curve,
        {name: sum(said.values()) for name, said in FITTED.available(board)[0].items() if name in weights},
    )
    alone = temperature(board, FITTED.estimator.prior) * (evidence.salary_curve(board) @ base)
    theta = alone + sum(weights[name] * (theta - alone) for name, theta in parts.items())
    np.testing.assert_allclose(crowd.ownership, board.law(theta).marginals(), atol=1e-9)


def test_one_source_alone_is_that_source():
    chosen = HybridOwnershipEstimator(RULES, sources=("historical",), pools=(Pool({"historical": 1.0}, PLAIN),))
    alone = HistoricalOwnership(RULES).fit(HISTORY).predict(SLATE)
    pd.testing.assert_series_equal(chosen.fit(HISTORY).predict(SLATE), alone, atol=1e-9)
    for wrong in ({"sources": ("tarot",)}, {"weights": {"tarot": 1.0}}):
        with pytest.raises(UserError, match="there is no source 'tarot'; the sources are historical, projection"):
            HybridOwnershipEstimator(RULES, **wrong)
    with pytest.raises(UserError, match="weight of historical"):
        HybridOwnershipEstimator(RULES, weights={"historical": -1.0})


PLAIN = {"base": 1.0, "size": 0.0, "cash": 0.0}


# ---------------------------------------------------------------- no leakage


def test_rolling_forecasts_are_those_of_a_fit_on_what_came_before():
    for r in HistoricalOwnership(RULES).fit(HISTORY).rolled:
        before = HISTORY[HISTORY["date"] < r.board.date]
        theta = HistoricalOwnership(RULES).fit(before).log_worths(r.board)
        np.testing.assert_allclose(r.board.law(r.log_worths).marginals(), r.board.law(theta).marginals(), atol=2e-3)


def test_past_contests_are_forecast_by_some_sources_too():
    """Of the first contest history alone says nothing; the others are forecast as by that source."""
    chosen = walk_forward(HISTORY, HybridOwnershipEstimator(RULES, sources=("historical",)), n_draws=5)
    held = walk_forward(HISTORY, HistoricalOwnership(RULES), n_draws=5)
    for record in (chosen, held):
        errors = record.scores[record.scores["score"] == "mean error"].groupby("model")["case"].count()
        assert errors["uniform"] == 8 and errors["hybrid"] == errors["historical"] == 7
    forecasts = held.drivers.pivot_table("forecast", ["case", "driver"], "model")
    np.testing.assert_allclose(forecasts["hybrid"].dropna(), forecasts["historical"].dropna())


def test_later_rows_change_nothing():
    date = HISTORY["date"].max()
    spoiled = HISTORY.copy()
    now = spoiled["date"] == date
    spoiled.loc[now, "ownership"] = spoiled.loc[now, "ownership"].to_numpy()[::-1]
    race = Race("r", date, "Oval", "short", 1.0, 100)
    slate = Slate.from_frame(FRAME, rules=RULES, race=race)
    kept = HISTORY[~now]
    for past in (HISTORY, spoiled):
        fitted = HybridOwnershipEstimator(RULES).fit(past)
        own, draws = fitted.predict(slate), fitted.sample(slate, 3, np.random.default_rng(0))
        expected = HybridOwnershipEstimator(RULES).fit(kept)
        pd.testing.assert_series_equal(own, expected.predict(slate))
        np.testing.assert_array_equal(draws, expected.sample(slate, 3, np.random.default_rng(0)))


def test_walk_forward_does_not_see_later_contests():
    first, spoiled = walk_forward(HISTORY, n_draws=20, **HYBRID), HISTORY.copy()
    spoiled.loc[spoiled["contest_id"] == "c07", "ownership"] = 0.25
    again = walk_forward(spoiled, n_draws=20, **HYBRID)
    for name in ("scores", "drivers", "weights"):
        a, b = (getattr(w, name) for w in (first, again))
        a, b = (t[t["case"] < "c07"].reset_index(drop=True) for t in (a, b))
        pd.testing.assert_frame_equal(a, b)


HYBRID = {"estimator": HybridOwnershipEstimator(RULES)}
WALK = walk_forward(history(14), n_draws=100, **HYBRID)


def test_the_walk_scores_every_forecaster_on_every_contest():
    table = WALK.scores[WALK.scores["score"] == "mean error"]
    count = table["model"].value_counts()
    assert {"hybrid", "salary only", "uniform", "salary_skill"} <= set(count[count == 14].index)
    assert count["historical"] == count["recent_form"] == 13
    rows = WALK.drivers[(WALK.drivers["model"] == "hybrid") & (WALK.drivers["case"] == "c05")]
    error = table[(table["model"] == "hybrid") & (table["case"] == "c05")]["value"].iloc[0]
    assert error == pytest.approx(100 * (rows["forecast"] - rows["actual"]).abs().mean())


def test_forecasts_that_differ_by_rounding_rank_alike():
    board = replace(board_with(PRICE), ownership=np.linspace(0.6, 0.0, 12) * 3 / 3.6)
    pairs = np.repeat(np.linspace(0.45, 0.05, 6), 2)
    noise = np.random.default_rng(1).normal(0, 1e-15, (20, 12))
    found = {_scores(board, pairs * (1 + e), None, None, pairs > 0)["rank correlation"] for e in noise}
    assert found == {metrics.spearman(pairs, board.ownership)}


def test_a_vendor_is_scored_as_a_source_and_as_published():
    told = history(4, projected_ownership=lambda rng, theta: np.clip(3 * softmax(theta), 0, 0.9))
    gains = walk_forward(told, n_draws=10, **HYBRID).gains()
    assert {"vendor", "vendor as published"} <= set(gains["against"])


def test_gains_point_the_same_way_for_scores_and_errors():
    gains = WALK.late(last=8).gains().set_index("against")
    assert (gains.loc["salary only", ["mean error", "log score"]] > 0).all()
    assert WALK.gains().set_index("against").loc["uniform", "mean error"] > 0


def test_a_record_is_cut_by_day_and_by_number():
    days = WALK.scores["date"].drop_duplicates().sort_values()
    late = WALK.late(since=days.iloc[4])
    assert late.scores["date"].min() == days.iloc[4] and late.scores["date"].max() == days.iloc[-1]
    assert late.late(last=3).drivers["case"].unique().tolist() == ["c11", "c12", "c13"]
    pd.testing.assert_frame_equal(WALK.late().scores, WALK.scores)


def test_the_tables_say_what_the_scores_say():
    values = WALK.scores.pivot(index=["score", "case"], columns="model", values="value")
    scores, gains = WALK.table().set_index("model"), WALK.gains().set_index("against")
    assert scores["mean error"].is_monotonic_increasing and (scores["contests"] >= 13).all()
    for name in ("mean error", "RMSE", "log score", "CRPS", "inside 80%"):
        hybrid = values.loc[name, "hybrid"]
        assert scores.loc["hybrid", name] == pytest.approx(hybrid.mean())
        assert scores.loc["hybrid", f"± {name}"] == pytest.approx(hybrid.std() / np.sqrt(14))
    assert np.isnan(scores.loc["uniform", "log score"])
    bands = WALK.table(scores=["inside 50%", "interval score 95%"]).set_index("model").loc["salary only"]
    for name in ("inside 50%", "interval score 95%"):
        assert bands[name] == pytest.approx(values.loc[name, "salary only"].mean())
    errors = values.loc["mean error"]
    assert gains.loc["uniform", "mean error"] == pytest.approx((errors["uniform"] - errors["hybrid"]).mean())
    by_size = WALK.table(["size", "model"]).set_index(["size", "model"])
    assert by_size.loc[("unknown", "hybrid"), "mean error"] == pytest.approx(scores.loc["hybrid", "mean error"])


def test_the_record_adds_up():
    assert (WALK.drivers["model"] == "hybrid").sum() == 14 * 12
    np.testing.assert_allclose(WALK.weights.groupby("case")["weight"].sum(), 1)
    assert repr(WALK).startswith("OwnershipRecord(14 contests of 14 days: hybrid, ")


# ---------------------------------------------------------------- draws


def test_draws_are_whole_vectors_and_extend():
    few, many = (FITTED.sample(SLATE, n, np.random.default_rng(9)) for n in (10, 200))
    np.testing.assert_array_equal(few, many[:10])
    np.testing.assert_allclose(many.sum(axis=1), 3, atol=1e-9)
    np.testing.assert_allclose(many @ SALARY, FITTED.predict(SLATE).to_numpy() @ SALARY, rtol=1e-6)
    assert ((many > 0) & (many < 1)).all()
    assert np.abs(many.mean(axis=0) - FITTED.predict(SLATE)).mean() < 0.02


def test_draws_take_one_contest_at_a_time():
    level = np.linspace(-3, 0, 12)
    apart = tuple((level, np.full(12, error), False) for error in (0.5, -0.5))
    bank = Residuals(apart, np.ones(2), Prior.shipped().residuals)
    errors = bank.draw(level, 500, np.random.default_rng(1))
    whole = np.ptp(errors, axis=1) < 1e-12
    assert 0.5 < whole.mean() < 0.85
    assert set(np.sign(errors[whole, 0])) == {-1, 1}


def test_errors_of_contests_forecast_from_the_same_sources_count_most():
    level, quiet = np.linspace(-3, 0, 12), {"levels": [-9, 9], "probability": [0, 1], "quantiles": [[0, 0], [0, 0]]}
    known = (level, np.full(12, 0.2), True), (level, np.full(12, 2.0), False)
    bank = Residuals(known, np.ones(2), quiet)
    silent = board_with(2 * PRICE)
    told = replace(silent, columns={**silent.columns, "projected_ownership": silent.ownership})
    for board, mine in ((silent, 2.0), (told, 0.2)):
        drawn = bank.like(board).draw(level, 4000, np.random.default_rng(3)).mean(axis=1)
        sizes = drawn / drawn.max() * (2.0 if (drawn > 1).any() else 0.2)
        share = np.mean(np.abs(sizes - mine) < 1e-9) / np.mean(drawn > 1e-9)
        assert share == pytest.approx(1 / 1.1, abs=0.03)


def test_bands_cover_what_they_say_on_made_contests():
    walk = walk_forward(history(45, seed=11, noise=0.45), n_draws=150, **HYBRID).late(first=15)
    levels = {"inside 50%": 0.06, "inside 80%": 0.06, "inside 95%": 0.03}
    inside = walk.table(scores=[*levels]).set_index("model").loc["hybrid"]
    for level, off in levels.items():
        assert inside[level] == pytest.approx(float(level[7:9]) / 100, abs=off)


@pytest.mark.parametrize("n", [-1, 2.5, "all"])
def test_a_number_of_draws_that_is_none_is_refused(n):
    for draw in (lambda n, rng: FITTED.sample(SLATE, n, rng), board_with(TASTE).law(TASTE).sample):
        with pytest.raises(ValueError, match=f"sample: n: {n} given; a whole number"):
            draw(n, np.random.default_rng(0))
        assert len(draw(3.0, np.random.default_rng(0))) == 3


def test_a_forecast_without_errors_is_drawn_as_it_is():
    centre = board_with(2 * PRICE).ownership
    quiet = {"levels": [-9, 9], "probability": [0, 1], "quantiles": [[0, 0], [0, 0]]}
    nothing = Residuals.of((), quiet)
    draws = draw_ownership(centre, SALARY, nothing, 3, np.random.default_rng(0))
    np.testing.assert_allclose(draws, np.tile(centre, (3, 1)), atol=1e-9)


# ---------------------------------------------------------------- the history frame


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda h: h.assign(ownership=100 * h["ownership"]), "give fractions between 0 and 1"),
        (lambda h: h.assign(ownership=h["ownership"] - 0.5), "give fractions"),
        (
            lambda h: h.assign(ownership="52%"),
            r"row 1 \(Driver A, contest c00\) has the ownership '52%'; give",
        ),
        (
            lambda h: h.assign(date=h["date"].where(h["contest_id"] != "c03")),
            "ownership history: date is 'NaT'; write it as 2025-04-13",
        ),
        (lambda h: h.assign(date="soon"), "date is 'soon'"),
        (lambda h: pd.concat([h, h.head(1)]), r"\(Driver A, contest c00\) .* he is there twice; keep one row"),
        (lambda h: h.drop(columns="salary"), "column salary is missing"),
    ],
)
def test_bad_history_is_refused_in_a_sentence(spoil, said):
    with pytest.raises(UserError, match=said):
        HybridOwnershipEstimator(RULES).fit(spoil(HISTORY))


@pytest.mark.parametrize("written", ["%Y-%m-%dT19:30:00Z", "%B %d, %Y", "%d %B %Y"])
def test_dates_may_be_written_in_any_clear_way(written):
    other = read_history(HISTORY.assign(date=HISTORY["date"].dt.strftime(written)), RULES)[0]
    assert [b.date for b in other] == [b.date for b in read_history(HISTORY, RULES)[0]]


def test_drivers_without_a_group_are_alone_in_a_group_of_their_own():
    group = HISTORY["driver"].map({"Driver A": "one", "Driver B": "one"})
    board = read_history(HISTORY.assign(group=group), RULES)[0][0]
    assert board.groups[0] == board.groups[1] and len(set(board.groups)) == len(NAMES) - 1
    assert read_history(HISTORY.assign(group=None), RULES)[0][0].groups is None


def test_contests_that_cannot_be_used_are_named():
    thin = HISTORY[(HISTORY["contest_id"] != "c03") | (HISTORY["ownership"] < 0.2)]
    unpriced = thin.assign(salary=thin["salary"].where(thin["contest_id"] != "c05"))
    fitted = HybridOwnershipEstimator(RULES).fit(unpriced)
    assert len(fitted.boards) == 6
    assert any("c03" in note and "drivers are missing" in note for note in fitted.notes)
    assert any("c05" in note and "0 drivers with a salary" in note for note in fitted.notes)


def test_ownership_is_rescaled_to_the_roster():
    boards, _ = read_history(HISTORY.assign(ownership=0.98 * HISTORY["ownership"]), RULES)
    for board, rows in zip(boards, HISTORY.groupby("contest_id"), strict=True):
        np.testing.assert_allclose(board.ownership, rows[1]["ownership"], rtol=1e-9)


def test_unknown_ownership_stays_unknown_and_teaches_nothing_wrong():
    hidden = HISTORY.assign(ownership=HISTORY["ownership"].where(HISTORY["driver"] != "Driver H"))
    own = HybridOwnershipEstimator(RULES).fit(hidden).predict(SLATE)
    assert own.sum() == pytest.approx(3)
    np.testing.assert_allclose(own, FITTED.predict(SLATE), atol=0.15)


def test_the_memory_of_a_contest_is_what_salary_does_not_explain():
    memory = FITTED.past
    table = pd.Series(memory.residual).groupby(memory.names).mean()
    assert np.corrcoef(table[NAMES], TASTE)[0, 1] > 0.8
