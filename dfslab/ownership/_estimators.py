"""Forecasts of ownership from one kind of evidence, each a law on lineups whose log-worths are linear in it.

Every estimator answers `θ = t·X β`: X are features of one kind (see `_features`), t the temperature of the contest's
size and kind, and β maximises `Σ_c (o_c·θ_c − log Z(θ_c))` over past contests under a normal prior, the shipped
figures. So ownership sums to K, stays below 1 and respects the cap by construction.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import pandas as pd

from dfslab.errors import UserError, whole_number
from dfslab.ownership import _features as evidence
from dfslab.ownership._board import ContestBoard, board_of, read_history
from dfslab.ownership._errors import Residuals, draw_ownership
from dfslab.ownership._features import PastOwnership
from dfslab.ownership._fit import Case, Prior, fit_log_worths, log_score, temperature
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules

MOST_CONTESTS = 100
"""Coefficients are fitted on so many of the latest contests; drivers are remembered from all of them."""
REFIT_GROWTH = 1.08
"""Rolling forecasts refit when there are this many times as many contests as at the last fit."""
FIRST_DAY = pd.Timestamp("1970-01-01")
STARTS = ("auto", "nascar", "neutral")


class NotAvailable(ValueError):
    """An estimator has nothing to go on for this slate; the message says what is missing."""


# ---------------------------------------------------------------- what every fitted forecast can do


class Forecaster:
    """Forecasts from log-worths; a child gives `board_log_worths(board)`, `residuals`, `boards` and `refits`.

    A board of an earlier date than some of its contests is forecast by a refit on the contests before that date.
    """

    @property
    def last_date(self) -> pd.Timestamp:
        """The date of the last contest it knows."""
        return max((b.date for b in self.boards), default=FIRST_DAY)

    def knowing(self, board: ContestBoard) -> "Forecaster":
        """Return the same forecaster with only the contests before the board's date, and figures that suit the board.

        With `start="auto"` a race is forecast from NASCAR's figures even where no past contest was a race.
        """
        late = any(b.date >= board.date for b in self.boards)
        race = self.estimator.start == "auto" and board.is_race and self.estimator.prior == Prior.shipped("neutral")
        if not late and not race:
            return self
        key = (board.date if late else None, race)
        if key not in self.refits:
            estimator = replace(self.estimator, prior=Prior.shipped("nascar")) if race else self.estimator
            self.refits[key] = estimator.fit_boards([b for b in self.boards if b.date < board.date])
        return self.refits[key]

    def board(self, slate, contest=None) -> ContestBoard:
        """Return the slate as of its race's date, else the day after the last contest of the history."""
        return board_of(slate, contest, self.last_date + pd.Timedelta(days=1))

    def log_worths(self, slate, contest=None) -> pd.Series:
        """Return θ by driver; -inf for drivers who do not race."""
        board = self.board(slate, contest)
        return self._spread(slate, self.knowing(board).board_log_worths(board), -np.inf, "log_worth")

    def predict(self, slate, contest=None) -> pd.Series:
        """Return ownership by driver, fractions that sum to K; 0 for drivers who do not race.

        Parameters
        ----------
        slate : Slate; its columns start, projected_points, projected_ownership (fraction), rating and form, and those
            of the simulator (`_board.SIMULATED`), are used where they are known. Without a race the forecast is as of
            the day after the last past contest.
        contest : Contest or None; its size and kind matter

        Raises
        ------
        NotAvailable : nothing this forecast reads is known
        """
        board = self.board(slate, contest)
        theta = self.knowing(board).board_log_worths(board)
        return self._spread(slate, board.law(theta).marginals(), 0.0, "ownership")

    def sample(self, slate, n: int, rng: np.random.Generator, contest=None) -> np.ndarray:
        """Return `n` draws of the whole ownership vector, (n, D), rows that sum to K.

        Each draw adds the errors of one past contest, forecast from earlier ones only, to the forecast; the first
        draws do not depend on `n`.
        """
        n, board = whole_number(n, "sample: n", 0), self.board(slate, contest)
        known = self.knowing(board)
        draws = np.zeros((n, len(slate)))
        centre = board.law(known.board_log_worths(board)).marginals()
        draws[:, ~slate.out] = draw_ownership(centre, board.salary, known.residuals.like(board), n, rng)
        return draws

    @staticmethod
    def _spread(slate, values, absent, name) -> pd.Series:
        series = pd.Series(absent, index=pd.Index(slate.names, name="driver"), name=name, dtype=float)
        series[~slate.out] = values
        return series


