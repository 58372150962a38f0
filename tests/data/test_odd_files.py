"""Files as people really have them: what can be read one way is read, what cannot is refused or said, never guessed."""

import json
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
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

from dfslab import data
from dfslab.data._files import escape_cell
from dfslab.data._names import persons, spellings
from dfslab.data._tables import read_table, series_of, whole_id
from dfslab.errors import InputError, day_of
from dfslab.workflow import open_race


@pytest.fixture
def folder(tmp_path):
    return write_race(tmp_path)


def _slate(tmp_path):
    return data.open_folder(RACE, tmp_path).slate


def _write(path, rows, **how):
    path.write_bytes(csv_bytes(rows, **how))


# --- dates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("05.03.2032", "5/3/2032", "03-05-2032", "5-Mar", "March 5", "2032", "today", "now", "5.3.32", "2032-13-01"),
        *("2032-02-30", "1932-03-05", "20320305123", "Mar 2032", "10:30", "", "2032-3"),
        *("2032/25/03", "48298", "25.3.32", "1963785600", "2032-W12-4", "2032-085", "25 mars 2032", "25032032"),
        *("2032-03-26T01:30:00Z", "2032-03-25T02:00:00+02:00", "2032-03-25 22:30:00-08:00"),
    ],
)
def test_a_date_that_names_two_days_or_none_is_refused(tmp_path, folder, text):
    assert pd.isna(day_of(text))
    (folder / "race.json").write_text(json.dumps(race_facts(date=text)))
    with pytest.raises(InputError, match=r"date is .*; write it as 2025-04-13|date is blank; fill it in$"):
        _slate(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *("2032-03-25", "2032/3/25", "20320325", "25.03.2032", "3/25/2032", "25 March 2032", "Mar 25, 2032"),
        *("25-Mar-2032", "Thursday, March 25, 2032", "2032-03-25T15:00:00", "2032-03-25 23:30:00-05:00"),
        *("2032-03-25T19:00:00Z", "2032-03-25T23:30:00+02:00", "March 25th, 2032", "25MAR2032", "2032-Mar-25"),
        *("Thu Mar 25 2032", "Thu, 25 Mar 2032 19:00:00 GMT", "25. March 2032"),
    ],
)
def test_a_date_that_names_one_day_is_that_day(text):
    assert day_of(text) == pd.Timestamp("2032-03-25")


@given(st.dates(pd.Timestamp("1950-01-01").date(), pd.Timestamp("2099-12-31").date()), st.sampled_from("./-"))
def test_a_numeric_date_is_read_only_where_both_orders_agree(day, mark):
    for order in ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y"):
        read = day_of(day.strftime(order.format(mark)))
        sure = day.day > 12 or day.day == day.month
        assert (read == pd.Timestamp(day)) if sure else pd.isna(read)
    assert day_of(f"{day:%Y-%m-%d}") == pd.Timestamp(day)


@pytest.mark.parametrize(("form", "read"), [("%d.%m.%Y", True), ("%m/%d/%Y", True), ("%d/%m/%Y", True)])
def test_a_column_of_dates_is_read_in_the_order_that_one_of_its_days_proves(tmp_path, form, read):
    days = [pd.Timestamp("2031-04-06"), pd.Timestamp("2031-04-13")]
    write_history(tmp_path, result_rows([(f"r{n}", day.strftime(form)) for n, day in enumerate(days)]))
    (tmp_path / "history" / "races.csv").write_text("race_id,date\nr0,2031-04-06\nr1,2031-04-13\n")
    assert data.history(tmp_path).results["date"].unique().tolist() == days
    write_history(tmp_path, result_rows([("r0", days[0].strftime(form))]))
    with pytest.raises(InputError, match=r"results.csv, row 2: date is .*write it as"):
        data.history(tmp_path)


def test_a_race_is_not_in_the_history_before_itself(tmp_path, folder):
    races = [["race_id", "date", "track_type"], *[[r, d, "short"] for r, d in ((RACE, RACE[:10]), ("a", "2031-04-06"))]]
    for race_id, date in ((RACE, "2031-05-05"), ("2031-05-04-oak", "2031-05-06")):
        (folder / "race.json").write_text(json.dumps(race_facts(date=date)))
        write_history(tmp_path, result_rows([(race_id, RACE[:10]), ("a", "2031-04-06")]))
        races[1][0] = race_id
        _write(tmp_path / "history" / "races.csv", races)
        with pytest.raises(InputError, match=f"date is {date}, the history holds {race_id} on 2031-05-04; correct one"):
            open_race(RACE, tmp_path)


def test_two_dates_of_one_race_or_contest_are_refused(tmp_path, folder):
    rows = result_rows()
    rows[4][1] = "2031-04-07"
    write_history(tmp_path, rows)
    with pytest.raises(InputError, match=r"row 5: 2031-04-06-elmton has a second date, 2031-04-07; write one"):
        data.history(tmp_path)
    write_history(tmp_path)
    _write(tmp_path / "history" / "races.csv", [["race_id", "date"], ["2031-04-06-elmton", "2031-04-08"]])
    with pytest.raises(InputError, match=r"elmton is of 2031-04-06 in results.csv, 2031-04-08 in races.csv; correct"):
        data.history(tmp_path)
    write_history(tmp_path)
    owned = [["contest_id", "race_id", "date", "driver", "ownership"]]
    owned += [["7", "2031-04-06-elmton", f"2031-04-0{6 + (n == 3)}", name, "50"] for n, name in enumerate(DRIVERS)]
    _write(tmp_path / "history" / "ownership.csv", owned)
    with pytest.raises(InputError, match="row 5: 7 has a second date"):
        data.history(tmp_path)


def test_a_race_that_stands_in_the_history_under_two_ids_is_refused(tmp_path):
    write_history(tmp_path, result_rows([("2031-04-06-elmton", "2031-04-06"), ("2031-04-06-elm", "2031-04-06")]))
    with pytest.raises(InputError, match="2031-04-06-elm is there under another id, too; keep one"):
        data.history(tmp_path)


