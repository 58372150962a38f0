"""Past races as they were simulated before them, and past contests with what was known before each."""

import pandas as pd

from dfslab.ownership import simulated_columns
from dfslab.race import Scenarios, forecast_races
from dfslab.rules import DRAFTKINGS_NASCAR
from dfslab.workflow._as_of import known_before
from dfslab.workflow._cache import cached_walk
from dfslab.workflow._race_day import stream

PAST_SCENARIOS = 500
"""Simulated races behind what is said of a past race."""


def past_races(results, races, wanted, seed: int, n_scenarios: int = PAST_SCENARIOS) -> dict[str, Scenarios]:
    """Return the races `wanted` (race_ids) as simulated before each, by race_id; each is simulated once and kept.

    It rests on the rows of earlier races and on its own entries, so later rows leave it as it is.
    """
    order = races.sort_values("date", kind="stable")
    order = order[order["race_id"].isin(results["race_id"])]
    wanted = set(wanted) & set(order["race_id"][order["date"] > order["date"].min()])
    hashed = (pd.util.hash_pandas_object(frame, index=False).groupby(frame["race_id"]) for frame in (results, races))
    entries, facts = (groups.agg(tuple) for groups in hashed)

    def simulate(kept):
        asked = wanted - set(kept)
        since, others = order["date"][order["race_id"].isin(asked)].min(), set(order["race_id"]) - asked
        rng = stream(seed, "past races")
        return forecast_races(results, order, since, n_scenarios=n_scenarios, rng=rng, skip=others)

    items = {race_id: (entries[race_id], facts[race_id]) for race_id in order["race_id"]}
    columns = tuple(results.columns), tuple(races.columns)
    return cached_walk(simulate, items, "past races", columns, seed, n_scenarios, wanted=wanted)


def fill_history(history, seed: int) -> pd.DataFrame:
    """Return the ownership history with projected_points, form and rating filled where they are missing.

    Each contest gets what was known on the day before it: form and rating from earlier rows, projected points as the
    means of `past_races`. Points a user or a vendor had projected stay; `model_points` and `model_sd` are always the
    simulated mean and standard deviation, where there are some.
    """
    past, results = history.ownership, history.results
    if "race_id" not in past or past.empty or results.empty:
        return past
    drawn = past_races(results, history.races, past["race_id"], seed)
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
