"""Samples from Inspect's: from any dataset of `inspect_evals` that is installed, for example."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from string import ascii_uppercase
from typing import Any, cast

from jurat.benchmarks.cells import texts_in
from jurat.benchmarks.conversation import Message, conversation, message_of
from jurat.benchmarks.reader import SkipRow, text_if_any
from jurat.benchmarks.sample import Sample, Skipped
from jurat.content import ImageError, Item, LazyImage
from jurat.media import DEFAULT_MAX_BYTES
from jurat.sources.cells import picture_in
from jurat.sources.openers import InMemory, LocalFile, local_path
from jurat.sources.uris import scheme_of


def from_inspect(
    samples: Iterable[Any], *, root: str | os.PathLike[str] | None = None, category: str = "category"
) -> Iterator[Sample | Skipped]:
    """Samples from those of Inspect, in their order, and what is left out.

    from_inspect(inspect_ai.dataset.json_dataset("riddles.jsonl"))
    from_inspect(inspect_evals.vqa_rad.vqa_rad().dataset)

    Args:
        samples: `inspect_ai.dataset.Sample` objects, or a dataset of them. The input may be a conversation
            with images, as paths or data URLs. An image behind a web address is not fetched: its sample is
            left out, as are samples with audio, video, documents or tool calls. Files, setup and sandbox are
            not carried over.
        root: where relative paths of images begin. Default: the current folder.
        category: the key of the metadata that becomes the category. All metadata that is text or a number is
            in `fields`.

    Targets become `expected`, and choices the field `choices`, one a line, with their letters.
    """
    taken: set[str] = set()
    for number, sample in enumerate(samples, 1):
        place = f"sample {number}"
        try:
            found = _sample(sample, number, place, os.fspath(root or "."), category)
        except SkipRow as skip:
            yield Skipped(place, skip.reason, skip.missing_image)
            continue
        if found.id in taken:
            yield Skipped(place, f"an earlier sample has its id {found.id!r}")
            continue
        taken.add(found.id)
        yield found


def _sample(sample: Any, number: int, place: str, root: str, category: str) -> Sample:
    metadata = cast("dict[str, Any]", sample.metadata or {})
    id = str(number if sample.id is None else sample.id)
    targets = texts_in({"target": sample.target}, "target")
    if len(sample.choices or ()) > len(ascii_uppercase):
        raise SkipRow(f"it has {len(sample.choices)} choices, more than there are letters")
    choices = map("{}) {}".format, ascii_uppercase, sample.choices or ())
    texts = {name: text_if_any(metadata, name) for name in metadata} | {"choices": "\n".join(choices)}
    plain = Sample(
        id=id,
        item=Item(id=id, uri=place),
        expected=tuple(targets) or None,
        category=text_if_any(metadata, category),
        cluster=id,
        source_row=place,
        fields={name: text for name, text in texts.items() if text},
    )
    found = conversation(_messages(sample.input, partial(_image, root=root, place=place)), plain)
    return replace(found, item=replace(found.item, id=id, uri=place))


def _messages(given: Any, find: Any) -> list[Message]:
    if isinstance(given, str):
        return [Message("user", [given])]
    if any(getattr(message, "tool_calls", None) for message in given):
        raise SkipRow("it has tool calls, which are not read")
    return [message_of(message.model_dump(include={"role", "content"}), find) for message in given]


def _image(value: str, *, root: str, place: str) -> LazyImage:
    try:
        data = picture_in(value, DEFAULT_MAX_BYTES)
    except ImageError as error:
        raise SkipRow(f"it has {error.message}") from error
    if data is not None:
        return LazyImage(place, InMemory(data))
    if (scheme := scheme_of(value)) not in (None, "file"):
        raise SkipRow(f"its image is behind {scheme}://, which is not fetched", missing_image=value)
    path = os.path.abspath(os.path.join(root, local_path(value) or value))
    if not os.path.isfile(path):
        raise SkipRow(f"there is no image {value!r}", missing_image=value)
    return LazyImage(path, LocalFile(path))
