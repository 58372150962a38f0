"""The ownership forecast: a log-linear pool of the four estimators, with its uncertainty.

`θ = τ Σ_k w_k θ_k`, w on the simplex, fitted on forecasts that were made from earlier contests only.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from dfslab.estimators import (
    CannotSpeak,
    Case,
    FittedEstimator,
    HistoricalOwnership,
    ProjectionOwnership,
    RecentFormOwnership,
    SalarySkillOwnership,
    fit_log_worths,
    remember,
)
from dfslab.evidence import Board, board_of, read_history
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules

__all__ = [
    "CannotSpeak",
    "HistoricalOwnership",
    "HybridOwnershipEstimator",
    "ProjectionOwnership",
    "RecentFormOwnership",
    "SalarySkillOwnership",
]

POOL_PRECISION = 0.05
"""Pull of the pool's weights to equal ones, in contests."""
LEAST_RESIDUALS = 4
DEFAULT_SPREAD = 0.55
"""Standard deviation of log-worth errors before a history gives its own (golf, provisional)."""


@dataclass(frozen=True)
class HybridOwnershipEstimator:
    """The pool of the four estimators."""

    rules: ContestRules = DRAFTKINGS_NASCAR
    parts: tuple = ()

    def fit(self, history=None) -> "FittedHybrid":
        """Return the pool fitted on past contests by rolling origin (a tidy frame, see `evidence.read_history`)."""
        boards, notes = read_history(history, self.rules)
        parts = self.parts or _four(self.rules)
        rolled = _roll(parts, boards)
        last = max((b.date for b in boards), default=pd.Timestamp("1970-01-01"))
        memory = remember(boards)
        fitted = {p.name: p.fit_boards(boards, memory, last=last) for p in parts}
        return FittedHybrid(fitted, tuple(rolled), tuple(notes), last, {})


def _four(rules) -> tuple:
    kinds = (HistoricalOwnership, ProjectionOwnership, SalarySkillOwnership, RecentFormOwnership)
    return tuple(kind(rules) for kind in kinds)


def _speak(fitted: dict, board: Board) -> tuple[dict, dict]:
    """Return θ of each estimator that can speak, and the reason of each that cannot."""
    said, missing = {}, {}
    for name, part in fitted.items():
        try:
            said[name] = part.board_log_worths(board)
        except CannotSpeak as why:
            missing[name] = str(why)
    return said, missing


def _roll(parts, boards) -> list:
    """Return (board, {name: θ}) of each contest as forecast from the contests of earlier dates."""
    rolled, dates = [], sorted({b.date for b in boards})
    for date in dates:
        past = [b for b in boards if b.date < date]
        memory = remember(past)
        fitted = {p.name: p.fit_boards(past, memory) for p in parts}
        rolled += [(b, _speak(fitted, b)[0]) for b in boards if b.date == date]
    return rolled


@dataclass(frozen=True, eq=False)
class FittedHybrid:
    """The pool with its weights; `weights(names)` for whichever estimators can speak."""

    fitted: dict
    rolled: tuple
    notes: tuple
    last_date: pd.Timestamp
    _fits: dict = field(default_factory=dict)

    def pool(self, names: tuple) -> np.ndarray:
        """Return τ·w of the estimators `names`, fitted on the contests where all of them spoke."""
        if names not in self._fits:
            cases = [
                Case(board, np.column_stack([said[n] for n in names]))
                for board, said in self.rolled
                if set(names) <= set(said)
            ]
            mean = np.full(len(names), 1 / len(names))
            self._fits[names] = fit_log_worths(
                cases, mean, np.full(len(names), POOL_PRECISION), lower=np.zeros(len(names))
            )
        return self._fits[names]

    def board(self, slate, contest) -> Board:
        """Return the slate as of its race's date, else the day after the last contest of the history."""
        return board_of(slate, contest, self.last_date + pd.Timedelta(days=1))

    def missing(self, slate, contest=None) -> dict:
        """Return the estimators that cannot speak for this slate, with the reason."""
        return _speak(self.fitted, self.board(slate, contest))[1]

    def board_log_worths(self, board) -> np.ndarray:
        """Return θ for a board, (D,)."""
        said, missing = _speak(self.fitted, board)
        if not said:
            raise CannotSpeak("; ".join(missing.values()))
        return np.column_stack(list(said.values())) @ self.pool(tuple(said))

    log_worths = FittedEstimator.log_worths
    predict = FittedEstimator.predict

    def sample(self, slate, n: int, rng: np.random.Generator, contest=None) -> np.ndarray:
        """Return `n` draws of the whole ownership vector, (n, D), each summing to K; the first do not depend on n."""
        board = self.board(slate, contest)
        theta = self.board_log_worths(board)
        draws = np.zeros((n, len(slate)))
        noise = DEFAULT_SPREAD * rng.standard_normal((n, len(board)))
        racing = np.flatnonzero(~slate.out)
        for i in range(n):
            draws[i, racing] = board.law(theta + noise[i]).marginals()
        return draws

    def weights(self, slate, contest=None) -> pd.Series:
        """Return the weights of the estimators that can speak, summing to 1."""
        said = tuple(_speak(self.fitted, self.board(slate, contest))[0])
        pooled = self.pool(said)
        return pd.Series(pooled / pooled.sum(), index=list(said), name="weight")

    def summary(self) -> pd.DataFrame:
        """Return weight and temperature of each set of estimators fitted so far."""
        rows = [
            {"estimators": " + ".join(names), "estimator": n, "weight": a / pooled.sum(), "temperature": pooled.sum()}
            for names, pooled in self._fits.items()
            for n, a in zip(names, pooled, strict=True)
        ]
        return pd.DataFrame(rows, columns=["estimators", "estimator", "weight", "temperature"])
