"""TODO portfolio"""

from dfslab.portfolio._blend import fit_blend, past_rows
from dfslab.portfolio._build import (
    allocate_lineups_by_regime,
    audit,
    generate_regime_aware_portfolio,
    with_regime_weights,
)
from dfslab.portfolio._candidates import PENALTIES, shifted
from dfslab.portfolio._portfolio import Portfolio
from dfslab.portfolio._score import Scores, score_portfolios

__all__ = [
    "Scores",
    "allocate_lineups_by_regime",
    "audit",
    "fit_blend",
    "generate_regime_aware_portfolio",
    "past_rows",
    "PENALTIES",
    "Portfolio",
    "score_portfolios",
    "shifted",
    "with_regime_weights",
]
