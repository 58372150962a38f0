"""Nothing is computed twice: what is kept or shared against the same work done anew, with the same answers.

Each case runs in a process of its own with no stage kept before it. "Other" is the former way: every stage from its
inputs again.
"""

import json
import time
from dataclasses import replace

import numpy as np

from benchmarks.timing import compared, empty_cache, in_new_process

CASES = {
    "contest_added": "ownership stages after one more race's contests; other: every past contest forecast anew",
    "variants": "two further choices by other wishes, leverage on; other: candidates and fields made for each",
    "slider": "live page, one answer after λ moved; other: day, races, ownership and field made anew",
}
LAMBDAS = (5.0, 10.0, 20.0, 40.0)
WISHES = ({"regime_quotas": True}, {"robustness": 0.05})


def contest_added() -> dict:
    """Forecast and check ownership with a history that has grown by a race, with and without what was kept."""
    import dfslab as dfs
    from dfslab.workflow import tune

    def stages(day):
        crowd = dfs.forecast_ownership(day, dfs.simulate_race(day, 5_000))
        return crowd.ownership.to_numpy(), tune.tune_ownership(day)

    day = dfs.open_race()
    past = day.history.ownership
    earlier = past[past["date"] < past["date"].max()]
    stages(replace(day, history=replace(day.history, ownership=earlier)))
    kept, ours = _cpu(lambda: stages(day))
    with empty_cache():
        anew, other = _cpu(lambda: stages(day))
    return {"ours": ours, "other": other, "equal": bool((kept[0] == anew[0]).all())}


def variants() -> dict:
    """Choose a portfolio with quotas and a robust one where the plain choice has made everything, and each anew."""
    import dfslab as dfs

    day = dfs.open_race()
    races = dfs.simulate_race(day, 20_000)
    crowd = dfs.forecast_ownership(day, races)

    def choose(**wishes):
        return dfs.choose_portfolio(day, races, crowd, 150, leverage_penalty=30.0, **wishes).lineups

    choose()
    shared, ours = _cpu(lambda: [choose(**wishes) for wishes in WISHES])
    anew, other = [], 0.0
    for wishes in WISHES:
        with empty_cache():
            dfs.choose_portfolio(day, races, crowd, 1, n_candidates=200, n_choose=200)  # what was made gives way
            lineups, spent = _cpu(lambda wishes=wishes: choose(**wishes))
        anew, other = [*anew, lineups], other + spent
    return {"ours": ours, "other": other, "equal": all((a == b).all() for a, b in zip(shared, anew, strict=True))}


def slider() -> dict:
    """Answer the live page's question again and again with another λ, and each time from nothing."""
    import dfslab as dfs
    from dfslab.report import live

    day = dfs.open_race()
    bench = live.Bench(day)
    bench.ask(leverage_penalty=1.0)
    kept, ours = _cpu(lambda: [bench.ask(leverage_penalty=x) for x in LAMBDAS])

    def from_nothing(x):
        with empty_cache():
            return live.Bench(dfs.open_race()).ask(leverage_penalty=x)

    anew, other = _cpu(lambda: [from_nothing(x) for x in LAMBDAS])
    same = [(a.portfolio.lineups == b.portfolio.lineups).all() for a, b in zip(kept, anew, strict=True)]
    return {"ours": ours / len(LAMBDAS), "other": other / len(LAMBDAS), "equal": bool(np.all(same))}


def _cpu(work) -> tuple[object, float]:
    before = time.process_time()
    result = work()
    return result, time.process_time() - before


def run(case: str) -> None:
    """Run a case in this process and print what was found as JSON."""
    print(json.dumps(globals()[case]()))


def rows() -> list[dict]:
    """Return a row per case: CPU seconds with what is kept, and without."""
    table = []
    for case, text in CASES.items():
        found = in_new_process("reuse", case)
        note = f"CPU seconds; answers {'equal' if found['equal'] else 'DIFFER'}"
        table.append(compared(text, found["ours"], found["other"], note))
    return table
