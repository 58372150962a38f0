"""How past ownership forecasts turned out: every contest forecast from earlier ones, scored against plain baselines."""

from dataclasses import dataclass, fields
from itertools import pairwise, product

import numpy as np
import pandas as pd

from dfslab import metrics
from dfslab.ownership._board import ContestBoard
from dfslab.ownership._errors import LEAST, Residuals, draw_ownership
from dfslab.ownership._estimators import Forecaster
from dfslab.ownership._fit import log_score
from dfslab.ownership._hybrid import HybridOwnershipEstimator

LEVELS = (0.5, 0.8, 0.95)
BANDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0)
"""Edges of the bands of forecast ownership, fractions."""
SIZES = (0.0, 1_000.0, 10_000.0, np.inf)
"""Edges of the bands of contest size, entries."""
PUBLISHED = "vendor as published"
"""The forecaster that is a vendor's projected ownership as it came, scaled to the roster size."""
MISSES = 10
"""Largest errors of the past that are listed."""
_KEY = ["case", "date", "entries", "drivers"]
SHOWN = {
    "mae": "mean error",
    "rmse": "RMSE",
    "log_score": "log score",
    "crps": "CRPS",
    "spearman": "rank correlation",
    "top5": "top 5 found",
}
"""Scores of a table of forecasters, and what they are called there."""
BETTER_HIGH = ("log_score", "spearman", "top5")


@dataclass(frozen=True, eq=False)
class WalkForward:
    """Forecasts of past contests, each made from the contests of earlier dates.

    `scores` has one row per contest, estimator and score: case (the contest), date, entries, drivers, model (the
    estimator), score, value. `drivers` has one row per contest, estimator and driver: forecast and actual (fractions),
    crps, pit, and low and high of each interval where the estimator gives draws. `weights` has one row per contest and
    pooled estimator.
    """

    scores: pd.DataFrame
    drivers: pd.DataFrame
    weights: pd.DataFrame
    notes: tuple

    def last(self, n: int) -> "WalkForward":
        """Return the same for the last `n` contests."""
        kept = set(self.scores.drop_duplicates("case").sort_values("date", kind="stable")["case"].tail(n))
        scores = self.scores[self.scores["case"].isin(kept)]
        drivers, weights = (t[t["contest_id"].isin(kept)] for t in (self.drivers, self.weights))
        return WalkForward(scores, drivers, weights, self.notes)

    def table(self) -> pd.DataFrame:
        """Return one row per estimator, smallest mean error first: its scores, each ± its standard error, contests."""
        rows = []
        for estimator, mine in metrics.summarise(self.scores).groupby("model", sort=False):
            mine = mine.set_index("score").reindex(list(SHOWN))
            row = {"estimator": estimator}
            for name, (mean, se) in zip(SHOWN.values(), mine[["mean", "se"]].to_numpy(float), strict=True):
                row |= {name: mean, f"± {name}": se}
            rows.append(row | {"contests": int(mine["n"].max())})
        return pd.DataFrame(rows).sort_values("mean error", kind="stable", ignore_index=True)

    def bands(self, estimators=("hybrid", "salary_only")) -> pd.DataFrame:
        """Return how often the bands of each estimator held the actual, how wide they were, and interval scores."""
        found, rows = metrics.summarise(self.scores).set_index(["model", "score"])[["mean", "se"]], []
        for estimator, level in product(estimators, LEVELS):
            cells = [found.loc[(estimator, f"{score}{level:.0%}")] for score in ("cover", "width", "interval")]
            inside, width, score = ([float(x) for x in cell] for cell in cells)
            rows.append((estimator, f"{level:.0%}", *inside, width[0], *score))
        columns = ["estimator", "band", "inside", "± inside", "width", "interval score", "± interval score"]
        return pd.DataFrame(rows, columns=columns)

    def gains(self, estimator: str = "hybrid", scores=("log_score", "mae", "crps")) -> pd.DataFrame:
        """Return what `estimator` gains over every other, paired by contest, ± its standard error; positive is better.

        One row per other estimator: against, contests (that both forecast), and the gain in each score.
        """
        found = metrics.compare(self.scores, estimator).set_index(["score", "model"])
        others = dict.fromkeys(found.loc["mae"].index)
        table = {"against": list(others), "contests": [int(found.loc[("mae", other), "n"]) for other in others]}
        for score in scores:
            sign = -1.0 if score in BETTER_HIGH else 1.0
            mine = found.loc[score].reindex(list(others))
            table |= {SHOWN[score]: sign * mine["difference"].to_numpy(), f"± {SHOWN[score]}": mine["se"].to_numpy()}
        return pd.DataFrame(table)


