"""Print the figures of `portfolio/defaults.json`: what the market blend believes, and what promises are worth.

Both come from rows of `scripts/bench/seasons.py`, whose replays know true means and what portfolios truly earn:

    python -m scripts.fit.money ../bench/rows-after-0123456789ab --seeds 101-110 --real ../shared/data/cup

With `--real` the slopes of real points on simulated means (walk-forward, 2022 on) stand beside those of simulated ones;
the shipped weights of model and start lie between the two.
"""

import json
from pathlib import Path

import click
import numpy as np
import pandas as pd

from dfslab import data, metrics, race
from scripts.bench.seasons import PLAIN, money_rows, seeds_of

CHOSEN = PLAIN
"""The strategy whose promises are fitted: what is played unless another is asked for."""


def driver_rows(store: Path, seeds) -> pd.DataFrame:
    """Return drivers' true means beside what was known before the race, as deviations from the race's mean."""
    parts = []
    for seed in seeds:
        for path in sorted((store / str(seed)).glob("*.json")):
            rows = pd.DataFrame(json.loads(path.read_text("utf-8"))["drivers"])
            rows["surprise"] = np.sqrt(rows["replay_ownership"]) - np.sqrt(rows["ownership"])
            rows["ownership"] = np.sqrt(rows["ownership"])
            told = rows["projected"].notna().mean() > 0.5
            rows["projected"] = rows["projected"].fillna(rows["model"]) if told else np.nan
            shown = ["replay_points", "model", "ownership", "surprise", "start", "projected"]
            parts.append((rows[shown] - rows[shown].mean()).assign(season=seed, told=told))
    return pd.concat(parts, ignore_index=True)


def blend_table(rows: pd.DataFrame, sources) -> pd.DataFrame:
    """Return least squares of true means on `sources`: weight, error by season, spread between seasons."""
    rows = rows.dropna(subset=[*sources, "replay_points"])
    weight, se = metrics.clustered_fit(rows["replay_points"], rows[list(sources)].to_numpy(), rows["season"])
    apart = [
        np.linalg.lstsq(part[list(sources)], part["replay_points"], rcond=None)[0] for _, part in rows.groupby("season")
    ]
    return pd.DataFrame({"weight": weight, "se": se, "sd between seasons": np.std(apart, axis=0)}, list(sources))


def worth_table(money: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of `PromiseMap` by rate, and the error `se` of the weight that `sd` contains."""
    rows, found = money[money["strategy"] == CHOSEN], {}
    for rate in ("return", "cash", "top_1pct", "p_profit"):
        column = "expected_payout" if rate == "return" else rate
        fees, average = (rows["fees"], rows["average_return"] + 1) if rate == "return" else (1, rows[f"average_{rate}"])
        x, y = rows[f"predicted_{column}"] / fees - average, rows[f"replay_{column}"] / fees - average
        found[rate] = _worth(x.to_numpy(), y.to_numpy(), rows["season"].to_numpy())
    return pd.DataFrame(found).T


def _worth(x, y, season) -> dict:
    """Return the weight and its errors: least squares by season, pooled by moments (see `PromiseMap`)."""
    rows = pd.DataFrame({"xx": x * x, "xy": x * y, "yy": y * y}).groupby(season).sum()
    own, n = rows["xy"] / rows["xx"], len(rows)
    spread = np.sqrt((rows["yy"] - own * rows["xy"]).sum() / (len(x) - n))
    sure = rows["xx"] / spread**2
    beyond = sure @ (own - sure @ own / sure.sum()) ** 2 - (n - 1)
    shared = max(0.0, beyond / (sure.sum() - sure @ sure / sure.sum()))
    sure = 1 / (1 / sure + shared)
    se = sure.sum() ** -0.5
    return {"weight": sure @ own / sure.sum(), "sd": np.hypot(se, np.sqrt(shared)), "spread": spread, "se": se}


def real_slopes(folder) -> pd.DataFrame:
    """Return the weights of simulated means and grid places in real points, each race simulated from earlier ones."""
    past = data.history(folder, series="cup")
    drawn = race.forecast_races(past.results, past.races, pd.Timestamp("2022-01-01"), n_scenarios=600, months=12,
                                rng=np.random.default_rng(1))  # fmt: skip
    parts = []
    for race_id, races in drawn.items():
        mine = past.results[past.results["race_id"] == race_id].set_index("driver")[["dk_points", "start"]]
        rows = mine.join(races.mean().rename("model"), how="inner").dropna()
        parts.append((rows - rows.mean()).assign(race=race_id))
    rows = pd.concat(parts)
    weight, se = metrics.clustered_fit(rows["dk_points"], rows[["model", "start"]].to_numpy(), rows["race"])
    return pd.DataFrame({"weight": weight, "se": se}, ["model", "start"]).assign(races=rows["race"].nunique())


@click.command()
@click.argument("store", type=click.Path(exists=True, path_type=Path))
@click.option("--seeds", default="101-110", show_default=True)
@click.option("--real", type=click.Path(exists=True, path_type=Path), help="A data folder of real Cup races.")
def main(store, seeds, real):
    """Print the tables behind the shipped figures of the money."""
    seeds = seeds_of(seeds)
    rows = driver_rows(store, seeds)
    sources = ("model", "ownership", "surprise", "start")
    click.echo(f"without projections\n{blend_table(rows[~rows['told']], sources)}\n")
    click.echo(f"with projections\n{blend_table(rows[rows['told']], (*sources, 'projected'))}\n")
    click.echo(f"model and start alone\n{blend_table(rows, ('model', 'start'))}\n")
    if real:
        click.echo(f"the same, real races\n{real_slopes(real)}\n")
    click.echo(f"what promises are worth\n{worth_table(money_rows(store, seeds))}")


if __name__ == "__main__":
    main()
