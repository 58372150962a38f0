"""Readers of the CSV tables: cells are parsed by kind, checked once against the schema, and blamed by row."""

import difflib
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data._files import Sheet, as_frame, read_cells
from dfslab.data._names import clean_name, name_key
from dfslab.data._schema import TABLES, Column, Table, header_key, rows_of
from dfslab.errors import InputError, day_of
from dfslab.rules import fantasy_points, rules_on

FLAGS = {"1": True, "0": False, "true": True, "false": False, "yes": True, "no": False, "1.0": True, "0.0": False}
BLANKS = {"", "nan", "na", "n/a", "none", "null", "-", "--"}


def conform(strings: pd.DataFrame, table: Table, where) -> pd.DataFrame:
    """Return `strings` with the columns of `table` parsed and checked; further columns stay as text.

    Parameters
    ----------
    strings : frame of str, its index the row number in the file (see `files.read_strings`)
    table : the contract
    where : the file, for the errors

    Returns
    -------
    frame in package names and units on the index of `strings`; `attrs["shares"]` says how each share was read

    Raises
    ------
    InputError : a needed column is missing, a cell cannot be read, is out of range or blank, a key comes twice, or a
        date contradicts the race's id
    """
    headers = _headers(strings, table, where)
    frame = strings.rename(columns={header: name for name, header in headers.items()})
    frame.attrs["shares"] = {}
    for name, header in headers.items():
        text, column = frame[name], table.columns[name]
        frame[name] = _parsed(text, column, where, header, strings.attrs.get("semicolons", False))
        if column.kind == "share":
            unit = "percent" if _is_percent(text) else "fractions"
            frame.attrs["shares"][name] = f"{header} was read as {unit}; it adds up to {frame[name].sum():.0%}."
    for key in table.keys:
        _refuse_repeats(frame, [name for name in key if name in frame], where)
    if {"race_id", "date"} <= set(frame):
        _refuse_other_day(frame.dropna(subset=["race_id"]), where)
    whole = [column.name for column in table.columns.values() if column.needed == "yes" and column.kind == "int"]
    return frame.astype(dict.fromkeys(whole, np.int64))


def _headers(strings: pd.DataFrame, table: Table, where) -> dict[str, str]:
    """Return the header in the file of each column of the contract that is there; own names go before other ones."""
    written, headers = {header_key(header): header for header in reversed(strings.columns)}, {}
    for column in table.columns.values():
        found = [written[key] for key in map(header_key, (column.name, *column.also)) if key in written]
        if found:
            headers[column.name] = found[0]
        elif column.needed:
            own, have = len(set(table.columns) & set(strings)), ", ".join(map(str, strings.columns[:12]))
            wanted = column.name if 2 * own > len(strings.columns) or not column.also else column.also[0]
            raise InputError(f"{where}: '{wanted}' is missing, only {have} are there; is it the right file?")
    clash = [h for h in strings.columns if h in headers and h not in headers.values()]
    if clash:
        raise InputError(f"{where}: columns '{clash[0]}' and '{headers[clash[0]]}' mean the same; keep one")
    return headers


def _parsed(cells: pd.Series, column: Column, where, header: str, semicolons: bool) -> pd.Series:
    """Return `cells` as the kind of `column`; raise `InputError` at the first that is none, or not allowed."""
    kind, blank = column.kind, cells == ""
    blank = blank if kind == "text" else blank | cells.str.lower().isin(BLANKS)
    read = _each({fold(name): name for name in column.one_of}.get, fold) if kind == "word" else _READ[kind]
    values = read(cells[~blank]).reindex(cells.index)
    values = values.where(~blank, _BLANK[kind]) if kind in _BLANK else values
    refuse_first(values.isna() & ~blank, cells, where, header, f"'{{:.40}}'; {_REMEDY.get(kind, column.allowed)}")
    if column.needed == "yes":
        or_else = ", or remove the row" if pd.api.types.is_integer_dtype(cells.index) else ""
        refuse_first(blank, cells, where, header, f"blank; fill it in{or_else}")
    if kind in ("int", "number", "dollars"):
        beyond = ~blank & ~values.between(column.low, column.high)
        refuse_first(beyond, cells, where, header, f"{{}}; it must be {column.allowed}")
    if semicolons and kind in ("number", "dollars"):
        either = cells.str.fullmatch(r"[^,.]*\d,\d{3}") & (values / 1000).between(column.low, column.high)
        refuse_first(either, cells, where, header, f"'{{}}', {_TWO_MEANINGS}")
    if kind in ("int", "dollars") and (dotted := cells.str.contains(".", regex=False)).any():
        either = cells.str.fullmatch(r"\D*[1-9]\d{0,2}\.\d{3}") & (values * 1000).between(column.low, column.high)
        refuse_first(either & (either == dotted).all(), cells, where, header, f"'{{}}', {_TWO_MEANINGS}")
    return values


