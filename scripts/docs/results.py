"""Tables of measured results, written into a document by the command that measured them."""

import numbers
from pathlib import Path

import pandas as pd

from dfslab.data import files
from dfslab.errors import UserError

__all__ = ["markdown_table", "with_errors", "write_results"]


def with_errors(frame: pd.DataFrame, digits: int = 4) -> pd.DataFrame:
    """Return `frame` with every column `± NAME` or `NAME_se` written into the column NAME, as `2.81 ± 0.17`."""
    joined = frame.copy()
    for name in frame.columns:
        for error in {f"± {name}", f"{name}_se"} & set(frame.columns):
            pairs = zip(frame[name], joined.pop(error), strict=True)
            joined[name] = [_cell(v, digits) + ("" if pd.isna(se) else f" ± {_cell(se, 2)}") for v, se in pairs]
    return joined


def markdown_table(frame: pd.DataFrame, digits: int = 4) -> str:
    """Return `frame` as a Markdown table; numbers with `digits` significant digits, missing ones as a dash."""
    frame = frame.assign(season=frame["season"].astype(str)) if "season" in frame else frame
    joined = with_errors(frame, digits)
    head = "| " + " | ".join(str(c).replace("_", " ") for c in joined.columns) + " |"
    line = "|" + "|".join("--:" if pd.api.types.is_numeric_dtype(frame[c]) else "--" for c in joined.columns) + "|"
    rows = (" | ".join(_cell(v, digits) for v in row) for row in joined.itertuples(index=False, name=None))
    return "\n".join([head, line, *(f"| {row} |" for row in rows)])


def _cell(value, digits: int) -> str:
    if isinstance(value, bool) or not isinstance(value, numbers.Number):
        return str(value)
    if pd.isna(value):
        return "–"
    return f"{value:,}" if isinstance(value, numbers.Integral) else f"{value:,.{digits}g}"


def write_results(path, name: str, tables: dict[str, pd.DataFrame], command: str, notes=()) -> Path:
    """Put `tables` between the marks `<!-- results:NAME -->` and `<!-- /results:NAME -->` of a document.

    Parameters
    ----------
    path : the document ; name : of the marks
    tables : title → frame
    command : what measured them, printed above the tables
    notes : sentences printed below

    Raises
    ------
    UserError : the document has no such marks
    """
    path = Path(path)
    first, last = f"<!-- results:{name} -->", f"<!-- /results:{name} -->"
    text = path.read_text("utf-8") if path.exists() else ""
    if first not in text or last not in text.split(first, 1)[1]:
        raise UserError(f"{path}: no marks {first} … {last}; add them where the results shall stand")
    before, rest = text.split(first, 1)
    after = rest.split(last, 1)[1]
    blocks = [f"`{command}`", *(f"{title}\n\n{markdown_table(frame)}" for title, frame in tables.items()), *notes]
    with files.write_atomically(path) as aside:
        aside.write_text(f"{before}{first}\n" + "\n\n".join(blocks) + f"\n{last}{after}", "utf-8")
    return path
