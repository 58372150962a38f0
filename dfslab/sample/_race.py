"""The race of the sample season, lap by lap: pace, tyres, traffic, fuel, pit stops, incidents, cautions, overtime.

A mechanism of its own, unlike the rank model the package forecasts with: nobody draws a finishing order here, it
comes out of lap times. Positions are elapsed seconds; a car a lap down carries a whole lap of them.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

RUNNING, CRASH, MECHANICAL = 0, 1, 2
PIT_LANE_GAP = 0.25
"""Seconds between cars that restart one behind the other."""
FREE_LAP_LIMIT = 2
"""Attempts at an overtime finish."""
LATE_SHARE, LATE_HAZARD = 0.03, 3.0
"""The last laps are driven harder: which share of them, and by what the hazard of an incident grows."""
SAVING_COST = 0.3
"""Seconds a lap that stretching the fuel costs, at the pace spread of an intermediate track."""
TOW_REACH = 2.5
"""Seconds within which the car ahead pulls one along; the tow is strongest while closing in."""
RUN_DRY = 0.10
"""Chance per lap of running dry once the tank should be empty."""


class Track(NamedTuple):
    """What a track does to a race; times in seconds, hazards per green lap."""

    lap_time: float
    spread: float
    noise: float
    restart_noise: float
    wear: float
    dirty_air: float
    draft: float
    pass_scale: float
    fuel_laps: int
    pit_time: float
    hazard: float
    restart_hazard: float
    pile_up: float
    wreck: float
    debris: float
    failure: float
    caution_laps: float
    day_noise: float
    adjust: float


class Cars(NamedTuple):
    """One race's entrants in grid rows, (D,) each: pace in spreads (low is fast), the rest as multiples of 1."""

    pace: np.ndarray
    wear: np.ndarray
    risk: np.ndarray
    crew: np.ndarray
    frail: np.ndarray
    grid: np.ndarray


class Outcomes(NamedTuple):
    """What n races ended as: (n, D) by car, (n,) by race."""

    finish: np.ndarray
    laps_led: np.ndarray
    fastest_laps: np.ndarray
    laps: np.ndarray
    status: np.ndarray
    mean_position: np.ndarray
    race_laps: np.ndarray
    cautions: np.ndarray
    caution_laps: np.ndarray
    lead_changes: np.ndarray
    longest_green_run: np.ndarray
    final_green_run: np.ndarray
    green_runs: np.ndarray


class _State(NamedTuple):
    time: np.ndarray
    pace: np.ndarray
    tyre: np.ndarray
    fuel: np.ndarray
    hurt: np.ndarray
    status: np.ndarray
    laps: np.ndarray
    led: np.ndarray
    fastest: np.ndarray
    position: np.ndarray
    order: np.ndarray
    alive: np.ndarray
    counts: np.ndarray


# positions in _State.counts
_CAUTIONS, _CAUTION_LAPS, _LEAD_CHANGES, _LONGEST, _RUN, _LEADER, _ATTEMPTS, _RUNS = 0, 1, 2, 3, 4, 5, 6, 7


def run_races(cars: Cars, track: Track, sched_laps: int, stages, rain: float, n: int, rng) -> Outcomes:
    """Run the race n times and return what happened.

    Parameters
    ----------
    cars, track : the entrants and the track
    sched_laps : laps scheduled
    stages : laps at whose end a scheduled caution falls, ascending
    rain : chance that the race is stopped early
    n : number of races
    rng : numpy Generator; its stream is used race after race, so more races extend the earlier ones
    """
    stages = np.asarray(stages, np.int64)
    by_car, mean_position, by_race = _run_races(cars, track, int(sched_laps), stages, float(rain), int(n), rng)
    return Outcomes(*by_car, mean_position, *by_race)


@njit(cache=True)
def _run_races(cars, track, sched_laps, stages, rain, n, rng):
    d = len(cars.pace)
    by_car = np.zeros((5, n, d), np.int64)
    mean_position = np.zeros((n, d))
    by_race = np.zeros((7, n), np.int64)
    for r in range(n):
        s = _start(cars, track, rng)
        laps = _race(cars, track, sched_laps, stages, rain, s, rng)
        _classify(track, s, laps, by_car[:, r], mean_position[r])
        by_race[0, r] = laps
        by_race[1:6, r] = s.counts[np.array([_CAUTIONS, _CAUTION_LAPS, _LEAD_CHANGES, _LONGEST, _RUN])]
        by_race[6, r] = s.counts[_RUNS]
    return by_car, mean_position, by_race


