"""What an attacker may do with a model, and what it cost.

White-box attacks use `continuations` and `span_continuations` (gradients of the whole model, with respect to
pixels and to text), attacks on an encoder `features`, and black-box ones `chat` and `ask`. Every call is
counted; what a model does not provide is an error at once.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from jurat.content import Chat, Reply
from jurat.errors import JuratError
from jurat.models import (
    Answer,
    Differentiable,
    DifferentiableGate,
    DifferentiableText,
    DomainGate,
    Embedder,
    Inquiry,
    Model,
)
from jurat.models.white_box import ContinuationLogits, ImageFeatures

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Access", "Compute"]

C = TypeVar("C")


@dataclass
class Compute:
    """What an attack cost. A forward or a backward is that of one sequence; for an encoder, of one image."""

    forwards: int = 0
    """Passes that were made with access to the network, gradients or not."""
    backwards: int = 0
    queries: int = 0
    """Conversations and closed questions that were sent as any user would send them."""
    seconds: float = 0.0
    """Time that the loop of the attack took, its checks included."""

    def since(self, before: Compute) -> Compute:
        """What was spent after `before`, a copy of this at an earlier time."""
        return Compute(
            self.forwards - before.forwards,
            self.backwards - before.backwards,
            self.queries - before.queries,
            self.seconds - before.seconds,
        )

    @contextmanager
    def timed(self) -> Generator[None]:
        """Adds the time that the context takes."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - begun


class Access:
    """A model as an attacker sees it, with what was spent on it so far.

    Several models may share one `Compute`.
    """

    def __init__(self, model: Model, spent: Compute | None = None) -> None:
        self.model = model
        self.spent = Compute() if spent is None else spent
        self._held: dict[type, Any] = {}

    def continuations(
        self, chats: Sequence[Chat], pixels: Sequence[Sequence[Tensor]], texts: Sequence[str]
    ) -> list[ContinuationLogits]:
        """See `Differentiable.continuations`; pixels are rounded as the processor rounds them."""
        found = self._capability(Differentiable, "gradients with respect to pixels")
        self.spent.forwards += len(chats)
        return found.continuations(chats, pixels, texts, rounded=True)

    def answers(self, inquiries: Sequence[Inquiry], pixels: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """See `Differentiable.answers`; an inquiry counts once, however many questions it has."""
        found = self._capability(Differentiable, "gradients with respect to pixels")
        self.spent.forwards += len(inquiries)
        return found.answers(inquiries, pixels, rounded=True)

    def excess(self, pixels: Sequence[Tensor]) -> Tensor | None:
        """See `DifferentiableGate`; None of a model without a gate."""
        if self.model.capability(DomainGate) is None:
            return None
        found = self._capability(DifferentiableGate, "gradients of its domain gate")
        self.spent.forwards += len(pixels)
        return found.excess(pixels, rounded=True)

    @property
    def text(self) -> DifferentiableText:
        """The model's tokens and their embeddings. What makes passes is counted by the two methods below."""
        return self._capability(DifferentiableText, "gradients with respect to text")

    def span_continuations(
        self,
        chats: Sequence[Chat],
        pixels: Sequence[Sequence[Tensor]],
        texts: Sequence[str],
        spans: Sequence[Sequence[int]],
        shifts: Sequence[Tensor],
    ) -> list[ContinuationLogits]:
        """See `DifferentiableText.continuations`; pixels are rounded as the processor rounds them."""
        self.spent.forwards += len(chats)
        return self.text.continuations(chats, pixels, texts, spans, shifts, rounded=True)

    def span_scores(
        self,
        chats: Sequence[Chat],
        pixels: Sequence[Sequence[Tensor]],
        texts: Sequence[str],
        spans: Sequence[Sequence[int]],
    ) -> list[Tensor]:
        """See `DifferentiableText.scores`; pixels are rounded as the processor rounds them."""
        self.spent.forwards += len(chats)
        return self.text.scores(chats, pixels, texts, spans, rounded=True)

    def features(self, pixels: Sequence[Tensor]) -> list[ImageFeatures]:
        """See `Embedder.pixels`."""
        found = self._capability(Embedder, "features of its vision tower")
        self.spent.forwards += len(pixels)
        return found.pixels(pixels, rounded=True)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """See `Embedder.texts`."""
        return self._capability(Embedder, "features of its vision tower").texts(texts)

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        self.spent.queries += len(chats)
        return self.model.chat(chats)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        self.spent.queries += sum(len(inquiry.questions) for inquiry in inquiries)
        return self.model.ask(inquiries)

    def _capability(self, kind: type[C], what: str) -> C:
        # It is kept, since it remembers what it encoded.
        found = self._held[kind] = self._held.get(kind) or self.model.capability(kind)
        if found is None:
            raise JuratError(
                f"The attack needs {what}, which {self.model.name!r} does not give.",
                hint="Local models give them (hf/NAME_OR_PATH); black-box attacks work on endpoints.",
            )
        return found
