"""The same jobs on one machine or on a Dask cluster, with the same results for any number of workers.

A process started here never imports from the working folder, and ends with the one that started it.
"""

import atexit
import contextlib
import functools
import hashlib
import importlib.util
import json
import logging
import os
import pickle
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from dfslab.errors import UserError

PACKAGE = Path(__file__).parent
KERNELS = PACKAGE / "report" / "templates"
"""Where Jupyter finds our kernel: this very Python, which imports nothing from its working folder."""
CLUSTER = "DASK_SCHEDULER_ADDRESS"
LONGEST_CONNECT, LONGEST_WITHOUT_WORKERS = 30.0, 600.0
"""Seconds to wait for a cluster's scheduler, and for the first (or next) worker of a cluster that has none."""
MOST_ASKED = 5
"""Times a result that does not come is asked for."""
GRACE = 3.0
"""Seconds a process has to end well before it is killed."""
LONGEST_UNUSED = 30 * 86_400.0
"""Seconds after which compiled code of another version is removed."""


def streams(seed: int, n: int) -> list:
    """Return one numpy generator per job, (n,); job k gets the same one however many workers there are."""
    import numpy as np

    return [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,))) for k in range(n)]


@functools.cache
def cache_folder() -> Path:
    """Return the folder of what may be deleted at any time: compiled code and finished stages.

    It is $DFSLAB_CACHE, else the user's cache folder, else one of this user's among the temporary ones.
    """
    import platformdirs

    asked = os.environ.get("DFSLAB_CACHE")
    places = [os.path.abspath(asked) if asked else "", platformdirs.user_cache_dir("dfslab")]
    with contextlib.suppress(OSError):
        places.append(os.path.join(tempfile.gettempdir(), f"dfslab-{os.getuid()}"))
    for folder in map(Path, filter(os.path.isabs, places)):
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _only_ours(folder):
                with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
                    probe.write(bytes(4096))
                return folder
    try:
        folder = Path(tempfile.mkdtemp(prefix="dfslab-"))
    except OSError:
        sys.exit("dfslab: no folder can be written to, nor a temporary one; let DFSLAB_CACHE name one that can")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _only_ours(folder: Path) -> bool:
    """Whether nobody else may write there: compiled code and finished stages are taken as they are found."""
    held = folder.stat()
    return held.st_uid == os.geteuid() and not held.st_mode & 0o022


@functools.cache
def code_digest(kernels: bool = False) -> str:
    """Return a digest of the package's sources (or of its compiled ones only), and of Python's and numba's versions."""
    digest = hashlib.sha256(sys.version.encode())
    numba = importlib.util.find_spec("numba")
    season = PACKAGE / "data" / "sample"
    files = [p for p in sorted(PACKAGE.rglob("*")) if p.suffix in (".py", ".json", ".csv") and season not in p.parents]
    for path in [*files, *(Path(numba.origin).parent.glob("_version.py") if numba else ())]:
        content = path.read_bytes()
        if not kernels or b"njit" in content or path.name == "_version.py":
            digest.update(f"{path.name}{len(content)}".encode() + content)
    return digest.hexdigest()[:16]


def keep_compiled_code() -> None:
    """Let numba keep machine code where the user may write, apart for every version of the sources it came from.

    numba knows a source by its time and size only, so two versions of one file could answer for each other. Must run
    before numba is imported; processes that are started later keep to the same folder.
    """
    folder = cache_folder() / f"numba-{code_digest(kernels=True)}"
    if not folder.exists():
        for other in folder.parent.glob("numba-*"):
            with contextlib.suppress(OSError):
                if time.time() - other.stat().st_mtime > LONGEST_UNUSED:
                    shutil.rmtree(other)
    folder.mkdir(exist_ok=True)
    os.utime(folder)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)


class WorkerDied(UserError):
    """A process that held a job ended before the job did."""


def import_path(path: list[str] | None = None) -> list[str]:
    """Return `path` (default: `sys.path`) without the working folder, and with the folder that holds the package."""
    here, home = os.path.realpath(os.getcwd()), str(PACKAGE.parent)
    kept = [p for p in (sys.path if path is None else path) if os.path.isabs(p) and os.path.realpath(p) != here]
    found = home in kept or PACKAGE.parent.name in ("site-packages", "dist-packages")
    return kept if found else [*kept, home]


