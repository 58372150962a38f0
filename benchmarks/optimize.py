"""Time 150 lineups against pydfs-lineup-optimizer on the same slate and objective, in the same run.

The peer lives in an environment of its own, made once in a temporary folder with pip; it is not a dependency. Both
must return the same objective lineup by lineup, else `rows` raises: a ratio between different answers means nothing.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.timing import compared, seconds_of
from dfslab.optimize import LeverageAwareOptimizer
from dfslab.slate import Slate

__all__ = ["rows"]

PEER = "pydfs-lineup-optimizer==3.6.1"
N_LINEUPS = 150
CASES = {
    f"{N_LINEUPS} lineups": {},
    f"{N_LINEUPS} lineups, overlap ≤ 4, exposure ≤ 50 %": {"max_overlap": 4, "max_exposure": 0.5},
}
REPEATS = 9
"""Ours is run once to warm up, then so often; the median counts. The peer, half a minute a run, is run once."""

PEER_SCRIPT = """
import json, sys, time
from pydfs_lineup_optimizer import Player, Site, Sport, get_optimizer

task = json.load(sys.stdin)
optimizer = get_optimizer(Site.DRAFTKINGS, Sport.NASCAR)
drivers = enumerate(zip(task["salary"], task["value"]))
players = [Player(str(i), "Driver", str(i), ["D"], "Nasca", salary, value) for i, (salary, value) in drivers]
optimizer.player_pool.load_players(players)
if "max_overlap" in task:
    optimizer.set_max_repeating_players(task["max_overlap"])
start = time.perf_counter()
found = list(optimizer.optimize(task["n"], max_exposure=task.get("max_exposure")))
seconds = time.perf_counter() - start
json.dump({"seconds": seconds, "lineups": [[int(p.id) for p in lineup.players] for lineup in found]}, sys.stdout)
"""


def rows() -> list[dict]:
    """Return one row per case: seconds of ours and of the peer, their ratio, how far the objectives differ."""
    python = peer_python()
    slate, ownership, value = made_up_slate()
    optimizer = LeverageAwareOptimizer(slate, ownership, leverage_penalty=30)
    return [_row(name, limits, python, optimizer, value) for name, limits in CASES.items()]


def made_up_slate(n: int = 38, seed: int = 1):
    """Return a slate of DK's shape with ownership and projected points; nobody in it is real."""
    rng = np.random.default_rng(seed)
    salary = np.sort(rng.integers(46, 112, n) * 100)[::-1]
    frame = pd.DataFrame({"driver": [f"Driver {i:02d}" for i in range(n)], "salary": salary})
    value = 0.0045 * salary + rng.normal(0, 7, n)
    ownership = np.exp(rng.normal(-2.5, 0.9, n))
    return Slate.from_frame(frame), np.minimum(ownership * 6 / ownership.sum(), 0.9), value


def peer_python() -> Path:
    """Return the interpreter of the peer's environment; make it when it is not there yet."""
    home = Path(tempfile.gettempdir()) / f"dfslab-peer-{PEER.replace('==', '-')}"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        base = Path(sys.base_prefix) / "bin" / "python3"
        subprocess.run([base, "-m", "venv", "--without-pip", home], check=True)
        subprocess.run([base, "-m", "pip", "--python", python, "install", "--quiet", PEER], check=True)
        (home / "ready").touch()
    return python


def _row(name, limits, python, optimizer, value) -> dict:
    ours, seconds = seconds_of(lambda: optimizer.optimize(value, N_LINEUPS, **limits), REPEATS)
    objective = optimizer.objective(value)
    task = {"n": N_LINEUPS, "salary": optimizer.slate.salary.tolist(), "value": objective.tolist(), **limits}
    answer = subprocess.run(
        [python, "-c", PEER_SCRIPT], input=json.dumps(task), capture_output=True, text=True, check=True
    )
    peer = json.loads(answer.stdout)
    theirs = objective[np.array(peer["lineups"])].sum(axis=1)
    difference = float(np.abs(optimizer.objective(value)[ours].sum(axis=1) - theirs).max())
    if difference > 1e-9:
        raise RuntimeError(f"{name}: objectives differ by {difference:.3g} from {PEER}")
    note = f"objectives equal, lineup by lineup, to {difference:.0e}; against {PEER}"
    return compared(f"optimize: {name}", seconds, peer["seconds"], note)
