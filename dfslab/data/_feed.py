"""NASCAR's public JSON feed into the history tables: polite, cached, resumable, merged without duplicates."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from dfslab import __version__
from dfslab.data._feed_tables import FeedError, RaceTables, race_tables, scheduled
from dfslab.data._files import MAX_JSON, locked, read_strings, write_atomically, write_csvs
from dfslab.data._names import match_names, name_key
from dfslab.data._schema import TABLES, Table
from dfslab.data._tables import conform, for_file, read_races, read_results
from dfslab.data._tracks import track_type
from dfslab.errors import InputError

BASE_URL = "https://cf.nascar.com"
"""Host of the public feed; any server with the same paths will do."""

SERIES_ID = {"cup": 1, "xfinity": 2, "trucks": 3}
PAUSE = 1.0
"""Seconds between two requests."""
TIMEOUT = 20.0
ATTEMPTS = 4
WHOLE_WITHIN = 6
"""Timeouts within which a whole answer must have come, however often a byte does."""
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

    def __post_init__(self):
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3 import Retry

        class Polite(Retry):
            def get_backoff_time(self):
                return max(self.backoff_factor, super().get_backoff_time())

        again = {
            "status_forcelist": (429, 500, 502, 503, 504),
            "raise_on_status": False,
            "backoff_max": 30 * self.pause,
        }
        retries = Polite(self.attempts - 1, backoff_factor=self.pause, respect_retry_after_header=False, **again)
        self.session = requests.Session()
        self.session.mount(self.base_url, HTTPAdapter(max_retries=retries))
        agent = f"dfslab/{__version__} (personal research; at most one request a second)"
        self.session.headers["User-Agent"] = agent

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

    def forget(self, *paths: str) -> None:
        """Drop what was saved of `paths`: an answer that could not be used is asked for again."""
        for path in paths:
            (self.cache / path.strip("/")).unlink(missing_ok=True)

    def _download(self, path: str):
        for _ in range(self.attempts):
            try:
                text = self._body(self._answer(path)).decode("utf-8-sig", errors="replace")
                return text, json.loads(text)
            except FeedError:
                raise
            except (ValueError, RecursionError, OSError):
                continue
        raise FeedError(f"{self.base_url}{path}: the answer is no whole JSON after {self.attempts} attempts")

    def _answer(self, path: str):
        """Return the answer's head, after retries."""
        import requests

        time.sleep(max(0.0, self.last + self.pause - time.monotonic()))
        after = f" after {self.attempts} attempts"
        try:
            answer = self.session.get(self.base_url + path, timeout=self.timeout, stream=True)
        except (requests.Timeout, requests.ConnectionError) as error:
            said = "no answer in time" if "timed out" in str(error).lower() else "no connection"
            raise FeedError(f"{self.base_url}{path}: {said}{after}") from None
        except requests.RequestException as error:
            raise FeedError(f"{self.base_url}{path}: {str(error)[:200]}") from None
        finally:
            self.last = time.monotonic()
        if answer.status_code in (403, 404, 410):
            raise _Missing(path)
        if not answer.ok:
            again = after if answer.status_code >= 500 or answer.status_code == 429 else ""
            raise FeedError(f"{self.base_url}{path}: the server answered {answer.status_code}{again}")
        return answer

    def _body(self, answer) -> bytes:
        """Return the whole body; one that is too long, or drips without end, is a `FeedError`."""
        body, deadline = bytearray(), time.monotonic() + WHOLE_WITHIN * self.timeout
        with answer:
            for chunk in answer.iter_content(1 << 16):
                body += chunk
                if len(body) > MAX_JSON:
                    raise FeedError(f"{answer.url}: the answer is longer than {MAX_JSON / 1e6:.0f} MB")
                if time.monotonic() > deadline:
                    raise FeedError(
                        f"{answer.url}: no end of the answer within {WHOLE_WITHIN * self.timeout:g} seconds"
                    )
        return bytes(body)


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
    """Return the results and the race row of one race, asked for again while it may still change or was of no use."""
    settled = (facts["date"] + pd.Timedelta(days=SETTLED_DAYS)).timestamp()
    since, season = min(settled, time.time()), facts["season"]
    folder, loops = f"/cacher/{season}/{series_id}/{facts['feed_id']}", f"/loopstats/prod/{season}/{series_id}"
    paths = f"{folder}/weekend-feed.json", f"{loops}/{facts['feed_id']}.json", f"{folder}/lap-times.json"
    where = f"{feed.base_url}{folder}"
    try:
        weekend = feed.get(paths[0], since)
        loop = _or_none(feed, paths[1], since)
        laps = None if loop else _or_none(feed, paths[2], since)
    except _Missing:
        raise FeedError(f"{where}/weekend-feed.json: the feed has no such race") from None
    try:
        tables = race_tables(facts, weekend, loop, laps, where)
        _as_written(tables.results, TABLES["results"], where)
        _as_written(pd.DataFrame([tables.race]), TABLES["races"], where)
    except InputError as error:
        feed.forget(*paths)
        raise FeedError(error) from None
    feed.forget(*(path for path, content in zip(paths[1:], (loop, laps), strict=True) if not content))
    return tables


def _as_written(frame: pd.DataFrame, table: Table, where) -> pd.DataFrame:
    """Return `frame` as its file holds it; raise `InputError` when the reader would not accept that."""
    written = for_file(frame, table)
    text = {name: ["" if pd.isna(v) else str(v) for v in written[name]] for name in written}
    conform(pd.DataFrame(text, index=range(2, len(written) + 2), dtype=object), table, where)
    return written


def _or_none(feed: _Feed, path: str, since: float):
    try:
        return feed.get(path, since)
    except _Missing:
        return None


