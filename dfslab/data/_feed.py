"""NASCAR's public JSON feed into the history tables: polite, cached, resumable, merged without duplicates."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from dfslab import __version__
from dfslab.data._feed_tables import RaceTables, label, race_tables, scheduled, track_type
from dfslab.data._files import MAX_JSON, locked, read_strings, write_csvs, write_text
from dfslab.data._names import match_names, name_key
from dfslab.data._schema import TABLES, Table
from dfslab.data._tables import conform, for_file, read_table
from dfslab.errors import InputError

BASE_URL = "https://cf.nascar.com"
"""Host of the public feed; any server with the same paths will do."""

SERIES_ID = {"cup": 1, "xfinity": 2, "trucks": 3}
PAUSE = 1.0
"""Seconds between two requests."""
TIMEOUT, ATTEMPTS = 20.0, 4
"""Seconds to wait for an answer, and requests for one file before it counts as failed."""
WHOLE_WITHIN = 6
"""Timeouts within which a whole answer must have come, however often a byte does."""
SETTLED_DAYS = 4
"""Days after a race from which its result is final (inspection and appeals of a disqualification take days)."""
GIVE_UP_AFTER = 3
"""Races failing in a row after which the server is taken to be down."""


@dataclass(frozen=True)
class Fetched:
    """What a fetch did: races merged, races left out with the reason, races that failed, and what to know."""

    races: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Feed:
    """One polite client: a pause between requests, retries with growing waits, answers cached once they are whole."""

    base_url: str
    cache: Path
    pause: float
    last: float = field(default=-1e9)

    def __post_init__(self):
        import requests

        self.session = requests.Session()
        self.session.headers["User-Agent"] = f"dfslab/{__version__} (personal research; at most one request a second)"

    def get(self, path: str, fresh_since: float):
        """Return the JSON of `path`, None where there is none, from the cache when it was saved after `fresh_since`."""
        saved = self.cache / path.strip("/")
        if saved.exists() and saved.stat().st_mtime >= fresh_since:
            with suppress(ValueError, RecursionError, OSError):
                return json.loads(saved.read_text(encoding="utf-8"))
        text = self._download(path)
        if text is None:
            return None
        write_text(saved, text)
        return json.loads(text)

    def forget(self, *paths: str) -> None:
        """Drop what was saved of `paths`: an answer that could not be used is asked for again."""
        for path in paths:
            (self.cache / path.strip("/")).unlink(missing_ok=True)

    def _download(self, path: str) -> str | None:
        import requests

        url, why = self.base_url + path, ""
        for tried in range(ATTEMPTS):
            time.sleep(max(0.0, self.last + self.pause * 2**tried - time.monotonic()))
            try:
                with self.session.get(url, timeout=TIMEOUT, stream=True) as answer:
                    if answer.status_code in (403, 404, 410):
                        return None
                    answer.raise_for_status()
                    text = self._body(answer).decode("utf-8-sig", errors="replace")
                    json.loads(text)
                    return text
            except requests.HTTPError as error:
                why = f"the server answered {error.response.status_code}"
            except requests.RequestException as error:
                if isinstance(error, ValueError):
                    raise InputError(f"{url}: {str(error)[:200]}") from None
                late = isinstance(error, requests.Timeout) or "timed out" in str(error).lower()
                why = "no answer in time" if late else "no connection"
            except InputError:
                raise
            except (ValueError, RecursionError):
                why = "the answer is no whole JSON"
            finally:
                self.last = time.monotonic()
        raise InputError(f"{url}: {why} after {ATTEMPTS} attempts")

    def _body(self, answer) -> bytes:
        """Return the whole body; one that is too long, or drips without end, is refused."""
        body, limit = bytearray(), WHOLE_WITHIN * TIMEOUT
        deadline = time.monotonic() + limit
        for chunk in answer.iter_content(1 << 16):
            body += chunk
            if len(body) > MAX_JSON:
                raise InputError(f"{answer.url}: the answer is longer than {MAX_JSON / 1e6:.0f} MB")
            if time.monotonic() > deadline:
                raise InputError(f"{answer.url}: no end of the answer within {limit:g} seconds")
        return bytes(body)


def fetch_season(
    season: int, series: str, data_dir, base_url: str = "", *, pause: float = PAUSE, tell: Callable | None = None
) -> Fetched:
    """Merge the finished points races of a season into history/results.csv and history/races.csv.

    Whole answers are kept in `<data_dir>/cache/nascar`, so an interrupted fetch goes on where it stopped and a second
    one asks only for what is new or may still change. A race that cannot be fetched or read is listed in `failed`, the
    others are merged. Exhibitions and races not yet run are listed in `skipped`.

    Parameters
    ----------
    season : year
    series : cup, xfinity or trucks
    data_dir : the data folder
    base_url : the feed's host, default NASCAR's own
    pause : seconds between requests
    tell : called with a line of progress for each race

    Raises
    ------
    InputError : an unknown series, a season without a race list, or history files that cannot be read
    """
    if series not in SERIES_ID:
        raise InputError(f"series '{series}' is not known; write one of {', '.join(SERIES_ID)}")
    folder = Path(data_dir)
    feed = _Feed((base_url or BASE_URL).rstrip("/"), folder / "cache" / "nascar", pause)
    path = f"/cacher/{season}/race_list_basic.json"
    listed = feed.get(path, fresh_since=float("inf"))
    if listed is None:
        raise InputError(f"{feed.base_url}{path}: the feed has no season {season}; write a year from 2018 on")
    races, skipped = scheduled(listed, SERIES_ID[series], series, f"{feed.base_url}{path}")
    tables, failed = _download_all(feed, races, series, tell or (lambda line: None))
    merged, notes = _merge(folder / "history", tables)
    return Fetched(merged, tuple(skipped), tuple(failed), notes)


def _download_all(feed: _Feed, races: list[dict], series: str, tell) -> tuple[list, list[str]]:
    tables, failed, in_a_row = [], [], 0
    for n, facts in enumerate(races, 1):
        try:
            tables.append(_race(feed, facts, SERIES_ID[series]))
            in_a_row = 0
            tell(f"{n}/{len(races)} {label(facts)}")
        except InputError as error:
            failed.append(f"{label(facts)}: {error}")
            in_a_row += 1
            tell(f"{n}/{len(races)} {label(facts)}: failed")
        if in_a_row == GIVE_UP_AFTER:
            failed.append(f"{len(races) - n} further races were not asked for: the server seems to be down")
            break
    return tables, failed


def _race(feed: _Feed, facts: dict, series_id: int) -> RaceTables:
    """Return the results and the race row of one race, asked for again while it may still change or was of no use."""
    settled = (facts["date"] + pd.Timedelta(days=SETTLED_DAYS)).timestamp()
    since, season = min(settled, time.time()), facts["season"]
    folder, loops = f"/cacher/{season}/{series_id}/{facts['feed_id']}", f"/loopstats/prod/{season}/{series_id}"
    paths = f"{folder}/weekend-feed.json", f"{loops}/{facts['feed_id']}.json", f"{folder}/lap-times.json"
    where = f"{feed.base_url}{folder}"
    weekend, loop = feed.get(paths[0], since), feed.get(paths[1], since)
    laps = None if loop else feed.get(paths[2], since)
    if weekend is None:
        raise InputError(f"{where}/weekend-feed.json: the feed has no such race")
    try:
        tables = race_tables(facts, weekend, loop, laps, where)
        _check_as_written(tables.results, TABLES["results"], where)
        _check_as_written(pd.DataFrame([tables.race]), TABLES["races"], where)
    except InputError:
        feed.forget(*paths)
        raise
    feed.forget(*(path for path, content in zip(paths[1:], (loop, laps), strict=True) if not content))
    return tables


def _check_as_written(frame: pd.DataFrame, table: Table, where) -> None:
    """Raise `InputError` when the reader would not accept `frame` as its file holds it."""
    written = for_file(frame, table)
    text = {name: ["" if pd.isna(v) else str(v) for v in written[name]] for name in written}
    conform(pd.DataFrame(text, index=range(2, len(written) + 2), dtype=object), table, where)


def _merge(folder: Path, tables: list[RaceTables]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Merge the races into both history files, which are checked before they take the old ones' places together."""
    if not tables:
        return (), ()
    notes = [note for table in tables for note in table.notes]
    with locked(folder):
        old, old_races = (_earlier(folder, name) for name in ("results", "races"))
        past = _past_races(old, old_races)
        rows = [_as_known(table.race, past) for table in tables]
        facts = [{name: row[name] for name in _KNOWN_FACTS} for row in rows]
        parts = [table.results.assign(**known) for table, known in zip(tables, facts, strict=True)]
        results = _spelt_as(old, pd.concat(parts, ignore_index=True))
        merged = {"results": _merged(old, results, "results"), "races": _merged(old_races, pd.DataFrame(rows), "races")}
        notes += _renamed(merged["results"]) + _gone(old, results)
        frames = {folder / f"{name}.csv": for_file(frame, TABLES[name]) for name, frame in merged.items()}
        write_csvs(frames, {path: partial(read_table, name=path.stem) for path in frames})
    return tuple(row["race_id"] for row in rows), tuple(dict.fromkeys(notes))


