"""One race folder: its facts, its slate with everything known before lock, its contests, its standings afterwards."""

import difflib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data._contests import read_contests
from dfslab.data._entries import Entries, cells_with_ids, read_entries
from dfslab.data._files import read_json
from dfslab.data._names import Matched, match_names, near_names, renamed
from dfslab.data._schema import TABLES, header_key, rows_of
from dfslab.data._standings import Standings, read_all_standings, standings_files
from dfslab.data._tables import days_apart, from_objects, of_series, read_salaries, read_table, stored
from dfslab.errors import InputError
from dfslab.rules import DRAFTKINGS_NASCAR, rules_on
from dfslab.slate import Contest, Race, Results, Slate, SlateError

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
    def facts(self) -> dict:
        """What race.json says: the columns of the table `race`, and the lists out and to_rear."""
        path, content = self.path / "race.json", read_json(self.path / "race.json")
        content, notes = _known_keys(content) if isinstance(content, dict) else ({}, ())
        content["race_id"] = content.get("race_id") or self.race_id
        facts = from_objects([content], "race", path).iloc[0].to_dict()
        if facts["race_id"] != self.race_id:
            both = f"race_id is '{facts['race_id']}', the folder is '{self.race_id}'"
            raise InputError(f"{path}: {both}; make them the same")
        for name in ("out", "to_rear"):
            facts[name] = content.get(name) or []
            if not isinstance(facts[name], list) or not all(isinstance(driver, str) for driver in facts[name]):
                raise InputError(f"{path}: {name} must be a list of names; correct it")
        return facts | {name: facts[name] or "" for name in ("track", "race_name")} | {"notes": notes}

    @cached_property
    def race(self) -> Race:
        """The race as known before it starts."""
        names = ("date", "track", "track_type", "track_length_mi", "sched_laps", "series")
        return Race(race_id=self.race_id, name=self.facts["race_name"], **{name: self.facts[name] for name in names})

    @cached_property
    def slate(self) -> Slate:
        """The slate with everything known before lock (see `load_slate`)."""
        notes = [*self.facts["notes"], *_unread(self.path)]
        path, race = _only(self.path, "DKSalaries.csv"), self.race
        drivers = _without_results(read_salaries(path), notes)
        drivers, starters = _with_lineup(drivers, self.path / "starting_lineup.csv", notes)
        drivers, starters = _with_facts(drivers, starters, self.facts, self.path / "race.json", notes)
        if days_apart(race.race_id, race.date):
            notes.append(f"race.json says {race.date:%Y-%m-%d}, the race id another day: the date of race.json counts.")
        for n, vendor in enumerate(_projection_files(self.path)):
            drivers = _with_projections(drivers, vendor, notes, "" if n == 0 else f"_{n + 1}")
        return _slate(path, drivers, rules_on(race.date), race, starters, notes=notes)

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
        return read_all_standings(self.path, self.race.date) if self.has_standings else ()

    @property
    def has_standings(self) -> bool:
        """Whether standings lie in the folder (they are not read)."""
        return bool(standings_files(self.path))

    @property
    def simulated(self) -> bool:
        """Whether `race.json` says that the race is invented."""
        return self.facts["simulated"] is True

    @cached_property
    def results(self) -> Results | None:
        """The race's results in its series' history; None while they are not there."""
        rows = self.in_history("results")
        return Results(self.race_id, rows.assign(points=rows["dk_points"])) if len(rows) else None

    def in_history(self, name: str) -> pd.DataFrame:
        """Return the race's rows of a table (results, races) of its series' history, by its id, else by its day."""
        every = of_series(stored(self.data_dir / "history" / f"{name}.csv", name), self.race.series)
        mine = every["race_id"] == self.race_id
        return every[mine if mine.any() else every["date"] == self.race.date].reset_index(drop=True)

    @cached_property
    def odds(self) -> pd.DataFrame | None:
        """The market's odds: driver as in the race, `probability` with the margin still in; None without odds.csv.

        `attrs["notes"]` names the drivers who are not in this race.
        """
        path = self.path / "odds.csv"
        if not path.exists():
            return None
        known = pd.concat([self.slate.drivers["driver"], self.slate.starters["driver"]]).unique()
        frame = _of_race(read_table(path, "odds"), known, path, notes := [])
        frame.attrs["notes"] = tuple(notes)
        return frame

    def contest_of(self, standings: Standings) -> Contest | None:
        """Return the contest that `standings` finished: by id, or the only one when it has none and holds as many."""
        known = self.contests if any((self.path / name).exists() for name in CONTEST_FILES) else ()
        if len(known) == len(self.standings) == 1 and not known[0].contest_id:
            return known[0] if known[0].entries / 2 <= len(standings) <= known[0].entries else None
        found = next((contest for contest in known if contest.contest_id == standings.contest_id), None)
        if found and len(standings) > found.entries:
            where, most = self.path / standings.file, f"the contest holds {found.entries:,}"
            raise InputError(f"{where}: {len(standings):,} entries, {most} by contest.json; correct its entries")
        return found

    def check_after_race(self) -> None:
        """Raise `InputError` where an id that the upload needs is missing, or entries or standings cannot be used."""
        cells_with_ids(self.slate, np.flatnonzero(~self.slate.out))
        _ = self.entries, [self.contest_of(standings) for standings in self.standings]

    def standings_of(self, contest: Contest) -> Standings | None:
        """Return the standings that finished `contest`, or None; those of another contest are not played with it."""
        for standings in self.standings:
            finished = self.contest_of(standings)
            if finished and (finished is contest or finished.contest_id == contest.contest_id != ""):
                return standings
        return None


