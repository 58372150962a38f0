"""A notebook run at every point of a grid of its parameters, and one page over all runs."""

import hashlib
import itertools
import json
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dfslab import __version__, parallel
from dfslab.data import files
from dfslab.errors import InputError, in_words
from dfslab.report import _plots as plots
from dfslab.report._execute import Page, check_parameters, to_html
from dfslab.report._parts import figure, table
from dfslab.report._runner import run_notebook
from dfslab.workflow import SAMPLE


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
    check_parameters([notebook], shared | {name: values[0] for name, values in grid.items()})
    folder = Path(out_dir).resolve() / "sweeps" / notebook.stem
    files.check_out(folder, shared.get("data_dir") or SAMPLE)
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    jobs = [(str(notebook.resolve()), str(folder), point, shared) for point in points]
    path = folder / "runs.csv"
    _ = _earlier(path)
    ended = parallel.map_jobs(_run, jobs, workers=workers, progress=progress, instead=lambda job, error: error)
    good = [row for row in ended if isinstance(row, dict)]
    with files.locked(folder / ".locks" / "runs"):
        runs = pd.concat([*_earlier(path), pd.DataFrame(good)], ignore_index=True)
        files.write_csv(path, runs)
        page = _write_page(folder, notebook.stem, runs, list(grid), metric)
    names = [", ".join(f"{name}={value}" for name, value in point.items()) for point in points]
    failed = {n: in_words(error) for n, error in zip(names, ended, strict=True) if isinstance(error, Exception)}
    return Sweep(page, runs, failed)


def _earlier(path: Path) -> list[pd.DataFrame]:
    """Return the rows of earlier sweeps; they are the user's, so a damaged file is neither read nor written over."""
    try:
        return [pd.read_csv(path)] if path.exists() else []
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({in_words(error)}); move it away, or repair it") from None


def _run(notebook: str, folder: str, point: dict, shared: dict) -> dict:
    """Run the notebook at one point of the grid, and return its row."""
    data_dir, race_id = Path(shared.get("data_dir") or SAMPLE), shared.get("race_id", "*")
    inputs = list(files.input_digests(data_dir, race_id).values())
    key = hashlib.sha256(json.dumps([point, shared, inputs, __version__], sort_keys=True).encode()).hexdigest()[:10]
    started, target = time.perf_counter(), Path(folder) / f"run-{key}"
    run_notebook(notebook, target, shared | point)
    kept = target / "metrics.json"
    numbers = pd.json_normalize(files.read_json(kept) if kept.exists() else {}).iloc[:1].to_dict("records")
    numbers = {name: value for name, value in (numbers or [{}])[0].items() if isinstance(value, bool | int | float)}
    written = {name: value if isinstance(value, int | float | str) else str(value) for name, value in point.items()}
    about = {"run": target.name, "data": hashlib.sha256("".join(inputs).encode()).hexdigest()[:12]}
    seconds = round(time.perf_counter() - started, 1)
    return written | numbers | about | {"version": __version__, "seconds": seconds}


def _write_page(folder: Path, stem: str, runs: pd.DataFrame, swept: list[str], metric: str) -> Path:
    """Write the page over all runs: their table, and a heat map of one number over the first two parameters."""
    from nbformat import v4

    first = [name for name in runs.select_dtypes("number") if name.count(".") == 1 and runs[name].nunique() > 1]
    measured = [name for name in first if f"{name}_se" in runs]
    if metric and metric not in runs:
        raise InputError(f"no run wrote {metric}; there are {', '.join(first)}")
    shown = metric or (measured or first or [""])[0]
    columns = [name for name in dict.fromkeys([*swept, *first, "seconds", "run"]) if name in runs]
    short = {name: name.split(".")[-1] for name in first}
    listed = runs[columns].rename(columns=short if len({*short.values(), *swept}) == len(short) + len(swept) else {})
    parts = [table(listed, f"{len(runs)} runs; each has its page in the folder of its name.", search=True)]
    rows, column = (swept[1] if len(swept) > 1 else "run", swept[0])
    if shown and {rows, column} <= set(columns):
        cells = runs.astype(dict.fromkeys((rows, column), str)).pivot_table(shown, rows, column)
        picture = plots.plot_heat(cells, f"{column}; rows: {rows}", "{:.4g}")
        parts.append(figure(picture, f"{shown} over {column} and {rows}", f"{shown}, mean over the other parameters."))
    outputs = [v4.new_output("display_data", {"text/html": part.markup}) for part in parts]
    cells = [
        v4.new_markdown_cell(f"# Sweep: {stem.replace('_', ' ')}"),
        v4.new_code_cell('pd.read_csv("runs.csv")', outputs=outputs),
    ]
    page = folder / "index.html"
    files.write_text(page, to_html(v4.new_notebook(cells=cells), Page("sweep", alone=True).frame(stem)))
    return page
