"""What a notebook is made of: from a race day to races, ownership, a portfolio, its scores, and the review afterwards.

Each verb is one call of a room's function, with the random stream of its stage; a researcher goes one level down by
calling the room himself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature

import numpy as np
import pandas as pd

from dfslab.errors import UserError, did_you_mean
from dfslab.field import sample_fields
from dfslab.optimize import NASCAROptimizer, lineup_rows
from dfslab.ownership import HybridOwnershipEstimator, OwnershipForecast
from dfslab.ownership import forecast as forecast_shares
from dfslab.portfolio import Portfolio, Scores, Workshop, fit_blend, past_rows, shifted
from dfslab.portfolio import score_portfolios as play
from dfslab.race import RaceModel, Scenarios
from dfslab.regimes import RegimeThresholds
from dfslab.slate import Contest
from dfslab.workflow._cache import cached, cached_walk, last
from dfslab.workflow._past import fill_history, fill_slate
from dfslab.workflow._race_day import RaceDay, lent_history, stream

N_SCENARIOS = 20_000
N_FIELDS = 20
"""Fields a choice is made against."""
RANDOM_SETS = 50
"""Sets of random entries behind their row."""
N_FRESH_FIELDS = 10
"""Fields, each of another draw of the ownership forecast, that scores are averaged over."""


# ------------------------------------------------------------ before the race


def fit_race_model(day: RaceDay) -> RaceModel:
    """Return the race model fitted on the races before the day, with the day's regime thresholds."""
    past, lent = day.history, lent_history(day.data_dir, day.race.series, day.race.date)
    prices = past.odds if len(past.odds) else None
    options = {"reweights": day.reweights, "odds": prices, "others": lent}
    return cached(RaceModel.fit, past.results, past.races, day.race.date, day.thresholds, **options)


def simulate_race(
    day: RaceDay,
    n_scenarios: int = N_SCENARIOS,
    model: RaceModel | None = None,
    thresholds: RegimeThresholds | None = None,
    regime_weights: Mapping[str, float] | None = None,
    *,
    stage: str = "race",
) -> Scenarios:
    """Return simulated races in the rows of the day's slate; starters without a salary race in them, too.

    Parameters
    ----------
    model : default the one fitted on the races before the day
    thresholds : other labels for the same races; the weights of a refitted regime model go with them
    regime_weights : probability of each regime in place of the model's
    stage : the stream of random numbers; `fresh race` gives as many races that nothing was chosen on
    """
    if thresholds is not None:
        day, model = day.replace(thresholds=thresholds), None
    model = fit_race_model(day) if model is None else model
    drawn = cached(_simulate, model, day.slate.starters, day.race, int(n_scenarios), day.seed, stage)
    drawn = drawn.for_slate(day.slate)
    return drawn if regime_weights is None else drawn.reweight(dict(regime_weights))


def _simulate(model, starters, race, n_scenarios, seed, stage) -> Scenarios:
    return model.simulate(starters, race, n_scenarios, stream(seed, stage))


def past_contests(day: RaceDay) -> pd.DataFrame:
    """Return the ownership history with points, form and rating as they were known before each contest."""
    return cached(fill_history, day.history, day.seed)


def forecast_ownership(
    day: RaceDay,
    races: Scenarios,
    n_draws: int = 1_000,
    contest: Contest | str | int | None = None,
    *,
    estimator: HybridOwnershipEstimator | None = None,
) -> OwnershipForecast:
    """Return what the field will roster: the pool of all sources, bands from draws, and what each source says."""
    saved, rules = day.saved.get("ownership"), day.slate.rules
    if estimator is None:
        estimator = HybridOwnershipEstimator.from_dict(saved, rules=rules) if saved else HybridOwnershipEstimator(rules)
    slate = fill_slate(day.slate, races)
    return cached(_forecast, slate, past_contests(day), day.find_contest(contest), int(n_draws), day.seed, estimator)


def _forecast(slate, past, contest, n_draws, seed, estimator) -> OwnershipForecast:
    rng = stream(seed, "ownership")
    fitted = estimator.fit(past, cached_walk)
    return forecast_shares(slate, contest=contest, n_draws=n_draws, rng=rng, estimator=fitted)


# ------------------------------------------------------------ what the field knows


def _check_same(day: RaceDay, crowd: OwnershipForecast, races: Scenarios | None = None) -> None:
    """Raise where races or ownership were made for another race, or before somebody withdrew."""
    slate, racing = day.slate, ~day.slate.out
    there = None if races is None else races.drivers[(races.finish > 0).any(axis=0)]
    for what, names in (("ownership", crowd.slate.names[~crowd.slate.out]), ("races", there)):
        other = set() if names is None else {*names} ^ {*slate.names[racing]}
        if other:
            verb = "simulate_race" if what == "races" else "forecast_ownership"
            raise UserError(
                f"{what}: made for other starters ({min(other)} is in one of the two only); call {verb} again"
            )


