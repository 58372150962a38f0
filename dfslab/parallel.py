"""The same jobs on one machine or on a Dask cluster, with the same results for any number of workers."""

import os

import numpy as np

__all__ = ["map_jobs", "streams"]


def streams(seed: int, n: int) -> list[np.random.Generator]:
    """Return one generator per job, (n,); job k gets the same one however many workers there are."""
    return [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,))) for k in range(n)]


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
