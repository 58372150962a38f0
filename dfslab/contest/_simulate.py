"""The contest: ranks, ties and prizes of our entries inside a field, over many scenarios.

Our entries are part of the contest. Every entry's score is counted in integer ticks, entries with equal scores share
the prizes of the ranks they cover, and what is paid out in a scenario is the pool. Prizes that are tickets count at
their face value.
"""

from dataclasses import dataclass, replace
from dataclasses import field as _field
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd

from dfslab.contest import _kernels as _payout
from dfslab.errors import UserError
from dfslab.metrics import scenario_weights
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules
from dfslab.slate import Contest

BLOCK = 128
"""Scenarios whose payout tables are held at once: a few megabytes."""


FINER_TICKS = (0.01, 0.001)
"""Grids for points that are no multiples of the rules' tick, such as means; MMA points are multiples of .01."""
MOST_TICKS = 1_000_000
"""Largest score of a driver in ticks, so that sums stay exact and histograms small."""
ON_GRID = 0.02
"""Largest distance from the grid, in ticks, that counts as rounding error: DK files hold 238.65001."""


class ContestError(UserError):
    """A contest that cannot be simulated; the message says what does not fit and what to change."""


@dataclass(frozen=True)
class ContestResult:
    """What our entries earned, by scenario.

    `payout` (S, L) dollars before the fee, and `rank` (S, L), the best rank an entry shares, in the order of the
    lineups given; lineups past the per-user limit did not enter: payout 0 and rank 0. `weight` (S,) sums to 1.
    `notes` are sentences for the page (an overlay, the per-user limit, tickets).
    """

    payout: np.ndarray
    rank: np.ndarray
    contest: Contest
    entered: int
    weight: np.ndarray
    notes: tuple[str, ...] = _field(default=())

    @cached_property
    def profit(self) -> np.ndarray:
        """Profit of all entered lineups together after fees, (S,) dollars."""
        return self.payout.sum(axis=1) - self.entered * self.contest.entry_fee

    @property
    def expected_payout(self) -> tuple[float, float]:
        """What all entered lineups are expected to win together, and its standard error, dollars."""
        return mean_and_error(self.payout.sum(axis=1), self.weight)

    def entry_metrics(self) -> pd.DataFrame:
        """Return one row per lineup: expected payout, ROI (each with a standard error), win, top 1 % and cash chances.

        `win` counts a shared first place; `top_1pct` is a rank within the best 1 % of the contest's entries (at
        least the first). Rows that did not enter are NaN.
        """
        mean, error = mean_and_error(self.payout, self.weight)
        fee = self.contest.entry_fee or np.nan
        frame = pd.DataFrame(
            {
                "expected_payout": mean,
                "expected_payout_se": error,
                "roi": mean / fee - 1,
                "roi_se": error / fee,
                "win": self.weight @ (self.rank == 1),
                "top_1pct": self.weight @ (self.rank <= self.contest.top_ranks(0.01)),
                "cash": self.weight @ (self.payout > 0),
            }
        )
        frame.loc[self.entered :] = np.nan
        return frame


