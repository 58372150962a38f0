"""The race simulator: finish order, then cautions, drop-outs, laps led and fastest laps around it → `Scenarios`."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from dfslab.errors import UserError, as_day, whole_number
from dfslab.race._calibrate import fit_mechanics
from dfslab.race._finish import FinishModel
from dfslab.race._form import flag
from dfslab.race._kernels import OTHERS, draw_cautions, draw_dropouts, draw_laps, draw_order, draw_reasons
from dfslab.race._market import fit_pool
from dfslab.race._orders import sample_finish
from dfslab.race._scenarios import Scenarios
from dfslab.race._tracks import Mechanics, RaceFigures
from dfslab.regimes import RegimeModel, RegimeThresholds, past_conditions, race_conditions, race_features
from dfslab.rules import points_of, rules_on

CHUNK = 2048
"""Scenarios drawn from one stream; fixed, so that the number of threads changes nothing."""


@dataclass(frozen=True)
class RaceModel:
    """The simulator as of a date: the finish model and the figures of every track type."""

    finish: FinishModel
    mechanics: dict[str, Mechanics]
    regime_model: RegimeModel
    thresholds: RegimeThresholds = field(default_factory=RegimeThresholds)

    @classmethod
    def fit(
        cls,
        results: pd.DataFrame,
        races: pd.DataFrame,
        before=None,
        thresholds=None,
        reweights: bool = False,
        odds=None,
        others=None,
        finish: FinishModel | None = None,
    ) -> "RaceModel":
        """Fit on the races before the date `before`; later rows are not used.

        Parameters
        ----------
        results, races : history tables; loop data and cautions may be missing
        before : anything `pandas.to_datetime` reads; left out, all races count
        thresholds : `RegimeThresholds` for the labels
        reweights : whether past races predict the chance of a dominator; else scenarios keep the simulator's own
            frequencies, which no tuning on real or simulated seasons has bettered yet
        odds : frame race_id, driver, probability (as prices say it), optional book: past odds, by which market and
            model are weighed once there are 20 races of them
        others : results and races of other series, from which drivers new to this one borrow their record
        finish : the finish model where it is fitted already
        """
        results, races = _before(results, races, before)
        finish = FinishModel.fit(results, races, others=others) if finish is None else finish
        worth, thresholds = finish.past_log_worth(), thresholds or RegimeThresholds()
        if odds is not None:
            finish = replace(finish, pool=fit_pool(worth, results, odds))
        conditions, features = past_conditions(worth, results, races), race_features(results, races)
        regime_model = RegimeModel.fit(conditions, features, thresholds, reweights)
        return cls(finish, fit_mechanics(results, races), regime_model, thresholds)

    def simulate(self, drivers: pd.DataFrame, race, n_scenarios: int, rng: np.random.Generator, threads=2) -> Scenarios:
        """Draw `n_scenarios` of `race`; more scenarios extend fewer, and the number of threads changes nothing.

        Parameters
        ----------
        drivers : frame with driver and, where known, start, team, car, practice_best_rank, …; optional `out` (does
            not race: finish 0, 0 points) and `to_rear` (keeps the grid place for scoring, starts last).
            Without any start the grid is drawn in every scenario. `market`, chances to win by the odds, is pooled.
        race : `Race`

        Returns
        -------
        `Scenarios` in the rows of `drivers`, points by the rules in force on the day of the race.
        """
        n = whole_number(n_scenarios, "n_scenarios", 1)
        rows = _racing(drivers)
        racing = drivers.iloc[rows].reset_index(drop=True)
        grid, places, notes = _grid(racing)
        worth = np.asarray(self.finish.log_worth(racing, race), float)
        if race.track_type not in self.mechanics:
            known = ", ".join(self.mechanics)
            raise ValueError(f"race {race.race_id}: track_type '{race.track_type}' is unknown; use one of {known}")
        here = self.mechanics[race.track_type].for_race(race, worth, self.finish.teams(racing, race))
        start, finish, led, fast, reason, cautions = _draw(here, grid, n, rng, threads)
        scored = start if places is None else np.broadcast_to(places, finish.shape)
        points = points_of(scored, finish, led, fast, rules_on(race.date).scoring)

        def spread(values):
            out = np.zeros((n, len(drivers)), values.dtype)  # 0 for who does not race
            out[:, rows] = values
            return out

        scenarios = Scenarios(
            drivers["driver"].to_numpy(object),
            *map(spread, (scored, finish, led, fast, points, reason > 0, reason == 1)),
            *cautions[:, :OTHERS].T,
            regime=np.zeros(n, np.int8),
            weight=np.full(n, 1.0 / n),
            track_length_mi=race.track_length_mi,
            notes=notes,
            race_id=race.race_id,
        )
        scenarios = scenarios.relabel(self.thresholds)
        conditions = race_conditions(worth, grid, race.track_type)
        shares = scenarios.regime_shares().to_numpy()
        # a regime that no scenario shows leaves its chance to the others
        forecast = np.where(shares > 0, self.regime_model.probabilities(conditions, shares), 0.0)
        count = np.maximum(np.bincount(scenarios.regime, minlength=len(shares)), 1)
        return replace(scenarios, weight=(forecast / forecast.sum() / count)[scenarios.regime])


def _draw(here: RaceFigures, grid, n: int, rng, threads) -> list[np.ndarray]:
    """Draw `n` races in chunks, each from its own stream.

    Returns start, finish, laps led, fastest laps and reason (see `draw_reasons`), all (n, D), and cautions (n, 5).
    """
    seed = int(rng.integers(2**63))

    def chunk(k: int):
        size = min(CHUNK, n - k * CHUNK)
        seed_of_chunk = np.random.SeedSequence(seed, spawn_key=(k,))
        streams = np.random.Generator(np.random.PCG64(seed_of_chunk)).spawn(6)
        cautions = draw_cautions(here, size, streams[0])
        dropouts = draw_dropouts(here, cautions, streams[1])
        finish = draw_order(here, cautions, dropouts, streams[2])
        start = sample_finish(here.worth, size, streams[3]) if grid is None else np.broadcast_to(grid, finish.shape)
        start = np.ascontiguousarray(start, np.int16)
        reason, completed = draw_reasons(here, finish, dropouts, streams[4])
        laps = draw_laps(here, finish, start, reason, completed, cautions, streams[5])
        return start, finish, *laps, reason, cautions

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(chunk, range(-(-n // CHUNK))))
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def _before(results, races, before):
    """Return the rows of races before the date."""
    if before is None or "date" not in races:
        return results, races
    day = as_day(before, "before")
    races = races[pd.to_datetime(races["date"]) < day]
    results = results[results["race_id"].isin(races["race_id"])]
    if results.empty:
        raise UserError(f"history: no race before {day:%Y-%m-%d}; give earlier seasons, or a later date")
    return results, races


def _racing(drivers: pd.DataFrame) -> np.ndarray:
    """Return the rows of the drivers who race, sorted by name, so that the order of the rows changes nothing."""
    if "driver" not in drivers:
        raise ValueError(f"drivers: column 'driver' is missing; have {', '.join(map(str, drivers.columns))}")
    names = drivers["driver"]
    if names.duplicated().any():
        raise ValueError(f"drivers: {names[names.duplicated()].iloc[0]} is listed twice")
    rows = np.flatnonzero(~flag(pd.Series(drivers.get("out", False), drivers.index)))
    if len(rows) < 3:
        raise ValueError(f"drivers: {len(rows)} race; the simulator needs at least 3")
    return rows[np.argsort(names.iloc[rows].astype(str), kind="stable")]


def _grid(racing: pd.DataFrame):
    """Return the places to start from (1 … D), the places that score, and notes."""
    start = pd.to_numeric(pd.Series(racing.get("start", np.nan), racing.index), errors="coerce")
    known, rear, notes = start.notna(), flag(pd.Series(racing.get("to_rear", False), racing.index)), []
    if not known.any():
        note = "No starting grid is known: it is drawn anew in every scenario from the drivers' strength."
        return None, None, (note,)
    twice = start[known & start.duplicated()]
    if len(twice):
        raise ValueError(f"drivers: two drivers start {twice.iloc[0]:.0f}; correct the starting order")
    if not known.all():
        start[~known] = start.max() + np.arange(1, 1 + (~known).sum())
        who = ", ".join(racing["driver"][~known])
        notes.append(f"No starting place is known for {who}: assumed to start behind all others.")
    if rear.any():
        notes.append(f"To the rear, keeping the grid place for scoring: {', '.join(racing['driver'][rear])}.")
    grid = np.empty(len(start), np.int16)
    grid[np.lexsort((start, rear))] = np.arange(1, len(start) + 1)
    return grid, start.to_numpy(np.int16), tuple(notes)
