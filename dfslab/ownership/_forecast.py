"""The ownership forecast of a slate as a person meets it: the table, its bands, why, and what if."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import logit

from dfslab.errors import UserError, number_between, whole_number
from dfslab.ownership._board import board_of, match_known
from dfslab.ownership._errors import affordable, log_odds
from dfslab.ownership._hybrid import FIRST_DAY, FittedOwnership, HybridOwnershipEstimator
from dfslab.ownership._sources import VENDORS
from dfslab.slate import Contest, Slate

LEVELS = (50, 80, 95)
"""Bands of the table, percent."""
NODES = 24
"""Gauss–Legendre nodes of the path from an average slate to the real one: the rows of `why` add up to about 1e-9."""
HELD = 0.001, 0.98
"""A held ownership lies between these: no law shows 0 or 1 of a driver who may or may not be rostered."""


@dataclass(frozen=True, eq=False, repr=False)
class OwnershipForecast:
    """What the field will roster: one row per driver of the slate, fractions of entries.

    `table` has driver, salary, ownership and low_50, high_50 … high_95, the bands; `draws` (n, D) are whole ownership
    vectors in its rows, for what the forecast does not know. `views` holds each source's own ownership (D,), `weights`
    the share of each in the pool, `notes` sentences for the page, `past` what past contests were forecast from
    earlier ones alone (contest_id, driver, ownership).
    """

    table: pd.DataFrame
    draws: np.ndarray
    views: dict[str, np.ndarray]
    weights: pd.DataFrame
    notes: tuple[str, ...]
    past: pd.DataFrame
    slate: Slate
    contest: Contest | None
    inputs: dict[str, np.ndarray]
    """What each input adds to the log-worths of the lineup law, (D racing,), before anybody is held."""
    held: dict[str, float] = field(default_factory=dict)

    @property
    def ownership(self) -> pd.Series:
        """Forecast ownership by driver, fractions that sum to the roster size."""
        return self.table.set_index("driver")["ownership"]

    def __repr__(self) -> str:
        top = self.table.nlargest(3, "ownership")
        most = ", ".join(f"{d} {100 * o:.0f} %" for d, o in zip(top["driver"], top["ownership"], strict=True))
        size = f" of {self.contest.entries:,} entries" if self.contest is not None else ""
        return f"OwnershipForecast({len(self.table)} drivers{size}, {len(self.draws):,} draws: {most})"

    def _repr_html_(self) -> str:
        columns = self.table.columns.drop(["driver", "salary"])
        shown = self.table.sort_values("ownership", ascending=False).style.hide(axis="index")
        return shown.format(dict.fromkeys(columns, "{:.1%}") | {"salary": "${:,}"}).set_caption(repr(self)).to_html()

    def why(self, driver: str) -> pd.DataFrame:
        """Return what makes a driver's forecast, one row per input: the change in log-odds and in ownership.

        The first row is an average driver: his ownership if lineups were drawn from all legal ones. Each other row is
        what an input changes when it goes, for all drivers, from the slate's mean to what it is; the effects are added
        up along the straight path between the two (the Aumann–Shapley values [aumann1974]), so that the rows sum to
        the forecast without a remainder. Forecasts that hold a driver (`given`) are explained before the holding.

        Returns
        -------
        frame with input, log_odds, ownership (fractions)
        """
        (row,) = self.slate.rows([driver])
        if self.slate.out[row]:
            raise UserError(f"why: {driver} does not race, so there is nothing to explain; choose a driver who does")
        inputs, log_odds_of, ownership_of = self._reasons
        place = np.flatnonzero(~self.slate.out).tolist().index(row)
        return pd.DataFrame({"input": inputs, "log_odds": log_odds_of[:, place], "ownership": ownership_of[:, place]})

    @cached_property
    def _reasons(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The names of the inputs and their effects on log-odds and on ownership, (inputs, D racing) each."""
        board = board_of(self.slate, self.contest, FIRST_DAY)
        inputs = {name: values - values.mean() for name, values in self.inputs.items() if np.ptp(values) > 0}
        worth = np.array(list(inputs.values()))
        at, share = np.polynomial.legendre.leggauss(NODES)
        in_odds, in_own = np.zeros(worth.shape), np.zeros(worth.shape)
        for place, weight in zip((at + 1) / 2, share / 2, strict=True):
            law = board.law(place * worth.sum(axis=0))
            own = law.marginals()
            moved = worth @ (law.pair_marginals() - np.outer(own, own))
            in_own += weight * moved
            in_odds += weight * moved / (own * (1 - own))
        average = board.law(np.zeros(len(board))).marginals()
        names = ["average driver", *inputs]
        return names, np.vstack([logit(average), in_odds]), np.vstack([average, in_own])

    def given(self, shares: Mapping[str, float]) -> "OwnershipForecast":
        """Return the forecast with some drivers held at a share of entries; the lineup law moves the others.

        Of all lineup laws with these shares it is the one nearest to the forecast's [csiszar1975]. In the draws the
        held drivers are certain and the others are shifted as their forecast is.

        Parameters
        ----------
        shares : driver -> fraction of entries (45 % is .45)

        Raises
        ------
        UserError : a driver is not on the slate or does not race, a share is no fraction, or no lineups have them all
        """
        if not len(shares):
            return self
        held, racing = {**self.held, **dict(shares)}, ~self.slate.out
        rows = self.slate.rows(list(held))
        for (driver, share), row in zip(held.items(), rows, strict=True):
            number_between(share, f"given: {driver}", *HELD, "; a fraction of entries, 45 % is .45")
            if self.slate.out[row]:
                raise UserError(f"given: {driver} does not race; leave him out of what is held")
        target = np.full(len(self.slate), np.nan)
        target[rows] = list(held.values())
        own = np.zeros(len(self.slate))
        own[racing] = self._held_law(target[racing]).marginals()
        free, draws = racing & np.isnan(target), np.tile(own, (len(self.draws), 1))
        moved = log_odds(own[free]) - log_odds(self.table["ownership"].to_numpy()[free])
        draws[:, free] = affordable(log_odds(self.draws[:, free]) + moved, self.slate.salary[free], own[free])
        return replace(self, table=_table(self.slate, own, draws), draws=draws, held=held)

    def _held_law(self, target):
        """Return the law nearest to the forecast's with ownership `target` (D racing,) where that is not NaN."""
        board = board_of(self.slate, self.contest, FIRST_DAY)
        law = board.law(match_known(board, sum(self.inputs.values()), target, ridge=0.0, error=1e-10))
        if np.nanmax(np.abs(law.marginals() - target)) > 1e-6:
            raise UserError("given: no mix of legal lineups has these shares; hold fewer drivers, or lower the shares")
        return law


