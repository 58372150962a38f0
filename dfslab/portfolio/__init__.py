"""Which lineups to enter, and what they are worth.

A portfolio is built in four steps: candidates from the leverage-aware optimizer, regime by regime; a screening by what
each earns in a simulated contest; a choice of one lineup after another by what it adds, our own entries competing; and
an audit of every rule on the lineups that came out. `generate_regime_aware_portfolio` does all four; whatever a person
may decide (locks, bans, groups, exposure, overlap, ownership, the objective, regime weights and quotas) is an option of
it. `score_portfolios` plays finished portfolios on races and fields that nothing was chosen on, `referee` says which
recipe to play, and a `PromiseMap` what its promise was worth in the past.

>>> from dfslab.portfolio import allocate_lineups_by_regime
>>> allocate_lineups_by_regime(20, {"dominator": 0.52, "chaos": 0.29, "balanced": 0.19})
{'dominator': 12, 'chaos': 5, 'balanced': 3}
"""

from dfslab.portfolio._blend import fit_blend, past_rows
from dfslab.portfolio._build import Workshop, generate_regime_aware_portfolio
from dfslab.portfolio._candidates import shifted
from dfslab.portfolio._choose import allocate_lineups_by_regime
from dfslab.portfolio._portfolio import Portfolio, audit
from dfslab.portfolio._promise import PromiseMap
from dfslab.portfolio._score import Scores, referee, score_portfolios

__all__ = [
    "Portfolio",
    "PromiseMap",
    "Scores",
    "Workshop",
    "allocate_lineups_by_regime",
    "audit",
    "fit_blend",
    "generate_regime_aware_portfolio",
    "past_rows",
    "referee",
    "score_portfolios",
    "shifted",
]