def list_races(data_dir) -> list[str]:
    """Return the race ids of the folder that have a salary file, in order of date (the id begins with it)."""
    found = sorted(path.parent.name for path in Path(data_dir).glob("races/*/DKSalaries.csv"))
    return [name for name in found if not name.startswith(".")]


def finished_races(data_dir) -> list[str]:
    """Return those of `list_races` with standings in their folder (not read); raise `InputError` when there is none."""
    found = [race_id for race_id in list_races(data_dir) if RaceFolder(race_id, Path(data_dir)).has_standings]
    if not found:
        raise InputError(f"{Path(data_dir) / 'races'}: no race has contest standings; download one into its folder")
    return found


def open_folder(race_id, data_dir) -> RaceFolder:
    """Return the folder of a race; raise `InputError` with the nearest names when it is not there."""
    race_id = str(race_id)
    folder = RaceFolder(race_id, Path(data_dir))
    if not Path(data_dir).is_dir():
        raise InputError(f"{data_dir}: there is no such data folder; correct --data, or make it")
    if folder.path.is_dir() and folder.path.parent == folder.data_dir / "races":
        better = "-".join(re.findall(r"[\w.-]+", race_id)).lstrip(".-")
        if better == race_id:
            return folder
        name = f"rename the folder to {better}" if better else "rename the folder"
        raise InputError(f"{folder.path}: a race id has letters, digits, '.', '-' and '_' only; {name}")
    have = sorted(path.name for path in Path(data_dir).glob("races/*") if path.is_dir())
    near = near_names(race_id, have, 3)
    latest = f"the latest of {len(have)}: {', '.join(have[:-4:-1])}" if have else "there is none yet"
    hint = f"did you mean {' or '.join(near)}?" if near else latest
    raise InputError(f"{Path(data_dir) / 'races'}: no race '{race_id}'; {hint}")


def _known_keys(content: dict) -> tuple[dict, tuple[str, ...]]:
    """Return what race.json says under the names of the package, and a note for each further key that is nearly one."""
    keys = {header_key(name): name for name in ("out", "to_rear", "name", *TABLES["race"].columns)}
    odd = [key for key in content if header_key(key) not in keys]
    near = {key: difflib.get_close_matches(header_key(key), keys, 1, cutoff=0.8) for key in odd}
    notes = tuple(f"race.json: {key} was not read; is it {keys[own[0]]}?" for key, own in near.items() if own)
    return {keys.get(header_key(key), key): value for key, value in content.items()}, notes


def load_slate(race_id, data_dir) -> Slate:
    """Return the slate of a race folder with everything known before lock.

    `drivers` follows the salary file: driver, salary, out, dk_id, name_id, avg_points, start, to_rear, and
    projected_points / projected_ownership (fraction) where projections.csv has them. A salary driver who is not in
    starting_lineup.csv, or is listed in `out` of race.json or marked O in `Status`, is out. `starters` lists everybody
    who races under the slate's names. `notes` says what was assumed and which names stayed unmatched.
    """
    return open_folder(race_id, data_dir).slate


def _only(folder: Path, name: str) -> Path:
    """Return the file called `name`; raise when another download of it, such as `DKSalaries (1).csv`, differs."""
    path = folder / name
    for other in sorted(folder.glob(f"{path.stem}*{path.suffix}")) if path.exists() else ():
        if (
            re.fullmatch(rf"{path.stem}([ _-]*(\(\d+\)|\d+|copy))+", other.stem, re.IGNORECASE)
            and other.read_bytes() != path.read_bytes()
        ):
            raise InputError(f"{folder}: {name} and {other.name} differ; keep the one of this race, as {name}")
    return path


