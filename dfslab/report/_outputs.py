"""What a page leaves behind in the report's folder: numbers for the index, and the files to upload."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data import files, write_lineups
from dfslab.portfolio import Portfolio
from dfslab.report import _plots as plots
from dfslab.workflow import RaceDay

__all__ = ["NOT_YET", "NOTHING_WRITTEN", "provenance", "record", "save_portfolio"]

NOTHING_WRITTEN = "Nothing was written: give the parameter out_dir a folder to get the files."
NOT_YET = (
    "The race has not been run, or its standings are not in the folder yet. Afterwards put contest-standings-*.zip "
    "beside DKSalaries.csv and run the report again: this section then shows what happened."
)


def record(out_dir, stage: str, **numbers) -> None:
    """Add the numbers of a page to `metrics.json` of the folder `out_dir`; without a folder nothing is written."""
    if not out_dir:
        return
    path = Path(out_dir) / "metrics.json"
    known = files.read_json(path) if path.exists() else {}
    with files.write_atomically(path) as aside:
        text = json.dumps({**known, stage: _plain(numbers)}, indent=1, sort_keys=True)
        aside.write_text(text + "\n", "utf-8")


def _plain(value):
    """Return `value` with numpy's numbers as Python's, rounded to what a reader may compare."""
    if isinstance(value, pd.Series):
        value = value.to_dict()
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    return round(float(value), 6) if isinstance(value, float | np.floating) else value


def save_portfolio(day: RaceDay, races, crowd, mine: Portfolio, scores, out_dir) -> tuple[str, ...]:
    """Write what a report leaves in its folder, and say what was written; without a folder nothing is.

    lineups.csv (DraftKings' bulk upload), lineups_metrics.csv, exposures.csv, a filled DKEntries.csv where there was
    one, the numbers of the portfolio, and what the index shows of the race.
    """
    if not out_dir:
        return (NOTHING_WRITTEN,)
    out = Path(out_dir)
    names = mine.slate.names[mine.lineups]
    drivers = pd.DataFrame(names, columns=[f"driver_{k + 1}" for k in range(names.shape[1])])
    write_lineups(out / "lineups.csv", mine.slate, mine.lineups)
    files.write_csv(out / "lineups_metrics.csv", pd.concat([drivers, mine.metrics], axis=1))
    files.write_csv(out / "exposures.csv", mine.exposures())
    record(out, "portfolio", **mine.summary(), **scores.summary("portfolio"))
    _record_card(out, day, races, crowd, mine, scores.summary("portfolio"))
    return (
        f"lineups.csv: {len(mine)} lineups in order of choice, ready for DraftKings' bulk upload.",
        "lineups_metrics.csv and exposures.csv: the same lineups and drivers with their figures.",
        *_fill_entries(day, mine, out),
    )


def _record_card(out: Path, day: RaceDay, races, crowd, mine: Portfolio, money: pd.Series) -> None:
    """Write what the index shows of a race: its facts, three lines, and a small picture of the exposures."""
    ax = plots.plot_exposure(mine.exposures().head(8))
    ax.figure.set_size_inches(5, 2.6)
    plots.save(ax, out / "card.png", 100)
    own, kinds, race = crowd.ownership, races.regime_shares(), day.race
    lines = [
        f"Most owned: {own.idxmax()}, {own.max():.0%}",
        f"Likeliest regime: {kinds.idxmax().replace('_', ' ')}, {kinds.max():.0%}",
        f"{len(mine)} lineups; simulated payout ${money['expected_payout']:,.0f} ± {money['expected_payout_se']:,.0f} "
        f"for ${money['fees']:,.0f}",
    ]
    alt = "Our exposure against the field's ownership for the eight most used drivers"
    record(out, "card", lines=lines, picture="card.png", picture_alt=alt)
    facts = {"name": race.name or race.race_id, "date": f"{race.date:%Y-%m-%d}", "track": race.track}
    record(out, "race", **facts, track_type=race.track_type.replace("_", " "))


def _fill_entries(day: RaceDay, mine: Portfolio, out: Path) -> tuple[str, ...]:
    """Fill the reserved entries of DKEntries.csv, where there is one, by contest and its limit."""
    entries = day.files.entries
    if entries is None:
        return ()
    limits = {contest.contest_id: contest.max_entries_per_user for contest in day.contests}
    shares = {c: mine.lineups[: min(n, limits.get(c) or n)] for c, n in entries.by_contest().items()}
    filled = entries.fill(day.slate, shares)
    filled.write(out / "DKEntries.csv")
    return (f"DKEntries.csv: {len(entries)} reserved entries filled by contest, best lineups first.", *filled.notes)


def provenance(day: RaceDay, **settings) -> tuple[str, ...]:
    """Return what the page was made from: version, seed, settings, inputs."""
    from dfslab import __version__

    sizes = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in settings.items())
    kind = "a simulated season" if day.simulated else "your data"
    made = f"dfslab {__version__}, seed {day.seed}{f', {sizes}' if sizes else ''}."
    return (made, f"Inputs: {len(day.hashes)} files of {kind}, digest {day.digest()}; each is in manifest.json.")
