"""The figures of the race around the finish order, by track type: shipped defaults, and their fit on history."""

import json
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from dfslab.laps import CautionLaw, DropoutLaw, LapLaw, OrderLaw

__all__ = ["Mechanics", "default_mechanics", "fit_mechanics", "mechanics_to_json", "refit_mechanics"]

_DEFAULTS = Path(__file__).with_name("race_defaults.json")
FIELD = 38
"""Drivers in the field the drop-out figures refer to (the usual Cup field, 36-40)."""
STAGE_BREAKS = 2
STAGE_RATIO = 1.15
"""A stage caution lasts this many times another one: 219 stage cautions of 2021-2024 on ovals, 1.08-1.20 by type."""
CAUTION_POWER = 0.75
"""Other cautions grow with the distance to this power: .76 ± .33 in a negative binomial fit on 149 races, 2021-2025."""


@dataclass(frozen=True)
class Mechanics:
    """Figures of one track type; see `dfslab.laps` for what the kernels make of them."""

    stage_ends: tuple[float, ...]
    """Share of the scheduled laps at which each stage but the last ends."""
    stage_probability: float
    caution_mean: float
    """Mean number of cautions other than stage ends over `miles`."""
    caution_size: float
    caution_miles: float
    """Mean miles of such a caution."""
    soon: float
    soon_miles: float
    late: float
    late_share: float
    """Share of the distance that counts as late."""
    miles: float
    crash_mean: float
    """Mean crash drop-outs in a field of 38."""
    crash_size: float
    crash_by_caution: float
    mechanical_mean: float
    mechanical_size: float
    steepness: float
    lap_shape: float
    order_out: float
    order_running: float
    order_by_caution: float
    lead: dict[str, float]
    """Log weight of leading: level, finish (−log), win, start (−log), start_share, worth, dropout; and power."""
    fast: dict[str, float]
    """Log weight of fastest laps: the same and led, log(laps led + 1)."""
    short_run_miles: float
    short_run_loss: float
    """Share of the tie between finish and laps led that is lost when the final green run is short, …"""
    fuel_miles: float
    fuel_loss: float
    """… and when it is beyond the fuel window."""
    lost: float
    lost_by_caution: float

    def others_mean(self, race) -> float:
        """Return the mean number of cautions other than stage ends in `race`."""
        return float(self.caution_mean * (race.sched_laps * race.track_length_mi / self.miles) ** CAUTION_POWER)

    def caution_law(self, race) -> CautionLaw:
        """Return the law of cautions in `race`."""
        length = max(1.0, self.caution_miles / race.track_length_mi)
        return CautionLaw(
            laps=int(race.sched_laps),
            stage_laps=np.rint(np.array(self.stage_ends) * race.sched_laps).astype(np.int64),
            stage_probability=self.stage_probability,
            stage_length=STAGE_RATIO * length,
            mean=self.others_mean(race),
            size=self.caution_size,
            length=length,
            soon=self.soon,
            soon_laps=self.soon_miles / race.track_length_mi,
            late=self.late,
            late_laps=max(1.0, self.late_share * race.sched_laps),
        )

    def dropout_law(self, race, drivers: int) -> DropoutLaw:
        """Return the law of drop-outs in a field of `drivers`."""
        return DropoutLaw(
            self.crash_mean * drivers / FIELD,
            self.crash_size,
            self.crash_by_caution,
            self.mechanical_mean * drivers / FIELD,
            self.mechanical_size,
            self.others_mean(race),
            self.steepness,
            self.lap_shape,
        )

    def order_law(self, race) -> OrderLaw:
        """Return how the order follows the log-worths."""
        mean = self.others_mean(race) + self.stage_probability * len(self.stage_ends)
        return OrderLaw(self.order_out, self.order_running, self.order_by_caution, mean)

    def lap_law(self, race, worth: np.ndarray) -> LapLaw:
        """Return the law of laps led and fastest laps among drivers of log-worths `worth`."""
        place = np.arange(1, len(worth) + 1)
        usual = _by_finish(self.lead, place)
        ties = (1.0 - self.short_run_loss, 1.0, 1.0 - self.fuel_loss)
        return LapLaw(
            lead_finish=np.array([_flattened(usual, tie) for tie in ties]),
            lead_start=_by_start(self.lead, place),
            lead_driver=self.lead["worth"] * worth,
            lead_dropout=self.lead["dropout"],
            lead_power=self.lead["power"],
            fast_finish=_by_finish(self.fast, place),
            fast_start=_by_start(self.fast, place),
            fast_driver=self.fast["worth"] * worth,
            fast_dropout=self.fast["dropout"],
            fast_led=self.fast["led"],
            fast_power=self.fast["power"],
            short_run=max(2, round(self.short_run_miles / race.track_length_mi)),
            fuel_window=max(3, int(np.ceil(self.fuel_miles / race.track_length_mi))),
            laps=int(race.sched_laps),
            lost=self.lost,
            lost_by_caution=self.lost_by_caution,
        )


