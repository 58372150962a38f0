"""TODO report"""

from dfslab.report._results import with_errors, write_results
from dfslab.report._runner import run_report, write_index
from dfslab.report._season import ingest_season, report_season

__all__ = ["ingest_season", "report_season", "run_report", "with_errors", "write_index", "write_results"]
