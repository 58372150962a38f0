"""The templates: prose between short cells, one cell of parameters with help, no logic, no outputs."""

import ast
from pathlib import Path
from types import ModuleType

import nbformat
import pandas as pd
import pytest

from dfslab.ownership import OwnershipForecast
from dfslab.portfolio import Scores
from dfslab.race import Scenarios
from dfslab.workflow import RaceDay

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LOGIC = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.With, ast.If, ast.Lambda)


def _cells(path: Path, kind: str) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def _is_parameters(cell) -> bool:
    return "parameters" in cell.metadata.get("tags", [])


def test_the_notebooks_are_there():
    assert [path.name[:2] for path in NOTEBOOKS][:4] == ["00", "01", "02", "03"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_template_is_valid_and_holds_no_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    for cell in _cells(path, "code"):
        assert not cell.outputs and cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_one_cell_holds_typed_parameters_with_help(path):
    (cell,) = [cell for cell in _cells(path, "code") if _is_parameters(cell)]
    for line in cell.source.splitlines():
        code, kind, text = line.split("  # ")
        name, value = code.split(" = ")
        assert name.isidentifier() and len(text) > 10
        default = ast.literal_eval(value)
        assert kind.endswith(" | None") if default is None else kind == f"type: {type(default).__name__}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_sentences(path):
    for cell in _cells(path, "code"):
        if _is_parameters(cell):
            continue
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= 8, cell.source
        assert max(map(len, lines)) <= 100
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, LOGIC)], cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_begins_with_its_question_and_ends_with_limits(path):
    prose = [cell.source for cell in _cells(path, "markdown")]
    assert prose[0].startswith("# ") and any(text.startswith("## Limits") for text in prose)
    assert not [text for text in prose if "http" in text]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_name_a_cell_calls_exists(path):
    known: dict = {}
    for cell in _cells(path, "code"):
        tree = ast.parse(cell.source)
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                exec(ast.unparse(node), known)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = known.get(node.value.id)
                assert not isinstance(module, ModuleType) or hasattr(module, node.attr), ast.unparse(node)


NOUNS = {"day": RaceDay, "races": Scenarios, "chosen_on": Scenarios, "crowd": OwnershipForecast, "scores": Scores}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_verb_that_a_cell_asks_of_a_noun_exists(path):
    cells = [ast.walk(ast.parse(cell.source)) for cell in _cells(path, "code") if not _is_parameters(cell)]
    asked = [n for cell in cells for n in cell if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
    of = [(n.attr, NOUNS[n.value.id]) for n in asked if n.value.id in NOUNS]
    assert not [f"{noun.__name__}.{verb}" for verb, noun in of if verb not in {*dir(noun), *noun.__dataclass_fields__}]


def test_a_merit_of_the_simulator_is_not_drawn_among_its_faults():
    (cell,) = (c for c in _cells(FOLDER / "02_regime_tuning.ipynb", "code") if "CRPS" in c.source)
    lines = [node for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)]
    card = pd.DataFrame({"measure": ["cautions", "CRPS of points"], "difference": [1.0, -5.0], "difference_se": 0.5})
    known = {"day": True, "before": True, "card": card}
    exec("\n".join(map(ast.unparse, lines)), known)
    assert known["gaps"].index.tolist() == ["cautions"] and known["gaps"]["difference"].tolist() == [1.0]
