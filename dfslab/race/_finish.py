"""The working model of the finishing order: attrition on what was known of each driver before the race.

The log-worth is linear in decayed records (finish, running position, rating … of driver, team and car), in start and
practice, and in a driver's own effect; it is fitted to the order of the cars that ran to the end. Everything known of a
race comes from earlier races, in the fit as in the forecast.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from dfslab.race._form import KNOWN, features, flag, history_table, number, plain, race_starts
from dfslab.race._market import POOL, market_chances, market_worths
from dfslab.race._orders import Choices, maximise

# ---------------------------------------------------------------- the model

HALF_LIFE_DAYS = 350.0
"""Half-life of a race in the fit. This and the ridges: walk-forward on 2020–2023, flat between 300 and 600 days."""
RIDGE_BASE, RIDGE_FAMILY, RIDGE_DRIVER = 1.0, 250.0, 60.0
RIDGE_PRACTICE = 100.0
"""About three races' worth: practice may have been recorded for a few races only (flat between 50 and 200)."""
TEMPERATURE = 0.85
"""Factor on log-worths, which are overconfident: .8 to .9 serve Cup and Xfinity alike. A factor fitted by track family
scored .012 ± .004 worse in rank probability on the Cup's 2022–2023 and .004 ± .003 on 2024–2025."""
BLOCK, FIRST_BLOCK = 36, 12
"""Races between the refits that give past races their log-worths, at most; the least to learn from."""


@dataclass(frozen=True)
class FinishModel:
    """The working model of the finishing order; fit with `FinishModel.fit`.

    `coefficients` is a Series by feature and driver; `past` (rows of `table`,) what it made of earlier races,
    `pool` the weights of the market's log-worths and of its own where a race has odds.
    """

    coefficients: pd.Series
    table: pd.DataFrame = field(repr=False)
    past: np.ndarray = field(repr=False)
    pool: tuple[float, float] = POOL
    others: pd.DataFrame | None = field(default=None, repr=False)

    @classmethod
    def fit(cls, results: pd.DataFrame, races: pd.DataFrame, before=None, others=None) -> "FinishModel":
        """Fit on the races before the date `before` (all of them when it is left out).

        Parameters
        ----------
        results : history frame with race_id, driver, finish and, where known, the columns of `KNOWN` and `SEEN`.
            Disqualified cars are left out of their race, cars that dropped out out of the order.
        races : history frame with race_id, date, track, track_type
        others : results and races of other series, from which drivers new to this one borrow their record
        """
        course = working_course(results, races, others)
        rows = len(course.table) if before is None else course.rows_before(before)
        if not rows:
            raise ValueError(f"results: no race before {before}; the finish model needs history")
        return course.model(rows)

    def log_worth(self, drivers: pd.DataFrame, race) -> np.ndarray:
        """Return the log-worth of each row of `drivers` in `race`, (D,), mean zero.

        Parameters
        ----------
        drivers : frame with driver and, where known, start, team, car, manufacturer, practice_best_rank. Team, car and
            manufacturer left out are those of the driver's last race; a rookie gets what his team and car have earned.
            Optional `market`, chances to win by the odds (the margin is taken out, see `market_chances`), is pooled
        race : `Race`; races of history on its day or later are not used
        """
        past, rows = self._rows(drivers, race)
        both = pd.concat([past, rows.reindex(columns=past.columns)], ignore_index=True)
        design = features(both, self.others).iloc[len(past) :]
        worth = design.to_numpy() @ self.coefficients[design.columns].to_numpy()
        worth += self.coefficients.reindex("driver " + rows["who"]).fillna(0.0).to_numpy()
        worth = TEMPERATURE * (worth - worth.mean())
        return worth if "market" not in drivers else self._pooled(worth, drivers)

    def teams(self, drivers: pd.DataFrame, race) -> np.ndarray:
        """Return a number for each row's team in `race`, (D,), -1 where neither `drivers` nor history knows it."""
        return pd.factorize(self._rows(drivers, race)[1]["team"])[0]

    def _rows(self, drivers, race):
        """Return the races before `race` and its entries, what is not given filled from each driver's last race."""
        rows = pd.DataFrame({name: drivers.get(name, np.nan) for name in KNOWN}).reset_index(drop=True)
        facts = {"race_id": race.race_id, "date": race.date, "track": race.track, "track_type": race.track_type}
        rows = rows.assign(**facts, who=plain(rows["driver"]))
        past = self.table[(self.table["date"] < race.date) & (self.table["race_id"] != race.race_id)]
        last = past.drop_duplicates("who", keep="last").set_index("who")
        for name in ("car", "team", "manufacturer"):
            rows[name] = rows[name].astype(object).fillna(rows["who"].map(last[name]))
        return past, rows

    def _pooled(self, worth, drivers) -> np.ndarray:
        odds = pd.DataFrame({"driver": drivers["driver"], "probability": number(drivers["market"])}).dropna()
        if odds.empty:
            return worth
        market = market_worths(market_chances(odds, drivers["driver"]))
        return self.pool[0] * market + self.pool[1] * worth

    def past_log_worth(self) -> pd.DataFrame:
        """Return history's rows (race_id, driver) with `log_worth`, mean zero by race.

        Each race is forecast by coefficients fitted before its block of races, but for the first block.
        """
        return self.table[["race_id", "driver"]].assign(log_worth=TEMPERATURE * self.past)


