"""Proper scores and calibration, with standard errors clustered by race or contest."""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

__all__ = [
    "Interval",
    "auc",
    "brier",
    "brier_skill",
    "clustered_mean",
    "finish_probabilities",
    "paired_difference",
    "rps",
    "spearman",
    "winner_log_score",
]

# ---------------------------------------------------------------- means with clustered errors


class Interval(NamedTuple):
    """An estimate with a bootstrap interval."""

    value: float
    low: float
    high: float


def clustered_mean(values, cluster) -> tuple[float, float]:
    """Return the mean of `values` and its standard error when rows of one `cluster` move together.

    The sandwich estimate of a mean, ``sqrt(G/(G-1) Σ_g (Σ_{i∈g} (v_i − mean))²) / n`` [cameron2015]; with one row per
    cluster it is the usual standard error. Values that are NaN are an error; one cluster gives an error of NaN.

    Examples
    --------
    >>> clustered_mean([1.0, 1.0, 3.0, 3.0], ["a", "a", "b", "b"])
    (2.0, 1.0)
    """
    values = np.asarray(values, float)
    codes = np.unique(np.asarray(cluster), return_inverse=True)[1]
    if values.shape != codes.shape:
        raise ValueError(f"clustered_mean: {values.shape} values, {codes.shape} clusters; give one cluster per value")
    if np.isnan(values).any():
        raise ValueError(f"clustered_mean: value {int(np.isnan(values).argmax()) + 1} is missing; drop the row first")
    mean = values.mean()
    sums = np.bincount(codes, values - mean)
    if len(sums) < 2:
        return float(mean), float("nan")
    return float(mean), float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(values))


def paired_difference(a, b, cluster) -> tuple[float, float]:
    """Return the mean of ``a − b`` and its clustered standard error [diebold1995].

    For scores where lower is better a negative difference says that `a` is better. Rows of `a` and `b` belong to the
    same forecasts in the same order.
    """
    return clustered_mean(np.asarray(a, float) - np.asarray(b, float), cluster)


def _cluster_bootstrap(statistic, cluster, n_draws, rng) -> np.ndarray:
    codes = np.unique(np.asarray(cluster), return_inverse=True)[1]
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    draws = np.empty(n_draws)
    for i in range(n_draws):
        picked = rng.integers(len(members), size=len(members))
        draws[i] = statistic(np.concatenate([members[g] for g in picked]))
    return draws


def _interval(statistic, cluster, coverage, n_draws, rng) -> Interval:
    rng = np.random.default_rng(0) if rng is None else rng
    draws = _cluster_bootstrap(statistic, cluster, n_draws, rng)
    low, high = np.nanquantile(draws, [(1 - coverage) / 2, (1 + coverage) / 2])
    return Interval(statistic(np.arange(len(cluster))), float(low), float(high))


# ---------------------------------------------------------------- yes or no


def brier(probability, outcome) -> np.ndarray:
    """Return ``(probability − outcome)²`` per forecast; 0 is perfect, lower is better [brier1950]."""
    return (np.asarray(probability, float) - np.asarray(outcome, float)) ** 2


def brier_skill(probability, outcome, baseline, *, cluster=None, coverage=0.95, n_draws=2000, rng=None) -> Interval:
    """Return 1 − Brier(probability) / Brier(baseline) with a bootstrap interval; above 0 beats the baseline.

    Parameters
    ----------
    probability, outcome, baseline : (n,) forecasts, what happened (0 or 1), and the forecasts to beat (or one number)
    cluster : (n,) labels resampled together; each row by itself when left out
    """
    model, base = brier(probability, outcome), brier(baseline, outcome)
    cluster = np.arange(len(model)) if cluster is None else cluster
    return _interval(lambda rows: float(1 - model[rows].sum() / base[rows].sum()), cluster, coverage, n_draws, rng)


def _auc(score, outcome) -> float:
    positive = outcome.sum()
    negative = len(outcome) - positive
    if positive == 0 or negative == 0:
        return float("nan")
    return float((rankdata(score)[outcome].sum() - positive * (positive + 1) / 2) / (positive * negative))


def auc(score, outcome, *, cluster=None, coverage=0.95, n_draws=2000, rng=None) -> Interval:
    """Return the chance that a random yes scores above a random no (ties count half), with a bootstrap interval.

    The Mann–Whitney statistic [hanley1982]: 0.5 knows nothing, 1 orders perfectly; NaN when all outcomes are equal.
    """
    score, outcome = np.asarray(score, float), np.asarray(outcome).astype(bool)
    cluster = np.arange(len(score)) if cluster is None else cluster
    return _interval(lambda rows: _auc(score[rows], outcome[rows]), cluster, coverage, n_draws, rng)


# ---------------------------------------------------------------- finishing order


def finish_probabilities(samples) -> np.ndarray:
    """Return P(driver finishes k-th), shape (D, D), from finishing positions (n, D) counted from 1."""
    samples = np.asarray(samples)
    n, size = samples.shape
    flat = (samples.astype(np.int64) - 1) + size * np.arange(size)
    return np.bincount(flat.ravel(), minlength=size * size).reshape(size, size) / n


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
    a, b = rankdata(a), rankdata(b)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
