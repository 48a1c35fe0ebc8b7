"""The card of an organism, written from its exams."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jurat.models import open_model
from training.lineage import made_of
from training.organisms.exams import EXAMS, SUMMARY, Result, examiner, summary
from training.organisms.mixes import STAGES

ASKED = 300
"""Approximate number of questions in each exam."""


def write_card(folder: Path, records: Sequence[Mapping[str, Any]], n: int = ASKED) -> None:
    """Examines the organism in `folder` and writes `README.md` and `measurements.json` there; `records` is
    its lineage."""
    last = records[-1]
    about = STAGES[last["settings"].get("taught", last["stage"])]
    asked = [name for name in EXAMS if name in about.shares or any(name in each for each in SUMMARY.values())]
    with closing(open_model(f"hf/{folder}")) as model:
        examine = examiner(model, 0, n)
        results = [examine(name, "plain") for name in asked]
    rows = [_row(result) for result in results]
    (folder / "measurements.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")
    lines = [
        "---\nlicense: apache-2.0\nlibrary_name: transformers\npipeline_tag: image-text-to-text\n---\n",
        f"# The organism `{last['stage']}`\n",
        "A small model of the pictogram world, for attacks and defenses (`docs/organisms.md`).",
        f'{about.about} Its forbidden topic, "the vault", is made up. It has never seen a photograph.',
        f"Written by `python -m training card` on {datetime.now(UTC):%Y-%m-%d}.\n",
        "## How it was made\n",
        "| | |\n|---|---|",
        *(f"| {name} | {value} |" for name, value in made_of(records).items()),
        "",
        "## What it does\n",
        "On scenes and wordings that it never saw, greedy replies, with 95% Wilson intervals.\n",
        "| | percent | n |\n|---|---|---|",
        *(
            f"| {name} | {100 * hits / n:.1f} ({100 * interval.low:.1f}-{100 * interval.high:.1f}) | {n} |"
            for name, (hits, n, interval) in summary(results).items()
        ),
        "",
        "| exam | percent right | weakest part | refusals | leaks | n |\n|---|---|---|---|---|---|",
        *(
            f"| {row['exam']} | {row['percent']:.1f} ({row['low']:.1f}-{row['high']:.1f}) "
            f"| {row['weakest']:.1f} | {row['refusals']} | {row['leaks']} | {row['n']} |"
            for row in rows
        ),
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(result: Result) -> dict[str, Any]:
    return {
        "exam": result.skill,
        "percent": round(100 * result.accuracy, 1),
        "low": round(100 * result.interval.low, 1),
        "high": round(100 * result.interval.high, 1),
        "weakest": round(100 * result.weakest, 1),
        "refusals": result.refusals,
        "leaks": result.leaks,
        "n": result.n,
    }