class Course:
    """History with its design, from which a linear attrition model can be fitted as of any row.

    `order` are the rows that enter a fit, by race, first exit first; `blocks` keeps refits by number of rows.
    """

    def __init__(self, table, design: pd.DataFrame, ridge, used, driver_ridge: float, others=None):
        drivers, names = pd.factorize(table["who"])
        self.table, self.others, self.blocks = table, others, {}
        self.design = np.hstack([design.to_numpy(float), drivers[:, None] == np.arange(len(names))])
        self.columns = [*design.columns, *("driver " + names)]
        self.ridge = np.concatenate([ridge, np.full(len(names), driver_ridge)])
        self.race = pd.factorize(table["race_id"])[0]
        self.first = race_starts(self.race)
        self.day = (table["date"] - table["date"].min()).dt.days.to_numpy(float)
        finish = number(table["finish"])
        order = np.lexsort((-finish, self.race))
        self.order = order[(used & ~flag(table["disqualified"]) & ~np.isnan(finish))[order]]

    def rows_before(self, date) -> int:
        """Return the number of rows of races before `date`."""
        return int(np.searchsorted(self.table["date"], pd.to_datetime(date)))

    def coefficients(self, rows: int) -> np.ndarray:
        """Return the coefficients fitted on the first `rows` rows, from the latest earlier fit that is kept."""
        start = self.blocks.get(max((known for known in self.blocks if known <= rows), default=None))
        order = self.order[self.order < rows]
        codes, race = np.unique(self.race[order], return_inverse=True)
        weight = 0.5 ** ((self.day[rows - 1] - self.day[self.first[codes]]) / HALF_LIFE_DAYS)
        choices = Choices(-self.design[order], race_starts(race), weight)
        return maximise(choices, self.ridge, start, tolerance=1e-14)

    def log_worth(self, rows: slice, beta) -> np.ndarray:
        """Return ``design @ beta`` in `rows`, mean zero by race."""
        race = self.race[rows] - self.race[rows][0]
        worth = self.design[rows] @ beta
        return worth - (np.bincount(race, worth) / np.bincount(race))[race]

    def forecast(self, race_id: str) -> np.ndarray:
        """Return the log-worths of a race's rows by coefficients fitted on all races before it, mean zero."""
        r = int(self.race[(self.table["race_id"] == race_id).to_numpy().argmax()])
        begin = self._row(r)
        return self.log_worth(slice(begin, self._row(r + 1)), self.coefficients(begin))

    def past(self, rows: int) -> np.ndarray:
        """Return the log-worths of the first `rows` rows by coefficients fitted before their block of races."""
        parts, low = [], 0
        while low <= self.race[rows - 1]:
            high = low + min(BLOCK, max(FIRST_BLOCK, low // 2))
            begin, end = (min(self._row(r), rows) for r in (low, high))
            known, low = min(self._row(max(low, FIRST_BLOCK)), rows), high
            if known not in self.blocks:
                self.blocks[known] = self.coefficients(known)
            parts.append(self.log_worth(slice(begin, end), self.blocks[known]))
        return np.concatenate(parts)

    def model(self, rows: int) -> FinishModel:
        """Return the finish model as of the first `rows` rows."""
        past = self.past(rows)
        coefficients = pd.Series(self.coefficients(rows), self.columns)
        return FinishModel(coefficients, self.table.iloc[:rows], past, others=self.others)

    def _row(self, race: int) -> int:
        return int(self.first[min(race, len(self.first) - 1)])


def working_course(results, races, others=None) -> Course:
    """Return history with the design of the working model; `others` are results and races of other series."""
    lent = None if others is None else history_table(*others)
    table = history_table(results, races)
    known = features(table, lent)
    ridge = np.where(known.columns.str.contains("|", regex=False), RIDGE_FAMILY, RIDGE_BASE)
    ridge[known.columns == "practice"] = RIDGE_PRACTICE
    return Course(table, known, ridge, ~flag(table["dnf"]), RIDGE_DRIVER, lent)


REFERENCE_RIDGE = 1.5
"""Ridge of the reference model, attrition on driver and start: the best of 1–8 for it on 2022–2025."""


def reference_course(table) -> Course:
    """Return the reference: drivers' own effects and the start, all cars in the order."""
    return Course(table, features(table)[["start"]], [REFERENCE_RIDGE], np.ones(len(table), bool), REFERENCE_RIDGE)
