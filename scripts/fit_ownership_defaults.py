"""Refit the ownership figures that ship with the package from a folder of real contests.

    python scripts/fit_ownership_defaults.py DATA [--out dfslab/ownership/defaults.json] [--without golf ...]

DATA holds `pga/ownership.csv` (complete golf contests), `cup/contests_2026/ownership_partial.csv` with the slates of
`cup/races/*` (stock cars, better-known drivers only) and `mma/fields` (every entry's lineup). Nothing but coefficients
is written.
"""

import argparse
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab.data import match_names
from dfslab.ownership import HistoricalOwnership, HybridOwnershipEstimator, Prior, RecentFormOwnership
from dfslab.ownership._estimators import VENDOR, remember
from dfslab.ownership._features import BENDS, popularity, price_move, read_history, recent_popularity, salary_curve
from dfslab.ownership._fit import Case, fit_log_worths, size_factor
from dfslab.rules import DRAFTKINGS_NASCAR as RULES

INCOMPLETE_GOLF = "RBC_Canadian_2026"
SIZE_SLOPES = np.linspace(-0.4, 0.1, 11)
LOWEST_SALARY = 3000
"""A fighter rostered too rarely for his salary to follow from totals gets a senseless one, below this."""
LIFT_OF_OPPONENTS = 0.2
"""Two fighters rostered together less than this share of what chance gives are taken for opponents."""


def golf(folder: Path) -> pd.DataFrame:
    """Return the golf contests as a history frame."""
    table = pd.read_csv(folder / "pga/ownership.csv")
    table = table[table["contest"] != INCOMPLETE_GOLF]
    return pd.DataFrame(
        {
            "contest_id": table["contest"],
            "date": table["date"],
            "driver": table["player"],
            "salary": table["salary"],
            "ownership": table["own_pct"] / 100,
            "projected_ownership": table["proj_own"] / 100,
        }
    )


def cup(folder: Path) -> pd.DataFrame:
    """Return the Cup contests whose slate is known; drivers of unknown ownership keep a row with NaN."""
    known = pd.read_csv(folder / "cup/contests_2026/ownership_partial.csv")
    rows = []
    for race in sorted((folder / "cup/races").glob("2026-*")):
        slate = pd.read_csv(race / "DKSalaries.csv")
        day = known[known["date"] == json.loads((race / "race.json").read_text())["date"]]
        for contest_id, part in day.groupby("contest_id"):
            rows.append(_cup_contest(race, slate, part, contest_id))
    return pd.concat(rows, ignore_index=True)


def _cup_contest(race, slate, part, contest_id) -> pd.DataFrame:
    matched = match_names(part["player"], slate["Name"])
    if matched.unmatched:
        raise SystemExit(f"contest {contest_id}: not on the slate: {', '.join(matched.unmatched)}")
    part = part.set_index(part["player"].map(matched.pairs))
    vendor = pd.read_csv(race / "projections.csv").set_index("driver")["projected_ownership"] / 100
    return pd.DataFrame(
        {
            "contest_id": str(int(contest_id)),
            "date": part["date"].iloc[0],
            "driver": slate["Name"],
            "salary": slate["Salary"],
            "ownership": slate["Name"].map(part["own_pct"]).to_numpy() / 100,
            "projected_ownership": slate["Name"].map(vendor).to_numpy(),
            "entries": part["entries"].iloc[0],
            "sport": "cup",
        }
    )


def mma(folder: Path) -> pd.DataFrame:
    """Return the fight contests with salaries; salaries follow from the lineups' totals, opponents share a group."""
    frames = []
    for path in sorted((folder / "mma/fields").glob("*.csv.gz")):
        field = pd.read_csv(path)
        if field["salary"].notna().any():
            frames.append(_mma_contest(path.name, field))
    return pd.concat(frames, ignore_index=True)


def _mma_contest(name, field) -> pd.DataFrame:
    lineups = field["lineup"].fillna("").str.split("|")
    full = lineups.str.len() == 6
    held = pd.DataFrame([dict.fromkeys(lineup, 1.0) for lineup in lineups[full]]).fillna(0.0)
    priced = field.loc[full, "salary"].notna().to_numpy()
    salary = np.linalg.lstsq(held[priced].to_numpy(), field.loc[full, "salary"][priced].to_numpy(), rcond=None)[0]
    return pd.DataFrame(
        {
            "contest_id": name.removesuffix(".csv.gz"),
            "date": name[:10],
            "driver": held.columns,
            "salary": pd.Series(np.round(salary / 100) * 100).where(salary > LOWEST_SALARY).to_numpy(),
            "ownership": held.mean().to_numpy(),
            "entries": len(field),
            "group": _opponents(held.to_numpy()),
            "sport": "mma",
        }
    )