def _earlier(folder: Path, name: str) -> pd.DataFrame:
    """Return an existing history file, checked, further columns as text; an empty frame when there is none."""
    path, table = folder / f"{name}.csv", TABLES[name]
    if not path.exists():
        return pd.DataFrame(columns=["date", "race_id", "driver", "nascar_driver_id"], dtype=object)
    return conform(read_strings(path), table, path).reset_index(drop=True)


_KNOWN_FACTS = ("race_id", "track_id", "track_type", "track_length_mi")
"""What the history says of a race goes before what the feed says of it."""


def _past_races(results: pd.DataFrame, races: pd.DataFrame) -> pd.DataFrame:
    """Return the races of the history in order, each with the facts that are known of it."""
    columns = ["date", "series", "track", *_KNOWN_FACTS]
    every = pd.concat([frame.reindex(columns=columns).astype(object) for frame in (results, races)])
    past = every.groupby("race_id", sort=False, as_index=False).last().sort_values("date", kind="stable")
    return past.assign(series=past["series"].fillna("cup"), place=past["track"].map(name_key, na_action="ignore"))


def _as_known(race: dict, past: pd.DataFrame) -> dict:
    """Return a race of the feed under its id in the history: one series runs one race a day.

    A race whose id is that of another series' race, on the same day at the same track, has its series added to it.
    A race that is there keeps its own facts of the track; another takes those of the same track and kind (Atlanta has
    been two), or of the same track where the kind was only guessed.
    """
    other = past["series"] != race["series"]
    if (other & (past["race_id"] == race["race_id"])).any():
        race = race | {"race_id": f"{race['race_id']}-{race['series']}"}
    mine = past[(past["date"] == race["date"]) & ~other]
    kind, guessed = track_type(race["track"], race["season"], race["track_length_mi"])
    alike = past[past["place"] == name_key(race["track"])]
    alike = alike if guessed else alike[alike["track_type"] == kind]
    found = pd.concat([alike.assign(race_id=race["race_id"]), mine])[list(_KNOWN_FACTS)].ffill().tail(1)
    return race | {name: found[name].iloc[0] for name in found if found[name].notna().any()}


