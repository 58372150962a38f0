"""Every option of a decision, checked on the lineups by plain loops, in whole portfolios of a small slate."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from small_portfolio import OWNERSHIP, REGIMES, SCENARIOS, SLATE, build, contest_of

from dfslab.contest import simulate_contest
from dfslab.optimize import InfeasibleLineup, LeverageAwareOptimizer
from dfslab.portfolio._greedy import Limits
from dfslab.portfolio._score import score_portfolios, worst_weights

NAMES = SLATE.names
DEAR = [name for name in NAMES[np.argsort(-SLATE.salary)] if not SLATE.out[SLATE.rows([name])[0]]]
OWN = OWNERSHIP.to_numpy()


def share(made, name):
    return (NAMES[made.lineups] == name).any(axis=1).mean()


def count(made, names):
    return np.isin(NAMES[made.lineups], list(names)).sum(axis=1)


RULES = {
    "locks": ({"locks": (NAMES[5],)}, lambda made: (count(made, [NAMES[5]]) == 1).all()),
    "bans": ({"bans": (NAMES[0], NAMES[1])}, lambda made: (count(made, NAMES[:2]) == 0).all()),
    "groups": (
        {
            "groups": (
                {"drivers": tuple(NAMES[6:11]), "at_least": 2, "at_most": 2},
                {"drivers": list(NAMES[12:15]), "at_most": 1},
            )
        },
        lambda made: (
            set(count(made, NAMES[6:11]).tolist()) == {2} and set(count(made, NAMES[12:15]).tolist()) <= {0, 1}
        ),
    ),
    "min_salary": ({"min_salary": 49_800}, lambda made: SLATE.salary[made.lineups].sum(axis=1).min() >= 49_800),
    "max_ownership_per_driver": ({"max_ownership_per_driver": 0.33}, lambda made: OWN[made.lineups].max() <= 0.33),
    "min_low_ownership_drivers": (
        {"min_low_ownership_drivers": 3, "low_ownership_threshold": 0.3},
        lambda made: (OWN[made.lineups] < 0.3).sum(axis=1).min() >= 3,
    ),
    "max_total_ownership": (
        {"max_total_ownership": 1.85},
        lambda made: OWN[made.lineups].sum(axis=1).max() <= 1.85 + 1e-9,
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_holds_in_every_lineup_and_is_audited(name):
    options, holds = RULES[name]
    assert not holds(build(10))  # else the rule asks for nothing
    made = build(10, **options)
    assert holds(made)
    assert made.audit["holds"].all()
    assert made.audit["rule"].str.startswith(name.split("_")[0]).any()


def test_a_driver_out_of_the_grid_of_rules_all_together():
    options = {
        "locks": (NAMES[5],),
        "bans": (NAMES[0],),
        "groups": ({"drivers": tuple(NAMES[6:11]), "at_least": 1},),
        "max_ownership_per_driver": 0.6,
        "min_low_ownership_drivers": 2,
        "low_ownership_threshold": 0.3,
        "max_total_ownership": 1.95,
        "max_exposure": {NAMES[7]: 0.3},
        "min_exposure": {NAMES[9]: 0.4},
    }
    made = build(10, **options)
    assert made.audit["holds"].all()
    assert share(made, NAMES[5]) == 1 and share(made, NAMES[0]) == 0
    assert share(made, NAMES[7]) <= 0.3 and share(made, NAMES[9]) >= 0.4
    assert (OWN[made.lineups].sum(axis=1) <= 1.95 + 1e-9).all()


def test_excluded_lineups_are_not_entered_whatever_the_order_of_the_drivers():
    made = build(8)
    again = build(8, excluded=made.lineups[:5])
    gone = {tuple(row) for row in made.lineups[:5]}
    assert not gone & {tuple(row) for row in again.lineups}
    assert again.audit["holds"].all()
    by_name = build(8, excluded=NAMES[made.lineups[:5]].tolist())
    np.testing.assert_array_equal(by_name.lineups, again.lineups)
    np.testing.assert_array_equal(build(8, excluded=[]).lineups, made.lineups)
    with pytest.raises(ValueError, match="excluded: row numbers"):
        build(3, excluded=[[0, 1, 2, 3, 4, 99]])


def test_exposure_bounds_by_driver_hold_for_those_that_enter_and_for_all():
    most, least = {NAMES[4]: 0.25, NAMES[8]: 0.0}, {NAMES[11]: 0.5, NAMES[17]: 0.3}
    contest = contest_of(150, max_entries_per_user=8)
    made = build(20, contest=contest, max_exposure=most, min_exposure=least)
    assert made.audit["holds"].all()
    for m in (8, 20):
        first = replace(made, lineups=made.lineups[:m])
        assert all(share(first, name) <= bound for name, bound in most.items())
        assert all(share(first, name) >= bound for name, bound in least.items())
    held = (made.lineups[:, :, None] == [11, 17]).any(axis=1)
    for m in range(1, 21):
        assert (held[:m].sum(axis=0) >= np.floor(np.array([0.5, 0.3]) * m)).all()


@pytest.mark.parametrize(("max_exposure", "entering"), [(0.45, 5), (0.7, 3), (0.55, 7)])
def test_one_limit_for_all_is_rounded_down_where_the_contest_cuts(max_exposure, entering):
    made = build(12, contest=contest_of(150, max_entries_per_user=entering), max_exposure=max_exposure)
    for m in (entering, 12):
        assert np.bincount(made.lineups[:m].ravel()).max() <= max(1, int(max_exposure * m))
    assert made.audit["rule"].str.startswith(f"of the {entering} that enter").sum() == 1


def test_a_lock_and_a_larger_minimum_outrank_one_limit_for_all():
    made = build(10, locks=(NAMES[5],), min_exposure={NAMES[9]: 0.8}, max_exposure=0.6)
    assert share(made, NAMES[5]) == 1 and share(made, NAMES[9]) >= 0.8
    others = np.bincount(made.lineups.ravel(), minlength=len(SLATE))[np.delete(np.arange(len(SLATE)), [5, 9])]
    assert others.max() <= 6 and made.audit["holds"].all()
    value = SCENARIOS.weight @ SCENARIOS.points
    found = LeverageAwareOptimizer(SLATE, OWNERSHIP, locks=(NAMES[5],)).optimize(value, 10, max_exposure=0.6)
    assert (found == 5).any(axis=1).all() and np.sort(np.bincount(found.ravel()))[-2] <= 6
    with pytest.raises(InfeasibleLineup, match="max_exposure is too low, 1"):
        build(10, locks=(NAMES[5],), max_exposure={NAMES[5]: 0.5})


def test_limits_count_as_a_loop_would():
    limits = Limits(0.35, 5, None, np.array([0.0, 0.3]), entering=4)
    assert [int(limits.most(n)) for n in (1, 3, 6, 20)] == [1, 1, 2, 7]
    assert limits.least(20).tolist() == [0, 6]
    assert [limits.stop(k, 10) for k in (1, 4, 5, 10)] == [4, 4, 10, 10]
    assert Limits(np.array([0.0, 1.0]), 5).most(3).tolist() == [0, 3]


WISHES = {
    "locks": {"locks": tuple(DEAR[:5])},
    "max_total_ownership": {"max_total_ownership": 0.5},
    "max_ownership_per_driver": {"max_ownership_per_driver": 0.01},
    "min_low_ownership_drivers": {"min_low_ownership_drivers": 6, "low_ownership_threshold": 0.2},
    "min_salary": {"min_salary": 50_100},
}


@pytest.mark.parametrize("name", WISHES)
def test_a_wish_that_cannot_be_is_named_with_the_change_that_would_do(name):
    with pytest.raises(InfeasibleLineup, match=name) as error:
        build(3, **WISHES[name])
    works = error.value.changes.get(name)
    if works is not None:
        assert len(build(1, **{**WISHES[name], name: works}).lineups) == 1


def test_limits_that_leave_too_few_lineups_are_named_with_the_change_that_would_do():
    options = {"bans": tuple(NAMES[10:]), "max_overlap": 3}
    with pytest.raises(InfeasibleLineup, match=r"\d of 30 lineups exist") as error:
        build(30, **options)
    assert error.value.changes
    with pytest.raises(InfeasibleLineup, match="min_exposure"):
        build(10, min_exposure=dict.fromkeys(DEAR[:4], 0.9))
    with pytest.raises(InfeasibleLineup, match=r"the 6 lineups that enter: .* of 6 lineups exist"):
        build(12, max_exposure=0.2, contest=contest_of(150, max_entries_per_user=6))


def test_without_quotas_every_lineup_added_most_to_those_before_it():
    made = build(8, regime_quotas=False, n_fields=1, n_candidates=200)
    assert (np.diff(made.metrics["gain"]) <= 1e-9).all()
    assert "lineups off the regimes' allocation" not in set(made.audit["rule"])
    bound = build(8, regime_quotas=True, n_fields=1, n_candidates=200)
    assert made.metrics["gain"].sum() >= bound.metrics["gain"].sum() - 1e-9
    np.testing.assert_array_equal(build(8).lineups, build(8, regime_quotas=False).lineups)


def test_quotas_may_be_given_by_regime():
    made = build(10, regime_quotas={"chaos": 0.7, "balanced": 0.3})
    assert made.metrics["regime"].value_counts().to_dict() == {"chaos": 7, "balanced": 3}
    with pytest.raises(ValueError, match="rain"):
        build(3, regime_quotas={"rain": 1.0})
    with pytest.raises(ValueError, match="no scenario is chaos"):
        build(3, regime_quotas={"chaos": 1.0}, regime_weights={"balanced": 1.0})


def test_a_quota_cuts_nothing_from_the_few_that_enter():
    """Of 30 lineups 4 enter: far from any quota used up, they are those chosen without quotas."""
    options = {"contest": contest_of(150, max_entries_per_user=4), "n_fields": 1, "leverage_share": 1.0}
    with_quotas, without = build(30, regime_quotas=True, **options), build(30, regime_quotas=False, **options)
    np.testing.assert_array_equal(with_quotas.lineups[:4], without.lineups[:4])
    assert with_quotas.audit["holds"].all()


@pytest.mark.parametrize("objective", ["cash", "top1"])
def test_the_objective_is_what_the_contest_counts(objective):
    """On the scenarios and the field it was chosen on, more of what was asked for than the choice by payout has."""
    from dfslab.field import sample_fields
    from dfslab.slate import Slate

    contest = contest_of(150)
    order = np.argsort(NAMES.astype(str))
    by_name = Slate.from_frame(SLATE.drivers.iloc[order])
    own = OWNERSHIP[by_name.names].to_numpy()[None]
    field, alone = (
        order[sample_fields(by_name, own, n, contest=contest, rng=np.random.default_rng(1).spawn(2)[1])[0]]
        for n in (146, 149)
    )
    line = 30 if objective == "cash" else 2

    def reached(made):
        played = simulate_contest(made.lineups, field, SCENARIOS.points, contest)
        return SCENARIOS.weight @ (played.rank <= line).sum(axis=1)

    options = {"n_fields": 1, "regime_quotas": False}
    made, by_payout = build(4, objective=objective, **options), build(4, **options)
    assert reached(made) >= reached(by_payout)
    assert made.metrics["gain"].sum() == pytest.approx(reached(made), rel=0.05)  # ties at the line count in part
    one = build(1, objective=objective, **options)
    played = simulate_contest(one.lineups, alone, SCENARIOS.points, contest)
    assert one.metrics["expected_payout"][0] == pytest.approx(SCENARIOS.weight @ played.payout[:, 0])


def test_an_unknown_objective_or_rule_is_refused():
    with pytest.raises(ValueError, match="objective 'fame' is unknown; take one of payout, cash, top1"):
        build(2, objective="fame")
    with pytest.raises(TypeError, match="max_ownership"):
        build(2, max_ownership=0.3)
    with pytest.raises(ValueError, match="robustness: -1 given"):
        build(2, robustness=-1)


def test_one_penalty_or_several():
    np.testing.assert_array_equal(build(5, leverage_penalty=60).lineups, build(5, leverage_penalty=[60.0]).lineups)


def test_the_optimizer_takes_the_rules_by_the_same_names():
    value = SCENARIOS.weight @ SCENARIOS.points
    for options, holds in RULES.values():
        opt = LeverageAwareOptimizer(SLATE, OWNERSHIP, leverage_penalty=30, **options)
        lineups = opt.optimize(value, 5)
        assert opt.allows(lineups).all()
        assert holds(pd.Series({"lineups": lineups}))


@pytest.mark.parametrize("radius", [0.01, 0.1, 0.5, 1.0])
def test_the_worst_weights_are_those_of_a_general_solver(radius):
    rng = np.random.default_rng(int(100 * radius))
    chance, value = rng.dirichlet(np.ones(4) * 3), rng.normal(100, 20, 4)
    worst = worst_weights(chance, value, radius)

    def left(q):
        return radius - q @ np.log(np.maximum(q, 1e-12) / chance)

    rules = [{"type": "eq", "fun": lambda q: q.sum() - 1}, {"type": "ineq", "fun": left}]
    slow = minimize(
        lambda q: q @ value, chance, bounds=[(1e-9, 1)] * 4, constraints=rules, method="SLSQP", options={"ftol": 1e-12}
    )
    assert worst @ value == pytest.approx(slow.fun, rel=1e-4)
    assert worst.sum() == pytest.approx(1) and left(worst) >= -1e-6


def test_worst_weights_at_the_ends():
    chance, value = np.array([0.5, 0.3, 0.2, 0.0]), np.array([3.0, 1.0, 2.0, 0.0])
    np.testing.assert_array_equal(worst_weights(chance, value, 0.0), chance)
    np.testing.assert_array_equal(worst_weights(chance, np.ones(4), 1.0), chance)
    np.testing.assert_allclose(worst_weights(chance, value, 5.0), [0, 1, 0, 0], atol=1e-6)


def test_a_regime_that_cannot_come_changes_no_weights():
    chance, value = np.array([0.5, 0.3, 0.2]), np.array([3.0, 1.0, 2.0])
    worst = worst_weights(np.append(chance, 0.0), np.append(value, 0.0), 0.1)
    np.testing.assert_allclose(worst, [*worst_weights(chance, value, 0.1), 0.0])


def test_a_robust_choice_is_better_under_its_worst_weights_and_no_better_in_the_mean():
    from dfslab.field import sample_fields

    made, plain = build(6, robustness=0.3, n_fields=1), build(6, n_fields=1)
    order = np.argsort(NAMES.astype(str))
    by_name = replace(SLATE, drivers=SLATE.drivers.iloc[order].reset_index(drop=True))
    stream = np.random.default_rng(1).spawn(2)[1]
    field = order[sample_fields(by_name, [OWN[order]], 144, contest=contest_of(), rng=stream)]
    races, sets = SCENARIOS, {"robust": made.lineups, "plain": plain.lineups}
    labels = {"regime": races.regime, "regime_names": REGIMES}
    scores = score_portfolios(sets, races.points, field, contest_of(), weight=races.weight, **labels)
    table = scores.by_regime([0.3]).pivot(index="portfolio", columns="regime", values="expected_payout")
    mean = scores.table().set_index("portfolio")["expected_payout"]
    assert table.loc["robust", "worst within 0.3 nats"] > table.loc["plain", "worst within 0.3 nats"]
    assert mean["robust"] < mean["plain"] and made.audit["holds"].all()


def test_a_share_of_none_plays_the_best_lineups_by_mean_points():
    made = build(10, leverage_share=0.0)
    value = SCENARIOS.weight @ SCENARIOS.points
    best = LeverageAwareOptimizer(SLATE, OWNERSHIP).optimize(value, 10)
    assert sorted(map(tuple, made.lineups.tolist())) == sorted(map(tuple, np.sort(best, axis=1).tolist()))
    assert made.audit["holds"].all()


@pytest.mark.parametrize("limit", [None, 4])
def test_half_of_the_entering_lineups_add_most_and_half_are_the_best_by_mean_points_beside_them(limit):
    contest = contest_of(max_entries_per_user=limit)
    entering = contest.entering(10)
    money, made = (build(10, contest=contest, leverage_share=share) for share in (1.0, 0.5))
    added = set(map(tuple, money.lineups[: entering // 2].tolist()))
    enter = list(map(tuple, made.lineups[:entering].tolist()))
    value = SCENARIOS.weight @ SCENARIOS.points
    ranked = LeverageAwareOptimizer(SLATE, OWNERSHIP).optimize(value, 10)
    plain = [row for row in map(tuple, np.sort(ranked, axis=1).tolist()) if row not in added][: entering - len(added)]
    assert set(enter) == added | set(plain)
    assert len(set(map(tuple, made.lineups.tolist()))) == 10 and made.audit["holds"].all()


def test_shares_and_limits_hold_together():
    made = build(10, leverage_share=0.5, max_exposure=0.6, max_overlap=4, min_exposure={NAMES[9]: 0.4})
    assert made.audit["holds"].all() and share(made, NAMES[9]) >= 0.4
    with pytest.raises(ValueError, match="leverage_share"):
        build(3, leverage_share=1.5)


def test_lineups_of_ones_own_are_the_only_candidates_and_the_rules_hold_among_them():
    rng = np.random.default_rng(4)
    racing = np.flatnonzero(~SLATE.out)
    drawn = np.unique(np.sort(rng.permuted(np.tile(racing, (3_000, 1)), axis=1)[:, :6], axis=1), axis=0)
    own = rng.permutation(drawn[SLATE.salary[drawn].sum(axis=1) <= 51_000])[:400]
    by_rows, by_names = (build(8, candidates=given, bans=(NAMES[0],)) for given in (own, NAMES[own]))
    np.testing.assert_array_equal(by_rows.lineups, by_names.lineups)
    assert {*map(tuple, by_rows.lineups)} <= {*map(tuple, own)} and by_rows.audit["holds"].all()
    legal = own[(SLATE.salary[own].sum(axis=1) <= 50_000) & (own != 0).all(axis=1)]
    one = build(1, candidates=own, n_fields=1)
    alone = [build(1, candidates=[row], n_fields=1).metrics["expected_payout"][0] for row in legal[:40]]
    assert one.metrics["expected_payout"][0] >= max(alone) - 1e-9
    with pytest.raises(ValueError, match="candidates: none of the 400 lineups obeys every rule"):
        build(8, candidates=own, bans=tuple(NAMES[racing[:-6]]), locks=(NAMES[racing[-1]],), min_salary=40_000)
