"""Pictures of the pages: `plot_<noun>(numbers, ax=None) -> Axes`, from frames and arrays as the package has them."""

import numpy as np
import pandas as pd

# Okabe & Ito's palette: distinguishable with every common colour vision.
BLUE, ORANGE, GREEN, PINK, SKY, YELLOW, RED, GREY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#f0e442",
    "#d55e00",
    "#7f8c99",
)
COLOURS = (BLUE, ORANGE, GREEN, PINK, RED, SKY, GREY, "#000000")
MARKERS = "osD^vPX*"
INK, PALE = "#17212b", "#e6ebf0"
BAND_SHADES = ("#c6dbec", "#8dbbdb", BLUE)
WIDE = 7.2
"""Inches of a picture as wide as the page's column."""
NAMED = 0.22
"""Share of a bar that has room for a name."""


def save(ax, path, dots_per_inch: int = 120) -> None:
    """Write the figure that `ax` lives on to `path` as PNG and close it."""
    from matplotlib import pyplot as plt

    ax.figure.savefig(path, dpi=dots_per_inch, metadata={"Software": None})
    plt.close(ax.figure)


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


def _legend(ax, columns=6) -> None:
    """Put the legend in one line above the picture, where it covers nothing."""
    ax.legend(
        frameon=False, fontsize=9, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3,
        handletextpad=0.5, columnspacing=1.6,
    )  # fmt: skip


def _words(name) -> str:
    return str(name).replace("_", " ")


