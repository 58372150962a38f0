"""What the history folder may hold beside results: cautions by lap, partly known contests, odds of past races."""

import numpy as np
import pandas as pd
import pytest
from race_files import DRIVERS, RACE, csv_bytes, result_rows, write_history, write_race

from dfslab import data
from dfslab.data._files import write_csvs
from dfslab.data._tables import read_results, read_table
from dfslab.errors import InputError


def _segments(folder, rows):
    header = ["season", "race_no", "start_lap", "end_lap", "laps", "flag", "reason"]
    (folder / "history" / "caution_segments.csv").write_bytes(csv_bytes([header, *rows]))


def _races(folder, *more):
    rows = [["race_id", "date", "season", "race_no", "cautions", "caution_laps", "final_green_run"], *more]
    (folder / "history" / "races.csv").write_bytes(csv_bytes(rows))


def test_cautions_and_green_runs_come_from_the_segments_where_races_lack_them(tmp_path):
    write_history(tmp_path)
    _races(
        tmp_path,
        ["2031-04-06-elmton", "2031-04-06", 2031, 7, "", "", ""],
        ["2031-04-13-oakfield", "2031-04-13", 2031, 8, 9, "", ""],
    )
    runs = [(1, 40, "Green"), (41, 45, "caution"), (46, 90, "green"), (91, 95, "CAUTION"), (96, 100, "green")]
    _segments(tmp_path, [[2031, n, a, b, "", flag, ""] for n in (7, 8) for a, b, flag in runs[::-1]])
    races = data.history(tmp_path).races
    assert races["cautions"].tolist() == [2, 9] and races["caution_laps"].tolist() == [10, 10]
    assert races["final_green_run"].tolist() == [5, 5] and races["longest_green_run"].tolist() == [45, 45]


def test_a_race_that_ends_under_caution_has_its_last_green_run(tmp_path):
    write_history(tmp_path)
    _races(tmp_path, ["2031-04-06-elmton", "2031-04-06", 2031, 7, "", "", ""])
    _segments(tmp_path, [[2031, 7, 1, 30, 30, "green", ""], [2031, 7, 31, 33, 3, "caution", "wreck"]])
    assert data.history(tmp_path).races[["final_green_run", "cautions"]].iloc[0].tolist() == [30, 1]


def test_every_column_of_the_dictionary_is_there_however_little_a_file_holds(tmp_path):
    write_history(tmp_path, [row[:2] + row[3:7] for row in result_rows()])
    _races(tmp_path, ["2031-04-06-elmton", "2031-04-06", "", "", "", "", ""])
    past = data.history(tmp_path)
    assert past.results[["driver_rating", "fastest_laps", "dk_points"]].isna().all(axis=None)
    assert past.races[["track", "track_type", "sched_laps"]].isna().all(axis=None)
    assert past.ownership.empty and past.partial.empty and past.odds.empty


def _partial(folder, rows, contests=()):
    header = ["sport", "contest_id", "contest", "date", "entries", "player", "salary", "own_pct", "complete"]
    path = folder / "contests_2031" / "ownership_partial.csv"
    path.parent.mkdir()
    path.write_bytes(csv_bytes([header, *rows]))
    if contests:
        header = ["contest_id", "date", "name", "type", "entries", "entry_fee"]
        (path.parent / "contests.csv").write_bytes(csv_bytes([header, *contests]))


def test_drivers_of_the_salary_file_who_are_not_listed_are_not_known(tmp_path):
    write_race(tmp_path)
    write_history(tmp_path)
    rows = [
        ["NASCAR", "881", "double_up", "2031-05-04", 50, name.upper(), "", own, "partial"]
        for name, own in zip(DRIVERS, (45.5, 30, 0.4), strict=False)
    ]
    other = ["NASCAR", "", "Big One", "2031-03-02", 900, "Zed Poe", 9000, 12.5, "partial"]
    _partial(
        tmp_path,
        [*rows, other, ["GOLF", "7", "x", "2031-05-04", 9, "A B", 1, 5, ""]],
        [["881", "2031-05-04", "", "", 50, 3]],
    )
    partial = data.history(tmp_path).partial
    here = partial[partial["contest_id"] == "881"]
    assert here["driver"].tolist() == DRIVERS and here["known"].sum() == 3
    np.testing.assert_allclose(here["ownership"].head(3), [0.455, 0.30, 0.004])
    assert here["ownership"].isna().sum() == 9 and here["salary"].notna().all()
    assert here[["race_id", "kind", "entry_fee", "entries"]].drop_duplicates().to_numpy().tolist() == [
        [RACE, "cash", 3, 50]
    ]
    rest = partial[partial["contest_id"] != "881"].iloc[0]
    assert rest[["contest_id", "driver", "known", "kind"]].tolist() == [
        "2031-03-02 Big One",
        "Zed Poe",
        True,
        "tournament",
    ]
    assert data.history(tmp_path, before="2031-05-04").partial["contest_id"].tolist() == ["2031-03-02 Big One"]


