"""What the pages show: frames and arrays ready for a table or a picture, in percent and dollars."""

from importlib import metadata

import numpy as np
import pandas as pd

from dfslab.regimes import classify_scenario_regime, race_features
from dfslab.report._parts import Check, Headline, Notes, Stats, Table
from dfslab.workflow import ownership_errors, read_outcome

__all__ = [
    "after_ownership",
    "estimator_views",
    "headline",
    "ownership_bands",
    "ownership_checks",
    "ownership_stats",
    "ownership_table",
    "points_by_regime",
    "pool_weights",
    "points_quantiles",
    "past_coverage",
    "past_gains",
    "percent",
    "past_misses",
    "past_scores",
    "past_transform",
    "regime_examples",
    "reliability",
    "reliability_by_size",
    "weights_over_time",
    "provenance",
    "race_card",
    "race_card_gaps",
    "race_checks",
    "race_stats",
    "regime_table",
    "said",
]

BANDS = ((95, "95 %"), (80, "80 %"), (50, "50 %"))


def said(name) -> str:
    """Return a name of the code as a reader says it."""
    return str(name).replace("_", " ")


def percent(share) -> str:
    """Return a fraction as whole percent."""
    return f"{100 * share:.0f}\u00a0%"


def headline(lab) -> Headline:
    """Return the race and its contest in one line."""
    race, contest, slate = lab.inputs.race, lab.inputs.contest, lab.inputs.slate
    price = f"{contest.entries:,} entries at ${contest.entry_fee:,.2f} for ${contest.pool:,.0f}"
    gone = int(slate.out.sum())
    out = f"; {gone} with a salary {'is' if gone == 1 else 'are'} out" if gone else ""
    facts = (
        f"{race.date.day} {race.date:%B %Y}",
        race.track,
        f"{said(race.track_type)}, {race.sched_laps} laps of {race.track_length_mi:g} mi",
        f"{len(slate.starters)} starters{out}",
        f"{price}, rake {percent(contest.rake)}",
    )
    return Headline(race.name or race.race_id, facts)


def ownership_stats(lab) -> Stats:
    """Return the forecast's key figures as cards: the most owned driver, and how past forecasts turned out."""
    table = lab.forecast.table.sort_values("ownership", ascending=False)
    top, next_up = table.iloc[0], table.iloc[1]
    items = [
        (
            percent(top["ownership"]),
            f"{top['driver']}, most owned; 80 % band {100 * top['low_80']:.0f} to {100 * top['high_80']:.0f}",
        ),
        (percent(next_up["ownership"]), f"{next_up['driver']}, next; {(table['ownership'] >= 0.2).sum()} above 20 %"),
    ]
    if lab.calibration is not None:
        scores = lab.calibration.scores.set_index("estimator")
        own, plain = scores.loc["hybrid"], scores["mean error"].get("salary_only", np.nan)
        told = f"points, mean error on {own['contests']:.0f} past contests; salary alone {plain:.1f}"
        items.append((f"{own['mean error']:.1f} ± {own['± mean error']:.1f}", told))
        held = 100 * lab.calibration.coverage.set_index("band").loc["80%", ["inside", "± inside"]]
        items.append(
            (f"{held['inside']:.0f} ± {held['± inside']:.0f} %", "of past ownerships lay inside the 80 % bands")
        )
    return Stats(tuple(items))


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
    "The race has not been run, or its standings are not in the folder yet. Afterwards put contest-standings-*.zip "
    "beside DKSalaries.csv and run the report again: this section then shows what happened."
)


