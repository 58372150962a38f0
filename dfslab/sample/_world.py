"""The invented world of the sample season: drivers, teams, tracks, calendar, and the hidden strengths behind them.

Everything follows from the seed. Nothing here is written where the package's models could read it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfslab.sample._race import Cars, Track

SEASONS = (2024, 2025, 2026)
RACES_A_SEASON = 36
STAGES = ("world", "weekend", "race", "desk", "vendor", "contest", "field", "files", "mood", "talk", "law")
"""Each stage of the generator has a stream of its own."""

DRIVERS = (
    "Cade Hollister", "Rory Vandermeer", "A.J. Ravenell", "Tomás Quiñonero", "Wendell Pruett Jr.", "J.R. Tackett",
    "Milo Bergström", "Sterling LaCroix", "Boone McAllen", "D.W. Okafor", "Seamus O'Farrelly", "Grady Whitlock",
    "Emmett Sandoval", "Colt Braddock", "Nikolai Petrenko", "Jesse Delgado-Ruiz", "Duke Carrigan",
    "Beau Thibodeaux", "Clay Ferrante", "Marcus Obuya", "Tanner Wexford", "Shep Langdon", "Cody Marchetti",
    "Zeke Halvorsen", "Ian McTavish", "Owen Kowalczyk", "Brock Ellender", "Theo Vasquez III", "Walker Finch",
    "Rex Stallard", "Ned Applewhite", "Jonah Trask", "Levi Castellanos", "Kip Driscoll", "Abel Montoro",
    "Gus Hartigan", "Reed Sunderland", "Otis Blackmoor", "Finn Ashgrove", "Perry Nakashiro", "Dax Romero-Vega",
    "Silas Quickley", "Vince Callowhill", "T.J. Brandvold", "René Desrochers", "Hollis Grantham Jr.",
)  # fmt: skip
TEAMS = (
    "Ironwood Racing", "Bluestem Motorsports", "Harrow & Finch Racing", "Copperline Racing", "Northgate Motorsports",
    "Redtail Racing", "Juniper Speed", "Lanternfish Racing", "Old Mill Racing", "Cobalt Nine Motorsports",
    "Prairie Fire Racing", "Longmeadow Racing",
)  # fmt: skip
MANUFACTURERS = ("Arbor", "Meridian", "Solano")
FULL_TIME = 35
TYPES = ("superspeedway", "intermediate", "large_flat", "short", "short_flat", "road", "dirt")

# spread, noise, restart noise, wear, dirty air, draft, pass, fuel, pit, hazard, restart hazard, pile-up, wreck,
# debris, failure, caution laps, day noise, adjust: the fields of `Track`
_MECHANICS = {
    "superspeedway":
        (.022, .08, .12, .0005, .00, .30, .04, 40, 32., .0190, .048, .80, .58, .0060, .00009, 5.3, .8, .10),
    "intermediate": (.200, .30, .20, .0060, .26, .00, .60, 62, 33., .0150, .055, .36, .50, .0060, .00014, 5.5, .8, .15),
    "large_flat": (.220, .40, .25, .0060, .26, .00, .80, 36, 36., .0190, .060, .36, .50, .0080, .00022, 4.0, .8, .12),
    "short": (.072, .19, .10, .0022, .10, .00, .30, 170, 16., .0085, .022, .34, .42, .0030, .00008, 8.0, .8, .15),
    "short_flat": (.110, .19, .12, .0030, .14, .00, .38, 92, 22., .0130, .032, .36, .52, .0035, .00010, 6.5, .8, .15),
    "road": (.420, .80, .50, .0120, .30, .00, 1.4, 34, 34., .0300, .070, .36, .50, .0060, .00055, 2.5, .8, .12),
    "dirt": (.110, .26, .20, .0020, .10, .00, .40, 200, 18., .0360, .050, .34, .35, .0120, .00012, 5.2, .8, .12),
}  # fmt: skip


@dataclass(frozen=True)
class Venue:
    """An invented track."""

    name: str
    slug: str
    track_type: str
    length_mi: float
    laps: int
    lap_time: float

    @property
    def mechanics(self) -> Track:
        """Return what the track does to a race."""
        return Track(self.lap_time, *_MECHANICS[self.track_type])

    @property
    def stages(self) -> tuple[int, ...]:
        """Return the laps that end the first two stages."""
        return round(self.laps * 0.3), round(self.laps * 0.6)


TRACKS = (
    Venue("Thunder Basin Superspeedway", "thunder-basin", "superspeedway", 2.66, 188, 49.0),
    Venue("Gulfbreeze Superspeedway", "gulfbreeze", "superspeedway", 2.5, 200, 47.0),
    Venue("Cedar Notch Speedway", "cedar-notch", "intermediate", 1.5, 267, 29.5),
    Venue("Silver Playa Speedway", "silver-playa", "intermediate", 1.5, 267, 29.0),
    Venue("Prairie Star Speedway", "prairie-star", "intermediate", 1.5, 334, 28.5),
    Venue("Lakeshore Oval", "lakeshore", "intermediate", 2.0, 200, 38.0),
    Venue("Ocotillo Bend Speedway", "ocotillo-bend", "intermediate", 1.33, 300, 29.8),
    Venue("Copperhead Mile", "copperhead-mile", "short_flat", 1.0, 312, 26.5),
    Venue("Granite Pass Speedway", "granite-pass", "short_flat", 1.058, 301, 29.5),
    Venue("Stone Hollow Speedway", "stone-hollow", "short", 0.533, 500, 15.6),
    Venue("Tobacco Fork Raceway", "tobacco-fork", "short", 0.526, 500, 19.8),
    Venue("Foxfire Speedway", "foxfire", "short", 0.75, 400, 22.5),
    Venue("Pine Flats Raceway", "pine-flats", "large_flat", 2.5, 160, 53.0),
    Venue("Riverbend Circuit", "riverbend", "road", 2.45, 90, 72.0),
    Venue("Cypress Glen Road Course", "cypress-glen", "road", 3.41, 68, 131.0),
    Venue("Harbor District Street Course", "harbor-district", "road", 2.2, 75, 89.0),
    Venue("Clay Hills Fairground", "clay-hills", "dirt", 0.533, 250, 20.0),
)
_CALENDAR = (
    1, 2, 3, 7, 5, 9, 13, 10, 0, 4, 11, 2, 12, 14, 8, 6, 3, 15,
    5, 1, 10, 8, 4, 9, 2, 12, 0, 7, 3, 13, 6, 11, 5, 14, 10, 7,
)  # fmt: skip
"""Rows of TRACKS in the order of a season; race 24 of the middle season is run on dirt."""


def stream(seed: int, stage: str, *key: int) -> np.random.Generator:
    """Return the random stream of one stage and race of the world grown from `seed`."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STAGES.index(stage), *key)))


