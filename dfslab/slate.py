"""The nouns every stage shares: a race, its slate of drivers, its results, and a contest with its prizes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from dfslab import rules as _rules
from dfslab.errors import UserError, as_day, did_you_mean, number_between, whole_number

__all__ = ["Contest", "Race", "Results", "Slate", "SlateError", "UserError", "group_numbers"]


class SlateError(UserError):
    """A slate, contest or race that cannot be played; the message says which row and what to change."""


@dataclass(frozen=True)
class Race:
    """What is known of a race before it starts."""

    race_id: str
    date: pd.Timestamp
    track: str
    track_type: str
    track_length_mi: float
    sched_laps: int
    series: str = "cup"
    name: str = ""

    def __post_init__(self):
        where = f"race {self.race_id}"
        object.__setattr__(self, "date", as_day(self.date, f"{where}: date"))
        object.__setattr__(self, "sched_laps", whole_number(self.sched_laps, f"{where}: sched_laps", 1))
        length = number_between(self.track_length_mi, f"{where}: track_length_mi", 0.05, 10)
        object.__setattr__(self, "track_length_mi", length)


@dataclass(frozen=True, repr=False)
class Slate:
    """The drivers one can roster, in the order of the input; a driver is a row number.

    `drivers` has the columns driver, salary (dollars), out (bool: has a salary but does not race) and whatever
    else came along (dk_id, start, projected_points, projected_ownership as a fraction, group, …). It never holds a
    result. `starters` lists everybody who races (driver, start, …), with or without a salary.
    """

    drivers: pd.DataFrame
    rules: _rules.ContestRules = _rules.DRAFTKINGS_NASCAR
    race: Race | None = None
    starters: pd.DataFrame | None = None
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def from_frame(cls, frame, rules=_rules.DRAFTKINGS_NASCAR, race=None, starters=None, notes=()) -> "Slate":
        """Return the slate of `frame` (columns driver, salary; see the class); raise `SlateError` on bad rows."""
        drivers = _checked_drivers(pd.DataFrame(frame).reset_index(drop=True), rules)
        if starters is None:
            starters = drivers.loc[~drivers["out"]].drop(columns=["salary", "out"]).reset_index(drop=True)
        return cls(drivers, rules, race, starters, tuple(notes))

    def __len__(self) -> int:
        return len(self.drivers)

    def __repr__(self) -> str:
        of = f" of {self.race.race_id}" if self.race else ""
        return f"Slate({len(self)} drivers{of}, {int(self.out.sum())} of them out; {self.rules.roster_size} a lineup)"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.drivers.to_html(max_rows=12, index=False)}"

    @cached_property
    def names(self) -> np.ndarray:
        """Driver names, (D,) object."""
        return self.drivers["driver"].to_numpy(object)

    @cached_property
    def salary(self) -> np.ndarray:
        """Salaries in dollars, (D,) int."""
        return self.drivers["salary"].to_numpy(np.int64, copy=True)

    @cached_property
    def out(self) -> np.ndarray:
        """Who does not race, (D,) bool."""
        return self.drivers["out"].to_numpy(bool, copy=True)

    @cached_property
    def groups(self) -> np.ndarray | None:
        """Group numbers, (D,) int, at most one driver of each in a lineup; None without the column `group`."""
        return group_numbers(self.drivers["group"]) if "group" in self.drivers else None

    def column(self, name: str, default=np.nan) -> np.ndarray:
        """Return the numeric column `name` as (D,) float, or `default` throughout when the slate lacks it."""
        if name not in self.drivers:
            return np.full(len(self), default, float)
        column = self.drivers[name]
        numbers = pd.to_numeric(column, errors="coerce")
        text = np.flatnonzero(numbers.isna() & column.notna())
        if len(text):
            who, cell = self.names[text[0]], str(column.iloc[text[0]])[:40]
            raise SlateError(f"slate: {name} of {who} is {cell!r}; give a number, or leave it blank")
        return numbers.to_numpy(float, na_value=np.nan, copy=True)

    def align(self, values, name: str = "values") -> np.ndarray:
        """Return `values` as (D,) float in row order: a Series or dict goes by driver, a vector is taken as it is."""
        if isinstance(values, Mapping):
            values = pd.Series(values, dtype=float)
        if isinstance(values, pd.Series):
            twice = values.index[values.index.duplicated()]
            if len(twice):
                raise SlateError(f"{name}: {twice[0]} comes twice; give one value per driver")
            missing = [d for d in self.names if d not in values.index]
            if missing:
                raise SlateError(f"{name}: no value for {', '.join(missing[:5])}; give one per driver of the slate")
            values = values.reindex(self.names)
        values = np.array(values, float)
        if values.shape != (len(self),):
            raise SlateError(f"{name}: {values.shape} given, one value for each of {len(self)} drivers needed")
        return values

    def of_racing(self, values, name: str) -> np.ndarray:
        """Return `values` as `align` does, 0 for drivers who are out, whom a Series may leave out."""
        if isinstance(values, pd.Series):
            gone = self.names[self.out]
            values = pd.concat([values[~values.index.isin(gone)], pd.Series(0.0, gone)])
        return np.where(self.out, 0.0, self.align(values, name))

    def fractions(self, ownership) -> np.ndarray:
        """Return `ownership` as (D,) fractions in row order, 0 for drivers who are out; refuse percents and gaps."""
        own = self.of_racing(ownership, "ownership")
        bad = self.names[~(np.isfinite(own) & (own >= 0))]
        if len(bad):
            raise SlateError(f"ownership: {bad[0]} has none or a negative one; give every racing driver a fraction")
        if (own > 1).any():
            percent = f"{self.names[np.argmax(own)]} has {own.max():g}; these look like percents"
            raise SlateError(f"ownership: {percent}, give fractions (0.25 for 25 %)")
        return own

    def rows(self, names, option: str = "") -> np.ndarray:
        """Return the row numbers of driver `names`; an unknown name raises, blaming the `option` it was given for."""
        index = pd.Index(self.names).get_indexer(list(names))
        if (index < 0).any():
            unknown = [n for n, i in zip(names, index, strict=True) if i < 0]
            hint = did_you_mean(unknown[0], self.names, "write the name as on the slate")
            raise SlateError(f"{f'{option}: ' * bool(option)}not on the slate: {', '.join(map(str, unknown))}; {hint}")
        return index

    def lineup_names(self, lineups) -> pd.Series:
        """Return each lineup of (L, K) row numbers as its drivers' names, dearest first."""
        lineups = np.asarray(lineups, int).reshape(-1, self.rules.roster_size)
        rows = np.take_along_axis(lineups, np.argsort(-self.salary[lineups], axis=1, kind="stable"), axis=1)
        return pd.Series([", ".join(names) for names in self.names[rows]], name="lineup", dtype=object)

    def exposure(self, lineups) -> pd.Series:
        """Return the share of `lineups` (L, K) that hold each driver, by driver."""
        lineups = np.asarray(lineups, int)
        held = np.bincount(lineups.ravel(), minlength=len(self))
        return pd.Series(held / max(1, len(lineups)), self.names, name="exposure")


