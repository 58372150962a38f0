"""Choose entries one after another by what each adds to the expected payout, our own entries competing.

Lazy greedy choice: gains known from earlier steps order the candidates, and only the front of that order is computed
again, until the best fresh gain is above every stale one. Tiered prizes are not submodular, so a stale gain is no
strict bound; the tests say how often the choice differs from one that computes every gain at every step.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfslab.contest import FieldScores, OurEntries
from dfslab.errors import UserError

BATCH = 32
"""Candidates whose gain is computed again at a time."""
SLACK = 1e-9
"""Rounding error of a share of lineups, such as .6 of 5."""


class TooFewLineups(UserError):
    """The candidates ran out within the limits after `order` (m,) were chosen."""

    def __init__(self, message: str, order):
        super().__init__(message)
        self.order = np.array(order, int)


@dataclass(frozen=True)
class Limits:
    """What the chosen lineups must respect together.

    `max_exposure` and `min_exposure` share of the lineups that hold a driver, one number or (D,); `max_overlap` drivers
    any two lineups may share; `quota` label → number of lineups with that label, None for no quotas. The shares hold
    for the first `entering` lineups and for all of them, and are paced: of the first m lineups at most
    ceil(max_exposure · m) hold a driver and at least floor(min_exposure · m), so that the first m are a portfolio by
    themselves; the pace is given up where the candidates do not allow it. Quotas bind when they are used up; one that
    cannot be filled goes to the other labels and is noted.
    """

    max_exposure: float | np.ndarray
    max_overlap: int
    quota: dict | None = None
    min_exposure: float | np.ndarray = 0.0
    entering: int | None = None

    def most(self, n: int):
        """Return how many of `n` lineups may hold a driver: the whole part of his share, and one if it is above 0."""
        share = np.asarray(self.max_exposure, float)
        return np.maximum(np.floor(share * n + SLACK), share > 0).astype(int)

    def least(self, n: int):
        """Return how many of `n` lineups must hold a driver."""
        return np.ceil(np.asarray(self.min_exposure, float) * n - SLACK).astype(int)

    def shares(self, stop: int, names, chosen) -> dict[str, pd.Series]:
        """Return the exposures by driver that the rest of the first `stop` lineups may have after the `chosen`."""
        used, rest = np.bincount(np.asarray(chosen, int).ravel(), minlength=len(names)), stop - len(chosen)
        bounds = {"max_exposure": self.most(stop), "min_exposure": self.least(stop)}
        return {name: pd.Series(np.clip((bound - used) / rest, 0.0, 1.0), names) for name, bound in bounds.items()}

    def stop(self, k: int, n: int) -> int:
        """Return the number of lineups at which the shares must hold next, at or after the `k`-th of `n`."""
        return self.entering if self.entering and k <= self.entering < n else n


class Candidates(NamedTuple):
    """Lineups to choose from: `lineups` (C, K), the regime each leans on (C,), and what each is expected to win alone.

    `alone` (C,) is in dollars, against the field and without any other lineup of ours.
    """

    lineups: np.ndarray
    regime: np.ndarray
    alone: np.ndarray

    @classmethod
    def none(cls, size: int) -> "Candidates":
        """Return no candidate, of `size` drivers."""
        return cls(np.empty((0, size), int), np.empty(0, object), np.empty(0))

    def take(self, rows) -> "Candidates":
        """Return the candidates `rows`, in that order."""
        return Candidates(*(part[rows] for part in self))

    def join(self, others: "Candidates") -> "Candidates":
        """Return these candidates and then the others."""
        return Candidates(*map(np.concatenate, zip(self, others, strict=True)))

    def bound(self, n: int) -> float:
        """The n largest stand-alone payouts together: no choice of n can earn more against the same field."""
        return float(np.sort(self.alone)[len(self.alone) - n :].sum())


class Choice(NamedTuple):
    """`order` (n,) rows of the candidates in order of choice; `gain` (n,) dollars each added when it was chosen."""

    order: np.ndarray
    gain: np.ndarray
    notes: tuple[str, ...] = ()


def choose_entries(
    field: FieldScores,
    candidates: Candidates,
    n: int,
    limits: Limits,
    weight,
    *,
    first=(),
    until: int | None = None,
) -> Choice:
    """Choose `n` of the candidates by marginal expected payout under `limits`.

    Parameters
    ----------
    field : the field's scores in every scenario (see `contest.FieldScores`)
    candidates : their regimes are keys of `limits.quota`
    weight : (S,) scenario weights that sum to 1
    first : rows that are chosen before all others, in this order
    until : end after so many of the `n`, default all

    Raises
    ------
    TooFewLineups : fewer than `n` lineups respect the limits; it says how many were found
    """
    ours, rules = OurEntries(field, candidates.lineups, weight, n), _Rules(candidates, limits, n, field.ticks.shape[1])
    known, order, gain = candidates.alone.copy(), [], []
    while len(order) < (n if until is None else until):
        allowed = rules.allowed() if len(order) >= len(first) else np.array([first[len(order)]])
        if not len(allowed):
            found = f"{len(order)} of {n} lineups found among {len(known):,} candidates"
            remedy = "allow more exposure (max_exposure) or more shared drivers (max_overlap), or ask for fewer lineups"
            raise TooFewLineups(f"{found}; {remedy}", order)
        best = _best(ours, known, allowed)
        order.append(best)
        gain.append(known[best])
        ours.enter(best)
        rules.take(best)
    return Choice(np.array(order, int), np.array(gain, float), tuple(rules.notes))


def _best(ours: OurEntries, known, allowed) -> int:
    """Return the allowed candidate of largest fresh gain; `known` is brought up to date where it was computed."""
    front = allowed[np.argsort(-known[allowed], kind="stable")]
    best = -1
    for first in range(0, len(front), BATCH):
        rows = front[first : first + BATCH]
        if best >= 0 and known[best] >= known[rows[0]]:
            break
        known[rows] = ours.gains(rows)
        top = rows[np.argmax(known[rows])]
        if best < 0 or known[top] > known[best]:
            best = top
    return int(best)


class _Rules:
    """Which candidates may still be chosen."""

    def __init__(self, candidates: Candidates, limits: Limits, n: int, n_drivers: int):
        self.held = np.zeros((len(candidates.lineups), n_drivers), np.int8)
        np.put_along_axis(self.held, candidates.lineups, 1, axis=1)
        names, self.label = np.unique(candidates.regime.astype(str), return_inverse=True)
        self.quota = np.array([n if limits.quota is None else limits.quota.get(name, 0) for name in names])
        self.limits, self.n, self.taken = limits, n, 0
        self.filled = np.zeros(len(names), int)
        self.used = np.zeros(n_drivers, int)
        self.free = np.ones(len(self.held), bool)
        self.notes: list[str] = []

    def allowed(self) -> np.ndarray:
        """Return the rows that respect every limit: at its pace, else in total, else with other labels' quotas."""
        k, limits = self.taken + 1, self.limits
        stop = limits.stop(k, self.n)
        most, need = limits.most(stop), limits.least(stop) - self.used
        due = need >= stop - self.taken
        behind = due | (np.minimum(np.floor(np.asarray(limits.min_exposure) * k + SLACK) - self.used, need) > 0)
        pace = np.minimum(np.ceil(np.asarray(limits.max_exposure) * k - SLACK), most)
        for bound, wanted in ((pace, behind), (most, behind), (most, due)):
            allowed = self._open(bound, wanted)
            if len(allowed):
                return allowed
        kept, self.quota = self.quota, np.full(len(self.quota), self.n)
        allowed = self._open(most, due)
        if len(allowed) and (kept < self.n).any():
            self.notes.append("Too few candidates of a regime within the limits: lineups of others took their place.")
        return allowed

    def _open(self, most, wanted) -> np.ndarray:
        free = self.free & (self.filled < self.quota)[self.label]
        return np.flatnonzero(free & ~self.held[:, self.used >= most].any(axis=1) & self.held[:, wanted].all(axis=1))

    def take(self, row: int) -> None:
        """Mark `row` as chosen."""
        self.taken += 1
        self.filled[self.label[row]] += 1
        self.used += self.held[row]
        self.free &= self.held.astype(np.int16) @ self.held[row] <= self.limits.max_overlap
        self.free[row] = False
