"""Proper scores, calibration, and one tidy frame of scores: `summarise` it, `compare` its models.

A score frame has a row per case, model and score with the column `value`; whatever is scored here, finish orders,
ownership, regimes or money, is summed up by the same two verbs, with standard errors clustered by race or contest.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import lsq_linear

from dfslab.errors import UserError

# ---------------------------------------------------------------- means with clustered errors


def clustered_fit(values, design, cluster, weight=None) -> tuple[np.ndarray, np.ndarray]:
    """Return least-squares coefficients and their standard errors when rows of one `cluster` move together.

    The sandwich estimate of statsmodels with its small-sample factor [cameron2015]; fewer clusters than two, or than
    coefficients, give errors of NaN.

    Parameters
    ----------
    values, cluster, weight : (n,) ; a weight left out is 1
    design : (n, p)
    """
    from statsmodels.regression.linear_model import WLS  # here, because it takes a second to load

    groups = np.unique(np.asarray(cluster), return_inverse=True)[1]
    design = np.asarray(design, float)
    model = WLS(np.asarray(values, float), design, 1.0 if weight is None else np.asarray(weight, float))
    if groups.max() < max(1, design.shape[1] - 1):
        return model.fit().params, np.full(design.shape[1], np.nan)
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": groups})
    return fit.params, fit.bse


def clustered_mean(values, cluster, weight=None) -> tuple[float, float]:
    """Return the (weighted) mean of `values` and its standard error when rows of one `cluster` move together.

    With one row per cluster it is the usual standard error; one cluster gives an error of NaN. Missing values are an
    error.

    Examples
    --------
    >>> clustered_mean([1.0, 1.0, 3.0, 3.0], ["a", "a", "b", "b"])
    (2.0, 1.0)
    """
    values, cluster = np.asarray(values, float), np.asarray(cluster)
    if values.shape != cluster.shape:
        raise ValueError(f"clustered_mean: {values.shape} values, {cluster.shape} clusters; give one cluster per value")
    if np.isnan(values).any():
        raise ValueError(f"clustered_mean: value {int(np.isnan(values).argmax()) + 1} is missing; drop the row first")
    mean, error = clustered_fit(values, np.ones((len(values), 1)), cluster, weight)
    return float(mean[0]), float(error[0])


def summarise(scores: pd.DataFrame, by: Sequence[str] = ("score", "model")) -> pd.DataFrame:
    """Return the mean of every score of every model, with its clustered standard error.

    Parameters
    ----------
    scores : tidy frame with case (a race, a contest, a driver in one), model, score, value; optional `cluster` (cases
        of one cluster move together; left out, every case is its own) and `weight` (left out, cases count alike).
        Missing values are left out.
    by : columns whose combinations get a row, in the order they come

    Returns
    -------
    frame with the columns of `by`, mean, se, n (rows that have a value)

    Examples
    --------
    >>> rows = [("r1", "a", "rps", 4.0), ("r1", "b", "rps", 5.0), ("r2", "a", "rps", 5.0), ("r2", "b", "rps", 7.0)]
    >>> scores = pd.DataFrame(rows, columns=["case", "model", "score", "value"])
    >>> summarise(scores)
      score model  mean   se  n
    0   rps     a   4.5  0.5  2
    1   rps     b   6.0  1.0  2
    """
    groups = scores.dropna(subset="value").groupby(list(by), sort=False)
    return pd.DataFrame([(*key, *_mean(g), len(g)) for key, g in groups], columns=[*by, "mean", "se", "n"])


def _mean(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the mean of rows of a score frame and its error."""
    return clustered_mean(rows["value"], rows.get("cluster", rows["case"]), rows.get("weight"))


