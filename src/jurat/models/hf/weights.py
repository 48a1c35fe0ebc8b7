"""The weights in a model's folder: which files transformers will read, checked before it reads them.

Only safetensors files that lie in the folder itself are read. A folder can name others: an index maps
tensors to files, and `transformers_weights` in config.json names a file. Those names come from a stranger.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jurat.models.protocol import ModelError

CONFIG = "config.json"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
PROCESSOR, AUDIO = "processor_config.json", "audio_tokenizer_config.json"
_DIGEST_LENGTH = 12
_LARGEST_JSON = 1 << 26
"""Bytes of a configuration or an index that is read."""
_COUNTS = {re.compile(r"layers|depths?\b|blocks|stages|heads"): 4096, re.compile(r"experts"): 1 << 16}
"""Names of counts of modules in configurations, with the largest that is plausible: a larger one is refused
unless the weights hold as many tensors."""
_SIZES = re.compile(r"size|dim|width|channel|length|index|indices")
"""In the names of what is no count."""
_digests: dict[tuple[Any, ...], str] = {}


def check_folder(folder: Path) -> None:
    """Raises ModelError where transformers would read anything but sound safetensors of this folder, or would
    build more modules than they can be the weights of."""
    if (folder / ADAPTER).exists():
        raise ModelError(
            f"{folder} holds an adapter ({ADAPTER}), which belongs to other weights.",
            hint="Merge it into its model, save that with save_pretrained, and name the new folder.",
        )
    for file in (folder / PROCESSOR, folder / AUDIO):
        if file.is_file():
            check_processor(file)
    names, index = _named(folder)
    for name in names:
        check_name(name, folder / (index or CONFIG))
    tensors = sum(_tensors(folder / name) for name in names)
    for key, count, most in _counts(read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}):
        if count > max(most, tensors):
            raise ModelError(
                f"{folder / CONFIG} asks for {key} = {count:,}; the weights are {tensors:,} tensors.",
                hint="The configuration is damaged, or belongs to other weights.",
            )


def check_processor(file: Path) -> None:
    """Raises ModelError for a processor's configuration that names a network of its own, which transformers
    would load from wherever it says, pickled or not."""
    if file.name == AUDIO or read_json(file).get("audio_tokenizer") is not None:
        raise ModelError(
            f"{file} names a network for audio, which would be loaded besides the model's own weights.",
            hint="Judging images needs none: remove audio_tokenizer from it.",
        )


def check_name(name: object, named_in: object) -> None:
    """Raises ModelError for a file of weights that is no safetensors file beside what names it."""
    if not isinstance(name, str) or not name.endswith(".safetensors"):
        raise ModelError(
            f"{named_in} names {name!r} as weights, which is no safetensors file.",
            hint="Pickled weights can run code, so they are not read; convert them to safetensors.",
        )
    if Path(name).name != name or "\\" in name:
        raise ModelError(
            f"{named_in} names weights outside its folder: {name!r}.",
            hint="Only files of the model's own folder are read. Copy them there, if you trust them.",
        )


def shards(index: Path) -> tuple[str, ...]:
    """The files that an index names, checked.

    Raises:
        ModelError: it is no index, or names what may not be read.
    """
    table = read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise ModelError(f"{index} is no index of weights: it has no weight_map.")
    for name in table.values():
        check_name(name, index)
    return tuple(sorted(set(table.values())))


def weights_digest(folder: Path) -> str:
    """12 hex characters of the SHA-256 of a folder's safetensors files, in order of their names, and of the
    index or the configuration that chooses among them, where there is one.

    The files are streamed; the result is kept in memory for as long as their sizes and times stay.
    """
    files = sorted(folder.glob("*.safetensors"))
    if (chooser := _named(folder)[1] if (folder / CONFIG).is_file() else None) is not None:
        files.append(folder / chooser)
    key = tuple((str(file.resolve()), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    if key not in _digests:
        digest = hashlib.sha256()
        for file in files:
            with file.open("rb") as stream:
                while chunk := stream.read(1 << 22):
                    digest.update(chunk)
        _digests[key] = digest.hexdigest()[:_DIGEST_LENGTH]
    return _digests[key]


def read_json(file: Path) -> dict[str, Any]:
    """Raises:
    ModelError: it cannot be read, is larger than a configuration ever is, or holds no object.
    """
    try:
        if file.stat().st_size > _LARGEST_JSON:
            raise ValueError(f"it is larger than {_LARGEST_JSON >> 20} MiB")
        data = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(data, dict):
        raise ModelError(f"{file} holds no JSON object.")
    return data


def _named(folder: Path) -> tuple[tuple[Any, ...], str | None]:
    """Names of the files that transformers reads, and of the file that names them, if any."""
    config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    explicit = config.get("transformers_weights")
    if explicit is None and (folder / SINGLE).is_file():
        return (SINGLE,), None
    if explicit is None and (folder / INDEX).is_file():
        return shards(folder / INDEX), INDEX
    if isinstance(explicit, str) and explicit.endswith(".safetensors.index.json"):
        check_name(explicit.removesuffix(".index.json"), folder / CONFIG)
        return shards(folder / explicit), explicit
    if explicit is not None:
        return (explicit,), CONFIG
    raise ModelError(
        f"{folder} holds neither {SINGLE} nor {INDEX}.",
        hint="What save_pretrained writes has those names.",
    )


def _tensors(file: Path) -> int:
    """Number of tensors in a safetensors file, after checking the header against the file's size."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise ModelError(f"The weights are incomplete: there is no {file}.")
    try:
        with safe_open(file, framework="np") as opened:
            return len(opened.keys())
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{file} is damaged, or no safetensors file: {error}.", hint="Copy or download it again."
        ) from error


def _counts(config: Any) -> Iterator[tuple[str, int, int]]:
    """Numbers of modules that a configuration asks for: (key, number, the largest plausible one)."""
    stack = [("", config)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, dict):
            stack.extend((str(name), inner) for name, inner in value.items())
        elif isinstance(value, list):
            stack.extend((key, inner) for inner in value if isinstance(inner, dict | list | int))
        elif isinstance(value, int) and not _SIZES.search(key):
            yield from ((key, value, most) for name, most in _COUNTS.items() if name.search(key))
