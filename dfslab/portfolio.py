"""From scenarios and ownership to the lineups we enter: allocation over regimes, candidates, choice, audit."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from dfslab.choose import Choice, Limits, choose_entries, join_scores
from dfslab.contest import FieldScores, expected_payouts
from dfslab.field import expected_copies, sample_fields
from dfslab.lineups import best_lineups, distinct, is_legal
from dfslab.optimize import LeverageAwareOptimizer, lineup_metrics, mean_value
from dfslab.slate import Contest, Slate

__all__ = [
    "PENALTIES",
    "Portfolio",
    "allocate_lineups_by_regime",
    "audit",
    "field_runs",
    "generate_regime_aware_portfolio",
    "with_regime_weights",
]

PENALTIES = (0.0, 15.0, 30.0, 60.0, 100.0, 150.0)
"""Leverage penalties λ, in points per squared ownership, over which candidates are made."""
RESAMPLED = 16
"""Scenarios averaged for one resampled value vector: few enough to be a story, enough not to be a single fluke."""
BEST_OF_EACH = 5
"""Lineups kept of each resampled value vector."""
KEPT_PER_LINEUP = 20
"""Candidates, per lineup asked for, that go into the choice after screening by expected payout."""
LEAST_KEPT = 600


@dataclass(frozen=True)
class Portfolio:
    """The lineups we enter, in order of choice: the first m rows are the portfolio of m.

    `lineups` (N, K) rows of the slate. `metrics` has one row per lineup: regime, gain (dollars of expected payout it
    added when chosen), expected_payout (dollars, alone in the field; on the scenarios it was chosen on, so too
    good), and the leverage metrics. `audit` has one row per rule re-checked on the final lineups. `greedy_to_bound`
    is the chosen set's expected payout over the sum of the N largest stand-alone payouts, which no set can pass.
    """

    lineups: np.ndarray
    metrics: pd.DataFrame
    audit: pd.DataFrame
    greedy_to_bound: float = float("nan")
    candidates: int = 0
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


def with_regime_weights(scenarios, regime_weights: dict):
    """Return the scenarios with weights scaled so that each regime has its given probability.

    A regime with a probability but without a scenario raises `ValueError`.
    """
    names = list(scenarios.regime_names)
    unknown = sorted(set(regime_weights) - set(names))
    if unknown:
        raise ValueError(f"regime_weights: {', '.join(unknown)} unknown; the regimes are {', '.join(names)}")
    wanted = np.array([regime_weights.get(name, 0.0) for name in names], float)
    have = np.bincount(scenarios.regime, scenarios.weight, len(names))
    empty = [name for name, w, h in zip(names, wanted, have, strict=True) if w > 0 and h == 0]
    if empty:
        raise ValueError(f"regime_weights: no scenario is {', '.join(empty)}; simulate more, or give it weight 0")
    factor = np.divide(wanted, have, out=np.zeros(len(names)), where=have > 0)
    weight = scenarios.weight * factor[scenarios.regime]
    return replace(scenarios, weight=weight / weight.sum())


def generate_regime_aware_portfolio(
    slate: Slate,
    scenarios,
    ownership,
    contest: Contest,
    n_lineups: int,
    *,
    regime_weights: dict | None = None,
    rng: np.random.Generator,
    ownership_draws=None,
    penalties=PENALTIES,
    max_exposure: float = 1.0,
    max_overlap: int | None = None,
    n_candidates: int = 12_000,
    n_choose: int = 10_000,
    n_fields: int = 4,
) -> Portfolio:
    """Choose `n_lineups` that earn most together in a simulated contest, spread over the regimes.

    Within each regime, candidates come from the leverage-aware optimizer on that regime's scenarios over `penalties`
    (on mean points and on means of a few scenarios at a time), and from fields like the opponents' own. All are
    screened by expected payout, and `n_lineups` are chosen one after another by what each adds, our own entries
    competing, with the regimes' allocation as quotas.

    Parameters
    ----------
    slate, scenarios : scenarios of the drivers of the slate (matched by name), with regimes and weights
    ownership : (D,) fractions or a Series by driver: the field's
    contest : the field fills what our entries leave of it
    regime_weights : regime → probability (default: what the scenarios' weights say)
    rng : candidates and fields have streams of their own
    ownership_draws : (n, D) draws of the forecast; the fields use the first `n_fields` of them instead of its mean
    penalties : the grid of λ, points per squared ownership
    max_exposure : largest share of our lineups that hold a driver ; max_overlap : drivers any two may share
    n_candidates, n_choose, n_fields : candidates made, scenarios (the first) chosen on, fields played against

    Raises
    ------
    ValueError : weights that are none, or limits that leave fewer than `n_lineups` lineups
    """
    own = slate.align(ownership, "ownership")
    scenarios = scenarios if np.array_equal(scenarios.drivers, slate.names) else scenarios.for_slate(slate)
    scenarios = scenarios if regime_weights is None else with_regime_weights(scenarios, regime_weights)
    weights = regime_weights or _regime_shares(scenarios)
    quota = allocate_lineups_by_regime(n_lineups, weights)
    max_overlap = slate.rules.roster_size - 1 if max_overlap is None else max_overlap
    if n_lineups == 0:
        return _finish(slate, own, contest, np.empty((0, slate.rules.roster_size), int), [], None, {})
    candidate_rng, field_rng = rng.spawn(2)
    few = scenarios.take(np.arange(min(n_choose, len(scenarios))))
    draws = own[None] if ownership_draws is None else np.asarray(ownership_draws)[:n_fields]
    fields = sample_fields(slate, draws, contest.entries - _entered(n_lineups, contest), contest=contest, rng=field_rng)
    pool, origin = _candidates(slate, scenarios, own, quota, penalties, fields[0], n_candidates, candidate_rng)
    pool, label = _screened(pool, origin, few, fields, contest, slate.rules, quota)
    most = np.full(len(slate), np.floor(max_exposure * n_lineups + 1e-9))
    choice = choose_entries(
        _stage(few, fields, contest, slate.rules), pool, label, n_lineups, Limits(most, max_overlap, quota),
        weight=few.weight,
    )  # fmt: skip
    lineups = pool[choice.order]
    limits = {"max_exposure": max_exposure, "max_overlap": max_overlap, "n_lineups": n_lineups}
    return _finish(slate, own, contest, lineups, label[choice.order], choice, limits)


def _entered(n_lineups: int, contest: Contest) -> int:
    return min(n_lineups, contest.max_entries_per_user or n_lineups)


def _regime_shares(scenarios) -> dict:
    share = np.bincount(scenarios.regime, scenarios.weight, len(scenarios.regime_names))
    return dict(zip(scenarios.regime_names, share / share.sum(), strict=True))


def field_runs(n: int, fields) -> list[slice]:
    """Cut `n` scenarios into one run per field; each field plays its own."""
    cuts = np.linspace(0, n, len(fields) + 1).astype(int)
    return [slice(a, b) for a, b in pairwise(cuts) if b > a]


def _stage(scenarios, fields, contest, rules) -> FieldScores:
    """Return the fields' scores, each field in its own run of scenarios."""
    blocks = field_runs(len(scenarios), fields)
    return join_scores(
        FieldScores.from_field(f, scenarios.points[b], contest, rules) for f, b in zip(fields, blocks, strict=False)
    )


def _candidates(slate, scenarios, own, quota, penalties, field, n, rng):
    """Return different lineups (C, K) and the regime each was made for ("" for those taken from a field)."""
    wanted = [name for name, count in quota.items() if count > 0]
    each = max(1, n // (2 * len(wanted) * len(penalties)))
    pool, origin = [], []
    for name in wanted:
        here = np.flatnonzero((scenarios.regime == scenarios.regime_names.index(name)) & (scenarios.weight > 0))
        for penalty in penalties:
            optimizer = LeverageAwareOptimizer(slate, own, leverage_penalty=penalty)
            pool.append(_optimised(optimizer, scenarios, here, each, rng))
            origin += [name] * len(pool[-1])
    taken = field[: n // 4]
    unique, first = np.unique(np.concatenate([*pool, taken]), axis=0, return_index=True)
    return unique, np.array([*origin, *[""] * len(taken)], object)[first]


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


def _screened(pool, origin, scenarios, fields, contest, rules, quota):
    """Keep the candidates with the largest expected payout, for each regime its share; label those of the field.

    A lineup from the field belongs to the regime in which it earns most against the candidates' average there.
    """
    pay = np.zeros((len(pool), len(scenarios.regime_names)))
    for field, block in zip(fields, field_runs(len(scenarios), fields), strict=False):
        for code in np.unique(scenarios.regime[block]):
            rows = np.arange(block.start, block.stop)[scenarios.regime[block] == code]
            share = scenarios.weight[rows].sum()
            weight = scenarios.weight[rows] / share if share > 0 else None
            found = expected_payouts(pool, field, scenarios.points[rows], contest, weight, rules=rules)
            pay[:, code] += share * found["expected_payout"].to_numpy()
    lift = pay / np.maximum(pay.mean(axis=0), 1e-12)
    label = np.where(origin == "", np.array(scenarios.regime_names, object)[lift.argmax(axis=1)], origin)
    total, kept = pay.sum(axis=1), []
    for name, count in quota.items():
        rows = np.flatnonzero(label == name)
        kept.append(rows[np.argsort(-total[rows], kind="stable")][: max(LEAST_KEPT, KEPT_PER_LINEUP * count)])
    kept = np.sort(np.concatenate(kept))
    return pool[kept], label[kept]


def _finish(slate, own, contest, lineups, label, choice: Choice | None, limits) -> Portfolio:
    """Return the portfolio with its metrics and its audit."""
    copies = expected_copies(lineups, slate, own, contest.entries, contest=contest) if len(lineups) else np.empty(0)
    metrics = lineup_metrics(slate, own, lineups, expected_copies=copies)
    metrics.insert(0, "regime", np.array(label, object))
    metrics.insert(1, "gain", choice.gain if choice else np.empty(0))
    metrics.insert(2, "expected_payout", choice.alone[choice.order] if choice else np.empty(0))
    ratio = choice.gain.sum() / choice.bound if choice and choice.bound else float("nan")
    size = len(choice.alone) if choice else 0
    return Portfolio(lineups, metrics, audit(slate, lineups, **limits), ratio, size, choice.notes if choice else ())


def audit(slate: Slate, lineups, n_lineups=None, max_exposure=1.0, max_overlap=None) -> pd.DataFrame:
    """Re-check every rule on the final `lineups` (N, K); one row per rule: found, limit, whether it holds."""
    lineups = np.asarray(lineups)
    n = len(lineups) if n_lineups is None else n_lineups
    k = slate.rules.roster_size
    max_overlap = k - 1 if max_overlap is None else max_overlap
    held = np.zeros((len(lineups), len(slate)), int)
    np.put_along_axis(held, lineups, 1, axis=1)
    shared = held @ held.T
    np.fill_diagonal(shared, 0)
    top, most = held.sum(axis=0).max(initial=0), int(np.floor(max_exposure * n + 1e-9))
    legal = is_legal(lineups, slate.salary, slate.rules, groups=slate.groups, out=slate.out) if len(lineups) else []
    rows = [
        ("lineups as many as asked", len(lineups), n, len(lineups) == n),
        ("all lineups different", len(distinct(lineups)[0]), n, len(distinct(lineups)[0]) == len(lineups)),
        ("legal lineups (roster, cap, groups, nobody who is out)", int(np.sum(legal)), n, bool(np.all(legal))),
        (
            "dearest lineup, dollars",
            int(slate.salary[lineups].sum(axis=1).max(initial=0)),
            slate.rules.salary_cap,
            None,
        ),
        ("drivers shared by two lineups, at most", int(shared.max(initial=0)), max_overlap, None),
        ("lineups that hold one driver, at most", int(top), most, None),
    ]
    rows = [(rule, found, limit, found <= limit if holds is None else holds) for rule, found, limit, holds in rows]
    return pd.DataFrame(rows, columns=["rule", "found", "limit", "holds"])
