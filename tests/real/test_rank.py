"""The finish model and the simulator on real races they had not seen, against attrition on driver and start."""

import numpy as np
import pandas as pd
import pytest

from dfslab.race import FinishModel, FinishRecord, finish_record, fit_attrition, fit_plackett_luce
from dfslab.slate import Race


@pytest.fixture(scope="module")
def history(shared):
    folder = shared / "cup" / "history"
    return pd.read_csv(folder / "results.csv", low_memory=False), pd.read_csv(folder / "races.csv")


@pytest.fixture(scope="module")
def record(history):
    return finish_record(*history, "2022-01-01", "2025-06-30", n_scenarios=5_000, months=6)


def test_the_known_best_is_beaten_by_more_than_twice_its_error(record):
    table = record.skill().set_index(["model", "score"])
    assert table.loc[("attrition", "rps"), "mean"] == pytest.approx(5.51, abs=0.02)  # the figure it is known for
    ours = table.loc["model"]
    assert ours.loc["rps", "n"] == 126
    assert ours.loc["rps", "mean"] <= 5.35 and ours.loc["top10_brier", "mean"] <= 0.164
    assert ours.loc["winner_log_score", "mean"] >= -2.99 and ours.loc["spearman", "mean"] >= 0.415
    for score in ("rps", "top10_brier"):
        assert ours.loc[score, "difference"] < -2 * ours.loc[score, "difference_se"]


def test_the_gain_is_there_in_the_seasons_kept_for_the_check(record):
    late = FinishRecord(*(frame[frame["season"] >= 2024] for frame in (record.scores, record.drivers)))
    ours = late.skill().set_index(["model", "score"]).loc["model"]
    for score in ("rps", "top10_brier"):
        assert ours.loc[score, "difference"] < -2 * ours.loc[score, "difference_se"]


def test_the_real_slate_gets_a_sensible_order(history, shared):
    folder = shared / "cup" / "races" / "2023-03-05-las-vegas"
    race = Race("2023-03-05-las-vegas", "2023-03-05", "Las Vegas Motor Speedway", "intermediate", 1.5, 267)
    drivers = pd.read_csv(folder / "starting_lineup.csv")
    model = FinishModel.fit(*history, before="2023-03-05")
    worth = model.log_worth(drivers, race)
    assert np.isfinite(worth).all() and 0.4 < worth.std() < 1.5
    assert np.corrcoef(worth, drivers["start"])[0, 1] < -0.5
    chance = np.exp(worth) / np.exp(worth).sum()
    assert 0.03 < chance.max() < 0.35


@pytest.mark.parametrize("fit", [fit_plackett_luce, fit_attrition])
def test_a_season_can_be_fitted_without_a_ridge(fit, history):
    season = history[0][history[0]["season"] == 2023]
    often = season.groupby("driver")["race_id"].transform("count") >= 30
    model = fit(season[often])
    finish = season[often].groupby("driver")["finish"].mean().reindex(model.log_worth.index)
    assert model.log_worth.corr(finish) < -0.9
