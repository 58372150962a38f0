"""Promises and what became of them: a user's record, and the second pass over a season; earlier races teach later."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from dfslab.data import files
from dfslab.errors import InputError, as_day
from dfslab.portfolio import PromiseMap

RECORD = "models/promises.json"
"""What portfolios promised and won, race by race, in the user's data folder."""

CHOSEN = "portfolio"
"""The strategy whose promises and outcomes the map learns from."""
PARTS = ("predicted", "average")
"""What a record tells of each rate: the promise, and the mean over all lineups."""
MOST_DOLLARS = 1e9
"""More, no contest pays."""
_RATES = {"return": "expected_payout", "cash": "cash", "top_1pct": "top_1pct", "p_profit": "p_profit"}
"""Rates of a `PromiseMap` and the columns of the money rows that hold them; a payout there is in dollars."""


def promises_before(data_dir, date) -> PromiseMap:
    """Return the shipped map after the races of the user's record before `date`."""
    rows, _ = read_record(data_dir)
    rows = [row for row in rows if row["fees"] > 0 and as_day(row["date"]) < as_day(date)]
    return PromiseMap.shipped().learned(pd.DataFrame([_outcome(row) for row in rows]))


def promise_of(day, scores, summary: pd.Series, contest) -> dict:
    """Return what a portfolio promised and won, a row of the record.

    Parameters
    ----------
    scores : of the portfolio called `CHOSEN`, on fresh draws
    summary : fees, won, cash and top_1pct after the race, as `review` counts them
    """
    promised = scores.table().set_index("portfolio").loc[CHOSEN]
    row = {"race_id": day.race.race_id, "contest_id": contest.contest_id, "date": f"{day.race.date:%Y-%m-%d}"}
    row |= {key: float(summary[key]) for key in ("fees", "won", "cash", "top_1pct")}
    row |= {f"predicted_{key}": float(promised[key]) for key in (*_RATES.values(), "sd")}
    return row | {f"average_{rate}": float(value) for rate, value in scores.average.items()}


def record_digest(data_dir, date) -> dict[str, str]:
    """Return a digest of the rows before `date`, by the name of the record; empty where there are none."""
    rows = [row for row in read_record(data_dir)[0] if as_day(row["date"]) < as_day(date)]
    text = json.dumps(rows, sort_keys=True).encode()
    return {RECORD: hashlib.sha256(text).hexdigest()[:16]} if rows else {}


def read_record(data_dir) -> tuple[list[dict], str]:
    """Return the rows of the user's record, or none and a sentence when it is damaged."""
    path = Path(data_dir) / RECORD
    try:
        rows = files.read_json(path) if path.exists() else []
        if all(map(_sound, rows)) and isinstance(rows, list):
            return rows, ""
        why = "no review writes such numbers"
    except (InputError, LookupError, TypeError, ValueError, AttributeError) as error:
        why = str(error)
    return [], f"{RECORD} is damaged ({why}): what your earlier races taught is not used; repair it, or move it away."


def _sound(row: dict) -> bool:
    """Whether a row of the record holds what `remember` writes: a day, dollars, shares."""
    shares = [row["cash"], row["top_1pct"], *(row[f"{part}_{r}"] for part in PARTS for r in _RATES if r != "return")]
    dollars = [row[name] for name in ("fees", "won", "predicted_expected_payout", "predicted_sd", "average_return")]
    bounded = all(-0.001 <= x <= 1.001 for x in shares) and all(-1 <= x < MOST_DOLLARS for x in dollars)
    named = all(isinstance(row[name], str) for name in ("race_id", "contest_id"))
    return bounded and named and bool(as_day(row["date"]))


def with_worth(found: list[dict]) -> list[dict]:
    """Return the scored races with what their promises are worth, by the shipped map and the races of earlier dates.

    Parameters
    ----------
    found : what `score_race` gives: `race` with a date, `money` rows with predicted and average rates, and replayed
        ones or those of the standings

    Returns
    -------
    the races in order of date; their money rows gain calibrated_payout, calibrated_low, calibrated_high (80 % band),
    calibrated_shared_sd (of the part that all races share), all dollars, calibrated_cash, calibrated_top_1pct and
    calibrated_p_profit
    """
    known, out = PromiseMap.shipped(), []
    days = pd.Series(found, [one["race"]["date"] for one in found], dtype=object).sort_index(kind="stable")
    for _, day in days.groupby(level=0):
        scored = [one | {"money": [row | _worth(row, known) for row in one["money"]]} for one in day]
        paid = [row for one in scored for row in one["money"] if row["strategy"] == CHOSEN and row["fees"] > 0]
        known = known.learned(pd.DataFrame([_outcome(row) for row in paid]))
        out += scored
    return out


def season_worth(rows: pd.DataFrame) -> dict:
    """Return the calibrated return of a strategy over its races and the 80 % band of their mean; empty without it.

    Where each race teaches the next its truth, errors are those of one-step forecasts and uncorrelated; where no replay
    tells it, what all races share stays shared.
    """
    if "calibrated_payout" not in rows or not (rows["fees"] > 0).all():
        return {}
    z, fees = stats.norm.ppf(0.9), rows["fees"]
    shared = 0 * fees if "replay_expected_payout" in rows else rows["calibrated_shared_sd"] / fees
    whole = (rows["calibrated_high"] - rows["calibrated_low"]) / (2 * z * fees)
    sd = np.hypot(shared.mean(), np.sqrt((whole**2 - shared**2).sum()) / len(rows))
    mean = (rows["calibrated_payout"] / fees).mean() - 1
    return {"calibrated_return": mean, "low_80": mean - z * sd, "high_80": mean + z * sd}


def _worth(row: dict, known: PromiseMap) -> dict:
    average = {rate: row[f"average_{rate}"] for rate in _RATES}
    worth = known(pd.DataFrame([_rates(row, "predicted_")]), average).iloc[0]
    money = {"payout": 1 + worth["return"], "low": 1 + worth["low_80"], "high": 1 + worth["high_80"]}
    money["shared_sd"] = worth["shared_sd"]
    found = {f"calibrated_{name}": row["fees"] * value for name, value in money.items()}
    return found | {f"calibrated_{rate}": worth[rate] for rate in ("cash", "top_1pct", "p_profit")}


def _rates(row: dict, source: str) -> dict:
    rates = {rate: row[f"{source}{column}"] for rate, column in _RATES.items()}
    return rates | {"return": rates["return"] / row["fees"] - 1}


def _outcome(row: dict) -> dict:
    """Return a row of the record: replays as the truth, standings with the luck of one race as noise."""
    promised, replayed = _rates(row, "predicted_"), "replay_expected_payout" in row
    luck = {rate: 0.0 if replayed else float(np.sqrt(max(0.0, p * (1 - p)))) for rate, p in promised.items()}
    real = {"return": row["won"] / row["fees"] - 1, "cash": row["cash"], "top_1pct": row["top_1pct"]}
    real["p_profit"] = float(row["won"] > row["fees"])
    if not replayed:
        luck["return"] = row["predicted_sd"] / row["fees"]
    parts = {"promised": promised, "realised": _rates(row, "replay_") if replayed else real, "noise": luck}
    parts["average"] = {rate: row[f"average_{rate}"] for rate in _RATES}
    return {f"{part}_{rate}": value for part, rates in parts.items() for rate, value in rates.items()}
