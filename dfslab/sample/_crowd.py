"""The players of the sample season: people with different habits who each optimise their own noisy opinion.

Nobody here knows an ownership law. A player has a style (follows a tout, hunts value, loves names, …), an opinion
in points, and picks the best lineup for that opinion with an exact knapsack of this module's own.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

STYLES = ("first tout", "second tout", "value", "names", "movers", "form", "track", "contrarian", "casual")
_STYLE_SHARE = np.array([0.23, 0.16, 0.12, 0.10, 0.13, 0.08, 0.06, 0.05, 0.07])
_STYLE_NOISE = np.array([2.8, 2.8, 3.1, 3.7, 3.1, 3.7, 3.7, 3.7, 4.4])
"""Standard deviation, in points, of a player's own view of a driver."""
MOOD_STEADINESS = 80.0
"""Concentration of the Dirichlet draw of the styles' shares: how much the crowd's make-up differs between races."""
BUZZ = 0.5
"""Standard deviation, in points, of what one contest's crowd shares beyond what everybody talks about."""
COPY_SHARE = 0.075
"""Share of entries that copy a published lineup in a contest of 1,000."""
ANCHOR = 0.5
"""How far everybody lets the price tag speak for the points it stands for."""
POINTS_PER_THOUSAND = 5.0
"""Points the price list asks for each $1,000."""
DISBELIEF = 10.0
"""Points above or below the price at which people stop believing a number."""
PUBLISHED = 12
"""Lineups each tout publishes."""
DOLLARS = 100
ROSTER, CAP = 6, 50_000


@dataclass(frozen=True)
class Facts:
    """What the public knows of each driver who can be rostered and races, (D,) each, in slate rows.

    `first`, `second` are two touts' projected points; `average` this season's points per race; `recent` the last
    races' points; `track` the points at such tracks; `fame` a standing in standard deviations; `talk` what everybody
    says of the driver this week beyond all that, in points; `doubt` is a factor on the noise of people's views.
    """

    rows: np.ndarray
    salary: np.ndarray
    start: np.ndarray
    first: np.ndarray
    second: np.ndarray
    average: np.ndarray
    recent: np.ndarray
    track: np.ndarray
    fame: np.ndarray
    talk: np.ndarray
    doubt: float = 1.0


@dataclass(frozen=True)
class Crowd:
    """The entries of one contest: `lineups` (F, K) slate rows, `user` (F,) who made each, in the users' order."""

    lineups: np.ndarray
    user: np.ndarray


def gather_crowd(facts: Facts, entries: int, max_entries: int, rng) -> Crowd:
    """Return a crowd of `entries` lineups, no player above `max_entries`, nobody twice with the same lineup.

    Styles' shares and the buzz are drawn first, so two crowds on the same facts differ in more than noise.
    """
    share = rng.dirichlet(MOOD_STEADINESS * _STYLE_SHARE)
    signals = _signals(facts) + facts.talk + rng.normal(0, BUZZ, len(facts.rows))
    user = _users(entries, max_entries, rng)
    people = int(user[-1]) + 1
    style = rng.choice(len(STYLES), people, p=share)
    noise = facts.doubt * _STYLE_NOISE[style][:, None]
    opinion = signals[style] + noise * rng.normal(0, 1, (people, len(facts.rows)))
    budget = CAP - _left_over(people, rng)
    restless = rng.uniform(2.0, 4.5, people)
    wobble = np.where(np.bincount(user)[user] > 1, restless[user], 0.0)
    own = opinion[user] + wobble[:, None] * rng.normal(0, 1, (entries, len(facts.rows)))
    picks = solve_lineups(own, facts.salary, budget[user])
    _copy_published(picks, facts, rng)
    _part_twins(picks, user, opinion, facts.salary, budget, rng)
    return Crowd(facts.rows[picks], user)


def crowd_ownership(crowd: Crowd, n_rows: int) -> np.ndarray:
    """Return the share of entries that hold each slate row, (n_rows,)."""
    return np.bincount(crowd.lineups.ravel(), minlength=n_rows) / len(crowd.lineups)


def _signals(facts: Facts) -> np.ndarray:
    """Return what each style sees in each driver, in points, (styles, D)."""
    both = (facts.first + facts.second) / 2
    per_dollar = both / facts.salary * 1000
    price_rank = np.argsort(np.argsort(-facts.salary)) + 1.0
    expected = 0.5 * price_rank + 0.5 * (np.argsort(np.argsort(-facts.average)) + 1.0)
    movers = 44.0 - expected + 1.2 * (facts.start - expected)
    crowded = _standard(per_dollar) + 0.5 * _standard(both)
    views = np.stack([
        facts.first, facts.second, both + 3.0 * (per_dollar - per_dollar.mean()), 0.5 * both + 7.0 * facts.fame,
        0.4 * both + 0.6 * movers, 0.4 * both + 0.6 * facts.recent, 0.5 * both + 0.5 * facts.track,
        both - 3.0 * np.maximum(crowded, 0), both,
    ])  # fmt: skip
    asked = both.mean() + POINTS_PER_THOUSAND * (facts.salary - facts.salary.mean()) / 1000
    return asked + (1 - ANCHOR) * DISBELIEF * np.tanh((views - asked) / DISBELIEF)


