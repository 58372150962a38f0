"""Read the real fields kept beside the repository: complete fights fields, and what is known of some Cup contests.

Salaries that a fights file does not give are inferred: two opponents' salaries sum to $16,200, no lineup spends more
than the cap, and people spend nearly all of it. Maximising what all lineups spend under these rules recovers every
known salary of the files that give them.
"""

import unicodedata
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.optimize import brentq, linprog

from dfslab.rules import DRAFTKINGS_MMA
from dfslab.slate import Slate
from scripts.field_shapes import pair_shares

BOUT_SALARY = 16_200
"""What two opponents cost together in every salary file at hand."""
SELDOM_BOTH = 0.012
"""Largest share of entries that hold two opponents."""
AGAINST_CHANCE = 0.35
"""Opponents are held together at most this often, compared with independent picks."""
MEAN_SPENT = 49_700
"""Mean lineup of the fights fields; the most copied Cup lineups spend $49,200 to $50,000."""
LEAST_SALARY = 5_000
"""Fighters cost more; a smaller solution means that no lineup of known cost holds the fighter."""
FEWEST_SALARIES = 12
"""Different salaries of a slate; fewer mean that too few lineups were at hand to infer them."""
UNFILLED_PAIRS = "PAIR"


@dataclass(frozen=True)
class RealField:
    """A complete field: its slate (with `group` for bouts), lineups (F, K) and ownership (D,)."""

    name: str
    slate: Slate
    field: np.ndarray
    ownership: np.ndarray


@dataclass(frozen=True)
class CupContest:
    """What is known of a Cup contest: ownership (D,), partly filled in, and counts of its most copied lineups."""

    name: str
    entries: int
    slate: Slate
    ownership: np.ndarray
    most_copied: np.ndarray


def read_mma_fields(folder) -> list[RealField]:
    """Return the fields of `folder` whose salaries are known or follow from the lineups."""
    files = sorted(Path(folder).glob("*.csv.gz"))
    fields = []
    for _, same_day in groupby(files, key=lambda path: path.name[:10]):
        tables = {path.name[:-7]: pd.read_csv(path).dropna(subset="lineup") for path in same_day}
        fields += _fields_of_a_day(tables)
    return fields


def _fields_of_a_day(tables: dict[str, pd.DataFrame]) -> list[RealField]:
    lineups = {name: [entry.split("|") for entry in table["lineup"]] for name, table in tables.items()}
    names = sorted({fighter for entries in lineups.values() for entry in entries for fighter in entry})
    row = {name: i for i, name in enumerate(names)}
    coded = {name: np.sort([[row[f] for f in entry] for entry in entries], axis=1) for name, entries in lineups.items()}
    everybody = np.vstack(list(coded.values()))
    bouts = infer_bouts(everybody, len(names))
    salary = infer_salaries(everybody, bouts)
    for name, table in tables.items():
        salary = _overwritten(salary, coded[name], table["salary"].to_numpy(float))
    if np.abs(salary / 100 - np.rint(salary / 100)).max() > 1e-6 or len(np.unique(salary)) < FEWEST_SALARIES:
        return []
    frame = pd.DataFrame({"driver": names, "salary": np.rint(salary).astype(int), "group": bouts})
    slate = Slate.from_frame(frame, rules=DRAFTKINGS_MMA)
    return [RealField(name, slate, field, np.diag(pair_shares(field, len(names)))) for name, field in coded.items()]


def infer_bouts(field, n_fighters: int) -> np.ndarray:
    """Return bout numbers, (D,): pairs hardly ever held together, the clearest first; others stay alone."""
    shares = pair_shares(field, n_fighters)
    owned = np.diag(shares)
    chance = np.outer(owned, owned) * 5 / 6
    half = 0.5 / len(field)
    surprise = np.triu((chance - shares) * np.sqrt(len(field) / (chance + half)), 1)
    bouts, found = np.full(n_fighters, -1), 0
    for a, b in zip(*np.unravel_index(np.argsort(-surprise, axis=None), surprise.shape), strict=True):
        apart = shares[a, b] <= SELDOM_BOTH and shares[a, b] + half < AGAINST_CHANCE * (chance[a, b] + half)
        if a < b and apart and bouts[a] < 0 and bouts[b] < 0:
            bouts[a] = bouts[b] = found
            found += 1
    alone = bouts < 0
    bouts[alone] = found + np.arange(alone.sum())
    return bouts


