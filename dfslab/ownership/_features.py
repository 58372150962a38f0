"""What is known before lock: what past contests say of each driver, and the features the estimators read.

`PastOwnership` holds what earlier contests show of each driver; it answers for a date and never looks at that date or
later. A feature is a function (board, past) -> columns (D, p), or None where it is not known; `FEATURES` names them.
"""

from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import pandas as pd

from dfslab.ownership._board import LEVEL_POINTS, ContestBoard, match_known
from dfslab.ownership._errors import LEAST, affordable, log_odds

BENDS = (0.5, 1.0, 2.0, 3.0)
"""Where the worth of another $1,000 changes, above $6,000; a first guess that more bends did not improve."""
BEND_RIDGE = 0.3
"""Pull to 0, in drivers on every lineup, of the bent line that is taken out of one contest's ratios."""
LEFT_OUT = 0.05
"""A vendor whose unknown drivers would hold less than this share of the roster has covered about all of it."""
SMALL = 0.005
"""Half a percent: added to both sides of a ratio of ownerships, so that drivers nobody rosters say little."""
OWN_POINTS = 0.01
"""Projected points that are further than this from the simulator's (median) are a person's."""
SELDOM = 0.01
"""Exposure of an entrant's portfolio below which a driver counts as seldom chosen."""

# ---------------------------------------------------------------- what earlier contests say of a driver


@dataclass(frozen=True, eq=False)
class PastOwnership:
    """What earlier contests show, one row (n,) per driver and contest; `curve` (p,) explains salary.

    `residual` are log ratios of ownership to what salary explains, `surprise` points against what salary predicts; NaN
    where they are not known. Contests of one day share one vote, `vote`.
    """

    names: pd.Index
    dates: np.ndarray
    track_types: np.ndarray
    vote: np.ndarray
    residual: np.ndarray
    log_salary: np.ndarray
    surprise: np.ndarray
    curve: np.ndarray
    known: dict = field(default_factory=dict)

    @classmethod
    def of(cls, boards, curve) -> "PastOwnership":
        """Return what is remembered of `boards`; `curve` are coefficients of `salary_curve`."""
        days, sizes = [board.date for board in boards], np.array([len(board) for board in boards], int)
        rows = [_remembered(board, tuple(curve)) for board in boards]
        return cls(
            pd.Index([name for board in boards for name in board.names], dtype=object),
            np.repeat(np.array(days, "datetime64[D]"), sizes),
            np.repeat(np.array([board.track_type for board in boards], object), sizes),
            np.repeat(np.array([1 / days.count(day) for day in days]), sizes),
            *np.concatenate([np.zeros((3, 0)), *rows], axis=1),
            curve,
        )

    def features(self, board: ContestBoard) -> dict[str, np.ndarray]:
        """Return the features that are known of a board, (D, p) each."""
        if id(board) not in self.known:
            found = {name: feature(board, self) for name, (_, feature) in FEATURES.items()}
            self.known[id(board)] = board, {name: columns for name, columns in found.items() if columns is not None}
        return self.known[id(board)][1]


@lru_cache(maxsize=4_096)
def _remembered(board: ContestBoard, curve: tuple) -> np.ndarray:
    """Return what is remembered of a contest, (3, D): unexplained ownership, log salary, surprise."""
    expected = board.law(salary_curve(board) @ curve).marginals()
    return np.array([_unexplained(board, expected), np.log(board.salary), _points_surprise(board)])


def _unexplained(board: ContestBoard, expected) -> np.ndarray:
    """Return log ratios of ownership to what salary explains, less what a bent line in salary explains of them."""
    ratio = np.log((board.ownership + SMALL) / (expected + SMALL))
    known = ~np.isnan(ratio)
    price = _price(board)
    bends = np.column_stack([np.ones(len(price)), price, *(np.maximum(price - at, 0) for at in BENDS)])
    weight = expected * known
    moments = bends.T @ (weight[:, None] * bends) + BEND_RIDGE * np.eye(bends.shape[1])
    return ratio - bends @ np.linalg.solve(moments, bends.T @ (weight * np.where(known, ratio, 0.0)))


def _points_surprise(board: ContestBoard) -> np.ndarray:
    """Return fantasy points against what salary predicts within the contest, in standard deviations."""
    points = board.column("points")
    known = ~np.isnan(points)
    if known.sum() <= board.rules.roster_size or np.ptp(board.salary[known]) == 0:
        return np.full(len(board), np.nan)
    slope, level = np.polyfit(board.salary[known], points[known], 1)
    rest = points - (slope * board.salary + level)
    return rest / max(np.nanstd(rest), 1e-9)


# ---------------------------------------------------------------- features: (board, past) -> (D, p), or None


def _filled(board: ContestBoard, name: str) -> np.ndarray | None:
    """Return a column with gaps filled by its regression on salary; None when fewer than K drivers have a value."""
    values = board.column(name).copy()
    known = ~np.isnan(values)
    if known.sum() <= board.rules.roster_size:
        return None
    if not known.all():
        fit = np.polyfit(board.salary[known], values[known], 1) if np.ptp(board.salary[known]) else [0, values.mean()]
        values[~known] = np.polyval(fit, board.salary[~known])
    return values


def _standard(values) -> np.ndarray:
    return (values - values.mean()) / max(values.std(), 1e-9)


def _price(board: ContestBoard) -> np.ndarray:
    """Return salary in $1,000 of a $50,000 cap, above $6,000: 2.33 is what an average seat of a lineup costs."""
    return 50 * board.salary / board.rules.salary_cap - 6


