"""Refit the figures that NASCAR's ownership forecasts start from: `python -m scripts.fit.ownership ../shared/data/cup`.

The folder holds `contests_*/ownership_partial.csv`, the folders of their races, and the history before them. Nothing
but coefficients is written. What is believed before any Cup contest stands in the same file under "assumed": .1 in
log-odds per $1,000 and a standard deviation of points given the points are what Kansas and Daytona show, the weights of
the pool lie between the two forecasts that read points, and a vendor is taken at his word. "neutral" are the figures of
the first edition (19 golf, 5 Cup and 9 fights contests, fitted at commit 106c593).
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from dfslab.ownership import fit_cold_start
from dfslab.workflow import tune

DEFAULTS = Path(__file__).parents[2] / "dfslab" / "ownership" / "defaults.json"
SPREAD = {
    "salary_curve": [0.5, *[0.15] * 4, *[0.1] * 5, 0.3],
    "salary_by_family": [0.2],
    "projection": [0.4, 0.2, 0.2],
    "place_value": [0.2],
    "dominator_value": [0.2],
}
"""How far a user's own history may move a coefficient (standard deviations): more than four races may."""
WEIGHT_SPREAD = 0.15


def main() -> None:
    """Write the figures, and say what they rest on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    contests = tune.known_contests(parser.parse_args().data)
    fitted = fit_cold_start(contests)
    tables = {name: _spread(name, rows) for name, rows in fitted.coefficients.items()}
    pool = {**fitted.pool, "weight_sd": WEIGHT_SPREAD}
    found = replace(fitted, coefficients=tables, pool=pool, source=_source(contests))
    starts = json.loads(DEFAULTS.read_text("utf-8")) | {"nascar": asdict(found)}
    DEFAULTS.write_text(json.dumps(starts, indent=1) + "\n", "utf-8")
    print(found.source)


def _spread(name, rows) -> list:
    spread = SPREAD.get(name.split("/")[-1])
    return rows if spread is None else [[mean, sd] for (mean, _), sd in zip(rows, spread, strict=True)]


def _source(contests) -> str:
    races = sorted(contests["race_id"].unique())
    return (
        f"scripts/fit/ownership.py: {contests['contest_id'].nunique()} Cup contests of {len(races)} races "
        f"({', '.join(races)}); popularity and price moves are of golf"
    )


if __name__ == "__main__":
    main()
