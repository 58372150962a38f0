"""Write the golf contests as a data folder, with cold-start figures that have not seen golf.

    python -m scripts.golf_folder DATA OUT
    dfslab tune ownership --data OUT --figures OUT/figures.json --learn 4 --last 8

DATA holds `pga/ownership.csv` and what the other figures are fitted on. Golf has the roster of a race: six of 70 to 156
for $50,000. Players without a salary are left out; ownership is percent, as in every ownership history.
"""

import argparse
import json
from pathlib import Path

from dfslab import data
from scripts.fit_ownership_defaults import fit_prior, golf


def main() -> None:
    """Write OUT/history/ownership.csv and OUT/figures.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    told = parser.parse_args()
    table = golf(told.data).dropna(subset=["salary"])
    shares = ["ownership", "projected_ownership"]
    data.files.write_csv(
        told.out / "history" / "ownership.csv", table.assign(**{name: 100 * table[name] for name in shares})
    )
    figures = fit_prior(told.data, without=("golf",)).to_dict()
    (told.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
