"""Regimes before the race: their probabilities, the weights of scenarios, and the choice of thresholds.

Features and labels come from `dfslab.labels` and are offered here too.
"""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd

from dfslab.regimes._features import (
    FEATURES,
    REGIMES,
    RegimeThresholds,
    classify_scenario_regime,
    feature_matrix,
    race_features,
    regime_codes,
)

__all__ = [
    "FEATURES",
    "GRID",
    "REGIMES",
    "RegimeModel",
    "RegimeThresholds",
    "TuningResult",
    "classify_scenario_regime",
    "feature_matrix",
    "past_conditions",
    "race_conditions",
    "race_features",
    "regime_codes",
    "regime_weights",
    "tune_thresholds",
]

# ---------------------------------------------------------------- before the race

CONDITIONS = ("superspeedway", "road", "favourite")
"""What is known before the race and moves a regime's probability."""
PENALTY = 1.0
"""Absolute-value penalty on standardised slopes; .5 to 4 score alike on 126 races, 2022-2025."""
BASE_RACES = 8.0
"""Weight, in races, of all track types in the base rate of one."""
FEWEST_RACES = 40
"""Below so many races a regime keeps the simulator's own probability."""


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

    A multinomial logit (statsmodels `MNLogit`, absolute-value penalty) tells dominator, chaos and the rest apart. Only
    its probability of dominator is used; the rest is split as the simulator has it: on 126 races of 2022-2025 the
    logit beat the simulator on dominator and lost to it on chaos (past labels seldom know the cautions), and the lap of
    the last restart, which fuel_mileage needs, is seldom known. `coefficients` is None when history is too short: then
    the simulator's frequencies stand.
    """

    coefficients: np.ndarray | None
    """(1 + conditions, 2): intercept and slopes of dominator and chaos against the rest."""
    centre: np.ndarray
    scale: np.ndarray
    base_rates: pd.DataFrame
    """Share of each regime by track type, shrunk to all (row `all`); columns the regimes and n_races."""

    @classmethod
    def fit(cls, conditions: pd.DataFrame, labels: pd.Series) -> "RegimeModel":
        """Fit on finished races: `conditions` (see `past_conditions`) and `labels`, both by race_id."""
        labels = labels.reindex(conditions.index)
        design = conditions[list(CONDITIONS)].to_numpy(float)
        base_rates = _base_rates(conditions["track_type"], labels)
        y = labels.map({"dominator": 1, "chaos": 2}).fillna(0).to_numpy(int)
        if len(y) < FEWEST_RACES or np.bincount(y, minlength=3).min() == 0:
            return cls(None, np.zeros(len(CONDITIONS)), np.ones(len(CONDITIONS)), base_rates)
        centre, scale = design.mean(axis=0), np.maximum(design.std(axis=0), 1e-9)
        return cls(_logit(y, (design - centre) / scale), centre, scale, base_rates)

    def probabilities(self, conditions: dict, simulated) -> np.ndarray:
        """Return the probability of each of `REGIMES`, (4,), given the simulator's own, `simulated` (4,)."""
        simulated = np.asarray(simulated, float)
        if self.coefficients is None:
            return simulated
        x = (np.array([conditions[k] for k in CONDITIONS]) - self.centre) / self.scale
        odds = np.exp(np.concatenate([[0.0], np.concatenate([[1.0], x]) @ self.coefficients]))
        dominator = odds[1] / odds.sum()
        others = np.maximum(simulated[1:], 1e-9)
        return np.concatenate([[dominator], (1.0 - dominator) * others / others.sum()])

    def base_rate(self, track_type: str) -> pd.Series:
        """Return the share of each regime in past races of `track_type`, shrunk to all; of all when it is new."""
        return self.base_rates.loc[track_type if track_type in self.base_rates.index else "all"]


def _logit(y, design) -> np.ndarray:
    from statsmodels.discrete.discrete_model import MNLogit

    exog = np.column_stack([np.ones(len(y)), design])
    penalty = np.full((exog.shape[1], 2), PENALTY)
    penalty[0] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the penalised optimum is checked below, not by the solver's messages
        fit = MNLogit(y, exog).fit_regularized(alpha=penalty.ravel("F"), disp=0)
    if not np.isfinite(fit.params).all():
        raise RuntimeError("regimes: the logit did not converge; give more races")
    return np.asarray(fit.params, float)


def _base_rates(track_type: pd.Series, labels: pd.Series) -> pd.DataFrame:
    counts = pd.crosstab(track_type, labels).reindex(columns=list(REGIMES), fill_value=0)
    overall = counts.sum() / max(counts.to_numpy().sum(), 1)
    rates = (counts + BASE_RACES * overall).div(counts.sum(axis=1) + BASE_RACES, axis=0)
    rates.loc["all"] = overall
    return rates.assign(n_races=[*counts.sum(axis=1), counts.to_numpy().sum()])


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


# ---------------------------------------------------------------- tuning

