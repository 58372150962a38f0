"""The lineups we enter, with what a person asks of them, and the audit: every rule checked again on them."""

import html
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data import write_lineups
from dfslab.lineups import distinct
from dfslab.optimize import LeverageAwareOptimizer
from dfslab.portfolio._greedy import Limits
from dfslab.slate import Contest, Slate


@dataclass(frozen=True, repr=False)
class Portfolio:
    """The lineups we enter, in order of choice: the first m rows are the portfolio of m.

    `lineups` (N, K) rows of `slate`. `metrics` has one row per lineup: regime (the kind of race it leans on: where it
    earns most beside other candidates), gain (dollars of expected payout it added when chosen), expected_payout
    (dollars, alone in the field; on the scenarios it was chosen on, so too good), and the leverage metrics. `audit` has
    one row per rule re-checked on the final lineups. `greedy_to_bound` is the chosen set's expected payout over the sum
    of the N largest stand-alone payouts, which no set can pass.
    """

    lineups: np.ndarray
    metrics: pd.DataFrame
    audit: pd.DataFrame
    greedy_to_bound: float = float("nan")
    candidates: int = 0
    notes: tuple[str, ...] = ()
    slate: Slate | None = None
    ownership: np.ndarray | None = None
    """The field's forecast ownership, (D,) fractions, against which it was chosen."""
    contest: Contest | None = None
    options: dict = field(default_factory=dict)
    """The rules it was chosen under, by name."""

    def __len__(self) -> int:
        return len(self.lineups)

    def __repr__(self) -> str:
        of = f" of {self.slate.race.race_id}" if self.slate is not None and self.slate.race else ""
        most = f", {len(self.entered)} enter" if len(self.entered) < len(self) else ""
        if self.slate is not None and len(self):
            top = self.entered.exposures().iloc[0]
            most += f"; most used {top['driver']} {top['exposure']:.0%}"
        return f"Portfolio({len(self)} lineups{of}{most})"

    def _repr_html_(self) -> str:
        shown = self.table().head(10).style.hide().format(precision=2, thousands=",", escape="html")
        room = {"min-width": "26em", "text-align": "left"}
        return f"<p>{html.escape(repr(self))}</p>{shown.set_properties(subset=['drivers'], **room).to_html()}"

    @property
    def entered(self) -> "Portfolio":
        """The lineups that enter the contest: the first, up to its limit per user."""
        n = self.contest.entering(len(self)) if self.contest else len(self)
        return replace(self, lineups=self.lineups[:n], metrics=self.metrics.head(n))

    def table(self) -> pd.DataFrame:
        """Return one row a lineup in order of choice: drivers by name, regime, gain, salary, points, copies."""
        drivers = self.slate.lineup_names(self.lineups)
        frame = self.metrics.rename(columns={"projected_points": "points", "expected_copies": "copies"})
        shown = ["regime", "gain", "expected_payout", "salary", "points", "total_ownership", "low_owned", "copies"]
        frame = frame.reindex(columns=shown).reset_index(drop=True)
        frame.insert(0, "lineup", np.arange(1, len(frame) + 1))
        frame.insert(1, "drivers", drivers)
        return frame

    def exposures(self) -> pd.DataFrame:
        """Return our exposure against the field's ownership by driver, most exposed first; fractions."""
        shares = {"exposure": self.slate.exposure(self.lineups).to_numpy(), "ownership": self.ownership}
        frame = self.slate.drivers[["driver", "salary"]].assign(**shares)
        frame["difference"] = frame["exposure"] - frame["ownership"]
        return frame.sort_values(["exposure", "ownership", "driver"], ascending=[False, False, True], ignore_index=True)

    def summary(self) -> pd.Series:
        """Return lineups, how many enter the contest, candidates, means of salary, points and ownership."""
        means = self.metrics[["salary", "projected_points", "total_ownership"]].mean()
        counts = pd.Series({"lineups": len(self), "entering": len(self.entered), "candidates": self.candidates})
        return pd.concat([counts, means, pd.Series({"greedy_to_bound": self.greedy_to_bound})])

    def to_upload(self, path) -> Path:
        """Write the lineups as DraftKings' bulk upload and return the path; names need ids on the slate."""
        return write_lineups(path, self.slate, self.lineups)


