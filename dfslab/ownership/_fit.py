"""Coefficients of log-worths from past contests: the lineup law's concave likelihood under a normal prior.

A contest of ownerships o contributes `o·θ − log Z(θ)`, the mean log probability of its lineups.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from dfslab.metrics import damped_newton
from dfslab.ownership._board import ContestBoard, covariance
from dfslab.ownership._errors import completed

NEWTON_STEPS = 30
NEWTON_TOLERANCE = 1e-5
"""A fit ends when the next step would raise the log likelihood per contest (about −15) by less than this."""
SHORTEST_STEP = 1e-4

# ---------------------------------------------------------------- what is believed before any history


@dataclass(frozen=True)
class Prior:
    """Figures that stand in for history: mean and standard deviation of every coefficient, and of the pool.

    `coefficients` maps "estimator/feature" (or "feature", for all estimators) to a list of (mean, sd), one per column;
    a feature without figures is not used. A contest counts as `lineups_per_contest` independent lineups: real
    ownership misses its law by more than the sampling error of its entries. Log-worths of a cash contest are
    `cash_scale` times those of a tournament, and `size_slope` is their change per factor of 10 in entries.
    """

    coefficients: Mapping
    pool: Mapping
    lineups_per_contest: float
    size_slope: float
    residuals: Mapping
    cash_scale: float = 1.0
    source: str = ""

    @classmethod
    @cache
    def shipped(cls, start: str = "neutral") -> "Prior":
        """Return the figures that come with the package, of one start; their `source` says what they rest on."""
        return cls(**json.loads(Path(__file__).with_name("defaults.json").read_text("utf-8"))[start])

    def of(self, estimator: str, features) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and precision (in contests) of the coefficients of `features`, in order."""
        table = np.array([row for f in features for row in self.figures(estimator, f)], float)
        return table[:, 0], 1 / (self.lineups_per_contest * table[:, 1] ** 2)

    def figures(self, estimator: str, feature) -> list:
        """Return (mean, sd) of each coefficient of `feature`; empty for a feature that is not used."""
        return self.coefficients.get(f"{estimator}/{feature}") or self.coefficients.get(feature, [])


def temperature(board: ContestBoard, prior: Prior) -> float:
    """Return the scale of a contest's log-worths by its size and kind: 1 for a tournament of 1,000 or unknown size."""
    size = 1 + prior.size_slope * (np.log10(board.entries) - 3) if board.entries > 0 else 1.0
    return float(size * (prior.cash_scale if board.kind == "cash" else 1.0))


# ---------------------------------------------------------------- the likelihood


@dataclass(frozen=True, eq=False)
class Case:
    """A past contest with its design, (D, p), and its weight in contests."""

    board: ContestBoard
    design: np.ndarray
    weight: float = 1.0


def _completed(case: Case, beta) -> Case:
    """Return the contest with gaps filled: what the known drivers leave is shared as the law of `beta` shares it."""
    if not np.isnan(case.board.ownership).any():
        return case
    expected = case.board.law(case.design @ beta).marginals()
    return replace(case, board=replace(case.board, ownership=completed(case.board.ownership, expected)))


def fit_log_worths(cases, mean, precision, *, lower=-np.inf) -> np.ndarray:
    """Return β (p,) that maximises Σ_c (o_c·X_c β − log Z) − ½ Σ precision·(β − mean)².

    A contest with unknown ownerships enters by what is known: before each Newton step the gaps are filled by what the
    present law expects (EM [dempster1977]).

    Parameters
    ----------
    cases : past contests with their designs
    mean, precision : (p,) the normal prior
    lower : (p,) bounds, -inf for none
    """
    mean, precision = np.asarray(mean, float), np.asarray(precision, float)
    beta = mean.copy()
    newton = partial(damped_newton, tolerance=NEWTON_TOLERANCE * (len(cases) + 1), lower=lower, shortest=SHORTEST_STEP)
    unknown = any(np.isnan(case.board.ownership).any() for case in cases)
    for _ in range(NEWTON_STEPS if unknown else 1):
        loss = partial(_loss, [_completed(case, beta) for case in cases], mean, precision)
        found = newton(loss, beta, max_steps=1 if unknown else NEWTON_STEPS)
        moved, beta = not np.array_equal(found.x, beta), found.x
        if found.converged or not moved:
            break
    return beta


def _loss(cases, mean, precision, beta):
    """Return the negative log posterior of `beta`, its gradient, and (about) its Hessian when called."""
    laws = [case.board.law(case.design @ beta) for case in cases]
    away = beta - mean
    value, gradient = 0.5 * precision @ away**2, precision * away
    for case, law in zip(cases, laws, strict=True):
        own = case.board.ownership
        value += case.weight * (law.log_normaliser - own @ law.theta)
        gradient = gradient + case.weight * (case.design.T @ (law.marginals() - own))

    def hessian():
        rows = (c.weight * (c.design.T @ covariance(law) @ c.design) for c, law in zip(cases, laws, strict=True))
        return sum(rows, np.diag(precision))

    return value, gradient, hessian


def log_score(board: ContestBoard, log_worths) -> float:
    """Return `o·θ − log Z(θ)`, the mean log probability of the contest's lineups; higher is better.

    Where an ownership is unknown the law's own stands in.
    """
    law = board.law(log_worths)
    own = np.where(np.isnan(board.ownership), law.marginals(), board.ownership)
    return float(own @ law.theta - law.log_normaliser)
