"""Large contests, many contests on one slate, many scenarios, many candidates: seconds and peak memory of each.

Each case runs in a process of its own, which says at the end how much memory it had at most.
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.timing import compared, in_new_process

STATUS = Path("/proc/self/status")
CASES = {
    "field": (1_000_000, "contest of {n:,} entries, its field drawn, 150 of ours, 10,000 scenarios"),
    "slate": (10, "{n} contests on one slate, 20 lineups for each, 5,000 scenarios"),
    "slates": (100, "{n} contests on one slate, 20 lineups for each, 5,000 scenarios"),
    "scenarios": (50_000, "{n:,} scenarios: 150 lineups chosen on all of them, scored on as many fresh ones"),
    "candidates": (5_000, "150 of {n:,} candidates of the user's own, 10,000 scenarios"),
}
OTHERS = {
    "field": ("loops", 1, "drawing and playing loops, scaled from 1,500 lineups and one scenario"),
    "slate": ("alone", 10, "a session for each contest"),
    "slates": ("alone", 100, "a session for each contest"),
}
"""What does the same another way, how often, and its words."""


def field(n: int) -> None:
    """Draw the field of a contest of `n` entries and play 150 lineups in it."""
    from benchmarks.contest import ladder, made_up_race
    from dfslab.contest import simulate_contest
    from dfslab.field import sample_field

    slate, ownership, points = made_up_race()
    drawn = sample_field(slate, ownership, n - 150, rng=np.random.default_rng(1))
    simulate_contest(drawn[:150], drawn, np.concatenate([points] * 5), ladder(n))


def slate(n: int) -> None:
    """Choose the 20 lineups of each of `n` contests of different sizes, and what they earn."""
    day, races, crowd = _race_day(5_000)
    import dfslab as dfs

    for k in range(n):
        held = replace(day.contest, entries=day.contest.entries + 10 * k, contest_id=str(k), pool=None)
        mine = dfs.choose_portfolio(day, races, crowd, 20, held, n_choose=5_000, n_fields=5)
        dfs.score_portfolios(day, {"portfolio": mine}, crowd, contest=held, n_scenarios=5_000)


slates = slate


def alone(n: int) -> None:
    """Choose the lineups of one contest in a session of its own."""
    slate(1)


def loops(n: int) -> float:
    """Return the CPU seconds that a loop over entries and one over scenarios would take for `field`."""
    from benchmarks.contest import ladder, made_up_race, naive_payouts
    from benchmarks.field import LOOP_ENTRIES, draw_with_rejection
    from dfslab.field import sample_field

    entries, scenarios = CASES["field"][0], 10_000
    slate, ownership, points = made_up_race()
    field, start = sample_field(slate, ownership, entries - 150, rng=np.random.default_rng(1)), time.process_time()
    draw_with_rejection(slate, ownership, LOOP_ENTRIES, np.random.default_rng(2))
    drawn = time.process_time()
    naive_payouts(field[:150], field, points[:1], ladder(entries))
    return (drawn - start) * entries / LOOP_ENTRIES + (time.process_time() - drawn) * scenarios


def scenarios(n: int) -> None:
    """Choose 150 lineups on `n` scenarios and score them on as many."""
    day, races, crowd = _race_day(n)
    import dfslab as dfs

    mine = dfs.choose_portfolio(day, races, crowd, 150, n_choose=n)
    dfs.score_portfolios(day, {"portfolio": mine}, crowd, n_scenarios=n)


def candidates(n: int) -> None:
    """Choose 150 of `n` lineups of the user's own."""
    from dfslab.lineups import LineupLaw

    day, races, crowd = _race_day(10_000)
    import dfslab as dfs

    law = LineupLaw(np.where(crowd.slate.out, -np.inf, 0.0), crowd.slate.salary, crowd.slate.rules)
    own = np.unique(law.sample(2 * n, np.random.default_rng(1)), axis=0)[:n]
    dfs.choose_portfolio(day, races, crowd, 150, candidates=own)


def _race_day(n_scenarios: int):
    import dfslab as dfs

    day = dfs.open_race()
    races = dfs.simulate_race(day, n_scenarios)
    return day, races, dfs.forecast_ownership(day, races, 300)


def run(case: str) -> None:
    """Run a case in this process and print its seconds and its peak of memory as JSON."""
    started = time.process_time()
    spent = globals()[case](CASES[case][0] if case in CASES else 1)
    peak = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"cpu": spent or time.process_time() - started, "gib": int(peak.split()[1]) / 2**20}))


def rows() -> list[dict]:
    """Return a row per case: CPU seconds, and the peak of memory."""
    table = []
    for case, (n, text) in CASES.items():
        found = in_new_process("large", case)
        note, seconds = f"CPU seconds; at most {found['gib']:.1f} GiB", None
        if case in OTHERS:
            other, times, words = OTHERS[case]
            note, seconds = f"{note}; other: {words}", times * in_new_process("large", other)["cpu"]
        table.append(compared(text.format(n=n), found["cpu"], seconds, note))
    return table
