"""Finished stages, kept by content: the same function of the same inputs is computed once, in any run or process.

`cached(function, *args, **kwargs)` is `function(*args, **kwargs)`, from the cache where it is there:

    scenarios = cached(simulate, model, starters, race, n_scenarios, seed)

The key is a digest of the function's name, the content of every argument, and the sources of the package (with numba's
and Python's versions); so a changed input, seed, setting, constant or version is another key, and there is nothing to
invalidate. Arguments are values: a generator is refused (hand over the seed), and so is a path (hand over what the file
says). Arguments and results may be None, bools, numbers, text, dates, tuples, lists, dicts, arrays, frames, Series,
indexes, dataclasses of these, and functions of the package by name; a key may also hold those of others.

A result is one npz file: arrays as they are, the rest as JSON, never a pickle, equal to the last bit; the result is the
same object whether it was computed now or read. The files lie in `cache_folder()/stages`, never in a data folder, and
may be deleted at any time; what was not used for long goes by itself. Two runs at once are safe.
"""

import dataclasses
import functools
import hashlib
import importlib
import json
import os
import tempfile
import time
import types
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.parallel import cache_folder, code_digest

LARGEST, LONGEST = 2e9, 30 * 86_400.0
"""Bytes all stages may take together, and seconds a stage is kept after its last use: a season of reports fits."""


def cached(function, /, *args, **kwargs):
    """Return `function(*args, **kwargs)`, read from the cache or computed and kept.

    Raises
    ------
    TypeError : an argument has no content to be known by (a generator, a path, an open file), or the result holds one
    """
    path = cache_folder() / "stages" / f"{key_of(function, *args, **kwargs)}.npz"
    kept = _read(path)
    if kept is None:
        kept = _encoded(function(*args, **kwargs))
        _write(path, *kept)
    return _decoded(*kept)


def key_of(function, /, *args, **kwargs) -> str:
    """Return the digest that `cached` keeps a result by."""
    tree, arrays = _encoded([function, list(args), kwargs], names=True)
    digest = hashlib.sha256(f"{code_digest()}{json.dumps(tree)}".encode())
    for array in arrays:
        order = "F" if array.flags.f_contiguous else "C"
        digest.update(f"{array.dtype.str}{array.shape}{order}".encode())
        digest.update(array.tobytes("A"))
    return digest.hexdigest()


def _read(path: Path):
    """Return the tree and arrays of a kept result; None where there is none, or a damaged one, which is said."""
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = [held[f"a{k}"] for k in range(len(held.files) - 1)]
            kept = json.loads(held["tree"].tobytes()), arrays
        _decoded(*kept)
        os.utime(path)
        return kept
    except OSError:
        return None
    except Exception as error:  # whatever a damaged file makes numpy, zipfile, json or pandas say
        warnings.warn(f"{path.name} in the cache is damaged ({error}): computed again", stacklevel=3)
        return None


def _write(path: Path, tree, arrays) -> None:
    """Keep a result; a disk that is full or read-only keeps nothing, and that is no error."""
    aside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = np.frombuffer(json.dumps(tree).encode(), np.uint8)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as handle:
            aside = Path(handle.name)
            np.savez(handle, tree=text, **{f"a{k}": array for k, array in enumerate(arrays)})
        os.replace(aside, path)
        _tidy(path.parent)
    except OSError:
        if aside is not None:
            aside.unlink(missing_ok=True)


def _tidy(folder: Path) -> None:
    """Remove what was not used for long, then the oldest until the rest is small enough."""
    files = sorted(((s.st_mtime, s.st_size, path) for path, s in _stats(folder)), reverse=True)
    room, since = LARGEST, time.time() - LONGEST
    for used, size, path in files:
        room -= size
        if used < since or room < 0:
            path.unlink(missing_ok=True)


def _stats(folder: Path):
    for path in folder.iterdir():
        try:
            yield path, path.stat()
        except FileNotFoundError:
            continue


# ---------------------------------------------------------------- values as JSON and arrays

_PLAIN = (type(None), bool, int, float, str)


def _encoded(value, names: bool = False) -> tuple:
    """Return `value` as a tree that JSON holds, and the arrays it refers to by number."""
    arrays = []
    return _tree(value, arrays, names), arrays


