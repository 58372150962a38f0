"""Portfolios from scenarios and ownership: a workshop that makes everything once, and choices from it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from inspect import signature

import numpy as np

from dfslab.contest import FieldScores, OurEntries
from dfslab.errors import UserError, number_between, whole_number
from dfslab.field import sample_fields
from dfslab.metrics import mean_value
from dfslab.optimize import LeverageAwareOptimizer, exposure_bounds, lineup_rows
from dfslab.portfolio._candidates import PENALTIES, make_candidates, shifted
from dfslab.portfolio._choose import Task, allocate_lineups_by_regime
from dfslab.portfolio._greedy import Limits
from dfslab.portfolio._portfolio import Portfolio
from dfslab.slate import Contest, Slate

LEVERAGE_SHARE = 0.0
"""Share of the entering lineups chosen by what they add in the contest by default; the rest are the best by
mean points beside them. On 41 races of ten simulated seasons a half gained .00 ± .04 a dollar of fees over the best by
mean points alone and all of them −.03 ± .06 (replays, paired), where .23 and .34 were promised."""


def generate_regime_aware_portfolio(
    slate: Slate, scenarios, ownership, contest: Contest, n_lineups: int, *, rng: np.random.Generator, **options
) -> Portfolio:
    """Choose `n_lineups` that earn most together in a simulated contest, under every rule a person has.

    Within each regime, candidates come from the leverage-aware optimizer on that regime's scenarios over the penalties
    (on mean points and on means of a few scenarios at a time), more from all scenarios together and from fields like
    the opponents' own. All are screened by the objective and labelled with the regime they lean on; `n_lineups` are
    chosen one after another by what each adds, our own entries competing. The order of the drivers changes nothing.

    Parameters
    ----------
    slate, scenarios : scenarios of the drivers of the slate (matched by name), with regimes and weights
    ownership : (D,) fractions or a Series by driver: the field's
    contest : the field fills what our entries leave of it; with a per-user limit the first lineups are those to enter
    rng : candidates and fields have streams of their own
    objective : "payout" (dollars), "cash" (entries in the money) or "top1" (entries among the best 1 % of the contest)
    leverage_penalty : λ, points per squared ownership, of the candidates; a number or several (default `PENALTIES`)
    leverage_share : share of the entering lineups that are chosen by what they add in the contest; the rest are the
        best by mean points beside them; 0 plays plain lineups. None is `LEVERAGE_SHARE`, but 1 where a penalty, quotas,
        robustness or candidates are given.
    max_exposure, min_exposure : largest and smallest share of our lineups that hold a driver, a number for all or
        driver → share; they hold for the lineups that enter the contest and for all. Any share above 0 allows a driver
        one lineup; one number for all gives way to a lock and to a larger minimum.
    max_overlap : drivers any two lineups may share, default all but one
    regime_weights : regime → probability (default: what the scenarios' weights say). The probability of a regime
        without a scenario goes to the others, with a note.
    regime_quotas : True: the lineups that lean on a regime are as many as its probability asks for; each lineup added
        most to those before it until a quota is used up; regime → share of the lineups in place of the probabilities.
        On 21 races of ten simulated seasons quotas cost .02 ± .04 a dollar of fees (replays, paired), so None is
        without.
    robustness : None, or a radius in nats: choose for the worst regime weights within this Kullback–Leibler divergence
        of the probabilities
    ownership_draws : (n, D) draws of the forecast; the fields use the first `n_fields` of them, else all its mean
    surprises : (n, D) points that each driver gains in the races against each of these draws (default none): a field
        that likes a driver more than forecast knows more of him. The choice sees them, the candidates do not.
    candidates : lineups of your own to choose from, (C, K) by names or rows, in place of those that are made; those
        that break a rule are left out
    n_candidates, n_choose, n_fields : candidates made, scenarios (the first) chosen on, fields played against. More
        fields make the choice less sure of one forecast; more candidates make it luckier, not better.
    rules : what every lineup must obey, see `LeverageAwareOptimizer`: locks, bans, groups, excluded (L, K),
        min_salary, max_ownership_per_driver, min_low_ownership_drivers, low_ownership_threshold, max_total_ownership

    Returns
    -------
    Portfolio, its rows in order of choice: of the first m at most ceil(max_exposure · m) hold a driver.

    Raises
    ------
    UserError : weights that are none, more entries than the contest holds, an option out of range
    InfeasibleLineup : no lineup, or too few, obey the rules; the message names the change that would do
    """
    ways = {name: options.pop(name) for name in signature(Workshop.choose).parameters if name in options}
    return Workshop(slate, scenarios, ownership, contest, n_lineups, rng=rng, **options).choose(**ways)


class Workshop:
    """Races and fields to choose on, the field's scores, and candidates with what each earns: made once, chosen often.

    Parameters are those of `generate_regime_aware_portfolio` that do not say how to choose. Inside, drivers are in the
    order of their names, so that their order in the slate changes nothing.
    """

    def __init__(
        self,
        slate: Slate,
        scenarios,
        ownership,
        contest: Contest,
        n_lineups: int,
        *,
        rng: np.random.Generator,
        objective: str = "payout",
        leverage_penalty=None,
        max_exposure: float | Mapping = 1.0,
        min_exposure: float | Mapping | None = None,
        max_overlap: int | None = None,
        ownership_draws=None,
        surprises=None,
        candidates=None,
        n_candidates: int = 6_000,
        n_choose: int = 10_000,
        n_fields: int = 20,
        **rules,
    ):
        n, most_shared = whole_number(n_lineups, "n_lineups", 0), slate.rules.roster_size - 1
        if contest.entering(n) > contest.entries:
            room = f"a contest of {contest.entries:,} entries"
            raise UserError(f"n_lineups: {n} lineups cannot enter {room}; ask for fewer")
        max_overlap = whole_number(most_shared if max_overlap is None else max_overlap, "max_overlap", 0)
        number_between(max_overlap, "max_overlap", 0, most_shared, ": drivers two different lineups share")
        sizes = {"n_candidates": n_candidates, "n_choose": n_choose, "n_fields": n_fields}
        self.sizes = {name: whole_number(size, name, 1) for name, size in sizes.items()}
        self.slate, self.ownership, self.contest, self.n = slate, slate.align(ownership, "ownership"), contest, n
        self.by_name = np.argsort(slate.names.astype(str), kind="stable")
        ordered = replace(slate, drivers=slate.drivers.iloc[self.by_name].reset_index(drop=True))
        if rules.get("excluded") is not None:
            rules["excluded"] = np.argsort(self.by_name)[lineup_rows(slate, rules["excluded"], "excluded")]
        draws = np.tile(self.ownership, (n_fields, 1)) if ownership_draws is None else np.asarray(ownership_draws)
        gained = np.zeros_like(draws) if surprises is None else np.asarray(surprises)
        self._draws, self._gained = draws[:n_fields, self.by_name], gained[:n_fields, self.by_name]
        self._streams, self.played = rng.spawn(2), _played_for(contest, objective)
        self.optimizer = LeverageAwareOptimizer(ordered, self.ownership[self.by_name], **rules)
        self.races = scenarios.for_slate(ordered)
        most, least = exposure_bounds(ordered, max_exposure, min_exposure, rules.get("locks", ()))
        self.limits = Limits(most, max_overlap, None, least, contest.entering(n))
        self.leveraged = leverage_penalty is not None or candidates is not None
        if candidates is not None:
            rows = np.sort(np.argsort(self.by_name)[lineup_rows(slate, candidates, "candidates")], axis=1)
            self.candidates = rows[self.optimizer.allows(rows)]
            if not len(self.candidates):
                raise UserError(f"candidates: none of the {len(rows):,} lineups obeys every rule; give others")
        self.penalties = PENALTIES if leverage_penalty is None else tuple(np.atleast_1d(leverage_penalty).tolist())

    @cached_property
    def few(self):
        """The first scenarios, those that are chosen on, with what each field knows in its own."""
        few = self.races.take(np.arange(min(self.sizes["n_choose"], len(self.races))))
        return shifted(few, self._gained, self.slate.rules.tick)

    @cached_property
    def fields(self) -> np.ndarray:
        """The opponents in each run of scenarios, (n_fields, F, K)."""
        room, ordered = self.contest.entries - self.contest.entering(self.n), self.optimizer.slate
        return sample_fields(ordered, self._draws, room, contest=self.contest, rng=self._streams[1])

    @cached_property
    def stage(self) -> FieldScores:
        """The fields' scores in the scenarios that are chosen on, in the contest that pays the objective."""
        return FieldScores.from_field(self.fields, self.few.points, self.played, self.slate.rules)

    @cached_property
    def candidates(self) -> np.ndarray:
        """Lineups made for every regime that would have one by its probability, and from the fields, (C, K)."""
        wanted = self.optimizer.slate.names[self.limits.least(self.n) > 0]
        size = self.sizes["n_candidates"], self._streams[0], self.penalties, tuple(wanted)
        return make_candidates(self.optimizer, self.races, self._quota(self.races), self.fields[0], *size)

    @cached_property
    def paid(self) -> np.ndarray:
        """What each candidate is expected to win alone in each regime, (C, R) dollars."""
        return self.pay(self.candidates, self.few.weight, self.few.regime)

    def pay(self, lineups, weight, regime) -> np.ndarray:
        """Return what `lineups` (L, K) are expected to win alone in each regime, (L, R) dollars."""
        each = (weight * (regime == code) for code in range(len(self.races.regime_names)))
        return np.column_stack([OurEntries(self.stage, lineups, here).gains() for here in each])

    def choose(
        self,
        *,
        leverage_share: float | None = None,
        regime_weights: dict | None = None,
        regime_quotas: bool | Mapping | None = None,
        robustness: float | None = None,
        labels=None,
    ) -> Portfolio:
        """Choose lineups from what is here; see `generate_regime_aware_portfolio`.

        `labels` (S,) are other regimes of the scenarios: what a choice is worth that takes labels without meaning for
        true.
        """
        number_between(robustness or 0, "robustness", 0, np.inf, " (nats)")
        races = self.races if labels is None else replace(self.races, regime=labels)
        if regime_weights is not None:
            allocate_lineups_by_regime(0, regime_weights)  # says what is wrong with them
            races = races.reweight(regime_weights)
        if leverage_share is None:
            given = self.leveraged or regime_quotas or robustness is not None
            leverage_share = 1.0 if given else LEVERAGE_SHARE
        number_between(leverage_share, "leverage_share", 0, 1)
        quota = self._quota(races.reweight(regime_quotas) if isinstance(regime_quotas, Mapping) else races)
        few = races.take(slice(0, len(self.few)))
        value = mean_value(races.points, races.weight)
        limits = replace(self.limits, quota=quota if regime_quotas else None)
        share = np.array(list(quota.values())) / max(self.n, 1)
        task = Task(self, few.weight, few.regime, value, share, limits, labels is None)
        mine = task.portfolio(*task.chosen(leverage_share, robustness))
        return replace(mine, notes=(*races.notes[len(self.races.notes) :], *mine.notes))

    def _quota(self, races) -> dict:
        """Return how many of the lineups each regime gets by its probability."""
        shares = races.regime_shares()
        return allocate_lineups_by_regime(self.n, (shares / shares.sum()).to_dict())


def _played_for(contest: Contest, objective: str) -> Contest:
    """Return the contest with the prizes that make its expected payout the objective."""
    ranks = {"payout": None, "cash": int(np.count_nonzero(contest.prizes)), "top1": contest.top_ranks(0.01)}
    if objective not in ranks:
        raise UserError(f"objective '{objective}' is unknown; take one of {', '.join(ranks)}")
    if ranks[objective] is None:
        return contest
    return replace(contest, payouts=[{"min_rank": 1, "max_rank": ranks[objective], "prize": 1.0}], pool=None)
