"""What a page leaves behind in the report's folder: numbers for the index, and the files to upload."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data import files
from dfslab.portfolio import Portfolio
from dfslab.report import _plots as plots
from dfslab.report._parts import png
from dfslab.workflow import RaceDay

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
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in numbers.items()}
    plain = json.loads(pd.Series(plain, dtype=object).to_json(double_precision=6))
    files.write_text(path, json.dumps({**known, stage: plain}, indent=1, sort_keys=True) + "\n")


def save_portfolio(day: RaceDay, races, crowd, portfolios: dict, scores, out_dir) -> tuple[str, ...]:
    """Write what a report leaves in its folder, and say what was written; without a folder nothing is.

    lineups.csv (DraftKings' bulk upload), lineups_metrics.csv and exposures.csv of the first contest, lineups_<id>.csv
    of the others, a filled DKEntries.csv where there was one, the numbers of the portfolio, and the index's card.

    Parameters
    ----------
    portfolios : number of the contest → `Portfolio`; 0 is the one that leads the page
    """
    if not out_dir:
        return (NOTHING_WRITTEN,)
    out, mine = Path(out_dir), portfolios[0]
    names = mine.slate.names[mine.lineups]
    drivers = pd.DataFrame(names, columns=[f"driver_{k + 1}" for k in range(names.shape[1])])
    mine.to_upload(out / "lineups.csv")
    tables = {"lineups_metrics": pd.concat([drivers, mine.metrics], axis=1), "exposures": mine.exposures()}
    for name, frame in tables.items():
        files.write_csv(out / f"{name}.csv", frame.round(9))  # the last bits differ between machines
    more = [(f"lineups_{p.contest.contest_id or number}.csv", p) for number, p in portfolios.items() if number]
    for name, one in more:
        one.to_upload(out / name)
    record(out, "portfolio", **mine.summary(), **scores.summary("portfolio", day.promises))
    _record_card(out, day, races, crowd, mine, scores)
    return (
        f"lineups.csv: {len(mine)} lineups in order of choice, ready for DraftKings' bulk upload.",
        *(f"{name}: {len(one)} of {one.contest.name or 'a further contest'}." for name, one in more),
        "lineups_metrics.csv and exposures.csv: the same lineups and drivers with their figures.",
        *fill_entries(day, portfolios, out),
    )


def _record_card(out: Path, day: RaceDay, races, crowd, mine: Portfolio, scores) -> None:
    """Write what the index shows of a race: its facts, three lines, and a small picture of the exposures."""
    used = mine.entered.exposures().head(8).set_index("driver")[["exposure", "ownership"]]
    ax = plots.plot_dots(100 * used, "share of lineups (%)")
    ax.figure.set_size_inches(5, 2.6)
    (out / "card.png").write_bytes(png(ax, 100))
    own, kinds, race = crowd.ownership, races.regime_shares(), day.race
    lines = [
        f"Most owned: {own.idxmax()}, {own.max():.0%}",
        f"Likeliest regime: {kinds.idxmax().replace('_', ' ')}, {kinds.max():.0%}",
        f"{len(mine.entered)} entries; {'; '.join(f'{value} {text}' for value, text in scores.cards('portfolio')[:2])}",
    ]
    alt = "Our exposure against the field's ownership for the eight most used drivers"
    record(out, "card", lines=lines, picture="card.png", picture_alt=alt)
    facts = {"name": race.name or race.race_id, "date": f"{race.date:%Y-%m-%d}", "track": race.track}
    record(out, "race", **facts, track_type=race.track_type.replace("_", " "))


def fill_entries(day: RaceDay, portfolios: dict, out: Path) -> tuple[str, ...]:
    """Fill the reserved entries of DKEntries.csv, where there is one, each contest's with its own lineups."""
    entries = day.files.entries
    if entries is None:
        return ()
    own, lead = {p.contest.contest_id: p for p in portfolios.values()}, next(iter(portfolios.values()))
    listed, shares, notes = {contest.contest_id for contest in day.contests}, {}, []
    for contest_id, n in entries.by_contest().items():
        if contest_id in own:
            shares[contest_id] = own[contest_id].lineups[: own[contest_id].contest.entering(n)]
        elif contest_id not in listed:
            shares[contest_id] = lead.lineups[:n]
            notes.append(f"DKEntries.csv: contest {contest_id} is not in contest.json: it has the lineups of another.")
    filled = entries.fill(day.slate, shares)
    filled.write(out / "DKEntries.csv")
    return ("DKEntries.csv: reserved entries filled by contest, best lineups first.", *notes, *filled.notes)


def provenance(day: RaceDay, **settings) -> tuple[str, ...]:
    """Return what the page was made from: version, seed, settings, inputs."""
    from dfslab import __version__

    sizes = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in settings.items())
    kind = "a simulated season" if day.simulated else "your data"
    made = f"dfslab {__version__}, seed {day.seed}{f', {sizes}' if sizes else ''}."
    return (made, f"Inputs: {len(day.hashes)} files of {kind}, digest {day.digest()}; each is in manifest.json.")