def _merge(folder: Path, tables: list[RaceTables]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Merge the races into both history files, which are checked before they take the old ones' places together."""
    if not tables:
        return (), ()
    results = pd.concat([table.results for table in tables], ignore_index=True)
    races = pd.DataFrame([table.race for table in tables])
    notes = [note for table in tables for note in table.notes]
    with locked(folder):
        old_results, old_races = (_earlier(folder, name) for name in ("results", "races"))
        ids, tracks = _known_ids(old_races, old_results), _known_tracks(old_races)
        results, races = (_as_known(frame, ids, tracks) for frame in (results, races))
        old_results, results, more = _one_name_an_id(old_results, results)
        notes += more + _gone(old_results, results)
        merged = {"results": _merged(old_results, results, "results"), "races": _merged(old_races, races, "races")}
        frames = {folder / f"{name}.csv": for_file(frame, TABLES[name]) for name, frame in merged.items()}
        write_csvs(frames, dict(zip(frames, (read_results, read_races), strict=True)))
    return tuple(races["race_id"]), tuple(dict.fromkeys(notes))


def _earlier(folder: Path, name: str) -> pd.DataFrame:
    """Return an existing history file, checked, further columns as text; an empty frame when there is none."""
    path, table = folder / f"{name}.csv", TABLES[name]
    if not path.exists():
        return pd.DataFrame(columns=["date", "race_id", "driver", "nascar_driver_id"], dtype=object)
    return conform(read_strings(path), table, path).reset_index(drop=True)


def _known_ids(*frames) -> dict[tuple, str]:
    """Return (day, series) → race_id of the races in the history: one series runs one race a day."""
    ids: dict[tuple, str] = {}
    for frame in frames:
        series = frame["series"].fillna("cup") if "series" in frame else ["cup"] * len(frame)
        for race_id, day, name in zip(frame["race_id"], frame["date"], series, strict=True):
            ids.setdefault((day, name), race_id)
    return ids


_TRACK_FACTS = ("track_id", "track_type", "track_length_mi")


def _known_tracks(races: pd.DataFrame) -> dict:
    """Return what the history says of a track's key, kind and length, by race, by track and kind, and by track."""
    known: dict = {}
    for row in races.to_dict("records"):
        facts = {name: row[name] for name in _TRACK_FACTS if pd.notna(row.get(name))}
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
        row["race_id"] = ids.get((row["date"], row["series"]), row["race_id"])
        kind, guessed = track_type(row["track"], row["season"], row["track_length_mi"])
        track = name_key(row["track"])
        row.update(tracks.get(row["race_id"]) or tracks.get((track, None if guessed else kind)) or {})
    return pd.DataFrame(rows)


def _one_name_an_id(old: pd.DataFrame, new: pd.DataFrame):
    """Return both with one name for each of NASCAR's ids, and notes: the history's spelling, or the latest name.

    Drivers without an id in the history are written as there. An id that two drivers of one race have decides nothing.
    """
    columns = ["race_id", "date", "nascar_driver_id", "driver"]
    every = pd.concat([old.reindex(columns=columns), new[columns]]).dropna(subset=["nascar_driver_id"])
    every = every.sort_values("date", kind="stable")
    spelling = {name_key(name): name for name in old["driver"]}
    names: dict[str, str] = {}
    notes: list[str] = []
    for number, rows in every.groupby("nascar_driver_id", sort=False):
        written, latest = list(dict.fromkeys(rows["driver"])), rows["driver"].iloc[-1]
        others = [name for name in written if not match_names([name], [latest]).pairs]
        if others and rows.drop_duplicates(["race_id", "driver"])["race_id"].duplicated().any():
            notes.append(f"Driver {number}: {' and '.join(written)} raced together; their rows are kept apart.")
            continue
        notes += [f"Driver {number}: {', '.join(others)} is now {latest}."] if others else []
        names[number] = (
            spelling.get(name_key(latest), latest)
            if others
            else next((name for name in written if name in spelling.values()), spelling.get(name_key(latest), latest))
        )

    def named(frame):
        ids = frame["nascar_driver_id"] if "nascar_driver_id" in frame else pd.Series(None, frame.index, dtype=object)
        plain = frame["driver"].map(lambda name: spelling.get(name_key(name), name))
        return frame.assign(driver=ids.map(names).where(ids.isin(list(names)), plain))

    return named(old), named(new), notes


def _gone(old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """Return a note for each race of which the history knew drivers that the feed does not."""
    now = set(zip(new["race_id"], new["driver"], strict=True))
    before = old[old["race_id"].isin(new["race_id"])]
    lost: dict[str, list[str]] = {}
    for race_id, driver in zip(before["race_id"], before["driver"], strict=True):
        if (race_id, driver) not in now:
            lost.setdefault(race_id, []).append(driver)
    return [f"{race_id}: {', '.join(names)} is not in the feed's result, removed." for race_id, names in lost.items()]


def _merged(old: pd.DataFrame, new: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return `old` with the races of `new` put in their place; what `new` does not know is kept from the old row."""
    key, columns = list(TABLES[name].key), [*old.columns, *(column for column in new if column not in old)]
    same = old["race_id"].isin(new["race_id"])
    earlier = old[same].astype(object).set_index(key).replace("", None)
    fresh = new.astype(object).set_index(key)
    filled = fresh.combine_first(earlier).reindex(fresh.index).reset_index()
    rows = pd.concat([old[~same].astype(object), filled], ignore_index=True).reindex(columns=columns)
    rows["date"] = pd.to_datetime(rows["date"])
    return rows.sort_values(["date", "race_id"], kind="stable", ignore_index=True)
