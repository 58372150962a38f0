"""Read the real fields kept beside the repository: complete fights fields, and what is known of some Cup contests.

Salaries that a fights file does not give are inferred: two opponents' salaries sum to $16,200, no lineup spends more
than the cap, and people spend nearly all of it. Maximising what all lineups spend under these rules recovers every
known salary of the files that give them.
"""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.optimize import linprog

from dfslab import data
from dfslab.lineups import distinct
from dfslab.rules import DRAFTKINGS_MMA
from dfslab.slate import Contest, Slate
from scripts.real.shapes import pair_shares

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
    """What is known of a Cup contest: ownership (D,), partly filled in, and counts of its most copied lineups.

    `distinct` is the share of different lineups, known where every entry is.
    """

    name: str
    contest: Contest
    slate: Slate
    ownership: np.ndarray
    most_copied: np.ndarray
    distinct: float = np.nan

    @property
    def entries(self) -> int:
        return self.contest.entries


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
    """Return the contests of `cup`/contests_2026 whose race has a folder; unknown ownership is filled in.

    The unpopular are missing: what is left to 600 % goes to them in proportion to a vendor's projected ownership (alike
    without one), tilted by salary so that the mean lineup spends `MEAN_SPENT`.
    """
    copied = pd.read_csv(Path(cup) / "contests_2026" / "duplicates.csv")
    copied = copied[~copied["lineup"].astype(str).str.startswith(UNFILLED_PAIRS)]
    partial = data.history(cup).partial.dropna(subset="race_id")
    found = []
    for contest_id, rows in partial.groupby("contest_id", sort=False):
        folder = data.open_folder(rows["race_id"].iloc[0], cup)
        slate = folder.slate
        own = rows.set_index("driver")["ownership"].reindex(slate.names).to_numpy(float)
        counts, share = copied.loc[copied["contest_id"].astype(str) == str(contest_id), "count"].to_numpy(), np.nan
        for standings in folder.standings:
            if standings.contest_id == str(contest_id):
                every = standings.lineups(slate)
                counts = distinct(every)[1]
                share = len(counts) / len(every)
        contest = next((c for c in folder.contests if c.contest_id == str(contest_id)), None)
        contest = contest or Contest(1.0, int(rows["entries"].iloc[0]), [{"min_rank": 1, "max_rank": 1, "prize": 1.0}])
        found.append(CupContest(str(contest_id), contest, slate, _filled(slate, own), np.sort(counts)[::-1], share))
    return found


def _filled(slate: Slate, known) -> np.ndarray:
    """Return ownership (D,) that sums to the roster size; drivers who are out have none."""
    known = np.where(slate.out, 0.0, known)
    missing = np.isnan(known)
    if missing.any():
        projected = np.nan_to_num(slate.column("projected_ownership"), nan=0.01)[missing]
        rest, dear = 6 - np.nansum(known), slate.salary[missing] / 1000 - 7

        def spread(tilt):
            weights = projected * np.exp(tilt * dear)
            return rest * weights / weights.sum()

        to_spend = MEAN_SPENT - np.nansum(known * slate.salary)
        tilts = np.linspace(-3, 3, 601)
        off = [abs(spread(tilt) @ slate.salary[missing] - to_spend) for tilt in tilts]
        known[missing] = spread(tilts[np.argmin(off)])
    return 6 * known / known.sum()
