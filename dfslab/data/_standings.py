"""Contest standings as DraftKings exports them: who was rostered how often, and every lineup; no handles."""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data._files import MAX_BYTES, as_frame, decode, read_bytes, read_cells
from dfslab.data._names import match_names
from dfslab.data._schema import STANDINGS, STANDINGS_DRIVERS, header_key
from dfslab.data._tables import conform, refuse_other_sport, share_of_entries
from dfslab.errors import InputError
from dfslab.slate import Slate

__all__ = ["Standings", "read_standings", "standings_files"]

ROSTER_SIZE = 6
DISAGREEMENT = 0.01
"""%Drafted is rounded to .01 %; a driver whose share of the listed lineups is a whole point off means a cut file."""


@dataclass(frozen=True)
class Standings:
    """A finished contest.

    `entries`: entry_id, rank, points, drivers (tuple of names, empty for an unfilled entry), in the file's order.
    `ownership`: fraction of all entries by driver; `points`: DraftKings points by driver (NaN where not given).
    `most_entries`: the largest number of entries one user had, as far as the names tell. No handle is kept.
    """

    contest_id: str
    entries: pd.DataFrame
    ownership: pd.Series
    points: pd.Series
    most_entries: int | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.entries)

    def lineups(self, slate: Slate) -> np.ndarray:
        """Return the filled entries as rows of `slate`, (F, K) int, sorted within a row, in the file's order."""
        filled = [drivers for drivers in self.entries["drivers"] if drivers]
        names = sorted({name for drivers in filled for name in drivers})
        found = match_names(names, slate.names)
        if found.left:
            raise InputError(f"contest {self.contest_id}: {', '.join(found.left)} is not on the slate; another race's?")
        row = dict(zip(names, slate.rows(found.pairs[name] for name in names), strict=True))
        return np.sort(
            np.array([[row[name] for name in drivers] for drivers in filled]).reshape(len(filled), -1), axis=1
        )


def standings_files(folder) -> list[Path]:
    """Return the standings in a race folder, one file per contest; a zip stands for the csv it holds."""
    chosen: dict[str, Path] = {}
    for path in sorted(Path(folder).glob("contest-standings*")):
        if path.suffix.lower() not in (".csv", ".zip"):
            continue
        key = _contest_id(path)
        if key not in chosen or not chosen[key].stat().st_size:
            chosen[key] = path
    return list(chosen.values())


def _contest_id(path) -> str:
    found = re.search(r"(\d{4,})", Path(path).stem)
    return found.group(1) if found else Path(path).stem


def read_standings(path) -> Standings:
    """Return the standings of a `.csv` or `.zip` export.

    Raises
    ------
    InputError : an expired (0 bytes) or cut-off export, another sport's, a lineup that is not six drivers, ownership
        that does not add up
    """
    rows = read_cells(path, _text(path))
    left, right = _blocks(rows, path)
    entries = conform(left, STANDINGS, path)
    refuse_other_sport(right, "roster_position", path)
    drivers = conform(right, STANDINGS_DRIVERS, path)
    share, _ = share_of_entries(drivers["drafted"], f"{path}, %Drafted")
    ownership = pd.Series(share.to_numpy(float), index=drivers["driver"].to_numpy(object), name="ownership")
    points = drivers.get("fpts", pd.Series(np.nan, drivers.index)).astype(float).set_axis(ownership.index)
    lineups = _lineups(entries["lineup"], frozenset(drivers["driver"]), path)
    return Standings(
        contest_id=_contest_id(path),
        entries=entries[["entry_id", "rank", "points"]].assign(drivers=lineups).reset_index(drop=True),
        ownership=ownership,
        points=points.rename("points"),
        most_entries=_most_entries(entries),
        notes=_checked_total(ownership, lineups, path),
    )


def _text(path) -> str:
    raw = read_bytes(path)
    if raw[:2] != b"PK":
        return decode(raw, path)
    try:
        with zipfile.ZipFile(Path(path)) as archive:
            inside = [item for item in archive.infolist() if item.filename.lower().endswith(".csv")]
            if len(inside) != 1:
                raise InputError(f"{path}: {len(inside)} CSV files inside; a standings export holds one")
            if inside[0].file_size > MAX_BYTES or not inside[0].file_size:
                raise InputError(f"{path}: the CSV inside has {inside[0].file_size} bytes; download the export again")
            return decode(archive.read(inside[0]), path)
    except InputError:
        raise
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, ValueError, EOFError, zipfile.zlib.error):
        raise InputError(f"{path}: the zip is damaged or cut off; download the export again") from None


def _blocks(rows: list[list[str]], where) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the sheet into entries (left) and drivers (right), each with the row numbers of the file."""
    header = [header_key(cell) for cell in rows[0]]
    if "player" not in header or "lineup" not in header or header.index("player") < header.index("lineup"):
        raise InputError(
            f"{where}: columns 'Lineup' and 'Player' are missing; this is not a contest-standings export, "
            "download the one of the contest page"
        )
    cut = header.index("player")
    left, right = (as_frame(where, [row[a:b] for row in rows]) for a, b in ((0, cut), (cut, len(header))))
    return left, right


def _lineups(cells: pd.Series, known: frozenset, where) -> list[tuple[str, ...]]:
    parsed: dict[str | None, tuple[str, ...]] = {None: ()}
    for number, text in cells.items():
        if text not in parsed:
            parsed[text] = _drivers_of(text, known, f"{where}, row {number}")
    return [parsed[text] for text in cells]


def _drivers_of(text: str, known: frozenset, where: str) -> tuple[str, ...]:
    parts = [part.strip() for part in re.split(r"(?:^|(?<=\s))D(?:\s+|$)", text)[1:]]
    if "LOCKED" in parts:
        raise InputError(f"{where}: a driver is still LOCKED; download the standings after the contest has ended")
    n = 0
    while n + 1 < len(parts) and len(parts) > ROSTER_SIZE:
        joined = f"{parts[n]} D {parts[n + 1]}"
        if joined in known:
            parts[n : n + 2] = [joined]
        n += 1
    if len(parts) != ROSTER_SIZE or len(set(parts)) != ROSTER_SIZE or not all(parts):
        raise InputError(
            f"{where}: the lineup '{text[:60]}' is not {ROSTER_SIZE} drivers; the export is cut off or of another sport"
        )
    return tuple(parts)


def _most_entries(entries: pd.DataFrame) -> int | None:
    if "entry_name" not in entries:
        return None
    counts = entries["entry_name"].fillna("").str.extract(r"\(\d+/(\d{1,6})\)\s*$")[0].dropna()
    return max(int(counts.astype(int).max()), 1) if len(counts) else 1


def _checked_total(ownership: pd.Series, lineups: list, where) -> tuple[str, ...]:
    total, filled = float(ownership.sum()), sum(map(bool, lineups))
    if total > 1.02 * ROSTER_SIZE:
        raise InputError(
            f"{where}: %Drafted adds up to {total:.1%}, at most {ROSTER_SIZE:.0%} is possible; check the file"
        )
    if not filled:
        return (f"{Path(where).name}: no entry has a lineup.",)
    counted = pd.Series([name for drivers in lineups for name in drivers]).value_counts() / len(lineups)
    apart = counted.sub(ownership, fill_value=0.0).abs()
    if apart.max() > DISAGREEMENT:
        return (
            f"{Path(where).name}: %Drafted of {apart.idxmax()} and the lineups listed differ by {apart.max():.1%}; "
            "the export may be cut off.",
        )
    return ()
