"""Where a model's files are: in a folder, in the hub client's cache, or on the hub, in this order."""

from __future__ import annotations

import difflib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from jurat.models.hf.weights import (
    AUDIO,
    CONFIG,
    INDEX,
    PROCESSOR,
    check_name,
    check_processor,
    read_json,
    shards,
)
from jurat.models.protocol import UNKNOWN, ModelError

_REVISION_LENGTH = 12
_PATIENCE = 10.0
"""Seconds that the hub is given to say whether it has a model."""

log = logging.getLogger("jurat.models")


@dataclass(frozen=True)
class ModelLocation:
    """Location of a model, and whether the network may be used."""

    where: Path | str
    """A folder, or a name of the hub."""
    local_only: bool

    @property
    def folder(self) -> Path | None:
        return self.where if isinstance(self.where, Path) else None


def locate(reference: str | Path) -> ModelLocation:
    """The place of a model. One call asks the hub, and only for the name of a model of the hub.

    Raises:
        ModelError: nothing is there, or nothing that may be read.
    """
    folder = Path(reference).expanduser()
    if folder.is_dir():
        _check_holds_weights(folder)
        return ModelLocation(folder, True)
    text = str(reference)
    is_path = isinstance(reference, Path) or text.startswith(("/", ".", "~")) or text.count("/") > 1
    if is_path or not text:
        raise _absent(text, f"There is no folder {text!r}.")
    if folder.is_file():
        raise ModelError(f"{text!r} is a file.", hint="Name the folder that it lies in.")
    cached = _cached(text, CONFIG) is not None
    if "/" not in text and not cached:
        raise _absent(text, f"There is no folder {text!r}, and names of the hub are ORG/NAME.")
    place = ModelLocation(text, _stays_local(text, cached))
    _check_named(place)
    return place


def commit(name: str) -> str:
    """The start of the commit under which the hub's client keeps the files of `name`, once fetched."""
    found = _cached(name, CONFIG)
    return Path(found).parent.name[:_REVISION_LENGTH] if found else UNKNOWN


def _check_holds_weights(folder: Path) -> None:
    if any(folder.glob("*.safetensors")) or (folder / INDEX).is_file():
        return
    others = any(folder.glob("*.bin")) or any(folder.glob("*.pt*"))
    raise ModelError(
        f"{folder} holds no safetensors weights.",
        hint="Pickled weights can run code, so they are not read; convert them to safetensors."
        if others
        else "Name the folder that holds config.json and *.safetensors.",
    )


def _stays_local(name: str, cached: bool) -> bool:
    """Whether a model of the hub is taken from the cache without asking the hub for its files.

    The hub is asked once, with a short time-out: its client would try every file of a model again and again.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError

    if constants.HF_HUB_OFFLINE:
        if not cached:
            raise _absent(
                name, f"There is no folder {name!r}, and no such model in the cache (HF_HUB_OFFLINE is set)."
            )
        return True
    try:
        HfApi().model_info(name, timeout=_PATIENCE)
        return False
    except RepositoryNotFoundError as error:
        raise _absent(
            name, f"There is no folder {name!r}, and no such model on the hub, or none that you may see."
        ) from error
    except Exception as error:  # whatever the client raises where it gets no answer
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        if not cached:
            raise _absent(
                name, f"There is no folder {name!r}, and the hub gave no answer about that name ({reason})."
            ) from error
        log.warning("The hub gave no answer about %s (%s); the copy in its cache is used.", name, reason)
        return True


def _check_named(place: ModelLocation) -> None:
    """Raises ModelError where the files of a model of the hub name weights that may not be read."""
    from transformers.utils.hub import cached_file

    found: list[str | None] = []
    for file in (CONFIG, INDEX, PROCESSOR, AUDIO):
        try:
            found.append(
                cached_file(
                    str(place.where),
                    file,
                    local_files_only=place.local_only,
                    _raise_exceptions_for_missing_entries=False,
                    _raise_exceptions_for_gated_repo=False,
                )
            )
        except (OSError, ValueError):  # loading meets the same, and says what it is
            return
    config, index, *processing = found
    for file in filter(None, processing):
        check_processor(Path(file))
    if config and (named := read_json(Path(config)).get("transformers_weights")) is not None:
        check_name(str(named).removesuffix(".index.json"), CONFIG)
    if index:
        shards(Path(index))


def _cached(name: str, file: str) -> str | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, file)
    except HFValidationError as error:
        raise _absent(
            name, f"There is no folder {name!r}, and a model of the hub cannot have that name."
        ) from error
    return found if isinstance(found, str) else None


def _absent(name: str, message: str) -> ModelError:
    folder = Path(name).expanduser()
    try:
        beside = [entry.name for entry in os.scandir(folder.parent) if entry.is_dir()]
    except OSError:
        beside = []
    close = difflib.get_close_matches(folder.name, beside, n=1)
    hint = "Name a folder, or a model of the hub: hf/ORG/NAME."
    if close:
        hint = f"Did you mean hf/{folder.parent / close[0]}?"
    return ModelError(message, hint=hint)
