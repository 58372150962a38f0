"""One choice of lineups from what a workshop holds: what is plain, what is chosen by money, under what weights."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dfslab.contest import FieldScores, OurEntries
from dfslab.errors import UserError, whole_number
from dfslab.field import expected_copies
from dfslab.optimize import InfeasibleLineup, lineup_metrics
from dfslab.portfolio._candidates import lean, more_within_limits
from dfslab.portfolio._greedy import SLACK, Candidates, Choice, Limits, TooFewLineups, choose_entries
from dfslab.portfolio._portfolio import Portfolio, audit
from dfslab.portfolio._score import score_portfolios, worst_weights

KEPT = 2_400
"""Candidates that go into the choice after screening by expected payout."""
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


@dataclass(frozen=True)
class Task:
    """One choice: `weight` (S,) and `regime` (S,) of the scenarios chosen on, mean points `value` (D,), `share` (R,) of
    the lineups by regime; `true` says that the regimes are those of the workshop."""

    work: object
    weight: np.ndarray
    regime: np.ndarray
    value: np.ndarray
    share: np.ndarray
    limits: Limits
    true: bool

    def chosen(self, leverage_share: float, robustness: float | None) -> tuple[Choice, Candidates]:
        """Return the choice and what it was made from."""
        work = self.work
        if not work.n:
            return Choice(np.empty(0, int), np.empty(0)), Candidates.none(work.slate.rules.roster_size)
        work.optimizer.optimize(self.value)  # says why when the rules allow no lineup
        entering = self.limits.stop(1, work.n)
        head = math.ceil(leverage_share * entering - SLACK)
        if head < entering:
            return self._beside_plain(entering, head)
        made = self._greedy(self._pool())
        return made if robustness is None else self._robust(made, robustness)

    def _pool(self) -> Candidates:
        """Return the workshop's candidates of the largest expected payout."""
        work = self.work
        if not self.true:
            return self._screened(work.candidates, work.pay(work.candidates, self.weight, self.regime))
        before, now = (np.bincount(self.regime, w, len(self.share)) for w in (work.few.weight, self.weight))
        factor = np.divide(now, before, out=np.zeros(len(now)), where=before > 0)
        return self._screened(work.candidates, work.paid * factor)

    def _screened(self, lineups, pay=None) -> Candidates:
        """Return the lineups of the largest expected payout, with the regime each leans on (see `lean`)."""
        pay = self.work.pay(lineups, self.weight, self.regime) if pay is None else pay
        best = np.sort(np.argsort(-pay.sum(axis=1), kind="stable")[:KEPT])
        names = np.array(self.work.races.regime_names, object)
        return Candidates(lineups[best], names[lean(pay[best], self.share)], pay[best].sum(axis=1))

    def _beside_plain(self, entering: int, head: int) -> tuple[Choice, Candidates]:
        """Return the choice whose entering lineups are `head` chosen by money and the best by mean points beside them.

        Candidates are made only where there is something to choose by money: none for plain lineups that all enter.
        """
        ahead = Candidates.none(self.work.slate.rules.roster_size)
        if head:
            choice, pool = self._greedy(self._pool(), until=head)
            ahead = pool.take(choice.order)
        plain = more_within_limits(self.work.optimizer, self.value, ahead.lineups, self.limits, self.work.n, (0.0,))
        if len(plain) < entering - head:
            return self._greedy(self._pool())
        pool = ahead.join(self._screened(plain))
        enter = choose_entries(self.work.stage, pool, self.work.n, self.limits, self.weight, until=entering)
        if entering == self.work.n:
            return enter, pool
        return self._greedy(pool.join(self._pool()), first=enter.order)

    def _greedy(self, pool: Candidates, weight=None, **ends) -> tuple[Choice, Candidates]:
        """Return the choice, and the candidates, grown where they were too few for the limits."""
        work, weight = self.work, self.weight if weight is None else weight
        for _ in range(REFILLS):
            try:
                return choose_entries(work.stage, pool, work.n, self.limits, weight, **ends), pool
            except TooFewLineups as ended:
                short = ended
            so_far = pool.lineups[short.order]
            more = more_within_limits(work.optimizer, self.value, so_far, self.limits, work.n, work.penalties)
            if not len(more):
                break
            pool = pool.join(self._screened(more))
        raise self._shortage(short)

    def _robust(self, plain: tuple[Choice, Candidates], radius: float) -> tuple[Choice, Candidates]:
        """Return the choice of best expected payout under the worst regime weights near the probabilities.

        The weights answer the choices made so far, the choice the mean of the answers (fictitious play); the best
        of these choices by its own worst weights is taken [robinson1951].
        """
        work, chance, made = self.work, np.bincount(self.regime, self.weight, len(self.share)), plain
        tried, answers = [], []
        for _ in range(ROBUST_ROUNDS):
            lineups = {"ours": made[1].lineups[made[0].order]}
            scores = score_portfolios(lineups, work.few.points, work.fields, work.played, rules=work.slate.rules)
            pay = np.bincount(self.regime, self.weight * scores.payout["ours"], len(chance))
            pay = pay / np.maximum(chance, 1e-300)
            answers.append(worst_weights(chance, pay, radius))
            tried.append((answers[-1] @ pay, made))
            weight = self.weight * (np.mean(answers, axis=0) / np.maximum(chance, 1e-300))[self.regime]
            alone = OurEntries(work.stage, plain[1].lineups, weight).gains()
            made = self._greedy(plain[1]._replace(alone=alone), weight)
        return max(tried, key=lambda one: one[0])[1]

    def _shortage(self, short: TooFewLineups) -> UserError:
        """Return the error that says what to change for as many lineups as were out of reach, else `short`."""
        work, stop = self.work, self.limits.stop(len(short.order) + 1, self.work.n)
        shares = self.limits.shares(stop, work.optimizer.slate.names, ())
        try:
            work.optimizer.optimize(self.value, stop, max_overlap=self.limits.max_overlap, **shares)
        except InfeasibleLineup as reason:
            whose = "" if stop == work.n else f"the {stop} lineups that enter: "
            return InfeasibleLineup(f"{whose}{reason}", reason.changes)
        return short

    def portfolio(self, choice: Choice, pool: Candidates) -> Portfolio:
        """Return the chosen lineups in the rows of the slate as given, with their metrics and their audit."""
        work, chosen, bound = self.work, pool.take(choice.order), pool.bound(len(choice.order))
        slate, own, alone, copies = work.optimizer.slate, work.optimizer.ownership, chosen.alone, np.empty(0)
        if len(chosen.lineups):
            copies = expected_copies(chosen.lineups, slate, own, work.contest.entries, contest=work.contest)
            if work.played is not work.contest:
                stage = FieldScores.from_field(work.fields, work.few.points, work.contest, slate.rules)
                alone = OurEntries(stage, chosen.lineups, self.weight).gains()
        shown = {"expected_copies": copies, "low_ownership_threshold": work.optimizer.low_ownership_threshold}
        earned = pd.DataFrame({"regime": chosen.regime, "gain": choice.gain, "expected_payout": alone})
        metrics = earned.join(lineup_metrics(slate, own, chosen.lineups, value=self.value, **shown))
        limits = replace(self.limits, quota=None) if choice.notes else self.limits  # the notes say what was given up
        return Portfolio(
            np.sort(work.by_name[chosen.lineups], axis=1),
            metrics,
            audit(work.optimizer, chosen.lineups, work.n, limits=limits, regimes=chosen.regime),
            greedy_to_bound=float(choice.gain.sum() / bound) if bound else float("nan"),
            candidates=len(pool.lineups),
            notes=(*choice.notes, *self._entering(chosen.lineups)),
            slate=work.slate,
            ownership=work.ownership,
            contest=work.contest,
        )

    def _entering(self, lineups) -> list[str]:
        """Return what to know of the lineups that enter: how many, and who is in all of them though nobody asked."""
        entering, notes = self.limits.stop(1, self.work.n), []
        held = np.bincount(lineups[:entering].ravel(), minlength=len(self.work.optimizer.slate))
        names = self.work.optimizer.slate.names[(held == entering) & (self.limits.least(entering) < entering)]
        free = [name for name in names if name not in self.work.optimizer.locks]
        if entering < self.work.n:
            which = f"first {entering} enter" if entering > 1 else "first enters"
            notes.append(f"The contest takes {entering} of these lineups: the {which}.")
        if free and entering > 1:
            notes.append(f"In all {entering} lineups that enter: {', '.join(free)}; max_exposure spreads the risk.")
        return notes
