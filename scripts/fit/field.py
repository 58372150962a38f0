"""Fit `dfslab/field/defaults.json` on real fields: `python -m scripts.fit.field ../shared/data`.

Takes some five minutes on one core. Fights fields are complete: their salary left gives the taste, their copies the
preset, both checked on dates that were not used. Of Cup contests the most copied lineups are known: the share of the
first follows from them; the further lineups of races and the figures of cash contests (one double-up: its distinct
share and first lineup) stay as they are.
"""

import json
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.field import FieldPreset, field_preset, fit_field
from dfslab.lineups import LineupLaw
from scripts.docs.field import simulated_fields
from scripts.real.fields import read_cup_contests, read_mma_fields
from scripts.real.shapes import copy_numbers

OUT = Path(__file__).parents[2] / "dfslab" / "field" / "defaults.json"
SOURCE = (
    "scripts/fit/field.py: 21 complete fights fields (2019, 2026), nine Cup contests (July to September 2026; their "
    "first lineup by the law's likeliest, cash by one double-up)"
)
TASTE_STEPS = 61
TRIALS = 120
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
}


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


COPIED_ALONE = 0.97
"""Of the first lineup's entries; the others are draws of the law that happen to be it."""


def fit_peak(contests) -> list[float]:
    """Return (a, b) of the first lineup's share `a · p^b`, p the law's probability of its likeliest lineup.

    The line on logs that leaves the worst contest as near as it can: counts are small, and none may be far off.
    """
    share = np.log([known.most_copied[0] / known.entries for known in contests])
    likeliest = np.log([_likeliest(known) for known in contests])
    slopes = np.linspace(0.3, 1.0, 71)
    rest = [share - slope * likeliest for slope in slopes]
    wide = np.array([np.ptp(r) / 2 + np.median(np.abs(r - (r.max() + r.min()) / 2)) for r in rest])
    best = int(np.argmin(wide))
    middle = float(np.exp((rest[best].max() + rest[best].min()) / 2))
    return [round(COPIED_ALONE * middle, 2), round(float(slopes[best]), 2)]


def _likeliest(known) -> float:
    """Return the probability of the likeliest of 20,000 lineups drawn from the law of the contest's ownership."""
    preset = replace(field_preset(known.entries, contest=known.contest), top=0.0, second=0.0, lineups=2, peak=None)
    law = fit_field(known.slate, known.ownership, known.entries, rng=np.random.default_rng(0), preset=preset).law
    return float(np.exp(law.log_prob(law.sample(20_000, np.random.default_rng(0))).max()))


def search(contests, loss, kind: str, unspent) -> tuple[list[dict], np.ndarray]:
    """Return the trials and their losses, (trials, contests)."""
    rng = np.random.default_rng(0)
    trials, losses = [], []
    while len(trials) < TRIALS:
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
    factors = RAISED
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
    tournaments = [known for known in cups if known.contest.kind == "tournament"]
    shipped = json.loads(OUT.read_text("utf-8"))
    stored = shipped | {
        "source": SOURCE,
        "grouped": as_stored(chosen(trials, losses, fields, contest_loss, unspent), 0.03),
        "race": shipped["race"] | {"peak": fit_peak(tournaments)},
        "unspent": unspent[:41].tolist(),
    }
    OUT.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
