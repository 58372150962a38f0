"""The feed's JSON of one race as rows of the history tables; `feed.csv` says which field becomes which column."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfslab.data._names import clean_name
from dfslab.data._schema import rows_of
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


def _or_nan(value) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan
    return number if np.isfinite(number) else np.nan


_KINDS = {
    "text": lambda item, name, where: " ".join(_field(item, name, str, where).split()),
    "id": lambda item, name, where: str(_field(item, name, int, where)),
    "int": lambda item, name, where: _field(item, name, int, where),
    "number": _number,
    "count": lambda item, name, where: _number(item, name, where, 0),
    "word": lambda item, name, where: " ".join(str(item.get(name) or "").split()) or None,
    "flag": lambda item, name, where: bool(item.get(name)),
    "figure": lambda item, name, where: _or_nan(item.get(name)),
    "positive": lambda item, name, where: _or_nan(item.get(name)) or np.nan,
}
"""How a field is read; the last four may be absent."""
_FIELDS = rows_of("feed.csv")


def _mapped(item, part: str, where: str) -> dict:
    """Return the columns that `feed.csv` takes from `item`."""
    mine = (row for row in _FIELDS if row["part"] == part)
    return {row["column"]: _KINDS[row["kind"]](item, row["field"], where) for row in mine}


def scheduled(listed, series_id: int, series: str, where: str) -> tuple[list[dict], list[str]]:
    """Return the finished points races of the season's list in order, with their facts, and why others are left out.

    A race counts as run when it has a winner and laps (lists that do not name winners: when it has laps). An entry that
    cannot be read costs only itself; a list most of whose entries cannot be read is a `FeedError`.
    """
    races, skipped, odd, days = [], [], [], set()
    entries = _field(listed, f"series_{series_id}", list, where)
    for entry in entries:
        try:
            found = _facts(entry, series, where)
            (skipped if isinstance(found, str) else races).append(found)
        except FeedError as error:
            odd.append(error)
        if isinstance(entry, dict) and entry.get("race_type_id") == POINTS_RACE:
            days.add(day_of(str(entry.get("race_date"))))
    if len(odd) > len(entries) / 2:
        raise odd[0]
    once: dict[pd.Timestamp, dict] = {}
    for facts in sorted(races, key=lambda facts: -facts["race_laps"]):
        if once.setdefault(facts["date"], facts) is not facts:
            skipped.append(f"{_label(facts)}: listed twice, or a second race of that day")
    number = {day: n for n, day in enumerate(sorted(days - {pd.NaT}), 1)}
    left = [f"an entry that cannot be read: {error}" for error in odd]
    return [{**once[day], "race_no": number[day]} for day in sorted(once)], skipped + left


def _label(facts: dict) -> str:
    return f"{facts['race_name']} ({facts['date']:%Y-%m-%d})"


def _facts(entry, series: str, where: str) -> dict | str:
    """Return the facts of an entry of the list, or why it is no finished points race."""
    name = _KINDS["text"](entry, "race_name", where)
    date = day_of(_field(entry, "race_date", (str, type(None)), where) or "")
    label = f"{name} (no date that can be read)" if pd.isna(date) else _label({"race_name": name, "date": date})
    if _field(entry, "race_type_id", int, where) != POINTS_RACE:
        return f"{label}: an exhibition"
    if not entry.get("winner_driver_id", True) or not entry.get("actual_laps"):
        return f"{label}: not run yet"
    if pd.isna(date):
        return f"{label}: fetch again when the feed has one"
    facts = _mapped(entry, "list", where)
    track, laps, miles = facts["track"], facts["sched_laps"], facts.pop("miles")
    length = round(miles / laps, 3) if laps > 0 and miles > 0 else np.nan
    kind, guessed = track_type(track, facts["season"], length)
    return facts | {
        "race_id": f"{date:%Y-%m-%d}-{track_slug(track)}",
        "date": date,
        "series": series,
        "track_id": track_slug(track).replace("-", "_"),
        "track_type": "superspeedway" if guessed and entry.get("restrictor_plate") is True else kind,
        "track_length_mi": length,
        "sched_laps": laps or np.nan,
        "guessed": guessed,
    }


def race_tables(facts: dict, weekend, loop, laps, where: str) -> RaceTables:
    """Return the rows of one race.

    Parameters
    ----------
    facts : of `scheduled`
    weekend : weekend-feed.json
    loop : loop statistics, or None
    laps : lap-times.json, used for fastest laps when there are no loop statistics, or None
    """
    race = next(iter(_field(weekend, "weekend_race", list, where)), None)
    rows, notes = _drivers(race, facts, where)
    results, more = _with_loop(pd.DataFrame(rows), loop, laps, facts, where)
    results = results.assign(practice_best_rank=results["nascar_driver_id"].map(_practice_ranks(weekend, where)))
    shared = {name: value for name, value in facts.items() if name not in ("feed_id", "guessed")}
    if facts["guessed"]:
        what = f"{facts['track']} is not known: taken for {facts['track_type']}"
        more.append(f"{what}; correct history/races.csv if not.")
    row = _race_row(race, results, facts["race_laps"], where)
    return RaceTables(results.assign(**shared), {**shared, **row}, (*notes, *more))


def _drivers(race, facts: dict, where: str) -> tuple[list[dict], list[str]]:
    listed = _field(race, "results", list, where)
    finished = [row for row in listed if _number(row, "finishing_position", where, 0) > 0]
    absent = [clean_name(row.get("driver_fullname") or "?") for row in listed if row not in finished]
    notes = [f"{facts['race_id']}: {', '.join(absent)} did not start, left out."] if absent else []
    if not finished:
        raise FeedError(f"{where}: nobody has a finishing position yet; fetch again later")
    finished.sort(key=lambda row: (bool(row.get("disqualified")), row["finishing_position"]))
    rows = [_driver(row, where) | {"finish": finish} for finish, row in enumerate(finished, 1)]
    last = max(row["start"] for row in rows)
    for row in rows:
        if row["start"] <= 0:
            row["start"] = last = last + 1
            notes.append(f"{facts['race_id']}: {row['driver']} has no place on the grid, taken to start last.")
    return rows, notes


def _driver(row: dict, where: str) -> dict:
    known = _mapped(row, "driver", where)
    status = (known["status"] or "running").lower()
    status = "crash" if status == "accident" else status
    dropped = {"status": status, "dnf": status != "running", "dnf_crash": status == "crash"}
    return known | dropped | {"driver": clean_name(known["driver"])}


def _with_loop(results: pd.DataFrame, loop, laps, facts: dict, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Add loop data by driver; without it fastest laps are counted from the lap times, else left blank."""
    ids, race_id = results["nascar_driver_id"], facts["race_id"]
    if loop:
        drivers = _field(loop[0] if isinstance(loop, list) else loop, "drivers", list, f"{where}, loop statistics")
        by_id = {str(_field(row, "driver_id", int, where)): row for row in drivers}
        figures = pd.DataFrame([_mapped(by_id.get(number, {}), "loop", where) for number in ids], results.index)
        lacking = results["driver"][figures["fastest_laps"].isna()].tolist()
        if len(lacking) == len(results):
            raise FeedError(f"{where}: the loop statistics have no 'fast_laps'; the feed has changed its form")
        return results.join(figures), [f"{race_id}: no loop data for {', '.join(lacking)}."] if lacking else []
    if laps:
        note = f"{race_id}: no loop statistics, fastest laps counted from the lap times."
        return results.assign(fastest_laps=ids.map(_fastest_laps(laps, where)).fillna(0.0)), [note]
    note = f"{race_id}: no loop statistics and no lap times, fastest laps are blank."
    return results.assign(fastest_laps=np.nan), [note]


