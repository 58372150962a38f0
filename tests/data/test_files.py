"""Files: whole or untouched, one writer at a time, no formula goes out, odd encodings come in."""

import csv
import io
import os
import re
import subprocess
import sys
import time

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfslab.data._files import (
    csv_text,
    escape_cell,
    locked,
    read_cells,
    read_json,
    read_strings,
    write_atomically,
    write_csv,
    write_folder_atomically,
)
from dfslab.errors import InputError


class _DiskFull(OSError):
    pass


def _left_over(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("old")
    with pytest.raises(_DiskFull), write_atomically(path) as aside:
        aside.write_text("half of the n")
        raise _DiskFull
    assert path.read_text() == "old" and _left_over(tmp_path) == ["results.csv"]


def test_a_failed_first_write_leaves_nothing(tmp_path):
    with pytest.raises(_DiskFull), write_atomically(tmp_path / "new" / "results.csv"):
        raise _DiskFull
    assert _left_over(tmp_path / "new") == []


def test_a_write_keeps_the_permissions_of_the_file(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("old")
    path.chmod(0o640)
    with write_atomically(path) as aside:
        aside.write_text("new")
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o640


def test_a_failed_folder_leaves_the_earlier_one_whole(tmp_path):
    target = tmp_path / "report"
    with write_folder_atomically(target) as aside:
        (aside / "page.html").write_text("good")
    with pytest.raises(_DiskFull), write_folder_atomically(target) as aside:
        (aside / "page.html").write_text("ba")
        raise _DiskFull
    assert (target / "page.html").read_text() == "good" and _left_over(tmp_path) == ["report"]


def test_a_new_folder_replaces_the_old_one_entirely(tmp_path):
    target = tmp_path / "report"
    for name in ("one.html", "two.html"):
        with write_folder_atomically(target) as aside:
            (aside / name).write_text(name)
    assert _left_over(target) == ["two.html"] and _left_over(tmp_path) == ["report"]


def test_a_run_killed_between_the_renames_is_mended(tmp_path):
    (tmp_path / ".report.earlier").mkdir()
    (tmp_path / ".report.earlier" / "page.html").write_text("good")
    page = tmp_path / "report" / "page.html"
    with pytest.raises(_DiskFull), write_folder_atomically(tmp_path / "report"):
        assert page.read_text() == "good"
        raise _DiskFull
    assert page.read_text() == "good"


def test_a_folder_has_one_writer(tmp_path):
    busy = pytest.raises(InputError, match="another run is writing here")
    with locked(tmp_path), busy, locked(tmp_path, timeout=0.2):
        pass
    with locked(tmp_path, timeout=0.2):
        pass


def test_a_wait_for_another_run_is_told_once(tmp_path):
    said = []
    with locked(tmp_path), pytest.raises(InputError), locked(tmp_path, 0.5, said.append):
        pass
    assert len(said) == 1 and "another run is writing here; waiting for it" in said[0]
    with locked(tmp_path, 0.5, said.append):
        assert len(said) == 1


KILLED_WITHIN = {
    "a folder": "with files.write_folder_atomically(target) as a: (a / 'x').write_text('half'); os._exit(9)",
    "a file": "with files.write_atomically(target) as a: a.write_text('half'); os._exit(9)",
}


@pytest.mark.parametrize("name", ["report", "with {braces}", "[1] ?*", "räce", "a b"])
@pytest.mark.parametrize("what", KILLED_WITHIN)
def test_the_next_run_of_a_name_removes_what_a_killed_one_left_and_nothing_else(what, name, tmp_path):
    start = "import os, sys, pathlib; from dfslab.data import files"
    code = f"{start}\nfor name in sys.argv[1:]:\n  if not os.fork():\n    target = pathlib.Path(name)"
    code += f"\n    {KILLED_WITHIN[what]}"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / name), str(tmp_path / "other")], check=False)
    _wait_for(lambda: len(_left_over(tmp_path)) == 2)
    time.sleep(0.6)
    write = write_folder_atomically if what == "a folder" else write_atomically
    with write(tmp_path / name) as aside, pytest.raises(_DiskFull), write(tmp_path / name) as second:
        time.sleep(0.6)
        assert aside.exists() and second.exists()
        raise _DiskFull
    left = [n for n in _left_over(tmp_path) if n.endswith(".partial")]
    assert len(left) == 1 and left[0].startswith(".other.") and (tmp_path / name).exists()


def _wait_for(true):
    until = time.monotonic() + 30
    while not true() and time.monotonic() < until:
        time.sleep(0.05)


def test_the_lock_of_a_killed_run_is_free(tmp_path):
    code = "import os, sys; from dfslab.data._files import locked\nwith locked(sys.argv[1]): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    with locked(tmp_path, timeout=0.2):
        pass


