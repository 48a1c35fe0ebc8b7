"""Brings a transformers model from a folder or a hub name into memory, safely: weights are safetensors
only."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jurat.errors import JuratError
from jurat.models.base import UNKNOWN, ModelError

_DIGEST_LENGTH = 12
_PARTS = {
    "config.json": ("config.json",),
    "processor_config.json or preprocessor_config.json": (
        "processor_config.json",
        "preprocessor_config.json",
    ),
    "tokenizer.json": ("tokenizer*", "vocab*", "*.model", "tekken.json"),
}
"""What a model's folder holds besides weights: names for a person, and patterns of which one suffices."""
_digests: dict[tuple[tuple[str, int, int], ...], str] = {}


@dataclass(frozen=True)
class Loaded:
    """A network with its processor, in evaluation mode on its device."""

    network: Any
    """A `transformers.PreTrainedModel`."""
    processor: Any
    revision: str
    """12 hex characters: of the weights' SHA-256 for a folder, of the commit for a hub name."""
    dtype: str


def load(
    reference: str | Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    trust_remote_code: bool = False,
    image_backend: str | None = None,
    family: str = "AutoModelForImageTextToText",
) -> Loaded:
    """Loads a model of a family, named as transformers names its `Auto` classes, with its `AutoProcessor`.

    A `reference` that is a folder never touches the network. Any other is a hub name, which the hub's
    client fetches unless it is in its cache or the client is set to be offline.

    `image_backend` ("pil" or "torchvision") fixes what resizes images, so that a model sees the same
    pixels on every machine; None leaves it to transformers.

    Raises:
        ModelError: nothing there, no safetensors, no processor, a device that is not there, or a family
        transformers does not know.
    """
    place = _locate(reference)
    if isinstance(place, Path) and not trust_remote_code:  # code of a model's own may need none of these
        _check_parts(place)

    import torch
    import transformers

    chosen = choose_device(device)
    kind = choose_dtype(dtype, chosen)
    common: dict[str, Any] = {
        "trust_remote_code": trust_remote_code,
        "local_files_only": isinstance(place, Path),
    }
    backend = {} if image_backend is None else {"backend": image_backend}
    try:
        with without_bars(isinstance(place, Path)):
            processor: Any = transformers.AutoProcessor.from_pretrained(str(place), **common, **backend)
            network: Any = getattr(transformers, family).from_pretrained(
                str(place), dtype=getattr(torch, kind), use_safetensors=True, **common
            )
        network = network.to(chosen).eval()
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(
            f"The model {str(place)!r} could not be loaded: {_first_line(error)}", hint=_hint(error)
        ) from error
    revision = weights_digest(place) if isinstance(place, Path) else _commit(place)
    return Loaded(network, processor, revision, kind)


def weights_digest(folder: Path) -> str:
    """12 hex characters of the SHA-256 of a folder's safetensors files, in order of their names.

    The files are streamed; the result is kept in memory for as long as their sizes and times stay.
    """
    files = sorted(folder.glob("*.safetensors"))
    key = tuple((str(file.resolve()), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    if key not in _digests:
        digest = hashlib.sha256()
        for file in files:
            with file.open("rb") as stream:
                while chunk := stream.read(1 << 22):
                    digest.update(chunk)
        _digests[key] = digest.hexdigest()[:_DIGEST_LENGTH]
    return _digests[key]


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
            f"The device {device!r} cannot be used: {_first_line(error)}", hint="Try --device cpu."
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


def _locate(reference: str | Path) -> Path | str:
    folder = Path(reference).expanduser()
    if folder.is_dir():
        if not any(folder.glob("*.safetensors")):
            others = any(folder.glob("*.bin")) or any(folder.glob("*.pt*"))
            raise ModelError(
                f"{folder} holds no safetensors weights.",
                hint="Pickled weights can run code, so they are not read; convert them to safetensors."
                if others
                else "Name the folder that holds config.json and *.safetensors.",
            )
        return folder
    text = str(reference)
    if isinstance(reference, Path) or text.startswith(("/", ".", "~")) or text.count("/") > 1 or not text:
        raise ModelError(
            f"There is no folder {text!r}.", hint="Name a folder, or a model of the hub: hf/ORG/NAME."
        )
    return text


def _check_parts(folder: Path) -> None:
    """Names what is missing at once, before transformers is imported."""
    for name, patterns in _PARTS.items():
        if not any(any(folder.glob(pattern)) for pattern in patterns):
            raise ModelError(
                f"{folder} holds no {name}.",
                hint="Beside the weights lie config.json and what "
                "AutoProcessor.from_pretrained(NAME).save_pretrained(FOLDER) writes.",
            )


def _commit(name: str) -> str:
    """The commit that the hub's client keeps the files of `name` under, once they have been fetched."""
    from transformers.utils.hub import cached_file

    config = cached_file(name, "config.json", local_files_only=True)
    return Path(config).parent.name[:_DIGEST_LENGTH] if config else UNKNOWN


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") + "." if text else f"{type(error).__name__}."


def _hint(error: BaseException) -> str | None:
    text = str(error)
    if "torchvision" in text or "VIDEO_PROCESSOR_MAPPING" in text:
        return "This family's processor needs torchvision: pip install torchvision"
    if "trust_remote_code" in text:
        return "It comes with Python code of its own. If you trust its authors: --trust-remote-code"
    if "gated" in text or "401" in text or "403" in text:
        return "It is gated: ask for access on its page and log in with its hub's client."
    if "out of memory" in text:
        return "It does not fit: try --dtype bfloat16, a smaller model, or another device."
    return None