def child_environment() -> dict[str, str]:
    """Return the environment of a process that we start: nothing is imported from its working folder.

    Its own folders (IPython's, matplotlib's, compiled code) lie in the cache, so neither what the user keeps at home
    nor a home that cannot be written to makes a difference; nor do files that are run at the start of a session, or the
    way pictures are shown in it.
    """
    cache, listed = cache_folder(), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    own = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(import_path(listed)), "DFSLAB_CACHE": str(cache)}
    own["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(KERNELS), os.environ.get("JUPYTER_PATH")]))
    own |= {"IPYTHONDIR": str(cache / "ipython"), "MPLCONFIGDIR": str(cache / "matplotlib"), "PYTHONSTARTUP": ""}
    own |= {"MATPLOTLIBRC": "", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    if not os.access(os.path.expanduser("~"), os.W_OK):
        own["HOME"] = str(cache)
    return os.environ | own


@contextlib.contextmanager
def ended_by_signals():
    """Let a request to end (SIGTERM, a closed terminal) do what Ctrl-C does, so that what is half done is removed."""
    names = [signal.SIGTERM, signal.SIGHUP]
    if threading.current_thread() is not threading.main_thread():
        names = []
    earlier = {name: signal.signal(name, _stop) for name in names if signal.getsignal(name) != signal.SIG_IGN}
    try:
        yield
    finally:
        for name, handler in earlier.items():
            signal.signal(name, handler)


def _stop(*_):
    raise KeyboardInterrupt


def say(line: str) -> None:
    """Print a line a person waits for, such as why nothing happens."""
    print(line, file=sys.stderr, flush=True)


def map_jobs(function, jobs, *, workers: int | None = None, progress=lambda line: None, instead=None) -> list:
    """Return `[function(*job) for job in jobs]`, computed side by side.

    Parameters
    ----------
    function : a module-level function (it travels to other processes)
    jobs : tuples of arguments
    workers : processes on this machine (default: one per core); 1 runs here, without any
    progress : called with a line after each job that ends, such as `3 of 8 done`
    instead : called with (job, error) for a job that failed, `WorkerDied` where its process died or its cluster is
        gone: what it returns stands in the job's place, and the other jobs go on; left out, the error is raised

    With the environment variable DASK_SCHEDULER_ADDRESS set, the jobs go to that Dask cluster instead; a worker of it
    that dies loses nothing: its jobs run again elsewhere.

    Raises
    ------
    UserError : the cluster does not answer
    whatever a job raises, and `WorkerDied` for one whose process died, where `instead` is left out
    """
    jobs, results = list(jobs), {}
    if os.environ.get(CLUSTER):
        ended = _on_dask(function, jobs, os.environ[CLUSTER])
    elif workers == 1 or len(jobs) < 2:
        ended = ((k, functools.partial(function, *job)) for k, job in enumerate(jobs))
    else:
        ended = _on_this_machine(function, jobs, workers)
    with contextlib.closing(ended):
        for k, result in ended:
            try:
                results[k] = result()
            except Exception as error:
                if instead is None:
                    raise
                results[k] = instead(jobs[k], error)
            progress(f"{len(results)} of {len(jobs)} done")
    return [results[k] for k in range(len(jobs))]


# ---------------------------------------------------------------- processes of this machine


def _on_this_machine(function, jobs, workers: int | None):
    """Yield (number, what gives its result) for each job that ends; every thread looks after one process."""
    import joblib

    held, processes = threading.local(), []

    def run(job):
        if getattr(held, "worker", None) is None:
            held.worker = _Worker()
            processes.append(held.worker)
        try:
            return held.worker.run(function, job)
        except WorkerDied:
            held.worker = None
            raise

    pool = ThreadPoolExecutor(min(workers or joblib.cpu_count(), len(jobs)))
    try:
        waiting = {pool.submit(run, job): k for k, job in enumerate(jobs)}
        for future in as_completed(waiting):
            yield waiting[future], future.result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in processes:
            worker.end()


class _Worker:
    """A process that runs one job at a time."""

    def __init__(self):
        code = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from dfslab.parallel import work; work()"
        command = [sys.executable, "-P", "-c", code, json.dumps(import_path())]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=child_environment())

    def run(self, function, job):
        """Return what `function(*job)` returns, or raise what it raises; `WorkerDied` when the process ends before."""
        task = pickle.dumps((function, job))
        try:
            pickle.dump(task, self.process.stdin)
            self.process.stdin.flush()
            good, value = pickle.load(self.process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            why = _why_ended(self.process.wait())
            raise WorkerDied(f"its process {why}; run again, with fewer --workers or n_scenarios") from None
        return _taken(good, value)

    def end(self) -> None:
        """End the process: it is asked to, and killed when it does not."""
        for ask in (self.process.terminate, self.process.kill):
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self.process.poll() is None:
                    ask()
                self.process.wait(GRACE)
                return


def _why_ended(code: int) -> str:
    killed = code in (-signal.SIGTERM, -signal.SIGKILL)
    return "was killed, perhaps for want of memory" if killed else f"died (exit code {code})"


def work() -> None:
    """Run the jobs that come on the standard input; what a job prints goes to the standard error."""
    answers, jobs, tasks = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb"), queue.SimpleQueue()
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    with contextlib.suppress(KeyboardInterrupt), ended_by_signals():
        threading.Thread(target=_listen, args=(jobs, tasks), daemon=True).start()
        while True:
            answers.write(_outcome(tasks.get()))
            answers.flush()


def _listen(jobs, tasks) -> None:
    """Hand on the jobs; when there can be no more, our parent is gone, and we end within a few seconds."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            tasks.put(pickle.load(jobs))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


def _outcome(task: bytes) -> bytes:
    """Run a job that travelled, and return whether it went well and what it gave, or its error, as they travel."""
    try:
        function, job = pickle.loads(task)
        return pickle.dumps((True, function(*job)))
    except Exception as error:
        return _carried(error)


def _taken(good: bool, value):
    if good:
        return value
    raise value


def _carried(error: Exception) -> bytes:
    """Return an error as it travels; one that cannot travel becomes its words."""
    try:
        text = pickle.dumps((False, error))
        pickle.loads(text)
        return text
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))


# ---------------------------------------------------------------- a Dask cluster


def _on_dask(function, jobs, address: str):
    """Yield (number, what gives its result) for each job that ends; the rest raise `WorkerDied` when it is gone."""
    from distributed import wait

    for name in ("distributed", "distributed.client", "distributed.core"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # our own sentence says what happened
    with contextlib.closing(_client(address)) as client:
        tasks = [pickle.dumps((function, job)) for job in jobs]
        left = {client.submit(_apply, task, code_digest(), pure=False, retries=2): k for k, task in enumerate(tasks)}
        asked, alone, why = Counter(), None, ""
        while left and not why:
            alone, why = _watch(client, address, alone)
            with contextlib.suppress(TimeoutError):
                try:
                    for future in wait(list(left), timeout=2, return_when="FIRST_COMPLETED").done:
                        asked[future] += 1
                        result = _result(future, address, last=asked[future] == MOST_ASKED)
                        if result is not None:
                            yield left.pop(future), result
                except _cluster_errors() as error:
                    why = f"it is gone ({type(error).__name__})"
    for k in left.values():
        yield k, functools.partial(_lost, address, why)


def _cluster_errors() -> tuple:
    from distributed import CancelledError
    from distributed.comm import CommClosedError

    return CancelledError, CommClosedError


def _client(address: str):
    """Return a client of the scheduler, once it has answered; a thread waits, as some addresses never do."""
    from distributed import Client

    answer = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(address, answer), daemon=True).start()
    why = f"no answer within {LONGEST_CONNECT:.0f} s"
    for patience in (1.0, LONGEST_CONNECT):
        with contextlib.suppress(queue.Empty):
            why = answer.get(timeout=patience)
            break
        say(f"{CLUSTER}: waiting up to {LONGEST_CONNECT:.0f} s for the scheduler at {address}")
    if why:
        raise UserError(f"{CLUSTER} is {address}: no Dask scheduler there ({why}); correct it, or unset it")
    return Client(address, timeout=LONGEST_CONNECT)


def _ask(address: str, answer) -> None:
    """Put why there is no scheduler into `answer`; nothing when there is one."""
    import asyncio

    from distributed import rpc

    async def identity():
        async with rpc(address, timeout=LONGEST_CONNECT) as scheduler:
            return await scheduler.identity()

    try:
        found = asyncio.run(identity())
        answer.put("" if found.get("type") == "Scheduler" else "it is something else")
    except Exception as error:
        answer.put((str(error).splitlines() or [""])[0][:120] or type(error).__name__)


def _watch(client, address: str, alone) -> tuple:
    """Return since when the cluster has no worker (None: it has one), and why to give up, if there is a reason."""
    try:
        workers = len(client.nthreads())
    except Exception as error:
        return alone, f"it is gone ({type(error).__name__})"
    if workers:
        return None, ""
    if alone is None:
        say(f"{CLUSTER} {address}: 0 workers; waiting up to {LONGEST_WITHOUT_WORKERS / 60:.0f} minutes for one")
        return time.monotonic(), ""
    return alone, "it has no workers" if time.monotonic() - alone > LONGEST_WITHOUT_WORKERS else ""


def _result(future, address: str, last: bool):
    """Return what gives the result of a job that ended; None where it does not come, as when it died with its worker.

    A result that died is made anew, so it is asked for again, unless this is the `last` time.
    """
    from distributed.scheduler import KilledWorker

    try:
        outcome = future.result(timeout=LONGEST_CONNECT)
    except (KilledWorker, TimeoutError, *_cluster_errors()) as error:
        if isinstance(error, TimeoutError) and not last:
            return None
        return functools.partial(_lost, address, f"the job was lost ({type(error).__name__})")
    return lambda: _taken(*pickle.loads(outcome))


def _lost(address: str, why: str):
    raise WorkerDied(f"{CLUSTER} {address}: {why}; what was finished stays, run again for the rest")


def _apply(task: bytes, digest: str) -> bytes:
    if digest != code_digest():
        where = f"the worker on {os.uname().nodename}"
        raise WorkerDied(f"{where} has other sources of dfslab, or another Python or numba; install the same there")
    return _outcome(task)
