"""Four forecasts of ownership, each a law on lineups whose log-worths are linear in what was known before lock.

Every estimator answers `θ = s·X β`: X are features of one kind (see `evidence`), s the temperature of the contest's
size, and β maximises `Σ_c (o_c·θ_c − log Z(θ_c))` over past contests under a normal prior, the shipped figures. So
ownership sums to K, stays below 1 and respects the cap by construction.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import pandas as pd

from dfslab.errors import whole_number
from dfslab.ownership import _features as evidence
from dfslab.ownership._errors import Residuals, draw_ownership
from dfslab.ownership._features import Board, Memory, board_of, read_history
from dfslab.ownership._fit import Case, Prior, fit_log_worths, log_score, size_factor
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules

__all__ = [
    "CannotSpeak",
    "FittedEstimator",
    "Forecaster",
    "HistoricalOwnership",
    "ProjectionOwnership",
    "RecentFormOwnership",
    "Rolled",
    "SalarySkillOwnership",
    "by_voice",
    "VENDOR",
    "remember",
    "roll",
    "salary_log_worths",
    "speak",
]

MOST_CONTESTS = 100
"""Coefficients are fitted on so many of the latest contests; drivers are remembered from all of them."""
REFIT_GROWTH = 1.08
"""Rolling forecasts refit when there are this many times as many contests as at the last fit."""
VENDOR = "projection (vendor)"
"""The voice of `ProjectionOwnership` when it reads a vendor's projected ownership."""
FIRST_DAY = pd.Timestamp("1970-01-01")


class CannotSpeak(ValueError):
    """An estimator has nothing to go on for this slate; the message says what is missing."""


# ---------------------------------------------------------------- what every fitted forecast can do


class Forecaster:
    """Forecasts from log-worths; a child gives `board_log_worths(board)`, `residuals`, `boards` and `fits`.

    A board of an earlier date than some of its contests is forecast by a refit on the contests before that date.
    """

    @property
    def last_date(self) -> pd.Timestamp:
        """The date of the last contest it knows."""
        return max((b.date for b in self.boards), default=FIRST_DAY)

    def as_of(self, date) -> "Forecaster":
        """Return the same forecaster, knowing only contests before `date`."""
        if all(b.date < date for b in self.boards):
            return self
        if date not in self.fits:
            self.fits[date] = self.estimator.fit_boards([b for b in self.boards if b.date < date])
        return self.fits[date]

    def board(self, slate, contest=None) -> Board:
        """Return the slate as of its race's date, else the day after the last contest of the history."""
        return board_of(slate, contest, self.last_date + pd.Timedelta(days=1))

    def log_worths(self, slate, contest=None) -> pd.Series:
        """Return θ by driver; -inf for drivers who do not race."""
        board = self.board(slate, contest)
        return self._spread(slate, self.as_of(board.date).board_log_worths(board), -np.inf, "log_worth")

    def predict(self, slate, contest=None) -> pd.Series:
        """Return ownership by driver, fractions that sum to K; 0 for drivers who do not race.

        Parameters
        ----------
        slate : Slate; its columns start, projected_points, projected_ownership (fraction), rating and form are used
            where they are known. Without a race the forecast speaks as of the day after the last past contest.
        contest : Contest or None; its size matters

        Raises
        ------
        CannotSpeak : nothing this forecast reads is known
        """
        board = self.board(slate, contest)
        theta = self.as_of(board.date).board_log_worths(board)
        return self._spread(slate, board.law(theta).marginals(), 0.0, "ownership")

    def sample(self, slate, n: int, rng: np.random.Generator, contest=None) -> np.ndarray:
        """Return `n` draws of the whole ownership vector, (n, D), rows that sum to K.

        Each draw adds the errors of one past contest, forecast from earlier ones only, to the forecast; the first
        draws do not depend on `n`.
        """
        n, board = whole_number(n, "sample: n", 0), self.board(slate, contest)
        known = self.as_of(board.date)
        draws = np.zeros((n, len(slate)))
        centre = board.law(known.board_log_worths(board)).marginals()
        draws[:, ~slate.out] = draw_ownership(centre, board.salary, known.residuals.like(board), n, rng)
        return draws

    @staticmethod
    def _spread(slate, values, absent, name) -> pd.Series:
        series = pd.Series(absent, index=pd.Index(slate.names, name="driver"), name=name, dtype=float)
        series[~slate.out] = values
        return series


# ---------------------------------------------------------------- the four