def _fastest_laps(laps, where: str) -> dict[str, int]:
    """Return how many laps each driver (by id) ran faster than everybody else; the car listed first wins a tie.

    A lap counts when it and the one before were green: on the race at hand (Bristol 2025) this gives the official
    total to the lap; between drivers 4 % of the laps are credited differently.
    """
    where = f"{where}, lap times"
    states = _field(laps, "flags", list, where)
    flags = {_field(flag, "LapsCompleted", int, where): _field(flag, "FlagState", int, where) for flag in states}
    run = [
        (
            _field(entry, "Lap", int, where),
            _or_nan(entry.get("LapTime")),
            str(_field(car, "NASCARDriverID", int, where)),
        )
        for car in _field(laps, "laps", list, where)
        for entry in _field(car, "Laps", list, where)
    ]
    green = [one for one in run if one[1] > 0 and {flags.get(one[0]), flags.get(one[0] - 1)} <= GREEN]
    best = pd.DataFrame(green, columns=["lap", "seconds", "driver"]).sort_values("seconds", kind="stable")
    return best.drop_duplicates("lap")["driver"].value_counts().to_dict()


def _practice_ranks(weekend, where: str) -> dict[str, float]:
    """Return the rank of each driver's best lap over the weekend's practice sessions, by id."""
    runs = weekend.get("weekend_runs")
    laps = [
        (str(_field(row, "driver_id", int, where)), _or_nan(row.get("best_lap_time")))
        for run in (runs if isinstance(runs, list) else [])
        if isinstance(run, dict) and run.get("run_type") == PRACTICE
        for row in _field(run, "results", list, where)
    ]
    best = pd.DataFrame(laps, columns=["driver", "seconds"]).query("seconds > 0").groupby("driver")["seconds"].min()
    return best.rank(method="min").to_dict()


