"""Contest rules as data: roster, salary cap, scoring tick and the points tables, versioned by date."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Scoring:
    """A NASCAR points table: points by finish, per place gained, per lap led and per fastest lap."""

    finish: tuple[float, ...]
    """Points of the winner, the runner-up, …; 0 after the last one."""
    place_differential: float = 1.0
    lap_led: float = 0.25
    fastest_lap: float = 0.45


@dataclass(frozen=True)
class ContestRules:
    """What a lineup must be (`roster_size` drivers for at most `salary_cap` dollars) and how it scores.

    `tick` is the unit in which scores are counted, so that equal scores are exactly equal.
    """

    roster_size: int = 6
    salary_cap: int = 50_000
    tick: float = 0.05
    scoring: Scoring | None = None

    def to_ticks(self, points) -> np.ndarray:
        """Return `points` (any shape) as integer ticks."""
        return np.rint(np.asarray(points, float) / self.tick).astype(np.int64)


_CURRENT = Scoring((45, *range(42, 33, -1), *range(32, 22, -1), *range(21, 11, -1), *range(10, 0, -1)))
_UNTIL_2019 = Scoring((46, *range(42, 0, -1)), fastest_lap=0.5)

DRAFTKINGS_NASCAR = ContestRules(scoring=_CURRENT)
"""DraftKings NASCAR Classic as played today."""
DRAFTKINGS_NASCAR_2019 = replace(DRAFTKINGS_NASCAR, scoring=_UNTIL_2019)
"""The same with the points table in force until early 2020."""
DRAFTKINGS_GOLF = ContestRules(tick=0.5)
DRAFTKINGS_MMA = ContestRules(tick=0.01)

SCORING_CHANGED = "2020-02-01"
"""First day of the current table. The exact day is not known to us (the turn of the seasons 2019 and 2020)."""


def rules_on(date) -> ContestRules:
    """Return the DraftKings NASCAR rules in force on `date` (anything `pandas.to_datetime` reads)."""
    old = pd.to_datetime(date).tz_localize(None) < pd.Timestamp(SCORING_CHANGED)
    return DRAFTKINGS_NASCAR_2019 if old else DRAFTKINGS_NASCAR


def finish_points(scoring: Scoring, n: int) -> np.ndarray:
    """Return the points of finishing 1st … n-th, shape (n,)."""
    table = np.zeros(n)
    known = min(n, len(scoring.finish))
    table[:known] = scoring.finish[:known]
    return table


def fantasy_points(results: pd.DataFrame, scoring: Scoring) -> pd.Series:
    """Return DraftKings points by row of `results`.

    Parameters
    ----------
    results : frame with columns start, finish (1 = first), laps_led, fastest_laps (laps)
    scoring : the points table

    Returns
    -------
    Series of float on the index of `results`; NaN where a column is missing a value.

    Examples
    --------
    >>> row = pd.DataFrame({"start": [5], "finish": [1], "laps_led": [100], "fastest_laps": [40]})
    >>> fantasy_points(row, DRAFTKINGS_NASCAR.scoring).tolist()
    [92.0]
    """
    finish = results["finish"].astype(float)
    table = pd.Series(scoring.finish, index=np.arange(1, len(scoring.finish) + 1), dtype=float)
    placed = finish.map(table).where(finish.isna() | (finish <= len(table)), 0.0)
    return (
        placed
        + scoring.place_differential * (results["start"].astype(float) - finish)
        + scoring.lap_led * results["laps_led"].astype(float)
        + scoring.fastest_lap * results["fastest_laps"].astype(float)
    )


def points_of(start, finish, laps_led, fastest_laps, scoring: Scoring) -> np.ndarray:
    """Return `fantasy_points` of simulated races as an array: whole places and laps, all (S, D) or broadcast to it.

    A finish of 0 is a driver who did not race: no points for place or places gained.
    """
    table = np.concatenate([[0.0], finish_points(scoring, max(int(finish.max()), 1))])
    gained = np.where(finish > 0, start - finish.astype(np.int64), 0)
    bonus = scoring.place_differential * gained
    return table[finish] + bonus + scoring.lap_led * laps_led + scoring.fastest_lap * fastest_laps
