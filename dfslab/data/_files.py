"""Plain files: forgiving to read, atomic to write, locked while a run holds them, safe to open in a spreadsheet."""

import csv
import fcntl
import glob
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from dfslab import __version__
from dfslab.errors import InputError
from dfslab.parallel import PACKAGE

MAX_BYTES, MAX_JSON = 200_000_000, 20_000_000
"""A larger file is a mistake: standings of 250,000 entries are 40 MB, an answer of DraftKings' far below 1 MB."""
MAX_CELLS = 15_000_000
"""A sheet with more is a mistake: the largest contest so far, 1.2 million entries of 11 cells, has 13 million."""

JUST_MADE = 0.5
"""Seconds in which a file that is being written may not be held yet."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet take a cell for a formula (OWASP, CSV injection)."""

_NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d*)?([eE][+-]?\d+)?%?|[+-]?\.\d+%?")


def read_bytes(path, most: int = MAX_BYTES) -> bytes:
    """Return the bytes of `path`; raise `InputError` when there is no such file, it is empty, or larger than `most`."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if 0 < size <= most:
            return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; put it there or correct the name") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); download it again")
    raise InputError(f"{path}: {size / 1e6:,.0f} MB is too large to be what it should be; check the file")


def shipped(name: str) -> Path:
    """Return a folder that comes with dfslab (notebooks, data/sample): in the package, or beside it in a checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def write_text(path, text: str) -> None:
    """Write `text` to `path` in UTF-8, atomically; what UTF-8 cannot say (half of a character) becomes a ?."""
    with write_atomically(path) as aside:
        aside.write_bytes(text.encode("utf-8", "replace"))


def check_out(out_dir, data_dir) -> None:
    """Raise `InputError` when what is written to `out_dir` would lie among the races, history or models of the data."""
    for part in ("races", "history", "models"):
        if Path(out_dir).resolve().is_relative_to((Path(data_dir) / part).resolve()):
            other = Path(data_dir) / "reports"
            raise InputError(f"{out_dir}: this is among your {part}; choose another --out, such as {other}")