GRID = {
    "leader_share": (0.40, 0.45, 0.50, 0.55, 0.60),
    "dropout_share": (0.20, 0.25, 0.30, 0.35),
    "cautions": (10.0, 12.0, 14.0),
}
"""Thresholds that `tune_thresholds` tries (any field of `RegimeThresholds`); the others stay as they are."""
LEADER_BINS = (0.25, 0.35, 0.50, 0.65)
CRASH_BINS = (1.5, 3.5, 6.5, 10.5)
"""Inner edges of the bins of the leader's share and of crash drop-outs in the log scores."""
_PAIRS = 300
"""Scenarios of a race that enter the energy score."""


@dataclass(frozen=True)
class TuningResult:
    """What tuning found; gains are losses of unweighted scenarios minus losses of reweighted ones, per race."""

    thresholds: RegimeThresholds
    table: pd.DataFrame
    """One row per candidate: its thresholds, gain, gain_se, energy, leader, crash (parts of the gain), plateau (mean
    gain of the candidate and its neighbours on the grid)."""
    gain: float
    gain_se: float
    placebo: float
    """Gain of the chosen thresholds when the labels of past races are permuted."""
    placebo_se: float
    kappa: float
    """Mean agreement (Cohen's κ) of labels between the choice and choices on resampled races."""
    cluster_kappa: float
    """Agreement of the labels with four clusters of the features, each named after its commonest label."""
    base_rates: pd.DataFrame
    n_races: int

    @property
    def helps(self) -> bool:
        """Whether reweighting gains more than twice its standard error over unweighted scenarios and over placebo."""
        return self.gain > 2 * self.gain_se and self.gain > self.placebo

    def to_dict(self) -> dict:
        """Return what later races need, as plain values for a JSON file."""
        names = ("gain", "gain_se", "placebo", "placebo_se", "kappa", "cluster_kappa", "n_races")
        numbers = {n: getattr(self, n) for n in names}
        base = self.base_rates.to_dict(orient="index")
        return {"thresholds": self.thresholds.to_dict(), **numbers, "helps": bool(self.helps), "base_rates": base}

    @staticmethod
    def thresholds_from(saved: dict) -> RegimeThresholds:
        """Return the thresholds kept in `to_dict`'s answer, as read back from a file."""
        return RegimeThresholds.from_dict(saved["thresholds"])


def tune_thresholds(
    simulate, results, races, conditions, *, since, grid=None, rng, n_resamples=100, default=None
) -> TuningResult:
    """Choose the regime thresholds by what reweighted scenarios are worth on races they had not seen.

    Parameters
    ----------
    simulate : function of a race_id that returns `Scenarios` drawn by a model fitted before that race
    results, races : history; `races` may carry final_green_run
    conditions : `past_conditions` of history, told before each race
    since : first date of the races scored; for each season the logit is fitted on the races before it
    grid : thresholds to try, as `GRID`
    n_resamples : bootstrap choices behind κ
    default : thresholds to keep unless the choice gains two standard errors more (left out: `RegimeThresholds()`)

    Notes
    -----
    The loss of a race is log of the energy score [gneiting2007] of the points vector, plus minus the log probability of
    the bin of the leader's share and of the bin of crash drop-outs. The choice is the highest plateau, not the highest
    peak: the mean gain of a candidate and its neighbours on the grid.
    """
    features = race_features(results, races)
    conditions = conditions[conditions.index.isin(features.index)]
    scored = conditions.index[conditions["date"] >= pd.to_datetime(since)]
    if len(scored) < 2:
        raise ValueError(f"regimes: {len(scored)} races from {since}; tuning needs at least 2 to score")
    cases = [_case(simulate(r), results[results["race_id"] == r], r) for r in scored]
    task = _Task(features.loc[conditions.index], conditions, cases)
    default, grid = default or RegimeThresholds(), grid or GRID
    candidates = [replace(default, **dict(zip(grid, values, strict=True))) for values in product(*grid.values())]
    by_part = np.array([task.gains(c, task.labels(c)) for c in candidates])
    gains, smooth = by_part.sum(axis=2), _neighbours(candidates)
    kept = task.gains(default, task.labels(default)).sum(axis=1)
    best = candidates[int(np.argmax(smooth @ gains.mean(axis=1)))]
    more, error = _mean_se(gains[candidates.index(best)] - kept)
    best = best if more > 2 * error else default
    labels, parts = task.labels(best), task.gains(best, task.labels(best))
    permuted = pd.Series(rng.permutation(labels.to_numpy()), labels.index)
    placebo = task.gains(best, permuted).sum(axis=1)
    picks = [_resampled(gains, smooth, rng) for _ in range(n_resamples)]
    kappas = [_kappa(labels, task.labels(candidates[k])) for k in picks]
    gain, gain_se = _mean_se(parts.sum(axis=1))
    return TuningResult(
        thresholds=best,
        table=_tuning_table(candidates, by_part, smooth),
        gain=gain,
        gain_se=gain_se,
        placebo=_mean_se(placebo)[0],
        placebo_se=_mean_se(placebo)[1],
        kappa=float(np.mean(kappas)),
        cluster_kappa=_cluster_agreement(task.features, labels, rng),
        base_rates=_base_rates(conditions["track_type"], labels),
        n_races=len(cases),
    )