@njit(cache=True)
def _start(cars, track, rng):
    d = len(cars.pace)
    pace = np.empty(d)
    for i in range(d):
        pace[i] = track.spread * (cars.pace[i] + track.day_noise * rng.standard_normal())
    order = np.argsort(cars.grid)
    time = np.empty(d)
    for k in range(d):
        time[order[k]] = PIT_LANE_GAP * k
    counts = np.zeros(8, np.int64)
    counts[_LEADER] = order[0]
    counts[_RUNS] = 1
    return _State(
        time, pace, np.zeros(d), np.full(d, float(track.fuel_laps)), np.zeros(d), np.zeros(d, np.int64),
        np.zeros(d, np.int64), np.zeros(d, np.int64), np.zeros(d, np.int64), np.zeros(d), order,
        np.array([d]), counts,
    )  # fmt: skip


@njit(cache=True)
def _race(cars, track, sched_laps, stages, rain, s, rng):
    total = sched_laps
    if rng.random() < rain:
        total = int(sched_laps * (0.55 + 0.4 * rng.random()))
    rained = total < sched_laps
    lap, since, stage = 0, 0, 0
    while lap < total and s.alive[0] > 1:
        lap += 1
        since += 1
        _green_lap(cars, track, total - lap, since, s, rng)
        trouble = _incident(cars, track, total - lap < LATE_SHARE * total, since, s, rng)
        if stage < len(stages) and lap >= stages[stage]:
            stage += 1
            trouble = True
        if trouble and lap < total:
            length = max(2, round(track.caution_laps * (0.6 + 0.8 * rng.random())))
            if lap + length > total - 2 and not rained and s.counts[_ATTEMPTS] < FREE_LAP_LIMIT:
                s.counts[_ATTEMPTS] += 1
                total = lap + length + 2
            length = min(length, total - lap)
            _caution(cars, track, total - lap, length, s, rng)
            lap += length
            since = 0
            while stage < len(stages) and stages[stage] <= lap:
                stage += 1
    return lap


@njit(cache=True)
def _green_lap(cars, track, remaining, since, s, rng):
    """Drive one green lap: every car in running order, passing or stuck behind who is already placed."""
    n = s.alive[0]
    s.counts[_RUN] += 1
    s.counts[_LONGEST] = max(s.counts[_LONGEST], s.counts[_RUN])
    noise = track.noise + (track.restart_noise / since if since < 4 else 0.0)
    best, best_lap = -1, 1e9
    ahead = -1e9
    for k in range(n):
        i = s.order[k]
        gap = s.time[i] - ahead
        ahead = s.time[i]
        lap = s.pace[i] + s.hurt[i] + track.wear * cars.wear[i] * s.tyre[i] + noise * rng.standard_normal()
        if gap < 1.0:
            lap += track.dirty_air * (1.0 - gap)
        if gap < TOW_REACH:
            lap -= track.draft * min(1.0, gap)
        if lap < best_lap:
            best, best_lap = i, lap
        lap += _stop(cars, track, remaining, i, s, rng)
        s.tyre[i] += 1.0
        s.fuel[i] -= 1.0
        s.laps[i] += 1
        _place(track, s, k, s.time[i] + track.lap_time + lap, rng)
    if since > 1:
        s.fastest[best] += 1
    _count_lap(s)


@njit(cache=True)
def _place(track, s, k, time, rng):
    """Insert the car at running place k into the new order, one pass at a time."""
    i = s.order[k]
    while k > 0:
        j = s.order[k - 1]
        gain = s.time[j] - time
        if gain <= 0:
            break
        if rng.random() > 1.0 - np.exp(-gain / track.pass_scale):
            time = s.time[j] + 0.05 + 0.1 * rng.random()
            break
        s.order[k] = j
        k -= 1
    s.order[k] = i
    s.time[i] = time


@njit(cache=True)
def _stop(cars, track, remaining, i, s, rng):
    """Return the seconds lost to a stop under green, to saving fuel or to running dry."""
    if s.fuel[i] > track.fuel_laps * 0.08 * rng.random():
        return 0.0
    if remaining == 0:
        return 0.0
    if remaining - s.fuel[i] <= track.fuel_laps * 0.07:
        dry = s.fuel[i] <= 0 and rng.random() < RUN_DRY
        return 2.0 * track.pit_time if dry else SAVING_COST * track.spread / 0.25
    s.tyre[i] = 0.0
    s.fuel[i] = track.fuel_laps
    return track.pit_time + cars.crew[i] * (1.0 + abs(rng.standard_normal()))


@njit(cache=True)
def _count_lap(s):
    leader = s.order[0]
    s.led[leader] += 1
    if leader != s.counts[_LEADER]:
        s.counts[_LEAD_CHANGES] += 1
        s.counts[_LEADER] = leader
    for k in range(s.alive[0]):
        s.position[s.order[k]] += k + 1


