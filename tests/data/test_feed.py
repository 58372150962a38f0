"""The feed: a season merged once, faults on the way, and nothing lost or half-written."""

import gzip
import json
import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from feed_server import LIST, driver, files, laps, listed, loop, serving, weekend
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from race_files import DRIVERS, csv_bytes, result_rows

from dfslab import data
from dfslab.data._feed import fetch_season
from dfslab.data._feed_tables import race_tables, scheduled, track_type
from dfslab.data._tables import read_table
from dfslab.errors import InputError

WEEKEND = "/cacher/2031/1/{}/weekend-feed.json"
LOOP = "/loopstats/prod/2031/1/{}.json"
LAPS = "/cacher/2031/1/{}/lap-times.json"
IDS = ("2031-02-16-oakfield", "2031-02-23-daytona", "2031-03-30-bristol")


def _fetch(server, folder, series="cup", attempts=3):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dfslab.data._feed.TIMEOUT", 0.4)
        patch.setattr("dfslab.data._feed.ATTEMPTS", attempts)
        return fetch_season(2031, series, folder, server.url, pause=0.001)


def _files(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (folder / "history").glob("*.csv")}


@pytest.fixture
def server():
    with serving() as running:
        yield running


def test_a_season_becomes_history(server, tmp_path):
    fetched = _fetch(server, tmp_path)
    assert fetched.races == IDS and not fetched.failed
    assert [text.split(" (")[0] for text in fetched.skipped] == ["The Shootout", "Oakfield Autumn"]
    assert "an exhibition" in fetched.skipped[0] and "not run yet" in fetched.skipped[1]
    past = data.history(tmp_path)
    assert past.races["race_no"].tolist() == [1, 2, 3]
    assert past.races["track_type"].tolist() == ["intermediate", "superspeedway", "short"]
    assert past.races["track_length_mi"].tolist() == [1.5] * 3
    assert past.results.groupby("race_id").size().to_dict() == dict.fromkeys(IDS, 12)
    assert any("Oakfield Motor Speedway is not known" in note for note in fetched.notes)


def test_rows_hold_what_the_feed_says(server, tmp_path):
    _fetch(server, tmp_path)
    past = data.history(tmp_path)
    row = past.results.iloc[0]
    assert row[["driver", "team", "status", "nascar_driver_id"]].tolist() == [DRIVERS[0], "Team 0", "running", "100"]
    assert row[["start", "finish", "laps_led", "fastest_laps", "practice_best_rank"]].tolist() == [12, 1, 10, 5, 1]
    assert row["dk_points"] == 45 + 11 + 2.5 + 2.25
    race = past.races.iloc[0]
    assert race[["cautions", "caution_laps", "longest_green_run", "final_green_run"]].tolist() == [1, 2, 5, 5]


def test_fetching_again_asks_little_and_changes_nothing(server, tmp_path):
    _fetch(server, tmp_path)
    before, asked = _files(tmp_path), len(server.asked)
    future = 4_000_000_000
    for path in (tmp_path / "cache").rglob("*.json"):
        os.utime(path, (future, future))
    _fetch(server, tmp_path)
    assert server.asked[asked:] == [LIST] and _files(tmp_path) == before


def test_an_unsettled_race_is_asked_for_again(server, tmp_path):
    _fetch(server, tmp_path)
    changed = weekend(12, [driver(n, n + 1, disqualified=n == 0) for n in range(12)])
    server.content[WEEKEND.format(12)] = json.dumps(changed).encode()
    _fetch(server, tmp_path)
    results = data.history(tmp_path).results
    day = results[results["race_id"] == IDS[1]].set_index("driver")
    assert day.loc[DRIVERS[0], "finish"] == 12 and day.loc[DRIVERS[1], "finish"] == 1
    assert len(results) == 36 and sorted(day["finish"]) == list(range(1, 13))


def test_requests_are_polite(server, tmp_path):
    _fetch(server, tmp_path)
    assert len(server.asked) == 7 == len(set(server.asked)) and all("dfslab" in agent for agent in server.agents)


