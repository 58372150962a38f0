"""Readers of the CSV tables: cells are parsed by kind, checked once against the schema, and blamed by row."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data._files import as_frame, read_cells, read_strings
from dfslab.data._names import clean_name, name_key
from dfslab.data._schema import (
    HISTORY_RACES,
    HISTORY_RESULTS,
    OWNERSHIP_HISTORY,
    PROJECTIONS,
    SALARIES,
    STARTING_LINEUP,
    Table,
    header_key,
    pandera_schema,
)
from dfslab.errors import InputError
from dfslab.rules import fantasy_points, rules_on

__all__ = [
    "conform",
    "for_file",
    "of_series",
    "read_ownership_history",
    "read_projections",
    "read_races",
    "read_results",
    "read_salaries",
    "read_starting_lineup",
    "refuse_other_sport",
    "share_of_entries",
    "stored",
]

FLAGS = {"1": True, "0": False, "true": True, "false": False, "yes": True, "no": False, "1.0": True, "0.0": False}
BLANKS = {"", "nan", "na", "n/a", "none", "null", "-", "--"}


def conform(strings: pd.DataFrame, table: Table, where) -> pd.DataFrame:
    """Return `strings` with the columns of `table` parsed and checked; further columns stay as text.

    Parameters
    ----------
    strings : frame of str, its index the row number in the file (see `files.read_strings`)
    table : the contract
    where : the file, for the errors

    Returns
    -------
    frame in package names and units on the index of `strings`; shares are still text (see `share_of_entries`)

    Raises
    ------
    InputError : a needed column is missing, a cell cannot be read, is out of range or blank, or a key comes twice
    """
    headers = _headers(strings, table, where)
    frame = strings.rename(columns={header: name for name, header in headers.items()})
    for name, header in headers.items():
        frame[name] = _parsed(frame[name], table.column(name).kind, f"{where}, row {{}}: {header}")
    _validate(frame, table, headers, where)
    _refuse_repeats(frame, table, where)
    whole = [column.name for column in table.columns if column.required and column.kind == "int"]
    return frame.astype(dict.fromkeys(whole, np.int64))


def _headers(strings: pd.DataFrame, table: Table, where) -> dict[str, str]:
    """Return the header in the file of each column of the contract that is there; own names go before other ones."""
    written = {}
    for header in strings.columns:
        written.setdefault(header_key(header), header)
    headers = {}
    for column in table.columns:
        keys = [header_key(name) for name in (column.name, *column.also)]
        found = [written[key] for key in keys if key in written]
        if found:
            headers[column.name] = found[0]
        elif column.required:
            wanted, have = (column.also or (column.name,))[0], ", ".join(map(str, strings.columns[:12]))
            raise InputError(f"{where}: column '{wanted}' is missing; the header has {have}; is it the right file?")
    clash = [h for h in strings.columns if h in headers and h not in headers.values()]
    if clash:
        raise InputError(f"{where}: columns '{clash[0]}' and '{headers[clash[0]]}' mean the same; keep one")
    return headers


def _parsed(cells: pd.Series, kind: str, blame: str) -> pd.Series:
    blank = cells.str.lower().isin(BLANKS)
    if kind in ("text", "id"):
        return cells.where(cells != "", None)
    if kind == "share":
        return cells.where(~blank, None)
    if kind == "flag":
        values = cells.str.lower().map(FLAGS).where(~blank, np.nan).astype(object)
    elif kind == "date":
        values = _days(cells.where(~blank, None))
    else:
        values = _numbers(cells.where(~blank, ""))
        values = values.where(values % 1 == 0) if kind == "int" else values
    wrong = values.isna() & ~blank
    if wrong.any():
        row = cells.index[wrong][0]
        raise InputError(f"{blame.format(row)} is '{cells[row][:40]}'; write {_KIND_WORDS[kind]}")
    return values


_KIND_WORDS = {"int": "a whole number", "number": "a number", "date": "a date such as 2025-04-13", "flag": "0 or 1"}


def _days(cells: pd.Series) -> pd.Series:
    """Return dates as days, each in its own time zone; NaT where a cell is none."""
    known = {text: pd.to_datetime(text, errors="coerce") for text in cells.dropna().unique()}
    plain = {text: day.tz_localize(None) if day.tzinfo else day for text, day in known.items()}
    return pd.to_datetime(cells.map(plain), errors="coerce").dt.normalize()


def _numbers(cells: pd.Series) -> pd.Series:
    """Return text as floats, NaN where it is none; `$1,234.5` is a number, `inf` is not."""
    values = pd.to_numeric(cells, errors="coerce").astype(float)
    odd = values.isna() & (cells != "")
    if odd.any():
        plain = cells[odd].str.replace("$", "", regex=False).str.replace(r",(?=\d{3}(?!\d))", "", regex=True)
        values[odd] = pd.to_numeric(plain, errors="coerce").astype(float)
    return values.where(np.isfinite(values))


@lru_cache(maxsize=16)
def _contract(table: Table):
    return pandera_schema(table)


def _validate(frame: pd.DataFrame, table: Table, headers: dict[str, str], where) -> None:
    import pandera.errors

    try:
        _contract(table).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        case = error.failure_cases.sort_values("index", kind="stable").iloc[0]
        blame = f"{where}, row {int(case['index'])}: {headers[case['column']]}"
        value, column = case["failure_case"], table.column(case["column"])
        if value is None or value != value:
            raise InputError(f"{blame} is blank; fill it in, or remove the row") from None
        value = f"{value:g}" if isinstance(value, (int, float)) else value
        raise InputError(f"{blame} is {value}; it must be {column.allowed}") from None


def _refuse_repeats(frame: pd.DataFrame, table: Table, where) -> None:
    key = [name for name in table.key if name in frame]
    seen = frame[key].copy()
    if "driver" in key:
        seen["driver"] = frame["driver"].map({name: name_key(clean_name(name)) for name in frame["driver"].unique()})
    twice = seen.duplicated()
    if key and twice.any():
        row = frame.index[twice][0]
        what = ", ".join(str(value) for value in frame.loc[row, key])
        first = frame.index[(seen == seen.loc[row]).all(axis=1)][0]
        raise InputError(f"{where}, row {row}: {what} is listed twice (first in row {first}); keep one")


def share_of_entries(cells: pd.Series, where) -> tuple[pd.Series, str]:
    """Return a column of ownership as fractions, and a sentence that says how it was read.

    The unit is decided once for the column: percent when a cell carries %, or when a value exceeds 1; else fraction.

    Parameters
    ----------
    cells : text such as `52`, `0.52` or `52%`, None where blank; the index is the row number in the file
    where : the file and column, for errors and the sentence

    Raises
    ------
    InputError : a cell is no number, is negative or above 100 %, or some cells carry % and some do not
    """
    text = cells.fillna("").astype(str).str.strip()
    marked, given = text.str.endswith("%"), text != ""
    values = _numbers(text.str.removesuffix("%").str.strip())
    percent = bool(marked.any() or (values > 1).any())
    top = 100.0 if percent else 1.0
    for wrong, mend in (
        ((values.isna() & given) | (values < 0), "is no ownership; write a share such as 12.5%"),
        (given & (marked != marked.any()), "is written without %, others with it; write all of them alike"),
        (values > top, "is above 100 %; write percent (12.5) or fractions (0.125)"),
    ):
        if wrong.any():
            row = text.index[wrong][0]
            raise InputError(f"{where}, row {row}: '{text[row][:40]}' {mend}")
    shares = (values / top).astype(float)
    unit = "percent" if percent else "fractions"
    return shares, f"{where} was read as {unit}; it adds up to {shares.sum():.0%}."


def read_salaries(path) -> pd.DataFrame:
    """Return the salary file: driver, salary (dollars), dk_id, name_id, avg_points and whatever else it carries.

    The player pool of an upload template, which stands to the right of and below other cells, is read as well.

    Raises
    ------
    InputError : a missing column, another sport's file, a salary that is blank or 0, a driver listed twice
    """
    strings = as_frame(path, _from_pool_header(read_cells(path)))
    refuse_other_sport(strings, "position", path)
    frame = _finished(conform(strings, SALARIES, path), SALARIES)
    ids = frame["name_id"].fillna("").str.extract(r"\((\d+)\)\s*$")[0] if "name_id" in frame else None
    if "dk_id" not in frame and ids is not None:
        frame["dk_id"] = ids.where(ids.notna(), None)
    if "name_id" not in frame and "dk_id" in frame:
        frame["name_id"] = frame["driver"] + " (" + frame["dk_id"].astype(str) + ")"
    return frame


def _from_pool_header(cells: list[list[str]]) -> list[list[str]]:
    """Return the sheet from the row and column where a player pool begins; all of it when the header is on top."""
    for n, row in enumerate(cells):
        keys = [header_key(cell) for cell in row]
        if {"name", "salary", "position"} <= set(keys):
            beside = "d" in keys or any(map(any, cells[:n]))
            first = keys.index("position") if beside else 0
            return [[]] * n + [below[first:] for below in cells[n:]]
    return cells


def refuse_other_sport(strings: pd.DataFrame, column: str, where) -> None:
    """Raise `InputError` when the cells of `column` name another roster place than D."""
    header = next((name for name in strings.columns if header_key(name) == column), None)
    if header is None:
        return
    other = ~strings[header].str.upper().isin(("D", ""))
    if other.any():
        row = strings.index[other][0]
        raise InputError(
            f"{where}, row {row}: {header} is '{strings[header][row][:20]}', NASCAR knows only D; "
            "this file is of another sport or game, download the one of the race"
        )


def _finished(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Clean the names, turn further columns whose every cell is a number into floats, number the rows from 0."""
    changed = {}
    if "driver" in frame:
        changed["driver"] = frame["driver"].map({name: clean_name(name) or name for name in frame["driver"].unique()})
    for name in frame.columns.difference(table.names):
        blank = frame[name].str.lower().isin(BLANKS)
        values = _numbers(frame[name].where(~blank, ""))
        if not (values.isna() & ~blank).any() and not blank.all():
            changed[name] = values
    return frame.assign(**changed).reset_index(drop=True)


