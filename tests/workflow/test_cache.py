"""Stages kept by content: equal to the last bit, known by everything that matters, harmless when damaged."""

import copy
import dataclasses
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_race import SAMPLE, SMALL_RACE

from dfslab import data, parallel
from dfslab.metrics import Minimum
from dfslab.race import RaceModel
from dfslab.workflow._cache import LARGEST, _arithmetic, _tidy, cached, key_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("DFSLAB_CACHE", str(tmp_path / "cache"))
    parallel.cache_folder.cache_clear()
    yield tmp_path / "cache" / "stages"
    parallel.cache_folder.cache_clear()


def _same(one, other) -> bool:
    """Whether two values are of one type and equal to the last bit, whatever they hold."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray) and not one.dtype.hasobject:
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and all(map(_same, one.ravel(), other.ravel()))
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True, check_column_type=True, check_freq=False)
        return True
    if isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, other, check_exact=True, check_freq=False)
        return True
    if isinstance(one, pd.Index):
        pd.testing.assert_index_equal(one, other, exact=True)
        return True
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[k], other[k]) for k in one)
    if dataclasses.is_dataclass(one):
        return all(_same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one is other or one == other or (one != one and other != other)


DATES = pd.to_datetime(["2026-03-15", None])
ODD = [
    {"a": (1, [2.5, None], True), 3: -0.0, "nan": float("nan"), "inf": -np.inf},
    (np.float32(0.1), np.int8(-3), np.bool_(True), np.datetime64("2026-03-15"), np.str_("Suárez")),
    (pd.Timestamp("2026-03-15 12:00"), pd.Timestamp("2026-03-15", tz="America/New_York"), pd.NaT, pd.Timedelta("3h")),
    {1, 2, 5},
    (np.float64(0.5), None),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(24, dtype=np.int16).reshape(2, 3, 4)[:, ::2],
    np.zeros((0, 6), np.int64),
    np.array(["Kyle Larson", None, 3], object).reshape(3, 1),
    np.array([b"x", b"yz"]),
    Minimum(np.zeros(2), np.ones(2), True),
    pd.Series(["Ann", None], ["x", "y"], name="driver"),
    pd.Series(["Ann", 1], dtype=object),
    pd.Series([1, None], dtype="Int64"),
    pd.Series([True, None], dtype="boolean"),
    pd.Series(["a", "b", "a"], dtype="category"),
    pd.Series(DATES),
    pd.Series(DATES.tz_localize("UTC")),
    pd.DataFrame(),
    pd.DataFrame({"x": []}, index=pd.Index([], name="driver", dtype=object)),
    pd.DataFrame([[1, "a"], [2, "b"]], columns=["twice", "twice"]),
    pd.DataFrame({"x": [1.5, np.nan]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", None])),
    pd.DataFrame({("a", 1): [1], ("a", 2): [2.0]}),
    pd.Index(["b", "a"], dtype=object, name="o"),
    pd.RangeIndex(3, 9, 2),
]


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_equal_to_the_last_bit(value, folder):
    first, again = cached(_given, value), cached(_given, value)
    assert _same(first, again) and _same(value, again) and len(list(folder.iterdir())) == 1


def _given(value):
    return value


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_VALUES = st.recursive(_LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=2), x, max_size=3))


@settings(deadline=None, max_examples=60)
@given(_VALUES)
def test_equal_values_have_one_key_and_others_another(value):
    assert key_of(_given, value) == key_of(_given, copy.deepcopy(value)) != key_of(_given, [value])


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_a_key_outlives_the_process(value):
    assert key_of(_given, value) == key_of(_given, pickle.loads(pickle.dumps(value)))


def test_what_was_computed_with_a_value_does_not_change_its_key():
    slate = data.load_slate(SMALL_RACE, SAMPLE)
    before = key_of(_given, slate)
    _ = slate.names, slate.salary, slate.out, slate.drivers.to_numpy()
    assert key_of(_given, slate) == before


def test_a_race_model_and_its_scenarios_come_back_to_the_last_bit(folder):
    slate = data.load_slate(SMALL_RACE, SAMPLE)
    past = data.history(SAMPLE, before=slate.race.date, series="cup")
    model = cached(RaceModel.fit, past.results, past.races, slate.race.date)
    kept = cached(RaceModel.fit, past.results, past.races, slate.race.date)
    fresh = RaceModel.fit(past.results, past.races, slate.race.date)
    draws = [_races(m, slate, 300, 1) for m in (fresh, model, kept)]
    assert _same(draws[0], draws[1]) and _same(draws[0], draws[2])
    assert _same(cached(_races, kept, slate, 300, 1), cached(_races, kept, slate, 300, 1))
    assert len(list(folder.iterdir())) == 2


def _races(model, slate, n, seed):
    return model.simulate(slate.starters, slate.race, n, np.random.default_rng(seed)).for_slate(slate)


def test_anything_that_matters_is_part_of_the_key(monkeypatch):
    past = pd.DataFrame({"race_id": ["a", "b"], "finish": [1, 2], "date": DATES})
    keys = {
        "as it is": key_of(_races, past, 20_000, 1),
        "a past race": key_of(_races, past.assign(finish=[2, 1]), 20_000, 1),
        "one race less": key_of(_races, past[:1], 20_000, 1),
        "a date": key_of(_races, past.assign(date=DATES[::-1]), 20_000, 1),
        "a column's name": key_of(_races, past.rename(columns={"finish": "start"}), 20_000, 1),
        "a column's type": key_of(_races, past.astype({"finish": float}), 20_000, 1),
        "the seed": key_of(_races, past, 20_000, 2),
        "a setting": key_of(_races, past, 20_001, 1),
        "a setting by name": key_of(_races, past, 20_000, seed=1),
        "a number's type": key_of(_races, past, 20_000.0, 1),
        "the function": key_of(_given, past, 20_000, 1),
    }
    solve, digest = np.linalg.solve, "dfslab.workflow._cache.code_digest"
    for name, where, other in (
        ("the version", digest, lambda: "another version"),
        ("numpy's version", "numpy.__version__", "9.9"),
        ("scipy's version", "scipy.__version__", "9.9"),
        ("pandas' version", "pandas.__version__", "9.9"),
        ("the last bits of a solution", "numpy.linalg.solve", lambda a, b: solve(a, b) * (1 + 1e-15)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, other)
            _arithmetic.cache_clear()
            keys[name] = key_of(_races, past, 20_000, 1)
    _arithmetic.cache_clear()
    assert len(set(keys.values())) == len(keys) and key_of(_races, past, 20_000, 1) == keys["as it is"]


EDITS = {
    "a constant": ("A = 1.5", "A = 2.5"),
    "a sign": ("A = 1 + 5", "A = 1 - 5"),
    "a comparison": ("A = 1 < 5", "A = 1 > 5"),
    "a name": ("A = min(1, 5)", "A = max(1, 5)"),
    "an option": ("F = dict(x=True )", "F = dict(x=False)"),
    "two lines in another order": ("A = 1\nA = 2", "A = 2\nA = 1"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_digest_of_the_sources_knows_an_edit_of_the_same_size_and_time(edit, tmp_path, monkeypatch):
    package = tmp_path / "dfslab"
    package.mkdir()
    found = set()
    assert len(set(map(len, EDITS[edit]))) == 1
    for text in EDITS[edit]:
        (package / "laps.py").write_text(f"from numba import njit\n{text}\n")
        os.utime(package / "laps.py", (1e9, 1e9))
        monkeypatch.setattr(parallel, "PACKAGE", package)
        parallel.code_digest.cache_clear()
        found |= {parallel.code_digest(), parallel.code_digest(kernels=True)}
    parallel.code_digest.cache_clear()
    assert len(found) == 2


@pytest.mark.parametrize(
    "value",
    [np.random.default_rng(1), Path("races"), lambda: 1],
    ids=["generator", "path", "lambda"],
)
def test_what_has_no_content_is_refused(value, folder):
    with pytest.raises(TypeError, match="hand over values"):
        key_of(_given, [value])


def test_a_method_is_known_by_what_it_belongs_to():
    few, many = pd.Series([1, 2]), pd.Series([1, 3])
    assert key_of(few.sum) == key_of(pd.Series([1, 2]).sum) != key_of(many.sum)


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "another file", "a pickle"])
def test_a_damaged_file_is_said_and_computed_again(damage, folder, tmp_path):
    value = {"x": np.arange(500.0)}
    cached(_given, value)
    (path,) = folder.iterdir()
    raw, evil = path.read_bytes(), pickle.dumps(_Evil(tmp_path / "it-ran.txt"))
    flipped = bytes(b ^ 255 if 300 < k < 340 else b for k, b in enumerate(raw))
    damaged = {"cut": raw[:200], "empty": b"", "flipped": flipped, "another file": b"x" * 999, "a pickle": evil}
    path.write_bytes(damaged[damage])
    with pytest.warns(UserWarning, match=r"damaged: computed again"):
        assert _same(cached(_given, value), value)
    assert _same(cached(_given, value), value) and not (tmp_path / "it-ran.txt").exists()


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_cache_that_cannot_be_written_keeps_nothing_and_harms_nobody(folder):
    folder.parent.mkdir()
    folder.write_text("a file in the place of the folder")
    assert cached(_given, (1, 2)) == (1, 2)


def test_what_was_not_used_for_long_goes_and_the_rest_stays_small(folder):
    folder.mkdir(parents=True)
    for name, days, size in (("old", 40, 1), ("new", 1, 10), ("large", 2, LARGEST)):
        path = folder / f"{name}"
        with open(path, "wb") as handle:
            handle.truncate(int(size))
        os.utime(path, (path.stat().st_mtime - 86_400 * days,) * 2)
    _tidy(folder)
    assert [p.name for p in folder.iterdir()] == ["new"]


def test_two_runs_at_once_give_the_same_and_leave_one_file(folder):
    code = "import numpy as np\nfrom dfslab.workflow._cache import cached\nprint(cached(np.arange, 200_000).sum())"
    env = os.environ | {"DFSLAB_CACHE": str(folder.parent)}
    runs = [subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE) for _ in range(3)]
    assert {run.communicate()[0].strip() for run in runs} == {b"19999900000"}
    assert [path.suffix for path in folder.iterdir()] == [""]
