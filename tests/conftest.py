"""What several test files share: one small report of a sample race."""

import os
from pathlib import Path

import pytest
from sample_race import SAMPLE, SMALL, SMALL_RACE

from dfslab import data
from dfslab.report import run_report


@pytest.fixture(scope="session")
def small_report():
    """Return the function that reports the sample race in small numbers into a folder."""
    return lambda out_dir: run_report(SMALL_RACE, SAMPLE, out_dir, SMALL)


@pytest.fixture(scope="session")
def sample_report(small_report, tmp_path_factory) -> Path:
    """Return the folder of that report; test processes side by side share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sample-report"
    with data.files.locked(folder, timeout=600):
        made = folder / SMALL_RACE
        return made if made.exists() else small_report(folder)


@pytest.fixture(scope="session")
def sample_slate():
    """Return the slate of that race."""
    return data.load_slate(SMALL_RACE, SAMPLE)