def mean_and_error(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean over scenarios (axis 0) and its standard error; `weight` sums to 1."""
    mean = weight @ values
    squares = weight**2 @ (values - mean) ** 2
    spread = 1.0 - (weight**2).sum()
    return mean, np.sqrt(squares / spread) if spread > 0 else mean * np.nan


def simulate_contest(
    lineups,
    field,
    points,
    contest: Contest,
    *,
    weight=None,
    rules: ContestRules = DRAFTKINGS_NASCAR,
    threads: int | None = None,
) -> ContestResult:
    """Play `contest` in every scenario, our lineups against the field and against each other.

    Parameters
    ----------
    lineups : (L, K) driver rows, ours; the order within a row is free
    field : (F, K) driver rows of all other entries; may be (0, K)
    points : (S, D) fantasy points
    contest : entry fee, size and prizes
    weight : (S,) scenario weights, default equal
    rules : says the tick scores are counted in (.05 for NASCAR); points off that grid use a finer one, with a note
    threads : default one per core; the numbers do not depend on it

    Returns
    -------
    ContestResult with `.payout` (S, L) in dollars before the fee.

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
    entered, notes = _entering(len(lineups), len(field), contest)
    ticks, tick_notes = _ticks(points, rules)
    rank = np.zeros((len(points), len(lineups)), np.int32)
    cents = np.zeros(rank.shape)
    counted = _payout.count_lineups(field, points.shape[1])
    own, total = np.ascontiguousarray(lineups[:entered]), _prizes_up_to(contest)

    def play(start, stop):
        _payout.play_kernel(ticks, own, *counted, total, cents, rank, start, stop)

    _payout.in_threads(play, len(points), threads)
    notes = (*notes, *tick_notes, *contest.notes)
    return ContestResult(cents / 100, rank, contest, entered, scenario_weights(weight, len(points)), notes)


def unpaid(lineups, field, points, contest: Contest, *, rules: ContestRules = DRAFTKINGS_NASCAR) -> np.ndarray:
    """Return what is left of the pool when our lineups that enter and the whole field are paid, (S,) dollars.

    It is 0 in every scenario of a full contest: nothing is lost or made in splitting ties.
    """
    ours = np.asarray(lineups)[: contest.entering(len(lineups))]
    everybody = np.concatenate([ours, np.asarray(field)[: contest.entries - len(ours)]])
    alone = replace(contest, max_entries_per_user=None)
    paid = simulate_contest(everybody, everybody[:0], points, alone, rules=rules).payout
    return np.round(contest.pool - paid.sum(axis=1), 6)


def field_runs(n_scenarios: int, n_fields: int) -> list[slice]:
    """Cut scenarios into one run per field, as even as can be; each field plays its own."""
    cuts = np.linspace(0, n_scenarios, n_fields + 1).astype(int)
    return [slice(start, stop) for start, stop in pairwise(cuts) if stop > start]


@dataclass(frozen=True)
class FieldScores:
    """The field's scores in every scenario, kept from the cash line upwards: the stage for choosing a portfolio.

    `at_least[offset[s] + j]` is the number of the field's entries that score `low[s] + j` ticks or more in scenario
    s; below `low[s]` nothing is paid. Build it with `from_field`; scores are integer ticks from `scores`.
    """

    ticks: np.ndarray
    low: np.ndarray
    offset: np.ndarray
    at_least: np.ndarray
    contest: Contest
    threads: int | None = None

    @classmethod
    def from_field(
        cls, field, points, contest: Contest, rules: ContestRules = DRAFTKINGS_NASCAR, threads: int | None = None
    ) -> "FieldScores":
        """Count `field` (F, K) in every scenario of `points` (S, D); of fields (n, F, K) each plays its own run."""
        points = _checked_points(points)
        fields = field if len(field) and np.ndim(field[0]) == 2 else [field]
        fields = [_checked_lineups(one, points.shape[1], "field") for one in fields]
        most = max(map(len, fields))
        if most >= contest.entries:
            raise ContestError(f"the field has {most:,} entries; leave room for ours below {contest.entries:,}")
        counted = [_payout.count_lineups(one, points.shape[1]) for one in fields]
        return cls._of(counted, _ticks(points, rules)[0], contest, threads)

    @classmethod
    def _of(cls, counted, ticks, contest, threads) -> "FieldScores":
        paid, found = max(int(np.count_nonzero(contest.prizes)), contest.top_ranks(0.01)), []
        for one, run in zip(counted, field_runs(len(ticks), len(counted)), strict=False):

            def count(start, stop, one=one, here=ticks[run]):
                return _payout.field_kernel(here, paid, *one, start, stop)

            found += _payout.in_threads(count, run.stop - run.start, threads)
        low, size, at_least = map(np.concatenate, zip(*found, strict=True))
        return cls(ticks, low, np.concatenate([[0], np.cumsum(size)]), at_least, contest, threads)

    def scores(self, lineups) -> np.ndarray:
        """Return the scores of `lineups` (L, K) in ticks, (S, L) int32."""
        lineups = _checked_lineups(lineups, self.ticks.shape[1], "lineups")
        score = np.empty((len(self.ticks), len(lineups)), np.int32)

        def fill(start, stop):
            _payout.score_kernel(self.ticks, lineups, score, start, stop)

        _payout.in_threads(fill, len(self.ticks), self.threads)
        return score

    def alone(self, candidates, weight, group=None) -> np.ndarray:
        """Return what candidates (L, K) who enter alone get, (G, 5, L), x being cents won in a scenario of weight w.

        The rows are Σ w x, Σ w² x, Σ w² x², the weight of x > 0 and that of a rank within the best 1 % of entries;
        `group` (S,) is the number of a scenario's group of G (default: all in one).
        """
        candidates = _checked_lineups(candidates, self.ticks.shape[1], "candidates")
        group = np.zeros(len(self.low), np.int64) if group is None else np.asarray(group, np.int64)
        sums, top = np.zeros((group.max() + 1, 5, len(candidates))), self.contest.top_ranks(0.01)
        field = self.at_least, self.offset, self.low, self.ticks, _prizes_up_to(self.contest), top
        ours = candidates, np.asarray(weight, float), group, sums

        def add(start, stop):
            _payout.expected_kernel(*field, *ours, start, stop)

        _payout.in_threads(add, len(candidates), self.threads, chunk=2048)
        return sums


def expected_payouts(
    candidates,
    field,
    points,
    contest: Contest,
    weight=None,
    *,
    rules: ContestRules = DRAFTKINGS_NASCAR,
    threads: int | None = None,
) -> pd.DataFrame:
    """Return what every candidate gets who enters alone against the field.

    Parameters are those of `simulate_contest`; `candidates` is (L, K), and L may be 100,000 and more.

    Returns
    -------
    frame with L rows: expected_payout, expected_payout_se (dollars before the fee), chances `cash` of a prize and
    `top_1pct` of a rank within the best 1 % of the contest's entries
    """
    points = _checked_points(points)
    candidates = _checked_lineups(candidates, points.shape[1], "candidates")
    field = _checked_lineups(field, points.shape[1], "field", candidates.shape[1])
    _entering(1, len(field), contest)
    weight = scenario_weights(weight, len(points))
    ticks, counted = _ticks(points, rules)[0], _payout.count_lineups(field, points.shape[1])
    blocks = (slice(start, start + BLOCK) for start in range(0, len(points), BLOCK))
    parts = (FieldScores._of([counted], ticks[b], contest, threads).alone(candidates, weight[b]) for b in blocks)
    mean, first, second, cash, top = sum(parts)[0]
    spread = 1.0 - (weight**2).sum()
    squares = np.maximum(second - 2 * mean * first + mean**2 * (weight**2).sum(), 0.0)
    error = np.sqrt(squares / spread) if spread > 0 else mean * np.nan
    money = {"expected_payout": mean / 100, "expected_payout_se": error / 100}
    return pd.DataFrame(money | {"cash": cash, "top_1pct": top})


def _entering(n_lineups: int, n_field: int, contest: Contest) -> tuple[int, tuple[str, ...]]:
    """Return how many of our lineups enter, and what to say about it."""
    limit = contest.max_entries_per_user
    entered = min(n_lineups, int(limit)) if limit else n_lineups
    if entered == 0:
        raise ContestError("no lineup to enter; give at least one")
    total, notes = entered + n_field, []
    if total > contest.entries:
        raise ContestError(
            f"{entered:,} lineups and a field of {n_field:,} are {total:,} entries; "
            f"the contest holds {contest.entries:,}: draw a field of {max(contest.entries - entered, 0):,}"
        )
    if entered < n_lineups:
        notes.append(
            f"A user may enter {limit:,} lineups: the money is that of the first {entered:,} of {n_lineups:,}."
        )
    if total < contest.entries:
        unpaid = contest.prizes[total:].sum() / 100
        rest = f", so ${unpaid:,.2f} in prizes reaches nobody" if unpaid else ", all prizes are paid"
        notes.append(f"Overlay: {total:,} of {contest.entries:,} places are filled{rest}.")
    return entered, tuple(notes)


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
        raise ContestError(
            f"{name}: row {twice.argmax()} is {rows[twice.argmax()].tolist()}; a lineup holds no driver twice"
        )
    return ordered


def _ticks(points: np.ndarray, rules: ContestRules) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return points as (S, D) int32 ticks, on the rules' grid or on the first finer one that holds them."""
    for tick in (rules.tick, *FINER_TICKS):
        scaled = points / tick
        ticks = np.rint(scaled)
        if np.abs(scaled - ticks).max() < ON_GRID:
            done = "counted in"
            break
    else:
        done = "rounded to"
    if np.abs(ticks).max() > MOST_TICKS:
        raise ContestError(f"points: {np.abs(points).max():,.0f} is no fantasy score (most: {MOST_TICKS * tick:,.0f})")
    notes = () if tick == rules.tick else (f"Points are no multiples of {rules.tick}; scores are {done} {tick}.",)
    return ticks.astype(np.int32), notes
