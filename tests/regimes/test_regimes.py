"""Regimes: features against a slow twin, labels by hand, probabilities that come back, weights, tuning."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dfslab.regimes._features import (
    FEATURES,
    REGIMES,
    RegimeThresholds,
    classify_scenario_regime,
    feature_matrix,
    race_features,
    regime_codes,
)
from dfslab.regimes._model import (
    FEWEST_RACES,
    RegimeModel,
    TuningResult,
    _case,
    _kappa,
    _Task,
    past_conditions,
    race_conditions,
    regime_weights,
    tune_thresholds,
)


@dataclass(frozen=True)
class Drawn:
    """The arrays of `Scenarios` that features and tuning read."""

    drivers: np.ndarray
    start: np.ndarray
    finish: np.ndarray
    laps_led: np.ndarray
    points: np.ndarray
    dropped_out: np.ndarray
    crashed: np.ndarray
    cautions: np.ndarray
    caution_laps: np.ndarray
    longest_green_run: np.ndarray
    final_green_run: np.ndarray
    track_length_mi: float = 1.5


def make_drawn(n: int, rng, drivers: int = 12, leader=None) -> Drawn:
    """Draw `n` scenarios without a model; `leader` (n,) is the share of laps the winner leads."""
    places = np.arange(1, drivers + 1)
    start = np.tile(places, (n, 1))
    finish = np.argsort(np.argsort(rng.random((n, drivers)), axis=1), axis=1) + 1
    share = rng.uniform(0.2, 0.9, n) if leader is None else np.asarray(leader)
    rest = rng.dirichlet(np.ones(drivers - 1), n) * (1 - share)[:, None]
    led = np.rint(200 * np.take_along_axis(np.column_stack([share, rest]), finish - 1, axis=1))
    gone = finish > drivers - rng.integers(0, drivers // 2, n)[:, None]
    final = rng.integers(1, 120, n)
    return Drawn(
        drivers=np.array([f"driver {k}" for k in places], object),
        start=start,
        finish=finish,
        laps_led=led,
        points=45.0 - finish + 0.25 * led + start - finish,
        dropped_out=gone,
        crashed=gone & (rng.random((n, drivers)) < 0.5),
        cautions=rng.integers(0, 16, n),
        caution_laps=rng.integers(0, 60, n),
        longest_green_run=final + rng.integers(0, 30, n),
        final_green_run=final,
    )


def as_frames(drawn: Drawn):
    """Write scenarios as history."""
    n, d = drawn.finish.shape
    ids = np.array([f"race {k:03d}" for k in range(n)])
    results = pd.DataFrame(
        {
            "race_id": ids.repeat(d),
            "driver": np.tile(drawn.drivers, n),
            "start": drawn.start.ravel(),
            "finish": drawn.finish.ravel(),
            "laps_led": drawn.laps_led.ravel(),
            "dk_points": drawn.points.ravel(),
            "dnf": drawn.dropped_out.ravel() * 1,
            "dnf_crash": drawn.crashed.ravel() * 1,
        }
    )
    facts = ("cautions", "caution_laps", "longest_green_run", "final_green_run")
    races = pd.DataFrame({"race_id": ids, "track_length_mi": 1.5, **{k: getattr(drawn, k) for k in facts}})
    return results, races


# ---------------------------------------------------------------- features and labels


def test_features_equal_a_slow_twin():
    drawn = make_drawn(30, np.random.default_rng(0))
    fast = race_features(drawn)
    for s in range(30):
        led, points = drawn.laps_led[s], np.sort(drawn.points[s])[::-1]
        share = np.sort(led / led.sum())[::-1]
        expected = {
            "leader_share": share[0],
            "top2_share": share[:2].sum(),
            "led_hhi": (share**2).sum(),
            "dominance_ratio": points[:2].mean() / max(points[2:].mean(), 1.0),
            "points_variance": points.var(),
            "dropout_share": drawn.dropped_out[s].mean(),
            "start_finish_correlation": stats.spearmanr(drawn.start[s], drawn.finish[s]).statistic,
            "cautions": drawn.cautions[s],
            "caution_laps": drawn.caution_laps[s],
            "longest_green_run": drawn.longest_green_run[s],
            "final_green_run": drawn.final_green_run[s],
            "final_green_miles": drawn.final_green_run[s] * 1.5,
        }
        assert fast.loc[s].to_dict() == pytest.approx(expected)
    assert tuple(fast.columns) == FEATURES


def test_history_and_scenarios_have_the_same_features():
    drawn = make_drawn(25, np.random.default_rng(1))
    results, races = as_frames(drawn)
    shuffled = results.sample(frac=1.0, random_state=0)
    told = race_features(shuffled, races).sort_index()
    assert np.allclose(told.to_numpy(), race_features(drawn).to_numpy())


def test_drivers_who_did_not_race_do_not_count():
    drawn = make_drawn(5, np.random.default_rng(2))
    wide = {
        k: np.column_stack([getattr(drawn, k), np.zeros(5)])
        for k in ("start", "finish", "laps_led", "points", "dropped_out")
    }
    facts = {k: getattr(drawn, k) for k in ("cautions", "caution_laps", "longest_green_run", "final_green_run")}
    out = Drawn(drawn.drivers, **wide, crashed=drawn.crashed, **facts)
    assert np.allclose(feature_matrix(out), feature_matrix(drawn))


def test_what_history_lacks_is_missing_not_zero():
    results, races = as_frames(make_drawn(3, np.random.default_rng(3)))
    features = race_features(results.drop(columns="dk_points"), races.drop(columns=["cautions"]))
    assert features[["points_variance", "dominance_ratio", "cautions"]].isna().all(axis=None)
    assert features[["leader_share", "final_green_miles", "dropout_share"]].notna().all(axis=None)
    assert race_features(results.drop(columns="dnf"), races)["dropout_share"].isna().all()


def make_features(**changes) -> pd.DataFrame:
    quiet = dict.fromkeys(FEATURES, 0.0) | {"leader_share": 0.3, "cautions": 6.0, "final_green_miles": 20.0}
    return pd.DataFrame([quiet | changes])


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "balanced"),
        ({"leader_share": 0.5}, "dominator"),
        ({"leader_share": 0.4999}, "balanced"),
        ({"dropout_share": 0.25}, "chaos"),
        ({"cautions": 12}, "chaos"),
        ({"final_green_miles": 100}, "fuel_mileage"),
        ({"final_green_miles": 130, "cautions": 14}, "chaos"),
        ({"final_green_miles": 130, "cautions": 14, "leader_share": 0.6}, "dominator"),
        ({"cautions": np.nan, "final_green_miles": np.nan}, "balanced"),
    ],
)
def test_labels_by_hand(changes, label):
    assert classify_scenario_regime(make_features(**changes)).tolist() == [label]


def test_labels_belong_to_rows_and_keep_their_index():
    drawn = make_drawn(400, np.random.default_rng(4))
    features = race_features(drawn).rename(index=lambda k: f"s{k}")
    labels = classify_scenario_regime(features)
    assert set(labels) == set(REGIMES), "all four are reachable"
    assert labels.index.equals(features.index)
    one_by_one = [classify_scenario_regime(features.iloc[[k]]).iloc[0] for k in range(50)]
    assert labels.iloc[:50].tolist() == one_by_one
    codes = regime_codes(feature_matrix(drawn), RegimeThresholds())
    assert [REGIMES[c] for c in codes] == labels.tolist()


def test_a_higher_threshold_labels_fewer():
    features = race_features(make_drawn(500, np.random.default_rng(5)))
    for name, label in (("leader_share", "dominator"), ("dropout_share", "chaos"), ("fuel_miles", "fuel_mileage")):
        low = RegimeThresholds(**{name: getattr(RegimeThresholds(), name) * 0.9})
        high = RegimeThresholds(**{name: getattr(RegimeThresholds(), name) * 1.2})
        a, b = (classify_scenario_regime(features, t) == label for t in (low, high))
        assert a.sum() > b.sum()
        assert (a | ~b).all()


def test_thresholds_survive_a_round_trip_and_refuse_unknown_names():
    thresholds = RegimeThresholds(leader_share=0.45, fuel_miles=90.0)
    assert RegimeThresholds.from_dict(thresholds.to_dict()) == thresholds
    with pytest.raises(ValueError, match=r"leeder.*leader_share"):
        RegimeThresholds.from_dict({"leeder": 1})


# ---------------------------------------------------------------- before the race


def test_conditions_by_hand():
    worth = np.array([2.0, 1.0, 0.5, 0.5, 0.0, 0.0, -4.0])
    told = race_conditions(worth, [3, 1, 2, 4, 5, 6, 7], "road")
    assert told == pytest.approx({"superspeedway": 0.0, "road": 1.0, "favourite": (2.0 - 4.0 / 6) + 1.0})
    assert race_conditions(worth, None, "short")["favourite"] == pytest.approx((2.0 - 4.0 / 6) + 2.0)
    assert race_conditions(worth + 5, None, "short")["favourite"] == pytest.approx((2.0 - 4.0 / 6) + 2.0)


def make_conditions(n: int, rng, effect: float):
    """Return conditions and labels in which the favourite moves the log-odds of a dominator by `effect`."""
    kind = rng.choice(["intermediate", "road", "superspeedway"], n)
    favourite = rng.normal(size=n)
    conditions = pd.DataFrame(
        {
            "superspeedway": (kind == "superspeedway") * 1.0,
            "road": (kind == "road") * 1.0,
            "favourite": favourite,
            "track_type": kind,
            "date": pd.Timestamp("2020-01-01") + pd.to_timedelta(5 * np.arange(n), unit="D"),
        },
        index=pd.Index([f"race {k:03d}" for k in range(n)], name="race_id"),
    )
    odds = np.exp(np.column_stack([np.full(n, 0.5), effect * favourite, np.full(n, -0.3)]))
    chance = odds / odds.sum(axis=1, keepdims=True)
    drawn = (rng.random(n)[:, None] > chance.cumsum(axis=1)).sum(axis=1)
    return conditions, pd.Series(np.array(["balanced", "dominator", "chaos"])[drawn], conditions.index), chance


def test_the_logit_recovers_what_moves_a_dominator():
    conditions, labels, chance = make_conditions(2000, np.random.default_rng(0), effect=1.2)
    model = RegimeModel.fit(conditions, labels)
    simulated = np.array([0.3, 0.3, 0.1, 0.3])
    told = np.array([model.probabilities(c, simulated) for _, c in conditions.iloc[:300].iterrows()])
    assert np.abs(told[:, 0] - chance[:300, 1]).max() < 0.07
    assert np.allclose(told.sum(axis=1), 1.0)
    assert told[:, 1:] == pytest.approx((1 - told[:, :1]) * np.array([3, 1, 3]) / 7)
    order = np.argsort(conditions["favourite"].iloc[:300].to_numpy())
    same_kind = order[(conditions["track_type"].iloc[:300] == "intermediate").to_numpy()[order]]
    assert (np.diff(told[same_kind, 0]) >= 0).all(), "a stronger favourite never lowers the chance of a dominator"


def test_short_history_leaves_the_simulator_as_it_is():
    conditions, labels, _ = make_conditions(FEWEST_RACES - 1, np.random.default_rng(0), effect=1.0)
    simulated = np.array([0.2, 0.3, 0.1, 0.4])
    assert np.array_equal(RegimeModel.fit(conditions, labels).probabilities({}, simulated), simulated)


def test_base_rates_are_shrunk_counts():
    conditions, labels, _ = make_conditions(90, np.random.default_rng(1), effect=0.0)
    model = RegimeModel.fit(conditions, labels)
    here = (conditions["track_type"] == "road").to_numpy()
    overall = (labels == "chaos").mean()
    expected = ((labels[here] == "chaos").sum() + 8 * overall) / (here.sum() + 8)
    assert model.base_rate("road")["chaos"] == pytest.approx(expected)
    assert model.base_rate("never raced")["chaos"] == pytest.approx(overall)
    assert model.base_rate("road")["n_races"] == here.sum()


def test_past_conditions_are_in_order_of_date():
    worth = pd.DataFrame({"race_id": ["b", "b", "a", "a"], "driver": ["x", "y"] * 2, "log_worth": [1.0, -1, 0.2, -0.2]})
    results = worth[["race_id", "driver"]].assign(start=[2, 1, 1, 2])
    races = pd.DataFrame({"race_id": ["b", "a"], "date": ["2024-03-01", "2024-02-01"], "track_type": ["road", "short"]})
    past = past_conditions(worth, results, races)
    assert past.index.tolist() == ["a", "b"]
    assert past["favourite"].tolist() == pytest.approx([0.2 + 0.2, 1.0 - 1.0])
    assert past["track_type"].tolist() == ["short", "road"]


# ---------------------------------------------------------------- weights


def test_weights_give_every_regime_its_probability():
    codes = np.random.default_rng(0).integers(0, 4, 500)
    told = np.array([0.4, 0.3, 0.1, 0.2])
    weight = regime_weights(codes, told)
    assert np.bincount(codes, weight) == pytest.approx(told)
    for k in range(4):
        assert np.ptp(weight[codes == k]) == 0.0


def test_a_regime_nobody_shows_leaves_its_probability_to_the_others():
    weight = regime_weights(np.array([0, 0, 1, 3]), np.array([0.4, 0.2, 0.25, 0.15]))
    assert weight == pytest.approx(np.array([0.2, 0.2, 0.2, 0.15]) / 0.75)
    assert regime_weights(np.array([2, 2]), np.array([1.0, 0, 0, 0])).tolist() == [0.5, 0.5]


# ---------------------------------------------------------------- tuning


def make_season(races: int, effect: float, seed: int):
    """Return history whose leader's share follows the favourite, and a simulator that does not know it."""
    rng = np.random.default_rng(seed)
    conditions, _, _ = make_conditions(races, rng, 0.0)
    dominated = rng.random(races) < 1 / (1 + np.exp(-effect * conditions["favourite"].to_numpy()))
    history = make_drawn(races, rng, leader=np.where(dominated, 0.75, 0.28))
    results, facts = as_frames(history)

    def simulate(race_id):
        own = np.random.default_rng(int(race_id[-3:]))
        return make_drawn(300, own, leader=np.where(own.random(300) < 0.5, 0.75, 0.28))

    return simulate, results, facts, conditions


