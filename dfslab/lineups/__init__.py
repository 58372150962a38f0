"""TODO lineups"""

from dfslab.lineups._exact import SearchTooLarge, best_lineups, enumerate_lineups
from dfslab.lineups._explain import blocking_minima, why_few, why_none
from dfslab.lineups._law import InfeasibleOwnership, LineupLaw
from dfslab.lineups._milp import EXACT, Rule, Space, best_set, exact_lineups, milp_lineups, scaled_value
from dfslab.lineups._paths import distinct, is_legal

__all__ = [
    "best_lineups",
    "best_set",
    "blocking_minima",
    "distinct",
    "enumerate_lineups",
    "EXACT",
    "exact_lineups",
    "InfeasibleOwnership",
    "is_legal",
    "LineupLaw",
    "milp_lineups",
    "Rule",
    "scaled_value",
    "SearchTooLarge",
    "Space",
    "why_few",
    "why_none",
]
