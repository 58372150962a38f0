"""The season walked forward: order of finish in the real field, slopes, salary alone, resuming, no leakage."""

import json
import secrets
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from race_files import RACE, write_history, write_race, write_standings
from scipy import stats

from dfslab.contest import simulate_contest
from dfslab.errors import InputError
from dfslab.rules import DRAFTKINGS_NASCAR
from dfslab.sample import replay
from dfslab.slate import Contest, Slate
from dfslab.workflow import (
    SAMPLE,
    _backtest,
    _cache,
    choose_portfolio,
    forecast_ownership,
    open_race,
    review,
    score_portfolios,
    simulate_race,
)
from dfslab.workflow._backtest import _cash_bands, run_backtest, salary_rank, summarise
from dfslab.workflow._review import NO_STANDINGS, Outcome, by_slate, play_real_field, read_outcome
from dfslab.workflow._verbs import fresh_races

SMALL = {"n_scenarios": 300, "n_lineups": 3, "n_draws": 40, "n_fresh_fields": 3, "n_candidates": 300, "n_fields": 2}
SMALL |= {"n_replays": 40, "n_replay_fields": 4}
RACES = ("2026-03-01-silver-playa", "2026-06-21-lakeshore")
PRIZES = [{"min_rank": 1, "max_rank": 1, "prize": 40}, {"min_rank": 2, "max_rank": 4, "prize": 10}]


def slow_place(lineups, field, points, contest):
    """Rank each of ours by counting everybody ahead, one by one; share prizes of ties."""
    scores = [sum(points[d] for d in row) for row in [*lineups, *field]]
    rows = []
    for mine in scores[: len(lineups)]:
        ahead = sum(s > mine + 1e-9 for s in scores)
        equal = sum(abs(s - mine) <= 1e-9 for s in scores)
        prizes = [*(contest.prizes / 100), *[0.0] * len(scores)]
        behind = sum(s < mine - 1e-9 for s in scores[len(lineups) :])
        ties = sum(abs(s - mine) <= 1e-9 for s in scores[len(lineups) :])
        rows.append((mine, ahead + 1, (behind + ties / 2) / len(field), sum(prizes[ahead : ahead + equal]) / equal))
    return pd.DataFrame(rows, columns=["points", "rank", "beaten", "prize"])


@pytest.mark.parametrize("seed", range(5))
def test_places_in_the_real_field_are_those_counted_one_by_one(seed):
    rng = np.random.default_rng(seed)
    draw = np.sort(rng.permuted(np.tile(np.arange(9), (25, 1)), axis=1)[:, :6], axis=1)
    points = rng.integers(-3, 4, 9) * 0.25
    outcome = Outcome(points, draw[5:], np.zeros(9), None, None)
    found = play_real_field(draw[:5], outcome, Contest(5.0, 20, PRIZES), DRAFTKINGS_NASCAR)
    pd.testing.assert_frame_equal(
        found.astype(float), slow_place(draw[:5], draw[5:], points, Contest(5.0, 20, PRIZES)).astype(float)
    )


def test_the_winner_entered_again_shares_the_first_places():
    field = np.array([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7]])
    outcome = Outcome(np.arange(8, 0, -1.0), field, np.zeros(8), None, None)
    found = play_real_field(field[:1], outcome, Contest(5.0, 4, PRIZES), DRAFTKINGS_NASCAR).iloc[0]
    assert found["rank"] == 1
    assert found["prize"] == 25.0
    assert found["beaten"] == pytest.approx((2 + 0.5) / 3)


def test_salary_alone_finds_again_what_salary_alone_decided():
    rng = np.random.default_rng(1)
    salary = np.sort(rng.choice(np.arange(45, 110), 24, replace=False))[::-1] * 100
    truth = np.exp(np.linspace(2, -2, 24))
    truth *= 6 / truth.sum()
    past = pd.concat([pd.DataFrame({"contest_id": c, "salary": salary, "ownership": truth}) for c in range(4)])
    slate = Slate.from_frame({"driver": [f"d{i}" for i in range(24)], "salary": salary, "out": [True] + [False] * 23})
    told = salary_rank(past, slate)
    assert told.sum() == pytest.approx(6)
    assert told[0] == 0
    assert np.corrcoef(told[1:], truth[1:])[0, 1] > 0.97
    np.testing.assert_allclose(salary_rank(past.iloc[:0], slate)[1:], 6 / 23)


def test_names_of_another_spelling_find_their_row():
    names = np.array([*"abc", "B.J. McLeod"], object)
    np.testing.assert_array_equal(by_slate(pd.Series({"BJ McLeod": 7.0}), names)[-1:], [7.0])


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """A backtest of two races of a copy of the bundled season, which nothing kept by an earlier run knows."""
    folder = tmp_path_factory.mktemp("season")
    shutil.copytree(SAMPLE, folder / "data")
    for race_id in RACES:
        (folder / "data" / "races" / race_id / "copy.txt").write_text(secrets.token_hex())
    seen = []
    frames = run_backtest(
        folder / "data",
        folder / "out",
        races=RACES,
        workers=1,
        replay=replay,
        progress=seen.append,
        **SMALL,
    )
    assert seen == ["1 of 2 done", "2 of 2 done"]
    return folder, frames


