"""NASCAR's public JSON feed into the history tables: polite, cached, resumable, merged without duplicates."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from dfslab import __version__
from dfslab.data._feed_tables import FeedError, RaceTables, race_tables, raced, scheduled
from dfslab.data._files import locked, read_strings, write_atomically, write_csv
from dfslab.data._names import match_names, name_key
from dfslab.data._schema import HISTORY_RACES, HISTORY_RESULTS
from dfslab.data._tables import conform, for_file
from dfslab.data._tracks import track_type
from dfslab.errors import InputError

__all__ = ["BASE_URL", "FeedError", "Fetched", "fetch_season"]

BASE_URL = "https://cf.nascar.com"
"""Host of the public feed; any server with the same paths will do."""

SERIES_ID = {"cup": 1, "xfinity": 2, "trucks": 3}
PAUSE = 1.0
"""Seconds between two requests."""
TIMEOUT = 20.0
ATTEMPTS = 4
SETTLED_DAYS = 4
"""Days after a race from which its result is final (inspection and appeals of a disqualification take days)."""
GIVE_UP_AFTER = 3
"""Races failing in a row after which the server is taken to be down."""


class _Missing(Exception):
    """The server has no such file."""


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
    timeout: float
    attempts: int
    last: float = field(default=-1e9)

    def get(self, path: str, fresh_since: float = -1.0):
        """Return the JSON of `path`, from the cache when it was saved after `fresh_since` (seconds of the epoch)."""
        saved = self.cache / path.strip("/")
        if saved.exists() and saved.stat().st_mtime >= fresh_since:
            try:
                return json.loads(saved.read_text(encoding="utf-8"))
            except ValueError:
                saved.unlink()
        text, content = self._download(path)
        with write_atomically(saved) as aside:
            aside.write_text(text, encoding="utf-8")
        return content

    def _download(self, path: str):
        import requests
        from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

        again = (requests.Timeout, requests.ConnectionError, requests.exceptions.ChunkedEncodingError, _Transient)
        retrying = Retrying(
            retry=retry_if_exception_type(again),
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential(multiplier=self.pause, max=30 * self.pause),
        )
        try:
            return retrying(self._request, path)
        except RetryError as error:
            reason = error.last_attempt.exception()
            raise FeedError(f"{self.base_url}{path}: {_in_words(reason)} after {self.attempts} attempts") from None
        except requests.RequestException as error:
            raise FeedError(f"{self.base_url}{path}: {_in_words(error)}") from None

    def _request(self, path: str):
        import requests

        time.sleep(max(0.0, self.last + self.pause - time.monotonic()))
        agent = {"User-Agent": f"dfslab/{__version__} (personal research; at most one request a second)"}
        try:
            answer = requests.get(self.base_url + path, headers=agent, timeout=self.timeout)
        finally:
            self.last = time.monotonic()
        if answer.status_code in (403, 404, 410):
            raise _Missing(path)
        if answer.status_code >= 500 or answer.status_code == 429:
            raise _Transient(f"the server answered {answer.status_code}")
        answer.raise_for_status()
        text = answer.content.decode("utf-8-sig", errors="replace")
        try:
            return text, json.loads(text)
        except (ValueError, RecursionError):
            raise _Transient("the answer is no whole JSON") from None


class _Transient(Exception):
    """An answer that may be better next time."""


def _in_words(error: BaseException) -> str:
    import requests

    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)[:200]


def fetch_season(
    season: int,
    series: str,
    data_dir,
    base_url: str | None = None,
    cache_dir=None,
    *,
    pause: float = PAUSE,
    timeout: float = TIMEOUT,
    attempts: int = ATTEMPTS,
    tell: Callable[[str], object] | None = None,
) -> Fetched:
    """Merge the finished points races of a season into history/results.csv and history/races.csv.

    Whole answers are kept in `cache_dir` (default `<data_dir>/cache/nascar`), so an interrupted fetch goes on where it
    stopped and a second one asks only for what is new or may still change. A race that cannot be fetched or read is
    listed in `failed`, the others are merged. Exhibitions and races not yet run are listed in `skipped`.

    Parameters
    ----------
    season : year
    series : cup, xfinity or trucks
    data_dir : the data folder
    base_url : the feed's host, default NASCAR's own
    pause, timeout : seconds between requests, and to wait for one
    attempts : requests for one file before it counts as failed
    tell : called with a line of progress for each race

    Raises
    ------
    InputError : an unknown series, a season without a race list, or history files that cannot be read
    """
    if series not in SERIES_ID:
        raise InputError(f"series '{series}' is not known; write one of {', '.join(SERIES_ID)}")
    tell = tell or (lambda line: None)
    cache = Path(cache_dir) if cache_dir else Path(data_dir) / "cache" / "nascar"
    feed = _Feed((base_url or BASE_URL).rstrip("/"), cache, pause, timeout, attempts)
    races, skipped = _race_list(feed, int(season), series)
    tables, failed = _download_all(feed, races, series, tell)
    merged, notes = _merge(Path(data_dir) / "history", tables)
    return Fetched(merged, tuple(skipped), tuple(failed), notes)


def _race_list(feed: _Feed, season: int, series: str) -> tuple[list[dict], list[str]]:
    path = f"/cacher/{season}/race_list_basic.json"
    try:
        listed = feed.get(path, fresh_since=float("inf"))
    except _Missing:
        raise InputError(f"{feed.base_url}{path}: the feed has no season {season}; write a year from 2018 on") from None
    return scheduled(listed, SERIES_ID[series], series, f"{feed.base_url}{path}")


def _download_all(feed: _Feed, races: list[dict], series: str, tell) -> tuple[list, list[str]]:
    tables, failed, in_a_row = [], [], 0
    for n, facts in enumerate(races, 1):
        label = f"{facts['race_name']} ({facts['date']:%Y-%m-%d})"
        try:
            tables.append(_race(feed, facts, SERIES_ID[series]))
            in_a_row = 0
            tell(f"{n}/{len(races)} {label}")
        except FeedError as error:
            failed.append(f"{label}: {error}")
            in_a_row += 1
            tell(f"{n}/{len(races)} {label}: failed")
        if in_a_row == GIVE_UP_AFTER:
            failed.append(f"{len(races) - n} further races were not asked for: the server seems to be down")
            break
    return tables, failed


def _race(feed: _Feed, facts: dict, series_id: int):
    """Return the results and the race row of one race, asked for again while it may still change."""
    settled = (facts["date"] + pd.Timedelta(days=SETTLED_DAYS)).timestamp()
    since = min(settled, time.time())
    folder = f"/cacher/{facts['season']}/{series_id}/{facts['feed_id']}"
    try:
        weekend = feed.get(f"{folder}/weekend-feed.json", since)
    except _Missing:
        raise FeedError(f"{feed.base_url}{folder}/weekend-feed.json: the feed has no such race") from None
    if not raced(weekend, f"{folder}/weekend-feed.json"):
        raise FeedError(f"{folder}/weekend-feed.json: no finishing positions yet; fetch again later")
    loop = _or_none(feed, f"/loopstats/prod/{facts['season']}/{series_id}/{facts['feed_id']}.json", since)
    laps = None if loop else _or_none(feed, f"{folder}/lap-times.json", since)
    where = f"{feed.base_url}{folder}"
    tables = race_tables(facts, weekend, loop, laps, where)
    _refuse_odd_values(tables, where)
    return tables


def _refuse_odd_values(tables: RaceTables, where: str) -> None:
    """Raise `FeedError` when a row would not pass the contract of its history file."""
    rows = ((tables.results, HISTORY_RESULTS), (pd.DataFrame([tables.race]), HISTORY_RACES))
    for frame, table in rows:
        text = _text(for_file(frame, table))
        try:
            conform(text.set_axis(range(1, len(text) + 1)), table, where)
        except InputError as error:
            raise FeedError(error) from None


def _or_none(feed: _Feed, path: str, since: float):
    try:
        return feed.get(path, since)
    except _Missing:
        return None


def _merge(folder: Path, tables: list) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not tables:
        return (), ()
    results = pd.concat([table.results for table in tables], ignore_index=True)
    races = pd.DataFrame([table.race for table in tables])
    notes = [note for table in tables for note in table.notes]
    with locked(folder):
        old_results = _earlier(folder / "results.csv", HISTORY_RESULTS)
        old_races = _earlier(folder / "races.csv", HISTORY_RACES)
        ids, tracks = _known_ids(old_races, old_results), _known_tracks(old_races)
        results, races = (_as_known(frame, ids, tracks) for frame in (results, races))
        results = _with_known_names(results, old_results)
        notes += _gone(old_results, results)
        for name, table, old, new in (
            ("results.csv", HISTORY_RESULTS, old_results, results),
            ("races.csv", HISTORY_RACES, old_races, races),
        ):
            write_csv(folder / name, _merged(old, _text(for_file(new, table)), list(table.key)))
    return tuple(races["race_id"]), tuple(dict.fromkeys(notes))


def _earlier(path: Path, table) -> pd.DataFrame:
    """Return an existing history file as text in package names, checked; an empty frame when there is none."""
    if not path.exists():
        return pd.DataFrame(columns=list(table.key), dtype=object)
    strings = read_strings(path)
    return strings.set_axis(conform(strings, table, path).columns, axis=1).reset_index(drop=True)


def _text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` as the text of a CSV, blanks for what is not known."""
    return pd.DataFrame({name: ["" if pd.isna(v) else str(v) for v in frame[name]] for name in frame}, dtype=object)