def audit(
    optimizer: LeverageAwareOptimizer, lineups, n: int, *, limits: Limits | None = None, regimes=()
) -> pd.DataFrame:
    """Re-check every rule on the final `lineups` (N, K) of `n` asked for, a row per rule: found, limit, holds.

    The rules of `optimizer` are checked one by one. With a quota among the limits, the `regimes` (N,) that the lineups
    lean on must be as many.
    """
    slate, problem = optimizer.slate, optimizer.problem
    size, cap = problem.size, problem.cap
    lineups = np.asarray(lineups, int).reshape(-1, size)
    limits = limits or Limits(1.0, size - 1)
    held = np.zeros((len(lineups), len(slate)), int)
    np.put_along_axis(held, lineups, 1, axis=1)
    shared = held @ held.T
    np.fill_diagonal(shared, 0)
    legal = replace(problem, rules=()).legal(lineups) & ~slate.out[lineups].any(axis=1)
    different = len(distinct(lineups)[0])
    cost, top = int(slate.salary[lineups].sum(axis=1).max(initial=0)), int(shared.max(initial=0))
    rows = [
        ("lineups as many as asked", len(lineups), n, len(lineups) == n),
        ("all lineups different", different, len(lineups), different == len(lineups)),
        ("legal lineups (roster, cap, groups, nobody who is out)", int(np.sum(legal)), n, bool(np.all(legal))),
        ("dearest lineup, dollars", cost, cap, cost <= cap),
        ("drivers shared by two lineups, at most", top, limits.max_overlap, top <= limits.max_overlap),
        *_exposure_rows(held, limits, n),
    ]
    if len(lineups):
        rows += [_rule_row(problem.called(name), lineups) for name in problem.names]
    if limits.quota is not None:
        made = pd.Series(regimes, dtype=object).value_counts()
        off = int(made.sub(pd.Series(limits.quota), fill_value=0).abs().sum())
        rows.append(("lineups off the regimes' allocation", off, 0, off == 0))
    return pd.DataFrame(rows, columns=["rule", "found", "limit", "holds"])


def _exposure_rows(held, limits: Limits, n: int):
    """Yield the audit's rows on exposure, for all lineups and for those that enter: the driver nearest to his limit."""
    for m in dict.fromkeys((n, min(limits.entering or n, n))):
        count, of = held[:m].sum(axis=0), "lineups" if m == n else f"of the {m} that enter, lineups"
        most, least = (np.broadcast_to(bound(m), count.shape) for bound in (limits.most, limits.least))
        bounded = (most < m) | (most >= m).all()  # of drivers without a limit only where nobody has one
        sides = [("that hold one driver, at most", most, np.where(bounded, count - most, -n - 1))]
        if least.any():
            asked = np.where(least > 0, least - count, -n - 1)
            sides.append(("that hold a driver asked for, at least", least, asked))
        for what, limit, over in sides:
            i = int(np.argmax(over))
            yield f"{of} {what}", int(count[i]), int(limit[i]), bool(over[i] <= 0)


def _rule_row(rules, lineups) -> tuple:
    """Return the audit's row of the rules of one name: the sum nearest to its bound, or past it."""
    total = np.max if rules[0].each else np.sum
    sums = np.concatenate([total(rule.weights[lineups], axis=1) for rule in rules])
    found = sums.min() if rules[0].floor else sums.max()
    holds = bool(np.all([rule.holds(lineups) for rule in rules]))
    return rules[0].name, round(float(found), 6), round(float(rules[0].limit), 6), holds
