"""Regimes before the race: their probabilities, and the weights that give scenarios these probabilities."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from dfslab.regimes._features import FEATURES, REGIMES, RegimeThresholds, known_regimes, regime_codes

CONDITIONS = ("superspeedway", "road", "favourite")
"""What is known before the race and moves a regime's probability."""
PREDICTED = ("dominator",)
"""Regimes whose chance the logit predicts: on 90 Cup races of 2023-2025 that of dominator gains .5 ± .6 % in skill,
with that of chaos −1.8 ± 1.3 % (`docs/results.md`)."""
RIDGE = 1.0
"""Squared penalty on standardised slopes; .3 to 10 score alike on the same races."""
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

    Labels are decided in stages: is the race a dominator; if not, is it chaos; if neither, fuel mileage. Each stage
    has its own logit, fitted on the races that reached it and whose features were recorded, so what nobody recorded
    counts neither for nor against a regime. A stage that is not predicted, or has too short a history, is split as
    the simulator splits it.
    """

    coefficients: np.ndarray
    """(3, 1 + conditions): intercept and slopes of dominator, chaos, fuel_mileage; NaN where the simulator stands."""
    centre: np.ndarray
    scale: np.ndarray
    base_rates: pd.DataFrame
    """See `base_rates`."""

    @classmethod
    def fit(cls, conditions: pd.DataFrame, features: pd.DataFrame, thresholds=None, predicted=PREDICTED):
        """Fit on finished races.

        Parameters
        ----------
        conditions, features : `past_conditions` and `race_features`, both by race_id
        thresholds : `RegimeThresholds`; the labels follow from them
        predicted : regimes whose chance the logit predicts; none, and scenarios keep the simulator's frequencies
        """
        matrix = features.reindex(conditions.index)[list(FEATURES)].to_numpy(float)
        thresholds = thresholds or RegimeThresholds()
        codes, known = regime_codes(matrix, thresholds), known_regimes(matrix, thresholds)
        raw = conditions[list(CONDITIONS)].to_numpy(float)
        centre, scale = standard_of(raw)
        outcomes = stage_outcomes(codes, known)
        outcomes[[name not in predicted for name in REGIMES[:-1]]] = -1
        rates = base_rates(conditions["track_type"], codes, known)
        return cls(fit_logits(design_of(raw, centre, scale), outcomes), centre, scale, rates)

    def probabilities(self, conditions: dict, simulated) -> np.ndarray:
        """Return the probability of each of `REGIMES`, (4,), given the simulator's own, `simulated` (4,)."""
        if np.isnan(self.coefficients).all():
            return np.asarray(simulated, float)
        raw = np.array([[conditions[k] for k in CONDITIONS]], float)
        design = design_of(raw, self.centre, self.scale)
        return split_probability(simulated, expit(self.coefficients @ design[0]))

    def base_rate(self, track_type: str) -> pd.DataFrame:
        """Return rate and races by regime at `track_type`, shrunk to all track types; those of all when it is new."""
        table = self.base_rates
        kind = track_type if (table["track_type"] == track_type).any() else "all"
        return table[table["track_type"] == kind].set_index("regime")[["rate", "races"]]


def base_rates(track_type: pd.Series, codes: np.ndarray, known: np.ndarray) -> pd.DataFrame:
    """Return the share of each regime by track type, over the races where it is known.

    Returns
    -------
    frame track_type (and `all`), regime, rate (shrunk to that of all track types; NaN where it is nowhere known),
    races (known ones)
    """
    happened = pd.DataFrame(np.where(known, codes[:, None] == np.arange(len(REGIMES)), np.nan), columns=list(REGIMES))
    by_type = happened.groupby(track_type.to_numpy())
    rate = (by_type.sum() + BASE_RACES * happened.mean()) / (by_type.count() + BASE_RACES)
    rates = pd.concat([rate, happened.mean().to_frame("all").T]).rename_axis("track_type")
    races = pd.concat([by_type.count(), happened.count().to_frame("all").T]).rename_axis("track_type")
    wide = {"rate": rates, "races": races}
    long = [frame.reset_index().melt("track_type", var_name="regime", value_name=k) for k, frame in wide.items()]
    return long[0].merge(long[1])


