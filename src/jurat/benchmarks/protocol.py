"""Protocols: how a sample of an evaluation set becomes a conversation, and with which decoding settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jurat.benchmarks.card import Card, ProtocolCard
from jurat.benchmarks.sample import Sample
from jurat.content import Chat, Generation, ImageError, LazyImage, Turn
from jurat.content.chat import Role
from jurat.content.item import of_several, read_images
from jurat.errors import JuratError
from jurat.media import decode
from jurat.registry import UNVERIFIED, suggestion

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["AS_WRITTEN", "PAPER", "LazyTurn", "Protocol", "choose_protocol", "single_frame"]

PAPER = "paper"
"""The name of the protocol that follows the paper; the others are compared with it."""
_SHOWN = ("prompt", "system", "images", "max_tokens", "temperature", "samples")
"""The fields of a protocol by which two can differ."""


@dataclass(frozen=True)
class LazyTurn:
    """A turn of a conversation whose images have not been read."""

    role: Role
    parts: tuple[str | LazyImage, ...]

    @property
    def text(self) -> str:
        return "\n".join(part for part in self.parts if isinstance(part, str))


@dataclass(frozen=True)
class Protocol:
    """One of the protocols of a set."""

    name: str
    card: ProtocolCard
    is_default: bool = True
    """Whether it is the set's first, in whose wording the reader has written the samples' turns."""

    @property
    def generation(self) -> Generation:
        return Generation(max_tokens=self.card.max_tokens, temperature=self.card.temperature)

    @property
    def label(self) -> str:
        """Its name, marked where what it says is recalled or a choice of ours."""
        evidence = self.card.evidence
        return f"{self.name}, unverified ({evidence})" if evidence in UNVERIFIED else self.name

    def turns(self, sample: Sample) -> tuple[LazyTurn, ...]:
        """The conversation that the model continues: the system turn, the sample's earlier turns, and the
        request in this protocol's wording. The images stand in the first turn of the user.

        Raises:
            JuratError: the wording needs a text that the sample lacks.
        """
        texts: list[tuple[Role, str]] = [(turn.role, turn.text) for turn in sample.item.turns]
        if not self.is_default or not texts:
            texts = [*texts[:-1], ("user", self._request(sample))]
        images = () if self.card.images == "none" else sample.item.lazy_images()
        turns = [LazyTurn("system", (self.card.system,))] if self.card.system else []
        for role, text in texts:
            text_parts = (text,) if text else ()
            if role == "user" and images:
                after = self.card.images == "after"
                turns.append(LazyTurn(role, (*text_parts, *images) if after else (*images, *text_parts)))
                images = ()
            else:
                turns.append(LazyTurn(role, text_parts))
        return tuple(turns)

    def chat(self, sample: Sample) -> Chat:
        """The conversation with its images decoded, and the protocol's decoding settings.

        Raises:
            JuratError: as `turns`.
            ImageError: an image cannot be read or decoded, or has several frames.
        """
        return Chat(tuple(map(_decoded, self.turns(sample))), self.generation)

    def written_out(self, sample: Sample) -> Sample:
        """The sample as this protocol shows it: its turns are those of the conversation, a system turn among
        them, and its images those that are shown. `as_written` makes the same conversation of it.

        Raises as `turns`.
        """
        turns = self.turns(sample)
        images = [part for turn in turns for part in turn.parts if isinstance(part, LazyImage)]
        texts = tuple(Turn(turn.role, (turn.text,)) for turn in turns)
        return replace(sample, item=replace(sample.item, images=images, turns=texts))

    @property
    def as_written(self) -> Protocol:
        """The protocol of samples that are `written_out`: it adds no words, and shows all images."""
        images = "before" if self.card.images == "none" else self.card.images
        return replace(
            self, card=self.card.model_copy(update={"system": None, "images": images}), is_default=True
        )

    def differences(self, other: Protocol) -> list[str]:
        """Where another protocol differs from this one, a phrase each: "max_tokens 256 instead of 512"."""
        return list(_differences(self.card, other.card))

    def _request(self, sample: Sample) -> str:
        try:
            return self.card.render(sample.fields, sample.group)
        except KeyError as error:
            what = f"has no wording for the group {sample.group or 'none'}"
            if isinstance(self.card.prompt, str) or (sample.group or "") in self.card.prompt:
                what = f"needs the field {error.args[0]!r}, which the sample lacks"
            raise JuratError(f"the protocol {self.name!r} {what}") from error


AS_WRITTEN = Protocol("as written", ProtocolCard())
"""Shows samples as they are, images first, and asks for one greedy reply."""


def choose_protocol(card: Card, name: str | None = None) -> Protocol:
    """The protocol of a set by its name; the set's first for None.

    Raises:
        JuratError: the set has no such protocol.
    """
    first = next(iter(card.protocols))
    if name is not None and name not in card.protocols:
        raise JuratError(
            f"{card.title} has no protocol {name!r}.", hint=suggestion(name, list(card.protocols))
        )
    chosen = name or first
    return Protocol(chosen, card.protocols[chosen], chosen == first)


def single_frame(data: bytes) -> Image.Image:
    """The picture of a file, as a model is shown it.

    Raises:
        ImageError: it cannot be decoded, or has several frames.
    """
    decoded = decode(data, max_frames=2)
    if decoded.kind != "image":
        raise ImageError(
            f"it is {'an' if decoded.animated else 'a'} {decoded.kind}; models are shown still images"
        )
    return decoded.frames[0]


def _decoded(turn: LazyTurn) -> Turn:
    images = [part for part in turn.parts if isinstance(part, LazyImage)]
    pictures: list[Image.Image] = []
    for number, data in enumerate(read_images(images), 1):
        try:
            pictures.append(single_frame(data))
        except ImageError as error:
            raise ImageError(of_several(number, len(images)) + error.message) from error
    following = iter(pictures)
    return Turn(turn.role, tuple(part if isinstance(part, str) else next(following) for part in turn.parts))


def _differences(one: ProtocolCard, other: ProtocolCard) -> Iterator[str]:
    for field in _SHOWN:
        here, there = getattr(one, field), getattr(other, field)
        if here == there:
            continue
        if field in ("prompt", "system"):
            yield f"another {field} text" if here and there else f"{'a' if there else 'no'} {field}"
        else:
            yield f"{field} {there} instead of {here}"
