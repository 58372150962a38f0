"""Execute a notebook in a kernel of our own, and publish it as a page that tells nothing of the machine that ran it."""

import html
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from markupsafe import escape

from dfslab import __version__
from dfslab.data import files
from dfslab.errors import UserError, did_you_mean, in_words, number_between, whole_number
from dfslab.parallel import KERNELS, PACKAGE, child_environment
from dfslab.report._parts import part_style

NOTEBOOKS = {
    "01_ownership_calibration": "Ownership",
    "02_regime_tuning": "Regimes",
    "03_portfolio_construction": "Portfolio",
}
TEMPLATES = Path(__file__).parent / "templates"
LONGEST_START = 180
"""Seconds a kernel may take to start, on a machine with much else to do."""


class ReportFailed(UserError, RuntimeError):
    """A page could not be made; the message names the notebook, the cell and the error."""


def parameters_of(notebook: Path) -> dict:
    """Return the parameters a notebook takes, by name, as papermill reads them."""
    import papermill
    from papermill.iorw import load_notebook_node

    if not Path(notebook).is_file():
        raise ReportFailed(f"{notebook}: there is no such notebook; install dfslab with its notebooks, or name another")
    return papermill.inspect_notebook(load_notebook_node(str(notebook)))


def execute(notebook: Path, target: Path, parameters: dict) -> None:
    """Execute `notebook` with `parameters` into `target`, which is written however it ends.

    The kernel is this very Python, whatever kernels others installed; its working folder is the target's, and nothing
    is imported from there. What it prints beside the cells (a traceback of its own when it is ended) is dropped.

    Raises
    ------
    ReportFailed : an unknown parameter, a cell that fails (with its number and first line), a kernel that dies
    """
    import nbformat
    from nbclient import NotebookClient
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook
    from traitlets.config import Config

    node = load_notebook_node(str(notebook))
    node = parameterize_notebook(node, parameters, kernel_name="python3") if parameters else node
    client = NotebookClient(
        node,
        kernel_name="python3",
        startup_timeout=LONGEST_START,
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(target.parent)}},
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),
    )
    client.create_kernel_manager().kernel_spec_manager.kernel_dirs = [str(KERNELS / "kernels")]
    client.reset_execution_trackers()
    at = None
    try:
        with client.setup_kernel(env=child_environment(), stderr=subprocess.DEVNULL):
            for at, cell in enumerate(node.cells):
                client.execute_cell(cell, at)
            client.set_widgets_metadata()
    except Exception as error:
        raise _failure(notebook.name, node, at, error) from error
    finally:
        files.write_text(target, nbformat.writes(node))


_WHOLE = {"seed": 0, "n_scenarios": 1, "n_draws": 1, "n_lineups": 1, "max_overlap": 0, "contest": 0}
"""Parameters that are whole numbers, and their least values."""
_BOUNDS = dict.fromkeys(("max_exposure", "max_ownership_per_driver", "low_ownership_threshold"), (0.001, 1))
_BOUNDS["max_overlap"] = (0, 5)
"""Parameters that are shares, and the drivers a lineup shares with another, and their bounds."""


def check_parameters(notebooks, parameters: dict) -> None:
    """Raise `UserError` for a parameter that no notebook has, or a value that cannot be, before a kernel starts."""
    taken = {name for path in notebooks for name in parameters_of(path)}
    unknown = sorted(set(parameters) - taken)
    if unknown:
        names = ", ".join(Path(path).name for path in notebooks)
        hint = did_you_mean(unknown[0], sorted(taken), f"known: {', '.join(sorted(taken))}")
        raise ReportFailed(f"{names}: no parameter {', '.join(unknown)}; {hint}")
    for name, value in parameters.items():
        if name in _WHOLE:
            whole_number(value, f"parameter {name}", _WHOLE[name])
        if name in _BOUNDS and not isinstance(value, dict | None):
            number_between(value, f"parameter {name}", *_BOUNDS[name])
        elif not isinstance(value, int | float | str | list | dict | None):
            raise ReportFailed(f"parameter {name} is {value!r}; it must be text, a number, a list or a dict")


def _failure(name: str, node, at: int | None, error: Exception) -> ReportFailed:
    """Return what to tell of an error within a cell, and let the page tell it where the kernel could not."""
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from nbformat.v4 import new_output

    if at is None:
        return ReportFailed(f"{name}: no kernel could be started ({in_words(error)}); run again")
    cell = node.cells[at]
    where = f"{name}, cell {at + 1} ({(cell.source.strip().splitlines() or [''])[0]})"
    if isinstance(error, CellExecutionError):
        return ReportFailed(f"{where}: {error.ename}: {' '.join(error.evalue.split())}")
    why = f"the kernel gave no answer ({in_words(error)}); run again"
    if isinstance(error, DeadKernelError):
        why = "the kernel died, perhaps for want of memory; try -p n_scenarios=5000"
    if cell.cell_type == "code":
        cell.outputs.append(new_output("error", ename="Stopped", evalue=why, traceback=[why]))
    return ReportFailed(f"{where}: {why}")


