"""What stands on a page: text is escaped, numbers read well, and a check that fails stops the report."""

import numpy as np
import pandas as pd
import pytest

from dfslab.report._parts import Check, CheckFailed, Headline, Notes, Stats, Table, run_checks


def test_a_table_escapes_and_aligns():
    frame = pd.DataFrame({"driver": ["<b>Ann</b>", "Ben & Co"], "points": [41.25, np.nan]})
    text = Table(frame, "Points < 50.", {"points": "{:.1f}"})._repr_html_()
    assert "&lt;b&gt;Ann" in text and "<b>Ann" not in text and "Ben &amp; Co" in text
    assert '<td class="num">41.2</td>' in text and '<td class="num">–</td>' in text
    assert '<th class="num">points</th>' in text and "<th>driver</th>" in text
    assert "Points &lt; 50." in text and text.count("<tr>") == 3


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234567, "1,234,567"), (0.012345, "0.0123"), (12345.6, "12,346"), (True, "True"), (None, "–"), (np.nan, "–")],
)
def test_numbers_without_a_format_read_well(value, shown):
    assert f">{shown}</td>" in Table(pd.DataFrame({"x": pd.Series([value], dtype=object)}))._repr_html_()


def test_a_loss_in_dollars_carries_its_sign_before_the_dollar():
    text = Table(pd.DataFrame({"profit": [-12.0]}), formats={"profit": "${:.0f}"})._repr_html_()
    assert "−$12" in text


def test_an_error_stands_behind_its_number_with_as_many_decimals():
    frame = pd.DataFrame({"score": [6.4567, -0.861], "score_se": [0.4391, np.nan], "n": [33, 4]})
    text = Table(frame, errors={"score": "score_se"})._repr_html_()
    assert '<td class="num">6.46 <i>± 0.44</i></td>' in text and '<td class="num">−0.861</td>' in text
    assert "score se" not in text and text.count("<th>") + text.count("<th ") == 2
    signed = Table(pd.DataFrame({"x": [0.4], "e": [0.2]}), "", dict.fromkeys("xe", "{:+.1f}"), {"x": "e"})
    assert "+0.4 <i>± 0.2</i>" in signed._repr_html_()


def test_a_bar_is_as_long_as_its_share_of_the_largest():
    text = Table(pd.DataFrame({"x": [50.0, -25.0, np.nan]}), bars=("x",))._repr_html_()
    assert text.count('class="num bar"') == 2 and "--w:100%" in text and "--w:50%" in text


def test_what_is_folded_is_closed_below_its_line():
    for part in (Table(pd.DataFrame({"x": [1]}), fold="All < 9"), Notes(("a",), fold="All < 9")):
        assert '<details class="more"><summary>All &lt; 9</summary>' in part._repr_html_()


def test_a_headline_stats_and_notes_escape():
    assert "&lt;x&gt;" in Headline("<x>", ())._repr_html_() and "&lt;y&gt;" in Headline("x", ("<y>",))._repr_html_()
    assert "&lt;x&gt;" in Stats((("<x>", "y"),))._repr_html_()
    assert "&lt;x&gt;" in Notes(("<x>",))._repr_html_()
    assert "Nothing to remark." in Notes(())._repr_html_()


def test_checks_that_hold_are_shown_with_their_bounds():
    text = run_checks([Check("sum", 6.0, 6, 6), Check("top", 0.4, 0, 1), Check("pool", 9, 5, np.inf)])._repr_html_()
    assert text.count(">yes<") == 3 and ">6<" in text and "0 … 1" in text and "≥ 5" in text


@pytest.mark.parametrize("value", [5.9, np.nan, np.inf])
def test_a_check_that_fails_raises_with_its_name_and_its_bounds(value, capsys):
    with pytest.raises(CheckFailed, match=r"ownership: .* must be 6"):
        run_checks([Check("fine", 1, 0, 2), Check("ownership", value, 6, 6)])
