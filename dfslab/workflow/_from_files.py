"""Lineups from a salary file and a projections file alone: no history, no simulation."""

from dataclasses import fields
from pathlib import Path

import numpy as np

from dfslab.data import match_names, read_slate
from dfslab.errors import InputError, UserError
from dfslab.optimize import LeverageAwareOptimizer, lineup_metrics
from dfslab.ownership import HybridOwnershipEstimator
from dfslab.portfolio import Portfolio, audit
from dfslab.slate import Slate


def optimize_files(
    salaries, projections, n_lineups=20, *, out=None, max_overlap=None, max_exposure=None, min_exposure=None, **rules
) -> Portfolio:
    """Return the best lineups by projected points less a price on ownership, and write them for upload.

    Parameters
    ----------
    salaries, projections : DKSalaries.csv, and a file with driver, projected_points and, if you have it,
        projected_ownership; without it ownership is forecast with the figures shipped with dfslab
    n_lineups, max_overlap, max_exposure, min_exposure : as for `LeverageAwareOptimizer.optimize`
    out : the file for DraftKings' bulk upload; None writes nothing
    rules : options of `LeverageAwareOptimizer`: leverage_penalty, locks, bans, groups, max_ownership_per_driver, …

    Returns
    -------
    The lineups, best first, with their metrics and what to know; no contest was played.

    Raises
    ------
    InputError : a file cannot be used
    InfeasibleLineup : no lineup, or fewer than asked, obey the rules; nothing is written
    """
    if out is not None and any(Path(out).resolve() == Path(given).resolve() for given in (salaries, projections)):
        raise InputError(f"{out}: the output would take the place of an input; name another file")
    names = {option.name for option in fields(LeverageAwareOptimizer) if option.init} - {"slate", "ownership"}
    unknown = sorted(set(rules) - names)
    if unknown:
        raise UserError(f"{unknown[0]}: no such rule; the rules are {', '.join(sorted(names))}")
    slate = read_slate(salaries, projections)
    points = slate.column("projected_points")
    unknown = slate.names[np.isnan(points) & ~slate.out]
    known, k = int((~np.isnan(points)).sum()), slate.rules.roster_size
    if known < k:
        raise InputError(f"{projections}: projected_points for {known} of {len(slate)} drivers; {k} are needed")
    ownership, notes = _ownership(slate)
    if len(unknown):
        notes += (f"Without projected points, so never rostered: {', '.join(unknown)}.",)
    for option in ("locks", "bans"):
        pairs = match_names(rules.get(option, ()), slate.names).pairs
        rules[option] = tuple(pairs.get(name, name) for name in rules.get(option, ()))
    bans = tuple({*rules.pop("bans"), *unknown})
    optimizer = LeverageAwareOptimizer(slate, ownership, bans=bans, **rules)
    value = np.nan_to_num(points)
    exposure = {"max_exposure": max_exposure, "min_exposure": min_exposure}
    lineups = optimizer.optimize(value, n_lineups, max_overlap=max_overlap, **exposure)
    rules = audit(optimizer, lineups, n_lineups)
    known = {"notes": (*slate.notes, *notes), "slate": slate, "ownership": ownership}
    found = Portfolio(lineups, lineup_metrics(slate, ownership, lineups, value=value), rules, **known)
    if out is not None:
        found.to_upload(out)
    return found


def _ownership(slate: Slate) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the projected ownership where it is complete, else the forecast of a cold start, (D,) fractions."""
    given = slate.column("projected_ownership")
    given[slate.out] = 0.0
    if not np.isnan(given).any():
        return given, ()
    note = "Ownership is forecast with the figures shipped with dfslab: the projections hold none for some drivers."
    return slate.align(HybridOwnershipEstimator(slate.rules).fit().predict(slate)), (note,)
