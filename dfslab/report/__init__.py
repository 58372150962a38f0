"""What a reader sees: tables, pictures and checks on a page, notebooks run into a report, the index over reports.

A page is a notebook: it calls the verbs, shows a frame with `table` or a picture with `figure`, and records numbers.
Frames are in fractions, dollars and points; one registry of columns says how each reads.

>>> import pandas as pd
>>> frame = pd.DataFrame({"driver": ["Ann"], "ownership": [0.25], "salary": [9500]})
>>> "25.0" in table(frame, "What the field will roster.").markup
True
"""

from dfslab.report import _live as live
from dfslab.report import _plots as plots
from dfslab.report import _season as seasons
from dfslab.report import _sweep as sweeps
from dfslab.report._outputs import NOT_YET, provenance, record, save_portfolio
from dfslab.report._parts import checks, figure, notes, stats, table
from dfslab.report._runner import run_report, write_index

__all__ = [
    "NOT_YET",
    "checks",
    "figure",
    "live",
    "notes",
    "plots",
    "provenance",
    "record",
    "run_report",
    "save_portfolio",
    "seasons",
    "stats",
    "sweeps",
    "table",
    "write_index",
]
