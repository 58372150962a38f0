"""Orders of finish as repeated choices: Plackett–Luce and attrition, their exact fits and their samples.

Attrition [graves2003] is Plackett–Luce [luce1959] [plackett1975] read from the back: the next driver to drop out is
drawn in proportion to ``exp(−log_worth)``, the last one left wins.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.stats import rankdata

from dfslab.metrics import damped_newton

# ---------------------------------------------------------------- likelihood


@njit(cache=True)
def _stages(utility, first, weight):  # pragma: no cover - compiled
    """Return log likelihood, gradient by row, expected choices by row, and log stage sums of choices in row order.

    Rows first[r]:first[r+1] are race r in the order of choice; each driver is chosen among those that follow.
    """
    n = len(utility)
    log_sum, gradient, expected = np.empty(n), np.empty(n), np.empty(n)
    total = 0.0
    for r in range(len(first) - 1):
        log_rest = -np.inf
        for i in range(first[r + 1] - 1, first[r] - 1, -1):
            log_rest = np.logaddexp(log_rest, utility[i])
            log_sum[i] = log_rest
        log_chance = -np.inf
        for i in range(first[r], first[r + 1]):
            log_chance = np.logaddexp(log_chance, -log_sum[i])
            expected[i] = weight[r] * np.exp(utility[i] + log_chance)
            gradient[i] = weight[r] - expected[i]
            total += weight[r] * (utility[i] - log_sum[i])
    return total, gradient, expected, log_sum


@njit(cache=True)
def _stage_means(design, utility, log_sum, first, weight):  # pragma: no cover - compiled
    """Return the expected design row at each stage times the root of the race weight, (rows, columns)."""
    n, p = design.shape
    means = np.empty((n, p))
    for r in range(len(first) - 1):
        last = first[r + 1] - 1
        root = np.sqrt(weight[r])
        for i in range(last, first[r] - 1, -1):
            chosen = root * np.exp(utility[i] - log_sum[i])
            kept = 0.0 if i == last else np.exp(log_sum[i + 1] - log_sum[i])
            for j in range(p):
                means[i, j] = chosen * design[i, j]
                if i < last:
                    means[i, j] += kept * means[i + 1, j]
    return means


@dataclass(frozen=True)
class Choices:
    """Races as rows in order of choice: `design` (n, p), race r in rows first[r]:first[r+1], weight by race."""

    design: np.ndarray
    first: np.ndarray
    weight: np.ndarray

    def objective(self, beta, penalty, centre=0.0):
        """Return ``Σ penalty · (beta − centre)² / 2 − log likelihood``, its gradient, and its Hessian as a function."""
        utility, away = self.design @ beta, beta - centre
        total, gradient, expected, log_sum = _stages(utility, self.first, self.weight)

        def hessian():
            means = _stage_means(self.design, utility, log_sum, self.first, self.weight)
            return (self.design * expected[:, None]).T @ self.design - means.T @ means + np.diag(penalty)

        return 0.5 * (penalty * away**2).sum() - total, penalty * away - self.design.T @ gradient, hessian


MAX_STEPS = 200
DECREMENT = 1e-22
"""Squared Newton step in the metric of the Hessian at which to stop: log-worths are then exact to about 1e-11."""


def maximise(choices: Choices, penalty, start=None, *, pin=0.0, tolerance=DECREMENT):
    """Return the penalised maximum-likelihood coefficients, (p,).

    Parameters
    ----------
    penalty : one number or (p,), see `Choices.objective`
    start : (p,) where to start; zero when left out
    pin : (p, p) added to the Hessian to hold a direction in which the likelihood is flat
    """
    p = choices.design.shape[1]
    penalty = np.broadcast_to(np.asarray(penalty, float), p)

    def loss(beta):
        value, gradient, hessian = choices.objective(beta, penalty)
        return value, gradient, lambda: hessian() + pin

    start = np.zeros(p) if start is None else start
    found = damped_newton(loss, start, tolerance=tolerance, max_steps=MAX_STEPS)
    if not found.converged:
        raise RuntimeError("rank model: the Newton steps do not converge; raise the ridge")
    return found.x


# ---------------------------------------------------------------- drivers alone


@dataclass(frozen=True)
class RankModel:
    """Log-worths of drivers: the higher, the nearer to the front.

    `log_worth` is a Series by driver with mean zero; `log_likelihood` is without the penalty.
    """

    log_worth: pd.Series
    log_likelihood: float


def fit_plackett_luce(finishes: pd.DataFrame, ridge: float = 0.0) -> RankModel:
    """Fit Plackett–Luce: the winner is drawn in proportion to ``exp(log_worth)``, then the second, … [hunter2004].

    Parameters
    ----------
    finishes : frame with race_id, driver, finish (1 = first; gaps are fine, ties are refused); a race may hold any
        subset of the drivers
    ridge : penalty ``ridge / 2 · Σ log_worth²``; 0 is plain maximum likelihood

    Returns
    -------
    RankModel

    Raises
    ------
    ValueError : on unusable rows, and with ``ridge=0`` when some drivers have no finite estimate (they are named)
    """
    return _fit_order(finishes, ridge, forward=1.0)


def fit_attrition(finishes: pd.DataFrame, ridge: float = 0.0) -> RankModel:
    """Fit attrition: the last place is drawn in proportion to ``exp(−log_worth)``, then the next, … [graves2003].

    Same arguments, result and errors as `fit_plackett_luce`; higher log-worth is better in both.
    """
    return _fit_order(finishes, ridge, forward=-1.0)


def _fit_order(finishes, ridge, forward) -> RankModel:
    if not ridge >= 0 or not np.isfinite(ridge):
        raise ValueError(f"ridge: {ridge} given; it must be 0 or more")
    rows = _checked_finishes(finishes)
    drivers = pd.Index(rows["driver"].unique(), name="driver").sort_values()
    if ridge == 0:
        _require_connected(rows, drivers)
    rows = rows.assign(stage=forward * rows["finish"]).sort_values(["race", "stage"], kind="stable")
    design = np.zeros((len(rows), len(drivers)))
    design[np.arange(len(rows)), drivers.get_indexer(rows["driver"])] = forward
    first = np.concatenate([[0], np.cumsum(np.bincount(rows["race"]))])
    choices = Choices(design, first, np.ones(len(first) - 1))
    beta = maximise(choices, ridge, pin=np.full((len(drivers),) * 2, 1.0 / len(drivers)))
    likelihood = -choices.objective(beta, np.zeros(len(drivers)))[0]
    return RankModel(pd.Series(beta - beta.mean(), drivers, name="log_worth"), float(likelihood))


def _checked_finishes(finishes) -> pd.DataFrame:
    missing = {"race_id", "driver", "finish"} - set(finishes.columns)
    if missing or finishes.empty:
        what = f"column {', '.join(sorted(missing))} is missing" if missing else "no rows"
        raise ValueError(f"finishes: {what}; give race_id, driver, finish of at least one race of two drivers")
    rows = finishes[["race_id", "driver", "finish"]].reset_index(drop=True)
    rows = rows.assign(finish=pd.to_numeric(rows["finish"], errors="coerce"))
    blank = rows.isna().any(axis=1)
    if blank.any():
        raise ValueError(f"finishes: row {blank.idxmax() + 1} has a blank or a finish that is no number; fix it")
    for what in ("driver", "finish"):
        twice = rows.duplicated(["race_id", what])
        if twice.any():
            row = rows.loc[twice.idxmax()]
            raise ValueError(f"finishes: race {row['race_id']} has {what} {row[what]} twice; keep one row of it")
    return rows.assign(race=pd.factorize(rows["race_id"])[0])


def _require_connected(rows, drivers) -> None:
    """Raise when some drivers cannot be compared both ways, by a chain of races, with the others [hunter2004]."""
    rows = rows.sort_values(["race", "finish"])
    code = drivers.get_indexer(rows["driver"])
    same = rows["race"].to_numpy()[1:] == rows["race"].to_numpy()[:-1]
    edges = coo_matrix((np.ones(same.sum()), (code[:-1][same], code[1:][same])), shape=(len(drivers),) * 2)
    count, label = connected_components(edges, directed=True, connection="strong")
    if count > 1:
        outside = ", ".join(map(str, drivers[label != np.bincount(label).argmax()]))
        raise ValueError(
            f"no finite estimate for {outside}: no chain of races in which each finishes "
            "ahead of the next links them with the others both ways (they always lose, always win, or never meet); "
            "drop them or give ridge > 0"
        )


# ---------------------------------------------------------------- sampling


def sample_finish(log_worth, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `n` finishing orders by attrition, (n, D) int16 positions, 1 = winner.

    Each driver lives an exponential time with mean ``exp(log_worth)``; the order of the deaths is the order of
    attrition, so the longest life wins. The first rows of a larger `n` equal those of a smaller one.
    """
    worth = np.asarray(log_worth, float)
    if not np.isfinite(worth).all():
        raise ValueError("log_worth: a driver has no finite value; every driver of the race needs one")
    life = rng.standard_exponential((n, len(worth))) * np.exp(worth - worth.max())
    return rankdata(-life, "ordinal", axis=1).astype(np.int16)
