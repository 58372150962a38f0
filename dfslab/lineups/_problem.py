"""The lineup problem: which lineups are allowed, written once for the law, both searches and the explanations."""

from dataclasses import dataclass, replace

import numpy as np

from dfslab.lineups._paths import LineupSpace, lineup_space

EXACT = 1e-9
"""Rounding allowed, relative to a rule's largest weight: sums of decimals are not exact."""


@dataclass(frozen=True, eq=False)
class Rule:
    """A linear rule on lineups: Σ weights over the drivers is at most `limit`, or at least, where it is a `floor`.

    A lock is a floor of 1 on one driver, a ban a limit of 0, a minimum salary a floor on salaries, total ownership a
    limit on ownership; an overlap limit counts the drivers of another lineup. Rules of one name are given up together.

    Parameters
    ----------
    name : what a message calls it
    weights : (D,) float
    limit : the bound
    floor : whether it bounds from below
    each : the limit is for every driver by himself instead of for the sum: nobody of a weight above it
    unit : how the limit is printed: number, dollars, fraction, or "name" where the name says it all
    """

    name: str
    weights: np.ndarray
    limit: float
    floor: bool = False
    each: bool = False
    unit: str = "number"

    def __post_init__(self):
        weights = np.array(self.weights, float)
        bad = np.flatnonzero(~np.isfinite(weights))
        if len(bad):
            raise ValueError(f"rule {self.name}: weight of driver row {bad[0]} is not a finite number")
        object.__setattr__(self, "weights", weights)

    @property
    def side(self) -> tuple[np.ndarray, float]:
        """The rule as weights (D,) whose sum over a lineup is at most a number."""
        if self.each:
            return (self.weights > self.limit + EXACT) * 1.0, 0.0
        return (-self.weights, -self.limit) if self.floor else (self.weights, self.limit)

    def holds(self, lineups) -> np.ndarray:
        """Return which `lineups` (L, K) obey the rule, (L,) bool."""
        weights, most = self.side
        return weights[lineups].sum(axis=1) <= most + EXACT * np.abs(weights).max(initial=0.0)


@dataclass(frozen=True, eq=False)
class LineupProblem:
    """The lineups allowed: `size` different drivers for at most `cap` dollars, one of a group, under every rule.

    Parameters
    ----------
    salary : (D,) int dollars
    size, cap : drivers in a lineup, dollars
    groups : (D,) or None, at most one driver of each number
    rules : `Rule`s

    Examples
    --------
    >>> problem = LineupProblem([50, 40, 30], 2, 80, rules=(Rule("bans: Ann", [1, 0, 0], 0),))
    >>> problem.legal([[0, 2], [1, 2], [0, 1]]).tolist()
    [False, True, False]
    """

    salary: np.ndarray
    size: int
    cap: int
    groups: np.ndarray | None = None
    rules: tuple[Rule, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "salary", np.array(self.salary, np.int64))
        if self.groups is not None:
            object.__setattr__(self, "groups", np.array(self.groups))

    @property
    def names(self) -> list[str]:
        """The names of the rules, in order."""
        return list(dict.fromkeys(rule.name for rule in self.rules))

    def called(self, name: str) -> list[Rule]:
        """Return the rules of one name."""
        return [rule for rule in self.rules if rule.name == name]

    def without(self, name: str) -> "LineupProblem":
        """Return the problem without the rules called `name`."""
        return replace(self, rules=tuple(rule for rule in self.rules if rule.name != name))

    def with_rules(self, *rules: Rule) -> "LineupProblem":
        """Return the problem with further rules."""
        return replace(self, rules=(*self.rules, *rules))

    def take(self, rows) -> "LineupProblem":
        """Return the problem of the drivers `rows`, in that order."""
        groups = None if self.groups is None else self.groups[rows]
        rules = tuple(replace(rule, weights=rule.weights[rows]) for rule in self.rules)
        return replace(self, salary=self.salary[rows], groups=groups, rules=rules)

    def legal(self, lineups) -> np.ndarray:
        """Return which `lineups` (L, K) are allowed, (L,) bool; rows that are not on the slate never are."""
        lineups = np.asarray(lineups)
        if lineups.ndim != 2 or lineups.shape[1] != self.size:
            return np.zeros(len(lineups), bool)
        good = ((lineups >= 0) & (lineups < len(self.salary))).all(axis=1)
        rows = np.where(good[:, None], lineups, 0).astype(np.int64)
        good &= _all_different(rows) & (self.salary[rows].sum(axis=1) <= self.cap)
        if self.groups is not None:
            good &= _all_different(self.groups[rows])
        for rule in self.rules:
            good &= rule.holds(rows)
        return good

    def paths(self, keep) -> LineupSpace:
        """Return the lineups of the drivers `keep` ((D,) bool) as paths, side rules apart."""
        return lineup_space(self.salary, self.size, self.cap, self.groups, keep)


def _all_different(rows) -> np.ndarray:
    rows = np.sort(rows, axis=1)
    return (rows[:, 1:] != rows[:, :-1]).all(axis=1)
