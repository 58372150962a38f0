"""How ownership forecasts turned out, scored against plain baselines, when nothing was learned from what they score.

Either every past contest is forecast from earlier ones (`walk_forward`), or every race of a few real ones by figures
fitted on the other races (`score_cold_start`): what a new user's forecast is worth.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab import metrics
from dfslab.data import files
from dfslab.ownership._board import VENDORS, ContestBoard, by_date, read_history
from dfslab.ownership._errors import LEAST, Residuals, draw_ownership
from dfslab.ownership._fit import Prior, log_score
from dfslab.ownership._hybrid import HybridOwnershipEstimator, compute_all
from dfslab.ownership._sources import salary_log_worths
from dfslab.ownership._start import fit_start
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules

LEVELS = (0.5, 0.8, 0.95)
SIZES = {"under 1,000": 0.0, "1,000 to 10,000": 1_000.0, "over 10,000": 10_000.0}
"""Sizes of contests, and the entries each begins at."""
ALONE, POINTS, VENDOR = "no vendor", "a vendor's points", "a vendor's ownership"
CASH_UNSEEN = 1.0
"""Scale of cash contests where no other cash contest was seen: what 1.6 rests on must not score itself."""
MOSTLY_KNOWN = 0.98
"""Share of the roster's ownership that must be known for a log score: the rest is taken as the law has it."""
SHOWN = ("mean error", "RMSE", "log score", "CRPS", "rank correlation", "inside 80%")
BETTER_HIGH = ("log score", "rank correlation")


@dataclass(frozen=True, repr=False)
class OwnershipRecord:
    """Forecasts of contests from which nothing was learned for them, and what became of them.

    `scores` is a tidy score frame (see `metrics.summarise`): case (the contest), date, track_type, kind, size,
    entries, drivers, known (drivers whose ownership is known), basis (what the forecast knew: no vendor, a vendor's
    points, a vendor's ownership; blank where it was whatever the history holds), model, score, value; contests of one
    date are one cluster. Errors are in ownership points (percent) over the known drivers; "least mean error" is the
    least it can be over all, the unknown sharing what is left. `drivers` has a row per contest, model and driver:
    forecast and actual (fractions), and place, the share of the draws below the actual. `weights` has a row per
    contest and pooled source; `pools` is what a later forecast can be given (`HybridOwnershipEstimator.from_dict`).
    """

    scores: pd.DataFrame
    drivers: pd.DataFrame
    weights: pd.DataFrame = field(default_factory=pd.DataFrame)
    pools: dict = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        contests, days = self.scores["case"].nunique(), self.scores["date"].nunique()
        return f"OwnershipRecord({contests} contests of {days} days: {', '.join(self.scores['model'].unique())})"

    @classmethod
    def of(cls, scored: Sequence) -> "OwnershipRecord":
        """Return the record of what `_scored` said of forecasts."""
        scores = pd.DataFrame([row for rows, _ in scored for row in rows])
        return cls(scores.assign(cluster=scores["date"]), pd.concat([d for _, d in scored], ignore_index=True))

    def late(self, since=None, last: int | None = None, first: int = 0) -> "OwnershipRecord":
        """Return the same without the `first` contests, for those from the day `since` on, or the `last` so many."""
        dates = self.scores.drop_duplicates("case").set_index("case")["date"].sort_values(kind="stable").iloc[first:]
        cases = dates[dates >= (since or dates.min())].index[-(last or 0) :]
        frames = {name: getattr(self, name) for name in ("scores", "drivers", "weights")}
        return replace(self, **{name: frame[frame["case"].isin(cases)] for name, frame in frames.items()})

    def save(self, where) -> Path:
        """Write the pools to `<data>/models/ownership.json`, for reports of races after their last contest.

        `where` is the data folder, or a race's day that knows it.
        """
        return files.write_model(getattr(where, "data_dir", where), "ownership", self.pools)

    def table(self, by: Sequence[str] = ("model",), scores: Sequence[str] = SHOWN) -> pd.DataFrame:
        """Return mean scores ± their standard errors by model, or by other columns, smallest error first; contests."""
        return _side_by_side(metrics.summarise(self.scores, [*by, "score"]), list(by), scores, "mean")

    def gains(
        self, by: Sequence[str] = (), scores: Sequence[str] = ("log score", "mean error", "CRPS")
    ) -> pd.DataFrame:
        """Return what the hybrid gains over every other, paired by contest, ± its standard error; positive is better.

        One row per other model (and value of `by`): against, contests (that both forecast), and the gain in each score.
        """
        found = metrics.compare(self.scores, "hybrid", [*by, "score"])
        found["difference"] *= np.where(found["score"].isin(BETTER_HIGH), -1.0, 1.0)
        return _side_by_side(found, [*by, "model"], scores, "difference").rename(columns={"model": "against"})


