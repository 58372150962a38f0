"""The contest: where our lineups rank in a field, how ties are split, and what is paid, race by simulated race.

Our entries are part of the contest: they compete with the field and with each other, equal scores share the prizes of
the ranks they cover, and in a full contest what is paid out is the pool, to the cent.

>>> prizes = [{"min_rank": 1, "max_rank": 1, "prize": 10}, {"min_rank": 2, "max_rank": 2, "prize": 5}]
>>> two_of_three = Contest(entry_fee=5, entries=3, payouts=prizes)
>>> simulate_contest([[0, 1]], [[0, 2], [1, 2]], [[30.0, 20.0, 20.0]], two_of_three).payout
array([[7.5]])
"""

from dfslab.contest._kernels import split_tied_prizes
from dfslab.contest._simulate import (
    ContestError,
    ContestResult,
    FieldScores,
    OurEntries,
    field_runs,
    mean_and_error,
    simulate_contest,
)
from dfslab.slate import Contest

__all__ = [
    "Contest",
    "ContestError",
    "ContestResult",
    "field_runs",
    "FieldScores",
    "mean_and_error",
    "OurEntries",
    "simulate_contest",
    "split_tied_prizes",
]
