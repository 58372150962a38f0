"""Bad input gets one line: which file, which row, what to do. Each kind of mistake once, as a user would make it."""

import json

import numpy as np
import pytest
from race_files import (
    DRIVERS,
    LINEUPS,
    RACE,
    contest_facts,
    csv_bytes,
    entries_rows,
    race_facts,
    result_rows,
    salary_rows,
    standings_rows,
    write_history,
    write_race,
)

from dfslab import data
from dfslab.errors import InputError, UserError
from dfslab.report import run_report
from dfslab.workflow import open_race, optimize_files
from dfslab.workflow._race_day import read_saved
from dfslab.workflow._review import play_real_field, read_outcome


def _cell(row, column, value):
    def change(rows):
        rows[row][column] = value

    return change


def _without(column):
    def change(rows):
        for row in rows:
            del row[column]

    return change


def _all(column, value):
    def change(rows):
        for row in rows[1:]:
            if len(row) > column:
                row[column] = value

    return change


def _refused(says, act):
    with pytest.raises(InputError, match=says) as caught:
        act()
    text = str(caught.value)
    assert text.isprintable() and text.count(".") < 8 and len(text) < 420


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_without(5), r"DKSalaries.csv: 'Salary' is missing, only Position, .* are there; is it the right file\?"),
        (_without(2), r"'Name' is missing"),
        (_cell(3, 5, 0), r"DKSalaries.csv, row 4: Salary is 0; it must be 1 to 50000"),
        (_cell(3, 5, ""), r"row 4: Salary is blank; fill it in, or remove the row"),
        (_cell(3, 5, "9000.5"), r"row 4: Salary is '9000.5'; write a whole number"),
        (_cell(3, 5, "free"), r"row 4: Salary is 'free'; write a whole number"),
        (_cell(3, 2, "ABEL  Reed*"), r"row 4: ABEL  Reed\* is listed twice \(first in row 2\); keep one"),
        (_cell(3, 2, ""), r"row 4: Name is blank"),
        (_cell(3, 0, "F"), r"row 4: Position is 'F'; NASCAR knows only D; .* another sport"),
        (_all(5, 9000), r"the cheapest lineup costs \$54,000, above the cap of \$50,000"),
        (lambda rows: rows.__delitem__(slice(5, None)), r"4 drivers race, a lineup needs 6"),
        (lambda rows: rows.__delitem__(slice(1, None)), r"no row below the header; .* download it again"),
        (lambda rows: rows[4].append("x"), r"row 5: 10 cells under 9 columns; a comma too many"),
    ],
)
def test_salaries(tmp_path, change, says):
    rows = salary_rows()
    change(rows)
    (write_race(tmp_path) / "DKSalaries.csv").write_bytes(csv_bytes(rows))
    _refused(says, lambda: data.load_slate(RACE, tmp_path))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"the file is empty \(0 bytes\); download it again"),
        (b" \n", r"the file is empty; download it again"),
        (bytes(range(256)), r"not a text file; save it as CSV"),
        (b"PK\x03\x04xx", r"a zip archive \(or a spreadsheet\)"),
        (None, r"there is no such file; put it there"),
    ],
)
def test_a_salary_file_that_is_none(tmp_path, content, says):
    path = write_race(tmp_path) / "DKSalaries.csv"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    _refused(r"DKSalaries.csv: .*" + says, lambda: data.load_slate(RACE, tmp_path))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"date": None}, "'date' is missing, only"),
        ({"date": "soon"}, "date is 'soon'; write it as 2025-04-13"),
        ({"date": 203105}, "date is '203105'"),
        ({"track_type": "oval"}, "track_type is 'oval'; write one of superspeedway"),
        ({"sched_laps": "many"}, "sched_laps is 'many'; write a whole number"),
        ({"sched_laps": 267.5}, "sched_laps is '267.5'; write a whole number"),
        ({"track_length_mi": True}, "track_length_mi is 'True'"),
        ({"sched_laps": 10**400}, "sched_laps is '1000"),
        ({"race_id": "other"}, "race_id is 'other', the folder is '2031-05-04-oakfield'; make them the same"),
        ({"out": "Abel Reed"}, "out must be a list"),
        ({"to_rear": ["Abel"]}, "'Abel' in 'to_rear' is not in this race; write the name as in"),
        ({"series": "indycar"}, "series is 'indycar'; write one of cup, xfinity, trucks"),
    ],
)
def test_race_facts(tmp_path, changed, says):
    facts = {key: value for key, value in race_facts(**changed).items() if value is not None}
    (write_race(tmp_path) / "race.json").write_text(json.dumps(facts))
    _refused(f"race.json: .*{says}", lambda: data.load_slate(RACE, tmp_path))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([*range(1, 12), 1], r"starting_lineup.csv, row 13: start 1 is listed twice .first in row 2.; keep one"),
        ([*range(1, 12), ""], r"row 13: start is blank"),
        ([*range(1, 12), "pole"], r"row 13: start is 'pole'; write a whole number"),
        ([*range(1, 12), 99], r"row 13: start is 99; it must be 1 to 60"),
    ],
)
def test_places_on_the_grid(tmp_path, rows, says):
    grid = [["driver", "start"], *zip(DRIVERS, rows, strict=True)]
    (write_race(tmp_path) / "starting_lineup.csv").write_bytes(csv_bytes(grid))
    _refused(says, lambda: data.load_slate(RACE, tmp_path))


