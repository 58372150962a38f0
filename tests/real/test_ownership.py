"""Ownership forecasts of real contests from earlier ones; the cold-start figures never saw the sport."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfslab.ownership import HybridOwnershipEstimator, Prior, walk_forward
from dfslab.ownership._features import read_history
from dfslab.rules import DRAFTKINGS_GOLF, DRAFTKINGS_NASCAR
from dfslab.slate import Race, Slate

ROOT = Path(__file__).resolve().parents[2]


def _script():
    spec = importlib.util.spec_from_file_location("fit_defaults", ROOT / "scripts/fit_ownership_defaults.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = _script()


@pytest.fixture(scope="module")
def golf(shared):
    """Golf walked forward; the cold-start figures come from other sports, the first four contests only teach."""
    prior = SCRIPT.fit_prior(shared, without=("golf",))
    history = SCRIPT.golf(shared).drop(columns="projected_ownership")
    return walk_forward(history, (HybridOwnershipEstimator(DRAFTKINGS_GOLF, prior),), first=4)


@pytest.fixture(scope="module")
def last8(golf):
    return golf.last(8).summary().set_index(["estimator", "score"])["mean"]


def test_golf_errors_of_the_last_eight_contests(last8):
    assert last8["uniform", "mae"] == pytest.approx(5.21, abs=0.01)
    assert last8["salary_only", "mae"] < 3.38
    assert last8["hybrid", "mae"] < 2.9


@pytest.mark.parametrize("score", ["mae", "log_score", "crps", "interval80%"])
def test_golf_gains_over_salary_alone_are_no_accident(golf, score):
    gain = golf.compare("hybrid", score).set_index("against").loc["salary_only"]
    assert gain["gain"] > 0
    if score in ("mae", "log_score"):
        assert gain["gain"] > 2 * gain["se"]


@pytest.mark.parametrize(("level", "off"), [("50%", 0.06), ("80%", 0.06), ("95%", 0.03)])
def test_golf_bands_cover_what_they_say(last8, level, off):
    assert last8["hybrid", f"cover{level}"] == pytest.approx(float(level[:-1]) / 100, abs=off)


def test_a_vendor_improves_on_both(shared):
    history = SCRIPT.golf(shared)
    now = history[history["projected_ownership"].notna() & history["salary"].notna()]
    before = history[history["date"] < now["date"].iloc[0]]
    fitted = HybridOwnershipEstimator(DRAFTKINGS_GOLF).fit(before)
    fact = 6 * now["ownership"].to_numpy() / now["ownership"].sum()

    def error(*columns):
        slate = Slate.from_frame(now[["driver", "salary", *columns]], DRAFTKINGS_GOLF)
        return 100 * np.abs(fitted.predict(slate).to_numpy() - fact).mean()

    vendor = 100 * np.abs(6 * now["projected_ownership"] / now["projected_ownership"].sum() - fact).mean()
    assert error("projected_ownership") < min(vendor, error())


def test_a_contest_that_misses_players_is_left_out(shared):
    table = pd.read_csv(shared / "pga/ownership.csv")
    broken = table[table["contest"] == "RBC_Canadian_2026"]
    frame = broken.drop(columns="contest_id").rename(columns={"contest": "contest_id", "player": "driver"})
    frame = frame.assign(ownership=frame["own_pct"] / 100, salary=7000)
    boards, notes = read_history(frame, DRAFTKINGS_GOLF)
    assert not boards
    assert "drivers are missing" in notes[0]


def _cup_error(history, columns) -> pd.Series:
    errors = {}
    fitted = HybridOwnershipEstimator().fit()
    for contest_id, rows in history.groupby("contest_id"):
        race = Race("cup", rows["date"].iloc[0], "", "intermediate", 1.5, 267)
        own = fitted.predict(Slate.from_frame(rows[["driver", "salary", *columns]], race=race)).to_numpy()
        known = rows["ownership"].notna().to_numpy()
        errors[contest_id] = 100 * np.abs(own - rows["ownership"].to_numpy())[known].mean()
    return pd.Series(errors)


def test_the_first_cup_race_is_forecast_without_any_history(shared):
    history = SCRIPT.cup(shared)
    salary, vendor = _cup_error(history, []), _cup_error(history, ["projected_ownership"])
    known = history.dropna(subset="ownership")
    blind = (100 * (known["ownership"] - 6 / 38).abs()).groupby(known["contest_id"]).mean()
    assert (salary < blind).all()
    assert (vendor < 0.7 * salary).all()
    told = (100 * (known["ownership"] - known["projected_ownership"]).abs()).groupby(known["contest_id"]).mean()
    assert vendor.mean() < told.mean() + 0.3


def test_partial_cup_contests_teach_what_is_known(shared):
    history = SCRIPT.cup(shared)
    boards, notes = read_history(history, DRAFTKINGS_NASCAR)
    assert len(boards) == 5
    assert not notes
    later = history[history["date"] == history["date"].max()]
    rows = later[later["contest_id"] == later["contest_id"].iloc[0]]
    known = rows["ownership"].notna().to_numpy()

    def error(past):
        own = HybridOwnershipEstimator().fit(past).predict(Slate.from_frame(rows[["driver", "salary"]])).to_numpy()
        return np.abs(own - rows["ownership"].to_numpy())[known].mean()

    assert error(history[history["contest_id"] != rows["contest_id"].iloc[0]]) < error(None)


def test_the_shipped_figures_are_what_the_script_gives(shared):
    again = SCRIPT.fit_prior(shared).to_dict()
    shipped = json.loads((ROOT / "dfslab/ownership/defaults.json").read_text(encoding="utf-8"))
    assert again["source"] == shipped["source"]
    assert again["size_slope"] == pytest.approx(shipped["size_slope"], abs=0.005)
    for name, rows in shipped["coefficients"].items():
        np.testing.assert_allclose(again["coefficients"][name], rows, atol=0.05)
    np.testing.assert_allclose(again["residuals"]["quantiles"], shipped["residuals"]["quantiles"], atol=0.1)
    assert Prior.from_dict(shipped) == Prior.shipped()
