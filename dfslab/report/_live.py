"""The live notebook: wishes on one side, lineups with their money on the other, again at every change.

A quick answer is the exact search on the mean points under the wishes, played against one field; simulated races,
ownership and field are reused where no wish touches them. `Bench.choose` is what notebook 03 does with the same wishes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from dfslab import workflow
from dfslab.errors import UserError
from dfslab.field import sample_fields
from dfslab.optimize import LeverageAwareOptimizer, LineupShortage, lineup_metrics
from dfslab.ownership import OwnershipForecast
from dfslab.portfolio import Portfolio, Scores
from dfslab.portfolio import score_portfolios as play
from dfslab.race import Scenarios
from dfslab.report._outputs import fill_entries
from dfslab.report._parts import notes, stats, table
from dfslab.workflow import RaceDay, open_race

ASSUMED = ("out", "points", "ownership", "thresholds", "contest", "regime_weights")
"""Wishes on the world; the others are on the lineups."""
MINE = "lineups"
"""The name of the lineups among the scores."""
OWN_RECIPE = ("leverage_share", "leverage_penalty", "regime_quotas", "robustness")
"""Wishes on the recipe; without one plain lineups are played, as the referee of notebook 03 does."""
EDITS = ("driver", "points", "owned")
"""Boxes that count when the button is pressed."""


@dataclass(frozen=True, eq=False)
class World:
    """A race under some assumptions: its day, the races that lineups are chosen on, the crowd, and one field (F, K)."""

    day: RaceDay
    races: Scenarios
    crowd: OwnershipForecast
    field: np.ndarray

    def play(self, mine: Portfolio) -> "Answer":
        """Return what a portfolio earns here."""
        races, played = self.races, (self.races.points, self.field[None], self.day.contest)
        labels = {"weight": races.weight, "regime": races.regime, "regime_names": races.regime_names}
        scores = play({MINE: mine.lineups}, *played, rules=self.day.slate.rules, **labels)
        return Answer(self, mine, scores)


@dataclass(frozen=True, eq=False)
class Answer:
    """Lineups best first under some wishes, what they earn against one field, and the world they were asked in."""

    world: World
    portfolio: Portfolio
    scores: Scores


@dataclass
class Bench:
    """A race prepared for questions. Wishes go by the names of notebook 03; further ones change the world.

    `out` drivers who will not race, `points` driver → mean points, `ownership` driver → share of entries, `thresholds`,
    `contest`, `regime_weights`.
    """

    day: RaceDay
    n_scenarios: int = 2_000
    n_draws: int = 300
    _kept: dict = field(default_factory=dict, repr=False)
    _written: dict = field(default_factory=dict, repr=False)

    def ask(self, n_lineups=20, *, max_exposure=1.0, min_exposure=None, max_overlap=5, **wishes) -> Answer:
        """Return the best lineups that enter, by mean points less λ · ownership², and what they earn together.

        Raises
        ------
        UserError : no lineup obeys the wishes; fewer than asked are answered, with a note
        """
        world, notes = self.world(**_taken(wishes)), ()
        slate, own, value, n = world.crowd.slate, world.crowd.ownership, world.races.mean(), n_lineups
        if (most := world.day.contest.entering(n)) < n:
            n, notes = most, (f"A user may enter {most} lineups; the full engine gives all {n}.",)
        optimizer = LeverageAwareOptimizer(slate, own, **wishes)
        shares = pd.Series(max_exposure, dtype=float)  # what is above 0 allows one lineup
        shares = shares.where(shares == 0, shares.clip(lower=1 / n))
        max_exposure = shares.iloc[0] if np.isscalar(max_exposure) else shares
        limits = {"max_exposure": max_exposure, "min_exposure": min_exposure, "max_overlap": max_overlap}
        try:
            lineups = optimizer.optimize(value, n, **limits)
        except LineupShortage as shortage:
            if not len(shortage.lineups):
                raise
            lineups, notes = shortage.lineups, (f"Only {len(shortage.lineups)} of {n} lineups: {shortage}",)
        copies = (world.field[None] == lineups[:, None]).all(axis=2).sum(axis=1)
        metrics = lineup_metrics(slate, own, lineups, value=value, expected_copies=copies)
        given = {"notes": notes, "slate": slate, "contest": world.day.contest, "ownership": slate.align(own)}
        return world.play(Portfolio(lineups, metrics, pd.DataFrame(), **given))

    def choose(self, n_lineups=150, n_scenarios=20_000, n_draws=1_000, **wishes) -> Answer:
        """Return the lineups of notebook 03 under the same wishes."""
        assumed = _taken(wishes)
        day, weights = self.world(**assumed).day, assumed.get("regime_weights")
        drawn = workflow.simulate_race(day, n_scenarios)
        crowd = workflow.forecast_ownership(day, drawn, n_draws).given(assumed.get("ownership") or {})
        plain = {} if any(wishes.get(name) is not None for name in OWN_RECIPE) else {"leverage_share": 0.0}
        mine = workflow.choose_portfolio(day, drawn, crowd, n_lineups, regime_weights=weights, **wishes | plain)
        return self.world(**assumed).play(mine)

    def compare(self, pinned: Answer, answer: Answer) -> pd.Series:
        """Return what `answer` earns more than `pinned` in its own world, dollars, paired on fresh draws, ± se."""
        sets, world = {"A": pinned.portfolio, "B": answer.portfolio}, answer.world
        scores = workflow.score_portfolios(world.day, sets, world.crowd, n_scenarios=self.n_scenarios)
        return scores.differences("B").loc[0]

    def write(self, answer: Answer, out_dir="") -> tuple[str, ...]:
        """Write lineups.csv, and DKEntries.csv where entries are reserved; never over a file of somebody else's."""
        folder = Path(out_dir or "dfslab-lineups") / answer.world.day.race.race_id
        for name in ("lineups.csv", "DKEntries.csv"):
            path = folder / name
            if path.exists() and path.read_bytes() != self._written.get(path):
                raise UserError(f"{path}: this page did not write it; move it away, or give out_dir another folder")
        folder.mkdir(parents=True, exist_ok=True)
        answer.portfolio.to_upload(folder / "lineups.csv")
        written = fill_entries(answer.world.day, {0: answer.portfolio}, folder)
        self._written |= {path: path.read_bytes() for path in folder.glob("*.csv")}
        return (f"{folder / 'lineups.csv'}: {len(answer.portfolio)} lineups.", *written)

    def world(self, out=(), points=None, ownership=None, thresholds=None, contest=None, regime_weights=None) -> World:
        """Return the race under some assumptions; what they do not touch is what it was."""
        day = self.day.replace(out=out, points=points, thresholds=thresholds, contest=contest)
        gone, held = tuple(sorted(out)), tuple(sorted((ownership or {}).items()))
        races = self._once(gone, lambda: workflow.simulate_race(self.day.replace(out=out), self.n_scenarios))
        here = (gone, id(day.contest))
        first = self._once(here, lambda: workflow.forecast_ownership(day, races, self.n_draws))
        crowd, opponents = self._once((*here, held), lambda: _opponents(day, first.given(ownership or {})))
        races = races.relabel(day.thresholds) if thresholds else races
        races = races.reweight(regime_weights) if regime_weights else races
        return World(day, workflow.blend_races(day, races, crowd), crowd, opponents)

    def _once(self, key, make):
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def _taken(wishes: dict) -> dict:
    """Take the wishes on the world out of `wishes` and return them."""
    return {name: wishes.pop(name) for name in ASSUMED if name in wishes}


