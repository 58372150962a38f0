"""The simulated season: the same seed writes it again, its races and contests keep their books, it looks like real."""

import ast
import itertools
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dfslab
from dfslab.data import history, list_races, load_slate, match_names, open_folder, read_results
from dfslab.errors import InputError
from dfslab.rules import DRAFTKINGS_NASCAR, fantasy_points
from dfslab.sample import _season as sample
from dfslab.sample._crowd import Crowd, Facts, crowd_ownership, gather_crowd, solve_lineups
from dfslab.sample._files import payout_ladder
from dfslab.sample._race import Cars, run_races
from dfslab.sample._weeks import FIRST_SLATE, ContestPlan, plan_contests, race_points
from dfslab.sample._world import DRIVERS, FACTOR_RANGE, TEAMS, TRACKS, World, WorldFactors, draw_factors
from scripts.docs.data_readme import readme_text, shape_table

PACKAGE = Path(dfslab.__file__).parent
SEASON = sample.SEASON
RACES = list_races(SEASON)
FORBIDDEN = {"lineups", "regimes", "race", "optimize", "ownership", "field", "contest", "portfolio", "workflow"}


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Three races of the bundled seed; the third has not been run."""
    return sample.write_sample(tmp_path_factory.mktemp("season"), sample.SEED, n_races=3)


def content(path: Path) -> bytes:
    """Return a file's bytes, of a zip those of the one file inside."""
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        return archive.read(name)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: content(path) for path in sorted(folder.iterdir())}


# --- independence -------------------------------------------------------------------------------------------------


def imported(room: str) -> set[str]:
    """Return the rooms of the package that the sources of `room` name in an import."""
    names = set()
    for path in (PACKAGE / room).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "dfslab":
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dfslab."):
                names.add(node.module.split(".")[1])
    return names - {room}


def test_the_generator_reaches_none_of_the_models_it_is_to_judge():
    assert not (imported("sample") | imported("data")) & FORBIDDEN
    assert "race" in imported("workflow"), "the search for imports finds nothing"


# --- the same seed, the same season -------------------------------------------------------------------------------


def test_the_bundled_season_is_written_again_byte_by_byte(short):
    for race_id in RACES[:2]:
        assert files(short / "races" / race_id) == files(SEASON / "races" / race_id)


def test_history_is_written_again_and_only_grows(short):
    for name in ("results.csv", "races.csv"):
        again, bundled = (data_dir / "history" / name for data_dir in (short, SEASON))
        assert bundled.read_text().startswith(again.read_text())
    assert (SEASON / "seed.json").exists() and not (SEASON / "history" / ".lock").exists()


def test_what_is_written_before_a_race_does_not_know_its_result(short):
    """The third race has been run in the bundled season and not in the short one."""
    before, after = (files(data_dir / "races" / RACES[2]) for data_dir in (short, SEASON))
    standings = {name for name in after if name.startswith("contest-standings")}
    assert standings and not standings & set(before)
    assert {"DKSalaries.csv", "race.json", "contest.json", "projections.csv"} <= set(before)
    for name in set(before) - {"DKEntries.csv"}:
        assert before[name] == after[name], name


def test_another_seed_is_another_season_and_tuned_models_stay(short, tmp_path):
    (tmp_path / "seed.json").write_text("{}")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "kept.json").write_text("{}")
    seen = []
    other = sample.write_sample(tmp_path, sample.SEED + 1, n_races=2, on_race=seen.append)
    assert seen == list_races(other) == RACES[:2] and (other / "models" / "kept.json").exists()
    mine, theirs = (pd.read_csv(folder / "history" / "results.csv") for folder in (short, other))
    assert (mine["race_id"].unique()[:36] == theirs["race_id"].unique()[:36]).all()
    assert mine["finish"].tolist() != theirs["finish"].tolist()[: len(mine)]


