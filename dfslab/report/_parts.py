"""How a page shows things: tables, key figures, notes, pictures, and checks that raise.

A frame is in the package's units (fractions, dollars, points). What a column is, and so how it reads, stands in one
registry, `columns.csv`: its kind, its decimals, its label. A column `x_se` is the standard error of `x` and stands
behind it; `low_80` and `high_80` become one column, the 80 % band.
"""

import base64
import csv
import functools
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

TEMPLATES = Path(__file__).parent / "templates"
WIDE, LONG = 5, 40
"""Tables of so many columns take the whole width; columns with a text of so many letters get room."""
PAGE_INCHES, PAGE_PIXELS = 7.2, 920
"""A picture as wide as the page's column, in inches and pixels: type stays readable on a phone."""


@dataclass(frozen=True)
class Part:
    """A piece of a page, shown by notebooks as HTML."""

    markup: str = field(repr=False)
    text: str = ""
    """What it says where there is no HTML."""

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.text


@functools.cache
def _macros():
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
    script = (TEMPLATES / "parts.js").read_text("utf-8")
    environment.globals |= {"style": Markup(part_style())}
    environment.globals |= {"script": Markup(script)}
    return environment.get_template("parts.html.j2").module


@functools.cache
def part_style() -> str:
    """Return how the parts look; each carries it, so that a notebook in JupyterLab looks as the page does."""
    return f"<style>{(TEMPLATES / 'parts.css').read_text('utf-8')}</style>"


# ------------------------------------------------------------ columns and their values


ROUNDED = 1e-12
"""Less than this is what rounding leaves of 0."""
SIGNED = ("difference", "share_error", "points_error", "leverage", "roi", "calibrated_roi", "log_odds")
"""Columns whose plus sign is shown."""
MARKED = ("holds", "inside", "clear")
"""Columns of yes and no that are marked as good and bad."""


@dataclass(frozen=True)
class Column:
    """How a column reads; `kind` is percent, dollars, date, name, word, number or, of no known column, empty."""

    name: str = ""
    kind: str = ""
    digits: int | None = None
    label: str = ""

    def scale(self, values):
        """Return values in the unit of the label."""
        return 100 * values if self.kind == "percent" else values

    def write(self, value, error=None) -> tuple[str, str]:
        """Return a value and its standard error as text; a missing value is an en dash, a missing error nothing."""
        if pd.api.types.is_scalar(value) and pd.isna(value):
            return "–", ""
        if self.kind == "date" or isinstance(value, pd.Timestamp):
            return f"{pd.Timestamp(value):%Y-%m-%d}", ""
        if isinstance(value, bool | np.bool_):
            return "yes" if value else "no", ""
        if self.kind == "name" or not isinstance(value, int | float | np.number):
            return (str(value).replace("_", " ") if self.kind == "word" else str(value)), ""
        error = None if error is None or pd.isna(error) else error
        digits = self.digits
        if not self.kind and error and error < np.inf:  # two digits of the error
            digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 4))
        sign = "+" if self.name in SIGNED else ""
        return self._number(value, digits, sign), "" if error is None else self._number(error, digits)

    def _number(self, value, digits: int | None, sign: str = "") -> str:
        value = 0.0 if 0 < abs(value) < ROUNDED else self.scale(value)
        if digits is None and not isinstance(value, int | np.integer):
            form = ".3g" if abs(value) < 100 else ".0f"
        else:
            form = "" if digits is None else f".{digits}f"
        text = f"{value:{sign}{'z' * bool(form)},{form}}".replace("-", "−")
        return re.sub(r"^([+−]?)", r"\1$", text) if self.kind == "dollars" else text


@functools.cache
def _registry() -> dict[str, dict]:
    with (Path(__file__).parent / "columns.csv").open(encoding="utf-8") as file:
        return {row["column"]: row for row in csv.DictReader(file)}