@njit(cache=True)
def _incident(cars, track, late, since, s, rng):
    """Return whether this lap brings out the yellow; take out or damage who is caught in it."""
    u = rng.random()
    if u < track.failure * s.alive[0]:
        k = _pick(cars.frail, s, rng)
        _retire(s, k, MECHANICAL)
        return rng.random() < 0.3
    hazard = track.hazard + (track.restart_hazard if since < 4 else 0.0)
    if late:
        hazard *= LATE_HAZARD
    if rng.random() < hazard:
        _pile_up(cars, track, s, rng)
        return True
    return rng.random() < track.debris


@njit(cache=True)
def _pick(weight, s, rng):
    total = 0.0
    for k in range(s.alive[0]):
        total += weight[s.order[k]]
    u = rng.random() * total
    for k in range(s.alive[0]):
        u -= weight[s.order[k]]
        if u < 0:
            return k
    return s.alive[0] - 1


@njit(cache=True)
def _pile_up(cars, track, s, rng):
    """One car loses it; those who follow closely are caught with chance `pile_up`, one after the other."""
    k = _pick(cars.risk, s, rng)
    last, before = k, s.time[s.order[k]]
    while last + 1 < s.alive[0] and rng.random() < track.pile_up and s.time[s.order[last + 1]] - before < 3.0:
        last += 1
        before = s.time[s.order[last]]
    for place in range(last, k - 1, -1):
        i = s.order[place]
        if rng.random() < track.wreck:
            _retire(s, place, CRASH)
        elif rng.random() < 0.6:
            s.hurt[i] += track.spread * rng.standard_exponential()
            s.time[i] += track.pit_time * rng.random()
    _sort(s)


@njit(cache=True)
def _retire(s, place, status):
    """Move the car to the end of the order: behind all who run, ahead of all who went before."""
    i = s.order[place]
    s.status[i] = status
    s.alive[0] -= 1
    for k in range(place, s.alive[0]):
        s.order[k] = s.order[k + 1]
    s.order[s.alive[0]] = i


@njit(cache=True)
def _sort(s):
    for k in range(1, s.alive[0]):
        i = s.order[k]
        m = k
        while m > 0 and s.time[s.order[m - 1]] > s.time[i]:
            s.order[m] = s.order[m - 1]
            m -= 1
        s.order[m] = i


@njit(cache=True)
def _caution(cars, track, remaining, length, s, rng):
    """Bunch the field, stop who wants to stop, count the laps behind the pace car."""
    s.counts[_CAUTIONS] += 1
    s.counts[_CAUTION_LAPS] += length
    s.counts[_RUN] = 0
    if remaining > length:
        s.counts[_RUNS] += 1
    _bunch(cars, track, remaining, s, rng)
    for i in s.order[: s.alive[0]]:
        s.fuel[i] -= 0.4 * length
        s.pace[i] += track.adjust * track.spread * rng.standard_normal()
    for _ in range(length):
        for i in s.order[: s.alive[0]]:
            s.laps[i] += 1
        _count_lap(s)


@njit(cache=True)
def _bunch(cars, track, remaining, s, rng):
    n = s.alive[0]
    lead = s.time[s.order[0]]
    free_pass = True
    for k in range(n):
        i = s.order[k]
        down = int((s.time[i] - lead) / track.lap_time)
        stops = rng.random() < _wish_to_stop(track, remaining, s.tyre[i], k)
        if down > 0 and (free_pass or (not stops and rng.random() < 0.5)):
            down -= 1
            free_pass = False
        late = 0.01 * k
        if stops:
            late += 10.0 + 0.5 * cars.crew[i] * abs(rng.standard_normal()) + 0.05 * k
            s.tyre[i] = 0.0
            s.fuel[i] = track.fuel_laps
            s.hurt[i] *= 0.6
        s.time[i] = down * 1000.0 + late
    _sort(s)
    for k in range(n):
        i = s.order[k]
        s.time[i] = int(s.time[i] / 1000.0) * track.lap_time + PIT_LANE_GAP * k * min(1.0, track.lap_time / 30.0)


@njit(cache=True)
def _wish_to_stop(track, remaining, tyre, place):
    if remaining < 8 and place < 12:
        return 0.35
    if tyre < 0.15 * track.fuel_laps:
        return 0.15 + 0.01 * place
    return 0.94


@njit(cache=True)
def _classify(track, s, laps, by_car, mean_position):
    lead = s.time[s.order[0]]
    for k in range(len(s.order)):
        i = s.order[k]
        by_car[0, i] = k + 1
        by_car[1, i] = s.led[i]
        by_car[2, i] = s.fastest[i]
        by_car[3, i] = s.laps[i]
        by_car[4, i] = s.status[i]
        mean_position[i] = s.position[i] / max(1, s.laps[i])
    for k in range(s.alive[0]):
        i = s.order[k]
        by_car[3, i] = max(0, laps - int((s.time[i] - lead) / track.lap_time))
