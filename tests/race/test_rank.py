"""Rank models against published tables, written-out likelihoods, closed forms and the truth that made the data."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.stats import chisquare

from dfslab.race._finish import FinishModel
from dfslab.race._form import _decayed, _linked, _seen, elsewhere, features, history_table
from dfslab.race._orders import Choices, fit_attrition, fit_plackett_luce, maximise, sample_finish
from dfslab.slate import Race

BOTH = pytest.mark.parametrize("fit", [fit_plackett_luce, fit_attrition])


def races_of(orders) -> pd.DataFrame:
    """Return finishes of races given as lists of names, winner first."""
    rows = [(r, name, k + 1) for r, order in enumerate(orders) for k, name in enumerate(order)]
    return pd.DataFrame(rows, columns=["race_id", "driver", "finish"])


def order_log_probability(order, worth) -> float:
    """Return the log probability of an order by Plackett–Luce, written out."""
    left, total = list(order), 0.0
    for name in order:
        total += worth[name] - np.log(sum(np.exp(worth[other]) for other in left))
        left.remove(name)
    return total


def exits_log_probability(order, worth) -> float:
    """Return the log probability of an order by attrition, written out: the last leaves first."""
    return order_log_probability(order[::-1], {name: -w for name, w in worth.items()})


WRITTEN_OUT = {fit_plackett_luce: order_log_probability, fit_attrition: exits_log_probability}
ORDERS = ["abcd", "bad", "cdab", "dbca", "adcb", "cbad", "bcd", "ca"]


# ---------------------------------------------------------------- drivers alone


@BOTH
def test_published_table_of_paired_comparisons(fit):
    case = json.loads((Path(__file__).parents[1] / "cases" / "baseball_1987.json").read_text())
    teams, wins = case["teams"], case["wins"]
    pairs = [(a, b) for i, a in enumerate(teams) for j, b in enumerate(teams) for _ in range(wins[i][j])]
    worth = fit(races_of(pairs)).log_worth
    assert (worth - worth[case["against"]])[teams].round(2).tolist() == case["log_worth"]


def test_published_toy_with_a_driver_who_only_loses():
    case = json.loads((Path(__file__).parents[1] / "cases" / "plackett_luce_toy.json").read_text())
    with pytest.raises(ValueError, match="no finite estimate for D:"):
        fit_plackett_luce(races_of([*case["orders"], case["only_loses"]]))
    worth = fit_plackett_luce(races_of(case["orders"])).log_worth
    assert (worth - worth[case["against"]]).round(4)[["B", "C"]].to_dict() == case["log_worth"]


@BOTH
def test_fit_maximises_the_written_out_likelihood(fit):
    names = "abcd"

    def loss(x):
        return -sum(WRITTEN_OUT[fit](list(order), dict(zip(names, x, strict=True))) for order in ORDERS)

    slow = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    model = fit(races_of(ORDERS))
    np.testing.assert_allclose(model.log_worth[list(names)], slow - slow.mean(), atol=2e-6)
    assert model.log_likelihood == pytest.approx(-loss(model.log_worth[list(names)].to_numpy()), abs=1e-12)
    assert np.abs(approx_fprime(model.log_worth[list(names)].to_numpy(), loss, 1e-7)).max() < 1e-5


@BOTH
def test_two_drivers_have_the_closed_form(fit):
    model = fit(races_of([("a", "b")] * 7 + [("b", "a")] * 3))
    assert model.log_worth["a"] - model.log_worth["b"] == pytest.approx(np.log(7 / 3), abs=1e-12)


@BOTH
def test_a_cycle_makes_all_equal(fit):
    model = fit(races_of(["abc", "bca", "cab"]))
    np.testing.assert_allclose(model.log_worth, 0.0, atol=1e-12)
    assert model.log_likelihood == pytest.approx(3 * np.log(1 / 6))


def test_attrition_is_plackett_luce_from_the_back():
    finishes = races_of(ORDERS)
    back = fit_plackett_luce(finishes.assign(finish=-finishes["finish"]))
    np.testing.assert_allclose(fit_attrition(finishes).log_worth, -back.log_worth, atol=1e-11)


@BOTH
def test_gaps_in_finishes_and_the_order_of_rows_do_not_matter(fit):
    finishes = races_of(ORDERS)
    shuffled = finishes.assign(finish=finishes["finish"] ** 2 * 3).sample(frac=1.0, random_state=1)
    pd.testing.assert_series_equal(fit(finishes).log_worth, fit(shuffled).log_worth, atol=1e-11)


@BOTH
@pytest.mark.parametrize(
    ("orders", "named"),
    [
        (["abc", "bac", "abd", "bad"], "c, d"),
        (["abc", "acb", "abc", "acb"], "a"),
        (["ab", "ba", "cd", "dc", "ab", "abe", "eba"], "c, d"),
    ],
)
def test_drivers_without_a_finite_estimate_are_named(fit, orders, named):
    with pytest.raises(ValueError, match=f"no finite estimate for {named}:"):
        fit(races_of(orders))
    assert np.isfinite(fit(races_of(orders), ridge=0.5).log_worth).all()


@BOTH
def test_ridge_shrinks_and_never_reorders_two(fit):
    sizes = [np.abs(fit(races_of(ORDERS), ridge=ridge).log_worth).sum() for ridge in (0.0, 0.1, 1.0, 10.0)]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0] / 3


@BOTH
def test_ridge_is_the_penalty_of_the_docstring(fit):
    def loss(x):
        return 2.5 * (x**2).sum() / 2 - sum(
            WRITTEN_OUT[fit](list(o), dict(zip("abcd", x, strict=True))) for o in ORDERS
        )

    slow = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(fit(races_of(ORDERS), ridge=2.5).log_worth, slow, atol=2e-6)


@BOTH
def test_known_worths_are_recovered(fit):
    rng = np.random.default_rng(4)
    truth = rng.normal(size=25)
    noise = rng.standard_exponential((600, 25))
    life = np.log(noise) + truth if fit is fit_attrition else truth - np.log(noise)
    orders = [np.argsort(-row)[rng.random(25) < 0.8] for row in life]
    model = fit(races_of(orders))
    error = model.log_worth - (truth - truth.mean())
    assert np.abs(error).max() < 0.25 and error.std() < 0.1


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (races_of(["ab"]).drop(columns="finish"), "column finish is missing"),
        (races_of([]), "no rows"),
        (races_of(["ab", "ba"]).assign(finish=[1, np.nan, 1, 2]), "row 2 has a blank"),
        (races_of(["ab", "aa"]), "race 1 has driver a twice"),
        (races_of(["ab"]).assign(finish=1), "race 0 has finish 1 twice"),
    ],
)
def test_bad_finishes_are_refused(frame, message):
    with pytest.raises(ValueError, match=message):
        fit_plackett_luce(frame)


def test_far_apart_worths_do_not_overflow():
    orders = [list(range(40))] * 200 + [list(range(40))[::-1]]
    model = fit_plackett_luce(races_of(orders), ridge=1e-6)
    assert np.isfinite(model.log_worth).all() and model.log_worth.is_monotonic_decreasing


# ---------------------------------------------------------------- the likelihood with a design


def slow_objective(beta, choices, penalty):
    total = 0.0
    for r, weight in enumerate(choices.weight):
        u = choices.design[choices.first[r] : choices.first[r + 1]] @ beta
        total += weight * sum(u[i] - np.log(np.exp(u[i:]).sum()) for i in range(len(u)))
    return (penalty * beta**2).sum() / 2 - total


def test_gradient_and_hessian_equal_finite_differences():
    rng = np.random.default_rng(0)
    choices = Choices(rng.normal(size=(13, 3)), np.array([0, 5, 6, 13]), np.array([1.0, 0.3, 2.0]))
    penalty, beta = np.array([0.0, 1.0, 3.0]), rng.normal(size=3)
    value, gradient, hessian = choices.objective(beta, penalty)
    assert value == pytest.approx(slow_objective(beta, choices, penalty), abs=1e-12)
    numeric = approx_fprime(beta, slow_objective, 1e-7, choices, penalty)
    np.testing.assert_allclose(gradient, numeric, atol=1e-5)
    step = 1e-5
    columns = [
        (choices.objective(beta + h, penalty)[1] - choices.objective(beta - h, penalty)[1]) / (2 * step)
        for h in step * np.eye(3)
    ]
    np.testing.assert_allclose(hessian(), columns, atol=1e-7)
    best = maximise(choices, penalty + 0.1)
    np.testing.assert_allclose(choices.objective(best, penalty + 0.1)[1], 0.0, atol=1e-10)


# ---------------------------------------------------------------- sampling


def test_sampled_orders_have_the_exact_probabilities():
    worth = dict(enumerate([0.9, -0.4, 0.1, -1.5]))
    finish = sample_finish(np.array(list(worth.values())), 40_000, np.random.default_rng(5))
    orders = list(permutations(range(4)))
    exact = np.exp([exits_log_probability(list(o), worth) for o in orders])
    seen = pd.Series(map(tuple, np.argsort(finish, axis=1))).value_counts().reindex(orders, fill_value=0)
    assert exact.sum() == pytest.approx(1.0)
    assert chisquare(seen.to_numpy(), exact * len(finish)).pvalue > 1e-3


def test_more_samples_extend_fewer():
    worth = np.random.default_rng(1).normal(size=30)
    few = sample_finish(worth, 50, np.random.default_rng(2))
    many = sample_finish(worth, 500, np.random.default_rng(2))
    np.testing.assert_array_equal(few, many[:50])
    np.testing.assert_array_equal(np.sort(many, axis=1), np.broadcast_to(np.arange(1, 31), (500, 30)))


def test_a_missing_log_worth_is_refused():
    with pytest.raises(ValueError, match="no finite value"):
        sample_finish([0.0, np.nan], 5, np.random.default_rng(0))


# ---------------------------------------------------------------- records


def test_decayed_means_equal_a_loop_over_the_past():
    rng = np.random.default_rng(2)
    first = np.array([0, 4, 7, 12, 15, 20])
    race = np.repeat(np.arange(5), np.diff(first))
    day = np.array([0.0, 7.0, 14.0, 300.0, 310.0])[race]
    key, value = rng.integers(-1, 4, 20), np.where(rng.random(20) < 0.2, np.nan, rng.normal(size=20))
    mean, weight = _decayed(first, day, key, value, 0.01, 2.0)
    for i in range(20):
        past = (race < race[i]) & (key == key[i]) & ~np.isnan(value) & (key[i] >= 0)
        faded = np.exp(-0.01 * (day[i] - day[past]))
        assert weight[i] == pytest.approx(faded.sum())
        assert mean[i] == pytest.approx((faded * value[past]).sum() / (faded.sum() + 2.0))


# ---------------------------------------------------------------- the working model

DRIVERS = [f"Driver {k:02d}" for k in range(14)]
SKILL = np.linspace(1.6, -1.6, 14)
KINDS = ("intermediate", "superspeedway", "short", "road")


def history(n_races=90, seed=0):
    """Return results and races made by attrition on SKILL (a quarter of it at superspeedways) and the start."""
    rng = np.random.default_rng(seed)
    results, races = [], []
    for r in range(n_races):
        kind = KINDS[r % 4]
        facts = {"race_id": f"race-{r:03d}", "date": pd.Timestamp("2021-02-14") + pd.Timedelta(days=7 * r)}
        races.append(facts | {"track": f"{kind} {r % 8}", "track_type": kind})
        start = sample_finish(SKILL, 1, rng)[0]
        pace = SKILL * (0.25 if kind == "superspeedway" else 1.0) - 0.1 * (start - 7.5)
        out = rng.random(14) < 0.1
        finish = sample_finish(pace - 60.0 * out, 1, rng)[0]
        results.append(
            pd.DataFrame(
                {
                    "race_id": facts["race_id"],
                    "driver": DRIVERS,
                    "team": [f"Team {k // 3}" for k in range(14)],
                    "car": range(14),
                    "start": start,
                    "finish": finish,
                    "dnf": out.astype(int),
                    "laps_led": np.where(finish == 1, 100, 0),
                    "driver_rating": 80.0 + 10 * SKILL + rng.normal(size=14),
                }
            )
        )
    return pd.concat(results, ignore_index=True), pd.DataFrame(races)


RESULTS, RACES = history()


def race_on(row) -> Race:
    return Race(row["race_id"], row["date"], row["track"], row["track_type"], 1.5, 200)


def entry(r) -> pd.DataFrame:
    mine = RESULTS[RESULTS["race_id"] == RACES["race_id"].iloc[r]]
    return mine[["driver", "team", "car", "start"]].reset_index(drop=True)


@pytest.fixture(scope="module")
def model() -> FinishModel:
    return FinishModel.fit(RESULTS, RACES, before=RACES["date"].iloc[-4])


def test_the_model_finds_the_skill_that_made_the_races(model):
    grid = pd.DataFrame({"driver": DRIVERS, "start": 7})
    by_kind = {kind: model.log_worth(grid, race_on(RACES.iloc[-4 + k])) for k, kind in enumerate(("short", "road"))}
    for worth in by_kind.values():
        assert np.corrcoef(worth, SKILL)[0, 1] > 0.95 and worth.mean() == pytest.approx(0.0, abs=1e-12)


def test_the_start_counts_and_superspeedways_level(model):
    race = race_on(RACES.iloc[-1])
    front = model.log_worth(entry(-1).assign(start=range(1, 15)), race)
    back = model.log_worth(entry(-1).assign(start=range(14, 0, -1)), race)
    assert front[0] > back[0] and front[-1] < back[-1]
    superspeedway = next(r for r in range(-4, 0) if RACES["track_type"].iloc[r] == "superspeedway")
    short = next(r for r in range(-4, 0) if RACES["track_type"].iloc[r] == "short")
    spread = {r: model.log_worth(entry(r), race_on(RACES.iloc[r])).std() for r in (superspeedway, short)}
    assert spread[superspeedway] < 0.7 * spread[short]


def test_nothing_on_or_after_the_date_is_used(model):
    date = RACES["date"].iloc[-4]
    later = RESULTS["race_id"].isin(RACES.loc[RACES["date"] >= date, "race_id"])
    corrupt = RESULTS.copy()
    corrupt.loc[later, "finish"] = corrupt.loc[later, "finish"].to_numpy()[::-1]
    corrupt.loc[later, ["driver_rating", "laps_led", "dnf"]] = 1
    other = FinishModel.fit(corrupt, RACES, before=date)
    pd.testing.assert_series_equal(model.coefficients, other.coefficients)
    race = race_on(RACES.iloc[-4])
    np.testing.assert_array_equal(model.log_worth(entry(-4), race), other.log_worth(entry(-4), race))


def test_features_of_a_race_do_not_know_its_result():
    table = history_table(RESULTS, RACES)
    last = table["race_id"] == RACES["race_id"].iloc[-1]
    blank = table.copy()
    blank[["finish", "dnf", "laps_led", "driver_rating"]] = table[
        ["finish", "dnf", "laps_led", "driver_rating"]
    ].astype(float)
    blank.loc[last, ["finish", "dnf", "laps_led", "driver_rating"]] = np.nan
    pd.testing.assert_frame_equal(features(table), features(blank))


def test_the_order_of_drivers_does_not_matter(model):
    race, drivers = race_on(RACES.iloc[-2]), entry(-2)
    shuffle = np.random.default_rng(0).permutation(len(drivers))
    np.testing.assert_allclose(
        model.log_worth(drivers, race)[shuffle], model.log_worth(drivers.iloc[shuffle], race), atol=1e-12
    )


def test_a_rookie_gets_what_his_car_has_earned(model):
    race, drivers = race_on(RACES.iloc[-2]), entry(-2).assign(start=7)
    good, poor = drivers.copy(), drivers.copy()
    good.loc[13, ["driver", "team", "car"]] = ["Rookie", "Team 0", 1]
    poor.loc[13, ["driver", "team", "car"]] = ["Rookie", "Team 4", 12]
    assert model.log_worth(good, race)[13] > model.log_worth(poor, race)[13]


def test_team_and_car_left_out_are_those_of_the_last_race(model):
    race, drivers = race_on(RACES.iloc[-2]), entry(-2)
    partly = drivers.assign(team=drivers["team"].where(drivers.index % 2 == 0), car=drivers["car"].astype(float))
    for bare in (drivers[["driver", "start"]], partly):
        np.testing.assert_allclose(model.log_worth(bare, race), model.log_worth(drivers, race), atol=1e-12)


def test_bare_finishes_and_a_bare_entry_list_are_enough():
    bare = FinishModel.fit(RESULTS[["race_id", "driver", "finish"]].iloc[: 14 * 20], RACES)
    new = Race("new", "2030-01-01", "Nowhere", "moon", 2.0, 100)
    worth = bare.log_worth(pd.DataFrame({"driver": [*DRIVERS, "Rookie"]}), new)
    assert np.isfinite(worth).all() and np.corrcoef(worth[:14], SKILL)[0, 1] > 0.8


@pytest.mark.parametrize(
    ("results", "races", "message"),
    [
        (RESULTS.drop(columns="finish"), RACES, "results: column finish is missing"),
        (RESULTS, RACES.drop(columns="track"), "races: column track is missing"),
        (RESULTS, RACES.iloc[1:], "race race-000 of results has no row with a date"),
        (RESULTS, RACES.assign(date=pd.Timestamp("2031-01-01")), "no race before 2030"),
    ],
)
def test_bad_history_is_refused(results, races, message):
    with pytest.raises(ValueError, match=message):
        FinishModel.fit(results, races, before="2030-01-01")


def test_a_missing_start_is_what_the_driver_usually_starts(model):
    race = race_on(RACES.iloc[-1])
    worth = model.log_worth(entry(-1).drop(columns="start"), race)
    assert np.corrcoef(worth, SKILL)[0, 1] > 0.9


def test_a_disqualified_car_is_not_punished():
    last = RESULTS["race_id"].isin(RACES["race_id"].iloc[60:90])
    who = RESULTS["driver"] == DRIVERS[3]
    finish = np.where(last & who, 14, RESULTS["finish"] - (last & (RESULTS["finish"] > 13)))
    fallen = RESULTS.assign(finish=np.where(last & ~who & (finish == 14), 13.5, finish))
    race = Race("next", "2023-01-01", "road 3", "road", 1.5, 200)
    entry_list = entry(-1).assign(start=7)
    punished = FinishModel.fit(fallen, RACES).log_worth(entry_list, race)
    spared = FinishModel.fit(fallen.assign(disqualified=last & who), RACES).log_worth(entry_list, race)
    assert spared[3] > punished[3] + 0.3


def test_past_log_worths_are_forecasts(model):
    past = model.past_log_worth()
    assert np.abs(past.groupby("race_id")["log_worth"].mean()).max() < 1e-12
    early = FinishModel.fit(RESULTS, RACES, before=RACES["date"].iloc[80]).past_log_worth()
    both = past.merge(early, on=["race_id", "driver"]).merge(RACES, on="race_id")
    both = both[both["race_id"].isin(RACES["race_id"].iloc[72:])]
    for _, kind in both.groupby("track_type"):  # the same but for the temperature
        ratio = kind["log_worth_x"] / kind["log_worth_y"]
        assert len(ratio) >= 14 and np.ptp(ratio) < 1e-6


# ---------------------------------------------------------------- many names, other series


def test_a_driver_keeps_his_record_under_another_spelling(model):
    race, spelled = race_on(RACES.iloc[-1]), entry(-1)
    other = spelled.assign(driver=spelled["driver"].str.upper().str.replace(" ", ". "))
    np.testing.assert_allclose(model.log_worth(other, race), model.log_worth(spelled, race))


def test_a_team_keeps_its_record_under_a_new_name():
    day = pd.Series(pd.to_datetime(RACES["date"]), RACES.index)
    late = RESULTS["race_id"].isin(RACES.loc[day >= day.iloc[-12], "race_id"])
    renamed = RESULTS.assign(team=RESULTS["team"].where(~late, RESULTS["team"].str.replace("Team ", "T")))
    a, b = (features(history_table(r, RACES)) for r in (RESULTS, renamed))
    pd.testing.assert_frame_equal(a, b)


def test_a_new_team_with_cars_of_a_team_that_still_races_starts_afresh():
    team = np.array(["A", "A", "B", "A", "new", "B"], object)
    linked = _linked(team, np.array(["1", "2", "3", "1", "2", "3"], object), np.array([0, 0, 0, 7, 7, 7]), [0, 3, 6])
    assert linked.tolist() == ["A", "A", "B", "A", "new", "B"]
    gone = np.array(["A", "A", "B", "X", "X", "B"], object)
    linked = _linked(gone, np.array(["1", "2", "3", "1", "2", "3"], object), np.array([0, 0, 0, 7, 7, 7]), [0, 3, 6])
    assert linked.tolist() == ["A", "A", "B", "A", "A", "B"]


def test_records_of_other_series_are_decayed_means_of_earlier_days():
    table = history_table(RESULTS, RACES)
    ours = table[["date", "race_id", "who"]].iloc[-14:].reset_index(drop=True)
    others = table.iloc[:-14].assign(race_id="other " + table["race_id"].iloc[:-14])
    found = elsewhere(ours, others)
    rating = _seen(others, pd.factorize(others["race_id"])[0])["rating"]
    for k, row in ours.iterrows():
        mine = (others["who"] == row["who"]).to_numpy()
        weight = 0.5 ** ((row["date"] - others["date"][mine]).dt.days / 500.0)
        assert found["rated"][k] == pytest.approx((weight @ rating[mine]) / (weight.sum() + 3.0))
        assert found["met"][k] == pytest.approx(weight.sum() / (weight.sum() + 3.0))


def test_races_of_the_same_day_or_later_lend_nothing():
    table = history_table(RESULTS, RACES)
    ours = table[["date", "race_id", "who"]].iloc[:14].reset_index(drop=True)
    others = table.assign(race_id="other " + table["race_id"])
    assert not np.any([elsewhere(ours, others)[name] for name in ("rated", "met")])


def test_a_newcomer_borrows_from_another_series():
    star, poor = DRIVERS[0], DRIVERS[-1]
    unknown = RESULTS[~RESULTS["driver"].isin([star, poor])]
    race, grid = race_on(RACES.iloc[-1]), pd.DataFrame({"driver": DRIVERS, "start": 7})
    lent = RESULTS.assign(race_id="other " + RESULTS["race_id"]), RACES.assign(race_id="other " + RACES["race_id"])
    early = RESULTS[RESULTS["race_id"].isin(RACES["race_id"].iloc[-30:])]
    thin = pd.concat([unknown, early[early["driver"].isin([star, poor])].groupby("driver").head(3)])
    worth = [FinishModel.fit(thin, RACES, others=o).log_worth(grid, race) for o in (None, lent)]
    assert worth[1][0] - worth[1][-1] > worth[0][0] - worth[0][-1]
