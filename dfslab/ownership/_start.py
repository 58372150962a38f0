"""The figures a forecast starts from, fitted on real contests; what is scored never helped to fit what it is scored by.

Contests of one date are one race: they share a slate, so they are left out together and share one vote between them.
"""

from dataclasses import replace

import numpy as np

from dfslab.ownership._board import ContestBoard
from dfslab.ownership._errors import completed, log_odds
from dfslab.ownership._estimators import (
    Rolled,
    available,
    fit_curve,
    remember,
    salary_log_worths,
)
from dfslab.ownership._fit import Case, Prior, fit_log_worths, temperature
from dfslab.ownership._hybrid import (
    VENDORS,
    HybridOwnershipEstimator,
    Pool,
    believed_weights,
    pool_design,
    solve_pool,
)

LEVELS = (-5.0, -4.0, -3.0, -2.0, -1.0, 0.0)
"""Log-odds of the forecast at which quantiles of the errors are kept."""
PROBABILITY = (0.0, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 1.0)
NEAR = 0.7
"""Width of the bell in log-odds over which errors count for a level."""


def races_of(boards) -> list[tuple]:
    """Return the boards by race (contests of one date), in order."""
    dates = sorted({board.date for board in boards})
    return [tuple(board for board in boards if board.date == date) for date in dates]


def left_out(boards, assumed: Prior):
    """Yield every race's boards with the figures fitted on all other races, before and after it."""
    for race in races_of(boards):
        yield race, fit_start([b for b in boards if b.date != race[0].date], assumed)


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
        parts = HybridOwnershipEstimator(race[0].rules, prior).fit_boards(()).parts
        past = remember((), prior)
        rolled += [Rolled(b, salary_log_worths(b, past, prior), *available(parts, b)) for b in race]
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
        features = [f for f in estimator.features(fitted.asked) if assumed.figures(estimator.name, f)]
        cases = [
            Case(board, _design(board, features, fitted), vote)
            for board, vote in zip(boards, _votes(boards), strict=True)
            if any(f(board, past) is not None for f in estimator.own)
        ]
        beta, place = fit_log_worths(cases, *assumed.of(estimator.name, features)), 0
        for feature in features:
            rows = assumed.figures(estimator.name, feature)
            figures[f"{estimator.name}/{feature.__name__}"] = _means(rows, beta[place : place + len(rows)])
            place += len(rows)
    return replace(assumed, coefficients={**assumed.coefficients, **figures})


def _design(board: ContestBoard, features, fitted) -> np.ndarray:
    prior, columns = fitted.estimator.prior, []
    for feature in features:
        found = feature(board, fitted.past)
        columns.append(np.zeros((len(board), len(prior.figures(fitted.name, feature)))) if found is None else found)
    return temperature(board, prior) * np.column_stack(columns)


def _means(rows, beta) -> list:
    return [[round(float(mean), 3), sd] for mean, (_, sd) in zip(beta, rows, strict=True)]


def _fit_weights(rolled, assumed: Prior) -> dict:
    """Return the pool's figures with weights, total and a vendor's part as most likely over all rolled contests."""
    figures, alone = dict(assumed.pool), [r for r in rolled if not set(VENDORS) & set(r.sources)]
    pool = _even_pool([name for name in figures["weights"] if name not in VENDORS], alone, assumed)
    figures |= {"weights": figures["weights"] | (pool.temperature * pool.weights).round(3).to_dict()}
    figures |= {"total": round(pool.temperature, 3)}
    sold = [r for r in rolled if set(VENDORS) & set(r.sources)]
    if sold:
        pool = _even_pool([*pool.weights.index, VENDORS[0]], sold, replace(assumed, pool=figures))
        vendor = round(float(pool.weights[VENDORS[0]]), 3)
        figures |= {"vendor": round(pool.temperature * vendor, 3)}
        figures |= {"beside_vendor": round(pool.temperature * (1 - vendor), 3)}
    return figures


def _even_pool(names, rolled, prior: Prior) -> Pool:
    """Return the pool of the sources among `names` that all have, every race counting alike, whenever it was."""
    sources = [name for name in names if all(name in r.sources for r in rolled)]
    weights = _votes([r.board for r in rolled])
    return solve_pool(sources, rolled, weights, prior, believed_weights(sources, prior))


def _fit_residuals(rolled, prior: Prior) -> dict:
    """Return quantiles of the errors of log-odds by level of the forecast, without a vendor and with one."""
    tables = {}
    for name, sold in (("plain", False), ("vendor", True)):
        mine = [r for r in rolled if bool(set(VENDORS) & set(r.sources)) == sold]
        if mine:
            tables[name] = _error_table(mine, prior)
    return {**tables["plain"], "vendor": tables.get("vendor", tables["plain"])}


def _error_table(rolled, prior: Prior) -> dict:
    levels, errors, weights = [], [], []
    for r, vote in zip(rolled, _votes([r.board for r in rolled]), strict=True):
        sources = list(r.sources)
        beta = believed_weights(sources, prior)
        theta = pool_design(r.board, r.base, list(r.sources.values()))[:, : len(sources) + 1] @ [*beta, beta.sum()]
        own = r.board.law(theta).marginals()
        levels.append(log_odds(own))
        errors.append(log_odds(completed(r.board.ownership, own)) - levels[-1])
        weights.append(np.full(len(own), vote))
    level, error, weight = (np.concatenate(part) for part in (levels, errors, weights))
    near = [weight * np.exp(-0.5 * ((level - at) / NEAR) ** 2) for at in LEVELS]
    quantiles = [np.quantile(error, PROBABILITY, weights=w, method="inverted_cdf").round(3).tolist() for w in near]
    races = len({r.board.date for r in rolled})
    return {"races": races, "levels": list(LEVELS), "probability": list(PROBABILITY), "quantiles": quantiles}
