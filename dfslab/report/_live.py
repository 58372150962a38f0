"""The live notebook: sliders whose answer is a portfolio, its ownership and its expected payout, at once."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from dfslab import contest
from dfslab.field import sample_fields
from dfslab.optimize import InfeasibleLineup, LeverageAwareOptimizer, LineupShortage, lineup_metrics
from dfslab.ownership import OwnershipForecast
from dfslab.race import Scenarios
from dfslab.report import _plots as plots
from dfslab.report._parts import figure, notes, stats, table
from dfslab.workflow import RaceDay, blend_races, forecast_ownership, open_race, simulate_race

N_SCENARIOS = 2_000
"""Simulated races behind an answer: the standard error of the payout is shown beside it."""
N_LINEUPS = 20
EXPOSURES = 16
"""Drivers in the picture of exposures."""


@dataclass(frozen=True)
class Question:
    """What the sliders say: penalty in points per squared ownership, shares as fractions, weights by regime name."""

    leverage_penalty: float = 30.0
    max_exposure: float = 0.6
    max_ownership: float = 1.0
    n_lineups: int = N_LINEUPS
    regime_weights: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Answer:
    """The lineups (n, K) best first, their metrics, the payout of all together in every scenario, and its weights."""

    lineups: np.ndarray
    metrics: pd.DataFrame
    result: contest.ContestResult
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bench:
    """A race prepared for questions: everything that does not depend on a slider is computed once."""

    day: RaceDay
    races: Scenarios
    crowd: OwnershipForecast
    """`races` are those on which lineups are chosen."""

    @property
    def regime_names(self) -> tuple[str, ...]:
        return tuple(self.races.regime_names)

    @cached_property
    def regime_weights(self) -> dict[str, float]:
        """The regimes' probabilities before the race: where the sliders begin."""
        return self.races.regime_shares().to_dict()

    @cached_property
    def ownership(self) -> np.ndarray:
        """The field's forecast ownership by row of the slate, (D,)."""
        return self.crowd.table["ownership"].to_numpy()

    @cached_property
    def field(self) -> np.ndarray:
        """One field of the contest's size, whose entries make room for ours."""
        contest, rng = self.day.contest, self.day.rng("field")
        return sample_fields(self.crowd.slate, [self.ownership], contest.entries - 1, contest=contest, rng=rng)[0]

    def ask(self, question: Question) -> Answer:
        """Return the best lineups for a question and what they earn; all compete together against the field.

        Raises
        ------
        InfeasibleLineup : no lineup obeys the question; fewer than asked are answered, with a note
        """
        scenarios = self._weighted(question)
        notes, most = (), question.max_ownership
        optimizer = LeverageAwareOptimizer(
            self.crowd.slate,
            self.ownership,
            leverage_penalty=question.leverage_penalty,
            max_ownership_per_driver=None if most >= 1 else most,
        )
        value, n = scenarios.mean(), question.n_lineups
        try:
            lineups = optimizer.optimize(value, n, max_exposure=question.max_exposure, max_overlap=5)
        except LineupShortage as shortage:
            if not len(shortage.lineups):
                raise
            lineups = shortage.lineups
            notes = (f"{len(lineups)} of {n} lineups obey these limits.",)
        return Answer(lineups, self._metrics(lineups, value), self._play(lineups, scenarios), notes)

    def _weighted(self, question: Question):
        weights = {name: float(w) for name, w in question.regime_weights if w > 0}
        if not weights:
            return self.races
        have = self.regime_weights
        known = {name: w for name, w in weights.items() if have[name] > 0}
        total = sum(known.values())
        if not total:
            raise InfeasibleLineup("no simulated race is of these regimes; give weight to another")
        return self.races.reweight({name: w / total for name, w in known.items()})

    def _metrics(self, lineups, value) -> pd.DataFrame:
        return lineup_metrics(self.crowd.slate, self.ownership, lineups, value=value)

    def _play(self, lineups, scenarios) -> contest.ContestResult:
        held, rules = self.day.contest, self.crowd.slate.rules
        others = self.field[: held.entries - held.entering(len(lineups))]
        return contest.simulate_contest(lineups, others, scenarios.points, held, weight=scenarios.weight, rules=rules)