def _opponents(held) -> np.ndarray:
    together = held.T @ held / len(held)
    lift = together / np.outer(held.mean(axis=0), held.mean(axis=0))
    np.fill_diagonal(lift, np.inf)
    best = lift.argmin(axis=1)
    group = np.arange(len(best))
    for i, j in enumerate(best):
        if best[j] == i and lift[i, j] < LIFT_OF_OPPONENTS:
            group[i] = min(i, j)
    return group


# ---------------------------------------------------------------- figures

ASSUMED = {
    "projection": [[0.5, 0.4], [0.2, 0.4]],
    "rating": [[0.2, 0.3]],
    "starting_place": [[0.5, 0.5], [0.5, 0.5]],
    "points_form": [[0.1, 0.2]],
    "given_form": [[0.1, 0.2]],
    "popularity_here": [[0.0, 0.3]],
    "vendor": [[1.0, 0.1], [1.0, 0.03]],
}
"""Mean and sd of what no contest of the folder tells: neither projected points nor starts come with ownership. A
vendor is taken at his word; what he deserves is for the pool to say."""
BEFORE = {"popularity": [[0.7, 0.5], [0.0, 0.3]], "recent_popularity": [[0.4, 0.4]], "price_move": [[0.0, 0.5]]}
"""Where the fit of what golf tells begins; it stays when golf is left out."""
CURVE_FIT_SD, SIZE_FIT_SD = 4.0, 1.0
CURVE_SD, SIZE_SD = 1.0, 0.5
"""Between sports and years a bend of the salary curve moves by about this much ($1,000)."""
POOL = {
    "weights": {"historical": 0.55, "recent_form": 0.15, "salary_skill": 0.1, "projection": 0.8},
    "weight_sd": 0.15,
    "base_sd": 0.03,
    "size_sd": 0.15,
    "single_sd": 0.15,
    "price_sd": 0.05,
    "bend_sd": 0.05,
}
VENDOR_SHARE = 0.65
"""Weight of a vendor's forecast beside a full history: evidence of one golf contest (best .7), shrunk."""
LINEUPS_PER_CONTEST = 25
LEVELS = (-6.5, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0)
PROBABILITY = (0.0, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 1.0)


def provisional(size_slope: float) -> Prior:
    """Return a wide prior to fit the figures with."""
    bends = len(BENDS) + 1
    curve = [[0.0, CURVE_FIT_SD]] * bends + [[0.0, SIZE_FIT_SD]] * (bends + 1)
    pool = {**POOL, "weights": {**POOL["weights"], VENDOR: _vendor_worth()}}
    coefficients = {"salary_curve": curve, **BEFORE, **ASSUMED}
    return Prior(coefficients, pool, LINEUPS_PER_CONTEST, size_slope, {})


def _vendor_worth() -> float:
    rest = sum(POOL["weights"][name] for name in ("historical", "recent_form", "salary_skill"))
    return round(VENDOR_SHARE / (1 - VENDOR_SHARE) * rest, 3)


def fit_size_slope(boards) -> float:
    """Return the temperature per factor of 10 in entries, from contests of different size on one slate."""
    slates = {}
    for board in boards:
        if board.entries > 0:
            slates.setdefault((board.date, frozenset(board.names)), []).append(board)
    slates = [group for group in slates.values() if len({b.entries for b in group}) > 1]
    likelihood = [sum(_slate_likelihood(group, slope) for group in slates) for slope in SIZE_SLOPES]
    best = int(np.clip(np.argmax(likelihood), 1, len(SIZE_SLOPES) - 2))
    near = slice(best - 1, best + 2)
    a, b, _ = np.polyfit(SIZE_SLOPES[near], np.array(likelihood)[near], 2)
    return float(np.clip(-b / (2 * a), SIZE_SLOPES[0], SIZE_SLOPES[-1]))


def _slate_likelihood(group, slope) -> float:
    order = np.argsort(group[0].names)
    eye = np.eye(len(order))
    cases = [Case(b, size_factor(b, slope) * eye[np.argsort(np.argsort(b.names))]) for b in group]
    theta = fit_log_worths(cases, np.zeros(len(order)), np.full(len(order), 0.02))
    total = -0.5 * 0.02 * theta @ theta
    for case in cases:
        law = case.board.law(case.design @ theta)
        own, pi = case.board.ownership, law.marginals()
        known = ~np.isnan(own)
        own = np.where(known, own, pi)
        total += own @ law.theta - law.log_normaliser
    return float(total)


def with_coefficients(prior: Prior, **tables) -> Prior:
    """Return the prior with some coefficients replaced."""
    return replace(prior, coefficients={**prior.coefficients, **tables})


