"""Rank models of the finishing order: Plackett–Luce, attrition, and the working model with what was known before.

Attrition [graves2003] is Plackett–Luce [luce1959] [plackett1975] read from the back: the next driver to drop out is
drawn in proportion to ``exp(−log_worth)``, the last one left wins.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numba import njit
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtri

__all__ = ["FinishModel", "RankModel", "fit_attrition", "fit_plackett_luce", "sample_finish"]

# ---------------------------------------------------------------- likelihood


@njit(cache=True)
def _stages(utility, first, weight):  # pragma: no cover - compiled
    """Return log likelihood, gradient by row, diagonal by row, and log stage sums of choices made in row order.

    Rows first[r]:first[r+1] are race r in the order of choice; each driver is chosen among those that follow.
    """
    n = len(utility)
    log_sum, gradient, diagonal = np.empty(n), np.empty(n), np.empty(n)
    total = 0.0
    for r in range(len(first) - 1):
        low, high = first[r], first[r + 1]
        top = -np.inf
        for i in range(low, high):
            top = max(top, utility[i])
        running = 0.0
        for i in range(high - 1, low - 1, -1):
            running += np.exp(utility[i] - top)
            log_sum[i] = np.log(running) + top
        chance = 0.0
        for i in range(low, high):
            chance += np.exp(top - log_sum[i])
            expected = np.exp(utility[i] - top) * chance
            total += weight[r] * (utility[i] - log_sum[i])
            gradient[i] = weight[r] * (1.0 - expected)
            diagonal[i] = weight[r] * expected
    return total, gradient, diagonal, log_sum


@njit(cache=True)
def _stage_means(design, utility, log_sum, first, weight):  # pragma: no cover - compiled
    """Return the expected design row at each stage times the root of the race weight, (rows, columns)."""
    n, p = design.shape
    means = np.empty((n, p))
    running = np.zeros(p)
    for r in range(len(first) - 1):
        low, high = first[r], first[r + 1]
        root = np.sqrt(weight[r])
        top = log_sum[low]
        running[:] = 0.0
        for i in range(high - 1, low - 1, -1):
            worth = np.exp(utility[i] - top)
            scale = root * np.exp(top - log_sum[i])
            for j in range(p):
                running[j] += worth * design[i, j]
                means[i, j] = running[j] * scale
    return means


@dataclass(frozen=True)
class _Choices:
    """Races as rows in order of choice: `design` (n, p), race r in rows first[r]:first[r+1], race weights."""

    design: np.ndarray
    first: np.ndarray
    weight: np.ndarray

    def objective(self, beta, penalty, centre):
        """Return the penalised negative log likelihood, its gradient and Hessian at `beta`."""
        utility = self.design @ beta
        total, gradient, diagonal, log_sum = _stages(utility, self.first, self.weight)
        means = _stage_means(self.design, utility, log_sum, self.first, self.weight)
        hessian = (self.design * diagonal[:, None]).T @ self.design - means.T @ means
        away = beta - centre
        hessian[np.diag_indices_from(hessian)] += penalty
        value = -total + 0.5 * (penalty * away**2).sum()
        return value, -self.design.T @ gradient + penalty * away, hessian

    def value(self, beta, penalty, centre):
        total = _stages(self.design @ beta, self.first, self.weight)[0]
        return -total + 0.5 * (penalty * (beta - centre) ** 2).sum()


MAX_STEPS = 200
DECREMENT = 1e-22  # squared Newton step in the metric of the Hessian: log-worths exact to about 1e-11


def _maximise(choices: _Choices, penalty, beta=None, fixed=None, tolerance=DECREMENT):
    """Return the penalised maximum-likelihood coefficients and the Hessian there, by damped Newton steps.

    `fixed` is added to the Hessian to pin a direction in which the likelihood is flat.
    """
    p = choices.design.shape[1]
    penalty = np.broadcast_to(np.asarray(penalty, float), p)
    beta = np.zeros(p) if beta is None else np.array(beta, float)
    centre = np.zeros(p)
    for _ in range(MAX_STEPS):
        value, gradient, hessian = choices.objective(beta, penalty, centre)
        pinned = hessian if fixed is None else hessian + fixed
        step = cho_solve(cho_factor(pinned), gradient)
        decrement = float(gradient @ step)
        if decrement < tolerance:
            return beta - step, hessian
        size = 1.0
        while size > 1e-10 and choices.value(beta - size * step, penalty, centre) > value - 1e-4 * size * decrement:
            if decrement < 1e-12 * (1 + abs(value)):
                break  # the value can no longer tell the difference; the gradient still can
            size /= 2
        beta = beta - size * step
    raise RuntimeError(f"rank model: no convergence in {MAX_STEPS} Newton steps; raise the ridge")


# ---------------------------------------------------------------- drivers alone


@dataclass(frozen=True)
class RankModel:
    """Log-worths of drivers: the higher, the nearer to the front.

    `log_worth` is a Series by driver with mean zero; `covariance` a frame (drivers × drivers) under that constraint,
    the inverse of the observed information; `log_likelihood` is without the penalty.
    """

    log_worth: pd.Series
    covariance: pd.DataFrame
    log_likelihood: float
    ridge: float = 0.0

    @cached_property
    def standard_error(self) -> pd.Series:
        """Standard errors of the mean-zero log-worths, by driver."""
        return pd.Series(np.sqrt(np.diag(self.covariance)), self.log_worth.index, name="standard_error")

    def against(self, driver) -> pd.DataFrame:
        """Return log-worths with `driver` as zero, and the standard errors of these differences."""
        if driver not in self.log_worth.index:
            raise KeyError(f"rank model: {driver} is not among the {len(self.log_worth)} drivers fitted")
        variance = np.diag(self.covariance) + self.covariance.loc[driver, driver] - 2 * self.covariance[driver]
        error = np.sqrt(np.maximum(variance, 0.0))
        return pd.DataFrame({"log_worth": self.log_worth - self.log_worth[driver], "standard_error": error})


def fit_plackett_luce(finishes: pd.DataFrame, ridge: float = 0.0) -> RankModel:
    """Fit Plackett–Luce: the winner is drawn in proportion to ``exp(log_worth)``, then the second, … [hunter2004].

    Parameters
    ----------
    finishes : frame with race_id, driver, finish (1 = first; gaps are fine, ties are refused); a race may hold any
        subset of the drivers
    ridge : penalty ``ridge / 2 · Σ log_worth²``; 0 is plain maximum likelihood

    Returns
    -------
    RankModel

    Raises
    ------
    ValueError : on unusable rows, and with ``ridge=0`` when some drivers have no finite estimate (they are named)
    """
    return _fit_order(finishes, ridge, forward=1.0)


def fit_attrition(finishes: pd.DataFrame, ridge: float = 0.0) -> RankModel:
    """Fit attrition: the last place is drawn in proportion to ``exp(−log_worth)``, then the next, … [graves2003].

    Same arguments, result and errors as `fit_plackett_luce`; higher log-worth is better in both.
    """
    return _fit_order(finishes, ridge, forward=-1.0)


def _fit_order(finishes, ridge, forward) -> RankModel:
    if not ridge >= 0 or not np.isfinite(ridge):
        raise ValueError(f"ridge: {ridge} given; it must be 0 or more")
    rows = _checked_finishes(finishes)
    drivers = pd.Index(rows["driver"].unique(), name="driver").sort_values()
    if ridge == 0:
        _require_connected(rows, drivers)
    rows = rows.assign(stage=forward * rows["finish"]).sort_values(["race", "stage"], kind="stable")
    design = np.zeros((len(rows), len(drivers)))
    design[np.arange(len(rows)), drivers.get_indexer(rows["driver"])] = forward
    first = np.concatenate([[0], np.cumsum(np.bincount(rows["race"]))])
    choices = _Choices(design, first, np.ones(len(first) - 1))
    flat = np.full((len(drivers),) * 2, 1.0 / len(drivers))
    beta, hessian = _maximise(choices, ridge, fixed=flat)
    beta -= beta.mean()
    covariance = np.linalg.inv(hessian + flat) - flat / (1.0 + ridge)
    likelihood = _stages(design @ beta, first, choices.weight)[0]
    frame = pd.DataFrame(covariance, drivers, drivers)
    return RankModel(pd.Series(beta, drivers, name="log_worth"), frame, float(likelihood), float(ridge))


def _checked_finishes(finishes) -> pd.DataFrame:
    missing = {"race_id", "driver", "finish"} - set(finishes.columns)
    if missing:
        raise ValueError(f"finishes: column {', '.join(sorted(missing))} is missing; need race_id, driver, finish")
    rows = finishes[["race_id", "driver", "finish"]].reset_index(drop=True)
    if rows.empty:
        raise ValueError("finishes: no rows; give at least one race of two drivers")
    rows = rows.assign(finish=pd.to_numeric(rows["finish"], errors="coerce"))
    blank = rows.isna().any(axis=1)
    if blank.any():
        raise ValueError(
            f"finishes: row {blank.idxmax() + 1} has a blank or a finish that is no number; drop or mend it"
        )
    for columns, what in ((["race_id", "driver"], "driver"), (["race_id", "finish"], "finish")):
        twice = rows.duplicated(columns)
        if twice.any():
            row = rows.loc[twice.idxmax()]
            raise ValueError(f"finishes: race {row['race_id']} has {what} {row[what]} twice; keep one row of it")
    return rows.assign(race=pd.factorize(rows["race_id"])[0])


def _require_connected(rows, drivers) -> None:
    """Raise when some drivers cannot be compared both ways, by a chain of races, with the others [hunter2004]."""
    rows = rows.sort_values(["race", "finish"])
    code = drivers.get_indexer(rows["driver"])
    same = rows["race"].to_numpy()[1:] == rows["race"].to_numpy()[:-1]
    edges = coo_matrix((np.ones(same.sum()), (code[:-1][same], code[1:][same])), shape=(len(drivers),) * 2)
    count, label = connected_components(edges, directed=True, connection="strong")
    if count > 1:
        outside = drivers[label != np.bincount(label).argmax()]
        raise ValueError(
            f"no finite estimate for {', '.join(map(str, outside))}: no chain of races in which each finishes "
            "ahead of the next links them with the others both ways (they always lose, always win, or never meet); "
            "drop them or give ridge > 0"
        )


# ---------------------------------------------------------------- sampling


@njit(cache=True)
def _positions(life):  # pragma: no cover - compiled
    """Return the finishing positions (1 = longest life) in each row."""
    n, size = life.shape
    finish = np.empty((n, size), np.int16)
    order = np.empty(size, np.int64)
    for s in range(n):
        for i in range(size):
            j = i
            while j > 0 and life[s, order[j - 1]] < life[s, i]:
                order[j] = order[j - 1]
                j -= 1
            order[j] = i
        for k in range(size):
            finish[s, order[k]] = k + 1
    return finish


def sample_finish(log_worth, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `n` finishing orders by attrition, (n, D) int16 positions, 1 = winner.

    Each driver lives an exponential time with mean ``exp(log_worth)``; the order of the deaths is the order of
    attrition, so the longest life wins. The first rows of a larger `n` equal those of a smaller one.
    """
    worth = np.asarray(log_worth, float)
    if not np.isfinite(worth).all():
        raise ValueError("log_worth: a driver has no finite value; every driver of the race needs one")
    return _positions(rng.standard_exponential((n, len(worth))) * np.exp(worth - worth.max()))


