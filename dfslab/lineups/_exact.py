"""Exact search over legal lineups: the best n under any linear rules, in order, and plain enumeration."""

from copy import copy
from functools import cached_property

import numpy as np
from numba import njit

from dfslab.errors import UserError, whole_number
from dfslab.lineups._paths import lineup_codes
from dfslab.lineups._problem import EXACT, LineupProblem, Rule

MAX_STEPS = 200_000_000
"""Steps after which a search gives up (a few seconds)."""
MAX_LINEUPS = 200_000_000
"""Lineups held at most while one window of values is searched."""
TIE_DIGITS = 11
"""Values that agree to this many digits of the largest driver's value are ties (float noise is near 1e-15)."""
EASY_STEPS = 1_000_000
"""Steps before the side rules are priced into the bound, which takes a few milliseconds itself."""
DUAL_ROUNDS = 100
"""Subgradient rounds spent on those prices."""


class SearchTooLarge(RuntimeError):
    """The exact search would take too long; relax a rule, ask for fewer lineups, or use another engine."""


@njit(cache=True)
def _least(amount, cost, following, roster_size, terminal):
    """Return the least Σ amount of every completion, (K+1, width, M+1); inf where there is none."""
    m, width = len(cost), len(terminal)
    table = np.full((m + 1, roster_size + 1, width), np.inf)
    for j in range(m + 1):
        table[j, 0] = terminal
    for j in range(m - 1, -1, -1):
        c, a = cost[j], amount[j]
        for k in range(1, min(roster_size, m - j) + 1):
            table[j, k] = table[j + 1, k]
            source, target = table[following[j], k - 1], table[j, k]
            for b in range(c, width):
                target[b] = min(target[b], a + source[b - c])
    return np.ascontiguousarray(table.transpose(1, 2, 0))


@njit(cache=True)
def _cheapest(table, cost, following):
    """Return the items (K,) whose total is the least of `table`."""
    size, b, j = table.shape[0] - 1, table.shape[1] - 1, 0
    picks = np.empty(size, np.int64)
    for k in range(size, 0, -1):
        while table[k, b, j] == table[k, b, j + 1]:
            j += 1
        picks[size - k] = j
        b -= cost[j]
        j = following[j]
    return picks


@njit(cache=True)
def _prices(amounts, limits, cost, following, roster_size, terminal, rounds):
    """Return prices (R-1,) of the side rules that make the bound `min (amounts[0] + prices · sides)` high.

    Subgradient steps of Polyak's length [polyak1969] to a level that comes nearer whenever the bound stops rising.
    """
    sides, highs = amounts[1:], limits[1:]
    prices, best_prices = np.zeros(len(highs)), np.zeros(len(highs))
    scale = np.empty(len(highs))
    for r in range(len(highs)):
        scale[r] = 1.0 / max(np.std(sides[r]), 1e-12)
    best, reach, idle = -np.inf, 2.0 * np.std(amounts[0]), 0
    for _ in range(rounds):
        row = amounts[0].copy()
        for r in range(len(highs)):
            row += prices[r] * sides[r]
        table = _least(row, cost, following, roster_size, terminal)
        bound = table[roster_size, -1, 0] - np.dot(prices, highs)
        if bound > best + 1e-6 * reach:
            best, best_prices, idle = bound, prices.copy(), 0
        else:
            idle += 1
        if idle == 3:
            reach, idle = reach / 2, 0
        excess = -highs * scale
        for item in _cheapest(table, cost, following):
            excess += sides[:, item] * scale
        length = (best + reach - bound) / max(np.dot(excess, excess), 1e-12)
        prices = np.maximum(prices + length * scale * excess, 0.0)
    return best_prices


@njit(cache=True)
def _fits(j, left, budget, spent, amounts, limits, tables, cost, following):
    """Whether taking item j can still end in a lineup within every limit."""
    rest = budget - cost[j]
    if rest < 0:
        return False
    for r in range(len(limits)):
        if spent[r] + amounts[r, j] + tables[r, left - 1, rest, following[j]] > limits[r]:
            return False
    return True


