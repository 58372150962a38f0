"""The report of the sample race, end to end, first with nothing kept, then again."""

import json
import os
import tempfile
from pathlib import Path

from benchmarks.timing import compared, empty_cache
from dfslab.report import run_report
from dfslab.workflow import SAMPLE, open_race

SCENARIOS = 20_000
LINEUPS = 150


def rows(scenarios: int = SCENARIOS, lineups: int = LINEUPS) -> list[dict]:
    """Return one row: CPU seconds of the report of the bundled season's last race, its stages kept, and without."""
    parameters = {"n_scenarios": scenarios, "n_lineups": lineups}
    race_id = open_race().race.race_id
    with empty_cache(), tempfile.TemporaryDirectory() as out:
        first, anew = _report(race_id, out, parameters)
        again, kept = _report(race_id, out, parameters)
    if first != again:
        raise RuntimeError("the second report has other lineups than the first")
    what = f"report of the sample race, {scenarios:,} scenarios, {lineups} lineups, the second; other: the first"
    return [compared(what, kept, anew, f"CPU seconds, kernels of notebooks included; {len(again) - 1} equal lineups")]


def _report(race_id: str, out: str, parameters: dict) -> tuple[list[str], float]:
    """Make a report; return the lines of its upload file and the CPU seconds, those of its processes included."""
    before = sum(os.times()[:4])
    folder = Path(run_report(race_id, SAMPLE, out, parameters))
    json.loads((folder / "manifest.json").read_text("utf-8"))
    return (folder / "lineups.csv").read_text("utf-8").splitlines(), sum(os.times()[:4]) - before
