"""Prefixes that conversations share: the common start of conversations about the same images is read once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jurat.models.hf.batch_sizes import by
from jurat.models.hf.encoding import common_length

if TYPE_CHECKING:
    from jurat.models.hf.prompt import Prompt
    from jurat.models.hf.scoring import Scorer


@dataclass(frozen=True)
class SharedPrefixes:
    """Conversations split into prefixes, which several may share, and the rest of each."""

    prefixes: list[Prompt]
    """Each with the images; its segments are what follows it."""
    owners: list[int]
    """The prefix of each conversation, by its number."""
    rests: list[tuple[int, ...]]


def shared(network: Any, prompts: Sequence[Prompt], scorer: Scorer, longest: int) -> SharedPrefixes | None:
    """The conversations split; None where none share images, or where the model does not allow it.

    `longest` is how many tokens may be added to a conversation.
    """
    whole = [(*prompt.prefix.tolist(), *prompt.segments[0]) for prompt in prompts]
    images = _placeholders(network)
    prefixes: list[Prompt] = []
    owners, rests = [0] * len(prompts), list(whole)
    for group in by(range(len(prompts)), lambda i: _digest(prompts[i]) or i):
        rows = [whole[i] for i in group]
        cut = min(common_length([list(row) for row in rows]), min(map(len, rows)) - 1)
        together = cut > 0 and not any(images & set(row[cut:]) for row in rows)
        for members in [group] if together else [[i] for i in group]:
            length = cut if together else len(whole[members[0]]) - 1
            for i in members:
                owners[i], rests[i] = len(prefixes), whole[i][length:]
            first = prompts[members[0]]
            along = {k: v[: length + 1] for k, v in first.along.items()}
            follow = tuple(dict.fromkeys(rests[i] for i in members))
            prefixes.append(replace(first, prefix=first.prefix[:length], segments=follow, along=along))
    if len(prefixes) == len(prompts):
        return None
    width = max(len(p.prefix) for p in prefixes) + max(map(len, rests)) + longest
    return SharedPrefixes(prefixes, owners, rests) if scorer.may_continue(prefixes, width) else None


def _digest(prompt: Prompt) -> str | None:
    """A digest of a prompt's images; None without images."""
    if not prompt.images:
        return None
    import torch

    digest = hashlib.blake2b()
    for name, value in sorted(prompt.images.items()):
        digest.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        # As bytes: numpy has no bfloat16, which some processors make.
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _placeholders(network: Any) -> set[int]:
    """Placeholder tokens of images and videos, named in the configuration."""
    named = network.config.to_dict()
    return {
        value
        for name, value in named.items()
        if name in ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
    }
