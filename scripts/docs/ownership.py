"""Write the section "Ownership" of docs/results.md: `python -m scripts.docs.ownership ../shared/data/cup`.

It is the table of `dfslab tune ownership --data ../shared/data/cup` (the folder's own ownership history left out) with
the first edition's errors on the same inputs beside it, and the gains over a vendor.
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from dfslab.workflow import tune
from scripts.docs.results import write_results

RESULTS = Path(__file__).parents[2] / "docs" / "results.md"
FIRST_EDITION = json.loads(Path(__file__).with_name("ownership_first_edition.json").read_text("utf-8"))
"""Mean error over known drivers, and over all at least, by contest and basis: commit 106c593 on the same inputs."""


SHOWN = {
    "mean error": "mean error, known drivers",
    "least mean error": "mean error, all drivers, at least",
    "rank correlation": "rank correlation",
    "log score": "log score",
    "inside 80%": "inside 80 % bands",
}
"""Scores of the table, and what the page calls them."""
BASES = ("no vendor", "a vendor's points", "a vendor's ownership")


def _order(column: pd.Series) -> pd.Series:
    return column.map(BASES.index) if column.name == "basis" else column


def main() -> None:
    """Score every contest and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    scored = tune.cold_start(parser.parse_args().data)
    keys = ["date", "case", "entries", "kind", "known", "drivers", "basis", "model"]
    table = scored.scores.pivot_table("value", keys, "score")[[*SHOWN]].rename(columns=SHOWN).reset_index()
    table = table.rename_axis(columns=None).sort_values(["date", "case", "basis"], key=_order, kind="stable")
    table = table.assign(date=table["date"].dt.strftime("%Y-%m-%d"), entries=table["entries"].astype(int))
    table = table.reset_index(drop=True)
    first = [FIRST_EDITION.get(f"{c}/{b}", [None])[0] for c, b in zip(table["case"], table["basis"], strict=True)]
    hybrid = table["model"] == "hybrid"
    table["first edition, known drivers"] = pd.Series(first).where(hybrid)
    tables = {
        "Cold start on real Cup contests, each race left out": table,
        "Means over contests": scored.table(["basis", "model"]),
        "What the hybrid gains, paired by contest": scored.gains(["basis"], ["mean error", "rank correlation"]),
    }
    note = "Errors in points of ownership, ± one standard error clustered by race (four races). Known drivers are the "
    note += "popular ones, so their errors compare with each other, not with those over all drivers."
    write_results(RESULTS, "ownership", tables, "python -m scripts.docs.ownership ../shared/data/cup", [note])


if __name__ == "__main__":
    main()
