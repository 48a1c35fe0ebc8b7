"""Where the numbers of a run come from, and what is not among them."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat import __version__
from jurat.bench.pictogram.protocol import SPLITS
from jurat.bench.pictogram.splits import FORMAT
from jurat.bench.table import DRAWS

if TYPE_CHECKING:
    from jurat.bench.run import Outcome, Plan


def provenance(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """As `results.json` holds it."""
    return {
        "command": plan.command,
        "commit": _commit(),
        "jurat": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "bench": None if plan.labelled else {"format": FORMAT, "seed": plan.seed, "per_rule": plan.per_rule},
        "splits": {
            split: {"constitution": outcome.digests.get(split), "summary": SPLITS[split].summary}
            for split in (() if plan.labelled else plan.splits)
        }
        or outcome.digests,
        "models": outcome.models,
        "detector": plan.detector,
        "matcher": plan.matcher,
        "configurations tried on dev": outcome.tried,
        "intervals": f"95%, percentile bootstrap over seed, then rule, then pair; {DRAWS:,} draws",
        "left_out": outcome.left_out,
    }


def _commit() -> str | None:
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
