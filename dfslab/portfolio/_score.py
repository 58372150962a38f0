"""Score portfolios on draws that nothing was chosen on, side by side and paired, with standard errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from dfslab.contest import field_runs, mean_and_error, simulate_contest
from dfslab.metrics import quantile_value, tail_weights
from dfslab.portfolio._promise import RATES, PromiseMap, average_entry
from dfslab.rules import DRAFTKINGS_NASCAR
from dfslab.slate import Contest

TAIL = 0.05
"""Share of the races in a tail."""
FEW_FIELDS = 8
"""Fewer fields say too little of how much fields differ."""


@dataclass(frozen=True)
class Scores:
    """What several portfolios earn in the same scenarios against the same fields.

    `payout` name → (S,) dollars of the whole portfolio before fees; `cash`, `top_1pct` name → (S,) share of its
    entries that did; `best_rank` name → (S,); `weight` (S,) sums to 1; `run` (S,) number of the field played; `regime`
    (S,) index into `regime_names`, where the scenarios are labelled; `spread` name → standard deviation of the expected
    payout between sets, where several were drawn; `contest` the one that was played.
    """

    payout: dict[str, np.ndarray]
    cash: dict[str, np.ndarray]
    top_1pct: dict[str, np.ndarray]
    best_rank: dict[str, np.ndarray]
    weight: np.ndarray
    run: np.ndarray
    fees: dict[str, float]
    regime: np.ndarray | None = None
    regime_names: tuple[str, ...] = ()
    spread: Mapping[str, float] = field(default_factory=dict)
    contest: Contest | None = None

    def table(self) -> pd.DataFrame:
        """Return one row per portfolio.

        fees, expected_payout ± its error and the sd of payouts (dollars before fees), roi, p_profit (chance to end
        above the fees), worst_5pct and best_5pct (mean profit of the worst and best 5 % of races), cash and top_1pct
        (shares of its entries), p_win (chance that an entry is first, shared firsts included), median_best_rank, spread
        (sd of the expected payout between sets).
        """
        return pd.DataFrame([self._row(name) for name in self.payout])

    def _row(self, name: str) -> dict:
        pay, fee, rank = self.payout[name], self.fees[name], self.best_rank[name]
        mean, error = self.mean(pay)
        worst, best = (tail_weights(sign * pay, TAIL, self.weight) @ (pay - fee) for sign in (-1, 1))
        return {
            "portfolio": name,
            "fees": fee,
            "expected_payout": mean,
            "expected_payout_se": error,
            "sd": float(np.sqrt(self.weight @ (pay - mean) ** 2)),
            "roi": mean / fee - 1 if fee else np.nan,
            "p_profit": float(self.weight @ (pay > fee)),
            "worst_5pct": float(worst),
            "best_5pct": float(best),
            "cash": float(self.weight @ self.cash[name]),
            "top_1pct": float(self.weight @ self.top_1pct[name]),
            "p_win": float(self.weight @ (rank == 1)),
            "median_best_rank": float(quantile_value(rank[:, None], 0.5, self.weight)[0]),
            "spread": self.spread.get(name, np.nan),
        }

    def summary(self, name: str, promises: PromiseMap | None = None) -> pd.Series:
        """Return fees and simulated payout ± error of one portfolio, and what its promise is worth: return with band
        (`low`, `high`), chance of a profit, rates."""
        raw = pd.Series(self._row(name))[["fees", "expected_payout", "expected_payout_se"]]
        worth = self.calibrated(promises).set_index("portfolio").loc[name]
        names = {"return": "calibrated_roi", "low_80": "low", "high_80": "high"}
        shown = [*names.values(), "p_profit", "cash", "top_1pct"]
        return pd.concat([raw, worth.rename(names)[shown]]).astype(float)

    def cards(self, name: str, promises: PromiseMap | None = None) -> list[tuple[str, str]]:
        """Return the key figures of a portfolio as (value, text): what its promise is worth, with its band."""
        row = self.calibrated(promises).set_index("portfolio").loc[name]
        chance = f"{row['p_profit']:.0%}", "chance to end with a profit"
        cash = f"{row['cash']:.0%}", "of the entries in the money"
        if not self.fees[name]:
            mean, error = self.mean(self.payout[name])
            return [(f"${mean:,.2f}", f"expected to be won without a fee, ± ${error:,.2f}"), cash]
        band = f"of the fees in return; 80 % band {row['low_80']:+.0%} to {row['high_80']:+.0%}"
        money = f"{row['return']:+.0%}", f"{band}; the average entry {self.average['return']:+.0%}"
        top = f"{row['top_1pct']:.1%}", "of the entries among the best 1 %"
        return [cash, money, chance] if self.contest.kind == "cash" else [money, chance, cash, top]

    @property
    def average(self) -> dict[str, float]:
        """What the average entry of the contest gets, exactly, by rate: its return is pool ÷ fees − 1."""
        return average_entry(self.contest)

    def calibrated(self, promises: PromiseMap | None = None) -> pd.DataFrame:
        """Return what each promise is worth, one row per portfolio (see `PromiseMap`), default by the shipped map."""
        promised = self.table().rename(columns={"roi": "return"}).set_index("portfolio")[list(RATES)]
        return (promises or PromiseMap.shipped())(promised, self.average).reset_index()

    def headline(self, name: str, promises: PromiseMap | None = None) -> str:
        """Return the calibrated return of a portfolio with its band, its chances, and where the calibration is from."""
        if not self.fees[name]:
            mean, error = self.mean(self.payout[name])
            return f"There is no fee, so no return; the entries are expected to win ${mean:,.2f} ± {error:,.2f}."
        promises = promises or PromiseMap.shipped()
        row = self.calibrated(promises).set_index("portfolio").loc[name]
        band = f"80 % band {row['low_80']:+.2f} to {row['high_80']:+.2f}"
        return (
            f"A dollar of fees is expected to return {row['return']:+.2f} ({band}); the chance to end with a profit is "
            f"{row['p_profit']:.0%}; {row['cash']:.0%} of the entries cash and {row['top_1pct']:.1%} come in among the "
            f"best 1 %. {promises.note}"
        )

    def profit_chances(self, name: str) -> pd.Series:
        """Return the chance (%) that a portfolio ends at least so many dollars above its fees, by profit, ascending."""
        profit = self.payout[name] - self.fees[name]
        order = np.argsort(profit)
        above = 1 - np.cumsum(self.weight[order]) + self.weight[order]
        return pd.Series(100 * above, pd.Index(profit[order], name="profit, dollars"))

    def by_regime(self, name: str) -> pd.DataFrame:
        """Return probability, expected payout ± error and chance of a profit in each regime; empty without labels."""
        rows = []
        for code, regime in enumerate(self.regime_names):
            weight = self.weight * (self.regime == code)
            if share := weight.sum():
                pay = self.payout[name]
                mean = weight @ pay / share
                error = np.sqrt((weight**2) @ (pay - mean) ** 2) / share
                profit = weight @ (pay > self.fees[name]) / share
                rows.append((regime.replace("_", " "), share, mean, error, profit))
        columns = ["regime", "probability", "expected_payout", "expected_payout_se", "p_profit"]
        return pd.DataFrame(rows, columns=columns)

    def differences(self, first: str) -> pd.DataFrame:
        """Return, for every other portfolio, what `first` earns more in dollars, paired, ± se, and whether it is clear.

        Clear means beyond two standard errors. Scenarios that share a field are not independent: the error is the
        larger of the one over scenarios and the one over fields.
        """
        rows = []
        for name in self.payout:
            if name != first:
                mean, error = self.mean(self.payout[first] - self.payout[name])
                rows.append({"against": name, "difference": mean, "se": error, "clear": abs(mean) > 2 * error})
        return pd.DataFrame(rows, columns=["against", "difference", "se", "clear"])

    def mean(self, values) -> tuple[float, float]:
        """Return the weighted mean of `values` (S,) and its error, the larger of those over scenarios and fields."""
        mean, by_scenario = map(float, mean_and_error(values, self.weight))
        parts = np.bincount(self.run, self.weight * (values - mean))
        n = np.count_nonzero(np.bincount(self.run))
        return mean, by_scenario if n < FEW_FIELDS else max(by_scenario, float(np.sqrt(parts @ parts * n / (n - 1))))


def score_portfolios(
    portfolios: dict, points, fields, contest: Contest, *, weight=None, rules=DRAFTKINGS_NASCAR
) -> Scores:
    """Play every portfolio in the same scenarios against the same fields, each portfolio on its own.

    Parameters
    ----------
    portfolios : name → (N, K) lineups; with a per-user limit the first lineups enter. (n, N, K) are as many sets drawn
        by chance: each plays its share of the scenarios, so that the error includes the draw
    points : (S, D) ; weight : (S,) scenario weights, default equal
    fields : (n, F, K) ; each field plays its own run of scenarios, so ownership uncertainty is in the scores. A field
        larger than the contest leaves room for is cut to the room left by the portfolio.
    """
    points = np.asarray(points)
    runs = field_runs(len(points), len(fields))
    weight = np.full(len(points), 1 / len(points)) if weight is None else np.asarray(weight, float)
    played = {name: _play(lineups, points, fields, runs, contest, rules) for name, lineups in portfolios.items()}
    columns = [{name: column[k] for name, column in played.items()} for k in range(4)]
    run = np.repeat(np.arange(len(runs)), [r.stop - r.start for r in runs])
    fees = {name: contest.entry_fee * contest.entering(np.shape(x)[-2]) for name, x in portfolios.items()}
    spread = {name: column[4] for name, column in played.items() if np.ndim(portfolios[name]) == 3}
    return Scores(*columns, weight / weight.sum(), run, fees, spread=spread, contest=contest)


def _play(lineups, points, fields, runs, contest, rules):
    """Return payout, share in the money, share in the top 1 %, best rank, all (S,), and the spread between sets."""
    sets = np.asarray(lineups)
    sets = sets[None] if sets.ndim == 2 else sets
    out, played = np.empty((4, len(points))), np.empty(len(points), int)
    entered, top = contest.entering(sets.shape[1]), contest.top_ranks(0.01)
    for number, (opponents, run) in enumerate(zip(fields, runs, strict=False)):
        mine = np.arange(len(sets))[number % len(sets) :: len(runs)][: run.stop - run.start]
        for which, part in zip(mine, np.array_split(np.arange(run.start, run.stop), len(mine)), strict=True):
            ours, others = sets[which, :entered], opponents[: contest.entries - entered]
            result = simulate_contest(ours, others, points[part], contest, rules=rules)
            out[0, part] = result.payout.sum(axis=1)
            out[1, part] = (result.payout > 0).mean(axis=1)
            out[2, part] = (result.rank <= top).mean(axis=1)
            out[3, part] = result.rank.min(axis=1)
            played[part] = which
    return (*out, _spread(out[0], played))


def _spread(payout, played) -> float:
    """Return the standard deviation of the expected payout between sets, the luck of the races taken out."""
    by_set = pd.Series(payout).groupby(played)
    luck = (by_set.var() / by_set.size()).mean()
    return float(np.sqrt(max(0.0, by_set.mean().var() - luck))) if by_set.ngroups > 1 else float("nan")