def _tree(value, arrays: list, names: bool):
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is np.ndarray and not value.dtype.hasobject:
        arrays.append(value if value.flags.f_contiguous else np.ascontiguousarray(value))
        return {"array": [len(arrays) - 1]}
    for name, (known, parts, _) in _KINDS.items():
        if kind is known or (isinstance(value, known) and known not in (tuple, list)):
            return {name: [_tree(part, arrays, names) for part in parts(value)]}
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        return {"object": [kind.__module__, kind.__qualname__, *(_tree(v, arrays, names) for v in _fields(value))]}
    ours = getattr(value, "__module__", None) or ""
    if (names or ours.split(".")[0] == "dfslab") and callable(value) and "<" not in getattr(value, "__qualname__", "<"):
        bound = getattr(value, "__self__", None)
        of = None if isinstance(bound, type | types.ModuleType) else _tree(bound, arrays, names)
        return {"name": [value.__module__, value.__qualname__, of]}
    raise TypeError(f"a {kind.__module__}.{kind.__qualname__} is not known by its content; hand over values")


def _decoded(tree, arrays: list):
    if type(tree) in _PLAIN:
        return tree
    ((name, parts),) = tree.items()
    if name == "array":
        return arrays[parts[0]]
    parts = [_decoded(part, arrays) for part in parts]
    if name == "name":
        return _named(*parts[:2])
    return _object(*parts) if name == "object" else _KINDS[name][2](*parts)


def _fields(value) -> list:
    return list(value) if isinstance(value, tuple) else [getattr(value, f.name) for f in dataclasses.fields(value)]


def _object(module: str, name: str, *values):
    """Return a dataclass or named tuple of the package with its fields as they were, unchecked and unchanged."""
    kind = _named(module, name)
    if issubclass(kind, tuple):
        return kind(*values)
    made = object.__new__(kind)
    for field, value in zip(dataclasses.fields(kind), values, strict=True):
        object.__setattr__(made, field.name, value)
    return made


def _named(module: str, name: str):
    """Return a class or function of the package by name."""
    if module.split(".")[0] != "dfslab":
        raise TypeError(f"{module}.{name} is not of dfslab")
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))


def _held(column):
    """Return the array under an index or a Series: numpy's where it has one, else pandas' own."""
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array


def _objects(shape, *values) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def _series(array, index, name=None) -> pd.Series:
    return pd.Series(array, index, array.dtype, name, copy=False)


def _frame(columns, index, *arrays) -> pd.DataFrame:
    frame = pd.DataFrame({k: _series(array, index) for k, array in enumerate(arrays)}, index)
    frame.columns = columns
    return frame


_KINDS = {
    "tuple": (tuple, list, lambda *parts: parts),
    "list": (list, list, lambda *parts: list(parts)),
    "dict": (dict, lambda d: [list(d), list(d.values())], lambda keys, values: dict(zip(keys, values, strict=True))),
    "set": (set, lambda s: sorted(s, key=repr), lambda *parts: set(parts)),
    "frozenset": (frozenset, lambda s: sorted(s, key=repr), lambda *parts: frozenset(parts)),
    "missing": (type(pd.NA), lambda _: [], lambda: pd.NA),
    "no date": (type(pd.NaT), lambda _: [], lambda: pd.NaT),
    "date": (pd.Timestamp, lambda t: [np.array(t.asm8), t.tz and str(t.tz)], lambda a, zone: _stamp(a, zone)),
    "span": (pd.Timedelta, lambda t: [np.array(t.asm8)], lambda a: pd.Timedelta(a[()])),
    "scalar": (np.generic, lambda x: [np.array(x)], lambda a: a[()]),
    "objects": (np.ndarray, lambda a: [a.shape, *a.ravel()], _objects),
    "range": (
        pd.RangeIndex,
        lambda i: [i.start, i.stop, i.step, i.name],
        lambda a, b, c, n: pd.RangeIndex(a, b, c, name=n),
    ),
    "levels": (
        pd.MultiIndex,
        lambda i: [list(i.names), *(i.get_level_values(k) for k in range(i.nlevels))],
        lambda names, *levels: pd.MultiIndex.from_arrays(levels, names=names),
    ),
    "index": (pd.Index, lambda i: [_held(i), i.name], lambda a, name: pd.Index(a, a.dtype, name=name)),
    "series": (pd.Series, lambda s: [_held(s), s.index, s.name], _series),
    "frame": (pd.DataFrame, lambda f: [f.columns, f.index, *(_held(f.iloc[:, k]) for k in range(f.shape[1]))], _frame),
    "category": (
        pd.Categorical,
        lambda c: [c.codes, c.categories, c.ordered],
        lambda codes, names, ordered: pd.Categorical.from_codes(codes, names, ordered),
    ),
    "column": (
        pd.api.extensions.ExtensionArray,
        lambda a: [str(a.dtype), *a],
        lambda kind, *values: pd.array(list(values), dtype=kind),
    ),
}
"""By kind: its type, the parts it is taken into, and what puts them together again; the first that fits is taken."""


def _stamp(array, zone) -> pd.Timestamp:
    stamp = pd.Timestamp(array[()])
    return stamp.tz_localize("UTC").tz_convert(zone) if zone else stamp
