"""Score portfolios on draws that nothing was chosen on, side by side and paired, with standard errors."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfslab.contest import simulate_contest
from dfslab.portfolio._candidates import field_runs
from dfslab.rules import DRAFTKINGS_NASCAR
from dfslab.slate import Contest

__all__ = ["Scores", "score_portfolios"]

TAIL = 0.05
"""Share of the races in a tail."""


@dataclass(frozen=True)
class Scores:
    """What several portfolios earn in the same scenarios against the same fields.

    `payout` name → (S,) dollars of the whole portfolio before fees; `cash`, `top_1pct` name → (S,) share of its
    entries that did; `best_rank` name → (S,); `weight` (S,) sums to 1; `run` (S,) number of the field played.
    """

    payout: dict[str, np.ndarray]
    cash: dict[str, np.ndarray]
    top_1pct: dict[str, np.ndarray]
    best_rank: dict[str, np.ndarray]
    weight: np.ndarray
    run: np.ndarray
    fees: dict[str, float]

    def table(self) -> pd.DataFrame:
        """Return one row per portfolio.

        fees, expected_payout ± se (dollars before fees), roi, p_profit (chance to end above the fees), worst_5pct and
        best_5pct (mean profit of the worst and best 5 % of races), cash and top_1pct (shares of its entries), p_win
        (chance that an entry is first, shared firsts included), median_best_rank.
        """
        return pd.DataFrame([self._row(name) for name in self.payout])

    def _row(self, name: str) -> dict:
        pay, fee, rank = self.payout[name], self.fees[name], self.best_rank[name]
        mean, error = self._mean(pay)
        by_rank = np.argsort(rank, kind="stable")
        middle = np.searchsorted(np.cumsum(self.weight[by_rank]), 0.5 - 1e-12)
        return {
            "portfolio": name,
            "fees": fee,
            "expected_payout": mean,
            "se": error,
            "roi": mean / fee - 1 if fee else np.nan,
            "p_profit": float(self.weight @ (pay > fee)),
            "worst_5pct": self._tail(pay - fee, TAIL),
            "best_5pct": -self._tail(fee - pay, TAIL),
            "cash": float(self.weight @ self.cash[name]),
            "top_1pct": float(self.weight @ self.top_1pct[name]),
            "p_win": float(self.weight @ (rank == 1)),
            "median_best_rank": float(rank[by_rank][min(middle, len(rank) - 1)]),
        }

    def _tail(self, values, share: float) -> float:
        """Return the mean of the lowest `share` of `values`; the race on the border counts in part."""
        order = np.argsort(values, kind="stable")
        before = np.concatenate([[0.0], np.cumsum(self.weight[order])[:-1]])
        taken = np.clip(share - before, 0.0, self.weight[order])
        return float(taken @ values[order] / taken.sum())

    def differences(self, first: str) -> pd.DataFrame:
        """Return, for every other portfolio, what `first` earns more in dollars, paired, ± se, and whether it is clear.

        Clear means beyond two standard errors. Scenarios that share a field are not independent: the error is the
        larger of the one over scenarios and the one over fields.
        """
        rows = []
        for name in self.payout:
            if name != first:
                mean, error = self._mean(self.payout[first] - self.payout[name])
                rows.append({"against": name, "difference": mean, "se": error, "clear": abs(mean) > 2 * error})
        return pd.DataFrame(rows, columns=["against", "difference", "se", "clear"])

    def _mean(self, values) -> tuple[float, float]:
        mean = float(self.weight @ values)
        by_scenario = (self.weight**2 @ (values - mean) ** 2) / max(1e-300, 1 - self.weight @ self.weight)
        runs = np.unique(self.run)
        if len(runs) < 8:
            return mean, float(np.sqrt(by_scenario))
        parts = np.bincount(self.run, self.weight * (values - mean), len(runs))
        by_field = (parts**2).sum() * len(runs) / (len(runs) - 1)
        return mean, float(np.sqrt(max(by_scenario, by_field)))


def score_portfolios(
    portfolios: dict, points, fields, contest: Contest, *, weight=None, rules=DRAFTKINGS_NASCAR
) -> Scores:
    """Play every portfolio in the same scenarios against the same fields, each portfolio on its own.

    Parameters
    ----------
    portfolios : name → (N, K) lineups; with a per-user limit the first lineups enter
    points : (S, D) ; weight : (S,) scenario weights, default equal
    fields : (n, F, K) ; each field plays its own run of scenarios, so ownership uncertainty is in the scores. A field
        larger than the contest leaves room for is cut to the room left by the portfolio.
    """
    points = np.asarray(points)
    runs = field_runs(len(points), fields)
    weight = np.full(len(points), 1 / len(points)) if weight is None else np.asarray(weight, float)
    played = {name: _play(lineups, points, fields, runs, contest, rules) for name, lineups in portfolios.items()}
    columns = [{name: column[k] for name, column in played.items()} for k in range(4)]
    run = np.repeat(np.arange(len(runs)), [r.stop - r.start for r in runs])
    fees = {name: contest.entry_fee * column[4] for name, column in played.items()}
    return Scores(*columns, weight / weight.sum(), run, fees)


def _play(lineups, points, fields, runs, contest, rules):
    """Return payout, share in the money, share in the top 1 %, best rank, all (S,), and the number of entries."""
    out = np.empty((4, len(points)))
    entered = min(len(lineups), contest.max_entries_per_user or len(lineups))
    top = max(1, int(np.ceil(0.01 * contest.entries)))
    for field, run in zip(fields, runs, strict=False):
        room = contest.entries - entered
        result = simulate_contest(lineups[:entered], field[:room], points[run], contest, rules=rules)
        out[0, run] = result.payout.sum(axis=1)
        out[1, run] = (result.payout > 0).mean(axis=1)
        out[2, run] = (result.rank <= top).mean(axis=1)
        out[3, run] = result.rank.min(axis=1)
    return (*out, entered)
