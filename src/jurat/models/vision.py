"""Detectors and matchers: where named things are in an image, and how well images and texts agree.

Both take batches, and what goes wrong with one image is a `Failure` in its own result. Opened by name:
"bundled" for the small ones that know scenes of pictograms, "hf/NAME_OR_PATH" for those of transformers.
Another kind is one file with two functions, and a line of `_OPENERS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, Protocol, cast, runtime_checkable

from PIL import Image

from jurat.content import Failure
from jurat.errors import JuratError, MissingExtra

Kind = Literal["detector", "matcher"]

_OPENERS: dict[Kind, dict[str, str]] = {
    "detector": {
        "bundled": "jurat.models.hf.detectors:open_bundled",
        "hf": "jurat.models.hf.detectors:open_local",
    },
    "matcher": {
        "bundled": "jurat.models.hf.matchers:open_bundled",
        "hf": "jurat.models.hf.matchers:open_local",
    },
}
_NEEDED = ("torch", "transformers", "safetensors")


@dataclass(frozen=True)
class Box:
    """Where something is: pixels of the image that was given, origin top left."""

    x0: float
    y0: float
    x1: float
    """Greater than `x0`, and within the image."""
    y1: float
    score: float
    """The detector's confidence, in [0, 1]."""
    word: str
    """Which of the words that were searched for it is, as it was given."""


@runtime_checkable
class Detector(Protocol):
    """Finds things by their names."""

    name: str
    """As a user names it: "bundled", "hf/google/owlv2-base-patch16-ensemble"."""
    revision: str
    """Digest of the weights, or the commit of a hub name."""

    def detect(
        self, images: Sequence[Image.Image], words: Sequence[Sequence[str]]
    ) -> list[list[Box] | Failure]:
        """Searches for `words[i]` in `images[i]`; one entry an image, its boxes most confident first."""
        ...


@runtime_checkable
class Matcher(Protocol):
    """Tells how well images and texts agree."""

    name: str
    """As a user names it: "bundled", "hf/openai/clip-vit-base-patch16"."""
    revision: str
    """Digest of the weights, or the commit of a hub name."""
    relevant_above: float
    """The cosine above which a text is taken to be about an image."""

    def match(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[list[float] | Failure]:
        """Cosines of image and text embeddings, in [-1, 1]; one row an image, in the order of `texts`."""
        ...


def open_detector(name: str, *, device: str | None = None) -> Detector:
    """Opens "bundled", or "hf/NAME_OR_PATH": an OWL-ViT or OWLv2, in a folder or on the hub.

    `device` is as torch names it; None takes a GPU where there is one.

    Raises:
        JuratError: nothing is called so.
        MissingExtra: it needs packages that are not installed.
        ModelError: it could not be loaded, or is no such model.
    """
    return cast(Detector, _open("detector", name, device))


def open_matcher(name: str, *, device: str | None = None) -> Matcher:
    """Opens "bundled", or "hf/NAME_OR_PATH": a CLIP, SigLIP or the like, in a folder or on the hub.

    Takes and raises what `open_detector` does.
    """
    return cast(Matcher, _open("matcher", name, device))


def _open(kind: Kind, name: str, device: str | None) -> Any:
    backend, _, reference = name.partition("/")
    opener = _OPENERS[kind].get(backend)
    if opener is None:
        raise _unknown(kind, name)
    if (backend == "hf") != bool(reference):
        raise JuratError(
            f"{name!r} names no {kind}.",
            hint='Name it "bundled", or "hf/" and a folder or a model of the hub.',
        )
    if any(find_spec(module) is None for module in _NEEDED):
        raise MissingExtra(f"The {kind} {name!r}", "local")
    module, _, function = opener.partition(":")
    return getattr(import_module(module), function)(reference, device)


def _unknown(kind: Kind, name: str) -> JuratError:
    close = difflib.get_close_matches(name.partition("/")[0], _OPENERS[kind], n=1)
    if close:
        hint = f"Did you mean {close[0]!r}?"
    elif name.count("/") == 1:
        hint = f'To run it with transformers, name it "hf/{name}".'
    else:
        hint = 'There are "bundled" and "hf/NAME_OR_PATH".'
    return JuratError(f"There is no {kind} {name!r}.", hint=hint)
