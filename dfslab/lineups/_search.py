"""The search a person's optimizer calls: by the engine asked for, one lineup after another or a set with minima."""

import numpy as np

from dfslab.errors import UserError
from dfslab.lineups._exact import SearchTooLarge, search_exact
from dfslab.lineups._milp import choose_set, search_milp
from dfslab.lineups._problem import LineupProblem, Rule

ENGINES = ("auto", "exact", "milp")
SMALL_SET = 30
"""Up to so many lineups a set with overlap limits is chosen with gap 0; HiGHS takes minutes for larger ones."""
PRICE_ROUNDS = 40
"""Rounds in which the prices of minimum exposures settle."""
POOL = 8
"""Candidates per lineup among which a set with minimum exposures is chosen."""


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


def search_set(value, problem: LineupProblem, n: int, min_count, *, max_overlap=None, max_count=None, engine="auto"):
    """Return `n` lineups of large total value that hold each driver `min_count` (D,) times, best first.

    The set of largest value among the best lineups, the best with each driver asked for, and a set found one lineup
    after another at prices on the minima; that last set alone where overlap is limited over more than `SMALL_SET`
    lineups. Where no set was found it is the one nearest to the minima; fewer than `n` where so many do not exist.
    """

    def find(worth, where, count, limited=True):
        limits = {"max_overlap": max_overlap, "max_count": max_count} if limited else {}
        return search(worth, where, count, **limits, engine=engine)

    priced = _priced_sequence(lambda worth: find(worth, problem, n), value, n, min_count)
    if len(priced) < n or (max_overlap is not None and n > SMALL_SET):
        return _best_first(priced, value)
    locked = [problem.with_rules(Rule.on("wanted", [i], len(value), low=1)) for i in np.flatnonzero(min_count)]
    pool = [find(value, problem, n), find(value, problem, POOL * n, False), priced]
    pool = np.unique(np.concatenate([*pool, *(find(value, where, n, False) for where in locked)]), axis=0)
    most = np.full(len(value), n) if max_count is None else max_count
    rows = choose_set(pool, value[pool].sum(axis=1), n, min_count, most, max_overlap)
    return _best_first(priced if rows is None else pool[rows], value)


def _best_first(lineups, value) -> np.ndarray:
    return lineups[np.lexsort((*lineups.T[::-1], -value[lineups].sum(axis=1)))]


def _priced_sequence(find, value, n: int, min_count) -> np.ndarray:
    """Return the best set of the sequences that `find` returns while the minima are priced, or the nearest to them.

    A price rises while its driver is short and falls while he has more than asked; its step grows as long as the
    direction stays and is halved when it turns (the rule of resilient propagation).
    """
    prices, step, before = np.zeros(len(value)), np.full(len(value), 0.05 * np.std(value)), np.zeros(len(value))
    best, best_key = np.empty((0, 0), np.int64), (-np.inf, -np.inf)
    for _ in range(PRICE_ROUNDS):
        found = find(value + prices)
        if len(found) < n and not len(best):
            return found
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
    return best
