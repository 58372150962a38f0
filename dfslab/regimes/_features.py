"""Features of a race or a scenario, and its regime by threshold.

A label belongs to one race or one scenario. History and scenarios go through the same function.
"""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numba import njit

from dfslab.errors import UserError, number_between

REGIMES = ("dominator", "chaos", "fuel_mileage", "balanced")
OF_DRIVERS = (
    *("leader_share", "top2_share", "led_hhi", "dominance_ratio", "points_variance"),
    *("dropout_share", "start_finish_correlation"),
)
OF_RACE = ("cautions", "caution_laps", "longest_green_run", "final_green_run")
FEATURES = (*OF_DRIVERS, *OF_RACE, "final_green_miles")
"""Columns of `race_features`, in order."""

NEVER = 1000.0
"""Miles that no race has: with `fuel_miles` here no race is labelled fuel_mileage."""
BOUNDS = {"leader_share": (0.01, 1.0), "dropout_share": (0.01, 1.0), "cautions": (1, 100), "fuel_miles": (1, NEVER)}
"""Least and largest value of each threshold; outside, a regime would hold every race or none."""


@dataclass(frozen=True)
class RegimeThresholds:
    """The heuristic: a race is the first of dominator, chaos, fuel_mileage whose threshold it reaches, or balanced.

    A threshold outside `BOUNDS` raises `UserError`. Without `fuel_miles` no race is labelled fuel_mileage: of 130 Cup
    races 18 % ended with a green run of 100 miles or more, the usual fuel window, but knowing so beforehand takes .2 ±
    .7 % off the score, where a dominator takes 13 ± 2 % and chaos 10 ± 3 % (`docs/results.md`).
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
        return cls(**values)


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
    ids = None
    if isinstance(outcomes, pd.DataFrame):
        ids, arrays = _history_arrays(outcomes)
        table = pd.DataFrame({"race_id": ids}) if races is None else races
        table = table.set_index("race_id").reindex(index=ids, columns=[*OF_RACE, "track_length_mi"])
        facts, miles = table[[*OF_RACE]].to_numpy(float), table["track_length_mi"].to_numpy(float)
    else:
        arrays = (getattr(outcomes, name) for name in ("start", "finish", "laps_led", "points", "dropped_out"))
        facts = np.column_stack([getattr(outcomes, name) for name in OF_RACE]).astype(float)
        miles = float(outcomes.track_length_mi)
    columns = [_driver_features(*arrays), facts, facts[:, 3] * miles]
    return pd.DataFrame(np.column_stack(columns), ids, list(FEATURES))


@njit(cache=True, nogil=True)
def _driver_features(start, finish, led, points, dropped):
    """Return the features `OF_DRIVERS`, (R, 7); a finish of 0 marks a driver who did not race."""
    out = np.empty((len(finish), 7))
    for s in range(len(finish)):
        there = finish[s] > 0
        laps, value = np.sort(led[s][there].astype(np.float64)), np.sort(points[s][there])
        total, n = laps.sum(), len(laps)
        if total < 1.0:  # not for a NaN: laps led that nobody recorded stay unknown
            total = 1.0
        top = max(1, round(0.2 * n))
        out[s, 0], out[s, 1] = laps[-1] / total, laps[-2:].sum() / total
        out[s, 2] = (laps**2).sum() / total**2
        out[s, 3] = value[n - top :].mean() / max(value[: n - top].sum() / max(n - top, 1), 1.0)
        out[s, 4], out[s, 5] = value.var(), dropped[s][there].sum() / n
        x, y = start[s][there].astype(np.float64), finish[s][there].astype(np.float64)
        x, y = x - x.mean(), y - y.mean()
        spread = np.sqrt((x * x).sum() * (y * y).sum())
        out[s, 6] = (x * y).sum() / spread if spread > 0.0 else 0.0
    return out


def _history_arrays(results: pd.DataFrame):
    """Return race_ids and padded (R, D) arrays; finish 0 where there is nobody, NaN where nothing is known."""
    row, ids = pd.factorize(results["race_id"], sort=False)
    column = results.groupby("race_id").cumcount().to_numpy()
    packed = np.zeros((5, len(ids), int(column.max()) + 1))
    for array, name in zip(packed, ("start", "finish", "laps_led", "dk_points", "dnf"), strict=True):
        array[row, column] = pd.to_numeric(results[name], errors="coerce") if name in results else np.nan
    packed[1] = np.nan_to_num(packed[1])
    return ids, packed


def classify_scenario_regime(features: pd.DataFrame, thresholds: RegimeThresholds | None = None) -> pd.Series:
    """Return the regime of every row of `features` (see `race_features`), a Series of names on its index.

    A feature that is NaN reaches no threshold; `label_races` says which labels rest on recorded features only.
    """
    codes = regime_codes(features.reindex(columns=list(FEATURES)), thresholds or RegimeThresholds())
    return pd.Series(np.array(REGIMES, object)[codes], index=features.index, name="regime")


def regime_codes(features: pd.DataFrame, thresholds: RegimeThresholds) -> np.ndarray:
    """Return the index into `REGIMES` of every row of `features` (R rows, see `race_features`), (R,) int8."""
    dominator = features["leader_share"] >= thresholds.leader_share
    chaos = features["dropout_share"] >= thresholds.dropout_share
    chaos |= features["cautions"] >= thresholds.cautions
    fuel = features["final_green_miles"] >= thresholds.fuel_miles
    return np.select([dominator, chaos, fuel], [0, 1, 2], default=3).astype(np.int8)


def known_regimes(features: pd.DataFrame, thresholds: RegimeThresholds) -> np.ndarray:
    """Return whether everything that decides each of `REGIMES` was recorded, (R, 4) bool, by `race_features`.

    A regime is the first whose threshold is reached, so it rests on the features of those before it, too; on green
    runs only where `fuel_miles` is set.
    """
    recorded = features.notna()
    dominator = recorded["leader_share"]
    chaos = dominator & recorded["dropout_share"] & recorded["cautions"]
    fuel = chaos & (recorded["final_green_miles"] | (thresholds.fuel_miles >= NEVER))
    return np.column_stack([dominator, chaos, fuel, fuel])


def label_races(frame: pd.DataFrame, thresholds: RegimeThresholds) -> pd.DataFrame:
    """Return `frame`, which holds the `FEATURES`, with each row's `regime`, and whether the label is `known`.

    It is where what decides it was recorded: a threshold that was reached needs no more than the features before it.
    """
    codes, known = regime_codes(frame, thresholds), known_regimes(frame, thresholds)
    decides = np.where(codes == len(REGIMES) - 1, codes, np.maximum(codes - 1, 0))
    known = known[np.arange(len(codes)), decides]
    return frame.assign(regime=np.array(REGIMES, object)[codes], known=known)
