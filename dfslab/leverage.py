"""Values of drivers from scenarios, the leverage term derived from them, and leverage metrics of lineups."""

import numpy as np
import pandas as pd

from dfslab.slate import Slate, UserError, number_between

__all__ = [
    "LOG_FLOOR",
    "aligned",
    "field_covariance",
    "fractions",
    "leverage_agreement",
    "lineup_metrics",
    "mean_value",
    "quantile_value",
    "scenario_weights",
    "tail_weights",
    "upper_tail_mean",
]

LOG_FLOOR = 1e-4
"""Ownership below this counts as this in a product: contest pages print ownership to 0.01 %."""
LOW_OWNED_BONUS = 0.1
"""What each low-owned driver adds to the leverage score, from its definition."""


def aligned(slate: Slate, values, name: str) -> np.ndarray:
    """Return `values` as (D,) float in slate order, 0 for drivers who are out, whom a Series may leave out."""
    if isinstance(values, pd.Series):
        gone = slate.names[slate.out]
        values = pd.concat([values[~values.index.isin(gone)], pd.Series(0.0, gone)])
    return np.where(slate.out, 0.0, slate.align(values, name))


def fractions(slate: Slate, ownership) -> np.ndarray:
    """Return `ownership` as (D,) fractions in slate order, 0 for drivers who are out; refuse percents and gaps."""
    own = aligned(slate, ownership, "ownership")
    bad = slate.names[~(np.isfinite(own) & (own >= 0))]
    if len(bad):
        raise UserError(f"ownership: {bad[0]} has none or a negative one; give every racing driver a fraction")
    if (own > 1).any():
        top = int(np.argmax(own))
        raise UserError(
            f"ownership: {slate.names[top]} has {own[top]:g}; these look like percents, give fractions (0.25 for 25 %)"
        )
    return own


def check_options(options, roster_size: int) -> None:
    """Raise `UserError` for a number of the leverage-aware optimizer that cannot be, such as a limit in percent."""
    shares = {"max_ownership_per_driver": 1, "low_ownership_threshold": 1, "max_total_ownership": roster_size}
    for name, most in shares.items():
        if options[name] is not None:
            number_between(options[name], name, 0, most, " (ownership is in fractions: 0.25 for 25 %)")
    for name, least in {"leverage_penalty": 0.0, "ownership_power": 1e-9}.items():
        number_between(options[name], name, least, np.inf)
    for name in ("min_log_ownership", "max_log_ownership"):
        if options[name] is not None:
            number_between(options[name], name, -np.inf, np.inf)


def mean_value(points, weight=None) -> np.ndarray:
    """Return the mean points of each driver, (D,), over scenarios `points` (S, D) with `weight` (S,)."""
    points = np.asarray(points, float)
    return scenario_weights(weight, len(points)) @ points


def quantile_value(points, q: float, weight=None) -> np.ndarray:
    """Return the `q` quantile of each driver's points, (D,): the smallest score he stays at or below with weight ≥ q.

    A sum of drivers' quantiles is not the quantile of the lineup; `upper_tail_mean` looks at whole lineups.
    """
    if not 0 < q < 1:
        raise UserError(f"quantile_value: q is {q}; it lies between 0 and 1")
    points, weight = np.asarray(points, float), scenario_weights(weight, len(points))
    order = np.argsort(points, axis=0, kind="stable")
    below = np.cumsum(weight[order], axis=0)
    first = np.minimum((below < q - 1e-12).sum(axis=0), len(points) - 1)
    return np.take_along_axis(points, np.take_along_axis(order, first[None], axis=0), axis=0)[0]


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


def field_covariance(points, field_score, weight=None) -> np.ndarray:
    """Return Cov(points_i, field score) for each driver, (D,), in points²: the derived leverage term [haughsingal2021].

    Parameters
    ----------
    points : (S, D) ; weight : (S,) or None
    field_score : (S,) the score to beat in each scenario, such as the field's mean or a high quantile of it
    """
    points, weight = np.asarray(points, float), scenario_weights(weight, len(points))
    score = np.asarray(field_score, float)
    return (weight * (score - weight @ score)) @ (points - weight @ points)


def leverage_agreement(ownership, covariance, ownership_power: float = 2.0) -> dict:
    """Report how well ownership^power stands in for the covariance with the field.

    Returns
    -------
    dict with `spearman` (rank correlation) and `r2` (share of the variance a straight line explains)
    """
    from scipy.stats import spearmanr

    own = np.asarray(ownership, float) ** ownership_power
    covariance = np.asarray(covariance, float)
    return {
        "spearman": float(spearmanr(own, covariance).statistic),
        "r2": float(np.corrcoef(own, covariance)[0, 1] ** 2),
    }


def lineup_metrics(
    slate: Slate, ownership, lineups, *, value=None, expected_copies=None, low_ownership_threshold=0.10
) -> pd.DataFrame:
    """Return leverage metrics, one row per lineup.

    Parameters
    ----------
    ownership : (D,) fractions ; lineups : (L, K) rows of the slate
    value : (D,) projected points (default: the slate's column `projected_points`, else NaN)
    expected_copies : (L,) copies of each lineup in the field, when known

    Returns
    -------
    frame with average_ownership, max_ownership, total_ownership (fractions), low_owned (drivers under the threshold),
    leverage_score = (1 − average ownership)·(1 + 0.1·low_owned)·100, log_ownership (natural log of the product,
    ownership of at least 0.01 %), salary (dollars), projected_points, expected_copies. The mean over rows is the
    metric of the set.
    """
    own, lineups = fractions(slate, ownership), np.asarray(lineups)
    value = slate.column("projected_points") if value is None else aligned(slate, value, "value")
    held = own[lineups]
    low = (held < low_ownership_threshold).sum(axis=1)
    return pd.DataFrame(
        {
            "average_ownership": held.mean(axis=1),
            "max_ownership": held.max(axis=1),
            "total_ownership": held.sum(axis=1),
            "low_owned": low,
            "leverage_score": (1 - held.mean(axis=1)) * (1 + LOW_OWNED_BONUS * low) * 100,
            "log_ownership": np.log(np.maximum(held, LOG_FLOOR)).sum(axis=1),
            "salary": slate.salary[lineups].sum(axis=1),
            "projected_points": value[lineups].sum(axis=1),
            "expected_copies": np.nan if expected_copies is None else np.asarray(expected_copies, float),
        }
    )
