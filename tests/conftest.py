"""What several test files share: one small report of a sample race."""

from pathlib import Path

import pytest

from dfslab import data
from dfslab.report import run_report

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
SMALL_RACE = "2026-03-15-lakeshore"
SMALL = {"n_scenarios": 400, "n_lineups": 5, "n_draws": 50, "max_exposure": 1.0}


@pytest.fixture(scope="session")
def small_report():
    """Return the function that reports the sample race in small numbers into a folder."""
    return lambda out_dir: run_report(SMALL_RACE, SAMPLE, out_dir, SMALL)


@pytest.fixture(scope="session")
def sample_report(small_report, tmp_path_factory) -> Path:
    """Return the folder of that report."""
    return small_report(tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="session")
def sample_slate():
    """Return the slate of that race."""
    return data.load_slate(SMALL_RACE, SAMPLE)