def test_a_grid_of_another_race(tmp_path):
    grid = [["driver", "start"], *[[f"Stranger {chr(65 + n)}", n + 1] for n in range(12)]]
    (write_race(tmp_path) / "starting_lineup.csv").write_bytes(csv_bytes(grid))
    _refused("holds 0 of the 12 drivers with a salary; is it of another race", lambda: data.load_slate(RACE, tmp_path))


def test_an_ambiguous_name_on_the_grid(tmp_path):
    drivers = ["Kyle Busch", "Kurt Busch", *DRIVERS[2:]]
    folder = write_race(tmp_path)
    (folder / "DKSalaries.csv").write_bytes(csv_bytes(salary_rows(drivers)))
    grid = [["driver", "start"], ["K. Busch", 1], *[[name, n] for n, name in enumerate(DRIVERS[2:], 2)]]
    (folder / "starting_lineup.csv").write_bytes(csv_bytes(grid))
    says = "'K. Busch' could be Kyle Busch or Kurt Busch; write the name as in DKSalaries.csv"
    _refused(says, lambda: data.load_slate(RACE, tmp_path))


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["lots"], r"row 2: projected_ownership is 'lots'; write a share of 0 to 100 % such as 12.5%, all of a column"),
        (["-15%"], r"row 2: projected_ownership is '-15%'; write a share of 0 to 100 %"),
        (["-0.15"], r"row 2: projected_ownership is '-0.15'; write a share of 0 to 100 %"),
        (["150"], r"row 2: projected_ownership is '150'; write a share of 0 to 100 %"),
        (["15%", "0.2"], r"row 3: projected_ownership is '0.2'; .* all of a column with % or none"),
        (["5000"] * 12, r"row 2: projected_ownership is '5000'; write a share of 0 to 100 %"),
        (["0.005"] * 12, r"adds up to 6%, 6 drivers make 600%; check its unit"),
        (["95"] * 12, r"adds up to 1140%"),
        (["1.2", *["0.5"] * 11], r"adds up to 7%"),
    ],
)
def test_ownership_in_projections(tmp_path, cells, says):
    rows = [["driver", "projected_ownership"], *zip(DRIVERS, cells, strict=False)]
    (write_race(tmp_path) / "projections.csv").write_bytes(csv_bytes(rows))
    _refused(f"projections.csv.*{says}", lambda: data.load_slate(RACE, tmp_path))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([["driver", "x"], ["Abel Reed", 1]], "neither projected_points nor projected_ownership is there"),
        ([["driver", "projected_points"], ["Abel Reed", "x"]], "row 2: projected_points is 'x'; write a number"),
        ([["Player", "Proj"], ["Abel Reed", 999]], "row 2: Proj is 999; it must be -60 to 250"),
        ([["driver", "Proj"], ["Abel Reed", 9], ["ABEL REED", 9]], "row 3: ABEL REED is listed twice"),
    ],
)
def test_projections(tmp_path, rows, says):
    (write_race(tmp_path) / "projections.csv").write_bytes(csv_bytes(rows))
    _refused(f"projections.csv.*{says}", lambda: data.load_slate(RACE, tmp_path))


