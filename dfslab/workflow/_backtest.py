"""A season walked forward: each race decided from earlier ones alone, then revealed and scored.

Realised profit of one season proves nothing. What counts is calibration (predicted against realised rates) and, on a
simulated season, replays: each race is run thousands of times by the law that made it, so a portfolio's true value is
known without asking our own simulator.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab import metrics
from dfslab.data import files, finished_races
from dfslab.errors import InputError, UserError, in_words
from dfslab.parallel import map_jobs
from dfslab.portfolio import score_portfolios
from dfslab.workflow._cache import cached_walk
from dfslab.workflow._promises import RECORD, season_worth, with_worth
from dfslab.workflow._race_day import SAMPLE, RaceDay, open_race
from dfslab.workflow._review import by_slate, earned, play_real_field, read_outcome
from dfslab.workflow._verbs import baselines, choose_portfolio, forecast_ownership, simulate_race
from dfslab.workflow._verbs import score_portfolios as score_fresh

SETTINGS = {
    "n_scenarios": 10_000,
    "n_lineups": 20,
    "n_draws": 400,
    "n_fresh_fields": 20,
    "max_exposure": 1.0,
    "max_overlap": 5,
    "n_candidates": 6_000,
    "n_fields": 20,
    "n_replays": 2_000,
    "n_replay_fields": 50,
}
"""Sizes of a backtest; `n_lineups` is cut to the contest's limit per user. No limit on exposure: on fresh draws a limit
of .6 cost 8 % of the expected payout at 20 lineups and 35 % at 3."""
REPLAY_STREAM = 77
"""Number of the random stream of the replays, apart from those of the stages."""
SALARY_BANDS = 12
"""Bands of salary rank in the plainest forecast."""
MOST_DRAWS = 2_000
"""Simulated races that points are scored on."""
TABLES = ("scores", "money", "drivers")


def run_backtest(
    data_dir=None,
    out_dir="reports/backtest",
    *,
    races=None,
    replay=None,
    workers: int | None = None,
    seed: int = 1,
    progress=lambda line: None,
    **settings,
) -> dict[str, pd.DataFrame]:
    """Choose lineups for every race of a season with standings, then score them on what happened.

    Parameters
    ----------
    data_dir : the data folder, default the bundled sample season
    out_dir : gets one JSON per race; a race whose inputs, seed, settings and code are as before is not run again
    races : race ids, default all with standings, in order of date
    replay : `sample.replay`, or what runs a race again as it does: judges portfolios of a simulated season by the law
        that made it; without it, and on real seasons, they are judged by our own simulator on fresh draws
    workers : processes, default one per core; the numbers do not depend on it
    progress : called with a line after each race
    settings : see `SETTINGS`

    Returns
    -------
    frames `races`, `scores` (tidy, see `metrics.summarise`), `money` (one row per race and strategy) and `failed`
    (race_id, error); see `summarise`
    """
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise UserError(f"backtest: no setting {', '.join(unknown)}; known: {', '.join(SETTINGS)}")
    data_dir = Path(data_dir or SAMPLE)
    chosen = list(races or finished_races(data_dir))
    files.check_out(out_dir, data_dir)
    Path(out_dir).mkdir(parents=True, exist_ok=True)
    jobs = [(race_id, str(data_dir), seed, SETTINGS | settings, replay) for race_id in chosen]
    found = map_jobs(_score_race, jobs, workers=workers, progress=progress, instead=_failed)
    good = with_worth([one for one in found if "error" not in one])
    if not good:
        raise UserError(f"backtest: none of {len(found)} races could be scored; the first: {found[0]['error']}")
    for one in good:
        files.write_text(Path(out_dir) / f"{one['race_id']}.json", json.dumps(one, indent=1) + "\n")
    frames = {name: pd.DataFrame([r for one in good for r in one[name]]) for name in TABLES}
    frames["races"] = pd.DataFrame([one["race"] for one in good])
    frames["failed"] = pd.DataFrame([one for one in found if "error" in one], columns=["race_id", "error"])
    return frames


def _score_race(race_id: str, data_dir: str, seed: int, settings: dict, replay) -> dict:
    """Decide one race, then reveal it; its rows are kept by all that they depend on: no later race of the history."""
    day = open_race(race_id, data_dir, seed)
    replay = replay if day.simulated else None
    own = {name: value for name, value in day.hashes.items() if not name.startswith(("history", RECORD))}
    known = own, day.history.results, day.history.races, day.history.ownership

    def score(_):
        return {race_id: _decided_and_revealed(day, settings, replay)}

    return cached_walk(score, {race_id: known}, "backtest", seed, settings, replay is not None)[race_id]


def _failed(job, error: Exception) -> dict:
    return {"race_id": job[0], "error": in_words(error)}


def _decided_and_revealed(day: RaceDay, settings: dict, replay) -> dict:
    contest, race = day.contest, day.race
    n = contest.entering(settings["n_lineups"])
    limits = {name: settings[name] for name in ("max_exposure", "max_overlap", "n_candidates", "n_fields")}
    races = simulate_race(day, settings["n_scenarios"])
    crowd = forecast_ownership(day, races, settings["n_draws"])
    mine = choose_portfolio(day, races, crowd, n, **limits)
    strategies = {"portfolio": mine.lineups, **baselines(day, races, crowd, mine)}
    sizes = {"n_scenarios": settings["n_scenarios"], "n_fields": settings["n_fresh_fields"]}
    predicted = score_fresh(day, strategies, crowd, **sizes)
    outcome = read_outcome(day, contest)
    facts = {"race_id": race.race_id, "date": f"{race.date:%Y-%m-%d}", "track_type": race.track_type}
    facts |= {"entries": contest.entries, "entry_fee": contest.entry_fee, "n_lineups": n}
    facts |= {"audited": bool(mine.audit["holds"].all())}
    facts |= {"past_contests": day.history.ownership["contest_id"].nunique()}
    tables = {"scores": _forecast_scores(day, races, crowd, outcome), "drivers": pd.DataFrame()}
    tables["money"] = _real_money(strategies, predicted, outcome, day)
    if replay:
        replayed, tables["drivers"] = _replayed(replay, strategies, day, settings, races, crowd)
        tables["money"] = tables["money"].merge(replayed, on="strategy")
    texts = {
        n: t.assign(race_id=race.race_id).to_json(orient="records", double_precision=12) for n, t in tables.items()
    }
    return {"race_id": race.race_id, "race": facts} | {name: json.loads(text) for name, text in texts.items()}


# ---------------------------------------------------------------- scores of one race


def _forecast_scores(day, races, crowd, outcome) -> pd.DataFrame:
    """Return scores of the forecasts and of what knows nothing (`plain`): drivers of a salary rank, orders alike.

    See `metrics.summarise`; ownership in points, coverage as a share.
    """
    racing = ~day.slate.out
    own, points = 100 * outcome.ownership[racing], outcome.points[racing]
    plain = 100 * salary_rank(day.history.ownership, day.slate)[None, racing]
    kept = np.random.default_rng(0).choice(len(races), min(MOST_DRAWS, len(races)), p=races.weight)
    drawn = races.points[kept][:, racing]
    shares, mean = 100 * crowd.draws[:, racing], 100 * crowd.table["ownership"].to_numpy()[None, racing]
    rows = [
        ("ownership, mean absolute error", metrics.crps(mean, own), metrics.crps(plain, own)),
        ("ownership, CRPS", metrics.crps(shares, own), metrics.crps(plain, own)),
        ("points, CRPS", metrics.crps(drawn, points), metrics.crps(np.reshape(drawn, (-1, 1)), points[None])),
    ]
    for name, draws, actual in (("ownership", shares, own), ("points", drawn, points)):
        inside = metrics.covered(*metrics.interval_bounds(draws, 0.8), actual)
        rows.append((f"{name}, inside 80 % bands", inside, np.nan))
    if outcome.results is not None:
        rows += _finish_scores(races, outcome.results, racing)
    values = [(s, model, np.mean(v)) for s, ours, theirs in rows for model, v in (("dfslab", ours), ("plain", theirs))]
    return pd.DataFrame(values, columns=["score", "model", "value"]).assign(case=day.race.race_id)


def salary_rank(past: pd.DataFrame, slate) -> np.ndarray:
    """Return the ownership past contests gave to drivers of the same salary rank, (D,), scaled to the roster size.

    Without past contests everybody is owned alike.
    """
    place = pd.Series(np.where(slate.out, np.nan, slate.salary)).rank(pct=True)
    level = np.full(len(slate), 1.0)
    if len(past):
        rank = past.groupby("contest_id")["salary"].rank(pct=True)
        band = np.minimum((rank * SALARY_BANDS).astype(int), SALARY_BANDS - 1)
        means = past["ownership"].groupby(band).mean()
        level = np.interp(place, (means.index + 0.5) / SALARY_BANDS, means)
    level = np.where(slate.out, 0.0, level)
    return slate.rules.roster_size * level / level.sum()


def _finish_scores(races, results, racing) -> list[tuple]:
    finish = by_slate(results.set_index("driver")["finish"], races.drivers)[racing]
    known, places = np.isfinite(finish), min(int(np.nanmax(finish)), len(races.drivers))
    chance = metrics.finish_probabilities(np.clip(races.finish, 1, places), races.weight)[racing][known, :places]
    flat, actual = np.full(chance.shape, 1 / places), np.minimum(finish[known], places)
    ten, ten_flat = (metrics.brier(p[:, :10].sum(axis=1), actual <= 10) for p in (chance, flat))
    return [("finish, RPS", metrics.rps(chance, actual), metrics.rps(flat, actual)), ("top ten, Brier", ten, ten_flat)]


def _real_money(strategies, predicted, outcome, day) -> pd.DataFrame:
    """Return, by strategy, what our simulator predicted and how it went in the real field."""
    table = predicted.table().set_index("portfolio")
    gaps = predicted.differences("portfolio").set_index("against")
    contest, rows = day.contest, []
    for name, lineups in strategies.items():
        sets = np.reshape(lineups, (-1, *np.shape(lineups)[-2:]))
        real = earned(pd.concat([play_real_field(one, outcome, contest, day.slate.rules) for one in sets]), contest)
        forecast = table.loc[name]
        row = {"strategy": name, "fees": forecast["fees"], "beaten": real["beaten"]}
        row |= {"won": real["won"] / len(sets), "cash": real["cash"], "top_1pct": real["top_1pct"]}
        shown = ("expected_payout", "expected_payout_se", "sd", "p_profit", "cash", "top_1pct")
        row |= {f"predicted_{k}": forecast[k] for k in shown}
        row |= {f"average_{rate}": value for rate, value in predicted.average.items()}
        if name in gaps.index:
            row |= {"predicted_gap": gaps.loc[name, "difference"], "predicted_gap_se": gaps.loc[name, "se"]}
        rows.append(row)
    return pd.DataFrame(rows)


def _replayed(replay, strategies, day: RaceDay, settings: dict, races, crowd) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return, by strategy, what it earns when the race is run again by the law that made it, and drivers' truths.

    The second frame has a row per driver who races: what was known of him, his mean points and his ownership in the
    replays.
    """
    rng = np.random.default_rng(np.random.SeedSequence(day.seed, spawn_key=(REPLAY_STREAM,)))
    n, fields = settings["n_replays"], settings["n_replay_fields"]
    played = replay(day.race.race_id, n, rng, day.data_dir, n_fields=fields)
    if not np.array_equal(played.drivers, day.slate.names):
        raise InputError(f"{day.files.path}: the drivers are not those of the simulated season; write it again")
    scores = score_portfolios(strategies, played.points, played.fields, day.contest, rules=day.slate.rules)
    table = scores.table().rename(columns={"portfolio": "strategy"})
    table = table[["strategy", "expected_payout", "expected_payout_se", "p_profit", "cash", "top_1pct"]]
    gaps = scores.differences("portfolio").rename(columns={"against": "strategy", "difference": "gap", "se": "gap_se"})
    table = table.merge(gaps[["strategy", "gap", "gap_se"]], on="strategy", how="left")
    held = np.bincount(played.fields.ravel().astype(int), minlength=len(day.slate))
    known = {
        "driver": day.slate.names,
        "model": races.mean().to_numpy(),
        "ownership": crowd.table["ownership"].to_numpy(),
        "start": day.slate.column("start"),
        "projected": day.slate.column("projected_points"),
        "replay_points": played.points.mean(axis=0),
        "replay_ownership": held / np.prod(played.fields.shape[:2]),
    }
    table = table.set_index("strategy").add_prefix("replay_").reset_index()
    return table, pd.DataFrame(known)[~day.slate.out]


