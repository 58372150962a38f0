"""A race as it stands before the start: everything that is known, and nothing that came later."""

import hashlib
import html
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab import data
from dfslab.errors import InputError, UserError, as_day, number_between, whole_number
from dfslab.ownership import HybridOwnershipEstimator
from dfslab.portfolio import PromiseMap
from dfslab.race import market_chances
from dfslab.regimes import RegimeThresholds, label_races, race_features
from dfslab.slate import Contest, Race, Slate
from dfslab.workflow._promises import promises_before, read_record, record_digest

SAMPLE = data.files.shipped("data/sample")
"""The bundled simulated season."""

STAGES = (
    *("race", "ownership", "field", "portfolio", "fresh race", "fresh field"),
    *("past races", "baselines", "past contests", "referee race", "referee field"),
)
"""Every stage has its own stream of random numbers, so that a change in one leaves the others as they were."""


def stream(seed: int, stage: str) -> np.random.Generator:
    """Return the generator of a stage; the same seed and stage always give the same numbers."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STAGES.index(stage),)))


@dataclass(frozen=True, repr=False)
class RaceDay:
    """A race before the start: its slate, its contests, the history before it, and what tuning saved before it.

    `history` has the frames results, races and ownership, all of earlier days; `files` is the race's folder. `slate`
    knows form and rating of every driver as of the day. `means` are points a person insists on, by driver. `notes` say
    what was assumed.
    """

    slate: Slate
    contests: tuple[Contest, ...]
    history: object
    files: object
    data_dir: Path
    seed: int = 1
    simulated: bool = False
    hashes: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    saved: dict[str, dict] = field(default_factory=dict)
    chosen_thresholds: RegimeThresholds | None = None
    means: dict[str, float] = field(default_factory=dict)

    @property
    def race(self) -> Race:
        """The facts of the race."""
        return self.slate.race

    @property
    def contest(self) -> Contest:
        """The contest to play: the first of the list."""
        return self.contests[0]

    @property
    def thresholds(self) -> RegimeThresholds:
        """The regime thresholds in use: those given, else those that tuning saved, else the default."""
        if self.chosen_thresholds is not None:
            return self.chosen_thresholds
        saved = self.saved.get("regimes")
        return RegimeThresholds.from_dict(saved["thresholds"]) if saved else RegimeThresholds()

    @property
    def reweights(self) -> bool:
        """Whether a dominator's chance is predicted: by tuning's verdict, else regimes keep the simulator's odds."""
        return "dominator" in self.saved.get("regimes", {}).get("predicted", ())

    @property
    def promises(self) -> PromiseMap:
        """What promises are worth: by the shipped map, and by the user's own races before the day."""
        return promises_before(self.data_dir, self.race.date)

    def rng(self, stage: str) -> np.random.Generator:
        """Return the random numbers of a stage (`race`, `ownership`, `field`, `portfolio`, …) under this seed."""
        return stream(self.seed, stage)

    def facts(self) -> tuple[str, ...]:
        """Return what a page says of the race in one line."""
        race, contest, slate = self.race, self.contest, self.slate
        out = int(slate.out.sum())
        absent = f"; {out} with a salary {'is' if out == 1 else 'are'} out" if out else ""
        return (
            f"{race.date.day} {race.date:%B %Y}",
            race.track,
            f"{race.track_type.replace('_', ' ')}, {race.sched_laps} laps of {race.track_length_mi:g} mi",
            f"{len(slate.starters)} starters{absent}",
            f"{contest.entries:,} entries at ${contest.entry_fee:,.2f} for ${contest.pool:,.0f}, "
            f"rake {contest.rake:.0%}",
        )

    def __repr__(self) -> str:
        return f"RaceDay({self.race.name or self.race.race_id}: {'; '.join(self.facts())})"

    def _repr_html_(self) -> str:
        title, *facts = (html.escape(text) for text in (self.race.name or self.race.race_id, *self.facts()))
        return f'<p class="headline mathjax_ignore tex2jax_ignore"><strong>{title}</strong> {" · ".join(facts)}</p>'

    # ------------------------------------------------------------ questions of the past

    def past_regimes(self) -> pd.DataFrame:
        """Return one row a past race: date, track_type, its features, its label, and whether all it rests on is known.

        Labels are by the thresholds in use.
        """
        features = race_features(self.history.results, self.history.races)
        facts = self.history.races.set_index("race_id")[["date", "track", "track_type"]].reindex(features.index)
        return label_races(facts.join(features), self.thresholds)

    def similar_races(self, n: int = 10) -> pd.DataFrame:
        """Return the `n` past races most like this one, of equals the latest first, with features and labels.

        Likeness is the distance in log length of the lap and log length of the race, a step of one for another track
        type, and a small one for another track.
        """
        races = self.history.races.sort_values("date", ascending=False, kind="stable").set_index("race_id")
        miles = races["track_length_mi"] * races["sched_laps"] if "sched_laps" in races else np.nan
        away = np.abs(np.log(races["track_length_mi"] / self.race.track_length_mi))
        away = away.fillna(1) + np.abs(np.log(miles / (self.race.track_length_mi * self.race.sched_laps))).fillna(1)
        away += (races["track_type"] != self.race.track_type) + 0.1 * (races["track"] != self.race.track)
        nearest = away.sort_values(kind="stable").index[: whole_number(n, "similar_races: n", 1)]
        return self.past_regimes().reindex(nearest).assign(distance=away[nearest])

    # ------------------------------------------------------------ what if

    def replace(
        self, *, out=(), points=None, projections=None, thresholds=None, contest=None, seed: int | None = None
    ) -> "RaceDay":
        """Return the race day with other assumptions; files are not touched.

        Parameters
        ----------
        out : drivers who will not race after all
        points : driver → mean points to use for him, whatever the simulator and the projections say
        projections : frame driver, projected_points and / or projected_ownership (fractions) in place of the file's
        thresholds : `RegimeThresholds`, or a dict of some of them
        contest : the contest to play: one of the list by id, name or number, or a `Contest`
        seed : of all random numbers
        """
        day = self
        if isinstance(out, str):
            raise UserError(f"out: give a list of names, not the text '{out}'")
        if len(tuple(out)):
            day = replace(day, slate=_without(day.slate, out))
        if projections is not None:
            day = replace(day, slate=_with_projections(day.slate, pd.DataFrame(projections)))
        for name, mean in dict({} if points is None else points).items():
            day.slate.rows([name], "points")
            mean = number_between(mean, f"points: {name}", -MOST_POINTS, MOST_POINTS)
            day = replace(day, means=day.means | {name: mean})
        if thresholds is not None:
            if isinstance(thresholds, dict):
                thresholds = RegimeThresholds.from_dict(day.thresholds.to_dict() | thresholds)
            day = replace(day, chosen_thresholds=thresholds)
        if contest is not None:
            first = day.find_contest(contest)
            day = replace(day, contests=(first, *(c for c in day.contests if c is not first)))
        return day if seed is None else replace(day, seed=seed)

    def find_contest(self, contest) -> Contest:
        """Return `contest` (a `Contest`), or the one of the list with that id, name or number (0 is the first)."""
        if contest is None or isinstance(contest, Contest):
            return contest or self.contest
        for number, one in enumerate(self.contests):
            if contest in (number, one.contest_id, one.name) and not isinstance(contest, bool):
                return one
        known = ", ".join(c.contest_id or c.name or str(n) for n, c in enumerate(self.contests))
        raise UserError(f"contest '{contest}' is not in contest.json; it lists {known}")

    def digest(self) -> str:
        """Return a digest of the files read, for the page's provenance."""
        return hashlib.sha256("".join(sorted(self.hashes.values())).encode()).hexdigest()[:12]


