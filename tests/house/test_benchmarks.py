"""A ratio between different answers means nothing: the twins of the benchmarks compute what the package does."""

import importlib
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from race_history import make_entry, make_history, make_race

from dfslab.lineups import LineupLaw, best_lineups
from dfslab.race import RaceModel
from dfslab.rules import ContestRules, rules_on

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_every_benchmark_is_run(bench):
    sources = {path.stem: path.read_text("utf-8") for path in (ROOT / "benchmarks").glob("*.py")}
    assert {name for name, text in sources.items() if "\ndef rows(" in text} == set(bench("__main__").MODULES)


def test_the_sum_over_the_list_is_the_law(bench):
    rng, rules = np.random.default_rng(0), ContestRules(3, 150)
    salary, theta = rng.integers(30, 70, 9), rng.normal(0, 1, 9)
    law = LineupLaw(theta, salary, rules)
    log_z, marginals = bench("law").marginals_over_all(best_lineups(np.zeros(len(salary)), salary, rules, 10**6), theta)
    assert log_z == pytest.approx(law.log_normaliser)
    np.testing.assert_allclose(marginals, law.marginals(), atol=1e-12)
    found, _ = bench("law").fit_over_all(best_lineups(np.zeros(len(salary)), salary, rules, 10**6), law.marginals())
    np.testing.assert_allclose(LineupLaw(found, salary, rules).marginals(), law.marginals(), atol=1e-6)


def _apart(a, b):
    """Return how many standard errors the means of two samples are apart, by column."""
    return np.abs(a.mean(axis=0) - b.mean(axis=0)) / np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))


@pytest.fixture(scope="module")
def loop_and_package():
    """Return races of a made-up model by the naive loop and by the package, 20 drivers starting in row order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        twin = importlib.import_module("benchmarks.race")
    model, race = RaceModel.fit(*make_history(24)), make_race(0)
    drivers = make_entry(20).assign(team=[f"team {k // 3}" if k < 15 else None for k in range(20)])
    worth = model.finish.log_worth(drivers, race)
    law = model.mechanics[race.track_type].for_race(race, worth, model.finish.teams(drivers, race))
    loop = twin.race_after_race(law, rules_on(race.date).scoring, 3000, np.random.default_rng(2))
    cautions = pd.DataFrame([twin._cautions(law, np.random.default_rng(3 + k)) for k in range(3000)])
    ours = model.simulate(drivers, race, 20_000, np.random.default_rng(1))
    return loop | {"cautions": cautions}, ours.relabel(model.thresholds)  # the simulator's own frequencies


def test_the_loop_over_races_draws_from_the_same_law(loop_and_package):
    loop, ours = loop_and_package
    assert (loop["laps_led"].sum(axis=1) == 120).all()
    assert (_apart(ours.finish, loop["finish"]) < 4.5).all()
    for name in ("laps_led", "points"):
        drawn = getattr(ours, name)
        assert (_apart(drawn, loop[name]) < 4.5).all(), name
        assert (_apart(np.sort(drawn, axis=1)[:, -3:], np.sort(loop[name], axis=1)[:, -3:]) < 4).all(), name
    facts = np.column_stack([ours.cautions, ours.caution_laps, ours.final_green_run])
    assert (_apart(facts, loop["cautions"][["count", "slow", "final"]].to_numpy()) < 4).all()


def test_the_loop_lets_teammates_go_together_as_the_package_does(loop_and_package):
    loop, ours = loop_and_package
    both = [
        finish[:, [0, 3, 6, 9]] * finish[:, [1, 4, 7, 10]].astype(float) for finish in (ours.finish, loop["finish"])
    ]
    assert (_apart(*both) < 4).all()


@pytest.mark.parametrize("place", [1, 2, 3, 7, 8, 14])
def test_the_loop_gives_the_strong_half_their_chances_of_a_place(loop_and_package, place):
    loop, ours = loop_and_package
    assert (_apart(ours.finish[:, :10] <= place, loop["finish"][:, :10] <= place) < 4.5).all()


def test_results_name_the_machine_by_its_size_only(bench):
    text = bench("__main__").machine(1.0)
    assert "cores" in text
    assert platform.node() not in text
    assert str(ROOT) not in text


def test_the_table_shows_times_and_ratios(bench):
    compared = bench("timing").compared
    rows = [compared("a", 0.002, 3.0, "n"), compared("b", 12.0, None)]
    lines = bench("__main__").table(rows).splitlines()
    assert lines[2:] == ["| a | 2.0 ms | 3.0 s | 1,500 × | n |", "| b | 12 s | – | – |  |"]


def test_an_unknown_benchmark_is_refused(bench, capsys):
    assert bench("__main__").main(["lav"]) == 2
    assert "lav is unknown" in capsys.readouterr().err


def test_a_goal_is_reached_on_its_own_side_only(bench):
    figure = bench("accuracy").figure
    told = [figure("a", "1", goal, value)["reached"] for goal, value in (("≤ .5", 0.5), ("≤ .5", 0.6), ("", 1))]
    assert told == ["yes", "no", "–"]
    assert [figure("a", "1", "≥ −3.05", value)["reached"] for value in (-3.0, -3.1)] == ["yes", "no"]
    assert figure("a", "1", "≥ .4", 0.41825, error=0.0204)["measured"] == "0.4183 ± 0.02"


def test_without_real_data_its_rows_are_said_to_be_left_out(bench, tmp_path):
    rows, left_out = bench("accuracy").figures(tmp_path)
    assert {row["reached"] for row in rows} == {"yes"} and len(rows) == 4
    text = bench("accuracy").table(rows, left_out)
    assert text.count("\n| ") == 4 and "Left out: Forecasts of real races" in text
