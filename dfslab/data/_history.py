"""The history folder: past races and past contests before a date, and how finished contests join it."""

import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data._files import locked, write_csvs
from dfslab.data._names import match_names, name_key, persons, renamed, spellings
from dfslab.data._race_folder import RaceFolder, list_races, open_folder
from dfslab.data._schema import TABLES
from dfslab.data._standings import Standings
from dfslab.data._tables import empty, for_file, of_series, read_table, stored
from dfslab.errors import InputError, as_day
from dfslab.slate import Slate


@dataclass(frozen=True)
class History:
    """What happened before a date.

    `results` by driver and race, `races`, and `ownership` by driver and contest. `partial`: past contests of which
    only some ownership is known (contest_id, race_id, date, driver, salary, ownership, known, entries, entry_fee, kind;
    ownership is NaN where `known` is False). `odds`: race_id, driver, probability, the margin still in.
    """

    results: pd.DataFrame
    races: pd.DataFrame
    ownership: pd.DataFrame
    partial: pd.DataFrame
    odds: pd.DataFrame
    notes: tuple[str, ...] = ()

    def before(self, date) -> "History":
        """Return only what happened before the day `date`."""
        day = as_day(date)
        cut = {name: getattr(self, name) for name in ("results", "races", "ownership", "partial")}
        cut = {name: frame[frame["date"] < day].reset_index(drop=True) for name, frame in cut.items()}
        odds = self.odds[self.odds["race_id"].isin(cut["races"].get("race_id", []))].reset_index(drop=True)
        return replace(self, **cut, odds=odds)

    def with_names(self, names) -> "History":
        """Return the same with drivers written as in `names`; several spellings may be one driver's, and it is noted.

        A spelling that fits two drivers is nobody's, nor is one that raced in the same race as a better one.
        """
        frames = {name: getattr(self, name) for name in ("results", "ownership", "partial", "odds")}
        written = pd.unique(pd.concat([frame["driver"] for frame in frames.values()]))
        races = self.results.groupby("driver")["race_id"].agg(set).to_dict()
        pairs = spellings(written, list(names), races)
        joined: dict[str, list[str]] = {}
        for old, new in pairs.items():
            if name_key(old) != name_key(new):
                joined.setdefault(new, []).append(old)
        notes = tuple(f"History: {' and '.join(old)} taken for {new}." for new, old in joined.items())
        frames = {name: renamed(frame, pairs) for name, frame in frames.items()}
        return replace(self, **frames, notes=(*self.notes, *notes))


def history(data_dir, before=None, series: str = "cup", *, without_races: bool = False) -> History:
    """Return the history of one series, of days earlier than `before` (all of it when None).

    Without ownership.csv the ownership is empty: a cold start, which a page must state. Drivers of past contests who
    had a salary but did not race are left out: the ownership holds the choices a player had. Every column of the data
    dictionary is there, blank where the file lacks it. Cautions and green runs that races.csv lacks are those of
    caution_segments.csv.

    Raises
    ------
    InputError : results.csv or races.csv is not there, or holds no race before the date; a folder that has neither,
        only past contests, is allowed by `without_races`
    """
    folder = Path(data_dir) / "history"
    contests = of_series(stored(folder / "ownership.csv", "ownership"), series)
    contests = _one_spelling(contests[contests["out"].isna() | (contests["out"] == 0)].reset_index(drop=True))
    partly, odds = _partly(Path(data_dir), series), stored(folder / "odds.csv", "odds_history")
    results = _one_spelling(of_series(stored(folder / "results.csv", "results"), series))
    races = of_series(stored(folder / "races.csv", "races"), series)
    for path in (folder / "results.csv", folder / "races.csv"):
        if not path.exists() and not (without_races and results.empty):
            raise InputError(f"{path}: there is no race history; run `dfslab fetch --season 2025`, or put it there")
    _refuse_contradictions(results, races, folder)
    tables = {"results.csv": results, "races.csv": races, "ownership.csv": contests}
    notes = tuple(f"history/{name}: {note}" for name, frame in tables.items() for note in frame.attrs.get("notes", ()))
    found = History(results, races, contests, partly, odds, notes)
    found = found if before is None else found.before(before)
    if found.results.empty and not without_races:
        when = "" if before is None else f" before {as_day(before):%Y-%m-%d}"
        raise InputError(f"{folder / 'results.csv'}: no {series} race{when}; fetch earlier seasons")
    return found


def _refuse_contradictions(results: pd.DataFrame, races: pd.DataFrame, folder: Path) -> None:
    """Raise where the two tables date a race differently, or a race stands there under two ids."""
    both = results.drop_duplicates("race_id").merge(races, on="race_id", suffixes=("", "_of_races"))
    for row in both[both["date"] != both["date_of_races"]].itertuples():
        days = f"{row.date:%Y-%m-%d} in results.csv, {row.date_of_races:%Y-%m-%d} in races.csv"
        raise InputError(f"{folder}: {row.race_id} is of {days}; correct one of them")
    twice = results.duplicated(["date", "driver", "start", "finish"]).groupby(results["race_id"]).mean()
    for race_id in twice.index[twice > 0.5]:
        raise InputError(f"{folder / 'results.csv'}: {race_id} is there under another id, too; keep one of the two")


def _one_spelling(frame: pd.DataFrame) -> pd.DataFrame:
    """Write each driver as in his latest row."""
    frame = frame.sort_values("date", kind="stable")
    return frame.assign(driver=frame["driver"].groupby(persons(frame)).transform("last")).sort_index()


PARTIAL = ("contest_id", "race_id", "date", "driver", "salary", "ownership", "known", "entries", "entry_fee", "kind")