def after_ownership(lab):
    """Return forecast against fact of this race's ownership, largest errors first, or a note before the race."""
    outcome = read_outcome(lab.inputs)
    if outcome is None:
        return Notes((NOT_YET,))
    table = ownership_errors(lab, outcome)
    inside = table["inside"].mean()
    frame = pd.DataFrame({"driver": table["driver"]})
    for name in ("forecast", "actual", "error"):
        frame[f"{name} %"] = 100 * table[name]
    frame["80 % band"] = _band(table["low_80"], table["high_80"])
    frame["inside"] = np.where(table["inside"], "yes", "no")
    formats = dict.fromkeys(frame.columns[1:3], "{:.1f}") | {"error %": "{:+.1f}"}
    mean = 100 * table["error"].abs().mean()
    caption = (
        f"The ten largest errors; mean error {mean:.1f} points, {percent(inside)} of drivers inside the 80 % bands."
    )
    return Table(frame.head(10), caption, formats, bars=("actual %",), marks={"yes": "ok"})


def _band(low, high) -> list[str]:
    return [f"{100 * a:.0f} – {100 * b:.0f}" for a, b in zip(low, high, strict=True)]


def ownership_table(lab) -> Table:
    """Return the forecast of every driver, most owned first, folded."""
    table = lab.forecast.table
    frame = pd.DataFrame(
        {
            "driver": table["driver"],
            "salary": table["salary"],
            "start": lab.slate.column("start"),
            "projected points": lab.slate.column("projected_points"),
            "ownership %": 100 * table["ownership"],
            "80 % band": _band(table["low_80"], table["high_80"]),
        }
    ).sort_values("ownership %", ascending=False)
    formats = dict.fromkeys(("projected points", "ownership %"), "{:.1f}") | {"salary": "${:,}", "start": "{:.0f}"}
    caption = "Ownership in percent of entries; over all drivers it sums to 600."
    fold = f"All {len(frame)} drivers in figures"
    return Table(frame, caption, formats, bars=("ownership %",), fold=fold)


def reliability(lab) -> tuple:
    """Return mean forecast, mean fact and standard error by band of the forecast, in percent (empty: no past)."""
    report = lab.calibration
    if report is None:
        return (), (), ()
    table = report.reliability.dropna(subset=["forecast", "actual"])
    return 100 * table["forecast"], 100 * table["actual"], 100 * table["se"]


TOO_FEW = Table(pd.DataFrame({"past contests": [0]}), "Too few past contests to tell how forecasts turn out.")


def _with_errors(frame: pd.DataFrame, caption: str, formats: dict, **options) -> Table:
    """Return a table whose columns named `± x` are shown as the standard errors of the columns `x`."""
    errors = {name: f"± {name}" for name in formats if f"± {name}" in frame}
    formats = formats | {error: formats[name] for name, error in errors.items()}
    return Table(frame, caption, formats, errors, **options)


def past_scores(lab) -> Table:
    """Return mean scores with standard errors by estimator over past contests, best first."""
    if lab.calibration is None:
        return TOO_FEW
    formats = {"mean error": "{:.1f}", "log score": "{:.2f}", "CRPS": "{:.1f}", "rank correlation": "{:.2f}"}
    shown = ["estimator", *(column for name in formats for column in (name, f"± {name}")), "contests"]
    frame = lab.calibration.scores[shown].assign(estimator=lambda t: t["estimator"].map(said))
    caption = "Each contest forecast from earlier ones only, ± one standard error. Error and CRPS in ownership points."
    return _with_errors(frame, caption, formats, bars=("mean error",))


def past_gains(lab) -> Table:
    """Return what the hybrid gains over every other forecast, paired by contest."""
    if lab.calibration is None:
        return TOO_FEW
    frame = lab.calibration.gains.assign(against=lambda t: t["against"].map(said))
    caption = "What the hybrid gains on the same contests, ± one standard error: positive is better, in every column."
    return _with_errors(frame, caption, {"log score": "{:+.2f}", "mean error": "{:+.2f}", "CRPS": "{:+.2f}"})


