"""Four forecasts of ownership, each a law on lineups whose log-worths are linear in what was known before lock.

Every estimator answers `θ = s·X β`: X are features of one kind (see `evidence`), s the temperature of the contest's
size, and β maximises `Σ_c (o_c·θ_c − log Z(θ_c))` over past contests under a normal prior, the shipped figures. So
ownership sums to K, stays below 1 and respects the cap by construction.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from dfslab import evidence
from dfslab.evidence import Board, Memory, board_of, read_history
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules

__all__ = [
    "CannotSpeak",
    "FittedEstimator",
    "HistoricalOwnership",
    "ProjectionOwnership",
    "RecentFormOwnership",
    "SalarySkillOwnership",
    "fit_log_worths",
]

NEWTON_STEPS = 30
NEWTON_TOLERANCE = 1e-7
"""A fit ends when the next step would raise the log likelihood by less than this."""
DEFAULTS = Path(__file__).with_name("ownership_defaults.json")


class CannotSpeak(ValueError):
    """An estimator has nothing to go on for this slate; the message says what is missing."""


@cache
def _defaults() -> dict:
    return json.loads(DEFAULTS.read_text(encoding="utf-8"))


# ---------------------------------------------------------------- the likelihood


@dataclass(frozen=True, eq=False)
class Case:
    """A past contest with its design, (D, p)."""

    board: Board
    design: np.ndarray


def _completed(board: Board, law) -> np.ndarray:
    """Return the ownership with gaps filled by the law nearest to `law` that shows what is known."""
    known = ~np.isnan(board.ownership)
    if known.all():
        return board.ownership
    theta, own = law.theta.copy(), np.clip(board.ownership[known], 1e-4, 1 - 1e-4)
    for _ in range(12):
        pi = np.clip(board.law(theta).marginals()[known], 1e-6, 1 - 1e-6)
        theta[known] += np.log(own / (1 - own)) - np.log(pi / (1 - pi))
    return board.law(theta).marginals()


def _score(case: Case, beta):
    """Return log likelihood, gradient and (approximate) information of one contest."""
    law = case.board.law(case.design @ beta)
    pi = law.marginals()
    own = _completed(case.board, law)
    value = own @ law.theta - law.log_normaliser
    return value, case.design.T @ (own - pi), _information(case, law, pi)


def _information(case: Case, law, pi) -> np.ndarray:
    """Return XᵀCov X, where Cov keeps the number of drivers fixed and the lineup's salary at its true variance."""
    left, probability = law.unspent_distribution()
    spread = probability @ left**2 - (probability @ left) ** 2
    weight = pi * (1 - pi)
    fixed = np.column_stack([np.ones(len(pi)), case.board.salary / 1000])
    moments = fixed.T @ (weight[:, None] * fixed) + 1e-9 * np.eye(2)
    cross = np.linalg.solve(moments, fixed.T @ (weight[:, None] * case.design))
    rest = case.design - fixed @ cross
    return rest.T @ (weight[:, None] * rest) + spread / 1e6 * np.outer(cross[1], cross[1])


def fit_log_worths(cases, mean, precision, *, start=None, lower=None) -> np.ndarray:
    """Return β (p,) that maximises Σ_c (o_c·X_c β − log Z) − ½ Σ precision·(β − mean)².

    Newton steps with halving; coefficients with a bound in `lower` stay at or above it.

    Parameters
    ----------
    cases : past contests with their designs
    mean, precision : (p,) the normal prior
    start : (p,) where to begin; the prior mean without it
    lower : (p,) bounds, -inf for none
    """
    mean, precision = np.asarray(mean, float), np.asarray(precision, float)
    lower = np.full(len(mean), -np.inf) if lower is None else lower
    beta = np.maximum(mean if start is None else start, lower)
    state = _total(cases, beta, mean, precision)
    for _ in range(NEWTON_STEPS):
        step = _newton_step(state, beta, lower)
        if step @ state[1] < NEWTON_TOLERANCE * max(len(cases), 1):
            break
        beta, state, moved = _line_search(cases, beta, step, state, (mean, precision, lower))
        if not moved:
            break
    return beta


def _total(cases, beta, mean, precision):
    scores = [_score(case, beta) for case in cases]
    away = beta - mean
    value = sum(s[0] for s in scores) - 0.5 * precision @ away**2
    gradient = sum((s[1] for s in scores), -precision * away)
    return value, gradient, sum((s[2] for s in scores), np.diag(precision))


def _newton_step(state, beta, lower) -> np.ndarray:
    _, gradient, information = state
    free = (beta > lower) | (gradient > 0)
    step = np.zeros(len(beta))
    ridge = 1e-10 * np.trace(information) * np.eye(free.sum())
    step[free] = np.linalg.solve(information[np.ix_(free, free)] + ridge, gradient[free])
    return step


def _line_search(cases, beta, step, state, prior):
    mean, precision, lower = prior
    length = 1.0
    while length > 1e-4:
        trial = np.maximum(beta + length * step, lower)
        new = _total(cases, trial, mean, precision)
        if new[0] > state[0]:
            return trial, new, True
        length /= 2
    return beta, state, False


# ---------------------------------------------------------------- the four


