"""Scores of portfolios: against contests played one by one, conservation, pairing, and what its errors must be."""

import numpy as np
import pytest

from dfslab.contest import simulate_contest
from dfslab.errors import UserError
from dfslab.portfolio import referee
from dfslab.portfolio._score import score_portfolios
from dfslab.slate import Contest

PRIZES = [{"min_rank": a, "max_rank": b, "prize": p} for a, b, p in ((1, 1, 50.0), (2, 3, 20.0), (4, 8, 5.0))]
DRIVERS = 12


def contest_of(entries=44, **more):
    return Contest(3.0, entries, PRIZES, **more)


def draw_lineups(rng, n):
    return np.sort(rng.permuted(np.tile(np.arange(DRIVERS), (n, 1)), axis=1)[:, :6], axis=1)


@pytest.fixture
def case():
    rng = np.random.default_rng(4)
    points = np.rint(rng.normal(25, 9, (60, DRIVERS)))
    fields = np.array([draw_lineups(rng, 43) for _ in range(4)])
    return draw_lineups(rng, 4), draw_lineups(rng, 6), points, fields, rng.dirichlet(np.ones(60))


def test_every_number_is_that_of_contests_played_run_by_run(case):
    first, second, points, fields, weight = case
    scores = score_portfolios({"a": first, "b": second}, points, fields, contest_of(), weight=weight)
    for name, lineups in (("a", first), ("b", second)):
        for run in range(4):
            here = slice(15 * run, 15 * run + 15)
            played = simulate_contest(lineups, fields[run][: 44 - len(lineups)], points[here], contest_of())
            np.testing.assert_allclose(scores.payout[name][here], played.payout.sum(axis=1))
            np.testing.assert_allclose(scores.cash[name][here], (played.payout > 0).mean(axis=1))
            np.testing.assert_allclose(scores.top_1pct[name][here], (played.rank == 1).mean(axis=1))
            np.testing.assert_array_equal(scores.best_rank[name][here], played.rank.min(axis=1))
    row = scores.table().set_index("portfolio").loc["a"]
    assert row["expected_payout"] == pytest.approx(weight @ scores.payout["a"])
    assert row["fees"] == 12.0
    assert row["p_profit"] == pytest.approx(weight @ (scores.payout["a"] > 12.0))
    assert row["p_win"] == pytest.approx(weight @ (scores.best_rank["a"] == 1))


def test_a_portfolio_against_itself_differs_by_nothing(case):
    first, _, points, fields, weight = case
    scores = score_portfolios({"a": first, "same": first}, points, fields, contest_of(), weight=weight)
    row = scores.differences("a").iloc[0]
    assert (row["difference"], row["se"]) == (0.0, 0.0)
    assert not row["clear"]


def test_differences_are_paired_and_change_sign(case):
    first, second, points, fields, weight = case
    scores = score_portfolios({"a": first, "b": second}, points, fields, contest_of(), weight=weight)
    ab, ba = scores.differences("a").iloc[0], scores.differences("b").iloc[0]
    assert ab["difference"] == pytest.approx(-ba["difference"])
    assert ab["difference"] == pytest.approx(weight @ (scores.payout["a"] - scores.payout["b"]))
    assert ab["se"] == pytest.approx(ba["se"])


def test_the_whole_field_scored_takes_the_whole_pool(case):
    *_, points, fields, weight = case
    scores = score_portfolios({"all": fields[0]}, points, fields, contest_of(43), weight=weight)
    np.testing.assert_allclose(scores.payout["all"], contest_of().pool)
    assert scores.table()["expected_payout_se"][0] == pytest.approx(0.0, abs=1e-9)


def test_without_a_fee_what_is_won_is_told_and_no_return(case):
    first, _, points, fields, weight = case
    scores = score_portfolios({"a": first}, points, fields, Contest(0.0, 44, PRIZES), weight=weight)
    paid = score_portfolios({"a": first}, points, fields, contest_of(), weight=weight)
    won = f"${weight @ paid.payout['a']:,.2f}"
    (value, text), (cash, _) = scores.cards("a")
    assert value == won and text.startswith("expected to be won without a fee") and cash == paid.cards("a")[2][0]
    assert "nan" not in f"{text} {cash}" and scores.fees["a"] == 0


def test_a_limit_per_user_lets_only_the_first_lineups_in(case):
    first, _, points, fields, weight = case
    limited = score_portfolios({"a": first}, points, fields, contest_of(max_entries_per_user=2), weight=weight)
    two = score_portfolios({"a": first[:2]}, points, fields, contest_of(), weight=weight)
    np.testing.assert_array_equal(limited.payout["a"], two.payout["a"])
    assert limited.fees["a"] == 6.0


def test_standard_errors_cover_the_truth_when_fields_differ():
    """Twelve fields of 300 entries, four of them much weaker: the mean's error must see them as twelve draws."""
    rng = np.random.default_rng(8)
    points = np.rint(rng.normal(25, 9, (600, DRIVERS)))
    points[:, :6] += 8
    strong, weak = np.arange(6), np.arange(6, 12)
    fields = np.array(
        [np.vstack([draw_lineups(rng, 20), np.tile(weak if f % 3 else strong, (23, 1))]) for f in range(12)]
    )
    ours = np.array([[0, 1, 2, 3, 4, 6]])
    scores = score_portfolios({"a": ours}, points, fields, contest_of())
    by_field = np.array([scores.payout["a"][scores.run == f].mean() for f in range(12)])
    assert scores.table()["expected_payout_se"][0] >= 0.95 * by_field.std(ddof=1) / np.sqrt(12)


