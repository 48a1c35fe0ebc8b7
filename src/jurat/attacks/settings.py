"""Settings of attacks: their defaults, where those come from, and what they mean."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any, TypeVar, cast

from jurat.registry import Evidence

__all__ = ["Settings", "setting"]

T = TypeVar("T")


def setting(default: T, evidence: Evidence, doc: str) -> T:
    """A setting of an attack: its default, where that comes from, and what it means."""
    return field(default=default, metadata={"evidence": evidence, "doc": doc})


class Settings:
    """The base of attacks, which are frozen dataclasses of `setting`s."""

    @classmethod
    def evidence(cls) -> dict[str, str]:
        """Setting -> where its default comes from."""
        return {each.name: each.metadata["evidence"] for each in fields(cast(Any, cls))}
