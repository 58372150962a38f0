"""The bundled season: fictional drivers, races run lap by lap, contests filled by players of many habits.

It shares no model with the package: the races are not drawn from a rank model, the field not from an ownership law.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dfslab.data import files, ingest_standings
from dfslab.errors import InputError
from dfslab.sample._crowd import gather_crowd
from dfslab.sample._files import dk_name, write_history, write_standings, write_week
from dfslab.sample._race import run_races
from dfslab.sample._weeks import (
    FIRST_SLATE,
    RAIN,
    RaceWeek,
    Record,
    play_history,
    play_season,
    race_points,
    race_week,
    tout_ownership,
)
from dfslab.sample._world import BUNDLED, World, WorldFactors, draw_factors, stream

SEASON = Path(__file__).resolve().parents[2] / "data" / "sample"
"""The bundled season."""
SEED = BUNDLED
"""The seed of the bundled season."""
VERSION = 1
"""Raised when the generator changes, so that a replay never mixes two worlds."""
N_RACES = 28
"""Races with a folder; the last one has not been run."""
PLAIN_WEEK = 14
"""The week whose standings lie there as a plain CSV."""
FIELDS = 100
"""Fresh fields of a replay unless asked for otherwise."""

LABEL = """# A simulated season

Nothing in this folder is real: drivers, teams, tracks, races, salaries, contests and their players were invented by
`dfslab sample` from the seed in `seed.json`. See `data/README.md` for how it compares with real seasons.
"""


@dataclass(frozen=True)
class Replays:
    """A sample race run again from the law that made it, with what was public before the race held fixed.

    drivers : (D,) names as the slate spells them, in slate rows
    finish, laps_led, fastest_laps : (n, D) int; finish is 0 for a driver who does not race
    points : (n, D) float; 0 for a driver who does not race
    dropped_out : (n, D) bool
    fields : (m, F, K) int, m fresh fields of a full contest, slate rows ascending; entries of one player are adjacent
    """

    drivers: np.ndarray
    finish: np.ndarray
    laps_led: np.ndarray
    fastest_laps: np.ndarray
    points: np.ndarray
    dropped_out: np.ndarray
    fields: np.ndarray


def write_sample(out_dir, seed: int = SEED, n_races: int = N_RACES, on_race=None) -> Path:
    """Write the simulated season as the data folder `out_dir`; return it.

    The folder appears whole or not at all. An earlier simulated season there is replaced; what else lies beside it
    (models, reports, races of your own) stays.

    Parameters
    ----------
    out_dir : a folder that is absent, empty, or holds a simulated season
    seed : of the whole world and of its law (how much the field knows, how strong favourites are, how top-heavy the
        contests); the same seed writes the same files
    n_races : races with a folder, 2 to 36; two seasons of results go before them, the last one has not been run
    on_race : called with each race id when its folder is written

    Raises
    ------
    InputError : the number of races cannot be, or the folder holds something else
    """
    if not 2 <= n_races <= 36:
        raise InputError(f"sample: {n_races} races asked for; a season has 2 to 36")
    out = Path(out_dir)
    _refuse_other_content(out)
    with files.write_folder_atomically(out) as aside:
        _write_season(aside, seed, n_races, on_race or (lambda race_id: None))
        races = (path for path in out.glob("races/*") if not _simulated(path))
        files.keep_others([*out.glob("*"), *races], out, aside)
    return out


def _refuse_other_content(out: Path) -> None:
    if out.is_file():
        raise InputError(f"{out}: it is a file; name a folder for the simulated season")
    if out.is_dir() and any(out.iterdir()) and not (out / "seed.json").exists():
        raise InputError(f"{out}: it holds something else than a simulated season; name an empty folder")


def _simulated(race: Path) -> bool:
    try:
        return files.read_json(race / "race.json")["simulated"] is True
    except (InputError, LookupError, TypeError):
        return False


def _write_season(folder: Path, seed: int, n_races: int, on_race) -> None:
    factors = draw_factors(seed)
    record, weeks = play_season(World(seed, factors), n_races)
    write_history(record, folder / "history")
    for n, week in enumerate(weeks):
        _write_race(record, week, folder, n, upcoming=n == n_races - 1)
        on_race(week.weekend.race_id)
    facts = {"simulated": True, "seed": int(seed), "version": VERSION, "n_races": n_races}
    if factors != WorldFactors():
        facts["law"] = asdict(factors)
    (folder / "seed.json").write_text(json.dumps(facts, indent=1) + "\n")
    (folder / "README.md").write_text(LABEL)
    (folder / "history" / ".lock").unlink(missing_ok=True)


def _write_race(record: Record, week: RaceWeek, out: Path, n: int, upcoming: bool) -> None:
    seed, folder = record.world.seed, out / "races" / week.weekend.race_id
    write_week(seed, week, tout_ownership(record.world, week), folder, upcoming)
    if upcoming:
        return
    results = record.results[week.weekend.number].set_index("number")["dk_points"]
    points = results.reindex(week.drivers).fillna(0.0).to_numpy(float)
    for which, plan in enumerate(week.contests):
        rng = stream(seed, "field", week.weekend.number, which)
        crowd = gather_crowd(week.facts, plan.entries, plan.max_entries_per_user, rng)
        write_standings(seed, week, which, crowd, points, folder, plain=n == PLAIN_WEEK)
    ingest_standings(week.weekend.race_id, out)


def replay(race_id: str, n: int, rng, data_dir=SEASON, *, n_fields: int | None = None) -> Replays:
    """Run a sample race `n` times again, and fill its first contest again with the same kind of people.

    Fixed is what was known before the race and what the drivers and cars are truly worth that day; fresh are the
    race, the mood of the crowd, who enters and what each of them thinks. More replays extend the earlier ones, and
    so do more fields.

    Parameters
    ----------
    race_id, data_dir : a race of a folder written by `write_sample`, by default of the bundled season
    n : number of races
    rng : numpy Generator; races and fields use streams spawned from it
    n_fields : number of fields, default the smaller of `n` and 100; 0 for none

    Raises
    ------
    InputError : the folder is no simulated season, or the race is not one of it

    Examples
    --------
    >>> played = replay("2026-08-23-copperhead-mile", 2, np.random.default_rng(1), n_fields=0)
    >>> played.points.shape
    (2, 36)
    """
    week = _week_of(race_id, data_dir)
    race_rng, field_rng = rng.spawn(2)
    v = week.weekend.venue
    out = run_races(week.weekend.cars, v.mechanics, v.laps, v.stages, RAIN, n, race_rng)
    points = race_points(out, week.weekend)
    by_slate = [_in_slate_rows(x, week.on_track) for x in (out.finish, out.laps_led, out.fastest_laps, points)]
    m = min(n, FIELDS) if n_fields is None else n_fields
    names = np.array([dk_name(i) for i in week.drivers], object)
    return Replays(names, *by_slate, _in_slate_rows(out.status > 0, week.on_track), _fields(week, m, field_rng))


def _week_of(race_id: str, data_dir) -> RaceWeek:
    path = Path(data_dir) / "seed.json"
    if not path.exists():
        raise InputError(f"{path}: there is none, so this is not a simulated season; only those can be replayed")
    facts = files.read_json(path)
    if facts.get("version") != VERSION:
        raise InputError(f"{path}: written by version {facts.get('version')}; run 'dfslab sample' to write it again")
    world = World(facts["seed"], WorldFactors(**facts.get("law", {})))
    for number in range(FIRST_SLATE, FIRST_SLATE + facts["n_races"]):
        weekend = world.weekend(number)
        if weekend.race_id == race_id:
            record = play_history(world, number)
            record.open_week(weekend)
            return race_week(record, weekend)
    raise InputError(f"{race_id} is not a race with contests of the simulated season in {data_dir}")


def _in_slate_rows(values, on_track) -> np.ndarray:
    """Return (n, cars) `values` by slate row, 0 for who does not race."""
    return np.where(on_track >= 0, values[:, on_track], values.dtype.type(0))


def _fields(week: RaceWeek, m: int, rng) -> np.ndarray:
    plan = week.contests[0]
    streams = rng.spawn(m)
    fields = [gather_crowd(week.facts, plan.entries, plan.max_entries_per_user, s).lineups for s in streams]
    return np.array(fields, np.int16).reshape(m, plan.entries, 6)