# ---------------------------------------------------------------- what was known before


@njit(cache=True)
def _decayed(first, day, key, value, rate, prior):  # pragma: no cover - compiled
    """Return per row the decayed mean of `value` over earlier races with the same key, shrunk to 0 by `prior` races.

    Races are first[r]:first[r+1] in order of time; a race sees only those before it. Also returns the decayed count.
    """
    n = len(key)
    size = key.max() + 1
    total, count, last = np.zeros(size), np.zeros(size), np.zeros(size)
    mean, weight = np.zeros(n), np.zeros(n)
    for r in range(len(first) - 1):
        for i in range(first[r], first[r + 1]):
            k = key[i]
            if k >= 0:
                fade = np.exp(-rate * (day[i] - last[k]))
                mean[i] = total[k] * fade / (count[k] * fade + prior)
                weight[i] = count[k] * fade
        for i in range(first[r], first[r + 1]):
            k = key[i]
            if k >= 0 and not np.isnan(value[i]):
                fade = np.exp(-rate * (day[i] - last[k]))
                total[k] = total[k] * fade + value[i]
                count[k] = count[k] * fade + 1.0
                last[k] = day[i]
    return mean, weight


KNOWN = ("driver", "car", "team", "manufacturer", "start", "qual_pos", "practice_best_rank", "practice_con10_rank")
"""Columns of a driver that are known before the race; all but driver may be missing."""
SEEN = ("finish", "dnf", "disqualified", "avg_running_pos", "driver_rating", "fastest_laps", "laps_led")
"""Columns of the result; all but finish may be missing."""