def test_seeds_differ_in_the_law_and_the_bundled_one_has_the_plain_law(tmp_path):
    assert draw_factors(sample.SEED) == WorldFactors() and draw_factors(101) == draw_factors(101) != draw_factors(102)
    drawn = pd.DataFrame([vars(draw_factors(seed)) for seed in range(300)])
    for name, (low, high) in FACTOR_RANGE.items():
        assert drawn[name].between(low, high).all()
        assert drawn[name].median() == pytest.approx((low * high) ** 0.5, rel=0.1)
    assert "law" not in json.loads((SEASON / "seed.json").read_text())
    other = sample.write_sample(tmp_path / "other", 102, n_races=2)
    assert json.loads((other / "seed.json").read_text())["law"] == vars(draw_factors(102))


def test_contests_of_a_race_never_share_an_id():
    plans = [plan_contests(World(114), FIRST_SLATE + week) for week in range(27)]
    assert sum(len(week) > 1 for week in plans) > 5
    assert all(len({plan.contest_id for plan in week}) == len(week) for week in plans)


def test_each_part_of_the_law_moves_what_it_says():
    known = facts(np.random.default_rng(1))
    own = [gather_crowd(replace(known, doubt=d), 800, 1, np.random.default_rng(2)) for d in (0.7, 1.4)]
    sharp, vague = (np.sort(crowd_ownership(crowd, 30))[-6:].sum() for crowd in own)
    assert vague < sharp - 0.2
    paces = [World(3, WorldFactors(favourites=f)).pace(5, "short").std() for f in (1.0, 1.3)]
    assert paces[1] == pytest.approx(1.3 * paces[0])
    first = [payout_ladder(ContestPlan(1, 5, 2352, 1, 9900, t))[0]["prize"] for t in (0.8, 1.0, 1.2)]
    assert first == sorted(first) and first[2] > 1.5 * first[0]


@pytest.mark.parametrize("n", [1, 37])
def test_a_season_has_two_to_thirty_six_races(n, tmp_path):
    with pytest.raises(InputError, match="2 to 36"):
        sample.write_sample(tmp_path, n_races=n)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.csv").write_text("1")
    with pytest.raises(InputError, match="something else"):
        sample.write_sample(tmp_path, n_races=2)
    with pytest.raises(InputError, match="is a file"):
        sample.write_sample(tmp_path / "mine.csv", n_races=2)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


# --- the race -----------------------------------------------------------------------------------------------------


def entrants(number: int):
    weekend = World(3).weekend(number)
    return weekend, weekend.cars, weekend.venue


@pytest.fixture(scope="module", params=[0, 5, 12, 59], ids=["superspeedway", "short", "road", "dirt"])
def runs(request):
    weekend, cars, venue = entrants(request.param)
    out = run_races(cars, venue.mechanics, venue.laps, venue.stages, 0.03, 60, np.random.default_rng(5))
    return weekend, out


def test_laps_and_places_are_conserved(runs):
    _, out = runs
    d = out.finish.shape[1]
    assert (np.sort(out.finish, axis=1) == np.arange(1, d + 1)).all()
    assert (out.laps_led.sum(1) == out.race_laps).all()
    assert (out.fastest_laps.sum(1) == out.race_laps - out.caution_laps - out.green_runs).all()
    assert (out.laps <= out.race_laps[:, None]).all() and (out.laps >= 0).all()
    assert (out.laps[out.finish == 1] == out.race_laps).all()


def test_who_drops_out_finishes_behind_all_who_run_and_the_longer_he_ran_the_better(runs):
    _, out = runs
    by_place = np.argsort(out.finish, axis=1)
    gone = np.take_along_axis(out.status, by_place, 1) > 0
    assert (np.diff(gone.astype(int), axis=1) >= 0).all()
    for status, place in zip(out.status, by_place, strict=True):
        assert status[place[0]] == 0


def test_green_runs_fit_into_the_race(runs):
    weekend, out = runs
    green = out.race_laps - out.caution_laps
    assert (out.final_green_run <= out.longest_green_run).all() and (out.longest_green_run <= green).all()
    assert (out.longest_green_run * out.green_runs >= green).all()
    leaders = (out.laps_led > 0).sum(1)
    assert (out.lead_changes >= leaders - 1).all()
    to_the_end = out.race_laps >= weekend.venue.laps
    assert (out.cautions[to_the_end] >= 1).all() and to_the_end.mean() > 0.9


