"""Pictures show the numbers they were given."""

import numpy as np
import pandas as pd
import pytest

from dfslab.report._plots import (
    COLOURS,
    plot_bars,
    plot_chances,
    plot_differences,
    plot_dots,
    plot_heat,
    plot_histogram,
    plot_intervals,
    plot_laps,
    plot_lines,
    plot_reliability,
    plot_thresholds,
    plot_timeline,
)


@pytest.fixture(autouse=True)
def _closed():
    yield
    from matplotlib import pyplot as plt

    assert not plt.get_fignums(), "a picture was left open"


def _closing(ax):
    from matplotlib import pyplot as plt

    plt.close(ax.figure)
    return ax


def test_chances_are_drawn_over_amounts_of_either_sign():
    ax = _closing(plot_chances(pd.Series([100.0, 50.0, 20.0], pd.Index([-10.0, 5.0, 40.0], name="profit"))))
    x, y = ax.lines[0].get_data()
    assert x.tolist() == [-10, 5, 40] and y.tolist() == [100, 50, 20] and ax.get_xlabel() == "profit"


def test_bands_and_facts_are_drawn_in_percent_by_name():
    bands = {f"{side}_{level}": [0.1, 0.2] for side in ("low", "high") for level in (95, 80, 50)}
    table = pd.DataFrame({"ownership": [0.3, 0.2], **bands}, index=["A", "B"])
    ax = _closing(plot_intervals(table, actual=pd.Series({"B": 0.5, "A": 0.4})))
    assert ax.lines[0].get_xdata().tolist() == [30, 20] and ax.lines[1].get_xdata().tolist() == [40, 50]


ODD = [
    r"Cash $\frac$ Reed",
    "A$AP $Rocky Mott",
    "x^2 $_$ y",
    r"\$5 $",
    "$$",
    "$a^b$ {c}",
    "<b>&amp;",
    r"a\nb $\q$",
    "Jörg $%$",
]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize(
    "plot",
    [
        lambda x: plot_dots(pd.DataFrame({x: [1.0, 2.0], "other": [2.0, 1.0]}, index=[x, "B"]), x),
        lambda x: plot_lines(pd.DataFrame({x: [1.0, 2.0]}, index=pd.Index([1.0, 2.0], name=x)), x),
        lambda x: plot_bars(pd.DataFrame({x: [1.0, 2.0]}, index=[x, "B"]), x),
        lambda x: plot_laps(pd.DataFrame([[200.0, 90.0], [20.0, 90.0]], ["r1", "r2"], [x, "B"])),
        lambda x: plot_heat(pd.DataFrame({x: [1.0, 2.0]}, index=[x, "B"]), x),
        lambda x: plot_differences(pd.DataFrame({"difference": [5.0, 1.0], "se": [1.0, 1.0]}, index=[x, "b"]), x),
        lambda x: plot_histogram(np.arange(9.0), 3.0, x, (x, "ours")),
        lambda x: plot_chances(pd.Series([100.0, 50.0, 20.0], pd.Index([-10.0, 5.0, 40.0], name=x))),
    ],
    ids=["dots", "lines", "bars", "laps", "heat", "differences", "histogram", "chances"],
)
def test_text_of_a_file_is_drawn_letter_by_letter(plot, name):
    from matplotlib.text import Text

    ax = plot(name)
    ax.figure.canvas.draw()
    texts = _closing(ax).figure.findobj(Text)
    assert any(name.split()[-1] in text.get_text() for text in texts)
    assert not any(text.get_parse_math() or "mathdefault" in text.get_text() for text in texts)


def test_differences_beyond_two_errors_are_distinguished_from_the_rest():
    table = pd.DataFrame({"difference": [5.0, 1.0, -9.0], "se": [1.0, 1.0, 2.0]}, index=["a", "b", "c"])
    ax = _closing(plot_differences(table))
    clear, grey = (container.lines[0] for container in ax.containers[:2])
    assert clear.get_xdata().tolist() == [5.0, -9.0] and grey.get_xdata().tolist() == [1.0]
    assert clear.get_color() != grey.get_color()


def test_a_heat_map_prints_every_number_readably():
    table = pd.DataFrame([[-5.0, 0.0], [5.0, 2.5]], ["r1", "r2"], ["c_1", "c2"])
    ax = _closing(plot_heat(table, pattern="{:+.1f}", centre=0.0))
    assert [t.get_text() for t in ax.texts] == ["-5.0", "+0.0", "+5.0", "+2.5"]
    assert ax.images[0].norm.vmin == -5 and ax.images[0].norm.vmax == 5
    assert [t.get_text() for t in ax.get_xticklabels()] == ["c 1", "c2"]


def test_series_of_a_frame_are_drawn_each_under_its_name():
    table = pd.DataFrame({"pool": [10.0, 20.0], "salary_only": [5.0, 30.0]}, index=["A", "B"])
    for ax in (plot_dots(table, "%"), plot_bars(table, "%")):
        _closing(ax)
        assert [t.get_text() for t in ax.get_legend().get_texts()] == ["pool", "salary only"]


