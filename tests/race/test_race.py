"""The race simulator: what must add up, what must not matter, and figures that come back from made-up history."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from race_history import TRACKS, make_entry, make_history, make_race
from scipy import stats

from dfslab.race._calibrate import fit_mechanics
from dfslab.race._evaluate import forecast_races, simulator_record
from dfslab.race._finish import FinishModel, reference_course
from dfslab.race._form import history_table
from dfslab.race._kernels import (
    COUNT,
    FINAL,
    FRONT,
    OTHERS,
    _whole_laps,
    draw_cautions,
    draw_dropouts,
    draw_laps,
    draw_order,
    draw_reasons,
)
from dfslab.race._orders import fit_attrition
from dfslab.race._record import FinishRecord, finish_record
from dfslab.race._simulator import CHUNK, RaceModel
from dfslab.race._tracks import Mechanics, Weights, default_mechanics
from dfslab.regimes import RegimeThresholds
from dfslab.rules import DRAFTKINGS_NASCAR, DRAFTKINGS_NASCAR_2019, fantasy_points, points_of
from dfslab.slate import Slate
from scripts.fit import race as fit_race

NO_TEAMS = np.full(40, -1)
DRAWN = ("start", "finish", "laps_led", "fastest_laps", "points", "dropped_out", "crashed")
FACTS = ("cautions", "caution_laps", "longest_green_run", "final_green_run", "regime")


@pytest.fixture(scope="module")
def history():
    return make_history(24)


@pytest.fixture(scope="module")
def model(history):
    return RaceModel.fit(*history)


@pytest.fixture(scope="module")
def scenarios(model):
    return model.simulate(make_entry(20), make_race(0), 3000, np.random.default_rng(1))


def same(a, b, names=DRAWN + FACTS):
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


def by_table(s, rules):
    return points_of(s.start, s.finish, s.laps_led, s.fastest_laps, rules.scoring)


# ---------------------------------------------------------------- what must add up


@pytest.mark.parametrize("track", range(4))
def test_every_scenario_conserves_its_laps(model, track):
    here = make_race(track)
    s = model.simulate(make_entry(20), here, 2000, np.random.default_rng(track))
    assert (np.sort(s.finish, axis=1) == np.arange(1, 21)).all()
    assert (s.laps_led.sum(axis=1) == here.sched_laps).all()
    lost = np.rint(1.4 + s.cautions)
    assert (s.fastest_laps.sum(axis=1) == np.maximum(here.sched_laps - s.caution_laps - lost, 0)).all()
    assert (s.laps_led >= 0).all()
    assert (s.fastest_laps >= 0).all()
    assert (s.laps_led[s.finish == 1] >= 1).all(), "the winner leads the last lap"
    assert not s.dropped_out[s.finish == 1].any()
    assert (s.crashed <= s.dropped_out).all()
    assert s.dropped_out.any()
    assert (s.caution_laps + s.longest_green_run <= here.sched_laps).all()
    assert (s.final_green_run <= s.longest_green_run).all()
    assert s.weight.sum() == pytest.approx(1.0, abs=1e-12)


def test_points_are_those_of_the_rules(scenarios):
    frame = pd.DataFrame(
        {n: getattr(scenarios, n)[:50].ravel() for n in ("start", "finish", "laps_led", "fastest_laps")}
    )
    by_rules = fantasy_points(frame, DRAFTKINGS_NASCAR.scoring).to_numpy().reshape(50, -1)
    assert np.allclose(scenarios.points[:50], by_rules, atol=1e-9)
    older = by_table(scenarios, DRAFTKINGS_NASCAR_2019)
    by_rules = fantasy_points(frame, DRAFTKINGS_NASCAR_2019.scoring).to_numpy().reshape(50, -1)
    assert np.allclose(older[:50], by_rules, atol=1e-9)


def test_the_points_table_follows_the_day_of_the_race(model):
    old = model.simulate(make_entry(20), make_race(0, "2019-03-03"), 20, np.random.default_rng(0))
    assert np.allclose(old.points, by_table(old, DRAFTKINGS_NASCAR_2019))


def test_a_predicted_dominator_gets_its_chance_and_one_that_nobody_shows_leaves_it_to_the_others(model):
    ahead = replace(model.regime_model, coefficients=np.array([1.0, 0.0, 0.0, 0.0]))
    drawn = [
        replace(model, regime_model=ahead, thresholds=RegimeThresholds(leader_share=share)).simulate(
            make_entry(20), make_race(0), 500, np.random.default_rng(1)
        )
        for share in (0.4, 1.0)
    ]
    assert drawn[0].regime_shares()["dominator"] == pytest.approx(1 / (1 + np.exp(-1)))
    assert drawn[1].regime_shares()["dominator"] == 0 and drawn[1].weight == pytest.approx(np.full(500, 1 / 500))


# ---------------------------------------------------------------- what must not matter


def test_more_scenarios_extend_fewer_across_chunks(model, scenarios):
    more = model.simulate(make_entry(20), make_race(0), CHUNK + 2500, np.random.default_rng(1))
    head = more.take(np.arange(len(scenarios)))
    assert same(scenarios, head)


def test_the_number_of_threads_changes_nothing(model, scenarios):
    assert same(scenarios, model.simulate(make_entry(20), make_race(0), 3000, np.random.default_rng(1), threads=5))


def test_the_order_of_drivers_changes_nothing(model, scenarios):
    shuffled = make_entry(20).sample(frac=1.0, random_state=3)
    other = model.simulate(shuffled, make_race(0), 3000, np.random.default_rng(1))
    back = [list(other.drivers).index(d) for d in scenarios.drivers]
    for name in DRAWN:
        assert np.array_equal(getattr(scenarios, name), getattr(other, name)[:, back]), name
    assert np.allclose(scenarios.weight, other.weight)


def test_races_on_or_after_the_date_are_not_used(history):
    results, races = history
    before = races["date"].iloc[16]
    later = results["race_id"].isin(races["race_id"].iloc[16:])
    wrong = results.copy()
    for column in ("finish", "laps_led", "fastest_laps", "dnf", "dk_points"):
        wrong.loc[later, column] = wrong.loc[later, column].to_numpy()[::-1]
    wild = races.assign(cautions=races["cautions"].where(races["date"] < before, 99))
    a = RaceModel.fit(results, races, before)
    b = RaceModel.fit(wrong, wild, before)
    here = make_race(1, str(before.date()))
    first, second = (m.simulate(make_entry(20), here, 300, np.random.default_rng(5)) for m in (a, b))
    assert same(first, second)
    assert np.array_equal(first.weight, second.weight)


# ---------------------------------------------------------------- who races, from where


def test_who_is_out_does_not_race(model):
    entry = make_entry(20).assign(out=[True] + [False] * 19)
    s = model.simulate(entry, make_race(0), 200, np.random.default_rng(0))
    assert (s.finish[:, 0] == 0).all()
    assert (s.points[:, 0] == 0).all()
    assert (np.sort(s.finish[:, 1:], axis=1) == np.arange(1, 20)).all()
    without = model.simulate(entry.iloc[1:], make_race(0), 200, np.random.default_rng(0))
    assert np.array_equal(s.points[:, 1:], without.points)
    assert np.array_equal(s.regime, without.regime)


def test_a_car_to_the_rear_keeps_its_place_for_scoring(model):
    usual, rear = make_entry(20), make_entry(20).assign(to_rear=[True] + [False] * 19)
    a, b = (model.simulate(e, make_race(0), 4000, np.random.default_rng(0)) for e in (usual, rear))
    assert (b.start[:, 0] == 1).all()
    assert np.allclose(b.points, by_table(b, DRAFTKINGS_NASCAR))
    assert b.laps_led[:, 0].mean() < a.laps_led[:, 0].mean()
    assert "driver 00" in b.notes[0]


def test_a_missing_start_is_assumed_and_said(model):
    none = model.simulate(make_entry(20).drop(columns="start"), make_race(0), 500, np.random.default_rng(0))
    assert (np.sort(none.start, axis=1) == np.arange(1, 21)).all()
    assert len(np.unique(none.start[:, 0])) > 3
    assert "drawn" in none.notes[0]
    entry = make_entry(20)
    entry["start"] = entry["start"].astype(float).where(entry["driver"] != "driver 03")
    some = model.simulate(entry, make_race(0), 50, np.random.default_rng(0))
    assert (some.start[:, 3] == 21).all()
    assert "driver 03" in some.notes[0]


def test_scenarios_follow_the_rows_of_a_slate(scenarios):
    frame = pd.DataFrame(
        {"driver": ["driver 05", "nobody", "driver 02", "driver 11", "driver 07", "driver 01", "driver 09"]}
    ).assign(salary=8000, out=[False, True, False, False, False, False, False])
    seen = scenarios.for_slate(Slate.from_frame(frame))
    assert np.array_equal(seen.points[:, 0], scenarios.points[:, 5])
    assert (seen.points[:, 1] == 0).all()
    assert np.array_equal(seen.weight, scenarios.weight)
    with pytest.raises(ValueError, match="nobody"):
        scenarios.for_slate(Slate.from_frame(frame.assign(out=False)))


def test_taken_scenarios_keep_their_relative_weights(scenarios):
    rows = np.array([5, 1, 700])
    taken = scenarios.take(rows)
    assert np.allclose(taken.weight, scenarios.weight[rows] / scenarios.weight[rows].sum())
    assert np.array_equal(taken.points, scenarios.points[rows])


# ---------------------------------------------------------------- kernels against a second truth


def law(worth=(0.0, 0.0), team=None, laps=400, track=0, **figures):
    """Return the law of a made-up race: shipped figures of intermediates, 400 laps of a mile, changed as told."""
    here = replace(make_race(track), track_length_mi=1.0, sched_laps=laps)
    told = default_mechanics()["intermediate"]._replace(**figures)
    return told.for_race(here, np.asarray(worth), np.full(len(worth), -1) if team is None else team)


FEW = {"stage_ends": (0.25, 0.5), "caution_mean": 4.0, "caution_size": 6.0, "caution_miles": 4.0, "late": 0.0}


def test_the_number_of_cautions_is_negative_binomial_plus_stage_ends():
    drawn = draw_cautions(law(**FEW), 40_000, np.random.default_rng(0))
    others = drawn[:, OTHERS]
    assert others.mean() == pytest.approx(4.0, abs=4 * np.sqrt((4 + 16 / 6) / 40_000))
    expected = stats.nbinom(6.0, 6.0 / 10.0)
    for k in range(8):
        p = expected.pmf(k)
        assert (others == k).mean() == pytest.approx(p, abs=4.5 * np.sqrt(p / 40_000))
    assert drawn[:, COUNT].mean() == pytest.approx(5.8, abs=0.06), "few of them are lost at the end"


def test_without_chance_cautions_fall_on_the_stage_ends():
    calm = law(**FEW | {"caution_mean": 0.0, "stage_probability": 1.0})
    count, slow, longest, final, others = draw_cautions(calm, 500, np.random.default_rng(0)).T
    assert (count == 2).all()
    assert (others == 0).all()
    assert (slow >= 2).all()
    assert ((final <= 199) & (final >= 170)).all()
    assert (longest == np.maximum(100, final)).all()


def test_late_cautions_shorten_the_final_run():
    runs = [
        draw_cautions(law(**FEW | {"late": p}), 4000, np.random.default_rng(0))[:, FINAL].mean()
        for p in (0.0, 0.2, 0.5)
    ]
    assert runs[0] > runs[1] > runs[2]


def test_the_order_is_attrition_in_three_parts():
    worth = np.linspace(1.5, -1.5, FRONT + 2)
    n, d = 60_000, len(worth)
    cautions, dropouts = np.zeros((n, 5), np.int32), np.zeros((n, 2), np.int64)
    dropouts[:, 0] = 1
    told = law(worth, order_out=0.4, order_running=1.2, order_front=0.7, order_by_caution=0.0)
    finish = draw_order(told, cautions, dropouts, np.random.default_rng(0))
    gone = np.zeros((n, d), bool)
    for place, scale in ((d, 0.4), (d - 1, 1.2), *((k, 0.7) for k in range(d - 2, 1, -1))):
        odds = np.where(gone, 0.0, np.exp(-scale * worth))
        exact = (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)
        assert (finish == place).mean(axis=0) == pytest.approx(exact, abs=0.008), place
        gone |= finish == place


def test_what_the_front_weighs_changes_nothing_behind_it():
    worth, n = np.linspace(2, -2, 20), 4000
    none = np.zeros((n, 5), np.int32), np.zeros((n, 2), np.int64)
    laws = [law(worth, order_running=1.1, order_front=x) for x in (1.1, 0.3)]
    a, b = (draw_order(x, *none, np.random.default_rng(0)) for x in laws)
    assert ((a <= FRONT) == (b <= FRONT)).all()
    assert (a[a > FRONT] == b[a > FRONT]).all()
    assert (a[:, 0] == 1).mean() > (b[:, 0] == 1).mean() + 0.05


def test_cautions_shuffle_the_order():
    worth, n = np.linspace(2, -2, 10), 4000
    told, won = law(worth, order_running=1.0, order_front=0.8, order_by_caution=0.5), []
    for count in (1, 6, 15):
        cautions = np.full((n, 5), count, np.int32)
        finish = draw_order(told, cautions, np.zeros((n, 2), np.int64), np.random.default_rng(0))
        won.append((finish[:, 0] == 1).mean())
    assert won[0] > won[1] > won[2]


def test_teammates_share_their_day():
    n, worth = 20_000, np.zeros(12)
    none = np.zeros((n, 5), np.int32), np.zeros((n, 2), np.int64)
    team = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, -1, -1, -1])
    together = []
    for shared in (0.0, 0.5, 1.0):
        told = law(worth, team, order_running=1.0, order_front=1.0, order_by_caution=0.0)
        finish = draw_order(told._replace(team_day=shared), *none, np.random.default_rng(0))
        correlation = np.corrcoef(finish.T)
        together.append(correlation[0, 1])
        assert correlation[9, 10] < 0.05, "drivers without a team share nothing"
    assert together[0] == pytest.approx(-1 / 11, abs=0.02)  # the places of equal drivers add up to a constant
    assert together[0] + 0.05 < together[1] < together[2] - 0.1


def test_a_team_left_out_is_that_of_the_last_race(history):
    results, races = history
    teams = results["driver"].str[-2:].astype(int) // 4
    model = FinishModel.fit(results.assign(team="Team " + teams.astype(str)), races)
    given = model.teams(make_entry(20).assign(team=[f"Team {k // 4}" for k in range(20)]), make_race(0))
    np.testing.assert_array_equal(model.teams(make_entry(20), make_race(0)), given)
    assert len(set(given)) == 5
    assert (FinishModel.fit(results, races).teams(make_entry(20), make_race(0)) == -1).all()


def test_dropouts_leave_in_the_order_of_the_finish():
    n, d = 2000, 12
    finish = np.argsort(np.random.default_rng(0).random((n, d)), axis=1).argsort(axis=1).astype(np.int16) + 1
    dropouts = np.tile([3, 2], (n, 1))
    told = law(np.zeros(d), laps=200, steepness=1.0, lap_shape=1.4)
    reason, completed = draw_reasons(told, finish, dropouts, np.random.default_rng(1))
    assert (reason == 1).sum(axis=1).tolist() == [3] * n
    assert (reason == 2).sum(axis=1).tolist() == [2] * n
    assert (completed[reason == 0] == 200).all()
    for s in range(50):
        out = np.flatnonzero(reason[s])
        ran = completed[s, out[np.argsort(finish[s, out])]]
        assert (np.diff(ran) <= 0).all()


def test_laps_are_dirichlet_shares_of_the_weights():
    n, d, total = 20_000, 5, 100
    rng = np.random.default_rng(0)
    place = np.tile(np.arange(1, d + 1, dtype=np.int16), (n, 1))
    lead = np.array([0.5, 0.2, -0.3, -1.0, -2.0])
    none = Weights(*np.zeros(7), power=1.0)
    told = law(np.zeros(d), laps=total, lead=none, fast=none)._replace(lead_start=lead, fast_start=lead)
    cautions = np.tile(np.array([4, 20, 60, 30, 2], np.int32), (n, 1))
    reason, completed = np.zeros((n, d), np.int8), np.full((n, d), total, np.int32)
    led, fast = draw_laps(told, place, place, reason, completed, cautions, rng)
    share = np.exp(lead) / np.exp(lead).sum()
    spread = np.sqrt(share * (1 - share) / (np.exp(lead).sum() + 1))
    winner = np.array([1.0, 0, 0, 0, 0])
    assert np.abs(led.mean(axis=0) - (99 * share + winner)).max() < 4 * 99 * spread.max() / np.sqrt(n)
    assert led.std(axis=0) == pytest.approx(99 * spread, rel=0.03)
    assert np.abs(fast.mean(axis=0) - 75 * share).max() < 4 * 75 * spread.max() / np.sqrt(n)


def test_whole_laps_are_rounded_running_totals():
    rng = np.random.default_rng(0)
    for _ in range(50):
        share, offset, out = rng.dirichlet(np.ones(7)), rng.random(), np.zeros(7, np.int32)
        _whole_laps(share, 83, offset, out)
        levels = np.floor(np.concatenate([[0.0], offset + 83 * np.cumsum(share)]))
        levels[-1] = 83
        assert np.array_equal(out, np.diff(levels))


def test_a_dropout_leads_no_lap_after_leaving(model):
    here, worth, rng = make_race(0), np.linspace(1, -1, 20), np.random.default_rng(0)
    told = model.mechanics["intermediate"].for_race(here, worth, NO_TEAMS[:20])
    cautions = draw_cautions(told, 3000, rng)
    dropouts = draw_dropouts(told, cautions, rng)
    finish = draw_order(told, cautions, dropouts, rng)
    reason, completed = draw_reasons(told, finish, dropouts, rng)
    start = np.tile(np.arange(1, 21, dtype=np.int16), (3000, 1))
    led, fast = draw_laps(told, finish, start, reason, completed, cautions, rng)
    assert (led <= completed).all()
    assert (fast <= completed).all()
    assert (led[reason > 0] > 0).any(), "laps led before leaving count"


def test_a_long_final_run_loosens_the_tie_between_leading_and_winning():
    told = default_mechanics()["intermediate"].for_race(make_race(0), np.zeros(20), NO_TEAMS[:20])
    n = 8000
    place = np.tile(np.arange(1, 21, dtype=np.int16), (n, 1))
    start = np.tile(np.arange(20, 0, -1, dtype=np.int16), (n, 1))
    none, full = np.zeros((n, 20), np.int8), np.full((n, 20), 120, np.int32)
    led = []
    for final in (told.fuel_window - 1, told.fuel_window):
        cautions = np.tile(np.array([5, 25, 60, final, 3], np.int32), (n, 1))
        led.append(draw_laps(told, place, start, none, full, cautions, np.random.default_rng(0))[0][:, 0].mean())
    assert led[1] < led[0] - 1


# ---------------------------------------------------------------- figures from history


def as_history(s, here, number):
    """Write scenarios as finished races, one a day."""
    n, d = s.finish.shape
    ids = np.array([f"race {number}-{k}" for k in range(n)])
    wide = {k: getattr(s, k).ravel() for k in ("start", "finish", "laps_led", "fastest_laps")}
    results = pd.DataFrame({"race_id": ids.repeat(d), "driver": np.tile(s.drivers, n), **wide})
    results = results.assign(dnf=s.dropped_out.ravel() * 1, dnf_crash=s.crashed.ravel() * 1)
    races = pd.DataFrame({"race_id": ids, "cautions": s.cautions, "caution_laps": s.caution_laps})
    return results, races.assign(
        date="2024-01-01",
        track=here.track,
        track_type=here.track_type,
        track_length_mi=here.track_length_mi,
        sched_laps=here.sched_laps,
        race_laps=here.sched_laps,
    )


def test_figures_are_recovered_from_simulated_history(model):
    here, entry = make_race(0), make_entry(36)
    shipped = default_mechanics()["intermediate"]
    truth = shipped._replace(caution_mean=10.0, crash_mean=6.0, lead=shipped.lead._replace(power=1.4))
    s = replace(model, mechanics={"intermediate": truth}).simulate(entry, here, 400, np.random.default_rng(0))
    found = fit_mechanics(*as_history(s, here, 0))["intermediate"]
    assert found.caution_mean == pytest.approx(10.0, rel=0.08)
    assert found.crash_mean == pytest.approx(6.0, rel=0.1)
    assert found.leader_share == pytest.approx(s.leader_share().mean(), abs=0.005)
    again = replace(model, mechanics={"intermediate": found}).simulate(entry, here, 400, np.random.default_rng(1))
    assert again.leader_share().mean() > shipped.leader_share + 0.6 * (found.leader_share - shipped.leader_share)


def test_weights_of_laps_are_recovered_from_simulated_history(model):
    here, entry = make_race(0), make_entry(36)
    shipped = default_mechanics()["intermediate"]
    truth = shipped._replace(lead=shipped.lead._replace(finish=0.9, start=0.2, power=1.0))
    s = replace(model, mechanics={"intermediate": truth}).simulate(entry, here, 400, np.random.default_rng(0))
    results, races = as_history(s, here, 0)
    results["laps"] = np.where(results["dnf"] == 1, here.sched_laps / 2, here.sched_laps)
    told = results[["race_id", "driver"]].assign(log_worth=np.tile(model.finish.log_worth(entry, here), 400))
    found = fit_race.fit_laps(results, races, told, {"intermediate": shipped})["intermediate"]
    assert found.lead.finish == pytest.approx(0.9, abs=0.15)
    assert found.lead.start == pytest.approx(0.2, abs=0.12)


def test_dirichlet_weights_have_the_gradient_of_their_likelihood():
    rng = np.random.default_rng(0)
    design, race_of = rng.normal(size=(30, 3)), np.repeat([0, 1, 2], 10)
    counts, age = rng.integers(0, 20, 30).astype(float), np.array([1.0, 0.5, 0.25])
    args = (design, counts, race_of, np.zeros(30), age, np.zeros(3))
    beta, step = np.array([0.2, -0.1, 0.3]), 1e-5
    up, down = ([fit_race.laps_loss(beta + sign * step * e, *args)[0] for e in np.eye(3)] for sign in (1, -1))
    assert fit_race.laps_loss(beta, *args)[1] == pytest.approx(np.subtract(up, down) / (2 * step), rel=1e-5)


def test_thin_history_stays_with_the_shipped_figures():
    results, races = make_history(3)
    bare = results[["race_id", "driver", "start", "finish", "laps_led"]]
    thin = RaceModel.fit(bare, races.drop(columns=["cautions", "caution_laps", "race_laps"]))
    shipped = default_mechanics()
    assert thin.mechanics["dirt"] == shipped["dirt"]
    assert thin.mechanics["intermediate"].crash_mean == shipped["intermediate"].crash_mean
    s = thin.simulate(make_entry(20), make_race(0), 100, np.random.default_rng(0))
    assert np.allclose(s.weight, 0.01), "too few races to tell regimes: the simulator's own frequencies stand"


def test_more_races_move_figures_further_from_the_prior(history):
    results, races = history
    shipped = default_mechanics()["intermediate"].crash_mean
    few = fit_mechanics(results, races.iloc[-4:])["intermediate"].crash_mean
    all_races = fit_mechanics(results, races)["intermediate"].crash_mean
    assert abs(all_races - shipped) > abs(few - shipped)


def test_shipped_figures_survive_a_round_trip(tmp_path, monkeypatch):

    text = fit_race.as_text(default_mechanics(), "a test")
    (tmp_path / "figures.json").write_text(text)
    shipped = default_mechanics()
    monkeypatch.setattr("dfslab.race._tracks._DEFAULTS", tmp_path / "figures.json")
    default_mechanics.cache_clear()
    assert default_mechanics() == shipped
    default_mechanics.cache_clear()
    assert {kind for _, kind, _, _ in TRACKS} <= set(shipped)
    assert all(isinstance(m, Mechanics) for m in shipped.values())


def test_green_runs_come_from_segments():
    segments = pd.DataFrame(
        {
            "season": 2024,
            "race_no": [1, 1, 1, 1, 2, 2],
            "start_lap": [41, 1, 31, 38, 1, 61],
            "laps": [20, 30, 7, 3, 60, 5],
            "flag": ["green", "green", "caution", "green", "green", "caution"],
        }
    )
    runs = fit_race.green_runs(segments)
    assert runs["longest_green_run"].tolist() == [30, 60]
    assert runs["final_green_run"].tolist() == [20, 0]


# ---------------------------------------------------------------- the simulator beside what happened


def test_the_record_of_the_simulator_finds_a_model_that_told_the_truth(history):
    results, races = history
    model = RaceModel.fit(results, races)
    here = make_race(0)
    s = model.simulate(make_entry(20), here, 40, np.random.default_rng(3))
    made, facts = as_history(s, here, 1)
    made["dk_points"] = s.points.ravel()
    told = {
        r: model.simulate(make_entry(20), here, 200, np.random.default_rng(100 + k))
        for k, r in enumerate(facts["race_id"])
    }
    facts = facts.assign(date="2024-06-02")
    card = simulator_record(told, made, facts, np.random.default_rng(0)).set_index("measure")
    checked = ["points mean", "drop-outs", "leader_share", "start_finish_correlation", "PIT mean of points"]
    assert (card.loc[checked, "difference"].abs() < 3.5 * card.loc[checked, "difference_se"]).all()
    assert card.loc["PIT sd of finish", "real"] == pytest.approx(1 / np.sqrt(12), abs=0.02)


def test_forecasts_use_earlier_races_only(history):
    results, races = history
    since, last = races["date"].iloc[22], races["race_id"].iloc[-1]
    wrong = results.copy()
    wrong.loc[wrong["race_id"] == last, ["finish", "laps_led"]] = wrong.loc[
        wrong["race_id"] == last, ["finish", "laps_led"]
    ].to_numpy()[::-1]
    a = forecast_races(results, races, since, n_scenarios=30, rng=np.random.default_rng(0))
    b = forecast_races(wrong, races, since, n_scenarios=30, rng=np.random.default_rng(0))
    assert list(a) == races["race_id"].iloc[22:].tolist()
    assert all(same(a[r], b[r]) for r in a)


def test_the_simulator_is_scored_as_a_user_would_have_seen_it(history):
    results, races = history
    since, last = races["date"].iloc[22], races.iloc[-1]
    scores = finish_record(results, races, since, n_scenarios=2000).scores
    assert scores["case"].nunique() == 2 and set(scores["model"]) == {"attrition", "model"}
    mine = scores[(scores["case"] == last["race_id"]) & (scores["model"] == "model")].set_index("score")["value"]
    entry = results[results["race_id"] == last["race_id"]].reset_index(drop=True)
    here = make_race(23, str(last["date"].date()))
    s = RaceModel.fit(results, races, last["date"]).simulate(
        entry[["driver", "start"]], here, 8000, np.random.default_rng(7)
    )
    top3 = s.weight @ (s.finish <= 3)
    assert mine["top3_brier"] == pytest.approx(((top3 - (entry["finish"] <= 3)) ** 2).mean(), abs=0.015)
    win = s.weight @ (s.finish[:, entry["finish"].argmin()] == 1)
    assert mine["winner_log_score"] == pytest.approx(np.log(win), abs=0.3)
    assert mine["spearman"] == pytest.approx(stats.spearmanr(s.weight @ s.finish, entry["finish"]).statistic, abs=0.03)


def test_scores_know_no_later_race(history):
    results, races = history
    day = races["date"].iloc[22]
    later = results["race_id"] == races["race_id"].iloc[23]
    wrong = results.copy()
    for column in ("finish", "laps_led", "dnf"):
        wrong.loc[later, column] = wrong.loc[later, column].to_numpy()[::-1]
    a, b = (finish_record(r, races, day, day, n_scenarios=300) for r in (results, wrong))
    pd.testing.assert_frame_equal(a.scores, b.scores)
    pd.testing.assert_frame_equal(a.drivers, b.drivers)


def test_the_reference_is_attrition_on_driver_and_start(history):
    results, races = history
    last = races["race_id"].iloc[-1]
    worth = reference_course(history_table(results, races)).forecast(last)
    before = results[results["race_id"] != last]
    grid = results.loc[results["race_id"] == last, "start"]
    assert np.corrcoef(worth, fit_attrition(before, ridge=1.5).log_worth)[0, 1] > 0.9
    assert np.corrcoef(worth, -grid)[0, 1] > 0.5


def test_records_of_two_series_stay_apart(history):
    results, races = history
    since = races["date"].iloc[21]
    one = finish_record(results, races, since, n_scenarios=100)
    other = finish_record(results, races.assign(series="xfinity"), since, n_scenarios=100)
    frames = {name: [getattr(record, name) for record in (one, other)] for name in ("scores", "drivers")}
    named = {name: pd.concat(f.assign(case=f["series"] + f["case"]) for f in both) for name, both in frames.items()}
    both = FinishRecord(**named)
    assert both.scores["case"].nunique() == 6 and set(both.skill(["series"])["n"]) == {3}
    best = both.drivers.sort_values("win", kind="stable").drop_duplicates(["case", "model"], keep="last")
    shown = both.favourites().set_index(["model", "event"]).loc[("model", "top 5")]
    assert shown["actual"] == pytest.approx((best.loc[best["model"] == "model", "finish"] <= 5).mean())
    assert shown["n"] == 6


def test_the_skill_table_pairs_the_races(history):
    record = finish_record(*history, history[1]["date"].iloc[18], n_scenarios=300)
    scores, table = record.scores, record.skill(["track_type"]).set_index(["track_type", "score", "model"])
    assert table.loc["superspeedway"].loc["rps"]["n"].tolist() == [1, 1]
    row = record.skill().set_index(["score", "model"]).loc[("rps", "model")]
    wide = scores[scores["score"] == "rps"].pivot(index="case", columns="model", values="value")
    gap = wide["model"] - wide["attrition"]
    assert row["difference"] == pytest.approx(gap.mean()) and row["better"] == "lower"
    assert row["difference_se"] == pytest.approx(gap.std(ddof=1) / np.sqrt(6))


# ---------------------------------------------------------------- errors for people


def test_a_race_without_laps_names_the_file(history):
    results, races = history
    blank = races.assign(sched_laps=np.nan, race_laps=np.nan)
    with pytest.raises(ValueError, match="neither sched_laps nor race_laps"):
        finish_record(results, blank, races["date"].iloc[23], n_scenarios=20)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (make_entry(20).rename(columns={"driver": "name"}), "column 'driver' is missing"),
        (pd.concat([make_entry(5), make_entry(1)]), "driver 00 is listed twice"),
        (make_entry(2), "at least 3"),
        (make_entry(5).assign(start=[1, 2, 2, 4, 5]), "two drivers start 2"),
    ],
)
def test_a_wrong_entry_list_is_refused(model, entry, message):
    with pytest.raises(ValueError, match=message):
        model.simulate(entry, make_race(0), 10, np.random.default_rng(0))


def test_an_unknown_track_type_names_the_known_ones(model):
    strange = replace(make_race(0), track_type="moon")
    with pytest.raises(ValueError, match=r"moon.*intermediate"):
        model.simulate(make_entry(20), strange, 10, np.random.default_rng(0))


def test_no_history_before_the_date_is_refused(history):
    with pytest.raises(ValueError, match="history: no race before 2001-01-01; give earlier seasons"):
        RaceModel.fit(*history, before="2001-01-01")


def test_a_date_with_a_zone_is_that_day(history):
    told, plain = (RaceModel.fit(*history, before=day) for day in ("2022-05-01T00:00:00Z", "2022-05-01"))
    args = make_entry(20), make_race(0), 50
    assert same(told.simulate(*args, np.random.default_rng(0)), plain.simulate(*args, np.random.default_rng(0)))


@pytest.mark.parametrize("n", [0, -1, 2.5, None])
def test_a_number_of_scenarios_that_is_none_is_refused(model, n):
    with pytest.raises(ValueError, match=f"n_scenarios: {n} given; a whole number of at least 1"):
        model.simulate(make_entry(20), make_race(0), n, np.random.default_rng(0))
    assert len(model.simulate(make_entry(20), make_race(0), 5.0, np.random.default_rng(0))) == 5