def test_more_races_extend_the_earlier_ones():
    _, cars, venue = entrants(1)
    few, many = (
        run_races(cars, venue.mechanics, venue.laps, venue.stages, 0.03, n, np.random.default_rng(2)) for n in (4, 9)
    )
    for short_run, long_run in zip(few, many, strict=True):
        assert (short_run == long_run[:4]).all()


def changed(cars: Cars, name: str, value: float) -> Cars:
    column = getattr(cars, name).copy()
    column[10] = value
    return cars._replace(**{name: column})


@pytest.mark.parametrize(
    "name, value, outcome, better",
    [
        ("pace", -4.0, "finish", -1),
        ("pace", 4.0, "finish", 1),
        ("risk", 40.0, "status", 1),
        ("pace", -4.0, "laps_led", 1),
    ],
)
def test_a_car_that_is_faster_or_riskier_shows_it(name, value, outcome, better):
    _, cars, venue = entrants(1)
    means = [
        getattr(run_races(c, venue.mechanics, venue.laps, venue.stages, 0.0, 80, np.random.default_rng(1)), outcome)[
            :, 10
        ].mean()
        for c in (cars, changed(cars, name, value))
    ]
    assert better * (means[1] - means[0]) > 0.25 * abs(means[0])


def test_without_incidents_the_only_cautions_are_the_stages():
    _, cars, venue = entrants(1)
    calm = venue.mechanics._replace(hazard=0.0, restart_hazard=0.0, debris=0.0, failure=0.0)
    out = run_races(cars, calm, venue.laps, venue.stages, 0.0, 10, np.random.default_rng(1))
    assert (out.cautions == 2).all() and (out.status == 0).all() and (out.race_laps == venue.laps).all()


def test_points_follow_the_rules_row_by_row(runs):
    weekend, out = runs
    frame = pd.DataFrame(
        {
            "start": weekend.frame["start"], "finish": out.finish[3], "laps_led": out.laps_led[3],
            "fastest_laps": out.fastest_laps[3],
        }
    )  # fmt: skip
    expected = fantasy_points(frame, DRAFTKINGS_NASCAR.scoring)
    assert race_points(out, weekend)[3] == pytest.approx(expected.to_numpy())


# --- the players --------------------------------------------------------------------------------------------------


def test_the_knapsack_finds_the_best_of_all_lineups():
    rng = np.random.default_rng(0)
    for _ in range(25):
        salary = rng.integers(45, 115, 11) * 100
        value = rng.normal(20, 12, 11)
        cap = int(np.sort(salary)[:6].sum() + rng.integers(0, 120) * 100)
        legal = [c for c in itertools.combinations(range(11), 6) if salary[list(c)].sum() <= cap]
        best = max(legal, key=lambda c: value[list(c)].sum())
        assert solve_lineups(value[None], salary, np.array([cap])).tolist() == [list(best)]


def test_every_player_gets_his_own_budget():
    salary = np.array([5000, 6000, 7000, 8000, 9000, 10000, 11000])
    picks = solve_lineups(np.tile(salary / 1000.0, (2, 1)), salary, np.array([45000, 51000]))
    assert salary[picks].sum(1).tolist() == [45000, 51000]


def facts(rng, d: int = 30) -> Facts:
    salary = np.linspace(110, 46, d).round().astype(int) * 100
    points = salary / 250 + rng.normal(0, 6, d)
    return Facts(
        np.arange(d), salary, rng.permutation(d) + 1.0, points, points + rng.normal(0, 2, d),
        points + rng.normal(0, 5, d), points + rng.normal(0, 8, d), points + rng.normal(0, 8, d), rng.normal(0, 1, d),
        np.zeros(d),
    )  # fmt: skip


