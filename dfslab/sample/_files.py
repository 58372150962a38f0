"""The files of the sample season, each in the format a user would have, oddities included."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data import files
from dfslab.rules import DRAFTKINGS_NASCAR
from dfslab.sample._weeks import FIRST_SLATE, ContestPlan, RaceWeek, race_facts
from dfslab.sample._world import DRIVERS, stream

DK_SPELLING = {
    "A.J. Ravenell": "AJ Ravenell", "J.R. Tackett": "JR Tackett", "T.J. Brandvold": "TJ Brandvold",
    "Wendell Pruett Jr.": "Wendell Pruett Jr", "Tomás Quiñonero": "Tomas Quinonero", "Milo Bergström": "Milo Bergstrom",
    "Sterling LaCroix": "Sterling Lacroix", "René Desrochers": "Rene Desrochers",
}  # fmt: skip
"""Names the salary files spell otherwise than the results do."""
BLANK_ENTRIES = 0.006
"""Share of entries reserved and never filled."""
PAID = 0.22
"""Share of the seats that win a prize."""
TIERS = (1, 2, 3, 4, 5, 7, 10, 13, 16, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1200, 2000)
SALARY_HEADER = (
    "Position", "Name + ID", "Name", "ID", "Roster Position", "Salary", "Game Info", "TeamAbbrev", "AvgPointsPerGame",
)  # fmt: skip
STANDINGS_HEADER = (
    "Rank", "EntryId", "EntryName", "TimeRemaining", "Points", "Lineup", "", "Player", "Roster Position", "%Drafted",
    "FPTS",
)  # fmt: skip
RESULT_COLUMNS = (
    "race_id", "season", "race_no", "date", "race_name", "track", "track_type", "track_length_mi", "sched_laps",
    "race_laps", "driver", "car", "team", "manufacturer", "start", "finish", "laps", "laps_led", "status", "dnf",
    "dnf_crash", "qual_pos", "practice_best_rank", "practice_con10_rank", "fastest_laps", "driver_rating",
    "avg_running_pos", "disqualified", "dk_points",
)  # fmt: skip
NO_GRID_WEEK = 16
"""The week without a starting lineup file; race.json lists who is out."""
RESERVED = 5
"""Entries of the user in DKEntries.csv."""


def dk_name(number: int) -> str:
    """Return a driver's name as the salary file spells it."""
    return DK_SPELLING.get(DRIVERS[number], DRIVERS[number])


def race_name(weekend) -> str:
    """Return the race's name, which says that it is simulated."""
    miles = weekend.venue.laps * weekend.venue.length_mi
    return f"{weekend.venue.slug.replace('-', ' ').title()} {round(miles / 10) * 10} (simulated)"


