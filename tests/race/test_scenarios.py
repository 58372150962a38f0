"""Questions asked of scenarios: every answer uses the weights, and equals what counting copies of races would say."""

import numpy as np
import pandas as pd
import pytest

from dfslab.errors import UserError
from dfslab.lineups import best_lineups
from dfslab.race import Scenarios
from dfslab.regimes import RegimeThresholds
from dfslab.rules import ContestRules
from dfslab.slate import Slate

COPIES = np.array([1, 4, 2, 1, 7, 3])
"""How often each of six races is counted; the weights say the same."""


def scenarios(n_drivers: int = 8) -> Scenarios:
    rng = np.random.default_rng(5)
    n = len(COPIES)
    finish = np.array([rng.permutation(n_drivers) + 1 for _ in range(n)])
    led = rng.integers(0, 40, (n, n_drivers))
    led[0, 2] = 400
    wide = {"finish": finish, "laps_led": led, "fastest_laps": led, "points": rng.normal(30, 20, finish.shape)}
    wide |= {"dropped_out": rng.random(finish.shape) < 0.2, "crashed": np.zeros(finish.shape, bool)}
    facts = {name: rng.integers(0, 9, n) for name in ("cautions", "caution_laps", "longest_green_run")}
    names = np.array([f"Driver {letter}" for letter in "ABCDEFGH"[:n_drivers]], object)
    return Scenarios(
        names, np.tile(np.arange(1, n_drivers + 1), (n, 1)), **wide, **facts, final_green_run=np.arange(n),
        regime=np.array([0, 3, 1, 1, 3, 0]), weight=COPIES / COPIES.sum(), track_length_mi=1.5, race_id="some-race",
    )  # fmt: skip


def repeated(values) -> np.ndarray:
    return np.repeat(values, COPIES, axis=0)


def test_means_spreads_and_quantiles_count_every_race_as_often_as_it_weighs():
    races = scenarios()
    np.testing.assert_allclose(races.mean(), repeated(races.points).mean(axis=0))
    np.testing.assert_allclose(races.spread("finish"), repeated(races.finish).std(axis=0))
    levels = [0.05, 0.3, 0.5, 0.95]
    counted = np.quantile(repeated(races.points), levels, axis=0, method="inverted_cdf")
    np.testing.assert_allclose(races.quantile(levels), counted.T)
    assert not np.allclose(counted.T, np.quantile(races.points, levels, axis=0).T), "weights would not matter here"
    np.testing.assert_allclose(
        races.quantile(levels, "cautions"), np.quantile(repeated(races.cautions), levels, method="inverted_cdf")
    )
    np.testing.assert_allclose(races.quantile(levels, races.points), races.quantile(levels))


def test_probabilities_count_every_race_as_often_as_it_weighs():
    races = scenarios()
    np.testing.assert_allclose(races.probability(races.finish <= 3), repeated(races.finish <= 3).mean(axis=0))
    assert races.probability(races.cautions > 4) == pytest.approx(repeated(races.cautions > 4).mean())
    shares = races.regime_shares()
    assert shares["dominator"] == pytest.approx(4 / 18) and shares["fuel_mileage"] == 0


def test_correlations_equal_those_of_the_repeated_races():
    races = scenarios()
    np.testing.assert_allclose(races.correlation(), np.corrcoef(repeated(races.points).T), atol=1e-12)


def test_given_a_regime_or_an_event_only_its_races_are_left():
    races = scenarios()
    chaos = races.given(regime="chaos")
    np.testing.assert_allclose(chaos.weight, [2 / 3, 1 / 3])
    half = races.given(races.leader_share() >= 0.5)
    assert len(half) == 1 and half.weight.sum() == pytest.approx(1)
    with pytest.raises(UserError, match="'mayhem' is unknown; the regimes are dominator"):
        races.given(regime="mayhem")
    with pytest.raises(UserError, match="no simulated race is"):
        races.given(regime="fuel_mileage")


def test_optimal_shares_are_those_of_every_lineup_tried():
    races = scenarios()
    slate = Slate.from_frame(
        pd.DataFrame({"driver": races.drivers, "salary": [10, 9, 8, 7, 6, 6, 5, 5]}), ContestRules(3, 22)
    )
    lineups = best_lineups(np.zeros(len(slate)), slate.salary, slate.rules, 100)
    share = np.zeros(len(slate))
    for points, weight in zip(races.points, races.weight, strict=True):
        share[lineups[points[lineups].sum(axis=1).argmax()]] += weight
    np.testing.assert_allclose(races.optimal_share(slate), share)


