"""Races of the other series: their own history, drivers who borrow from the Cup, thin files, a report to the end."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from dfslab import data, race, report, workflow

ALIASES = {"xfinity": "O'Reilly Auto Parts Series", "trucks": "NCTS"}
LOOP_DATA = ["driver_rating", "avg_running_pos", "practice_best_rank", "practice_con10_rank", "qual_pos", "team", "car"]


@pytest.fixture(scope="module", params=list(ALIASES))
def made(request, tmp_path_factory):
    """The sample's last race and last two seasons as those of another series, named by an alias, without loop data.

    The earlier seasons stay the Cup's; two drivers are new to the series.
    """
    data_dir, race_id = tmp_path_factory.mktemp(request.param), max(data.list_races(workflow.SAMPLE))
    shutil.copytree(workflow.SAMPLE / "races" / race_id, data_dir / "races" / race_id)
    facts = json.loads((data_dir / "races" / race_id / "race.json").read_text("utf-8"))
    facts |= {"series": ALIASES[request.param]}
    (data_dir / "races" / race_id / "race.json").write_text(json.dumps(facts), "utf-8")
    (data_dir / "history").mkdir()
    results, races = (pd.read_csv(workflow.SAMPLE / "history" / f"{name}.csv") for name in ("results", "races"))
    own = races.loc[pd.to_datetime(races["date"]).dt.year >= 2025, "race_id"]
    grid = pd.read_csv(data_dir / "races" / race_id / "starting_lineup.csv")
    newcomers = grid["driver"][:2].tolist()
    results["series"] = np.where(results["race_id"].isin(own), ALIASES[request.param], "NASCAR Cup Series")
    new = results["race_id"].isin(own) & results["driver"].isin(newcomers)
    results.loc[results["race_id"].isin(own), LOOP_DATA] = np.nan
    results[~new].to_csv(data_dir / "history" / "results.csv", index=False)
    races["series"] = np.where(races["race_id"].isin(own), ALIASES[request.param], "cup")
    races.drop(columns=["cautions", "caution_laps"]).to_csv(data_dir / "history" / "races.csv", index=False)
    return request.param, data_dir, race_id, newcomers


def test_a_report_of_another_series_runs_to_the_end(made, tmp_path):
    _, data_dir, race_id, _ = made
    small = {"n_scenarios": 300, "n_lineups": 5, "n_draws": 50}
    out = report.run_report(race_id, data_dir, tmp_path, small)
    assert len((out / "lineups.csv").read_text("utf-8").splitlines()) == 6
    assert pd.read_csv(out / "exposures.csv")["exposure"].sum() == pytest.approx(6)


def test_only_its_own_races_are_its_history(made):
    series, data_dir, race_id, _ = made
    day = workflow.open_race(race_id, data_dir)
    assert day.race.series == series and set(day.history.results["series"]) == {series}


def test_newcomers_borrow_from_the_cup(made):
    _, data_dir, race_id, newcomers = made
    day = workflow.open_race(race_id, data_dir)
    alone = race.RaceModel.fit(day.history.results, day.history.races, day.race.date)
    lent = workflow.fit_race_model(day)
    level = day.slate.starters.assign(start=1)
    borrowed, plain = (pd.Series(m.finish.log_worth(level, day.race), level["driver"]) for m in (lent, alone))
    assert (borrowed[newcomers] - plain[newcomers]).abs().max() > 0.01


def test_the_report_card_of_another_series_lends_too(made):
    series, data_dir, _, _ = made
    history = data.history(data_dir, series=series)
    since, settings = history.races["date"].iloc[-3], {"n_scenarios": 50}
    check = workflow.tune.check_finishes
    with_cup, alone = (check(history, x, series=series, since=since, **settings).scores for x in (data_dir, None))
    assert len(with_cup) == len(alone) and not np.allclose(with_cup["value"], alone["value"])
