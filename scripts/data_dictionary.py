"""Write docs/data.md from the schema."""

from pathlib import Path

from dfslab.data import write_atomically
from dfslab.data._schema import data_dictionary

if __name__ == "__main__":
    with write_atomically(Path(__file__).resolve().parents[1] / "docs" / "data.md") as aside:
        aside.write_text(data_dictionary(), encoding="utf-8")