def walk_forward(history, estimators=None, *, first: int = 0, n_draws: int = 400, seed: int = 0) -> WalkForward:
    """Forecast every past contest from the contests of earlier dates and score it.

    Beside the estimators stand `uniform`, `salary_only`, `equal_weights` of the hybrid's parts, and `vendor as
    published` where projected ownership is known. Errors are in ownership points (percent).

    Parameters
    ----------
    history : tidy frame, see `HybridOwnershipEstimator.fit`
    estimators : estimators to score, or ones fitted on the same history; the hybrid (with its parts) by default
    first : the number of earliest contests that are only learned from
    n_draws, seed : draws of the whole vector for CRPS, intervals and PIT
    """
    estimators = (HybridOwnershipEstimator(),) if estimators is None else estimators
    fitted = [e if isinstance(e, Forecaster) else e.fit(history) for e in estimators]
    forecasts, weights = {}, []
    for one in fitted:
        forecasts |= one.rolled_log_worths()
        weights += one.rolled_weights()
    last = fitted[-1]
    forecasts |= {"uniform": [None] * len(last.boards), PUBLISHED: [_vendor(b) for b in last.boards]}
    tables = [_scored(name, said, last, (first, n_draws, seed)) for name, said in forecasts.items()]
    drivers = pd.concat([d for d, _ in tables], ignore_index=True)
    scores = pd.DataFrame([row for _, rows in tables for row in rows], columns=[*_KEY, "model", "score", "value"])
    frame = pd.DataFrame(weights, columns=["contest_id", "date", "estimator", "weight", "temperature"])
    late = [b.contest_id for b in last.boards[first:]]
    return WalkForward(scores, drivers, frame[frame["contest_id"].isin(late)], last.notes)


def _vendor(board: ContestBoard) -> np.ndarray | None:
    """Return a vendor's projected ownership rescaled to K, (D,); None unless every driver has one."""
    own = board.column("projected_ownership")
    return None if np.isnan(own).any() else np.clip(own * board.rules.roster_size / own.sum(), LEAST, 1 - LEAST)


def _scored(name, said, fitted, settings) -> tuple[pd.DataFrame, list]:
    """Return the rows by driver and the scores of one forecaster; its draws use its own earlier errors."""
    first, n_draws, seed = settings
    past, drivers, scores = [], [pd.DataFrame()], []
    for number, (board, told) in enumerate(zip(fitted.boards, said, strict=True)):
        direct = name in ("uniform", PUBLISHED)
        if told is None and name != "uniform":
            continue
        own = _direct(board, told) if direct else board.law(told).marginals()
        if number >= first:
            earlier = [pair for pair in past if pair[0].date < board.date]
            draws = None if direct else _draws(board, own, earlier, fitted, (n_draws, seed, number))
            drivers.append(_driver_rows(name, board, own, draws))
            score = np.nan if direct else log_score(board, told)
            scores += _contest_rows(name, board, score, drivers[-1])
        past.append((board, told))
    return pd.concat(drivers, ignore_index=True), scores


def _direct(board: ContestBoard, told) -> np.ndarray:
    return np.full(len(board), board.rules.roster_size / len(board)) if told is None else told


def _draws(board, own, earlier, fitted, settings) -> np.ndarray:
    n, seed, number = settings
    residuals = Residuals.of(earlier, fitted.estimator.prior.residuals).like(board)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    return draw_ownership(own, board.salary, residuals, n, rng)


def _driver_rows(name, board: ContestBoard, own, draws) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "contest_id": board.contest_id,
            "date": board.date,
            "entries": board.entries,
            "estimator": name,
            "driver": board.names,
            "salary": board.salary,
            "forecast": own,
            "actual": board.ownership,
        }
    )
    if draws is not None:
        rows["crps"] = metrics.crps(draws, board.ownership)
        rows["pit"] = metrics.pit(draws, board.ownership, np.random.default_rng(len(draws)))
        for level in LEVELS:
            rows[f"low{level:.0%}"], rows[f"high{level:.0%}"] = metrics.interval_bounds(draws, level)
    return rows[rows["actual"].notna()]


