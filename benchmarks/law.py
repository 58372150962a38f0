"""The lineup law: this package beside a fit by scipy over the list of all lineups, on the same slate."""

import numpy as np
from scipy.optimize import minimize

from benchmarks.field import made_up_slate
from benchmarks.timing import compared, seconds_of
from dfslab.lineups import LineupLaw, best_lineups
from dfslab.rules import ContestRules

GOLF = 156
"""Players of a golf contest: far too many lineups to list."""


def rows() -> list[dict]:
    """Return rows for the fit, one pass of marginals, and the fit of a golf-sized slate (without a twin)."""
    slate, target = made_up_slate()
    law, ours = seconds_of(lambda: LineupLaw.fit(target, slate.salary, slate.rules), repeats=9)
    lineups = best_lineups(np.zeros(len(slate)), slate.salary, slate.rules, 10**7)
    (theta, passes), naive = seconds_of(lambda: fit_over_all(lineups, target), repeats=1)
    off = [100 * np.abs(marginals_over_all(lineups, t)[1] - target).max() for t in (law.theta, theta)]
    note = f"largest ownership error {off[0]:.1e} points; scipy, {passes} passes over a list made before: {off[1]:.1e}"
    _, one = seconds_of(lambda: LineupLaw(law.theta, slate.salary, slate.rules).marginals(), repeats=9)
    _, whole = seconds_of(lambda: marginals_over_all(lineups, law.theta), repeats=3)
    listed = f"{len(slate)} drivers, {len(lineups):,} lineups"
    return [
        compared(f"lineup law, fit to ownership, {listed}", ours, naive, note),
        compared(f"lineup law, exact ownership of given log-worths, {listed}", one, whole, "sum over the list"),
        _golf(),
    ]


def marginals_over_all(lineups, theta) -> tuple[float, np.ndarray]:
    """Return log Z and the marginals (D,) by a sum over every lineup."""
    score = theta[lineups].sum(axis=1)
    weight = np.exp(score - score.max())
    total = weight.sum()
    held = sum(np.bincount(column, weight, len(theta)) for column in lineups.T)
    return float(np.log(total) + score.max()), held / total


def fit_over_all(lineups, target) -> tuple[np.ndarray, int]:
    """Return theta (D,) that minimises log Z − theta · target by scipy's L-BFGS-B, and the passes it took."""

    def loss(theta):
        log_z, marginals = marginals_over_all(lineups, theta)
        return log_z - theta @ target, marginals - target

    start = np.log(target / (1 - target))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 0, "gtol": 1e-8})
    return found.x, found.nfev


def _golf() -> dict:
    rng = np.random.default_rng(1)
    salary = np.sort(rng.integers(60, 116, GOLF) * 100)[::-1]
    rules = ContestRules(roster_size=6, salary_cap=50_000)
    target = LineupLaw(rng.normal(0, 1, GOLF) + salary / 3000, salary, rules).marginals()
    law, ours = seconds_of(lambda: LineupLaw.fit(target, salary, rules), repeats=3)
    off = 100 * np.abs(law.marginals() - target).max()
    return compared(f"lineup law, fit to ownership, {GOLF} golfers", ours, None, f"largest error {off:.1e} points")
