"""The ownership forecast: a log-linear pool of four estimators, fitted on forecasts made from earlier contests only.

`θ = θ₀ + τ Σ_k w_k (θ_k − θ₀) + recalibration`, w on the simplex: a log-linear pool [genest1986] of what the estimators
add to θ₀, the log-worths from salary alone that they share. Where they know different things τ exceeds 1. The
recalibration is a temperature, one that changes with the size of the contest, and a bend in salary. All of it
maximises the law's concave log likelihood.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from dfslab.ownership._board import ContestBoard
from dfslab.ownership._errors import Residuals
from dfslab.ownership._estimators import (
    REFIT_GROWTH,
    Forecaster,
    HistoricalOwnership,
    NotAvailable,
    OptimizerOwnership,
    PointsOwnership,
    RecentFormOwnership,
    Rolled,
    SalarySkillOwnership,
    Startable,
    Vendor2Ownership,
    VendorOwnership,
    available,
    by_source,
    remember,
    roll,
    salary_log_worths,
)
from dfslab.ownership._features import SIZE, PastOwnership, salary_bend
from dfslab.ownership._fit import Case, Prior, fit_log_worths

VENDORS = (VendorOwnership.name, Vendor2Ownership.name)
EARLY, HALF_LIFE = 10.0, 8.0
"""The i-th of n rolled forecasts counts i / (i + EARLY) · 2^(−(n − i) / HALF_LIFE): the first ones come from estimators
that knew little, and weights are for what the estimators are worth now."""
LATEST = 50
"""Forecasts further back count next to nothing and are left out."""
EXTRAS = ("base", "size", "single", "cash", "price", "bend")
"""The recalibration: the factor on θ₀, its change per factor of 10 in entries, from contests of many entries per user
to single-entry ones and from tournaments to cash contests, and the bend."""


@dataclass(frozen=True)
class Pool:
    """Weights (sum to 1) of the sources, the temperature, and the recalibration."""

    weights: pd.Series
    temperature: float
    extras: pd.Series
    contests: int

    @classmethod
    def of(cls, sources, beta, contests: int) -> "Pool":
        """Return the pool of fitted coefficients: one per source, then `EXTRAS`."""
        worth = np.asarray(beta[: len(sources)], float)
        total = worth.sum()
        share = worth / total if total > 0 else np.full(len(worth), 1 / len(worth))
        return cls(
            pd.Series(share, list(sources)), float(total), pd.Series(beta[len(sources) :], list(EXTRAS)), contests
        )

    @property
    def beta(self) -> np.ndarray:
        """The coefficients as fitted."""
        return np.concatenate([self.temperature * self.weights.to_numpy(), self.extras.to_numpy()])

    def to_dict(self) -> dict:
        """Return plain numbers."""
        return {
            "weights": self.weights.to_dict(),
            "temperature": self.temperature,
            "extras": self.extras.to_dict(),
            "contests": self.contests,
        }

    @classmethod
    def from_dict(cls, saved) -> "Pool":
        """Return the pool saved by `to_dict`."""
        return cls(
            pd.Series(saved["weights"], dtype=float),
            float(saved["temperature"]),
            pd.Series(saved["extras"], dtype=float),
            int(saved["contests"]),
        )


@dataclass(frozen=True)
class HybridOwnershipEstimator(Startable):
    """The pool of all estimators.

    Parameters
    ----------
    rules : roster and cap of the past contests
    prior : figures believed before any history, in place of those of `start`
    start : "auto", "nascar" or "neutral": which of the shipped figures to start from (see `Startable`)
    parts : the estimators to pool; default all, each vendor apart
    pools : saved pools, used as they are instead of fitting; see `from_dict`

    Examples
    --------
    >>> from dfslab.slate import Slate
    >>> slate = Slate.from_frame({"driver": list("ABCDEFGH"), "salary": range(6000, 10000, 500)})
    >>> round(float(HybridOwnershipEstimator().fit().predict(slate).sum()), 9)
    6.0
    """

    parts: tuple = ()
    pools: tuple = ()

    def fit_boards(self, boards, notes=()) -> "FittedHybrid":
        """Return the pool fitted on boards by rolling origin."""
        ready = self.ready(boards)
        past = remember(boards, ready.prior)
        fitted = tuple(part.fit_boards(boards, past) for part in ready.estimators)
        return FittedHybrid(ready, tuple(boards), fitted, past, tuple(notes))

    @property
    def estimators(self) -> tuple:
        """The estimators that are pooled."""
        kinds = (
            HistoricalOwnership,
            PointsOwnership,
            VendorOwnership,
            Vendor2Ownership,
            SalarySkillOwnership,
            RecentFormOwnership,
            OptimizerOwnership,
        )
        return self.parts or tuple(kind(self.rules, self.prior, self.start) for kind in kinds)

    @classmethod
    def from_dict(cls, saved, **settings) -> "HybridOwnershipEstimator":
        """Return the estimator with the pools of `FittedHybrid.to_dict`, which are then not fitted again."""
        return cls(pools=tuple(Pool.from_dict(pool) for pool in saved["pools"]), **settings)


@dataclass(frozen=True, eq=False)
class FittedHybrid(Forecaster):
    """The pool and its parts; `notes` says which contests could not be used."""

    estimator: HybridOwnershipEstimator
    boards: tuple
    parts: tuple
    past: PastOwnership
    notes: tuple = ()
    fits: dict = field(default_factory=dict)
    """Pools by their sources."""
    refits: dict = field(default_factory=dict)
    """The same estimator fitted on earlier contests, by date."""

    name = "hybrid"

    @cached_property
    def rolled(self) -> tuple[Rolled, ...]:
        """Every past contest as its parts forecast it from the contests of earlier dates."""
        return roll(self.estimator.estimators, self.boards, self.estimator.prior)

    def pool(self, sources) -> Pool:
        """Return the pool of `sources`: a saved one, else fitted on the past contests where all were available."""
        sources = tuple(sources)
        saved = [p for p in self.estimator.pools if set(p.weights.index) == set(sources)]
        if saved:
            return saved[0]
        if sources not in self.fits:
            self.fits[sources] = fit_pool(sources, self.rolled, self.estimator.prior)
        return self.fits[sources]

    def board_log_worths(self, board: ContestBoard) -> np.ndarray:
        """Return θ for a board, (D,)."""
        sources, missing = available(self.parts, board)
        if not sources:
            raise NotAvailable("; ".join(missing.values()))
        pool = self.pool(sources)
        base = salary_log_worths(board, self.past, self.estimator.prior)
        return pool_design(board, base, [sources[name] for name in pool.weights.index]) @ pool.beta

    def board_inputs(self, board: ContestBoard) -> dict[str, np.ndarray]:
        """Return what each input adds to θ, (D,) each; together they are `board_log_worths` up to a constant."""
        sources, _ = available(self.parts, board)
        pool, base = self.pool(sources), salary_log_worths(board, self.past, self.estimator.prior)
        parts, worth, found = {p.name: p for p in self.parts}, pool.temperature * pool.weights, {}
        for source, weight in worth.items():
            for name, values in parts[source].board_inputs(board).items():
                found[name] = found.get(name, 0.0) + weight * values
        design = pool_design(board, base, [sources[name] for name in worth.index])
        extras = dict(zip(EXTRAS, (design[:, len(worth) :] * pool.extras.to_numpy()).T, strict=True))
        found["salary"] = found["salary"] - worth.sum() * base + extras["base"] + extras["price"] + extras["bend"]
        found[SIZE] = found[SIZE] + extras["size"] + extras["single"] + extras["cash"]
        return found

    def missing(self, slate, contest=None) -> dict:
        """Return the estimators that are left out for this slate, with the reason; a vendor not given is not missed."""
        board = self.board(slate, contest)
        missing = available(self.knowing(board).parts, board)[1]
        return {name: why for name, why in missing.items() if name not in VENDORS}

    def weights(self, slate, contest=None) -> pd.Series:
        """Return the weights of the sources of this slate's forecast, summing to 1."""
        board = self.board(slate, contest)
        known = self.knowing(board)
        return known.pool(available(known.parts, board)[0]).weights.rename("weight")

    @cached_property
    def rolled_pools(self) -> tuple:
        """For every past contest (board, θ, pool), the pool too fitted on contests of earlier dates."""
        pools, result = {}, []
        for r in self.rolled:
            sources = tuple(r.sources)
            earlier = tuple(e for e in self.rolled if e.board.date < r.board.date)
            size, pool = pools.get(sources, (0, None))
            if pool is None or len(earlier) >= REFIT_GROWTH * size:
                pool = fit_pool(sources, earlier, self.estimator.prior, pool)
                pools[sources] = len(earlier), pool
            theta = pool_design(r.board, r.base, list(r.sources.values())) @ pool.beta
            result.append((r.board, theta, pool))
        return tuple(result)

    def rolled_log_worths(self) -> dict:
        """Return θ of past contests, a list in the order of `boards` (None where not available), by forecast."""
        equal = [np.mean(list(r.sources.values()), axis=0) for r in self.rolled]
        pooled = {"hybrid": [theta for _, theta, _ in self.rolled_pools], "equal_weights": equal}
        return pooled | {"salary_only": [r.base for r in self.rolled]} | by_source(self.rolled)

    def rolled_ownership(self) -> pd.DataFrame:
        """Return contest_id, driver, ownership (fraction) of past contests, each forecast from earlier ones alone."""
        rows = [
            pd.DataFrame({"contest_id": b.contest_id, "driver": b.names, "ownership": b.law(theta).marginals()})
            for b, theta, _ in self.rolled_pools
        ]
        return pd.concat([pd.DataFrame(columns=["contest_id", "driver", "ownership"]), *rows], ignore_index=True)

    def rolled_weights(self) -> list:
        """Return rows contest_id, date, estimator, weight, temperature of the pool that forecast each past contest."""
        return [
            (board.contest_id, board.date, source, weight, pool.temperature)
            for board, _, pool in self.rolled_pools
            for source, weight in pool.weights.items()
        ]

    @cached_property
    def residuals(self) -> Residuals:
        """The errors of the rolled forecasts."""
        forecasts = [(board, theta) for board, theta, _ in self.rolled_pools]
        return Residuals.of(forecasts, self.estimator.prior.residuals)

    def summary(self) -> pd.DataFrame:
        """Return weight, temperature and recalibration of each pool used so far, one row per source."""
        pools = [*self.estimator.pools, *self.fits.values()]
        rows = [
            {"pool": i, "estimator": v, "weight": w, "temperature": p.temperature, "contests": p.contests, **p.extras}
            for i, p in enumerate(pools)
            for v, w in p.weights.items()
        ]
        return pd.DataFrame(rows, columns=["pool", "estimator", "weight", "temperature", "contests", *EXTRAS])

    def to_dict(self) -> dict:
        """Return what `HybridOwnershipEstimator.from_dict` reads: a pool for every set of sources of the past."""
        dates = [b.date for b in self.boards]
        return {
            "pools": [self.pool(names).to_dict() for names in dict.fromkeys(tuple(r.sources) for r in self.rolled)],
            "contests": len(dates),
            "first_date": str(min(dates).date()) if dates else None,
            "last_date": str(max(dates).date()) if dates else None,
            "prior": self.estimator.prior.source,
        }


