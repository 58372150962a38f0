"""The market blend: what the field's ownership and projections know of drivers' means that the race model does not.

Choosing where we differ from the field picks the race model's own errors, unless its means hold what the field knows.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfslab.portfolio._promise import defaults

SOURCES = ("model", "ownership", "surprise", "start", "projected")
"""The race model's mean points, the root of the forecast ownership, the root of the ownership shown less that of the
forecast, the grid place, the user's or a vendor's projected points. Errors of a root are alike for all drivers."""


def believed_weights(with_projected: bool) -> pd.DataFrame:
    """Return what is believed of the weights before any race, by source: weight, sd (see `defaults.json`).

    Weights: drivers' true means in replays of simulated seasons, on what was known before the race; the model's and the
    start's lie between those and the slopes of real points on simulated means. Standard deviations are those between
    worlds. Where points are projected, model, ownership and projection share what they know [clemen1989].
    """
    shipped = defaults("blend")["projected" if with_projected else "plain"]
    return pd.DataFrame(shipped, index=["weight", "sd"]).T


@dataclass(frozen=True)
class Blend:
    """Weights of the sources, points per unit of each (see `SOURCES`), their standard errors, and the races behind.

    `weights` and `se` have one entry per source that speaks for the race at hand; `se` is clustered by race, the prior
    counted as one more.
    """

    weights: pd.Series
    se: pd.Series
    races: int

    def shift(self, model, ownership, projected, racing, start) -> np.ndarray:
        """Return what is added to every driver's points, (D,), mean 0 over who races and 0 for who does not.

        Parameters
        ----------
        model, ownership, projected : (D,) mean points, forecast ownership (fraction), projected points (NaN unknown)
        racing : (D,) bool
        start : (D,) grid places (NaN unknown: an average one)
        """
        racing, model = np.asarray(racing, bool), np.asarray(model, float)
        added = (self.weights["model"] - 1) * model + self.weights["ownership"] * np.sqrt(ownership)
        added = added + self.weights["start"] * _centred(start, racing)
        if "projected" in self.weights:
            added = added + self.weights["projected"] * _filled(projected, model)
        return np.where(racing, added - added[racing].mean(), 0.0)

    def surprises(self, draws, racing) -> np.ndarray:
        """Return what drawn ownerships (n, D) add to drivers' points beside the others, (n, D), mean 0 over the draws.

        A field that likes a driver more than forecast knows more of him.
        """
        racing, root = np.asarray(racing, bool), np.sqrt(draws)
        away = root - root.mean(axis=0)
        level = away[:, racing].mean(axis=1, keepdims=True)
        return np.where(racing, self.weights["surprise"] * (away - level), 0.0)

    @property
    def note(self) -> str:
        """What was done, for the page."""
        weights = ", ".join(f"{name} {weight:.2f} ± {self.se[name]:.2f}" for name, weight in self.weights.items())
        races = "1 past race" if self.races == 1 else f"{self.races} past races"
        fitted = f"fitted on {races}" if self.races else "as believed before any race"
        return f"Simulated points were shifted by the market blend: {weights} ({fitted})."


def fit_blend(past: pd.DataFrame, *, with_projected: bool = False) -> Blend:
    """Return the weights that turn what was known before past races into the points scored.

    Weighted least squares on deviations from the race's mean, a driver weighing 1 / variance of his simulated points,
    with a normal prior (see `believed_weights`) [hoerl1970]; standard errors are clustered by race [cameron2015].

    Parameters
    ----------
    past : one row per driver and past race: race_id, points, model_points and model_sd (mean and standard deviation
        as simulated before it), ownership (as forecast before it) and shown (as it was), fractions; start and
        projected (NaN unknown). Rows with a gap in the others do not count.
    with_projected : whether projected points speak for the race at hand; only races count where it was the same, for
        their fields were forecast from the same sources

    Returns
    -------
    Blend; without such races the weights believed beforehand
    """
    rows = past.dropna(subset=["points", "model_points", "model_sd", "ownership", "shown"])
    projected = rows["projected"].notna().groupby(rows["race_id"]).transform("mean") > 0.5
    rows = rows[(rows["model_sd"] > 0) & (projected == with_projected)]
    believed = believed_weights(with_projected)
    model, forecast = rows["model_points"].to_numpy(float), np.sqrt(rows["ownership"].to_numpy(float))
    start = rows["start"] - rows.groupby("race_id")["start"].transform("mean")
    columns = [model, forecast, np.sqrt(rows["shown"].to_numpy(float)) - forecast, start.fillna(0.0)]
    if with_projected:
        columns.append(_filled(rows["projected"], model))
    weight = rows["model_sd"].to_numpy(float) ** -2
    mean, spread = believed["weight"].to_numpy(), believed["sd"].to_numpy()
    beta, se = _ridge(np.column_stack(columns), rows["points"].to_numpy(float), weight, rows["race_id"], mean, spread)
    return Blend(pd.Series(beta, believed.index), pd.Series(se, believed.index), rows["race_id"].nunique())


def past_rows(past: pd.DataFrame, projected, forecasts: pd.DataFrame) -> pd.DataFrame:
    """Return what `fit_blend` reads, one row per race and driver, contests of one race averaged.

    `past` as filled by `workflow`; `projected` what a user or a vendor had projected, by its rows, or None;
    `forecasts` has contest_id, driver and the ownership forecast before each contest.
    """
    known = ["points", "model_points", "model_sd", "start"]
    rows = past.reindex(columns=["race_id", "contest_id", "driver", "ownership", *known])
    rows = rows.rename(columns={"ownership": "shown"}).assign(projected=np.nan if projected is None else projected)
    keys = dict.fromkeys(["contest_id", "driver"], str)
    rows = rows.astype(keys).merge(forecasts.astype(keys), on=[*keys])
    values = [*known, "ownership", "shown", "projected"]
    return rows.astype(dict.fromkeys(values, float)).groupby(["race_id", "driver"], as_index=False)[values].mean()


def _centred(start, racing) -> np.ndarray:
    """Return grid places less their mean over who races; 0 where unknown."""
    known = racing & np.isfinite(start)
    return np.where(known, start - start[known].mean() if known.any() else 0.0, 0.0)


def _filled(projected, model) -> np.ndarray:
    """Return projected points; who has no projection is projected as the model has him."""
    projected = np.asarray(projected, float)
    return np.where(np.isnan(projected), model, projected)


def _ridge(x, y, weight, race, mean, spread):
    """Return the weights and their standard errors clustered by race, for a normal prior of `mean` and `spread`."""
    races, code = np.unique(np.asarray(race), return_inverse=True)
    total = np.bincount(code, weight, len(races))

    def away(v):
        return v - (np.bincount(code, weight * v, len(races)) / total)[code]

    x, y, precision = np.column_stack([away(column) for column in x.T]), away(y), np.diag(spread**-2.0)
    scale = max(1.0, float(weight @ (y - x @ mean) ** 2) / max(1, len(y) - len(races)))
    weighted = x * weight[:, None] / scale
    inverse = np.linalg.inv(weighted.T @ x + precision)
    beta = mean + inverse @ (weighted.T @ (y - x @ mean))
    error = weighted * (y - x @ beta)[:, None]
    sums = np.column_stack([np.bincount(code, column, len(races)) for column in error.T])
    return beta, np.sqrt(np.diag(inverse @ (sums.T @ sums + precision) @ inverse))