def _normal_score(position, race) -> np.ndarray:
    """Return the normal score of the rank within each race: the smallest position scores highest, NaN stays NaN."""
    by_race = pd.Series(np.asarray(position, float)).groupby(race)
    return -ndtri(((by_race.rank() - 0.5) / by_race.transform("count")).to_numpy())


def _table(results, races) -> pd.DataFrame:
    """Return history as one frame sorted by date and race, with every column of KNOWN and SEEN."""
    facts = races.drop_duplicates("race_id").set_index("race_id")[["date", "track", "track_type"]]
    table = results[["race_id"]].join(facts, on="race_id")
    if table["date"].isna().any():
        lost = table.loc[table["date"].isna(), "race_id"].iloc[0]
        raise ValueError(f"races: race {lost} of results has no row with a date; add it to races")
    for column in KNOWN + SEEN:
        table[column] = results.get(column, np.nan)
    table["date"] = pd.to_datetime(table["date"])
    return table.sort_values(["date", "race_id"], kind="stable", ignore_index=True)


def _true(column) -> np.ndarray:
    """Return a yes/no column of any spelling as (n,) bool; blank is no."""
    return column.astype(str).str.lower().isin(["true", "1", "1.0", "yes"]).to_numpy()


_RECORDS = (
    ("finish", "driver", 300.0, 3.0),
    ("finish", "driver_type", 700.0, 3.0),
    ("finish", "driver_track", 900.0, 2.0),
    ("running", "driver", 200.0, 3.0),
    ("running", "driver_type", 700.0, 3.0),
    ("rating", "driver", 300.0, 3.0),
    ("finish", "team", 300.0, 6.0),
    ("running", "team", 200.0, 6.0),
    ("running", "car", 200.0, 3.0),
)
"""Decayed means of the past: what, by which key, half-life in days, prior in races."""