@njit(cache=True)
def _apart(holds, before, overlap, after):
    """Write the shared drivers per slot, `before` + `holds`, to `after`; whether none passes `overlap`."""
    apart = True
    for slot in range(len(holds)):
        after[slot] = before[slot] + holds[slot]
        apart &= after[slot] <= overlap
    return apart


@njit(cache=True)
def _walk(amounts, limits, tables, cost, following, holds, shared, overlap, capacity, max_steps):
    """Return items (n, K) of every lineup within all limits in depth-first order, and why it ended.

    `holds` (M, slots) tells which items each lineup taken before holds, `shared` how many of the locked drivers.
    The end: 0: complete, 1: `capacity` reached, 2: `max_steps` reached.
    """
    n_limits, roster_size, width = len(limits), tables.shape[1] - 1, tables.shape[2]
    found = np.empty((capacity, roster_size), np.int16)
    picks, cursor = np.zeros(roster_size + 1, np.int64), np.zeros(roster_size + 1, np.int64)
    budget, spent = np.zeros(roster_size + 1, np.int64), np.zeros((roster_size + 1, n_limits))
    budget[0], count, steps, depth = width - 1, 0, 0, 0
    common = np.zeros((roster_size + 1, len(shared)), np.uint8)
    common[0] = shared
    while depth >= 0:
        left, b, j = roster_size - depth, budget[depth], cursor[depth]
        if left == 0:
            if count == capacity:
                return found, 1
            found[count] = picks[:roster_size]
            count += 1
            depth -= 1
            continue
        taken = False
        while j < len(cost) and spent[depth, 0] + tables[0, left, b, j] <= limits[0]:
            steps += 1
            taken = _fits(j, left, b, spent[depth], amounts, limits, tables, cost, following)
            if taken and _apart(holds[j], common[depth], overlap, common[depth + 1]):
                break
            taken = False
            j += 1
        if steps > max_steps:
            return found[:count], 2
        if not taken:
            depth -= 1
            continue
        picks[depth], cursor[depth] = j, j + 1
        spent[depth + 1] = spent[depth] + amounts[:, j]
        budget[depth + 1], cursor[depth + 1] = b - cost[j], following[j]
        depth += 1
    return found[:count], 0


@njit(cache=True)
def _scan(lineups, holds, n_held, counts, quota, overlap, wanted):
    """Return the indices of lineups accepted one after another; `holds` (D, slots) and `counts` are updated."""
    accepted = np.empty(wanted, np.int64)
    n_accepted = 0
    shared = np.empty(holds.shape[1], np.uint8)
    for index in range(len(lineups)):
        if n_accepted == wanted:
            break
        row = lineups[index]
        free = True
        for driver in row:
            free = free and counts[driver] < quota[driver]
        if not free:
            continue
        shared[:] = 0
        for driver in row:
            free = free and _apart(holds[driver, :n_held], shared, overlap, shared)
        if not free:
            continue
        for driver in row:
            holds[driver, n_held] = 1
            counts[driver] += 1
        n_held += 1
        accepted[n_accepted] = index
        n_accepted += 1
    return accepted[:n_accepted]


