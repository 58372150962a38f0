"""The sample season played week by week: the salary desk, the touts, the race, the contests, the record book."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from dfslab.rules import DRAFTKINGS_NASCAR, fantasy_points, points_of
from dfslab.sample._crowd import Facts, crowd_ownership, gather_crowd
from dfslab.sample._race import Cars, run_races
from dfslab.sample._world import DRIVERS, MANUFACTURERS, RACES_A_SEASON, SEASONS, TEAMS, TYPES, Weekend, World, stream

FIRST_SLATE = RACES_A_SEASON * (len(SEASONS) - 1)
"""Number of the first race that has a folder; earlier ones are history only."""
RAIN = 0.03
"""Share of races stopped early; 3 % in 2018–2025."""
STATUS = np.array(["running", "crash", "mechanical"])
_PRICE_AT = np.array([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0])
_PRICES = np.array([4600, 5200, 5950, 7450, 9050, 10150, 11200])
"""Salaries by rank from the cheapest up, after six DraftKings salary files of 2019–2026."""
_CONTESTS = (
    # fee, entries, entries a user, share of the fees paid out
    (1.0, 2378, 20, 0.841), (12.0, 1176, 1, 0.85), (4.0, 1470, 3, 0.85), (1.0, 4756, 20, 0.841),
    (5.0, 2352, 150, 0.85), (12.0, 1470, 1, 0.85), (8.0, 1250, 5, 0.85), (3.0, 1960, 150, 0.85),
)  # fmt: skip
TOUT_RACES = 150
"""Races a tout simulates with his guess of the pace."""
TALK = 0.8
"""Standard deviation, in points, of what is said of a driver before a race; no file tells it."""
TOUT_ERROR = 0.55
"""Standard deviation of a tout's guess of a driver's pace, in spreads."""


@dataclass(frozen=True)
class ContestPlan:
    """What a contest offers: dollars, seats, seats a user, pool in dollars, its invented id, how fast prizes fall."""

    contest_id: int
    entry_fee: float
    entries: int
    max_entries_per_user: int
    pool: float
    top_heavy: float = 1.0


@dataclass(frozen=True)
class RaceWeek:
    """All that is public before one race, in slate rows: names, salary, average, rows that race, facts, contests.

    `on_track` holds the row of the weekend's frame for each slate row, -1 for who does not race; `touts` the two
    projections by slate row (NaN for who does not race).
    """

    weekend: Weekend
    drivers: np.ndarray
    salary: np.ndarray
    average: np.ndarray
    on_track: np.ndarray
    facts: Facts
    touts: np.ndarray
    contests: tuple[ContestPlan, ...]


@dataclass
class Record:
    """Results so far, and the running numbers the desk and the public look at, by driver number."""

    world: World
    results: list = field(default_factory=list)
    races: list = field(default_factory=list)
    weekends: list = field(default_factory=list)

    def __post_init__(self):
        p = len(DRIVERS)
        self.rating = np.zeros(p)
        self.recent = np.full(p, 25.0)
        self.by_type = np.full((p, len(TYPES)), 25.0)
        self.points, self.starts, self.season = np.zeros(p), np.zeros(p), None

    @property
    def average(self) -> np.ndarray:
        """Return this season's points per race, 0 before the first, (P,)."""
        return self.points / np.maximum(self.starts, 1)

    def open_week(self, weekend: Weekend) -> None:
        """Begin a new season's averages when `weekend` is its first."""
        if weekend.season != self.season:
            self.season = weekend.season
            self.points, self.starts = np.zeros(len(DRIVERS)), np.zeros(len(DRIVERS))

    def enter(self, weekend: Weekend, frame: pd.DataFrame, race: dict) -> None:
        """Add a finished race and move every running number."""
        self.weekends.append(weekend)
        self.results.append(frame)
        self.races.append(race)
        who, points = frame["number"].to_numpy(), frame["dk_points"].to_numpy()
        middle = (len(who) + 1) / 2
        kind = TYPES.index(weekend.venue.track_type)
        self.rating[who] += 0.12 * ((middle - frame["avg_running_pos"].to_numpy()) / 8.0 - self.rating[who])
        self.recent[who] += 0.3 * (points - self.recent[who])
        self.by_type[who, kind] += 0.25 * (points - self.by_type[who, kind])
        self.points[who] += points
        self.starts[who] += 1


def play_history(world: World, until: int) -> Record:
    """Return the record of all races before number `until`."""
    record = Record(world)
    for number in range(until):
        weekend = world.weekend(number)
        record.open_week(weekend)
        record.enter(weekend, *run_weekend(world, weekend))
    return record


def play_season(world: World, n_races: int) -> tuple[Record, list[RaceWeek]]:
    """Play all history and `n_races` races with contests, the last of them not yet run.

    Returns the record of everything run and the weeks of the races with contests.
    """
    record = play_history(world, FIRST_SLATE)
    weeks = []
    for number in range(FIRST_SLATE, FIRST_SLATE + n_races):
        weekend = record.world.weekend(number)
        record.open_week(weekend)
        weeks.append(race_week(record, weekend))
        if len(weeks) < n_races:
            record.enter(weekend, *run_weekend(record.world, weekend))
    return record, weeks