def _features(table: pd.DataFrame) -> pd.DataFrame:
    """Return the design of every row of `table`, from its own known columns and from earlier races only."""
    race = pd.factorize(table["race_id"])[0]
    first = np.concatenate([[0], np.cumsum(np.bincount(race))])
    day = (table["date"] - pd.Timestamp("2000-01-01")).dt.days.to_numpy(float)
    seen = {
        "finish": np.where(_true(table["disqualified"]), np.nan, _normal_score(table["finish"], race)),
        "running": _normal_score(table["avg_running_pos"], race),
        "rating": _normal_score(-table["driver_rating"].astype(float), race),
    }
    keys = {
        "driver": table["driver"],
        "driver_type": table["driver"] + "|" + table["track_type"],
        "driver_track": table["driver"] + "|" + table["track"],
        "team": table["team"],
        "car": table["car"],
    }
    codes = {name: pd.factorize(key)[0] for name, key in keys.items()}
    out = {}
    for what, key, half_life, prior in _RECORDS:
        rate = np.log(2) / half_life
        mean, weight = _decayed(first, day, codes[key], seen[what], rate, prior)
        out[f"{what} by {key}"] = mean
        if key == "driver" and what == "finish":
            out["newcomer"] = prior / (weight + prior)
    for name, column in (
        ("start", "start"),
        ("qualifying", "qual_pos"),
        ("practice", "practice_best_rank"),
        ("practice run", "practice_con10_rank"),
    ):
        out[name] = np.nan_to_num(_normal_score(table[column], race))
    design = pd.DataFrame(out)
    for kind in ("superspeedway", "road"):
        here = (table["track_type"] == kind).to_numpy(float)
        for name in tuple(out):
            design[f"{name} | {kind}"] = design[name] * here
    return design


