"""The commands as a user runs them: help by example, exit codes, one sentence for a mistake."""

import csv
import json
import lzma
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import click
import pytest
from race_files import DRIVERS, RACE, SALARY, csv_bytes, write_history, write_race, write_standings
from sample_race import SAMPLE

from dfslab import data
from dfslab.cli import _copied, _literal, cli, main

SWEPT = "02_regime_tuning.ipynb"
COMMANDS = ("report", "season", "fetch", "ingest", "tune", "optimize", "sweep", "backtest", "sample", "lab")


@pytest.fixture
def folder(tmp_path):
    """A data folder with one race and its standings, and projections beside."""
    race = write_race(tmp_path / "data")
    write_standings(race)
    write_history(tmp_path / "data")
    rows = [["driver", "projected_points"], *[[name, 50 - 2 * n] for n, name in enumerate(DRIVERS)]]
    (tmp_path / "projections.csv").write_bytes(csv_bytes(rows))
    return tmp_path


def test_python_m_is_the_same_program():
    told = subprocess.run([sys.executable, "-m", "dfslab", "--help"], capture_output=True, text=True, check=True)
    assert all(f"  {name} " in told.stdout for name in COMMANDS) and not told.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches_by_example(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"    dfslab {name}" in text or f"  dfslab {name}" in text
    assert set(cli.commands) == set(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["report", "nowhere", "--data", "DATA"], "no race 'nowhere'"),
        (["report", RACE, "--data", "DATA", "-p", "sead=3"], "no parameter sead"),
        (["report", RACE, "--data", "DATA", "-p", "n_lineups=many"], "n_lineups: many given; a whole number"),
        (["report", RACE, "--data", "DATA", "-p", "max_overlap=6"], "max_overlap: 6 given; a number from 0 to 5"),
        (["report", RACE, "--data", "DATA", "-p", "max_exposure=60"], "a number from 0.001 to 1"),
        (["report", RACE, "--data", "DATA", "--out", "SALARIES"], "this is among your races; choose another --out"),
        (["report", RACE, "--data", "DATA", "--out", "PROJECTIONS"], "cannot be written (Not a directory)"),
        (["season", "--data", "DATA", "--out", "RACES"], "this is among your races; choose another --out"),
        (["backtest", "--data", "DATA", "--out", "RACES"], "this is among your races; choose another --out"),
        (
            ["tune", "race", "--data", "DATA", "--out", "RACES", "--quiet"],
            "this is among your races; choose another --out",
        ),
        (
            ["tune", "race", "--data", "DATA", "--out", "HISTORY", "--quiet"],
            "this is among your history; choose another --out",
        ),
        (["sweep", "02_regime_tuning", "--data", "DATA", "--out", "HISTORY", "-p", "seed=1"], "no such notebook"),
        (["sweep", SWEPT, "--data", "DATA", "--out", "HISTORY", "-p", "seed=1"], "this is among your history; choose"),
        (["sweep", SWEPT, "--data", "DATA", "--out", "UP", "-p", "seed=1"], "this is among your races; choose"),
        (["optimize", "SALARIES", "PROJECTIONS", "-p", "n_lineups=many"], "many given; a whole number"),
        (["optimize", "SALARIES", "PROJECTIONS", "--out", "SALARIES"], "would take the place of an input"),
        (["optimize", "SALARIES", "PROJECTIONS", "--out", "PROJECTIONS"], "would take the place of an input"),
        (["optimize", "SALARIES", "PROJECTIONS", "--out", "LINK"], "would take the place of an input"),
        (["season", "--data", "DATA", "--races", "2001-01-01-x"], "no race 2001-01-01-x"),
        (["tune", "regimes"], "the bundled sample is not changed; name your own folder with --data"),
        (["tune", "ownership"], "the bundled sample is not changed; name your own folder with --data"),
        (["report", "--data", "absent"], "absent/races/<race_id>"),
        (["ingest", "--data", "absent"], "no race has contest standings"),
        (["sample", "DATA"], "holds something else than a simulated season"),
        (["optimize", "SALARIES", "SALARIES", "--out", "x.csv"], "neither projected_points nor projected_ownership"),
        (["optimize", "SALARIES", "FEW", "--out", "x.csv"], "projected_points for 1 of 12 drivers; 6 are needed"),
        (["optimize", "SALARIES", "PROJECTIONS", "-n", "2", "--out", "DATA"], "cannot be written (Is a directory)"),
        (["optimize", "SALARIES", "PROJECTIONS", "--lock", "Nobody", "--out", "x.csv"], "not on the slate: Nobody"),
        (["optimize", "SALARIES", "PROJECTIONS", "-n", "5", "--max-ownership", "0", "--out", "x.csv"], "no lineup"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(arguments, told, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    places = {"DATA": folder / "data", "SALARIES": folder / f"data/races/{RACE}/DKSalaries.csv"}
    places |= {
        "PROJECTIONS": folder / "projections.csv",
        "FEW": tmp_path / "few.csv",
        "RACES": folder / "data" / "races",
    }
    places |= {"HISTORY": folder / "data" / "history", "UP": f"{folder}/data/history/../races/{RACE}/../x"}
    places["LINK"] = tmp_path / "link.csv"
    places["LINK"].symlink_to(places["PROJECTIONS"])
    places["FEW"].write_bytes(csv_bytes([["driver", "projected_points"], [DRIVERS[0], 50]]))
    before = sorted(tmp_path.rglob("*"))
    assert main([str(places.get(word, word)) for word in arguments]) == 1
    out, error = capsys.readouterr()
    assert error.startswith("dfslab: ") and told in error and "Traceback" not in error
    assert len(error.strip().splitlines()) == 1 and not out
    kept = [path for path in sorted(tmp_path.rglob("*")) if path.suffix not in (".lock",) and path.name != "reports"]
    assert [p for p in kept if p.is_file()] == [p for p in before if p.is_file()]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["race", "--since", "2050-01-01"], "choose another date"),
        (["ownership", "-p", "n_scenarios=50"], "0 contests in history/ownership.csv, 3 needed"),
    ],
)
def test_a_tuning_that_cannot_be_says_why_and_keeps_its_page(asked, told, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["tune", *asked, "--data", str(folder / "data"), "--quiet"]) == 1
    out, error = capsys.readouterr()
    assert error.startswith("dfslab: ") and told in error and error.count("\n") == 1 and not out
    assert list((tmp_path / "reports" / "tuning").rglob("*.html"))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["reprot"],
        ["report", "--dat", "x"],
        ["report", "-p", "seed"],
        ["optimize", "a.csv", "b.csv"],
        ["optimize", "--max-exposure", "40"],
        ["report", "--data", ""],
        ["report", "--out", " "],
        ["season", "--data="],
        ["ingest", "--data", ""],
        ["fetch", "--season", "2025", "--data", ""],
        ["tune", "regimes", "--data", ""],
        ["backtest", "--out", ""],
        ["sample", ""],
    ],
)
def test_a_misused_command_ends_with_two(arguments, capsys):
    assert main(arguments) == 2
    assert "Usage" in capsys.readouterr().err


