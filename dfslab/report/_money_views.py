"""What the portfolio page shows: money, lineups and the race after it was run, in percent and dollars."""

import numpy as np
import pandas as pd

from dfslab.report import _plots as plots
from dfslab.report._parts import Check, Notes, Stats, Table
from dfslab.report._views import NOT_YET, percent, said
from dfslab.workflow import after_race

__all__ = [
    "after_drivers",
    "after_entries",
    "card",
    "contest_notes",
    "contests_table",
    "lineups_shown",
    "money_by_regime",
    "portfolio_checks",
    "portfolio_numbers",
    "portfolio_stats",
    "race_facts",
    "scores_table",
    "shrinkage",
]


def contest_notes(lab) -> Notes:
    """Return what is to be known of the contests before reading the money figures."""
    lines = []
    for contest in lab.inputs.contests:
        limit = contest.max_entries_per_user
        told = f"{contest.name or 'The contest'}: {contest.entries:,} entries at ${contest.entry_fee:,.2f}"
        first = "the first lineup" if limit == 1 else f"the first {limit} lineups"
        counted = f"; money figures are for {first}, its limit" if limit and limit < lab.settings.n_lineups else ""
        lines.append(f"{told}, ${contest.pool:,.0f} in prizes{counted}.")
    return Notes((*lines, lab.blend.note, *lab.portfolio.notes))


def portfolio_stats(lab) -> Stats:
    """Return the portfolio's key figures on fresh draws as cards."""
    row = lab.scores.table().iloc[0]
    contest = lab.inputs.contest
    entered = round(row["fees"] / contest.entry_fee) if contest.entry_fee else 0
    return Stats(
        (
            (f"{len(lab.portfolio.lineups)}", f"lineups in the file; {entered} enter this contest"),
            (f"${row['expected_payout']:,.0f} ± {row['se']:,.0f}", f"expected payout for ${row['fees']:,.0f} of fees"),
            (
                f"{100 * row['roi']:+.0f} %",
                f"simulated return, too high by experience (see Limits); the field's −{percent(contest.rake)}",
            ),
            (f"{100 * row['p_profit']:.0f} %", "chance to end with a profit"),
        )
    )


def scores_table(lab) -> Table:
    """Return the portfolio and its baselines on fresh draws."""
    table = lab.scores.table()
    frame = pd.DataFrame(
        {
            "portfolio": table["portfolio"],
            "expected payout": table["expected_payout"],
            "± se": table["se"],
            "return %": 100 * table["roi"],
            "chance of a profit %": 100 * table["p_profit"],
            "worst 5 % mean": table["worst_5pct"],
            "in the money %": 100 * table["cash"],
            "in the top 1 % (%)": 100 * table["top_1pct"],
        }
    )
    formats = dict.fromkeys(("expected payout", "± se", "worst 5 % mean"), _dollars(frame["± se"]))
    formats |= {"return %": "{:+.0f}", "chance of a profit %": "{:.0f}"}
    formats |= {"in the money %": "{:.1f}", "in the top 1 % (%)": "{:.2f}"}
    races, fields = len(lab.fresh_scenarios), lab.settings.n_fresh_fields
    caption = (
        f"On {races:,} fresh races and {fields} fresh fields; ± one standard error, which allows for shared fields."
    )
    return Table(frame, caption, formats, {"expected payout": "± se"}, bars=("expected payout",))


def _dollars(error) -> str:
    """Return the format of dollars: cents where standard errors are below two dollars."""
    return "${:,.2f}" if np.nanmax(np.abs(error), initial=0) < 2 else "${:,.0f}"