def compare(scores: pd.DataFrame, baseline: str, by: Sequence[str] = ("score",)) -> pd.DataFrame:
    """Return the mean of every model's score less the baseline's, paired by case, with clustered error and t test.

    Only cases that both have count. Where lower is better, a negative difference says that the model is better. With
    one row per cluster this is the paired t test, the Diebold–Mariano test of one step ahead [diebold1995]
    [harvey1997].

    Parameters
    ----------
    scores : as for `summarise`; one row per case, model and `by`
    baseline : the model that the others are compared with
    by : further columns whose combinations are compared apart

    Returns
    -------
    frame with the columns of `by`, model, difference, se, t, p (two-sided), n (cases); t and p are NaN where nothing
    differs or there is one cluster only

    Examples
    --------
    >>> rows = [("r1", "a", "rps", 4.0), ("r1", "b", "rps", 5.0), ("r2", "a", "rps", 5.0), ("r2", "b", "rps", 7.0)]
    >>> scores = pd.DataFrame(rows, columns=["case", "model", "score", "value"])
    >>> compare(scores, baseline="b")[["score", "model", "difference", "se", "t"]]
      score model  difference   se    t
    0   rps     a        -1.5  0.5 -3.0
    """
    by, known = list(by), scores.dropna(subset="value")
    if baseline not in set(scores["model"]):
        known = ", ".join(map(str, scores["model"].unique()))
        raise ValueError(f"compare: no model {baseline}; the scores have {known}")
    if known.duplicated(["case", "model", *by]).any():
        raise ValueError(f"compare: a case has two values of one model and {', '.join(by)}; name what tells them apart")
    base = known[known["model"] == baseline].set_index(["case", *by])["value"].rename("base")
    pairs = known[known["model"] != baseline].join(base, on=["case", *by], how="inner")
    pairs = pairs.assign(value=pairs["value"] - pairs["base"])
    return pd.DataFrame(
        [(*key, *_tested(group)) for key, group in pairs.groupby([*by, "model"], sort=False)],
        columns=[*by, "model", "difference", "se", "t", "p", "n"],
    )


def _tested(pairs: pd.DataFrame) -> tuple:
    (mean, se), clusters = _mean(pairs), pairs.get("cluster", pairs["case"]).nunique()
    t = mean / se if se > 1e-12 * max(1.0, abs(mean)) else float("nan")
    return mean, se, t, float(2 * stats.t.sf(abs(t), clusters - 1)), len(pairs)


def paired_difference(a, b, cluster) -> tuple[float, float]:
    """Return the mean of ``a − b`` and its clustered standard error [diebold1995].

    For scores where lower is better a negative difference says that `a` is better. Rows of `a` and `b` belong to the
    same forecasts in the same order.
    """
    return clustered_mean(np.asarray(a, float) - np.asarray(b, float), cluster)


# ---------------------------------------------------------------- yes or no


def brier(probability, outcome) -> np.ndarray:
    """Return ``(probability − outcome)²`` per forecast; 0 is perfect, lower is better [brier1950]."""
    return (np.asarray(probability, float) - np.asarray(outcome, float)) ** 2


# ---------------------------------------------------------------- finishing order


def finish_probabilities(samples, weight=None) -> np.ndarray:
    """Return P(driver finishes k-th), (D, D), from finishing positions (n, D) counted from 1.

    `weight` (n,) sums to 1; left out, all samples count the same.
    """
    samples = np.asarray(samples)
    n, size = samples.shape
    flat = ((samples.astype(np.int64) - 1) + size * np.arange(size)).ravel()
    if weight is None:
        return np.bincount(flat, minlength=size * size).reshape(size, size) / n
    return np.bincount(flat, np.repeat(weight, size), size * size).reshape(size, size)


def rps(probability, finish) -> float:
    """Return the rank probability score of a race: Σ_k (F(k) − 1{finish ≤ k})², mean over drivers [epstein1969].

    Not divided by the field size; 0 is perfect, lower is better.

    Parameters
    ----------
    probability : (D, P) P(driver finishes k-th), as `finish_probabilities` gives
    finish : (D,) positions from 1 to P
    """
    below = np.cumsum(np.asarray(probability, float), axis=1)
    happened = np.asarray(finish)[:, None] <= np.arange(1, below.shape[1] + 1)
    return float(((below - happened) ** 2).sum(axis=1).mean())


def winner_log_score(win_probability, finish) -> float:
    """Return the log of the probability given to the winner, (D,) and (D,) → one number ≤ 0; higher is better."""
    return float(np.log(np.asarray(win_probability, float)[int(np.argmin(finish))]))