def _blend(day: RaceDay, crowd: OwnershipForecast):
    _check_same(day, crowd)
    racing, projected = ~day.slate.out, day.slate.column("projected_points")
    rows = past_rows(past_contests(day), day.history.ownership.get("projected_points"), crowd.past)
    known = np.isfinite(projected[racing])
    return fit_blend(rows, with_projected=len(known) > 0 and known.mean() > 0.5)


def blend_races(day: RaceDay, races: Scenarios, crowd: OwnershipForecast) -> Scenarios:
    """Return the races on which lineups are chosen: drivers' points shifted by what field and projections know.

    The means of these are the points that count; `day.replace(points=...)` sets a driver's.
    """
    _check_same(day, crowd, races)
    blend, slate = _blend(day, crowd), day.slate
    own, model = slate.align(crowd.ownership), races.mean().to_numpy()
    shift = blend.shift(model, own, slate.column("projected_points"), ~slate.out, slate.column("start"))
    if day.means:
        rows = slate.rows(day.means)
        shift[rows] = np.fromiter(day.means.values(), float) - model[rows]
    return replace(shifted(races, shift, slate.rules.tick), notes=(*races.notes, blend.note))


def _surprises(day: RaceDay, crowd: OwnershipForecast, draws: np.ndarray) -> np.ndarray:
    """Return by how many points drivers are better than forecast where the field likes them more, (n, D)."""
    return _blend(day, crowd).surprises(draws, ~day.slate.out)


# ------------------------------------------------------------ the portfolio


def choose_portfolio(
    day: RaceDay,
    races: Scenarios,
    crowd: OwnershipForecast,
    n_lineups: int = 150,
    contest: Contest | str | int | None = None,
    *,
    objective: str = "payout",
    leverage_penalty: float | Sequence[float] | None = None,
    max_exposure: float | Mapping[str, float] = 1.0,
    min_exposure: float | Mapping[str, float] | None = None,
    max_overlap: int | None = 5,
    locks: Sequence[str] = (),
    bans: Sequence[str] = (),
    groups: Sequence = (),
    excluded: Sequence = (),
    min_salary: int | None = None,
    max_ownership_per_driver: float | None = None,
    min_low_ownership_drivers: int = 0,
    low_ownership_threshold: float = 0.10,
    max_total_ownership: float | None = None,
    regime_weights: Mapping[str, float] | None = None,
    regime_quotas: bool | Mapping[str, float] | None = None,
    robustness: float | None = None,
    leverage_share: float | None = None,
    **sizes,
) -> Portfolio:
    """Return the lineups that earn most together in the contest under every wish, in order of choice.

    Each wish is explained at `portfolio.generate_regime_aware_portfolio`; None is what the evidence supports. `sizes`
    are n_candidates, n_choose and n_fields of the search, or your own candidates.
    """
    for name in set(sizes) - set(_SIZES):
        hint = did_you_mean(name, [*_WISHES, *_SIZES], f"it knows {', '.join(_WISHES)}")
        raise UserError(f"choose_portfolio: there is no wish '{name}'; {hint}")
    wishes = {name: value for name, value in locals().items() if name in _WISHES} | sizes
    wishes = {name: dict(value) if isinstance(value, pd.Series) else value for name, value in wishes.items()}
    mine = _chosen(day, races, crowd, n_lineups, contest, wishes)
    return replace(mine, notes=(*_asked_for(wishes), *mine.notes))


def _asked_for(wishes: dict) -> list[str]:
    """Return the wishes that are not the defaults as a sentence."""
    plain = {p.name: repr(p.default) for p in signature(choose_portfolio).parameters.values()}
    told = {k: " ".join(repr(v).split()) for k, v in wishes.items() if k in _WISHES and k != "leverage_share"}
    given = [f"{k} {v:.60}" for k, v in told.items() if v not in (plain[k], "None", "[]", "{}")]
    return [f"As you asked: {'; '.join(given)}."] if given else []


_SIZES = ("candidates", "n_candidates", "n_choose", "n_fields")
_WISHES = [p.name for p in signature(choose_portfolio).parameters.values() if p.kind is p.KEYWORD_ONLY]


def _chosen(day, races, crowd, n_lineups, contest, wishes, labels=None) -> Portfolio:
    """Return the portfolio under some wishes; other `labels` (S,) may stand for the races' regimes."""
    draws = crowd.draws[: wishes.get("n_fields", N_FIELDS)]
    ways = {name: wishes[name] for name in signature(Workshop.choose).parameters if name in wishes}
    given = {"ownership_draws": crowd.draws, "surprises": _surprises(day, crowd, draws)}
    given |= {"n_fields": N_FIELDS} | {name: wish for name, wish in wishes.items() if name not in ways}
    inputs = crowd.slate, blend_races(day, races, crowd), crowd.ownership, day.find_contest(contest), n_lineups
    return replace(cached(_choose, inputs, day.seed, given, ways | {"labels": labels}), options=wishes)


