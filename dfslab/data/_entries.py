"""Lineups on their way to DraftKings: the bulk upload file, and reserved entries (DKEntries.csv) to be filled."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data._files import Sheet, as_frame, csv_text, decode, read_bytes, read_cells, write_text
from dfslab.data._names import match_names
from dfslab.data._schema import TABLES, header_key
from dfslab.data._tables import conform, pool_in, table_of
from dfslab.errors import InputError
from dfslab.slate import Slate

LOCKED = "(LOCKED)"


def upload_cells(slate: Slate, lineups, where="lineups") -> list[list[str]]:
    """Return `lineups` as rows of `Name (ID)` cells; raise when one is illegal or a driver has no id.

    Parameters
    ----------
    slate : with the column name_id
    lineups : (n, K) int, rows of the slate
    """
    rows, k = np.atleast_2d(np.asarray(lineups)), slate.rules.roster_size
    if rows.size == 0:
        return []
    numbers = rows.ndim == 2 and rows.shape[1] == k and np.issubdtype(rows.dtype, np.integer)
    if not numbers or rows.min() < 0 or rows.max() >= len(slate):
        wanted = f"a lineup is {k} row numbers of the slate, which has rows 0 to {len(slate) - 1}"
        raise InputError(f"{where}: an array of {rows.shape} given; {wanted}")
    for n, row in enumerate(rows, 1):
        if problem := _illegal(slate, row):
            raise InputError(f"{where}, lineup {n}: {problem}")
    cells = cells_with_ids(slate, np.unique(rows))
    return [[cells[d] for d in row] for row in rows]


def cells_with_ids(slate: Slate, drivers) -> np.ndarray:
    """Return the upload cell of every driver, (D,); raise `InputError` when one of `drivers` (rows) has no id."""
    cells = slate.drivers.get("name_id", pd.Series("", slate.drivers.index)).to_numpy(object)
    lacking = [slate.names[d] for d in drivers if not re.search(r"\d\)$", str(cells[d]))]
    if lacking:
        what = f"{lacking[0]} has no id" if "name_id" in slate.drivers else "no column 'Name + ID'"
        raise InputError(f"DKSalaries.csv: {what}; DraftKings refuses a name without its id; download it again")
    return cells


def _illegal(slate: Slate, row: np.ndarray) -> str:
    cost, out = slate.salary[row].sum(), slate.names[row][slate.out[row]]
    if len(set(row.tolist())) < len(row):
        return "a driver comes twice; every place needs another driver"
    if len(out):
        return f"{out[0]} does not race; replace him"
    return f"${cost:,} is above the cap of ${slate.rules.salary_cap:,}" if cost > slate.rules.salary_cap else ""


def write_lineups(path, slate: Slate, lineups) -> Path:
    """Write `lineups` (n, K) in the order given as DraftKings' bulk upload: `D,D,D,D,D,D`, cells `Name (ID)`."""
    write_text(path, csv_text([["D"] * slate.rules.roster_size, *upload_cells(slate, lineups, path)]))
    return Path(path)


@dataclass(frozen=True)
class Entries:
    """Reserved entries as downloaded: every cell of the sheet, and where the entries stand in it.

    `cells`: the sheet, ragged rows as they were. `slots`: the columns of the roster places. `frame`: one row per entry
    with row (index into `cells`), entry_id, contest_id, contest_name, entry_fee, locked (bool). `pool`: driver id →
    name from the player pool of the sheet. `notes`: what filling left.
    """

    path: str
    cells: tuple[tuple[str, ...], ...]
    slots: tuple[int, ...]
    frame: pd.DataFrame
    pool: dict[str, str]
    newline: str = "\n"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    def by_contest(self) -> dict[str, int]:
        """Return how many entries each contest has, by contest id, in the order of the sheet."""
        return self.frame.groupby("contest_id", sort=False).size().to_dict()

    def fill(self, slate: Slate, lineups: Mapping) -> "Entries":
        """Return the entries with lineups put into their places; every other cell stays as it was.

        Parameters
        ----------
        slate : with ids
        lineups : contest id → (n, K) int rows of the slate; the entries of a contest take its lineups in order. Entries
            with a locked driver, and those for which no lineup is left, stay as they were, and `notes` says so.

        Raises
        ------
        InputError : the sheet is of another slate, a lineup is illegal, or comes twice within one contest
        """
        _refuse_other_slate(self, slate)
        cells, notes = [list(row) for row in self.cells], []
        given = {str(contest): np.atleast_2d(np.asarray(rows)) for contest, rows in lineups.items()}
        for contest, group in self.frame.groupby("contest_id", sort=False):
            rows, where = given.get(contest, np.empty((0, 0), int)), f"{self.path}, contest {contest}"
            if len(np.unique(np.sort(rows, axis=1), axis=0)) < len(rows):
                raise InputError(f"{where}: the same lineup comes twice; within one contest every entry needs another")
            ready, free = upload_cells(slate, rows, where), group["row"][~group["locked"]]
            for row, names in zip(free, ready, strict=False):
                cells[row] += [""] * (max(self.slots) + 1 - len(cells[row]))
                for slot, name in zip(self.slots, names, strict=True):
                    cells[row][slot] = name
            if len(free) < len(group):
                notes.append(f"{where}: {len(group) - len(free)} entries hold a locked driver and stay as they were.")
            if len(ready) < len(free):
                notes.append(f"{where}: {len(free) - len(ready)} entries stay as they were, there are fewer lineups.")
        return replace(self, cells=tuple(map(tuple, cells)), notes=tuple(notes))

    def write(self, path) -> Path:
        """Write the sheet, cell by cell; only text that a spreadsheet would run as a formula gets a leading '."""
        write_text(path, csv_text(self.cells, self.newline))
        return Path(path)


