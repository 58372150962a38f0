"""Contest standings as DraftKings exports them: who was rostered how often, and every lineup; no handles."""

import lzma
import re
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data._files import MAX_BYTES, Sheet, as_frame, decode, read_bytes, read_cells
from dfslab.data._names import match_names
from dfslab.data._schema import TABLES, header_key
from dfslab.data._tables import conform
from dfslab.errors import InputError, day_of
from dfslab.rules import DRAFTKINGS_NASCAR
from dfslab.slate import Slate

ROSTER_SIZE = DRAFTKINGS_NASCAR.roster_size
DISAGREEMENT = 0.01
"""%Drafted is rounded to .01 %; a driver whose share of the listed lineups is a whole point off means a cut file."""


@dataclass(frozen=True)
class Standings:
    """A finished contest.

    `entries`: entry_id, rank, points, drivers (tuple of names, empty for an unfilled entry), in the file's order.
    `ownership`: fraction of all entries by driver; `points`: DraftKings points by driver (NaN where not given).
    `file`: its name; `days`: those told by its name, and by the name of what is in it; `running`: it was exported while
    the race ran, so nothing in it is final. No handle is kept.
    """

    contest_id: str
    entries: pd.DataFrame
    ownership: pd.Series
    points: pd.Series
    file: str = ""
    days: tuple[pd.Timestamp, ...] = ()
    running: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.entries)

    def lineups(self, slate: Slate) -> np.ndarray:
        """Return the filled entries as rows of `slate`, (F, K) int, sorted within a row, in the file's order.

        Lineups with a driver who is not on the slate are left out (see `strangers`). The standings of another race are
        refused: fewer than half of the drivers are on the slate, or lineups cost more than the cap by its salaries.
        """
        filled = [drivers for drivers in self.entries["drivers"] if drivers]
        names = sorted({name for drivers in filled for name in drivers})
        pairs = match_names(names, slate.names).pairs
        if len(pairs) < len(names) / 2:
            raise InputError(self._elsewhere(slate, f"{len(names) - len(pairs)} of {len(names)} drivers are not on"))
        row = dict(zip(pairs, slate.rows(pairs.values()).tolist(), strict=True))
        known = [[row[name] for name in drivers] for drivers in filled if all(name in row for name in drivers)]
        rows = np.sort(np.array(known, np.int64).reshape(len(known), ROSTER_SIZE), axis=1)
        dear = int((slate.salary[rows].sum(axis=1) > slate.rules.salary_cap).sum())
        if dear > DISAGREEMENT * len(rows):
            raise InputError(self._elsewhere(slate, f"{dear} of {len(rows)} lineups cost more than the cap by"))
        return rows

    def strangers(self, slate: Slate) -> tuple[str, ...]:
        """Return the drivers of the standings who are not on `slate`, such as one added after the salary file."""
        return match_names(self.ownership.index, slate.names).left

    def _elsewhere(self, slate: Slate, what: str) -> str:
        race = f" of {slate.race.race_id}" if slate.race else ""
        return f"contest {self.contest_id}: {what} the slate{race}; the standings belong to another race, move them"


def read_all_standings(folder, date) -> tuple[Standings, ...]:
    """Return the standings in the folder of a race of `date`, one per contest.

    Raises
    ------
    InputError : an export was made while the race ran, two of one contest differ, or a file's name says another day
    """
    found: dict[str, list[Standings]] = {}
    for path in standings_files(folder):
        new = read_standings(path)
        for day in new.days:
            _refuse_other_day(path, day, date)
        found.setdefault(new.contest_id, []).append(new)
    return tuple(_final(exports, Path(folder)) for exports in found.values())


