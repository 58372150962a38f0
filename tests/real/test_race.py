"""The simulator on real races it had not seen."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dfslab import race
from dfslab.race import forecast_races, simulator_record
from dfslab.regimes import race_features
from dfslab.slate import Race

KNOWN = ["driver", "car", "team", "manufacturer", "start", "practice_best_rank"]


@pytest.fixture(scope="module")
def cup():
    from pathlib import Path

    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "cup" / "history"
    if not folder.exists():
        pytest.skip("the real data folder ../shared/data is not there")
    results, races = (pd.read_csv(folder / f"{name}.csv", low_memory=False) for name in ("results", "races"))
    return SimpleNamespace(results=results, races=races)


@pytest.fixture(scope="module")
def las_vegas(cup):
    facts = cup.races[cup.races["race_id"] == "2023-03-05-las-vegas"].iloc[0]
    here = Race(
        facts["race_id"],
        facts["date"],
        facts["track"],
        facts["track_type"],
        facts["track_length_mi"],
        facts["sched_laps"],
    )
    entry = cup.results[cup.results["race_id"] == here.race_id][KNOWN].reset_index(drop=True)
    model = race.RaceModel.fit(cup.results, cup.races, before=here.date)
    return here, model.simulate(entry, here, 5000, np.random.default_rng(0))


def real_range(values) -> tuple[float, float]:
    """Return mean minus and plus three standard errors."""
    values = np.asarray(values.dropna(), float)
    return tuple(values.mean() + np.array([-3, 3]) * values.std() / np.sqrt(len(values)))


def test_las_vegas_looks_like_its_track_type(cup, las_vegas):
    here, scenarios = las_vegas
    same = cup.races[(cup.races["track_type"] == here.track_type) & (cup.races["season"] >= 2021)]
    past = cup.results[cup.results["race_id"].isin(same["race_id"])]
    real, drawn = race_features(past, same), race_features(scenarios)
    for name in ("leader_share", "start_finish_correlation"):
        low, high = real_range(real[name])
        assert low < np.average(drawn[name], weights=scenarios.weight) < high, name
    tie = past.groupby("race_id")[["laps_led", "fastest_laps"]].apply(lambda g: g["laps_led"].corr(g["fastest_laps"]))
    pairs = zip(scenarios.laps_led[:500], scenarios.fastest_laps[:500], strict=True)
    assert tie.quantile(0.05) < np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]) < tie.quantile(0.95)


@pytest.fixture(scope="module")
def season(cup):
    return forecast_races(cup.results, cup.races, "2024-07-01", n_scenarios=800, rng=np.random.default_rng(0))


def test_points_beat_climatology_and_are_calibrated(cup, season):
    card = simulator_record(season, cup.results, cup.races, np.random.default_rng(1))
    card = card.set_index("measure")
    score = card.loc["CRPS of points"]
    assert score["difference"] < -2 * score["difference_se"]
    measures = ("points mean", "points sd", "leader_share", "start_finish_correlation", "drop-outs", "crash drop-outs")
    for name in measures:
        assert abs(card.loc[name, "difference"]) < 3.5 * card.loc[name, "difference_se"], name
    assert card.loc["PIT mean of points", "real"] == pytest.approx(0.5, abs=0.02)
    assert card.loc["PIT sd of points", "real"] == pytest.approx(1 / np.sqrt(12), abs=0.02)
