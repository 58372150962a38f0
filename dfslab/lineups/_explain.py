"""Why no lineup, or too few, obey the rules: drop the named rules in turn and say what to change."""

import math
from bisect import bisect_left
from dataclasses import replace

import numpy as np

from dfslab.lineups._problem import EXACT, LineupProblem, Rule
from dfslab.lineups._search import search

SHOWN = 6
"""Changes spelled out in a sentence; the rest is counted."""
PRINTED = {"number": "{:g}", "dollars": "${:,.0f}", "fraction": "{:g} ({:g} %)"}
"""How a limit is printed, from itself and a hundred times itself: options take fractions, the command line percent."""


def why_none(problem: LineupProblem) -> tuple[str, dict]:
    """Return the sentence that says why `problem` has no lineup, and the changes that are enough.

    Each named rule is dropped in turn. Where no single change is enough, rules whose absence is enough are found by
    keeping each rule in turn while a lineup is left.

    Returns
    -------
    sentence, and a dict from the rule's name to the nearest limit that works; None for a rule to be dropped. The dict
    is empty when no change helps.
    """
    apart = [name for name in problem.names if _best(problem.without(name)) is not None]
    changes = {name: _loosened(problem.without(name), problem.called(name)) for name in apart}
    says = "Any one of these changes is enough" if len(changes) > 1 else "This change is enough"
    if not changes:
        changes = dict.fromkeys(_dropped(problem))
        says = "No single change is enough; these changes together are"
    if not changes:
        says = f"{problem.size} drivers within ${problem.cap:,}, one of a group at most, do not exist"
        return f"no lineup obeys every rule: {says}; correct the salaries or groups", {}
    parts = [_advice(problem.called(name)[0], limit) for name, limit in changes.items()]
    return f"no lineup obeys every rule. {says}: {_listed(parts)}.", changes


def _dropped(problem: LineupProblem) -> list[str]:
    """Return names of rules without which there is a lineup; empty when there is none without any rule."""
    kept, dropped = replace(problem, rules=()), []
    if _best(kept) is None:
        return []
    for name in problem.names:
        trial = kept.with_rules(*problem.called(name))
        if _best(trial) is None:
            dropped.append(name)
        else:
            kept = trial
    return dropped


def _best(problem: LineupProblem, weights=None) -> np.ndarray | None:
    """Return the lineup with the largest sum of `weights` (any lineup without), or None."""
    found = search(np.zeros(len(problem.salary)) if weights is None else weights, problem, 1)
    return found[0] if len(found) else None


def _loosened(rest: LineupProblem, mine: list[Rule]) -> float | None:
    """Return the limit nearest to the given one with which the rules `mine` leave a lineup of `rest`.

    It is rounded to a number a person would type, on the side that still works.
    """
    rule = mine[0]
    if rule.unit == "name":
        return None

    def works(level) -> bool:
        return _best(rest.with_rules(*(replace(rule, limit=level) for rule in mine))) is not None

    if rule.each or len(mine) > 1:
        levels = np.unique(rule.weights) if rule.each else np.arange(rest.size + 1)
        limit = _first(levels[levels > rule.limit], works)
    else:
        limit = rule.weights[_best(rest, (1 if rule.floor else -1) * rule.weights)].sum()
    return (math.floor(limit * 100 + EXACT) if rule.floor else math.ceil(limit * 100 - EXACT)) / 100


def _first(levels, works):
    """Return the first of the ascending `levels` that works, the last one being known to work."""
    return levels[bisect_left(levels, True, hi=len(levels) - 1, key=works)]


def _listed(parts: list[str]) -> str:
    more = [f"or one of {len(parts) - SHOWN} more"] if len(parts) > SHOWN else []
    return "; ".join(parts[:SHOWN] + more)


def _advice(rule: Rule, works: float | None) -> str:
    if rule.unit == "name":
        option, _, who = rule.name.partition(": ")
        return f"remove {who} from {option}"
    given, way = f"{rule.name} {_printed(rule.unit, rule.limit)}", "high" if rule.floor else "low"
    return f"drop {given}" if works is None else f"{given} is too {way}, {_printed(rule.unit, works)} works"


def _printed(unit: str, number: float) -> str:
    return PRINTED[unit].format(number, 100 * number)


def why_few(value, problem: LineupProblem, n: int, n_found: int, max_overlap, max_count) -> tuple[str, dict]:
    """Return the sentence that says how many lineups there are, and the changes that alone give `n`.

    Changes are max_overlap, max_exposure (the smallest share for all drivers), or a rule to drop (None).
    """

    def enough(overlap, count, where=problem):
        return len(search(value, where, n, max_overlap=overlap, max_count=count)) >= n

    changes, parts = {}, []
    if max_overlap is not None and enough(None, max_count):
        works = _first(range(max_overlap + 1, problem.size), lambda level: enough(level, max_count))
        changes["max_overlap"] = works
        parts.append(f"max_overlap is too low, {works} works")
    if max_count is not None and enough(max_overlap, None):
        counts = range(int(max_count.min()) + 1, n + 1)
        most = _first(counts, lambda level: enough(max_overlap, np.maximum(max_count, level)))
        changes["max_exposure"] = works = math.ceil(100 * most / n) / 100
        parts.append(f"max_exposure is too low, {_printed('fraction', works)} works")
    dropped = [name for name in problem.names if enough(max_overlap, max_count, problem.without(name))]
    parts += [_advice(problem.called(name)[0], None) for name in dropped]
    start = f"{n_found} of {n} lineups exist under these rules"
    ask = f"ask for {n_found}" if n_found else "loosen the limits"
    change = f"or change one: {_listed(parts)}." if parts else f"for no single change gives {n}"
    return f"{start}; {ask}, {change}", changes | dict.fromkeys(dropped)
