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

from dfslab.ownership._errors import Residuals
from dfslab.ownership._estimators import (
    REFIT_GROWTH,
    VENDOR,
    CannotSpeak,
    Forecaster,
    HistoricalOwnership,
    ProjectionOwnership,
    RecentFormOwnership,
    Rolled,
    SalarySkillOwnership,
    by_voice,
    remember,
    roll,
    salary_log_worths,
    speak,
)
from dfslab.ownership._features import SIZE, Board, Memory, read_history, salary_bend
from dfslab.ownership._fit import Case, Prior, fit_log_worths
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules

__all__ = [
    "CannotSpeak",
    "FittedHybrid",
    "HistoricalOwnership",
    "HybridOwnershipEstimator",
    "Pool",
    "Prior",
    "ProjectionOwnership",
    "RecentFormOwnership",
    "SalarySkillOwnership",
]

YOUNG, HALF_LIFE = 10.0, 8.0
"""The i-th of n rolled forecasts counts i / (i + YOUNG) · 2^(−(n − i) / HALF_LIFE): the first ones come from estimators
that knew little, and weights are for what the estimators are worth now."""
LATEST = 50
"""Forecasts further back count next to nothing and are left out."""
EXTRAS = {"base": 1.0, "size": 0.0, "single": 0.0, "price": 0.0, "bend": 0.0}
"""The recalibration and where it starts: the factor on θ₀, its change per factor of 10 in entries and from contests of
many entries per user to single-entry ones, and the bend."""


