"""TODO workflow"""

from dfslab.workflow._backtest import run_backtest, summarise
from dfslab.workflow._from_files import optimize_files
from dfslab.workflow._inputs import SAMPLE, check_extras, check_inputs, latest_race
from dfslab.workflow._race_day import Lab, check_settings, open_lab, stream
from dfslab.workflow._review import after_race, ownership_errors, read_outcome
from dfslab.workflow._tune import tune_ownership, tune_race, tune_regimes

__all__ = [
    "after_race",
    "check_extras",
    "check_inputs",
    "check_settings",
    "Lab",
    "latest_race",
    "open_lab",
    "optimize_files",
    "ownership_errors",
    "read_outcome",
    "run_backtest",
    "SAMPLE",
    "stream",
    "summarise",
    "tune_ownership",
    "tune_race",
    "tune_regimes",
]
