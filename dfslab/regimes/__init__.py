"""What kind of race it was, how likely each kind is before the race, and where to draw the lines between the kinds.

One car dominates, wrecks shuffle the order, or neither (fuel mileage is a fourth kind, off by default): `race_features`
measure a finished race and a simulated one alike, `classify_scenario_regime` labels them by `RegimeThresholds`, and
`RegimeModel` says before a race how likely each label is, from past races where it is known. `tune_thresholds` chooses
the thresholds by what reweighted scenarios were worth on later seasons; its `TuningResult` says if they were worth it:
`.verdict` in words, `.scores` (one score frame) with `.comparison`, `.by_season`, `.by_race` and `.parts`, `.table`
over the grid, `.placebo` with `.p`, `.knowing` (what a perfect forecast would gain), `.timeline` of past
races, `.confusion` with a clustering, `.forecasts` with their `.skill()`, and `.save()` for
later reports of the data folder.

>>> import pandas as pd
>>> features = race_features(pd.DataFrame({
...     "race_id": "2024-bristol", "start": [1, 2, 3], "finish": [2, 1, 3],
...     "laps_led": [260, 140, 100], "dk_points": [90.0, 60.0, 40.0], "dnf": [0, 0, 0],
... }))
>>> classify_scenario_regime(features, RegimeThresholds(leader_share=0.5)).to_dict()
{'2024-bristol': 'dominator'}
"""

from dfslab.regimes._features import (
    REGIMES,
    RegimeThresholds,
    classify_scenario_regime,
    label_races,
    race_features,
    regime_codes,
)
from dfslab.regimes._model import RegimeModel, past_conditions, race_conditions
from dfslab.regimes._result import TuningResult
from dfslab.regimes._tune import tune_thresholds

__all__ = [
    "classify_scenario_regime",
    "label_races",
    "past_conditions",
    "race_conditions",
    "race_features",
    "regime_codes",
    "RegimeModel",
    "REGIMES",
    "RegimeThresholds",
    "tune_thresholds",
    "TuningResult",
]