@dataclass(frozen=True)
class _Case:
    """One scored race: its scenarios reduced to what the loss needs."""

    race_id: str
    features: np.ndarray
    to_truth: np.ndarray
    between: np.ndarray
    bins: np.ndarray
    """(n, 2) bins of leader's share and crash drop-outs; `truth` the real ones."""
    truth: np.ndarray

    @cached_property
    def even(self) -> np.ndarray:
        """Losses of unweighted scenarios."""
        return self.losses(np.full(len(self.features), 1.0 / len(self.features)))

    def losses(self, weight) -> np.ndarray:
        """Return log energy score, minus log probability of the leader's bin and of the crash bin, (3,)."""
        n = len(self.to_truth)
        head = weight[:n] / weight[:n].sum()
        energy = head @ self.to_truth - 0.5 * head @ self.between @ head
        hits = (self.bins == self.truth).T @ weight
        return np.array([np.log(energy), *-np.log((hits * len(weight) + 0.5) / (len(weight) + 2.5))])


def _case(scenarios, results: pd.DataFrame, race_id) -> _Case:
    real = results.set_index("driver").reindex(scenarios.drivers)
    points = real["dk_points"].to_numpy(float)
    known = ~np.isnan(points)
    drawn = scenarios.points[:_PAIRS, known]
    squares = (drawn**2).sum(axis=1)
    between = np.sqrt(np.maximum(squares[:, None] + squares - 2 * drawn @ drawn.T, 0.0))
    features = feature_matrix(scenarios)
    share = real["laps_led"].max() / real["laps_led"].sum()
    bins = np.column_stack(
        [np.digitize(features[:, 0], LEADER_BINS), np.digitize(scenarios.crashed.sum(axis=1), CRASH_BINS)]
    )
    truth = np.array([np.digitize(share, LEADER_BINS), np.digitize(real["dnf_crash"].sum(), CRASH_BINS)])
    return _Case(race_id, features, np.linalg.norm(drawn - points[known], axis=1), between, bins, truth)


@dataclass(frozen=True)
class _Task:
    features: pd.DataFrame
    conditions: pd.DataFrame
    cases: list

    def labels(self, thresholds) -> pd.Series:
        return classify_scenario_regime(self.features, thresholds)

    def gains(self, thresholds, labels) -> np.ndarray:
        """Return the gain of reweighting in each scored race by part of the loss, (races, 3)."""
        dates, models, out = self.conditions["date"], {}, []
        for case in self.cases:
            season = dates[case.race_id].year
            if season not in models:
                models[season] = RegimeModel.fit(self.conditions[dates < pd.Timestamp(season, 1, 1)], labels)
            codes = regime_codes(case.features, thresholds)
            told = models[season].probabilities(
                self.conditions.loc[case.race_id], np.bincount(codes, minlength=len(REGIMES)) / len(codes)
            )
            out.append(case.even - case.losses(regime_weights(codes, told)))
        return np.array(out)


def _neighbours(candidates) -> np.ndarray:
    """Return the averaging matrix over each candidate and those one grid step away in one threshold."""
    values = np.array([list(c.to_dict().values()) for c in candidates])
    steps = np.column_stack([np.unique(column, return_inverse=True)[1] for column in values.T])
    near = np.abs(steps[:, None, :] - steps[None]).sum(axis=2) <= 1
    return near / near.sum(axis=1, keepdims=True)


def _resampled(gains, smooth, rng) -> int:
    pick = rng.integers(gains.shape[1], size=gains.shape[1])
    return int(np.argmax(smooth @ gains[:, pick].mean(axis=1)))


def _mean_se(values) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


def _kappa(a, b) -> float:
    """Return Cohen's κ of two label vectors; 1 when both are one and the same constant."""
    a, b = np.asarray(a), np.asarray(b)
    chance = sum((a == r).mean() * (b == r).mean() for r in REGIMES)
    return 1.0 if chance == 1.0 else float(((a == b).mean() - chance) / (1.0 - chance))


def _tuning_table(candidates, by_part, smooth) -> pd.DataFrame:
    gains, parts = by_part.sum(axis=2), by_part.mean(axis=1)
    table = pd.DataFrame([c.to_dict() for c in candidates]).assign(
        gain=gains.mean(axis=1),
        gain_se=gains.std(axis=1, ddof=1) / np.sqrt(gains.shape[1]),
        **dict(zip(("energy", "leader", "crash"), parts.T, strict=True)),
        plateau=smooth @ gains.mean(axis=1),
    )
    return table.sort_values("plateau", ascending=False, ignore_index=True)


def _cluster_agreement(features: pd.DataFrame, labels: pd.Series, rng) -> float:
    """Return κ between `labels` and k-means clusters of the features that every race has, named by majority."""
    from scipy.cluster.vq import kmeans2

    columns = [c for c in FEATURES if features[c].notna().all()]
    values = features[columns].to_numpy(float)
    values = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)
    cluster = kmeans2(values, len(REGIMES), minit="++", seed=rng)[1]
    named = labels.groupby(cluster).agg(lambda x: x.value_counts().index[0])
    return _kappa(labels, named[cluster])
