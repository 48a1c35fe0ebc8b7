"""Finds out, from what a processor makes of two items, whether image inputs of several can be joined.

Items are encoded one by one and joined along the first dimension (`batch_sizes.joined`). A processor that is
given two items shows how its family joins them: along another dimension, or with indices that count on
from one item to the next.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from PIL import Image

from jurat.content import Chat, Turn

if TYPE_CHECKING:
    from jurat.models.hf.encoding import Encoder
    from jurat.models.hf.prompt import Prompt

_SIDE = 224
log = logging.getLogger("jurat.models")


def obstacle(encoder: Encoder) -> tuple[Prompt, str] | None:
    """A prompt with an image, and why inputs like its own cannot be joined; None where nothing shows that."""
    import torch

    chats = [Chat((Turn("user", (picture, "Answer with Yes or No.")),)) for picture in pictures(_SIDE)]
    try:
        one, other = (encoder.encode_chat(chat) for chat in chats)
        made = encoder.process(encoder.render(chats[0]), [chat.images for chat in chats])
    except Exception:  # processors raise anything at all; some do not take several items
        log.debug("a processor was not given two items", exc_info=True)
        return None
    for name, first in one.images.items():
        theirs, second = made[name], other.images[name]
        if first.shape != second.shape:
            continue
        ours = torch.cat([first, second])
        if theirs.shape != ours.shape:
            shapes = f"{tuple(theirs.shape)}, not {tuple(ours.shape)}"
            return one, f"its processor gives the {name} of two items the shape {shapes}"
        if not theirs.is_floating_point() and not theirs.equal(ours):
            return one, f"its processor gives the second of two items another {name} than it has alone"
    return None


def pictures(side: int) -> tuple[Image.Image, Image.Image]:
    """Two meaningless pictures that differ in every pixel."""
    slope = Image.linear_gradient("L").resize((side, side))
    first = Image.merge("RGB", (slope, slope.rotate(90), slope.rotate(180)))
    return first, first.rotate(90).point(lambda value: 255 - value)
