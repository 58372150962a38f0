"""The lineup law: the maximum-entropy distribution of legal lineups with given ownership, exact and fast.

Among all laws on the legal lineups with given ownerships the one of highest entropy is
`P(L) ∝ exp(Σ_{i∈L} θ_i + g(cap − salary(L)))` [stern1989] [chen1994] [cox1998]. Sums over all lineups
are path sums of a dynamic programme over (driver, drivers still to take, salary left), so nothing is enumerated.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dfslab.errors import UserError, whole_number
from dfslab.lineups._paths import LineupSpace, Paths
from dfslab.lineups._problem import LineupProblem
from dfslab.metrics import damped_newton
from dfslab.rules import ContestRules

UNSPENT_STEP = 100
"""Dollars between two entries of a table of tastes for unspent salary."""
FIT_ERROR = 1e-9
"""A fit ends when no driver's ownership is off by more than this (as a fraction)."""
ACCEPTED_ERROR = 1e-8
MAX_NEWTON_STEPS = 100
NEAREST_RIDGE = 3e-3
"""Weight of the ridge that gives the nearest feasible law (see `LineupLaw.fit`): with it an infeasible forecast gets
log-worths as far apart (60) as those of 19 real golf contests (21 to 74), which spend $49,760 to 49,930."""
SUM_TOLERANCE = 1e-6
"""How far, as a share of K, ownership may be from summing to K."""


class InfeasibleOwnership(UserError):
    """No mix of legal lineups has this ownership; the message gives the numbers."""


def _taste(unspent, dollars) -> np.ndarray:
    """Return g at `dollars` left below the cap from its table, straight lines between the entries; 0 without one."""
    table = np.zeros(1) if unspent is None else np.asarray(unspent, float)
    return np.interp(dollars, UNSPENT_STEP * np.arange(len(table)), table)


