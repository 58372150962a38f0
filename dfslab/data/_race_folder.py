"""One race folder: its facts, its slate with everything known before lock, its contests, its standings afterwards."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data._contests import read_contests
from dfslab.data._entries import Entries, read_entries
from dfslab.data._files import digest, read_json
from dfslab.data._names import Matched, match_names, near_names
from dfslab.data._schema import TRACK_TYPES
from dfslab.data._standings import Standings, read_standings, standings_files
from dfslab.data._tables import (
    of_series,
    read_projections,
    read_results,
    read_salaries,
    read_starting_lineup,
    stored,
)
from dfslab.errors import InputError
from dfslab.rules import DRAFTKINGS_NASCAR, rules_on
from dfslab.slate import Contest, Race, Results, Slate, SlateError

__all__ = ["RaceFolder", "list_races", "load_slate", "open_folder", "read_slate"]

SERIES = ("cup", "xfinity", "trucks")
CONTEST_FILES = ("contest.json", "contest.csv")


@dataclass(frozen=True)
class RaceFolder:
    """The files of one race, each read and checked when it is first asked for.

    `race_id`, `data_dir`, `path` (the folder); `slate` and `race` as known before lock; `contests`, at least one;
    `entries` (reserved, to be filled) or None; after the race `standings` (one per contest) and `results` (from the
    history, or None).
    """

    race_id: str
    data_dir: Path

    @property
    def path(self) -> Path:
        """The folder."""
        return self.data_dir / "races" / self.race_id

    @cached_property
    def race(self) -> Race:
        """The facts of `race.json`."""
        return _load_race(self.path)

    @cached_property
    def slate(self) -> Slate:
        """The slate with everything known before lock (see `load_slate`)."""
        return _load_slate(self.path, self.race)

    @cached_property
    def contests(self) -> tuple[Contest, ...]:
        """The contests of contest.json (or contest.csv); the first is the one to play."""
        for name in CONTEST_FILES:
            if (self.path / name).exists():
                return tuple(read_contests(self.path / name))
        raise InputError(f"{self.path / 'contest.json'}: there is no contest; give entry_fee, entries and payouts")

    @cached_property
    def entries(self) -> Entries | None:
        """The reserved entries of DKEntries.csv, or None."""
        path = self.path / "DKEntries.csv"
        return read_entries(path) if path.exists() else None

    @cached_property
    def standings(self) -> tuple[Standings, ...]:
        """The standings in the folder, one per contest; empty before the race."""
        return tuple(read_standings(path) for path in standings_files(self.path))

    @property
    def has_standings(self) -> bool:
        """Whether standings lie in the folder (they are not read)."""
        return bool(standings_files(self.path))

    @property
    def simulated(self) -> bool:
        """Whether `race.json` says that the race is invented."""
        return bool(_race_facts(self.path / "race.json").get("simulated", False))

    @property
    def hashes(self) -> dict[str, str]:
        """Digests of the folder's files, the history's and the saved models', by path within the data folder."""
        beside = [*(self.data_dir / "history").glob("*.csv"), *(self.data_dir / "models").glob("*.json")]
        found = sorted(path for path in [*self.path.iterdir(), *beside] if path.is_file())
        return {path.relative_to(self.data_dir).as_posix(): digest(path) for path in found}

    @cached_property
    def results(self) -> Results | None:
        """The race's results in the history, by its id, else by day and series; None while they are not there."""
        path = self.data_dir / "history" / "results.csv"
        if not path.exists():
            return None
        every = stored(read_results, path)
        rows = every[every["race_id"] == self.race_id].reset_index(drop=True)
        if rows.empty and (self.path / "race.json").exists():
            rows = of_series(every[every["date"] == self.race.date], self.race.series)
        return Results(self.race_id, rows.assign(points=rows["dk_points"])) if len(rows) else None

    def contest_of(self, standings: Standings) -> Contest | None:
        """Return the contest that `standings` finished: by id, or the only one when it names none and holds as many."""
        known = self.contests if any((self.path / name).exists() for name in CONTEST_FILES) else ()
        if len(known) == len(self.standings) == 1 and not known[0].contest_id:
            return known[0] if len(standings) <= known[0].entries else None
        return next((contest for contest in known if contest.contest_id == standings.contest_id), None)


def list_races(data_dir) -> list[str]:
    """Return the race ids of the folder that have a salary file, in order of date (the id begins with it)."""
    return sorted(path.parent.name for path in Path(data_dir).glob("races/*/DKSalaries.csv"))


def open_folder(race_id, data_dir) -> RaceFolder:
    """Return the folder of a race; raise `InputError` with the nearest names when it is not there."""
    race_id = str(race_id)
    folder = RaceFolder(race_id, Path(data_dir))
    if re.fullmatch(r"[\w][\w.\-]*", race_id) and folder.path.is_dir():
        return folder
    if not Path(data_dir).is_dir():
        raise InputError(f"{data_dir}: there is no such data folder; correct --data, or make it")
    have = sorted(path.name for path in Path(data_dir).glob("races/*") if path.is_dir())
    near = near_names(race_id, have, 3)
    latest = f"the latest of {len(have)}: {', '.join(have[:-4:-1])}" if have else "there is none yet"
    hint = f"did you mean {' or '.join(near)}?" if near else latest
    raise InputError(f"{Path(data_dir) / 'races'}: no race '{race_id}'; {hint}")