@pytest.mark.parametrize(
    "fault", [500, 503, 429, "hang", b'{"weekend_race": [{"results": [', b"", b"<html>busy</html>"]
)
def test_a_passing_fault_is_survived(server, tmp_path, fault):
    server.faults = {WEEKEND.format(12): [fault], LIST: [fault]}
    assert _fetch(server, tmp_path).races == IDS
    assert server.asked.count(WEEKEND.format(12)) == 2 == server.asked.count(LIST)


@pytest.mark.parametrize("fault", [500, "hang", b'{"weekend_race": [{"results": ['])
def test_a_lasting_fault_costs_one_race_and_the_next_run_continues(server, tmp_path, fault):
    server.faults = {WEEKEND.format(12): [fault] * 3}
    first = _fetch(server, tmp_path)
    assert first.races == (IDS[0], IDS[2]) and len(first.failed) == 1
    assert "Daytona 10" in first.failed[0] and "after 3 attempts" in first.failed[0]
    assert set(data.history(tmp_path).results["race_id"]) == {IDS[0], IDS[2]}
    second = _fetch(server, tmp_path)
    assert second.races == IDS and not second.failed
    whole = data.history(tmp_path)
    assert whole.races["race_id"].tolist() == list(IDS) and len(whole.results) == 36


def test_a_server_that_is_down_is_left_alone(server, tmp_path):
    for feed_id in (11, 12, 13):
        server.faults[WEEKEND.format(feed_id)] = [500] * 99
    fetched = _fetch(server, tmp_path, attempts=2)
    assert fetched.races == () and "seems to be down" in fetched.failed[-1]
    assert len(server.asked) == 1 + 6 and not (tmp_path / "history" / "results.csv").exists()


def test_a_killed_fetch_goes_on_where_it_stopped(server, tmp_path):
    server.faults = {WEEKEND.format(13): ["hang"]}
    code = "import sys; from dfslab import data; data.fetch_season(2031, 'cup', sys.argv[1], sys.argv[2], pause=0.001)"
    run = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), server.url])
    deadline = time.monotonic() + 60
    while WEEKEND.format(13) not in server.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    run.kill()
    run.wait()
    assert not list((tmp_path / "history").glob("*.csv"))
    saved = [path for path in (tmp_path / "cache").rglob("*.json") if path.name != "race_list_basic.json"]
    assert len(saved) == 4
    for path in saved:
        os.utime(path, (4_000_000_000, 4_000_000_000))
    asked = len(server.asked)
    assert _fetch(server, tmp_path).races == IDS
    assert server.asked[asked:] == [LIST, WEEKEND.format(13), LOOP.format(13)]


@pytest.mark.parametrize(
    ("track", "season", "kind"),
    [
        ("Atlanta Motor Speedway", 2021, "intermediate"),
        ("Atlanta Motor Speedway", 2022, "superspeedway"),
        ("Daytona International Speedway Road Course", 2021, "road"),
        ("Charlotte Motor Speedway Road Course", 2023, "road"),
        ("Bristol Motor Speedway Dirt", 2022, "dirt"),
        ("Nashville Fairgrounds Speedway", 2024, "short"),
        ("Nashville Superspeedway", 2024, "intermediate"),
        ("Indianapolis Motor Speedway Road Course", 2023, "road"),
        ("Indianapolis Motor Speedway", 2024, "large_flat"),
        ("Phoenix Raceway", 2024, "short_flat"),
    ],
)
def test_kinds_of_tracks(track, season, kind):
    assert track_type(track, season, 1.5) == (kind, False)


def test_an_unknown_track_is_taken_by_its_length():
    assert [track_type("Elm Oval", 2030, miles) for miles in (0.5, 1.5, 2.5)] == [
        *(("short", True), ("intermediate", True), ("superspeedway", True))
    ]


