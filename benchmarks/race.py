"""Race scenarios: this package beside one race after another in plain numpy, from the same figures."""

import numpy as np
import pandas as pd

from benchmarks.timing import compared, seconds_of
from dfslab.race import RaceModel
from dfslab.rules import fantasy_points, rules_on
from dfslab.workflow import open_race

SCENARIOS = 50_000
LOOPED = 3_000
DRIVERS = 38
MAX_CAUTIONS = 40
"""Random cautions a race can hold, here as in the package."""
FRONT = 7
"""Drivers left to fight for the win, here as in the package."""
STAGE_RATIO = 1.15
"""Length of a stage caution in other cautions, here as in the package."""


def rows() -> list[dict]:
    """Return rows for the simulation and for the fit of the simulator (without a twin), on the bundled season."""
    inputs = open_race()
    history, race = inputs.history, inputs.race
    model, fit = seconds_of(lambda: RaceModel.fit(history.results, history.races, race.date), repeats=1)
    names = history.results["driver"].value_counts().index[:DRIVERS]
    drivers = pd.DataFrame({"driver": np.sort(names), "start": np.arange(1, len(names) + 1)})
    model.simulate(drivers, race, 100, np.random.default_rng(0))
    ours, seconds = seconds_of(lambda: model.simulate(drivers, race, SCENARIOS, np.random.default_rng(1)), repeats=3)
    worth = np.asarray(model.finish.log_worth(drivers, race), float)
    team = model.finish.teams(drivers, race)
    law = model.mechanics[race.track_type].for_race(race, worth, team)
    scoring = rules_on(race.date).scoring
    looped, loop = seconds_of(lambda: race_after_race(law, scoring, LOOPED, np.random.default_rng(2)), repeats=1)
    leaders = [drawn.max(axis=1).mean() / race.sched_laps for drawn in (ours.laps_led, looped["laps_led"])]
    points = [drawn.std() for drawn in (ours.points, looped["points"])]
    note = (
        f"leader's share of laps {leaders[0]:.2f} (loop: {leaders[1]:.2f}), sd of points {points[0]:.1f} "
        f"({points[1]:.1f}); loop timed on {LOOPED:,} races, without labels"
    )
    what = f"{SCENARIOS:,} races of {len(drivers)} drivers, labels and points included"
    seasons = f"{history.races['race_id'].nunique()} past races"
    return [
        compared(what, seconds, loop * SCENARIOS / LOOPED, note),
        compared(f"fit of the race simulator, {seasons}", fit, None, "kernels compiled before or cached"),
    ]


def race_after_race(law, scoring, n: int, rng) -> dict[str, np.ndarray]:
    """Draw `n` races one after another, drivers starting in row order; return finish, laps_led and points, (n, D)."""
    drawn = [one_race(law, rng) for _ in range(n)]
    start = np.tile(np.arange(1, len(law.worth) + 1), n)
    columns = {
        name: np.concatenate(x)
        for name, x in zip(("finish", "laps_led", "fastest_laps"), zip(*drawn, strict=True), strict=True)
    }
    points = fantasy_points(pd.DataFrame({"start": start, **columns}), scoring).to_numpy()
    drawn = {name: columns[name].reshape(n, -1) for name in ("finish", "laps_led")}
    return drawn | {"points": points.reshape(n, -1)}


