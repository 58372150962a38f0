"""Between races: score every model walk-forward on your own history, choose what has to be chosen, and save it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab import data, regimes
from dfslab.data import files
from dfslab.errors import as_day
from dfslab.ownership import (
    CalibrationReport,
    HybridOwnershipEstimator,
    Prior,
    calibration_report,
    score_races,
    walk_forward,
)
from dfslab.race import FinishModel, FinishRecord, finish_record, forecast_races, report_card
from dfslab.regimes import TuningResult
from dfslab.workflow._as_of import fill_history, fill_slate
from dfslab.workflow._cache import cached
from dfslab.workflow._models import save_model
from dfslab.workflow._race_day import RaceDay, open_race, stream
from dfslab.workflow._verbs import past_contests, simulate_race

SCORED_SHARE = 1 / 3
"""Of the history, from its end, that is forecast and scored when no date is given."""


@dataclass(frozen=True)
class Tuned:
    """What tuning found: tables by title, sentences, and the file that keeps it (None: nothing to keep)."""

    tables: dict[str, pd.DataFrame]
    notes: tuple[str, ...]
    path: Path | None = None


def tune_ownership(
    data_dir, *, series="cup", learn=0, last=None, figures=None, seed=1, progress=lambda line: None
) -> Tuned:
    """Forecast every past contest from earlier ones, score it, and save the pools fitted on all of them.

    Reports of later races use the saved pools; earlier ones fit their own on the contests before them.

    Parameters
    ----------
    learn : the number of earliest contests that are only learned from
    last : score only so many of the latest contests; default all
    figures : a file with cold-start figures to use in place of the shipped ones; then nothing is saved
    """
    left_out = _left_out(data_dir, series, seed, progress)
    history = _past_contests(data_dir, series, seed)
    contests = history["contest_id"].nunique()
    if contests < learn + 3:
        if left_out:
            return Tuned(left_out, (LEFT_OUT,))
        raise data.InputError(
            f"{data_dir}: {contests} contests in history/ownership.csv, {learn + 3} needed; run dfslab ingest"
        )
    progress(f"ownership: {contests} contests, each forecast from earlier ones")
    shipped = None if figures is None else files.read_json(Path(figures))
    prior = None if shipped is None else Prior.from_dict(shipped.get("neutral", shipped))
    fitted = HybridOwnershipEstimator(prior=prior).fit(history)
    walk = walk_forward(history, (fitted,), first=learn, seed=seed)
    walk = walk if last is None else walk.last(last)
    path = None
    if figures is None:
        path = save_model(data_dir, "ownership", fitted.to_dict(), history["date"].max())
    tables = {"scores": walk.table(), "bands": walk.bands(), "what the hybrid gains": walk.gains()}
    return Tuned(tables | left_out, (SCORED, *([LEFT_OUT] if left_out else []), *walk.notes), path)


SCORED = (
    "Errors, CRPS, widths and interval scores in points of ownership; ± one standard error over contests; gains are "
    "paired by contest, positive where the hybrid is better."
)


LEFT_OUT = (
    "Every race is forecast as a new user would, without past contests, by figures fitted on the other races alone; "
    "form, rating and the race model know earlier days only. Known drivers are the popular ones: their errors compare "
    "with each other, not with those over all drivers."
)


def _left_out(data_dir, series, seed, progress) -> dict[str, pd.DataFrame]:
    """Return the table of real contests whose race was left out; empty without contests of known ownership."""
    if not list(Path(data_dir).glob("contests_*/ownership_partial.csv")):
        return {}
    progress("ownership: real contests, each race forecast without it")
    scores = score_races(known_contests(data_dir, series, seed), seed=seed)
    return {"cold start on real contests, each race left out": scores.table()}


KNOWN_SCENARIOS = 10_000
"""Simulated races behind what is known before a race whose contests are scored."""


def known_contests(data_dir, series: str = "cup", seed: int = 1) -> pd.DataFrame:
    """Return real contests of known or partly known ownership, with what could be known before each.

    They are those of `contests_*/ownership_partial.csv` whose race has a folder; form, rating and simulated races come
    from the history before the race's day. The frame is what `ownership.score_races` reads; empty without contests.
    """
    partial = data.history(data_dir, series=series).partial.dropna(subset="race_id")
    parts = [_before_race(open_race(race_id, data_dir, seed), rows) for race_id, rows in partial.groupby("race_id")]
    return pd.concat(parts, ignore_index=True) if parts else partial


def _before_race(day: RaceDay, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the contests of one race in the drivers of its slate, with every column known before it."""
    known = fill_slate(day.slate, simulate_race(day, KNOWN_SCENARIOS)).drivers.assign(
        projected_points=day.slate.column("projected_points"), track_type=day.race.track_type
    )
    known, contests = known[~day.slate.out].drop(columns="salary"), {c.contest_id: c for c in day.contests}
    rows = rows.drop(columns=rows.columns.intersection(known.columns).drop("driver")).merge(known, on="driver")
    played = rows["contest_id"].astype(str).map(contests)
    kind = played.map(lambda contest: contest.kind, na_action="ignore").fillna(rows["kind"])
    limit = played.map(lambda contest: contest.max_entries_per_user, na_action="ignore")
    return rows.assign(kind=kind, max_entries_per_user=limit.astype(float))


