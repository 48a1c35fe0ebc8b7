"""Files beside the weights: JSON, each with the version of its layout, and tensors."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.models.protocol import ModelError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def reading(file: Path, version: int) -> Generator[dict[str, Any]]:
    """What a file holds; build what you need of it inside the context.

    Raises:
        ModelError: it cannot be read, is of another version, or does not hold what is built of it.
    """
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if data["version"] != version:
            raise ModelError(f"{file} is of version {data['version']}; this jurat reads {version}.")
        yield data
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{file} cannot be read: {type(error).__name__}: {error}") from error


def read_tensors(file: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """The tensors of these names in a safetensors file, in float32.

    Raises:
        ModelError: it cannot be read, or lacks one of them.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} cannot be read: {type(error).__name__}: {error}") from error
    if lacking := [name for name in names if name not in stored]:
        raise ModelError(f"{file} holds no tensor {lacking[0]!r}.")
    return {name: stored[name].float() for name in names}


def write(file: Path, version: int, data: Mapping[str, Any]) -> None:
    file.write_text(json.dumps({"version": version, **data}, indent=1) + "\n", encoding="utf-8")
