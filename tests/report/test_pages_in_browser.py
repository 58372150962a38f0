"""What a reader sees: pages and the live notebook in headless Chromium."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from sample_race import SAMPLE, SMALL_RACE

from dfslab.report._runner import NOTEBOOKS

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def _opened(browser, path: Path, width: int):
    """Open a page and return it with the requests that were no file of ours and what the console complained of."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri(), wait_until="load")
    return page, [url for url in asked if not url.startswith(("file:", "data:"))], complaints


@pytest.mark.parametrize("width", [1100, 390])
@pytest.mark.parametrize("name", [*NOTEBOOKS, "index"])
def test_a_page_fits_the_screen_and_asks_nobody(browser, sample_report, name, width):
    path = sample_report.parent / "index.html" if name == "index" else sample_report / f"{name}.html"
    page, asked, complaints = _opened(browser, path, width)
    assert not asked and not complaints
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    broken = "[...document.images].filter(i => !i.naturalWidth || !i.alt || i.clientWidth > innerWidth).map(i => i.alt)"
    assert page.evaluate(broken) == []
    assert page.locator("h1").first.is_visible()
    assert page.locator("details[open]").count() == 0
    page.close()


def test_code_is_hidden_until_it_is_asked_for(browser, sample_report):
    page, _, complaints = _opened(browser, sample_report / "03_portfolio_construction.html", 1100)
    folds = page.locator("details.code")
    assert folds.count() > 5 and not folds.first.is_visible()
    page.get_by_label("show code").check()
    assert folds.first.is_visible() and not complaints
    page.close()


def test_a_reader_can_walk_from_the_index_to_every_page(browser, sample_report):
    page, _, complaints = _opened(browser, sample_report.parent / "index.html", 1100)
    for title in NOTEBOOKS.values():
        page.locator("article").get_by_role("link", name=title, exact=True).click()
        assert page.locator("nav b").inner_text() == title
        page.locator("nav").get_by_role("link", name="All races").click()
    assert page.locator("article").count() == 1 and not complaints
    page.close()


# ---------------------------------------------------------------- the live notebook


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    """JupyterLab on loopback, serving a copy of the live notebook set to a small race; yields its address."""
    folder = tmp_path_factory.mktemp("lab")
    text = (ROOT / "notebooks" / "00_explore.ipynb").read_text("utf-8")
    text = text.replace('race_id = \\"\\"', f'race_id = \\"{SMALL_RACE}\\"').replace(
        "n_scenarios = 2000", "n_scenarios = 300"
    )
    text = text.replace('data_dir = \\"\\"', f'data_dir = \\"{SAMPLE.as_posix()}\\"')
    assert SMALL_RACE in text and "n_scenarios = 300" in text
    (folder / "00_explore.ipynb").write_text(text, "utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--allow-root"]
    options += [
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=",
        "--LabApp.extension_manager=readonly",
    ]
    command = [sys.executable, "-m", "jupyterlab", *options]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api", server, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(url: str, server, log: Path, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).read()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def test_the_live_notebook_answers_pins_compares_and_writes(browser, jupyter):
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.goto(f"{jupyter}/lab/tree/00_explore.ipynb", wait_until="load")
    page.locator(".jp-Notebook").wait_for(timeout=90_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=90_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    cards = page.locator(".jp-Notebook .stats:has-text('expected payout')")
    cards.wait_for(timeout=180_000)
    before = cards.inner_text()
    assert "$" in page.locator(".jp-Notebook .headline").inner_text(), "the price was read as a formula"
    assert page.locator(".jp-Notebook mjx-container").count() == 0
    page.locator(".widget-slider", has_text="leverage penalty").locator(".noUi-handle").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("before => document.querySelector('.jp-Notebook .stats').innerText !== before", arg=before)
    assert before.startswith("20") and page.locator(".jp-Notebook table.figures").count() == 3
    page.get_by_role("button", name="pin as A").click()
    page.locator(".widget-slider", has_text="max exposure").locator(".noUi-handle").focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_text("Against the pinned A, on fresh races").wait_for(timeout=60_000)
    page.get_by_role("button", name="write files").click()
    page.locator(".notes", has_text="lineups.csv: 20 lineups").wait_for(timeout=60_000)
    assert page.locator(".jp-Notebook figure img").count() == 0, "a live answer waits for no picture"
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    page.close()
