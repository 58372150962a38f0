"""Contests: this package beside a plain numpy loop, in one run on the same lineups and scenarios."""

import time

import numpy as np
import pandas as pd

from dfslab.contest import Contest, expected_payouts, simulate_contest
from dfslab.field import sample_field
from dfslab.lineups import LineupLaw
from dfslab.rules import DRAFTKINGS_NASCAR
from dfslab.slate import Slate

ENTRIES = 50_000
OURS = 150
SCENARIOS = 2_000
NAIVE_SCENARIOS = 40


def rows() -> list[dict]:
    """Return one row per comparison: seconds of ours and of the plain loop for the same work, and their ratio."""
    slate, ownership, points = _race()
    field = sample_field(slate, ownership, ENTRIES - OURS, rng=np.random.default_rng(1))
    spread = LineupLaw(np.zeros(len(slate)), slate.salary, slate.rules).sample(100_000, np.random.default_rng(2))
    return [
        _against_loop("realistic field", spread[:OURS], field, points),
        _against_loop(
            "field without a copy", spread[:OURS], np.unique(spread[OURS:], axis=0)[: ENTRIES - OURS], points
        ),
        _candidates(spread, field, points),
    ]


def _race():
    rng = np.random.default_rng(0)
    salary = np.sort(rng.integers(48, 115, 38) * 100)[::-1]
    slate = Slate.from_frame(pd.DataFrame({"driver": [f"driver {i}" for i in range(38)], "salary": salary}))
    law = LineupLaw(rng.normal(0, 0.8, 38) + salary / 4000, slate.salary, slate.rules)
    points = np.rint(rng.normal(28 + salary / 1000, 25, (SCENARIOS, 38)) * 20) / 20
    return slate, law.marginals(), points


def _contest(entries: int) -> Contest:
    table = [(1, 1, 50_000.0), (2, 10, 5_000.0), (11, 100, 500.0), (101, 1_000, 60.0), (1_001, 11_000, 15.0)]
    return Contest(10.0, entries, [{"min_rank": a, "max_rank": b, "prize": p} for a, b, p in table])


def naive_payouts(lineups, field, points, contest) -> np.ndarray:
    """Return payouts (S, L) by a loop over scenarios: score everybody, sort, share tied ranks."""
    everybody = np.concatenate([lineups, field])
    upto = np.concatenate([[0], np.cumsum(contest.prizes)])
    payout = np.zeros((len(points), len(lineups)))
    for s, x in enumerate(points):
        score = np.rint(x[everybody].sum(axis=1) / DRAFTKINGS_NASCAR.tick)
        ordered = np.sort(-score)
        above = np.searchsorted(ordered, -score[: len(lineups)], "left")
        reached = np.searchsorted(ordered, -score[: len(lineups)], "right")
        payout[s] = (upto[reached] - upto[above]) / (reached - above) / 100
    return payout


def _against_loop(name: str, lineups, field, points) -> dict:
    contest = _contest(len(lineups) + len(field))
    simulate_contest(lineups, field, points[:16], contest)
    start, cpu = time.perf_counter(), time.process_time()
    ours = simulate_contest(lineups, field, points, contest).payout
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    start = time.perf_counter()
    naive = naive_payouts(lineups, field, points[:NAIVE_SCENARIOS], contest)
    loop = (time.perf_counter() - start) * len(points) / NAIVE_SCENARIOS
    equal = np.array_equal(ours[:NAIVE_SCENARIOS], naive) or np.abs(ours[:NAIVE_SCENARIOS] - naive).max() < 1e-9
    speed = contest.entries * len(points) / cpu / 1e6
    note = f"{speed:,.0f} million entry-scenarios per CPU second; payouts {'equal' if equal else 'DIFFER'}"
    what = f"contest, {OURS} of {contest.entries:,} entries, {len(points):,} scenarios, {name}"
    return {"what": what, "ours_s": wall, "naive_s": loop, "ratio": loop / wall, "note": note}


def _candidates(candidates, field, points) -> dict:
    contest = _contest(ENTRIES)
    expected_payouts(candidates[:10], field, points[:16], contest)
    start = time.perf_counter()
    ours = expected_payouts(candidates, field, points, contest)["expected_payout"]
    wall = time.perf_counter() - start
    few = 100
    start = time.perf_counter()
    naive = [naive_payouts(row[None], field, points[:1], contest)[0, 0] for row in candidates[:few]]
    loop = (time.perf_counter() - start) / few * len(candidates) * len(points)
    note = f"10,000 scenarios would take {10_000 / len(points) * wall:.0f} s; loop extrapolated from {few} candidates"
    assert len(naive) == few and np.isfinite(ours).all()
    what = f"expected payout of {len(candidates):,} candidates, {len(points):,} scenarios"
    return {"what": what, "ours_s": wall, "naive_s": loop, "ratio": loop / wall, "note": note}