@dataclass(frozen=True)
class WorldFactors:
    """What differs between simulated worlds, as factors on the figures of the bundled one.

    doubt : on the errors of touts and players: how little the field knows
    favourites : on the distance between strong and weak drivers
    top_heavy : on the exponent by which prizes fall with the rank
    """

    doubt: float = 1.0
    favourites: float = 1.0
    top_heavy: float = 1.0


FACTOR_RANGE = {"doubt": (0.7, 1.4), "favourites": (0.75, 1.3), "top_heavy": (0.8, 1.2)}
"""Between which ends a seed draws its factors, evenly in the logarithm; wide enough that no figure fits one world."""
BUNDLED = 7
"""The seed of the bundled season, whose factors are all 1."""


def draw_factors(seed: int) -> WorldFactors:
    """Return the factors of the world grown from `seed`."""
    if seed == BUNDLED:
        return WorldFactors()
    rng = stream(seed, "law")
    return WorldFactors(**{name: float(np.exp(rng.uniform(*np.log(ends)))) for name, ends in FACTOR_RANGE.items()})


@dataclass(frozen=True)
class Weekend:
    """One race weekend. `frame` has a row per starter in grid order; `cars` are the same rows for the race.

    `frame` columns: driver (number), start, qual_pos, practice_best_rank, practice_con10_rank, to_rear. `absent` are
    the numbers of drivers who were entered but do not start, `late` of those who start without having been entered.
    """

    number: int
    season: int
    race_no: int
    date: pd.Timestamp
    venue: Venue
    frame: pd.DataFrame
    cars: Cars
    absent: tuple[int, ...]
    late: tuple[int, ...]

    @property
    def race_id(self) -> str:
        """Return the race's slug."""
        return f"{self.date:%Y-%m-%d}-{self.venue.slug}"


