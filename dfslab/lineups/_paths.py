"""Legal lineups as paths, and the path sums that the lineup law is made of.

Sums over all legal lineups are sums over paths of a dynamic programme over (driver, drivers still to take, salary
left), so nothing is enumerated.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

SMALLEST_SUM = 1e-250
"""Below this a path sum (terms scaled to at most 1) may have lost terms to underflow, and counts as none."""


@dataclass(frozen=True)
class LineupSpace:
    """Legal lineups as paths: items in order, each either taken or left, at most one of a layer.

    `cost` counts steps of `unit` dollars above the cheapest driver, so a path that takes `roster_size` items and
    has `b` of `width - 1` steps left spends the cap less `b * unit + remainder` dollars.
    """

    rows: np.ndarray
    """Driver row of each item, (M,)."""
    cost: np.ndarray
    """Steps, (M,)."""
    following: np.ndarray
    """First item of the next layer, (M,)."""
    roster_size: int
    width: int
    """Steps of budget + 1."""
    unit: int
    remainder: int

    @property
    def unspent(self) -> np.ndarray:
        """Dollars below the cap by steps left, (width,)."""
        return np.arange(self.width) * self.unit + self.remainder


def lineup_space(salary, roster_size: int, cap: int, groups, keep) -> LineupSpace:
    """Return the space of lineups of `roster_size` kept drivers for at most `cap` dollars, one of a group at most.

    Parameters
    ----------
    salary : (D,) int dollars
    groups : (D,) int or None, at most one driver of each number
    keep : (D,) bool, the drivers that may be used
    """
    rows = np.flatnonzero(keep)
    following = np.arange(1, len(rows) + 1)
    if groups is not None:
        rows, following = _layers(rows, groups[rows])
    cheapest = int(salary[rows].min(initial=cap + 1))
    budget = cap - roster_size * cheapest
    if budget < 0:
        return LineupSpace(rows[:0], rows[:0], rows[:0], roster_size, 1, 1, 0)
    excess = salary[rows] - cheapest
    unit = max(int(np.gcd.reduce(excess)), 1)
    cost = excess // unit
    steps = min(budget // unit, int(np.sort(cost)[-roster_size:].sum()))
    return LineupSpace(rows, cost, following, roster_size, steps + 1, unit, budget - steps * unit)


def _layers(rows, groups):
    """Put the members of a group side by side, groups in order of appearance."""
    _, first, code = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(first[code], kind="stable")
    layer = first[code][order]
    following = np.searchsorted(layer, layer, side="right")
    return rows[order], following


def distinct(lineups) -> tuple[np.ndarray, np.ndarray]:
    """Return the different lineups (U, K), rows sorted, in lexicographic order, and their copies (U,)."""
    lineups = np.sort(np.asarray(lineups, np.int64), axis=1)
    digits = (int(lineups.max(initial=0)) + 1,) * lineups.shape[1]
    if np.prod(digits, dtype=float) >= 2**62:
        return np.unique(lineups, axis=0, return_counts=True)
    codes, copies = np.unique(np.ravel_multi_index(lineups.T, digits), return_counts=True)
    return np.column_stack(np.unravel_index(codes, digits)), copies


@njit(cache=True, fastmath={"reassoc", "contract"})
def _dot(x, y):
    total = 0.0
    for b in range(len(x)):
        total += x[b] * y[b]
    return total


@njit(cache=True)
def _completions(weight, cost, following, roster_size, terminal):
    """Return Σ Π weight over every completion from item j with k to take and b steps left, (M+1, K+1, width)."""
    m, width = len(cost), len(terminal)
    table = np.zeros((m + 1, roster_size + 1, width))
    for j in range(m + 1):
        table[j, 0] = terminal
    for j in range(m - 1, -1, -1):
        c, w = cost[j], weight[j]
        for k in range(max(1, roster_size - j), min(roster_size, m - j) + 1):
            source, target, without = table[following[j], k - 1], table[j, k], table[j + 1, k]
            for b in range(min(c, width)):
                target[b] = without[b]
            for b in range(c, width):
                target[b] = without[b] + w * source[b - c]
    return table


@njit(cache=True)
def _advance(start, current, w, c):
    """Add to `current` the paths of `start` that take an item of weight w and cost c."""
    width = start.shape[1]
    for k in range(start.shape[0] - 1):
        for b in range(width - c):
            current[k + 1, b] += w * start[k, b + c]


@njit(cache=True)
def _meeting(start, ahead, w, c):
    """Return the sum over paths of `start` that take the item and then complete a lineup by `ahead`."""
    size, total = start.shape[0] - 1, 0.0
    width = start.shape[1]
    if c >= width:
        return 0.0
    for k in range(size):
        total += _dot(start[k, c:], ahead[size - 1 - k, : width - c])
    return w * total


@njit(cache=True)
def _path_marginals(weight, cost, following, table):
    """Return Σ Π weight over the lineups that hold each item, (M,), and over those that end with b steps left."""
    m, size, width = table.shape[0] - 1, table.shape[1] - 1, table.shape[2]
    start = np.zeros((size + 1, width))
    start[0, width - 1] = 1.0
    current = start.copy()
    sums = np.empty(m)
    for j in range(m):
        sums[j] = _meeting(start, table[following[j]], weight[j], cost[j])
        _advance(start, current, weight[j], cost[j])
        if following[j] == j + 1:
            start[:] = current
    return sums, current[size] * table[m, 0]


@njit(cache=True)
def _path_pairs(weight, cost, following, table):
    """Return Σ Π weight over the lineups that hold both items, (M, M) with a zero diagonal."""
    m, size, width = table.shape[0] - 1, table.shape[1] - 1, table.shape[2]
    start = np.zeros((size + 1, width))
    start[0, width - 1] = 1.0
    current = start.copy()
    pairs = np.zeros((m, m))
    for i in range(m):
        held = np.zeros((size + 1, width))
        _advance(start, held, weight[i], cost[i])
        ahead = held.copy()
        for j in range(following[i], m):
            pairs[i, j] = pairs[j, i] = _meeting(held, table[following[j]], weight[j], cost[j])
            _advance(held, ahead, weight[j], cost[j])
            if following[j] == j + 1:
                held[:] = ahead
        _advance(start, current, weight[i], cost[i])
        if following[i] == i + 1:
            start[:] = current
    return pairs


@njit(cache=True)
def _draw(uniforms, columns, cost, following):
    """Return items (n, K): each pick inverts the distribution of the next item; `columns` is (K+1, width, M+1)."""
    n, size = uniforms.shape
    width, m = columns.shape[1], len(cost)
    picks = np.empty((n, size), np.int64)
    for row in range(n):
        j, b = 0, width - 1
        for k in range(size, 0, -1):
            column = columns[k, b]
            level = column[j] + np.log1p(-uniforms[row, size - k])
            low, high = j, m
            while high - low > 1:
                middle = (low + high) // 2
                if column[middle] < level:
                    high = middle
                else:
                    low = middle
            picks[row, size - k] = low
            b -= cost[low]
            j = following[low]
    return picks


def _scaled(space: LineupSpace, theta, taste):
    """Return weights and terminal weights of at most 1, and the logarithm of what was divided out.

    A slope of theta in salary is moved to the terminal weights: log-worths that rise steeply with salary are what
    makes path sums under- or overflow.
    """
    centred = space.cost - space.cost.mean()
    slope = centred @ theta / max(centred @ centred, 1e-300)
    rest = theta - slope * space.cost
    terminal = taste + slope * np.arange(space.width - 1, -1, -1)
    shift = space.roster_size * rest.max() + terminal.max()
    return np.exp(rest - rest.max()), np.exp(terminal - terminal.max()), shift


@dataclass(frozen=True)
class Paths:
    """Path sums of `exp(Σ theta + taste)` at one theta; `log_normaliser` is -inf where no path can be summed."""

    space: LineupSpace
    log_normaliser: float
    marginals: np.ndarray
    """P(held) of each item, (M,)."""
    unspent: np.ndarray
    """P(b steps left), (width,)."""
    weight: np.ndarray
    table: np.ndarray | None

    @classmethod
    def at(cls, space: LineupSpace, theta, taste) -> "Paths":
        nothing = cls(space, -np.inf, np.zeros(len(theta)), np.zeros(space.width), theta, None)
        if not len(theta):
            return nothing
        weight, terminal, shift = _scaled(space, theta, taste)
        table = _completions(weight, space.cost, space.following, space.roster_size, terminal)
        total = table[0, -1, -1]
        if not total > SMALLEST_SUM:
            return nothing
        sums, ends = _path_marginals(weight, space.cost, space.following, table)
        return cls(space, np.log(total) + shift, sums / total, ends / total, weight, table)

    def pairs(self) -> np.ndarray:
        """Return P(both held), (M, M), the marginals on the diagonal."""
        if self.table is None:
            raise np.linalg.LinAlgError("no path to be summed")
        pairs = _path_pairs(self.weight, self.space.cost, self.space.following, self.table) / self.table[0, -1, -1]
        pairs[np.diag_indices(len(pairs))] = self.marginals
        return pairs

    @cached_property
    def _columns(self) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.ascontiguousarray(np.log(self.table).transpose(1, 2, 0))

    def draw(self, uniforms) -> np.ndarray:
        """Return a lineup of items for each row of `uniforms` (n, K) in [0, 1), exactly distributed."""
        return _draw(uniforms, self._columns, self.space.cost, self.space.following)
