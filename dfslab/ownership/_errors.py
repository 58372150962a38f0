"""How far forecasts of ownership were off, and draws of whole ownership vectors from it.

The unit of resampling is a contest: a draw takes the errors of one past contest, so drivers err together as they did.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import interpn
from scipy.special import expit, logit

LEAST = 0.0005
"""Ownership below one entry in 2,000 is not distinguished from it."""
DIGITS = 9
"""Of log-odds: drivers of one salary may be forecast alike but for rounding, which must not order them."""
NEIGHBOURS = 0.04
"""A driver borrows the error of a driver of like forecast, within this share of the slate on either side."""
EARLY = 5.0
"""The i-th past contest is drawn in proportion to i / (i + EARLY): the first forecasts knew little."""
OTHER_SOURCES = 0.1
"""A contest where a vendor had spoken counts this much for one where none has, and the other way round: what a forecast
rests on decides how far it is off."""
SHIPPED_CONTESTS = 1.0
"""The shipped errors count as this many contests beside the history's own."""
SOLVER_STEPS = 20


@dataclass(frozen=True, eq=False)
class Residuals:
    """Errors of log-odds by level of the forecast: of past contests, and shipped quantiles for a thin history.

    `contests` holds what `errors_of` says of each past contest, in order; `weights` (contests,) how much it counts.
    """

    contests: tuple
    weights: np.ndarray
    shipped: Mapping

    @classmethod
    def of(cls, contests, shipped: Mapping) -> "Residuals":
        """Return the errors of past contests, what `errors_of` says of each, in order."""
        number = np.arange(1.0, len(contests) + 1)
        return cls(tuple(contests), number / (number + EARLY), shipped)

    def like(self, board) -> "Residuals":
        """Return the same errors, those of contests forecast from the same sources as `board` counting most."""
        sold = _has_vendor(board)
        alike = np.array([vendor == sold for *_, vendor in self.contests], bool)
        weights = self.weights * np.where(alike, 1.0, OTHER_SOURCES)
        return replace(self, weights=weights, shipped=self.shipped.get("vendor" if sold else "", self.shipped))

    def draw(self, level, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return errors for drivers of forecast log-odds `level`, (n, D); row i uses the i-th block of the stream.

        They are widened: by one part in the number of contests (of races that the shipped errors come from), for a few
        show too little of the tails, and by √(D/(D − 2)), for `draw_ownership` takes a level and a slope out of them.
        """
        uniform = rng.random((n, len(level) + 1))
        chance = np.append(self.weights, SHIPPED_CONTESTS)
        picked = np.searchsorted(np.cumsum(chance) / chance.sum(), uniform[:, 0], side="right")
        errors = np.empty((n, len(level)))
        for contest in np.unique(picked):
            rows = picked == contest
            errors[rows] = self._of_contest(contest, level, uniform[rows, 1:])
        widened = 1 + 1 / (self.weights.sum() + self.shipped.get("races", SHIPPED_CONTESTS))
        return errors * widened * np.sqrt(len(level) / max(len(level) - 2, 1))

    def _of_contest(self, contest, level, uniform) -> np.ndarray:
        if contest == len(self.contests):
            return _from_quantiles(self.shipped, level, uniform)
        known, errors, _ = self.contests[contest]
        reach = max(2, round(NEIGHBOURS * len(known)))
        place = np.searchsorted(known, level.round(DIGITS)) + np.floor(uniform * (2 * reach + 1)).astype(int) - reach
        return errors[np.clip(place, 0, len(known) - 1)]


def errors_of(board, log_worths) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return log-odds of a contest's forecast (D,), rising, their errors, and whether a vendor had spoken.

    Unknown ownerships enter by expectation.
    """
    own = board.law(log_worths).marginals()
    level = log_odds(own).round(DIGITS)
    order = np.argsort(level, kind="stable")
    error = log_odds(completed(board.ownership, own)) - log_odds(own)
    return level[order], error[order], _has_vendor(board)


def _has_vendor(board) -> bool:
    return bool(np.mean(~np.isnan(board.column("projected_ownership"))) > 0.5)


def completed(ownership, expected) -> np.ndarray:
    """Return `ownership` (D,) with its gaps filled: what the known drivers leave is shared as in `expected`."""
    known = ~np.isnan(ownership)
    if known.all():
        return ownership
    left = expected.sum() - ownership[known].sum()
    return np.clip(np.where(known, ownership, expected * left / expected[~known].sum()), 0, 1)


def log_odds(ownership) -> np.ndarray:
    return logit(np.clip(ownership, LEAST, 1 - LEAST))


def _from_quantiles(table: Mapping, level, uniform) -> np.ndarray:
    """Return errors at cumulative probability `uniform` by a table of quantiles at some levels, linear between."""
    levels, probability, quantiles = (np.array(table[k], float) for k in ("levels", "probability", "quantiles"))
    inside = np.broadcast_to(np.clip(level, levels[0], levels[-1]), uniform.shape)
    return interpn((levels, probability), quantiles, np.stack([inside, uniform], axis=-1))


def draw_ownership(centre, salary, residuals: Residuals, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return `n` ownership vectors around the forecast `centre`, (n, D), that sum to K and cost what it costs.

    Errors are added to the log-odds; then a level and a slope in salary are set so that each vector has the sum and
    the mean lineup salary of the forecast (fields spend the cap whatever they think).
    """
    level = log_odds(centre)
    return affordable(level + residuals.draw(level, n, rng), salary, centre)


def affordable(odds, salary, like) -> np.ndarray:
    """Return ownership of log-odds (n, D) after a level and a slope in `salary` (D,) are added.

    Each row then has the sum and the mean lineup salary of the ownership `like` (D,).
    """
    price = (salary - np.mean(salary)) / 1000
    slant = np.stack([np.ones(len(price)), price])
    shift, target = np.zeros((len(odds), 2)), slant @ like
    for _ in range(SOLVER_STEPS):  # the same for every row, and no BLAS: a row must not depend on the number of draws
        own = expit(odds + np.einsum("nk,kd->nd", shift, slant))
        gap = target - np.einsum("nd,kd->nk", own, slant)
        curvature = np.einsum("nd,kd,ld->nkl", own * (1 - own), slant, slant) + 1e-9 * np.eye(2)
        shift += np.clip(np.linalg.solve(curvature, gap[:, :, None])[:, :, 0], -2, 2)
    return expit(odds + np.einsum("nk,kd->nd", shift, slant))
