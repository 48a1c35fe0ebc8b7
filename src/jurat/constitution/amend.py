"""Writes drafted parts into a constitution's file without changing what a person wrote there.

The text is edited at the places that ruamel.yaml's parser gives, and only the new parts are dumped, so that
the diff shows nothing else. A round trip of the whole file would change it: ruamel.yaml has one indentation
for all lists, joins wrapped texts, and loses CRLF, blanks in brackets and braces. Each part is marked by a
comment. The outcome is parsed again and must hold exactly the intended rules, or nothing is returned.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from jurat.constitution.constitution import Constitution
from jurat.constitution.load import parse_constitution
from jurat.constitution.problem import ConstitutionError
from jurat.constitution.rules import Clause, Rule, make_id
from jurat.constitution.source import to_text, yaml

Role: TypeAlias = Literal["clauses", "unless"]

DRAFTED = "# drafted: "
"""Starts the comment above, or after, a drafted part."""
PROPOSED = "# proposed: "
"""Starts a comment with an alternative to the line above."""

MAX_COMMENT = 1200


@dataclass(frozen=True)
class Amendment:
    """New parts of one rule. Fields that are None or empty change nothing."""

    rule: int
    """Its index in the file, from 0."""
    mark: str
    """The mark of each part that is written: by whom and when."""
    text: str | None = None
    """In place of the rule's text. The rule keeps the id that it had."""
    description: str | None = None
    clauses: tuple[Clause, ...] = ()
    """In place of those that the rule has."""
    objects: Mapping[tuple[Role, int], tuple[str, ...]] = field(
        default_factory=dict["tuple[Role, int]", "tuple[str, ...]"]
    )
    """Objects for clauses and exceptions without any, by their index from 0."""
    proposals: tuple[str, ...] = ()
    """Comments under the rule's text."""


def amend(text: str, amendments: Sequence[Amendment], *, file: str = "<text>") -> str:
    """The constitution in `text` with the amendments written in, at most one a rule.

    Raises ConstitutionError where the text is no constitution, or where a rule is written in a way that
    cannot be edited in place.
    """
    before = parse_constitution(text, file=file)
    after = _Edits(text).apply(amendments)
    _verify(before, after, amendments, file)
    return after


def comment(text: str) -> str:
    """Text on one line for a comment: without control characters, and cut at `MAX_COMMENT`."""
    plain = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    plain = " ".join(plain.split())
    return plain if len(plain) <= MAX_COMMENT else f"{plain[: MAX_COMMENT - 1]}…"


def amended(rule: Rule, amendment: Amendment) -> Rule:
    """The rule as it must be parsed from the amended text."""
    values: dict[str, Any] = {name: getattr(rule, name) for name in Rule.model_fields}
    for role in ("clauses", "unless"):
        values[role] = [
            clause.model_copy(update={"objects": amendment.objects.get((role, i), clause.objects)})
            for i, clause in enumerate(values[role])
        ]
    if amendment.text is not None:
        values["rule"] = amendment.text
    if amendment.description is not None:
        values["description"] = amendment.description
    if amendment.clauses:
        values["clauses"] = amendment.clauses
    return Rule(**values)


def _verify(before: Constitution, after: str, amendments: Sequence[Amendment], file: str) -> None:
    by_rule = {amendment.rule: amendment for amendment in amendments}
    wanted = [amended(rule, by_rule[i]) if i in by_rule else rule for i, rule in enumerate(before.rules)]
    try:
        rules = parse_constitution(after, file=file).rules
        strange = [rule.id for rule, read in zip(wanted, rules, strict=True) if rule != read]
    except (ConstitutionError, ValueError) as error:
        raise ConstitutionError(
            f"The constitution {file} cannot be edited in place: {error}",
            hint="Write each rule over several lines, a key a line.",
        ) from error
    if strange:
        raise ConstitutionError(
            f"These rules of {file} cannot be edited in place: {', '.join(strange)}.",
            hint="Write them over several lines, a key a line.",
        )


# --- places in the text -------------------------------------------------------------------------


