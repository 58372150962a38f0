"""The data folder read as a user would have it: slates, contests, standings, entries, history, ingest."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from race_files import (
    DRIVERS,
    LINEUPS,
    RACE,
    SALARY,
    contest_facts,
    csv_bytes,
    entries_rows,
    race_facts,
    result_rows,
    salary_rows,
    standings_rows,
    write_history,
    write_race,
    write_standings,
)

from dfslab.data._contests import read_contest, read_contests
from dfslab.data._history import history, ingest_standings
from dfslab.data._race_folder import list_races, load_slate, open_folder
from dfslab.data._standings import read_standings
from dfslab.data._tables import read_table
from dfslab.errors import InputError
from dfslab.rules import DRAFTKINGS_NASCAR, DRAFTKINGS_NASCAR_2019, finish_points


@pytest.fixture
def folder(tmp_path):
    return write_race(tmp_path)


def _grid(folder, rows):
    (folder / "starting_lineup.csv").write_bytes(csv_bytes([["driver", "start"], *rows]))


def _projections(folder, rows):
    (folder / "projections.csv").write_bytes(csv_bytes([["driver", "projected_points", "projected_ownership"], *rows]))


def _said(slate, *words) -> bool:
    return any(all(word in note for word in words) for note in slate.notes)


# --- the slate ---------------------------------------------------------------------------------------------------


def test_a_slate_follows_the_salary_file(tmp_path, folder):
    slate = load_slate(RACE, tmp_path)
    assert list(slate.names) == DRIVERS and slate.salary.tolist() == SALARY
    assert slate.drivers["dk_id"].tolist() == [str(4000 + n) for n in range(12)]
    assert slate.drivers["name_id"][0] == f"{DRIVERS[0]} (4000)"
    assert slate.column("start").tolist() == list(range(12, 0, -1)) and not slate.out.any()
    assert slate.race == open_folder(RACE, tmp_path).race and slate.race.sched_laps == 267
    assert slate.rules is DRAFTKINGS_NASCAR and slate.notes == ()


def test_the_pool_of_an_upload_template_is_a_salary_file(tmp_path, folder):
    (folder / "DKSalaries.csv").write_bytes(csv_bytes(entries_rows()))
    slate = load_slate(RACE, tmp_path)
    assert list(slate.names) == DRIVERS and slate.salary.tolist() == SALARY
    assert slate.drivers["name_id"][3] == f"{DRIVERS[3]} (4003)"


def test_columns_left_of_the_position_are_kept(tmp_path, folder):
    rows = [[("mine", n)[n > 0], *row[::-1]] for n, row in enumerate(salary_rows())]
    (folder / "DKSalaries.csv").write_bytes(csv_bytes(rows))
    slate = load_slate(RACE, tmp_path)
    assert list(slate.names) == DRIVERS and slate.salary.tolist() == SALARY
    assert slate.column("mine").tolist() == list(range(1, 13))


def test_rules_follow_the_date(tmp_path):
    folder = write_race(tmp_path, race_id="2019-05-04-oakfield")
    (folder / "race.json").write_text(json.dumps(race_facts(race_id="2019-05-04-oakfield", date="2019-05-04")))
    assert load_slate("2019-05-04-oakfield", tmp_path).rules is DRAFTKINGS_NASCAR_2019


def test_the_starting_lineup_decides_who_races(tmp_path, folder):
    _grid(folder, [[name, n] for n, name in enumerate([*DRIVERS[2:], "Zeno Substitute (i)"], 1)])
    slate = load_slate(RACE, tmp_path)
    assert list(slate.names[slate.out]) == DRIVERS[:2] and len(slate) == 12
    assert slate.starters["driver"].tolist() == [*DRIVERS[2:], "Zeno Substitute"]
    assert np.isnan(slate.column("start")[:2]).all()
    assert all(_said(slate, name, "out, never rostered") for name in DRIVERS[:2])
    assert _said(slate, "without a salary", "Zeno Substitute")


def test_a_likely_misspelling_is_pointed_out_not_guessed(tmp_path, folder):
    _grid(folder, [["Abell Reed" if n == 0 else name, n + 1] for n, name in enumerate(DRIVERS)])
    slate = load_slate(RACE, tmp_path)
    assert slate.out.tolist() == [True] + [False] * 11 and _said(slate, "Abel Reed", "is 'Abell Reed' there the same")


def test_other_spellings_of_the_grid_are_the_same_driver(tmp_path, folder):
    _grid(folder, [[f"* {name.upper()} #", n] for n, name in enumerate(DRIVERS, 1)])
    slate = load_slate(RACE, tmp_path)
    assert not slate.out.any() and slate.starters["driver"].tolist() == DRIVERS


def test_without_a_grid_everybody_races_and_the_page_can_say_so(tmp_path):
    write_race(tmp_path, lineup=False)
    slate = load_slate(RACE, tmp_path)
    assert not slate.out.any() and np.isnan(slate.column("start")).all() and _said(slate, "every driver with a salary")
    assert slate.starters["driver"].tolist() == DRIVERS


def test_out_and_to_rear_of_race_json(tmp_path, folder):
    _grid(folder, [[name, n] for n, name in enumerate([*DRIVERS, "Zeno Substitute"], 1)])
    facts = race_facts(out=["abel reed", "zeno substitute"], to_rear=["C. Reed"])
    (folder / "race.json").write_text(json.dumps(facts))
    slate = load_slate(RACE, tmp_path)
    assert list(slate.names[slate.out]) == ["Abel Reed"]
    assert slate.starters["driver"].tolist() == DRIVERS[1:]
    assert slate.drivers.loc[slate.drivers["to_rear"], "driver"].tolist() == ["Cyril Reed"]
    assert slate.starters.loc[slate.starters["to_rear"], "driver"].tolist() == ["Cyril Reed"]
    assert slate.column("start")[2] == 3
    for name, says in (("Abell Reed", "did you mean Abel Reed"), ("Abel", "write the name as in")):
        (folder / "race.json").write_text(json.dumps(race_facts(out=[name])))
        with pytest.raises(InputError, match=says):
            load_slate(RACE, tmp_path)


def test_status_of_the_salary_file_and_further_columns(tmp_path, folder):
    rows = salary_rows()
    for n, (status, own, fpts) in enumerate([("Status", "My Grade", "FPTS"), *[("", n / 2, 50) for n in range(12)]]):
        rows[n] += [status, own, fpts]
    rows[3][-3] = "O"
    (folder / "DKSalaries.csv").write_bytes(csv_bytes(rows, "utf-8-sig"))
    slate = load_slate(RACE, tmp_path)
    assert list(slate.names[slate.out]) == [DRIVERS[2]]
    assert slate.column("My Grade").tolist() == [n / 2 for n in range(12)]
    assert "FPTS" not in slate.drivers and _said(slate, "FPTS", "no result")


def test_projections_join_by_name_and_say_their_unit(tmp_path, folder):
    own = [90, 80, 70, 60, 60, 50, 50, 45, 40, 30, 15, 10]
    rows = [[name.lower(), 60 - n, f"{own[n]}%"] for n, name in enumerate(DRIVERS)]
    _projections(folder, [*rows[::-1], ["Nobody Known", 3, "0%"]])
    slate = load_slate(RACE, tmp_path)
    np.testing.assert_allclose(slate.column("projected_ownership"), np.array(own) / 100)
    assert slate.column("projected_points").tolist() == [60 - n for n in range(12)]
    assert _said(slate, "read as percent", "600%") and _said(slate, "Nobody Known", "not used")


@pytest.mark.parametrize(("form", "unit"), [("{:.1f}%", "percent"), ("{:.1f}", "percent"), ("{:.1%}", "percent")])
def test_percent_in_three_forms(tmp_path, folder, form, unit):
    scale = 1 if "1%" in form else 100
    _projections(folder, [[name, "", form.format(0.5 * scale)] for name in DRIVERS])
    slate = load_slate(RACE, tmp_path)
    np.testing.assert_allclose(slate.column("projected_ownership"), 0.5)
    assert _said(slate, f"read as {unit}")


def test_fractions_are_known_and_a_small_percentage_among_percents_stays_small(tmp_path, folder):
    _projections(folder, [[name, "", 0.5] for name in DRIVERS])
    slate = load_slate(RACE, tmp_path)
    assert slate.column("projected_ownership").tolist() == [0.5] * 12 and _said(slate, "read as fractions")
    _projections(folder, [[DRIVERS[0], "", 0.5], *[[name, "", 54.5] for name in DRIVERS[1:]]])
    assert load_slate(RACE, tmp_path).column("projected_ownership")[0] == pytest.approx(0.005)


def test_a_slate_does_not_see_the_standings(tmp_path, folder):
    before = load_slate(RACE, tmp_path)
    write_standings(folder)
    write_history(tmp_path)
    pd.testing.assert_frame_equal(load_slate(RACE, tmp_path).drivers, before.drivers)


def test_races_are_listed_by_date_and_near_names_offered(tmp_path):
    write_race(tmp_path)
    write_race(tmp_path, race_id="2030-05-04-oakfield")
    (tmp_path / "races" / "2029-01-01-empty").mkdir()
    assert list_races(tmp_path) == ["2030-05-04-oakfield", RACE]
    with pytest.raises(InputError, match="did you mean 2031-05-04-oakfield"):
        load_slate("2031-05-04-okfield", tmp_path)
    with pytest.raises(InputError, match="no race"):
        load_slate("../races/" + RACE, tmp_path)
    with pytest.raises(InputError, match="no such data folder"):
        load_slate(RACE, tmp_path / "nowhere")


# --- contests ----------------------------------------------------------------------------------------------------

API = {
    "contestDetail": {
        "name": "NAS $100 Oakfield",
        "contestKey": "777123",
        "entryFee": 10.0,
        "maximumEntries": 12,
        "maximumEntriesPerUser": 3,
        "totalPayouts": 100.0,
        "payoutSummary": [
            {
                "minPosition": 1,
                "maxPosition": 1,
                "payoutDescriptions": [{"payoutDescription": "$50.00", "value": 50.0}],
            },
            {"minPosition": 2, "maxPosition": 4, "payoutDescriptions": [{"payoutDescription": "$10.00"}]},
            {
                "minPosition": 5,
                "maxPosition": 6,
                "payoutDescriptions": [{"payoutDescription": "Ticket", "value": 8.0}, {"value": 2}],
            },
        ],
    }
}


def _same_contest(contest):
    assert contest.prizes.tolist() == [5000] + [1000] * 5 + [0] * 6
    assert (contest.entry_fee, contest.entries, contest.max_entries_per_user) == (10.0, 12, 3)
    assert contest.contest_id == "777123" and contest.pool == 100


def test_every_form_of_a_contest_is_the_same_contest(tmp_path):
    table = [["contest_id", "min_rank", "max_rank", "prize", "entry_fee", "entries", "max_per_user", "prize_pool"]]
    table += [[777123, 1, 1, "$50", 10, 12, 3, 100], [777123, 2, 6, 10, 10, 12, 3, 100]]
    (tmp_path / "a.json").write_text(json.dumps(contest_facts(pool="$100.00")))
    (tmp_path / "b.json").write_text(json.dumps(API))
    (tmp_path / "c.csv").write_bytes(csv_bytes(table))
    for name in ("a.json", "b.json", "c.csv"):
        _same_contest(read_contest(tmp_path / name))
    assert "2 prizes are tickets" in read_contest(tmp_path / "b.json").notes[0]


def test_a_list_of_contests_keeps_its_order(tmp_path):
    small = contest_facts(entries=6, contest_id="9", entry_fee=1)
    for content in ([small, API], {"contests": [small, API]}):
        (tmp_path / "c.json").write_text(json.dumps(content))
        first, second = read_contests(tmp_path / "c.json")
        assert first.contest_id == "9" and read_contest(tmp_path / "c.json").entries == 6
        _same_contest(second)


def test_the_advertised_pool_must_agree(tmp_path):
    wrong = json.loads(json.dumps(API))
    wrong["contestDetail"]["totalPayouts"] = 101
    (tmp_path / "c.json").write_text(json.dumps(wrong))
    with pytest.raises(InputError, match=r"add up to \$100.00, the advertised pool is \$101.00"):
        read_contest(tmp_path / "c.json")


# --- standings and ingest ----------------------------------------------------------------------------------------


def test_standings_zip_and_csv_agree_and_forget_the_handles(tmp_path, folder):
    path = write_standings(folder)
    zipped = read_standings(path)
    (tmp_path / "contest-standings-777123.csv").write_bytes(csv_bytes(standings_rows()))
    plain = read_standings(tmp_path / "contest-standings-777123.csv")
    pd.testing.assert_frame_equal(zipped.entries, plain.entries)
    assert zipped.contest_id == "777123" and len(zipped) == 6
    assert "somebody" not in repr(zipped.entries.to_dict()) and "somebody" not in repr(vars(zipped))
    assert zipped.entries["points"][0] == 238.65001 and zipped.entries["drivers"][4] == ()


def test_standings_ownership_is_what_the_lineups_say(tmp_path, folder):
    standings = read_standings(write_standings(folder))
    slate = load_slate(RACE, tmp_path)
    rows = standings.lineups(slate)
    assert rows.tolist() == [sorted(row) for row in LINEUPS if row]
    counted = np.bincount(rows.ravel(), minlength=12) / 6
    aligned = standings.ownership.reindex(DRIVERS).fillna(0).to_numpy()
    np.testing.assert_allclose(aligned, counted, atol=5e-5)


def test_a_cut_off_export_is_noticed(tmp_path):
    path = tmp_path / "contest-standings-777123.csv"
    rows = standings_rows()
    path.write_bytes(
        csv_bytes([row[:6] if n == 1 else [*[""] * 6, *row[6:]] if n > 1 else row for n, row in enumerate(rows)])
    )
    assert "may be cut off" in read_standings(path).notes[0]


def test_a_driver_whose_name_holds_the_letter_d(tmp_path):
    drivers = ["Mary D Reed", *DRIVERS[1:]]
    path = tmp_path / "contest-standings-777123.csv"
    path.write_bytes(csv_bytes(standings_rows(drivers=drivers)))
    assert read_standings(path).entries["drivers"][0] == tuple(drivers[d] for d in LINEUPS[0])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a zip", csv_bytes(salary_rows()), b"Rank,EntryId\n1,2\n"])
def test_expired_damaged_and_foreign_exports_are_refused(tmp_path, folder, content):
    (folder / "contest-standings-777123.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"contest-standings-777123\.csv"):
        ingest_standings(RACE, tmp_path)
    assert not (tmp_path / "history" / "ownership.csv").exists()


def test_ingest_stores_what_was_known_and_nothing_personal(tmp_path, folder):
    write_standings(folder)
    _projections(folder, [[name, 30, 50] for name in DRIVERS])
    ingested = ingest_standings(RACE, tmp_path)
    text = (tmp_path / "history" / "ownership.csv").read_text()
    assert ingested.contest_ids == ("777123",) and "somebody" not in text and "900100" not in text
    write_history(tmp_path)
    past = history(tmp_path).ownership
    assert past["driver"].tolist() == DRIVERS and past["salary"].tolist() == SALARY
    assert past["ownership"].sum() == pytest.approx(5.0, abs=1e-3)
    facts = past[["contest_id", "race_id", "entries", "entry_fee", "max_entries_per_user", "track_type"]].iloc[0]
    assert facts.tolist() == ["777123", RACE, 6, 10, 3, "intermediate"]
    assert past["projected_ownership"].tolist() == [0.5] * 12 and past["start"].tolist() == list(range(12, 0, -1))
    assert past["points"].notna().sum() == len(open_folder(RACE, tmp_path).standings[0].points)


def test_ingest_again_changes_nothing_and_other_contests_stay(tmp_path, folder):
    write_standings(folder)
    ingest_standings(RACE, tmp_path)
    path = tmp_path / "history" / "ownership.csv"
    once = path.read_bytes()
    ingest_standings(RACE, tmp_path)
    assert path.read_bytes() == once
    write_standings(folder, standings_rows(LINEUPS[:3]), contest_id="777999")
    notes = ingest_standings(RACE, tmp_path).notes
    both = read_table(path, "ownership")
    assert both.groupby("contest_id")["entries"].first().to_dict() == {"777123": 6, "777999": 3}
    assert "777999" in notes[0] and "fee is not known" in notes[0]
    first = both[both["contest_id"] == "777123"].reset_index(drop=True)
    (tmp_path / "once.csv").write_bytes(once)
    pd.testing.assert_frame_equal(first, read_table(tmp_path / "once.csv", "ownership"))


def test_history_in_fractions_is_taken_over_in_percent(tmp_path, folder):
    rows = [["contest_id", "date", "driver", "salary", "ownership"]]
    rows += [["1", "2030-01-05", name, 8000, 0.5] for name in DRIVERS]
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "ownership.csv").write_bytes(csv_bytes(rows))
    write_standings(folder)
    ingest_standings(RACE, tmp_path)
    after = read_table(tmp_path / "history" / "ownership.csv", "ownership")
    assert after.loc[after["contest_id"] == "1", "ownership"].tolist() == [0.5] * 12


def test_a_contest_in_another_unit_than_the_rest_is_refused(tmp_path):
    names = [f"Driver {chr(65 + n)}" for n in range(24)]
    rows = [["contest_id", "date", "driver", "ownership"], *[["1", "2030-01-05", name, 25] for name in names]]
    rows += [["2", "2030-01-12", name, 0.25] for name in names]
    (tmp_path / "o.csv").write_bytes(csv_bytes(rows))
    with pytest.raises(InputError, match="contest 2 adds up to 6%"):
        read_table(tmp_path / "o.csv", "ownership")


def test_standings_of_another_race_are_refused(tmp_path, folder):
    write_standings(folder, standings_rows(drivers=[f"Xaver {name[::-1]}" for name in DRIVERS]))
    with pytest.raises(InputError, match="belong to another race"):
        ingest_standings(RACE, tmp_path)


# --- history -----------------------------------------------------------------------------------------------------


def test_points_follow_the_rules_of_the_date(tmp_path):
    write_history(tmp_path, result_rows([("2019-04-06-elmton", "2019-04-06"), ("2031-04-13-oakfield", "2031-04-13")]))
    results = history(tmp_path).results
    for date, rules in (("2019-04-06", DRAFTKINGS_NASCAR_2019), ("2031-04-13", DRAFTKINGS_NASCAR)):
        rows = results[results["date"] == date]
        score = rules.scoring
        expected = finish_points(score, 12) + (rows["start"] - rows["finish"]).to_numpy()
        expected = (
            expected + score.lap_led * rows["laps_led"].to_numpy() + score.fastest_lap * rows["fastest_laps"].to_numpy()
        )
        np.testing.assert_allclose(rows["dk_points"], expected)


def test_results_without_fastest_laps_have_no_points(tmp_path):
    rows = [row[:7] + row[8:] for row in result_rows()]
    write_history(tmp_path, rows)
    assert history(tmp_path).results["dk_points"].isna().all()


def test_history_before_a_date_does_not_see_that_day(tmp_path):
    write_history(tmp_path)
    past = history(tmp_path, before="2031-04-13")
    assert past.results["race_id"].unique().tolist() == ["2031-04-06-elmton"] == past.races["race_id"].tolist()
    with pytest.raises(InputError, match="no cup race before 2031-04-06"):
        history(tmp_path, before="2031-04-06")


def test_later_rows_change_nothing_before(tmp_path):
    write_history(tmp_path)
    past = history(tmp_path, before="2031-04-13").results
    spoilt = [[*row[:5], 13 - row[5], 7, 7, ""] if "2031-04-13" in row else row for row in result_rows()]
    write_history(tmp_path, spoilt)
    pd.testing.assert_frame_equal(history(tmp_path, before="2031-04-13").results, past)


def test_history_keeps_to_its_series(tmp_path):
    rows = result_rows()
    mixed = [[*row, "series" if n == 0 else "xfinity" if n > 12 else ""] for n, row in enumerate(rows)]
    write_history(tmp_path, mixed)
    assert history(tmp_path).results["race_id"].unique().tolist() == ["2031-04-06-elmton"]
    assert history(tmp_path, series="xfinity").results["race_id"].unique().tolist() == ["2031-04-13-oakfield"]
    with pytest.raises(InputError, match="no trucks race"):
        history(tmp_path, series="trucks")


def test_history_has_one_spelling_and_takes_that_of_the_slate(tmp_path):
    rows = result_rows()
    for n, name in ((1, "A.B. Reed"), (13, "AB Reed")):
        rows[n][3] = name
    write_history(tmp_path, rows)
    past = history(tmp_path)
    assert past.results.loc[past.results["driver"] == "AB Reed", "finish"].tolist() == [1, 1]
    assert "A. B. Reed" in past.with_names(["A. B. Reed"]).results["driver"].to_list()


def test_no_history_and_cold_start(tmp_path):
    with pytest.raises(InputError, match="there is no race history"):
        history(tmp_path)
    write_history(tmp_path)
    past = history(tmp_path)
    assert past.ownership.empty and {"contest_id", "date", "driver", "ownership"} <= set(past.ownership)
    assert past.before("2031-04-13").ownership.empty


def test_results_of_a_race_are_another_type(tmp_path, folder):
    write_history(tmp_path)
    assert open_folder(RACE, tmp_path).results is None
    write_race(tmp_path, race_id="2031-04-13-oakfield")
    results = open_folder("2031-04-13-oakfield", tmp_path).results
    slate = load_slate(RACE, tmp_path)
    assert results.points(slate)[0] == 45 + 11 + 50 + 13.5


def test_drivers_who_did_not_race_leave_the_ownership_history(tmp_path, folder):
    _grid(folder, [[name, n] for n, name in enumerate(DRIVERS[1:], 1)])
    write_standings(folder)
    write_history(tmp_path)
    ingested = ingest_standings(RACE, tmp_path)
    assert ingested.rows.loc[ingested.rows["out"], "driver"].tolist() == [DRIVERS[0]]
    assert DRIVERS[0] not in history(tmp_path).ownership["driver"].to_list()


def _run(code: str, *arguments) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stderr=subprocess.PIPE, text=True)


def test_two_ingests_at_once_lose_nothing(tmp_path):
    races = ["2031-05-04-oakfield", "2031-05-11-elmton", "2031-05-18-ashby"]
    for n, race_id in enumerate(races):
        folder = write_race(tmp_path, race_id=race_id)
        write_standings(folder, contest_id=f"77700{n}")
    code = "import sys; from dfslab import data; data.ingest_standings(*sys.argv[1:])"
    runs = [_run(code, race_id, tmp_path) for race_id in races]
    assert [run.communicate()[1] for run in runs] == [""] * 3
    stored = read_table(tmp_path / "history" / "ownership.csv", "ownership")
    assert stored.groupby("contest_id").size().to_dict() == {f"77700{n}": 12 for n in range(3)}


def test_a_full_disk_leaves_the_history_whole(tmp_path, folder):
    write_standings(folder)
    ingest_standings(RACE, tmp_path)
    path = tmp_path / "history" / "ownership.csv"
    before = path.read_bytes()
    write_standings(folder, contest_id="888123")
    code = (
        "import resource, sys; from dfslab import data, errors\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))\n"
        "try: data.ingest_standings(*sys.argv[1:])\n"
        "except errors.InputError as error: sys.exit(str(error))"
    )
    said = _run(code, RACE, tmp_path).communicate()[1]
    assert "ownership.csv: cannot be written (File too large); what was there is unchanged" in said
    assert path.read_bytes() == before and sorted(p.name for p in path.parent.iterdir()) == [".lock", "ownership.csv"]


def test_history_is_read_anew_when_the_file_changes(tmp_path):
    write_history(tmp_path)
    first = history(tmp_path).results
    first.loc[:, "finish"] = 0
    assert history(tmp_path).results["finish"].min() == 1
    write_history(tmp_path, result_rows()[:13])
    assert len(history(tmp_path).results) == 12


def test_a_zip_bomb_is_refused(tmp_path):
    path = tmp_path / "contest-standings-1234.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.csv", "b.csv"):
            archive.writestr(name, b"0" * 1000)
    with pytest.raises(InputError, match="2 CSV files inside"):
        read_standings(path)
