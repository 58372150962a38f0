"""Integer programming, the one place that talks to PuLP: the best lineups one after another, and the best set."""

from itertools import combinations

import numpy as np

from dfslab.lineups._exact import scaled_value
from dfslab.lineups._problem import LineupProblem

SOLVER_SLACK = 1e-6
"""HiGHS's feasibility tolerance: rows are widened by it in the model, and lineups checked exactly afterwards."""
LARGEST_VALUE = 1000.0
"""Values are scaled to this: HiGHS tells objectives apart that differ by 1e-7 of it."""
OPTIMAL, INFEASIBLE = 1, -1
"""PuLP's status numbers, the same in its versions 3 and 4 (their names are not)."""


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


def search_milp(value, problem: LineupProblem, n: int, *, max_overlap=None, max_count=None) -> np.ndarray:
    """Return what `search_exact` returns by integer programming: solve, forbid the lineup, repeat.

    Totals are those of the exact search to 1e-7 of the largest value; tied lineups may come in another order.
    """
    value = scaled_value(value)
    objective = value * (LARGEST_VALUE / max(np.abs(value).max(initial=0.0), 1e-300))
    left = np.full(len(value), n) if max_count is None else np.array(max_count)
    most = problem.size - 1 if max_overlap is None else min(max_overlap, problem.size - 1)
    rows, found = _rows(problem) + [([i], [1.0], -np.inf, 0.0) for i in np.flatnonzero(left <= 0)], []
    while len(found) < n:
        chosen = solve_binary(objective, rows)
        if chosen is None:
            break
        lineup = np.flatnonzero(chosen)
        legal = bool(problem.legal(lineup[None])[0])  # the model is wider than the rules by the solver's tolerance
        rows.append((lineup, np.ones(len(lineup)), -np.inf, float(most if legal else len(lineup) - 1)))
        if legal:
            found.append(lineup)
            left[lineup] -= 1
            rows += [([i], [1.0], -np.inf, 0.0) for i in lineup[left[lineup] == 0]]
    found = np.array(found, np.int64).reshape(-1, problem.size)
    return found[np.argsort(-value[found].sum(axis=1), kind="stable")]


def _rows(problem: LineupProblem) -> list:
    """Return the problem as rows for `solve_binary`, widened by the solver's own tolerance."""
    everyone = np.arange(len(problem.salary))
    rows = [(everyone, np.ones(len(everyone)), problem.size, problem.size)]
    rows.append((everyone, problem.salary, -np.inf, problem.cap))
    for group in () if problem.groups is None else np.unique(problem.groups):
        members = np.flatnonzero(problem.groups == group)
        rows.append((members, np.ones(len(members)), -np.inf, 1.0))
    for weights, low, high in (rule.linear() for rule in problem.rules):
        used = np.flatnonzero(weights)
        rows.append((used, weights[used], low - SOLVER_SLACK, high + SOLVER_SLACK))
    return rows


def choose_set(candidates, value, n: int, min_count, max_count, max_overlap=None) -> np.ndarray | None:
    """Choose `n` of `candidates` (C, K) with the largest total value under counts per driver; None when impossible.

    Parameters
    ----------
    candidates : (C, K) distinct lineups
    value : (C,) float
    min_count, max_count : (D,) how often each driver may appear
    max_overlap : drivers two chosen lineups may share; two share more exactly when some set of `max_overlap + 1`
        drivers lies in both, so each such set may be used once

    Returns
    -------
    rows of `candidates`, (n,) int, in their order
    """
    spread = max(float(np.ptp(value)), 1e-12)
    rows = [(np.arange(len(value)), np.ones(len(value)), float(n), float(n))]
    for i in np.flatnonzero((min_count > 0) | (max_count < n)):
        holders = np.flatnonzero((candidates == i).any(axis=1))
        if not holders.size and min_count[i] > 0:
            return None
        rows.append((holders, np.ones(holders.size), float(min_count[i]), float(max_count[i])))
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