@pytest.mark.parametrize("date", ["2031-04-05", "2030-05-04", "2031-06-04"])
def test_a_date_that_contradicts_the_race_id_is_refused(tmp_path, folder, date):
    (folder / "race.json").write_text(json.dumps(race_facts(date=date)))
    with pytest.raises(InputError, match=f"race_id is {RACE}, date {date}; correct one of them"):
        _slate(tmp_path)
    write_history(tmp_path, result_rows([(RACE, date)]))
    with pytest.raises(InputError, match=f"race_id is {RACE}, date {date}; correct one"):
        data.history(tmp_path)


def test_a_race_that_rain_moved_is_said(tmp_path, folder):
    (folder / "race.json").write_text(json.dumps(race_facts(date="2031-05-05")))
    assert any("the race id another day" in note for note in _slate(tmp_path).notes)


# --- numbers, ids, headers, words --------------------------------------------------------------------------------


def _refused_in_a_contest(tmp_path, folder, text, words):
    """Check that a prize, the fee and the pool of `text` are refused in contest.json, each by itself."""
    one, rest = contest_facts()["payouts"]
    for changed in ({"payouts": [one | {"prize": text}, rest]}, {"entry_fee": text}, {"pool": text}):
        (folder / "contest.json").write_text(json.dumps(contest_facts(**changed)))
        with pytest.raises(InputError, match=words):
            _ = data.open_folder(RACE, tmp_path).contests


@pytest.mark.parametrize("text", ["12,50", "1.000,50", "0,125", "1,2345", "12,5", ",5", "1,23,456", "١٢", "1e400", "$"])
def test_a_number_that_is_none_is_refused_in_every_file(tmp_path, folder, text):
    _refused_in_a_contest(tmp_path, folder, text, r"contest.json.* is .*; write a number such as 12.50")
    rows = [["driver", "projected_points"], [DRIVERS[0], text], *[[name, 30] for name in DRIVERS[1:]]]
    _write(folder / "projections.csv", rows)
    with pytest.raises(InputError, match=r"row 2: projected_points is .*; write a number"):
        _slate(tmp_path)


@pytest.mark.parametrize("text", ["1.250", "$1.250", "12.505", "9.000"])
def test_dollars_with_three_decimals_may_be_a_thousand(tmp_path, folder, text):
    _refused_in_a_contest(tmp_path, folder, text, r"has two meanings; write 1250 or 1\.25")
    for separator in ",;":
        rows = ("From,To,Payout,entry_fee,entries", f"1,1,{text},10,12")
        (folder / "contest.csv").write_text("\n".join(rows).replace(",", separator))
        with pytest.raises(InputError, match=r"row 2: Payout is .* has two meanings"):
            data.read_contest(folder / "contest.csv")


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (("10500", "9.000", "8700"), None),
        (("10.500", "9.000", "8.700"), None),
        (("10500.000", "9000.000", "8700.000"), [10500, 9000, 8700]),
        (("10,500", "9,000", "8,700"), [10500, 9000, 8700]),
        (("10500.0", "9000.0", "8700.0"), [10500, 9000, 8700]),
    ],
)
def test_a_salary_of_nine_dollars_is_asked_for(tmp_path, cells, read):
    _write(tmp_path / "s.csv", [["Position", "Name", "Salary"], *[["D", f"{n} Reed", c] for n, c in enumerate(cells)]])
    if read:
        assert data.read_salaries(tmp_path / "s.csv")["salary"].tolist() == read
    else:
        with pytest.raises(InputError, match=r"Salary is '(9|10)\.[05]00'"):
            data.read_salaries(tmp_path / "s.csv")


def test_another_cell_of_the_column_tells_that_three_decimals_are_decimals(tmp_path):
    rows = [[*row[:6], f"{row[6]:.3f}" if n else row[6], *row[7:]] for n, row in enumerate(result_rows())]
    rows[2][6] = "1.000"
    write_history(tmp_path, rows)
    assert data.history(tmp_path).results["laps_led"].tolist()[:3] == [200, 1, 0]
    contest = contest_facts(payouts=[{"min_rank": 1, "max_rank": 3, "prize": 33.333}])
    (tmp_path / "c.json").write_text(json.dumps(contest))
    assert data.read_contest(tmp_path / "c.json").prizes[0] == 3333


@pytest.mark.parametrize(("text", "number"), [("$1,250.50", 1250.5), ("1,250", 1250), ("10", 10), ("2.50", 2.5)])
def test_a_number_is_read(tmp_path, folder, text, number):
    (folder / "contest.json").write_text(json.dumps(contest_facts(entry_fee=text)))
    assert data.open_folder(RACE, tmp_path).contests[0].entry_fee == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("7000", "7000"), ("7000.0", "7000"), ("7000.00", "7000"), ("26,774,369", "26774369"), ("00123", "00123")]
    + [('="7000"', "7000"), ("'7000", "7000"), ("26.774.369", "26774369"), ("26 774 369", "26774369")]
    + [("26\u00a0774\u00a0369", "26774369"), ("7000,00", "7000"), ("26,774,369.00", "26774369")]
    + [(text, None) for text in ("2.68E+07", "2,68E+07", "3e7", "1E+10", "2.677E7")]
    + [(text, None) for text in ("7.000", "777.123", "########", "#NUM!", "#N/A", "26774369.5", "7000,25")],
)
def test_ids_that_went_through_a_frame_are_whole_and_those_a_spreadsheet_cut_are_refused(
    tmp_path, folder, text, number
):
    assert whole_id(text) == number
    salaries, standings, entries = salary_rows(), standings_rows(), entries_rows()
    salaries[1][1], salaries[1][3], standings[1][1], entries[1][0] = f"{DRIVERS[0]} ({text})", text, text, text
    files = {"DKSalaries.csv": salaries, "contest-standings-777123.csv": standings, "DKEntries.csv": entries}
    for name, rows in files.items():
        _write(folder / name, rows)
    (folder / "contest.json").write_text(json.dumps(contest_facts(contest_id=text)))
    race = data.open_folder(RACE, tmp_path)
    if number is None:
        for part in ("slate", "standings", "entries", "contests"):
            with pytest.raises(InputError):
                getattr(race, part)
    else:
        assert race.slate.drivers["name_id"][0] == f"{DRIVERS[0]} ({number})" and race.contests[0].contest_id == number
        assert race.standings[0].entries["entry_id"][0] == number == race.entries.frame["entry_id"][0]
        assert race.entries.cells[1][0] == number