def _final(exports: list[Standings], folder: Path) -> Standings:
    """Return the one of a contest's exports that was made after the race."""
    early, final = ([one for one in exports if one.running is running] for running in (True, False))
    if not final:
        where = folder / early[0].file
        raise InputError(f"{where}: exported while the race ran (TimeRemaining is not 0); download it again")
    first, *others = final
    for other in others:
        if not (first.entries.equals(other.entries) and first.ownership.equals(other.ownership)):
            both = f"{first.file} and {other.file} are exports of contest {first.contest_id} that differ"
            raise InputError(f"{both}; keep the one made after the race")
    notes = (f"{one.file} was exported while the race ran: {first.file} is used." for one in early)
    return replace(first, notes=(*first.notes, *notes))


def _refuse_other_day(path: Path, day: pd.Timestamp, date) -> None:
    if not pd.isna(day) and not 0 <= (day - date).days <= EXPORTED_WITHIN:
        raise InputError(f"{path}: its name says {day:%Y-%m-%d}, the race is on {date:%Y-%m-%d}; move it to its race")


def _day_in(name: str) -> pd.Timestamp:
    """Return the day that a file's name tells, or NaT."""
    found = _DATE.search(name)
    return day_of(found[0].replace("_", " ")) if found else pd.NaT


_DATE = re.compile(
    r"(?<!\d)(?:20\d\d[-_.]?[01]\d[-_.]?[0-3]\d|\d\d?[-_.]\d\d?[-_.]20\d\d|\d\d?[-_. ]?[a-z]{3,9}[-_. ]?20\d\d)(?!\d)",
    re.IGNORECASE,
)
EXPORTED_WITHIN = 7
"""Days after a race on which its standings may have been saved under that day's name."""


def standings_files(folder) -> list[Path]:
    """Return the exports in a race folder; an expired one (0 bytes) only where it is the only one of its contest."""
    found = [path for path in sorted(Path(folder).glob("*")) if _NAME.fullmatch(path.name) and not path.is_dir()]
    empty = {path for path in found if path.exists() and not path.stat().st_size}
    whole = {_contest_id(path) for path in found if path not in empty}
    return [path for path in found if path not in empty or _contest_id(path) not in whole]


_NAME = re.compile(r"contest[-_ ]?standings.*\.(csv|zip)", re.IGNORECASE)


def _number_in(name: str) -> str | None:
    """Return the digits in a file's name that are no date."""
    found = re.search(r"\d{4,}", _DATE.sub(" ", name))
    return found[0] if found else None


def _contest_id(path: Path, inside: str = "") -> str:
    """Return the contest's number from the name of the file, or of the one inside a zip, else race and file name."""
    named, within = _number_in(path.stem), _number_in(inside)
    if named and within and named != within:
        raise InputError(f"{path}: it holds the standings of contest {within}; name it after what it holds")
    return named or within or f"{path.parent.name}-{path.stem}"


def read_standings(path) -> Standings:
    """Return the standings of a `.csv` or `.zip` export.

    Raises
    ------
    InputError : an expired (0 bytes) or cut-off export, another sport's, a lineup that is not six drivers, ownership
        that does not add up
    """
    path = Path(path)
    text, inside = _text(path)
    left, right = _blocks(read_cells(path, text), path)
    entries, drivers = conform(left, TABLES["standings"], path), conform(right, TABLES["standings_drivers"], path)
    by_driver = pd.DataFrame({"ownership": drivers["drafted"], "points": drivers.get("fpts", np.nan)}).astype(float)
    by_driver.index = drivers["driver"].to_numpy(object)
    lineups = _lineups(entries["lineup"], set(by_driver.index), path)
    return Standings(
        contest_id=_contest_id(path, inside),
        entries=entries[["entry_id", "rank", "points"]].assign(drivers=lineups).reset_index(drop=True),
        ownership=by_driver["ownership"],
        points=by_driver["points"],
        file=path.name,
        days=(_day_in(path.stem), _day_in(inside)),
        running=_is_running(entries),
        notes=_checked_total(by_driver["ownership"], lineups, path),
    )


def _is_running(entries: pd.DataFrame) -> bool:
    """Return whether a filled entry still has time left, however it is written (`143`, `143 laps`, `0:45`, `LIVE`)."""
    left = entries[entries["lineup"].notna()].get("time_remaining", pd.Series(dtype=object)).drop_duplicates()
    return bool(left.fillna("").str.contains(r"(?i)(?<![-\d])0*[1-9]|\.0*[1-9]|live|progress|running").any())


