"""Tuning: the score against naive sums, the walk forward against a slow twin, verdicts on seasons of known law."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dfslab import metrics
from dfslab.errors import UserError
from dfslab.regimes._features import FEATURES, RegimeThresholds, race_features, regime_codes
from dfslab.regimes._model import RegimeModel
from dfslab.regimes._result import kappa
from dfslab.regimes._tune import (
    _Candidates,
    _counts,
    _past,
    _permutation,
    _Walk,
    _weights,
    tune_thresholds,
)
from tests.regimes.test_regimes import Drawn, as_frames, make_conditions, make_drawn

GRID = {"leader_share": (0.4, 0.5, 0.6), "dropout_share": (0.3, 0.9)}


def make_season(races: int, effect: float, seed: int, scored: int = 60):
    """Return history whose leader's share follows the favourite, and simulated races that do not know it."""
    rng = np.random.default_rng(seed)
    conditions, _, chance = make_conditions(races, rng, effect)
    history = make_drawn(races, rng, leader=np.where(rng.random(races) < chance, 0.75, 0.28))
    results, facts = as_frames(history)
    simulated = {
        race_id: make_drawn(100, rng, leader=np.where(rng.random(100) < 0.5, 0.75, 0.28))
        for race_id in conditions.index[-scored:]
    }
    return simulated, results, facts, conditions


def tune(task, **options):
    settings = {"grid": GRID, "rng": np.random.default_rng(0), "n_permutations": 40, "n_resamples": 10}
    return tune_thresholds(*task, **settings | options)


@pytest.fixture(scope="module")
def helpful():
    """A season in which the favourite tells who dominates, and what tuning made of it."""
    task = make_season(220, effect=4.0, seed=0, scored=150)
    return task, tune(task, use={"leader_share": 0.7})


def test_tuning_sees_when_regimes_help(helpful):
    _, found = helpful
    assert found.helps and found.gain > 3 * found.gain_se and found.p == 1 / 41
    assert found.gain > found.placebo["walk-forward"].max()
    assert "reweight" in found.verdict and "0 of 40" in found.verdict and "200 are needed" in found.verdict
    told = found.skill().set_index(["regime", "model"]).loc["dominator"]
    assert told.loc["forecast", "t"] < -3 and told.loc["forecast", "difference"] < told.loc["simulated", "difference"]
    assert found.reweights == (found.comparison.set_index("model").loc["yours", "p"] <= 0.05)
    saved = found.to_dict()
    assert saved["thresholds"] == found.use.to_dict() and saved["predicted"] == ["dominator"] * found.reweights
    assert replace(found, use=None).reweights and replace(found, use=None).thresholds == found.best


def test_tuning_sees_when_regimes_do_not_help():
    found = tune(make_season(220, effect=0.0, seed=1, scored=150))
    assert not found.helps and found.p > 0.05
    assert "keep the simulator's own" in found.verdict
    assert found.thresholds == RegimeThresholds(), "the thresholds in use stay"
    assert found.to_dict()["predicted"] == []
    assert -1.0 <= found.kappa <= 1.0


def test_p_is_uniform_when_labels_mean_nothing():
    settings = {"n_permutations": 9, "n_resamples": 1, "grid": {"leader_share": (0.4, 0.6)}}
    p = [tune(make_season(100, effect=0.0, seed=k, scored=70), **settings).p for k in range(40)]
    assert set(np.round(10 * np.array(p)).astype(int)) <= set(range(1, 11))
    assert 0.4 < np.mean(p) < 0.7, "mean .55 ± .045"


def make_walk(task, score="energy+leader+crash"):
    past = _past(task[1], task[2], task[3], task[0], None, "today")
    candidates = _Candidates.of(GRID, RegimeThresholds(), None)
    return _Walk(past, candidates, task[0], task[1], _weights(score))


def all_balanced(simulated: dict) -> dict:
    """Return the races with nobody ahead for long, nobody out and no caution: all scenarios are of one regime."""
    calm = {"laps_led": 10.0, "dropped_out": False, "cautions": 0}
    every = {
        k: {name: np.full_like(getattr(race, name), x) for name, x in calm.items()} for k, race in simulated.items()
    }
    return {k: replace(race, **every[k]) for k, race in simulated.items()}


