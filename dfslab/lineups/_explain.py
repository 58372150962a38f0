"""Why no lineup, or too few, obey the rules: drop the named rules in turn and say what to change."""

import math
from dataclasses import replace

import numpy as np

from dfslab.lineups._milp import EXACT, Rule, Space, best_set, scaled_value

__all__ = ["blocking_minima", "why_few", "why_none"]

GOLDEN = 0.6180339887498949
TIE_BREAK = 1e-7
"""A spread of values this small (relative) keeps a search from listing millions of equal lineups."""
SHOWN = 6
"""Changes spelled out in a sentence; the rest is counted."""


def why_none(space: Space, search) -> tuple[str, dict]:
    """Return the sentence that says why `space` holds no lineup, and the changes that are enough.

    Each named rule is dropped in turn. Where no single change is enough, changes that are enough together are found by
    keeping each rule in turn while a lineup is left.

    Parameters
    ----------
    search : function (value, space, n) returning the best lineups

    Returns
    -------
    sentence, and a dict from the rule's name to the nearest limit that works; None for a rule that can only be dropped
    (a lock or a ban). The dict is empty when no change helps.
    """
    cap = f"{space.roster_size} drivers within ${space.salary_cap:,.0f}"
    changes = _single_changes(space, search)
    if changes:
        enough = "This change is enough" if len(changes) == 1 else "Any one of these changes is enough"
        return f"no lineup obeys every rule. {enough}: {_change_list(space, changes)}.", changes
    together = _joint_changes(space, search)
    if together:
        core = [_rule_sentence(_called(space, name)[0]) for name in _conflict(space, search)]
        clash = f"{' + '.join(core)} exclude each other" if len(core) > 1 else f"{core[0]} alone cannot be met"
        sentence = (
            f"no lineup of {cap} obeys every rule, and no single change is enough: {clash}. "
            f"These changes together are enough: {_change_list(space, together)}."
        )
        return sentence, together
    return f"no {cap} exist with at most one of each slate group; correct the slate's salaries or groups", {}


def _single_changes(space: Space, search) -> dict:
    """Return each rule whose absence alone leaves a lineup, and the nearest limit that works with the others kept."""
    return {
        name: _nearest_limit(space.without(name), _called(space, name), search)
        for name in _names(space)
        if _best(search, space.without(name)) is not None
    }


def _joint_changes(space: Space, search) -> dict:
    kept, broken = replace(space, rules=()), []
    for name in _names(space):
        trial = kept.with_rules(*_called(space, name))
        if _best(search, trial) is None:
            broken.append(name)
        else:
            kept = trial
    changes = {}
    for name in broken:
        mine = _called(space, name)
        changes[name] = limit = _nearest_limit(kept, mine, search)
        if limit is not None:
            kept = kept.with_rules(*(_loosened(rule, limit) for rule in mine))
    return changes


def _names(space: Space) -> list[str]:
    return list(dict.fromkeys(rule.name for rule in space.rules))


def _called(space: Space, name: str) -> list[Rule]:
    return [rule for rule in space.rules if rule.name == name]


def _best(search, space: Space, weights=None) -> np.ndarray | None:
    """Return the lineup of `space` with the largest sum of `weights` (any lineup without), or None."""
    spread = np.arange(len(space.salary)) * GOLDEN % 1.0
    weights = spread if weights is None else weights + TIE_BREAK * np.abs(weights).max(initial=1.0) * spread
    found = search(scaled_value(weights), space, 1)
    return found[0] if len(found) else None


def _nearest_limit(rest: Space, mine: list[Rule], search):
    """Return the limit nearest to the given one with which the rules `mine` leave a lineup of `rest`."""
    rule = mine[0]
    if rule.unit == "drop":
        return None
    if rule.levels is not None:
        levels = np.unique(rule.levels[rule.levels > rule.limit])
        return _rounded(rule, levels[_first(len(levels), lambda j: _level_works(rest, rule, levels[j], search))])
    if len(mine) > 1:
        steps = range(int(rule.high) + 1, rest.roster_size + 1)
        works = _first(len(steps), lambda j: _overlap_works(rest, mine, steps[j], search))
        return steps[works]
    sign = 1.0 if np.isfinite(rule.low) else -1.0
    return _rounded(rule, float(rule.weights[_best(search, rest, sign * rule.weights)].sum()))


def _level_works(rest, rule, level, search) -> bool:
    return _best(search, rest.with_rules(replace(rule, weights=(rule.levels > level) * 1.0))) is not None


def _overlap_works(rest, mine, high, search) -> bool:
    return _best(search, rest.with_rules(*(replace(rule, high=high) for rule in mine))) is not None


def _first(n: int, works) -> int:
    """Return the first of 0 … n-1 that works, the last one being known to work, by bisection."""
    low, high = 0, n - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle + 1, high)
    return low


def _loosened(rule: Rule, limit) -> Rule:
    if rule.levels is not None:
        return replace(rule, weights=(rule.levels > limit) * 1.0, limit=limit)
    return replace(rule, low=limit) if np.isfinite(rule.low) else replace(rule, high=limit)


