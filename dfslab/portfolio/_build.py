"""From scenarios and ownership to the lineups we enter: allocation over regimes, candidates, choice, audit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from dfslab.contest import FieldScores
from dfslab.errors import UserError, number_between, whole_number
from dfslab.field import expected_copies, sample_fields
from dfslab.lineups import distinct, is_legal
from dfslab.metrics import mean_value
from dfslab.optimize import InfeasibleLineup, LeverageAwareOptimizer, exposure_bounds, lineup_metrics, lineup_rows
from dfslab.portfolio._candidates import PENALTIES, make_candidates, more_within_limits, screen, shifted
from dfslab.portfolio._greedy import SLACK, Choice, Limits, TooFewLineups, choose_entries
from dfslab.portfolio._portfolio import Portfolio
from dfslab.portfolio._score import score_portfolios
from dfslab.slate import Contest, Slate

REGIME_QUOTAS = False
"""Whether the lineups that lean on a regime are as many as its probability asks for by default: on 21 races
of ten simulated seasons quotas cost .02 ± .04 a dollar of fees (replays, paired)."""
LEVERAGE_SHARE = 0.0
"""Share of the entering lineups chosen by what they add in the contest by default; the rest are the best by
mean points beside them. On 41 races of ten simulated seasons a half gained .00 ± .04 a dollar of fees over the best by
mean points alone and all of them −.03 ± .06 (replays, paired), where .23 and .34 were promised."""
ROBUST_ROUNDS = 6
"""Choices made against ever worse regime weights."""
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


def _check_regimes(given, names, option: str) -> None:
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise UserError(f"{option}: {', '.join(unknown)} unknown; the regimes are {', '.join(names)}")


def generate_regime_aware_portfolio(
    slate: Slate,
    scenarios,
    ownership,
    contest: Contest,
    n_lineups: int,
    *,
    rng: np.random.Generator,
    objective: str = "payout",
    leverage_penalty: float | Sequence[float] | None = None,
    leverage_share: float | None = None,
    max_exposure: float | Mapping = 1.0,
    min_exposure: float | Mapping | None = None,
    max_overlap: int | None = None,
    regime_weights: dict | None = None,
    regime_quotas: bool | dict | None = None,
    robustness: float | None = None,
    ownership_draws=None,
    surprises=None,
    n_candidates: int = 6_000,
    n_choose: int = 10_000,
    n_fields: int = 20,
    **rules,
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
        best by mean points beside them; 0 plays plain lineups. None is `LEVERAGE_SHARE`, but 1 where a penalty, quotas
        or robustness are asked for.
    max_exposure, min_exposure : largest and smallest share of our lineups that hold a driver, a number for all or
        driver → share; they hold for the lineups that enter the contest and for all. Any share above 0 allows a driver
        one lineup; one number for all gives way to a lock and to a larger minimum.
    max_overlap : drivers any two lineups may share, default all but one
    regime_weights : regime → probability (default: what the scenarios' weights say). The probability of a regime
        without a scenario goes to the others, with a note.
    regime_quotas : True: the lineups that lean on a regime are as many as its probability asks for, and each lineup
        added most to those before it until a quota is used up; regime → share of the lineups; False: none. None is
        `REGIME_QUOTAS`.
    robustness : None, or a radius in nats: choose for the worst regime weights within this Kullback–Leibler divergence
        of the probabilities
    ownership_draws : (n, D) draws of the forecast; the fields use the first `n_fields` of them, else all its mean
    surprises : (n, D) points that each driver gains in the races against each of these draws (default none): a field
        that likes a driver more than forecast knows more of him. The choice sees them, the candidates do not.
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
    n, most_shared = whole_number(n_lineups, "n_lineups", 0), slate.rules.roster_size - 1
    if contest.entering(n) > contest.entries:
        raise UserError(f"n_lineups: {n} lineups cannot enter a contest of {contest.entries:,} entries; ask for fewer")
    max_overlap = whole_number(most_shared if max_overlap is None else max_overlap, "max_overlap", 0)
    number_between(max_overlap, "max_overlap", 0, most_shared, ": drivers two different lineups share")
    if not isinstance(max_exposure, Mapping | pd.Series):
        number_between(max_exposure, "max_exposure", SLACK, 1, " (a share above 0)")
    for name, size in {"n_candidates": n_candidates, "n_choose": n_choose, "n_fields": n_fields}.items():
        whole_number(size, name, 1)
    number_between(robustness or 0, "robustness", 0, np.inf, " (nats)")
    by_name = np.argsort(slate.names.astype(str), kind="stable")
    ordered = replace(slate, drivers=slate.drivers.iloc[by_name].reset_index(drop=True))
    own = slate.align(ownership, "ownership")
    if rules.get("excluded") is not None:
        rules["excluded"] = np.argsort(by_name)[lineup_rows(slate, rules["excluded"], "excluded")]
    draws = np.tile(own, (n_fields, 1)) if ownership_draws is None else np.asarray(ownership_draws)[:n_fields]
    gained = np.zeros_like(draws) if surprises is None else np.asarray(surprises)[:n_fields]
    scenarios, weights, notes = _weighted(scenarios.for_slate(ordered), regime_weights)
    asked = REGIME_QUOTAS if regime_quotas is None else regime_quotas
    if leverage_share is None:
        given = leverage_penalty is not None or asked or robustness is not None
        leverage_share = 1.0 if given else LEVERAGE_SHARE
    number_between(leverage_share, "leverage_share", 0, 1)
    quota = allocate_lineups_by_regime(n, asked if isinstance(asked, Mapping) else weights)
    _check_regimes(quota, scenarios.regime_names, "regime_quotas")
    absent = [name for name, count in quota.items() if count and not weights.get(name)]
    if absent:
        raise UserError(f"regime_quotas: no scenario is {', '.join(absent)}, or its weight is 0; give it no share")
    most, least = exposure_bounds(ordered, max_exposure, min_exposure, rules.get("locks", ()))
    spread = dict.fromkeys(scenarios.regime_names, 0) | quota if asked else None
    task = _Task(
        optimizer=LeverageAwareOptimizer(ordered, own[by_name], **rules),
        scenarios=scenarios,
        draws=draws[:, by_name],
        surprises=gained[:, by_name],
        contest=contest,
        played=_played_for(contest, objective),
        n=n,
        limits=Limits(most, max_overlap, spread, least, contest.entering(n)),
        regimes=quota,
        penalties=PENALTIES if leverage_penalty is None else tuple(np.atleast_1d(leverage_penalty).tolist()),
        robustness=robustness,
        leverage_share=leverage_share,
        notes=notes,
    )
    chosen = task.choose(n_candidates, n_choose, *rng.spawn(2)) if n else task.nothing()
    made = {} if chosen.spilled or not asked else {"regimes": chosen.metrics["regime"], "quota": spread}
    checked = audit(ordered, chosen.lineups, n, limits=task.limits, optimizer=task.optimizer, **made)
    lineups = np.sort(by_name[chosen.lineups], axis=1)
    return replace(chosen, lineups=lineups, audit=checked, slate=slate, ownership=own, contest=contest)


def _played_for(contest: Contest, objective: str) -> Contest:
    """Return the contest with the prizes that make its expected payout the objective."""
    ranks = {"payout": None, "cash": int(np.count_nonzero(contest.prizes)), "top1": contest.top_ranks(0.01)}
    if objective not in ranks:
        raise UserError(f"objective '{objective}' is unknown; take one of {', '.join(ranks)}")
    if ranks[objective] is None:
        return contest
    return replace(contest, payouts=[{"min_rank": 1, "max_rank": ranks[objective], "prize": 1.0}], pool=None)


@dataclass(frozen=True)
class _Task:
    """What a portfolio is made from, drivers in the order of their names; `played` pays the objective."""

    optimizer: LeverageAwareOptimizer
    scenarios: object
    draws: np.ndarray
    surprises: np.ndarray
    contest: Contest
    played: Contest
    n: int
    limits: Limits
    regimes: dict
    penalties: tuple[float, ...]
    robustness: float | None
    leverage_share: float
    notes: tuple[str, ...]

    @property
    def slate(self) -> Slate:
        return self.optimizer.slate

    @cached_property
    def value(self) -> np.ndarray:
        """Mean points, (D,)."""
        return mean_value(self.scenarios.points, self.scenarios.weight)

    def choose(self, n_candidates, n_choose, candidate_rng, field_rng) -> Portfolio:
        """Make candidates, screen them, and choose."""
        slate, rules = self.slate, self.slate.rules
        few = self.scenarios.take(np.arange(min(n_choose, len(self.scenarios))))
        few = shifted(few, self.surprises, rules.tick)
        room = self.contest.entries - self.contest.entering(self.n)
        fields = sample_fields(slate, self.draws, room, contest=self.contest, rng=field_rng)
        self.optimizer.optimize(self.value)  # says why when the rules allow no lineup
        wanted = slate.names[self.limits.least(self.n) > 0]
        size = n_candidates, candidate_rng, self.penalties, tuple(wanted)
        made = make_candidates(self.optimizer, self.scenarios, self.regimes, fields[0], *size)
        stage = FieldScores.from_field(fields, few.points, self.played, rules)
        pool, labels = screen(made, stage, few, self.regimes)
        if self.leverage_share < 1:
            return self._portfolio(*self._beside_plain(stage, pool, labels, few), few, fields)
        choice, robust = self._greedy(stage, pool, labels, few.weight), None
        if self.robustness is not None:
            choice, robust = self._robust(choice, stage, few, fields)
        return self._portfolio(*choice, few, fields, robust)

    def _beside_plain(self, stage, pool, labels, few):
        """Return the choice whose entering lineups are in part the best by mean points beside those chosen by money."""
        entering = self.limits.stop(1, self.n)
        head = math.ceil(self.leverage_share * entering - SLACK)
        if head == entering:
            return self._greedy(stage, pool, labels, few.weight)
        choice, pool, labels = self._greedy(stage, pool, labels, few.weight, until=head)
        plain = more_within_limits(self.optimizer, self.value, pool[choice.order], self.limits, self.n, (0.0,))
        if len(plain) < entering - head:
            return self._greedy(stage, pool, labels, few.weight)
        plain, named = screen(plain, stage, few, self.regimes)
        pool, labels = np.concatenate([pool, plain]), np.concatenate([labels, named])
        rows = np.concatenate([choice.order, np.arange(len(pool) - len(plain), len(pool))])
        beside = choose_entries(stage, pool[rows], labels[rows], self.n, self.limits, weight=few.weight, until=entering)
        return self._greedy(stage, pool, labels, few.weight, first=rows[beside.order])

    def _greedy(self, stage, pool, labels, weight, **more):
        """Return the choice, and candidates and labels, grown where they were too few for the limits."""
        for _ in range(REFILLS):
            try:
                return choose_entries(stage, pool, labels, self.n, self.limits, weight=weight, **more), pool, labels
            except TooFewLineups as ended:
                short = ended
            pool, labels = self._refilled(pool, labels, short)
        raise self._shortage(short)

    def _robust(self, plain, stage, few, fields):
        """Return the choice of best expected payout under the worst regime weights near the probabilities, and a table.

        The weights answer the choices made so far, the choice the mean of the answers (fictitious play); the best
        of these choices by its own worst weights is taken [robinson1951].
        """
        names = np.array(few.regime_names, object)
        chance = np.bincount(few.regime, few.weight, len(names))
        rows, answers, made = [], [], plain
        for _ in range(ROBUST_ROUNDS):
            lineups = {"ours": made[1][made[0].order]}
            scores = score_portfolios(lineups, few.points, fields, self.played, rules=self.slate.rules)
            pay = few.weight * scores.payout["ours"]
            mean = np.bincount(few.regime, pay, len(names)) / np.maximum(chance, 1e-300)
            answers.append(worst_weights(chance, mean, self.robustness))
            rows.append((made, chance @ mean, answers[-1] @ mean, names[np.argmax(answers[-1] - chance)]))
            tilt = np.mean(answers, axis=0) / np.maximum(chance, 1e-300)
            made = self._greedy(stage, *plain[1:], few.weight * tilt[few.regime])
        best = max(range(len(rows)), key=lambda k: rows[k][2])
        columns = ["expected", "worst", "worst_regime"]
        table = pd.DataFrame([rows[0][1:], rows[best][1:]], ["plain", "robust"], columns)
        return rows[best][0], table

    def _refilled(self, pool, labels, short: TooFewLineups):
        """Return the candidates with lineups that lead on from where the choice was stuck; raise if there are none."""
        more = more_within_limits(self.optimizer, self.value, pool[short.order], self.limits, self.n, self.penalties)
        if not len(more):
            raise self._shortage(short)
        return np.concatenate([pool, more]), np.concatenate([labels, np.full(len(more), short.label, object)])

    def _shortage(self, short: TooFewLineups) -> UserError:
        """Return the error that says what to change for as many lineups as were out of reach, else `short`."""
        names, stop = self.slate.names, self.limits.stop(len(short.order) + 1, self.n)
        shares = {
            "max_exposure": pd.Series(np.minimum(self.limits.most(stop) / stop, 1.0), names),
            "min_exposure": pd.Series(self.limits.least(stop) / stop, names),
        }
        try:
            self.optimizer.optimize(self.value, stop, max_overlap=self.limits.max_overlap, **shares)
        except InfeasibleLineup as reason:
            whose = "" if stop == self.n else f"the {stop} lineups that enter: "
            return InfeasibleLineup(f"{whose}{reason}", reason.changes)
        return short

    def nothing(self) -> Portfolio:
        """Return the portfolio of no lineup."""
        empty, lineups = np.empty(0), np.empty((0, self.slate.rules.roster_size), int)
        return self._portfolio(Choice(empty.astype(int), empty, empty), lineups, empty.astype(object), None, ())

    def _portfolio(self, choice: Choice, pool, labels, few, fields, robust=None) -> Portfolio:
        lineups, labels, own = pool[choice.order], labels[choice.order], self.optimizer.ownership
        copies, alone = np.empty(0), choice.alone[choice.order]
        if len(lineups):
            copies = expected_copies(lineups, self.slate, own, self.contest.entries, contest=self.contest)
        if len(lineups) and self.played is not self.contest:
            stage = FieldScores.from_field(fields, few.points, self.contest, self.slate.rules)
            alone = stage.alone(lineups, few.weight)[0, 0] / 100
        shown = {"expected_copies": copies, "low_ownership_threshold": self.optimizer.low_ownership_threshold}
        metrics = lineup_metrics(self.slate, own, lineups, value=self.value, **shown)
        metrics.insert(0, "regime", labels)
        metrics.insert(1, "gain", choice.gain)
        metrics.insert(2, "expected_payout", alone)
        ratio = float(choice.gain.sum() / choice.bound) if choice.bound else float("nan")
        notes, spilled = (*self.notes, *choice.notes), bool(choice.notes)
        return Portfolio(lineups, metrics, pd.DataFrame(), ratio, len(choice.alone), notes, spilled, robustness=robust)


def worst_weights(chance, value, radius: float) -> np.ndarray:
    """Return the weights (R,) of least mean `value` within Kullback–Leibler divergence `radius` (nats) of `chance`.

    They are tilted exponentially, ``chance · exp(−value / temperature)``; a radius beyond the largest divergence
    there is puts all weight on the worst regime that may come.

    Examples
    --------
    >>> worst_weights(np.array([0.5, 0.5]), np.array([10.0, 20.0]), 0.1).round(2).tolist()
    [0.72, 0.28]
    """
    chance, value = np.asarray(chance, float) / np.sum(chance), np.asarray(value, float)
    there = chance > 0
    spread = np.ptp(value[there])
    if radius <= 0 or spread == 0:
        return chance
    fall = np.where(there, (value - value[there].min()) / spread, 0.0)

    def tilted(slope):
        weights = chance * np.exp(-slope * fall)
        return weights / weights.sum()

    def divergence(slope):
        weights = tilted(slope)
        kept = weights > 0
        return weights[kept] @ np.log(weights[kept] / chance[kept])

    steepest = 1e4
    return tilted(steepest if divergence(steepest) <= radius else brentq(lambda k: divergence(k) - radius, 0, steepest))


def _weighted(scenarios, regime_weights: dict | None):
    """Return the scenarios with the regimes' weights, the weights used, and what had to be changed."""
    have = scenarios.regime_shares()
    if regime_weights is None:
        return scenarios, (have / have.sum()).to_dict(), ()
    allocate_lineups_by_regime(0, regime_weights)
    _check_regimes(regime_weights, have.index, "regime_weights")
    empty = [name for name, weight in regime_weights.items() if weight > 0 and have[name] == 0]
    left = {name: 0.0 if name in empty else weight for name, weight in regime_weights.items()}
    total = sum(left.values())
    if not total > 0:
        raise UserError(f"regime_weights: no scenario is {' or '.join(empty)}; simulate more, or weigh other regimes")
    left = {name: weight / total for name, weight in left.items()}
    note = f"No simulated race is {' or '.join(empty)}: its probability and its lineups go to the other regimes."
    return scenarios.reweight(left), left, (note,) if empty else ()


