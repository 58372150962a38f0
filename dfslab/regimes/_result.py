"""What tuning found: frames ready for a picture, the verdict in words, and the file that keeps the house default."""

import html
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab import metrics
from dfslab.data import files
from dfslab.regimes._features import RegimeThresholds

FEWEST_PERMUTATIONS = 200
"""Fewer are run when asked, with a note: p is then coarse."""
LEVEL = 0.05


@dataclass(frozen=True, repr=False)
class TuningResult:
    """The walk-forward choice of thresholds and what speaks for and against it.

    Gains are skill: the share of the score of unweighted scenarios that reweighting takes off (.01 is one percent).
    """

    best: RegimeThresholds
    """Chosen on all scored seasons: what the next season would use."""
    in_use: RegimeThresholds
    use: RegimeThresholds | None
    """Thresholds of one's own, if any."""
    score: dict[str, float]
    """Weight of each part of the score."""
    table: pd.DataFrame
    """By candidate of the grid: thresholds, skill, skill_se (gain over all scored races), energy, leader, crash (parts
    of the gain), smoothed (mean with its neighbours), behind, behind_se (the best gain less this one, paired by race),
    plateau (within one error of the best), chosen, in_use."""
    scores: pd.DataFrame
    """Score frame (see `metrics.compare`) of the seasons from the second scored one on: case (race_id), date,
    track_type, season, model, score, value. Models: unweighted; walk-forward (thresholds chosen before each season);
    in use, best, yours (held throughout; the best was chosen on these races, so its gain flatters). Scores: energy,
    leader, crash, each over the mean of unweighted scenarios, so those average 1, and all, their mean by `score`.
    Lower is better."""
    chosen: pd.DataFrame
    """By season: the thresholds chosen before it."""
    placebo: pd.DataFrame
    """(n, models) gain when labels are permuted within season and track type: each permutation repeats the choice."""
    forecasts: pd.DataFrame
    """By scored race and regime: forecast, simulated, base (share of the races before), actual (NaN: not recorded)."""
    knowing: pd.DataFrame
    """By regime: races (scored ones where it is known), skill and skill_se if one knew before the race whether it will
    be of this regime (by `best`): no forecast can gain more from it."""
    timeline: pd.DataFrame
    """Past races: race_id, date, track_type, season, the features, regime (by `best`), known (the features that decide
    the label were recorded), scored."""
    base_rates: pd.DataFrame
    """track_type, regime, rate, races: over the races where it is known."""
    cluster_kappa: float
    """Agreement (Cohen's κ) of the labels with the clusters of `confusion`."""
    confusion: pd.DataFrame
    """Races by label (rows) and cluster of the features (columns): those whose label is known, or all if none is."""
    comparison: pd.DataFrame
    """Walk-forward, in use, best, yours: skill, skill_se, p by the placebo, more, more_se (above those in use)."""
    gain: float
    """Mean walk-forward gain."""
    gain_se: float
    """Standard error of `gain` over races."""
    p: float
    """Share of the permutations that gain as much: (1 + hits) / (1 + n) [phipson2010]."""
    kappa: float
    """Mean agreement (Cohen's κ) of the labels by `best` with those by choices on resampled races."""
    since: pd.Timestamp
    until: pd.Timestamp
    """Races on this day or later were not looked at."""

    @property
    def helps(self) -> bool:
        """Whether reweighting helps: the walk-forward gain is above 0 and p at most .05."""
        return bool(self.gain > 0 and self.p <= LEVEL)

    @property
    def thresholds(self) -> RegimeThresholds:
        """The thresholds to save: one's own if given, else the best where reweighting helps, else those in use."""
        return self.use or (self.best if self.helps else self.in_use)

    @property
    def reweights(self) -> bool:
        """Whether reports with `thresholds` reweight: one's own by their own gain and p, else where it `helps`."""
        if self.use is None:
            return self.helps
        yours = self.comparison.set_index("model").loc["yours"]
        return bool(yours["skill"] > 0 and yours["p"] <= LEVEL)

    @property
    def n_races(self) -> int:
        """Races scored with thresholds chosen before their season."""
        return self.scores["case"].nunique()

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        few = "" if len(self.placebo) >= FEWEST_PERMUTATIONS else f"; {FEWEST_PERMUTATIONS} are needed for a firm one"
        does = "reweight them" if self.helps else "keep the simulator's own frequencies"
        as_much = hits(self.placebo["walk-forward"], self.gain)
        return (
            f"On {self.n_races} races, with thresholds chosen on earlier seasons, reweighting scenarios by regime "
            f"gains {100 * self.gain:.1f} ± {100 * self.gain_se:.1f} % of the score over unweighted ones; "
            f"{as_much} of {len(self.placebo)} permutations of the labels gain as much (p = {self.p:.3f}{few}): {does}."
        )

    @property
    def _walk_forward(self) -> pd.DataFrame:
        return self.scores[self.scores["model"].isin(["unweighted", "walk-forward"])]

    @property
    def by_season(self) -> pd.DataFrame:
        """By season: the thresholds chosen before it, skill in it with se, races."""
        walked = self._walk_forward
        return self.chosen.merge(gains(walked[walked["score"] == "all"], "unweighted", "season"))

    @property
    def parts(self) -> pd.DataFrame:
        """By part of the score: its walk-forward skill with se, its weight in the whole (`all`)."""
        return gains(self._walk_forward, "unweighted", "score").assign(weight=lambda t: t["score"].map(self.score))

    @property
    def by_race(self) -> pd.DataFrame:
        """By race: date, track_type, season, walk-forward gain in each part and in all."""
        about = ["case", "date", "track_type", "season"]
        value = self.scores.pivot(index=about, columns=["model", "score"], values="value")
        return (value["unweighted"] - value["walk-forward"]).rename_axis(columns=None).reset_index()

    def skill(self) -> pd.DataFrame:
        """Return how well each regime was forecast before the scored races where it is known.

        The Brier score of the forecast and of the simulator's own less that of the base rate, paired by race (see
        `metrics.compare`; below 0 is better than the base rate), with the share of races where it `happened`.
        """
        known = self.forecasts.dropna(subset="actual")
        scores = known.melt(["race_id", "regime", "actual"], ["forecast", "simulated", "base"], "model")
        scores = scores.assign(case=scores["race_id"], value=metrics.brier(scores["value"], scores["actual"]))
        happened = known.groupby("regime")["actual"].mean().rename("happened")
        return metrics.compare(scores, "base", ["regime"]).drop(columns="p").join(happened, on="regime")

    def to_dict(self) -> dict:
        """Return what is saved, as plain values for a JSON file: see `save`."""
        names = ("verdict", "helps", "gain", "gain_se", "p", "kappa", "n_races")
        days = {"since": self.since, "until": self.until, "through": self.timeline["date"].max()}
        tables = ("table", "by_season", "by_race", "parts", "comparison", "knowing", "base_rates")
        return {
            "thresholds": self.thresholds.to_dict(),
            "predicted": ["dominator"] * self.reweights,
            "score": self.score,
            "n_permutations": len(self.placebo),
            **{name: getattr(self, name) for name in names},
            **{name: f"{day:%Y-%m-%d}" for name, day in days.items()},
            **{name: json.loads(getattr(self, name).to_json(orient="records", date_format="iso")) for name in tables},
        }

    def save(self, where) -> Path:
        """Write `<data>/models/regimes.json`, the house default from `until` on, and return its path.

        `where` is the data folder, or a race's day that knows it. The file keeps thresholds, verdict, p, grid table,
        gains by season and race, since, until, and the digests of the history behind them.
        """
        return files.write_model(getattr(where, "data_dir", where), "regimes", self.to_dict())

    def __repr__(self) -> str:
        return f"TuningResult({self.verdict})"

    def _repr_html_(self) -> str:
        table = self.comparison.to_html(index=False, border=0, float_format=lambda x: f"{x:.4g}")
        return f"<p>{html.escape(self.verdict)}</p>{table}"


def kappa(counts: np.ndarray) -> float:
    """Return Cohen's κ of a square table of counts; 1 when both sides are one and the same constant."""
    from statsmodels.stats.inter_rater import cohens_kappa  # here, because it takes a second to load

    return 1.0 if counts.max() == counts.sum() else float(cohens_kappa(counts, return_results=False))


def gains(scores: pd.DataFrame, baseline: str, by: str) -> pd.DataFrame:
    """Return by, skill, skill_se, races of all models of a score frame over the baseline."""
    table = metrics.compare(scores, baseline, by=() if by == "model" else (by,))
    table = table.assign(skill=-table["difference"]).rename(columns={"se": "skill_se", "n": "races"})
    return table[[by, "skill", "skill_se", "races"]]


def hits(placebo: pd.Series, gain: float) -> int:
    """Return how many permutations gain as much, to rounding."""
    return int((placebo >= gain - 1e-9).sum())
