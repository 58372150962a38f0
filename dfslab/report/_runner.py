"""Run notebooks into a folder of pages: strict parameters, whole or not at all, nothing else replaced."""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from dfslab import __version__
from dfslab.data import files
from dfslab.errors import InputError, in_words
from dfslab.parallel import say
from dfslab.report._execute import NOTEBOOKS, Page, check_parameters, execute, parameters_of, publish
from dfslab.report._index import check_index, manifest_of, write_index
from dfslab.workflow import SAMPLE, open_race, tune

LONGEST_REPORT = 1800.0
"""Seconds a second report of the same race waits for the first."""
PACKAGES = ("numpy", "pandas", "scipy", "statsmodels", "numba", "pulp", "highspy", "papermill")
"""Whose versions a manifest tells."""


def run_report(
    race_id,
    data_dir,
    out_dir="reports",
    parameters=None,
    *,
    notebooks=None,
    progress=lambda line: None,
    learn: bool = True,
) -> Path:
    """Make the report of a race: three executed notebooks, their HTML, the lineups and their tables.

    Parameters
    ----------
    race_id, data_dir : the race (empty: the latest of the folder) and the data folder
    out_dir : the folder of all reports; the race gets `out_dir/race_id`
    parameters : notebook parameters by name; one that no notebook has is an error
    notebooks : the folder that holds the notebooks named in `NOTEBOOKS`, default those that come with the package
    progress : called with a line for each step
    learn : after the race, put promise and outcome into the user's record, see `keep_promises`

    Returns
    -------
    The report's folder. An earlier good report is replaced only when the whole new one is there.

    Raises
    ------
    InputError : the input is not usable, or something would be replaced that is no earlier report; nothing was run
    ReportFailed : a cell failed; `out_dir/<race_id>.failed` keeps what was made, with the failed page
    """
    data_dir, out_dir = Path(data_dir).resolve(), Path(out_dir).resolve()
    notebooks = files.shipped("notebooks") if notebooks is None else Path(notebooks)
    sources, parameters = tuple(notebooks / f"{stem}.ipynb" for stem in NOTEBOOKS), parameters or {}
    check_parameters(sources, parameters)
    day = open_race(str(race_id), data_dir)
    race_id = day.race.race_id
    for option in ("locks", "bans", "held", "max_exposure", "min_exposure"):  # before any page is made
        if isinstance(parameters.get(option), list | dict):
            day.slate.rows(parameters[option], option)
    day.files.check_after_race()
    check_index(out_dir)
    page = Page(race_id, day.simulated, {**parameters, "race_id": race_id})
    _make(out_dir / race_id, sources, page, data_dir, day.hashes, progress)
    with files.locked(out_dir / ".locks", tell=say):
        write_index(out_dir)
    if learn:
        keep_promises([out_dir / race_id], data_dir, progress)
    return out_dir / race_id


def keep_promises(reports, data_dir, progress=lambda line: None) -> None:
    """Put what the portfolios of some reports promised and won into the user's record, where they were played.

    Later reports calibrate their promises by it. A folder that may only be read costs the record, not the reports.
    """
    numbers = [files.read_json(report / "metrics.json") for report in reports if (report / "metrics.json").exists()]
    try:
        tune.remember(data_dir, [known["promise"] for known in numbers if known.get("promise")])
    except InputError as error:
        progress(f"later promises will not know of it: {error}")