class _Edits:
    """Replacements of spans of a text, collected first and applied together."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self._spans: list[tuple[int, int, str]] = []

    def apply(self, amendments: Iterable[Amendment]) -> str:
        root = cast("Node", YAML(typ="safe", pure=True).compose(io.StringIO(self.text)))
        rules = _entries(root)["rules"][1].value
        for amendment in amendments:
            _RuleEditor(self, rules[amendment.rule]).write(amendment)
        parts: list[str] = []
        at = 0
        for start, end, new in sorted(
            self._spans, key=lambda span: span[:2]
        ):  # stable: equal places in order
            parts += self.text[at:start], new
            at = end
        return "".join([*parts, self.text[at:]])

    def replace(self, start: int, end: int, new: str) -> None:
        self._spans.append((start, end, new))

    def insert_lines(self, at: int, lines: Iterable[str]) -> None:
        """New lines after the line in which `at` stands."""
        end = self.line_end(at)
        self.replace(end, end, "".join(f"{self.newline}{line}" for line in lines))

    def mark_above(self, at: int, lines: Sequence[str], prefix: str) -> None:
        """Comment lines above the line in which `at` stands, in place of those with the same prefix."""
        first = start = self.line_start(at)
        while first > 0:
            above = self.line_start(first - 1)
            if not self.text.startswith(prefix, above + self._indent(above)):
                break
            first = above
        pad = " " * self._indent(start)
        self.replace(first, start, "".join(f"{pad}{prefix}{comment(text)}{self.newline}" for text in lines))

    def mark_below(self, at: int, lines: Sequence[str], prefix: str, pad: str) -> None:
        """The same under that line."""
        start = last = self.line_end(at)
        while (below := last + len(self.newline)) < len(self.text):
            if not self.text.startswith(prefix, below + self._indent(below)):
                break
            last = self.line_end(below)
        self.insert_lines(at, (f"{pad}{prefix}{comment(text)}" for text in lines))
        self.replace(start, last, "")

    def _indent(self, start: int) -> int:
        """Spaces at the start of a line."""
        line = self.text[start : self.line_end(start)]
        return len(line) - len(line.lstrip(" "))

    def line_start(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def line_end(self, at: int) -> int:
        """Where the line's text ends, before its line break."""
        end = self.text.find("\n", at)
        end = len(self.text) if end < 0 else end
        return end - 1 if end > at and self.text[end - 1] == "\r" else end

    def end(self, node: Node) -> int:
        """End of a node's last character; 0 for a node without any, such as a missing value."""
        if isinstance(node, ScalarNode):
            start = _start(node)
            span = self.text[start : node.end_mark.index].rstrip()
            return start + len(span) if span else 0
        if _in_brackets(node) or not node.value:
            return int(node.end_mark.index)
        last = node.value[-1]
        return self.entry_end(*last) if isinstance(node, MappingNode) else self.end(last)

    def entry_end(self, key: Node, value: Node) -> int:
        return max(self.colon(key), self.end(value))

    def colon(self, key: Node) -> int:
        """Where the value of a key may start: behind its colon."""
        colon = re.compile(r"\s*:").match(self.text, key.end_mark.index)
        if colon is None:
            raise ConstitutionError(
                f"The key `{key.value}` on line {key.start_mark.line + 1} has no colon and cannot be edited.",
                hint="Write a colon after it.",
            )
        return colon.end()


def _start(node: Node) -> int:
    return int(node.start_mark.index)


def _entries(node: Node) -> dict[str, tuple[Node, Node]]:
    return {str(key.value): (key, value) for key, value in node.value}


def _in_brackets(node: Node) -> bool:
    return isinstance(node, CollectionNode) and bool(node.flow_style)


def _is_empty(value: Node) -> bool:
    return value.tag.endswith(":null") or (isinstance(value, SequenceNode) and not value.value)


# --- one rule -----------------------------------------------------------------------------------


