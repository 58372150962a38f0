"""How forecasts of the finishing order turned out: scores, calibration and the favourite's record, walk-forward."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dfslab import metrics
from dfslab.race._evaluate import past_race, walk_forward
from dfslab.race._finish import reference_course, working_course
from dfslab.race._market import market_chances, market_worths
from dfslab.race._orders import sample_finish

BETTER_HIGH = ("winner_log_score", "spearman")
"""Scores of a forecast order of which more is better; of the others less is."""
PLACES = {"win": 1, "top 5": 5, "top 10": 10}
BANDS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
"""Edges of the bands of forecast chances in the calibration table."""


@dataclass(frozen=True, repr=False)
class FinishRecord:
    """Forecasts of past finishing orders, each made from earlier races only, and what became of them.

    `scores` is a tidy score frame (see `metrics.summarise`): case (the race), series, season, track_type, model, score,
    value. `drivers` has a row per driver, race and model: case, series, season, track_type, model, driver, finish, and
    the chances of `win`, `top 5`, `top 10`. Models: "attrition" (on driver and start alone: the reference), "model"
    (the simulator) and, for races with odds, "market" and "blend".
    """

    scores: pd.DataFrame
    drivers: pd.DataFrame

    def __repr__(self) -> str:
        models = ", ".join(self.scores["model"].unique())
        return f"FinishRecord({self.scores['case'].nunique()} races; {models})"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.skill().to_html(index=False, float_format='{:.4f}'.format)}"

    def skill(self, by: Iterable[str] = ()) -> pd.DataFrame:
        """Return by score and model the mean, its error over races, and the paired difference from attrition.

        `by` names columns to tell apart: series, season, track_type. Columns of the result: those of `by`, score,
        better (which direction is), model, mean, mean_se, n, difference, difference_se, t.
        """
        keys = [*by, "score"]
        gap = metrics.compare(self.scores, "attrition", keys).rename(columns={"se": "difference_se"})
        gap = gap[[*keys, "model", "difference", "difference_se", "t"]]
        table = metrics.summarise(self.scores, [*keys, "model"]).rename(columns={"se": "mean_se"})
        table = table.merge(gap, how="left", on=[*keys, "model"])
        table.insert(len(keys), "better", np.where(table["score"].isin(BETTER_HIGH), "higher", "lower"))
        return table.sort_values(keys, kind="stable", key=lambda x: pd.factorize(x)[0], ignore_index=True)

    def calibration(self, model: str = "model", bands=BANDS) -> pd.DataFrame:
        """Return forecast against actual shares of win, top 5 and top 10 by band of the forecast.

        Frame event, low, high, n, clusters (races), forecast, actual, difference, se (over races).
        """
        rows = self.drivers[self.drivers["model"] == model]
        came = {event: rows["finish"] <= place for event, place in PLACES.items()}
        tables = {event: metrics.reliability(rows[event], yes, rows["case"], bands) for event, yes in came.items()}
        return pd.concat(tables, names=["event"]).reset_index("event").reset_index(drop=True)

    def favourites(self) -> pd.DataFrame:
        """Return how the driver with the best chance to win fared by model: share of events, forecast, error.

        Frame model, event, n (races), forecast, actual, difference, se.
        """
        best = self.drivers.sort_values("win", ascending=False, kind="stable").drop_duplicates(["case", "model"])
        first = replace(self, drivers=best)
        tables = {model: first.calibration(model, (0.0, 1.0)) for model in best["model"].unique()}
        table = pd.concat(tables, names=["model"]).reset_index("model")
        return table.drop(columns=["low", "high", "clusters"]).sort_values(["event", "model"], ignore_index=True)


def finish_record(
    results, races, since, until=None, *, odds=None, others=None, n_scenarios=20_000, months=1, seed=0
) -> FinishRecord:
    """Forecast the official finishing order of past races, each from earlier races only, as a user would get them.

    The mechanics are shrunk to the shipped figures, which come from Cup races to mid-2025.

    Parameters
    ----------
    results, races : history frames, as for `RaceModel.fit`
    since, until : races on these days and between are scored; the last left out means to the end
    odds : frame race_id, driver, probability (as prices say it), optional book: prices known before past races
    others : results and races of other series, from which drivers new to this one borrow their record
    n_scenarios : orders drawn per race and model
    months : coefficients are refitted so often; records of drivers are always up to date
    """
    course = working_course(results, races, others)
    table, reference = course.table, reference_course(course.table)
    scores, drivers = [], []
    for k, (row, entry, model) in enumerate(walk_forward(course, results, races, since, until, months, odds)):
        prices = None if odds is None else odds[odds["race_id"] == row.race_id]
        streams = np.random.default_rng([seed, k]).spawn(4)
        chances = _chances(row, entry, model, reference.forecast(row.race_id), prices, n_scenarios, streams)
        finish = table.loc[table["race_id"] == row.race_id, "finish"].to_numpy(float)
        facts = {"case": row.race_id, "series": getattr(row, "series", "cup"), "season": row.date.year}
        facts |= {"date": row.date, "track_type": row.track_type}
        for name, chance in chances.items():
            value = _scores(chance, n_scenarios, finish)
            scores.append(pd.DataFrame({**facts, "model": name, "score": list(value), "value": list(value.values())}))
            below = {event: chance[:, :place].sum(axis=1) for event, place in PLACES.items()}
            drivers.append(pd.DataFrame({**facts, "model": name, "driver": entry["driver"], "finish": finish, **below}))
    return FinishRecord(pd.concat(scores, ignore_index=True), pd.concat(drivers, ignore_index=True))


def _chances(row, entry, model, plain, prices, n, streams) -> dict[str, np.ndarray]:
    """Return P(driver finishes k-th), (D, D), by model; `plain` (D,) are the log-worths of the reference."""

    def sampled(worth, rng):
        return metrics.finish_probabilities(sample_finish(worth, n, rng))

    def simulated(entry, rng):
        races = model.simulate(entry, past_race(row), n, rng)
        return metrics.finish_probabilities(races.finish, races.weight)

    found = {"attrition": sampled(plain, streams[0]), "model": simulated(entry, streams[1])}
    if prices is not None and len(prices):
        market = market_chances(prices, entry["driver"])
        found["market"] = sampled(market_worths(market), streams[2])
        found["blend"] = simulated(entry.assign(market=market.to_numpy()), streams[3])
    return found


def _scores(chance, n, finish) -> dict[str, float]:
    """Return the scores of P(driver finishes k-th), estimated from `n` orders; mean places rank the drivers."""
    below, size = chance.cumsum(axis=1), len(chance)
    win = (chance[:, 0] * n + 0.5) / (n + 0.5 * size)
    return {
        "rps": metrics.rps(chance, finish),
        "top10_brier": float(metrics.brier(below[:, min(9, size - 1)], finish <= 10).mean()),
        "top3_brier": float(metrics.brier(below[:, min(2, size - 1)], finish <= 3).mean()),
        "winner_log_score": metrics.winner_log_score(win, finish),
        "spearman": metrics.spearman(chance @ np.arange(1.0, size + 1.0), finish),
    }
