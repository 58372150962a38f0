"""Fields: this package beside draws in a plain Python loop with rejection, in one run on the same slate."""

import time

import numpy as np
import pandas as pd

from benchmarks.timing import compared
from dfslab.field import sample_field
from dfslab.lineups import LineupLaw
from dfslab.slate import Slate

ENTRIES = 100_000
LOOP_ENTRIES = 1_500


def rows() -> list[dict]:
    """Return one row: seconds for 100,000 lineups, fit included, and the plain loop's, with ownership errors."""
    slate, ownership = made_up_slate()
    sample_field(slate, ownership, 10, rng=np.random.default_rng(0))
    start = time.perf_counter()
    field = sample_field(slate, ownership, ENTRIES, rng=np.random.default_rng(1))
    ours = time.perf_counter() - start
    start = time.perf_counter()
    looped = draw_with_rejection(slate, ownership, LOOP_ENTRIES, np.random.default_rng(2))
    loop = (time.perf_counter() - start) * ENTRIES / LOOP_ENTRIES
    owned = [np.bincount(one.ravel(), minlength=len(slate)) / len(one) for one in (field, looped)]
    errors = [100 * np.abs(shares - ownership).mean() for shares in owned]
    note = "mean ownership error {:.2f} points (loop: {:.2f})".format(*errors)
    return [compared(f"field of {ENTRIES:,} lineups, fit included", ours, loop, note)]


def made_up_slate():
    """Return a slate of 38 invented drivers and an ownership that legal lineups can have."""
    rng = np.random.default_rng(0)
    salary = np.sort(rng.integers(48, 115, 38) * 100)[::-1]
    slate = Slate.from_frame(pd.DataFrame({"driver": [f"driver {i}" for i in range(38)], "salary": salary}))
    return slate, LineupLaw(rng.normal(0, 0.8, 38) + salary / 4000, slate.salary, slate.rules).marginals()


def draw_with_rejection(slate: Slate, ownership, n: int, rng) -> np.ndarray:
    """Draw `n` lineups as public simulators do: pick six by ownership, keep the lineup when it fits the cap."""
    lineups = []
    while len(lineups) < n:
        lineup = rng.choice(len(slate), slate.rules.roster_size, replace=False, p=ownership / ownership.sum())
        if slate.rules.salary_cap - 2_000 <= slate.salary[lineup].sum() <= slate.rules.salary_cap:
            lineups.append(np.sort(lineup))
    return np.array(lineups)
