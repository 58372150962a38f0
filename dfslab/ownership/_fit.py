"""Coefficients of log-worths from past contests: the lineup law's concave likelihood under a normal prior.

A contest of ownerships o contributes `o·θ − log Z(θ)`, the mean log probability of its lineups.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from scipy.optimize import lsq_linear

from dfslab.ownership._features import Board, covariance

__all__ = ["Case", "Prior", "fit_log_worths", "log_score", "size_factor"]

NEWTON_STEPS = 30
NEWTON_TOLERANCE = 1e-5
"""A fit ends when the next step would raise the log likelihood per contest (about −15) by less than this."""
SHORTEST_STEP = 1e-4

# ---------------------------------------------------------------- what is believed before any history


@dataclass(frozen=True)
class Prior:
    """Figures that stand in for history: mean and standard deviation of every coefficient, and of the pool.

    `coefficients` maps "estimator/feature" (or "feature", for all estimators) to a list of (mean, sd), one per column.
    A contest counts as `lineups_per_contest` independent lineups: real ownership misses its law by more than the
    sampling error of its entries.
    """

    coefficients: Mapping
    pool: Mapping
    lineups_per_contest: float
    size_slope: float
    residuals: Mapping
    source: str = ""

    @classmethod
    def from_dict(cls, figures: Mapping) -> "Prior":
        """Return the prior of a dict such as `defaults.json` holds."""
        return cls(**{name: figures[name] for name in cls.__dataclass_fields__ if name in figures})

    def to_dict(self) -> dict:
        """Return the dict `from_dict` reads."""
        return asdict(self)

    @classmethod
    def shipped(cls) -> "Prior":
        """Return the figures that come with the package; their `source` says what they were fitted on."""
        return _shipped()

    def of(self, estimator: str, features) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and precision (in contests) of the coefficients of `features`, in order."""
        rows = []
        for feature in features:
            name = feature.__name__
            rows += self.coefficients.get(f"{estimator}/{name}") or self.coefficients[name]
        table = np.array(rows, float)
        return table[:, 0], 1 / (self.lineups_per_contest * table[:, 1] ** 2)


@cache
def _shipped() -> Prior:
    path = Path(__file__).with_name("defaults.json")
    return Prior.from_dict(json.loads(path.read_text(encoding="utf-8")))


def size_factor(board: Board, slope: float) -> float:
    """Return the temperature of a contest's size: 1 at 1,000 entries or when unknown, plus `slope` per factor of 10."""
    return float(1 + slope * (np.log10(board.entries) - 3)) if board.entries > 0 else 1.0


# ---------------------------------------------------------------- the likelihood


@dataclass(frozen=True, eq=False)
class Case:
    """A past contest with its design, (D, p), and its weight in contests."""

    board: Board
    design: np.ndarray
    weight: float = 1.0


def _score(case: Case, beta):
    """Return log likelihood, gradient and (about the) information of one contest."""
    law = case.board.law(case.design @ beta)
    own, weight = case.board.ownership, case.weight
    value = own @ law.theta - law.log_normaliser
    gradient = case.design.T @ (own - law.marginals())
    return weight * value, weight * gradient, weight * case.design.T @ covariance(law) @ case.design


def _completed(case: Case, beta) -> Case:
    """Return the contest with gaps filled: what the known drivers leave is shared as the law of `beta` shares it."""
    own = case.board.ownership
    known = ~np.isnan(own)
    if known.all():
        return case
    pi = case.board.law(case.design @ beta).marginals()
    left = case.board.rules.roster_size - own[known].sum()
    share = np.where(known, own, pi * left / pi[~known].sum())
    return replace(case, board=replace(case.board, ownership=np.clip(share, 0, 1)))


def fit_log_worths(cases, mean, precision, *, start=None, lower=None) -> np.ndarray:
    """Return β (p,) that maximises Σ_c (o_c·X_c β − log Z) − ½ Σ precision·(β − mean)².

    Newton steps with halving. A contest with unknown ownerships enters by what is known: before each step the gaps are
    filled by what the present law expects (EM [dempster1977]).

    Parameters
    ----------
    cases : past contests with their designs
    mean, precision : (p,) the normal prior
    start : (p,) where to begin; the prior mean without it
    lower : (p,) bounds, -inf for none
    """
    mean, precision = np.asarray(mean, float), np.asarray(precision, float)
    lower = np.full(len(mean), -np.inf) if lower is None else np.asarray(lower, float)
    beta = np.maximum(mean if start is None else start, lower)
    for _ in range(NEWTON_STEPS):
        filled = [_completed(case, beta) for case in cases]
        state = _total(filled, beta, mean, precision)
        step = _newton_step(state, beta, lower)
        if step @ state[1] < NEWTON_TOLERANCE * (len(cases) + 1):
            break
        moved = _line_search(filled, beta, step, state[0], (mean, precision, lower))
        if moved is None:
            break
        beta = moved
    return beta


def _total(cases, beta, mean, precision):
    scores = [_score(case, beta) for case in cases]
    away = beta - mean
    value = sum(s[0] for s in scores) - 0.5 * precision @ away**2
    gradient = sum((s[1] for s in scores), -precision * away)
    return value, gradient, sum((s[2] for s in scores), np.diag(precision))


def _newton_step(state, beta, lower) -> np.ndarray:
    """Return the step to the top of the local quadratic, inside the bounds."""
    _, gradient, information = state
    information = information + 1e-10 * np.trace(information) * np.eye(len(beta))
    step = np.linalg.solve(information, gradient)
    if (beta + step >= lower).all():
        return step
    root = np.linalg.cholesky(information).T
    target = np.linalg.solve(root.T, gradient)
    return lsq_linear(root, target, bounds=(lower - beta - 1e-12, np.inf), method="bvls").x


def _line_search(cases, beta, step, value, prior) -> np.ndarray | None:
    """Return the first of the step's halvings that raises the value; None when none does."""
    mean, precision, lower = prior
    length = 1.0
    while length > SHORTEST_STEP:
        trial = np.maximum(beta + length * step, lower)
        if _value(cases, trial, mean, precision) > value:
            return trial
        length /= 2
    return None


def _value(cases, beta, mean, precision) -> float:
    told = sum(case.weight * log_score(case.board, case.design @ beta) for case in cases)
    return told - 0.5 * precision @ (beta - mean) ** 2


def log_score(board: Board, log_worths) -> float:
    """Return `o·θ − log Z(θ)`, the mean log probability of the contest's lineups; higher is better.

    Where an ownership is unknown the law's own stands in.
    """
    law = board.law(log_worths)
    own = np.where(np.isnan(board.ownership), law.marginals(), board.ownership)
    return float(own @ law.theta - law.log_normaliser)
