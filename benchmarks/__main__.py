"""Run the benchmarks: all of them into RESULTS.md, or those named, printed only.

python -m benchmarks
python -m benchmarks law contest
python -m benchmarks accuracy
"""

import importlib
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

MODULES = ("report", "reuse", "large", "season", "scaling", "law", "optimize", "field", "contest", "race", "portfolio")
ACCURACY = "accuracy"
RESULTS = Path(__file__).with_name("RESULTS.md")
PACKAGES = ("dfslab", "numpy", "numba", "pandas", "scipy", "statsmodels", "pulp", "highspy")
INTRODUCTION = """# Benchmarks

Written by `make bench`: every row was measured in this one run, dfslab and what it is compared with one after the
other on the same machine and the same task. Where the other side would take too long it was timed on a part and
scaled, as the note says. Times depend on the machine and its load; ratios less so. Accuracy does not: the second table
has what was the best known before, the goal, and what this run measured.

![CPU seconds over contests in the history, entries, scenarios, lineups and races](../docs/img/scaling.png)
"""


def main(arguments) -> int:
    """Measure the modules named, or all; return 1 when one of them failed."""
    known = (*MODULES, ACCURACY)
    unknown = [name for name in arguments if name not in known]
    if unknown:
        print(f"benchmarks: {unknown[0]} is unknown; use {', '.join(known)}", file=sys.stderr)
        return 2
    load, rows, accuracy, failed = _load(), [], "", {}
    for name in arguments or known:
        print(f"{name} …", file=sys.stderr, flush=True)
        start, module = time.perf_counter(), importlib.import_module(f"benchmarks.{name}")
        try:
            if name == ACCURACY:
                accuracy = f"\n## Accuracy\n\n{module.table(*module.figures())}"
            else:
                rows += module.rows()
        except Exception as error:  # one that fails is listed; the others are measured all the same
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    speed = f"## Speed\n\n{table(rows)}" if rows else ""
    text = f"{INTRODUCTION}\n{machine(load)}\n\n{speed}{accuracy}{_failures(failed)}"
    if not arguments:
        RESULTS.write_text(text, encoding="utf-8")
    print(text)
    return 1 if failed else 0


def machine(load: float | None) -> str:
    """Return what the numbers depend on: cores, load, Python and versions."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    busy = "" if load is None else f", load {load:.1f} before the run"
    return f"{_cores()} cores ({platform.machine()}){busy}; Python {platform.python_version()}; {packages}."


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def table(rows) -> str:
    """Return the rows (what, ours_s, naive_s, ratio, note) as a Markdown table."""
    lines = ["| what | dfslab | other | ratio | note |", "|---|--:|--:|--:|---|"]
    for row in rows:
        ours, naive = _seconds(row["ours_s"]), _seconds(row["naive_s"])
        ratio = "–" if row["ratio"] is None else f"{_short(row['ratio'])} ×"
        lines.append(f"| {row['what']} | {ours} | {naive} | {ratio} | {row['note']} |")
    return "\n".join(lines) + "\n"


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{_short(value)} s" if value >= 0.1 else f"{_short(1000 * value)} ms"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:#.2g}".rstrip(".")


def _failures(failed: dict) -> str:
    if not failed:
        return ""
    return "\nNot measured:\n\n" + "\n".join(f"* {name}: {reason}" for name, reason in failed.items()) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
