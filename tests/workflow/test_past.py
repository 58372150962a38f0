"""What is known of past races and contests: made once, and one more for one more, to the last digit."""

from dataclasses import replace

import pandas as pd
import pytest

from dfslab import data
from dfslab.ownership import HybridOwnershipEstimator, walk_forward
from dfslab.parallel import cache_folder
from dfslab.workflow import SAMPLE
from dfslab.workflow._cache import cached_walk
from dfslab.workflow._past import fill_history, past_races


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    """Return a function that empties the cache, and tells what is in it."""

    def folder(name):
        monkeypatch.setenv("DFSLAB_CACHE", str(tmp_path / name))
        cache_folder.cache_clear()
        return tmp_path / name / "stages"

    yield folder
    cache_folder.cache_clear()


@pytest.fixture(scope="module")
def history():
    return data.history(SAMPLE, series="cup")


def _first(history, n: int):
    """Return the history as it stood after its first `n` races with a contest."""
    with_contest = history.races["race_id"].isin(history.ownership["race_id"])
    return history.before(history.races["date"][with_contest].sort_values().iloc[n - 1] + pd.Timedelta(days=1))


def test_one_more_contest_simulates_one_more_race_and_changes_no_digit(history, fresh_cache):
    """A race is two files: its scenarios, and what was known of the drivers."""
    files = fresh_cache("step by step")
    fill_history(_first(history, 5), 1)
    assert len(list(files.iterdir())) == 2 * 5
    grown = fill_history(_first(history, 6), 1)
    assert len(list(files.iterdir())) == 2 * 6
    again = fill_history(_first(history, 6), 1)
    assert len(list(files.iterdir())) == 2 * 6
    fresh_cache("at once")
    pd.testing.assert_frame_equal(grown, fill_history(_first(history, 6), 1), check_exact=True)
    pd.testing.assert_frame_equal(grown, again, check_exact=True)


def test_a_past_race_rests_on_earlier_rows_and_its_own_entries_alone(history, fresh_cache):
    fresh_cache("as it was")
    races, last = history.races, history.races["race_id"].iloc[-1]
    known, asked = past_races(history.results, races, [last], 3, 20), history.results["race_id"] == last
    fresh_cache("other finishes")
    wrong = history.results.assign(finish=history.results["finish"].where(~asked, 1))
    other = past_races(wrong, races, [last], 3, 20)
    assert known[last].points.tolist() == other[last].points.tolist()


def test_a_changed_row_is_simulated_anew_with_all_that_come_after_it(history, fresh_cache):
    files = fresh_cache("changed")
    short = _first(history, 6)
    fill_history(short, 1)
    third = short.ownership["race_id"].unique()[2]
    wrong = short.results.assign(finish=short.results["finish"].where(short.results["race_id"] != third, 1))
    fill_history(replace(short, results=wrong), 1)
    assert len(list(files.iterdir())) == 2 * (6 + 4)


def test_one_more_contest_is_one_more_forecast_and_one_more_score(history, fresh_cache):
    """Contests of one day are one file of forecasts, and one of scores."""

    def scores(n):
        past = _first(history, n).ownership
        record = walk_forward(past, n_draws=20, keep=cached_walk)
        return record, HybridOwnershipEstimator().fit(past, cached_walk).predict(SLATE_TO_COME)

    files = fresh_cache("step by step")
    scores(5)
    assert len(list(files.iterdir())) == 2 * 5
    (grown, ahead) = scores(6)
    assert len(list(files.iterdir())) == 2 * 6
    plain = _first(history, 6).ownership
    fresh = walk_forward(plain, n_draws=20)
    for name in ("scores", "drivers", "weights"):
        pd.testing.assert_frame_equal(getattr(grown, name), getattr(fresh, name), check_exact=True)
    pd.testing.assert_series_equal(
        ahead, HybridOwnershipEstimator().fit(plain).predict(SLATE_TO_COME), check_exact=True
    )


SLATE_TO_COME = data.load_slate(data.list_races(SAMPLE)[-1], SAMPLE)


def test_contests_are_forecast_anew_from_the_changed_one_on(history, fresh_cache):
    files, past = fresh_cache("changed"), _first(history, 6).ownership
    HybridOwnershipEstimator().fit(past, cached_walk).predict(SLATE_TO_COME)
    third = past["race_id"].unique()[2]
    wrong = past.assign(ownership=past["ownership"].where(past["race_id"] != third, 1 / 6))
    HybridOwnershipEstimator().fit(wrong, cached_walk).predict(SLATE_TO_COME)
    assert len(list(files.iterdir())) == 6 + 4