def _opponents(day: RaceDay, crowd: OwnershipForecast) -> tuple[OwnershipForecast, np.ndarray]:
    """Return the forecast and one field of the contest's size, whose entries make room for ours."""
    own, rng = [crowd.table["ownership"].to_numpy()], day.rng("field")
    return crowd, sample_fields(crowd.slate, own, day.contest.entries - 1, contest=day.contest, rng=rng)[0]


def open_bench(race_id="", data_dir="", *, seed=1, n_scenarios=2_000, progress: Callable = lambda line: None) -> Bench:
    """Return the bench of a race, ready to answer; without `race_id` the latest race of the folder."""
    progress("reading the race and its history")
    bench = Bench(open_race(race_id, data_dir, seed), n_scenarios)
    progress("fitting the race model, simulating the race, forecasting ownership, drawing a field")
    bench.world()
    progress("searching lineups once under a limit, to have the search compiled")
    bench.ask(2, thresholds=bench.day.thresholds.to_dict(), max_total_ownership=bench.day.slate.rules.roster_size)
    progress("ready")
    return bench


# ------------------------------------------------------------ what is shown


def shown(answer: Answer, pinned: Answer | None = None, ahead: pd.Series | None = None) -> str:
    """Return an answer as HTML: key figures, notes, exposures (beside A's when one is pinned), lineups, regimes."""
    mine, row = answer.portfolio, answer.scores.table().iloc[0]
    paid, error, fees = row["expected_payout"], row["expected_payout_se"], row["fees"]
    owned = mine.metrics["total_ownership"].mean()
    cards = [
        (f"{answer.scores.contest.entering(len(mine))}", "lineups enter the contest"),
        (f"${paid:,.0f} ± {error:,.0f}", f"expected payout for ${fees:,.0f} of fees"),
        (f"{100 * owned:.0f} %", "total ownership of a lineup"),
        (f"{mine.metrics['projected_points'].mean():.1f}", "mean points of a lineup"),
    ]
    remarks = list(mine.notes)
    if ahead is not None:
        gain = f"{ahead['difference']:+,.2f} ± {ahead['se']:,.2f} dollars".replace("-", "−")
        remarks += [f"Against the pinned A, on fresh races: {gain}, {'clear' if ahead['clear'] else 'not told apart'}."]
    tables = _exposures(answer, pinned), _lineups(answer, pinned), _regimes(answer)
    return "".join(part.markup for part in (stats(cards), notes(remarks), *tables))


