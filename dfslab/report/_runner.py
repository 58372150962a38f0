"""Run the notebooks of a race into its report folder: strict parameters, offline HTML, manifest and index."""

import hashlib
import html
import json
import os
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from dfslab.errors import InputError, UserError
from dfslab.report._parts import part_style

__all__ = ["NOTEBOOKS", "ReportFailed", "execute", "run_report", "to_html", "write_index"]

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = {
    "01_ownership_calibration": "Ownership",
    "02_regime_tuning": "Regimes",
    "03_portfolio_construction": "Portfolio",
}
LONGEST_REPORT = 1800.0
"""Seconds a second report of the same race waits for the first."""
_TEMPLATES = Path(__file__).parent / "templates"


class ReportFailed(UserError, RuntimeError):
    """A page could not be made; the message names the notebook, the cell and the error."""


@dataclass(frozen=True)
class _Page:
    """A notebook of a report and the frame around it."""

    stem: str
    race_id: str
    simulated: bool
    stopped: bool = False

    def resources(self) -> dict:
        links = [{"text": "All races", "href": "../index.html", "here": False}]
        links += [{"text": t, "href": f"{s}.html", "here": s == self.stem} for s, t in NOTEBOOKS.items()]
        banner = "Simulated season: drivers, races and contests on this page are invented." if self.simulated else ""
        return {
            "title": f"{NOTEBOOKS.get(self.stem, self.stem)} – {self.race_id}",
            "css": _css(),
            "part_style": part_style(),
            "stopped": self.stopped,
            "links": links,
            "banner": banner,
            "footer": f"dfslab {metadata.version('dfslab')} · {self.race_id}",
        }


def _css() -> str:
    from pygments.formatters import HtmlFormatter

    own = "".join((_TEMPLATES / name).read_text("utf-8") for name in ("page.css", "parts.css"))
    return own + HtmlFormatter(style="friendly").get_style_defs(".highlight")