@pytest.mark.parametrize("most", [1, 3, 150])
def test_a_crowd_is_legal_and_nobody_enters_twice_the_same(most):
    known = facts(np.random.default_rng(1))
    crowd = gather_crowd(known, 900, most, np.random.default_rng(2))
    assert crowd.lineups.shape == (900, 6) and (np.diff(crowd.lineups, axis=1) > 0).all()
    assert known.salary[crowd.lineups].sum(1).max() <= 50_000
    assert np.bincount(crowd.user).max() <= most and (np.diff(crowd.user) >= 0).all()
    keyed = np.column_stack([crowd.user, crowd.lineups])
    assert len(np.unique(keyed, axis=0)) == len(keyed)
    assert crowd_ownership(crowd, 30).sum() == pytest.approx(6)


def test_the_crowd_likes_what_the_touts_praise():
    known = facts(np.random.default_rng(1))
    praised = replace(
        known, first=known.first + 15 * (np.arange(30) == 12), second=known.second + 15 * (np.arange(30) == 12)
    )
    own = [crowd_ownership(gather_crowd(k, 800, 1, np.random.default_rng(2)), 30)[12] for k in (known, praised)]
    assert own[1] > own[0] + 0.1


def test_crowd_ownership_counts_entries():
    crowd = Crowd(np.array([[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 6]]), np.array([0, 1]))
    assert crowd_ownership(crowd, 8).tolist() == [1, 1, 1, 1, 1, 0.5, 0.5, 0]


@pytest.mark.parametrize("top_heavy", [*FACTOR_RANGE["top_heavy"], 1.0])
@pytest.mark.parametrize("fee, entries, pool", [(1, 4756, 3900), (12, 1176, 11900), (5, 2352, 9900), (0.25, 1111, 200)])
def test_a_ladder_adds_up_to_its_pool_and_never_rises(fee, entries, pool, top_heavy):
    rows = payout_ladder(ContestPlan(1, fee, entries, 1, pool, top_heavy))
    paid = sum(round(100 * row["prize"]) * (row["max_rank"] - row["min_rank"] + 1) for row in rows)
    assert paid == 100 * pool
    prizes = [row["prize"] for row in rows]
    assert prizes == sorted(prizes, reverse=True) and prizes[-1] >= fee


# --- the files ----------------------------------------------------------------------------------------------------


def test_there_are_enough_races_of_every_kind_in_little_room():
    kinds = {load_slate(race_id, SEASON).race.track_type for race_id in RACES}
    assert len(RACES) >= 24 and {"superspeedway", "intermediate", "short", "short_flat", "road"} <= kinds
    assert sum(path.stat().st_size for path in SEASON.rglob("*") if path.is_file()) <= 5_000_000


@pytest.mark.parametrize("race_id", RACES)
def test_every_race_reads_and_says_that_it_is_simulated(race_id):
    slate, folder = load_slate(race_id, SEASON), SEASON / "races" / race_id
    told = json.loads((folder / "race.json").read_text())
    assert told["simulated"] is True and told["race_name"].endswith("(simulated)")
    assert (pd.read_csv(folder / "DKSalaries.csv")["Game Info"] == told["race_name"]).all()
    assert 36 <= len(slate) <= 42 and (slate.salary % 100 == 0).all()
    assert not any("not in this race" in note for note in slate.notes)
    for contest in open_folder(race_id, SEASON).contests:
        assert contest.prizes.sum() == round(100 * contest.pool) and 0.1 < contest.rake < 0.25
        assert "Simulated" in contest.name