READ = ("DKSalaries.csv", "DKEntries.csv", "starting_lineup.csv", "projections.csv", "odds.csv", "race.json")
"""Files of a race besides its contest and its standings."""


def _unread(folder: Path) -> tuple[str, ...]:
    """Return a note for each file that is not read though it is called nearly as one that is."""
    stems = {_letters(name): name for name in (*READ, *reversed(CONTEST_FILES), "contest-standings.csv")}
    read = {*READ, *CONTEST_FILES, *(path.name for path in (*standings_files(folder), *_projection_files(folder)))}
    names = sorted(path.name for path in folder.iterdir() if path.name not in read and not path.name.startswith("."))
    near = {name: difflib.get_close_matches(_letters(name), stems, 1, cutoff=0.85) for name in names}
    notes = [f"{name} is not read; is it {stems[found[0]]}?" for name, found in near.items() if found]
    both = all((folder / name).exists() for name in CONTEST_FILES)
    return (*notes, *(["contest.csv is not read, contest.json is."] if both else ()))


def _letters(name: str) -> str:
    return re.sub(r"copy( of)?|[^a-z]", "", name.lower().split(".")[0])


def _projection_files(folder: Path) -> list[Path]:
    """Return projections.csv and further vendors' files, in order."""
    found = [path for path in (folder / "projections.csv", *sorted(folder.glob("projections-*.csv"))) if path.exists()]
    if len(found) > VENDORS:
        raise InputError(f"{folder}: {len(found)} files of projections; at most {VENDORS} are used, remove the others")
    return found


VENDORS = 2
"""Vendors whose projections are read."""


def read_slate(salaries, projections) -> Slate:
    """Return the slate of a salary file and a projections file alone: without a race, everybody in it is to start."""
    notes: list[str] = []
    drivers = _without_results(read_salaries(salaries), notes).assign(out=False)
    drivers, _ = _with_facts(drivers, drivers, {}, salaries, notes)
    drivers = _with_projections(drivers, Path(projections), notes)
    return _slate(salaries, drivers, notes=notes)


def _slate(path, drivers: pd.DataFrame, *facts, notes) -> Slate:
    try:
        return Slate.from_frame(drivers, *facts, notes=notes)
    except SlateError as error:
        raise InputError(f"{path}: {str(error).removeprefix('slate: ')}") from None


RESULT_COLUMNS = {"fpts", "finish", "laps_led", "fastest_laps", "dk_points", "points", "actual", "drafted", "ownership"}
"""Headers that would carry the outcome into a slate."""
STATUSES = {row["status"]: row["out"] for row in rows_of("statuses.csv")}
"""What `Status` says of a driver: "yes" where he will not take part, blank where he may."""


