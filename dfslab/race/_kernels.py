"""The race around the finish order, as numba kernels: cautions, drop-outs, the order itself, laps led, fastest laps.

Every kernel walks through its scenarios in order and draws from one generator, so more scenarios extend fewer ones.
`race` is a `_tracks.RaceFigures`. A driver is a column; positions count from 1; laps are whole laps of the distance.
"""

import numpy as np
from numba import njit

MAX_CAUTIONS = 40
"""Random cautions a scenario can hold; the most seen in a Cup race of 2021-2025 is 16."""
FRONT = 7
"""Drivers left to fight for the win when the log-worths begin to count less: the likeliest cut between 2 and 11 for the
orders of 2020–2023 off superspeedways (with factors .70 and 1.15 it gains 11.9 in log likelihood over one factor; 2.9
on the 2024–2025 kept for the check)."""
COUNT, SLOW, LONGEST, FINAL, OTHERS = range(5)
"""Columns of `draw_cautions`."""

LOST = 1.4
"""Green laps without a fastest lap beyond one a caution, on 183 Cup races."""
STAGE_RATIO = 1.15
"""A stage caution lasts this many times another one: 219 stage cautions of 2021-2024 on ovals, 1.08-1.20 by type."""


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
def _caution_starts(race, n_random, starts, lengths, rng):
    """Fill `starts` and `lengths` (both unsorted) and return how many cautions there are."""
    k = 0
    for lap in race.stage_laps:
        if rng.random() < race.figures.stage_probability:
            starts[k] = lap + 1
            lengths[k] = _length(STAGE_RATIO * race.caution_laps, rng)
            k += 1
    for _ in range(n_random):
        if rng.random() < race.figures.late:
            starts[k] = race.laps - int(rng.random() * race.late_laps)
        else:
            starts[k] = 2 + int(rng.random() * (race.laps - 2))
        lengths[k] = _length(race.caution_laps, rng)
        k += 1
    return k


@njit(cache=True, nogil=True)
def draw_cautions(race, n, rng):
    """Draw the cautions of `n` scenarios and place them on laps.

    Returns
    -------
    (n, 5) int32: cautions, caution laps, longest green run, final green run, cautions other than stage ends. One that
    would begin inside another begins after the next green lap; one that would reach the last lap ends before it, and
    is lost when no lap is left (overtime and finishes under caution are not simulated).
    """
    out = np.zeros((n, 5), np.int32)
    starts = np.zeros(MAX_CAUTIONS + len(race.stage_laps), np.int64)
    lengths = np.zeros(len(starts), np.int64)
    for s in range(n):
        n_random = min(_negative_binomial(race.figures.caution_mean, race.figures.caution_size, rng), MAX_CAUTIONS)
        k = _caution_starts(race, n_random, starts, lengths, rng)
        green_from, longest = 1, 0
        for j in np.argsort(starts[:k]):
            first = max(starts[j], green_from + 1)
            last = min(first + lengths[j] - 1, race.laps - 1)
            if last < first:
                continue
            longest = max(longest, first - green_from)
            out[s, COUNT] += 1
            out[s, SLOW] += last - first + 1
            green_from = last + 1
        out[s, FINAL] = race.laps - green_from + 1
        out[s, LONGEST] = max(longest, out[s, FINAL])
        out[s, OTHERS] = n_random
    return out


@njit(cache=True, nogil=True)
def draw_dropouts(race, cautions, rng):
    """Draw how many crash and how many break down, (n, 2) int; two drivers at least run to the end."""
    n, drivers, figures = len(cautions), len(race.worth), race.figures
    out = np.empty((n, 2), np.int64)
    for s in range(n):
        ratio = (cautions[s, OTHERS] + 1.0) / (figures.caution_mean + 1.0)
        crashed = _negative_binomial(figures.crash_mean * ratio**figures.crash_by_caution, figures.crash_size, rng)
        out[s, 0] = min(crashed, drivers - 2)
        broken = _negative_binomial(figures.mechanical_mean, figures.mechanical_size, rng)
        out[s, 1] = min(broken, drivers - 2 - out[s, 0])
    return out


@njit(cache=True, nogil=True)
def _leave(left, last, exits, scale, worth, life, finish, rng):
    """Let `exits` of the drivers `left` leave by attrition, the first to place `last`, and return those who stay.

    Lives are exponential with mean exp(scale · worth) and know no age, so whoever stays may be given a new one.
    """
    for i in left:
        life[i] = np.log(rng.standard_exponential()) + scale * worth[i]
    left = left[np.argsort(life[left])]
    for k in range(exits):
        finish[left[k]] = last - k
    return left[exits:]