@pytest.mark.parametrize(
    ("row", "column", "cell", "says"),
    [
        (2, 1, "Abel Reed (4001)", "row 3: Name is Bruno Mott, ID 4001, Name . ID 'Abel Reed .4001.'"),
        (2, 1, "Bruno Mott (4000)", "row 3: Name is Bruno Mott, ID 4001, Name . ID 'Bruno Mott .4000.'"),
        (2, 3, "4005", "row 3: Name is Bruno Mott, ID 4005"),
        (2, 2, "Cyril Reeds", "row 3: Name is Cyril Reeds, ID 4001"),
        (2, 1, "Bruno Mott (4.0E+03)", "a spreadsheet has cut it"),
        (2, 1, "Abel Reed", "row 3: Name is Bruno Mott"),
    ],
)
def test_a_driver_who_is_two_drivers_in_one_row_is_refused(tmp_path, folder, row, column, cell, says):
    rows = salary_rows()
    rows[row][column] = cell
    _write(folder / "DKSalaries.csv", rows)
    with pytest.raises(InputError, match=rf"DKSalaries.csv, .*{says}"):
        _slate(tmp_path)


def test_an_id_of_two_drivers_is_refused_and_one_column_of_ids_is_enough(tmp_path, folder):
    rows = salary_rows()
    rows[4][1], rows[4][3] = f"{DRIVERS[3]} (4000)", "4000"
    _write(folder / "DKSalaries.csv", rows)
    with pytest.raises(InputError, match=r"row 5: ID 4000 is Dario Mott's and Abel Reed's"):
        _slate(tmp_path)
    for column in (1, 3):
        _write(folder / "DKSalaries.csv", [row[:column] + row[column + 1 :] for row in salary_rows()])
        assert _slate(tmp_path).drivers["name_id"][3] == f"{DRIVERS[3]} (4003)"


def test_ids_that_the_upload_needs_are_asked_for_before_a_page_is_made(tmp_path, folder):
    rows = salary_rows()
    rows[12][1], rows[12][3] = DRIVERS[11], ""
    _write(folder / "DKSalaries.csv", rows)
    with pytest.raises(InputError, match="Leon Mott has no id; DraftKings refuses a name without its id"):
        data.open_folder(RACE, tmp_path).check_after_race()
    (folder / "race.json").write_text(json.dumps(race_facts(out=[DRIVERS[11]])))
    data.open_folder(RACE, tmp_path).check_after_race()


@pytest.mark.parametrize(
    ("column", "cell", "says"),
    [
        (15, "4.0E+03", "ID is '4.0E.03'; a spreadsheet has cut it"),
        (15, "4.001", "ID is '4.001'; a spreadsheet has cut it"),
        (15, "########", "a spreadsheet has cut it"),
        (15, "4005", "Name is Bruno Mott, ID 4005, Name . ID 'Bruno Mott .4001.'"),
        (13, "Zed Poe (4001)", "Name is Bruno Mott, ID 4001, Name . ID 'Zed Poe .4001.'"),
        (14, "Zed Poe", "Name is Zed Poe, ID 4001"),
    ],
)
def test_a_pool_is_checked_as_a_salary_file_is(tmp_path, folder, column, cell, says):
    rows = entries_rows()
    rows[8][column] = cell
    _write(folder / "DKEntries.csv", rows)
    with pytest.raises(InputError, match=rf"DKEntries.csv, row 9: {says}" if says[0] != "a" else says):
        _ = data.open_folder(RACE, tmp_path).entries


def test_a_pool_that_names_somebody_else_is_another_slates(tmp_path, folder):
    rows = entries_rows()
    rows[8][13], rows[8][14] = "Zeno Substitute (4001)", "Zeno Substitute"
    _write(folder / "DKEntries.csv", rows)
    race = data.open_folder(RACE, tmp_path)
    with pytest.raises(InputError, match=r"ID 4001 is Zeno Substitute there, Bruno Mott in DKSalaries.csv"):
        race.entries.fill(race.slate, {})


@pytest.mark.parametrize(
    "header", ["Own %", "OWN", "pOwn %", "p-own", "Proj. Own", "ownership (%)", "Projected  Ownership %"]
)
def test_a_header_that_nearly_fits_is_matched(tmp_path, folder, header):
    _write(folder / "projections.csv", [["Name", header], *[[name, "50%"] for name in DRIVERS]])
    assert _slate(tmp_path).column("projected_ownership").tolist() == [0.5] * 12


@pytest.mark.parametrize("header", ["Fpts", "StdDev", "Ownage", "Value", "Ceiling", "Own Rank"])
def test_a_column_of_projections_that_is_not_read_is_named(tmp_path, folder, header):
    _write(folder / "projections.csv", [["Name", "Proj", header], *[[name, 30, 1] for name in DRIVERS]])
    assert f"projections.csv: not read: {header}." in _slate(tmp_path).notes


@pytest.mark.parametrize(
    ("text", "series"),
    [("Cup", "cup"), ("CUP", "cup"), ("NASCAR Cup", "cup"), ("NASCAR Cup Series", "cup"), ("NCS", "cup")]
    + [("Xfinity Series", "xfinity"), ("NXS", "xfinity"), ("Craftsman Truck Series", "trucks"), ("Trucks", "trucks")]
    + [(text, None) for text in ("IndyCar", "ARCA", "Cup/Xfinity", "1", "F1")],
)
def test_a_series_is_known_however_it_is_written(tmp_path, folder, text, series):
    assert series_of(text) == series
    (folder / "race.json").write_text(json.dumps(race_facts(series=text)))
    write_history(tmp_path, [[*row, text if n else "series"] for n, row in enumerate(result_rows())])
    if series is None:
        for act in (lambda: _slate(tmp_path), lambda: data.history(tmp_path)):
            with pytest.raises(InputError, match=r"series is .*; write (one of )?cup, xfinity"):
                act()
    else:
        assert data.open_folder(RACE, tmp_path).race.series == series
        races = pd.read_csv(tmp_path / "history" / "races.csv").assign(series=text)
        races.to_csv(tmp_path / "history" / "races.csv", index=False)
        assert data.history(tmp_path, series=series).results["race_id"].nunique() == 2


