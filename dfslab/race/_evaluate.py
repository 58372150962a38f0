"""Walk forward through history, and a report card of the simulator by track type on races it had not seen."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from dfslab import metrics
from dfslab.errors import UserError
from dfslab.race._finish import Course, working_course
from dfslab.race._form import KNOWN
from dfslab.race._scenarios import Scenarios
from dfslab.race._simulator import RaceModel
from dfslab.race._tracks import USUAL_MILES
from dfslab.regimes import race_features
from dfslab.slate import Race


def forecast_races(results, races, since, *, n_scenarios=1000, rng, months=6, only=None) -> dict[str, Scenarios]:
    """Return scenarios of every race from the date `since`, each by a model that had not seen it.

    Models are refitted every `months` on the races before, shrunk to the shipped figures as a user's are; records of
    drivers are always up to date. `only` are the race_ids asked for; left out, all. A race's scenarios depend on the
    races before it alone, neither on `since` nor on `only`.
    """
    course, seed = working_course(results, races), int(rng.integers(2**63))
    numbers = {race_id: k for k, race_id in enumerate(_by_date(races)["race_id"])}
    drawn = {}
    for row, entry, model in walk_forward(course, results, races, since, None, months, only=only):
        stream = np.random.default_rng((seed, numbers[row.race_id]))
        drawn[row.race_id] = model.simulate(entry, past_race(row), n_scenarios, stream)
    return drawn


def walk_forward(course: Course, results, races, since, until, months, odds=None, only=None) -> Iterator[tuple]:
    """Yield every race from `since` to `until`: its row of `races`, its entry list, the model that forecasts it.

    A model is that of the first of its block of `months`; before the second block, of the race itself. `odds` are
    prices of past races, see `RaceModel.fit`; `only` are race_ids to stop at.
    """
    races = _by_date(races)
    wanted = races[races["date"].between(pd.to_datetime(since), pd.to_datetime(until or races["date"].max()))]
    if wanted.empty or not (races["date"] < wanted["date"].iloc[0]).any():
        raise ValueError(f"races: none from {since} with a race before it; choose another day")
    block = (races["date"].dt.year * 12 + races["date"].dt.month - 1) // months
    first = races.groupby(block)["date"].transform("min")
    first, fitted = first.where(first > races["date"].min(), races["date"]), None
    for row in (wanted if only is None else wanted[wanted["race_id"].isin(only)]).itertuples():
        if first[row.Index] != fitted:
            fitted = first[row.Index]
            seen = races[races["date"] < fitted]
            past, prices = (None if t is None else t[t["race_id"].isin(seen["race_id"])] for t in (results, odds))
            finish = course.model(course.rows_before(fitted))
            model = RaceModel.fit(past, seen, odds=prices, finish=finish)
            model = replace(model, finish=replace(model.finish, table=course.table))
        entry = results.loc[results["race_id"] == row.race_id]
        yield row, entry[[c for c in KNOWN if c in entry]].reset_index(drop=True), model


def _by_date(races: pd.DataFrame) -> pd.DataFrame:
    return races.assign(date=pd.to_datetime(races["date"])).sort_values("date", kind="stable", ignore_index=True)


def past_race(row) -> Race:
    """Return a past race; where history does not say, a lap is as long as usual and the distance what was run."""
    facts = {name: value for name, value in row._asdict().items() if not pd.isna(value)}
    laps = facts.get("sched_laps", facts.get("race_laps"))
    if laps is None:
        where = f"history/races.csv: race {row.race_id}"
        raise UserError(f"{where} has neither sched_laps nor race_laps; fill in one of them")
    length = facts.get("track_length_mi", USUAL_MILES.get(row.track_type))
    return Race(row.race_id, row.date, row.track, row.track_type, length, int(laps), facts.get("series", "cup"))


# ---------------------------------------------------------------- the simulator beside what happened

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def simulator_record(scenarios: dict, results: pd.DataFrame, races: pd.DataFrame, rng) -> pd.DataFrame:
    """Return how the simulator compares with what happened, over the races of `scenarios`.

    Parameters
    ----------
    scenarios : `Scenarios` by race_id, forecast before each race (see `forecast_races`)
    results, races : history that holds these races and those before them

    Returns
    -------
    frame measure, races, real, simulated, difference, real_se, difference_se; the errors are over races.
    Measures: mean and sd of points, leader's share and how often it stays below the simulated 10/25/50/75/90 %
    quantiles, top-two share, drop-outs, crash drop-outs, start-finish correlation, laps led-fastest laps correlation,
    mean and sd of the probability integral transform of finish and of points (uniform: .5 and .289), share of points
    inside the 80 % bands, CRPS of points, simulated, against climatology by start position, real (lower is better).
    """
    facts = _by_date(races).drop_duplicates("race_id").set_index("race_id")[["date", "track_type"]]
    known = results.drop(columns=facts.columns, errors="ignore").join(facts, on="race_id")
    asked = known[known["race_id"].isin(list(scenarios))].groupby("race_id")
    pairs = [_compare(scenarios[race_id], real.set_index("driver"), known, rng) for race_id, real in asked]
    table = pd.concat(pd.DataFrame(one, ["real", "simulated"]).T for one in pairs).rename_axis("measure").dropna()
    groups = table.assign(difference=table["simulated"] - table["real"]).groupby("measure", sort=False)
    errors = groups[["real", "difference"]].sem().add_suffix("_se")
    return groups.size().to_frame("races").join(groups.mean()).join(errors).reset_index()


def _compare(drawn: Scenarios, real: pd.DataFrame, known: pd.DataFrame, rng) -> dict[str, tuple[float, float]]:
    """Return real and simulated value of every measure in one race; `real` are its results by driver."""
    real = real.reindex(drawn.drivers)
    came = _as_scenario(drawn, real)
    shapes = zip(_shapes(came).items(), _shapes(drawn).values(), strict=True)
    pairs = {name: (a[0], drawn.weight @ np.nan_to_num(b)) for (name, a), b in shapes}
    share, limits = came.leader_share()[0], drawn.quantile(QUANTILES, drawn.leader_share())
    pairs |= {f"leader's share under its {q:.0%} quantile": (float(share <= limit), q) for q, limit in limits.items()}
    picked = drawn.take(rng.choice(len(drawn), len(drawn), p=drawn.weight))  # metrics know draws, not weights
    for what in ("finish", "points"):
        place = metrics.pit(getattr(picked, what), getattr(came, what)[0], rng)
        pairs |= {f"PIT mean of {what}": (place.mean(), 0.5), f"PIT sd of {what}": (place.std(), 1.0 / np.sqrt(12.0))}
    points = came.points[0]
    if not np.isnan(points).any():
        low, high = drawn.quantile([0.1, 0.9]).to_numpy().T
        pairs["points inside 80 % bands"] = (metrics.covered(low, high, points).mean(), 0.8)
        pairs["CRPS of points"] = (_climate(known, real), metrics.crps(picked.points, points).mean())
    return pairs


def _as_scenario(drawn: Scenarios, real: pd.DataFrame) -> Scenarios:
    """Return a race as it came as the only scenario, in the drivers of `drawn`; unknown columns are NaN."""
    names = {"finish": "finish", "laps_led": "laps_led", "fastest_laps": "fastest_laps", "points": "dk_points"}
    names |= {"start": "start", "dropped_out": "dnf", "crashed": "dnf_crash"}
    columns = real.reindex(columns=list(names.values())).to_numpy(float).T
    return replace(drawn.take([0]), **{name: column[None] for name, column in zip(names, columns, strict=True)})


def _shapes(races: Scenarios) -> dict[str, np.ndarray]:
    """Return what is compared of each scenario, (S,) each."""
    features = race_features(races)
    shapes = {"points mean": races.points.mean(axis=1), "points sd": races.points.std(axis=1)}
    shapes |= {"drop-outs": races.dropped_out.sum(axis=1), "crash drop-outs": races.crashed.sum(axis=1)}
    led, fastest = (pd.DataFrame(laps.T) for laps in (races.laps_led, races.fastest_laps))
    shapes["led-fastest correlation"] = led.corrwith(fastest).to_numpy()
    return shapes | {k: features[k].to_numpy() for k in ("leader_share", "top2_share", "start_finish_correlation")}


def _climate(known: pd.DataFrame, real: pd.DataFrame) -> float:
    """Return the mean CRPS of points by start (± 1) at earlier races, superspeedways apart: what needs no model."""
    fast = known["track_type"] == "superspeedway"
    past = known[(known["date"] < real["date"].iloc[0]) & (fast == (real["track_type"].iloc[0] == "superspeedway"))]
    past, scores = past[["start", "dk_points"]].dropna().to_numpy(float), []
    for start, points in real[["start", "dk_points"]].to_numpy(float):
        near = past[np.abs(past[:, 0] - start) <= 1, 1]
        scores.append(metrics.crps(near[:, None], [points])[0] if len(near) > 1 else np.nan)
    return float(pd.Series(scores).mean())
