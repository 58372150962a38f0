"""Odds in a race's folder reach the simulator, however they are written."""

import shutil

import numpy as np
import pandas as pd
import pytest

from dfslab import data, race, workflow
from dfslab.errors import UserError


@pytest.fixture
def folder(tmp_path):
    race_id = max(data.list_races(workflow.SAMPLE))
    shutil.copytree(workflow.SAMPLE / "history", tmp_path / "history")
    shutil.copytree(workflow.SAMPLE / "races" / race_id, tmp_path / "races" / race_id)
    return tmp_path, tmp_path / "races" / race_id / "odds.csv"


def decimal(wins) -> list[str]:
    return [f"{1 + w / 100:.2f}" for w in wins]


def american(wins) -> list[str]:
    return [f"+{w}" for w in wins]


def spellings(names, wins) -> dict[str, pd.DataFrame]:
    """Return one market, `wins` dollars a hundred (the first even), as six bookmakers would write it."""
    plain, even = pd.DataFrame({"driver": names}), np.where(np.arange(len(wins)) == 0, "EVEN", american(wins))
    fractional = ["evens", *(f"{w}/100" for w in wins[1:])]
    books = [plain.assign(Odds=decimal(wins), Bookmaker=book) for book in ("one", "two")]
    return {
        "decimal": plain.assign(win=decimal(wins)),
        "american": plain.assign(win=american(wins), source="a site", time="2026-08-22 09:00"),
        "american without signs": plain.assign(win=wins, format="american"),
        "fractional": plain.assign(win=fractional),
        "by book": pd.concat(books),
        "other names, any order": plain.assign(driver=plain["driver"].str.upper(), win=even).sample(
            frac=1, random_state=1
        ),
    }


def test_one_market_in_six_spellings_is_one_race_day(folder):
    data_dir, path = folder
    names = workflow.open_race("", data_dir).slate.starters["driver"].to_numpy()
    wins = np.array([100, *range(350, 350 + 150 * (len(names) - 1), 150)])
    days = {}
    for spelling, frame in spellings(names, wins).items():
        frame.to_csv(path, index=False)
        days[spelling] = workflow.open_race("", data_dir)
    first = days["decimal"]
    assert first.slate.starters["market"].sum() == pytest.approx(1.0)
    assert first.slate.starters["market"].is_monotonic_decreasing
    for spelling, day in days.items():
        pd.testing.assert_frame_equal(day.slate.starters, first.slate.starters, obj=spelling)
        assert day.notes == first.notes and day.facts() == first.facts(), spelling


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (["450", "600", "900"], "win is '450'; write its sign, or a column format: american"),
        (["3.5", "600", "900"], "win is '600'; write its sign, or a column format: american"),
        (["+450", "4.5", "+900"], "win is '4.5'; write a price such as 5.50, \\+450 or 9/2"),
        (["22%", "15%", "10%"], "win is '22%'; write a price such as"),
    ],
)
def test_odds_that_could_be_two_things_are_refused_with_a_sentence(folder, prices, message):
    data_dir, path = folder
    names = workflow.open_race("", data_dir).slate.starters["driver"][:3]
    pd.DataFrame({"driver": names, "win": prices}).to_csv(path, index=False)
    with pytest.raises(UserError, match=message):
        workflow.open_race("", data_dir)


def test_odds_move_the_favourite_and_say_so(folder):
    data_dir, path = folder
    day = workflow.open_race("", data_dir)
    names = day.slate.starters["driver"].to_numpy()
    model = workflow.fit_race_model(day)
    plain = workflow.simulate_race(day, 1000, model)
    last = plain.probability(plain.finish == 1).idxmin()
    order = [last, *names[names != last]]
    wins = np.linspace(200, 20_000, len(names)).round()
    pd.DataFrame({"driver": order, "win": [*decimal(wins[:-1]), "-"], "format": "decimal"}).to_csv(path, index=False)
    day = workflow.open_race("", data_dir)
    moved = workflow.simulate_race(day, 1000, model)
    assert moved.probability(moved.finish == 1)[last] > plain.probability(plain.finish == 1)[last] + 0.05
    assert any("odds.csv" in note for note in day.notes)


def test_a_market_is_taken_from_one_place(folder):
    data_dir, path = folder
    names = workflow.open_race("", data_dir).slate.starters["driver"].to_numpy()
    pd.DataFrame({"driver": names, "win": decimal(np.linspace(350, 9000, len(names)))}).to_csv(path, index=False)
    day = workflow.open_race("", data_dir)
    chances = race.market_chances(day.files.odds, day.slate.starters["driver"])
    np.testing.assert_array_equal(day.slate.starters["market"], chances)
