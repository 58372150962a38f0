"""Integer programming against the exact search where lineups tie or nearly tie, and sets with minima out of reach."""

from itertools import combinations

import numpy as np
import pytest

from dfslab.lineups._exact import scaled_value, search_exact
from dfslab.lineups._milp import choose_set, search_milp
from dfslab.lineups._problem import LineupProblem, Rule
from dfslab.lineups._search import search_set


def test_the_grid_keeps_decimals_apart_and_ties_together():
    grid = scaled_value([0.1, 0.2, 0.3, 45.05])
    assert grid[0] + grid[1] == grid[2]
    assert scaled_value([10.5, 21.0, -31.5]).tolist() == [1.0, 2.0, -3.0]
    assert scaled_value(np.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_many_lineups_within_the_tolerance_end_near_the_optimum():
    salary = np.random.default_rng(0).integers(50, 110, 14) * 100
    value = scaled_value(salary / 3)
    found = search_milp(value, LineupProblem(salary, 6, 50_000), 2)
    best = max(value[list(c)].sum() for c in combinations(range(14), 6) if salary[list(c)].sum() <= 50_000)
    np.testing.assert_allclose(value[found].sum(axis=1), best, rtol=1e-7)


def test_the_integer_programme_needs_no_search_of_all_ties():
    found = search_milp(np.ones(30), LineupProblem(np.full(30, 100), 6, 600), 3)
    assert len(np.unique(found, axis=0)) == 3


@pytest.mark.parametrize("seed", range(5))
def test_both_engines_give_the_same_values_under_rules_of_every_shape(seed):
    rng = np.random.default_rng(seed)
    salary, own, value = rng.integers(45, 110, 13) * 100, rng.dirichlet(np.ones(13)) * 4, rng.normal(20, 8, 13)
    rules = (
        Rule("locks", np.eye(13)[rng.integers(13)], 1, floor=True),
        Rule("total", own, 1.6),
        Rule("most owned", own, 0.9, each=True),
        Rule("min salary", salary, 20_000, floor=True),
    )
    problem = LineupProblem(salary, 4, 26_000, np.arange(13) // 2, rules)
    counts = np.full(13, 6)
    exact = search_exact(value, problem, 8, max_overlap=3, max_count=counts)
    milp = search_milp(value, problem, 8, max_overlap=3, max_count=counts)
    assert problem.legal(milp).all()
    np.testing.assert_allclose(value[milp].sum(axis=1), value[exact].sum(axis=1))


def test_a_set_is_the_best_of_all_sets():
    rng = np.random.default_rng(7)
    pool = np.array(list(combinations(range(7), 3)))[rng.permutation(35)[:14]]
    value, least, most = rng.normal(0, 1, 7), np.array([2, 0, 0, 1, 0, 0, 0]), np.full(7, 2)
    sets = np.array(list(combinations(range(14), 4)))
    count = np.array([np.bincount(pool[s].ravel(), minlength=7) for s in sets])
    apart = np.array([all(len(set(a) & set(b)) <= 1 for a, b in combinations(pool[s].tolist(), 2)) for s in sets])
    for overlap, fits in ((None, True), (1, apart)):
        good = (count >= least).all(axis=1) & (count <= most).all(axis=1) & fits
        chosen = choose_set(pool, value, 4, least, most, overlap)
        assert value[chosen].sum() == pytest.approx(value[pool].sum(axis=1)[sets[good]].sum(axis=1).max())
    assert choose_set(pool, value, 4, np.full(7, 3), most, None) is None


def test_minima_out_of_reach_end_with_the_nearest_set():
    salary, least = np.full(8, 100), np.zeros(8, int)
    least[:4] = 5  # of five lineups of three drivers: twenty places asked for, fifteen there
    found = search_set(np.arange(8.0), LineupProblem(salary, 3, 300), 5, least)
    assert len(found) == 5
    assert np.bincount(found.ravel(), minlength=8)[:4].sum() >= 12