def slow_scores(drawn: Drawn, real: pd.DataFrame, weight) -> list[float]:
    """Return energy score and both CRPS of weighted scenarios, unbiased, by double sums over pairs."""
    real = real.set_index("driver").loc[drawn.drivers]
    share, crashes = drawn.laps_led.max(axis=1) / drawn.laps_led.sum(axis=1), drawn.crashed.sum(axis=1).astype(float)
    led = real["laps_led"].max() / real["laps_led"].sum()
    cases = [
        (drawn.points.astype(float), real["dk_points"].to_numpy(float)),
        (share[:, None], np.array([led])),
        (crashes[:, None], np.array([real["dnf_crash"].sum()])),
    ]
    out = []
    for x, came in cases:
        near = sum(w * np.linalg.norm(row - came) for w, row in zip(weight, x, strict=True))
        apart = sum(
            weight[i] * weight[j] * np.linalg.norm(x[i] - x[j]) for i in range(len(x)) for j in range(len(x)) if i != j
        )
        out.append(near - 0.5 * apart / (1 - (weight**2).sum()))
    return out


def test_gains_equal_double_sums_over_reweighted_scenarios():
    task = make_season(100, effect=2.0, seed=3, scored=40)
    walk = make_walk(task)
    chances = walk.probabilities()
    gains = walk.gains(chances)
    for row, candidate in ((0, 0), (25, 3), (39, 5)):
        race_id = task[3].index[walk.scored[row]]
        drawn, real = task[0][race_id], task[1][task[1]["race_id"] == race_id]
        codes = regime_codes(race_features(drawn), walk.candidates.listed[candidate])
        even = slow_scores(drawn, real, np.full(len(codes), 1 / len(codes)))
        share = chances[row, candidate] / np.maximum(np.bincount(codes, minlength=4), 1)
        told = slow_scores(drawn, real, share[codes] / share[codes].sum())
        assert gains[row, candidate] == pytest.approx(np.subtract(even, told), rel=1e-3, abs=1e-4)
        assert walk.unweighted[row] == pytest.approx(even, rel=1e-4)


def test_unweighted_scenarios_have_the_crps_of_metrics():
    task = make_season(100, effect=2.0, seed=3, scored=40)
    walk = make_walk(task)
    race_id = task[3].index[walk.scored[4]]
    real = task[1][task[1]["race_id"] == race_id]
    share = race_features(task[0][race_id])[["leader_share"]]
    expected = metrics.crps(share, [real["laps_led"].max() / real["laps_led"].sum()])[0]
    assert walk.unweighted[4, 1] == pytest.approx(expected, rel=1e-4)


def test_chances_are_those_of_a_model_fitted_on_the_seasons_before():
    task = make_season(160, effect=2.0, seed=4, scored=60)
    walk = make_walk(task)
    chances = walk.probabilities()
    conditions, features = task[3], race_features(task[1], task[2])
    for row, candidate in ((0, 1), (40, 4), (59, 5)):
        race_id = conditions.index[walk.scored[row]]
        year = pd.Timestamp(conditions.loc[race_id, "date"].year, 1, 1)
        thresholds = walk.candidates.listed[candidate]
        model = RegimeModel.fit(conditions[conditions["date"] < year], features, thresholds)
        codes = regime_codes(race_features(task[0][race_id]), thresholds)
        simulated = np.bincount(codes, minlength=4) / len(codes)
        assert chances[row, candidate] == pytest.approx(model.probabilities(conditions.loc[race_id], simulated))


def test_what_comes_later_changes_no_earlier_choice_and_no_earlier_forecast(helpful):
    task, found = helpful
    last = found.scores["season"].max()
    later = task[3].index[task[3]["date"].dt.year == last]
    spoilt = task[1].copy()
    rows = spoilt["race_id"].isin(later)
    spoilt.loc[rows, ["laps_led", "dk_points", "dnf"]] = spoilt.loc[rows, ["laps_led", "dk_points", "dnf"]].to_numpy()[
        ::-1
    ]
    other = tune((task[0], spoilt, *task[2:]), n_permutations=0, n_resamples=1)
    pd.testing.assert_frame_equal(found.chosen, other.chosen)
    same = found.forecasts.columns[:3]
    pd.testing.assert_frame_equal(found.forecasts[same], other.forecasts[same])