def _known_ids(*frames) -> dict[tuple[str, str], str]:
    """Return (day, series) → race_id of the races in the history: one series runs one race a day."""
    ids: dict[tuple[str, str], str] = {}
    for frame in frames:
        if "date" in frame:
            series = frame["series"].replace("", "cup") if "series" in frame else ["cup"] * len(frame)
            days = pd.to_datetime(frame["date"], format="mixed").dt.strftime("%Y-%m-%d")
            for race_id, day, name in zip(frame["race_id"], days, series, strict=True):
                ids.setdefault((day, name), race_id)
    return ids


_TRACK_FACTS = ("track_id", "track_type", "track_length_mi")


def _known_tracks(races: pd.DataFrame) -> dict:
    """Return what the history says of a track's key, kind and length, by race, by track and kind, and by track."""
    known: dict = {}
    for row in races.to_dict("records"):
        facts = {name: row[name] for name in _TRACK_FACTS if row.get(name)}
        track = name_key(row.get("track") or "")
        known[row["race_id"]] = known[track, facts.get("track_type")] = known[track, None] = facts
    return known


def _as_known(frame: pd.DataFrame, ids: dict, tracks: dict) -> pd.DataFrame:
    """Return rows of the feed under the ids and track facts of the history.

    A race that is there keeps its own facts; another takes those of the same track and kind (Atlanta has been two), or
    of the same track where the kind was only guessed.
    """
    rows = frame.to_dict("records")
    for row in rows:
        row["race_id"] = ids.get((f"{row['date']:%Y-%m-%d}", row["series"]), row["race_id"])
        kind, guessed = track_type(row["track"], row["season"], row["track_length_mi"])
        track = name_key(row["track"])
        row.update(tracks.get(row["race_id"]) or tracks.get((track, None if guessed else kind)) or {})
    return pd.DataFrame(rows)


