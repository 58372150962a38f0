"""Jobs give the same answers here, in processes, and on a Dask cluster that loses a worker."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dfslab.parallel import map_jobs, streams


def noisy(k, seed):
    return k, float(streams(seed, k + 1)[k].normal())


def slow(k, folder):
    """Note which process took the job, wait, answer."""
    with open(os.path.join(folder, f"{k}-{os.getpid()}"), "w"):
        time.sleep(0.4)
    return k * k


def test_any_number_of_workers_gives_the_same_numbers():
    jobs = [(k, 7) for k in range(6)]
    alone = map_jobs(noisy, jobs, workers=1)
    assert alone == map_jobs(noisy, jobs, workers=2) == [noisy(*job) for job in jobs]


def test_streams_differ_and_extend():
    few, many = (np.array([s.random() for s in streams(3, n)]) for n in (3, 6))
    assert (few == many[:3]).all() and len(set(many)) == 6


def test_progress_counts_every_job():
    seen = []
    map_jobs(noisy, [(k, 1) for k in range(3)], workers=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers on loopback; yields the address and the workers' processes."""
    here = Path(__file__).resolve().parents[2]
    env = dict(os.environ, PYTHONPATH=f"{here}{os.pathsep}{here / 'tests'}")
    run = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    address = f"{tmp_path}/scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", address]
    scheduler = subprocess.Popen([*run, *options], env=env)
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", address, "--no-nanny"]
    worker += ["--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1", "--death-timeout", "30"]
    workers = [subprocess.Popen(worker, env=env, cwd=tmp_path) for _ in range(2)]
    try:
        yield _address(address), workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def _address(path):
    for _ in range(300):
        if os.path.exists(path) and os.path.getsize(path):
            return json.loads(Path(path).read_text())["address"]
        time.sleep(0.1)
    raise TimeoutError("the scheduler did not start")


def test_a_cluster_gives_the_same_numbers_and_survives_a_lost_worker(cluster, monkeypatch, tmp_path):
    address, workers = cluster
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    jobs = [(k, 7) for k in range(6)]
    assert map_jobs(noisy, jobs) == [noisy(*job) for job in jobs]

    folder = tmp_path / "jobs"
    folder.mkdir()
    killed = []

    def kill_one(done, total):
        if not killed:
            os.kill(workers[0].pid, signal.SIGKILL)
            killed.append(done)

    assert map_jobs(slow, [(k, str(folder)) for k in range(10)], progress=kill_one) == [k * k for k in range(10)]
    assert killed and workers[0].wait(10) == -signal.SIGKILL
