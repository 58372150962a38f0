"""Pictures of frames: `plot_<kind>(frame, …, ax=None) -> Axes`. A column is a series, `x_se` the error of x."""

import numpy as np
import pandas as pd

from dfslab.report._parts import column

# Okabe & Ito's palette: distinguishable with every common colour vision.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#7f8c99", "#000000")
BLUE, ORANGE, GREEN, _, RED, _, GREY, _ = COLOURS
MARKERS = "osD^vPX*"
INK, PALE = "#17212b", "#e6ebf0"
BAND_SHADES = ("#c6dbec", "#8dbbdb", BLUE)
WIDE = 7.2
"""Inches of a picture as wide as the page's column."""
MANY = 60
"""Lines through more points are drawn without marks."""


def _axes(ax, width=WIDE, height=3.6):
    from matplotlib import pyplot as plt

    plt.rcParams["text.parse_math"] = False  # a name may hold dollar signs; tick labels are made as late as when drawn
    if ax is None:
        ax = plt.subplots(figsize=(width, height), layout="constrained")[1]
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#b9c4ce")
    ax.grid(axis="both", color=PALE, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=9, labelcolor=INK)
    ax.xaxis.label.set(color="#45525f", size=9)
    ax.yaxis.label.set(color="#45525f", size=9)
    return ax


def _legend(ax) -> None:
    """Put the legend above the picture, where it covers nothing, in two lines when there are many names."""
    many = len(ax.get_legend_handles_labels()[1]) > 5
    look = {"frameon": False, "fontsize": 9, "ncols": 4 if many else 5, "handletextpad": 0.5, "columnspacing": 1.6}
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, **look)


def _words(name) -> str:
    return str(name).replace("_", " ")


def _series(table) -> list:
    return [name for name in table if not str(name).endswith("_se") and str(name)[:4] not in ("low_", "high")]


def _ranges(table, name):
    return 2 * table[f"{name}_se"] if f"{name}_se" in table else None


def _dates(ax) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    ax.xaxis.set_major_formatter(ConciseDateFormatter(AutoDateLocator()))
    ax.xaxis.get_offset_text().set_size(9)


def plot_dots(table, label="", level=None, ax=None):
    """Draw numbers by name: a row of `table` is a row of the picture, a column a series of dots.

    `low_x` and `high_x` are a band for each x, the first series then its centre, written at the right; `x_se` gives ± 2
    standard errors; a line marks `level`, and a dot within two errors of it is grey.
    """
    table = table.dropna(axis=1, how="all")
    ax = _axes(ax, WIDE, 0.7 + 0.22 * len(table))
    y, names = np.arange(len(table)), _series(table) if len(table) else []
    ax.set_yticks(y, [_words(name) for name in table.index])
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    looks = [{"color": colour, "marker": marker} for colour, marker in zip(COLOURS, MARKERS, strict=True)]
    if banded := _bands(ax, table, y):
        looks = [{"color": "white", "marker": "o"}, {"color": RED, "marker": "D"}, *looks]
        _beside(ax, y, table[names[0]])
    elif len(names) > 1:
        ax.hlines(y, table[names].min(axis=1), table[names].max(axis=1), color="#d5dde5", linewidth=2)
    for k, (name, look) in enumerate(zip(names, looks, strict=False)):
        text = _words(name) + ", at the right" * (banded and k == 0)
        _row_of_dots(ax, table[name].to_numpy(float), y, _ranges(table, name), level, look, text)
    if names:
        _legend(ax)
    ax.set_xlabel(label)
    return ax


def _bands(ax, table, y) -> bool:
    """Draw nested bands from columns low_95, high_95, low_80, …; return whether there are any."""
    levels = sorted((int(name[4:]) for name in map(str, table) if name.startswith("low_")), reverse=True)
    for level, width, shade in zip(levels, (3, 6, 9)[-len(levels) :], BAND_SHADES[-len(levels) :], strict=False):
        ax.hlines(y, table[f"low_{level}"], table[f"high_{level}"], color=shade, linewidth=width, label=f"{level} %")
    if levels and table[f"low_{levels[0]}"].min() >= 0:
        ax.set_xlim(left=0)
    return bool(levels)


def _beside(ax, y, values) -> None:
    """Write a number at the right edge of each row."""
    for place, value in zip(y, values, strict=True):
        ax.annotate(f"{value:.0f}", (1.0, place), xycoords=("axes fraction", "data"), xytext=(5, 0),
                    textcoords="offset points", va="center", fontsize=9, color=INK)  # fmt: skip


def _row_of_dots(ax, values, y, error, level, look, text) -> None:
    look = {"linestyle": "none", "capsize": 3, "markersize": 5.5, "markeredgecolor": INK} | look
    look |= {} if look["color"] == "white" else {"markeredgecolor": look["color"]}
    if error is None or level is None:
        ax.errorbar(values, y, xerr=error, label=text, **look)
        return
    ax.axvline(level, color=INK, linewidth=1)
    error = error.to_numpy()
    clear = np.abs(values - level) > error
    for where, colour, mask in (("beyond", look["color"], clear), ("within", GREY, ~clear)):
        if mask.any():
            ends = look | {"color": colour, "markeredgecolor": colour, "label": f"{where} two standard errors"}
            ax.errorbar(values[mask], y[mask], xerr=error[mask], **ends)


