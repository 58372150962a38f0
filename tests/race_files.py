"""Small files of our own in the users' formats, for the tests: fictional drivers, real oddities."""

import csv
import io
import json
import zipfile
from pathlib import Path

RACE = "2031-05-04-oakfield"
FIRST = ("Abel", "Bruno", "Cyril", "Dario", "Edgar", "Fabio", "Gino", "Hugo", "Ivo", "Jonas", "Karl", "Leon")
DRIVERS = [f"{name} Mott" if n % 2 else f"{name} Reed" for n, name in enumerate(FIRST)]
SALARY = [10500, 9900, 9400, 9000, 8700, 8200, 7900, 7400, 6800, 6200, 5600, 5000]
_SALARY_HEADER = "Position,Name + ID,Name,ID,Roster Position,Salary,Game Info,TeamAbbrev,AvgPointsPerGame"
_STANDINGS_HEADER = "Rank,EntryId,EntryName,TimeRemaining,Points,Lineup,,Player,Roster Position,%Drafted,FPTS"


def csv_bytes(rows, encoding="utf-8") -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode(encoding)


def salary_rows(drivers=DRIVERS, salary=SALARY) -> list[list]:
    return [_SALARY_HEADER.split(",")] + [
        ["D", f"{name} ({4000 + n})", name, 4000 + n, "D", dollars, "Oakfield 400", "Nasca", 30.5 - n]
        for n, (name, dollars) in enumerate(zip(drivers, salary, strict=True))
    ]


def race_facts(**changed) -> dict:
    facts = {
        "race_id": RACE,
        "date": "2031-05-04",
        "track": "Oakfield Speedway",
        "track_type": "intermediate",
        "track_length_mi": 1.5,
        "sched_laps": 267,
        "series": "cup",
    }
    return {**facts, **changed}


def contest_facts(**changed) -> dict:
    payouts = [{"min_rank": 1, "max_rank": 1, "prize": 50}, {"min_rank": 2, "max_rank": 6, "prize": 10}]
    facts = {"entry_fee": 10, "entries": 12, "max_entries_per_user": 3, "payouts": payouts, "contest_id": "777123"}
    return {**facts, **changed}


LINEUPS = [
    [0, 2, 5, 8, 10, 11],
    [1, 3, 4, 7, 9, 11],
    [0, 3, 6, 8, 9, 11],
    [2, 4, 5, 6, 7, 10],
    None,
    [0, 2, 5, 8, 10, 11],
]


def standings_rows(lineups=LINEUPS, drivers=DRIVERS) -> list[list]:
    """A standings export: ragged rows, a spacer, a player block of its own length, an unfilled entry."""
    n = len(lineups)
    counts = {d: sum(d in (lineup or ()) for lineup in lineups) for d in range(len(drivers))}
    block = [
        ["", drivers[d], "D", f"{100 * c / n:.2f}%", 40.5 - d]
        for d, c in sorted(counts.items(), key=lambda x: -x[1])
        if c
    ]
    left = [
        [
            k + 1,
            900100 + k,
            f"somebody{k} ({k % 3 + 1}/3)",
            0,
            238.65001 - k,
            " ".join(f"D {drivers[d]}" for d in row or ()),
        ]
        for k, row in enumerate(lineups)
    ]
    rows = [_STANDINGS_HEADER.split(",")]
    for k in range(max(len(left), len(block))):
        rows.append((left[k] if k < len(left) else [""] * 6) + (block[k] if k < len(block) else []))
    return rows


def entries_rows(drivers=DRIVERS) -> list[list]:
    """A DKEntries.csv: six identical headers, ragged rows, a blank id, a locked driver, the pool to the right below."""
    rows = [["Entry ID", "Contest Name", "Contest ID", "Entry Fee", *["D"] * 6, "", "Instructions"]]
    rows.append(["5001", "Oakfield $10K", "777123", "$10", *[""] * 6, "", "1. Column A lists your entries"])
    rows.append(["5002", "Oakfield $10K", "777123", "$10"])
    locked = [f"{drivers[0]} (4000) (LOCKED)", *[f"{drivers[d]} ({4000 + d})" for d in (2, 5, 8, 10, 11)]]
    rows.append(["5003", "Oakfield $10K", "777123", "$10", *locked, "", "2. more help, with a comma"])
    rows.append(["5004", "Oakfield $1K", "777999", "$1", *[""] * 6])
    rows.append([])
    rows.append([""] * 12 + ["Position", "Name + ID", "Name", "ID", "Roster Position", "Salary"])
    for n, name in enumerate(drivers):
        rows.append([""] * 12 + ["D", f"{name} ({4000 + n})", name, str(4000 + n), "D", str(SALARY[n])])
    return rows


def write_race(data: Path, lineup=True, contest=True, race_id=RACE) -> Path:
    """Write a race folder with salaries, the grid (reversed) and a contest; return it."""
    folder = data / "races" / race_id
    folder.mkdir(parents=True)
    (folder / "DKSalaries.csv").write_bytes(csv_bytes(salary_rows()))
    (folder / "race.json").write_text(json.dumps(race_facts(race_id=race_id, date=race_id[:10])))
    if lineup:
        grid = [["driver", "start"], *[[name, n] for n, name in enumerate(reversed(DRIVERS), 1)]]
        (folder / "starting_lineup.csv").write_bytes(csv_bytes(grid))
    if contest:
        (folder / "contest.json").write_text(json.dumps(contest_facts()))
    return folder


def write_standings(folder: Path, rows=None, contest_id="777123") -> Path:
    """Write standings as a zip of a UTF-8 file with its mark."""
    path = folder / f"contest-standings-{contest_id}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"contest-standings-{contest_id}.csv", csv_bytes(rows or standings_rows(), "utf-8-sig"))
    return path


def result_rows(races=(("2031-04-06-elmton", "2031-04-06"), ("2031-04-13-oakfield", "2031-04-13"))) -> list[list]:
    rows = [["race_id", "date", "track_type", "driver", "start", "finish", "laps_led", "fastest_laps", "team"]]
    for race_id, date in races:
        for n, name in enumerate(DRIVERS):
            rows.append(
                [race_id, date, "intermediate", name, 12 - n, n + 1, 200 if n == 0 else 0, 30 if n == 0 else 2, ""]
            )
    return rows


def write_history(data: Path, rows=None) -> Path:
    folder = data / "history"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.csv").write_bytes(csv_bytes(rows or result_rows()))
    races = [["race_id", "date", "track_type", "cautions"], ["2031-04-06-elmton", "2031-04-06", "intermediate", ""]]
    (folder / "races.csv").write_bytes(csv_bytes([*races, ["2031-04-13-oakfield", "2031-04-13", "short", 7]]))
    return folder
