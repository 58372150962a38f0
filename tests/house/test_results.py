"""Results are written between their marks and nowhere else."""

import numpy as np
import pandas as pd
import pytest

from dfslab.errors import UserError
from scripts.docs.results import markdown_table, with_errors, write_results

FRAME = pd.DataFrame({"score": ["mae", "crps"], "mean_error": [1.23456, np.nan], "contests": [8, 1200]})


def test_a_table_reads_back_as_the_frame():
    rows = [line.strip("| ").split(" | ") for line in markdown_table(FRAME).splitlines()]
    assert rows[0] == ["score", "mean error", "contests"]
    assert rows[2:] == [["mae", "1.235", "8"], ["crps", "–", "1,200"]]


def test_errors_stand_beside_their_figures():
    frame = FRAME.assign(**{"± mean_error": [0.12345, np.nan], "contests_se": 0.5})
    told = with_errors(frame)
    assert told.columns.tolist() == FRAME.columns.tolist()
    assert told["mean_error"].tolist() == ["1.235 ± 0.12", "–"]
    assert told["contests"].tolist() == ["8 ± 0.5", "1,200 ± 0.5"]
    assert markdown_table(frame).splitlines()[1:3] == ["|--|--:|--:|", "| mae | 1.235 ± 0.12 | 8 ± 0.5 |"]


def test_only_the_text_between_the_marks_changes(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(
        "above\n<!-- results:a -->\nold\n<!-- /results:a -->\nbelow\n<!-- results:b -->\n<!-- /results:b -->\n"
    )
    write_results(page, "a", {"Errors": FRAME}, "dfslab tune", ["A note."])
    once = page.read_text()
    assert once.startswith("above\n<!-- results:a -->\n`dfslab tune`\n\nErrors\n\n| score")
    assert "old" not in once and once.endswith("below\n<!-- results:b -->\n<!-- /results:b -->\n")
    write_results(page, "a", {"Errors": FRAME}, "dfslab tune", ["A note."])
    assert page.read_text() == once


def test_a_document_without_the_marks_is_left_alone(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("nothing here")
    with pytest.raises(UserError, match="no marks <!-- results:a -->"):
        write_results(page, "a", {}, "dfslab tune")
    assert page.read_text() == "nothing here"