def open_bench(race_id="", data_dir="", *, seed=1, n_scenarios=N_SCENARIOS) -> Bench:
    """Return the bench of a race, ready to answer; without `race_id` the latest race of the folder."""
    day = open_race(race_id, data_dir, seed)
    races = simulate_race(day, n_scenarios)
    crowd = forecast_ownership(day, races)
    bench = Bench(day, blend_races(day, races, crowd), crowd)
    bench.ask(Question(n_lineups=2))
    return bench


def shown(bench: Bench, answer: Answer) -> tuple:
    """Return what the panel displays: key figures, notes, the exposure picture and the lineups."""
    result, slate = answer.result, bench.crowd.slate
    money, fees = result.portfolio_metrics(), result.entered * result.contest.entry_fee
    figures = stats(
        (
            (f"{len(answer.lineups)}", f"lineups; {result.entered} enter the contest"),
            (
                f"${money['expected_profit'] + fees:,.0f} ± {money['expected_profit_se']:,.0f}",
                f"expected payout for ${fees:,.0f} of fees",
            ),
            (f"{100 * answer.metrics['average_ownership'].mean():.1f} %", "mean ownership of our drivers"),
            (f"{answer.metrics['projected_points'].mean():.1f}", "mean points of a lineup"),
        )
    )
    picture = figure(
        plots.plot_exposure(_exposures(bench, answer)),
        alt="Share of our lineups and of the field's entries that hold each driver",
        caption="Blue: we hold more than the field. Orange: less.",
    )
    lineups = pd.DataFrame(
        {
            "drivers": slate.lineup_names(answer.lineups),
            "salary": answer.metrics["salary"],
            "points": answer.metrics["projected_points"],
            "total_ownership": answer.metrics["total_ownership"],
        }
    )
    said = (notes(answer.notes),) if answer.notes else ()
    return (figures, *said, picture, table(lineups, "Best first."))


def _exposures(bench: Bench, answer: Answer) -> pd.DataFrame:
    shares = bench.crowd.slate.exposure(answer.lineups).to_numpy()
    frame = pd.DataFrame({"driver": bench.crowd.slate.names, "exposure": shares, "ownership": bench.ownership})
    return frame.sort_values(["exposure", "ownership"], ascending=False, kind="stable").head(EXPOSURES)


def panel(bench: Bench):
    """Return the sliders and their answer as one widget; letting go of a slider answers anew."""
    import ipywidgets as widgets
    from IPython.display import display

    style = {"description_width": "11em"}
    layout = widgets.Layout(width="28em")

    def slider(kind, text, value, low, high, step, form):
        options = {"continuous_update": False, "readout_format": form, "style": style, "layout": layout}
        return kind(description=text, value=value, min=low, max=high, step=step, **options)

    first = Question()
    penalty = slider(widgets.FloatSlider, "leverage penalty", first.leverage_penalty, 0, 150, 5, ".0f")
    exposure = slider(widgets.FloatSlider, "max exposure %", 100 * first.max_exposure, 10, 100, 5, ".0f")
    owned = slider(widgets.FloatSlider, "max ownership %", 100 * first.max_ownership, 5, 100, 5, ".0f")
    count = slider(widgets.IntSlider, "lineups", first.n_lineups, 1, 50, 1, "d")
    told = bench.regime_weights
    weights = {
        n: slider(widgets.FloatSlider, f"{n.replace('_', ' ')} %", 100 * told[n], 0, 100, 1, ".0f")
        for n in bench.regime_names
    }
    output = widgets.Output(layout=widgets.Layout(min_height="30em"))

    def answer(_=None):
        mix = tuple((name, box.value) for name, box in weights.items())
        asked = replace(
            first,
            leverage_penalty=penalty.value,
            max_exposure=exposure.value / 100,
            max_ownership=owned.value / 100,
            n_lineups=count.value,
            regime_weights=mix,
        )
        with output:
            output.clear_output(wait=True)
            for part in _answered(bench, asked):
                display(part)

    boxes = (penalty, exposure, owned, count, *weights.values())
    for box in boxes:
        box.observe(answer, names="value")
    answer()
    return widgets.VBox([widgets.HBox([widgets.VBox(boxes[:4]), widgets.VBox(boxes[4:])]), output])


def _answered(bench: Bench, question: Question) -> tuple:
    try:
        return shown(bench, bench.ask(question))
    except InfeasibleLineup as reason:
        return (notes((f"No portfolio: {reason}",)),)