def race_week(record: Record, weekend: Weekend) -> RaceWeek:
    """Return the slate of `weekend` as the public sees it before the race, priced from the `record` so far."""
    racing = weekend.frame["driver"].to_numpy()
    listed = np.array([*(i for i in racing if i not in weekend.late), *weekend.absent])
    salary = _salaries(record, weekend, listed)
    rank = np.lexsort((listed, -salary))
    listed, salary = listed[rank], salary[rank]
    place = {int(i): k for k, i in enumerate(racing)}
    on_track = np.array([place.get(int(i), -1) for i in listed])
    touts = _touts(record.world, weekend)[:, on_track]
    touts[:, on_track < 0] = np.nan
    average = record.average[listed]
    facts = _facts(record, weekend, listed, salary, on_track, touts)
    contests = plan_contests(record.world, weekend.number)
    return RaceWeek(weekend, listed, salary, average, on_track, facts, touts, contests)


def race_facts(weekend: Weekend) -> dict:
    """Return what a calendar tells of the race."""
    v = weekend.venue
    return {
        "race_id": weekend.race_id, "season": weekend.season, "race_no": weekend.race_no,
        "date": f"{weekend.date:%Y-%m-%d}", "track": v.name, "track_type": v.track_type,
        "track_length_mi": v.length_mi, "sched_laps": v.laps,
    }  # fmt: skip


def run_weekend(world: World, weekend: Weekend) -> tuple[pd.DataFrame, dict]:
    """Run the race that goes into the books; return its results rows (by finish) and its row of the race table."""
    v = weekend.venue
    rng = stream(world.seed, "race", weekend.number)
    out = run_races(weekend.cars, v.mechanics, v.laps, v.stages, RAIN, 1, rng)
    one = type(out)(*(x[0] for x in out))
    frame = weekend.frame.drop(columns="to_rear").rename(columns={"driver": "number"})
    frame = frame.assign(
        finish=one.finish, laps=one.laps, laps_led=one.laps_led, fastest_laps=one.fastest_laps,
        status=STATUS[one.status], dnf=(one.status > 0).astype(int), dnf_crash=(one.status == 1).astype(int),
        avg_running_pos=one.mean_position.round(2), disqualified=False,
    )  # fmt: skip
    who = frame["number"].to_numpy()
    frame["driver"] = np.array(DRIVERS, object)[who]
    frame["car"] = world.numbers[who]
    frame["team"] = np.array(TEAMS, object)[world.team[who]]
    frame["manufacturer"] = np.array(MANUFACTURERS, object)[world.team[who] % len(MANUFACTURERS)]
    frame["dk_points"] = fantasy_points(frame, DRAFTKINGS_NASCAR.scoring).round(2)
    frame["driver_rating"] = _rating(frame, int(one.race_laps))
    frame = frame.sort_values("finish", ignore_index=True)
    return frame, _race_row(weekend, frame, one)


def _rating(frame, race_laps: int) -> pd.Series:
    """Return a loop-data-like rating, 0–150: running position, finish, laps led, fastest laps."""
    n = len(frame)
    running = 70 * (1 - (frame["avg_running_pos"] - 1) / n) + 30 * (1 - (frame["finish"] - 1) / n)
    share = (frame["laps_led"] + frame["fastest_laps"]) / race_laps
    return (20 + running + 25 * np.minimum(share, 1.2)).clip(0, 150).round(1)


def _race_row(weekend: Weekend, frame, one) -> dict:
    """Return the race-level facts of a finished race."""
    share = frame["laps_led"].to_numpy() / frame["laps_led"].sum()
    top = np.sort(share)[::-1]
    fast = frame["fastest_laps"].to_numpy() / max(1, frame["fastest_laps"].sum())
    start, finish = frame["start"], frame["finish"]
    return {
        "race_laps": int(one.race_laps), "n_cars": len(frame),
        "winner": frame["driver"].iloc[0], "winner_start": int(start.iloc[0]),
        "cautions": int(one.cautions), "caution_laps": int(one.caution_laps),
        "green_laps": int(one.race_laps - one.caution_laps), "lead_changes": int(one.lead_changes),
        "n_leaders": int((share > 0).sum()), "n_green_runs": int(one.green_runs),
        "avg_green_run": round(float((one.race_laps - one.caution_laps) / one.green_runs), 2),
        "longest_green_run": int(one.longest_green_run), "final_green_run": int(one.final_green_run),
        "sum_laps_led": int(frame["laps_led"].sum()), "sum_fastest_laps": int(frame["fastest_laps"].sum()),
        "max_led": int(frame["laps_led"].max()), "max_fastest": int(frame["fastest_laps"].max()),
        "led_hhi": round(float((share**2).sum()), 4), "top_led_share": round(float(top[0]), 4),
        "top2_led_share": round(float(top[:2].sum()), 4), "fl_hhi": round(float((fast**2).sum()), 4),
        "n_dnf": int(frame["dnf"].sum()), "n_dnf_crash": int(frame["dnf_crash"].sum()),
        "n_lead_lap": int((frame["laps"] == one.race_laps).sum()),
        "spearman_start_finish": round(float(np.corrcoef(start, finish)[0, 1]), 4),
        "mean_abs_pos_change": round(float((start - finish).abs().mean()), 4),
    }  # fmt: skip