ONE, REST = contest_facts()["payouts"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "the list of contests is empty"),
        ([1], "'payouts' is missing or no list"),
        (contest_facts(pool=99), r"prizes add up to \$100.00, the advertised pool is \$99.00"),
        (contest_facts(payouts=[]), "'payouts' is missing or no list"),
        (contest_facts(entries=0), "entries is 0; it must be 1 to 10000000"),
        (contest_facts(entries=10**9), "entries is 1000000000; it must be 1 to 10000000"),
        (contest_facts(entries=4), "rank 6 is paid, the contest holds 4 entries"),
        (contest_facts(entry_fee="ten"), "entry_fee is 'ten'; write a number"),
        (contest_facts(entry_fee=-1), "entry_fee is -1; it must be 0 or more"),
        (contest_facts(payouts=[{"min_rank": 1, "max_rank": 1}]), "'prize' is missing"),
        (
            contest_facts(payouts=[ONE, ONE]),
            r"payout 2: 777123, min_rank 1 is listed twice .first in payout 1.; keep one",
        ),
        (contest_facts(payouts=[REST]), "rank 2 comes where rank 1 is due; leave no gap"),
        ([contest_facts(), {"entries": 3}], "contest 2: 'payouts' is missing"),
        (contest_facts(max_entries_per_user=0), "max_entries_per_user is 0; it must be 1 or more"),
        (contest_facts(payouts=[ONE | {"max_rank": 1.5}]), "payout 1: max_rank is '1.5'; write a whole number"),
        ({"contestDetail": {}}, "'payouts' is missing or no list of objects; a contest needs entry_fee"),
    ],
)
def test_contests(tmp_path, content, says):
    (write_race(tmp_path) / "contest.json").write_text(json.dumps(content))
    _refused(f"contest.json.*{says}", lambda: data.open_folder(RACE, tmp_path).contests)


def test_no_contest(tmp_path):
    write_race(tmp_path, contest=False)
    _refused("contest.json: there is no contest; give entry_fee", lambda: data.open_folder(RACE, tmp_path).contests)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_cell(2, 5, "D Abel Reed D Bru"), r"row 3: the lineup 'D Abel Reed D Bru' is not 6 drivers; .* cut off"),
        (_cell(2, 5, "D LOCKED D LOCKED"), r"row 3: a driver is still LOCKED; download the standings after"),
        (_cell(2, 8, "F"), r"row 3: Roster Position is 'F'; NASCAR knows only D"),
        (_cell(2, 9, "950%"), r"row 3: %Drafted is '950%'; write a share of 0 to 100 %"),
        (_cell(2, 9, "95"), r"row 3: %Drafted is '95'; .* all of a column with % or none"),
        (_all(9, "99%"), r"%Drafted adds up to 1188.0%, 600% is possible"),
        (_all(9, "52%"), r"%Drafted adds up to 624.0%"),
        (_cell(2, 4, ""), r"row 3: Points is blank"),
        (_cell(2, 1, 900100), r"row 3: 900100 is listed twice \(first in row 2\)"),
        (_without(1), r"'EntryId' is missing"),
    ],
)
def test_standings(tmp_path, change, says):
    rows = standings_rows()
    change(rows)
    (write_race(tmp_path) / "contest-standings-777123.csv").write_bytes(csv_bytes(rows))
    _refused(f"contest-standings-777123.csv.*{says}", lambda: data.ingest_standings(RACE, tmp_path))
    assert not (tmp_path / "history").exists()


