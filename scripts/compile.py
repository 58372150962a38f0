"""Compile the kernels that a report needs, with progress (`python -m scripts.compile`)."""

import sys
import time

import dfslab as dfs

STEPS = {
    "the race model": lambda day, have: dfs.simulate_race(day, 300),
    "ownership": lambda day, have: dfs.forecast_ownership(day, have[0], 50),
    "the portfolio": lambda day, have: dfs.choose_portfolio(day, *have, n_lineups=5, n_candidates=300, n_choose=200),
    "the contest": lambda day, have: dfs.score_portfolios(day, {"portfolio": have[2]}, have[1], n_scenarios=200),
}


def main() -> None:
    """Run every stage of a report on the sample race in its smallest size, and say how long each took to compile."""
    day, have, start = dfs.open_race(), [], time.perf_counter()
    for name, step in STEPS.items():
        print(f"compiling {name} …", file=sys.stderr, flush=True)
        have.append(step(day, have))
    print(f"compiled in {time.perf_counter() - start:.0f} s; kept for every later run", file=sys.stderr)


if __name__ == "__main__":
    main()
