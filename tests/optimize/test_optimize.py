"""The optimizers against brute force, the two engines against each other, and every message against its own advice."""

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pulp
import pytest

from dfslab.metrics import mean_value, upper_tail_mean
from dfslab.optimize import (
    InfeasibleLineup,
    LeverageAwareOptimizer,
    LineupShortage,
    NASCAROptimizer,
    lineup_metrics,
)
from dfslab.rules import ContestRules
from dfslab.slate import Slate

ENGINES = ("exact", "milp")
D = 11


def make_slate(seed=0, n=D, **columns):
    rng = np.random.default_rng(seed)
    frame = {
        "driver": [f"d{i:02d}" for i in rng.permutation(n)],
        "salary": rng.integers(50, 115 if n >= D else 85, n) * 100,
    }
    return Slate.from_frame(pd.DataFrame(frame | columns))


def make_ownership(seed=0, n=D):
    return np.random.default_rng(seed + 100).dirichlet(np.ones(n)) * 3 % 0.9


def make_value(seed=0, n=D):
    return np.random.default_rng(seed + 200).normal(30, 10, n)


def brute_legal(slate, own, o):
    """All lineups that obey the options `o`, checked one rule at a time in plain words."""
    lineups = np.array(list(combinations(range(len(slate)), slate.rules.roster_size)))
    name, held = slate.names[lineups], own[lineups]

    def count(names):
        return np.isin(name, list(names)).sum(axis=1)

    cost = slate.salary[lineups].sum(axis=1)
    good = (cost <= slate.rules.salary_cap) & (cost >= o.get("min_salary", 0)) & ~slate.out[lineups].any(axis=1)
    good &= (count(o.get("locks", ())) == len(o.get("locks", ()))) & (count(o.get("bans", ())) == 0)
    for g in o.get("groups", ()):
        good &= (count(g["drivers"]) >= g.get("at_least", 0)) & (count(g["drivers"]) <= g.get("at_most", 99))
    good &= held.max(axis=1) <= o.get("max_ownership_per_driver", 9)
    good &= (held < o.get("low_ownership_threshold", 0.1)).sum(axis=1) >= o.get("min_low_ownership_drivers", 0)
    good &= held.sum(axis=1) <= o.get("max_total_ownership", 99) + 1e-12
    logs = np.log(np.maximum(held, 1e-4)).sum(axis=1)
    good &= (logs >= o.get("min_log_ownership", -99)) & (logs <= o.get("max_log_ownership", 99))
    for row in o.get("excluded", ()):
        good &= np.isin(lineups, row).sum(axis=1) <= o.get("excluded_overlap", slate.rules.roster_size - 1)
    if slate.groups is not None:
        good &= np.array([len(set(g)) == len(g) for g in slate.groups[lineups]])
    return lineups[good]


def brute_optimize(slate, own, value, options, n, penalty=0.0, max_overlap=None, max_exposure=1.0):
    """Best lineups one after another from the full list; ties by driver name."""
    lineups = brute_legal(slate, own, options)
    worth = np.round((value - penalty * own**2)[lineups].sum(axis=1), 7)
    order = sorted(range(len(lineups)), key=lambda r: (-worth[r], sorted(slate.names[lineups[r]])))
    chosen, used, most = [], np.zeros(len(slate), int), np.broadcast_to(max_exposure, len(slate)) * n + 1e-9
    for lineup in lineups[order]:
        fresh = all(len(set(lineup) & set(c)) <= (5 if max_overlap is None else max_overlap) for c in chosen)
        if len(chosen) < n and fresh and (used[lineup] + 1 <= most[lineup]).all():
            chosen.append(lineup)
            used[lineup] += 1
    return np.array(chosen)


