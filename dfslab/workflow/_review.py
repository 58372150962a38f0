"""After the race: where our entries would have finished in the real field, what they won, what was misjudged.

Everything here looks at results; nothing before the race may import it.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from dfslab import metrics
from dfslab.contest import simulate_contest
from dfslab.data import match_names
from dfslab.errors import UserError
from dfslab.ownership import OwnershipForecast
from dfslab.portfolio import Portfolio, Scores
from dfslab.race import Scenarios
from dfslab.regimes import classify_scenario_regime, race_features
from dfslab.slate import Contest
from dfslab.workflow._promises import promise_of
from dfslab.workflow._race_day import RaceDay


@dataclass(frozen=True)
class Outcome:
    """What happened, in slate rows: `points` (D,), `field` (F, K) the real entries, `ownership` (D,) fractions.

    `field` is empty where the standings are those of another contest or missing; `ownership` is NaN where missing.
    `results` and `race` are rows of the history, None while it does not hold the race.
    """

    points: np.ndarray
    field: np.ndarray
    ownership: np.ndarray
    results: pd.DataFrame | None
    race: pd.DataFrame | None
    notes: tuple[str, ...] = ()

    def totals(self, lineups) -> np.ndarray:
        """Return the points that lineups (n, K) scored, (n,)."""
        return self.points[np.asarray(lineups)].sum(axis=1)


@dataclass(frozen=True)
class AfterRace:
    """What came of a race, in fractions, dollars and points; `portfolio` frames are empty without one.

    `entries`: lineup (1 = first chosen), drivers, regime, points, rank, beaten (share of the real field), prize.
    `summary` (a Series): entering, fees, won, beaten, cash, top_1pct, best_rank.
    `drivers`: driver, points, expected, points_error, below (share of simulated points below), laps_led,
    expected_laps_led. `ownership`: driver, forecast, actual, share_error, low_80, high_80, inside (bool).
    `regime`: regime, probability, happened (bool); empty while the history does not hold the race.
    """

    outcome: Outcome
    entries: pd.DataFrame
    summary: pd.Series
    drivers: pd.DataFrame
    ownership: pd.DataFrame
    regime: pd.DataFrame
    order: float
    """Rank correlation, over all our lineups, of the payout promised for each alone with the points it scored."""
    promise: dict = field(default_factory=dict)
    """What was promised and what came, for the record that later promises are calibrated by; empty: not to be kept."""

    def __repr__(self) -> str:
        return f"AfterRace({self})"

    def __str__(self) -> str:
        errors, ours = 100 * self.ownership["share_error"].abs(), ""
        wrong = f"wrong by {errors.mean():.1f} points a driver" if len(errors) else "not known"
        if len(self.summary):
            ours = f"; {self.summary['entering']:.0f} entries won ${self.summary['won']:,.2f} for "
            ours += f"${self.summary['fees']:,.2f}, {self.summary['beaten']:.0%} of the field beaten on average"
            ours += f"; promised and scored order of the lineups correlate at {self.order:+.2f}"
        notes = "".join(f"; {note.rstrip('.')}" for note in self.outcome.notes)
        return f"ownership {wrong}{ours}{notes}"


ENTRIES = ("lineup", "drivers", "regime", "points", "rank", "beaten", "prize")
"""Columns of `AfterRace.entries`."""


def review(
    day: RaceDay,
    races: Scenarios,
    crowd: OwnershipForecast,
    mine: Portfolio | None = None,
    contest: Contest | str | int | None = None,
    scores: Scores | None = None,
) -> AfterRace | None:
    """Return how forecasts and portfolio turned out, or None while there are neither standings nor results.

    With the `scores` it promised, its `promise` is what `dfslab report` puts into the user's record, from which later
    promises are calibrated; not so on a simulated season, or of standings that are cut off.
    """
    contest = day.find_contest(contest)
    outcome = read_outcome(day, contest)
    if outcome is None:
        return None
    entries, summary, order = pd.DataFrame(columns=ENTRIES), pd.Series(dtype=float), np.nan
    if mine is not None and len(outcome.field):
        entries = play_real_field(mine.lineups, outcome, contest, day.slate.rules)
        shown = mine.table().head(len(entries))[["lineup", "drivers", "regime"]]
        entries = pd.concat([shown, entries], axis=1)
        summary = earned(entries, contest)
        order = float(pd.Series(outcome.totals(mine.lineups)).corr(mine.metrics["expected_payout"], method="spearman"))
    told, whole = {}, len(outcome.field) >= contest.entries / 2
    if scores is not None and len(summary) and not day.simulated and summary["fees"] > 0 and whole:
        told = promise_of(day, scores, summary, contest)
    frames = _drivers(day, races, outcome), ownership_errors(crowd, outcome), _regime(day, races, outcome)
    return AfterRace(outcome, entries, summary, *frames, order, told)


def read_outcome(day: RaceDay, contest: Contest) -> Outcome | None:
    """Return what happened in a contest of the race, or None while there are neither standings nor results.

    Points are those of the standings; drivers nobody rostered take theirs from the history, else 0 with a note. With
    results alone the race can be reviewed, field and ownership (NaN) are missing, and a note says so.
    """
    slate, found = day.slate, day.files.standings
    results = None if day.files.results is None else day.files.results.frame
    if not found and results is None:
        return None
    own = scored = np.full(len(slate), np.nan)
    field, left_out, notes = np.empty((0, slate.rules.roster_size), int), (NO_STANDINGS,), ()
    if found:
        nearest = min(found, key=lambda one: abs(len(one) - contest.entries))  # where no id says which
        standings = day.files.standings_of(contest) or nearest
        field, left_out = _real_field(day, contest, standings)
        own = np.nan_to_num(by_slate(standings.ownership, slate.names))
        scored, notes = by_slate(standings.points, slate.names), standings.notes
        for other in found:  # who is in no lineup of one contest may be in another's
            scored = np.where(np.isnan(scored), by_slate(other.points, slate.names), scored)
    if results is not None:
        official = by_slate(results.set_index("driver")["points"], slate.names)
        scored = np.where(np.isnan(scored), official, scored)
    points = np.where(slate.out, 0.0, scored)
    blank = np.isnan(points)
    unknown = (f"No points are known for {', '.join(slate.names[blank])}: counted as 0.",) if blank.any() else ()
    race = None if results is None else day.files.in_history("races")
    return Outcome(np.nan_to_num(points), field, own, results, race, (*notes, *left_out, *unknown))


NO_STANDINGS = (
    "The results are there, the contest's standings are not: put contest-standings-*.zip into the race's folder."
)
"""What is missing for a whole review."""


def _real_field(day: RaceDay, contest: Contest, standings) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the lineups that were in the contest, none where the standings are another contest's, and notes."""
    name = standings.file
    if standings is not day.files.standings_of(contest):
        note = f"{name} is of contest {standings.contest_id}, which is not this one: its field is not played."
        return np.empty((0, day.slate.rules.roster_size), int), (note,)
    notes = []
    if strangers := standings.strangers(day.slate):
        notes.append(f"{name}: {', '.join(strangers)} not in DKSalaries.csv: lineups with them are left out.")
    if len(standings) < contest.entries / 2:
        notes.append(f"{name} holds {len(standings):,} entries, the contest {contest.entries:,}.")
    return standings.lineups(day.slate), tuple(notes)


