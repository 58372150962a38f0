"""Every notebook runs: in small numbers, from another folder, by papermill as anybody has it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

from dfslab import data
from dfslab.workflow import SAMPLE, open_race
from tests.workflow.test_market import spellings

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SMALL_GRID = {"leader_share": [0.45, 0.5], "dropout_share": [0.25], "cautions": [12]}


def _papermill(stem: str, out: Path, **parameters) -> nbformat.NotebookNode:
    """Run a notebook as a stranger would, in the folder `out`, and return it as executed."""
    given = json.dumps({"out_dir": str(out), **parameters})
    command = [sys.executable, "-m", "papermill", str(FOLDER / f"{stem}.ipynb"), f"{stem}.ipynb"]
    done = subprocess.run([*command, "-k", "python3", "-y", given], cwd=out, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return nbformat.read(out / f"{stem}.ipynb", as_version=4)


def _text(notebook) -> str:
    shown = [o.get("data", {}).get("text/plain", "") for c in notebook.cells for o in c.get("outputs", [])]
    return "\n".join(shown)


@pytest.fixture
def history_alone(tmp_path) -> Path:
    """Return a data folder without a race."""
    folder = tmp_path / "data"
    shutil.copytree(SAMPLE / "history", folder / "history")
    return folder


def test_thresholds_are_tuned_without_a_race_and_saved_when_asked(tmp_path, history_alone):
    own = {"data_dir": str(history_alone), "tune": True, "save": True, "use": {"leader_share": 0.6}}
    page = _papermill("02_regime_tuning", tmp_path, **own, **SMALL_GRID, n_scenarios=60, n_permutations=5)
    saved = json.loads((history_alone / "models/regimes.json").read_text())
    assert saved["thresholds"]["leader_share"] == 0.6 and len(saved["table"]) == 2
    assert saved["verdict"] in _text(page).replace("−", "-") and "200 are needed" in saved["verdict"]
    assert json.loads((tmp_path / "metrics.json").read_text())["regimes"]["p"] == pytest.approx(saved["p"], abs=1e-6)


def test_a_race_page_shows_the_tuning_that_was_saved_and_saves_nothing(tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("models"))
    (folder / "models").mkdir()
    row = {"dropout_share": 0.25, "cautions": 12.0, "fuel_miles": 1000.0, "plateau": True}
    table = [{**row, "leader_share": x, "skill": x / 10, "chosen": x == 0.4} for x in (0.4, 0.5)]
    saved = {"thresholds": {"leader_share": 0.4}, "through": "2020-01-01", "verdict": "As tuned.", "table": table}
    text = json.dumps(saved)
    (folder / "models/regimes.json").write_text(text)
    mine = {"use": {"leader_share": 0.25}, "n_candidates": 150}
    said = _text(_papermill("02_regime_tuning", tmp_path, data_dir=str(folder), n_scenarios=200, **mine))
    assert "Shared with in use: in use 20 of 20, yours" in said
    assert "As tuned." in said and "one driver leads 40 % of the laps" in said and "framed: the choice" in said
    assert (folder / "models/regimes.json").read_text() == text


def test_ownership_is_tuned_without_a_race_with_sources_of_ones_own(tmp_path, history_alone):
    own = {"data_dir": str(history_alone), "tune": True, "save": True, "sources": ["salary_skill", "projection"]}
    said = _text(_papermill("01_ownership_calibration", tmp_path, **own, until="2026-06-01", since="2026-05-01"))
    saved = json.loads((history_alone / "models/ownership.json").read_text())
    assert {name for pool in saved["pools"] for name in pool["sources"]} == {"salary_skill", "projection"}
    assert saved["through"] < "2026-06-01" and f"for races after {saved['through']}" in said
    assert "No race folder" in said and "historical" not in said
    numbers = json.loads((tmp_path / "metrics.json").read_text())["ownership"]
    assert 0 < numbers["mean_error"] < 15 and numbers["mean_error_se"] > 0


def test_ten_questions_are_answered_on_the_sample(tmp_path):
    small = {"n_scenarios": 400, "n_draws": 50, "n_lineups": 3, "n_candidates": 200}
    said = _text(_papermill("05_questions", tmp_path, **small))
    numbers = json.loads((tmp_path / "metrics.json").read_text())["questions"]
    assert f"When {numbers['driver']} leads half the laps" in said and "Who inherits" in said
    sure = [line for line in said.splitlines() if line.strip().startswith(numbers["driver"])]
    assert any(line.split()[-1] == "60.0" for line in sure)


def test_a_season_is_walked_in_its_notebook(tmp_path):
    small = {"races": ["2026-08-16-thunder-basin"], "workers": 1, "n_scenarios": 200, "n_lineups": 3, "n_replays": 50}
    said = _text(_papermill("04_season_backtest", tmp_path, **small))
    assert "1 races scored" in said


def test_a_market_in_two_spellings_gives_one_and_the_same_page(tmp_path):
    """All six spellings are one race day (`tests/workflow/test_market.py`); the two least alike make one page."""
    race_id = max(data.list_races(SAMPLE))
    folder = tmp_path / "data"
    shutil.copytree(SAMPLE / "history", folder / "history")
    shutil.copytree(SAMPLE / "races" / race_id, folder / "races" / race_id)
    names = open_race(race_id, folder).slate.starters["driver"].to_numpy()
    written, pages = spellings(names, np.array([100, *range(350, 350 + 150 * (len(names) - 1), 150)])), []
    for spelling in ("decimal", "other names, any order"):
        written[spelling].to_csv(folder / "races" / race_id / "odds.csv", index=False)
        page = _papermill("02_regime_tuning", tmp_path, data_dir=str(folder), n_scenarios=60)
        shown = [output.get("data", {}) for cell in page.cells for output in cell.get("outputs", [])]
        pages.append(re.sub(r"digest [0-9a-f]{12}", "digest", json.dumps(shown)))
    assert "odds.csv" in pages[0] and pages[0] == pages[1]
