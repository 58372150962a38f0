"""Past races as they were simulated before them; past contests and a slate with what was known before each."""

from dataclasses import replace

import numpy as np
import pandas as pd

from dfslab.ownership import simulated_columns
from dfslab.race import Scenarios, forecast_races
from dfslab.rules import DRAFTKINGS_NASCAR
from dfslab.slate import Slate
from dfslab.workflow._cache import cached_walk
from dfslab.workflow._race_day import known_before, stream

PAST_SCENARIOS = 500
"""Simulated races behind what is said of a past race."""


def past_races(results, races, wanted, seed: int, n_scenarios: int = PAST_SCENARIOS) -> dict[str, Scenarios]:
    """Return the races `wanted` (race_ids) as simulated before each, by race_id; each is simulated once and kept.

    It rests on the rows of earlier races and on its own entries, so later rows leave it as it is. Of the first race of
    the history nothing is said.
    """
    order, items = _past_rows(results, races)
    wanted = set(wanted) & set(order["race_id"][order["date"] > order["date"].min()])

    def simulate(kept):
        asked = wanted - set(kept)
        since, rng = order["date"][order["race_id"].isin(asked)].min(), stream(seed, "past races")
        return forecast_races(results, order, since, n_scenarios=n_scenarios, rng=rng, only=asked)

    return cached_walk(simulate, items, "past races", seed, n_scenarios, wanted=wanted)


def _past_rows(results, races) -> tuple[pd.DataFrame, dict]:
    """Return the races that have results, by date, and a digest of the rows of each, by race_id."""
    order = races[races["race_id"].isin(results["race_id"])].sort_values("date", kind="stable")
    hashed = (pd.util.hash_pandas_object(frame, index=False).groupby(frame["race_id"]) for frame in (results, races))
    entries, facts = (groups.agg(tuple) for groups in hashed)
    columns = tuple(results.columns), tuple(races.columns)
    return order, {race_id: (columns, entries[race_id], facts[race_id]) for race_id in order["race_id"]}


def fill_history(history, seed: int) -> pd.DataFrame:
    """Return the ownership history with projected_points, form and rating filled where they are missing.

    Each contest gets what was known on the day before it: form and rating from earlier rows, projected points as the
    means of `past_races`. Points a user or a vendor had projected stay; `model_points` and `model_sd` are always the
    simulated mean and standard deviation, where there are some.
    """
    past, results = history.ownership, history.results
    if "race_id" not in past or past.empty or results.empty:
        return past
    order, items = _past_rows(results, history.races)
    dates = order.set_index("race_id")["date"][lambda date: date.index.isin(past["race_id"])]

    def know(kept):
        drawn = past_races(results, history.races, set(dates.index) - set(kept), seed)
        asked = {race_id: date for race_id, date in dates.items() if race_id not in kept}
        return {race_id: _known(results, date, drawn.get(race_id)) for race_id, date in asked.items()}

    known, parts = cached_walk(know, items, "known before", seed, wanted=set(dates.index)), []
    for race_id, rows in past.groupby("race_id", sort=False):
        mine = known[race_id] if race_id in known else known_before(results, rows["date"].iloc[0])
        mine = mine.reindex(rows["driver"]).set_axis(rows.index)
        parts.append(rows.assign(**{n: rows[n].fillna(mine[n]) if n in rows else mine[n] for n in mine}))
    return pd.concat(parts).sort_index()


def _known(results: pd.DataFrame, date, scenarios: Scenarios | None) -> pd.DataFrame:
    """Return what was known of every driver before a race."""
    known = known_before(results, date)
    if scenarios is None:
        return known
    simulated = simulated_columns(scenarios, DRAFTKINGS_NASCAR)
    simulated = simulated.assign(projected_points=simulated["model_points"], model_sd=scenarios.spread())
    return known.join(simulated, how="outer")


def fill_slate(slate: Slate, scenarios) -> Slate:
    """Return the slate with projected_points (the user's first, else the simulator's means) and simulated columns."""
    means, own = scenarios.mean().to_numpy(), slate.column("projected_points")
    filled = {"projected_points": np.where(np.isnan(own), np.where(slate.out, np.nan, means), own)}
    simulated = simulated_columns(scenarios, slate.rules)
    filled |= {name: np.where(slate.out, np.nan, simulated[name]) for name in simulated}
    return replace(slate, drivers=slate.drivers.assign(**filled))
