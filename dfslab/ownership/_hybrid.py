"""The ownership forecast: a log-linear pool of estimators, fitted on forecasts made from earlier contests only.

`θ = c·θ₀ + Σ_k b_k (θ_k − θ₀) + size and kind`, b ≥ 0: a log-linear pool [genest1986] of what the estimators add to θ₀,
the log-worths from salary alone that they share. Shares of the b are the weights; where sources know different things
their sum, the temperature, exceeds 1. All of it maximises the law's concave log likelihood.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from dfslab.errors import UserError, number_between
from dfslab.ownership._board import ContestBoard
from dfslab.ownership._estimators import (
    KINDS,
    VENDORS,
    Forecaster,
    NotAvailable,
    Rolled,
    Startable,
    available,
    remember,
    roll,
    salary_log_worths,
)
from dfslab.ownership._features import SIZE
from dfslab.ownership._fit import Case, Prior, fit_log_worths

EARLY, HALF_LIFE = 10.0, 8.0
"""The i-th of n rolled forecasts counts i / (i + EARLY) · 2^(−(n − i) / HALF_LIFE): the first ones come from estimators
that knew little, and weights are for what the estimators are worth now."""
LATEST = 50
"""Forecasts further back count next to nothing and are left out."""
EXTRAS = ("base", "size", "cash")
"""The recalibration: the factor on θ₀, and the change of all log-worths per factor of 10 in entries and in cash
contests, beside what the shipped temperature says of both."""


@dataclass(frozen=True)
class Pool:
    """Coefficients of the sources and of `EXTRAS`, and how many contests they rest on."""

    sources: dict[str, float]
    extras: dict[str, float]
    contests: int = 0

    @property
    def temperature(self) -> float:
        """The sum of the coefficients of the sources."""
        return sum(self.sources.values())

    @property
    def weights(self) -> pd.Series:
        """The share of each source, summing to 1."""
        worth = pd.Series(self.sources, dtype=float).rename_axis("estimator").rename("weight")
        return worth / worth.sum() if worth.sum() > 0 else worth + 1 / len(worth)

    def log_worths(self, rolled: Rolled) -> np.ndarray:
        """Return θ of a contest, (D,)."""
        return pool_design(rolled, self.sources) @ [*self.sources.values(), *self.extras.values()]


@dataclass(frozen=True)
class HybridOwnershipEstimator(Startable):
    """The pool of all estimators.

    Parameters
    ----------
    rules : roster and cap of the past contests
    prior : figures believed before any history, in place of those of `start`
    start : "auto", "nascar" or "neutral": which of the shipped figures to start from (see `Startable`)
    parts : the estimators to pool; default all, each vendor apart
    sources : names of the estimators to pool; default all
    weights : source -> weight that is held instead of fitted; sources that it does not name are left out
    pools : saved pools, used as they are instead of fitting; see `from_dict`

    Examples
    --------
    >>> from dfslab.slate import Slate
    >>> slate = Slate.from_frame({"driver": list("ABCDEFGH"), "salary": range(6000, 10000, 500)})
    >>> round(float(HybridOwnershipEstimator().fit().predict(slate).sum()), 9)
    6.0
    """

    parts: tuple = ()
    sources: tuple = ()
    weights: Mapping = field(default_factory=dict)
    pools: tuple = ()

    def __post_init__(self):
        super().__post_init__()
        names, known = [*self.sources, *self.weights], [part.name for part in self.parts or KINDS]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise UserError(f"ownership: there is no source {unknown[0]!r}; the sources are {', '.join(known)}")
        for name, weight in self.weights.items():
            number_between(weight, f"weight of {name}", 0.001, 1)

    def fit_boards(self, boards, notes=()) -> "FittedHybrid":
        """Return the pool fitted on boards by rolling origin."""
        ready = self.ready(boards)
        past = remember(boards, ready.prior)
        fitted = tuple(part.fit_boards(boards, past) for part in ready.estimators)
        return FittedHybrid(ready, tuple(boards), past, tuple(notes), parts=fitted)

    @property
    def estimators(self) -> tuple:
        """The estimators that are pooled."""
        parts, asked = self.parts or [kind(self.rules, self.prior, self.start) for kind in KINDS], self.sources
        return tuple(p for p in parts if p.name in (asked or self.weights or [p.name]))

    @classmethod
    def from_dict(cls, saved, **settings) -> "HybridOwnershipEstimator":
        """Return the estimator with the pools of `FittedHybrid.to_dict`, which are then not fitted again."""
        pools = (Pool(pool["sources"], pool["extras"], pool["contests"]) for pool in saved["pools"])
        return cls(pools=tuple(pools), **settings)


@dataclass(frozen=True, eq=False)
class FittedHybrid(Forecaster):
    """The pool and its parts."""

    parts: tuple = ()

    @cached_property
    def rolled(self) -> tuple[Rolled, ...]:
        """Every past contest as its parts forecast it from the contests of earlier dates."""
        return roll(self.estimator.estimators, self.boards, self.estimator.prior)

    def pool(self, sources) -> Pool:
        """Return the pool of `sources`: one held or saved, else fitted on the past contests where all were available.

        Of the weights that are held those of available sources are scaled to 1.
        """
        sources, held = tuple(sources), self.estimator.weights
        if held:
            total = sum(held[name] for name in sources)
            return Pool({name: held[name] / total for name in sources}, dict(zip(EXTRAS, (1.0, 0.0, 0.0), strict=True)))
        saved = [pool for pool in self.estimator.pools if set(pool.sources) == set(sources)]
        if not saved and sources not in self.fits:
            self.fits[sources] = fit_pool(sources, self.rolled, self.estimator.prior)
        return saved[0] if saved else self.fits[sources]

    def board_inputs(self, board: ContestBoard) -> dict[str, np.ndarray]:
        """Return what each input adds to θ, (D,) each; together they are the forecast.

        Raises
        ------
        NotAvailable : no estimator has anything to go on
        """
        sources, missing = available(self.parts, board)
        if not sources:
            raise NotAvailable("; ".join(missing.values()))
        pool, base = self.pool(sources), salary_log_worths(board, self.past, self.estimator.prior)
        found = {"salary": (pool.extras["base"] - pool.temperature) * base}
        for source, worth in pool.sources.items():
            for name, values in sources[source].items():
                found[name] = found.get(name, 0.0) + worth * values
        thetas = {name: sum(inputs.values()) for name, inputs in sources.items()}
        rest = pool.log_worths(Rolled(board, base, thetas)) - sum(found.values())
        return found | {SIZE: found[SIZE] + rest}

    @cached_property
    def pools(self) -> tuple[Pool, ...]:
        """For every past contest the pool that forecast it, fitted on contests of earlier dates."""
        fitted = {}
        for r in self.rolled:
            key = (r.board.date, *r.sources)
            if key not in fitted:
                earlier = [e for e in self.rolled if e.board.date < r.board.date]
                fitted[key] = fit_pool(tuple(r.sources), earlier, self.estimator.prior)
        return tuple(fitted[(r.board.date, *r.sources)] for r in self.rolled)

    @property
    def forecasts(self) -> list:
        """Past contests, each with θ from the contests of earlier dates."""
        return [(r.board, pool.log_worths(r)) for r, pool in zip(self.rolled, self.pools, strict=True)]

    def to_dict(self) -> dict:
        """Return what `HybridOwnershipEstimator.from_dict` reads: a pool for every set of sources of the past."""
        pools = [asdict(self.pool(names)) for names in dict.fromkeys(tuple(r.sources) for r in self.rolled)]
        return {"pools": pools, "contests": len(self.boards), "prior": self.estimator.prior.source}


def pool_design(rolled: Rolled, sources) -> np.ndarray:
    """Return the columns of the pool, (D, sources + extras)."""
    board, base = rolled.board, rolled.base - rolled.base.mean()
    added = np.column_stack([rolled.sources[s] - rolled.sources[s].mean() - base for s in sources])
    size = np.log10(board.entries) - 3 if board.entries > 0 else 0.0
    scales = np.outer(base + added.mean(axis=1), [size, float(board.kind == "cash")])
    return np.column_stack([added, base, scales])


def fit_pool(sources, rolled, prior: Prior) -> Pool:
    """Return the pool of `sources` that forecasts rolled contests best, the latest counting most."""
    known = [(i, r) for i, r in enumerate(rolled, 1) if set(sources) <= set(r.sources)][-LATEST:]
    weights = [i / (i + EARLY) * 0.5 ** ((len(rolled) - i) / HALF_LIFE) for i, _ in known]
    return solve_pool(sources, [r for _, r in known], weights, prior)


def solve_pool(sources, rolled, weights, prior: Prior) -> Pool:
    """Return the pool of `sources` most likely on rolled contests of some weights, around what the prior believes."""
    cases = [Case(r.board, pool_design(r, sources), weight) for r, weight in zip(rolled, weights, strict=True)]
    believed = believed_pool(sources, prior)
    mean = np.array([*believed.sources.values(), *believed.extras.values()])
    spread = [prior.pool["weight_sd"]] * len(sources) + [prior.pool[f"{name}_sd"] for name in EXTRAS]
    precision = 1 / (prior.lineups_per_contest * np.array(spread) ** 2)
    lower = np.array([0.0] * len(sources) + [-np.inf] * len(EXTRAS))
    beta = fit_log_worths(cases, mean, precision, lower=lower).tolist()
    named = dict(zip((*sources, *EXTRAS), beta, strict=True))
    return Pool({s: named[s] for s in sources}, {e: named[e] for e in EXTRAS}, len(cases))


def believed_pool(sources, prior: Prior) -> Pool:
    """Return the pool of `sources` that the prior gives: vendors share theirs, the others add up to its `total`."""
    figures, rest = prior.pool, [name for name in sources if name not in VENDORS]
    share = {name: figures["weights"].get(name, 1 / len(sources)) for name in rest}
    vendors = len(sources) - len(rest)
    total = figures["beside_vendor"] if vendors else figures["total"] if len(rest) > 1 else 1.0
    each = (figures["vendor"] if rest else 1.0) / max(vendors, 1)
    worth = {name: total * share[name] / sum(share.values()) if name in share else each for name in sources}
    return Pool(worth, {"base": sum(worth.values()), "size": 0.0, "cash": 0.0})
