"""Regimes: features against a slow twin, labels by hand, probabilities that come back, weights."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dfslab.errors import UserError
from dfslab.regimes._features import (
    FEATURES,
    RegimeThresholds,
    classify_scenario_regime,
    known_regimes,
    race_features,
    regime_codes,
)
from dfslab.regimes._model import (
    FEWEST_RACES,
    REGIMES,
    RegimeModel,
    dominators,
    fit_logit,
    past_conditions,
    race_conditions,
    with_dominator,
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
    assert np.allclose(race_features(out), race_features(drawn))


def test_what_history_lacks_is_missing_not_zero():
    results, races = as_frames(make_drawn(3, np.random.default_rng(3)))
    features = race_features(results.drop(columns="dk_points"), races.drop(columns=["cautions"]))
    assert features[["points_variance", "dominance_ratio", "cautions"]].isna().all(axis=None)
    assert features[["leader_share", "final_green_miles", "dropout_share"]].notna().all(axis=None)
    assert race_features(results.drop(columns="dnf"), races)["dropout_share"].isna().all()
    first = results["race_id"] == "race 000"
    results[["laps_led", "dnf"]] = results[["laps_led", "dnf"]].mask(first, axis=0)
    blank = race_features(results, races)
    assert blank.loc["race 000", ["leader_share", "top2_share", "led_hhi", "dropout_share"]].isna().all()
    assert blank.drop("race 000")[["leader_share", "dropout_share"]].notna().all(axis=None)


FUEL = RegimeThresholds(fuel_miles=100.0)


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
    assert classify_scenario_regime(make_features(**changes), FUEL).tolist() == [label]
    without = "balanced" if label == "fuel_mileage" else label
    assert classify_scenario_regime(make_features(**changes)).tolist() == [without]


def test_labels_belong_to_rows_and_keep_their_index():
    drawn = make_drawn(400, np.random.default_rng(4))
    features = race_features(drawn).rename(index=lambda k: f"s{k}")
    labels = classify_scenario_regime(features, FUEL)
    assert set(labels) == set(REGIMES), "all four are reachable"
    assert labels.index.equals(features.index)
    one_by_one = [classify_scenario_regime(features.iloc[[k]], FUEL).iloc[0] for k in range(50)]
    assert labels.iloc[:50].tolist() == one_by_one
    codes = regime_codes(race_features(drawn), FUEL)
    assert [REGIMES[c] for c in codes] == labels.tolist()


def test_a_higher_threshold_labels_fewer():
    features = race_features(make_drawn(500, np.random.default_rng(5)))
    for name, label in (("leader_share", "dominator"), ("dropout_share", "chaos"), ("fuel_miles", "fuel_mileage")):
        low = RegimeThresholds(**{name: getattr(FUEL, name) * 0.9})
        high = RegimeThresholds(**{name: getattr(FUEL, name) * 1.2})
        a, b = (classify_scenario_regime(features, t) == label for t in (low, high))
        assert a.sum() > b.sum()
        assert (a | ~b).all()


def test_thresholds_survive_a_round_trip_and_refuse_unknown_names():
    thresholds = RegimeThresholds(leader_share=0.45, fuel_miles=90.0)
    assert RegimeThresholds.from_dict(thresholds.to_dict()) == thresholds
    with pytest.raises(UserError, match=r"leeder.*leader_share"):
        RegimeThresholds.from_dict({"leeder": 1})


@pytest.mark.parametrize(
    "values",
    [{"leader_share": 1.2}, {"leader_share": 0.0}, {"dropout_share": -1}, {"cautions": 0}, {"fuel_miles": np.nan}],
)
def test_thresholds_out_of_bounds_are_refused(values):
    with pytest.raises(UserError, match=next(iter(values))):
        RegimeThresholds(**values)
    with pytest.raises(UserError, match="a number from"):
        RegimeThresholds.from_dict(dict.fromkeys(values, "much"))


def test_a_label_is_known_where_its_features_and_those_of_the_labels_before_it_are():
    features = pd.DataFrame(0.0, range(4), list(FEATURES))
    for row, name in enumerate(("final_green_miles", "cautions", "leader_share"), start=1):
        features.loc[row, name] = np.nan
    expected = [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert known_regimes(features, FUEL).astype(int).tolist() == expected
    expected[1] = [1, 1, 1, 1]
    assert known_regimes(features, RegimeThresholds()).astype(int).tolist() == expected


# ---------------------------------------------------------------- before the race


def test_conditions_by_hand():
    worth = np.array([2.0, 1.0, 0.5, 0.5, 0.0, 0.0, -4.0])
    told = race_conditions(worth, [3, 1, 2, 4, 5, 6, 7], "road")
    assert told == pytest.approx({"superspeedway": 0.0, "road": 1.0, "favourite": (2.0 - 4.0 / 6) + 1.0})
    assert race_conditions(worth, None, "short")["favourite"] == pytest.approx((2.0 - 4.0 / 6) + 2.0)
    assert race_conditions(worth + 5, None, "short")["favourite"] == pytest.approx((2.0 - 4.0 / 6) + 2.0)


def make_conditions(n: int, rng, effect: float):
    """Return conditions, features and chances of a history where the favourite moves a dominator's log-odds.

    The log-odds of a dominator are `effect` times the favourite; of the others three in ten are chaos.
    """
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
    chance = 1 / (1 + np.exp(-effect * favourite))
    dominated, wrecked = rng.random(n) < chance, rng.random(n) < 0.3
    features = pd.DataFrame(0.0, conditions.index, list(FEATURES)).assign(
        leader_share=np.where(dominated, 0.7, 0.3), dropout_share=np.where(wrecked, 0.5, 0.1)
    )
    return conditions, features, chance


def test_the_logit_recovers_what_moves_a_dominator():
    conditions, features, chance = make_conditions(2000, np.random.default_rng(0), effect=1.2)
    model = RegimeModel.fit(conditions, features)
    simulated = np.array([0.3, 0.3, 0.1, 0.3])
    told = np.array([model.probabilities(c, simulated) for _, c in conditions.iloc[:300].iterrows()])
    assert np.abs(told[:, 0] - chance[:300]).max() < 0.07
    assert np.allclose(told.sum(axis=1), 1.0)
    assert told[:, 1:] == pytest.approx((1 - told[:, :1]) * np.array([3, 1, 3]) / 7), "the rest is the simulator's"


def test_without_a_penalty_the_kernel_is_the_logit_of_statsmodels():
    from statsmodels.discrete.discrete_model import Logit

    rng = np.random.default_rng(0)
    design = np.column_stack([np.ones(150), rng.normal(size=(150, 3))])
    outcomes = (rng.random((4, 150)) < 1 / (1 + np.exp(-design @ [0.4, -1.0, 0.5, 2.0]))).astype(np.int8)
    outcomes[2, rng.random(150) < 0.3] = -1
    for row in outcomes:
        found = fit_logit(design, row, ridge=0.0)
        assert found == pytest.approx(Logit(row[row >= 0], design[row >= 0]).fit(disp=0).params, abs=1e-6)
        assert np.abs(fit_logit(design, row, ridge=50.0)[1:]).sum() < np.abs(found[1:]).sum()


def test_a_logit_with_nothing_to_learn_from_is_missing():
    design = np.ones((FEWEST_RACES, 1))
    alike, few = np.zeros(FEWEST_RACES, np.int8), np.full(FEWEST_RACES, -1, np.int8)
    few[:5] = [0, 1, 0, 1, 1]
    assert np.isnan(fit_logit(design, alike)).all() and np.isnan(fit_logit(design, few)).all()


def test_short_history_leaves_the_simulator_as_it_is():
    conditions, features, _ = make_conditions(FEWEST_RACES - 1, np.random.default_rng(0), effect=1.0)
    simulated = np.array([0.2, 0.3, 0.1, 0.4])
    assert np.array_equal(RegimeModel.fit(conditions, features).probabilities({}, simulated), simulated)


def test_no_regime_predicted_leaves_the_simulator_as_it_is():
    conditions, features, _ = make_conditions(200, np.random.default_rng(0), effect=1.0)
    simulated = np.array([0.2, 0.3, 0.1, 0.4])
    model = RegimeModel.fit(conditions, features, reweights=False)
    assert np.array_equal(model.probabilities({}, simulated), simulated)


def test_a_race_whose_laps_nobody_recorded_is_no_evidence_for_or_against_a_dominator():
    conditions, features, _ = make_conditions(400, np.random.default_rng(0), effect=0.0)
    blank = features.copy()
    blank.iloc[:200, FEATURES.index("leader_share")] = np.nan
    later = RegimeModel.fit(conditions.iloc[200:], features.iloc[200:])
    found = RegimeModel.fit(conditions, blank)
    ask, simulated = conditions.iloc[0], np.full(4, 0.25)
    assert found.probabilities(ask, simulated) == pytest.approx(later.probabilities(ask, simulated), abs=2e-3)
    zero = RegimeModel.fit(conditions, blank.fillna(0.0))
    assert abs(found.probabilities(ask, simulated)[0] - zero.probabilities(ask, simulated)[0]) > 0.05


def test_dominators_and_probabilities_by_hand():
    codes, known = np.array([0, 1, 2, 3, 3]), np.ones((5, 4), bool)
    known[4] = False
    assert dominators(codes, known).tolist() == [1, 0, 0, 0, -1]
    simulated = np.array([0.1, 0.3, 0.2, 0.4])
    assert with_dominator(simulated, np.nan) == pytest.approx(simulated)
    assert with_dominator(simulated, 0.55) == pytest.approx([0.55, 0.15, 0.1, 0.2])


def test_base_rates_are_shrunk_counts_over_races_where_it_is_known():
    conditions, features, _ = make_conditions(90, np.random.default_rng(1), effect=0.0)
    features.iloc[:30, FEATURES.index("cautions")] = np.nan
    features["final_green_miles"] = np.nan
    model = RegimeModel.fit(conditions, features, FUEL)
    chaos = ((features["leader_share"] < 0.5) & (features["dropout_share"] >= 0.25)).to_numpy()[30:]
    here = (conditions["track_type"] == "road").to_numpy()[30:]
    expected = (chaos[here].sum() + 8 * chaos.mean()) / (here.sum() + 8)
    rates = model.base_rates.set_index(["track_type", "regime"])
    assert rates.loc[("road", "chaos")].tolist() == pytest.approx([expected, here.sum()])
    assert rates.loc[("all", "chaos"), "rate"] == pytest.approx(chaos.mean())
    assert rates.loc["all", "races"].tolist() == [90, 60, 0, 0]
    assert np.isnan(rates.loc[("road", "fuel_mileage"), "rate"]), "what nobody recorded is not zero"


def test_past_conditions_are_in_order_of_date():
    worth = pd.DataFrame({"race_id": ["b", "b", "a", "a"], "driver": ["x", "y"] * 2, "log_worth": [1.0, -1, 0.2, -0.2]})
    results = worth[["race_id", "driver"]].assign(start=[2, 1, 1, 2])
    races = pd.DataFrame({"race_id": ["b", "a"], "date": ["2024-03-01", "2024-02-01"], "track_type": ["road", "short"]})
    past = past_conditions(worth, results, races)
    assert past.index.tolist() == ["a", "b"]
    assert past["favourite"].tolist() == pytest.approx([0.2 + 0.2, 1.0 - 1.0])
    assert past["track_type"].tolist() == ["short", "road"]
