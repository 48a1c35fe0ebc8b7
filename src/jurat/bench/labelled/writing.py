"""Writes the results on labelled images."""

from __future__ import annotations

import json
from pathlib import Path

from jurat.bench.labelled.labelled_results import LabelledResults
from jurat.bench.labelled.page import write_labelled_page
from jurat.bench.labelled.summary import as_markdown
from jurat.files import write_whole
from jurat.metrics import write_table


def write_labelled(out: Path, results: LabelledResults) -> list[Path]:
    """Writes `labelled.json`, `labelled.md`, `rulings.parquet` and the page; returns their paths."""
    written = [out / name for name in ("labelled.json", "labelled.md", "rulings.parquet")]
    write_whole(written[0], json.dumps(results.data, indent=1, allow_nan=False) + "\n")
    write_whole(written[1], as_markdown(results.data))
    write_table(written[2], results.rulings)
    return [*written, write_labelled_page(out, results)]