def _by_finish(weights: dict, place) -> np.ndarray:
    return -weights["finish"] * np.log(place) + weights["win"] * (place == 1)


def _by_start(weights: dict, place) -> np.ndarray:
    return weights["level"] - weights["start"] * np.log(place) - weights["start_share"] * place / len(place)


def _flattened(log_weight, tie: float) -> np.ndarray:
    """Return `log_weight` times `tie`, shifted so that the weights keep their sum."""
    flat = tie * log_weight
    return flat + np.log(np.exp(log_weight).sum() / np.exp(flat).sum())


@cache
def default_mechanics() -> dict[str, Mechanics]:
    """Return the shipped figures by track type (their source is in `race_defaults.json`)."""
    stored = json.loads(_DEFAULTS.read_text())["track_types"]
    return {k: Mechanics(**{**v, "stage_ends": tuple(v["stage_ends"])}) for k, v in stored.items()}


def mechanics_to_json(mechanics: dict[str, Mechanics], source: str) -> str:
    """Return `mechanics` as the text of a defaults file that names its `source`."""
    body = {"source": source, "track_types": {k: _rounded(asdict(v)) for k, v in mechanics.items()}}
    return json.dumps(body, indent=1) + "\n"


def _rounded(value):
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, tuple) else round(float(value), 4)


# ---------------------------------------------------------------- fit

PRIOR_RACES = 5.0
"""Weight of the prior in means, in races."""
PRIOR_PRECISION = 20.0
"""Precision of the prior on a log-linear weight."""
FAMILIES = {"superspeedway": "superspeedway", "road": "road"}
"""Track types that stand alone when the defaults are made; all others share their prior as ovals."""


def fit_mechanics(results: pd.DataFrame, races: pd.DataFrame, worth: pd.DataFrame, prior=None) -> dict[str, Mechanics]:
    """Fit the figures of every track type on history, shrunk to `prior` (left out: the shipped figures).

    Parameters
    ----------
    results, races : history; what needs missing columns (cautions, fastest_laps, laps, dnf) keeps its prior
    worth : frame race_id, driver, log_worth: what was thought of each driver before each race
    prior : figures by track type

    Notes
    -----
    Numbers of cautions and drop-outs are negative binomial, their means shrunk as if the prior were 5 races. Laps led
    and fastest laps are Dirichlet-multinomial with log-linear weights (regression in the manner of [mosimann1962]).
    The places of cautions within a race are not refitted: they need lap-by-lap records.
    """
    prior = default_mechanics() if prior is None else prior
    table = _joined(results, races, worth)
    by_type = dict(list(table.groupby("track_type")))
    return {k: _fit_type(by_type[k], old) if k in by_type else old for k, old in prior.items()}


def refit_mechanics(results: pd.DataFrame, races: pd.DataFrame, worth: pd.DataFrame) -> dict[str, Mechanics]:
    """Fit defaults anew: first families of track types, then each type shrunk to its family.

    The shipped figures were made so; walk-forward checks use it to keep later races out of the prior.
    """
    shipped = default_mechanics()
    family = {k: FAMILIES.get(k, "oval") for k in shipped}
    kinds = races["track_type"].map(lambda k: family.get(k, "oval"))
    start = {f: _family_start(shipped, family, f) for f in set(family.values())}
    broad = fit_mechanics(results, races.assign(track_type=kinds), worth, start)
    own = ("stage_ends", "stage_probability", "soon", "soon_miles", "late", "late_share", "miles")
    prior = {k: replace(broad[family[k]], **{n: getattr(old, n) for n in own}) for k, old in shipped.items()}
    return fit_mechanics(results, races, worth, prior)


