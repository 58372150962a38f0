"""Reports of the real races, from files as downloaded to pages and an upload file."""

import csv
import html
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from race_files import contest_facts, csv_bytes, salary_rows

from dfslab import data
from dfslab.parallel import map_jobs
from dfslab.report import run_report
from dfslab.report._runner import NOTEBOOKS
from dfslab.workflow import open_race

LAS_VEGAS = "2023-03-05-las-vegas"
FULL = {"n_scenarios": 2000}
SMALL = {"n_scenarios": 500, "n_lineups": 20, "n_draws": 100}


@pytest.fixture(scope="module")
def cup(shared, tmp_path_factory) -> Path:
    """A folder of links, so that what reports keep beside the data does not end in the real folder."""
    folder = tmp_path_factory.mktemp("cup")
    for path in (shared / "cup").iterdir():
        (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def reports(cup, tmp_path_factory) -> dict[str, Path]:
    """The reports of all real races by race id: Las Vegas in full, the others in small numbers."""
    races, out = data.list_races(cup), tmp_path_factory.mktemp("reports")
    assert LAS_VEGAS in races
    races.sort(key=lambda race: race != LAS_VEGAS)
    jobs = [(race, str(cup), str(out), FULL if race == LAS_VEGAS else SMALL) for race in races]
    return dict(zip(races, map(Path, map_jobs(run_report, jobs, workers=2)), strict=True))


def _said(report: Path, number: int) -> str:
    """Return the text of a page without its markup."""
    stem = list(NOTEBOOKS)[number - 1]
    return html.unescape(re.sub(r"<[^>]+>", " ", (report / f"{stem}.html").read_text("utf-8")))


def _lineups(report: Path) -> list[list[str]]:
    header, *rows = csv.reader((report / "lineups.csv").open(encoding="utf-8"))
    assert header == ["D"] * 6
    return rows


def test_every_real_race_has_a_whole_report(reports):
    assert len(reports) == 9
    for race, report in reports.items():
        files = {path.name for path in report.iterdir()}
        wanted = {"lineups.csv", "lineups_metrics.csv", "exposures.csv", "metrics.json", "manifest.json"}
        assert wanted | {f"{stem}.html" for stem in NOTEBOOKS} <= files, race
        index = (report.parent / "index.html").read_text("utf-8")
        assert f'href="{race}/{next(iter(NOTEBOOKS))}.html"' in index


def test_every_upload_file_is_legal_and_carries_draftkings_own_ids(reports, cup):
    for race, report in reports.items():
        slate, rows = data.load_slate(race, cup), _lineups(report)
        known = {cell: n for n, cell in enumerate(slate.drivers["name_id"])}
        lineups = [sorted(known[cell] for cell in row) for row in rows]
        assert len(rows) == (150 if race == LAS_VEGAS else 20), race
        assert len(set(map(tuple, lineups))) == len(lineups), race
        for row in lineups:
            assert len(set(row)) == 6 and slate.salary[row].sum() <= 50_000 and not slate.out[row].any(), race


def test_las_vegas_has_36_starters_and_says_who_is_out_and_that_it_starts_cold(reports):
    page = _said(reports[LAS_VEGAS], 1)
    assert re.search(r"\b36\b", page) and "1 with a salary is out" in page
    assert "Chase Elliott has a salary but is not in the starting lineup: out, never rostered" in page
    assert "Cold start" in page
    exposures = pd.read_csv(reports[LAS_VEGAS] / "exposures.csv").set_index("driver")
    assert exposures.loc["Chase Elliott", "exposure"] == 0 and exposures.loc["Chase Elliott", "ownership"] == 0


def test_only_history_before_the_race_is_read(reports, cup):
    inputs = open_race(LAS_VEGAS, cup)
    for frame in (inputs.history.results, inputs.history.races):
        assert len(frame) and frame["date"].max() < pd.Timestamp("2023-03-05")
    assert inputs.history.results["date"].max() == pd.Timestamp("2023-02-26")


def test_races_without_a_starting_order_say_what_is_assumed(reports, cup):
    late = [race for race in reports if not (cup / "races" / race / "starting_lineup.csv").exists()]
    assert len(late) == 2
    for race in late:
        assert "every driver with a salary is taken to race, start unknown" in _said(reports[race], 1), race


def test_probabilities_and_checks_stand_in_the_numbers(reports):
    for race, report in reports.items():
        numbers = json.loads((report / "metrics.json").read_text("utf-8"))
        assert sum(numbers["regimes"]["probability"].values()) == pytest.approx(1, abs=1e-3), race
        assert numbers["portfolio"]["expected_payout"] > 0, race
        for page in (1, 2, 3):
            text = _said(report, page)
            assert "Checks made on this page's own numbers" in text and "Warning" not in text, race


def test_a_made_xfinity_race_is_reported_from_a_draftkings_file(shared, tmp_path):
    """The last intermediate race of the real history as if it were still to come, with salaries by past finishes."""
    own, cup = ({n: pd.read_csv(shared / s / "history" / f"{n}.csv", low_memory=False) for n in ("results", "races")}
                for s in ("xfinity", "cup"))  # fmt: skip
    known = own["races"].dropna(subset=["track_length_mi"]).query("track_type == 'intermediate'")
    race = known.sort_values("date").iloc[-1]
    entries = own["results"][own["results"]["race_id"] == race["race_id"]].sort_values("driver")
    (tmp_path / "history").mkdir()
    for name, frame in own.items():
        lent = cup[name].assign(series="cup", race_id="cup-" + cup[name]["race_id"])  # both may race there on one day
        earlier = pd.concat([frame[frame["date"] < race["date"]], lent])
        earlier.to_csv(tmp_path / "history" / f"{name}.csv", index=False)
    past = own["results"][own["results"]["date"] < race["date"]].groupby("driver")["finish"].mean()
    rank = entries["driver"].map(past).fillna(30.0).rank(method="first").to_numpy()
    salary = (10_500 - 150 * rank).round(-2).astype(int)
    folder = tmp_path / "races" / race["race_id"]
    folder.mkdir(parents=True)
    (folder / "DKSalaries.csv").write_bytes(csv_bytes(salary_rows(entries["driver"], salary)))
    entries[["driver", "start"]].to_csv(folder / "starting_lineup.csv", index=False)
    facts = {"date": race["date"], "track": race["track"], "track_type": race["track_type"], "series": "O'Reilly"}
    facts |= {"track_length_mi": race["track_length_mi"], "sched_laps": int(race["race_laps"])}
    (folder / "race.json").write_text(json.dumps(facts), "utf-8")
    (folder / "contest.json").write_text(json.dumps(contest_facts(entries=500)), "utf-8")
    day = open_race(race["race_id"], tmp_path)
    assert day.race.series == "xfinity" and len(day.slate.starters) == len(entries) >= 36
    out = run_report(race["race_id"], tmp_path, tmp_path / "out", SMALL)
    assert len(_lineups(out)) == 20 and pd.read_csv(out / "exposures.csv")["exposure"].sum() == pytest.approx(6)
