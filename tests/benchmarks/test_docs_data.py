"""The page on evaluation sets: its table is that of the cards, and its example is a third party's set."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from jurat.benchmarks import BENCHMARKS

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
HEAD = "| set | what it is | samples | licence | where to ask |\n|---|---|---|---|---|\n"


def table() -> str:
    """The rows of the page's table, as the cards have them."""
    rows: list[str] = []
    for card in (entry.card for entry in BENCHMARKS if not entry.is_plug_in):
        count = card.published.samples
        cells = (
            f"`{card.name}`",
            card.summary,
            "" if count is None else f"{count:,}",
            card.licence,
            card.where,
        )
        rows.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(rows)


def test_table_of_the_page_is_that_of_the_cards():
    page = PAGE.read_text("utf-8")
    found = page.partition(HEAD)[2].partition("\n\n")[0]
    assert found == table(), "Write it anew: python -m tests.benchmarks.test_docs_data"


def test_example_of_the_page_is_listed_by_its_entry_point(tmp_path: Path):
    page = PAGE.read_text("utf-8")
    for name, text in re.findall(r"<!-- file: (riddles\.\w+) -->\n```\w+\n(.*?)^```$", page, re.S | re.M):
        (tmp_path / name).write_text(text)
    points = re.search(r'^\[project\.entry-points\."(jurat\.benchmarks)"\]\n(.*?)^```$', page, re.S | re.M)
    assert points is not None
    info = tmp_path / "riddles-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: riddles\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{points[1]}]\n{points[2]}".replace('"', ""))
    (tmp_path / "copy").mkdir()
    row = {"id": 1, "picture": "one.png", "question": "Which colour?", "answer": "red", "kind": "colour"}
    (tmp_path / "copy/riddles.jsonl").write_text(json.dumps(row))
    done = subprocess.run(
        [sys.executable, "-m", "jurat", "data", "riddles", "copy", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert (found["set"], found["rows"], found["missing_images"]) == ("riddles", 1, ["pictures/one.png"])


if __name__ == "__main__":
    before, head, rest = PAGE.read_text("utf-8").partition(HEAD)
    PAGE.write_text(before + head + table() + "\n\n" + rest.partition("\n\n")[2], "utf-8")
