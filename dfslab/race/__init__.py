"""How the race may go: who finishes where, who drops out, when cautions fall, who leads and who sets fastest laps.

A finish model (attrition: who leaves next from the back) learns from earlier races what a driver, his team and his car
are worth, from the grid and from practice; around it a simulator draws cautions, drop-outs, laps led and fastest laps
with figures of the kind of track, and scores every race by DraftKings' rules. `RaceModel.fit` learns, `simulate` gives
`Scenarios`; `finish_record` and `simulator_record` say how forecasts of past races turned out.

>>> import numpy as np, pandas as pd
>>> from dfslab import race, slate
>>> drivers = ["Ann", "Bob", "Cy", "Dot"]
>>> results = pd.concat([
...     pd.DataFrame({"race_id": f"r{k}", "driver": drivers, "start": [1, 2, 3, 4], "finish": order})
...     for k, order in enumerate([[1, 2, 3, 4], [1, 3, 2, 4], [2, 1, 3, 4]])
... ])
>>> races = pd.DataFrame({"race_id": ["r0", "r1", "r2"], "date": ["2024-02-18", "2024-02-25", "2024-03-03"],
...     "track": "Oval", "track_type": "intermediate", "track_length_mi": 1.5, "race_laps": 200})
>>> model = race.RaceModel.fit(results, races)
>>> here = slate.Race("r3", "2024-03-10", "Oval", "intermediate", 1.5, 200)
>>> entry = pd.DataFrame({"driver": drivers, "start": [1, 2, 3, 4]})
>>> drawn = model.simulate(entry, here, 500, np.random.default_rng(1))
>>> drawn.probability(drawn.finish == 1).idxmax()
'Ann'
"""

from dfslab.race._calibrate import fit_mechanics
from dfslab.race._evaluate import forecast_races, simulator_record
from dfslab.race._finish import FinishModel
from dfslab.race._market import market_chances
from dfslab.race._orders import RankModel, fit_attrition, fit_plackett_luce
from dfslab.race._record import FinishRecord, finish_record
from dfslab.race._scenarios import Scenarios
from dfslab.race._simulator import RaceModel
from dfslab.race._tracks import Mechanics

__all__ = [
    "finish_record",
    "FinishModel",
    "FinishRecord",
    "fit_attrition",
    "fit_mechanics",
    "fit_plackett_luce",
    "forecast_races",
    "market_chances",
    "Mechanics",
    "RaceModel",
    "RankModel",
    "Scenarios",
    "simulator_record",
]
