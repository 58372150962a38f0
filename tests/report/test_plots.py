"""Pictures show the numbers they were given, and come with an alternative text."""

import io

import numpy as np
import pytest

from dfslab.report._plots import (
    COLOURS,
    plot_bars,
    plot_differences,
    plot_exposure,
    plot_heat,
    plot_lines,
    plot_profit,
    show,
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


def test_a_figure_carries_alt_and_caption_escaped_and_the_same_bytes_twice():
    pictures = [show(plot_bars(["a"], {"x": [1.0]}), 'A "quoted" <alt>', "One < two.") for _ in range(2)]
    text = pictures[0]._repr_html_()
    assert 'alt="A &quot;quoted&quot; &lt;alt&gt;"' in text and "One &lt; two." in text
    assert text.startswith('<figure><img src="data:image/png;base64,') and pictures[0].png == pictures[1].png


def test_a_picture_is_wide_enough_and_not_empty():
    from matplotlib import image

    picture = show(plot_lines([1, 2], {"x": [1, 2]}), "A rising line")
    pixels = image.imread(io.BytesIO(picture.png))
    assert (
        picture.width <= 1000 < pixels.shape[1] and np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0).shape[0] > 9
    )


def test_the_chance_of_a_profit_falls_and_is_weighted():
    profit, weight = np.array([-10.0, 5.0, 40.0]), np.array([0.5, 0.3, 0.2])
    ax = _closing(plot_profit(profit, weight))
    x, y = ax.lines[0].get_data()
    assert x.tolist() == [-10, 5, 40] and np.allclose(y, [100, 50, 20])


def test_exposure_shows_both_shares_by_driver():
    ax = _closing(plot_exposure(["A", "B"], np.array([60.0, 10.0]), np.array([30.0, 20.0])))
    field, ours = (line.get_xdata().tolist() for line in ax.lines[:2])
    assert field == [30, 20] and ours == [60, 10]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["A", "B"] or ax.yaxis_inverted()


def test_differences_beyond_two_errors_are_told_from_the_rest():
    ax = _closing(plot_differences(["a", "b", "c"], [5.0, 1.0, -9.0], [1.0, 1.0, 2.0]))
    clear, grey = (container.lines[0] for container in ax.containers[:2])
    assert clear.get_xdata().tolist() == [5.0, -9.0] and grey.get_xdata().tolist() == [1.0]
    assert clear.get_color() != grey.get_color()


def test_a_heat_map_prints_every_number_readably():
    values = np.array([[-5.0, 0.0], [5.0, 2.5]])
    ax = _closing(plot_heat(["r1", "r2"], ["c1", "c2"], values, pattern="{:+.1f}", centre=0.0))
    assert [t.get_text() for t in ax.texts] == ["-5.0", "+0.0", "+5.0", "+2.5"]
    assert ax.images[0].norm.vmin == -5 and ax.images[0].norm.vmax == 5


def test_the_colours_differ_in_brightness_or_hue_for_the_colour_blind():
    """Simulated red-green blindness (Viénot 1999, deuteranope) leaves every pair of the first five apart."""
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLOURS[:5]]) ** 2.2
    seen = rgb @ np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]).T
    seen = np.clip(seen, 0, 1) ** (1 / 2.2)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    assert apart[np.triu_indices(5, 1)].min() > 0.1


@pytest.mark.filterwarnings("error")
def test_a_picture_without_anything_to_draw_says_so():
    for ax in (plot_bars([], {}, "percent", errors={}), plot_differences([], np.empty(0), np.empty(0))):
        _closing(ax)
        assert [text.get_text() for text in ax.texts] == ["not enough past to draw"]
        assert ax.get_legend() is None
