"""TODO regimes"""

from dfslab.regimes._features import (
    REGIMES,
    RegimeThresholds,
    classify_scenario_regime,
    feature_matrix,
    race_features,
    regime_codes,
)
from dfslab.regimes._model import (
    RegimeModel,
    TuningResult,
    past_conditions,
    race_conditions,
    regime_weights,
    tune_thresholds,
)

__all__ = [
    "classify_scenario_regime",
    "feature_matrix",
    "past_conditions",
    "race_conditions",
    "race_features",
    "regime_codes",
    "regime_weights",
    "RegimeModel",
    "REGIMES",
    "RegimeThresholds",
    "tune_thresholds",
    "TuningResult",
]