@pytest.mark.parametrize(
    ("status", "out", "said"),
    [
        (s, True, False)
        for s in (
            *("WD", "dnq", "DNS", "SUSP", "NA", "Inactive", "Scratched", "Withdrawn", "out", "IR", "O", "O.", "WD*"),
            *("Out (illness)", "Out - injury", "W/D", "DNP", "Not Starting", "Withdrew; no sponsor", "N/A"),
        )
    ]
    + [(s, False, False) for s in ("Q", "D", "P", "GTD", "", "Active", "-", "--", "nan", "None", "Confirmed", "Q*")]
    + [(s, False, True) for s in ("BENCH", "?", "late", "TBD", "Sick", "1", "Y")],
)
def test_a_status_is_out_racing_or_named(tmp_path, folder, status, out, said):
    rows = [[*row, "Status" if n == 0 else status if n == 3 else ""] for n, row in enumerate(salary_rows())]
    _write(folder / "DKSalaries.csv", rows)
    slate = _slate(tmp_path)
    assert slate.out.tolist() == [n == 2 and out for n in range(12)]
    assert any(DRIVERS[2] in note and status.upper() in note for note in slate.notes if "not known" in note) == said


# --- files of another race or moment -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contests", "standings", "played"),
    [
        ([{"contest_id": "777123"}], ["777123"], ["777123"]),
        ([{"contest_id": "777123"}], ["888456"], [None]),
        ([{"contest_id": ""}], ["888456"], ["888456"]),
        ([{"contest_id": "", "entries": 6}], ["777123"], ["777123"]),
        ([{"contest_id": ""}], ["777123", "888456"], [None]),
        ([{"contest_id": "1111"}, {"contest_id": "2222"}], ["2222"], [None, "2222"]),
    ],
)
def test_standings_are_played_only_with_their_own_contest(tmp_path, folder, contests, standings, played):
    (folder / "contest.json").write_text(json.dumps([contest_facts(**changed) for changed in contests]))
    for contest_id in standings:
        write_standings(folder, contest_id=contest_id)
    race = data.open_folder(RACE, tmp_path)
    found = [race.standings_of(contest) for contest in race.contests]
    assert [one and one.contest_id for one in found] == played


def _running(rows):
    return [[*row[:3], 143, *row[4:]] if n and row[0] else row for n, row in enumerate(rows)]


def test_an_export_made_while_the_race_ran_is_refused_alone_and_gives_way_to_the_final_one(tmp_path, folder):
    early = folder / "contest-standings-777123.csv"
    _write(early, _running(standings_rows()))
    with pytest.raises(InputError, match="exported while the race ran"):
        data.ingest_standings(RACE, tmp_path)
    write_standings(folder)
    (standings,) = data.open_folder(RACE, tmp_path).standings
    assert not standings.running and "contest-standings-777123.csv was exported while" in standings.notes[-1]
    rows = standings_rows()
    rows[1][4] = 300
    _write(early, rows)
    with pytest.raises(InputError, match="are exports of contest 777123 that differ; keep the one made after"):
        _ = data.open_folder(RACE, tmp_path).standings
    early.write_bytes(b"")
    assert len(data.open_folder(RACE, tmp_path).standings) == 1