def _without_results(drivers: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    known = [name for name in drivers if str(name).lower().replace("%", "").replace(" ", "_") in RESULT_COLUMNS]
    if known:
        notes.append(f"DKSalaries.csv: {', '.join(known)} left out, a slate holds no result.")
    return drivers.drop(columns=known)


def _with_lineup(drivers: pd.DataFrame, path: Path, notes: list[str]):
    drivers = drivers.assign(out=False)
    if not path.exists():
        notes.append("starting_lineup.csv is not there: every driver with a salary is taken to race, start unknown.")
        return drivers, drivers.drop(columns=["salary", "out"])
    starters = read_table(path, "starting_lineup").sort_values("start", ignore_index=True)
    found = match_names(starters["driver"], drivers["driver"])
    _refuse_ambiguous(found, path)
    starters = renamed(starters, found.pairs)
    racing = drivers["driver"].isin(starters["driver"])
    if racing.sum() < len(drivers) / 2:
        raise InputError(f"{path}: it holds {racing.sum()} of the {len(drivers)} drivers with a salary; {ANOTHER}")
    extra = [name for name in starters if name not in drivers or name == "driver"]
    drivers = drivers.assign(out=~racing).merge(starters[extra], on="driver", how="left", sort=False)
    for name in drivers.loc[drivers["out"], "driver"]:
        near = near_names(name, found.unmatched)
        hint = f" (is '{near[0]}' there the same driver? then write the names alike)" if near else ""
        notes.append(f"{name} has a salary but is not in the starting lineup: out, never rostered{hint}.")
    if found.unmatched:
        notes.append(f"In the starting lineup without a salary, so not to be rostered: {', '.join(found.unmatched)}.")
    return drivers, starters


ANOTHER = "is it of another race?"


def _of_race(frame: pd.DataFrame, known, path: Path, notes: list[str]) -> pd.DataFrame:
    """Return the rows of drivers who are `known`, named so; raise when fewer than half of either side are found."""
    found = match_names(frame["driver"], known)
    if len(found.pairs) < min(frame["driver"].nunique(), len(known)) / 2:
        raise InputError(f"{path}: it holds {len(found.pairs)} of the {len(known)} drivers with a salary; {ANOTHER}")
    if found.left:
        notes.append(f"{path.name}: {', '.join(found.left)} not in this race, not used.")
    return frame.assign(driver=frame["driver"].map(found.pairs)).dropna(subset=["driver"], ignore_index=True)


def _refuse_ambiguous(found: Matched, path) -> None:
    for name, who in found.ambiguous.items():
        raise InputError(f"{path}: '{name}' could be {' or '.join(who)}; write the name as in DKSalaries.csv")


def _with_facts(drivers: pd.DataFrame, starters, listed: dict, path, notes: list[str]):
    """Add what race.json lists and the salary file's Status: columns out and to_rear; out starters leave the race."""
    known = [*drivers["driver"], *starters["driver"]]
    out, rear = (_listed(listed.get(name, ()), name, known, path) for name in ("out", "to_rear"))
    status = drivers.get("status", pd.Series("", drivers.index)).fillna("").str.upper()
    status = status.str.split(r"[(\[:;,]|\s[-–]\s").str[0].str.strip(" .*!-").str.split().str.join(" ")
    said = status.map(STATUSES)
    out |= set(drivers.loc[said == "yes", "driver"])
    notes += [f"{name} is listed as out: never rostered." for name in drivers["driver"][~drivers["out"]] if name in out]
    odd = said.isna() & ~drivers["out"]
    for name, text in zip(drivers.loc[odd, "driver"], status[odd], strict=True):
        notes.append(f"{name} has the status {text}, which is not known: taken to race; list him in `out` if not.")
    drivers = drivers.assign(out=drivers["out"] | drivers["driver"].isin(out), to_rear=drivers["driver"].isin(rear))
    starters = starters[~starters["driver"].isin(out)].reset_index(drop=True)
    return drivers, starters.assign(to_rear=starters["driver"].isin(rear))


def _listed(listed, name: str, known: list[str], path) -> set[str]:
    """Return the drivers a list of race.json names, in the spelling of the slate; an unknown one raises."""
    found = match_names(listed, known)
    _refuse_ambiguous(found, path)
    for driver in found.unmatched:
        near = near_names(driver, known)
        hint = f"did you mean {near[0]}?" if near else "write the name as in DKSalaries.csv, or remove it"
        raise InputError(f"{path}: '{driver}' in '{name}' is not in this race; {hint}")
    return set(found.pairs.values())


def _with_projections(drivers: pd.DataFrame, path: Path, notes: list[str], suffix: str = "") -> pd.DataFrame:
    """Add a vendor's columns; a further vendor's get `suffix`."""
    frame = read_table(path, "projections")
    notes += frame.attrs["notes"]
    frame = _of_race(frame, drivers["driver"], path, notes)
    if suffix:
        frame = frame.drop(columns="projected_ownership_2", errors="ignore").set_index("driver")
        frame = frame.add_suffix(suffix).reset_index()
    columns = [name for name in frame if name != "driver"]
    drivers = drivers.drop(columns=columns, errors="ignore").merge(frame, on="driver", how="left")
    _refuse_wrong_totals(drivers, path)
    missing = drivers.loc[~drivers["out"] & drivers[columns].isna().all(axis=1), "driver"].tolist()
    if missing:
        notes.append(f"{path.name} has nothing for {', '.join(missing)}.")
    return drivers


FULL_SHARE = 0.9
"""Share of the racing drivers from which projected ownership is taken to be complete and must come near six."""


def _refuse_wrong_totals(drivers: pd.DataFrame, path) -> None:
    k = DRAFTKINGS_NASCAR.roster_size
    for name in ("projected_ownership", "projected_ownership_2"):
        shares = drivers.loc[~drivers["out"], name] if name in drivers else pd.Series(dtype=float)
        total = shares.sum()
        if total > 1.5 * k or (shares.notna().mean() >= FULL_SHARE and total < 0.5 * k):
            raise InputError(f"{path}: {name} adds up to {total:.0%}, {k} drivers make {k:.0%}; check its unit")
