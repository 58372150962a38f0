"""The field: opponents' lineups that own, spend and copy as real fields do.

An entry is a draw from the lineup law, or a copy of one of the consensus lineups: lineups many people arrive at
alone, from the same public numbers. Consensus lineups are drawn from a sharper law, the copies of the r-th of them fall
as a power of r, and the law of all other entries is fitted to what the copies leave, so that the whole field owns
what was forecast.
"""

import json
import warnings
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.resources import files

import numpy as np
from numpy.random import Generator
from scipy.optimize import brentq

from dfslab.errors import UserError, whole_number
from dfslab.lineups import InfeasibleOwnership, LineupLaw, best_lineups
from dfslab.parallel import streams
from dfslab.slate import Contest, Slate

MOST_TAKEN = 0.9
"""Largest share of a driver's ownership the copied lineups may take, so that the law keeps some of everybody."""
SHRINK = 0.75
"""Factor by which the copied part shrinks until what it leaves is feasible."""
PUBLIC_LEVEL = 0.95
"""Mean projected points of copied lineups over the best lineup's: the ten most copied at Atlanta, July 2026."""
MAX_TILT = 10.0
"""Largest log-worth that projected points may add to the best projected driver."""
DRAWS_PER_COPIED = 4
"""Draws from the consensus law for each copied lineup, since the popular ones are drawn many times."""
EXPECTATION_DRAWS = 20_000
"""Draws from the consensus law that stand for all lineups in `expected_copies`."""
ARRIVAL_STEPS = 400
"""Points of the time grid in `expected_copies`."""
NEAR_PEAK = 200
"""Lineups of the largest log-worths among which the likeliest is looked for; the taste for salary left decides."""
SMALLEST_COPIED = 0.002
"""Below this share of the entries the copied part is given up."""


@dataclass(frozen=True)
class FieldPreset:
    """How a field copies: fitted on real fields, see `field_preset`.

    `top` is the share of entries on the first consensus lineup, `second` on the second, `steepness` the power by
    which the next ones fall, `lineups` their number, `sharpness` how much more they favour the popular than the law
    does (1: not at all), `unspent` the taste for salary left, a table for $0, $100, … as `LineupLaw` takes it. With
    `peak` (a, b) the first lineup's share is `a · p^b` instead, p the law's probability of its likeliest lineup: where
    the popular drivers fit together, more people arrive at the same six.
    """

    top: float
    second: float
    steepness: float
    lineups: int
    sharpness: float
    unspent: tuple[float, ...]
    peak: tuple[float, float] | None = None

    def on(self, law: LineupLaw) -> "FieldPreset":
        """Return the preset with the share of the first lineup that suits `law`."""
        if self.peak is None:
            return self
        near = best_lineups(law.theta, law.salary, law.rules, NEAR_PEAK, groups=law.groups)
        likeliest = np.exp(law.log_prob(near).max())
        top = min(self.peak[0] * likeliest ** self.peak[1], self.top)
        return replace(self, top=top, second=min(self.second, top))

    @property
    def shares(self) -> np.ndarray:
        """Share of all entries on each consensus lineup, (lineups,)."""
        return np.concatenate([[self.top], self.second * np.arange(1.0, self.lineups) ** -self.steepness])


@cache
def _defaults() -> dict:
    return json.loads(files("dfslab.field").joinpath("defaults.json").read_text("utf-8"))


def field_preset(entries: int, *, contest: Contest | None = None, grouped: bool = False) -> FieldPreset:
    """Return the preset for a contest of `entries` entries (`contest.entries` when a contest is given).

    `grouped` says that the slate has groups (fights), whose fields copy less than races. In cash contests more lineups
    are copied.
    """
    size = contest.entries if contest else entries
    kind = "grouped" if grouped else "cash" if contest is not None and contest.kind == "cash" else "race"
    numbers, scale = _defaults()[kind], max(size, 2) / 1000
    peak, most = numbers.get("peak"), numbers["top_at_most"]
    top, second, lineups = (base * scale**power for base, power in map(numbers.get, ("top", "second", "lineups")))
    return FieldPreset(
        top=most if peak else min(top, most),
        second=min(second, top, most),
        steepness=numbers["steepness"],
        lineups=max(2, round(lineups)),
        sharpness=numbers["sharpness"],
        unspent=tuple(_defaults()["unspent"]),
        peak=peak and tuple(peak),
    )


@dataclass(frozen=True)
class FieldModel:
    """A fitted field: `law` for most entries, `copied` (M, K) lineups with `shares` (M,) of all entries.

    `notes` are sentences for the page.
    """

    law: LineupLaw
    copied: np.ndarray
    shares: np.ndarray
    notes: tuple[str, ...] = ()

    def marginals(self) -> np.ndarray:
        """Return the ownership of the whole mixture, (D,) fractions that sum to K."""
        return (1 - self.shares.sum()) * self.law.marginals() + _taken(self.copied, self.shares, len(self.law.theta))

    def sample(self, n: int, rng: Generator) -> np.ndarray:
        """Draw a field of `n` entries, (n, K) int16 driver rows, sorted within a row, in random order."""
        counts = _rounded_counts(n * self.shares, rng)
        drawn = self.law.sample(n - counts.sum(), rng)
        field = np.concatenate([np.repeat(self.copied, counts, axis=0), drawn]).astype(np.int16)
        return field[rng.permutation(n)]


