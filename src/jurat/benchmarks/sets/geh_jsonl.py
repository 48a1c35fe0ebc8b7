"""Samples as guard-eval-harness (`geh`) writes and reads them, a JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from jurat.benchmarks.cells import texts_in
from jurat.benchmarks.conversation import Message, conversation, message_of, messages_in
from jurat.benchmarks.reader import Reader, Row, SkipRow, text_if_any, texts_named
from jurat.benchmarks.sample import COMPLY, REFUSE, Sample
from jurat.content import Item

_LABELS = {"unsafe": ("1", "1.0", "true", "unsafe", "yes"), "safe": ("0", "0.0", "false", "safe", "no")}
"""What its `_coerce_label` takes for unsafe and for safe."""
_IMAGES = ("image", "image_path", "path")
_TEXTS = ("prompt", "text", "instruction", "caption")
_SILENT = "What does this picture show?"
"""What is asked about an image without a text; geh's guards are shown the image alone."""
_METADATA = ("category", "source", "policy")


class GehJsonl(Reader):
    """Reads its cache (`samples.jsonl`: `messages`, `label`) and its local files (`messages` or `prompt`, an
    image, `unsafe`); of its predictions it says that they hold no prompt."""

    def rows(self) -> Iterator[Row]:
        for name in self.files.find(self.card.patterns(self.layout)[0]):
            yield from self.files.records(name)

    def samples(self, row: Row) -> Iterator[Sample]:
        cells = row.cells
        if "unsafe_score" in cells:
            raise SkipRow("it is a prediction of geh and holds no prompt; its samples are in samples.jsonl")
        messages, label = self._messages(row), _label(cells)
        about_reply = messages[-1].role == "assistant"
        metadata = cast("dict[str, Any]", m) if isinstance(m := cells.get("metadata"), dict) else {}
        categories = texts_in(cells, "category_labels") or texts_in({**metadata, **cells}, "category")
        sample = Sample(
            id=text_if_any(cells, "id", "sample_id") or row.place,
            item=Item(),
            # The label of a conversation that ends with a reply is about the reply.
            expected=None if about_reply or label is None else REFUSE if label == "unsafe" else COMPLY,
            label=label,
            group=text_if_any(cells, "dataset"),
            category=", ".join(categories) or None,
            fields=texts_named(metadata, _METADATA),
        )
        yield conversation(messages, sample, self.files.notes, silent=_SILENT)

    def _messages(self, row: Row) -> list[Message]:
        if "messages" in row.cells:
            found = [message_of(each, self.image) for each in messages_in(row.cells["messages"])]
        else:
            found = [Message("user", [text_if_any(row.cells, *_TEXTS) or ""])]
            if response := text_if_any(row.cells, "response"):
                found.append(Message("assistant", [response]))
        if (path := text_if_any(row.cells, *_IMAGES)) is not None:
            at = next((at for at, each in enumerate(found) if each.role == "user"), 0)
            found[at] = Message(found[at].role, found[at].texts, [*found[at].images, self.image(path)])
        return found


def _label(cells: Any) -> str | None:
    """`unsafe` or `safe`; None where the row says neither. Raises SkipRow for another word."""
    given = cells.get("label")
    inner = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    value = inner.get("unsafe", cells.get("unsafe", None if inner else given))
    if value is None or value == "":
        return None
    said = str(value).strip().lower()
    found = next((label for label, words in _LABELS.items() if said in words), None)
    if found is None:
        raise SkipRow(f"its label {said!r} is neither safe nor unsafe")
    return found
