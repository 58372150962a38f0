"""The referee: portfolios by several recipes compete on draws that none was chosen on, and the best is written."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from dfslab.errors import UserError
from dfslab.portfolio._score import Scores


@dataclass(frozen=True)
class Verdict:
    """Which recipe is played, in words, and the table it was decided by.

    `table`: recipe, expected_payout, promised (dollars more than the plain recipe's, paired) and gain (what that is
    worth) ± se, clear (two standard errors).
    """

    name: str
    sentence: str
    table: pd.DataFrame

    def __str__(self) -> str:
        return self.sentence


def referee(scores: Scores, worth: Mapping[str, float] | None = None, plain: str | None = None) -> Verdict:
    """Return which of the portfolios of `scores` to play: the one that earns most, but plain lineups where unclear.

    The draws of `scores` must be others than those the portfolios were chosen on and others than those the promise is
    made on, so that neither choice flatters what is promised.

    Parameters
    ----------
    scores : the portfolios on a third set of draws
    worth : recipe → what its promised gain over `plain` was worth in the past, as a factor (default 1 for all)
    plain : the recipe without leverage; it is played when no other is ahead of it by more than one standard error

    Raises
    ------
    UserError : `plain` or a recipe of `worth` is not among the portfolios
    """
    names = list(scores.payout)
    unknown = sorted(({plain} - {None} | set(worth or {})) - set(names))
    if unknown:
        raise UserError(f"referee: no portfolio {', '.join(unknown)}; the portfolios are {', '.join(names)}")
    table = _against(scores, plain or names[0], worth or {})
    ahead = table[(table["gain"] > table["se"]) | (table["recipe"] == (plain or names[0]))]
    best = ahead.loc[ahead["gain"].idxmax(), "recipe"]
    return Verdict(best, _sentence(table, best, plain or names[0]), table)


def _against(scores: Scores, reference: str, worth: Mapping[str, float]) -> pd.DataFrame:
    """Return one row per portfolio: its payout, and what it earns more than the reference, paired."""
    rows = []
    for name, pay in scores.payout.items():
        gain, se = scores.mean(pay - scores.payout[reference])
        factor = worth.get(name, 1.0)
        shown = {"recipe": name, "expected_payout": scores.mean(pay)[0], "promised": gain, "gain": factor * gain}
        rows.append(shown | {"se": factor * se, "clear": abs(gain) > 2 * se})
    return pd.DataFrame(rows)


def _sentence(table: pd.DataFrame, best: str, reference: str) -> str:
    rows = table.set_index("recipe")
    if len(table) == 1:
        return f"{best} is the only recipe."
    if best == reference:
        rivals = rows.drop(index=reference)
        if not rivals["gain"].any() and (rivals["promised"] > 0).any():
            rival, more = rivals["promised"].idxmax(), rivals["promised"].max()
            return f"{best} is played: {rival} promises ${more:,.2f} more, but such gains came to nothing in the past."
        rival = rivals["gain"].idxmax()
        gain, se = rows.loc[rival, ["gain", "se"]]
        near = f"the nearest, {rival}, by {_dollars(gain, se)}"
        return f"{best} is played: no other recipe is ahead of it by a standard error ({near})."
    gain, se, clear = rows.loc[best, ["gain", "se", "clear"]]
    how = "clearly ahead of" if clear else "ahead of"
    return f"{best} is played: it is {how} {reference} by {_dollars(gain, se)} on draws that no recipe was chosen on."


def _dollars(gain: float, se: float) -> str:
    return f"{'−' if gain < 0 else ''}${abs(gain):,.2f} ± {se:,.2f}"
