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
from dfslab.ownership._board import ContestBoard, board_of, read_history
from dfslab.ownership._errors import Residuals, draw_ownership
from dfslab.ownership._features import FEATURES, SIZE, PastOwnership, salary_curve
from dfslab.ownership._fit import Case, Prior, fit_log_worths, temperature
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


@dataclass(frozen=True, eq=False)
class Forecaster:
    """Forecasts from log-worths; a child gives `board_inputs(board)` and `forecasts`; `notes` are for the page.

    A board of an earlier date than some of its contests is forecast by a refit on the contests before that date.
    """

    estimator: "Startable"
    boards: tuple
    past: PastOwnership
    notes: tuple = ()
    fits: dict = field(default_factory=dict)
    """What was fitted so far, by the features or the sources that it is for."""
    refits: dict = field(default_factory=dict)
    """The same estimator fitted on earlier contests, by date."""

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
        last = max((b.date for b in self.boards), default=FIRST_DAY)
        return board_of(slate, contest, last + pd.Timedelta(days=1))

    def log_worths(self, board: ContestBoard) -> np.ndarray:
        """Return θ for a board, (D,)."""
        return sum(self.board_inputs(board).values())

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
        board, own = self.board(slate, contest), np.zeros(len(slate))
        own[~slate.out] = board.law(self.knowing(board).log_worths(board)).marginals()
        return pd.Series(own, index=pd.Index(slate.names, name="driver"), name="ownership")

    def sample(self, slate, n: int, rng: np.random.Generator, contest=None) -> np.ndarray:
        """Return `n` draws of the whole ownership vector, (n, D), rows that sum to K.

        Each draw adds the errors of one past contest, forecast from earlier ones only, to the forecast; the first
        draws do not depend on `n`.
        """
        n, board = whole_number(n, "sample: n", 0), self.board(slate, contest)
        known, draws = self.knowing(board), np.zeros((n, len(slate)))
        centre = self.predict(slate, contest).to_numpy()[~slate.out]
        draws[:, ~slate.out] = draw_ownership(centre, board.salary, known.residuals.like(board), n, rng)
        return draws

    @cached_property
    def residuals(self) -> Residuals:
        """The errors of its own forecasts of past contests, each made from earlier ones."""
        return Residuals.of(self.forecasts, self.estimator.prior.residuals)


# ---------------------------------------------------------------- the estimators


@dataclass(frozen=True)
class Startable:
    """What every estimator is given: the rules, and what to believe before any history.

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
        auto = "nascar" if any(board.is_race for board in boards) else "neutral"
        return replace(self, prior=self.prior or Prior.shipped(auto if self.start == "auto" else self.start))

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
    """An estimator of one kind of evidence, `own`, of which at least one piece must be known, beside `base`."""

    name: ClassVar[str]
    own: ClassVar[tuple]
    base: ClassVar[tuple] = ("salary_curve", "salary_by_family")

    def fit_boards(self, boards, past=None, notes=()) -> "FittedEstimator":
        """Return the estimator fitted on boards."""
        ready = self.ready(boards)
        past = remember(boards, ready.prior) if past is None else past
        return FittedEstimator(ready, tuple(boards), past, tuple(notes))

    def features(self, known) -> tuple:
        """Return the features to use of those `known`."""
        return tuple(f for f in dict.fromkeys((*self.base, *self.own)) if f in known)


class HistoricalOwnership(_Estimator):
    """What the driver drew before relative to salary, shrunk to the pool, decayed, and by track type.

    θ = salary curve + b·d + c·d_here; d is the mean log ratio of past ownership to what salary explains, decayed over
    45 days and shrunk to 0 by one contest. It is not available when no driver was seen before.
    """

    name = "historical"
    own = ("popularity", "popularity_here")


class PointsOwnership(_Estimator):
    """θ = salary + projected points, value per dollar, places to gain and laps to lead.

    It is not available without projected points, a person's or the simulator's, for more than K drivers.
    """

    name = "projection"
    own = ("projection", "place_value", "dominator_value")


class VendorOwnership(_Estimator):
    """A vendor's projected ownership: θ = c·θ_salary + a·(θ_vendor − θ_salary), θ_vendor the law that shows it."""

    name = "vendor"
    own = ("vendor",)
    base = ("salary_alone",)


class Vendor2Ownership(VendorOwnership):
    """The same of a second vendor."""

    name = "vendor 2"
    own = ("vendor_2",)


class ProjectionOwnership(PointsOwnership):
    """A vendor's projected ownership where there is one, else projected points (see `PointsOwnership`)."""

    own = (*VendorOwnership.base, *VendorOwnership.own, *PointsOwnership.own)

    def features(self, known) -> tuple:
        """Return the features to use: a vendor's forecast knows salaries and points already."""
        rest = [f for f in known if f not in VendorOwnership.base]
        return (*VendorOwnership.base, *VendorOwnership.own) if "vendor" in known else super().features(rest)


class SalarySkillOwnership(_Estimator):
    """θ = salary curve + rating + room to gain places from the start. It is always available."""

    name = "salary_skill"
    own = ("salary_curve", "rating", "starting_place")


class RecentFormOwnership(_Estimator):
    """θ = salary curve + last weeks' popularity + price move + points against expectation + the slate's `form`.

    It is not available when no driver was seen before and the slate has no `form`.
    """

    name = "recent_form"
    own = ("recent_popularity", "price_move", "points_form", "given_form")


class OptimizerOwnership(_Estimator):
    """θ = salary + the log-odds of what a dozen fictitious entrants' portfolios hold (see `_entrants`).

    It is not available without projected points, a person's or the simulator's, for more than K drivers.
    """

    name = "optimizer"
    own = ("entrants",)