@dataclass(frozen=True)
class Pool:
    """Weights (sum to 1) of the voices that speak, the temperature, and the recalibration."""

    weights: pd.Series
    temperature: float
    extras: pd.Series
    contests: int

    @classmethod
    def of(cls, voices, beta, contests: int) -> "Pool":
        """Return the pool of fitted coefficients: one per voice, then `EXTRAS`."""
        worth = np.asarray(beta[: len(voices)], float)
        total = worth.sum()
        share = worth / total if total > 0 else np.full(len(worth), 1 / len(worth))
        return cls(pd.Series(share, list(voices)), float(total), pd.Series(beta[len(voices) :], list(EXTRAS)), contests)

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
class HybridOwnershipEstimator:
    """The pool of the four estimators.

    Parameters
    ----------
    rules : roster and cap of the past contests
    prior : figures believed before any history; the shipped ones by default
    parts : the estimators to pool; the four by default
    pools : saved pools, used as they are instead of fitting; see `from_dict`

    Examples
    --------
    >>> from dfslab.slate import Slate
    >>> slate = Slate.from_frame({"driver": list("ABCDEFGH"), "salary": range(6000, 10000, 500)})
    >>> round(float(HybridOwnershipEstimator().fit().predict(slate).sum()), 9)
    6.0
    """

    rules: ContestRules = DRAFTKINGS_NASCAR
    prior: Prior = field(default_factory=Prior.shipped)
    parts: tuple = ()
    pools: tuple = ()

    def fit(self, history=None) -> "FittedHybrid":
        """Return the pool fitted on past contests by rolling origin (a tidy frame, see `evidence.read_history`)."""
        return self.fit_boards(*read_history(history, self.rules))

    def fit_boards(self, boards, notes=()) -> "FittedHybrid":
        """Return the pool fitted on boards."""
        memory = remember(boards, self.prior)
        fitted = tuple(part.fit_boards(boards, memory) for part in self.estimators)
        return FittedHybrid(self, tuple(boards), fitted, memory, tuple(notes))

    @property
    def estimators(self) -> tuple:
        """The estimators that are pooled."""
        kinds = (HistoricalOwnership, ProjectionOwnership, SalarySkillOwnership, RecentFormOwnership)
        return self.parts or tuple(kind(self.rules, self.prior) for kind in kinds)

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
    memory: Memory
    notes: tuple = ()
    fits: dict = field(default_factory=dict)

    name = "hybrid"

    @cached_property
    def rolled(self) -> tuple[Rolled, ...]:
        """Every past contest as its parts forecast it from the contests of earlier dates."""
        return roll(self.estimator.estimators, self.boards, self.estimator.prior)

    def pool(self, voices) -> Pool:
        """Return the pool of `voices`: a saved one, else fitted on the past contests where all of them spoke."""
        voices = tuple(voices)
        saved = [p for p in self.estimator.pools if set(p.weights.index) == set(voices)]
        if saved:
            return saved[0]
        if voices not in self.fits:
            self.fits[voices] = _fit_pool(voices, self.rolled, self.estimator.prior)
        return self.fits[voices]

    def board_log_worths(self, board: Board) -> np.ndarray:
        """Return θ for a board, (D,)."""
        said, missing = speak(self.parts, board)
        if not said:
            raise CannotSpeak("; ".join(missing.values()))
        pool = self.pool(said)
        base = salary_log_worths(board, self.memory, self.estimator.prior)
        return _pool_design(board, base, [said[v] for v in pool.weights.index]) @ pool.beta

    def board_inputs(self, board: Board) -> dict[str, np.ndarray]:
        """Return what each input adds to θ, (D,) each; together they are `board_log_worths` up to a constant."""
        said, missing = speak(self.parts, board)
        pool, base = self.pool(said), salary_log_worths(board, self.memory, self.estimator.prior)
        parts = {part.voice(board): part for part in self.parts if part.name not in missing}
        terms = [parts[voice].board_inputs(board) for voice in pool.weights.index]
        worth = pool.temperature * pool.weights.to_numpy()
        found = {}
        for term, weight in zip(terms, worth, strict=True):
            for name, values in term.items():
                found[name] = found.get(name, 0.0) + weight * values
        design = _pool_design(board, base, [said[v] for v in pool.weights.index])
        extras = design[:, len(worth) :] * pool.extras.to_numpy()
        found["salary"] = found["salary"] - worth.sum() * base + extras[:, [0, 3, 4]].sum(axis=1)
        found[SIZE] = found[SIZE] + extras[:, 1:3].sum(axis=1)
        return found

    def missing(self, slate, contest=None) -> dict:
        """Return the estimators that are left out for this slate, with the reason."""
        board = self.board(slate, contest)
        return speak(self.as_of(board.date).parts, board)[1]

    def weights(self, slate, contest=None) -> pd.Series:
        """Return the weights of the estimators that speak for this slate, summing to 1."""
        board = self.board(slate, contest)
        known = self.as_of(board.date)
        return known.pool(speak(known.parts, board)[0]).weights.rename("weight")

    @cached_property
    def rolled_pools(self) -> tuple:
        """For every past contest (board, θ, pool), the pool too fitted on contests of earlier dates."""
        pools, result = {}, []
        for r in self.rolled:
            voices = tuple(r.said)
            past = tuple(e for e in self.rolled if e.board.date < r.board.date)
            size, pool = pools.get(voices, (0, None))
            if pool is None or len(past) >= REFIT_GROWTH * size:
                pool = _fit_pool(voices, past, self.estimator.prior, pool)
                pools[voices] = len(past), pool
            theta = _pool_design(r.board, r.base, list(r.said.values())) @ pool.beta
            result.append((r.board, theta, pool))
        return tuple(result)

    def rolled_log_worths(self) -> dict:
        """Return θ of past contests, a list in the order of `boards` (None where silent), by forecast."""
        equal = [np.mean(list(r.said.values()), axis=0) for r in self.rolled]
        pooled = {"hybrid": [theta for _, theta, _ in self.rolled_pools], "equal_weights": equal}
        return pooled | {"salary_only": [r.base for r in self.rolled]} | by_voice(self.rolled)

    def rolled_ownership(self) -> pd.DataFrame:
        """Return contest_id, driver, ownership (fraction) of past contests, each forecast from earlier ones alone."""
        said = [
            pd.DataFrame({"contest_id": b.contest_id, "driver": b.names, "ownership": b.law(theta).marginals()})
            for b, theta, _ in self.rolled_pools
        ]
        return (
            pd.concat(said, ignore_index=True) if said else pd.DataFrame(columns=["contest_id", "driver", "ownership"])
        )

    def rolled_weights(self) -> list:
        """Return rows contest_id, date, estimator, weight, temperature of the pool that forecast each past contest."""
        return [
            (board.contest_id, board.date, voice, weight, pool.temperature)
            for board, _, pool in self.rolled_pools
            for voice, weight in pool.weights.items()
        ]

    @cached_property
    def residuals(self) -> Residuals:
        """The errors of the rolled forecasts."""
        said = [(board, theta) for board, theta, _ in self.rolled_pools]
        return Residuals.of(said, self.estimator.prior.residuals)

    def summary(self) -> pd.DataFrame:
        """Return weight, temperature and recalibration of each pool used so far, one row per voice."""
        pools = [*self.estimator.pools, *self._pools()]
        rows = [
            {"pool": i, "estimator": v, "weight": w, "temperature": p.temperature, "contests": p.contests, **p.extras}
            for i, p in enumerate(pools)
            for v, w in p.weights.items()
        ]
        return pd.DataFrame(rows, columns=["pool", "estimator", "weight", "temperature", "contests", *EXTRAS])

    def _pools(self) -> list:
        return [pool for pool in self.fits.values() if isinstance(pool, Pool)]

    def to_dict(self) -> dict:
        """Return what `HybridOwnershipEstimator.from_dict` reads: the pool of every set of voices of a past contest."""
        dates = [b.date for b in self.boards]
        return {
            "pools": [self.pool(voices).to_dict() for voices in dict.fromkeys(tuple(r.said) for r in self.rolled)],
            "contests": len(dates),
            "first_date": str(min(dates).date()) if dates else None,
            "last_date": str(max(dates).date()) if dates else None,
            "prior": self.estimator.prior.source,
        }


