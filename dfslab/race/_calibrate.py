"""Fit the figures of the race around the finish order on history, by track type, shrunk to those shipped."""

import numpy as np
import pandas as pd

from dfslab.race._kernels import STAGE_RATIO
from dfslab.race._tracks import STAGE_BREAKS, USUAL_MILES, Mechanics, default_mechanics, exposures

PRIOR_RACES = 5.0
"""Weight of the prior in means, in races."""
HALF_LIFE_DAYS = 730.0
"""Age at which a race counts half: the car of 2022 made races less predictable and wrecks more frequent."""
DROP_OUT_HALF_LIFE_DAYS = 365.0
"""The same for the numbers of drop-outs, which change faster: 300 to 400 days foretold those of 2020-2023 best, with
.012 ± .006 more log score of crash drop-outs a race than two years, .016 ± .010 on the 2024-2025 kept for the check."""
SHARE_BY_POWER = 0.29
"""How much the leader's share of the laps grows with the log of the power of the draws of laps led: powers .9 and .8
times as high took .030 and .064 off it on 126 Cup races, .031 and .065 on 87 Xfinity races."""


def fit_mechanics(results: pd.DataFrame, races: pd.DataFrame, prior=None) -> dict[str, Mechanics]:
    """Fit what a history moves of the figures of every track type, shrunk to `prior` (left out: the shipped figures).

    Parameters
    ----------
    results, races : history; what needs missing columns (cautions, laps_led, dnf) keeps its prior
    prior : figures by track type

    Notes
    -----
    Mean numbers of cautions and drop-outs, the length of cautions and the leader's share of the laps are shrunk as if
    the prior were 5 races; the power of the draws of laps led follows the share. The rest stays: refits of the weights
    of laps led and fastest laps made leaders too strong (.038 ± .014 of the laps on 126 Cup races, .012 ± .014 without)
    and changed the CRPS of points by -.002 ± .005 there, by .026 ± .012 on 87 Xfinity races, whose fastest laps follow
    no driver's strength; refits of spreads, of when and where drop-outs leave and of how they follow cautions changed
    it by -.005 ± .010, and refits of how the order follows the log-worths made races too predictable (rank probability
    score 5.343, without 5.325).
    """
    prior = default_mechanics() if prior is None else prior
    by_type = dict(list(_facts(results, races).groupby("track_type")))
    return {k: _fit_type(by_type[k], old) if k in by_type else old for k, old in prior.items()}


def _facts(results, races) -> pd.DataFrame:
    """Return a row per race with what the fits need; what is unknown is NaN."""
    facts = ["track_type", "track_length_mi", "sched_laps", "race_laps", "cautions", "caution_laps", "date"]
    race = results.reindex(columns=["race_id", "finish", "laps", "laps_led", "dnf", "dnf_crash"])
    race = race.dropna(subset="finish").groupby("race_id")
    table = race[["laps_led", "dnf", "dnf_crash"]].sum(min_count=1).assign(n=race.size())
    table = table.join(races.drop_duplicates("race_id").set_index("race_id").reindex(columns=facts), how="inner")
    age = pd.to_datetime(table["date"])
    age = (age.max() - age).dt.days
    length = table["track_length_mi"].fillna(table["track_type"].map(USUAL_MILES))
    laps = table["sched_laps"].fillna(table["race_laps"]).fillna(race["laps"].max()).fillna(table["laps_led"])
    return table.assign(
        leader=race["laps_led"].max() / table["laps_led"].where(table["laps_led"] > 0),
        track_length_mi=length,
        miles=laps * length,
        weight=0.5 ** (age / HALF_LIFE_DAYS),
        recent=0.5 ** (age / DROP_OUT_HALF_LIFE_DAYS),
    )


def _fit_type(one: pd.DataFrame, prior: Mechanics) -> Mechanics:
    stage = prior.stage_probability * STAGE_BREAKS
    others = (one["cautions"] - stage).clip(lower=0.0)
    number = others + STAGE_RATIO * one["cautions"].clip(upper=stage)
    slow = one["caution_laps"] * one["track_length_mi"]
    distance, field = exposures(one["miles"], one["n"])
    strength = PRIOR_RACES * (prior.caution_mean + stage)
    share = _rate(one["leader"], one["leader"] ** 0, one["weight"], prior.leader_share)
    power = prior.lead.power * np.exp((share - prior.leader_share) / SHARE_BY_POWER)
    return prior._replace(
        caution_mean=_rate(others, distance, one["weight"], prior.caution_mean),
        caution_miles=_rate(slow, number, one["weight"], prior.caution_miles, strength),
        crash_mean=_rate(one["dnf_crash"], field, one["recent"], prior.crash_mean),
        mechanical_mean=_rate(one["dnf"] - one["dnf_crash"], field, one["recent"], prior.mechanical_mean),
        leader_share=share,
        lead=prior.lead._replace(power=float(power)),
    )


def _rate(count, exposure, weight, prior: float, strength=PRIOR_RACES) -> float:
    """Return the weighted count by exposure where both are known, as if `strength` of exposure had shown the prior."""
    known = count.notna() & exposure.notna()
    total, seen = (weight[known] @ x[known].astype(float) for x in (count, exposure))
    return float(prior + (total - seen * prior) / (seen + strength))
