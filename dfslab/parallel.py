"""The same jobs on one machine or on a Dask cluster, with the same results for any number of workers."""

import functools
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

__all__ = ["cache_folder", "code_digest", "keep_compiled_code", "map_jobs", "streams"]

PACKAGE = Path(__file__).parent
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

    if os.environ.get("DFSLAB_CACHE") and _writable(Path(os.environ["DFSLAB_CACHE"]).absolute()):
        return Path(os.environ["DFSLAB_CACHE"]).absolute()
    user = os.getuid() if hasattr(os, "getuid") else ""
    for folder in (Path(platformdirs.user_cache_dir("dfslab")), Path(tempfile.gettempdir(), f"dfslab-{user}")):
        if folder.is_absolute() and _writable(folder) and _only_ours(folder):
            return folder
    return Path(tempfile.mkdtemp(prefix="dfslab-"))


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _only_ours(folder: Path) -> bool:
    """Whether nobody else may write there: compiled code is run as it is found."""
    held = folder.stat()
    return os.name == "nt" or (held.st_uid == os.geteuid() and not held.st_mode & 0o022)


@functools.cache
def code_digest(kernels: bool = False) -> str:
    """Return a digest of the package's sources (or of its compiled ones only), and of Python's and numba's versions."""
    digest = hashlib.sha256(sys.version.encode())
    numba = importlib.util.find_spec("numba")
    files = sorted(p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".json", ".csv"))
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
            if time.time() - other.stat().st_mtime > LONGEST_UNUSED:
                shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    os.utime(folder)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)


def map_jobs(function, jobs, *, workers: int | None = None, progress=lambda done, total: None) -> list:
    """Return `[function(*job) for job in jobs]`, computed side by side.

    Parameters
    ----------
    function : a module-level function (it travels to other processes)
    jobs : tuples of arguments
    workers : processes on this machine (default: one per core); 1 runs here, without any
    progress : called with (finished, total) after each job that ends

    With the environment variable DASK_SCHEDULER_ADDRESS set, the jobs go to that Dask cluster instead. A worker that
    dies loses nothing: its jobs run again elsewhere.
    """
    jobs = list(jobs)
    if os.environ.get("DASK_SCHEDULER_ADDRESS"):
        return _on_dask(function, jobs, os.environ["DASK_SCHEDULER_ADDRESS"], progress)
    if workers == 1 or len(jobs) < 2:
        done = []
        for job in jobs:
            done.append(function(*job))
            progress(len(done), len(jobs))
        return done
    return _on_this_machine(function, jobs, workers or -1, progress)


def _on_this_machine(function, jobs, workers, progress) -> list:
    import joblib

    done = []
    pool = joblib.Parallel(n_jobs=workers, return_as="generator")
    for result in pool(joblib.delayed(function)(*job) for job in jobs):
        done.append(result)
        progress(len(done), len(jobs))
    return done


def _on_dask(function, jobs, address, progress) -> list:
    from distributed import Client, as_completed

    with Client(address) as client:
        waiting = [client.submit(_apply, function, job, pure=False, retries=2) for job in jobs]
        for done, _ in enumerate(as_completed(waiting), 1):
            progress(done, len(jobs))
        return client.gather(waiting)


def _apply(function, job):
    return function(*job)
