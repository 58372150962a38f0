"""Contests: this package beside a plain numpy loop, in one run on the same lineups and scenarios."""

import time

import numpy as np
import pandas as pd

from benchmarks.timing import compared
from dfslab.contest import FieldScores, OurEntries, simulate_contest
from dfslab.field import sample_field
from dfslab.lineups import LineupLaw
from dfslab.rules import DRAFTKINGS_NASCAR
from dfslab.slate import Contest, Slate

ENTRIES = 50_000
OURS = 150
SCENARIOS = 2_000
NAIVE_SCENARIOS, REPEATS = 200, 5
"""The loop is timed on so many races and scaled; both sides count the fastest of so many runs."""


def rows() -> list[dict]:
    """Return one row per comparison: seconds of ours and of the plain loop for the same work, and their ratio."""
    slate, ownership, points = made_up_race()
    field = sample_field(slate, ownership, ENTRIES - OURS, rng=np.random.default_rng(1))
    spread = LineupLaw(np.zeros(len(slate)), slate.salary, slate.rules).sample(100_000, np.random.default_rng(2))
    return [
        _against_loop("realistic field", spread[:OURS], field, points),
        _against_loop(
            "field without a copy", spread[:OURS], np.unique(spread[OURS:], axis=0)[: ENTRIES - OURS], points
        ),
        _candidates(spread, field, points),
    ]


def made_up_race():
    rng = np.random.default_rng(0)
    salary = np.sort(rng.integers(48, 115, 38) * 100)[::-1]
    slate = Slate.from_frame(pd.DataFrame({"driver": [f"driver {i}" for i in range(38)], "salary": salary}))
    law = LineupLaw(rng.normal(0, 0.8, 38) + salary / 4000, slate.salary, slate.rules)
    points = np.rint(rng.normal(28 + salary / 1000, 25, (SCENARIOS, 38)) * 20) / 20
    return slate, law.marginals(), points


def ladder(entries: int) -> Contest:
    table = [(1, 1, 50_000.0), (2, 10, 5_000.0), (11, 100, 500.0), (101, 1_000, 60.0), (1_001, 11_000, 15.0)]
    return Contest(10.0, entries, [{"min_rank": a, "max_rank": b, "prize": p} for a, b, p in table])


def naive_payouts(lineups, field, points, contest) -> np.ndarray:
    """Return payouts (S, L) by a loop over scenarios: score everybody, group equal scores, share their prizes."""
    everybody = np.concatenate([lineups, field])
    upto = np.concatenate([[0], np.cumsum(contest.prizes)])
    payout = np.zeros((len(points), len(lineups)))
    for s, x in enumerate(points):
        score = np.rint(x[everybody].sum(axis=1) / DRAFTKINGS_NASCAR.tick)
        _, group, tied = np.unique(-score, return_inverse=True, return_counts=True)
        reached = np.cumsum(tied)
        share = (upto[reached] - upto[reached - tied]) / tied / 100
        payout[s] = share[group][: len(lineups)]
    return payout


def _against_loop(name: str, lineups, field, points) -> dict:
    contest = ladder(len(lineups) + len(field))
    simulate_contest(lineups, field, points[:16], contest)
    ours, wall, cpu = _timed(lambda: simulate_contest(lineups, field, points, contest).payout, REPEATS)
    some = points[:NAIVE_SCENARIOS]
    naive, loop, loop_cpu = _timed(lambda: naive_payouts(lineups, field, some, contest), REPEATS)
    more = len(points) / len(some)
    equal = np.abs(ours[: len(some)] - naive).max() < 1e-9
    speed = contest.entries * len(points) / cpu / 1e6
    note = (
        f"{speed:,.0f} million entry-scenarios per CPU second; {loop_cpu * more / cpu:,.0f} × by CPU time; "
        f"payouts {'equal' if equal else 'DIFFER'}"
    )
    what = f"contest, {OURS} of {contest.entries:,} entries, {len(points):,} scenarios, {name}"
    return compared(what, wall, loop * more, note)


def _timed(work, repeats: int = 1):
    """Return what `work()` returns, and the least seconds it took by the clock and on the processors."""
    spent = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        spent.append((time.perf_counter() - wall, time.process_time() - cpu))
    return result, *np.min(spent, axis=0).tolist()


def _candidates(candidates, field, points) -> dict:
    contest, few, weight = ladder(ENTRIES), 100, np.full(len(points), 1 / len(points))

    def expected(lineups, races, weight):
        return OurEntries(FieldScores.from_field(field, races, contest), lineups, weight).gains()

    expected(candidates[:10], points[:16], weight[:16])
    _, wall, cpu = _timed(lambda: expected(candidates, points, weight))
    alone = candidates[:few, None]
    _, loop, _ = _timed(lambda: [naive_payouts(row, field, points[:1], contest) for row in alone])
    loop *= len(candidates) / few * len(points)
    note = f"10,000 scenarios: {10_000 / len(points) * cpu:.0f} CPU seconds; loop extrapolated from {few} candidates"
    what = f"expected payout of {len(candidates):,} candidates, {len(points):,} scenarios"
    return compared(what, wall, loop, note)