def infer_salaries(field, bouts) -> np.ndarray:
    """Return salaries in dollars, (D,), by the linear programme described above."""
    lineups, copies = np.unique(field, axis=0, return_counts=True)
    n, size = len(bouts), lineups.shape[1]
    holds = sparse.csr_matrix(
        (np.ones(lineups.size), lineups.ravel(), np.arange(0, lineups.size + 1, size)), (len(lineups), n)
    )
    pairs = [bouts == number for number in np.unique(bouts) if (bouts == number).sum() == 2]
    solved = linprog(
        -(copies @ holds),
        A_ub=holds,
        b_ub=np.full(len(lineups), DRAFTKINGS_MMA.salary_cap / 100),
        A_eq=np.array(pairs, float),
        b_eq=np.full(len(pairs), BOUT_SALARY / 100),
        bounds=[(60, 102)] * n,
        method="highs",
    )
    return solved.x * 100


def _overwritten(salary, field, spent) -> np.ndarray:
    """Return `salary` with what lineups of known cost say exactly, by least squares."""
    known = np.isfinite(spent)
    if known.mean() < 0.5:
        return salary
    holds = np.zeros((known.sum(), len(salary)))
    holds[np.arange(known.sum())[:, None], field[known]] = 1
    exact = np.rint(np.linalg.lstsq(holds, spent[known], rcond=None)[0] / 100) * 100
    return np.where(exact >= LEAST_SALARY, exact, salary)


def read_cup_contests(cup) -> list[CupContest]:
    """Return the contests of `cup`/contests_2026 whose race has salaries; unknown ownership is filled in.

    The unpopular are missing: what is left to 600 % goes to them in proportion to a vendor's projected ownership,
    tilted by salary so that the mean lineup spends `MEAN_SPENT`.
    """
    folder = Path(cup) / "contests_2026"
    contests, known, copied = (
        pd.read_csv(folder / f"{n}.csv") for n in ("contests", "ownership_partial", "duplicates")
    )
    found = []
    for race in sorted((Path(cup) / "races").glob("2026-*")):
        day = contests[contests["date"] == race.name[:10]]
        slate, projected = _read_race(race)
        for contest in day.itertuples():
            own = known[known["contest_id"] == contest.contest_id].set_index("player")["own_pct"]
            lineups = copied[
                (copied["contest_id"] == contest.contest_id) & ~copied["lineup"].str.startswith(UNFILLED_PAIRS)
            ]
            counts = np.sort(lineups["count"].to_numpy())[::-1]
            found.append(CupContest(contest.slug, int(contest.entries), slate, _filled(slate, own, projected), counts))
    return found


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return letters.replace(".", "").lower().strip()


def _read_race(folder: Path) -> tuple[Slate, np.ndarray]:
    salaries, vendor = pd.read_csv(folder / "DKSalaries.csv"), pd.read_csv(folder / "projections.csv")
    slate = Slate.from_frame(pd.DataFrame({"driver": salaries["Name"].map(_plain), "salary": salaries["Salary"]}))
    projected = pd.Series(vendor["projected_ownership"].to_numpy(), vendor["driver"].map(_plain))
    return slate, projected.reindex(slate.names).fillna(1.0).to_numpy()


def _filled(slate: Slate, own: pd.Series, projected) -> np.ndarray:
    known = pd.Series(own.to_numpy(), own.index.map(_plain)).reindex(slate.names).to_numpy()
    missing = np.isnan(known)
    rest = 600 - np.nansum(known)
    to_spend = 100 * MEAN_SPENT - np.nansum(known * slate.salary)

    def spread(tilt):
        weights = projected[missing] * np.exp(tilt * (slate.salary[missing] / 1000 - 7))
        return rest * weights / weights.sum()

    tilt = brentq(lambda x: np.tanh((spread(x) @ slate.salary[missing] - to_spend) / 1e5), -3, 3)
    filled = known.copy()
    filled[missing] = spread(tilt)
    return 6 * filled / filled.sum()
