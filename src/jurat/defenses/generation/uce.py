"""Unified concept editing: Gandikota et al. 2024, "Unified concept editing in diffusion models" (arXiv
2308.14761).

The key and value matrices W of every cross-attention layer are edited in closed form, so that they give for
the concept c what they gave for a guide g, and for concepts p that are preserved what they gave before
(equation 7):

    W' = (lambda W + erase W g c^T + preserve sum_p W p p^T) R^-1
    R  = lambda I + erase c c^T + preserve sum_p p p^T

c, g and p are the text embeddings of the last token of a wording, as in the authors' code
(`uce_sd_erase.py`); the guide "" stands for the begin mark alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from jurat.defenses.generation.defense import WeightEdit, no_concept
from jurat.models import LatentDiffusion
from jurat.named_settings import setting

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Uce"]

_EDITED = ("attn2.to_k.weight", "attn2.to_v.weight")


@dataclass(frozen=True)
class Uce(WeightEdit):
    """See the module's docstring. Several wordings of a concept, and several preserved concepts, are
    separated by semicolons."""

    name: ClassVar[str] = "uce"

    guide: str = setting("", "authors", "What the concept is read as.")
    preserve: str = setting("", "authors", "Concepts that are read as before.")
    erase_scale: Annotated[float, Field(ge=0)] = setting(1.0, "authors", "Weight of the concept.")
    preserve_scale: Annotated[float, Field(ge=0)] = setting(1.0, "authors", "Weight of a preserved concept.")
    regularisation: Annotated[float, Field(gt=0)] = setting(
        0.5, "authors", "lambda: weight of leaving the matrices as they are."
    )

    def __post_init__(self) -> None:
        if not _parts(self.concept):
            raise no_concept(self.name)

    def edit(self, model: LatentDiffusion) -> dict[str, Tensor]:
        import torch

        erased, kept = _parts(self.concept), _parts(self.preserve)
        before = _last(model, [*erased, *kept])
        after = _last(model, [*[self.guide] * len(erased), *kept])
        scales = [self.erase_scale] * len(erased) + [self.preserve_scale] * len(kept)
        weighted = before * before.new_tensor(scales)[:, None]
        own = self.regularisation * torch.eye(before.shape[1], dtype=before.dtype, device=before.device)
        right = own + before.T @ weighted
        return {
            name: torch.linalg.solve(right, (weight.double() @ (own + after.T @ weighted)), left=False)
            for name, weight in model.weights().items()
            if name.endswith(_EDITED)
        }


def _last(model: LatentDiffusion, texts: list[str]) -> Tensor:
    """Embeddings of the last tokens in float64: (texts, width)."""
    return model.encode(texts)[range(len(texts)), model.last_token(texts)].double()


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]