def test_failures_here_and_there_do_not_end_a_fetch(server, tmp_path):
    for feed_id in range(11, 16):
        server.content[WEEKEND.format(feed_id)] = json.dumps(weekend(feed_id)).encode()
    season = [listed(feed_id, f"Oakfield {feed_id}", f"2031-03-{feed_id}") for feed_id in range(11, 16)]
    server.content[LIST] = json.dumps({"series_1": season}).encode()
    server.faults = {WEEKEND.format(feed_id): [500] * 9 for feed_id in (11, 12, 14)}
    fetched = _fetch(server, tmp_path, attempts=1)
    assert fetched.races == ("2031-03-13-oakfield", "2031-03-15-oakfield") and len(fetched.failed) == 3


def test_without_the_race_list_nothing_is_touched(server, tmp_path):
    _fetch(server, tmp_path)
    before = _files(tmp_path)
    server.faults = {LIST: [500] * 3}
    with pytest.raises(InputError, match="the server answered 500 after 3 attempts"):
        _fetch(server, tmp_path)
    del server.content[LIST]
    with pytest.raises(InputError, match="no season 2031"):
        _fetch(server, tmp_path)
    assert _files(tmp_path) == before


def test_nobody_listening_is_said_in_words(tmp_path):
    with pytest.raises(InputError, match="no connection after 4 attempts"):
        fetch_season(2031, "cup", tmp_path, "http://127.0.0.1:9", pause=0.001)
    with pytest.raises(InputError, match="write one of cup, xfinity, trucks"):
        fetch_season(2031, "indycar", tmp_path, "http://127.0.0.1:9")


@pytest.mark.parametrize("name", ["driver_fullname", "starting_position", "laps_led", "finishing_position"])
def test_a_changed_field_is_named_and_costs_only_its_race(server, tmp_path, name):
    rows = [driver(n, n + 1) for n in range(12)]
    for row in rows:
        row.pop(name)
    server.content[WEEKEND.format(12)] = json.dumps(weekend(12, rows)).encode()
    fetched = _fetch(server, tmp_path)
    assert fetched.races == (IDS[0], IDS[2])
    assert f"'{name}' is missing" in fetched.failed[0]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"starting_position": 99}, "start is 99; it must be 1 to 60"),
        ({"driver_fullname": DRIVERS[4]}, f"{DRIVERS[4]} is listed twice"),
        ({"driver_fullname": ""}, "driver_fullname is blank"),
        ({"laps_led": -1}, "laps_led is -1"),
    ],
)
def test_odd_values_cost_only_their_race(server, tmp_path, changed, says):
    rows = [driver(n, n + 1, **(changed if n == 3 else {})) for n in range(12)]
    server.content[WEEKEND.format(12)] = json.dumps(weekend(12, rows)).encode()
    fetched = _fetch(server, tmp_path)
    assert fetched.races == (IDS[0], IDS[2]) and says in fetched.failed[0]


def test_a_race_without_finishing_positions_waits(server, tmp_path):
    rows = [driver(n, 0) for n in range(12)]
    server.content[WEEKEND.format(12)] = json.dumps(weekend(12, rows)).encode()
    assert "nobody has a finishing position yet" in _fetch(server, tmp_path).failed[0]


def test_fastest_laps_come_from_lap_times_without_loop_statistics(server, tmp_path):
    del server.content[LOOP.format(11)], server.content[LOOP.format(12)]
    server.content[LAPS.format(11)] = json.dumps(laps()).encode()
    fetched = _fetch(server, tmp_path)
    results = data.history(tmp_path).results.set_index(["race_id", "driver"])["fastest_laps"]
    # Green laps that follow a green lap: 2, 3, 7, 8, 9, 10; even ones are driver 1's, odd ones driver 0's.
    assert results[IDS[0]][DRIVERS[0]] == 3 and results[IDS[0]][DRIVERS[1]] == 3 and results[IDS[0]].sum() == 6
    assert results[IDS[1]].isna().all()
    assert any("counted from the lap times" in note for note in fetched.notes)
    assert any("fastest laps are blank" in note for note in fetched.notes)


