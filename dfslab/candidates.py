"""Candidate lineups: made for each regime by the leverage-aware optimizer and taken from fields, then screened."""

from itertools import pairwise

import numpy as np
import pandas as pd

from dfslab.choose import join_scores
from dfslab.contest import FieldScores, expected_payouts
from dfslab.lineups import SearchTooLarge, best_lineups, enumerate_lineups
from dfslab.optimize import InfeasibleLineup, LeverageAwareOptimizer, LineupShortage, mean_value

__all__ = ["PENALTIES", "field_runs", "make_candidates", "more_within_limits", "screen", "stage_of"]

PENALTIES = (0.0, 15.0, 30.0, 60.0, 100.0, 150.0)
"""Leverage penalties λ, in points per squared ownership, over which candidates are made."""
RESAMPLED = 16
"""Scenarios averaged for one resampled value vector: few enough to be a story, enough not to be a single fluke."""
BEST_OF_EACH = 5
"""Lineups kept of each resampled value vector."""
FROM_FIELD = 0.2
"""Share of the candidates taken from a field like the opponents'."""
FROM_ALL = 0.2
"""Share of the candidates made on scenarios of all regimes together; the rest is made regime by regime."""
KEPT = 2_400
"""Candidates that go into the choice after screening by expected payout, shared by quota."""
LEAST_KEPT = 300
"""Of these, at least for each regime."""


def field_runs(n: int, fields) -> list[slice]:
    """Cut `n` scenarios into one run per field; each field plays its own."""
    cuts = np.linspace(0, n, len(fields) + 1).astype(int)
    return [slice(a, b) for a, b in pairwise(cuts) if b > a]


def stage_of(scenarios, fields, contest, rules) -> FieldScores:
    """Return the fields' scores, each field in its own run of scenarios."""
    blocks = field_runs(len(scenarios), fields)
    return join_scores(
        FieldScores.from_field(f, scenarios.points[b], contest, rules) for f, b in zip(fields, blocks, strict=False)
    )


def make_candidates(slate, scenarios, own, quota: dict, field, n: int, rng, penalties=PENALTIES):
    """Return about `n` different lineups (C, K) and the regimes each was made for, (C, R) bool.

    Parameters
    ----------
    slate, scenarios : in the same rows ; own : (D,) ownership, fractions
    quota : regime → lineups; regimes with none get no candidates
    field : (F, K) lineups like the opponents', made for every regime
    n : a slate with no more legal lineups gives them all, made for every regime

    For each regime, for all regimes together, and for each λ the best lineups by mean points, and by means of a few
    scenarios at a time, are taken.
    """
    wanted = np.array([quota.get(name, 0) > 0 for name in scenarios.regime_names])
    pool = [field[: round(FROM_FIELD * n)], _all_lineups(slate, n)]
    made = [np.tile(wanted, (len(lineups), 1)) for lineups in pool]
    optimizers = [LeverageAwareOptimizer(slate, own, leverage_penalty=penalty) for penalty in penalties]
    inside = [scenarios.regime == code for code in np.flatnonzero(wanted)]
    purposes = [np.arange(len(wanted)) == code for code in np.flatnonzero(wanted)]
    shares = [(1 - FROM_FIELD - FROM_ALL) / wanted.sum()] * len(inside)
    for rows, purpose, share in zip(
        [np.ones(len(scenarios), bool), *inside], [wanted, *purposes], [FROM_ALL, *shares], strict=True
    ):
        here = np.flatnonzero(rows & (scenarios.weight > 0))
        for optimizer in optimizers:
            pool.append(_optimised(optimizer, scenarios, here, max(1, int(share * n / len(optimizers))), rng))
            made.append(np.tile(purpose, (len(pool[-1]), 1)))
    unique, place = np.unique(np.concatenate(pool), axis=0, return_inverse=True)
    purpose = np.zeros((len(unique), len(wanted)), bool)
    np.logical_or.at(purpose, place.reshape(-1), np.concatenate(made))
    return unique, purpose


