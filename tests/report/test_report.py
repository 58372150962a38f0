"""The report runner: strict, whole or not at all, the same twice, and pages that need nothing from outside."""

import csv
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from race_files import RACE, write_history, write_race
from sample_race import SAMPLE, SMALL_RACE

from dfslab.errors import InputError, UserError
from dfslab.parallel import map_jobs
from dfslab.report._execute import NOTEBOOKS, ReportFailed
from dfslab.report._runner import keep_promises, run_report, write_index

FIRST, SECOND, THIRD = NOTEBOOKS
PARAMETERS = 'race_id = ""  # type: str\nout_dir = ""  # type: str\nseed = 1  # type: int'
RECORD = (
    "import json, pathlib\nnumbers = {'card': {'lines': [f'seed {seed}']}, 'race': {'name': 'Oakfield <400>'}}\n"
    "_ = pathlib.Path(out_dir, 'metrics.json').write_text(json.dumps(numbers))"
)


def _notebook(*cells) -> nbformat.NotebookNode:
    parameters = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    text = new_markdown_cell("# A page")
    return new_notebook(cells=[text, parameters, *map(new_code_cell, cells)], metadata={"kernelspec": kernel})


@pytest.fixture(scope="module")
def toys(tmp_path_factory) -> Path:
    """Three small notebooks; the second divides by zero when the seed is 13."""
    folder = tmp_path_factory.mktemp("notebooks")
    nbformat.write(_notebook("print(race_id, seed)"), folder / f"{FIRST}.ipynb")
    nbformat.write(_notebook("print(1 / (seed - 13))"), folder / f"{SECOND}.ipynb")
    nbformat.write(_notebook(RECORD), folder / f"{THIRD}.ipynb")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A data folder with one race."""
    folder = tmp_path_factory.mktemp("data")
    write_race(folder)
    write_history(folder)
    return folder


@pytest.fixture(scope="module")
def good(toys, folder, tmp_path_factory) -> Path:
    """The report of the toy notebooks."""
    return run_report(RACE, folder, tmp_path_factory.mktemp("out"), {"seed": 3}, notebooks=toys)


def _content(report: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in report.iterdir()}


def test_a_report_holds_pages_and_a_manifest_of_what_it_was_made_of(good, folder):
    assert {f"{stem}{ending}" for stem in NOTEBOOKS for ending in (".ipynb", ".html")} <= set(_content(good))
    assert f"{RACE} 3" in (good / f"{FIRST}.html").read_text("utf-8")
    manifest = json.loads((good / "manifest.json").read_text("utf-8"))
    assert manifest["parameters"] == {"seed": 3, "race_id": RACE} and manifest["race_id"] == RACE
    digests = {n: hashlib.sha256(b).hexdigest() for n, b in _content(good).items() if n != "manifest.json"}
    assert manifest["files"] == digests
    salaries = hashlib.sha256((folder / "races" / RACE / "DKSalaries.csv").read_bytes()).hexdigest()
    assert salaries.startswith(manifest["inputs"][f"races/{RACE}/DKSalaries.csv"])


def test_no_page_tells_where_it_was_made(good, folder):
    for name, content in _content(good).items():
        assert str(good.parent).encode() not in content and str(folder).encode() not in content, name


def test_an_unknown_parameter_is_refused_before_anything_runs(toys, folder, tmp_path):
    with pytest.raises(ReportFailed, match=r"no parameter sead; did you mean seed\?"):
        run_report(RACE, folder, tmp_path, {"sead": 3}, notebooks=toys)
    assert not list(tmp_path.iterdir())


def test_an_unknown_race_is_refused_before_anything_runs(toys, folder, tmp_path):
    with pytest.raises(InputError, match="no race 'nowhere'"):
        run_report("nowhere", folder, tmp_path, notebooks=toys)
    assert not list(tmp_path.iterdir())


def test_a_failed_run_keeps_its_page_names_the_cell_and_leaves_the_good_report(good, toys, folder):
    before = _content(good)
    with pytest.raises(
        ReportFailed, match=rf"{SECOND}.ipynb, cell 4 \(print\(1 / \(seed - 13\)\)\): ZeroDivisionError"
    ):
        run_report(RACE, folder, good.parent, {"seed": 13}, notebooks=toys)
    failed = good.parent / f"{RACE}.failed"
    assert "ZeroDivisionError" in (failed / f"{SECOND}.html").read_text("utf-8")
    assert not (failed / f"{THIRD}.html").exists()
    assert _content(good) == before
    assert "failed" not in write_index(good.parent).read_text("utf-8")


def test_a_good_run_removes_the_failed_one(good, toys, folder):
    failed = good.parent / f"{RACE}.failed"
    failed.mkdir(exist_ok=True)
    run_report(RACE, folder, good.parent, {"seed": 3}, notebooks=toys)
    assert not failed.exists() and not list(good.parent.glob(".*.partial"))


def test_two_reports_at_once_do_not_collide(toys, folder, tmp_path):
    other = f"{RACE}-night"
    if not (folder / "races" / other).exists():
        shutil.copytree(folder / "races" / RACE, folder / "races" / other)
        facts = (folder / "races" / other / "race.json").read_text()
        (folder / "races" / other / "race.json").write_text(facts.replace(RACE, other))
    jobs = [(toys, folder, tmp_path, race, seed) for race, seed in ((RACE, 1), (RACE, 2), (other, 5))]
    assert sorted(map_jobs(_report_toys, jobs, workers=2)) == sorted(str(tmp_path / r) for r in (RACE, RACE, other))
    seeds = [re.search(rf"{RACE} (\d)", (tmp_path / RACE / f"{stem}.html").read_text()) for stem in (FIRST,)]
    recorded = json.loads((tmp_path / RACE / "manifest.json").read_text())["parameters"]["seed"]
    assert seeds[0].group(1) == str(recorded)
    index = (tmp_path / "index.html").read_text("utf-8")
    assert f'href="{RACE}/{FIRST}.html"' in index and f'href="{other}/{FIRST}.html"' in index


def _report_toys(toys, folder, out, race_id, seed) -> str:
    return str(run_report(race_id, folder, out, {"seed": seed}, notebooks=toys))


def test_the_index_escapes_what_the_numbers_say(good):
    index = write_index(good.parent).read_text("utf-8")
    assert "Oakfield &lt;400&gt;" in index and "<400>" not in index and "seed 3" in index


# ---------------------------------------------------------------- the notebooks of the project, in small numbers


class _Page(HTMLParser):
    """Collects what a page loads, its pictures, and whether code is folded."""

    def __init__(self, text: str):
        super().__init__()
        self.loaded, self.alts, self.open_code, self.folds = [], [], 0, 0
        self._inside = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.loaded += [attrs["src"]] if "src" in attrs else []
        self.loaded += [attrs["href"]] if tag == "link" else []
        self.loaded += [attrs["data"]] if tag == "object" else []
        if tag == "img":
            self.alts.append(attrs.get("alt", ""))
        if tag == "details":
            self.folds += 1
            self._inside += 1
            assert "open" not in attrs
        if tag == "div" and "highlight" in attrs.get("class", "") and not self._inside:
            self.open_code += 1

    def handle_endtag(self, tag):
        self._inside -= tag == "details"


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_a_page_needs_nothing_from_outside_and_reads_without_code(sample_report, stem):
    text = (sample_report / f"{stem}.html").read_text("utf-8")
    page = _Page(text)
    assert not [link[:60] for link in page.loaded if not link.startswith("data:")]
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:)", text) and not re.search(r"<script[^>]", text)
    assert page.open_code == 0 and page.folds >= 5
    assert page.alts and all(len(alt) > 20 for alt in page.alts)
    assert text.count("<style>") == 1 and ".stats {" in text
    assert 'class="stream warn"' not in text and "Simulated season" in text


def test_the_lineups_file_is_legal_and_carries_ids(sample_report, sample_slate):
    rows = list(csv.reader((sample_report / "lineups.csv").open(encoding="utf-8")))
    assert rows[0] == ["D"] * 6 and len(rows) == 6
    name_id = sample_slate.drivers["name_id"].tolist()
    lineups = [sorted(name_id.index(cell) for cell in row) for row in rows[1:]]
    assert len({tuple(row) for row in lineups}) == 5
    for row in lineups:
        assert len(set(row)) == 6 and sample_slate.salary[row].sum() <= 50_000 and not sample_slate.out[row].any()


def test_the_numbers_are_written_beside_the_pages(sample_report):
    numbers = json.loads((sample_report / "metrics.json").read_text("utf-8"))
    assert {"ownership", "regimes", "portfolio", "race"} <= set(numbers)
    assert sum(numbers["regimes"]["probability"].values()) == pytest.approx(1, abs=1e-3)
    assert set(numbers["regimes"]["probability"]) == {"dominator", "chaos", "fuel_mileage", "balanced"}
    assert numbers["portfolio"]["lineups"] == 5
    assert (sample_report.parent / "index.html").read_text("utf-8").count("<article>") == 1


@pytest.mark.parametrize("option", ["locks", "bans", "held", "max_exposure", "min_exposure"])
def test_a_driver_who_is_not_on_the_slate_is_told_before_any_page_is_made(option, tmp_path):
    named = ["Nobody Mott"] if option in ("locks", "bans") else {"Nobody Mott": 0.4}
    with pytest.raises(UserError, match=f"^{option}: not on the slate: Nobody Mott"):
        run_report(SMALL_RACE, SAMPLE, tmp_path / "out", {option: named}, progress=pytest.fail)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").glob("*/*"))


def test_promises_are_kept_in_one_order_whichever_report_ended_first(tmp_path):
    row = {"contest_id": "7", "fees": 10.0, "won": 5.0, "cash": 0.2, "top_1pct": 0.0, "average_return": -0.1}
    row |= {f"{part}_{rate}": 0.1 for part in ("predicted", "average") for rate in ("cash", "top_1pct", "p_profit")}
    row |= {"predicted_expected_payout": 9.0, "predicted_sd": 30.0}
    reports = [tmp_path / f"r{k}" for k in (1, 2, 3)]
    for k, report in enumerate(reports, 1):
        report.mkdir()
        told = {"promise": {**row, "race_id": report.name, "date": f"2026-03-0{k}"}} if k < 3 else {}
        (report / "metrics.json").write_text(json.dumps(told))
    for name, order in (("a", [0, 1, 2]), ("b", [2, 1, 0])):
        keep_promises([reports[k] for k in order], tmp_path / name)
    kept = (tmp_path / "a/models/promises.json").read_text()
    assert kept == (tmp_path / "b/models/promises.json").read_text() and [r["race_id"] for r in json.loads(kept)] == [
        "r1",
        "r2",
    ]
    said = []
    (tmp_path / "c").mkdir()
    (tmp_path / "c/models").write_text("no folder can be made here")
    keep_promises(reports, tmp_path / "c", said.append)
    assert len(said) == 1 and said[0].startswith("later promises will not know of it: ")
    keep_promises(reports[2:], tmp_path / "c", pytest.fail)


def test_a_baseline_with_the_portfolios_own_lineups_has_no_row(sample_report):
    page = (sample_report / "03_portfolio_construction.html").read_text("utf-8")
    assert "<td>random entries drawn" in page
    assert "<td>regimes shuffled<" not in page and "<td>no regimes<" not in page


def _outputs(report: Path, stem: str) -> list:
    return [cell.get("outputs", []) for cell in nbformat.read(report / f"{stem}.ipynb", as_version=4).cells]


def test_the_same_seed_gives_the_same_lineups_and_cell_outputs(sample_report, small_report, tmp_path):
    again = small_report(tmp_path)
    for name in ("lineups.csv", "lineups_metrics.csv", "exposures.csv", "metrics.json"):
        assert (again / name).read_bytes() == (sample_report / name).read_bytes(), name
    for stem in NOTEBOOKS:
        assert _outputs(again, stem) == _outputs(sample_report, stem), stem
    assert (again / "manifest.json").read_bytes() == (sample_report / "manifest.json").read_bytes()