# ---------------------------------------------------------------- the estimators


@dataclass(frozen=True)
class Startable:
    """What every estimator is told: the rules, and what to believe before any history.

    `start` is "nascar" (figures of Cup contests), "neutral" (of golf and fights), or "auto": NASCAR's where the
    history or the slate has a start, a track type or a race. A `prior` of one's own takes their place.
    """

    rules: ContestRules = DRAFTKINGS_NASCAR
    prior: Prior | None = None
    start: str = "auto"

    def __post_init__(self):
        if self.start not in STARTS:
            raise UserError(f"start is {self.start!r}; choose one of {', '.join(STARTS)}")

    def ready(self, boards):
        """Return the estimator with its prior, chosen by what the past contests are."""
        if self.prior is not None:
            return self
        auto = "nascar" if any(board.is_race for board in boards) else "neutral"
        return replace(self, prior=Prior.shipped(auto if self.start == "auto" else self.start))

    def fit(self, history: pd.DataFrame | None = None):
        """Return the estimator fitted on past contests.

        Parameters
        ----------
        history : one row per driver and contest: contest_id, date, driver, salary (dollars), ownership (fraction; NaN
            where unknown), and where known start, projected_points, projected_ownership, track_type, entries, kind …
        """
        boards, notes = read_history(history, self.rules)
        return self.fit_boards(boards, notes=notes)


@dataclass(frozen=True)
class _Estimator(Startable):
    """An estimator of one kind of evidence, `own`, of which at least one piece must be known."""

    name: ClassVar[str]
    own: ClassVar[tuple]

    def fit_boards(self, boards, past=None, notes=(), before=None) -> "FittedEstimator":
        """Return the estimator fitted on boards; coefficients of `before`, an earlier fit, are where to start."""
        ready = self.ready(boards)
        past = remember(boards, ready.prior) if past is None else past
        start = before.fits if before is not None else {}
        return FittedEstimator(ready, tuple(boards), past, tuple(notes), dict(start))

    def features(self, known) -> tuple:
        """Return the features to use of those `known`."""
        rest = (f for f in (evidence.salary_by_family, *self.own) if f in known and f is not evidence.salary_curve)
        return (evidence.salary_curve, *rest)


class HistoricalOwnership(_Estimator):
    """What the driver drew before relative to salary, shrunk to the pool, decayed, and by track type.

    θ = salary curve + b·d + c·d·price + e·d_here; d is the mean log ratio of past ownership to what salary explains,
    decayed over 45 days and shrunk to 0 by one contest. It is not available when no driver was seen before.
    """

    name = "historical"
    own = (evidence.popularity, evidence.popularity_here)


class PointsOwnership(_Estimator):
    """θ = salary + projected points, value per dollar, places to gain and laps to lead.

    It is not available without projected points, a person's or the simulator's, for more than K drivers.
    """

    name = "projection"
    own = (evidence.projection, evidence.place_value, evidence.dominator_value)


class VendorOwnership(_Estimator):
    """A vendor's projected ownership: θ = c·θ_salary + a·(θ_vendor − θ_salary), θ_vendor the law that shows it."""

    name = "vendor"
    own = (evidence.vendor,)

    def features(self, known) -> tuple:
        """Return the features to use: a vendor's forecast knows salaries already."""
        return self.own


class Vendor2Ownership(VendorOwnership):
    """The same of a second vendor."""

    name = "vendor 2"
    own = (evidence.vendor_2,)


class ProjectionOwnership(PointsOwnership):
    """A vendor's projected ownership where there is one, else projected points (see `PointsOwnership`)."""

    own = (evidence.vendor, *PointsOwnership.own)

    def features(self, known) -> tuple:
        """Return the features to use: a vendor's forecast knows salaries and points already."""
        return (evidence.vendor,) if evidence.vendor in known else super().features(known)


