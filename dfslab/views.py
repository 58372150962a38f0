"""What the pages show: frames and arrays ready for a table or a picture, in percent and dollars."""

from importlib import metadata

import numpy as np
import pandas as pd

from dfslab.aftermath import ownership_errors, read_outcome
from dfslab.page import Check, Notes, Stats, Table
from dfslab.regimes import classify_scenario_regime, race_features

__all__ = [
    "after_ownership",
    "estimator_views",
    "headline",
    "ownership_bands",
    "ownership_checks",
    "ownership_table",
    "points_by_regime",
    "points_quantiles",
    "past_coverage",
    "past_misses",
    "past_scores",
    "regime_examples",
    "reliability",
    "weights_over_time",
    "provenance",
    "race_card",
    "race_checks",
    "regime_table",
]

BANDS = ((95, "95 %"), (80, "80 %"), (50, "50 %"))


def headline(lab) -> Stats:
    """Return the race and its contest as cards."""
    race, contest = lab.inputs.race, lab.inputs.contest
    return Stats(
        (
            (race.name or race.race_id, f"{race.date:%d %B %Y}, {race.track}"),
            (race.track_type.replace("_", " "), f"{race.sched_laps} laps of {race.track_length_mi:g} mi"),
            (f"{len(lab.inputs.slate.starters)}", f"starters; {int(lab.inputs.slate.out.sum())} with a salary are out"),
            (
                f"{contest.entries:,} × ${contest.entry_fee:,.2f}",
                f"prizes ${contest.pool:,.0f}, rake {contest.rake:.1%}",
            ),
        )
    )


def _top(values, n: int) -> np.ndarray:
    return np.argsort(-np.asarray(values), kind="stable")[:n]


def ownership_bands(lab, n: int = 20):
    """Return names, forecast and bands (low, high, name), widest first, in percent, of the n most owned drivers.

    The fourth value is what the contest showed, in percent, or None while its standings are not in the folder.
    """
    table, outcome = lab.forecast.table, read_outcome(lab.inputs)
    rows = _top(table["ownership"], n)
    actual = None if outcome is None else 100 * outcome.ownership[rows]
    table = table.iloc[rows]
    bands = [(100 * table[f"low_{c}"], 100 * table[f"high_{c}"], name) for c, name in BANDS]
    return table["driver"].tolist(), 100 * table["ownership"], bands, actual


NOT_YET = (
    "The race has not been run, or its standings are not in the folder: put the zip beside the salary file, run again."
)


def after_ownership(lab):
    """Return forecast against fact of this race's ownership, largest errors first, or a note before the race."""
    outcome = read_outcome(lab.inputs)
    if outcome is None:
        return Notes((NOT_YET,))
    table = ownership_errors(lab, outcome)
    inside = table["inside"].mean()
    frame = pd.DataFrame({"driver": table["driver"]})
    for name in ("forecast", "actual", "error", "low_80", "high_80"):
        frame[f"{name.replace('_', ' ')} %"] = 100 * table[name]
    formats = dict.fromkeys(frame.columns[1:], "{:.1f}")
    mean = 100 * table["error"].abs().mean()
    caption = f"The ten largest errors; mean error {mean:.1f} points, {inside:.0%} of drivers inside the 80 % bands."
    return Table(frame.head(10), caption, formats)


def ownership_table(lab) -> Table:
    """Return the forecast of every driver, most owned first."""
    table = lab.forecast.table
    frame = pd.DataFrame(
        {
            "driver": table["driver"],
            "salary": table["salary"],
            "start": lab.slate.column("start"),
            "projected points": lab.slate.column("projected_points"),
            "ownership %": 100 * table["ownership"],
            "80 % low": 100 * table["low_80"],
            "80 % high": 100 * table["high_80"],
        }
    ).sort_values("ownership %", ascending=False)
    formats = dict.fromkeys(("projected points", "ownership %", "80 % low", "80 % high"), "{:.1f}")
    formats |= {"salary": "${:,}", "start": "{:.0f}"}
    return Table(frame, "Every driver of the slate; ownership in percent of entries, sums to 600.", formats)


def reliability(lab) -> tuple:
    """Return mean forecast, mean fact and standard error by band of the forecast, in percent (empty: no past)."""
    report = lab.calibration
    if report is None:
        return (), (), ()
    table = report.reliability.dropna(subset=["forecast", "actual"])
    return 100 * table["forecast"], 100 * table["actual"], 100 * table["se"]


