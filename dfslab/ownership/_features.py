"""What can be known of a slate's ownership before lock: past contests, what they say of each driver, and features.

A `Board` is one slate as the estimators see it (only drivers who race). A `Memory` holds what earlier contests said
of each driver; it answers for a date and never looks at that date or later.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from dfslab.errors import InputError, UserError, as_day
from dfslab.lineups import LineupLaw
from dfslab.ownership._errors import LEAST, affordable, log_odds
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules
from dfslab.slate import Contest, Slate, group_numbers

__all__ = ["SIZE", "Board", "Memory", "board_of", "covariance", "inputs_of", "match_known", "read_history"]

OPTIONAL_COLUMNS = ("start", "projected_points", "projected_ownership", "rating", "form", "points", "avg_points")
BENDS = (0.5, 1.0, 2.0, 3.0)
"""Where the worth of another $1,000 changes, above $6,000; a first guess that more bends did not improve."""
BEND_RIDGE = 0.3
"""Pull to 0, in drivers on every lineup, of the bent line that is taken out of one contest's ratios."""
COMPLETE_SHARE = 0.9
"""A contest whose ownerships add up to less than this share of K misses drivers (real complete ones: .98 to 1)."""
MATCH_STEPS, MATCH_ERROR, MATCH_RIDGE, MATCH_REACH = 20, 1e-4, 1e-3, 8.0
"""Newton steps, the error in ownership that ends them, the ridge, and how far one step moves a log-worth."""
EXACT_DRIVERS = 60
"""Up to so many drivers the exact covariance is cheap."""
LEFT_OUT = 0.05
"""A vendor whose unknown drivers would hold less than this share of the roster has told about all of it."""
SMALL = 0.005
"""Half a percent: added to both sides of a ratio of ownerships, so that drivers nobody rosters say little."""


@dataclass(frozen=True, eq=False)
class Board:
    """One slate before lock, drivers who race only; `ownership` (NaN where unknown) is what the contest then showed."""

    names: np.ndarray
    salary: np.ndarray
    rules: ContestRules
    date: pd.Timestamp
    contest_id: str = ""
    groups: np.ndarray | None = None
    columns: dict = field(default_factory=dict)
    track_type: str | None = None
    entries: float = np.nan
    max_entries_per_user: float = np.nan
    ownership: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    def column(self, name: str) -> np.ndarray:
        """Return a numeric column, (D,) float, NaN where unknown."""
        return self.columns.get(name, np.full(len(self), np.nan))

    def law(self, log_worths) -> LineupLaw:
        """Return the lineup law of these log-worths, (D,)."""
        return LineupLaw(log_worths, self.salary, self.rules, self.groups)


def covariance(law: LineupLaw) -> np.ndarray:
    """Return about the covariance of the drivers of a lineup of `law`, (D, D).

    As if drivers were drawn apart, but with their number fixed and the lineup's salary at its true variance: the cap
    ties drivers together through little else. The exact one costs D passes instead of one.
    """
    pi = law.marginals()
    left, probability = law.unspent_distribution()
    spread = (probability @ left**2 - (probability @ left) ** 2) / 1e6
    weight = pi * (1 - pi)
    fixed = np.column_stack([np.ones(len(pi)), law.salary / 1000])
    weighted = weight[:, None] * fixed
    loading = weighted @ np.linalg.inv(fixed.T @ weighted + 1e-9 * np.eye(2))
    return np.diag(weight) - loading @ weighted.T + spread * np.outer(loading[:, 1], loading[:, 1])


def _covariance_of(law: LineupLaw) -> np.ndarray:
    if len(law.theta) > EXACT_DRIVERS:
        return covariance(law)
    pi = law.marginals()
    return law.pair_marginals() - np.outer(pi, pi)


