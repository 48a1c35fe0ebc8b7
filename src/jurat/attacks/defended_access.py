"""An attacker who knows the defense: gradients go through what it does to pictures and texts.

The attacker has the undefended model, and repeats the defense in front of it. What is random is averaged over
draws (expectation over transformations, Athalye et al. 2018, arXiv 1707.07397); what has no gradient is
computed as it is, with the gradient of the identity (BPDA, Athalye et al. 2018, arXiv 1802.00420). Whether an
attack succeeded is for the defended model itself to say: `jurat.attacks.verdicts` asks it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from jurat.attacks.access import Access, Compute
from jurat.attacks.objectives import seeded
from jurat.attacks.pictures import as_levels, as_picture, as_pixels
from jurat.defenses import Defense
from jurat.defenses.methods.coca import Coca
from jurat.defenses.methods.ecso import Ecso
from jurat.defenses.methods.ensembles import Ensemble, RandomViews, Smoothing
from jurat.defenses.methods.pictures import Resize
from jurat.defenses.methods.prompts import SystemPrompt
from jurat.errors import JuratError
from jurat.models import Inquiry, Model

__all__ = ["DefendedAccess", "Way", "way_through"]

Way = Literal["exact", "in expectation", "straight-through"]
"""How gradients go through a defense."""
View = Callable[[Any, Tensor, torch.Generator], Tensor]
"""What a defense shows in the place of a picture (3, H, W) in [0, 1], differentiable."""

_ONE_CALL = (SystemPrompt, Ecso)
"""Defenses that put a closed question in one call, with its pictures as they are."""
_SEVERAL_CALLS = (Coca,)
"""Subclasses of these that answer a closed question from several calls."""
_ELSEWHERE = ("ask", "turns", "within", "over")
"""Methods that a defense of pictures alone does not override."""


def way_through(defense: Defense) -> Way:
    """How gradients of closed questions go through a defense.

    Raises:
        JuratError: they do not.
    """
    kind = type(defense)
    if isinstance(defense, Smoothing | RandomViews):
        return "in expectation"
    if isinstance(defense, (Resize, *_ONE_CALL)) and not isinstance(defense, _SEVERAL_CALLS):
        return "exact"
    own = [name for name in _ELSEWHERE if getattr(kind, name) is not getattr(Defense, name)]
    if isinstance(defense, Ensemble) or not own:
        return "straight-through"
    raise JuratError(f"Gradients do not go through the defense {defense.name!r}.")


class DefendedAccess(Access):
    """Access to the closed questions of a model under defenses, for an attacker who knows them.

    Args:
        model: the model without these defenses.
        defenses: the one that sees a conversation first at the front.
        draws: views of each picture that the answers are averaged over, if a defense is random. Its own
            number of copies would be exact and cost as many passes.
        seed: of these draws. They are others than the defense's own, and others at each call.

    Raises:
        JuratError: gradients do not go through one of the defenses.
    """

    def __init__(
        self,
        model: Model,
        defenses: Sequence[Defense],
        spent: Compute | None = None,
        *,
        draws: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__(model, spent)
        for defense in defenses:
            way_through(defense)
        self._defenses = tuple(defenses)
        self._draws = draws if any(isinstance(each, Ensemble) for each in defenses) else 1
        self._source = seeded(seed)

    def answers(self, inquiries: Sequence[Inquiry], pixels: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """See `Access.answers`; log-probabilities are those of the mean over the draws."""
        asked = [each for inquiry in inquiries for each in [self._asked(inquiry)] * self._draws]
        shown = [[self._view(one) for one in some] for some in pixels for _ in range(self._draws)]
        made = iter(super().answers(asked, shown))
        draws = [torch.stack([next(made) for _ in range(self._draws)]) for _ in inquiries]
        return [each.logsumexp(0) - math.log(self._draws) for each in draws]

    def excess(self, pixels: Sequence[Tensor]) -> Tensor | None:
        """See `Access.excess`; of the strangest of the draws, since the gate looks at each."""
        found = super().excess([self._view(one) for one in pixels for _ in range(self._draws)])
        return None if found is None else found.reshape(len(pixels), self._draws).amax(1)

    def _asked(self, inquiry: Inquiry) -> Inquiry:
        for defense in self._defenses:
            if isinstance(defense, _ONE_CALL):
                inquiry = next(defense.ask(inquiry))
        return inquiry

    def _view(self, picture: Tensor) -> Tensor:
        for defense in self._defenses:
            if not isinstance(defense, _ONE_CALL):
                picture = _VIEWS.get(type(defense), _straight_through)(defense, picture, self._source)
        return picture


# --- what defenses do to pictures ----------------------------------------------------------------


def _noisy(defense: Smoothing, picture: Tensor, source: torch.Generator) -> Tensor:
    noise = torch.randn(picture.shape, generator=source)
    return (picture + defense.deviation * noise).clamp(0, 1)


def _cropped(defense: RandomViews, picture: Tensor, source: torch.Generator) -> Tensor:
    """A random crop at the size of the picture; torch's bicubic kernel is a little sharper than Pillow's."""
    share, across, down = torch.rand(3, generator=source).tolist()
    share = defense.smallest + (1 - defense.smallest) * share
    room = 1 - share
    moved = [[share, 0, 2 * across * room - room], [0, share, 2 * down * room - room]]
    grid = F.affine_grid(torch.tensor([moved]), [1, *picture.shape], align_corners=False)
    found = F.grid_sample(picture[None], grid, "bicubic", padding_mode="border", align_corners=False)
    return found[0].clamp(0, 1)


def _resized(defense: Resize, picture: Tensor, source: torch.Generator) -> Tensor:
    height, width = picture.shape[1:]
    small = [max(1, round(defense.scale * side)) for side in (height, width)]
    for size in (small, [height, width]):
        picture = F.interpolate(picture[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
    return picture


def _straight_through(defense: Any, picture: Tensor, source: torch.Generator) -> Tensor:
    """What the defense itself makes of the picture as it is saved, with the gradient of the identity."""
    levels = (picture.detach() * 255).round().to(torch.uint8)
    made: Image.Image = defense.views(as_picture(levels))[0]
    return as_pixels(as_levels(made)) + (picture - picture.detach())


_VIEWS: dict[type, View] = {Smoothing: _noisy, RandomViews: _cropped, Resize: _resized}