def run_notebook(notebook, folder, parameters=None) -> str:
    """Run a notebook into `folder` (executed notebook, page, what it writes) and return what it shows, as text.

    Raises
    ------
    ReportFailed : a cell failed, or a parameter is unknown; `<folder>.failed` keeps the page, `folder` stays as it was
    """
    import nbformat

    notebook, folder, parameters = Path(notebook), Path(folder).resolve(), dict(parameters or {})
    data_dir = Path(parameters.get("data_dir") or SAMPLE).resolve()
    check_parameters([notebook], parameters)
    title = str(parameters.get("race_id") or "on its own")
    page = Page(title, data_dir == Path(SAMPLE).resolve(), parameters, alone=True)
    _make(folder, (notebook,), page, data_dir, files.input_digests(data_dir, parameters.get("race_id") or "*"))
    cells = nbformat.read(folder / notebook.name, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", []) if output.output_type != "stream"]
    texts = [output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n\n".join(text for text in texts if text)


# ---------------------------------------------------------------- one folder, whole or not at all


def _make(folder: Path, sources, page: Page, data_dir: Path, inputs: dict, progress=lambda line: None) -> None:
    """Run the notebooks into `folder`, with the parameters that `page` shows.

    What fails is kept as `<folder>.failed`, and the earlier folder stays.
    """
    failed = folder.with_name(f"{folder.name}.failed")
    _check_replaced(folder, data_dir)
    with files.locked(folder.parent / ".locks" / folder.name, LONGEST_REPORT, say):
        with files.write_folder_atomically(folder) as aside:
            try:
                for number, source in enumerate(sources, 1):
                    title = NOTEBOOKS.get(source.stem, source.stem).lower()
                    progress(f"{folder.name}: page {number} of {len(sources)}, {title}")
                    _run_page(source, aside, page, data_dir)
                _write_manifest(aside, folder.name, page.shown, inputs)
                written = manifest_of(folder).get("files", {})
                files.keep_others((path for path in folder.glob("*") if path.name not in written), folder, aside)
            except Exception as error:
                _keep_failed(aside, failed, in_words(error))
                raise
        shutil.rmtree(failed, ignore_errors=True)


def _check_replaced(folder: Path, data_dir: Path) -> None:
    """Raise `InputError` when a run would take the place of anything but what an earlier one made, or join the data."""
    files.check_out(folder, data_dir)
    for place in (folder, folder.with_name(f"{folder.name}.failed")):
        if not _is_ours(place, folder.name) or data_dir.is_relative_to(place):
            problem = f"this is not an earlier report of {folder.name} and would be replaced"
            raise InputError(f"{place}: {problem}; choose another --out, or move it")


def _is_ours(place: Path, race_id: str) -> bool:
    """Whether `place` is free, empty or made by an earlier run."""
    if place.is_symlink() or not place.is_dir():
        return not os.path.lexists(place)
    return not any(place.iterdir()) or manifest_of(place).get("race_id") == race_id


def _run_page(source: Path, aside: Path, page: Page, data_dir: Path) -> None:
    taken, target = parameters_of(source), aside / source.name
    label = "data/sample" if data_dir == Path(SAMPLE).resolve() else "<data>"  # the same page wherever the data lie
    shown = {name: value for name, value in (page.shown | {"data_dir": label}).items() if name in taken}
    places = {str(aside): ".", str(aside.parent): "<reports>", str(data_dir): label}
    page = replace(page, shown=shown, places=places | {str(source.parent.resolve()): "notebooks"}, stopped=True)
    own = {"data_dir": str(data_dir), "out_dir": str(aside)}
    try:
        execute(source, target, shown | {name: value for name, value in own.items() if name in taken})
        page = replace(page, stopped=False)
    finally:
        if target.exists():
            publish(target, page)


def _write_manifest(folder: Path, name: str, parameters: dict, inputs: dict) -> None:
    manifest = {
        "race_id": name,
        "dfslab": __version__,
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "parameters": parameters,
        "inputs": inputs,
        "files": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", "utf-8")


def _keep_failed(aside: Path, failed: Path, why: str) -> None:
    """Put what was made of a report that failed where it can be looked at; a full disk keeps nothing."""
    with suppress(OSError):
        manifest = {"race_id": failed.stem, "dfslab": "", "failed": why}
        (aside / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        shutil.rmtree(failed, ignore_errors=True)
        os.replace(aside, failed)
        os.chmod(failed, 0o755)


def keep_lost(race_id: str, out_dir: Path, why: str) -> None:
    """Keep what a process that died had made of a report, as a failed one."""
    failed = out_dir / f"{race_id}.failed"
    for aside in out_dir.glob(f".{race_id}.????????.partial") if _is_ours(failed, race_id) else ():
        with suppress(OSError), files.locked(out_dir / ".locks" / race_id):
            _keep_failed(aside, failed, why)
