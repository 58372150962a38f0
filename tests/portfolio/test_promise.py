"""What promises are worth: the weight found again, errors that cover, learning in any order; and the referee."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dfslab.errors import UserError
from dfslab.portfolio import Scores, referee
from dfslab.portfolio._promise import RATES, PromiseMap, Worth
from dfslab.slate import Contest

WORTH = Worth(weight=0.8, sd=0.3, spread=0.6)


def truths(rng, worth, races, noise=0.0):
    """Return promises and what comes true of them in one season whose weight is drawn as believed."""
    weight = rng.normal(worth.weight, worth.sd)
    promised = rng.uniform(0.3, 2.5, races)
    own = rng.normal(0, worth.spread, races)
    return weight, promised, weight * promised + own + noise * rng.normal(size=races)


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_errors_of_the_learned_weight_are_those_it_states(noise):
    rng, away = np.random.default_rng(1), []
    for _ in range(400):
        weight, promised, realised = truths(rng, WORTH, 12, noise)
        found = WORTH.learned(promised, realised, np.full(12, noise))
        away.append((found.weight - weight) / found.sd)
    assert np.mean(away) == pytest.approx(0, abs=0.15)
    assert np.std(away) == pytest.approx(1, abs=0.12)


def test_learning_race_by_race_is_learning_all_at_once():
    _, promised, realised = truths(np.random.default_rng(2), WORTH, 9)
    noise = np.full(9, 0.5)
    once, step = WORTH.learned(promised, realised, noise), WORTH
    for k in range(9):
        step = step.learned(promised[[k]], realised[[k]], noise[[k]])
    assert (step.weight, step.sd) == pytest.approx((once.weight, once.sd))
    assert WORTH.learned(promised[:0], realised[:0], noise[:0]).weight == pytest.approx(WORTH.weight)
    empty = WORTH.learned(np.array([np.nan, 0.0]), np.ones(2), np.zeros(2))
    assert (empty.weight, empty.sd) == pytest.approx((WORTH.weight, WORTH.sd)), "a gap or no promise teaches nothing"


def test_eighty_per_cent_of_races_lie_inside_the_band():
    rng, inside = np.random.default_rng(3), []
    average = {"return": -0.15, "cash": 0.2, "top_1pct": 0.01, "p_profit": 0.0}
    known = PromiseMap(dict.fromkeys(RATES, WORTH), "these tests")
    for _ in range(500):
        _, promised, realised = truths(rng, WORTH, 1)
        told = pd.DataFrame({"return": promised - 0.15, "cash": [0.3], "top_1pct": [0.02], "p_profit": [0.4]})
        row = known(told, average).iloc[0]
        inside.append(row["low_80"] < realised[0] - 0.15 < row["high_80"])
    assert np.mean(inside) == pytest.approx(0.8, abs=0.05)


def test_the_shipped_map_leaves_the_average_entry_alone_and_learns_from_a_record():
    shipped = PromiseMap.shipped()
    contest = Contest(5.0, 100, [{"min_rank": 1, "max_rank": 20, "prize": 21.0}])
    average = replace(scores_of(nobody=np.zeros(400)), contest=contest).average
    assert average["return"] == pytest.approx(420 / 500 - 1) and average["cash"] == 0.2 and average["top_1pct"] == 0.01
    same = shipped(pd.DataFrame([average]), average).iloc[0]
    assert [same[rate] for rate in RATES] == pytest.approx([average[rate] for rate in RATES])
    told = pd.DataFrame([{"return": 1.0, "cash": 0.35, "top_1pct": 0.03, "p_profit": 0.3}])
    before = shipped(told, average).iloc[0]
    assert max(average["return"], before["low_80"]) < before["return"] < before["high_80"]
    assert before["return"] < 1.0 and "simulated seasons 101 to 113" in shipped.note
    bad = pd.DataFrame({"promised_return": [1.0] * 30, "realised_return": [-0.15] * 30, "average_return": [-0.15] * 30})
    after = shipped.learned(bad)
    assert after(told, average)["return"][0] < before["return"] - 0.2
    assert after.races == 30 and "30 races of your own" in after.note
    assert after.rates["cash"] == shipped.rates["cash"], "what the record does not hold is not learned"


def scores_of(**payouts):
    """Return scores in 400 races of portfolios that cost ten dollars."""
    pay = {name: np.asarray(values, float) for name, values in payouts.items()}
    same = {name: np.zeros(400) for name in pay}
    fees = dict.fromkeys(pay, 10.0)
    return Scores(pay, same, same, same, np.full(400, 1 / 400), np.repeat(np.arange(4), 100), fees)


@pytest.fixture
def played():
    rng = np.random.default_rng(4)
    base = rng.exponential(10, 400)
    return scores_of(plain=base, lever=base + rng.normal(2, 5, 400), worse=base - rng.normal(2, 5, 400))


def test_the_recipe_that_earns_most_is_played_and_the_sentence_says_by_how_much(played):
    found = referee(played, plain="plain")
    gain = (played.payout["lever"] - played.payout["plain"]).mean()
    assert found.name == "lever" and f"Played: lever. It promises ${gain:,.2f} ± " in found.sentence


def test_plain_lineups_are_played_where_nothing_is_ahead_by_a_standard_error(played):
    rng = np.random.default_rng(5)
    close = scores_of(plain=played.payout["plain"], lever=played.payout["plain"] + rng.normal(0.05, 9, 400))
    found = referee(close, plain="plain")
    assert found.name == "plain" and "not a standard error ahead" in found.sentence
    found = referee(played, {"lever": 0.0, "worse": 0.0}, plain="plain")
    gain = (played.payout["lever"] - played.payout["plain"]).mean()
    assert found.name == "plain", "a gain that was worth nothing counts nothing"
    assert (
        f"recipe lever promises ${gain:,.2f} ± " in found.sentence and "came to nothing in the past" in found.sentence
    )
    less = referee(scores_of(plain=played.payout["plain"], worse=played.payout["worse"]))
    assert less.name == "plain" and " less than plain" in less.sentence


def test_a_recipe_alone_is_played_and_unknown_ones_are_refused(played):
    one = replace(played, payout={"plain": played.payout["plain"]})
    assert referee(one).name == "plain"
    with pytest.raises(UserError, match="no portfolio other"):
        referee(played, plain="other")


# ------------------------------------------------------------ what knowing the regime is worth


def labelled(rng, races=4_000, **means):
    """Return scores of portfolios that earn `means` in two regimes of chances .7 and .3, with noise."""
    regime = (rng.random(races) < 0.3).astype(int)
    pay = {name: np.asarray(by_regime)[regime] + rng.normal(0, 1, races) for name, by_regime in means.items()}
    zero = dict.fromkeys(pay, np.zeros(races))
    run = np.arange(races) % 10
    fees = dict.fromkeys(pay, 10.0)
    return Scores(pay, zero, zero, zero, np.full(races, 1 / races), run, fees, regime, ("calm", "wild"))


MEANS = {"calm": (12.0, 4.0), "wild": (6.0, 20.0), "both": (11.0, 10.0)}


def test_knowing_the_regime_is_worth_what_the_closed_form_says():
    rng = np.random.default_rng(6)
    found = labelled(rng, **MEANS).regime_value(labelled(rng, **MEANS)).set_index("what")
    values = {name: 0.7 * a + 0.3 * b for name, (a, b) in MEANS.items()}
    evpi = 0.7 * 12 + 0.3 * 20 - max(values.values())
    assert max(values, key=values.get) == "both"
    row = found.loc["knowing the regime (EVPI)"]
    assert abs(row["value"] - evpi) < 4 * row["se"] and row["clear"]
    row = found.loc["all regimes instead of the likeliest (VSS)"]
    assert abs(row["value"] - (values["both"] - values["calm"])) < 4 * row["se"]


def test_luck_is_not_taken_for_knowledge():
    rng, values = np.random.default_rng(7), []
    for _ in range(40):
        same = {f"p{k}": (10.0, 10.0) for k in range(12)}
        values.append(labelled(rng, 300, **same).regime_value(labelled(rng, 300, **same))["value"][0])
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(40)


def test_under_wrong_probabilities_a_portfolio_earns_less_the_wronger_they_may_be():
    scores = labelled(np.random.default_rng(8), **MEANS)
    long = scores.by_regime(radii=(0.0, 0.1, 9.0))
    table = long.pivot(index="portfolio", columns="regime", values="expected_payout")
    plain = scores.table().set_index("portfolio")["expected_payout"].reindex(table.index)
    assert table["worst within 0 nats"].to_numpy() == pytest.approx(plain.to_numpy(), abs=1e-6)
    assert (table["worst within 0.1 nats"] < plain).all()
    worst = table[["calm", "wild"]].min(axis=1)
    assert table["worst within 9 nats"].to_numpy() == pytest.approx(worst.to_numpy(), abs=1e-6)
    for name, code in (("calm", 0), ("wild", 1)):
        here, pay = scores.regime == code, scores.payout["both"]
        row = long[(long["portfolio"] == "both") & (long["regime"] == name)].iloc[0]
        assert row["probability"] == pytest.approx(here.mean())
        assert row["expected_payout"] == pytest.approx(pay[here].mean())
        assert row["expected_payout_se"] == pytest.approx(pay[here].std() / np.sqrt(here.sum()))
        assert row["p_profit"] == pytest.approx((pay[here] > 10.0).mean())


def test_scores_without_regimes_are_refused(played):
    with pytest.raises(UserError, match="no regimes"):
        played.regime_value(played)
