"""What tuning saved: written with the last date it saw, read only for races after it."""

from pathlib import Path

from dfslab.data import files
from dfslab.errors import InputError, as_day
from dfslab.ownership import HybridOwnershipEstimator
from dfslab.regimes import RegimeThresholds


def read_saved(data_dir, before) -> tuple[dict[str, dict], tuple[str, ...]]:
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
            raise InputError(
                f"{path}: not what `dfslab tune {name}` saves ({error}); tune again, or remove it"
            ) from None
        if through < as_day(before):
            found[name] = saved
        else:
            notes.append(f"models/{path.name} was tuned on data through {saved['through']}: not used for this race.")
    return found, tuple(notes)


def _read_regimes(saved: dict) -> None:
    RegimeThresholds.from_dict(saved["thresholds"])
    if not isinstance(saved.get("predicted", []), list):  # a file written by hand has no verdict
        raise TypeError(f"predicted is {saved['predicted']!r}; a list is needed")


_MODELS = {"ownership": HybridOwnershipEstimator.from_dict, "regimes": _read_regimes}
"""What tuning saves for later reports, by name, and what reads it."""