def combos(slate):
    """Options and limits for `optimize`, at least one of every kind, alone and together."""
    n, avoid = slate.names, np.array([[0, 1, 2, 3, 4, 5], [3, 4, 5, 6, 7, 8]])
    trio = {"drivers": tuple(n[:3]), "at_least": 2}
    few = {"drivers": tuple(n[4:9]), "at_most": 2}
    return [
        ({}, {}),
        ({"min_salary": 49_000}, {}),
        ({"locks": (n[3],)}, {}),
        ({"bans": (n[0], n[7])}, {}),
        ({"groups": (trio,)}, {}),
        ({"groups": (few, trio)}, {}),
        ({"max_ownership_per_driver": 0.5}, {}),
        ({"min_low_ownership_drivers": 2, "low_ownership_threshold": 0.2}, {}),
        ({"max_total_ownership": 1.4}, {}),
        ({"min_log_ownership": -14.0}, {}),
        ({"max_log_ownership": -12.0}, {}),
        ({"min_log_ownership": -17.0, "max_log_ownership": -9.0}, {}),
        ({"excluded": avoid}, {}),
        ({"excluded": avoid, "excluded_overlap": 3}, {}),
        ({}, {"max_overlap": 4}),
        ({}, {"max_exposure": 0.5}),
        ({}, {"max_overlap": 4, "max_exposure": 0.75}),
        ({"excluded": avoid, "excluded_overlap": 4}, {"max_overlap": 4}),
        ({"locks": (n[2],), "bans": (n[5],), "max_total_ownership": 1.6}, {"max_overlap": 5}),
        ({"min_salary": 48_000, "max_log_ownership": -11.0}, {"max_exposure": {n[1]: 0.25, n[2]: 0.5}}),
        ({"groups": (few,), "max_total_ownership": 1.5, "min_low_ownership_drivers": 1}, {"max_overlap": 4}),
        ({"max_ownership_per_driver": 0.6, "min_log_ownership": -16.0, "locks": (n[1],)}, {}),
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("number", range(22))
def test_both_engines_equal_brute_force(number, engine):
    slate, own, value = make_slate(number), make_ownership(number), make_value(number)
    options, limits = combos(slate)[number]
    opt = LeverageAwareOptimizer(slate, own, leverage_penalty=25, **options)
    exposure = limits.get("max_exposure", 1.0)
    shares = pd.Series(exposure).reindex(slate.names).fillna(1.0).to_numpy() if isinstance(exposure, dict) else exposure
    expected = brute_optimize(slate, own, value, options, 4, 25, limits.get("max_overlap"), shares)
    if len(expected) < 4:
        with pytest.raises(InfeasibleLineup) as error:
            opt.optimize(value, 4, engine=engine, **limits)
        np.testing.assert_array_equal(getattr(error.value, "lineups", np.empty((0, 6))).reshape(-1), expected.ravel())
        return
    np.testing.assert_array_equal(opt.optimize(value, 4, engine=engine, **limits), expected)


def test_the_combinations_are_mostly_feasible():
    full = 0
    for number in range(22):
        slate, own = make_slate(number), make_ownership(number)
        full += len(brute_legal(slate, own, combos(slate)[number][0])) >= 4
    assert full >= 18


@pytest.mark.parametrize("value", [np.ones(D), np.zeros(D), np.arange(D) // 3 * 1.5, np.full(D, 1 / 3)])
def test_ties_go_to_the_first_names_and_both_engines_give_the_same_values(value):
    slate = make_slate(3)
    found = NASCAROptimizer(slate).optimize(value, 7, engine="exact")
    np.testing.assert_array_equal(found, brute_optimize(slate, make_ownership(), value, {}, 7))
    other = NASCAROptimizer(slate).optimize(value, 7, engine="milp")
    assert len(np.unique(other, axis=0)) == 7
    np.testing.assert_allclose(value[other].sum(axis=1), value[found].sum(axis=1))


def test_differences_in_the_eighth_decimal_still_order_the_lineups():
    slate = make_slate(4, 8)
    value = 50 + 1e-8 * np.random.default_rng(1).integers(0, 40, 8)
    lineups = brute_legal(slate, np.zeros(8), {})
    worth = np.rint(value * 1e8).astype(int)[lineups].sum(axis=1)
    order = sorted(range(len(lineups)), key=lambda r: (-worth[r], sorted(slate.names[lineups[r]])))
    np.testing.assert_array_equal(NASCAROptimizer(slate).optimize(value, 5, engine="exact"), lineups[order[:5]])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_order_of_drivers_changes_nothing(engine):
    slate, own, value = make_slate(5), make_ownership(5), np.round(make_value(5), 3 if engine == "milp" else 0)
    move = np.random.default_rng(0).permutation(D)
    moved = Slate.from_frame(slate.drivers.iloc[move])
    first = LeverageAwareOptimizer(slate, own, max_total_ownership=1.8)
    second = LeverageAwareOptimizer(moved, own[move], max_total_ownership=1.8)
    a = first.optimize(value, 5, engine=engine, max_overlap=5)
    b = second.optimize(value[move], 5, engine=engine, max_overlap=5)
    assert [set(slate.names[x]) for x in a] == [set(moved.names[x]) for x in b]


def test_without_penalty_it_is_the_base_optimizer():
    slate, own, value = make_slate(6, 20), make_ownership(6, 20), make_value(6, 20)
    base = NASCAROptimizer(slate).optimize(value, 20)
    np.testing.assert_array_equal(LeverageAwareOptimizer(slate, own, leverage_penalty=0).optimize(value, 20), base)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_more_penalty_never_raises_the_penalised_ownership(power):
    for seed in range(10):
        slate, own, value = make_slate(seed, 20), make_ownership(seed, 20), make_value(seed, 20)
        taken = []
        for penalty in np.linspace(0, 150, 16):
            opt = LeverageAwareOptimizer(slate, own, leverage_penalty=penalty, ownership_power=power)
            taken.append((own**power)[opt.optimize(value)[0]].sum())
        assert all(b <= a + 1e-9 for a, b in pairwise(taken))


def test_the_objective_is_what_orders_the_lineups():
    slate, own, value = make_slate(7), make_ownership(7), make_value(7)
    opt = LeverageAwareOptimizer(slate, own, leverage_penalty=40, ownership_power=1.5)
    lineups = opt.optimize(value, 10)
    by_hand = [sum(value[i] - 40 * own[i] ** 1.5 for i in lineup) for lineup in lineups]
    np.testing.assert_allclose(opt.objective(value)[lineups].sum(axis=1), by_hand)
    assert (np.diff(opt.objective(value)[lineups].sum(axis=1)) <= 1e-9).all()


def test_slate_groups_and_drivers_who_are_out():
    out = np.arange(D) == 2
    slate = make_slate(8, group=[0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7], out=out)
    value = make_value(8) + 100 * out
    for engine in ENGINES:
        found = NASCAROptimizer(slate).optimize(value, 5, engine=engine)
        np.testing.assert_array_equal(found, brute_optimize(slate, make_ownership(), value, {}, 5))
        assert 2 not in found


def test_a_series_is_aligned_by_driver():
    slate, own, value = make_slate(9), make_ownership(9), make_value(9)
    mixed = np.random.default_rng(2).permutation(D)
    named = LeverageAwareOptimizer(slate, pd.Series(own[mixed], slate.names[mixed]), leverage_penalty=30)
    plain = LeverageAwareOptimizer(slate, own, leverage_penalty=30)
    series = pd.Series(value[mixed], slate.names[mixed])
    np.testing.assert_array_equal(named.optimize(series, 3), plain.optimize(value, 3))


def test_a_series_need_not_name_who_is_out():
    slate, own, value = make_slate(8, out=np.arange(D) == 4), make_ownership(9), make_value(9)
    there = np.arange(D) != 4
    short = LeverageAwareOptimizer(slate, pd.Series(own[there], slate.names[there]), leverage_penalty=30)
    found = short.optimize(pd.Series(value[there], slate.names[there]), 3)
    np.testing.assert_array_equal(found, brute_optimize(slate, own, value, {}, 3, 30))


def test_another_roster_size_and_cap():
    slate = replace(make_slate(1), rules=ContestRules(roster_size=4, salary_cap=30_000))
    value = make_value(1)
    for engine in ENGINES:
        found = NASCAROptimizer(slate).optimize(value, 6, engine=engine)
        np.testing.assert_array_equal(found, brute_optimize(slate, make_ownership(), value, {}, 6))


BIG = 24


def tight(name):
    """Options that leave no lineup, one for each named rule, and what the message should name."""
    slate, own = make_slate(1, BIG), make_ownership(1, BIG)
    names = slate.names
    dear, popular = names[np.argsort(-slate.salary)], names[np.argsort(-own)]
    avoid = np.array(list(combinations(np.argsort(slate.salary)[:8], 6)))
    cheap_eight = names[np.argsort(slate.salary)[8:]]
    return (
        slate,
        own,
        {
            "min_salary": {"min_salary": 50_100},
            "locks": {"locks": tuple(dear[:5])},
            "bans": {"bans": tuple(names[:19])},
            "groups[0] at_least": {"groups": ({"drivers": tuple(dear[:7]), "at_least": 6},)},
            "groups[0] at_most": {"groups": ({"drivers": tuple(names[:22]), "at_most": 3},)},
            "max_ownership_per_driver": {"max_ownership_per_driver": 0.01},
            "min_low_ownership_drivers": {"min_low_ownership_drivers": 6, "low_ownership_threshold": 0.01},
            "max_total_ownership": {"max_total_ownership": 0.02, "locks": (popular[0],)},
            "min_log_ownership": {"min_log_ownership": -2.0},
            "max_log_ownership": {"max_log_ownership": -70.0},
            "excluded_overlap": {"excluded": avoid, "excluded_overlap": 4, "bans": tuple(cheap_eight)},
        }[name],
    )


def changed(options, name, works):
    """The options after the advice `name: works` was followed."""
    key = name.split(": ")[0]
    if name.startswith("groups"):
        return {**options, "groups": ({**options["groups"][0], name.split()[1]: works},)}
    if works is None and name == key:
        return {name: option for name, option in options.items() if name != key}
    if works is None:
        return {**options, key: tuple(n for n in options[key] if n != name.split(": ")[1])}
    return {**options, key: works}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "name",
    [
        "min_salary",
        "bans",
        "groups[0] at_least",
        "groups[0] at_most",
        "max_ownership_per_driver",
        "min_low_ownership_drivers",
        "max_total_ownership",
        "min_log_ownership",
        "max_log_ownership",
        "excluded_overlap",
    ],
)
def test_each_change_an_infeasible_message_names_is_enough(name, engine):
    slate, own, options = tight(name)
    with pytest.raises(InfeasibleLineup, match="no lineup obeys every rule") as error:
        LeverageAwareOptimizer(slate, own, **options).optimize(make_value(1, BIG), engine=engine)
    assert any(key.split(": ")[0] == name for key in error.value.changes)
    for key, works in list(error.value.changes.items())[:6]:
        assert key.split(": ")[-1] in str(error.value)
        opt = LeverageAwareOptimizer(slate, own, **changed(options, key, works))
        assert len(opt.optimize(make_value(1, BIG), engine=engine)) == 1


@pytest.mark.parametrize(
    ("name", "step"), [("max_ownership_per_driver", -0.02), ("max_total_ownership", -0.02), ("min_salary", 100)]
)
def test_the_limit_that_works_is_the_nearest(name, step):
    slate, own, options = tight(name)
    with pytest.raises(InfeasibleLineup) as error:
        LeverageAwareOptimizer(slate, own, **options).optimize(make_value(1, BIG))
    nearer = changed(options, name, error.value.changes[name] + step)
    with pytest.raises(InfeasibleLineup):
        LeverageAwareOptimizer(slate, own, **nearer).optimize(make_value(1, BIG))


def test_two_conflicts_are_named_with_changes_that_work_together():
    slate, own, options = tight("locks")
    options = {**options, "max_total_ownership": 0.01}
    with pytest.raises(InfeasibleLineup, match="No single change is enough") as error:
        LeverageAwareOptimizer(slate, own, **options).optimize(make_value(1, BIG))
    for name, works in error.value.changes.items():
        options = changed(options, name, works)
    assert len(LeverageAwareOptimizer(slate, own, **options).optimize(make_value(1, BIG))) == 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("limits", [{"max_overlap": 2}, {"max_exposure": 0.2}, {"max_overlap": 4, "max_exposure": 0.3}])
def test_a_shortage_is_counted_and_its_advice_works(engine, limits):
    slate, value = make_slate(2), make_value(2)
    with pytest.raises(LineupShortage) as error:
        NASCAROptimizer(slate).optimize(value, 8, engine=engine, **limits)
    exist = brute_optimize(
        slate, make_ownership(), value, {}, 8, 0, limits.get("max_overlap"), limits.get("max_exposure", 1)
    )
    np.testing.assert_array_equal(error.value.lineups, exist.reshape(-1, 6))
    assert f"{len(exist)} of 8 lineups exist" in str(error.value)
    for name, works in error.value.changes.items():
        assert len(NASCAROptimizer(slate).optimize(value, 8, engine=engine, **{**limits, name: works})) == 8


def test_asking_for_more_lineups_than_exist():
    slate, bans = make_slate(2), tuple(make_slate(2).names[8:])
    exist = brute_legal(slate, make_ownership(), {"bans": bans})
    with pytest.raises(LineupShortage, match=f"{len(exist)} of 500") as error:
        NASCAROptimizer(slate, bans=bans).optimize(make_value(2), 500)
    assert {tuple(x) for x in error.value.lineups} == {tuple(x) for x in exist}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("max_overlap", [None, 4])
@pytest.mark.parametrize("seed", range(3))
def test_minimum_exposure_is_close_to_the_best_of_all_sets(seed, max_overlap, engine):
    rng = np.random.default_rng(seed)
    salary = rng.integers(70, 95, 9) * 100
    slate = Slate.from_frame(pd.DataFrame({"driver": [f"d{i}" for i in range(9)], "salary": salary}))
    value = np.round(rng.normal(30, 10, 9), 1)
    worst = np.argsort(value)[:2]
    lineups = brute_legal(slate, np.zeros(9), {})
    sets = np.array(list(combinations(range(len(lineups)), 3)))
    held = (lineups[:, :, None] == worst).any(axis=1)
    good = (held[sets].sum(axis=1) >= 2).all(axis=1)
    if max_overlap:
        shared = np.array([np.isin(lineups, x).sum(axis=1) for x in lineups])
        good &= np.array([shared[sets[:, a], sets[:, b]] for a, b in combinations(range(3), 2)]).max(axis=0) <= 4
    best = value[lineups].sum(axis=1)[sets[good]].sum(axis=1).max()
    wanted = {slate.names[w]: 0.6 for w in worst}
    opt = NASCAROptimizer(slate)
    found = opt.optimize(value, 3, max_overlap=max_overlap, min_exposure=wanted, engine=engine)
    assert 0.99 * best <= value[found].sum() <= best + 1e-9
    assert all((found == w).any(axis=1).sum() >= 2 for w in worst)
    assert (np.diff(value[found].sum(axis=1)) <= 1e-9).all()


def test_many_lineups_with_minimum_exposure_and_overlap():
    slate, value = make_slate(1, 30), make_value(1, 30)
    wanted = {slate.names[i]: 0.3 for i in np.argsort(value)[:3]}
    opt = NASCAROptimizer(slate)
    found = opt.optimize(value, 50, max_overlap=4, max_exposure=0.5, min_exposure=wanted)
    counts = np.bincount(found.ravel(), minlength=30)
    assert counts.max() <= 25 and counts[np.argsort(value)[:3]].min() >= 15
    assert max(len(set(a) & set(b)) for a, b in combinations(found.tolist(), 2)) == 4
    free = opt.optimize(value, 50, max_exposure=0.5, min_exposure=wanted)
    assert 0.99 * value[free].sum() < value[found].sum() <= value[free].sum()


def test_a_minimum_exposure_beyond_reach_says_what_works():
    slate = make_slate(1, BIG)
    dear = slate.names[np.argsort(-slate.salary)[:4]]
    wanted = dict.fromkeys(dear, 0.9)
    with pytest.raises(InfeasibleLineup, match="min_exposure") as error:
        NASCAROptimizer(slate).optimize(make_value(1, BIG), 10, min_exposure=wanted)
    lower = {key[14:]: works for key, works in error.value.changes.items()}
    assert len(NASCAROptimizer(slate).optimize(make_value(1, BIG), 10, min_exposure=wanted | lower)) == 10


def exact_tail(slate, points, weight, tail, terms):
    """The upper-tail optimum as one integer programme: tail weights u ≤ weight / tail, z = u · x linearised."""
    n, d = points.shape
    model = pulp.LpProblem("tail", pulp.LpMaximize)
    x = [model.add_variable(f"x{i}", cat="Binary") for i in range(d)]
    u = [model.add_variable(f"u{s}", lowBound=0, upBound=weight[s] / tail) for s in range(n)]
    z = [[model.add_variable(f"z{s}_{i}", lowBound=0) for i in range(d)] for s in range(n)]
    model += pulp.lpSum(points[s, i] * z[s][i] for s in range(n) for i in range(d)) + pulp.lpSum(
        terms[i] * x[i] for i in range(d)
    )
    model += pulp.lpSum(u) == 1
    model += pulp.lpSum(x) == slate.rules.roster_size
    model += pulp.lpSum(int(c) * v for c, v in zip(slate.salary, x, strict=True)) <= slate.rules.salary_cap
    for s in range(n):
        for i in range(d):
            most = weight[s] / tail
            model += z[s][i] <= most * x[i]
            model += z[s][i] <= u[s]
            model += z[s][i] >= u[s] - most * (1 - x[i])
    model.solve(pulp.getSolver("HiGHS", msg=False, gapRel=0.0))
    return np.flatnonzero([v.varValue > 0.5 for v in x])


@pytest.mark.parametrize("seed", range(3))
def test_the_upper_tail_equals_the_exact_programme(seed):
    rng = np.random.default_rng(seed)
    slate, own = make_slate(seed, 9), make_ownership(seed, 9)
    points = np.round(rng.gamma(1.2, 1, (10, 9)) * rng.uniform(5, 25, 9), 1)
    weight = rng.dirichlet(np.ones(10))
    opt = LeverageAwareOptimizer(slate, own, leverage_penalty=15)
    found = opt.optimize_upper_tail(points, 0.25, weight=weight)
    np.testing.assert_array_equal(found[0], exact_tail(slate, points, weight, 0.25, -15 * own**2))


def test_further_upper_tail_lineups_keep_the_limits():
    rng = np.random.default_rng(5)
    slate = make_slate(5, 20)
    points = rng.gamma(1.2, 1, (200, 20)) * rng.uniform(5, 25, 20)
    found = NASCAROptimizer(slate).optimize_upper_tail(points, 0.1, 10, max_overlap=4, max_exposure=0.6)
    assert max(len(set(a) & set(b)) for a, b in combinations(found.tolist(), 2)) <= 4
    assert np.bincount(found.ravel()).max() <= 6
    scores = upper_tail_mean(found, points, 0.1)
    assert (np.diff(scores) <= 1e-9).all()
    everything = brute_legal(slate, np.zeros(20), {})
    assert scores[0] >= np.quantile(upper_tail_mean(everything[::40], points, 0.1), 1)


def test_values_from_scenarios():
    points = np.random.default_rng(0).normal(30, 10, (400, 5))
    np.testing.assert_allclose(mean_value(points), points.mean(axis=0))
    copies = np.random.default_rng(1).integers(0, 4, 400)
    repeated = np.repeat(points, copies, axis=0)
    np.testing.assert_allclose(mean_value(points, copies), repeated.mean(axis=0))
    best = np.sort(points[:, [0, 2]].sum(axis=1))[-40:].mean()
    np.testing.assert_allclose(upper_tail_mean([[0, 2]], points, 0.1), best)
    np.testing.assert_allclose(upper_tail_mean([[0, 2]], points, 1.0), points[:, [0, 2]].sum(axis=1).mean())


def test_lineup_metrics_by_hand():
    slate = make_slate(0, 7)
    own = np.array([0.5, 0.3, 0.09, 0.05, 0.2, 0.0, 0.4])
    lineup = [[0, 1, 2, 3, 4, 5]]
    row = lineup_metrics(slate, own, lineup, value=np.arange(7.0), expected_copies=[1.5]).iloc[0]
    assert row["average_ownership"] == pytest.approx(1.14 / 6)
    assert (row["max_ownership"], row["low_owned"], row["projected_points"]) == (0.5, 3, 15.0)
    assert row["leverage_score"] == pytest.approx((1 - 1.14 / 6) * 1.3 * 100)
    assert row["log_ownership"] == pytest.approx(np.log(0.5 * 0.3 * 0.09 * 0.05 * 0.2 * 1e-4))
    assert (row["salary"], row["expected_copies"]) == (slate.salary[:6].sum(), 1.5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"locks": "d01"}, "list of names"),
        ({"locks": ("nobody",)}, "not on the slate: nobody"),
        ({"excluded_overlap": 3}, "without excluded"),
        ({"leverage_penalty": -1}, "leverage_penalty"),
        ({"leverage_penalty": np.nan}, "leverage_penalty: nan given"),
        ({"leverage_penalty": "much"}, "leverage_penalty: much given"),
        ({"ownership_power": 0}, "ownership_power: 0 given"),
        ({"max_ownership_per_driver": 45}, "max_ownership_per_driver: 45 given; .* fractions: 0.25 for 25 %"),
        ({"low_ownership_threshold": 10}, "low_ownership_threshold: 10 given; .* fractions"),
        ({"max_total_ownership": 180}, "max_total_ownership: 180 given; a number from 0 to 6"),
        ({"max_total_ownership": np.nan}, "max_total_ownership: nan given"),
        ({"min_log_ownership": np.nan}, "min_log_ownership: nan given"),
        ({"min_salary": np.nan}, "min_salary: nan given"),
        ({"min_low_ownership_drivers": 1.5}, "whole number"),
        ({"min_low_ownership_drivers": None, "min_salary": "all"}, "min_salary: all given"),
        ({"groups": ({"drivers": "d01"},)}, "list of names"),
        ({"excluded": [[0, 1, 2, 3, 4, 99]]}, "0 to 10"),
        ({"excluded": [["d00", "d01", "d02", "d03", "d04", "nobody"]]}, "not on the slate: nobody"),
        ({"groups": ({"drivers": ["d01"], "most": 1},)}, "a group has drivers, at_least and at_most"),
        ({"excluded": [0, 1, 2, 3, 4, 5]}, r"\(L, 6\) names or row numbers"),
    ],
)
def test_bad_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        LeverageAwareOptimizer(make_slate(), make_ownership(), **options)