def read_entries(path) -> Entries:
    """Return a DKEntries.csv: six columns of one name, ragged rows, blank ids, (LOCKED) drivers, a pool beside it.

    Raises
    ------
    InputError : another file, another sport's, an entry that comes twice, or no entry at all
    """
    text = decode(read_bytes(path), path)
    sheet = read_cells(path, text)
    top = next(n for n, row in enumerate(sheet) if "".join(row).strip())
    cells = sheet[top:]
    header = [header_key(cell) for cell in cells[0]]
    slots = tuple(n for n, cell in enumerate(header) if cell == "d")
    if "entryid" not in header or "contestid" not in header or len(slots) != 6:
        problem = "the header must be Entry ID, Contest Name, Contest ID, Entry Fee and six times D"
        raise InputError(f"{path}: {problem}; download DKEntries.csv of a NASCAR slate")
    numbers = {name: header.index(name.replace("_", "")) for name in ("entry_id", "contest_id")}
    at = numbers["entry_id"]
    left = Sheet((row[: slots[0]] if "".join(row[at : at + 1]).strip() else [] for row in sheet), sheet.semicolons)
    if sum(map(bool, left)) < 2:
        raise InputError(f"{path}: no row has an entry id; reserve entries on DraftKings, then download it again")
    frame = conform(as_frame(path, left), TABLES["entries"], path)
    frame = frame.assign(contest_id=frame["contest_id"].fillna(""), row=frame.index - 1 - top).reset_index(drop=True)
    for name, column in numbers.items():
        for row, number in zip(frame["row"], frame[name], strict=True):
            cells[row] += [""] * (slots[0] - len(cells[row]))
            cells[row][column] = number
    frame["locked"] = [LOCKED in "".join(cells[row][slots[0] : slots[-1] + 1]) for row in frame["row"]]
    newline = "\r\n" if "\r\n" in text else "\n"
    return Entries(str(path), tuple(map(tuple, cells)), slots, frame, _player_pool(path, sheet), newline)


def _player_pool(path, cells: Sheet) -> dict[str, str]:
    """Return id → name from the pool, which is checked as a salary file is."""
    pool = pool_in(cells)
    frame = pd.DataFrame() if pool is None else table_of(path, pool, "salaries")
    return dict(frame[["dk_id", "driver"]].dropna().to_numpy()) if "dk_id" in frame else {}


def _refuse_other_slate(entries: Entries, slate: Slate) -> None:
    if not entries.pool or "dk_id" not in slate.drivers:
        return
    ours = dict(zip(slate.drivers["dk_id"], slate.names, strict=True))
    for number in ours.keys() & entries.pool.keys():
        if not match_names([entries.pool[number]], [ours[number]]).pairs:
            both = f"{entries.pool[number]} there, {ours[number]} in DKSalaries.csv"
            raise InputError(f"{entries.path}: ID {number} is {both}; download both files again")
    if not ours.keys() & entries.pool.keys():
        problem = "none of its driver ids is in DKSalaries.csv: the two are of different slates"
        raise InputError(f"{entries.path}: {problem}; download both again")
