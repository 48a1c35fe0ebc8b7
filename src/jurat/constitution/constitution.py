"""A constitution: its rules, name, version and digests.

A digest is the first 12 hex characters of the SHA-256 of a canonical JSON text (sorted keys, no
spaces, ASCII). It names what a constitution means, however the file is laid out: texts are compared as the
models hold them, with white space collapsed and Unicode in NFC. The order of rules, clauses and
alternatives counts, because it is the order of the record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, PrivateAttr, field_validator
from pydantic_core import PydanticCustomError

from jurat.constitution.rules import Clause, Frozen, Rule, Text, clean, refuse_repeats, short_hash

DIGEST_LENGTH = 12


class Constitution(Frozen):
    """An ordered set of rules, with a name, a version and digests."""

    name: Text
    version: Annotated[str, AfterValidator(lambda text: clean(text) if text.strip() else "")] = ""
    """Free text of its author, "" if there is none; the digest is what tells two apart."""
    rules: tuple[Rule, ...]

    _source: Path | None = PrivateAttr(default=None)
    _digests: tuple[object, str, str] | None = PrivateAttr(default=None)
    """The rules that the digests were computed of, and both."""

    def __repr__(self) -> str:
        rules = "1 rule" if len(self.rules) == 1 else f"{len(self.rules)} rules"
        version = f", version={self.version!r}" if self.version else ""
        return f"Constitution({self.name!r}{version}, {rules})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Whether name, version, rules and source are equal. Digests are not compared: they may not be
        computed yet."""
        if not isinstance(other, Constitution):
            return NotImplemented
        return (self.name, self.version, self.rules, self.source) == (
            other.name,
            other.version,
            other.rules,
            other.source,
        )

    @property
    def source(self) -> Path | None:
        """The file it was read from; example paths are relative to its folder."""
        return self._source

    @property
    def digest(self) -> str:
        """12 hex characters of what is asked: ids, rule texts, descriptions, clauses with their objects,
        exceptions.

        Not of the name, the version or the examples.
        """
        return self._computed()[1]

    @property
    def thresholds_digest(self) -> str:
        """12 hex characters of what is done with the answers: thresholds, severities, actions."""
        return self._computed()[2]

    def _computed(self) -> tuple[object, str, str]:
        """Both digests, computed once: they take milliseconds, and every verdict has them. A copy with other
        rules has its own."""
        if self._digests is None or self._digests[0] is not self.rules:
            self._digests = (self.rules, meaning_digest(self.rules), thresholds_digest(self.rules))
        return self._digests

    def statements(self) -> Iterator[str]:
        """Every distinct statement text of clauses and exceptions once, in order."""
        clauses = (clause for rule in self.rules for clause in (*rule.clauses, *rule.unless))
        yield from dict.fromkeys(statement.text for clause in clauses for statement in clause.alternatives)

    def read_from(self, source: Path) -> Constitution:
        """The same constitution, with its `source` set."""
        copy = self.model_copy()
        copy._source = source
        return copy

    @field_validator("rules")
    @classmethod
    def _rules_sound(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        if not rules:
            raise PydanticCustomError("empty", "lists no rule")
        refuse_repeats([rule.id for rule in rules], "duplicate-id", "has the id of rule {first}")
        return rules


def meaning_digest(rules: Iterable[Rule]) -> str:
    """Digest of what is asked and how it is combined: ids, rule texts, descriptions, clauses with their
    objects and exceptions."""
    return _digest("meaning", [_meaning(rule) for rule in rules])


def thresholds_digest(rules: Iterable[Rule]) -> str:
    """Digest of what is done with the answers: thresholds, severity and action of each rule."""
    return _digest(
        "thresholds",
        [
            {
                "id": rule.id,
                "keep_below": rule.keep_below,
                "break_above": rule.break_above,
                "severity": rule.severity,
                "action": rule.action,
            }
            for rule in rules
        ],
    )


def _meaning(rule: Rule) -> dict[str, object]:
    meaning: dict[str, object] = {
        "id": rule.id,
        "rule": rule.rule,
        "clauses": _cnf(rule.clauses),
        "unless": _cnf(rule.unless),
    }
    # Only where there are any: constitutions without them keep the digests that their records hold.
    objects = [list(clause.objects) for clause in (*rule.clauses, *rule.unless)]
    if any(objects):
        meaning["objects"] = objects
    about = [clause.about for clause in (*rule.clauses, *rule.unless)]
    if any(each != "image" for each in about):
        meaning["about"] = about
    if rule.description is not None:
        meaning["description"] = rule.description
    return meaning


def _cnf(clauses: Iterable[Clause]) -> list[list[list[object]]]:
    return [[[s.text, s.negated] for s in clause.alternatives] for clause in clauses]


def _digest(kind: str, content: object) -> str:
    # The kind and the layout's version are part of the text, so that a later layout cannot collide.
    document = {"jurat": f"constitution/{kind}/1", "rules": content}
    return short_hash(
        json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False), DIGEST_LENGTH
    )
