"""What was known of a driver before a race: decayed records of earlier races, start and practice.

A race sees only the races before it, so the same frame of features serves the fit and the forecast.
"""

import numpy as np
import pandas as pd
from numba import njit
from scipy.special import ndtri

KNOWN = ("driver", "car", "team", "manufacturer", "start", "practice_best_rank")
"""Columns of a driver that are known before the race; all but driver may be missing."""
SEEN = (
    *("finish", "dnf", "disqualified", "laps_led", "avg_running_pos", "mid_race_pos", "best_pos"),
    *("driver_rating", "top15_laps"),
)
"""Columns of the result; all but finish may be missing."""

RECORDS = (
    *(("finish", "driver", 1500, 5), ("finish", "driver_track", 900, 2), ("finish", "team", 300, 6)),
    *(("running", "driver", 1000, 5), ("running", "team", 200, 6), ("running", "car", 200, 3)),
    *(("rating", "driver", 60, 2), ("rating", "driver", 300, 3), ("rating", "driver_type", 600, 3)),
    *(("rating", "driver_track", 900, 2), ("rating", "team", 300, 6), ("rating", "team_type", 300, 6)),
    *(("rating", "car", 200, 3), ("rating", "car_type", 300, 4), ("rating", "manufacturer_type", 200, 15)),
    *(("led", "driver", 400, 3), ("led", "team", 300, 6), ("start", "team_type", 300, 6)),
    *(("front", "driver", 300, 3), ("middle", "driver", 300, 3), ("best", "driver", 300, 3)),
)
"""What is remembered, by which key, half-life in days, races of prior (shrinkage to zero). Chosen walk-forward on the
seasons 2020–2023; 2024 and 2025 were kept for the check."""

KEYS = {"driver": "who", "track": "track", "type": "track_type"}
KEYS |= {name: name for name in ("team", "car", "manufacturer")}
FAMILIES = {"superspeedway": "superspeedway", "road": "road", "short": "short", "short_flat": "short", "dirt": "short"}
"""Track types with deviations of their own; all others share the base coefficients."""


@njit(cache=True)
def _decayed(first, day, key, value, rate, prior):  # pragma: no cover - compiled
    """Return per row the decayed mean of `value` over earlier races with the same key, shrunk to 0 by `prior` races.

    Races are first[r]:first[r+1] in order of time; a race sees only those before it. Also returns the decayed count.
    """
    n = len(key)
    size = key.max() + 1
    total, count, last = np.zeros(size), np.zeros(size), np.zeros(size)
    mean, weight = np.zeros(n), np.zeros(n)
    for r in range(len(first) - 1):
        for i in range(first[r], first[r + 1]):
            k = key[i]
            if k >= 0:
                fade = np.exp(-rate * (day[i] - last[k]))
                mean[i] = total[k] * fade / (count[k] * fade + prior)
                weight[i] = count[k] * fade
        for i in range(first[r], first[r + 1]):
            k = key[i]
            if k >= 0 and not np.isnan(value[i]):
                fade = np.exp(-rate * (day[i] - last[k]))
                total[k] = total[k] * fade + value[i]
                count[k] = count[k] * fade + 1.0
                last[k] = day[i]
    return mean, weight


def history_table(results, races) -> pd.DataFrame:
    """Return history as one frame sorted by date and race, with every column of KNOWN and SEEN.

    `who` is the driver by a name that every spelling shares: sources differ in accents, dots and case.
    """
    for name, frame, needed in (
        ("results", results, ("race_id", "driver", "finish")),
        ("races", races, ("race_id", "date", "track", "track_type")),
    ):
        missing = [column for column in needed if column not in frame]
        if missing:
            raise ValueError(f"{name}: column {', '.join(missing)} is missing; history needs {', '.join(needed)}")
    facts = races.drop_duplicates("race_id").set_index("race_id")[["date", "track", "track_type"]]
    table = results[["race_id"]].join(facts, on="race_id")
    if table["date"].isna().any():
        lost = table.loc[table["date"].isna(), "race_id"].iloc[0]
        raise ValueError(f"races: race {lost} of results has no row with a date; add it to races")
    columns = {name: results.get(name, np.nan) for name in KNOWN + SEEN}
    columns |= {"who": plain(results["driver"]), "date": pd.to_datetime(table["date"])}
    return table.assign(**columns).sort_values(["date", "race_id"], kind="stable", ignore_index=True)


ELSEWHERE_DAYS, ELSEWHERE_RACES = 500.0, 3.0
"""Half-life and prior of a driver's record in other series. The Cup's record of newcomers to Xfinity gains .043 ± .011
in rank probability score in 2023 and .026 ± .007 in 2024-2025."""


def elsewhere(rows: pd.DataFrame, others: pd.DataFrame | None) -> dict[str, np.ndarray]:
    """Return what earlier races of other series say of each row's driver: `rated`, shrunk to 0, and `met`, 0 to 1.

    `rows` and `others` are frames as `history_table` gives them; races of the same day are not looked at.
    """
    if others is None:
        return {"met": np.zeros(len(rows)), "rated": np.zeros(len(rows))}
    rating = _seen(others, pd.factorize(others["race_id"])[0])["rating"]
    value = np.concatenate([np.full(len(rows), np.nan), rating])
    names = ["date", "race_id", "who"]
    both = pd.concat([rows[names].assign(other=False), others[names].assign(other=True)], ignore_index=True)
    both = both.sort_values(["date", "other", "race_id"], kind="stable")
    race, key = pd.factorize(both["race_id"])[0], pd.factorize(both["who"])[0]
    rate = np.log(2) / ELSEWHERE_DAYS
    mean, count = _decayed(race_starts(race), _days(both), key, value[both.index], rate, ELSEWHERE_RACES)
    found = pd.DataFrame({"met": count / (count + ELSEWHERE_RACES), "rated": mean}, both.index).sort_index()
    return {name: column.to_numpy()[: len(rows)] for name, column in found.items()}


