"""Tracks by name: kind and slug, for results that arrive without them."""

import re

from dfslab.data._names import name_key
from dfslab.data._schema import rows_of

_KINDS = {row["words"]: row["track_type"] for row in rows_of("tracks.csv")}
"""Words that tell the kind of a track, tried in this order (a road course at Daytona is a road course)."""

ATLANTA_REPAVED = 2022
"""Atlanta has raced as a superspeedway since it was banked to 28 degrees for this season."""

_GENERIC = r"\b(international|intl|motor|super)?\s?(speedway|superspeedway|raceway|race)\b|\b(international|motor)\b"


def track_slug(name: str) -> str:
    """Return the short form of a track's name that a race id ends with.

    Examples
    --------
    >>> track_slug("Las Vegas Motor Speedway"), track_slug("Watkins Glen International")
    ('las-vegas', 'watkins-glen')
    """
    key = name_key(name)
    short = re.sub(_GENERIC, " ", key).split() or key.split()
    return "-".join(short) or "track"


def track_type(name: str, season: int, length_mi: float) -> tuple[str, bool]:
    """Return the kind of a track, and whether it had to be guessed from its length."""
    key = name_key(name).replace("-", " ")
    if "atlanta" in key:
        return ("superspeedway" if season >= ATLANTA_REPAVED else "intermediate"), False
    known = next((kind for words, kind in _KINDS.items() if words in key), None)
    if known:
        return known, False
    return ("short" if length_mi < 1 else "superspeedway" if length_mi >= 2.5 else "intermediate"), True