def _pool_design(board: Board, base, thetas) -> np.ndarray:
    """Return the columns of the pool, (D, voices + extras)."""
    size = np.log10(board.entries) - 3 if board.entries > 0 else 0.0
    base = base - base.mean()
    added = np.column_stack([theta - theta.mean() - base for theta in thetas])
    everything = base + added.mean(axis=1)
    single = float(board.max_entries_per_user == 1) - 0.5 if board.max_entries_per_user > 0 else 0.0
    return np.column_stack([added, base, size * everything, single * everything, salary_bend(board)])


def _fit_pool(voices, rolled, prior: Prior, before: Pool | None = None) -> Pool:
    told = [(i, r) for i, r in enumerate(rolled, 1) if set(voices) <= set(r.said)]
    told = [(i, r) for i, r in told[-LATEST:] if not r.blind(voices)]
    cases = [
        Case(
            r.board,
            _pool_design(r.board, r.base, [r.said[v] for v in voices]),
            i / (i + YOUNG) * 0.5 ** ((len(rolled) - i) / HALF_LIFE),
        )
        for i, r in told
    ]
    mean = np.concatenate([_pool_mean(voices, rolled, prior), list(EXTRAS.values())])
    spread = [prior.pool["weight_sd"]] * len(voices) + [prior.pool[f"{name}_sd"] for name in EXTRAS]
    precision = 1 / (prior.lineups_per_contest * np.array(spread) ** 2)
    lower = np.array([0.0] * len(voices) + [-np.inf] * len(EXTRAS))
    start = before.beta if before is not None else None
    return Pool.of(voices, fit_log_worths(cases, mean, precision, start=start, lower=lower), len(cases))


def _pool_mean(voices, rolled, prior: Prior) -> np.ndarray:
    """Return the weights believed before the contests where all voices spoke.

    Few contests have a vendor's forecast: it takes its share, and the others keep what they earned without it.
    """
    believed = pd.Series(prior.pool["weights"], dtype=float).reindex(voices).fillna(1 / len(voices))
    if VENDOR in voices and len(voices) > 1:
        rest = tuple(v for v in voices if v != VENDOR)
        share = believed[VENDOR] / believed.sum()
        believed[list(rest)] = (1 - share) * _fit_pool(rest, rolled, prior).weights.to_numpy()
        believed[VENDOR] = share
        return believed.to_numpy()
    return (believed / believed.sum()).to_numpy()
