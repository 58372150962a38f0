"""TODO ownership"""

from dfslab.ownership._estimators import (
    HistoricalOwnership,
    ProjectionOwnership,
    RecentFormOwnership,
    SalarySkillOwnership,
)
from dfslab.ownership._evaluate import (
    CalibrationReport,
    band_table,
    calibration_report,
    gain_table,
    score_forecasts,
    score_table,
    walk_forward,
)
from dfslab.ownership._fit import Prior
from dfslab.ownership._forecast import OwnershipForecast, forecast
from dfslab.ownership._hybrid import HybridOwnershipEstimator

__all__ = [
    "CalibrationReport",
    "band_table",
    "calibration_report",
    "forecast",
    "gain_table",
    "HistoricalOwnership",
    "HybridOwnershipEstimator",
    "OwnershipForecast",
    "Prior",
    "ProjectionOwnership",
    "RecentFormOwnership",
    "SalarySkillOwnership",
    "score_forecasts",
    "score_table",
    "walk_forward",
]
