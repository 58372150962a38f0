"""Integer programming, the one place that talks to PuLP: the best lineups one after another, and the best set."""

from collections import defaultdict
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


def search_milp(value, problem: LineupProblem, n: int, *, max_overlap=None, max_count=None) -> np.ndarray:
    """Return what `search_exact` returns by integer programming: solve, forbid the lineup, repeat.

    Totals are those of the exact search to 1e-7 of the largest value; tied lineups may come in another order.
    """
    value = scaled_value(value)
    objective = value * (LARGEST_VALUE / max(np.abs(value).max(initial=0.0), 1e-300))
    left = np.full(len(value), n) if max_count is None else np.array(max_count)
    most = problem.size - 1 if max_overlap is None else min(max_overlap, problem.size - 1)
    alone, sides, found = np.eye(len(value)), _sides(problem), []
    sides += [(alone[i], 0) for i in np.flatnonzero(left <= 0)]
    while len(found) < n:
        chosen = _solve(objective, sides, problem.size)
        if chosen is None:
            break
        lineup = np.flatnonzero(chosen)
        legal = bool(problem.legal(lineup[None])[0])  # the model is wider than the rules by the solver's tolerance
        sides.append((chosen, most if legal else len(lineup) - 1))
        if legal:
            found.append(lineup)
            left[lineup] -= 1
            sides += [(alone[i], 0) for i in lineup[left[lineup] == 0]]
    found = np.array(found, np.int64).reshape(-1, problem.size)
    return found[np.argsort(-value[found].sum(axis=1), kind="stable")]


def _sides(problem: LineupProblem) -> list:
    """Return the problem as (weights (D,), most) with Σ weights ≤ most, widened by the solver's own tolerance."""
    groups = [] if problem.groups is None else [problem.groups == group for group in np.unique(problem.groups)]
    rules = [(weights, most + SOLVER_SLACK) for weights, most in (rule.side for rule in problem.rules)]
    return [(problem.salary, problem.cap), *((members, 1) for members in groups), *rules]


def choose_set(pool, value, n: int, min_count, max_count, max_overlap) -> np.ndarray | None:
    """Return the `n` of the lineups `pool` (C, K) of largest total value under counts per driver; None if impossible.

    Two share more than `max_overlap` drivers exactly when some set of one driver more lies in both, so each such set
    may be used once.
    """
    holds, total = np.zeros((len(value), len(pool))), value[pool].sum(axis=1)
    np.put_along_axis(holds, pool.T, 1, axis=0)
    sides = [(-holds[i], -min_count[i]) for i in np.flatnonzero(min_count)]
    sides += [] if max_count is None else list(zip(holds, max_count, strict=True))
    sharing = defaultdict(list)
    for row, lineup in enumerate(pool.tolist() if max_overlap is not None else ()):
        for part in combinations(lineup, max_overlap + 1):
            sharing[part].append(row)
    sides += [(np.isin(np.arange(len(pool)), rows), 1) for rows in sharing.values() if len(rows) > 1]
    chosen = _solve((total - total.min()) / max(np.ptp(total), 1e-12), sides, n)
    return None if chosen is None else pool[chosen]


def _solve(objective, sides, size: int) -> np.ndarray | None:
    """Return the `size` things of the largest `objective` (V,) within the `sides`, (V,) bool; None where none are.

    Optimal with gap 0; any other end of the solver raises `RuntimeError`.
    """
    import pulp

    problem = pulp.LpProblem("lineups", pulp.LpMaximize)
    x = [problem.add_variable(f"x{i}", cat="Binary") for i in range(len(objective))]
    problem += pulp.lpSum(float(c) * x[i] for i, c in enumerate(objective))
    problem += pulp.lpSum(x) == size
    for weights, most in sides:
        problem += pulp.lpSum(float(weights[i]) * x[i] for i in np.flatnonzero(weights)) <= float(most)
    result = problem.solve(pulp.getSolver("HiGHS", msg=False, gapRel=0.0, gapAbs=0.0))
    status = int(getattr(result, "status", result))  # PuLP 4 returns a record, PuLP 3 the number itself
    if status == INFEASIBLE:
        return None
    if status != OPTIMAL:
        raise RuntimeError(f"HiGHS ended with status {status}, neither optimal nor infeasible; please report the model")
    return np.array([v.varValue > 0.5 for v in x], bool)