def _taken(lineups, shares, n_drivers: int) -> np.ndarray:
    """Return the ownership that `shares` (M,) of entries on `lineups` (M, K) make up, (D,)."""
    return np.bincount(lineups.ravel(), np.repeat(shares, lineups.shape[1]), minlength=n_drivers)


def _rounded_counts(expected, rng) -> np.ndarray:
    """Round `expected` to whole numbers that keep every running total within one: one random offset for all."""
    edges = np.floor(np.concatenate([[0.0], np.cumsum(expected)]) + rng.random())
    return np.diff(edges).astype(np.int64)


def fit_field(
    slate: Slate, ownership, n_entries: int, *, rng: Generator, contest: Contest | None = None, preset=None
) -> FieldModel:
    """Fit the mixture of copied lineups and lineup law whose total ownership is `ownership`.

    Parameters
    ----------
    slate : drivers and salaries; a column `group` allows at most one driver per group; with `projected_points` the
        copied lineups are tilted towards the best projected ones
    ownership : (D,) fractions that sum to the roster size, or a Series by driver; drivers who are out count 0
    n_entries : entries of the field; with `contest` the contest's size chooses the preset
    rng : draws which lineups are copied
    preset : a `FieldPreset`, how the field copies; default `field_preset`

    A forecast no mix of legal lineups can have is replaced by the nearest feasible one, with a note.
    """
    n_entries = whole_number(n_entries, "field: n_entries", 0)
    law, consensus, preset, notes = _laws(slate, ownership, n_entries, contest, preset)
    target = law.marginals()
    copied = _first_different(consensus.sample(DRAWS_PER_COPIED * preset.lineups, rng))[: preset.lineups]
    shares = _fitting_shares(copied, preset.shares, target)
    shares, residual = _calibrated(law, target, copied, shares)
    return FieldModel(residual, copied, shares, notes)


def _laws(slate: Slate, ownership, n_entries: int, contest: Contest | None, preset: FieldPreset | None):
    """Return the law with this ownership, the law of copied lineups, the preset, and what was changed."""
    target, notes = _checked_ownership(slate, ownership)
    preset = preset or field_preset(n_entries, contest=contest, grouped=slate.groups is not None)
    fit = partial(LineupLaw.fit, target, slate.salary, slate.rules, groups=slate.groups, unspent=preset.unspent)
    try:
        law = fit()
    except InfeasibleOwnership as reason:
        law = fit(nearest=True)
        off = np.abs(law.marginals() - target).max()
        nearest = f"the nearest one is used, off by {off:.3f} at most"
        notes += (f"No mix of legal lineups has the forecast ownership ({reason}); {nearest}.",)
    return law, _consensus_law(slate, law, preset), preset.on(law), notes


def sample_field(
    slate: Slate, ownership, n_entries: int, *, rng: Generator, contest: Contest | None = None, preset=None
) -> np.ndarray:
    """Draw a field of `n_entries` opponents, (F, K) driver rows, sorted within a row.

    Parameters are those of `fit_field`. Every lineup is legal; ownership is the forecast's up to sampling error. Warns
    when the forecast had to be replaced by the nearest feasible one.
    """
    model = fit_field(slate, ownership, n_entries, contest=contest, rng=rng, preset=preset)
    for note in model.notes:
        warnings.warn(note, stacklevel=2)
    return model.sample(int(n_entries), rng)


