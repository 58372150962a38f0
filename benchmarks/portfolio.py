"""Portfolios: the whole choice, from candidates to audit."""

import numpy as np

from benchmarks.timing import compared, seconds_of
from dfslab.portfolio import generate_regime_aware_portfolio
from dfslab.workflow import forecast_ownership, open_race, simulate_race

LINEUPS, CANDIDATES, SCENARIOS = 150, 20_000, 10_000


def rows(lineups: int = LINEUPS, candidates: int = CANDIDATES, scenarios: int = SCENARIOS) -> list[dict]:
    """Return rows for a whole portfolio on the bundled season's last race."""
    day = open_race()
    drawn = simulate_race(day, scenarios)
    crowd = forecast_ownership(day, drawn)
    slate, own, contest, draws = crowd.slate, crowd.ownership, day.contest, crowd.draws
    sizes = {"n_candidates": candidates, "n_choose": scenarios}

    def build(n, rng, **options):
        return generate_regime_aware_portfolio(slate, drawn, own, contest, n, rng=rng, ownership_draws=draws, **options)

    build(2, np.random.default_rng(0), n_candidates=200, n_choose=200)
    found, seconds = seconds_of(lambda: build(lineups, np.random.default_rng(1), **sizes), repeats=1)
    what = (
        f"portfolio of {lineups} from {candidates:,} candidates, {scenarios:,} scenarios, {contest.entries:,} entries"
    )
    note = f"greedy ÷ bound {found.greedy_to_bound:.2f}; making and screening included"
    return [compared(what, seconds, None, note)]