@pytest.mark.parametrize("n", [0, 2.5, "three", None, True])
def test_a_number_of_lineups_that_is_none_is_refused(n):
    with pytest.raises(ValueError, match=f"n_lineups: {n} given; a whole number of at least 1"):
        NASCAROptimizer(make_slate()).optimize(make_value(), n)


def test_unknown_options_percents_and_gaps_are_refused():
    slate, own = make_slate(), make_ownership()
    with pytest.raises(TypeError, match="max_ownership'"):
        LeverageAwareOptimizer(slate, own, max_ownership=0.3)
    with pytest.raises(ValueError, match="look like percents"):
        LeverageAwareOptimizer(slate, own * 100)
    with pytest.raises(ValueError, match="has none"):
        LeverageAwareOptimizer(slate, np.where(np.arange(D) == 3, np.nan, own))
    opt = LeverageAwareOptimizer(slate, own)
    with pytest.raises(ValueError, match="finite number"):
        opt.optimize(np.where(np.arange(D) == 3, np.nan, make_value()))
    with pytest.raises(ValueError, match="engine 'cplex' is unknown"):
        opt.optimize(make_value(), engine="cplex")
    with pytest.raises(ValueError, match="between 0 and 1"):
        opt.optimize(make_value(), 5, max_exposure=50)
    for share in ({"nobody": 0.5}, pd.Series({"nobody": 0.5})):
        with pytest.raises(ValueError, match="not on the slate: nobody"):
            opt.optimize(make_value(), 5, max_exposure=share)
    out = make_slate(0, D, out=np.arange(D) == 1)
    with pytest.raises(ValueError, match="will not race"):
        NASCAROptimizer(out, locks=(out.names[1],))


def test_inputs_are_not_modified():
    slate, own, value = make_slate(0, 20), make_ownership(0, 20), make_value(0, 20)
    kept = own.copy(), value.copy(), slate.drivers.copy()
    avoid = np.array([[5, 4, 3, 2, 1, 0]])
    LeverageAwareOptimizer(slate, own, leverage_penalty=9, excluded=avoid).optimize(value, 5, max_exposure=0.8)
    np.testing.assert_array_equal(own, kept[0])
    np.testing.assert_array_equal(value, kept[1])
    pd.testing.assert_frame_equal(slate.drivers, kept[2])
    assert avoid[0, 0] == 5
