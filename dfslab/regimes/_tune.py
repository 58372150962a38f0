"""The choice of thresholds: walk-forward, by what reweighted scenarios are worth on races they had not seen."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.special import expit
from scipy.stats import sem

from dfslab.errors import UserError, as_day, whole_number
from dfslab.regimes._features import (
    BOUNDS,
    FEATURES,
    REGIMES,
    RegimeThresholds,
    known_regimes,
    label_races,
    race_features,
    regime_codes,
)
from dfslab.regimes._model import base_rates, design_of, dominators, fit_logit, with_dominator
from dfslab.regimes._result import TuningResult, gains, hits, kappa

GRID = {
    "leader_share": (0.40, 0.45, 0.50, 0.55, 0.60, 0.65),
    "dropout_share": (0.20, 0.25, 0.30),
    "cautions": (10.0, 12.0, 14.0),
}
"""Thresholds that `tune_thresholds` tries where no others are given."""
TIE = 1e-6
"""Skill within which candidates count as equal: more than rounding makes of it."""
SHOWN = ["race_id", "date", "track_type", "season", "scored", *FEATURES]
"""Columns of `TuningResult.timeline` beside the labels."""
PARTS = ("energy", "leader", "crash")
"""Parts of the score: points vector of the drivers, leader's share of the laps, crash drop-outs."""


def tune_thresholds(
    simulated: Mapping,
    results: pd.DataFrame,
    races: pd.DataFrame,
    conditions: pd.DataFrame,
    *,
    rng: np.random.Generator,
    since=None,
    until=None,
    grid: Mapping | None = None,
    score: str = "energy+leader+crash",
    in_use: RegimeThresholds | None = None,
    use: Mapping | None = None,
    n_permutations: int = 200,
    n_resamples: int = 100,
) -> TuningResult:
    """Choose the regime thresholds by what reweighted scenarios are worth on races they had not seen.

    Every scored season is forecast by logits fitted on the seasons before it. The thresholds that count in a season
    were chosen on the scored seasons before it, so the first one only teaches. A placebo repeats all of this on labels
    permuted within season and track type.

    Parameters
    ----------
    simulated : `Scenarios` by race_id, all of equal weight, each drawn by a model fitted before that race
    results, races : history frames
    conditions : `past_conditions` of history, as known before each race
    since : first day of the races scored; left out, all that are simulated
    until : as of this day: races on it or later are not looked at
    grid : threshold → values to try; thresholds left out, or without values, stay as they are in use; default `GRID`
    score : parts of the score joined by +, see Notes
    in_use : the thresholds in use, which win ties (default `RegimeThresholds()`)
    use : thresholds of one's own by name, compared on the same races; what is left out stays as in use
    n_permutations : of the placebo; 200 are needed for a verdict that stands
    n_resamples : bootstrap choices behind κ

    Notes
    -----
    Energy score [gneiting2007] of the points vector, CRPS of the leader's share of the laps and CRPS of crash
    drop-outs, without bins and unbiased in the number of scenarios [ferro2014], each as skill against unweighted
    scenarios (mean gain over mean score), averaged. All three are `a·w − w·B·w / 2` in the weights `w` of the
    regimes, so a permutation costs four numbers a race. The choice is the highest plateau: the mean gain of a
    candidate and its neighbours on the grid.
    """
    in_use = in_use or RegimeThresholds()
    until = conditions["date"].max() + pd.Timedelta(days=1) if until in (None, "") else as_day(until, "until")
    past = _past(results, races, conditions[conditions["date"] < until], simulated, since, until)
    candidates = _Candidates.of(_grid(grid), in_use, use)
    walk = _Walk(past, candidates, simulated, results, _weights(score))
    return _result(walk, until, whole_number(n_permutations, "n_permutations", 0), n_resamples, rng)


# ---------------------------------------------------------------- what is asked


def _grid(grid: Mapping | None) -> dict[str, tuple[float, ...]]:
    unknown = set(grid or ()) - set(BOUNDS)
    if unknown:
        raise UserError(f"grid: {', '.join(sorted(unknown))} unknown; thresholds are {', '.join(BOUNDS)}")
    lists = {name: np.unique(np.asarray(values, float)).tolist() for name, values in (grid or {}).items()}
    return {name: tuple(values) for name, values in lists.items() if values} or GRID


