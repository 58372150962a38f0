"""Driver names across sources: one normal form, a match that never guesses between two, a list of what is left."""

import difflib
import re
import unicodedata
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

_MARKS = re.compile(r"\((?:p|i|r|c|rookie)\)|\(#\d+\)|#\d+\b|[#*†‡§]", re.IGNORECASE)
_ID = re.compile(r"\s*\(\d+\)\s*$")
_SUFFIXES = {"jr", "sr", "ii", "iii", "iv"}


@dataclass(frozen=True)
class Matched:
    """Who is who: `pairs` maps a name to its counterpart; the rest is listed, nothing is dropped.

    `ambiguous` maps a name to the counterparts it could be; `unmatched` has none at all.
    """

    pairs: dict[str, str]
    unmatched: tuple[str, ...]
    ambiguous: dict[str, tuple[str, ...]]

    @property
    def left(self) -> tuple[str, ...]:
        """Names without a counterpart, ambiguous ones included."""
        return (*self.unmatched, *self.ambiguous)


def clean_name(name) -> str:
    """Return `name` without the marks of the feeds (`#`, `*`, `(P)`, `(i)`), an id, a car number, or odd characters.

    UTF-8 that was once read as Windows-1252 (`SuÃ¡rez`) is put right.

    Examples
    --------
    >>> clean_name("* Jesse  Love(i)"), clean_name("Kyle Larson (26774369)"), clean_name("Larson, Kyle")
    ('Jesse Love', 'Kyle Larson', 'Kyle Larson')
    """
    name = "".join(c for c in str(name) if unicodedata.category(c) != "Cf")
    with suppress(UnicodeError):
        while (once := name.encode("cp1252").decode("utf-8")) != name:
            name = once
    name = _ID.sub("", name.replace("\u00a0", " "))
    name = " ".join(_MARKS.sub(" ", name).split())
    last, comma, first = name.partition(",")
    if comma and first.strip() and name_key(first) not in _SUFFIXES:
        name = f"{first.strip()} {last.strip()}"
    return name


def name_key(name) -> str:
    """Return `name` without accents, case, punctuation and feed marks; initials are joined, the suffix is kept.

    Examples
    --------
    >>> name_key("B.J. McLeod"), name_key("bj mcleod"), name_key("Daniel Suárez #"), name_key("Ricky Stenhouse Jr.")
    ('bj mcleod', 'bj mcleod', 'daniel suarez', 'ricky stenhouse jr')
    """
    name = _MARKS.sub(" ", _ID.sub("", str(name))).casefold().replace("ø", "o").replace("ł", "l")
    name = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)).casefold()
    name = re.sub(r"[.'’`´]", "", name)
    words = " ".join(re.sub(r"[\W_]+", " ", name).split())
    return re.sub(r"(?<=\b\w) (?=\w\b )", "", words)


@lru_cache(maxsize=100_000)
def _distance(one: str, other: str) -> int:
    """Return how far two keys are apart: 0 the same, 1 but for a suffix, 2 up to initials, `ANOTHER` two drivers."""
    if one == other and one:
        return 0
    words = [[word for word in key.split() if word not in _SUFFIXES] for key in (one, other)]
    suffixes = [_SUFFIXES & set(key.split()) for key in (one, other)]
    if not all(words) or words[0][-1] != words[1][-1] or (all(suffixes) and suffixes[0] != suffixes[1]):
        return ANOTHER
    if words[0] == words[1]:
        return 1
    firsts = words[0][:-1], words[1][:-1]
    pairs = zip(*firsts, strict=False)
    alike = all(firsts) and all(a == b or (1 in (len(a), len(b)) and a[0] == b[0]) for a, b in pairs)
    return 2 if alike else ANOTHER


ANOTHER = 3
"""Distance of two names from which they are two drivers'."""


def _keys(names) -> dict[str, str]:
    return {name: name_key(clean_name(name)) for name in names}


