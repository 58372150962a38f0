"""The readers on real files: salaries, grids, ladders, history, fields and one real answer of each feed endpoint."""

import csv
import gzip
import io
import json
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from dfslab import data
from dfslab.data import fetch_season, match_names
from dfslab.data._contests import read_contests
from dfslab.data._feed_tables import race_tables, scheduled, track_type
from dfslab.errors import InputError
from dfslab.rules import DRAFTKINGS_NASCAR, DRAFTKINGS_NASCAR_2019, fantasy_points

RACES = {
    "2019-02-17-daytona": (42, ["Joey Gase", "Ryan Truex"]),
    "2023-02-26-auto-club": (36, []),
    "2023-03-05-las-vegas": (37, ["Chase Elliott"]),
    "2023-03-12-phoenix": (36, []),
    "2023-03-19-atlanta": (36, []),
    "2026-07-05-chicagoland": (38, []),
    "2026-07-12-atlanta": (38, []),
}


def test_every_scored_row_follows_the_points_table(shared):
    rows = pd.read_csv(shared / "cup" / "history" / "results.csv").dropna(subset=["dk_points", "fastest_laps"])
    assert len(rows) == 10260
    ours = fantasy_points(rows, DRAFTKINGS_NASCAR.scoring)
    np.testing.assert_allclose(ours, rows["dk_points"], atol=1e-9)


def test_points_of_the_history_follow_the_rules_of_the_date(shared):
    results = data.history(shared / "cup").results
    assert len(results) == 11661 and results["race_id"].nunique() == 307
    old = results["date"] < "2020-01-01"
    for rows, rules in ((results[old], DRAFTKINGS_NASCAR_2019), (results[~old], DRAFTKINGS_NASCAR)):
        pd.testing.assert_series_equal(rows["dk_points"], fantasy_points(rows, rules.scoring), check_names=False)


def test_history_ends_before_the_day(shared):
    past = data.history(shared / "cup", before="2023-03-05")
    assert past.results["date"].max() == pd.Timestamp("2023-02-26") == past.races["date"].max()
    assert past.ownership.empty


@pytest.mark.parametrize("race_id", RACES)
def test_every_race_folder_loads(shared, race_id):
    slate = data.load_slate(race_id, shared / "cup")
    size, out = RACES[race_id]
    assert len(slate) == size and sorted(slate.names[slate.out]) == sorted(out)
    assert all(any(name in note for note in slate.notes) for name in out)
    assert slate.drivers["name_id"].str.fullmatch(r".+ \(\d+\)").all() and slate.drivers["dk_id"].is_unique
    racing = slate.starters["driver"]
    assert set(slate.names[~slate.out]) <= set(racing)
    if race_id.startswith("2026"):
        assert any("every driver with a salary is taken to race" in note for note in slate.notes)
        assert slate.column("projected_ownership").sum() == pytest.approx(6, abs=0.05)
        assert any("read as percent" in note for note in slate.notes)
    else:
        assert np.isfinite(slate.column("start")[~slate.out]).all() and len(racing) == size - len(out)
    contest = data.open_folder(race_id, shared / "cup").contests[0]
    assert contest.prizes.sum() == round(contest.pool * 100) and 0.1 < contest.rake < 0.2


def test_slate_names_are_found_in_the_history(shared):
    """Every driver of a past slate is matched to its results row, apart from those who did not race."""
    every = data.history(shared / "cup")
    for race_id, (_, out) in RACES.items():
        if race_id.startswith("2026"):
            continue
        slate = data.load_slate(race_id, shared / "cup")
        results = every.with_names(slate.names).results
        day = results[results["race_id"] == race_id]
        assert set(slate.names) - set(day["driver"]) == set(out)
        pd.testing.assert_series_equal(
            day.set_index("driver")["start"].reindex(slate.names[~slate.out]).astype(float),
            slate.drivers.set_index("driver")["start"].reindex(slate.names[~slate.out]).astype(float),
        )


def test_results_of_a_loaded_race(shared):
    slate = data.load_slate("2023-03-05-las-vegas", shared / "cup")
    results = data.open_folder("2023-03-05-las-vegas", shared / "cup").results
    points = results.points(slate)
    assert points[slate.out].tolist() == [0.0] and len(results.frame) == 36
    assert data.open_folder("2026-09-27-kansas", shared / "cup").results is None