@pytest.mark.parametrize("race_id", RACES[:-1:5])
def test_standings_agree_with_the_results_and_with_themselves(race_id):
    slate = load_slate(race_id, SEASON)
    results = read_results(SEASON / "history" / "results.csv").query("race_id == @race_id")
    written = match_names(slate.names, results["driver"]).pairs
    points = results.set_index("driver")["dk_points"].reindex([written.get(name) for name in slate.names]).fillna(0.0)
    points = points.to_numpy()
    for standings in open_folder(race_id, SEASON).standings:
        entries = standings.entries
        filled = entries["drivers"].map(bool)
        lineups = standings.lineups(slate)
        assert not slate.out[lineups].any() and slate.salary[lineups].sum(1).max() <= 50_000
        assert points[lineups].sum(1) == pytest.approx(entries.loc[filled, "points"].to_numpy(), abs=1e-3)
        ticks = DRAFTKINGS_NASCAR.to_ticks(entries["points"])
        assert (entries["rank"][filled] == 1 + np.array([(ticks[filled] > t).sum() for t in ticks[filled]])).all()
        drafted = np.bincount(lineups.ravel(), minlength=len(slate)) / len(entries)
        assert standings.ownership.reindex(slate.names).fillna(0).to_numpy() == pytest.approx(drafted, abs=6e-5)


def test_the_last_race_has_not_been_run():
    results = read_results(SEASON / "history" / "results.csv")
    assert RACES[-1] not in set(results["race_id"]) and set(RACES[:-1]) <= set(results["race_id"])
    assert not open_folder(RACES[-1], SEASON).standings
    assert open_folder(RACES[-1], SEASON).entries.frame["contest_id"].nunique() == 2


def test_ownership_history_holds_every_contest_once():
    past = history(SEASON).ownership
    assert past["contest_id"].nunique() == len(list(SEASON.glob("races/*/contest-standings-*")))
    assert not past.duplicated(["contest_id", "driver"]).any()


def test_the_oddities_of_real_files_are_there():
    kinds = [json.loads((SEASON / "races" / race_id / "contest.json").read_text()) for race_id in RACES]
    assert any(isinstance(k, list) for k in kinds) and any("contestDetail" in k for k in kinds)
    slates = [load_slate(race_id, SEASON) for race_id in RACES]
    assert any(slate.out.any() for slate in slates)
    assert any("without a salary" in note for slate in slates for note in slate.notes)
    projections = [p.read_text() for p in SEASON.glob("races/*/projections.csv")]
    assert 0 < sum("%" in text for text in projections) < len(projections) < len(RACES)
    assert len(list(SEASON.glob("races/*/contest-standings-*.csv"))) >= 1
    assert sum(not (SEASON / "races" / r / "starting_lineup.csv").exists() for r in RACES) == 1


def test_handles_are_invented_and_names_are_our_own():
    for path in SEASON.glob("races/*/contest-standings-*"):
        text = content(path).decode("utf-8-sig")
        handles = re.findall(r"(?m)^\d+,\d+,([^,]*),", text)
        assert handles and all(re.fullmatch(r"sim_player_\d{4}( \(\d+/\d+\))?", handle) for handle in handles)
    results = read_results(SEASON / "history" / "results.csv")
    assert set(results["driver"]) <= set(DRIVERS) and set(results["team"]) <= set(TEAMS)
    assert set(results["track"]) == {venue.name for venue in TRACKS}


# --- the replay ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def replays(short):
    return sample.replay(RACES[1], 12, np.random.default_rng(8), short, n_fields=3)


def test_a_replay_keeps_the_books_in_slate_rows(replays, short):
    slate = load_slate(RACES[1], short)
    assert replays.drivers.tolist() == slate.names.tolist()
    assert ((replays.finish == 0) == slate.out).all() and (replays.points[:, slate.out] == 0).all()
    contest = open_folder(RACES[1], short).contests[0]
    assert replays.fields.shape == (3, contest.entries, 6)
    assert slate.salary[replays.fields].sum(2).max() <= 50_000 and not slate.out[replays.fields].any()


def test_a_driver_who_does_not_race_scores_nothing_in_a_replay(short):
    slate = load_slate(RACES[0], short)
    played = sample.replay(RACES[0], 6, np.random.default_rng(8), short, n_fields=1)
    assert slate.out.any() and not played.points[:, slate.out].any() and not played.dropped_out[:, slate.out].any()
    racing = ~slate.out
    assert (played.finish[:, racing] > 0).all() and not np.isin(played.fields, np.flatnonzero(slate.out)).any()


