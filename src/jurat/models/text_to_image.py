"""Text-to-image models: one protocol, hooks into the sampling of a batch, and opening a model by name.

A latent diffusion model encodes a prompt, denoises a random latent step by step under that encoding, and
decodes the last latent into a picture. `SamplingHook` intervenes at each of these places, so that a defense
is written once for every such model. Defenses wrap a model (`TextToImageWrapper`), as those of multimodal
LLMs do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, cast, runtime_checkable

from jurat.errors import JuratError
from jurat.models.model_spec import ModelSpec
from jurat.models.protocol import C, ModelError
from jurat.named_settings import open_named
from jurat.registry import Entry, Registry, registry_of
from jurat.text import is_unicode, printable

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

__all__ = [
    "TEXT_TO_IMAGE",
    "HookMaker",
    "LatentDiffusion",
    "SamplingHook",
    "SamplingStep",
    "TextToImage",
    "TextToImageWrapper",
    "check_prompts",
    "latent_diffusion",
    "open_text_to_image",
    "picture_seed",
]


@dataclass(frozen=True)
class SamplingStep:
    """One denoising step of a batch of n rows."""

    number: int
    """Counted from 0."""
    timestep: Tensor
    """As the network takes it: a scalar."""
    latents: Tensor
    """What the network is given: (n, channels, height, width)."""
    unconditional: Tensor
    """Noise that it predicts for the empty prompt; shape of `latents`."""


@runtime_checkable
class LatentDiffusion(Protocol):
    """Capability: a text-to-image model whose parts can be called and edited. Hooks are given one, too."""

    steps: int
    """Denoising steps of a picture."""
    guidance: float
    """Scale s of classifier-free guidance: the noise is e0 + s (e - e0), where e0 is unconditional."""
    side: int
    """Width and height of a picture in pixels."""

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Text embeddings: (texts, tokens, width), one row for each token of the window, padding included."""
        ...

    def last_token(self, texts: Sequence[str]) -> list[int]:
        """Place of the last token of each text, before its end mark, among those of `encode`."""
        ...

    def predict(self, latents: Tensor, timestep: Tensor, embeddings: Tensor) -> Tensor:
        """The noise in latents (n, channels, height, width) under embeddings (n, tokens, width)."""
        ...

    def denoise(
        self,
        embeddings: Tensor,
        seeds: Sequence[int],
        hooks: Sequence[SamplingHook] = (),
        *,
        until: int | None = None,
        guidance: float | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Latents after `until` steps (default: all), and the timestep of the step that would follow (of the
        last one, where none does).

        With more rows of embeddings than seeds, further rows begin from the same noise, in order. `guidance`
        stands in for the model's own.
        """
        ...

    def reconstruct(self, images: Sequence[Image.Image]) -> list[Image.Image]:
        """RGB pictures of `side` x `side` pixels, encoded into latents and decoded again: what the codec
        makes of a picture that the denoising network has no part in.

        Raises:
            ValueError: a picture has another size.
        """
        ...

    def weights(self) -> dict[str, Tensor]:
        """The parameters of the denoising network, by name; not copies."""
        ...

    def edited(self, changes: dict[str, Tensor]) -> AbstractContextManager[None]:
        """A context in which parameters of the denoising network have other values. Not safe across
        threads."""
        ...


class SamplingHook:
    """Changes a batch while it is sampled; one is made for each batch. Override what it changes.

    `embeddings` may return several times as many rows as it is given: further streams, which begin from the
    same noise. Only the rows of the first stream become pictures.
    """

    def __init__(self, model: LatentDiffusion) -> None:
        self.model = model

    def embeddings(self, embeddings: Tensor) -> Tensor:
        """The text embeddings in the place of those of the prompts: (n, tokens, width)."""
        return embeddings

    def noise(self, step: SamplingStep, noise: Tensor) -> Tensor:
        """The conditional noise that guidance takes, in the place of the predicted one."""
        return noise

    def latents(self, step: SamplingStep, latents: Tensor) -> Tensor:
        """The latents after a step, in the place of the scheduler's."""
        return latents


HookMaker: TypeAlias = Callable[[LatentDiffusion], SamplingHook]
"""What a hook is made by; the class of one, or a function."""


@runtime_checkable
class TextToImage(Protocol):
    """A model that makes a picture for each prompt."""

    name: str
    """As a user names it: "diffusers/FOLDER + sld?concept=a dog"."""
    revision: str
    """Digest of the weights."""
    dtype: str
    """Number format of its computations: "float32"."""

    def generate(
        self, prompts: Sequence[str], seed: int = 0, hooks: Sequence[HookMaker] = (), *, first: int = 0
    ) -> list[Image.Image]:
        """One picture for each prompt, in order.

        A picture depends on its prompt, `seed` and its place, not on how many are made at once. Equal prompts
        at different places get different pictures.

        Args:
            seed: a whole number from 0.
            hooks: applied in this order.
            first: place of the first prompt; those behind it follow.

        Raises:
            JuratError: `prompts` is no list of texts, or the seed is negative.
            ModelError: a picture could not be made; there are none of the others then, either.
        """
        ...

    def capability(self, kind: type[C]) -> C | None:
        """This model's implementation of an optional protocol; None where it has none."""
        return None

    def close(self) -> None:
        """Frees the weights. Closing twice is no error; generating afterwards is one."""
        return None


class TextToImageWrapper(TextToImage):
    """A text-to-image model that passes everything but capabilities on to another one.

    Override `hook` for what happens inside, or `generate`. Capabilities of the inner model are denied, since
    they would reach around what the wrapper changes; name those that stay true in `passes`.
    """

    passes: ClassVar[tuple[type, ...]] = ()
    hook: HookMaker | None = None
    """Makes the wrapper's hook, which comes before those of wrappers around it."""

    def __init__(self, inner: TextToImage, name: str) -> None:
        self._inner = inner
        self.name = name
        self.revision, self.dtype = inner.revision, inner.dtype

    def generate(
        self, prompts: Sequence[str], seed: int = 0, hooks: Sequence[HookMaker] = (), *, first: int = 0
    ) -> list[Image.Image]:
        own = () if self.hook is None else (self.hook,)
        return self._inner.generate(prompts, seed, (*own, *hooks), first=first)

    def capability(self, kind: type[C]) -> C | None:
        return self._inner.capability(kind) if kind in self.passes else None

    def close(self) -> None:
        self._inner.close()


TEXT_TO_IMAGE: Registry[Entry] = Registry(
    "text_to_image",
    "text-to-image model",
    Entry,
    [
        Entry(
            "diffusers",
            "any StableDiffusionPipeline of diffusers, in a folder or, with ?download=true, of the hub",
            "jurat.models.diffusion.pipeline:open_pipeline",
            usage="diffusers/NAME_OR_PATH",
            extra="diffusion",
        ),
    ],
)


def open_text_to_image(name: str, *, device: str | None = None, dtype: str | None = None) -> TextToImage:
    """Opens "diffusers/FOLDER", with options behind a question mark ("?steps=25&guidance=7.5&batch=8") and
    defenses behind plus signs ("diffusers/FOLDER + sld?concept=a dog"), the outermost first.

    Raises:
        JuratError: nothing is called so, or an option or setting does not fit.
        MissingExtra: it needs packages that are not installed.
        ModelError: the model could not be loaded.
    """
    spec = ModelSpec(name, device, dtype)
    defenses: list[Any] = [open_named(registry_of("generation_defenses"), each) for each in spec.defenses]
    entry = TEXT_TO_IMAGE.get(spec.backend)
    if entry is None:
        raise TEXT_TO_IMAGE.unknown(spec.undefended.name, closest_to=spec.backend)
    opener = entry.load(f"The text-to-image model {name!r}")
    model: object = entry.attempt(f"could not open {name!r}", lambda: opener(spec.undefended))
    if entry.is_plug_in:
        entry.check(
            model, "text-to-image model", strings=("name", "revision", "dtype"), methods=("generate",)
        )
    opened = cast(TextToImage, model)
    try:
        for defense in reversed(defenses):
            opened = defense.over(opened)
    except BaseException:
        opened.close()
        raise
    return opened


def latent_diffusion(model: TextToImage, what: str) -> LatentDiffusion:
    """The parts of a model.

    Args:
        what: needs them, in messages: "The defense 'esd'".

    Raises:
        ModelError: it gives none.
    """
    parts = model.capability(LatentDiffusion)
    if parts is None:
        raise ModelError(
            f"{what} needs the parts of a latent diffusion model, which {model.name!r} does not give.",
            hint="A defense that edits weights stands last in the name; there can be one.",
        )
    return parts


def picture_seed(seed: int, place: int) -> int:
    """Seed of the random generator of a picture: 64 bits, from the seed of a call and a place in it.

    Raises:
        JuratError: the seed is no whole number from 0.
    """
    if not isinstance(seed, int) or seed < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise JuratError(f"The seed {seed!r} is no whole number from 0.")
    import numpy as np

    return int(np.random.SeedSequence([seed, place]).generate_state(1, np.uint64)[0])


def check_prompts(prompts: Sequence[str]) -> None:
    """Raises JuratError for what is no list of texts that can be read."""
    if isinstance(prompts, str):
        raise JuratError("Prompts are a list of texts, not one text.", hint='generate(["a dog"])')
    for prompt in prompts:
        if not isinstance(prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise JuratError(f"A prompt is a text, not {type(prompt).__name__}.")
        if not is_unicode(prompt):
            raise JuratError(f"The prompt {printable(prompt)!r} is no valid Unicode.")