def test_typical_races_are_of_the_likeliest_stories_and_lie_in_their_middle():
    races = scenarios()
    found = races.typical(6)
    story = list(
        zip(np.array(races.regime_names)[races.regime], races.drivers[races.laps_led.argmax(axis=1)], strict=True)
    )
    chance = pd.Series(repeated(np.arange(6))).map(pd.Series(story)).value_counts(normalize=True)
    named = zip(found["regime"], found["led_by"], strict=True)
    assert found["probability"].tolist() == pytest.approx([chance[key] for key in named])
    assert found["probability"].is_monotonic_decreasing and found["probability"].sum() == pytest.approx(1)
    for scenario, row in found.iterrows():
        assert story[scenario] == (row["regime"], row["led_by"])
        winner = races.drivers[races.finish[scenario] == 1][0]
        assert f"{winner} wins" in row["story"] and f"{races.cautions[scenario]} cautions" in row["story"]


def test_other_thresholds_change_labels_and_nothing_else():
    races = scenarios()
    other = races.relabel(RegimeThresholds(leader_share=0.2))
    strict = races.relabel(RegimeThresholds(leader_share=0.9))
    assert other.regime_shares()["dominator"] > strict.regime_shares()["dominator"]
    np.testing.assert_array_equal(other.points, races.points)
    np.testing.assert_allclose(other.weight, 1 / len(races))


def test_new_regime_weights_keep_the_races_of_a_regime_in_proportion():
    races = scenarios().reweight({"dominator": 0.5, "chaos": 0.5})
    np.testing.assert_allclose(races.weight, [0.125, 0, 1 / 3, 1 / 6, 0, 0.375])
    with pytest.raises(UserError, match="no scenario is fuel_mileage"):
        races.reweight({"fuel_mileage": 1.0})
    moved = scenarios().reweight({"dominator": 0.4, "chaos": 0.4, "fuel_mileage": 0.2})
    np.testing.assert_allclose(moved.weight, races.weight)
    assert "No simulated race is fuel_mileage" in moved.notes[-1]


def test_an_event_may_be_a_function_of_the_scenarios():
    races = scenarios()
    chaos = races.given(regime="chaos")
    pd.testing.assert_series_equal(chaos.probability(lambda r: r.finish == 1), chaos.probability(chaos.finish == 1))
    few = races.cautions > np.median(races.cautions)
    kept = few.copy()
    both, same = races.given(few, regime="dominator"), races.given(lambda r: r.cautions > np.median(races.cautions))
    np.testing.assert_array_equal(few, kept)
    assert len(both) == (few & (races.regime == 0)).sum() and len(same) == few.sum()


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (lambda r: r.laps_led["Ann"] > 3, "the event cannot be told .*to_frame"),
        (lambda r: r.leader_share > 0.5, "the event cannot be told"),
        ("win", "yes or no for each of .* races, not 'win'"),
        (lambda r: r.points.sum(axis=1), "yes or no .* not float64"),
        ([True, False], "yes or no .* not bool of shape"),
    ],
)
def test_what_is_no_event_is_told_in_a_sentence(event, says):
    with pytest.raises(UserError, match=says):
        scenarios().probability(event)


def test_an_event_by_driver_leaves_no_races():
    with pytest.raises(UserError, match="pick a driver's column"):
        scenarios().given(lambda r: r.laps_led > 0)


def test_a_regime_that_is_no_event_or_has_no_race_is_told():
    with pytest.raises(UserError, match=r"write given\(regime='chaos'\)"):
        scenarios().given("chaos")
    with pytest.raises(UserError, match="no simulated race is fuel_mileage; the regimes here are dominator 22%"):
        scenarios().given(regime="fuel_mileage")


def test_they_speak_in_one_line_and_show_drivers_by_name():
    races = scenarios()
    assert repr(races).startswith("Scenarios(8 drivers, 6 races of some-race: dominator 22%, chaos 17%")
    assert "\n" not in repr(races) and "Driver A" in races._repr_html_()
    assert races.to_frame("Driver B")["finish"].tolist() == races.finish[:, 1].tolist()
    with pytest.raises(UserError, match="Driver Z is not in these scenarios"):
        races.to_frame("Driver Z")
    with pytest.raises(UserError, match="did you mean Driver B"):
        races.to_frame("driver b")
