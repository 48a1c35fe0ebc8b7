"""Samples as Inspect's, and what a log holds of them as ours again, without the user's copy of the set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

from inspect_ai.dataset import Sample as InspectSample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    Content,
    ContentImage,
    ContentText,
)
from inspect_ai.solver import TaskState

from jurat.benchmarks import LazyTurn, Sample
from jurat.benchmarks.protocol import Protocol
from jurat.content import Chat, Generation, ImageError, Item, LazyImage, Turn
from jurat.content.item import of_several, read_images
from jurat.evals.images import REMOVED, data_uri, lazy
from jurat.evals.replies import reply_of
from jurat.evals.requests import chat_of
from jurat.media import DEFAULT_MAX_BYTES
from jurat.scorers import Answered
from jurat.sources.openers import LocalFile
from jurat.text import storable

_MESSAGES = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}


def inspect_sample(sample: Sample, protocol: Protocol, set_name: str) -> InspectSample:
    """The sample as Inspect holds it: texts and facts. Its images are put in by the task's setup."""
    expected = written(sample.expected)
    return InspectSample(
        input=[_message(turn.role, written(turn.text)) for turn in protocol.turns(sample)],
        target=expected or "",
        id=sample.id,
        metadata=written(
            {
                "set": set_name,
                "expected": expected,
                "label": sample.label,
                "group": sample.group,
                "category": sample.category,
                "cluster": sample.cluster,
                "source_row": sample.source_row,
                "fields": dict(sample.fields),
                "attack": dict(sample.attack),
                "images": [image.uri for image in sample.item.lazy_images()],
            }
        ),
    )


def written(value: Any) -> Any:
    """A value as a log holds it: half a surrogate pair in a text, with which no log could be written, is an
    escape, and a tuple is a list."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {written(key): written(each) for key, each in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [written(each) for each in cast("Sequence[Any]", value)]
    return value


def messages(turns: Sequence[LazyTurn]) -> list[ChatMessage]:
    """The conversation with its images as data URIs.

    Raises:
        ImageError: an image cannot be read.
    """
    return [
        _message(turn.role, list(_contents(turn)) if _shows(turn) else written(turn.text)) for turn in turns
    ]


def digests_of(shown: Sequence[ChatMessage]) -> list[str]:
    """A digest of each image of a conversation, by which two logs can be told to show the same."""
    return [hashlib.sha256(uri.encode()).hexdigest()[:16] for uri in _uris(shown)]


def sample_of(id: str, metadata: Mapping[str, Any], shown: Sequence[ChatMessage]) -> Sample:
    """The sample of a log.

    Args:
        metadata: as `inspect_sample` made it.
        shown: the conversation, whose images are the sample's; where the log was written without images,
            they are read from where they were.
    """
    expected = metadata.get("expected")
    turns = [Turn(m.role, (m.text,)) for m in shown if m.role in ("user", "assistant")]
    while turns and turns[-1].role == "assistant":
        turns.pop()  # a beginning of the reply, which the protocol or an attack wrote
    return Sample(
        id=id,
        item=Item(list(_images(metadata, shown)), id=id, uri=metadata.get("source_row") or id, turns=turns),
        expected=tuple(expected) if isinstance(expected, list) else expected,
        label=metadata.get("label"),
        group=metadata.get("group"),
        category=metadata.get("category"),
        cluster=metadata.get("cluster") or id,
        source_row=metadata.get("source_row") or "",
        fields=metadata.get("fields") or {},
        attack=metadata.get("attack") or {},
    )


def answered_of(state: TaskState, *, error: str | None = None) -> Answered:
    """The sample and its reply, as scorers take them.

    Args:
        error: why the sample has no reply, if it has none.
    """
    shown = [message for message in state.messages if message.role != "tool"]
    if not state.output.empty and shown and shown[-1].role == "assistant":
        shown.pop()  # the reply
    sample = sample_of(str(state.sample_id), state.metadata, shown)
    return Answered(sample, reply_of(state.output, error), _chat(shown))


def _chat(shown: Sequence[ChatMessage]) -> Chat | None:
    """The conversation that the reply continues; None where the log lacks its images."""
    try:
        return chat_of(shown, Generation())
    except ImageError:
        return None


def _images(metadata: Mapping[str, Any], shown: Sequence[ChatMessage]) -> Iterator[LazyImage]:
    places: list[str] = metadata.get("images") or []
    for number, uri in enumerate(_uris(shown)):
        place = places[number] if number < len(places) else f"image {number + 1}"
        if uri == REMOVED and os.path.isfile(place):
            yield LazyImage(place, LocalFile(place, DEFAULT_MAX_BYTES))
        else:
            yield lazy(uri, place)


def _uris(shown: Sequence[ChatMessage]) -> Iterator[str]:
    for message in shown:
        for part in () if isinstance(message.content, str) else message.content:
            if isinstance(part, ContentImage):
                yield part.image


def _message(role: str, content: str | list[Content]) -> ChatMessage:
    return _MESSAGES[role](content=content)


def _shows(turn: LazyTurn) -> bool:
    return any(isinstance(part, LazyImage) for part in turn.parts)


def _contents(turn: LazyTurn) -> Iterator[Content]:
    images = [part for part in turn.parts if isinstance(part, LazyImage)]
    uris = map(partial(_uri, count=len(images)), range(1, len(images) + 1), read_images(images))
    for part in turn.parts:
        yield ContentText(text=written(part)) if isinstance(part, str) else ContentImage(image=next(uris))


def _uri(number: int, data: bytes, count: int) -> str:
    try:
        return data_uri(data)
    except ImageError as error:
        raise ImageError(of_several(number, count) + error.message) from error
