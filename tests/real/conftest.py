"""Real races, contests and fields live beside the repository, never in it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data, or skip."""
    if not SHARED.exists():
        pytest.skip("the real data folder ../shared/data is not there")
    return SHARED
