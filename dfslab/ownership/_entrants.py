"""Fictitious entrants: what the portfolios of a dozen people with an optimizer would hold on a slate.

What vendors publish as ownership is, to a rank correlation of .89 to .99, the share of an optimizer's lineups.
"""

from itertools import product

import numpy as np

from dfslab.lineups import best_lineups

LINEUPS = 20
"""Lineups in an entrant's portfolio: what DraftKings lets most of its multi-entry contests take. More flatten the
exposures (100 and 400 were tried: .1 and .3 points of error worse at Kansas)."""
PENALTIES = (0.0, 20.0, 60.0)
"""Points per squared ownership that an entrant gives up to differ."""
VIEWED = 0.5
"""How much more an entrant with a view on places or on laps led counts those points."""
STEEPNESS = 0.4
"""Log-worth per $1,000 of the ownership that the entrants expect: of salary alone, never of the forecast itself."""


def exposures(board) -> np.ndarray | None:
    """Return the mean exposure of the entrants' portfolios, (D,) fractions; None where no points are known.

    The views are mean points and their 80 % and 90 % quantiles, each with every penalty; points with places gained,
    or with laps led, counted half more; and the simulator's own mean where a person's projections replace it.
    """
    points = board.column("projected_points")
    model = board.column("model_points")
    points = np.where(np.isnan(points), model, points)
    if (~np.isnan(points)).sum() <= board.rules.roster_size:
        return None
    points = np.nan_to_num(points)
    moved = np.nan_to_num(points - model)
    views = [points, *(board.column(name) + moved for name in ("points_80", "points_90"))]
    own = board.law(STEEPNESS * board.salary / 1000).marginals()
    values = [view - penalty * own**2 for view, penalty in product(views, PENALTIES)]
    values += [points + VIEWED * board.column(name) for name in ("place_points", "dominator_points")] + [model]
    known = [np.nan_to_num(value) for value in values if (~np.isnan(value)).sum() > board.rules.roster_size]
    portfolios = [best_lineups(value, board.salary, board.rules, LINEUPS, groups=board.groups) for value in known]
    return np.mean([np.bincount(p.ravel(), minlength=len(board)) / len(p) for p in portfolios], axis=0)
