"""The seven real slates: audited portfolios of 1, 20 and 150, their upload file read back, reserved entries filled."""

import csv

import numpy as np
import pytest

from dfslab.data import open_folder, write_lineups
from dfslab.portfolio import allocate_lineups_by_regime, generate_regime_aware_portfolio
from dfslab.workflow import forecast_ownership, open_race, simulate_race

RACES = (
    "2019-02-17-daytona",
    "2023-02-26-auto-club",
    "2023-03-05-las-vegas",
    "2023-03-12-phoenix",
    "2023-03-19-atlanta",
    "2026-07-05-chicagoland",
    "2026-07-12-atlanta",
)
N_CANDIDATES = 1_500


@pytest.fixture(scope="module", params=RACES)
def night(request, shared):
    """The day, 1,200 races and the ownership forecast of a race."""
    day = open_race(request.param, shared / "cup")
    races = simulate_race(day, 1_200)
    return day, races, forecast_ownership(day, races, 20)


def build(night, n, **options):
    day, races, crowd = night
    few = {"n_candidates": N_CANDIDATES, "n_fields": 3} | options
    return generate_regime_aware_portfolio(
        crowd.slate, races, crowd.ownership, day.contest, n, rng=np.random.default_rng(n), **few
    )


@pytest.fixture(scope="module")
def largest(night):
    return build(night, 150, ownership_draws=night[2].draws, max_exposure=0.6, max_overlap=5)


def allocation(night, n):
    weights = night[1].regime_shares().to_dict()
    return {name: count for name, count in allocate_lineups_by_regime(n, weights).items() if count}


@pytest.mark.parametrize("n", [1, 20])
def test_portfolios_of_one_and_twenty_pass_their_audit(night, n):
    made = build(night, n, max_overlap=4, regime_quotas=True)
    assert made.lineups.shape == (n, 6)
    assert made.audit["holds"].all()
    assert made.notes or made.metrics["regime"].value_counts().to_dict() == allocation(night, n)


def test_a_portfolio_of_150_passes_its_audit_within_the_limits(night, largest):
    slate, lineups = night[0].slate, largest.lineups
    assert largest.audit["holds"].all()
    assert len(np.unique(lineups, axis=0)) == 150
    assert (slate.salary[lineups].sum(axis=1) <= 50_000).all()
    assert not slate.out[lineups].any()
    assert np.bincount(lineups.ravel()).max() <= 90
    assert np.isfinite(largest.metrics.drop(columns="regime").to_numpy(float)).all()
    assert 0 < largest.greedy_to_bound <= 1


def test_the_upload_file_holds_the_lineups_with_draftkings_ids(night, largest, tmp_path):
    slate = night[0].slate
    path = write_lineups(tmp_path / "lineups.csv", slate, largest.lineups)
    with path.open(newline="", encoding="utf-8") as handle:
        header, *rows = csv.reader(handle)
    assert header == ["D"] * 6
    row_of = {f"{name} ({dk_id})": k for k, (name, dk_id) in enumerate(slate.drivers[["driver", "dk_id"]].to_numpy())}
    read_back = np.array([[row_of[cell] for cell in row] for row in rows])
    np.testing.assert_array_equal(read_back, largest.lineups)


def reserved(slate, contests):
    """A sheet of reserved entries: (contest, number of entries) pairs, instructions and a pool beside them."""
    rows = [["Entry ID", "Contest Name", "Contest ID", "Entry Fee", *["D"] * 6, "", "Instructions"]]
    for contest, count in contests:
        for k in range(count):
            rows.append([f"{contest}{k:03d}", "NAS, a contest", contest, "$4", *[""] * 6, "", f"line {len(rows)}"])
    rows.append([])
    rows.append([""] * 12 + ["Position", "Name + ID", "Name", "ID"])
    rows += [[""] * 12 + ["D", c, n, i] for c, n, i in slate.drivers[["name_id", "driver", "dk_id"]].to_numpy(object)]
    return rows


def test_reserved_entries_are_filled_contest_by_contest(night, largest, tmp_path):
    slate = night[0].slate
    path, filled = (tmp_path / "races" / race / "DKEntries.csv" for race in ("reserved", "filled"))
    path.parent.mkdir(parents=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, lineterminator="\n").writerows(reserved(slate, (("7001", 20), ("7002", 3))))
    entries = open_folder("reserved", tmp_path).entries
    entries.fill(slate, {"7001": largest.lineups, "7002": largest.lineups}).write(filled)
    before, after = (list(csv.reader(p.open(encoding="utf-8"))) for p in (path, filled))
    names = slate.drivers["name_id"].to_numpy(object)
    for contest, count in (("7001", 20), ("7002", 3)):
        cells = [row[4:10] for row in after if row[2:3] == [contest]]
        assert cells == [names[row].tolist() for row in largest.lineups[:count]]
    kept = [[row[:4] + row[10:] for row in sheet] for sheet in (before, after)]
    assert kept[0] == kept[1]
