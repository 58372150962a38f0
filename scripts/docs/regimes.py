"""Write what regimes are worth into `docs/results.md`: `python -m scripts.docs.regimes ../shared/data/cup`.

Thresholds are chosen up to a day and confirmed on the races after it, which nobody had looked at when the score, the
model and its settings were chosen.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from statsmodels.regression.linear_model import OLS

from dfslab import data, regimes
from dfslab.workflow import tune
from scripts.docs.results import write_results

OUT = Path(__file__).parents[2] / "docs" / "results.md"
RUNS = {"short": (0.0, 45.0), "usual": (45.0, 100.0), "beyond the fuel window": (100.0, np.inf)}
"""Final green runs by length in miles: a late restart, a usual one, more than a tank."""
FUEL = regimes.RegimeThresholds(fuel_miles=100.0)


@click.command()
@click.argument("cup", type=click.Path(exists=True, file_okay=False))
@click.option("--since", default="2022-01-01", show_default=True)
@click.option("--seen", default="2025-07-01", show_default=True, help="Races from this day on were kept for the end.")
@click.option("--permutations", default=200, show_default=True)
@click.option("--out", default=str(OUT), show_default=True)
def main(cup, since, seen, permutations, out):
    """Measure the choice of thresholds, forecasts of regimes, and fuel mileage."""
    history = data.history(cup, series="cup")
    options = {"since": since, "n_permutations": permutations, "progress": click.echo}
    found = tune.tune_thresholds(history, until=seen, **options)
    every = tune.tune_thresholds(history, **options)
    tables = {
        f"Gain of reweighting by season, thresholds chosen before it ({found.n_races} races)": found.by_season.astype(
            {"season": str}
        ),
        "The same in every part of the score": found.parts,
        "Thresholds held, on the same races": found.comparison,
        f"With the races after {seen}, by season": every.by_season.astype({"season": str}),
        "If one knew before the race whether it will be so": knowing(history, seen, options),
        "Brier score of forecasts before the race, less that of the base rate": every.skill(),
        "Base rates, over the races where it is known": by_track(every.base_rates),
        "The last green run of 130 races: what it does to laps led and finish": fuel_ties(history),
    }
    notes = (found.verdict, f"With the races after {seen}: {every.verdict}", *READING)
    write_results(out, "regimes", tables, f"python -m scripts.docs.regimes cup --since {since} --seen {seen}", notes)


READING = (
    "Gains are skill: the share of the score of unweighted scenarios that reweighting takes off, .01 is one percent; ± "
    "one standard error over races. p: share of permutations of the labels within season and track type, each with the "
    "whole walk-forward choice, that gain as much.",
    "Tie: rank correlation of laps led and finish (turned, so that 1 is a race where who led most finished first); "
    "differences from usual runs within track types, by least squares with robust errors.",
)


def knowing(history, seen, options) -> pd.DataFrame:
    """Return what knowing each regime would gain, with fuel mileage labelled at 100 miles."""
    settings = options | {"grid": {"leader_share": [FUEL.leader_share]}, "n_permutations": 0}
    return tune.tune_thresholds(history, until=seen, in_use=FUEL, **settings).knowing


def by_track(rates: pd.DataFrame) -> pd.DataFrame:
    """Return base rates with the number of races known, a row per track type."""
    wide = rates.assign(text=rates["rate"].map("{:.2f}".format) + " of " + rates["races"].astype(str))
    return wide.pivot(index="track_type", columns="regime", values="text")[list(regimes.REGIMES)].reset_index()


def fuel_ties(history) -> pd.DataFrame:
    """Return, by length of the last green run, how laps led and finish go together, and the difference from usual."""
    features = regimes.race_features(history.results, history.races).dropna(subset="final_green_miles")
    kind = history.races.set_index("race_id")["track_type"].reindex(features.index)
    known = history.results[history.results["race_id"].isin(features.index)].groupby("race_id")
    ties = pd.DataFrame({race_id: tie(rows) for race_id, rows in known}).T.reindex(features.index)
    bounds = [0.0, *(high for _, high in RUNS.values())]
    run = pd.cut(features["final_green_miles"], bounds, right=False, labels=list(RUNS))
    dummies = pd.get_dummies(run).drop(columns="usual").astype(float)
    design = pd.concat([dummies, pd.get_dummies(kind, prefix="on").astype(float)], axis=1)
    fits = {name: OLS(ties[name], design).fit(cov_type="HC1") for name in ties}
    rows = []
    for name in RUNS:
        row = {"last green run": name, "races": int((run == name).sum())}
        for what, fit in fits.items():
            less = "–" if name == "usual" else f"{fit.params[name]:+.2f} ± {fit.bse[name]:.2f}"
            row |= {what: ties.loc[run == name, what].mean(), f"{what}, difference": less}
        rows.append(row)
    return pd.DataFrame(rows)


def tie(rows: pd.DataFrame) -> dict[str, float]:
    """Return how laps led and finish go together in one race."""
    led, finish = rows["laps_led"].to_numpy(float), rows["finish"].to_numpy(float)
    return {
        "tie": -spearmanr(led, finish).statistic,
        "winner's share of laps": led[finish == 1].sum() / led.sum(),
        "most laps led wins": float(finish[led.argmax()] == 1),
    }


if __name__ == "__main__":
    main()