class _Question:
    """A value and a problem made ready: who is locked, who may be used, the least salary, the other rules as sides."""

    def __init__(self, value, problem: LineupProblem):
        self.value, self.problem = value, problem
        self.keep, self.locked = np.ones(len(value), bool), np.zeros(len(value), bool)
        self.least_salary, self.sides = 0.0, []
        for rule in problem.rules:
            self._sort(*rule.linear())
        self.locks = np.flatnonzero(self.locked)
        scale = np.abs(value).max(initial=0.0) or 1.0
        self.tick = 10.0 ** (np.floor(np.log10(scale)) - TIE_DIGITS + 1)

    def _sort(self, weights, low, high):
        """Put a rule where the search is fastest with it."""
        counts = bool(((weights == 0) | (weights == 1)).all())
        if counts and low == weights.sum() <= high:
            self.locked |= weights == 1
        elif low == -np.inf and high == 0 and (weights >= 0).all():
            self.keep &= weights == 0
        elif high == np.inf and np.array_equal(weights, self.problem.salary):
            self.least_salary = max(self.least_salary, low)
        else:
            slack = EXACT * np.abs(weights).max(initial=0.0)
            both = (weights, high + slack), (-weights, slack - low)
            self.sides += [side for side in both if side[1] < np.inf]

    @property
    def possible(self) -> bool:
        """Whether the locked drivers may be together."""
        groups = np.zeros(0) if self.problem.groups is None else self.problem.groups[self.locks]
        return len(self.locks) <= self.problem.size and len(np.unique(groups)) == len(groups)

    def ban(self, drivers) -> "_Question":
        banned = copy(self)
        banned.keep = self.keep.copy()
        banned.keep[drivers] = False
        return banned

    def ticks(self, lineups) -> np.ndarray:
        return np.rint(self.value[lineups].sum(axis=1) / self.tick).astype(np.int64)


class _Tables:
    """The bounds of one question: one row for the value, one per side, one for their dual."""

    def __init__(self, question: _Question, holds, overlap):
        q, problem, locks = question, question.problem, question.locks
        self.question, free = q, q.keep & ~q.locked
        if problem.groups is not None:
            free &= ~np.isin(problem.groups, problem.groups[locks])
        rest = LineupProblem(
            problem.salary, problem.size - len(locks), problem.cap - problem.salary[locks].sum(), problem.groups
        )
        self.space = s = rest.paths(free)
        self.terminal = np.where(s.unspent <= problem.cap - q.least_salary, 0.0, np.inf)
        self.amounts = np.array([-q.value, *(weights for weights, _ in q.sides)])
        self.limits = np.array([np.inf, *(high for _, high in q.sides)]) - self.amounts[:, locks].sum(axis=1)
        self.amounts = self.amounts[:, s.rows]
        self.taken = holds[s.rows], holds[locks].sum(axis=0, dtype=np.uint8), overlap
        self.exists, self.offset = bool(s.width > 0 and q.keep[locks].all()), q.value[locks].sum()
        if self.exists:
            self.tables = np.array([self._least(a) for a in self.amounts])
            least = self.tables[:, -1, -1, 0]
            self.exists = bool((least <= self.limits).all() and np.isfinite(least).all())
            self.best = self.offset - least[0]

    def _least(self, amount):
        s = self.space
        return _least(np.ascontiguousarray(amount), s.cost, s.following, s.roster_size, self.terminal)

    def above(self, floor: float, capacity: int):
        """Return lineups (n, K) of value ≥ floor in no order, and whether there were more than `capacity`."""
        limits = self.limits.copy()
        limits[0] = self.offset - floor
        items, ending = self._walk(limits, capacity, MAX_STEPS if len(limits) == 1 else EASY_STEPS)
        if ending == 2 and len(limits) > 1:
            items, ending = self._walk(limits, capacity, MAX_STEPS, self._dual)
        if ending == 2:
            raise SearchTooLarge(f"more than {MAX_STEPS:,} steps; relax a rule or ask for fewer lineups")
        lineups, locks = self.space.rows[items], self.question.locks
        if len(locks):
            lineups = np.concatenate([lineups, np.broadcast_to(locks, (len(items), len(locks)))], axis=1)
        if len(locks) or self.question.problem.groups is not None:
            lineups = np.sort(lineups, axis=1)
        return lineups, ending == 1

    def _walk(self, limits, capacity, max_steps, dual=None):
        amounts, tables = self.amounts, self.tables
        if dual is not None:
            prices, amounts, tables = dual
            limits = np.append(limits[0] + prices @ limits[1:] + self.question.tick, limits)
        return _walk(amounts, limits, tables, self.space.cost, self.space.following, *self.taken, capacity, max_steps)

    @cached_property
    def _dual(self):
        """Prices of the side rules, and amounts and tables with value and priced rules added up in front."""
        s = self.space
        args = self.amounts, self.limits, s.cost, s.following, s.roster_size, self.terminal
        prices = _prices(*args, DUAL_ROUNDS)
        row = self.amounts[0] + prices @ self.amounts[1:]
        return prices, np.vstack([row, self.amounts]), np.concatenate([self._least(row)[None], self.tables])


