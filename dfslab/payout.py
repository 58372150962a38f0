"""Counting kernels behind `contest`: scores in integer ticks, one histogram per scenario, no sort.

A field is kept as its distinct lineups with multiplicities, each split in a head and a tail (the first and the last
half of its drivers), because far fewer heads and tails than lineups exist: per scenario their sums are computed once
and a lineup costs two look-ups and one count. Kernels take a range of scenarios, release the lock and write only
their own rows, so that any number of threads gives the same numbers.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import joblib
import numpy as np
from numba import njit

__all__ = [
    "Counted",
    "count_lineups",
    "expected_kernel",
    "field_kernel",
    "gain_kernel",
    "in_threads",
    "lineup_keys",
    "play_kernel",
    "score_kernel",
    "table_kernel",
]


@dataclass(frozen=True)
class Counted:
    """Distinct lineups: `heads` (H, k1) and `tails` (T, k2) of drivers; by lineup `head`, `tail`, `copies` (U,)."""

    heads: np.ndarray
    tails: np.ndarray
    head: np.ndarray
    tail: np.ndarray
    copies: np.ndarray

    @property
    def arrays(self) -> tuple:
        """The five arrays in the order kernels take them."""
        return self.heads, self.tails, self.head, self.tail, self.copies


def lineup_keys(lineups: np.ndarray, n_drivers: int) -> np.ndarray:
    """Return one integer per row of `lineups` (n, k), ordered as the rows are; equal rows have equal keys."""
    if n_drivers ** lineups.shape[1] >= 2**63:
        return np.unique(lineups, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    keys = np.zeros(len(lineups), np.int64)
    for column in lineups.T:
        keys = keys * n_drivers + column
    return keys


def _distinct_parts(part: np.ndarray, n_drivers: int) -> tuple[np.ndarray, np.ndarray]:
    _, first, inverse = np.unique(lineup_keys(part, n_drivers), return_index=True, return_inverse=True)
    return np.ascontiguousarray(part[first], np.int32), inverse.reshape(-1).astype(np.int32)


def count_lineups(lineups: np.ndarray, n_drivers: int) -> Counted:
    """Return the distinct lineups of `lineups` (n, K), sorted within each row, with how often each occurs."""
    _, first, copies = np.unique(lineup_keys(lineups, n_drivers), return_index=True, return_counts=True)
    distinct = lineups[first]
    half = max(1, lineups.shape[1] // 2)
    heads, head = _distinct_parts(distinct[:, :half], n_drivers)
    tails, tail = _distinct_parts(distinct[:, half:], n_drivers)
    return Counted(heads, tails, head, tail, copies.astype(np.int32))


def in_threads(kernel, n: int, threads: int | None = None, chunk: int = 64) -> None:
    """Call `kernel(start, stop)` over 0 … n in fixed chunks, on `threads` threads (default: one per core)."""
    threads = threads or joblib.cpu_count()
    starts = range(0, n, chunk)
    if threads == 1 or len(starts) < 2:
        kernel(0, n)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(kernel, start, min(start + chunk, n)) for start in starts]:
            done.result()


@njit(cache=True, nogil=True)
def _part_sums(x, parts, out):
    """Sum the ticks `x` (D,) over each row of `parts`; return the smallest and the largest sum."""
    low, high = 2**30, -(2**30)
    for i in range(parts.shape[0]):
        total = 0
        for j in range(parts.shape[1]):
            total += x[parts[i, j]]
        out[i] = total
        low = min(low, total)
        high = max(high, total)
    return low, high


@njit(cache=True, nogil=True)
def _score_bounds(x, k):
    """Return the sums of the `k` smallest and of the `k` largest ticks: no lineup scores outside them."""
    ordered = np.sort(x)
    return ordered[:k].sum(), ordered[len(ordered) - k :].sum()


@njit(cache=True, nogil=True)
def _fill(x, low, heads, tails, head, tail, copies, head_sum, tail_sum, counts):
    """Add the copies of every lineup to `counts`, indexed by its score in ticks above `low`."""
    _part_sums(x, heads, head_sum)
    _part_sums(x, tails, tail_sum)
    for i in range(head_sum.shape[0]):
        head_sum[i] -= low
    for u in range(head.shape[0]):
        counts[head_sum[head[u]] + tail_sum[tail[u]]] += copies[u]


@njit(cache=True, nogil=True)
def play_kernel(ticks, own, heads, tails, head, tail, copies, total, payout, rank, start, stop):
    """Fill rows start … stop of `payout` (S, L) in cents and `rank` (S, L): all of `own` (L, K) enter together.

    `total` (n + 1,) holds the prizes of the best r ranks in cents. Equal scores share the prizes they cover.
    """
    n_own, k = own.shape
    head_sum, tail_sum = np.empty(len(heads), np.int32), np.empty(len(tails), np.int32)
    score = np.empty(n_own, np.int64)
    counts = np.zeros(1, np.int32)
    for s in range(start, stop):
        x = ticks[s]
        low, high = _score_bounds(x, k)
        size = high - low + 2
        if size > len(counts):
            counts = np.zeros(size + size // 4, np.int32)
        counts[:size] = 0
        _fill(x, low, heads, tails, head, tail, copies, head_sum, tail_sum, counts)
        lowest = size
        for i in range(n_own):
            t = -low
            for j in range(k):
                t += x[own[i, j]]
            score[i] = t
            counts[t] += 1
            lowest = min(lowest, t)
        for t in range(size - 2, lowest - 1, -1):
            counts[t] += counts[t + 1]
        for i in range(n_own):
            above, upto = counts[score[i] + 1], counts[score[i]]
            rank[s, i] = above + 1
            payout[s, i] = (total[upto] - total[above]) / (upto - above)


@njit(cache=True, nogil=True)
def field_kernel(ticks, k, paid, heads, tails, head, tail, copies, low, size, store, at_least, start, stop):
    """Count the field's entries at or above each tick, for scenarios start … stop.

    `low` (S,) receives the tick below which nothing is paid (the lowest score when every rank is), `size` (S,) the
    number of ticks up to one above the best possible score. When `store` (S,) offsets are 0 or more, the counts go
    to `at_least[store[s] : store[s] + size[s]]`; a negative offset only measures.
    """
    head_sum, tail_sum = np.empty(len(heads), np.int32), np.empty(len(tails), np.int32)
    counts = np.zeros(1, np.int32)
    for s in range(start, stop):
        bottom, top = _score_bounds(ticks[s], k)
        width = top - bottom + 2
        if width > len(counts):
            counts = np.zeros(width + width // 4, np.int32)
        counts[:width] = 0
        _fill(ticks[s], bottom, heads, tails, head, tail, copies, head_sum, tail_sum, counts)
        t = width - 1
        while t > 0 and counts[t] < paid:
            t -= 1
            counts[t] += counts[t + 1]
        low[s], size[s] = bottom + t, width - t
        if store[s] >= 0:
            at_least[store[s] : store[s] + size[s]] = counts[t:width]


@njit(cache=True, nogil=True)
def _gain_table(at_least, own, low, total, table, mine):
    """Fill `table` (n + 1,) with what one more entry adds to the payouts of `own`, by tick.

    `table[j]` is for score `low + j`, the last one for any score below `low`. `own` holds ticks of entries already
    in, in any order; `mine` (n,) is scratch and comes back zero. A new entry at a tick takes its share there and
    moves each of ours further down from the ranks x … x + k − 1 of its tie to x + 1 … x + k.
    """
    n = len(at_least)
    ours_below = 0
    for i in range(len(own)):
        if own[i] >= low:
            mine[own[i] - low] += 1
        else:
            ours_below += 1
    ours = len(own)
    above = at_least[0] + ours - ours_below
    table[n] = total[min(above + 1, len(total) - 1)] - total[min(above, len(total) - 1)]
    lost = 0.0
    seen = ours_below
    for j in range(n):
        here = mine[j]
        beaten = at_least[j + 1] if j + 1 < n else 0
        field_here = at_least[j] - beaten
        above = beaten + ours - seen - here
        tie = field_here + here
        last = len(total) - 1
        base = total[min(above, last)]
        with_one = (here + 1) * (total[min(above + tie + 1, last)] - base) / (tie + 1)
        without = 0.0
        if here > 0:
            without = here * (total[min(above + tie, last)] - base) / tie
        table[j] = with_one - without + lost
        if here > 0:
            moved = total[min(above + tie + 1, last)] - total[min(above + 1, last)]
            lost += here * moved / tie - without
            mine[j] = 0
        seen += here


@njit(cache=True, nogil=True)
def table_kernel(at_least, offset, low, total, own, tables, start, stop):
    """Fill `tables` for scenarios start … stop: scenario s holds offset[s + 1] − offset[s] ticks and one for below.

    `own` (S, m) are the ticks of entries already in; see `_gain_table`.
    """
    longest = 0
    for s in range(start, stop):
        longest = max(longest, offset[s + 1] - offset[s])
    mine = np.zeros(longest, np.int32)
    for s in range(start, stop):
        table = tables[offset[s] + s : offset[s + 1] + s + 1]
        _gain_table(at_least[offset[s] : offset[s + 1]], own[s], low[s], total, table, mine)


@njit(cache=True, nogil=True)
def gain_kernel(tables, offset, low, candidates, weight, gain, start, stop):
    """Add to `gain` (C,), for candidates start … stop, the weighted table values at their ticks (S, C)."""
    for s in range(len(low)):
        n = offset[s + 1] - offset[s]
        table = tables[offset[s] + s : offset[s + 1] + s + 1]
        for c in range(start, stop):
            j = candidates[s, c] - low[s]
            gain[c] += weight[s] * table[j if j >= 0 else n]


@njit(cache=True, nogil=True)
def expected_kernel(tables, offset, low, ticks, lineups, weight, sums, start, stop):
    """Add Σ w x, Σ w² x and Σ w² x², x the table value of a lineup, to `sums` (3, L) for lineups start … stop."""
    k = lineups.shape[1]
    for s in range(len(low)):
        n = offset[s + 1] - offset[s]
        table = tables[offset[s] + s : offset[s + 1] + s + 1]
        x = ticks[s]
        for i in range(start, stop):
            j = -low[s]
            for c in range(k):
                j += x[lineups[i, c]]
            paid = table[j if j >= 0 else n]
            worth = weight[s] * paid
            sums[0, i] += worth
            sums[1, i] += weight[s] * worth
            sums[2, i] += worth * worth


@njit(cache=True, nogil=True)
def score_kernel(ticks, lineups, score, start, stop):
    """Fill rows start … stop of `score` (S, L) with the lineups' scores in ticks."""
    for s in range(start, stop):
        for i in range(lineups.shape[0]):
            total = 0
            for j in range(lineups.shape[1]):
                total += ticks[s, lineups[i, j]]
            score[s, i] = total
