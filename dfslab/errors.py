"""Errors in one sentence, and the checks of single numbers and dates, written once."""

import difflib
import math
import re
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["InputError", "UserError", "as_day", "day_of", "did_you_mean", "in_words", "number_between", "whole_number"]


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


def did_you_mean(name, known, otherwise: str) -> str:
    """Return the question after the nearest of the `known` names, or what to do `otherwise`; names' parts count."""
    known, asked = [str(one) for one in known], str(name).lower()
    part = [one for one in known if asked and asked in one.lower()]
    near = part or difflib.get_close_matches(str(name), known, 1)
    return f"did you mean {near[0]}?" if near else otherwise


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

    A text that can be read as two days (`05.03.2032`) or names none (`2032`, `today`) raises `UserError`; midnight is
    how programs write a day.
    """
    import pandas as pd

    if isinstance(date, str):
        day = day_of(re.sub(r"T00:00[:0.]*(Z|[+-]00:?00)$", "", date.strip()))
    else:
        day = pd.NaT if isinstance(date, int | float) else pd.to_datetime(date, errors="coerce")
    if not isinstance(day, pd.Timestamp):
        raise UserError(f"{name} is {str(date)[:40]!r}; write it as 2025-04-13")
    return day.tz_localize(None).normalize()


def day_of(text: str, day_first: bool | None = None) -> "pd.Timestamp":
    """Return the day that `text` names, NaT where it names none or, `day_first` being unknown, two.

    A time with a zone names two days where it falls on another day in the eastern United States.
    """
    import pandas as pd

    with suppress(ValueError):
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo and moment.astimezone(EASTERN).date() != moment.date():
            return pd.NaT
    text = re.sub(r"[T\s]+\d{1,2}:\d\d.*$|^\s*(sun|mon|tue|wed|thu|fri|sat)[a-z]*[,.]?\s+", "", text, flags=re.I | re.S)
    text = re.sub(r"(?<=\d)(st|nd|rd|th)\b", "", text)
    text = re.sub(r"^(\d{4})(\d\d)(\d\d)$", r"\1 \2 \3", text.strip())
    days = {}
    for form in _FORMS:
        with suppress(ValueError):
            days[form] = datetime.strptime(re.sub(r"[\s,./-]+", " ", text), form)
    if len(set(days.values())) == 2 and day_first is not None:
        days = {"": days["%d %m %Y" if day_first else "%m %d %Y"]}
    found = [day for day in set(days.values()) if FIRST_YEAR <= day.year <= LAST_YEAR]
    return pd.Timestamp(found[0]) if len(found) == 1 else pd.NaT


EASTERN = timezone(timedelta(hours=-5))
"""The zone of most races, in winter; none starts within an hour of midnight."""
_FORMS = ("%Y %m %d", "%d %m %Y", "%m %d %Y", "%d %B %Y", "%d %b %Y", "%B %d %Y", "%b %d %Y", "%Y %b %d", "%d%b%Y")
"""How a day may be written, separators apart; only the second and third can name two."""
FIRST_YEAR, LAST_YEAR = 1949, 2100
"""NASCAR's first season, and a year beyond which a date is a typing error."""