def _exposures(answer: Answer, pinned: Answer | None):
    held = {"exposure": answer, "pinned": pinned} if pinned else {"exposure": answer}
    frame = answer.portfolio.exposures().set_index("driver")[["salary", "ownership"]]
    frame.insert(1, "points", answer.world.races.mean())
    for name, one in held.items():
        frame[name] = one.portfolio.exposures().set_index("driver")["exposure"]
    frame = frame[frame[list(held)].max(axis=1) > 0].reset_index()
    caption = "Share of our lineups beside the field's, and the points they were chosen on."
    return table(frame, caption, bars=("ownership", "exposure"), units={"pinned": "exposure"})


def _lineups(answer: Answer, pinned: Answer | None):
    mine = answer.portfolio
    frame = mine.table().dropna(axis=1, how="all").drop(columns="low_owned")
    if pinned is not None:
        old = set(map(tuple, pinned.portfolio.lineups.tolist()))
        frame.insert(1, "A", ["" if tuple(row) in old else "new" for row in mine.lineups.tolist()])
    frame = frame.join(answer.scores.entries[MINE][["cash", "top_1pct"]])
    return table(frame, "Best first; copies are those in the simulated field.", fold="The lineups")


def _regimes(answer: Answer):
    frame = answer.scores.by_regime(radii=()).drop(columns=["portfolio", "p_profit"])
    return table(frame, "What these lineups earn when the race turns out that way.")


# ------------------------------------------------------------ the panel


