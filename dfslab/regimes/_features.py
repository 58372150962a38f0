"""Features of a race or a scenario, and its regime by threshold.

A label belongs to one race or one scenario. History and scenarios go through the same function.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from numba import njit

from dfslab.errors import UserError, number_between

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


NEVER = 1000.0
"""Miles that no race has: with `fuel_miles` here no race is labelled fuel_mileage."""
BOUNDS = {"leader_share": (0.01, 1.0), "dropout_share": (0.01, 1.0), "cautions": (1, 100), "fuel_miles": (1, NEVER)}
"""Least and largest value of each threshold; outside, a regime would hold every race or none."""


@dataclass(frozen=True)
class RegimeThresholds:
    """The heuristic: a race is the first of dominator, chaos, fuel_mileage whose threshold it reaches, or balanced.

    A threshold outside `BOUNDS` raises `UserError`. Without `fuel_miles` no race is labelled fuel_mileage: of 130 Cup
    races 18 % ended with a green run of 100 miles or more, the usual fuel window, but knowing so beforehand takes −.1 ±
    .7 % off the score, where a dominator takes 14 ± 2 % and chaos 9 ± 3 % (`docs/results.md`).
    """

    leader_share: float = 0.5
    """dominator: one driver leads at least this share of the laps."""
    dropout_share: float = 0.25
    """chaos: at least this share of the field drops out, …"""
    cautions: float = 12.0
    """… or there are at least this many cautions."""
    fuel_miles: float = NEVER
    """fuel_mileage: the final green run is at least this long, in miles."""

    def __post_init__(self):
        for name, (low, high) in BOUNDS.items():
            number_between(getattr(self, name), f"regime threshold {name}", low, high)

    def to_dict(self) -> dict:
        """Return the thresholds as a plain dict."""
        return asdict(self)

    def over(self, grid: Mapping, features: np.ndarray) -> pd.DataFrame:
        """Return the share of each regime among races of feature matrix `features` under every choice of `grid`.

        `grid` maps thresholds to values to try, the others stay; a row per choice: thresholds, shares.
        """
        chosen = [replace(self, **dict(zip(grid, values, strict=True))) for values in product(*grid.values())]
        shares = [np.bincount(regime_codes(features, c), minlength=len(REGIMES)) / len(features) for c in chosen]
        return pd.DataFrame([asdict(c) for c in chosen]).join(pd.DataFrame(shares, columns=list(REGIMES)))

    @property
    def rules(self) -> dict[str, str]:
        """When a race is labelled so, in words, by regime; the first that holds counts."""
        fuel = f"the last green run is {self.fuel_miles:g} miles or longer"
        return {
            "dominator": f"one driver leads {100 * self.leader_share:g} % of the laps or more",
            "chaos": f"{100 * self.dropout_share:g} % of the field drop out, or {self.cautions:g} cautions, or more",
            "fuel_mileage": fuel if self.fuel_miles < NEVER else "not labelled: no fuel_miles is set",
            "balanced": "none of these",
        }

    @classmethod
    def from_dict(cls, values: dict) -> "RegimeThresholds":
        """Return thresholds from `to_dict`'s answer; an unknown name, or a value out of bounds, raises `UserError`."""
        unknown = set(values) - set(BOUNDS)
        if unknown:
            raise UserError(f"regime thresholds: unknown {', '.join(sorted(unknown))}; have {', '.join(BOUNDS)}")
        return cls(**{k: number_between(v, f"regime threshold {k}", *BOUNDS[k]) for k, v in values.items()})


def race_features(outcomes, races=None) -> pd.DataFrame:
    """Return the features of finished races or of scenarios, one row each.

    Parameters
    ----------
    outcomes : a results frame (race_id, start, finish, laps_led, dk_points, dnf), or `Scenarios` (anything with its
        arrays).
    races : with a results frame, the races frame (race_id, track_length_mi, cautions, caution_laps,
        longest_green_run, final_green_run); columns that are absent from either give NaN.

    Returns
    -------
    frame with the columns `FEATURES`; the index is race_id for history, the scenario number otherwise. What was not
    recorded is NaN.
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
        mean, quit_ = 0.0, 0.0
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
            quit_ += dropped[s, i]
            racing += 1
        if total < 1.0:  # not for a NaN: laps led that nobody recorded stay unknown
            total = 1.0
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
    """Pack a results frame into padded (R, D) arrays; finish 0 where there is nobody, NaN where nothing is known."""
    row, ids = pd.factorize(results["race_id"], sort=False)
    column = results.groupby("race_id").cumcount().to_numpy()
    packed = []
    for name in ("start", "finish", "laps_led", "dk_points", "dnf"):
        array = np.zeros((len(ids), int(column.max()) + 1))
        array[row, column] = pd.to_numeric(results[name], errors="coerce") if name in results else np.nan
        packed.append(array)
    packed[1] = np.nan_to_num(packed[1])
    facts, miles = _history_facts(races, ids)
    return ids, (*packed, facts, miles)


def _history_facts(races, ids) -> tuple[np.ndarray, np.ndarray]:
    wanted = ["cautions", "caution_laps", "longest_green_run", "final_green_run", "track_length_mi"]
    table = pd.DataFrame({"race_id": ids}) if races is None else races
    table = table.set_index("race_id").reindex(index=ids, columns=wanted).to_numpy(float)
    return np.ascontiguousarray(table[:, :4]), table[:, 4]


def classify_scenario_regime(features: pd.DataFrame, thresholds: RegimeThresholds | None = None) -> pd.Series:
    """Return the regime of every row of `features` (see `race_features`), a Series of names on its index.

    A feature that is NaN reaches no threshold; `known_regimes` says which labels rest on recorded features only. For
    one race pass a frame of one row.
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


def known_regimes(matrix: np.ndarray, thresholds: RegimeThresholds) -> np.ndarray:
    """Return whether everything that decides each of `REGIMES` was recorded, (R, 4) bool, by feature matrix (R, 12).

    A regime is the first whose threshold is reached, so it rests on the features of those before it, too; on green
    runs only where `fuel_miles` is set.
    """
    recorded = dict(zip(FEATURES, ~np.isnan(matrix.T), strict=True))
    dominator = recorded["leader_share"]
    chaos = dominator & recorded["dropout_share"] & recorded["cautions"]
    fuel = chaos & (recorded["final_green_miles"] | (thresholds.fuel_miles >= NEVER))
    return np.column_stack([dominator, chaos, fuel, fuel])