@dataclass(frozen=True)
class _Estimator:
    """The common part; `own` is the evidence of which at least one piece must be known."""

    rules: ContestRules = DRAFTKINGS_NASCAR
    prior: Prior = field(default_factory=Prior.shipped)
    name: ClassVar[str]
    own: ClassVar[tuple]

    def voice(self, features) -> str:
        """Return the name under which a forecast from `features` enters the pool."""
        return self.name

    def fit(self, history=None) -> "FittedEstimator":
        """Return the estimator fitted on past contests (a tidy frame, see `evidence.read_history`)."""
        boards, notes = read_history(history, self.rules)
        return self.fit_boards(boards, notes=notes)

    def fit_boards(self, boards, memory=None, notes=(), before=None) -> "FittedEstimator":
        """Return the estimator fitted on boards; coefficients of `before`, an earlier fit, are where to start."""
        memory = remember(boards, self.prior) if memory is None else memory
        start = before.fits if before is not None else {}
        return FittedEstimator(self, tuple(boards), memory, tuple(notes), dict(start))

    def features(self, known) -> tuple:
        """Return the features to use of those `known`."""
        return (evidence.salary_curve, *(f for f in self.own if f in known and f is not evidence.salary_curve))


class HistoricalOwnership(_Estimator):
    """What the driver drew before relative to salary, shrunk to the pool, decayed, and by track type.

    θ = salary curve + b·d + c·d·price + e·d_here; d is the mean log ratio of past ownership to what salary explains,
    decayed over 45 days and shrunk to 0 by one contest. It cannot speak when no driver was seen before.
    """

    name = "historical"
    own = (evidence.popularity, evidence.popularity_here)


class ProjectionOwnership(_Estimator):
    """Projected points, or better a vendor's projected ownership, with points beside it.

    θ = salary curve + b·points (standardised), or θ = c·θ_salary + a·(θ_vendor − θ_salary), θ_vendor the law that
    shows the vendor's forecast. It cannot speak without either for more than K drivers.
    """

    name = "projection"
    own = (evidence.vendor, evidence.projection)

    def features(self, known) -> tuple:
        """Return the features to use: a vendor's forecast knows salaries already."""
        return (evidence.vendor,) if evidence.vendor in known else super().features(known)

    def voice(self, features) -> str:
        """Return `VENDOR` when a vendor's forecast is read: it deserves a weight of its own."""
        return VENDOR if evidence.vendor in features else self.name


class SalarySkillOwnership(_Estimator):
    """θ = salary curve + rating + room to gain places from the start. It always speaks."""

    name = "salary_skill"
    own = (evidence.salary_curve, evidence.rating, evidence.starting_place)


class RecentFormOwnership(_Estimator):
    """θ = salary curve + last weeks' popularity + price move + points against expectation + the slate's `form`.

    It cannot speak when no driver was seen before and the slate has no `form`.
    """

    name = "recent_form"
    own = (evidence.recent_popularity, evidence.price_move, evidence.points_form, evidence.given_form)


@dataclass(frozen=True, eq=False)
class FittedEstimator(Forecaster):
    """An estimator with the contests it learned from; coefficients are fitted when a slate first asks for them."""

    estimator: _Estimator
    boards: tuple
    memory: Memory
    notes: tuple = ()
    start: dict = field(default_factory=dict)
    fits: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The estimator's name."""
        return self.estimator.name

    @cached_property
    def residuals(self) -> Residuals:
        """The errors of its own forecasts of past contests, each made from earlier ones."""
        said = [(r.board, theta) for r in self.rolled for theta in r.said.values()]
        return Residuals.of(said, self.estimator.prior.residuals)

    @cached_property
    def rolled(self) -> tuple:
        """Every past contest as this estimator forecast it from the contests of earlier dates."""
        return roll((self.estimator,), self.boards, self.estimator.prior)

    def rolled_log_worths(self) -> dict:
        """Return θ of past contests, a list in the order of `boards` (None where it could not speak), by forecast."""
        return {"salary_only": [r.base for r in self.rolled]} | by_voice(self.rolled)

    def rolled_weights(self) -> list:
        """Return nothing: only a pool has weights."""
        return []

    def known(self, board: Board) -> tuple:
        """Return the features to be used for `board`; raise `CannotSpeak` when none of its own is known."""
        known = [f for f in self.estimator.own if f(board, self.memory) is not None]
        if not known:
            wanted = ", ".join(f.__name__.replace("_", " ") for f in self.estimator.own)
            raise CannotSpeak(f"{self.name}: none of {wanted} is known")
        return self.estimator.features(known)

    def design(self, board: Board, features) -> np.ndarray | None:
        """Return the features of `board`, (D, p), times the temperature of its size; None when one is unknown."""
        parts = [f(board, self.memory) for f in features]
        if any(p is None for p in parts):
            return None
        return size_factor(board, self.estimator.prior.size_slope) * np.column_stack(parts)

    def coefficients(self, features) -> np.ndarray:
        """Return the coefficients of a set of features, fitted on the past contests that have all of them."""
        if features not in self.fits:
            designs = [(b, self.design(b, features)) for b in self.boards[-MOST_CONTESTS:]]
            cases = [Case(b, x) for b, x in designs if x is not None]
            mean, precision = self.estimator.prior.of(self.name, features)
            self.fits[features] = fit_log_worths(cases, mean, precision, start=self.start.get(features))
        return self.fits[features]

    def voice(self, board: Board) -> str:
        """Return the name under which the forecast of `board` enters the pool."""
        return self.estimator.voice(self.known(board))

    def board_log_worths(self, board: Board) -> np.ndarray:
        """Return θ for a board, (D,)."""
        features = self.known(board)
        return self.design(board, features) @ self.coefficients(features)

    def board_inputs(self, board: Board) -> dict[str, np.ndarray]:
        """Return what each input adds to θ, (D,) each; together they are `board_log_worths`."""
        features, found = self.known(board), {}
        columns = [feature(board, self.memory) for feature in features]
        inputs = [name for x, f in zip(columns, features, strict=True) for name in evidence.inputs_of(f, x.shape[1])]
        terms = np.column_stack(columns) * self.coefficients(features)
        for name, term in zip(inputs, terms.T, strict=True):
            found[name] = found.get(name, 0.0) + term
        size = size_factor(board, self.estimator.prior.size_slope) - 1
        return found | {evidence.SIZE: size * terms.sum(axis=1)}

    def summary(self) -> pd.DataFrame:
        """Return the coefficients of each set of features fitted so far, with the prior's mean beside them."""
        rows = []
        fits = {features: beta for features, beta in self.fits.items() if isinstance(features, tuple)}
        for features, beta in fits.items():
            mean = self.estimator.prior.of(self.name, features)[0]
            names = [f.__name__ for f in features for _ in self.estimator.prior.coefficients[f.__name__]]
            rows += [("+".join(f.__name__ for f in features), *row) for row in zip(names, beta, mean, strict=True)]
        return pd.DataFrame(rows, columns=["evidence", "feature", "coefficient", "prior"])


