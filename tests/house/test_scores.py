"""Scores of orders and of yes/no forecasts against loops, pair counts and closed forms."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from dfslab import metrics

RNG = np.random.default_rng(8)


def test_rps_equals_the_loop():
    samples = np.array([RNG.permutation(6) + 1 for _ in range(50)])
    finish = RNG.permutation(6) + 1
    slow = np.mean([sum(((samples[:, i] <= k).mean() - (finish[i] <= k)) ** 2 for k in range(1, 7)) for i in range(6)])
    assert metrics.rps(metrics.finish_probabilities(samples), finish) == pytest.approx(slow, abs=1e-12)


def test_finish_probabilities_are_doubly_stochastic():
    samples = np.array([RNG.permutation(5) + 1 for _ in range(40)])
    chance = metrics.finish_probabilities(samples)
    np.testing.assert_allclose(chance.sum(axis=0), 1.0)
    np.testing.assert_allclose(chance.sum(axis=1), 1.0)
    assert chance[2, 3] == (samples[:, 2] == 4).mean()


def test_finish_probabilities_by_weight_are_those_of_repeated_samples():
    samples = np.array([RNG.permutation(5) + 1 for _ in range(40)])
    often = RNG.integers(0, 4, 40)
    repeated = metrics.finish_probabilities(np.repeat(samples, often, axis=0))
    np.testing.assert_allclose(metrics.finish_probabilities(samples, often / often.sum()), repeated, atol=1e-12)


def test_rps_of_certainty_is_zero_and_of_ignorance_is_known():
    size = 38
    finish = np.arange(1, size + 1)
    assert metrics.rps(np.eye(size), finish) == 0.0
    # uniform: mean over drivers of Σ (k/n − 1{i ≤ k})² is (n² − 1) / (6 n)
    assert metrics.rps(np.full((size, size), 1 / size), finish) == pytest.approx((size**2 - 1) / (6 * size))


def test_brier_by_hand():
    assert metrics.brier([0.7, 0.7], [1, 0]).tolist() == pytest.approx([0.09, 0.49])


def test_clustered_error_of_single_rows_is_the_usual_one():
    values = RNG.normal(size=30)
    mean, error = metrics.clustered_mean(values, np.arange(30))
    assert (mean, error) == pytest.approx((values.mean(), values.std(ddof=1) / np.sqrt(30)))


def test_clustered_error_of_equal_groups_is_that_of_their_means():
    values = RNG.normal(size=(12, 7)) + RNG.normal(size=(12, 1))
    cluster = np.repeat([f"race {k}" for k in range(12)], 7)
    error = metrics.clustered_mean(values.ravel(), cluster)[1]
    assert error == pytest.approx(values.mean(axis=1).std(ddof=1) / np.sqrt(12))
    shuffle = RNG.permutation(84)
    assert metrics.clustered_mean(values.ravel()[shuffle], cluster[shuffle])[1] == pytest.approx(error)


def test_clustered_error_covers():
    hits = 0
    for _ in range(300):
        values = RNG.normal(size=(40, 5)) + RNG.normal(size=(40, 1))
        mean, error = metrics.clustered_mean(values.ravel(), np.repeat(np.arange(40), 5))
        hits += abs(mean) < 1.96 * error
    assert 0.9 < hits / 300 < 0.98


def test_paired_difference_and_refusals():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0])
    assert metrics.paired_difference(a, b, [1, 2, 3]) == pytest.approx((5 / 3, 1 / 3))
    assert np.isnan(metrics.clustered_mean([1.0, 2.0], ["x", "x"])[1])
    with pytest.raises(ValueError, match="value 2 is missing"):
        metrics.clustered_mean([1.0, np.nan], [1, 2])
    with pytest.raises(ValueError, match="one cluster per value"):
        metrics.clustered_mean([1.0, 2.0], [1])


def test_winner_score_and_spearman():
    assert metrics.winner_log_score([0.2, 0.5, 0.3], [2, 3, 1]) == pytest.approx(np.log(0.3))
    assert metrics.spearman([1, 2, 3, 4], [10, 30, 20, 40]) == pytest.approx(0.8)
    assert np.isnan(metrics.spearman([1, 1, 1], [1, 2, 3]))


# ---------------------------------------------------------------- the score frame


def score_frame(cases=12, rows=3):
    rng = np.random.default_rng(4)
    rows = [
        (f"{c}|{k}", f"race {c}", model, score, rng.normal() + c / 10 + bias)
        for c in range(cases)
        for k in range(rows)
        for model, bias in (("ours", -0.5), ("base", 0.0))
        for score in ("rps", "brier")
    ]
    return pd.DataFrame(rows, columns=["case", "cluster", "model", "score", "value"])


def test_the_clustered_error_is_the_written_out_sandwich():
    values, cluster, weight = RNG.normal(size=40), RNG.integers(0, 9, 40), RNG.uniform(0.2, 2.0, 40)
    mean = weight @ values / weight.sum()
    sums = [weight[cluster == g] @ (values[cluster == g] - mean) for g in range(9)]
    error = np.sqrt(9 / 8 * np.square(sums).sum()) / weight.sum()
    assert metrics.clustered_mean(values, cluster, weight) == pytest.approx((mean, error))


def test_a_summary_is_the_mean_and_error_of_each_model_and_score():
    scores = score_frame()
    table = metrics.summarise(scores).set_index(["score", "model"])
    part = scores[(scores["model"] == "ours") & (scores["score"] == "rps")]
    expected = metrics.clustered_mean(part["value"], part["cluster"])
    assert tuple(table.loc[("rps", "ours"), ["mean", "se"]]) == pytest.approx(expected)
    assert (table["n"] == 36).all()


def test_a_comparison_is_the_paired_t_test():
    scores = score_frame(rows=1).sample(frac=1, random_state=0)
    row = metrics.compare(scores, "base").set_index("score").loc["rps"]
    wide = scores[scores["score"] == "rps"].pivot(index="case", columns="model", values="value")
    known = ttest_rel(wide["ours"], wide["base"])
    assert (row["t"], row["p"]) == pytest.approx((known.statistic, known.pvalue))
    assert row["difference"] == pytest.approx((wide["ours"] - wide["base"]).mean())


def test_a_comparison_pairs_only_what_both_have_and_keeps_clusters_together():
    scores = score_frame()
    gone = scores["case"].isin(["0|0", "1|0"]) & (scores["model"] == "base")
    row = metrics.compare(scores.assign(value=scores["value"].mask(gone)), "base").set_index("score").loc["brier"]
    wide = scores[~scores["case"].isin(["0|0", "1|0"]) & (scores["score"] == "brier")]
    wide = wide.pivot(index=["case", "cluster"], columns="model", values="value").reset_index()
    expected = metrics.clustered_mean(wide["ours"] - wide["base"], wide["cluster"])
    assert row["n"] == 34 and tuple(row[["difference", "se"]]) == pytest.approx(expected)


def test_equal_scores_have_no_t():
    scores = score_frame(rows=1).assign(value=1.0)
    row = metrics.compare(scores, "base").iloc[0]
    assert row["difference"] == 0 and np.isnan(row["t"]) and np.isnan(row["p"])


def test_a_comparison_without_its_baseline_or_with_two_values_is_refused():
    scores = score_frame()
    with pytest.raises(ValueError, match="no model theirs; the scores have ours, base"):
        metrics.compare(scores, "theirs")
    with pytest.raises(ValueError, match="two values"):
        metrics.compare(pd.concat([scores, scores.head(1)]), "base")
