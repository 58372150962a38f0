"""What stands on a page: tables with captions, key figures, notes, and the checks table that raises."""

import html
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["Check", "CheckFailed", "Notes", "Stats", "Table", "run_checks"]


@dataclass(frozen=True)
class Table:
    """A frame shown as an HTML table with a caption below; wide tables scroll in their own box.

    `formats` maps a column to a `str.format` pattern such as `"{:.1%}"`; missing values show as an en dash.
    """

    frame: pd.DataFrame
    caption: str = ""
    formats: dict | None = None

    def _repr_html_(self) -> str:
        columns = list(self.frame.columns)
        numeric = [pd.api.types.is_numeric_dtype(self.frame[c]) for c in columns]
        head = "".join(_cell("th", str(c), n) for c, n in zip(columns, numeric, strict=True))
        rows = "".join(self._row(row, columns, numeric) for row in self.frame.itertuples(index=False, name=None))
        caption = f'<p class="caption">{html.escape(self.caption)}</p>' if self.caption else ""
        return (
            f'<div class="table"><div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div>{caption}</div>"
        )

    def _row(self, row, columns, numeric) -> str:
        cells = (_cell("td", self._text(v, c), n) for v, c, n in zip(row, columns, numeric, strict=True))
        return f"<tr>{''.join(cells)}</tr>"

    def _text(self, value, column) -> str:
        if value is None or (np.isscalar(value) and pd.isna(value)):
            return "–"
        pattern = (self.formats or {}).get(column)
        if pattern is not None:
            return pattern.format(value).replace("$-", "−$")
        if isinstance(value, float | np.floating):
            return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
        return f"{value:,}" if isinstance(value, int | np.integer) and not isinstance(value, bool) else str(value)


def _cell(tag: str, text: str, numeric: bool) -> str:
    kind = ' class="num"' if numeric else ""
    return f"<{tag}{kind}>{html.escape(text)}</{tag}>"


@dataclass(frozen=True)
class Stats:
    """Key figures as a row of cards: (value, what it is) pairs."""

    items: tuple[tuple[str, str], ...]

    def _repr_html_(self) -> str:
        cards = (f"<div><b>{html.escape(v)}</b><span>{html.escape(k)}</span></div>" for v, k in self.items)
        return f'<div class="stats">{"".join(cards)}</div>'


@dataclass(frozen=True)
class Notes:
    """Sentences the reader must not miss (assumptions made, drivers out, names unmatched)."""

    sentences: tuple[str, ...]

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(s)}</li>" for s in self.sentences or ("Nothing to remark.",))
        return f'<div class="notes"><ul>{items}</ul></div>'


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
    table = Table(frame, "Checks made on this page's own numbers; one that fails stops the report.")
    failed = [c for c in checks if not c.passed]
    if failed:
        from IPython.display import display

        display(table)
        raise CheckFailed("; ".join(f"{c.name}: {c.value:g}, must be {_bounds(c)}" for c in failed))
    return table


def _bounds(check: Check) -> str:
    if check.low == check.high:
        return f"{check.low:,.6g}"
    if np.isinf(check.high):
        return f"≥ {check.low:,.6g}"
    if np.isinf(check.low):
        return f"≤ {check.high:,.6g}"
    return f"{check.low:,.6g} … {check.high:,.6g}"
