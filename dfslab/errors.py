"""What a person is told when something is wrong, and the checks of single numbers and dates, written once."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["InputError", "UserError", "as_day", "number_between", "whole_number"]


class UserError(ValueError):
    """Something a user can mend; the message is one sentence: what is wrong, where, and what to do."""


class InputError(UserError):
    """A user's file cannot be used as it is; the message is one line: which file, which row, how to mend it."""

    def __init__(self, message):
        super().__init__("".join(c if c.isprintable() else " " for c in str(message)))


def whole_number(number, name: str, least: int) -> int:
    """Return `number` as an int; raise `UserError` for what is not whole, or below `least`."""
    try:
        whole = int(number)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or isinstance(number, bool | str) or whole != number or whole < least:
        raise UserError(f"{name}: {number} given; a whole number of at least {least} is needed")
    return whole


def number_between(number, name: str, low: float, high: float, hint: str = "") -> float:
    """Return `number` as a float; raise `UserError` for what is no number from `low` to `high`."""
    try:
        value = float(number)
    except (TypeError, ValueError):
        value = math.nan
    if not low <= value <= high:
        raise UserError(f"{name}: {number} given; a number from {low:g} to {high:g} is needed{hint}")
    return value


def as_day(date, name: str = "date") -> "pd.Timestamp":
    """Return `date`, anything `pandas.to_datetime` reads, as a day; with a time zone it is the day there."""
    import pandas as pd

    day = pd.to_datetime(date, errors="coerce")
    if not isinstance(day, pd.Timestamp) or pd.isna(day):
        raise UserError(f"{name} is {str(date)[:40]!r}; give a date such as 2025-04-13")
    return day.tz_localize(None).normalize()
