"""Pictures of the pages: `plot_<noun>(numbers, ax=None) -> Axes`, and the helper that captions them."""

import base64
import html
import io
from dataclasses import dataclass, field
from datetime import date

import numpy as np

__all__ = [
    "Figure",
    "plot_bars",
    "plot_differences",
    "plot_dots",
    "plot_exposure",
    "plot_frontier",
    "plot_heat",
    "plot_intervals",
    "plot_lines",
    "plot_profit",
    "plot_quantiles",
    "plot_reliability",
    "save",
    "show",
]

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
WIDE, COLUMN = 7.2, 920
"""Inches of a picture as wide as the page's column, and the column's pixels: type stays readable on a phone."""


@dataclass(frozen=True)
class Figure:
    """A picture with an alternative text and a caption, as one piece of HTML."""

    png: bytes = field(repr=False)
    alt: str
    caption: str
    width: int

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode()
        kind = "" if self.width > COLUMN * 0.75 else ' class="narrow"'
        return (
            f'<figure{kind}><img src="data:image/png;base64,{data}" alt="{html.escape(self.alt)}" width="{self.width}">'
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        )


def show(ax, alt: str, caption: str = "") -> Figure:
    """Return the figure that `ax` lives on, ready to be the last value of a cell, and close it."""
    from matplotlib import pyplot as plt

    figure = ax.figure
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
    width = round(figure.get_size_inches()[0] / WIDE * COLUMN)
    plt.close(figure)
    return Figure(buffer.getvalue(), alt, caption, min(width, COLUMN))


def save(ax, path, dots_per_inch: int = 120) -> None:
    """Write the figure that `ax` lives on to `path` as PNG and close it."""
    from matplotlib import pyplot as plt

    ax.figure.savefig(path, dpi=dots_per_inch, metadata={"Software": None})
    plt.close(ax.figure)


def _axes(ax, width=WIDE, height=3.6):
    if ax is None:
        from matplotlib import pyplot as plt

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
    """Put the legend in one line above the picture, where it covers nothing; say so when nothing was drawn."""
    if not ax.get_legend_handles_labels()[0]:
        ax.text(0.5, 0.5, "not enough past to draw", transform=ax.transAxes, ha="center", va="center", color=GREY)
        return
    ax.legend(
        frameon=False, fontsize=9, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3,
        handletextpad=0.5, columnspacing=1.6,
    )  # fmt: skip


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


def plot_intervals(names, centre, bands, actual=None, label="", unit="%", ax=None):
    """Draw a point per name with nested bands; `bands` is a list of (low, high, name), widest first; (D,) each."""
    ax = _axes(ax, WIDE, 0.7 + 0.205 * len(names))
    y = _rows(ax, names)
    for width, shade, (low, high, name) in zip((3, 6, 9), ("#c6dbec", "#8dbbdb", BLUE), bands, strict=False):
        ax.hlines(y, low, high, color=shade, linewidth=width, label=name)
    ax.plot(centre, y, "o", color="white", markeredgecolor=INK, markersize=5, label="forecast, at the right")
    if actual is not None:
        ax.plot(actual, y, "D", color=RED, markeredgecolor="white", markersize=6, label="actual")
    ax.set_xlabel(f"{label} ({unit})")
    ax.set_xlim(left=0)
    _beside(ax, y, [f"{value:.0f}" for value in centre])
    _legend(ax)
    return ax


def plot_dots(names, series, label="", ax=None):
    """Draw several values per name; `series` maps a label to values (D,)."""
    ax = _axes(ax, WIDE, 0.7 + 0.225 * len(names))
    y = _rows(ax, names)
    values = np.array(list(series.values()), float)
    ax.hlines(y, np.nanmin(values, 0), np.nanmax(values, 0), color="#d5dde5", linewidth=2)
    for (name, x), colour, marker in zip(series.items(), COLOURS, MARKERS, strict=False):
        ax.plot(x, y, marker, color=colour, markersize=6, label=name)
    ax.set_xlabel(label)
    _legend(ax)
    return ax


