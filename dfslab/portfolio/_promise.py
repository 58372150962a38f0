"""What a promise is worth: the map from what fresh draws promise to what came true.

Fresh draws share the models' errors with the choice, so less comes true than they promise. What a portfolio promises
beyond the average entry is therefore multiplied by what such promises were worth in the past: beforehand on simulated
seasons, where replays know the truth, and then on the user's own races.
"""

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

RATES = ("return", "cash", "top_1pct", "p_profit")
"""A dollar's return, shares of the entries in the money and in the top 1 %, chance to end with a profit."""


@dataclass(frozen=True)
class Worth:
    """What one promised rate is worth beyond that of the average entry: truth = weight · promise + error.

    `weight` is known to within `sd`, which all races of a season share; a race's own error has the standard deviation
    `spread`.
    """

    weight: float
    sd: float
    spread: float

    def learned(self, promised, realised, noise) -> "Worth":
        """Return what past races say, the weight normal beforehand and after; all (n,), beyond the average entry.

        `noise` is the standard deviation of the luck in `realised`, 0 where replays tell the truth.
        """
        known = np.isfinite(promised) & np.isfinite(realised)
        promised, realised, noise = (np.asarray(values, float)[known] for values in (promised, realised, noise))
        pull = promised / (self.spread**2 + noise**2)
        total = self.sd**-2.0 + pull @ promised
        weight = (self.weight * self.sd**-2.0 + pull @ realised) / total
        return replace(self, weight=float(weight), sd=float(total**-0.5))


@dataclass(frozen=True)
class PromiseMap:
    """The worth of every rate, the races of the user's own behind it, and where the shipped figures come from."""

    rates: dict[str, Worth]
    source: str
    races: int = 0

    @classmethod
    def shipped(cls) -> "PromiseMap":
        """Return the map for users without a record: simulated seasons pooled by moments [dersimonian1986]."""
        shipped = defaults("promise")
        return cls({name: Worth(**shipped[name]) for name in RATES}, shipped["source"])

    def learned(self, record: pd.DataFrame) -> "PromiseMap":
        """Return the map after the races of `record`, one row each.

        Parameters
        ----------
        record : columns promised_<rate>, realised_<rate>, average_<rate> and optionally noise_<rate> for the rates of
            `RATES`; a rate or a row with gaps does not count
        """
        if not len(record):
            return self
        rates = {}
        for name, worth in self.rates.items():
            columns = [f"{part}_{name}" for part in ("promised", "realised", "average", "noise")]
            promised, realised, average, noise = record.reindex(columns=columns).to_numpy(float).T
            rates[name] = worth.learned(promised - average, realised - average, np.nan_to_num(noise))
        return replace(self, rates=rates, races=self.races + len(record))

    def __call__(self, promised: pd.DataFrame, average: dict) -> pd.DataFrame:
        """Return what promises are worth, a row each.

        Parameters
        ----------
        promised : columns named as `RATES`
        average : rate → that of the average entry (see `Scores.average`)

        Returns
        -------
        frame: every rate calibrated; `low_80`, `high_80` the band of the return (of its expectation in this race, luck
        apart); `shared_sd` the part of its standard deviation that all races share
        """
        found, z = pd.DataFrame(index=promised.index), stats.norm.ppf(0.9)
        for name, worth in self.rates.items():
            beyond = promised[name] - average[name]
            found[name] = average[name] + worth.weight * beyond
            if name == "return":
                found["shared_sd"] = np.abs(beyond) * worth.sd
                sd = np.hypot(found["shared_sd"], worth.spread)
                found["low_80"], found["high_80"] = found[name] - z * sd, found[name] + z * sd
        shares = ["cash", "top_1pct", "p_profit"]
        found[shares] = found[shares].clip(0, 1)
        return found

    @property
    def note(self) -> str:
        """Where the map comes from, for the page."""
        own = f", learned further on {self.races} races of your own" if self.races else ""
        return f"Calibrated by {self.source}{own}."


@cache
def defaults(part: str) -> dict:
    """Return the shipped figures of one part, promise or blend."""
    return json.loads(Path(__file__).with_name("defaults.json").read_text("utf-8"))[part]