@pytest.mark.parametrize(
    "beside", ["__MACOSX/._contest-standings-777123.csv", "x/._a.csv", "._a.csv", "notes.txt", ".DS_Store"]
)
def test_what_a_mac_packs_beside_the_export_is_passed_over(tmp_path, folder, beside):
    path = write_standings(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(beside, b"\x00\x05\x16\x07")
    assert len(data.open_folder(RACE, tmp_path).standings[0]) == 6


@pytest.mark.parametrize(
    ("name", "contest_id"),
    [
        ("contest-standings.csv", f"{RACE}-contest-standings"),
        ("contest-standings (1).csv", f"{RACE}-contest-standings (1)"),
        ("contest-standings-main.csv", f"{RACE}-contest-standings-main"),
        ("contest-standings-2031-05-04.csv", f"{RACE}-contest-standings-2031-05-04"),
        ("contest-standings-20310505.csv", f"{RACE}-contest-standings-20310505"),
        ("contest-standings-777123 2031-05-04.csv", "777123"),
        ("contest-standings-777123 (2).csv", "777123"),
    ],
)
def test_a_contest_is_known_by_its_number_and_a_date_is_none(folder, name, contest_id):
    _write(folder / name, standings_rows())
    assert data.read_standings(folder / name).contest_id == contest_id


@pytest.mark.parametrize(
    "left", [143, "143.0", "143 laps", "Lap 143", "1:43", "00:01:00", "1,234", "45 min", "LIVE", "In Progress"]
)
def test_time_that_is_left_is_seen_however_it_is_written(tmp_path, folder, left):
    rows = [[*row[:3], left, *row[4:]] if n and row[0] else row for n, row in enumerate(standings_rows())]
    _write(folder / "contest-standings-777123.csv", rows)
    with pytest.raises(InputError, match="exported while the race ran"):
        data.ingest_standings(RACE, tmp_path)


@pytest.mark.parametrize("left", [0, "0.0", "", "00:00:00", "0 laps", "-12", "Final", "F", "-", "N/A"])
def test_an_export_with_no_time_left_is_final(folder, left):
    rows = [[*row[:3], left, *row[4:]] if n and row[0] else row for n, row in enumerate(standings_rows())]
    _write(folder / "contest-standings-777123.csv", rows)
    assert not data.read_standings(folder / "contest-standings-777123.csv").running


@pytest.mark.parametrize(
    "name", ["Contest-Standings-777123.CSV", "contest_standings_777123.csv", "contest standings 777123.csv"]
)
def test_standings_are_found_under_a_name_that_was_changed_a_little(tmp_path, folder, name):
    _write(folder / name, standings_rows())
    (folder / "contest-standings-888456.csv").mkdir()
    assert [one.contest_id for one in data.open_folder(RACE, tmp_path).standings] == ["777123"]


def test_more_entries_than_the_contest_holds_are_another_contests(tmp_path, folder):
    write_standings(folder)
    (folder / "contest.json").write_text(json.dumps(contest_facts(entries=5, payouts=contest_facts()["payouts"][:1])))
    with pytest.raises(InputError, match="zip: 6 entries, the contest holds 5 by"):
        data.ingest_standings(RACE, tmp_path)
    (folder / "contest.json").write_text(json.dumps(contest_facts(entries=5000, contest_id="")))
    race = data.open_folder(RACE, tmp_path)
    assert race.standings_of(race.contests[0]) is None


def test_standings_without_a_number_do_not_replace_those_of_another_race(tmp_path):
    for race_id in (RACE, "2031-05-11-elmton"):
        _write(write_race(tmp_path, race_id=race_id) / "contest-standings.csv", standings_rows())
        data.ingest_standings(race_id, tmp_path)
    stored = read_table(tmp_path / "history" / "ownership.csv", "ownership")
    assert stored.groupby("race_id").size().to_dict() == {RACE: 12, "2031-05-11-elmton": 12}


@pytest.mark.parametrize(
    "name",
    [
        *("contest-standings-2031-04-27.csv", "contest-standings-777123_20310427.csv"),
        *("contest-standings-777123-27.04.2031.csv", "contest-standings-777123 27apr2031.csv"),
        *("contest-standings-777123_04-27-2031.csv", "contest-standings-777123-27-Apr-2031.csv"),
    ],
)
def test_a_file_named_after_another_day_is_another_races(tmp_path, folder, name):
    _write(folder / name, standings_rows())
    with pytest.raises(InputError, match="its name says 2031-04-27, the race is on 2031-05-04"):
        data.ingest_standings(RACE, tmp_path)


def test_a_zip_whose_content_is_named_after_another_day_is_another_races(tmp_path, folder):
    with zipfile.ZipFile(folder / "contest-standings-777123.zip", "w") as archive:
        archive.writestr("contest-standings-777123-2031-04-27.csv", csv_bytes(standings_rows()))
    with pytest.raises(InputError, match="its name says 2031-04-27"):
        data.ingest_standings(RACE, tmp_path)


def test_last_weeks_standings_are_refused_by_what_their_lineups_cost(tmp_path, folder):
    write_standings(folder)
    _write(folder / "DKSalaries.csv", salary_rows(salary=[5000] * 6 + [10500] * 6))
    with pytest.raises(InputError, match=r"lineups cost more than the cap by the slate .*another race"):
        data.ingest_standings(RACE, tmp_path)


def test_a_contest_that_is_in_the_history_of_another_day_is_refused(tmp_path, folder):
    write_standings(folder)
    data.ingest_standings(RACE, tmp_path)
    before = (tmp_path / "history" / "ownership.csv").read_bytes()
    write_standings(write_race(tmp_path, race_id="2031-05-11-elmton"))
    with pytest.raises(InputError, match="contest 777123 is one of 2031-05-04; the standings in 2031-05-11-elmton"):
        data.ingest_standings("2031-05-11-elmton", tmp_path)
    assert (tmp_path / "history" / "ownership.csv").read_bytes() == before


def test_a_driver_added_after_the_salary_file_costs_only_his_lineups(tmp_path, folder):
    drivers = [*DRIVERS[:11], "Otto Late"]
    write_standings(folder, standings_rows(drivers=drivers))
    race = data.open_folder(RACE, tmp_path)
    kept = [row for row in LINEUPS if row and 11 not in row]
    assert race.standings[0].lineups(race.slate).tolist() == kept
    assert race.standings[0].strangers(race.slate) == ("Otto Late",)
    assert "Otto Late" in data.ingest_standings(RACE, tmp_path).notes[0]


@pytest.mark.parametrize("known", [0, 1, 3, 5])
def test_projections_of_another_race_are_refused(tmp_path, folder, known):
    names = [*DRIVERS[:known], *[f"Zoltan {'ABCDEFGHIJKL'[n]}xx" for n in range(12 - known)]]
    _write(folder / "projections.csv", [["driver", "projected_points"], *[[name, 30] for name in names]])
    with pytest.raises(InputError, match=f"projections.csv: it holds {known} of the 12 drivers with a salary"):
        _slate(tmp_path)


@pytest.mark.parametrize("own", [1, 3, 6])
def test_projections_for_a_few_drivers_or_for_two_series_are_used(tmp_path, folder, own):
    _write(folder / "projections.csv", [["driver", "projected_points"], *[[name, 30] for name in DRIVERS[:own]]])
    assert np.isfinite(_slate(tmp_path).column("projected_points")).sum() == own
    both = [*DRIVERS, *[f"Xaver {'ABCDEFGHIJKLMNOP'[n]}xx" for n in range(16)]]
    _write(folder / "projections.csv", [["driver", "projected_points"], *[[name, 30] for name in both]])
    assert np.isfinite(_slate(tmp_path).column("projected_points")).all()


def test_a_second_vendor_stands_beside_the_first(tmp_path, folder):
    _write(folder / "projections.csv", [["driver", "Proj", "Own"], *[[name, 30, 50] for name in DRIVERS]])
    _write(folder / "projections-other.csv", [["driver", "Proj", "Own"], *[[name, 31, 40] for name in DRIVERS]])
    slate = _slate(tmp_path)
    columns = ("projected_ownership", "projected_ownership_2", "projected_points", "projected_points_2")
    assert [slate.column(name)[0] for name in columns] == [0.5, 0.4, 30, 31]


def test_a_salary_file_that_lies_there_twice_is_refused_where_the_two_differ(tmp_path, folder):
    _write(folder / "DKSalaries (1).csv", salary_rows())
    assert len(_slate(tmp_path)) == 12
    _write(folder / "DKSalaries (1).csv", salary_rows(salary=SALARY[::-1]))
    with pytest.raises(InputError, match=r"DKSalaries.csv and DKSalaries \(1\).csv differ; keep the one"):
        _slate(tmp_path)


@pytest.mark.parametrize("name", ["DKSalaries 2", "DKSalaries copy", "DKSalaries - Copy", "DKSalaries(1)"])
def test_a_copy_of_the_salary_file_is_known_on_every_system(tmp_path, folder, name):
    _write(folder / f"{name}.csv", salary_rows(salary=SALARY[::-1]))
    with pytest.raises(InputError, match="differ; keep the one"):
        _slate(tmp_path)


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("Projections.csv", "projections.csv"),
        ("projections.csv.txt", "projections.csv"),
        ("projections (1).csv", "projections.csv"),
        ("Starting Lineup.csv", "starting_lineup.csv"),
        ("starting_lineup - Copy.csv", "starting_lineup.csv"),
        ("contest (2).json", "contest.json"),
        ("Odds.xlsx", "odds.csv"),
        ("contest-standings-777123.csv.gz", "contest-standings.csv"),
        ("Copy of contest-standings-777123.csv", "contest-standings.csv"),
        ("DKEntries (1).csv", "DKEntries.csv"),
    ],
)
def test_a_file_that_is_not_read_but_nearly_called_so_is_named(tmp_path, folder, name, like):
    assert not any("not read" in note for note in _slate(tmp_path).notes)
    (folder / name).write_text("x")
    (folder / "my notes.txt").write_text("x")
    assert [note for note in _slate(tmp_path).notes if "not read" in note] == [f"{name} is not read; is it {like}?"]


