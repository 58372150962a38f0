"""TODO data"""

from dfslab.data._contests import read_contest
from dfslab.data._entries import fill_entries, read_entries, write_entries, write_lineups
from dfslab.data._feed import BASE_URL, fetch_season
from dfslab.data._files import csv_text, locked, read_json, write_atomically, write_csv, write_folder_atomically
from dfslab.data._history import History, history, ingest_standings, load_results, past_contests
from dfslab.data._names import match_names
from dfslab.data._race_folder import (
    list_races,
    load_contests,
    load_race,
    load_slate,
    load_standings,
    race_folder,
    read_slate,
)
from dfslab.data._standings import read_standings, standings_files
from dfslab.data._tables import read_results, read_salaries
from dfslab.errors import InputError

__all__ = [
    "InputError",
    "BASE_URL",
    "csv_text",
    "fetch_season",
    "fill_entries",
    "history",
    "History",
    "ingest_standings",
    "list_races",
    "load_contests",
    "load_race",
    "load_results",
    "load_slate",
    "load_standings",
    "locked",
    "match_names",
    "past_contests",
    "race_folder",
    "read_contest",
    "read_entries",
    "read_json",
    "read_results",
    "read_salaries",
    "read_slate",
    "read_standings",
    "standings_files",
    "write_atomically",
    "write_csv",
    "write_entries",
    "write_folder_atomically",
    "write_lineups",
]
