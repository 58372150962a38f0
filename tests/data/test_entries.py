"""Upload and reserved entries: only legal lineups go out, and every other cell of the sheet stays."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from race_files import DRIVERS, LINEUPS, RACE, csv_bytes, entries_rows, salary_rows, write_race

from dfslab.data._entries import read_entries, write_lineups
from dfslab.data._race_folder import load_slate
from dfslab.errors import InputError

TWO = np.array(LINEUPS[:2])


@pytest.fixture
def slate(tmp_path):
    write_race(tmp_path)
    return load_slate(RACE, tmp_path)


def _read(path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def _entries(tmp_path, rows=None, encoding="utf-8"):
    path = tmp_path / "DKEntries.csv"
    path.write_bytes(csv_bytes(rows or entries_rows(), encoding))
    return read_entries(path)


def test_upload_is_six_columns_of_names_with_ids(tmp_path, slate):
    write_lineups(tmp_path / "up.csv", slate, TWO)
    rows = _read(tmp_path / "up.csv")
    assert rows[0] == ["D"] * 6
    assert rows[1:] == [[f"{DRIVERS[d]} ({4000 + d})" for d in row] for row in LINEUPS[:2]]


def test_no_lineups_give_an_empty_upload(tmp_path, slate):
    write_lineups(tmp_path / "up.csv", slate, np.empty((0, 6), int))
    assert _read(tmp_path / "up.csv") == [["D"] * 6]


@pytest.mark.parametrize(
    ("lineup", "says"),
    [
        ([0, 1, 2, 3, 4, 5], "lineup 2: .* above the cap"),
        ([0, 0, 8, 9, 10, 11], "lineup 2: a driver comes twice"),
        ([0, 2, 5, 8, 10, 12], "rows 0 to 11"),
        ([0, 2, 5, 8, 10, -1], "rows 0 to 11"),
    ],
)
def test_an_illegal_lineup_leaves_an_earlier_upload_alone(tmp_path, slate, lineup, says):
    write_lineups(tmp_path / "up.csv", slate, TWO)
    before = (tmp_path / "up.csv").read_bytes()
    with pytest.raises(InputError, match=says):
        write_lineups(tmp_path / "up.csv", slate, [LINEUPS[0], lineup])
    assert (tmp_path / "up.csv").read_bytes() == before


def test_an_out_driver_and_a_driver_without_id_do_not_go_out(tmp_path, slate):
    out = replace(slate, drivers=slate.drivers.assign(out=slate.drivers["driver"] == DRIVERS[0]))
    with pytest.raises(InputError, match=f"{DRIVERS[0]} does not race"):
        write_lineups(tmp_path / "up.csv", out, TWO)
    bare = replace(slate, drivers=slate.drivers.assign(name_id=slate.drivers["driver"]))
    with pytest.raises(InputError, match="has no id"):
        write_lineups(tmp_path / "up.csv", bare, TWO)
    with pytest.raises(InputError, match="no column 'Name"):
        write_lineups(tmp_path / "up.csv", replace(slate, drivers=slate.drivers.drop(columns="name_id")), TWO)


def test_a_hostile_name_does_not_reach_the_spreadsheet(tmp_path):
    folder = write_race(tmp_path, lineup=False)
    (folder / "DKSalaries.csv").write_bytes(csv_bytes(salary_rows(["=HYPERLINK(1) Reed", *DRIVERS[1:]])))
    slate = load_slate(RACE, tmp_path)
    write_lineups(tmp_path / "up.csv", slate, TWO)
    assert _read(tmp_path / "up.csv")[1][0] == "'=HYPERLINK(1) Reed (4000)"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_entries_are_read_with_all_their_oddities(tmp_path, encoding):
    entries = _entries(tmp_path, encoding=encoding)
    assert entries.frame["entry_id"].tolist() == ["5001", "5002", "5003", "5004"]
    assert entries.by_contest() == {"777123": 3, "777999": 1}
    assert entries.frame["locked"].tolist() == [False, False, True, False]
    assert entries.pool == {str(4000 + n): name for n, name in enumerate(DRIVERS)}


def test_unfilled_entries_come_back_as_they_were(tmp_path):
    entries = _entries(tmp_path)
    entries.write(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "DKEntries.csv").read_bytes()


def test_filling_touches_only_the_open_places(tmp_path, slate):
    filled = _entries(tmp_path).fill(slate, {"777123": TWO, "777999": TWO[:1]})
    filled.write(tmp_path / "out.csv")
    before, after = entries_rows(), _read(tmp_path / "out.csv")
    expected = {1: LINEUPS[0], 2: LINEUPS[1], 4: LINEUPS[0]}
    for n, (old, new) in enumerate(zip(before, after, strict=True)):
        if n in expected:
            assert new[4:10] == [f"{DRIVERS[d]} ({4000 + d})" for d in expected[n]]
            old, new = old[:4] + old[10:], new[:4] + new[10:]
        assert new == old
    assert len(filled.notes) == 1 and "1 entries hold a locked driver" in filled.notes[0]


def test_entries_without_a_lineup_stay_and_are_counted(tmp_path, slate):
    filled = _entries(tmp_path).fill(slate, {777123: TWO[:1]})
    assert filled.cells[1][4] == f"{DRIVERS[0]} (4000)" and len(filled.cells[2]) == 4
    assert any("777123: 1 entries stay" in note for note in filled.notes)
    assert any("777999: 1 entries stay" in note for note in filled.notes)


def test_no_lineup_twice_within_one_contest(tmp_path, slate):
    with pytest.raises(InputError, match="contest 777123: the same lineup comes twice"):
        _entries(tmp_path).fill(slate, {"777123": [LINEUPS[0], LINEUPS[0][::-1]]})


def test_entries_of_another_slate_are_refused(tmp_path, slate):
    rows = [[cell.replace("40", "99") for cell in row] if n > 5 else row for n, row in enumerate(entries_rows())]
    with pytest.raises(InputError, match="different slates"):
        _entries(tmp_path, rows).fill(slate, {})