def test_writers_in_turn_lose_nothing(tmp_path):
    code = (
        "import sys; from pathlib import Path; from dfslab.data._files import locked, write_atomically\n"
        "path = Path(sys.argv[1]) / 'rows.txt'\n"
        "for n in range(20):\n"
        "    with locked(path.parent):\n"
        "        old = path.read_text() if path.exists() else ''\n"
        "        with write_atomically(path) as aside: aside.write_text(old + sys.argv[2] + '\\n')\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "abc"]
    assert [run.wait() for run in runs] == [0, 0, 0]
    assert sorted((tmp_path / "rows.txt").read_text().split()) == sorted("abc" * 20)


FORMULAS = ["=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=1", "\r=1", '=HYPERLINK("x")', "+", "-", "=", "@"]


def test_formulas_are_escaped_and_numbers_are_not():
    assert all(escape_cell(text) == "'" + text.replace("\r", "\n") for text in FORMULAS)
    for text in ("-4.5", "+3", "-1,250.50", "-.5", "-3%", "12 (34)", "Kyle Larson", "", "1e-3", "-1e5"):
        assert escape_cell(text) == text
    assert escape_cell(-5) == -5


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1), min_size=1))
def test_no_cell_written_is_a_formula_and_the_text_survives(rows):
    read = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    for before, after in zip([row for row in rows if row], read, strict=True):
        for old, new in zip(before, after, strict=True):
            old = old.replace("\r\n", "\n").replace("\r", "\n")
            plain = re.sub(r"(?<!^)([;\t\n]\s*)'(?=[=+@-])", r"\1", new)
            assert re.sub(r"(?<!^)([;\t\n]\s*)'(?=[=+@-])", r"\1", old) in (plain, plain[1:])
            assert not re.search(r"(?<!^)[;\t\n]\s*[=+@-]", new)
            number = new.lstrip("+-").replace(".", "").replace(",", "").replace("%", "").replace("e", "").isdecimal()
            assert new[:1] not in ("=", "@", "\t", "\r") and (new[:1] not in ("+", "-") or number or "e" in new)


def test_a_frame_goes_out_safe_and_comes_back(tmp_path):
    frame = pd.DataFrame({"driver": ["=cmd()", "Kyle"], "points": [-3.5, 2.0], "@odd": ["a", "b"]})
    write_csv(tmp_path / "x.csv", frame)
    back = pd.read_csv(tmp_path / "x.csv")
    assert back["driver"].tolist() == ["'=cmd()", "Kyle"] and back["points"].tolist() == [-3.5, 2.0]
    assert list(back) == ["driver", "points", "'@odd"] and frame["driver"][0] == "=cmd()"


TEXT = "driver,start\r\nDaniel Suárez,1\r\n\r\nKyle Larson,2\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_and_blank_rows(tmp_path, encoding):
    (tmp_path / "x.csv").write_bytes(TEXT.encode(encoding))
    frame = read_strings(tmp_path / "x.csv")
    assert frame["driver"].tolist() == ["Daniel Suárez", "Kyle Larson"] and frame.index.tolist() == [2, 4]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators(tmp_path, separator):
    (tmp_path / "x.csv").write_text(TEXT.replace(",", separator), encoding="utf-8")
    assert read_cells(tmp_path / "x.csv")[3] == ["Kyle Larson", "2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,a\n1,2", "'a' appears twice"),
        ("a,b\n1,2,3", "row 2: 3 cells under 2 columns"),
        ("a,b\n", "no row below the header"),
        ("  \n \n", "empty"),
        ('a,b\n"' + "x" * 200_000, "not a readable CSV"),
    ],
)
def test_broken_tables_say_where(tmp_path, text, says):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        read_strings(tmp_path / "x.csv")


def test_ragged_rows_are_filled_and_empty_ends_dropped(tmp_path):
    (tmp_path / "x.csv").write_text("a,b,,\n1\n2,3,,,,\n")
    frame = read_strings(tmp_path / "x.csv")
    assert frame.to_numpy().tolist() == [["1", ""], ["2", "3"]]


@pytest.mark.parametrize("text", ["{", "[1, NaN]", '{"a": Infinity}', "[" * 100_000, '{"a": 1} x', "\x00\x01"])
def test_broken_json_is_an_input_error(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x\.json"):
        read_json(tmp_path / "x.json")


def test_a_folder_in_place_of_a_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError):
        read_cells(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_cells(tmp_path / "nothing.csv")
    if os.geteuid():
        (tmp_path / "x").write_text("a")
        (tmp_path / "x").chmod(0)
        with pytest.raises(InputError, match="cannot be read"):
            read_cells(tmp_path / "x")