# ---------------------------------------------------------------- stages


def stage_outcomes(codes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return whether each stage was passed, (3, R) int8: 1 this regime, 0 a later one, −1 not reached or not known."""
    stage = np.arange(len(REGIMES) - 1)[:, None]
    open_ = (codes >= stage) & known.T[: len(stage)]
    return np.where(open_, codes == stage, -1).astype(np.int8)


def split_probability(simulated, hazard) -> np.ndarray:
    """Return probabilities (…, 4) from the chance of each stage, `hazard` (…, 3); NaN takes that of `simulated`."""
    simulated = np.asarray(simulated, float)
    left = np.cumsum(simulated[..., ::-1], axis=-1)[..., ::-1][..., :-1]
    own = simulated[..., :-1] / np.maximum(left, 1e-12)
    chance = np.where(np.isnan(hazard), own, hazard)
    ones = np.ones_like(chance[..., :1])
    return np.concatenate([chance, ones], -1) * np.concatenate([ones, np.cumprod(1.0 - chance, axis=-1)], -1)


def standard_of(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and spread of every column of (R, conditions)."""
    return raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-9)


def design_of(raw, centre, scale) -> np.ndarray:
    """Return the standardised conditions behind a column of ones, (R, 1 + conditions)."""
    return np.column_stack([np.ones(len(raw)), (raw - centre) / scale])


def fit_logits(design, outcomes, ridge=RIDGE, fewest=FEWEST_RACES):
    """Fit one ridge logit per row of `outcomes` by Newton's method, thousands of permuted labels at once.

    `design` (R, p) with ones in the first column, `outcomes` (B, R) of 1, 0 and −1 (left out). Returns (B, p); a row
    of NaN where fewer than `fewest` count, or all that count are alike. The intercept is not penalised; without
    penalty it equals statsmodels' `Logit`.
    """
    counts, yes = outcomes >= 0, outcomes == 1
    n, share = counts.sum(axis=1), yes.sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    able, p = (n >= fewest) & (share > 0) & (share < 1), design.shape[1]
    counts, yes, found = counts[able], yes[able], np.full((len(outcomes), p), np.nan)
    penalty, products = ridge * np.diag(np.arange(p) > 0), (design[:, :, None] * design[:, None]).reshape(-1, p * p)
    beta = np.column_stack([logit(share[able]), np.zeros((able.sum(), p - 1))])
    for _ in range(25):
        chance = expit(beta @ design.T)
        slope = ((yes - chance) * counts) @ design - beta @ penalty
        curve = ((chance * (1 - chance) * counts) @ products).reshape(-1, p, p) + penalty
        step = np.linalg.solve(curve, slope[..., None])[..., 0]
        size = np.abs(step).max(axis=1, initial=0.0, keepdims=True)
        beta += step / np.maximum(1.0, size)  # at most 1 in any coefficient: far from the optimum Newton overshoots
        if size.max(initial=0.0) < 1e-9:
            break
    found[able] = beta
    return found


def regime_weights(codes, probabilities) -> np.ndarray:
    """Return scenario weights (S,) that sum to 1 and give every regime its probability.

    `codes` (S,) index into `REGIMES`. A regime that no scenario shows leaves its probability to the others in
    proportion; within a regime all scenarios weigh the same.
    """
    counts = np.bincount(codes, minlength=len(REGIMES))
    share = np.where(counts > 0, probabilities, 0.0)
    if share.sum() <= 0:
        return np.full(len(codes), 1.0 / len(codes))
    return (share / share.sum() / np.maximum(counts, 1))[codes]
