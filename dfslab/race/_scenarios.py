"""What the simulator gives: many ways a race may go, with weights, and every question one asks of them."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from dfslab.errors import UserError, did_you_mean
from dfslab.lineups import best_lineups
from dfslab.regimes import REGIMES, RegimeThresholds, race_features, regime_codes
from dfslab.slate import Slate

PER_DRIVER = ("start", "finish", "laps_led", "fastest_laps", "points", "dropped_out", "crashed")
PER_SCENARIO = ("cautions", "caution_laps", "longest_green_run", "final_green_run", "regime", "weight")


@dataclass(frozen=True, repr=False)
class Scenarios:
    """S ways the race may go for D drivers.

    `drivers` (D,) names; `start` the grid place that scores, `finish` (1 = winner; 0 = did not race), `laps_led`,
    `fastest_laps`, `points`, `dropped_out`, `crashed`, all (S, D); `cautions`, `caution_laps`, `longest_green_run`,
    `final_green_run` in laps, `regime` (index into `regime_names`), `weight` (sums to 1), all (S,).
    `notes` are sentences for the page: what was assumed. A plain mean over scenarios is wrong, because they have
    weights: ask the methods, which use them.
    """

    drivers: np.ndarray
    start: np.ndarray
    finish: np.ndarray
    laps_led: np.ndarray
    fastest_laps: np.ndarray
    points: np.ndarray
    dropped_out: np.ndarray
    crashed: np.ndarray
    cautions: np.ndarray
    caution_laps: np.ndarray
    longest_green_run: np.ndarray
    final_green_run: np.ndarray
    regime: np.ndarray
    weight: np.ndarray
    track_length_mi: float
    regime_names: tuple[str, ...] = REGIMES
    notes: tuple[str, ...] = field(default=())
    race_id: str = ""

    def __len__(self) -> int:
        return len(self.weight)

    def __repr__(self) -> str:
        of = f" of {self.race_id}" if self.race_id else ""
        return f"Scenarios({len(self.drivers)} drivers, {len(self):,} races{of}: {self._kinds()})"

    def _kinds(self) -> str:
        shares = self.regime_shares().map("{:.0%}".format)
        return ", ".join(f"{name.replace('_', ' ')} {share}" for name, share in shares.items())

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.summary().head(10).to_html(float_format='{:.2f}'.format)}"

    # ------------------------------------------------------------ questions

    @property
    def _index(self) -> pd.Index:
        return pd.Index(self.drivers, name="driver")

    def _values(self, what) -> np.ndarray:
        return np.asarray(getattr(self, what) if isinstance(what, str) else what, float)

    def mean(self, what="points") -> pd.Series:
        """Return the weighted mean of an (S, D) quantity by driver: its name (`points`, `finish`, …) or an array."""
        return pd.Series(self.weight @ self._values(what), self._index)

    def spread(self, what="points") -> pd.Series:
        """Return the weighted standard deviation of an (S, D) quantity by driver."""
        away = self._values(what) - self.mean(what).to_numpy()
        return np.sqrt(self.mean(away**2))

    def quantile(self, q, what="points") -> pd.DataFrame | pd.Series:
        """Return weighted quantiles: drivers × q for an (S, D) quantity, a Series by q for an (S,) one.

        A quantile is the smallest value that is reached or undercut with weight of at least q. `what` is a name or an
        array, such as ``races.leader_share()``.
        """
        levels = np.atleast_1d(np.asarray(q, float))
        found = np.quantile(self._values(what), levels, axis=0, weights=self.weight, method="inverted_cdf")
        if found.ndim == 1:
            return pd.Series(found, levels)
        return pd.DataFrame(found.T, self._index, levels)

    def _happens(self, event) -> np.ndarray:
        """Return an event as a bool array: given as one, or as a function of the scenarios."""
        hint = "arrays are by race, or by race and driver; to_frame(driver) has one driver's columns"
        try:
            happens = np.asarray(event(self) if callable(event) else event)
        except (IndexError, TypeError) as error:
            raise UserError(f"scenarios: the event cannot be told ({error}); {hint}") from None
        if happens.dtype.kind not in "biu" or happens.shape[:1] != (len(self),):
            told = f"{event!r:.40}" if isinstance(event, str) else f"{happens.dtype} of shape {happens.shape}"
            raise UserError(f"scenarios: an event says yes or no for each of {len(self):,} races, not {told}; {hint}")
        return happens.astype(bool)

    def probability(self, event) -> float | pd.Series:
        """Return the probability of `event`, an (S,) or (S, D) bool array: a number, or one by driver.

        Examples
        --------
        ``races.probability(races.finish == 1)`` is every driver's chance to win; so is
        ``races.probability(lambda r: r.finish == 1)``, which can be asked of scenarios that have no name.
        """
        happens = self._happens(event)
        return self.mean(happens).rename("probability") if happens.ndim == 2 else float(self.weight @ happens)

    def given(self, event=None, *, regime: str | None = None) -> "Scenarios":
        """Return the scenarios of a `regime`, those where `event` (S,) holds, or both.

        `event` is a bool array, or a function of the scenarios: ``races.given(lambda r: r.cautions > 8)``.
        """
        if isinstance(event, str):
            raise UserError(f"scenarios: '{event}' is no event; write given(regime='{event}')")
        happens = np.ones(len(self), bool) if event is None else self._happens(event)
        if happens.ndim > 1:
            raise UserError("scenarios: the event is one by driver; pick a driver's column, as to_frame(driver) does")
        if regime is not None:
            happens = happens & (self.regime == self._code(regime))
            if not happens.any() and event is None:
                raise UserError(f"scenarios: no simulated race is {regime}; the regimes here are {self._kinds()}")
        return self.take(happens)

    def regime_shares(self) -> pd.Series:
        """Return the probability of each regime."""
        shares = np.bincount(self.regime, self.weight, len(self.regime_names))
        return pd.Series(shares, list(self.regime_names), name="probability")

    def correlation(self) -> pd.DataFrame:
        """Return the weighted correlation of drivers' points, (D, D); NaN for a driver whose points never move."""
        covariance = np.cov(self.points, rowvar=False, aweights=self.weight)
        sd = np.sqrt(np.diag(covariance))
        with np.errstate(divide="ignore", invalid="ignore"):
            return pd.DataFrame(covariance / np.outer(sd, sd), self._index, self.drivers)

    def optimal_share(self, slate: Slate, n: int = 2_000) -> pd.Series:
        """Return by driver of `slate` how often he is in the best legal lineup, over the first `n` scenarios."""
        few = self.for_slate(slate).take(slice(0, n))
        racing = np.flatnonzero(~slate.out)
        groups = None if slate.groups is None else slate.groups[racing]
        share = np.zeros(len(slate))
        for points, weight in zip(few.points[:, racing], few.weight, strict=True):
            best = best_lineups(points, slate.salary[racing], slate.rules, 1, groups=groups)[0]
            share[racing[best]] += weight
        return pd.Series(share, pd.Index(slate.names, name="driver"), name="optimal")

    def leader_share(self) -> np.ndarray:
        """Return the share of the laps that the driver who led most has led, (S,)."""
        return self.laps_led.max(axis=1) / np.maximum(1, self.laps_led.sum(axis=1))

    def summary(self) -> pd.DataFrame:
        """Return by driver: mean, 10 and 90 % of points, chances of win, top 5, half the laps, no finish."""
        there = self.finish > 0
        half = self.laps_led >= 0.5 * np.maximum(1, self.laps_led.sum(axis=1, keepdims=True))
        table = self.quantile([0.1, 0.9]).set_axis(["floor", "ceiling"], axis=1)
        table.insert(0, "points", self.mean())
        table = table.assign(
            win=self.probability(self.finish == 1),
            top_5=self.probability(there & (self.finish <= 5)),
            laps_led=self.mean("laps_led"),
            leads_half=self.probability(there & half),
            drops_out=self.probability(self.dropped_out),
        )
        return table.sort_values("points", ascending=False, kind="stable")

    def typical(self, n: int = 5) -> pd.DataFrame:
        """Return the `n` likeliest stories of the race: a regime, and who leads most laps.

        The frame has, by row of the scenario nearest to the mean points of its story: probability (of the story),
        regime, led_by, and that scenario in words.
        """
        leader, rows = self.laps_led.argmax(axis=1), []
        for (code, who), chance in pd.Series(self.weight).groupby([self.regime, leader]).sum().nlargest(n).items():
            here = np.flatnonzero((self.regime == code) & (leader == who))
            centre = np.average(self.points[here], axis=0, weights=self.weight[here])
            nearest = here[((self.points[here] - centre) ** 2).sum(axis=1).argmin()]
            regime = self.regime_names[code].replace("_", " ")
            rows.append((nearest, chance, regime, self.drivers[who], self._story(nearest, who)))
        named = pd.DataFrame(rows, columns=["scenario", "probability", "regime", "led_by", "story"])
        return named.set_index("scenario")

    def _story(self, s: int, who: int) -> str:
        """Return scenario `s`, in which driver `who` leads most, as a sentence."""
        place, gone = self.finish[s], int(self.dropped_out[s].sum())
        order = self.drivers[np.argsort(np.where(place > 0, place, len(place) + 1), kind="stable")]
        led = f"{self.drivers[who]} leads {self.laps_led[s, who]} of {self.laps_led[s].sum()} laps"
        many = f"{self.cautions[s]} cautions, {gone} drop out"
        return f"{led} and finishes in place {place[who]}; {many}; {order[0]} wins from {', '.join(order[1:5])}."

    def to_frame(self, driver: str) -> pd.DataFrame:
        """Return one row a scenario: what happens to `driver`, the race's cautions, its regime and its weight."""
        if driver not in self.drivers:
            hint = did_you_mean(driver, self.drivers, "write the name as in `.drivers`")
            raise UserError(f"{driver} is not in these scenarios; {hint}")
        row = int(np.argmax(self.drivers == driver))
        mine = {name: getattr(self, name)[:, row] for name in PER_DRIVER}
        race = {name: getattr(self, name) for name in PER_SCENARIO}
        return pd.DataFrame(mine | race | {"regime": np.array(self.regime_names, object)[self.regime]})

    # ------------------------------------------------------------ other scenarios made of these

    def take(self, indices) -> "Scenarios":
        """Return the scenarios at `indices` (or where a mask is true), their weights scaled to sum to 1."""
        picked = {name: getattr(self, name)[indices] for name in (*PER_DRIVER, *PER_SCENARIO)}
        total = picked["weight"].sum()
        if not total > 0:
            raise UserError("scenarios: none left to take (no weight); choose others")
        return replace(self, **picked | {"weight": picked["weight"] / total})

    def for_slate(self, slate: Slate) -> "Scenarios":
        """Return the scenarios in the rows of `slate`, matched by name.

        Drivers who are out get finish 0 and 0 points; starters without a salary leave the table. A driver of the slate
        who is neither out nor simulated raises.
        """
        column = pd.Index(self.drivers).get_indexer(slate.names)
        missing = slate.names[(column < 0) & ~slate.out]
        if len(missing):
            raise UserError(f"scenarios: {', '.join(missing[:5])} not simulated; mark as out or add to the line-up")
        there = (column >= 0) & ~slate.out
        picked = {name: np.where(there, getattr(self, name)[:, column], 0) for name in PER_DRIVER}
        return replace(self, drivers=slate.names, **picked)

    def relabel(self, thresholds: RegimeThresholds) -> "Scenarios":
        """Return the same races labelled by other thresholds, each with the weight the simulator drew it with."""
        codes = regime_codes(race_features(self), thresholds)
        return replace(self, regime=codes, weight=np.full(len(self), 1.0 / len(self)))

    def reweight(self, regime_weights: dict) -> "Scenarios":
        """Return the scenarios with weights scaled so that each regime has its given probability (0 if not named).

        The probability of a regime without a scenario goes to the others, with a note; `UserError` where none is left.
        """
        regime_weights = dict(regime_weights)
        codes = [self._code(name) for name in regime_weights]
        wanted = np.zeros(len(self.regime_names))
        wanted[codes] = list(regime_weights.values())
        have = self.regime_shares().to_numpy()
        empty = " or ".join(np.array(self.regime_names)[(wanted > 0) & (have == 0)])
        if not wanted[have > 0].any():
            why = f"no scenario is {empty}" if empty else "all are 0"
            raise UserError(f"regime_weights: {why}; simulate more, or weigh other regimes")
        note = f"No simulated race is {empty}: its probability goes to the other regimes."
        factor = np.divide(wanted, have, out=np.zeros(len(wanted)), where=have > 0)
        weight = self.weight * factor[self.regime]
        return replace(self, weight=weight / weight.sum(), notes=(*self.notes, *([note] if empty else ())))

    def _code(self, regime: str) -> int:
        if regime not in self.regime_names:
            raise UserError(f"regime '{regime}' is unknown; the regimes are {', '.join(self.regime_names)}")
        return self.regime_names.index(regime)
