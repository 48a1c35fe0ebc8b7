"""Verdicts to make pages of, and a browser to look at them with."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from jurat.judge import AlternativeScore, Finding, RuleFinding, Verdict, verdict_to_row


def clause(
    text: str, outcome: str, score: float | None, role: str = "clause", reason: str | None = None
) -> Finding:
    one = AlternativeScore(text=text, score=score, baseline=0.3, mass=0.98, outcome=outcome, reason=reason)
    decided_by = None if outcome == "undecided" else "quick"
    return Finding(
        text=text,
        role=role,
        outcome=outcome,
        score=score,
        baseline=0.3,
        mass=0.98,
        decided_by=decided_by,
        reason=reason,
        alternatives=(one,),
    )


def rule(id: str, outcome: str, *clauses: Finding, severity: str | None = "high") -> RuleFinding:
    reason = "margin" if outcome == "undecided" else None
    scores = [c.score for c in clauses if c.score is not None]
    decided_by = None if reason else "quick"
    return RuleFinding(
        id=id,
        outcome=outcome,
        score=min(scores, default=None),
        severity=severity,
        decided_by=decided_by,
        reason=reason,
        clauses=clauses,
    )


BLADE = rule(
    "blade",
    "broken",
    clause("A child is visible.", "holds", 0.99),
    clause("It touches an axe.", "holds", 0.9),
)
NO_BLADE = rule(
    "blade", "kept", clause("A child is visible.", "fails", 0.02), clause("It touches an axe.", "fails", 0.01)
)
FIRE = rule(
    "fire", "undecided", clause("A fire is visible.", "undecided", 0.5, reason="margin"), severity="critical"
)
NO_FIRE = rule("fire", "kept", clause("A fire is visible.", "fails", 0.03), severity="critical")

RULES = {"unsafe": (BLADE, NO_FIRE), "unsure": (NO_BLADE, FIRE), "safe": (NO_BLADE, NO_FIRE), "error": ()}
LOOKED_AT = RuleFinding.model_validate(
    BLADE.model_dump()
    | {
        "decided_by": "reason",
        "relevance": 0.4,
        "clauses": [
            BLADE.clauses[0].model_dump(),
            BLADE.clauses[1].model_dump()
            | {
                "decided_by": "reason",
                "alternatives": [
                    BLADE.clauses[1].alternatives[0].model_dump()
                    | {
                        "decided_by": "reason",
                        "regions": [{"word": "axe", "score": 0.8, "x0": 10, "y0": 5, "x1": 40, "y1": 25}],
                        "score_without": 0.35,
                        "rating": "Yes",
                        "rationale": "The <axe> is in the child's hand.",
                    }
                ],
            },
        ],
    }
)
"""Broken after regions and reasoning."""
NOT_RELEVANT = NO_FIRE.model_copy(
    update={"decided_by": "relevance", "relevance": 0.11, "score": None, "clauses": ()}
)

REASONS = {"unsure": "margin", "error": "error"}


@pytest.fixture
def verdict(tmp_path: Path) -> Callable[..., Verdict]:
    """Makes a verdict with the outcome asked for; with `image`, of a picture that is there."""

    def make(
        name: str, outcome: str = "safe", *, image: tuple[int, int] | None = (64, 48), **changes
    ) -> Verdict:
        path, sha256 = tmp_path / name, None
        if image is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", image, (200, 40, 40)).save(path, "PNG")
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        values = {
            "decision": "00000000-0000-0000-0000-000000000000",
            "time": "2026-11-21T05:02:37.562Z",
            "id": name,
            "uri": str(path),
            "sha256": sha256,
            "width": image and image[0],
            "height": image and image[1],
            "outcome": outcome,
            "broken": tuple(r.id for r in RULES[outcome] if r.outcome == "broken"),
            "reason": REASONS.get(outcome),
            "rules": RULES[outcome],
            "model": "null@none",
            "constitution": "nursery@0123456789ab",
            "thresholds": "ba9876543210",
            "preset": "quick",
            "prompts": "6a998bbe50fe",
            "dtype": "none",
            "jurat": "0.1.0",
            "seconds": 0.25,
            "error": "the file is cut off" if outcome == "error" else None,
        }
        return Verdict(**{**values, **changes})

    return make


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """Writes verdicts as JSON Lines."""

    def write(*verdicts: Verdict, name: str = "verdicts.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(verdict_to_row(v)) + "\n" for v in verdicts))
        return path

    return write


@pytest.fixture
def run_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run's folder: verdicts as one Parquet part, and the facts of the run."""
    from jurat.judge import VERDICT_ROWS
    from jurat.runs import open_sink

    def write(*verdicts: Verdict, facts: dict, name: str = "run") -> Path:
        folder = tmp_path / name
        (folder / "parts").mkdir(parents=True)
        (folder / "_run.json").write_text(json.dumps(facts))
        with open_sink(folder / "parts" / "part-000000.parquet", VERDICT_ROWS) as sink:
            for one in verdicts:
                sink.write(verdict_to_row(one))
        return folder

    return write


CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Chromium, as the system has it. While it is open no other event loop can run in this thread."""
    names = (os.environ.get("JURAT_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if name and (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("Chromium is not installed (package 'chromium', or name it in JURAT_CHROMIUM)")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (the extra 'dev')"
    )
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()
