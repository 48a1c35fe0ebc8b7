"""What an attacker wants: conversations about a picture, and what the model should reply to each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from jurat.attacks.pictures import as_levels, as_pixels
from jurat.content import Chat, Reply

__all__ = ["Case", "Goal", "begins_with", "begins_with_target", "shown"]


@dataclass(frozen=True)
class Case:
    """A conversation about the attacked picture, and the reply that is wanted."""

    chat: Chat
    """Its images mark places: the attacked picture takes the place number `place`, the others stay."""
    target: str = ""
    """The reply that is wanted, or its beginning, with a leading space where the model would write one."""
    place: int = 0


@dataclass(frozen=True)
class Goal:
    """What is wanted of one picture. Prompts of the three lists should not overlap."""

    clean: Tensor
    """The picture before the attack: uint8 (3, H, W)."""
    train: Sequence[Case]
    """What the attack may use."""
    validation: Sequence[Case]
    """What the best iterate is chosen on; empty takes `train`."""
    test: Sequence[Case]
    """What success is measured on."""
    succeeded: Callable[[Case, Reply], bool]
    """Whether a reply to a case of `test` is what the attacker wants. It is not called for failures."""
    name: str = ""
    key: int | None = None
    """With the seed, determines all that is random about the picture; None takes its place in the batch."""
    kept: Sequence[Case] = ()
    """Conversations whose replies should stay as they are, with these replies."""
    trigger: Image.Image | str | None = None
    """What the picture should look like to a vision tower: an image, or a text."""
    teacher: Callable[[Case], Case] | None = None
    """The same conversation with a prompt that makes the model behave as the attacker wants."""


def begins_with(target: str, reply: Reply) -> bool:
    """Whether a reply begins with a target, without regard to case. One that says No and goes on to Yes, as
    attacked models do, is not the wanted one."""
    return reply.text.strip().casefold().startswith(target.strip().casefold())


def begins_with_target(case: Case, reply: Reply) -> bool:
    """Whether a reply to a case begins with its target."""
    return begins_with(case.target, reply)


def shown(case: Case, picture: Tensor) -> list[Tensor]:
    """The pixels of a case's images, with the picture in its place."""
    return [
        picture if place == case.place else as_pixels(as_levels(image))
        for place, image in enumerate(case.chat.images)
    ]