def test_of_two_contest_files_one_is_read_and_it_is_said(tmp_path, folder):
    _write(folder / "contest.csv", [["From", "To", "Payout", "entry_fee", "entries"], [1, 1, 50, 10, 12]])
    assert "contest.csv is not read, contest.json is." in _slate(tmp_path).notes


@pytest.mark.parametrize(
    ("key", "read"),
    [("Out", True), ("OUT", True), ("outs", False), ("To Rear", None), ("toRear", None), ("to_rears", False)],
)
def test_a_key_of_race_json_that_nearly_fits_is_read_or_named(tmp_path, folder, key, read):
    (folder / "race.json").write_text(json.dumps(race_facts() | {key: DRIVERS[:1]}))
    slate = _slate(tmp_path)
    assert slate.out[0] == bool(read) and slate.drivers["to_rear"][0] == (read is None)
    assert any(f"race.json: {key} was not read; is it" in note for note in slate.notes) == (read is False)


@pytest.mark.parametrize("name", ["2031-05-04 big lake", "2031-05-04-lake!", "big lake", "ein großer See & mehr"])
def test_a_folder_whose_name_is_no_race_id_is_told_its_right_name(tmp_path, name):
    write_race(tmp_path).rename(tmp_path / "races" / name)
    with pytest.raises(InputError, match=r"rename the folder to [\w.-]+$"):
        data.open_folder(name, tmp_path)
    (tmp_path / "races" / name).rename(tmp_path / "races" / ".trash")
    assert data.list_races(tmp_path) == []


# --- identity over time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "names", "pairs"),
    [
        (["Alan B. Poe", "Alan Poe"], ["Alan Poe"], {"Alan B. Poe": "Alan Poe", "Alan Poe": "Alan Poe"}),
        (
            ["Ricky Roe", "Ricky Roe Jr."],
            ["Ricky Roe Jr."],
            {"Ricky Roe": "Ricky Roe Jr.", "Ricky Roe Jr.": "Ricky Roe Jr."},
        ),
        (["J. Smith"], ["John Smith", "James Smith"], {}),
        (["J. Smith", "John Smith", "James Smith"], ["John Smith"], {"John Smith": "John Smith"}),
        (["Kyle Busch", "Kurt Busch"], ["K. Busch"], {}),
        (["K. Busch", "Kyle Busch"], ["Kyle Busch", "Kurt Busch"], {"Kyle Busch": "Kyle Busch"}),
        (["Ann Poe"], ["Alan Poe"], {}),
        (["A. Poe", "AL Poe"], ["Alan Poe"], {}),
    ],
)
def test_spellings_join_where_nobody_else_can_be_meant(written, names, pairs):
    assert spellings(written, names, {}) == pairs


def test_two_who_raced_together_are_two():
    races = {"Al Poe": {"r1"}, "A. Poe": {"r1", "r2"}}
    assert spellings(["Al Poe", "A. Poe"], ["Al Poe"], races) == {"Al Poe": "Al Poe"}
    assert spellings(["Al Poe", "A. Poe"], ["Al Poe"], {"Al Poe": {"r1"}}) == {"Al Poe": "Al Poe", "A. Poe": "Al Poe"}


def test_a_history_joins_two_spellings_of_a_driver_and_says_so(tmp_path):
    rows = result_rows()
    rows[1][3], rows[13][3] = "Abel B. Reed", "Abel Reed"
    write_history(tmp_path, rows)
    past = data.history(tmp_path).with_names(DRIVERS)
    assert past.results["driver"].value_counts()["Abel Reed"] == 2
    assert past.notes == ("History: Abel B. Reed taken for Abel Reed.",)


@pytest.mark.parametrize(
    "written",
    [
        *("#5 Abel Reed", "Abel Reed (#5)", "Reed, Abel", "ABEL REED", "Abel\u00a0Reed", "Ab\u00adel Reed"),
        *("\u200eAbel Reed\u200f", "Abel Reed (P)", "Abel Reed*", "Ábel Reed", "A\u0301bel Reed", "Ã¡bel Reed"),
        *("Abel “Ace” Reed", "Abel Reed Jr"),
    ],
)
def test_a_name_is_known_however_it_is_written(tmp_path, folder, written):
    _write(folder / "projections.csv", [["Name", "Proj"], [written, 31], *[[name, 30] for name in DRIVERS[1:]]])
    assert _slate(tmp_path).column("projected_points")[0] == 31