_TWO_MEANINGS = "which has two meanings; write 1250 or 1.25"
"""A thousand in one part of the world, a decimal in the other; another cell of the column may tell."""


def fold(text: str) -> str:
    """Return a word without case, blanks and underscores."""
    return re.sub(r"[\s_]", "", text.lower())


def refuse_first(wrong: pd.Series, cells: pd.Series, where, header: str, says: str) -> None:
    """Raise `InputError` for the first row of `wrong`; `says`, with its cell in the braces, completes the sentence."""
    if wrong.any():
        row = cells.index[wrong][0]
        raise InputError(f"{at(where, row)}: {header} is {says.format(cells[row])}")


def at(where, row) -> str:
    """Return the place of a row in words: its number in a file, or as it is called in JSON."""
    return f"{where}{row}" if isinstance(row, str) else f"{where}, row {row}"


def from_objects(objects: list, name: str, where, item: str = "") -> pd.DataFrame:
    """Return JSON objects as table `name` with all its columns; `item` is what one of several is called in errors."""
    table, objects = TABLES[name], [one if isinstance(one, dict) else {} for one in objects]
    cells = pd.DataFrame(objects, dtype=object) if objects else pd.DataFrame(columns=[*table.columns])
    cells = cells.map(_text_of)
    cells.index = [f", {item} {n}" if item else "" for n in range(1, len(cells) + 1)]
    frame = conform(cells.astype(object), table, where)
    return finished(frame[[name for name in table.columns if name in frame]], table).reset_index(drop=True)


def _text_of(value) -> str:
    """Return a value of JSON as the cell of a table; a number with three decimals gets a fourth, it has one meaning."""
    text = "" if value is None or value is np.nan else " ".join(str(value).split())
    return f"{text}0" if isinstance(value, float) and re.search(r"\.\d{3}$", text) else text


_REMEDY = {row["kind"]: row["remedy"] for row in rows_of("kinds.csv") if row["remedy"]}
"""What to do about a cell that is none of its kind."""

SERIES = {"cup": r"cup|\bm?e?ncs\b", "xfinity": r"xfinity|\bnxs\b|o.?reilly", "trucks": r"truck|\bnc?w?ts\b"}
"""What tells a series in its name, however it is written."""


def series_of(text) -> str | None:
    """Return the series that `text` names, or None.

    Examples
    --------
    >>> series_of("NASCAR Cup Series"), series_of("XFINITY"), series_of("Cup or trucks")
    ('cup', 'xfinity', None)
    """
    found = [name for name, words in SERIES.items() if re.search(words, str(text).lower())]
    return found[0] if len(found) == 1 else None


def whole_id(text: str) -> str | None:
    """Return an id without what a data frame or a spreadsheet added to it, or None where it may have lost digits.

    Examples
    --------
    >>> whole_id("7000.0"), whole_id("26.774.369"), whole_id('="4001"'), whole_id("2.68E+07"), whole_id("7.000")
    ('7000', '26774369', '4001', None, None)
    """
    text = re.sub(r"""^=?["']?(\d+)"?$""", r"\1", text)
    if re.fullmatch(r"\d{1,3}((,\d{3})+|(\s\d{3})+|(\.\d{3}){2,})([.,]00?)?", text):
        text = re.sub(r"\D", "", re.sub(r"[.,]00?$", "", text))
    lost = re.fullmatch(r"[+-]?\d+([.,]\d*)?[eE]\+?\d+|\d{1,3}\.\d{3}|\d+[.,]0*[1-9]\d*|#+|#[A-Z]+[/\dA-Z]*[!?]?", text)
    return None if lost else re.sub(r"^(\d+)[.,]0*$", r"\1", text)