def _choose(inputs, seed, given, ways) -> Portfolio:
    return last(_workshop, inputs, seed, given).choose(**ways)


def _workshop(inputs, seed, given) -> Workshop:
    return Workshop(*inputs, rng=stream(seed, "portfolio"), **given)


PLAIN = "no leverage (best by mean points)"
"""The recipe without leverage, against which any other has to prove itself."""


def baselines(day: RaceDay, races: Scenarios, crowd: OwnershipForecast, mine: Portfolio) -> dict[str, np.ndarray]:
    """Return other ways to pick as many lineups, by name: plain, without regimes, regimes shuffled, random entries.

    Lineups are (N, K), those of the random entries (50, N, K): sets drawn from our own forecast of the field. Without
    regimes, weights, quotas and robustness are left out; shuffled, they obey labels without meaning. Both choose from
    the portfolio's own candidates, races and fields, which are made once.
    """
    rng, n, contest, slate = day.rng("baselines"), len(mine), mine.contest, crowd.slate
    blended, own, mixed = blend_races(day, races, crowd), crowd.ownership, rng.permutation(races.regime)
    blind = mine.options | dict.fromkeys(("regime_weights", "regime_quotas", "robustness"))
    labels = None if blind == mine.options else mixed  # labels that nothing asks for change nothing
    field = sample_fields(slate, [slate.align(own)], contest.entries - 1, contest=contest, rng=rng)[0]
    return {
        PLAIN: NASCAROptimizer(slate).optimize(blended.mean(), n),
        "no regimes": _chosen(day, races, crowd, n, contest, blind).lineups,
        "regimes shuffled": _chosen(day, races, crowd, n, contest, mine.options, labels).lineups,
        "random entries drawn from our forecast": field[rng.integers(len(field), size=(RANDOM_SETS, n))],
    }


def score_portfolios(
    day: RaceDay,
    portfolios: Mapping[str, Portfolio | np.ndarray],
    crowd: OwnershipForecast,
    *,
    contest: Contest | str | int | None = None,
    n_scenarios: int = N_SCENARIOS,
    n_fields: int = N_FRESH_FIELDS,
    model: RaceModel | None = None,
    stage: str = "fresh",
    field: np.ndarray | None = None,
) -> Scores:
    """Play portfolios, or lineups by rows or names, on fresh races and fields, ownership uncertainty included.

    Every field plays a run of races of its own, in which the drivers it likes more than forecast are better. `stage`
    names the draws: `fresh` for what is promised, `referee` for a choice between portfolios. A `field` (F, K) that is
    known, such as the real one after the race, is played in place of those fields, and the contest grows to hold it.
    """
    if not portfolios:
        raise UserError("portfolios: none is given; give name → portfolio or lineups")
    contest, slate = day.find_contest(contest), crowd.slate
    fresh, draws = fresh_races(day, crowd, n_scenarios, n_fields, model=model, stage=stage)
    sets = {name: _rows(slate, getattr(chosen, "lineups", chosen), name) for name, chosen in portfolios.items()}
    if field is None:
        fields = sample_fields(slate, draws, contest.entries - 1, contest=contest, rng=day.rng(f"{stage} field"))
    else:
        ours = max(contest.entering(np.shape(lineups)[-2]) for lineups in sets.values())
        fields, contest = np.asarray(field)[None], replace(contest, entries=max(contest.entries, len(field) + ours))
    labels = {"regime": fresh.regime, "regime_names": fresh.regime_names}
    return play(sets, fresh.points, fields, contest, weight=fresh.weight, rules=slate.rules, **labels)


def _rows(slate, lineups, name: str) -> np.ndarray:
    """Return lineups as rows of the slate: as they are, or found by drivers' names."""
    lineups = np.asarray(lineups)
    return lineup_rows(slate, lineups, f"portfolio '{name}'") if lineups.dtype.kind in "OU" else lineups


def fresh_races(
    day: RaceDay,
    crowd: OwnershipForecast,
    n_scenarios: int,
    n_fields: int,
    *,
    model: RaceModel | None = None,
    stage: str = "fresh",
) -> tuple[Scenarios, np.ndarray]:
    """Return races that nothing was chosen on, and the draws (n_fields, D) of ownership whose fields play them."""
    drawn = blend_races(day, simulate_race(day, n_scenarios, model, stage=f"{stage} race"), crowd)
    draws = np.roll(crowd.draws, n_fields if stage == "referee" else 0, axis=0)[-n_fields:]
    return shifted(drawn, _surprises(day, crowd, draws), crowd.slate.rules.tick), draws
