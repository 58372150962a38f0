"""The contracts: the dictionary says what the schema says, and every bound is enforced where it is written."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfslab.data._schema import TABLES, header_key, rows_of
from dfslab.data._tables import conform
from dfslab.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = {
    "text": "D",
    "word": "D",
    "series": "cup",
    "id": "17",
    "digits": "17",
    "int": "7",
    "number": "7.5",
    "dollars": "7.5",
    "share": "12.5%",
    "date": "2031-05-04",
    "flag": "1",
    "place": "D",
}


def _row(table) -> dict:
    cells = {}
    for column in table.columns.values():
        cells[column.name] = column.one_of[0] if column.one_of else SAMPLES[column.kind]
        if column.kind in ("int", "number", "dollars") and not column.low <= float(cells[column.name]) <= column.high:
            cells[column.name] = f"{max(column.low, 0):g}"
    return cells


def _conform(table, **changed):
    return conform(pd.DataFrame([{**_row(table), **changed}], index=[2], dtype=object), table, "file.csv")


def _dictionary() -> str:
    spec = importlib.util.spec_from_file_location("data_dictionary", ROOT / "scripts" / "docs" / "data_dictionary.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.data_dictionary()


def test_the_data_dictionary_is_written_from_the_columns():
    assert (ROOT / "docs" / "data.md").read_text(encoding="utf-8") == _dictionary()


def test_the_dictionary_holds_every_column_once_per_table():
    text = _dictionary()
    for table in rows_of("tables.csv"):
        part = text.split(f"## {table['title']}\n", 1)[1].split("\n## ", 1)[0]
        for column in rows_of("columns.csv"):
            if column["table"] == table["table"]:
                assert part.count(f"\n| `{column['column']}` |") == 1 and column["meaning"] in part


def test_every_kind_of_cell_says_how_it_is_read_and_what_to_do_about_one_that_is_none():
    kinds = {row["kind"]: row for row in rows_of("kinds.csv")}
    assert set(kinds) == set(SAMPLES) >= {column["kind"] for column in rows_of("columns.csv")}
    assert all(row["reads"] for row in kinds.values())
    assert {kind for kind, row in kinds.items() if not row["remedy"]} == {"text", "word"}


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_headers_of_a_table_never_mean_two_columns(table):
    keys = [{header_key(name) for name in (column.name, *column.also)} for column in table.columns.values()]
    for n, one in enumerate(keys):
        assert not any(one & other for other in keys[n + 1 :])


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_a_needed_column_is_missed_by_name(table):
    for column in table.columns.values():
        if column.needed:
            frame = pd.DataFrame([_row(table)], index=[2], dtype=object).drop(columns=column.name)
            with pytest.raises(InputError, match="is missing"):
                conform(frame, table, "file.csv")


def _refused(table, **changed) -> bool:
    try:
        _conform(table, **changed)
    except InputError as error:
        return "it must be" in str(error) or "is blank" in str(error)
    return False


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_bounds_hold_and_the_bound_itself_is_allowed(table):
    for column in table.columns.values():
        for bound, step in ((column.low, -1), (column.high, 1)):
            if np.isfinite(bound) and column.kind in ("int", "number", "dollars"):
                assert not _refused(table, **{column.name: f"{bound:.12g}"})
                assert _refused(table, **{column.name: f"{bound + step:.12g}"})


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_blank_cells_pass_only_where_allowed(table):
    for column in table.columns.values():
        assert _refused(table, **{column.name: ""}) == (column.needed == "yes")


def test_the_first_row_that_offends_is_blamed():
    grid = pd.DataFrame({"driver": ["A", "B", "C"], "start": ["1", "0", "99"]}, index=[2, 4, 5], dtype=object)
    with pytest.raises(InputError, match=r"grid.csv, row 4: start is 0; it must be 1 to 60"):
        conform(grid, TABLES["starting_lineup"], "grid.csv")
    with pytest.raises(InputError, match=r"grid.csv, row 5: start is blank; fill it in"):
        conform(grid.assign(start=["1", "2", ""]), TABLES["starting_lineup"], "grid.csv")


def test_any_spelling_of_a_header_is_the_column():
    for header in ("Salary", "SALARY", " salary ", "$alary"):
        frame = pd.DataFrame([_row(TABLES["salaries"])], index=[2], dtype=object).rename(columns={"salary": header})
        if header == "$alary":
            with pytest.raises(InputError, match="'salary' is missing"):
                conform(frame, TABLES["salaries"], "file.csv")
        else:
            assert conform(frame, TABLES["salaries"], "file.csv")["salary"].tolist() == [7]


def test_two_headers_of_one_meaning_are_refused_or_the_exact_one_wins():
    with pytest.raises(InputError, match=r"mean the same|twice"):
        frame = pd.DataFrame([["A", "1", "2"]], columns=["driver", "START", "start"], index=[2], dtype=object)
        conform(frame, TABLES["starting_lineup"], "grid.csv")
