"""The only reader and writer of users' files, by one name each; the work is in the modules it gathers."""

from dfslab.archive import History, Ingested, history, ingest_standings, load_results, past_contests
from dfslab.entries import Entries, fill_entries, read_entries, upload_cells, write_entries, write_lineups
from dfslab.files import InputError, locked, write_atomically, write_csv, write_folder_atomically
from dfslab.folder import list_races, load_contests, load_race, load_slate, load_standings, race_folder
from dfslab.names import Matched, match_names
from dfslab.prizes import read_contest, read_contests
from dfslab.standings import Standings, read_standings
from dfslab.tables import (
    read_ownership_history,
    read_projections,
    read_races,
    read_results,
    read_salaries,
    read_starting_lineup,
)

__all__ = [
    "Entries",
    "History",
    "Ingested",
    "InputError",
    "Matched",
    "Standings",
    "fill_entries",
    "history",
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
    "read_contests",
    "read_entries",
    "read_ownership_history",
    "read_projections",
    "read_races",
    "read_results",
    "read_salaries",
    "read_standings",
    "read_starting_lineup",
    "upload_cells",
    "write_atomically",
    "write_csv",
    "write_entries",
    "write_folder_atomically",
    "write_lineups",
]
