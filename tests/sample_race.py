"""The race of the bundled season that the slower tests share, in numbers small enough for a test."""

from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
SMALL_RACE = "2026-03-15-lakeshore"
SMALL = {"n_scenarios": 400, "n_lineups": 5, "n_draws": 50, "max_exposure": 1.0}
