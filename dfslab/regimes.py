"""Race regimes: features of a race or a scenario, labels by threshold, probabilities before the race.

A label belongs to one race or one scenario. History and scenarios go through the same function.
"""

import warnings
from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd
from numba import njit

__all__ = [
    "FEATURES",
    "REGIMES",
    "RegimeModel",
    "RegimeThresholds",
    "classify_scenario_regime",
    "feature_matrix",
    "past_conditions",
    "race_conditions",
    "race_features",
    "regime_codes",
    "regime_weights",
]

REGIMES = ("dominator", "chaos", "fuel_mileage", "balanced")
FEATURES = (
    "leader_share",
    "top2_share",
    "led_hhi",
    "dominance_ratio",
    "points_variance",
    "dropout_share",
    "start_finish_correlation",
    "cautions",
    "caution_laps",
    "longest_green_run",
    "final_green_run",
    "final_green_miles",
)
"""Columns of `race_features`, in order; the last five are properties of the race, the others of its drivers."""


@dataclass(frozen=True)
class RegimeThresholds:
    """The heuristic: a race is the first of dominator, chaos, fuel_mileage whose threshold it reaches, or balanced."""

    leader_share: float = 0.5
    """dominator: one driver leads at least this share of the laps."""
    dropout_share: float = 0.25
    """chaos: at least this share of the field drops out, …"""
    cautions: float = 12.0
    """… or there are at least this many cautions."""
    fuel_miles: float = 100.0
    """fuel_mileage: the final green run is at least this long, in miles."""

    def to_dict(self) -> dict:
        """Return the thresholds as a plain dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "RegimeThresholds":
        """Return thresholds from `to_dict`'s answer; an unknown key raises."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"regime thresholds: unknown {', '.join(sorted(unknown))}; have {', '.join(FEATURES)}")
        return cls(**{k: float(v) for k, v in values.items()})


def race_features(outcomes, races=None) -> pd.DataFrame:
    """Return the features of finished races or of scenarios, one row each.

    Parameters
    ----------
    outcomes : a results frame (race_id, start, finish, laps_led, dk points as `dk_points` or `points`, `dnf`), or
        `Scenarios` (anything with its arrays).
    races : with a results frame, the races frame (race_id, track_length_mi, cautions, caution_laps,
        longest_green_run, final_green_run); columns that are absent give NaN.

    Returns
    -------
    frame with the columns `FEATURES`; the index is race_id for history, the scenario number otherwise.
    """
    if isinstance(outcomes, pd.DataFrame):
        ids, arrays = _history_arrays(outcomes, races)
        return pd.DataFrame(_matrix(*arrays), columns=list(FEATURES), index=ids)
    return pd.DataFrame(feature_matrix(outcomes), columns=list(FEATURES))


def feature_matrix(scenarios) -> np.ndarray:
    """Return `race_features` of `scenarios` as (S, 12) float, without a frame."""
    facts = np.column_stack(
        [scenarios.cautions, scenarios.caution_laps, scenarios.longest_green_run, scenarios.final_green_run]
    ).astype(float)
    miles = np.full(len(facts), float(scenarios.track_length_mi))
    start = np.asarray(scenarios.start, float)
    return _matrix(start, scenarios.finish, scenarios.laps_led, scenarios.points, scenarios.dropped_out, facts, miles)


def _matrix(start, finish, led, points, dropped, facts, miles) -> np.ndarray:
    per_driver = _driver_features(start, finish, led, points, dropped)
    return np.column_stack([per_driver, facts, facts[:, 3] * miles])


@njit(cache=True, nogil=True)
def _driver_features(start, finish, led, points, dropped):
    """Return the first seven features, (R, 7); a finish of 0 marks a driver who did not race."""
    n, d = finish.shape
    out = np.empty((n, 7))
    value = np.empty(d)
    for s in range(n):
        racing, total, first, second, squares = 0, 0.0, 0.0, 0.0, 0.0
        mean, quit_ = 0.0, 0
        for i in range(d):
            if finish[s, i] <= 0:
                continue
            x = float(led[s, i])
            total += x
            squares += x * x
            if x > first:
                first, second = x, first
            elif x > second:
                second = x
            value[racing] = points[s, i]
            mean += points[s, i]
            quit_ += dropped[s, i] > 0
            racing += 1
        total = max(total, 1.0)
        mean /= racing
        ranked = np.sort(value[:racing])
        top = max(1, round(0.2 * racing))
        best, variance = 0.0, 0.0
        for i in range(racing):
            variance += (ranked[i] - mean) ** 2
            if i >= racing - top:
                best += ranked[i]
        rest = (mean * racing - best) / max(racing - top, 1)
        out[s, 0], out[s, 1], out[s, 2] = first / total, (first + second) / total, squares / total**2
        out[s, 3] = best / top / max(rest, 1.0)
        out[s, 4], out[s, 5] = variance / racing, quit_ / racing
        out[s, 6] = _correlation(start[s], finish[s])
    return out


