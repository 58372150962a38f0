"""Both engines of the optimizers: integer programming (the one place that talks to PuLP) and the exact search."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from dfslab.lineups._exact import best_lineups
from dfslab.lineups._paths import Limit
from dfslab.rules import ContestRules

__all__ = [
    "Rule",
    "Space",
    "best_set",
    "choose_set",
    "exact_lineups",
    "milp_lineups",
    "scaled_value",
    "solve_binary",
]

EXACT = 1e-9
"""Rounding allowed, relative to a rule's largest weight, on a finished lineup: sums of decimals are not exact."""
GRID = 1e11
"""Values become whole numbers below this, which both engines add and compare without error."""
SOLVER_SLACK = 1e-6
"""HiGHS's feasibility tolerance: rows are widened by it in the model and checked to `EXACT` afterwards."""
BAND = 1e-7
"""Relative objective error a solve may carry; lineups nearer than this are fetched and compared exactly."""
TIES = 8
"""Equal lineups fetched one by one before the tie is settled by name inside the model."""
MOST_CANDIDATES = 2000
"""Lineups added at once when a set with overlap limits is not found among the priced candidates."""
SMALL_SET = 30
"""Up to so many lineups a set with overlap limits is chosen with gap 0; HiGHS takes minutes for larger ones."""
SEQUENCE_ROUNDS = 40
"""Rounds in which the prices of minimum exposures settle."""
PRICING_ROUNDS = 60
"""Guard of the column generation; it ends by itself when no lineup is worth adding."""
OPTIMAL, INFEASIBLE = 1, -1
"""PuLP's status numbers, the same in its versions 3 and 4 (their names are not)."""
NEAR_TIES = 40
"""Lineups within `BAND` of the best that are compared exactly; with more, the best of these is taken."""
BLOCK = 20
"""Drivers settled at once when a tie is broken by name: weights up to 2^20 stay exact in the solver."""


@dataclass(frozen=True)
class Rule:
    """A named rule `low ≤ Σ weights_i ≤ high` over the drivers of a lineup; `unit` says how to print its limit."""

    name: str
    weights: np.ndarray
    low: float = -np.inf
    high: float = np.inf
    unit: str = "drivers"
    limit: float = np.nan
    levels: np.ndarray | None = None
    """For a limit on every driver: his level; `weights` marks those above `limit`, of whom `high` = 0 are allowed."""

    def on(self, rows) -> "Rule":
        """Return the rule over the drivers `rows` only."""
        return replace(self, weights=self.weights[rows], levels=None if self.levels is None else self.levels[rows])

    @property
    def locks(self) -> bool:
        """Whether the rule asks for one certain driver."""
        return self.low == self.weights.sum() == 1 and np.count_nonzero(self.weights) == 1

    @property
    def bars(self) -> bool:
        """Whether the rule keeps every driver it counts out of a lineup."""
        return self.high == 0 and bool((self.weights >= 0).all())

    def holds(self, lineups) -> np.ndarray:
        """Return which `lineups` (L, K) obey the rule, (L,) bool."""
        total = self.weights[np.asarray(lineups)].sum(axis=1)
        slack = EXACT * np.abs(self.weights).max(initial=0.0)
        return (total >= self.low - slack) & (total <= self.high + slack)


@dataclass(frozen=True)
class Space:
    """The lineups allowed: `roster_size` drivers within the cap, one per group, under every rule."""

    salary: np.ndarray
    roster_size: int
    salary_cap: float
    groups: np.ndarray | None = None
    rules: tuple[Rule, ...] = ()

    def without(self, name: str) -> "Space":
        """Return the space without the rules called `name`."""
        return replace(self, rules=tuple(r for r in self.rules if r.name != name))

    def with_rules(self, *rules: Rule) -> "Space":
        """Return the space with further rules."""
        return replace(self, rules=(*self.rules, *rules))

    def allows(self, lineups) -> np.ndarray:
        """Return which `lineups` (L, K) are in the space, (L,) bool."""
        lineups = np.asarray(lineups)
        good = self.salary[lineups].sum(axis=1) <= self.salary_cap + EXACT
        for rule in self.rules:
            good &= rule.holds(lineups)
        if self.groups is not None:
            crowd = np.sort(self.groups[lineups], axis=1)
            good &= (np.diff(crowd, axis=1) != 0).all(axis=1)
        return good