_EXPORT = re.compile(r"(?!.*__MACOSX/)(?:.*/)?(?!\._)[^/]+\.csv", re.IGNORECASE)
"""Files in a zip that may be the export: not what a Mac packs beside it."""


def _text(path: Path) -> tuple[str, str]:
    """Return the text of an export, and the name of the file in a zip."""
    raw = read_bytes(path)
    if raw[:2] != b"PK":
        return decode(raw, path), ""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [item for item in archive.infolist() if _EXPORT.fullmatch(item.filename)]
            if len(inside) != 1:
                raise InputError(f"{path}: {len(inside)} CSV files inside; a standings export holds one")
            if not 0 < inside[0].file_size <= MAX_BYTES:
                raise InputError(f"{path}: the CSV inside has {inside[0].file_size:,} bytes; download the export again")
            return decode(archive.read(inside[0]), path), Path(inside[0].filename).stem
    except InputError:
        raise
    except (zipfile.BadZipFile, RuntimeError, OSError, ValueError, EOFError, zlib.error, lzma.LZMAError):
        raise InputError(f"{path}: the zip is damaged or cut off; download the export again") from None


def _blocks(rows: Sheet, where) -> list[pd.DataFrame]:
    """Split the sheet into entries (left) and drivers (right), each with the row numbers of the file."""
    header = next(filter(any, ([header_key(cell) for cell in row] for row in rows)), [])
    if "player" not in header or "lineup" not in header or header.index("player") < header.index("lineup"):
        raise InputError(f"{where}: columns 'Lineup' and 'Player' are missing; download the contest's standings")
    cut = header.index("player")
    parts = (slice(0, cut), slice(cut, len(header)))
    return [as_frame(where, Sheet((row[part] for row in rows), rows.semicolons)) for part in parts]


def _lineups(cells: pd.Series, known: set, where) -> list[tuple[str, ...]]:
    texts = cells.dropna().drop_duplicates()
    parsed = {text: _drivers_of(text, known, f"{where}, row {number}") for number, text in texts.items()}
    return [parsed.get(text, ()) for text in cells]


def _drivers_of(text: str, known: set, where: str) -> tuple[str, ...]:
    parts = [" ".join(part.split()) for part in re.split(r"(?:^|(?<=\s))D(?:\s+|$)", text)[1:]]
    if "LOCKED" in parts:
        raise InputError(f"{where}: a driver is still LOCKED; download the standings after the contest has ended")
    n = 0
    while n + 1 < len(parts) and len(parts) > ROSTER_SIZE:
        joined = f"{parts[n]} D {parts[n + 1]}"
        if joined in known:
            parts[n : n + 2] = [joined]
        n += 1
    if len(parts) != ROSTER_SIZE or len(set(parts)) != ROSTER_SIZE or not all(parts):
        problem = f"the lineup '{text[:60]}' is not {ROSTER_SIZE} drivers"
        raise InputError(f"{where}: {problem}; the export is cut off or of another sport")
    return tuple(parts)


def _checked_total(ownership: pd.Series, lineups: list, where) -> tuple[str, ...]:
    total, name = float(ownership.sum()), Path(where).name
    if total > 1.02 * ROSTER_SIZE:
        raise InputError(f"{where}: %Drafted adds up to {total:.1%}, {ROSTER_SIZE:.0%} is possible; check the file")
    if not any(lineups):
        return (f"{name}: no entry has a lineup.",)
    counted = pd.Series([driver for drivers in lineups for driver in drivers]).value_counts() / len(lineups)
    apart = counted.sub(ownership, fill_value=0.0).abs()
    problem = f"%Drafted of {apart.idxmax()} and the lineups listed differ by {apart.max():.1%}"
    return (f"{name}: {problem}; the export may be cut off.",) if apart.max() > DISAGREEMENT else ()
