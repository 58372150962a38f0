"""Files in, files out, and NASCAR's public feed: nothing else in the package opens a file of yours.

A data folder holds `races/<race_id>/` (what DraftKings, a vendor or you put there before a race, and the contest's
standings after it) and `history/` (past races and past contests). Every file is checked when it is read, once, by the
columns of `columns.csv` beside this file (rendered to `docs/data.md`); what cannot be used is an `InputError` that
names file, row and remedy, and what was assumed is a note. Writing is atomic.

>>> from dfslab import data
>>> from dfslab.workflow import SAMPLE
>>> race = data.open_folder(data.list_races(SAMPLE)[-1], SAMPLE)
>>> len(race.slate), race.contests[0].entries, len(race.standings)
(36, 4756, 0)
"""

from dfslab.data import _files as files
from dfslab.data._contests import read_contest
from dfslab.data._entries import write_lineups
from dfslab.data._feed import fetch_season
from dfslab.data._history import history, ingest_standings
from dfslab.data._names import match_names
from dfslab.data._race_folder import finished_races, list_races, load_slate, open_folder, read_slate
from dfslab.data._standings import read_standings
from dfslab.data._tables import read_results, read_salaries

__all__ = [
    "fetch_season",
    "files",
    "finished_races",
    "history",
    "ingest_standings",
    "list_races",
    "load_slate",
    "match_names",
    "open_folder",
    "read_contest",
    "read_results",
    "read_salaries",
    "read_slate",
    "read_standings",
    "write_lineups",
]
