"""The contest: ranks, ties and prizes of our entries inside a field, over many scenarios.

Our entries are part of the contest. Every entry's score is counted in integer ticks, entries with equal scores share
the prizes of the ranks they cover, and what is paid out in a scenario is the pool. Prizes that are tickets count at
their face value.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dfslab.contest import _kernels
from dfslab.errors import UserError
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules
from dfslab.slate import Contest

CHUNK = 512
"""Scenarios whose gains are summed together; fixed, so that the number of threads changes nothing."""
FINER_TICKS = (0.01, 0.001)
"""Grids for points that are no multiples of the rules' tick, such as means; MMA points are multiples of .01."""
MOST_TICKS = 1_000_000
"""Largest score of a driver in ticks, so that sums stay exact and histograms small."""
ON_GRID = 0.02
"""Largest distance from the grid, in ticks, that counts as rounding error: DK files hold 238.65001."""


class ContestError(UserError):
    """A contest that cannot be simulated; the message says what does not fit and what to change."""


class ContestResult(NamedTuple):
    """What our entries earned, by scenario.

    `payout` (S, L) dollars before the fee, and `rank` (S, L), the best rank an entry shares, in the order of the
    lineups given; lineups past the per-user limit did not enter: payout 0 and rank 0.
    """

    payout: np.ndarray
    rank: np.ndarray


