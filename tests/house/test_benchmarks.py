"""A ratio between different answers means nothing: the twins of the benchmarks compute what the package does."""

import importlib
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfslab.lineups import LineupLaw, enumerate_lineups
from dfslab.race._kernels import draw_cautions, draw_dropouts, draw_laps, draw_order, draw_reasons
from dfslab.race._tracks import default_mechanics
from dfslab.rules import ContestRules, fantasy_points, rules_on
from dfslab.slate import Race

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
    log_z, marginals = bench("law").marginals_over_all(enumerate_lineups(salary, rules), theta)
    assert log_z == pytest.approx(law.log_normaliser)
    np.testing.assert_allclose(marginals, law.marginals(), atol=1e-12)
    found, _ = bench("law").fit_over_all(enumerate_lineups(salary, rules), law.marginals())
    np.testing.assert_allclose(LineupLaw(found, salary, rules).marginals(), law.marginals(), atol=1e-6)


def _kernels(laws, worth, scoring, n) -> dict:
    """Return laps_led and points, (n, D), and cautions (n, 5) by the package's kernels."""
    caution_law, dropout_law, order_law, lap_law = laws
    streams = np.random.default_rng(1).spawn(5)
    cautions = draw_cautions(caution_law, n, streams[0])
    dropouts = draw_dropouts(dropout_law, cautions, len(worth), streams[1])
    finish = draw_order(order_law, worth, cautions, dropouts, streams[2])
    start = np.tile(np.arange(1, len(worth) + 1, dtype=np.int16), (n, 1))
    reason, completed = draw_reasons(dropout_law, finish, dropouts, caution_law.laps, streams[3])
    led, fast = draw_laps(lap_law, finish, start, reason, completed, cautions, streams[4])
    columns = {"start": start, "finish": finish, "laps_led": led, "fastest_laps": fast}
    points = fantasy_points(pd.DataFrame({name: x.ravel() for name, x in columns.items()}), scoring)
    return {"laps_led": led, "points": points.to_numpy().reshape(n, -1), "cautions": cautions}


def _apart(a, b):
    """Return how many standard errors the means of two samples are apart, by column."""
    return np.abs(a.mean(axis=0) - b.mean(axis=0)) / np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))


def test_the_loop_over_races_draws_from_the_same_law(bench):
    race, worth = Race("r", "2024-03-03", "Track", "intermediate", 1.5, 267), np.linspace(1, -1, 20)
    laws = bench("race").laws_of(default_mechanics()["intermediate"], race, worth, 100.0)
    scoring, rng = rules_on(race.date).scoring, np.random.default_rng(2)
    ours, loop = _kernels(laws, worth, scoring, 3000), bench("race").race_after_race(laws, worth, scoring, 600, rng)
    assert (loop["laps_led"].sum(axis=1) == 267).all()
    for name in ("laps_led", "points"):
        assert (_apart(ours[name], loop[name]) < 4.5).all()
        assert (_apart(np.sort(ours[name], axis=1)[:, -3:], np.sort(loop[name], axis=1)[:, -3:]) < 4).all()
    drawn = pd.DataFrame([bench("race")._cautions(laws[0], rng) for _ in range(600)])
    assert (_apart(ours["cautions"][:, [0, 1, 3]], drawn[["count", "slow", "final"]].to_numpy()) < 4).all()


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
