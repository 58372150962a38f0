"""Write environment.yml from pyproject.toml (`python scripts/docs/environment.py [target]`)."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def write(target: Path) -> None:
    """Render the conda environment of the `dev` extra, the package itself installed by pip, into `target`."""
    command = [str(Path(sys.executable).parent / "pyproject2conda"), "yaml", "--pyproject", "pyproject.toml"]
    command += ["--extra", "dev", "--name", "dfslab", "--python-include", "infer", "--req=-e .", "--no-header"]
    subprocess.run([*command, "--overwrite", "force", "--output", str(target)], check=True, cwd=ROOT)


if __name__ == "__main__":
    write(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "environment.yml")