LONG = (
    "import sys, time, click; from dfslab.cli import cli, main; from dfslab.data import files\n"
    "def long():\n"
    "    with files.write_folder_atomically(sys.argv[1]): print('began', flush=True); time.sleep(60)\n"
    "cli.add_command(click.Command('long', callback=long)); sys.exit(main(['long']))"
)


def _heed() -> None:
    """Let a child hear Ctrl-C where the tests themselves were started in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda s: s.name)
def test_a_command_that_is_ended_says_so_and_leaves_nothing_half_done(ending, tmp_path):
    pipe = subprocess.PIPE
    run = subprocess.Popen(
        [sys.executable, "-c", LONG, str(tmp_path / "x")], stdout=pipe, stderr=pipe, text=True, preexec_fn=_heed
    )
    assert run.stdout.readline() == "began\n"
    run.send_signal(ending)
    assert run.wait(30) == 130 and "dfslab: stopped; what was finished stays" in run.stderr.read()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("console", ["ascii", "latin-1", "cp1252", "cp437", "iso8859-5"])
def test_an_8_bit_console_gets_what_it_can_show(console, folder, tmp_path):
    path = folder / "projections.csv"
    text = path.read_text("utf-8") + "Jörg Żółty 🏁,12\n"
    path.write_text(text, "utf-8")
    arguments = ["optimize", str(folder / f"data/races/{RACE}/DKSalaries.csv"), str(path), "-n", "2", "--out", "x.csv"]
    env = os.environ | {"PYTHONIOENCODING": console}
    told = subprocess.run([sys.executable, "-m", "dfslab", *arguments], env=env, cwd=tmp_path, capture_output=True)
    assert told.returncode == 0 and (tmp_path / "x.csv").exists(), told.stderr
    assert b"Traceback" not in told.stderr and b"The first of 2 lineups" in told.stdout


UNFORESEEN = [
    (lzma.LZMAError("corrupt"), "LZMAError: corrupt (unexpected; --debug shows where)"),
    (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), "UnicodeDecodeError: "),
    (OverflowError("too\nlarge"), "OverflowError: too large (unexpected"),
    (KeyError("driver_rating"), "KeyError: 'driver_rating' (unexpected"),
    (RecursionError(), "RecursionError (unexpected"),
    (MemoryError(), "the memory is full; ask for fewer scenarios"),
    (OSError(28, "No space left on device"), "the system: no space left on device"),
]


@pytest.mark.parametrize(("error", "words"), UNFORESEEN, ids=lambda x: type(x).__name__)
def test_an_error_nobody_foresaw_is_one_sentence(error, words, monkeypatch, capsys):
    def fail():
        raise error

    monkeypatch.setitem(cli.commands, "odd", click.Command("odd", callback=fail))
    assert main(["odd"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"dfslab: {words}") and len(told.splitlines()) == 1
    with pytest.raises(type(error)):
        main(["--debug", "odd"])


@pytest.mark.parametrize("place", [0, 2])
def test_debug_shows_the_traceback(place, folder):
    arguments = ["report", "nowhere", "--data", str(folder / "data")]
    with pytest.raises(ValueError, match="no race 'nowhere'"):
        main([*arguments[:place], "--debug", *arguments[place:]])


def test_ingest_adds_to_the_history_and_again_changes_nothing(folder, capsys):
    run = ["ingest", RACE, "--data", str(folder / "data")]
    assert main(run) == 0
    written = (folder / "data/history/ownership.csv").read_bytes()
    assert f"{RACE}: 1 contests" in capsys.readouterr().out
    assert main([*run[:1], *run[2:], "--quiet"]) == 0
    assert (folder / "data/history/ownership.csv").read_bytes() == written and not capsys.readouterr().err


def test_ingest_lists_the_race_that_failed_and_keeps_the_others(folder, capsys):
    shutil.copytree(folder / f"data/races/{RACE}", folder / f"data/races/{RACE} copy")
    shutil.copytree(folder / f"data/races/{RACE}", folder / "data/races/2032-01-01-link")
    next((folder / "data/races/2032-01-01-link").glob("contest-standings*")).unlink()
    (folder / "data/races/2032-01-01-link/contest-standings-7.zip").symlink_to("gone")
    broken = folder / f"data/races/{RACE}-b"
    shutil.copytree(folder / f"data/races/{RACE}", broken)
    (broken / "race.json").write_text((broken / "race.json").read_text().replace(RACE, broken.name))
    next(broken.glob("contest-standings*")).write_bytes(b"")
    assert main(["ingest", "--data", str(folder / "data")]) == 1
    out, error = capsys.readouterr()
    assert f"{RACE}: 1 contests" in out and "3 failed\n" in error
    assert "  2032-01-01-link: " in error
    assert f"  {RACE} copy: " in error and f"rename the folder to {RACE}-copy" in error
    assert f"  {broken.name}: " in error and "empty" in error
    assert (folder / "data/history/ownership.csv").exists()


def test_optimize_writes_the_best_lineups_of_two_files(folder, tmp_path, capsys):
    salaries, out = folder / f"data/races/{RACE}/DKSalaries.csv", tmp_path / "lineups.csv"
    run = ["optimize", str(salaries), str(folder / "projections.csv"), "-n", "4", "--out", str(out)]
    assert main(run) == 0
    assert "Ownership is forecast" in capsys.readouterr().err
    rows = list(csv.reader(out.open(encoding="utf-8")))
    lineups = [sorted(DRIVERS.index(cell.split(" (")[0]) for cell in row) for row in rows[1:]]
    assert lineups == _best_by_hand(4)
    assert main([*run, "--ban", DRIVERS[0], "--lock", DRIVERS[11], "--quiet"]) == 0
    assert not capsys.readouterr().err
    cells = list(csv.reader(out.open(encoding="utf-8")))[1:]
    assert all(not any(DRIVERS[0] in c for c in row) and any(DRIVERS[11] in c for c in row) for row in cells)
    group = f"groups=[{{'drivers': {DRIVERS[:3]!r}, 'at_most': 1}}]"
    rules = ["-p", "min_salary=49500", "-p", group, "-p", f"min_exposure={{{DRIVERS[9]!r}: 0.5}}"]
    assert main([*run, *rules]) == 0
    rows = list(csv.reader(out.open(encoding="utf-8")))[1:]
    lineups = [[DRIVERS.index(cell.split(" (")[0]) for cell in row] for row in rows]
    assert all(sum(SALARY[d] for d in lineup) >= 49_500 for lineup in lineups)
    assert all(sum(d < 3 for d in lineup) <= 1 for lineup in lineups)
    assert sum(9 in lineup for lineup in lineups) >= 2
    capsys.readouterr()
    assert main([*run, "-p", "max_owned=0.3"]) == 1
    assert "max_owned: no such rule; the rules are bans, excluded" in capsys.readouterr().err


def _best_by_hand(n: int) -> list[list[int]]:
    """Enumerate every lineup under the cap, best first; equal points go by the alphabet of names."""
    from itertools import combinations

    legal = [c for c in combinations(range(12), 6) if sum(SALARY[d] for d in c) <= 50_000]
    return [list(c) for c in sorted(legal, key=lambda c: (-sum(50 - 2 * d for d in c), sorted(DRIVERS[d] for d in c)))][
        :n
    ]


def test_sample_writes_a_season_and_keeps_what_is_not_of_an_earlier_one(tmp_path, capsys):
    mine = ["notes.txt", "reports/index.html", "models/regimes.json", "races/2031-05-04-mine/DKSalaries.csv"]
    for name in (*mine, "seed.json", "races/2020-01-01-earlier/DKSalaries.csv", "history/results.csv"):
        (tmp_path / "season" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "season" / name).write_text("mine")
    (tmp_path / "season/races/2020-01-01-earlier/race.json").write_text('{"simulated": true}')
    assert main(["sample", str(tmp_path / "season"), "--races", "2", "--seed", "5"]) == 0
    out, error = capsys.readouterr()
    assert out.strip() == str(tmp_path / "season") and len(error.split()) == 2
    races = {path.name for path in (tmp_path / "season/races").iterdir()}
    assert len(races) == 3 and "2020-01-01-earlier" not in races
    assert all((tmp_path / "season" / name).read_text() == "mine" for name in mine)
    assert (tmp_path / "season/history/results.csv").read_text() != "mine"


def test_tune_race_prints_scores_with_errors_and_leaves_a_page(tmp_path, capsys):
    run = ["tune", "race", "--since", "2026-08-01", "--out", str(tmp_path), "-p", "n_scenarios=500", "--quiet"]
    assert main(run) == 0
    out = capsys.readouterr().out
    plain, ours = [line for line in out.splitlines() if line.split()[:1] == ["rps"]][:2]
    assert (plain.count("±"), ours.count("±")) == (1, 2) and "difference" in out
    page = (tmp_path / "tuning/race/06_race_report_card.html").read_text("utf-8")
    assert "The favourite" in page and "Simulated season" in page


def test_a_sweep_keeps_one_row_a_run_and_a_page_over_all(tmp_path, capsys):
    run = ["sweep", "02_regime_tuning.ipynb", "--out", str(tmp_path), "--workers", "1", "-p", "leader_share=[0.5]"]
    own = "use={'leader_share': .4, 'cautions': 11};{'leader_share': .6}"
    assert main([*run, "-p", "n_scenarios=100"]) == 0 and main([*run, "-p", "n_scenarios=150", "-p", own]) == 0
    folder = tmp_path / "sweeps/02_regime_tuning"
    rows = list(csv.DictReader((folder / "runs.csv").open(encoding="utf-8")))
    assert [row["n_scenarios"] for row in rows] == ["100", "150", "150"]
    assert rows[1]["use"] == "{'leader_share': 0.4, 'cautions': 11}" and not rows[0]["use"]
    assert len({row["run"] for row in rows}) == 3 and len({row["data"] for row in rows}) == 1
    for row in rows:
        chances = [float(row[name]) for name in row if name.startswith("regimes.probability.")]
        assert sum(chances) == pytest.approx(1, abs=1e-3) and float(row["seconds"]) > 0
        assert (folder / row["run"] / "02_regime_tuning.html").exists()
    assert rows[0]["run"] in (folder / "index.html").read_text("utf-8")
    capsys.readouterr()
    assert main([*run, "-p", "no_such=1,2"]) == 1
    assert "no parameter no_such; " in capsys.readouterr().err
    assert len((folder / "runs.csv").read_text().splitlines()) == 4


def test_the_copy_of_the_notebooks_is_never_written_over(tmp_path):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/00_explore.ipynb").write_text("mine")
    source = SAMPLE.parents[1] / "notebooks"
    folder, names = _copied(source, tmp_path / "copy"), {path.name for path in source.glob("*.ipynb")}
    assert {path.name for path in folder.iterdir()} == names and (folder / "00_explore.ipynb").read_text() == "mine"


def test_lab_serves_the_notebooks_whoever_starts_it_and_ends_when_told(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    command = [sys.executable, "-m", "dfslab", "lab", "--no-browser", f"--port={port}", "--IdentityProvider.token="]
    with (tmp_path / "log").open("wb") as log:
        lab = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT)
    try:
        listed = _asked(f"http://127.0.0.1:{port}/api/contents", lab)
        assert listed, (tmp_path / "log").read_text()
        assert "00_explore.ipynb" in {entry["name"] for entry in json.loads(listed)["content"]}
    finally:
        lab.terminate()
        lab.wait(30)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "JupyterLab outlived the command that started it"


def _asked(url: str, server, seconds: float = 90.0) -> bytes:
    """Return the answer of a server that is starting; nothing when it ends or never answers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=2).read()
        except OSError:
            time.sleep(0.2)
    return b""


