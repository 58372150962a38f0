"""Lineups on their way to DraftKings: the bulk upload file."""

from pathlib import Path

import numpy as np

from dfslab.files import InputError, csv_text, write_atomically
from dfslab.slate import Slate

__all__ = ["upload_cells", "write_lineups"]


def upload_cells(slate: Slate, lineups, where="lineups") -> list[list[str]]:
    """Return `lineups` as rows of `Name (ID)` cells; raise when one is illegal or a driver has no id.

    Parameters
    ----------
    slate : with the column name_id
    lineups : (n, K) int, rows of the slate
    """
    rows = np.atleast_2d(np.asarray(lineups))
    k = slate.rules.roster_size
    if rows.size == 0:
        return []
    if rows.ndim != 2 or rows.shape[1] != k or not np.issubdtype(rows.dtype, np.integer):
        raise InputError(f"{where}: an array of {rows.shape} given; a lineup is {k} row numbers of the slate")
    if rows.min() < 0 or rows.max() >= len(slate):
        raise InputError(f"{where}: row number {rows.max()} given, the slate has {len(slate)} drivers")
    _refuse_illegal(slate, rows, where)
    if "name_id" not in slate.drivers:
        raise InputError("DKSalaries.csv: no column 'Name + ID'; DraftKings refuses a name without its id")
    cells = slate.drivers["name_id"].to_numpy(object)
    lacking = [slate.names[d] for d in np.unique(rows) if not isinstance(cells[d], str) or not cells[d].endswith(")")]
    if lacking:
        raise InputError(f"DKSalaries.csv: {lacking[0]} has no id; DraftKings refuses a name without its id")
    return [[cells[d] for d in row] for row in rows]


def _refuse_illegal(slate: Slate, rows: np.ndarray, where) -> None:
    for n, row in enumerate(rows, 1):
        cost = slate.salary[row].sum()
        if len(set(row.tolist())) < len(row):
            raise InputError(f"{where}, lineup {n}: a driver comes twice; every place needs another driver")
        if slate.out[row].any():
            raise InputError(f"{where}, lineup {n}: {slate.names[row][slate.out[row]][0]} does not race; replace him")
        if cost > slate.rules.salary_cap:
            raise InputError(f"{where}, lineup {n}: ${cost:,} is above the cap of ${slate.rules.salary_cap:,}")


def write_lineups(path, slate: Slate, lineups) -> Path:
    """Write `lineups` (n, K) in the order given as DraftKings' bulk upload: `D,D,D,D,D,D`, cells `Name (ID)`."""
    rows = upload_cells(slate, lineups, path)
    with write_atomically(path) as aside:
        aside.write_text(csv_text([["D"] * slate.rules.roster_size, *rows]), encoding="utf-8", newline="")
    return Path(path)