def fit_curve(boards, prior: Prior) -> Prior:
    """Return the prior with the salary curve of all sports together; contests of one slate share one vote."""
    votes = pd.Series([b.date for b in boards]).value_counts()
    cases = [Case(b, size_factor(b, prior.size_slope) * salary_curve(b), 1 / votes[b.date]) for b in boards]
    beta = fit_log_worths(cases, *prior.of("salary", (salary_curve,)))
    spread = [CURVE_SD] * (len(BENDS) + 1) + [SIZE_SD] * (len(beta) - len(BENDS) - 1)
    return with_coefficients(prior, salary_curve=_table(beta, spread))


def fit_memory(boards, prior: Prior) -> Prior:
    """Return the prior with the coefficients of what past contests say, from the golf contests."""
    memory = remember(boards, prior)
    tables = {}
    for estimator, features in (
        (HistoricalOwnership, (popularity,)),
        (RecentFormOwnership, (recent_popularity, price_move)),
    ):
        fitted = estimator(RULES, prior).fit_boards(boards, memory)
        beta = fitted.coefficients((salary_curve, *features))
        place = len(prior.coefficients["salary_curve"])
        for feature in features:
            rows = prior.coefficients[feature.__name__]
            tables[feature.__name__] = _table(beta[place : place + len(rows)], [sd for _, sd in rows])
            place += len(rows)
    return with_coefficients(prior, **tables)


def fit_residuals(sports, prior: Prior) -> dict:
    """Return quantiles of the errors of log-odds by level of the forecast, each sport with one vote."""
    errors = []
    for boards in sports.values():
        fitted = HybridOwnershipEstimator(RULES, prior).fit_boards(boards)
        bank = fitted.residuals
        level, error = np.concatenate(bank.levels), np.concatenate(bank.errors)
        errors.append((level, error, np.full(len(level), 1 / len(level))))
    level, error, weight = (np.concatenate(part) for part in zip(*errors, strict=True))
    near = [weight * np.exp(-0.5 * ((level - at) / 0.5) ** 2) for at in LEVELS]
    quantiles = [_quantiles(error, w) for w in near]
    return {"levels": list(LEVELS), "probability": list(PROBABILITY), "quantiles": quantiles}


def _quantiles(values, weight) -> list:
    order = np.argsort(values)
    place = (np.cumsum(weight[order]) - 0.5 * weight[order]) / weight.sum()
    inner = np.interp(np.clip(PROBABILITY, 0.005, 0.995), place, values[order])
    return inner.round(3).tolist()


def _table(mean, spread) -> list:
    return [[round(float(m), 3), s] for m, s in zip(mean, spread, strict=True)]


def fit_prior(folder: Path, without=()) -> Prior:
    """Return all figures, fitted on the sports of the folder that are not left out."""
    readers = {"golf": golf, "cup": cup, "mma": mma}
    sports = {k: read_history(read(folder), RULES)[0] for k, read in readers.items() if k not in without}
    everything = tuple(itertools.chain.from_iterable(sports.values()))
    slopes = {k: fit_size_slope(sports[k]) for k in ("cup", "mma") if k in sports}
    print("size slopes", {k: round(slope, 3) for k, slope in slopes.items()})
    prior = fit_curve(everything, provisional(round(slopes.get("cup", slopes.get("mma", 0.0)), 3)))
    if "golf" in sports:
        prior = fit_memory(sports["golf"], prior)
    prior = replace(prior, residuals=PLACEHOLDER)
    prior = replace(prior, residuals=fit_residuals({k: b for k, b in sports.items() if k != "mma"}, prior))
    return replace(prior, source=_source(sports))


PLACEHOLDER = {"levels": [-8, 2], "probability": [0, 1], "quantiles": [[0, 0], [0, 0]]}


def _source(sports) -> str:
    counts = ", ".join(f"{len(boards)} {name} contests" for name, boards in sports.items())
    dates = sorted(b.date for boards in sports.values() for b in boards)
    return (
        f"fitted on {counts} ({dates[0].date()} to {dates[-1].date()}): salary curve on all of them, popularity and "
        f"price moves on golf, the slope in size on cup (mma where cup is left out); "
        f"{', '.join(ASSUMED)} and the pool's weights are assumptions with wide errors"
    )


def main():
    """Write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("dfslab/ownership/defaults.json"))
    parser.add_argument("--without", nargs="*", default=[], choices=["golf", "cup", "mma"])
    asked = parser.parse_args()
    prior = fit_prior(asked.data, asked.without)
    asked.out.write_text(json.dumps(prior.to_dict(), indent=1) + "\n", encoding="utf-8")
    print(prior.source)


if __name__ == "__main__":
    main()