def _past_contests(data_dir, series, seed) -> pd.DataFrame:
    """Return past contests with what was known before each, where there are results to know it from."""
    if not (Path(data_dir) / "history" / "results.csv").exists():
        return data.history(data_dir, series=series, without_races=True).ownership
    return fill_history(data.history(data_dir, series=series), stream(seed, "past contests"))


def check_finishes(
    history, *, since=None, until=None, seed=1, n_scenarios=20_000, lent=None, progress=lambda line: None
) -> FinishRecord:
    """Forecast the finishing order of past races from earlier ones, beside attrition on driver and start alone.

    Coefficients are refitted every month, records of drivers before every race; races with odds have the market, too.

    Parameters
    ----------
    history : see `data.history`
    since, until : first and last day scored; without `since` the last third of the history
    lent : results and races of another series, from which newcomers borrow, see `lent_history`
    """
    since, until = _since(history, since or None), as_day(until, "until") if until else None
    progress(f"race: finishing orders from {since:%Y-%m-%d}, each forecast from earlier races")
    odds = history.odds if len(history.odds) else None
    return cached(_record, history.results, history.races, since, until, odds, lent, int(n_scenarios), int(seed))


def _record(results, races, since, until, odds, lent, n_scenarios, seed) -> FinishRecord:
    return finish_record(results, races, since, until, odds=odds, others=lent, n_scenarios=n_scenarios, seed=seed)


SCORED_SEASONS = 4.5
"""Seasons before the day that are scored when no `since` is given: simulating them takes under a minute."""
LEARNED_RACES = 40
"""Races at the beginning of the history that are never scored: a model of less would be no test."""