def _spelt_as(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Return `new` with the history's spelling of each name."""
    spelling = {name_key(name): name for name in old["driver"]}
    return new.assign(driver=[spelling.get(name_key(name), name) for name in new["driver"]])


def _renamed(results: pd.DataFrame) -> list[str]:
    """Return a note for each driver whose name changes over `results` (reading them joins him by NASCAR's id)."""
    twice, notes = results.duplicated(["race_id", "nascar_driver_id"], keep=False), []
    for number, rows in results.groupby("nascar_driver_id"):
        latest = rows["driver"].iloc[-1]
        others = [name for name in rows["driver"].unique() if not match_names([name], [latest]).pairs]
        if others:
            names = f"{', '.join(others)} is now {latest}"
            names = f"{' and '.join([*others, latest])} raced together" if twice[rows.index].any() else names
            notes.append(f"Driver {number}: {names}.")
    return notes


def _gone(old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """Return a note for each race of which the history knew drivers that the feed does not."""
    key = ["race_id", "driver"]
    before = old[old["race_id"].isin(new["race_id"])][key].merge(new[key], how="left", indicator="found")
    lost = before[before["found"] == "left_only"].groupby("race_id")["driver"].agg(", ".join)
    return [f"{race_id}: {names} is not in the feed's result, removed." for race_id, names in lost.items()]


def _merged(old: pd.DataFrame, new: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return `old` with the races of `new` put in their place; what `new` does not know is kept from the old row."""
    key, columns = list(TABLES[name].keys[0]), [*old.columns, *(column for column in new if column not in old)]
    same = old["race_id"].isin(new["race_id"])
    earlier = old[same].astype(object).set_index(key).replace("", None)
    fresh = new.astype(object).set_index(key)
    filled = fresh.combine_first(earlier).reindex(fresh.index).reset_index()
    rows = pd.concat([old[~same].astype(object), filled], ignore_index=True).reindex(columns=columns)
    rows["date"] = pd.to_datetime(rows["date"])
    return rows.sort_values(["date", "race_id"], kind="stable", ignore_index=True)