def test_names_are_cleaned_and_absent_drivers_listed():
    rows = [driver(n, n + 1) for n in range(12)]
    rows[0]["driver_fullname"], rows[1]["driver_fullname"] = "* Abel  Reed(i)", "# Bruno Mott (P)"
    rows[10]["starting_position"], rows[11]["finishing_position"] = 0, 0
    facts, _ = scheduled({"series_1": [listed(11, "Oakfield 10", "2031-02-16")]}, 1, "cup", "list")
    tables = race_tables(facts[0], weekend(11, rows), loop(), None, "feed")
    assert tables.results["driver"].tolist() == DRIVERS[:11]
    assert tables.results["start"].tolist()[10] == 13
    assert any("Leon Mott did not start" in note for note in tables.notes)
    assert any("Karl Reed has no place on the grid" in note for note in tables.notes)


def test_dropouts_and_crashes():
    rows = [driver(n, n + 1) for n in range(12)]
    for n, status in ((9, "Engine"), (10, "Accident"), (11, "Accident ")):
        rows[n]["finishing_status"] = status
    facts, _ = scheduled({"series_1": [listed(11, "Oakfield 10", "2031-02-16")]}, 1, "cup", "list")
    results = race_tables(facts[0], weekend(11, rows), loop(), None, "feed").results
    assert (results["dnf"].sum(), results["dnf_crash"].sum()) == (3, 2)


def test_cautions_that_do_not_fit_give_no_green_runs():
    facts, _ = scheduled({"series_1": [listed(11, "Oakfield 10", "2031-02-16")]}, 1, "cup", "list")
    race = race_tables(facts[0], weekend(number_of_cautions=4), loop(), None, "feed").race
    assert np.isnan(race["longest_green_run"]) and race["cautions"] == 4


def test_history_already_there_is_completed_not_doubled(server, tmp_path):
    rows = result_rows([("2031-02-16-oakfield-old", "2031-02-16"), ("2030-11-02-elmton", "2030-11-02")])
    rows = [[*row, *(("my note", "qual_pos") if n == 0 else (f"seen {n}", 7))] for n, row in enumerate(rows)]
    rows[1][3] = "A.B. Reed"
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "results.csv").write_bytes(csv_bytes(rows))
    changed = weekend(
        11,
        [
            driver(
                n,
                n + 1,
                **({"driver_fullname": "AB Reed", "driver_id": 900, "qualifying_position": 0} if n == 0 else {}),
            )
            for n in range(12)
        ],
    )
    server.content[WEEKEND.format(11)] = json.dumps(changed).encode()
    fetched = _fetch(server, tmp_path)
    assert fetched.races == ("2031-02-16-oakfield-old", *IDS[1:])
    results = data.history(tmp_path).results
    day = results[results["race_id"] == fetched.races[0]].set_index("driver")
    assert (
        len(results) == 48
        and len(day) == 12
        and set(results["date"]) == set(pd.to_datetime(["2030-11-02", "2031-02-16", "2031-02-23", "2031-03-30"]))
    )
    assert day.loc["A.B. Reed", ["laps_led", "my note", "team", "qual_pos"]].tolist() == [10, "seen 1", "Team 0", 7]
    assert day.loc[DRIVERS[1], "qual_pos"] == 11
    other = results[results["race_id"] == "2030-11-02-elmton"]
    assert other["my note"].tolist() == [f"seen {n}" for n in range(13, 25)]


def _race_history(folder, *rows):
    header = ["Race_ID", "Date", "Track", "track_id", "track_type", "track_length_mi"]
    (folder / "history").mkdir()
    (folder / "history" / "races.csv").write_bytes(csv_bytes([header, *rows]))


def test_track_facts_of_the_history_are_kept(server, tmp_path):
    _race_history(
        tmp_path,
        ["2030-02-16-oakfield", "2030-02-16", "Oakfield Motor Speedway", "oak", "road", 2.2],
        ["2031-02-23-day", "2031-02-23", "Daytona International Speedway", "day", "short", 0.4],
    )
    fetched = _fetch(server, tmp_path)
    races = read_table(tmp_path / "history" / "races.csv", "races").set_index("race_id")
    assert races.loc[fetched.races[0], ["track_id", "track_type", "track_length_mi"]].tolist() == ["oak", "road", 2.2]
    assert races.loc["2031-02-23-day", ["track_id", "track_type", "race_no"]].tolist() == ["day", "short", 2]