def _weights(score: str) -> np.ndarray:
    """Return the weight of each of `PARTS`, summing to 1."""
    named = [name.strip() for name in score.split("+")]
    if set(named) - set(PARTS):
        raise UserError(f"score: {score!r} given; name parts out of {' + '.join(PARTS)}")
    weights = np.array([name in named for name in PARTS], float)
    return weights / weights.sum()


@dataclass(frozen=True)
class _Candidates:
    """Thresholds to score: those on the grid first, nearest to the ones in use ahead, so that these win ties."""

    listed: list[RegimeThresholds]
    fixed: dict[str, int]
    """Which of them are `in use` and, if any, `yours`: they are compared whatever is chosen."""
    smooth: np.ndarray
    """The averaging matrix over each candidate of the grid and those one step away in one threshold."""

    @classmethod
    def of(cls, grid, in_use, use) -> "_Candidates":
        own = in_use.to_dict()
        home = [np.abs(np.subtract(values, own[name])).argmin() for name, values in grid.items()]
        steps = np.array([*np.ndindex(*map(len, grid.values()))])
        steps = steps[np.abs(steps - home).sum(axis=1).argsort(kind="stable")]
        listed = [replace(in_use, **{n: grid[n][k] for n, k in zip(grid, step, strict=True)}) for step in steps]
        near = np.abs(steps[:, None] - steps).sum(axis=2) <= 1
        fixed = {"in use": in_use} | ({} if use is None else {"yours": RegimeThresholds.from_dict(own | use)})
        every = list(dict.fromkeys([*listed, *fixed.values()]))
        return cls(every, {k: every.index(c) for k, c in fixed.items()}, near / near.sum(axis=1, keepdims=True))

    def choice(self, skill: np.ndarray) -> int:
        """Return the candidate on the highest plateau of `skill` (C,): of equal ones the nearest to those in use."""
        smoothed = self.smooth @ skill[: len(self.smooth)]
        return int(np.argmax(smoothed >= smoothed.max() - TIE))


def _past(results, races, conditions, simulated, since, until) -> pd.DataFrame:
    """Return finished races in order of date: conditions, features, season, and whether they are scored."""
    since = conditions["date"].min() if since in (None, "") else as_day(since, "since")
    features = race_features(results[results["race_id"].isin(conditions.index)], races)
    past = conditions.sort_values("date", kind="stable").join(features)
    past = past.assign(
        season=past["date"].dt.year, scored=past.index.isin(list(simulated)) & (past["date"] >= since).to_numpy()
    )
    seasons = past.loc[past["scored"], "season"].nunique()
    if seasons < 2:
        raise UserError(
            f"regimes: {int(past['scored'].sum())} races of {seasons} season from {since:%Y-%m-%d} to before "
            f"{until:%Y-%m-%d}; thresholds are chosen on one season and scored in the next, so give an earlier "
            "since, or more history"
        )
    return past


def _permutation(past: pd.DataFrame, rng) -> np.ndarray:
    """Return rows of history permuted within season and track type, (H,)."""
    group = past.groupby(["season", "track_type"]).ngroup().to_numpy()
    permuted = np.empty(len(group), int)
    permuted[np.argsort(group, kind="stable")] = np.lexsort((rng.random(len(group)), group))
    return permuted


# ---------------------------------------------------------------- the score


def _reduce(drawn, results: pd.DataFrame, listed) -> tuple[np.ndarray, ...]:
    """Return the scores of a race as quadratic forms in the regimes' probabilities.

    (C, 3, 4) mean distance from the scenarios of a regime to what came, by candidate and part; (C, 3, 4, 4) mean
    distance between the scenarios of two regimes; (C, 4) scenarios of each regime.
    """
    features = race_features(drawn)
    near, between = _distances(drawn, features["leader_share"].to_numpy(), results)
    codes = np.array([regime_codes(features, c) for c in listed])
    member = (codes[..., None] == np.arange(len(REGIMES))).astype(float)
    counts = member.sum(axis=1)
    member /= np.maximum(counts, 1.0)[:, None]
    return near @ member, np.einsum("csi,pst,ctj->cpij", member, between, member, optimize=True), counts


