"""What a page records for the index is readable again, whatever the numbers are."""

import numpy as np
import pytest

from dfslab.data import files
from dfslab.report import record


@pytest.mark.parametrize("value", [float("nan"), np.inf, -np.inf, np.float64("nan"), np.float32("inf")])
def test_what_is_no_number_is_recorded_as_blank(tmp_path, value):
    record(tmp_path, "portfolio", roi=value, fees=0.0)
    record(tmp_path, "card", lines=["a"])
    assert files.read_json(tmp_path / "metrics.json") == {
        "portfolio": {"roi": None, "fees": 0.0},
        "card": {"lines": ["a"]},
    }
