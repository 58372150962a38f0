"""The lineup law and the exact search on real slates and contests."""

import numpy as np
import pandas as pd
import pytest

from dfslab.lineups import InfeasibleOwnership, LineupLaw, LineupProblem, Rule, best_lineups
from dfslab.rules import DRAFTKINGS_GOLF, DRAFTKINGS_MMA, DRAFTKINGS_NASCAR


@pytest.fixture(scope="module")
def golf(shared):
    """Return contest → its players with salary and ownership that sums to 6 (those without a salary are few)."""
    table = pd.read_csv(shared / "pga" / "ownership.csv")
    table = table[table["salary"].notna()].copy()
    return {
        contest: rows.assign(own=rows["own_pct"] / rows["own_pct"].sum() * 6)
        for contest, rows in table.groupby("contest")
    }


def cup_salaries(shared):
    for path in sorted((shared / "cup" / "races").glob("*/DKSalaries.csv")):
        yield path.parent.name, pd.read_csv(path)["Salary"].to_numpy()


def test_ownership_of_every_golf_contest_is_met(golf):
    assert len(golf) == 19
    for contest, players in golf.items():
        law = LineupLaw.fit(players["own"], players["salary"], DRAFTKINGS_GOLF)
        assert np.abs(law.marginals() - players["own"].to_numpy()).max() <= 1e-8, contest


def test_a_vendors_forecast_above_the_cap_is_refused_and_its_nearest_law_is_close(golf):
    players = golf["TRAVELERS_2026"]
    forecast = (players["proj_own"] / players["proj_own"].sum() * 6).to_numpy()
    with pytest.raises(InfeasibleOwnership, match=r"average lineup of \$50,214, above the cap of \$50,000"):
        LineupLaw.fit(forecast, players["salary"], DRAFTKINGS_GOLF)
    law = LineupLaw.fit(forecast, players["salary"], DRAFTKINGS_GOLF, nearest=True)
    assert law.marginals() @ players["salary"] < 50_000
    assert np.abs(law.marginals() - forecast).mean() < 0.003
    assert np.abs(law.marginals() - forecast).max() < 0.03


def test_law_equals_the_sum_over_all_lineups_of_a_real_slate(shared):
    _, salary = list(cup_salaries(shared))[1]
    theta = np.random.default_rng(0).normal(salary / 4_000, 1.0)
    lineups = best_lineups(np.zeros(len(salary)), salary, DRAFTKINGS_NASCAR, 10**7)
    log_weight = theta[lineups].sum(axis=1)
    total = np.logaddexp.reduce(log_weight)
    law = LineupLaw(theta, salary, DRAFTKINGS_NASCAR)
    assert law.log_normaliser == pytest.approx(total, abs=1e-10)
    held = np.bincount(lineups.ravel(), np.repeat(np.exp(log_weight - total), 6), minlength=len(salary))
    np.testing.assert_allclose(law.marginals(), held, atol=1e-11)


def test_best_lineups_of_every_real_slate_are_the_best_of_all(shared):
    for race_id, salary in cup_salaries(shared):
        if len(salary) > 38:  # Daytona 2019 has five million lineups: half a minute of brute force
            continue
        rng = np.random.default_rng(len(race_id))
        value, own = salary / 200 + rng.normal(0, 8, len(salary)), rng.dirichlet(np.full(len(salary), 2.0)) * 6
        lineups = best_lineups(np.zeros(len(salary)), salary, DRAFTKINGS_NASCAR, 10**7)
        lineups = lineups[own[lineups].sum(axis=1) <= 0.9]
        order = np.argsort(-value[lineups].sum(axis=1), kind="stable")[:150]
        found = best_lineups(value, salary, DRAFTKINGS_NASCAR, 150, limits=(Rule("total ownership", own, 0.9),))
        np.testing.assert_array_equal(found, lineups[order], err_msg=race_id)


def test_overlap_and_exposure_hold_on_real_slates(shared):
    for _, salary in cup_salaries(shared):
        value = salary / 200 + np.random.default_rng(1).normal(0, 8, len(salary))
        found = best_lineups(value, salary, DRAFTKINGS_NASCAR, 150, max_overlap=4, max_exposure=0.5)
        held = np.zeros((150, len(salary)), int)
        np.put_along_axis(held, found, 1, axis=1)
        shared_drivers = held @ held.T - 6 * np.eye(150, dtype=int)
        assert LineupProblem(salary, 6, 50_000).legal(found).all()
        assert shared_drivers.max() <= 4
        assert held.sum(axis=0).max() <= 75


def test_a_real_mma_field_is_met_with_its_bouts_as_groups(shared):
    """Fighters who are never rostered together although popular are opponents; each pair is a group."""
    field = pd.read_csv(shared / "mma" / "fields" / "2019-11-02_79812829.csv.gz")
    salaries = pd.read_csv(shared / "mma" / "DKSalaries_2019-11-02.csv").drop_duplicates("Name").set_index("Name")
    lineups = field["lineup"].dropna().str.split("|")
    names = sorted(set(lineups.explode()))
    row = {name: i for i, name in enumerate(names)}
    held = np.zeros((len(lineups), len(names)))
    for entry, lineup in enumerate(lineups):
        held[entry, [row[name] for name in lineup]] = 1
    bouts = salaries.reindex(names)["Game Info"]
    groups = pd.factorize(bouts)[0]
    alone = pd.Series(held.sum(axis=0)).groupby(groups).size().max() == 2
    entered = np.array([len(set(groups[h > 0])) == 6 for h in held])
    assert alone
    ownership = held[entered].mean(axis=0)
    law = LineupLaw.fit(ownership, salaries.reindex(names)["Salary"], DRAFTKINGS_MMA, groups=groups)
    assert np.abs(law.marginals() - ownership).max() <= 1e-8
    drawn = law.sample(20_000, np.random.default_rng(0))
    assert LineupProblem(salaries.reindex(names)["Salary"], 6, 50_000, groups).legal(drawn).all()
