"""The figures of the race around the finish order, by track type, and those of one race."""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

_DEFAULTS = Path(__file__).with_name("defaults.json")
FIELD = 38
"""Drivers in the field the drop-out figures refer to (the usual Cup field, 36-40)."""
REFERENCE_MILES = 400.0
"""Distance to which `Mechanics.caution_mean` refers (the usual one on intermediate tracks)."""
STAGE_BREAKS = 2
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


class Weights(NamedTuple):
    """Log-linear weights of a driver's share of the laps led or fastest laps, a Dirichlet draw [mosimann1962]."""

    level: float
    finish: float
    """Of −log of the finishing position; …"""
    win: float
    start: float
    """… of −log of the grid position; …"""
    start_share: float
    """… of −grid position / drivers."""
    worth: float
    dropout: float
    """Added for who drops out (the weight also shrinks with the laps completed)."""
    power: float
    """Shares are Dirichlet draws raised to this power."""
    led: float = 0.0
    """Of log(laps led + 1)."""

    def by_place(self, drivers: int) -> tuple[np.ndarray, np.ndarray]:
        """Return log weights by finishing and by grid position, two (D,)."""
        place = np.arange(1, drivers + 1)
        finish = -self.finish * np.log(place) + self.win * (place == 1)
        return finish, self.level - self.start * np.log(place) - self.start_share * place / drivers


class Mechanics(NamedTuple):
    """Figures of one track type."""

    stage_ends: tuple[float, ...]
    """Share of the scheduled laps at which each stage but the last ends."""
    stage_probability: float
    """Chance that a stage end brings a caution."""
    caution_mean: float
    """Mean number of cautions other than stage ends over 400 miles."""
    caution_size: float
    """Negative binomial size of that number: variance = mean + mean²/size."""
    caution_miles: float
    """Mean miles of such a caution."""
    late: float
    """Chance that such a caution comes in the last 8 % of the distance, beyond an even spread."""
    crash_mean: float
    """Mean crash drop-outs in a field of 38."""
    crash_size: float
    crash_by_caution: float
    """Crash drop-outs grow with ((other cautions + 1) / (their mean + 1)) to this power."""
    mechanical_mean: float
    mechanical_size: float
    steepness: float
    """How sharply drop-outs fill the last positions: log-odds per position."""
    lap_shape: float
    """Laps completed by drop-outs are laps · U^(1/shape), sorted by finish."""
    order_out: float
    """Multiplies the log-worths among those who drop out: wrecks hardly choose."""
    order_running: float
    """The same among those who run to the end, …"""
    order_front: float
    """… and among the last `FRONT` of them, whom restarts, strategy and luck sort; …"""
    order_by_caution: float
    """… both divided by ((cautions + 1) / (their mean + 1)) to this power: cautions shuffle the field."""
    leader_share: float
    """Mean share of the laps led by the driver who led most, as simulated with these figures."""
    lead: Weights
    fast: Weights

    def of(self, race, drivers: int) -> "Mechanics":
        """Return the figures with the mean numbers of cautions, crashes and breakdowns of one race."""
        distance, field = exposures(race.sched_laps * race.track_length_mi, drivers)
        crashes, breakdowns = self.crash_mean * field, self.mechanical_mean * field
        cautions = float(self.caution_mean * distance)
        return self._replace(caution_mean=cautions, crash_mean=crashes, mechanical_mean=breakdowns)

    def for_race(self, race, worth, team) -> "RaceFigures":
        """Return the figures of `race` among drivers of log-worths `worth` (D,) and numbers of teams `team` (D,)."""
        length = race.track_length_mi
        usual, lead_start = self.lead.by_place(len(worth))
        fast_finish, fast_start = self.fast.by_place(len(worth))
        return RaceFigures(
            figures=self.of(race, len(worth)),
            laps=int(race.sched_laps),
            stage_laps=np.rint(np.array(self.stage_ends) * race.sched_laps).astype(np.int64),
            caution_laps=max(1.0, self.caution_miles / length),
            late_laps=max(1.0, LATE_SHARE * race.sched_laps),
            worth=np.asarray(worth, float),
            team=team,
            team_day=TEAM_DAY,
            lead_finish=np.array([_flattened(usual, tie) for tie in TIES]),
            lead_start=lead_start,
            fast_finish=fast_finish,
            fast_start=fast_start,
            short_run=max(2, round(SHORT_RUN_MILES / length)),
            fuel_window=max(3, int(np.ceil(FUEL_MILES / length))),
        )


class RaceFigures(NamedTuple):
    """What the kernels draw one race from: its figures, and how they turn out at its track and in its field."""

    figures: Mechanics
    """Means as of this race, see `Mechanics.of`."""
    laps: int
    """Scheduled laps."""
    stage_laps: np.ndarray
    """Last lap of each stage but the final one."""
    caution_laps: float
    """Mean laps of a caution other than a stage end."""
    late_laps: float
    worth: np.ndarray
    """(D,) log-worths."""
    team: np.ndarray
    """(D,) number of each driver's team; -1 where it is not known."""
    team_day: float
    """Standard deviation of what a team's cars have in common on the day, added to their log-worths."""
    lead_finish: np.ndarray
    """(3, D) log weight by finishing position when the final green run is short, usual, beyond the fuel window."""
    lead_start: np.ndarray
    fast_finish: np.ndarray
    fast_start: np.ndarray
    short_run: int
    """A final green run below this many laps is a late restart: it mixes the order anew."""
    fuel_window: int
    """Green laps one tank lasts: with a final run of at least this many, fuel has a say in the finish."""


def exposures(miles, drivers):
    """Return what the mean numbers of cautions and of drop-outs grow with: 1 over 400 miles, 1 in a field of 38."""
    return (miles / REFERENCE_MILES) ** CAUTION_POWER, drivers / FIELD


def _flattened(log_weight, tie: float) -> np.ndarray:
    """Return `log_weight` times `tie`, shifted so that the weights keep their sum."""
    flat = tie * log_weight
    return flat + np.log(np.exp(log_weight).sum() / np.exp(flat).sum())


@cache
def default_mechanics() -> dict[str, Mechanics]:
    """Return the shipped figures by track type (their source is in `defaults.json`)."""
    stored = json.loads(_DEFAULTS.read_text("utf-8"))["track_types"]
    plural = {"stage_ends": tuple, "lead": lambda x: Weights(**x), "fast": lambda x: Weights(**x)}
    return {k: Mechanics(**{n: plural.get(n, float)(x) for n, x in v.items()}) for k, v in stored.items()}