GRID = {"leader_share": (0.4, 0.5, 0.6), "dropout_share": (0.3, 0.9)}


def test_tuning_sees_when_regimes_help():
    task = make_season(160, effect=4.0, seed=0)
    found = tune_thresholds(*task, since="2021-01-01", grid=GRID, rng=np.random.default_rng(0), n_resamples=10)
    assert found.helps
    assert found.gain > found.placebo + 3 * found.placebo_se
    assert found.n_races == (task[3]["date"] >= "2021-01-01").sum()
    best = found.table.loc[found.table["plateau"].idxmax()]
    assert np.isclose(best[["energy", "leader", "crash"]].sum(), best["gain"])
    assert TuningResult.thresholds_from(found.to_dict()) == found.thresholds


def test_tuning_sees_when_regimes_do_not_help():
    task = make_season(160, effect=0.0, seed=1)
    found = tune_thresholds(*task, since="2021-01-01", grid=GRID, rng=np.random.default_rng(0), n_resamples=10)
    assert not found.helps
    assert found.thresholds == RegimeThresholds(), "without a clear gain the thresholds stay"
    assert -1.0 <= found.kappa <= 1.0


def test_tuning_does_not_see_the_races_it_scores():
    simulate, results, facts, conditions = make_season(120, effect=3.0, seed=2)
    last = conditions.index[-1]
    task = _Task(race_features(results, facts), conditions, [])
    case = _case(simulate(last), results[results["race_id"] == last], last)
    task = _Task(task.features, conditions, [case])
    labels = task.labels(RegimeThresholds())
    season = conditions.index[conditions["date"] >= "2021-01-01"]
    other = labels.copy()
    other[season] = "chaos"
    same_year = conditions["date"].dt.year == conditions.loc[last, "date"].year
    assert same_year.loc[season].any()
    before = labels.where(~same_year, "chaos")
    gain = task.gains(RegimeThresholds(), labels)
    assert np.array_equal(gain, task.gains(RegimeThresholds(), before))


