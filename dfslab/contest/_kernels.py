"""Counting kernels behind `contest`: scores in integer ticks, one histogram per scenario, no sort.

A field is kept as its distinct lineups with multiplicities, each split in a head and a tail (the first and the last
half of its drivers), because far fewer heads and tails than lineups exist: per scenario their sums are computed once
and a lineup costs two look-ups and one count. Kernels take a range of scenarios, release the lock and write only
their own rows, so that any number of threads gives the same numbers.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import joblib
import numpy as np
from numba import njit

from dfslab.lineups import distinct

LANES = 8
"""Scenarios counted side by side: eight 32-bit sums fill one vector register."""


class Counted(NamedTuple):
    """Distinct lineups: `heads` (H, k1) and `tails` (T, k2) of drivers; by lineup `head`, `tail`, `copies` (U,)."""

    heads: np.ndarray
    tails: np.ndarray
    head: np.ndarray
    tail: np.ndarray
    copies: np.ndarray


def count_lineups(lineups: np.ndarray, n_drivers: int) -> Counted:
    """Return the distinct lineups of `lineups` (n, K), sorted within each row, with how often each occurs."""
    half = max(1, lineups.shape[1] // 2)
    different, copies = distinct(lineups)
    (heads, head), (tails, tail) = (_numbered(part, n_drivers) for part in np.split(different, [half], axis=1))
    small = max(len(heads), len(tails), copies.max(initial=0)) < 2**16
    return Counted(heads, tails, *(part.astype(np.uint16 if small else np.uint32) for part in (head, tail, copies)))


def _numbered(part, n_drivers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the different rows of `part` (n, k), int32, and the place of each row among them."""
    keys = part @ (np.int64(n_drivers) ** np.arange(part.shape[1]))
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return part[first].astype(np.int32), place


def in_threads(kernel, n: int, chunk: int = 64) -> list:
    """Return `kernel(start, stop)` over 0 … n in fixed chunks, in order, on one thread per core."""
    pieces = [(start, min(start + chunk, n)) for start in range(0, n, chunk)]
    threads = min(joblib.cpu_count(), len(pieces))
    if threads <= 1:
        return [kernel(*piece) for piece in pieces]
    return list(_pool(threads).map(lambda piece: kernel(*piece), pieces))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


@njit(cache=True, nogil=True)
def _part_sums(x, parts, out):
    """Sum `x` (D, LANES) over each row of `parts` into `out` (rows, LANES)."""
    for i in range(parts.shape[0]):
        for b in range(LANES):
            out[i, b] = 0
        for j in range(parts.shape[1]):
            driver = np.uint32(parts[i, j])
            for b in range(LANES):
                out[i, b] += x[driver, b]


@njit(cache=True, nogil=True)
def _take_lanes(ticks, start, stop, k, x, low):
    """Lay scenarios start … stop side by side in `x` (D, LANES), as ticks × LANES; return the score range + 2.

    `low` (LANES,) receives the sum of the k smallest ticks. Lanes past `stop` repeat the last scenario.
    """
    widest = 0
    for b in range(LANES):
        row = ticks[min(start + b, stop - 1)]
        ordered = np.sort(row)
        low[b] = ordered[:k].sum()
        widest = max(widest, ordered[len(ordered) - k :].sum() - low[b] + 2)
        for d in range(len(row)):
            x[d, b] = row[d] * LANES
    return widest