def _family_start(shipped, family, name) -> Mechanics:
    """Return the plain mean of the shipped figures of a family."""
    members = [asdict(v) for k, v in shipped.items() if family[k] == name]
    return Mechanics(**{f.name: _mean([m[f.name] for m in members]) for f in fields(Mechanics)})


def _mean(values):
    if isinstance(values[0], dict):
        return {k: _mean([v[k] for v in values]) for k in values[0]}
    return tuple(np.mean(values, axis=0)) if isinstance(values[0], tuple) else float(np.mean(values))


def _joined(results, races, worth) -> pd.DataFrame:
    """Return one frame per driver and race with what the fits need; unknown columns are NaN."""
    facts = ["track_type", "track_length_mi", "sched_laps", "race_laps", "cautions", "caution_laps"]
    known = [c for c in facts if c in races]
    wanted = ["race_id", "driver", "start", "finish", "laps", "laps_led", "fastest_laps", "dnf", "dnf_crash"]
    table = results[[c for c in wanted if c in results]].merge(worth, on=["race_id", "driver"])
    table = table.join(races.drop_duplicates("race_id").set_index("race_id")[known], on="race_id")
    table = table.reindex(columns=[*wanted, *facts, "log_worth"])
    table = table[table["finish"].notna() & table["start"].notna()].reset_index(drop=True)
    race = table.groupby("race_id")
    distance = table["race_laps"].fillna(race["laps"].transform("max")).fillna(race["laps_led"].transform("sum"))
    share = (table["laps"] / distance).clip(0.02, 1.0).fillna(1.0)
    miles = table["sched_laps"].fillna(distance) * table["track_length_mi"]
    return table.assign(n=race["finish"].transform("size"), share=share, miles=miles)


def _fit_type(table: pd.DataFrame, prior: Mechanics) -> Mechanics:
    one = table.drop_duplicates("race_id").set_index("race_id").drop(columns=["dnf", "dnf_crash"])
    sums = table.groupby("race_id")[["dnf", "dnf_crash"]].sum(min_count=1).join(one)
    new = _fit_cautions(one, prior)
    new = _fit_dropouts(sums, new)
    new = _fit_exits(table, new)
    new = _fit_order(table, sums, new)
    lead = _fit_weights(table, "laps_led", new.lead)
    return replace(new, lead=lead, fast=_fit_weights(table, "fastest_laps", new.fast))


def _fit_cautions(one: pd.DataFrame, prior: Mechanics) -> Mechanics:
    known = one[one["cautions"].notna() & one["miles"].notna()]
    if known.empty:
        return prior
    stage = prior.stage_probability * STAGE_BREAKS
    others = (known["cautions"] - stage).clip(lower=0.0).to_numpy()
    scale = (known["miles"].to_numpy() / prior.miles) ** CAUTION_POWER
    mean = _shrunk(others.sum(), scale.sum(), prior.caution_mean)
    slow = known["caution_laps"].notna().to_numpy()
    miles = (known["caution_laps"] * known["track_length_mi"])[slow].sum()
    number = (others + STAGE_RATIO * np.minimum(stage, known["cautions"]))[slow].sum()
    length = _shrunk(miles, number, prior.caution_miles, PRIOR_RACES * (prior.caution_mean + stage))
    size = _fit_size(np.rint(others), mean * scale, prior.caution_size)
    return replace(prior, caution_mean=mean, caution_miles=length, caution_size=size)


def _shrunk(total, exposure, prior, weight=PRIOR_RACES) -> float:
    return float((total + weight * prior) / (exposure + weight))


