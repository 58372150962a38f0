"""The optimizers: the best lineups by value, with leverage against the field inside the objective."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from dfslab.slate import Slate
from dfslab.solver import EXACT, Rule, Space, best_set, explain, milp_lineups, no_lineup_sentence, scaled_value

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

LOG_FLOOR = 1e-4
"""Ownership below this counts as this in a product: contest pages print ownership to 0.01 %."""
LOW_OWNED_BONUS = 0.1
"""What each low-owned driver adds to the leverage score, from its definition."""
FIXED_POINT_ROUNDS = 50
"""Guard of the upper-tail search; it climbs strictly and stops by itself after a handful of rounds."""
ENGINES = ("auto", "exact", "milp")


class InfeasibleLineup(ValueError):
    """No lineup obeys every rule. `changes` maps each rule that alone releases the conflict to what would work."""

    def __init__(self, message: str, changes: dict | None = None):
        super().__init__(message)
        self.changes = changes or {}


class LineupShortage(InfeasibleLineup):
    """Fewer lineups exist than were asked for; `lineups` (m, K) holds those that do."""

    def __init__(self, message: str, lineups: np.ndarray, changes: dict | None = None):
        super().__init__(message, changes)
        self.lineups = lineups


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
            raise ValueError(f"locks: {', '.join(gone)} will not race; unlock him")
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
        n = _count(n_lineups, "n_lineups", 1)
        if engine not in ENGINES:
            raise ValueError(f"engine '{engine}' is unknown; take one of {', '.join(ENGINES)}")
        if max_overlap is not None:
            max_overlap = _count(max_overlap, "max_overlap", 0)
        grid = scaled_value(self.objective(value)[self._order], self.slate.rules.roster_size)
        self.last_engine = "milp" if engine == "auto" else engine
        most = self._counts(max_exposure, n, "max_exposure", 1.0)
        least = self._counts(min_exposure, n, "min_exposure", 0.0)
        if least is None or not least.any():
            found = self._search(grid, self._space, n, max_overlap, most)
        else:
            found = best_set(self._search, grid, self._space, n, max_overlap, most, least)
        if len(found) < n:
            self._explain(found, n, max_overlap, max_exposure)
        return self._to_slate(found)

    def _search(self, grid, space, n, max_overlap=None, most=None) -> np.ndarray:
        return milp_lineups(grid, space, n, max_overlap=max_overlap, max_counts=most)

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
            rules.append(Rule("min_salary", self.slate.salary.astype(float), low=self.min_salary, unit="dollars"))
        for j, group in enumerate(self.groups):
            group = _group(group)
            who = self._who(group.drivers)
            if group.at_least:
                rules.append(Rule(f"groups[{j}] at_least", who, low=_count(group.at_least, "at_least", 0)))
            if group.at_most is not None:
                rules.append(Rule(f"groups[{j}] at_most", who, high=_count(group.at_most, "at_most", 0)))
        return rules + self._avoid_rules()

    def _avoid_rules(self) -> list[Rule]:
        size = self.slate.rules.roster_size
        if self.avoid is None:
            if self.avoid_overlap is not None:
                raise ValueError("avoid_overlap is given without avoid; give the lineups to keep away from")
            return []
        most = size - 1 if self.avoid_overlap is None else _count(self.avoid_overlap, "avoid_overlap", 0)
        lineups = np.asarray(self.avoid, np.int64).reshape(-1, size)
        members = np.zeros((len(lineups), len(self.slate)))
        np.put_along_axis(members, lineups, 1.0, axis=1)
        return [Rule("avoid_overlap", row, high=most) for row in members]

    def _who(self, names) -> np.ndarray:
        weights = np.zeros(len(self.slate))
        weights[self.slate.rows(names)] = 1.0
        return weights

    def _value(self, value) -> np.ndarray:
        value = np.where(self.slate.out, 0.0, self.slate.align(value, "value"))
        bad = self.slate.names[~np.isfinite(value)]
        if len(bad):
            raise ValueError(f"value: {bad[0]} has none; give every racing driver a finite number")
        return value

    def _counts(self, share, n, name, default) -> np.ndarray | None:
        """Return the count of lineups per driver that `share` allows (or asks for), in rows by name."""
        if share is None:
            return None
        if isinstance(share, Mapping):
            self.slate.rows(share)
            share = pd.Series(share, dtype=float)
        if isinstance(share, pd.Series):
            share = share.reindex(self.slate.names).fillna(default)
        elif np.ndim(share) == 0:
            share = np.full(len(self.slate), float(share))
        share = self.slate.align(share, name)[self._order]
        if not ((share >= 0) & (share <= 1)).all():
            raise ValueError(f"{name}: shares of the lineups lie between 0 and 1 (0.5 = half of them)")
        count = share * n
        return (np.floor(count + 1e-9) if name == "max_exposure" else np.ceil(count - 1e-9)).astype(np.int64)

    def _explain(self, found, n, max_overlap, max_exposure):
        """Raise the error that says why fewer than `n` lineups were found."""
        if not len(found):
            changes = explain(self._space)
            if changes or max_overlap is None:
                raise InfeasibleLineup(no_lineup_sentence(self._space, changes), changes)
        limits = {"max_overlap": max_overlap, "max_exposure": max_exposure}
        limits = ", ".join(f"{k} {v}" for k, v in limits.items() if v is not None)
        raise LineupShortage(f"{len(found)} of {n} lineups exist under {limits}", self._to_slate(found))


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
        self.ownership = _fractions(self.slate, self.ownership)
        if self.leverage_penalty < 0 or self.ownership_power <= 0:
            raise ValueError("leverage_penalty must be 0 or more and ownership_power above 0")
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
            least = _count(self.min_low_ownership_drivers, "min_low_ownership_drivers", 0)
            rules.append(Rule("min_low_ownership_drivers", (own < self.low_ownership_threshold) * 1.0, low=least))
        if self.max_total_ownership is not None:
            rules.append(Rule("max_total_ownership", own, high=self.max_total_ownership, unit="fraction"))
        logs = np.log(np.maximum(own, LOG_FLOOR))
        if self.min_log_ownership is not None:
            rules.append(Rule("min_log_ownership", logs, low=self.min_log_ownership, unit="log"))
        if self.max_log_ownership is not None:
            rules.append(Rule("max_log_ownership", logs, high=self.max_log_ownership, unit="log"))
        return rules


def _fractions(slate: Slate, ownership) -> np.ndarray:
    own = np.where(slate.out, 0.0, slate.align(ownership, "ownership"))
    bad = slate.names[~(np.isfinite(own) & (own >= 0))]
    if len(bad):
        raise ValueError(f"ownership: {bad[0]} has none or a negative one; give every racing driver a fraction")
    if (own > 1).any():
        top = int(np.argmax(own))
        raise ValueError(
            f"ownership: {slate.names[top]} has {own[top]:g}; these look like percents, give fractions (0.25 for 25 %)"
        )
    return own


def _names(names, option: str) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ValueError(f"{option}: give a list of names, not the text '{names}'")
    return tuple(dict.fromkeys(names))


def _group(group) -> Group:
    group = group if isinstance(group, Group) else Group(**group)
    if isinstance(group.drivers, str):
        raise ValueError(f"groups: drivers must be a list of names, not the text '{group.drivers}'")
    return group


def _count(number, name: str, least: int) -> int:
    if isinstance(number, bool) or number != int(number) or number < least:
        raise ValueError(f"{name}: {number} given; a whole number of at least {least} is needed")
    return int(number)


def mean_value(points, weight=None) -> np.ndarray:
    """Return the mean points of each driver, (D,), over scenarios `points` (S, D) with `weight` (S,)."""
    points = np.asarray(points, float)
    return _weights(weight, len(points)) @ points


def quantile_value(points, q: float, weight=None) -> np.ndarray:
    """Return the `q` quantile of each driver's points, (D,): the smallest score he stays at or below with weight ≥ q.

    A sum of drivers' quantiles is not the quantile of the lineup; `upper_tail_mean` looks at whole lineups.
    """
    if not 0 < q < 1:
        raise ValueError(f"quantile_value: q is {q}; it lies between 0 and 1")
    points, weight = np.asarray(points, float), _weights(weight, len(points))
    order = np.argsort(points, axis=0, kind="stable")
    below = np.cumsum(weight[order], axis=0)
    first = np.minimum((below < q - 1e-12).sum(axis=0), len(points) - 1)
    return np.take_along_axis(points, np.take_along_axis(order, first[None], axis=0), axis=0)[0]


def upper_tail_mean(lineups, points, tail: float, weight=None) -> np.ndarray:
    """Return the mean score of each lineup over its own best scenarios, (L,).

    Parameters
    ----------
    lineups : (L, K) ; points : (S, D) ; weight : (S,) or None for equal
    tail : weight of the best scenarios, in (0, 1]; the scenario at the edge counts in part
    """
    lineups = np.asarray(lineups)
    scores = np.asarray(points, float)[:, lineups].sum(axis=2)
    return np.array([_tail_weights(s, tail, weight) @ s for s in scores.T])


def _tail_weights(score, tail: float, weight=None) -> np.ndarray:
    """Return the weights (S,), summing to 1, of the best `tail` of the scenarios by `score`."""
    if not 0 < tail <= 1:
        raise ValueError(f"tail is {tail}; it is a share of the scenarios, above 0 and at most 1")
    weight = _weights(weight, len(score))
    order = np.argsort(-score, kind="stable")
    before = np.cumsum(weight[order]) - weight[order]
    taken = np.zeros(len(score))
    taken[order] = np.clip(tail - before, 0.0, weight[order])
    return taken / taken.sum()


def _weights(weight, n: int) -> np.ndarray:
    weight = np.full(n, 1.0) if weight is None else np.asarray(weight, float)
    if weight.shape != (n,) or not (weight >= 0).all() or weight.sum() <= 0:
        raise ValueError(f"weight: {weight.shape} given; one weight of 0 or more for each of {n} scenarios needed")
    return weight / weight.sum()


def field_covariance(points, field_score, weight=None) -> np.ndarray:
    """Return Cov(points_i, field score) for each driver, (D,), in points²: the derived leverage term [haughsingal2021].

    Parameters
    ----------
    points : (S, D) ; weight : (S,) or None
    field_score : (S,) the score to beat in each scenario, such as the field's mean or a high quantile of it
    """
    points, weight = np.asarray(points, float), _weights(weight, len(points))
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
    own, lineups = _fractions(slate, ownership), np.asarray(lineups)
    value = slate.column("projected_points") if value is None else slate.align(value, "value")
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
