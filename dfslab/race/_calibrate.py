"""Fit the figures of the race around the finish order on history, by track type."""

from dataclasses import asdict, fields, replace

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from dfslab.race._tracks import (
    CAUTION_POWER,
    FIELD,
    REFERENCE_MILES,
    STAGE_BREAKS,
    STAGE_RATIO,
    TIE_SHARES,
    TIES,
    USUAL_MILES,
    Mechanics,
    default_mechanics,
)

PRIOR_RACES = 5.0
"""Weight of the prior in means, in races."""
PRIOR_PRECISION = 20.0
"""Precision of the prior on a log-linear weight."""
HALF_LIFE_DAYS = 730.0
"""Age at which a race counts half: the car of 2022 made races less predictable and wrecks more frequent."""
DROP_OUT_HALF_LIFE_DAYS = 365.0
"""The same for the numbers of drop-outs, which change faster: 300 to 400 days foretold those of 2020-2023 best, with
.012 ± .006 more log score of crash drop-outs a race than two years, .016 ± .010 on the 2024-2025 kept for the check."""
FAMILIES = {"superspeedway": "superspeedway", "road": "road", "short": "short"}
"""Track types that stand alone when the defaults are made; all others share their prior as ovals (short tracks wreck
a third as many cars as these or fewer)."""


def family_of(track_type: str) -> str:
    """Return the family in which a track type shares its prior."""
    return FAMILIES.get(track_type, "oval")


