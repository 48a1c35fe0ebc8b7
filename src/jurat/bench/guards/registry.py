"""Registry of the guard models; to add one, add a file and a line here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jurat.errors import JuratError
from jurat.registry import Entry, Registry

if TYPE_CHECKING:
    from jurat.bench.guards.interface import Guard
    from jurat.bench.guards.taxonomy import Taxonomy
    from jurat.constitution import Constitution


@dataclass(frozen=True, kw_only=True)
class GuardKind(Entry):
    """One kind of guard. Its factory takes the folder or hub name, the text of the policy or None, the
    constitution, a device and a dtype, and returns a `Guard`."""

    reads_rules: bool = False
    """Whether it is asked about the user's rules, so that no map is needed."""


def _kind(
    name: str, summary: str, factory: str, paper: str | None, *, reads_rules: bool = False
) -> GuardKind:
    return GuardKind(
        name,
        summary,
        f"jurat.bench.guards.{factory}",
        usage=f"{name}=NAME_OR_PATH",
        extra="local",
        paper=paper,
        reads_rules=reads_rules,
    )


GUARDS = Registry(
    "guards",
    "guard",
    GuardKind,
    (
        _kind("llavaguard", "LlavaGuard v1.2 or QwenGuard, categories O1 to O9", "llavaguard:open_guard",
              "arXiv:2406.05113"),
        _kind("shieldgemma2", "ShieldGemma 2, its own policies", "shieldgemma2:open_guard",
              "arXiv:2504.01081"),
        _kind("shieldgemma2-rules", "ShieldGemma 2, your rules as policies", "shieldgemma2:open_with_rules",
              "arXiv:2504.01081", reads_rules=True),
        _kind("llama-guard-4", "Llama Guard 4, categories S1 to S14", "llama_guard_4:open_guard", None),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class GuardChoice:
    """A guard that the user chose."""

    kind: GuardKind
    reference: str
    """Folder or hub name of its weights."""
    taxonomy: Taxonomy | None = None
    device: str | None = None
    dtype: str | None = None

    @classmethod
    def parse(cls, text: str) -> GuardChoice:
        """Reads KIND=NAME_OR_PATH. Raises JuratError where it is not of this form."""
        name, _, reference = text.partition("=")
        kind = GUARDS.find(name)
        if not reference:
            raise JuratError(f"--guard {text} names no weights.", hint=f"Write --guard {kind.usage}")
        return cls(kind, reference.removeprefix("hf/"))

    def open(self, constitution: Constitution) -> Guard:
        """Raises JuratError where it cannot be opened, or its map does not fit it."""
        policy = None if self.taxonomy is None else self.taxonomy.policy
        opener = self.kind.load(f"The guard {self.kind.name!r}")
        guard: Guard = self.kind.attempt(
            "could not be opened",
            lambda: opener(self.reference, policy, constitution, self.device, self.dtype),
        )
        if self.taxonomy is not None:
            rules = [rule.id for rule in constitution.rules]
            self.taxonomy.check(self.kind.name, list(guard.categories), rules)
        return guard
