"""A jailbreak detector on embeddings of prompts: a linear head reads a model's hidden states at the end of a
prompt, before it is answered.

It is the plain baseline that others are compared with. `jurat defense fit jailbreak-detector` fits the head
to labelled prompts through the guarded model, or through another local model, which then also guards models
that are served.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from jurat.content import Chat, Failure, Reply
from jurat.content.chat import ask_in
from jurat.defenses.defense import Defense
from jurat.defenses.fitting.fitted_file import check_same_model, digest_of
from jurat.defenses.fitting.linear_head import LinearHead
from jurat.defenses.last_tokens import LastTokens, Reading, ReadingModel
from jurat.defenses.procedure import Event, Steps
from jurat.errors import JuratError
from jurat.models import Answer, Inquiry, Model, Steerable, full_name, open_model
from jurat.named_settings import setting

__all__ = ["HeadDefense", "JailbreakDetector"]


@dataclass(frozen=True)
class HeadDefense(Defense):
    """A defense with a head that was fitted, whose features come from the guarded model or from another.

    Raises:
        JuratError: the file cannot be read, or is another one than `digest` says.
    """

    head: str = setting("", "ours", "The file that jurat defense fit wrote.")
    digest: str = setting("", "ours", "Its digest; filled in, and checked where it is given.")
    reader: str = setting("", "ours", "The local model that it was fitted to; empty: the guarded one.")
    harmful_above: Annotated[float, Field(ge=0, le=1)] = setting(
        0.5, "ours", "Probability above which what was read counts as harmful."
    )

    def __post_init__(self) -> None:
        if not self.head:
            raise JuratError(
                f"The defense {self.name!r} needs a head that was fitted.",
                hint=f"Fit it: jurat defense fit {self.name}. Then: {self.name}?head=FILE",
            )
        object.__setattr__(self, "digest", digest_of(Path(self.head), self.digest, self.name))
        _ = self.fitted

    @cached_property
    def fitted(self) -> LinearHead:
        """The head, as it was when the defense was made."""
        return LinearHead.load(Path(self.head), self.name)

    def check(self, model: Model) -> None:
        super().check(model)
        if self.reader:
            return
        if model.capability(Steerable) is None:
            raise JuratError(
                f"The defense {self.name!r} needs a model with Steerable, not {model.name!r}.",
                hint=f"Name the local model that it was fitted to: {self.name}?head=FILE&reader=hf/PATH",
            )
        check_same_model(self.name, self.fitted.model, full_name(model))

    def over(self, model: Model) -> ReadingModel:
        self.check(model)
        return ReadingModel(model, self, self.open_reader())

    def open_reader(self) -> Model | None:
        """The model that is read, where it is not the guarded one.

        Raises:
            JuratError: it cannot be opened, or is not the one that the head was fitted to.
        """
        if not self.reader:
            return None
        model = open_model(self.reader)
        try:
            check_same_model(self.name, self.fitted.model, full_name(model))
        except JuratError:
            model.close()
            raise
        return model

    def harm(self, chat: Chat) -> Steps[float | Failure]:
        """The probability that a conversation is harmful, or why there is none."""
        read: LastTokens = yield Reading(chat, (self.fitted.layer,))
        if read.failure is not None:
            return read.failure
        found = self.fitted.probability(read.states[self.fitted.layer])
        return found if 0 <= found <= 1 else Failure("error", "The model's hidden states are not finite.")


@dataclass(frozen=True)
class JailbreakDetector(HeadDefense):
    """See the module's docstring. Closed questions are read with the conversation before them.

    Event: "blocked".
    """

    name: ClassVar[str] = "jailbreak-detector"

    def chat(self, chat: Chat) -> Steps[Reply]:
        held = yield from self._held(chat)
        return (yield chat) if held is None else Reply(failure=held)

    def ask(self, inquiry: Inquiry) -> Steps[Answer]:
        asked = Chat(ask_in(inquiry.prefix.turns, "\n".join(inquiry.questions)))
        held = yield from self._held(asked)
        return (yield inquiry) if held is None else Answer(failure=held)

    def _held(self, chat: Chat) -> Steps[Failure | None]:
        """Why a request does not reach the model; None where it does."""
        harm = yield from self.harm(chat)
        if isinstance(harm, Failure):
            return harm
        if harm <= self.harmful_above:
            return None
        yield Event("blocked")
        return Failure("filtered", f"Blocked: the detector calls the prompt harmful ({harm:.0%}).")