def _prior(estimator: str, names) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and precision (per contest-worth of likelihood) of the coefficients by name."""
    table = _defaults()["estimators"]
    own, shared = table.get(estimator, {}), table["shared"]
    rows = np.array([own.get(n) or shared.get(n) or [0.0, 1.0] for n in names], float)
    return rows[:, 0], 1 / (_defaults()["lineups_per_contest"] * rows[:, 1] ** 2)


def _size_factor(board: Board) -> float:
    """Return the temperature by contest size: large contests are flatter."""
    if not board.entries > 0:
        return 1.0
    return float(1 + _defaults()["size_slope"] * (np.log10(board.entries) - 3))


@dataclass(frozen=True)
class _Estimator:
    """The common part: which evidence it reads, and how it is fitted."""

    rules: ContestRules = DRAFTKINGS_NASCAR
    name: ClassVar[str]
    required: ClassVar[tuple] = ()
    """At least one of these must be there."""

    def fit(self, history=None) -> "FittedEstimator":
        """Return the estimator fitted on past contests (a tidy frame, see `evidence.read_history`)."""
        boards, notes = read_history(history, self.rules)
        return self.fit_boards(boards, notes=notes)

    def fit_boards(self, boards, memory=None, notes=(), last=None) -> "FittedEstimator":
        memory = remember(boards) if memory is None else memory
        last = last or (max(b.date for b in boards) if boards else pd.Timestamp("1970-01-01"))
        return FittedEstimator(self, tuple(boards), memory, tuple(notes), last)


def remember(boards) -> Memory:
    """Return the memory of `boards`: what each driver drew against the salary curve fitted on the same contests."""
    boards = [b for b in boards if b.complete]
    cases = [Case(b, _size_factor(b) * evidence.salary_curve(b)) for b in boards]
    beta = fit_log_worths(cases, *_prior("salary", _names(evidence.salary_curve, 7)))
    return Memory.of(boards, [c.board.law(c.design @ beta).marginals() for c in cases])


def _names(feature, width) -> list[str]:
    return [f"{feature.__name__}.{j}" for j in range(width)]


class HistoricalOwnership(_Estimator):
    """What the driver drew before, relative to salary, shrunk to the pool, decayed, and by track type.

    θ = salary curve + b·d + c·d·salary + e·d_here, where d is the mean log ratio of past ownership to what salary
    explains, decayed over 45 days and shrunk to 0 by one contest. Cannot speak when no driver was seen before.
    """

    name = "historical"
    required = (evidence.popularity, evidence.popularity_here)


class ProjectionOwnership(_Estimator):
    """Projected points and a vendor's projected ownership; θ = salary curve + b·points (standardised) + vendor's.

    Cannot speak without projected points or ownership for more than K drivers.
    """

    name = "projection"
    required = (evidence.projection,)


class SalarySkillOwnership(_Estimator):
    """Salary, rating, start and room to gain places. Always speaks."""

    name = "salary_skill"
    required = (evidence.salary_curve, evidence.rating, evidence.starting_place)


class RecentFormOwnership(_Estimator):
    """Recent ownership, price moves, and recent points against expectation, decayed. Cannot speak without a past."""

    name = "recent_form"
    required = (evidence.recent_popularity, evidence.price_move, evidence.points_form, evidence.given_form)


@dataclass(frozen=True, eq=False)
class FittedEstimator:
    """An estimator with the contests it learned from."""

    estimator: _Estimator
    boards: tuple
    memory: Memory
    notes: tuple
    last_date: pd.Timestamp
    _fits: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The estimator's name."""
        return self.estimator.name

    def _evidence(self, board) -> tuple:
        """Return the features that can be computed for `board`."""
        asked = [evidence.salary_curve, *(f for f in self.estimator.required if f is not evidence.salary_curve)]
        return tuple(f for f in asked if f(board, self.memory) is not None)

    def _design(self, board, features):
        parts = [f(board, self.memory) for f in features]
        if any(p is None for p in parts):
            return None
        return _size_factor(board) * np.column_stack(parts)

    def coefficients(self, features, start=None) -> pd.Series:
        """Return the coefficients of a set of features, fitted on the past contests that have all of them."""
        if features not in self._fits:
            designs = [(b, self._design(b, features)) for b in self.boards if b.ownership is not None]
            cases = [Case(b, x) for b, x in designs if x is not None]
            names = [n for f in features for n in _names(f, _width(f))]
            self._fits[features] = pd.Series(fit_log_worths(cases, *_prior(self.name, names)), names)
        return self._fits[features]

    def board_log_worths(self, board) -> np.ndarray:
        """Return θ for a board, (D,); raise `CannotSpeak` when it has nothing of its own to go on."""
        features = self._evidence(board)
        if not set(features) & set(self.estimator.required):
            wanted = ", ".join(f.__name__.replace("_", " ") for f in self.estimator.required)
            raise CannotSpeak(f"{self.name}: none of {wanted} is known for this slate")
        return self._design(board, features) @ self.coefficients(features).to_numpy()

    def log_worths(self, slate, contest=None) -> pd.Series:
        """Return θ by driver; -inf for drivers who do not race."""
        board = self.board(slate, contest)
        values = pd.Series(-np.inf, index=pd.Index(slate.names, name="driver"))
        values[~slate.out] = self.board_log_worths(board)
        return values

    def predict(self, slate, contest=None) -> pd.Series:
        """Return ownership by driver, fractions that sum to K; 0 for drivers who do not race."""
        board = self.board(slate, contest)
        values = pd.Series(0.0, index=pd.Index(slate.names, name="driver"), name="ownership")
        values[~slate.out] = board.law(self.board_log_worths(board)).marginals()
        return values

    def board(self, slate, contest) -> Board:
        """Return the slate as of its race's date, else the day after the last contest of the history."""
        return board_of(slate, contest, self.last_date + pd.Timedelta(days=1))

    def summary(self) -> pd.DataFrame:
        """Return the coefficients of each set of features fitted so far, one row each."""
        rows = [s.rename_axis("feature").rename("coefficient").reset_index() for s in self._fits.values()]
        return pd.concat(rows) if rows else pd.DataFrame(columns=["feature", "coefficient"])


WIDTHS = {"salary_curve": 7, "popularity": 2, "starting_place": 2}


def _width(feature) -> int:
    return WIDTHS.get(feature.__name__, 1)