@njit(cache=True, nogil=True)
def _correlation(x, y):
    """Pearson correlation of two rows where y > 0; on ranks it is Spearman's."""
    n, sx, sy = 0, 0.0, 0.0
    for i in range(x.size):
        if y[i] > 0:
            n, sx, sy = n + 1, sx + x[i], sy + y[i]
    xx, yy, xy = 0.0, 0.0, 0.0
    for i in range(x.size):
        if y[i] > 0:
            a, b = x[i] - sx / n, y[i] - sy / n
            xx, yy, xy = xx + a * a, yy + b * b, xy + a * b
    return xy / np.sqrt(xx * yy) if xx > 0.0 and yy > 0.0 else 0.0


def _history_arrays(results: pd.DataFrame, races):
    """Pack a results frame into padded (R, D) arrays; finish 0 where there is nobody."""
    points = "dk_points" if "dk_points" in results else "points"
    row, ids = pd.factorize(results["race_id"], sort=False)
    column = results.groupby("race_id").cumcount().to_numpy()
    shape = (len(ids), int(column.max()) + 1)
    packed = []
    dropped = "dnf" if "dnf" in results else "dropped_out"
    for name in ("start", "finish", "laps_led", points, dropped):
        array = np.zeros(shape)
        array[row, column] = results[name].to_numpy(float)
        packed.append(array)
    facts, miles = _history_facts(races, ids)
    return ids, (*packed, facts, miles)


def _history_facts(races, ids) -> tuple[np.ndarray, np.ndarray]:
    wanted = ["cautions", "caution_laps", "longest_green_run", "final_green_run", "track_length_mi"]
    table = pd.DataFrame({"race_id": ids}) if races is None else races
    table = table.set_index("race_id").reindex(index=ids, columns=wanted).to_numpy(float)
    return np.ascontiguousarray(table[:, :4]), table[:, 4]


def classify_scenario_regime(features: pd.DataFrame, thresholds: RegimeThresholds | None = None) -> pd.Series:
    """Return the regime of every row of `features` (see `race_features`), a Series of names on its index.

    A feature that is NaN reaches no threshold. For one race pass a frame of one row.
    """
    frame = features.to_frame().T if isinstance(features, pd.Series) else features
    matrix = frame.reindex(columns=list(FEATURES)).to_numpy(float)
    codes = regime_codes(matrix, thresholds or RegimeThresholds())
    return pd.Series(np.array(REGIMES, object)[codes], index=frame.index, name="regime")


def regime_codes(matrix: np.ndarray, thresholds: RegimeThresholds) -> np.ndarray:
    """Return the index into `REGIMES` of every row of a (R, 12) feature matrix."""
    column = {name: matrix[:, i] for i, name in enumerate(FEATURES)}
    dominator = column["leader_share"] >= thresholds.leader_share
    chaos = column["dropout_share"] >= thresholds.dropout_share
    chaos |= column["cautions"] >= thresholds.cautions
    fuel = column["final_green_miles"] >= thresholds.fuel_miles
    return np.select([dominator, chaos, fuel], [0, 1, 2], default=3).astype(np.int8)


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

    A multinomial logit (statsmodels `MNLogit`, absolute-value penalty) tells dominator, chaos and the rest apart; the
    rest is split into fuel_mileage and balanced as the simulator has it, because past races seldom come with the lap of
    their last restart. `coefficients` is None when history is too short: then the simulator's frequencies stand.
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
        centre, scale = design.mean(axis=0), np.maximum(design.std(axis=0), 1e-9)
        y = labels.map({"dominator": 1, "chaos": 2}).fillna(0).to_numpy(int)
        enough = len(y) >= FEWEST_RACES and np.bincount(y, minlength=3).min() > 0
        fitted = _logit(y, (design - centre) / scale) if enough else None
        return cls(fitted, centre, scale, _base_rates(conditions["track_type"], labels))

    def probabilities(self, conditions: dict, simulated) -> np.ndarray:
        """Return the probability of each of `REGIMES`, (4,), given the simulator's own, `simulated` (4,)."""
        simulated = np.asarray(simulated, float)
        if self.coefficients is None:
            return simulated
        x = (np.array([conditions[k] for k in CONDITIONS]) - self.centre) / self.scale
        odds = np.exp(np.concatenate([[0.0], np.concatenate([[1.0], x]) @ self.coefficients]))
        rest, dominator, chaos = odds / odds.sum()
        split = simulated[2:] / simulated[2:].sum() if simulated[2:].sum() > 0 else np.array([0.0, 1.0])
        return np.array([dominator, chaos, *(rest * split)])

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