def past_scores(lab) -> Table:
    """Return mean scores with standard errors by estimator over past contests, best first."""
    if lab.calibration is None:
        return Table(pd.DataFrame({"past contests": [0]}), "Too few past contests to tell how forecasts turn out.")
    wide = lab.calibration.scores.pivot(index="estimator", columns="score", values=["mean", "se"])
    counts = lab.calibration.scores.groupby("estimator")["contests"].max()
    frame = pd.DataFrame({"estimator": wide.index})
    for score, name in (("mae", "mean error, points"), ("log_score", "log score"), ("spearman", "rank correlation")):
        frame[name] = wide[("mean", score)].to_numpy()
        frame[f"± se {score}"] = wide[("se", score)].to_numpy()
    frame["contests"] = counts.reindex(wide.index).to_numpy()
    frame = frame.sort_values("mean error, points").rename(columns=lambda c: "± se" if c.startswith("± se") else c)
    return Table(
        frame, "Each contest forecast from earlier ones only; errors in points of ownership, se over contests."
    )


def past_coverage(lab) -> Table:
    """Return how often the bands held the truth, how wide they were, and their interval scores."""
    if lab.calibration is None:
        return Table(pd.DataFrame({"past contests": [0]}), "Too few past contests to tell how often the bands held.")
    frame = lab.calibration.coverage[["score", "mean", "se", "contests"]].assign(
        score=lambda t: t["score"].str.replace("_", " ")
    )
    return Table(frame, "Share of facts inside the bands, width and interval score (points; lower is better), CRPS.")


def past_misses(lab) -> Table:
    """Return the largest errors of past forecasts."""
    if lab.calibration is None:
        return Table(pd.DataFrame({"past contests": [0]}), "No past contest to miss.")
    table = lab.calibration.misses
    frame = pd.DataFrame(
        {
            "date": table["date"].dt.strftime("%Y-%m-%d"),
            "driver": table["driver"],
            "salary": table["salary"].astype(int),
            "forecast %": 100 * table["forecast"],
            "actual %": 100 * table["actual"],
            "error, points": table["error_points"],
        }
    )
    formats = {"salary": "${:,}", "forecast %": "{:.1f}", "actual %": "{:.1f}", "error, points": "{:+.1f}"}
    return Table(frame.head(10), "Where past forecasts were furthest off.", formats)


def weights_over_time(lab) -> tuple[list, dict]:
    """Return contest dates and, by estimator, its weight in percent as fitted before each."""
    if lab.calibration is None or lab.calibration.weights.empty:
        return [], {}
    table = lab.calibration.weights.pivot_table(index="date", columns="estimator", values="weight")
    return table.index.tolist(), {name: 100 * table[name] for name in table}


def estimator_views(lab, n: int = 12):
    """Return names and, by estimator, its own ownership in percent, for the n most owned drivers."""
    table = lab.forecast.table
    rows = _top(table["ownership"], n)
    views = {"hybrid": 100 * table["ownership"].to_numpy()[rows]}
    views |= {name: 100 * view[rows] for name, view in lab.forecast.views.items()}
    return table["driver"].to_numpy()[rows], views


def ownership_checks(lab) -> list[Check]:
    """Return the checks of the ownership page."""
    own, slate = lab.forecast.table["ownership"].to_numpy(), lab.slate
    k, cap = slate.rules.roster_size, slate.rules.salary_cap
    draws = lab.forecast.draws
    return [
        Check("ownership sums to the roster size", own.sum(), k - 1e-6, k + 1e-6),
        Check("most owned driver below 100 %", own.max(), 0, 1 - 1e-9),
        Check("ownership of drivers who are out", own[slate.out].sum(), 0, 0),
        Check("mean salary of a lineup, dollars", own @ slate.salary, 0, cap + 0.01),
        Check("every draw sums to the roster size (largest miss)", np.abs(draws.sum(axis=1) - k).max(), 0, 1e-6),
    ]


def regime_table(lab) -> pd.DataFrame:
    """Return, by regime in percent: probability, base rate of the track type, and the simulator's own share."""
    table = lab.model.regime_probabilities(lab.scenarios, lab.inputs.race)
    percent = table[["probability", "base_rate", "simulated"]].mul(100)
    return pd.concat([table["regime"], percent, table["n_races"]], axis=1)


