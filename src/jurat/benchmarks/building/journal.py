"""The replies of models, recorded as they come, so that a stopped build asks nothing twice."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jurat.content import Chat, Failure, Reply
from jurat.errors import JuratError
from jurat.files import file_errors
from jurat.models import Model, full_name
from jurat.models.chat_each import chat_each
from jurat.runs.line_file import LineFile, lines_in
from jurat.text import reason, shown, storable

FILE = "replies.jsonl"
BATCH = 16
"""Conversations that are asked together; what a killed build loses at most."""


class Journal:
    """The recorded replies of a build. A conversation has the same key whenever the model as it was
    opened, the texts, the pictures and the settings are the same."""

    def __init__(self, folder: Path) -> None:
        """Raises JuratError where the record of an earlier build cannot be read."""
        self.path = folder / FILE
        self._rows: dict[str, dict[str, Any]] = {}
        self._opened: dict[int, str] = {}
        self._used: dict[int, Counter[str]] = {}
        self.asked = 0
        """Conversations that were asked in this process."""
        try:
            if self.path.exists():
                self._rows = {row["key"]: row for row in lines_in(self.path)}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise JuratError(
                f"{shown(str(self.path))} cannot be read: {reason(error)}.",
                hint="It holds the replies of earlier builds; restore it, or build into another folder.",
            ) from error
        self.earlier = len(self._rows)
        """Replies that were recorded by earlier builds."""

    def ask(
        self, model: Model, chats: Sequence[Chat], tell: Callable[[int, int], None] = lambda done, of: None
    ) -> list[Reply]:
        """The replies, recorded ones without asking. Failures of the kind `error` are not recorded, so that
        the next build asks again.

        Args:
            tell: is told how many of these have a reply, and how many they are.

        Raises:
            ModelUnavailable: the model's server is unreachable; what was replied is recorded.
        """
        opened = self._opened.setdefault(id(model), full_name(model))
        keys = [_key(opened, chat) for chat in chats]
        replies = {key: _reply(self._rows[key]) for key in keys if key in self._rows}
        missing = {key: chat for key, chat in zip(keys, chats, strict=True) if key not in replies}
        waiting = list(missing.items())
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            for (key, _), reply in zip(batch, chat_each(model, [chat for _, chat in batch]), strict=True):
                reply = replies[key] = _storable(reply)
                self.asked += 1
                if reply.failure is None or reply.failure.kind != "error":
                    self._record(key, model, reply)
            tell(len(replies), len(set(keys)))
        recorded = (self._rows[key]["model"] for key in dict.fromkeys(keys) if key in self._rows)
        self._used.setdefault(id(model), Counter()).update(recorded)
        return [replies[key] for key in keys]

    def names(self, model: Model) -> dict[str, int]:
        """Name and revision of the model as it replied, to number of replies in this build: a server may have
        changed its revision since it was asked first."""
        return dict(self._used.get(id(model), {}))

    def _record(self, key: str, model: Model, reply: Reply) -> None:
        failure = reply.failure
        row = {
            "key": key,
            "model": full_name(model),
            "text": reply.text,
            "finish": reply.finish,
            "failure": None if failure is None else [failure.kind, failure.reason],
        }
        with file_errors(self.path):
            file = LineFile.continued(self.path)
            try:
                file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            finally:
                file.close()
        self._rows[key] = row


def _storable(reply: Reply) -> Reply:
    """The reply as it can be recorded, without its cost."""
    failure = reply.failure
    failure = None if failure is None else Failure(failure.kind, storable(failure.reason))
    return Reply(storable(reply.text), failure=failure, finish=reply.finish)


def _reply(row: dict[str, Any]) -> Reply:
    failure = None if row["failure"] is None else Failure(*row["failure"])
    return Reply(row["text"], failure=failure, finish=row["finish"])


def _key(model: str, chat: Chat) -> str:
    """
    Args:
        model: its name and revision when it was opened; that of a server is known after a reply only.
    """
    digest = hashlib.sha256(json.dumps([model, repr(chat.generation)]).encode())
    for turn in chat.turns:
        digest.update(json.dumps([turn.role, turn.text]).encode())
        for image in turn.images:
            digest.update(f"{image.mode} {image.size}".encode() + image.tobytes())
    return digest.hexdigest()[:24]
