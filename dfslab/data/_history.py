"""The history folder: past races and past contests before a date, and how finished contests join it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data._files import locked, write_csv
from dfslab.data._names import match_names, name_key
from dfslab.data._race_folder import RaceFolder, open_folder
from dfslab.data._schema import OWNERSHIP_HISTORY
from dfslab.data._standings import Standings
from dfslab.data._tables import for_file, of_series, read_ownership_history, read_races, read_results, stored
from dfslab.errors import InputError, as_day
from dfslab.slate import Slate

__all__ = ["History", "Ingested", "history", "ingest_standings"]


@dataclass(frozen=True)
class History:
    """What happened before a date: `results` by driver and race, `races`, and `ownership` by driver and contest."""

    results: pd.DataFrame
    races: pd.DataFrame
    ownership: pd.DataFrame

    def before(self, date) -> "History":
        """Return only what happened before the day `date`."""
        day = as_day(date)
        return History(*(frame[frame["date"] < day].reset_index(drop=True) for frame in self._frames))

    def with_names(self, names) -> "History":
        """Return the same with drivers written as in `names` wherever they match (see `match_names`)."""
        return History(_renamed(self.results, names), self.races, _renamed(self.ownership, names))

    @property
    def _frames(self):
        return self.results, self.races, self.ownership


def _renamed(frame: pd.DataFrame, names) -> pd.DataFrame:
    pairs = match_names(frame["driver"].unique(), names).pairs
    return frame.assign(driver=frame["driver"].map(lambda name: pairs.get(name, name)))


def history(data_dir, before=None, series: str = "cup", *, without_races: bool = False) -> History:
    """Return the history of one series, of days earlier than `before` (all of it when None).

    Without ownership.csv the ownership is empty: a cold start, which a page must state. Drivers of past contests who
    had a salary but did not race are left out: the ownership holds the choices a player had.

    Raises
    ------
    InputError : results.csv or races.csv is not there, or holds no race before the date; a folder that has neither,
        only past contests, is allowed by `without_races`
    """
    folder = Path(data_dir) / "history"
    contests = _past_contests(folder / "ownership.csv", series)
    if without_races and not (folder / "results.csv").exists():
        found = History(
            pd.DataFrame({"date": pd.to_datetime([])}), pd.DataFrame({"date": pd.to_datetime([])}), contests
        )
        return found if before is None else found.before(before)
    for name in ("results.csv", "races.csv"):
        if not (folder / name).exists():
            raise InputError(
                f"{folder / name}: there is no race history; run `dfslab fetch --season 2025`, or put it there"
            )
    frames = (stored(read_results, folder / "results.csv"), stored(read_races, folder / "races.csv"))
    found = History(*(_one_spelling(of_series(frame, series)) for frame in frames), contests)
    found = found if before is None else found.before(before)
    if found.results.empty:
        when = "" if before is None else f" before {as_day(before):%Y-%m-%d}"
        raise InputError(f"{folder / 'results.csv'}: no {series} race{when}; fetch earlier seasons")
    return found


def _past_contests(path: Path, series: str) -> pd.DataFrame:
    """Return the ownership history of one series, without drivers who had a salary but did not race."""
    frame = stored(read_ownership_history, path) if path.exists() else _empty_ownership()
    return _who_raced(_one_spelling(of_series(frame, series)))


def _one_spelling(frame: pd.DataFrame) -> pd.DataFrame:
    """Write each driver as in his latest row: `BJ McLeod` and `B.J. McLeod` are one."""
    if "driver" not in frame:
        return frame
    latest = frame.sort_values("date", kind="stable").drop_duplicates("driver", keep="last")["driver"]
    spelling = {name_key(name): name for name in latest}
    return frame.assign(driver=frame["driver"].map({name: spelling[name_key(name)] for name in latest}))


def _who_raced(ownership: pd.DataFrame) -> pd.DataFrame:
    if "out" not in ownership:
        return ownership
    return ownership[ownership["out"].isna() | (ownership["out"] == 0)].reset_index(drop=True)


def _empty_ownership() -> pd.DataFrame:
    return pd.DataFrame({name: [] for name in OWNERSHIP_HISTORY.names}).assign(date=pd.to_datetime([]))


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
    slate, found = race.slate, race.standings
    if not found:
        raise InputError(f"{race.path}: no contest-standings-*.zip or .csv; download it from the contest page into it")
    contests, notes = _contest_facts(race)
    parts = [_ownership_rows(slate, standings, contests[standings.contest_id]) for standings in found]
    rows = pd.concat([part for part, _ in parts], ignore_index=True)
    notes += tuple(note for standings in found for note in standings.notes)
    notes += tuple(note for _, more in parts for note in more)
    target = Path(data_dir) / "history" / "ownership.csv"
    with locked(target.parent):
        _merge_ownership(target, rows)
    return Ingested(tuple(standings.contest_id for standings in found), rows, notes)


def _contest_facts(race: RaceFolder):
    """Return fee and limit by contest id, blank where the contest file does not hold the contest."""
    facts, notes = {}, ()
    for standings in race.standings:
        contest = race.contest_of(standings)
        if contest is None:
            notes += (f"Contest {standings.contest_id} is not in contest.json: its entry fee is not known.",)
        limit = contest.max_entries_per_user if contest else None
        facts[standings.contest_id] = {
            "entry_fee": contest.entry_fee if contest else np.nan,
            "max_entries_per_user": limit or standings.most_entries or np.nan,
        }
    return facts, notes


def _ownership_rows(slate: Slate, standings: Standings, facts: dict) -> tuple[pd.DataFrame, tuple[str, ...]]:
    found = match_names(standings.ownership.index, slate.names)
    if len(found.pairs) < len(standings.ownership) / 2:
        raise InputError(
            f"contest {standings.contest_id}: {len(found.left)} of its {len(standings.ownership)} drivers are not on "
            f"the slate of {slate.race.race_id}; the standings belong to another race, move them there"
        )
    known = ["driver", "salary", "start", "avg_points", "projected_points", "projected_ownership", "out"]
    rows = slate.drivers[[name for name in known if name in slate.drivers]].copy()
    by_slate = {name: theirs for theirs, name in found.pairs.items()}
    theirs = rows["driver"].map(by_slate)
    rows["ownership"] = theirs.map(standings.ownership).fillna(0.0)
    rows["points"] = theirs.map(standings.points)
    rows = rows.assign(
        contest_id=standings.contest_id,
        race_id=slate.race.race_id,
        date=slate.race.date,
        series=slate.race.series,
        track_type=slate.race.track_type,
        entries=len(standings),
        **facts,
    )
    notes = ()
    if found.left:
        lost = standings.ownership[list(found.left)].sum()
        notes = (f"Contest {standings.contest_id}: {', '.join(found.left)} ({lost:.1%}) has no salary, not stored.",)
    return rows, notes


def _merge_ownership(path: Path, rows: pd.DataFrame) -> None:
    if path.exists():
        earlier = read_ownership_history(path)
        rows = pd.concat([earlier[~earlier["contest_id"].isin(rows["contest_id"])], rows], ignore_index=True)
    order = ["date", "contest_id"]
    write_csv(path, for_file(rows.sort_values(order, kind="stable", ignore_index=True), OWNERSHIP_HISTORY))