def match_known(board: Board, log_worths, ownership, *, ridge=MATCH_RIDGE, error=MATCH_ERROR) -> np.ndarray:
    """Return the log-worths nearest to `log_worths` whose law shows `ownership` where that is not NaN, (D,).

    Only known drivers are moved, so the unknown ones share what is left as `log_worths` says: the information
    projection [csiszar1975], by Newton steps on the convex `log Z − θ·o + ½ ε Σ o·(θ − log_worths)²`. The small ridge
    ε stands for ownership that no law has: a vendor's may cost more than the cap.
    """
    known = ~np.isnan(ownership)
    start, own = np.array(log_worths, float), np.clip(ownership[known], LEAST, 1 - LEAST)
    law = board.law(start)
    for _ in range(MATCH_STEPS):
        moved = (law.theta - start)[known]
        slope = own - law.marginals()[known] - ridge * own * moved
        if np.abs(slope).max() < error:
            break
        step = np.linalg.solve(_covariance_of(law)[np.ix_(known, known)] + ridge * np.diag(own), slope)
        step *= min(1.0, MATCH_REACH / np.abs(step).max())
        law = _nearer(board, law, start, (known, own, ridge), step)
    return law.theta


def _nearer(board: Board, law: LineupLaw, start, target, step) -> LineupLaw:
    """Return the law after the first of the step's halvings that lowers the objective of `match_known`."""
    known, own, ridge = target

    def objective(law):
        moved = (law.theta - start)[known]
        return law.log_normaliser - own @ law.theta[known] + 0.5 * ridge * own @ moved**2

    before = objective(law)
    for halving in range(10):
        theta = law.theta.copy()
        theta[known] += step / 2**halving
        new = board.law(theta)
        if objective(new) < before:
            return new
    return law


def board_of(slate: Slate, contest: Contest | None, date) -> Board:
    """Return the board of `slate`; the date is the race's, else `date`."""
    racing = ~slate.out
    columns = {name: slate.column(name)[racing] for name in OPTIONAL_COLUMNS if name in slate.drivers}
    return Board(
        names=slate.names[racing],
        salary=slate.salary[racing],
        rules=slate.rules,
        date=slate.race.date if slate.race is not None else pd.Timestamp(date),
        contest_id=contest.contest_id if contest is not None else "",
        groups=None if slate.groups is None else slate.groups[racing],
        columns={k: v for k, v in columns.items() if k != "points"},
        track_type=slate.race.track_type if slate.race is not None else None,
        entries=float(contest.entries) if contest is not None else np.nan,
        max_entries_per_user=_limit(contest),
    )


def _limit(contest) -> float:
    return float((contest.max_entries_per_user if contest is not None else None) or np.nan)


# ---------------------------------------------------------------- the history frame


def read_history(history, rules: ContestRules = DRAFTKINGS_NASCAR) -> tuple[tuple[Board, ...], tuple[str, ...]]:
    """Return the contests of a tidy history frame by date, and a sentence for each that cannot be used.

    `history` has one row per driver and contest: contest_id, date, driver, salary (dollars), ownership (fraction), and
    where known the columns of `OPTIONAL_COLUMNS`, track_type, entries, max_entries_per_user, group. Ownership is
    rescaled to sum to K; NaN is a driver whose ownership is not known.

    Raises
    ------
    InputError : a column is missing, an ownership is not a fraction, a driver is listed twice
    """
    if history is None or len(history) == 0:
        return (), ()
    frame = _checked(pd.DataFrame(history))
    boards, notes = [], []
    for _, rows in frame.groupby(["date", "contest_id"], sort=True):
        board, why = _board_of_rows(rows, rules)
        if board is None:
            notes.append(f"contest {rows['contest_id'].iloc[0]}: {why}; left out")
        else:
            boards.append(board)
    return tuple(boards), tuple(notes)


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    missing = [c for c in ("contest_id", "date", "driver", "salary", "ownership") if c not in frame]
    if missing:
        raise InputError(f"ownership history: column {', '.join(missing)} is missing")
    frame = frame.assign(contest_id=frame["contest_id"].astype(str)).reset_index(drop=True)
    days = pd.to_datetime(frame["date"].map({date: _day(date) for date in frame["date"].unique()}))
    for bad in np.flatnonzero(days.isna())[:1]:
        row = frame.iloc[bad]
        raise InputError(
            f"ownership history: row {bad + 1} ({row['driver']}, contest {row['contest_id']}) has the date "
            f"{str(row['date'])[:40]!r}; give one such as 2025-04-13"
        )
    told, own = frame["ownership"], pd.to_numeric(frame["ownership"], errors="coerce")
    for bad in np.flatnonzero((own > 1 + 1e-9) | (own < 0) | (own.isna() & told.notna()))[:1]:
        row = frame.iloc[bad]
        raise InputError(
            f"ownership history: row {bad + 1} ({row['driver']}, contest {row['contest_id']}) has ownership "
            f"{told[bad]}; give fractions between 0 and 1 (52 % is 0.52)"
        )
    frame = frame.assign(date=days, ownership=own)
    twice = frame[frame.duplicated(["contest_id", "driver"])]
    if len(twice):
        row = twice.iloc[0]
        raise InputError(f"ownership history: {row['driver']} is twice in contest {row['contest_id']}; keep one row")
    return frame


