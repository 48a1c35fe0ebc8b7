"""Where the numbers of a run come from, and what is not among them."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat import __version__
from jurat.bench.pictogram.protocol import SPLITS
from jurat.bench.pictogram.splits import FORMAT
from jurat.bench.table import DRAWS

if TYPE_CHECKING:
    from jurat.bench.plan import Outcome, Plan


INTERVALS = f"95%, percentile bootstrap over rule, then pair; {DRAWS:,} draws"

TRIED_ELSEWHERE = {
    "jurat": "24 beside the default by perf/candidates.py on dev (docs/results/candidates.md and "
    "candidates-more.md). Its thresholds, the share of the prior and the width of the second look were "
    "chosen before that, for the bundled model, with perf/judge_quality.py; how many were tried there was "
    "not recorded.",
    "quick": "the share of the prior was chosen for the bundled model with perf/judge_quality.py; how many "
    "were tried there was not recorded.",
}
"""What the judge's presets owe to scripts other than the bench, by preset."""


def provenance(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """As `results.json` holds it."""
    return {
        "command": plan.command,
        "commit": commit(),
        "jurat": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "bench": None if plan.labelled else {"format": FORMAT, "seed": plan.seed, "per_rule": plan.per_rule},
        "splits": {
            split: {"constitution": outcome.digests.get(split), "summary": SPLITS[split].summary}
            for split in (() if plan.labelled else plan.splits)
        }
        or outcome.digests,
        "machine": _machine(),
        "models": outcome.models,
        **outcome.eyes,
        "configurations tried on dev": outcome.tried,
        "configurations tried elsewhere": TRIED_ELSEWHERE,
        "intervals": INTERVALS,
        "runs": _runs(outcome),
        "left_out": outcome.left_out,
    }


def _machine() -> str:
    """What rounding and seconds hang on."""
    there = (f"{name} {version(name)}" for name in ("torch", "transformers") if find_spec(name))
    cores = f"{os.cpu_count()} cores"
    return ", ".join([platform.machine(), cores, f"Python {platform.python_version()}", *there])


def _runs(outcome: Outcome) -> list[dict[str, Any]]:
    """The commands that made the rulings, some perhaps of earlier or of other processes."""
    runs: dict[tuple[str, str | None], list[str]] = {}
    for note in outcome.notes:
        runs.setdefault((note.command, note.commit), []).append(note.time)
    return [
        {"command": command, "commit": commit, "from": min(times), "to": max(times), "files": len(times)}
        for (command, commit), times in runs.items()
    ]


@cache
def commit() -> str | None:
    """Of the checkout that this code runs from, marked where it has changes; None for an installed one."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match", ""],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
