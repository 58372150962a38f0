"""The steps of a race day, its review, tuning and a season: the rooms put to work on a user's folder.

A race day holds all that is known before the start. From it come races, ownership, a portfolio, its scores, and, when
the standings are there, what became of them; every step is one call with its own stream of random numbers, kept by
content so that nothing is computed twice.

>>> day = open_race()
>>> day.race.race_id
'2026-08-23-copperhead-mile'
>>> simulate_race(day, 50).points.shape == (50, len(day.slate))
True
"""

from dfslab.workflow import _tune as tune
from dfslab.workflow._backtest import run_backtest, summarise
from dfslab.workflow._from_files import optimize_files
from dfslab.workflow._race_day import SAMPLE, RaceDay, open_race
from dfslab.workflow._review import review
from dfslab.workflow._verbs import (
    baselines,
    blend_races,
    choose_portfolio,
    fit_race_model,
    forecast_ownership,
    score_portfolios,
    simulate_race,
)

__all__ = [
    "SAMPLE",
    "RaceDay",
    "baselines",
    "blend_races",
    "choose_portfolio",
    "fit_race_model",
    "forecast_ownership",
    "open_race",
    "optimize_files",
    "review",
    "run_backtest",
    "score_portfolios",
    "simulate_race",
    "summarise",
    "tune",
]