def _with_known_names(results: pd.DataFrame, old: pd.DataFrame) -> pd.DataFrame:
    """Write drivers as the history does: by NASCAR's id first, then by name."""
    numbers = old["nascar_driver_id"] if "nascar_driver_id" in old else [""] * len(old)
    by_id = dict(zip(numbers, old["driver"], strict=True))
    spelling = {name_key(name): name for name in old["driver"]}
    names = [
        by_id[number] if _same_driver(by_id.get(number), name) else spelling.get(name_key(name), name)
        for number, name in zip(results["nascar_driver_id"], results["driver"], strict=True)
    ]
    return results.assign(driver=names)


def _same_driver(known: str | None, name: str) -> bool:
    """Return whether two spellings of one id can be one person."""
    return bool(known) and bool(match_names([name], [known]).pairs)


def _gone(old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """Return a note for each race of which the history knew drivers that the feed does not."""
    now = set(zip(new["race_id"], new["driver"], strict=True))
    before = old[old["race_id"].isin(new["race_id"])]
    lost: dict[str, list[str]] = {}
    for race_id, driver in zip(before["race_id"], before["driver"], strict=True):
        if (race_id, driver) not in now:
            lost.setdefault(race_id, []).append(driver)
    return [f"{race_id}: {', '.join(names)} is not in the feed's result, removed." for race_id, names in lost.items()]


def _merged(old: pd.DataFrame, new: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Return `old` with the races of `new` put in their place; what `new` does not know is kept from the old row."""
    columns = [*old.columns, *(name for name in new if name not in old)]
    same = old["race_id"].isin(new["race_id"])
    earlier = old[same].set_index(key).reindex(columns=[name for name in columns if name not in key])
    fresh = new.set_index(key).reindex(columns=earlier.columns)
    kept = earlier.reindex(fresh.index)
    filled = fresh.where(fresh.notna() & (fresh != ""), kept).fillna("")
    rows = pd.concat([old[~same], filled.reset_index()], ignore_index=True).reindex(columns=columns).fillna("")
    return rows.sort_values(["date", "race_id"], kind="stable", ignore_index=True)
