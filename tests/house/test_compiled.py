"""Compiled code is known by what it was compiled from, lies where the user may write, and never with the data."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dfslab import parallel

ROOT = Path(__file__).resolve().parents[2]
KERNEL = "\n\nODD = {}\n\n\n@njit(cache=True)\ndef odd(x):\n    return ODD * x\n"
CALL = "import os; from dfslab.contest import _kernels as k; print(k.odd(2.0), os.environ['NUMBA_CACHE_DIR'])"


def _answer(package: Path, constant: str, **more) -> tuple[str, str]:
    """Write a kernel with a constant into the copied package, at one and the same time, and ask it in a new process."""
    path = package / "contest" / "_kernels.py"
    source = (ROOT / "dfslab" / "contest" / "_kernels.py").read_text("utf-8")
    path.write_text(source + KERNEL.format(constant), "utf-8")
    os.utime(path, (1e9, 1e9))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "DFSLAB"))}
    env |= {"PYTHONPATH": str(package.parent), "DFSLAB_CACHE": str(package.parent / "cache")} | more
    told = subprocess.run([sys.executable, "-P", "-c", CALL], env=env, capture_output=True, text=True)
    assert not told.returncode, told.stderr
    value, folder = told.stdout.split()
    return value, folder


def test_a_source_of_the_same_size_and_time_with_another_constant_gives_other_numbers(tmp_path):
    package = tmp_path / "dfslab"
    shutil.copytree(ROOT / "dfslab", package, ignore=shutil.ignore_patterns("__pycache__"))
    (mode,) = re.findall(r"compileall -q (--invalidation-mode \S+)", (ROOT / "Makefile").read_text("utf-8"))
    first, folder = _answer(package, "1.5")
    subprocess.run([sys.executable, "-m", "compileall", "-q", "-f", *mode.split(), package], check=True)
    other, elsewhere = _answer(package, "2.5")
    assert (first, other) == ("3.0", "5.0") and folder != elsewhere
    assert list(Path(folder).rglob("*odd*.nbc")) and _answer(package, "1.5") == (first, folder)
    assert _answer(package, "1.5", NUMBA_CACHE_DIR=str(tmp_path / "mine"))[1] == folder


def _file(path: Path) -> Path:
    path.write_text("not a folder")
    return path


PLACES = {
    "what was asked for": (lambda t: {"DFSLAB_CACHE": t / "mine"}, "mine"),
    "the user's": (lambda t: {"XDG_CACHE_HOME": t / "user"}, "user/dfslab"),
    "the home's": (lambda t: {"HOME": t / "home"}, "home/.cache/dfslab"),
    "asked for, but a file": (lambda t: {"DFSLAB_CACHE": _file(t / "f"), "HOME": t / "home"}, "home/.cache/dfslab"),
    "no home": (lambda t: {"HOME": "/dev/null/x"}, "dfslab-"),
    "a home that is a file": (lambda t: {"HOME": _file(t / "h")}, "dfslab-"),
    "a relative one": (lambda t: {"XDG_CACHE_HOME": "cache", "HOME": "/dev/null/x"}, "dfslab-"),
    "one that anybody may write to": (
        lambda t: {"XDG_CACHE_HOME": _open(t / "open"), "HOME": "/dev/null/x"},
        "dfslab-",
    ),
}


PLACES |= {
    "one whose folder is a file": (
        lambda t: {"XDG_CACHE_HOME": _file(t / "f"), "HOME": t / "home"},
        "dfslab-",
    ),
    "a link that leads nowhere": (lambda t: {"XDG_CACHE_HOME": _loop(t / "l"), "HOME": "/dev/null/x"}, "dfslab-"),
    "where nothing can be written": (
        lambda t: {"DFSLAB_CACHE": "/proc/self", "HOME": t / "home"},
        "home/.cache/dfslab",
    ),
    "with blanks, quotes and braces": (lambda t: {"DFSLAB_CACHE": t / "a 'b' {c} #d"}, "a 'b' {c} #d"),
}


def _loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


def _open(path: Path) -> Path:
    (path / "dfslab").mkdir(parents=True)
    (path / "dfslab").chmod(0o777)
    return path


@pytest.mark.parametrize("case", PLACES)
def test_the_cache_lies_where_the_user_may_write_and_nobody_else(case, tmp_path, monkeypatch):
    set_up, end = PLACES[case]
    for name in ("DFSLAB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "temp").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    for name, value in set_up(tmp_path).items():
        monkeypatch.setenv(name, str(value))
    found = parallel.cache_folder.__wrapped__()
    assert str(found.relative_to(tmp_path)).removeprefix("temp/").startswith(end) and os.access(found, os.W_OK)
    assert not list((tmp_path / "data").iterdir())


def test_without_any_folder_to_write_to_it_ends_in_one_sentence(tmp_path):
    code = "import tempfile; tempfile.tempdir = '/proc/self'; import dfslab"
    env = {"HOME": "/dev/null/x", "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    told = subprocess.run([sys.executable, "-P", "-c", code], env=env, cwd="/proc/self", capture_output=True, text=True)
    assert told.returncode == 1 and told.stderr.count("\n") == 1, told.stderr
    assert told.stderr.startswith("dfslab: no folder can be written to") and "DFSLAB_CACHE" in told.stderr
