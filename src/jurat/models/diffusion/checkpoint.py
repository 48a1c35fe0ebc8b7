"""Opens a checkpoint in the layout of diffusers' `StableDiffusionPipeline`, safely: safetensors only, no code
of the checkpoint's own, and no network unless it is asked for."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jurat.models.hf.load_model import choose_device, choose_dtype, without_bars
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.models.hf.weights import check_folder, read_json, shards
from jurat.models.protocol import ModelError
from jurat.text import one_line

__all__ = ["checkpoint_digest", "find_checkpoint", "load_pipeline", "load_text_encoder"]

INDEX = "model_index.json"
NETWORKS = ("text_encoder", "unet", "vae")
_LIBRARIES = ("diffusers", "transformers")
_DIGEST_LENGTH = 12


def find_checkpoint(reference: str, *, download: bool = False) -> Path:
    """The checked folder of a checkpoint: itself, or where the hub's client keeps a model of that name.

    Args:
        download: asks the hub for what is not in the client's cache.

    Raises:
        ModelError: there is none, or it holds what may not be read.
    """
    folder = Path(reference).expanduser()
    if not folder.is_dir():
        folder = _from_hub(reference, download)
    _check(folder)
    return folder


def load_pipeline(folder: Path, device: str | None = None, dtype: str | None = None) -> Any:
    """The `StableDiffusionPipeline` of a checked folder, without its safety checker and its progress bars.

    Raises:
        ModelError: it could not be loaded.
    """
    prepare_torchvision()
    import torch
    from diffusers import StableDiffusionPipeline  # pyright: ignore[reportPrivateImportUsage]
    from diffusers.utils import logging

    chosen = choose_device(device)
    logging.disable_progress_bar()
    try:
        with without_bars(True):
            pipe: Any = StableDiffusionPipeline.from_pretrained(
                str(folder),
                dtype=getattr(torch, choose_dtype(dtype, chosen)),
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=find_spec("accelerate") is not None,
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
            )
    except Exception as error:  # a damaged configuration makes the libraries raise anything at all
        raise _unloadable(folder, error) from error
    pipe.set_progress_bar_config(disable=True)
    for name in NETWORKS:
        getattr(pipe, name).requires_grad_(False)
    return pipe.to(chosen)


def load_text_encoder(folder: Path, device: str | None = None) -> tuple[Any, Any]:
    """The tokenizer and the text encoder of a checkpoint, alone, in float32.

    Raises:
        ModelError: there are none, or they could not be loaded.
    """
    for part in ("tokenizer", "text_encoder"):
        if not (folder / part).is_dir():
            raise ModelError(f"{folder} holds no folder {part}.", hint="Name the folder of a checkpoint.")
    check_folder(folder / "text_encoder")
    prepare_torchvision()
    from transformers import AutoTokenizer, CLIPTextModel

    common: dict[str, Any] = {"local_files_only": True}
    try:
        with without_bars(True):
            tokenizer: Any = AutoTokenizer.from_pretrained(str(folder / "tokenizer"), **common)
            network: Any = CLIPTextModel.from_pretrained(
                str(folder / "text_encoder"), use_safetensors=True, **common
            )
    except Exception as error:  # as above
        raise _unloadable(folder, error) from error
    return tokenizer, network.to(choose_device(device)).eval().requires_grad_(False)


def checkpoint_digest(folder: Path) -> str:
    """12 hex characters of the SHA-256 over the digests of all safetensors files of the networks."""
    digest = hashlib.sha256()
    for name in NETWORKS:
        for file in sorted((folder / name).glob("*.safetensors")):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:_DIGEST_LENGTH]


def _from_hub(reference: str, download: bool) -> Path:
    from huggingface_hub import snapshot_download

    if reference.count("/") != 1 or reference.startswith(("/", ".", "~")):
        raise ModelError(
            f"There is no folder {reference!r}.", hint="Name the folder that holds model_index.json."
        )
    # Without the variants that lie beside the weights: half precision, weights before averaging.
    weights = [f"{name}/*{end}.safetensors" for name in NETWORKS for end in ("model", "-of-?????")]
    patterns = [INDEX, "*/*.json", "*/*.txt", "*/*.model", *weights]
    try:
        return Path(snapshot_download(reference, allow_patterns=patterns, local_files_only=not download))
    except Exception as error:  # whatever the client raises: no such name, no network, no place
        hint = None if download else "To fetch it from the hub, open it with ?download=true."
        raise ModelError(
            f"There is no folder {reference!r}, and no copy of such a model: {one_line(str(error))[:200]}",
            hint=hint,
        ) from error


def _check(folder: Path) -> None:
    if not (folder / INDEX).is_file():
        raise ModelError(
            f"{folder} holds no {INDEX}.",
            hint="A checkpoint is what StableDiffusionPipeline.save_pretrained writes.",
        )
    index = read_json(folder / INDEX)
    if index.get("_class_name") != "StableDiffusionPipeline":
        raise ModelError(
            f"{folder / INDEX} is of a {index.get('_class_name')!r}; "
            "only a StableDiffusionPipeline can be opened."
        )
    for part, value in index.items():
        library = value[0] if isinstance(value, list) and value else None
        if part in (*NETWORKS, "tokenizer", "scheduler") and library not in _LIBRARIES:
            raise ModelError(
                f"{folder / INDEX} takes the {part} from {library!r}, which is code of the checkpoint's own.",
                hint=f"Only parts of {' and '.join(_LIBRARIES)} are loaded.",
            )
    for name in NETWORKS:
        _check_network(folder / name)


def _check_network(folder: Path) -> None:
    """Raises ModelError where a network's weights are no safetensors of its folder."""
    for index in folder.glob("*.index.json"):
        shards(index)
    if folder.name == "text_encoder":
        check_folder(folder)
    elif not any(folder.glob("diffusion_pytorch_model*.safetensors")):
        raise ModelError(
            f"{folder} holds no safetensors weights.",
            hint="Pickled weights can run code, so they are not read; convert them to safetensors.",
        )


def _unloadable(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        f"The model {str(folder)!r} could not be loaded: {type(error).__name__}: {one_line(str(error))[:300]}"
    )
