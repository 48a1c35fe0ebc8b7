"""The file that maps a guard's categories onto a user's rules.

llama-guard-4:
  categories:
    S9: [no-weapons]
    S1: [no-weapons, no-blood]
llavaguard:
  policy: llavaguard-policy.txt      # beside this file
  categories:
    O6: no-weapons
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, RootModel, field_validator

from jurat.errors import JuratError
from jurat.text import reason
from jurat.yaml_files import read_yaml


class GuardMap(BaseModel):
    """The entry of one guard."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    categories: dict[str, tuple[str, ...]] = {}
    """Category -> ids of the rules it is mapped to."""
    policy: str | None = None
    """File with the policy text for the guard's prompt, in the folder of the map."""

    @field_validator("categories", mode="before")
    @classmethod
    def _lists(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        return {
            str(code): (rules,) if isinstance(rules, str) else rules or () for code, rules in given.items()
        }


class _Maps(RootModel[dict[str, GuardMap]]):
    """The whole file: kind of guard -> its map."""


@dataclass(frozen=True)
class Taxonomy:
    """One guard's map, with the text of its policy."""

    categories: Mapping[str, Sequence[str]] = field(default_factory=dict[str, tuple[str, ...]])
    policy: str | None = None

    @property
    def digest(self) -> str:
        said = f"{sorted((c, sorted(rules)) for c, rules in self.categories.items())}\n{self.policy}"
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def categories_of(self, rules: Sequence[str]) -> dict[str, list[str]]:
        """Rule -> its categories, for the rules that have one, in their order."""
        found = {rule: [c for c, named in self.categories.items() if rule in named] for rule in rules}
        return {rule: names for rule, names in found.items() if names}

    def check(self, kind: str, codes: Sequence[str], rules: Sequence[str]) -> None:
        """Raises JuratError for a category that the guard does not have, and for a rule that is not there."""
        for code, named in self.categories.items():
            if code not in codes:
                raise JuratError(
                    f"The map of {kind} names a category {code!r} that it does not have.",
                    hint=f"It has {', '.join(codes)}.",
                )
            for rule in named:
                if rule not in rules:
                    raise JuratError(
                        f"The map of {kind} names a rule {rule!r} that the constitution does not have.",
                        hint=f"Its rules are {', '.join(rules)}.",
                    )


def read_taxonomies(path: Path, kinds: Sequence[str]) -> dict[str, Taxonomy]:
    """The entries of a file by the guards' kinds.

    Raises:
        JuratError: it cannot be read, or names a guard that is none of `kinds`.
    """
    found: dict[str, Taxonomy] = {}
    for kind, entry in read_yaml(path, _Maps, "map of guards").root.items():
        if kind not in kinds:
            raise JuratError(
                f"{path.name}: there is no guard {kind!r}.", hint=f"There are {', '.join(kinds)}."
            )
        found[kind] = Taxonomy(entry.categories, _policy(path, entry.policy))
    return found


def _policy(path: Path, name: str | None) -> str | None:
    if name is None:
        return None
    try:
        return (path.parent / name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise JuratError(f"{path.name}: the policy {name} cannot be read: {reason(error)}") from error
