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


@dataclass(frozen=True)
class _Column:
    """How a column reads."""

    kind: str = ""
    digits: int | None = None
    label: str = ""

    def scale(self, values):
        return 100 * values if self.kind == "percent" else values

    def write(self, value, digits: int | None = None, signed: bool = False) -> str:
        """Return a value as text; missing values are an en dash."""
        if value is None or (np.isscalar(value) and pd.isna(value)):
            return "–"
        if self.kind == "date" or isinstance(value, pd.Timestamp):
            return f"{pd.Timestamp(value):%Y-%m-%d}"
        if isinstance(value, bool | np.bool_):
            return "yes" if value else "no"
        if self.kind == "name" or not isinstance(value, int | float | np.number):
            return str(value)
        digits = self.digits if digits is None else digits
        text = _number(self.scale(value), digits, signed)
        if self.kind == "dollars":
            text = f"${text}".replace("$−", "−$").replace("$+", "+$")
        return text


def _number(value, digits: int | None, signed: bool = False) -> str:
    """Return a number as people read it, with a true minus; without `digits` three that count."""
    sign = "+" if signed else ""
    if digits is not None:
        text = f"{value:{sign},.{digits}f}"
    elif isinstance(value, int | np.integer):
        text = f"{value:{sign},}"
    else:
        text = f"{value:{sign},.3g}" if abs(value) < 100 else f"{value:{sign},.0f}"
    return text.replace("-", "−")


@functools.cache
def _registry() -> dict[str, _Column]:
    with (Path(__file__).parent / "columns.csv").open(encoding="utf-8") as file:
        return {
            row["column"]: _Column(row["kind"], int(row["digits"]) if row["digits"] else None, row["label"])
            for row in csv.DictReader(file)
        }


SIGNED = ("difference", "share_error", "points_error", "leverage", "roi", "calibrated_roi", "log_odds")
"""Columns whose plus sign is shown."""


def _column(name, values, error, units) -> _Column:
    """Return how a column reads, decimals chosen by its standard errors where the registry leaves them open."""
    known = _registry().get(units.get(name, name), _Column())
    label = _registry()[name].label if name in _registry() else str(name).replace("_", " ")
    unit = " %" if known.kind == "percent" and "%" not in label else ""
    digits = known.digits
    if digits is None and known.kind == "dollars":
        size = np.nanmax(np.abs(np.asarray(values if error is None else error, float)), initial=0)
        digits = 2 if size < (100 if error is None else 2) else 0
    return _Column(known.kind, digits, label + unit)


def _digits(column: _Column, error) -> int | None:
    """Return decimals that show two digits of the standard error, where the registry does not know the column."""
    if column.kind or error is None or pd.isna(error) or not 0 < error < np.inf:
        return column.digits
    return int(np.clip(1 - np.floor(np.log10(error)), 0, 4))


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
    frame : in the package's units; a Series becomes two columns
    fold : the line below which the table is closed until it is opened
    bars : columns with a bar behind the number, as long as its share of the column's largest
    search : sort by a click on a header, keep rows by typing a name (−name drops them); works offline
    shown : rows shown before one asks for all (with `search`)
    units : column → column of the registry that it reads like
    """
    if frame is None or not len(frame):
        return Part("")
    frame = _banded(frame.reset_index() if isinstance(frame, pd.Series) else frame)
    units = units or {}
    errors = {n: e for n in frame for e in (f"{n}_se", f"± {n}") if e in frame}
    names = [name for name in frame if name not in errors.values()]
    columns = {n: _column(n, frame[n], frame[errors[n]] if n in errors else None, units) for n in names}
    numeric = {name: pd.api.types.is_numeric_dtype(frame[name]) and frame[name].dtype != bool for name in names}
    head = [(columns[name].label, "num" if numeric[name] else "") for name in names]
    rows = [
        [_cell(row[n], row.get(errors.get(n)), n, columns[n], numeric[n], _longest(frame, n, bars)) for n in names]
        for row in frame.to_dict("records")
    ]
    markup = _macros().table(head, rows, caption, fold, len(names) >= WIDE, search, shown)
    return Part(str(markup), _text(head, rows, caption))


def _text(head, rows, caption: str) -> str:
    """Return the table as plain text, for terminals."""
    lines = [[cell["text"] + (f" ± {cell['error']}" if cell["error"] else "") for cell in row] for row in rows]
    frame = pd.DataFrame(lines, columns=[text for text, _ in head])
    return f"{caption}\n{frame.to_string(index=False)}" if caption else frame.to_string(index=False)


def _banded(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with columns low_x and high_x, fractions, as one text column, `x % band`."""
    for low in [name for name in frame if str(name).startswith("low_") and f"high_{str(name)[4:]}" in frame]:
        level = low[4:]
        text = [f"{100 * a:.0f} – {100 * b:.0f}" for a, b in zip(frame[low], frame[f"high_{level}"], strict=True)]
        frame = frame.assign(**{low: text}).rename(columns={low: f"{level} % band"}).drop(columns=f"high_{level}")
    return frame


