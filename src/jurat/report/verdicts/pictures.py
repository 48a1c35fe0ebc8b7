"""The picture that stands for a verdict: of an item of several images or frames the one that decided."""

from __future__ import annotations

from jurat.judge.verdict import ItemKind, Part, Verdict
from jurat.report.gallery import Picture


def picture_of(verdict: Verdict) -> Picture:
    """Where the picture of a verdict lies, and which frame of it is shown."""
    part = part_shown(verdict)
    time, rendering = (part.time, part.rendering) if part else (None, None)
    if not verdict.images:
        return Picture(verdict.uri, verdict.sha256, verdict.id, verdict.frame, time, rendering)
    image = verdict.images[min(verdict.frame, len(verdict.images) - 1)]
    frame = part.frame or 0 if part else 0
    sha256 = None if verdict.sha256 is None else image.sha256
    uris = tuple(each.uri for each in verdict.images)
    return Picture(image.uri, sha256, "", frame, time, rendering, uris)


def size_of(verdict: Verdict) -> tuple[int | None, int | None]:
    """Width and height of the picture of a verdict, in pixels."""
    shown = verdict.images[min(verdict.frame, len(verdict.images) - 1)] if verdict.images else verdict
    return shown.width, shown.height


def part_shown(verdict: Verdict) -> Part | None:
    """The worst part at the frame that a verdict is about."""
    parts = [part for rule in verdict.rules for part in rule.parts if part.index == verdict.frame]
    worst = {"broken": 2, "undecided": 1, "kept": 0}
    return max(parts, key=lambda part: (worst[part.outcome], part.score or 0.0), default=None)


def frame_name(verdict: Verdict) -> str:
    """The name of the part that is shown."""
    part = part_shown(verdict)
    return f"frame {verdict.frame}" if part is None else part_name(part, verdict.kind)


def part_name(part: Part, kind: ItemKind) -> str:
    """ "1.5 s" of a video, "image 2" of several, "frame 7" of an animation, "over black" of a translucent
    picture."""
    rendering = f", {part.rendering}" if part.rendering else ""
    if kind == "images":
        frame = "" if part.frame is None else f", frame {part.frame}"
        return f"image {part.index + 1}{frame}{rendering}"
    if kind == "image" and part.rendering:
        return part.rendering
    return (f"frame {part.index}" if part.time is None else f"{part.time:.1f} s") + rendering
