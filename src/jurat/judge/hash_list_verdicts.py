"""Verdicts without a model call: on known content, and on near duplicates of judged images."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from jurat.content import Item
from jurat.content.item import digest_of, read_images
from jurat.judge.verdict import Cost, ItemImage, ItemKind, Verdict, now_text
from jurat.media import Sampling
from jurat.media.hash_list import HashList, HashMatch
from jurat.media.video import container_of

if TYPE_CHECKING:
    from jurat.judge.judge import Judge
    from jurat.judge.loading import Loaded


@dataclass(frozen=True)
class KnownItem:
    """An item that a list of known content decides, without its bytes."""

    item: Item
    """Without images."""
    match: HashMatch
    kind: ItemKind
    sha256: str
    images: tuple[ItemImage, ...]
    """Each image of an item of several; else empty."""


def find_known(
    item: Item, known: HashList | None, sampling: Sampling, *, reads_texts: bool
) -> KnownItem | None:
    """The match of an item in a list; None if there is none, or the item cannot be read.

    Args:
        reads_texts: whether rules are about captions or conversations. Allowed images are then judged all the
            same, since their texts may break a rule.
    """
    if known is None:
        return None
    try:
        images = item.lazy_images()
        contents = read_images(images)
    except Exception:  # its error row says why
        return None
    match = known.match_all(contents, sampling)
    if match is None or (match.entry.action == "allow" and reads_texts):
        return None
    digests = [sha256(data).hexdigest() for data in contents]
    kind: ItemKind = "images" if len(images) > 1 else "video" if container_of(contents[0]) else "image"
    several = [
        ItemImage(uri=image.uri, sha256=digest, width=None, height=None)
        for image, digest in zip(images, digests, strict=True)
    ]
    return KnownItem(
        replace(item, images=()),
        match,
        kind,
        digest_of(digests),
        tuple(several) if len(several) > 1 else (),
    )


def known_verdict(judge: Judge, known: KnownItem) -> Verdict:
    """The verdict on known content: `unsafe` if it is to be blocked, else `safe`.

    It has no findings, since no rule was judged. The model and the constitution are those of the run.
    """
    item, entry = known.item, known.match.entry
    return Verdict(
        decision=str(uuid.uuid4()),
        time=now_text(),
        id=item.id,
        uri=item.uri,
        kind=known.kind,
        sha256=known.sha256,
        width=None,
        height=None,
        frames=0,
        outcome="unsafe" if entry.action == "block" else "safe",
        broken=(),
        reason=None,
        rules=(),
        **judge.provenance(),
        seconds=0.0,
        error=None,
        columns=dict(item.columns),
        occurrence=item.occurrence,
        basis="known_match",
        label=entry.label,
        distance=known.match.distance,
        handling=entry.handling,
        images=known.images,
    )


def reused_verdict(verdict: Verdict, loaded: Loaded) -> Verdict:
    """The verdict of a near duplicate, taken over for an item of one image."""
    (image,) = loaded.images
    return verdict.model_copy(
        update={
            "decision": str(uuid.uuid4()),
            "time": now_text(),
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