def search_exact(value, problem: LineupProblem, n: int, *, max_overlap=None, max_count=None) -> np.ndarray:
    """Return the `n` lineups of highest total value, best first, exactly, (≤ n, K) with sorted rows.

    With `max_overlap` (drivers two lineups may share) or `max_count` ((D,) lineups a driver may be in) each lineup is
    the best one that still respects them given the lineups before it. Equal totals are ordered by driver rows.

    Raises
    ------
    SearchTooLarge : the rules leave a search of more than `MAX_STEPS` steps
    """
    question = _Question(np.asarray(value, float), problem)
    selection = _Selection(problem.size, len(question.value), n, max_overlap, max_count)
    if question.possible:
        _select(question, selection)
    return selection.lineups()


def best_lineups(
    value,
    salary,
    rules,
    n: int,
    *,
    groups=None,
    max_overlap: int | None = None,
    max_exposure=None,
    locks=(),
    bans=(),
    min_salary: int | None = None,
    limits: tuple[Rule, ...] = (),
) -> np.ndarray:
    """Return the `n` legal lineups of highest total value, best first, exactly.

    With `max_overlap` or `max_exposure` each lineup is the best one that still respects them given the lineups
    before it. Equal totals are ordered by driver rows (the lexicographically smaller lineup first).

    Parameters
    ----------
    value : (D,) float, what a driver adds
    salary : (D,) int dollars
    rules : ContestRules (roster size and cap)
    n : number of lineups; fewer are returned when fewer exist
    groups : (D,) int or None, at most one driver of each number
    max_overlap : most drivers two lineups may share
    max_exposure : fraction of `n`, or (D,) fractions: a driver is in at most floor(max_exposure * n) lineups
    locks, bans : driver rows that every lineup, or none, holds
    min_salary : dollars a lineup must spend
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
    if not np.isfinite(value).all():
        raise ValueError(f"value of driver row {np.flatnonzero(~np.isfinite(value))[0]} is not a finite number")
    if max_exposure is not None:
        share = np.broadcast_to(np.asarray(max_exposure, float), value.shape)
        if not ((share >= 0) & (share <= 1)).all():
            raise UserError("max_exposure: shares of the lineups lie between 0 and 1 (0.5 = half of them)")
        count = np.floor(share * n + 1e-9).astype(np.int64)
    if max_overlap is not None:
        max_overlap = whole_number(max_overlap, "max_overlap", 0)
    asked = [Rule.on("locks", [row], len(value), low=1) for row in locks]
    asked += [Rule.on("bans", list(bans), len(value), high=0)] if len(bans) else []
    asked += [Rule("min_salary", salary, low=min_salary, unit="dollars")] if min_salary else []
    problem = LineupProblem(salary, rules.roster_size, rules.salary_cap, groups, (*asked, *limits))
    return search_exact(value, problem, n, max_overlap=max_overlap, max_count=count)


class _Selection:
    """Lineups taken so far, and what they leave open: exposure quotas and overlap."""

    def __init__(self, size, drivers, n, max_overlap, max_count):
        self.wanted, self.taken = n, []
        self.simple = max_overlap is None and max_count is None
        self.overlap = np.uint8(size - 1 if max_overlap is None else min(int(max_overlap), size - 1))
        self.quota = np.full(drivers, 2**31) if max_count is None else np.asarray(max_count, np.int64)
        self.counts, self.held, self.roster_size = np.zeros(drivers, np.int64), 0, size
        self.holds = np.zeros((drivers, 0 if self.simple else n), np.uint8)

    @property
    def missing(self) -> int:
        return self.wanted - sum(map(len, self.taken))

    @property
    def used_up(self) -> np.ndarray:
        return np.flatnonzero(self.counts >= self.quota)

    @property
    def taken_before(self):
        """Who is in each lineup taken (D, slots), and how many drivers may be shared with any of them."""
        return np.ascontiguousarray(self.holds[:, : self.held]), self.overlap

    def lineups(self) -> np.ndarray:
        return np.concatenate([np.empty((0, self.roster_size), np.int64), *self.taken])

    def offer(self, lineups):
        if self.simple:
            self.taken.append(lineups[: self.missing])
            return
        accepted = _scan(lineups, self.holds, self.held, self.counts, self.quota, self.overlap, self.missing)
        self.held += len(accepted)
        self.taken.append(lineups[accepted])


def take_in_order(lineups, n: int, n_drivers: int, max_overlap=None, max_count=None) -> np.ndarray:
    """Return the first `n` of `lineups` (L, K) that respect overlap and counts given those taken before, (≤ n, K)."""
    selection = _Selection(lineups.shape[1], n_drivers, n, max_overlap, max_count)
    selection.offer(lineups)
    return selection.lineups()


def _select(question: _Question, selection: _Selection) -> None:
    """Offer lineups to the selection in descending order, window by window, until it is full or none is left."""
    upper, depth, want = np.inf, None, selection.wanted if selection.simple else max(2 * selection.wanted, 300)
    while selection.missing:
        tables = _Tables(question.ban(selection.used_up), *selection.taken_before)
        if not tables.exists:
            return
        lineups, lower, depth = _window(tables, upper, want, depth)
        selection.offer(lineups)
        if lower is None:
            return
        upper = lower


def _window(tables: _Tables, upper: float, want: int, depth: float | None):
    """Return the lineups just below tick `upper` (at least `want` where so many exist) in order, and the new tick.

    The tick is None when nothing is left below. `depth` is the window's width in ticks, a first guess and a result.
    """
    q = tables.question
    top = np.floor(min(tables.best / q.tick + 1, upper))
    bottom = np.rint(-np.abs(q.value).sum() / q.tick - 2)
    depth = depth or max(np.std(q.value) / 4 / q.tick, 1.0)
    capacity, narrow, wide = 8 * want + 1000, 0.0, np.inf
    while True:
        lower = max(np.ceil(top - depth), bottom)
        lineups, overflow = tables.above((lower - 0.5) * q.tick, capacity)
        if overflow and depth > 1:
            wide = depth
            depth = max((narrow + wide) / 2, 1.0) if narrow else depth / 4
            continue
        if overflow:
            capacity *= 8
            if capacity > MAX_LINEUPS:
                raise SearchTooLarge(f"more than {capacity // 8:,} lineups tie; give values that tell drivers apart")
            continue
        ticks = q.ticks(lineups)
        inside = (ticks >= lower) & (ticks < upper)
        if inside.sum() < want and lower > bottom:
            narrow, depth = depth, depth * 2 if wide == np.inf else (depth + wide) / 2
            if wide - narrow < 1:
                wide, capacity = np.inf, capacity * 8
            continue
        order = np.lexsort((lineup_codes(lineups[inside], len(q.value)), -ticks[inside]))
        return lineups[inside][order], None if lower <= bottom else lower, depth


def enumerate_lineups(salary, rules, *, groups=None, limit: int = 10_000_000) -> np.ndarray:
    """Return every legal lineup, (L, K), in lexicographic order; raise `SearchTooLarge` beyond `limit`."""
    problem = LineupProblem(salary, rules.roster_size, rules.salary_cap, groups)
    question = _Question(np.zeros(len(problem.salary)), problem)
    tables = _Tables(question, np.zeros((len(salary), 0), np.uint8), np.uint8(0))
    if not tables.exists:
        return np.empty((0, rules.roster_size), np.int64)
    lineups, overflow = tables.above(0.0, limit)
    if overflow:
        raise SearchTooLarge(f"more than {limit:,} legal lineups; raise `limit` or search instead of enumerating")
    return lineups if groups is None else lineups[np.argsort(lineup_codes(lineups, len(salary)))]