def plot_reliability(forecast, fact, error=None, label="ownership (%)", ax=None):
    """Draw mean fact against mean forecast by bin with ± 2 standard errors; the diagonal is perfect."""
    ax = _axes(ax, 4.3, 4.0)
    top = 1.08 * max([1.0, *forecast, *fact])
    ax.plot([0, top], [0, top], color=GREY, linewidth=1, linestyle="--", label="perfect")
    bars = None if error is None else 2 * np.asarray(error)
    ax.errorbar(forecast, fact, yerr=bars, fmt="o-", color=BLUE, capsize=3, label="bins, ± 2 se")
    ax.set(xlabel=f"forecast {label}", ylabel=f"actual {label}", xlim=(0, top), ylim=(0, top))
    _legend(ax)
    return ax


def plot_lines(x, series, xlabel="", ylabel="", errors=None, ax=None):
    """Draw lines over `x`; `series` maps a label to values, `errors` a label to standard errors (drawn ± 2)."""
    ax = _axes(ax, WIDE, 3.0)
    for (name, y), colour, marker in zip(series.items(), COLOURS, MARKERS, strict=False):
        ax.plot(x, y, marker=marker, markersize=4.5, linewidth=1.2, color=colour, label=name)
        if errors and name in errors:
            low, high = np.asarray(y) - 2 * np.asarray(errors[name]), np.asarray(y) + 2 * np.asarray(errors[name])
            ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if series:
        _legend(ax)
    if len(x) and isinstance(x[0], date):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        ax.xaxis.set_major_formatter(ConciseDateFormatter(AutoDateLocator()))
        ax.xaxis.get_offset_text().set_size(9)
    return ax


def plot_bars(names, series, ylabel="", errors=None, ax=None):
    """Draw grouped bars with their values; `series` maps a label to values by name, `errors` a label to ± values."""
    ax = _axes(ax, WIDE, 2.8)
    x, width = np.arange(len(names)), 0.8 / max(len(series), 1)
    for k, ((name, y), colour) in enumerate(zip(series.items(), (BLUE, "#b7c4d1", ORANGE, GREEN), strict=False)):
        bar = None if not errors or name not in errors else errors[name]
        place = x + (k - (len(series) - 1) / 2) * width
        bars = ax.bar(place, y, width * 0.94, color=colour, label=name, yerr=bar, capsize=3)
        ax.bar_label(bars, fmt="%.0f", fontsize=9, padding=2, color=INK)
    ax.set_xticks(x, names)
    ax.margins(y=0.12)
    ax.grid(axis="x", visible=False)
    ax.set_ylabel(ylabel)
    _legend(ax)
    return ax


def plot_heat(rows, columns, values, label="", pattern="{:.0f}", centre=None, ax=None):
    """Draw a matrix as coloured cells with its numbers; around `centre` with two colours when one is given."""
    ax = _axes(ax, min(WIDE, 2.6 + 1.3 * len(columns)), 0.9 + 0.24 * len(rows))
    values = np.asarray(values, float)
    spread = np.nanmax(np.abs(values - centre)) if centre is not None else 1.0
    limits = {} if centre is None else {"vmin": centre - spread, "vmax": centre + spread}
    image = ax.imshow(values, aspect="auto", cmap="Blues" if centre is None else "PuOr_r", **limits)
    ax.set_xticks(range(len(columns)), columns)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    for (i, j), value in np.ndenumerate(values):
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
        ax.text(j, i, pattern.format(value), ha="center", va="center", fontsize=9, color="white" if dark else INK)
    ax.set_xlabel(label)
    return ax


