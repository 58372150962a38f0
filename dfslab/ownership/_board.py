"""A contest as the ownership forecasts see it: the slate before lock, and what is known of its ownership afterwards."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from dfslab.errors import InputError, UserError, as_day
from dfslab.lineups import LineupLaw
from dfslab.metrics import damped_newton
from dfslab.ownership._entrants import exposures
from dfslab.ownership._errors import LEAST
from dfslab.race import Scenarios
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules
from dfslab.slate import Contest, Slate, group_numbers

SIMULATED = ("model_points", "points_80", "points_90", "place_points", "dominator_points")
"""Columns of the race simulator: mean points, their 80 % and 90 % quantiles, and the mean points of places gained and
of laps led and fastest laps. Places are known only with a starting grid."""
VENDORS = ("projected_ownership", "projected_ownership_2")
OPTIONAL_COLUMNS = ("start", "projected_points", *VENDORS, "rating", "form", "points", *SIMULATED)
KINDS = ("tournament", "cash")
DRAFTING = "superspeedway"
"""Tracks where cars run in a pack: the family whose effects are told apart from all other tracks."""
LEVEL_POINTS = 0.2
"""Projections that differ by less than this share of their mean (standard deviation) say little."""
COMPLETE_SHARE = 0.9
"""A contest whose ownerships add up to less than this share of K misses drivers (real complete ones: .98 to 1)."""
MATCH_STEPS, MATCH_ERROR, MATCH_RIDGE, MATCH_REACH = 20, 1e-4, 1e-3, 8.0
"""Newton steps, the error in ownership that ends them, the ridge, and how far one step moves a log-worth."""
EXACT_DRIVERS = 60
"""Up to so many drivers the exact covariance is cheap."""


@dataclass(frozen=True, eq=False)
class ContestBoard:
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
    kind: str = "tournament"
    ownership: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    def column(self, name: str) -> np.ndarray:
        """Return a numeric column, (D,) float, NaN where unknown."""
        return self.columns.get(name, np.full(len(self), np.nan))

    def law(self, log_worths) -> LineupLaw:
        """Return the lineup law of these log-worths, (D,)."""
        return LineupLaw(log_worths, self.salary, self.rules, self.groups)

    @property
    def is_race(self) -> bool:
        """Whether it is a motor race: a track type or a starting grid is known."""
        return self.track_type is not None or bool((~np.isnan(self.column("start"))).any())

    @property
    def family(self) -> float:
        """One half on superspeedways, minus one half on other tracks, 0 where the track is not known."""
        return 0.0 if self.track_type is None else 0.5 if self.track_type == DRAFTING else -0.5

    @property
    def level(self) -> bool:
        """Whether projected points hardly differ: before the grid of a superspeedway nothing tells the cars apart."""
        points = self.column("projected_points")
        known = points[~np.isnan(points)]
        return len(known) > 0 and bool(known.std() < LEVEL_POINTS * known.mean())

    @cached_property
    def exposures(self) -> np.ndarray | None:
        """The mean exposure of fictitious entrants' portfolios, (D,); None where points are not known, or level."""
        return None if self.level else exposures(self)


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


def match_known(board: ContestBoard, log_worths, ownership, *, ridge=MATCH_RIDGE, error=MATCH_ERROR) -> np.ndarray:
    """Return the log-worths nearest to `log_worths` whose law shows `ownership` where that is not NaN, (D,).

    Only known drivers are moved, so the unknown ones share what is left as `log_worths` says: the information
    projection [csiszar1975], by Newton steps on the convex `log Z − θ·o + ½ ε Σ o·(θ − log_worths)²`. The small ridge
    ε stands for ownership that no law has: a vendor's may cost more than the cap.
    """
    known = ~np.isnan(ownership)
    start, own = np.array(log_worths, float), np.clip(ownership[known], LEAST, 1 - LEAST)

    def loss(moved):
        theta = start.copy()
        theta[known] += moved
        law = board.law(theta)
        value = law.log_normaliser - own @ theta[known] + 0.5 * ridge * own @ moved**2
        slope = law.marginals()[known] - own + ridge * own * moved
        return value, slope, lambda: _covariance_of(law)[np.ix_(known, known)] + ridge * np.diag(own)

    found = damped_newton(loss, np.zeros(known.sum()), error=error, reach=MATCH_REACH, max_steps=MATCH_STEPS)
    start[known] += found.x
    return start


def simulated_columns(scenarios: Scenarios, rules: ContestRules) -> pd.DataFrame:
    """Return what the ownership forecast reads of simulated races, one row per driver: the columns `SIMULATED`.

    `place_points` is NaN for a driver whose place on the grid is drawn, since nobody in the field knows it either.
    """
    finish, quantiles = scenarios.finish, scenarios.quantile([0.8, 0.9])
    gained = np.where(finish > 0, scenarios.start - finish, 0)
    laps = rules.scoring.lap_led * scenarios.laps_led + rules.scoring.fastest_lap * scenarios.fastest_laps
    drawn = np.ptp(scenarios.start, axis=0) > 0
    columns = {
        "model_points": scenarios.mean(),
        "points_80": quantiles[0.8],
        "points_90": quantiles[0.9],
        "place_points": np.where(drawn, np.nan, scenarios.weight @ gained * rules.scoring.place_differential),
        "dominator_points": scenarios.weight @ laps,
    }
    return pd.DataFrame(columns, index=scenarios.drivers)


def board_of(slate: Slate, contest: Contest | None, date) -> ContestBoard:
    """Return the board of `slate`; the date is the race's, else `date`."""
    racing = ~slate.out
    columns = {name: slate.column(name)[racing] for name in OPTIONAL_COLUMNS if name in slate.drivers}
    return ContestBoard(
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
        kind=contest.kind if contest is not None else KINDS[0],
    )


def _limit(contest) -> float:
    return float((contest.max_entries_per_user if contest is not None else None) or np.nan)


# ---------------------------------------------------------------- the history frame


def read_history(history, rules: ContestRules = DRAFTKINGS_NASCAR) -> tuple[tuple[ContestBoard, ...], tuple[str, ...]]:
    """Return the contests of a tidy history frame by date, and a sentence for each that cannot be used.

    `history` has one row per driver and contest: contest_id, date, driver, salary (dollars), ownership (fraction), and
    where known the columns of `OPTIONAL_COLUMNS`, track_type, entries, max_entries_per_user, kind, group. Ownership is
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


def _board_of_rows(rows: pd.DataFrame, rules) -> tuple[ContestBoard | None, str]:
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


def _assemble(rows, rules, own) -> ContestBoard:
    numeric = {c: pd.to_numeric(rows[c], errors="coerce").to_numpy(float) for c in OPTIONAL_COLUMNS if c in rows}
    groups = group_numbers(rows["group"]) if "group" in rows and rows["group"].notna().any() else None
    return ContestBoard(
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
        kind=str(_first(rows, "kind") or KINDS[0]),
        ownership=own,
    )


def _first(rows, name):
    known = rows[name].dropna() if name in rows else ()
    return known.iloc[0] if len(known) else None
