"""From scenarios and ownership to the lineups we enter: allocation over regimes, candidates, choice, audit."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dfslab.errors import UserError, whole_number
from dfslab.field import expected_copies, sample_fields
from dfslab.lineups import distinct, is_legal
from dfslab.metrics import mean_value
from dfslab.optimize import lineup_metrics
from dfslab.portfolio._candidates import (
    PENALTIES,
    field_runs,
    make_candidates,
    more_within_limits,
    screen,
    shifted,
    stage_of,
)
from dfslab.portfolio._greedy import Choice, Limits, TooFewLineups, choose_entries
from dfslab.portfolio._portfolio import Portfolio
from dfslab.slate import Contest, Slate

__all__ = [
    "PENALTIES",
    "allocate_lineups_by_regime",
    "audit",
    "field_runs",
    "generate_regime_aware_portfolio",
    "with_regime_weights",
]


REFILLS = 10
"""How often the choice starts again with candidates that lead on from where the limits stopped it."""


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
    n_lineups = whole_number(n_lineups, "n_lineups", 0)
    regime_weights = dict(regime_weights)
    weights = pd.to_numeric(pd.Series(regime_weights, dtype=object), errors="coerce").to_numpy(float)
    if not len(weights) or not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-6:
        raise UserError(f"regime_weights: {regime_weights} must be weights of 0 or more that sum to 1")
    counts = np.floor(n_lineups * weights + 1e-9).astype(int)
    counts[np.argmax(weights)] += n_lineups - counts.sum()
    return dict(zip(regime_weights, counts.tolist(), strict=True))


def with_regime_weights(scenarios, regime_weights: dict):
    """Return the scenarios with weights scaled so that each regime has its given probability.

    A regime with a probability but without a scenario raises `ValueError`.
    """
    names = list(scenarios.regime_names)
    unknown = sorted(set(regime_weights) - set(names))
    if unknown:
        raise UserError(f"regime_weights: {', '.join(unknown)} unknown; the regimes are {', '.join(names)}")
    wanted = np.array([regime_weights.get(name, 0.0) for name in names], float)
    have = np.bincount(scenarios.regime, scenarios.weight, len(names))
    empty = [name for name, w, h in zip(names, wanted, have, strict=True) if w > 0 and h == 0]
    if empty:
        raise UserError(f"regime_weights: no scenario is {', '.join(empty)}; simulate more, or give it weight 0")
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
    surprises=None,
    penalties=PENALTIES,
    max_exposure: float = 1.0,
    max_overlap: int | None = None,
    n_candidates: int = 6_000,
    n_choose: int = 10_000,
    n_fields: int = 20,
) -> Portfolio:
    """Choose `n_lineups` that earn most together in a simulated contest, spread over the regimes.

    Within each regime, candidates come from the leverage-aware optimizer on that regime's scenarios over `penalties`
    (on mean points and on means of a few scenarios at a time), more from all scenarios together and from fields like
    the opponents' own. All are screened by expected payout and told apart by the regime they lean on; `n_lineups` are
    chosen one after another by what each adds, our own entries competing, with the regimes' allocation as quotas.
    The order of the drivers changes nothing.

    Parameters
    ----------
    slate, scenarios : scenarios of the drivers of the slate (matched by name), with regimes and weights
    ownership : (D,) fractions or a Series by driver: the field's
    contest : the field fills what our entries leave of it; with a per-user limit the first lineups are those to enter
    regime_weights : regime → probability (default: what the scenarios' weights say). The probability of a regime
        without a scenario goes to the others, with a note.
    rng : candidates and fields have streams of their own
    ownership_draws : (n, D) draws of the forecast; the fields use the first `n_fields` of them, else all its mean
    surprises : (n, D) points that each driver gains in the races against each of these draws (default none): a field
        that likes a driver more than forecast knows more of him. The choice sees them, the candidates do not.
    penalties : the grid of λ, points per squared ownership
    max_exposure : largest share of our lineups that hold a driver; it allows each driver at least one lineup
    max_overlap : drivers any two lineups may share, default all but one
    n_candidates, n_choose, n_fields : candidates made, scenarios (the first) chosen on, fields played against. More
        fields make the choice less sure of one forecast; more candidates make it luckier, not better.

    Returns
    -------
    Portfolio, its rows in order of choice: of the first m at most ceil(max_exposure · m) hold a driver.

    Raises
    ------
    ValueError : weights that are none, more entries than the contest holds, or limits that leave fewer lineups
    """
    max_overlap = slate.rules.roster_size - 1 if max_overlap is None else max_overlap
    _check_sizes(slate, n_lineups, contest, max_exposure, max_overlap, (n_candidates, n_choose, n_fields))
    by_name = np.argsort(slate.names.astype(str), kind="stable")
    ordered = replace(slate, drivers=slate.drivers.iloc[by_name].reset_index(drop=True))
    own = slate.align(ownership, "ownership")[by_name]
    draws = np.tile(own, (n_fields, 1)) if ownership_draws is None else np.asarray(ownership_draws)[:n_fields, by_name]
    gained = np.zeros_like(draws) if surprises is None else np.asarray(surprises)[:n_fields, by_name]
    scenarios, weights, notes = _weighted(scenarios.for_slate(ordered), regime_weights)
    limits = Limits(max_exposure, int(max_overlap), allocate_lineups_by_regime(n_lineups, weights))
    task = _Task(ordered, scenarios, own, draws, gained, contest, int(n_lineups), limits, notes)
    chosen = task.choose(penalties, n_candidates, n_choose, *rng.spawn(2)) if n_lineups else task.nothing()
    lineups = np.sort(by_name[chosen.lineups], axis=1)
    made = {} if chosen.spilled else {"regimes": chosen.metrics["regime"], "quota": limits.quota}
    checked = audit(slate, lineups, n_lineups, max_exposure, max_overlap, **made)
    given = {"slate": slate, "ownership": slate.align(ownership, "ownership"), "contest": contest}
    return replace(chosen, lineups=lineups, audit=checked, **given)


@dataclass(frozen=True)
class _Task:
    """What a portfolio is made from, drivers in the order of their names."""

    slate: Slate
    scenarios: object
    own: np.ndarray
    draws: np.ndarray
    surprises: np.ndarray
    contest: Contest
    n: int
    limits: Limits
    notes: tuple[str, ...]

    def choose(self, penalties, n_candidates, n_choose, candidate_rng, field_rng) -> Portfolio:
        """Make candidates, screen them, and choose."""
        slate, contest, quota = self.slate, self.contest, self.limits.quota
        few = self.scenarios.take(np.arange(min(n_choose, len(self.scenarios))))
        few = shifted(few, self.surprises, slate.rules.tick)
        room = contest.entries - _entered(self.n, contest)
        fields = sample_fields(slate, self.draws, room, contest=contest, rng=field_rng)
        made = make_candidates(
            slate, self.scenarios, self.own, quota, fields[0], n_candidates, candidate_rng, penalties
        )
        pool, labels = screen(made, few, fields, contest, slate.rules, quota)
        stage = stage_of(few, fields, contest, slate.rules)
        for left in reversed(range(REFILLS)):
            try:
                choice = choose_entries(stage, pool, labels, self.n, self.limits, weight=few.weight)
                return self._portfolio(pool[choice.order], labels[choice.order], choice)
            except TooFewLineups as short:
                if not left:
                    raise
                pool, labels = self._refilled(pool, labels, short, penalties)

    def _refilled(self, pool, labels, short: TooFewLineups, penalties):
        """Return the candidates with lineups that lead on from where the choice was stuck; raise if there are none."""
        value = mean_value(self.scenarios.points, self.scenarios.weight)
        more = more_within_limits(self.slate, value, self.own, pool[short.order], self.limits, self.n, penalties)
        if not len(more):
            raise short
        return np.concatenate([pool, more]), np.concatenate([labels, np.full(len(more), short.label, object)])

    def nothing(self) -> Portfolio:
        """Return the portfolio of no lineup."""
        empty, lineups = np.empty(0), np.empty((0, self.slate.rules.roster_size), int)
        return self._portfolio(lineups, empty.astype(object), Choice(empty.astype(int), empty, empty))

    def _portfolio(self, lineups, labels, choice: Choice) -> Portfolio:
        copies = np.empty(0)
        if len(lineups):
            copies = expected_copies(lineups, self.slate, self.own, self.contest.entries, contest=self.contest)
        metrics = lineup_metrics(self.slate, self.own, lineups, expected_copies=copies)
        metrics.insert(0, "regime", labels)
        metrics.insert(1, "gain", choice.gain)
        metrics.insert(2, "expected_payout", choice.alone[choice.order])
        ratio = float(choice.gain.sum() / choice.bound) if choice.bound else float("nan")
        notes = (*self.notes, *choice.notes)
        return Portfolio(lineups, metrics, pd.DataFrame(), ratio, len(choice.alone), notes, bool(choice.notes))


def _check_sizes(slate, n_lineups, contest, max_exposure, max_overlap, sizes) -> None:
    """Raise `ValueError` for numbers that cannot be."""
    whole_number(n_lineups, "n_lineups", 0)
    if _entered(n_lineups, contest) > contest.entries:
        raise UserError(
            f"n_lineups: {n_lineups} lineups cannot enter a contest of {contest.entries:,} entries; ask for fewer"
        )
    if not 0 < max_exposure <= 1:
        raise UserError(f"max_exposure: {max_exposure} given; a share above 0 and at most 1 is needed")
    if max_overlap not in range(slate.rules.roster_size):
        raise UserError(
            f"max_overlap: {max_overlap} given; two different lineups share 0 to {slate.rules.roster_size - 1} drivers"
        )
    for name, size in zip(("n_candidates", "n_choose", "n_fields"), sizes, strict=True):
        if size < 1:
            raise UserError(f"{name}: {size} given; at least 1 is needed")


def _entered(n_lineups: int, contest: Contest) -> int:
    return int(min(n_lineups, contest.max_entries_per_user or n_lineups))


def _weighted(scenarios, regime_weights: dict | None):
    """Return the scenarios with the regimes' weights, the weights used, and what had to be changed."""
    names = scenarios.regime_names
    have = np.bincount(scenarios.regime, scenarios.weight, len(names))
    if regime_weights is None:
        return scenarios, dict(zip(names, (have / have.sum()).tolist(), strict=True)), ()
    allocate_lineups_by_regime(0, regime_weights)
    empty = [name for name, h in zip(names, have, strict=True) if h == 0 and regime_weights.get(name, 0) > 0]
    left = {name: 0.0 if name in empty else weight for name, weight in regime_weights.items()}
    total = sum(left.values())
    if not total > 0:
        raise UserError(f"regime_weights: no scenario is {' or '.join(empty)}; simulate more, or weigh other regimes")
    left = {name: weight / total for name, weight in left.items()}
    note = f"No simulated race is {' or '.join(empty)}: its probability and its lineups go to the other regimes."
    return with_regime_weights(scenarios, left), left, (note,) if empty else ()


def audit(
    slate: Slate, lineups, n_lineups=None, max_exposure=1.0, max_overlap=None, *, regimes=(), quota=None
) -> pd.DataFrame:
    """Re-check every rule on the final `lineups` (N, K); one row per rule: found, limit, whether it holds.

    With `quota` regime → lineups, the `regimes` (N,) the lineups were made for must be as many.
    """
    lineups = np.asarray(lineups).reshape(-1, slate.rules.roster_size)
    n = len(lineups) if n_lineups is None else n_lineups
    k, cap = slate.rules.roster_size, slate.rules.salary_cap
    most = Limits(max_exposure, 0, {}).most(n) if n else 0
    held = np.zeros((len(lineups), len(slate)), int)
    np.put_along_axis(held, lineups, 1, axis=1)
    shared = held @ held.T
    np.fill_diagonal(shared, 0)
    legal = is_legal(lineups, slate.salary, slate.rules, groups=slate.groups, out=slate.out) if len(lineups) else []
    different = len(distinct(lineups)[0]) if len(lineups) else 0
    cost = int(slate.salary[lineups].sum(axis=1).max(initial=0))
    overlap, limit = int(shared.max(initial=0)), k - 1 if max_overlap is None else int(max_overlap)
    top = int(held.sum(axis=0).max(initial=0))
    rows = [
        ("lineups as many as asked", len(lineups), n, len(lineups) == n),
        ("all lineups different", different, len(lineups), different == len(lineups)),
        ("legal lineups (roster, cap, groups, nobody who is out)", int(np.sum(legal)), n, bool(np.all(legal))),
        ("dearest lineup, dollars", cost, cap, cost <= cap),
        ("drivers shared by two lineups, at most", overlap, limit, overlap <= limit),
        ("lineups that hold one driver, at most", top, most, top <= most),
    ]
    if quota is not None:
        made = pd.Series(regimes, dtype=object).value_counts()
        off = int(sum(abs(count - made.get(name, 0)) for name, count in quota.items()))
        rows.append(("lineups off the regimes' allocation", off, 0, off == 0))
    return pd.DataFrame(rows, columns=["rule", "found", "limit", "holds"])
