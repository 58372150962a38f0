"""A contest as the ownership forecasts see it: the slate before lock, and what is known of its ownership afterwards."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from dfslab.errors import InputError, as_day
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
KNOWN_BEFORE = ("start", "projected_points", *VENDORS, "rating", "form", *SIMULATED)
"""Columns of a slate that forecasts read where they are known; a past contest also has `points`, what it came to."""
DRAFTING = "superspeedway"
"""Tracks where cars run in a pack: the family whose effects are kept apart from all other tracks."""
LEVEL_POINTS = 0.2
"""Projections that differ by less than this share of their mean (standard deviation) say little."""
COMPLETE_SHARE = 0.9
"""A contest whose ownerships add up to less than this share of K misses drivers (real complete ones: .98 to 1)."""
MATCH_STEPS, MATCH_ERROR, MATCH_RIDGE, MATCH_REACH = 20, 1e-4, 1e-3, 8.0
"""Newton steps, the error in ownership that ends them, the ridge, and how far one step moves a log-worth."""


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


def by_date(boards) -> dict:
    """Return the boards of each date, in order: contests of one date are one race."""
    return {date: tuple(b for b in boards if b.date == date) for date in sorted({b.date for b in boards})}


def covariance(law: LineupLaw) -> np.ndarray:
    """Return an approximate covariance of the drivers of a lineup of `law`, (D, D).

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


def match_known(board: ContestBoard, log_worths, ownership, *, ridge=MATCH_RIDGE, error=MATCH_ERROR) -> np.ndarray:
    """Return the log-worths nearest to `log_worths` whose law shows `ownership` where that is not NaN, (D,).

    Only known drivers are moved, so the unknown ones share what is left as `log_worths` says: the information
    projection [csiszar1975], by Newton steps on the convex `log Z − θ·o + ½ ε Σ o·(θ − log_worths)²`. The small ridge
    ε stands for ownership that no law has: a vendor's may cost more than the cap.
    """
    known = ~np.isnan(ownership)
    both = np.ix_(known, known)
    start, own = np.array(log_worths, float), np.clip(ownership[known], LEAST, 1 - LEAST)

    def loss(moved):
        theta = start.copy()
        theta[known] += moved
        law = board.law(theta)
        value = law.log_normaliser - own @ theta[known] + 0.5 * ridge * own @ moved**2
        pi = law.marginals()
        slope = pi[known] - own + ridge * own * moved
        return value, slope, lambda: (law.pair_marginals() - np.outer(pi, pi))[both] + ridge * np.diag(own)

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
    racing, race = ~slate.out, slate.race
    played = () if contest is None else ("contest_id", "kind", "entries")
    return ContestBoard(
        names=slate.names[racing],
        salary=slate.salary[racing],
        rules=slate.rules,
        date=pd.Timestamp(date) if race is None else race.date,
        groups=None if slate.groups is None else slate.groups[racing],
        columns={name: slate.column(name)[racing] for name in KNOWN_BEFORE},
        track_type=None if race is None else race.track_type,
        **{name: getattr(contest, name) for name in played},
    )


# ---------------------------------------------------------------- the history frame


def read_history(history, rules: ContestRules = DRAFTKINGS_NASCAR) -> tuple[tuple[ContestBoard, ...], tuple[str, ...]]:
    """Return the contests of a tidy history frame by date, and a sentence for each that cannot be used.

    `history` has one row per driver and contest: contest_id, date, driver, salary (dollars), ownership (fraction), and
    where known the columns of `KNOWN_BEFORE`, points, track_type, entries, kind, group. Ownership is rescaled to sum to
    K; NaN is a driver whose ownership is not known.

    Raises
    ------
    InputError : a column is missing, an ownership is not a fraction, a driver is listed twice
    """
    boards, notes = [], []
    if history is None or len(history) == 0:
        return (), ()
    for (_, contest_id), rows in _checked(pd.DataFrame(history)).groupby(["date", "contest_id"], sort=True):
        priced = rows[pd.to_numeric(rows["salary"], errors="coerce") > 0]
        why = _unusable(priced["ownership"], rules.roster_size)
        if why:
            notes.append(f"contest {contest_id}: {why}; left out")
        else:
            boards.append(_board_of_rows(priced, rules))
    return tuple(boards), tuple(notes)


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    missing = [c for c in ("contest_id", "date", "driver", "salary", "ownership") if c not in frame]
    if missing:
        raise InputError(f"ownership history: column {', '.join(missing)} is missing")
    frame = frame.assign(contest_id=frame["contest_id"].astype(str)).reset_index(drop=True)
    days = {date: as_day(date, "ownership history: date") for date in frame["date"].unique()}
    own = pd.to_numeric(frame["ownership"], errors="coerce")
    no_share = ~own.between(0, 1 + 1e-9) & frame["ownership"].notna()
    twice, shares = "he is there twice; keep one row", "give fractions between 0 and 1 (52 % is 0.52)"
    for column, wrong, remedy in (
        ("ownership", no_share, shares),
        ("driver", frame.duplicated(["contest_id", "driver"]), twice),
    ):
        if wrong.any():
            row = frame[wrong].iloc[0]
            where = f"row {row.name + 1} ({row['driver']}, contest {row['contest_id']})"
            raise InputError(f"ownership history: {where} has the {column} {str(row[column])[:40]!r}; {remedy}")
    return frame.assign(date=frame["date"].map(days), ownership=own)


def _unusable(own: pd.Series, size: int) -> str:
    """Return why a contest of these ownerships cannot be used; empty when it can."""
    total = own.sum()
    if len(own) <= size:
        return f"{len(own)} drivers with a salary"
    if own.notna().all() and total < COMPLETE_SHARE * size:
        return f"its ownerships add up to {total:.2f} of {size}, so drivers are missing"
    return f"its ownerships add up to {total:.2f}, more than {size}" if total > size / COMPLETE_SHARE else ""


def _board_of_rows(rows: pd.DataFrame, rules) -> ContestBoard:
    own = rows["ownership"].to_numpy(float, copy=True)
    own = own if np.isnan(own).any() else np.minimum(own * rules.roster_size / own.sum(), 0.999)
    facts = rows.reindex(columns=["contest_id", "date", "track_type", "entries", "kind"]).bfill().iloc[0].dropna()
    return ContestBoard(
        names=rows["driver"].to_numpy(object),
        salary=rows["salary"].to_numpy(float).astype(np.int64),
        rules=rules,
        groups=group_numbers(rows["group"]) if "group" in rows and rows["group"].notna().any() else None,
        columns={
            name: pd.to_numeric(rows[name], errors="coerce").to_numpy(float)
            for name in (*KNOWN_BEFORE, "points")
            if name in rows
        },
        ownership=own,
        **facts,
    )