def group_numbers(labels: pd.Series) -> np.ndarray:
    """Return `labels` as numbers, (D,) int; a blank is a group of its own."""
    alone = labels.isna().to_numpy()
    codes = pd.factorize(labels)[0]
    codes[alone] = codes.max() + 1 + np.arange(alone.sum())
    return codes


def _checked_drivers(drivers: pd.DataFrame, rules) -> pd.DataFrame:
    for needed in ("driver", "salary"):
        if needed not in drivers:
            raise SlateError(f"slate: column '{needed}' is missing; have {', '.join(map(str, drivers.columns))}")
    blank = np.flatnonzero(drivers["driver"].isna() | (drivers["driver"].astype(str).str.strip() == ""))
    if len(blank):
        raise SlateError(f"slate: row {blank[0] + 1} has no driver; write his name, or remove the row")
    twice = drivers["driver"][drivers["driver"].duplicated()]
    if len(twice):
        raise SlateError(f"slate: {twice.iloc[0]} is listed twice; keep one row per driver")
    salary = pd.to_numeric(drivers["salary"], errors="coerce")
    bad = drivers["driver"][~(salary > 0) | (salary % 1 != 0)]
    if len(bad):
        raise SlateError(f"slate: {bad.iloc[0]} has no salary in whole dollars above 0; correct row {bad.index[0] + 1}")
    drivers = drivers.assign(salary=salary.astype(np.int64), out=_flags(drivers))
    racing = drivers.loc[~drivers["out"], "salary"].to_numpy()
    k = rules.roster_size
    if len(racing) < k:
        raise SlateError(f"slate: {len(racing)} drivers race, a lineup needs {k}")
    cheapest = int(np.sort(racing)[:k].sum())
    if cheapest > rules.salary_cap:
        raise SlateError(f"slate: the cheapest lineup costs ${cheapest:,}, above the cap of ${rules.salary_cap:,}")
    return drivers


def _flags(drivers: pd.DataFrame) -> np.ndarray:
    """Return who is out, (D,) bool; a blank is no."""
    cells = pd.Series(drivers.get("out", False), drivers.index, dtype=object)
    odd = np.flatnonzero(~cells.isin([True, False]) & cells.notna())
    if len(odd):
        raise SlateError(f"slate: out of {drivers['driver'][odd[0]]} is {cells[odd[0]]!r}; give True or False")
    return cells.where(cells.notna(), False).to_numpy(bool)


