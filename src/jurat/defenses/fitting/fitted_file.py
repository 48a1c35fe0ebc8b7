"""A file that was fitted for a defense: tensors in the safetensors format, and in its metadata what they are
and where they come from. Reading one runs no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jurat.errors import JuratError
from jurat.files import file_errors, make_folder, written_aside
from jurat.models.protocol import UNKNOWN
from jurat.provenance import commit, now, versions
from jurat.text import reason, shown

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FittedFile", "check_same_model", "digest_of"]

VERSION = 1
_KEY = "jurat"


@dataclass(frozen=True)
class FittedFile:
    """See the module's docstring."""

    kind: str
    """The defense that it is for."""
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    """Plain data: what it was fitted on, and how."""

    def save(self, path: Path) -> None:
        """Writes the file, whole or not at all, with the time and the versions.

        Raises:
            JuratError: it cannot be written.
        """
        from safetensors.torch import save_file

        made = {"made": now(), "commit": commit(), "versions": versions("jurat", "torch", "transformers")}
        told = json.dumps({"kind": self.kind, "version": VERSION, **self.facts, **made})
        with file_errors(path):
            make_folder(path.parent)
            with written_aside(path) as aside:
                save_file({k: v.float().contiguous() for k, v in self.tensors.items()}, aside, {_KEY: told})

    @classmethod
    def load(cls, path: Path, kind: str) -> FittedFile:
        """
        Raises:
            JuratError: it cannot be read, is for something else, or holds nan or an infinite number.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with cast(Any, safe_open)(path, "pt") as file:
                told: Any = json.loads((file.metadata() or {}).get(_KEY, "{}"))
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, RecursionError) as error:
            raise JuratError(
                f"{shown(str(path))} cannot be read: {reason(error)}.", hint=_hint(kind)
            ) from error
        facts: dict[str, Any] = told if isinstance(told, dict) else {}
        found, version = facts.pop("kind", None), facts.pop("version", None)
        if (found, version) != (kind, VERSION):
            what = f"for {found!r}, version {version}" if found else "no file that jurat fitted"
            raise JuratError(f"{shown(str(path))} is {what}, not for {kind!r}.", hint=_hint(kind))
        if unfit := [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]:
            # What is compared with them is never larger: the defense would do nothing, and say nothing.
            raise JuratError(f"{shown(str(path))}: {unfit[0]!r} holds what is no number.", hint=_hint(kind))
        return cls(kind, tensors, facts)


def digest_of(path: Path, given: str, kind: str) -> str:
    """The digest of a file: the first 16 hexadecimal digits of its SHA-256.

    Raises:
        JuratError: it cannot be read, or has another digest than `given`, where one is given.
    """
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise JuratError(f"{shown(str(path))} cannot be read: {reason(error)}.", hint=_hint(kind)) from error
    if given not in ("", found):
        raise JuratError(f"{shown(str(path))} has the digest {found}, and {given} is wanted.")
    return found


def check_same_model(defense: str, fitted: str, used: str) -> None:
    """Raises JuratError where something was fitted to another model, by full names. Where both revisions are
    known, they alone decide: a model may have been moved to another folder."""
    (name, _, revision), (other, _, other_revision) = fitted.rpartition("@"), used.rpartition("@")
    known = UNKNOWN not in (revision, other_revision)
    if (revision != other_revision) if known else (name != other):
        raise JuratError(
            f"The file of the defense {defense!r} was fitted to {fitted}, and the model is {used}.",
            hint=f"Fit one to this model: jurat defense fit {defense} --model {other}",
        )


def _hint(kind: str) -> str:
    return f"Name a file that was written by: jurat defense fit {kind}"