def test_a_rebuilt_track_is_not_taken_for_the_old_one(server, tmp_path):
    _race_history(tmp_path, ["2021-03-21-atlanta", "2021-03-21", "Atlanta Motor Speedway", "old", "intermediate", 1.54])
    season = {"series_1": [listed(11, "Atlanta 10", "2031-02-16", "Atlanta Motor Speedway")]}
    server.content[LIST] = json.dumps(season).encode()
    fetched = _fetch(server, tmp_path)
    race = read_table(tmp_path / "history" / "races.csv", "races").set_index("race_id").loc[fetched.races[0]]
    assert race[["track_id", "track_type"]].tolist() == ["atlanta", "superspeedway"]


def test_drivers_the_feed_does_not_know_are_named(server, tmp_path):
    (tmp_path / "history").mkdir()
    rows = [*result_rows([(IDS[0], "2031-02-16")]), [IDS[0], "2031-02-16", "short", "Zeno Ghost", 13, 13, 0, 0, ""]]
    (tmp_path / "history" / "results.csv").write_bytes(csv_bytes(rows))
    assert f"{IDS[0]}: Zeno Ghost is not in the feed's result, removed." in _fetch(server, tmp_path).notes


def test_a_damaged_history_is_not_overwritten(server, tmp_path):
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "results.csv").write_text("race_id,date\nx,2031-01-01\n")
    with pytest.raises(InputError, match=r"results\.csv: 'driver' is missing"):
        _fetch(server, tmp_path)
    assert _files(tmp_path) == {"results.csv": b"race_id,date\nx,2031-01-01\n"}


def test_series_live_side_by_side(server, tmp_path):
    _fetch(server, tmp_path)
    server.content[LOOP.format(21).replace("/1/", "/2/")] = json.dumps(loop(21)).encode()
    _fetch(server, tmp_path, series="xfinity")
    assert len(data.history(tmp_path).results) == 36
    assert data.history(tmp_path, series="xfinity").results["race_id"].unique().tolist() == ["2031-02-15-oakfield"]


@pytest.mark.parametrize("order", [("cup", "xfinity"), ("xfinity", "cup"), ("cup", "xfinity", "cup", "xfinity")])
def test_two_series_at_one_track_on_one_day_are_two_races(server, tmp_path, order):
    server.content[LIST] = json.dumps(
        {"series_1": GOOD, "series_2": [listed(21, "Oakfield 200", "2031-02-16")]}
    ).encode()
    server.content[LOOP.format(21).replace("/1/", "/2/")] = json.dumps(loop(21)).encode()
    server.content[WEEKEND.format(21).replace("/1/", "/2/")] = json.dumps(
        weekend(21, [driver(n, 12 - n) for n in range(12)])
    ).encode()
    for series in order:
        assert not _fetch(server, tmp_path, series=series).failed
    ids = {series: data.history(tmp_path, series=series).races["race_id"].iloc[0] for series in ("cup", "xfinity")}
    assert ids == {order[0]: IDS[0], order[1]: f"{IDS[0]}-{order[1]}"}
    for series, finish in (("cup", range(1, 13)), ("xfinity", range(12, 0, -1))):
        mine = data.history(tmp_path, series=series).results
        mine = mine[mine["race_id"] == ids[series]].set_index("driver")["finish"]
        assert mine[DRIVERS[:12]].tolist() == list(finish)
        facts = {"date": "2031-02-16", "track": "Oakfield Motor Speedway", "track_type": "intermediate"}
        facts |= {"track_length_mi": 1.5, "sched_laps": 10, "series": series}
        folder = tmp_path / "races" / IDS[0]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "race.json").write_text(json.dumps(facts))
        named = data.open_folder(IDS[0], tmp_path).results.frame.set_index("driver")["finish"]
        assert named[DRIVERS[:12]].tolist() == list(finish), "the folder's series decides whose results they are"


