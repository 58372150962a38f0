"""The market blend: weights found again, least squares by another route, nothing without races, shifts on the grid."""

import numpy as np
import pandas as pd
import pytest

from dfslab import pipeline
from dfslab.blend import FEWEST_RACES, PRIOR, PRIOR_SD, Blend, fit_blend, past_rows, shifted

DRIVERS = 36


def season(rng, races, weights=(0.6, 5.0, 0.3), noise=1.0):
    """Return past races whose true means are `weights` · (model, log ownership, projected) plus a level of the race."""
    frames = []
    for race in range(races):
        model, log_own = rng.normal(25, 8, DRIVERS), rng.normal(-2, 1, DRIVERS)
        projected, sd = model + rng.normal(0, 6, DRIVERS), rng.uniform(10, 35, DRIVERS)
        mean = weights[0] * model + weights[1] * log_own + weights[2] * projected
        frames.append(
            pd.DataFrame(
                {
                    "race_id": f"r{race:03d}",
                    "points": mean + rng.normal(0, 20) + noise * rng.normal(0, sd),
                    "model_points": model,
                    "model_sd": sd,
                    "ownership": np.exp(np.minimum(log_own, 0)),
                    "projected": projected,
                }
            )
        )
    rows = pd.concat(frames, ignore_index=True)
    return rows[rows["ownership"].between(0.0021, 0.99)]


def test_the_weights_that_made_the_points_are_found_again():
    found = fit_blend(season(np.random.default_rng(1), 150), with_projected=True)
    assert list(found.weights.index) == ["model", "log_ownership", "projected"]
    away = (found.weights.to_numpy() - [0.6, 5.0, 0.3]) / found.se.to_numpy()
    assert np.abs(away).max() < 3
    assert found.races == 150


def test_standard_errors_say_how_far_fits_lie_apart():
    fits = [fit_blend(season(np.random.default_rng([2, k]), 40)) for k in range(60)]
    apart = np.std([f.weights.to_numpy() for f in fits], axis=0)
    told = np.mean([f.se.to_numpy() for f in fits], axis=0)
    np.testing.assert_allclose(told, apart, rtol=0.3)


def test_the_fit_is_least_squares_with_rows_for_the_prior_and_a_level_per_race():
    rows = season(np.random.default_rng(3), 8, noise=0.5)
    found = fit_blend(rows)
    levels = pd.get_dummies(rows["race_id"]).to_numpy(float)
    x = np.column_stack([rows["model_points"], np.log(rows["ownership"])])
    root = 1 / rows["model_sd"].to_numpy()
    y = rows["points"].to_numpy() - x @ PRIOR[:2]
    kept = np.linalg.lstsq(levels * root[:, None], y * root, rcond=None)[0]
    left = (y - levels @ kept) * root
    scale = max(1.0, left @ left / (len(rows) - 8))
    likely = np.column_stack([x, levels]) * (root / np.sqrt(scale))[:, None]
    believed = np.column_stack([np.diag(1 / np.array(PRIOR_SD[:2])), np.zeros((2, 8))])
    design = np.vstack([likely, believed])
    target = np.concatenate([rows["points"] * root / np.sqrt(scale), np.array(PRIOR[:2]) / PRIOR_SD[:2]])
    twin = np.linalg.lstsq(design, target, rcond=None)[0][:2]
    np.testing.assert_allclose(found.weights, twin, rtol=1e-8)


def test_few_races_leave_the_model_alone():
    found = fit_blend(season(np.random.default_rng(4), FEWEST_RACES - 1), with_projected=True)
    assert found.races == 0
    assert "stay" in found.note
    rng = np.random.default_rng(0)
    shift = found.shift(rng.normal(size=5), rng.uniform(0, 1, 5), np.full(5, np.nan), np.ones(5, bool))
    np.testing.assert_array_equal(shift, 0)
    enough = fit_blend(season(np.random.default_rng(4), FEWEST_RACES))
    assert enough.races == FEWEST_RACES
    assert str(FEWEST_RACES) in enough.note


def test_races_without_projections_count_only_where_nobody_projects():
    rows = season(np.random.default_rng(5), 20)
    rows.loc[rows["race_id"] < "r012", "projected"] = np.nan
    assert fit_blend(rows, with_projected=True).races == 8
    assert fit_blend(rows).races == 20
    rows.loc[rows["race_id"] < "r016", "projected"] = np.nan
    assert len(fit_blend(rows, with_projected=True).weights) == 2


def test_the_shift_is_the_blended_mean_less_the_models():
    weights = pd.Series([0.5, 4.0, 0.25], ["model", "log_ownership", "projected"])
    blend = Blend(weights, weights * 0, 9)
    model, own = np.array([40.0, 20.0, 30.0, 0.0]), np.array([0.5, 0.1, 0.2, 0.0])
    projected, racing = np.array([50.0, np.nan, 25.0, np.nan]), np.array([True, True, True, False])
    by_hand = [0.5 * 40 + 4 * np.log(0.5) + 0.25 * 50 - 40, 0.75 * 20 + 4 * np.log(0.1) - 20]
    by_hand += [0.5 * 30 + 4 * np.log(0.2) + 0.25 * 25 - 30]
    expected = np.append(np.array(by_hand) - np.mean(by_hand), 0.0)
    np.testing.assert_allclose(blend.shift(model, own, projected, racing), expected)