def contests_table(lab) -> Table:
    """Return what the same lineups earn in each contest of the list."""
    table = lab.by_contest
    frame = pd.DataFrame(
        {
            "contest": table["contest"],
            "lineups entered": table["entered"],
            "fees": table["fees"],
            "expected payout": table["expected_payout"],
            "± se": table["se"],
            "chance of a profit %": 100 * table["p_profit"],
            "in the money %": 100 * table["cash"],
            "in the top 1 % (%)": 100 * table["top_1pct"],
        }
    )
    formats = dict.fromkeys(("expected payout", "± se"), _dollars(frame["± se"])) | {"fees": "${:,.0f}"}
    formats |= {"chance of a profit %": "{:.0f}", "in the money %": "{:.1f}", "in the top 1 % (%)": "{:.2f}"}
    caption = "Lineups were chosen for the first contest; fresh races, a field of each contest's own size."
    return Table(frame, caption, formats, {"expected payout": "± se"})


def shrinkage(lab) -> Table:
    """Return the expected payout as the choice saw it and on fresh draws, and what is left of it."""
    entered = round(lab.scores.fees["portfolio"] / max(lab.inputs.contest.entry_fee, 1e-9))
    seen = float(lab.portfolio.metrics["gain"].head(entered).sum())
    fresh = lab.scores.table().iloc[0]
    frame = pd.DataFrame(
        {
            "expected payout": ["where it was chosen", "on fresh draws"],
            "dollars": [seen, fresh["expected_payout"]],
            "± se": [np.nan, fresh["se"]],
            "left of it %": [100.0, 100 * fresh["expected_payout"] / seen if seen else np.nan],
        }
    )
    formats = dict.fromkeys(("dollars", "± se"), _dollars(frame["± se"])) | {"left of it %": "{:.0f}"}
    return Table(frame, "The winner's curse, measured.", formats, {"dollars": "± se"}, bars=("left of it %",))


def money_by_regime(lab) -> Table:
    """Return the portfolio's expected payout and chance of a profit by regime, on fresh draws."""
    scores, fresh = lab.scores, lab.fresh_scenarios
    pay, fee = scores.payout["portfolio"], scores.fees["portfolio"]
    made = lab.portfolio.metrics["regime"].value_counts()
    rows = []
    for code, name in enumerate(fresh.regime_names):
        here = fresh.regime == code
        weight = scores.weight * here
        share = weight.sum()
        mean = weight @ pay / share if share else np.nan
        error = np.sqrt((weight**2) @ (pay - mean) ** 2) / share if share else np.nan
        profit = 100 * (weight @ (pay > fee)) / share if share else np.nan
        rows.append((said(name), 100 * share, int(made.get(name, 0)), mean, error, profit))
    frame = pd.DataFrame(
        rows,
        columns=["regime", "probability %", "lineups made for it", "expected payout", "± se", "chance of a profit %"],
    )
    formats = dict.fromkeys(("expected payout", "± se"), _dollars(frame["± se"]))
    formats |= {"probability %": "{:.0f}", "chance of a profit %": "{:.0f}"}
    caption = "What the whole portfolio earns when the race turns out that way."
    return Table(frame, caption, formats, {"expected payout": "± se"}, bars=("probability %",))


def lineups_shown(lab, n: int = 15) -> Table:
    """Return the first n lineups with their metrics."""
    chosen, names = lab.portfolio, lab.slate.names
    metrics = chosen.metrics.head(n)
    shown = pd.DataFrame(
        {
            "#": np.arange(1, len(metrics) + 1),
            "drivers": [", ".join(names[row]) for row in chosen.lineups[:n]],
            "regime": metrics["regime"].map(said),
            "adds": metrics["gain"],
            "salary": metrics["salary"],
            "points": metrics["projected_points"],
            "ownership, sum %": 100 * metrics["total_ownership"],
            "copies": metrics["expected_copies"],
        }
    )
    formats = {
        "adds": "${:.2f}",
        "salary": "${:,}",
        "points": "{:.0f}",
        "ownership, sum %": "{:.0f}",
        "copies": "{:.1f}",
    }
    caption = (
        f"The first {len(shown)} of {len(chosen.lineups)} lineups. Adds: expected payout it brought where it "
        "was chosen; copies: entries of the field expected to be the same lineup."
    )
    return Table(shown, caption, formats)