def _all_lineups(slate, most: int) -> np.ndarray:
    """Return every legal lineup, or none when there are more than `most`."""
    racing = np.flatnonzero(~slate.out)
    groups = None if slate.groups is None else slate.groups[racing]
    try:
        return racing[enumerate_lineups(slate.salary[racing], slate.rules, groups=groups, limit=most)]
    except SearchTooLarge:
        return np.empty((0, slate.rules.roster_size), int)


def _optimised(optimizer, scenarios, here, n, rng) -> np.ndarray:
    """Return about `n` lineups that are best on the mean, and on means of a few scenarios, of the rows `here`."""
    slate, chance = optimizer.slate, scenarios.weight[here] / scenarios.weight[here].sum()
    draws = rng.choice(here, (max(1, 3 * n // 4 // BEST_OF_EACH), RESAMPLED), p=chance)
    values = [mean_value(scenarios.points[here], chance), *(scenarios.points[rows].mean(axis=0) for rows in draws)]
    counts = [max(1, n // 4), *[BEST_OF_EACH] * len(draws)]
    fixed = {"groups": slate.groups, "bans": np.flatnonzero(slate.out)}
    found = (
        best_lineups(optimizer.objective(value), slate.salary, slate.rules, count, **fixed)
        for value, count in zip(values, counts, strict=True)
    )
    return np.concatenate(list(found))


def more_within_limits(slate, value, own, chosen, limits, n: int, penalties=PENALTIES) -> np.ndarray:
    """Return lineups that may follow the `chosen` (m, K) on the way to `n`, (L, K); empty when the limits forbid any.

    For each λ they respect the limits together, so that the rest of the way exists wherever the search finds it.
    """
    used = np.bincount(chosen.ravel(), minlength=len(slate))
    left, rest = limits.most(n) - used, n - len(chosen)
    share = pd.Series(np.clip(left / rest, 0.0, 1.0), slate.names)
    given = {"avoid": chosen, "avoid_overlap": limits.max_overlap} if len(chosen) else {}
    bans = tuple(slate.names[(left <= 0) & ~slate.out])
    found = [np.empty((0, slate.rules.roster_size), int)]
    for penalty in penalties:
        try:
            optimizer = LeverageAwareOptimizer(slate, own, leverage_penalty=penalty, bans=bans, **given)
            found.append(optimizer.optimize(value, rest, max_overlap=limits.max_overlap, max_exposure=share))
        except LineupShortage as short:
            found.append(short.lineups)
        except InfeasibleLineup:
            break
    return np.unique(np.concatenate(found), axis=0)


def screen(pool, purpose, scenarios, fields, contest, rules, quota: dict):
    """Keep of each regime the candidates with the largest expected payout; return lineups and labels.

    A lineup made for several regimes belongs to the one in which it earns most against the candidates' average there.
    """
    pay = _pay_by_regime(pool, scenarios, fields, contest, rules)
    lift = np.where(purpose, pay / np.maximum(pay.mean(axis=0), 1e-12), -1.0)
    code, total, kept = lift.argmax(axis=1), pay.sum(axis=1), []
    for regime, name in enumerate(scenarios.regime_names):
        rows = np.flatnonzero(code == regime)
        count = max(LEAST_KEPT, KEPT * quota.get(name, 0) // max(1, sum(quota.values())))
        kept.append(rows[np.argsort(-total[rows], kind="stable")][:count])
    kept = np.sort(np.concatenate(kept))
    return pool[kept], np.array(scenarios.regime_names, object)[code[kept]]


def _pay_by_regime(pool, scenarios, fields, contest, rules) -> np.ndarray:
    """Return what each regime adds to the expected payout of every candidate standing alone, (C, R) dollars."""
    pay = np.zeros((len(pool), len(scenarios.regime_names)))
    for field, block in zip(fields, field_runs(len(scenarios), fields), strict=False):
        for code in np.unique(scenarios.regime[block]):
            rows = np.arange(block.start, block.stop)[scenarios.regime[block] == code]
            share = scenarios.weight[rows].sum()
            if share > 0:
                weight = scenarios.weight[rows] / share
                found = expected_payouts(pool, field, scenarios.points[rows], contest, weight, rules=rules)
                pay[:, code] += share * found["expected_payout"].to_numpy()
    return pay
