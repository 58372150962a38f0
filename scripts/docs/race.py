"""Write the section "Finishing orders" of docs/results.md: `python -m scripts.docs.race ../shared/data`.

Cup races of 2022 to 2025's race 18 and Xfinity races from 2023, each forecast from earlier ones, and the closing
head-to-head lines of 2026. `--confirm` adds the Cup races after them, which chose nothing.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from dfslab import metrics
from dfslab.data import match_names
from dfslab.race import FinishRecord, finish_record, fit_attrition, forecast_races, market_chances, simulator_record
from scripts.docs.results import write_results

RESULTS = Path(__file__).parents[2] / "docs" / "results.md"
PERIODS = {"cup": ("2022-01-01", "2025-06-30"), "xfinity": ("2023-01-01", None)}
CONFIRM = {"cup": ("2025-07-01", None)}
MONTHS = 2
"""Months between refits of the coefficients."""
SHOWN = ["CRPS of points", "points inside 80 % bands", "drop-outs", "crash drop-outs", "leader_share"]
FAVOURITES = 5
"""Drivers of the best mean finish who count as favourites."""
PRIOR, PRECISION = np.array([0.9, 0.1]), 20.0
"""Weights of line and model before there are lines to learn from, and how firmly they are held."""


def history(shared: Path, series: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return results and races of a series."""
    folder = shared / series / "history"
    return pd.read_csv(folder / "results.csv", low_memory=False), pd.read_csv(folder / "races.csv")


def finishing_orders(shared: Path, periods: dict, n_scenarios: int) -> dict[str, pd.DataFrame]:
    """Return the tables of the finishing orders of every series."""
    lent = {"xfinity": history(shared, "cup")}
    found = [
        finish_record(
            *history(shared, series), *period, others=lent.get(series), n_scenarios=n_scenarios, months=MONTHS
        )
        for series, period in periods.items()
    ]
    parts = {name: pd.concat([getattr(one, name) for one in found]) for name in ("scores", "drivers")}
    named = {name: part.assign(case=part["series"] + " " + part["case"]) for name, part in parts.items()}
    record = FinishRecord(**named)
    tables = {"finishing order": record.skill(["series"])}
    for name in ("season", "track_type"):
        table = record.skill([name])
        tables[f"finishing order by {name.replace('_', ' ')}"] = table[table["score"] == "rps"]
    return tables | {"favourite": record.favourites(), "calibration": record.calibration()}


def points(shared: Path, since="2022-01-01", until="2025-06-30") -> pd.DataFrame:
    """Return the record of the simulator's points and of pairs of drivers, over all Cup races of the period."""
    results, races = history(shared, "cup")
    races = races[races["date"] <= until]
    results = results[results["race_id"].isin(races["race_id"])]
    drawn = forecast_races(results, races, since, n_scenarios=300, rng=np.random.default_rng(1))
    card = simulator_record(drawn, results, races, np.random.default_rng(2))
    return pd.concat([card[card["measure"].isin(SHOWN)], companions(drawn, results)])


def companions(drawn: dict, results: pd.DataFrame) -> pd.DataFrame:
    """Return how finishes and points of two drivers go together beyond what was expected of each, over races.

    Real is the mean product of both drivers' standardised surprises, simulated their mean correlation; over pairs of
    teammates, of neighbours on the grid, and of favourites.
    """
    known, rows = dict(list(results.groupby("race_id"))), []
    for race_id, races in drawn.items():
        real = known[race_id].set_index("driver").reindex(races.drivers)
        best, start = races.mean("finish").rank(method="first").to_numpy() <= FAVOURITES, real["start"].to_numpy(float)
        team = real["team"].astype(object).to_numpy()
        pairs = {"neighbours": np.abs(start[:, None] - start) == 1, "favourites": best[:, None] & best}
        pairs["teammates"] = (team[:, None] == team) & pd.notna(team)
        for what, column in {"finish": "finish", "points": "dk_points"}.items():
            mean, spread = races.mean(what).to_numpy(), races.spread(what).to_numpy()
            surprise, scaled = (real[column].to_numpy(float) - mean) / spread, (getattr(races, what) - mean) / spread
            expected = (scaled * races.weight[:, None]).T @ scaled
            for kind, mask in pairs.items():
                mask = np.triu(mask, 1)
                if mask.any():
                    values = np.outer(surprise, surprise)[mask].mean(), expected[mask].mean()
                    rows.append((f"{what} correlation of {kind}", *values))
    table = pd.DataFrame(rows, columns=["measure", "real", "simulated"]).dropna()
    groups = table.assign(difference=table["simulated"] - table["real"]).groupby("measure", sort=False)
    means, errors = groups.mean(), groups[["real", "difference"]].sem().add_suffix("_se")
    return means.join(errors).assign(races=groups.size()).reset_index()


