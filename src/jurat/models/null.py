"""The `null` model: answers drawn from a seed, at a set pace.

It sees nothing. It serves to measure what everything except a model costs, and to produce faults on request;
its disclaimer goes into every record. An answer depends only on the seed, the images, the conversation's text
and the question, so that a run can be repeated and resumed.

Options, after a question mark ("null?seed=3&pace=0.01"):

- `seed`: an integer; the spec's own if left out.
- `pace`: seconds for each inquiry and each chat. 0 if left out.
- `mass`: P(Yes) + P(No) of every answer, in [0, 1]. 0.98 if left out.
- `fail`: share of images, in [0, 1], whose answer is a failure of the kind `kind` ("error" if left out).
- `crash`: share of images, in [0, 1], that make the call raise.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast, get_args

from jurat.content import Chat, Failure, FailureKind, Reply, Usage
from jurat.errors import JuratError
from jurat.models.capabilities import Disclaimer
from jurat.models.cut_reply import cut_reply
from jurat.models.model_spec import ModelSpec
from jurat.models.protocol import (
    Answer,
    C,
    Inquiry,
    Model,
    YesNo,
    check_settings,
    invalid_setting,
)

_DISCLAIMER = "The null model draws its answers from a seed: they mean nothing."


def open_null(spec: ModelSpec) -> NullModel:
    spec.check(*(field.name for field in fields(NullSettings)))
    return NullModel(NullSettings.parse(spec), name=spec.name)


@dataclass(frozen=True)
class NullSettings:
    """The options of the module's docstring."""

    seed: int = 0
    pace: float = 0.0
    mass: float = 0.98
    fail: float = 0.0
    crash: float = 0.0
    kind: FailureKind = "error"

    @classmethod
    def parse(cls, spec: ModelSpec) -> NullSettings:
        readers: dict[str, Callable[[str], Any]] = {
            "seed": int,
            "pace": _number(0, 3600),
            "mass": _number(0, 1),
            "fail": _number(0, 1),
            "crash": _number(0, 1),
            "kind": _kind,
        }
        values: dict[str, Any] = {"seed": spec.seed}
        for key, text in spec.options.items():
            try:
                values[key] = readers[key](text)
            except ValueError as error:
                raise JuratError(f"The null model's option {key!r} cannot be {text!r}: {error}.") from None
        return cls(**values)


class NullModel(Model):
    """See the module's docstring."""

    revision = "none"
    dtype = "none"
    supported_settings = frozenset({"max_tokens", "temperature", "top_p", "seed", "stop"})

    def __init__(self, settings: NullSettings | None = None, *, name: str = "null") -> None:
        self.settings = settings or NullSettings()
        self.name = name

    @property
    def disclaimer(self) -> str:
        return _DISCLAIMER

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [self._answer(inquiry) for inquiry in inquiries]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        check_settings(self, chats)
        return [self._reply(chat) for chat in chats]

    def capability(self, kind: type[C]) -> C | None:
        return cast(C, self) if kind is Disclaimer else None

    def _answer(self, inquiry: Inquiry) -> Answer:
        failure = self._fault(inquiry.prefix)
        if failure is not None:
            return Answer(failure=failure)
        context = _digest(inquiry.prefix)
        draws = (self._draw(b"question", context, question.encode()) for question in inquiry.questions)
        mass = self.settings.mass
        answers = tuple(YesNo(mass * draw, mass - mass * draw) for draw in draws)
        tokens = sum(len(question.split()) for question in inquiry.questions)
        return Answer(answers, usage=Usage(input_tokens=tokens))

    def _reply(self, chat: Chat) -> Reply:
        settings = chat.generation
        failure = invalid_setting(settings) or self._fault(chat)
        if failure is not None:
            return Reply(failure=failure)
        # There are two replies, equally likely: top_p of at most one half leaves only the greedy one.
        drawn = settings.temperature > 0 and settings.top_p > 0.5
        draw = self._draw(b"reply", _digest(chat), str(settings.seed or 0).encode() if drawn else b"")
        return cut_reply(f"The null model says {'Yes' if draw > 0.5 else 'No'}.", settings)

    def _fault(self, chat: Chat) -> Failure | None:
        """Waits for `pace`, then fails with the configured frequency. Chats without images never fail."""
        if self.settings.pace:
            time.sleep(self.settings.pace)
        if not chat.images:
            return None
        try:
            images = _digest_images(chat)
        except (OSError, ValueError) as error:
            return Failure("error", f"The image cannot be read: {error}")
        if self._draw(b"crash", images, b"") < self.settings.crash:
            raise RuntimeError("the null model crashed, as it was asked to")
        if self._draw(b"fail", images, b"") < self.settings.fail:
            return Failure(self.settings.kind, "The null model failed, as it was asked to.")
        return None

    def _draw(self, purpose: bytes, context: bytes, detail: bytes) -> float:
        """Uniform in [0, 1)."""
        text = b"\0".join((str(self.settings.seed).encode(), purpose, context, detail))
        return int.from_bytes(hashlib.sha256(text).digest()[:7], "big") / 2**56


def _digest(chat: Chat) -> bytes:
    text = "\0".join(f"{turn.role}\0{turn.text}" for turn in chat.turns)
    return hashlib.sha256(_digest_images(chat) + text.encode()).digest()


def _digest_images(chat: Chat) -> bytes:
    digest = hashlib.sha256()
    for image in chat.images:
        digest.update(f"{image.mode} {image.size}".encode())
        digest.update(image.tobytes())
    return digest.digest()


def _number(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(f"it lies outside [{low}, {high}]")
        return value

    return read


def _kind(text: str) -> FailureKind:
    if text not in get_args(FailureKind):
        raise ValueError(f"it is none of {', '.join(get_args(FailureKind))}")
    return cast(FailureKind, text)
