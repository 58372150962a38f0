"""Fit `dfslab/race/defaults.json` on real races: `python -m scripts.fit.race ../shared/data`.

Where the stages end and how often they bring a caution stay as shipped: they were read off lap-by-lap flags once. The
families start from the shipped figures, so a second run moves them a little further.
"""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.race import RaceModel, family_of, refit_mechanics
from dfslab.slate import Race

OUT = Path(__file__).parents[2] / "dfslab" / "race" / "defaults.json"
LATE_GRID = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
DRAWS = 2000
ENTRY = pd.DataFrame({"driver": ["a", "b", "c"], "start": [1, 2, 3]})
"""Who races hardly matters for when cautions fall."""


def fit_late_cautions(model: RaceModel, races: pd.DataFrame, segments: pd.DataFrame) -> dict:
    """Return the figures of `model` with the chance of a late caution fitted to lap-by-lap records, by family.

    The chance is chosen on a grid by the Cramér distance between the real and the drawn distribution of the longest
    and the final green run. (Cautions that follow soon after a restart were tried and fit worse.)

    Parameters
    ----------
    races : frame with season, race_no, track_type, track_length_mi, sched_laps, race_laps
    segments : frame season, race_no, start_lap, laps, flag (green or caution), in any order
    """
    runs = green_runs(segments).merge(races, on=["season", "race_no"], suffixes=("", "_listed"))
    fitted = {}
    for name, group in runs.groupby(runs["track_type"].map(family_of)):
        group = group.assign(distance=group["sched_laps"].fillna(group["race_laps"]))
        fitted[name] = min(LATE_GRID, key=lambda late: _place_distance(group, model, late))
    figures = model.mechanics.items()
    return {kind: replace(old, late=fitted.get(family_of(kind), old.late)) for kind, old in figures}


def green_runs(segments: pd.DataFrame) -> pd.DataFrame:
    """Return season, race_no, longest_green_run and final_green_run (0: finished under caution), in laps."""
    ordered = segments.sort_values("start_lap")
    green = ordered["laps"].where(ordered["flag"] == "green", 0)
    grouped = green.groupby([ordered["season"], ordered["race_no"]])
    return pd.DataFrame({"longest_green_run": grouped.max(), "final_green_run": grouped.last()}).reset_index()


def _place_distance(group: pd.DataFrame, model: RaceModel, late: float) -> float:
    """Return the Cramér distance of both runs, in shares of the distance, pooled over races."""
    rng, drawn = np.random.default_rng(0), []
    model = replace(model, mechanics={kind: replace(old, late=late) for kind, old in model.mechanics.items()})
    for row in group.itertuples():
        here = Race(row.race_id, row.date, row.track, row.track_type, row.track_length_mi, int(row.distance))
        races = model.simulate(ENTRY, here, DRAWS // len(group) + 20, rng)
        drawn.append(np.column_stack([races.longest_green_run, races.final_green_run]) / row.distance)
    drawn = np.concatenate(drawn)
    real = group[["longest_green_run", "final_green_run"]].to_numpy(float) / group[["distance"]].to_numpy(float)
    grid = np.linspace(0.0, 1.0, 101)
    return sum(((_cdf(drawn[:, j], grid) - _cdf(real[:, j], grid)) ** 2).sum() for j in range(2))


def _cdf(values, grid) -> np.ndarray:
    return np.searchsorted(np.sort(values), grid, side="right") / len(values)


def as_text(mechanics: dict, source: str) -> str:
    """Return `mechanics` as the text of a defaults file that names its `source`."""
    body = {"source": source, "track_types": {kind: _rounded(asdict(one)) for kind, one in mechanics.items()}}
    return json.dumps(body, indent=1) + "\n"


def _rounded(value):
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, tuple) else round(float(value), 4)


def main(data_dir) -> None:
    history = Path(data_dir) / "cup" / "history"
    results, races, segments = (
        pd.read_csv(history / f"{name}.csv", low_memory=False) for name in ("results", "races", "caution_segments")
    )
    model = RaceModel.fit(results, races)
    figures = refit_mechanics(results, races, model.finish.past_log_worth())
    source = json.loads(OUT.read_text("utf-8"))["source"]
    late = fit_late_cautions(replace(model, mechanics=figures), races, segments)
    OUT.write_text(as_text(late, source), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
