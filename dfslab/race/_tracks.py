"""The figures of the race around the finish order, by track type, and the laws the kernels take from them."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from dfslab.race._kernels import CautionLaw, DropoutLaw, LapLaw, OrderLaw

_DEFAULTS = Path(__file__).with_name("defaults.json")
FIELD = 38
"""Drivers in the field the drop-out figures refer to (the usual Cup field, 36-40)."""
REFERENCE_MILES = 400.0
"""Distance to which `Mechanics.caution_mean` refers (the usual one on intermediate tracks)."""
STAGE_BREAKS = 2
STAGE_RATIO = 1.15
"""A stage caution lasts this many times another one: 219 stage cautions of 2021-2024 on ovals, 1.08-1.20 by type."""
LATE_SHARE = 0.08
"""Share of the distance that counts as late: restarts of superspeedway races breed wrecks (.04 fits no better)."""
SHORT_RUN_MILES = 45.0
"""A final green run below this is a late restart, which mixes the order anew."""
FUEL_MILES = 100.0
"""Distance of one tank: beyond it fuel has a say in the finish."""
TIES = (0.88, 1.26, 1.07)
"""Strength of the tie between finish and laps led, relative to its mean, when the final green run is short, usual, or
beyond the fuel window: most likely on 111 races of 2021-2024 off superspeedways. The late restart gains 2.8 in log
likelihood; the loosening by fuel (usual to fuel) only .7, so it is a mechanism kept at what the data allow."""
TIE_SHARES = (0.58, 0.23, 0.19)
"""How often the final green run is short, usual, beyond the fuel window, on those races."""
TEAM_DAY = 0.4
"""Standard deviation of the log-worth that teammates share on the day: their finishes correlate .061 ± .023 beyond
what was expected of each on 126 Cup races of 2022-2025; without it the simulator gave -.026."""
USUAL_MILES = {
    **{"superspeedway": 2.5, "intermediate": 1.5, "large_flat": 2.5, "road": 2.4},
    **{"short": 0.533, "short_flat": 1.0, "dirt": 0.533},
}
"""Length of a lap where a history does not say it: medians of the Cup's tracks, 2018-2026."""
CAUTION_POWER = 0.75
"""Other cautions grow with the distance to this power: .76 ± .33 in a negative binomial fit on 149 races, 2021-2025."""


@dataclass(frozen=True)
class Mechanics:
    """Figures of one track type; see `_kernels` for what the kernels make of them."""

    stage_ends: tuple[float, ...]
    """Share of the scheduled laps at which each stage but the last ends."""
    stage_probability: float
    caution_mean: float
    """Mean number of cautions other than stage ends over 400 miles."""
    caution_size: float
    caution_miles: float
    """Mean miles of such a caution."""
    late: float
    """Chance that such a caution comes in the last 8 % of the distance, beyond an even spread."""
    crash_mean: float
    """Mean crash drop-outs in a field of 38."""
    crash_size: float
    crash_by_caution: float
    mechanical_mean: float
    mechanical_size: float
    steepness: float
    lap_shape: float
    order_out: float
    order_running: float
    order_front: float
    order_by_caution: float
    lead: dict[str, float]
    """Log weight of leading: level, finish (−log), win, start (−log), start_share, worth, dropout; and power."""
    fast: dict[str, float]
    """Log weight of fastest laps: the same and led, log(laps led + 1)."""
    lost: float
    lost_by_caution: float

    def others_mean(self, race) -> float:
        """Return the mean number of cautions other than stage ends in `race`."""
        return float(self.caution_mean * (race.sched_laps * race.track_length_mi / REFERENCE_MILES) ** CAUTION_POWER)

    def caution_law(self, race) -> CautionLaw:
        """Return the law of cautions in `race`."""
        length = max(1.0, self.caution_miles / race.track_length_mi)
        return CautionLaw(
            laps=int(race.sched_laps),
            stage_laps=np.rint(np.array(self.stage_ends) * race.sched_laps).astype(np.int64),
            stage_probability=self.stage_probability,
            stage_length=STAGE_RATIO * length,
            mean=self.others_mean(race),
            size=self.caution_size,
            length=length,
            late=self.late,
            late_laps=max(1.0, LATE_SHARE * race.sched_laps),
        )

    def dropout_law(self, race, drivers: int) -> DropoutLaw:
        """Return the law of drop-outs in a field of `drivers`."""
        return DropoutLaw(
            self.crash_mean * drivers / FIELD,
            self.crash_size,
            self.crash_by_caution,
            self.mechanical_mean * drivers / FIELD,
            self.mechanical_size,
            self.others_mean(race),
            self.steepness,
            self.lap_shape,
        )

    def order_law(self, race, team: np.ndarray) -> OrderLaw:
        """Return how the order follows the log-worths of drivers whose teams have the numbers `team` (-1: unknown)."""
        mean = self.others_mean(race) + self.stage_probability * len(self.stage_ends)
        own = self.order_out, self.order_running, self.order_front, self.order_by_caution
        return OrderLaw(*own, mean, team, TEAM_DAY)

    def lap_law(self, race, worth: np.ndarray) -> LapLaw:
        """Return the law of laps led and fastest laps among drivers of log-worths `worth`."""
        place = np.arange(1, len(worth) + 1)
        usual = _by_finish(self.lead, place)
        return LapLaw(
            lead_finish=np.array([_flattened(usual, tie) for tie in TIES]),
            lead_start=_by_start(self.lead, place),
            lead_driver=self.lead["worth"] * worth,
            lead_dropout=self.lead["dropout"],
            lead_power=self.lead["power"],
            fast_finish=_by_finish(self.fast, place),
            fast_start=_by_start(self.fast, place),
            fast_driver=self.fast["worth"] * worth,
            fast_dropout=self.fast["dropout"],
            fast_led=self.fast["led"],
            fast_power=self.fast["power"],
            short_run=max(2, round(SHORT_RUN_MILES / race.track_length_mi)),
            fuel_window=max(3, int(np.ceil(FUEL_MILES / race.track_length_mi))),
            laps=int(race.sched_laps),
            lost=self.lost,
            lost_by_caution=self.lost_by_caution,
        )


def _by_finish(weights: dict, place) -> np.ndarray:
    return -weights["finish"] * np.log(place) + weights["win"] * (place == 1)


def _by_start(weights: dict, place) -> np.ndarray:
    return weights["level"] - weights["start"] * np.log(place) - weights["start_share"] * place / len(place)


def _flattened(log_weight, tie: float) -> np.ndarray:
    """Return `log_weight` times `tie`, shifted so that the weights keep their sum."""
    flat = tie * log_weight
    return flat + np.log(np.exp(log_weight).sum() / np.exp(flat).sum())


@cache
def default_mechanics() -> dict[str, Mechanics]:
    """Return the shipped figures by track type (their source is in `defaults.json`)."""
    stored = json.loads(_DEFAULTS.read_text())["track_types"]
    return {k: Mechanics(**{**v, "stage_ends": tuple(v["stage_ends"])}) for k, v in stored.items()}