def _day(date):
    try:
        return as_day(date)
    except UserError:
        return pd.NaT


def _board_of_rows(rows: pd.DataFrame, rules) -> tuple[Board | None, str]:
    rows = rows[pd.to_numeric(rows["salary"], errors="coerce") > 0]
    if len(rows) <= rules.roster_size:
        return None, f"{len(rows)} drivers with a salary"
    own = rows["ownership"].to_numpy(float, copy=True)
    total, known = np.nansum(own), ~np.isnan(own)
    if known.all() and total < COMPLETE_SHARE * rules.roster_size:
        return None, f"its ownerships add up to {total:.2f} of {rules.roster_size}, so drivers are missing"
    if total > rules.roster_size / COMPLETE_SHARE:
        return None, f"its ownerships add up to {total:.2f}, more than {rules.roster_size}"
    if known.all():
        own = np.minimum(own * rules.roster_size / total, 0.999)
    return _assemble(rows, rules, own), ""


def _assemble(rows, rules, own) -> Board:
    numeric = {c: pd.to_numeric(rows[c], errors="coerce").to_numpy(float) for c in OPTIONAL_COLUMNS if c in rows}
    groups = group_numbers(rows["group"]) if "group" in rows and rows["group"].notna().any() else None
    return Board(
        names=rows["driver"].to_numpy(object),
        salary=rows["salary"].to_numpy(float).astype(np.int64),
        rules=rules,
        date=rows["date"].iloc[0],
        contest_id=rows["contest_id"].iloc[0],
        groups=groups,
        columns=numeric,
        track_type=_first(rows, "track_type"),
        entries=float(_first(rows, "entries") or np.nan),
        max_entries_per_user=float(_first(rows, "max_entries_per_user") or np.nan),
        ownership=own,
    )


def _first(rows, name):
    known = rows[name].dropna() if name in rows else ()
    return known.iloc[0] if len(known) else None


# ---------------------------------------------------------------- what earlier contests say of a driver


