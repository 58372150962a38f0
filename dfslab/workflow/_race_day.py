"""One function per stage for notebooks, backtest and commands; each sees only what was known before the race."""

import json
import numbers
import os
import pickle
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab import optimize, ownership, portfolio, race, regimes
from dfslab.data import files, write_lineups
from dfslab.errors import InputError
from dfslab.field import expected_copies, sample_fields
from dfslab.ownership import calibration_report, walk_forward
from dfslab.portfolio import Scores, fit_blend, past_rows, score_portfolios, shifted
from dfslab.race import forecast_races, report_card
from dfslab.rules import DRAFTKINGS_NASCAR
from dfslab.slate import Contest, Slate
from dfslab.workflow._as_of import fill_history, fill_slate
from dfslab.workflow._inputs import (
    ROOT,
    SAMPLE,
    Inputs,
    check_extras,
    check_inputs,
    latest_race,
    load_models,
    save_model,
)

__all__ = [
    "SAMPLE",
    "Inputs",
    "Lab",
    "Settings",
    "check_extras",
    "check_ownership",
    "check_simulator",
    "check_inputs",
    "check_settings",
    "latest_race",
    "load_models",
    "open_lab",
    "save_model",
    "stream",
]

STAGES = (
    "race",
    "ownership",
    "field",
    "portfolio",
    "fresh race",
    "fresh field",
    "past races",
    "baselines",
    "past contests",
)
"""Every stage has its own stream of random numbers, so that a change in one leaves the others as they were."""

REPORTS = ROOT / "reports"


