"""The environment, the lock and the metadata say the same."""

import ast
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, TOOL = SETTINGS["project"], SETTINGS["tool"]


def _script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_environment_is_what_the_metadata_generates(tmp_path):
    _script("environment").write(tmp_path / "environment.yml")
    assert (tmp_path / "environment.yml").read_text() == (ROOT / "environment.yml").read_text()


def test_lock_pins_every_dependency_with_hashes_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in lock
    pinned = set(re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", lock, re.M))
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    names = {re.split(r"[\[>=<]", d)[0].lower() for d in wanted}
    assert names <= {p.lower() for p in pinned}
    blocks = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.M)[1:]
    assert blocks and all("--hash=sha256:" in b for b in blocks)


def test_version_is_the_same_in_package_and_metadata():
    import dfslab

    assert dfslab.__version__ == PROJECT["version"]


def _imported() -> set[str]:
    """Return the top names of all that the package imports, but the standard library's."""
    found = set()
    for path in (ROOT / "dfslab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            found |= {name.split(".")[0] for name in names}
    return found - set(sys.stdlib_module_names) - {"dfslab"}


RUN_NOT_IMPORTED = {"highspy", "ipykernel", "jupyterlab"}
"""Dependencies that others import for us: PuLP its solver, the kernel and the lab are run as modules."""
OPTIONAL = {"distributed"}
"""Imported where a Dask cluster is asked for; the extra `cluster` brings it."""


def test_what_is_imported_is_declared_and_what_is_declared_is_used():
    declared = {re.split(r"[\[>=<]", d)[0].lower() for d in PROJECT["dependencies"]}
    assert {name.lower() for name in _imported()} - OPTIONAL == declared - RUN_NOT_IMPORTED


def test_every_room_is_in_the_package():
    rooms = {f"dfslab.{path.parent.name}" for path in (ROOT / "dfslab").glob("*/__init__.py")}
    assert set(TOOL["setuptools"]["packages"]) == {"dfslab", *rooms, "dfslab.notebooks", "dfslab.data.sample"}


DATA_FILES = [path for path in sorted((ROOT / "dfslab").rglob("*")) if path.is_file() and path.suffix != ".py"]
DATA_FILES = [path for path in DATA_FILES if "__pycache__" not in path.parts]


@pytest.mark.parametrize("path", DATA_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_beside_the_code_goes_into_the_wheel(path):
    found = [p for p in TOOL["setuptools"]["packages"] if path.is_relative_to(ROOT / p.replace(".", "/"))]
    package = max(found, key=len)
    inside, patterns = path.relative_to(ROOT / package.replace(".", "/")), TOOL["setuptools"]["package-data"]
    globs = [*patterns["*"], *patterns.get(package, ())]
    assert any(path in (ROOT / package.replace(".", "/")).glob(glob) for glob in globs), inside


def test_notebooks_and_the_sample_go_into_the_wheel():
    where = TOOL["setuptools"]["package-dir"]
    for package, needed in (("dfslab.notebooks", "*.ipynb"), ("dfslab.data.sample", "races/*/DKSalaries.csv")):
        assert list((ROOT / where[package]).glob(needed)), package
