"""Pictures show the numbers they were given."""

import numpy as np
import pandas as pd
import pytest

from dfslab.report._plots import (
    COLOURS,
    plot_dots,
    plot_heat,
    plot_histogram,
    plot_lines,
    plot_reliability,
    plot_scatter,
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


def test_lines_over_amounts_of_either_sign_keep_their_numbers_on_logarithmic_axes():
    chance = pd.Series([100.0, 50.0, 20.0], pd.Index([-10.0, 5.0, 40.0], name="profit"))
    ax = _closing(plot_lines(chance.to_frame("chance"), log=True))
    x, y = ax.lines[0].get_data()
    assert x.tolist() == [-10, 5, 40] and y.tolist() == [100, 50, 20] and ax.get_xlabel() == "profit"
    assert ax.get_xscale() == "symlog" and ax.get_yscale() == "log"


def _spans(ax) -> list:
    return [part.get_segments()[0][:, 0].tolist() for part in ax.collections]


def test_bands_are_nested_around_their_centre_and_what_came_is_marked():
    bands = {f"{side}_{level}": [x, x] for level, pair in {95: (1, 9), 50: (4, 6)}.items()
             for side, x in zip(("low", "high"), pair, strict=True)}  # fmt: skip
    table = pd.DataFrame({"ownership": [5.0, 5.5], **bands, "actual": [8.0, 4.0]}, index=["A", "B"])
    ax = _closing(plot_dots(table))
    assert _spans(ax) == [[1, 9], [4, 6]] and ax.get_xlim()[0] == 0
    assert [line.get_xdata().tolist() for line in ax.lines] == [[5, 5.5], [8, 4]]
    assert [t.get_text() for t in ax.texts] == ["5", "6"]
    before = table.assign(actual=np.nan)
    assert len(_closing(plot_dots(before)).lines) == 1


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
        lambda x: plot_scatter(pd.DataFrame({x: [1.0, 2.0], "y": [2.0, 1.0]}), x, "y"),
        lambda x: plot_heat(pd.DataFrame({x: [1.0, 2.0]}, index=[x, "B"]), x),
        lambda x: plot_dots(pd.DataFrame({"gain": [5.0, 1.0], "gain_se": [1.0, 1.0]}, index=[x, "b"]), x, level=0),
        lambda x: plot_histogram(np.arange(9.0), 3.0, x, (x, "ours")),
        lambda x: plot_lines(pd.DataFrame({"y": [100.0, 50.0]}, index=pd.Index([-10.0, 40.0], name=x)), log=True),
    ],
    ids=["dots", "lines", "scatter", "heat", "differences", "histogram", "chances"],
)
def test_text_of_a_file_is_drawn_letter_by_letter(plot, name):
    from matplotlib.text import Text

    ax = plot(name)
    ax.figure.canvas.draw()
    texts = _closing(ax).figure.findobj(Text)
    assert any(name.split()[-1] in text.get_text() for text in texts)
    assert not any(text.get_parse_math() or "mathdefault" in text.get_text() for text in texts)


def test_differences_beyond_two_errors_are_distinguished_from_the_rest():
    table = pd.DataFrame({"gain": [5.0, 1.0, -9.0], "gain_se": [1.0, 1.0, 2.0]}, index=["a", "b", "c"])
    ax = _closing(plot_dots(table, level=0))
    clear, grey = (container.lines[0] for container in ax.containers[:2])
    assert clear.get_xdata().tolist() == [5.0, -9.0] and grey.get_xdata().tolist() == [1.0]
    assert clear.get_color() != grey.get_color()


def test_a_heat_map_prints_every_number_readably():
    table = pd.DataFrame([[-5.0, 0.0], [5.0, 2.5]], ["r1", "r2"], ["c_1", "c2"])
    ax = _closing(plot_heat(table, pattern="{:+.1f}", centre=0.0))
    assert [t.get_text() for t in ax.texts] == ["−5.0", "+0.0", "+5.0", "+2.5"]
    assert ax.images[0].norm.vmin == -5 and ax.images[0].norm.vmax == 5
    assert [t.get_text() for t in ax.get_xticklabels()] == ["c 1", "c2"]


def test_series_of_a_frame_are_drawn_each_under_its_name():
    table = pd.DataFrame({"pool": [10.0, 20.0], "salary_only": [5.0, 30.0]}, index=["A", "B"])
    for ax in (plot_dots(table, "%"), plot_lines(table, "%")):
        _closing(ax)
        assert [t.get_text() for t in ax.get_legend().get_texts()] == ["pool", "salary only"]


