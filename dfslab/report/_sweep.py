"""One notebook at a person's wish: a page of its own, or a page over a grid of its parameters."""

import hashlib
import itertools
import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
import pandas as pd

from dfslab import __version__, parallel
from dfslab.data import files
from dfslab.errors import InputError, UserError
from dfslab.report import _plots as plots
from dfslab.report._execute import Page, ReportFailed, execute, parameters_of, publish, to_html
from dfslab.report._parts import figure, table
from dfslab.report._runner import LONGEST_REPORT, shown_as
from dfslab.workflow import SAMPLE


def run_notebook(notebook, folder, parameters=None) -> str:
    """Run a notebook into `folder` (executed notebook, page, what it writes) and return what it shows, as text.

    Raises
    ------
    ReportFailed : a cell failed, or a parameter is unknown; `<folder>.failed` keeps the page, `folder` stays as it was
    """
    notebook, folder, parameters = Path(notebook), Path(folder).resolve(), dict(parameters or {})
    data_dir = Path(parameters.get("data_dir") or SAMPLE).resolve()
    _refuse_unknown(notebook, parameters)
    with files.locked(folder.parent / ".locks" / folder.name, LONGEST_REPORT, parallel.say):
        failed = folder.with_name(f"{folder.name}.failed")
        with files.write_folder_atomically(folder) as aside:
            try:
                _run_page(notebook, aside, parameters, data_dir)
            except ReportFailed:
                shutil.rmtree(failed, ignore_errors=True)
                shutil.copytree(aside, failed)
                raise
        shutil.rmtree(failed, ignore_errors=True)
    return _shown(nbformat.read(folder / notebook.name, as_version=4))


def _run_page(notebook: Path, aside: Path, parameters: dict, data_dir: Path) -> None:
    target, taken, told = aside / notebook.name, parameters_of(notebook), shown_as(data_dir)
    own = {"data_dir": str(data_dir), "out_dir": str(aside)}
    page = Page(
        notebook.stem,
        str(parameters.get("race_id") or "on its own"),
        simulated=data_dir == Path(SAMPLE).resolve(),
        stopped=True,
        shown=parameters | {"data_dir": told},
        places={str(aside): ".", str(data_dir): told, str(notebook.parent.resolve()): "notebooks"},
        alone=True,
    )
    try:
        execute(notebook, target, parameters | {name: value for name, value in own.items() if name in taken})
        page = replace(page, stopped=False)
    finally:
        if target.exists():
            publish(target, page)


def _refuse_unknown(notebook: Path, names) -> None:
    if not notebook.is_file():
        raise InputError(f"{notebook}: there is no such notebook; name one, such as those that dfslab lab copies")
    known = parameters_of(notebook)
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise InputError(f"{notebook.name} has no parameter {', '.join(unknown)}; it takes {', '.join(sorted(known))}")


def _shown(notebook) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [output.get("data", {}).get("text/plain", "") for output in outputs if output.output_type != "stream"]
    return "\n\n".join(text for text in texts if text)