@pytest.mark.parametrize(
    ("ids", "names", "counts"),
    [
        ((7, 7, 8), ("Abel Reed", "Flash Reed", "Abel Reed"), {"Flash Reed": 2, "Abel Reed": 1}),
        ((7, 8, 8), ("Abel Reed", "Abel Reed", "Flash Reed"), {"Abel Reed": 1, "Flash Reed": 2}),
        ((7, 8, 8), ("Abel Reed", "Abel Reed", "Abel Reed"), {"Abel Reed": 3}),
        ((7, "", 7), ("Abel Reed", "Abel Reed", "Flash Reed"), {"Flash Reed": 3}),
        ((0, 0, 0), ("Abel Reed", "Bruno Mott", "Cyril Reed"), {"Abel Reed": 1, "Bruno Mott": 1, "Cyril Reed": 1}),
        ((7, 8, 7), ("Abel Reed", "Bruno Mott", "Bruno Mott"), {"Abel Reed": 1, "Bruno Mott": 2}),
    ],
)
def test_the_id_decides_where_a_name_is_taken_over(ids, names, counts):
    frame = pd.DataFrame({"driver": names, "nascar_driver_id": ids, "race_id": list("abc")})
    frame["nascar_driver_id"] = frame["nascar_driver_id"].astype(str).replace("", None)
    who = persons(frame)
    assert frame["driver"].groupby(who).transform("last").value_counts().to_dict() == counts


def test_nascars_id_joins_a_driver_who_was_renamed(tmp_path):
    rows = [[*row, "nascar_driver_id" if n == 0 else 100 + (n - 1) % 12] for n, row in enumerate(result_rows())]
    rows[13][3] = "Flash Reed"
    write_history(tmp_path, rows)
    assert data.history(tmp_path).results["driver"].value_counts()["Flash Reed"] == 2


# --- contests as they are ----------------------------------------------------------------------------------------


def _api(*tiers, **changed):
    summary = [
        {
            "minPosition": low,
            "maxPosition": high,
            "payoutDescriptions": [{"payoutDescription": words, "value": value} for words, value in parts],
            "tierPayoutDescriptions": kinds,
        }
        for low, high, kinds, parts in tiers
    ]
    return {"contestDetail": {"entryFee": 5.0, "maximumEntries": 100, "payoutSummary": summary, **changed}}


@pytest.mark.parametrize(
    ("content", "prizes", "says"),
    [
        (_api((1, 2, {"Ticket": "Final Seat"}, [("Final Seat", 200)])), [200, 200], "2 prizes are tickets"),
        (_api((1, 1, {"Ticket": "A $50 Ticket"}, [("A $50 Ticket", 0)])), [50], "counted as the $50.00 it names"),
        (_api((1, 1, {"Ticket": "$1,500 Entry"}, [("$1,500 Entry", None)])), [1500], "counted as the $1,500.00"),
        (_api((1, 1, {"Ticket": "A"}, [("Ticket worth $20 to $1M Maker", 0)])), [20], "counted as the $20.00"),
        (_api((1, 1, {"Ticket": "A"}, [("1x $5.50 ticket", 0)])), [5.5], "counted as the $5.50"),
        (_api((1, 1, {"Ticket": "A"}, [("NAS 2031 Ticket ($9)", 0)])), [9], "counted as the $9.00"),
        (_api((1, 1, {"Cash": "$20.00"}, [("$20.00", 20)])), [20], ""),
        (_api((1, 1, {"Cash": "$20", "Ticket": "Seat"}, [("$20", 20), ("Seat", 30)])), [50], "1 prizes are tickets"),
        (_api((1, 1, None, [("Golden ticket", 8)])), [8], "1 prizes are tickets"),
        (
            _api((1, 2, {"Ticket": "Seat"}, [("Seat", 9)]), (3, 3, {"Cash": "$5"}, [("$5", 5)]), totalPayouts=5),
            [9, 9, 5],
            "",
        ),
        (contest_facts(entry_fee=0), [50, 10, 10, 10, 10, 10], ""),
    ],
)
def test_tickets_and_freerolls_are_counted_and_said(tmp_path, content, prizes, says):
    (tmp_path / "c.json").write_text(json.dumps(content))
    contest = data.read_contest(tmp_path / "c.json")
    assert (contest.prizes[: len(prizes)] / 100).tolist() == prizes and says in " ".join(contest.notes)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            _api((1, 3, {"Ticket": "Final Seat"}, [("Final Seat", 0)])),
            "the ticket 'Final Seat' has no value; write its worth",
        ),
        (_api((1, 3, {"Ticket": "Final Seat"}, [("Final Seat", None)])), "the ticket 'Final Seat' has no value"),
        (_api((1, 1, {"Cash": "none"}, [("a handshake", 0)])), "the prize 'a handshake' has no value"),
        *[
            (_api((1, 1, {"Ticket": words}, [(words, 0)])), "has no value; write its worth")
            for words in (
                *("Seat for $12,50", "$1.5M Contest Ticket", "$1K ticket", "2x $5 tickets", "3 tickets of $5"),
                *("$20 ticket to a $1,000,000 contest", "Ticket x 2 ($5)", "9 € ticket", "$1.250 Seat", "2 $5 Entries"),
            )
        ],
        (contest_facts(payouts=[{"min_rank": 1, "max_rank": 6, "prize": 0}]), "no rank is paid anything"),
        ([contest_facts(), contest_facts(entry_fee=99)], "contest_id 777123 stands for two contests"),
    ],
)
def test_prizes_without_a_worth_are_asked_for(tmp_path, content, says):
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=says):
        data.read_contest(tmp_path / "c.json")


def test_ingest_keeps_the_kind_of_the_contest(tmp_path, folder):
    payouts = [{"min_rank": 1, "max_rank": 3, "prize": 18}]
    (folder / "contest.json").write_text(json.dumps(contest_facts(entries=6, payouts=payouts)))
    write_standings(folder)
    data.ingest_standings(RACE, tmp_path)
    assert read_table(tmp_path / "history" / "ownership.csv", "ownership")["kind"].unique().tolist() == ["cash"]


# --- spreadsheets, formulas, paths, bounds -----------------------------------------------------------------------

