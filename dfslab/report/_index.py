"""The index over all reports of a folder: one card a race, every text escaped, damaged reports named."""

from pathlib import Path

from dfslab.data import files
from dfslab.errors import InputError
from dfslab.report._execute import NOTEBOOKS, TEMPLATES, css

MARK = '<meta name="generator" content="dfslab">'
"""What every index has."""
MOST_LINES, LONGEST_LINE = 12, 300


def manifest_of(folder: Path) -> dict:
    """Return the manifest of a report's folder, empty where there is none that is ours."""
    try:
        manifest = files.read_json(folder / "manifest.json")
    except InputError:
        return {}
    return manifest if isinstance(manifest, dict) and {"race_id", "dfslab"} <= manifest.keys() else {}


def check_index(out_dir: Path) -> None:
    """Raise `InputError` when there is an index.html that is not ours: it would be replaced."""
    path = out_dir / "index.html"
    if path.exists():
        start = path.read_bytes()[:1000].decode("utf-8", "replace") if path.is_file() else ""
        if MARK not in start:
            raise InputError(f"{path}: this page is not of dfslab and would be replaced; choose another --out")


def write_index(out_dir: Path) -> Path:
    """Write `out_dir/index.html` over all finished reports of the folder and return its path."""
    from jinja2 import Environment, FileSystemLoader

    out_dir = Path(out_dir)
    check_index(out_dir)
    folders = sorted(out_dir.iterdir(), reverse=True)
    cards = [_card(folder) for folder in folders if manifest_of(folder).get("race_id") == folder.name]
    page = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True).get_template("index.html.j2")
    files.write_text(out_dir / "index.html", page.render(css=css(), cards=cards, pages=NOTEBOOKS))
    return out_dir / "index.html"


def _card(folder: Path) -> dict:
    """Return what the index says of a report; of numbers that cannot be read it says so."""
    try:
        numbers = files.read_json(folder / "metrics.json")
        race, card = numbers["race"], numbers.get("card", {})
        where = " · ".join(_line(race.get(name, "")) for name in ("date", "track", "track_type"))
        lines = [_line(line) for line in card.get("lines", [])][:MOST_LINES]
        title, alt = _line(race.get("name") or folder.name), _line(card.get("picture_alt", ""))
        picture = _picture(folder, card.get("picture"))
    except (InputError, KeyError, TypeError, AttributeError):
        title, where, alt, picture = folder.name, "", "", ""
        lines = ["Its numbers (metrics.json) are unreadable; make the report again."]
    return {"folder": folder.name, "title": title, "where": where, "lines": lines, "picture": picture, "alt": alt}


def _line(value) -> str:
    if not isinstance(value, str | int | float):
        raise TypeError(f"{value!r} is not a line of text")
    return str(value)[:LONGEST_LINE]


def _picture(folder: Path, name) -> str:
    """Return the name of the card's picture if it is a file of the report, else nothing."""
    return name if isinstance(name, str) and name == Path(name).name and (folder / name).is_file() else ""
