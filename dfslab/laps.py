"""What happens lap by lap around a finish order: cautions, drop-outs, laps led and fastest laps, as numba kernels.

Every kernel walks through its scenarios in order and draws from one generator, so more scenarios extend fewer ones.
A driver is a column; positions count from 1; laps are whole laps of the scheduled distance.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = ["CautionLaw", "DropoutLaw", "LapLaw", "MAX_CAUTIONS", "draw_cautions", "draw_dropouts", "draw_laps"]

MAX_CAUTIONS = 40
"""Random cautions a scenario can hold; the most seen in a race of 2018-2025 is 18."""


class CautionLaw(NamedTuple):
    """How often the field is slowed, and for how long, at one track."""

    laps: int
    """Scheduled laps."""
    stage_laps: np.ndarray
    """Last lap of each stage before the final one."""
    stage_probability: float
    """Chance that a stage end brings a caution."""
    stage_length: float
    """Mean laps of a stage caution."""
    mean: float
    """Mean number of other cautions."""
    size: float
    """Negative binomial size of that number: variance = mean + mean²/size."""
    length: float
    """Mean laps of another caution."""
    soon: float
    """Chance that another caution follows soon after the restart before it."""
    soon_laps: float
    """Mean green laps until such a caution."""


class DropoutLaw(NamedTuple):
    """Who fails to finish, at one track."""

    crash_mean: float
    crash_size: float
    crash_by_caution: float
    """Power with which crash drop-outs grow with the other cautions (plus one, relative to their mean plus one)."""
    mechanical_mean: float
    mechanical_size: float
    steepness: float
    """How sharply drop-outs fill the last positions: log-odds per position."""
    lap_shape: float
    """Laps completed are laps · U^(1/shape), sorted by finish."""


class LapLaw(NamedTuple):
    """Who leads and who runs the fastest laps: Dirichlet weights by finish, start and driver."""

    lead_finish: np.ndarray
    """(D,) log weight by finishing position, first to last."""
    lead_start: np.ndarray
    """(D,) log weight by grid position."""
    lead_dropout: float
    """Added log weight of a driver who drops out (his weight also shrinks with the laps he completes)."""
    lead_power: float
    """Shares led are Dirichlet draws raised to this power."""
    fast_finish: np.ndarray
    fast_start: np.ndarray
    fast_dropout: float
    fast_led: float
    """Weight of log(laps led + 1) in the log weight for fastest laps."""
    fast_power: float
    window: int
    """Green laps a car can run on one tank: a longer final run lets fuel decide the finish."""
    loosening: float
    """Share of the tie between finish and laps led that is lost when fuel decides."""
    laps: int
    lost_fast: float
    lost_fast_by_caution: float
    """Green laps without a fastest lap: round(lost_fast + lost_fast_by_caution · cautions)."""


@njit(cache=True, nogil=True)
def _geometric(mean, rng):
    """Draw a whole number ≥ 1 with the given mean ≥ 1."""
    if mean <= 1.0:
        return 1
    return 1 + int(np.log(1.0 - rng.random()) / np.log(1.0 - 1.0 / mean))


@njit(cache=True, nogil=True)
def _length(mean, rng):
    """Draw the laps of one caution: at least 1, gamma of shape 6 rounded."""
    return max(1, round(rng.standard_gamma(6.0) * mean / 6.0))


@njit(cache=True, nogil=True)
def _negative_binomial(mean, size, rng):
    if mean <= 0.0:
        return 0
    return rng.poisson(rng.standard_gamma(size) * mean / size)


@njit(cache=True, nogil=True)
def _caution_starts(law, n_random, starts, lengths, rng):
    """Fill `starts` and `lengths` (both unsorted) and return how many cautions there are."""
    k = 0
    for lap in law.stage_laps:
        if rng.random() < law.stage_probability:
            starts[k] = lap + 1
            lengths[k] = _length(law.stage_length, rng)
            k += 1
    for _ in range(n_random):
        lap = 2 + int(rng.random() * (law.laps - 2))
        if k > 0 and rng.random() < law.soon:
            before = int(rng.random() * k)
            lap = starts[before] + lengths[before] + _geometric(law.soon_laps, rng)
        starts[k] = lap
        lengths[k] = _length(law.length, rng)
        k += 1
    return k


@njit(cache=True, nogil=True)
def draw_cautions(law, n, rng):
    """Draw the cautions of `n` scenarios and place them on laps.

    Returns
    -------
    (n, 5) int32: number of cautions, caution laps, longest green run, final green run, cautions other than stage ends.
    A caution that would begin inside an earlier one begins right after the next green lap; one that would reach the
    last lap ends before it (overtime and finishes under caution are not simulated).
    """
    out = np.zeros((n, 5), np.int32)
    starts = np.zeros(MAX_CAUTIONS + 8, np.int64)
    lengths = np.zeros(MAX_CAUTIONS + 8, np.int64)
    for s in range(n):
        n_random = min(_negative_binomial(law.mean, law.size, rng), MAX_CAUTIONS)
        k = _caution_starts(law, n_random, starts, lengths, rng)
        order = np.argsort(starts[:k])
        green_from, longest, count, slow = 1, 0, 0, 0
        for j in order:
            first = max(starts[j], green_from + 1)
            last = min(first + lengths[j] - 1, law.laps - 1)
            if last < first:
                continue
            longest = max(longest, first - green_from)
            count += 1
            slow += last - first + 1
            green_from = last + 1
        final = law.laps - green_from + 1
        out[s, 0], out[s, 1], out[s, 2], out[s, 3] = count, slow, max(longest, final), final
        out[s, 4] = n_random
    return out


@njit(cache=True, nogil=True)
def draw_dropouts(law, finish, others, mean_others, laps, rng):
    """Draw who fails to finish and after how many laps.

    Parameters
    ----------
    finish : (n, D) int positions, 1 = winner
    others : (n,) cautions other than stage ends; mean_others : their mean

    Returns
    -------
    reason (n, D) int8: 0 running at the end, 1 crashed, 2 mechanical; completed (n, D) int32 laps.
    The winner never drops out; later positions complete fewer laps.
    """
    n, d = finish.shape
    reason = np.zeros((n, d), np.int8)
    completed = np.full((n, d), laps, np.int32)
    who = np.empty(d, np.int64)
    key = np.empty(d)
    for s in range(n):
        mean = law.crash_mean * ((others[s] + 1.0) / (mean_others + 1.0)) ** law.crash_by_caution
        crashed = _negative_binomial(mean, law.crash_size, rng)
        broken = _negative_binomial(law.mechanical_mean, law.mechanical_size, rng)
        m = min(crashed + broken, d - 2)
        if m <= 0:
            continue
        for i in range(d):
            who[finish[s, i] - 1] = i
            key[finish[s, i] - 1] = law.steepness * finish[s, i] - np.log(-np.log(rng.random()))
        key[0] = -np.inf
        chosen = np.sort(np.argsort(key)[d - m :])
        ran = np.sort(rng.random(m) ** (1.0 / law.lap_shape))
        left = crashed
        for j in range(m):
            i = who[chosen[m - 1 - j]]
            completed[s, i] = int(ran[j] * (laps - 1))
            crash = rng.random() * (m - j) < left
            reason[s, i] = 1 if crash else 2
            left -= crash
    return reason, completed


@njit(cache=True, nogil=True)
def _whole_laps(share, total, offset, out):
    """Round the shares (they sum to 1) to whole laps that sum to `total`, each up or down by less than one."""
    before, level = 0, offset
    for i in range(share.size):
        level += share[i] * total
        reached = int(level)
        out[i] = reached - before
        before = reached
    out[share.size - 1] += total - before


@njit(cache=True, nogil=True)
def _dirichlet(weight, power, share, rng):
    total = 0.0
    for i in range(weight.size):
        g = rng.standard_gamma(weight[i])
        share[i] = g if power == 1.0 else g**power
        total += share[i]
    if total <= 0.0:
        share[:] = weight
        total = weight.sum()
    for i in range(weight.size):
        share[i] /= total


@njit(cache=True, nogil=True)
def draw_laps(law, finish, start, reason, completed, cautions, rng):
    """Draw laps led and fastest laps.

    Parameters
    ----------
    finish, start, reason, completed : (n, D), see `draw_dropouts`; start counts 1 … D
    cautions : (n, 5), see `draw_cautions`

    Returns
    -------
    led, fast : (n, D) int32. Each row of `led` sums to the scheduled laps, the winner leads the last one; a row of
    `fast` sums to laps − caution laps − round(lost_fast + lost_fast_by_caution · cautions). Nobody exceeds his laps.
    """
    n, d = finish.shape
    led = np.zeros((n, d), np.int32)
    fast = np.zeros((n, d), np.int32)
    weight, share = np.empty(d), np.empty(d)
    for s in range(n):
        tie = 1.0 - law.loosening if cautions[s, 3] >= law.window else 1.0
        for i in range(d):
            f, g = finish[s, i] - 1, start[s, i] - 1
            x = tie * law.lead_finish[f] + law.lead_start[g]
            weight[i] = np.exp(x + (law.lead_dropout if reason[s, i] else 0.0)) * completed[s, i] / law.laps
        _dirichlet(weight, law.lead_power, share, rng)
        _whole_laps(share, law.laps - 1, rng.random(), led[s])
        _cap(led[s], completed[s], finish[s], 1)
        for i in range(d):
            f, g = finish[s, i] - 1, start[s, i] - 1
            x = law.fast_finish[f] + law.fast_start[g] + law.fast_led * np.log(led[s, i] + 1.0)
            weight[i] = np.exp(x + (law.fast_dropout if reason[s, i] else 0.0)) * completed[s, i] / law.laps
        _dirichlet(weight, law.fast_power, share, rng)
        lost = round(law.lost_fast + law.lost_fast_by_caution * cautions[s, 0])
        total = max(0, law.laps - cautions[s, 1] - lost)
        _whole_laps(share, total, rng.random(), fast[s])
        _cap(fast[s], completed[s], finish[s], 0)
    return led, fast


@njit(cache=True, nogil=True)
def _cap(laps, completed, finish, bonus):
    """Give laps beyond a driver's own to the winner, and the winner `bonus` more."""
    winner = 0
    excess = bonus
    for i in range(laps.size):
        if finish[i] == 1:
            winner = i
        over = laps[i] - completed[i]
        if over > 0:
            laps[i] -= over
            excess += over
    laps[winner] += excess
