"""Take the pictures in docs/img: 1100 pixels wide, the top of each page of the sample report."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from dfslab.report import run_report
from dfslab.workflow import SAMPLE, open_race

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "img"
WIDTH, HEIGHT = 1100, 1320
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def take(report: Path) -> list[Path]:
    """Write a picture of every page of `report`; return the files."""
    pages = {path.stem: path for path in sorted(report.glob("0[1-3]_*.html"))}
    TARGET.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        for name, path in pages.items():
            page.goto(path.as_uri(), wait_until="load")
            height = min(HEIGHT, page.evaluate("document.documentElement.scrollHeight"))
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": height}
            page.screenshot(path=TARGET / f"{name}.png", full_page=True, clip=clip)
        browser.close()
    return [TARGET / f"{name}.png" for name in pages]


def sample_report() -> Path:
    """Return the report of the latest sample race: from reports/ when it is there, else made in a temporary folder."""
    race = open_race().race.race_id
    for folder in (ROOT / "reports" / race, ROOT / "reports" / "sample" / race):
        if (folder / "manifest.json").exists():
            return folder
    return run_report(race, SAMPLE, tempfile.mkdtemp(), progress=print)


if __name__ == "__main__":
    if CHROMIUM is None:
        sys.exit("pictures: no Chromium is installed (apt-get install chromium)")
    for picture in take(sample_report()):
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1000:.0f} kB")
