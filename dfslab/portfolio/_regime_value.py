"""What knowing the regime is worth, what a choice for one costs, and what protects against wrong probabilities."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dfslab.errors import UserError
from dfslab.portfolio._build import worst_weights
from dfslab.portfolio._score import Scores


def regime_value(chosen_on: Scores, scored_on: Scores) -> pd.DataFrame:
    """Return what it is worth to know the regime, in dollars for the portfolio that enters.

    EVPI = Σ P(r) max_L V(L | r) − max_L Σ P(r) V(L | r), and the value of the stochastic solution is V of the best
    choice over all regimes less V of the best choice for the likeliest one [birge1982]. Portfolios are chosen on one
    set of draws and valued on the other, so that luck is not taken for knowledge.

    Parameters
    ----------
    chosen_on, scored_on : the same portfolios on two sets of draws, both with regimes

    Returns
    -------
    frame, rows "knowing the regime (EVPI)" and "all regimes instead of the likeliest (VSS)": what, value, se, clear
    (two standard errors, paired)
    """
    if not len(scored_on.regime_names):
        raise UserError("regime_value: the scores carry no regimes; score portfolios on labelled scenarios")
    names, chance = list(chosen_on.payout), _chances(scored_on)
    by_regime = np.array([_means(chosen_on, name) for name in names])
    best = names[int(np.argmax(by_regime @ _chances(chosen_on)))]
    likeliest = names[int(np.argmax(by_regime[:, int(np.argmax(chance))]))]
    informed = np.array(names, object)[by_regime.argmax(axis=0)]
    known = np.choose(scored_on.regime, [scored_on.payout[name] for name in informed])
    rows = [
        ("knowing the regime (EVPI)", known - scored_on.payout[best]),
        ("all regimes instead of the likeliest (VSS)", scored_on.payout[best] - scored_on.payout[likeliest]),
    ]
    found = [(what, *scored_on.mean(gain)) for what, gain in rows]
    return pd.DataFrame([(*row, abs(row[1]) > 2 * row[2]) for row in found], columns=["what", "value", "se", "clear"])


def regime_robustness(scores: Scores, radii: Sequence[float] = (0.05, 0.2)) -> pd.DataFrame:
    """Return what each portfolio earns if the regimes' probabilities are wrong.

    Parameters
    ----------
    radii : Kullback–Leibler divergences from the probabilities, nats, within which the worst weights are sought

    Returns
    -------
    frame: portfolio, expected_payout ± se, `within_<radius>` (under the worst weights within it), worst_regime and
    what is earned in it, all dollars
    """
    rows, chance = [], _chances(scores)
    for name, pay in scores.payout.items():
        value = _means(scores, name)
        mean, se = scores.mean(pay)
        row = {"portfolio": name, "expected_payout": mean, "se": se}
        row |= {f"within_{radius:g}": float(worst_weights(chance, value, radius) @ value) for radius in radii}
        worst = int(np.argmin(np.where(chance > 0, value, np.inf)))
        rows.append(row | {"worst_regime": scores.regime_names[worst], "in_worst_regime": value[worst]})
    return pd.DataFrame(rows)


def _chances(scores: Scores) -> np.ndarray:
    return np.bincount(scores.regime, scores.weight, len(scores.regime_names))


def _means(scores: Scores, name: str) -> np.ndarray:
    """Return the expected payout in each regime, (R,); 0 in one that does not come."""
    total = np.bincount(scores.regime, scores.weight * scores.payout[name], len(scores.regime_names))
    chance = _chances(scores)
    return np.divide(total, chance, out=np.zeros(len(chance)), where=chance > 0)
