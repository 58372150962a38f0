"""Between races: score every model walk-forward on your own history, choose what has to be chosen, and remember what
was promised."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab import data, regimes
from dfslab.data import files
from dfslab.errors import InputError, as_day
from dfslab.ownership import HybridOwnershipEstimator, OwnershipRecord, Prior, score_cold_start, walk_forward
from dfslab.race import FinishModel, FinishRecord, finish_record
from dfslab.regimes import TuningResult
from dfslab.workflow._cache import cached, cached_walk
from dfslab.workflow._past import fill_history, fill_slate, past_races
from dfslab.workflow._promises import RECORD, read_record
from dfslab.workflow._race_day import RaceDay, lent_history, open_race
from dfslab.workflow._verbs import simulate_race

SCORED_SHARE = 1 / 3
"""Of the history, from its end, that is forecast and scored when no date is given."""


FEWEST_CONTESTS = 3
"""Past contests below which nothing is shown of how forecasts turned out."""


def remember(data_dir, promises: list[dict]) -> Path:
    """Put rows of `promise_of` into the user's record, in place of earlier rows of their contests, in order of date.

    A damaged record stays as it is: the user may repair it.
    """
    path, (rows, damaged) = Path(data_dir) / RECORD, read_record(data_dir)
    if not damaged and promises:
        known = {(row["race_id"], row["contest_id"]): row for row in (*rows, *promises)}
        rows = sorted(known.values(), key=lambda row: (row["date"], row["race_id"], row["contest_id"]))
        files.write_text(path, json.dumps(rows, indent=1) + "\n")
    return path


def tune_ownership(
    where, *, series="cup", since=None, until=None, learn=0, last=None, figures=None, estimator=None, seed=1
) -> OwnershipRecord | None:
    """Forecast every past contest from earlier ones and score it; nothing is saved. None: there are too few.

    Parameters
    ----------
    where : a `RaceDay`, for what was known before it, or a data folder
    since, until : first and last day scored; contests on `until` or later are not looked at
    learn, last : the earliest contests that are only learned from, and how many of the latest are scored; default all
    figures : a file with cold-start figures to use in place of the shipped ones
    estimator : the pool to score; default the one that ships
    """
    day = where if isinstance(where, RaceDay) else None
    history = day.history if day else data.history(where, until or None, series, without_races=True)
    past = cached(fill_history, history, int(seed))
    contests, needed = past["contest_id"].nunique(), learn + FEWEST_CONTESTS
    if contests < needed and day is None and history.partial.empty:
        problem = f"{contests} contests in history/ownership.csv, {needed} needed; run dfslab ingest"
        raise InputError(f"{where}: {problem}")
    if contests < needed:
        return None
    estimator = estimator or HybridOwnershipEstimator()
    if figures:
        shipped = files.read_json(Path(figures))
        estimator = replace(estimator, prior=Prior(**shipped.get("neutral", shipped)))
    record = walk_forward(past, estimator, seed=int(seed), keep=cached_walk)
    return record.late(as_day(since, "since") if since else None, last, int(learn))


def cold_start(data_dir, series: str = "cup", seed: int = 1) -> OwnershipRecord | None:
    """Score the forecasts of `known_contests`, each as a new user's whose figures never saw its race; None without."""
    contests = known_contests(data_dir, series, seed)
    return None if contests.empty else cached(score_cold_start, contests, seed=int(seed))


KNOWN_SCENARIOS = 10_000
"""Simulated races behind what is known before a race whose contests are scored."""


def known_contests(data_dir, series: str = "cup", seed: int = 1) -> pd.DataFrame:
    """Return real contests of known or partly known ownership, with what could be known before each.

    They are those of `contests_*/ownership_partial.csv` whose race has a folder; form, rating and simulated races come
    from the history before the race's day. The frame is what `ownership.score_cold_start` reads; it may be empty.
    """
    partial = data.history(data_dir, series=series, without_races=True).partial.dropna(subset="race_id")
    parts = [_before_race(open_race(race_id, data_dir, seed), rows) for race_id, rows in partial.groupby("race_id")]
    return pd.concat(parts, ignore_index=True) if parts else partial


