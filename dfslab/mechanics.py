"""The figures of the race around the finish order, by track type: shipped defaults, and their refit on history."""

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from dfslab.laps import CautionLaw, DropoutLaw, LapLaw

__all__ = ["Mechanics", "default_mechanics"]

_DEFAULTS = Path(__file__).with_name("race_defaults.json")


@dataclass(frozen=True)
class Mechanics:
    """Figures of one track type; see `dfslab.laps` for what the kernels make of them."""

    stage_ends: tuple[float, ...]
    """Share of the scheduled laps at which each stage but the last ends."""
    stage_probability: float
    stage_miles: float
    """Mean miles of a stage caution."""
    caution_mean: float
    """Mean number of cautions other than stage ends, at `miles` scheduled."""
    caution_size: float
    caution_miles: float
    soon: float
    soon_miles: float
    miles: float
    """Typical scheduled distance: the number of cautions grows with the square root of the distance over this."""
    crash_mean: float
    """Mean crash drop-outs in a field of 38."""
    crash_size: float
    crash_by_caution: float
    mechanical_mean: float
    mechanical_size: float
    steepness: float
    lap_shape: float
    lead: dict
    """Log weight of leading: level, finish (−log), win, start (−log), start_share, worth, dropout, power."""
    fast: dict
    """Log weight of fastest laps: level, finish, win, start, start_share, worth, dropout, led, power."""
    fuel_window_miles: float
    loosening: float
    lost_fast: float
    lost_fast_by_caution: float

    def caution_law(self, race) -> CautionLaw:
        """Return the law of cautions in `race`."""
        length = race.track_length_mi
        miles = race.sched_laps * length
        mean = self.caution_mean * np.sqrt(miles / self.miles)
        ends = np.rint(np.array(self.stage_ends) * race.sched_laps).astype(np.int64)
        return CautionLaw(
            int(race.sched_laps),
            ends,
            self.stage_probability,
            max(1.0, self.stage_miles / length),
            float(mean),
            self.caution_size,
            max(1.0, self.caution_miles / length),
            self.soon,
            max(1.0, self.soon_miles / length),
        )

    def dropout_law(self, drivers: int) -> DropoutLaw:
        """Return the law of drop-outs in a field of `drivers`."""
        scale = drivers / FIELD
        return DropoutLaw(
            self.crash_mean * scale,
            self.crash_size,
            self.crash_by_caution,
            self.mechanical_mean * scale,
            self.mechanical_size,
            self.steepness * FIELD / drivers,
            self.lap_shape,
        )

    def lap_law(self, race, drivers: int) -> LapLaw:
        """Return the law of laps led and fastest laps in `race` among `drivers`."""
        place = np.arange(1, drivers + 1)
        return LapLaw(
            _by_finish(self.lead, place),
            _by_start(self.lead, place),
            self.lead["dropout"],
            self.lead["power"],
            _by_finish(self.fast, place),
            _by_start(self.fast, place),
            self.fast["dropout"],
            self.fast["led"],
            self.fast["power"],
            max(2, int(np.ceil(self.fuel_window_miles / race.track_length_mi))),
            self.loosening,
            int(race.sched_laps),
            self.lost_fast,
            self.lost_fast_by_caution,
        )


FIELD = 38
"""Drivers in the field the drop-out figures refer to (the usual Cup field, 36-40)."""


def _by_finish(weights: dict, place) -> np.ndarray:
    return -weights["finish"] * np.log(place) + weights["win"] * (place == 1)


def _by_start(weights: dict, place) -> np.ndarray:
    share = (place - 1) / max(len(place) - 1, 1)
    return weights["level"] - weights["start"] * np.log(place) - weights["start_share"] * share


@cache
def default_mechanics() -> dict[str, Mechanics]:
    """Return the shipped figures by track type (their source is in `race_defaults.json`)."""
    stored = json.loads(_DEFAULTS.read_text())
    return {k: Mechanics(**{**v, "stage_ends": tuple(v["stage_ends"])}) for k, v in stored["track_types"].items()}


def to_json(mechanics: dict[str, Mechanics], source: str) -> str:
    """Return `mechanics` as the text of a defaults file."""
    body = {"source": source, "track_types": {k: asdict(v) for k, v in mechanics.items()}}
    return json.dumps(body, indent=1) + "\n"
