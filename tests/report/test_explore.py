"""The bench behind the sliders: answers obey the question and agree with slower truths."""

import numpy as np
import pytest
from sample_race import SAMPLE, SMALL_RACE

from dfslab import contest
from dfslab.optimize import InfeasibleLineup, LeverageAwareOptimizer
from dfslab.report import _live as explore
from dfslab.report._live import Question


@pytest.fixture(scope="module")
def bench() -> explore.Bench:
    return explore.open_bench(SMALL_RACE, SAMPLE, n_scenarios=300)


def _exposure(answer) -> float:
    return np.bincount(answer.lineups.ravel()).max() / len(answer.lineups)


def test_the_lineups_are_those_of_the_exact_milp(bench):
    asked = Question(leverage_penalty=60, max_exposure=0.5, n_lineups=4)
    scenarios = bench.races
    slow = LeverageAwareOptimizer(bench.crowd.slate, bench.ownership, leverage_penalty=60).optimize(
        scenarios.weight @ scenarios.points, 4, max_exposure=0.5, max_overlap=5, engine="milp"
    )
    assert bench.ask(asked).lineups.tolist() == slow.tolist()


def test_the_money_is_that_of_the_contest_played_race_by_race(bench):
    answer, held, scenarios = bench.ask(Question(n_lineups=3)), bench.day.contest, bench.races
    others = bench.field[: held.entries - 3]
    alone = contest.simulate_contest(answer.lineups, others, scenarios.points[:7], held)
    assert np.array_equal(alone.payout, answer.result.payout[:7])
    paid = scenarios.weight @ answer.result.payout.sum(axis=1)
    assert answer.result.portfolio_metrics()["expected_profit"] == pytest.approx(paid - 3 * held.entry_fee)


def test_limits_hold_and_the_penalty_lowers_ownership(bench):
    plain, priced = (bench.ask(Question(leverage_penalty=p, max_exposure=1.0)) for p in (0, 120))
    own = [bench.ownership[a.lineups] ** 2 for a in (plain, priced)]
    assert own[1][0].sum() <= own[0][0].sum() and own[1].mean() < own[0].mean()
    capped = bench.ask(Question(max_ownership=0.25, max_exposure=0.4))
    assert bench.ownership[capped.lineups].max() <= 0.25 and _exposure(capped) <= 0.4 + 1e-9


def test_a_regime_alone_counts_only_its_races(bench):
    scenarios, name = bench.races, "chaos"
    answer = bench.ask(Question(regime_weights=((name, 0.7),)))
    here = scenarios.regime == scenarios.regime_names.index(name)
    assert answer.result.weight[~here].sum() == 0 and answer.result.weight.sum() == pytest.approx(1)
    share = dict(bench.regime_weights)
    told = bench.ask(Question(regime_weights=tuple(share.items())))
    assert told.result.weight == pytest.approx(scenarios.weight)


def test_fewer_lineups_than_asked_are_answered_with_a_note(bench):
    low = np.sort(bench.ownership[~bench.crowd.slate.out])[6]
    answer = bench.ask(Question(max_ownership=float(low), max_exposure=1.0, n_lineups=50))
    assert len(answer.lineups) < 50 and f"{len(answer.lineups)} of 50" in answer.notes[0]
    with pytest.raises(InfeasibleLineup, match="max_ownership"):
        bench.ask(Question(max_ownership=0.0))


def test_the_panel_answers_when_a_slider_is_let_go(bench):
    panel = explore.panel(bench)
    sliders = [box for column in panel.children[0].children for box in column.children]
    assert [s.description for s in sliders[:4]] == ["leverage penalty", "max exposure %", "max ownership %", "lineups"]
    assert sum(s.value for s in sliders[4:]) == pytest.approx(100)
    shown = explore.shown(bench, bench.ask(Question(n_lineups=3)))
    assert "3</b><span>lineups" in shown[0]._repr_html_() and "<img" in shown[1]._repr_html_()
