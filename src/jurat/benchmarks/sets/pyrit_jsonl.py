"""Conversations that PyRIT recorded: the pieces of its memory, and the lines that Azure's red-teaming agent
writes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from jurat.benchmarks.cells import object_in, parsed, texts_in
from jurat.benchmarks.conversation import Message, conversation, message_of, messages_in
from jurat.benchmarks.reader import Reader, Row, SkipRow, same_text, text_if_any
from jurat.benchmarks.sample import Sample
from jurat.content import Item

_TEXTS = ("text", "url", "reasoning", "error")
"""Kinds of piece whose value is a text. `error` is a reply that a filter or a fault took the place of."""


class PyRIT(Reader):
    """A row is a conversation: the pieces with the same `conversation_id`, as `export_conversations` writes
    them (JSON, CSV) or one a line, or a line with a `conversation`."""

    def rows(self) -> Iterator[Row]:
        pieces: defaultdict[str, list[Row]] = defaultdict(list)
        known: set[str] = set()
        for name in self.files.find(self.card.patterns(self.layout)[0]):
            is_csv = name.lower().endswith(".csv")
            for row in self.files.table(name) if is_csv else self.files.records(name):
                id = text_if_any(row.cells, "conversation_id")
                if row.problem is not None or "conversation" in row.cells:
                    yield row
                elif id is None:
                    yield Row(
                        row.place, problem="it is no piece of PyRIT's memory: it has no conversation_id"
                    )
                elif (piece := text_if_any(row.cells, "id") or row.place) in known:
                    self.files.notes["pieces that are there more than once were left out"] += 1
                else:
                    known.add(piece)
                    pieces[id].append(row)
        for id, rows in pieces.items():
            cells = [row.cells for row in rows]
            yield Row(rows[0].place, {"id": id, "pieces": sorted(cells, key=_sequence)})

    def samples(self, row: Row) -> Iterator[Sample]:
        if "pieces" not in row.cells:
            yield self._of_agent(row)
            return
        pieces: list[Mapping[str, Any]] = row.cells["pieces"]
        messages = [self._message(piece) for piece in pieces]
        original = "\n".join(filter(None, map(_original, pieces)))
        reply_error = next((e for piece in pieces if (e := _error(piece)) is not None), None)
        scores = [score for piece in pieces for score in _scores(piece)]
        texts = {"original": original, "response_error": reply_error, "scores": "\n".join(scores)}
        sample = Sample(
            id=row.cells["id"],
            item=Item(),
            category=", ".join(_categories(pieces)) or None,
            cluster=original and same_text(original),
            fields={name: text for name, text in texts.items() if text},
        )
        yield conversation(_joined(messages, pieces), sample, self.files.notes)

    def _of_agent(self, row: Row) -> Sample:
        found = messages_in(object_in(row.cells, "conversation").get("messages"))
        messages = [message_of(each, self.image) for each in found]
        first = next((text for each in messages if each.role == "user" for text in each.texts), "")
        sample = Sample(
            id=row.place,
            item=Item(),
            category=text_if_any(row.cells, "risk_sub_type"),
            cluster=first and same_text(first),
        )
        return conversation(messages, sample, self.files.notes)

    def _message(self, piece: Mapping[str, Any]) -> Message:
        """What was sent: the converted value."""
        which = "converted" if text_if_any(piece, "converted_value") else "original"
        value = text_if_any(piece, f"{which}_value") or ""
        kind = text_if_any(piece, f"{which}_value_data_type") or "text"
        role = text_if_any(piece, "role") or ""
        if kind == "image_path":
            # An image that the model drew is no part of what it is asked.
            return (
                Message(role, ["(an image)"])
                if "assistant" in role
                else Message(role, [], [self.image(value)])
            )
        if kind not in _TEXTS:
            raise SkipRow(f"it has a piece of the kind {kind!r}, which is not read")
        return Message(role, [value])


def _joined(messages: list[Message], pieces: list[Mapping[str, Any]]) -> list[Message]:
    """Pieces with the same place in the conversation are one message."""
    joined: list[Message] = []
    before: object = None
    for message, piece in zip(messages, pieces, strict=True):
        place = (_sequence(piece), message.role)
        if place == before and place[0] >= 0:
            last = joined[-1]
            message = Message(last.role, [*last.texts, *message.texts], [*last.images, *message.images])
            joined.pop()
        joined.append(message)
        before = place
    return joined


def _sequence(piece: Mapping[str, Any]) -> int:
    text = text_if_any(piece, "sequence") or ""
    return int(text) if text.lstrip("-").isdigit() else -1


def _original(piece: Mapping[str, Any]) -> str | None:
    """What the user meant to say, before converters changed it; of an image its name."""
    if text_if_any(piece, "role") != "user":
        return None
    value = text_if_any(piece, "original_value")
    is_path = (text_if_any(piece, "original_value_data_type") or "text") != "text"
    return value.replace("\\", "/").rpartition("/")[2] if value and is_path else value


def _error(piece: Mapping[str, Any]) -> str | None:
    error = text_if_any(piece, "response_error")
    return None if error in (None, "none") else error


def _scores(piece: Mapping[str, Any]) -> Iterator[str]:
    listed = parsed(piece.get("scores"))
    for score in listed if isinstance(listed, list) else ():
        if isinstance(score, dict) and (value := text_if_any(score, "score_value")) is not None:
            yield f"{text_if_any(score, 'score_type') or 'score'}: {value}"


def _categories(pieces: list[Mapping[str, Any]]) -> list[str]:
    found = [each for piece in pieces for each in texts_in(piece, "targeted_harm_categories")]
    named = (text_if_any(object_in(piece, "labels"), "harm_category", "risk_sub_type") for piece in pieces)
    return list(dict.fromkeys([*found, *filter(None, named)]))