def _read(path, table: Table) -> pd.DataFrame:
    return _finished(conform(read_strings(path), table, path), table)


def read_starting_lineup(path) -> pd.DataFrame:
    """Return the starting lineup (driver, start, …), in order of start; two cars on one place raise."""
    frame = _read(path, STARTING_LINEUP)
    twice = frame["start"].duplicated()
    if twice.any():
        place = frame.loc[twice, "start"].iloc[0]
        both = " and ".join(frame.loc[frame["start"] == place, "driver"])
        raise InputError(f"{path}: {both} both start {place}; correct one of them")
    return frame.sort_values("start", ignore_index=True)


def read_projections(path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return projections (driver, projected_points, projected_ownership as a fraction) and how units were read."""
    frame = conform(read_strings(path), PROJECTIONS, path)
    if "projected_points" not in frame and "projected_ownership" not in frame:
        raise InputError(f"{path}: neither projected_points nor projected_ownership is there; name a column so")
    notes: tuple[str, ...] = ()
    if "projected_ownership" in frame:
        cells = frame["projected_ownership"]
        frame["projected_ownership"], note = share_of_entries(cells, f"{path}, projected_ownership")
        notes = (note.replace(str(path), Path(path).name),) if cells.notna().any() else ()
    return _finished(frame, PROJECTIONS), notes


def read_results(path) -> pd.DataFrame:
    """Return race results, one row per driver and race, with `dk_points` under the rules of each race's date.

    `fastest_laps` may be missing; `dk_points` is NaN where it is.
    """
    frame = conform(read_strings(path), HISTORY_RESULTS, path)
    twice = frame.duplicated(["race_id", "finish"])
    if twice.any():
        race_id, finish = frame.loc[twice.idxmax(), ["race_id", "finish"]]
        raise InputError(f"{path}, row {twice.idxmax()}: two drivers finish {finish} in {race_id}; correct one of them")
    frame = _finished(frame, HISTORY_RESULTS)
    if "fastest_laps" not in frame:
        frame["fastest_laps"] = np.nan
    frame["dk_points"] = _points_by_date(frame)
    return frame


def _points_by_date(frame: pd.DataFrame) -> pd.Series:
    points = pd.Series(np.nan, frame.index)
    in_force = frame["date"].map({date: rules_on(date).scoring for date in frame["date"].unique()})
    for scoring in in_force.unique():
        rows = in_force == scoring
        points[rows] = fantasy_points(frame[rows], scoring)
    return points


def read_races(path) -> pd.DataFrame:
    """Return the races, one row each; unknown facts (cautions of early seasons) are NaN."""
    return _read(path, HISTORY_RACES)


def read_ownership_history(path) -> pd.DataFrame:
    """Return the ownership history with ownership as a fraction of entries."""
    frame = conform(read_strings(path), OWNERSHIP_HISTORY, path)
    for name in ("ownership", "projected_ownership"):
        if name in frame:
            frame[name], _ = share_of_entries(frame[name], f"{path}, {name}")
    _refuse_wrong_totals(frame, path)
    return _finished(frame, OWNERSHIP_HISTORY)


def of_series(frame: pd.DataFrame, series: str) -> pd.DataFrame:
    """Return the rows of one series; a blank means cup."""
    named = frame["series"].fillna("cup") if "series" in frame else pd.Series("cup", frame.index)
    return frame[named == series].reset_index(drop=True)


def stored(reader, path: Path) -> pd.DataFrame:
    """Return a copy of `reader(path)`, which is read once for as long as the file is the same."""
    about = path.stat()
    return _stored(reader, path, about.st_mtime_ns, about.st_size, about.st_ino).copy()


@lru_cache(maxsize=8)
def _stored(reader, path: Path, *state: int) -> pd.DataFrame:
    return reader(path)


FULL_SLATE = 20
"""Rows from which a contest is taken for a whole slate, so that its ownership must come near six drivers."""


def _refuse_wrong_totals(frame: pd.DataFrame, where) -> None:
    totals = frame.groupby("contest_id", sort=False)["ownership"].agg(["sum", "size"])
    wrong = totals[(totals["sum"] > 6.6) | ((totals["sum"] < 0.6) & (totals["size"] >= FULL_SLATE))]
    if len(wrong):
        raise InputError(
            f"{where}: ownership of contest {wrong.index[0]} adds up to {wrong['sum'].iloc[0]:.0%}, six drivers an "
            "entry make 600 %; is it in another unit than the rest?"
        )


def for_file(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Return `frame` as the file of `table` holds it: its columns first, shares in percent, flags 0/1, days."""
    kinds = {column.name: column.kind for column in table.columns}
    columns = [*(name for name in kinds if name in frame), *(name for name in frame if name not in kinds)]
    written = frame[columns].copy()
    for name in columns:
        kind = kinds.get(name)
        if kind in ("int", "flag"):
            written[name] = pd.array(pd.to_numeric(frame[name]).round(), dtype="Int64")
        elif kind == "share":
            written[name] = (frame[name].astype(float) * 100).round(6)
        elif kind == "date":
            written[name] = pd.to_datetime(frame[name]).dt.strftime("%Y-%m-%d")
    return written
