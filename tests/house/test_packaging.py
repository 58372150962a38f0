"""The environment, the lock and the metadata say the same."""

import importlib.util
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def _script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_environment_is_what_the_metadata_generates(tmp_path):
    _script("environment").write(tmp_path / "environment.yml")
    assert (tmp_path / "environment.yml").read_text() == (ROOT / "environment.yml").read_text()


def test_lock_pins_every_dependency_with_hashes_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in lock
    pinned = set(re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", lock, re.M))
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    names = {re.split(r"[\[>=<]", d)[0].lower() for d in wanted}
    assert names <= {p.lower() for p in pinned}
    blocks = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.M)[1:]
    assert blocks and all("--hash=sha256:" in b for b in blocks)


def test_version_is_the_same_in_package_and_metadata():
    import dfslab

    assert dfslab.__version__ == PROJECT["version"]
