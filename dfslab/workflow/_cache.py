"""Finished stages, kept by content: the same function of the same inputs is computed once, in any run or process.

`cached(function, *args, **kwargs)` is `function(*args, **kwargs)`, from the cache where it is there:

    scenarios = cached(simulate, model, starters, race, n_scenarios, seed)

`cached_walk` keeps results that rest on one another in order, such as forecasts of past contests, one by one.

The key is a digest of the function's name, the content of every argument, the sources of the package, the versions of
what it computes with, and the last bits of this machine's linear algebra; so a changed input, seed, setting, constant,
version or machine is another key, and there is nothing to invalidate. Arguments are values: a random generator is
refused (hand over the seed), and so is a path (hand over what the file says).

The files lie in `cache_folder()/stages`, where nobody but the user may write, never in a data folder, and may be
deleted at any time; what was not used for long goes by itself. Two runs at once are safe.
"""

import dataclasses
import functools
import hashlib
import io
import os
import pickle
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import scipy

from dfslab.data import files
from dfslab.errors import InputError
from dfslab.parallel import cache_folder, code_digest

LARGEST, LONGEST = 2e9, 30 * 86_400.0
"""Bytes all stages may take together, and seconds a stage is kept after its last use: a season of reports fits."""
CHECK = 32
"""Bytes of the digest before what is kept."""


def cached(function, /, *args, **kwargs):
    """Return `function(*args, **kwargs)`, read from the cache or computed and kept.

    Raises
    ------
    TypeError : an argument has no content to be known by (a generator, a path, a function without a name)
    """
    return cached_walk(lambda _: {"": function(*args, **kwargs)}, {"": (args, kwargs)}, function)[""]


_last: dict[str, object] = {}


def last(function, /, *args, **kwargs):
    """Return `function(*args, **kwargs)`, made anew unless it is the last one this process made; never written."""
    key = key_of(function, *args, **kwargs)
    if key not in _last:
        _last.clear()
        _last[key] = function(*args, **kwargs)
    return _last[key]


def cached_walk(compute, items: Mapping, *settings, wanted=None) -> dict:
    """Return what `compute` makes of the `wanted` items (default all), by name, in order, each kept on its own.

    An item's key is a digest of the settings, its own content and that of the items before it, so that a further item
    costs one more result.

    Parameters
    ----------
    compute : called with the results that are kept, where some are not: those of the others, by name
    items : name → content of all there is, in order
    settings : what else a result depends on, `compute` itself apart
    """
    key, places = key_of(*settings), {}
    for name, content in items.items():
        key = key_of(key, name, content)
        places[name] = cache_folder() / "stages" / key
    places = {name: place for name, place in places.items() if wanted is None or name in wanted}
    kept = {name: _read(place) for name, place in places.items()}
    found = {name: pickle.loads(value) for name, value in kept.items() if value is not None}
    for name, value in (compute(found) if len(found) < len(places) else {}).items():
        written = pickle.dumps(value, protocol=5)
        _write(places[name], written)
        found[name] = pickle.loads(written)
    return {name: found[name] for name in places}


def key_of(function, /, *args, **kwargs) -> str:
    """Return the digest that `cached` keeps a result by; `function` may be any value that has content."""
    written = io.BytesIO()
    try:
        _Content(written, protocol=5).dump((code_digest(), _arithmetic(), function, args, kwargs))
    except (AttributeError, pickle.PicklingError, TypeError) as error:
        raise TypeError(f"{error}: not known by its content; hand over values") from None
    return hashlib.sha256(written.getbuffer()).hexdigest()


@functools.cache
def _arithmetic() -> tuple:
    """Return what results depend on beside inputs and our own code: numpy's, scipy's and pandas' versions, and BLAS's
    kernels, which differ between machines in the last bits of a solution."""
    square = np.random.default_rng(0).normal(size=(40, 40))
    return np.__version__, scipy.__version__, pd.__version__, np.linalg.solve(square, square @ square.T)


class _Content(pickle.Pickler):
    """Writes equal values as equal bytes, whatever was computed with them before."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fast = True  # a value met twice is written twice, as two equal ones are

    def reducer_override(self, value):
        parts = _parts(value)
        return NotImplemented if parts is None else (tuple, ((type(value).__qualname__, *parts),))


def _parts(value) -> tuple | None:
    """Return what makes up a value; None where pickle knows."""
    if isinstance(value, np.random.Generator | Path):
        raise TypeError(f"a {type(value).__name__}")
    if isinstance(value, pd.DataFrame):
        return value.columns, value.index, [_held(value.iloc[:, k]) for k in range(value.shape[1])]
    if isinstance(value, pd.Series):
        return value.name, value.index, _held(value)
    if isinstance(value, pd.Index):
        return tuple(value.names), _held(value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.dtype.str, value.shape, value.flags.f_contiguous, value.tobytes("A")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value).__module__, [getattr(value, field.name) for field in dataclasses.fields(value)]
    return None


def _held(column) -> tuple:
    """Return the values under an index or a Series, with their type."""
    plain = isinstance(column.dtype, np.dtype)
    return repr(column.dtype), column.to_numpy() if plain else list(column)


def _read(path: Path) -> bytes | None:
    """Return a kept result; None where there is none, or a damaged one, with a warning."""
    try:
        held = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    if hashlib.sha256(held[CHECK:]).digest() == held[:CHECK]:
        return held[CHECK:]
    warnings.warn(f"{path.name} in the cache is damaged: computed again", stacklevel=3)
    return None


def _write(path: Path, kept: bytes) -> None:
    """Keep a result; a disk that is full or read-only keeps nothing, and that is no error."""
    with suppress(OSError, InputError):
        with files.write_atomically(path) as aside:
            aside.write_bytes(hashlib.sha256(kept).digest() + kept)
        _tidy(path.parent)


def _tidy(folder: Path) -> None:
    """Remove what was not used for long, then the oldest until the rest is small enough."""
    found = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            found.append((path.stat().st_mtime, path.stat().st_size, path))
    room, since = LARGEST, time.time() - LONGEST
    for used, size, path in sorted(found, reverse=True):
        room -= size
        if used < since or room < 0:
            path.unlink(missing_ok=True)