def _before_race(day: RaceDay, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the contests of one race in the drivers of its slate, with every column known before it."""
    own = {"projected_points": day.slate.column("projected_points"), "track_type": day.race.track_type}
    known = fill_slate(day.slate, simulate_race(day, KNOWN_SCENARIOS)).drivers.assign(**own)
    known, contests = known[~day.slate.out].drop(columns="salary"), {c.contest_id: c for c in day.contests}
    rows = rows.drop(columns=rows.columns.intersection(known.columns).drop("driver")).merge(known, on="driver")
    played = rows["contest_id"].astype(str).map(contests)
    kind = played.map(lambda contest: contest.kind, na_action="ignore").astype(object).fillna(rows["kind"])
    return rows.assign(kind=kind)


def check_finishes(
    history, data_dir=None, *, series="cup", since=None, until=None, seed=1, n_scenarios=20_000
) -> FinishRecord:
    """Forecast the finishing order of past races from earlier ones, beside attrition on driver and start alone.

    Coefficients are refitted every month, records of drivers before every race; races with odds have the market, too.

    Parameters
    ----------
    history : see `data.history`
    data_dir, series : the folder whose Cup races lend newcomers to another series their record; None: nothing is lent
    since, until : first and last day scored; without `since` the last third of the history
    """
    since, until = _since(history, since or None), as_day(until, "until") if until else None
    if until is not None and until < since:
        raise InputError(f"until is {until:%Y-%m-%d}, before since, {since:%Y-%m-%d}; choose other days")
    odds = history.odds if len(history.odds) else None
    lent = None if data_dir is None else lent_history(data_dir, series)
    given = {"odds": odds, "others": lent, "n_scenarios": int(n_scenarios), "seed": int(seed)}
    return cached(finish_record, history.results, history.races, since, until, **given)


SCORED_SEASONS = 4.5
"""Seasons before the day that are scored when no `since` is given: simulating them takes under a minute."""
LEARNED_RACES = 40
"""Races at the beginning of the history that are never scored: a model of less would be no test."""


def tune_thresholds(
    day, *, grid=None, since=None, until=None, seed=1, n_scenarios=500, progress=lambda line: None, **choices
) -> TuningResult:
    """Choose the regime thresholds on past races that their scenarios had not seen; nothing is saved.

    Past races are simulated once and kept, so that another grid, another day or a new race takes seconds.

    Parameters
    ----------
    day : a `RaceDay`, whose thresholds are those in use, or a history (`data.history`); its results and races on
        `until` or later are not looked at, neither to fit nor to score
    grid : threshold → values to try; without any values the default ones
    since, until, choices : see `regimes.tune_thresholds`; without `since` the last four and a half seasons
    seed, n_scenarios : of the simulated races
    """
    history = day.history if isinstance(day, RaceDay) else day
    choices = {"in_use": day.thresholds, **choices} if isinstance(day, RaceDay) else choices
    results, races = history.results, history.races
    dates = pd.to_datetime(races["date"])
    if until not in (None, ""):
        races = races[dates < as_day(until, "until")]
        results, dates = results[results["race_id"].isin(races["race_id"])], dates[races.index]
    since = _first_scored(dates) if since in (None, "") else as_day(since, "since")
    progress(f"regimes: races from {since:%Y-%m-%d}, each simulated by a model that had not seen it")
    drawn = past_races(results, races, races["race_id"][dates >= since], int(seed), int(n_scenarios))
    worth = cached(FinishModel.fit, results, races).past_log_worth()
    conditions = regimes.past_conditions(worth, results, races)
    progress(f"regimes: {len(drawn)} races simulated; choosing the thresholds")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    given = {"rng": rng, "grid": grid, "since": since, "until": until or None}
    return regimes.tune_thresholds(drawn, results, races, conditions, **given, **choices)


def _first_scored(dates: pd.Series) -> pd.Timestamp:
    """Return the first day to score: that of the last seasons that leaves enough races before it."""
    dates = dates.sort_values()
    if len(dates) <= LEARNED_RACES:
        needed = f"{LEARNED_RACES} are only learned from, and two seasons are scored"
        problem = f"history/races.csv holds {len(dates)} races of this series before that day; {needed}"
        raise InputError(f"{problem}: run dfslab fetch for earlier seasons")
    return max(dates.iloc[LEARNED_RACES], dates.iloc[-1] - pd.Timedelta(days=365.25 * SCORED_SEASONS))


def _since(history, since) -> pd.Timestamp:
    """Return the first date to score: as given, or the one that leaves the last part of the history."""
    dates = pd.to_datetime(history.races["date"]).sort_values()
    if dates.empty:
        raise InputError("history/races.csv holds no race of this series; run dfslab fetch first")
    first = dates.iloc[int(len(dates) * (1 - SCORED_SHARE))] if since is None else as_day(since, "since")
    if not (dates < first).any() or not (dates >= first).any():
        have = f"the history has {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}"
        raise InputError(f"races from {first:%Y-%m-%d}: {have}, races are needed before and after; choose another date")
    return first
