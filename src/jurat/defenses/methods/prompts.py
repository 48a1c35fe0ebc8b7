"""Defensive prompts: a wording that is told to the model before or beside each request.

Wu et al. 2023, "Jailbreaking GPT-4V via self-adversarial attacks with system prompts" (arXiv 2311.09127), use
system prompts in defense too; AdaShield (arXiv 2403.09513) asks the model to examine the image first; MIRage
(arXiv 2501.18533) has it reason over several images, which they train, and which is only asked for here. All
wordings are our own. Such prompts make models refuse more harmless requests too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import ClassVar, Literal, TypeAlias

from jurat.content import Chat, Turn
from jurat.defenses.defense import Defense, Turns
from jurat.defenses.procedure import Steps
from jurat.errors import JuratError
from jurat.models import Answer, Inquiry
from jurat.named_settings import setting
from jurat.registry import suggestion
from jurat.yaml_files import plain_yaml

__all__ = ["AdaShield", "ImagePairs", "Placement", "SystemPrompt", "wordings"]

Placement: TypeAlias = Literal["system", "before", "after"]
"""In the system turn, or before or after the text of the last turn of the user's."""


@cache
def wordings() -> dict[str, str]:
    """The shelf: name -> text."""
    text = (files("jurat.defenses") / "wordings.yaml").read_text("utf-8")
    return {name: " ".join(wording.split()) for name, wording in plain_yaml(text).items()}


@dataclass(frozen=True)
class SystemPrompt(Defense):
    """A wording of the shelf, or one of the user's own.

    Raises:
        JuratError: there is no such variant.
    """

    name = "system-prompt"

    variant: str = setting("policy", "ours", "Wording of the shelf: policy, short, reminder and others.")
    placement: Placement = setting("system", "recalled", "Where it stands: system, before or after.")
    text: str = setting("", "ours", "A wording of one's own, in the place of the variant.")

    def __post_init__(self) -> None:
        if self.variant not in wordings():
            raise JuratError(
                f"There is no wording {self.variant!r} of a prompt.",
                hint=suggestion(self.variant, wordings()),
            )

    @property
    def words(self) -> str:
        """What the model is told."""
        return self.text or wordings()[self.variant]

    def wording(self) -> Sequence[str]:
        return (self.words,)

    def turns(self, turns: Turns) -> Turns:
        words = self.words
        if self.placement == "system":
            # Templates take one system turn, at the beginning.
            if turns and turns[0].role == "system":
                return (replace(turns[0], parts=(f"{words}\n\n{turns[0].text}",)), *turns[1:])
            return (Turn("system", (words,)), *turns)
        last = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=None)
        if last is None:
            return (*turns, Turn("user", (words,)))
        return (*turns[:last], _beside(turns[last], words, self.placement), *turns[last + 1 :])

    def ask(self, inquiry: Inquiry) -> Steps[Answer]:
        return (yield self.asked(inquiry))

    def asked(self, inquiry: Inquiry) -> Inquiry:
        """The questions with the wording."""
        if self.placement != "after":
            return replace(inquiry, prefix=self.shown(inquiry.prefix))
        return replace(inquiry, questions=tuple(f"{each}\n{self.words}" for each in inquiry.questions))


@dataclass(frozen=True)
class AdaShield(SystemPrompt):
    """The static form of AdaShield; the adaptive one, which searches for prompts, is not here."""

    name: ClassVar[str] = "adashield"

    variant: str = setting("adashield", "ours", "Wording of the shelf.")
    placement: Placement = setting("before", "recalled", "Where it stands: system, before or after.")


@dataclass(frozen=True)
class ImagePairs(SystemPrompt):
    """Reasoning over several images, by a prompt."""

    name: ClassVar[str] = "image-pairs"

    variant: str = setting("image-pairs", "ours", "Wording of the shelf.")
    placement: Placement = setting("before", "ours", "Where it stands: system, before or after.")

    def shown(self, chat: Chat) -> Chat:
        """Conversations with fewer than two images are left as they are."""
        return super().shown(chat) if len(chat.images) > 1 else chat


def _beside(turn: Turn, words: str, placement: Placement) -> Turn:
    """A turn with words before or after its text; images stay where they are."""
    texts = [i for i, part in enumerate(turn.parts) if isinstance(part, str)]
    if not texts:
        return replace(turn, parts=(*turn.parts, words))
    at = texts[0 if placement == "before" else -1]
    joined = (words, turn.parts[at]) if placement == "before" else (turn.parts[at], words)
    text = "\n\n".join(str(each) for each in joined)
    return replace(turn, parts=(*turn.parts[:at], text, *turn.parts[at + 1 :]))