PRICES = [
    (["+450", "-150", "EVEN", "+100"], None, [100 / 550, 0.6, 0.5, 0.5]),
    (["450", "+1200"], None, [100 / 550, 100 / 1300]),
    (["\u2212110", "–200"], None, [110 / 210, 2 / 3]),
    (["5.50", "2", "evs"], None, [1 / 5.5, 0.5, 0.5]),
    (["9/2", "1/4", "EVENS"], None, [2 / 11, 0.8, 0.5]),
    (["9/2", "+300"], None, [2 / 11, 0.25]),
    (["450", "120"], "american", [100 / 550, 100 / 220]),
    (["101", "2.5"], "decimal", [1 / 101, 0.4]),
    (["9-2", "7/1"], "fractional", [2 / 11, 0.125]),
    (["5.5", "-"], None, [1 / 5.5]),
]


@pytest.mark.parametrize(("prices", "form", "chances"), PRICES)
def test_a_price_is_the_chance_it_says(tmp_path, prices, form, chances):
    rows = [["Driver Name", "Odds", *(["Format"] if form else [])]]
    rows += [[name, price, *([form] if form else [])] for name, price in zip(DRIVERS, prices, strict=False)]
    (tmp_path / "odds.csv").write_bytes(csv_bytes(rows))
    np.testing.assert_allclose(read_table(tmp_path / "odds.csv", "odds")["probability"], chances)


@pytest.mark.parametrize(
    ("prices", "says"),
    [
        (["450", "1200"], "row 2: win is '450'; write its sign, or a column format"),
        (["1.0", "3"], "row 2: win is '1.0'; write a price such as"),
        (["5,50", "3"], "row 2: win is '5,50'"),
        (["+50", "+300"], "row 2: win is '.50'"),
        (["0/5", "3/1"], "row 2: win is '0/5'"),
        (["1/2/3", "3/1"], "row 2: win is '1/2/3'"),
        (["favourite", "3"], "row 2: win is 'favourite'"),
        (["1.2"] * 5, "the chances add up to 417%; these are not prices of a win"),
    ],
)
def test_a_price_that_is_none_or_two_is_refused(tmp_path, prices, says):
    (tmp_path / "odds.csv").write_bytes(csv_bytes([["driver", "win"], *zip(DRIVERS, prices, strict=False)]))
    with pytest.raises(InputError, match=says):
        read_table(tmp_path / "odds.csv", "odds")


def test_odds_go_by_the_names_of_the_race_and_those_of_another_race_are_refused(tmp_path):
    folder = write_race(tmp_path)
    (folder / "odds.csv").write_bytes(csv_bytes([["driver", "win"], *[[name.upper(), 12] for name in DRIVERS]]))
    assert data.open_folder(RACE, tmp_path).odds["driver"].tolist() == DRIVERS
    (folder / "odds.csv").write_bytes(csv_bytes([["driver", "win"], *[[name, 14] for name in [*DRIVERS, "Zeno Late"]]]))
    odds = data.open_folder(RACE, tmp_path).odds
    assert len(odds) == 12 and odds.attrs["notes"] == ("odds.csv: Zeno Late not in this race, not used.",)
    (folder / "odds.csv").write_bytes(csv_bytes([["driver", "win"], *[[f"Xaver {n}", 12] for n in "ABCDEFGHIJKL"]]))
    with pytest.raises(InputError, match=r"odds.csv: it holds 0 of the 12 drivers"):
        _ = data.open_folder(RACE, tmp_path).odds


def test_odds_of_past_races_are_kept_by_race(tmp_path):
    write_history(tmp_path)
    rows = [["race_id", "driver", "win"]]
    rows += [[race, name, 12] for race in ("2031-04-06-elmton", "2031-04-13-oakfield") for name in DRIVERS]
    (tmp_path / "history" / "odds.csv").write_bytes(csv_bytes(rows))
    assert data.history(tmp_path).odds.groupby("race_id")["probability"].sum().tolist() == pytest.approx([1, 1])
    assert data.history(tmp_path, before="2031-04-13").odds["race_id"].unique().tolist() == ["2031-04-06-elmton"]


@pytest.mark.parametrize("header", ["fastest_lap", "fastestlaps_", "Fastest Laps!", "fast_laps", "fastest lap s"])
def test_a_column_of_the_history_that_nearly_fits_is_read_or_named(tmp_path, header):
    rows = result_rows()
    rows[0][7] = header
    write_history(tmp_path, rows)
    past = data.history(tmp_path)
    assert past.results["fastest_laps"].notna().all() or past.notes == (
        f"history/results.csv: column {header} was not read; is it fastest_laps?",
    )


def test_what_a_fetch_or_an_ingest_writes_is_read_back_before_it_is_moved(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("old")
    wrong = pd.DataFrame({"race_id": ["r", "r"], "date": "2031-05-04", "driver": ["A", "A"]})
    with pytest.raises(InputError, match=r"results.csv as it would be: 'start' is missing"):
        write_csvs({path: wrong}, {path: read_results})
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["results.csv"]