def test_a_backtest_scores_every_race_and_strategy(season):
    _, frames = season
    assert frames["failed"].empty
    assert frames["races"]["race_id"].tolist() == list(RACES)
    assert frames["races"]["audited"].all()
    assert (frames["races"]["n_lineups"] <= 3).all()
    money = frames["money"]
    assert money.groupby("race_id").size().tolist() == [5, 5]
    assert money["beaten"].between(0.2, 1).all()
    for rate in ("cash", "predicted_cash", "replay_cash", "top_1pct", "replay_top_1pct"):
        assert money[rate].between(0, 1).all()
    assert money["calibrated_payout"].notna().all() and (money["calibrated_low"] <= money["calibrated_high"]).all()
    random = money[money["strategy"].str.startswith("random entries")]
    np.testing.assert_allclose(random["calibrated_payout"] / random["fees"] - 1, random["average_return"], atol=0.4)
    assert set(frames["drivers"]) >= {"driver", "model", "ownership", "replay_points", "replay_ownership", "race_id"}
    assert frames["drivers"].groupby("race_id")["replay_ownership"].sum().tolist() == pytest.approx([6, 6])
    stored = json.loads((season[0] / "out" / f"{RACES[0]}.json").read_text())
    assert "calibrated_top_1pct" in stored["money"][0]
    tables = summarise(frames)
    assert list(tables) == ["scores", "score_gains", "field", "gains", "reliability", "cash_bands"]
    assert not tables["gains"]["portfolio_gains"].iloc[1:].isna().any()


def test_the_summary_is_the_mean_over_races_with_its_paired_error(season):
    _, frames = season
    money = frames["money"].set_index(["strategy", "race_id"])
    gap = (money.loc["no regimes", "replay_gap"] / money.loc["no regimes", "fees"]).to_numpy()
    row = summarise(frames)["gains"].set_index("strategy").loc["no regimes"]
    assert row["portfolio_gains"] == pytest.approx(gap.mean())
    assert row["portfolio_gains_se"] == pytest.approx(gap.std(ddof=1) / np.sqrt(2))
    both = money["replay_expected_payout"].unstack(0)
    np.testing.assert_allclose(both["portfolio"] - both["no regimes"], money.loc["no regimes", "replay_gap"], atol=1e-9)


def test_a_real_season_is_judged_by_our_own_simulator_and_says_so(season):
    _, frames = season
    money = frames["money"]
    real = frames | {"money": money[[c for c in money if not c.startswith("replay_")]]}
    table = summarise(real)["gains"].set_index("strategy")
    assert (table["judged_by"] == "our simulator").all()
    np.testing.assert_allclose(table["return"], table["predicted_return"])
    assert set(summarise(real)["reliability"]["judged_by"]) == {"standings"}


def test_bands_of_rates_hold_every_race_and_strategy(season):
    _, frames = season
    bands = _cash_bands(frames["money"], 3)
    assert bands["n"].sum() == len(frames["money"])
    mean = frames["money"]["replay_cash"].mean()
    assert (bands["actual"] * bands["n"]).sum() / bands["n"].sum() == pytest.approx(mean)


def test_a_second_run_scores_nothing_again_but_what_was_changed(season, monkeypatch):
    folder, frames = season
    scored, rows = [], _backtest._decided_and_revealed
    monkeypatch.setattr(_backtest, "_decided_and_revealed", lambda day, *rest: scored.append(day) or rows(day, *rest))
    run = {"races": RACES, "workers": 1, "replay": replay}
    again = run_backtest(folder / "data", folder / "again", **run, **SMALL)
    pd.testing.assert_frame_equal(again["money"], frames["money"], check_dtype=False)
    assert not scored and (folder / "again" / f"{RACES[1]}.json").exists()
    run_backtest(folder / "data", folder / "again", **run, **SMALL | {"n_replays": 20})
    assert len(scored) == 2


def test_later_races_change_nothing(season, tmp_path, monkeypatch):
    """Leakage: with all later results and contests gone the race is decided and scored as before, from nothing kept."""
    folder, frames = season
    monkeypatch.setattr(_cache, "cache_folder", lambda: tmp_path)
    corrupt = folder / "corrupt"
    shutil.copytree(folder / "data", corrupt)
    for name, last in (("results", RACES[0][:10]), ("races", RACES[0][:10]), ("ownership", "2026-02-28")):
        table = pd.read_csv(corrupt / "history" / f"{name}.csv")
        table[table["date"] <= last].to_csv(corrupt / "history" / f"{name}.csv", index=False)
    again = run_backtest(corrupt, folder / "other", races=RACES[:1], workers=1, replay=replay, **SMALL)
    first = frames["money"][frames["money"]["race_id"] == RACES[0]].reset_index(drop=True)
    pd.testing.assert_frame_equal(again["money"], first, check_dtype=False)