def test_as_of_a_day_is_the_history_that_ends_before_it(helpful):
    task, _ = helpful
    day = "2022-06-01"
    ids = task[3].index[task[3]["date"] < day]
    cut = (task[0], *(frame[frame["race_id"].isin(ids)] for frame in task[1:3]), task[3].loc[ids])
    found, expected = (tune(t, until=u, n_permutations=3, n_resamples=2) for t, u in ((task, day), (cut, None)))
    pd.testing.assert_frame_equal(found.scores, expected.scores)
    assert found.timeline["date"].max() < found.until == pd.Timestamp(day)
    pd.testing.assert_frame_equal(found.placebo, expected.placebo)


def test_permutations_stay_within_season_and_track_type():
    past = make_walk(make_season(160, effect=0.0, seed=5)).past
    permuted = _permutation(past, np.random.default_rng(0))
    assert sorted(permuted) == list(range(160)) and (permuted != np.arange(160)).mean() > 0.5
    assert (past["season"].to_numpy()[permuted] == past["season"]).all()
    kind = past["track_type"].to_numpy()
    assert (kind[permuted] == kind).all()


def test_the_parts_and_the_seasons_add_up(helpful):
    _, found = helpful
    parts = found.parts.set_index("score")
    assert parts["skill"] @ parts["weight"].fillna(0) == pytest.approx(found.gain) == parts.loc["all", "skill"]
    assert found.by_race["all"].mean() == pytest.approx(found.gain)
    unweighted = metrics.summarise(found.scores[found.scores["model"] == "unweighted"])
    assert unweighted["mean"].to_numpy() == pytest.approx(np.ones(4))
    assert np.average(found.by_season["skill"], weights=found.by_season["races"]) == pytest.approx(found.gain)
    assert found.table[list(found.score)].sum(axis=1).to_numpy() == pytest.approx(found.table["skill"].to_numpy())
    assert found.confusion.to_numpy().sum() == found.timeline["known"].sum() == len(found.timeline)


def test_knowing_a_regime_is_reweighting_by_what_came():
    task = make_season(100, effect=2.0, seed=3, scored=40)
    found = tune(task, n_permutations=0, n_resamples=1, score="leader")
    total, base = [], []
    for race_id in task[0]:
        drawn, real = task[0][race_id], task[1][task[1]["race_id"] == race_id]
        codes = regime_codes(race_features(drawn), found.best)
        came = found.timeline.set_index("race_id").loc[race_id, "regime"] == "dominator"
        even = slow_scores(drawn, real, np.full(len(codes), 1 / len(codes)))[1]
        within = (codes == 0) == came
        total.append(even - slow_scores(drawn, real, within / within.sum())[1])
        base.append(even)
    row = found.knowing.set_index("regime").loc["dominator"]
    assert row["skill"] == pytest.approx(np.mean(total) / np.mean(base), rel=1e-3)
    assert row["skill"] > 0 and row["races"] == 40


def test_knowing_what_no_scenario_shows_changes_nothing():
    task = make_season(100, effect=2.0, seed=3, scored=40)
    gains = tune((all_balanced(task[0]), *task[1:]), n_permutations=0, n_resamples=1).knowing["skill"]
    assert (gains.abs() < 1e-6).all()


def test_a_score_of_one_part_is_that_part():
    task = make_season(160, effect=3.0, seed=6, scored=80)
    one, all_ = (tune(task, score=s, n_permutations=0, n_resamples=1) for s in ("leader", "leader + energy"))
    assert one.parts.set_index("score").loc["leader", "skill"] == pytest.approx(one.gain)
    assert all_.score == {"energy": 0.5, "leader": 0.5, "crash": 0.0}


def test_the_best_of_the_grid_is_on_its_plateau(helpful):
    table = helpful[1].table
    top = table.loc[table["skill"].idxmax()]
    assert top["plateau"] and top["behind"] == 0 and table["chosen"].sum() == 1


def test_thresholds_in_use_win_ties_and_ones_own_are_compared():
    task = make_season(160, effect=0.0, seed=7, scored=80)
    own = {"dropout_share": 0.4}
    found = tune((all_balanced(task[0]), *task[1:]), use=own, n_permutations=5)
    assert (found.table["skill"].abs() < 1e-12).all(), "all scenarios are of one regime"
    assert found.best.dropout_share == 0.3 and found.best.leader_share == 0.5, "the nearest to the ones in use"
    assert tune(task, grid=GRID | {"fuel_miles": []}, n_permutations=0, n_resamples=1).best.fuel_miles == 1000
    assert found.use == found.thresholds == replace(RegimeThresholds(), dropout_share=0.4)
    assert found.comparison["model"].tolist() == ["walk-forward", "in use", "best", "yours"]
    assert found.comparison["p"].tolist() == [1.0] * 4 and (found.comparison["skill"].abs() < 1e-12).all()
    assert found.comparison["dropout_share"].dropna().tolist() == [0.25, 0.3, 0.4]


