"""How ownership forecasts turned out, scored against plain baselines, when nothing was learned from what they score.

Either every past contest is forecast from earlier ones (`walk_forward`), or every race of a few real ones by figures
fitted on the other races (`score_races`): what a new user's forecast is worth.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from dfslab import metrics
from dfslab.lineups import LineupLaw
from dfslab.ownership._board import VENDORS, ContestBoard, read_history
from dfslab.ownership._errors import LEAST, Residuals, draw_ownership, errors_of
from dfslab.ownership._fit import Prior, log_score
from dfslab.ownership._hybrid import HybridOwnershipEstimator, compute_all
from dfslab.ownership._sources import salary_log_worths
from dfslab.ownership._start import fit_start, races_of
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules

LEVELS = (0.5, 0.8, 0.95)
SIZES = {"under 1,000": 0.0, "1,000 to 10,000": 1_000.0, "over 10,000": 10_000.0}
"""Sizes of contests, and the entries each begins at."""
PUBLISHED = "vendor as published"
"""The forecaster that is a vendor's projected ownership as it came."""
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
    forecast and actual (fractions). `weights` has a row per contest and pooled source;
    `pools` is what a later forecast can be given (`HybridOwnershipEstimator.from_dict`).
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

    def only(self, cases) -> "OwnershipRecord":
        """Return the same for some of the contests."""
        frames = {name: getattr(self, name) for name in ("scores", "drivers", "weights")}
        return replace(self, **{name: frame[frame["case"].isin(cases)] for name, frame in frames.items()})

    def late(self, since=None, last: int | None = None) -> "OwnershipRecord":
        """Return the same for the contests from the day `since` on, or the `last` so many of these."""
        dates = self.scores.drop_duplicates("case").set_index("case")["date"].sort_values(kind="stable")
        return self.only(dates[dates >= (since or dates.min())].index[-(last or 0) :])

    def table(self, by: Sequence[str] = ("model",), scores: Sequence[str] = SHOWN) -> pd.DataFrame:
        """Return mean scores ± their standard errors by model, or by other columns, smallest error first; contests."""
        by = list(by)
        found = metrics.summarise(self.scores, [*by, "score"])
        contests = found[found["score"] == "mean error"].set_index(by)[["mean", "n"]]
        table = _side_by_side(found, by, scores, "mean").join(contests.rename(columns={"n": "contests"}), on=by)
        return table.sort_values([*by[:-1], "mean"], kind="stable", ignore_index=True).drop(columns="mean")

    def gains(
        self, by: Sequence[str] = (), scores: Sequence[str] = ("log score", "mean error", "CRPS")
    ) -> pd.DataFrame:
        """Return what the hybrid gains over every other, paired by contest, ± its standard error; positive is better.

        One row per other model (and value of `by`): against, contests (that both forecast), and the gain in each score.
        """
        found, rows = metrics.compare(self.scores, "hybrid", [*by, "score"]), [*by, "model"]
        found["difference"] *= np.where(found["score"].isin(BETTER_HIGH), -1.0, 1.0)
        contests = found[found["score"] == "mean error"].set_index(rows)["n"].rename("contests")
        table = _side_by_side(found, rows, scores, "difference").join(contests, on=rows)
        return table.rename(columns={"model": "against"})


def _side_by_side(found, by, scores, value) -> pd.DataFrame:
    """Return `value` of each score ± its standard error as columns, one row per `by` in the order they come."""
    rows, wide = found.set_index([*by, "score"]), found[by].drop_duplicates().reset_index(drop=True)
    for score in scores:
        mine = rows.xs(score, level="score") if score in rows.index.get_level_values("score") else rows.iloc[:0]
        wide = wide.join(mine.rename(columns={value: score, "se": f"± {score}"})[[score, f"± {score}"]], on=by)
    return wide


# ---------------------------------------------------------------- what is scored


def walk_forward(
    history, estimator=None, *, first: int = 0, n_draws: int = 400, seed: int = 0, keep: Callable = compute_all
) -> OwnershipRecord:
    """Forecast every past contest from the contests of earlier dates and score it.

    Beside the hybrid stand its sources, `uniform`, `salary_only`, and `vendor as published` where projected ownership
    is known of every driver.

    Parameters
    ----------
    history : tidy frame, see `HybridOwnershipEstimator.fit`
    estimator : the hybrid to score; default the one that ships
    first : the number of earliest contests that are only learned from
    n_draws, seed : draws of the whole vector for CRPS and intervals
    keep : walks through past contests, see `HybridOwnershipEstimator.fit`
    """
    fitted = (estimator or HybridOwnershipEstimator()).fit(history, keep)
    settings = "scored contests", replace(fitted.estimator, pools=()), n_draws, seed
    scored = keep(lambda kept: _score_days(fitted, n_draws, seed, kept), fitted.days, *settings)
    late = [board.contest_id for board in fitted.boards[first:]]
    rows = [
        (r.board.contest_id, r.board.date, source, weight, r.pool.temperature)
        for r in fitted.rolled
        for source, weight in r.pool.weights.items()
    ]
    weights = pd.DataFrame(rows, columns=["case", "date", "estimator", "weight", "temperature"])
    record = OwnershipRecord.of([one for day in scored.values() for found, _ in day for one in found])
    return replace(record, weights=weights, pools=fitted.to_dict(), notes=fitted.notes).only(late)