def column(name, values=(), error=None, like=None) -> Column:
    """Return how a column reads, `like` another of the registry; cents are shown where values or errors are small."""
    known, own = (_registry().get(key, {}) for key in (like or name, name))
    kind, label = known.get("kind", ""), own.get("label", str(name).replace("_", " "))
    digits = int(known["digits"]) if known.get("digits") else None
    if digits is None and kind == "dollars":
        size = np.nanmax(np.abs(np.asarray(values if error is None else error, float)), initial=0)
        digits = 2 if size < (100 if error is None else 2) else 0
    return Column(name, kind, digits, label + " %" * (kind == "percent" and not re.search("%|, points", label)))


# ------------------------------------------------------------ the parts


def table(
    frame: pd.DataFrame | pd.Series | None,
    caption: str = "",
    *,
    fold: str = "",
    bars=(),
    search: bool = False,
    shown: int | None = None,
    units: dict | None = None,
) -> Part:
    """Show a frame with a caption below; wide tables scroll in their own box; an empty frame, or None, shows nothing.

    Parameters
    ----------
    frame : in the package's units; a Series becomes two columns, an index with a name the first
    fold : the line below which the table is closed until it is opened
    bars : columns with a bar behind the number, as long as its share of the column's largest
    search : sort by a click on a header, keep rows by typing a name (−name drops them); works offline
    shown : rows shown before one asks for all (with `search`)
    units : column → column of the registry that it reads like
    """
    if frame is None or not len(frame):
        return Part("")
    named = isinstance(frame, pd.Series) or any(frame.index.names)
    frame = _banded(frame.reset_index() if named else frame)
    units, errors = units or {}, {n: e for n in frame for e in (f"{n}_se", f"± {n}") if e in frame}
    names = [name for name in frame if name not in errors.values()]
    head, cells = zip(*(_drawn(frame, n, errors.get(n), units.get(n), n in bars) for n in names), strict=True)
    rows = list(zip(*cells, strict=True))
    markup = _macros().table(head, rows, caption, fold, len(names) >= WIDE, search, shown)
    texts = [[f"{cell['text']} ± {cell['error']}".removesuffix(" ± ") for cell in row] for row in rows]
    text = pd.DataFrame(texts, columns=[label for label, _ in head]).to_string(index=False)
    return Part(str(markup), f"{caption}\n{text}" if caption else text)


