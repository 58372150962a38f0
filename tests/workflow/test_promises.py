"""The second pass: shipped figures first, then earlier races only; replays before standings; bands of a season."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dfslab.portfolio import PromiseMap, Scores
from dfslab.slate import Contest, Race
from dfslab.workflow._promises import promise_of, promises_before, read_record, record_digest, season_worth, with_worth
from dfslab.workflow._tune import remember

AVERAGE = {"average_return": -0.15, "average_cash": 0.2, "average_top_1pct": 0.01, "average_p_profit": 0.0}
PROMISE = {f"predicted_{name}": value for name, value in
           {"expected_payout": 20.0, "cash": 0.35, "top_1pct": 0.03, "p_profit": 0.4}.items()}  # fmt: skip


def scored(day: int, won: float, replayed: float | None = None, strategy="portfolio") -> dict:
    """Return a race that promised 20 dollars on 10 of fees, what it won and what replays say."""
    row = {"strategy": strategy, "fees": 10.0, "won": won, "cash": 0.3, "top_1pct": 0.0, "predicted_sd": 30.0}
    row |= AVERAGE | PROMISE
    if replayed is not None:
        rates = {"expected_payout": replayed, "cash": 0.3, "top_1pct": 0.02, "p_profit": 0.35}
        row |= {f"replay_{name}": value for name, value in rates.items()}
    return {"race_id": f"r{day:02d}", "race": {"date": f"2026-03-{day:02d}"}, "money": [row]}


def payouts(races) -> list[float]:
    return [one["money"][0]["calibrated_payout"] for one in races]


def test_the_first_race_is_worth_what_the_shipped_map_says_and_later_ones_what_earlier_ones_taught():
    found = with_worth([scored(day, 0.0, 9.0) for day in range(1, 13)])
    promised = pd.DataFrame({"return": [1.0], "cash": [0.35], "top_1pct": [0.03], "p_profit": [0.4]})
    average = {name.removeprefix("average_"): value for name, value in AVERAGE.items()}
    shipped = PromiseMap.shipped()(promised, average).iloc[0]
    first = found[0]["money"][0]
    assert first["calibrated_payout"] == pytest.approx(10 * (1 + shipped["return"]))
    assert first["calibrated_low"] == pytest.approx(10 * (1 + shipped["low_80"]))
    assert first["calibrated_cash"] == pytest.approx(shipped["cash"])
    assert (np.diff(payouts(found)) < 0).all(), "every bad race lowers the next promise"
    assert found[-1]["money"][0]["calibrated_shared_sd"] < first["calibrated_shared_sd"]


def test_what_comes_later_or_on_the_same_day_changes_nothing():
    races = [scored(day, 0.0, 9.0) for day in (3, 5, 5, 8)]
    whole = payouts(with_worth(races))
    assert whole[1] == whole[2]
    assert payouts(with_worth(races[:3])) == whole[:3]
    assert payouts(with_worth([*races[:3], scored(8, 500.0, 90.0)])) == whole
    assert payouts(with_worth(races[::-1])) == whole


def test_a_race_of_standings_teaches_less_than_one_that_was_replayed_and_other_strategies_teach_nothing():
    replayed, real, other = (
        payouts(with_worth([scored(1, 9.0, told, name), scored(2, 9.0, told, name)]))
        for told, name in ((9.0, "portfolio"), (None, "portfolio"), (9.0, "no regimes"))
    )
    assert replayed[1] < real[1] < replayed[0] == real[0]
    assert other[1] == other[0]


def test_eight_seasons_in_ten_lie_inside_the_band_of_their_mean():
    shipped, rng, inside = PromiseMap.shipped().rates["return"], np.random.default_rng(3), []
    for _ in range(300):
        weight = rng.normal(shipped.weight, shipped.sd)
        truth = rng.normal(weight * 1.15, shipped.spread, 14) - 0.15
        races = with_worth([scored(day + 1, 0.0, 10 * (1 + value)) for day, value in enumerate(truth)])
        rows = pd.DataFrame([row for one in races for row in one["money"]])
        told = season_worth(rows)
        inside.append(told["low_80"] < truth.mean() < told["high_80"])
    assert np.mean(inside) == pytest.approx(0.8, abs=0.06)
    untold = season_worth(rows.drop(columns="replay_expected_payout"))
    assert untold["low_80"] < told["low_80"], "what no replay tells stays shared by all races"


def test_a_record_teaches_races_after_it_and_a_contest_counts_once(tmp_path):
    contest = Contest(5.0, 100, [{"min_rank": 1, "max_rank": 20, "prize": 21.0}], contest_id="7")
    day = SimpleNamespace(data_dir=tmp_path, race=Race("r1", pd.Timestamp("2026-03-01"), "T", "short", 0.5, 400))
    pay = {"portfolio": np.random.default_rng(1).exponential(20.0, 200)}
    zero = {"portfolio": np.full(200, 0.3)}
    scores = Scores(
        pay, zero, zero, zero, np.full(200, 1 / 200), np.zeros(200, int), {"portfolio": 10.0}, contest=contest
    )
    lost = pd.Series({"fees": 10.0, "won": 0.0, "cash": 0.0, "top_1pct": 0.0})
    told = promise_of(day, scores, lost, contest)
    path = remember(tmp_path, [told])
    assert remember(tmp_path, [told]) == path and len(json.loads(path.read_text())) == 1
    shipped = PromiseMap.shipped()
    assert promises_before(tmp_path, "2026-03-01") == shipped == promises_before(tmp_path / "nobody", "2026-03-02")
    free = json.loads(path.read_text())[0] | {"contest_id": "8", "fees": 0.0}
    path.write_text(json.dumps([*json.loads(path.read_text()), free]))
    assert read_record(tmp_path)[1] == "", "a contest without a fee teaches nothing, and harms nothing"
    after = promises_before(tmp_path, "2026-03-02")
    assert after.races == 1 and after.rates["return"].weight < shipped.rates["return"].weight
    path.write_text("[{}")
    assert remember(tmp_path, [told]).read_text() == "[{}", "a damaged record is the user's to repair"


def test_a_record_is_in_order_of_date_however_it_came(tmp_path):
    rows = [{**ROW, "race_id": f"r{k}", "date": f"2026-03-0{k}"} for k in (1, 2, 3)]
    orders = [(0, 1, 2), (2, 0, 1), (1, 2, 0)]
    for number, order in enumerate(orders):
        for k in order:
            path = remember(tmp_path / str(number), [rows[k]])
        assert json.loads(path.read_text()) == rows
    early = record_digest(tmp_path / "0", "2026-03-02")
    remember(tmp_path / "0", [{**rows[2], "won": 99.0}])
    assert early == record_digest(tmp_path / "0", "2026-03-02") != record_digest(tmp_path / "0", "2026-04-02")
    assert record_digest(tmp_path / "0", "2026-03-01") == {}


ROW = {"race_id": "r1", "contest_id": "7", "date": "2026-03-01", "fees": 10.0, "won": 5.0, "cash": 0.2, "top_1pct": 0.0}
ROW |= {"predicted_expected_payout": 9.0, "predicted_sd": 30.0, "average_return": -0.1}
ROW |= {f"{part}_{rate}": 0.1 for part in ("predicted", "average") for rate in ("cash", "top_1pct", "p_profit")}
DAMAGED = ["", "{", "{}", "null", "7", '"x"', "[null]", "[{}]", "[[]]", "[7]", "\x00\x01", "[" * 99_999, '{"a": [1]}']
DAMAGED += [json.dumps([ROW])[:90], json.dumps([ROW, {**ROW, "date": "05.03.2032"}]), json.dumps({"r": ROW})]
DAMAGED += [
    json.dumps([{**ROW, name: bad}]) for name in ("fees", "cash", "average_return") for bad in ("5", None, 1e308)
]
DAMAGED += [json.dumps([{**ROW, "cash": bad}]) for bad in (-0.5, 1.5, float("nan"), float("inf"), [0.1])]
DAMAGED += [json.dumps([{**ROW, name: bad}]) for name in ("race_id", "contest_id", "date") for bad in (None, 7, [])]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_record_is_left_out_and_said(text, tmp_path):
    path = tmp_path / "models" / "promises.json"
    path.parent.mkdir()
    path.write_text(json.dumps([ROW]))
    assert read_record(tmp_path) == ([ROW], "") and promises_before(tmp_path, "2026-03-02").races == 1
    path.write_text(text)
    rows, said = read_record(tmp_path)
    assert (
        not rows
        and said.startswith("models/promises.json is damaged (")
        and said.endswith("repair it, or move it away.")
    )
    assert promises_before(tmp_path, "2026-03-02") == PromiseMap.shipped()
