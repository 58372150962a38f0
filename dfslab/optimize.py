"""The optimizers: the best lineups by value, with leverage against the field inside the objective."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from dfslab.errors import UserError, number_between, whole_number
from dfslab.lineups import (
    EXACT,
    Rule,
    SearchTooLarge,
    Space,
    best_set,
    blocking_minima,
    exact_lineups,
    milp_lineups,
    scaled_value,
    why_few,
    why_none,
)
from dfslab.metrics import mean_value, quantile_value, scenario_weights, tail_weights, upper_tail_mean
from dfslab.slate import Slate

__all__ = [
    "Group",
    "InfeasibleLineup",
    "LeverageAwareOptimizer",
    "LineupShortage",
    "NASCAROptimizer",
    "field_covariance",
    "leverage_agreement",
    "lineup_metrics",
    "mean_value",
    "quantile_value",
    "upper_tail_mean",
]

FIXED_POINT_ROUNDS = 50
"""Guard of the upper-tail search; it climbs strictly and stops by itself after a handful of rounds."""
ENGINES = ("auto", "exact", "milp")


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


class _Search:
    """A search by one engine; "auto" is the exact one, and integer programming where that would take too long."""

    def __init__(self, engine: str):
        self.engine, self.used = engine, None

    def __call__(self, grid, space, n, max_overlap=None, max_counts=None) -> np.ndarray:
        limits = {"max_overlap": max_overlap, "max_counts": max_counts}
        if self.engine != "milp":
            self.used = "exact"
            try:
                return exact_lineups(grid, space, n, **limits)
            except SearchTooLarge:
                if self.engine == "exact":
                    raise
        self.used = "milp"
        return milp_lineups(grid, space, n, **limits)


@dataclass(frozen=True)
class Group:
    """A rule on some drivers: at least `at_least` and at most `at_most` of them in each lineup."""

    drivers: tuple[str, ...]
    at_least: int = 0
    at_most: int | None = None


@dataclass(eq=False)
class NASCAROptimizer:
    """Find the lineups with the largest total value under the contest's rules and your own.

    Parameters
    ----------
    slate : drivers, salaries, cap and roster size; drivers who are out are never rostered, and at most one driver of
        each slate group
    min_salary : dollars a lineup must spend
    locks, bans : names of drivers every lineup must have, or none may have
    groups : `Group`s
    avoid, avoid_overlap : (L, K) rows of given lineups, and how many drivers a lineup may share with each of them
        (default: all but one, so that none is repeated)

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
    groups: tuple[Group, ...] = ()
    avoid: np.ndarray | None = None
    avoid_overlap: int | None = None
    last_engine: str | None = field(default=None, init=False)

    def __post_init__(self):
        self.locks, self.bans = _names(self.locks, "locks"), _names(self.bans, "bans")
        gone = [n for n, row in zip(self.locks, self.slate.rows(self.locks), strict=True) if self.slate.out[row]]
        if gone:
            raise UserError(f"locks: {', '.join(gone)} will not race; unlock him")
        self._space = self._rows_by_name(self._rules())

    def objective(self, value) -> np.ndarray:
        """Return what each driver adds to a lineup, (D,): his value."""
        return self._value(value)

    def score(self, lineups, value) -> np.ndarray:
        """Return the objective of each of `lineups` (L, K), (L,): the sum the search maximises."""
        return self.objective(value)[np.asarray(lineups)].sum(axis=1)

    def optimize(
        self, value, n_lineups=1, *, max_overlap=None, max_exposure=None, min_exposure=None, engine="auto"
    ) -> np.ndarray:
        """Return the best lineups, best first.

        Each lineup is the best one given those before it: it shares at most `max_overlap` drivers with any of them
        and uses no driver beyond his `max_exposure`. With `min_exposure` the whole set is chosen at once for the
        largest total value among candidate lineups. Equal values: the alphabetically first drivers win.

        Parameters
        ----------
        value : (D,) points or any other value per driver; a Series is aligned by driver
        n_lineups : how many different lineups
        max_overlap : drivers any two lineups may share
        max_exposure : largest share of the lineups a driver may be in; a number for all, or driver → share
        min_exposure : driver → smallest share
        engine : "exact" (branch and bound), "milp" (PuLP with HiGHS) or "auto"; `last_engine` says which one ran

        Returns
        -------
        (n_lineups, K) int, rows of the slate, sorted within a lineup

        Raises
        ------
        InfeasibleLineup : no lineup obeys the rules; the message says which rule to change and to what
        LineupShortage : some lineups exist, fewer than asked; they are in its `lineups`
        """
        n = whole_number(n_lineups, "n_lineups", 1)
        if engine not in ENGINES:
            raise UserError(f"engine '{engine}' is unknown; take one of {', '.join(ENGINES)}")
        if max_overlap is not None:
            max_overlap = whole_number(max_overlap, "max_overlap", 0)
        grid = scaled_value(self.objective(value)[self._order])
        most = self._counts(max_exposure, n, "max_exposure", 1.0)
        least = self._counts(min_exposure, n, "min_exposure", 0.0)
        search = _Search(engine)
        if least is None or not least.any():
            found = search(grid, self._space, n, max_overlap, most)
        else:
            found = best_set(search, grid, self._space, n, max_overlap, most, least)
        self.last_engine = search.used
        if found is None:
            self._explain_minima(grid, n, max_overlap, most, least)
        if len(found) < n:
            self._explain(found, grid, n, max_overlap, most, max_exposure)
        return self._to_slate(found)

    def optimize_upper_tail(
        self, points, tail=0.1, n_lineups=1, *, weight=None, max_overlap=None, max_exposure=None, engine="auto"
    ) -> np.ndarray:
        """Return lineups of large mean score over their own best scenarios, less the leverage terms, best first.

        A fixed point: take the scenarios of the tail, find the best lineup for their mean points, take its tail, and
        so on. Each step can only gain. It starts from the mean and from every driver's own best scenarios, because
        each start may end on another peak: the result is the best of them and not proved to be the optimum. Further
        lineups are the best by the same measure among those near the peaks.

        Parameters
        ----------
        points : (S, D) points by scenario and driver ; weight : (S,) or None for equal
        tail : weight of the best scenarios, above 0 and at most 1
        n_lineups, max_overlap, max_exposure, engine : see `optimize`
        """
        n = whole_number(n_lineups, "n_lineups", 1)
        points = np.where(self.slate.out, 0.0, np.asarray(points, float))
        search, terms, order = _Search(engine), self.objective(np.zeros(len(self.slate))), self._order
        tails = [tail_weights(score, tail, weight) for score in points[:, order].T]
        starts = [start @ points + terms for start in (scenario_weights(weight, len(points)), *tails)]
        peaks = [self._climb(search, start[order], points, terms, tail, weight) for start in starts]
        self.last_engine = search.used
        if peaks[0] is None:
            self._explain([], scaled_value(terms[order]), 1, None, None, None)
        most = self._counts(max_exposure, n, "max_exposure", 1.0)
        peaks = np.unique(np.array(peaks), axis=0)
        spread = [search(grid, self._space, n, max_overlap, most) for grid in peaks]
        if len(spread[0]) < n:
            self._explain(spread[0], peaks[0], n, max_overlap, most, max_exposure)
        near = [search(grid, self._space, 4 * n // len(peaks) + 1) for grid in peaks]
        for lineups in (np.concatenate([*near, *spread]), spread[0]):
            lineups = np.unique(lineups, axis=0)
            score = upper_tail_mean(lineups, points[:, order], tail, weight) + terms[order][lineups].sum(axis=1)
            chosen = _greedy(lineups[np.argsort(-np.round(score, 9), kind="stable")], n, max_overlap, most)
            if len(chosen) == n:
                break
        return self._to_slate(np.array(chosen))

    def _climb(self, search, value, points, terms, tail, weight):
        """Return the scaled value at which taking the best lineup's tail changes nothing; None without a lineup."""
        grid = lineup = None
        for _ in range(FIXED_POINT_ROUNDS):
            grid = scaled_value(value)
            found = search(grid, self._space, 1)
            if not len(found):
                return None
            if lineup is not None and (found[0] == lineup).all():
                break
            lineup = found[0]
            mean = tail_weights(points[:, self._order[lineup]].sum(axis=1), tail, weight) @ points
            value = (mean + terms)[self._order]
        return grid

    def _to_slate(self, found) -> np.ndarray:
        return np.sort(self._order[found], axis=1).reshape(-1, self.slate.rules.roster_size)

    @cached_property
    def _order(self) -> np.ndarray:
        """Rows of the racing drivers in the order of their names: the searches break ties by row."""
        racing = np.flatnonzero(~self.slate.out)
        return racing[np.argsort(self.slate.names[racing].astype(str), kind="stable")]

    def _rows_by_name(self, rules) -> Space:
        order, slate = self._order, self.slate
        groups = None if slate.groups is None else slate.groups[order]
        salary = slate.salary[order].astype(float)
        return Space(salary, slate.rules.roster_size, slate.rules.salary_cap, groups, tuple(r.on(order) for r in rules))

    def _rules(self) -> list[Rule]:
        rules = [Rule(f"locks: {name}", self._who([name]), low=1, unit="drop") for name in self.locks]
        rules += [Rule(f"bans: {name}", self._who([name]), high=0, unit="drop") for name in self.bans]
        if self.min_salary is not None:
            number_between(self.min_salary, "min_salary", 0, np.inf)
            rules.append(Rule("min_salary", self.slate.salary.astype(float), low=self.min_salary, unit="dollars"))
        for j, group in enumerate(self.groups):
            group = _group(group)
            who = self._who(group.drivers)
            if group.at_least:
                rules.append(Rule(f"groups[{j}] at_least", who, low=whole_number(group.at_least, "at_least", 0)))
            if group.at_most is not None:
                rules.append(Rule(f"groups[{j}] at_most", who, high=whole_number(group.at_most, "at_most", 0)))
        return rules + self._avoid_rules()

    def _avoid_rules(self) -> list[Rule]:
        size = self.slate.rules.roster_size
        if self.avoid is None:
            if self.avoid_overlap is not None:
                raise UserError("avoid_overlap is given without avoid; give the lineups to keep away from")
            return []
        most = size - 1 if self.avoid_overlap is None else whole_number(self.avoid_overlap, "avoid_overlap", 0)
        lineups = np.asarray(self.avoid, np.int64)
        if lineups.ndim != 2 or lineups.shape[1] != size or not np.isin(lineups, np.arange(len(self.slate))).all():
            raise UserError(f"avoid: lineups are (L, {size}) row numbers of the slate, 0 to {len(self.slate) - 1}")
        members = np.zeros((len(lineups), len(self.slate)))
        np.put_along_axis(members, lineups, 1.0, axis=1)
        return [Rule("avoid_overlap", row, high=most) for row in members]

    def _who(self, names) -> np.ndarray:
        weights = np.zeros(len(self.slate))
        weights[self.slate.rows(names)] = 1.0
        return weights

    def _value(self, value) -> np.ndarray:
        value = aligned(self.slate, value, "value")
        bad = self.slate.names[~np.isfinite(value)]
        if len(bad):
            raise UserError(f"value: {bad[0]} has none; give every racing driver a finite number")
        return value

    def _counts(self, share, n, name, default) -> np.ndarray | None:
        """Return the count of lineups per driver that `share` allows (or asks for), in rows by name."""
        if share is None:
            return None
        if isinstance(share, Mapping):
            share = pd.Series(share, dtype=float)
        if isinstance(share, pd.Series):
            self.slate.rows(share.index)
            share = share.reindex(self.slate.names).fillna(default)
        elif np.ndim(share) == 0:
            share = np.full(len(self.slate), float(share))
        share = self.slate.align(share, name)[self._order]
        if not ((share >= 0) & (share <= 1)).all():
            raise UserError(f"{name}: shares of the lineups lie between 0 and 1 (0.5 = half of them)")
        count = share * n
        return (np.floor(count + 1e-9) if name == "max_exposure" else np.ceil(count - 1e-9)).astype(np.int64)

    def _explain(self, found, grid, n, max_overlap, most, max_exposure):
        """Raise the error that says why fewer than `n` lineups were found."""
        space, search = self._space, _Search("auto")
        if not len(search(grid, space, 1)):
            raise InfeasibleLineup(*why_none(space, search))
        limits = {"max_overlap": max_overlap, "max_exposure": max_exposure}
        sentence, changes = why_few(search, grid, space, n, len(found), max_overlap, most, limits)
        raise LineupShortage(sentence, self._to_slate(found), changes)

    def _explain_minima(self, grid, n, max_overlap, most, least):
        """Raise the error that says why no set of lineups has the exposures asked for."""
        space, search = self._space, _Search("auto")
        without = search(grid, space, n, max_overlap, most)
        if len(without) < n:
            self._explain(without, grid, n, max_overlap, most, None)
        blocking = blocking_minima(search, grid, space, n, max_overlap, most, least)
        changes = {f"min_exposure: {self.slate.names[self._order[row]]}": c / n for row, c in blocking.items()}
        parts = [f"{name} is too high, {share:.2f} works" for name, share in changes.items()]
        places = n * space.roster_size
        several = f"they ask for {least.sum()} places of {places}, lower several"
        what = f"change one: {'; '.join(parts)}" if parts else several
        raise InfeasibleLineup(f"no {n} lineups with every min_exposure were found; {what}.", changes)


@dataclass(eq=False)
class LeverageAwareOptimizer(NASCAROptimizer):
    """Find the lineups with the largest value minus a price on the field's ownership.

    The objective is Σ (value − leverage_penalty · ownership^ownership_power) over a lineup's drivers: it is linear in
    the choice of drivers, so it is optimised exactly.

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
        self.ownership = fractions(self.slate, self.ownership)
        check_options(vars(self), self.slate.rules.roster_size)
        super().__post_init__()

    def objective(self, value) -> np.ndarray:
        """Return what each driver adds to a lineup, (D,): value − leverage_penalty · ownership^ownership_power."""
        return self._value(value) - self.leverage_penalty * self.ownership**self.ownership_power

    def _rules(self) -> list[Rule]:
        rules, own = super()._rules(), self.ownership
        if self.max_ownership_per_driver is not None:
            limit = self.max_ownership_per_driver
            above = (own > limit + EXACT) * 1.0
            rules.append(Rule("max_ownership_per_driver", above, high=0, unit="fraction", limit=limit, levels=own))
        if self.min_low_ownership_drivers is not None:
            least = whole_number(self.min_low_ownership_drivers, "min_low_ownership_drivers", 0)
            rules.append(Rule("min_low_ownership_drivers", (own < self.low_ownership_threshold) * 1.0, low=least))
        if self.max_total_ownership is not None:
            rules.append(Rule("max_total_ownership", own, high=self.max_total_ownership, unit="fraction"))
        logs = np.log(np.maximum(own, LOG_FLOOR))
        if self.min_log_ownership is not None:
            rules.append(Rule("min_log_ownership", logs, low=self.min_log_ownership, unit="log"))
        if self.max_log_ownership is not None:
            rules.append(Rule("max_log_ownership", logs, high=self.max_log_ownership, unit="log"))
        return rules


def _greedy(lineups, n: int, max_overlap, most) -> list:
    """Take `lineups` in order as far as overlap and exposure allow, at most `n`."""
    left = None if most is None else most.copy()
    chosen = []
    for lineup in lineups:
        if len(chosen) == n:
            break
        if max_overlap is not None and any(np.isin(lineup, other).sum() > max_overlap for other in chosen):
            continue
        if left is not None:
            if (left[lineup] <= 0).any():
                continue
            left[lineup] -= 1
        chosen.append(lineup)
    return chosen


def _names(names, option: str) -> tuple[str, ...]:
    if isinstance(names, str):
        raise UserError(f"{option}: give a list of names, not the text '{names}'")
    return tuple(dict.fromkeys(names))


def _group(group) -> Group:
    group = group if isinstance(group, Group) else Group(**group)
    if isinstance(group.drivers, str):
        raise UserError(f"groups: drivers must be a list of names, not the text '{group.drivers}'")
    return group


# ---------------------------------------------------------------- leverage of lineups

LOG_FLOOR = 1e-4
"""Ownership below this counts as this in a product: contest pages print ownership to 0.01 %."""
LOW_OWNED_BONUS = 0.1
"""What each low-owned driver adds to the leverage score, from its definition."""


def aligned(slate: Slate, values, name: str) -> np.ndarray:
    """Return `values` as (D,) float in slate order, 0 for drivers who are out, whom a Series may leave out."""
    if isinstance(values, pd.Series):
        gone = slate.names[slate.out]
        values = pd.concat([values[~values.index.isin(gone)], pd.Series(0.0, gone)])
    return np.where(slate.out, 0.0, slate.align(values, name))


def fractions(slate: Slate, ownership) -> np.ndarray:
    """Return `ownership` as (D,) fractions in slate order, 0 for drivers who are out; refuse percents and gaps."""
    own = aligned(slate, ownership, "ownership")
    bad = slate.names[~(np.isfinite(own) & (own >= 0))]
    if len(bad):
        raise UserError(f"ownership: {bad[0]} has none or a negative one; give every racing driver a fraction")
    if (own > 1).any():
        top = int(np.argmax(own))
        raise UserError(
            f"ownership: {slate.names[top]} has {own[top]:g}; these look like percents, give fractions (0.25 for 25 %)"
        )
    return own


def check_options(options, roster_size: int) -> None:
    """Raise `UserError` for a number of the leverage-aware optimizer that cannot be, such as a limit in percent."""
    shares = {"max_ownership_per_driver": 1, "low_ownership_threshold": 1, "max_total_ownership": roster_size}
    for name, most in shares.items():
        if options[name] is not None:
            number_between(options[name], name, 0, most, " (ownership is in fractions: 0.25 for 25 %)")
    for name, least in {"leverage_penalty": 0.0, "ownership_power": 1e-9}.items():
        number_between(options[name], name, least, np.inf)
    for name in ("min_log_ownership", "max_log_ownership"):
        if options[name] is not None:
            number_between(options[name], name, -np.inf, np.inf)


def field_covariance(points, field_score, weight=None) -> np.ndarray:
    """Return Cov(points_i, field score) for each driver, (D,), in points²: the derived leverage term [haughsingal2021].

    Parameters
    ----------
    points : (S, D) ; weight : (S,) or None
    field_score : (S,) the score to beat in each scenario, such as the field's mean or a high quantile of it
    """
    points, weight = np.asarray(points, float), scenario_weights(weight, len(points))
    score = np.asarray(field_score, float)
    return (weight * (score - weight @ score)) @ (points - weight @ points)


def leverage_agreement(ownership, covariance, ownership_power: float = 2.0) -> dict:
    """Report how well ownership^power stands in for the covariance with the field.

    Returns
    -------
    dict with `spearman` (rank correlation) and `r2` (share of the variance a straight line explains)
    """
    from scipy.stats import spearmanr

    own = np.asarray(ownership, float) ** ownership_power
    covariance = np.asarray(covariance, float)
    return {
        "spearman": float(spearmanr(own, covariance).statistic),
        "r2": float(np.corrcoef(own, covariance)[0, 1] ** 2),
    }


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
    own, lineups = fractions(slate, ownership), np.asarray(lineups)
    value = slate.column("projected_points") if value is None else aligned(slate, value, "value")
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
