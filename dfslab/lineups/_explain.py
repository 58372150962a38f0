"""Why no lineup, or too few, obey the rules: drop the named rules in turn and say what to change."""

import math
from bisect import bisect_left
from dataclasses import replace

import numpy as np

from dfslab.lineups._problem import EXACT, LineupProblem, Rule
from dfslab.lineups._search import search

SHOWN = 6
"""Changes spelled out in a sentence; the rest is counted."""
PRINTED = {
    "fraction": lambda share: f"{share:g} ({100 * share:g} %)",  # options take fractions, the command line percent
    "dollars": "${:,.0f}".format,
    "drivers": "{:.0f}".format,
    "log": "{:g}".format,
}


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
    changes = {name: _loosened(problem.without(name), problem.called(name))[0] for name in apart}
    says = "Any one of these changes is enough" if len(changes) > 1 else "This change is enough"
    start = f"no lineup obeys every rule. {says}"
    if not changes:
        start = "no lineup obeys every rule, and no single change is enough. These changes together are enough"
        changes = _joint_changes(problem)
    if not changes:
        size, cap = problem.size, problem.cap
        return (
            f"no {size} drivers within ${cap:,} exist with one of a group at most; correct the salaries or groups",
            {},
        )
    return f"{start}: {_listed([_advice(problem.called(name)[0], limit) for name, limit in changes.items()])}.", changes


def _joint_changes(problem: LineupProblem) -> dict:
    kept, changes = replace(problem, rules=()), {}
    if _best(kept) is None:
        return {}
    for name in problem.names:
        trial = kept.with_rules(*problem.called(name))
        if _best(trial) is None:
            changes[name] = None
        else:
            kept = trial
    for name in changes:
        changes[name], kept = _loosened(kept, problem.called(name))
    return changes


def _best(problem: LineupProblem, weights=None) -> np.ndarray | None:
    """Return the lineup with the largest sum of `weights` (any lineup without), or None."""
    found = search(np.zeros(len(problem.salary)) if weights is None else weights, problem, 1)
    return found[0] if len(found) else None


def _loosened(rest: LineupProblem, mine: list[Rule]) -> tuple[float | None, LineupProblem]:
    """Return the limit nearest to the given one with which the rules `mine` leave a lineup of `rest`, and that problem.

    The limit is rounded to a number a person would type, on the side that still works.
    """
    rule = mine[0]
    if rule.unit == "name":
        return None, rest

    def at(level) -> LineupProblem:
        return rest.with_rules(*(rule.at(level) for rule in mine))

    if rule.each or len(mine) > 1:
        levels = np.unique(rule.weights) if rule.each else np.arange(rest.size + 1)
        limit = _first(levels[levels > rule.high], lambda level: _best(at(level)) is not None)
    else:
        limit = rule.weights[_best(rest, (1 if rule.is_floor else -1) * rule.weights)].sum()
    limit = (math.floor(limit * 100 + EXACT) if rule.is_floor else math.ceil(limit * 100 - EXACT)) / 100
    return limit, at(limit)


def _first(levels, works):
    """Return the first of the ascending `levels` that works, the last one being known to work."""
    return levels[bisect_left(levels, True, hi=len(levels) - 1, key=works)]


def _listed(parts: list[str]) -> str:
    more = [f"or one of {len(parts) - SHOWN} more"] if len(parts) > SHOWN else []
    return "; ".join(parts[:SHOWN] + more)


def _advice(rule: Rule, works=None) -> str:
    if rule.unit == "name":
        option, _, who = rule.name.partition(": ")
        return f"remove {who} from {option}"
    printed, way = PRINTED[rule.unit], "high" if rule.is_floor else "low"
    given = f"{rule.name} {printed(rule.limit)}"
    return f"drop {given}" if works is None else f"{given} is too {way}, {printed(works)} works"


def why_few(
    value, problem: LineupProblem, n: int, n_found: int, max_overlap, max_count, max_exposure=None
) -> tuple[str, dict]:
    """Return the sentence that says how many lineups there are, and the changes that alone give `n`.

    Changes are max_overlap, max_exposure (the smallest share for all drivers), or a rule to drop (None);
    `max_exposure` is what was asked for, printed when it is one number.
    """

    def enough(overlap, count, where=problem):
        return len(search(value, where, n, max_overlap=overlap, max_count=count)) >= n

    changes, parts, share = {}, [], PRINTED["fraction"]
    if max_overlap is not None and enough(None, max_count):
        works = _first(range(max_overlap + 1, problem.size), lambda level: enough(level, max_count))
        changes["max_overlap"] = works
        parts.append(f"max_overlap {max_overlap} is too low, {works} works")
    if max_count is not None and enough(max_overlap, None):
        counts = range(int(max_count.min()) + 1, n + 1)
        most = _first(counts, lambda level: enough(max_overlap, np.maximum(max_count, level)))
        changes["max_exposure"] = works = math.ceil(100 * most / n) / 100
        given = f" {share(max_exposure)}" if isinstance(max_exposure, int | float) else ""
        parts.append(f"max_exposure{given} is too low, {share(works)} works")
    dropped = [name for name in problem.names if enough(max_overlap, max_count, problem.without(name))]
    changes |= dict.fromkeys(dropped)
    parts += [_advice(problem.called(name)[0]) for name in dropped]
    ask = f"ask for {n_found}" if n_found else "loosen the limits"
    start = f"{n_found} of {n} lineups exist under these rules"
    if not parts:
        return f"{start}, and no single change gives {n}; {ask}", changes
    return f"{start}; {ask}, or change one: {_listed(parts)}.", changes
