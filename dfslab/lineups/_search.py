"""The search a person's optimizer calls: by the engine asked for, one lineup after another or a set with minima."""

import numpy as np

from dfslab.errors import UserError
from dfslab.lineups._exact import SearchTooLarge, search_exact
from dfslab.lineups._milp import choose_set, search_milp
from dfslab.lineups._problem import LineupProblem

ENGINES = ("auto", "exact", "milp")
SMALL_SET = 30
"""Up to so many lineups a set with overlap limits is chosen with gap 0; HiGHS takes minutes for larger ones."""
PRICE_ROUNDS = 40
"""Rounds in which the prices of minimum exposures settle."""


def search(value, problem: LineupProblem, n: int, *, max_overlap=None, max_count=None, engine="auto"):
    """Return the best `n` lineups (≤ n, K), see `search_exact`.

    "auto" is the exact search, and integer programming where that would take too long.
    """
    if engine not in ENGINES:
        raise UserError(f"engine '{engine}' is unknown; take one of {', '.join(ENGINES)}")
    limits = {"max_overlap": max_overlap, "max_count": max_count}
    if engine != "milp":
        try:
            return search_exact(value, problem, n, **limits)
        except SearchTooLarge:
            if engine == "exact":
                raise
    return search_milp(value, problem, n, **limits)


def search_set(
    value, problem: LineupProblem, n: int, min_count, *, max_overlap=None, max_count=None, engine="auto"
) -> np.ndarray:
    """Return `n` lineups of large total value that hold each driver `min_count` (D,) times, best first.

    Lineups are found one after another at prices on the minima: a price rises while its driver is short and falls while
    he has more than asked; its step grows as long as the direction stays and is halved when it turns (the rule of
    resilient propagation). Of all that `PRICE_ROUNDS` rounds found the best set is taken; where overlap is limited over
    more than `SMALL_SET` lineups, or no set has the minima, the round's that is best or nearest to them; fewer than `n`
    where so many do not exist.
    """
    limits = {"max_overlap": max_overlap, "max_count": max_count, "engine": engine}
    prices, step, before = np.zeros(len(value)), np.full(len(value), 0.05 * np.std(value)), np.zeros(len(value))
    best, best_key = search(value, problem, n, **limits), (-np.inf, -np.inf)
    if len(best) < n:
        return best
    pool = []
    for _ in range(PRICE_ROUNDS):
        found = search(value + prices, problem, n, **limits)
        pool.append(found)
        if len(found) < n:  # the prices crowd the lineups: halve the last step
            step = step / 2
            prices = np.maximum(prices - step * before, 0.0)
            continue
        count = np.bincount(found.ravel(), minlength=len(value))
        key = (-np.maximum(min_count - count, 0).sum(), value[found].sum())
        if key > best_key:
            best, best_key = found, key
        direction = np.where(min_count > 0, np.sign(min_count - count), 0.0)
        step = step * np.where(direction == before, 1.3, 0.5)
        prices, before = np.maximum(prices + step * direction, 0.0), direction
    if max_overlap is None or n <= SMALL_SET:
        chosen = choose_set(np.unique(np.concatenate(pool), axis=0), value, n, min_count, max_count, max_overlap)
        best = best if chosen is None else chosen
    return best[np.lexsort((*best.T[::-1], -value[best].sum(axis=1)))]