def stream(seed: int, stage: str) -> np.random.Generator:
    """Return the generator of a stage; the same seed and stage always give the same numbers."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STAGES.index(stage),)))


@dataclass(frozen=True)
class Settings:
    """What a report may be told: seed and sizes."""

    seed: int = 1
    n_scenarios: int = 20_000
    n_lineups: int = 150
    n_draws: int = 1_000
    n_fresh_fields: int = 10
    max_exposure: float = 0.6
    max_overlap: int = 5
    n_candidates: int = 6_000
    n_fields: int = 20

    def __post_init__(self):
        check_settings(vars(self))


def check_settings(settings: dict) -> None:
    """Raise `InputError` for a setting of `Settings` that cannot be; other names are not looked at."""
    for name in Settings.__dataclass_fields__.keys() & settings.keys():
        value, (low, high) = settings[name], _WHOLE.get(name, (1, np.inf))
        fine = isinstance(value, numbers.Integral) and low <= value <= high
        need = f"a whole number of {low} or more" if high == np.inf else f"a whole number from {low} to {high}"
        if name == "max_exposure":
            fine, need = isinstance(value, numbers.Real) and 0 < value <= 1, "a share above 0, at most 1"
        if not fine or isinstance(value, bool):
            raise InputError(f"parameter {name} is {value!r}; it must be {need}")


_WHOLE = {"seed": (0, np.inf), "max_overlap": (0, DRAFTKINGS_NASCAR.roster_size - 1)}
"""Bounds of the settings that are whole numbers; the others are at least 1."""


def open_lab(race_id="", data_dir="", *, out_dir="", cache_dir="", **settings) -> "Lab":
    """Return the lab of a race; without `race_id` the latest, without `data_dir` the bundled sample season.

    `settings` are those of `Settings`. What the notebooks write goes to `out_dir` (default: reports/<race_id>). With
    `cache_dir`, finished stages are kept there for the next notebook.
    """
    data_dir = Path(data_dir or SAMPLE)
    inputs = check_inputs(race_id or latest_race(data_dir), data_dir)
    out = Path(out_dir) if out_dir else REPORTS / inputs.race.race_id
    return Lab(inputs, Settings(**settings), out, Path(cache_dir) if cache_dir else None)


@dataclass(frozen=True)
class Lab:
    """A race with its stages, each computed when first asked for, from the inputs and its own random stream."""

    inputs: Inputs
    settings: Settings
    out: Path
    cache_dir: Path | None = None

    @cached_property
    def model(self) -> "race.RaceModel":
        """The race model fitted on what happened before the race."""
        return self._stage("model", self._fit)

    def _fit(self):
        history, saved = self.inputs.history, self.inputs.saved.get("regimes")
        kept = regimes.SavedRegimes.from_dict(saved)._asdict() if saved else {}
        return race.RaceModel.fit(history.results, history.races, self.inputs.race.date, **kept)

    @cached_property
    def race_card(self) -> pd.DataFrame:
        """How the simulator did on past races of this track type that it had not seen (see `racecheck.report_card`)."""
        return self._stage("race card", lambda: check_simulator(self.inputs, stream(self.settings.seed, "past races")))

    @cached_property
    def calibration(self) -> "ownership.CalibrationReport | None":
        """How the ownership forecasts of past contests turned out; None with fewer than three of them."""
        return self._stage("calibration", lambda: check_ownership(self.past_ownership, self.inputs, self.settings))

    @cached_property
    def scenarios(self) -> "race.Scenarios":
        """Simulated races in the rows of the slate; starters without a salary race in them, too."""
        rng = stream(self.settings.seed, "race")
        return self._stage("scenarios", lambda: self._simulate(rng))

    @cached_property
    def blend(self) -> "blend.Blend":
        """What the field knows of drivers' mean points beyond the race model, weighed on past contests."""
        return self._stage("blend", self._weigh)

    def _weigh(self):
        history, racing = self.inputs.history.ownership, ~self.slate.out
        past = past_rows(self.past_ownership, history.get("projected_points"), self.forecast.past)
        known = np.isfinite(self._projected[racing])
        return fit_blend(past, with_projected=len(known) > 0 and known.mean() > 0.5)

    @property
    def _projected(self) -> np.ndarray:
        return self.inputs.slate.column("projected_points")

    def _blended(self, scenarios):
        own, model = self.slate.align(self.forecast.ownership), self.scenarios.weight @ self.scenarios.points
        shift = self.blend.shift(model, own, self._projected, ~self.slate.out, self.slate.column("start"))
        return shifted(scenarios, shift, self.slate.rules.tick)

    @cached_property
    def blended_scenarios(self) -> "race.Scenarios":
        """`scenarios` with every driver's points shifted by the market blend: what lineups are chosen on."""
        return self._blended(self.scenarios)

    @cached_property
    def fresh_scenarios(self) -> "race.Scenarios":
        """As many again, shifted alike, which nothing was chosen on."""
        return self._blended(self._simulate(stream(self.settings.seed, "fresh race")))

    def _simulate(self, rng):
        starters = self.inputs.slate.starters
        drawn = self.model.simulate(starters, self.inputs.race, self.settings.n_scenarios, rng)
        return drawn.for_slate(self.inputs.slate)

    @cached_property
    def slate(self) -> Slate:
        """The slate with projected points, form and rating filled in from what was known before the race."""
        return fill_slate(self.inputs.slate, self.scenarios, self.inputs.history)

    @cached_property
    def past_ownership(self) -> pd.DataFrame:
        """The ownership history with projected points, form and rating as they were known before each contest."""
        rng = stream(self.settings.seed, "past contests")
        return self._stage("past contests", lambda: fill_history(self.inputs.history, rng))

    @cached_property
    def forecast(self) -> "ownership.OwnershipForecast":
        """The ownership forecast for the first contest."""
        return self._stage("ownership", self._forecast)

    def _forecast(self):
        return ownership.forecast(
            self.slate,
            self.past_ownership,
            contest=self.inputs.contest,
            n_draws=self.settings.n_draws,
            rng=stream(self.settings.seed, "ownership"),
            estimator=_ownership_estimator(self.inputs),
        )

    @cached_property
    def portfolio(self) -> "portfolio.Portfolio":
        """The lineups for the first contest, chosen on `blended_scenarios`."""
        return self._stage("portfolio", self._build)

    def _build(self, scenarios=None, **options):
        settings, draws = self.settings, self.forecast.draws
        return portfolio.generate_regime_aware_portfolio(
            self.slate,
            self.blended_scenarios if scenarios is None else scenarios,
            self.forecast.ownership,
            self.inputs.contest,
            settings.n_lineups,
            rng=stream(settings.seed, "portfolio"),
            ownership_draws=draws,
            surprises=self.blend.surprises(draws[: settings.n_fields], ~self.slate.out),
            max_exposure=settings.max_exposure,
            max_overlap=settings.max_overlap,
            n_candidates=settings.n_candidates,
            n_fields=settings.n_fields,
            **options,
        )

    @cached_property
    def baselines(self) -> dict[str, np.ndarray]:
        """Other ways to pick as many lineups, by name, (N, K) each; see `portfolio.baselines`."""
        return self._stage("baselines", self._baselines)

    def _baselines(self):
        rng, n = stream(self.settings.seed, "baselines"), self.settings.n_lineups
        races = self.blended_scenarios
        one = replace(races, regime=np.zeros(len(races), np.int8))
        mixed = replace(races, regime=rng.permutation(races.regime))
        value = races.weight @ races.points
        contest, own = self.inputs.contest, self.forecast.ownership
        field = sample_fields(self.slate, [self.slate.align(own)], contest.entries - 1, contest=contest, rng=rng)[0]
        return {
            "no leverage (best by mean points)": optimize.NASCAROptimizer(self.slate).optimize(value, n),
            "no regimes": self._build(one).lineups,
            "regimes shuffled": self._build(mixed).lineups,
            "random entries of the field": rng.permutation(field)[:n],
        }

    @cached_property
    def scores(self) -> "Scores":
        """The portfolio and its baselines on fresh races and fresh fields, ownership uncertainty included."""
        return self._stage("scores", lambda: self.score({"portfolio": self.portfolio.lineups, **self.baselines}))

    def score(self, portfolios: dict) -> "Scores":
        """Play portfolios (name → lineups) on the fresh races, each run of races against a fresh field."""
        fresh, contest, slate = self._against_fresh_fields, self.inputs.contest, self.slate
        return score_portfolios(
            portfolios, fresh.points, self._fresh_fields, contest, weight=fresh.weight, rules=slate.rules
        )

    @cached_property
    def _against_fresh_fields(self) -> "race.Scenarios":
        """`fresh_scenarios` where the drivers a fresh field likes more than forecast are better in its run of races."""
        fresh, draws = self.fresh_scenarios, self.forecast.draws[-self.settings.n_fresh_fields :]
        return shifted(fresh, self.blend.surprises(draws, ~self.slate.out), self.slate.rules.tick)

    @cached_property
    def _fresh_fields(self) -> np.ndarray:
        draws = self.forecast.draws[-self.settings.n_fresh_fields :]
        rng, contest = stream(self.settings.seed, "fresh field"), self.inputs.contest
        return sample_fields(self.slate, draws, contest.entries - 1, contest=contest, rng=rng)

    @cached_property
    def by_contest(self) -> pd.DataFrame:
        """What the same lineups earn in each contest of the list, every contest against fields of its own size."""
        return self._stage("by contest", lambda: pd.DataFrame([self._in_contest(c) for c in self.inputs.contests]))

    def _in_contest(self, contest: Contest) -> dict:
        fresh, rng = self._against_fresh_fields, stream(self.settings.seed, "fresh field")
        draws = self.forecast.draws[-self.settings.n_fresh_fields :]
        fields = sample_fields(self.slate, draws, contest.entries - 1, contest=contest, rng=rng)
        sets = {contest.name or contest.contest_id or "contest": self.portfolio.lineups}
        scores = score_portfolios(sets, fresh.points, fields, contest, weight=fresh.weight, rules=self.slate.rules)
        row = scores.table().iloc[0].rename({"portfolio": "contest"}).to_dict()
        return {"entered": round(row["fees"] / contest.entry_fee) if contest.entry_fee else np.nan, **row}

    @cached_property
    def frontier(self) -> pd.DataFrame:
        """The twenty best lineups by mean points less λ·ownership², by λ: earnings on fresh draws and copies."""
        races, own = self.blended_scenarios, self.forecast.ownership
        value = races.weight @ races.points
        sets = {}
        for penalty in portfolio.PENALTIES:
            optimizer = optimize.LeverageAwareOptimizer(self.slate, own, leverage_penalty=penalty)
            sets[penalty] = optimizer.optimize(value, min(20, self.settings.n_lineups), max_overlap=4)
        table = self.score(sets).table().rename(columns={"portfolio": "penalty"})
        table["entries"] = table["fees"] / self.inputs.contest.entry_fee if self.inputs.contest.entry_fee else np.nan
        metrics = [optimize.lineup_metrics(self.slate, own, lineups) for lineups in sets.values()]
        table["ownership"] = [m["average_ownership"].mean() for m in metrics]
        table["copies"] = [
            expected_copies(x, self.slate, own, self.inputs.contest.entries, contest=self.inputs.contest).mean()
            for x in sets.values()
        ]
        return table

    def record(self, stage: str, numbers: dict) -> None:
        """Add the numbers of a page to `metrics.json` of the report's folder."""
        path = self.out / "metrics.json"
        known = files.read_json(path) if path.exists() else {}
        with files.write_atomically(path) as aside:
            aside.write_text(json.dumps({**known, stage: numbers}, indent=1, sort_keys=True) + "\n", "utf-8")

    def write_outputs(self) -> tuple[str, ...]:
        """Write lineups.csv (DraftKings' bulk upload), lineups_metrics.csv and exposures.csv; say what was written."""
        chosen = self.portfolio
        names = self.slate.names[chosen.lineups]
        drivers = pd.DataFrame(names, columns=[f"driver_{k + 1}" for k in range(names.shape[1])])
        write_lineups(self.out / "lineups.csv", self.slate, chosen.lineups)
        files.write_csv(self.out / "lineups_metrics.csv", pd.concat([drivers, chosen.metrics], axis=1))
        files.write_csv(self.out / "exposures.csv", self.exposures())
        said = f"lineups.csv: {len(names)} lineups in order of choice, ready for DraftKings' bulk upload."
        more = "lineups_metrics.csv and exposures.csv: the same lineups and drivers with their figures."
        return (said, more, *self._fill_entries())

    def _fill_entries(self) -> tuple[str, ...]:
        """Fill the reserved entries of DKEntries.csv, where there is one, by contest and its limit."""
        entries, chosen = self.inputs.files.entries, self.portfolio.lineups
        if entries is None:
            return ()
        limits = {contest.contest_id: contest.max_entries_per_user for contest in self.inputs.contests}
        shares = {c: chosen[: min(n, limits.get(c) or n)] for c, n in entries.by_contest().items()}
        filled = entries.fill(self.inputs.slate, shares)
        filled.write(self.out / "DKEntries.csv")
        return (f"DKEntries.csv: {len(entries)} reserved entries filled by contest, best lineups first.", *filled.notes)

    def exposures(self) -> pd.DataFrame:
        """Return our exposure against the field's ownership by driver, most exposed first; fractions."""
        count = np.bincount(self.portfolio.lineups.ravel(), minlength=len(self.slate))
        table = self.slate.drivers[["driver", "salary"]].assign(
            exposure=count / max(1, len(self.portfolio.lineups)), ownership=self.forecast.table["ownership"]
        )
        table["difference"] = table["exposure"] - table["ownership"]
        return table.sort_values(["exposure", "ownership", "driver"], ascending=[False, False, True], ignore_index=True)

    def _stage(self, name: str, compute):
        """Return a stage from the cache, or compute and keep it."""
        if self.cache_dir is None:
            return compute()
        path = self.cache_dir / f"{name}.pickle"
        if not path.exists():
            value = compute()
            with tempfile.NamedTemporaryFile(dir=self.cache_dir, delete=False) as handle:
                pickle.dump(value, handle, protocol=5)
            os.replace(handle.name, path)
        return pickle.loads(path.read_bytes())