def _load_race(folder: Path) -> Race:
    """Return the facts of `race.json`; raise `InputError` naming a key that is missing or cannot be."""
    path, race_id = folder / "race.json", folder.name
    facts = _race_facts(path)
    if str(facts.get("race_id", race_id)) != race_id:
        raise InputError(f"{path}: race_id is '{facts['race_id']}', the folder is '{race_id}'; make them the same")
    laps = _number(facts, "sched_laps", 1, 1000, path)
    if laps % 1:
        raise InputError(f"{path}: sched_laps is {laps:g}; write a whole number")
    return Race(
        race_id=race_id,
        date=_date(facts["date"], path),
        track=str(facts["track"]),
        track_type=_one_of(facts["track_type"], TRACK_TYPES, "track_type", path),
        track_length_mi=_number(facts, "track_length_mi", 0.05, 10, path),
        sched_laps=laps,
        series=_one_of(facts.get("series") or "cup", SERIES, "series", path),
        name=str(facts.get("race_name") or facts.get("name") or ""),
    )


def _race_facts(path: Path) -> dict:
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise InputError(f"{path}: it must be one object with date, track, track_type, track_length_mi, sched_laps")
    for name in ("date", "track", "track_type", "track_length_mi", "sched_laps"):
        if facts.get(name) is None:
            raise InputError(f"{path}: '{name}' is missing; add it")
    for name in ("out", "to_rear"):
        listed = facts.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(driver, str) for driver in listed):
            raise InputError(f"{path}: '{name}' must be a list of driver names")
    return facts


def _date(value, path) -> pd.Timestamp:
    date = pd.to_datetime(value, errors="coerce") if isinstance(value, str) else pd.NaT
    if pd.isna(date):
        raise InputError(f"{path}: date is {repr(value)[:40]}; write it as 2025-04-13")
    return date.tz_localize(None).normalize() if date.tzinfo else date.normalize()


def _one_of(value, allowed, name: str, path) -> str:
    if value not in allowed:
        raise InputError(f"{path}: {name} is {repr(value)[:40]}; write one of {', '.join(allowed)}")
    return value


def _number(facts: dict, name: str, low: float, high: float, path) -> float:
    value = facts[name]
    try:
        number = float(value) if not isinstance(value, bool) else np.nan
    except (TypeError, ValueError, OverflowError):
        number = np.nan
    if not low <= number <= high:
        raise InputError(f"{path}: {name} is {repr(value)[:40]}; write a number from {low:g} to {high:g}")
    return number


def load_slate(race_id, data_dir) -> Slate:
    """Return the slate of a race folder with everything known before lock.

    `drivers` follows the salary file: driver, salary, out, dk_id, name_id, avg_points, start, to_rear, and
    projected_points / projected_ownership (fraction) where projections.csv has them. A salary driver who is not in
    starting_lineup.csv, or is listed in `out` of race.json or marked O in `Status`, is out. `starters` lists everybody
    who races under the slate's names. `notes` says what was assumed and which names stayed unmatched.
    """
    return open_folder(race_id, data_dir).slate


def _load_slate(folder: Path, race: Race) -> Slate:
    facts = _race_facts(folder / "race.json")
    drivers = read_salaries(folder / "DKSalaries.csv")
    drivers, notes = _without_results(drivers)
    drivers, starters, more = _with_lineup(drivers, folder / "starting_lineup.csv")
    notes += more
    drivers, starters, more = _with_facts(drivers, starters, facts, folder / "race.json")
    notes += more
    if (folder / "projections.csv").exists():
        drivers, more = _with_projections(drivers, folder / "projections.csv")
        notes += more
    return _slate(folder / "DKSalaries.csv", drivers, rules_on(race.date), race, starters, notes=notes)


def read_slate(salaries, projections) -> Slate:
    """Return the slate of a salary file and a projections file alone: without a race, everybody in it is to start."""
    drivers, notes = _without_results(read_salaries(salaries))
    drivers, _, more = _with_facts(drivers.assign(out=False), None, {}, salaries)
    drivers, told = _with_projections(drivers, Path(projections))
    return _slate(salaries, drivers, notes=notes + more + told)


def _slate(path, drivers: pd.DataFrame, *facts, notes) -> Slate:
    try:
        return Slate.from_frame(drivers, *facts, notes=notes)
    except SlateError as error:
        raise InputError(f"{path}: {str(error).removeprefix('slate: ')}") from None


RESULT_COLUMNS = {"fpts", "finish", "laps_led", "fastest_laps", "dk_points", "points", "actual", "drafted", "ownership"}
"""Headers that would carry the outcome into a slate."""
OUT_STATUS = {"O", "OUT", "IR"}
"""What DraftKings writes into `Status` of somebody who will not take part."""