def _rows(ax, names) -> np.ndarray:
    y = np.arange(len(names))
    ax.set_yticks(y, names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    return y


def _beside(ax, y, texts) -> None:
    """Write a text at the right edge of each row."""
    for place, text in zip(y, texts, strict=True):
        ax.annotate(text, (1.0, place), xycoords=("axes fraction", "data"), xytext=(5, 0), textcoords="offset points",
                    va="center", fontsize=9, color=INK)  # fmt: skip


def plot_intervals(table, column: str = "ownership", actual=None, label="ownership (%)", scale=100.0, ax=None):
    """Draw numbers with nested bands, a row per name.

    Parameters
    ----------
    table : frame by name with `column` and low_95, high_95, low_80, … for one band or more
    actual : Series by name, where it is known
    scale : factor on all numbers; the default draws fractions as percent
    """
    ax = _axes(ax, WIDE, 0.7 + 0.205 * len(table))
    y = _rows(ax, table.index)
    levels = sorted((int(name[4:]) for name in map(str, table) if name.startswith("low_")), reverse=True)
    for level, width, shade in zip(levels, (9, 6, 3)[: len(levels)][::-1], BAND_SHADES[-len(levels) :], strict=True):
        low, high = scale * table[f"low_{level}"], scale * table[f"high_{level}"]
        ax.hlines(y, low, high, color=shade, linewidth=width, label=f"{level} %")
    centre = scale * table[column]
    ax.plot(centre, y, "o", color="white", markeredgecolor=INK, markersize=5, label=f"{_words(column)}, at the right")
    if actual is not None:
        ax.plot(scale * actual.reindex(table.index), y, "D", color=RED, markeredgecolor="white", label="actual")
    ax.set_xlabel(label)
    ax.set_xlim(left=min(0, ax.get_xlim()[0]) if scale == 1 else 0)
    _beside(ax, y, [f"{value:.0f}" for value in centre])
    _legend(ax)
    return ax


def plot_dots(table, label="", ax=None):
    """Draw several values per name; a row of `table` is a name, a column a series."""
    ax = _axes(ax, WIDE, 0.7 + 0.225 * len(table))
    y = _rows(ax, table.index)
    ax.hlines(y, table.min(axis=1), table.max(axis=1), color="#d5dde5", linewidth=2)
    for name, colour, marker in zip(table, COLOURS, MARKERS, strict=False):
        ax.plot(table[name], y, marker, color=colour, markersize=6, label=_words(name))
    ax.set_xlabel(label)
    _legend(ax)
    return ax


def plot_reliability(bands, label="ownership (%)", ax=None):
    """Draw mean actual against mean forecast by band with ± 2 standard errors; the diagonal is perfect.

    `bands` has forecast, actual and se (fractions), such as `metrics.reliability` gives.
    """
    bands = 100 * bands[["forecast", "actual", "se"]].astype(float).dropna(subset=["forecast", "actual"])
    ax = _axes(ax, 4.3, 4.0)
    if bands.empty:
        return ax
    top = 1.08 * max(1.0, bands[["forecast", "actual"]].max(axis=None))
    ax.plot([0, top], [0, top], color=GREY, linewidth=1, linestyle="--", label="perfect")
    ax.errorbar(bands["forecast"], bands["actual"], yerr=2 * bands["se"], fmt="o-", color=BLUE, capsize=3,
                label="bands, ± 2 se")  # fmt: skip
    ax.set(xlabel=f"forecast {label}", ylabel=f"actual {label}", xlim=(0, top), ylim=(0, top))
    _legend(ax)
    return ax


def plot_lines(table, label="", ax=None):
    """Draw a line per column over the index (dates or numbers), with ± 2 of `x_se` around x where there is one."""
    ax = _axes(ax, WIDE, 2.9)
    names = _series(table) if len(table) else []
    for name, colour, marker in zip(names, COLOURS, MARKERS, strict=False):
        ax.errorbar(table.index, table[name], _ranges(table, name), capsize=3, color=colour, marker=marker,
                    markersize=4.5, label=_words(name))  # fmt: skip
    if isinstance(table.index, pd.DatetimeIndex):
        _dates(ax)
    ax.set(xlabel=table.index.name or "", ylabel=label)
    if len(names) > 1:
        _legend(ax)
    return ax


def plot_chances(chance, ax=None):
    """Draw the chance (%) of at least an amount, over amounts of either sign; both axes are logarithmic.

    `chance` is a Series by amount, ascending, such as `Scores.profit_chances` gives.
    """
    from matplotlib import ticker

    ax = _axes(ax, WIDE, 3.0)
    ax.step(chance.index, chance, where="pre", color=BLUE, linewidth=2)
    ax.axvline(0, color=GREY, linewidth=1, linestyle="--")
    edge = max(1.0, -float(chance.index.min()))
    ax.set_xscale("symlog", linthresh=edge, linscale=0.6)
    ticks = [-edge, 0.0, edge, *(edge * 10.0**k for k in range(1, 8) if edge * 10.0**k < chance.index.max())]
    ax.set_xticks(ticks, [f"{x:,.0f}" for x in ticks])
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(ticker.LogFormatter())
    ax.set(xlabel=chance.index.name, ylabel="chance of at least that (%)")
    return ax


def _series(table) -> list:
    return [name for name in table if not str(name).endswith("_se")]


def _ranges(table, name):
    return 2 * table[f"{name}_se"] if f"{name}_se" in table else None


def _dates(ax) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    ax.xaxis.set_major_formatter(ConciseDateFormatter(AutoDateLocator()))
    ax.xaxis.get_offset_text().set_size(9)


def plot_bars(table, label="", level=None, ax=None):
    """Draw grouped bars with their values, or with ± 2 of `x_se` where there is one.

    A row of `table` is a group, a column a series; `level` marks what would be right.
    """
    ax = _axes(ax, WIDE, 2.8)
    names = _series(table) if len(table) else []
    x, width = np.arange(len(table)), 0.8 / max(len(names), 1)
    for k, (name, colour) in enumerate(zip(names, (BLUE, "#b7c4d1", ORANGE, GREEN), strict=False)):
        place, error = x + (k - (len(names) - 1) / 2) * width, _ranges(table, name)
        bars = ax.bar(place, table[name], width * 0.94, color=colour, label=_words(name), yerr=error, capsize=3)
        if error is None:
            ax.bar_label(bars, fmt="%.0f", fontsize=9, padding=2, color=INK)
    if level is not None and len(table):
        ax.axhline(level, color=GREY, linewidth=1, linestyle="--")
    ax.set_xticks(x, [_words(name) for name in table.index])
    ax.margins(y=0.12)
    ax.grid(axis="x", visible=False)
    ax.set(xlabel=table.index.name or "", ylabel=label)
    if len(names) > 1:
        _legend(ax)
    return ax


def plot_histogram(values, ours, label="", names=("all", "ours"), ax=None):
    """Draw `values` as a histogram with a mark for each of `ours`, the first on top; `names` says what the two are."""
    ax = _axes(ax, WIDE, 2.7)
    ax.hist(np.asarray(values, float), bins=60, color="#c6dbec", label=names[0])
    ours = np.atleast_1d(np.asarray(ours, float))
    height = np.linspace(0.95, 0.1, len(ours)) * ax.get_ylim()[1]
    ax.plot(ours, height, "D", color=BLUE if len(ours) > 1 else RED, markersize=3.5 if len(ours) > 1 else 7,
            label=names[1])  # fmt: skip
    ax.set(xlabel=label, ylabel="how many")
    _legend(ax)
    return ax


def plot_laps(table, ax=None):
    """Draw who leads how many laps, a bar per race, the most first; a row of `table` is a race, a column a driver."""
    ax = _axes(ax, WIDE, 0.7 + 0.42 * len(table))
    for place, (_, laps) in zip(_rows(ax, table.index), table.iterrows(), strict=True):
        laps = laps[laps > 0].sort_values(ascending=False, kind="stable")
        shades = [BLUE, SKY, *[PALE] * len(laps)]
        for (driver, led), end, colour in zip(laps.items(), laps.cumsum(), shades, strict=False):
            ax.barh(place, led, 0.72, end - led, color=colour, edgecolor="white")
            if led > NAMED * laps.sum():
                ink = "white" if colour == BLUE else INK
                ax.text(end - led / 2, place, f"{driver} {led:.0f}", ha="center", va="center", fontsize=9, color=ink)
    ax.set_xlabel("laps led, the most first")
    return ax


def plot_heat(table, label="", pattern="{:.0f}", centre=None, ax=None):
    """Draw a frame as coloured cells with its numbers; around `centre` with two colours when one is given."""
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
        ax.text(j, i, pattern.format(value), ha="center", va="center", fontsize=9, color="white" if dark else INK)
    ax.set_xlabel(label)
    return ax


def plot_differences(table, label="", ax=None):
    """Draw differences with ± 2 standard errors around zero; `table` has difference and se, a row per name."""
    ax = _axes(ax, WIDE, 0.7 + 0.25 * len(table))
    y = _rows(ax, [_words(name) for name in table.index])
    if table.empty:
        return ax
    difference, error = table["difference"].to_numpy(float), table["se"].to_numpy(float)
    clear = np.abs(difference) > 2 * error
    for mask, colour, text in ((clear, BLUE, "beyond two standard errors"), (~clear, GREY, "within two")):
        if mask.any():
            ax.errorbar(difference[mask], y[mask], xerr=2 * error[mask], fmt="o", color=colour, capsize=3, label=text)
    ax.axvline(0, color=INK, linewidth=1)
    ax.set_xlabel(label)
    _legend(ax)
    return ax


def plot_thresholds(table, x="leader_share", y="dropout_share", ax=None):
    """Draw the gain (% of the score) over two thresholds, the others as chosen: plateau outlined, choice framed.

    `table` is the grid of `regimes.TuningResult`, or the one that tuning saved; an empty one draws nothing.
    """
    if table.empty:
        return _axes(ax)
    others = [name for name in ("leader_share", "dropout_share", "cautions", "fuel_miles") if name not in (x, y)]
    chosen = table.loc[table["chosen"].astype(bool), others].iloc[0]
    picked = table[(table[others] == chosen).all(axis=1)]
    gain, plateau, choice = (picked.pivot(index=y, columns=x, values=name) for name in ("skill", "plateau", "chosen"))
    held = ", ".join(f"{_words(name)} {value:g}" for name, value in chosen.items())
    ax = plot_heat(100 * gain.astype(float), f"{_words(x)}; rows: {_words(y)}; {held}", "{:+.1f}", 0.0, ax)
    _frame(ax, plateau, INK, 1.2)
    _frame(ax, choice, BLUE, 3)
    return ax


def _frame(ax, marked, colour, width) -> None:
    """Draw the outline of the marked cells of a heat map: each edge between a marked cell and another one."""
    inside = np.pad(marked.to_numpy(bool), 1)
    for i, j in np.argwhere(inside):
        y, x = i - 1.5, j - 1.5
        for (down, right), line in {
            (-1, 0): ((x, x + 1), (y, y)),
            (1, 0): ((x, x + 1), (y + 1, y + 1)),
            (0, -1): ((x, x), (y, y + 1)),
            (0, 1): ((x + 1, x + 1), (y, y + 1)),
        }.items():
            if not inside[i + down, j + right]:
                ax.plot(*line, color=colour, linewidth=width, solid_capstyle="butt", clip_on=False)


def plot_timeline(past, leader_share=None, ax=None):
    """Draw past races over time by the leader's share of the laps (%), larger the more of the field dropped out.

    `past` has date, leader_share, dropout_share, regime and known (False: hollow, what decides the label was not
    recorded); a line marks the threshold `leader_share`.
    """
    ax = _axes(ax, WIDE, 3.2)
    for (name, races), colour in zip(past.groupby("regime"), COLOURS, strict=False):
        size, known = 8 + 160 * races["dropout_share"].fillna(0), races["known"].astype(bool)
        faces = np.where(known, colour, "none")
        ax.scatter(races["date"], 100 * races["leader_share"], size, faces, edgecolors=colour, label=_words(name))
    if leader_share is not None:
        ax.axhline(100 * leader_share, color=GREY, linewidth=1, linestyle="--")
    ax.set_ylabel("laps led by the leader (%)")
    _dates(ax)
    _legend(ax)
    return ax