def _side_by_side(found, by, scores, value) -> pd.DataFrame:
    """Return `value` of each score ± its standard error as columns, one row per `by`, and the number of contests."""
    cells = found.pivot(index=by, columns="score", values=[value, "se", "n"])
    names = {(kind, score): f"{sign}{score}" for score in scores for kind, sign in ((value, ""), ("se", "± "))}
    table = cells.reindex(columns=pd.MultiIndex.from_tuples(names)).set_axis(list(names.values()), axis=1)
    table = table.assign(contests=cells["n", "mean error"].astype(int), least=cells[value, "mean error"]).reset_index()
    return table.sort_values([*by[:-1], "least"], kind="stable", ignore_index=True).drop(columns="least")


# ---------------------------------------------------------------- what is scored


def walk_forward(
    history, estimator=None, *, n_draws: int = 400, seed: int = 0, keep: Callable = compute_all
) -> OwnershipRecord:
    """Forecast every past contest from the contests of earlier dates and score it.

    Beside the hybrid stand its sources, `salary only`, `uniform`, and `vendor as published`: what was projected.

    Parameters
    ----------
    history : tidy frame, see `HybridOwnershipEstimator.fit`
    estimator : the hybrid to score; default the one that ships
    n_draws, seed : draws of the whole vector for CRPS and intervals
    keep : walks through past contests, see `HybridOwnershipEstimator.fit`
    """
    fitted = (estimator or HybridOwnershipEstimator()).fit(history, keep)
    settings = "scored contests", replace(fitted.estimator, pools=()), n_draws, seed
    scored = keep(lambda kept: _score_days(fitted, n_draws, seed, kept), by_date(fitted.boards), *settings)
    rows = [
        (r.board.contest_id, r.board.date, source, weight, r.pool.temperature)
        for r in fitted.rolled
        for source, weight in r.pool.weights.items()
    ]
    weights = pd.DataFrame(rows, columns=["case", "date", "estimator", "weight", "temperature"])
    record = OwnershipRecord.of([one for day in scored.values() for one in day])
    return replace(record, weights=weights, pools=fitted.to_dict(), notes=fitted.notes)


def _score_days(fitted, n_draws: int, seed: int, kept: Mapping) -> dict:
    """Return for every date that is not in `kept` what `_scored` says of its contests."""
    shipped = fitted.estimator.prior.residuals
    rolled = {(r.board.date, r.board.contest_id): r for r in fitted.rolled}
    found = {board.date: [] for board in fitted.boards if board.date not in kept}
    for k, board in enumerate(fitted.boards):
        if board.date in found:
            one = rolled.get((board.date, board.contest_id))
            thetas = {} if one is None else one.by_model
            past = [r.errors for r in fitted.rolled if r.board.date < board.date]
            known = {m: Residuals.of([errors[m] for errors in past if m in errors], shipped) for m in thetas}
            stream = np.random.SeedSequence(seed, spawn_key=(k,))
            found[board.date] += _score_contest(board, thetas, known, n_draws, stream)
    return found


def _score_contest(board: ContestBoard, thetas, residuals, n_draws, stream, basis="") -> list:
    """Return what `_scored` says of forecasts θ by model, with their residuals, and of what they have to beat.

    That is equal ownership, and a vendor's as published where it names more drivers than a lineup holds.
    """
    found, size = [], board.rules.roster_size
    for model, theta in thetas.items():
        own, rng = board.law(theta).marginals(), np.random.default_rng(stream)
        draws = draw_ownership(own, board.salary, residuals[model].like(board), n_draws, rng)
        found.append(_scored(model, board, own, theta, draws, basis))
    plain, sold = {"uniform": np.full(len(board), size / len(board))}, board.column(VENDORS[0])
    if (~np.isnan(sold)).sum() > size:
        plain["vendor as published"] = np.clip(np.nan_to_num(sold), LEAST, 1 - LEAST)
    return found + [_scored(model, board, own, None, None, basis) for model, own in plain.items()]


def fit_cold_start(contests: pd.DataFrame, rules: ContestRules = DRAFTKINGS_NASCAR) -> Prior:
    """Return the figures that NASCAR's forecasts start from, fitted on all of `contests` (see `score_cold_start`)."""
    return fit_start(_by_basis(contests, rules), Prior.shipped("assumed"))


