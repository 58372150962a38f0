"""Exact search over legal lineups: the best n under any linear rules, in order, and plain enumeration."""

import numpy as np
from numba import njit
from scipy.optimize import linprog

from dfslab.errors import UserError, whole_number
from dfslab.lineups._problem import EXACT, LineupProblem, Rule

MAX_STEPS = 200_000_000
"""Steps after which a search gives up (a few seconds)."""
GRID = 1e11
"""Values become whole numbers below this, which both engines add and compare without error."""


class SearchTooLarge(RuntimeError):
    """The exact search would take too long; relax a rule, ask for fewer lineups, or use another engine."""


def scaled_value(value) -> np.ndarray:
    """Return `value` (D,) on an integer grid, as whole float64 whose sums over a lineup are exact.

    The step is 1e-9 from 10 to 100 points (1e-8 to 1,000, …), so lineups that tie in decimals tie exactly whatever the
    order of addition. The common divisor is taken out: values in halves come back as small integers.
    """
    value = np.asarray(value, float)
    largest = float(np.abs(value).max(initial=0.0)) or 1.0
    grid = np.rint(value * 10.0 ** (np.ceil(np.log10(GRID / largest)) - 1)).astype(np.int64)
    return (grid // max(np.gcd.reduce(grid), 1)).astype(float)


@njit(cache=True)
def _least(amount, cost, following, roster_size, width):
    """Return the least Σ amount of every completion, (K+1, width, M+1); inf where there is none."""
    m = len(cost)
    table = np.full((m + 1, roster_size + 1, width), np.inf)
    table[:, 0] = 0.0
    for j in range(m - 1, -1, -1):
        c, a = cost[j], amount[j]
        for k in range(1, min(roster_size, m - j) + 1):
            table[j, k] = table[j + 1, k]
            source, target = table[following[j], k - 1], table[j, k]
            for b in range(c, width):
                target[b] = min(target[b], a + source[b - c])
    return np.ascontiguousarray(table.transpose(1, 2, 0))


@njit(cache=True)
def _fits(j, left, rest, spent, amounts, limits, tables, after):
    """Whether taking item j can still end in a lineup within every limit."""
    fits = rest >= 0
    for r in range(len(limits)):
        fits = fits and spent[r] + amounts[r, j] + tables[r, left - 1, rest, after] <= limits[r]
    return fits


@njit(cache=True)
def _apart(holds, before, overlap, after):
    """Write the drivers shared with each lineup, `before` + `holds`, to `after`; whether none passes `overlap`."""
    apart = True
    for slot in range(len(holds)):
        after[slot] = before[slot] + holds[slot]
        apart &= after[slot] <= overlap
    return apart


@njit(cache=True)
def _walk(amounts, limits, lead, tables, cost, following, holds, overlap, n, max_steps):
    """Return items (≤ n, K) of the lineups of least last amount within all limits, best first, and the steps taken.

    Depth first, so that of equal lineups the first come first; the limit on the last amount falls to that of the n-th
    best so far, and the first limit, which bounds it, keeps `lead` above it. `holds` (M, slots) says which lineups
    that were taken before hold an item; at most `overlap` items may be shared with any of them.
    """
    limits, roster_size, width = limits.copy(), tables.shape[1] - 1, tables.shape[2]
    found, worth = np.empty((2 * n, roster_size), np.int16), np.empty(2 * n)
    picks, cursor = np.zeros(roster_size + 1, np.int64), np.zeros(roster_size + 1, np.int64)
    budget, spent = np.zeros(roster_size + 1, np.int64), np.zeros((roster_size + 1, len(limits)))
    common = np.zeros((roster_size + 1, holds.shape[1]), np.uint8)
    budget[0], count, steps, depth = width - 1, 0, 0, 0
    while depth >= 0 and steps <= max_steps:
        left, b, j = roster_size - depth, budget[depth], cursor[depth]
        if left == 0:
            found[count], worth[count] = picks[:roster_size], spent[depth, -1]
            count += 1
            depth -= 1
            if count == 2 * n:
                order = np.argsort(worth, kind="mergesort")[:n]
                found[:n], worth[:n] = found[order], worth[order]
                count, limits[-1] = n, worth[n - 1] - 0.5
                limits[0] = limits[-1] + lead
            continue
        taken = False
        while not taken and j < len(cost) and spent[depth, 0] + tables[0, left, b, j] <= limits[0]:
            steps += 1
            taken = _fits(j, left, b - cost[j], spent[depth], amounts, limits, tables, following[j])
            taken = taken and _apart(holds[j], common[depth], overlap, common[depth + 1])
            j += 1
        if not taken:
            depth -= 1
            continue
        j -= 1
        picks[depth], cursor[depth] = j, j + 1
        spent[depth + 1] = spent[depth] + amounts[:, j]
        budget[depth + 1], cursor[depth + 1] = b - cost[j], following[j]
        depth += 1
    return found[np.argsort(worth[:count], kind="mergesort")[:n]], steps


@njit(cache=True)
def _scan(lineups, n, overlap, left):
    """Return the indices of the first `n` lineups that share at most `overlap` drivers with those before them.

    A driver is in `left` (D,) of them at most.
    """
    taken, count = np.empty(n, np.int64), 0
    holds, shared = np.zeros((len(left), n), np.uint8), np.zeros(n, np.uint8)
    for index in range(len(lineups)):
        row, free = lineups[index], count < n
        shared[:] = 0
        for driver in row:
            free = free and left[driver] > 0 and _apart(holds[driver, :count], shared, overlap, shared)
        if free:
            for driver in row:
                holds[driver, count] = 1
                left[driver] -= 1
            taken[count] = index
            count += 1
    return taken[:count]


def take_in_order(lineups, n: int, n_drivers: int, max_overlap=None, max_count=None) -> np.ndarray:
    """Return the first `n` of `lineups` (L, K) that respect overlap and counts given those taken before, (≤ n, K)."""
    left = np.full(n_drivers, n) if max_count is None else np.array(max_count, np.int64)
    return lineups[_scan(lineups, n, _most_shared(lineups.shape[1], max_overlap), left)]


def _most_shared(size: int, max_overlap) -> np.uint8:
    return np.uint8(size - 1 if max_overlap is None else min(int(max_overlap), size - 1))


class _Question:
    """A value and a problem made ready: who may be used, and the other rules as sides, Σ weights ≤ high."""

    def __init__(self, value, problem: LineupProblem):
        self.value, self.problem = scaled_value(value), problem
        self.keep, self.weights, self.highs = np.ones(len(self.value), bool), [], []
        for weights, most in (rule.side for rule in problem.rules):
            if most == 0 and (weights >= 0).all():
                self.keep &= weights == 0
            else:
                self.weights.append(weights)
                self.highs.append(most + EXACT * np.abs(weights).max(initial=0.0))

    def best(self, n: int, taken, keep, overlap) -> np.ndarray:
        """Return the `n` best lineups of the drivers `keep` that share at most `overlap` with each of those `taken`.

        The first row of amounts is the value with the sides at the prices that a linear programme puts on them: its
        least sum, less `lead`, is a bound on the value within the sides.
        """
        space = self.problem.paths(self.keep & keep)
        none = np.empty((0, self.problem.size), np.int64)
        if len(space.rows) < self.problem.size:
            return none
        prices = self._prices(space.rows)
        amounts, limits = np.array([*self.weights, -self.value]), np.array([*self.highs, np.inf])
        lead = prices @ limits[:-1]
        if len(prices):
            amounts, limits = np.vstack([prices @ amounts[:-1] - self.value, amounts]), np.append(np.inf, limits)
        amounts, (cost, following) = amounts[:, space.rows], (space.cost, space.following)
        tables = np.array([_least(row, cost, following, space.roster_size, space.width) for row in amounts])
        least, reach = tables[:, -1, -1, 0], 2 * np.abs(self.value).sum() + 1
        if not np.isfinite(least).all() or (least > limits).any():
            return none
        holds = np.zeros((len(self.value), len(taken)), np.uint8)
        np.put_along_axis(holds, taken.T, 1, axis=0)
        depth = max(np.std(self.value) / 4, 1.0)
        while True:
            limits[0] = least[0] + depth
            limits[-1] = limits[0] - lead
            taken_before = np.ascontiguousarray(holds[space.rows]), overlap
            items, steps = _walk(amounts, limits, lead, tables, cost, following, *taken_before, n, MAX_STEPS)
            if steps > MAX_STEPS:
                raise SearchTooLarge(f"more than {MAX_STEPS:,} steps; relax a rule or ask for fewer lineups")
            if len(items) == n or depth > reach:
                return np.sort(space.rows[items], axis=1)
            depth *= 4

    def _prices(self, rows) -> np.ndarray:
        """Return what a unit of each side is worth in the linear programme of `rows`, (R,) [geoffrion1974]."""
        if not self.weights:
            return np.zeros(0)
        weights, scale = np.array(self.weights)[:, rows], np.abs(self.value).max(initial=0.0) or 1.0
        sides = np.vstack([self.problem.salary[rows], weights]), np.append(self.problem.cap, self.highs)
        solved = linprog(-self.value[rows] / scale, *sides, np.ones((1, len(rows))), [self.problem.size], (0, 1))
        return -scale * solved.ineqlin.marginals[1:] if solved.status == 0 else np.zeros(len(weights))


def search_exact(value, problem: LineupProblem, n: int, *, max_overlap=None, max_count=None) -> np.ndarray:
    """Return the `n` lineups of highest total value, best first, exactly, (≤ n, K) with sorted rows.

    With `max_overlap` (drivers two lineups may share) or `max_count` ((D,) lineups a driver may be in) each lineup is
    the best one that still respects them given the lineups before it. Equal totals are ordered by driver rows, where
    there are groups by group.

    Raises
    ------
    SearchTooLarge : the rules leave a search of more than `MAX_STEPS` steps
    """
    question, taken = _Question(value, problem), np.empty((0, problem.size), np.int64)
    together = max_overlap is not None or max_count is not None
    want, overlap = max(2 * n, 300) if together else n, _most_shared(problem.size, max_overlap)
    most = np.full(len(problem.salary), n) if max_count is None else np.asarray(max_count)
    while len(taken) < n:
        free = np.bincount(taken.ravel(), minlength=len(most)) < most
        more = question.best(want, taken, free, overlap)
        taken = more if not together else take_in_order(np.concatenate([taken, more]), n, len(most), overlap, most)
        if len(more) < want:
            break
    return taken


def best_lineups(
    value, salary, rules, n: int, *, groups=None, max_overlap: int | None = None, max_exposure=None, limits=()
) -> np.ndarray:
    """Return the `n` legal lineups of highest total value, best first, exactly.

    With `max_overlap` or `max_exposure` each lineup is the best one that still respects them given the lineups
    before it. Equal totals are ordered by driver rows (the lexicographically smaller lineup first).

    Parameters
    ----------
    value : (D,) points or any other value per driver; nobody of -inf is in a lineup
    salary : (D,) int dollars
    rules : ContestRules
    n : how many; all of them when fewer exist
    groups : (D,) int or None, at most one driver of each number
    max_overlap : drivers two lineups may share
    max_exposure : largest share of the `n` lineups a driver may be in, one number or (D,)
    limits : further `Rule`s

    Returns
    -------
    (m, K) int, m ≤ n, rows sorted

    Raises
    ------
    SearchTooLarge : the rules leave a search of more than `MAX_STEPS` steps

    Examples
    --------
    >>> from dfslab.rules import ContestRules
    >>> best_lineups([30, 28, 20], [50, 40, 30], ContestRules(roster_size=2, salary_cap=80), 2).tolist()
    [[0, 2], [1, 2]]
    """
    n, count = whole_number(n, "n", 0), None
    value, salary = np.array(value, float), np.array(salary, np.int64)
    if value.shape != salary.shape:
        raise ValueError(f"value has shape {value.shape}, salary {salary.shape}; give one value per driver")
    if not (value < np.inf).all():
        raise ValueError(f"value of driver row {np.flatnonzero(~(value < np.inf))[0]} is not a number")
    if max_exposure is not None:
        share = np.broadcast_to(np.asarray(max_exposure, float), value.shape)
        if not ((share >= 0) & (share <= 1)).all():
            raise UserError("max_exposure: shares of the lineups lie between 0 and 1 (0.5 = half of them)")
        count = np.floor(share * n + 1e-9).astype(np.int64)
    if max_overlap is not None:
        max_overlap = whole_number(max_overlap, "max_overlap", 0)
    left_out = Rule("value of -inf", np.isneginf(value), 0)
    problem = LineupProblem(salary, rules.roster_size, rules.salary_cap, groups, (left_out, *limits))
    return search_exact(np.where(left_out.weights, 0.0, value), problem, n, max_overlap=max_overlap, max_count=count)
