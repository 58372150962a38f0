"""Take the pictures in docs/img: the top of each page of the sample report, and the live page in JupyterLab."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
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


@contextmanager
def _jupyter(folder: Path):
    """Serve `folder` in JupyterLab on loopback; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root", "--IdentityProvider.token="]
    options += [f"--ServerApp.root_dir={folder}", "--LabApp.news_url=", "--LabApp.extension_manager=readonly"]
    own = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env={**os.environ, **own}, **quiet)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=2).read()
                break
            except OSError:
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def take_live() -> Path:
    """Write a picture of the live page: an answer beside a pinned one, as JupyterLab shows it."""
    folder = Path(tempfile.mkdtemp())
    shutil.copy(ROOT / "notebooks" / "00_explore.ipynb", folder)
    with _jupyter(folder) as address, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1750})
        page.goto(f"{address}/lab/tree/00_explore.ipynb", wait_until="load")
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=120_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.get_by_text("expected payout for").wait_for(timeout=300_000)
        page.get_by_role("button", name="pin as A").click()
        page.locator(".widget-slider", has_text="leverage penalty").locator(".noUi-handle").focus()
        for _ in range(6):
            page.keyboard.press("ArrowRight")
        page.get_by_text("Against the pinned A").wait_for(timeout=120_000)
        page.locator(".widget-tab").first.scroll_into_view_if_needed()
        page.wait_for_timeout(3_000)
        page.add_style_tag(content="[class*=Toastify] { display: none !important; }")  # JupyterLab asks to send news
        page.mouse.move(5, 5)
        page.locator(".jp-OutputArea", has=page.locator(".widget-tab")).first.screenshot(path=TARGET / "00_explore.png")
        browser.close()
    return TARGET / "00_explore.png"


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
    for picture in (*take(sample_report()), take_live()):
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1000:.0f} kB")