def _banded(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with columns low_x and high_x, fractions, as one text column, `x % band`."""
    for low in [name for name in frame if str(name).startswith("low_") and f"high_{str(name)[4:]}" in frame]:
        level = low[4:]
        text = [f"{100 * a:.0f} – {100 * b:.0f}" for a, b in zip(frame[low], frame[f"high_{level}"], strict=True)]
        frame = frame.assign(**{low: text}).rename(columns={low: f"{level} % band"}).drop(columns=f"high_{level}")
    return frame


def _drawn(frame, name, error_name, like, bars: bool) -> tuple[tuple, list[dict]]:
    """Return the head of a column and its cells as the template takes them."""
    values, errors = frame[name], frame.get(error_name, [None] * len(frame))
    how, cells = column(name, values, frame.get(error_name), like), []
    numeric = pd.api.types.is_numeric_dtype(values) and values.dtype != bool
    longest = np.nanmax(np.abs(values.to_numpy(float)), initial=0) or 1.0 if bars else None
    for value, error in zip(values, errors, strict=True):
        (text, error), known = how.write(value, error), numeric and not pd.isna(value)
        marked = {"ok": text == "yes", "bad": text == "no"} if name in MARKED else {}
        looks = {"num": numeric, "bar": bars and known, "long": len(text) > LONG, "date": how.kind == "date"} | marked
        bar = round(100 * abs(value) / longest) if bars and known else None
        order = float(f"{value:.9g}") if known else None
        classes = " ".join(look for look, here in looks.items() if here)
        cells.append({"text": text, "error": error, "classes": classes, "bar": bar, "order": order})
    return (how.label, "num" if numeric else ""), cells


def stats(figures, units: str = "") -> Part:
    """Show key figures as cards: a Series by the registry's names (`x_se` beside `x`), or (value, text) pairs.

    `units` is the registry's column that all values read like, where the names are not of the registry (drivers).
    None shows nothing.
    """
    if figures is None:
        return Part("")
    if isinstance(figures, pd.Series):
        figures = [_card(name, figures, units) for name in figures.index if not str(name).endswith("_se")]
    cards = [(_minus(value), _minus(text)) for value, text in figures]
    return Part(str(_macros().stats(cards)), "; ".join(f"{value} {text}" for value, text in cards))


def _minus(text) -> str:
    """Return a sentence with true minus signs before its numbers; names, dates and ranges stay."""
    return re.sub(r"(?<![\w$−-])-(?=[$]?\d)", "−", str(text))


def _card(name, figures: pd.Series, units: str) -> tuple[str, str]:
    value, error = figures[name], figures.get(f"{name}_se")
    how = column(name, [value], None if error is None else [error], units)
    text = f"{' ± '.join(filter(None, how.write(value, error)))}{' %' * (how.kind == 'percent')}"
    return text, how.label.removesuffix(" %")


def notes(sentences, fold: str = "") -> Part:
    """Show sentences the reader must not miss (assumptions made, drivers out, names unmatched); closed with `fold`."""
    sentences = [_minus(sentence) for sentence in sentences]
    if not sentences:
        return Part("")
    return Part(str(_macros().notes(sentences, fold)), "\n".join(sentences))


def figure(ax, alt: str, caption: str = "") -> Part:
    """Show the picture that `ax` lives on with an alternative text and a caption, and close it; nothing when empty."""
    from matplotlib import pyplot as plt

    if ax is None:
        return Part("")
    if not ax.has_data():
        plt.close(ax.figure)
        return Part("")
    width = min(PAGE_PIXELS, round(ax.figure.get_size_inches()[0] / PAGE_INCHES * PAGE_PIXELS))
    source = f"data:image/png;base64,{base64.b64encode(png(ax)).decode()}"
    return Part(str(_macros().figure(source, alt, caption, width, width <= PAGE_PIXELS * 0.75)), f"{alt}\n{caption}")


def png(ax, dots_per_inch: int = 200) -> bytes:
    """Return the figure that `ax` lives on as PNG, the same bytes for the same picture, and close it."""
    from matplotlib import pyplot as plt

    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png", dpi=dots_per_inch, metadata={"Software": None})
    plt.close(ax.figure)
    return buffer.getvalue()


# ------------------------------------------------------------ checks


class CheckFailed(AssertionError):
    """A number on the page is not what it must be."""


ROUNDING = 1e-6
"""What a sum of floats may miss its bound by."""


def checks(rules: dict | pd.DataFrame) -> Part:
    """Show what was checked on this page's own numbers; raise `CheckFailed` naming every line that does not hold.

    Parameters
    ----------
    rules : check → (value, low, high), bounds included, or a portfolio's audit (rule, found, limit, holds)
    """
    limit = "must be" if isinstance(rules, dict) else "limit"
    if isinstance(rules, dict):
        near = {name: low - ROUNDING <= x <= high + ROUNDING for name, (x, low, high) in rules.items()}
        lines = [(name, x, _bounds(low, high), near[name]) for name, (x, low, high) in rules.items()]
        rules = pd.DataFrame(lines, columns=["rule", "found", "limit", "holds"])
    shown = rules.rename(columns={"rule": "check", "found": "value", "limit": limit})
    shown = shown.assign(**{name: [_short(x) for x in shown[name]] for name in ("value", limit)})
    part = table(shown, "Checks made on this page's own numbers; one that fails stops the report.")
    failed = shown[~shown["holds"].astype(bool)]
    if len(failed):
        from IPython.display import display

        display(part)
        lines = [f"{line['check']}: {line['value']}, {limit} {line[limit]}" for line in failed.to_dict("records")]
        raise CheckFailed("; ".join(lines))
    return part


def _bounds(low: float, high: float) -> str:
    if low == high:
        return _short(low)
    if np.isinf(high):
        return f"≥ {_short(low)}"
    return f"≤ {_short(high)}" if np.isinf(low) else f"{_short(low)} … {_short(high)}"


def _short(value) -> str:
    if isinstance(value, str):
        return value
    return "0" if abs(value) < ROUNDING else f"{value:,.6g}".replace("-", "−")
