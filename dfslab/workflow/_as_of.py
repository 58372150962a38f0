"""What was known before a race: form, rating and simulated points, for the slate and for past contests."""

from dataclasses import replace

import numpy as np
import pandas as pd

from dfslab.ownership import simulated_columns
from dfslab.race import forecast_races
from dfslab.rules import DRAFTKINGS_NASCAR
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
    return pd.DataFrame(
        {
            "form": _decayed_mean(past["driver"], surplus, 0.5 ** (age / FORM_HALF_LIFE_DAYS)),
            "rating": _decayed_mean(past["driver"], past["driver_rating"], 0.5 ** (age / RATING_HALF_LIFE_DAYS)),
        }
    )


def _decayed_mean(key, values, weight) -> pd.Series:
    known = values.notna().to_numpy()
    total = (values * weight)[known].groupby(key[known]).sum()
    return total / pd.Series(weight, index=values.index)[known].groupby(key[known]).sum()


PAST_SCENARIOS = 500
"""Simulated races behind the projected points of a past contest's driver."""
REFIT_MONTHS = 12


def fill_history(history, rng: np.random.Generator) -> pd.DataFrame:
    """Return the ownership history with projected_points, form and rating filled where they are missing.

    Each contest gets what was known on the day before it: form and rating from earlier rows, projected points as the
    means of races simulated by a model fitted on earlier races (every `REFIT_MONTHS` months, records up to date).
    Points a user or a vendor had projected stay; `model_points` and `model_sd` are always the simulated mean and
    standard deviation, where there are some.
    """
    past, results, races = history.ownership, history.results, history.races
    known = races[races["race_id"].isin(past["race_id"])] if "race_id" in past else races.iloc[:0]
    if known.empty or known["date"].min() <= results["date"].min():
        return past
    since = known["date"].min()
    kept = races[(races["date"] < since) | races["race_id"].isin(known["race_id"])]
    drawn = forecast_races(
        results[results["race_id"].isin(kept["race_id"])], kept, since,
        n_scenarios=PAST_SCENARIOS, rng=rng, months=REFIT_MONTHS,
    )  # fmt: skip
    parts = [_as_known(rows, results, drawn.get(race_id)) for race_id, rows in past.groupby("race_id", sort=False)]
    return pd.concat(parts).sort_index()


def _as_known(rows: pd.DataFrame, results: pd.DataFrame, scenarios) -> pd.DataFrame:
    """Return the rows of one race's contests with what was known before it."""
    known = known_before(results, rows["date"].iloc[0])
    if scenarios is not None:
        simulated = simulated_columns(scenarios, DRAFTKINGS_NASCAR)
        known = known.join(
            simulated.assign(projected_points=simulated["model_points"], model_sd=scenarios.spread()), how="outer"
        )
    mine = known.reindex(rows["driver"]).set_axis(rows.index)
    return rows.assign(**{name: rows[name].fillna(mine[name]) if name in rows else mine[name] for name in mine})
