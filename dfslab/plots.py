"""Pictures of the pages: `plot_<noun>(numbers, ax=None) -> Axes`, and the helper that captions them."""

import base64
import html
import io
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Figure:
    """A picture with an alternative text and a caption, as one piece of HTML."""

    png: bytes = field(repr=False)
    alt: str
    caption: str
    width: int

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode()
        return (
            f'<figure><img src="data:image/png;base64,{data}" alt="{html.escape(self.alt)}" width="{self.width}">'
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        )


def show(ax, alt: str, caption: str = "") -> Figure:
    """Return the figure that `ax` lives on, ready to be the last value of a cell, and close it."""
    from matplotlib import pyplot as plt

    figure = ax.figure
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=180, bbox_inches="tight", metadata={"Software": None})
    width = int(figure.get_size_inches()[0] * 100)
    plt.close(figure)
    return Figure(buffer.getvalue(), alt, caption, min(width, 920))


def save(ax, path, dots_per_inch: int = 120) -> None:
    """Write the figure that `ax` lives on to `path` as PNG and close it."""
    from matplotlib import pyplot as plt

    ax.figure.savefig(path, dpi=dots_per_inch, bbox_inches="tight", metadata={"Software": None})
    plt.close(ax.figure)


def _axes(ax, width=9.0, height=4.0):
    if ax is None:
        from matplotlib import pyplot as plt

        ax = plt.subplots(figsize=(width, height))[1]
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="both", color="#e6ebf0", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=9.5)
    return ax


