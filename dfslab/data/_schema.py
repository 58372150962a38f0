"""Table contracts: every column of every file, once; the readers check against it and docs/data.md is written from it.

Kinds of a column, and how a cell is read:

text    as it stands
id      digits or text, kept as text
int     a whole number; thousands commas and a dollar sign are accepted
number  a number; the same
share   a fraction inside the package, percent in files: `52`, `0.52` and `52%`, decided once per column
date    anything `pandas.to_datetime` reads; kept as a day
flag    0/1, true/false, yes/no
"""

import re
from dataclasses import dataclass

__all__ = [
    "Column",
    "HISTORY_RACES",
    "HISTORY_RESULTS",
    "OWNERSHIP_HISTORY",
    "PAYOUTS",
    "PROJECTIONS",
    "SALARIES",
    "STANDINGS",
    "STANDINGS_DRIVERS",
    "STARTING_LINEUP",
    "TABLES",
    "TRACK_TYPES",
    "Table",
    "data_dictionary",
    "header_key",
    "pandera_schema",
]

TRACK_TYPES = ("superspeedway", "intermediate", "large_flat", "short", "short_flat", "road", "dirt")


@dataclass(frozen=True)
class Column:
    """One column: its name in the package, how its cells are read, what they mean, and what is allowed."""

    name: str
    kind: str
    meaning: str
    required: bool = False
    blank: bool = True
    low: float | None = None
    high: float | None = None
    one_of: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Other headers the column is known by in files."""

    @property
    def allowed(self) -> str:
        """Return the allowed values in words, or an empty text."""
        if self.one_of:
            return "one of " + ", ".join(self.one_of)
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"{self.low:g} or more"
        return ""


@dataclass(frozen=True)
class Table:
    """One file: where it lies, what a row is, its columns, and the columns that make a row unique."""

    title: str
    path: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    remark: str = ""
    optional: bool = False

    def column(self, name: str) -> Column:
        """Return the column called `name`."""
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        return tuple(column.name for column in self.columns)


def header_key(header: str) -> str:
    """Return `header` without case, spaces and punctuation, so that `Roster Position` and `roster_position` agree."""
    return re.sub(r"[^a-z0-9%+#$]+", "_", str(header).lower()).strip("_")


def _need(name, kind, meaning, **more):
    return Column(name, kind, meaning, required=True, blank=False, **more)


SALARIES = Table(
    "DraftKings salaries",
    "races/<race_id>/DKSalaries.csv",
    "one driver of the slate",
    (
        _need("position", "text", "always D in NASCAR", also=("Position",)),
        Column("name_id", "text", "name with id, the cell an upload needs", also=("Name + ID", "Name+ID")),
        _need("driver", "text", "name as DraftKings writes it", also=("Name", "Player", "Player Name")),
        Column("dk_id", "id", "DraftKings' id of the driver on this slate", also=("ID", "Player ID")),
        Column("roster_position", "text", "always D", also=("Roster Position",)),
        _need("salary", "int", "salary, dollars", low=1, high=50_000, also=("Salary",)),
        Column("game_info", "text", "name of the race", also=("Game Info", "GameInfo")),
        Column("team_abbrev", "text", "always `Nasca`; no team", also=("TeamAbbrev",)),
        Column("avg_points", "number", "mean DraftKings points of the season", also=("AvgPointsPerGame", "FPPG")),
        Column("status", "text", "O, OUT or IR: will not race", also=("Status", "Injury Indicator")),
        Column("group", "text", "at most one driver of each group in a lineup", also=("Group",)),
    ),
    ("driver",),
    "Further columns (your own) are kept, except results of the race, which a slate never holds.",
)

STARTING_LINEUP = Table(
    "Starting lineup",
    "races/<race_id>/starting_lineup.csv",
    "one driver who races",
    (
        _need("driver", "text", "name", also=("Name", "Player")),
        _need(
            "start", "int", "place on the grid, 1 = pole", low=1, high=60, also=("Start", "Starting Position", "Pos")
        ),
    ),
    ("driver",),
    "It decides who races: a salary driver who is not listed is out. Further columns (team, practice, …) are kept.",
    optional=True,
)

PROJECTIONS = Table(
    "Projections",
    "races/<race_id>/projections.csv",
    "one driver",
    (
        _need("driver", "text", "name", also=("Name", "Player", "Player Name")),
        Column(
            "projected_points",
            "number",
            "expected DraftKings points",
            low=-60,
            high=250,
            also=("Projection", "Proj", "Points Projection", "Projected Points"),
        ),
        Column(
            "projected_ownership",
            "share",
            "expected share of entries that roster the driver",
            low=0,
            also=("Ownership", "Own", "Own%", "pOwn", "Proj Own", "Projected Ownership", "Ownership %"),
        ),
    ),
    ("driver",),
    "A vendor's or your own; either column may be missing or partly blank.",
    optional=True,
)

STANDINGS = Table(
    "Contest standings, left block",
    "races/<race_id>/contest-standings-<contest id>.zip or .csv",
    "one entry",
    (
        _need("rank", "int", "rank of the entry, ties share one", low=1, high=10_000_000, also=("Rank",)),
        _need("entry_id", "id", "id of the entry; not stored", also=("EntryId", "Entry ID")),
        Column("entry_name", "text", "user's handle; dropped on reading", also=("EntryName",)),
        Column("time_remaining", "text", "laps left when exported", also=("TimeRemaining",)),
        _need("points", "number", "score of the entry", also=("Points",)),
        Column("lineup", "text", "`D name D name …`; blank for an unfilled entry", required=True, also=("Lineup",)),
    ),
    ("entry_id",),
    "As downloaded after the race. A file of 0 bytes is an expired export: download it again.",
    optional=True,
)

STANDINGS_DRIVERS = Table(
    "Contest standings, right block",
    "the same file, after a blank column and with its own length",
    "one driver",
    (
        _need("driver", "text", "name as DraftKings writes it", also=("Player",)),
        Column("roster_position", "text", "always D", also=("Roster Position",)),
        _need("drafted", "share", "share of all entries, `45.20%`", low=0, also=("%Drafted", "Drafted")),
        Column("fpts", "number", "points of the driver", also=("FPTS",)),
    ),
    ("driver",),
    "Drivers nobody rostered are not listed.",
    optional=True,
)

PAYOUTS = Table(
    "Payouts",
    "races/<race_id>/contest.csv",
    "one range of ranks of one contest",
    (
        _need("min_rank", "int", "first rank of the range", low=1, also=("minPosition", "From")),
        _need("max_rank", "int", "last rank of the range", low=1, also=("maxPosition", "To")),
        _need("prize", "number", "prize of each rank, dollars", low=0, also=("value", "Payout")),
        _need("entry_fee", "number", "dollars an entry", low=0, also=("Entry Fee", "entryFee", "Fee")),
        _need("entries", "int", "entries the contest holds", low=1, high=10_000_000, also=("maximumEntries",)),
        Column("max_entries_per_user", "int", "limit a user", low=1, also=("max_per_user", "maximumEntriesPerUser")),
        Column("pool", "number", "advertised prizes in all, dollars", low=0, also=("prize_pool", "totalPayouts")),
        Column("contest_id", "id", "DraftKings' id of the contest", also=("Contest ID", "contestId")),
        Column("name", "text", "name of the contest", also=("label", "Contest Name")),
    ),
    ("contest_id", "name", "min_rank"),
    "The same as `contest.json`, as a table.",
    optional=True,
)

_RACE_FACTS = (
    _need("race_id", "text", "key of the race: date and track as a slug"),
    Column("season", "int", "year", low=1949, high=2100),
    Column("race_no", "int", "number of the points race in its season", low=1, high=60),
    _need("date", "date", "day of the race"),
    Column("race_name", "text", "name of the race"),
    Column("series", "text", "cup, xfinity or trucks; blank means cup"),
    Column("track", "text", "name of the track"),
    Column("track_id", "text", "key of the track and its layout"),
    Column("track_type", "text", "kind of track", one_of=TRACK_TYPES),
    Column("track_length_mi", "number", "length of a lap, miles", low=0.05, high=10),
    Column("sched_laps", "int", "laps scheduled", low=1, high=1000),
    Column("race_laps", "int", "laps run", low=1, high=1000),
)

HISTORY_RESULTS = Table(
    "Race results",
    "history/results.csv",
    "one driver in one race",
    (
        *_RACE_FACTS,
        _need("driver", "text", "name"),
        Column("nascar_driver_id", "id", "NASCAR's id of the driver"),
        Column("car", "text", "car number"),
        Column("team", "text", "team"),
        Column("manufacturer", "text", "make of the car"),
        _need("start", "int", "place on the grid, 1 = pole", low=1, high=60),
        _need("finish", "int", "official finish (after disqualification), 1 = winner", low=1, high=60),
        Column("laps", "int", "laps completed", low=0, high=1000),
        _need("laps_led", "int", "laps led", low=0, high=1000),
        Column(
            "fastest_laps", "int", "laps on which the driver was fastest; blank without loop data", low=0, high=1000
        ),
        Column("status", "text", "running, or the reason out"),
        Column("dnf", "flag", "dropped out"),
        Column("dnf_crash", "flag", "dropped out in a crash"),
        Column("disqualified", "flag", "disqualified after the race"),
        Column("qual_pos", "int", "place in qualifying", low=1, high=60),
        Column("qual_speed_mph", "number", "speed in qualifying", low=0),
        Column("practice_best_rank", "int", "rank of the best lap in practice", low=1, high=60),
        Column("practice_con10_rank", "int", "rank over ten laps in a row in practice", low=1, high=60),
        Column("driver_rating", "number", "NASCAR's driver rating, 0 to 150", low=0, high=200),
        Column("avg_running_pos", "number", "mean running position", low=1, high=60),
        Column("dk_points", "number", "DraftKings points; computed on reading under the rules of the date"),
    ),
    ("race_id", "driver"),
    "Any further column is kept. The official finish counts, DraftKings scores it too.",
)

HISTORY_RACES = Table(
    "Races",
    "history/races.csv",
    "one race",
    (
        *_RACE_FACTS,
        Column("n_cars", "int", "cars that started", low=1, high=60),
        Column("winner", "text", "winner"),
        Column("cautions", "int", "cautions; blank when not known", low=0, high=60),
        Column("caution_laps", "int", "laps under caution; blank when not known", low=0, high=1000),
        Column("lead_changes", "int", "changes of the leader", low=0, high=500),
        Column("n_green_runs", "int", "green runs", low=0, high=100),
        Column("longest_green_run", "number", "longest green run, laps", low=0, high=1000),
        Column("final_green_run", "number", "last green run, laps", low=0, high=1000),
        Column("top_led_share", "number", "share of laps led by the one who led most", low=0, high=1),
        Column("top2_led_share", "number", "share of laps led by the two who led most", low=0, high=1),
        Column("led_hhi", "number", "Herfindahl index of laps led", low=0, high=1),
        Column("fl_hhi", "number", "Herfindahl index of fastest laps", low=0, high=1),
        Column("n_dnf", "int", "drop-outs", low=0, high=60),
        Column("n_dnf_crash", "int", "drop-outs in crashes", low=0, high=60),
        Column("spearman_start_finish", "number", "rank correlation of start and finish", low=-1, high=1),
    ),
    ("race_id",),
    "Any further column is kept.",
)

OWNERSHIP_HISTORY = Table(
    "Ownership history",
    "history/ownership.csv",
    "one driver in one past contest",
    (
        _need("contest_id", "id", "DraftKings' id of the contest, or race and file name"),
        Column("race_id", "text", "key of the race"),
        _need("date", "date", "day of the race"),
        Column("series", "text", "cup, xfinity or trucks; blank means cup"),
        _need("driver", "text", "name as DraftKings writes it"),
        Column("salary", "int", "salary, dollars", low=1, high=50_000),
        _need("ownership", "share", "share of the contest's entries; percent in the file", low=0),
        Column("points", "number", "DraftKings points (FPTS)"),
        Column("start", "int", "place on the grid", low=1, high=60),
        Column("track_type", "text", "kind of track", one_of=TRACK_TYPES),
        Column("entries", "int", "entries of the contest", low=1),
        Column("entry_fee", "number", "dollars an entry", low=0),
        Column("max_entries_per_user", "int", "limit a user", low=1),
        Column("projected_points", "number", "projection known before the race"),
        Column("projected_ownership", "share", "forecast known before the race; percent in the file", low=0),
        Column("avg_points", "number", "DraftKings' mean points of the season"),
        Column("out", "flag", "had a salary but did not race"),
    ),
    ("contest_id", "driver"),
    "Written by ingesting standings. No handles and no entry ids are stored. Everything but ownership and points was "
    "known before lock.",
    optional=True,
)

TABLES = (
    SALARIES,
    STARTING_LINEUP,
    PROJECTIONS,
    PAYOUTS,
    STANDINGS,
    STANDINGS_DRIVERS,
    HISTORY_RESULTS,
    HISTORY_RACES,
    OWNERSHIP_HISTORY,
)


def pandera_schema(table: Table):
    """Return `table` as a pandera schema over parsed columns: required, blank or not, ranges, allowed values, key."""
    import pandera.pandas as pa

    columns = {
        c.name: pa.Column(None, checks=_checks(pa, c), nullable=c.blank, required=c.required) for c in table.columns
    }
    return pa.DataFrameSchema(columns, strict=False)


def _checks(pa, column: Column) -> list:
    """Return the checks of a column; a share is still text here, `share_of_entries` checks it with its unit."""
    checks = []
    if column.kind == "share":
        return checks
    if column.low is not None:
        checks.append(pa.Check.ge(column.low))
    if column.high is not None:
        checks.append(pa.Check.le(column.high))
    if column.one_of:
        checks.append(pa.Check.isin(column.one_of))
    return checks


def data_dictionary() -> str:
    """Return the data dictionary, Markdown: every file, every column, kind, meaning and allowed values."""
    return "\n".join([_PREAMBLE, *(line for table in TABLES for line in _table_lines(table))]) + "\n"


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
        needed = "yes" if column.required else ""
        lines.append(f"| `{column.name}` | {column.kind} | {needed} | {column.meaning} | {column.allowed} | {also} |")
    return [*lines, ""]


_PREAMBLE = """# The data folder

This page is written from `dfslab/schema.py` by `python scripts/data_dictionary.py`; a test keeps the two equal.

Kinds: *text*; *id* (digits kept as text); *int*, *number* (thousands commas and a dollar sign are accepted);
*share* (a fraction of entries inside the package, percent in the files the package writes: `52`, `0.52` and `52%` are
read, decided once per column and stated); *date*; *flag* (0/1, true/false, yes/no). Headers are compared without case
and punctuation. Further columns never hurt.

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
  `contestDetail` JSON. Tickets count at their face value, and the page says so;
* `DKEntries.csv`: your reserved entries as downloaded; they come back filled, every other cell as it was.
"""
