"""Between races: score every model walk-forward on your own history, choose what has to be chosen, and save it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab import data, metrics
from dfslab.data import files
from dfslab.ownership import HybridOwnershipEstimator, Prior, band_table, gain_table, score_forecasts, score_table
from dfslab.race import FinishModel, finish_scores, forecast_races, skill_table
from dfslab.regimes import REGIMES, RegimeThresholds, TuningResult, past_conditions, race_features, tune_thresholds
from dfslab.workflow import _race_day as pipeline
from dfslab.workflow._as_of import fill_history

__all__ = ["Tuned", "tune_ownership", "tune_race", "tune_regimes"]

SCORED_SHARE = 1 / 3
"""Of the history, from its end, that is forecast and scored when no date is given."""


@dataclass(frozen=True)
class Tuned:
    """What tuning found: tables by title, sentences, and the file that keeps it (None: nothing to keep)."""

    tables: dict[str, pd.DataFrame]
    notes: tuple[str, ...]
    path: Path | None = None


def tune_ownership(
    data_dir, *, series="cup", learn=0, last=None, figures=None, seed=1, progress=lambda line: None
) -> Tuned:
    """Forecast every past contest from earlier ones, score it, and save the pools fitted on all of them.

    Reports of later races use the saved pools; earlier ones fit their own on the contests before them.

    Parameters
    ----------
    learn : the number of earliest contests that are only learned from
    last : score only so many of the latest contests; default all
    figures : a file with cold-start figures to use in place of the shipped ones; then nothing is saved
    """
    history = _past_contests(data_dir, series, seed)
    contests = history["contest_id"].nunique()
    if contests < learn + 3:
        raise data.InputError(
            f"{data_dir}: {contests} contests in history/ownership.csv, {learn + 3} needed; run dfslab ingest"
        )
    progress(f"ownership: {contests} contests, each forecast from earlier ones")
    prior = Prior.shipped() if figures is None else Prior.from_dict(files.read_json(Path(figures)))
    fitted = HybridOwnershipEstimator(prior=prior).fit(history)
    walk = score_forecasts((fitted,), first=learn, seed=seed)
    walk = walk if last is None else walk.last(last)
    path = None
    if figures is None:
        path = pipeline.save_model(data_dir, "ownership", fitted.to_dict(), history["date"].max())
    tables = {"scores": score_table(walk), "bands": band_table(walk), "what the hybrid gains": gain_table(walk)}
    return Tuned(tables, (SCORED, *walk.notes), path)


SCORED = (
    "Errors, CRPS, widths and interval scores in points of ownership; ± one standard error over contests; gains are "
    "paired by contest, positive where the hybrid is better."
)


def _past_contests(data_dir, series, seed) -> pd.DataFrame:
    """Return past contests with what was known before each, where there are results to know it from."""
    if not (Path(data_dir) / "history" / "results.csv").exists():
        return data.history(data_dir, series=series, without_races=True).ownership
    return fill_history(data.history(data_dir, series=series), pipeline.stream(seed, "past contests"))


def tune_race(data_dir, *, series="cup", since=None, seed=1, progress=lambda line: None) -> Tuned:
    """Forecast the finishing order of past races from earlier ones and score it, beside attrition on driver and start.

    Coefficients are refitted every month, records of drivers before every race.
    """
    history = data.history(data_dir, series=series)
    since = _since(history, since)
    progress(f"race: finishing orders from {since:%Y-%m-%d}, each forecast from earlier races")
    scores = finish_scores(history.results, history.races, since, seed=seed)
    note = "Differences are from attrition on driver and start alone, paired by race."
    return Tuned({"finishing order": skill_table(scores)}, (note,))


def tune_regimes(data_dir, *, series="cup", since=None, n_scenarios=500, seed=1, progress=lambda line: None) -> Tuned:
    """Choose the regime thresholds on races their scenarios had not seen and save them for the reports."""
    history = data.history(data_dir, series=series)
    results, races, since = history.results, history.races, _since(history, since)
    simulating, choosing = np.random.default_rng(seed).spawn(2)
    progress(f"regimes: simulating the races from {since:%Y-%m-%d}, each by a model that had not seen it")
    drawn = forecast_races(results, races, since, n_scenarios=n_scenarios, rng=simulating)
    conditions = past_conditions(FinishModel.fit(results, races).past_log_worth(), results, races)
    progress("regimes: choosing the thresholds")
    found = tune_thresholds(drawn.__getitem__, results, races, conditions, since=since, rng=choosing)
    path = pipeline.save_model(data_dir, "regimes", found.to_dict(), races["date"].max())
    table = found.table.sort_values("plateau", ascending=False).head(10)
    told = dominator_skill(drawn, results, races, np.random.default_rng(seed))
    tables = {"dominator told before the race": told, "ten best candidates": table}
    return Tuned(tables | {"base rates": found.base_rates.reset_index()}, _said(found), path)


def dominator_skill(drawn: dict, results, races, rng) -> pd.DataFrame:
    """Return Brier skill over the base rate and AUC of `dominator`, each with its 95 % bootstrap interval over races.

    `drawn` holds the scenarios of every race, told before it; the label is one driver leading half the laps or more,
    the baseline its share in all earlier races.
    """
    features = race_features(results, races)
    led = (features["leader_share"] >= RegimeThresholds().leader_share).astype(float)
    dates = pd.to_datetime(races.set_index("race_id")["date"])
    base = np.array([led[dates.reindex(led.index) < dates[race_id]].mean() for race_id in drawn])
    code = REGIMES.index("dominator")
    chance = np.array([s.weight @ (s.regime == code) for s in drawn.values()])
    happened = led.reindex(list(drawn)).to_numpy()
    rows = [
        ("Brier skill over the base rate", *metrics.brier_skill(chance, happened, base, rng=rng)),
        ("AUC", *metrics.auc(chance, happened, rng=rng)),
    ]
    return pd.DataFrame(rows, columns=["score", "value", "low", "high"]).assign(races=len(drawn))


def _said(found: TuningResult) -> tuple[str, ...]:
    chosen = ", ".join(f"{name} {value:g}" for name, value in found.thresholds.to_dict().items())
    worth = "worth having" if found.helps else "not told apart from no reweighting"
    return (
        f"Chosen on {found.n_races} races: {chosen}.",
        f"Gain of reweighting {found.gain:.4f} ± {found.gain_se:.4f} a race ({worth}); with permuted labels "
        f"{found.placebo:.4f} ± {found.placebo_se:.4f}.",
        f"Agreement (κ) with choices on resamples {found.kappa:.2f}, with a clustering {found.cluster_kappa:.2f}.",
    )


def _since(history, since) -> pd.Timestamp:
    """Return the first date to score: as told, or the one that leaves the last part of the history."""
    dates = pd.to_datetime(history.races["date"]).sort_values()
    if dates.empty:
        raise data.InputError("history/races.csv holds no race of this series; run dfslab fetch first")
    told = dates.iloc[int(len(dates) * (1 - SCORED_SHARE))] if since is None else pd.to_datetime(since)
    if not (dates < told).any() or not (dates >= told).any():
        raise data.InputError(
            f"races from {told:%Y-%m-%d}: the history has {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}, races are "
            "needed before and after; choose another date"
        )
    return told
