"""Choose entries one after another by what each adds to the expected payout, our own entries competing.

Lazy greedy choice: gains known from earlier steps order the candidates, and only the front of that order is computed
again, until the best fresh gain is above every stale one. Tiered prizes are not submodular, so a stale gain is no
strict bound; `batch=None` computes every gain at every step, and the tests say how often the two differ.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from dfslab.contest import FieldScores, in_threads
from dfslab.errors import UserError

BATCH = 32
"""Candidates whose gain is computed again at a time."""
CHUNK = 512
"""Scenarios summed together; fixed, so that the number of threads changes nothing."""
SLACK = 1e-9
"""Rounding error of a share of lineups, such as .6 of 5."""


class TooFewLineups(UserError):
    """The candidates ran out within the limits: `order` (m,) were chosen, `label` lacks most of its quota."""

    def __init__(self, message: str, order, label):
        super().__init__(message)
        self.order, self.label = np.array(order, int), label


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

    def stop(self, k: int, n: int) -> int:
        """Return the number of lineups at which the shares must hold next, at or after the `k`-th of `n`."""
        return self.entering if self.entering and k <= self.entering < n else n


@dataclass(frozen=True)
class Choice:
    """`order` (n,) rows of the candidates in order of choice; `gain` (n,) dollars each added when it was chosen.

    `alone` (C,) expected payout of every candidate standing alone; `bound` no set of n candidates can earn more than.
    """

    order: np.ndarray
    gain: np.ndarray
    alone: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def bound(self) -> float:
        """The n largest stand-alone payouts together: no choice can earn more against the same field."""
        return float(np.sort(self.alone)[-len(self.order) :].sum()) if len(self.order) else 0.0


@njit(cache=True, nogil=True)
def _gains(at_least, offset, low, total, own, count, lost, scores, rows, weight, start, stop):
    """Return Σ weight × cents that each candidate of `rows` would add, over scenarios start … stop.

    `own` (S, m) holds our paid scores of a scenario in ascending order, the first count[s] of them; `lost[s, i]` is
    what the first i of them lose together when somebody better comes in.
    """
    out = np.zeros(len(rows))
    last = len(total) - 1
    for s in range(start, stop):
        table = at_least[offset[s] : offset[s + 1]]
        mine = own[s, : count[s]]
        for k in range(len(rows)):
            t = scores[s, rows[k]]
            j = t - low[s]
            if j < 0:
                continue
            below = np.searchsorted(mine, t)
            here = 0
            while below + here < len(mine) and mine[below + here] == t:
                here += 1
            beaten = table[j + 1] if j + 1 < len(table) else 0
            above = beaten + len(mine) - below - here
            tie = table[j] - beaten + here
            base = total[min(above, last)]
            gain = (here + 1) * (total[min(above + tie + 1, last)] - base) / (tie + 1) + lost[s, below]
            if here > 0:
                gain -= here * (total[min(above + tie, last)] - base) / tie
            out[k] += weight[s] * gain
    return out


@njit(cache=True, nogil=True)
def _enter(at_least, offset, low, total, own, count, lost, score, start, stop):
    """Add our entry with `score` (S,) to the paid ones of scenarios start … stop and bring `lost` up to date."""
    last = len(total) - 1
    for s in range(start, stop):
        if score[s] < low[s]:
            continue
        i = count[s]
        while i > 0 and own[s, i - 1] > score[s]:
            own[s, i] = own[s, i - 1]
            i -= 1
        own[s, i] = score[s]
        count[s] += 1
        table = at_least[offset[s] : offset[s + 1]]
        first = 0
        while first < count[s]:
            t = own[s, first]
            here = 1
            while first + here < count[s] and own[s, first + here] == t:
                here += 1
            j = t - low[s]
            beaten = table[j + 1] if j + 1 < len(table) else 0
            above = beaten + count[s] - first - here
            tie = table[j] - beaten + here
            before = total[min(above + tie, last)] - total[min(above, last)]
            after = total[min(above + tie + 1, last)] - total[min(above + 1, last)]
            for i in range(first, first + here):
                lost[s, i + 1] = lost[s, i] + (after - before) / tie
            first += here


class _Stage:
    """The field, the candidates' scores, and our entries so far."""

    def __init__(self, field: FieldScores, candidates, weight, n: int):
        self.field, self.weight = field, np.ascontiguousarray(weight, float)
        self.scores = field.scores(candidates)
        self.total = np.concatenate([[0.0], np.cumsum(field.contest.prizes)])
        scenarios = len(field.low)
        self.own = np.empty((scenarios, n), np.int32)
        self.count = np.zeros(scenarios, np.int64)
        self.lost = np.zeros((scenarios, n + 1))
        self.table = (field.at_least, field.offset, field.low, self.total, self.own, self.count, self.lost)

    def gains(self, rows) -> np.ndarray:
        """Return what each candidate of `rows` would add to our expected payout, in dollars."""
        rows = np.ascontiguousarray(rows, np.int64)

        def part(start, stop):
            return _gains(*self.table, self.scores, rows, self.weight, start, stop)

        return np.sum(in_threads(part, len(self.weight), self.field.threads, CHUNK), axis=0) / 100

    def enter(self, row: int) -> None:
        """Make candidate `row` one of ours."""
        score = np.ascontiguousarray(self.scores[:, row])

        def part(start, stop):
            _enter(*self.table, score, start, stop)

        in_threads(part, len(self.weight), self.field.threads, CHUNK)


