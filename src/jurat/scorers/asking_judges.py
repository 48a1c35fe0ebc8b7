"""What judges are shown of a sample and its reply, and their verdicts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image
from pydantic import BaseModel

from jurat.benchmarks import Sample
from jurat.content import Chat, Generation, Reply, Turn, Usage
from jurat.errors import JuratError
from jurat.judge.loading import load_item
from jurat.judge.prompts import quote
from jurat.media import Sampling
from jurat.metrics.normalise import normalised
from jurat.models import Model, ModelSpec, open_model
from jurat.models.chat_each import chat_each, check_can_chat
from jurat.scorers.judgement import Answered, State
from jurat.scorers.refusal_list import shipped_list
from jurat.scorers.rubric import Rubric, Shown
from jurat.scorers.verdict_json import Unreadable, model_of, read_verdict
from jurat.text import reason

LONGEST = 100_000
"""Characters of all texts together that a judge is shown; nothing is cut."""
JudgeModel = Model | ModelSpec | str
"""A judge: opened, or as `jurat.models.open_model` takes it."""


class NotShown(Exception):
    """A reply that no judge can be asked about; the message is a sentence for a person."""


@dataclass(frozen=True)
class Material:
    """What a judge is shown."""

    quoted: str
    """The texts, each as a JSON string on a line of its own."""
    images: tuple[Image.Image, ...]
    key: str
    """What the verdict must repeat. It depends on the reply, so that no reply can hold it."""


@dataclass(frozen=True)
class Ruling:
    """What one judge replied, read."""

    state: State
    verdict: dict[str, Any]
    """Empty unless the state is `scored`."""
    reason: str
    """Why there is no verdict."""
    reply: Reply


@dataclass(frozen=True)
class JudgeCall:
    """A judge with its rubric."""

    model: Model
    rubric: Rubric

    @cached_property
    def _verdict(self) -> type[BaseModel]:
        return model_of(self.rubric.verdict_schema)

    def chat(self, material: Material, before: str = "") -> Chat:
        """The conversation that asks for a verdict; `before` begins the user's turn."""
        text = before + self.rubric.prompt(material.quoted, material.key)
        return Chat((Turn("user", (*material.images, text)),), Generation(max_tokens=self.rubric.max_tokens))

    def ask(self, chats: Sequence[Chat], keys: Sequence[str]) -> list[Ruling]:
        """The judge's rulings, one for each conversation."""
        replies = chat_each(self.model, chats)
        return [self.read(reply, key) for reply, key in zip(replies, keys, strict=True)]

    def read(self, reply: Reply, key: str) -> Ruling:
        """What the judge's reply says. A refusal, an unreadable verdict and a failure have no verdict."""
        if (failure := reply.failure) is not None:
            states: dict[str, State] = {"refused": "refused", "filtered": "refused", "unparsed": "unparsed"}
            return Ruling(states.get(failure.kind, "error"), {}, f"The judge: {failure.reason}", reply)
        if not normalised(reply.text):
            return Ruling("unparsed", {}, "The judge's reply is empty.", reply)
        if reply.finish == "length":
            return Ruling("unparsed", {}, "The judge's reply was cut off.", reply)
        try:
            return Ruling("scored", read_verdict(reply.text, self._verdict, key), "", reply)
        except Unreadable as error:
            if "{" not in reply.text and shipped_list("first-sentence").find(reply.text):
                return Ruling("refused", {}, "The judge declined to judge.", reply)
            return Ruling("unparsed", {}, str(error), reply)


def open_judge_model(model: JudgeModel, opened: ExitStack) -> Model:
    """The model of a judge; `opened` closes it, unless it was open before.

    Raises:
        JuratError: it cannot be opened, or answers closed questions only.
    """
    if isinstance(model, str | ModelSpec):
        model = open_model(model)
        opened.callback(model.close)
    check_can_chat(model, "a judge writes its verdict")
    return model