def digest(path) -> str:
    """Return 16 hex digits that tell the content of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def input_digests(data_dir, race_id: str = "*") -> dict[str, str]:
    """Return digests of the files of a race (`*`: of all), the history and saved models, by path in the data folder."""
    globs = (f"races/{race_id}/*", "history/*.csv", "models/*.json")
    found = sorted(path for part in globs for path in Path(data_dir).glob(part) if path.is_file())
    found = [path for path in found if path.name != "promises.json"]  # of which a race knows the rows before it only
    return {path.relative_to(data_dir).as_posix(): digest(path) for path in found}


def write_model(data_dir, name: str, values: dict) -> Path:
    """Write what tuning found to `<data>/models/<name>.json`, with the version and the history it came from."""
    data_dir = Path(data_dir)
    sources = {path.name: digest(path) for path in sorted((data_dir / "history").glob("*.csv"))}
    saved = {"dfslab": __version__, "sources": sources, **values}
    path = data_dir / "models" / f"{name}.json"
    write_text(path, json.dumps(saved, indent=1, sort_keys=True, allow_nan=False) + "\n")
    return path


def decode(raw: bytes, where) -> str:
    """Return `raw` as text: UTF-8 with or without its mark, UTF-16 by its mark, else Windows-1252."""
    if raw[:4] == b"PK\x03\x04":
        raise InputError(f"{where}: this is a zip archive (or a spreadsheet); unzip it, or save the sheet as CSV")
    encodings = ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InputError(f"{where}: this is not a text file; save it as CSV or JSON in UTF-8")


class Sheet(list):
    """Rows of cells; `semicolons`: the sheet is cut at them, so that a comma may be a decimal sign."""

    def __init__(self, rows, semicolons: bool):
        super().__init__(rows)
        self.semicolons = semicolons


def read_cells(path, text: str | None = None) -> Sheet:
    """Return the rows of a CSV file as lists of cells exactly as they stand; separators , ; and tab are known.

    A first line `sep=;` is believed and left blank. `text` is used instead of the file's content when given.
    """
    text = decode(read_bytes(path), path) if text is None else text
    if not text.strip():
        raise InputError(f"{path}: the file is empty; download it again")
    declared = re.match(r'\s*"?sep=(.)"?[ ,;\t]*\r?\n', text, re.IGNORECASE)
    text = "\n" * text.count("\n", 0, declared.end()) + text[declared.end() :] if declared else text
    first = text.lstrip().split("\n", 1)[0]
    separator = declared[1] if declared else max(",;\t", key=first.count)
    if text.count(separator) + text.count("\n") > MAX_CELLS:
        raise InputError(f"{path}: more than {MAX_CELLS:,} cells, more than any contest has; download it again")
    try:
        return Sheet(csv.reader(io.StringIO(text, newline=""), delimiter=separator), separator == ";")
    except csv.Error as error:
        raise InputError(f"{path}: not a readable CSV file ({error}); download it again") from None


def read_strings(path) -> pd.DataFrame:
    """Return a CSV file with one header row as a frame of strings; its index is the row number in the file.

    The header is row 1. Blank rows are left out. A row longer than the header raises, as does a repeated column.
    """
    return as_frame(path, read_cells(path))


def as_frame(path, rows: Sheet) -> pd.DataFrame:
    """Return rows of cells, stripped, the first that is not blank being the header, as `read_strings` does."""
    stripped = ([cell.strip() for cell in row] for row in rows)
    filled = {n: row for n, row in enumerate(stripped, 1) if any(row)}
    if len(filled) < 2:
        raise InputError(f"{path}: there is no row below the header; the file is empty or cut off, download it again")
    header = filled.pop(min(filled))
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise InputError(f"{path}: column '{min(twice)}' appears twice in the header; keep one")
    width = max(n for n, name in enumerate(header, 1) if name)
    for number, row in filled.items():
        if any(row[width:]):
            problem = f"{len(row)} cells under {width} columns"
            raise InputError(f"{path}, row {number}: {problem}; a comma too many, or a missing quote")
    cells = [row[:width] + [""] * (width - len(row)) for row in filled.values()]
    frame = pd.DataFrame(cells, columns=header[:width], index=list(filled), dtype=object)
    frame = frame.loc[:, [name for name in header if name]] if "" in header[:width] else frame
    frame.attrs["semicolons"] = rows.semicolons
    return frame


def read_json(path):
    """Return the content of a JSON file; raise `InputError` naming the line where it breaks."""
    text = decode(read_bytes(path, MAX_JSON), path)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: not valid JSON ({error.msg}); it may be cut off") from None
    except (RecursionError, ValueError) as error:
        raise InputError(f"{path}: not usable JSON ({error})") from None


def _refuse_constant(name: str):
    raise ValueError(f"{name} is not a number a file may hold")


@contextmanager
def write_atomically(path):
    """Yield a temporary path beside `path` that takes its place when the block ends well.

    When the block raises, or the machine stops, `path` is as it was. The folder is created when it is missing. A full
    disk, or a folder that may not be written to, is an `InputError`.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with write_atomically(target) as aside:
    ...     _ = aside.write_text("1 2 3")
    >>> target.read_text()
    '1 2 3'
    """
    path = Path(path)
    with _in_words(path), _aside(path, Path.touch) as aside:
        yield aside
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, aside)
        os.replace(aside, path)


@contextmanager
def write_folder_atomically(path):
    """Yield an empty folder beside `path` that takes its place when the block ends well.

    When the block raises, the earlier folder stays whole and the new one is removed. A run that was killed between the
    two renames is repaired by the next call: the earlier folder is put back first.
    """
    path = Path(path)
    earlier = path.with_name(f".{path.name}.earlier")

    def put_back():
        if earlier.exists() and not path.exists():
            os.replace(earlier, path)

    with _in_words(path):
        put_back()
    with _aside(path, Path.mkdir) as aside:
        yield aside
        shutil.rmtree(earlier, ignore_errors=True)
        try:
            if path.exists():
                os.replace(path, earlier)
            os.replace(aside, path)
        finally:
            put_back()
        shutil.rmtree(earlier, ignore_errors=True)


def keep_others(paths, folder: Path, aside: Path) -> None:
    """Copy those of `paths` within `folder` that `aside` lacks to the same place there: what is not ours stays."""
    for path in paths:
        target = aside / path.relative_to(folder)
        if not os.path.lexists(target):
            if path.is_dir() and not path.is_symlink():
                shutil.copytree(path, target, symlinks=True)
            else:
                shutil.copy2(path, target, follow_symlinks=False)


@contextmanager
def _aside(path: Path, make):
    """Yield what `make` makes beside `path`, held by us and removed if it still stands; first what killed runs left."""
    with _in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.name)}.????????.partial"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > JUST_MADE:
                    with _held(left):
                        _remove(left)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        make(aside)
    try:
        with _held(aside):
            yield aside
    finally:
        _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _held(aside: Path):
    """Hold `aside` alone, as its writer does and nobody what a killed run left; raise `OSError` when another does."""
    handle = os.open(aside, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


@contextmanager
def _in_words(path: Path):
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise InputError(f"{path}: cannot be written ({error.strerror}); what was there is unchanged") from error


@contextmanager
def locked(folder, timeout: float = 60.0, tell: Callable[[str], object] = lambda line: None):
    """Hold `folder` for one writer at a time; raise `InputError` when another keeps it longer than `timeout` seconds.

    The lock is the operating system's, on a file `.lock`: it is released even when the holder is killed. `tell` is
    called with a sentence when there is a wait.
    """
    folder = Path(folder)
    lock, problem = FileLock(folder / ".lock", thread_local=False), f"{folder}: another run is writing here"
    try:
        with _in_words(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                tell(f"{problem}; waiting for it, {timeout:.0f} seconds at most")
                lock.acquire(timeout=timeout)
    except Timeout:
        raise InputError(f"{problem}; wait for it to end, then run again") from None
    try:
        yield
    finally:
        lock.release()


def escape_cell(value):
    """Return `value` as it may go into a CSV cell: text a spreadsheet would run as a formula gets a leading '.

    So does what follows a semicolon or tab, at which spreadsheets cut where a comma is the decimal sign. Numbers pass
    as they are, also as text. A carriage return becomes a line feed, which every reader takes as quoted.

    Examples
    --------
    >>> escape_cell("=1+1"), escape_cell("-4.5"), escape_cell("Kyle Larson;=1")
    ("'=1+1", '-4.5', "Kyle Larson;'=1")
    """
    if not isinstance(value, str):
        return value
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    value = re.sub(r"(?<!^)([;\t\n]\s*)(?=[=+@-])", r"\1'", value)
    return "'" + value if value.startswith(FORMULA_STARTS) and not _NUMBER.fullmatch(value) else value


def csv_text(rows, newline: str = "\n") -> str:
    """Return `rows` of cells as CSV text, each cell made safe by `escape_cell`."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=newline)
    writer.writerows([escape_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def write_csv(path, frame: pd.DataFrame) -> Path:
    """Write `frame` without its index to `path`, atomically, every text cell made safe for a spreadsheet."""
    write_csvs({path: frame})
    return Path(path)


def write_csvs(frames: Mapping, readers: Mapping | None = None) -> None:
    """Write path → frame as `write_csv` does; none is moved before all are whole, the last given is moved first.

    `readers`: path → what has to accept the new file before it takes the old one's place.
    """
    with ExitStack() as moves:
        for path, frame in frames.items():
            aside = moves.enter_context(write_atomically(path))
            plain = frame.select_dtypes(include=["number", "bool", "boolean", "datetime", "datetimetz"])
            safe = frame.assign(**{str(name): frame[name].map(escape_cell) for name in frame if name not in plain})
            safe = safe.rename(columns=escape_cell)
            safe.to_csv(aside, index=False, date_format="%Y-%m-%d", lineterminator="\n")
            try:
                (readers or {}).get(path, str)(aside)
            except InputError as error:
                raise InputError(str(error).replace(str(aside), f"{path} as it would be")) from None