def _partly(data_dir: Path, series: str) -> pd.DataFrame:
    """Return the partly known contests of the folder; drivers of the salary file who are not listed are not known."""
    found = [_partial_of(path, data_dir) for path in sorted(data_dir.glob("contests_*/ownership_partial.csv"))]
    if not found or series != "cup":
        return empty("partial").assign(known=False).reindex(columns=PARTIAL)
    return pd.concat(found, ignore_index=True).reindex(columns=PARTIAL)


def _partial_of(path: Path, data_dir: Path) -> pd.DataFrame:
    rows, races, parts = read_table(path, "partial").assign(known=True), list_races(data_dir), []
    facts = stored(path.with_name("contests.csv"), "partial_contests").set_index("contest_id")
    for contest_id, known in rows.groupby("contest_id", sort=False):
        first, of = known.iloc[0], facts.reindex([contest_id]).iloc[0]
        race_id = next((race for race in races if race.startswith(f"{first['date']:%Y-%m-%d}")), None)
        known = _with_unknown(known, open_folder(race_id, data_dir).slate) if race_id else known
        words = " ".join(map(str, (first["contest"], of["type"], of["name"]))).lower()
        kind = "cash" if re.search(r"double.?up|50.?50|cash", words) else "tournament"
        fee = of["entry_fee"] if pd.isna(first["entry_fee"]) else first["entry_fee"]
        shared = {"contest_id": contest_id, "race_id": race_id, "date": first["date"], "entries": first["entries"]}
        parts.append(known.assign(**shared, entry_fee=fee, kind=kind))
    return pd.concat(parts, ignore_index=True)


def _with_unknown(known: pd.DataFrame, slate: Slate) -> pd.DataFrame:
    """Return all who could be rostered, in the spelling of the slate, with `known` where the ownership is."""
    pairs = match_names(known["driver"], slate.names).pairs
    known = renamed(known, pairs).set_index("driver")
    racing = slate.drivers[~slate.drivers["out"]].set_index("driver")["salary"]
    every = known.reindex([*known.index, *racing.index.difference(known.index, sort=False)])
    salary = every["salary"].fillna(racing.reindex(every.index))
    return every.assign(salary=salary, known=every["ownership"].notna()).reset_index()


@dataclass(frozen=True)
class Ingested:
    """What an ingest did: the contests now in the history, their rows as written, and what a reader should know."""

    contest_ids: tuple[str, ...]
    rows: pd.DataFrame
    notes: tuple[str, ...] = ()


def ingest_standings(race_id, data_dir) -> Ingested:
    """Add a race's contest standings to history/ownership.csv; ingesting again changes nothing.

    Stored: ownership and points by driver with what was known before lock (salary, start, entries, fee, projections).
    Handles, entry ids and lineups are not.

    Raises
    ------
    InputError : no standings in the folder, or one that cannot be read; nothing is written then
    """
    race = open_folder(race_id, data_dir)
    if not race.standings:
        raise InputError(f"{race.path}: no contest-standings-*.zip or .csv; download it from the contest page into it")
    notes: list[str] = []
    rows = pd.concat([_ownership_rows(race, standings, notes) for standings in race.standings], ignore_index=True)
    target = Path(data_dir) / "history" / "ownership.csv"
    with locked(target.parent):
        _merge_ownership(target, rows)
    return Ingested(tuple(standings.contest_id for standings in race.standings), rows, tuple(notes))


def _ownership_rows(race: RaceFolder, standings: Standings, notes: list[str]) -> pd.DataFrame:
    """Return a contest as the history keeps it, fee and limit blank where the contest file does not hold it."""
    slate, contest, name = race.slate, race.contest_of(standings), f"Contest {standings.contest_id}"
    found = match_names(standings.ownership.index, slate.names)
    standings.lineups(slate)
    rows = slate.drivers[[column for column in TABLES["ownership"].columns if column in slate.drivers]]
    theirs = rows["driver"].map({ours: theirs for theirs, ours in found.pairs.items()})
    if not contest:
        notes.append(f"{name} is not in contest.json: its entry fee is not known.")
    notes += standings.notes
    if found.left:
        lost = standings.ownership[list(found.left)].sum()
        notes.append(f"{name}: {', '.join(found.left)} ({lost:.1%}) has no salary, not stored.")
    return rows.assign(
        contest_id=standings.contest_id,
        race_id=race.race_id,
        date=slate.race.date,
        series=slate.race.series,
        track_type=slate.race.track_type,
        ownership=theirs.map(standings.ownership).fillna(0.0),
        points=theirs.map(standings.points),
        entries=len(standings),
        entry_fee=contest.entry_fee if contest else np.nan,
        kind=contest.kind if contest else None,
        max_entries_per_user=(contest and contest.max_entries_per_user) or np.nan,
    )


def _merge_ownership(path: Path, rows: pd.DataFrame) -> None:
    """Put the contests of `rows` into the history, checked before it takes the old one's place."""
    earlier = stored(path, "ownership")
    again = earlier.merge(rows, on=["contest_id", "driver"], suffixes=("", "_new"))
    for _, other in again[again["date"] != again["date_new"]].head(1).iterrows():
        problem = f"contest {other['contest_id']} is one of {other['date']:%Y-%m-%d}"
        raise InputError(f"{path}: {problem}; the standings in {other['race_id_new']} are another race's")
    rows = pd.concat([earlier[~earlier["contest_id"].isin(rows["contest_id"])], rows], ignore_index=True)
    rows = rows.dropna(axis=1, how="all").sort_values(["date", "contest_id"], kind="stable", ignore_index=True)
    write_csvs({path: for_file(rows, TABLES["ownership"])}, {path: partial(read_table, name="ownership")})
