"""Is the simulator right? Walk forward through history, and a report card by track type on races it had not seen."""

from dataclasses import replace

import numpy as np
import pandas as pd

from dfslab import metrics
from dfslab.errors import UserError
from dfslab.race._calibrate import refit_mechanics
from dfslab.race._finish import FinishModel, walk_forward_finish
from dfslab.race._form import history_table
from dfslab.race._simulator import RaceModel, Scenarios
from dfslab.regimes import race_features
from dfslab.slate import Race

__all__ = ["forecast_races", "report_card", "score_simulator"]

KNOWN = ("driver", "car", "team", "manufacturer", "start", "practice_best_rank")
"""Columns of results that were known before the race."""


def forecast_races(results, races, since, *, n_scenarios=1000, rng, months=6) -> dict[str, Scenarios]:
    """Return scenarios of every race from the date `since`, each by a model that had not seen it.

    Coefficients are refitted every `months` on the races before, and the figures of the mechanics are shrunk to a
    prior made of the same races, not to the shipped one; records of drivers are always up to date.
    """
    date = pd.to_datetime(races["date"])
    later = races[date >= pd.to_datetime(since)].assign(date=date).sort_values("date", kind="stable")
    if later.empty or not (date < later["date"].iloc[0]).any():
        raise ValueError(f"races: none from {since} with a race before it; choose another day")
    table = history_table(results, races)
    block = (later["date"].dt.year * 12 + later["date"].dt.month - 1) // months
    scenarios = {}
    for _, group in later.groupby(block, sort=True):
        model = _model_before(results, races, group["date"].iloc[0])
        model = replace(model, finish=replace(model.finish, table=table))
        for row in group.itertuples():
            entry = results.loc[results["race_id"] == row.race_id]
            entry = entry[[c for c in KNOWN if c in entry]].reset_index(drop=True)
            scenarios[row.race_id] = model.simulate(entry, _race(row), n_scenarios, rng)
    return scenarios


def _model_before(results, races, date) -> RaceModel:
    seen = races[pd.to_datetime(races["date"]) < date]
    past = results[results["race_id"].isin(seen["race_id"])]
    finish = FinishModel.fit(past, seen)
    return RaceModel.around(finish, past, seen, prior=refit_mechanics(past, seen, finish.past_log_worth()))


def _race(row) -> Race:
    laps = row.race_laps if pd.isna(row.sched_laps) else row.sched_laps
    if pd.isna(laps):
        raise UserError(
            f"history/races.csv: race {row.race_id} has neither sched_laps nor race_laps; fill in one of them"
        )
    return Race(row.race_id, row.date, row.track, row.track_type, row.track_length_mi, int(laps))


def score_simulator(results, races, first_date, last_date=None, *, n_scenarios=20_000, every=1, seed=0) -> pd.DataFrame:
    """Score the finishing orders of `RaceModel.simulate`, beside those of the finish model and of the reference.

    Every race is told as `RaceModel.fit` tells it with the shipped figures as prior, refitted after `every` races.
    Arguments and result as those of `rank.walk_forward_finish`, with the column simulator.
    """
    table, date = history_table(results, races), pd.to_datetime(races["date"])
    facts = {row.race_id: row for row in races.itertuples()}
    fitted = {}

    def simulate(finish, rows, rng):
        race = _race(facts[rows["race_id"].iloc[0]])
        if fitted.get("finish") is not finish:
            seen = races[date < pd.to_datetime(race.date)]
            model = RaceModel.around(finish, results[results["race_id"].isin(seen["race_id"])], seen)
            fitted.update(finish=finish, model=replace(model, finish=replace(finish, table=table)))
        entry = rows[list(KNOWN)].reset_index(drop=True)
        scenarios = fitted["model"].simulate(entry, race, n_scenarios, rng)
        return scenarios.finish, scenarios.weight

    settings = {"n_samples": n_scenarios, "every": every, "seed": seed, "simulate": simulate}
    return walk_forward_finish(results, races, first_date, last_date, **settings)


QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def report_card(scenarios: dict, results: pd.DataFrame, races: pd.DataFrame, rng) -> pd.DataFrame:
    """Return how the simulator compares with what happened, by track type and over all (`all`).

    Parameters
    ----------
    scenarios : `Scenarios` by race_id, told before each race (see `forecast_races`)
    results, races : history that holds these races and those before them

    Returns
    -------
    frame track_type, measure, races, real, real_se, simulated, difference, difference_se; the errors are over races.
    Measures: mean and sd of points, leader's share and how often it stays below the simulated 10/25/50/75/90 %
    quantiles, top-two share, drop-outs, crash drop-outs, cautions, caution laps, start-finish correlation, laps
    led-fastest laps correlation, mean and sd of the probability integral transform of finish and of points (uniform:
    .5 and .289), CRPS of points, simulated, against climatology by start position, real (lower is better).
    """
    climate = _Climate(results, races)
    rows = [_compare(scenarios[r], g, r, climate, rng) for r, g in results.groupby("race_id") if r in scenarios]
    long = pd.DataFrame([row for rows_of_race in rows for row in rows_of_race]).dropna()
    kind = races.drop_duplicates("race_id").set_index("race_id")["track_type"]
    long = long.assign(track_type=long["race_id"].map(kind))
    both = pd.concat([long, long.assign(track_type="all")])
    cards = [_summary(g, *key) for key, g in both.groupby(["track_type", "measure"], sort=False)]
    return pd.DataFrame(cards)


