"""Opens a checkpoint in the layout of diffusers' `StableDiffusionPipeline`, safely: safetensors only, no code
of the checkpoint's own, and no network unless it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jurat.models.hf.load_model import check_complete, choose_device, choose_dtype, without_bars
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.models.hf.weights import CONFIG, check_folder, read_json, shards
from jurat.models.protocol import ModelError
from jurat.text import one_line

__all__ = [
    "checkpoint_digest",
    "find_checkpoint",
    "load_pipeline",
    "load_text_encoder",
    "text_encoder_digest",
]

INDEX = "model_index.json"
NETWORKS = {
    "text_encoder": ("transformers", "CLIPTextModel"),
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
}
"""Folder of each network, with the class that it is loaded by."""
_TEXT_PARTS = ("tokenizer", "text_encoder")
_PARTS = (*NETWORKS, "scheduler", "tokenizer")
_READ = ("*.safetensors", "*.json", "*.txt")
_TEXT_MODELS = ("clip_text_model", "clip")
"""Model types that are read as a CLIPTextModel."""
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
        ModelError: it could not be loaded, or weights are missing.
    """
    prepare_torchvision()
    import torch
    from diffusers import StableDiffusionPipeline  # pyright: ignore[reportPrivateImportUsage]
    from diffusers.utils import logging

    chosen = choose_device(device)
    kind = getattr(torch, choose_dtype(dtype, chosen))
    logging.disable_progress_bar()
    try:
        with without_bars(True):
            networks = {name: _network(folder / name, kind) for name in NETWORKS}
            pipe: Any = StableDiffusionPipeline.from_pretrained(
                str(folder),
                **networks,
                dtype=kind,
                local_files_only=True,
                low_cpu_mem_usage=_has_accelerate(),
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
            )
    except ModelError:
        raise
    except Exception as error:  # a damaged configuration makes the libraries raise anything at all
        raise _unloadable(folder, error) from error
    pipe.set_progress_bar_config(disable=True)
    _check_tokenizer(folder, pipe.tokenizer, pipe.text_encoder)
    return pipe.to(chosen)


def load_text_encoder(folder: Path, device: str | None = None) -> tuple[Any, Any]:
    """The tokenizer and the text encoder of a checkpoint, alone, in float32.

    Raises:
        ModelError: there are none, they could not be loaded, or weights are missing.
    """
    for part in _TEXT_PARTS:
        if not (folder / part).is_dir():
            raise ModelError(f"{folder} holds no folder {part}.", hint="Name the folder of a checkpoint.")
    _check_network(folder / "text_encoder")
    prepare_torchvision()
    import torch
    from transformers import AutoTokenizer

    chosen = choose_device(device)
    try:
        with without_bars(True):
            tokenizer: Any = AutoTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
            network = _network(folder / "text_encoder", torch.float32)
    except ModelError:
        raise
    except Exception as error:  # as above
        raise _unloadable(folder, error) from error
    _check_tokenizer(folder, tokenizer, network)
    return tokenizer, network.to(chosen)


def checkpoint_digest(folder: Path, parts: Iterable[str] = _PARTS) -> str:
    """12 hex characters of the SHA-256 over the weights and settings in some of its folders."""
    digest = hashlib.sha256()
    for file in sorted(file for part in parts for like in _READ for file in (folder / part).glob(like)):
        digest.update(file.relative_to(folder).as_posix().encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:_DIGEST_LENGTH]


def text_encoder_digest(folder: Path) -> str:
    """The same of the tokenizer and the text encoder alone."""
    return checkpoint_digest(folder, _TEXT_PARTS)


def _network(folder: Path, dtype: Any) -> Any:
    """A network for inference. Raises ModelError where weights are missing, which the libraries would
    initialise at random."""
    library, kind = NETWORKS[folder.name]
    more = {"low_cpu_mem_usage": _has_accelerate()} if library == "diffusers" else {}
    network, report = getattr(import_module(library), kind).from_pretrained(
        str(folder),
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        **more,
    )
    check_complete(str(folder), network, report)
    return network.eval().requires_grad_(False)


def _has_accelerate() -> bool:
    """What diffusers loads weights with; it warns where it is to use it and cannot."""
    return find_spec("accelerate") is not None


def _check_tokenizer(folder: Path, tokenizer: Any, network: Any) -> None:
    """Raises ModelError where prompts cannot be encoded as Stable Diffusion's pipeline does."""
    lacking = [kind for kind in ("bos", "eos", "pad") if getattr(tokenizer, f"{kind}_token_id") is None]
    known, read = len(tokenizer), int(network.config.vocab_size)
    window, places = tokenizer.model_max_length, int(network.config.max_position_embeddings)
    why = None
    if lacking:
        why = f"has no token for {' and '.join(lacking)}"
    elif known > read:
        why = f"has {known:,} tokens, and the text encoder reads {read:,}"
    elif not 2 < window <= places:
        why = f"cuts prompts at {window:,} tokens (model_max_length), and the text encoder reads {places:,}"
    if why is not None:
        raise ModelError(
            f"The tokenizer in {folder / 'tokenizer'} {why}.",
            hint="It belongs to another text encoder, or its tokenizer_config.json is incomplete.",
        )


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
        library, kind = (*value, None, None)[:2] if isinstance(value, list) else (None, None)
        if part in _PARTS and library not in _LIBRARIES:
            raise ModelError(
                f"{folder / INDEX} takes the {part} from {library!r}, which is code of the checkpoint's own.",
                hint=f"Only parts of {' and '.join(_LIBRARIES)} are loaded.",
            )
        if part in NETWORKS and (library, kind) != NETWORKS[part]:
            raise ModelError(f"The {part} of {folder} is a {kind}; only a {NETWORKS[part][1]} can be loaded.")
    for name in NETWORKS:
        _check_network(folder / name)


def _check_network(folder: Path) -> None:
    """Raises ModelError where a network's weights are no safetensors of its folder."""
    for index in folder.glob("*.index.json"):
        shards(index)
    if folder.name == "text_encoder":
        check_folder(folder)
        kind = read_json(folder / CONFIG).get("model_type") if (folder / CONFIG).is_file() else None
        if kind not in (None, *_TEXT_MODELS):
            raise ModelError(
                f"{folder} is a text encoder of type {kind!r}; only a CLIPTextModel can be loaded."
            )
    elif not any(folder.glob("diffusion_pytorch_model*.safetensors")):
        raise ModelError(
            f"{folder} holds no safetensors weights.",
            hint="Pickled weights can run code, so they are not read; convert them to safetensors.",
        )


def _unloadable(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        f"The model {str(folder)!r} could not be loaded: {type(error).__name__}: {one_line(str(error))[:300]}"
    )