def _without(slate: Slate, out) -> Slate:
    gone = slate.names[slate.rows(out, "out")]
    left = len(set(slate.names[~slate.out]) - set(gone))
    if left < slate.rules.roster_size:
        raise UserError(f"out: {left} drivers would race; a lineup needs {slate.rules.roster_size}")
    drivers = slate.drivers.assign(out=slate.out | slate.drivers["driver"].isin(gone))
    starters = slate.starters[~slate.starters["driver"].isin(gone)].reset_index(drop=True)
    notes = (*slate.notes, *(f"{name} is taken to be out." for name in gone))
    return replace(slate, drivers=drivers, starters=starters, notes=notes)


def _with_projections(slate: Slate, frame: pd.DataFrame) -> Slate:
    columns = [name for name in frame if name != "driver"]
    unknown = sorted(set(columns) - {"projected_points", "projected_ownership"})
    if "driver" not in frame or unknown or not columns:
        raise UserError("projections: give a frame with driver and projected_points or projected_ownership (fractions)")
    rows, drivers = slate.rows(frame["driver"]), slate.drivers.copy()
    for name in columns:
        values = np.full(len(slate), np.nan)
        values[rows] = frame[name].to_numpy(float)
        drivers[name] = values
    return replace(slate, drivers=drivers)


def _with_market(slate: Slate, odds) -> Slate:
    """Return the slate whose starters have `market`, their chances to win by the odds; None changes nothing."""
    if odds is None or odds.empty:
        return slate
    chances = market_chances(odds, slate.starters["driver"]).to_numpy()
    note = f"odds.csv: prices of {odds['driver'].nunique()} drivers, the bookmaker's margin taken out, move the race."
    return replace(slate, starters=slate.starters.assign(market=chances), notes=(*slate.notes, note))


# ---------------------------------------------------------------- what is known before a day

MOST_POINTS = 500.0
"""Mean points of a driver beyond which a wish is a typing error: nobody has scored 200."""
FORM_HALF_LIFE_DAYS = 60.0
RATING_HALF_LIFE_DAYS = 240.0


