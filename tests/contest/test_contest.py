"""Contest arithmetic against a plain slow simulator, a closed form, and conservation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from dfslab.contest import ContestError, FieldScores, OurEntries, mean_and_error, simulate_contest, split_tied_prizes
from dfslab.contest._kernels import count_lineups
from dfslab.rules import DRAFTKINGS_MMA, DRAFTKINGS_NASCAR
from dfslab.slate import Contest

TOP_HEAVY = ((1, 1, 50.0), (2, 2, 20.01), (3, 5, 10.33), (6, 18, 3.01))


def contest_of(entries, prizes=TOP_HEAVY, fee=3.0, **more):
    table = [{"min_rank": a, "max_rank": min(b, entries), "prize": p} for a, b, p in prizes if a <= entries]
    return Contest(fee, entries, table, **more)


def draw_lineups(rng, n, n_drivers=14, k=6):
    return rng.permuted(np.tile(np.arange(n_drivers), (n, 1)), axis=1)[:, :k]


def slow_simulator(lineups, field, points, contest, tick=0.05):
    """Sort nothing, share nothing: rank every entry of ours by comparing it with every other one."""
    everybody = [tuple(row) for row in np.vstack([lineups, np.reshape(field, (-1, lineups.shape[1]))])]
    prizes = [*(contest.prizes / 100), *[0.0] * len(everybody)]
    out = np.zeros((len(points), len(lineups)))
    for s, x in enumerate(points):
        score = [round(sum(x[d] for d in entry) / tick) for entry in everybody]
        for i in range(len(lineups)):
            above = sum(other > score[i] for other in score)
            equal = sum(other == score[i] for other in score)
            out[s, i] = sum(prizes[above : above + equal]) / equal
    return out


@pytest.fixture
def case():
    rng = np.random.default_rng(3)
    field, lineups = draw_lineups(rng, 60), draw_lineups(rng, 9)
    lineups[4] = lineups[3][::-1]
    lineups[7] = field[0]
    points = np.rint(rng.normal(20, 6, (43, 14)))
    return lineups, field, points, contest_of(69)


@pytest.mark.parametrize("n_own", [1, 9, 1000])
@pytest.mark.parametrize("spread", [0.0, 2.0, 30.0])
def test_payouts_equal_the_slow_simulator(n_own, spread):
    rng = np.random.default_rng(n_own)
    lineups, field = draw_lineups(rng, n_own), draw_lineups(rng, 40)
    points = np.rint(rng.normal(20, spread, (3, 14)) * 20) / 20
    contest = contest_of(n_own + 40)
    played = simulate_contest(lineups, field, points, contest)
    np.testing.assert_allclose(played.payout, slow_simulator(lineups, field, points, contest), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(0, 25), st.integers(2, 7), st.integers(1, 20))
def test_payouts_equal_the_slow_simulator_in_any_shape(seed, n_own, n_field, k, n_scenarios):
    rng = np.random.default_rng(seed)
    lineups, field = draw_lineups(rng, n_own, 9, k), draw_lineups(rng, n_field, 9, k)
    points = rng.integers(-4, 5, (n_scenarios, 9)) * 0.25
    contest = contest_of(n_own + n_field + int(rng.integers(0, 5)))
    played = simulate_contest(lineups, field, points, contest)
    np.testing.assert_allclose(played.payout, slow_simulator(lineups, field, points, contest), atol=1e-9)


def test_the_pool_is_paid_to_the_cent_in_every_scenario(case):
    lineups, field, points, contest = case
    everybody = np.vstack([lineups, field, field[:7], field[:7]])[: contest.entries]
    everybody = np.vstack([everybody, field])[: contest.entries]
    paid = simulate_contest(everybody, np.zeros((0, 6), int), points, contest).payout.sum(axis=1)
    np.testing.assert_allclose(paid, contest.pool, atol=1e-6)


def test_everybody_tied_shares_the_whole_pool(case):
    lineups, field, _, contest = case
    played = simulate_contest(lineups, field, np.ones((2, 14)), contest)
    np.testing.assert_allclose(played.payout, contest.pool / contest.entries)
    assert (played.rank == 1).all()


def closed_form(better, equal, n, contest):
    """∫₀¹ g(a + b u) du: a tie of m others is broken evenly, so u is our place in it."""
    table = contest.payouts
    drop = np.append(table["prize"].to_numpy()[:-1] - table["prize"].to_numpy()[1:], table["prize"].iloc[-1])

    def g(q):
        return float(np.sum(drop * stats.binom.cdf(table["max_rank"] - 1, n, q)))

    return integrate.quad(lambda u: g(better + equal * u), 0, 1)[0]


@pytest.mark.parametrize("place", [0, 2, 4, 7])
def test_expected_payout_equals_the_closed_form_against_independent_opponents(place):
    """Fields of independent draws from a small law: the mean over fields is the integral."""
    rng = np.random.default_rng(11)
    law = draw_lineups(rng, 12)
    chance = rng.dirichlet(np.ones(12) * 2)
    points = rng.integers(0, 3, 14).astype(float)
    worth = points[law].sum(axis=1)
    contest, ours = contest_of(40), law[np.argsort(-worth)[place]]
    better = chance[worth > points[ours].sum()].sum()
    equal = chance[worth == points[ours].sum()].sum()
    drawn = [
        simulate_contest([ours], law[rng.choice(12, 39, p=chance)], points[None], contest).payout[0, 0]
        for _ in range(2000)
    ]
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - closed_form(better, equal, 39, contest)) < 3.5 * error


def test_a_random_entry_of_the_field_earns_minus_the_rake():
    rng = np.random.default_rng(5)
    contest = contest_of(200, fee=1.0)
    field = draw_lineups(rng, 200)
    mine = rng.integers(0, 200, 300)
    points = rng.normal(30, 10, (300, 14)).round()
    roi = [
        simulate_contest(field[[i]], np.delete(field, i, axis=0), points[[s]], contest).payout[0, 0] - 1.0
        for s, i in enumerate(mine)
    ]
    assert abs(np.mean(roi) + contest.rake) < 2 * np.std(roi) / np.sqrt(len(roi))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=12), st.integers(0, 15), st.integers(1, 15))
def test_tied_entries_share_the_prizes_of_the_ranks_they_cover(prizes, above, tied):
    paid = [*sorted(prizes, reverse=True), *[0] * 40]
    total = np.concatenate([[0.0], np.cumsum(sorted(prizes, reverse=True))])
    assert split_tied_prizes(total, above, tied) == pytest.approx(np.mean(paid[above : above + tied]))


@pytest.mark.parametrize("entries", [70, 300])
def test_what_candidates_gain_is_what_each_is_paid_alone(case, entries):
    lineups, field, points, _ = case
    contest, weight = contest_of(entries), np.random.default_rng(1).dirichlet(np.ones(len(points)))
    alone = np.column_stack([slow_simulator(row[None], field, points, contest)[:, 0] for row in lineups])
    candidates = OurEntries(FieldScores.from_field(field, points, contest), lineups, weight)
    np.testing.assert_allclose(candidates.gains(), weight @ alone, atol=1e-9)
    np.testing.assert_allclose(candidates.gains([4, 2]), weight @ alone[:, [4, 2]], atol=1e-9)


def test_numpy_twin_counts_the_field_alike(case):
    _, field, points, contest = case
    scores = FieldScores.from_field(field, points, contest)
    ticks = DRAFTKINGS_NASCAR.to_ticks(points)[:, field].sum(axis=2)
    for s in range(len(points)):
        kept = scores.at_least[scores.offset[s] : scores.offset[s + 1]]
        at = scores.low[s] + np.arange(len(kept))
        np.testing.assert_array_equal(kept, (ticks[s][:, None] >= at).sum(axis=0))
        assert kept[0] >= np.count_nonzero(contest.prizes)


@pytest.mark.parametrize("n_drivers", [14, 300, 10_000])
def test_distinct_lineups_keep_their_copies(n_drivers):
    rows = np.sort(draw_lineups(np.random.default_rng(0), 500, 9), axis=1)
    counted = count_lineups(rows, n_drivers)
    again = np.hstack([counted.heads[counted.head], counted.tails[counted.tail]])
    expected, copies = np.unique(rows, axis=0, return_counts=True)
    order = np.lexsort(again.T[::-1])
    np.testing.assert_array_equal(again[order], expected)
    np.testing.assert_array_equal(counted.copies[order], copies)


def test_drivers_lineups_and_field_may_come_in_any_order(case):
    lineups, field, points, contest = case
    rng = np.random.default_rng(2)
    renamed = rng.permutation(14)
    shuffled = np.empty_like(points)
    shuffled[:, renamed] = points
    order = rng.permutation(len(lineups))
    again = simulate_contest(
        rng.permuted(renamed[lineups], axis=1)[order], renamed[rng.permutation(field)], shuffled, contest
    )
    first = simulate_contest(lineups, field, points, contest)
    np.testing.assert_array_equal(again.payout, first.payout[:, order])
    np.testing.assert_array_equal(again.rank, first.rank[:, order])


def test_the_number_of_threads_changes_nothing(monkeypatch):
    rng = np.random.default_rng(8)
    lineups, field = draw_lineups(rng, 30, 20), draw_lineups(rng, 400, 20)
    points = rng.normal(30, 10, (301, 20)).round(1)
    contest = contest_of(430)
    weight, found = rng.dirichlet(np.ones(301)), []
    for threads in (1, 3):
        monkeypatch.setattr("joblib.cpu_count", lambda threads=threads: threads)
        scores = FieldScores.from_field(field, points, contest)
        payout, gains = (
            simulate_contest(lineups, field, points, contest).payout,
            OurEntries(scores, lineups, weight).gains(),
        )
        found.append((payout, scores.at_least, gains))
    for one, three in zip(*found, strict=True):
        np.testing.assert_array_equal(one, three)


def test_ranks_that_an_overlay_does_not_reach_are_not_paid():
    prizes = [{"min_rank": 1, "max_rank": 1, "prize": 6.0}, {"min_rank": 2, "max_rank": 4, "prize": 2.0}]
    contest = Contest(1.0, 9, prizes)
    played = simulate_contest([[0], [1], [2]], np.zeros((0, 1), int), [[3.0, 2.0, 2.0]], contest)
    np.testing.assert_array_equal(played.payout, [[6.0, 2.0, 2.0]])


def test_lineups_past_the_users_limit_do_not_enter(case):
    lineups, field, points, _ = case
    limited = contest_of(69, max_entries_per_user=4)
    played = simulate_contest(lineups, field, points, limited)
    first_four = simulate_contest(lineups[:4], field, points, contest_of(69))
    np.testing.assert_array_equal(played.payout[:, :4], first_four.payout)
    assert not played.payout[:, 4:].any() and not played.rank[:, 4:].any()


def test_more_entries_than_the_contest_holds_are_refused(case):
    lineups, field, points, _ = case
    with pytest.raises(ContestError, match="69 entries; the contest holds 68: draw a field of 59"):
        simulate_contest(lineups, field, points, contest_of(68))


@pytest.mark.parametrize(
    ("lineups", "message"),
    [
        ([[0, 1, 2, 3, 4, 14]], r"row 0 .* from 0 to 13"),
        ([[0, 1, 2, 3, 4, 5], [0, 1, 3, 2, 3, 5]], "row 1 .* no driver twice"),
        ([[0, 1, 2, 3, 4]], "shape"),
        ([[0.0, 1, 2, 3, 4, 5]], "float64"),
        (np.zeros((0, 6), int), "at least one"),
    ],
)
def test_lineups_that_cannot_be_played_are_named(case, lineups, message):
    _, field, points, contest = case
    with pytest.raises(ContestError, match=message):
        simulate_contest(lineups, field, points, contest)


def test_missing_points_are_named(case):
    lineups, field, points, contest = case
    points = points.copy()
    points[5, 2] = np.nan
    with pytest.raises(ContestError, match="scenario 5, driver row 2"):
        simulate_contest(lineups, field, points, contest)


def test_points_beyond_any_score_are_refused(case):
    lineups, field, points, contest = case
    with pytest.raises(ContestError, match=r"points: 200,0\d\d is no fantasy score"):
        simulate_contest(lineups, field, points + 200_000, contest)


def test_means_that_lie_on_no_grid_are_rounded(case):
    lineups, field, points, contest = case
    means = points + np.random.default_rng(0).normal(size=points.shape)
    played = simulate_contest(lineups, field, means, contest)
    np.testing.assert_allclose(played.payout, slow_simulator(lineups, field, means.round(3), contest, 0.001))


def test_ticks_follow_the_rules_and_go_finer():
    lineups, field = np.array([[0], [1]]), np.array([[2]])
    contest = contest_of(3)
    near = [[10.0, 10.00004, 9.0]]
    assert simulate_contest(lineups, field, near, contest).rank.tolist() == [[1, 1]]
    cents = [[10.01, 10.02, 9.0]]
    for rules in (DRAFTKINGS_MMA, DRAFTKINGS_NASCAR):
        assert simulate_contest(lineups, field, cents, contest, rules=rules).rank.tolist() == [[2, 1]]


def test_standard_errors_cover_the_truth():
    """Twenty thousand scenarios are the truth; samples of 200 miss it by more than two errors one time in twenty."""
    rng = np.random.default_rng(12)
    lineups, field = draw_lineups(rng, 5), draw_lineups(rng, 60)
    points = rng.normal(20, 10, (20_000, 14)).round()
    contest = contest_of(65)
    paid, inside = simulate_contest(lineups, field, points, contest).payout.sum(axis=1), 0
    for start in range(0, 20_000, 200):
        mean, error = mean_and_error(paid[start : start + 200], np.full(200, 1 / 200))
        inside += abs(mean - paid.mean()) < 2 * error
    assert 88 <= inside <= 100
