"""Write docs/data.md from the columns and tables of the data room (`python scripts/docs/data_dictionary.py`)."""

import csv
from pathlib import Path

from dfslab.data import files

ROOT = Path(__file__).resolve().parents[2]

PREAMBLE = """# The data folder

This page is written from `dfslab/data/columns.csv` by `scripts/docs/data_dictionary.py`; a test keeps the two equal.

{kinds}

Decimal commas are refused, and so is what has two meanings: `1,250` in a sheet cut at semicolons.
Headers are compared without case, blanks, percent signs and punctuation. Further columns never hurt. Files may be
UTF-8, UTF-16 or Windows-1252, with commas, semicolons or tabs, with or without a `sep=` line.

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


def data_dictionary() -> str:
    """Return the data dictionary, Markdown: every file, every column, kind, meaning and allowed values."""
    columns = rows("columns")
    parts = (table_lines(table, [c for c in columns if c["table"] == table["table"]]) for table in rows("tables"))
    kinds = "\n".join(f"* *{kind['kind']}*: {kind['reads']};" for kind in rows("kinds"))
    preamble = PREAMBLE.replace("{kinds}", f"Kinds of a column, and how a cell is read:\n\n{kinds[:-1]}.")
    return "\n".join([preamble, *(line for part in parts for line in part)]) + "\n"


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of `dfslab/data/<name>.csv`."""
    with open(ROOT / "dfslab" / "data" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table_lines(table: dict[str, str], columns: list[dict[str, str]]) -> list[str]:
    """Return the section of one file."""
    optional = " Optional." if table["optional"] else ""
    key = f"; key: {', '.join(table['key'].split())}" if table["key"] else ""
    lines = [
        f"## {table['title']}",
        "",
        f"`{table['path']}`: one row is {table['row']}{key}.{optional} {table['remark']}".rstrip(),
        "",
        "| column | kind | needed | meaning | allowed | also written |",
        "|---|---|---|---|---|---|",
    ]
    for c in columns:
        also, needed = ", ".join(f"`{name}`" for name in c["also"].split("|") if name), "yes" if c["needed"] else ""
        lines.append(f"| `{c['column']}` | {c['kind']} | {needed} | {c['meaning']} | {allowed(c)} | {also} |")
    return [*lines, ""]


def allowed(column: dict[str, str]) -> str:
    """Return the allowed values in words, or an empty text."""
    if column["one_of"]:
        return "one of " + ", ".join(column["one_of"].split("|"))
    if column["low"] and column["high"]:
        return f"{column['low']} to {column['high']}"
    return f"{column['low']} or more" if column["low"] else ""


if __name__ == "__main__":
    with files.write_atomically(ROOT / "docs" / "data.md") as aside:
        aside.write_text(data_dictionary(), encoding="utf-8")