def test_no_standings(tmp_path):
    write_race(tmp_path)
    _refused("no contest-standings-.* download it from the contest page", lambda: data.ingest_standings(RACE, tmp_path))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.__delitem__(slice(1, 5)), "no row has an entry id; reserve entries on DraftKings"),
        (_cell(2, 0, "5001"), r"row 3: 5001 is listed twice .first in row 2.; keep one"),
        (_cell(2, 0, "abc"), "row 3: Entry ID is 'abc'; write a number of digits alone"),
        (_cell(0, 4, "G"), "the header must be Entry ID, .* six times D"),
    ],
)
def test_reserved_entries(tmp_path, change, says):
    rows = entries_rows()
    change(rows)
    (write_race(tmp_path) / "DKEntries.csv").write_bytes(csv_bytes(rows))
    _refused(f"DKEntries.csv.*{says}", lambda: data.open_folder(RACE, tmp_path).entries)


@pytest.mark.parametrize(
    ("lineups", "says"),
    [
        ([LINEUPS[0][:3]], r"an array of \(1, 3\) given; a lineup is 6 row numbers"),
        (np.full((1, 6), 0.5), r"a lineup is 6 row numbers"),
    ],
)
def test_lineups(tmp_path, lineups, says):
    write_race(tmp_path)
    slate = data.load_slate(RACE, tmp_path)
    _refused(says, lambda: data.write_lineups(tmp_path / "up.csv", slate, lineups))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_cell(3, 5, "DNF"), "row 4: finish is 'DNF'; write a whole number"),
        (_cell(3, 3, DRIVERS[0]), "row 4: 2031-04-06-elmton, Abel Reed is listed twice"),
        (_cell(3, 5, 2), "row 4: 2031-04-06-elmton, finish 2 is listed twice .first in row 3.; keep one"),
        (_cell(3, 1, "spring"), "row 4: date is 'spring'; write it as 2025-04-13"),
        (_cell(3, 2, "oval"), "row 4: track_type is 'oval'; write one of superspeedway"),
        (_without(5), "'finish' is missing"),
    ],
)
def test_results(tmp_path, change, says):
    rows = result_rows()
    change(rows)
    write_history(tmp_path, rows)
    _refused(f"results.csv.*{says}", lambda: data.history(tmp_path))


def test_a_race_of_the_results_that_has_no_row_among_the_races(tmp_path):
    write_history(write_race(tmp_path).parents[1], result_rows())
    races = tmp_path / "history" / "races.csv"
    races.write_text(races.read_text("utf-8").replace("2031-04-06-elmton", "2031-04-06-elmville"), "utf-8")
    _refused("races.csv: 2031-04-06-elmton of results.csv is not there; add it", lambda: open_race(RACE, tmp_path))


POOL = {"sources": {"historical": 0.5}, "extras": {"base": 1.0, "size": 0.1, "cash": 0.0}, "contests": 5}
DAMAGED_POOLS = [
    ({"sources": {"historical": -0.1}}, "historical: -0.1 given; a number from 0 to 100"),
    ({"sources": {"historical": 1e308}}, "historical: 1e.308 given"),
    ({"sources": {"historical": "much"}}, "historical: much given"),
    ({"sources": {"guesses": 0.5}}, "unknown sources .'guesses'."),
    ({"sources": {}}, "unknown sources"),
    ({"sources": None}, "not iterable"),
    ({"extras": {"base": 1.0, "size": 0.1}}, "'cash'"),
    ({"extras": {"base": 1.0, "size": [], "cash": 0.0}}, "size: .. given"),
    ({"contests": 2.5}, "contests: 2.5 given; a whole number"),
]


