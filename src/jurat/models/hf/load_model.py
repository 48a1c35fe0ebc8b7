"""Brings a transformers model from a folder or a hub name into memory, safely: weights are safetensors
only."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jurat.errors import JuratError
from jurat.models.hf.locate import ModelLocation, commit, locate
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.models.hf.weights import check_folder, weights_digest
from jurat.models.protocol import UNKNOWN, ModelError

__all__ = [
    "IMAGE_BACKENDS",
    "LoadedModel",
    "choose_device",
    "choose_dtype",
    "load",
    "weights_digest",
    "without_bars",
]

IMAGE_BACKENDS = ("pil", "torchvision")
"""What can resize images for a model: Pillow, which does it alike on every machine, or torchvision."""
_REASON_LENGTH = 300
_LIBRARY = re.compile(r"requires the (\S+) library")
_USUAL = (OSError, ValueError, RuntimeError, ImportError)
"""What transformers raises with a message for people."""
_PARTS = {
    "config.json": ("config.json",),
    "processor_config.json or preprocessor_config.json": (
        "processor_config.json",
        "preprocessor_config.json",
    ),
    "tokenizer.json": ("tokenizer*", "vocab*", "*.model", "tekken.json"),
}
"""What a model's folder holds besides weights: names for a person, and patterns of which one suffices."""


@dataclass(frozen=True)
class LoadedModel:
    """A network with its processor, in evaluation mode on its device."""

    network: Any
    """A `transformers.PreTrainedModel`."""
    processor: Any
    revision: str
    """12 hex characters: of the weights' SHA-256 for a folder, of the commit for a hub name."""
    dtype: str
    image_backend: str | None = None
    """The one of `IMAGE_BACKENDS` that resizes images; None where the model's own code does."""

    @property
    def full_revision(self) -> str:
        """The revision, and what resizes images: answers may differ by 4e-4 in log-odds between the two."""
        unknown = self.image_backend is None or self.revision == UNKNOWN
        return self.revision if unknown else f"{self.revision}-{self.image_backend}"


def load(
    reference: str | Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    trust_remote_code: bool = False,
    image_backend: str | None = None,
    family: str = "AutoModelForImageTextToText",
) -> LoadedModel:
    """Loads a model of a family, named as transformers names its `Auto` classes, with its `AutoProcessor`.

    A `reference` that is a folder never touches the network. Any other is a hub name, which the hub's
    client fetches unless it is in its cache or the client is set to be offline.

    `image_backend` (of `IMAGE_BACKENDS`) is what resizes images, so that a model sees the same pixels on
    every machine; None takes Pillow, and torchvision for the few families that have nothing else.

    Raises:
        ModelError: nothing there, no safetensors, weights that are damaged, missing or elsewhere, no
        processor, a device that is not there, or a family transformers does not know.
    """
    place = locate(reference)
    if place.folder is not None:
        if not trust_remote_code:  # code of a model's own may need none of these
            _check_parts(place.folder)
        check_folder(place.folder)

    torchvision = prepare_torchvision()
    import torch
    import transformers

    chosen = choose_device(device)
    kind = choose_dtype(dtype, chosen)
    common: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": place.local_only}
    try:
        with without_bars(place.local_only):
            processor, backend = _processor(place, image_backend, torchvision, common)
            network, report = getattr(transformers, family).from_pretrained(
                str(place.where),
                dtype=getattr(torch, kind),
                use_safetensors=True,
                output_loading_info=True,
                **common,
            )
        check_complete(str(place.where), network, report)
        network = network.to(chosen).eval()
    except ModelError:
        raise
    except Exception as error:  # a damaged or hostile configuration makes transformers raise anything at all
        raise unloadable(place, error) from error
    revision = commit(str(place.where)) if place.folder is None else weights_digest(place.folder)
    return LoadedModel(network, processor, revision, kind, backend)


def _processor(
    place: ModelLocation, wanted: str | None, torchvision: bool, common: dict[str, Any]
) -> tuple[Any, str | None]:
    """A model's processor, and what resizes images in it."""
    import transformers

    name = str(place.where)
    processor: Any = transformers.AutoProcessor.from_pretrained(name, **common)
    found = _backend(processor)
    if found is not None and found != (wanted or "pil"):
        # Not asked for above: what reads videos beside the images knows torchvision only.
        processor.image_processor = transformers.AutoImageProcessor.from_pretrained(
            name, backend=wanted or "pil", **common
        )
        found = _backend(processor)
    if wanted is not None and found is not None and found != wanted:
        fitting = "" if torchvision or wanted != "torchvision" else ": torchvision cannot be used here"
        raise ModelError(f"The images of {name!r} cannot be resized by {wanted}{fitting}.")
    return processor, found


