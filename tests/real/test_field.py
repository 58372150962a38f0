"""Simulated fields beside real ones, given the real ownership."""

import numpy as np
import pandas as pd
import pytest

from dfslab.field import expected_copies, fit_field, sample_field
from dfslab.lineups import LineupProblem, best_lineups, distinct
from scripts.docs.field import field_comparison, summary
from scripts.real.fields import infer_salaries, read_cup_contests, read_mma_fields
from scripts.real.shapes import copy_numbers


@pytest.fixture(scope="module")
def compared(shared):
    return field_comparison(shared)


@pytest.fixture(scope="module")
def fights(shared):
    return read_mma_fields(shared / "mma" / "fields")


@pytest.fixture(scope="module")
def races(shared):
    return read_cup_contests(shared / "cup")


def test_copies_in_fights_are_those_of_real_fields(compared):
    figures = summary(compared)
    assert figures["contests"] >= 20
    assert abs(figures["distinct: median difference"]) < 0.04
    assert figures["distinct: median absolute difference"] < 0.06
    assert 0.67 < figures["most copied: median ratio"] < 1.5
    assert figures["most copied: within a factor of two"] > 0.8


def test_salary_left_in_fights_is_that_of_real_fields(compared):
    fights = compared[compared["kind"] == "fights"]
    for figure, allowed in (("leaves_0", 0.06), ("leaves_500_or_less", 0.03), ("leaves_over_1000", 0.02)):
        gap = fights[f"{figure} simulated"] - fights[f"{figure} real"]
        assert gap.abs().median() < allowed


def test_copies_in_cup_contests_are_those_known(compared):
    races = compared[compared["kind"] == "race, tournament"]
    factor = np.exp(np.abs(np.log(races["most_copied simulated"] / races["most_copied real"])))
    assert factor.median() <= 1.3
    assert factor.max() <= 2.0
    next_four = races["next_four simulated"] / races["next_four real"]
    assert next_four.between(0.4, 2.5).all()


def test_different_lineups_of_whole_cup_fields_are_as_many_as_real(compared):
    whole = compared[compared["kind"].str.startswith("race")].dropna(subset="distinct real").set_index("kind")
    gap = (whole["distinct simulated"] - whole["distinct real"]).abs()
    assert gap["race, tournament"] <= 0.03
    assert gap["race, cash"] <= 0.08


@pytest.mark.parametrize(("n", "most", "different"), [(490, (0.014, 0.07), 0.80), (1470, (0.012, 0.07), 0.70)])
def test_sizes_of_cup_contests_have_their_copies(races, n, most, different):
    found = []
    for known in races:
        field = fit_field(known.slate, known.ownership, n, rng=np.random.default_rng(n)).sample(
            n, np.random.default_rng(1)
        )
        found.append(copy_numbers(field))
    table = pd.DataFrame(found)
    assert table["most_copied"].between(*most).mean() >= 0.8
    assert abs(table["distinct"].median() - different) < 0.08


def test_a_large_cup_field_is_owned_as_forecast_and_legal(races):
    for known in races:
        field = sample_field(known.slate, known.ownership, 20_000, rng=np.random.default_rng(0))
        error = np.abs(np.bincount(field.ravel(), minlength=len(known.slate)) / 20_000 - known.ownership)
        assert error.mean() < 0.005 and error.max() < 0.02
        assert LineupProblem(known.slate.salary, 6, 50_000).legal(field).all()


def test_expected_copies_are_calibrated_on_real_lineups(fights):
    """Binned by what was expected, the lineups of real fields are entered that often."""
    expected, counted = [], []
    for real in (real for real in fights if len(real.field) > 3000):
        slate, digits = real.slate, len(real.slate) ** np.arange(6)
        lineups, copies = distinct(real.field)
        seen = dict(zip((lineups @ digits).tolist(), copies.tolist(), strict=True))
        every = best_lineups(np.zeros(len(slate)), slate.salary, slate.rules, 10**7, groups=slate.groups)
        expected.append(expected_copies(every, slate, real.ownership, len(real.field)))
        counted.append([seen.get(code, 0) for code in (every @ digits).tolist()])
    expected, counted = np.concatenate(expected), np.concatenate(counted)
    for low, high in ((0.5, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 60)):
        inside = (expected >= low) & (expected < high)
        assert 0.6 < counted[inside].mean() / expected[inside].mean() < 1.5


def test_inferred_salaries_are_the_known_ones(shared, fights):
    known = {"2019-03-16": "DKSalaries_2019-03-16.csv", "2019-11-02": "DKSalaries_2019-11-02.csv"}
    for date, file in known.items():
        salaries = pd.read_csv(shared / "mma" / file).set_index("Name")["Salary"]
        real = next(real for real in fights if real.name.startswith(date))
        inferred = pd.Series(infer_salaries(real.field, real.slate.groups), real.slate.names)
        both = inferred.index.intersection(salaries.index)
        assert len(both) >= 20
        assert (np.abs(inferred[both] - salaries[both]) < 1).mean() > 0.9