def audit(
    slate: Slate,
    lineups,
    n_lineups=None,
    max_exposure=1.0,
    max_overlap=None,
    *,
    limits: Limits | None = None,
    optimizer: LeverageAwareOptimizer | None = None,
    regimes=(),
    quota=None,
) -> pd.DataFrame:
    """Re-check every rule on the final `lineups` (N, K); one row per rule: found, limit, whether it holds.

    `limits` stand for max_exposure and max_overlap and more; the rules of `optimizer` are checked one by one. With
    `quota` regime → lineups, the `regimes` (N,) the lineups lean on must be as many.
    """
    size, cap = slate.rules.roster_size, slate.rules.salary_cap
    lineups = np.asarray(lineups, int).reshape(-1, size)
    n = len(lineups) if n_lineups is None else n_lineups
    limits = limits or Limits(max_exposure, size - 1 if max_overlap is None else int(max_overlap))
    held = np.zeros((len(lineups), len(slate)), int)
    np.put_along_axis(held, lineups, 1, axis=1)
    shared = held @ held.T
    np.fill_diagonal(shared, 0)
    legal = is_legal(lineups, slate.salary, slate.rules, groups=slate.groups, out=slate.out)
    different = len(distinct(lineups)[0])
    cost, top = int(slate.salary[lineups].sum(axis=1).max(initial=0)), int(shared.max(initial=0))
    rows = [
        ("lineups as many as asked", len(lineups), n, len(lineups) == n),
        ("all lineups different", different, len(lineups), different == len(lineups)),
        ("legal lineups (roster, cap, groups, nobody who is out)", int(np.sum(legal)), n, bool(np.all(legal))),
        ("dearest lineup, dollars", cost, cap, cost <= cap),
        ("drivers shared by two lineups, at most", top, limits.max_overlap, top <= limits.max_overlap),
        *_exposure_rows(held, limits, n),
    ]
    if optimizer is not None and len(lineups):
        rows += [_rule_row(optimizer.problem.called(name), lineups) for name in optimizer.problem.names]
    if quota is not None:
        made = pd.Series(regimes, dtype=object).value_counts()
        off = int(sum(abs(count - made.get(name, 0)) for name, count in quota.items()))
        rows.append(("lineups off the regimes' allocation", off, 0, off == 0))
    return pd.DataFrame(rows, columns=["rule", "found", "limit", "holds"])


