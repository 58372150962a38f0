"""Every line of the guide runs, as written but for its sizes, on a copy of the bundled season."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfslab.cli import cli

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "guide.md").read_text("utf-8")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", GUIDE, re.S)
SMALL = {"20_000": "200", "n_lineups=20": "n_lineups=3, n_candidates=150, n_choose=150, n_fields=2"}
SMALLER = {
    "tune regimes": ["--grid", "leader_share=[.45,.5]", "-p", "n_permutations=3", "-p", "n_scenarios=40"],
    "tune ownership": ["--last", "2"],
    "report": ["-p", "n_scenarios=300", "-p", "n_lineups=4", "-p", "n_draws=30"],
    "ingest": [],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a copy of the season, as the guide's first line makes it."""
    folder = tmp_path_factory.mktemp("week")
    assert BLOCKS[0] == ("sh", "cp -r data/sample my-data\n")
    shutil.copytree(ROOT / "data" / "sample", folder / "my-data")
    return folder


def test_the_guide_is_a_short_week():
    assert len(GUIDE.splitlines()) <= 150
    days = ("Tuesday", "Friday", "Sunday", "Monday")
    assert [line.split(":")[0].removeprefix("## ") for line in GUIDE.splitlines() if line[:3] == "## "] == list(days)


def test_every_python_line_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    code = "".join(text for kind, text in BLOCKS if kind == "python")
    for size, small in SMALL.items():
        assert size in code
        code = code.replace(size, small)
    exec(compile(code, "guide.md", "exec"), {})
    assert "points a driver" in capsys.readouterr().out and (folder / "lineups.csv").stat().st_size


COMMANDS = [line for kind, text in BLOCKS[1:] if kind == "sh" for line in text.splitlines()]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_runs(folder, monkeypatch, line):
    monkeypatch.chdir(folder)
    words = line.removeprefix("dfslab ").split()
    more = next(options for name, options in SMALLER.items() if line.startswith(f"dfslab {name}"))
    done = CliRunner().invoke(cli, [*words, *more], catch_exceptions=False)
    assert done.exit_code == 0, done.output
