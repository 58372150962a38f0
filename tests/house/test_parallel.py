"""Jobs give the same answers here, in processes, and on a Dask cluster; what dies costs no more than itself."""

import contextlib
import http.server
import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dfslab import parallel
from dfslab.errors import UserError
from dfslab.parallel import WorkerDied, import_path, map_jobs, streams


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
    map_jobs(noisy, [(k, 1) for k in range(3)], workers=1, progress=seen.append)
    assert seen == ["1 of 3 done", "2 of 3 done", "3 of 3 done"]


# ---------------------------------------------------------------- processes that die


def odd(k, how):
    """Answer k, but let job 2 end its own process, or raise, in the way told."""
    if k == 2:
        HOW_A_JOB_ENDS[how]()
    return k


def _too_odd_to_travel():
    raise type("Local", (Exception,), {})("cannot be pickled")


def _out_of_reach():
    raise UserError("no lineup obeys")


HOW_A_JOB_ENDS = {
    "kill -9": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "kill": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "exit": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit("enough"),
    "aborts": os.abort,
    "raises": _out_of_reach,
    "raises oddly": _too_odd_to_travel,
}


@pytest.mark.parametrize("how", ["kill -9", "kill", "exit", "sys.exit", "aborts"])
def test_a_process_that_dies_costs_its_own_job_only(how):
    jobs, said = [(k, how) for k in range(5)], []

    def instead(job, error):
        said.append(str(error))
        return -job[0]

    assert map_jobs(odd, jobs, workers=2, instead=instead) == [0, 1, -2, 3, 4]
    assert len(said) == 1 and ("was killed" in said[0] or "died (exit code" in said[0])
    with pytest.raises(WorkerDied, match="its process"):
        map_jobs(odd, jobs, workers=2)


def test_what_a_job_raises_is_raised_here():
    with pytest.raises(UserError, match="no lineup obeys"):
        map_jobs(odd, [(k, "raises") for k in range(4)], workers=2)
    with pytest.raises(RuntimeError, match="Local: cannot be pickled"):
        map_jobs(odd, [(k, "raises oddly") for k in range(4)], workers=2)


def long_job(k, folder):
    """Note that it began, work for long, and tidy up however it ends."""
    Path(folder, f"began-{k}-{os.getpid()}").touch()
    try:
        time.sleep(60)
    finally:
        Path(folder, f"tidied-{k}").touch()


RUN = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from dfslab.parallel import ended_by_signals, map_jobs\n"
    "from test_parallel import long_job\n"
    "with ended_by_signals(): map_jobs(long_job, [(k, sys.argv[2]) for k in range(6)], workers=2)"
)


