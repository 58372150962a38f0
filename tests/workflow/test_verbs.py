"""The verbs: from a race day to races, ownership, a portfolio and its scores, each stage with its own stream."""

import shutil
import sys
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pytest

from dfslab.errors import UserError
from dfslab.ownership import HybridOwnershipEstimator, OwnershipForecast, forecast, walk_forward
from dfslab.parallel import cache_folder
from dfslab.portfolio import fit_blend, past_rows, shifted
from dfslab.portfolio import score_portfolios as play
from dfslab.race import Scenarios
from dfslab.workflow import (
    SAMPLE,
    RaceDay,
    blend_races,
    choose_portfolio,
    forecast_ownership,
    open_race,
    score_portfolios,
    simulate_race,
    tune,
)
from dfslab.workflow._verbs import _blend, _surprises, past_contests

RACE = "2026-05-31-ocotillo-bend"


@dataclass
class Night:
    """A race of the sample with its stages in small numbers."""

    day: RaceDay
    races: Scenarios
    crowd: OwnershipForecast

    @property
    def slate(self):
        return self.crowd.slate

    @cached_property
    def blend(self):
        return _blend(self.day, self.crowd)

    @cached_property
    def blended(self) -> Scenarios:
        return blend_races(self.day, self.races, self.crowd)


def night_of(race_id: str, data_dir="", n_scenarios: int = 300) -> Night:
    day = open_race(race_id, data_dir)
    races = simulate_race(day, n_scenarios)
    return Night(day, races, forecast_ownership(day, races, 20))


@pytest.fixture(scope="module")
def night() -> Night:
    return night_of(RACE)


def test_points_of_a_race_are_shifted_by_a_constant_in_whole_ticks(night):
    before, after, tick = night.races, night.blended, night.slate.rules.tick
    moved = after.points - before.points
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-9)
    own, projected = night.slate.align(night.crowd.ownership), night.day.slate.column("projected_points")
    shift = night.blend.shift(before.mean().to_numpy(), own, projected, ~night.slate.out, night.slate.column("start"))
    np.testing.assert_allclose(moved[0], shift, atol=tick / 2 + 1e-9)
    assert np.abs(moved).max() > 1
    ticks = after.points / tick
    np.testing.assert_allclose(ticks, np.rint(ticks), atol=1e-6)
    assert (after.points[:, night.slate.out] == before.points[:, night.slate.out]).all()
    np.testing.assert_array_equal(after.finish, before.finish)
    assert shifted(before, np.zeros(len(night.slate)), tick) is before


def test_the_races_of_a_run_move_with_the_field_they_are_played_against(night, monkeypatch):
    seen = []
    true = play

    def watched(sets, points, *rest, **more):
        seen.append(points)
        return true(sets, points, *rest, **more)

    monkeypatch.setattr("dfslab.workflow._verbs.play", watched)
    lineup = np.flatnonzero(~night.slate.out)[-6:][None]
    score_portfolios(night.day, {"portfolio": lineup}, night.crowd, n_scenarios=300)
    drawn = simulate_race(night.day, 300, stage="fresh race")
    moved = (seen[0] - blend_races(night.day, drawn, night.crowd).points).reshape(10, 30, -1)
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1], moved.shape), atol=1e-9)
    worth = _surprises(night.day, night.crowd, night.crowd.draws[-10:])
    np.testing.assert_allclose(moved[:, 0], worth, atol=0.026)
    assert np.std(worth, axis=0)[~night.slate.out].mean() > 0.5


def test_the_lineups_are_chosen_where_a_field_that_likes_a_driver_knows_more_of_him(night, monkeypatch):
    seen = []
    true = sys.modules["dfslab.portfolio._build"].shifted
    monkeypatch.setattr("dfslab.portfolio._build.shifted", lambda *args: seen.append(true(*args)) or seen[-1])
    monkeypatch.setattr("dfslab.workflow._verbs.cached", lambda function, *args: function(*args))
    choose_portfolio(night.day, night.races, night.crowd, 150, n_choose=200)
    by_name = np.argsort(night.slate.names.astype(str), kind="stable")
    moved = (seen[0].points - night.blended.points[:200][:, by_name]).reshape(20, 10, -1)
    worth = _surprises(night.day, night.crowd, night.crowd.draws[:20])[:, by_name]
    np.testing.assert_allclose(moved, np.broadcast_to(worth[:, None], moved.shape), atol=0.026)


def test_the_blend_sees_no_contest_of_the_race_or_later(night, tmp_path):
    shutil.copytree(SAMPLE, tmp_path / "season")
    path = tmp_path / "season" / "history" / "ownership.csv"
    told = pd.read_csv(path)
    later = told["date"] >= "2026-05-31"
    turned = (
        told[later].groupby("contest_id")[["ownership", "points"]].transform(lambda column: column.to_numpy()[::-1])
    )
    told.loc[later, ["ownership", "points"]] = turned
    told.to_csv(path, index=False)
    again = night_of(RACE, tmp_path / "season")
    pd.testing.assert_series_equal(again.blend.weights, night.blend.weights)
    history, projected = past_contests(night.day), night.day.history.ownership["projected_points"]
    assert history["date"].max() < pd.Timestamp("2026-05-31")
    rows = past_rows(history, projected, night.crowd.past)
    assert rows["race_id"].nunique() == history["race_id"].nunique()
    early = night.crowd.past.merge(history[["contest_id", "date"]].drop_duplicates().astype({"contest_id": str}))
    first = early[early["date"] == early["date"].min()]
    assert first["ownership"].sum() == pytest.approx(6 * first["contest_id"].nunique(), abs=1e-6)