def _standard(x) -> np.ndarray:
    return (x - x.mean()) / x.std()


def _users(entries: int, max_entries: int, rng) -> np.ndarray:
    """Return the player number of every entry, ascending: most enter once, a few as often as they may."""
    many = np.minimum(1 + np.floor(rng.pareto(0.9, entries)), max_entries).astype(int)
    return np.repeat(np.arange(entries), many)[:entries]


def _left_over(people: int, rng) -> np.ndarray:
    """Return the dollars a player does not mind leaving unspent, (people,)."""
    careless = rng.random(people) < 0.08
    return np.where(careless, np.floor(rng.exponential(5.0, people)) * DOLLARS, 0).astype(np.int64)


def _copy_published(picks, facts, rng) -> None:
    """Overwrite some entries by lineups the touts published, the first of the list far more often than the last."""
    share = COPY_SHARE * (1000 / len(picks)) ** 0.25
    copies = np.flatnonzero(rng.random(len(picks)) < share)
    published = np.concatenate([_published(v, facts.salary, rng) for v in (facts.first, facts.second)])
    fame = np.tile(1.0 / np.arange(1, PUBLISHED + 1) ** 1.4, 2) * np.repeat([0.65, 0.35], PUBLISHED)
    picks[copies] = published[rng.choice(len(published), len(copies), p=fame / fame.sum())]


def _published(value, salary, rng) -> np.ndarray:
    """Return a tout's list: his optimum first, then optima of his slightly varied numbers."""
    varied = value + rng.normal(0, 1.2, (PUBLISHED, len(value)))
    varied[0] = value
    return solve_lineups(varied, salary, np.full(PUBLISHED, CAP))


def _part_twins(picks, user, opinion, salary, budget, rng) -> None:
    """Give a player who has the same lineup twice another one, by thinking again, more wildly each time."""
    for attempt in range(1, 9):
        keyed = np.column_stack([user, picks])
        _, first = np.unique(keyed, axis=0, return_index=True)
        twins = np.setdiff1d(np.arange(len(picks)), first)
        if not len(twins):
            return
        again = opinion[user[twins]] + 2.0 * attempt * rng.normal(0, 1, (len(twins), len(salary)))
        picks[twins] = solve_lineups(again, salary, budget[user[twins]])


def solve_lineups(values, salary, budgets) -> np.ndarray:
    """Return the best affordable lineup for each row of `values` (F, D), (F, K) rows ascending.

    Salaries and budgets are dollars; whole hundreds of each salary count, so salaries must be multiples of 100.
    """
    cost = np.asarray(salary, np.int64) // DOLLARS
    room = np.asarray(budgets, np.int64) // DOLLARS - ROSTER * cost.min()
    return _solve_all(np.ascontiguousarray(values, dtype=float), cost - cost.min(), room, ROSTER)


@njit(cache=True)
def _solve_all(values, cost, room, roster):
    picks = np.empty((len(values), roster), np.int64)
    best = np.empty((roster + 1, room.max() + 1))
    taken = np.empty((values.shape[1], roster + 1, room.max() + 1), np.bool_)
    for f in range(len(values)):
        _knapsack(values[f], cost, room[f], best, taken)
        _read_back(cost, room[f], taken, picks[f])
    return picks


@njit(cache=True)
def _knapsack(value, cost, room, best, taken):
    """Fill `best` and `taken` by dynamic programming over (driver, drivers picked so far, hundreds spent)."""
    roster = len(best) - 1
    best[0] = 0.0
    best[1:] = -1e18
    for i in range(len(value)):
        taken[i] = False
        for k in range(min(i + 1, roster), 0, -1):
            old, new, mark = best[k - 1, : room + 1 - cost[i]], best[k, cost[i] : room + 1], taken[i, k, cost[i] :]
            for c in range(len(new)):
                with_i = old[c] + value[i]
                better = with_i > new[c]
                mark[c] = better
                new[c] = with_i if better else new[c]


@njit(cache=True)
def _read_back(cost, room, taken, pick):
    k, c = len(pick), room
    for i in range(len(taken) - 1, -1, -1):
        if k > 0 and taken[i, k, c]:
            k -= 1
            pick[k] = i
            c -= cost[i]