def forecast(
    slate: Slate,
    history: pd.DataFrame | None = None,
    *,
    contest: Contest | None = None,
    n_draws: int = 1_000,
    rng: np.random.Generator,
    estimator: HybridOwnershipEstimator | FittedOwnership | None = None,
) -> OwnershipForecast:
    """Forecast the ownership of a slate from past contests and from what the slate's columns say.

    Parameters
    ----------
    slate : with the columns that are known (start, projected_points, projected_ownership, rating, form …)
    history : past contests, one row per driver and contest, see `HybridOwnershipEstimator.fit`; None is a cold start
    contest : its size and kind matter
    n_draws : draws of the whole vector, which the bands come from
    estimator : the pool, or one fitted on the same history; default the one that ships
    """
    estimator = HybridOwnershipEstimator(slate.rules) if estimator is None else estimator
    fitted = estimator if isinstance(estimator, FittedOwnership) else estimator.fit(history)
    board = fitted.board(slate, contest)
    known = fitted.knowing(board)
    inputs, draws = known.board_inputs(board), fitted.sample(slate, whole_number(n_draws, "n_draws", 1), rng, contest)
    sources, missing = known.available(board)
    seldom = {name: why for name, why in missing.items() if name not in VENDORS}
    rolled = [(r.board.contest_id, zip(r.board.names, r.ownership, strict=True)) for r in fitted.rolled]
    past = [(contest_id, *row) for contest_id, rows in rolled for row in rows]
    cold = "Cold start: no past contest is in the history; the forecast rests on figures shipped with dfslab."
    experience = f"{len(fitted.boards)} past contests are in the history." if fitted.boards else cold
    views = {name: np.zeros(len(slate)) for name in sources}
    for name, view in views.items():
        view[~slate.out] = board.law(sum(sources[name].values())).marginals()
    return OwnershipForecast(
        table=_table(slate, fitted.predict(slate, contest).to_numpy(), draws),
        draws=draws,
        views=views,
        weights=known.pool(sources).weights.reset_index(),
        notes=(experience, *seldom.values(), *fitted.notes),
        past=pd.DataFrame(past, columns=["contest_id", "driver", "ownership"]),
        slate=slate,
        contest=contest,
        inputs=inputs,
    )


def _table(slate: Slate, own, draws) -> pd.DataFrame:
    table = slate.drivers[["driver", "salary"]].assign(ownership=own)
    for coverage in LEVELS:
        tail = (100 - coverage) / 2
        table[f"low_{coverage}"], table[f"high_{coverage}"] = np.percentile(draws, [tail, 100 - tail], axis=0)
    return table
