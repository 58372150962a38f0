"""The house rules that a reader relies on: rooms in order, faces, few doors, short functions."""

import ast
import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dfslab"

ORDER = [
    "errors",
    "rules",
    "slate",
    "metrics",
    "parallel",
    "data",
    "lineups",
    "regimes",
    "race",
    "optimize",
    "ownership",
    "field",
    "contest",
    "portfolio",
    "workflow",
    "sample",
    "report",
    "cli",
]
"""A room imports only from the rooms before it."""

FROM = {"sample": {"errors", "rules", "slate", "metrics", "parallel", "data"}}
"""Who may import less: the invented season judges the models and knows none of them; who replays it is told by cli."""

MAX_DOORS, MAX_FACE, MAX_BODY = 20, 15, 60


def _rooms() -> list[str]:
    return sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists())


def _sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(tree: ast.AST):
    """Yield (module, name) for everything of the package that is imported anywhere in `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room"
            if (node.module or "").split(".")[0] == "dfslab":
                yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "dfslab")


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _room_imported(module: str, name: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else name


def _is_private(module: str, name: str) -> bool:
    """Whether an import reaches behind a face: an underscore file, or an underscore name."""
    return any(part.startswith("_") and part != "__version__" for part in (*module.split("."), name))


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_from_above_and_only_faces(path):
    room = _room_of(path)
    if room in ("__init__", "__main__"):
        return
    assert room in ORDER, f"{room} has no place in the order of rooms"
    above = FROM.get(room, set(ORDER[: ORDER.index(room)]))
    for module, name in _imports(_tree(path)):
        other = _room_imported(module, name)
        if other in (room, "__version__"):
            continue
        assert other in above, f"{other} lies below or beside {room}"
        assert not _is_private(module, name), f"{module} {name} is behind the face of {other}"


def test_the_import_reader_sees_every_form():
    code = "from dfslab import rules as r\nimport dfslab.slate\ndef f():\n    from dfslab.data._x import y"
    assert list(_imports(ast.parse(code))) == [("dfslab", "rules"), ("dfslab.slate", ""), ("dfslab.data._x", "y")]
    assert _is_private("dfslab.data._x", "y") and not _is_private("dfslab.data", "y")


def _outside() -> list[Path]:
    return sorted(
        [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *ROOT.glob("tests/**/*.py")]
    )


@pytest.mark.parametrize("path", _outside(), ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_and_tests_of_other_rooms_come_in_by_the_face(path):
    parts = path.relative_to(ROOT).parts
    own = parts[1] if parts[0] == "tests" else ""
    own = path.stem.removeprefix("test_") if own == "real" else own
    for module, name in _imports(_tree(path)):
        room = _room_imported(module, name)
        assert room == own or not _is_private(module, name), f"{module} {name} is behind the face of {room}"


def test_few_doors():
    doors = [path for path in PACKAGE.iterdir() if path.name not in ("__pycache__", "py.typed")]
    assert len(doors) <= MAX_DOORS, sorted(path.name for path in doors)


@pytest.mark.parametrize("room", _rooms())
def test_a_room_has_a_face(room):
    """The face says what the room is for, shows the smallest example, lists few names; the other files are private."""
    face = importlib.import_module(f"dfslab.{room}")
    assert len(face.__all__) == len(set(face.__all__)) <= MAX_FACE
    assert all(hasattr(face, name) for name in face.__all__)
    assert ">>>" in face.__doc__ and len(face.__doc__.split()) > 30
    files = [path.name for path in (PACKAGE / room).rglob("*.py") if path.name != "__init__.py"]
    assert not [name for name in files if not name.startswith("_")]


def _bodies():
    for path in [*_sources(), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]:
        for node in ast.walk(_tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
                yield f"{path.relative_to(ROOT)}:{node.name}", body[-1].end_lineno - body[0].lineno + 1


def test_functions_are_short():
    bodies = dict(_bodies())
    assert not {name: length for name, length in bodies.items() if length > MAX_BODY}
    lengths = sorted(length for name, length in bodies.items() if name.startswith("dfslab"))
    assert lengths[len(lengths) // 2] <= 8 and lengths[int(0.9 * len(lengths))] <= 20


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        return [path for path in ROOT.rglob("*") if path.is_file() and not {".venv", ".git"} & set(path.parts)]
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).exists()]


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