class SalarySkillOwnership(_Estimator):
    """θ = salary curve + rating + room to gain places from the start. It is always available."""

    name = "salary_skill"
    own = (evidence.salary_curve, evidence.rating, evidence.starting_place)


class RecentFormOwnership(_Estimator):
    """θ = salary curve + last weeks' popularity + price move + points against expectation + the slate's `form`.

    It is not available when no driver was seen before and the slate has no `form`.
    """

    name = "recent_form"
    own = (evidence.recent_popularity, evidence.price_move, evidence.points_form, evidence.given_form)


class OptimizerOwnership(_Estimator):
    """θ = salary + the log-odds of what a dozen fictitious entrants' portfolios hold (see `_entrants`).

    It is not available without projected points, a person's or the simulator's, for more than K drivers.
    """

    name = "optimizer"
    own = (evidence.entrants,)


@dataclass(frozen=True, eq=False)
class FittedEstimator(Forecaster):
    """An estimator with the contests it learned from; coefficients are fitted when a slate first asks for them."""

    estimator: _Estimator
    boards: tuple
    past: PastOwnership
    notes: tuple = ()
    start: dict = field(default_factory=dict)
    fits: dict = field(default_factory=dict)
    """Coefficients by the features they belong to."""
    refits: dict = field(default_factory=dict)
    """The same estimator fitted on earlier contests, by date."""

    @property
    def name(self) -> str:
        """The estimator's name."""
        return self.estimator.name

    @cached_property
    def residuals(self) -> Residuals:
        """The errors of its own forecasts of past contests, each made from earlier ones."""
        forecasts = [(r.board, theta) for r in self.rolled for theta in r.sources.values()]
        return Residuals.of(forecasts, self.estimator.prior.residuals)

    @cached_property
    def rolled(self) -> tuple:
        """Every past contest as this estimator forecast it from the contests of earlier dates."""
        return roll((self.estimator,), self.boards, self.estimator.prior)

    def rolled_log_worths(self) -> dict:
        """Return θ of past contests, a list in the order of `boards` (None where not available), by forecast."""
        return {"salary_only": [r.base for r in self.rolled]} | by_source(self.rolled)

    def rolled_weights(self) -> list:
        """Return nothing: only a pool has weights."""
        return []

    def known(self, board: ContestBoard) -> tuple:
        """Return the features to be used for `board`; raise `NotAvailable` when none of its own is known."""
        known = [f for f in self.asked if f(board, self.past) is not None]
        if not set(known) & set(self.estimator.own):
            wanted = " or ".join(f.__name__.replace("_", " ") for f in self.estimator.own)
            raise NotAvailable(f"The source {self.name.replace('_', ' ')} is left out: no {wanted} is known.")
        return self.estimator.features(known)

    @property
    def asked(self) -> list:
        """The features it may use: its own and salary by family, those that the prior has figures for."""
        return [f for f in (evidence.salary_by_family, *self.estimator.own) if self._figures(f)]

    def _figures(self, feature) -> list:
        return self.estimator.prior.figures(self.name, feature)

    def design(self, board: ContestBoard, features) -> np.ndarray | None:
        """Return the features of `board`, (D, p), times its temperature; None when one is unknown."""
        parts = [f(board, self.past) for f in features]
        if any(p is None for p in parts):
            return None
        return temperature(board, self.estimator.prior) * np.column_stack(parts)

    def coefficients(self, features) -> np.ndarray:
        """Return the coefficients of a set of features, fitted on the past contests that have all of them."""
        if features not in self.fits:
            designs = [(b, self.design(b, features)) for b in self.boards[-MOST_CONTESTS:]]
            cases = [Case(b, x) for b, x in designs if x is not None]
            mean, precision = self.estimator.prior.of(self.name, features)
            self.fits[features] = fit_log_worths(cases, mean, precision, start=self.start.get(features))
        return self.fits[features]

    def board_log_worths(self, board: ContestBoard) -> np.ndarray:
        """Return θ for a board, (D,)."""
        features = self.known(board)
        return self.design(board, features) @ self.coefficients(features)

    def board_inputs(self, board: ContestBoard) -> dict[str, np.ndarray]:
        """Return what each input adds to θ, (D,) each; together they are `board_log_worths`."""
        features, found = self.known(board), {}
        columns = [feature(board, self.past) for feature in features]
        inputs = [name for x, f in zip(columns, features, strict=True) for name in evidence.inputs_of(f, x.shape[1])]
        terms = np.column_stack(columns) * self.coefficients(features)
        for name, term in zip(inputs, terms.T, strict=True):
            found[name] = found.get(name, 0.0) + term
        return found | {evidence.SIZE: (temperature(board, self.estimator.prior) - 1) * terms.sum(axis=1)}

    def summary(self) -> pd.DataFrame:
        """Return the coefficients of each set of features fitted so far, with the prior's mean beside them."""
        rows = []
        for features, beta in self.fits.items():
            mean = self.estimator.prior.of(self.name, features)[0]
            names = [f.__name__ for f in features for _ in self._figures(f)]
            rows += [("+".join(f.__name__ for f in features), *row) for row in zip(names, beta, mean, strict=True)]
        return pd.DataFrame(rows, columns=["evidence", "feature", "coefficient", "prior"])