# ------------------------------------------------------------ many runs


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep: its page, all rows of `runs.csv`, and why runs failed, by their parameters."""

    page: Path
    runs: pd.DataFrame
    failed: dict[str, str]


def sweep(
    notebook, grid: dict, out_dir="reports", parameters=None, *, metric="", workers=None, progress=lambda line: None
) -> Sweep:
    """Run a notebook at every point of a grid, side by side, and write one page over all runs so far.

    Every run leaves its own page, and appends its parameters, what it wrote to `metrics.json`, a digest of the data,
    the version and its seconds as a row to `out_dir/sweeps/<notebook>/runs.csv`.

    Parameters
    ----------
    grid : parameter → values to try
    parameters : those that all runs share
    metric : what the heat map over the first two parameters shows; default the first that has a standard error
    workers : processes on this machine, default one per core
    """
    notebook, shared = Path(notebook), dict(parameters or {})
    _refuse_unknown(notebook, [*grid, *shared])
    folder = Path(out_dir).resolve() / "sweeps" / notebook.stem
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    jobs = [(str(notebook.resolve()), str(folder), point, shared) for point in points]
    ended = parallel.map_jobs(
        _run, jobs, workers=workers, progress=lambda done, total: progress(f"{done} of {total} runs")
    )
    with files.locked(folder / ".locks" / "runs"):
        path = folder / "runs.csv"
        earlier = [pd.read_csv(path)] if path.exists() else []
        runs = pd.concat([*earlier, pd.DataFrame([row for row, _ in ended if row])], ignore_index=True)
        files.write_csv(path, runs)
        page = _write_page(folder, notebook.stem, runs, list(grid), metric)
    names = [", ".join(f"{name}={value}" for name, value in point.items()) for point in points]
    failed = {name: error for name, (_, error) in zip(names, ended, strict=True) if error}
    return Sweep(page, runs, failed)


def _run(notebook: str, folder: str, point: dict, shared: dict) -> tuple[dict, str]:
    """Return the row of a run and why it failed; one of the two is empty."""
    data_dir, race_id = Path(shared.get("data_dir") or SAMPLE), shared.get("race_id", "*")
    inputs = [files.digest(path) for part in ("history", f"races/{race_id}") for path in _files(data_dir, part)]
    key = hashlib.sha256(json.dumps([point, shared, inputs, __version__], sort_keys=True).encode()).hexdigest()[:10]
    started, target = time.perf_counter(), Path(folder) / f"run-{key}"
    try:
        run_notebook(notebook, target, shared | point)
    except (UserError, OSError) as error:
        return {}, str(error)
    kept = target / "metrics.json"
    numbers = pd.json_normalize(files.read_json(kept) if kept.exists() else {}).iloc[:1].to_dict("records")
    numbers = {name: value for name, value in (numbers or [{}])[0].items() if isinstance(value, bool | int | float)}
    written = {name: value if isinstance(value, int | float | str) else str(value) for name, value in point.items()}
    about = {"run": target.name, "data": hashlib.sha256("".join(inputs).encode()).hexdigest()[:12]}
    seconds = round(time.perf_counter() - started, 1)
    return written | numbers | about | {"version": __version__, "seconds": seconds}, ""


def _files(data_dir: Path, part: str) -> list[Path]:
    return sorted(path for path in data_dir.glob(f"{part}/*") if path.is_file())


def _write_page(folder: Path, stem: str, runs: pd.DataFrame, swept: list[str], metric: str) -> Path:
    """Write the page over all runs: their table, and a heat map of one number over the first two parameters."""
    first = [name for name in runs.select_dtypes("number") if name.count(".") == 1 and runs[name].nunique() > 1]
    measured = [name for name in first if f"{name}_se" in runs]
    if metric and metric not in runs:
        raise InputError(f"no run wrote {metric}; there are {', '.join(first)}")
    shown = metric or (measured or first or [""])[0]
    columns = [name for name in dict.fromkeys([*swept, *first, "seconds", "run"]) if name in runs]
    parts = [table(runs[columns], f"{len(runs)} runs; each has its page in the folder of its name.", search=True)]
    rows, column = (swept[1] if len(swept) > 1 else "run", swept[0])
    if shown and {rows, column} <= set(columns):
        cells = runs.astype(dict.fromkeys((rows, column), str)).pivot_table(shown, rows, column)
        picture = plots.plot_heat(cells, f"{column}; rows: {rows}", "{:.4g}")
        parts.append(figure(picture, f"{shown} over {column} and {rows}", f"{shown}, mean over the other parameters."))
    outputs = [nbformat.v4.new_output("display_data", {"text/html": part.markup}) for part in parts]
    cells = [
        nbformat.v4.new_markdown_cell(f"# Sweep: {stem.replace('_', ' ')}"),
        nbformat.v4.new_code_cell('pd.read_csv("runs.csv")', outputs=outputs),
    ]
    page = folder / "index.html"
    with files.write_atomically(page) as aside:
        resources = Page(stem, "sweep", False, alone=True).resources()
        aside.write_text(to_html(nbformat.v4.new_notebook(cells=cells), resources), "utf-8")
    return page
