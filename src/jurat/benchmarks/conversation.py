"""Conversations as other tools write them, to samples: the turns up to the last one of the user, and the
reply behind it as a field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from jurat.benchmarks.cells import parsed
from jurat.benchmarks.reader import SkipRow
from jurat.benchmarks.sample import Sample
from jurat.content import Item, LazyImage, Role, Turn

_ROLES: Mapping[str, Role] = {
    **{role: role for role in get_args(Role)},
    "developer": "system",
    "simulated_assistant": "assistant",
    "human": "user",
}


@dataclass(frozen=True)
class Message:
    """One message: texts, and images in their order."""

    role: str
    texts: Sequence[str]
    images: Sequence[LazyImage] = ()


def conversation(
    messages: Sequence[Message], sample: Sample, notes: Counter[str] | None = None, *, silent: str = ""
) -> Sample:
    """The sample with an item of these messages. Its fields gain `prompt`, the user's last text, `response`,
    the text of the assistant's messages behind it, and `moved_images`, how many images are not in the user's
    first message: a protocol shows all of them there.

    Args:
        notes: counts what a user should know.
        silent: stands for the user's last text where that message has images alone.

    Raises:
        SkipRow: no message is the user's; the last of them says nothing; or one has a role that is none of a
            conversation's.
    """
    for message in messages:
        if message.role not in _ROLES:
            raise SkipRow(f"it has a message of the role {message.role!r}, which is not read")
    turns = [Turn(_ROLES[each.role], ("\n".join(filter(None, each.texts)),)) for each in messages]
    last = max((at for at, turn in enumerate(turns) if turn.role == "user"), default=None)
    if last is None:
        raise SkipRow("it has no message of the user")
    if not turns[last].text.strip():
        if not messages[last].images or not silent:
            raise SkipRow("the user's last message has no text")
        turns[last] = Turn("user", (silent,))
        _count(notes, f"samples with images and no text: each is asked {silent!r}")
    images = [image for message in messages[: last + 1] for image in message.images]
    first = next(at for at, turn in enumerate(turns) if turn.role == "user")
    moved = len(images) - len(messages[first].images)
    if moved:
        _count(notes, "samples with images behind the user's first message: they are shown in it")
    texts = {
        "prompt": turns[last].text,
        "response": "\n".join(turn.text for turn in turns[last + 1 :] if turn.text),
        "moved_images": str(moved or ""),
    }
    fields = {name: text for name, text in texts.items() if text} | dict(sample.fields)
    return replace(sample, item=Item(images, turns=turns[: last + 1]), fields=fields)


def _count(notes: Counter[str] | None, note: str) -> None:
    if notes is not None:
        notes[note] += 1


def parts_of(content: object, find: Callable[[str], LazyImage]) -> Iterator[str | LazyImage]:
    """The texts and images of a message's content: a text, or a list of parts as OpenAI's API, geh and
    Inspect write them.

    Args:
        find: the image of a path, URL or data URL.

    Raises:
        SkipRow: a part is of a kind that is not read: audio, a file.
    """
    if isinstance(content, str):
        yield content
        return
    for part in cast("list[Any]", content) if isinstance(content, list) else [content]:
        if isinstance(part, str):
            yield part
            continue
        cells = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
        kind = cells.get("type")
        if kind == "text":
            yield str(cells.get("text") or "")
        elif kind in ("media", "image_url", "image"):
            inner = cells.get("media") or cells.get("image_url") or cells.get("image") or cells
            value = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {"url": inner}
            yield find(str(value.get("uri") or value.get("url") or value.get("path") or ""))
        else:
            raise SkipRow(f"a message has a part of the kind {kind!r}, which is not read")


def message_of(value: object, find: Callable[[str], LazyImage]) -> Message:
    """The message in an object with `role` and `content`. Raises SkipRow as `parts_of`, and where there is
    none."""
    cells = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if not isinstance(cells.get("role"), str) or "content" not in cells:
        raise SkipRow("a message lacks `role` or `content`")
    parts = list(parts_of(cells["content"], find))
    texts = [part for part in parts if isinstance(part, str)]
    return Message(cells["role"], texts, [part for part in parts if isinstance(part, LazyImage)])


def messages_in(value: object) -> list[Any]:
    """The list of messages in a cell, which may be JSON. Raises SkipRow where there is none."""
    found = parsed(value)
    if not isinstance(found, list) or not found:
        raise SkipRow("its messages are no list")
    return cast("list[Any]", found)
