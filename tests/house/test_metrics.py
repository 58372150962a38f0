"""Scores of ownership forecasts against loops, closed forms and simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dfslab import metrics

RNG = np.random.default_rng(31)


def test_crps_of_draws_equals_the_double_loop():
    draws, actual = RNG.normal(size=(12, 3)), RNG.normal(size=3)
    n = len(draws)
    for d in range(3):
        error = np.mean([abs(x - actual[d]) for x in draws[:, d]])
        spread = sum(abs(x - y) for x in draws[:, d] for y in draws[:, d]) / (n * (n - 1))
        assert metrics.crps(draws, actual)[d] == pytest.approx(error - spread / 2, abs=1e-12)


def test_crps_of_a_normal_forecast_is_its_closed_form():
    z = 0.7
    closed = z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi)
    draws = np.random.default_rng(1).normal(size=(200_000, 1))
    assert metrics.crps(draws, [z])[0] == pytest.approx(closed, abs=0.005)


def test_crps_of_one_draw_is_the_absolute_error():
    assert metrics.crps([[0.2, 0.5]], [0.3, 0.1]).tolist() == pytest.approx([0.1, 0.4])


def test_the_interval_score_is_smallest_at_the_true_quantiles():
    actual = np.random.default_rng(2).normal(size=100_000)
    scores = {q: metrics.interval_score(-q, q, actual, 0.8).mean() for q in (0.8, 1.2816, 1.8)}
    assert min(scores, key=scores.get) == 1.2816


@pytest.mark.parametrize(("actual", "score"), [(0.5, 1.0), (-0.1, 1.0 + 10 * 0.1), (1.3, 1.0 + 10 * 0.3)])
def test_the_interval_score_by_hand(actual, score):
    assert metrics.interval_score(0.0, 1.0, actual, 0.8) == pytest.approx(score)


def test_intervals_of_draws_cover_what_they_say():
    rng = np.random.default_rng(3)
    draws, actual = rng.gamma(2.0, size=(2_000, 3_000)), rng.gamma(2.0, size=3_000)
    for level in (0.5, 0.8, 0.95):
        share = metrics.covered(*metrics.interval_bounds(draws, level), actual).mean()
        assert share == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 3_000))


def test_pit_is_uniform_when_calibrated_even_with_ties():
    rng = np.random.default_rng(4)
    draws, actual = rng.poisson(0.5, size=(400, 4_000)), rng.poisson(0.5, size=4_000)
    assert stats.kstest(metrics.pit(draws, actual, rng), "uniform").pvalue > 0.001
    assert stats.kstest(metrics.pit(draws, actual + 1, rng), "uniform").pvalue < 1e-6


def test_errors_by_hand():
    assert metrics.root_mean_square_error([1, 2], [2, 4]) == pytest.approx(np.sqrt(2.5))


def test_reliability_counts_every_row_once_and_finds_a_known_bias():
    forecast = RNG.uniform(0, 1, 600)
    cluster = np.repeat(np.arange(30), 20)
    table = metrics.reliability(forecast, forecast + 0.03, cluster, [0, 0.25, 0.5, 1.0])
    assert table["n"].sum() == 600
    np.testing.assert_allclose(table["difference"], 0.03)
    np.testing.assert_allclose(table["se"], 0, atol=1e-12)
    inside = (forecast >= 0.25) & (forecast < 0.5)
    assert table.loc[1, "forecast"] == pytest.approx(forecast[inside].mean())


def test_reliability_keeps_the_edges():
    table = metrics.reliability([0.0, 0.5, 1.0], [0, 0, 0], ["a", "b", "c"], [0, 0.5, 1.0])
    assert table["n"].tolist() == [1, 2]


def test_clusters_widen_the_error_of_a_reliability_band():
    contest = np.repeat(np.arange(20), 10)
    shift = np.repeat(RNG.normal(0, 0.05, 20), 10)
    forecast = np.full(200, 0.2)
    apart = metrics.reliability(forecast, forecast + shift, np.arange(200), [0, 1])
    together = metrics.reliability(forecast, forecast + shift, contest, [0, 1])
    assert together["se"][0] > 2.5 * apart["se"][0]
    assert isinstance(together, pd.DataFrame)