def test_every_ladder_is_a_contest(shared, tmp_path):
    ladders = pd.read_csv(shared / "payout_ladders.csv")
    contests = read_contests(shared / "payout_ladders.csv")
    assert len(contests) == ladders.groupby(["contest_id", "label"]).ngroups
    for contest in contests:
        rows = ladders[ladders["contest_id"].astype(str) == contest.contest_id]
        assert contest.pool == rows["prize_pool"].iloc[0] and contest.entries == rows["entries"].iloc[0]


def test_another_sport_is_refused(shared):
    for name in ("DKSalaries_2019-03-16.csv", "DKSalaries_2019-11-02.csv"):
        with pytest.raises(InputError, match="Position is 'F'; NASCAR knows only D"):
            data.read_salaries(shared / "mma" / name)


def test_upload_of_real_ids(shared, tmp_path):
    slate = data.load_slate("2023-03-05-las-vegas", shared / "cup")
    cheap = np.argsort(np.where(slate.out, 10**6, slate.salary))[:6]
    text = data.write_lineups(tmp_path / "up.csv", slate, [cheap]).read_text().splitlines()
    assert text[0] == "D,D,D,D,D,D" and text[1].count("(2684") == 6


def _real_field(shared):
    """Return the lineups of a real field whose order of places is known to be six."""
    path = shared / "mma" / "fields" / "2019-11-02_79812829.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return pd.read_csv(file)


def test_a_real_field_written_as_standings_is_ingested(shared, tmp_path):
    """A real field of 3,137 entries, its fighters renamed to a slate's drivers, goes through standings and history."""
    folder = tmp_path / "cup"
    race = "2023-03-05-las-vegas"
    shutil.copytree(shared / "cup" / "races" / race, folder / "races" / race)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    salaries = folder / "races" / race / "DKSalaries.csv"
    pd.read_csv(salaries).assign(Salary=8000).to_csv(salaries, index=False)
    slate = data.load_slate(race, folder)
    field = _real_field(shared)
    field = field.assign(lineup=field["lineup"].fillna("").str.split("|").map(lambda names: [n for n in names if n]))
    fighters = sorted({name for lineup in field["lineup"] for name in lineup})
    rename = dict(zip(fighters, slate.names[~slate.out], strict=False))
    lineups = [[rename[name] for name in lineup] for lineup in field["lineup"]]
    counts = pd.Series([name for lineup in lineups for name in lineup]).value_counts()
    header = "Rank,EntryId,EntryName,TimeRemaining,Points,Lineup,,Player,Roster Position,%Drafted,FPTS"
    rows = [header.split(",")]
    for n, lineup in enumerate(lineups):
        block = []
        if n < len(counts):
            block = ["", counts.index[n], "D", f"{100 * counts.iloc[n] / len(lineups):.2f}%", 30.25]
        left = [n + 1, 1000 + n, f"u{n}", 0, field["points"].iloc[n], " ".join(f"D {name}" for name in lineup)]
        rows.append(left + block)
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    path = folder / "races" / race / "contest-standings-79812829.csv"
    path.write_text(out.getvalue(), encoding="utf-8-sig")
    standings = data.open_folder(race, folder).standings[0]
    assert standings.notes == () and standings.lineups(slate).shape == (sum(map(bool, lineups)), 6)
    rows = data.ingest_standings(race, folder).rows
    expected = counts.reindex(slate.names).fillna(0) / len(lineups)
    np.testing.assert_allclose(rows["ownership"], expected, atol=6e-5)


# --- the feed ----------------------------------------------------------------------------------------------------


def _answer(shared, name):
    return json.loads((shared / "nascar_feed" / name).read_text(encoding="utf-8"))


def test_a_real_list_of_a_season_under_way(shared):
    """The list of 2023 as served after its fourth race."""
    races, skipped = scheduled(_answer(shared, "cacher_2023_race_list_basic.json"), 1, "cup", "list")
    assert sum("exhibition" in text for text in skipped) == 5 and sum("not run yet" in text for text in skipped) == 32
    known = pd.read_csv(shared / "cup" / "history" / "races.csv").query("season == 2023").head(4)
    for name in ("race_no", "race_laps", "track_type"):
        assert [race[name] for race in races] == known[name].tolist()
    assert [f"{race['date']:%Y-%m-%d}" for race in races] == known["date"].tolist()


def test_kinds_of_tracks_agree_with_the_history(shared):
    races = pd.read_csv(shared / "cup" / "history" / "races.csv")
    races = races[races["track"] != "Indianapolis Grand Prix Circuit"]  # a road course, listed there as the oval
    for row in races.itertuples():
        assert track_type(row.track, row.season, row.track_length_mi) == (row.track_type, False)


