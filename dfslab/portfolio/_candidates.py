"""Candidate lineups: made for each regime by the leverage-aware optimizer and taken from fields, then screened."""

from dataclasses import replace

import numpy as np

from dfslab.contest import field_runs
from dfslab.metrics import mean_value
from dfslab.optimize import InfeasibleLineup, LineupShortage

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
LEAN_STEPS, LEAN_ERROR = 100, 1 / 2_400
LEAN_RATE = 0.5
"""First step of the offsets that share the candidates out over the regimes; steps fall as 1/n."""


def shifted(scenarios, shift, tick: float):
    """Return the scenarios with `shift` added to the points of who races, in whole ticks.

    `shift` is (D,) for all scenarios, or (n, D) for as many fields, each for its own run of scenarios.
    """
    steps = np.rint(np.atleast_2d(shift) / tick)
    if not steps.any():
        return scenarios
    runs = field_runs(len(scenarios), len(steps))
    steps = np.repeat(steps[: len(runs)], [run.stop - run.start for run in runs], axis=0)
    points = (np.rint(scenarios.points / tick) + steps) * tick
    return replace(scenarios, points=np.where(scenarios.finish > 0, points, scenarios.points))


def make_candidates(optimizer, scenarios, quota: dict, field, n: int, rng, penalties, wanted=()) -> np.ndarray:
    """Return about `n` different lineups that the optimizer's rules allow, (C, K).

    Parameters
    ----------
    optimizer : a `LeverageAwareOptimizer` with slate, ownership and every rule a lineup must obey
    scenarios : in the rows of its slate
    quota : regime → lineups; regimes with none get no candidates of their own
    field : (F, K) lineups like the opponents'
    n : a slate with no more legal lineups gives them all
    penalties : the λ to try
    wanted : names of drivers with a minimum exposure: lineups that hold each of them are made too

    For each regime, for all regimes together, and for each λ the best lineups by mean points, and by means of a few
    scenarios at a time, are taken.
    """
    codes = [code for code, name in enumerate(scenarios.regime_names) if quota.get(name, 0) > 0]
    everything = np.ones(len(scenarios), bool)
    parts = [((), everything, FROM_ALL)]
    parts += [((), scenarios.regime == code, (1 - FROM_FIELD - FROM_ALL) / len(codes)) for code in codes]
    parts += [((name,), everything, FROM_ALL) for name in wanted]
    whole = replace(optimizer, leverage_penalty=0.0).best(np.zeros(len(optimizer.slate)), n + 1)
    pool = [field[: round(FROM_FIELD * n)], whole[: len(whole) if len(whole) <= n else 0]]
    for locks, rows, share in parts:
        here = np.flatnonzero(rows & (scenarios.weight > 0))
        for penalty in penalties:
            made = replace(optimizer, leverage_penalty=penalty, locks=(*optimizer.locks, *locks))
            pool.append(_optimised(made, scenarios, here, max(1, int(share * n / len(penalties))), rng))
    pool = np.unique(np.concatenate(pool), axis=0)
    return pool[optimizer.allows(pool)]


def _optimised(optimizer, scenarios, here, n, rng) -> np.ndarray:
    """Return about `n` lineups that are best on the mean, and on means of a few scenarios, of the rows `here`."""
    chance = scenarios.weight[here] / scenarios.weight[here].sum()
    draws = rng.choice(here, (max(1, 3 * n // 4 // BEST_OF_EACH), RESAMPLED), p=chance)
    values = [mean_value(scenarios.points[here], chance), *(scenarios.points[rows].mean(axis=0) for rows in draws)]
    counts = [max(1, n // 4), *[BEST_OF_EACH] * len(draws)]
    return np.concatenate([optimizer.best(value, count) for value, count in zip(values, counts, strict=True)])


def more_within_limits(optimizer, value, chosen, limits, n: int, penalties) -> np.ndarray:
    """Return lineups that may follow the `chosen` (m, K) on the way to `n`, (L, K); empty when the limits forbid any.

    For each λ they respect the limits together, so that the rest of the way exists wherever the search finds it.
    """
    slate, stop = optimizer.slate, limits.stop(len(chosen) + 1, n)
    shares = limits.shares(stop, slate.names, chosen)
    given = {"excluded": chosen, "excluded_overlap": limits.max_overlap} if len(chosen) else {}
    bans = (*optimizer.bans, *slate.names[(shares["max_exposure"] == 0) & ~slate.out])
    found = [np.empty((0, slate.rules.roster_size), int)]
    for penalty in penalties:
        try:
            led = replace(optimizer, leverage_penalty=penalty, bans=bans, **given)
            found.append(led.optimize(value, stop - len(chosen), max_overlap=limits.max_overlap, **shares))
        except LineupShortage as short:
            found.append(short.lineups)
        except InfeasibleLineup:
            break
    found = np.unique(np.concatenate(found), axis=0)
    return found[optimizer.allows(found)]


def lean(pay, share) -> np.ndarray:
    """Return the regime in which each lineup earns most beside the others, (C,), about `share` (R,) of them in each.

    `pay` (C, R) is what each regime adds to the expected payout. A lineup leans on the regime with the largest
    log(payout / mean payout of all) + b; b is raised for regimes on which too few lean until the shares are met, so
    that quotas by the same shares ask for lineups that are there.
    """
    lift = np.log(np.maximum(pay, 1e-12) / np.maximum(pay.mean(axis=0), 1e-12))
    raised = np.where(share > 0, 0.0, -np.inf)
    code = (lift + raised).argmax(axis=1)
    for step in range(LEAN_STEPS):
        have = np.bincount(code, minlength=len(share)) / len(code)
        gap = np.where(share > 0, share - have, 0.0)
        if np.abs(gap).max() < LEAN_ERROR:
            break
        raised = raised + gap * LEAN_RATE / (1 + step / 20)
        code = (lift + raised).argmax(axis=1)
    return code