def matchups(shared: Path) -> pd.DataFrame:
    """Return the log loss a matchup of attrition, model, line and blend on the closing lines, behind the line."""
    lines = pd.read_csv(shared / "market" / "matchups_2026.csv", parse_dates=["date"])
    lines = lines.assign(line=[_fair(row.odds_a, row.odds_b) for row in lines.itertuples()])
    results, races = history(shared, "cup")
    settings = {"n_scenarios": 20_000, "months": 1, "rng": np.random.default_rng(1)}
    drawn = forecast_races(results, races, lines["date"].min(), only=set(lines["race_id"]), **settings)
    parts = [_with_forecasts(group, drawn[race_id], results) for race_id, group in lines.groupby("race_id")]
    lines = pd.concat(parts).sort_values("date", kind="stable")
    lines["blend"] = _walk_forward_blend(lines)
    won = lines["finish_a"] < lines["finish_b"]
    models = ["attrition", "model", "line", "blend"]
    scores = pd.concat(
        pd.DataFrame(
            {
                "case": lines.index,
                "cluster": lines["race_id"],
                "model": model,
                "score": "log loss",
                "value": -np.log(np.where(won, lines[model], 1 - lines[model])),
            }
        )
        for model in models
    )
    behind = metrics.compare(scores, "line").rename(
        columns={"difference": "behind the line", "se": "± behind the line"}
    )
    table = metrics.summarise(scores).rename(columns={"mean": "log loss", "se": "± log loss", "n": "matchups"})
    table = table.drop(columns="score").merge(behind[["model", "behind the line", "± behind the line"]], how="left")
    return table.assign(races=lines["race_id"].nunique())


def _fair(odds_a, odds_b) -> float:
    stakes = [max(-odds, 100) / (abs(odds) + 100) for odds in (odds_a, odds_b)]
    return float(market_chances(pd.DataFrame({"driver": ["a", "b"], "probability": stakes}), ["a", "b"])["a"])


def _with_forecasts(lines: pd.DataFrame, drawn, results) -> pd.DataFrame:
    """Return the lines of a race with the chances that the first driver finishes ahead, by attrition and model."""
    place = {name: k for k, name in enumerate(drawn.drivers)}
    names = match_names(pd.unique(lines[["driver_a", "driver_b"]].to_numpy().ravel()), list(place)).pairs
    day, dates = lines["date"].iloc[0], pd.to_datetime(results["date"])
    recent = results[(dates < day) & (dates >= day - pd.Timedelta(days=730))]
    worth = fit_attrition(recent, ridge=1.5).log_worth.reindex(drawn.drivers).fillna(0.0).to_numpy()
    a, b = (lines[side].map(names).map(place).to_numpy() for side in ("driver_a", "driver_b"))
    ahead = drawn.weight @ (drawn.finish[:, a] < drawn.finish[:, b])
    return lines.assign(model=ahead, attrition=expit(worth[a] - worth[b]))


def _walk_forward_blend(lines: pd.DataFrame) -> np.ndarray:
    """Return the blend of line and model in log-odds, weights fitted on the lines of earlier races."""
    design = logit(lines[["line", "model"]].to_numpy())
    won = (lines["finish_a"] < lines["finish_b"]).to_numpy(float)
    blend = np.empty(len(lines))
    for day in lines["date"].unique():
        past, here = (lines["date"] < day).to_numpy(), (lines["date"] == day).to_numpy()
        blend[here] = expit(design[here] @ _weights(design[past], won[past]))
    return blend


def _weights(design, won) -> np.ndarray:
    def loss(weights):
        chance, away = expit(design @ weights), weights - PRIOR
        value = np.logaddexp(0.0, design @ weights).sum() - won @ design @ weights + PRECISION * away @ away / 2
        gradient = design.T @ (chance - won) + PRECISION * away
        return value, gradient, lambda: (design.T * (chance * (1 - chance))) @ design + PRECISION * np.eye(2)

    return metrics.damped_newton(loss, PRIOR, tolerance=1e-10).x


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--scenarios", type=int, default=4_000)
    parser.add_argument("--confirm", action="store_true", help="add the Cup races that chose nothing")
    options = parser.parse_args()
    tables = finishing_orders(options.shared, PERIODS, options.scenarios)
    if options.confirm:
        late = finishing_orders(options.shared, CONFIRM, options.scenarios)
        tables["Cup races after 2025's race 18, which chose nothing"] = late["finishing order"]
    tables["closing head-to-head lines"] = matchups(options.shared)
    tables["points and pairs of drivers, Cup"] = points(options.shared)
    notes = [
        "± one standard error over races (matchups: clustered by race). Differences are from attrition on driver and "
        "start alone, paired by race. Scores are defined in `dfslab.metrics`; pairs are mean products of both drivers' "
        "standardised surprises against the simulated correlation."
    ]
    write_results(RESULTS, "race", tables, "python -m scripts.docs.race ../shared/data --confirm", notes)


if __name__ == "__main__":
    main()
