"""The figures a forecast starts from, fitted on real contests; what is scored never helped to fit what it is scored by.

Contests of one date are one race: they share a slate, so they are left out together and share one vote between them.
"""

from dataclasses import replace

import numpy as np

from dfslab.ownership._board import by_date
from dfslab.ownership._errors import errors_of
from dfslab.ownership._features import PastOwnership
from dfslab.ownership._fit import Prior
from dfslab.ownership._hybrid import HybridOwnershipEstimator, Pool, Rolled, believed_pool, solve_pool
from dfslab.ownership._sources import SOURCES, VENDORS, FittedSource, fit_curve, salary_log_worths

LEVELS = (-5.0, -4.0, -3.0, -2.0, -1.0, 0.0)
"""Log-odds of the forecast at which quantiles of the errors are kept."""
PROBABILITY = (0.0, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 1.0)
NEAR = 0.7
"""Width of the bell in log-odds over which errors count for a level."""


def fit_start(boards, assumed: Prior) -> Prior:
    """Return `assumed` with coefficients, pool weights and errors fitted on `boards`.

    The pool and the errors are fitted on forecasts of each race by coefficients of the other races. Contests whose
    projected points hardly differ teach nothing and are left out.
    """
    boards = [board for board in boards if not board.level]
    fitted = _fit_coefficients(boards, assumed)
    rolled = []
    for date, race in by_date(boards).items():
        others = [b for b in boards if b.date != date]
        prior = _fit_coefficients(others, assumed) if others else assumed
        known = HybridOwnershipEstimator(race[0].rules, prior).fit_boards(())
        rolled += [Rolled(b, salary_log_worths(b, known.past, prior), known.source_log_worths(b)) for b in race]
    fitted = replace(fitted, pool=_fit_weights(rolled, assumed))
    return replace(fitted, residuals=_fit_residuals(rolled, fitted))


def _votes(boards) -> np.ndarray:
    """Return the weight of each board: the contests of a race count as the root of their number."""
    dates = [board.date for board in boards]
    return np.array([dates.count(date) ** -0.5 for date in dates])


def _fit_coefficients(boards, assumed: Prior) -> Prior:
    """Return the prior whose coefficients are the most likely ones; features a contest lacks are 0 there."""
    votes = _votes(boards)
    curve = fit_curve(boards, assumed, votes)
    figures = {"salary_curve": _means(assumed.coefficients["salary_curve"], curve)}
    past = PastOwnership.of((), [mean for mean, _ in figures["salary_curve"]])
    for source in SOURCES:
        for feature, beta in FittedSource.fit(source, boards, past, assumed, votes).beta.items():
            figures[f"{source.name}/{feature}"] = _means(assumed.figures(source.name, feature), beta)
    return replace(assumed, coefficients={**assumed.coefficients, **figures})


def _means(rows, beta) -> list:
    return [[round(float(mean), 3), sd] for mean, (_, sd) in zip(beta, rows, strict=True)]


def _fit_weights(rolled, assumed: Prior) -> dict:
    """Return the pool's figures with weights, total and a vendor's part as most likely over all rolled contests."""
    figures, alone = dict(assumed.pool), [r for r in rolled if not set(VENDORS) & set(r.sources)]
    pool = _even_pool([name for name in figures["weights"] if name not in VENDORS], alone, assumed)
    figures |= {"weights": figures["weights"] | {name: round(b, 3) for name, b in pool.sources.items()}}
    figures |= {"total": round(pool.temperature, 3)}
    sold = [r for r in rolled if set(VENDORS) & set(r.sources)]
    if sold:
        pool = _even_pool([*pool.sources, VENDORS[0]], sold, replace(assumed, pool=figures))
        vendor = pool.sources[VENDORS[0]]
        figures |= {"vendor": round(vendor, 3), "beside_vendor": round(pool.temperature - vendor, 3)}
    return figures


def _even_pool(names, rolled, prior: Prior) -> Pool:
    """Return the pool of the sources among `names` that all have, every race counting alike, whenever it was."""
    sources = [name for name in names if all(name in r.sources for r in rolled)]
    return solve_pool(sources, rolled, _votes([r.board for r in rolled]), prior)


def _fit_residuals(rolled, prior: Prior) -> dict:
    """Return quantiles of the errors of log-odds by level of the forecast, without a vendor and with one."""
    sold = [r for r in rolled if set(VENDORS) & set(r.sources)]
    table = _error_table([r for r in rolled if r not in sold], prior)
    return {**table, "vendor": _error_table(sold, prior) if sold else table}


def _error_table(rolled, prior: Prior) -> dict:
    thetas = [believed_pool(r.sources, prior).log_worths(r.board, r.base, r.sources) for r in rolled]
    found = zip(*(errors_of(r.board, theta) for r, theta in zip(rolled, thetas, strict=True)), strict=True)
    level, error = (np.concatenate(part) for part in [*found][:2])
    weight = np.repeat(_votes([r.board for r in rolled]), [len(r.board) for r in rolled])
    near = [weight * np.exp(-0.5 * ((level - at) / NEAR) ** 2) for at in LEVELS]
    quantiles = [np.quantile(error, PROBABILITY, weights=w, method="inverted_cdf").round(3).tolist() for w in near]
    races = len({r.board.date for r in rolled})
    return {"races": races, "levels": list(LEVELS), "probability": list(PROBABILITY), "quantiles": quantiles}