def _days(cells: pd.Series) -> pd.Series:
    """Return dates as days, NaT where a cell is none; what can be read two ways is read as the rest of the column."""
    texts = cells.unique()
    parts = [re.match(r"(\d{1,2})[-/.](\d{1,2})[-/.]\d{4}", text) for text in texts]
    orders = {int(part[1]) > 12 for part in parts if part and max(int(part[1]), int(part[2])) > 12}
    known = {text: day_of(text, next(iter(orders)) if len(orders) == 1 else None) for text in texts}
    return pd.to_datetime(cells.map(known)).dt.as_unit("us")


def _numbers(cells: pd.Series) -> pd.Series:
    """Return text as floats, NaN where it is none; `$1,234.5` is a number, `inf`, `12,50` and `0,125` are not."""
    values = pd.to_numeric(cells, errors="coerce").astype(float)
    odd = values.isna() & (cells != "")
    if odd.any():
        plain = cells[odd].str.replace("$", "", regex=False)
        grouped = plain.str.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?").fillna(False)
        values[odd] = pd.to_numeric(plain.where(~grouped, plain.str.replace(",", "")), errors="coerce").astype(float)
    return values.where(np.isfinite(values))


def number_of(text: str) -> float:
    """Return the number that `text` writes, NaN where it writes none (see `_numbers`)."""
    return float(_numbers(pd.Series([text.strip()], dtype=object)).iloc[0])


def _is_percent(cells: pd.Series) -> bool:
    """Return whether a column of shares is in percent: a cell carries %, or a value exceeds 1."""
    return bool(cells.str.endswith("%").any() or (_numbers(cells) > 1).any())


def _shares(cells: pd.Series) -> pd.Series:
    """Return shares as fractions, the unit decided once; NaN where one is none, above 100 %, or unlike the others."""
    marked, top = cells.str.endswith("%"), 100.0 if _is_percent(cells) else 1.0
    values = _numbers(cells.str.removesuffix("%").str.strip()) / top
    return values.where(values.between(0, 1) & (marked == marked.any()))


def _each(read, first=str):
    """Return the reader of a column from that of a text, each of which is read once."""
    return lambda cells: cells.map({text: read(first(text)) for text in cells.unique()}).astype(object)


_READ = {
    "text": lambda cells: cells,
    "series": _each(series_of),
    "id": _each(whole_id),
    "digits": _each(lambda text: number if (number := whole_id(text) or "").isdecimal() else None),
    "place": _each(lambda text: text.upper() if text.upper() == "D" else None),
    "flag": _each(lambda text: FLAGS.get(text.lower())),
    "int": lambda cells: _numbers(cells).where(lambda values: values % 1 == 0),
    "number": _numbers,
    "dollars": _numbers,
    "share": _shares,
    "date": _days,
}
"""How the cells of a kind that are not blank are read; what is none of the kind becomes NaN."""
_BLANK = {"text": None, "word": None, "series": "cup", "id": None, "digits": None}
"""What a blank is; of the other kinds it is NaN."""


def _refuse_repeats(frame: pd.DataFrame, key: list[str], where) -> None:
    seen = frame[key].astype(object).where(frame[key].notna(), "")
    if "driver" in key:
        seen["driver"] = frame["driver"].map({name: name_key(clean_name(name)) for name in frame["driver"].unique()})
    twice = seen.duplicated()
    if key and twice.any():
        row = frame.index[twice][0]
        given = frame.loc[row, key].dropna()
        what = ", ".join(v if isinstance(v, str) else f"{name} {v:g}" for name, v in given.items())
        first = frame.index[(seen == seen.loc[row]).all(axis=1)][0]
        raise InputError(f"{at(where, row)}: {what} is listed twice (first in {at('', first)[2:]}); keep one")


POSTPONED = 7
"""Days by which a race may be run before or after the day its id names."""


def days_apart(race_id: str, date: pd.Timestamp) -> int:
    """Return the days between `date` and the one a race id begins with, 0 where it begins with none."""
    found = re.match(r"\d{4}-\d\d-\d\d(?!\d)", race_id)
    day = day_of(found[0]) if found else pd.NaT
    return 0 if pd.isna(day) else abs((date - day).days)


def _refuse_other_day(frame: pd.DataFrame, where) -> None:
    """Raise where a date contradicts the one a race id begins with, or a race or contest has two."""
    name = "contest_id" if "contest_id" in frame else "race_id"
    days = frame.drop_duplicates([name, "date"])
    for row, one in days.loc[days[name].duplicated(), name].head(1).items():
        second = f"{days.date[row]:%Y-%m-%d}; write one in all its rows"
        raise InputError(f"{at(where, row)}: {one} has a second date, {second}")
    races = frame.drop_duplicates(["race_id", "date"])
    for row, race_id, date in zip(races.index, races["race_id"], races["date"], strict=True):
        if days_apart(race_id, date) > POSTPONED:
            raise InputError(f"{at(where, row)}: race_id is {race_id}, date {date:%Y-%m-%d}; correct one of them")


