"""Many races at once: the reports of a season on all cores or a cluster, and the ingest of its standings."""

from dataclasses import dataclass
from pathlib import Path

from dfslab import parallel
from dfslab.data import files, finished_races, ingest_standings, list_races
from dfslab.errors import InputError, in_words
from dfslab.report._runner import keep_lost, keep_promises, run_report, write_index
from dfslab.workflow import SAMPLE


@dataclass(frozen=True)
class Done:
    """What became of each race: what there is to say of those that went well, and why the others failed."""

    finished: dict[str, str]
    failed: dict[str, str]


def report_season(
    data_dir=None, out_dir="reports", races=None, parameters=None, *, workers=None, progress=lambda line: None
) -> Done:
    """Make the report of every race of the folder, side by side, then the index over all of them.

    Parameters
    ----------
    data_dir, out_dir, parameters : as for `report.run_report`
    races : race ids, default every race with a folder
    workers : processes on this machine (default: one per core); with DASK_SCHEDULER_ADDRESS set the races go to that
        cluster, whose workers must see both folders under the same path
    progress : called with a line for each race that ends

    Returns
    -------
    `Done`: a race that cannot be reported is listed as failed, the others are finished all the same.
    """
    data_dir, out_dir = Path(data_dir or SAMPLE).resolve(), Path(out_dir).resolve()
    races = _chosen(races, data_dir)
    jobs = [(race_id, str(data_dir), str(out_dir), parameters or {}) for race_id in races]
    files.check_out(out_dir, data_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    ended = parallel.map_jobs(_report, jobs, workers=workers, progress=progress, instead=_failed)
    write_index(out_dir)
    keep_promises([report for report in ended if isinstance(report, Path)], data_dir, progress)
    return _sorted_out(races, ended)


def _report(*job) -> Path:
    """Make a report that learns nothing from its neighbours, whichever ends first."""
    return run_report(*job, learn=False)


def _failed(job, error: Exception) -> Exception:
    """Keep the pages of a race whose process or cluster died, and return why there is no report."""
    race_id, _, out_dir, _ = job
    if isinstance(error, parallel.WorkerDied):
        keep_lost(race_id, Path(out_dir), in_words(error))
    return error


def ingest_season(data_dir=None, races=None, *, progress=lambda line: None) -> Done:
    """Add the contest standings of every race that has some to history/ownership.csv, in order of race id."""
    data_dir = Path(data_dir or SAMPLE)
    races, ended = races or finished_races(data_dir), []
    for race_id in races:
        try:
            added = ingest_standings(race_id, data_dir)
            ended.append(". ".join([f"{len(added.contest_ids)} contests", *added.notes]))
            progress(f"{race_id}: in the history")
        except Exception as error:
            ended.append(error)
            progress(f"{race_id}: failed")
    return _sorted_out(races, ended)


def _chosen(races, data_dir: Path) -> list[str]:
    known = list_races(data_dir)
    if not known:
        raise InputError(f"{data_dir / 'races'}: no race folder; put DKSalaries.csv into a folder races/<race_id>")
    unknown = [race for race in races or () if race not in known]
    if unknown:
        raise InputError(f"{data_dir / 'races'}: no race {unknown[0]}; there are {', '.join(known)}")
    return list(races or known)


def _sorted_out(races, ended) -> Done:
    found = dict(zip(races, ended, strict=True))
    failed = {race: in_words(what) for race, what in found.items() if isinstance(what, Exception)}
    return Done({race: str(what) for race, what in found.items() if race not in failed}, failed)