class _RuleEditor:
    """Writes an amendment into one rule, whether it is written in lines or in braces."""

    def __init__(self, edits: _Edits, node: Node) -> None:
        self.edits = edits
        self.node = node
        self.entries = _entries(node)
        self.flow = _in_brackets(node)
        self.pad = " " * int(node.start_mark.column)
        self.marked: set[int] = set()

    def write(self, amendment: Amendment) -> None:
        self.mark = amendment.mark
        text = self.entries["rule"]
        if amendment.text is not None:
            self._set("rule", amendment.text, text)
            if "id" not in self.entries:
                self._set("id", make_id(text[1].value), text, marked=False)
        if amendment.proposals:
            if self.flow:
                self.edits.mark_above(_start(self.node), amendment.proposals, PROPOSED)
            else:
                end = self.edits.entry_end(*text)
                self.edits.mark_below(end, amendment.proposals, PROPOSED, self.pad)
        if amendment.description is not None:
            self._set("description", amendment.description, text)
        if amendment.clauses:
            self._set("clauses", [shorthand(clause) for clause in amendment.clauses], self._head())
        for (role, i), objects in amendment.objects.items():
            self._objects(role, self.entries[role][1].value[i], objects)

    def _head(self) -> tuple[Node, Node]:
        """The last of the keys that say what a rule is, before its clauses."""
        known = ("id", "rule", "description", "severity", "action")
        return max((self.entries[key] for key in known if key in self.entries), key=lambda e: _start(e[0]))

    def _set(self, key: str, value: object, after: tuple[Node, Node], *, marked: bool = True) -> None:
        """Gives a key a value: the one it has is replaced, and a new key stands behind `after`."""
        if key in self.entries:
            if marked:
                self._mark(_start(self.entries[key][0]))
            self._replace(key, value)
        elif self.flow:
            if marked:
                self._mark(_start(self.node))
            self._into_braces(self.node, f"{key}: {inline(value)}")
        else:
            mark = [f"{DRAFTED}{comment(self.mark)}"] if marked else []
            lines = [f"{self.pad}{line}" for line in (*mark, *_block({key: value}))]
            self.edits.insert_lines(self.edits.entry_end(*after), lines)

    def _replace(self, key: str, value: object) -> None:
        name, old = self.entries[key]
        colon = self.edits.colon(name)
        end = self.edits.entry_end(name, old)
        if self.flow:
            self.edits.replace(colon, end, f" {inline(value)}")
        elif not isinstance(value, list):
            self.edits.replace(colon, end, _block({key: value})[0].partition(":")[2])
        else:
            items = _block({key: cast("list[object]", value)})[1:]
            if _is_empty(old):  # keeps what a comment behind the key says
                self.edits.replace(colon, end, "")
                self.edits.insert_lines(end, (f"{self.pad}{line}" for line in items))
            else:
                lines = "".join(f"{self.edits.newline}{self.pad}{line}" for line in items)
                self.edits.replace(colon, end, lines)

    def _mark(self, at: int) -> None:
        """Marks the line in which `at` stands, once."""
        if (line := self.edits.line_start(at)) not in self.marked:
            self.marked.add(line)
            self.edits.mark_above(at, [self.mark], DRAFTED)

    def _objects(self, role: Role, clause: Node, objects: tuple[str, ...]) -> None:
        listed = self.entries[role][1]
        words = f"objects: {inline(list(objects))}"
        start, end = _start(clause), self.edits.end(clause)
        span = self.edits.text[start:end]
        above = self.node if self.flow else self.entries[role][0] if _in_brackets(listed) else clause
        if isinstance(clause, MappingNode) and "objects" in _entries(clause):
            key, old = _entries(clause)["objects"]
            self._mark(_start(above))
            self.edits.replace(self.edits.colon(key), self.edits.entry_end(key, old), words.partition(":")[2])
        elif _in_brackets(listed) or _in_brackets(clause):
            self._mark(_start(above))
            if isinstance(clause, ScalarNode):
                self.edits.replace(start, end, f"{{statement: {span}, {words}}}")
            elif span.endswith("}"):
                self._into_braces(clause, words)
            else:  # `[not: A cat is visible.]`: a pair without braces
                self.edits.replace(start, end, f"{{{span}, {words}}}")
        else:
            pad = " " * int(clause.start_mark.column)
            if isinstance(clause, ScalarNode):
                if "\n" in span:
                    span = inline(" ".join(clause.value.split()))
                self.edits.replace(start, end, f"statement: {span}")
            self.edits.insert_lines(end, [f"{pad}{words} {DRAFTED}{comment(self.mark)}"])

    def _into_braces(self, node: Node, words: str) -> None:
        """A further entry of a mapping that is written in braces."""
        brace = int(node.end_mark.index) - 1
        before = self.edits.text[_start(node) : brace].rstrip()
        at = _start(node) + len(before)
        self.edits.replace(at, at, f" {words}" if before.endswith(",") else f", {words}")


# --- how values are written ---------------------------------------------------------------------


def shorthand(clause: Clause) -> object:
    """A clause as it is written in a file, its objects in brackets."""
    value = cast("object", clause.model_dump())
    if not isinstance(value, dict) or not clause.objects:
        return value
    objects = CommentedSeq(clause.objects)
    objects.fa.set_flow_style()
    return {**cast("dict[str, object]", value), "objects": objects}


def _block(value: Mapping[str, object]) -> list[str]:
    """Lines of YAML."""
    return to_text(dict(value)).splitlines()


def inline(value: object) -> str:
    """YAML on one line, as it may stand in brackets too."""
    stream = io.StringIO()
    writer = yaml()
    writer.default_flow_style = True
    writer.dump([value], stream)
    text = stream.getvalue().strip()[1:-1].strip()
    return f"[{text[2:]}" if text.startswith("[ ") else text
