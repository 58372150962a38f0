"""The working model of the finishing order: attrition on what was known of each driver before the race.

The log-worth is linear in decayed records (finish, running position, rating … of driver, team and car), in start and
practice, and in a driver's own effect; it is fitted to the order of the cars that ran to the end. Who drops out is a
chance of its own by track type. Everything a race is told comes from earlier races, in the fit as in the forecast.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from dfslab import metrics
from dfslab.race._form import FAMILIES, KNOWN, features, flag, history_table, number, race_starts
from dfslab.race._orders import Choices, RankModel, fit_attrition, fit_plackett_luce, maximise, sample_finish

__all__ = [
    "FinishModel",
    "RankModel",
    "fit_attrition",
    "fit_plackett_luce",
    "sample_finish",
    "summarise_scores",
    "walk_forward_finish",
]

# ---------------------------------------------------------------- the model

HALF_LIFE_DAYS = 350.0
"""Half-life of a race in the fit. This and the ridges: walk-forward on 2020–2023, flat between 300 and 600 days."""
RIDGE_BASE, RIDGE_FAMILY, RIDGE_DRIVER = 1.0, 250.0, 60.0
RIDGE_PRACTICE = 100.0
"""About three races' worth: practice may have been recorded for a few races only (flat between 50 and 200)."""
TEMPERATURE = 0.8
"""Factor on log-worths before the model has forecasts of its own to judge by; seasons 2020–2023."""
TEMPERATURE_WEIGHT = 30.0
"""Races that `TEMPERATURE` counts for, in each track family."""
BLOCK = 36
"""Races between the refits that give past races their log-worths; two blocks are the least to learn from."""
DROP_OUT_TILT = 0.25
"""How fast the log odds of dropping out fall with log-worth; seasons 2020–2023."""
DROP_OUT_WEIGHT = 60.0
"""Driver-races of the overall share in a track type's own share of drop-outs."""