def _rounded(rule: Rule, limit: float):
    """Round `limit` to a number a person would type, on the side that still works."""
    if rule.unit in ("dollars", "drivers"):
        return round(limit)
    if np.isfinite(rule.low):
        return math.floor(limit * 100 + EXACT) / 100
    return math.ceil(limit * 100 - EXACT) / 100


def _conflict(space: Space, search) -> list[str]:
    """Return a smallest set of rules of an empty space that exclude each other."""
    for name in _names(space):
        if _best(search, space.without(name)) is None:
            space = space.without(name)
    return _names(space)


def _change_list(space: Space, changes: dict) -> str:
    return _listed([_change_sentence(_called(space, name)[0], limit) for name, limit in changes.items()])


def _listed(parts: list[str]) -> str:
    more = [f"or one of {len(parts) - SHOWN} more"] if len(parts) > SHOWN else []
    return "; ".join(parts[:SHOWN] + more)


def _change_sentence(rule: Rule, works) -> str:
    if rule.unit == "drop":
        option, who = rule.name.split(": ", 1)
        return f"remove {who} from {option}"
    if works is None:
        return f"drop {_rule_sentence(rule)}"
    side = "high" if np.isfinite(rule.low) else "low"
    return f"{_rule_sentence(rule)} is too {side}, {_printed(rule, works)} works"


def _rule_sentence(rule: Rule) -> str:
    if rule.unit == "drop":
        return rule.name
    given = rule.limit if rule.levels is not None else rule.low if np.isfinite(rule.low) else rule.high
    return f"{rule.name} {_printed(rule, given)}"


def _printed(rule: Rule, limit: float) -> str:
    if rule.unit == "fraction":
        return _share(limit)
    return f"${limit:,.0f}" if rule.unit == "dollars" else f"{limit:.0f}" if rule.unit == "drivers" else f"{limit:g}"


def _share(limit: float) -> str:
    """Print a share both ways: options take fractions, the command line takes percent."""
    return f"{limit:g} ({100 * limit:g} %)"


def why_few(
    search, value, space: Space, n: int, n_found: int, max_overlap, max_counts, limits: dict
) -> tuple[str, dict]:
    """Return the sentence that says how many lineups there are, and the changes that alone give `n`.

    Changes are max_overlap, max_exposure (a share), or a rule to drop (None); `limits` are those two as given.
    """
    changes = _shortage_changes(search, value, space, n, max_overlap, max_counts)
    ask = f"ask for {n_found}" if n_found else "loosen the limits"
    start = f"{n_found} of {n} lineups exist under these rules"
    parts = []
    for name, works in changes.items():
        if name in limits:
            say = _share if name == "max_exposure" else "{:g}".format
            given = f"{name} {say(limits[name])}" if np.ndim(limits[name]) == 0 and works is not None else name
            parts.append(f"{given} is too low, {say(works)} works" if works is not None else f"drop {name}")
        else:
            parts.append(_change_sentence(_called(space, name)[0], None))
    if not parts:
        return f"{start}, and no single change gives {n}; {ask}", changes
    return f"{start}; {ask}, or change one: {_listed(parts)}.", changes


def _shortage_changes(search, value, space: Space, n: int, max_overlap, max_counts) -> dict:
    def enough(overlap, counts, where=space):
        return len(search(value, where, n, overlap, counts)) >= n

    changes = {}
    if max_overlap is not None and enough(None, max_counts):
        steps = range(max_overlap + 1, space.roster_size)
        changes["max_overlap"] = steps[_first(len(steps), lambda j: enough(steps[j], max_counts))]
    if max_counts is not None and enough(max_overlap, None):
        changes["max_exposure"] = _exposure_enough(max_counts, n, lambda counts: enough(max_overlap, counts))
    changes |= {name: None for name in _names(space) if enough(max_overlap, max_counts, space.without(name))}
    return changes


def _exposure_enough(counts, n: int, enough):
    """Return the smallest share for all drivers that is enough; None when drivers had limits of their own."""
    if np.ptp(counts):
        return None
    steps = range(int(counts[0]) + 1, n + 1)
    return math.ceil(100 * steps[_first(len(steps), lambda j: enough(np.full(len(counts), steps[j])))] / n) / 100


def blocking_minima(search, value, space: Space, n: int, max_overlap, max_counts, min_counts) -> dict:
    """Return, for every driver (row) whose minimum alone stands in the way, the largest count that works."""

    def works(row, count):
        trial = np.where(np.arange(len(min_counts)) == row, count, min_counts)
        return best_set(search, value, space, n, max_overlap, max_counts, trial) is not None

    found = {}
    for row in np.flatnonzero(min_counts).tolist():
        if works(row, 0):
            lower = np.arange(min_counts[row])[::-1]
            found[row] = int(lower[_first(len(lower), lambda j, row=row, lower=lower: works(row, lower[j]))])
    return found