def known_before(results: pd.DataFrame, date) -> pd.DataFrame:
    """Return form and rating by driver as of `date`, from earlier rows only.

    Form is the decayed mean of DraftKings points above what the start position is worth, rating the decayed mean
    of NASCAR's driver rating; both in the units of their source, NaN for drivers without a past.
    """
    past = results[results["date"] < pd.to_datetime(date)]
    age = (pd.to_datetime(date) - past["date"]).dt.days.to_numpy(float)
    past = past.reindex(columns=past.columns.union(["start", "dk_points", "driver_rating"]))
    surplus = past["dk_points"] - past.groupby("start")["dk_points"].transform("mean")
    form = _decayed_mean(past["driver"], surplus, 0.5 ** (age / FORM_HALF_LIFE_DAYS))
    rating = _decayed_mean(past["driver"], past["driver_rating"], 0.5 ** (age / RATING_HALF_LIFE_DAYS))
    return pd.DataFrame({"form": form, "rating": rating})


def _decayed_mean(key, values, weight) -> pd.Series:
    known = values.notna().to_numpy()
    total = (values * weight)[known].groupby(key[known]).sum()
    return total / pd.Series(weight, index=values.index)[known].groupby(key[known]).sum()


def lent_history(data_dir, series: str, before=None) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return results and races of the Cup, from which newcomers to another series borrow; None without any."""
    if series == "cup" or not (Path(data_dir) / "history" / "results.csv").exists():
        return None
    cup = data.history(data_dir, before=before, without_races=True)
    return None if cup.results.empty else (cup.results, cup.races)


def read_saved(data_dir, before) -> tuple[dict[str, dict], tuple[str, ...]]:
    """Return what tuning saved before a date, by name, and a note for each model that has seen the date or later."""
    found, notes = {}, []
    for name, read in _MODELS.items():
        path = Path(data_dir) / "models" / f"{name}.json"
        if not path.exists():
            continue
        saved = data.files.read_json(path)
        try:
            through = as_day(saved["through"])
            read(saved)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(
                f"{path}: not what `dfslab tune {name}` saves ({error}); tune again, or remove it"
            ) from None
        if through < as_day(before):
            found[name] = saved
        else:
            notes.append(f"models/{path.name} was tuned on data through {saved['through']}: not used for this race.")
    return found, tuple(notes)


def _read_regimes(saved: dict) -> None:
    RegimeThresholds.from_dict(saved["thresholds"])
    if not isinstance(saved.get("predicted", []), list):  # a file written by hand has no verdict
        raise TypeError(f"predicted is {saved['predicted']!r}; a list is needed")


_MODELS = {"ownership": HybridOwnershipEstimator.from_dict, "regimes": _read_regimes}
"""What tuning saves for later reports, by name, and what reads it."""


def latest_race(data_dir=None) -> str:
    """Return the id of the last race (by date, then name) that has a folder in the data folder."""
    folder = Path(data_dir or SAMPLE)
    found = data.list_races(folder)
    if not found:
        raise InputError(f"{folder / 'races'}: no race folder; put DKSalaries.csv into {folder}/races/<race_id>/")
    return max(found)


def _refuse_own_race(race: Race, results: pd.DataFrame, path: Path) -> None:
    """Raise where the race itself, by its id or the day its id names, is in the history before it."""
    own = results[(results["race_id"] == race.race_id) | (results["date"].dt.strftime("%Y-%m-%d") == race.race_id[:10])]
    for row in own.head(1).itertuples():
        there = f"the history holds {row.race_id} on {row.date:%Y-%m-%d}"
        raise InputError(f"{path}: date is {race.date:%Y-%m-%d}, {there}; correct one of the dates")


def open_race(race_id: str = "", data_dir="", seed: int = 1) -> RaceDay:
    """Return a race day; without `race_id` the latest of the folder, without `data_dir` the bundled sample season.

    Raises
    ------
    InputError : a file of the race or of the history cannot be used; the sentence says which, where, and how to fix it
    """
    data_dir = Path(data_dir or SAMPLE)
    seed = whole_number(seed, "seed", 0)
    files = data.open_folder(str(race_id) or latest_race(data_dir), data_dir)
    slate, contests = files.slate, files.contests
    history = data.history(data_dir, before=slate.race.date, series=slate.race.series)
    lost = set(history.results["race_id"]) - set(history.races["race_id"])
    if lost:
        where = data_dir / "history" / "races.csv"
        raise InputError(f"{where}: {min(lost)} of results.csv is not there; add it, or fetch the season")
    _refuse_own_race(slate.race, history.results, files.path / "race.json")
    names = pd.unique(np.concatenate([slate.names, slate.starters["driver"].to_numpy(object)]))
    history, slate = history.with_names(names), _with_market(slate, files.odds)
    known = known_before(history.results, slate.race.date).reindex(slate.names)
    slate = replace(slate, drivers=slate.drivers.assign(**{name: known[name].to_numpy() for name in known}))
    saved, late = read_saved(data_dir, slate.race.date)
    theirs = (note for contest in contests for note in contest.notes)
    market = () if files.odds is None else files.odds.attrs["notes"]
    notes = (*slate.notes, *theirs, *market, *history.notes, *late, *filter(None, [read_record(data_dir)[1]]))
    hashes = data.files.input_digests(data_dir, files.race_id) | record_digest(data_dir, slate.race.date)
    return RaceDay(slate, contests, history, files, data_dir, seed, files.simulated, hashes, notes, saved)
