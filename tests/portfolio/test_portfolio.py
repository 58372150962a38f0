"""Allocation, and whole portfolios on a small slate: limits, quotas, seeds, order of drivers, audit, files."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_portfolio import (
    OWNERSHIP,
    REGIMES,
    SCENARIOS,
    SLATE,
    build,
    contest_of,
    ownership_of,
    scenarios_of,
    slate_of,
)

from dfslab.contest import simulate_contest
from dfslab.optimize import LeverageAwareOptimizer
from dfslab.portfolio import allocate_lineups_by_regime
from dfslab.portfolio._candidates import lean
from dfslab.portfolio._greedy import Limits
from dfslab.portfolio._portfolio import audit
from dfslab.slate import Slate


def test_surprises_follow_their_drivers_and_fields():
    draws = np.tile(OWNERSHIP.to_numpy(), (2, 1))
    gained = 8 * np.random.default_rng(2).normal(size=draws.shape)
    told = build(ownership_draws=draws, surprises=gained)
    order = np.random.default_rng(3).permutation(len(SLATE))
    turned = replace(SLATE, drivers=SLATE.drivers.iloc[order].reset_index(drop=True))
    again = build(slate=turned, ownership_draws=draws[:, order], surprises=gained[:, order])
    np.testing.assert_array_equal(np.sort(order[again.lineups], axis=1), told.lineups)
    plain = build(ownership_draws=draws)
    assert (told.lineups != plain.lineups).any()
    np.testing.assert_array_equal(build(ownership_draws=draws, surprises=0 * gained).lineups, plain.lineups)


AWKWARD = (
    {"a": 1.0},
    {"a": 0.0, "b": 1.0},
    {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3},
    {"a": 0.1, "b": 0.2, "c": 0.7},
    {"a": 0.29, "b": 0.29, "c": 0.29, "d": 0.13},
    {"a": 1e-9, "b": 1 - 1e-9},
    {"a": 0.52, "b": 0.29, "c": 0.19 + 5e-7},
    {chr(97 + i): 1 / 7 for i in range(7)},
)


@pytest.mark.parametrize("weights", AWKWARD)
def test_allocation_sums_to_every_n_and_gives_whole_shares(weights):
    heaviest = max(weights, key=weights.get)
    for n in range(201):
        counts = allocate_lineups_by_regime(n, weights)
        assert list(counts) == list(weights)
        assert sum(counts.values()) == n
        assert all(isinstance(count, int) and count >= 0 for count in counts.values())
        for name in weights:
            if name != heaviest:
                assert counts[name] == int(n * weights[name] + 1e-9)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 500), st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda w: sum(w) > 1e-6))
def test_allocation_of_any_weights(n, weights):
    total = sum(weights)
    counts = allocate_lineups_by_regime(n, {i: w / total for i, w in enumerate(weights)})
    assert sum(counts.values()) == n
    assert min(counts.values()) >= 0


def test_of_equally_heavy_regimes_the_first_takes_the_rest():
    assert allocate_lineups_by_regime(20, {"dominator": 0.52, "chaos": 0.29, "balanced": 0.19}) == {
        "dominator": 12,
        "chaos": 5,
        "balanced": 3,
    }
    assert allocate_lineups_by_regime(5, {"a": 0.5, "b": 0.5}) == {"a": 3, "b": 2}


def test_weights_may_be_a_series():
    assert allocate_lineups_by_regime(10, pd.Series({"a": 0.4, "b": 0.6})) == {"a": 4, "b": 6}


@pytest.mark.parametrize("n", [-1, 1.5, None, "ten"])
def test_a_number_of_lineups_that_is_none_is_refused(n):
    with pytest.raises(ValueError, match=f"n_lineups: {n} given; a whole number"):
        allocate_lineups_by_regime(n, {"a": 1.0})


@pytest.mark.parametrize(
    "weights", [{}, {"a": "half"}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": float("nan"), "b": 1.0}, {"a": 1 + 1e-5}]
)
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValueError, match="regime_weights"):
        allocate_lineups_by_regime(3, weights)


@pytest.mark.parametrize("n", [-1, 2.5])
def test_numbers_of_lineups_that_are_none_are_refused(n):
    with pytest.raises(ValueError, match="n_lineups"):
        allocate_lineups_by_regime(n, {"a": 1.0})
    with pytest.raises(ValueError, match="n_lineups"):
        build(n)


def test_a_portfolio_is_legal_spread_and_audited():
    made = build(12, max_exposure=0.5, max_overlap=4, regime_quotas=True)
    share = np.bincount(SCENARIOS.regime, SCENARIOS.weight, 4)
    quota = allocate_lineups_by_regime(12, dict(zip(REGIMES, share / share.sum(), strict=True)))
    assert made.audit["holds"].all()
    assert made.metrics["regime"].value_counts().to_dict() == {k: v for k, v in quota.items() if v}
    held = (made.lineups[:, :, None] == np.arange(len(SLATE))).any(axis=1)
    assert held.sum(axis=0).max() <= 6
    assert (held.astype(int) @ held.T)[~np.eye(12, dtype=bool)].max() <= 4
    assert not SLATE.out[made.lineups].any()
    assert (SLATE.salary[made.lineups].sum(axis=1) <= 50_000).all()
    assert 0 < made.greedy_to_bound <= 1


def test_the_same_seed_gives_the_same_portfolio_and_another_seed_another():
    a, b, other = build(), build(), build(seed=2)
    np.testing.assert_array_equal(a.lineups, b.lineups)
    pd.testing.assert_frame_equal(a.metrics, b.metrics)
    assert not np.array_equal(a.lineups, other.lineups)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_drivers_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(SLATE)), rng.permutation(len(SLATE))
    moved = Slate.from_frame(SLATE.drivers.iloc[rows])
    wide = ("start", "finish", "laps_led", "fastest_laps", "points", "dropped_out", "crashed")
    elsewhere = {name: getattr(SCENARIOS, name)[:, columns] for name in wide}
    races = replace(SCENARIOS, drivers=SCENARIOS.drivers[columns], **elsewhere)
    draws = np.random.default_rng(5).dirichlet(np.where(SLATE.out, 1e-9, 40.0), 2) * 6
    here = build(ownership_draws=draws)
    there = build(slate=moved, scenarios=races, ownership=OWNERSHIP.sample(frac=1, random_state=seed),
                  ownership_draws=draws[:, rows])  # fmt: skip
    np.testing.assert_array_equal(np.sort(SLATE.names[here.lineups]), np.sort(moved.names[there.lineups]))
    pd.testing.assert_frame_equal(here.metrics, there.metrics)


def test_what_was_chosen_is_what_the_contest_pays():
    """With one field and all scenarios the sum of the gains is the portfolio's expected payout in that contest."""
    from dfslab.field import sample_fields

    made = build(8, n_fields=1)
    order = np.argsort(SLATE.names.astype(str))
    by_name = Slate.from_frame(SLATE.drivers.iloc[order])
    streams = np.random.default_rng(1).spawn(2)
    own = OWNERSHIP[by_name.names].to_numpy()[None]
    field = sample_fields(by_name, own, 142, contest=contest_of(), rng=streams[1])[0]
    played = simulate_contest(made.lineups, order[field], SCENARIOS.points, contest_of())
    assert made.metrics["gain"].sum() == pytest.approx(SCENARIOS.weight @ played.payout.sum(axis=1), abs=1e-8)


