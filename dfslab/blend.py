"""The market blend: what the field's ownership and projections know of drivers' means that the race model does not.

Choosing where we differ from the field picks the race model's own errors, unless its means hold what the field knows.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

__all__ = ["Blend", "fit_blend", "past_rows", "shifted"]

VOICES = ("model", "log_ownership", "projected")
"""The race model's mean points, the log of the forecast ownership, the user's or a vendor's projected points."""
PRIOR = (1.0, 0.0, 0.0)
"""Weights believed before any race: the model alone."""
PRIOR_SD = (0.5, 5.0, 0.5)
"""How far the weights may lie from it: half a point per point, 5 points for e times the ownership; a first guess."""
FEWEST_RACES = 6
"""Past races below which the weights believed beforehand stand."""
LEAST_OWNERSHIP = 0.002
"""Ownership below which a driver counts as this much owned."""


@dataclass(frozen=True)
class Blend:
    """Weights of the voices, points per unit of each (see `VOICES`), their standard errors, and the races behind.

    `weights` and `se` have one entry per voice that speaks for the race at hand; `se` is clustered by race, 0 where
    nothing was fitted.
    """

    weights: pd.Series
    se: pd.Series
    races: int

    def shift(self, model, ownership, projected, racing) -> np.ndarray:
        """Return what is added to every driver's points, (D,), mean 0 over who races and 0 for who does not.

        Parameters
        ----------
        model, ownership, projected : (D,) mean points, forecast ownership (fraction), projected points (NaN unknown)
        racing : (D,) bool
        """
        racing = np.asarray(racing, bool)
        said = _voices(np.asarray(model, float), ownership, projected)[:, : len(self.weights)]
        added = said @ self.weights.to_numpy() - said[:, 0]
        return np.where(racing, added - added[racing].mean(), 0.0)

    def surprises(self, draws, racing) -> np.ndarray:
        """Return what drawn ownerships (n, D) add to drivers' points beside the others, (n, D), mean 0 over the draws.

        A field that likes a driver more than forecast knows more of him: what ownership is worth, surprises are worth.
        """
        racing = np.asarray(racing, bool)
        if not self.races:
            return np.zeros(np.shape(draws))
        log_own = np.log(np.maximum(np.asarray(draws, float), LEAST_OWNERSHIP))
        away = log_own - log_own.mean(axis=0)
        level = away[:, racing].mean(axis=1, keepdims=True)
        return np.where(racing, self.weights["log_ownership"] * (away - level), 0.0)

    @property
    def note(self) -> str:
        """What was done, for the page."""
        if not self.races:
            return (
                f"Market blend: fewer than {FEWEST_RACES} past races have ownership, simulated means and results; "
                "simulated points stay the race model's own."
            )
        told = ", ".join(
            f"{name.replace('_', ' ')} {w:.2f} ± {e:.2f}"
            for name, w, e in zip(self.weights.index, self.weights, self.se, strict=True)
        )
        return f"Simulated points were shifted by the market blend: {told} (fitted on {self.races} past races)."


def fit_blend(past: pd.DataFrame, *, with_projected: bool = False) -> Blend:
    """Return the weights that turn what was known before past races into the points scored.

    Weighted least squares on deviations from the race's mean, a driver weighing 1 / variance of his simulated points,
    with a normal prior at `PRIOR` [hoerl1970]; standard errors are clustered by race [cameron2015].

    Parameters
    ----------
    past : one row per driver and past race: race_id, points, model_points and model_sd (mean and standard deviation
        as simulated before it), ownership (as forecast before it, fraction), projected (NaN where nobody projected).
        Rows with a gap in the others do not count.
    with_projected : whether projected points speak for the race at hand; then only races that have them count, if
        there are enough

    Returns
    -------
    Blend; with fewer than `FEWEST_RACES` races the model alone
    """
    rows = past.dropna(subset=["points", "model_points", "model_sd", "ownership"])
    rows = rows[rows["model_sd"] > 0]
    told = rows[rows["projected"].notna().groupby(rows["race_id"]).transform("mean") > 0.5]
    projected = with_projected and told["race_id"].nunique() >= FEWEST_RACES
    rows, names = (told, VOICES) if projected else (rows, VOICES[:2])
    races, k = rows["race_id"].nunique(), len(names)
    if races < FEWEST_RACES:
        return Blend(pd.Series(PRIOR[:k], names), pd.Series(0.0, names), 0)
    said = _voices(rows["model_points"].to_numpy(float), rows["ownership"], rows["projected"])[:, :k]
    beta, se = _ridge(said, rows["points"].to_numpy(float), rows["model_sd"].to_numpy(float) ** -2, rows["race_id"])
    return Blend(pd.Series(beta, names), pd.Series(se, names), races)


def past_rows(past: pd.DataFrame, projected, forecasts: pd.DataFrame) -> pd.DataFrame:
    """Return what `fit_blend` reads, one row per race and driver, contests of one race averaged.

    `past` as filled by `known.fill_history`; `projected` what a user or a vendor had projected, by its rows, or None;
    `forecasts` has contest_id, driver and the ownership forecast before each contest.
    """
    told = ["points", "model_points", "model_sd"]
    rows = past.reindex(columns=["race_id", "contest_id", "driver", *told]).assign(
        projected=np.nan if projected is None else projected
    )
    keys = ["contest_id", "driver"]
    told_before = forecasts.assign(**{key: forecasts[key].astype(str) for key in keys})
    rows = rows.assign(**{key: rows[key].astype(str) for key in keys}).merge(told_before, on=keys)
    values = [*told, "ownership", "projected"]
    return rows.astype(dict.fromkeys(values, float)).groupby(["race_id", "driver"], as_index=False)[values].mean()


def shifted(scenarios, shift, tick: float):
    """Return the scenarios with `shift`, (D,) or (S, D), added to the points of who races, in whole ticks."""
    steps = np.rint(np.asarray(shift) / tick)
    if not steps.any():
        return scenarios
    points = (np.rint(scenarios.points / tick) + steps) * tick
    return replace(scenarios, points=np.where(scenarios.finish > 0, points, scenarios.points))


def _voices(model, ownership, projected) -> np.ndarray:
    """Return what each voice says, (D, 3); who has no projection is projected as the model has him."""
    projected = np.asarray(projected, float)
    log_own = np.log(np.maximum(np.asarray(ownership, float), LEAST_OWNERSHIP))
    return np.column_stack([model, log_own, np.where(np.isnan(projected), model, projected)])


def _ridge(x, y, weight, race):
    """Return the weights and their standard errors clustered by race."""
    code = np.unique(np.asarray(race), return_inverse=True)[1]
    total = np.bincount(code, weight)

    def away(v):
        return v - (np.bincount(code, weight * v) / total)[code]

    x, y = np.column_stack([away(column) for column in x.T]), away(y)
    mean, precision = np.array(PRIOR[: x.shape[1]]), np.diag(np.array(PRIOR_SD[: x.shape[1]]) ** -2.0)
    weighted = x * weight[:, None]
    scale = max(1.0, float(weight @ (y - x @ mean) ** 2) / (len(y) - len(total)))
    inverse = np.linalg.inv(weighted.T @ x / scale + precision)
    beta = mean + inverse @ (weighted.T @ (y - x @ mean)) / scale
    error = weighted * (y - x @ beta)[:, None] / scale
    sums = np.column_stack([np.bincount(code, column) for column in error.T])
    return beta, np.sqrt(np.diag(inverse @ (sums.T @ sums) @ inverse))
