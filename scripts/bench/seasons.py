"""Judge the decision code on simulated seasons that nobody looked at: write them, walk through them, pool the tables.

Rows are stored under `--out` by a digest of the code, so that a run that was stopped goes on where it was, and the
code of today can be compared with that of an earlier commit (run there with another `--name`):

    python -m scripts.bench.seasons --seeds 101-110 --name before --out ../bench
    python -m scripts.bench.seasons --seeds 101-110 --name after --out ../bench --compare before
"""

import hashlib
import json
from pathlib import Path

import click
import numpy as np
import pandas as pd

import dfslab
from dfslab import metrics, sample
from dfslab.data import list_races
from dfslab.parallel import map_jobs
from dfslab.workflow import run_backtest, summarise
from scripts.docs.results import markdown_table, write_results

RESULTS = Path(__file__).parents[2] / "docs" / "results.md"
PLAIN = "no leverage (best by mean points)"
SHOWN = {"portfolio": "portfolio", PLAIN: "best by mean points"}


def code_digest() -> str:
    """Return a digest of the package's code and fitted figures."""
    digest, package = hashlib.sha256(), Path(dfslab.__file__).parent
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.json")]):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def season(seed: int, out: Path) -> Path:
    """Return the folder of the simulated season of `seed`, written when it is not there."""
    folder = out / "seasons" / str(seed)
    return folder if (folder / "seed.json").exists() else sample.write_sample(folder, seed)


def jobs_of(seeds, out: Path, store: Path, every: int, settings: dict) -> list[tuple]:
    """Return one job per season and race, in an order whose beginnings are spread over seasons and races."""
    found = []
    for seed in seeds:
        folder = season(seed, out)
        races = list_races(folder)[:-1]
        found += [(race, folder, store / str(seed), settings) for race in races[seed % every :: every]]
    return [found[k] for k in np.random.default_rng(0).permutation(len(found))]


def score(race_id: str, folder: Path, store: Path, settings: dict) -> None:
    """Decide, reveal and replay one race; its rows are stored."""
    try:
        run_backtest(folder, store, races=[race_id], replay=sample.replay, workers=1, **settings)
    except ValueError as error:
        click.echo(f"{folder.name} {race_id}: {error}", err=True)


def season_bands(seeds, out: Path, store: Path, settings: dict) -> pd.DataFrame:
    """Calibrate the stored races of each season anew, each from the races before it; nothing is run twice.

    Returns a row per season: the portfolio's promise, the calibrated return with its 80 % band, what replays gave,
    whether that is inside, and the interval scores of the band and of the promise alone.
    """
    found = []
    for seed in seeds:
        done = sorted(path.stem for path in (store / str(seed)).glob("*.json"))
        if not done:
            continue
        folder = season(seed, out)
        frames = run_backtest(folder, store / str(seed), races=done, replay=sample.replay, workers=1, **settings)
        told = summarise(frames)["gains"].set_index("strategy").loc["portfolio"]
        low, high, truth, promised = told[["low_80", "high_80", "return", "predicted_return"]].astype(float)
        row = {"season": seed, "races": len(done), "promised": promised, "calibrated": told["calibrated_return"]}
        row |= {"low": low, "high": high, "replayed": truth, "inside": low <= truth <= high}
        row["score of the band"] = metrics.interval_score(low, high, truth, 0.8)
        found.append(row | {"score of the promise": metrics.interval_score(promised, promised, truth, 0.8)})
    return pd.DataFrame(found).round(3)


def money_rows(store: Path, seeds) -> pd.DataFrame:
    """Return the stored money rows of the seasons with what a dollar of fees returned as promised and as replayed."""
    parts = []
    for seed in seeds:
        for path in sorted((store / str(seed)).glob("*.json")):
            parts.append(pd.DataFrame(json.loads(path.read_text("utf-8"))["money"]).assign(season=seed))
    rows = pd.concat(parts, ignore_index=True)
    rows["race"] = rows["season"].astype(str) + " " + rows["race_id"]
    for name, source in (("promised", "predicted"), ("replayed", "replay"), ("calibrated", "calibrated")):
        if f"{source}_expected_payout" in rows or f"{source}_payout" in rows:
            column = f"{source}_payout" if source == "calibrated" else f"{source}_expected_payout"
            rows[name] = rows[column] / rows["fees"] - 1
    return rows


