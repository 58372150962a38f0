"""The accuracy the project is judged by: what was the best known, the goal, and what this run measured.

Forecasts of real races need the real data beside the repository; without it their rows are said to be left out.
"""

from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu

from benchmarks.field import made_up_slate
from dfslab import data
from dfslab.field import sample_field
from dfslab.lineups import LineupLaw, LineupProblem
from dfslab.ownership import HybridOwnershipEstimator, walk_forward
from dfslab.workflow import tune

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SINCE = "2022-01-01"
ENTRIES = 20_000
SCENARIOS = 500
GOLF_LEARNS, GOLF_SCORED = 4, 8
"""Contests that are only learned from, and contests, from the end, that are scored."""
FINISH = {
    "rps": ("rank probability score", "5.509", "≤ 5.42"),
    "top10_brier": ("top-10 Brier score", ".1673", "≤ .164"),
    "top3_brier": ("top-3 Brier score", ".0681", "≤ .067"),
    "winner_log_score": ("log score of the winner", "−3.137", "≥ −3.05"),
    "spearman": ("Spearman correlation", ".405", "≥ .42"),
}
"""Scores of the finishing order: words, best known (attrition on driver and start, the first 18 drivers), goal."""


def figures(shared: Path = SHARED) -> tuple[list[dict], list[str]]:
    """Return the rows of the table, and why rows are left out."""
    rows, left_out = [*law_fit(), *simulated_field()], []
    if (shared / "cup" / "history").is_dir():
        rows += [*finishing_order(shared / "cup"), *dominator(shared / "cup"), *golf_ownership(shared)]
        rows += cup_ownership(shared / "cup")
    else:
        left_out.append("Forecasts of real races and contests: the real data folder ../shared/data is not there.")
    return rows, left_out


def figure(what: str, known: str, goal: str, measured: float, note: str = "", error: float | None = None) -> dict:
    """Return a row; `goal` is `≤ 5.42` or `≥ .42`, and empty where none was set."""
    reached = "–"
    if goal:
        sign, limit = goal.split()
        limit = float(limit.replace("−", "-"))
        reached = "yes" if (measured <= limit if sign == "≤" else measured >= limit) else "no"
    shown = f"{measured:.4g}" + ("" if error is None else f" ± {error:.2g}")
    return {"what": what, "known": known, "goal": goal, "measured": shown, "reached": reached, "note": note}


def law_fit() -> list[dict]:
    """Return the largest error of the ownership of a fitted law, in fractions of entries."""
    slate, target = made_up_slate()
    off = np.abs(LineupLaw.fit(target, slate.salary, slate.rules).marginals() - target).max()
    return [figure("ownership of the fitted lineup law, largest error", "2.8e-2 (accept–reject)", "≤ 1e-8", off)]


def simulated_field() -> list[dict]:
    """Return how far the ownership of a simulated field is from what it was given, in points, and its legality."""
    slate, target = made_up_slate()
    field = sample_field(slate, target, ENTRIES, rng=np.random.default_rng(1))
    off = 100 * np.abs(np.bincount(field.ravel(), minlength=len(slate)) / len(field) - target)
    what = f"ownership of a field of {ENTRIES:,}, points"
    illegal = int((~LineupProblem(slate.salary, slate.rules.roster_size, slate.rules.salary_cap).legal(field)).sum())
    return [
        figure(f"{what}, mean error", "1.06", "≤ .5", off.mean(), "best known: a public simulator"),
        figure(f"{what}, largest error", "4.66", "≤ 2", off.max(), "best known: the same"),
        figure(f"lineups of that field that break a rule, of {ENTRIES:,}", "–", "≤ 0", illegal),
    ]


def finishing_order(cup: Path) -> list[dict]:
    """Return the scores of the finishing order of Cup races, each forecast from earlier ones, beside the reference."""
    record = tune.check_finishes(data.history(cup), since=SINCE)
    table = record.skill().set_index(["model", "score"])
    rows = []
    for score, (words, known, goal) in FINISH.items():
        found, plain = table.loc[("model", score)], table.loc[("attrition", score), "mean"]
        note = (
            f"reference in this run {plain:.4g}, difference {found['difference']:+.3g} ± {found['difference_se']:.2g}"
        )
        what = f"finishing order, {found['n']:.0f} Cup races, {words}"
        rows.append(figure(what, known, goal, found["mean"], note, found["mean_se"]))
    return rows


