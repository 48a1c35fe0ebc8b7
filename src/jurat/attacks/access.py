"""What an attacker may do with a model, and what it cost.

White-box attacks use `continuations` (gradients of the whole model), attacks on an encoder `features`, and
black-box ones `chat` and `ask`. Every call is counted; what a model does not provide is an error at once.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from jurat.content import Chat, Reply
from jurat.errors import JuratError
from jurat.models import Answer, Differentiable, DifferentiableGate, DomainGate, Embedder, Inquiry, Model
from jurat.models.capabilities import ContinuationLogits, ImageFeatures

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
        self._found: dict[type, Any] = {}

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
        # A capability remembers what it encoded.
        found = self._found[kind] = self._found.get(kind) or self.model.capability(kind)
        if found is None:
            raise JuratError(
                f"The attack needs {what}, which {self.model.name!r} does not give.",
                hint="Local models give them (hf/NAME_OR_PATH); black-box attacks work on endpoints.",
            )
        return found
