"""Fit `dfslab/field/defaults.json` on real fields: `python -m scripts.fit_field_defaults ../shared/data`.

Takes some five minutes on one core. Fights fields are complete: their salary left gives the taste, their copies the
preset, both checked on dates that were not used. Of Cup contests only the most copied lineups, the distinct share of
the worse half and two distinct shares are known; the race preset is set on those.
"""

import json
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.field._sample import FieldPreset, fit_field
from dfslab.lineups import LineupLaw, distinct
from scripts.field_comparison import simulated_fields
from scripts.field_shapes import copy_numbers
from scripts.real_fields import read_cup_contests, read_mma_fields

OUT = Path(__file__).parents[1] / "dfslab" / "field" / "defaults.json"
SOURCE = "scripts/fit_field_defaults.py: 21 complete fights fields (2019, 2026), five Cup contests (July 2026)"
TASTE_STEPS = 61
TRIALS = {"grouped": 120, "race": 60}
AVERAGED = 10
"""Best trials whose (geometric) mean is taken, since a single best one is partly luck."""
RAISED = {"top": (1, 1.2), "second": (1, 1.25, 1.5, 1.8), "lineups": (1, 1.4)}
"""Factors tried on the levels of the mean of good trials; the top of races is known itself and stays."""
LEAST_WEIGHT = 1000
"""A contest weighs in the taste as its entries up to this number."""
RANGES = {
    "grouped": {
        "top": (0.003, 0.02),
        "second": (0.002, 0.01),
        "lineups": (40, 400),
        "steepness": (0.2, 0.7),
        "sharpness": (1.2, 2.2),
        "top_power": (0.2, 0.6),
        "second_power": (0.2, 0.6),
        "lineups_power": (0.4, 0.95),
    },
    "race": {
        "top": (0.022, 0.04),
        "second": (0.008, 0.02),
        "lineups": (50, 250),
        "steepness": (0.3, 0.7),
        "sharpness": (1.6, 2.6),
        "top_power": (0.25, 0.4),
        "second_power": (0.3, 0.6),
        "lineups_power": (0.5, 1.0),
    },
}
CUP_DISTINCT = {392: 0.76, 490: 0.80, 1176: 0.73, 23_461: 0.53}
"""Distinct share by entries. Two whole fields are known: .796 of 490 and .704 of 1,470. Of the five fields here only
the worse half is (.81, .86 and .85, .79, .57); whole fields lie some .05 below it, as .80 does below .86."""


def taste(height: float, length: float) -> np.ndarray:
    """Return g at $0, $100, …: `height · exp(−dollars / length)`."""
    return height * np.exp(-100 * np.arange(TASTE_STEPS) / length)


def fit_taste(fields) -> tuple[tuple[float, float], pd.DataFrame]:
    """Return the best height and length, and the gain in nats per entry of every pair tried, by contest."""
    grid = [(0.0, 500.0)] + [(h, float(length)) for h in (0.4, 0.8, 1.2, 1.6, 2.0) for length in (200, 350, 500, 800)]
    gains = pd.DataFrame({pair: [_log_likelihood(real, taste(*pair)) for real in fields] for pair in grid})
    gains = gains.sub(gains[grid[0]], axis=0)
    weight = np.array([min(len(real.field), LEAST_WEIGHT) for real in fields])
    return max(grid, key=lambda pair: weight @ gains[pair]), gains


def _log_likelihood(real, unspent) -> float:
    slate = real.slate
    law = LineupLaw.fit(real.ownership, slate.salary, slate.rules, groups=slate.groups, unspent=unspent, nearest=True)
    chances = law.log_prob(real.field)
    return chances[np.isfinite(chances)].mean()


def draw_trial(rng, ranges) -> dict[str, float]:
    """Return one set of numbers, log-uniform within `ranges`."""
    return {name: float(np.exp(rng.uniform(*np.log(limits)))) for name, limits in ranges.items()}


def preset_of(trial, entries: int, unspent) -> FieldPreset:
    """Return the preset of a trial for a contest of `entries`."""
    scale = entries / 1000
    top = min(trial["top"] * scale ** -trial["top_power"], 0.06)
    second = min(trial["second"] * scale ** -trial["second_power"], top)
    lineups = max(2, round(trial["lineups"] * scale ** trial["lineups_power"]))
    return FieldPreset(top, second, trial["steepness"], lineups, trial["sharpness"], tuple(unspent))


def contest_loss(real, preset) -> float:
    """Return how far one simulated field of fights is from the real one, in units of what would be acceptable."""
    numbers = pd.DataFrame([copy_numbers(field) for field in simulated_fields(real, preset, 1)]).mean()
    true = pd.Series(copy_numbers(real.field))
    gap = numbers - true
    copied = np.log(numbers["most_copied"] / true["most_copied"]) / 0.35
    pairs = (gap[["entries_on_2", "entries_on_3"]] ** 2).sum() / (2 * 0.03**2)
    return (gap["distinct"] / 0.04) ** 2 + copied**2 + pairs