KINDS = (
    HistoricalOwnership,
    PointsOwnership,
    VendorOwnership,
    Vendor2Ownership,
    SalarySkillOwnership,
    RecentFormOwnership,
    OptimizerOwnership,
)
VENDORS = (VendorOwnership.name, Vendor2Ownership.name)


@dataclass(frozen=True, eq=False)
class FittedEstimator(Forecaster):
    """An estimator with the contests it learned from; coefficients are fitted when a slate first asks for them."""

    @property
    def name(self) -> str:
        """The estimator's name."""
        return self.estimator.name

    @property
    def forecasts(self) -> list:
        """Past contests where it was available, each with θ from the contests of earlier dates."""
        rolled = roll((self.estimator,), self.boards, self.estimator.prior)
        return [(r.board, theta) for r in rolled for theta in r.sources.values()]

    @property
    def asked(self) -> list:
        """The features it may use: those that the prior has figures for."""
        estimator = self.estimator
        every = dict.fromkeys((*estimator.base, *estimator.own))
        return [f for f in every if estimator.prior.figures(self.name, f)]

    def evidence(self, board: ContestBoard) -> dict[str, np.ndarray]:
        """Return what is known of the features it may use, (D, p) each."""
        found = {feature: FEATURES[feature][1](board, self.past) for feature in self.asked}
        return {feature: columns for feature, columns in found.items() if columns is not None}

    def coefficients(self, features) -> np.ndarray:
        """Return the coefficients of a set of features, fitted on the past contests that have all of them."""
        if features not in self.fits:
            prior = self.estimator.prior
            known = [(board, self.evidence(board)) for board in self.boards[-MOST_CONTESTS:]]
            cases = [
                Case(board, temperature(board, prior) * np.column_stack([found[f] for f in features]))
                for board, found in known
                if set(features) <= set(found)
            ]
            self.fits[features] = fit_log_worths(cases, *prior.of(self.name, features))
        return self.fits[features]

    def board_inputs(self, board: ContestBoard) -> dict[str, np.ndarray]:
        """Return what each input adds to θ, (D,) each; together they are the forecast.

        Raises
        ------
        NotAvailable : none of the features of its own is known
        """
        known, own = self.evidence(board), [f for f in self.estimator.own if f not in VendorOwnership.base]
        if not set(known) & set(own):
            wanted = " or ".join(f.replace("_", " ") for f in own)
            raise NotAvailable(f"The source {self.name.replace('_', ' ')} is left out: no {wanted} is known.")
        features, place, found = self.estimator.features(known), 0, {}
        beta = self.coefficients(features)
        for feature in features:
            columns, name = known[feature], FEATURES[feature][0]
            found[name] = found.get(name, 0.0) + columns @ beta[place : place + columns.shape[1]]
            place += columns.shape[1]
        return found | {SIZE: (temperature(board, self.estimator.prior) - 1) * sum(found.values())}


# ---------------------------------------------------------------- rolling origin


def fit_curve(boards, prior: Prior, weights=None) -> np.ndarray:
    """Return the coefficients of the salary curve fitted on `boards`, of some weights, (p,)."""
    boards = boards[-MOST_CONTESTS:]
    weights = np.ones(len(boards)) if weights is None else weights
    designs = [temperature(b, prior) * salary_curve(b) for b in boards]
    cases = [Case(*case) for case in zip(boards, designs, weights, strict=True)]
    return fit_log_worths(cases, *prior.of("salary", ("salary_curve",)))


def remember(boards, prior: Prior) -> PastOwnership:
    """Return what `boards` say of each driver, against the salary curve fitted on them."""
    return PastOwnership.of(boards, fit_curve(boards, prior))


def salary_log_worths(board: ContestBoard, past: PastOwnership, prior: Prior) -> np.ndarray:
    """Return θ from salary alone, (D,): the common ground of all estimators."""
    return temperature(board, prior) * (salary_curve(board) @ past.curve)


@dataclass(frozen=True, eq=False)
class Rolled:
    """A past contest as forecast from those of earlier dates: θ from salary alone, and of each source."""

    board: ContestBoard
    base: np.ndarray
    sources: dict[str, np.ndarray]


def available(fitted, board: ContestBoard) -> tuple[dict, dict]:
    """Return the inputs of each fitted estimator that is available, by name, and why the others are not."""
    sources, missing = {}, {}
    for part in fitted:
        try:
            sources[part.name] = part.board_inputs(board)
        except NotAvailable as why:
            missing[part.name] = str(why)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as failure:
            missing[part.name] = f"{part.name} failed: {failure}"
    return sources, missing


def rolled_by(fitted, board: ContestBoard, past: PastOwnership, prior: Prior) -> Rolled:
    """Return a contest as fitted estimators forecast it."""
    sources = {name: sum(inputs.values()) for name, inputs in available(fitted, board)[0].items()}
    return Rolled(board, salary_log_worths(board, past, prior), sources)


def roll(estimators, boards, prior: Prior) -> tuple[Rolled, ...]:
    """Return every contest as forecast from those of earlier dates.

    Coefficients are refitted when the past has grown by `REFIT_GROWTH`; what is remembered answers for a date from the
    contests before it, so that one that holds later contests too tells no more than was known.
    """
    rolled, fitted, past, size = [], (), None, 0
    for date in sorted({b.date for b in boards}):
        earlier = tuple(b for b in boards if b.date < date)
        if not fitted or len(earlier) >= REFIT_GROWTH * size:
            size, past = len(earlier), PastOwnership.of(boards, fit_curve(earlier, prior))
            fitted = [estimator.fit_boards(earlier, past) for estimator in estimators]
        rolled += [rolled_by(fitted, b, past, prior) for b in boards if b.date == date]
    return tuple(rolled)
