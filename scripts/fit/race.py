"""Fit `dfslab/race/defaults.json` on real races: `python -m scripts.fit.race ../shared/data`.

Where the stages end and how often they bring a caution stay as shipped: they were read off lap-by-lap flags once; so do
the powers of the Dirichlet draws and how the order follows the log-worths. Families of track types are fitted first,
then each type is shrunk to its family. The families start from the shipped figures, so a second run moves them a little
further. What `fit_mechanics` leaves alone on a user's history, because refits gain nothing there, is fitted here: the
weights of laps led and fastest laps (Dirichlet-multinomial [mosimann1962], log-linear), spreads, and exits.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from dfslab.race import Mechanics, RaceModel, fit_mechanics
from dfslab.slate import Race

OUT = Path(__file__).parents[2] / "dfslab" / "race" / "defaults.json"
LATE_GRID = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
DRAWS = 2000
ENTRY = pd.DataFrame({"driver": ["a", "b", "c"], "start": [1, 2, 3]})
"""Who races hardly matters for when cautions fall."""


FAMILIES = {"superspeedway": "superspeedway", "road": "road", "short": "short"}
"""Track types that stand alone; all others share their prior as ovals (short tracks wreck a third as many cars as these
or fewer)."""
HALF_LIFE_DAYS = 730.0
STAGE_BREAKS = 2


def fit_figures(results: pd.DataFrame, races: pd.DataFrame, worth: pd.DataFrame, shipped: dict) -> dict[str, Mechanics]:
    """Return the figures of every track type, shrunk to those of its family, which are shrunk to the shipped ones."""
    family = {kind: FAMILIES.get(kind, "oval") for kind in shipped}
    start = {f: mean_of([m for kind, m in shipped.items() if family[kind] == f]) for f in set(family.values())}
    kinds = races.assign(track_type=races["track_type"].map(lambda kind: FAMILIES.get(kind, "oval")))
    broad = fit_laps(results, kinds, worth, fit_spreads(results, kinds, fit_mechanics(results, kinds, start)))
    own = ("stage_ends", "stage_probability", "late", *(n for n in Mechanics._fields if n.startswith("order")))
    prior = {}
    for kind, old in shipped.items():
        one = broad[family[kind]]
        laps = {n: getattr(one, n)._replace(power=getattr(old, n).power) for n in ("lead", "fast")}
        prior[kind] = one._replace(**{n: getattr(old, n) for n in (*own, "leader_share")}, **laps)
    found = fit_laps(results, races, worth, fit_spreads(results, races, fit_mechanics(results, races, prior)))
    powers = {kind: one.lead._replace(power=shipped[kind].lead.power) for kind, one in found.items()}
    return {kind: one._replace(lead=powers[kind]) for kind, one in found.items()}


def mean_of(figures):
    """Return the plain mean of figures of one kind: numbers, or tuples of them with or without names."""
    if not isinstance(figures[0], tuple):
        return float(np.mean(figures))
    means = [mean_of(values) for values in zip(*figures, strict=True)]
    return type(figures[0])(*means) if hasattr(figures[0], "_fields") else tuple(means)


PRIOR_PRECISION = 20.0
"""Precision of the prior on a log-linear weight."""


def fit_laps(results, races, worth, figures: dict[str, Mechanics]) -> dict[str, Mechanics]:
    """Fit the weights of laps led and fastest laps; `worth` holds race_id, driver, log_worth as known before a race."""
    facts = races.drop_duplicates("race_id").set_index("race_id")[["track_type", "race_laps", "date"]]
    table = results.drop(columns=facts.columns, errors="ignore").merge(worth, on=["race_id", "driver"])
    table = table.join(facts, on="race_id").dropna(subset=["track_type", "finish", "start"]).reset_index(drop=True)
    race, age = table.groupby("race_id"), pd.to_datetime(table["date"])
    distance = table["race_laps"].fillna(race["laps"].transform("max"))
    table = table.assign(
        n=race["finish"].transform("size"),
        share=(table["laps"] / distance).clip(0.02, 1.0).fillna(1.0),
        weight=0.5 ** ((age.max() - age).dt.days / HALF_LIFE_DAYS),
    )
    fitted = dict(figures)
    for kind, rows in table.groupby("track_type"):
        lead, fast = figures[kind].lead, figures[kind].fast
        lead, fast = _fit_weights(rows, "laps_led", lead), _fit_weights(rows, "fastest_laps", fast)
        fitted[kind] = figures[kind]._replace(lead=lead, fast=fast)
    return fitted


def _fit_weights(table: pd.DataFrame, what: str, prior):
    """Fit the log-linear weights of laps led or fastest laps, (rows,) counts that share out the laps of each race."""
    total = table.groupby("race_id")[what].transform("sum")
    rows = table[(total > 0) & table[what].notna()]
    if rows.empty:
        return prior
    names = [k for k in prior._fields if k != "power" and (k != "led" or what == "fastest_laps")]
    design, race = _design(rows)[names].to_numpy(float), pd.factorize(rows["race_id"])[0]
    age = rows["weight"].to_numpy()[np.unique(race, return_index=True)[1]]
    centre = np.array([getattr(prior, k) for k in names])
    data = (design, rows[what].to_numpy(float), race, np.log(rows["share"].to_numpy(float)), age, centre)
    found = minimize(laps_loss, centre, args=data, jac=True, method="L-BFGS-B").x
    return prior._replace(**dict(zip(names, map(float, found), strict=True)))


def _design(rows: pd.DataFrame) -> pd.DataFrame:
    start = rows.groupby("race_id")["start"].rank()
    return pd.DataFrame(
        {
            "level": 1.0,
            "finish": -np.log(rows["finish"]),
            "win": rows["finish"] == 1,
            "start": -np.log(start),
            "start_share": -start / rows["n"],
            "worth": rows["log_worth"],
            "dropout": rows["dnf"].fillna(0.0),
            "led": np.log(rows["laps_led"].fillna(0.0) + 1.0),
        }
    )


def laps_loss(beta, design, counts, race, offset, age, centre):
    """Return the negative Dirichlet-multinomial log posterior and its gradient."""
    weight = np.exp(np.clip(design @ beta + offset, -20.0, 10.0))
    total, laps = np.bincount(race, weight), np.bincount(race, counts)
    value = age @ (gammaln(total) - gammaln(total + laps))
    value += age[race] @ (gammaln(weight + counts) - gammaln(weight))
    slope = (digamma(total) - digamma(total + laps))[race] + digamma(weight + counts) - digamma(weight)
    away = beta - centre
    gradient = design.T @ (age[race] * slope * weight)
    return -value + 0.5 * PRIOR_PRECISION * (away**2).sum(), -gradient + PRIOR_PRECISION * away


def simulated_leaders(model: RaceModel, results: pd.DataFrame, races: pd.DataFrame, since="2022-01-01") -> dict:
    """Return the figures of `model` with the mean share of laps its leaders lead in the races from `since` on."""
    rng, shares = np.random.default_rng(0), {}
    known = races[races["date"] >= since].dropna(subset=["track_length_mi", "race_laps"])
    for row in known.itertuples():
        entry = results.loc[results["race_id"] == row.race_id, ["driver", "start"]]
        here = Race(row.race_id, row.date, row.track, row.track_type, row.track_length_mi, int(row.race_laps))
        led = model.simulate(entry, here, 200, rng).laps_led
        shares.setdefault(row.track_type, []).append((led.max(axis=1) / led.sum(axis=1)).mean())
    figures = model.mechanics.items()
    return {kind: m._replace(leader_share=float(np.mean(shares.get(kind, m.leader_share)))) for kind, m in figures}


def fit_spreads(results, races, figures: dict[str, Mechanics]) -> dict[str, Mechanics]:
    """Fit the spreads of the numbers of cautions and drop-outs, how crashes follow cautions, and when cars leave."""
    facts = ["track_type", "track_length_mi", "sched_laps", "race_laps", "cautions", "date"]
    table = results.join(races.set_index("race_id")[facts], on="race_id", rsuffix=" of results")
    table = table.dropna(subset=["track_type", "finish"])
    age = pd.to_datetime(table["date"])
    table = table.assign(weight=0.5 ** ((age.max() - age).dt.days / HALF_LIFE_DAYS))
    kinds = dict(list(table.groupby("track_type")))
    return {kind: _fit_spread(kinds[kind], old) if kind in kinds else old for kind, old in figures.items()}


def _fit_spread(table: pd.DataFrame, old: Mechanics) -> Mechanics:
    one = table.groupby("race_id").agg(
        **{name: (name, "first") for name in ("weight", "cautions", "track_length_mi", "sched_laps", "race_laps")},
        **{name: (name, lambda x: x.sum(min_count=1)) for name in ("dnf", "dnf_crash")},
        n=("finish", "size"),
    )
    one["laps"] = one["sched_laps"].fillna(one["race_laps"])
    one = one.dropna(subset=["dnf", "dnf_crash", "cautions", "laps"])
    if one.empty:
        return old
    here = [old.of(Race("", "2024-01-01", "", "oval", r.track_length_mi, int(r.laps)), r.n) for r in one.itertuples()]
    means = {n: np.array([getattr(m, n) for m in here]) for n in ("caution_mean", "crash_mean", "mechanical_mean")}
    others = (one["cautions"] - old.stage_probability * STAGE_BREAKS).clip(lower=0.0).to_numpy()
    crash, weight = one["dnf_crash"].to_numpy(float), one["weight"].to_numpy()

    def expected(power):
        growth = ((others + 1.0) / (weight @ others / weight.sum() + 1.0)) ** power
        return means["crash_mean"] * growth * weight.sum() / (weight @ growth)

    powers = np.linspace(0.0, 2.0, 41)
    score = [_nb_score(crash, expected(x), old.crash_size, weight) for x in powers]
    power = _best(powers, score, old.crash_by_caution, 0.3)
    broken = one["dnf"].to_numpy(float) - crash
    return _fit_exits(table, one["laps"], old)._replace(
        caution_size=_fit_size(np.rint(others), means["caution_mean"], weight, old.caution_size),
        crash_by_caution=power,
        crash_size=_fit_size(crash, expected(power), weight, old.crash_size),
        mechanical_size=_fit_size(broken, means["mechanical_mean"], weight, old.mechanical_size),
    )


def _nb_score(counts, mean, size, weight) -> float:
    """Return the weighted negative binomial log likelihood, up to a constant."""
    terms = gammaln(counts + size) - gammaln(size) - (counts + size) * np.log(mean + size)
    return float(weight @ (terms + size * np.log(size) + counts * np.log(mean)))


def _fit_size(counts, mean, weight, prior: float) -> float:
    grid = np.geomspace(0.5, 60.0, 60)
    score = [_nb_score(counts, mean, size, weight) for size in grid]
    return float(np.exp(_best(np.log(grid), score, np.log(prior), 0.5)))


def _best(grid, score, prior: float, spread: float) -> float:
    """Return the point of `grid` with the highest score plus normal log prior."""
    return float(grid[int(np.argmax(np.array(score) - 0.5 * ((grid - prior) / spread) ** 2))])


def _fit_exits(table: pd.DataFrame, laps: pd.Series, old: Mechanics) -> Mechanics:
    """Fit when drop-outs leave and how sharply they fill the last places."""
    share = (table["laps"] / table["race_id"].map(laps)).clip(0.02, 1.0)
    gone = (table["dnf"] == 1) & share.notna()
    weight = table.loc[gone, "weight"].to_numpy()
    shape = (weight.sum() + 20.0) / (weight @ -np.log(share[gone]) + 20.0 / old.lap_shape)
    lists = [
        (g["finish"].to_numpy(float), g["dnf"].to_numpy() == 1, g["weight"].iloc[0])
        for _, g in table.groupby("race_id")
    ]
    grid = np.geomspace(0.1, 4.0, 25)
    steepness = np.exp(_best(np.log(grid), [_filling(lists, x) for x in grid], np.log(old.steepness), 0.3))
    return old._replace(lap_shape=float(shape), steepness=float(steepness))


def _filling(lists, steepness) -> float:
    """Return the log likelihood that drop-outs take their places when chosen from the back in turn."""
    total = 0.0
    for finish, out, weight in lists:
        odds = np.exp(steepness * (finish - finish.max()))
        chosen = np.sort(odds[out])
        total += weight * np.log(chosen / (np.cumsum(chosen) + odds[~out].sum())).sum()
    return total


def fit_late_cautions(model: RaceModel, races: pd.DataFrame, segments: pd.DataFrame) -> dict:
    """Return the figures of `model` with the chance of a late caution fitted to lap-by-lap records, by family.

    The chance is chosen on a grid by the Cramér distance between the real and the drawn distribution of the longest
    and the final green run. (Cautions that follow soon after a restart were tried and fit worse.)

    Parameters
    ----------
    races : frame with season, race_no, track_type, track_length_mi, sched_laps, race_laps
    segments : frame season, race_no, start_lap, laps, flag (green or caution), in any order
    """
    runs = green_runs(segments).merge(races, on=["season", "race_no"], suffixes=("", "_listed"))
    fitted = {}
    for name, group in runs.groupby(runs["track_type"].map(lambda kind: FAMILIES.get(kind, "oval"))):
        group = group.assign(distance=group["sched_laps"].fillna(group["race_laps"]))
        fitted[name] = min(LATE_GRID, key=lambda late: _place_distance(group, model, late))
    figures = model.mechanics.items()
    return {kind: old._replace(late=fitted.get(FAMILIES.get(kind, "oval"), old.late)) for kind, old in figures}


def green_runs(segments: pd.DataFrame) -> pd.DataFrame:
    """Return season, race_no, longest_green_run and final_green_run (0: finished under caution), in laps."""
    ordered = segments.sort_values("start_lap")
    green = ordered["laps"].where(ordered["flag"] == "green", 0)
    grouped = green.groupby([ordered["season"], ordered["race_no"]])
    return pd.DataFrame({"longest_green_run": grouped.max(), "final_green_run": grouped.last()}).reset_index()


def _place_distance(group: pd.DataFrame, model: RaceModel, late: float) -> float:
    """Return the Cramér distance of both runs, in shares of the distance, pooled over races."""
    rng, drawn = np.random.default_rng(0), []
    model = replace(model, mechanics={kind: old._replace(late=late) for kind, old in model.mechanics.items()})
    for row in group.itertuples():
        here = Race(row.race_id, row.date, row.track, row.track_type, row.track_length_mi, int(row.distance))
        races = model.simulate(ENTRY, here, DRAWS // len(group) + 20, rng)
        drawn.append(np.column_stack([races.longest_green_run, races.final_green_run]) / row.distance)
    drawn = np.concatenate(drawn)
    real = group[["longest_green_run", "final_green_run"]].to_numpy(float) / group[["distance"]].to_numpy(float)
    grid = np.linspace(0.0, 1.0, 101)
    return sum(((_cdf(drawn[:, j], grid) - _cdf(real[:, j], grid)) ** 2).sum() for j in range(2))


def _cdf(values, grid) -> np.ndarray:
    return np.searchsorted(np.sort(values), grid, side="right") / len(values)


def as_text(mechanics: dict, source: str) -> str:
    """Return `mechanics` as the text of a defaults file that names its `source`."""
    body = {"source": source, "track_types": {kind: _rounded(one) for kind, one in mechanics.items()}}
    return json.dumps(body, indent=1) + "\n"


def _rounded(value):
    if hasattr(value, "_asdict"):
        return {k: _rounded(v) for k, v in value._asdict().items()}
    return [_rounded(v) for v in value] if isinstance(value, tuple) else round(float(value), 4)


def main(data_dir) -> None:
    history = Path(data_dir) / "cup" / "history"
    results, races, segments = (
        pd.read_csv(history / f"{name}.csv", low_memory=False) for name in ("results", "races", "caution_segments")
    )
    model = RaceModel.fit(results, races)
    worth = model.finish.past_log_worth()
    shipped = fit_mechanics(results.head(0), races)
    figures = fit_figures(results, races, worth, shipped)
    source = json.loads(OUT.read_text("utf-8"))["source"]
    late = fit_late_cautions(replace(model, mechanics=figures), races, segments)
    OUT.write_text(as_text(simulated_leaders(replace(model, mechanics=late), results, races), source), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
