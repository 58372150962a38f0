"""TODO race"""

from dfslab.race._evaluate import forecast_races, report_card, score_simulator
from dfslab.race._finish import FinishModel, summarise_scores
from dfslab.race._orders import RankModel, fit_attrition, fit_plackett_luce
from dfslab.race._simulator import RaceModel, Scenarios

__all__ = [
    "FinishModel",
    "fit_attrition",
    "fit_plackett_luce",
    "forecast_races",
    "RaceModel",
    "RankModel",
    "report_card",
    "Scenarios",
    "score_simulator",
    "summarise_scores",
]