def scaled_value(value) -> np.ndarray:
    """Return `value` (D,) on an integer grid, as whole float64 whose sums over a lineup are exact.

    The step is 1e-9 below 100 points (1e-8 below 1,000, …), so lineups that tie in decimals tie exactly whatever the
    order of addition. The common divisor is taken out: values in halves come back as small integers.
    """
    value = np.asarray(value, float)
    largest = float(np.abs(value).max(initial=0.0))
    if largest == 0:
        return np.zeros(value.shape)
    digits = min(9, int(np.ceil(np.log10(GRID / largest))) - 1)
    grid = np.rint(value * 10.0**digits).astype(np.int64)
    return (grid // max(np.gcd.reduce(grid), 1)).astype(float)


def solve_binary(objective, rows) -> np.ndarray | None:
    """Maximise `objective` (V,) over 0/1 vectors under `rows`; None when nothing is feasible.

    Parameters
    ----------
    objective : (V,) float
    rows : iterable of (columns, weights, low, high), each a constraint low ≤ Σ weights · x[columns] ≤ high

    Returns
    -------
    (V,) bool, optimal with gap 0, or None. Any other end of the solver raises `RuntimeError`.
    """
    import pulp

    problem = pulp.LpProblem("lineups", pulp.LpMaximize)
    x = [problem.add_variable(f"x{i}", cat="Binary") for i in range(len(objective))]
    problem += pulp.lpSum(float(c) * x[i] for i, c in enumerate(objective))
    for columns, weights, low, high in rows:
        total = pulp.lpSum(float(w) * x[i] for i, w in zip(columns, weights, strict=True))
        if np.isfinite(low):
            problem += total >= float(low)
        if np.isfinite(high):
            problem += total <= float(high)
    result = problem.solve(pulp.getSolver("HiGHS", msg=False, gapRel=0.0, gapAbs=0.0))
    status = int(getattr(result, "status", result))  # PuLP 4 returns a record, PuLP 3 the number itself
    if status == INFEASIBLE:
        return None
    if status != OPTIMAL:
        raise RuntimeError(f"HiGHS ended with status {status}, neither optimal nor infeasible; please report the model")
    return np.array([v.varValue > 0.5 for v in x], bool)


def exact_lineups(value, space: Space, n: int, *, max_overlap=None, max_counts=None) -> np.ndarray:
    """Return what `milp_lineups` returns, by the exact search of `lineups`; may raise its `SearchTooLarge`."""
    locks, bans, limits, min_salary = [], [], [], None
    for rule in space.rules:
        if rule.unit == "dollars":
            min_salary = rule.low
        elif rule.bars:
            bans.append(np.flatnonzero(rule.weights))
        elif rule.locks:
            locks.append(np.flatnonzero(rule.weights))
        else:
            limits.append(Limit(rule.weights, rule.low, rule.high, rule.name))
    locks, bans = (np.concatenate([[], *rows]).astype(np.int64) for rows in (locks, bans))
    if np.isin(locks, bans).any():
        return np.empty((0, space.roster_size), np.int64)
    return best_lineups(
        value,
        space.salary,
        ContestRules(space.roster_size, space.salary_cap),
        n,
        groups=space.groups,
        max_overlap=max_overlap,
        max_exposure=None if max_counts is None else max_counts / n,
        locks=locks,
        bans=bans,
        min_salary=min_salary,
        limits=tuple(limits),
    )


def milp_lineups(value, space: Space, n: int, *, max_overlap=None, max_counts=None) -> np.ndarray:
    """Return the best lineups one after another by integer programming, (≤ n, K), fewer when no more exist.

    Each lineup is the best that obeys `space`, shares at most `max_overlap` drivers with every earlier one and uses
    no driver more often than `max_counts` (D,). Equal values go to the lineup whose rows come first. Exact as long as
    fewer than `NEAR_TIES` lineups differ by less than 1e-7 of the largest value without being equal.

    Parameters
    ----------
    value : (D,) whole numbers from `scaled_value`
    """
    search = _Search(value, space, max_overlap, max_counts)
    found = []
    while len(found) < n:
        best = search.take()
        if best is None:
            break
        found.append(best)
    return np.array(found, np.int64).reshape(-1, space.roster_size)


class _Search:
    """The state of a sequence of solves: rows that only grow, and lineups fetched but not yet handed out."""

    def __init__(self, value, space, max_overlap, max_counts):
        self.value, self.space, self.max_overlap = value, space, max_overlap
        top = max(np.abs(value).max(initial=0.0), 1.0)
        self.coarse = top <= 1 / BAND
        self.scale = 1.0 if self.coarse else 1000.0 / top
        self.band = 0.5 if self.coarse else BAND * top
        self.left = None if max_counts is None else np.array(max_counts)
        self.rows = _space_rows(space)
        self.pool = {}
        self.ceiling = np.inf
        if self.left is not None:
            self._close(self.left <= 0)

    def take(self):
        """Return the next lineup in exact order (a sorted tuple), or None."""
        while not self._settled():
            if not self.coarse and len(self.pool) >= NEAR_TIES:
                break
            if self.coarse and len(self.pool) >= TIES and self._tied():
                self._fetch_first_by_name()
                break
            self._fetch()
        if not self.pool:
            return None
        best = min(self.pool, key=lambda lineup: (-self.pool[lineup], lineup))
        del self.pool[best]
        self._after(np.array(best))
        return best

    def _settled(self):
        best = max(self.pool.values(), default=-np.inf)
        return self.ceiling == -np.inf or self.ceiling < best - self.band

    def _tied(self):
        return min(self.pool.values()) == max(self.pool.values())

    def _fetch(self):
        chosen = solve_binary(self.value * self.scale, self.rows)
        if chosen is None:
            self.ceiling = -np.inf
            return
        self._keep(chosen)
        self.ceiling = min(self.ceiling, self.value[chosen].sum())

    def _keep(self, chosen):
        """Put a lineup into the pool if it obeys the rules exactly, and forbid it in later solves."""
        lineup = np.flatnonzero(chosen)
        self.rows.append((lineup, np.ones(lineup.size), -np.inf, lineup.size - 1.0))
        if self.space.allows(lineup[None])[0]:
            self.pool[tuple(lineup.tolist())] = self.value[lineup].sum()

    def _fetch_first_by_name(self):
        """Add to the pool the first by rows of all lineups outside it that tie with its best."""
        everyone = np.arange(len(self.value))
        best = max(self.pool.values())
        size = len(self.pool)
        while len(self.pool) == size:
            rows = [*self.rows, (everyone, self.value, best - 0.5, np.inf)]
            for start in range(0, len(everyone), BLOCK):
                block = everyone[start : start + BLOCK]
                weights = np.zeros(len(everyone))
                weights[block] = 2.0 ** np.arange(len(block))[::-1]
                chosen = solve_binary(weights, rows)
                if chosen is None:
                    return
                rows += [([i], [1.0], float(chosen[i]), float(chosen[i])) for i in block]
            self._keep(chosen)

    def _after(self, lineup):
        """Tighten the rows after a lineup was handed out, and drop what no longer fits from the pool."""
        if self.max_overlap is not None:
            self.rows.append((lineup, np.ones(lineup.size), -np.inf, float(self.max_overlap)))
            self._drop(lambda other: np.isin(other, lineup).sum() > self.max_overlap)
        if self.left is not None:
            self.left[lineup] -= 1
            spent = np.zeros(len(self.left), bool)
            spent[lineup] = self.left[lineup] == 0
            self._close(spent)

    def _close(self, spent):
        for i in np.flatnonzero(spent):
            self.rows.append(([i], [1.0], -np.inf, 0.0))
        self._drop(lambda other: spent[list(other)].any())

    def _drop(self, broken):
        self.pool = {lineup: v for lineup, v in self.pool.items() if not broken(lineup)}


def _space_rows(space: Space) -> list:
    """Return the rows of `space` for `solve_binary`, widened by the solver's own tolerance."""
    everyone = np.arange(len(space.salary))
    size = float(space.roster_size)
    rows = [(everyone, np.ones(everyone.size), size, size), (everyone, space.salary, -np.inf, float(space.salary_cap))]
    if space.groups is not None:
        for g in np.unique(space.groups):
            members = np.flatnonzero(space.groups == g)
            if members.size > 1:
                rows.append((members, np.ones(members.size), -np.inf, 1.0))
    for rule in space.rules:
        used = np.flatnonzero(rule.weights)
        rows.append((used, rule.weights[used], rule.low - SOLVER_SLACK, rule.high + SOLVER_SLACK))
    return rows


def best_set(search, value, space: Space, n: int, max_overlap, max_counts, min_counts) -> np.ndarray | None:
    """Return the `n` lineups of largest total value that use each driver at least `min_counts` times, best first.

    Candidates grow by column generation: the linear relaxation over them prices every driver's exposure, and the best
    lineups at these prices join, until none is worth adding; the set is then chosen among them with gap 0. More than
    `SMALL_SET` lineups with an overlap limit are searched one after another at prices that just meet the minima.

    Parameters
    ----------
    search : function (value, space, n, max_overlap, max_counts) returning lineups one after another
    """
    max_counts = np.full(len(value), n) if max_counts is None else max_counts
    top = max(np.abs(value).max(), 1.0)
    pool = _join(search(value, space, 2 * n, None, None), search(value, space, n, max_overlap, max_counts))
    for _ in range(PRICING_ROUNDS):
        if not len(pool):
            return None
        prices, entry = _prices(pool, value / top, n, min_counts, max_counts)
        priced = value / top + prices
        grid = scaled_value(priced)
        fresh = search(grid, space, n + 1, None, None)
        if max_overlap is not None:
            fresh = _join(fresh, search(grid, space, n, max_overlap, max_counts))
        grown = _join(pool, fresh[priced[fresh].sum(axis=1) > entry + BAND] if max_overlap is None else fresh)
        if len(grown) == len(pool):
            break
        pool = grown
    if max_overlap is None:
        pool = _join(pool, search(scaled_value(value / top + prices), space, 8 * n, None, None))
        return _chosen(pool, value, n, min_counts, max_counts)
    met = _priced_sequence(search, value / top, space, n, max_overlap, max_counts, min_counts, np.maximum(prices, 0))
    if n > SMALL_SET:
        return met
    for width in (n, 8 * n, 64 * n):
        wider = search(scaled_value(value / top + prices), space, min(width, MOST_CANDIDATES), None, None)
        pool = _join(pool, wider if met is None else np.concatenate([wider, met]))
        chosen = _chosen(pool, value, n, min_counts, max_counts, max_overlap)
        if chosen is not None:
            break
    return chosen


def _chosen(pool, value, n: int, min_counts, max_counts, max_overlap=None) -> np.ndarray | None:
    pool = _best_first(pool, value)
    rows = choose_set(pool, value[pool].sum(axis=1), n, min_counts, max_counts, max_overlap)
    return None if rows is None else pool[rows]


def _best_first(lineups, value) -> np.ndarray:
    return lineups[np.lexsort((*lineups.T[::-1], -value[lineups].sum(axis=1)))]


def _priced_sequence(search, value, space, n: int, max_overlap, max_counts, min_counts, prices) -> np.ndarray | None:
    """Return the best set found by searching one lineup after another while the minima are priced, or None.

    A price rises while its driver is short and falls while he has more than asked; its step grows as long as the
    direction stays and is halved when it turns (the rule of resilient propagation).
    """
    step, before, best = np.full(len(value), 0.05 * np.std(value)), np.zeros(len(value)), None
    for _ in range(SEQUENCE_ROUNDS):
        found = search(scaled_value(value + prices), space, n, max_overlap, max_counts)
        if len(found) < n:  # the prices crowd the lineups: halve the last step
            step = step / 2
            prices = np.maximum(prices - step * before, 0.0)
            continue
        counts = np.bincount(found.ravel(), minlength=len(value))
        if (counts >= min_counts).all() and (best is None or value[found].sum() > value[best].sum()):
            best = found
        direction = np.where(min_counts > 0, np.sign(min_counts - counts), 0.0)
        step = step * np.where(direction == before, 1.3, 0.5)
        prices, before = np.maximum(prices + step * direction, 0.0), direction
    return None if best is None else _best_first(best, value)


def _join(first, second) -> np.ndarray:
    return np.unique(np.concatenate([first, second]), axis=0)


def _prices(pool, value, n: int, min_counts, max_counts):
    """Return the price of each driver's exposure (D,) and the value at which a lineup enters the relaxed set."""
    from scipy.optimize import linprog

    held = np.zeros((len(value), len(pool)))
    np.put_along_axis(held, pool.T, 1.0, axis=0)
    bound = np.flatnonzero((min_counts > 0) | (max_counts < n))
    lack = np.eye(len(bound))
    # Each bound may be missed at a price far above any value, so that the first candidates need not be feasible.
    cost = np.concatenate([-value[pool].sum(axis=1), np.full(2 * len(bound), 10.0 * pool.shape[1])])
    rows = np.vstack([np.hstack([-held[bound], -lack, 0 * lack]), np.hstack([held[bound], 0 * lack, -lack])])
    right = np.concatenate([-min_counts[bound], max_counts[bound]]).astype(float)
    whole = np.concatenate([np.ones(len(pool)), np.zeros(2 * len(bound))])[None]
    limits = [(0, 1)] * len(pool) + [(0, None)] * (2 * len(bound))
    solved = linprog(cost, rows, right, whole, [min(n, len(pool))], limits, method="highs")
    prices = np.zeros(len(value))
    low, high = np.split(solved.ineqlin.marginals, 2)
    prices[bound] = high - low
    return prices, -float(solved.eqlin.marginals[0])


def choose_set(candidates, value, n: int, min_counts, max_counts, max_overlap=None) -> np.ndarray | None:
    """Choose `n` of `candidates` (C, K) with the largest total value under counts per driver; None when impossible.

    Parameters
    ----------
    candidates : (C, K) distinct lineups, best first
    value : (C,) float
    min_counts, max_counts : (D,) how often each driver may appear
    max_overlap : drivers two chosen lineups may share; two share more exactly when some set of `max_overlap + 1`
        drivers lies in both, so each such set may be used once

    Returns
    -------
    rows of `candidates`, (n,) int, in their order
    """
    spread = max(float(np.ptp(value)), 1e-12) if len(value) else 1.0
    rows = [(np.arange(len(value)), np.ones(len(value)), float(n), float(n))]
    for i in np.flatnonzero((min_counts > 0) | (max_counts < n)):
        holders = np.flatnonzero((candidates == i).any(axis=1))
        if not holders.size and min_counts[i] > 0:
            return None
        rows.append((holders, np.ones(holders.size), float(min_counts[i]), float(max_counts[i])))
    if max_overlap is not None:
        rows += [(m, np.ones(len(m)), -np.inf, 1.0) for m in _sharing(candidates, max_overlap + 1)]
    chosen = solve_binary((value - value.min()) / spread, rows)
    return None if chosen is None else np.flatnonzero(chosen)


def _sharing(candidates, size: int) -> list:
    """Return, for every set of `size` drivers that lies in two or more candidates, the rows holding it."""
    holders: dict[tuple, list] = {}
    for row, lineup in enumerate(np.sort(candidates, axis=1).tolist()):
        for part in combinations(lineup, size):
            holders.setdefault(part, []).append(row)
    return [np.array(rows) for rows in holders.values() if len(rows) > 1]
