"""Llama Guard 4 (12B): `Llama4ForConditionalGeneration` with the chat template of its processor.

The template writes the task and the categories around the conversation, which is here one user turn with the
image. The reply is "safe", or "unsafe" and a line of category codes; the score is P(unsafe) at the first
token in which the two words differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from jurat.bench.guards.chat import ChatGuard, WrittenReply
from jurat.bench.guards.interface import GuardAnswer, shared_out
from jurat.models.hf.load_model import load

if TYPE_CHECKING:
    from jurat.constitution import Constitution

_CODE = re.compile(r"\bS(?:1[0-4]|[1-9])\b")


class LlamaGuard4(ChatGuard):
    """See the module's docstring."""

    kind, most = "llama-guard-4", 24
    categories: ClassVar[Mapping[str, str]] = {
        "S1": "violent crimes",
        "S2": "non-violent crimes",
        "S3": "sex-related crimes",
        "S4": "child sexual exploitation",
        "S5": "defamation",
        "S6": "specialized advice",
        "S7": "privacy",
        "S8": "intellectual property",
        "S9": "indiscriminate weapons",
        "S10": "hate",
        "S11": "suicide and self-harm",
        "S12": "sexual content",
        "S13": "elections",
        "S14": "code interpreter abuse",
    }
    notes = (
        "Its authors say that it judges a prompt of text and image, and is not meant for images alone, nor "
        "for generated ones.",
    )

    def read(self, reply: WrittenReply) -> GuardAnswer:
        """Parses a reply."""
        text = reply.text.lstrip()
        lead = reply.text[: len(reply.text) - len(text)]
        word = text.split(maxsplit=1)[0].strip(".,").lower() if text else ""
        if word not in ("safe", "unsafe"):
            return GuardAnswer(None, spending=reply.spending, reason="unparsed")
        score = self.probability(reply, lead, ("safe", "unsafe"))
        unsafe = word == "unsafe"
        flagged = frozenset(_CODE.findall(text)) if unsafe else frozenset[str]()
        scores = shared_out(tuple(self.categories), flagged, unsafe, score)
        return GuardAnswer(unsafe, score, scores, flagged, reply.spending)


def open_guard(
    reference: str, policy: str | None, rules: Constitution, device: str | None, dtype: str | None
) -> LlamaGuard4:
    """Raises ModelError where it cannot be loaded."""
    return LlamaGuard4(reference, load(reference, device=device, dtype=dtype))