def mean_and_error(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean over scenarios (axis 0) and its standard error; `weight` sums to 1."""
    mean = weight @ values
    squares = weight**2 @ (values - mean) ** 2
    spread = 1.0 - (weight**2).sum()
    return mean, np.sqrt(squares / spread) if spread > 0 else mean * np.nan


def simulate_contest(
    lineups, field, points, contest: Contest, *, rules: ContestRules = DRAFTKINGS_NASCAR
) -> ContestResult:
    """Play `contest` in every scenario, our lineups against the field and against each other.

    Parameters
    ----------
    lineups : (L, K) driver rows, ours; the order within a row is free
    field : (F, K) driver rows of all other entries; may be (0, K)
    points : (S, D) fantasy points
    contest : entry fee, size and prizes
    rules : says the tick scores are counted in (.05 for NASCAR); points off that grid use a finer one

    Returns
    -------
    ContestResult with `.payout` (S, L) in dollars before the fee. One thread per core; the numbers do not depend on it.

    Equal scores share the sum of the prizes of the ranks they cover. With a per-user limit M the first min(L, M)
    lineups enter, the others earn nothing and push nobody down. Fewer entries than the contest holds is an overlay:
    the best ranks are paid as printed, ranks nobody reaches are not.

    Raises `ContestError` for more entries than the contest holds, unknown driver rows, repeated drivers in a lineup,
    or shapes that do not fit.

    Examples
    --------
    >>> prizes = [{"min_rank": 1, "max_rank": 1, "prize": 10}, {"min_rank": 2, "max_rank": 2, "prize": 5}]
    >>> two = Contest(entry_fee=5, entries=3, payouts=prizes)
    >>> simulate_contest([[0, 1]], [[0, 2], [1, 2]], [[30.0, 20.0, 20.0]], two).payout
    array([[7.5]])
    """
    points = _checked_points(points)
    lineups = _checked_lineups(lineups, points.shape[1], "lineups")
    field = _checked_lineups(field, points.shape[1], "field", lineups.shape[1])
    entered, ticks = _entering(len(lineups), len(field), contest), _ticks(points, rules)
    rank = np.zeros((len(points), len(lineups)), np.int32)
    cents = np.zeros(rank.shape)
    counted = _kernels.count_lineups(field, points.shape[1])
    own, total = np.ascontiguousarray(lineups[:entered]), _prizes_up_to(contest)

    def play(start, stop):
        _kernels.play_kernel(ticks, own, *counted, total, cents, rank, start, stop)

    _kernels.in_threads(play, len(points))
    return ContestResult(cents / 100, rank)


def field_runs(n_scenarios: int, n_fields: int) -> list[slice]:
    """Cut scenarios into one run per field, as even as can be; each field plays its own."""
    cuts = np.linspace(0, n_scenarios, n_fields + 1).astype(int)
    return [slice(start, stop) for start, stop in pairwise(cuts) if stop > start]


@dataclass(frozen=True)
class FieldScores:
    """The field's scores in every scenario, kept from the cash line upwards: what our lineups are chosen against.

    `at_least[offset[s] + j]` is the number of the field's entries that score `low[s] + j` ticks or more in scenario
    s; below `low[s]` nothing is paid. Build it with `from_field`; `ticks` (S, D) are the drivers' points.
    """

    ticks: np.ndarray
    low: np.ndarray
    offset: np.ndarray
    at_least: np.ndarray
    contest: Contest

    @classmethod
    def from_field(cls, field, points, contest: Contest, rules: ContestRules = DRAFTKINGS_NASCAR) -> "FieldScores":
        """Count `field` (F, K) in every scenario of `points` (S, D); of fields (n, F, K) each plays its own run."""
        ticks = _ticks(_checked_points(points), rules)
        fields = field if len(field) and np.ndim(field[0]) == 2 else [field]
        most, paid, found = max(map(len, fields)), int(np.count_nonzero(contest.prizes)), []
        if most >= contest.entries:
            raise ContestError(f"the field has {most:,} entries; leave room for ours below {contest.entries:,}")
        for one, run in zip(fields, field_runs(len(ticks), len(fields)), strict=False):
            counted = _kernels.count_lineups(_checked_lineups(one, ticks.shape[1], "field"), ticks.shape[1])

            def count(start, stop, counted=counted, here=ticks[run]):
                return _kernels.field_kernel(here, paid, *counted, start, stop)

            found += _kernels.in_threads(count, run.stop - run.start)
        low, size, at_least = map(np.concatenate, zip(*found, strict=True))
        return cls(ticks, low, np.concatenate([[0], np.cumsum(size)]), at_least, contest)


class OurEntries:
    """Our lineups entering a field one after another, and what each further one would add, ours competing.

    Parameters
    ----------
    field : the field's scores
    lineups : (C, K) driver rows that may enter
    weight : (S,) scenario weights
    most : how many will enter at most
    """

    def __init__(self, field: FieldScores, lineups, weight, most: int = 0):
        n, total = len(field.low), _prizes_up_to(field.contest)
        self.weight = np.ascontiguousarray(weight, float)
        self.lineups = _checked_lineups(lineups, field.ticks.shape[1], "lineups")
        ours = np.empty((n, most), np.int32), np.zeros(n, np.int64), np.zeros((n, most + 1))
        self._state = field.ticks, field.low, field.offset, field.at_least, total, *ours

    def gains(self, rows=None) -> np.ndarray:
        """Return what each lineup of `rows` (default all) would add to our expected payout, in dollars."""
        rows = np.ascontiguousarray(np.arange(len(self.lineups)) if rows is None else rows, np.int64)

        def part(start, stop):
            return _kernels.gains_kernel(*self._state, self.lineups, rows, self.weight, start, stop)

        return np.sum(_kernels.in_threads(part, len(self.weight), CHUNK), axis=0) / 100

    def enter(self, row: int) -> None:
        """Make lineup `row` one of ours."""

        def part(start, stop):
            _kernels.enter_kernel(*self._state, self.lineups, row, start, stop)

        _kernels.in_threads(part, len(self.weight), CHUNK)


def _entering(n_lineups: int, n_field: int, contest: Contest) -> int:
    """Return how many of our lineups enter."""
    entered = contest.entering(n_lineups)
    if entered == 0:
        raise ContestError("no lineup to enter; give at least one")
    total = entered + n_field
    if total > contest.entries:
        raise ContestError(
            f"{entered:,} lineups and a field of {n_field:,} are {total:,} entries; "
            f"the contest holds {contest.entries:,}: draw a field of {max(contest.entries - entered, 0):,}"
        )
    return entered


def _prizes_up_to(contest: Contest) -> np.ndarray:
    """Return the prizes of the best r ranks together in cents, (entries + 1,) float, r = 0 … entries."""
    return np.concatenate([[0], np.cumsum(contest.prizes)]).astype(float)


def _checked_points(points) -> np.ndarray:
    points = np.asarray(points, float)
    if points.ndim != 2 or not len(points):
        raise ContestError(f"points: shape {points.shape} given, (scenarios, drivers) needed")
    if not np.isfinite(points).all():
        s, d = np.argwhere(~np.isfinite(points))[0]
        raise ContestError(f"points: scenario {s}, driver row {d} is {points[s, d]}; every driver needs a number")
    return points


def _checked_lineups(lineups, n_drivers: int, name: str, size: int | None = None) -> np.ndarray:
    """Return `lineups` as (n, K) int32 with sorted rows, or raise naming the row that is wrong."""
    rows = np.asarray(lineups)
    if rows.size == 0:
        return np.zeros((0, size or (rows.shape[1] if rows.ndim == 2 else 1)), np.int32)
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.integer) or (size and rows.shape[1] != size):
        raise ContestError(f"{name}: {rows.dtype} of shape {rows.shape} given, whole numbers (n, {size or 'K'}) needed")
    if rows.min() < 0 or rows.max() >= n_drivers:
        bad = int(np.argmax(((rows < 0) | (rows >= n_drivers)).any(axis=1)))
        raise ContestError(f"{name}: row {bad} is {rows[bad].tolist()}; drivers are rows from 0 to {n_drivers - 1}")
    ordered = np.sort(rows.astype(np.int32), axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if twice.any():
        bad = int(twice.argmax())
        raise ContestError(f"{name}: row {bad} is {rows[bad].tolist()}; a lineup holds no driver twice")
    return ordered


def _ticks(points: np.ndarray, rules: ContestRules) -> np.ndarray:
    """Return points as (S, D) int32 ticks, on the rules' grid or on the first finer one that holds them, or nearly."""
    for tick in (rules.tick, *FINER_TICKS):
        scaled = points / tick
        ticks = np.rint(scaled)
        if np.abs(scaled - ticks).max() < ON_GRID:
            break
    if np.abs(ticks).max() > MOST_TICKS:
        raise ContestError(f"points: {np.abs(points).max():,.0f} is no fantasy score (most: {MOST_TICKS * tick:,.0f})")
    return ticks.astype(np.int32)