def _without_results(drivers: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    known = [name for name in drivers if str(name).lower().replace("%", "").replace(" ", "_") in RESULT_COLUMNS]
    if not known:
        return drivers, ()
    return drivers.drop(columns=known), (f"DKSalaries.csv: {', '.join(known)} left out, a slate holds no result.",)


def _with_lineup(drivers: pd.DataFrame, path: Path):
    drivers = drivers.assign(out=False)
    if not path.exists():
        note = "starting_lineup.csv is not there: every driver with a salary is taken to race, start unknown."
        return drivers, None, (note,)
    starters = read_starting_lineup(path)
    found = match_names(starters["driver"], drivers["driver"])
    _refuse_ambiguous(found, path)
    starters = starters.assign(driver=starters["driver"].map(lambda name: found.pairs.get(name, name)))
    racing = drivers["driver"].isin(starters["driver"])
    if racing.sum() < len(drivers) / 2:
        raise InputError(
            f"{path}: it lists {racing.sum()} of the {len(drivers)} drivers with a salary; is it of another race?"
        )
    extra = [name for name in starters if name not in drivers or name == "driver"]
    drivers = drivers.assign(out=~racing).merge(starters[extra], on="driver", how="left", sort=False)
    return drivers, starters, _lineup_notes(drivers, found)


def _lineup_notes(drivers: pd.DataFrame, found: Matched) -> tuple[str, ...]:
    notes = []
    out = drivers.loc[drivers["out"], "driver"].tolist()
    for name in out:
        near = near_names(name, found.unmatched)
        hint = f" (is '{near[0]}' there the same driver? then write the names alike)" if near else ""
        notes.append(f"{name} has a salary but is not in the starting lineup: out, never rostered{hint}.")
    if found.unmatched:
        notes.append(f"In the starting lineup without a salary, so not to be rostered: {', '.join(found.unmatched)}.")
    return tuple(notes)


def _refuse_ambiguous(found: Matched, path) -> None:
    for name, who in found.ambiguous.items():
        raise InputError(f"{path}: '{name}' could be {' or '.join(who)}; write the name as in DKSalaries.csv")


def _with_facts(drivers: pd.DataFrame, starters, facts: dict, path):
    """Add what race.json lists and the salary file's Status: columns out and to_rear; out starters leave the race."""
    others = () if starters is None else tuple(starters["driver"])
    known = list(dict.fromkeys([*drivers["driver"], *others]))
    out, rear = (_listed(facts, name, known, path) for name in ("out", "to_rear"))
    if "status" in drivers:
        out |= set(drivers.loc[drivers["status"].fillna("").str.upper().isin(OUT_STATUS), "driver"])
    new = drivers.loc[drivers["driver"].isin(out) & ~drivers["out"], "driver"]
    notes = tuple(f"{name} is listed as out: never rostered." for name in new)
    drivers = drivers.assign(out=drivers["out"] | drivers["driver"].isin(out), to_rear=drivers["driver"].isin(rear))
    if starters is not None:
        starters = starters[~starters["driver"].isin(out)].reset_index(drop=True)
        starters = starters.assign(to_rear=starters["driver"].isin(rear))
    return drivers, starters, notes


def _listed(facts: dict, name: str, known: list[str], path) -> set[str]:
    """Return the drivers a list of race.json names, in the spelling of the slate; an unknown one raises."""
    found = match_names(facts.get(name, []), known)
    _refuse_ambiguous(found, path)
    for driver in found.unmatched:
        near = near_names(driver, known)
        hint = f"did you mean {near[0]}?" if near else "write the name as in DKSalaries.csv, or remove it"
        raise InputError(f"{path}: '{driver}' in '{name}' is not in this race; {hint}")
    return set(found.pairs.values())


def _with_projections(drivers: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    frame, notes = read_projections(path)
    found = match_names(frame["driver"], drivers["driver"])
    frame = frame.assign(driver=frame["driver"].map(found.pairs)).dropna(subset=["driver"])
    columns = [name for name in ("projected_points", "projected_ownership") if name in frame]
    drivers = drivers.drop(columns=columns, errors="ignore").merge(frame[["driver", *columns]], on="driver", how="left")
    _refuse_wrong_total(drivers, path)
    missing = drivers.loc[~drivers["out"] & drivers[columns].isna().all(axis=1), "driver"].tolist()
    if found.left:
        notes += (f"projections.csv: {', '.join(found.left)} not found on the slate, not used.",)
    if missing:
        notes += (f"projections.csv has nothing for {', '.join(missing)}.",)
    return drivers, notes


FULL_SHARE = 0.9
"""Share of the racing drivers from which projected ownership is taken to be complete and must come near six."""


def _refuse_wrong_total(drivers: pd.DataFrame, path) -> None:
    if "projected_ownership" not in drivers:
        return
    shares = drivers.loc[~drivers["out"], "projected_ownership"]
    total, k = shares.sum(), DRAFTKINGS_NASCAR.roster_size
    if total > 1.5 * k or (shares.notna().mean() >= FULL_SHARE and total < 0.5 * k):
        raise InputError(
            f"{path}: projected_ownership adds up to {total:.0%}, {k} drivers an entry make {k:.0%}; check its unit"
        )
