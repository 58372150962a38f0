"""A made-up history of races with known strengths, for tests of the simulator."""

import numpy as np
import pandas as pd

from dfslab.slate import Race

TRACKS = (
    ("Oval", "intermediate", 1.5, 120),
    ("Plate", "superspeedway", 2.5, 80),
    ("Bull Ring", "short", 0.5, 200),
    ("Hills", "road", 3.0, 40),
)


def make_race(n: int, day: str = "2024-06-02") -> Race:
    """Return a race at track number `n`."""
    name, kind, length, laps = TRACKS[n % len(TRACKS)]
    return Race(f"{day}-{name}", day, name, kind, length, laps)


def make_entry(drivers: int) -> pd.DataFrame:
    """Return an entry list, the strongest driver first on the grid."""
    return pd.DataFrame({"driver": [f"driver {i:02d}" for i in range(drivers)], "start": np.arange(1, drivers + 1)})


def make_history(races: int, drivers: int = 20, seed: int = 0, first: str = "2022-02-06"):
    """Return (results, races): weekly races in which driver 0 is the strongest, driver 1 the next, …"""
    rng = np.random.default_rng(seed)
    strength, rows, facts = np.linspace(1.5, -1.5, drivers), [], []
    for k in range(races):
        day = pd.Timestamp(first) + pd.Timedelta(weeks=k)
        name, kind, length, laps = TRACKS[k % len(TRACKS)]
        race_id = f"{day.date()}-{k}"
        start = 1 + np.argsort(np.argsort(-(strength + rng.gumbel(size=drivers))))
        finish = 1 + np.argsort(np.argsort(-(1.5 * strength + rng.gumbel(size=drivers))))
        led = rng.multinomial(laps, rng.dirichlet(4.0 / finish**1.5))
        fast = rng.multinomial(laps - 30, rng.dirichlet((led + 1.0) / laps))
        gone = finish > drivers - rng.integers(0, 4)
        cautions = int(rng.poisson(7))
        rows.append(
            pd.DataFrame(
                {
                    "race_id": race_id,
                    "driver": make_entry(drivers)["driver"],
                    "start": start,
                    "finish": finish,
                    "laps": np.where(gone, laps // 2, laps),
                    "laps_led": led,
                    "fastest_laps": fast,
                    "dnf": gone.astype(int),
                    "dnf_crash": (gone & (rng.random(drivers) < 0.6)).astype(int),
                    "dk_points": 45.0 - finish + 0.25 * led + 0.45 * fast + start - finish,
                }
            )
        )
        facts.append(
            {
                "race_id": race_id,
                "date": day,
                "track": name,
                "track_type": kind,
                "track_length_mi": length,
                "sched_laps": laps,
                "race_laps": laps,
                "cautions": cautions,
                "caution_laps": 5 * cautions,
            }
        )
    return pd.concat(rows, ignore_index=True), pd.DataFrame(facts)