def dominator(cup: Path) -> list[dict]:
    """Return the AUC of `dominator` before Cup races, and its Brier score less that of the base rate."""
    choices = {"grid": {"leader_share": [0.5]}, "n_permutations": 0}
    found = tune.tune_thresholds(data.history(cup, series="cup"), since=SINCE, n_scenarios=SCENARIOS, **choices)
    known = found.forecasts.query("regime == 'dominator'").dropna(subset="actual")
    yes, no = (known.loc[known["actual"] == x, "forecast"] for x in (1, 0))
    auc = mannwhitneyu(yes, no).statistic / (len(yes) * len(no))
    gap = found.skill().set_index(["regime", "model"]).loc[("dominator", "forecast")]
    what = f"dominator, {len(known)} Cup races"
    return [
        figure(f"{what}, AUC", ".50–.57", "≥ .70", auc),
        figure(f"{what}, Brier score less the base rate's", "–", "≤ 0", gap["difference"], error=gap["se"]),
    ]


def golf_ownership(shared: Path) -> list[dict]:
    """Return the mean error of golf ownership on the last contests, each forecast from earlier ones, in points."""
    from scripts.real.golf import figures, golf

    estimator = HybridOwnershipEstimator(prior=figures())
    walk = walk_forward(golf(shared), estimator).late(last=GOLF_SCORED, first=GOLF_LEARNS)
    scores = walk.table().set_index("model")
    own, plain = scores.loc["hybrid"], scores.loc["salary only", "mean error"]
    what = f"golf ownership, the last {GOLF_SCORED} contests, mean error, points"
    return [
        figure(what, "3.23", "≤ 2.9", own["mean error"], f"salary only in this run {plain:.2f}", own["± mean error"])
    ]


KNOWN, LEAST = "mean error", "least mean error"
CUP = (
    ("Kansas, tournament", "2026-09-27", "tournament", "no vendor", KNOWN, "6.3", "≤ 5.0"),
    ("Kansas, double-up", "2026-09-27", "cash", "no vendor", KNOWN, "11.0", "≤ 6.0"),
    ("Daytona, at least", "2026-08-29", "tournament", "no vendor", LEAST, "6.7–10.2", "≤ 5.5"),
    ("Chicagoland, known drivers", "2026-07-05", "tournament", "no vendor", KNOWN, "9.5", "≤ 8.0"),
    (
        "Atlanta, known drivers, a vendor's points",
        "2026-07-12",
        "tournament",
        "a vendor's points",
        KNOWN,
        "11.9",
        "≤ 8.0",
    ),
)
"""Cup contests forecast without their race: words, date, kind, what was known, error, the first edition's, goal."""


def cup_ownership(cup: Path) -> list[dict]:
    """Return the mean errors of a cold start on Cup contests, each race forecast without it, in points."""
    keys = ["date", "case", "kind", "basis", "model"]
    scored = tune.cold_start(cup).scores.pivot_table("value", keys, "score").reset_index()
    hybrid = scored[scored["model"] == "hybrid"]
    rows = []
    for what, date, kind, basis, error, first, goal in CUP:
        mine = hybrid[(hybrid["date"] == date) & (hybrid["kind"] == kind) & (hybrid["basis"] == basis)]
        note = f"{len(mine)} contests" if len(mine) > 1 else "1 contest"
        rows.append(figure(f"Cup ownership, {what}, points", first, goal, mine[error].mean(), note))
    sold = scored[scored["basis"] == "a vendor's ownership"].groupby("model")[KNOWN].mean()
    gain = sold["vendor as published"] - sold["hybrid"]
    note = f"vendor alone {sold['vendor as published']:.2f}, seven contests, known drivers"
    return [*rows, figure("Cup ownership with a vendor's, gain over the vendor, points", "−0.2", "≥ .4", gain, note)]


def table(rows: list[dict], left_out: list[str]) -> str:
    """Return the rows as a Markdown table, and what was left out below."""
    lines = ["| what | best known | goal | measured | reached | note |", "|---|--:|--:|--:|:-:|---|"]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n" + "".join(f"\nLeft out: {reason}\n" for reason in left_out)
