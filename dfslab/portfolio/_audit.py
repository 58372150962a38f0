"""The audit: every rule checked again on the lineups that came out."""

from dataclasses import replace

import numpy as np
import pandas as pd

from dfslab.lineups import distinct
from dfslab.optimize import LeverageAwareOptimizer
from dfslab.portfolio._greedy import Limits


def audit(
    optimizer: LeverageAwareOptimizer, lineups, n: int, *, limits: Limits | None = None, regimes=()
) -> pd.DataFrame:
    """Re-check every rule on the final `lineups` (N, K) of `n` asked for, a row per rule: found, limit, holds.

    The rules of `optimizer` are checked one by one. With a quota among the limits, the `regimes` (N,) that the lineups
    lean on must be as many.
    """
    slate, problem = optimizer.slate, optimizer.problem
    size, cap = problem.size, problem.cap
    lineups = np.asarray(lineups, int).reshape(-1, size)
    limits = limits or Limits(1.0, size - 1)
    held = np.zeros((len(lineups), len(slate)), int)
    np.put_along_axis(held, lineups, 1, axis=1)
    shared = held @ held.T
    np.fill_diagonal(shared, 0)
    legal = replace(problem, rules=()).legal(lineups) & ~slate.out[lineups].any(axis=1)
    different = len(distinct(lineups)[0])
    cost, top = int(slate.salary[lineups].sum(axis=1).max(initial=0)), int(shared.max(initial=0))
    rows = [
        ("lineups as many as asked", len(lineups), n, len(lineups) == n),
        ("all lineups different", different, len(lineups), different == len(lineups)),
        ("legal lineups (roster, cap, groups, nobody who is out)", int(np.sum(legal)), n, bool(np.all(legal))),
        ("dearest lineup, dollars", cost, cap, cost <= cap),
        ("drivers shared by two lineups, at most", top, limits.max_overlap, top <= limits.max_overlap),
        *_exposure_rows(held, limits, n),
    ]
    if len(lineups):
        rows += [_rule_row(problem.called(name), lineups) for name in problem.names]
    if limits.quota is not None:
        made = pd.Series(regimes, dtype=object).value_counts()
        off = int(made.sub(pd.Series(limits.quota), fill_value=0).abs().sum())
        rows.append(("lineups off the regimes' allocation", off, 0, off == 0))
    return pd.DataFrame(rows, columns=["rule", "found", "limit", "holds"])


def _exposure_rows(held, limits: Limits, n: int):
    """Yield the audit's rows on exposure, for all lineups and for those that enter: the driver nearest to his limit."""
    for m in dict.fromkeys((n, min(limits.entering or n, n))):
        count, of = held[:m].sum(axis=0), "lineups" if m == n else f"of the {m} that enter, lineups"
        most, least = (np.broadcast_to(bound(m), count.shape) for bound in (limits.most, limits.least))
        sides = [("that hold one driver, at most", most, count - most)]
        if least.any():
            asked = np.where(least > 0, least - count, -n - 1)
            sides.append(("that hold a driver asked for, at least", least, asked))
        for what, limit, over in sides:
            i = int(np.argmax(over))
            yield f"{of} {what}", int(count[i]), int(limit[i]), bool(over[i] <= 0)


def _rule_row(rules, lineups) -> tuple:
    """Return the audit's row of the rules of one name: the sum nearest to its bound, or past it."""
    total = np.max if rules[0].each else np.sum
    sums = np.concatenate([total(rule.weights[lineups], axis=1) for rule in rules])
    found = sums.min() if rules[0].floor else sums.max()
    holds = bool(np.all([rule.holds(lineups) for rule in rules]))
    return rules[0].name, round(float(found), 6), round(float(rules[0].limit), 6), holds