def test_bands_of_any_levels_are_drawn_and_points_may_be_negative():
    table = pd.DataFrame(
        {"median": [2.0], "low_90": [-9.0], "high_90": [9.0], "low_50": [1.0], "high_50": [4.0]}, ["a"]
    )
    ax = _closing(plot_intervals(table, "median", scale=1.0))
    spans = [part.get_segments()[0][:, 0].tolist() for part in ax.collections]
    assert spans == [[-9, 9], [1, 4]] and ax.get_xlim()[0] <= -9


def test_two_errors_stand_around_bars_and_lines_that_have_some():
    table = pd.DataFrame({"share": [5.0, 6.0], "share_se": [1.0, 2.0]}, [0, 1])
    for ax in (plot_bars(table, level=5.5), plot_lines(table)):
        ends = np.concatenate([part.get_segments() for part in _closing(ax).collections])[:, :, 1]
        assert ends.tolist() == [[3, 7], [2, 10]] and ax.get_legend() is None


def test_a_race_is_a_bar_of_laps_led_the_longest_first():
    table = pd.DataFrame({"Ann": [10, 0], "Bob": [30, 25], "Cy": [0, 15]}, ["r1", "r2"])
    ax = _closing(plot_laps(table))
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [(0, 30), (30, 10), (0, 25), (25, 15)]
    assert [t.get_text() for t in ax.texts] == ["Bob 30", "Ann 10", "Bob 25", "Cy 15"]


def test_reliability_is_drawn_in_percent_with_two_errors():
    bands = pd.DataFrame({"forecast": [0.1, 0.3], "actual": [0.2, 0.25], "se": [0.01, 0.02]})
    ax = _closing(plot_reliability(bands))
    x, y = ax.containers[0].lines[0].get_data()
    assert x.tolist() == pytest.approx([10, 30]) and y.tolist() == pytest.approx([20, 25])


def test_the_colours_differ_in_brightness_or_hue_for_the_colour_blind():
    """Simulated red-green blindness (Viénot 1999, deuteranope) leaves every pair of the first five apart."""
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLOURS[:5]]) ** 2.2
    seen = rgb @ np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]).T
    seen = np.clip(seen, 0, 1) ** (1 / 2.2)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    assert apart[np.triu_indices(5, 1)].min() > 0.1


@pytest.mark.filterwarnings("error")
def test_a_picture_without_anything_to_draw_holds_no_data():
    none = pd.DataFrame(columns=["low", "high", "forecast", "actual", "share", "se"], dtype=float)
    gaps = pd.DataFrame({"difference": [], "se": []})
    for ax in (plot_reliability(none), plot_bars(none, level=1), plot_lines(none), plot_differences(gaps)):
        assert not _closing(ax).has_data()


def _perimeter(lines, colour) -> float:
    """Return the length of the edges drawn in one colour."""
    return sum(np.abs(np.diff(line.get_xydata(), axis=0)).sum() for line in lines if line.get_color() == colour)


def test_the_plateau_is_outlined_and_the_choice_framed_at_the_thresholds_it_holds():
    rows = [(x, y, c) for c in (10.0, 12.0) for y in (0.2, 0.3) for x in (0.4, 0.5, 0.6)]
    table = pd.DataFrame(rows, columns=["leader_share", "dropout_share", "cautions"]).assign(fuel_miles=100.0)
    table["skill"] = np.arange(len(table)) / 100
    table["chosen"], table["plateau"] = table.index == 7, table.index.isin([6, 7, 10])
    ax = _closing(plot_thresholds(table))
    assert [t.get_text() for t in ax.texts] == ["+6.0", "+7.0", "+8.0", "+9.0", "+10.0", "+11.0"]
    outline, frame = ax.lines[0].get_color(), ax.lines[-1].get_color()
    assert _perimeter(ax.lines, frame) == 4 and _perimeter(ax.lines, outline) == 8
    assert not _closing(plot_thresholds(table.iloc[:0])).has_data()


def test_the_timeline_leaves_races_hollow_whose_label_rests_on_something_unknown():
    past = pd.DataFrame({
        "date": pd.to_datetime(["2024-03-01", "2024-04-01", "2024-05-01"]), "leader_share": [0.6, 0.3, 0.2],
        "dropout_share": [0.1, 0.4, np.nan], "regime": ["dominator", "balanced", "balanced"],
        "known": [True, True, False],
    })  # fmt: skip
    ax = _closing(plot_timeline(past, 0.5))
    balanced, dominator = ax.collections
    assert dominator.get_offsets()[0][1] == 60 and ax.lines[0].get_ydata()[0] == 50
    assert balanced.get_facecolors()[:, 3].tolist() == [1, 0]
    assert balanced.get_sizes()[0] > dominator.get_sizes()[0] > balanced.get_sizes()[1]


def test_a_histogram_holds_every_value_and_marks_ours():
    ax = _closing(plot_histogram([1.0, 2.0, -1.0], 3.0))
    assert sum(bar.get_height() for bar in ax.patches) == 3 and ax.lines[0].get_xdata().tolist() == [3]
    ax = _closing(plot_histogram([1.0, 2.0], [5.0, 4.0]))
    assert ax.lines[0].get_xdata().tolist() == [5, 4] and np.diff(ax.lines[0].get_ydata())[0] < 0
