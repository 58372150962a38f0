"""What a field looks like: ownership achieved, salary left, copies and pairs; two fields side by side."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfslab.lineups import distinct, is_legal, lineup_salary
from dfslab.slate import Slate

__all__ = ["FieldReport", "compare_fields", "copy_numbers", "field_report", "pair_shares", "taken"]


def taken(lineups, shares, n_drivers: int) -> np.ndarray:
    """Return the ownership that `shares` (M,) of entries on `lineups` (M, K) make up, (D,)."""
    lineups = np.asarray(lineups)
    return np.bincount(lineups.ravel(), np.repeat(shares, lineups.shape[1]), minlength=n_drivers)


@dataclass(frozen=True)
class FieldReport:
    """What a field looks like: frames `ownership`, `unspent`, `copies`, `pairs`, and `summary` (a Series).

    Shares are fractions of entries; salaries are dollars.
    """

    summary: pd.Series
    ownership: pd.DataFrame
    unspent: pd.DataFrame
    copies: pd.DataFrame
    pairs: pd.DataFrame


def field_report(field, slate: Slate, ownership) -> FieldReport:
    """Describe `field` (F, K): ownership achieved against `ownership`, salary left, copies, pairs of drivers."""
    field, target = np.asarray(field), slate.align(ownership, "ownership")
    achieved = taken(field, np.full(len(field), 1 / len(field)), len(slate))
    by_driver = pd.DataFrame({"driver": slate.names, "forecast": target, "field": achieved})
    by_driver["error"] = by_driver["field"] - by_driver["forecast"]
    left = slate.rules.salary_cap - lineup_salary(field, slate.salary)
    legal = is_legal(field, slate.salary, slate.rules, groups=slate.groups, out=slate.out)
    summary = pd.Series(
        {
            "entries": len(field),
            "illegal": int((~legal).sum()),
            "ownership_mae": np.abs(by_driver["error"]).mean(),
            "ownership_max_error": np.abs(by_driver["error"]).max(),
            "mean_salary": slate.rules.salary_cap - left.mean(),
            **copy_numbers(field),
        }
    )
    return FieldReport(summary, by_driver, _unspent_table(left), _copies_table(field), _pairs_table(field, slate))


def copy_numbers(field) -> dict[str, float]:
    """Return the distinct share, the most copied share, and the shares of entries on lineups entered 1, 2, 3 times.

    Examples
    --------
    >>> copy_numbers([[0, 1], [0, 1], [0, 2], [1, 2]])["distinct"]
    0.75
    """
    _, copies = distinct(field)
    n = len(field)
    once = {f"entries_on_{k}": float(k * (copies == k).sum() / n) for k in (1, 2, 3)}
    return {"distinct": len(copies) / n, "most_copied": float(copies.max() / n), **once}


def _unspent_table(left) -> pd.DataFrame:
    values, counts = np.unique(left, return_counts=True)
    return pd.DataFrame({"unspent": values, "share": counts / len(left)})


def _copies_table(field) -> pd.DataFrame:
    copies, lineups = np.unique(distinct(field)[1], return_counts=True)
    return pd.DataFrame({"copies": copies, "lineups": lineups, "share_of_entries": copies * lineups / len(field)})


def pair_shares(field, n_drivers: int) -> np.ndarray:
    """Return the share of entries that hold both drivers, (D, D), ownership on the diagonal."""
    holds = np.zeros((len(field), n_drivers), np.float32)
    holds[np.arange(len(field))[:, None], field] = 1
    return (holds.T @ holds).astype(float) / len(field)


def _pairs_table(field, slate: Slate) -> pd.DataFrame:
    shares = pair_shares(field, len(slate))
    a, b = np.triu_indices(len(slate), 1)
    alone = np.diag(shares)
    table = pd.DataFrame(
        {
            "driver": slate.names[a],
            "other": slate.names[b],
            "share": shares[a, b],
            "if_independent": alone[a] * alone[b],
        }
    )
    return table.sort_values("share", ascending=False, ignore_index=True)


def compare_fields(real, simulated, slate: Slate) -> pd.DataFrame:
    """Return what is measured on both fields, one row per figure, with columns real and simulated.

    Beside the copies: mean salary, the shares of lineups that leave $0, at most $500, more than $1,000, and the mean
    absolute difference of the pairs' shares (in the column simulated).
    """
    columns = {}
    for name, field in (("real", real), ("simulated", simulated)):
        left = slate.rules.salary_cap - lineup_salary(field, slate.salary)
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
