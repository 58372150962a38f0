"""The optimizers: the best lineups by value, with leverage against the field inside the objective."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

import numpy as np
import pandas as pd

from dfslab.errors import UserError, number_between, whole_number
from dfslab.lineups import LineupProblem, Rule, search, search_set, take_in_order, why_few, why_none
from dfslab.metrics import mean_value, tail_weights, upper_tail_mean
from dfslab.slate import Slate

SLACK = 1e-9
"""Rounding error of a share of lineups, such as .6 of 5."""
TAIL_POOL = 2_000
"""Lineups whose upper tail is looked at: half of them the best by mean, the others by each driver's own tail."""


class InfeasibleLineup(UserError):
    """No lineup obeys every rule. `changes` maps the rules to change to the limit that would work (None: drop it)."""

    def __init__(self, message: str, changes: dict | None = None):
        super().__init__(message)
        self.changes = changes or {}


class LineupShortage(InfeasibleLineup):
    """Fewer lineups exist than were asked for; `lineups` (m, K) holds those that do."""

    def __init__(self, message: str, lineups: np.ndarray, changes: dict | None = None):
        super().__init__(message, changes)
        self.lineups = lineups


@dataclass(eq=False)
class NASCAROptimizer:
    """Find the lineups with the largest total value under the contest's rules and your own.

    Parameters
    ----------
    slate : drivers, salaries, cap and roster size; drivers who are out are never rostered, and at most one driver of
        each slate group
    min_salary : dollars a lineup must spend
    locks, bans : names of drivers every lineup must have, or none may have
    groups : dicts with `drivers` (names) and how many of them each lineup has: `at_least` (default 0), `at_most`
    excluded, excluded_overlap : lineups (L, K) by names or rows, and how many drivers a lineup may share with each of
        them (default: all but one, so that none is repeated)

    Raises
    ------
    SlateError : an unknown driver
    ValueError : an option out of range

    Examples
    --------
    >>> from dfslab.rules import ContestRules
    >>> frame = pd.DataFrame({"driver": ["Ann", "Ben", "Cy"], "salary": [50, 40, 30]})
    >>> slate = Slate.from_frame(frame, ContestRules(roster_size=2, salary_cap=80))
    >>> NASCAROptimizer(slate).optimize([30.0, 28.0, 20.0], 2).tolist()
    [[0, 2], [1, 2]]
    """

    slate: Slate
    _: KW_ONLY
    min_salary: int | None = None
    locks: tuple[str, ...] = ()
    bans: tuple[str, ...] = ()
    groups: tuple[dict, ...] = ()
    excluded: np.ndarray | None = None
    excluded_overlap: int | None = None

    def __post_init__(self):
        self.locks, self.bans = _names(self.locks, "locks"), _names(self.bans, "bans")
        locked = self.slate.rows(self.locks, "locks")
        gone = [name for name, row in zip(self.locks, locked, strict=True) if self.slate.out[row]]
        if gone:
            raise UserError(f"locks: {', '.join(gone)} will not race; unlock him")
        self.slate.rows(self.bans, "bans")
        slate, rules = self.slate, self.slate.rules
        given = slate.salary, rules.roster_size, rules.salary_cap, slate.groups, tuple(self._rules())
        self.problem = LineupProblem(*given)
        racing = np.flatnonzero(~self.slate.out)
        self._order = racing[np.argsort(self.slate.names[racing].astype(str), kind="stable")]
        self._by_name = self.problem.take(self._order)  # the searches break ties by row

    def objective(self, value) -> np.ndarray:
        """Return what each driver adds to a lineup, (D,): his value."""
        return self._value(value)

    def allows(self, lineups) -> np.ndarray:
        """Return which `lineups` (L, K) obey every rule, (L,) bool."""
        legal = self.problem.legal(lineups)
        legal[legal] = ~self.slate.out[np.asarray(lineups)[legal]].any(axis=1)
        return legal

    def best(self, value, n: int) -> np.ndarray:
        """Return up to `n` of the best lineups, (≤ n, K), fewer where fewer exist."""
        return self._to_slate(search(self.objective(value)[self._order], self._by_name, n))

    def optimize(
        self, value, n_lineups=1, *, max_overlap=None, max_exposure=None, min_exposure=None, engine="auto"
    ) -> np.ndarray:
        """Return the best lineups, best first.

        Each lineup is the best one given those before it: it shares at most `max_overlap` drivers with any of them
        and uses no driver beyond his `max_exposure`. With `min_exposure` the whole set is chosen at once for the
        largest total value among candidate lineups. Equal values: the alphabetically first drivers win (with the
        exact engine).

        Parameters
        ----------
        value : (D,) points or any other value per driver; a Series is aligned by driver
        n_lineups : how many different lineups
        max_overlap : drivers any two lineups may share
        max_exposure : largest share of the lineups a driver may be in; a number for all but those locked, or
            driver → share
        min_exposure : driver → smallest share
        engine : "exact" (branch and bound), "milp" (PuLP with HiGHS) or "auto": exact unless that takes too long

        Returns
        -------
        (n_lineups, K) int, rows of the slate, sorted within a lineup

        Raises
        ------
        InfeasibleLineup : no lineup obeys the rules; the message says which rule to change and to what
        LineupShortage : some lineups exist, fewer than asked; they are in its `lineups`
        """
        n = whole_number(n_lineups, "n_lineups", 1)
        worth = self.objective(value)[self._order]
        limits, asked = self._limits(n, max_overlap, max_exposure, min_exposure, engine)
        found, least = self._with_minima(worth, n, asked, limits)
        if len(found) < n:
            self._explain(found, worth, n, limits)
        short = zip(self.slate.names[self._order[asked > least]], least[asked > least] / n, strict=True)
        changes = {f"min_exposure: {name}": share for name, share in short}
        if changes:
            parts = "; ".join(f"{name} is too high, {share:.2g} works" for name, share in changes.items())
            says = f"no {n} lineups with every min_exposure were found. These changes together are enough: {parts}."
            raise InfeasibleLineup(says, changes)
        return self._to_slate(found)

    def optimize_upper_tail(
        self, points, tail=0.1, n_lineups=1, *, weight=None, max_overlap=None, max_exposure=None, engine="auto"
    ) -> np.ndarray:
        """Return lineups of large mean score over their own best scenarios, less the leverage terms, best first.

        They are taken in order of that score, computed exactly, from the lineups that are best by mean points and by
        each driver's own best scenarios: the best of these candidates, not proved to be the optimum.

        Parameters
        ----------
        points : (S, D) points by scenario and driver ; weight : (S,) or None for equal
        tail : weight of the best scenarios, above 0 and at most 1
        n_lineups, max_overlap, max_exposure, engine : see `optimize`
        """
        n, order = whole_number(n_lineups, "n_lineups", 1), self._order
        points, terms = np.asarray(points, float)[:, order], self.objective(np.zeros(len(self.slate)))[order]
        limits, _ = self._limits(n, max_overlap, max_exposure, None, engine)
        mean = mean_value(points, weight) + terms
        found = search(mean, self._by_name, n, **limits)
        if len(found) < n:
            self._explain(found, mean, n, limits)
        tails = [tail_weights(score, tail, weight) @ points + terms for score in points.T]
        pool = [search(worth, self._by_name, TAIL_POOL // 2 // len(tails) + n, engine=engine) for worth in tails]
        pool += [search(mean, self._by_name, TAIL_POOL // 2, engine=engine), found]
        for lineups in (np.unique(np.concatenate(pool), axis=0), found):  # those found respect the limits together
            score = upper_tail_mean(lineups, points, tail, weight) + terms[lineups].sum(axis=1)
            best_first = lineups[np.argsort(-np.round(score, 9), kind="stable")]
            chosen = take_in_order(best_first, n, len(order), limits["max_overlap"], limits["max_count"])
            if len(chosen) == n:
                break
        return self._to_slate(chosen)

    def _limits(self, n, max_overlap, max_exposure, min_exposure, engine) -> tuple[dict, np.ndarray]:
        """Return the options of a search for `n` lineups, and how many of them must hold each driver."""
        most, least = (x[self._order] for x in exposure_bounds(self.slate, max_exposure, min_exposure, self.locks))
        if max_overlap is not None:
            max_overlap = whole_number(max_overlap, "max_overlap", 0)
        most = None if max_exposure is None else np.floor(most * n + SLACK).astype(np.int64)
        limits = {"max_overlap": max_overlap, "max_count": most, "engine": engine}
        return limits, np.ceil(least * n - SLACK).astype(np.int64)

    def _to_slate(self, found) -> np.ndarray:
        return np.sort(self._order[found], axis=1).reshape(-1, self.slate.rules.roster_size)

    def _rules(self) -> list[Rule]:
        rules = [Rule(f"locks: {name}", self._who([name]), 1, floor=True, unit="name") for name in self.locks]
        rules += [Rule(f"bans: {name}", self._who([name]), 0, unit="name") for name in self.bans]
        if self.min_salary is not None:
            least = number_between(self.min_salary, "min_salary", 0, np.inf)
            rules.append(Rule("min_salary", self.slate.salary, least, floor=True, unit="dollars"))
        for j, group in enumerate(self.groups):
            if not {"drivers"} <= set(group) <= {"drivers", "at_least", "at_most"}:
                raise UserError(f"groups: {group} given; a group has drivers, at_least and at_most")
            who, bounds = self._who(_names(group["drivers"], "groups: drivers")), {"at_least": True, "at_most": False}
            for bound, floor in bounds.items():
                if group.get(bound) is not None:
                    limit = whole_number(group[bound], f"groups[{j}] {bound}", 0)
                    rules.append(Rule(f"groups[{j}] {bound}", who, limit, floor))
        if self.excluded is None:
            if self.excluded_overlap is not None:
                raise UserError("excluded_overlap is given without excluded; give the lineups to keep away from")
            return rules
        most = self.slate.rules.roster_size - 1 if self.excluded_overlap is None else self.excluded_overlap
        most, everyone = whole_number(most, "excluded_overlap", 0), np.arange(len(self.slate))
        lineups = lineup_rows(self.slate, self.excluded, "excluded")
        return rules + [Rule("excluded_overlap", np.isin(everyone, row), most) for row in lineups]

    def _who(self, names) -> np.ndarray:
        return np.isin(np.arange(len(self.slate)), self.slate.rows(names)) * 1.0

    def _value(self, value) -> np.ndarray:
        value = self.slate.of_racing(value, "value")
        bad = self.slate.names[~np.isfinite(value)]
        if len(bad):
            raise UserError(f"value: {bad[0]} has none; give every racing driver a finite number")
        return value

    def _explain(self, found, worth, n, limits):
        """Raise the error that says why fewer than `n` lineups were found."""
        problem = self._by_name
        if not len(search(worth, problem, 1)):
            raise InfeasibleLineup(*why_none(problem))
        sentence, changes = why_few(worth, problem, n, len(found), limits["max_overlap"], limits["max_count"])
        raise LineupShortage(sentence, self._to_slate(found), changes)

    def _with_minima(self, worth, n, least, limits) -> tuple[np.ndarray, np.ndarray]:
        """Return the best set with minimum counts, and those it has: lowered to what can be had together."""
        while least.any():
            found = search_set(worth, self._by_name, n, least, **limits)
            count = np.bincount(found.ravel(), minlength=len(least))
            if len(found) < n or (count >= least).all():
                return found, least
            least = np.minimum(least, count)
        return search(worth, self._by_name, n, **limits), least


@dataclass(eq=False)
class LeverageAwareOptimizer(NASCAROptimizer):
    """Find the lineups with the largest value minus a price on the field's ownership.

    The objective is Σ (value − leverage_penalty · ownership^ownership_power) over a lineup's drivers: it is linear in
    the choice of drivers, so it is optimised exactly. Squared ownership stands in for the term a derivation gives, the
    covariance of a driver's points with the score to beat [haughsingal2021]: on four Cup races its R² is .70 to .94
    with the field's mean score, .68 to .87 with the tenth best of 2,000 entries; plain ownership does as well.

    Parameters
    ----------
    slate, and every option of `NASCAROptimizer`
    ownership : (D,) the field's ownership as fractions (0.25 = 25 %); a Series is aligned by driver. It need not sum
        to the roster size nor respect the cap.
    leverage_penalty : points per unit of ownership^power; 0 to 150 is the useful range with power 2
    ownership_power : the power, above 0
    max_ownership_per_driver : nobody owned more than this
    min_low_ownership_drivers, low_ownership_threshold : at least so many drivers owned less than the threshold
    max_total_ownership : largest sum of ownership over a lineup
    min_log_ownership, max_log_ownership : limits on Σ log ownership (natural log), the log of the ownership product;
        ownership below 0.01 % counts as 0.01 %
    """

    ownership: np.ndarray
    _: KW_ONLY
    leverage_penalty: float = 0.0
    ownership_power: float = 2.0
    max_ownership_per_driver: float | None = None
    min_low_ownership_drivers: int | None = None
    max_total_ownership: float | None = None
    low_ownership_threshold: float = 0.10
    min_log_ownership: float | None = None
    max_log_ownership: float | None = None

    def __post_init__(self):
        self.ownership = self.slate.fractions(self.ownership)
        least = self.min_low_ownership_drivers
        self.min_low_ownership_drivers = whole_number(least or 0, "min_low_ownership_drivers", 0) or None
        number_between(self.leverage_penalty, "leverage_penalty", 0, np.inf)
        number_between(self.ownership_power, "ownership_power", 1e-9, np.inf)
        number_between(self.low_ownership_threshold, "low_ownership_threshold", 0, 1, FRACTIONS)
        super().__post_init__()

    def objective(self, value) -> np.ndarray:
        """Return what each driver adds to a lineup, (D,): value − leverage_penalty · ownership^ownership_power."""
        return self._value(value) - self.leverage_penalty * self.ownership**self.ownership_power

    def _rules(self) -> list[Rule]:
        own, logs = self.ownership, np.log(np.maximum(self.ownership, LOG_FLOOR))
        size, low_owned = self.slate.rules.roster_size, own < self.low_ownership_threshold
        wishes = {
            "max_ownership_per_driver": (own, 0, 1, FRACTIONS),
            "min_low_ownership_drivers": (low_owned, 0, np.inf, ""),
            "max_total_ownership": (own, 0, size, FRACTIONS),
            "min_log_ownership": (logs, -np.inf, np.inf, ""),
            "max_log_ownership": (logs, -np.inf, np.inf, ""),
        }
        rules = super()._rules()
        for name, (who, *bounds, hint) in wishes.items():
            limit, unit = getattr(self, name), "fraction" if hint else "number"
            if limit is not None:
                number_between(limit, name, *bounds, hint)
                rules.append(Rule(name, who, limit, name[:3] == "min", name == "max_ownership_per_driver", unit))
        return rules


def exposure_bounds(slate: Slate, max_exposure, min_exposure=None, locks=()) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest and the smallest share of our lineups for each driver, (D,) and (D,).

    Each is None, one number for all, or driver → share; drivers left out may be in all and must be in none. One number
    for all gives way to what is asked of a driver by name: a lock, or a larger minimum.
    """
    most, least = _shares(slate, max_exposure, "max_exposure", 1.0), _shares(slate, min_exposure, "min_exposure", 0.0)
    if not isinstance(max_exposure, Mapping | pd.Series):
        most = np.maximum(most, np.where(np.isin(slate.names, list(locks)), 1.0, least))
    return most, least


def _shares(slate: Slate, share, name: str, default: float) -> np.ndarray:
    if isinstance(share, Mapping):
        share = pd.Series(share, dtype=float)
    if isinstance(share, pd.Series):
        slate.rows(share.index, name)
        share = share.reindex(slate.names).fillna(default).to_numpy()
    share = np.full(len(slate), default if share is None else share, float)
    if not ((share >= 0) & (share <= 1)).all():
        raise UserError(f"{name}: shares of the lineups lie between 0 and 1 (0.5 = half of them)")
    return share


def _names(names, option: str) -> tuple[str, ...]:
    if isinstance(names, str):
        raise UserError(f"{option}: give a list of names, not the text '{names}'")
    return tuple(dict.fromkeys(names))


def lineup_rows(slate: Slate, lineups, option: str) -> np.ndarray:
    """Return lineups given by rows of the slate or by names of drivers as rows, (L, K)."""
    size, n = slate.rules.roster_size, len(slate)
    if not len(lineups):
        return np.empty((0, size), np.int64)
    lineups = np.asarray(lineups)
    if lineups.ndim != 2 or lineups.shape[1] != size:
        raise UserError(f"{option}: lineups are (L, {size}) names or row numbers of the slate")
    if lineups.dtype.kind in "OU":
        return slate.rows(lineups.ravel().tolist()).reshape(lineups.shape)
    if not np.isin(lineups, np.arange(n)).all():
        raise UserError(f"{option}: row numbers of the slate run from 0 to {n - 1}")
    return lineups.astype(np.int64)


# ---------------------------------------------------------------- leverage of lineups

LOG_FLOOR = 1e-4
"""Ownership below this counts as this in a product: contest pages print ownership to 0.01 %."""
FRACTIONS = " (ownership is in fractions: 0.25 for 25 %)"
LOW_OWNED_BONUS = 0.1
"""What each low-owned driver adds to the leverage score, from its definition."""


def lineup_metrics(
    slate: Slate, ownership, lineups, *, value=None, expected_copies=None, low_ownership_threshold=0.10
) -> pd.DataFrame:
    """Return leverage metrics, one row per lineup.

    Parameters
    ----------
    ownership : (D,) fractions ; lineups : (L, K) rows of the slate
    value : (D,) projected points (default: the slate's column `projected_points`, else NaN)
    expected_copies : (L,) copies of each lineup in the field, when known

    Returns
    -------
    frame with average_ownership, max_ownership, total_ownership (fractions), low_owned (drivers under the threshold),
    leverage_score = (1 − average ownership)·(1 + 0.1·low_owned)·100, log_ownership (natural log of the product,
    ownership of at least 0.01 %), salary (dollars), projected_points, expected_copies. The mean over rows is the
    metric of the set.
    """
    own, lineups = slate.fractions(ownership), np.asarray(lineups)
    value = slate.column("projected_points") if value is None else slate.of_racing(value, "value")
    held = own[lineups]
    low = (held < low_ownership_threshold).sum(axis=1)
    return pd.DataFrame(
        {
            "average_ownership": held.mean(axis=1),
            "max_ownership": held.max(axis=1),
            "total_ownership": held.sum(axis=1),
            "low_owned": low,
            "leverage_score": (1 - held.mean(axis=1)) * (1 + LOW_OWNED_BONUS * low) * 100,
            "log_ownership": np.log(np.maximum(held, LOG_FLOOR)).sum(axis=1),
            "salary": slate.salary[lineups].sum(axis=1),
            "projected_points": value[lineups].sum(axis=1),
            "expected_copies": np.nan if expected_copies is None else np.asarray(expected_copies, float),
        }
    )
