"""What a report reads: the race folder, the history before it, and what tuning saved before it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab import __version__, data
from dfslab.data import files
from dfslab.errors import as_day
from dfslab.ownership import HybridOwnershipEstimator
from dfslab.regimes import SavedRegimes
from dfslab.slate import Contest, Slate

__all__ = ["ROOT", "SAMPLE", "Inputs", "check_extras", "check_inputs", "latest_race", "load_models", "save_model"]

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
"""The bundled simulated season."""


@dataclass(frozen=True)
class Inputs:
    """All that was read for a race, and the digest of every file it came from."""

    slate: Slate
    contests: tuple[Contest, ...]
    history: object
    files: object
    data_dir: Path
    simulated: bool
    hashes: dict[str, str] = field(repr=False)
    notes: tuple[str, ...] = ()
    saved: dict[str, dict] = field(default_factory=dict)
    """What tuning saved, by name (regimes, ownership), where it saw nothing from the race's day on."""

    @property
    def race(self):
        return self.slate.race

    @property
    def contest(self) -> Contest:
        """The contest to play: the first of the list."""
        return self.contests[0]


def latest_race(data_dir=None) -> str:
    """Return the id of the last race (by date, then name) that has a folder in the data folder."""
    folder = Path(data_dir or SAMPLE)
    found = data.list_races(folder)
    if not found:
        raise data.InputError(f"{folder / 'races'}: no race folder; put DKSalaries.csv into {folder}/races/<race_id>/")
    return max(found)


def check_inputs(race_id: str, data_dir) -> Inputs:
    """Read everything a report needs, before any kernel starts; raise `data.InputError` with what to mend."""
    data_dir = Path(data_dir or SAMPLE)
    folder = data.open_folder(race_id, data_dir)
    slate, contests = folder.slate, folder.contests
    history = data.history(data_dir, before=slate.race.date, series=slate.race.series)
    lost = set(history.results["race_id"]) - set(history.races["race_id"])
    if lost:
        where = data_dir / "history" / "races.csv"
        raise data.InputError(f"{where}: {min(lost)} of results.csv is not there; add it, or fetch the season")
    names = pd.unique(np.concatenate([slate.names, slate.starters["driver"].to_numpy(object)]))
    saved, late = load_models(data_dir, slate.race.date)
    notes = (*slate.notes, *(note for contest in contests for note in contest.notes), *late)
    past = history.with_names(names)
    return Inputs(slate, contests, past, folder, data_dir, folder.simulated, folder.hashes, notes, saved)


def check_extras(inputs: Inputs) -> None:
    """Read what only the last page needs, reserved entries and standings; raise `data.InputError` if it is broken."""
    _ = inputs.files.entries, inputs.files.standings


def save_model(data_dir, name: str, values: dict, through) -> Path:
    """Write what tuning found to `<data>/models/<name>.json`, with the last date it saw and the data it came from."""
    data_dir = Path(data_dir)
    sources = {f.name: files.digest(f) for f in sorted((data_dir / "history").glob("*.csv"))}
    saved = {"through": f"{pd.to_datetime(through):%Y-%m-%d}", "dfslab": __version__, "sources": sources, **values}
    with files.write_atomically(data_dir / "models" / f"{name}.json") as aside:
        aside.write_text(json.dumps(saved, indent=1, sort_keys=True) + "\n", "utf-8")
    return data_dir / "models" / f"{name}.json"


def load_models(data_dir, before) -> tuple[dict[str, dict], tuple[str, ...]]:
    """Return what tuning saved before a date, by name, and a note for each model that has seen the date or later."""
    found, notes = {}, []
    for name, read in _MODELS.items():
        path = Path(data_dir) / "models" / f"{name}.json"
        if not path.exists():
            continue
        saved = files.read_json(path)
        try:
            through = as_day(saved["through"])
            read(saved)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise data.InputError(
                f"{path}: not what `dfslab tune {name}` saves ({error}); tune again, or remove it"
            ) from None
        if through < as_day(before):
            found[name] = saved
        else:
            notes.append(f"models/{path.name} was tuned on data through {saved['through']}: not used for this race.")
    return found, tuple(notes)


_MODELS = {"ownership": HybridOwnershipEstimator.from_dict, "regimes": SavedRegimes.from_dict}
"""What tuning saves for later reports, by name, and what reads it."""