# ---------------------------------------------------------------- pages


@dataclass(frozen=True)
class Page:
    """The frame around a notebook's page: `name` is the race's, or what stands for it.

    `shown` are the parameters a reader sees; `places` tells how the page calls folders of the machine, by path; `alone`
    is a page by itself, not among those of a race.
    """

    name: str
    simulated: bool = False
    shown: dict = field(default_factory=dict)
    places: dict = field(default_factory=dict)
    stopped: bool = False
    alone: bool = False

    def frame(self, stem: str) -> dict:
        """Return what the template says around the notebook `stem`."""
        links = [{"text": "All races", "href": "../index.html", "here": False}]
        links += [{"text": t, "href": f"{s}.html", "here": s == stem} for s, t in NOTEBOOKS.items()]
        banner = "Simulated season: drivers, races and contests on this page are invented." if self.simulated else ""
        return {
            "title": f"{NOTEBOOKS.get(stem, stem)} – {self.name}",
            "css": css(),
            "part_style": part_style(),
            "stopped": self.stopped,
            "links": [] if self.alone else links,
            "banner": banner,
            "footer": f"dfslab {__version__} · {self.name}",
        }


def css() -> str:
    """Return the styles of pages and index."""
    from pygments.formatters import HtmlFormatter

    own = "".join((TEMPLATES / name).read_text("utf-8") for name in ("page.css", "parts.css"))
    return own + HtmlFormatter(style="friendly").get_style_defs(".highlight")


def to_html(notebook, frame: dict) -> str:
    """Return the executed `notebook` node as one HTML page that needs nothing from outside."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="report", extra_template_basedirs=[str(TEMPLATES)], exclude_anchor_links=True)
    return exporter.from_notebook_node(notebook, resources={"page": frame})[0]


def publish(path: Path, page: Page) -> None:
    """Write the page of an executed notebook, with no time, random id or path of the machine that ran it."""
    import nbformat
    from papermill.translators import translate_parameters

    node = nbformat.read(path, as_version=4)
    node.metadata.pop("papermill", None)
    places = _Places(page.places)
    for cell in node.cells:
        for trace in ("papermill", "execution"):
            cell.metadata.pop(trace, None)
        cell.source = places.text(cell.source)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
            cell.source = translate_parameters("python3", "python", page.shown, "Parameters").rstrip("\n")
        for output in cell.get("outputs", []):
            places.output(output)
    files.write_text(path, nbformat.writes(node) + "\n")
    files.write_text(path.with_suffix(".html"), to_html(node, page.frame(path.stem)))


_PICTURE = re.compile(r"(data:[\w/+.;=-]+,[A-Za-z0-9+/=\s]*)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class _Places:
    """Rewrites text so that folders of the machine have the names of `places`: as whole paths, never in pictures."""

    def __init__(self, places: dict):
        places = {**places, str(PACKAGE): "dfslab", sys.prefix: "<python>", sys.base_prefix: "<python>"}
        places.setdefault(os.path.expanduser("~"), "~")
        self.names = {form: name for path, name in places.items() if len(path) > 1 for form in _forms(path)}
        longest = sorted(map(re.escape, self.names), key=len, reverse=True)
        self.pattern = re.compile(rf"(?<![\w./~-])(?:{'|'.join(longest)})(?![\w-]|\.\w)")

    def text(self, text: str) -> str:
        parts = _PICTURE.split(text)
        parts[::2] = [self.pattern.sub(lambda found: self.names[found[0]], part) for part in parts[::2]]
        return "".join(parts)

    def output(self, output) -> None:
        """Rewrite the text of a cell's output, in place."""
        for name in ("text", "evalue"):
            if name in output:
                output[name] = self.text(output[name])
        if "traceback" in output:
            output.traceback = [self.text(_COLOURS.sub("", line)) for line in output.traceback]
        for kind, value in output.get("data", {}).items():
            if kind.startswith("text/") and isinstance(value, str):
                output.data[kind] = self.text(value)


def _forms(path: str) -> set[str]:
    """Return the ways a path is written in texts, literals, JSON, HTML and links."""
    forms = {path, repr(path)[1:-1], ascii(path)[1:-1], json.dumps(path)[1:-1]}
    return forms | {html.escape(f) for f in forms} | {str(escape(f)) for f in forms} | {quote(path, errors="replace")}
