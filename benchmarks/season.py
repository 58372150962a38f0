"""A season of reports: three series on two workers, its memory, and the same bytes from a Dask cluster.

The season is the bundled one three times over, once for each series, with a history of its own each.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd
import psutil

from benchmarks.timing import compared, empty_cache
from dfslab.data import list_races
from dfslab.workflow import SAMPLE

SERIES = ("cup", "xfinity", "trucks")
SMALL = {"n_scenarios": 2_000, "n_lineups": 10}
"""Sizes of a report, so that a season of them ends."""
RACES_ON_DASK, DASK_WORKERS = 3, 4
GIB = 2**30


def three_series(folder: Path, n: int) -> list[str]:
    """Write a data folder of `n` races, in turn of each series; return their ids."""
    (folder / "history").mkdir(parents=True)
    for name in ("results", "races", "ownership"):
        rows = pd.read_csv(SAMPLE / "history" / f"{name}.csv", low_memory=False)
        parts = [rows.assign(race_id=rows["race_id"] + f"-{series}", series=series) for series in SERIES]
        if name == "ownership":
            parts = [part.assign(contest_id=10 * part["contest_id"] + k) for k, part in enumerate(parts)]
        pd.concat(parts).to_csv(folder / "history" / f"{name}.csv", index=False)
    chosen = [(race_id, series) for race_id in list_races(SAMPLE)[::-1] for series in SERIES][:n]
    for race_id, series in chosen:
        made = folder / "races" / f"{race_id}-{series}"
        shutil.copytree(SAMPLE / "races" / race_id, made)
        facts = json.loads((made / "race.json").read_text("utf-8")) | {"race_id": made.name, "series": series}
        (made / "race.json").write_text(json.dumps(facts), "utf-8")
    return [f"{race_id}-{series}" for race_id, series in chosen]


def season(n: int, out: Path) -> dict:
    """Report `n` races on two workers, or on the Dask cluster of the environment; return seconds and peak memory."""
    from dfslab.report import seasons

    with tempfile.TemporaryDirectory() as data_dir:
        races, peak = three_series(Path(data_dir) / "data", n), []
        done = threading.Event()
        watch = threading.Thread(target=_watch, args=(done, peak))
        watch.start()
        started = time.perf_counter()
        ended = seasons.report_season(Path(data_dir) / "data", out, races, SMALL, workers=2)
        seconds = time.perf_counter() - started
        done.set()
        watch.join()
    if ended.failed:
        raise RuntimeError(f"reports failed: {ended.failed}")
    return {"seconds": seconds, "peak": max(peak) / GIB}


def _watch(done: threading.Event, peak: list) -> None:
    """Note the memory of this process and all its children, shared pages counted once for each, twice a second."""
    while not done.wait(0.5):
        held = 0
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                held += process.memory_info().rss
        peak.append(held)


@contextlib.contextmanager
def cluster(workers: int):
    """Start a Dask scheduler and one-thread workers on this machine, the address in the environment."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        where = Path(folder) / "scheduler.json"
        shared = ["--scheduler-file", str(where), "--no-dashboard", "--host", "127.0.0.1"]
        commands = [["dask_scheduler", "--port", "0", *shared]]
        commands += [["dask_worker", "--nthreads", "1", "--no-nanny", "--local-directory", folder, *shared]] * workers
        for name, *options in commands:
            command = [sys.executable, "-m", f"distributed.cli.{name}", *options]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running.callback(process.wait)
            running.callback(process.terminate)
            while not where.exists():
                time.sleep(0.1)
        os.environ["DASK_SCHEDULER_ADDRESS"] = json.loads(where.read_text("utf-8"))["address"]
        running.callback(os.environ.pop, "DASK_SCHEDULER_ADDRESS")
        yield


def digests(out: Path) -> dict[str, str]:
    """Return a digest of every file below `out`, by its path."""
    found = sorted(path for path in out.rglob("*") if path.is_file() and ".locks" not in path.parts)
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def rows() -> list[dict]:
    """Return one row: a season on a Dask cluster against one on two processes; its files must be the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "processes", Path(folder) / "cluster"
        with empty_cache():
            here = season(RACES_ON_DASK, ours)
        with empty_cache(), cluster(DASK_WORKERS):
            there = season(RACES_ON_DASK, theirs)
        files, others = digests(ours), digests(theirs)
    differ = [name for name in files | others if files.get(name) != others.get(name)]
    if differ:
        raise RuntimeError(f"the cluster wrote other bytes: {differ}")
    what = f"season of {RACES_ON_DASK} small reports, three series, two processes; other: Dask, {DASK_WORKERS} workers"
    return [compared(what, here["seconds"], there["seconds"], f"{len(files)} files, all of the same bytes")]