def _ownership_estimator(inputs: Inputs) -> "ownership.HybridOwnershipEstimator":
    saved = inputs.saved.get("ownership")
    if saved:
        return ownership.HybridOwnershipEstimator.from_dict(saved, rules=inputs.slate.rules)
    return ownership.HybridOwnershipEstimator(inputs.slate.rules)


FEWEST_CONTESTS = 3
"""Past contests below which nothing is said about how forecasts turned out."""
CARD_YEARS = 3
"""Years before the race over which the simulator is checked."""
CARD_SCENARIOS = 400
CARD_LEARNS_DAYS = 200
"""Days at the beginning of the history from which the simulator only learns."""


def check_ownership(past: pd.DataFrame, inputs: Inputs, settings: Settings) -> "ownership.CalibrationReport | None":
    """Forecast every past contest from the contests before it, and report how that went."""
    if past["contest_id"].nunique() < FEWEST_CONTESTS:
        return None
    estimator = ownership.HybridOwnershipEstimator(inputs.slate.rules)
    return calibration_report(walk_forward(past, (estimator,), seed=settings.seed))


def check_simulator(inputs: Inputs, rng) -> pd.DataFrame:
    """Forecast the races of this track type of the last years, each by a model that had not seen it, and compare."""
    history, race_ = inputs.history, inputs.race
    learned = history.races["date"].min() + pd.Timedelta(days=CARD_LEARNS_DAYS)
    since = max(race_.date - pd.DateOffset(years=CARD_YEARS), learned)
    recent, same = history.races["date"] >= since, history.races["track_type"] == race_.track_type
    if not (recent & same).any():
        return pd.DataFrame()
    races = history.races[~recent | same]
    results = history.results[history.results["race_id"].isin(races["race_id"])]
    drawn_rng, card_rng = rng.spawn(2)
    drawn = forecast_races(results, races, since, n_scenarios=CARD_SCENARIOS, rng=drawn_rng, months=12)
    card = report_card(drawn, history.results, history.races, card_rng)
    return card[card["track_type"] == race_.track_type].reset_index(drop=True)