def _days(table) -> np.ndarray:
    return (table["date"] - pd.Timestamp("2000-01-01")).dt.days.to_numpy(float)


def plain(names) -> pd.Series:
    """Return names without accents, punctuation, spaces and case."""
    return names.astype("string").str.normalize("NFKD").str.replace(r"[\W_]", "", regex=True).str.casefold()


def flag(column) -> np.ndarray:
    """Return a yes/no column of any spelling as (n,) bool; blank is no."""
    return column.astype(str).str.lower().isin(["true", "1", "1.0", "yes"]).to_numpy()


def number(column) -> np.ndarray:
    """Return a column as (n,) float; what is no number is NaN."""
    return pd.to_numeric(column, errors="coerce").to_numpy(float)


def race_starts(race) -> np.ndarray:
    """Return where each race begins, and the end, for race codes in ascending order."""
    return np.concatenate([[0], np.cumsum(np.bincount(race))])


def _normal_score(position, race) -> np.ndarray:
    """Return the normal score of the rank within each race: the smallest position scores highest, NaN stays NaN."""
    by_race = pd.Series(np.asarray(position, float)).groupby(race)
    return -ndtri(((by_race.rank() - 0.5) / by_race.transform("count")).to_numpy())


def _seen(table, race) -> dict[str, np.ndarray]:
    """Return what each row's race showed, higher = better; NaN where unknown. Without a rating the finish stands in."""
    led = number(table["laps_led"])
    laps = pd.Series(led).groupby(race).transform("sum").to_numpy()
    finish = np.where(flag(table["disqualified"]), np.nan, _normal_score(number(table["finish"]), race))
    rating = _normal_score(-number(table["driver_rating"]), race)
    return {
        "finish": finish,
        "running": _normal_score(number(table["avg_running_pos"]), race),
        "rating": np.where(np.isnan(rating), finish, rating),
        "front": _normal_score(-number(table["top15_laps"]), race),
        "middle": _normal_score(number(table["mid_race_pos"]), race),
        "best": _normal_score(number(table["best_pos"]), race),
        "led": np.sqrt(led / np.maximum(laps, 1.0)),
        "start": _normal_score(number(table["start"]), race),
    }


SAME_TEAM_DAYS = 250
"""A car that raced for another team within so many days (a winter is about 100) may have brought the team along.
Linking names brings the model .003 nearer to the closing lines of 2026, when teams were renamed, in log loss a matchup;
on 2022-2025 it changes nothing (.000 ± .001 in rank probability score)."""


def _linked(team, car, day, first) -> np.ndarray:
    """Return the teams (n,), a new name replaced by that of the team whose cars it runs, unless that one races too."""
    team, known, last = team.copy(), {}, {}
    for r in range(len(first) - 1):
        rows = range(first[r], first[r + 1])
        cars: dict = {}
        for i in rows:
            cars.setdefault(team[i], []).append(car[i])
        for name in [name for name in cars if isinstance(name, str) and name not in known]:
            kept = (last.get(c, ("", -np.inf)) for c in cars[name])
            before = [old for old, raced in kept if day[rows[0]] - raced < SAME_TEAM_DAYS]
            old = max(set(before), key=lambda x: (before.count(x), x), default=None)
            known[name] = name if old is None or old in cars else known[old]
        for i in rows:
            if isinstance(team[i], str):
                last[car[i]] = (team[i], day[i])
                team[i] = known[team[i]]
    return team


def _keys(table, first, day) -> dict[str, np.ndarray]:
    """Return the number of each row's driver, car, team …, alone or at this track or type of track."""
    part = {name: table[column].astype("string") for name, column in KEYS.items()}
    part["car"] = part["car"].str.replace(r"\.0$", "", regex=True)
    team = _linked(table["team"].to_numpy(object), part["car"].to_numpy(object), day, first)
    part["team"] = pd.Series(team, table.index).astype("string")
    whole = {key: [part[name] for name in key.split("_")] for _, key, *_ in RECORDS}
    return {key: pd.factorize(sum((" | " + x for x in rest), one))[0] for key, (one, *rest) in whole.items()}


def features(table: pd.DataFrame, others: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the design of every row of `table`, from its own known columns and from earlier races only.

    A missing start is what the driver usually starts; missing practice counts as average. `others` are races of other
    series, see `elsewhere`.
    """
    race = pd.factorize(table["race_id"])[0]
    first, day = race_starts(race), _days(table)
    seen, keys = _seen(table, race), _keys(table, first, day)

    def record(what, key, half_life, prior):
        return _decayed(first, day, keys[key], seen[what], np.log(2) / half_life, float(prior))

    out = {f"{what} by {key}, {days} d": record(what, key, days, prior)[0] for what, key, days, prior in RECORDS}
    weight = record("finish", "driver", 500, 3)[1]
    out["newcomer"] = 3.0 / (weight + 3.0)
    out["start"] = np.where(np.isnan(seen["start"]), record("start", "driver", 300, 1)[0], seen["start"])
    out["practice"] = np.nan_to_num(_normal_score(number(table["practice_best_rank"]), race))
    family = table["track_type"].map(FAMILIES).to_numpy()
    for kind in sorted(set(FAMILIES.values())):
        out |= {f"{name} | {kind}": out[name] * (family == kind) for name in tuple(out) if "|" not in name}
    out |= {f"newcomer {name} elsewhere": out["newcomer"] * lent for name, lent in elsewhere(table, others).items()}
    return pd.DataFrame(out)