@dataclass(frozen=True)
class Results:
    """What happened: `frame` with driver, finish, start, laps_led, fastest_laps, points. Never part of a slate."""

    race_id: str
    frame: pd.DataFrame

    def points(self, slate: Slate) -> np.ndarray:
        """Return the points by row of `slate`, (D,) float; 0 for drivers who did not race."""
        known = self.frame.set_index("driver")["points"]
        return known.reindex(slate.names).fillna(0.0).to_numpy(float)


CASH_SHARE = 0.4
"""Share of the entries paid from which a contest is a cash game (double-ups and 50/50s pay 40 to 50 %)."""


@dataclass(frozen=True, repr=False)
class Contest:
    """A tournament: fee in dollars, number of entries it holds, prizes by rank.

    `payouts` is a frame or a list of dicts with min_rank, max_rank and prize (dollars for each rank of the range).
    Raises `SlateError` when ranges overlap, leave a gap, reach past `entries`, or contradict `pool`.
    """

    entry_fee: float
    entries: int
    payouts: pd.DataFrame
    max_entries_per_user: int | None = None
    pool: float | None = None
    name: str = ""
    contest_id: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        fee = number_between(self.entry_fee, "contest: entry_fee", 0, 1e9, " (dollars)")
        entries, limit = whole_number(self.entries, "contest: entries", 1), self.max_entries_per_user
        limit = None if pd.isna(limit) else whole_number(limit, "contest: max_entries_per_user", 1)
        payouts = _checked_payouts(self.payouts, entries, self.pool)
        checked = {"entry_fee": fee, "entries": entries, "max_entries_per_user": limit, "payouts": payouts}
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if pd.isna(self.pool):
            object.__setattr__(self, "pool", self.prizes.sum() / 100)

    @cached_property
    def prizes(self) -> np.ndarray:
        """Prize of each rank in cents, (entries,) int."""
        cents = np.zeros(self.entries, np.int64)
        for low, high, prize in self.payouts[["min_rank", "max_rank", "prize"]].to_numpy():
            cents[int(low) - 1 : int(high)] = round(prize * 100)
        return cents

    @property
    def kind(self) -> str:
        """`cash` where at least 40 % of the entries are paid (double-ups, 50/50s), else `tournament`."""
        return "cash" if (self.prizes > 0).mean() >= CASH_SHARE else "tournament"

    def entering(self, n: int) -> int:
        """Return how many of `n` lineups may enter: the first so many, up to the limit per user."""
        return int(min(n, self.max_entries_per_user or n))

    def top_ranks(self, share: float = 0.01) -> int:
        """Return the last rank that belongs to the best `share` of the entries, at least 1."""
        return max(1, int(np.ceil(share * self.entries)))

    def __repr__(self) -> str:
        limit = f", {self.max_entries_per_user} a user" if self.max_entries_per_user else ""
        prizes = f"${self.pool:,.0f} for {int((self.prizes > 0).sum()):,} ranks"
        return f"Contest({self.kind} of {self.entries:,} entries at ${self.entry_fee:,.2f}{limit}: {prizes})"

    @property
    def rake(self) -> float:
        """Share of the fees that is not paid out (negative: an overlay)."""
        fees = self.entry_fee * self.entries
        return 1.0 - self.pool / fees if fees else 0.0


def _checked_payouts(payouts, entries: int, pool: float | None) -> pd.DataFrame:
    table = pd.DataFrame(payouts)
    if table.empty:
        raise SlateError("payouts: no prize is listed; give rows of min_rank, max_rank and prize")
    missing = {"min_rank", "max_rank", "prize"} - set(table.columns)
    if missing:
        raise SlateError(f"payouts: column {', '.join(sorted(missing))} is missing")
    table = table[["min_rank", "max_rank", "prize"]].apply(pd.to_numeric, errors="coerce")
    table = table.sort_values("min_rank", ignore_index=True)
    first, last, prize = table.to_numpy().T
    bad = ~np.isfinite(table).all(axis=1) | (first % 1 != 0) | (last % 1 != 0) | (last < first) | (prize < 0)
    if bad.any():
        row = ", ".join(f"{name} {value:g}" for name, value in table[bad].iloc[0].items())
        raise SlateError(f"payouts: a row has {row}; ranks are whole numbers in order, a prize is dollars, 0 or more")
    due = np.append(1, last[:-1] + 1)
    if (first != due).any():
        i = int(np.argmax(first != due))
        raise SlateError(f"payouts: rank {first[i]:.0f} comes where rank {due[i]:.0f} is due; leave no gap, no overlap")
    if last[-1] > entries:
        raise SlateError(f"payouts: rank {last[-1]:.0f} is paid, the contest holds {entries} entries")
    total = float(((table["max_rank"] - table["min_rank"] + 1) * (table["prize"] * 100).round()).sum() / 100)
    if pd.notna(pool) and abs(total - pool) > 0.005:
        raise SlateError(f"payouts: prizes add up to ${total:,.2f}, the advertised pool is ${pool:,.2f}")
    return table.astype({"min_rank": np.int64, "max_rank": np.int64, "prize": float})
