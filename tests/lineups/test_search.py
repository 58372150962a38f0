"""The exact search against every lineup written out and one greedy choice after another."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfslab.lineups._exact import SearchTooLarge, best_lineups
from dfslab.lineups._paths import distinct
from dfslab.lineups._problem import LineupProblem, Rule
from dfslab.rules import DRAFTKINGS_GOLF, DRAFTKINGS_NASCAR, ContestRules

RULES = ContestRules(roster_size=4, salary_cap=26_000)


def slate(seed=0, n=13):
    rng = np.random.default_rng(seed)
    salary = rng.integers(45, 110, n) * 100
    return rng.normal(20, 8, n), salary, np.arange(n) // 2, rng.dirichlet(np.ones(n)) * 4


def find(value, salary, rules, n, locks=(), bans=(), min_salary=0, limits=(), **which):
    """Search with locks, bans and a least salary written as rules."""
    alone = np.eye(len(salary))
    asked = [Rule("lock", alone[row], 1, floor=True) for row in locks] + [Rule("ban", alone[row], 0) for row in bans]
    asked += [Rule("min salary", salary, min_salary, floor=True)] if min_salary else []
    return best_lineups(value, salary, rules, n, limits=(*asked, *limits), **which)


def between(name, weights, low, high):
    return Rule(name, weights, low, floor=True), Rule(name, weights, high)


def obeys(lineup, salary, rules, groups=None, locks=(), bans=(), min_salary=0, limits=()):
    lineup = list(lineup)
    return (
        min_salary <= salary[lineup].sum() <= rules.salary_cap
        and (groups is None or len(set(groups[lineup])) == len(lineup))
        and set(locks) <= set(lineup)
        and not set(bans) & set(lineup)
        and all((li.weights[lineup].sum() - li.limit) * (1 if li.floor else -1) >= -1e-9 for li in limits)
    )


def slow_best(value, salary, rules, n, max_overlap=None, max_exposure=None, **which):
    """Choose one lineup after another among all legal ones, looking at each afresh."""
    size = rules.roster_size
    legal = [c for c in combinations(range(len(value)), size) if obeys(c, salary, rules, **which)]
    legal.sort(key=lambda c: (-round(sum(value[i] for i in c), 9), c))
    own = size - 1 if max_overlap is None else min(max_overlap, size - 1)
    quota = np.floor(np.broadcast_to(1.0 if max_exposure is None else max_exposure, len(value)) * n + 1e-9)
    chosen = []
    while len(chosen) < n:
        counts = np.bincount(np.array(chosen, int).ravel(), minlength=len(value))
        for lineup in legal:
            free = all(counts[i] < quota[i] for i in lineup)
            apart = all(len(set(lineup) & set(c)) <= own for c in chosen)
            if free and apart:
                chosen.append(lineup)
                break
        else:
            break
    return np.array(chosen, int).reshape(-1, size)


def rule_sets():
    _, _, groups, own = slate()
    own_limit, low_owned = Rule("total ownership", own, 1.0), Rule("low owned", own < 0.2, 2, floor=True)
    product = between("side", np.log(own), -8.0, -6.0)
    return {
        "plain": {},
        "groups": {"groups": groups},
        "locks": {"locks": [3, 5]},
        "all locked": {"locks": [0, 2, 4, 7]},
        "locks and groups": {"locks": [3], "groups": groups},
        "bans": {"bans": [1, 6, 7]},
        "min salary": {"min_salary": 24_000},
        "min salary, lock": {"min_salary": 25_900, "locks": [2]},
        "total ownership": {"limits": (own_limit,)},
        "ownership product": {"limits": product},
        "low owned": {"limits": (low_owned,)},
        "three limits": {"limits": (own_limit, *product, low_owned), "min_salary": 23_000},
        "limits, groups, lock": {"limits": (own_limit, low_owned), "groups": groups, "locks": [4]},
        "overlap": {"max_overlap": 2},
        "overlap 1": {"max_overlap": 1},
        "overlap 0": {"max_overlap": 0},
        "exposure": {"max_exposure": 0.4},
        "exposure by driver": {"max_exposure": np.linspace(0, 1, 13)},
        "overlap, exposure": {"max_overlap": 2, "max_exposure": 0.5},
        "overlap, exposure, limits": {"max_overlap": 2, "max_exposure": 0.5, "limits": (own_limit,)},
        "exposure, lock": {"max_exposure": 0.5, "locks": [5]},
        "two locks of a group": {"locks": [2, 3], "groups": groups},
        "locked and banned": {"locks": [2], "bans": [2]},
        "too many locks": {"locks": [1, 2, 3, 4, 5]},
        "nothing is that dear": {"min_salary": 26_100},
        "contradiction": {"limits": between("own", own, 1.0, 0.9)},
    }


@pytest.mark.parametrize("name", rule_sets())
@pytest.mark.parametrize("n", [1, 25, 2_000])
def test_search_equals_one_choice_after_another(name, n):
    which = rule_sets()[name]
    value, salary, _, _ = slate()
    if n == 2_000 and ("max_overlap" in which or "max_exposure" in which):
        n = 100
    expected = slow_best(value, salary, RULES, n, **which)
    np.testing.assert_array_equal(find(value, salary, RULES, n, **which), expected)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 30),
    overlap=st.sampled_from([None, 1, 2, 3, 4]),
    exposure=st.sampled_from([None, 0.2, 0.55, 1.0]),
    limits=st.integers(0, 3),
    grouped=st.booleans(),
)
def test_search_equals_slow_search_on_random_slates(seed, n, overlap, exposure, limits, grouped):
    value, salary, groups, _ = slate(seed, 11)
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 1, (limits, 11))
    which = {
        "limits": tuple(rule for w in weights for rule in between("side", w, -2.0, 1.0)),
        "groups": groups if grouped else None,
        "max_overlap": overlap,
        "max_exposure": exposure,
        "min_salary": int(rng.choice([0, 24_000, 25_500])),
    }
    expected = slow_best(value, salary, RULES, n, **which)
    np.testing.assert_array_equal(find(value, salary, RULES, n, **which), expected)


@pytest.mark.parametrize("value", [np.zeros(13), np.repeat([5.0, 3.0], [6, 7]), np.arange(13) % 3 * 0.1])
@pytest.mark.parametrize("which", [{}, {"max_overlap": 2}, {"locks": [6]}, {"groups": np.arange(13) // 2}])
def test_ties_are_broken_by_row_order(value, which):
    _, salary, _, _ = slate()
    expected = slow_best(value, salary, RULES, 40, **which)
    np.testing.assert_array_equal(find(value, salary, RULES, 40, **which), expected)


def test_order_of_drivers_changes_only_the_row_numbers():
    value, salary, groups, own = slate()
    order = np.random.default_rng(1).permutation(13)
    which = {"max_overlap": 2, "max_exposure": 0.5}
    straight = find(value, salary, RULES, 20, groups=groups, limits=(Rule("own", own, 1.1),), **which)
    moved = find(
        value[order], salary[order], RULES, 20, groups=groups[order], limits=(Rule("own", own[order], 1.1),), **which
    )
    np.testing.assert_array_equal(np.sort(order[moved], axis=1), straight)


def test_best_of_more_begins_with_the_best_of_fewer():
    value, salary, _, _ = slate(3, 30)
    many = find(value, salary, DRAFTKINGS_NASCAR, 5_000)
    np.testing.assert_array_equal(find(value, salary, DRAFTKINGS_NASCAR, 70), many[:70])
    total = value[many].sum(axis=1)
    assert (np.diff(total) <= 1e-9).all()
    assert len(distinct(many)[0]) == 5_000


def test_best_of_a_full_slate_agrees_with_all_lineups_sorted():
    value, salary, _, _ = slate(5, 25)
    everything = find(np.zeros(25), salary, DRAFTKINGS_NASCAR, 10**7)
    order = np.argsort(-value[everything].sum(axis=1), kind="stable")[:300]
    np.testing.assert_array_equal(find(value, salary, DRAFTKINGS_NASCAR, 300), everything[order])


def golf():
    rng = np.random.default_rng(3)
    salary = rng.integers(60, 140, 156) * 100
    value = salary / 200 + rng.normal(0, 8, 156)
    worth = np.exp(value / 12)
    return value, salary, worth / worth.sum() * 6


def test_side_rules_on_a_golf_slate_agree_with_integer_programming():
    from scipy.optimize import LinearConstraint, milp

    value, salary, own = golf()
    own_limit, log = Rule("own", own, 0.35), Rule("log", np.log(own), -26.0, floor=True)
    limits = (own_limit, Rule("low", own < 0.02, 2, floor=True), log)
    rows = np.vstack([np.ones(156), salary, *(li.weights for li in limits)])
    low, high = [6, 0, -np.inf, 2, -26.0], [6, 50_000, 0.35, np.inf, np.inf]
    solved = milp(-value, constraints=LinearConstraint(rows, low, high), integrality=np.ones(156), bounds=(0, 1))
    found = find(value, salary, DRAFTKINGS_GOLF, 3, limits=limits)
    assert value[found[0]].sum() == pytest.approx(-solved.fun, abs=1e-6)


def test_priced_side_rules_change_no_answer(monkeypatch):
    value, salary, own = golf()
    which = {"limits": (Rule("own", own, 0.8), Rule("side", own < 0.05, 2, floor=True))}
    plain = find(value, salary, DRAFTKINGS_GOLF, 20, **which)
    free = "dfslab.lineups._exact._Question._prices"
    monkeypatch.setattr(free, lambda question, rows: np.zeros(len(question.weights)))
    np.testing.assert_array_equal(find(value, salary, DRAFTKINGS_GOLF, 20, **which), plain)


def test_search_gives_up_loudly(monkeypatch):
    value, salary, _ = golf()
    monkeypatch.setattr("dfslab.lineups._exact.MAX_STEPS", 1_000)
    with pytest.raises(SearchTooLarge, match="1,000 steps"):
        find(value, salary, DRAFTKINGS_GOLF, 500)


@pytest.mark.parametrize("groups", [None, np.arange(13) // 2])
def test_without_values_every_legal_lineup_is_listed(groups):
    _, salary, _, _ = slate()
    expected = [c for c in combinations(range(13), 4) if obeys(c, salary, RULES, groups)]
    found = find(np.zeros(13), salary, RULES, 10**6, groups=groups)
    np.testing.assert_array_equal(found if groups is None else np.unique(found, axis=0), expected)


def test_nobody_of_a_value_of_minus_infinity_is_in_a_lineup():
    value, salary, _, _ = slate()
    barred = np.where(np.isin(np.arange(13), [1, 6, 7]), -np.inf, value)
    np.testing.assert_array_equal(find(barred, salary, RULES, 40), slow_best(value, salary, RULES, 40, bans=[1, 6, 7]))


@pytest.mark.parametrize("groups", [None, np.arange(13) // 2])
def test_legality_agrees_with_the_rules_one_by_one(groups):
    _, salary, _, _ = slate()
    drawn = np.random.default_rng(8).integers(-1, 14, (3_000, 4))
    out = np.zeros(13, bool)
    out[[2, 9]] = True
    expected = [
        len(set(row)) == 4 and min(row) >= 0 and max(row) < 13 and obeys(row, salary, RULES, groups, bans=[2, 9])
        for row in drawn.tolist()
    ]
    problem = LineupProblem(salary, 4, 26_000, groups, (Rule("out", out, 0),))
    np.testing.assert_array_equal(problem.legal(drawn), expected)
    assert not problem.legal(drawn[:, :3]).any()


def test_copies_are_counted_whatever_the_order_of_a_row():
    lineups, copies = distinct(np.array([[3, 1, 2], [2, 0, 1], [1, 2, 3], [3, 2, 1]]))
    np.testing.assert_array_equal(lineups, [[0, 1, 2], [1, 2, 3]])
    np.testing.assert_array_equal(copies, [1, 3])


def test_values_that_are_not_numbers_are_refused():
    value, salary, _, own = slate()
    with pytest.raises(ValueError, match="driver row 4"):
        find(np.where(np.arange(13) == 4, np.nan, value), salary, RULES, 1)
    with pytest.raises(ValueError, match="one value per driver"):
        find(value[:-1], salary, RULES, 1)
    with pytest.raises(ValueError, match="rule mine: weight of driver row 0"):
        find(value, salary, RULES, 1, limits=(Rule("mine", own * np.nan, 1),))


@pytest.mark.parametrize(
    ("n", "limits", "says"),
    [
        (2.5, {}, "n: 2.5 given; a whole number"),
        (-1, {}, "n: -1 given"),
        (3, {"max_overlap": 1.5}, "max_overlap: 1.5 given"),
        (3, {"max_overlap": -1}, "max_overlap: -1 given"),
        (3, {"max_exposure": 50}, "between 0 and 1"),
        (3, {"max_exposure": np.full(13, np.nan)}, "between 0 and 1"),
    ],
)
def test_limits_that_cannot_be_are_refused(n, limits, says):
    value, salary, _, _ = slate()
    with pytest.raises(ValueError, match=says):
        find(value, salary, RULES, n, **limits)
    np.testing.assert_array_equal(find(value, salary, RULES, 3.0), find(value, salary, RULES, 3))
