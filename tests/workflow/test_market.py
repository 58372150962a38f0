"""Odds in a race's folder reach the simulator, however they are written."""

import shutil

import numpy as np
import pandas as pd
import pytest

from dfslab import data, race, workflow


@pytest.fixture
def folder(tmp_path):
    race_id = max(data.list_races(workflow.SAMPLE))
    shutil.copytree(workflow.SAMPLE / "history", tmp_path / "history")
    shutil.copytree(workflow.SAMPLE / "races" / race_id, tmp_path / "races" / race_id)
    return tmp_path, tmp_path / "races" / race_id / "odds.csv"


SPELLINGS = {
    "decimal": "{:.2f}",
    "american": "+{:.0f}",
    "fractional": "{:.0f}/100",
}


def written(names, wins, spelling) -> pd.DataFrame:
    """Return odds of `wins` dollars a hundred in one spelling; the last driver has a dash."""
    prices = [SPELLINGS[spelling].format(1 + w / 100 if spelling == "decimal" else w) for w in wins]
    return pd.DataFrame({"driver": names, "win": [*prices[:-1], "-"], "format": spelling})


def test_one_market_in_three_spellings_is_one_race_day(folder):
    data_dir, path = folder
    names = workflow.open_race("", data_dir).slate.starters["driver"].to_numpy()
    wins = np.linspace(350, 9000, len(names)).round()
    found = []
    for spelling in SPELLINGS:
        written(names, wins, spelling).to_csv(path, index=False)
        found.append(workflow.open_race("", data_dir).slate.starters["market"])
    for other in found[1:]:
        pd.testing.assert_series_equal(found[0], other)
    assert found[0].sum() == pytest.approx(1.0) and found[0].is_monotonic_decreasing


def test_odds_move_the_favourite_and_say_so(folder):
    data_dir, path = folder
    day = workflow.open_race("", data_dir)
    names = day.slate.starters["driver"].to_numpy()
    model = workflow.fit_race_model(day)
    plain = workflow.simulate_race(day, 1000, model)
    last = plain.probability(plain.finish == 1).idxmin()
    order = [last, *names[names != last]]
    written(order, np.linspace(200, 20_000, len(names)), "decimal").to_csv(path, index=False)
    day = workflow.open_race("", data_dir)
    moved = workflow.simulate_race(day, 1000, model)
    assert moved.probability(moved.finish == 1)[last] > plain.probability(plain.finish == 1)[last] + 0.05
    assert any("odds.csv" in note for note in day.notes)


def test_a_market_is_taken_from_one_place(folder):
    data_dir, path = folder
    names = workflow.open_race("", data_dir).slate.starters["driver"].to_numpy()
    written(names, np.linspace(350, 9000, len(names)).round(), "decimal").to_csv(path, index=False)
    day = workflow.open_race("", data_dir)
    chances = race.market_chances(day.files.odds, day.slate.starters["driver"])
    np.testing.assert_array_equal(day.slate.starters["market"], chances)