def _fit_dropouts(sums: pd.DataFrame, prior: Mechanics) -> Mechanics:
    sums = sums[sums["dnf"].notna() & sums["dnf_crash"].notna()]
    if sums.empty:
        return prior
    scale = (sums["n"] / FIELD).to_numpy()
    crash, broken = sums["dnf_crash"].to_numpy(float), (sums["dnf"] - sums["dnf_crash"]).to_numpy(float)
    crash_mean = _shrunk(crash.sum(), scale.sum(), prior.crash_mean)
    mechanical = _shrunk(broken.sum(), scale.sum(), prior.mechanical_mean)
    size = _fit_size(broken, mechanical * scale, prior.mechanical_size)
    new = replace(prior, crash_mean=crash_mean, mechanical_mean=mechanical, mechanical_size=size)
    known = sums["cautions"].notna().to_numpy()
    if not known.any():
        return new
    ratio = (sums["cautions"].to_numpy() - 1.0).clip(1.0)[known] / (prior.caution_mean + 1.0)

    def score(power):
        mean = crash_mean * scale[known] * ratio**power / np.mean(ratio**power)
        return _nb_score(crash[known], mean, prior.crash_size)

    power = _best(np.linspace(0.0, 2.0, 41), score, prior.crash_by_caution, 0.3)
    mean = crash_mean * scale[known] * ratio**power / np.mean(ratio**power)
    return replace(new, crash_by_caution=power, crash_size=_fit_size(crash[known], mean, prior.crash_size))


def _nb_score(counts, mean, size) -> float:
    """Return the negative binomial log likelihood, up to a constant."""
    terms = gammaln(counts + size) - gammaln(size) - (counts + size) * np.log(mean + size)
    return float((terms + size * np.log(size) + counts * np.log(mean)).sum())


def _fit_size(counts, mean, prior: float) -> float:
    grid = np.geomspace(0.5, 60.0, 60)
    return float(np.exp(_best(np.log(grid), lambda x: _nb_score(counts, mean, np.exp(x)), np.log(prior), 0.5)))


def _best(grid, score, prior: float, spread: float) -> float:
    """Return the point of `grid` with the highest score plus normal log prior."""
    values = [score(x) - 0.5 * ((x - prior) / spread) ** 2 for x in grid]
    return float(grid[int(np.argmax(values))])


def _fit_exits(table: pd.DataFrame, prior: Mechanics) -> Mechanics:
    """Fit when drop-outs leave and how sharply they fill the last places."""
    gone = table[(table["dnf"] == 1) & table["laps"].notna()]
    if gone.empty:
        return prior
    shape = (len(gone) + 20.0) / (-np.log(gone["share"]).sum() + 20.0 / prior.lap_shape)
    lists = [(g["finish"].to_numpy(float), g["dnf"].to_numpy() == 1) for _, g in table.groupby("race_id")]
    lists = [(f, d) for f, d in lists if 0 < d.sum() < len(d)]
    steepness = np.exp(
        _best(
            np.log(np.geomspace(0.1, 4.0, 25)),
            lambda x: sum(_filling(f, d, np.exp(x)) for f, d in lists),
            np.log(prior.steepness),
            0.3,
        )
    )
    return replace(prior, lap_shape=float(shape), steepness=float(steepness))


def _filling(finish, out, steepness) -> float:
    """Return the log likelihood that drop-outs take their places when chosen from the back in turn."""
    weight = np.exp(steepness * (finish - finish.max()))
    last_first = np.argsort(-finish[out])
    chosen = weight[out][last_first]
    remaining = weight.sum() - np.concatenate([[0.0], np.cumsum(chosen)[:-1]])
    return float(np.log(chosen / remaining.clip(1e-12)).sum())


ORDER_GRID = np.linspace(0.0, 2.0, 41)