def by_slate(values: pd.Series, names: np.ndarray) -> np.ndarray:
    """Return `values` by driver in the order of `names`, matched by name; NaN where there is none."""
    pairs = match_names(values.index, names).pairs
    return values.rename(index=pairs).groupby(level=0).first().reindex(names).to_numpy(float)


def play_real_field(lineups, outcome: Outcome, contest: Contest, rules) -> pd.DataFrame:
    """Return points, rank, beaten and prize of `lineups` entered beside everybody who was in the real contest.

    The contest grows by our entries and pays the same prizes, so that nobody has to be thrown out: a rank is one
    more than the number of entries ahead, ours included. `beaten` is the share of the real field behind, ties half.
    Lineups past the per-user limit do not enter.
    """
    if not len(outcome.field):
        raise UserError(f"the contest's standings are not there; {' '.join(outcome.notes)}")
    lineups = np.asarray(lineups)[: contest.entering(len(lineups))]
    larger = replace(contest, entries=max(contest.entries, len(outcome.field) + len(lineups)))
    played = simulate_contest(lineups, outcome.field, outcome.points[None], larger, rules=rules)
    scores, theirs = (np.round(outcome.totals(rows) / rules.tick) for rows in (lineups, outcome.field))
    beaten = stats.percentileofscore(theirs, scores, kind="mean") / 100
    columns = {"points": scores * rules.tick, "rank": played.rank[0], "beaten": beaten, "prize": played.payout[0]}
    return pd.DataFrame(columns)


def earned(entries: pd.DataFrame, contest: Contest) -> pd.Series:
    """Return entering, fees, won, beaten, cash, top_1pct and best_rank of entries in the real field."""
    paid, top = entries["prize"] > 0, entries["rank"] <= contest.top_ranks(0.01)
    counts = {"entering": len(entries), "fees": len(entries) * contest.entry_fee, "won": entries["prize"].sum()}
    shares = {"beaten": entries["beaten"].mean(), "cash": paid.mean(), "top_1pct": top.mean()}
    return pd.Series(counts | shares | {"best_rank": entries["rank"].min()})


def ownership_errors(crowd: OwnershipForecast, outcome: Outcome) -> pd.DataFrame:
    """Return forecast against actual ownership by driver, largest errors first, all in fractions."""
    table, known = crowd.table, np.isfinite(outcome.ownership).all()
    frame = pd.DataFrame({"driver": table["driver"], "forecast": table["ownership"], "actual": outcome.ownership})
    frame["share_error"] = frame["actual"] - frame["forecast"]
    frame["low_80"], frame["high_80"] = table["low_80"], table["high_80"]
    frame["inside"] = metrics.covered(frame["low_80"], frame["high_80"], frame["actual"])
    frame = frame.sort_values("share_error", key=np.abs, ascending=False, kind="stable", ignore_index=True)
    return frame if known else frame.iloc[:0]


def _drivers(day: RaceDay, races: Scenarios, outcome: Outcome) -> pd.DataFrame:
    slate, led = day.slate, np.full(len(day.slate), np.nan)
    if outcome.results is not None:
        led = by_slate(outcome.results.set_index("driver")["laps_led"], slate.names)
    below = (races.points < outcome.points) + 0.5 * (races.points == outcome.points)
    expected, expected_led = races.mean().to_numpy(), races.mean("laps_led").to_numpy()
    columns = {"driver": slate.names, "points": outcome.points, "expected": expected}
    columns |= {"points_error": outcome.points - expected, "below": races.weight @ below, "laps_led": led}
    frame = pd.DataFrame(columns | {"expected_laps_led": expected_led})[~slate.out]
    return frame.sort_values("points_error", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def _regime(day: RaceDay, races: Scenarios, outcome: Outcome) -> pd.DataFrame:
    frame = races.regime_shares().rename_axis("regime").reset_index()
    if outcome.results is None or outcome.race is None or outcome.race.empty:
        return frame.iloc[:0].assign(happened=pd.Series(dtype=bool))
    features = race_features(outcome.results, outcome.race)
    happened = classify_scenario_regime(features, day.thresholds).iloc[0]
    return frame.assign(happened=frame["regime"] == happened)
