"""The table of docs/metrics.md is made from the registry; run as a script, this file writes it."""

from __future__ import annotations

import re
from pathlib import Path

from jurat.metrics import METRICS, NamedMetric

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
MARK = "<!-- the table is made from the registry: python tests/docs/test_metrics_page.py -->"
TABLE = re.compile(re.escape(MARK) + r"\n(?:\n?\|[^\n]*\n(?:\|[^\n]*\n)*)?")


def row(metric: NamedMetric) -> str:
    evidence = metric.evidence if metric.is_verified else f"{metric.evidence} (unverified)"
    columns = ", ".join(f"`{column.name}`" for column in metric.needs)
    options = "".join(f", `--{'k' if o.name == 'k' else f'set {o.name}='}`" for o in metric.options)
    low, high = metric.bounds or (0, 1)
    cells = (
        f"`{metric.name}`",
        f"{metric.summary}, in [{low:g}, {high:g}]",
        metric.formula,
        f"{columns}{options}",
        metric.undefined or "",
        metric.source,
        evidence,
    )
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def table() -> str:
    heading = "| metric | what it is | formula | columns, options | not available where | source | evidence |"
    return "\n".join(
        [
            MARK,
            "",
            heading,
            "|---|---|---|---|---|---|---|",
            *(row(metric) for metric in METRICS if not metric.is_plug_in),
            "",
        ]
    )


def test_table_of_metrics_is_that_of_the_registry():
    found = TABLE.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None and found[0] == table()


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text(encoding="utf-8"), count=1), encoding="utf-8")
