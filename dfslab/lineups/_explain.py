"""Why no lineup, or too few, obey the rules: drop the named rules in turn and say what to change."""

import math

import numpy as np

from dfslab.lineups._problem import EXACT, LineupProblem, Rule
from dfslab.lineups._search import search

GOLDEN = 0.6180339887498949
TIE_BREAK = 1e-7
"""A spread of values this small (relative) keeps a search from listing millions of equal lineups."""
SHOWN = 6
"""Changes spelled out in a sentence; the rest is counted."""


def why_none(problem: LineupProblem) -> tuple[str, dict]:
    """Return the sentence that says why `problem` has no lineup, and the changes that are enough.

    Each named rule is dropped in turn. Where no single change is enough, changes that are enough together are found by
    keeping each rule in turn while a lineup is left.

    Returns
    -------
    sentence, and a dict from the rule's name to the nearest limit that works; None for a rule that can only be dropped
    (a lock or a ban). The dict is empty when no change helps.
    """
    apart = [name for name in problem.names if _best(problem.without(name)) is not None]
    if apart:
        changes = {name: _nearest_limit(problem.without(name), problem.called(name)) for name in apart}
        enough = "This change is enough" if len(changes) == 1 else "Any one of these changes is enough"
        return f"no lineup obeys every rule. {enough}: {_change_list(problem, changes)}.", changes
    together = _joint_changes(problem)
    if together:
        start = "no lineup obeys every rule, and no single change is enough. These changes together are enough"
        return f"{start}: {_change_list(problem, together)}.", together
    size, cap = problem.size, problem.cap
    return f"no {size} drivers within ${cap:,} exist with one of a group at most; correct the salaries or groups", {}


def _joint_changes(problem: LineupProblem) -> dict:
    kept, broken = problem.with_rules(), []
    for name in problem.names:
        kept = kept.without(name)
    if _best(kept) is None:
        return {}
    for name in problem.names:
        trial = kept.with_rules(*problem.called(name))
        if _best(trial) is None:
            broken.append(name)
        else:
            kept = trial
    changes = {}
    for name in broken:
        mine = problem.called(name)
        changes[name] = limit = _nearest_limit(kept, mine)
        if limit is not None:
            kept = kept.with_rules(*(rule.at(limit) for rule in mine))
    return changes


def _best(problem: LineupProblem, weights=None) -> np.ndarray | None:
    """Return the lineup with the largest sum of `weights` (any lineup without), or None."""
    spread = np.arange(len(problem.salary)) * GOLDEN % 1.0
    weights = spread if weights is None else weights + TIE_BREAK * np.abs(weights).max(initial=1.0) * spread
    found, _ = search(weights, problem, 1)
    return found[0] if len(found) else None


def _nearest_limit(rest: LineupProblem, mine: list[Rule]):
    """Return the limit nearest to the given one with which the rules `mine` leave a lineup of `rest`."""
    rule = mine[0]
    if rule.unit == "name":
        return None
    if rule.each or len(mine) > 1:
        levels = np.unique(rule.weights) if rule.each else np.arange(rest.size + 1)
        levels = levels[levels > rule.high]
        works = _first(levels, lambda level: _best(rest.with_rules(*(r.at(level) for r in mine))) is not None)
        return _rounded(rule, float(works))
    sign = 1.0 if np.isfinite(rule.low) else -1.0
    return _rounded(rule, float(rule.weights[_best(rest, sign * rule.weights)].sum()))


def _first(levels, works):
    """Return the first of the ascending `levels` that works, the last one being known to work, by bisection."""
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if works(levels[middle]) else (middle + 1, high)
    return levels[low]


def _rounded(rule: Rule, limit: float):
    """Round `limit` to a number a person would type, on the side that still works."""
    if rule.unit in ("dollars", "drivers"):
        return round(limit)
    if np.isfinite(rule.low):
        return math.floor(limit * 100 + EXACT) / 100
    return math.ceil(limit * 100 - EXACT) / 100


def _change_list(problem: LineupProblem, changes: dict) -> str:
    return _listed([_change_sentence(problem.called(name)[0], limit) for name, limit in changes.items()])


def _listed(parts: list[str]) -> str:
    more = [f"or one of {len(parts) - SHOWN} more"] if len(parts) > SHOWN else []
    return "; ".join(parts[:SHOWN] + more)


def _change_sentence(rule: Rule, works) -> str:
    if rule.unit == "name":
        option, _, who = rule.name.partition(": ")
        return f"remove {who} from {option}" if who else f"drop {option}"
    given = f"{rule.name} {_printed(rule, rule.limit)}"
    if works is None:
        return f"drop {given}"
    return f"{given} is too {'high' if np.isfinite(rule.low) else 'low'}, {_printed(rule, works)} works"


def _printed(rule: Rule, limit: float) -> str:
    forms = {"fraction": _share(limit), "dollars": f"${limit:,.0f}", "drivers": f"{limit:.0f}"}
    return forms.get(rule.unit, f"{limit:g}")


def _share(limit: float) -> str:
    """Print a share both ways: options take fractions, the command line takes percent."""
    return f"{limit:g} ({100 * limit:g} %)"


def why_few(
    value, problem: LineupProblem, n: int, n_found: int, max_overlap, max_count, max_exposure=None
) -> tuple[str, dict]:
    """Return the sentence that says how many lineups there are, and the changes that alone give `n`.

    Changes are max_overlap, max_exposure (the smallest share for all drivers), or a rule to drop (None);
    `max_exposure` is what was asked for, printed when it is one number.
    """

    def enough(overlap, count, where=problem):
        return len(search(value, where, n, max_overlap=overlap, max_count=count)[0]) >= n

    changes, parts = {}, []
    if max_overlap is not None and enough(None, max_count):
        levels = range(max_overlap + 1, problem.size)
        changes["max_overlap"] = works = _first(levels, lambda level: enough(level, max_count))
        parts.append(f"max_overlap {max_overlap} is too low, {works} works")
    if max_count is not None and enough(max_overlap, None):
        levels = range(int(max_count.min()) + 1, n + 1)
        works = _first(levels, lambda level: enough(max_overlap, np.maximum(max_count, level)))
        changes["max_exposure"] = share = math.ceil(100 * works / n) / 100
        given = f" {_share(max_exposure)}" if isinstance(max_exposure, int | float) else ""
        parts.append(f"max_exposure{given} is too low, {_share(share)} works")
    for name in problem.names:
        if enough(max_overlap, max_count, problem.without(name)):
            changes[name] = None
            parts.append(_change_sentence(problem.called(name)[0], None))
    ask = f"ask for {n_found}" if n_found else "loosen the limits"
    start = f"{n_found} of {n} lineups exist under these rules"
    if not parts:
        return f"{start}, and no single change gives {n}; {ask}", changes
    return f"{start}; {ask}, or change one: {_listed(parts)}.", changes
