"""Verdicts that no model was asked for: of known content, and of near duplicates of what was judged."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from jurat import __version__
from jurat.content import Item
from jurat.judge.verdict import Cost, Verdict
from jurat.models import full_name

if TYPE_CHECKING:
    from jurat.judge.judge import Judge
    from jurat.judge.loading import Loaded


def known_verdict(
    judge: Judge,
    item: Item,
    sha256: str,
    *,
    label: str,
    block: bool,
    distance: int,
    handling: Literal["sealed"] | None,
) -> Verdict:
    """What a list of known content says of an item: `unsafe` if it is to be blocked, else `safe`.

    It has no findings: no rule of the constitution was looked at. The model and the constitution named
    are those of the run.
    """
    return Verdict(
        decision=str(uuid.uuid4()),
        time=_now(),
        id=item.id,
        uri=item.uri,
        sha256=sha256,
        width=None,
        height=None,
        frames=0,
        outcome="unsafe" if block else "safe",
        broken=(),
        reason=None,
        rules=(),
        model=full_name(judge.model),
        constitution=f"{judge.constitution.name}@{judge.constitution.digest}",
        thresholds=judge.constitution.thresholds_digest,
        preset=judge.preset.name,
        prompts=judge.prompts,
        dtype=judge.model.dtype,
        jurat=__version__,
        seconds=0.0,
        error=None,
        columns=dict(item.columns),
        occurrence=item.occurrence,
        basis="known_match",
        label=label,
        distance=distance,
        handling=handling,
    )


def reused_verdict(verdict: Verdict, loaded: Loaded) -> Verdict:
    """The verdict of a near duplicate, as that of an item of one picture."""
    (image,) = loaded.images
    return verdict.model_copy(
        update={
            "decision": str(uuid.uuid4()),
            "time": _now(),
            "id": loaded.id,
            "uri": loaded.uri,
            "kind": loaded.kind,
            "sha256": loaded.sha256,
            "width": image.width,
            "height": image.height,
            "duration": image.duration if loaded.kind == "video" else None,
            "seconds": 0.0,
            "cost": Cost(),
            "columns": dict(loaded.columns),
            "occurrence": loaded.occurrence,
            "reused": verdict.reused or verdict.decision,
        }
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