def _backend(processor: Any) -> str | None:
    from transformers.image_processing_backends import PilBackend, TorchvisionBackend

    images = getattr(processor, "image_processor", None)
    if isinstance(images, PilBackend):
        return "pil"
    return "torchvision" if isinstance(images, TorchvisionBackend) else None


def check_complete(name: str, network: Any, report: dict[str, Any]) -> None:
    """Raises ModelError for missing weights, which transformers would initialise at random."""
    if missing := sorted(report.get("missing_keys") or ()):
        count = len(list(network.state_dict()))
        raise ModelError(
            f"{name!r} lacks {len(missing):,} of the {count:,} weights of a {type(network).__name__}, "
            f"{missing[0]} among them; they would be initialised at random.",
            hint="The weights are incomplete, or belong to another architecture than config.json says.",
        )


def choose_device(device: str | None) -> Any:
    """The `torch.device` of that name; None or "auto" takes a GPU where there is one."""
    import torch

    if device in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"The device {device!r} cannot be used: {_sentence(error)}", hint="Try --device cpu."
        ) from error
    return chosen


def choose_dtype(dtype: str | None, device: Any) -> str:
    """The name of a floating-point type; None or "auto" takes bfloat16 on a GPU and float32 elsewhere."""
    if dtype in (None, "auto"):
        return "bfloat16" if device.type == "cuda" else "float32"
    full = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "half": "float16"}.get(dtype, dtype)
    if full not in ("float32", "bfloat16", "float16"):
        raise JuratError(f"There is no dtype {dtype!r}.", hint="There are float32, bfloat16 and float16.")
    return full


@contextmanager
def without_bars(hidden: bool) -> Generator[None]:
    """Hides transformers' progress bars: reading a folder is quick, while a download is worth watching."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if hidden:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _check_parts(folder: Path) -> None:
    """Reports missing packages before transformers is imported."""
    for name, patterns in _PARTS.items():
        if not any(any(folder.glob(pattern)) for pattern in patterns):
            raise ModelError(
                f"{folder} holds no {name}.",
                hint="Beside the weights lie config.json and what "
                "AutoProcessor.from_pretrained(NAME).save_pretrained(FOLDER) writes.",
            )


def unloadable(place: ModelLocation, error: BaseException) -> ModelError:
    named = f"The model {str(place.where)!r} could not be loaded"
    if str(error).startswith("Could not import module") and error.__cause__ is not None:
        error = error.__cause__  # what that says is where to look for the reason
    if _lacks_torchvision(error):
        try:
            found = f"{version('torchvision')} does not fit torch {version('torch')}"
            hint = "Install the build of torchvision that belongs to your torch."
        except PackageNotFoundError:
            found, hint = "is not installed", 'Install it: pip install "jurat[local]"'
        return ModelError(f"{named}: its processor needs torchvision, which {found}.", hint=hint)
    return ModelError(f"{named}: {_sentence(error)}", hint=_hint(error))


def _lacks_torchvision(error: BaseException) -> bool:
    text = str(error).lower()
    return not prepare_torchvision() and ("torchvision" in text or "video_processor_mapping" in text)


def _sentence(error: BaseException) -> str:
    """The message of an error, cut to whole sentences that fit."""
    text = re.sub(r"\s+", " ", str(error)).strip().rstrip(".")
    if len(text) > _REASON_LENGTH:
        text = re.sub(r"[.;:]? [^.]*$", "", text[:_REASON_LENGTH]) or text[:_REASON_LENGTH]
    kind = type(error).__name__
    return f"{text}." if text and isinstance(error, _USUAL) else f"{kind}: {text}." if text else f"{kind}."


def _hint(error: BaseException) -> str | None:
    text = str(error)
    if (package := _LIBRARY.search(text)) is not None:
        return f"Install it: pip install {package[1].lower()}"
    if "trust_remote_code" in text:
        return "It comes with Python code of its own. If you trust its authors: --trust-remote-code"
    if "gated" in text or "401" in text or "403" in text:
        return "It is gated: ask for access on its page and log in with its hub's client."
    if "out of memory" in text:
        return "It does not fit: try --dtype bfloat16, a smaller model, or another device."
    if not isinstance(error, _USUAL):
        return "Its configuration may be damaged, or written for another version of transformers."
    return None
