"""Detectors and matchers: where named things are in an image, and how well images and texts agree.

Both take batches, and what goes wrong with one image is a `Failure` in its own result. Opened by name:
"bundled" for the small ones that know scenes of pictograms, "hf/NAME_OR_PATH" for those of transformers.
A further one is a function of (reference, device), where `reference` is what follows its name and a slash,
and an entry of `DETECTORS` or `MATCHERS`; a third party's is an entry point of `jurat.detectors` or
`jurat.matchers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

from PIL import Image

from jurat.content import Failure
from jurat.errors import JuratError
from jurat.models.plugins import PlugInDetector, PlugInMatcher
from jurat.registry import Entry, Registry


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
    """Scores how well images and texts match."""

    name: str
    """As a user names it: "bundled", "hf/openai/clip-vit-base-patch16"."""
    revision: str
    """Digest of the weights, or the commit of a hub name."""
    relevant_above: float
    """The cosine above which a text is taken to be about an image."""

    def match(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[list[float] | Failure]:
        """Cosines of image and text embeddings, in [-1, 1]; one row an image, in the order of `texts`."""
        ...


def _shipped(module: str, noun: str, of_transformers: str) -> list[Entry]:
    return [
        Entry("bundled", f"a small {noun} for scenes of pictograms", f"{module}:open_bundled", extra="local"),
        Entry("hf", of_transformers, f"{module}:open_local", usage="hf/NAME_OR_PATH", extra="local"),
    ]


DETECTORS = Registry(
    "detectors",
    "detector",
    Entry,
    _shipped("jurat.models.hf.detectors", "detector", "any OWL-ViT or OWLv2 of transformers"),
)
MATCHERS = Registry(
    "matchers",
    "matcher",
    Entry,
    _shipped("jurat.models.hf.matchers", "matcher", "any CLIP, SigLIP or the like of transformers"),
)


def open_detector(name: str, *, device: str | None = None) -> Detector:
    """Opens "bundled", "hf/NAME_OR_PATH" (an OWL-ViT or OWLv2, in a folder or on the hub), or a plug-in's.

    `device` is as torch names it; None takes a GPU where there is one.

    Raises:
        JuratError: nothing is called so, or a third party's code failed (the message names it).
        MissingExtra: it needs packages that are not installed.
        ModelError: it could not be loaded, or is no such model.
    """
    return cast(Detector, _open(DETECTORS, name, device, "detect", PlugInDetector))


def open_matcher(name: str, *, device: str | None = None) -> Matcher:
    """Opens "bundled", "hf/NAME_OR_PATH" (a CLIP, SigLIP or the like, in a folder or on the hub), or a
    plug-in's.

    Takes and raises what `open_detector` does.
    """
    return cast(Matcher, _open(MATCHERS, name, device, "match", PlugInMatcher))


def _open(
    registry: Registry[Entry],
    name: str,
    device: str | None,
    method: str,
    wrapper: Callable[[Entry, Any], object],
) -> object:
    backend, _, reference = name.partition("/")
    noun, entry = registry.noun, registry.get(backend)
    if entry is None:
        hint = None
        if registry.closest(backend) is None:
            hint = f"There are {', '.join(repr(each.usage) for each in registry)}."
            if name.count("/") == 1:
                hint = f'To run it with transformers, name it "hf/{name}".'
        raise registry.unknown(name, closest_to=backend, hint=hint)
    if not entry.is_plug_in and (not reference if backend == "hf" else "/" in name):
        raise JuratError(
            f"{name!r} names no {noun}.",
            hint='Name it "bundled", or "hf/" and a folder or a model of the hub.',
        )
    opener = entry.load(f"The {noun} {name!r}")
    opened = entry.attempt(f"could not open {name!r}", lambda: opener(reference, device))
    if not entry.is_plug_in:
        return opened
    return wrapper(entry, entry.check(opened, noun, strings=("name", "revision"), methods=(method,)))
