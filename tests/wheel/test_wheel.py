"""The built package, installed in a clean environment away from the repository, makes a report (`.ci/run` only)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RACE = "2026-03-15-lakeshore"
SMALL = ["n_scenarios=300", "n_lineups=4", "n_draws=50", "max_exposure=1.0"]
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "DFSLAB", "JUPYTER"))}
CLEAN["PATH"] = os.pathsep.join(p for p in CLEAN["PATH"].split(os.pathsep) if not p.startswith(sys.prefix))


def _run(*command, **options) -> str:
    run = subprocess.run(
        [str(word) for word in command], env=CLEAN | options.pop("env", {}), capture_output=True, text=True, **options
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    return run.stdout


def _pythons() -> list[str]:
    """Return the Pythons of this machine, of the versions the package is for, that can make an environment."""
    found = [shutil.which(f"python3.{minor}", path=CLEAN["PATH"]) for minor in (11, 12, 13)]
    works = "import ssl, venv"
    return [p for p in found if p and subprocess.run([p, "-c", works], env=CLEAN, capture_output=True).returncode == 0]


@pytest.fixture(scope="module")
def pip() -> list[str]:
    """A pip that installs into any environment: that of the Python which made this one."""
    return [sys._base_executable, "-m", "pip"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, pip) -> Path:
    """The package, built from a copy of the sources."""
    source, out = tmp_path_factory.mktemp("source") / "dfslab", tmp_path_factory.mktemp("wheel")
    left = shutil.ignore_patterns(".venv", ".git", "reports", "build", "*.egg-info", "__pycache__", ".hypothesis")
    shutil.copytree(ROOT, source, ignore=left)
    _run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", out, source)
    (built,) = out.glob("*.whl")
    return built


@pytest.mark.parametrize("python", _pythons() or [sys._base_executable], ids=lambda path: Path(path).name)
def test_an_installed_package_makes_a_report_from_an_empty_folder(python, wheel, pip, tmp_path):
    home, here = tmp_path / "env", tmp_path / "here"
    here.mkdir()
    _run(python, "-m", "venv", "--without-pip", home)
    inside = home / "bin" / "python"
    lock = ["--require-hashes", "--no-deps", "-r", ROOT / "requirements.lock"]
    _run(*pip, "--python", inside, "install", "--quiet", *lock)
    _run(*pip, "--python", inside, "install", "--quiet", "--no-deps", wheel)
    options = [word for value in SMALL for word in ("-p", value)]
    cache = {"DFSLAB_CACHE": str(tmp_path / "cache")}
    told = _run(home / "bin" / "dfslab", "report", RACE, *options, cwd=here, env=cache)
    report = here / "reports" / RACE
    assert str(report) in told and len(list(report.glob("0?_*.html"))) == 3
    manifest = json.loads((report / "manifest.json").read_text("utf-8"))
    assert manifest["race_id"] == RACE and len((report / "lineups.csv").read_text().splitlines()) == 5
    where = _run(inside, "-c", "import dfslab, dfslab.sample; print(dfslab.__file__)", cwd=here, env=cache)
    assert str(home) in where and str(ROOT) not in where
    assert _run(home / "bin" / "dfslab", "lab", "--version", cwd=here, env=cache)[:1].isdigit()