def score_cold_start(
    contests: pd.DataFrame, *, n_draws: int = 400, seed: int = 0, rules: ContestRules = DRAFTKINGS_NASCAR
) -> OwnershipRecord:
    """Score a cold start on real contests, every race forecast by figures fitted on all other races.

    Parameters
    ----------
    contests : one row per driver and contest: contest_id, date, driver, salary, ownership (fraction, NaN where
        unknown), what was known before lock (start, projected_points and projected_ownership of a vendor, form, rating
        and the simulator's columns, see `simulated_columns`), entries, kind
    n_draws, seed : draws of the whole vector for the bands

    A cash contest is scored with `CASH_UNSEEN` as its scale ("hybrid") and with the shipped one ("hybrid, cash
    scaled").
    """
    boards, found = _by_basis(contests, rules), []
    for date, race in by_date(boards).items():
        prior = fit_start([b for b in boards if b.date != date], Prior.shipped("assumed"))
        for board in race:
            scales = {"hybrid": prior.cash_scale}
            if board.kind == "cash":
                scales = {"hybrid": CASH_UNSEEN, "hybrid, cash scaled": prior.cash_scale}
            fits = {k: HybridOwnershipEstimator(rules, replace(prior, cash_scale=x)).fit() for k, x in scales.items()}
            thetas = {model: fitted.log_worths(board) for model, fitted in fits.items()}
            thetas["salary only"] = salary_log_worths(board, fits["hybrid"].past, prior)
            residuals = dict.fromkeys(thetas, fits["hybrid"].residuals)
            found += _score_contest(board, thetas, residuals, n_draws, seed, board.contest_id.split("/")[1])
    return OwnershipRecord.of(found)


def _by_basis(contests, rules) -> tuple[ContestBoard, ...]:
    """Return every contest as it looks by each basis there is for it, `/` and the basis behind its contest_id."""
    vendor = [name for name in VENDORS if name in contests]
    alone = contests.assign(projected_points=contests["model_points"]).drop(columns=vendor)
    points = contests.assign(projected_points=contests["projected_points"].fillna(contests["model_points"]))
    frames = {ALONE: alone, POINTS: _having(points.drop(columns=vendor), contests, "projected_points", rules)}
    if vendor:
        frames[VENDOR] = _having(points, contests, "projected_ownership", rules)
    named = [frame.assign(contest_id=frame["contest_id"] + "/" + name) for name, frame in frames.items()]
    return read_history(pd.concat(named, ignore_index=True), rules)[0]


def _having(frame, contests, column, rules) -> pd.DataFrame:
    """Return the contests of `frame` where `column` is known for more drivers than a lineup holds."""
    known = contests[column].notna().groupby(contests["contest_id"]).transform("sum")
    return frame[known > rules.roster_size]


# ---------------------------------------------------------------- the scores of one forecast


def _scored(model, board, own, theta, draws, basis) -> tuple[list[dict], pd.DataFrame]:
    """Return the scores of a forecast of ownership (D,), θ and draws where there are some, and its drivers."""
    known, case = ~np.isnan(board.ownership), board.contest_id.removesuffix(f"/{basis}")
    about = {"case": case, "date": board.date, "model": model}
    rows = pd.DataFrame({**about, "driver": board.names, "salary": board.salary})
    place = np.nan if draws is None else (draws < board.ownership).mean(axis=0)
    drivers = rows.assign(forecast=own, actual=board.ownership, place=place)[known]
    size = next((name for name, least in reversed(SIZES.items()) if board.entries >= least), "unknown")
    about |= {"track_type": board.track_type, "kind": board.kind, "size": size, "entries": board.entries}
    about |= {"drivers": len(board), "known": int(known.sum()), "basis": basis}
    found = _scores(board, own, theta, draws, known)
    return [{**about, "score": name, "value": value} for name, value in found.items() if not np.isnan(value)], drivers


def _scores(board: ContestBoard, own, theta, draws, known) -> dict[str, float]:
    forecast, actual = 100 * own[known], 100 * board.ownership[known]
    error, left = np.abs(forecast - actual), 100 * (own[~known].sum() - board.rules.roster_size) + actual.sum()
    found = {
        "mean error": error.mean(),
        "least mean error": (error.sum() + (0.0 if known.all() else abs(left))) / len(own),
        "RMSE": metrics.root_mean_square_error(forecast, actual),
        "rank correlation": metrics.spearman(forecast.round(9), actual),  # of equal salary, equal but for rounding
    }
    if theta is not None and actual.sum() >= 100 * MOSTLY_KNOWN * board.rules.roster_size:
        found["log score"] = log_score(board, theta)
    if draws is not None:
        draws = 100 * draws[:, known]
        found["CRPS"] = metrics.crps(draws, actual).mean()
        for level in LEVELS:
            low, high = metrics.interval_bounds(draws, level)
            found[f"inside {level:.0%}"] = metrics.covered(low, high, actual).mean()
            found[f"width {level:.0%}"] = (high - low).mean()
            found[f"interval score {level:.0%}"] = metrics.interval_score(low, high, actual, level).mean()
    return found