class World:
    """The hidden strengths of every driver and team in every race, grown from a seed."""

    def __init__(self, seed: int, factors: WorldFactors = WorldFactors()):
        self.seed, self.factors = int(seed), factors
        rng = stream(seed, "world")
        p, n = len(DRIVERS), RACES_A_SEASON * len(SEASONS)
        seat = np.arange(p)
        self.team = np.where(seat < FULL_TIME, seat * 11 // FULL_TIME, 11 - (seat % 3))
        strength = np.linspace(1.2, -1.2, len(TEAMS))
        self.team_level = strength + np.cumsum(rng.normal(0, [[0.15]] + [[0.3]] * (len(SEASONS) - 1), (3, 12)), axis=0)
        self.skill = rng.normal(0, 0.75, p) - 0.7 * (seat >= FULL_TIME)
        self.type_skill = rng.normal(0, 0.35, (p, len(TYPES))) * np.array([0.6, 0.7, 0.8, 1.0, 1.0, 1.9, 1.9])
        self.wear = rng.uniform(0.75, 1.25, p)
        self.risk = rng.lognormal(0, 0.45, p)
        self.crew = rng.uniform(0.4, 1.6, p)
        self.fame = 0.8 * self.skill + rng.normal(0, 0.7, p)
        self.form = _wander(rng, n, p)
        self.numbers = _car_numbers(rng, p)

    def __len__(self) -> int:
        return RACES_A_SEASON * len(SEASONS)

    def pace(self, number: int, track_type: str) -> np.ndarray:
        """Return how much faster than the average every driver is in race `number` before set-up, in spreads."""
        season = number // RACES_A_SEASON
        kind = self.type_skill[:, TYPES.index(track_type)]
        own = 0.75 * self.skill + 0.85 * self.team_level[season, self.team] + kind + self.form[number]
        return self.factors.favourites * own

    def venue(self, number: int) -> Venue:
        """Return where race `number` is run."""
        season, race = divmod(number, RACES_A_SEASON)
        return TRACKS[-1] if (season, race) == (1, 23) else TRACKS[_CALENDAR[race]]

    def weekend(self, number: int) -> Weekend:
        """Return the entrants, practice, qualifying and cars of race `number`, 0 for the first ever."""
        rng = stream(self.seed, "weekend", number)
        venue = self.venue(number)
        season, race = divmod(number, RACES_A_SEASON)
        opening = pd.Timestamp(SEASONS[season], 2, 15)
        date = opening + pd.Timedelta(days=(6 - opening.weekday()) % 7 + 7 * race)
        extra = rng.permutation(np.arange(FULL_TIME, len(DRIVERS)))[: rng.integers(1, 6)]
        entered = np.concatenate([np.arange(FULL_TIME), extra])
        absent = tuple(int(i) for i in rng.choice(entered, rng.choice(3, p=[0.6, 0.3, 0.1]), replace=False))
        spare = [i for i in range(FULL_TIME, len(DRIVERS)) if i not in entered]
        late = tuple(int(i) for i in rng.choice(spare, 1)) if absent and rng.random() < 0.4 else ()
        racing = np.array([i for i in (*entered, *late) if i not in absent])
        frame, cars = self._prepare(number, venue, racing, rng)
        return Weekend(number, SEASONS[season], race + 1, date, venue, frame, cars, absent, late)

    def _prepare(self, number, venue, racing, rng):
        """Set up the cars, practise and qualify; return the frame in grid order and the cars."""
        d = len(racing)
        pace = self.pace(number, venue.track_type)[racing] + rng.normal(0, 0.45, d)
        super_ = venue.track_type == "superspeedway"
        qualifying = (0.35 if super_ else 1.0) * pace + rng.normal(0, 1.1 if super_ else 0.75, d)
        short_run, long_run = pace + rng.normal(0, 1.2, (2, d))
        grid = np.argsort(-qualifying)
        rank = [np.argsort(np.argsort(-v))[grid] + 1 for v in (short_run, long_run)]
        to_rear = rng.random(d) < 0.04
        frame = pd.DataFrame({
            "driver": racing[grid], "start": np.arange(1, d + 1), "qual_pos": np.arange(1, d + 1),
            "practice_best_rank": rank[0], "practice_con10_rank": rank[1], "to_rear": to_rear,
        })  # fmt: skip
        who = frame["driver"].to_numpy()
        place = frame["start"].to_numpy() + 100.0 * to_rear
        cars = Cars(-pace[grid], self.wear[who], self.risk[who], self.crew[who], np.ones(d), place)
        return frame, cars


def _wander(rng, n: int, p: int) -> np.ndarray:
    """Return each driver's form by race, an autoregression, (n, p)."""
    form = np.empty((n, p))
    form[0] = rng.normal(0, 0.3, p)
    for r in range(1, n):
        form[r] = 0.93 * form[r - 1] + rng.normal(0, 0.11, p)
    return form


def _car_numbers(rng, p: int) -> np.ndarray:
    return rng.choice(np.arange(1, 100), p, replace=False)