@pytest.mark.parametrize("n", [0, 1])
def test_no_lineup_and_one(n):
    made = build(n, max_exposure=0.6)
    assert made.lineups.shape == (n, 6)
    assert len(made.metrics) == n
    assert made.audit["holds"].all()
    assert list(made.metrics)[:3] == ["regime", "gain", "expected_payout"]


def test_one_lineup_is_the_best_standing_alone_of_its_regime():
    made = build(1)
    assert made.metrics["gain"][0] == pytest.approx(made.metrics["expected_payout"][0])
    assert made.greedy_to_bound == pytest.approx(1)


def test_a_limit_on_entries_leaves_more_room_to_the_field():
    made = build(12, contest=contest_of(20, max_entries_per_user=3))
    assert len(made.lineups) == 12
    assert made.audit["holds"].all()


@pytest.mark.parametrize("entries", [12, 13])
def test_a_contest_of_ourselves_alone_or_nearly(entries):
    made = build(12, contest=contest_of(entries))
    pool = contest_of(entries).pool
    assert made.metrics["gain"].sum() <= pool + 1e-9
    assert (made.metrics["gain"].sum() == pytest.approx(pool)) == (entries == 12)


def test_more_lineups_than_the_contest_holds_are_refused():
    with pytest.raises(ValueError, match="12 lineups cannot enter a contest of 11 entries"):
        build(12, contest=contest_of(11))


