"""The lineup law against every lineup written out."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from dfslab.lineups._law import InfeasibleOwnership, LineupLaw
from dfslab.lineups._paths import distinct
from dfslab.rules import DRAFTKINGS_GOLF, ContestRules

RULES = ContestRules(roster_size=3, salary_cap=2_000)
SALARY = np.array([900, 800, 700, 700, 600, 500, 500, 400])
GROUPS = np.array([0, 1, 1, 2, 0, 3, 4, 2])
THETA = np.array([1.2, -0.3, 0.8, 0.1, 0.5, -1.0, 0.4, -2.0])
TASTE = np.array([0.9, 0.5, -0.4, -2.5, -1.0])


def every_lineup(salary, rules, groups=None):
    legal = []
    for lineup in combinations(range(len(salary)), rules.roster_size):
        chosen = list(lineup)
        alone = groups is None or len(set(np.asarray(groups)[chosen].tolist())) == rules.roster_size
        if alone and sum(salary[i] for i in chosen) <= rules.salary_cap:
            legal.append(chosen)
    return np.array(legal, np.int64).reshape(-1, rules.roster_size)


def brute_force_law(theta, salary, rules, groups=None, taste=None):
    """Return every lineup, its probability, and log Z."""
    lineups = every_lineup(salary, rules, groups)
    log_weight = np.asarray(theta)[lineups].sum(axis=1)
    if taste is not None:
        left = (rules.salary_cap - np.asarray(salary)[lineups].sum(axis=1)) // 100
        log_weight = log_weight + taste[np.minimum(left, len(taste) - 1)]
    total = np.logaddexp.reduce(log_weight)
    return lineups, np.exp(log_weight - total), total


def memberships(lineups, n_drivers):
    held = np.zeros((len(lineups), n_drivers))
    np.put_along_axis(held, lineups, 1.0, axis=1)
    return held


LAWS = [(None, None), (GROUPS, None), (None, TASTE), (GROUPS, TASTE)]


@pytest.mark.parametrize(("groups", "taste"), LAWS)
def test_law_equals_the_sum_over_every_lineup(groups, taste):
    law = LineupLaw(THETA, SALARY, RULES, groups, taste)
    lineups, probability, total = brute_force_law(THETA, SALARY, RULES, groups, taste)
    held = memberships(lineups, len(SALARY))
    assert law.log_normaliser == pytest.approx(total, abs=1e-12)
    np.testing.assert_allclose(law.marginals(), probability @ held, atol=1e-12)
    np.testing.assert_allclose(law.pair_marginals(), held.T @ (probability[:, None] * held), atol=1e-12)
    np.testing.assert_allclose(np.exp(law.log_prob(lineups)), probability, atol=1e-12)


@pytest.mark.parametrize(("groups", "taste"), LAWS)
def test_unspent_distribution_is_that_of_the_lineups(groups, taste):
    law = LineupLaw(THETA, SALARY, RULES, groups, taste)
    lineups, probability, _ = brute_force_law(THETA, SALARY, RULES, groups, taste)
    dollars, share = law.unspent_distribution()
    left = RULES.salary_cap - SALARY[lineups].sum(axis=1)
    expected = [probability[left == d].sum() for d in dollars]
    np.testing.assert_allclose(share, expected, atol=1e-12)
    assert share.sum() == pytest.approx(1)


def test_illegal_lineups_have_probability_zero():
    law = LineupLaw(THETA, SALARY, RULES, GROUPS)
    illegal = [[0, 1, 3], [5, 5, 6], [1, 2, 7], [0, 4, 7], [5, 6, 8]]
    assert np.isneginf(law.log_prob(np.array(illegal))).all()
    assert law.log_prob(np.array([[7, 6, 5]])) == law.log_prob(np.array([[5, 6, 7]]))


@pytest.mark.parametrize("scale", [1.0, 30.0, 100.0])
@pytest.mark.parametrize("groups", [None, GROUPS])
def test_huge_log_worths_neither_overflow_nor_lose_the_law(scale, groups):
    theta = THETA * scale
    law = LineupLaw(theta, SALARY, RULES, groups)
    lineups, probability, total = brute_force_law(theta, SALARY, RULES, groups)
    assert law.log_normaliser == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(law.marginals(), probability @ memberships(lineups, len(SALARY)), atol=1e-9)
    drawn = law.sample(200, np.random.default_rng(0))
    assert np.isfinite(law.log_prob(drawn)).all()


def test_worths_too_far_apart_to_be_summed_are_refused():
    with pytest.raises(ValueError, match=r"no legal lineup .* or none within"):
        LineupLaw(THETA * 3_000, SALARY, RULES)


def test_odd_salaries_are_not_rounded():
    salary = np.array([901, 799, 703, 697, 611, 500, 502, 399])
    rules = ContestRules(roster_size=3, salary_cap=2_003)
    law = LineupLaw(THETA, salary, rules)
    lineups, probability, total = brute_force_law(THETA, salary, rules)
    assert law.log_normaliser == pytest.approx(total)
    np.testing.assert_allclose(law.marginals(), probability @ memberships(lineups, 8))


def test_a_constant_on_every_log_worth_changes_nothing():
    np.testing.assert_allclose(
        LineupLaw(THETA + 7, SALARY, RULES).marginals(), LineupLaw(THETA, SALARY, RULES).marginals(), atol=1e-13
    )


@pytest.mark.parametrize(("groups", "taste"), LAWS)
def test_draws_follow_the_law(groups, taste):
    law = LineupLaw(THETA, SALARY, RULES, groups, taste)
    lineups, probability, _ = brute_force_law(THETA, SALARY, RULES, groups, taste)
    drawn = law.sample(40_000, np.random.default_rng(5))
    assert (np.diff(drawn, axis=1) > 0).all()
    seen, counts = distinct(drawn)
    copies = dict(zip(map(tuple, seen.tolist()), counts.tolist(), strict=True))
    observed = np.array([copies.pop(tuple(lineup), 0) for lineup in lineups.tolist()])
    assert not copies
    likely = probability > 0
    assert observed[~likely].sum() == 0
    assert chisquare(observed[likely], 40_000 * probability[likely]).pvalue > 1e-3


def test_more_draws_extend_fewer():
    law = LineupLaw(THETA, SALARY, RULES, GROUPS)
    few, many = (law.sample(n, np.random.default_rng(9)) for n in (40, 500))
    np.testing.assert_array_equal(few, many[:40])


def test_law_without_a_legal_lineup_is_refused():
    with pytest.raises(ValueError, match="no legal lineup"):
        LineupLaw(np.zeros(3), [900, 800, 700], RULES)
    with pytest.raises(ValueError, match="log-worth"):
        LineupLaw([np.nan, 0, 0, 0, 0, 0, 0, 0], SALARY, RULES)


@pytest.mark.parametrize(("groups", "taste"), LAWS)
def test_fit_meets_ownership_and_finds_the_law_back(groups, taste):
    truth = LineupLaw(THETA, SALARY, RULES, groups, taste)
    fitted = LineupLaw.fit(truth.marginals(), SALARY, RULES, groups=groups, unspent=taste)
    np.testing.assert_allclose(fitted.marginals(), truth.marginals(), atol=1e-8)
    lineups = every_lineup(SALARY, RULES, groups)
    np.testing.assert_allclose(np.exp(fitted.log_prob(lineups)), np.exp(truth.log_prob(lineups)), atol=1e-6)


def test_fitted_law_has_the_highest_entropy():
    """Any other law with these ownerships moves along a direction that keeps them; entropy must fall both ways."""
    lineups, probability, _ = brute_force_law(THETA, SALARY, RULES)
    held = memberships(lineups, len(SALARY))
    law = LineupLaw.fit(probability @ held, SALARY, RULES)
    fitted = np.exp(law.log_prob(lineups))
    kernel = np.linalg.svd(held.T)[2][np.linalg.matrix_rank(held) :]
    assert len(kernel) > 5
    for direction in kernel:
        room = 0.5 * np.min(fitted / np.maximum(np.abs(direction), 1e-12))
        for step in (-room, room):
            other = fitted + step * direction
            assert -(other * np.log(other)).sum() < -(fitted * np.log(fitted)).sum()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 5.0), st.booleans())
def test_fit_meets_any_attainable_ownership(seed, spread, grouped):
    rng = np.random.default_rng(seed)
    salary = rng.integers(40, 110, 24) * 100
    groups = np.arange(24) // 2 if grouped else None
    target = LineupLaw(rng.normal(0, spread, 24), salary, DRAFTKINGS_GOLF, groups).marginals()
    if target.max() > 1 - 1e-6:
        return
    fitted = LineupLaw.fit(target, salary, DRAFTKINGS_GOLF, groups=groups)
    assert np.abs(fitted.marginals() - target).max() <= 1e-8


def test_fit_of_a_golf_sized_field_with_tiny_and_huge_ownership():
    rng = np.random.default_rng(4)
    salary = rng.integers(60, 140, 156) * 100
    theta = rng.normal(0, 2, 156)
    theta[:3], theta[3:20], salary[:3] = 9.0, -9.0, 6_000
    target = LineupLaw(theta, salary, DRAFTKINGS_GOLF).marginals()
    assert target.max() > 0.9
    assert target.min() < 1e-5
    fitted = LineupLaw.fit(target, salary, DRAFTKINGS_GOLF)
    assert np.abs(fitted.marginals() - target).max() <= 1e-8


FULL = np.array([4, 4, 4, 4, 3, 3, 3, 2]) / 9  # every legal lineup that spends the whole cap, equally often
EDGES = {
    "all but certain": ([0.99999, 0.4, 0.4, 0.4, 0.4, 0.40001], np.full(6, 600), None),
    "all but absent": ([1e-9, 1e-7, 0.5, 0.8, 0.8, 0.9 - 1.01e-7], np.full(6, 600), None),
    "everybody takes one of a group": (
        [0.4, 0.6, 0.3, 0.3, 0.3, 0.3, 0.4, 0.4],
        np.full(8, 600),
        np.array([0, 0, 1, 1, 2, 2, 3, 3]),
    ),
    "as many groups as places": ([0.4, 0.6, 0.3, 0.7, 0.5, 0.5], np.full(6, 600), np.array([0, 0, 1, 1, 2, 2])),
    "nobody leaves a dollar": (FULL, SALARY, None),
}


@pytest.mark.parametrize("edge", EDGES)
def test_fit_reaches_the_edge_of_what_is_possible(edge):
    target, salary, groups = EDGES[edge]
    law = LineupLaw.fit(target, salary, RULES, groups=groups)
    np.testing.assert_allclose(law.marginals(), target, atol=1e-8, rtol=0)
    lineups, probability, _ = brute_force_law(law.theta, salary, RULES, groups)
    np.testing.assert_allclose(probability @ memberships(lineups, len(salary)), target, atol=1e-8, rtol=0)


def test_nobody_rosters_a_driver_of_zero_ownership():
    target = LineupLaw(np.r_[-np.inf, THETA[1:]], SALARY, RULES).marginals()
    law = LineupLaw.fit(target, SALARY, RULES)
    assert law.theta[0] == -np.inf
    assert law.marginals()[0] == 0
    assert not (law.sample(500, np.random.default_rng(0)) == 0).any()


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_order_of_drivers_does_not_matter(groups):
    order = np.random.default_rng(2).permutation(len(SALARY))
    target = LineupLaw(THETA, SALARY, RULES, groups).marginals()
    moved = None if groups is None else groups[order]
    straight = LineupLaw.fit(target, SALARY, RULES, groups=groups)
    shuffled = LineupLaw.fit(target[order], SALARY[order], RULES, groups=moved)
    np.testing.assert_allclose(shuffled.theta, straight.theta[order], atol=1e-6)
    assert shuffled.log_normaliser == pytest.approx(straight.log_normaliser, abs=1e-6)


INFEASIBLE = {
    "sums to 2.8": (np.full(8, 0.35), None),
    r"row 4 \(\$600\) is asked 1.1000, the nearest feasible law gives 1.0": (
        np.array([0.1, 0.1, 0.1, 0.1, 1.1, 0.5, 0.5, 0.5]),
        None,
    ),
    r"\$2,270, above the cap of \$2,000": (np.array([0.9, 0.8, 0.4, 0.4, 0.2, 0.1, 0.1, 0.1]), None),
    r"\$2,000\.0005, above the cap of \$2,000": (FULL + np.array([1, 0, 0, 0, 0, 0, 0, -1]) * 9e-7, None),
    r"no mix of legal lineups .* the nearest feasible law": (
        np.array([0.5, 0.2, 0.2, 0.1, 0.8, 0.5, 0.6, 0.1]),
        GROUPS,
    ),
    r"no mix of legal lineups .* row \d \(\$\d+\) is asked 0\.\d+, the nearest": (
        np.array([0.6, 0.6, 0.0, 0.0, 0.0, 0.9, 0.5, 0.4]),
        None,
    ),
}


@pytest.mark.parametrize("message", INFEASIBLE)
def test_infeasible_ownership_is_refused_with_its_numbers(message):
    ownership, groups = INFEASIBLE[message]
    with pytest.raises(InfeasibleOwnership, match=message):
        LineupLaw.fit(ownership, SALARY, RULES, groups=groups)


def test_a_driver_who_fits_no_lineup_is_named():
    salary = np.array([1900, 500, 500, 500, 500])
    with pytest.raises(InfeasibleOwnership, match=r"row 0 \(\$1,900\) .* fits no legal lineup"):
        LineupLaw.fit([0.1, 0.7, 0.7, 0.7, 0.8], salary, RULES)
    nearest = LineupLaw.fit([0.1, 0.7, 0.7, 0.7, 0.8], salary, RULES, nearest=True)
    assert nearest.marginals()[0] == 0


def test_nearest_law_is_legal_and_close():
    asked = np.array([0.9, 0.8, 0.4, 0.4, 0.2, 0.1, 0.1, 0.1])
    law = LineupLaw.fit(asked, SALARY, RULES, nearest=True)
    reached = law.marginals()
    assert reached.sum() == pytest.approx(3)
    assert reached @ SALARY <= 2_000 * (1 + 1e-12)
    lineups = every_lineup(SALARY, RULES)
    chi_square = ((reached - asked) ** 2 / asked).sum()
    others = np.random.default_rng(0).dirichlet(np.full(len(lineups), 0.05), 20_000) @ memberships(lineups, 8)
    assert chi_square < ((others - asked) ** 2 / asked).sum(axis=1).min() + 0.02


def test_nearest_law_of_a_feasible_target_meets_it():
    target = LineupLaw(THETA, SALARY, RULES).marginals()
    np.testing.assert_allclose(LineupLaw.fit(target, SALARY, RULES, nearest=True).marginals(), target, atol=1e-8)
    rescaled = LineupLaw.fit(target * 1.07, SALARY, RULES, nearest=True)
    np.testing.assert_allclose(rescaled.marginals(), target, atol=1e-8)


@pytest.mark.parametrize("bad", [np.nan, -0.1, np.inf])
def test_ownership_must_be_fractions(bad):
    ownership = np.full(8, 3 / 8)
    ownership[2] = bad
    with pytest.raises(ValueError, match="row 2"):
        LineupLaw.fit(ownership, SALARY, RULES)
