"""The report of the sample race, end to end: three notebooks, pages, lineups file. There is no twin to compare with."""

import json
import tempfile
from pathlib import Path

from benchmarks.timing import compared, seconds_of
from dfslab.report import run_report
from dfslab.workflow import SAMPLE, open_race

SCENARIOS = 20_000
LINEUPS = 150


def rows(scenarios: int = SCENARIOS, lineups: int = LINEUPS) -> list[dict]:
    """Return one row: wall time of a report of the bundled season's last race."""
    parameters = {"n_scenarios": scenarios, "n_lineups": lineups}
    race_id = open_race().race.race_id
    with tempfile.TemporaryDirectory() as out:
        folder, seconds = seconds_of(lambda: run_report(race_id, SAMPLE, out, parameters), repeats=1)
        written = len((Path(folder) / "lineups.csv").read_text(encoding="utf-8").splitlines()) - 1
        pages = sum(1 for _ in Path(folder).glob("*.html"))
        json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
    what = f"report of the sample race, {scenarios:,} scenarios, {lineups} lineups"
    return [compared(what, seconds, None, f"{pages} pages, {written} lineups for upload")]
