"""The policy that verdicts were reached under: its name, its version and its rules' sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jurat.errors import JuratError
from jurat.judge import Verdict
from jurat.report.explanations import rule_texts
from jurat.text import printable

if TYPE_CHECKING:
    from jurat.constitution import Constitution


@dataclass(frozen=True)
class Policy:
    """What is known of it."""

    name: str
    digest: str
    version: str = ""
    rules: Mapping[str, str] = field(default_factory=dict[str, str])
    """The rules' own sentences by their ids; empty where the record does not lead to them."""

    def __str__(self) -> str:
        return printable(f"{self.name}, version {self.version}" if self.version else self.name)

    def texts(self, verdict: Verdict) -> Mapping[str, str]:
        """The sentences for a verdict, if it was reached under this policy."""
        return self.rules if verdict.constitution.rpartition("@")[2] == self.digest else {}


def policy_of(facts: Mapping[str, Any], verdict: Verdict, given: Constitution | None = None) -> Policy:
    """The policy of a run whose first verdict is given.

    It is the one in `_run.json`. A file of verdicts has none beside it: then it is the one that is given, or
    the one of the shelf with the same digest; else no more than its name is known.

    Raises:
        JuratError: the given constitution is not the one of the verdicts.
    """
    from jurat.constitution import load_constitution, shelf_names

    name, _, digest = verdict.constitution.rpartition("@")
    if given is not None and given.digest != digest:
        raise JuratError(
            f"The verdicts are of {verdict.constitution}, not of {given.name}@{given.digest}.",
            hint="Give the file as it was when they were judged.",
        )
    told: Any = facts.get("constitution")
    if given is None and isinstance(told, dict) and told.get("digest") == digest:
        return Policy(str(told.get("name")), digest, str(told.get("version") or ""), rule_texts(facts))
    if given is None and name in shelf_names():
        ready = load_constitution(f"shelf:{name}")
        given = ready if ready.digest == digest else None
    if given is None:
        return Policy(name, digest)
    return Policy(given.name, digest, given.version, {rule.id: rule.rule for rule in given.rules})
