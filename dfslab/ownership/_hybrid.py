"""The ownership forecast: a log-linear pool of sources, fitted on forecasts made from earlier contests only.

`θ = c·θ₀ + Σ_k b_k (θ_k − θ₀) + size and kind`, b ≥ 0: a log-linear pool [genest1986] of what the sources add to θ₀,
the log-worths from salary alone that they share. Shares of the b are the weights; where sources know different things
their sum, the temperature, exceeds 1. All of it maximises the law's concave log likelihood.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import pandas as pd

from dfslab.errors import UserError, number_between, whole_number
from dfslab.ownership._board import ContestBoard, board_of, by_date, read_history
from dfslab.ownership._errors import Residuals, draw_ownership, errors_of
from dfslab.ownership._features import SIZE, PastOwnership
from dfslab.ownership._fit import Case, Prior, fit_log_worths
from dfslab.ownership._sources import MOST_CONTESTS, SOURCES, VENDORS, FittedSource, fit_curve, salary_log_worths
from dfslab.rules import DRAFTKINGS_NASCAR, ContestRules

EARLY, HALF_LIFE = 10.0, 8.0
"""The i-th of n rolled forecasts counts i / (i + EARLY) · 2^(−(n − i) / HALF_LIFE): the first ones come from sources
that knew little, and weights are for what the sources are worth now."""
LATEST = 50
"""Forecasts further back count next to nothing and are left out."""
REFIT_GROWTH = 1.08
"""Rolling forecasts refit when there are this many times as many contests as at the last fit."""
EXTRAS = ("base", "size", "cash")
"""The recalibration: the factor on θ₀, and the change of all log-worths per factor of 10 in entries and in cash
contests, beside what the shipped temperature says of both."""
FIRST_DAY = pd.Timestamp("1970-01-01")
STARTS = ("auto", "nascar", "neutral")


# ---------------------------------------------------------------- the pool


@dataclass(frozen=True)
class Pool:
    """Coefficients of the sources and of `EXTRAS`, and how many contests they rest on."""

    sources: dict[str, float]
    extras: dict[str, float] = field(default_factory=lambda: dict(zip(EXTRAS, (1.0, 0.0, 0.0), strict=True)))
    contests: int = 0

    @property
    def temperature(self) -> float:
        """The sum of the coefficients of the sources."""
        return sum(self.sources.values())

    @property
    def weights(self) -> pd.Series:
        """The share of each source, summing to 1."""
        found = pd.Series(self.sources, dtype=float).rename_axis("estimator").rename("weight")
        return found / found.sum() if found.sum() > 0 else found + 1 / len(found)

    def log_worths(self, board: ContestBoard, base, said) -> np.ndarray:
        """Return θ of a contest, (D,), from what salary alone and the sources say."""
        return pool_design(board, base, said, self.sources) @ [*self.sources.values(), *self.extras.values()]


MOST = 100.0
"""A saved coefficient beyond it is damaged: those fitted lie within a few units of 0."""


def _saved_pool(saved: dict) -> Pool:
    unknown = set(saved["sources"]) - {source.name for source in SOURCES}
    if unknown or not saved["sources"]:
        raise UserError(f"a pool: unknown sources {sorted(unknown)}; have {', '.join(s.name for s in SOURCES)}")
    sources = {name: number_between(b, f"pool, {name}", 0, MOST) for name, b in saved["sources"].items()}
    extras = {name: number_between(saved["extras"][name], f"pool, {name}", -MOST, MOST) for name in EXTRAS}
    return Pool(sources, extras, whole_number(saved["contests"], "pool, contests", 0))


@dataclass(frozen=True, eq=False)
class Rolled:
    """A past contest as forecast from those of earlier dates: θ from salary alone, of each source, and the pool."""

    board: ContestBoard
    base: np.ndarray
    sources: dict[str, np.ndarray]
    pool: Pool | None = None
    errors: dict[str, tuple] = field(default_factory=dict)
    """What `errors_of` says of each of `by_model`."""

    @property
    def log_worths(self) -> np.ndarray:
        """θ of the pool, (D,)."""
        return self.pool.log_worths(self.board, self.base, self.sources)

    @property
    def ownership(self) -> np.ndarray:
        """The forecast, (D,) fractions."""
        return self.board.law(self.log_worths).marginals()

    @property
    def by_model(self) -> dict[str, np.ndarray]:
        """θ of every model that is scored, (D,)."""
        return {"hybrid": self.log_worths, "salary only": self.base, **self.sources}


def pool_design(board: ContestBoard, base, said, sources) -> np.ndarray:
    """Return the columns of the pool, (D, sources + extras)."""
    base = base - base.mean()
    added = np.column_stack([said[s] - said[s].mean() - base for s in sources])
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
    designs = [pool_design(r.board, r.base, r.sources, sources) for r in rolled]
    cases = [Case(r.board, *case) for r, *case in zip(rolled, designs, weights, strict=True)]
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
    found = {name: total * share[name] / sum(share.values()) if name in share else each for name in sources}
    return Pool(found, {"base": sum(found.values()), "size": 0.0, "cash": 0.0})


# ---------------------------------------------------------------- the estimators


def compute_all(compute, items, *settings) -> dict:
    """Return what `compute` makes of nothing kept: the plain way to walk, see `workflow` for one that keeps results."""
    return compute({})


@dataclass(frozen=True)
class HybridOwnershipEstimator:
    """The pool of all sources.

    Parameters
    ----------
    rules : roster and cap of the past contests
    prior : figures believed before any history, in place of those of `start`
    start : "nascar" (figures of Cup contests), "neutral" (of golf and fights), or "auto": NASCAR's where the history or
        the slate has a start, a track type or a race
    sources : names of the sources to pool; default all
    weights : source -> weight that is held instead of fitted; sources that it does not name are left out
    pools : saved pools, used as they are instead of fitting; see `from_dict`

    Examples
    --------
    >>> from dfslab.slate import Slate
    >>> slate = Slate.from_frame({"driver": list("ABCDEFGH"), "salary": range(6000, 10000, 500)})
    >>> round(float(HybridOwnershipEstimator().fit().predict(slate).sum()), 9)
    6.0
    """

    rules: ContestRules = DRAFTKINGS_NASCAR
    prior: Prior | None = None
    start: str = "auto"
    sources: tuple = ()
    weights: Mapping = field(default_factory=dict)
    pools: tuple = ()
    alone: ClassVar[tuple] = ()
    """Of these sources the first that is available is the forecast."""

    def __post_init__(self):
        if self.start not in STARTS:
            raise UserError(f"start is {self.start!r}; choose one of {', '.join(STARTS)}")
        known = [source.name for source in SOURCES]
        unknown = [name for name in (*self.sources, *self.weights) if name not in known]
        if unknown:
            raise UserError(f"ownership: there is no source {unknown[0]!r}; the sources are {', '.join(known)}")
        for name, weight in self.weights.items():
            number_between(weight, f"weight of {name}", 0.001, 1)

    def fit(self, history: pd.DataFrame | None = None, keep: Callable = compute_all) -> "FittedOwnership":
        """Return the estimator fitted on past contests by rolling origin.

        Parameters
        ----------
        history : one row per driver and contest: contest_id, date, driver, salary (dollars), ownership (fraction; NaN
            where unknown), and where known start, projected_points, projected_ownership, track_type, entries, kind …
        keep : walks through past contests and may keep what was found of each (see `compute_all`)
        """
        boards, notes = read_history(history, self.rules)
        return self.fit_boards(boards, notes, keep)

    def fit_boards(self, boards, notes=(), keep: Callable = compute_all) -> "FittedOwnership":
        """Return the estimator fitted on boards, with the figures of its start, chosen by what the contests are."""
        auto = "nascar" if any(board.is_race for board in boards) else "neutral"
        prior = self.prior or Prior.shipped(auto if self.start == "auto" else self.start)
        return FittedOwnership(replace(self, prior=prior), tuple(boards), tuple(notes), keep)

    def pool(self, names, rolled) -> Pool:
        """Return the pool of the available sources `names`: one held, else fitted on rolled contests.

        Of the weights that are held those of available sources are scaled to 1.
        """
        given = {next(name for name in self.alone if name in names): 1.0} if self.alone else self.weights
        if not given:
            return fit_pool(tuple(names), rolled, self.prior)
        given = {name: given[name] for name in names if name in given}
        return Pool({name: weight / sum(given.values()) for name, weight in given.items()})

    @classmethod
    def from_dict(cls, saved, **settings) -> "HybridOwnershipEstimator":
        """Return the estimator with the pools of `FittedOwnership.to_dict`, which are then not fitted again.

        The order of names in a file does not matter; an unknown one, or a number out of bounds, raises `UserError`.
        """
        return cls(pools=tuple(map(_saved_pool, saved["pools"])), **settings)


class HistoricalOwnership(HybridOwnershipEstimator):
    """What the driver drew before relative to salary, shrunk to the pool, decayed, and by track type.

    θ = salary curve + b·d + c·d_here; d is the mean log ratio of past ownership to what salary explains, decayed over
    45 days and shrunk to 0 by one contest. It is not available when no driver was seen before.
    """

    alone = ("historical",)


class ProjectionOwnership(HybridOwnershipEstimator):
    """A vendor's projected ownership where there is one, else salary, projected points, places to gain, laps to lead.

    It is not available without either for more than K drivers; the points may be a person's or the simulator's.
    """

    alone = ("vendor", "projection")


class SalarySkillOwnership(HybridOwnershipEstimator):
    """θ = salary curve + rating + room to gain places from the start. It is always available."""

    alone = ("salary_skill",)


class RecentFormOwnership(HybridOwnershipEstimator):
    """θ = salary curve + last weeks' popularity + price move + points against expectation + the slate's `form`.

    It is not available when no driver was seen before and the slate has no `form`.
    """

    alone = ("recent_form",)


class OptimizerOwnership(HybridOwnershipEstimator):
    """θ = salary + the log-odds of what a dozen fictitious entrants' portfolios hold (see `_entrants`).

    It is not available without projected points, a person's or the simulator's, for more than K drivers.
    """

    alone = ("optimizer",)


# ---------------------------------------------------------------- the fitted estimator


@dataclass(frozen=True, eq=False)
class FittedOwnership:
    """An estimator with the contests it learned from; what a forecast needs is fitted when it is first asked for.

    A board of an earlier date than some of its contests is forecast by a refit on the contests before that date.
    `notes` are for the page.
    """

    estimator: HybridOwnershipEstimator
    boards: tuple
    notes: tuple = ()
    keep: Callable = compute_all
    fits: dict = field(default_factory=dict)
    """Pools fitted so far, by their sources, and refits on earlier contests, by date."""

    @cached_property
    def past(self) -> PastOwnership:
        """What the contests say of each driver, against the salary curve fitted on them."""
        return PastOwnership.of(self.boards, fit_curve(self.boards, self.estimator.prior))

    @cached_property
    def parts(self) -> dict[str, FittedSource]:
        """The sources that are asked for, fitted."""
        asked = self.estimator.alone or tuple(self.estimator.weights) or self.estimator.sources
        latest, prior = self.boards[-MOST_CONTESTS:], self.estimator.prior
        return {s.name: FittedSource.fit(s, latest, self.past, prior) for s in SOURCES if s.name in asked or not asked}

    def source_log_worths(self, board: ContestBoard, past=None) -> dict[str, np.ndarray]:
        """Return θ of each source that is available, (D,), by name."""
        return {name: sum(inputs.values()) for name, inputs in self.available(board, past)[0].items()}

    def available(self, board: ContestBoard, past=None) -> tuple[dict, dict]:
        """Return the inputs of each source that is available, by name, and why the others are not."""
        found = {name: part.inputs(board, past or self.past) for name, part in self.parts.items()}
        lacks = {name: " or ".join(self.parts[name].source.own) for name, inputs in found.items() if not inputs}
        said = "The source {} is left out: no {} is known."
        missing = {k: said.format(k.replace("_", " "), lack.replace("_", " ")) for k, lack in lacks.items()}
        return {name: inputs for name, inputs in found.items() if inputs}, missing

    @cached_property
    def rolled(self) -> tuple[Rolled, ...]:
        """Every past contest of which a source had anything to say, as forecast from the contests of earlier dates."""
        estimator, days = replace(self.estimator, pools=()), by_date(self.boards)
        found = self.keep(lambda kept: roll(estimator, days, kept), days, "rolled contests", estimator)
        return tuple(rolled for day in found.values() for rolled in day)

    def pool(self, names) -> Pool:
        """Return the pool of the available sources `names`: one that was saved, else held or fitted."""
        names = tuple(names)
        saved = [pool for pool in self.estimator.pools if set(pool.sources) == set(names)]
        if not saved and names not in self.fits:
            self.fits[names] = self.estimator.pool(names, self.rolled)
        return saved[0] if saved else self.fits[names]

    def board_inputs(self, board: ContestBoard) -> dict[str, np.ndarray]:
        """Return what each input adds to θ, (D,) each; together they are the forecast.

        Raises
        ------
        UserError : no source has anything to go on
        """
        said, missing = self.available(board)
        if not said:
            raise UserError(" ".join(missing.values()))
        pool, base = self.pool(said), salary_log_worths(board, self.past, self.estimator.prior)
        found = {"salary": (pool.extras["base"] - pool.temperature) * base}
        for source, coefficient in pool.sources.items():
            for name, values in said[source].items():
                found[name] = found.get(name, 0.0) + coefficient * values
        rest = pool.log_worths(board, base, self.source_log_worths(board)) - sum(found.values())
        return found | {SIZE: found[SIZE] + rest}

    def log_worths(self, board: ContestBoard) -> np.ndarray:
        """Return θ for a board, (D,)."""
        return sum(self.board_inputs(board).values())

    def knowing(self, board: ContestBoard) -> "FittedOwnership":
        """Return the same with only the contests before the board's date, and figures that suit the board.

        With `start="auto"` a race is forecast from NASCAR's figures even where no past contest was a race.
        """
        late = any(b.date >= board.date for b in self.boards)
        race = self.estimator.start == "auto" and board.is_race and self.estimator.prior == Prior.shipped("neutral")
        if not late and not race:
            return self
        key = (board.date if late else None, race)
        if key not in self.fits:
            estimator = replace(self.estimator, prior=Prior.shipped("nascar")) if race else self.estimator
            self.fits[key] = estimator.fit_boards([b for b in self.boards if b.date < board.date], keep=self.keep)
        return self.fits[key]

    @property
    def through(self) -> pd.Timestamp:
        """The day of the last contest of the history."""
        return max((b.date for b in self.boards), default=FIRST_DAY)

    def board(self, slate, contest=None) -> ContestBoard:
        """Return the slate as of its race's date, else the day after the last contest of the history."""
        return board_of(slate, contest, self.through + pd.Timedelta(days=1))

    def predict(self, slate, contest=None) -> pd.Series:
        """Return ownership by driver, fractions that sum to K; 0 for drivers who do not race.

        Parameters
        ----------
        slate : Slate; its columns start, projected_points, projected_ownership (fraction), rating and form, and those
            of the simulator (`_board.SIMULATED`), are used where they are known. Without a race the forecast is as of
            the day after the last past contest.
        contest : Contest or None; its size and kind matter

        Raises
        ------
        UserError : nothing this forecast reads is known
        """
        board, own = self.board(slate, contest), np.zeros(len(slate))
        own[~slate.out] = board.law(self.knowing(board).log_worths(board)).marginals()
        return pd.Series(own, index=pd.Index(slate.names, name="driver"), name="ownership")

    def sample(self, slate, n: int, rng: np.random.Generator, contest=None) -> np.ndarray:
        """Return `n` draws of the whole ownership vector, (n, D), rows that sum to K.

        Each draw adds the errors of one past contest, forecast from earlier ones only, to the forecast; the first
        draws do not depend on `n`.
        """
        n, board = whole_number(n, "sample: n", 0), self.board(slate, contest)
        known, draws = self.knowing(board), np.zeros((n, len(slate)))
        centre = self.predict(slate, contest).to_numpy()[~slate.out]
        draws[:, ~slate.out] = draw_ownership(centre, board.salary, known.residuals.like(board), n, rng)
        return draws

    @cached_property
    def residuals(self) -> Residuals:
        """The errors of its own forecasts of past contests, each made from earlier ones."""
        return Residuals.of([r.errors["hybrid"] for r in self.rolled], self.estimator.prior.residuals)

    def to_dict(self) -> dict:
        """Return what `HybridOwnershipEstimator.from_dict` reads: a pool for every set of sources of the past."""
        pools = [asdict(self.pool(names)) for names in dict.fromkeys(tuple(r.sources) for r in self.rolled)]
        facts = {"contests": len(self.boards), "prior": self.estimator.prior.source}
        return {"pools": pools, "through": f"{self.through:%Y-%m-%d}", **facts}


