"""The live bench: answers obey the wishes, agree with slower truths and with notebook 03, and files are safe."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sample_race import SAMPLE, SMALL_RACE

from dfslab import contest
from dfslab.cli import cli
from dfslab.errors import UserError
from dfslab.optimize import LeverageAwareOptimizer
from dfslab.report import _live as live
from dfslab.workflow import blend_races, forecast_ownership, simulate_race


@pytest.fixture(scope="module")
def bench() -> live.Bench:
    return live.open_bench(SMALL_RACE, SAMPLE, n_scenarios=300)


@pytest.fixture(scope="module")
def favourite(bench) -> str:
    return bench.world().crowd.ownership.idxmax()


def test_the_lineups_are_those_of_the_exact_milp(bench):
    world, answer = bench.world(), bench.ask(4, leverage_penalty=60, max_exposure=0.5)
    slow = LeverageAwareOptimizer(world.crowd.slate, world.crowd.ownership, leverage_penalty=60).optimize(
        world.races.weight @ world.races.points, 4, max_exposure=0.5, max_overlap=5, engine="milp"
    )
    n = world.day.contest.entering(4)
    assert answer.portfolio.lineups.tolist() == slow[:n].tolist()


def test_the_money_is_that_of_the_contest_played_race_by_race(bench):
    answer, world = bench.ask(3), bench.world()
    held, lineups = world.day.contest, answer.portfolio.lineups
    others = world.field[: held.entries - len(lineups)]
    alone = contest.simulate_contest(lineups, others, world.races.points[:7], held)
    assert np.array_equal(alone.payout.sum(axis=1), answer.scores.payout["lineups"][:7])


def test_every_wish_on_the_lineups_holds_for_those_that_enter(bench, favourite):
    names, own = bench.day.slate.names, bench.world().crowd.ownership
    pair = {"drivers": list(own.nlargest(4).index[1:3]), "at_most": 1}
    wishes = {"locks": [own.nlargest(12).index[10]], "bans": [favourite], "groups": [pair], "max_exposure": 0.7}
    low = {"min_low_ownership_drivers": 1, "max_total_ownership": 1.4, "max_ownership_per_driver": 0.5}
    answer = bench.ask(150, **wishes, **low)
    mine = answer.portfolio
    held, shares = names[mine.lineups], own.to_numpy()[mine.lineups]
    assert len(mine) <= bench.day.contest.max_entries_per_user
    assert (held == wishes["locks"][0]).any(axis=1).all() and favourite not in held
    assert np.isin(held, pair["drivers"]).sum(axis=1).max() <= 1
    assert shares.max() <= 0.5 and shares.sum(axis=1).max() <= 1.4 and (shares < 0.1).sum(axis=1).min() >= 1
    free = mine.exposures().set_index("driver")["exposure"].drop(wishes["locks"])
    assert free.max() <= 0.7 + 1e-9


def test_what_is_said_of_a_driver_moves_the_world_and_nothing_else(bench, favourite):
    plain, told = bench.world(), bench.world(ownership={favourite: 0.2})
    sure = bench.world(points={favourite: 70.0}).races.mean()
    assert sure[favourite] == pytest.approx(70, abs=0.05)
    assert told.crowd.ownership[favourite] == pytest.approx(0.2) and told.crowd.ownership.sum() == pytest.approx(6)
    assert sure.drop(favourite).equals(plain.races.mean().drop(favourite))
    held = (told.field == told.day.slate.rows([favourite])[0]).any(axis=1).mean()
    assert held == pytest.approx(0.2, abs=0.02)


def test_a_scratched_driver_is_in_no_lineup_of_ours_or_the_fields(bench, favourite):
    world = bench.world(out=[favourite])
    row = world.day.slate.rows([favourite])[0]
    assert world.races.points[:, row].max() == 0 and row not in world.field
    assert row not in bench.ask(5, out=[favourite]).portfolio.lineups


def test_thresholds_relabel_and_weights_reweigh_the_same_races(bench):
    plain = bench.world()
    strict = bench.world(thresholds={"leader_share": 0.3})
    assert np.array_equal(strict.races.finish, plain.races.finish)
    assert strict.races.regime_shares()["dominator"] > plain.races.regime_shares()["dominator"]
    mix = dict.fromkeys(plain.races.regime_names, 0.0) | {"chaos": 1.0}
    only = bench.ask(3, regime_weights=mix).world.races
    assert only.weight[only.regime != only.regime_names.index("chaos")].sum() == 0


def test_payouts_by_regime_add_up_to_the_payout(bench):
    answer = bench.ask(3)
    races, paid = answer.world.races, answer.scores.payout["lineups"]
    text = live.shown(answer)
    for name, share in races.regime_shares().items():
        if share > 0:
            here = races.regime == races.regime_names.index(name)
            mean = paid[here] @ races.weight[here] / share
            assert f"${mean:,.2f} <i>±" in text or f"${mean:,.0f} <i>±" in text


def test_an_answer_is_compared_with_itself_without_a_difference_and_with_a_worse_one_by_its_sign(bench):
    best = bench.ask(3, leverage_penalty=0)
    assert bench.compare(best, best)["difference"] == 0
    slate, value = bench.day.slate, bench.world().races.mean()
    worst = bench.ask(3, leverage_penalty=0, bans=list(value[~slate.out].nlargest(12).index))
    ahead, behind = bench.compare(worst, best), bench.compare(best, worst)
    assert ahead["difference"] == pytest.approx(-behind["difference"]) and ahead["se"] == pytest.approx(behind["se"])
    assert ahead["difference"] > 0 < ahead["se"]


def test_fewer_lineups_than_asked_are_answered_with_a_note_and_none_with_the_reason(bench):
    own = bench.world().crowd.ownership
    few = bench.ask(
        3, max_overlap=0, max_exposure=1.0, max_ownership_per_driver=float(own[own > 0].nsmallest(8).iloc[-1])
    )
    assert len(few.portfolio) < 3 and "Only" in few.portfolio.notes[0]
    with pytest.raises(UserError, match="max_ownership"):
        bench.ask(max_ownership_per_driver=0.0)


def test_files_are_written_over_own_ones_and_never_over_others(bench, tmp_path):
    answer = bench.ask(2)
    bench.write(answer, tmp_path)
    (said, *_) = bench.write(bench.ask(3), tmp_path)
    path = tmp_path / SMALL_RACE / "lineups.csv"
    assert str(path) in said and len(path.read_text().splitlines()) == 1 + len(bench.ask(3).portfolio)
    path.write_text("mine")
    with pytest.raises(UserError, match="did not write"):
        bench.write(answer, tmp_path)
    assert path.read_text() == "mine"


@pytest.fixture(scope="module")
def latest() -> live.Bench:
    return live.open_bench("2026-08-23-copperhead-mile", SAMPLE, n_scenarios=100)


def test_each_contest_is_played_against_its_own_field_and_limit(latest):
    first, second = (latest.ask(5, contest=k) for k in (0, 1))
    for number, answer in enumerate((first, second)):
        held = latest.day.contests[number]
        assert answer.world.day.contest is held and len(answer.world.field) == held.entries - 1
        assert len(answer.portfolio) == held.entering(5)
    assert len(first.portfolio) != len(second.portfolio)


def test_reserved_entries_are_filled_with_the_lineups_shown(latest, tmp_path):
    answer = latest.ask(4)
    latest.write(answer, tmp_path)
    sheet = (tmp_path / "2026-08-23-copperhead-mile" / "DKEntries.csv").read_text()
    first = answer.portfolio.slate.names[answer.portfolio.lineups[0]]
    assert all(name in sheet for name in first)


def _lineups(path) -> set:
    return {frozenset(re.findall(r"[^,]+?\(\d+\)", row)) for row in path.read_text().splitlines()[1:]}


@pytest.mark.parametrize("own_recipe", [{}, {"leverage_penalty": 40.0}], ids=["plain", "by money"])
def test_notebook_the_commands_and_the_live_page_choose_the_same_lineups(bench, favourite, tmp_path, own_recipe):
    """The report runs notebook 03 with `-p`; the panel hands its wishes to the full engine; `dfslab optimize`, given
    the points and the ownership of the page, finds the plain lineups that both play."""
    often = bench.world().crowd.ownership.nlargest(10).index
    lines = {"max_exposure": 1.0, "max_ownership_per_driver": 0.6, "max_total_ownership": 1.4}
    lines |= {"min_low_ownership_drivers": 2, "low_ownership_threshold": 0.12}
    group = {"drivers": list(often[2:8]), "at_most": 2}
    wishes = lines | own_recipe | {"locks": [often[8]], "bans": [favourite], "groups": [group]}
    sizes = {"n_scenarios": 400, "n_lineups": 5, "n_draws": 50}
    _run("report", SMALL_RACE, "--data", SAMPLE, "--out", tmp_path, **sizes, **wishes)
    bench.write(bench.choose(**sizes, **wishes), tmp_path / "live")
    ours, theirs = (tmp_path / folder / SMALL_RACE / "lineups.csv" for folder in ("live", ""))
    assert ours.read_text() == theirs.read_text()
    if not own_recipe:
        day, drawn = bench.day, simulate_race(bench.day, 400)
        crowd = forecast_ownership(day, drawn, 50)
        points, known = blend_races(day, drawn, crowd).mean(), day.slate.names[~day.slate.out]
        sheet = pd.DataFrame({"projected_points": points, "projected_ownership": 100 * crowd.ownership}).loc[known]
        sheet.rename_axis("driver").to_csv(tmp_path / "points.csv")
        salaries = SAMPLE / "races" / SMALL_RACE / "DKSalaries.csv"
        _run("optimize", salaries, tmp_path / "points.csv", "-n", 5, "--out", tmp_path / "quick.csv", **wishes)
        assert _lineups(tmp_path / "quick.csv") == _lineups(ours) and len(_lineups(ours)) == 5


def _run(*words, **parameters) -> None:
    """Run a command of `dfslab` with parameters by `-p`."""
    given = [word for name, value in parameters.items() for word in ("-p", f"{name}={value!r}")]
    done = CliRunner().invoke(cli, [*map(str, words), *given])
    assert done.exit_code == 0, done.output


def test_the_recipes_that_the_full_engine_leaves_out_are_worth_nothing_in_notebook_03():
    """So its referee plays plain lineups, as the live page does."""
    with (live.Path(__file__).parents[2] / "notebooks" / "03_portfolio_construction.ipynb").open() as file:
        source = "\n".join("".join(cell["source"]) for cell in json.load(file)["cells"])
    assert 'recipes = {"plain lineups": wishes | plain | {"leverage_share": 0.0}}' in source
    assert 'for name, share in (("half leverage", 0.5), ("all leverage", 1.0))' in source
    assert 'worth = {"half leverage": 0.0, "all leverage": 0.0}' in source


def test_the_panel_turns_its_boxes_into_the_wishes_of_notebook_03(bench, favourite, tmp_path):
    panel = live.Panel(bench, tmp_path)
    first = panel.wishes()
    assert first["max_total_ownership"] is None and first["thresholds"] is None and first["regime_weights"] is None
    panel.boxes["max_exposure"].value, panel.boxes["leader_share"].value = 50, 40
    panel.boxes["locks"].value, panel.boxes["driver"].value = [favourite], favourite
    panel.boxes["points"].value, panel.boxes["owned"].value = 44, 30
    panel.edit()
    wishes = panel.wishes()
    assert wishes["max_exposure"] == 0.5 and wishes["thresholds"] == {"leader_share": 0.4}
    assert (
        wishes["locks"] == (favourite,)
        and wishes["points"] == {favourite: 44}
        and wishes["ownership"] == {favourite: 0.3}
    )
    assert panel.answer.portfolio.lineups.tolist() == bench.ask(**wishes).portfolio.lineups.tolist()


def test_a_wish_that_was_refused_is_let_go_and_weights_of_nothing_are_told(bench, favourite, tmp_path):
    panel = live.Panel(bench, tmp_path)
    stands = panel.answer
    panel.boxes["driver"].value, panel.boxes["owned"].value = favourite, 100
    panel.edit()
    assert panel.answer is stands and not panel.ownership and "No answer" in panel.status.value
    for regime in bench.world().races.regime_names:
        panel.boxes[regime].value = 0
    panel.boxes["weigh"].value = True
    assert "all are 0" in panel.status.value


def test_a_share_above_nothing_allows_one_of_few_lineups(bench, favourite):
    for share in (0.05, {favourite: 0.05}):
        mine = bench.ask(2, max_exposure=share).portfolio
        assert mine.exposures().set_index("driver")["exposure"][favourite] <= 0.5
    assert favourite not in bench.day.slate.names[bench.ask(2, max_exposure={favourite: 0.0}).portfolio.lineups]


def test_the_panel_keeps_its_answer_when_wishes_conflict_and_compares_with_what_was_pinned(bench, favourite, tmp_path):
    panel = live.Panel(bench, tmp_path)
    panel.boxes["locks"].value = [favourite]
    stands = panel.answer
    panel.boxes["bans"].value = [favourite]
    assert panel.answer is stands and "remove" in panel.status.value
    panel.boxes["bans"].value = []
    panel.pin()
    panel.boxes["leverage_penalty"].value = 120
    assert "Against the pinned A, on fresh races" in panel.output.value and "<img" not in panel.output.value
    panel.write()
    assert (tmp_path / SMALL_RACE / "lineups.csv").exists() and "lineups.csv" in panel.status.value
