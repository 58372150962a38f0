"""Compare simulated fields with real ones, contest by contest: `python -m scripts.docs.field ../shared/data`.

The simulator is given a contest's true ownership (for Cup contests: as far as it is known), salaries and bouts. It
is not given projections. With `--held-out` the presets are fitted anew without the contests of each date.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.field import FieldPreset, field_preset, fit_field
from dfslab.lineups import distinct
from scripts.docs.results import write_results
from scripts.real.fields import read_cup_contests, read_mma_fields
from scripts.real.shapes import compare_fields, copy_numbers

DRAWS = 4
RESULTS = Path(__file__).parents[2] / "docs" / "results.md"


def field_comparison(data_dir, presets=None) -> pd.DataFrame:
    """Return one row per real contest: figures of the real field and their means over simulated ones.

    `presets` maps a contest's name to the `FieldPreset` to use; default is the one that ships.
    """
    rows = []
    for real in read_mma_fields(Path(data_dir) / "mma" / "fields"):
        preset = presets[real.name] if presets else field_preset(len(real.field), grouped=True)
        rows.append({"contest": real.name, "kind": "fights", "entries": len(real.field)} | compare_one(real, preset))
    for known in read_cup_contests(Path(data_dir) / "cup"):
        rows.append(
            {"contest": known.name, "kind": f"race, {known.contest.kind}", "entries": known.entries}
            | _compare_cup(known)
        )
    return pd.DataFrame(rows)


def compare_one(real, preset: FieldPreset, draws: int = DRAWS) -> dict[str, float]:
    """Return the figures of a real field beside their means over `draws` simulated ones."""
    tables = [compare_fields(real.field, field, real.slate) for field in simulated_fields(real, preset, draws)]
    mean = sum(tables) / draws
    sides = {f"{figure} {side}": mean.loc[figure, side] for figure in mean.index for side in ("real", "simulated")}
    sides.pop("pair_difference real")
    return sides


def simulated_fields(real, preset: FieldPreset, draws: int):
    """Yield fields of the size of `real` drawn with its ownership."""
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            model = fit_field(real.slate, real.ownership, len(real.field), rng=rng, preset=preset)
        yield model.sample(len(real.field), rng)


def _compare_cup(known) -> dict[str, float]:
    figures, tops = [], []
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        model = fit_field(known.slate, known.ownership, known.entries, contest=known.contest, rng=rng)
        field = model.sample(known.entries, rng)
        figures.append(copy_numbers(field))
        tops.append(np.sort(distinct(field)[1])[::-1][1:5].sum() / known.entries)
    mean = pd.DataFrame(figures).mean()
    return {
        "most_copied real": known.most_copied[0] / known.entries,
        "most_copied simulated": mean["most_copied"],
        "next_four real": known.most_copied[1:5].sum() / known.entries,
        "next_four simulated": np.mean(tops),
        "distinct real": known.distinct,
        "distinct simulated": mean["distinct"],
    }


def summary(table: pd.DataFrame) -> pd.Series:
    """Return the figures the presets are judged by, medians over the fights contests."""
    fights = table[table["kind"] == "fights"]
    gap = fights["distinct simulated"] - fights["distinct real"]
    ratio = fights["most_copied simulated"] / fights["most_copied real"]
    return pd.Series(
        {
            "contests": len(fights),
            "distinct: median difference": gap.median(),
            "distinct: median absolute difference": gap.abs().median(),
            "distinct: within .08": (gap.abs() <= 0.08).mean(),
            "most copied: median ratio": ratio.median(),
            "most copied: within a factor of two": ratio.between(0.5, 2).mean(),
        }
    )


CUP_FIGURES = [
    "contest",
    "kind",
    "entries",
    "most_copied real",
    "most_copied simulated",
    "distinct real",
    "distinct simulated",
]


def main() -> None:
    """Print the comparison, and write its short form into docs/results.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", default="../shared/data")
    compared = field_comparison(parser.parse_args().data)
    with pd.option_context("display.width", 250, "display.max_columns", 40, "display.float_format", "{:.3f}".format):
        print(compared.set_index("contest").drop(columns="kind").T.to_string())
        print(summary(compared).to_string())
    fights = summary(compared).rename_axis("fights, medians over contests").rename("value").reset_index()
    races = compared.loc[compared["kind"] != "fights", CUP_FIGURES]
    tables = {"Mixed martial arts, every entry known": fights, "Cup races, the most copied lineup (shares)": races}
    write_results(RESULTS, "field", tables, "python -m scripts.docs.field ../shared/data")


if __name__ == "__main__":
    main()
