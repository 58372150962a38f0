"""Tracks by name: kind and slug, for results that arrive without them."""

import re

from dfslab.data._names import name_key

__all__ = ["track_slug", "track_type"]

_ROAD = ("road course", "roval", "street", "grand prix", "road america", "circuit of the americas", "sonoma")
_ROAD += ("watkins glen", "hermanos rodriguez", "mid ohio", "portland", "lime rock", "coronado", "st petersburg")
_KINDS = {
    "dirt": ("dirt", "eldora", "knoxville"),
    "road": _ROAD,
    "superspeedway": ("daytona", "talladega", "echopark"),
    "large_flat": ("indianapolis motor speedway", "pocono"),
    "short_flat": ("phoenix", "ism raceway", "new hampshire", "gateway", "world wide technology", "milwaukee"),
    "short": ("bristol", "martinsville", "richmond", "iowa", "wilkesboro", "bowman gray", "fairgrounds", "lucas oil"),
    "intermediate": (
        *("auto club", "charlotte", "chicagoland", "darlington", "dover", "homestead", "kansas", "kentucky"),
        *("las vegas", "michigan", "nashville superspeedway", "texas", "rockingham"),
    ),
}
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
    for kind, words in _KINDS.items():
        if any(word in key for word in words):
            return kind, False
    return ("short" if length_mi < 1 else "superspeedway" if length_mi >= 2.5 else "intermediate"), True