def roll(estimator: HybridOwnershipEstimator, days: Mapping, kept: Mapping) -> dict:
    """Return the contests of every date that is not in `kept` as forecast from those of earlier dates, by date.

    Coefficients are refitted when the past has grown by `REFIT_GROWTH`; pools at every date.
    """
    found, earlier, before, size, fitted = {}, (), (), 0, None
    for date, boards in days.items():
        if len(earlier) >= REFIT_GROWTH * size:
            size, fitted = len(earlier), None
        if date not in kept:
            fitted = fitted or estimator.fit_boards(earlier[:size])
            past, pools = PastOwnership.of(earlier, fitted.past.curve), {}
            found[date] = tuple(r for b in boards if (r := _rolled(fitted, b, past, before, pools)) is not None)
        earlier, before = earlier + boards, before + (kept[date] if date in kept else found[date])
    return found


def _rolled(fitted: FittedOwnership, board, past, before, pools: dict) -> Rolled | None:
    """Return a contest as forecast by what is fitted; `pools` holds those of its date, by sources."""
    said = fitted.source_log_worths(board, past)
    names = tuple(said)
    if names and names not in pools:
        pools[names] = fitted.estimator.pool(names, before)
    base = salary_log_worths(board, past, fitted.estimator.prior)
    if not names:
        return None
    rolled = Rolled(board, base, said, pools[names])
    return replace(rolled, errors={model: errors_of(board, theta) for model, theta in rolled.by_model.items()})
