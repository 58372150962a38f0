"""Print what ownership says of points beyond the price, on real fields: what `blend` believes before any race.

No Cup contest at hand has both complete ownership and points; fights fields have. A fighter's price stands in for the
race model's mean. Run `python -m scripts.fit_blend_prior ../shared/data`.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from scripts.real_fields import read_mma_fields


def fighters(folder) -> pd.DataFrame:
    """Return one row per fighter and date: points (solved from the lineups'), salary in $1,000, root of ownership."""
    parts = []
    for real in read_mma_fields(folder):
        told = pd.read_csv(Path(folder) / f"{real.name}.csv.gz").dropna(subset="lineup")["points"].to_numpy(float)
        known = np.isfinite(told)
        if known.sum() < len(real.slate):
            continue
        held = np.zeros((len(real.field), len(real.slate)))
        np.put_along_axis(held, real.field, 1, axis=1)
        solve = np.linalg.pinv(held[known])
        told_apart = np.isclose(np.diag(solve @ held[known]), 1)
        points = np.where(told_apart, solve @ told[known], np.nan)
        parts.append(
            pd.DataFrame(
                {
                    "date": real.name[:10],
                    "fighter": real.slate.names.astype(str),
                    "points": points,
                    "salary": real.slate.salary / 1000,
                    "ownership": real.ownership,
                }
            )
        )
    rows = pd.concat(parts).dropna().groupby(["date", "fighter"], as_index=False).mean()
    return rows.assign(root=np.sqrt(rows["ownership"]))


def within_dates(rows: pd.DataFrame, columns) -> tuple[np.ndarray, np.ndarray]:
    """Return least squares of points on `columns`, each less its mean by date, and errors clustered by date."""
    away = rows[["points", *columns]] - rows.groupby("date")[["points", *columns]].transform("mean")
    x, y = away[columns].to_numpy(), away["points"].to_numpy()
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ y
    scores = pd.DataFrame(x * (y - x @ beta)[:, None]).groupby(rows["date"].to_numpy()).sum().to_numpy()
    return beta, np.sqrt(np.diag(inverse @ scores.T @ scores @ inverse))


def main(shared) -> None:
    """Print the slopes, and the worth of ownership in standard deviations of points."""
    rows = fighters(Path(shared) / "mma" / "fields")
    spread = (rows["points"] - rows.groupby("date")["points"].transform("mean")).std()
    print(f"{len(rows)} fighters on {rows['date'].nunique()} dates, points' standard deviation {spread:.1f}")
    alone, both = within_dates(rows, ["salary"]), within_dates(rows, ["salary", "root"])
    print(f"salary alone: {alone[0][0]:.2f} ± {alone[1][0]:.2f} points per $1,000")
    print(f"with ownership: {both[0][0]:.2f} ± {both[1][0]:.2f}, of which {both[0][0] / alone[0][0]:.2f} remain")
    worth, error = both[0][1] / spread, both[1][1] / spread
    print(f"root of ownership: {worth:.2f} ± {error:.2f} standard deviations of points per unit")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