def write_history(record, folder: Path) -> None:
    """Write results.csv and races.csv of every race run."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = [{**race_facts(w), "race_name": race_name(w)} for w in record.weekends]
    rows = [
        frame.assign(**fact, race_laps=race["race_laps"])
        for frame, race, fact in zip(record.results, record.races, facts, strict=True)
    ]
    results = pd.concat(rows, ignore_index=True)[list(RESULT_COLUMNS)]
    _write_text(folder / "results.csv", results.to_csv(index=False, lineterminator="\n"))
    races = pd.DataFrame([{**fact, **race} for fact, race in zip(facts, record.races, strict=True)])
    _write_text(folder / "races.csv", races.to_csv(index=False, lineterminator="\n"))


def write_week(seed: int, week: RaceWeek, projected_ownership, folder: Path, upcoming: bool) -> None:
    """Write everything known before the race into its `folder`; which optional files are there varies by week."""
    folder.mkdir(parents=True, exist_ok=True)
    turn = week.weekend.number - FIRST_SLATE
    rng = stream(seed, "files", week.weekend.number)
    _write_race_json(week, folder, listed=turn == NO_GRID_WEEK)
    _write_salaries(week, folder, turn)
    if turn != NO_GRID_WEEK:
        _write_lineup(week, folder)
    if upcoming or turn % 3 != 1:
        _write_projections(week, projected_ownership, folder, turn)
    _write_contests(week, folder, api=turn % 6 == 4)
    if upcoming or turn % 5 == 2:
        _write_entries(week, folder, rng, locked=not upcoming)


def _write_race_json(week: RaceWeek, folder: Path, listed: bool) -> None:
    w = week.weekend
    facts = {**race_facts(w), "race_name": race_name(w), "series": "cup", "simulated": True}
    rear = w.frame.loc[w.frame["to_rear"], "driver"]
    if len(rear):
        facts["to_rear"] = [DRIVERS[i] for i in rear]
    if listed and w.absent:
        facts["out"] = [dk_name(i) for i in w.absent]
    _write_text(folder / "race.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def _salary_rows(week: RaceWeek) -> list[tuple]:
    rows = []
    for n, (i, salary, average) in enumerate(zip(week.drivers, week.salary, week.average, strict=True)):
        name, number = dk_name(i), 30_000_000 + 100 * week.weekend.number + n
        title = race_name(week.weekend)
        rows.append(("D", f"{name} ({number})", name, number, "D", salary, title, "Nasca", f"{average:.2f}"))
    return rows


def _write_salaries(week: RaceWeek, folder: Path, turn: int) -> None:
    rows, header = _salary_rows(week), SALARY_HEADER
    if turn % 7 == 5:
        header = (*header, "Status")
        rows = [(*row, "OUT" if on < 0 else "") for row, on in zip(rows, week.on_track, strict=True)]
    if turn % 11 == 6:
        header = (*header, "My note")
        rows = [(*row, "like" if n % 9 == 4 else "") for n, row in enumerate(rows)]
    _write_text(folder / "DKSalaries.csv", files.csv_text([header, *rows], "\r\n" if turn % 2 else "\n"))


def _write_lineup(week: RaceWeek, folder: Path) -> None:
    grid = week.weekend.frame
    rows = [(DRIVERS[i], start) for i, start in zip(grid["driver"], grid["start"], strict=True)]
    _write_text(folder / "starting_lineup.csv", files.csv_text([("driver", "start"), *rows], "\n"))


def _write_projections(week: RaceWeek, ownership, folder: Path, turn: int) -> None:
    """Write the first tout's numbers; ownership comes in percent, as a fraction, or with a percent sign."""
    shape = {2: "{:.4f}", 5: "{:.1f}%"}.get(turn % 9, "{:.1f}")
    scale = 1.0 if turn % 9 == 2 else 100.0
    rows = [
        (DRIVERS[i], f"{points:.2f}", shape.format(scale * own))
        for i, points, own, on in zip(week.drivers, week.touts[0], ownership, week.on_track, strict=True)
        if on >= 0
    ]
    header = ("driver", "projected_points", "projected_ownership")
    _write_text(folder / "projections.csv", files.csv_text([header, *rows], "\n"))


def payout_ladder(plan: ContestPlan) -> list[dict]:
    """Return prizes that fall like rank^(-0.85 top_heavy) down to 1.6 fees and add up to the pool, to the cent."""
    paid = int(PAID * plan.entries)
    last = [t for t in TIERS if t < paid] + [paid]
    first = [1] + [t + 1 for t in last[:-1]]
    size = np.array(last) - np.array(first) + 1
    fall = -0.85 * plan.top_heavy
    slope = np.array(first, float) ** fall - first[-1] ** fall
    least = 1.6 * plan.entry_fee
    steep = (plan.pool - least * paid) / (size @ slope)
    prize = np.floor((least + steep * slope) * 20) / 20
    prize[0] += plan.pool - size @ prize
    return [
        {"min_rank": a, "max_rank": b, "prize": round(float(p), 2)} for a, b, p in zip(first, last, prize, strict=True)
    ]


def contest_name(plan: ContestPlan) -> str:
    """Return a name in the manner of the site."""
    kind = "Single Entry" if plan.max_entries_per_user == 1 else f"{plan.max_entries_per_user} Entry Max"
    return f"NAS ${plan.pool:,.0f} Simulated Contest [{kind}]"


def _write_contests(week: RaceWeek, folder: Path, api: bool) -> None:
    shape = _api_contest if api else _plain_contest
    found = [shape(plan) for plan in week.contests]
    text = json.dumps(found if len(found) > 1 else found[0], indent=1)
    _write_text(folder / "contest.json", text + "\n")


def _plain_contest(plan: ContestPlan) -> dict:
    return {
        "name": contest_name(plan), "contest_id": str(plan.contest_id), "entry_fee": plan.entry_fee,
        "entries": plan.entries, "max_entries_per_user": plan.max_entries_per_user, "pool": plan.pool,
        "payouts": payout_ladder(plan),
    }  # fmt: skip


def _api_contest(plan: ContestPlan) -> dict:
    tiers = [
        {
            "minPosition": row["min_rank"],
            "maxPosition": row["max_rank"],
            "payoutDescriptions": [{"payoutDescription": f"${row['prize']:,.2f}", "value": row["prize"]}],
        }
        for row in payout_ladder(plan)
    ]  # fmt: skip
    detail = {
        "contestKey": str(plan.contest_id), "name": contest_name(plan), "sport": "NAS", "entryFee": plan.entry_fee,
        "maximumEntries": plan.entries, "maximumEntriesPerUser": plan.max_entries_per_user,
        "totalPayouts": plan.pool, "payoutSummary": tiers,
    }  # fmt: skip
    return {"contestDetail": detail}