def past_coverage(lab) -> Table:
    """Return by band how often it held the truth, how wide it was, and its interval score."""
    if lab.calibration is None:
        return TOO_FEW
    frame = lab.calibration.coverage.drop(columns="estimator")
    frame[["inside", "± inside"]] *= 100
    frame = frame.rename(columns={"inside": "held %", "± inside": "± held %", "width": "mean width, points"})
    caption = "How often the bands held what happened, ± one standard error. Interval score in points, lower is better."
    formats = {"held %": "{:.0f}", "mean width, points": "{:.1f}", "interval score": "{:.1f}"}
    return _with_errors(frame, caption, formats)


def past_transform(lab) -> tuple:
    """Return tenths of the forecast distribution, the percent of facts in each and its errors (empty: no past)."""
    if lab.calibration is None:
        return [], {}, {}
    table = lab.calibration.pit
    tenths = [f"{100 * low:.0f}–{100 * high:.0f}" for low, high in zip(table["low"], table["high"], strict=True)]
    return tenths, {"facts, ± 2 se": 100 * table["share"]}, {"facts, ± 2 se": 200 * table["se"]}


def reliability_by_size(lab) -> Table:
    """Return the actual less the forecast ownership by band of the forecast and by size of the contest."""
    if lab.calibration is None or lab.calibration.by_size.empty:
        return Table(pd.DataFrame({"past contests": [0]}), "No past contest whose size is known.")
    table = lab.calibration.by_size.dropna(subset=["forecast", "actual"])
    table = table.assign(gap=100 * (table["actual"] - table["forecast"]), error=100 * table["se"])
    wide = table.pivot(index=["low", "high"], columns="entries_from", values=["gap", "error"])
    frame = pd.DataFrame({"forecast %": [f"{100 * low:.0f} – {100 * high:.0f}" for low, high in wide.index]})
    formats = {}
    for first, below in table[["entries_from", "entries_below"]].drop_duplicates().to_numpy():
        name = f"below {below:,.0f} entries" if np.isfinite(below) else f"{first:,.0f} entries and more"
        frame[name], frame[f"± {name}"] = wide[("gap", first)].to_numpy(), wide[("error", first)].to_numpy()
        formats[name] = "{:+.1f}"
    caption = "Actual less forecast ownership in points, ± one standard error over contests, by size of the contest."
    return _with_errors(frame, caption, formats, fold="Reliability by size of the contest")


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
    formats = {"salary": "${:,}", "forecast %": "{:.0f}", "actual %": "{:.0f}", "error, points": "{:+.0f}"}
    fold = "The ten largest misses of the past"
    return Table(frame, "Where past forecasts were furthest off.", formats, bars=("actual %",), fold=fold)


def weights_over_time(lab) -> tuple[list, dict]:
    """Return contest dates and, by estimator, its weight in percent as fitted before each."""
    if lab.calibration is None or lab.calibration.weights.empty:
        return [], {}
    table = lab.calibration.weights.pivot_table(index="date", columns="estimator", values="weight")
    return table.index.tolist(), {said(name): 100 * table[name] for name in table}


def pool_weights(lab) -> Table:
    """Return the weight of each estimator in the pool for each set of estimators that can speak."""
    frame = lab.forecast.weights.assign(
        estimator=lambda t: t["estimator"].map(said), weight=lambda t: 100 * t["weight"]
    )
    caption = "What the hybrid trusts, for each set of estimators that can speak."
    return Table(frame.rename(columns={"weight": "weight %"}), caption, {"weight %": "{:.0f}"}, bars=("weight %",))


def estimator_views(lab, n: int = 12):
    """Return names and, by estimator, its own ownership in percent, for the n most owned drivers."""
    table = lab.forecast.table
    rows = _top(table["ownership"], n)
    views = {"hybrid": 100 * table["ownership"].to_numpy()[rows]}
    views |= {said(name): 100 * view[rows] for name, view in lab.forecast.views.items()}
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
    return pd.concat([table["regime"].map(said), percent, table["n_races"]], axis=1)


