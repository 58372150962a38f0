"""Seconds of a piece of work, and a row of the results table."""

import time

import numpy as np

__all__ = ["compared", "seconds_of"]


def seconds_of(work, repeats: int):
    """Return what `work()` returns and its median wall time in seconds; with repeats > 1 it warms up first."""
    if repeats > 1:
        work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return result, float(np.median(seconds))


def compared(what: str, ours: float, naive: float | None, note: str = "") -> dict:
    """Return a row of the results; `naive` is None where there is nothing to compare with."""
    ratio = None if naive is None else naive / ours
    return {"what": what, "ours_s": ours, "naive_s": naive, "ratio": ratio, "note": note}