@pytest.fixture
def bristol(shared):
    weekend = _answer(shared, "cacher_2025_1_5550_weekend-feed.json")
    race = weekend["weekend_race"][0]
    listed = {"series_1": [{**race, "winner_driver_id": race["results"][0]["driver_id"]}]}
    (facts,), _ = scheduled(listed, 1, "cup", "list")
    return listed, race_tables(facts, weekend, None, _answer(shared, "cacher_2025_1_5550_lap-times.json"), "feed")


def test_a_real_race_agrees_with_the_history(shared, bristol):
    theirs = pd.read_csv(shared / "cup" / "history" / "results.csv", dtype={"nascar_driver_id": str, "car": str})
    theirs = theirs[theirs["race_id"] == "2025-04-13-bristol"].sort_values("nascar_driver_id", ignore_index=True)
    ours = bristol[1].results.sort_values("nascar_driver_id", ignore_index=True)
    assert ours["nascar_driver_id"].tolist() == theirs["nascar_driver_id"].tolist()
    for name in ("start", "finish", "laps", "laps_led", "qual_pos", "qual_speed_mph"):
        pd.testing.assert_series_equal(ours[name].astype(float), theirs[name].astype(float), check_names=False)
    assert (ours["practice_best_rank"] - theirs["practice_best_rank"]).abs().max() <= 1  # two laps are equal
    assert (ours["status"] == theirs["status"]).all() and (ours["dnf_crash"] == theirs["dnf_crash"].astype(bool)).all()
    assert len(match_names(ours["driver"], theirs["driver"]).pairs) == 39
    assert ours["fastest_laps"].sum() == theirs["fastest_laps"].sum()
    assert (ours["fastest_laps"] - theirs["fastest_laps"]).abs().sum() <= 0.1 * theirs["fastest_laps"].sum()


def test_a_real_race_row_agrees_with_the_history(shared, bristol):
    theirs = pd.read_csv(shared / "cup" / "history" / "races.csv").set_index("race_id").loc["2025-04-13-bristol"]
    ours = bristol[1].race
    for name in ("race_laps", "cautions", "caution_laps", "lead_changes", "track_type"):
        assert ours[name] == theirs[name], name
    assert (ours["longest_green_run"], ours["final_green_run"]) == (235, 235)


@contextmanager
def _serving(folder):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    http.server_close()


def test_the_real_feed_merges_into_the_real_history(shared, bristol, tmp_path):
    """Served from loopback, the race completes the rows that are there: none doubled, none lost, other races as is."""
    history = tmp_path / "history"
    shutil.copytree(shared / "cup" / "history", history)
    for path in (history, *history.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder = shared / "nascar_feed"
    served = tmp_path / "served" / "cacher" / "2025"
    (served / "1" / "5550").mkdir(parents=True)
    (served / "race_list_basic.json").write_text(json.dumps(bristol[0]))
    for name in ("weekend-feed.json", "lap-times.json"):
        shutil.copy(folder / f"cacher_2025_1_5550_{name}", served / "1" / "5550" / name)
    before = data.history(tmp_path)
    with _serving(tmp_path / "served") as url:
        fetched = fetch_season(2025, "cup", tmp_path, url, pause=0.001)
    after = data.history(tmp_path)
    assert fetched.races == ("2025-04-13-bristol",) and not fetched.failed
    assert len(after.results) == len(before.results) and len(after.races) == len(before.races)
    key = ["race_id", "driver"]
    columns = list(before.results.columns)
    old, new = (h.results.set_index(key).sort_index()[columns[5:10]] for h in (before, after))
    pd.testing.assert_frame_equal(old, new)
    rest = before.results["race_id"] != "2025-04-13-bristol"
    same = after.results[after.results["race_id"] != "2025-04-13-bristol"].set_index(key)[["dk_points", "start"]]
    pd.testing.assert_frame_equal(before.results[rest].set_index(key)[["dk_points", "start"]], same)
    race = after.races.set_index("race_id").loc["2025-04-13-bristol"]
    assert race["final_green_run"] == 235 and race["track_id"] == "bristol_concrete"


def test_real_loop_statistics_are_understood(shared):
    from dfslab.data._feed_tables import _with_loop

    loop = _answer(shared, "loopstats_prod_2026_1_5617.json")
    rows = loop[0]["drivers"]
    results = pd.DataFrame({"driver": ["a", "b"], "nascar_driver_id": [str(row["driver_id"]) for row in rows]})
    found = _with_loop(results, loop, None, {"race_id": "x"}, "feed", notes := [])
    assert not notes and found["fastest_laps"].tolist() == [row["fast_laps"] for row in rows]
    assert found["driver_rating"].tolist() == [row["rating"] for row in rows]
