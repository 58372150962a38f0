"""After the race: where our entries would have finished in the real field, what they won, what was misjudged.

Everything here looks at results; nothing before the race may import it.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dfslab import data, metrics
from dfslab.contest import simulate_contest
from dfslab.data import match_names
from dfslab.regimes import classify_scenario_regime, race_features

__all__ = ["AfterRace", "Outcome", "after_race", "by_slate", "ownership_errors", "play_real_field", "read_outcome"]


@dataclass(frozen=True)
class Outcome:
    """What happened, in slate rows: `points` (D,), `field` (F, K) the real entries, `ownership` (D,) fractions.

    `results` and `race` are rows of the history, None while it does not hold the race.
    """

    points: np.ndarray
    field: np.ndarray
    ownership: np.ndarray
    results: pd.DataFrame | None
    race: pd.DataFrame | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AfterRace:
    """Frames for the page, all in fractions, dollars and points.

    `entries`: lineup (1 = first chosen), drivers, regime, points, rank, beaten (share of the real field), prize.
    `summary` (a Series): entries, fees, won, mean_beaten, cash, top_1pct, best_rank.
    `drivers`: driver, points, expected, error, place (share of simulated points below), laps_led, expected_laps_led.
    `regime`: regime, probability, happened (bool); empty while the history does not hold the race.
    """

    entries: pd.DataFrame
    summary: pd.Series
    drivers: pd.DataFrame
    regime: pd.DataFrame
    notes: tuple[str, ...] = ()


def read_outcome(inputs) -> Outcome | None:
    """Return what happened in the first contest of a race, or None without standings in its folder.

    Points are those of the standings; drivers nobody rostered take theirs from the history, else 0 with a note.
    """
    slate = inputs.slate
    found = inputs.files.standings
    mine = [s for s in found if s.contest_id == inputs.contest.contest_id] or list(found[:1])
    if not mine:
        return None
    standings, results = mine[0], inputs.files.results
    own, scored = by_slate(standings.ownership, slate), by_slate(standings.points, slate)
    official = np.full(len(slate), np.nan)
    if results is not None:
        official = by_slate(results.frame.set_index("driver")["points"], slate)
    points = np.where(slate.out, 0.0, np.where(np.isnan(scored), official, scored))
    blank = np.isnan(points)
    notes = (f"No points are known for {', '.join(slate.names[blank])}: counted as 0.",) if blank.any() else ()
    race = None if results is None else _race_row(inputs)
    frame = None if results is None else results.frame
    own = np.nan_to_num(own)
    return Outcome(np.nan_to_num(points), standings.lineups(slate), own, frame, race, (*standings.notes, *notes))


def by_slate(values: pd.Series, slate) -> np.ndarray:
    """Return `values` by driver in slate rows, names matched; NaN where there is none."""
    pairs = match_names(values.index, slate.names).pairs
    return values.rename(index=pairs).groupby(level=0).first().reindex(slate.names).to_numpy(float)


def _race_row(inputs) -> pd.DataFrame:
    races = data.history(inputs.data_dir, series=inputs.race.series).races
    here = races["race_id"] == inputs.race.race_id
    return races[here if here.any() else races["date"] == inputs.race.date]


def play_real_field(lineups, outcome: Outcome, contest, rules) -> pd.DataFrame:
    """Return points, rank, beaten and prize of `lineups` entered beside everybody who was in the real contest.

    The contest grows by our entries and pays the same prizes, so that nobody has to be thrown out: a rank is one
    more than the number of entries ahead, ours included. `beaten` is the share of the real field behind, ties half.
    Lineups past the per-user limit do not enter.
    """
    limit = contest.max_entries_per_user or len(lineups)
    lineups = np.asarray(lineups)[:limit]
    larger = replace(contest, entries=max(contest.entries, len(outcome.field) + len(lineups)))
    played = simulate_contest(lineups, outcome.field, outcome.points[None], larger, rules=rules)
    scores = np.round(outcome.points[lineups].sum(axis=1) / rules.tick)
    theirs = np.sort(np.round(outcome.points[outcome.field].sum(axis=1) / rules.tick))
    behind = np.searchsorted(theirs, scores) + np.searchsorted(theirs, scores, side="right")
    return pd.DataFrame(
        {
            "points": scores * rules.tick,
            "rank": played.rank[0],
            "beaten": behind / (2 * len(theirs)),
            "prize": played.payout[0],
        }
    )


def after_race(lab) -> AfterRace | None:
    """Return how the lab's portfolio and forecasts turned out, or None while no standings lie in the race's folder."""
    outcome = read_outcome(lab.inputs)
    if outcome is None:
        return None
    slate, contest = lab.slate, lab.inputs.contest
    entries = play_real_field(lab.portfolio.lineups, outcome, contest, slate.rules)
    chosen = lab.portfolio.lineups[: len(entries)]
    entries.insert(0, "lineup", np.arange(1, len(entries) + 1))
    entries.insert(1, "drivers", [", ".join(slate.names[row]) for row in chosen])
    entries.insert(2, "regime", lab.portfolio.metrics["regime"].to_numpy()[: len(entries)])
    summary = _summary(entries, contest)
    return AfterRace(entries, summary, _drivers(lab, outcome), _regime(lab, outcome), outcome.notes)


def _summary(entries, contest) -> pd.Series:
    top = max(1, int(np.ceil(0.01 * contest.entries)))
    return pd.Series(
        {
            "entries": len(entries),
            "fees": len(entries) * contest.entry_fee,
            "won": entries["prize"].sum(),
            "mean_beaten": entries["beaten"].mean(),
            "cash": (entries["prize"] > 0).mean(),
            "top_1pct": (entries["rank"] <= top).mean(),
            "best_rank": entries["rank"].min(),
        }
    )


def ownership_errors(lab, outcome: Outcome) -> pd.DataFrame:
    """Return forecast against fact by driver, largest errors first, all in fractions.

    Returns
    -------
    frame driver, forecast, actual, error, low_80, high_80, inside (bool)
    """
    table = lab.forecast.table
    frame = pd.DataFrame({"driver": table["driver"], "forecast": table["ownership"], "actual": outcome.ownership})
    frame["error"] = frame["actual"] - frame["forecast"]
    frame["low_80"], frame["high_80"] = table["low_80"], table["high_80"]
    frame["inside"] = metrics.covered(frame["low_80"], frame["high_80"], frame["actual"])
    return frame.sort_values("error", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def _drivers(lab, outcome: Outcome) -> pd.DataFrame:
    races, slate = lab.scenarios, lab.slate
    below = races.weight @ ((races.points < outcome.points) + 0.5 * (races.points == outcome.points))
    led = np.full(len(slate), np.nan)
    if outcome.results is not None:
        led = by_slate(outcome.results.set_index("driver")["laps_led"], slate)
    frame = pd.DataFrame(
        {
            "driver": slate.names,
            "points": outcome.points,
            "expected": races.weight @ races.points,
            "place": below,
            "laps_led": led,
            "expected_laps_led": races.weight @ races.laps_led,
        }
    )
    frame.insert(3, "error", frame["points"] - frame["expected"])
    frame = frame[~slate.out]
    return frame.sort_values("error", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def _regime(lab, outcome: Outcome) -> pd.DataFrame:
    names = lab.scenarios.regime_names
    told = np.bincount(lab.scenarios.regime, lab.scenarios.weight, len(names))
    frame = pd.DataFrame({"regime": names, "probability": told})
    if outcome.results is None or outcome.race is None or outcome.race.empty:
        return frame.iloc[:0].assign(happened=pd.Series(dtype=bool))
    features = race_features(outcome.results, outcome.race)
    happened = classify_scenario_regime(features, lab.model.thresholds).iloc[0]
    return frame.assign(happened=frame["regime"] == happened)
