"""Forecasts of real contests by figures that never saw their race: what a new user's forecast is worth."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dfslab import metrics
from dfslab.lineups import LineupLaw
from dfslab.ownership._board import VENDORS, ContestBoard, read_history
from dfslab.ownership._errors import LEAST, draw_ownership
from dfslab.ownership._estimators import salary_log_worths
from dfslab.ownership._fit import Prior, log_score
from dfslab.ownership._hybrid import HybridOwnershipEstimator
from dfslab.ownership._start import fit_start, left_out
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules

ALONE, POINTS, VENDOR = "no vendor", "a vendor's points", "a vendor's ownership"
CASH_UNSEEN = 1.0
"""Scale of cash contests where no other cash contest was seen: what 1.6 rests on must not score itself."""


@dataclass(frozen=True, repr=False)
class RaceScores:
    """Scores of forecasts of real contests whose race was left out of all that was learned.

    `scores` has case (the contest), date, entries, kind, drivers, known (drivers whose ownership is known), basis (what
    the forecast knew: no vendor, a vendor's points, a vendor's ownership), model, score, value. Scores: mean error over
    known drivers and, over all, the least it can be (the unknown share what is left), in points; rank correlation; log
    score, where most of the ownership is known; shares inside the bands.
    """

    scores: pd.DataFrame

    def __repr__(self) -> str:
        contests, races = self.scores["case"].nunique(), self.scores["date"].nunique()
        return f"RaceScores({contests} contests of {races} races, each race forecast without it)"

    def table(self) -> pd.DataFrame:
        """Return one row per contest, basis and model, scores as columns; errors over known drivers say so."""
        keys = ["date", "case", "entries", "kind", "known", "drivers", "basis", "model"]
        table = self.scores.pivot_table(index=keys, columns="score", values="value", sort=False)
        table = table.reindex(columns=list(SHOWN)).rename(columns=SHOWN).reset_index().rename_axis(columns=None)
        table = table.assign(entries=table["entries"].astype(int), date=table["date"].dt.strftime("%Y-%m-%d"))
        return table.sort_values(["date", "case", "basis"], key=_in_order, kind="stable", ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """Return the mean of every score by basis and model, with its standard error clustered by race."""
        return metrics.summarise(self.scores.assign(cluster=self.scores["date"]), ["basis", "model", "score"])


def _in_order(column: pd.Series) -> pd.Series:
    return column.map((ALONE, POINTS, VENDOR).index) if column.name == "basis" else column


SHOWN = {
    "mean error": "mean error, known drivers",
    "least mean error": "mean error, all drivers, at least",
    "rank correlation": "rank correlation",
    "log score": "log score",
    "inside 80%": "inside 80 % bands",
}
"""Scores of the table, and what they are called there."""
MOSTLY_KNOWN = 0.98
"""Share of the roster's ownership that must be known for a log score: the rest is taken as the law has it."""


def fit_races(contests: pd.DataFrame, rules: ContestRules = DRAFTKINGS_NASCAR) -> Prior:
    """Return the figures that NASCAR's forecasts start from, fitted on all of `contests` (see `score_races`)."""
    return fit_start(_boards(contests, rules)[0], Prior.shipped("assumed"))


def score_races(
    contests: pd.DataFrame, *, n_draws: int = 400, seed: int = 0, rules: ContestRules = DRAFTKINGS_NASCAR
) -> RaceScores:
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
    boards, basis = _boards(contests, rules)
    rows = []
    for race, prior in left_out(boards, Prior.shipped("assumed")):
        for board in race:
            key = (board.contest_id.split("/")[0], board.date, board.entries, board.kind, len(board))
            key += (int((~np.isnan(board.ownership)).sum()), basis[board.contest_id])
            for model, own, log, draws in _forecasts(board, prior, basis[board.contest_id], (n_draws, seed)):
                mostly = np.nansum(board.ownership) >= MOSTLY_KNOWN * board.rules.roster_size
                found = _scores(board, own, draws) | {"log score": log if mostly else np.nan}
                rows += [(*key, model, score, value) for score, value in found.items()]
    columns = ["case", "date", "entries", "kind", "drivers", "known", "basis", "model", "score", "value"]
    return RaceScores(pd.DataFrame(rows, columns=columns).dropna(subset="value"))


def _boards(contests, rules) -> tuple[tuple[ContestBoard, ...], dict]:
    """Return every contest as it looks by each basis there is for it, and the basis by contest_id."""
    vendor = [name for name in VENDORS if name in contests]
    alone = contests.assign(projected_points=contests["model_points"]).drop(columns=vendor)
    points = contests.assign(projected_points=contests["projected_points"].fillna(contests["model_points"]))
    frames = {ALONE: alone, POINTS: _having(points.drop(columns=vendor), contests, "projected_points", rules)}
    if vendor:
        frames[VENDOR] = _having(points, contests, "projected_ownership", rules)
    named = [frame.assign(contest_id=frame["contest_id"] + "/" + name) for name, frame in frames.items()]
    boards, _ = read_history(pd.concat(named, ignore_index=True), rules)
    return boards, {board.contest_id: board.contest_id.split("/")[1] for board in boards}


def _having(frame, contests, column, rules) -> pd.DataFrame:
    """Return the contests of `frame` where `column` is known for more drivers than a lineup holds."""
    known = contests[column].notna().groupby(contests["contest_id"]).transform("sum")
    return frame[known > rules.roster_size]


def _forecasts(board: ContestBoard, prior: Prior, basis, settings):
    """Yield (model, ownership (D,), log score, draws or None) of the forecast and of what it has to beat."""
    n, seed = settings
    scales = {"hybrid": CASH_UNSEEN, "hybrid, cash scaled": prior.cash_scale}
    for model, scale in scales.items() if board.kind == "cash" else [("hybrid", prior.cash_scale)]:
        fitted = HybridOwnershipEstimator(board.rules, replace(prior, cash_scale=scale)).fit()
        theta = fitted.board_log_worths(board)
        own = board.law(theta).marginals()
        draws = draw_ownership(own, board.salary, fitted.residuals.like(board), n, np.random.default_rng(seed))
        yield model, own, log_score(board, theta), draws
    if basis == VENDOR:
        published = np.clip(np.nan_to_num(board.column(VENDORS[0])), LEAST, 1 - LEAST)
        yield "vendor", published, np.nan, None
        law = LineupLaw.fit(published, board.salary, board.rules, nearest=True)
        yield "vendor on the law", law.marginals(), log_score(board, law.theta), None
    elif basis == ALONE:
        theta = salary_log_worths(board, fitted.past, prior)
        yield "salary only", board.law(theta).marginals(), log_score(board, theta), None
        yield "uniform", np.full(len(board), board.rules.roster_size / len(board)), np.nan, None


def _scores(board: ContestBoard, own, draws) -> dict[str, float]:
    actual, known = board.ownership, ~np.isnan(board.ownership)
    error = 100 * np.abs(own - actual)[known]
    rest = 100 * abs(own[~known].sum() - (board.rules.roster_size - actual[known].sum())) if not known.all() else 0.0
    found = {
        "mean error": error.mean(),
        "least mean error": (error.sum() + rest) / len(own),
        "rank correlation": metrics.spearman(own[known], actual[known]),
    }
    for level in () if draws is None else (0.5, 0.8, 0.95):
        low, high = metrics.interval_bounds(draws[:, known], level)
        found[f"inside {level:.0%}"] = metrics.covered(low, high, actual[known]).mean()
    return found