def _distances(drawn, share, results: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return distances from each scenario to what came, (3, S), and between scenarios, (3, S, S), by part."""
    real = results.set_index("driver").reindex(drawn.drivers)
    actual, led, crashed = real[["dk_points", "laps_led", "dnf_crash"]].to_numpy(float).T
    known = ~np.isnan(actual)
    parts = [
        (drawn.points[:, known], actual[known]),
        (share[:, None], [np.nanmax(led) / max(np.nansum(led), 1.0)]),
        (drawn.crashed.sum(axis=1)[:, None], [np.nansum(crashed)]),
    ]
    return np.array([cdist(x, [came])[:, 0] for x, came in parts]), np.array([cdist(x, x) for x, _ in parts])


class _Walk:
    """All candidates (C) through all scored races (R), with labels of history (H) as they are or permuted."""

    def __init__(self, past: pd.DataFrame, candidates: _Candidates, simulated, results, weights):
        self.past, self.candidates, self.weights = past, candidates, weights
        self.design, self.scored = design_of(past), np.flatnonzero(past["scored"])
        self.season = past["season"].to_numpy()[self.scored]
        self.later = np.flatnonzero(self.season > self.season.min())
        self.limits = pd.DataFrame([c.to_dict() for c in candidates.listed])
        self.codes = np.array([regime_codes(past, c) for c in candidates.listed])
        self.known = np.array([known_regimes(past, c) for c in candidates.listed])
        by_race = dict(iter(results.groupby("race_id")))
        forms = [_reduce(simulated[r], by_race[r], candidates.listed) for r in past.index[self.scored]]
        self.near, self.between, self.counts = (np.array(x) for x in zip(*forms, strict=True))
        self.simulated = self.counts / self.counts.sum(axis=2, keepdims=True)
        self.even = self._scores(self.simulated)
        self.unweighted = self.even[:, 0]
        every = [dominators(*labels) for labels in zip(self.codes, self.known, strict=True)]
        self.dominated, self.of = np.unique(every, axis=0, return_inverse=True)

    def probabilities(self, permuted=None) -> np.ndarray:
        """Return the chance of each regime before each scored race, (R, C, 4)."""
        chance = np.full(self.simulated.shape[:2], np.nan)
        dominated = self.dominated if permuted is None else self.dominated[:, permuted]
        for year in np.unique(self.season):
            before, rows = (self.past["season"] < year).to_numpy(), self.season == year
            fitted = np.array([fit_logit(self.design[before], labels[before]) for labels in dominated])
            chance[rows] = expit(self.design[self.scored[rows]] @ fitted.T)[:, self.of.ravel()]
        return with_dominator(self.simulated, chance)

    def gains(self, probabilities) -> np.ndarray:
        """Return score of unweighted less that of reweighted scenarios, (R, C, 3)."""
        return self.even - self._scores(probabilities)

    def _scores(self, probabilities) -> np.ndarray:
        share = np.where(self.counts > 0, probabilities, 0.0)
        total = share.sum(axis=2, keepdims=True)
        share = np.where(total > 0, share / np.where(total > 0, total, 1.0), self.simulated)  # as `RaceModel.simulate`
        same = (share**2 / np.maximum(self.counts, 1.0)).sum(axis=2)
        spread = np.einsum("rcpij,rci,rcj->rcp", self.between, share, share) / np.maximum(1.0 - same, 1e-9)[..., None]
        return np.einsum("rcpi,rci->rcp", self.near, share) - 0.5 * spread

    def skill(self, gains, rows=slice(None)) -> np.ndarray:
        """Return the skill over the scored races `rows`: one number of gains (R, 3), (C,) of (R, C, 3)."""
        return self.as_skill(gains[rows].mean(axis=0), rows) @ self.weights

    def as_skill(self, gains, rows=slice(None)) -> np.ndarray:
        """Return gains (…, 3) as shares of the mean unweighted scores of the races `rows`; 0 for what nobody knows."""
        scale = self.unweighted[rows].mean(axis=0)
        return np.divide(gains, scale, out=np.zeros(np.shape(gains)), where=scale > 0)

    def choices(self, gains) -> np.ndarray:
        """Return the candidate of every scored race, (R,): chosen on the seasons before, at first the one in use."""
        chosen = np.full(len(self.season), self.candidates.fixed["in use"])
        for year in np.unique(self.season)[1:]:
            chosen[self.season == year] = self.candidates.choice(self.skill(gains, self.season < year))
        return chosen

    def placebo(self, n: int, best: int, rng) -> pd.DataFrame:
        """Return the gains of `n` permutations of the labels, chosen anew before each season and held throughout."""
        rows = []
        for _ in range(n):
            gains = self.gains(self.probabilities(_permutation(self.past, rng)))
            rows.append({name: self.skill(v, self.later) for name, v in self.by_model(gains, best).items()})
        return pd.DataFrame(rows, columns=["walk-forward", *self.models(best)], dtype=float)

    def models(self, best: int) -> dict[str, int]:
        """Return the candidates that are held throughout, by their names in the score frame."""
        fixed = self.candidates.fixed
        return {"in use": fixed["in use"], "best": best} | fixed

    def by_model(self, gains, best: int) -> dict[str, np.ndarray]:
        """Return the gains of every model in every scored race, (R, 3) each."""
        walked = {"walk-forward": gains[np.arange(len(gains)), self.choices(gains)]}
        return walked | {name: gains[:, k] for name, k in self.models(best).items()}


# ---------------------------------------------------------------- what is found


def _result(walk: _Walk, until, n_permutations: int, n_resamples: int, rng) -> TuningResult:
    placebo_rng, resample_rng, cluster_rng = rng.spawn(3)
    past, candidates = walk.past, walk.candidates
    chances = walk.probabilities()
    gains = walk.gains(chances)
    best, walked = candidates.choice(walk.skill(gains)), walk.choices(gains)
    codes, known = labels = walk.codes[best], walk.known[best]
    n, decided = len(gains), known[:, -1]
    picks = [candidates.choice(walk.skill(gains, resample_rng.integers(n, size=n))) for _ in range(n_resamples)]
    scores, placebo = _scores(walk, walk.by_model(gains, best)), walk.placebo(n_permutations, best, placebo_rng)
    thresholds = {name: candidates.listed[k] for name, k in walk.models(best).items()}
    held = walk.limits.iloc[list(walk.models(best).values())].set_axis(list(thresholds))
    comparison, confusion = _comparison(scores, placebo, held), _confusion(past, *labels, cluster_rng)
    chosen = walk.limits.iloc[walked].set_axis(walk.season).rename_axis("season").iloc[walk.later].reset_index()
    return TuningResult(
        best=thresholds["best"],
        in_use=thresholds["in use"],
        use=thresholds.get("yours"),
        score=dict(zip(PARTS, walk.weights.tolist(), strict=True)),
        table=_table(walk, gains, best),
        scores=scores,
        chosen=chosen.drop_duplicates("season", ignore_index=True),
        placebo=placebo,
        forecasts=_forecasts(walk, chances, walked),
        knowing=_knowing(walk, best),
        timeline=label_races(past.reset_index()[SHOWN], thresholds["best"]),
        base_rates=base_rates(past["track_type"], *labels),
        confusion=confusion,
        cluster_kappa=kappa(confusion.to_numpy()),
        comparison=comparison,
        **dict(zip(("gain", "gain_se", "p"), comparison.loc[0, ["skill", "skill_se", "p"]].astype(float), strict=True)),
        kappa=float(np.mean([kappa(_counts(codes[decided], walk.codes[k][decided])) for k in picks])),
        since=past["date"].iloc[walk.scored[0]],
        until=until,
    )


def _comparison(scores: pd.DataFrame, placebo: pd.DataFrame, held: pd.DataFrame) -> pd.DataFrame:
    """Return the models side by side, p by permutations [phipson2010]; see `TuningResult.comparison`."""
    every = scores[scores["score"] == "all"]
    table = gains(every, "unweighted", "model")
    more = gains(every[every["model"] != "unweighted"], "in use", "model").drop(columns="races")
    p = [(1 + hits(placebo[name], skill)) / (1 + len(placebo)) for name, skill in table[["model", "skill"]].to_numpy()]
    more = more.rename(columns={"skill": "more", "skill_se": "more_se"})
    return table.assign(p=p).merge(more, how="left").join(held, on="model")


def _table(walk: _Walk, gains, best: int) -> pd.DataFrame:
    """Return the grid with gains over all scored races; see `TuningResult.table`."""
    n = len(walk.candidates.smooth)
    parts = walk.as_skill(gains[:, :n]) * walk.weights
    by_race = parts.sum(axis=2)
    gain, short = by_race.mean(axis=0), by_race[:, [by_race.mean(axis=0).argmax()]] - by_race
    table = walk.limits[:n].assign(skill=gain, skill_se=sem(by_race))
    table = table.assign(**dict(zip(PARTS, parts.mean(axis=0).T, strict=True)), smoothed=walk.candidates.smooth @ gain)
    table = table.assign(behind=short.mean(axis=0), behind_se=sem(short))
    table["plateau"] = table["behind"] <= table["behind_se"] + TIE
    return table.assign(chosen=table.index == best, in_use=table.index == walk.candidates.fixed["in use"])


def _scores(walk: _Walk, gains: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return the score frame of the seasons that thresholds were chosen for; see `TuningResult.scores`."""
    later = walk.later
    base = walk.unweighted[later]
    about = walk.past.iloc[walk.scored[later]][["date", "track_type", "season"]]
    tables = []
    for model, gained in {"unweighted": np.zeros_like(base), **{k: v[later] for k, v in gains.items()}}.items():
        parts = walk.as_skill(base - gained, later)
        for score, value in (*zip(PARTS, parts.T, strict=True), ("all", parts @ walk.weights)):
            tables.append(about.assign(model=model, score=score, value=value))
    return pd.concat(tables).rename_axis("case").reset_index()


def _forecasts(walk: _Walk, chances, walked) -> pd.DataFrame:
    """Return what was forecast of every regime before every scored race, under the thresholds chosen before it."""
    season, every = walk.past["season"], np.arange(len(walked))
    happened = np.where(walk.known, walk.codes[..., None] == np.arange(len(REGIMES)), np.nan)
    before = [pd.DataFrame(happened[k, season < y]).mean() for k, y in zip(walked, walk.season, strict=True)]
    columns = {"forecast": chances[every, walked], "simulated": walk.simulated[every, walked]}
    columns |= {"base": np.array(before), "actual": happened[walked, walk.scored]}
    ids = walk.past.index[walk.scored].repeat(len(REGIMES))
    named = {"race_id": ids, "regime": np.tile(REGIMES, len(walked))}
    return pd.DataFrame(named | {name: values.ravel() for name, values in columns.items()})


def _knowing(walk: _Walk, best: int) -> pd.DataFrame:
    """Return what knowing before the race whether it will be of a regime would gain; see `TuningResult.knowing`."""
    codes, known = walk.codes[best, walk.scored], walk.known[best, walk.scored]
    rows = []
    for k, regime in enumerate(REGIMES):
        forecast = walk.simulated * (np.arange(len(REGIMES)) != k)
        forecast[codes == k] = np.arange(len(REGIMES)) == k
        gained = pd.Series(walk.as_skill(walk.gains(forecast)[known[:, k], best]) @ walk.weights, dtype=float)
        rows.append({"regime": regime, "races": len(gained), "skill": gained.mean(), "skill_se": gained.sem()})
    return pd.DataFrame(rows)


def _confusion(past: pd.DataFrame, codes, known, rng) -> pd.DataFrame:
    """Return races by label (rows) and k-means cluster of the features, each named by its commonest label."""
    from scipy.cluster.vq import kmeans2

    known = known[:, -1] if known[:, -1].sum() > len(REGIMES) else np.ones(len(codes), bool)
    values = past[list(FEATURES)].to_numpy(float)[known]
    values = values[:, np.isfinite(values).all(axis=0)]
    values = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)
    cluster = kmeans2(values, len(REGIMES), minit="++", seed=rng)[1]
    named = pd.Series(codes[known]).groupby(cluster).transform(lambda x: x.value_counts().index[0])
    table = pd.DataFrame(_counts(codes[known], named), REGIMES, REGIMES)
    return table.rename_axis(index="label", columns="cluster")


def _counts(a, b) -> np.ndarray:
    """Return how often two vectors of labels say each pair of regimes, (4, 4)."""
    return np.histogram2d(a, b, bins=np.arange(len(REGIMES) + 1))[0].astype(int)
