"""The market blend: weights found again, least squares by another route, the prior alone, no later race, the grid."""

import numpy as np
import pandas as pd
import pytest

from dfslab.portfolio._blend import SOURCES, Blend, believed_weights, fit_blend, past_rows

DRIVERS = 36
TRUTH = (0.5, 20.0, 40.0, -0.2, 0.3)
PLAIN, PROJECTED = believed_weights(False), believed_weights(True)


def season(rng, races, weights=TRUTH, noise=1.0):
    """Return past races whose true means are `weights` · (the five sources) plus a level."""
    frames = []
    for race in range(races):
        model, root = rng.normal(25, 8, DRIVERS), rng.uniform(0.1, 0.8, DRIVERS)
        surprise = np.maximum(rng.normal(0, 0.12, DRIVERS), 0.05 - root)
        projected, sd = model + rng.normal(0, 6, DRIVERS), rng.uniform(10, 35, DRIVERS)
        start = rng.permutation(DRIVERS) + 1.0
        mean = np.column_stack([model, root, surprise, start, projected]) @ weights
        frames.append(
            pd.DataFrame(
                {
                    "race_id": f"r{race:03d}",
                    "points": mean + rng.normal(0, 20) + noise * rng.normal(0, sd),
                    "model_points": model,
                    "model_sd": sd,
                    "ownership": root**2,
                    "shown": (root + surprise) ** 2,
                    "start": start,
                    "projected": projected,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def test_the_weights_that_made_the_points_are_found_again():
    found = fit_blend(season(np.random.default_rng(1), 150), with_projected=True)
    assert tuple(found.weights.index) == SOURCES
    away = (found.weights.to_numpy() - TRUTH) / found.se.to_numpy()
    assert np.abs(away).max() < 3
    assert (found.se < [0.1, 3, 6, 0.05, 0.1]).all()
    assert found.races == 150


def test_a_surprise_is_weighed_apart_from_what_was_forecast():
    for worth in (0.0, 50.0):
        rows = season(np.random.default_rng(6), 150, (0.8, 25.0, worth, -0.1, 0.0)).assign(projected=np.nan)
        found = fit_blend(rows)
        assert abs(found.weights["surprise"] - worth) < 3 * found.se["surprise"] < 20
        assert found.weights["ownership"] == pytest.approx(25, abs=6)


def test_standard_errors_say_how_far_fits_lie_from_truths_drawn_as_believed():
    rng = np.random.default_rng(2)
    truths = rng.normal(PROJECTED["weight"], PROJECTED["sd"], (80, 5))
    fits = [fit_blend(season(rng, 40, truth), with_projected=True) for truth in truths]
    away = [(fit.weights.to_numpy() - truth) / fit.se.to_numpy() for fit, truth in zip(fits, truths, strict=True)]
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(away), axis=0)), 1.0, atol=0.3)


def test_the_fit_is_least_squares_with_rows_for_the_prior_and_a_level_per_race():
    rows = season(np.random.default_rng(3), 8, noise=0.5).assign(projected=np.nan)
    found = fit_blend(rows)
    levels = pd.get_dummies(rows["race_id"]).to_numpy(float)
    root = np.sqrt(rows["ownership"])
    x = np.column_stack([rows["model_points"], root, np.sqrt(rows["shown"]) - root, rows["start"]])
    weights, sds = PLAIN["weight"].to_numpy(), PLAIN["sd"].to_numpy()
    weigh = 1 / rows["model_sd"].to_numpy()
    y = rows["points"].to_numpy() - x @ weights
    kept = np.linalg.lstsq(levels * weigh[:, None], y * weigh, rcond=None)[0]
    left = (y - levels @ kept) * weigh
    scale = max(1.0, left @ left / (len(rows) - 8))
    likely = np.column_stack([x, levels]) * (weigh / np.sqrt(scale))[:, None]
    believed = np.column_stack([np.diag(1 / sds), np.zeros((4, 8))])
    design = np.vstack([likely, believed])
    target = np.concatenate([rows["points"] * weigh / np.sqrt(scale), weights / sds])
    twin = np.linalg.lstsq(design, target, rcond=None)[0][:4]
    np.testing.assert_allclose(found.weights, twin, rtol=1e-8)