def spearman(a, b) -> float:
    """Return the rank correlation of two vectors; NaN when one of them is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(stats.spearmanr(a, b).statistic)


# ---------------------------------------------------------------- ownership: points, order, draws


def root_mean_square_error(forecast, actual) -> float:
    """Return the root of the mean of (forecast − actual)², in the unit given; lower is better."""
    return float(np.sqrt(((np.asarray(forecast, float) - np.asarray(actual, float)) ** 2).mean()))


def crps(draws, actual) -> np.ndarray:
    """Return the continuous ranked probability score of each column of draws, (n, D) and (D,) → (D,) [gneiting2007].

    `E|X − y| − ½ E|X − X′|` by the unbiased estimate from draws [ferro2014]; the unit is that of `actual`, 0 is
    perfect, lower is better. With one draw the second term is left out.
    """
    ordered = np.sort(np.asarray(draws, float), axis=0)
    n = len(ordered)
    error = np.abs(ordered - np.asarray(actual, float)).mean(axis=0)
    return error - (2 * np.arange(1, n + 1) - n - 1) @ ordered / max(n * (n - 1), 1)


def interval_bounds(draws, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the central interval of each column that holds `level` of the draws, two (D,)."""
    low, high = np.quantile(np.asarray(draws, float), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def covered(low, high, actual) -> np.ndarray:
    """Return whether low ≤ actual ≤ high, elementwise."""
    actual = np.asarray(actual, float)
    return (np.asarray(low) <= actual) & (actual <= np.asarray(high))


def interval_score(low, high, actual, level: float) -> np.ndarray:
    """Return the interval score, elementwise [gneiting2007]: the width plus 2/(1 − level) times what lies outside.

    In the unit of `actual`; lower is better.
    """
    low, high, actual = (np.asarray(x, float) for x in (low, high, actual))
    outside = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
    return high - low + 2 / (1 - level) * outside


def pit(draws, actual, rng: np.random.Generator) -> np.ndarray:
    """Return the place of each actual among its draws, (D,) in (0, 1), ties at random: uniform when calibrated.

    The randomised probability integral transform of n draws, `(below + u·(equal + 1)) / (n + 1)` [gneiting2007b].
    """
    draws, actual = np.asarray(draws, float), np.asarray(actual, float)
    below, equal = (draws < actual).sum(axis=0), (draws == actual).sum(axis=0)
    return (below + rng.random(len(actual)) * (equal + 1)) / (len(draws) + 1)


def reliability(forecast, actual, cluster, edges) -> pd.DataFrame:
    """Return mean forecast and mean actual in each band of the forecast.

    Parameters
    ----------
    forecast, actual, cluster : (n,) forecasts, facts, and the contest of each row
    edges : increasing edges of the bands; a band holds its lower edge, the last one its upper edge too

    Returns
    -------
    frame with low, high, n, clusters, forecast and actual (means), difference (actual − forecast) and its clustered
    standard error `se`; bands without rows are left out
    """
    (forecast, actual, edges), case = (np.asarray(x, float) for x in (forecast, actual, edges)), np.asarray(cluster)
    rows = pd.DataFrame({"forecast": forecast, "actual": actual, "value": actual - forecast, "case": case})
    rows["band"] = np.minimum(np.searchsorted(edges, forecast, side="right") - 1, len(edges) - 2)
    table = [
        (edges[b], edges[b + 1], len(g), g["case"].nunique(), g["forecast"].mean(), g["actual"].mean(), *_mean(g))
        for b, g in rows[rows["forecast"].between(edges[0], edges[-1])].groupby("band")
    ]
    return pd.DataFrame(table, columns=["low", "high", "n", "clusters", "forecast", "actual", "difference", "se"])


# ---------------------------------------------------------------- weighted scenarios


def mean_value(points, weight=None) -> np.ndarray:
    """Return the mean points of each driver, (D,), over scenarios `points` (S, D) with `weight` (S,)."""
    points = np.asarray(points, float)
    return scenario_weights(weight, len(points)) @ points


def upper_tail_mean(lineups, points, tail: float, weight=None) -> np.ndarray:
    """Return the mean score of each lineup over its own best scenarios, (L,).

    Parameters
    ----------
    lineups : (L, K) ; points : (S, D) ; weight : (S,) or None for equal
    tail : weight of the best scenarios, in (0, 1]; the scenario at the edge counts in part
    """
    points = np.asarray(points, float)
    scores = (points[:, lineup].sum(axis=1) for lineup in np.asarray(lineups))
    return np.array([tail_weights(score, tail, weight) @ score for score in scores])


def tail_weights(score, tail: float, weight=None) -> np.ndarray:
    """Return the weights (S,), summing to 1, of the best `tail` of the scenarios by `score`."""
    if not 0 < tail <= 1:
        raise UserError(f"tail is {tail}; it is a share of the scenarios, above 0 and at most 1")
    weight = scenario_weights(weight, len(score))
    order = np.argsort(-score, kind="stable")
    before = np.cumsum(weight[order]) - weight[order]
    taken = np.zeros(len(score))
    taken[order] = np.clip(tail - before, 0.0, weight[order])
    return taken / taken.sum()


def scenario_weights(weight, n: int) -> np.ndarray:
    """Return `weight` as (n,) numbers that sum to 1; equal when None."""
    weight = np.full(n, 1.0) if weight is None else np.asarray(weight, float)
    if weight.shape != (n,) or not (weight >= 0).all() or not 0 < weight.sum() < np.inf:
        raise UserError(f"weight: {weight.shape} given; one weight of 0 or more for each of {n} scenarios needed")
    return weight / weight.sum()


# ---------------------------------------------------------------- minimising


class Minimum(NamedTuple):
    """Where a minimisation ended: the point, and the gradient there."""

    x: np.ndarray
    gradient: np.ndarray
    converged: bool


def damped_newton(
    objective, start, *, error=0.0, tolerance=0.0, lower=-np.inf, reach=np.inf, max_steps=100, shortest=1e-10
) -> Minimum:
    """Minimise a convex function by Newton steps, halved until the value falls [nocedal2006].

    Where steps promise less than the value can show, they are taken whole, until the promise stops shrinking.

    Parameters
    ----------
    objective : function x (p,) → value, gradient (p,), and a function without arguments that returns the Hessian
        (p, p), positive definite. A value of -inf (no minimum) or a `LinAlgError` ends the search.
    start : (p,)
    error : converged once no component of the gradient is larger than this
    tolerance : converged once the decrement, gradient · Newton step, is at most this: twice what the step promises
    lower : (p,) bounds from below; with bounds the step is the minimum of the local quadratic inside them
    reach : a step changes no component by more than this
    max_steps : steps at most
    shortest : a step halved to less than this share of its length ends the search

    Examples
    --------
    >>> found = damped_newton(lambda x: (x @ x / 2 - x[0], x - [1, 0], lambda: np.eye(2)), [5.0, 5.0], error=1e-9)
    >>> found.x.round(6).tolist(), found.converged
    ([1.0, 0.0], True)
    """
    x, before = np.maximum(np.asarray(start, float), lower), np.inf
    value, gradient, curvature = objective(x)
    for _ in range(max_steps):
        if np.abs(gradient).max(initial=0.0) <= error:
            return Minimum(x, gradient, True)
        if value == -np.inf:
            break
        try:
            step = _newton_step(gradient, curvature(), x, lower)
        except np.linalg.LinAlgError:
            break
        decrement = -float(gradient @ step)
        fine = decrement <= 1e-12 * (1 + abs(value))
        if decrement <= tolerance or (fine and decrement > before / 4):
            return Minimum(x, gradient, decrement >= -1e-12 * (1 + abs(value)))
        before, size = decrement, min(1.0, reach / np.abs(step).max())
        while True:
            trial = np.maximum(x + size * step, lower)
            there = objective(trial)
            if fine or there[0] <= value - 1e-4 * size * decrement:
                break
            size /= 2
            if size < shortest:
                return Minimum(x, gradient, False)
        x, (value, gradient, curvature) = trial, there
    return Minimum(x, gradient, False)


def _newton_step(gradient, hessian, x, lower) -> np.ndarray:
    """Return the step to the minimum of the local quadratic, inside the bounds."""
    scale = 1 / np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    matrix = hessian * np.outer(scale, scale)
    matrix[np.diag_indices_from(matrix)] += 1e-14
    step = -scale * np.linalg.solve(matrix, scale * gradient)
    if (x + step >= lower).all():
        return step
    root = np.linalg.cholesky(matrix).T
    target = np.linalg.solve(root.T, -scale * gradient)
    return scale * lsq_linear(root, target, bounds=((lower - x) / scale - 1e-12, np.inf), method="bvls").x
