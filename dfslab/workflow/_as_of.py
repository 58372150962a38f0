"""What was known before a race: form, rating and simulated points, and the slate filled with it."""

from dataclasses import replace

import numpy as np
import pandas as pd

from dfslab.ownership import simulated_columns
from dfslab.slate import Slate


def fill_slate(slate: Slate, scenarios) -> Slate:
    """Return the slate with projected_points (the user's first, else the simulator's means) and simulated columns."""
    means, own = scenarios.mean().to_numpy(), slate.column("projected_points")
    filled = {"projected_points": np.where(np.isnan(own), np.where(slate.out, np.nan, means), own)}
    simulated = simulated_columns(scenarios, slate.rules)
    filled |= {name: np.where(slate.out, np.nan, simulated[name]) for name in simulated}
    return replace(slate, drivers=slate.drivers.assign(**filled))


FORM_HALF_LIFE_DAYS = 60.0
RATING_HALF_LIFE_DAYS = 240.0


def known_before(results: pd.DataFrame, date) -> pd.DataFrame:
    """Return form and rating by driver as of `date`, from earlier rows only.

    Form is the decayed mean of DraftKings points above what the start position is worth, rating the decayed mean
    of NASCAR's driver rating; both in the units of their source, NaN for drivers without a past.
    """
    past = results[results["date"] < pd.to_datetime(date)]
    age = (pd.to_datetime(date) - past["date"]).dt.days.to_numpy(float)
    past = past.reindex(columns=past.columns.union(["start", "dk_points", "driver_rating"]))
    surplus = past["dk_points"] - past.groupby("start")["dk_points"].transform("mean")
    form = _decayed_mean(past["driver"], surplus, 0.5 ** (age / FORM_HALF_LIFE_DAYS))
    rating = _decayed_mean(past["driver"], past["driver_rating"], 0.5 ** (age / RATING_HALF_LIFE_DAYS))
    return pd.DataFrame({"form": form, "rating": rating})


def _decayed_mean(key, values, weight) -> pd.Series:
    known = values.notna().to_numpy()
    total = (values * weight)[known].groupby(key[known]).sum()
    return total / pd.Series(weight, index=values.index)[known].groupby(key[known]).sum()