def test_before_any_race_the_weights_are_those_believed():
    nothing = season(np.random.default_rng(4), 1).iloc[:0]
    found = fit_blend(nothing)
    np.testing.assert_allclose(found.weights, PLAIN["weight"])
    np.testing.assert_allclose(found.se, PLAIN["sd"])
    assert found.races == 0
    assert "as believed before any race" in found.note
    both = fit_blend(nothing, with_projected=True).weights
    assert both["projected"] > 0 and both["model"] < found.weights["model"]
    assert both["ownership"] < found.weights["ownership"]
    one = fit_blend(season(np.random.default_rng(4), 1), with_projected=True)
    assert one.races == 1
    assert "fitted on 1 past race)" in one.note
    np.testing.assert_allclose(one.se, PROJECTED["sd"], rtol=0.25)


def test_only_races_forecast_from_the_same_sources_count():
    rows = season(np.random.default_rng(5), 20)
    rows.loc[rows["race_id"] < "r012", "projected"] = np.nan
    assert fit_blend(rows, with_projected=True).races == 8
    assert fit_blend(rows).races == 12
    spoiled = rows.assign(points=rows["points"].where(rows["race_id"] < "r012", 500 * rows["ownership"]))
    pd.testing.assert_series_equal(fit_blend(spoiled).weights, fit_blend(rows).weights)


def test_the_shift_is_the_blended_mean_less_the_models():
    weights = pd.Series([0.5, 40.0, 7.0, -0.2, 0.25], SOURCES)
    blend = Blend(weights, weights * 0, 9)
    model, own = np.array([40.0, 20.0, 30.0, 0.0]), np.array([0.49, 0.09, 0.25, 0.0])
    projected, racing = np.array([50.0, np.nan, 25.0, np.nan]), np.array([True, True, True, False])
    by_hand = [0.5 * 40 + 40 * 0.7 + 0.25 * 50 - 40, 0.75 * 20 + 40 * 0.3 - 20]
    by_hand += [0.5 * 30 + 40 * 0.5 + 0.25 * 25 - 30]
    expected = np.append(np.array(by_hand) - np.mean(by_hand), 0.0)
    np.testing.assert_allclose(blend.shift(model, own, projected, racing, np.full(4, np.nan)), expected)
    placed = blend.shift(model, own, projected, racing, start=np.array([1.0, 2.0, 6.0, np.nan]))
    np.testing.assert_allclose(placed, expected - 0.2 * np.array([-2.0, -1.0, 3.0, 0.0]))


def test_a_driver_is_better_where_a_field_likes_him_more_than_other_fields_do():
    weights = pd.Series([0.5, 40.0, 20.0, -0.1], SOURCES[:4])
    draws, racing = np.array([[0.49, 0.09, 0.25, 0.0], [0.09, 0.09, 0.25, 0.0]]), np.array([True, True, True, False])
    worth = Blend(weights, weights * 0, 9).surprises(draws, racing)
    by_hand = 20 * (0.7 - 0.3) / 2 * np.array([2 / 3, -1 / 3, -1 / 3, 0])
    np.testing.assert_allclose(worth, [by_hand, -by_hand], atol=1e-12)


def test_contests_of_one_race_are_averaged_and_who_was_not_forecast_is_left_out():
    past = pd.DataFrame({"race_id": "r", "contest_id": [1, 1, 2, 2], "driver": ["A", "B", "A", "B"], "points": 30.0})
    past = past.assign(model_points=[20.0, 10.0, 20.0, 10.0], model_sd=9.0, ownership=[0.5, 0.1, 0.7, 0.1])
    told = pd.DataFrame({"contest_id": ["1", "2"], "driver": "A", "ownership": [0.2, 0.4]})
    rows = past_rows(past, None, told)
    assert rows["driver"].tolist() == ["A"]
    assert rows.loc[0, "ownership"] == pytest.approx(0.3)
    assert rows.loc[0, "shown"] == pytest.approx(0.6)
    assert rows["projected"].isna().all()
    assert past_rows(past[["race_id", "contest_id", "driver", "points"]], None, told)["model_points"].isna().all()