def _rows(ax, names) -> np.ndarray:
    y = np.arange(len(names))
    ax.set_yticks(y, names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    return y


def plot_intervals(names, centre, bands, actual=None, label="", unit="%", ax=None):
    """Draw a point per name with nested bands; `bands` is a list of (low, high, name), widest first; (D,) each."""
    ax = _axes(ax, 9, 0.8 + 0.24 * len(names))
    y = _rows(ax, names)
    for width, shade, (low, high, name) in zip((3, 6, 9), ("#c6dbec", "#8dbbdb", BLUE), bands, strict=False):
        ax.hlines(y, low, high, color=shade, linewidth=width, label=name)
    ax.plot(centre, y, "o", color="white", markeredgecolor="#1c2733", markersize=5, label="forecast")
    if actual is not None:
        ax.plot(actual, y, "D", color=RED, markersize=5, label="actual")
    ax.set_xlabel(f"{label} ({unit})")
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    return ax


def plot_dots(names, series, label="", ax=None):
    """Draw several values per name; `series` maps a label to values (D,)."""
    ax = _axes(ax, 9, 0.8 + 0.26 * len(names))
    y = _rows(ax, names)
    values = np.array(list(series.values()), float)
    ax.hlines(y, np.nanmin(values, 0), np.nanmax(values, 0), color="#d5dde5", linewidth=2)
    for (name, x), colour, marker in zip(series.items(), COLOURS, MARKERS, strict=False):
        ax.plot(x, y, marker, color=colour, markersize=6, label=name)
    ax.set_xlabel(label)
    ax.legend(frameon=False, fontsize=9, loc="best")
    return ax


def plot_reliability(forecast, fact, error=None, label="ownership (%)", ax=None):
    """Draw mean fact against mean forecast by bin with ± 2 standard errors; the diagonal is perfect."""
    ax = _axes(ax, 5.2, 4.8)
    top = 1.08 * max([1.0, *forecast, *fact])
    ax.plot([0, top], [0, top], color=GREY, linewidth=1, linestyle="--", label="perfect")
    bars = None if error is None else 2 * np.asarray(error)
    ax.errorbar(forecast, fact, yerr=bars, fmt="o-", color=BLUE, capsize=3, label="bins, ± 2 se")
    ax.set(xlabel=f"forecast {label}", ylabel=f"actual {label}", xlim=(0, top), ylim=(0, top))
    ax.legend(frameon=False, fontsize=9)
    return ax


def plot_lines(x, series, xlabel="", ylabel="", errors=None, ax=None):
    """Draw lines over `x`; `series` maps a label to values, `errors` a label to standard errors (drawn ± 2)."""
    ax = _axes(ax, 9, 3.6)
    for (name, y), colour, marker in zip(series.items(), COLOURS, MARKERS, strict=False):
        ax.plot(x, y, marker=marker, markersize=4, color=colour, label=name)
        if errors and name in errors:
            low, high = np.asarray(y) - 2 * np.asarray(errors[name]), np.asarray(y) + 2 * np.asarray(errors[name])
            ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if series:
        ax.legend(frameon=False, fontsize=9)
    return ax


def plot_bars(names, series, ylabel="", errors=None, ax=None):
    """Draw grouped bars; `series` maps a label to values by name, `errors` a label to ± values."""
    ax = _axes(ax, 7.5, 3.4)
    x, width = np.arange(len(names)), 0.8 / len(series)
    for k, ((name, y), colour) in enumerate(zip(series.items(), (BLUE, "#b7c4d1", ORANGE, GREEN), strict=False)):
        bar = None if not errors or name not in errors else errors[name]
        ax.bar(x + (k - (len(series) - 1) / 2) * width, y, width * 0.92, color=colour, label=name, yerr=bar, capsize=3)
    ax.set_xticks(x, names)
    ax.grid(axis="x", visible=False)
    ax.set_ylabel(ylabel)
    ax.legend(frameon=False, fontsize=9)
    return ax


def plot_heat(rows, columns, values, label="", pattern="{:.0f}", centre=None, ax=None):
    """Draw a matrix as coloured cells with its numbers; around `centre` with two colours when one is given."""
    ax = _axes(ax, 2.6 + 1.05 * len(columns), 1.0 + 0.26 * len(rows))
    values = np.asarray(values, float)
    spread = np.nanmax(np.abs(values - centre)) if centre is not None else 1.0
    limits = {} if centre is None else {"vmin": centre - spread, "vmax": centre + spread}
    image = ax.imshow(values, aspect="auto", cmap="Blues" if centre is None else "PuOr_r", **limits)
    ax.set_xticks(range(len(columns)), columns)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(visible=False)
    for (i, j), value in np.ndenumerate(values):
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
        ax.text(j, i, pattern.format(value), ha="center", va="center", fontsize=9, color="white" if dark else "#1c2733")
    ax.set_xlabel(label)
    return ax


def plot_quantiles(names, quantiles, marks=None, label="", ax=None):
    """Draw 5–95 % and 25–75 % ranges with the median; `quantiles` is (D, 5); `marks` (D,) adds a reference."""
    ax = _axes(ax, 9, 0.8 + 0.25 * len(names))
    y, q = _rows(ax, names), np.asarray(quantiles, float)
    ax.hlines(y, q[:, 0], q[:, 4], color="#c6dbec", linewidth=4, label="5–95 %")
    ax.hlines(y, q[:, 1], q[:, 3], color=BLUE, linewidth=7, label="25–75 %")
    ax.plot(q[:, 2], y, "|", color="white", markersize=9, markeredgewidth=2)
    if marks is not None:
        ax.plot(marks, y, "D", color=RED, markersize=5, label="reference")
    ax.set_xlabel(label)
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    return ax


def plot_exposure(names, exposure, ownership, ax=None):
    """Draw our exposure against the field's ownership per driver, both in percent, (D,)."""
    ax = _axes(ax, 9, 0.8 + 0.25 * len(names))
    y = _rows(ax, names)
    over = np.asarray(exposure) >= np.asarray(ownership)
    ax.hlines(y, ownership, exposure, color=np.where(over, "#8dbbdb", "#f3c9a5"), linewidth=4)
    ax.plot(ownership, y, "o", color=GREY, markersize=6, label="the field")
    ax.plot(exposure, y, "D", color=BLUE, markersize=6, label="our lineups")
    ax.set_xlabel("share of lineups that hold the driver (%)")
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    return ax


def plot_profit(profit, weight=None, ax=None):
    """Draw the chance to end above each profit (dollars, losses left of 0): P(profit ≥ x), (S,)."""
    ax = _axes(ax, 8, 3.4)
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
    """Draw expected payout per lineup (dollars, ± 2 se) over the leverage penalty, and mean ownership beside it."""
    ax = _axes(ax, 8, 3.6)
    ax.errorbar(penalty, value, yerr=2 * np.asarray(error), fmt="o-", color=BLUE, capsize=3)
    ax.set(xlabel="leverage penalty λ (points per squared ownership)")
    ax.set_ylabel("expected payout per lineup, dollars", color=BLUE)
    twin = ax.twinx()
    twin.plot(penalty, ownership, "s--", color=ORANGE)
    twin.set_ylabel("mean ownership of its drivers (%)", color="#9a6a00")
    twin.spines[["top"]].set_visible(False)
    return ax


def plot_differences(names, difference, error, label="", ax=None):
    """Draw differences with ± 2 standard errors around zero, one row per name."""
    ax = _axes(ax, 8, 0.9 + 0.4 * len(names))
    y = _rows(ax, names)
    clear = np.abs(difference) > 2 * np.asarray(error)
    for mask, colour, text in ((clear, BLUE, "beyond two standard errors"), (~clear, GREY, "within two")):
        if mask.any():
            d, e = np.asarray(difference)[mask], 2 * np.asarray(error)[mask]
            ax.errorbar(d, y[mask], xerr=e, fmt="o", color=colour, capsize=3, label=text)
    ax.axvline(0, color="#1c2733", linewidth=1)
    ax.set_xlabel(label)
    ax.legend(frameon=False, fontsize=9)
    return ax