class Panel:
    """Boxes and buttons, as `panel.csv` lists them, beside an answer; every change answers anew. `view` is shown."""

    def __init__(self, bench: Bench, out_dir=""):
        import ipywidgets

        self.bench, self.out_dir, self.kit = bench, out_dir, ipywidgets
        self.answer = self.pinned = None
        self.points, self.ownership = {}, {}
        self.rows = pd.read_csv(Path(__file__).parent / "panel.csv").set_index("name")
        shares = bench.world().races.regime_shares()
        start = self.rows["per"] * pd.Series(bench.day.thresholds.to_dict() | shares.to_dict())
        self.rows["value"] = self.rows["value"].fillna(start)
        self.boxes = {name: self._box(name, row) for name, row in self.rows.iterrows()}
        self.status, self.output = ipywidgets.HTML(), ipywidgets.HTML()
        self.view = self._laid_out()
        for name in self.rows.index.difference(EDITS):
            self.boxes[name].observe(self.update, names="value")
        self.update()

    def wishes(self) -> dict:
        """Return the wishes as `Bench.ask` and notebook 03 take them."""
        value, rows = {n: box.value for n, box in self.boxes.items()}, self.rows
        number = {n: value[n] / per if per > 1 else int(value[n]) for n, per in rows["per"].dropna().items()}
        asked = {n: number[n] for n in rows.index[rows["tab"] == "limits"]}
        asked |= {n: None for n, free in rows["free"].dropna().items() if value[n] == free}
        now = self.bench.day.thresholds.to_dict()
        moved = {n: number[n] for n, x in now.items() if abs(number[n] - x) > 1e-9}
        mix = {n: number[n] for n in self.bench.world().races.regime_names}
        weights = {n: x / max(sum(mix.values()), 1e-9) for n, x in mix.items()} if value["weigh"] else None
        rule = {"drivers": value["group"], "at_least": number["at_least"], "at_most": number["at_most"]}
        asked |= {name: tuple(value[name]) for name in ("locks", "bans", "out")}
        asked |= {"groups": [rule] if value["group"] else [], "thresholds": moved or None, "contest": value["contest"]}
        return asked | {"points": {**self.points}, "ownership": {**self.ownership}, "regime_weights": weights}

    def update(self, _=None) -> bool:
        """Answer the wishes as they stand, and return whether it could be; a pinned A is compared with the answer."""
        return self._answer(lambda: self.bench.ask(**self.wishes()))

    def _answer(self, ask: Callable) -> bool:
        self.status.value, began = "<em>working …</em>", time.monotonic()
        try:
            self.answer = ask()
            self.status.value = f"<p>Answered in {time.monotonic() - began:.2f} s.</p>"
            self._draw()
            return True
        except UserError as reason:
            self.status.value = notes([f"No answer, the last one stands: {reason}"]).markup
            return False

    def _draw(self) -> None:
        self.output.value = shown(self.answer, self.pinned)
        if self.pinned not in (None, self.answer):  # answers are compared by identity
            self.output.value = shown(self.answer, self.pinned, self.bench.compare(self.pinned, self.answer))

    def pin(self, _=None) -> None:
        """Keep this answer as A, which later ones are compared with."""
        self.pinned = self.answer
        self._draw()

    def full(self, _=None) -> None:
        """Choose by money, as notebook 03 does under the same wishes; it takes a minute."""
        self._answer(lambda: self.bench.choose(**self.wishes()))

    def write(self, _=None) -> None:
        """Write the lineups shown, ready for upload."""
        try:
            remarks = self.bench.write(self.answer, self.out_dir)
        except UserError as reason:
            remarks = (reason,)
        self.status.value = notes(remarks).markup

    def edit(self, _=None) -> None:
        """Take over a driver's points and ownership from the boxes; 0 lets go of what was set, as a refusal does."""
        driver, before = self.boxes["driver"].value, ({**self.points}, {**self.ownership})
        for kept, name in ((self.points, "points"), (self.ownership, "owned")):
            kept.pop(driver, None)
            kept |= {driver: x / self.rows.loc[name, "per"]} if (x := self.boxes[name].value) else {}
        if not self.update():
            self.points, self.ownership = before

    def _box(self, name: str, row):
        kit, names = self.kit, sorted(self.bench.day.slate.names)
        look = {"description": row["text"], "style": {"description_width": "10em"}, "layout": {"width": "98%"}}
        look |= {} if pd.isna(row["value"]) else {"value": row["value"], "min": row["least"], "max": row["most"]}
        contests = [(c.name or f"contest {n}", n) for n, c in enumerate(self.bench.day.contests)]
        if row["widget"] == "slider":
            return kit.FloatSlider(**look, step=row["step"], continuous_update=False, readout_format=".0f")
        if row["widget"] == "number":
            return kit.BoundedFloatText(**look)
        if row["widget"] == "tags":
            return kit.TagsInput(allowed_tags=names, allow_duplicates=False)
        if row["widget"] == "check":
            return kit.Checkbox(description=row["text"])
        return kit.Dropdown(options={"driver": names, "contest": contests}[name], **look)

    def _button(self, name: str, act: Callable):
        button = self.kit.Button(description=name)
        button.on_click(act)
        return button

    def _laid_out(self):
        kit, tabs = self.kit, {}
        for name, row in self.rows.iterrows():
            label = [kit.Label(row["text"])] if row["widget"] == "tags" else []
            tabs.setdefault(row["tab"], []).extend([*label, self.boxes[name]])
        tabs["what if"].append(self._button("set driver", self.edit))
        left = kit.Tab([kit.VBox(boxes) for boxes in tabs.values()], titles=list(tabs), layout={"flex": "0 0 25em"})
        acts = {"pin as A": self.pin, "full engine": self.full, "write files": self.write}
        right = [kit.HBox([self._button(*act) for act in acts.items()]), self.status, self.output]
        return kit.HBox([left, kit.VBox(right, layout={"flex": "1 1 0", "min_width": "0", "min_height": "40em"})])
