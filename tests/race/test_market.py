"""Prices of a win: margins, log-worths and the weights of the pool against closed forms, samples and known truths."""

import numpy as np
import pandas as pd
import pytest
from race_history import make_entry, make_history, make_race

from dfslab.errors import UserError
from dfslab.race import RaceModel, market_chances
from dfslab.race._market import POOL, POOL_RACES, _win_chances, fit_pool, market_worths
from dfslab.race._orders import sample_finish

NAMES = [f"driver {i:02d}" for i in range(20)]


def prices(chance, names=NAMES, power=0.85, **columns) -> pd.DataFrame:
    """Return odds with a margin put in by the inverse of the power method."""
    return pd.DataFrame({"driver": names, "probability": np.asarray(chance) ** power, **columns})


@pytest.fixture(scope="module")
def chance():
    raw = np.exp(np.linspace(1.5, -2.5, 20))
    return raw / raw.sum()


# ---------------------------------------------------------------- the margin


def test_a_margin_put_in_by_a_power_is_taken_out(chance):
    odds = prices(chance)
    assert odds["probability"].sum() > 1.2
    np.testing.assert_allclose(market_chances(odds, NAMES), chance, rtol=1e-9)


def test_prices_without_a_margin_stay(chance):
    np.testing.assert_allclose(market_chances(prices(chance, power=1.0), NAMES), chance, rtol=1e-9)


def test_rows_and_drivers_may_come_in_any_order(chance):
    found = market_chances(prices(chance).sample(frac=1, random_state=1), NAMES[::-1])
    assert list(found.index) == NAMES[::-1]
    np.testing.assert_allclose(found[NAMES], chance, rtol=1e-9)


def test_books_are_averaged_in_logs(chance):
    other = chance[::-1]
    odds = pd.concat([prices(chance, book="a"), prices(other, book="b", power=0.7)])
    mean = np.sqrt(chance * other)
    np.testing.assert_allclose(market_chances(odds, NAMES), mean / mean.sum(), rtol=1e-9)


def test_drivers_without_a_price_share_the_rest(chance):
    found = market_chances(prices(chance).head(15), NAMES)
    assert found.sum() == pytest.approx(1.0) and (found.diff().dropna() <= 1e-12).all()
    assert found.iloc[15:].nunique() == 1 and 0.3 * found.iloc[14] < found.iloc[15] <= found.iloc[14]


def test_a_price_of_another_race_is_left_out(chance):
    more = pd.concat([prices(chance), prices([0.3], ["somebody else"])])
    np.testing.assert_allclose(market_chances(more, NAMES), chance, rtol=1e-9)


@pytest.mark.parametrize(
    ("odds", "message"),
    [
        ({"driver": NAMES[:2], "probability": [0.4, 1.2]}, "driver 01 has a chance of 1.2"),
        ({"driver": NAMES[:1], "probability": [0.4]}, "at least two drivers"),
    ],
)
def test_odds_that_say_nothing_are_refused(odds, message):
    with pytest.raises(UserError, match=message):
        market_chances(pd.DataFrame(odds), NAMES)


# ---------------------------------------------------------------- log-worths


def test_win_chances_are_those_of_sampled_orders():
    worth = np.array([1.2, 0.4, 0.0, -0.3, -1.3])
    won = sample_finish(worth, 200_000, np.random.default_rng(0)) == 1
    np.testing.assert_allclose(_win_chances(worth)[0], won.mean(axis=0), atol=0.004)


def test_two_drivers_win_by_the_closed_form():
    assert _win_chances([0.7, -0.7])[0][0] == pytest.approx(1 / (1 + np.exp(-1.4)), abs=1e-6)


@pytest.mark.parametrize("size", [3, 20, 40])
def test_market_worths_give_back_the_chances(size):
    wanted = np.exp(np.random.default_rng(size).normal(0, 1.5, size))
    wanted /= wanted.sum()
    worth = market_worths(wanted)
    np.testing.assert_allclose(_win_chances(worth)[0], wanted, rtol=1e-7)
    assert worth.mean() == pytest.approx(0.0, abs=1e-9)


# ---------------------------------------------------------------- the pool


def made_races(n, weights, seed=0):
    """Return worth, results and odds of `n` races whose orders follow a known pool of market and model."""
    rng, worth, results, odds = np.random.default_rng(seed), [], [], []
    for k in range(n):
        market, model = rng.normal(0, 1, (2, 20))
        market -= market.mean()
        finish = sample_finish(weights[0] * market + weights[1] * model, 1, rng)[0]
        facts = {"race_id": f"race {k:03d}", "driver": NAMES}
        worth.append(pd.DataFrame({**facts, "log_worth": model}))
        results.append(pd.DataFrame({**facts, "finish": finish}))
        odds.append(pd.DataFrame({**facts, "probability": _win_chances(market)[0] ** 0.9}))
    return (pd.concat(frames, ignore_index=True) for frames in (worth, results, odds))


def test_known_weights_are_recovered():
    a, b = fit_pool(*made_races(150, (0.5, 0.7)))
    assert a == pytest.approx(0.5, abs=0.06) and b == pytest.approx(0.7, abs=0.06)


def test_a_market_against_which_the_orders_go_has_no_weight():
    assert fit_pool(*made_races(40, (-0.8, 0.5)))[0] == 0.0


def test_few_races_keep_the_shipped_weights():
    assert fit_pool(*made_races(POOL_RACES - 1, (0.2, 1.0))) == POOL
    assert fit_pool(*made_races(POOL_RACES, (0.2, 1.0))) != POOL


# ---------------------------------------------------------------- in the simulator


@pytest.fixture(scope="module")
def history():
    return make_history(24)


def test_odds_move_the_race_towards_the_market(history, chance):
    model, entry, here = RaceModel.fit(*history), make_entry(20), make_race(0)
    upside_down = entry.assign(market=chance[::-1])
    plain, moved = (model.simulate(e, here, 4000, np.random.default_rng(1)) for e in (entry, upside_down))
    won = [races.probability(races.finish == 1) for races in (plain, moved)]
    assert won[0].iloc[0] > 5 * won[0].iloc[-1] and won[1].iloc[-1] > 3 * won[1].iloc[0]


def test_without_a_price_nothing_changes(history):
    model, entry, here = RaceModel.fit(*history), make_entry(20), make_race(0)
    a, b = (model.simulate(e, here, 300, np.random.default_rng(1)) for e in (entry, entry.assign(market=np.nan)))
    np.testing.assert_array_equal(a.points, b.points)


def test_the_weights_know_no_later_race(history):
    results, races = history
    odds = results[["race_id", "driver"]].assign(probability=0.05 + 0.9 / results["finish"].clip(2))
    later = odds["race_id"] == races["race_id"].iloc[-1]
    wrong = odds.assign(probability=odds["probability"].where(~later, 0.5))
    day = races["date"].iloc[-1]
    pools = [RaceModel.fit(results, races, day, odds=o).finish.pool for o in (odds, wrong)]
    assert pools[0] == pools[1] != POOL
