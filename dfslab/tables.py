"""Readers of the CSV tables: cells are parsed by kind, checked once against the schema, and blamed by row."""

from functools import lru_cache

import numpy as np
import pandas as pd

from dfslab.files import InputError, read_strings
from dfslab.names import clean_name, name_key
from dfslab.rules import fantasy_points, rules_on
from dfslab.schema import (
    HISTORY_RACES,
    HISTORY_RESULTS,
    OWNERSHIP_HISTORY,
    PROJECTIONS,
    SALARIES,
    STARTING_LINEUP,
    Column,
    Table,
    header_key,
    pandera_schema,
)

__all__ = [
    "conform",
    "for_file",
    "read_ownership_history",
    "read_projections",
    "read_races",
    "read_results",
    "read_salaries",
    "read_starting_lineup",
    "share_of_entries",
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
    frame in package names and units, index 0 … n − 1; shares are not yet divided (see `share_of_entries`)

    Raises
    ------
    InputError : a needed column is missing, a cell cannot be read, is out of range or blank, or a key comes twice
    """
    frame = _named(strings, table, where)
    for column in table.columns:
        if column.name in frame:
            frame[column.name] = _parsed(frame[column.name], column, where)
    _validate(frame, table, where)
    _refuse_repeats(frame, table, where)
    whole = [column.name for column in table.columns if column.required and column.kind == "int" and not column.blank]
    return frame.reset_index(drop=True).astype(dict.fromkeys(whole, np.int64))


def _named(strings: pd.DataFrame, table: Table, where) -> pd.DataFrame:
    keys = {}
    for column in table.columns:
        for header in (column.name, *column.also):
            keys.setdefault(header_key(header), column.name)
    names, taken = [], set()
    for header in strings.columns:
        name = keys.get(header_key(header), header)
        names.append(header if name in taken else name)
        taken.add(name)
    frame = strings.set_axis(names, axis=1)
    for column in table.columns:
        if column.required and column.name not in frame:
            header = (column.also or (column.name,))[0]
            have = ", ".join(map(str, strings.columns[:12]))
            raise InputError(f"{where}: column '{header}' is missing; the header has {have}; is it the right file?")
    return frame.copy()


def _parsed(cells: pd.Series, column: Column, where) -> pd.Series:
    blank = cells.str.lower().isin(BLANKS)
    if column.kind in ("text", "id"):
        return cells.where(cells != "", None)
    if column.kind == "share":
        return cells.where(~blank, None)
    if column.kind == "flag":
        values = cells.str.lower().map(FLAGS).where(~blank, np.nan)
    elif column.kind == "date":
        values = pd.to_datetime(cells.where(~blank, None), errors="coerce", format="mixed").dt.normalize()
    else:
        values = _numbers(cells.where(~blank, ""))
        if column.kind == "int":
            values = values.where(values % 1 == 0)
    wrong = values.isna() & ~blank
    if wrong.any():
        row = cells.index[wrong][0]
        raise InputError(f"{where}, row {row}: {column.name} is '{cells[row][:40]}'; write {_KIND_WORDS[column.kind]}")
    return values


_KIND_WORDS = {"int": "a whole number", "number": "a number", "date": "a date such as 2025-04-13", "flag": "0 or 1"}


def _numbers(cells: pd.Series) -> pd.Series:
    """Return text as floats, NaN where it is none; `$1,234.5` is a number, `inf` and `1_000` are not."""
    values = pd.to_numeric(cells, errors="coerce").astype(float)
    odd = values.isna() & (cells != "")
    if odd.any():
        plain = cells[odd].str.replace("$", "", regex=False).str.replace(r",(?=\d{3}(?!\d))", "", regex=True)
        values[odd] = pd.to_numeric(plain, errors="coerce").astype(float)
    return values.where(np.isfinite(values))


@lru_cache(maxsize=16)
def _contract(table: Table):
    return pandera_schema(table)


def _validate(frame: pd.DataFrame, table: Table, where) -> None:
    import pandera.errors

    shares = [column.name for column in table.columns if column.kind == "share"]
    try:
        _contract(table).validate(frame.drop(columns=shares, errors="ignore"), lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        cases = cases[cases["index"].notna() & ~cases["column"].isin(shares)]
        if len(cases):
            _refuse_case(cases.sort_values("index").iloc[0], table, where)


def _refuse_case(case: pd.Series, table: Table, where) -> None:
    column = table.column(case["column"])
    value = case["failure_case"]
    header = (column.also or (column.name,))[0]
    if value is None or value != value:
        raise InputError(f"{where}, row {int(case['index'])}: {header} is blank; fill it in, or remove the row")
    value = f"{value:g}" if isinstance(value, (int, float)) else value
    raise InputError(f"{where}, row {int(case['index'])}: {header} is {value}; it must be {column.allowed}")


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


def share_of_entries(cells: pd.Series, where, complete: int | None = None) -> tuple[pd.Series, str]:
    """Return a column of ownership as fractions, and a sentence that says how it was read.

    The unit is decided once for the column: percent when a cell carries %, or when a value exceeds 1; else fraction.

    Parameters
    ----------
    cells : text such as `52`, `0.52` or `52%`, None where blank
    where : the file and column, for errors and the sentence
    complete : roster size when the column covers the whole slate, so that its sum can be checked

    Raises
    ------
    InputError : a cell is no number, is negative or above 100 %, units are mixed, or a full column does not add up
    """
    text = cells.fillna("").astype(str).str.strip()
    marked = text.str.endswith("%")
    values = _numbers(text.str.rstrip("%").str.strip())
    wrong = (values.isna() & (text != "")) | (values < 0)
    if wrong.any():
        row = text.index[wrong][0]
        raise InputError(f"{where}: '{text[row][:40]}' for row {row} is no ownership; write a share such as 12.5%")
    if marked.any() and not marked[text != ""].all():
        row = text.index[~marked & (text != "")][0]
        raise InputError(f"{where}: some cells carry % and '{text[row]}' does not; write all of them alike")
    percent = bool(marked.any() or (values > 1).any())
    shares = values / 100 if percent else values
    if (shares > 1).any():
        row = shares.index[shares > 1][0]
        raise InputError(f"{where}: {values[row]:g} is above 100 %; ownership is percent (12.5) or a fraction (0.125)")
    total, unit = float(shares.sum()), "percent" if percent else "fractions"
    if complete and not 0.5 * complete <= total <= 1.5 * complete:
        raise InputError(
            f"{where}: read as {unit} it adds up to {total:.1%}, a full slate to about {complete:.0%}; check the unit"
        )
    return shares.astype(float), f"{where} was read as {unit}; it adds up to {total:.1%}."


def read_salaries(path) -> pd.DataFrame:
    """Return the salary file: driver, salary (dollars), dk_id, name_id, avg_points and whatever else it carries.

    Raises
    ------
    InputError : a missing column, another sport's file, a salary that is blank or 0, a driver listed twice
    """
    frame = conform(_slate_rows(read_strings(path), path), SALARIES, path)
    frame["driver"] = frame["driver"].map(clean_name)
    ids = frame["name_id"].fillna("").str.extract(r"\((\d+)\)\s*$")[0] if "name_id" in frame else None
    if "dk_id" not in frame and ids is not None:
        frame["dk_id"] = ids.where(ids.notna(), None)
    return _with_numbers(frame, SALARIES)


def _slate_rows(strings: pd.DataFrame, where) -> pd.DataFrame:
    position = next((c for c in strings.columns if header_key(c) == "position"), None)
    if position is None:
        return strings
    other = strings[position].str.upper() != "D"
    if other.any():
        row = strings.index[other][0]
        raise InputError(
            f"{where}, row {row}: position '{strings[position][row][:20]}' is not D; "
            "this is not a NASCAR salary file, download the one of the race"
        )
    return strings


def read_starting_lineup(path) -> pd.DataFrame:
    """Return the starting lineup (driver, start, …), in order of start; two cars on one place raise."""
    frame = conform(read_strings(path), STARTING_LINEUP, path)
    frame["driver"] = frame["driver"].map(clean_name)
    twice = frame["start"].duplicated()
    if twice.any():
        place = frame.loc[twice, "start"].iloc[0]
        both = " and ".join(frame.loc[frame["start"] == place, "driver"])
        raise InputError(f"{path}: {both} both start {place:.0f}; correct one of them")
    return _with_numbers(frame, STARTING_LINEUP).sort_values("start", ignore_index=True)


def read_projections(path, complete: int | None = None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return projections (driver, projected_points, projected_ownership as a fraction) and how units were read."""
    frame = conform(read_strings(path), PROJECTIONS, path)
    frame["driver"] = frame["driver"].map(clean_name)
    if "projected_points" not in frame and "projected_ownership" not in frame:
        raise InputError(f"{path}: neither projected_points nor projected_ownership is there; name a column so")
    notes: tuple[str, ...] = ()
    if "projected_ownership" in frame and frame["projected_ownership"].notna().any():
        where = f"{path}, projected_ownership"
        frame["projected_ownership"], note = share_of_entries(frame["projected_ownership"], where, complete)
        notes = (note,)
    return frame, notes


def read_results(path) -> pd.DataFrame:
    """Return race results, one row per driver and race, with `dk_points` under the rules of each race's date.

    `fastest_laps` may be missing; `dk_points` is NaN where it is.
    """
    frame = conform(read_strings(path), HISTORY_RESULTS, path)
    frame["driver"] = frame["driver"].map(clean_name)
    if "fastest_laps" not in frame:
        frame["fastest_laps"] = np.nan
    frame["dk_points"] = _points_by_date(frame)
    return _with_numbers(frame, HISTORY_RESULTS)


def _points_by_date(frame: pd.DataFrame) -> pd.Series:
    points = pd.Series(np.nan, frame.index)
    in_force = frame["date"].map({date: rules_on(date).scoring for date in frame["date"].unique()})
    for scoring in in_force.unique():
        rows = in_force == scoring
        points[rows] = fantasy_points(frame[rows], scoring)
    return points


def read_races(path) -> pd.DataFrame:
    """Return the races, one row each; unknown facts (cautions of early seasons) are NaN."""
    return _with_numbers(conform(read_strings(path), HISTORY_RACES, path), HISTORY_RACES)


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


def read_ownership_history(path) -> pd.DataFrame:
    """Return the ownership history with ownership as a fraction of entries."""
    frame = conform(read_strings(path), OWNERSHIP_HISTORY, path)
    for name in ("ownership", "projected_ownership"):
        if name in frame:
            frame[name], _ = share_of_entries(frame[name], f"{path}, {name}")
    return frame


def _with_numbers(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Turn further columns whose every cell is a number into floats."""
    changed = {}
    for name in frame.columns.difference(table.names):
        blank = frame[name].str.lower().isin(BLANKS)
        values = _numbers(frame[name].where(~blank, ""))
        if not (values.isna() & ~blank).any() and not blank.all():
            changed[name] = values
    return frame.assign(**changed)
