"""Errors in one sentence, and the checks of single numbers and dates, written once."""

import math
import re
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["InputError", "UserError", "as_day", "day_of", "in_words", "number_between", "whole_number"]


class UserError(ValueError):
    """Something a user can fix; the message is one sentence: what is wrong, where, and what to do."""


class InputError(UserError):
    """A user's file cannot be used as it is; the message is one line: which file, which row, how to fix it."""

    def __init__(self, message):
        super().__init__("".join(c if c.isprintable() else " " for c in str(message)))


def in_words(error: BaseException) -> str:
    """Return any error as one sentence: our own as they are, others with their kind."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError):
        return "the memory is full; ask for fewer scenarios (-p n_scenarios=5000) or --workers 1"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the system'}: {error.strerror.lower()}; name another place, or fix that one"
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def whole_number(number, name: str, least: int) -> int:
    """Return `number` as an int; raise `UserError` for anything but a whole number of at least `least`."""
    try:
        whole = int(number)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or isinstance(number, bool | str) or whole != number or whole < least:
        raise UserError(f"{name}: {number} given; a whole number of at least {least} is needed")
    return whole


def number_between(number, name: str, low: float, high: float, hint: str = "") -> float:
    """Return `number` as a float; raise `UserError` for anything but a number from `low` to `high`."""
    try:
        value = float(number)
    except (TypeError, ValueError):
        value = math.nan
    if not low <= value <= high:
        raise UserError(f"{name}: {number} given; a number from {low:g} to {high:g} is needed{hint}")
    return value


def as_day(date, name: str = "date") -> "pd.Timestamp":
    """Return `date`, a text such as 2025-04-13 or anything of datetime, pandas or numpy, as a day without a time zone.

    A text that can be read as two days (`05.03.2032`) or names none (`2032`, `today`) raises `UserError`.
    """
    import pandas as pd

    if isinstance(date, str):
        day = day_of(date)
    else:
        day = pd.NaT if isinstance(date, int | float) else pd.to_datetime(date, errors="coerce")
    if not isinstance(day, pd.Timestamp):
        raise UserError(f"{name} is {str(date)[:40]!r}; write it as 2025-04-13")
    return day.tz_localize(None).normalize()


def day_of(text: str, day_first: bool | None = None) -> "pd.Timestamp":
    """Return the day that `text` names, NaT where it names none or, `day_first` being unknown, two."""
    import pandas as pd

    text = re.sub(r"[T\s]+\d{1,2}:\d\d.*$", "", text.strip(), flags=re.DOTALL)
    numbers = re.fullmatch(r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})", text, re.ASCII)
    compact = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", text, re.ASCII)
    if compact or (numbers and len(numbers[1]) == 4):
        form, text = "%Y %m %d", " ".join(compact.groups() if compact else numbers.group(1, 3, 4))
    elif numbers:
        first, second = int(numbers[1]), int(numbers[3])
        known = first > 12 if max(first, second) > 12 or first == second else day_first
        form, text = (None if known is None else "%d %m %Y" if known else "%m %d %Y"), " ".join(numbers.group(1, 3, 4))
    else:
        text = re.sub(r"[\s,.-]+", " ", re.sub(r"^[A-Za-z]+day,?\s+", "", text))
        form = "%B %d %Y" if text[:1].isalpha() else "%d %B %Y"
        form = form.replace("B", "b") if re.search(r"\b[A-Za-z]{3}\b", text) else form
    try:
        day = pd.Timestamp(datetime.strptime(text, form or ""))
    except ValueError:
        return pd.NaT
    return day if FIRST_YEAR <= day.year <= LAST_YEAR else pd.NaT


FIRST_YEAR, LAST_YEAR = 1949, 2100
"""NASCAR's first season, and a year beyond which a date is a typing error."""