# ---------------------------------------------------------------- rolling origin


def fit_curve(boards, prior: Prior) -> np.ndarray:
    """Return the coefficients of the salary curve fitted on `boards`, (p,)."""
    cases = [Case(b, size_factor(b, prior.size_slope) * evidence.salary_curve(b)) for b in boards[-MOST_CONTESTS:]]
    return fit_log_worths(cases, *prior.of("salary", (evidence.salary_curve,)))


def remember(boards, prior: Prior) -> Memory:
    """Return the memory of `boards` against the salary curve fitted on them."""
    return Memory.of(boards, fit_curve(boards, prior))


def salary_log_worths(board: Board, memory: Memory, prior: Prior) -> np.ndarray:
    """Return θ from salary alone, (D,): the common ground of all estimators."""
    return size_factor(board, prior.size_slope) * (evidence.salary_curve(board) @ memory.curve)


@dataclass(frozen=True, eq=False)
class Rolled:
    """A past contest as told from those of earlier dates: θ from salary alone, and of each estimator that spoke."""

    board: Board
    base: np.ndarray
    said: dict
    missing: dict

    def blind(self, voices) -> bool:
        """Whether the best of `voices` scored no better than a draw from all legal lineups would have."""
        nothing = -self.board.law(np.zeros(len(self.board))).log_normaliser
        return max(log_score(self.board, self.said[v]) for v in voices) <= nothing


def by_voice(rolled) -> dict:
    """Return θ of rolled contests by voice, a list in order with None where a voice was silent."""
    voices = dict.fromkeys(v for r in rolled for v in r.said)
    return {v: [r.said.get(v) for r in rolled] for v in voices}


def speak(fitted, board: Board) -> tuple[dict, dict]:
    """Return θ of each fitted estimator that can speak by voice, and the reason of each that cannot or fails."""
    said, missing = {}, {}
    for part in fitted:
        try:
            voice, theta = part.voice(board), part.board_log_worths(board)
        except CannotSpeak as why:
            missing[part.name] = str(why)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as failure:
            missing[part.name] = f"{part.name} failed: {failure}"
        else:
            said[voice] = theta
    return said, missing


def roll(estimators, boards, prior: Prior) -> tuple[Rolled, ...]:
    """Return every contest as forecast from those of earlier dates.

    Coefficients are refitted when the past has grown by `REFIT_GROWTH`; a memory answers for a date from the contests
    before it, so one that holds later contests too tells no more than was known.
    """
    rolled, fitted, memory, size = [], {}, None, 0
    for date in sorted({b.date for b in boards}):
        past = tuple(b for b in boards if b.date < date)
        if not fitted or len(past) >= REFIT_GROWTH * size:
            size, memory = len(past), Memory.of(boards, fit_curve(past, prior))
            fitted = {e.name: e.fit_boards(past, memory, before=fitted.get(e.name)) for e in estimators}
        now = [b for b in boards if b.date == date]
        rolled += [Rolled(b, salary_log_worths(b, memory, prior), *speak(fitted.values(), b)) for b in now]
    return tuple(rolled)
