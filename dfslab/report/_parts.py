"""What stands on a page: the race in one line, key figures, tables with captions, notes, and checks that raise."""

import html
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["STYLE", "Check", "CheckFailed", "Headline", "Notes", "Stats", "Table", "run_checks"]

STYLE = f"<style>{(Path(__file__).parent / 'templates' / 'parts.css').read_text('utf-8')}</style>"
"""How the parts look; each carries it, so that a notebook in JupyterLab looks as the page does."""
WIDE, LONG = 5, 40
"""Tables of so many columns take the whole width; columns with a text of so many letters get room."""


@dataclass(frozen=True)
class Table:
    """A frame shown as an HTML table with a caption below; wide tables scroll in their own box.

    `formats` maps a column to a `str.format` pattern such as `"{:.1%}"`; missing values show as an en dash. `errors`
    maps a column to the column of its standard error, which is shown behind it (6.5 ± 0.4) and has no column of its
    own. Cells of `bars` have a bar behind the number, as long as its share of the column's largest. `marks` maps the
    text of a cell to its class (ok, bad). With `fold`, the table is closed below that line until it is opened.
    """

    frame: pd.DataFrame
    caption: str = ""
    formats: dict | None = None
    errors: dict = field(default_factory=dict)
    bars: tuple = ()
    marks: dict = field(default_factory=dict)
    fold: str = ""

    def _repr_html_(self) -> str:
        columns = [c for c in self.frame.columns if c not in self.errors.values()]
        numeric = {c: pd.api.types.is_numeric_dtype(self.frame[c]) for c in columns}
        head = "".join(_cell("th", html.escape(str(c).replace("_", " ")), numeric[c]) for c in columns)
        rows = "".join(self._row(row, columns, numeric) for row in self.frame.to_dict("records"))
        caption = f'<p class="caption">{html.escape(self.caption)}</p>' if self.caption else ""
        kind = "figures wide" if len(columns) >= WIDE else "figures"
        table = f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        return _folded(f'<div class="table"><div class="scroll" tabindex="0">{table}</div>{caption}</div>', self.fold)

    def _row(self, row, columns, numeric) -> str:
        return f"<tr>{''.join(self._filled(row, c, numeric[c]) for c in columns)}</tr>"

    def _filled(self, row, column, numeric) -> str:
        value, error = row[column], row.get(self.errors.get(column))
        text = html.escape(self._text(value, column, error))
        if error is not None and not pd.isna(error):
            text += f" <i>± {html.escape(self._text(error, column, error).lstrip('+'))}</i>"
        if column in self.bars and not pd.isna(value):
            longest = np.nanmax(np.abs(self.frame[column].to_numpy(float))) or 1.0
            return _cell("td", text, numeric, "bar", f"--w:{100 * abs(value) / longest:.0f}%")
        kind = self.marks.get(value) if isinstance(value, str) else None
        return _cell("td", text, numeric, kind or ("long" if len(text) > LONG else None))

    def _text(self, value, column, error=None) -> str:
        if value is None or (np.isscalar(value) and pd.isna(value)):
            return "–"
        pattern = (self.formats or {}).get(column)
        if pattern is not None:
            return _minus(pattern.format(value))
        if error is not None and 0 < error < np.inf:
            digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 4))
            return _minus(f"{value:,.{digits}f}")
        if isinstance(value, float | np.floating):
            return _minus(f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}")
        return f"{value:,}" if isinstance(value, int | np.integer) and not isinstance(value, bool) else str(value)


def _minus(text: str) -> str:
    """Return a number with a true minus, before the dollar sign where there is one."""
    return text.replace("$-", "−$").replace("-", "−")


def _cell(tag: str, markup: str, numeric: bool, kind: str | None = None, style: str = "") -> str:
    names = " ".join(["num"] * numeric + [kind] * bool(kind))
    named, styled = f' class="{names}"' if names else "", f' style="{style}"' if style else ""
    return f"<{tag}{named}{styled}>{markup}</{tag}>"


_NO_FORMULA = "mathjax_ignore tex2jax_ignore"
"""Classes that keep notebooks from reading what stands between two dollar signs as a formula."""


def _folded(markup: str, summary: str) -> str:
    if summary:
        markup = f'<details class="more"><summary>{html.escape(summary)}</summary>{markup}</details>'
    return f'{STYLE}<div class="{_NO_FORMULA}">{markup}</div>'


@dataclass(frozen=True)
class Headline:
    """What a page is about: a title and its facts in one line."""

    title: str
    facts: tuple[str, ...]

    def _repr_html_(self) -> str:
        facts = "".join(f"<span>{html.escape(fact)}</span>" for fact in self.facts)
        return _folded(f'<div class="headline"><strong>{html.escape(self.title)}</strong>{facts}</div>', "")


@dataclass(frozen=True)
class Stats:
    """Key figures as a row of cards: (value, what it is) pairs."""

    items: tuple[tuple[str, str], ...]

    def _repr_html_(self) -> str:
        cards = (f"<div><b>{html.escape(v)}</b><span>{html.escape(k)}</span></div>" for v, k in self.items)
        return _folded(f'<div class="stats">{"".join(cards)}</div>', "")


@dataclass(frozen=True)
class Notes:
    """Sentences the reader must not miss (assumptions made, drivers out, names unmatched); closed with `fold`."""

    sentences: tuple[str, ...]
    fold: str = ""

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(s)}</li>" for s in self.sentences or ("Nothing to remark.",))
        return _folded(f'<div class="notes"><ul>{items}</ul></div>', self.fold)


class CheckFailed(AssertionError):
    """A number on the page is not what it must be."""


@dataclass(frozen=True)
class Check:
    """One line of the checks table: `value` must lie in [`low`, `high`]."""

    name: str
    value: float
    low: float
    high: float

    @property
    def passed(self) -> bool:
        return bool(self.low <= self.value <= self.high)


def run_checks(checks) -> Table:
    """Show the checks table and return it; raise `CheckFailed` naming every line that does not hold."""
    checks = list(checks)
    frame = pd.DataFrame(
        {
            "check": [c.name for c in checks],
            "value": [f"{c.value:,.6g}" for c in checks],
            "must be": [_bounds(c) for c in checks],
            "holds": ["yes" if c.passed else "NO" for c in checks],
        }
    )
    caption = "Checks made on this page's own numbers; one that fails stops the report."
    table = Table(frame, caption, marks={"yes": "ok", "NO": "bad"})
    failed = [c for c in checks if not c.passed]
    if failed:
        from IPython.display import display

        display(table)
        raise CheckFailed("; ".join(f"{c.name}: {c.value:g}, must be {_bounds(c)}" for c in failed))
    return table


def _bounds(check: Check) -> str:
    low, high = f"{check.low:,.6g}", f"{check.high:,.6g}"
    if low == high:
        return low
    if np.isinf(check.high):
        return f"≥ {low}"
    return f"≤ {high}" if np.isinf(check.low) else f"{low} … {high}"
