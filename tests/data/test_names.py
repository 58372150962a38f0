"""Names: spellings that are one driver, drivers that only look alike, and nothing lost."""

import string

from hypothesis import given
from hypothesis import strategies as st

from dfslab.data._names import clean_name, match_names, name_key, near_names

SAME = [
    ("B.J. McLeod", "BJ McLeod"),
    ("J J Yeley", "J.J. Yeley"),
    ("Corey Lajoie", "Corey LaJoie"),
    ("Daniel Suárez", "Daniel Suarez"),
    ("Shane van Gisbergen", "Shane Van Gisbergen"),
    ("Ricky Stenhouse Jr.", "Ricky Stenhouse Jr"),
    ("Martin Truex, Jr.", "Martin Truex Jr"),
    ("Ricky Stenhouse", "Ricky Stenhouse Jr"),
    ("John Hunter Nemechek", "John H. Nemechek"),
    ("* Jesse Love(i)", "Jesse Love"),
    ("# Connor Zilisch (P)", "Connor Zilisch"),
    ("Larson, Kyle", "Kyle Larson"),
    ("Kyle Larson (26774369)", "KYLE  LARSON"),
    ("Patrick O’Ward", "Patrick O'Ward"),
]
APART = [
    ("Kyle Busch", "Kurt Busch"),
    ("Austin Dillon", "Ty Dillon"),
    ("Dale Earnhardt Jr", "Dale Earnhardt Sr"),
    ("Ty Gibbs", "Ty Gibson"),
    ("Larson", "Kyle Larson"),
    ("", "Kyle Larson"),
]


def test_spellings_of_one_driver_match_both_ways():
    for one, other in SAME:
        assert match_names([one], [other, "Kyle Busch"]).pairs == {one: other}
        assert match_names([other], ["Kyle Busch", one]).pairs == {other: one}


def test_different_drivers_stay_apart():
    for one, other in APART:
        found = match_names([one], [other])
        assert not found.pairs and found.left == (one,)


def test_never_guesses_between_two():
    brothers = ["Kyle Busch", "Kurt Busch"]
    found = match_names(["K. Busch"], brothers)
    assert not found.pairs and found.ambiguous == {"K. Busch": tuple(brothers)}
    twice = match_names(["A. Dillon", "Au Dillon"], ["Austin Dillon"])
    assert "Au Dillon" in twice.left
    claimed = match_names(["BJ McLeod", "B.J. McLeod"], ["Bj Mcleod"])
    assert not claimed.pairs and len(claimed.left) == 2


def test_an_exact_name_wins_over_an_initial():
    found = match_names(["K. Busch", "Kyle Busch"], ["Kyle Busch", "Kurt Busch"])
    assert found.pairs == {"Kyle Busch": "Kyle Busch", "K. Busch": "Kurt Busch"}


def test_hints_are_near_and_never_a_match():
    assert near_names("Chris Beuscher", ["Chris Buescher", "Kyle Busch"]) == ["Chris Buescher"]
    assert not match_names(["Chris Beuscher"], ["Chris Buescher"]).pairs


@given(st.lists(st.text(string.ascii_letters + " .'-,()#*é", max_size=20), max_size=12), st.randoms())
def test_every_name_is_matched_or_listed_whatever_the_order(names, shuffler):
    known = names[::2]
    found = match_names(names, known)
    assert set(found.pairs) | set(found.left) == set(names) and not set(found.pairs) & set(found.left)
    assert len(set(found.pairs.values())) == len(found.pairs)
    assert all(found.pairs[name] == name for name in known)
    mixed = list(names)
    shuffler.shuffle(mixed)
    assert match_names(mixed, known).pairs == found.pairs


@given(st.text(max_size=30))
def test_key_and_clean_are_idempotent(text):
    assert name_key(name_key(text)) == name_key(text)
    assert name_key(text.upper()) == name_key(text.upper().lower()) or not text.isascii()
    assert "#" not in clean_name(text)