def test_the_plateau_is_preferred_to_the_peak():
    candidates = _Candidates.of({"leader_share": (0.4, 0.45, 0.5, 0.55, 0.6)}, RegimeThresholds(), None)
    share = [c.leader_share for c in candidates.listed[:5]]
    by_share = {0.4: 1.0, 0.45: 0.0, 0.5: 0.55, 0.55: 0.6, 0.6: 0.45}
    assert share[candidates.choice(np.array([by_share[s] for s in share]))] == 0.55
    assert share[0] == 0.5 and share[candidates.choice(np.zeros(5))] == 0.5


def test_what_is_unknown_is_not_scored_as_no():
    task = make_season(220, effect=3.0, seed=8, scored=150)
    races = task[2].assign(cautions=task[2]["cautions"].where(task[2].index % 2 == 0))
    found = tune((*task[:2], races, task[3]), n_permutations=0, n_resamples=1, in_use=RegimeThresholds(fuel_miles=90))
    told = found.forecasts.set_index("regime").loc["chaos"]
    assert told["actual"].notna().sum() == 75
    overall = found.base_rates[found.base_rates["track_type"] == "all"].set_index("regime")["races"]
    assert overall.to_dict() == {"dominator": 220, "chaos": 110, "fuel_mileage": 110, "balanced": 110}
    shown = found.timeline.set_index("race_id")
    sure = shown["cautions"].notna() | (shown["regime"] == "dominator")
    sure |= (shown["regime"] == "chaos") & (shown["dropout_share"] >= found.best.dropout_share)
    assert (shown["known"] == sure).all()


def test_a_series_without_cautions_is_tuned_on_what_it_has(recwarn):
    task = make_season(100, effect=2.0, seed=3, scored=40)
    found = tune((*task[:2], task[2].drop(columns="cautions"), task[3]), n_permutations=2, n_resamples=1)
    told = found.knowing.set_index("regime")
    assert told["races"].to_dict() == {"dominator": 40, "chaos": 0, "fuel_mileage": 0, "balanced": 0}
    assert told["skill"].isna().tolist() == [False, True, True, True] and not recwarn.list
    assert set(found.skill()["regime"]) == {"dominator"}


def test_what_is_saved_comes_back(helpful, tmp_path):
    _, found = helpful
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "races.csv").write_text("race_id\n")
    saved = json.loads(found.save(tmp_path).read_text())
    assert RegimeThresholds.from_dict(saved["thresholds"]) == found.thresholds
    assert found.reweights == bool(saved["predicted"])
    for name in ("table", "by_season"):
        assert pd.DataFrame(saved[name])["skill"].to_numpy() == pytest.approx(getattr(found, name)["skill"].to_numpy())
    assert {"since", "until", "through", "p", "verdict", "helps", "by_season", "sources"} <= set(saved)
    assert len(saved["table"]) == len(found.table) and len(saved["by_race"]) == found.n_races


def test_a_result_speaks(helpful):
    _, found = helpful
    assert repr(found).startswith("TuningResult(") and "\n" not in repr(found)
    assert "in use" in found._repr_html_()
    assert set(FEATURES) < set(found.timeline)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": {"leeder": [1]}}, "grid: leeder unknown"),
        ({"grid": {"leader_share": [5]}}, "leader_share"),
        ({"use": {"leader_share": 5}}, "leader_share"),
        ({"score": "energy+bins"}, "score"),
        ({"since": "2099-01-01"}, "earlier since"),
        ({"until": "soon"}, "until"),
        ({"n_permutations": -1}, "n_permutations"),
    ],
)
def test_a_wish_that_cannot_be_is_said(options, message):
    with pytest.raises(UserError, match=message):
        tune(make_season(100, effect=0.0, seed=9, scored=50), **options)


def test_agreement_of_a_textbook_table():
    a, b = np.repeat([0, 1], 25), np.repeat([0, 1, 0, 1], [20, 5, 10, 15])
    assert kappa(_counts(a, b)) == pytest.approx(0.4)
    assert kappa(_counts(a, a)) == 1.0 and kappa(_counts([0] * 5, [0] * 5)) == 1.0
