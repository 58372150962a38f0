"""Write data/README.md: the sample season beside real seasons, in figures (`python -m scripts.docs.data_readme`)."""

import numpy as np
import pandas as pd

from dfslab.data import files, history, list_races, load_slate, open_folder
from dfslab.workflow import SAMPLE

REAL = {
    "leader's share of laps, 10 / 25 / 50 / 75 / 90 %": ".23 / .31 / .41 / .54 / .66",
    "leader's share of laps, mean by track type": ".29 / .47 / .46 / .48",
    "cautions a race, by track type": "7.2 / 8.4 / 7.1 / 5.4",
    "crash drop-outs a race, by track type": "10.0 / 3.1 / 1.9 / 2.0",
    "laps led and fastest laps, correlation, off / on superspeedways": ".78 / .03",
    "start and finish, rank correlation, all / superspeedways": ".44 / .11",
    "DraftKings points of a driver, mean / standard deviation": "28 / 25",
    "races a few laps longer / stopped early, %": "27 / 3",
    "drivers with a salary, fewest / most": "36 / 42",
    "salaries, lowest / median / highest, $": "4,500 / 7,500 / 11,200",
    "most rostered driver, % of entries, lowest / median / highest": "45 to 65",
    "most copied lineup, % of entries, up to 1,500 entries": "2 to 6",
    "most copied lineup, % of entries, above 1,500 entries": "1.4 (23,461 entries)",
    "distinct lineups ÷ entries, lowest / median / highest": ".70 / – / .80",
    "salary spent, mean of a contest's entries, lowest / highest, $": "49,200 / 50,000",
    "forecast ownership of a vendor and fact, correlation, lowest / median / highest": ".87 / .90 / .94",
}
"""NASCAR Cup 2018–2025: race figures from 270 points races (loop data from 2019), salaries from seven DraftKings
files of 2019–2026, contests from what is known of eight real ones of 2026 with 392 to 23,461 entries (the forecast of
their better-known drivers)."""
TYPES = ("superspeedway", "intermediate", "short", "road")
SMALL = 1500
"""Entries up to which a contest counts as small."""


def shape_table(data_dir) -> pd.DataFrame:
    """Return a frame what, real, sample (text): figures of real seasons beside those of the simulated `data_dir`."""
    past = history(data_dir)
    results, races = past.results, past.races
    values = [
        *_race_shapes(results, races),
        *_slate_shapes(data_dir),
        *_contest_shapes(data_dir),
        _vendor_shape(data_dir),
    ]
    return pd.DataFrame({"what": list(REAL), "real": list(REAL.values()), "sample": values})


def _race_shapes(results: pd.DataFrame, races: pd.DataFrame) -> list[str]:
    kind = results["track_type"] == "superspeedway"
    led_fast = [results[mask][["laps_led", "fastest_laps"]].corr().iloc[0, 1] for mask in (~kind, kind)]
    rank = races["spearman_start_finish"]
    extra = races["race_laps"] - races["sched_laps"]
    points = results["dk_points"]
    return [
        _slashed(races["top_led_share"].quantile([0.1, 0.25, 0.5, 0.75, 0.9]), ".2f"),
        _by_type(races, "top_led_share", ".2f"),
        _by_type(races, "cautions", ".1f"),
        _by_type(races, "n_dnf_crash", ".1f"),
        _slashed(led_fast, ".2f"),
        _slashed([rank.mean(), rank[races["track_type"] == "superspeedway"].mean()], ".2f"),
        _slashed([points.mean(), points.std()], ".0f"),
        _slashed([100 * (extra > 0).mean(), 100 * (extra < 0).mean()], ".0f"),
    ]


def _slate_shapes(data_dir) -> list[str]:
    slates = [load_slate(race_id, data_dir) for race_id in list_races(data_dir)]
    salary = np.concatenate([slate.salary for slate in slates])
    sizes = [len(slate) for slate in slates]
    return [
        _slashed([min(sizes), max(sizes)], "d"),
        _slashed([salary.min(), np.median(salary), salary.max()], ",.0f"),
    ]


