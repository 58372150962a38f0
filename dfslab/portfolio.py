"""From candidates to the lineups we enter: allocation over regimes, choice by marginal expected payout, audit."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfslab.contest import FieldScores
from dfslab.field import sample_field
from dfslab.lineups import is_legal
from dfslab.optimize import LeverageAwareOptimizer, lineup_metrics, mean_value
from dfslab.slate import Contest, Slate

__all__ = ["Portfolio", "allocate_lineups_by_regime", "generate_regime_aware_portfolio"]

PENALTIES = (0.0, 20.0, 50.0, 100.0)
"""Leverage penalties λ, in points per squared ownership, over which candidates are made."""


@dataclass(frozen=True)
class Portfolio:
    """The lineups we enter, in order of choice: the first m rows are the portfolio of m.

    `lineups` (N, K) rows of the slate; `metrics` one row per lineup (regime, expected payout in dollars before the
    fee, leverage metrics); `audit` one row per rule re-checked on the final lineups.
    """

    lineups: np.ndarray
    metrics: pd.DataFrame
    audit: pd.DataFrame
    notes: tuple[str, ...] = ()


def allocate_lineups_by_regime(n_lineups: int, regime_weights: dict) -> dict:
    """Return how many of `n_lineups` each regime gets: whole shares, the remainder to the heaviest regime.

    Parameters
    ----------
    n_lineups : 0 or more
    regime_weights : regime → weight ≥ 0, summing to 1 (to 1e-6); of equally heavy regimes the first counts

    Examples
    --------
    >>> allocate_lineups_by_regime(20, {"dominator": 0.52, "chaos": 0.29, "balanced": 0.19})
    {'dominator': 12, 'chaos': 5, 'balanced': 3}
    """
    if int(n_lineups) != n_lineups or n_lineups < 0:
        raise ValueError(f"n_lineups: {n_lineups} is not a whole number of 0 or more")
    weights = np.array(list(regime_weights.values()), float)
    if not len(weights) or not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-6:
        raise ValueError(f"regime_weights: {regime_weights} must be weights of 0 or more that sum to 1")
    counts = np.floor(n_lineups * weights + 1e-9).astype(int)
    counts[np.argmax(weights)] += int(n_lineups) - counts.sum()
    return dict(zip(regime_weights, counts.tolist(), strict=True))


def generate_regime_aware_portfolio(
    slate: Slate,
    scenarios,
    ownership,
    contest: Contest,
    n_lineups: int,
    *,
    regime_weights: dict | None = None,
    rng: np.random.Generator,
    max_exposure: float = 1.0,
    max_overlap: int | None = None,
    penalties=PENALTIES,
    n_choose: int = 2_000,
) -> Portfolio:
    """Choose `n_lineups` by what each adds to the expected payout, our own entries competing, quotas by regime."""
    own = slate.align(ownership, "ownership")
    weights = regime_weights or _scenario_weights(scenarios)
    quota = allocate_lineups_by_regime(n_lineups, weights)
    field = sample_field(slate, own, contest.entries - _entered(n_lineups, contest), contest=contest, rng=rng)
    pool, label = _candidates(slate, scenarios, own, quota, penalties, field[: 20 * n_lineups])
    rows = np.linspace(0, len(scenarios) - 1, min(n_choose, len(scenarios))).astype(int)
    stage = FieldScores.from_field(field, scenarios.points[rows], contest, slate.rules)
    chosen = _choose(stage, pool, label, quota, n_lineups, max_exposure, max_overlap, len(slate))
    lineups = pool[chosen]
    metrics = lineup_metrics(slate, own, lineups)
    metrics.insert(0, "regime", [label[i] for i in chosen])
    metrics.insert(1, "expected_payout", stage.payout_of(stage.scores(lineups)).mean(axis=0))
    return Portfolio(lineups, metrics, audit(slate, lineups, n_lineups, max_exposure, max_overlap))


def _entered(n_lineups: int, contest: Contest) -> int:
    return min(n_lineups, contest.max_entries_per_user or n_lineups)


def _scenario_weights(scenarios) -> dict:
    share = np.bincount(scenarios.regime, scenarios.weight, len(scenarios.regime_names))
    return dict(zip(scenarios.regime_names, share, strict=True))


def _candidates(slate, scenarios, own, quota, penalties, field):
    pool, label = [], []
    for code, name in enumerate(scenarios.regime_names):
        here = scenarios.weight * (scenarios.regime == code)
        if not quota.get(name) or not here.sum():
            continue
        value = mean_value(scenarios.points, here / here.sum())
        for penalty in penalties:
            found = LeverageAwareOptimizer(slate, own, leverage_penalty=penalty).optimize(value, 2 * quota[name])
            pool.append(found)
            label += [name] * len(found)
        pool.append(field)
        label += [name] * len(field)
    return np.concatenate(pool), np.array(label, object)


def _choose(stage, pool, label, quota, n, max_exposure, max_overlap, n_drivers) -> list[int]:
    scores = stage.scores(pool)
    held = np.zeros((len(pool), n_drivers), bool)
    np.put_along_axis(held, pool, True, axis=1)
    left, counts, chosen = dict(quota), np.zeros(n_drivers, int), []
    most = np.floor(max_exposure * n + 1e-9)
    free = np.ones(len(pool), bool)
    while len(chosen) < n:
        allowed = free & np.array([left[name] > 0 for name in label]) & ~(held[:, counts >= most].any(axis=1))
        if not allowed.any():
            raise ValueError(f"portfolio: {len(chosen)} of {n} lineups found; allow more exposure or overlap")
        rows = np.flatnonzero(allowed)
        best = rows[np.argmax(stage.gain_of(scores[:, rows], scores[:, chosen]))]
        chosen.append(int(best))
        left[label[best]] -= 1
        counts += held[best]
        shared = held @ held[best].astype(int)
        free &= shared < pool.shape[1] if max_overlap is None else shared <= max_overlap
    return chosen


def audit(slate, lineups, n_lineups, max_exposure=1.0, max_overlap=None) -> pd.DataFrame:
    """Re-check every rule on the final lineups; one row per rule with what was found and whether it holds."""
    held = np.zeros((len(lineups), len(slate)), int)
    np.put_along_axis(held, lineups, 1, axis=1)
    shared = held @ held.T
    np.fill_diagonal(shared, 0)
    legal = is_legal(lineups, slate.salary, slate.rules, groups=slate.groups, out=slate.out)
    k = slate.rules.roster_size
    top = held.sum(axis=0).max() if len(lineups) else 0
    rows = [
        ("number of lineups", len(lineups), n_lineups, len(lineups) == n_lineups),
        ("legal lineups", int(legal.sum()), len(lineups), bool(legal.all())),
        (
            "most shared drivers",
            int(shared.max(initial=0)),
            max_overlap or k - 1,
            shared.max(initial=0) <= (max_overlap or k - 1),
        ),
        ("most used driver", int(top), int(np.floor(max_exposure * n_lineups)), top <= max_exposure * n_lineups + 1e-9),
    ]
    return pd.DataFrame(rows, columns=["rule", "found", "limit", "holds"])