def test_a_spoilt_cache_is_fetched_again(server, tmp_path):
    _fetch(server, tmp_path)
    before = _files(tmp_path)
    for path in (tmp_path / "cache").rglob("*.json"):
        path.write_text('{"half": ')
        os.utime(path, (4_000_000_000, 4_000_000_000))
    assert _fetch(server, tmp_path).races == IDS and _files(tmp_path) == before


def _season(server, *entries):
    server.content[LIST] = json.dumps({"series_1": list(entries)}).encode()


GOOD = [
    listed(11, "Oakfield 10", "2031-02-16"),
    listed(12, "Daytona 10", "2031-02-23", "Daytona International Speedway"),
]


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (listed(13, "Autumn 10", "2031-11-02", race_date=None), "no date that can be read"),
        (listed(13, "Autumn 10", "2031-11-02", race_date="TBD"), "no date that can be read"),
        (listed(13, "Autumn 10", "2031-11-02", race_date="02.03.2031"), "no date that can be read"),
        (listed(13, "Autumn 10", "2031-11-02", actual_laps=None), "not run yet"),
        (listed(13, "Autumn 10", "2031-11-02", winner_driver_id=None), "not run yet"),
        (listed(13, "Autumn 10", "2031-11-02", race_type_id=2), "an exhibition"),
        (listed(13, "Autumn 10", "2031-11-02", track_name=None), "cannot be read"),
        (GOOD[0], "listed twice"),
        (GOOD[0] | {"race_date": "2031-02-15T15:00:00"}, "listed twice"),
        (listed(13, "Autumn 10", "2031-11-02", race_date="2031-11-03T00:30:00Z"), "no date that can be read"),
        (listed(13, "Autumn 10", "2031-11-02", race_date=48153), "no date that can be read"),
        (listed(13, "Oakfield 10 (postponed)", "2031-02-16"), "listed twice, or a second race of that day"),
        ("not an entry", "cannot be read"),
        ({"race_id": 13}, "cannot be read"),
    ],
)
def test_an_odd_entry_of_the_list_costs_only_itself(server, tmp_path, odd, says):
    _season(server, *GOOD, odd)
    for _ in range(2):
        fetched = _fetch(server, tmp_path)
        assert fetched.races == IDS[:2] and any(says in text for text in fetched.skipped)
        assert len(data.history(tmp_path).results) == 24
    assert data.history(tmp_path).races["race_no"].tolist() == [1, 2]


def test_a_list_most_of_which_cannot_be_read_has_changed_its_form(server, tmp_path):
    _season(server, GOOD[0], {"race_id": 13}, {"race_id": 14}, {})
    with pytest.raises(InputError, match="has changed its form"):
        _fetch(server, tmp_path)


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({"finishing_position": None}, 11),
        ({"finishing_position": 0}, 11),
        ({"laps_completed": None}, 12),
        ({"laps_led": None}, 12),
        ({"starting_position": None}, 12),
        ({"qualifying_position": None, "points_earned": None, "team_name": None, "car_number": None}, 12),
        ({"finishing_status": None}, 12),
    ],
)
def test_blanks_of_the_feed_and_withdrawn_drivers_cost_nothing(server, tmp_path, changed, kept):
    rows = [driver(n, n + 1, **(changed if n == 11 else {})) for n in range(12)]
    server.content[WEEKEND.format(12)] = json.dumps(weekend(12, rows)).encode()
    fetched = _fetch(server, tmp_path)
    assert fetched.races == IDS and not fetched.failed
    assert data.history(tmp_path).results.groupby("race_id").size()[IDS[1]] == kept