def test_bands_below_zero_are_not_cut():
    table = pd.DataFrame({"median": [2.0], "low_90": [-9.0], "high_90": [9.0]}, ["a"])
    assert _closing(plot_dots(table)).get_xlim()[0] < -9


def test_two_errors_stand_around_lines_that_have_some():
    table = pd.DataFrame({"share": [5.0, 6.0], "share_se": [1.0, 2.0]}, [0, 1])
    ax = _closing(plot_lines(table))
    ends = np.concatenate([part.get_segments() for part in ax.collections])[:, :, 1]
    assert ends.tolist() == [[3, 7], [2, 10]] and ax.get_legend() is None


def test_reliability_is_drawn_in_percent_with_two_errors():
    bands = pd.DataFrame({"forecast": [0.1, 0.3], "actual": [0.2, 0.25], "se": [0.01, 0.02]})
    ax = _closing(plot_reliability(bands))
    x, y = ax.containers[0].lines[0].get_data()
    assert x.tolist() == pytest.approx([10, 30]) and y.tolist() == pytest.approx([20, 25])
    assert ax.get_ylim() == ax.get_xlim() == pytest.approx((0, 32.4))


@pytest.mark.parametrize(("se", "top"), [(0.1, 43.2), (0.9, 104)])
def test_reliability_has_room_for_its_errors_up_to_all(se, top):
    ax = _closing(plot_reliability(pd.DataFrame({"forecast": [0.1], "actual": [0.2], "se": [se]})))
    assert ax.get_ylim() == pytest.approx((0, top))


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
    gaps = pd.DataFrame({"gain": [], "gain_se": []})
    for ax in (plot_reliability(none), plot_lines(none), plot_dots(gaps, level=0)):
        assert not _closing(ax).has_data()


def _perimeter(lines, colour) -> float:
    """Return the length of the edges drawn in one colour."""
    return sum(np.abs(np.diff(line.get_xydata(), axis=0)).sum() for line in lines if line.get_color() == colour)


def test_cells_are_outlined_along_the_edges_to_others():
    table = pd.DataFrame(np.arange(6.0).reshape(2, 3))
    plateau, choice = table.isin([0, 1, 4]), table == 1
    ax = _closing(plot_heat(table, outlines=(plateau, choice)))
    outline, frame = ax.lines[0].get_color(), ax.lines[-1].get_color()
    assert _perimeter(ax.lines, frame) == 4 and _perimeter(ax.lines, outline) == 8
    inside = [(0, 0), (0, 1), (1, 1)]
    centres = {tuple(line.get_xydata().mean(axis=0)) for line in ax.lines if line.get_color() == outline}
    around = [(j + dx, i + dy) for i, j in inside for dx, dy in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))]
    assert centres == {edge for edge in around if around.count(edge) == 1}


def test_points_read_as_in_tables_and_are_hollow_where_something_is_unknown():
    past = pd.DataFrame({
        "date": pd.to_datetime(["2024-03-01", "2024-04-01", "2024-05-01"]), "leader_share": [0.6, 0.3, 0.2],
        "dropout_share": [0.1, 0.4, np.nan], "regime": ["dominator", "balanced", "balanced"],
        "known": [True, True, False],
    })  # fmt: skip
    look = {"by": "regime", "size": "dropout_share", "filled": "known", "level": 0.5}
    ax = _closing(plot_scatter(past, "date", "leader_share", **look))
    balanced, dominator = ax.collections
    assert dominator.get_offsets()[0][1] == 60 and ax.lines[0].get_ydata()[0] == 50
    assert balanced.get_facecolors()[:, 3].tolist() == [1, 0] and ax.get_ylabel() == "leader leads %"
    assert balanced.get_sizes()[0] > dominator.get_sizes()[0] > balanced.get_sizes()[1]


def test_a_histogram_holds_every_value_and_marks_ours():
    ax = _closing(plot_histogram([1.0, 2.0, -1.0], 3.0))
    assert sum(bar.get_height() for bar in ax.patches) == 3 and ax.lines[0].get_xdata().tolist() == [3]
    ax = _closing(plot_histogram([1.0, 2.0], [5.0, 4.0]))
    assert ax.lines[0].get_xdata().tolist() == [5, 4] and np.diff(ax.lines[0].get_ydata())[0] < 0
