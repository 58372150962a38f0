"""The feed's JSON of one race as rows of the history tables."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfslab.data._names import clean_name
from dfslab.data._tracks import track_slug, track_type
from dfslab.errors import InputError, day_of

POINTS_RACE = 1
"""`race_type_id` of a race for points; anything else is an exhibition."""
GREEN = {1, 4}
"""Flag states under which a lap counts: green, and the chequered flag on the last lap."""
PRACTICE = 1
"""`run_type` of a practice session."""


class FeedError(InputError):
    """The feed's answer is missing, damaged or not of the known form."""


@dataclass(frozen=True)
class RaceTables:
    """One race: `results` (one row per driver), `race` (one row), `notes` on what was guessed or left out."""

    results: pd.DataFrame
    race: dict
    notes: tuple[str, ...]


def _field(item, name: str, kind, where: str):
    """Return `item[name]` as `kind` (a type, or a tuple of them); anything else is a changed feed."""
    if not isinstance(item, Mapping) or name not in item:
        raise FeedError(f"{where}: field '{name}' is missing; the feed has changed its form")
    value = item[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise FeedError(f"{where}: field '{name}' is {str(value)[:40]!r}; the feed has changed its form")
    return value


def _number(item, name: str, where: str, absent: float = np.nan):
    """Return the number `item[name]`, `absent` where it is null; anything else is a changed feed."""
    value = _field(item, name, (int, float, type(None)), where)
    return absent if value is None else value


def scheduled(listed, series_id: int, series: str, where: str) -> tuple[list[dict], list[str]]:
    """Return the finished points races of the season's list in order, with their facts, and why others are left out.

    A race counts as run when it has a winner and laps (lists that do not name winners: when it has laps). An entry that
    cannot be read costs only itself; a list most of whose entries cannot be read is a `FeedError`.
    """
    races, skipped, odd = [], [], []
    entries = _field(listed, f"series_{series_id}", list, where)
    for entry in sorted(entries, key=lambda item: str(item.get("race_date", "")) if isinstance(item, dict) else ""):
        try:
            races.append(_facts(entry, series, where))
        except _Left as reason:
            skipped.append(str(reason))
        except FeedError as error:
            odd.append(error)
    if len(odd) > len(races) + len(skipped):
        raise odd[0]
    days = sorted({day_of(str(entry.get("race_date"))) for entry in entries if _for_points(entry)} - {pd.NaT})
    once: dict[pd.Timestamp, dict] = {}
    for facts in sorted(races, key=lambda facts: -facts["race_laps"]):
        if once.setdefault(facts["date"], facts) is not facts:
            skipped.append(
                f"{facts['race_name']} ({facts['date']:%Y-%m-%d}): listed twice, or a second race of that day"
            )
    left = [f"an entry that cannot be read: {error}" for error in odd]
    return [{**once[day], "race_no": days.index(day) + 1} for day in sorted(once)], skipped + left


def _for_points(entry) -> bool:
    return isinstance(entry, dict) and entry.get("race_type_id") == POINTS_RACE


class _Left(Exception):
    """An entry of the list that is no finished points race; the message says why."""


def _facts(entry, series: str, where: str) -> dict:
    name = " ".join(_field(entry, "race_name", str, where).split())
    date = day_of(_field(entry, "race_date", (str, type(None)), where) or "")
    label = f"{name} ({date:%Y-%m-%d})" if not pd.isna(date) else f"{name} (no date that can be read)"
    if _field(entry, "race_type_id", int, where) != POINTS_RACE:
        raise _Left(f"{label}: an exhibition")
    if not entry.get("winner_driver_id", True) or not entry.get("actual_laps"):
        raise _Left(f"{label}: not run yet")
    if pd.isna(date):
        raise _Left(f"{label}: fetch again when the feed has one")
    track = " ".join(_field(entry, "track_name", str, where).split())
    laps, miles = (_number(entry, key, where) for key in ("scheduled_laps", "scheduled_distance"))
    length = round(miles / laps, 3) if laps > 0 and miles > 0 else np.nan
    season = _field(entry, "race_season", int, where)
    kind, guessed = track_type(track, season, length)
    return {
        "race_id": f"{date:%Y-%m-%d}-{track_slug(track)}",
        "feed_id": _field(entry, "race_id", int, where),
        "season": season,
        "race_no": 0,
        "date": date,
        "race_name": name,
        "series": series,
        "track": track,
        "track_id": track_slug(track).replace("-", "_"),
        "track_type": "superspeedway" if guessed and entry.get("restrictor_plate") is True else kind,
        "track_length_mi": length,
        "sched_laps": laps or np.nan,
        "race_laps": _field(entry, "actual_laps", int, where),
        "guessed": guessed,
    }


def _race_of(weekend, where: str) -> dict:
    races = _field(weekend, "weekend_race", list, where)
    if not races or not isinstance(races[0], dict):
        raise FeedError(f"{where}: field 'weekend_race' is empty; the feed has changed its form")
    return races[0]


def race_tables(facts: dict, weekend, loop, laps, where: str) -> RaceTables:
    """Return the rows of one race.

    Parameters
    ----------
    facts : of `scheduled`
    weekend : weekend-feed.json
    loop : loop statistics, or None
    laps : lap-times.json, used for fastest laps when there are no loop statistics, or None
    """
    race = _race_of(weekend, where)
    rows, notes = _drivers(race, facts, where)
    results = pd.DataFrame(rows)
    results, more = _with_loop(results, loop, laps, facts, where)
    results = results.merge(_practice(weekend, where), on="nascar_driver_id", how="left")
    shared = {name: value for name, value in facts.items() if name not in ("feed_id", "guessed")}
    results = pd.DataFrame({**shared, **{name: results[name] for name in results}})
    notes += more
    if facts["guessed"]:
        notes.append(
            f"{facts['track']} is not known: taken for {facts['track_type']}; correct history/races.csv if not."
        )
    return RaceTables(results, {**shared, **_race_row(race, results, facts, where)}, tuple(notes))


def _drivers(race: dict, facts: dict, where: str) -> tuple[list[dict], list[str]]:
    listed = _field(race, "results", list, where)
    finished = [row for row in listed if _number(row, "finishing_position", where, 0) > 0]
    absent = [clean_name(row.get("driver_fullname") or "?") for row in listed if row not in finished]
    notes = [f"{facts['race_id']}: {', '.join(absent)} did not start, left out."] if absent else []
    if not finished:
        raise FeedError(f"{where}: nobody has a finishing position yet; fetch again later")
    finished.sort(key=lambda row: (bool(row.get("disqualified")), row["finishing_position"]))
    rows = [_driver(row, finish, where) for finish, row in enumerate(finished, 1)]
    last = max((row["start"] for row in rows), default=0)
    for row in rows:
        if row["start"] <= 0:
            last += 1
            row["start"] = last
            notes.append(f"{facts['race_id']}: {row['driver']} has no place on the grid, taken to start last.")
    return rows, notes


_TEXT = {"car": "car_number", "team": "team_name", "manufacturer": "car_make"}
_WHOLE = {"start": "starting_position", "laps": "laps_completed", "laps_led": "laps_led"}
_FIGURES = {"points": "points_earned", "qual_pos": "qualifying_position", "qual_speed_mph": "qualifying_speed"}
"""Columns of the history and the feed's fields they come from."""


def _driver(row: dict, finish: int, where: str) -> dict:
    status = " ".join(str(row.get("finishing_status") or "running").lower().split())
    status = {"accident": "crash"}.get(status, status)
    figures = {ours: _or_nan(row.get(theirs)) for ours, theirs in _FIGURES.items()}
    return {
        "driver": clean_name(_field(row, "driver_fullname", str, where)),
        "nascar_driver_id": str(_field(row, "driver_id", int, where)),
        **{ours: str(row.get(theirs) or "").strip() or None for ours, theirs in _TEXT.items()},
        **{ours: _number(row, theirs, where, np.nan if ours == "laps" else 0) for ours, theirs in _WHOLE.items()},
        "finish": finish,
        "status": status,
        "dnf": status != "running",
        "dnf_crash": status == "crash",
        "disqualified": bool(row.get("disqualified")),
        **figures,
        "qual_pos": figures["qual_pos"] or np.nan,
        "qual_speed_mph": figures["qual_speed_mph"] or np.nan,
    }


def _or_nan(value) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return np.nan
    return number if np.isfinite(number) else np.nan


_LOOP = {
    "fast_laps": "fastest_laps",
    "rating": "driver_rating",
    "avg_ps": "avg_running_pos",
    "mid_ps": "mid_race_pos",
    "closing_ps": "closing_pos",
    "best_ps": "best_pos",
    "worst_ps": "worst_pos",
    "quality_passes": "quality_passes",
    "top15_laps": "top15_laps",
}


def _with_loop(results: pd.DataFrame, loop, laps, facts: dict, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Add loop data by driver; without it fastest laps are counted from the lap times, else left blank."""
    notes: list[str] = []
    ids = results["nascar_driver_id"]
    if loop:
        by_id = {str(_field(row, "driver_id", int, where)): row for row in _loop_rows(loop, where)}
        columns = {
            ours: [_or_nan(by_id.get(number, {}).get(theirs)) for number in ids] for theirs, ours in _LOOP.items()
        }
        if np.isnan(columns["fastest_laps"]).all():
            raise FeedError(f"{where}: the loop statistics have no 'fast_laps'; the feed has changed its form")
        lacking = results["driver"][np.isnan(columns["fastest_laps"])].tolist()
        notes += [f"{facts['race_id']}: no loop data for {', '.join(lacking)}."] if lacking else []
    elif laps:
        columns = {"fastest_laps": ids.map(_fastest_laps(laps, where)).fillna(0.0)}
        notes.append(f"{facts['race_id']}: no loop statistics, fastest laps counted from the lap times.")
    else:
        columns = {"fastest_laps": np.full(len(results), np.nan)}
        notes.append(f"{facts['race_id']}: no loop statistics and no lap times, fastest laps are blank.")
    return results.assign(**columns), notes


def _loop_rows(loop, where: str) -> list:
    first = loop[0] if isinstance(loop, list) else loop
    return _field(first, "drivers", list, f"{where}, loop statistics")


def _fastest_laps(laps, where: str) -> dict[str, int]:
    """Return how many laps each driver (by id) ran faster than everybody else; the car listed first wins a tie.

    A lap counts when it and the one before were green: on the race at hand (Bristol 2025) this gives the official
    total to the lap; between drivers 4 % of the laps are credited differently.
    """
    where = f"{where}, lap times"
    states = _field(laps, "flags", list, where)
    flags = {_field(flag, "LapsCompleted", int, where): _field(flag, "FlagState", int, where) for flag in states}
    best: dict[int, tuple[float, str]] = {}
    counts: dict[str, int] = {}
    for car in _field(laps, "laps", list, where):
        number = str(_field(car, "NASCARDriverID", int, where))
        counts.setdefault(number, 0)
        for entry in _field(car, "Laps", list, where):
            lap, seconds = _field(entry, "Lap", int, where), _or_nan(entry.get("LapTime"))
            green = flags.get(lap) in GREEN and flags.get(lap - 1) in GREEN
            if green and 0 < seconds < best.get(lap, (np.inf, ""))[0]:
                best[lap] = (seconds, number)
    for _, number in best.values():
        counts[number] += 1
    return counts


def _practice(weekend, where: str) -> pd.DataFrame:
    """Return each driver's best lap (seconds) and its rank over the weekend's practice sessions."""
    best: dict[str, float] = {}
    runs = weekend.get("weekend_runs") or []
    for run in runs if isinstance(runs, list) else []:
        if isinstance(run, dict) and run.get("run_type") == PRACTICE:
            for row in _field(run, "results", list, where):
                number, seconds = str(_field(row, "driver_id", int, where)), _or_nan(row.get("best_lap_time"))
                if seconds > 0:
                    best[number] = min(seconds, best.get(number, np.inf))
    frame = pd.DataFrame({"nascar_driver_id": list(best), "practice_best_lap": list(best.values())}, dtype=object)
    frame["practice_best_lap"] = frame["practice_best_lap"].astype(float)
    return frame.assign(practice_best_rank=frame["practice_best_lap"].rank(method="min"))


def _race_row(race: dict, results: pd.DataFrame, facts: dict, where: str) -> dict:
    led, fastest = np.sort(results["laps_led"].to_numpy(float))[::-1], results["fastest_laps"].to_numpy(float)
    caution_laps = _number(race, "number_of_caution_laps", where)
    runs = _green_runs(race, facts["race_laps"], where)
    cars = results[["start", "finish"]].astype(float)
    return {
        "n_cars": len(results),
        "winner": results["driver"].iloc[0],
        "winner_start": int(results["start"].iloc[0]),
        "cautions": _number(race, "number_of_cautions", where),
        "caution_laps": caution_laps,
        "green_laps": facts["race_laps"] - caution_laps,
        "lead_changes": race.get("number_of_lead_changes"),
        "n_leaders": race.get("number_of_leaders"),
        "n_green_runs": len(runs) if runs else np.nan,
        "longest_green_run": max(runs) if runs else np.nan,
        "final_green_run": runs[-1] if runs else np.nan,
        "sum_laps_led": int(led.sum()),
        "sum_fastest_laps": float(np.nansum(fastest)) if np.isfinite(fastest).any() else np.nan,
        "top_led_share": _share(led[:1], led),
        "top2_led_share": _share(led[:2], led),
        "led_hhi": _herfindahl(led),
        "fl_hhi": _herfindahl(fastest[np.isfinite(fastest)]),
        "n_dnf": int(results["dnf"].sum()),
        "n_dnf_crash": int(results["dnf_crash"].sum()),
        "spearman_start_finish": round(float(cars.rank().corr().iloc[0, 1]), 4) if len(cars) > 1 else np.nan,
    }


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return round(float(part.sum() / whole.sum()), 4) if whole.sum() else np.nan


def _herfindahl(laps: np.ndarray) -> float:
    return round(float(((laps / laps.sum()) ** 2).sum()), 4) if laps.sum() else np.nan


def _green_runs(race: dict, race_laps: int, where: str) -> list[int]:
    """Return the lengths in laps of the green runs in order; empty when the caution segments do not fit the race."""
    cautions = sorted(
        (_field(part, "start_lap", int, where), _field(part, "end_lap", int, where))
        for part in race.get("caution_segments") or []
    )
    if len(cautions) != race.get("number_of_cautions") or any(end > race_laps for _, end in cautions):
        return []
    starts = [1, *(end + 1 for _, end in cautions)]
    ends = [*(start - 1 for start, _ in cautions), race_laps]
    return [end - start + 1 for start, end in zip(starts, ends, strict=True) if end >= start]
