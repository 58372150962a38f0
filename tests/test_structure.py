"""The house rules that a reader relies on: the order of the modules, short functions, nothing of one machine."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dfslab"

_ROWS = """
rules schema slate
names files tables prizes standings entries folder archive data
tracks feed_tables feed
parallel metrics
space search lineups
labels regimes attrition records rank laps mechanics racefit race racecheck
residuals evidence lawfit estimators ownership calibration
field
leverage payout contest
solver conflicts optimize
choose candidates portfolio scoring quick inputs known blend pipeline tuning aftermath
sample_race sample_world sample_players sample_season sample_files sample
backtest
page plots views money_views report season results explore __main__
"""
ORDER = _ROWS.split()
"""A module imports only from those before it."""

MAX_BODY = 60


def _modules() -> list[str]:
    return sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def _imported(tree: ast.AST) -> set[str]:
    """Return the modules of the package that are imported anywhere in `tree`."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "dfslab":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dfslab."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.level:
            names.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("dfslab.")}
    return names & set(_modules())


@pytest.mark.parametrize("module", _modules())
def test_a_module_imports_only_from_above(module):
    assert module in ORDER, f"{module} has no place in the order of modules"
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    above = ORDER[: ORDER.index(module)]
    assert _imported(tree) <= set(above), f"{module} imports from below or beside"


def test_the_import_reader_sees_every_form():
    code = (
        "from dfslab import rules as r\nimport dfslab.slate\ndef f():\n    from dfslab.data import x\nfrom . import y"
    )
    assert _imported(ast.parse(code)) == {"rules", "slate", "data"}


def _bodies():
    for path in sorted([*PACKAGE.glob("*.py"), *(ROOT / "benchmarks").glob("*.py"), *(ROOT / "scripts").glob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
                yield f"{path.name}:{node.name}", body[-1].end_lineno - body[0].lineno + 1


def test_no_function_is_long():
    long = {name: length for name, length in _bodies() if length > MAX_BODY}
    assert not long


def test_modules_are_of_readable_length():
    long = {p.name: n for p in PACKAGE.glob("*.py") if (n := len(p.read_text(encoding="utf-8").splitlines())) > 450}
    assert not long


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        return [path for path in ROOT.rglob("*") if path.is_file() and not {".venv", ".git"} & set(path.parts)]
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).exists()]


def test_the_lock_names_no_index():
    assert "://" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")


OF_A_MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+|tmp/\w+)/")


def test_no_path_of_one_machine():
    found = []
    for path in _tracked():
        if path.suffix in {".png", ".gz", ".zip", ".lock"} or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), 1):
            if OF_A_MACHINE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert not found