HALF_LIFE_DAYS = 730.0
RIDGE = 10.0


@dataclass(frozen=True)
class FinishModel:
    """The working model of the finishing order: attrition on features known before the race.

    Fit with `FinishModel.fit`; `coefficients` is a Series by feature.
    """

    coefficients: pd.Series
    table: pd.DataFrame

    @classmethod
    def fit(cls, results: pd.DataFrame, races: pd.DataFrame, before=None) -> "FinishModel":
        """Fit on the races before the date `before` (all of them when it is left out)."""
        table = _table(results, races)
        if before is not None:
            table = table[table["date"] < pd.to_datetime(before)].reset_index(drop=True)
        if table.empty:
            raise ValueError(f"results: no race before {before}; the rank model needs history")
        design = _features(table)
        use = ~_true(table["disqualified"]) & table["finish"].notna().to_numpy()
        return cls(_fit_linear(design[use], table[use], table["date"].max()), table)

    def log_worth(self, drivers: pd.DataFrame, race) -> np.ndarray:
        """Return the log-worth of each row of `drivers` in `race`, (D,), mean zero."""
        rows = pd.DataFrame({column: drivers[column].to_numpy() if column in drivers else np.nan for column in KNOWN})
        rows = rows.assign(race_id=race.race_id, date=race.date, track=race.track, track_type=race.track_type)
        past = self.table[(self.table["date"] < race.date) & (self.table["race_id"] != race.race_id)]
        design = _features(pd.concat([past, rows], ignore_index=True)).iloc[len(past) :]
        worth = design.to_numpy() @ self.coefficients.to_numpy()
        return worth - worth.mean()

    def past_log_worth(self) -> pd.DataFrame:
        """Return history's rows (race_id, driver) with `log_worth` from earlier races alone, mean zero by race."""
        worth = pd.Series(_features(self.table).to_numpy() @ self.coefficients.to_numpy())
        centred = worth - worth.groupby(self.table["race_id"]).transform("mean")
        return self.table[["race_id", "driver"]].assign(log_worth=centred)


def _fit_linear(design, table, today) -> pd.Series:
    order = np.lexsort((-table["finish"].to_numpy(float), pd.factorize(table["race_id"])[0]))
    race = pd.factorize(table["race_id"])[0][order]
    first = np.concatenate([[0], np.cumsum(np.bincount(race))])
    age = (today - table["date"]).dt.days.to_numpy(float)[order][first[:-1]]
    choices = _Choices(-design.to_numpy(float)[order], first, 0.5 ** (age / HALF_LIFE_DAYS))
    beta, _ = _maximise(choices, RIDGE, tolerance=1e-12)
    return pd.Series(beta, design.columns)