def match_names(names, known) -> Matched:
    """Match each of `names` to one of `known`.

    Three passes, each only over what the earlier ones left: the same normal form; the same without `Jr` and its like;
    the same last name with first names that agree up to initials (`John H. Nemechek`, `John Hunter Nemechek`).
    A pass matches two names only when neither has another candidate.

    Parameters
    ----------
    names, known : iterables of str; repeated names count once

    Returns
    -------
    Matched; its pairs map each matched name, as written, to the known one, as written.

    Examples
    --------
    >>> found = match_names(["B.J. McLeod", "K. Busch"], ["BJ McLeod", "Kyle Busch", "Kurt Busch"])
    >>> found.pairs, found.ambiguous
    ({'B.J. McLeod': 'BJ McLeod'}, {'K. Busch': ('Kyle Busch', 'Kurt Busch')})
    """
    left, free = _keys(names), _keys(known)
    pairs, ambiguous = {name: name for name in left if name in free}, {}
    for reach in range(ANOTHER):
        taken = set(pairs.values())
        near = {
            name: [other for other in free if other not in taken and _distance(key, free[other]) <= reach]
            for name, key in left.items()
            if name not in pairs
        }
        claims = Counter(other for found in near.values() for other in found)
        pairs |= {name: found[0] for name, found in near.items() if [claims[other] for other in found] == [1]}
        ambiguous |= {name: tuple(found) for name, found in near.items() if found}
    ambiguous = {name: who for name, who in ambiguous.items() if name not in pairs}
    return Matched(pairs, tuple(name for name in left if name not in pairs and name not in ambiguous), ambiguous)


def spellings(written, names, races: dict[str, set]) -> dict[str, str]:
    """Return the one of `names` that each spelling of `written` stands for; several may stand for one.

    A spelling is left out when it could be somebody else's: it fits two of `names`, fits another spelling that is
    nobody's, shares a race with a spelling that is nearer, or two spellings that are not each other's are as near.

    Parameters
    ----------
    written, names : iterables of str; a driver's own spelling, or the same normal form, is nearest
    races : spelling → the races it was in
    """
    keys, known = _keys(written), _keys(names)
    far = {old: {new: _distance(key, known[new]) for new in known} for old, key in keys.items()}
    nearest = {old: [new for new in known if far[old][new] == min(far[old].values()) < ANOTHER] for old in keys}
    fits = {old: found[0] for old, found in nearest.items() if len(found) == 1}

    def another(one: str, two: str) -> bool:
        return _distance(keys[one], keys[two]) == ANOTHER

    def is_driver(old: str, new: str) -> bool:
        mine, others = [own for own in keys if fits.get(own) == new], [own for own in keys if fits.get(own) != new]
        together = any(another(old, own) or races.get(old, set()) & races.get(own, set()) for own in mine if own != old)
        return not together and all(another(old, own) for own in others)

    return {old: new for old, new in fits.items() if far[old][new] == 0 or is_driver(old, new)}


def persons(frame: pd.DataFrame) -> pd.Series:
    """Return who each row is, in words that equal rows share: NASCAR's id decides, else the normal form of the name.

    Parameters
    ----------
    frame : driver and, where known, race_id and nascar_driver_id, in order of date; 0 and an id that two drivers of one
        race have decide nothing; a row goes by its id, not its name, where the id's latest name has no other id
    """
    key = frame["driver"].map({name: name_key(name) for name in frame["driver"].unique()})
    if "nascar_driver_id" not in frame:
        return key
    ids = frame["nascar_driver_id"]
    ids = ids[~ids.isin(["0", *ids[frame.duplicated(["race_id", "nascar_driver_id"])]])].dropna()
    latest = key[ids.index].groupby(ids).transform("last")
    sure = latest[latest.map(ids.groupby(key[ids.index]).nunique()) == 1]
    unsure = set(key[ids.index.difference(sure.index)])
    of_name = {one: who for one, who in zip(key[sure.index], sure, strict=True) if one not in unsure}
    without = key.map(lambda one: of_name.get(one, one)).drop(ids.index)
    return sure.reindex(key.index).fillna(without).fillna(key)


def renamed(frame: pd.DataFrame, pairs: dict[str, str]) -> pd.DataFrame:
    """Return `frame` with the drivers of `pairs` under their other name."""
    return frame.assign(driver=frame["driver"].map(lambda name: pairs.get(name, name)))


def near_names(name: str, known, n: int = 1) -> list[str]:
    """Return up to `n` of `known` that look like `name`, for the hint in an error; never used to match."""
    keys = {name_key(k): k for k in known}
    return [keys[k] for k in difflib.get_close_matches(name_key(name), list(keys), n, cutoff=0.75)]