def test_given_regime_weights_decide_the_allocation():
    weights = {"chaos": 0.75, "dominator": 0.25}
    made = build(12, regime_quotas=True, regime_weights=weights)
    assert made.metrics["regime"].value_counts().to_dict() == {"chaos": 9, "dominator": 3}


def test_a_regime_without_a_scenario_passes_its_lineups_on_and_says_so():
    calm = SCENARIOS.take(SCENARIOS.regime != 2)
    weights = {"dominator": 0.5, "chaos": 0.25, "fuel_mileage": 0.25}
    made = build(12, regime_quotas=True, scenarios=calm, regime_weights=weights)
    assert made.metrics["regime"].value_counts().to_dict() == {"dominator": 8, "chaos": 4}
    assert "No simulated race is fuel_mileage" in made.notes[0]
    with pytest.raises(ValueError, match="no scenario is fuel_mileage"):
        build(12, scenarios=calm, regime_weights={"fuel_mileage": 1.0})


def test_a_regime_seen_only_after_the_first_scenarios_still_gets_its_lineups():
    late = SCENARIOS.take(np.argsort(SCENARIOS.regime == 2, kind="stable"))
    made = build(
        12, regime_quotas=True, scenarios=late, n_choose=150, regime_weights={"dominator": 0.5, "fuel_mileage": 0.5}
    )
    assert made.metrics["regime"].value_counts().to_dict() == {"dominator": 6, "fuel_mileage": 6}


def test_unknown_regimes_are_refused():
    with pytest.raises(ValueError, match="'rain' is unknown; the regimes are dominator"):
        build(regime_weights={"rain": 0.5, "chaos": 0.5})


def test_a_slate_of_ten_drivers_gives_every_lineup_there_is():
    slate = slate_of(10, out=())
    made = build(100, slate=slate, scenarios=scenarios_of(slate, 200), ownership=ownership_of(slate))
    assert len(np.unique(made.lineups, axis=0)) == 100
    assert made.audit["holds"].all()


@pytest.mark.parametrize(("max_exposure", "max_overlap"), [(0.35, 5), (0.5, 3), (0.4, 4)])
def test_limits_that_stop_the_candidates_are_met_by_search(max_exposure, max_overlap):
    """Sixty candidates are too few for these limits; the optimizer leads on from where the choice is stuck."""
    made = build(20, max_exposure=max_exposure, max_overlap=max_overlap, n_candidates=60)
    assert len(made.lineups) == 20
    assert made.audit["holds"].all()


def test_more_lineups_than_there_are_say_how_many_were_found():
    slate = slate_of(9, out=())
    with pytest.raises(
        ValueError, match=r"\d of 100 lineups exist under these rules; ask for \d+, for no single change"
    ):
        build(100, slate=slate, scenarios=scenarios_of(slate, 50), ownership=ownership_of(slate))


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ({"max_exposure": 0.0}, "max_exposure"),
        ({"max_exposure": 1.5}, "max_exposure"),
        ({"max_overlap": 6}, "max_overlap"),
        ({"max_overlap": -1}, "max_overlap"),
        ({"n_choose": 0}, "n_choose"),
        ({"n_fields": 0}, "n_fields"),
    ],
)
def test_options_out_of_range_are_named(option, word):
    with pytest.raises(ValueError, match=word):
        build(3, **option)


def test_leverage_lowers_the_ownership_of_the_lineups():
    mild, strong = (build(12, leverage_penalty=(p,)).metrics["total_ownership"].mean() for p in (0.0, 150.0))
    assert strong < mild


def test_drivers_in_every_lineup_that_enters_are_named_unless_asked_for():
    plain = {"leverage_share": 0.0, "contest": contest_of(max_entries_per_user=4)}
    takes = "The contest takes 4 of these lineups: the first 4 enter."
    mine = build(6, **plain)
    every = sorted(set.intersection(*(set(SLATE.names[row]) for row in mine.lineups[:4])))
    everywhere = f"In all 4 lineups that enter: {', '.join(every)}; max_exposure spreads the risk."
    assert every and mine.notes == (takes, everywhere)
    own = mine.entered.exposures().set_index("driver")["exposure"]
    assert (own[every] == 1).all() and own.to_dict() == SLATE.exposure(mine.lineups[:4]).to_dict()
    for wish in ({"locks": every}, {"min_exposure": dict.fromkeys(every, 1.0)}, {"max_exposure": 0.7}):
        assert build(6, **plain, **wish).notes == (takes,), wish