@pytest.mark.parametrize(
    "answer",
    [
        {"weekend": {"weekend_runs": None}},
        {"weekend": {"weekend_runs": [None, {"run_type": 1, "results": None}, {"run_type": 1}]}},
        {"race": {"caution_segments": None}},
        {"race": {"caution_segments": [None]}},
        {"race": {"caution_segments": [{"start_lap": None, "end_lap": None}]}},
        {"laps": {"laps": None, "flags": None}},
        {"laps": {"laps": [], "flags": []}},
        {"laps": {"laps": [None, {"NASCARDriverID": 100, "Laps": None}], "flags": [None]}},
        {"laps": {"laps": [{"NASCARDriverID": 100, "Laps": [{"Lap": None, "LapTime": None}]}], "flags": []}},
    ],
)
def test_nulls_of_what_is_not_needed_cost_only_that(server, tmp_path, answer):
    race = weekend(12)
    race |= answer.get("weekend", {})
    race["weekend_race"][0] |= answer.get("race", {})
    server.content[WEEKEND.format(12)] = json.dumps(race).encode()
    if "laps" in answer:
        server.content[LOOP.format(12)] = b"null"
        server.content[LAPS.format(12)] = json.dumps(answer["laps"]).encode()
    assert _fetch(server, tmp_path).races == IDS
    results = data.history(tmp_path).results
    assert results[results["race_id"] == IDS[1]]["fastest_laps"].isna().all() == ("laps" in answer)


@pytest.mark.parametrize("placeholder", ["weekend", "form", "loop", "empty", "names"])
def test_an_answer_that_could_not_be_used_is_asked_for_again(server, tmp_path, placeholder):
    path = (LOOP if placeholder in ("loop", "empty") else WEEKEND).format(12)
    good, rows = server.content[path], [driver(n, 0 if placeholder == "weekend" else n + 1) for n in range(12)]
    bad = {"form": {"weekend_race": []}, "loop": [{"drivers": [{"driver_id": 100}]}], "empty": []}
    rows[3]["driver_fullname"] = "" if placeholder == "names" else rows[3]["driver_fullname"]
    server.content[path] = json.dumps(bad.get(placeholder, weekend(12, rows))).encode()
    first = _fetch(server, tmp_path)
    assert len(first.failed) == (placeholder != "empty")
    for saved in (tmp_path / "cache").rglob("*.json"):
        os.utime(saved, (4_000_000_000, 4_000_000_000))
    server.content[path] = good
    assert _fetch(server, tmp_path).races == IDS
    assert data.history(tmp_path).results["fastest_laps"].notna().all()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("Alan Poe", "Flash Poe", "Flash Poe"), {"Flash Poe"}),
        (("Flash Poe", "Alan Poe", "Alan Poe"), {"Alan Poe"}),
        (("Alan Poe", "Al Poe-Quill", "Zed"), {"Zed"}),
        (("A.B. Reed", "AB Reed", "A. B. Reed"), {"A. B. Reed"}),
        (("Alan Poe", "Alan Poe (i)", "# Alan Poe"), {"Alan Poe"}),
    ],
)
def test_a_renamed_driver_is_one_driver(server, tmp_path, names, found):
    for feed_id, name in zip((11, 12, 13), names, strict=True):
        rows = [driver(n, n + 1, **({"driver_fullname": name} if n == 0 else {})) for n in range(12)]
        server.content[WEEKEND.format(feed_id)] = json.dumps(weekend(feed_id, rows)).encode()
    fetched = _fetch(server, tmp_path)
    results = data.history(tmp_path).results
    assert set(results.loc[results["nascar_driver_id"] == "100", "driver"]) == found
    assert any("is now" in note for note in fetched.notes) == ("Poe" in names[1] and names[1] != names[0] + " (i)")


def test_a_driver_renamed_between_two_fetches_keeps_his_past(server, tmp_path):
    _season(server, GOOD[0])
    _fetch(server, tmp_path)
    rows = [driver(n, n + 1, **({"driver_fullname": "Flash Poe"} if n == 0 else {})) for n in range(12)]
    server.content[WEEKEND.format(12)] = json.dumps(weekend(12, rows)).encode()
    _season(server, *GOOD)
    assert f"Driver 100: {DRIVERS[0]} is now Flash Poe." in _fetch(server, tmp_path).notes
    assert data.history(tmp_path).results["driver"].value_counts()["Flash Poe"] == 2


def test_an_id_of_two_drivers_in_one_race_joins_nobody(server, tmp_path):
    rows = [driver(n, n + 1, **({"driver_id": 100} if n == 1 else {})) for n in range(12)]
    server.content[WEEKEND.format(12)] = json.dumps(weekend(12, rows)).encode()
    fetched = _fetch(server, tmp_path)
    assert any("raced together" in note for note in fetched.notes)
    assert {DRIVERS[0], DRIVERS[1]} <= set(data.history(tmp_path).results["driver"])