def race_loss(known, preset) -> float:
    """Return the same for what is known of a Cup contest."""
    rng = np.random.default_rng(known.entries)
    field = fit_field(known.slate, known.ownership, known.entries, rng=rng, preset=preset).sample(known.entries, rng)
    copies = np.sort(distinct(field)[1])[::-1]
    loss = ((len(copies) / known.entries - CUP_DISTINCT[known.entries]) / 0.04) ** 2
    loss += (np.log(copies[0] / known.most_copied[0]) / 0.2) ** 2
    return loss + (np.log(copies[1:5].sum() / known.most_copied[1:5].sum()) / 0.4) ** 2


def search(contests, loss, kind: str, unspent) -> tuple[list[dict], np.ndarray]:
    """Return the trials and their losses, (trials, contests)."""
    rng = np.random.default_rng(0)
    trials, losses = [], []
    while len(trials) < TRIALS[kind]:
        trial = draw_trial(rng, RANGES[kind])
        if max(preset_of(trial, n, unspent).shares.sum() for n in (170, 1500, 25_000)) < 0.5:
            trials.append(trial)
            losses.append([loss(one, preset_of(trial, _entries(one), unspent)) for one in contests])
    return trials, np.array(losses)


def _entries(contest) -> int:
    return contest.entries if hasattr(contest, "entries") else len(contest.field)


def chosen(trials, losses, contests, loss, unspent) -> dict[str, float]:
    """Return the geometric mean of the best trials by mean loss, its three levels then tried a little higher.

    The mean of good trials copies too little: they lie along a curved valley.
    """
    best = np.argsort(losses.mean(axis=1))[:AVERAGED]
    centre = {name: float(np.exp(np.mean([np.log(trials[i][name]) for i in best]))) for name in trials[0]}
    factors = RAISED | ({"top": (1,)} if loss is race_loss else {})
    raised = [
        centre | {name: centre[name] * by for name, by in zip(factors, combination, strict=True)}
        for combination in product(*factors.values())
    ]
    scores = [np.mean([loss(one, preset_of(trial, _entries(one), unspent)) for one in contests]) for trial in raised]
    return raised[int(np.argmin(scores))]


def held_out(fields, trials, losses, unspent) -> pd.DataFrame:
    """Return, by contest, figures under the preset chosen without any contest of its date."""
    dates = np.array([real.name[:10] for real in fields])
    rows = []
    for date in np.unique(dates):
        others = [real for real in fields if not real.name.startswith(date)]
        trial = chosen(trials, losses[:, dates != date], others, contest_loss, unspent)
        for real in (real for real in fields if real.name.startswith(date)):
            fields_drawn = simulated_fields(real, preset_of(trial, len(real.field), unspent), 4)
            drawn = pd.DataFrame([copy_numbers(field) for field in fields_drawn]).mean()
            true = copy_numbers(real.field)
            rows.append({"contest": real.name} | {f"{k} real": true[k] for k in true} | drawn.to_dict())
    return pd.DataFrame(rows)


def as_stored(trial, top_at_most: float) -> dict:
    """Return the numbers as `dfslab.field` reads them."""
    sized = {
        k: [round(trial[k], 5), round(s * trial[f"{k}_power"], 3)]
        for k, s in (("top", -1), ("second", -1), ("lineups", 1))
    }
    rest = {k: round(trial[k], 3) for k in ("steepness", "sharpness")}
    return sized | rest | {"top_at_most": top_at_most}


def main(data_dir) -> None:
    fields, cups = read_mma_fields(Path(data_dir) / "mma" / "fields"), read_cup_contests(Path(data_dir) / "cup")
    pair, gains = fit_taste(fields)
    unspent = taste(*pair).round(4)
    print(
        f"taste {pair}: {gains[pair].mean():.4f} nats per entry, better in {(gains[pair] > 0).mean():.0%} of contests"
    )
    trials, losses = search(fields, contest_loss, "grouped", unspent)
    table = held_out(fields, trials, losses, unspent)
    gap = table["distinct"] - table["distinct real"]
    ratio = table["most_copied"] / table["most_copied real"]
    print(f"held out: distinct off by {gap.median():+.3f}, most copied × {ratio.median():.2f} (medians)")
    inside = (gap.abs() <= 0.08).mean(), ratio.between(0.5, 2).mean()
    print("held out: distinct within .08 in {:.0%}, most copied within a factor of two in {:.0%}".format(*inside))
    races, race_losses = search(cups, race_loss, "race", unspent)
    stored = {
        "source": SOURCE,
        "grouped": as_stored(chosen(trials, losses, fields, contest_loss, unspent), 0.03),
        "race": as_stored(chosen(races, race_losses, cups, race_loss, unspent), 0.05),
        "unspent": unspent[:41].tolist(),
    }
    OUT.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
