"""A small slate with races, ownership and a contest, and whole portfolios of it in a second."""

import numpy as np
import pandas as pd

from dfslab.portfolio import generate_regime_aware_portfolio
from dfslab.race import Scenarios
from dfslab.slate import Contest, Slate

REGIMES = ("dominator", "chaos", "fuel_mileage", "balanced")
LADDER = ((1, 1, 120.0), (2, 3, 40.0), (4, 10, 12.0), (11, 30, 6.0))


def contest_of(entries=150, **more):
    rows = [{"min_rank": a, "max_rank": min(b, entries), "prize": p} for a, b, p in LADDER if a <= entries]
    return Contest(4.0, entries, rows, **more)


def scenarios_of(slate, n=400, seed=0):
    """Races in which the regime says how far the front of the grid is ahead; four times as many are calm."""
    rng = np.random.default_rng(seed)
    size = len(slate)
    regime = rng.choice(4, n, p=[0.4, 0.25, 0.15, 0.2]).astype(np.int8)
    skill = (slate.salary - slate.salary.mean()) / 250.0
    noise = rng.normal(0, 1, (n, size)) * np.array([10, 28, 20, 16])[regime][:, None]
    points = np.rint(4 * (30 + skill * np.array([1.6, 0.3, 0.8, 1.0])[regime][:, None] + noise)) / 4
    points = np.where(slate.out, 0.0, points)
    finish = np.argsort(np.argsort(-points, axis=1), axis=1).astype(np.int16) + 1
    zeros, flat = np.zeros((n, size), np.int16), np.zeros(n, np.int16)
    arrays = dict.fromkeys(("start", "laps_led", "fastest_laps", "dropped_out", "crashed"), zeros)
    facts = dict.fromkeys(("cautions", "caution_laps", "longest_green_run", "final_green_run"), flat)
    weight = rng.dirichlet(np.full(n, 20.0))
    return Scenarios(
        slate.names, finish=finish, points=points, regime=regime, weight=weight, track_length_mi=1.5, **arrays, **facts
    )


def slate_of(n_drivers=20, out=(3,)):
    rng = np.random.default_rng(n_drivers)
    salary = np.rint(np.linspace(10_800, 4_700, n_drivers) / 100).astype(int) * 100
    names = [f"{a}{b} Mott" for a in "ZKAQ" for b in "neuiaox"][:n_drivers]
    frame = pd.DataFrame({"driver": names, "salary": salary[rng.permutation(n_drivers)]})
    return Slate.from_frame(frame.assign(out=np.isin(np.arange(n_drivers), out)))


def ownership_of(slate):
    taste = np.exp(slate.salary / 12_000.0) * ~slate.out
    return pd.Series(6 * taste / taste.sum(), slate.names)


SLATE = slate_of()
SCENARIOS = scenarios_of(SLATE)
OWNERSHIP = ownership_of(SLATE)


def build(n=12, slate=SLATE, scenarios=SCENARIOS, ownership=OWNERSHIP, contest=None, seed=1, **options):
    options = {"n_candidates": 400, "n_fields": 2, "leverage_penalty": (0.0, 60.0)} | options
    return generate_regime_aware_portfolio(
        slate, scenarios, ownership, contest or contest_of(), n, rng=np.random.default_rng(seed), **options
    )
