"""Cost over size: contests in the history, entries, scenarios, lineups, races; each case in a process of its own.

A process of its own gives CPU seconds of one case alone. What is measured goes into the table and into
`docs/img/scaling.png`.
"""

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.contest import ladder, made_up_race
from benchmarks.timing import compared, in_new_process

PICTURE = Path(__file__).parents[1] / "docs" / "img" / "scaling.png"
SIZES = {
    "contests": (1, 2, 4),
    "entries": (20_000, 100_000, 1_000_000),
    "scenarios": (5_000, 20_000, 50_000),
    "lineups": (20, 75, 150),
    "races": (1, 6, 36),
}
TEXTS = {
    "contests": "ownership stages, {n} × the sample's contests in the history, second time",
    "entries": "contest of {n:,} entries, 150 of ours, 10,000 scenarios",
    "scenarios": "race day from {n:,} simulated races to 20 lineups",
    "lineups": "portfolio of {n} lineups from 6,000 candidates",
    "races": "season of {n} races of three series, small reports, two workers",
}


def contests(times: int) -> dict:
    """Forecast the sample race and check past forecasts, the history `times` as long; then once more."""
    import dfslab as dfs
    from dfslab.workflow import tune

    day = dfs.open_race()
    past = day.history.ownership
    copies = [past.assign(contest_id=past["contest_id"].astype(str) + "x" * k) for k in range(times)]
    day = replace(day, history=replace(day.history, ownership=pd.concat(copies, ignore_index=True)))
    races = dfs.simulate_race(day, 5_000)
    dfs.forecast_ownership(replace(day, seed=day.seed + 1), races)  # compiles

    def stages():
        return dfs.forecast_ownership(day, races).table["ownership"].sum(), tune.tune_ownership(day)

    first, _ = _cpu(stages)
    return {"cpu": first, "again": _cpu(stages)[0]}


def entries(n: int) -> dict:
    """Play 150 lineups in a contest of `n` entries on 10,000 scenarios."""
    from dfslab.contest import simulate_contest
    from dfslab.field import sample_field
    from dfslab.lineups import LineupLaw

    slate, ownership, points = made_up_race()
    field = sample_field(slate, ownership, n - 150, rng=np.random.default_rng(1))
    ours = LineupLaw(np.zeros(len(slate)), slate.salary, slate.rules).sample(150, np.random.default_rng(2))
    points = np.concatenate([points] * 5)
    simulate_contest(ours, field[:1_000], points[:16], ladder(20_000))
    return {"cpu": _cpu(lambda: simulate_contest(ours, field, points, ladder(n)))[0]}


def scenarios(n: int) -> dict:
    """Simulate `n` races and choose 20 lineups on them."""
    return {"cpu": _chosen(n, 20)}


def lineups(n: int) -> dict:
    """Choose `n` lineups on 10,000 simulated races."""
    return {"cpu": _chosen(10_000, n)}


def _chosen(n_scenarios: int, n_lineups: int) -> float:
    import dfslab as dfs

    day = dfs.open_race()
    crowd = dfs.forecast_ownership(day, dfs.simulate_race(day, 400), 100)
    sizes = {"n_candidates": 6_000, "leverage_share": 1.0}
    dfs.choose_portfolio(day, dfs.simulate_race(day, 400), crowd, 5, n_candidates=400)
    return _cpu(lambda: dfs.choose_portfolio(day, dfs.simulate_race(day, n_scenarios), crowd, n_lineups, **sizes))[0]


def races(n: int) -> dict:
    """Make small reports of `n` races of three series on two workers."""
    from benchmarks.season import season

    with tempfile.TemporaryDirectory() as out:
        return {"peak": season(n, Path(out))["peak"]}


CASES = {case.__name__: case for case in (contests, entries, scenarios, lineups, races)}


def _cpu(work) -> tuple[float, object]:
    before = sum(os.times()[:2])
    result = work()
    return sum(os.times()[:2]) - before, result


def run(case: str, n: str) -> None:
    """Measure a case in this process and print what was found as JSON."""
    found = CASES[case](int(n))
    print(json.dumps({"cpu": sum(os.times()[:4])} | found))


def rows() -> list[dict]:
    """Return a row per case and size, CPU seconds; draw the picture."""
    found = {case: {n: in_new_process("scaling", case, n) for n in sizes} for case, sizes in SIZES.items()}
    table = []
    for case, sizes in found.items():
        for n, one in sizes.items():
            ours, other = (one["again"], one["cpu"]) if "again" in one else (one["cpu"], None)
            more = "; other: nothing kept" if other else ""
            more += f"; at most {one['peak']:.1f} GiB in all processes" if "peak" in one else ""
            table.append(compared(TEXTS[case].format(n=n), ours, other, f"CPU seconds{more}"))
    draw(found)
    return table


def draw(found: dict) -> None:
    """Draw CPU seconds over size, a panel per case, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(1, len(found), figsize=(14, 3), layout="constrained")
    for ax, (case, sizes) in zip(axes, found.items(), strict=True):
        n = list(sizes)
        ax.loglog(n, [one["cpu"] for one in sizes.values()], "o-", label="first time")
        if all("again" in one for one in sizes.values()):
            ax.loglog(n, [one["again"] for one in sizes.values()], "o-", label="second time")
            ax.legend(frameon=False)
        ax.set(title=case if case != "contests" else "contests in the history (×)", xticks=n)
        ax.set_xticklabels([f"{k:,}" for k in n])
        spent = [one["cpu"] for one in sizes.values()]
        ax.set_yticks(spent, [f"{seconds:.3g}" for seconds in spent])
        ax.minorticks_off()
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("CPU seconds")
    fig.savefig(PICTURE, dpi=120, metadata={"Software": None})
