"""Fields: legal, owned as forecast, copied as preset; the duplication model against simulated copies."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dfslab.errors import UserError
from dfslab.field._sample import (
    FieldPreset,
    expected_copies,
    field_preset,
    fit_field,
    sample_field,
    sample_fields,
)
from dfslab.lineups import LineupLaw, LineupProblem, best_lineups
from dfslab.rules import ContestRules
from dfslab.slate import Contest, Slate
from scripts.real.shapes import compare_fields, copy_numbers

PRESET = FieldPreset(0.04, 0.02, 0.5, 30, 1.8, (0.6, 0.4, 0.2, 0.0))


def make_slate(n=36, seed=0, groups=None, **columns):
    rng = np.random.default_rng(seed)
    salary = np.sort(np.rint(rng.uniform(48, 110, n)).astype(int) * 100)[::-1]
    frame = pd.DataFrame({"driver": [f"driver {i}" for i in range(n)], "salary": salary, **columns})
    return Slate.from_frame(frame if groups is None else frame.assign(group=groups))


def ownership_of(slate, seed=1, spread=0.8):
    """An attainable forecast: the marginals of a law with random log-worths."""
    theta = np.random.default_rng(seed).normal(0, spread, len(slate)) + slate.salary / 4000
    theta[slate.out] = -np.inf
    return LineupLaw(theta, slate.salary, slate.rules, slate.groups).marginals()


@pytest.fixture(scope="module")
def slate():
    return make_slate()


@pytest.fixture(scope="module")
def forecast(slate):
    return ownership_of(slate)


@pytest.mark.parametrize("n", [0, 1, 25, 490, 20_000])
def test_every_lineup_is_legal(slate, forecast, n):
    field = sample_field(slate, forecast, n, rng=np.random.default_rng(n))
    assert field.shape == (n, 6)
    assert (np.diff(field, axis=1) > 0).all()
    assert LineupProblem(slate.salary, 6, 50_000).legal(field).all()


def test_drivers_who_are_out_and_second_drivers_of_a_group_are_never_rostered():
    slate = make_slate(28, groups=np.arange(28) // 2, out=np.arange(28) == 3)
    field = sample_field(slate, ownership_of(slate), 3000, rng=np.random.default_rng(0))
    assert not (field == 3).any()
    assert LineupProblem(slate.salary, 6, 50_000, np.arange(28) // 2).legal(field).all()


@pytest.mark.parametrize("projected", [False, True])
def test_the_whole_mixture_has_the_forecast_ownership(forecast, projected):
    extra = {"projected_points": np.random.default_rng(5).uniform(5, 60, 36)} if projected else {}
    slate = make_slate(**extra)
    model = fit_field(slate, forecast, 1000, rng=np.random.default_rng(0), preset=PRESET)
    assert model.shares.sum() > 0.1
    np.testing.assert_allclose(model.marginals(), forecast, atol=1e-7)


def test_a_large_field_has_the_forecast_ownership(slate, forecast):
    field = sample_field(slate, forecast, 20_000, rng=np.random.default_rng(0))
    error = np.bincount(field.ravel(), minlength=36) / 20_000 - forecast
    assert np.abs(error).mean() < 0.005 and np.abs(error).max() < 0.02


def test_copies_shrink_where_they_would_take_more_than_a_driver_has(slate, forecast):
    greedy = FieldPreset(0.3, 0.3, 0.1, 40, 1.0, (0.0,))
    model = fit_field(slate, forecast, 1000, rng=np.random.default_rng(0), preset=greedy)
    assert 0 < model.shares.sum() < greedy.shares.sum()
    np.testing.assert_allclose(model.marginals(), forecast, atol=1e-7)


def test_without_copies_the_field_is_the_law(slate, forecast):
    nothing = FieldPreset(0.0, 0.0, 1.0, 2, 1.0, (0.0,))
    law = LineupLaw.fit(forecast, slate.salary, slate.rules)
    some = law.sample(50, np.random.default_rng(0))
    copies = expected_copies(some, slate, forecast, 1000, preset=nothing)
    np.testing.assert_allclose(copies, 1000 * np.exp(law.log_prob(some)), rtol=1e-6)


def test_more_copying_leaves_fewer_different_lineups_and_a_larger_most_copied_one(slate, forecast):
    rng = np.random.default_rng
    rows = []
    for top in (0.0, 0.02, 0.05):
        preset = FieldPreset(top, top / 2, 0.5, 40, 1.8, (0.0,))
        rows.append(copy_numbers(sample_field(slate, forecast, 3000, rng=rng(0), preset=preset)))
    table = pd.DataFrame(rows)
    assert table["distinct"].is_monotonic_decreasing and table["distinct"].iloc[-1] < 0.9 * table["distinct"].iloc[0]
    assert table["most_copied"].is_monotonic_increasing and 0.045 < table["most_copied"].iloc[-1] < 0.07


SMALL_RULES = ContestRules(roster_size=3, salary_cap=300)


def small_slate():
    frame = pd.DataFrame({"driver": list("abcdefgh"), "salary": [140, 130, 120, 100, 90, 80, 70, 60]})
    return Slate.from_frame(frame, rules=SMALL_RULES)


def test_expected_copies_sum_to_the_field_and_equal_the_mean_over_fields():
    slate = small_slate()
    forecast = ownership_of(slate, spread=0.5)
    preset = FieldPreset(0.1, 0.05, 0.5, 6, 1.5, (0.0,))
    every = best_lineups(np.zeros(len(slate)), slate.salary, slate.rules, 10**7)
    expected = expected_copies(every, slate, forecast, 400, preset=preset)
    assert expected.sum() == pytest.approx(400, rel=0.02)
    index = {tuple(row): i for i, row in enumerate(every.tolist())}
    counts = np.zeros((300, len(every)))
    for i in range(300):
        for row in sample_field(slate, forecast, 400, rng=np.random.default_rng(i), preset=preset).tolist():
            counts[i, index[tuple(row)]] += 1
    error = counts.std(axis=0) / np.sqrt(300)
    assert np.abs(counts.mean(axis=0) - expected).sum() / 400 < 0.05
    assert (np.abs(counts.mean(axis=0) - expected) < 4 * error + 0.08 * expected + 0.2).all()


def test_expected_copies_follow_the_drivers_in_any_order(slate, forecast):
    order = np.random.default_rng(0).permutation(36)
    place = np.argsort(order)
    shuffled = Slate.from_frame(slate.drivers.iloc[order])
    lineups = sample_field(slate, forecast, 40, rng=np.random.default_rng(3))
    first = expected_copies(lineups, slate, forecast, 5000)
    again = expected_copies(place[lineups], shuffled, forecast[order], 5000)
    np.testing.assert_allclose(again, first, rtol=0.1)
    by_name = expected_copies(lineups, slate, pd.Series(forecast[order], slate.names[order]), 5000)
    np.testing.assert_array_equal(by_name, first)


def test_the_same_seed_gives_the_same_field(slate, forecast):
    a, b, c = (sample_field(slate, forecast, 800, rng=np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_fields_under_ownership_draws_extend_the_earlier_ones(slate):
    draws = np.array([ownership_of(slate, seed) for seed in range(4)])
    four = sample_fields(slate, draws, 2000, rng=np.random.default_rng(0))
    two = sample_fields(slate, draws[:2], 2000, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(four[:2], two)
    for field, draw in zip(four, draws, strict=True):
        assert np.abs(np.bincount(field.ravel(), minlength=36) / 2000 - draw).mean() < 0.012


def test_an_infeasible_forecast_is_replaced_by_the_nearest_with_a_warning(slate):
    dear = np.where(np.arange(36) < 7, 0.5, 2.5 / 29)
    with pytest.warns(UserWarning, match="nearest one is used, off by"):
        field = sample_field(slate, dear, 300, rng=np.random.default_rng(0))
    assert LineupProblem(slate.salary, 6, 50_000).legal(field).all()


def test_a_forecast_that_almost_sums_to_the_roster_is_scaled_with_a_note(slate, forecast):
    model = fit_field(slate, 0.96 * forecast, 500, rng=np.random.default_rng(0))
    assert "summed to 5.76" in model.notes[0]
    np.testing.assert_allclose(model.marginals(), forecast, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda own: own * 100, "look like percents"),
        (lambda own: np.where(np.arange(36) == 4, np.nan, own), "driver 4 has none or a negative one"),
        (lambda own: np.where(np.arange(36) == 5, -0.1, own), "driver 5 has none or a negative one"),
    ],
)
def test_a_forecast_that_is_no_ownership_is_refused(slate, forecast, change, message):
    with pytest.raises(UserError, match=message):
        sample_field(slate, change(forecast), 100, rng=np.random.default_rng(0))


def test_a_contest_without_room_for_a_field_is_refused(slate, forecast):
    with pytest.raises(ValueError, match="n_entries: -3 given"):
        sample_field(slate, forecast, -3, rng=np.random.default_rng(0))


def test_presets_follow_the_contest_its_size_and_its_kind():
    small, large = field_preset(490), field_preset(23_461)
    assert small.second > 2 * large.second and small.lineups < large.lineups
    assert field_preset(490, grouped=True).top < small.top
    tournament, cash = (
        Contest(10, 23_461, [{"min_rank": 1, "max_rank": paid, "prize": 10}]) for paid in (4_000, 11_000)
    )
    assert field_preset(490, contest=tournament) == large
    assert field_preset(490, contest=cash).second > large.second
    assert 0 < small.shares.sum() < 0.5 and (np.diff(small.shares) <= 0).all()


def test_the_first_lineup_is_copied_more_where_the_popular_fit_together(slate, forecast):
    laws = [LineupLaw.fit(forecast, slate.salary, slate.rules)]
    laws += [LineupLaw(scale * laws[0].theta, slate.salary, slate.rules) for scale in (0.6, 1.5)]
    preset = field_preset(490)
    even, flat, sharp = (preset.on(law).top for law in laws)
    assert flat < even <= sharp <= preset.top
    likeliest = np.exp(laws[0].log_prob(laws[0].sample(20_000, np.random.default_rng(0))).max())
    assert even == pytest.approx(preset.peak[0] * likeliest ** preset.peak[1], rel=0.05)
    assert replace(preset, peak=None).on(laws[0]).top == preset.top


def test_copies_are_counted_as_a_plain_loop_counts_them(slate, forecast):
    field = sample_field(slate, forecast, 700, rng=np.random.default_rng(2))
    numbers, copies = copy_numbers(field), Counter(tuple(row) for row in field.tolist())
    assert numbers["distinct"] == len(copies) / 700
    assert numbers["most_copied"] == max(copies.values()) / 700
    assert numbers["entries_on_2"] == 2 * Counter(copies.values())[2] / 700


def test_a_field_compared_with_itself_differs_nowhere(slate, forecast):
    field = sample_field(slate, forecast, 300, rng=np.random.default_rng(2))
    same = compare_fields(field, field, slate)
    np.testing.assert_array_equal(same["real"], same["simulated"])
    other = compare_fields(field, sample_field(slate, ownership_of(slate, 9), 300, rng=np.random.default_rng(2)), slate)
    assert other.loc["pair_difference", "simulated"] > 0.005


@pytest.mark.parametrize("n", [-1, 2.5, "all"])
def test_a_number_of_entries_that_is_none_is_refused(slate, forecast, n):
    with pytest.raises(ValueError, match=f"field: n_entries: {n} given; a whole number"):
        sample_field(slate, forecast, n, rng=np.random.default_rng(0))
    assert len(sample_field(slate, forecast, 30.0, rng=np.random.default_rng(0))) == 30