def _contest_shapes(data_dir) -> list[str]:
    rows = pd.DataFrame([row for race_id in list_races(data_dir) for row in _race_contests(race_id, data_dir)])
    small = rows["entries"] <= SMALL
    spread = ("min", "median", "max")
    return [
        _slashed(100 * rows["top"].agg(spread), ".0f"),
        _slashed(100 * rows.loc[small, "copied"].agg(spread), ".1f"),
        _slashed(100 * rows.loc[~small, "copied"].agg(spread), ".1f"),
        _slashed(rows["distinct"].agg(spread), ".2f"),
        _slashed(rows["spent"].agg(["min", "max"]), ",.0f"),
    ]


def _vendor_shape(data_dir) -> str:
    known = history(data_dir).ownership.dropna(subset=["projected_ownership"]).groupby("contest_id")
    agreement = known[["ownership", "projected_ownership"]].corr().iloc[::2, 1]
    return _slashed(agreement.agg(["min", "median", "max"]), ".2f")


def _race_contests(race_id: str, data_dir) -> list[dict]:
    slate = load_slate(race_id, data_dir)
    return [_contest_facts(slate, standings) for standings in open_folder(race_id, data_dir).standings]


def _contest_facts(slate, standings) -> dict:
    lineups = standings.lineups(slate)
    distinct, copies = np.unique(lineups, axis=0, return_counts=True)
    return {
        "entries": len(standings),
        "top": standings.ownership.max(),
        "copied": copies.max() / len(standings),
        "distinct": len(distinct) / len(lineups),
        "spent": slate.salary[lineups].sum(1).mean(),
    }


def _by_type(races: pd.DataFrame, column: str, style: str) -> str:
    return _slashed(races.groupby("track_type")[column].mean().reindex(list(TYPES)), style)


def _slashed(values, style: str) -> str:
    return " / ".join(format(v, style).replace("0.", ".", 1 if abs(v) < 1 else 0) for v in values)


def readme_text(table: pd.DataFrame) -> str:
    """Return the text of data/README.md around a `shape_table`: what lies here, how it was made, sample beside real."""
    lines = ["| what | real | sample |", "|---|--:|--:|"]
    lines += [f"| {row.what} | {row.real} | {row.sample} |" for row in table.itertuples()]
    return README.format(table="\n".join(lines))


README = """# Data

`sample/` is a **simulated** season: nobody and nothing in it is real. It is what a user's data folder looks like, and
everything in dfslab runs on it without the internet. Files and columns are described in `docs/data.md`. Your own
folder goes anywhere; name it with `--data`.

## How it was made

`dfslab sample` grows a world from one seed: drivers, teams and tracks with hidden strengths, two seasons of results,
then a season with salaries, contests and their standings. The last race has not been run. The same seed writes the
same files (a zip is compared by what it holds). None of the package's models had a part in it:

* Races are driven lap by lap: pace, tyres, dirty air and draft, passing, fuel, pit stops, incidents, cautions,
  overtime. Nobody draws a finishing order.
* Salaries are set by a desk that half knows the drivers' strength and looks at form.
* The field is made by players of nine habits (they follow a tout, hunt value, love names, want places gained, look
  at form or at the track, go against the crowd, or just feel like it). Each picks the best lineup for his own noisy
  opinion; some copy a published lineup. How many there are of each differs from race to race.

`dfslab.sample.replay(race_id, n, rng)` runs a race of it again, and fills the contest again, from the law
that made them, so that a portfolio's true value can be measured.

The oddities of real files are there: names spelled in two ways, drivers with a salary who do not race, a late starter
without a salary, blank entries, extra columns, ownership in percent, as a fraction and with a percent sign, a list of
contests, DraftKings' own contest JSON, one week without a grid, standings as a plain CSV.

## Sample beside real

Track types in the order superspeedway / intermediate / short / road. Real: NASCAR Cup, 270 races of 2018–2025, seven
salary files of 2019–2026, and what is known of eight contests of 2026.

{table}

The sample is a stand-in, not evidence: what is tuned or praised here must be checked on real races.
"""

if __name__ == "__main__":
    with files.write_atomically(SAMPLE.parent / "README.md") as aside:
        aside.write_text(readme_text(shape_table(SAMPLE)), encoding="utf-8")
