"""Regimes of real races: all four happen, and the chance of a dominator is told with skill before the race."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from dfslab import metrics
from dfslab.race import FinishModel
from dfslab.regimes import (
    REGIMES,
    RegimeModel,
    RegimeThresholds,
    classify_scenario_regime,
    past_conditions,
    race_features,
)
from scripts.docs.regimes import fuel_ties


class History(NamedTuple):
    results: pd.DataFrame
    races: pd.DataFrame


@pytest.fixture(scope="module")
def cup():
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "cup" / "history"
    if not folder.exists():
        pytest.skip("the real data folder ../shared/data is not there")
    read = {name: pd.read_csv(folder / f"{name}.csv", low_memory=False) for name in ("results", "races")}
    return read["results"], read["races"]


@pytest.fixture(scope="module")
def labels(cup):
    return classify_scenario_regime(race_features(*cup), RegimeThresholds(fuel_miles=100))


def test_all_four_regimes_happen(cup, labels):
    assert set(labels) == set(REGIMES)
    known = cup[1].dropna(subset=["final_green_run"])["race_id"]
    assert 0.02 < (labels[known] == "fuel_mileage").mean() < 0.3


def test_features_agree_with_the_published_columns(cup):
    features = race_features(*cup)
    races = cup[1].set_index("race_id").loc[features.index]
    assert np.allclose(features["leader_share"], races["top_led_share"], atol=1e-3)
    assert np.allclose(features["led_hhi"], races["led_hhi"], atol=1e-3)
    assert np.allclose(features["start_finish_correlation"], races["spearman_start_finish"], atol=1e-3)


def test_a_dominator_is_forecast_better_than_by_the_base_rate(cup, labels):
    results, races = cup
    features = race_features(results, races)
    conditions = past_conditions(FinishModel.fit(results, races).past_log_worth(), results, races)
    told, base, happened = [], [], []
    for year in (2022, 2023, 2024, 2025):
        past = conditions[conditions["date"] < f"{year}-01-01"]
        model = RegimeModel.fit(past, features)
        for race_id, row in conditions[conditions["date"].dt.year == year].iterrows():
            told.append(model.probabilities(row, np.full(4, 0.25))[0])
            base.append((labels[past.index] == "dominator").mean())
            happened.append(labels[race_id] == "dominator")
    ours, plain = (metrics.brier(x, happened).mean() for x in (told, base))
    assert ours < 0.98 * plain, (ours, plain)


def test_a_long_last_run_does_not_loosen_laps_led_from_finish(cup):
    results, races = cup
    table = fuel_ties(History(results, races)).set_index("last green run")
    assert table["races"].sum() == races["final_green_run"].notna().sum() == 130
    less, error = map(float, table.loc["beyond the fuel window", "tie, difference"].split(" ± "))
    assert less > -error, "no looser than after a usual run"
    less, error = map(float, table.loc["short", "tie, difference"].split(" ± "))
    assert less < -1.5 * error, "a late restart loosens it"