def test_the_means_of_past_races_do_not_know_what_was_projected(night):
    past, given = past_contests(night.day), night.day.history.ownership["projected_points"]
    assert past["model_points"].notna().mean() > 0.9
    np.testing.assert_array_equal(past["projected_points"][given.notna()], given[given.notna()])
    both = given.notna() & past["model_points"].notna()
    assert np.abs(past["model_points"] - given)[both].mean() > 1
    np.testing.assert_array_equal(past["projected_points"][given.isna()], past["model_points"][given.isna()])


def test_a_wish_that_is_none_is_told_with_the_nearest(night):
    with pytest.raises(UserError, match=r"choose_portfolio: there is no wish 'lock'; did you mean locks\?"):
        choose_portfolio(night.day, night.races, night.crowd, 3, lock=["A"])


def test_wishes_that_are_not_the_defaults_are_told_first(night):
    sizes, who = {"n_candidates": 200, "n_choose": 150, "n_fields": 4}, night.slate.names[~night.slate.out][0]
    asked = choose_portfolio(
        night.day, night.races, night.crowd, 4, locks=[who], max_exposure=0.5, max_overlap=5, **sizes
    )
    assert asked.notes[0] == f"As you asked: max_exposure 0.5; locks ['{who}']."
    free = choose_portfolio(night.day, night.races, night.crowd, 4, locks=[], min_exposure={}, groups=(), **sizes)
    assert not any("asked" in note for note in free.notes)


def test_lineups_may_be_scored_by_names(night):
    rows = choose_portfolio(night.day, night.races, night.crowd, 3, n_candidates=200, n_choose=150, n_fields=4).lineups
    sets = {"rows": rows, "names": night.slate.names[rows].tolist()}
    scores = score_portfolios(night.day, sets, night.crowd, n_scenarios=200)
    np.testing.assert_array_equal(scores.payout["rows"], scores.payout["names"])
    with pytest.raises(UserError, match="not on the slate: Nobody"):
        score_portfolios(night.day, {"mine": [["Nobody"] * 6]}, night.crowd, n_scenarios=200)


def test_a_first_race_is_blended_as_believed_before_any():
    first = night_of("2026-02-15-gulfbreeze", n_scenarios=60)
    assert first.blend.races == 0
    moved = first.blended.points[0] - first.races.points[0]
    assert np.abs(moved).max() > 1


def test_without_a_past_contest_there_is_no_row():
    past = pd.DataFrame({"race_id": [], "contest_id": [], "driver": [], "points": []})
    rows = past_rows(past, None, pd.DataFrame({"contest_id": [], "driver": [], "ownership": []}))
    assert rows.empty
    assert fit_blend(rows).races == 0


def test_a_portfolio_is_the_same_from_the_cache_without_it_and_again(night, tmp_path, monkeypatch):
    sizes = {"n_candidates": 200, "n_choose": 150, "n_fields": 4}

    def chosen():
        return choose_portfolio(night.day, night.races, night.crowd, 6, max_exposure=0.7, **sizes)

    kept, again = chosen(), chosen()
    monkeypatch.setenv("DFSLAB_CACHE", str(tmp_path))
    cache_folder.cache_clear()
    fresh = chosen()
    cache_folder.cache_clear()
    assert kept.lineups.tolist() == again.lineups.tolist() == fresh.lineups.tolist()
    pd.testing.assert_frame_equal(kept.metrics, fresh.metrics)


def test_a_pool_fitted_once_forecasts_and_is_scored_as_one_fitted_anew(night):
    past, estimator = past_contests(night.day), HybridOwnershipEstimator()
    fresh = forecast(
        night.slate, past, contest=night.day.contest, n_draws=20, rng=night.day.rng("ownership"), estimator=estimator
    )
    pd.testing.assert_frame_equal(night.crowd.table, fresh.table)
    np.testing.assert_array_equal(night.crowd.draws, fresh.draws)
    scored = tune.tune_ownership(night.day)
    pd.testing.assert_frame_equal(scored.scores, walk_forward(past, estimator, seed=1).scores)


def test_points_of_a_portfolio_are_those_it_was_chosen_on(night):
    sizes = {"n_candidates": 200, "n_choose": 150, "n_fields": 4}
    mine = choose_portfolio(night.day, night.races, night.crowd, 4, **sizes)
    chosen_on = night.blended.mean().to_numpy()
    np.testing.assert_allclose(mine.table()["points"], chosen_on[mine.lineups].sum(axis=1))
    np.testing.assert_allclose(mine.summary()["projected_points"], chosen_on[mine.lineups].sum(axis=1).mean())