def _exposure_rows(held, limits: Limits, n: int):
    """Yield the audit's rows on exposure, for all lineups and for those that enter: the driver nearest to his limit."""
    for m in dict.fromkeys((n, min(limits.entering or n, n))):
        count, of = held[:m].sum(axis=0), "lineups" if m == n else f"of the {m} that enter, lineups"
        most, least = (np.broadcast_to(bound(m), count.shape) for bound in (limits.most, limits.least))
        sides = [("that hold one driver, at most", most, count - most)]
        if least.any():
            asked = np.where(least > 0, least - count, -n - 1)
            sides.append(("that hold a driver asked for, at least", least, asked))
        for what, limit, over in sides:
            i = int(np.argmax(over))
            yield f"{of} {what}", int(count[i]), int(limit[i]), bool(over[i] <= 0)


def _rule_row(rules, lineups) -> tuple:
    """Return the audit's row of the rules of one name: the sum nearest to its bound, or past it."""
    sums = np.concatenate(
        [(rule.weights[lineups].max if rule.each else rule.weights[lineups].sum)(axis=1) for rule in rules]
    )
    found = sums.min() if np.isfinite(rules[0].low) else sums.max()
    holds = bool(np.all([rule.holds(lineups) for rule in rules]))
    return rules[0].name, round(float(found), 6), round(float(rules[0].limit), 6), holds