@dataclass(frozen=True, eq=False)
class Memory:
    """Log ratios of ownership to what salary explains, (C contests, N drivers), NaN where a driver was not there."""

    names: pd.Index
    dates: np.ndarray
    track_types: np.ndarray
    residual: np.ndarray
    log_salary: np.ndarray
    surprise: np.ndarray
    curve: np.ndarray

    @classmethod
    def of(cls, boards, curve) -> "Memory":
        """Return the memory of `boards`; `curve` (p,) are the coefficients of `salary_curve` that explain salary."""
        expected = [b.law(salary_curve(b) @ curve).marginals() for b in boards]
        names = pd.Index(pd.unique(np.concatenate([b.names for b in boards])) if boards else [], dtype=object)
        tables = np.full((3, len(boards), len(names)), np.nan)
        for c, (board, pi) in enumerate(zip(boards, expected, strict=True)):
            place = names.get_indexer(board.names)
            tables[0, c, place] = _unexplained(board, pi)
            tables[1, c, place] = np.log(board.salary)
            tables[2, c, place] = _points_surprise(board)
        dates = np.array([b.date for b in boards], "datetime64[D]")
        types = np.array([b.track_type for b in boards], object)
        return cls(names, dates, types, *tables, curve)

    def weights(self, board: Board, days: float) -> np.ndarray:
        """Return the weight of each contest as seen from `board`, (C,): 0 on its date and later, halved for twins."""
        age = (np.datetime64(board.date, "D") - self.dates).astype(float)
        _, code, count = np.unique(self.dates, return_inverse=True, return_counts=True)
        return np.where(age > 0, np.exp(-np.maximum(age, 0) / days), 0.0) / np.maximum(count[code], 1)

    def average(self, board: Board, table, weights, shrink: float) -> np.ndarray:
        """Return the weighted mean of `table` by driver of `board`, shrunk to 0 by `shrink` contests, (D,)."""
        place = self.names.get_indexer(board.names)
        values = table[:, place]
        seen = ~np.isnan(values) & (place >= 0)
        total = (weights[:, None] * np.where(seen, values, 0.0)).sum(axis=0)
        return total / np.maximum((weights[:, None] * seen).sum(axis=0) + shrink, 1e-300)

    def knows(self, board: Board, table=None) -> bool:
        """Whether some driver of `board` was seen before its date."""
        place = self.names.get_indexer(board.names)
        earlier = self.dates < np.datetime64(board.date, "D")
        table = self.residual if table is None else table
        return bool((~np.isnan(table[earlier][:, place[place >= 0]])).any())


def _unexplained(board: Board, expected) -> np.ndarray:
    """Return log ratios of ownership to what salary explains, less what a bent line in salary explains of them."""
    ratio = np.log((board.ownership + SMALL) / (expected + SMALL))
    known = ~np.isnan(ratio)
    price = _price(board)
    bends = np.column_stack([np.ones(len(price)), price, *(np.maximum(price - at, 0) for at in BENDS)])
    weight = expected * known
    moments = bends.T @ (weight[:, None] * bends) + BEND_RIDGE * np.eye(bends.shape[1])
    return ratio - bends @ np.linalg.solve(moments, bends.T @ (weight * np.where(known, ratio, 0.0)))


def _points_surprise(board: Board) -> np.ndarray:
    """Return fantasy points against what salary predicts within the contest, in standard deviations."""
    points = board.column("points")
    known = ~np.isnan(points)
    if known.sum() <= board.rules.roster_size or np.ptp(board.salary[known]) == 0:
        return np.full(len(board), np.nan)
    slope, level = np.polyfit(board.salary[known], points[known], 1)
    rest = points - (slope * board.salary + level)
    return rest / max(np.nanstd(rest), 1e-9)


# ---------------------------------------------------------------- features: (board, memory) -> (D, p), or None


def _filled(board: Board, name: str) -> np.ndarray | None:
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


def _price(board: Board) -> np.ndarray:
    """Return salary in $1,000 of a $50,000 cap, above $6,000: 2.33 is what an average seat of a lineup costs."""
    return 50 * board.salary / board.rules.salary_cap - 6


def salary_curve(board, memory=None) -> np.ndarray:
    """Return salary in $1,000 with bends, how the bends change with the size of the slate, and the slate's cheapest."""
    price = _price(board)
    bends = np.column_stack([price, *(np.maximum(price - at, 0) for at in BENDS)])
    cheapest = np.maximum(price.min() + 0.5 - price, 0)
    return np.column_stack([bends, bends * np.log(len(board) / 100), cheapest])


def salary_bend(board, memory=None) -> np.ndarray:
    """Return salary in $1,000 and what is above $7,000 of it, (D, 2): the shape a recalibration may change."""
    price = _price(board)
    return np.column_stack([price, np.maximum(price - 1, 0)])


def popularity(board, memory):
    """Return what the driver drew before relative to salary, decayed over 45 days, alone and by salary level."""
    if not memory.knows(board):
        return None
    drew = memory.average(board, memory.residual, memory.weights(board, 45), 1.0)
    return np.column_stack([drew, drew * np.minimum(_price(board), 4) / 2])


