"""Large contests, many contests on one slate, many scenarios, many candidates: seconds and peak memory of each.

Each case runs in a process of its own, which says at the end how much memory it had at most.
"""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.timing import compared, empty_cache

STATUS = Path("/proc/self/status")
CASES = {
    "field": (1_000_000, "contest of {n:,} entries, its field drawn, 150 of ours, 10,000 scenarios"),
    "slate": (10, "{n} contests on one slate, 20 lineups for each, 5,000 scenarios"),
    "slates": (100, "{n} contests on one slate, 20 lineups for each, 5,000 scenarios"),
    "scenarios": (50_000, "{n:,} scenarios: 150 lineups chosen on all of them, scored on as many fresh ones"),
    "candidates": (5_000, "150 of {n:,} candidates of the user's own, 10,000 scenarios"),
}


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
    globals()[case](CASES[case][0])
    peak = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"cpu": time.process_time() - started, "gib": int(peak.split()[1]) / 2**20}))


def rows() -> list[dict]:
    """Return a row per case: CPU seconds, and the peak of memory."""
    table = []
    for case, (n, text) in CASES.items():
        command = [sys.executable, "-c", f"from benchmarks import large; large.run({case!r})"]
        with empty_cache():
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(said.splitlines()[-1])
        table.append(compared(text.format(n=n), found["cpu"], None, f"CPU seconds; at most {found['gib']:.1f} GiB"))
    return table
