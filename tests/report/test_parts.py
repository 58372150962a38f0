"""What stands on a page: text is escaped, units come from one registry, and a check that fails stops the report."""

import io
import re
from base64 import b64decode

import numpy as np
import pandas as pd
import pytest

from dfslab.report._parts import CheckFailed, checks, figure, notes, stats, table
from dfslab.report._plots import plot_lines


def _cells(part) -> list[str]:
    return re.findall(r"<td[^>]*>(.*?)</td>", part.markup)


def _heads(part) -> list[str]:
    return re.findall(r"<th(?: [^>]*)?>(.*?)</th>", part.markup)


def test_an_index_with_a_name_is_a_column():
    frame = pd.DataFrame({"points": [40.0]}, pd.Index(["Ann"], name="driver"))
    assert _cells(table(frame)) == ["Ann", "40.0"]
    assert _cells(table(frame.reset_index().iloc[[0]])) == ["Ann", "40.0"]


def test_a_table_escapes_and_aligns():
    frame = pd.DataFrame({"driver": ["<b>Ann</b>", "Ben & Co"], "points": [41.25, np.nan]})
    text = table(frame, "Points < 50.").markup
    assert "&lt;b&gt;Ann" in text and "<b>Ann" not in text and "Ben &amp; Co" in text
    assert '<td class="num">41.2</td>' in text and '<td class="num">–</td>' in text
    assert '<th class="num">points</th>' in text and "<th>driver</th>" in text
    assert "Points &lt; 50." in text and text.count("<tr>") == 3


@pytest.mark.parametrize(
    ("column", "value", "head", "shown"),
    [
        ("ownership", 0.2534, "ownership %", "25.3"),
        ("salary", 9500, "salary", "$9,500"),
        ("gain", -12.0, "adds", "−$12.00"),
        ("roi", 0.3, "return %", "+30"),
        ("points", 41.234, "points", "41.2"),
        ("date", pd.Timestamp("2026-03-01"), "date", "2026-03-01"),
        ("holds", True, "holds", "yes"),
        ("never_heard_of", 0.012345, "never heard of", "0.0123"),
        ("never_heard_of", 1234567, "never heard of", "1,234,567"),
        ("never_heard_of", 12345.6, "never heard of", "12,346"),
    ],
)
def test_the_registry_says_how_a_column_reads(column, value, head, shown):
    part = table(pd.DataFrame({column: [value]}))
    assert _heads(part) == [head] and _cells(part) == [shown]


def test_a_column_reads_like_another_where_the_cell_says_so():
    part = table(pd.DataFrame({"difference": [12.0]}), units={"difference": "gain"})
    assert _cells(part) == ["+$12.00"]


def test_an_error_stands_behind_its_number_with_as_many_decimals():
    frame = pd.DataFrame({"score": [6.4567, -0.861], "score_se": [0.4391, np.nan], "n": [33, 4]})
    assert _cells(table(frame)) == ["6.46 <i>± 0.44</i>", "33", "−0.861", "4"]
    money = pd.DataFrame({"expected_payout": [10.123, 9.0], "expected_payout_se": [0.5, 0.25]})
    assert _cells(table(money)) == ["$10.12 <i>± $0.50</i>", "$9.00 <i>± $0.25</i>"]


def test_bands_are_one_column():
    part = table(pd.DataFrame({"driver": ["Ann"], "low_80": [0.1], "high_80": [0.32]}))
    assert _heads(part) == ["driver", "80 % band"] and _cells(part)[1] == "10 – 32"


def test_a_bar_is_as_long_as_its_share_of_the_largest():
    text = table(pd.DataFrame({"x": [50.0, -25.0, np.nan]}), bars=("x",)).markup
    assert text.count('class="num bar"') == 2 and "--w:100%" in text and "--w:50%" in text


def test_a_table_one_may_search_carries_numbers_to_sort_by():
    text = table(pd.DataFrame({"driver": ["Ann"], "ownership": [0.25]}), search=True, shown=1).markup
    assert 'data-v="0.25"' in text and 'data-shown="1"' in text and "<input" in text and "<script>" in text


def test_an_empty_table_shows_nothing():
    assert table(pd.DataFrame(columns=["driver"]), "No past.").markup == ""


def test_what_is_folded_is_closed_below_its_line():
    for part in (table(pd.DataFrame({"x": [1]}), fold="All < 9"), notes(["a"], fold="All < 9")):
        assert '<details class="more"><summary>All &lt; 9</summary>' in part.markup


def test_key_figures_are_pairs_or_named_numbers_with_errors():
    assert "&lt;x&gt;" in stats([("<x>", "y")]).markup
    figures = pd.Series({"p_profit": 0.31, "expected_payout": 31.5, "expected_payout_se": 1.25})
    assert stats(figures).text == "31 % chance of a profit; $31.50 ± $1.25 expected payout"
    assert stats(pd.Series({"Ann Lee": 0.47}), units="ownership").text == "47.0 % Ann Lee"


def test_notes_escape_and_an_empty_list_shows_nothing():
    assert "&lt;x&gt;" in notes(["<x>"]).markup and notes([]).markup == ""


def test_checks_that_hold_are_shown_with_their_bounds():
    text = checks({"sum": (6.0, 6, 6), "top": (0.4, 0, 1), "pool": (9, 5, np.inf)}).markup
    assert text.count(">yes<") == 3 and ">6<" in text and "0 … 1" in text and "≥ 5" in text


@pytest.mark.parametrize("value", [5.9, np.nan, np.inf])
def test_a_check_that_fails_raises_with_its_name_and_its_bounds(value, capsys):
    with pytest.raises(CheckFailed, match=r"ownership: .* must be 6"):
        checks({"fine": (1, 0, 2), "ownership": (value, 6, 6)})


def test_an_audit_is_checked_line_by_line(capsys):
    audit = pd.DataFrame({"rule": ["overlap"], "found": [5], "limit": [5], "holds": [True]})
    assert ">yes<" in checks(audit).markup
    with pytest.raises(CheckFailed, match="overlap: 6, limit 5"):
        checks(audit.assign(found=6, holds=False))


def test_a_figure_carries_alt_and_caption_escaped_and_the_same_bytes_twice():
    frame = pd.DataFrame({"x": [1.0]}, index=["a"])
    texts = [figure(plot_lines(frame), 'A "quoted" <alt>', "One < two.").markup for _ in range(2)]
    assert "&lt;alt&gt;" in texts[0] and "One &lt; two." in texts[0] and '"quoted"' not in texts[0]
    assert texts[0] == texts[1]


def test_a_picture_is_wide_enough_and_not_empty():
    from matplotlib import image

    markup = figure(plot_lines(pd.DataFrame({"x": [1.0, 2.0]}, index=["a", "b"])), "A line").markup
    pixels = image.imread(io.BytesIO(b64decode(re.search(r"base64,([^\"]+)", markup)[1])))
    assert pixels.shape[1] > 1000 and np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0).shape[0] > 9


def test_a_picture_of_nothing_shows_nothing():
    from matplotlib import pyplot as plt

    assert figure(plt.subplots()[1], "Nothing").markup == "" and not plt.get_fignums()


def test_numbers_in_sentences_have_a_true_minus_and_names_keep_their_hyphen():
    said = notes(["Delgado-Ruiz on 2026-03-15: (-0.26 to +1.33), -$3, 5-7"]).text
    assert said == "Delgado-Ruiz on 2026-03-15: (−0.26 to +1.33), −$3, 5-7"