def _salaries(record: Record, weekend: Weekend, listed) -> np.ndarray:
    """Price the drivers: the desk ranks them by a rating it half knows, form and noise, then reads its price list."""
    rng = stream(record.world.seed, "desk", weekend.number)
    kind = TYPES.index(weekend.venue.track_type)
    pace = record.world.pace(weekend.number, weekend.venue.track_type)[listed]
    flat = 0.5 if weekend.venue.track_type == "superspeedway" else 1.0
    form = (record.recent + record.by_type[:, kind])[listed] / 2
    score = flat * (0.45 * pace + 0.9 * record.rating[listed]) + 0.03 * (form - 25)
    score = score + rng.normal(0, 0.25, len(listed))
    rank = np.argsort(np.argsort(score)) / (len(listed) - 1)
    price = np.interp(rank, _PRICE_AT, _PRICES) + rng.normal(0, 60, len(listed))
    return (np.rint(np.clip(price, 4500, 11500) / 100) * 100).astype(np.int64)


def _touts(world: World, weekend: Weekend) -> np.ndarray:
    """Return two touts' projected points by row of the weekend's frame, (2, D): races run on guessed paces."""
    rng = stream(world.seed, "vendor", weekend.number)
    error = TOUT_ERROR * world.factors.doubt
    v, cars = weekend.venue, weekend.cars
    views = np.empty((2, len(cars.pace)))
    for tout in range(2):
        guess = 0.85 * (cars.pace + rng.normal(0, error, len(cars.pace)))
        seen = Cars(guess, np.ones_like(guess), np.ones_like(guess), np.ones_like(guess), cars.frail, cars.grid)
        out = run_races(seen, v.mechanics, v.laps, v.stages, RAIN, TOUT_RACES, rng)
        views[tout] = race_points(out, weekend).mean(0) + rng.normal(0, 1.0, len(guess))
    return views


def race_points(out, weekend: Weekend) -> np.ndarray:
    """Return fantasy points of `out` by row of the weekend's frame, (n, D)."""
    start = weekend.frame["start"].to_numpy()
    return points_of(start, out.finish, out.laps_led, out.fastest_laps, DRAFTKINGS_NASCAR.scoring)


def _facts(record, weekend, listed, salary, on_track, touts) -> Facts:
    rows = np.flatnonzero(on_track >= 0)
    who = listed[rows]
    kind = TYPES.index(weekend.venue.track_type)
    talk = stream(record.world.seed, "talk", weekend.number).normal(0, TALK, len(rows))
    return Facts(
        rows, salary[rows], weekend.frame["start"].to_numpy()[on_track[rows]].astype(float), touts[0, rows],
        touts[1, rows], record.average[who], record.recent[who], record.by_type[who, kind], record.world.fame[who],
        talk, record.world.factors.doubt,
    )  # fmt: skip


def plan_contests(world: World, number: int) -> tuple[ContestPlan, ...]:
    """Return the contests of the weekend of that number: one, and a second smaller one in every fourth race."""
    rng = stream(world.seed, "contest", number)
    week = number - FIRST_SLATE
    chosen = [week % len(_CONTESTS)] + ([5 if week % 8 == 3 else 1] if week % 4 == 3 else [])
    plans = []
    for which in chosen:
        fee, entries, most, paid = _CONTESTS[which]
        drawn = int(rng.integers(1000))
        drawn = (drawn + any(plan.contest_id % 1000 == drawn for plan in plans)) % 1000
        contest_id = 700_000_000 + 1000 * number + drawn
        pool = float(np.floor(fee * entries * paid / 100) * 100)
        plans.append(ContestPlan(contest_id, fee, entries, most, pool, world.factors.top_heavy))
    return tuple(plans)


def tout_ownership(world: World, week: RaceWeek) -> np.ndarray:
    """Return the first tout's projected ownership by slate row: a crowd as he imagines it, misjudged a little."""
    rng = stream(world.seed, "mood", week.weekend.number)
    plan = week.contests[0]
    facts = replace(week.facts, talk=np.zeros(len(week.facts.rows)))
    own = crowd_ownership(gather_crowd(facts, 600, min(plan.max_entries_per_user, 20), rng), len(week.drivers))
    own = own * rng.lognormal(0, 0.15, len(own)) + np.abs(rng.normal(0, 0.004, len(own))) * (week.on_track >= 0)
    return np.minimum(own * 6 / own.sum(), 0.95)