def test_a_race_that_cannot_be_decided_is_told_and_the_others_go_on(season):
    folder, _ = season
    (folder / "data" / "races" / RACES[1] / "contest.json").write_text("{")
    found = run_backtest(folder / "data", folder / "out", races=RACES, workers=1, replay=replay, **SMALL)
    assert found["races"]["race_id"].tolist() == [RACES[0]]
    assert found["failed"]["race_id"].tolist() == [RACES[1]]
    assert "contest.json" in found["failed"]["error"].iloc[0]


def test_unknown_settings_and_seasons_without_standings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no setting n_races"):
        run_backtest(tmp_path, tmp_path / "out", n_races=3)
    write_race(tmp_path)
    with pytest.raises(InputError, match="no race has contest standings"):
        run_backtest(tmp_path, tmp_path / "out")


def test_after_the_race_every_number_is_read_back_from_the_files(tmp_path):
    day = open_race(RACES[1])
    races = simulate_race(day, 300)
    crowd = forecast_ownership(day, races, 40)
    mine = choose_portfolio(day, races, crowd, 3, n_candidates=300, n_fields=2)
    told = score_portfolios(day, {"portfolio": mine}, crowd, n_scenarios=400, n_fields=4)
    after, slate = review(day, races, crowd, mine, scores=told), day.slate
    assert len(after.entries) == day.contest.entering(3)
    scores = after.outcome.points[mine.lineups].sum(axis=1)[: len(after.entries)]
    np.testing.assert_allclose(after.entries["points"], scores, atol=1e-6)
    assert after.summary["won"] == pytest.approx(after.entries["prize"].sum())
    counted = np.bincount(after.outcome.field.ravel(), minlength=len(slate)) / len(after.outcome.field)
    real = after.ownership.set_index("driver")["actual"].reindex(slate.names)
    np.testing.assert_allclose(real, counted, atol=0.006)
    assert after.ownership["share_error"].abs().is_monotonic_decreasing
    assert after.regime["happened"].sum() == 1
    assert after.regime["probability"].sum() == pytest.approx(1)
    assert after.drivers["below"].between(0, 1).all()
    assert set(after.drivers["driver"]) == set(slate.names[~slate.out])
    assert after.drivers["laps_led"].notna().all()
    assert "of the field beaten" in repr(after)
    again = review(replace(day, simulated=False, data_dir=tmp_path), races, crowd, mine, scores=told)
    assert not after.promise and again.promise["won"] == after.summary["won"] and not any(tmp_path.iterdir())
    larger = replace(day.contest, entries=2 * len(after.outcome.field) + 2)
    cut = review(replace(day, simulated=False), races, crowd, mine, contest=larger, scores=told)
    assert not cut.promise, "standings of fewer than half of the entries teach nothing"
    pd.testing.assert_frame_equal(again.entries, after.entries)
    field = after.outcome.field
    met = score_portfolios(day, {"portfolio": mine}, crowd, n_scenarios=400, n_fields=4, field=field)
    fresh, _ = fresh_races(day, crowd, 400, 4)
    one = replace(day.contest, entries=len(field) + len(after.entries))
    paid = simulate_contest(mine.lineups[: len(after.entries)], field, fresh.points, one).payout.sum(axis=1)
    assert met.table()["expected_payout"][0] == pytest.approx(fresh.weight @ paid)
    promised = stats.rankdata(mine.metrics["expected_payout"])
    assert after.order == pytest.approx(np.corrcoef(stats.rankdata(after.outcome.totals(mine.lineups)), promised)[0, 1])


def test_before_the_race_there_is_nothing_to_look_back_on(tmp_path):
    write_race(tmp_path)
    write_history(tmp_path)
    day = open_race(RACE, tmp_path)
    assert read_outcome(day, day.contest) is None
    write_standings(tmp_path / "races" / RACE)
    outcome = read_outcome(open_race(RACE, tmp_path), day.contest)
    assert outcome.results is None
    assert outcome.field.shape == (5, 6)


def test_results_without_standings_give_a_review_of_the_race_and_say_what_is_missing(tmp_path):
    (tmp_path / "history").symlink_to(SAMPLE / "history")
    left = shutil.ignore_patterns("contest-standings*")
    shutil.copytree(SAMPLE / "races" / RACES[1], tmp_path / "races" / RACES[1], ignore=left)
    day, whole = open_race(RACES[1], tmp_path), open_race(RACES[1])
    races = simulate_race(day, 300)
    crowd = forecast_ownership(day, races, 40)
    mine = choose_portfolio(day, races, crowd, 3, n_candidates=300, n_fields=2)
    after, known = review(day, races, crowd, mine), review(whole, races, crowd)
    pd.testing.assert_frame_equal(after.drivers, known.drivers)
    assert after.regime["happened"].sum() == 1 and not len(after.entries) and not len(after.ownership)
    assert repr(after) == f"AfterRace(ownership not known; {NO_STANDINGS.rstrip('.')})"