def read_table(path, name: str) -> pd.DataFrame:
    """Return the file of table `name`, in package names and units; `attrs["notes"]` is what to know of its columns.

    Raises
    ------
    InputError : a missing column, a cell that cannot be read or is not allowed, a row that comes twice
    """
    cells = read_cells(path)
    return table_of(path, (name == "salaries" and pool_in(cells)) or cells, name)


def table_of(path, cells: Sheet, name: str) -> pd.DataFrame:
    """Return the table `name` that stands in `cells` (see `read_table`)."""
    table = TABLES[name]
    frame = finished(conform(as_frame(path, cells), table, path), table)
    return _MORE.get(name, lambda frame, path: frame)(frame, path).reset_index(drop=True)


def read_salaries(path) -> pd.DataFrame:
    """Return the salary file: driver, salary (dollars), dk_id, name_id, avg_points and whatever else it carries.

    The player pool of an upload template, which stands to the right of and below other cells, is read as well.
    """
    return read_table(path, "salaries")


def _with_one_identity(frame: pd.DataFrame, path) -> pd.DataFrame:
    """Return `frame` with dk_id and name_id; raise where name, ID and `Name + ID` contradict, or two share an id."""
    if "name_id" not in frame and "dk_id" not in frame:
        return frame
    given = {name: frame[name] if name in frame else [None] * len(frame) for name in ("dk_id", "name_id")}
    ids, cells, owner = [], [], {}
    for row, name, number, cell in zip(frame.index, frame["driver"], *given.values(), strict=True):
        theirs, found = _split_id(cell, f"{path}, row {row}: Name + ID") if cell else (name, None)
        number = number or found
        if name_key(theirs) != name_key(name) or (found or number) != number:
            parts = f"Name is {name}, ID {number}, Name + ID '{cell[:60]}'"
            raise InputError(f"{path}, row {row}: {parts}; download the file again")
        if number and owner.setdefault(number, name) != name:
            both = f"{name}'s and {owner[number]}'s"
            raise InputError(f"{path}, row {row}: ID {number} is {both}; download the file again")
        ids.append(number)
        cells.append(cell if found and cell.rstrip().endswith(f"({found})") else number and f"{name} ({number})")
    return frame.assign(dk_id=pd.Series(ids, frame.index, object), name_id=pd.Series(cells, frame.index, object))


def _split_id(cell: str, where: str) -> tuple[str, str | None]:
    """Return the clean name and the id of a cell such as `Name (123)`; the id is None where there is none."""
    parts = re.fullmatch(r"(.*?)\s*\(([^()]*\d[^()]*)\)\s*", cell)
    found = whole_id(parts[2]) if parts else None
    if parts and not found:
        raise InputError(f"{where} is '{cell[:40]}'; {_REMEDY['id']}")
    return clean_name(parts[1] if parts else cell), found


def pool_in(cells: Sheet) -> Sheet | None:
    """Return the sheet from the row and column where a player pool begins, None where none does."""
    for n, row in enumerate(cells):
        keys = [header_key(cell) for cell in row]
        if {"name", "salary", "position"} <= set(keys):
            beside = "d" in keys or "".join(map("".join, cells[:n])).strip()
            first = keys.index("position") if beside else 0
            return Sheet([[]] * n + [below[first:] for below in cells[n:]], cells.semicolons)
    return None