FORMS = [
    lambda text: "sep=;\r\n" + text.replace(",", ";"),
    lambda text: "sep=,\n" + text,
    lambda text: '"sep=\t"\n' + text.replace(",", "\t"),
    lambda text: "SEP=|\n" + text.replace(",", "|"),
    lambda text: "\n\n" + text,
    lambda text: "\r\n \r\nsep=;\n\n" + text.replace(",", ";"),
    lambda text: text.replace(",", ";"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_every_reader_takes_a_sheet_as_spreadsheets_save_it(tmp_path, folder, form, encoding):
    grid = [["driver", "start"], *[[name, n] for n, name in enumerate(DRIVERS, 1)]]
    projections = [["driver", "projected_points"], *[[name, 30] for name in DRIVERS]]
    payouts = [["min_rank", "max_rank", "prize", "entry_fee", "entries"], [1, 1, 50, 10, 12]]
    entries = [[cell.replace(",", "") for cell in row] for row in entries_rows()]
    sheets = {"DKSalaries": salary_rows(), "starting_lineup": grid, "projections": projections, "contest": payouts}
    sheets |= {"contest-standings-777123": standings_rows(), "DKEntries": entries}
    (folder / "contest.json").unlink()
    for name, rows in sheets.items():
        (folder / f"{name}.csv").write_bytes(form(csv_bytes(rows).decode()).encode(encoding))
    race = data.open_folder(RACE, tmp_path)
    assert race.slate.salary.tolist() == SALARY and race.slate.column("projected_points")[0] == 30
    assert race.slate.column("start")[0] == 1 and len(race.standings[0]) == 6 and len(race.entries) == 4
    assert race.contests[0].prizes[0] == 5000


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("1,250", "Payout is '1,250', which has two meanings"),
        ("12,500", "has two meanings"),
        ("$1,250", "has two meanings"),
        ("1,250.50", None),
        ("1,250,000", None),
        ("1250", None),
    ],
)
def test_a_comma_with_two_meanings_is_asked_for_in_a_sheet_cut_at_semicolons(tmp_path, cell, says):
    rows = [["From", "To", "Payout", "entry_fee", "entries"], ["1", "1", cell, "10", "100000"]]
    path = tmp_path / "contest.csv"
    path.write_text("\n".join(";".join(row) for row in rows))
    if says:
        with pytest.raises(InputError, match=rf"row 2: .*{re.escape(says)}"):
            data.read_contest(path)
        _write(path, rows)
    assert data.read_contest(path).prizes[0] == round(100 * float(cell.replace(",", "").replace("$", "")))


def test_a_whole_number_has_no_decimals_and_another_figure_is_asked_for(tmp_path):
    path = tmp_path / "DKSalaries.csv"
    path.write_text("Position;Name;Salary\nD;Abel Reed;10,000")
    assert data.read_salaries(path)["salary"].tolist() == [10000]
    path.write_text("Position;Name;Salary;AvgPointsPerGame\nD;Abel Reed;7500;38,125")
    with pytest.raises(InputError, match="AvgPointsPerGame is '38,125', which has two meanings"):
        data.read_salaries(path)


def test_a_row_is_blamed_by_its_number_in_the_file(tmp_path, folder):
    text = "\nsep=;\n\ndriver;start\nAbel Reed;1\nBruno Mott;pole\n"
    (folder / "starting_lineup.csv").write_text(text)
    with pytest.raises(InputError, match="row 6: start is 'pole'"):
        _slate(tmp_path)


@pytest.mark.parametrize("text", ["a;=1", "a; @x", "a\t=1", "a;+cmd", "x;-2+3", "a\n=1", "Reed;=HYPERLINK(1)"])
def test_what_follows_a_separator_is_no_formula(text):
    written = escape_cell(text)
    assert "'" in written and written.replace("'", "") == text


@pytest.mark.parametrize("name", ["out {season}", "{}", "{0}", "%s %d", "a'b\"c", "$HOME", "ü ß", "{row!r}"])
def test_a_folder_may_have_any_name(tmp_path, name):
    folder = write_race(tmp_path / name)
    assert len(_slate(tmp_path / name)) == 12
    (folder / "starting_lineup.csv").write_text("driver,start\nAbel Reed,x\n")
    with pytest.raises(InputError) as caught:
        _slate(tmp_path / name)
    assert name in str(caught.value) and "row 2: start is 'x'" in str(caught.value)


@pytest.mark.parametrize("fill", [b",", b"\n", b"a,", b",,\n", b"1\n"])
def test_a_sheet_that_swells_is_refused_before_it_is_cut_into_cells(folder, fill):
    path = folder / "contest-standings-777123.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("contest-standings-777123.csv", b"Rank,EntryId\n" + fill * (46_000_000 // len(fill)))
    with pytest.raises(InputError, match="more than 15,000,000 cells"):
        data.read_standings(path)


ODD_NAMES = {
    "2031-05-04 oakfield": "2031-05-04-oakfield",
    "2031-05-04-oakfield copy": "2031-05-04-oakfield-copy",
    "2031-05-04-oakfield (1)": "2031-05-04-oakfield-1",
    "#1 'oak' [x]": "1-oak-x",
    "100%": "100",
    "-rf": "rf",
    "a\nb": "a-b",
    "oak;field": "oak-field",
    "~": "",
    "{season}": "season",
}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_folder_that_cannot_be_a_race_id_is_named_with_a_better_name_and_stops_no_other(name, tmp_path):
    write_standings(write_race(tmp_path))
    write_race(tmp_path, race_id=name)
    with pytest.raises(InputError, match="a race id has letters, digits, ") as refused:
        data.open_folder(name, tmp_path)
    assert str(refused.value).endswith(f"rename the folder{' to ' if ODD_NAMES[name] else ''}{ODD_NAMES[name]}")
    assert data.open_folder(RACE, tmp_path).race_id == RACE and data.finished_races(tmp_path) == [RACE]


@pytest.mark.parametrize("name", ["2031-05-04-oakfield.", "rennen_ü", "300", "a.b-c_d", "Ω"])
def test_a_name_of_letters_and_digits_is_a_race_id(name, tmp_path):
    write_race(tmp_path, race_id=name)
    assert data.open_folder(name, tmp_path).path.name == name in data.list_races(tmp_path)


@pytest.mark.parametrize("name", [".Trash", ".hidden", "__MACOSX", "lost+found", "notes"])
def test_no_hidden_or_foreign_folder_is_a_race(name, tmp_path):
    write_race(tmp_path)
    (tmp_path / "races" / name).mkdir()
    (tmp_path / "races" / name / ("DKSalaries.csv" if name[0] == "." else "._DKSalaries.csv")).touch()
    assert data.list_races(tmp_path) == [RACE]
