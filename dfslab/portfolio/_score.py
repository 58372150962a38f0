"""Score portfolios on draws that nothing was chosen on, side by side and paired, with standard errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special
from scipy.optimize import brentq

from dfslab.contest import field_runs, mean_and_error, simulate_contest
from dfslab.errors import UserError
from dfslab.metrics import scenario_weights, tail_weights
from dfslab.portfolio._promise import RATES, PromiseMap
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
    payout between sets, where several were drawn; `entries` name → one row per entry (see `entry_metrics`); `contest`
    the one that was played.
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
    entries: Mapping[str, pd.DataFrame] = field(default_factory=dict)

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
            "median_best_rank": float(np.quantile(rank, 0.5, weights=self.weight, method="inverted_cdf")),
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
        band = f"expected profit on the fees; its 80 % band {row['low_80']:+.0%} to {row['high_80']:+.0%}, luck apart"
        money = f"{row['return']:+.0%}", f"{band}; the average entry {self.average['return']:+.0%}"
        top = f"{row['top_1pct']:.1%}", "of the entries among the best 1 %"
        return [cash, money, chance] if self.contest.kind == "cash" else [money, chance, cash, top]

    @property
    def average(self) -> dict[str, float]:
        """What the average entry of a full contest gets, exactly, by rate (chance of a profit: 0, by convention)."""
        cash, top = float((self.contest.prizes > 0).mean()), self.contest.top_ranks(0.01) / self.contest.entries
        return {"return": -self.contest.rake, "cash": cash, "top_1pct": top, "p_profit": 0.0}

    def calibrated(self, promises: PromiseMap | None = None) -> pd.DataFrame:
        """Return what each promise is worth, one row per portfolio (see `PromiseMap`), default by the shipped map."""
        promised = self.table().rename(columns={"roi": "return"}).set_index("portfolio")[list(RATES)]
        return (promises or PromiseMap.shipped())(promised, self.average).reset_index()

    def discounted(self, name: str, plain: str, worth: float) -> "Scores":
        """Return scores in which portfolio `name` promises what `plain` does, and `worth` of what it promises beyond.

        That holds for payout, fees and rates; ranks and single entries stay as they were played. Where `plain` is not
        among the portfolios nothing is changed.
        """
        if plain not in self.payout:
            return self
        columns = {column: getattr(self, column) for column in ("payout", "cash", "top_1pct", "fees")}
        mixed = {
            column: values | {name: values[plain] + worth * (values[name] - values[plain])}
            for column, values in columns.items()
        }
        return replace(self, **mixed)

    def by_regime(self, radii: Sequence[float] = (0.05, 0.2)) -> pd.DataFrame:
        """Return what every portfolio earns in each regime, and if the regimes' probabilities are wrong.

        Parameters
        ----------
        radii : Kullback–Leibler divergences from the probabilities, nats, within which the worst weights are sought

        Returns
        -------
        frame, a row per portfolio and regime that may come, and per radius: portfolio, regime (or "worst within
        <radius> nats"), probability (NaN where it is a mixture), expected_payout ± error in dollars, p_profit
        """
        chance, rows = self._chances(), []
        pure = {name.replace("_", " "): row for name, row in zip(self.regime_names, np.eye(len(chance)), strict=True)}
        for name, pay in self.payout.items():
            worst = {f"worst within {r:g} nats": worst_weights(chance, self._means(name), r) for r in radii}
            for regime, share in (pure | worst).items():
                probability = float(chance @ share) if regime in pure else np.nan
                if probability == 0:
                    continue
                weight = self.weight * (share / np.maximum(chance, 1e-300))[self.regime]
                mean = weight @ pay
                error, profit = np.sqrt(weight**2 @ (pay - mean) ** 2), float(weight @ (pay > self.fees[name]))
                rows.append((name, regime, probability, mean, error, profit))
        columns = ["portfolio", "regime", "probability", "expected_payout", "expected_payout_se", "p_profit"]
        return pd.DataFrame(rows, columns=columns)

    def regime_value(self, chosen_on: "Scores") -> pd.DataFrame:
        """Return what it is worth to know the regime, in dollars for the portfolio that enters.

        EVPI = Σ P(r) max_L V(L | r) − max_L Σ P(r) V(L | r), and the value of the stochastic solution is V of the best
        choice over all regimes less V of the best choice for the likeliest one [birge1982]. Portfolios are chosen on
        one set of draws and valued on the other, so that luck is not taken for knowledge.

        Parameters
        ----------
        chosen_on : the same portfolios on other draws, with regimes, too

        Returns
        -------
        frame, rows "knowing the regime (EVPI)" and "all regimes instead of the likeliest (VSS)": what, value, se, clear
        (two standard errors, paired)
        """
        names, chance = np.array(list(chosen_on.payout), object), self._chances()
        means = np.array([chosen_on._means(name) for name in names])
        best = self.payout[names[np.argmax(means @ chosen_on._chances())]]
        likeliest = self.payout[names[np.argmax(means[:, np.argmax(chance)])]]
        known = np.choose(self.regime, [self.payout[name] for name in names[means.argmax(axis=0)]])
        gains = {"knowing the regime (EVPI)": known - best}
        gains["all regimes instead of the likeliest (VSS)"] = best - likeliest
        rows = pd.DataFrame([(what, *self.mean(gain)) for what, gain in gains.items()], columns=["what", "value", "se"])
        return rows.assign(clear=rows["value"].abs() > 2 * rows["se"])

    def _chances(self) -> np.ndarray:
        if not len(self.regime_names):
            raise UserError("the scores carry no regimes; score portfolios on labelled scenarios")
        return np.bincount(self.regime, self.weight, len(self.regime_names))

    def _means(self, name: str) -> np.ndarray:
        """Return the expected payout in each regime, (R,); 0 in one that does not come."""
        total = np.bincount(self.regime, self.weight * self.payout[name], len(self.regime_names))
        return total / np.maximum(self._chances(), 1e-300)

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

    def beyond(slope):
        return special.rel_entr(tilted(slope), chance).sum() - radius

    steepest = 1e4
    return tilted(steepest if beyond(steepest) <= 0 else brentq(beyond, 0, steepest))


def score_portfolios(
    portfolios: dict,
    points,
    fields,
    contest: Contest,
    *,
    weight=None,
    rules=DRAFTKINGS_NASCAR,
    regime=None,
    regime_names: Sequence[str] = (),
) -> Scores:
    """Play every portfolio in the same scenarios against the same fields, each portfolio on its own.

    Parameters
    ----------
    portfolios : name → (N, K) lineups; with a per-user limit the first lineups enter. (n, N, K) are as many sets drawn
        by chance: each plays its share of the scenarios, so that the error includes the draw
    points : (S, D) ; weight : (S,) scenario weights, default equal
    fields : (n, F, K) ; each field plays its own run of scenarios, so ownership uncertainty is in the scores. A field
        larger than the contest leaves room for is cut to the room left by the portfolio.
    regime, regime_names : (S,) index of a scenario's regime into the names, where the scenarios are labelled
    """
    points, weight = np.asarray(points), scenario_weights(weight, len(points))
    runs, kept = field_runs(len(points), len(fields)), {}
    for name, lineups in portfolios.items():
        payout, rank, spread = _play(np.asarray(lineups), points, fields, runs, contest, rules)
        kept[name] = {
            "payout": payout.sum(axis=1),
            "cash": (payout > 0).mean(axis=1),
            "top_1pct": (rank <= contest.top_ranks(0.01)).mean(axis=1),
            "best_rank": rank.min(axis=1).astype(float),
            "fees": contest.entry_fee * payout.shape[1],
            "spread": spread,
            "entries": entry_metrics(payout, rank, weight, contest),
        }
    columns = {key: {name: row[key] for name, row in kept.items()} for key in next(iter(kept.values()))}
    run = np.repeat(np.arange(len(runs)), [r.stop - r.start for r in runs])
    return Scores(**columns, weight=weight, run=run, regime=regime, regime_names=tuple(regime_names), contest=contest)


def entry_metrics(payout, rank, weight, contest: Contest) -> pd.DataFrame:
    """Return one row per entry of `payout` (S, N): expected payout, ROI (± errors), chances of win, top 1 % and cash.

    `win` counts a shared first place; `top_1pct` is a `rank` (S, N) within the best 1 % of the contest's entries.
    """
    mean, error = mean_and_error(payout, weight)
    fee = contest.entry_fee or np.nan
    money = {"expected_payout": mean, "expected_payout_se": error, "roi": mean / fee - 1, "roi_se": error / fee}
    came = {"win": rank == 1, "top_1pct": rank <= contest.top_ranks(0.01), "cash": payout > 0}
    return pd.DataFrame(money | {name: weight @ happened for name, happened in came.items()})


def _play(lineups, points, fields, runs, contest, rules):
    """Return payout and rank of the entering lineups, (S, N), and the spread between sets (NaN for one set)."""
    sets = lineups if lineups.ndim == 3 else lineups[None]
    entered = contest.entering(sets.shape[1])
    payout, rank = np.empty((len(points), entered)), np.empty((len(points), entered), int)
    played = np.empty(len(points))
    for number, (opponents, run) in enumerate(zip(fields, runs, strict=False)):
        mine = np.arange(len(sets))[number % len(sets) :: len(runs)][: run.stop - run.start]
        for which, part in zip(mine, np.array_split(np.arange(run.start, run.stop), len(mine)), strict=True):
            others = opponents[: contest.entries - entered]
            found = simulate_contest(sets[which, :entered], others, points[part], contest, rules=rules)
            payout[part], rank[part], played[part] = found.payout, found.rank, which
    by_set = pd.Series(payout.sum(axis=1)).groupby(played)
    if by_set.ngroups == 1:
        return payout, rank, np.nan
    luck = (by_set.var() / by_set.size()).mean()  # of the races, taken out
    return payout, rank, float(np.sqrt(max(0.0, by_set.mean().var() - luck)))


# ---------------------------------------------------------------- which portfolio to play


class Verdict(NamedTuple):
    """Which recipe is played, and why in a sentence."""

    name: str
    sentence: str


def referee(
    scores: Scores, worth: Mapping[str, float] | None = None, plain: str | None = None, asked: str | None = None
) -> Verdict:
    """Return which of the portfolios of `scores` to play: the one that earns most, but plain lineups where unclear.

    The draws of `scores` must be others than those the portfolios were chosen on and others than those the promise is
    made on, so that neither choice flatters what is promised.

    Parameters
    ----------
    scores : the portfolios on a third set of draws
    worth : recipe → what its promised gain over `plain` was worth in the past, as a factor (default 1 for all)
    plain : the recipe without leverage (default the first); it is played when no other is ahead of it by more than one
        standard error
    asked : the recipe that the user wants whatever comes out; the sentence says what its gain was worth in the past

    Raises
    ------
    UserError : `plain`, `asked` or a recipe of `worth` is not among the portfolios
    """
    names, worth = list(scores.payout), worth or {}
    unknown = sorted(({plain, asked} - {None} | set(worth)) - set(names))
    if unknown:
        raise UserError(f"referee: no portfolio {', '.join(unknown)}; the portfolios are {', '.join(names)}")
    plain = plain or names[0]
    ahead = {name: scores.mean(pay - scores.payout[plain]) for name, pay in scores.payout.items() if name != plain}
    believed = {name: (worth.get(name, 1.0) * gain, worth.get(name, 1.0) * se) for name, (gain, se) in ahead.items()}
    clear = {name: gain for name, (gain, se) in believed.items() if gain > se}
    if not ahead:
        return Verdict(plain, f"{plain} is the only recipe.")
    best = asked or max(clear or ahead, key=clear.get if clear else lambda name: ahead[name][0])
    gain, se = ahead[best]
    promise = f"promises ${abs(gain):,.2f} ± {se:,.2f} {'less' if gain < 0 else 'more'} than {plain}"
    promise += " on draws that no recipe was chosen on"
    if asked:
        factor = worth.get(asked, 1.0)
        share = f"of such gains {factor:.0%} came true in the past, so what is promised below is what {plain} promise "
        share += f"under the same limits{f', and {factor:.0%} of the rest' if factor else ''}"
        return Verdict(asked, f"Played: {asked}, as you asked. It {promise}; {share}.")
    if clear:
        return Verdict(best, f"Played: {best}. It {promise}.")
    why = "which is not a standard error ahead" if believed[best][1] else "but such gains came to nothing in the past"
    return Verdict(plain, f"Played: {plain}. The recipe {best} {promise}, {why}.")
