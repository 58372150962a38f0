"""Regimes before the race: what is known of it, and the probabilities that follow from it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from dfslab.metrics import damped_newton
from dfslab.regimes._features import REGIMES, RegimeThresholds, known_regimes, regime_codes

CONDITIONS = ("superspeedway", "road", "favourite")
"""What is known before the race and moves a regime's probability."""
RIDGE = 0.1
"""Squared penalty on slopes; .1 to 1 score alike on the same races."""
BASE_RACES = 8.0
"""Weight, in races, of all track types in the base rate of one."""
FEWEST_RACES = 30
"""Below so many races whose label is known, a regime keeps the simulator's own probability."""


def race_conditions(log_worth, start, track_type: str) -> dict[str, float]:
    """Return the `CONDITIONS` of one race: track type, and how far the favourite and the pole sitter stand out.

    `log_worth` (D,) as known before the race; `start` (D,) grid, or None when it is not known (the favourite's pole).
    `favourite` is the best log-worth minus the mean of the best six, plus the pole sitter's.
    """
    worth = np.asarray(log_worth, float) - np.mean(log_worth)
    best = np.sort(worth)[::-1]
    pole = best[0] if start is None else worth[np.nanargmin(np.asarray(start, float))]
    return {
        "superspeedway": float(track_type == "superspeedway"),
        "road": float(track_type == "road"),
        "favourite": float(best[0] - best[:6].mean() + pole),
    }


def past_conditions(worth: pd.DataFrame, results: pd.DataFrame, races: pd.DataFrame) -> pd.DataFrame:
    """Return `race_conditions` of finished races, by race_id in order of date, with `track_type` and `date`.

    `worth` is a frame race_id, driver, log_worth as known before each race.
    """
    table = worth.merge(results[["race_id", "driver", "start"]].dropna(), on=["race_id", "driver"])
    kind = races.drop_duplicates("race_id").set_index("race_id")["track_type"]
    rows = {k: race_conditions(g["log_worth"], g["start"], kind[k]) for k, g in table.groupby("race_id")}
    frame = pd.DataFrame.from_dict(rows, orient="index").join(races.set_index("race_id")[["track_type", "date"]])
    return frame.assign(date=pd.to_datetime(frame["date"])).sort_values("date", kind="stable").rename_axis("race_id")


@dataclass(frozen=True)
class RegimeModel:
    """Probabilities of the regimes before a race.

    A logit says how likely a dominator is, from the races whose laps led were recorded; the other regimes share the
    rest as the simulator's scenarios do. Without a logit, or with too short a history, the simulator's own stand.
    """

    coefficients: np.ndarray
    """(1 + conditions,) intercept and slopes of dominator; NaN where the simulator stands."""
    base_rates: pd.DataFrame
    """See `base_rates`."""

    @classmethod
    def fit(cls, conditions: pd.DataFrame, features: pd.DataFrame, thresholds=None, reweights: bool = True):
        """Fit on finished races.

        Parameters
        ----------
        conditions, features : `past_conditions` and `race_features`, both by race_id
        thresholds : `RegimeThresholds`; the labels follow from them
        reweights : False, and scenarios keep the simulator's frequencies
        """
        features, thresholds = features.reindex(conditions.index), thresholds or RegimeThresholds()
        codes, known = regime_codes(features, thresholds), known_regimes(features, thresholds)
        found = fit_logit(design_of(conditions), dominators(codes, known & reweights))
        return cls(found, base_rates(conditions["track_type"], codes, known))

    def probabilities(self, conditions: dict, simulated) -> np.ndarray:
        """Return the probability of each of `REGIMES`, (4,), given the simulator's own, `simulated` (4,)."""
        if np.isnan(self.coefficients).any():
            return np.asarray(simulated, float)
        design = design_of(pd.DataFrame([conditions]))
        return with_dominator(simulated, expit(design @ self.coefficients)[0])


def base_rates(track_type: pd.Series, codes: np.ndarray, known: np.ndarray) -> pd.DataFrame:
    """Return the share of each regime by track type, over the races where it is known.

    A dominator is known of more races than the rest, which share what dominators leave, so that the rates sum to 1.

    Returns
    -------
    frame track_type (and `all`), regime, rate (shrunk to that of all track types; NaN where it is nowhere known),
    races (known ones)
    """
    happened = pd.DataFrame(np.where(known, codes[:, None] == np.arange(len(REGIMES)), np.nan), columns=list(REGIMES))
    mean, groups = happened.mean(), [*happened.groupby(track_type.to_numpy()), ("all", happened)]
    tables = [
        pd.DataFrame({"rate": (g.sum() + BASE_RACES * mean) / (g.count() + BASE_RACES), "races": g.count()})
        for _, g in groups
    ]
    for table in tables:
        own, rest = table.loc[REGIMES[0], "rate"], table.loc[list(REGIMES[1:]), "rate"]
        if rest.notna().all() and rest.sum() > 0:
            table.loc[rest.index, "rate"] = rest * (1 - own) / rest.sum()
    keys = [kind for kind, _ in groups]
    return pd.concat(tables, keys=keys, names=["track_type", "regime"]).reset_index()


# ---------------------------------------------------------------- the chance of a dominator


def dominators(codes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return whether each race was a dominator, (R,) int8: 1 yes, 0 no, −1 not known; `known` as `known_regimes`."""
    return np.where(known[:, 0], codes == 0, -1).astype(np.int8)


def with_dominator(simulated, chance) -> np.ndarray:
    """Return `simulated` probabilities (…, 4) with that of dominator set to `chance` (…), NaN for its own."""
    simulated = np.asarray(simulated, float)
    own = simulated[..., 0]
    chance = np.where(np.isnan(chance), own, chance)
    rest = (1.0 - chance) / np.maximum(1.0 - own, 1e-12)
    return np.concatenate([chance[..., None], simulated[..., 1:] * rest[..., None]], -1)


def design_of(conditions: pd.DataFrame) -> np.ndarray:
    """Return the `CONDITIONS` of R races behind a column of ones, (R, 1 + conditions)."""
    return np.column_stack([np.ones(len(conditions)), conditions[list(CONDITIONS)]])


def fit_logit(design, outcome, ridge=RIDGE) -> np.ndarray:
    """Fit a ridge logit of `outcome` (R,), 1, 0 or −1 (left out), by `design` (R, p) with ones in its first column.

    Returns (p,), NaN where fewer than `FEWEST_RACES` count or all that count are alike. The intercept is not penalised;
    without penalty it equals statsmodels' `Logit`.
    """
    design, yes = design[outcome >= 0], outcome[outcome >= 0] == 1
    penalty = ridge * (np.arange(design.shape[1]) > 0)
    if len(yes) < FEWEST_RACES or yes.all() or not yes.any():
        return np.full(len(penalty), np.nan)

    def loss(beta):
        utility = design @ beta
        chance = expit(utility)
        value = np.logaddexp(0.0, utility).sum() - utility[yes].sum() + 0.5 * penalty @ beta**2
        curve = (design.T * (chance * (1.0 - chance))) @ design + np.diag(penalty)
        return value, design.T @ (chance - yes) + penalty * beta, lambda: curve

    return damped_newton(loss, np.zeros(len(penalty)), tolerance=1e-12).x
