"""Odds of the market: decimal, American or fractional prices as chances to win, the bookmaker's margin still in."""

import re

import numpy as np
import pandas as pd

from dfslab.data._files import read_strings
from dfslab.data._schema import TABLES
from dfslab.data._tables import conform, finished, number_of, refuse_first
from dfslab.errors import InputError

DECIMAL_BELOW = 100
"""Unsigned prices below it are decimal; American ones begin there."""
MOST = 2.5
"""Chances of a whole field add up to 1.1 to 1.6 with a bookmaker's margin; beyond this they are not chances to win."""


def read_odds(path, table: str = "odds") -> pd.DataFrame:
    """Return odds with `probability`, what each price says of a win before the margin is taken out.

    A column `format` says how a price is written. Without it a slash means fractional, any sign in the file American,
    only unsigned prices below 100 decimal. `EVEN` is 1/2; a dash alone is blank.

    Parameters
    ----------
    path : odds.csv (table "odds") or history/odds.csv (table "odds_history": with a race_id); a price per driver, or
        per driver and book

    Raises
    ------
    InputError : a price that cannot be read, or can be read two ways
    """
    frame = conform(read_strings(path), TABLES[table], path)
    price = frame["win"].str.replace("[\u2212\u2013\u2014]", "-", regex=True).str.replace(" ", "")
    frame, price = frame[price != "-"], price[price != "-"]
    form = frame["format"] if "format" in frame else pd.Series(None, frame.index, dtype=object)
    plain = price[form.isna() & ~price.str.contains("/")]
    american = plain.str.match(r"[+-]\d").any()
    if not american:
        bare = plain.map(number_of) >= DECIMAL_BELOW
        refuse_first(bare, plain, path, "win", "'{}'; write its sign, or a column format: american")
    form = form.fillna(price.str.contains("/").map({True: "fractional", False: "american" if american else "decimal"}))
    frame = frame.assign(probability=[_chance(*one) for one in zip(price, form, strict=True)])
    wrong = frame["probability"].isna()
    refuse_first(wrong, price, path, "win", "'{:.40}'; write a price such as 5.50, +450 or 9/2")
    one = [name for name in ("race_id", "book") if name in frame]
    total = (frame.groupby(one, dropna=False)["probability"].sum() if one else frame[["probability"]].sum()).max()
    if total > MOST:
        raise InputError(f"{path}: the chances add up to {total:.0%}; these are not prices of a win")
    return finished(frame, TABLES[table])


def _chance(price: str, form: str) -> float:
    """Return the chance that a price says, NaN when it is none of its form."""
    if re.fullmatch(r"(?i)ev(en|ens|s)?|pk|pick", price):
        return 0.5
    if form == "fractional":
        parts = [number_of(part) for part in re.split("[/-]", price)]
        return parts[1] / sum(parts) if len(parts) == 2 and min(parts) > 0 else np.nan
    value = number_of(price)
    if form == "decimal":
        return 1.0 / value if value > 1 and "," not in price else np.nan
    return max(-value, 100.0) / (abs(value) + 100.0) if abs(value) >= 100 else np.nan
