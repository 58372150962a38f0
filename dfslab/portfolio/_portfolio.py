"""The lineups we enter, with what a person asks of them."""

import html
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data import write_lineups
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
        most = ""
        if self.slate is not None and len(self):
            top = self.exposures().iloc[0]
            most = f"; most used {top['driver']} {top['exposure']:.0%}"
        return f"Portfolio({len(self)} lineups{of}{most})"

    def _repr_html_(self) -> str:
        shown = self.table().head(10).style.hide().format(precision=2, thousands=",", escape="html")
        room = {"min-width": "26em", "text-align": "left"}
        return f"<p>{html.escape(repr(self))}</p>{shown.set_properties(subset=['drivers'], **room).to_html()}"

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
        entering = self.contest.entering(len(self)) if self.contest else len(self)
        counts = pd.Series({"lineups": len(self), "entering": entering, "candidates": self.candidates})
        return pd.concat([counts, means, pd.Series({"greedy_to_bound": self.greedy_to_bound})])

    def to_upload(self, path) -> Path:
        """Write the lineups as DraftKings' bulk upload and return the path; names need ids on the slate."""
        return write_lineups(path, self.slate, self.lineups)