def portfolio_checks(lab) -> list[Check]:
    """Return the audit as checks: every rule re-checked on the final lineups."""
    audit = lab.portfolio.audit
    upper = audit["rule"].str.contains("at most|dearest")
    lows = np.where(upper, -np.inf, audit["limit"].astype(float))
    return [Check(r.rule, float(r.found), low, float(r.limit)) for r, low in zip(audit.itertuples(), lows, strict=True)]


def after_entries(lab, n: int = 10):
    """Return where the portfolio would have finished in the real field and what it would have won, or a note."""
    after = after_race(lab)
    if after is None:
        return Notes((NOT_YET,))
    best = after.entries.sort_values(["rank", "lineup"]).head(n)
    best = best.assign(beaten=100 * best["beaten"], regime=best["regime"].map(said))
    frame = best.rename(columns={"beaten": "field beaten %"})
    s = after.summary
    caption = (
        f"Our best of {s['entries']:.0f} entries in the real field: ${s['won']:,.2f} won for ${s['fees']:,.2f}, "
        f"{percent(s['mean_beaten'])} of the field beaten on average, {percent(s['cash'])} in the money. "
        "One race proves nothing."
    )
    formats = {"points": "{:.2f}", "prize": "${:,.2f}", "field beaten %": "{:.1f}"}
    return Table(frame, caption, formats, bars=("field beaten %",))


def after_drivers(lab, n: int = 10):
    """Return the drivers whose points were furthest from what was expected, and the regime that came; None before."""
    after = after_race(lab)
    if after is None:
        return None
    came = after.regime.loc[after.regime["happened"].astype(bool)]
    told = "; ".join(f"the race was {said(r.regime)}, told with {percent(r.probability)}" for r in came.itertuples())
    frame = after.drivers.head(n).assign(place=lambda t: 100 * t["place"]).rename(columns={"place": "below it %"})
    formats = dict.fromkeys(("points", "expected", "error", "expected_laps_led", "below it %", "laps_led"), "{:.0f}")
    return Table(
        frame, f"What was misjudged: largest differences from the simulated mean; {told or 'no result yet'}.", formats
    )


def portfolio_numbers(lab) -> dict:
    """Return the portfolio page's numbers for metrics.json."""
    chosen = lab.portfolio
    return {
        "lineups": len(chosen.lineups),
        "expected_payout": round(float(lab.scores.table()["expected_payout"].iloc[0]), 2),
        "expected_payout_se": round(float(lab.scores.table()["se"].iloc[0]), 2),
        "greedy_to_bound": round(float(chosen.greedy_to_bound), 4),
        "by_regime": chosen.metrics["regime"].value_counts().sort_index().to_dict(),
    }


def card(lab) -> dict:
    """Draw the small picture of the report's card in the index; return the card's lines and texts."""
    top = lab.exposures().head(8)
    ax = plots.plot_exposure(top["driver"], 100 * top["exposure"], 100 * top["ownership"])
    ax.figure.set_size_inches(5, 2.6)
    lab.out.mkdir(parents=True, exist_ok=True)
    plots.save(ax, lab.out / "card.png", 100)
    row, own = lab.scores.table().iloc[0], lab.forecast.table.sort_values("ownership", ascending=False).iloc[0]
    chances = lab.model.regime_probabilities(lab.scenarios, lab.inputs.race).sort_values("probability").iloc[-1]
    return {
        "lines": [
            f"Most owned: {own['driver']}, {percent(own['ownership'])}",
            f"Likeliest regime: {said(chances['regime'])}, {percent(chances['probability'])}",
            f"{len(lab.portfolio.lineups)} lineups; simulated payout ${row['expected_payout']:,.0f} ± {row['se']:,.0f} "
            f"for ${row['fees']:,.0f}",
        ],
        "picture": "card.png",
        "picture_alt": "Our exposure against the field's ownership for the eight most used drivers",
    }


def race_facts(lab) -> dict:
    """Return the facts of the race for the index of reports."""
    race = lab.inputs.race
    facts = {"name": race.name or race.race_id, "date": f"{race.date:%Y-%m-%d}"}
    return facts | {"track": race.track, "track_type": race.track_type.replace("_", " ")}
