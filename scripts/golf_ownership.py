"""Score the ownership estimators on golf contests, each forecast from earlier ones.

    python -m scripts.golf_ownership DATA [--readme README.md]

DATA holds `pga/ownership.csv`. The cold-start figures are fitted anew without golf, so that nothing has seen the
contests that are scored. Errors are in ownership points over salaried players, actuals rescaled to 6.
"""

import argparse
from pathlib import Path

from dfslab.calibration import walk_forward
from dfslab.ownership import HybridOwnershipEstimator
from dfslab.results import write_results
from scripts.fit_ownership_defaults import fit_prior, golf

FIRST = 4
"""Contests that are only learned from."""
LAST = 8
"""Contests, from the end, that the table is about."""
SHOWN = {"mae": "mean error", "log_score": "log score", "crps": "CRPS", "cover80%": "inside 80 % bands"}


def golf_tables(folder: Path) -> dict:
    """Return, by title, the scores of every estimator on the last contests and the hybrid's paired gains."""
    history = golf(folder)
    estimator = HybridOwnershipEstimator(prior=fit_prior(folder, without=("golf",)))
    walk = walk_forward(history, (estimator,), first=FIRST).last(LAST)
    table = walk.summary()
    table = table[table["score"].isin(SHOWN)].assign(score=lambda t: t["score"].map(SHOWN))
    wide = table.pivot(index="estimator", columns="score", values=["mean", "se"])
    wide.columns = [score if what == "mean" else f"± {score}" for what, score in wide.columns]
    order = [c for score in SHOWN.values() for c in (score, f"± {score}")]
    return {
        f"The last {LAST} contests of `pga/ownership.csv`": wide[order].sort_values("mean error").reset_index(),
        "What the hybrid gains in log score, paired by contest": walk.compare("hybrid", "log_score"),
        "What it gains in mean error": walk.compare("hybrid", "mae"),
    }


def main() -> None:
    """Print the tables, and put them into a document when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--readme")
    told = parser.parse_args()
    tables = golf_tables(told.data)
    for title, frame in tables.items():
        print(f"{title}\n{frame.to_string(index=False)}\n")
    if told.readme:
        write_results(told.readme, "golf", tables, "python -m scripts.golf_ownership ../shared/data")


if __name__ == "__main__":
    main()