def estimate(values, rows: pd.DataFrame) -> str:
    """Return mean ± its error by season ± its error by race."""
    mean, by_season = metrics.clustered_mean(values, rows["season"])
    by_race = metrics.clustered_mean(values, rows["race"])[1]
    return f"{mean:+.3f} ± {by_season:.3f} ({by_race:.3f})"


def pooled(rows: pd.DataFrame) -> pd.DataFrame:
    """Return by strategy promised and replayed return, their gap, the rates and the gain over the plain lineups."""
    plain = rows[rows["strategy"] == PLAIN].set_index("race")["replayed"]
    found = []
    for name, part in rows.groupby("strategy", sort=False):
        row = {"strategy": SHOWN.get(name, name), "seasons": part["season"].nunique(), "races": len(part)}
        told = [c for c in ("promised", "calibrated") if c in part]
        row |= {c: f"{part[c].mean():+.3f}" for c in told}
        row["replayed"] = estimate(part["replayed"], part)
        row |= {f"{c} less replayed": estimate(part[c] - part["replayed"], part) for c in told}
        row["gain over best by mean points"] = estimate(part["replayed"] - plain.reindex(part["race"]).to_numpy(), part)
        for rate in ("cash", "top_1pct"):
            row[rate] = f"{part[f'predicted_{rate}'].mean():.4f} → {part[f'replay_{rate}'].mean():.4f}"
        found.append(row)
    return pd.DataFrame(found)


def slope_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return slopes of replayed on promised and calibrated rates over strategies and races ± errors as `estimate`."""
    found = []
    for rate in ("cash", "top_1pct"):
        for told in ("predicted", "calibrated"):
            design = np.column_stack([np.ones(len(rows)), rows[f"{told}_{rate}"]])
            fits = [metrics.clustered_fit(rows[f"replay_{rate}"], design, rows[by]) for by in ("season", "race")]
            (slope, by_season), (_, by_race) = ((values[1], se[1]) for values, se in fits)
            found.append({"rate": rate, "told": told, "slope": f"{slope:.2f} ± {by_season:.2f} ({by_race:.2f})"})
    return pd.DataFrame(found)


def seeds_of(text: str) -> list[int]:
    """Return the seeds of `101-110,205`."""
    ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
    return [seed for part in ends for seed in range(part[0], part[-1] + 1)]


@click.command()
@click.option("--seeds", default="101-110", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where seasons and rows are kept.")
@click.option("--name", default="today", show_default=True, help="Of this code in tables.")
@click.option("--races", "every", default=2, show_default=True, help="Every how-manieth race is run.")
@click.option("--replays", default=1_000, show_default=True)
@click.option("--workers", default=1, show_default=True)
@click.option("--run/--only-tables", default=True)
@click.option("--compare", help="Name of code run earlier; the tables keep the races that both have.")
@click.option("--write", is_flag=True, help="Put the tables into docs/results.md.")
def main(seeds, out, name, every, replays, workers, run, compare, write):
    """Write simulated seasons, walk through them, and print the pooled tables."""
    numbers, store = seeds_of(seeds), out / f"rows-{name}-{code_digest()}"
    settings = {"n_replays": replays}
    if run:
        from scripts.bench.seasons import score  # by its name, which travels to other processes

        jobs = jobs_of(numbers, out, store, every, settings)
        map_jobs(score, jobs, workers=workers, progress=lambda line: click.echo(line, err=True))
    tables = {f"{name}: seasons": season_bands(numbers, out, store, settings)}
    stores = {name: store}
    if compare:
        stores = {compare: max(out.glob(f"rows-{compare}-*"), key=lambda path: path.stat().st_mtime)} | stores
    found = {label: money_rows(path, numbers) for label, path in stores.items()}
    shared = set.intersection(*[set(rows["race"]) for rows in found.values()])
    for label, rows in found.items():
        mine = rows[rows["race"].isin(shared)]
        tables[f"{label}: mean ± error by season (by race), dollars a dollar of fees"] = pooled(mine)
        if "calibrated" in rows:
            races = rows["race"].nunique()
            tables[f"{label}: slope of replayed on promised rates, all strategies of {races} races"] = slope_table(rows)
    for title, table in tables.items():
        click.echo(f"\n{title}\n\n{markdown_table(table)}")
    if write:
        command = f"python -m scripts.bench.seasons --seeds {seeds} --races {every} --out BENCH --name {name}"
        write_results(RESULTS, "money", tables, command + (f" --compare {compare}" if compare else "") + " --write")


if __name__ == "__main__":
    main()