def test_inputs_are_left_as_they_were():
    slate, races, own = SLATE.drivers.copy(), SCENARIOS.points.copy(), OWNERSHIP.copy()
    build(5)
    pd.testing.assert_frame_equal(SLATE.drivers, slate)
    np.testing.assert_array_equal(SCENARIOS.points, races)
    pd.testing.assert_series_equal(OWNERSHIP, own)


def test_a_contest_for_one_entry_takes_the_first_lineup():
    mine = build(3, leverage_share=0.0, contest=contest_of(max_entries_per_user=1))
    assert mine.notes == ("The contest takes 1 of these lineups: the first enters.",)


def test_the_audit_of_exposure_looks_past_those_without_a_limit():
    mine = build(6, locks=[SLATE.names[0]], max_exposure=0.5)
    rows = mine.audit.set_index("rule").loc["lineups that hold one driver, at most"]
    assert rows["limit"] == 3 and rows["found"] == 3 and rows["holds"]
    free = build(6).audit.set_index("rule").loc["lineups that hold one driver, at most"]
    assert free["limit"] == 6 and free["found"] == build(6).exposures()["exposure"].max() * 6


def test_the_audit_finds_each_broken_rule():
    made = build(6, max_overlap=4, max_exposure=0.67)
    good = made.lineups
    cheap, dear = np.argsort(SLATE.salary)[:6], np.argsort(-SLATE.salary)[:6]

    def failed(lineups, max_exposure=1.0, max_overlap=5, quota=None, regimes=()):
        limits = Limits(max_exposure, max_overlap, quota)
        table = audit(LeverageAwareOptimizer(SLATE, OWNERSHIP), lineups, 6, limits=limits, regimes=regimes)
        return table.loc[~table["holds"], "rule"].tolist()

    assert not failed(good, 0.67, 4)
    assert failed(good[:5]) == ["lineups as many as asked"]
    assert "all lineups different" in failed(np.vstack([good[:5], good[:1]]))
    assert "dearest lineup, dollars" in failed(np.vstack([good[:5], np.sort(dear)]))
    legal = "legal lineups (roster, cap, groups, nobody who is out)"
    assert failed(np.vstack([good[:5], np.sort([3, *cheap[cheap != 3][:5]])])) == [legal]
    assert legal in failed(np.vstack([good[:5], cheap[[0, 0, 1, 2, 3, 4]]]))
    assert "drivers shared by two lineups, at most" in failed(good, max_overlap=1)
    assert "lineups that hold one driver, at most" in failed(good, 0.2)
    regimes = ["dominator"] * 6
    assert not failed(good, quota={"dominator": 6, "chaos": 0}, regimes=regimes)
    off = failed(good, quota={"dominator": 6}, regimes=["chaos", *regimes[1:]])
    assert off == ["lineups off the regimes' allocation"]


@pytest.mark.parametrize("share", [(0.25, 0.25, 0.25, 0.25), (0.7, 0.2, 0.1, 0.0), (0.05, 0.0, 0.0, 0.95)])
def test_lineups_lean_on_the_regimes_in_the_shares_asked_for(share):
    pay = np.random.default_rng(2).gamma(3.0, 1.0, (2400, 4)) * [5, 2, 1, 3]
    code = lean(pay, np.array(share))
    np.testing.assert_allclose(np.bincount(code, minlength=4) / 2400, share, atol=0.01)


def test_a_lineup_leans_where_it_earns_more_than_its_like():
    """Twice the pay of the others in one regime outweighs any scale the regimes have."""
    pay = np.array([[10.0, 1.0, 4.0]]) * (1 + np.eye(3)[np.arange(30) % 3])
    np.testing.assert_array_equal(lean(pay, np.full(3, 1 / 3)), np.arange(30) % 3)
    np.testing.assert_array_equal(lean(pay * [100, 1, 7], np.full(3, 1 / 3)), np.arange(30) % 3)
