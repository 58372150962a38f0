"""A portfolio answers with names, shares and figures that a hand count gives."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dfslab.optimize import lineup_metrics
from dfslab.portfolio import Portfolio
from dfslab.rules import ContestRules
from dfslab.slate import Contest, Slate

NAMES = ["Ann", "Bo", "Cy", "Di"]
OWN = np.array([0.9, 0.6, 0.3, 0.2])


@pytest.fixture
def chosen() -> Portfolio:
    frame = pd.DataFrame(
        {"driver": NAMES, "salary": [9, 7, 6, 5], "name_id": [f"{n} ({k})" for k, n in enumerate(NAMES)]}
    )
    slate = Slate.from_frame(frame, ContestRules(2, 20))
    lineups = np.array([[0, 1], [0, 2], [2, 3]])
    metrics = lineup_metrics(slate, OWN, lineups, value=[30.0, 20.0, 10.0, 5.0], expected_copies=[2.0, 1.0, 0.5])
    metrics.insert(0, "regime", ["chaos", "balanced", "chaos"])
    metrics.insert(1, "gain", [3.0, 2.0, 1.0])
    contest = Contest(1, 50, [{"min_rank": 1, "max_rank": 1, "prize": 40}], max_entries_per_user=2)
    return Portfolio(lineups, metrics, pd.DataFrame(), slate=slate, ownership=OWN, contest=contest)


def test_lineups_are_shown_by_name_in_order_of_choice(chosen):
    table = chosen.table()
    assert table["drivers"].tolist() == ["Ann, Bo", "Ann, Cy", "Cy, Di"]
    assert table["points"].tolist() == [50, 40, 15] and table["copies"].tolist() == [2, 1, 0.5]
    assert table["total_ownership"].tolist() == pytest.approx([1.5, 1.2, 0.5])


def test_exposures_are_shares_of_the_lineups_most_used_first(chosen):
    table = chosen.exposures()
    assert table["driver"].tolist() == ["Ann", "Cy", "Bo", "Di"]
    assert table["exposure"].tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert table["difference"].tolist() == pytest.approx([2 / 3 - 0.9, 2 / 3 - 0.3, 1 / 3 - 0.6, 1 / 3 - 0.2])


def test_key_figures_count_those_who_enter(chosen):
    figures = chosen.summary()
    assert (figures["lineups"], figures["entering"]) == (3, 2)
    assert figures["projected_points"] == pytest.approx(35)


def test_the_upload_holds_names_with_ids(chosen, tmp_path):
    path = chosen.to_upload(tmp_path / "lineups.csv")
    assert path.read_text().splitlines()[:2] == ["D,D", "Ann (0),Bo (1)"]


def test_it_speaks_in_one_line_and_shows_names(chosen):
    assert repr(chosen) == "Portfolio(3 lineups, 2 enter; most used Ann 100%)"
    assert "Ann, Bo" in chosen._repr_html_()


def test_a_name_is_no_markup_where_a_notebook_shows_lineups(chosen):
    odd = chosen.slate.drivers.replace({"driver": {"Ann": "<b>Ann"}})
    page = replace(chosen, slate=replace(chosen.slate, drivers=odd))._repr_html_()
    assert "&lt;b&gt;Ann, Bo" in page and "<b>" not in page
