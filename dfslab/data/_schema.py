"""Table contracts: every column of every file is a row of `columns.csv`, every file a row of `tables.csv`.

Kinds of a column, and how a cell is read:

text    as it stands
word    text without case, blanks as underscores; one of a few
series  cup, xfinity or trucks, however it is written (`NASCAR Cup Series`)
id      digits or text, kept as text; `7000.0` is 7000, `2.68E+07` is refused
int     a whole number; thousands commas and a dollar sign are accepted
number  a number; the same
share   a fraction inside the package, percent in files: `52`, `0.52` and `52%`, decided once per column
date    a day that can be read in one way only: 2025-04-13
flag    0/1, true/false, yes/no
"""

import csv
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["TABLES", "TRACK_TYPES", "Column", "Table", "data_dictionary", "header_key", "pandera_schema"]


@dataclass(frozen=True)
class Column:
    """One column: its name in the package, how its cells are read, what they mean, and what is allowed.

    `needed`: "yes", "column" (its cells may be blank) or "". `also`: other headers the column is known by in files.
    """

    name: str
    kind: str
    needed: str = ""
    low: float | None = None
    high: float | None = None
    one_of: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    meaning: str = ""

    @property
    def allowed(self) -> str:
        """Return the allowed values in words, or an empty text."""
        if self.one_of:
            return "one of " + ", ".join(self.one_of)
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f"{self.low:g} or more" if self.low is not None else ""


@dataclass(frozen=True)
class Table:
    """One file: where it lies, what a row is, the columns that make a row unique, and all its columns."""

    name: str
    title: str
    path: str
    row: str
    key: tuple[str, ...]
    optional: bool
    remark: str
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        """Return the column called `name`."""
        return next(column for column in self.columns if column.name == name)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        return tuple(column.name for column in self.columns)


def header_key(header: str) -> str:
    """Return `header` without case, blanks, percent signs and punctuation: `Own %`, `own%` and `OWN` agree."""
    return re.sub(r"[^\w+#$]|_", "", str(header).lower())


def _rows(name: str) -> list[dict[str, str]]:
    with open(Path(__file__).with_name(name), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _column(row: dict[str, str]) -> Column:
    low, high = (float(row[side]) if row[side] else None for side in ("low", "high"))
    one_of, also = (tuple(filter(None, row[name].split("|"))) for name in ("one_of", "also"))
    return Column(row["column"], row["kind"], row["needed"], low, high, one_of, also, row["meaning"])


def _tables() -> dict[str, Table]:
    columns: dict[str, list[Column]] = {}
    for row in _rows("columns.csv"):
        columns.setdefault(row["table"], []).append(_column(row))
    return {
        row["table"]: Table(
            *(row[name] for name in ("table", "title", "path", "row")),
            key=tuple(row["key"].split()),
            optional=bool(row["optional"]),
            remark=row["remark"],
            columns=tuple(columns[row["table"]]),
        )
        for row in _rows("tables.csv")
    }


TABLES = _tables()
"""The contracts by name."""
TRACK_TYPES = TABLES["races"].column("track_type").one_of


def pandera_schema(table: Table):
    """Return `table` as a pandera schema over parsed columns: required, blank or not, ranges, allowed values."""
    import pandera.pandas as pa

    columns = {
        c.name: pa.Column(None, checks=_checks(pa, c), nullable=c.needed != "yes", required=bool(c.needed))
        for c in table.columns
    }
    return pa.DataFrameSchema(columns, strict=False)


def _checks(pa, column: Column) -> list:
    """Return the checks of a column; a share is still text here, `share_of_entries` checks it with its unit."""
    limits = ((pa.Check.ge, column.low), (pa.Check.le, column.high), (pa.Check.isin, column.one_of or None))
    return [] if column.kind == "share" else [check(value) for check, value in limits if value is not None]


def data_dictionary() -> str:
    """Return the data dictionary, Markdown: every file, every column, kind, meaning and allowed values."""
    return "\n".join([_PREAMBLE, *(line for table in TABLES.values() for line in _table_lines(table))]) + "\n"


def _table_lines(table: Table) -> list[str]:
    optional = " Optional." if table.optional else ""
    lines = [
        f"## {table.title}",
        "",
        f"`{table.path}`: one row is {table.row}; key: {', '.join(table.key)}.{optional} {table.remark}".rstrip(),
        "",
        "| column | kind | needed | meaning | allowed | also written |",
        "|---|---|---|---|---|---|",
    ]
    for column in table.columns:
        also = ", ".join(f"`{name}`" for name in column.also)
        needed = "yes" if column.needed else ""
        lines.append(f"| `{column.name}` | {column.kind} | {needed} | {column.meaning} | {column.allowed} | {also} |")
    return [*lines, ""]


_PREAMBLE = """# The data folder

This page is written from `dfslab/data/columns.csv` by `python scripts/data_dictionary.py`; a test keeps the two equal.

Kinds: *text*; *word* (text without case, one of a few); *series* (cup, xfinity or trucks, also as `NASCAR Cup Series`);
*id* (digits kept as text); *int*, *number* (thousands commas and a dollar sign are accepted, decimal commas refused);
*share* (a fraction of entries inside the package, percent in the files the package writes: `52`, `0.52` and `52%` are
read, decided once per column and stated); *date* (a day that can be read in one way only, best as 2025-04-13); *flag*
(0/1, true/false, yes/no). Headers are compared without case, blanks, percent signs and punctuation. Further columns
never hurt. Files may be UTF-8, UTF-16 or Windows-1252, with commas, semicolons or tabs, with or without a `sep=` line.

```
<data>/history/results.csv      one row per driver per race
<data>/history/races.csv        one row per race
<data>/history/ownership.csv    one row per driver per past contest; written by ingesting standings
<data>/races/<race_id>/         one folder per race: the files below
<data>/models/                  what tuning saved
<data>/cache/nascar/            answers of the public feed, as served; may be deleted
```

Beside the tables a race folder holds

* `race.json`: facts known before lock, as in `{"race_id": "2031-05-04-oakfield", "date": "2031-05-04", "track":
  "Oakfield Speedway", "track_type": "intermediate", "track_length_mi": 1.5, "sched_laps": 267, "series": "cup"}`;
  optional `race_name`, `simulated` (true in the bundled sample) and two lists of drivers: `out` (will not race) and
  `to_rear` (starts last, keeps the grid place for scoring);
* `contest.json`: `entry_fee`, `entries`, `payouts` (a list of `min_rank`, `max_rank`, `prize`), optional
  `max_entries_per_user`, `pool`, `name`, `contest_id`; or a list of such contests; or DraftKings' own
  `contestDetail` JSON. Tickets count at their face value, and the page says so; one without a value is refused;
* `DKEntries.csv`: your reserved entries as downloaded; they come back filled, every other cell as it was;
* `projections-<name>.csv`: a further vendor's projections, columns as in `projections.csv`.
"""
