"""Machines as they are: kernels that die, homes that are not there, strangers' files, odd names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from race_files import RACE, write_history, write_race

from dfslab.errors import InputError
from dfslab.parallel import PACKAGE, child_environment
from dfslab.report import seasons, sweeps
from dfslab.report._execute import NOTEBOOKS, Page, ReportFailed, execute, publish
from dfslab.report._index import write_index
from dfslab.report._runner import keep_lost, run_report

FIRST, SECOND, THIRD = NOTEBOOKS
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
PARAMETERS = 'race_id = ""  # type: str\ndata_dir = ""  # type: str\nout_dir = ""  # type: str'


def _notebook(path: Path, *cells) -> Path:
    parameters = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[parameters, *map(new_code_cell, cells)], metadata={"kernelspec": KERNEL}), path)
    return path


@pytest.fixture
def folder(tmp_path):
    """A data folder with one race."""
    write_race(tmp_path / "data")
    write_history(tmp_path / "data")
    return tmp_path / "data"


def _toys(folder: Path, first: str = "1", second: str = "2") -> Path:
    folder.mkdir(exist_ok=True)
    for stem, cell in zip(NOTEBOOKS, (first, second, "3"), strict=True):
        _notebook(folder / f"{stem}.ipynb", cell)
    return folder


# ---------------------------------------------------------------- kernels

ENDS = {
    "killed": "import os; os.kill(os.getpid(), 9)",
    "exits": "import os; os._exit(0)",
    "aborts": "import os; os.abort()",
    "reads a wrong address": "import ctypes; ctypes.string_at(8)",
    "terminated": "import os, signal; signal.signal(15, signal.SIG_DFL); os.kill(os.getpid(), 15)",
}


@pytest.mark.parametrize("how", ENDS)
def test_a_kernel_that_dies_is_one_sentence_on_the_page_and_off_it(how, tmp_path):
    source, target = _notebook(tmp_path / "toy.ipynb", "print('made before')", ENDS[how]), tmp_path / "out.ipynb"
    with pytest.raises(ReportFailed) as failed:
        execute(source, target, {})
    assert f"toy.ipynb, cell 3 ({ENDS[how]}): the kernel died" in str(failed.value)
    assert "n_scenarios" in str(failed.value) and "\n" not in str(failed.value)
    cells = nbformat.read(target, as_version=4).cells
    assert cells[1].outputs[0].text == "made before\n" and "the kernel died" in cells[2].outputs[-1].evalue


def test_the_failed_page_is_kept_and_the_good_report_stays(folder, tmp_path):
    good = run_report(RACE, folder, tmp_path / "out", notebooks=_toys(tmp_path / "good"))
    before = {path.name: path.read_bytes() for path in good.iterdir()}
    deadly = _toys(tmp_path / "deadly", second="import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ReportFailed, match=rf"{SECOND}.ipynb, cell 3 .* the kernel died"):
        run_report(RACE, folder, tmp_path / "out", notebooks=deadly)
    failed = tmp_path / "out" / f"{RACE}.failed"
    assert "the kernel died" in (failed / f"{SECOND}.html").read_text("utf-8") and (failed / f"{FIRST}.html").exists()
    assert "the kernel died" in json.loads((failed / "manifest.json").read_text())["failed"]
    assert {path.name: path.read_bytes() for path in good.iterdir()} == before
    assert sorted(p.name for p in good.parent.iterdir()) == [".locks", RACE, f"{RACE}.failed", "index.html"]


FULL = (
    "import resource, sys; from dfslab.errors import in_words; from dfslab.report._runner import run_notebook\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))\n"
    "try: run_notebook(*sys.argv[1:3])\n"
    "except Exception as error: print(in_words(error))"
)


@pytest.mark.parametrize(
    ("cell", "room"),
    [
        ("print('x' * 90_000)", 30_000),
        ("print('x' * 90_000); 1 / 0", 30_000),
        ("open('a.csv', 'w').write('x' * 90_000)", 30_000),
        ("print('x' * 9_000)", 100),
        ("print('x')", 3_000),
    ],
)
def test_a_disk_that_fills_is_one_sentence_and_the_earlier_page_stays(cell, room, tmp_path):
    source, target = _notebook(tmp_path / "toy.ipynb", cell), tmp_path / "out" / "page"
    target.mkdir(parents=True)
    command = [sys.executable, "-c", FULL, str(source), str(target), str(room)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "File too large" in told and told.count("\n") == 1 and "unexpected" not in told
    assert list(target.iterdir()) == []


LOOK = """import sys, os, json, calendar, numba, matplotlib, dfslab, papermill
print(json.dumps([sys.executable, sys.path, os.getcwd(), dfslab.__file__, matplotlib.rcParams["figure.dpi"],
                  numba.config.DISABLE_JIT, "from_startup" in globals(), numba.config.CACHE_DIR]))"""
TOUCH = "open({!r}, 'w').close()\n"


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A working folder of files that could be run or read, another Python's kernel in front, a home with startup."""
    here, home, ran = tmp_path / "their data", tmp_path / "home", tmp_path / "it-ran.txt"
    names = ["dfslab", "numba", "matplotlib", "pickle", "joblib", "jupyterlab", "ipykernel_launcher", "calendar"]
    names += ["sitecustomize", "usercustomize", "ipykernel", "papermill", "json", "jupyter_server_config"]
    for name in ("", *names):
        path = here / f"{name or 'ipython_config'}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(TOUCH.format(str(ran)))
    (here / "matplotlibrc").write_text("figure.dpi: 7\n")
    (here / ".numba_config.yaml").write_text("disable_jit: 1\ncache_dir: .\n")
    startup = home / ".ipython" / "profile_default" / "startup" / "00.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("from_startup = 1")
    for kernels in (home / ".local/share/jupyter/kernels/python3", tmp_path / "jupyter/kernels/python3"):
        kernels.mkdir(parents=True)
        (kernels / "kernel.json").write_text(json.dumps({**KERNEL, "argv": ["/bin/false", "{connection_file}"]}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    (tmp_path / "startup.py").write_text(TOUCH.format(str(ran)))
    (tmp_path / "my.rc").write_text("figure.dpi: 7\n")
    for name, value in {"PYTHONSTARTUP": "startup.py", "MATPLOTLIBRC": "my.rc"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.chdir(here)
    return here, ran


def test_a_kernel_runs_nothing_that_lies_around(hostile, tmp_path):
    here, ran = hostile
    target = tmp_path / "out {season} 'jörg' $x$" / "out.ipynb"
    target.parent.mkdir()
    execute(_notebook(tmp_path / "a {b}.ipynb", LOOK), target, {"data_dir": str(here)})
    told = json.loads(nbformat.read(target, as_version=4).cells[-1].outputs[0].text)
    executable, path, cwd, package, dpi, no_jit, startup, cache = told
    assert executable == sys.executable and not {"", ".", str(here)} & set(path) and cwd == str(target.parent)
    assert "their data" not in package + cache and dpi != 7 and not no_jit and not startup
    assert not ran.exists()


def test_jupyterlab_and_its_kernels_run_nothing_that_lies_around(hostile):
    _, ran = hostile
    code = "from dfslab.cli import main; main(['lab', '--version'])"
    env = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    told = subprocess.run([sys.executable, "-P", "-c", code], env=env, capture_output=True, text=True, check=False)
    assert told.returncode == 0 and told.stdout[:1].isdigit(), told.stderr
    listed = [sys.executable, "-m", "jupyter_client.kernelspecapp", "list", "--json"]
    specs = json.loads(subprocess.run(listed, env=child_environment(), capture_output=True, check=True).stdout)
    argv = specs["kernelspecs"]["python3"]["spec"]["argv"]
    assert argv[:2] == ["python", "-P"] and "--InteractiveShellApp.ignore_cwd=True" in argv and not ran.exists()


def test_a_user_without_a_home_gets_a_page(tmp_path):
    code = (
        "import sys, pathlib; from dfslab.report._execute import execute\n"
        "execute(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), {})"
    )
    cell = (
        "from numba import njit\n@njit(cache=False)\ndef f(x):\n    return x + 1\nimport matplotlib.pyplot\nprint(f(1))"
    )
    source, target = _notebook(tmp_path / "toy.ipynb", cell), tmp_path / "out.ipynb"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG", "JUPYTER", "IPYTHON", "MPL", "DFSLAB"))}
    env |= {"HOME": "/dev/null/nobody", "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code, str(source), str(target)], env=env, check=True, cwd=tmp_path)
    assert nbformat.read(target, as_version=4).cells[-1].outputs[0].text == "2\n"
    assert not (tmp_path / "~").exists() and list(tmp_path.glob("dfslab-*"))


# ---------------------------------------------------------------- what pages tell

NAMES = [
    "/d",
    "/r/d",
    "/" + "home/jörg/rennen",
    '/data/O\'Neil "x"',
    "/x\\y",
    "/a\nb",
    "/{season}",
    "/data/$a$ b",
    "/w/🏁",
]
PICTURE = "iVBORw0KGgo+/d/+r/d=/d+/home"


def _executed(place: str) -> nbformat.NotebookNode:
    """What a kernel leaves of a run whose data lay at `place`, told in every way a page may tell it."""
    outputs = [
        new_output("stream", text=f"read {place}/races/x.csv, {place!r}. {json.dumps(place)} /drivers {place}s"),
        new_output("display_data", {"image/png": PICTURE, "text/html": f'<img src="data:image/png;base64,{PICTURE}">'}),
        new_output(
            "error", ename="E", evalue=f"{place}: no", traceback=[f"\x1b[32m{place}/a.py\x1b[39m:3", sys.prefix]
        ),
    ]
    injected = new_code_cell(f"data_dir = {place!r}", metadata={"tags": ["injected-parameters"]})
    return new_notebook(cells=[injected, new_code_cell("1", outputs=outputs, id="a")], metadata={"kernelspec": KERNEL})


def _published(folder: Path, place: str) -> tuple[bytes, bytes]:
    folder.mkdir()
    nbformat.write(_executed(place), folder / f"{FIRST}.ipynb")
    shown = {"data_dir": "<data>", "n_lineups": 5}
    publish(folder / f"{FIRST}.ipynb", Page(RACE, False, shown, {place: "<data>", str(folder): "."}, stopped=True))
    return (folder / f"{FIRST}.ipynb").read_bytes(), (folder / f"{FIRST}.html").read_bytes()


@pytest.mark.parametrize("place", NAMES)
def test_a_page_does_not_tell_the_folder_and_its_pictures_stay(place, tmp_path):
    node, page = _published(tmp_path / "page", place)
    read = nbformat.reads(node.decode(), as_version=4)
    assert read.cells[1].outputs[1].data["image/png"] == PICTURE and page.count(PICTURE.encode()) >= 1
    assert read.cells[1].outputs[1].data["text/html"].count(PICTURE) == 1
    assert 'data_dir = "<data>"\nn_lineups = 5' in read.cells[0].source
    said = read.cells[1].outputs[0].text
    assert said.startswith("read <data>/races/x.csv, ") and "/drivers" in said and said.endswith(f"{place}s")
    assert read.cells[1].outputs[2].evalue == "<data>: no"
    assert read.cells[1].outputs[2].traceback == ["<data>/a.py:3", "<python>"]
    for text in (place, ascii(place)[1:-1], json.dumps(place)[1:-1]):
        assert f"{text}/races" not in node.decode() + page.decode()


def test_the_same_inputs_under_any_folder_name_give_the_same_bytes(tmp_path):
    pages = {_strip(_published(tmp_path / str(k), place), place) for k, place in enumerate(NAMES)}
    assert len(pages) == 1


def _strip(published, place):
    """The toy says its path's beginning on purpose once (`…s`), and literals keep their quotes."""
    text = b"".join(published).decode()
    read = nbformat.reads(published[0].decode(), as_version=4)
    return text.count("<data>"), tuple(read.cells[1].outputs[2].traceback), read.cells[0].source


# ---------------------------------------------------------------- what is ours and what is not


def _tree(folder: Path) -> dict:
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and ".lock" not in p.name}


FOREIGN = {
    "a race's folder": lambda data, out: (data / "races", "races"),
    "below a race's folder": lambda data, out: (data / "races" / RACE, "races"),
    "the history": lambda data, out: (data / "history", "history"),
    "the models, not yet there": lambda data, out: (data / "models" / "x", "models"),
    "a link to the races": lambda data, out: (_link(out / "link", data / "races"), "races"),
    "a folder of notes": lambda data, out: (_with(out, f"{RACE}/notes.txt"), "not an earlier report"),
    "another race's report": lambda data, out: (
        _with(out, f"{RACE}/manifest.json", '{"race_id": "x", "dfslab": "1"}'),
        "not an earlier report",
    ),
    "a manifest that is damaged": lambda data, out: (_with(out, f"{RACE}/manifest.json", "{"), "not an earlier report"),
    "a failed folder of somebody's": lambda data, out: (
        _with(out, f"{RACE}.failed/notes.txt"),
        "not an earlier report",
    ),
    "a failed folder without a manifest": lambda data, out: (
        _with(out, f"{RACE}.failed/{FIRST}.html"),
        "not an earlier report",
    ),
    "a failed folder of another race": lambda data, out: (
        _with(out, f"{RACE}.failed/manifest.json", '{"race_id": "x", "dfslab": ""}'),
        "not an earlier report",
    ),
    "pages without a manifest in place of the report": lambda data, out: (
        _with(out, f"{RACE}/{FIRST}.html"),
        "not an earlier report",
    ),
    "a file in place of the report": lambda data, out: (_with(out, RACE), "not an earlier report"),
    "a file in place of the failed folder": lambda data, out: (_with(out, f"{RACE}.failed"), "not an earlier report"),
    "a link that leads nowhere": lambda data, out: (
        _link(out / f"{RACE}.failed", out / "gone").parent,
        "not an earlier report",
    ),
    "a page of somebody's": lambda data, out: (_with(out, "index.html", "<h1>My site</h1>"), "not of dfslab"),
    "a link in place of the report": lambda data, out: (
        _link(out / RACE, data / "races" / RACE).parent,
        "among your races",
    ),
}


def _with(out: Path, name: str, text: str = "mine") -> Path:
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text(text)
    return out


def _link(path: Path, target: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


@pytest.mark.parametrize("what", FOREIGN)
def test_a_report_replaces_nothing_but_an_earlier_report(what, folder, tmp_path):
    out, words = FOREIGN[what](folder, tmp_path / "out")
    before = _tree(tmp_path)
    with pytest.raises(InputError, match=words) as refused:
        run_report(RACE, folder, out, notebooks=_toys(tmp_path / "toys"))
    assert "choose another --out" in str(refused.value)
    assert {path: content for path, content in _tree(tmp_path).items() if "toys" not in path.parts} == before


def test_reports_beside_the_races_are_fine_and_are_replaced(folder, tmp_path):
    toys, out = _toys(tmp_path / "toys"), folder / "reports"
    (out / RACE).mkdir(parents=True)
    made = run_report(RACE, folder, out, notebooks=_toys(tmp_path / "writes", "open('odd.txt', 'w').close()"))
    assert (made / "odd.txt").exists()
    _with(_with(out, f"{RACE}/my notes.txt"), f"{RACE}/plans/a.txt")
    assert run_report(RACE, folder, out, notebooks=toys) == made
    assert not (made / "odd.txt").exists(), "what a page wrote goes with it"
    assert {(made / name).read_text() for name in ("my notes.txt", "plans/a.txt")} == {"mine"}
    assert (out / RACE / "manifest.json").exists() and (folder / "races" / RACE / "DKSalaries.csv").exists()


# ---------------------------------------------------------------- the index

SCRIPT = "<script>alert(1)</script>"
DAMAGED = ["", "{", "[]", "null", "3", '"x"', '{"race": 3}', '{"race": {}, "card": []}', '{"card": {"lines": [1]}}']
DAMAGED += [
    '{"race": {"name": {"a": 1}}}',
    '{"race": {}, "card": {"lines": 7}}',
    '{"race": {"track": [1]}}',
    "[" * 9999,
    "\x00",
]


def _report(out: Path, name: str, metrics: str) -> Path:
    (out / name).mkdir(parents=True)
    (out / name / "manifest.json").write_text(json.dumps({"race_id": name, "dfslab": "0"}))
    (out / name / "metrics.json").write_text(metrics, "utf-8")
    return out / name


def test_a_damaged_report_is_named_and_stops_no_other(tmp_path):
    for k, metrics in enumerate(DAMAGED):
        _report(tmp_path, f"2030-01-{k + 1:02}-old", metrics)
    _report(tmp_path, "2031-01-01-good", json.dumps({"race": {"name": "Good 400"}, "card": {"lines": ["fine"]}}))
    text = write_index(tmp_path).read_text("utf-8")
    assert text.count("<article>") == len(DAMAGED) + 1 and text.count("are unreadable") == len(DAMAGED)
    assert "Good 400" in text and ">2030-01-03-old</a>" in text


@pytest.mark.parametrize(
    "evil", [SCRIPT, '"><img src=x onerror=alert(1)>', "' onload='x", "{{ 7 * 7 }}", "a\ud800b", "ü&"]
)
def test_all_text_of_the_index_is_text(evil, tmp_path):
    card = {"lines": [evil], "picture": evil, "picture_alt": evil}
    folder = _report(tmp_path, "r", json.dumps({"race": {"name": evil, "track": evil, "date": evil}, "card": card}))
    for name in ("card.png", 'x" onerror="alert(1).png'):
        (folder / name).touch()
    text = write_index(tmp_path).read_text("utf-8")
    assert "<script" not in text and "<img" not in text and "onload='x" not in text and "49" not in text
    odd = json.dumps({"race": {"name": "x"}, "card": {"picture": 'x" onerror="alert(1).png', "picture_alt": '"'}})
    (folder / "metrics.json").write_text(odd)
    text = write_index(tmp_path).read_text("utf-8")
    assert "<img" in text and 'onerror="' not in text


@pytest.mark.parametrize("picture", ["../secret.png", "/etc/passwd", "https://x/y.png", "absent.png", 7, ["a"]])
def test_a_picture_is_a_file_of_the_report(picture, tmp_path):
    _report(tmp_path, "r", json.dumps({"race": {"name": "x"}, "card": {"picture": picture}}))
    (tmp_path / "secret.png").touch()
    assert "<img" not in write_index(tmp_path).read_text("utf-8")


def test_no_hidden_or_foreign_folder_is_taken_for_a_report(tmp_path):
    for name in (".hidden", "r.failed", "backtest"):
        _report(tmp_path, name, '{"race": {"name": "Foreign"}}')
        (tmp_path / name / "manifest.json").write_text('{"race_id": "another", "dfslab": "0"}')
    _with(tmp_path, "photos/metrics.json", '{"race": {"name": "Foreign"}}')
    _with(tmp_path, "notes.txt")
    text = write_index(tmp_path).read_text("utf-8")
    assert "Foreign" not in text and "No report has been made yet" in text


# ---------------------------------------------------------------- seasons

BROKEN = {
    "race.json": "{",
    "DKSalaries.csv": "PK\x03\x04",
    "contest.json": '{"entry_fee": 1e999}',
    "starting_lineup.csv": "\x00\x01",
    "contest-standings-1.zip": "PK",
}


def test_a_season_lists_every_race_that_fails_with_one_sentence(folder, tmp_path):
    for k, (name, content) in enumerate(BROKEN.items()):
        race = write_race(folder, race_id=f"2032-0{k + 1}-01-x")
        (race / name).write_text(content)
    races = [f"2032-0{k + 1}-01-x" for k in range(len(BROKEN))]
    done = seasons.report_season(folder, tmp_path / "out", races, workers=1)
    assert list(done.failed) == races and not done.finished
    assert all("\n" not in why and "Traceback" not in why for why in done.failed.values()), done.failed
    assert (tmp_path / "out" / "index.html").exists()


def test_the_pages_of_a_process_that_died_are_kept(tmp_path):
    left = tmp_path / f".{RACE}.abcd1234.partial"
    left.mkdir()
    (left / f"{FIRST}.html").write_text("made before")
    keep_lost(RACE, tmp_path, "its process was killed")
    failed = tmp_path / f"{RACE}.failed"
    assert (failed / f"{FIRST}.html").read_text() == "made before" and not left.exists()
    assert json.loads((failed / "manifest.json").read_text())["failed"] == "its process was killed"
    assert "No report has been made yet" in write_index(tmp_path).read_text("utf-8")


@pytest.mark.parametrize("content", [b"", b"\xff\x00\x81", b'a,b\n"1,2', b"a\n1,2\n3,4,5\n", b"\n\n"])
def test_the_rows_of_earlier_sweeps_are_never_written_over_by_a_new_one(content, tmp_path):
    runs = _with(tmp_path, "sweeps/toy/runs.csv") / "sweeps/toy/runs.csv"
    runs.write_bytes(content)
    with pytest.raises(InputError, match=r"runs\.csv: cannot be read .*; move it away, or repair it"):
        sweeps.sweep(_notebook(tmp_path / "toy.ipynb", "1"), {"race_id": ["a", "b"]}, tmp_path, workers=1)
    assert runs.read_bytes() == content
