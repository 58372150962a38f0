"""Legal lineups: how many there are, which are best, how a crowd spreads over them, and why there is none.

A slate of forty drivers has some three million lineups of six within $50,000. `LineupProblem` says which of them are
allowed; each wish is one `Rule`, a bound on a sum over the lineup's drivers. The same problem is what the exact search
(`best_lineups`, milliseconds), integer programming and the explanations of an empty answer look at. `LineupLaw` is the
crowd: the most even-handed distribution of legal lineups in which every driver has the ownership he is known to have.

>>> from dfslab.lineups import LineupLaw, best_lineups
>>> from dfslab.rules import ContestRules
>>> rules, salary = ContestRules(roster_size=2, salary_cap=80), [50, 40, 30, 20]
>>> best_lineups([30, 28, 20, 5], salary, rules, n=2).tolist()
[[0, 2], [1, 2]]
>>> law = LineupLaw.fit([0.5, 0.4, 0.6, 0.5], salary, rules)
>>> law.marginals().round(6).tolist()
[0.5, 0.4, 0.6, 0.5]
"""

from dfslab.lineups._exact import SearchTooLarge, best_lineups, take_in_order
from dfslab.lineups._explain import why_few, why_none
from dfslab.lineups._law import InfeasibleOwnership, LineupLaw
from dfslab.lineups._paths import distinct
from dfslab.lineups._problem import LineupProblem, Rule
from dfslab.lineups._search import search, search_set

__all__ = [
    "InfeasibleOwnership",
    "LineupLaw",
    "LineupProblem",
    "Rule",
    "SearchTooLarge",
    "best_lineups",
    "distinct",
    "search",
    "search_set",
    "take_in_order",
    "why_few",
    "why_none",
]