def fit_mechanics(results: pd.DataFrame, races: pd.DataFrame, worth: pd.DataFrame, prior=None) -> dict[str, Mechanics]:
    """Fit the figures of every track type on history, shrunk to `prior` (left out: the shipped figures).

    Parameters
    ----------
    results, races : history; what needs missing columns (cautions, fastest_laps, laps, dnf) keeps its prior
    worth : frame race_id, driver, log_worth as known before each race (`FinishModel.past_log_worth`)
    prior : figures by track type

    Notes
    -----
    A race counts half for every two years of age, for the numbers of drop-outs every year. Numbers of cautions and
    drop-outs are negative binomial, their means shrunk as if the prior were 5 races. Laps led and fastest laps are
    Dirichlet-multinomial [mosimann1962] with log-linear weights. Two things are not refitted: the places of cautions
    within a race, which need lap-by-lap records, and how the order follows the log-worths: refits by likelihood made
    races of 2022–2025 too predictable (rank probability score 5.343 with refits, 5.325 without).
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
    family = {kind: family_of(kind) for kind in shipped}
    kinds = races["track_type"].map(family_of)
    start = {f: _family_start(shipped, family, f) for f in set(family.values())}
    broad = fit_mechanics(results, races.assign(track_type=kinds), worth, start)
    own = ("stage_ends", "stage_probability", "late")
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
    facts = ["track_type", "track_length_mi", "sched_laps", "race_laps", "cautions", "caution_laps", "date"]
    known = [c for c in facts if c in races]
    wanted = ["race_id", "driver", "start", "finish", "laps", "laps_led", "fastest_laps", "dnf", "dnf_crash"]
    table = results[[c for c in wanted if c in results]].merge(worth, on=["race_id", "driver"])
    table = table.join(races.drop_duplicates("race_id").set_index("race_id")[known], on="race_id")
    table = table.reindex(columns=[*wanted, *facts, "log_worth"])
    table = table[table["finish"].notna() & table["start"].notna()].reset_index(drop=True)
    race, date = table.groupby("race_id"), pd.to_datetime(table["date"])
    length = table["track_length_mi"].fillna(table["track_type"].map(USUAL_MILES))
    distance = table["race_laps"].fillna(race["laps"].transform("max")).fillna(race["laps_led"].transform("sum"))
    return table.assign(
        n=race["finish"].transform("size"),
        share=(table["laps"] / distance).clip(0.02, 1.0).fillna(1.0),
        track_length_mi=length,
        miles=table["sched_laps"].fillna(distance) * length,
        weight=0.5 ** ((date.max() - date).dt.days / HALF_LIFE_DAYS),
        recent=0.5 ** ((date.max() - date).dt.days / DROP_OUT_HALF_LIFE_DAYS),
    )


def _fit_type(table: pd.DataFrame, prior: Mechanics) -> Mechanics:
    one = table.drop_duplicates("race_id").set_index("race_id").drop(columns=["dnf", "dnf_crash"])
    one = one.join(table.groupby("race_id")[["dnf", "dnf_crash"]].sum(min_count=1))
    new = _fit_cautions(one, prior)
    new = _fit_dropouts(one, new)
    new = _fit_exits(table, new)
    lead = _fit_weights(table, "laps_led", new.lead)
    return replace(new, lead=lead, fast=_fit_weights(table, "fastest_laps", new.fast))


def _fit_cautions(one: pd.DataFrame, prior: Mechanics) -> Mechanics:
    known = one[one[["cautions", "miles"]].notna().all(axis=1)]
    if known.empty:
        return prior
    weight, stage = known["weight"].to_numpy(), prior.stage_probability * STAGE_BREAKS
    others = (known["cautions"] - stage).clip(lower=0.0).to_numpy()
    scale = (known["miles"].to_numpy() / REFERENCE_MILES) ** CAUTION_POWER
    mean = _shrunk(weight @ others, weight @ scale, prior.caution_mean)
    miles = (known["caution_laps"] * known["track_length_mi"]).to_numpy()
    number = others + STAGE_RATIO * np.minimum(stage, known["cautions"].to_numpy())
    slow = ~np.isnan(miles)
    strength = PRIOR_RACES * (prior.caution_mean + stage)
    length = _shrunk(weight[slow] @ miles[slow], weight[slow] @ number[slow], prior.caution_miles, strength)
    size = _fit_size(np.rint(others), mean * scale, weight, prior.caution_size)
    return replace(prior, caution_mean=mean, caution_miles=length, caution_size=size)


def _shrunk(total, exposure, prior, strength=PRIOR_RACES) -> float:
    return float((total + strength * prior) / (exposure + strength))


def _fit_dropouts(one: pd.DataFrame, prior: Mechanics) -> Mechanics:
    one = one[one[["dnf", "dnf_crash"]].notna().all(axis=1)]
    if one.empty:
        return prior
    weight, scale = one["recent"].to_numpy(), (one["n"] / FIELD).to_numpy()
    crash, broken = one["dnf_crash"].to_numpy(float), (one["dnf"] - one["dnf_crash"]).to_numpy(float)
    mechanical = _shrunk(weight @ broken, weight @ scale, prior.mechanical_mean)
    new = replace(
        prior,
        crash_mean=_shrunk(weight @ crash, weight @ scale, prior.crash_mean),
        mechanical_mean=mechanical,
        mechanical_size=_fit_size(broken, mechanical * scale, weight, prior.mechanical_size),
    )
    known = one["cautions"].notna().to_numpy()
    if not known.any():
        return new
    others = (one["cautions"].to_numpy()[known] - prior.stage_probability * STAGE_BREAKS).clip(0.0)
    return _fit_crashes(crash[known], new.crash_mean * scale[known], others, weight[known], new)


def _fit_crashes(crash, mean, others, weight, prior: Mechanics) -> Mechanics:
    """Fit how crash drop-outs grow with cautions, and their spread around that."""

    def expected(power):
        growth = ((others + 1.0) / (weight @ others / weight.sum() + 1.0)) ** power
        return mean * growth * weight.sum() / (weight @ growth)

    power = _best(
        np.linspace(0.0, 2.0, 41),
        lambda x: _nb_score(crash, expected(x), prior.crash_size, weight),
        prior.crash_by_caution,
        0.3,
    )
    return replace(
        prior, crash_by_caution=power, crash_size=_fit_size(crash, expected(power), weight, prior.crash_size)
    )


def _nb_score(counts, mean, size, weight) -> float:
    """Return the weighted negative binomial log likelihood, up to a constant."""
    terms = gammaln(counts + size) - gammaln(size) - (counts + size) * np.log(mean + size)
    return float(weight @ (terms + size * np.log(size) + counts * np.log(mean)))


def _fit_size(counts, mean, weight, prior: float) -> float:
    grid = np.log(np.geomspace(0.5, 60.0, 60))
    return float(np.exp(_best(grid, lambda x: _nb_score(counts, mean, np.exp(x), weight), np.log(prior), 0.5)))


def _best(grid, score, prior: float, spread: float) -> float:
    """Return the point of `grid` with the highest score plus normal log prior."""
    values = [score(x) - 0.5 * ((x - prior) / spread) ** 2 for x in grid]
    return float(grid[int(np.argmax(values))])


def _fit_exits(table: pd.DataFrame, prior: Mechanics) -> Mechanics:
    """Fit when drop-outs leave and how sharply they fill the last places."""
    gone = table[(table["dnf"] == 1) & table["laps"].notna()]
    if gone.empty:
        return prior
    weight = gone["weight"].to_numpy()
    shape = (weight.sum() + 20.0) / (weight @ -np.log(gone["share"]) + 20.0 / prior.lap_shape)
    lists = [
        (g["finish"].to_numpy(float), g["dnf"].to_numpy() == 1, g["weight"].iloc[0])
        for _, g in table.groupby("race_id")
        if 0 < (g["dnf"] == 1).sum() < len(g)
    ]
    grid = np.log(np.geomspace(0.1, 4.0, 25))
    steepness = _best(grid, lambda x: _filling(lists, np.exp(x)), np.log(prior.steepness), 0.3)
    return replace(prior, lap_shape=float(shape), steepness=float(np.exp(steepness)))


def _filling(lists, steepness) -> float:
    """Return the log likelihood that drop-outs take their places when chosen from the back in turn."""
    total = 0.0
    for finish, out, weight in lists:
        odds = np.exp(steepness * (finish - finish.max()))
        chosen = np.sort(odds[out])
        total += weight * np.log(chosen / (np.cumsum(chosen) + odds[~out].sum())).sum()
    return total


def _fit_weights(table: pd.DataFrame, what: str, prior: dict) -> dict:
    """Fit the log-linear weights of laps led or fastest laps, then the power that gives the top share its mean."""
    total = table.groupby("race_id")[what].transform("sum")
    rows = table[(total > 0) & table[what].notna()]
    if rows.empty:
        return prior
    names = [k for k in prior if k != "power"]
    design, race = _design(rows, names), pd.factorize(rows["race_id"])[0]
    age = rows["weight"].to_numpy()[np.unique(race, return_index=True)[1]]
    counts, offset = rows[what].to_numpy(float), np.log(rows["share"].to_numpy(float))
    centre = np.array([prior[k] for k in names])
    data = (design, counts, race, offset, age, centre)
    fit = minimize(_objective, centre, args=data, jac=True, method="L-BFGS-B")
    found = dict(zip(names, map(float, fit.x), strict=True))
    weights = [np.exp(design @ fit.x + offset + shift) for shift in _tie_shifts(found, rows, race)]
    shares = TIE_SHARES if "led" not in found else (1.0, 0.0, 0.0)
    return found | {"power": _matched_power(weights, shares, counts, race, age, prior["power"])}


def _tie_shifts(found: dict, rows: pd.DataFrame, race) -> list[np.ndarray]:
    """Return what each tie of laps led to the finish adds to the log weights, (rows,) by tie; no ties but for led."""
    if "led" in found:
        return [np.zeros(len(rows))] * len(TIES)
    finish = rows["finish"].to_numpy(float)
    usual = -found["finish"] * np.log(finish) + found["win"] * (finish == 1)
    total = np.bincount(race, np.exp(usual))
    shifts = [(tie - 1.0) * usual for tie in TIES]
    return [s + np.log(total / np.bincount(race, np.exp(usual + s)))[race] for s in shifts]


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


def _objective(beta, design, counts, race, offset, age, centre):
    """Return the negative Dirichlet-multinomial log posterior and its gradient."""
    weight = np.exp(np.clip(design @ beta + offset, -20.0, 10.0))
    total, laps = np.bincount(race, weight), np.bincount(race, counts)
    value = age @ (gammaln(total) - gammaln(total + laps))
    value += age[race] @ (gammaln(weight + counts) - gammaln(weight))
    slope = (digamma(total) - digamma(total + laps))[race] + digamma(weight + counts) - digamma(weight)
    away = beta - centre
    gradient = design.T @ (age[race] * slope * weight)
    return -value + 0.5 * PRIOR_PRECISION * (away**2).sum(), -gradient + PRIOR_PRECISION * away


def _matched_power(weights, shares, counts, race, age, prior: float, draws: int = 40) -> float:
    """Return the power of the Dirichlet draws that gives the real mean of the top share, shrunk to `prior`.

    The draws have each of `weights` (rows,) in the share of cases given by `shares`.
    """
    first, age_share = np.flatnonzero(np.diff(race, prepend=-1)), age / age.sum()
    real = age_share @ (np.maximum.reduceat(counts, first) / np.add.reduceat(counts, first))
    powers, tops = np.linspace(0.5, 1.5, 11), np.zeros(11)
    for weight, often in zip(weights, shares, strict=True):
        if often > 0:
            log_draw = np.log(np.random.default_rng(0).standard_gamma(weight, (draws, len(weight))) + 1e-300)
            tops += often * np.array([age_share @ _tops(np.exp(p * log_draw), first) for p in powers])
    matched = float(np.interp(real, tops, powers))
    return (age.sum() * matched + 2 * PRIOR_RACES * prior) / (age.sum() + 2 * PRIOR_RACES)


def _tops(draw, first) -> np.ndarray:
    """Return the mean top share by race of (draws, rows) weights."""
    return (np.maximum.reduceat(draw, first, axis=1) / np.add.reduceat(draw, first, axis=1)).mean(axis=0)
