"""An open research lab for NASCAR daily fantasy.

The rooms (`race`, `ownership`, `portfolio`, …) hold the models; the verbs put them to work on a race:

    import dfslab as dfs

    day = dfs.open_race()                            # the latest race of the bundled sample season
    races = dfs.simulate_race(day)                   # how the race may go
    crowd = dfs.forecast_ownership(day, races)       # what the field will roster
    mine = dfs.choose_portfolio(day, races, crowd)   # which lineups to enter

A room is loaded when it is first touched.
"""

import importlib
import os

# The matrices here are small: threads inside BLAS only wait for each other. Takes effect before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from dfslab.parallel import keep_compiled_code

keep_compiled_code()

__version__ = "0.1.0"

_ROOMS = (
    *("contest", "data", "errors", "field", "lineups", "metrics", "optimize", "ownership", "parallel", "portfolio"),
    *("race", "regimes", "report", "rules", "sample", "slate", "workflow"),
)
_VERBS = {
    "workflow": (
        *("open_race", "fit_race_model", "simulate_race", "forecast_ownership", "blend_races", "choose_portfolio"),
        *("baselines", "score_portfolios", "review"),
    ),
    "workflow._tune": ("tune_thresholds",),
    "report": ("table", "figure", "stats", "notes", "checks"),
}
_HOME = {verb: room for room, verbs in _VERBS.items() for verb in verbs}

__all__ = sorted([*_HOME, *_ROOMS])  # pyright: ignore


def __getattr__(name: str):
    if name in _ROOMS:
        return importlib.import_module(f"dfslab.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(f"dfslab.{_HOME[name]}"), name)
    raise AttributeError(f"module 'dfslab' has no attribute '{name}'; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
