"""Digests: 12 hex characters that name what a constitution means, whatever the file looks like.

A digest is the first 12 hex characters of the SHA-256 of a canonical JSON text (sorted keys, no
spaces, ASCII). Texts are compared as the models hold them: white space collapsed, Unicode in NFC.
The order of rules, clauses and alternatives counts, for it is the order of the record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jurat.constitution.model import Clause, Rule

LENGTH = 12


def meaning_digest(rules: Iterable[Rule]) -> str:
    """Of what is asked and how it is combined: ids, rule texts, descriptions, clauses with their objects and
    exceptions."""
    return _digest("meaning", [_meaning(rule) for rule in rules])


def thresholds_digest(rules: Iterable[Rule]) -> str:
    """Of what is done with the answers: thresholds, severity and action of each rule."""
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


def short_hash(text: str, length: int = LENGTH) -> str:
    # Half of a surrogate pair is refused elsewhere, by a message of its own.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


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
    return short_hash(json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False))
