"""The figures a forecast starts from, fitted on real contests; what is scored never helped to fit what it is scored by.

Contests of one date are one race: they share a slate, so they are left out together and share one vote between them.
"""

from dataclasses import replace

import numpy as np

from dfslab.ownership._board import ContestBoard
from dfslab.ownership._errors import Residuals
from dfslab.ownership._estimators import VENDORS, fit_curve, remember, rolled_by
from dfslab.ownership._fit import Case, Prior, fit_log_worths, temperature
from dfslab.ownership._hybrid import HybridOwnershipEstimator, Pool, believed_pool, solve_pool

LEVELS = (-5.0, -4.0, -3.0, -2.0, -1.0, 0.0)
"""Log-odds of the forecast at which quantiles of the errors are kept."""
PROBABILITY = (0.0, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 1.0)
NEAR = 0.7
"""Width of the bell in log-odds over which errors count for a level."""


def races_of(boards) -> list[tuple]:
    """Return the boards by race (contests of one date), in order."""
    dates = sorted({board.date for board in boards})
    return [tuple(board for board in boards if board.date == date) for date in dates]


def fit_start(boards, assumed: Prior) -> Prior:
    """Return `assumed` with coefficients, pool weights and errors fitted on `boards`.

    The pool and the errors are fitted on forecasts of each race by coefficients of the other races. Contests whose
    projected points hardly differ teach nothing and are left out.
    """
    boards = [board for board in boards if not board.level]
    fitted = _fit_coefficients(boards, assumed)
    rolled = []
    for race in races_of(boards):
        others = [b for b in boards if b.date != race[0].date]
        prior = _fit_coefficients(others, assumed) if others else assumed
        known = HybridOwnershipEstimator(race[0].rules, prior).fit_boards(())
        rolled += [rolled_by(known.parts, b, known.past, prior) for b in race]
    fitted = replace(fitted, pool=_fit_weights(rolled, assumed))
    return replace(fitted, residuals=_fit_residuals(rolled, fitted))


def _votes(boards) -> np.ndarray:
    """Return the weight of each board: the contests of a race count as the root of their number."""
    dates = [board.date for board in boards]
    return np.array([dates.count(date) ** -0.5 for date in dates])


def _fit_coefficients(boards, assumed: Prior) -> Prior:
    """Return the prior whose coefficients are the most likely ones; features a contest lacks are 0 there."""
    curve = fit_curve(boards, assumed, _votes(boards))
    figures = {"salary_curve": _means(assumed.coefficients["salary_curve"], curve)}
    past = remember((), replace(assumed, coefficients={**assumed.coefficients, **figures}))
    for estimator in HybridOwnershipEstimator(prior=assumed).estimators:
        fitted = estimator.fit_boards((), past)
        names = {f: f"{estimator.name}/{f}" for f in estimator.features(fitted.asked)}
        rows = {f: assumed.figures(estimator.name, f) for f in names}
        cases = [
            Case(board, _design(board, rows, known, assumed), vote)
            for board, vote in zip(boards, _votes(boards), strict=True)
            if set(known := fitted.evidence(board)) & set(estimator.own)
        ]
        beta, place = fit_log_worths(cases, *assumed.of(estimator.name, tuple(names))), 0
        for feature, name in names.items():
            figures[name] = _means(rows[feature], beta[place : place + len(rows[feature])])
            place += len(rows[feature])
    return replace(assumed, coefficients={**assumed.coefficients, **figures})


def _design(board: ContestBoard, rows, known, prior) -> np.ndarray:
    columns = [known.get(feature, np.zeros((len(board), len(figures)))) for feature, figures in rows.items()]
    return temperature(board, prior) * np.column_stack(columns)


def _means(rows, beta) -> list:
    return [[round(float(mean), 3), sd] for mean, (_, sd) in zip(beta, rows, strict=True)]


def _fit_weights(rolled, assumed: Prior) -> dict:
    """Return the pool's figures with weights, total and a vendor's part as most likely over all rolled contests."""
    figures, alone = dict(assumed.pool), [r for r in rolled if not set(VENDORS) & set(r.sources)]
    pool = _even_pool([name for name in figures["weights"] if name not in VENDORS], alone, assumed)
    figures |= {"weights": figures["weights"] | {name: round(worth, 3) for name, worth in pool.sources.items()}}
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
    forecasts = [(r.board, believed_pool(r.sources, prior).log_worths(r)) for r in rolled]
    errors = Residuals.of(forecasts, {})
    level, error = np.concatenate(errors.levels), np.concatenate(errors.errors)
    weight = np.repeat(_votes([r.board for r in rolled]), [len(r.board) for r in rolled])
    near = [weight * np.exp(-0.5 * ((level - at) / NEAR) ** 2) for at in LEVELS]
    quantiles = [np.quantile(error, PROBABILITY, weights=w, method="inverted_cdf").round(3).tolist() for w in near]
    races = len({r.board.date for r in rolled})
    return {"races": races, "levels": list(LEVELS), "probability": list(PROBABILITY), "quantiles": quantiles}
