"""MLLM-Protector: Pi et al. 2024, "MLLM-Protector: ensuring MLLM's safety without hurting performance" (arXiv
2401.02906).

A harm detector reads each reply, and a detoxifier rewrites those that it calls harmful. The authors train a
language model with a head for the one and another model for the other. Here the detector is a linear head on
the hidden states of a local model (`jurat defense fit protector`, from labelled replies), and the detoxifier
a model that was trained to rewrite (`jurat defense fit detoxifier`) or any that is asked to; the guarded one,
if none is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from jurat.content import Chat, Failure, Generation, Reply, Turn
from jurat.defenses.defense import Defense, unchecked
from jurat.defenses.last_tokens import Reading, ReadingModel
from jurat.defenses.methods.jailbreak_detector import HeadDefense
from jurat.defenses.methods.prompts import wordings
from jurat.defenses.procedure import Event, Steps
from jurat.models import Model, open_model
from jurat.models.chat_each import chat_each, check_can_chat
from jurat.models.cut_reply import cut_reply
from jurat.named_settings import setting

__all__ = ["ProtectedModel", "Protector", "rewriting"]


@dataclass(frozen=True)
class _Detoxify:
    """A request to another model. It is counted as a check."""

    chat: Chat


@dataclass(frozen=True)
class Protector(HeadDefense):
    """See the module's docstring. The detector is given the reply alone, both when it is fitted and here. A
    rewritten reply is read again; one that is still harmful is refused. Closed questions pass unchanged.

    Events: "rewritten", "refused".
    """

    name: ClassVar[str] = "protector"
    needs: ClassVar[tuple[str | type, ...]] = ("chat",)

    harmful_above: Annotated[float, Field(ge=0, le=1)] = setting(
        0.5, "authors", "Probability above which a reply counts as harmful."
    )
    detoxifier: str = setting("", "ours", "The model that rewrites; empty: the guarded one.")
    harmful: Literal["rewrite", "refuse"] = setting("rewrite", "authors", "What becomes of a harmful reply.")
    refusal: str = setting("I cannot help with that.", "ours", "The reply where it is refused.")

    def wording(self) -> Sequence[str]:
        return () if self.detoxifier or self.harmful == "refuse" else (wordings()["detoxify"],)

    def over(self, model: Model) -> ProtectedModel:
        self.check(model)
        reader = self.open_reader()
        try:
            return ProtectedModel(model, self, reader, self._open_detoxifier())
        except BaseException:
            if reader is not None:
                reader.close()
            raise

    def chat(self, chat: Chat) -> Steps[Reply]:
        reply: Reply = yield chat
        if reply.failure is not None:
            return reply
        harm = yield from self._harm_of(reply)
        if isinstance(harm, bool) and harm and self.harmful == "rewrite":
            yield Event("rewritten")
            request = next((turn.text for turn in reversed(chat.turns) if turn.role == "user"), "")
            turns = (Turn("user", (rewriting(request, reply.text),)),)
            # Another model may not have all settings of the guarded one.
            other = _Detoxify(Chat(turns, Generation(max_tokens=chat.generation.max_tokens)))
            reply = yield other if self.detoxifier else Chat(turns, chat.generation)
            if reply.failure is not None:
                return reply
            harm = yield from self._harm_of(reply)
        if isinstance(harm, Failure):
            return Reply(failure=unchecked(harm))
        if not harm:
            return reply
        yield Event("refused")
        return cut_reply(self.refusal, chat.generation)

    def _harm_of(self, reply: Reply) -> Steps[bool | Failure]:
        """Whether a reply is harmful; an empty one is not."""
        if not reply.text.strip():
            return False
        found = yield from self.harm(Chat((Turn("user", (reply.text,)),)))
        return found if isinstance(found, Failure) else found > self.harmful_above

    def _open_detoxifier(self) -> Model | None:
        if not self.detoxifier or self.harmful == "refuse":
            return None
        model = open_model(self.detoxifier)
        check_can_chat(model, f"the defense {self.name!r} has it rewrite")
        return model


class ProtectedModel(ReadingModel):
    """A model with a detector and a detoxifier behind it."""

    def __init__(
        self, inner: Model, defense: Defense, reader: Model | None, detoxifier: Model | None
    ) -> None:
        super().__init__(inner, defense, reader)
        self._detoxifier = detoxifier

    def check(self, requests: Sequence[Any]) -> list[Any]:
        """What was read for each `Reading`, and the rewritten replies."""
        if isinstance(requests[0], Reading):
            return super().check(requests)
        assert self._detoxifier is not None
        return chat_each(self._detoxifier, [each.chat for each in requests])

    def close(self) -> None:
        if self._detoxifier is not None:
            self._detoxifier.close()
        super().close()


def rewriting(request: str, answer: str) -> str:
    """What a detoxifier is told, at run time and when it is trained: the request, and the answer that it is
    to write again."""
    return f"{wordings()['detoxify']}\n\nRequest: {request}\n\nAnswer: {answer}"