@dataclass(frozen=True)
class FinishModel:
    """The working model of the finishing order; fit with `FinishModel.fit`.

    `coefficients` is a Series by feature and driver, `temperature` a factor on log-worths by track family ("" for
    tracks without one), `drop_out` the chance to drop out by track type ("" for a new type).
    """

    coefficients: pd.Series
    temperature: dict[str, float]
    drop_out: dict[str, float]
    table: pd.DataFrame = field(repr=False)
    past: np.ndarray = field(repr=False)

    @classmethod
    def fit(cls, results: pd.DataFrame, races: pd.DataFrame, before=None) -> "FinishModel":
        """Fit on the races before the date `before` (all of them when it is left out).

        Parameters
        ----------
        results : history frame with race_id, driver, finish and, where known, the columns of `KNOWN` and `SEEN`.
            Disqualified cars are left out of their race, cars that dropped out out of the order.
        races : history frame with race_id, date, track, track_type
        """
        table = history_table(results, races)
        if before is not None:
            table = table[table["date"] < pd.to_datetime(before)].reset_index(drop=True)
        if table.empty:
            raise ValueError(f"results: no race before {before}; the finish model needs history")
        return _model(_working_course(table), len(table))

    def log_worth(self, drivers: pd.DataFrame, race) -> np.ndarray:
        """Return the log-worth of each row of `drivers` in `race`, (D,), mean zero.

        Parameters
        ----------
        drivers : frame with driver and, where known, start, team, car, manufacturer, practice_best_rank. Team, car and
            manufacturer left out are those of the driver's last race; a rookie gets what his team and car have earned
        race : `Race`; races of history on its day or later are not used
        """
        rows = pd.DataFrame({name: drivers.get(name, np.nan) for name in KNOWN}).reset_index(drop=True)
        rows = rows.assign(race_id=race.race_id, date=race.date, track=race.track, track_type=race.track_type)
        past = self.table[(self.table["date"] < race.date) & (self.table["race_id"] != race.race_id)]
        last = past.drop_duplicates("driver", keep="last").set_index("driver")
        for name in ("car", "team", "manufacturer"):
            rows[name] = rows[name].astype(object).fillna(rows["driver"].map(last[name]))
        both = pd.concat([past, rows.reindex(columns=past.columns)], ignore_index=True)
        design = features(both).iloc[len(past) :]
        worth = design.to_numpy() @ self.coefficients[design.columns].to_numpy()
        worth += self.coefficients.reindex("driver " + rows["driver"]).fillna(0.0).to_numpy()
        return (worth - worth.mean()) * _by_family(self.temperature, [race.track_type])[0]

    def past_log_worth(self) -> pd.DataFrame:
        """Return history's rows (race_id, driver) with `log_worth`, mean zero by race.

        Each race is told by coefficients fitted before its block of `BLOCK` races, but for the first two blocks.
        """
        factor = _by_family(self.temperature, self.table["track_type"])
        return self.table[["race_id", "driver"]].assign(log_worth=self.past * factor)

    def drop_out_chance(self, log_worth, track_type: str) -> np.ndarray:
        """Return each driver's chance to drop out, (D,)."""
        share = self.drop_out.get(track_type, self.drop_out[""])
        return expit(logit(share) - DROP_OUT_TILT * np.asarray(log_worth, float))

    def sample(self, drivers: pd.DataFrame, race, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `n` finishing orders of `race`, (n, D) positions; drop-outs finish behind. Prefix property holds."""
        worth = self.log_worth(drivers, race)
        return sample_finish(worth, n, rng, drop_out=self.drop_out_chance(worth, race.track_type))


def _by_family(temperature, track_types) -> np.ndarray:
    family = pd.Series(track_types).map(FAMILIES).fillna("")
    return family.map(temperature).to_numpy(float)


@dataclass(frozen=True)
class _Course:
    """History with its design, from which a linear attrition model can be fitted as of any row.

    `order` are the rows that enter a fit, by race, first exit first; `blocks` keeps refits by number of rows.
    """

    table: pd.DataFrame
    design: np.ndarray
    columns: list
    ridge: np.ndarray
    race: np.ndarray
    first: np.ndarray
    day: np.ndarray
    order: np.ndarray
    blocks: dict = field(default_factory=dict)

    @classmethod
    def of(cls, table, design, columns, ridge, used) -> "_Course":
        race = pd.factorize(table["race_id"])[0]
        day = (table["date"] - table["date"].min()).dt.days.to_numpy(float)
        finish = number(table["finish"])
        used = used & ~flag(table["disqualified"]) & ~np.isnan(finish)
        order = np.lexsort((-finish, race))
        return cls(table, design, columns, ridge, race, race_starts(race), day, order[used[order]])

    def coefficients(self, rows: int, start=None) -> np.ndarray:
        """Return the coefficients fitted on the first `rows` rows, by Newton from `start`."""
        order = self.order[self.order < rows]
        codes, race = np.unique(self.race[order], return_inverse=True)
        weight = 0.5 ** ((self.day[rows - 1] - self.day[self.first[codes]]) / HALF_LIFE_DAYS)
        choices = Choices(-self.design[order], race_starts(race), weight)
        return maximise(choices, self.ridge, start, tolerance=1e-14)[0]

    def log_worth(self, rows: slice, beta) -> np.ndarray:
        """Return ``design @ beta`` in `rows`, mean zero by race."""
        race = self.race[rows] - self.race[rows][0]
        worth = self.design[rows] @ beta
        return worth - (np.bincount(race, worth) / np.bincount(race))[race]

    def past(self, rows: int) -> np.ndarray:
        """Return the log-worths of the first `rows` rows by coefficients fitted before their block of races."""
        parts, beta = [], None
        for low in range(0, self.race[rows - 1] + 1, BLOCK):
            begin, end = (min(self._row(r), rows) for r in (low, low + BLOCK))
            known = min(self._row(max(low, 2 * BLOCK)), rows)
            if known not in self.blocks:
                self.blocks[known] = self.coefficients(known, beta)
            beta = self.blocks[known]
            parts.append(self.log_worth(slice(begin, end), beta))
        return np.concatenate(parts)

    def _row(self, race: int) -> int:
        return int(self.first[min(race, len(self.first) - 1)])


def _own_effects(table):
    """Return names and the 0/1 design of drivers, (rows, drivers)."""
    drivers, names = pd.factorize(table["driver"])
    own = np.zeros((len(table), len(names)))
    own[np.arange(len(table)), drivers] = 1.0
    return list("driver " + names), own


def _working_course(table) -> _Course:
    known = features(table)
    names, own = _own_effects(table)
    ridge = np.where(known.columns.str.contains("|", regex=False), RIDGE_FAMILY, RIDGE_BASE)
    ridge[known.columns == "practice"] = RIDGE_PRACTICE
    ridge = np.concatenate([ridge, np.full(len(names), RIDGE_DRIVER)])
    design = np.hstack([known.to_numpy(), own])
    return _Course.of(table, design, [*known.columns, *names], ridge, used=~flag(table["dnf"]))


def _model(course: _Course, rows: int, start=None) -> FinishModel:
    """Return the finish model as of the first `rows` rows."""
    past = course.past(rows)
    beta = course.coefficients(rows, start)
    return FinishModel(
        coefficients=pd.Series(beta, course.columns),
        temperature=_temperatures(course, past),
        drop_out=_drop_out_shares(course, rows),
        table=course.table.iloc[:rows],
        past=past,
    )


def _temperatures(course: _Course, past) -> dict[str, float]:
    """Return the factor on log-worths by family that fits the orders of races forecast by earlier blocks."""
    order = course.order[(course.order < len(past)) & (course.race[course.order] >= 2 * BLOCK)]
    family = course.table["track_type"].map(FAMILIES).fillna("").to_numpy()[order]
    age = course.day[len(past) - 1] - course.day
    return {f: _temperature(past, order[family == f], course.race, age) for f in sorted({"", *FAMILIES.values()})}


def _temperature(worth, order, race, age) -> float:
    """Return the best factor on `worth` for the exits in `order`: one Newton step from `TEMPERATURE`, shrunk to it."""
    codes, at = np.unique(race[order], return_index=True)
    weight = 0.5 ** (age[order[at]] / HALF_LIFE_DAYS)
    choices = Choices(-worth[order][:, None], np.append(at, len(order)), weight)
    _, gradient, information = choices.objective(np.array([TEMPERATURE]), np.zeros(1))
    if len(codes) == 0 or information[0, 0] <= 0:
        return TEMPERATURE
    shrunk = information[0, 0] * (1.0 + TEMPERATURE_WEIGHT / weight.sum())
    return float(np.clip(TEMPERATURE - gradient[0] / shrunk, 0.1, 2.0))


def _drop_out_shares(course: _Course, rows: int) -> dict[str, float]:
    """Return the decayed share of drop-outs by track type, shrunk to the overall share."""
    table = course.table.iloc[:rows]
    weight = 0.5 ** ((course.day[rows - 1] - course.day[:rows]) / HALF_LIFE_DAYS)
    sums = pd.DataFrame({"gone": weight * flag(table["dnf"]), "all": weight})
    sums = sums.groupby(table["track_type"].to_numpy()).sum()
    overall = float(sums["gone"].sum() / sums["all"].sum())
    share = (sums["gone"] + DROP_OUT_WEIGHT * overall) / (sums["all"] + DROP_OUT_WEIGHT)
    return {"": overall, **share.astype(float)}


# ---------------------------------------------------------------- walk forward

SCORES = {
    "rps": "lower",
    "top10_brier": "lower",
    "top3_brier": "lower",
    "winner_log_score": "higher",
    "spearman": "higher",
}
"""Scores of a forecast order and which direction is better."""
REFERENCE_RIDGE = 1.5
"""Ridge of the reference model, attrition on driver and start: the best of 1–8 for it on 2022–2025."""


def _reference_course(table) -> _Course:
    """Return the reference: drivers' own effects and the start, all cars in the order."""
    known = features(table)[["start"]]
    names, own = _own_effects(table)
    ridge = np.full(1 + len(names), REFERENCE_RIDGE)
    used = np.ones(len(table), bool)
    return _Course.of(table, np.hstack([known.to_numpy(), own]), ["start", *names], ridge, used)


def _scores(chance, n, strength, finish) -> dict[str, float]:
    """Return the scores of P(driver finishes k-th), told by `n` orders, and of `strength`, which ranks the drivers."""
    below, size = chance.cumsum(axis=1), len(chance)
    win = (chance[:, 0] * n + 0.5) / (n + 0.5 * size)
    return {
        "rps": metrics.rps(chance, finish),
        "top10_brier": float(metrics.brier(below[:, min(9, size - 1)], finish <= 10).mean()),
        "top3_brier": float(metrics.brier(below[:, min(2, size - 1)], finish <= 3).mean()),
        "winner_log_score": metrics.winner_log_score(win, finish),
        "spearman": metrics.spearman(-strength, finish),
    }


def walk_forward_finish(
    results, races, first_date, last_date=None, *, n_samples=20_000, every=1, seed=0, simulate=None
):
    """Score forecasts of the official finishing order, each made from earlier races only.

    Parameters
    ----------
    results, races : history frames, as for `FinishModel.fit`
    first_date, last_date : races on these days and between are scored; the last left out means to the end
    n_samples : orders drawn per race and model, from the same random numbers for both
    every : races between refits of the coefficients (records are always up to date)
    simulate : function of the model, the race's rows of history and a generator that returns finishing orders (n, D) in
        these rows and their weights (n,), to be scored beside the model (see `racecheck.score_simulator`)

    Returns
    -------
    frame with race_id, date, track_type, score (see `SCORES`), model, reference and, with `simulate`, simulator: one
    row per race and score. The reference is attrition on driver and start alone. Feed it to `summarise_scores`.
    """
    table = history_table(results, races)
    course, reference = _working_course(table), _reference_course(table)
    dates = table["date"].to_numpy()[course.first[:-1]]
    last_date = dates.max() if last_date is None else last_date
    wanted = np.flatnonzero((dates >= pd.to_datetime(first_date)) & (dates <= pd.to_datetime(last_date)))
    if len(wanted) == 0 or wanted[0] == 0:
        raise ValueError(f"walk forward: no race from {first_date} to {last_date} with a race before it")
    model = beta = base = None
    scored = []
    for count, r in enumerate(wanted):
        here = slice(int(course.first[r]), int(course.first[r + 1]))
        if count % every == 0:
            model = _model(course, here.start, beta)
            beta, base = model.coefficients.to_numpy(), reference.coefficients(here.start, base)
        scored.append(_score_race(course, reference, model, base, here, n_samples, [seed, r], simulate))
    return pd.concat(scored, ignore_index=True)


def _score_race(course, reference, model, base, here, n_samples, seed, simulate) -> pd.DataFrame:
    facts = course.table.iloc[here]
    track_type, finish = facts["track_type"].iloc[0], number(facts["finish"])
    beta = model.coefficients.to_numpy()
    worth = course.log_worth(here, beta) * _by_family(model.temperature, [track_type])[0]
    plain = reference.log_worth(here, base)
    told = {"model": (worth, model.drop_out_chance(worth, track_type)), "reference": (plain, None)}
    frame = pd.DataFrame({"score": list(SCORES)})
    for name, (strength, drop_out) in told.items():
        orders = sample_finish(strength, n_samples, np.random.default_rng(seed), drop_out=drop_out)
        frame[name] = _scores(metrics.finish_probabilities(orders), n_samples, strength, finish).values()
    if simulate is not None:
        orders, weight = simulate(model, facts, np.random.default_rng(seed))
        chance = metrics.finish_probabilities(orders, weight)
        mean = chance @ np.arange(1.0, len(facts) + 1.0)
        frame["simulator"] = _scores(chance, len(orders), -mean, finish).values()
    who = facts.iloc[0]
    named = frame.assign(race_id=who["race_id"], date=who["date"], track_type=track_type)
    return named[["race_id", "date", "track_type", *frame.columns]]


def summarise_scores(scores: pd.DataFrame, of: str = "model") -> pd.DataFrame:
    """Return by score the mean of a forecast and of the reference and their paired difference, with errors over races.

    `of` is the forecast's column, model or simulator. Columns: races, better (which direction is), model, model_se (or
    simulator, simulator_se), reference, reference_se, difference, difference_se.
    """
    rows = {}
    for name, group in scores.groupby("score", sort=False):
        group = group.dropna(subset=[of, "reference"])
        row = {"races": len(group), "better": SCORES[name]}
        for what in (of, "reference"):
            row[what], row[f"{what}_se"] = metrics.clustered_mean(group[what], group["race_id"])
        pair = metrics.paired_difference(group[of], group["reference"], group["race_id"])
        rows[name] = row | dict(zip(("difference", "difference_se"), pair, strict=True))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("score")
