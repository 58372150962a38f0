"""The field: opponents' lineups that own, spend and copy as real fields do.

An entry is a draw from the lineup law, or a copy of one of the consensus lineups: lineups many people arrive at
alone, from the same public numbers. Consensus lineups are drawn from a sharper law, the copies of the r-th of them fall
as a power of r, and the law of all other entries is fitted to what the copies leave, so that the whole field owns
what was forecast.
"""

import json
import warnings
from dataclasses import dataclass
from dataclasses import field as _field
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd

from dfslab.lineups import InfeasibleOwnership, LineupLaw, distinct, is_legal, lineup_salary
from dfslab.slate import Contest, Slate

__all__ = [
    "FieldError",
    "FieldModel",
    "FieldPreset",
    "FieldReport",
    "compare_fields",
    "expected_copies",
    "field_preset",
    "field_report",
    "fit_field",
    "sample_field",
    "sample_fields",
]

MOST_TAKEN = 0.9
"""Largest share of a driver's ownership the copied lineups may take, so that the law keeps some of everybody."""
SHRINK = 0.75
"""Factor by which the copied part shrinks until what it leaves is feasible."""
SMALLEST_COPIED = 0.002
"""Below this share of the entries the copied part is given up."""


class FieldError(ValueError):
    """A field that cannot be drawn; the message says what to change."""


@dataclass(frozen=True)
class FieldPreset:
    """How a field copies: fitted on real fields, see `field_preset`.

    `top` is the share of entries on the first consensus lineup, `steepness` the power by which the next ones fall,
    `lineups` their number, `sharpness` how much more they favour the popular than the law does (1: not at all),
    `unspent` the taste for salary left, a table for $0, $100, … as `LineupLaw` takes it.
    """

    top: float
    steepness: float
    lineups: int
    sharpness: float
    unspent: tuple[float, ...]

    @property
    def shares(self) -> np.ndarray:
        """Share of all entries on each consensus lineup, (lineups,)."""
        return self.top * np.arange(1, self.lineups + 1) ** -self.steepness


@cache
def _defaults() -> dict:
    return json.loads(files("dfslab").joinpath("field_defaults.json").read_text("utf-8"))


def field_preset(entries: int, *, contest: Contest | None = None, grouped: bool = False) -> FieldPreset:
    """Return the preset for a contest of `entries` entries (`contest.entries` when a contest is given).

    `grouped` says that the slate has groups (fights), whose fields copy less than races.
    """
    size = contest.entries if contest else entries
    numbers = _defaults()["grouped" if grouped else "race"]
    scale = np.log(max(size, 2) / 1000)
    top = numbers["top"] * np.exp(numbers["top_by_log_size"] * scale)
    lineups = numbers["lineups"] * np.exp(numbers["lineups_by_log_size"] * scale)
    return FieldPreset(
        float(min(top, numbers["top_at_most"])),
        numbers["steepness"],
        max(1, round(lineups)),
        numbers["sharpness"],
        tuple(_defaults()["unspent"]),
    )


