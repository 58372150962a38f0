"""Run the notebooks of a race into its report folder: strict parameters, whole or not at all, nothing else replaced."""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import numpy as np

from dfslab.data import files
from dfslab.errors import InputError, in_words
from dfslab.parallel import say
from dfslab.report._execute import NOTEBOOKS, Page, ReportFailed, execute, parameters_of, publish
from dfslab.report._index import check_index, manifest_of, write_index
from dfslab.workflow import SAMPLE, open_race

LONGEST_REPORT = 1800.0
"""Seconds a second report of the same race waits for the first."""


def run_report(
    race_id,
    data_dir,
    out_dir="reports",
    parameters=None,
    *,
    notebooks=None,
    progress=lambda line: None,
) -> Path:
    """Make the report of a race: three executed notebooks, their HTML, the lineups and their tables.

    Parameters
    ----------
    race_id, data_dir : the race and the data folder
    out_dir : the folder of all reports; the race gets `out_dir/race_id`
    parameters : notebook parameters by name; one that no notebook has is an error
    notebooks : the folder that holds the notebooks named in `NOTEBOOKS`, default those that come with the package
    progress : called with a line for each step

    Returns
    -------
    The report's folder. An earlier good report is replaced only when the whole new one is there.

    Raises
    ------
    data.InputError : the input is not usable, or something would be replaced that is no earlier report; nothing was run
    ReportFailed : a cell failed; `out_dir/<race_id>.failed` keeps what was made, with the failed page
    """
    race_id, data_dir, out_dir = str(race_id), Path(data_dir).resolve(), Path(out_dir).resolve()
    notebooks = files.shipped("notebooks") if notebooks is None else Path(notebooks)
    parameters, sources = parameters or {}, {stem: notebooks / f"{stem}.ipynb" for stem in NOTEBOOKS}
    _refuse_unknown(parameters, sources)
    _check_values(parameters)
    inputs = open_race(race_id, data_dir)
    inputs.check_files()
    files.check_out(out_dir, data_dir)
    _check_replaced(race_id, data_dir, out_dir)
    failed = out_dir / f"{race_id}.failed"
    with files.locked(out_dir / ".locks" / race_id, LONGEST_REPORT, say):
        with files.write_folder_atomically(out_dir / race_id) as aside:
            try:
                _run_pages(sources, inputs, aside, parameters, progress)
                _write_manifest(aside, inputs, parameters)
            except Exception as error:
                _keep_failed(aside, failed, inputs, parameters, in_words(error))
                raise
        shutil.rmtree(failed, ignore_errors=True)
    with files.locked(out_dir / ".locks", tell=say):
        write_index(out_dir)
    return out_dir / race_id


def _check_replaced(race_id: str, data_dir: Path, out_dir: Path) -> None:
    """Raise `InputError` when the report would take the place of anything but an earlier report of the race."""
    for folder in (out_dir / race_id, out_dir / f"{race_id}.failed"):
        ours = not folder.is_dir() or not any(folder.iterdir()) or manifest_of(folder).get("race_id") == race_id
        if folder.is_symlink() or not ours or data_dir.is_relative_to(folder):
            raise InputError(
                f"{folder}: this is not an earlier report of {race_id} and would be replaced; choose another --out, "
                "or move it"
            )
    check_index(out_dir)


_WHOLE = {"seed": 0, "n_scenarios": 1, "n_draws": 1, "n_lineups": 1, "max_overlap": 0, "contest": 0}
"""Parameters that are whole numbers, and their least values; a lineup shares five drivers with another at most."""
_SHARES = ("max_exposure", "max_ownership_per_driver", "low_ownership_threshold")
"""Parameters that are shares, above 0 and at most 1."""


def _check_values(parameters: dict) -> None:
    """Raise `InputError` for a value that cannot be, before a kernel starts."""
    for name, value in parameters.items():
        need, right = "", True
        if name in _WHOLE:
            least, most = _WHOLE[name], 5 if name == "max_overlap" else np.inf
            right = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
            need = f"a whole number from {least} to {most}" if most < np.inf else f"a whole number of {least} or more"
        elif name in _SHARES and not isinstance(value, dict | None):
            right, need = isinstance(value, int | float) and 0 < value <= 1, "a share above 0, at most 1"
        if not right:
            raise InputError(f"parameter {name} is {value!r}; it must be {need}")


def _refuse_unknown(parameters: dict, sources: dict) -> None:
    taken = {name for path in sources.values() for name in parameters_of(path)}
    unknown = sorted(set(parameters) - taken)
    if unknown:
        raise ReportFailed(f"no notebook has the parameter {', '.join(unknown)}; known: {', '.join(sorted(taken))}")


def _run_pages(sources: dict, inputs, aside: Path, parameters: dict, progress) -> None:
    race_id, data_dir = inputs.race.race_id, inputs.data_dir
    shown = {**parameters, "race_id": race_id, "data_dir": shown_as(data_dir)}
    places = {str(aside): ".", str(aside.parent): "<reports>", str(data_dir): shown_as(data_dir)}
    places |= {str(source.parent.resolve()): "notebooks" for source in sources.values()}
    own = {"data_dir": str(data_dir), "out_dir": str(aside)}
    for number, (stem, source) in enumerate(sources.items(), 1):
        progress(f"{race_id}: page {number} of {len(sources)}, {NOTEBOOKS[stem].lower()}")
        target, taken = aside / source.name, parameters_of(source)
        seen = {name: value for name, value in shown.items() if name in taken}
        stopped = True
        try:
            execute(source, target, seen | {name: value for name, value in own.items() if name in taken})
            stopped = False
        finally:
            if target.exists():
                publish(target, Page(stem, race_id, inputs.simulated, stopped, seen, places))


def shown_as(data_dir: Path) -> str:
    """Return how pages call a data folder: the same inputs give the same page wherever they lie."""
    return "data/sample" if data_dir == Path(SAMPLE).resolve() else "<data>"


def _keep_failed(aside: Path, failed: Path, inputs, parameters: dict, why: str) -> None:
    """Put what was made of a report that failed where it can be looked at; a full disk keeps what it can."""
    with suppress(OSError):
        _write_manifest(aside, inputs, parameters, failed=why)
    with suppress(OSError):
        shutil.rmtree(failed, ignore_errors=True)
        os.replace(aside, failed)
        os.chmod(failed, 0o755)


def keep_lost(race_id: str, out_dir: Path, why: str) -> None:
    """Keep what a process that died had made of a report, as a failed one."""
    failed = out_dir / f"{race_id}.failed"
    ours = not failed.exists() or manifest_of(failed).get("race_id") == race_id
    for aside in out_dir.glob(f".{race_id}.????????.partial") if ours else ():
        with suppress(OSError), files.locked(out_dir / ".locks" / race_id):
            files.write_text(aside / "manifest.json", json.dumps({"race_id": race_id, "dfslab": "", "failed": why}))
            shutil.rmtree(failed, ignore_errors=True)
            os.replace(aside, failed)
            os.chmod(failed, 0o755)


def _write_manifest(folder: Path, inputs, parameters: dict, **more) -> None:
    packages = ("numpy", "pandas", "scipy", "statsmodels", "numba", "pulp", "highspy", "papermill")
    manifest = {
        "race_id": inputs.race.race_id,
        "dfslab": metadata.version("dfslab"),
        "packages": {name: metadata.version(name) for name in packages},
        "parameters": parameters,
        "inputs": dict(inputs.hashes),
        "files": {p.name: _sha256(p) for p in sorted(folder.iterdir()) if p.is_file()},
        **more,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", "utf-8")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