@pytest.mark.parametrize(
    ("name", "saved", "says"),
    [
        ("regimes", {}, "'through'"),
        ("regimes", [], "indices"),
        ("regimes", {"through": "soon", "thresholds": {}}, "date is 'soon'"),
        ("regimes", {"through": "2031-01-01", "thresholds": {"luck": 1}}, "unknown luck"),
        ("regimes", {"through": "2031-01-01", "thresholds": 3}, "int"),
        ("regimes", {"through": "2031-01-01", "thresholds": {"leader_share": 7}}, "leader_share"),
        ("regimes", {"through": "2031-01-01", "thresholds": {}, "predicted": "dominator"}, "list is needed"),
        ("ownership", {"through": "2031-01-01", "pools": [{}]}, "'sources'"),
        *(("ownership", {"through": "2031-01-01", "pools": [POOL | bad]}, says) for bad, says in DAMAGED_POOLS),
    ],
)
def test_saved_tuning_that_is_none(tmp_path, name, saved, says):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f"{name}.json").write_text(json.dumps(saved))
    says = f"{name}.json: not what `dfslab tune {name}` saves .*{says}.*; tune again, or remove it"
    _refused(says, lambda: read_saved(tmp_path, "2031-05-04"))


def test_other_files_beside_the_saved_tuning_are_let_alone(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "notes.json").write_text("[1]")
    assert read_saved(tmp_path, "2031-05-04") == ({}, ())


@pytest.mark.parametrize(
    ("name", "says"),
    [("DKEntries.csv", "the header must be Entry ID"), ("contest-standings-1.zip", "zip is damaged")],
)
def test_what_only_the_last_page_needs_is_read_before_a_page_is_made(tmp_path, name, says):
    write_history(tmp_path, result_rows())
    (write_race(tmp_path) / name).write_bytes(b"PK" if name.endswith("zip") else b"a,b\n1,2\n")
    made = []
    _refused(f"{name}: .*{says}", lambda: run_report(RACE, tmp_path, tmp_path / "out", progress=made.append))
    assert not made


@pytest.mark.parametrize(
    ("standings", "field", "says"),
    [
        ("777123", 5, ""),
        ("888456", 0, "of contest 888456, which is not this one: its field is not played"),
        ("late", 1, "Otto Late not in DKSalaries.csv: lineups with them are left out"),
        ("few", 5, "holds 6 entries, the contest 40"),
    ],
)
def test_another_contests_field_is_not_played_and_a_late_driver_costs_only_his_lineups(
    tmp_path, standings, field, says
):
    write_history(tmp_path, result_rows())
    folder = write_race(tmp_path)
    drivers = [*DRIVERS[:11], "Otto Late"] if standings == "late" else DRIVERS
    contest_id = standings if standings.isdigit() else "777123"
    (folder / f"contest-standings-{contest_id}.csv").write_bytes(csv_bytes(standings_rows(drivers=drivers)))
    if standings == "few":
        (folder / "contest.json").write_text(json.dumps(contest_facts(entries=40)))
    day = open_race(RACE, tmp_path)
    outcome = read_outcome(day, day.contest)
    assert len(outcome.field) == field and says in " ".join(outcome.notes) and outcome.ownership.sum() > 4
    if not field:
        with pytest.raises(UserError, match="which is not this one"):
            play_real_field(np.array(LINEUPS[:1]), outcome, day.contest, day.slate.rules)


@pytest.mark.parametrize("which", [0, 1])
def test_an_output_never_takes_the_place_of_an_input(tmp_path, which):
    folder = write_race(tmp_path)
    rows = [["driver", "projected_points"], *[[name, 30] for name in DRIVERS]]
    (folder / "projections.csv").write_bytes(csv_bytes(rows))
    given = (folder / "DKSalaries.csv", folder / "projections.csv")
    before = given[which].read_bytes()
    _refused(
        "the output would take the place of an input",
        lambda: optimize_files(*given, 1, out=folder / "x" / ".." / given[which].name),
    )
    assert given[which].read_bytes() == before