def _contest_rows(name, board: ContestBoard, log, rows) -> list:
    own, fact = 100 * rows["forecast"], 100 * rows["actual"]
    found = {
        "log_score": log,
        "mae": metrics.mean_absolute_error(own, fact),
        "rmse": metrics.root_mean_square_error(own, fact),
        "spearman": metrics.spearman(own, fact),
        "top5": metrics.top_hits(own, fact, 5),
    }
    if "crps" in rows:
        found["crps"] = 100 * rows["crps"].mean()
        for level in LEVELS:
            found |= _interval_scores(rows, level)
    key = (board.contest_id, board.date, board.entries, len(board))
    return [(*key, name, score, value) for score, value in found.items() if not np.isnan(value)]


def _interval_scores(rows, level: float) -> dict:
    low, high = rows[f"low{level:.0%}"], rows[f"high{level:.0%}"]
    return {
        f"cover{level:.0%}": float(metrics.covered(low, high, rows["actual"]).mean()),
        f"width{level:.0%}": 100 * float((high - low).mean()),
        f"interval{level:.0%}": 100 * float(metrics.interval_score(low, high, rows["actual"], level).mean()),
    }


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """Frames for a page: how forecasts of past contests turned out (fractions, except where a column says points)."""

    reliability: pd.DataFrame
    """Forecast against fact by band of the forecast."""
    by_size: pd.DataFrame
    """The same by contest size, one block of bands per size."""
    coverage: pd.DataFrame
    """See `WalkForward.bands`."""
    pit: pd.DataFrame
    """Share of facts in each tenth of their forecast distribution; .1 each when calibrated."""
    weights: pd.DataFrame
    """Weights and temperature of the pool over time."""
    misses: pd.DataFrame
    """The `MISSES` largest errors in points."""
    scores: pd.DataFrame
    """See `WalkForward.table`."""
    gains: pd.DataFrame
    """See `WalkForward.gains`."""
    notes: tuple[str, ...] = ()

    @classmethod
    def empty(cls, reason: str) -> "CalibrationReport":
        """Return the report of no past contest: tables without rows, and the reason."""
        bands = pd.DataFrame(columns=["low", "high", "forecast", "actual", "share", "se"], dtype=float)
        return cls(**dict.fromkeys((f.name for f in fields(cls) if f.name != "notes"), bands), notes=(reason,))


def calibration_report(walk: WalkForward, estimator: str = "hybrid") -> CalibrationReport:
    """Return the tables that say how well `estimator` was calibrated."""
    rows = walk.drivers[walk.drivers["estimator"] == estimator]
    if rows.empty:
        raise ValueError(
            f"calibration: no forecast by {estimator}; have {', '.join(walk.drivers['estimator'].unique())}"
        )
    return CalibrationReport(
        reliability=metrics.reliability(rows["forecast"], rows["actual"], rows["contest_id"], BANDS),
        by_size=_by_size(rows),
        coverage=walk.bands((estimator,)),
        pit=_pit_table(rows),
        weights=walk.weights,
        misses=_misses(rows),
        scores=walk.table(),
        gains=walk.gains(estimator),
    )


def _by_size(rows) -> pd.DataFrame:
    blocks = [pd.DataFrame()]
    for low, high in pairwise(SIZES):
        part = rows[(rows["entries"] >= low) & (rows["entries"] < high)]
        if len(part):
            table = metrics.reliability(part["forecast"], part["actual"], part["contest_id"], BANDS)
            blocks.append(table.assign(entries_from=low, entries_below=high))
    return pd.concat(blocks, ignore_index=True)


def _pit_table(rows) -> pd.DataFrame:
    tenths = np.linspace(0, 1, 11)
    inside = [(rows["pit"] > low) & (rows["pit"] <= low + 0.1) for low in tenths[:-1]]
    means = [metrics.clustered_mean(here.astype(float), rows["contest_id"]) for here in inside]
    return pd.DataFrame(
        {"low": tenths[:-1], "high": tenths[1:], "share": [m for m, _ in means], "se": [se for _, se in means]}
    )


def _misses(rows) -> pd.DataFrame:
    table = rows.assign(error_points=100 * (rows["actual"] - rows["forecast"]))
    order = table["error_points"].abs().sort_values(ascending=False, kind="stable").index[:MISSES]
    shown = ["contest_id", "date", "driver", "salary", "forecast", "actual", "error_points"]
    return table.loc[order, shown].reset_index(drop=True)