@dataclass(frozen=True, eq=False)
class LineupLaw:
    """A law on legal lineups, `P(L) ∝ exp(Σ theta[i] + g(unspent dollars))`.

    Parameters
    ----------
    theta : (D,) log-worths; -inf for a driver nobody rosters; a constant added to all changes nothing
    salary : (D,) int dollars
    rules : ContestRules
    groups : (D,) int or None, at most one driver of each number in a lineup
    unspent : None, or a table of g at $0, $100, $200, … left below the cap, whose last entry holds from there on

    Examples
    --------
    >>> from dfslab.rules import ContestRules
    >>> law = LineupLaw([0.0, 0.0, 0.0], [50, 40, 30], ContestRules(roster_size=2, salary_cap=80))
    >>> law.marginals().round(3).tolist()
    [0.5, 0.5, 1.0]
    """

    theta: np.ndarray
    salary: np.ndarray
    rules: ContestRules
    groups: np.ndarray | None = None
    unspent: np.ndarray | None = None

    def __post_init__(self):
        theta, salary = np.array(self.theta, float), np.array(self.salary, np.int64)
        if theta.shape != salary.shape or theta.ndim != 1:
            raise ValueError(f"theta has shape {theta.shape}, salary {salary.shape}; give one number per driver")
        if np.isnan(theta).any() or (theta == np.inf).any():
            raise ValueError("theta: a log-worth is a number or -inf")
        object.__setattr__(self, "theta", theta)
        object.__setattr__(self, "salary", salary)
        if self.groups is not None:
            object.__setattr__(self, "groups", np.array(self.groups))
        if self._paths.log_normaliser == -np.inf:
            raise ValueError("no legal lineup can be built from the drivers of this law, or none within some e^500")

    @classmethod
    def fit(cls, ownership, salary, rules, *, groups=None, unspent=None, nearest: bool = False) -> "LineupLaw":
        """Return the law whose marginals are `ownership`, to 1e-8.

        Newton's method on the convex `log Z(theta) − theta · ownership`, the Hessian from exact pair marginals.

        Parameters
        ----------
        ownership : (D,) fractions that sum to K; a driver of ownership 0 leaves the law
        salary, rules, groups, unspent : see the class
        nearest : for an infeasible target (its sum rescaled to K) return the law that maximises the likelihood of
            the target less a ridge: its marginals p minimise `Σ (p − π)² / π / (2 ε) − entropy − mean g`, with
            ε = NEAREST_RIDGE, i.e. they are nearest in the chi-square sense, with some entropy kept. A feasible
            target is met exactly. For targets far outside ε grows by powers of ten until the fit succeeds.

        Raises
        ------
        InfeasibleOwnership : no mix of legal lineups has this ownership, and not `nearest`
        """
        ownership, salary = _checked_target(ownership, salary)
        problem = LineupProblem(salary, rules.roster_size, rules.salary_cap, groups)
        if not nearest:
            _check_necessary(ownership, problem)
        total = ownership.sum()
        target = ownership * (problem.size / total) if total > 0 else ownership
        theta = _fit_theta(target, problem, unspent, nearest)
        return cls(theta, salary, rules, groups, unspent)

    @property
    def _problem(self) -> LineupProblem:
        return LineupProblem(self.salary, self.rules.roster_size, self.rules.salary_cap, self.groups)

    @cached_property
    def _space(self) -> LineupSpace:
        return self._problem.paths(np.isfinite(self.theta))

    @cached_property
    def _paths(self) -> Paths:
        return Paths.at(self._space, self.theta[self._space.rows], _taste(self.unspent, self._space.unspent))

    @property
    def log_normaliser(self) -> float:
        """log Z, the logarithm of Σ exp(Σ theta + g) over the legal lineups."""
        return float(self._paths.log_normaliser)

    def marginals(self) -> np.ndarray:
        """Return the ownership of each driver, (D,) fractions that sum to K."""
        marginals = np.zeros(len(self.theta))
        marginals[self._space.rows] = self._paths.marginals
        return marginals

    def pair_marginals(self) -> np.ndarray:
        """Return the share of lineups that hold both drivers, (D, D), the marginals on the diagonal."""
        pairs = np.zeros((len(self.theta), len(self.theta)))
        pairs[np.ix_(self._space.rows, self._space.rows)] = self._paths.pairs()
        return pairs

    def unspent_distribution(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the possible dollars left below the cap, ascending, and their probabilities."""
        return self._space.unspent, self._paths.unspent.copy()

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return `n` independent lineups, (n, K) driver rows, sorted; the first draws do not depend on `n`."""
        n = whole_number(n, "sample: n", 0)
        lineups = self._space.rows[self._paths.draw(rng.random((n, self._space.roster_size)))]
        return lineups if self.groups is None else np.sort(lineups, axis=1)

    def log_prob(self, lineups) -> np.ndarray:
        """Return the log probability of each lineup, (L,); -inf for an illegal one."""
        lineups = np.asarray(lineups)
        legal = self._problem.legal(lineups)
        rows = lineups[legal].astype(np.int64)
        log_prob = np.full(len(lineups), -np.inf)
        left = self.rules.salary_cap - self.salary[rows].sum(axis=1)
        log_prob[legal] = self.theta[rows].sum(axis=1) + _taste(self.unspent, left) - self.log_normaliser
        return log_prob


def _checked_target(ownership, salary):
    ownership, salary = np.array(ownership, float), np.array(salary, np.int64)
    if ownership.shape != salary.shape or ownership.ndim != 1:
        raise ValueError(f"ownership has shape {ownership.shape}, salary {salary.shape}; give one number per driver")
    bad = np.flatnonzero(~np.isfinite(ownership) | (ownership < 0))
    if len(bad):
        raise ValueError(f"ownership of driver row {bad[0]} is {ownership[bad[0]]}; a fraction of 0 or more is needed")
    return ownership, salary


def _check_necessary(ownership, problem) -> None:
    """Raise with the numbers when a condition fails that needs no search."""
    size, total, spent = problem.size, ownership.sum(), ownership @ problem.salary
    if abs(total - size) > SUM_TOLERANCE * size:
        raise InfeasibleOwnership(f"ownership sums to {total:.6g}, a lineup has {size} drivers; rescale it to {size}")
    if spent > problem.cap * (1 + 1e-12):
        dollars = f"${spent:,.0f}" if spent >= problem.cap + 1 else f"${spent:,.4f}"
        implied = f"ownership implies an average lineup of {dollars}, above the cap of ${problem.cap:,}"
        raise InfeasibleOwnership(f"{implied}; lower the expensive drivers or ask for the nearest feasible law")


def _fit_theta(target, problem, unspent, nearest) -> np.ndarray:
    space = _usable_space(target, problem, nearest)
    taste, goal = _taste(unspent, space.unspent), target[space.rows]
    goal = goal * (problem.size / goal.sum())
    solution = _newton(space, taste, goal, np.zeros(len(goal)))
    if solution is None:
        ridges = (NEAREST_RIDGE * 10**power * goal for power in range(4))
        closest = next((found for ridge in ridges if (found := _newton(space, taste, goal, ridge)) is not None), None)
        if not nearest or closest is None:
            raise InfeasibleOwnership(_outside(space, taste, goal, closest, problem.salary))
        solution = closest
    theta = np.full(len(target), -np.inf)
    theta[space.rows] = solution - solution.mean()
    return theta


def _usable_space(target, problem, nearest) -> LineupSpace:
    """Return the space of the drivers with ownership; one that fits no legal lineup raises, or leaves if `nearest`."""
    keep = target > 0
    space = problem.paths(keep)
    held = Paths.at(space, np.zeros(len(space.rows)), np.zeros(space.width)).marginals
    stuck = space.rows[held == 0]
    if len(stuck) == len(space.rows):
        raise InfeasibleOwnership(f"the {int(keep.sum())} drivers with ownership above 0 make no legal lineup")
    if len(stuck) and not nearest:
        who = f"driver row {stuck[0]} (${problem.salary[stuck[0]]:,}) has ownership {target[stuck[0]]:.4g}"
        raise InfeasibleOwnership(f"{who} but fits no legal lineup under the cap of ${problem.cap:,}")
    keep[stuck] = False
    return problem.paths(keep)


def _outside(space, taste, goal, closest, salary) -> str:
    problem = "no mix of legal lineups has this ownership"
    if closest is None:
        return problem
    reached = Paths.at(space, closest, taste).marginals
    worst = int(np.argmax(np.abs(reached - goal)))
    row = space.rows[worst]
    asked = f"driver row {row} (${salary[row]:,}) is asked {goal[worst]:.4f}"
    gives = f"the nearest feasible law gives {reached[worst]:.4f}"
    return f"{problem}: {asked}, {gives}; ask for the nearest feasible law"


def _newton(space, taste, goal, ridge) -> np.ndarray | None:
    """Return theta that minimises `log Z − theta · goal + Σ ridge theta² / 2`, or None when there is none.

    Without ridge the minimum is an entropy (plus the mean taste), so a lower value proves that no law exists. Steps to
    log-worths too far apart for path sums are halved.
    """
    lowest = -np.inf if ridge.any() else min(taste.min(), 0.0) - 1e-6
    constant = 0.0 if ridge.any() else 1.0 / len(goal)  # a constant on every theta changes nothing: hold it

    def loss(theta):
        paths = Paths.at(space, theta, taste)
        value = paths.log_normaliser - theta @ goal + 0.5 * (ridge * theta) @ theta
        value = np.inf if paths.table is None else value if value >= lowest else -np.inf
        return value, paths.marginals - goal + ridge * theta, lambda: _hessian(paths, ridge, constant)

    start = np.log(goal) - np.log1p(-np.minimum(goal, 1 - 1e-6))
    found = damped_newton(loss, start, error=FIT_ERROR, max_steps=MAX_NEWTON_STEPS)
    return found.x if np.abs(found.gradient).max() <= ACCEPTED_ERROR else None


def _hessian(paths, ridge, constant):
    return paths.pairs() - np.outer(paths.marginals, paths.marginals) + np.diag(ridge) + constant