def test_the_energy_score_equals_a_double_sum():
    rng = np.random.default_rng(0)
    drawn = make_drawn(40, rng)
    real = as_frames(make_drawn(1, rng))[0]
    case = _case(drawn, real, "race 000")
    weight = rng.dirichlet(np.ones(40))
    points = real["dk_points"].to_numpy()
    near = sum(w * np.linalg.norm(x - points) for w, x in zip(weight, drawn.points, strict=True))
    spread = sum(
        weight[i] * weight[j] * np.linalg.norm(drawn.points[i] - drawn.points[j]) for i in range(40) for j in range(40)
    )
    assert case.losses(weight)[0] == pytest.approx(np.log(near - 0.5 * spread))


def test_kappa_of_a_textbook_table():
    a = ["dominator"] * 25 + ["chaos"] * 25
    b = ["dominator"] * 20 + ["chaos"] * 5 + ["dominator"] * 10 + ["chaos"] * 15
    assert _kappa(a, b) == pytest.approx(0.4)
    assert _kappa(a, a) == 1.0


def test_too_few_races_to_tune_is_said():
    task = make_season(20, effect=0.0, seed=3)
    with pytest.raises(ValueError, match="at least 2"):
        tune_thresholds(*task, since="2099-01-01", rng=np.random.default_rng(0))
