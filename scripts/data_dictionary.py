"""Write docs/data.md from the schema."""

from pathlib import Path

from dfslab.data import files
from dfslab.data._schema import data_dictionary

if __name__ == "__main__":
    with files.write_atomically(Path(__file__).resolve().parents[1] / "docs" / "data.md") as aside:
        aside.write_text(data_dictionary(), encoding="utf-8")