def one_race(law, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one race that started in row order; return finish, laps led and fastest laps, (D,) each."""
    figures, lead, fastest = law.figures, law.figures.lead, law.figures.fast
    cautions = _cautions(law, rng)
    crashed, broken = _dropouts(figures, cautions, len(law.worth), rng)
    finish = _order(law, cautions, crashed + broken, rng)
    out, completed = _who_is_out(figures, finish, crashed + broken, law.laps, rng)
    tie = 0 if cautions["final"] < law.short_run else (2 if cautions["final"] >= law.fuel_window else 1)
    weight = law.lead_finish[tie][finish - 1] + law.lead_start + lead.worth * law.worth + lead.dropout * out
    led = _laps(weight, lead.power, law.laps - 1, completed, rng)
    led[finish == 1] += law.laps - led.sum()
    weight = law.fast_finish[finish - 1] + law.fast_start + fastest.worth * law.worth + fastest.dropout * out
    weight = weight + fastest.led * np.log(led + 1.0)
    total = law.laps - cautions["slow"] - round(1.4 + cautions["count"])
    fast = _laps(weight, fastest.power, max(0, total), completed, rng)
    fast[finish == 1] += max(0, total) - fast.sum()
    return finish, led, fast


def _negative_binomial(mean, size, rng) -> int:
    return int(rng.negative_binomial(size, size / (size + mean))) if mean > 0 else 0


def _cautions(law, rng) -> dict:
    figures = law.figures
    n = min(_negative_binomial(figures.caution_mean, figures.caution_size, rng), MAX_CAUTIONS)
    late, u = rng.random(n) < figures.late, rng.random(n)
    starts = np.where(late, law.laps - (u * law.late_laps).astype(int), 2 + (u * (law.laps - 2)).astype(int))
    stage = law.stage_laps[rng.random(len(law.stage_laps)) < figures.stage_probability] + 1
    mean = np.concatenate([np.full(len(stage), STAGE_RATIO * law.caution_laps), np.full(n, law.caution_laps)])
    lengths = np.maximum(1, np.rint(rng.standard_gamma(6.0, len(mean)) * mean / 6.0)).astype(int)
    starts = np.concatenate([stage, starts])
    green, count, slow = 1, 0, 0
    for j in np.argsort(starts, kind="stable"):
        first = max(starts[j], green + 1)
        last = min(first + lengths[j] - 1, law.laps - 1)
        if last >= first:
            count, slow, green = count + 1, slow + last - first + 1, last + 1
    return {"count": count, "slow": slow, "final": law.laps - green + 1, "others": n}


def _dropouts(law, cautions, drivers, rng) -> tuple[int, int]:
    ratio = ((cautions["others"] + 1) / (law.caution_mean + 1)) ** law.crash_by_caution
    crashed = min(_negative_binomial(law.crash_mean * ratio, law.crash_size, rng), drivers - 2)
    return crashed, min(_negative_binomial(law.mechanical_mean, law.mechanical_size, rng), drivers - 2 - crashed)


def _order(law, cautions, out, rng) -> np.ndarray:
    """Return finishing positions (D,): first leave those who drop out, then the others but the last few, then these."""
    figures = law.figures
    usual = figures.caution_mean + figures.stage_probability * len(law.stage_laps)
    shuffle = ((cautions["count"] + 1) / (usual + 1)) ** figures.order_by_caution
    day = dict.fromkeys(np.unique(law.team), 0.0)
    day |= {k: law.team_day * rng.standard_normal() for k in day if k >= 0}
    worth = law.worth + np.array([day[k] for k in law.team])
    left, exits = np.arange(len(worth)), []
    behind = max(0, len(worth) - out - FRONT)
    stages = (
        (figures.order_out, out),
        (figures.order_running / shuffle, behind),
        (figures.order_front / shuffle, None),
    )
    for scale, leaving in stages:
        left = left[np.argsort(np.log(rng.standard_exponential(len(left))) + scale * worth[left])]
        exits.append(left[:leaving])
        left = left[leaving:] if leaving is not None else left[:0]
    finish = np.empty(len(worth), int)
    finish[np.concatenate(exits)] = np.arange(len(worth), 0, -1)
    return finish


def _who_is_out(law, finish, out, laps, rng) -> tuple[np.ndarray, np.ndarray]:
    """Return who drops out (D,) bool and the laps everybody completed (D,)."""
    key = law.steepness * np.arange(len(finish)) - np.log(rng.standard_exponential(len(finish)))
    key[0] = -np.inf
    chosen = np.sort(np.argsort(key)[len(key) - out :])[::-1]
    who = np.argsort(finish)[chosen]
    completed = np.full(len(finish), laps)
    completed[who] = (np.sort(rng.random(out) ** (1 / law.lap_shape)) * (laps - 1)).astype(int)
    dropped = np.zeros(len(finish), bool)
    dropped[who] = True
    return dropped, completed


def _laps(log_weight, power, total, completed, rng) -> np.ndarray:
    """Return whole laps (D,) by Dirichlet shares raised to `power`, nobody above his own laps."""
    share = rng.standard_gamma(np.exp(log_weight) * completed / completed.max()) ** power
    reached = np.floor(np.cumsum(share / share.sum()) * total + rng.random()).astype(int)
    reached[-1] = total
    return np.minimum(np.diff(np.concatenate([[0], np.minimum(reached, total)])), completed)