def plot_quantiles(names, quantiles, marks=None, label="", ax=None):
    """Draw 5–95 % and 25–75 % ranges with the median; `quantiles` is (D, 5); `marks` (D,) adds a reference."""
    ax = _axes(ax, WIDE, 0.7 + 0.205 * len(names))
    y, q = _rows(ax, names), np.asarray(quantiles, float)
    ax.hlines(y, q[:, 0], q[:, 4], color="#c6dbec", linewidth=4, label="5–95 %")
    ax.hlines(y, q[:, 1], q[:, 3], color=BLUE, linewidth=7, label="25–75 %")
    ax.plot(q[:, 2], y, "|", color="white", markersize=9, markeredgewidth=2)
    if marks is not None:
        ax.plot(marks, y, "D", color=RED, markersize=5, label="reference")
    ax.set_xlabel(label)
    _beside(ax, y, [f"{value:.0f}" for value in q[:, 2]])
    _legend(ax)
    return ax


def plot_exposure(names, exposure, ownership, ax=None):
    """Draw our exposure against the field's ownership per driver, both in percent, (D,)."""
    ax = _axes(ax, WIDE, 0.7 + 0.205 * len(names))
    y = _rows(ax, names)
    over = np.asarray(exposure) >= np.asarray(ownership)
    ax.hlines(y, ownership, exposure, color=np.where(over, "#8dbbdb", "#f3c9a5"), linewidth=4)
    ax.plot(ownership, y, "o", color=GREY, markersize=6, label="the field")
    ax.plot(exposure, y, "D", color=BLUE, markersize=6, label="our lineups")
    ax.set_xlabel("share of lineups that hold the driver (%)")
    ax.set_xlim(left=-1)
    _legend(ax)
    return ax


def plot_profit(profit, weight=None, ax=None):
    """Draw the chance to end above each profit (dollars, losses left of 0): P(profit ≥ x), (S,)."""
    ax = _axes(ax, WIDE, 3.0)
    order = np.argsort(profit)
    share = np.full(len(profit), 1 / len(profit)) if weight is None else np.asarray(weight)[order]
    above = 1 - np.cumsum(share) + share
    ax.step(np.asarray(profit)[order], 100 * above, where="pre", color=BLUE, linewidth=2)
    ax.axvline(0, color=GREY, linewidth=1, linestyle="--")
    edge = max(1.0, float(np.abs(np.min(profit))))
    ax.set_xscale("symlog", linthresh=edge, linscale=0.6)
    decades = [edge * 10.0**k for k in range(1, 8) if edge * 10.0**k < np.max(profit)]
    ax.set_xticks([-edge, 0.0, edge, *decades], [f"{x:,.0f}" for x in (-edge, 0.0, edge, *decades)])
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel="profit, dollars", ylabel="chance of at least that (%)")
    return ax


def plot_frontier(penalty, value, error, ownership, ax=None):
    """Draw expected payout per lineup (dollars, ± 2 se) over the leverage penalty, mean ownership below each."""
    ax = _axes(ax, WIDE, 2.8)
    ax.errorbar(penalty, value, yerr=2 * np.asarray(error), fmt="o-", color=BLUE, capsize=3)
    ax.set_xticks(penalty, [f"{x:g}\n{own:.0f} %" for x, own in zip(penalty, ownership, strict=True)])
    ax.set(xlabel="leverage penalty λ, and below it the mean ownership of the drivers chosen")
    ax.set_ylabel("expected payout per lineup, dollars")
    return ax


def plot_differences(names, difference, error, label="", ax=None):
    """Draw differences with ± 2 standard errors around zero, one row per name."""
    ax = _axes(ax, WIDE, 0.7 + 0.25 * len(names))
    y = _rows(ax, names)
    clear = np.abs(difference) > 2 * np.asarray(error)
    for mask, colour, text in ((clear, BLUE, "beyond two standard errors"), (~clear, GREY, "within two")):
        if mask.any():
            d, e = np.asarray(difference)[mask], 2 * np.asarray(error)[mask]
            ax.errorbar(d, y[mask], xerr=e, fmt="o", color=colour, capsize=3, label=text)
    ax.axvline(0, color=INK, linewidth=1)
    ax.set_xlabel(label)
    _legend(ax)
    return ax