def finished(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Clean the names, turn further columns whose every cell is a number into floats.

    A table of the history gets all its columns, blank where the file lacks them; `attrs["notes"]` says which further
    column may be meant.
    """
    changed = {}
    if "driver" in frame:
        changed["driver"] = frame["driver"].map({name: clean_name(name) or name for name in frame["driver"].unique()})
    further = list(frame.columns.difference([*table.columns]))
    for name in further:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            blank = frame[name].str.lower().isin(BLANKS)
            values = _numbers(frame[name].where(~blank, ""))
            if not (values.isna() & ~blank).any() and not blank.all():
                changed[name] = values
    absent = {name: column.kind for name, column in table.columns.items() if table.whole and name not in frame}
    blanks = {name: [_BLANK.get(kind, np.nan)] * len(frame) for name, kind in absent.items()}
    texts = {name: object for name, kind in absent.items() if kind in _BLANK}
    whole = frame.assign(**changed, **blanks).astype(texts)
    keys = {header_key(name): name for name in further}
    near = {name: difflib.get_close_matches(header_key(name), keys, 1, cutoff=0.8) for name in absent}
    notes = (f"column {keys[found[0]]} was not read; is it {name}?" for name, found in near.items() if found)
    whole.attrs["notes"] = tuple(notes)
    return whole


def empty(name: str) -> pd.DataFrame:
    """Return table `name` without a row."""
    return conform(pd.DataFrame(columns=[*TABLES[name].columns], dtype=object), TABLES[name], name)


def _as_projected(frame: pd.DataFrame, path) -> pd.DataFrame:
    """Return driver, projected_points, projected_ownership; the notes say how units were read, and what was not."""
    name, unread = Path(path).name, list(frame.columns.difference([*TABLES["projections"].columns], sort=False))
    if len(frame.columns) - len(unread) < 2:
        have = f"; the header has {', '.join(unread[:12])}" if unread else ""
        raise InputError(f"{path}: neither projected_points nor projected_ownership is there; name a column so{have}")
    notes = [f"{name}: not read: {', '.join(unread)}."] if unread else []
    notes += [f"{name}, {note}" for c, note in frame.attrs["shares"].items() if frame[c].notna().any()]
    frame.attrs["notes"] = notes
    return frame.drop(columns=unread)


def read_results(path) -> pd.DataFrame:
    """Return race results, one row per driver and race, with `dk_points` under the rules of each race's date.

    `fastest_laps` may be missing; `dk_points` is NaN where it is. So is every column that the file lacks.
    """
    return read_table(path, "results")


def _with_points(frame: pd.DataFrame, path) -> pd.DataFrame:
    points = pd.Series(np.nan, frame.index)
    in_force = frame["date"].map({date: rules_on(date).scoring for date in frame["date"].unique()})
    for scoring in in_force.unique():
        rows = in_force == scoring
        points[rows] = fantasy_points(frame[rows], scoring)
    return frame.assign(dk_points=points)


def _with_cautions(races: pd.DataFrame, path) -> pd.DataFrame:
    """Return the races with the cautions and green runs they lack, those of `caution_segments.csv` beside the file."""
    path = Path(path).with_name("caution_segments.csv")
    if not path.exists():
        return races
    key, runs = ["season", "race_no"], read_table(path, "cautions").sort_values("start_lap")
    runs = runs.assign(laps=runs["laps"].fillna(runs["end_lap"] - runs["start_lap"] + 1))
    green, caution = (runs[runs["flag"] == flag].groupby(key)["laps"] for flag in ("green", "caution"))
    green = green.agg(longest_green_run="max", final_green_run="last")
    found = green.join(caution.agg(cautions="size", caution_laps="sum"), how="outer")
    found = found.fillna({"cautions": 0, "caution_laps": 0})
    beside = found.reindex(pd.MultiIndex.from_frame(races[key])).set_axis(races.index)
    return races.assign(**{name: races[name].fillna(beside[name]) for name in found})


def _of_nascar(frame: pd.DataFrame, path) -> pd.DataFrame:
    """Return partly known ownership of NASCAR's contests; one without an id goes by its name."""
    if "sport" in frame:
        frame = frame[frame["sport"].str.upper().isin(("NASCAR", "NAS"))]
    unnamed = frame["date"].dt.strftime("%Y-%m-%d ") + frame["contest"].fillna("")
    return frame.assign(contest_id=frame["contest_id"].fillna(unnamed))


FULL_SLATE = 20
"""Rows from which a contest is taken for a whole slate, so that its ownership must come near six drivers."""


def _with_whole_contests(frame: pd.DataFrame, path) -> pd.DataFrame:
    """Return the ownership history; raise where a contest is in another unit than the rest."""
    totals = frame.groupby("contest_id", sort=False)["ownership"].agg(["sum", "size"])
    wrong = totals[(totals["sum"] > 6.6) | ((totals["sum"] < 0.6) & (totals["size"] >= FULL_SLATE))]
    if len(wrong):
        problem = f"ownership of contest {wrong.index[0]} adds up to {wrong['sum'].iloc[0]:.0%}, six drivers make 600 %"
        raise InputError(f"{path}: {problem}; is it in another unit than the rest?")
    return frame


DECIMAL_BELOW = 100
"""Unsigned prices below it are decimal; American ones begin there."""
MOST = 2.5
"""Chances of a whole field add up to 1.1 to 1.6 with a bookmaker's margin; beyond this they are not chances to win."""


def _with_chances(frame: pd.DataFrame, path) -> pd.DataFrame:
    """Return odds with `probability`, what each price says of a win before the margin is taken out.

    A column `format` says how a price is written. Without it a slash means fractional, any sign in the file American,
    only unsigned prices below 100 decimal. `EVEN` is 1/2; a dash alone is blank.
    """
    price = frame["win"].str.replace("[\u2212\u2013\u2014]", "-", regex=True).str.replace(" ", "")
    frame, price = frame[price != "-"], price[price != "-"]
    form = frame["format"] if "format" in frame else pd.Series(None, frame.index, dtype=object)
    plain = price[form.isna() & ~price.str.contains("/")]
    american = plain.str.match(r"[+-]\d").any()
    if not american:
        bare = plain.map(number_of) >= DECIMAL_BELOW
        refuse_first(bare, plain, path, "win", "'{}'; write its sign, or a column format: american")
    form = form.fillna(price.str.contains("/").map({True: "fractional", False: "american" if american else "decimal"}))
    frame = frame.assign(probability=[_chance(*one) for one in zip(price, form, strict=True)])
    wrong = frame["probability"].isna()
    refuse_first(wrong, price, path, "win", "'{:.40}'; write a price such as 5.50, +450 or 9/2")
    one = [name for name in ("race_id", "book") if name in frame]
    total = (frame.groupby(one, dropna=False)["probability"].sum() if one else frame[["probability"]].sum()).max()
    if total > MOST:
        raise InputError(f"{path}: the chances add up to {total:.0%}; these are not prices of a win")
    return frame


def _chance(price: str, form: str) -> float:
    """Return the chance that a price says, NaN when it is none of its form."""
    if re.fullmatch(r"(?i)ev(en|ens|s)?|pk|pick", price):
        return 0.5
    if form == "fractional":
        parts = [number_of(part) for part in re.split("[/-]", price)]
        return parts[1] / sum(parts) if len(parts) == 2 and min(parts) > 0 else np.nan
    value = number_of(price)
    if form == "decimal":
        return 1.0 / value if value > 1 and "," not in price else np.nan
    return max(-value, 100.0) / (abs(value) + 100.0) if abs(value) >= 100 else np.nan


_MORE = {
    "salaries": _with_one_identity,
    "projections": _as_projected,
    "results": _with_points,
    "races": _with_cautions,
    "partial": _of_nascar,
    "ownership": _with_whole_contests,
    "odds": _with_chances,
    "odds_history": _with_chances,
}
"""What a table's reader adds or checks beyond the contract."""


def of_series(frame: pd.DataFrame, series: str) -> pd.DataFrame:
    """Return the rows of one series."""
    return frame[frame["series"] == series].reset_index(drop=True)


def stored(path: Path, name: str) -> pd.DataFrame:
    """Return a copy of table `name`, empty where there is no file; it is read once until a file beside it changes."""
    if not path.exists():
        return empty(name)
    beside = [(one.name, one.stat()) for one in sorted(path.parent.glob("*.csv")) if one.exists()]
    state = tuple((one, about.st_mtime_ns, about.st_size, about.st_ino) for one, about in beside)
    return _stored(path, name, state).copy()


@lru_cache(maxsize=8)
def _stored(path: Path, name: str, state: tuple) -> pd.DataFrame:
    return read_table(path, name)


def for_file(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Return `frame` as the file of `table` holds it: its columns first, shares in percent, flags 0/1, days."""
    kinds = {name: column.kind for name, column in table.columns.items()}
    columns = [*(name for name in kinds if name in frame), *(name for name in frame if name not in kinds)]
    written = frame[columns].copy()
    for name in columns:
        kind = kinds.get(name)
        if kind in ("int", "flag"):
            written[name] = pd.array(pd.to_numeric(frame[name]).round(), dtype="Int64")
        elif kind == "share":
            written[name] = (frame[name].astype(float) * 100).round(6)
        elif kind == "date":
            written[name] = pd.to_datetime(frame[name]).dt.strftime("%Y-%m-%d")
    return written