# ---------------------------------------------------------------- rolling origin


def fit_curve(boards, prior: Prior, weights=None) -> np.ndarray:
    """Return the coefficients of the salary curve fitted on `boards`, of some weights, (p,)."""
    boards = boards[-MOST_CONTESTS:]
    weights = np.ones(len(boards)) if weights is None else weights
    designs = [temperature(b, prior) * evidence.salary_curve(b) for b in boards]
    cases = [Case(*case) for case in zip(boards, designs, weights, strict=True)]
    return fit_log_worths(cases, *prior.of("salary", (evidence.salary_curve,)))


def remember(boards, prior: Prior) -> PastOwnership:
    """Return what `boards` say of each driver, against the salary curve fitted on them."""
    return PastOwnership.of(boards, fit_curve(boards, prior))


def salary_log_worths(board: ContestBoard, past: PastOwnership, prior: Prior) -> np.ndarray:
    """Return θ from salary alone, (D,): the common ground of all estimators."""
    return temperature(board, prior) * (evidence.salary_curve(board) @ past.curve)


@dataclass(frozen=True, eq=False)
class Rolled:
    """A past contest as forecast from those of earlier dates: θ from salary alone, and of each source."""

    board: ContestBoard
    base: np.ndarray
    sources: dict
    missing: dict

    def uninformative(self, names) -> bool:
        """Whether the best of the sources `names` scored no better than a draw from all legal lineups would have."""
        nothing = -self.board.law(np.zeros(len(self.board))).log_normaliser
        return max(log_score(self.board, self.sources[name]) for name in names) <= nothing


def by_source(rolled) -> dict:
    """Return θ of rolled contests by source, a list in order with None where a source was not available."""
    names = dict.fromkeys(name for r in rolled for name in r.sources)
    return {name: [r.sources.get(name) for r in rolled] for name in names}


def available(fitted, board: ContestBoard) -> tuple[dict, dict]:
    """Return θ of each fitted estimator that is available, by name, and the reason of each that is not or fails."""
    sources, missing = {}, {}
    for part in fitted:
        try:
            sources[part.name] = part.board_log_worths(board)
        except NotAvailable as why:
            missing[part.name] = str(why)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as failure:
            missing[part.name] = f"{part.name} failed: {failure}"
    return sources, missing


def roll(estimators, boards, prior: Prior) -> tuple[Rolled, ...]:
    """Return every contest as forecast from those of earlier dates.

    Coefficients are refitted when the past has grown by `REFIT_GROWTH`; what is remembered answers for a date from the
    contests before it, so that one that holds later contests too tells no more than was known.
    """
    rolled, fitted, past, size = [], {}, None, 0
    for date in sorted({b.date for b in boards}):
        earlier = tuple(b for b in boards if b.date < date)
        if not fitted or len(earlier) >= REFIT_GROWTH * size:
            size, past = len(earlier), PastOwnership.of(boards, fit_curve(earlier, prior))
            fitted = {e.name: e.fit_boards(earlier, past, before=fitted.get(e.name)) for e in estimators}
        now = [b for b in boards if b.date == date]
        rolled += [Rolled(b, salary_log_worths(b, past, prior), *available(fitted.values(), b)) for b in now]
    return tuple(rolled)