def _race_row(race: dict, results: pd.DataFrame, race_laps: int, where: str) -> dict:
    led, fastest = _shares(results["laps_led"]), _shares(results["fastest_laps"])
    runs = _green_runs(race, race_laps, where)
    shares = {
        "top_led_share": led[0],
        "top2_led_share": led[:2].sum(),
        "led_hhi": (led**2).sum(),
        "fl_hhi": (fastest**2).sum(),
        "spearman_start_finish": results[["start", "finish"]].astype(float).corr("spearman").iloc[0, 1],
    }
    return {
        "n_cars": len(results),
        "winner": results["driver"].iloc[0],
        **_mapped(race, "race", where),
        "n_green_runs": len(runs) or np.nan,
        "longest_green_run": max(runs, default=np.nan),
        "final_green_run": runs[-1] if runs else np.nan,
        "n_dnf": int(results["dnf"].sum()),
        "n_dnf_crash": int(results["dnf_crash"].sum()),
        **{name: round(float(share), 4) for name, share in shares.items()},
    }


def _shares(laps: pd.Series) -> np.ndarray:
    """Return each driver's share of the laps, largest first; NaN where nobody has any."""
    counts = np.sort(laps.fillna(0.0).to_numpy(float))[::-1]
    return counts / (counts.sum() or np.nan)


def _green_runs(race: dict, race_laps: int, where: str) -> list[int]:
    """Return the lengths in laps of the green runs in order; empty when the caution segments do not fit the race."""
    parts = _field({"caution_segments": None, **race}, "caution_segments", (list, type(None)), where) or []
    cautions = sorted((_field(part, "start_lap", int, where), _field(part, "end_lap", int, where)) for part in parts)
    if len(cautions) != race.get("number_of_cautions") or any(end > race_laps for _, end in cautions):
        return []
    starts = [1, *(end + 1 for _, end in cautions)]
    ends = [*(start - 1 for start, _ in cautions), race_laps]
    return [end - start + 1 for start, end in zip(starts, ends, strict=True) if end >= start]
