"""The market blend: weights found again, least squares by another route, the prior alone, no later race, the grid."""

import shutil

import numpy as np
import pandas as pd
import pytest

from dfslab.portfolio._blend import SOURCES, Blend, fit_blend, past_rows, prior
from dfslab.portfolio._candidates import shifted, stage_of
from dfslab.workflow import SAMPLE, open_lab

DRIVERS = 36
TRUTH = (0.5, 20.0, 40.0, -0.2, 0.3)
PLAIN, PROJECTED = prior(False), prior(True)


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
    np.testing.assert_allclose(blend.shift(model, own, projected, racing), expected)
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


@pytest.fixture(scope="module")
def lab():
    return open_lab("2026-05-31-ocotillo-bend", n_scenarios=300, n_draws=20)


def test_points_of_a_race_are_shifted_by_a_constant_in_whole_ticks(lab):
    before, after, tick = lab.scenarios, lab.blended_scenarios, lab.slate.rules.tick
    moved = after.points - before.points
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-9)
    own, projected = lab.slate.align(lab.forecast.ownership), lab.inputs.slate.column("projected_points")
    start = lab.slate.column("start")
    shift = lab.blend.shift(before.weight @ before.points, own, projected, ~lab.slate.out, start)
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


def test_the_lineups_are_chosen_where_a_field_that_likes_a_driver_knows_more_of_him(lab, monkeypatch):
    seen = []
    true = stage_of
    monkeypatch.setattr("dfslab.portfolio._build.stage_of", lambda few, *rest: seen.append(few) or true(few, *rest))
    lab._build(n_choose=200)
    by_name = np.argsort(lab.slate.names.astype(str), kind="stable")
    moved = (seen[0].points - lab.blended_scenarios.points[:200][:, by_name]).reshape(20, 10, -1)
    worth = lab.blend.surprises(lab.forecast.draws[:20], ~lab.slate.out)[:, by_name]
    np.testing.assert_allclose(moved, np.broadcast_to(worth[:, None], moved.shape), atol=0.026)


def test_the_blend_sees_no_contest_of_the_race_or_later(lab, tmp_path):
    shutil.copytree(SAMPLE, tmp_path / "season")
    path = tmp_path / "season" / "history" / "ownership.csv"
    told = pd.read_csv(path)
    later = told["date"] >= "2026-05-31"
    turned = (
        told[later].groupby("contest_id")[["ownership", "points"]].transform(lambda column: column.to_numpy()[::-1])
    )
    told.loc[later, ["ownership", "points"]] = turned
    told.to_csv(path, index=False)
    again = open_lab("2026-05-31-ocotillo-bend", tmp_path / "season", n_scenarios=300, n_draws=20)
    pd.testing.assert_series_equal(again.blend.weights, lab.blend.weights)
    history, projected = lab.past_ownership, lab.inputs.history.ownership["projected_points"]
    assert history["date"].max() < pd.Timestamp("2026-05-31")
    rows = past_rows(history, projected, lab.forecast.past)
    assert rows["race_id"].nunique() == history["race_id"].nunique()
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


def test_a_first_race_is_blended_as_believed_before_any():
    first = open_lab("2026-02-15-gulfbreeze", n_scenarios=60, n_draws=20)
    assert first.blend.races == 0
    moved = first.blended_scenarios.points[0] - first.scenarios.points[0]
    assert np.abs(moved).max() > 1


def test_without_a_past_contest_there_is_no_row():
    past = pd.DataFrame({"race_id": [], "contest_id": [], "driver": [], "points": []})
    rows = past_rows(past, None, pd.DataFrame({"contest_id": [], "driver": [], "ownership": []}))
    assert rows.empty
    assert fit_blend(rows).races == 0