@njit(cache=True, nogil=True)
def _histogram(ticks, first, stop, heads, tails, head, tail, copies, x, low, head_sum, tail_sum, counts):
    """Return the copies of lineups by score in scenarios from `first`, flat at (score − low) × LANES + lane, and the
    number of scores; `counts` is used where it is long enough."""
    width = _take_lanes(ticks, first, stop, heads.shape[1] + tails.shape[1], x, low)
    if width * LANES > len(counts):
        counts = np.empty(width * LANES * 5 // 4, np.int32)
    counts[: width * LANES] = 0
    _part_sums(x, heads, head_sum)
    _part_sums(x, tails, tail_sum)
    for i in range(head_sum.shape[0]):
        for b in range(LANES):
            head_sum[i, b] += b - LANES * low[b]
    for u in range(head.shape[0]):
        h, t, n = head[u], tail[u], copies[u]
        for b in range(LANES):
            counts[np.uint32(head_sum[h, b] + tail_sum[t, b])] += n
    return counts, width


@njit(cache=True, nogil=True)
def _sum_from_top(counts, width):
    """Turn counts at a score into counts at or above it."""
    for i in range((width - 1) * LANES - 1, -1, -1):
        counts[i] += counts[i + LANES]


@njit(cache=True, nogil=True)
def split_tied_prizes(total, above, tied):
    """Return what each of `tied` entries of equal score wins behind `above` better ones: the prizes of the ranks they
    cover, shared evenly; `total[r]` holds the prizes of the best r ranks together, and nothing is paid past its end."""
    last = len(total) - 1
    return (total[min(above + tied, last)] - total[min(above, last)]) / tied


@njit(cache=True, nogil=True)
def play_kernel(ticks, own, heads, tails, head, tail, copies, total, payout, rank, start, stop):
    """Fill rows start … stop of `payout` (S, L) in cents, ties split, and `rank` (S, L): all of `own` (L, K) enter.

    `total` (n + 1,) holds the prizes of the best r ranks in cents.
    """
    n_own = len(own)
    head_sum, tail_sum = np.empty((len(heads), LANES), np.int32), np.empty((len(tails), LANES), np.int32)
    x, low = np.empty((ticks.shape[1], LANES), np.int32), np.empty(LANES, np.int32)
    score = np.empty((n_own, LANES), np.int32)
    counts = np.zeros(1, np.int32)
    for first in range(start, stop, LANES):
        room = x, low, head_sum, tail_sum, counts
        counts, width = _histogram(ticks, first, stop, heads, tails, head, tail, copies, *room)
        _part_sums(x, own, score)
        for i in range(n_own):
            for b in range(LANES):
                score[i, b] += b - LANES * low[b]
                counts[score[i, b]] += 1
        _sum_from_top(counts, width)
        for b in range(min(LANES, stop - first)):
            for i in range(n_own):
                above, upto = counts[score[i, b] + LANES], counts[score[i, b]]
                rank[first + b, i] = above + 1
                payout[first + b, i] = split_tied_prizes(total, above, upto - above)


@njit(cache=True, nogil=True)
def field_kernel(ticks, paid, heads, tails, head, tail, copies, start, stop):
    """Count the field's entries at or above each tick, for scenarios start … stop.

    Returns, by scenario, the lowest tick kept and the number of ticks kept, and the counts one after another. Kept
    are the ticks from the highest one that `paid` entries reach (the lowest possible score when fewer than `paid`
    entered) to one above the best possible score.
    """
    n = stop - start
    head_sum, tail_sum = np.empty((len(heads), LANES), np.int32), np.empty((len(tails), LANES), np.int32)
    x, bottom = np.empty((ticks.shape[1], LANES), np.int32), np.empty(LANES, np.int32)
    low, size = np.empty(n, np.int32), np.empty(n, np.int64)
    counts = np.zeros(1, np.int32)
    kept = np.empty(0, np.int32)
    used = 0
    for first in range(start, stop, LANES):
        room = x, bottom, head_sum, tail_sum, counts
        counts, width = _histogram(ticks, first, stop, heads, tails, head, tail, copies, *room)
        _sum_from_top(counts, width)
        if used + width * LANES > len(kept):
            longer = np.empty(2 * len(kept) + width * LANES, np.int32)
            longer[:used] = kept[:used]
            kept = longer
        for b in range(min(LANES, stop - first)):
            t = width - 1
            while t > 0 and counts[t * LANES + b] < paid:
                t -= 1
            low[first + b - start], size[first + b - start] = bottom[b] + t, width - t
            for j in range(t, width):
                kept[used] = counts[j * LANES + b]
                used += 1
    return low, size, kept[:used].copy()


@njit(cache=True, nogil=True)
def _at_or_above(counts, j):
    """Return how many of the field score at least `j` ticks above the lowest that `counts` holds."""
    return counts[j] if j < len(counts) else 0


@njit(cache=True, nogil=True)
def _score(x, lineups, row):
    score = 0
    for j in range(lineups.shape[1]):
        score += x[lineups[row, j]]
    return score


@njit(cache=True, nogil=True)
def gains_kernel(ticks, low, offset, at_least, total, own, count, lost, lineups, rows, weight, start, stop):
    """Return Σ weight × cents that each lineup of `rows` would add to ours, over scenarios start … stop.

    `own` (S, n) holds the paid scores of our entries in a scenario in ascending order, the first count[s] of them;
    `lost[s, i]` is what the first i of them lose together when somebody better comes in.
    """
    out = np.zeros(len(rows))
    for s in range(start, stop):
        if weight[s] == 0:
            continue
        x, counts, mine = ticks[s], at_least[offset[s] : offset[s + 1]], own[s, : count[s]]
        for k in range(len(rows)):
            score = _score(x, lineups, rows[k])
            j = score - low[s]
            if j < 0:
                continue
            below = np.searchsorted(mine, score)
            here = 0
            while below + here < len(mine) and mine[below + here] == score:
                here += 1
            better = _at_or_above(counts, j + 1)
            above, tied = better + len(mine) - below - here, counts[j] - better + here
            gain = (here + 1) * split_tied_prizes(total, above, tied + 1) + lost[s, below]
            if here:
                gain -= here * split_tied_prizes(total, above, tied)
            out[k] += weight[s] * gain
    return out


@njit(cache=True, nogil=True)
def enter_kernel(ticks, low, offset, at_least, total, own, count, lost, lineups, row, start, stop):
    """Make lineup `row` one of ours in scenarios start … stop: bring `own`, `count` and `lost` up to date."""
    for s in range(start, stop):
        score = _score(ticks[s], lineups, row)
        if score < low[s]:
            continue
        i = count[s]
        while i > 0 and own[s, i - 1] > score:
            own[s, i] = own[s, i - 1]
            i -= 1
        own[s, i] = score
        count[s] += 1
        counts, mine = at_least[offset[s] : offset[s + 1]], own[s, : count[s]]
        first = 0
        while first < len(mine):
            after = np.searchsorted(mine, mine[first] + 1)
            j = mine[first] - low[s]
            better = _at_or_above(counts, j + 1)
            above, tied = better + len(mine) - after, counts[j] - better + after - first
            loss = split_tied_prizes(total, above + 1, tied) - split_tied_prizes(total, above, tied)
            for i in range(first, after):
                lost[s, i + 1] = lost[s, i] + loss
            first = after
