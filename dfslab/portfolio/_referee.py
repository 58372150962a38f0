"""The referee: portfolios by several recipes compete on draws that none was chosen on, and the best is played."""

from collections.abc import Mapping
from typing import NamedTuple

from dfslab.errors import UserError
from dfslab.portfolio._score import Scores


class Verdict(NamedTuple):
    """Which recipe is played, and why in a sentence."""

    name: str
    sentence: str


def referee(scores: Scores, worth: Mapping[str, float] | None = None, plain: str | None = None) -> Verdict:
    """Return which of the portfolios of `scores` to play: the one that earns most, but plain lineups where unclear.

    The draws of `scores` must be others than those the portfolios were chosen on and others than those the promise is
    made on, so that neither choice flatters what is promised.

    Parameters
    ----------
    scores : the portfolios on a third set of draws
    worth : recipe → what its promised gain over `plain` was worth in the past, as a factor (default 1 for all)
    plain : the recipe without leverage (default the first); it is played when no other is ahead of it by more than one
        standard error

    Raises
    ------
    UserError : `plain` or a recipe of `worth` is not among the portfolios
    """
    names, worth = list(scores.payout), worth or {}
    unknown = sorted(({plain} - {None} | set(worth)) - set(names))
    if unknown:
        raise UserError(f"referee: no portfolio {', '.join(unknown)}; the portfolios are {', '.join(names)}")
    plain = plain or names[0]
    ahead = {name: scores.mean(pay - scores.payout[plain]) for name, pay in scores.payout.items() if name != plain}
    believed = {name: (worth.get(name, 1.0) * gain, worth.get(name, 1.0) * se) for name, (gain, se) in ahead.items()}
    clear = {name: gain for name, (gain, se) in believed.items() if gain > se}
    if not ahead:
        return Verdict(plain, f"{plain} is the only recipe.")
    best = max(clear or ahead, key=clear.get if clear else lambda name: ahead[name][0])
    gain, se = ahead[best]
    promise = f"promises ${abs(gain):,.2f} ± {se:,.2f} {'less' if gain < 0 else 'more'} than {plain}"
    promise += " on draws that no recipe was chosen on"
    if clear:
        return Verdict(best, f"Played: {best}. It {promise}.")
    why = "which is not a standard error ahead" if believed[best][1] else "but such gains came to nothing in the past"
    return Verdict(plain, f"Played: {plain}. The recipe {best} {promise}, {why}.")
