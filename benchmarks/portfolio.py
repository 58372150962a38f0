"""Portfolios: the whole choice, and the lazy greedy beside one that computes every gain at every step."""

import numpy as np

from benchmarks.timing import compared, seconds_of
from dfslab.contest import FieldScores
from dfslab.field import sample_field
from dfslab.portfolio import Limits, choose_entries, generate_regime_aware_portfolio
from dfslab.workflow import open_lab

LINEUPS, CANDIDATES, SCENARIOS = 150, 20_000, 10_000
SMALL_LINEUPS, SMALL_CANDIDATES, SMALL_SCENARIOS = 50, 2_000, 2_000


def rows(lineups: int = LINEUPS, candidates: int = CANDIDATES, scenarios: int = SCENARIOS) -> list[dict]:
    """Return rows for a whole portfolio on the bundled season's last race, and for lazy against full greedy."""
    lab = open_lab(n_scenarios=scenarios)
    slate, drawn, own = lab.slate, lab.scenarios, lab.forecast.ownership
    contest, draws = lab.inputs.contest, lab.forecast.draws
    sizes = {"n_candidates": candidates, "n_choose": scenarios}

    def build(n, rng, **options):
        return generate_regime_aware_portfolio(slate, drawn, own, contest, n, rng=rng, ownership_draws=draws, **options)

    build(2, np.random.default_rng(0), n_candidates=200, n_choose=200)
    found, seconds = seconds_of(lambda: build(lineups, np.random.default_rng(1), **sizes), repeats=1)
    what = (
        f"portfolio of {lineups} from {candidates:,} candidates, {scenarios:,} scenarios, {contest.entries:,} entries"
    )
    return [
        compared(what, seconds, None, f"greedy ÷ bound {found.greedy_to_bound:.2f}; making and screening included"),
        _lazy_beside_full(slate, drawn, own, contest),
    ]


def _lazy_beside_full(slate, drawn, own, contest) -> dict:
    few = drawn.take(np.arange(min(SMALL_SCENARIOS, len(drawn))))
    field = sample_field(slate, own, contest.entries - SMALL_LINEUPS, contest=contest, rng=np.random.default_rng(2))
    pool = np.unique(sample_field(slate, own, 2 * SMALL_CANDIDATES, rng=np.random.default_rng(3)), axis=0)
    pool = np.random.default_rng(4).permutation(pool)[:SMALL_CANDIDATES]
    stage = FieldScores.from_field(field, few.points, contest, slate.rules)
    limits = Limits(0.6, slate.rules.roster_size - 1, {"all": SMALL_LINEUPS})
    labels = np.full(len(pool), "all", object)

    def choose(**options):
        return choose_entries(stage, pool, labels, SMALL_LINEUPS, limits, weight=few.weight, **options)

    lazy, ours = seconds_of(choose, repeats=3)
    full, naive = seconds_of(lambda: choose(batch=None), repeats=1)
    same = np.mean(lazy.order == full.order)
    note = f"payout lazy ÷ full {lazy.gain.sum() / full.gain.sum():.5f}; {same:.0%} of the choices the same"
    what = f"lazy against full greedy, {SMALL_LINEUPS} from {len(pool):,} candidates, {len(few):,} scenarios"
    return compared(what, ours, naive, note)