def _summary(group, track_type, measure) -> dict:
    real, real_se = metrics.clustered_mean(group["real"], group["race_id"])
    more, more_se = metrics.paired_difference(group["simulated"], group["real"], group["race_id"])
    return {
        "track_type": track_type,
        "measure": measure,
        "races": len(group),
        "real": real,
        "real_se": real_se,
        "simulated": float(group["simulated"].mean()),
        "difference": more,
        "difference_se": more_se,
    }


def _compare(scenarios: Scenarios, results: pd.DataFrame, race_id: str, climate, rng) -> list[dict]:
    """Return real and simulated value of every measure in one race."""
    real = results.set_index("driver").reindex(scenarios.drivers)
    points, weight = real["dk_points"].to_numpy(float), scenarios.weight
    drawn, told = race_features(scenarios), race_features(results.assign(race_id=race_id))
    pairs = {
        "points mean": (np.mean(points), weight @ scenarios.points.mean(axis=1)),
        "points sd": (np.std(points), weight @ scenarios.points.std(axis=1)),
        "drop-outs": (real["dnf"].sum(), weight @ scenarios.dropped_out.sum(axis=1)),
        "crash drop-outs": (real["dnf_crash"].sum(), weight @ scenarios.crashed.sum(axis=1)),
        "led-fastest correlation": (
            _correlation(real["laps_led"].to_numpy(float)[None], real["fastest_laps"].to_numpy(float)[None])[0],
            weight @ np.nan_to_num(_correlation(scenarios.laps_led, scenarios.fastest_laps)),
        ),
    }
    for name in ("leader_share", "top2_share", "start_finish_correlation"):
        pairs[name] = (told[name].iloc[0], weight @ drawn[name])
    pairs |= _quantile_hits(told["leader_share"].iloc[0], drawn["leader_share"].to_numpy(), weight)
    pairs |= _transforms(scenarios, real, points, rng)
    if not np.isnan(points).any():
        pairs["CRPS of points"] = (climate.crps(race_id, real), _weighted_crps(scenarios, points, rng))
    return [{"race_id": race_id, "measure": k, "real": a, "simulated": b} for k, (a, b) in pairs.items()]


def _quantile_hits(share, drawn, weight) -> dict:
    order = np.argsort(drawn)
    reached = np.cumsum(weight[order])
    limits = drawn[order][np.minimum(np.searchsorted(reached, QUANTILES), len(drawn) - 1)]
    return {f"leader_share below {q:.0%}": (float(share <= x), q) for q, x in zip(QUANTILES, limits, strict=True)}


def _transforms(scenarios, real, points, rng) -> dict:
    picked = _resample(scenarios, rng)
    finish = metrics.pit(scenarios.finish[picked], real["finish"].to_numpy(float), rng)
    values = {"finish": finish, "points": metrics.pit(scenarios.points[picked], points, rng)}
    uniform = 1.0 / np.sqrt(12.0)
    out = {f"PIT mean of {k}": (v.mean(), 0.5) for k, v in values.items()}
    return out | {f"PIT sd of {k}": (v.std(), uniform) for k, v in values.items()}


def _weighted_crps(scenarios, points, rng) -> float:
    return float(metrics.crps(scenarios.points[_resample(scenarios, rng)], points).mean())


def _resample(scenarios, rng) -> np.ndarray:
    """Return scenario numbers drawn by weight, evenly spaced, as many as there are."""
    n = len(scenarios)
    return np.minimum(np.searchsorted(np.cumsum(scenarios.weight), (np.arange(n) + rng.random()) / n), n - 1)


def _correlation(a, b) -> np.ndarray:
    """Return the correlation of each row of two (S, D) arrays; NaN where one is constant."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


class _Climate:
    """Points of earlier races by start position: what one knows without a model."""

    NEAR = 1
    """Starts this many places away count as the same."""

    def __init__(self, results, races):
        facts = races.drop_duplicates("race_id").set_index("race_id")[["date", "track_type"]]
        table = results[["race_id", "start", "dk_points"]].dropna().join(facts, on="race_id")
        self.table = table.assign(date=pd.to_datetime(table["date"]), fast=table["track_type"] == "superspeedway")
        self.facts = facts

    def crps(self, race_id: str, real: pd.DataFrame) -> float:
        """Return the mean CRPS of points by start position at earlier races, superspeedways apart; NaN without any."""
        date, kind = self.facts.loc[race_id, ["date", "track_type"]]
        past = self.table[self.table["date"] < pd.to_datetime(date)]
        past = past[past["fast"] == (kind == "superspeedway")]
        scores = []
        for start, points in real[["start", "dk_points"]].to_numpy(float):
            near = past["dk_points"][(past["start"] - start).abs() <= self.NEAR].to_numpy(float)
            scores.append(metrics.crps(near[:, None], [points])[0] if len(near) > 1 else np.nan)
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")
