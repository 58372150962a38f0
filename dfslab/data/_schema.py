"""Table contracts: every column of every file is a row of `columns.csv`, every file a row of `tables.csv`.

How a cell of each kind of column is read, and what to do about one that is none, stands in `kinds.csv`.
"""

import csv
import re
from dataclasses import dataclass
from math import inf
from pathlib import Path


@dataclass(frozen=True)
class Column:
    """One column: its name in the package, how its cells are read, and what is allowed.

    `needed`: "yes", "column" (its cells may be blank) or "". `also`: other headers the column is known by in files.
    """

    name: str
    kind: str
    needed: str = ""
    low: float = -inf
    high: float = inf
    one_of: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """Return the allowed values in words, or an empty text."""
        if self.one_of:
            return "write one of " + ", ".join(self.one_of)
        if self.high < inf:
            return f"{self.low:.12g} to {self.high:.12g}"
        return f"{self.low:g} or more" if self.low > -inf else ""


@dataclass(frozen=True)
class Table:
    """One file: the columns that make a row unique (the first of `keys` names it), and all columns by name.

    `whole`: a frame of it has every column, blank where the file lacks one.
    """

    keys: tuple[tuple[str, ...], ...]
    whole: bool
    columns: dict[str, Column]


def header_key(header: str) -> str:
    """Return `header` without case, blanks, percent signs and punctuation: `Own %`, `own%` and `OWN` agree."""
    return re.sub(r"[^\w+#$]|_", "", str(header).lower())


def rows_of(name: str) -> list[dict[str, str]]:
    """Return the rows of a table that lies beside the code."""
    with open(Path(__file__).with_name(name), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _column(row: dict[str, str]) -> Column:
    low, high = float(row["low"] or -inf), float(row["high"] or inf)
    one_of, also = (tuple(filter(None, row[name].split("|"))) for name in ("one_of", "also"))
    return Column(row["column"], row["kind"], row["needed"], low, high, one_of, also)


def _table(row: dict[str, str]) -> Table:
    columns = {one["column"]: _column(one) for one in rows_of("columns.csv") if one["table"] == row["table"]}
    keys = tuple(tuple(key.split()) for key in (row["key"], row["unique"]) if key)
    return Table(keys, bool(row["whole"]), columns)


TABLES = {row["table"]: _table(row) for row in rows_of("tables.csv")}
"""The contracts by name."""
