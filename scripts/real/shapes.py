"""What a field looks like: copies, salary left and pairs; two fields side by side."""

import numpy as np
import pandas as pd

from dfslab.lineups import distinct
from dfslab.slate import Slate


def copy_numbers(field) -> dict[str, float]:
    """Return the distinct share, the most copied share, and the shares of entries on lineups entered 1, 2, 3 times."""
    _, copies = distinct(field)
    n = len(field)
    once = {f"entries_on_{k}": float(k * (copies == k).sum() / n) for k in (1, 2, 3)}
    return {"distinct": len(copies) / n, "most_copied": float(copies.max() / n), **once}


def pair_shares(field, n_drivers: int) -> np.ndarray:
    """Return the share of entries that hold both drivers, (D, D), ownership on the diagonal."""
    holds = np.zeros((len(field), n_drivers), np.float32)
    holds[np.arange(len(field))[:, None], field] = 1
    return (holds.T @ holds).astype(float) / len(field)


def compare_fields(real, simulated, slate: Slate) -> pd.DataFrame:
    """Return what is measured on both fields, one row per figure, with columns real and simulated.

    Beside the copies: mean salary, the shares of lineups that leave $0, at most $500, more than $1,000, and the mean
    absolute difference of the pairs' shares (in the column simulated).
    """
    columns = {}
    for name, field in (("real", real), ("simulated", simulated)):
        left = slate.rules.salary_cap - slate.salary[field].sum(axis=1)
        columns[name] = copy_numbers(field) | {
            "mean_salary": slate.rules.salary_cap - left.mean(),
            "leaves_0": (left == 0).mean(),
            "leaves_500_or_less": (left <= 500).mean(),
            "leaves_over_1000": (left > 1000).mean(),
        }
    table = pd.DataFrame(columns)
    upper = np.triu_indices(len(slate), 1)
    gap = np.abs(pair_shares(real, len(slate))[upper] - pair_shares(simulated, len(slate))[upper]).mean()
    table.loc["pair_difference"] = [0.0, gap]
    return table.rename_axis("figure")
