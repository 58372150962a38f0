"""Walk forward through history, and a report card of the simulator by track type on races it had not seen."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from dfslab import metrics
from dfslab.errors import UserError
from dfslab.race._calibrate import refit_mechanics
from dfslab.race._finish import Course, working_course
from dfslab.race._form import KNOWN, history_table
from dfslab.race._scenarios import Scenarios
from dfslab.race._simulator import RaceModel
from dfslab.race._tracks import USUAL_MILES
from dfslab.regimes import race_features
from dfslab.slate import Race


def forecast_races(results, races, since, *, n_scenarios=1000, rng, months=6, others=None) -> dict[str, Scenarios]:
    """Return scenarios of every race from the date `since`, each by a model that had not seen it.

    Coefficients are refitted every `months` on the races before, and the figures of the mechanics are shrunk to a
    prior made of the same races, not to the shipped one; records of drivers are always up to date. `others` are results
    and races of other series.
    """
    course = working_course(history_table(results, races, others), others)
    walk = walk_forward(course, results, races, since, None, months, refit_mechanics)
    return {row.race_id: model.simulate(entry, past_race(row), n_scenarios, rng) for row, entry, model in walk}


def walk_forward(course: Course, results, races, since, until, months, prior=None, odds=None) -> Iterator[tuple]:
    """Yield every race from `since` to `until`: its row of `races`, its entry list, the model that forecasts it.

    `prior` makes the figures to shrink the mechanics to from results, races and log-worths; None are those shipped.
    `odds` are prices of past races, see `RaceModel.fit`.
    """
    races = races.assign(date=pd.to_datetime(races["date"])).sort_values("date", kind="stable")
    wanted = races[races["date"].between(pd.to_datetime(since), pd.to_datetime(until or races["date"].max()))]
    if wanted.empty or not (races["date"] < wanted["date"].iloc[0]).any():
        raise ValueError(f"races: none from {since} with a race before it; choose another day")
    block = (wanted["date"].dt.year * 12 + wanted["date"].dt.month - 1) // months
    for _, group in wanted.groupby(block, sort=True):
        model = _model_before(course, results, races, group["date"].iloc[0], prior, odds)
        for row in group.itertuples():
            entry = results.loc[results["race_id"] == row.race_id]
            yield row, entry[[c for c in KNOWN if c in entry]].reset_index(drop=True), model


def _model_before(course: Course, results, races, date, prior, odds) -> RaceModel:
    seen = races[races["date"] < date]
    past = results[results["race_id"].isin(seen["race_id"])]
    finish = course.model(course.rows_before(date))
    figures = None if prior is None else prior(past, seen, finish.past_log_worth())
    prices = None if odds is None else odds[odds["race_id"].isin(seen["race_id"])]
    model = RaceModel.around(finish, past, seen, prior=figures, odds=prices)
    return replace(model, finish=replace(finish, table=course.table))


def past_race(row) -> Race:
    """Return a past race; where history does not say, a lap is as long as usual and the distance what was run."""
    facts = {name: value for name, value in row._asdict().items() if not pd.isna(value)}
    laps = facts.get("sched_laps", facts.get("race_laps"))
    if laps is None:
        raise UserError(
            f"history/races.csv: race {row.race_id} has neither sched_laps nor race_laps; fill in one of them"
        )
    length = facts.get("track_length_mi", USUAL_MILES.get(row.track_type))
    return Race(row.race_id, row.date, row.track, row.track_type, length, int(laps), facts.get("series", "cup"))


# ---------------------------------------------------------------- report card

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
    .5 and .289), share of points inside the 80 % bands, CRPS of points, simulated, against climatology by start
    position, real (lower is better); how finishes and points of teammates, grid neighbours and favourites go together.
    """
    climate = _Climate(results, races)
    pairs = [_compare(scenarios[r], g, r, climate, rng) for r, g in results.groupby("race_id") if r in scenarios]
    wide = pd.DataFrame([row for rows in pairs for row in rows]).dropna()
    long = wide.melt(["case", "measure"], ["real", "simulated"], var_name="model")
    kind = races.drop_duplicates("race_id").set_index("race_id")["track_type"]
    long = long.assign(track_type=long["case"].map(kind))
    return _card(pd.concat([long, long.assign(track_type="all")]))


def _card(scores: pd.DataFrame) -> pd.DataFrame:
    """Return real and simulated side by side from a tidy frame with the models real and simulated."""
    by = ["track_type", "measure"]
    mean = metrics.summarise(scores, [*by, "model"]).set_index([*by, "model"]).unstack("model")
    gap = metrics.compare(scores, "real", by).set_index(by)
    columns = {
        "races": gap["n"],
        "real": mean["mean", "real"],
        "real_se": mean["se", "real"],
        "simulated": mean["mean", "simulated"],
        "difference": gap["difference"],
        "difference_se": gap["se"],
    }
    return pd.DataFrame(columns).reindex(gap.index).reset_index()


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
    pairs |= _companions(scenarios, real)
    if not np.isnan(points).any():
        low, high = scenarios.quantile([0.1, 0.9]).to_numpy().T
        pairs["points inside 80 % bands"] = (metrics.covered(low, high, points).mean(), 0.8)
        pairs["CRPS of points"] = (climate.crps(race_id, real), _weighted_crps(scenarios, points, rng))
    return [{"case": race_id, "measure": k, "real": a, "simulated": b} for k, (a, b) in pairs.items()]


FAVOURITES = 5
"""Drivers of the best mean finish who count as favourites."""


def _companions(scenarios, real) -> dict:
    """Return how finishes and points of two drivers go together beyond what was expected of each.

    Real is the mean product of both drivers' standardised surprises, simulated their mean correlation; over pairs of
    teammates, of neighbours on the grid, and of favourites.
    """
    team, start = real["team"].astype(object).to_numpy() if "team" in real else None, real["start"].to_numpy(float)
    best = scenarios.mean("finish").rank(method="first").to_numpy() <= FAVOURITES
    pairs = {"neighbours": np.abs(start[:, None] - start) == 1, "favourites": best[:, None] & best}
    if team is not None:
        pairs["teammates"] = (team[:, None] == team) & pd.notna(team)
    out = {}
    for what, actual in (("finish", real["finish"]), ("points", real["dk_points"])):
        drawn = getattr(scenarios, what)
        surprise = (actual.to_numpy(float) - scenarios.mean(what)) / scenarios.spread(what)
        both = np.outer(surprise, surprise)
        scaled = (drawn - scenarios.mean(what).to_numpy()) / scenarios.spread(what).to_numpy()
        expected = (scaled * scenarios.weight[:, None]).T @ scaled
        for kind, mask in pairs.items():
            mask = np.triu(mask, 1)
            if mask.any():
                out[f"{what} correlation of {kind}"] = (both[mask].mean(), expected[mask].mean())
    return out


def _quantile_hits(share, drawn, weight) -> dict:
    limits = np.quantile(drawn, QUANTILES, weights=weight, method="inverted_cdf")
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