@njit(cache=True, nogil=True)
def draw_order(race, cautions, dropouts, rng):
    """Draw finishing orders by attrition in three parts, (n, D) int16 positions, 1 = winner.

    As many as drop out leave first, their lives exponential with mean exp(out · worth); then those who run to the end,
    with mean exp(running · worth), but for the last `FRONT`, who have exp(front · worth), scaled as `Mechanics` says.
    Teammates share a normal draw in their log-worths.
    """
    n, d, figures = len(cautions), len(race.worth), race.figures
    finish = np.empty((n, d), np.int16)
    life, everybody, worth = np.empty(d), np.arange(d), np.empty(d)
    day = np.zeros(race.team.max() + 2)
    usual = figures.caution_mean + figures.stage_probability * len(race.stage_laps)
    for s in range(n):
        for k in range(len(day) - 1):
            day[k] = race.team_day * rng.standard_normal()
        for i in range(d):
            worth[i] = race.worth[i] + day[race.team[i]]
        shuffle = ((cautions[s, COUNT] + 1.0) / (usual + 1.0)) ** figures.order_by_caution
        out = dropouts[s, 0] + dropouts[s, 1]
        left = _leave(everybody, d, out, figures.order_out, worth, life, finish[s], rng)
        behind = max(len(left) - FRONT, 0)
        front = _leave(left, len(left), behind, figures.order_running / shuffle, worth, life, finish[s], rng)
        _leave(front, len(front), len(front), figures.order_front / shuffle, worth, life, finish[s], rng)
    return finish


@njit(cache=True, nogil=True)
def draw_reasons(race, finish, dropouts, rng):
    """Draw who is counted as a drop-out and after how many laps.

    Returns
    -------
    reason (n, D) int8: 0 running at the end, 1 crashed, 2 mechanical; completed (n, D) int32 laps. The winner never
    drops out, and of two who do the later position completed no more laps.
    """
    n, d = finish.shape
    reason = np.zeros((n, d), np.int8)
    completed = np.full((n, d), race.laps, np.int32)
    who = np.empty(d, np.int64)
    key = np.empty(d)
    for s in range(n):
        crashed, out = dropouts[s, 0], dropouts[s, 0] + dropouts[s, 1]
        if out == 0:
            continue
        for i in range(d):
            who[finish[s, i] - 1] = i
        for p in range(1, d):
            key[p] = race.figures.steepness * p - np.log(rng.standard_exponential())
        key[0] = -np.inf
        chosen = np.sort(np.argsort(key)[d - out :])
        ran = np.sort(rng.random(out) ** (1.0 / race.figures.lap_shape))
        for k in range(out):
            i = who[chosen[out - 1 - k]]
            completed[s, i] = int(ran[k] * (race.laps - 1))
            crash = rng.random() * (out - k) < crashed
            reason[s, i] = 1 if crash else 2
            crashed -= crash
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
def _shares(weight, power, share, rng):
    """Fill `share` with a Dirichlet draw raised to `power` and scaled to sum to 1."""
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
def _cap(laps, completed, finish, bonus):
    """Give laps beyond a driver's own to the winner, and the winner `bonus` more."""
    winner, excess = 0, bonus
    for i in range(laps.size):
        if finish[i] == 1:
            winner = i
        over = laps[i] - completed[i]
        if over > 0:
            laps[i] -= over
            excess += over
    laps[winner] += excess


@njit(cache=True, nogil=True)
def draw_laps(race, finish, start, reason, completed, cautions, rng):
    """Draw laps led and fastest laps.

    Parameters
    ----------
    finish, start (1 … D), reason, completed : (n, D), see `draw_order`, `draw_reasons`
    cautions : (n, 5), see `draw_cautions`

    Returns
    -------
    led, fast : (n, D) int32. A row of `led` sums to the scheduled laps and the winner leads the last one; a row of
    `fast` sums to laps − caution laps − round(LOST + cautions). Nobody exceeds his own laps.
    """
    n, d = finish.shape
    led = np.zeros((n, d), np.int32)
    fast = np.zeros((n, d), np.int32)
    weight, share = np.empty(d), np.empty(d)
    lead, fastest = race.figures.lead, race.figures.fast
    for s in range(n):
        final = cautions[s, FINAL]
        tie = 0 if final < race.short_run else (2 if final >= race.fuel_window else 1)
        for i in range(d):
            x = race.lead_finish[tie, finish[s, i] - 1] + race.lead_start[start[s, i] - 1] + lead.worth * race.worth[i]
            weight[i] = np.exp(x + (lead.dropout if reason[s, i] else 0.0)) * completed[s, i] / race.laps
        _shares(weight, lead.power, share, rng)
        _whole_laps(share, race.laps - 1, rng.random(), led[s])
        _cap(led[s], completed[s], finish[s], 1)
        for i in range(d):
            x = race.fast_finish[finish[s, i] - 1] + race.fast_start[start[s, i] - 1] + fastest.worth * race.worth[i]
            x += fastest.led * np.log(led[s, i] + 1.0)
            weight[i] = np.exp(x + (fastest.dropout if reason[s, i] else 0.0)) * completed[s, i] / race.laps
        _shares(weight, fastest.power, share, rng)
        total = race.laps - cautions[s, SLOW] - round(LOST + cautions[s, COUNT])
        _whole_laps(share, max(0, total), rng.random(), fast[s])
        _cap(fast[s], completed[s], finish[s], 0)
    return led, fast