@dataclass(frozen=True)
class FieldModel:
    """A fitted field: `law` for most entries, `copied` (M, K) lineups with `shares` (M,) of all entries.

    `consensus` is the law the copied lineups came from. `notes` are sentences for the page.
    """

    law: LineupLaw
    consensus: LineupLaw
    copied: np.ndarray
    shares: np.ndarray
    notes: tuple[str, ...] = _field(default=())

    def marginals(self) -> np.ndarray:
        """Return the ownership of the whole mixture, (D,) fractions that sum to K."""
        return (1 - self.shares.sum()) * self.law.marginals() + _taken(self.copied, self.shares, len(self.law.theta))

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw a field of `n` entries, (n, K) int16 driver rows, sorted within a row, in random order."""
        counts = _rounded_counts(n * self.shares, rng)
        drawn = self.law.sample(n - counts.sum(), rng)
        field = np.concatenate([np.repeat(self.copied, counts, axis=0), drawn]).astype(np.int16)
        return field[rng.permutation(n)]

    def expected_copies(self, lineups, n: int) -> np.ndarray:
        """Return how many of `n` entries are expected on each of `lineups` (L, K), before knowing what is copied."""
        lineups, copied = np.sort(np.asarray(lineups), axis=1), self.shares.sum()
        return n * (
            (1 - copied) * np.exp(self.law.log_prob(lineups)) + copied * np.exp(self.consensus.log_prob(lineups))
        )


def _taken(copied, shares, n_drivers: int) -> np.ndarray:
    """Return the ownership that the copied lineups make up, (D,)."""
    return np.bincount(copied.ravel(), np.repeat(shares, copied.shape[1]), minlength=n_drivers)


def _mixed(law: LineupLaw, consensus: LineupLaw, copied: float, lineups) -> np.ndarray:
    """Return the probability of each of `lineups` when the share `copied` comes from `consensus`, (L,)."""
    rows = np.sort(np.asarray(lineups), axis=1)
    return (1 - copied) * np.exp(law.log_prob(rows)) + copied * np.exp(consensus.log_prob(rows))


def _rounded_counts(expected, rng) -> np.ndarray:
    """Round `expected` to whole numbers that keep every running total within one: one random offset for all."""
    edges = np.floor(np.concatenate([[0.0], np.cumsum(expected)]) + rng.random())
    return np.diff(edges).astype(np.int64)


def fit_field(
    slate: Slate,
    ownership,
    n_entries: int,
    *,
    contest: Contest | None = None,
    rng: np.random.Generator,
    preset: FieldPreset | None = None,
) -> FieldModel:
    """Fit the mixture of copied lineups and lineup law whose total ownership is `ownership`.

    Parameters
    ----------
    slate : drivers and salaries; a column `group` allows at most one driver per group; with `projected_points` the
        consensus lineups are those within 93–99 % of the best projected one
    ownership : (D,) fractions that sum to the roster size, or a Series by driver; drivers who are out count 0
    n_entries : entries of the field; with `contest` the contest's size chooses the preset
    rng : draws which lineups are copied
    preset : how the field copies, default `field_preset`

    A forecast no mix of legal lineups can have is replaced by the nearest feasible one, with a note.
    """
    target, notes = _checked_ownership(slate, ownership)
    preset = preset or field_preset(n_entries, contest=contest, grouped=slate.groups is not None)
    law, more = _law(slate, target, preset)
    target = law.marginals()
    consensus = _consensus_law(slate, law, preset)
    copied = _consensus_lineups(slate, consensus, preset.lineups, rng)
    shares, residual = _calibrated(law, target, copied, preset.shares[: len(copied)])
    return FieldModel(residual, consensus, copied[: len(shares)], shares, (*notes, *more))


def sample_field(
    slate: Slate,
    ownership,
    n_entries: int,
    *,
    contest: Contest | None = None,
    rng: np.random.Generator,
    preset: FieldPreset | None = None,
) -> np.ndarray:
    """Draw a field of `n_entries` opponents, (F, K) driver rows, sorted within a row.

    Parameters are those of `fit_field`. Every lineup is legal; ownership is the forecast's up to sampling error. Warns
    when the forecast had to be replaced by the nearest feasible one.
    """
    model = fit_field(slate, ownership, n_entries, contest=contest, rng=rng, preset=preset)
    for note in model.notes:
        warnings.warn(note, stacklevel=2)
    return model.sample(n_entries, rng)


def _checked_ownership(slate: Slate, ownership) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return ownership (D,) that sums to the roster size, 0 for drivers who are out, and what was changed."""
    target, size = slate.align(ownership, "ownership"), slate.rules.roster_size
    bad = np.flatnonzero(~(target >= 0) | ~np.isfinite(target))
    if len(bad):
        raise FieldError(f"ownership: {slate.names[bad[0]]} has {target[bad[0]]}; a fraction of 0 or more is needed")
    target = np.where(slate.out, 0.0, target)
    total = target.sum()
    if not 0.5 * size < total < 2 * size:
        raise FieldError(f"ownership sums to {total:.2f}; fractions over the slate sum to {size}")
    if abs(total - size) <= 0.01 * size:
        return target * size / total, ()
    return target * size / total, (f"The ownership forecast summed to {total:.2f} and was scaled to {size}.",)