def race_stats(lab) -> Stats:
    """Return what the simulator expects of the race as cards, spread as the middle 80 % of scenarios."""
    scenarios, chances = lab.scenarios, regime_table(lab)
    likeliest, base = chances.sort_values("probability").iloc[-1], chances.set_index("regime")["base_rate"]
    share = race_features(scenarios)["leader_share"].to_numpy()
    figures = (
        (100 * share, "{:.0f} %", "of the laps led by one driver"),
        (scenarios.cautions, "{:.1f}", "cautions"),
        (scenarios.dropped_out.sum(axis=1), "{:.1f}", "drop-outs"),
    )
    usual = f"likeliest regime: {likeliest['regime']}; usual at such tracks {base[likeliest['regime']]:.0f} %"
    items = [(f"{likeliest['probability']:.0f} %", usual)]
    for values, form, what in figures:
        low, high = np.percentile(values, [10, 90])
        items.append(
            (form.format(scenarios.weight @ values), f"{what}, expected; {low:.0f} to {high:.0f} in most races")
        )
    return Stats(tuple(items))


def regime_examples(lab, n: int = 3) -> Table:
    """Return, by regime, its rule and the latest races of this track type that were labelled so."""
    history, kind = lab.inputs.history, lab.inputs.race.track_type
    races = history.races[history.races["track_type"] == kind]
    features = race_features(history.results[history.results["race_id"].isin(races["race_id"])], races)
    label = classify_scenario_regime(features, lab.model.thresholds)
    rows = []
    for name, rule in lab.model.thresholds.rules.items():
        found = sorted(label.index[label == name])
        rows.append((said(name), rule, len(found), ", ".join(found[-n:]) or "–"))
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
    return slate.names[rows], [said(name) for name in scenarios.regime_names], np.array(columns).T


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
    frame = card[["measure", "simulated", "real", "real_se", "difference", "difference_se", "races"]]
    frame = frame.assign(measure=frame["measure"].map(_measure))
    caption = (
        f"Past {kind} races of three years, ± one standard error over races. Level and spread: where the fact "
        "lay among the simulated values (uniform: .5 and .289). The error stands beside that of past races by start."
    )
    errors = {"real": "real_se", "difference": "difference_se"}
    return Table(frame, caption, errors=errors, fold=f"The {len(frame)} measures in figures")


_MEASURES = {
    "leader_share below": "leader's share under quantile",
    "leader_share": "leader's share of laps",
    "top2_share": "top two leaders' share",
    "start_finish_correlation": "start–finish correlation",
    "led-fastest correlation": "led–fastest laps correlation",
    "PIT mean of": "level of",
    "PIT sd of": "spread of",
    "CRPS of points": "error of points (CRPS)",
}


def _measure(name: str) -> str:
    """Return a measure of the report card as a reader says it."""
    for code, words in _MEASURES.items():
        name = name.replace(code, words)
    return name


def race_card_gaps(lab):
    """Return measures and simulated less real, in standard errors of the difference over races (empty: no past)."""
    card = lab.race_card
    card = card[card["difference_se"] > 0] if len(card) else card
    gaps = (card["difference"] / card["difference_se"]).to_numpy() if len(card) else np.zeros(0)
    return [_measure(name) for name in card.get("measure", ())], gaps, np.ones(len(gaps))


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
    settings = ", ".join(f"{said(k)} {v:,}" for k, v in vars(lab.settings).items())
    inputs = [f"{name}: SHA-256 begins {digest}" for name, digest in lab.inputs.hashes.items()]
    version = f"dfslab {metadata.version('dfslab')}; {settings}."
    return Notes((version, *inputs), fold="Provenance: version, settings and digests of every input")


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
    table = lab.model.regime_probabilities(lab.scenarios, lab.inputs.race)
    return {"probability": dict(zip(table["regime"], table["probability"].round(4).tolist(), strict=True))}