def _checked_ownership(slate: Slate, ownership) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return ownership (D,) that sums to the roster size, 0 for drivers who are out, and what was changed."""
    target, size = slate.fractions(ownership), slate.rules.roster_size
    total = target.sum()
    if not 0.5 * size < total < 2 * size:
        raise UserError(f"ownership sums to {total:.2f}; fractions over the slate sum to {size}")
    scaled = f"The ownership forecast summed to {total:.2f} and was scaled to {size}."
    return target * size / total, () if abs(total - size) <= 0.01 * size else (scaled,)


def _consensus_law(slate: Slate, law: LineupLaw, preset: FieldPreset) -> LineupLaw:
    """Return the law of copied lineups: sharper than `law`, and near the public optimum when projections are known.

    Sharpened ownership is the public opinion inferred without projections: on the two races with projections it
    reaches 94–95 % of the projected optimum by itself. With `projected_points` it is tilted, where it must be, to
    `PUBLIC_LEVEL` of the optimum on average.
    """
    sharp, unspent = preset.sharpness * law.theta, preset.sharpness * np.array(preset.unspent)
    nobody = np.isneginf(law.theta)
    value = np.where(nobody, 0.0, np.nan_to_num(slate.column("projected_points", 0.0)))

    def tilted(tilt):
        return LineupLaw(sharp + tilt * value, slate.salary, slate.rules, slate.groups, unspent)

    if not value.any():
        return tilted(0.0)
    public = np.where(nobody, -np.inf, value)
    best = best_lineups(public, slate.salary, slate.rules, 1, groups=slate.groups)
    goal, most = PUBLIC_LEVEL * value[best].sum(), MAX_TILT / value.max()
    short = [goal - tilted(tilt).marginals() @ value for tilt in (0.0, most)]
    if short[0] <= 0 or short[1] >= 0:
        return tilted(0.0 if short[0] <= 0 else most)
    return tilted(brentq(lambda tilt: tilted(tilt).marginals() @ value - goal, 0.0, most, rtol=1e-3))


def _first_different(lineups) -> np.ndarray:
    """Return the different ones of `lineups` in the order in which they first come."""
    return lineups[np.sort(np.unique(lineups, axis=0, return_index=True)[1])]


def _fitting_shares(copied, shares, target) -> np.ndarray:
    """Cut each lineup's share, in order, to what MOST_TAKEN of its drivers' ownership has left."""
    left, fitting = MOST_TAKEN * target, np.zeros(len(copied))
    for r, (lineup, share) in enumerate(zip(copied, shares, strict=False)):
        fitting[r] = min(share, left[lineup].min())
        left[lineup] -= fitting[r]
    return fitting


def _calibrated(law: LineupLaw, target, copied, shares) -> tuple[np.ndarray, LineupLaw]:
    """Shrink the copied part until the rest is feasible; return its shares and the law of the rest."""
    while shares.sum() > SMALLEST_COPIED:
        rest = (target - _taken(copied, shares, len(target))) / (1 - shares.sum())
        try:
            if (rest[target > 0] > 0).all():
                return shares, LineupLaw.fit(rest, law.salary, law.rules, groups=law.groups, unspent=law.unspent)
        except InfeasibleOwnership:
            pass
        shares = shares * SHRINK
    return np.zeros(len(shares)), law


def sample_fields(
    slate: Slate, ownership_draws, n_entries: int, *, rng: Generator, contest: Contest | None = None
) -> np.ndarray:
    """Draw one field for each draw of the ownership forecast, (n, F, K); `ownership_draws` is (n, D).

    Each field has its own stream, so the first fields do not depend on how many are drawn.
    """
    draws = np.asarray(ownership_draws, float)
    each = zip(draws, streams(int(rng.integers(2**63)), len(draws)), strict=True)
    fields = [sample_field(slate, draw, n_entries, contest=contest, rng=stream) for draw, stream in each]
    return np.array(fields).reshape(len(draws), n_entries, slate.rules.roster_size)


def expected_copies(
    lineups, slate: Slate, ownership, n_entries: int, *, contest: Contest | None = None, preset=None
) -> np.ndarray:
    """Return how many of `n_entries` opponents are expected to enter each of `lineups` (L, K), (L,).

    The duplication model: n · P(lineup) under the mixture a field is drawn from, averaged over what may be copied.
    Over all legal lineups it sums to `n_entries` (the product of ownerships sums to some 25 times that).
    """
    law, consensus, preset, _ = _laws(slate, ownership, n_entries, contest, preset)
    draws = consensus.sample(EXPECTATION_DRAWS, np.random.default_rng(0))
    known = np.exp(consensus.log_prob(draws))
    planned = _copied_share(known, known, preset.shares) / known
    planned *= preset.shares.sum() / max(planned.sum(), 1e-300)
    copied, rest = _calibrated(law, law.marginals(), draws, planned)
    kept = copied.sum() / planned.sum() if planned.any() else 0.0
    rows = np.sort(np.asarray(lineups), axis=1)
    on_copied = kept * _copied_share(np.exp(consensus.log_prob(rows)), known, preset.shares)
    return n_entries * (on_copied + (1 - copied.sum()) * np.exp(rest.log_prob(rows)))


def _copied_share(chance, known, shares) -> np.ndarray:
    """Return the expected share of entries copied from lineups drawn with probability `chance` (L,).

    Lineups are drawn until `len(shares)` different ones have come, the r-th taking `shares[r − 1]`. Let draws arrive
    in continuous time: a lineup comes at an exponential time, by when D(t) = Σ (1 − exp(−p t)) others have come; the
    sum over all lineups is a mean over `known`, the probabilities of lineups drawn from the same law.
    """
    times = np.geomspace(1e-4 / known.max(), 1e2 * len(shares) / known.min(), ARRIVAL_STEPS)
    arrived = np.array([np.mean(-np.expm1(-known * t) / known) for t in times])
    grid = np.geomspace(min(known.min(), 1e-12), known.max(), ARRIVAL_STEPS // 2)
    gone = -np.expm1(-grid[:, None] * np.append(0.0, times))
    others = np.append(0.0, arrived) - gone
    midway = np.maximum(others[:, :-1] + others[:, 1:], 0.0) / 2
    rank = np.minimum(midway.astype(int), len(shares))
    per_chance = (np.append(shares, 0.0)[rank] * np.diff(gone, axis=1)).sum(axis=1) / grid
    return chance * np.interp(np.log(np.maximum(chance, 1e-300)), np.log(grid), per_chance)