def _law(slate: Slate, target, preset: FieldPreset) -> tuple[LineupLaw, tuple[str, ...]]:
    """Return the law with this ownership, or the nearest one and a note."""
    try:
        return LineupLaw.fit(target, slate.salary, slate.rules, groups=slate.groups, unspent=preset.unspent), ()
    except InfeasibleOwnership as reason:
        law = LineupLaw.fit(
            target, slate.salary, slate.rules, groups=slate.groups, unspent=preset.unspent, nearest=True
        )
        off = np.abs(law.marginals() - target).max()
        nearest = f"the nearest one is used, off by {off:.3f} at most"
        note = f"No mix of legal lineups has the forecast ownership ({reason}); {nearest}."
        return law, (note,)


def _consensus_law(slate: Slate, law: LineupLaw, preset: FieldPreset) -> LineupLaw:
    return LineupLaw(
        preset.sharpness * law.theta,
        slate.salary,
        slate.rules,
        slate.groups,
        preset.sharpness * np.array(preset.unspent),
    )


def _consensus_lineups(slate: Slate, consensus: LineupLaw, n: int, rng) -> np.ndarray:
    """Draw the copied lineups, most copied first, (M, K)."""
    return consensus.sample(n, rng)


def _calibrated(law: LineupLaw, target, copied, shares) -> tuple[np.ndarray, LineupLaw]:
    """Shrink the copied part until the rest is feasible; return its shares and the law of the rest."""
    for _ in range(60):
        taken = _taken(copied, shares, len(target))
        over = np.max(taken[target > 0] / target[target > 0], initial=0.0)
        shares = shares * min(1.0, MOST_TAKEN / over) if over > MOST_TAKEN else shares
        if shares.sum() < SMALLEST_COPIED:
            break
        rest = target - _taken(copied, shares, len(target))
        try:
            fitted = LineupLaw.fit(
                rest / (1 - shares.sum()), law.salary, law.rules, groups=law.groups, unspent=law.unspent
            )
            return shares, fitted
        except InfeasibleOwnership:
            shares = shares * SHRINK
    return np.zeros(0), law


def sample_fields(
    slate: Slate, ownership_draws, n_entries: int, *, contest: Contest | None = None, rng: np.random.Generator
) -> np.ndarray:
    """Draw one field for each draw of the ownership forecast, (n, F, K); `ownership_draws` is (n, D).

    Each field has its own stream, so the first fields do not depend on how many are drawn.
    """
    draws = np.asarray(ownership_draws, float)
    seed = np.random.SeedSequence(int(rng.integers(2**63)))
    streams = [np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(i,))) for i in range(len(draws))]
    fields = [
        fit_field(slate, draw, n_entries, contest=contest, rng=stream).sample(n_entries, stream)
        for draw, stream in zip(draws, streams, strict=True)
    ]
    return np.array(fields).reshape(len(draws), n_entries, slate.rules.roster_size)


def expected_copies(
    lineups,
    slate: Slate,
    ownership,
    n_entries: int,
    *,
    contest: Contest | None = None,
    preset: FieldPreset | None = None,
) -> np.ndarray:
    """Return how many of `n_entries` opponents are expected to enter each of `lineups` (L, K), (L,).

    The duplication model: n · P(lineup) under the mixture a field is drawn from, averaged over what may be copied.
    Over all legal lineups it sums to `n_entries` (the product of ownerships sums to some 25 times that).
    """
    target, _ = _checked_ownership(slate, ownership)
    preset = preset or field_preset(n_entries, contest=contest, grouped=slate.groups is not None)
    law, _ = _law(slate, target, preset)
    consensus = _consensus_law(slate, law, preset)
    return n_entries * _mixed(law, consensus, min(preset.shares.sum(), 0.5), lineups)


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
    field = np.asarray(field)
    target, _ = _checked_ownership(slate, ownership)
    achieved = _taken(field, np.full(len(field), 1 / len(field)), len(slate))
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
    """Return the distinct share, the most copied share, and the shares of entries on lineups entered 1, 2, 3 times."""
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
