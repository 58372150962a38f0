"""Seconds of a piece of work, and a row of the results table."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dfslab import parallel

__all__ = ["compared", "empty_cache", "in_new_process", "seconds_of"]


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


def in_new_process(module: str, *case) -> dict:
    """Return what `benchmarks.<module>.run(*case)` prints as JSON in a process of its own, where no stage is kept."""
    code = f"import sys; from benchmarks import {module}; {module}.run(*sys.argv[1:])"
    with empty_cache():
        command = [sys.executable, "-c", code, *map(str, case)]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(said.splitlines()[-1])


@contextlib.contextmanager
def empty_cache():
    """Keep stages in a new folder, so that none is there, for this process and those it starts; compiled code stays."""
    before, compiled = os.environ.get("DFSLAB_CACHE"), parallel.cache_folder().glob("numba-*")
    with tempfile.TemporaryDirectory() as folder:
        for code in compiled:
            Path(folder, code.name).symlink_to(code)
        os.environ["DFSLAB_CACHE"] = folder
        parallel.cache_folder.cache_clear()
        yield
    os.environ.pop("DFSLAB_CACHE")
    os.environ |= {} if before is None else {"DFSLAB_CACHE": before}
    parallel.cache_folder.cache_clear()
