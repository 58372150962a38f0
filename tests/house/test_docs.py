"""What the documents say is so: keys have entries, code runs, commands and links exist, modules stand in order."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dfslab.cli import cli

ROOT = Path(__file__).resolve().parents[2]
SHELL = ("sh", "bash", "shell", "console")
COMMANDS = ("dfslab", "make", "cd", "git", "cp", "mkdir", "python3", "export")
"""What a line of shell in a document may start with; only the first two are checked further."""


def _documents() -> list[Path]:
    found = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        ROOT / "data" / "README.md",
        ROOT / "benchmarks" / "RESULTS.md",
    ]
    return sorted(path for path in found if path.exists())


def _blocks(text: str) -> list[tuple[int, str, str]]:
    """Return line number, language and text of every fenced block."""
    pattern = re.compile(r"^```([^\n`]*)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
    return [(text[: m.start()].count("\n") + 2, m[1].strip(), m[2]) for m in pattern.finditer(text)]


def _shell_lines(block: str) -> list[str]:
    """Return the commands of a block: continued lines joined, comments and prompts taken away."""
    lines = (line.strip().removeprefix("$ ") for line in block.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _code(languages) -> list:
    return [
        pytest.param(block, id=f"{path.relative_to(ROOT)}:{line}")
        for path in _documents()
        for line, language, block in _blocks(path.read_text(encoding="utf-8"))
        if language in languages
    ]


def _order() -> list[str]:
    structure = ast.parse((ROOT / "tests" / "house" / "test_structure.py").read_text("utf-8"))
    return next(ast.literal_eval(n.value) for n in structure.body if ast.unparse(n).startswith("ORDER ="))


ROOMS = _order()


# ---------------------------------------------------------------- references


def _docstrings() -> list[str]:
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = []
    for path in (ROOT / "dfslab").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts += [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, nodes)]
    return texts


KEY = re.compile(r"\[([a-z]+\d{4}[a-z]?)\]")


def test_every_key_has_its_entry_and_every_entry_is_used():
    listed = re.findall(
        r"^\[([a-z]+\d{4}[a-z]?)\]: ", (ROOT / "docs" / "references.md").read_text("utf-8"), re.MULTILINE
    )
    used = set(KEY.findall("\n".join(_docstrings())))
    assert listed == sorted(set(listed))
    assert set(listed) == used


def test_keys_in_the_methods_have_entries():
    listed = KEY.findall((ROOT / "docs" / "references.md").read_text("utf-8"))
    assert set(KEY.findall((ROOT / "docs" / "methods.md").read_text("utf-8"))) <= set(listed)


# ---------------------------------------------------------------- the module table and the tests that are named


def test_the_table_of_rooms_is_their_order():
    methods = (ROOT / "docs" / "methods.md").read_text("utf-8")
    table = methods[methods.index("| room |") :]
    assert re.findall(r"^\| `(\w+)` \| \S.* \|$", table, re.MULTILINE) == ROOMS


def test_tests_named_in_the_methods_exist():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "methods.md").read_text("utf-8")))
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    there = set(re.findall(r"def (test_\w+)\(", sources)) | files
    assert named
    assert named <= there


# ---------------------------------------------------------------- code, commands, links


def test_python_stands_in_the_readme_and_the_guide_which_run_in_tests_of_their_own():
    assert {block.id.split(":")[0] for block in _code(("python", "py"))} == {"README.md", "docs/guide.md"}


def test_what_the_readme_says_of_its_objects_is_so():
    """Its eight lines run, and the short calls in its prose on their objects."""
    text = (ROOT / "README.md").read_text("utf-8")
    block = next(code for _, language, code in _blocks(text) if language == "python" and "choose_portfolio" in code)
    calls = re.findall(r"`((?:races|crowd|day|mine)\.[^`]*\))`", text)
    assert len(calls) >= 6
    code = "\n".join([block, *calls])
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def _without_settings(words: list[str]) -> list[str]:
    """Return the words after leading NAME=VALUE settings."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words


def _parse(words: list[str]) -> None:
    """Let click read a command line to its end without running it; a wrong one raises."""
    words = [word for word in words if word != "--debug"]
    if set(words) & {"--help", "-h", "--version"}:
        words = [word for word in words if word not in {"--help", "-h", "--version"}]
        command = cli
        for word in words:
            command = command.commands[word]
        return
    command, context = cli, None
    while isinstance(command, click.Group):
        if not words:
            raise click.UsageError("a command is missing")
        context = click.Context(command, parent=context, info_name=command.name)
        name, command, words = command.resolve_command(context, words)
    arguments = [str(ROOT / "LICENSE") if re.fullmatch(r"[\w./-]+\.csv", word) else word for word in words]
    command.make_context(name, arguments, parent=context)


def _check(line: str) -> None:
    words = _without_settings(shlex.split(line, comments=True))
    if words[0].endswith("/python") and words[1:3] == ["-m", "dfslab"]:
        words = ["dfslab", *words[3:]]
    name = Path(words[0]).name
    assert name in COMMANDS or words[0].startswith((".venv/bin/", "scripts/")), f"unknown command: {line}"
    if name == "make":
        assert {word for word in words[1:] if "=" not in word} <= _targets(), line
    if name == "dfslab":
        _parse(words[1:])


@pytest.mark.parametrize("block", _code(SHELL))
def test_commands_in_the_documents_exist(block):
    for line in _shell_lines(block):
        for part in line.split(" && "):
            _check(part)


def test_wrong_commands_are_found():
    for line in ("dfslab repot", "dfslab report --dta x", "dfslab tune all", "dfslab", "dfslab fetch --season x"):
        with pytest.raises(click.UsageError):
            _check(line)
    for line in ("make reports", "curl somewhere"):
        with pytest.raises(AssertionError):
            _check(line)
    _check('DASK_SCHEDULER_ADDRESS=tcp://head:8786 dfslab season --data my-data -p n_lineups=20 --out "my reports"')
    _check("dfslab optimize DKSalaries.csv projections.csv -n 150 --leverage 50")


def _examples() -> list[str]:
    """Return the command lines in the help of every command."""
    commands, texts = [cli], []
    while commands:
        command = commands.pop()
        commands += command.commands.values() if isinstance(command, click.Group) else []
        texts.append(command.help or "")
    lines = [line.strip() for line in "\n".join(texts).splitlines()]
    return [re.sub(r"^.*?: +(?=dfslab)", "", line) for line in lines if re.search(r"(^|: +|=\S+ )dfslab [a-z]", line)]


def test_the_examples_of_the_help_are_commands():
    examples = _examples()
    assert len(examples) > 10
    for line in examples:
        _check(line)


LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("document", _documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document):
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    local = [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]
    lost = [link for link in local if not (document.parent / link.split("#")[0]).exists()]
    assert not lost
