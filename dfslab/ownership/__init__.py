"""What the field will roster, and how sure one can be of it.

Every forecast is a law on legal lineups, so ownership sums to the roster size, stays below one and costs what fields
spend. Each estimator reads one kind of evidence: what a driver drew before (`HistoricalOwnership`), projected points or
a vendor's forecast (`ProjectionOwnership`), salary, skill and start (`SalarySkillOwnership`), recent form
(`RecentFormOwnership`), and the portfolios of fictitious entrants with an optimizer (`OptimizerOwnership`);
`HybridOwnershipEstimator` pools them by how they did on past contests, each forecast from earlier ones alone. Without
any past contest the figures that ship stand in: NASCAR's for a race. `forecast` gives the table with its bands, which
answers `why(driver)` and `given({driver: share})`; `walk_forward` says how past forecasts turned out, and
`score_cold_start` how those of races that were left out of all that was learned.

>>> import numpy as np
>>> from dfslab import ownership
>>> from dfslab.slate import Slate
>>> slate = Slate.from_frame({"driver": list("ABCDEFGH"), "salary": range(6000, 10000, 500)})
>>> crowd = ownership.forecast(slate, rng=np.random.default_rng(1))
>>> round(float(crowd.ownership.sum()), 6), round(float(crowd.given({"A": 0.5}).ownership["A"]), 6)
(6.0, 0.5)
"""

from dfslab.ownership._board import simulated_columns
from dfslab.ownership._evaluate import OwnershipRecord, fit_cold_start, score_cold_start, walk_forward
from dfslab.ownership._fit import Prior
from dfslab.ownership._forecast import OwnershipForecast, forecast
from dfslab.ownership._hybrid import (
    HistoricalOwnership,
    HybridOwnershipEstimator,
    OptimizerOwnership,
    ProjectionOwnership,
    RecentFormOwnership,
    SalarySkillOwnership,
)

__all__ = [
    "HistoricalOwnership",
    "HybridOwnershipEstimator",
    "OptimizerOwnership",
    "OwnershipForecast",
    "OwnershipRecord",
    "Prior",
    "ProjectionOwnership",
    "RecentFormOwnership",
    "SalarySkillOwnership",
    "fit_cold_start",
    "forecast",
    "score_cold_start",
    "simulated_columns",
    "walk_forward",
]