# ---------------------------------------------------------------- the season


def summarise(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the season's tables, every standard error over races.

    `scores` and `score_gains`: mean scores, and differences from what knows nothing (`plain`), see `metrics.compare`.
    `field`: strategy, races, beaten (share of the real field behind) ± se, predicted and realised cash and top-1 %
    rates, the difference ± se. `gains`: strategy, return per dollar of fees as predicted, as calibrated from earlier
    races with the 80 % band of the season's mean, and as judged (by replays on
    a simulated season, else by our own simulator), what the portfolio earns more per dollar ± se, and whether that is
    clear (two standard errors). `reliability`: slope of realised on predicted rates over races and strategies, its se
    and whether 1 is within two of them.
    """
    money, scores = frames["money"], frames["scores"]
    tables = {"scores": metrics.summarise(scores), "score_gains": metrics.compare(scores, "plain")}
    tables["field"] = pd.DataFrame([_field_row(name, part) for name, part in money.groupby("strategy", sort=False)])
    tables["gains"] = _gains(money)
    tables["reliability"] = _reliability(money)
    tables["cash_bands"] = _cash_bands(money)
    return tables


def _field_row(name: str, part: pd.DataFrame) -> dict:
    races = part["race_id"].to_numpy()
    beaten, se = metrics.clustered_mean(part["beaten"], races)
    row = {"strategy": name, "races": len(part), "beaten": beaten, "beaten_se": se}
    for rate in ("cash", "top_1pct"):
        gap, gap_se = metrics.paired_difference(part[rate], part[f"predicted_{rate}"], races)
        row |= {f"predicted_{rate}": part[f"predicted_{rate}"].mean(), rate: part[rate].mean()}
        row |= {f"{rate}_difference": gap, f"{rate}_difference_se": gap_se}
    return row


def _gains(money: pd.DataFrame) -> pd.DataFrame:
    """Judge by replays where there are some, else by our own simulator on fresh draws."""
    source = "replay_" if "replay_expected_payout" in money else "predicted_"
    rows = []
    for name, part in money.groupby("strategy", sort=False):
        races, fees = part["race_id"].to_numpy(), part["fees"].to_numpy()
        earned, se = metrics.clustered_mean(part[f"{source}expected_payout"] / fees, races)
        promised = (part["predicted_expected_payout"] / fees).mean()
        row = {"strategy": name, "races": len(part), "predicted_return": promised - 1}
        row |= season_worth(part) | {"return": earned - 1, "return_se": se}
        if name != "portfolio":
            gap, gap_se = metrics.clustered_mean(part[f"{source}gap"] / fees, races)
            row |= {"portfolio_gains": gap, "portfolio_gains_se": gap_se, "clear": bool(abs(gap) > 2 * gap_se)}
        rows.append(row)
    return pd.DataFrame(rows).assign(judged_by="replays" if source == "replay_" else "our simulator")


def _cash_bands(money: pd.DataFrame, bands: int = 5) -> pd.DataFrame:
    """Return predicted against realised (replayed, where there are replays) cash rates by band of the prediction.

    All strategies count; frame forecast, actual, se, n, clusters, in fractions (see `metrics.reliability`).
    """
    forecast = money["predicted_cash"].to_numpy(float)
    actual = money["replay_cash" if "replay_cash" in money else "cash"].to_numpy(float)
    edges = np.unique(np.quantile(forecast, np.linspace(0, 1, bands + 1)))
    return metrics.reliability(forecast, actual, money["race_id"].to_numpy(), edges)


def _reliability(money: pd.DataFrame) -> pd.DataFrame:
    """Return slopes of realised and of replayed rates on predicted ones, over all strategies, clustered by race."""
    rows = []
    for source in ("replay_", ""):
        for rate in ("cash", "top_1pct"):
            if f"{source}{rate}" in money:
                y, x = money[f"{source}{rate}"].to_numpy(float), money[f"predicted_{rate}"].to_numpy(float)
                slopes, errors = metrics.clustered_fit(y, np.column_stack([np.ones(len(x)), x]), money["race_id"])
                shown = {"predicted": x.mean(), "realised": y.mean(), "slope": slopes[1], "se": errors[1]}
                shown["holds"] = bool(abs(slopes[1] - 1) <= 2 * errors[1])
                rows.append({"rate": rate, "judged_by": "replays" if source else "standings"} | shown)
    return pd.DataFrame(rows)