def _write_entries(week: RaceWeek, folder: Path, rng, locked: bool) -> None:
    """Write reserved entries: unfilled before a race, the first one filled and locked in an old file."""
    pool = _salary_rows(week)
    header = ["Entry ID", "Contest Name", "Contest ID", "Entry Fee", *["D"] * 6, "", "Instructions"]
    rows = []
    for n in range(RESERVED):
        plan = week.contests[n % len(week.contests)]
        if n >= len(week.contests) * plan.max_entries_per_user:
            continue
        cells = [""] * 6
        if locked and n == 0:
            cells = [f"{pool[i][1]} (LOCKED)" for i in _affordable(week)]
        entry = 4_300_000_000 + int(rng.integers(10**8))
        rows.append([entry, contest_name(plan), plan.contest_id, f"${plan.entry_fee:g}", *cells])
    help_text = ["1. Column A lists your contest entries", "2. Fill in the lineup beside it", "3. Save and upload"]
    beside = [["", text] for text in help_text] + [[""]] * 3 + [["", *SALARY_HEADER]] + [["", *row] for row in pool]
    rows += [[""] * 10 for _ in range(len(beside) - len(rows))]
    sheet = [header, *([*row, *more] for row, more in zip(rows, beside, strict=True))]
    _write_text(folder / "DKEntries.csv", files.csv_text(sheet, "\r\n"))


def _affordable(week: RaceWeek) -> list[int]:
    """Return six neighbours in the price list, around the mean price, who race."""
    racing = np.flatnonzero(week.on_track >= 0)
    middle = int(np.argmin(np.abs(week.salary[racing] - 7600)))
    return racing[middle : middle + 6].tolist()


def write_standings(seed: int, week: RaceWeek, which: int, crowd, points, folder: Path, plain: bool) -> None:
    """Write the standings of contest number `which` as exported after the race, zipped unless `plain`.

    `points` are the drivers' points by slate row. Some entries stay unfilled.
    """
    rng = stream(seed, "files", week.weekend.number, which)
    plan = week.contests[which]
    blank = rng.random(len(crowd.lineups)) < BLANK_ENTRIES
    names = [dk_name(i) for i in week.drivers]
    left = _entry_rows(crowd, points, names, blank, rng)
    right = _player_rows(crowd.lineups[~blank], len(blank), points, names)
    rows = [(*entry, "", *(right[n] if n < len(right) else ("", "", "", ""))) for n, entry in enumerate(left)]
    text = "\ufeff" + files.csv_text([STANDINGS_HEADER, *rows], "\r\n")
    name = f"contest-standings-{plan.contest_id}"
    if plain:
        _write_text(folder / f"{name}.csv", text)
        return
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}.csv", (2020, 1, 1, 0, 0, 0)), text.encode(), zipfile.ZIP_DEFLATED, 9)
    (folder / f"{name}.zip").write_bytes(packed.getvalue())


def _entry_rows(crowd, points, names, blank, rng) -> list[tuple]:
    """Return the left block: best first, equal scores share the better rank, unfilled entries last with 0."""
    ticks = DRAFTKINGS_NASCAR.to_ticks(points)[crowd.lineups].sum(1)
    shown = np.zeros(len(blank), np.float32)
    for place in crowd.lineups.T:
        shown += np.asarray(points, np.float32)[place]
    score = np.where(blank, -(10**6), ticks)
    order = np.lexsort((rng.random(len(blank)), -score))
    rank = np.searchsorted(np.sort(-score), -score, side="left") + 1
    entry_id = np.sort(rng.choice(10**7, len(blank), replace=False))[rng.permutation(len(blank))] + 4_200_000_000
    own = np.bincount(crowd.user)
    nth = np.arange(len(blank)) - np.searchsorted(crowd.user, crowd.user, side="left") + 1
    handle = rng.choice(9000, len(own), replace=False) + 1000
    rows = []
    for e in order:
        user = crowd.user[e]
        title = f"sim_player_{handle[user]}" + (f" ({nth[e]}/{own[user]})" if own[user] > 1 else "")
        drivers = "" if blank[e] else " ".join(f"D {names[i]}" for i in crowd.lineups[e])
        rows.append((rank[e], entry_id[e], title, 0, 0 if blank[e] else str(shown[e]), drivers))
    return rows


def _player_rows(lineups, entries: int, points, names) -> list[tuple]:
    """Return the right block: every driver somebody drafted, most drafted first."""
    drafted = np.bincount(lineups.ravel(), minlength=len(names))
    order = np.lexsort((np.arange(len(names)), -drafted))
    return [(names[i], "D", f"{100 * drafted[i] / entries:.2f}%", f"{points[i]:g}") for i in order if drafted[i]]


def _write_text(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
