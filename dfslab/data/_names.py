"""Driver names across sources: one normal form, a match that never guesses between two, a list of what is left."""

import difflib
import re
import unicodedata
from dataclasses import dataclass

import pandas as pd

_MARKS = re.compile(r"\((?:p|i|r|c|rookie)\)|[#*†‡§]", re.IGNORECASE)
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
    """Return `name` without the marks of the feeds (`#`, `*`, `(P)`, `(i)`), an id, or odd spaces.

    Examples
    --------
    >>> clean_name("* Jesse  Love(i)"), clean_name("Kyle Larson (26774369)"), clean_name("Larson, Kyle")
    ('Jesse Love', 'Kyle Larson', 'Kyle Larson')
    """
    name = _ID.sub("", str(name).replace("\u00a0", " "))
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
    words = re.sub(r"[^\w]+", " ", name).replace("_", " ").split()
    return " ".join(_joined_initials(words))


def _joined_initials(words: list[str]) -> list[str]:
    joined: list[str] = []
    initials = False
    for n, word in enumerate(words):
        single = len(word) == 1 and n < len(words) - 1
        if single and initials:
            joined[-1] += word
        else:
            joined.append(word)
        initials = single
    return joined


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
    left = {name: name_key(clean_name(name)) for name in names}
    free = {name: name_key(clean_name(name)) for name in known}
    pairs, ambiguous = {name: name for name in left if name in free}, {}
    left, free = _without(left, pairs), _without(free, set(pairs.values()))
    for same in (str.__eq__, _same_without_suffix, _same_up_to_initials):
        found, unclear = _pass(left, free, same)
        pairs |= found
        ambiguous = {**ambiguous, **unclear}
        left, free = _without(left, found), _without(free, set(found.values()))
    ambiguous = {name: who for name, who in ambiguous.items() if name in left}
    return Matched(pairs, tuple(name for name in left if name not in ambiguous), ambiguous)


def spellings(written, names, races: dict[str, set]) -> dict[str, str]:
    """Return the one of `names` that each spelling of `written` stands for; several may stand for one.

    A spelling is left out when it could be somebody else's: it fits two of `names`, fits another spelling that is
    nobody's, shares a race with a spelling that is nearer, or two spellings that are not each other's are as near.

    Parameters
    ----------
    written, names : iterables of str; a driver's own spelling, or the same normal form, is nearest
    races : spelling → the races it was in
    """
    keys = {name: name_key(clean_name(name)) for name in written}
    by_last: dict[str, list[str]] = {}
    for name in names:
        by_last.setdefault(_last(name_key(clean_name(name))), []).append(name)
    fits = {old: match_names([old], by_last.get(_last(key), [])).pairs.get(old) for old, key in keys.items()}
    pairs: dict[str, str] = {}
    for new in dict.fromkeys(filter(None, fits.values())):
        mine = [old for old in keys if fits[old] == new]
        near = [old for old in mine if keys[old] == name_key(clean_name(new))]
        others = [old for old in mine if old not in near and not _could_be_another(old, mine, keys)]
        apart = {one for one in others for two in others if one != two and _two_people(one, two, races)}
        alone = {old for old in others if not any(_two_people(old, own, races) for own in near)} - apart
        pairs |= dict.fromkeys([*near, *(old for old in others if old in alone)], new)
    return pairs


def persons(frame: pd.DataFrame) -> pd.Series:
    """Return who each row is, in words that equal rows share: NASCAR's id decides, else the normal form of the name.

    Parameters
    ----------
    frame : driver and, where known, race_id and nascar_driver_id, in order of date; an id that two drivers of one race
        have decides nothing
    """
    key = frame["driver"].map({name: name_key(name) for name in frame["driver"].unique()})
    if "nascar_driver_id" not in frame:
        return key
    ids = frame["nascar_driver_id"]
    ids = ids[~ids.isin(ids[frame.duplicated(["race_id", "nascar_driver_id"])])].dropna()
    latest = dict(zip(key[ids.index], key[ids.index].groupby(ids).transform("last"), strict=True))
    return key.map(lambda one: latest.get(one, one))


def _could_be_another(old: str, mine: list[str], keys: dict[str, str]) -> bool:
    """Return whether a spelling is also that of somebody who is not among `mine`."""
    same_last = [other for other in keys if other not in mine and _last(keys[other]) == _last(keys[old])]
    return any(match_names([old], [other]).pairs for other in same_last)


def _two_people(one: str, two: str, races: dict[str, set]) -> bool:
    return bool(races.get(one, set()) & races.get(two, set())) or not match_names([one], [two]).pairs


def _without(names: dict, taken) -> dict:
    return {name: key for name, key in names.items() if name not in taken}


def _pass(left: dict, free: dict, same) -> tuple[dict, dict]:
    by_last: dict[str, list[str]] = {}
    for name, key in free.items():
        by_last.setdefault(_last(key), []).append(name)
    candidates = {
        name: [k for k in by_last.get(_last(key), []) if key and same(key, free[k])] for name, key in left.items()
    }
    claims = [k for found in candidates.values() for k in found]
    pairs = {n: found[0] for n, found in candidates.items() if len(found) == 1 and claims.count(found[0]) == 1}
    unclear = {n: tuple(found) for n, found in candidates.items() if found and n not in pairs}
    return pairs, unclear


def _words(key: str) -> list[str]:
    return [word for word in key.split() if word not in _SUFFIXES]


def _last(key: str) -> str:
    return (_words(key) or [""])[-1]


def _same_without_suffix(one: str, other: str) -> bool:
    return _words(one) == _words(other) and _compatible_suffixes(one, other)


def _compatible_suffixes(one: str, other: str) -> bool:
    suffixes = [_SUFFIXES & set(key.split()) for key in (one, other)]
    return not all(suffixes) or suffixes[0] == suffixes[1]


def _same_up_to_initials(one: str, other: str) -> bool:
    firsts, others = _words(one)[:-1], _words(other)[:-1]
    if not firsts or not others or not _compatible_suffixes(one, other):
        return False
    pairs = zip(firsts, others, strict=False)
    return all(a == b or (1 in (len(a), len(b)) and a[0] == b[0]) for a, b in pairs)


def near_names(name: str, known, n: int = 1) -> list[str]:
    """Return up to `n` of `known` that look like `name`, for the hint in an error; never used to match."""
    keys = {name_key(k): k for k in known}
    return [keys[k] for k in difflib.get_close_matches(name_key(name), list(keys), n, cutoff=0.75)]
