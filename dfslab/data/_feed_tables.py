"""The feed's JSON of one race as rows of the history tables, by the contracts `feed_…` of `columns.csv`."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfslab.data._names import name_key
from dfslab.data._schema import rows_of
from dfslab.data._tables import from_objects
from dfslab.errors import InputError, day_of

POINTS_RACE = 1
"""`race_type_id` of a race for points; anything else is an exhibition."""
GREEN = {1, 4}
"""Flag states under which a lap counts: green, and the chequered flag on the last lap."""
PRACTICE = 1
"""`run_type` of a practice session."""


@dataclass(frozen=True)
class RaceTables:
    """One race: `results` (one row per driver), `race` (one row), `notes` on what was guessed or left out."""

    results: pd.DataFrame
    race: dict
    notes: list[str]


def _objects(item, name: str, where: str, optional: bool = False) -> list[dict]:
    """Return the list `item[name]` without nulls, what is no object in it without fields; no list is a changed feed."""
    found = item.get(name) if isinstance(item, dict) else None
    if not isinstance(found, list) and not (optional and found is None):
        raise InputError(f"{where}: '{name}' is missing or no list; the feed has changed its form")
    return [one if isinstance(one, dict) else {} for one in found or () if one is not None]


def scheduled(listed, series_id: int, series: str, where: str) -> tuple[list[dict], list[str]]:
    """Return the finished points races of the season's list in order, with their facts, and why others are left out.

    A race counts as run when it has a winner and laps (lists that do not name winners: when it has laps). An entry that
    cannot be read costs only itself; a list most of whose entries cannot be read is an `InputError`.
    """
    races, skipped, odd, days = [], [], [], {}
    entries = _objects(listed, f"series_{series_id}", where)
    for entry in entries:
        try:
            known = from_objects([entry], "feed_list", where).iloc[0].to_dict()
            day = day_of(known["date"] or "") if known["race_type"] == POINTS_RACE else pd.NaT
            days[known["feed_id"]] = max(filter(pd.notna, (day, days.get(known["feed_id"]))), default=pd.NaT)
            found = _facts(known, series, entry.get("winner_driver_id", True))
            (skipped if isinstance(found, str) else races).append(found)
        except InputError as error:
            odd.append(error)
    if len(odd) > len(entries) / 2:
        raise InputError(f"the feed has changed its form, {len(odd)} of {len(entries)} races cannot be read: {odd[0]}")
    once: dict[pd.Timestamp, dict] = {}
    latest = {facts["feed_id"]: facts for facts in sorted(races, key=lambda facts: facts["date"])}
    for facts in sorted(races, key=lambda facts: -facts["race_laps"]):
        if latest[facts["feed_id"]]["date"] != facts["date"] or once.setdefault(facts["date"], facts) is not facts:
            skipped.append(f"{label(facts)}: listed twice, or a second race of that day")
    number = {day: n for n, day in enumerate(sorted({*days.values()} - {pd.NaT}), 1)}
    left = [f"an entry that cannot be read: {error}" for error in odd]
    return [{**once[day], "race_no": number[day]} for day in sorted(once)], skipped + left


def label(facts: dict) -> str:
    """Return a race as progress and notes name it."""
    return f"{facts['race_name']} ({facts['date']:%Y-%m-%d})"


def _facts(known: dict, series: str, winner) -> dict | str:
    """Return the facts of an entry of the list, or why it is no finished points race."""
    date = day_of(known["date"] or "")
    told = f"{known['race_name']} (no date that can be read)" if pd.isna(date) else label(known | {"date": date})
    if known["race_type"] != POINTS_RACE:
        return f"{told}: an exhibition"
    if not winner or not known["race_laps"] > 0:
        return f"{told}: not run yet"
    if pd.isna(date):
        return f"{told}: fetch again when the feed has one"
    track, laps, miles = known["track"], known["sched_laps"], known["miles"]
    length = round(miles / laps, 3) if laps > 0 and miles > 0 else np.nan
    kind, guessed = track_type(track, known["season"], length)
    return {name: known[name] for name in ("race_name", "season", "track", "race_laps", "feed_id")} | {
        "race_id": f"{date:%Y-%m-%d}-{track_slug(track)}",
        "date": date,
        "series": series,
        "track_id": track_slug(track).replace("-", "_"),
        "track_type": "superspeedway" if guessed and known["plate"] is True else kind,
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
    races = _objects(weekend, "weekend_race", where)
    notes: list[str] = []
    results = _drivers(races[0] if races else {}, facts, where, notes)
    results = _with_loop(results, loop, laps, facts, where, notes)
    results = results.assign(practice_best_rank=results["nascar_driver_id"].map(_practice_ranks(weekend, where)))
    shared = {name: value for name, value in facts.items() if name not in ("feed_id", "guessed")}
    if facts["guessed"]:
        what = f"{facts['track']} is not known: taken for {facts['track_type']}"
        notes.append(f"{what}; correct history/races.csv if not.")
    row = _race_row(races[0], facts["race_laps"], where)
    return RaceTables(results.assign(**shared), shared | row, notes)


def _drivers(race: dict, facts: dict, where: str, notes: list[str]) -> pd.DataFrame:
    listed = from_objects(_objects(race, "results", where), "feed_drivers", where, "driver")
    listed = listed.assign(disqualified=listed["disqualified"].eq(True))
    rows = listed[listed["finish"] > 0].sort_values(["disqualified", "finish"], kind="stable", ignore_index=True)
    if rows.empty:
        raise InputError(f"{where}: nobody has a finishing position yet; fetch again later")
    rows["finish"], rows["laps_led"] = range(1, len(rows) + 1), rows["laps_led"].fillna(0)
    rows[["qual_pos", "qual_speed_mph"]] = rows[["qual_pos", "qual_speed_mph"]].where(lambda cells: cells > 0)
    placed = rows["start"] > 0
    rows["start"] = rows["start"].where(placed, rows["start"].max() + (~placed).cumsum())
    rows["status"] = rows["status"].fillna("running").str.lower().replace("accident", "crash")
    rows["dnf"], rows["dnf_crash"] = rows["status"] != "running", rows["status"] == "crash"
    absent, unplaced = listed["driver"][~(listed["finish"] > 0)], rows["driver"][~placed]
    notes += [f"{facts['race_id']}: {', '.join(absent)} did not start, left out."] if len(absent) else []
    notes += [f"{facts['race_id']}: {name} has no place on the grid, taken to start last." for name in unplaced]
    return rows


def _with_loop(results: pd.DataFrame, loop, laps, facts: dict, where: str, notes: list[str]) -> pd.DataFrame:
    """Add loop data by driver; without it fastest laps are counted from the lap times, else left blank."""
    ids, race_id = results["nascar_driver_id"], facts["race_id"]
    if loop:
        drivers = _objects(loop[0] if isinstance(loop, list) else loop, "drivers", where)
        rows = from_objects(drivers, "feed_loop", where, "driver")
        figures = rows.drop_duplicates("nascar_driver_id", keep="last").set_index("nascar_driver_id").reindex(ids)
        lacking = results["driver"][figures["fastest_laps"].isna().to_numpy()].tolist()
        if len(lacking) == len(results):
            raise InputError(f"{where}: the loop statistics have no 'fast_laps'; the feed has changed its form")
        notes += [f"{race_id}: no loop data for {', '.join(lacking)}."] if lacking else []
        return results.join(figures.set_axis(results.index))
    if laps and (counted := _fastest_laps(laps, where)):
        notes.append(f"{race_id}: no loop statistics, fastest laps counted from the lap times.")
        return results.assign(fastest_laps=ids.map(counted).fillna(0.0))
    notes.append(f"{race_id}: no loop statistics and no lap times, fastest laps are blank.")
    return results.assign(fastest_laps=np.nan)


def _fastest_laps(laps, where: str) -> dict[str, int]:
    """Return how many laps each driver (by id) ran faster than everybody else; the car listed first wins a tie.

    A lap counts when it and the one before were green: on the race at hand (Bristol 2025) this gives the official
    total to the lap; between drivers 4 % of the laps are credited differently.
    """
    where, name = f"{where}, lap times", "NASCARDriverID"
    flags = from_objects(_objects(laps, "flags", where, True), "feed_flags", where, "flag")
    flags = flags.drop_duplicates("lap", keep="last")
    green = set(flags["lap"][flags["state"].isin(GREEN)])
    cars = _objects(laps, "laps", where, True)
    run = [{**lap, name: car.get(name)} for car in cars for lap in _objects(car, "Laps", where, True)]
    run = from_objects(run, "feed_laps", where, "lap")
    counted = run[run["lap"].isin(green) & (run["lap"] - 1).isin(green) & (run["seconds"] > 0)]
    best = counted.sort_values("seconds", kind="stable").drop_duplicates("lap")
    return best["nascar_driver_id"].value_counts().to_dict()


def _practice_ranks(weekend: dict, where: str) -> pd.Series:
    """Return the rank of each driver's best lap over the weekend's practice sessions, by id."""
    runs = _objects(weekend, "weekend_runs", where, optional=True)
    rows = [row for run in runs if run.get("run_type") == PRACTICE for row in _objects(run, "results", where, True)]
    laps = from_objects(rows, "feed_practice", where, "driver").query("seconds > 0")
    return laps.groupby("nascar_driver_id")["seconds"].min().rank(method="min")


def _race_row(race: dict, race_laps: int, where: str) -> dict:
    known = from_objects([race], "feed_race", where).iloc[0].to_dict()
    runs = _green_runs(race, known["cautions"], race_laps, where) or [np.nan]
    return known | {"longest_green_run": max(runs), "final_green_run": runs[-1]}


def _green_runs(race: dict, cautions: float, race_laps: int, where: str) -> list[int]:
    """Return the lengths in laps of the green runs in order; empty when the caution segments do not fit the race."""
    parts = from_objects(_objects(race, "caution_segments", where, optional=True), "feed_cautions", where, "caution")
    parts = parts.sort_values(["start_lap", "end_lap"])
    if len(parts) != cautions or not (parts["end_lap"] <= race_laps).all() or parts["start_lap"].isna().any():
        return []
    lengths = np.array([*parts["start_lap"], race_laps + 1]) - np.array([0, *parts["end_lap"]]) - 1
    return lengths[lengths > 0].tolist()


# ---------------------------------------------------------------- tracks

_KINDS = {row["words"]: row["track_type"] for row in rows_of("tracks.csv")}
"""Words that tell the kind of a track, tried in this order (a road course at Daytona is a road course)."""

ATLANTA_REPAVED = 2022
"""Atlanta has raced as a superspeedway since it was banked to 28 degrees for this season."""

_GENERIC = r"\b(international|intl|motor|super)?\s?(speedway|superspeedway|raceway|race)\b|\b(international|motor)\b"


def track_slug(name: str) -> str:
    """Return the short form of a track's name that a race id ends with.

    Examples
    --------
    >>> track_slug("Las Vegas Motor Speedway"), track_slug("Watkins Glen International")
    ('las-vegas', 'watkins-glen')
    """
    key = name_key(name)
    short = re.sub(_GENERIC, " ", key).split() or key.split()
    return "-".join(short) or "track"


def track_type(name: str, season: int, length_mi: float) -> tuple[str, bool]:
    """Return the kind of a track, and whether it had to be guessed from its length."""
    key = name_key(name).replace("-", " ")
    if "atlanta" in key:
        return ("superspeedway" if season >= ATLANTA_REPAVED else "intermediate"), False
    known = next((kind for words, kind in _KINDS.items() if words in key), None)
    if known:
        return known, False
    return ("short" if length_mi < 1 else "superspeedway" if length_mi >= 2.5 else "intermediate"), True