def _score_days(fitted, n_draws: int, seed: int, kept: Mapping) -> dict:
    """Return for every date that is not in `kept` what `_scored` says of its contests, and the errors by model."""
    rolled, found, errors, number = {(r.board.date, r.board.contest_id): r for r in fitted.rolled}, {}, {}, 0
    for date, boards in fitted.days.items():
        if date not in kept:
            streams = [np.random.SeedSequence(seed, spawn_key=(number + k,)) for k in range(len(boards))]
            pairs = [(board, rolled.get((date, board.contest_id))) for board in boards]
            shipped = fitted.estimator.prior.residuals
            found[date] = [_score_contest(*p, errors, shipped, n_draws, s) for p, s in zip(pairs, streams, strict=True)]
        number += len(boards)
        for _, made in kept[date] if date in kept else found[date]:
            for model, error in made.items():
                errors[model] = [*errors.get(model, ()), error]
    return found


def _score_contest(board, rolled, errors, shipped, n_draws, stream) -> tuple[list, dict]:
    """Return the scores of every forecast of a contest, and the errors of those that have any, by model."""
    said = {} if rolled is None else {"hybrid": rolled.log_worths, "salary_only": rolled.base, **rolled.sources}
    found = []
    for model, theta in said.items():
        own, known = board.law(theta).marginals(), Residuals.of(errors.get(model, ()), shipped).like(board)
        draws = draw_ownership(own, board.salary, known, n_draws, np.random.default_rng(stream))
        found.append(_scored(model, board, own, theta, draws, ""))
    found.append(_scored("uniform", board, _uniform(board), None, None, ""))
    if not np.isnan(board.column(VENDORS[0])).any():
        found.append(_scored(PUBLISHED, board, _published(board), None, None, ""))
    return found, {model: errors_of(board, theta) for model, theta in said.items()}


def _uniform(board: ContestBoard) -> np.ndarray:
    return np.full(len(board), board.rules.roster_size / len(board))


def _published(board: ContestBoard) -> np.ndarray:
    """Return a vendor's projected ownership, (D,); drivers it does not name are owned by nobody."""
    return np.clip(np.nan_to_num(board.column(VENDORS[0])), LEAST, 1 - LEAST)


def fit_races(contests: pd.DataFrame, rules: ContestRules = DRAFTKINGS_NASCAR) -> Prior:
    """Return the figures that NASCAR's forecasts start from, fitted on all of `contests` (see `score_races`)."""
    return fit_start(_by_basis(contests, rules), Prior.shipped("assumed"))


def score_races(
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
    for race in races_of(boards):
        prior = fit_start([b for b in boards if b.date != race[0].date], Prior.shipped("assumed"))
        for board in race:
            basis = board.contest_id.split("/")[1]
            found += [_scored(*one, basis) for one in _cold_forecasts(board, prior, basis, n_draws, seed)]
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


def _cold_forecasts(board: ContestBoard, prior: Prior, basis, n_draws, seed):
    """Yield model, board, ownership (D,), θ or None, draws or None of the forecast and of what it has to beat."""
    scales = {"hybrid": CASH_UNSEEN, "hybrid, cash scaled": prior.cash_scale}
    for model, scale in scales.items() if board.kind == "cash" else [("hybrid", prior.cash_scale)]:
        fitted = HybridOwnershipEstimator(board.rules, replace(prior, cash_scale=scale)).fit()
        theta = fitted.log_worths(board)
        own = board.law(theta).marginals()
        draws = draw_ownership(own, board.salary, fitted.residuals.like(board), n_draws, np.random.default_rng(seed))
        yield model, board, own, theta, draws
    if basis == VENDOR:
        published = _published(board)
        law = LineupLaw.fit(published, board.salary, board.rules, nearest=True)
        yield "vendor", board, published, None, None
        yield "vendor on the law", board, law.marginals(), law.theta, None
    elif basis == ALONE:
        theta = salary_log_worths(board, fitted.past, prior)
        yield "salary only", board, board.law(theta).marginals(), theta, None
        yield "uniform", board, _uniform(board), None, None


# ---------------------------------------------------------------- the scores of one forecast


def _scored(model, board, own, theta, draws, basis) -> tuple[list[dict], pd.DataFrame]:
    """Return the scores of a forecast of ownership (D,), θ and draws where there are some, and its drivers."""
    known, case = ~np.isnan(board.ownership), board.contest_id.removesuffix(f"/{basis}")
    about = {"case": case, "date": board.date, "model": model}
    rows = pd.DataFrame({**about, "driver": board.names, "salary": board.salary})
    drivers = rows.assign(forecast=own, actual=board.ownership)[known]
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
        "rank correlation": metrics.spearman(forecast, actual),
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