def test_worst_and_best_tails_are_those_of_the_profit(case):
    first, _, points, fields, _ = case
    scores = score_portfolios({"a": first}, points, fields, contest_of())
    profit = np.sort(scores.payout["a"] - 12.0)
    row = scores.table().iloc[0]
    assert row["worst_5pct"] == pytest.approx(profit[:3].mean())
    assert row["best_5pct"] == pytest.approx(profit[-3:].mean())
    assert row["worst_5pct"] <= row["expected_payout"] - 12.0 <= row["best_5pct"]


def test_sets_drawn_by_chance_play_a_share_of_the_races_each(case):
    *_, points, fields, _ = case
    rng = np.random.default_rng(6)
    sets = np.stack([draw_lineups(rng, 3) for _ in range(8)])
    scores = score_portfolios({"random": sets, "one": sets[0]}, points, fields, contest_of())
    alone = [score_portfolios({"x": x}, points, fields, contest_of()).payout["x"] for x in sets]
    part = np.concatenate([np.repeat([r, r + 4], [8, 7]) for r in range(4)])
    np.testing.assert_allclose(scores.payout["random"], np.array(alone)[part, np.arange(60)])
    assert scores.fees == {"random": 9.0, "one": 9.0}


def test_the_spread_between_sets_is_that_of_their_expected_payouts():
    rng = np.random.default_rng(7)
    points = np.rint(rng.normal(25, 9, (8_000, DRIVERS)))
    points[:, :6] += 4
    fields = np.array([draw_lineups(rng, 43) for _ in range(4)])
    sets = np.stack([draw_lineups(rng, 2) for _ in range(20)])
    scores = score_portfolios({"random": sets}, points, fields, contest_of())
    truth = [score_portfolios({"x": x}, points, fields, contest_of()).table()["expected_payout"][0] for x in sets]
    row = scores.table().iloc[0]
    assert row["spread"] == pytest.approx(np.std(truth, ddof=1), rel=0.35)
    assert abs(row["expected_payout"] - np.mean(truth)) < 3 * row["expected_payout_se"]


def test_a_discounted_promise_is_that_of_plain_lineups_and_a_share_of_the_rest(case):
    first, second, points, fields, weight = case
    scores = score_portfolios({"plain": first, "mine": second}, points, fields, contest_of(), weight=weight)
    raw, none = scores.table().set_index("portfolio"), scores.discounted("mine", "plain", 0.0).table()
    half = scores.discounted("mine", "plain", 0.5).table().set_index("portfolio")
    for rate in ("expected_payout", "cash", "top_1pct"):
        assert none[rate].tolist() == pytest.approx([raw.loc["plain", rate]] * 2)
        assert half.loc["mine", rate] == pytest.approx(raw[rate].mean())
    assert scores.discounted("mine", "other", 0.0) is scores
    assert scores.discounted("mine", "plain", 1.0).cards("mine") == scores.cards("mine")


def test_a_recipe_that_was_asked_for_is_played_and_its_gain_is_told(case):
    first, second, points, fields, weight = case
    scores = score_portfolios({"plain": first, "mine": second}, points, fields, contest_of(), weight=weight)
    verdict = referee(scores, {"mine": 0.0}, asked="mine")
    assert verdict.name == "mine" and "as you asked" in verdict.sentence and "0% came true" in verdict.sentence
    with pytest.raises(UserError, match="no portfolio theirs"):
        referee(scores, asked="theirs")


def test_the_cards_and_the_summary_give_the_calibrated_return_and_its_band(case):
    first, second, points, fields, weight = case
    scores = score_portfolios({"a": first, "b": second}, points, fields, contest_of(), weight=weight)
    row = scores.calibrated().set_index("portfolio").loc["b"]
    said = " ".join(value + text for value, text in scores.cards("b"))
    for value in (row["return"], row["low_80"], row["high_80"]):
        assert f"{value:+.0%}" in said
    assert f"{row['p_profit']:.0%}" in said
    told = scores.summary("b")
    assert told[["calibrated_roi", "low", "high"]].tolist() == row[["return", "low_80", "high_80"]].tolist()
    assert told["expected_payout"] == pytest.approx(scores.weight @ scores.payout["b"])


def test_entries_are_measured_one_by_one_with_the_scenarios_weights(case):
    first, _, points, fields, weight = case
    limited = contest_of(max_entries_per_user=3)
    table = score_portfolios({"a": first}, points, fields[:1], limited, weight=weight).entries["a"]
    played = simulate_contest(first[:3], fields[0][:41], points, contest_of())
    np.testing.assert_allclose(table["expected_payout"], weight @ played.payout)
    np.testing.assert_allclose(table["roi"] * 3.0 + 3.0, table["expected_payout"])
    np.testing.assert_allclose(table["win"], weight @ (played.rank == 1))
    np.testing.assert_allclose(table["cash"], weight @ (played.payout > 0))
    away = played.payout - weight @ played.payout
    error = np.sqrt(weight**2 @ away**2 / (1 - weight @ weight))
    np.testing.assert_allclose(table["expected_payout_se"], error)