def _heed() -> None:
    """Let a child hear Ctrl-C where the tests themselves were started in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda s: s.name)
def test_processes_end_with_their_parent_and_no_queued_job_begins(ending, tmp_path):
    run = subprocess.Popen([sys.executable, "-c", RUN, str(Path(__file__).parent), str(tmp_path)], preexec_fn=_heed)
    _wait_for(lambda: len(list(tmp_path.glob("began-*"))) == 2)
    run.send_signal(ending)
    assert run.wait(10)
    pids = [int(path.name.split("-")[2]) for path in tmp_path.glob("began-*")]
    _wait_for(lambda: not any(_alive(pid) for pid in pids), 10)
    assert len(pids) == 2 and len(list(tmp_path.glob("tidied-*"))) == 2


def _wait_for(true, seconds=60):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def _alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]
    except FileNotFoundError:
        return False


def modules(k):
    """Import what a worker, pickle and numpy import; tell where from."""
    import calendar
    import random

    import joblib
    import numba

    return [os.path.dirname(os.path.dirname(m.__file__)) for m in (calendar, random, joblib, numba)], sys.path


STRANGERS = ["dfslab", "joblib", "pickle", "random", "numba", "numpy", "sitecustomize", "calendar", "queue"]


@pytest.mark.parametrize("listed", ["", ".", os.pathsep])
def test_nothing_is_imported_from_the_working_folder(listed, tmp_path, monkeypatch):
    for name in STRANGERS:
        (tmp_path / f"{name}.py").write_text("open('it-ran.txt', 'w').close()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", listed)
    monkeypatch.syspath_prepend(str(tmp_path))
    for _, path in map_jobs(modules, [(0,), (1,)], workers=2):
        assert not {"", ".", str(tmp_path)} & set(path)
    assert not (tmp_path / "it-ran.txt").exists() and str(tmp_path) not in import_path(["", ".", str(tmp_path)])


# ---------------------------------------------------------------- clusters


@contextlib.contextmanager
def _scheduler(folder, workers=2, **more):
    """A scheduler and workers on loopback; yields the address, the scheduler's process and the workers'."""
    here = Path(__file__).resolve().parents[2]
    env = dict(os.environ, PYTHONPATH=f"{here}{os.pathsep}{here / 'tests'}{os.pathsep}{here / 'tests' / 'house'}")
    run = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    address = f"{folder}/scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", address]
    scheduler = subprocess.Popen([*run, *options], env=env, stderr=subprocess.DEVNULL)
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", address, "--no-nanny"]
    worker += ["--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1", "--death-timeout", "30"]
    held = [subprocess.Popen(worker, env=env | more, cwd=folder, stderr=subprocess.DEVNULL) for _ in range(workers)]
    try:
        yield _address(address), scheduler, held
    finally:
        for process in (*held, scheduler):
            process.kill()
            process.wait()


def _address(path):
    for _ in range(300):
        if os.path.exists(path) and os.path.getsize(path):
            return json.loads(Path(path).read_text())["address"]
        time.sleep(0.1)
    raise TimeoutError("the scheduler did not start")


def test_a_cluster_gives_the_same_numbers_and_survives_a_lost_worker(monkeypatch, tmp_path):
    folder, killed = tmp_path / "jobs", []
    folder.mkdir()
    with _scheduler(tmp_path) as (address, _, workers):
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        jobs = [(k, 7) for k in range(6)]
        assert map_jobs(noisy, jobs) == [noisy(*job) for job in jobs]

        def kill_one(line):
            if not killed:
                os.kill(workers[0].pid, signal.SIGKILL)
                killed.append(line)

        assert map_jobs(slow, [(k, str(folder)) for k in range(10)], progress=kill_one) == [k * k for k in range(10)]
        assert killed and workers[0].wait(10) == -signal.SIGKILL


class Late:
    """A finished job whose result comes at the n-th time of asking, as when it died with its worker."""

    def __init__(self, n):
        self.n, self.asked = n, 0

    def result(self, timeout):
        self.asked += 1
        if self.asked < self.n:
            raise TimeoutError
        return parallel._outcome(pickle.dumps((abs, (-3,))))


def test_a_result_that_died_with_its_worker_is_asked_for_again_and_given_up_in_the_end():
    job = Late(3)
    assert [parallel._result(job, "here", last=False) for _ in range(2)] == [None, None]
    assert parallel._result(job, "here", last=False)() == 3
    with pytest.raises(WorkerDied, match="the job was lost"):
        parallel._result(Late(2), "here", last=True)()


def test_when_the_scheduler_dies_what_was_finished_stays_and_nobody_logs(monkeypatch, tmp_path):
    (tmp_path / "jobs").mkdir()
    with _scheduler(tmp_path) as (address, scheduler, _):
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        said, logged, ear = {}, [], logging.Handler()
        ear.emit = logged.append
        for name in ("distributed", "distributed.client", "distributed.core"):
            monkeypatch.setattr(logging.getLogger(name), "handlers", [ear])

        def instead(job, error):
            said[job[0]] = str(error)
            return -1

        def kill(line):
            if line.startswith("2 of"):
                scheduler.kill()

        jobs = [(k, str(tmp_path / "jobs")) for k in range(12)]
        got = map_jobs(slow, jobs, progress=kill, instead=instead)
    assert 2 <= sum(value >= 0 for value in got) < 12 and len(said) == got.count(-1)
    assert all(address in text and "run again for the rest" in text for text in said.values())
    assert not logged


def test_a_cluster_without_workers_is_said_at_once_and_not_waited_for_for_ever(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(parallel, "LONGEST_WITHOUT_WORKERS", 3.0)
    with _scheduler(tmp_path, workers=0) as (address, *_):
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        with pytest.raises(UserError, match=r"has no workers; what was finished stays"):
            map_jobs(noisy, [(k, 7) for k in range(2)])
    assert "0 workers; waiting up to" in capsys.readouterr().err


def test_a_worker_with_other_sources_is_refused(monkeypatch, tmp_path):
    with _scheduler(tmp_path, workers=1) as (address, *_):
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        monkeypatch.setattr(parallel, "code_digest", lambda: "of another version")
        with pytest.raises(
            UserError, match="has other sources of dfslab, or another Python or numba; install the same"
        ):
            map_jobs(noisy, [(k, 7) for k in range(2)])


@pytest.fixture(scope="module")
def nowhere():
    """Ports where a web server, a silent listener and nobody are."""
    silent, web = socket.create_server(("127.0.0.1", 0)), http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Quiet)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    yield {"web": web.server_port, "silent": silent.getsockname()[1], "nobody": free}
    web.shutdown()
    silent.close()


class _Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass


ADDRESSES = ["nonsense", "tcp://", "http://127.0.0.1:{web}", "tcp://127.0.0.1:{web}", "tcp://127.0.0.1:{silent}"]
ADDRESSES += ["tcp://127.0.0.1:{nobody}", "tcp://no.such.host.invalid:8786", "127.0.0.1", "tls://127.0.0.1:{nobody}"]
ADDRESSES += ["tcp://127.0.0.1:99999", "päth://x", " "]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_without_a_scheduler_is_one_sentence_within_the_time_stated(address, nowhere, monkeypatch):
    monkeypatch.setattr(parallel, "LONGEST_CONNECT", 2.0)
    address = address.format(**nowhere)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"DASK_SCHEDULER_ADDRESS is .*: no Dask scheduler there") as error:
        map_jobs(noisy, [(k, 7) for k in range(2)])
    assert address in str(error.value) and "\n" not in str(error.value) and time.monotonic() - began < 20