def plot_lines(table, label="", log=False, ax=None):
    """Draw a line per column over the index (dates or numbers), with ± 2 of `x_se` around x where there is one.

    With `log` both axes are logarithmic, the index linear within ± 10 so that it may be of either sign.
    """
    ax = _axes(ax, WIDE, 2.9)
    names = _series(table) if len(table) else []
    for name, colour, marker in zip(names, COLOURS, MARKERS, strict=False):
        if table[name].isna().all():  # its colour is kept free
            continue
        marker = marker if len(table) <= MANY else None
        ax.errorbar(table.index, table[name], _ranges(table, name), capsize=3, color=colour, marker=marker,
                    markersize=4.5, label=_words(name))  # fmt: skip
    if isinstance(table.index, pd.DatetimeIndex):
        _dates(ax)
    if log:
        ax.axvline(0, color=GREY, linewidth=1, linestyle="--")
        ax.set_xscale("symlog", linthresh=10)
        ax.set_yscale("log")
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.yaxis.set(major_formatter="{x:g}", minor_formatter="")
    ax.set(xlabel=table.index.name or "", ylabel=label)
    if len(names) > 1:
        _legend(ax)
    return ax


def plot_reliability(bands, label="ownership (%)", ax=None):
    """Draw mean actual against mean forecast by band with ± 2 standard errors; the diagonal is perfect.

    `bands` has forecast, actual and se (fractions), such as `metrics.reliability` gives.
    """
    bands = 100 * bands[["forecast", "actual", "se"]].astype(float).dropna(subset=["forecast", "actual"])
    lines = bands.set_index("forecast").set_axis(["bands, ± 2 se", "bands, ± 2 se_se"], axis=1)
    ax = plot_lines(lines, ax=_axes(ax, 4.3, 4.0))
    if len(bands):
        reach = (bands["actual"] + 2 * bands["se"].fillna(0)).clip(upper=100)
        top = min(104.0, 1.08 * max(1.0, reach.max(), bands["forecast"].max()))
        ax.plot([0, top], [0, top], color=GREY, linewidth=1, linestyle="--", label="perfect")
        ax.set(xlabel=f"forecast {label}", ylabel=f"actual {label}", xlim=(0, top), ylim=(0, top))
        _legend(ax)
    return ax


def plot_histogram(values, ours, label="", names=("all", "ours"), ax=None):
    """Draw `values` as a histogram with a mark for each of `ours`, the first on top; `names` says what the two are."""
    ax = _axes(ax, WIDE, 2.7)
    ax.hist(np.asarray(values, float), bins=60, color="#c6dbec", label=names[0])
    ours = np.atleast_1d(np.asarray(ours, float))
    height = np.linspace(0.95, 0.1, len(ours)) * ax.get_ylim()[1]
    colour, size = (RED, 7) if len(ours) == 1 else (BLUE, 3.5)
    ax.plot(ours, height, "D", color=colour, markersize=size, label=names[1])
    ax.set(xlabel=label, ylabel="how many")
    _legend(ax)
    return ax


def plot_scatter(table, x, y, *, by=None, size=None, filled=None, level=None, ax=None):
    """Draw column `y` over column `x`, a point per row, as tables write them; `by` is a column of words to colour by.

    Points grow with the column `size` (0 to 1) and are hollow where the column `filled` is False; a line marks `level`.
    """
    ax, (across, up) = _axes(ax, WIDE, 3.2), (column(name, table[name]) for name in (x, y))
    for (name, part), colour in zip(table.groupby(by) if by else [("", table)], COLOURS, strict=False):
        area = 8 + 160 * part[size].fillna(0) if size else 40
        faces = np.where(part[filled].astype(bool), colour, "none") if filled else colour
        ax.scatter(across.scale(part[x]), up.scale(part[y]), area, faces, edgecolors=colour, label=_words(name))
    if level is not None:
        ax.axhline(up.scale(level), color=GREY, linewidth=1, linestyle="--")
    ax.set(xlabel="" if across.kind == "date" else across.label, ylabel=up.label)
    if across.kind == "date":
        _dates(ax)
    if by:
        _legend(ax)
    return ax


def plot_heat(table, label="", pattern="{:.0f}", centre=None, outlines=(), ax=None):
    """Draw a frame as coloured cells with its numbers; around `centre` with two colours when one is given.

    `outlines` are frames of bool like `table`: the cells that are true get a line around them, thin for the first
    frame, thick for the second.
    """
    ax = _axes(ax, min(WIDE, 2.6 + 1.3 * table.shape[1]), 0.9 + 0.24 * len(table))
    values = table.to_numpy(float)
    spread = np.nanmax(np.abs(values - centre)) if centre is not None else 1.0
    limits = {} if centre is None else {"vmin": centre - spread, "vmax": centre + spread}
    image = ax.imshow(values, aspect="auto", cmap="Blues" if centre is None else "PuOr_r", **limits)
    ax.set_xticks(range(table.shape[1]), [_words(name) for name in table.columns])
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(table)), [_words(name) for name in table.index])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    for (i, j), value in np.ndenumerate(values):
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
        text, colour = pattern.format(value).replace("-", "−"), "white" if dark else INK
        ax.text(j, i, text, ha="center", va="center", fontsize=9, color=colour)
    for marked, colour, width in zip(outlines, (INK, BLUE), (1.2, 3), strict=False):
        for line in _edges(np.pad(marked.to_numpy(bool), 1)):
            ax.plot(*line, color=colour, linewidth=width, solid_capstyle="butt", clip_on=False)
    ax.set_xlabel(label)
    return ax


def _edges(inside):
    """Yield the lines between a marked cell and an unmarked one; `inside` has a margin of one cell."""
    for i, j in np.argwhere(inside[:, 1:] != inside[:, :-1]):
        yield (j - 0.5, j - 0.5), (i - 1.5, i - 0.5)
    for i, j in np.argwhere(inside[1:] != inside[:-1]):
        yield (j - 1.5, j - 0.5), (i - 0.5, i - 0.5)