def salary_curve(board, past=None) -> np.ndarray:
    """Return salary in $1,000 with bends, how the bends change with the size of the slate, and the slate's cheapest."""
    price = _price(board)
    bends = np.column_stack([price, *(np.maximum(price - at, 0) for at in BENDS)])
    cheapest = np.maximum(price.min() + 0.5 - price, 0)
    return np.column_stack([bends, bends * np.log(len(board) / 100), cheapest])


def salary_by_family(board, past=None):
    """Return salary in $1,000 by track family; None where the track is not known."""
    return None if board.family == 0 else (_price(board) * board.family)[:, None]


def remembered(board, past, *, table: str, days: float, shrink: float, here: bool = False):
    """Return the mean of a table of the past by driver, (D, 1), decayed over `days`, shrunk to 0 by `shrink` contests.

    Contests on the board's date and later count nothing, those of one day share one vote; `here` takes contests on this
    type of track alone.
    """
    age = (np.datetime64(board.date, "D") - past.dates).astype(float)
    place, values = pd.Index(board.names).get_indexer(past.names), getattr(past, table)
    weight = np.where((age > 0) & (place >= 0) & ~np.isnan(values), np.exp(-np.maximum(age, 0) / days) * past.vote, 0.0)
    if here:
        weight = weight * [kind is not None and kind == board.track_type for kind in past.track_types]
    if not weight.any():
        return None
    total, mean = (np.bincount(place + 1, w, len(board) + 1)[1:] for w in (weight, weight * np.nan_to_num(values)))
    return (mean / np.maximum(total + shrink, 1e-300))[:, None]


def price_move(board, past):
    """Return the log change of salary since the recent contests."""
    before = remembered(board, past, table="log_salary", days=20, shrink=0.0)
    return None if before is None else np.where(before > 0, np.log(board.salary)[:, None] - before, 0.0)


def column(board, past=None, *, name: str, unit: float | None = None):
    """Return a column of the slate about its mean, in `unit`, or in standard deviations."""
    values = _filled(board, name)
    if values is None:
        return None
    return (_standard(values) if unit is None else (values - values.mean()) / unit)[:, None]


def simulated(board, past=None, *, name: str):
    """Return what the simulator says of a driver's points, in tens; None where a person's points replace its own.

    The places and laps of the simulator are no part of what somebody else has projected.
    """
    gaps = np.abs(board.column("projected_points") - board.column("model_points"))
    gaps = gaps[~np.isnan(gaps)]
    return None if len(gaps) and np.median(gaps) > OWN_POINTS else column(board, name=name, unit=10.0)


def projection(board, past=None):
    """Return projected points, standardised, the same by track family, and standardised points per dollar."""
    values = _filled(board, "projected_points")
    if values is None:
        return None
    points = (values - values.mean()) / max(values.std(), LEVEL_POINTS * abs(values.mean()), 1e-9)
    return np.column_stack([points, points * board.family, _standard(values / board.salary)])


def entrants(board, past=None):
    """Return the log-odds of what fictitious entrants' portfolios hold."""
    share = board.exposures
    return None if share is None else log_odds(np.clip(share, SELDOM, 1 - SELDOM))[:, None]


def vendor(board, past, *, name: str = "projected_ownership"):
    """Return what turns the log-worths of salary alone into those of a vendor's projected ownership.

    A vendor's lineups need not cost what a field's do (real forecasts came to $50,090 and $50,214, above the cap): a
    level and a slope in salary are taken out, so that they cost what salary alone says, as every field's nearly do.
    """
    own, size = board.column(name), board.rules.roster_size
    known = ~np.isnan(own)
    if known.sum() <= size:
        return None
    start = salary_alone(board, past)[:, 0]
    if size - own[known].sum() < LEFT_OUT * size:
        alone = board.law(start).marginals()
        odds = log_odds(np.where(known, own, np.minimum(alone, LEAST)))
        own = np.where(known, affordable(odds[None], board.salary, alone)[0], np.nan)
    return (match_known(board, start, np.minimum(own, 0.97)) - start)[:, None]


def salary_alone(board, past):
    """Return what salary alone says, by the curve fitted on past contests: what a vendor knows already."""
    return (salary_curve(board) @ past.curve)[:, None]


def starting_place(board, past=None):
    """Return the places a driver can gain (start below the place his salary buys), and the same by track family."""
    start = _filled(board, "start")
    if start is None:
        return None
    bought = pd.Series(-board.salary).rank().to_numpy()
    room = (pd.Series(start).rank().to_numpy() - bought) / len(board)
    return np.column_stack([room, room * board.family])


SIZE = "size and kind"
FEATURES = {
    "salary_curve": ("salary", salary_curve),
    "salary_by_family": ("salary", salary_by_family),
    "salary_alone": ("salary", salary_alone),
    "price_move": ("salary", price_move),
    "popularity": ("history", partial(remembered, table="residual", days=45, shrink=1.0)),
    "popularity_here": ("history", partial(remembered, table="residual", days=365, shrink=1.0, here=True)),
    "recent_popularity": ("history", partial(remembered, table="residual", days=10, shrink=0.3)),
    "points_form": ("form", partial(remembered, table="surprise", days=30, shrink=1.0)),
    "given_form": ("form", partial(column, name="form")),
    "rating": ("form", partial(column, name="rating")),
    "projection": ("points", projection),
    "dominator_value": ("points", partial(simulated, name="dominator_points")),
    "place_value": ("start", partial(simulated, name="place_points")),
    "starting_place": ("start", starting_place),
    "entrants": ("fictitious entrants", entrants),
    "vendor": ("vendor", vendor),
    "vendor_2": ("second vendor", partial(vendor, name="projected_ownership_2")),
}
"""What a person calls the input that a feature reads, and the feature. The points of places and of laps (in tens) are
the simulator's: a fast car that starts deep, and one that may lead."""
