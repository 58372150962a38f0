"""Tuning between races: what is simulated once is not simulated again, and no race knows a later one."""

import pytest

from dfslab import data
from dfslab.errors import UserError
from dfslab.parallel import cache_folder
from dfslab.workflow import SAMPLE, open_race, tune

SMALL = {"grid": {"leader_share": [0.45, 0.55]}, "n_scenarios": 30, "n_permutations": 5, "n_resamples": 2}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFSLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        cache_folder.cache_clear()
        yield
    cache_folder.cache_clear()


@pytest.fixture(scope="module")
def season():
    return data.history(SAMPLE, series="cup")


@pytest.fixture(scope="module")
def tuned(season):
    return tune.tune_thresholds(season, since="2025-08-01", until="2026-06-01", **SMALL)


def test_tuning_as_of_a_day_scores_the_races_before_it(season, tuned):
    dates = tuned.timeline["date"]
    assert dates.max() < tuned.until and tuned.n_races == ((dates >= "2026-01-01") & (dates < "2026-06-01")).sum()
    assert set(tuned.table["leader_share"]) == {0.45, 0.55}


def test_another_grid_simulates_nothing(season, tuned):
    kept = set((cache_folder() / "stages").iterdir())
    other = SMALL | {"grid": {"leader_share": [0.4]}}
    assert tune.tune_thresholds(season, since="2025-08-01", until="2026-06-01", **other).best.leader_share == 0.4
    assert set((cache_folder() / "stages").iterdir()) == kept


def test_too_short_a_history_is_said(season):
    with pytest.raises(UserError, match="run dfslab fetch for earlier seasons"):
        tune.tune_thresholds(season, until="2024-09-01", **SMALL)


def test_a_race_day_is_tuned_on_the_history_before_it():
    day = open_race("2026-04-26-foxfire").replace(thresholds={"leader_share": 0.55})
    found = tune.tune_thresholds(day, since="2025-08-01", **SMALL)
    assert found.in_use == day.thresholds and found.timeline["date"].max() < day.race.date