@pytest.mark.parametrize("which", [1, 2])
def test_a_fetch_that_ends_between_the_two_files_leaves_a_pair(server, tmp_path, which):
    _season(server, GOOD[0])
    _fetch(server, tmp_path)
    _season(server, *GOOD)
    code = (
        "import os, sys; from dfslab import data\n"
        "move, moved = os.replace, []\n"
        "def ends(a, b):\n"
        "    moved.append(b) if 'history' in str(b) else None\n"
        f"    os._exit(9) if len(moved) == {which} else move(a, b)\n"
        "os.replace = ends\n"
        "data.fetch_season(2031, 'cup', sys.argv[1], sys.argv[2], pause=0.001)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path), server.url], check=False).returncode == 9
    past = data.history(tmp_path)
    assert set(past.results["race_id"]) <= set(past.races["race_id"])
    assert past.races["race_id"].tolist() == list(IDS[:which])


def _answering(*headers, body=b"", again=0, pause=0.0):
    """Return a fault: a good status, `headers`, then `body`, and `again` times more with pauses."""

    def answer(handler):
        handler.send_response(200)
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        for _ in range(1 + again):
            handler.wfile.write(body)
            time.sleep(pause)

    return answer


ENDLESS = {
    "longer than allowed": (b"[" + b" " * 200_000 + b"]", "longer than"),
    "a gzip bomb": (_answering(("Content-Encoding", "gzip"), body=gzip.compress(b" " * 20_000_000)), "longer than"),
    "no length and no end": (_answering(body=b" " * 1000, again=100_000), "longer than"),
    "a byte now and then": (_answering(body=b" ", again=40, pause=0.1), "no end of the answer within 1.2 seconds"),
    "less than its length": (_answering(("Content-Length", "100"), body=b"[]"), "no connection"),
    "lists without bottom": (b"[" * 100_000, "no whole JSON"),
    "a number without end": (b"1" * 50_000, "no whole JSON"),
    "damaged gzip": (_answering(("Content-Encoding", "gzip"), body=b"\x1f\x8b rubbish"), "no connection"),
}


@pytest.mark.parametrize("fault", ENDLESS)
def test_an_answer_without_end_costs_its_race_only(server, tmp_path, monkeypatch, fault):
    monkeypatch.setattr("dfslab.data._feed.MAX_JSON", 100_000)
    monkeypatch.setattr("dfslab.data._feed.WHOLE_WITHIN", 3)
    answer, says = ENDLESS[fault]
    server.faults = {WEEKEND.format(12): [answer] * 3}
    fetched = _fetch(server, tmp_path)
    assert fetched.races == (IDS[0], IDS[2]) and says in fetched.failed[0]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 50) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _spoil(content, draw):
    """Replace one value anywhere in `content`."""
    if isinstance(content, dict) and content and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(content)))
        return {**content, key: _spoil(content[key], draw)}
    if isinstance(content, list) and content and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(content) - 1))
        return [_spoil(item, draw) if n == at else item for n, item in enumerate(content)]
    return draw(_JSON)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(["list", "weekend", "loop", "laps"]))
def test_any_change_of_form_is_a_result_or_a_feed_error(data, which):
    parts = {
        "list": {"series_1": [listed(11, "Oakfield 10", "2031-02-16")]},
        "weekend": weekend(),
        "loop": loop(),
        "laps": laps(),
    }
    parts[which] = _spoil(parts[which], data.draw)
    try:
        facts, _ = scheduled(parts["list"], 1, "cup", "list")
        for race in facts:
            with_loop = None if which == "laps" else parts["loop"]
            tables = race_tables(race, parts["weekend"], with_loop, parts["laps"], "feed")
            assert sorted(tables.results["finish"]) == list(range(1, len(tables.results) + 1))
    except InputError as error:
        assert str(error).isprintable()


def test_the_small_season_is_what_the_other_tests_take_it_for():
    assert len(files()) == 8