@pytest.mark.parametrize(
    ("text", "value"),
    [("20", 20), ("0.5", 0.5), ("2024_05", "2024_05"), ("[1, 2]", [1, 2]), ("Larson", "Larson"), ("True", True)],
)
def test_parameters_are_read_as_literals(text, value):
    assert _literal(text) == value and type(_literal(text)) is type(value)


def test_season_lists_the_races_that_failed_and_writes_the_index(folder, tmp_path, capsys):
    (folder / f"data/races/{RACE}/DKSalaries.csv").write_bytes(b"")
    run = ["season", "--data", str(folder / "data"), "--out", str(tmp_path / "reports"), "--workers", "1"]
    assert main(run) == 1
    out, error = capsys.readouterr()
    assert not out and "1 of 1 done" in error and f"1 failed\n  {RACE}: " in error and "empty" in error
    assert "No report has been made yet" in (tmp_path / "reports/index.html").read_text()


def test_what_tuning_saves_is_used_for_later_races_only(tmp_path, capsys):
    shutil.copytree(SAMPLE / "history", tmp_path / "history")
    header, *rows = (tmp_path / "history/ownership.csv").read_text().splitlines()
    contests = list(dict.fromkeys(row.split(",")[0] for row in rows))[:4]
    kept = [row for row in rows if row.split(",")[0] in contests]
    (tmp_path / "history/ownership.csv").write_text("\n".join([header, *kept]) + "\n")
    assert main(["tune", "ownership", "--data", str(tmp_path), "--out", str(tmp_path / "reports"), "--quiet"]) == 0
    out, error = capsys.readouterr()
    assert "hybrid" in out and "salary only" in out and "saved: ownership.json" in out and not error
    page = (tmp_path / "reports/tuning/ownership/01_ownership_calibration.html").read_text("utf-8")
    assert "What the pool gains" in page and str(tmp_path) not in page
    saved = json.loads((tmp_path / "models" / "ownership.json").read_text())
    assert saved["contests"] == 4
    assert {"historical", "salary_skill"} <= set(saved["pools"][-1]["sources"])
    assert saved["through"] == f"{max(data.history(tmp_path).ownership['date']):%Y-%m-%d}"


def test_tuning_ownership_needs_nothing_but_past_contests(tmp_path, capsys):
    (tmp_path / "history").mkdir()
    shutil.copy(SAMPLE / "history/ownership.csv", tmp_path / "history")
    figures = SAMPLE.parents[1] / "dfslab/ownership/defaults.json"
    run = ["tune", "ownership", "--data", str(tmp_path), "--figures", str(figures), "--learn", "29", "--last", "3"]
    assert main([*run, "--out", str(tmp_path / "reports"), "--quiet"]) == 0
    out, error = capsys.readouterr()
    assert not error and "interval score" in out and "saved: owner" not in out and not (tmp_path / "models").exists()
    assert "inside 80 % bands" in out and re.search(r"hybrid .* 3$", out, re.MULTILINE)
    assert (tmp_path / "reports/tuning/ownership/01_ownership_calibration.html").exists()


def test_a_home_is_found_where_the_shell_leaves_it_to_us(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(folder))
    assert main(["ingest", RACE, "--data=~/data"]) == 0 and (folder / "data/history/ownership.csv").exists()
    assert main(["report", "nowhere", "--data=~/no data"]) == 1
    assert f"{folder}/no data: there is no such data folder" in capsys.readouterr().err
