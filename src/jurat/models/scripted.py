"""The `scripted` model: replies by a script, so that their truth is known.

It is a control for tables (what does a model score that refuses everything?), replays answers that were given
elsewhere, and tests evaluations. It sees no picture; its disclaimer says so.

A script is a YAML file, or the name of one that comes with jurat (`refuse`, `comply`, `yes`, `no`, `echo`):

    name: half
    rules:
      - when: "apple|cake"        # a regular expression that is looked for in the last user turn
        reply: "An apple is fine."
      - share: 0.5                # of the conversations that come here, chosen by their digest
        reply: "Sorry, I cannot help with that."
      - reply: "Sure. {question}" # {question} is the last user turn

The first rule that fits replies; where none does, the reply is a failure. Options, after a question mark:
`seed`, which chooses other conversations for a `share`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, field_validator

from jurat.content import Chat, Failure, Reply
from jurat.errors import JuratError
from jurat.models.capabilities import Disclaimer
from jurat.models.cut_reply import cut_reply
from jurat.models.model_spec import ModelSpec
from jurat.models.protocol import (
    Answer,
    C,
    Inquiry,
    Model,
    ModelError,
    YesNo,
    check_settings,
    invalid_setting,
)
from jurat.text import reason, shown
from jurat.yaml_files import parse_yaml, yaml_text

_DISCLAIMER = "The scripted model replies by a script and sees no picture."


class Rule(BaseModel):
    """One line of a script."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reply: str
    when: str = ""
    share: float = Field(default=1.0, ge=0, le=1)

    @field_validator("when")
    @classmethod
    def _is_pattern(cls, text: str) -> str:
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError(f"{text!r} is no regular expression: {error}") from error
        return text


class Script(BaseModel):
    """A script as its file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    rules: tuple[Rule, ...] = Field(min_length=1)


def open_scripted(spec: ModelSpec) -> ScriptedModel:
    """Opens a script by its path, or one of ours by its name."""
    spec.check("seed", reference="FILE_OR_NAME")
    seed = spec.options.get("seed", str(spec.seed))
    if not seed.isdecimal():
        raise JuratError(f"The scripted model's option 'seed' cannot be {seed!r}: it is a number from 0.")
    text = _read(spec.reference)
    script = parse_yaml(text, Script, shown(spec.reference), "script")
    revision = hashlib.sha256(f"{text}\0{seed}".encode()).hexdigest()[:12]
    return ScriptedModel(script, seed=int(seed), name=spec.name, revision=revision)


class ScriptedModel(Model):
    """See the module's docstring."""

    dtype = "none"
    supported_settings = frozenset({"max_tokens", "temperature", "top_p", "seed", "stop"})

    def __init__(
        self, script: Script, *, seed: int = 0, name: str = "scripted", revision: str = "none"
    ) -> None:
        self.script, self.seed = script, seed
        self.name, self.revision = name, revision

    @property
    def disclaimer(self) -> str:
        return _DISCLAIMER

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        """Replies to each question as `chat` does; one that begins with neither Yes nor No is unparsed."""
        return [self._answer(inquiry) for inquiry in inquiries]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        check_settings(self, chats)
        return [self._reply(chat) for chat in chats]

    def capability(self, kind: type[C]) -> C | None:
        return cast(C, self) if kind is Disclaimer else None

    def _answer(self, inquiry: Inquiry) -> Answer:
        try:
            answers = tuple(self._yes_no(inquiry.prefix, question) for question in inquiry.questions)
        except (OSError, ValueError) as error:
            return Answer((), "stated", failure=_unreadable(error))
        return Answer(answers, "stated")

    def _yes_no(self, prefix: Chat, question: str) -> YesNo:
        text = self._text(f"{_last(prefix)}\n{question}".strip(), _digest(prefix, question))
        if text is None:
            return YesNo(0, 0, self._no_rule(), stated=True)
        if word := re.match(r"\s*(yes|no)\b", text, re.IGNORECASE):
            yes = float(word[1].lower() == "yes")
            return YesNo(yes, 1 - yes, stated=True)
        return YesNo(0, 0, Failure("unparsed", "The reply begins with neither Yes nor No."), stated=True)

    def _reply(self, chat: Chat) -> Reply:
        failure = invalid_setting(chat.generation)
        if failure is not None:
            return Reply(failure=failure)
        try:
            text = self._text(_last(chat), _digest(chat))
        except (OSError, ValueError) as error:
            return Reply(failure=_unreadable(error))
        if text is None:
            return Reply(failure=self._no_rule())
        return cut_reply(text, chat.generation, input_tokens=len(_last(chat).split()))

    def _no_rule(self) -> Failure:
        return Failure("error", f"No rule of the script {self.script.name!r} fits.")

    def _text(self, question: str, digest: bytes) -> str | None:
        """The reply of the first rule that fits; None where none does."""
        for number, rule in enumerate(self.script.rules):
            drawn = hashlib.sha256(f"{self.seed} {number} ".encode() + digest).digest()
            if re.search(rule.when, question) and int.from_bytes(drawn[:7], "big") / 2**56 < rule.share:
                return rule.reply.replace("{question}", question)
        return None


def _unreadable(error: Exception) -> Failure:
    return Failure("error", f"The image cannot be read: {reason(error)}")


def _read(reference: str) -> str:
    ours = files("jurat.models") / "scripts" / f"{reference}.yaml"
    if "/" not in reference and ours.is_file():
        return ours.read_text("utf-8")
    try:
        return yaml_text(reference)
    except JuratError as error:
        names = sorted(
            file.name.removesuffix(".yaml") for file in (files("jurat.models") / "scripts").iterdir()
        )
        raise ModelError(
            f"The script {error.message}", hint=f"Name a YAML file, or one of {', '.join(names)}."
        ) from error


def _last(chat: Chat) -> str:
    """The text of the last user turn."""
    return next((turn.text for turn in reversed(chat.turns) if turn.role == "user"), "")


def _digest(chat: Chat, question: str = "") -> bytes:
    """Digest of a conversation: its texts and its pictures."""
    digest = hashlib.sha256(question.encode())
    for turn in chat.turns:
        digest.update(f"\0{turn.role}\0{turn.text}".encode())
        for image in turn.images:
            digest.update(f"\0{image.mode} {image.size}".encode() + image.tobytes())
    return digest.digest()