def pool_design(board: ContestBoard, base, thetas) -> np.ndarray:
    """Return the columns of the pool, (D, sources + extras)."""
    size = np.log10(board.entries) - 3 if board.entries > 0 else 0.0
    single = float(board.max_entries_per_user == 1) - 0.5 if board.max_entries_per_user > 0 else 0.0
    base = base - base.mean()
    added = np.column_stack([theta - theta.mean() - base for theta in thetas])
    everything = base + added.mean(axis=1)
    scaled = [share * everything for share in (size, single, float(board.kind == "cash"))]
    return np.column_stack([added, base, *scaled, salary_bend(board)])


def fit_pool(sources, rolled, prior: Prior, before: Pool | None = None) -> Pool:
    """Return the pool of `sources` that forecasts rolled contests best, the latest counting most."""
    known = [(i, r) for i, r in enumerate(rolled, 1) if set(sources) <= set(r.sources)]
    known = [(i, r) for i, r in known[-LATEST:] if not r.uninformative(sources)]
    weights = [i / (i + EARLY) * 0.5 ** ((len(rolled) - i) / HALF_LIFE) for i, _ in known]
    believed = _pool_mean(sources, rolled, prior)
    return solve_pool(sources, [r for _, r in known], weights, prior, believed, before)


def solve_pool(sources, rolled, weights, prior: Prior, believed, before: Pool | None = None) -> Pool:
    """Return the pool of `sources` most likely on rolled contests of some weights, given the weights `believed`."""
    cases = [
        Case(r.board, pool_design(r.board, r.base, [r.sources[name] for name in sources]), weight)
        for r, weight in zip(rolled, weights, strict=True)
    ]
    mean = np.concatenate([believed, [believed.sum()], np.zeros(len(EXTRAS) - 1)])
    spread = [prior.pool["weight_sd"]] * len(sources) + [prior.pool[f"{name}_sd"] for name in EXTRAS]
    precision = 1 / (prior.lineups_per_contest * np.array(spread) ** 2)
    lower = np.array([0.0] * len(sources) + [-np.inf] * len(EXTRAS))
    start = before.beta if before is not None else None
    return Pool.of(sources, fit_log_worths(cases, mean, precision, start=start, lower=lower), len(cases))


def _pool_mean(sources, rolled, prior: Prior) -> np.ndarray:
    """Return the weights believed before the contests where all sources were available.

    Few contests have a vendor's forecast: the others keep what they earned without it, in what it leaves beside it.
    """
    rest = tuple(name for name in sources if name not in VENDORS)
    earned = fit_pool(rest, rolled, prior).weights if rest and len(rest) < len(sources) else None
    return believed_weights(sources, prior, earned)


def believed_weights(sources, prior: Prior, earned=None) -> np.ndarray:
    """Return the weights of `sources` that the prior gives: vendors share theirs, the others add up to its `total`.

    `earned` are the relative weights of the others beside a vendor; without them those of the prior.
    """
    figures, rest = prior.pool, [name for name in sources if name not in VENDORS]
    share = pd.Series(figures["weights"], dtype=float).reindex(rest).fillna(1 / len(sources))
    share = share / share.sum() if earned is None else earned
    vendors = len(sources) - len(rest)
    total = figures["beside_vendor"] if vendors else figures["total"] if len(rest) > 1 else 1.0
    each = (figures["vendor"] if rest else 1.0) / max(vendors, 1)
    return (total * share).reindex(sources).fillna(each).to_numpy()