def tune_thresholds(
    day,
    *,
    grid=None,
    since=None,
    until=None,
    seed=1,
    n_scenarios=500,
    progress=lambda line: None,
    **choices,
) -> TuningResult:
    """Choose the regime thresholds on past races that their scenarios had not seen; nothing is saved.

    Past races are simulated once and kept by content, half a season at a time, so that another grid, another day or a
    new race takes seconds.

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
    grid = {name: values for name, values in (grid or {}).items() if len(values)} or None
    results, races = history.results, history.races
    dates = pd.to_datetime(races["date"])
    if until not in (None, ""):
        races = races[dates < as_day(until, "until")]
        results, dates = results[results["race_id"].isin(races["race_id"])], dates[races.index]
    since = _first_scored(dates) if since in (None, "") else as_day(since, "since")
    progress(f"regimes: races from {since:%Y-%m-%d}, each simulated by a model that had not seen it")
    drawn = _simulated_past(results, races, since, int(n_scenarios), int(seed))
    conditions = cached(_past_conditions, results, races)
    progress(f"regimes: {len(drawn)} races simulated; choosing the thresholds")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    return regimes.tune_thresholds(
        drawn, results, races, conditions, rng=rng, grid=grid, since=since, until=until or None, **choices
    )


def _first_scored(dates: pd.Series) -> pd.Timestamp:
    """Return the first day to score: that of the last seasons that leaves enough races before it."""
    dates = dates.sort_values()
    if len(dates) <= LEARNED_RACES:
        raise data.InputError(
            f"history/races.csv holds {len(dates)} races of this series before that day; {LEARNED_RACES} are only "
            "learned from, and two seasons are scored: run dfslab fetch for earlier seasons"
        )
    return max(dates.iloc[LEARNED_RACES], dates.iloc[-1] - pd.Timedelta(days=365.25 * SCORED_SEASONS))


def _simulated_past(results, races, since, n_scenarios: int, seed: int) -> dict:
    """Return every race from `since` on as simulated before it, by race_id; no race depends on a later half-season."""
    dates = pd.to_datetime(races["date"])
    half, drawn = dates.dt.year * 2 + (dates.dt.month > 6), {}
    for number in sorted(half[dates >= since].unique().tolist()):
        seen = races[half <= number]
        first = max(since, dates[half == number].min())
        known = results[results["race_id"].isin(seen["race_id"])]
        drawn |= cached(_simulated_half, known, seen, first, n_scenarios, (seed, number))
    return drawn


def _simulated_half(results, races, since, n_scenarios: int, seed: tuple[int, int]) -> dict:
    drawn = forecast_races(results, races, since, n_scenarios=n_scenarios, rng=np.random.default_rng(seed))
    return {race_id: regimes.PastRace.of(scenarios) for race_id, scenarios in drawn.items()}


def _past_conditions(results, races) -> pd.DataFrame:
    return regimes.past_conditions(FinishModel.fit(results, races).past_log_worth(), results, races)


def _since(history, since) -> pd.Timestamp:
    """Return the first date to score: as told, or the one that leaves the last part of the history."""
    dates = pd.to_datetime(history.races["date"]).sort_values()
    if dates.empty:
        raise data.InputError("history/races.csv holds no race of this series; run dfslab fetch first")
    told = dates.iloc[int(len(dates) * (1 - SCORED_SHARE))] if since is None else pd.to_datetime(since)
    if not (dates < told).any() or not (dates >= told).any():
        raise data.InputError(
            f"races from {told:%Y-%m-%d}: the history has {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}, races are "
            "needed before and after; choose another date"
        )
    return told


# ---------------------------------------------------------------- how forecasts before a race day turned out

FEWEST_CONTESTS = 3
"""Past contests below which nothing is said about how forecasts turned out."""
CARD_YEARS = 3
"""Years before the race over which the simulator is checked."""
CARD_SCENARIOS = 400
CARD_LEARNS_DAYS = 200
"""Days at the beginning of the history from which the simulator only learns."""


def check_ownership(day: RaceDay) -> CalibrationReport:
    """Forecast every past contest from the contests before it, and report how that went (empty: too few)."""
    past = past_contests(day)
    contests = past["contest_id"].nunique()
    if contests < FEWEST_CONTESTS:
        return CalibrationReport.empty(f"{contests} past contests are too few to tell how forecasts turn out.")
    return cached(_calibration, past, HybridOwnershipEstimator(day.slate.rules), day.seed)


def _calibration(past, estimator, seed) -> CalibrationReport:
    return calibration_report(walk_forward(past, (estimator,), seed=seed))


def check_simulator(day: RaceDay) -> pd.DataFrame:
    """Forecast the races of this track type of the last years, each by a model that had not seen it, and compare."""
    history, race = day.history, day.race
    learned = history.races["date"].min() + pd.Timedelta(days=CARD_LEARNS_DAYS)
    since = max(race.date - pd.DateOffset(years=CARD_YEARS), learned)
    recent, same = history.races["date"] >= since, history.races["track_type"] == race.track_type
    if not (recent & same).any():
        return pd.DataFrame()
    races = history.races[~recent | same]
    results = history.results[history.results["race_id"].isin(races["race_id"])]
    return cached(_card, results, races, history.results, history.races, since, race.track_type, day.seed)


def _card(results, races, all_results, all_races, since, track_type, seed) -> pd.DataFrame:
    drawn_rng, card_rng = stream(seed, "past races").spawn(2)
    drawn = forecast_races(results, races, since, n_scenarios=CARD_SCENARIOS, rng=drawn_rng, months=12)
    card = report_card(drawn, all_results, all_races, card_rng)
    return card[card["track_type"] == track_type].reset_index(drop=True)


def standardised(card: pd.DataFrame) -> pd.DataFrame:
    """Return simulated less real of each measure in standard errors of the difference, a row a measure.

    The error of points is no fault but a merit where it is below climatology's, so it is left to the table.
    """
    if card.empty:
        return pd.DataFrame({"difference": [], "se": []})
    card = card[(card["difference_se"] > 0) & ~card["measure"].str.startswith("CRPS")].set_index("measure")
    return pd.DataFrame({"difference": card["difference"] / card["difference_se"], "se": 1.0})
