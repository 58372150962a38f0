"""The market: prices of a win without the bookmaker's margin, as log-worths, pooled with the model's own."""

import numpy as np
import pandas as pd
from scipy.optimize import brentq, root

from dfslab.errors import UserError
from dfslab.metrics import damped_newton
from dfslab.race._orders import Choices

POOL = (0.9, 0.1)
"""Weights of the market's and of the model's log-worths: a logistic regression of 680 closing head-to-head lines of 17
Cup races of 2026 gives the line .97 ± .13 of the weight, the model the rest."""
POOL_RACES = 20
"""Races with odds from which the weights are fitted on history."""
POOL_PRECISION = 20.0
"""Precision of the shipped weights as prior of the fit."""
UNLISTED = 0.5
"""A driver without a price has at least this part of the longest price's chance."""


def market_chances(odds: pd.DataFrame, drivers) -> pd.Series:
    """Return every driver's chance to win by the market, summing to 1, the bookmaker's margin taken out.

    The power method: chances are raised to the power that makes them sum to 1, so long shots, whose prices carry more
    margin, lose more [clarke2017]. Drivers without a price share what is left, each between half and all of the longest
    price's chance. Books are averaged in logs.

    Parameters
    ----------
    odds : frame driver, probability (what each price says, margin in), optional book
    drivers : (D,) names of those who race; prices of others are left out

    Raises
    ------
    UserError : a probability outside (0, 1), or fewer than two drivers with a price

    Examples
    --------
    >>> odds = pd.DataFrame({"driver": ["Ann", "Bob", "Cy"], "probability": [0.6, 0.4, 0.2]})
    >>> market_chances(odds, ["Ann", "Bob", "Cy"]).round(3).tolist()
    [0.535, 0.326, 0.139]
    """
    drivers = pd.Index(drivers)
    odds = odds[odds["driver"].isin(drivers)]
    wrong = odds[~odds["probability"].between(0.0, 1.0, inclusive="neither")]
    if len(wrong):
        driver, chance = wrong[["driver", "probability"]].iloc[0]
        raise UserError(f"odds: {driver} has a chance of {chance}; 0 to 1 needed")
    if odds["driver"].nunique() < 2:
        raise UserError("odds: prices of at least two drivers of the race are needed")
    books = odds.get("book", pd.Series("", odds.index)).fillna("")
    logs = [np.log(_fair(g.groupby("driver")["probability"].mean().reindex(drivers))) for _, g in odds.groupby(books)]
    chance = np.exp(np.mean(logs, axis=0))
    return pd.Series(chance / chance.sum(), drivers, name="market")


def _fair(raw: pd.Series) -> np.ndarray:
    missing = int(raw.isna().sum())
    rest = np.clip((1.0 - raw.sum()) / max(missing, 1), UNLISTED * raw.min(), raw.min())
    logs = np.log(raw.fillna(rest).to_numpy())
    power = brentq(lambda k: np.exp(k * logs).sum() - 1.0, 1e-6, 1e3)
    return np.exp(power * logs)


# ---------------------------------------------------------------- log-worths

_TIMES = 400


def _win_chances(worth) -> tuple[np.ndarray, np.ndarray]:
    """Return every driver's chance to win by attrition, (D,), and the slopes of its log by log-worths, (D, D).

    His exponential life is the longest: ``P_i = ∫ f_i(t) Π_{j≠i} F_j(t) dt``, by the trapezoidal rule in log t.
    """
    worth = np.asarray(worth, float)
    log_t = np.linspace(worth.min() - 6.0, worth.max() + 4.0, _TIMES)
    hazard = np.exp(log_t[:, None] - worth)
    log_f = np.log(-np.expm1(-hazard))
    density = np.exp(np.log(hazard) - hazard - log_f + log_f.sum(axis=1, keepdims=True))
    chance = density.sum(axis=0)
    share = density / chance
    slopes = share.T @ (-hazard * np.exp(-hazard - log_f))
    np.fill_diagonal(slopes, (share * (hazard - 1.0)).sum(axis=0))
    return chance / chance.sum(), slopes


def market_worths(chance) -> np.ndarray:
    """Return the log-worths, mean zero, whose attrition law has the win chances (D,)."""
    target = np.log(np.asarray(chance, float))

    def missed(worth):
        found, slopes = _win_chances(worth)
        return np.log(found) - target + worth.mean(), slopes + 1.0 / len(target)

    found = root(missed, target - target.mean(), jac=True, tol=1e-12)
    if np.abs(found.fun).max() > 1e-8:
        raise UserError("odds: no log-worths fit these chances; check the prices")
    return found.x - found.x.mean()


# ---------------------------------------------------------------- weights of the pool


def fit_pool(worth: pd.DataFrame, results: pd.DataFrame, odds: pd.DataFrame, prior=POOL) -> tuple[float, float]:
    """Return the weights (a, b) of market and model, fitted to past orders and shrunk to `prior`; neither is below 0.

    Parameters
    ----------
    worth : frame race_id, driver, log_worth as known before each race (`FinishModel.past_log_worth`)
    results : history; a race counts from its finishing order
    odds : frame race_id, driver, probability, optional book; with fewer than `POOL_RACES` races of them the weights
        are those of `prior`
    """
    table = worth.merge(results[["race_id", "driver", "finish"]], on=["race_id", "driver"])
    table = table[table["race_id"].isin(odds["race_id"])].sort_values(["race_id", "finish"], ascending=[True, False])
    races = [group for _, group in table.groupby("race_id")]
    if len(races) < POOL_RACES:
        return prior
    prices = dict(list(odds.groupby("race_id")))
    market = [market_worths(market_chances(prices[g["race_id"].iloc[0]], g["driver"])) for g in races]
    design = -np.column_stack([np.concatenate(market), table["log_worth"]])
    choices = Choices(design, np.cumsum([0, *map(len, races)]), np.ones(len(races)))
    prior, precision = np.asarray(prior), np.full(2, POOL_PRECISION)
    found = damped_newton(lambda x: choices.objective(x, precision, prior), prior, tolerance=1e-12, lower=np.zeros(2))
    return tuple(found.x.tolist())