def test_a_driver_is_better_where_a_field_likes_him_more_than_other_fields_do():
    weights = pd.Series([0.5, 4.0], ["model", "log_ownership"])
    draws, racing = np.array([[0.4, 0.1, 0.2, 0.0], [0.1, 0.1, 0.2, 0.0]]), np.array([True, True, True, False])
    worth = Blend(weights, weights * 0, 9).surprises(draws, racing)
    by_hand = 4 * np.log(4) / 2 * np.array([2 / 3, -1 / 3, -1 / 3, 0])
    np.testing.assert_allclose(worth, [by_hand, -by_hand], atol=1e-12)
    np.testing.assert_array_equal(Blend(weights, weights * 0, 0).surprises(draws, racing), 0)


def test_contests_of_one_race_are_averaged_and_who_was_not_forecast_is_left_out():
    past = pd.DataFrame({"race_id": "r", "contest_id": [1, 1, 2, 2], "driver": ["A", "B", "A", "B"], "points": 30.0})
    past = past.assign(model_points=[20.0, 10.0, 20.0, 10.0], model_sd=9.0, ownership=0.9)
    told = pd.DataFrame({"contest_id": ["1", "2"], "driver": "A", "ownership": [0.2, 0.4]})
    rows = past_rows(past, None, told)
    assert rows["driver"].tolist() == ["A"]
    assert rows.loc[0, "ownership"] == pytest.approx(0.3)
    assert rows["projected"].isna().all()
    assert past_rows(past[["race_id", "contest_id", "driver", "points"]], None, told)["model_points"].isna().all()


@pytest.fixture(scope="module")
def lab():
    return pipeline.open_lab("2026-05-31-ocotillo-bend", n_scenarios=300, n_draws=20)


def test_points_of_a_race_are_shifted_by_a_constant_in_whole_ticks(lab):
    before, after, tick = lab.scenarios, lab.blended_scenarios, lab.slate.rules.tick
    moved = after.points - before.points
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-9)
    own, projected = lab.slate.align(lab.forecast.ownership), lab.inputs.slate.column("projected_points")
    shift = lab.blend.shift(before.weight @ before.points, own, projected, ~lab.slate.out)
    np.testing.assert_allclose(moved[0], shift, atol=tick / 2 + 1e-9)
    assert np.abs(moved).max() > 1
    ticks = after.points / tick
    np.testing.assert_allclose(ticks, np.rint(ticks), atol=1e-6)
    assert (after.points[:, lab.slate.out] == before.points[:, lab.slate.out]).all()
    np.testing.assert_array_equal(after.finish, before.finish)
    assert shifted(before, np.zeros(len(lab.slate)), tick) is before


def test_the_races_of_a_run_move_with_the_field_they_are_played_against(lab):
    fresh, scored, draws = lab.fresh_scenarios, lab._against_fresh_fields, lab.forecast.draws[-10:]
    moved = (scored.points - fresh.points).reshape(10, 30, -1)
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1], moved.shape), atol=1e-9)
    worth = lab.blend.surprises(draws, ~lab.slate.out)
    np.testing.assert_allclose(moved[:, 0], worth, atol=0.026)
    assert np.std(worth, axis=0)[~lab.slate.out].mean() > 0.5


def test_the_blend_reads_forecasts_of_ownership_and_never_what_was_shown(lab):
    history, projected = lab.past_ownership, lab.inputs.history.ownership["projected_points"]
    rows = past_rows(history, projected, lab.forecast.past)
    assert rows["race_id"].nunique() == history["race_id"].nunique()
    other = past_rows(history.assign(ownership=0.01), projected, lab.forecast.past)
    pd.testing.assert_frame_equal(rows, other)
    early = lab.forecast.past.merge(history[["contest_id", "date"]].drop_duplicates().astype({"contest_id": str}))
    first = early[early["date"] == early["date"].min()]
    assert first["ownership"].sum() == pytest.approx(6 * first["contest_id"].nunique(), abs=1e-6)


def test_the_means_of_past_races_do_not_know_what_was_projected(lab):
    past, given = lab.past_ownership, lab.inputs.history.ownership["projected_points"]
    assert past["model_points"].notna().mean() > 0.9
    np.testing.assert_array_equal(past["projected_points"][given.notna()], given[given.notna()])
    both = given.notna() & past["model_points"].notna()
    assert np.abs(past["model_points"] - given)[both].mean() > 1
    np.testing.assert_array_equal(past["projected_points"][given.isna()], past["model_points"][given.isna()])


def test_without_past_contests_nothing_moves():
    first = pipeline.open_lab("2026-02-15-gulfbreeze", n_scenarios=60, n_draws=20)
    assert first.blended_scenarios is first.scenarios
    assert "fewer than" in first.blend.note


def test_without_a_past_contest_nothing_moves():
    past = pd.DataFrame({"race_id": [], "contest_id": [], "driver": [], "points": []})
    rows = past_rows(past, None, pd.DataFrame({"contest_id": [], "driver": [], "ownership": []}))
    assert rows.empty
    found = fit_blend(rows)
    assert not np.any(found.shift(np.arange(5.0), np.full(5, 0.2), np.full(5, np.nan), np.ones(5, bool)))