def _fit_order(table: pd.DataFrame, sums: pd.DataFrame, prior: Mechanics) -> Mechanics:
    """Fit how the order follows the log-worths among those who drop out and those who run to the end."""
    if table["dnf"].isna().all():
        return prior
    ratio = (sums["cautions"] + 1.0) / (prior.caution_mean + prior.stage_probability * STAGE_BREAKS + 1.0)
    shuffle = ratio.fillna(1.0) ** -prior.order_by_caution
    out, running = np.zeros(len(ORDER_GRID)), np.zeros(len(ORDER_GRID))
    for race_id, group in table.groupby("race_id"):
        worth = group.sort_values("finish", ascending=False)["log_worth"].to_numpy()
        gone = int(np.nansum(group["dnf"]))
        for j, tie in enumerate(ORDER_GRID):
            out[j] += _attrition(worth * tie)[:gone].sum()
            running[j] += _attrition(worth * (tie * shuffle[race_id]))[gone:].sum()
    tables = {"order_out": out, "order_running": running}
    spread = 0.15
    fitted = {
        k: _best(ORDER_GRID, dict(zip(ORDER_GRID, v, strict=True)).get, getattr(prior, k), spread)
        for k, v in tables.items()
    }
    return replace(prior, **fitted)


def _attrition(worth) -> np.ndarray:
    """Return the log probability of each exit, first to last, of drivers in order of exit."""
    return -worth - np.logaddexp.accumulate(-worth[::-1])[::-1]


def _fit_weights(table: pd.DataFrame, what: str, prior: dict) -> dict:
    """Fit the log-linear weights of laps led or fastest laps, then the power that gives the top share its mean."""
    total = table.groupby("race_id")[what].transform("sum")
    rows = table[(total > 0) & table[what].notna()]
    if rows.empty:
        return prior
    names = [k for k in prior if k != "power"]
    design = _design(rows, names)
    race = pd.factorize(rows["race_id"])[0]
    counts, offset = rows[what].to_numpy(float), np.log(rows["share"].to_numpy(float))
    centre = np.array([prior[k] for k in names])
    fit = minimize(_objective, centre, args=(design, counts, race, offset, centre), jac=True, method="L-BFGS-B")
    weight = np.exp(design @ fit.x + offset)
    power = _matched_power(weight, counts, race, prior["power"])
    return dict(zip(names, map(float, fit.x), strict=True)) | {"power": power}


def _design(rows: pd.DataFrame, names) -> np.ndarray:
    finish, start = rows["finish"].to_numpy(float), rows.groupby("race_id")["start"].rank().to_numpy(float)
    columns = {
        "level": np.ones(len(rows)),
        "finish": -np.log(finish),
        "win": finish == 1,
        "start": -np.log(start),
        "start_share": -start / rows["n"],
        "worth": rows["log_worth"],
        "dropout": rows["dnf"].fillna(0.0),
        "led": np.log(rows["laps_led"].fillna(0.0) + 1.0),
    }
    return np.column_stack([np.asarray(columns[k], float) for k in names])


def _objective(beta, design, counts, race, offset, centre):
    """Return the negative Dirichlet-multinomial log posterior and its gradient."""
    weight = np.exp(np.clip(design @ beta + offset, -20.0, 10.0))
    total, laps = np.bincount(race, weight), np.bincount(race, counts)
    value = (gammaln(total) - gammaln(total + laps)).sum() + (gammaln(weight + counts) - gammaln(weight)).sum()
    slope = (digamma(total) - digamma(total + laps))[race] + digamma(weight + counts) - digamma(weight)
    away = beta - centre
    return (
        -value + 0.5 * PRIOR_PRECISION * (away**2).sum(),
        -(design.T @ (slope * weight)) + PRIOR_PRECISION * away,
    )


def _matched_power(weight, counts, race, prior: float, draws: int = 40) -> float:
    """Return the power of the Dirichlet draws that gives the real mean of the top share, shrunk to `prior`."""
    n = race.max() + 1
    real = (pd.Series(counts).groupby(race).max() / np.bincount(race, counts)).mean()
    log_draw = np.log(np.random.default_rng(0).standard_gamma(weight, (draws, len(weight))) + 1e-300)
    powers = np.linspace(0.5, 1.5, 11)
    tops = [_mean_top(np.exp(p * log_draw), race, n) for p in powers]
    matched = float(np.interp(real, tops, powers))
    return (n * matched + 2 * PRIOR_RACES * prior) / (n + 2 * PRIOR_RACES)


def _mean_top(draw, race, n) -> float:
    first = np.flatnonzero(np.diff(race, prepend=-1))
    return float((np.maximum.reduceat(draw, first, axis=1) / np.add.reduceat(draw, first, axis=1)).mean())
