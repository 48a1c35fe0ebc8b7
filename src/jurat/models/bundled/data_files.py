"""JSON files beside the weights, each with the version of its layout."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jurat.models.protocol import ModelError


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


def write(file: Path, version: int, data: Mapping[str, Any]) -> None:
    file.write_text(json.dumps({"version": version, **data}, indent=1) + "\n", encoding="utf-8")
