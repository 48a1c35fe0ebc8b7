"""The policy of verdicts: its name, its version and its rules' sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jurat.errors import JuratError
from jurat.judge import Verdict
from jurat.report.verdicts.read_run import table
from jurat.text import printable

if TYPE_CHECKING:
    from jurat.constitution import Constitution


@dataclass(frozen=True)
class Policy:
    """A constitution, as far as the record leads to it."""

    name: str
    digest: str
    version: str = ""
    rules: Mapping[str, str] = field(default_factory=dict[str, str])
    """The rules' sentences by their ids; empty where they are not known."""

    def __str__(self) -> str:
        return printable(f"{self.name}, version {self.version}" if self.version else self.name)

    def texts(self, verdict: Verdict) -> Mapping[str, str]:
        """The rules' sentences, for a verdict of this policy; else empty."""
        return self.rules if verdict.constitution.rpartition("@")[2] == self.digest else {}


def policy_of(facts: Mapping[str, Any], verdict: Verdict, given: Constitution | None = None) -> Policy:
    """The policy of a run, found by the digest in its first verdict.

    It is the constitution that is given, the one in `_run.json`, or the one of the shelf with that digest. If
    none has it, only the name is known.

    Raises:
        JuratError: the constitution that is given has another digest.
    """
    from jurat.constitution import load_constitution, shelf_names

    name, _, digest = verdict.constitution.rpartition("@")
    if given is not None and given.digest != digest:
        raise JuratError(
            f"The verdicts are of {verdict.constitution}, not of {given.name}@{given.digest}.",
            hint="Give the file as it was when they were judged.",
        )
    recorded = table(facts, "constitution")
    if given is None and recorded.get("digest") == digest:
        return Policy(
            str(recorded.get("name")), digest, str(recorded.get("version") or ""), _sentences(recorded)
        )
    if given is None and name in shelf_names():
        ready = load_constitution(f"shelf:{name}")
        given = ready if ready.digest == digest else None
    if given is None:
        return Policy(name, digest)
    return Policy(given.name, digest, given.version, {rule.id: rule.rule for rule in given.rules})


def _sentences(recorded: Mapping[str, Any]) -> dict[str, str]:
    """The rules' sentences by their ids, as far as a recorded constitution has them."""
    rules: Any = recorded.get("rules")
    known: list[Any] = rules if isinstance(rules, list) else []
    tables: list[dict[str, Any]] = [rule for rule in known if isinstance(rule, dict)]
    return {str(rule["id"]): str(rule["rule"]) for rule in tables if "id" in rule and "rule" in rule}