def to_html(notebook, resources: dict) -> str:
    """Return the executed `notebook` node as one HTML page that needs nothing from outside."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="report", extra_template_basedirs=[str(_TEMPLATES)], exclude_anchor_links=True
    )
    return exporter.from_notebook_node(notebook, resources={"page": resources})[0]


def execute(notebook: Path, target: Path, parameters: dict) -> None:
    """Execute `notebook` with `parameters` into `target`; unknown parameters and failing cells raise `ReportFailed`."""
    import papermill
    from traitlets.config import Config

    _check_parameters(notebook, parameters)
    config = Config({"KernelManager": {"transport_encryption": "auto"}})
    try:
        papermill.execute_notebook(
            str(notebook),
            str(target),
            parameters=parameters,
            kernel_name="python3",
            progress_bar=False,
            coalesce_streams=True,
            request_save_on_cell_execute=False,
            config=config,
        )
    except papermill.PapermillExecutionError as error:
        line = (error.source.strip().splitlines() or [""])[0]
        where = f"{notebook.name}, cell {error.cell_index + 1} ({line})"
        raise ReportFailed(f"{where}: {error.ename}: {error.evalue}") from error


def _check_parameters(notebook: Path, parameters: dict) -> None:
    import papermill

    known = papermill.inspect_notebook(str(notebook))
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise ReportFailed(
            f"{notebook.name} has no parameter {', '.join(unknown)}; it takes {', '.join(sorted(known))}"
        )
    for name, value in parameters.items():
        if not isinstance(value, bool | int | float | str | list | dict | None):
            raise ReportFailed(f"parameter {name}: a {type(value).__name__} cannot be handed to a notebook")


def run_report(
    race_id,
    data_dir,
    out_dir="reports",
    parameters=None,
    *,
    notebooks=ROOT / "notebooks",
    progress=lambda line: None,
) -> Path:
    """Make the report of a race: three executed notebooks, their HTML, the lineups and their tables.

    Parameters
    ----------
    race_id, data_dir : the race and the data folder
    out_dir : the folder of all reports; the race gets `out_dir/race_id`
    parameters : notebook parameters by name; one that no notebook has is an error
    notebooks : the folder that holds the notebooks named in `NOTEBOOKS`
    progress : called with a line for each step

    Returns
    -------
    The report's folder. An earlier good report is replaced only when the whole new one is there.

    Raises
    ------
    data.InputError : the input is not usable; nothing was run
    ReportFailed : a cell failed; `out_dir/<race_id>.failed` keeps what was made, with the failed page
    """
    from dfslab import data
    from dfslab.workflow import open_race

    race_id, data_dir, out_dir = str(race_id), Path(data_dir).resolve(), Path(out_dir).resolve()
    parameters, sources = parameters or {}, {stem: Path(notebooks) / f"{stem}.ipynb" for stem in NOTEBOOKS}
    _refuse_unknown(parameters, sources)
    _check_values(parameters)
    inputs = open_race(race_id, data_dir)
    inputs.check_files()
    failed = out_dir / f"{race_id}.failed"
    with data.files.locked(out_dir / ".locks" / race_id, LONGEST_REPORT):
        with data.files.write_folder_atomically(out_dir / race_id) as aside:
            try:
                _run_pages(sources, inputs, aside, parameters, progress)
                _write_manifest(aside, inputs, parameters)
            except ReportFailed:
                shutil.rmtree(failed, ignore_errors=True)
                shutil.copytree(aside, failed)
                raise
        shutil.rmtree(failed, ignore_errors=True)
    with data.files.locked(out_dir / ".locks"):
        write_index(out_dir)
    return out_dir / race_id


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
    import papermill

    taken = {name for path in sources.values() for name in papermill.inspect_notebook(str(path))}
    unknown = sorted(set(parameters) - taken)
    if unknown:
        raise ReportFailed(f"no notebook has the parameter {', '.join(unknown)}; known: {', '.join(sorted(taken))}")


def _run_pages(sources: dict, inputs, aside: Path, parameters: dict, progress) -> None:
    import papermill

    race_id, data_dir = inputs.race.race_id, inputs.data_dir
    given = {**parameters, "race_id": race_id, "data_dir": str(data_dir), "out_dir": str(aside)}
    for number, (stem, source) in enumerate(sources.items(), 1):
        progress(f"{race_id}: page {number} of {len(sources)}, {NOTEBOOKS[stem].lower()}")
        target = aside / source.name
        taken = papermill.inspect_notebook(str(source))
        stopped = True
        try:
            execute(source, target, {name: value for name, value in given.items() if name in taken})
            stopped = False
        finally:
            if target.exists():
                _publish(target, _Page(stem, race_id, inputs.simulated, stopped), aside, data_dir)


def _publish(path: Path, page: _Page, aside: Path, data_dir: Path) -> None:
    """Write the page of an executed notebook, with no time, random id or path of the machine that ran it."""
    import nbformat

    node = nbformat.read(path, as_version=4)
    node.metadata.pop("papermill", None)
    for cell in node.cells:
        for trace in ("papermill", "execution"):
            cell.metadata.pop(trace, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
            lines = [x for x in cell.source.splitlines() if not x.startswith("out_dir")]
            cell.source = "\n".join(lines)
    text = nbformat.writes(node).replace(str(aside), ".").replace(str(data_dir), _relative(data_dir))
    path.write_text(text, "utf-8")
    path.with_suffix(".html").write_text(to_html(nbformat.reads(text, as_version=4), page.resources()), "utf-8")


def _relative(folder: Path) -> str:
    return os.path.relpath(folder, ROOT) if folder.is_relative_to(ROOT.parent) else folder.name


def _write_manifest(folder: Path, inputs, parameters: dict) -> None:
    packages = ("numpy", "pandas", "scipy", "statsmodels", "numba", "pulp", "highspy", "papermill")
    manifest = {
        "race_id": inputs.race.race_id,
        "dfslab": metadata.version("dfslab"),
        "packages": {name: metadata.version(name) for name in packages},
        "parameters": parameters,
        "inputs": dict(inputs.hashes),
        "files": {p.name: _sha256(p) for p in sorted(folder.iterdir()) if p.is_file()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", "utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_index(out_dir: Path) -> Path:
    """Write `out_dir/index.html` over all finished reports of the folder and return its path."""
    from dfslab import data

    cards = [
        _card(p.parent)
        for p in sorted(Path(out_dir).glob("*/metrics.json"), reverse=True)
        if not p.parent.name.startswith(".") and not p.parent.name.endswith(".failed")
    ]
    body = "\n".join(cards) or "<p>No report has been made yet.</p>"
    text = (_TEMPLATES / "index.html").read_text("utf-8").replace("{{css}}", _css()).replace("{{cards}}", body)
    with data.files.write_atomically(Path(out_dir) / "index.html") as aside:
        aside.write_text(text, "utf-8")
    return Path(out_dir) / "index.html"


def _card(folder: Path) -> str:
    numbers = json.loads((folder / "metrics.json").read_text("utf-8"))
    race = numbers.get("race", {})
    card = numbers.get("card", {})
    facts = "".join(f"<p>{html.escape(line)}</p>" for line in card.get("lines", []))
    links = " · ".join(f'<a href="{folder.name}/{s}.html">{t}</a>' for s, t in NOTEBOOKS.items())
    alt, picture = html.escape(card.get("picture_alt", "")), card.get("picture")
    image = f'<img alt="{alt}" src="{folder.name}/{picture}">' if picture else ""
    title = html.escape(race.get("name") or folder.name)
    where = html.escape(f"{race.get('date', '')} · {race.get('track', '')} · {race.get('track_type', '')}")
    first = f"{folder.name}/{next(iter(NOTEBOOKS))}.html"
    return (
        f'<article><h3><a href="{first}">{title}</a></h3><p class="where">{where}</p>{image}{facts}'
        f'<p class="links">{links}</p></article>'
    )