def choose_entries(
    field: FieldScores,
    candidates,
    labels,
    n: int,
    limits: Limits,
    *,
    weight=None,
    batch: int | None = BATCH,
    first=(),
    until: int | None = None,
) -> Choice:
    """Choose `n` of `candidates` (C, K) by marginal expected payout under `limits`.

    Parameters
    ----------
    field : the field's scores in every scenario (see `contest.FieldScores`)
    labels : (C,) label of each candidate, a key of `limits.quota`
    weight : (S,) scenario weights that sum to 1 (default: equal)
    batch : candidates computed again at a time; None computes all of them at every step
    first : rows that are chosen before all others, in this order
    until : end after so many of the `n`, default all

    Raises
    ------
    TooFewLineups : fewer than `n` lineups respect the limits; it says how many were found
    """
    candidates = np.asarray(candidates)
    weight = np.full(len(field.low), 1 / len(field.low)) if weight is None else weight
    stage = _Stage(field, candidates, weight, n)
    alone = stage.gains(np.arange(len(candidates)))
    rules = _Rules(candidates, labels, limits, n, field.ticks.shape[1])
    known, order, gain = alone.copy(), [], []
    while len(order) < (n if until is None else until):
        allowed = rules.allowed() if len(order) >= len(first) else np.array([first[len(order)]])
        if not len(allowed):
            raise TooFewLineups(
                f"{len(order)} of {n} lineups found among {len(candidates):,} candidates; allow more exposure "
                "(max_exposure) or more shared drivers (max_overlap), or ask for fewer lineups",
                order,
                rules.neediest(),
            )
        best = _best(stage, known, allowed, batch or len(candidates))
        order.append(best)
        gain.append(known[best])
        stage.enter(best)
        rules.take(best)
    return Choice(np.array(order, int), np.array(gain), alone, tuple(rules.notes))


def _best(stage: _Stage, known, allowed, batch: int) -> int:
    """Return the allowed candidate of largest fresh gain; `known` is brought up to date where it was computed."""
    front = allowed[np.argsort(-known[allowed], kind="stable")]
    best = -1
    for first in range(0, len(front), batch):
        rows = front[first : first + batch]
        if best >= 0 and known[best] >= known[rows[0]]:
            break
        known[rows] = stage.gains(rows)
        top = rows[np.argmax(known[rows])]
        if best < 0 or known[top] > known[best]:
            best = top
    return int(best)


class _Rules:
    """Which candidates may still be chosen."""

    def __init__(self, candidates, labels, limits: Limits, n: int, n_drivers: int):
        self.held = np.zeros((len(candidates), n_drivers), np.int8)
        np.put_along_axis(self.held, candidates, 1, axis=1)
        quota = limits.quota or dict.fromkeys(labels, n)
        self.names = list(quota)
        self.label = np.array([self.names.index(label) for label in labels], int)
        self.quota = np.array(list(quota.values()), float)
        self.limits, self.n, self.taken = limits, n, 0
        self.filled = np.zeros(len(self.names), int)
        self.used = np.zeros(n_drivers, int)
        self.free = np.ones(len(candidates), bool)
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
            allowed = self._open(bound, self.quota, wanted)
            if allowed.any():
                return np.flatnonzero(allowed)
        allowed = self._open(most, np.full(len(self.quota), self.n), due)
        if allowed.any():
            self._give_up()
        return np.flatnonzero(allowed)

    def _open(self, most, quota, wanted) -> np.ndarray:
        free = self.free & (self.filled < quota)[self.label]
        return free & ~self.held[:, self.used >= most].any(axis=1) & self.held[:, wanted].all(axis=1)

    def _give_up(self) -> None:
        left = {name: int(q - f) for name, q, f in zip(self.names, self.quota, self.filled, strict=True) if q > f}
        listed = ", ".join(f"{count} for {name}" for name, count in left.items())
        self.notes.append(
            f"Too few candidates within the limits ({listed}): lineups of other regimes took their place."
        )
        self.quota = np.full(len(self.quota), float(self.n))

    def neediest(self):
        """Return the label that lacks most of its quota."""
        return self.names[int(np.argmax(self.quota - self.filled))]

    def take(self, row: int) -> None:
        """Mark `row` as chosen."""
        self.taken += 1
        self.filled[self.label[row]] += 1
        self.used += self.held[row]
        self.free &= self.held.astype(np.int16) @ self.held[row] <= self.limits.max_overlap
        self.free[row] = False