def popularity_here(board, memory):
    """Return the same on this type of track, decayed over a year."""
    same = np.array([t == board.track_type for t in memory.track_types], bool)
    table = np.where(same[:, None], memory.residual, np.nan)
    if board.track_type is None or not memory.knows(board, table):
        return None
    return memory.average(board, table, memory.weights(board, 365), 1.0)[:, None]


def recent_popularity(board, memory):
    """Return what the driver drew in the last weeks relative to salary."""
    if not memory.knows(board):
        return None
    return memory.average(board, memory.residual, memory.weights(board, 10), 0.3)[:, None]


def price_move(board, memory):
    """Return the log change of salary since the recent contests."""
    if not memory.knows(board):
        return None
    weights = memory.weights(board, 20)
    before = memory.average(board, memory.log_salary, weights, 0.0)
    return np.where(before > 0, np.log(board.salary) - before, 0.0)[:, None]


def points_form(board, memory):
    """Return recent fantasy points against salary's expectation, decayed over 30 days."""
    if not memory.knows(board, memory.surprise):
        return None
    return memory.average(board, memory.surprise, memory.weights(board, 30), 1.0)[:, None]


def given_form(board, memory=None):
    """Return the slate's own `form` column, standardised."""
    values = _filled(board, "form")
    return None if values is None else _standard(values)[:, None]


def projection(board, memory=None):
    """Return projected points and projected points per dollar, each standardised."""
    values = _filled(board, "projected_points")
    return None if values is None else np.column_stack([_standard(values), _standard(values / board.salary)])


def vendor(board, memory):
    """Return what turns the log-worths of salary alone into those of a vendor's projected ownership, and the former.

    A vendor's lineups need not cost what a field's do (real forecasts came to $50,090 and $50,214, above the cap): a
    level and a slope in salary are taken out, so that they cost what salary alone says, as every field's nearly do.
    """
    own = board.column("projected_ownership")
    known = ~np.isnan(own)
    if known.sum() <= board.rules.roster_size:
        return None
    start = salary_curve(board) @ memory.curve
    if board.rules.roster_size - own[known].sum() < LEFT_OUT * board.rules.roster_size:
        own = np.where(known, _at_the_cost_of(board, board.law(start).marginals(), own), np.nan)
    return np.column_stack([match_known(board, start, np.minimum(own, 0.97)) - start, start])


def _at_the_cost_of(board: Board, alone, own) -> np.ndarray:
    """Return ownership `own` (NaN unknown) with the sum and the mean lineup salary of `alone`, (D,)."""
    price = (board.salary - board.salary.mean()) / 1000
    filled = np.where(np.isnan(own), np.minimum(alone, LEAST), own)
    return affordable(log_odds(filled)[None], price, alone)[0]


def rating(board, memory=None):
    """Return the skill rating, standardised."""
    values = _filled(board, "rating")
    return None if values is None else _standard(values)[:, None]


def starting_place(board, memory=None):
    """Return the start from the front and the places a driver can gain (start below the place his salary buys)."""
    start = _filled(board, "start")
    if start is None:
        return None
    bought = pd.Series(-board.salary).rank().to_numpy()
    room = (pd.Series(start).rank().to_numpy() - bought) / len(board)
    return np.column_stack([room, np.maximum(room, 0)])


SIZE = "size and kind"
INPUTS = {
    "salary_curve": ("salary",),
    "popularity": ("history",),
    "popularity_here": ("history",),
    "recent_popularity": ("history",),
    "price_move": ("salary",),
    "points_form": ("form",),
    "given_form": ("form",),
    "rating": ("form",),
    "projection": ("points",),
    "starting_place": ("start",),
    "vendor": ("vendor", "salary"),
}
"""What a person calls the columns of a feature; the last name holds for the rest of the columns."""


def inputs_of(feature, columns: int) -> tuple[str, ...]:
    """Return the input of each of the columns of a feature."""
    names = INPUTS[feature.__name__]
    return (*names, *(names[-1],) * columns)[:columns]
