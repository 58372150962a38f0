"""The golf contests of `../shared/data`, and figures to start from that have not seen golf.

Golf has the roster of a race: six of 70 to 156 for $50,000. As a data folder, to score it by the command:
`python -m scripts.real.golf DATA OUT`, then `dfslab tune ownership --data OUT --figures OUT/figures.json --learn 4
--last 8`.
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from dfslab.data import files
from dfslab.ownership import Prior

INCOMPLETE = "RBC_Canadian_2026"
FIGURES = Path(__file__).with_name("figures_without_golf.json")


def golf(folder: Path) -> pd.DataFrame:
    """Return the complete golf contests as a history frame, ownership as fractions; some salaries are not known."""
    table = pd.read_csv(folder / "pga/ownership.csv")
    table = table[table["contest"] != INCOMPLETE]
    return pd.DataFrame(
        {
            "contest_id": table["contest"],
            "date": table["date"],
            "driver": table["player"],
            "salary": table["salary"],
            "ownership": table["own_pct"] / 100,
            "projected_ownership": table["proj_own"] / 100,
        }
    )


def figures() -> Prior:
    """Return the figures fitted on fights and the Cup contests of July 2026 by the first edition (commit 106c593)."""
    return Prior(**json.loads(FIGURES.read_text("utf-8")))


def main() -> None:
    """Write OUT/history/ownership.csv and OUT/figures.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    table = golf(asked.data).dropna(subset=["salary"])
    shares = ["ownership", "projected_ownership"]
    percent = table.assign(**{name: 100 * table[name] for name in shares})
    files.write_csv(asked.out / "history" / "ownership.csv", percent)
    (asked.out / "figures.json").write_text(FIGURES.read_text("utf-8"), "utf-8")


if __name__ == "__main__":
    main()