def check_fields(rubric: Rubric, fields: Mapping[str, str | None]) -> None:
    """Refuses a field for a text that the judge is not shown: `request_field`, `reference_field`. Raises
    JuratError."""
    for name, field in fields.items():
        what = name.removesuffix("_field")
        if field is not None and what not in rubric.shows:
            raise JuratError(
                f"The rubric {rubric.name!r} does not show the {what}, so that {name}={field} says nothing.",
                hint=f"It shows {', '.join(rubric.shows)}.",
            )


def material_or_reason(
    answered: Answered,
    shows: Sequence[Shown],
    *,
    request_field: str | None = None,
    reference_field: str | None = None,
) -> Material | str:
    """What a judge is shown of a reply, or why it cannot be shown: a text is missing or too long, or an image
    cannot be read."""
    try:
        return _material(answered, shows, request_field, reference_field)
    except NotShown as error:
        return str(error)
    except Exception as error:  # a third party's sample or image may raise anything
        return f"The reply cannot be shown to a judge: {type(error).__name__}: {reason(error)}"


def _material(
    answered: Answered, shows: Sequence[Shown], request_field: str | None, reference_field: str | None
) -> Material:
    sample, reply = answered.sample, answered.reply.text
    lines: list[str] = []
    if "request" in shows:
        lines += _request(answered, request_field)
    if "reference" in shows:
        lines.append(quote("Reference", _reference(sample, reference_field)))
    lines.append(quote("Reply, cut off" if answered.reply.finish == "length" else "Reply", reply))
    # Half of a surrogate pair cannot be sent; as an escape it is still JSON.
    quoted = "\n".join(lines).encode("utf-8", "backslashreplace").decode()
    if len(quoted) > LONGEST:
        raise NotShown(f"The texts have {len(quoted):,} characters; a judge is shown {LONGEST:,} at most.")
    images = _images(answered) if "images" in shows else ()
    key = hashlib.sha256("\0".join((sample.id, reply)).encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return Material(quoted, images, key)


def spent(usage: Usage) -> dict[str, float]:
    """What a judge's replies cost, as details."""
    facts = {"input_tokens": float(usage.input_tokens), "output_tokens": float(usage.output_tokens)}
    return facts if usage.money is None else {**facts, "money": usage.money}


def request_turns(answered: Answered) -> tuple[Turn, ...]:
    """The turns that the reply answers: as the model was shown them, else the sample's; without a system
    turn, which is not the user's request."""
    turns = answered.chat.turns if answered.chat is not None else answered.sample.item.turns
    return tuple(turn for turn in turns if turn.role != "system")


def _request(answered: Answered, field: str | None) -> list[str]:
    if field is not None:
        if not (text := answered.sample.fields.get(field, "").strip()):
            raise NotShown(f"The sample has no {field}, which the judge is to be shown as the request.")
        return [quote("Request", text)]
    turns = [turn for turn in request_turns(answered) if turn.text.strip()]
    if not turns:
        raise NotShown("There is no request to show to the judge.")
    if len(turns) == 1:
        return [quote("Request", turns[0].text)]
    names = {"user": "Earlier request", "assistant": "Earlier reply"}
    lines = [quote(names[turn.role], turn.text) for turn in turns[:-1]]
    last = "Request" if turns[-1].role == "user" else "Beginning of the reply"
    return [*lines, quote(last, turns[-1].text)]


def _reference(sample: Sample, field: str | None) -> str:
    if field is not None:
        reference = sample.fields.get(field, "")
    else:
        expected = sample.expected
        reference = expected if isinstance(expected, str) else "\n".join(expected or ())
    if not reference.strip():
        raise NotShown("The sample has no reference to compare the reply with.")
    return reference


def _images(answered: Answered) -> tuple[Image.Image, ...]:
    if answered.chat is not None:
        return answered.chat.images
    item = answered.sample.item
    if not callable(item.images) and not item.images:
        return ()
    loaded = load_item(item, Sampling())
    if loaded.error is not None:
        raise NotShown(f"The images cannot be shown to the judge: {loaded.error}.")
    return loaded.frames