def test_replays_and_fields_extend_and_do_not_move_each_other(replays, short):
    fewer = sample.replay(RACES[1], 5, np.random.default_rng(8), short, n_fields=2)
    for name in ("finish", "laps_led", "fastest_laps", "points", "dropped_out"):
        assert (getattr(fewer, name) == getattr(replays, name)[:5]).all()
    assert (fewer.fields == replays.fields[:2]).all()
    other = sample.replay(RACES[1], 5, np.random.default_rng(9), short, n_fields=0)
    assert (other.finish != fewer.finish).any() and other.fields.shape[0] == 0


def test_fresh_fields_scatter_around_the_one_that_was(short):
    slate = load_slate(RACES[1], short)
    (standings,) = open_folder(RACES[1], short).standings
    fields = sample.replay(RACES[1], 1, np.random.default_rng(8), short, n_fields=12).fields
    own = np.stack([np.bincount(f.ravel(), minlength=len(slate)) / len(f) for f in fields])
    seen = standings.ownership.reindex(slate.names).fillna(0).to_numpy()
    inside = (seen >= own.min(0) - 0.02) & (seen <= own.max(0) + 0.02)
    assert inside.mean() > 0.85 and own.std(0).mean() > 0.01


def test_a_replay_refuses_what_it_did_not_make(short, tmp_path):
    with pytest.raises(InputError, match="not a simulated season"):
        sample.replay(RACES[0], 1, np.random.default_rng(0), tmp_path)
    with pytest.raises(InputError, match="not a race"):
        sample.replay("2026-01-01-nowhere", 1, np.random.default_rng(0), short)
    (tmp_path / "seed.json").write_text(json.dumps({"seed": 7, "version": sample.VERSION + 1, "n_races": 3}))
    with pytest.raises(InputError, match="dfslab sample"):
        sample.replay(RACES[0], 1, np.random.default_rng(0), tmp_path)


# --- sample beside real -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes():
    return shape_table(SEASON)


BANDS = {
    "leader's share of laps, 10": [(0.18, 0.30), (0.26, 0.36), (0.36, 0.46), (0.47, 0.61), (0.58, 0.74)],
    "leader's share of laps, mean": [(0.22, 0.36), (0.40, 0.54), (0.39, 0.53), (0.40, 0.56)],
    "cautions": [(6, 8.5), (7, 9.8), (6, 8.3), (4.4, 6.5)],
    "crash": [(8, 12), (2.2, 4.2), (1.2, 3.0), (1.2, 3.0)],
    "laps led and fastest": [(0.70, 0.86), (-0.1, 0.2)],
    "start and finish": [(0.37, 0.51), (0.0, 0.25)],
    "DraftKings points": [(26, 30), (23, 28)],
    "drivers with a salary": [(36, 38), (39, 42)],
    "salaries": [(4500, 4700), (7000, 8000), (10500, 11500)],
    "most copied lineup, % of entries, up to": [(1.5, 4), (2.5, 6), (3.5, 7)],
    "distinct": [(0.50, 0.80), (0.70, 0.80), (0.80, 0.95)],
    "forecast ownership": [(0.7, 0.9), (0.85, 0.95), (0.9, 1.0)],
    "salary spent": [(49_200, 49_700), (49_500, 50_000)],
}


@pytest.mark.parametrize("what", BANDS)
def test_shapes_lie_near_those_of_real_seasons(shapes, what):
    (row,) = shapes[shapes["what"].str.startswith(what)].itertuples()
    values = [float(part.replace(",", "")) for part in row.sample.split("/")]
    for value, (low, high) in zip(values, BANDS[what], strict=True):
        assert low <= value <= high, f"{row.what}: {row.sample}"


def test_the_readme_shows_the_table_as_it_is(shapes):
    text = (SEASON.parent / "README.md").read_text()
    assert text == readme_text(shapes)
    assert "simulated" in text and all(what in text for what in shapes["what"])