def _longest(frame, name, bars) -> float | None:
    return (np.nanmax(np.abs(frame[name].to_numpy(float)), initial=0) or 1.0) if name in bars else None


def _cell(value, error, name, column: _Column, numeric: bool, longest: float | None) -> dict:
    signed, digits = name in SIGNED, _digits(column, error)
    text = column.write(value, digits, signed)
    shown = "" if error is None or pd.isna(error) else column.write(error, digits)
    mark = {"yes": "ok", "no": "bad"}.get(text) if name in ("holds", "inside", "clear") else None
    bar = None if longest is None or pd.isna(value) else round(100 * abs(value) / longest)
    classes = ["num"] * numeric + ["bar"] * (bar is not None) + [mark] * bool(mark) + ["long"] * (len(text) > LONG)
    order = float(value) if numeric and not pd.isna(value) else None
    return {"text": text, "error": shown, "classes": " ".join(classes), "bar": bar, "order": order}


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


def _card(name, figures: pd.Series, units: str = "") -> tuple[str, str]:
    value, error = figures[name], figures.get(f"{name}_se")
    column = _column(name, [value], None if error is None else [error], {name: units or name})
    digits = _digits(column, error)
    text = column.write(value, digits, name in SIGNED)
    if error is not None and not pd.isna(error):
        text += f" ± {column.write(error, digits)}"
    return text + (" %" if column.kind == "percent" else ""), column.label.removesuffix(" %")


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
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
    width = min(PAGE_PIXELS, round(ax.figure.get_size_inches()[0] / PAGE_INCHES * PAGE_PIXELS))
    plt.close(ax.figure)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Part(str(_macros().figure(source, alt, caption, width, width <= PAGE_PIXELS * 0.75)), f"{alt}\n{caption}")


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
    if isinstance(rules, pd.DataFrame):
        shown = rules.rename(columns={"rule": "check", "found": "value", "limit": "must be"})
        shown = shown.assign(**{name: [_number(x, None) for x in shown[name]] for name in ("value", "must be")})
    else:
        lines = [(name, *(float(number) for number in line)) for name, line in rules.items()]
        shown = pd.DataFrame(
            {
                "check": [line[0] for line in lines],
                "value": [f"{line[1]:,.6g}" for line in lines],
                "must be": [_bounds(low, high) for _, _, low, high in lines],
                "holds": [low - ROUNDING <= value <= high + ROUNDING for _, value, low, high in lines],
            }
        )
    part = table(shown, "Checks made on this page's own numbers; one that fails stops the report.")
    failed = shown[~shown["holds"].astype(bool)]
    if len(failed):
        from IPython.display import display

        display(part)
        lines = [f"{line['check']}: {line['value']}, must be {line['must be']}" for line in failed.to_dict("records")]
        raise CheckFailed("; ".join(lines))
    return part


def _bounds(low: float, high: float) -> str:
    texts = f"{low:,.6g}", f"{high:,.6g}"
    if low == high:
        return texts[0]
    if np.isinf(high):
        return f"≥ {texts[0]}"
    return f"≤ {texts[1]}" if np.isinf(low) else f"{texts[0]} … {texts[1]}"
