"""Whatever is in a file, a reader answers with a result or with an `InputError`, and changes nothing on disk."""

import json
import random
import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from race_files import (
    DRIVERS,
    RACE,
    contest_facts,
    csv_bytes,
    entries_rows,
    race_facts,
    result_rows,
    salary_rows,
    standings_rows,
    write_race,
    write_standings,
)

from dfslab.data._contests import read_contests
from dfslab.data._entries import read_entries
from dfslab.data._race_folder import open_folder
from dfslab.data._standings import read_standings
from dfslab.data._tables import read_table
from dfslab.errors import InputError

GRID = csv_bytes([["driver", "start"], *[[name, n] for n, name in enumerate(DRIVERS, 1)]])
PROJECTIONS = csv_bytes([["driver", "projected_points", "projected_ownership"], *[[n, 30, "50%"] for n in DRIVERS]])
RACES = csv_bytes([["race_id", "date", "track_type", "cautions"], [RACE, "2031-05-04", "road", 3]])
OWNERSHIP = csv_bytes([["contest_id", "date", "driver", "ownership"], *[["1", "2031-05-04", n, 50] for n in DRIVERS]])
PAYOUTS = csv_bytes([["min_rank", "max_rank", "prize", "entry_fee", "entries"], [1, 1, 50, 10, 12], [2, 4, 5, 10, 12]])
READERS = {
    "salaries": (partial(read_table, name="salaries"), "csv", csv_bytes(salary_rows())),
    "grid": (partial(read_table, name="starting_lineup"), "csv", GRID),
    "projections": (partial(read_table, name="projections"), "csv", PROJECTIONS),
    "results": (partial(read_table, name="results"), "csv", csv_bytes(result_rows())),
    "races": (partial(read_table, name="races"), "csv", RACES),
    "ownership": (partial(read_table, name="ownership"), "csv", OWNERSHIP),
    "standings": (read_standings, "csv", csv_bytes(standings_rows(), "utf-8-sig")),
    "standings zip": (read_standings, "zip", None),
    "entries": (read_entries, "csv", csv_bytes(entries_rows())),
    "contest table": (read_contests, "csv", PAYOUTS),
    "contest": (read_contests, "json", json.dumps([contest_facts()] * 2).encode()),
    "race": (lambda path: open_folder(RACE, path.parents[2]).race, "json", json.dumps(race_facts()).encode()),
}
HOSTILE = [
    "=1+1",
    "-1",
    "1e999",
    "nan",
    "∞",
    "9" * 400,
    "\x00",
    '"',
    ",",
    "\n",
    "\r",
    "٣",
    "½",
    "0x10",
    "1_000",
    "true",
    "D",
    "%",
]
QUICK = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Return the good bytes of every reader's file."""
    zipped = write_standings(tmp_path_factory.mktemp("zip")).read_bytes()
    return {name: content or zipped for name, (_, _, content) in READERS.items()}


def _answer(name: str, content: bytes):
    reader, suffix, _ = READERS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "races" / RACE / f"race.{suffix}"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        try:
            return reader(path)
        except InputError as error:
            text = str(error)
            assert path.name in text and text.isprintable() and len(text) < 1000
            return None
        finally:
            assert path.read_bytes() == content and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("name", READERS)
def test_the_good_file_is_read(good, name):
    assert _answer(name, good[name]) is not None


@pytest.mark.parametrize("name", READERS)
@QUICK
@given(content=st.binary(max_size=300))
def test_any_bytes(name, content):
    _answer(name, content)


@pytest.mark.parametrize("name", READERS)
@QUICK
@given(where=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_cut_off_spoilt_and_shuffled(good, name, where, seed):
    raw, rng = good[name], random.Random(seed)
    _answer(name, raw[: int(where * len(raw))])
    at = int(where * len(raw))
    _answer(name, raw[:at] + rng.choice(HOSTILE).encode() + raw[at + rng.randrange(8) :])
    lines = raw.split(b"\n")
    rng.shuffle(lines)
    _answer(name, b"\n".join(lines))


@pytest.mark.parametrize("name", [name for name, (_, suffix, _) in READERS.items() if suffix == "csv"])
@QUICK
@given(seed=st.integers(0, 10**6))
def test_hostile_cells(good, name, seed):
    rng = random.Random(seed)
    rows = [line.split(",") for line in good[name].decode("utf-8-sig").splitlines() if line]
    for _ in range(rng.randrange(1, 4)):
        row = rng.choice(rows)
        row[rng.randrange(len(row))] = rng.choice(HOSTILE)
    _answer(name, csv_bytes(rows))


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp500", "utf-8-sig"])
def test_other_encodings(good, name, encoding):
    raw = good[name]
    if name != "standings zip":
        _answer(name, raw.decode("utf-8-sig").encode(encoding))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(HOSTILE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(("name", "facts"), [("contest", contest_facts()), ("race", race_facts())])
@settings(QUICK, max_examples=80)
@given(st.data())
def test_any_value_of_any_key(name, facts, data):
    changed = {**facts, data.draw(st.sampled_from(sorted(facts))): data.draw(_VALUES)}
    _answer(name, json.dumps(changed).encode())


@pytest.mark.parametrize("name", READERS)
def test_a_reader_of_one_file_refuses_every_other(good, name):
    """A file of another kind is refused, or is read because it really holds what is asked for."""
    reads = {
        "salaries": {"salaries", "entries"},
        "grid": {"grid", "results"},
        "projections": {"projections", "ownership"},
        "results": {"results"},
        "races": {"races"},
        "ownership": {"ownership"},
        "standings": {"standings", "standings zip"},
        "standings zip": {"standings", "standings zip"},
        "entries": {"entries"},
        "contest table": {"contest table"},
        "contest": {"contest"},
        "race": {"race"},
    }
    accepted = {other for other, content in good.items() if _answer(name, content) is not None}
    assert name in accepted and accepted <= reads[name]


def test_a_long_season_of_text_is_read(tmp_path):
    folder = write_race(tmp_path)
    rows = standings_rows([[0, 2, 5, 8, 10, 11]] * 30_000)
    write_standings(folder, rows)
    assert len(open_folder(RACE, tmp_path).standings[0]) == 30_000
