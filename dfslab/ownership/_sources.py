"""Forecasts of ownership from one kind of evidence, each a law on lineups whose log-worths are linear in it.

Every source answers `θ = t·X β`: X are features of one kind (see `_features`), t the temperature of the contest's size
and kind, and β maximises `Σ_c (o_c·θ_c − log Z(θ_c))` over past contests under a normal prior, the shipped figures. So
ownership sums to K, stays below 1 and respects the cap by construction.
"""

from dataclasses import dataclass

import numpy as np

from dfslab.ownership._board import ContestBoard
from dfslab.ownership._features import FEATURES, SIZE, PastOwnership, salary_curve
from dfslab.ownership._fit import Case, Prior, fit_log_worths, temperature

MOST_CONTESTS = 100
"""Coefficients are fitted on so many of the latest contests; drivers are remembered from all of them."""


@dataclass(frozen=True)
class Source:
    """A kind of evidence: the features `own`, of which at least one must be known, beside those of salary, `base`."""

    name: str
    own: tuple[str, ...]
    base: tuple[str, ...] = ("salary_curve", "salary_by_family")


SOURCES = (
    Source("historical", ("popularity", "popularity_here")),
    Source("projection", ("projection", "place_value", "dominator_value")),
    Source("vendor", ("vendor",), ("salary_alone",)),
    Source("vendor 2", ("vendor_2",), ("salary_alone",)),
    Source("salary_skill", ("salary_curve", "rating", "starting_place")),
    Source("recent_form", ("recent_popularity", "price_move", "points_form", "given_form")),
    Source("optimizer", ("entrants",)),
)
"""A vendor's θ is c·θ_salary + a·(θ_vendor − θ_salary), θ_vendor the law that shows his forecast: he knows salaries and
points already. Salary alone is always known, so `salary_skill` always answers."""
VENDORS = ("vendor", "vendor 2")


@dataclass(frozen=True, eq=False)
class FittedSource:
    """A source with the coefficients (p,) of each of its features."""

    source: Source
    prior: Prior
    beta: dict[str, np.ndarray]

    @classmethod
    def fit(cls, source: Source, boards, past: PastOwnership, prior: Prior, weights=None) -> "FittedSource":
        """Return the source fitted on the contests where it has something to say; what one lacks of it counts 0."""
        sizes = {f: len(prior.figures(source.name, f)) for f in dict.fromkeys((*source.base, *source.own))}
        sizes, cases = {f: size for f, size in sizes.items() if size}, []
        for board, weight in zip(boards, np.ones(len(boards)) if weights is None else weights, strict=True):
            known = past.features(board)
            if set(known) & set(source.own):
                columns = [known.get(f, np.zeros((len(board), size))) for f, size in sizes.items()]
                cases.append(Case(board, temperature(board, prior) * np.column_stack(columns), weight))
        beta = fit_log_worths(cases, *prior.of(source.name, sizes))
        return cls(source, prior, dict(zip(sizes, np.split(beta, np.cumsum([*sizes.values()])[:-1]), strict=True)))

    def inputs(self, board: ContestBoard, past: PastOwnership) -> dict[str, np.ndarray]:
        """Return what each input adds to θ, (D,) each, together the forecast; none if nothing of its own is known."""
        known, found = past.features(board), {}
        if not set(known) & set(self.source.own):
            return found
        for feature, beta in self.beta.items():
            if feature in known:
                name = FEATURES[feature][0]
                found[name] = found.get(name, 0.0) + known[feature] @ beta
        return found | {SIZE: (temperature(board, self.prior) - 1) * sum(found.values())}


def fit_curve(boards, prior: Prior, weights=None) -> np.ndarray:
    """Return the coefficients of the salary curve fitted on the latest of `boards`, of some weights, (p,)."""
    boards = boards[-MOST_CONTESTS:]
    weights = np.ones(len(boards)) if weights is None else weights
    designs = [temperature(b, prior) * salary_curve(b) for b in boards]
    cases = [Case(*case) for case in zip(boards, designs, weights, strict=True)]
    return fit_log_worths(cases, *prior.of("salary", ("salary_curve",)))


def salary_log_worths(board: ContestBoard, past: PastOwnership, prior: Prior) -> np.ndarray:
    """Return θ from salary alone, (D,): the common ground of all sources."""
    return temperature(board, prior) * (salary_curve(board) @ past.curve)
