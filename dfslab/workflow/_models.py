"""What tuning saved: written with the last date it saw, read only for races after it."""

import json
from pathlib import Path

import pandas as pd

from dfslab import __version__, data
from dfslab.data import files
from dfslab.errors import as_day
from dfslab.ownership import HybridOwnershipEstimator
from dfslab.regimes import SavedRegimes


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