def regime_examples(lab, n: int = 3) -> Table:
    """Return, by regime, its rule and the latest races of this track type that were labelled so."""
    history, kind = lab.inputs.history, lab.inputs.race.track_type
    races = history.races[history.races["track_type"] == kind]
    features = race_features(history.results[history.results["race_id"].isin(races["race_id"])], races)
    label = classify_scenario_regime(features, lab.model.thresholds)
    limits, rows = lab.model.thresholds, []
    rules = {
        "dominator": f"one car leads {limits.leader_share:.0%} of the laps or more",
        "chaos": f"{limits.dropout_share:.0%} or more drop out, or {limits.cautions:.0f} or more cautions",
        "fuel_mileage": f"the last green run is {limits.fuel_miles:.0f} miles or longer",
        "balanced": "none of these",
    }
    for name, rule in rules.items():
        found = sorted(label.index[label == name])
        rows.append((name, rule, len(found), ", ".join(found[-n:]) or "–"))
    frame = pd.DataFrame(rows, columns=["regime", "rule, the first that holds", "races", "latest"])
    return Table(
        frame, f"{len(label)} past {kind.replace('_', ' ')} races. A feature nobody recorded reaches no limit."
    )


def points_by_regime(lab, n: int = 15):
    """Return driver names, regime names and the mean points in a regime less the driver's mean, (n, regimes)."""
    scenarios, slate = lab.scenarios, lab.slate
    mean = scenarios.weight @ scenarios.points
    rows = _top(np.where(slate.out, -np.inf, mean), n)
    columns = []
    for code in range(len(scenarios.regime_names)):
        weight = scenarios.weight * (scenarios.regime == code)
        columns.append((weight @ scenarios.points[:, rows]) / max(weight.sum(), 1e-12) - mean[rows])
    return slate.names[rows], list(scenarios.regime_names), np.array(columns).T


def points_quantiles(lab, n: int = 20):
    """Return driver names and the 5, 25, 50, 75, 95 % quantiles of their points, (n, 5), highest mean first."""
    scenarios, slate = lab.scenarios, lab.slate
    rows = _top(np.where(slate.out, -np.inf, scenarios.weight @ scenarios.points), n)
    return slate.names[rows], np.percentile(scenarios.points[:, rows], [5, 25, 50, 75, 95], axis=0).T


def race_card(lab) -> Table:
    """Return simulated against real figures on races of the track type that the simulator had not seen."""
    card = lab.race_card
    kind = lab.inputs.race.track_type.replace("_", " ")
    if card.empty:
        return Table(pd.DataFrame({"races": [0]}), f"No {kind} race of the last three years to check against.")
    frame = card[["measure", "races", "simulated", "real", "real_se", "difference", "difference_se"]]
    frame = frame.rename(columns={"real_se": "± se", "difference_se": "± se "})
    caption = (
        f"Past {kind} races of three years, each simulated by a model fitted on earlier races only; errors over races."
    )
    return Table(frame, caption)


def race_checks(lab) -> list[Check]:
    """Return the checks of the regimes page: laps and places conserved, weights whole."""
    scenarios = lab.model.simulate(lab.inputs.slate.starters, lab.inputs.race, 200, np.random.default_rng(0))
    laps = lab.inputs.race.sched_laps
    n = scenarios.finish.shape[1]
    return [
        Check("weights of the scenarios sum to 1", lab.scenarios.weight.sum(), 1 - 1e-9, 1 + 1e-9),
        Check(
            "laps led add up to the scheduled laps (largest miss)", np.abs(scenarios.laps_led.sum(1) - laps).max(), 0, 0
        ),
        Check(
            "every place is taken once (largest miss)",
            np.abs(np.sort(scenarios.finish, 1) - np.arange(1, n + 1)).max(),
            0,
            0,
        ),
        Check("scenarios without a regime", int((lab.scenarios.regime < 0).sum()), 0, 0),
    ]


def provenance(lab) -> Notes:
    """Return version, seed and the digests of the inputs."""
    settings = ", ".join(f"{k} {v}" for k, v in vars(lab.settings).items())
    inputs = "; ".join(f"{name} {digest}" for name, digest in lab.inputs.hashes.items())
    return Notes((f"dfslab {metadata.version('dfslab')}; {settings}.", f"Inputs (SHA-256, first 16 digits): {inputs}."))


def ownership_numbers(lab) -> dict:
    """Return the ownership page's numbers for metrics.json."""
    table = lab.forecast.table.sort_values("ownership", ascending=False)
    top = table.iloc[0]
    return {
        "most_owned": {"driver": top["driver"], "ownership": round(float(top["ownership"]), 4)},
        "mean_width_80": round(float((table["high_80"] - table["low_80"]).mean()), 4),
    }


def race_numbers(lab) -> dict:
    """Return the regimes page's numbers for metrics.json."""
    table = regime_table(lab)
    return {"probability": dict(zip(table["regime"], (table["probability"] / 100).round(4).tolist(), strict=True))}
