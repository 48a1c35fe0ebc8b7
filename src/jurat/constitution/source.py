"""A constitution's YAML text: parsed within limits, with comments and the line of every part.

The text is parsed twice. A pass over the parser's events refuses what a policy file does not need (aliases,
tags, repeated keys, deep nesting, several documents), with its place; then ruamel.yaml builds the round-trip
tree.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.reader import ReaderError

from jurat.constitution.files import find_file, read_text
from jurat.constitution.problem import ConstitutionError, Problem

MAX_DEPTH = 12
"""Most levels of nested lists and mappings; a constitution needs 7."""
_MAX_DIGITS = 100

FROM_PROSE = "From guidelines in prose or Markdown: jurat constitution draft FILE"
"""Advice for a file that is not a constitution yet."""

_REMARK = re.compile(r"(?P<gap>[ \t]+|(?:[ \t]*\r?\n)+(?P<indent>[ \t]+))(?P<remark>#[^\r\n]*)")
_COLON = re.compile(r"[ \t]*:")
_NO_REMARK = re.compile(r"#+(?![\s#]|[-=*_~]{2}|$)")
"""A `#` without a blank after it, and not a ruler: the author meant it as text."""
_NO_TEXT = ("severity", "about", "keep_below", "break_above")
"""Keys with a value of one word or number: a `#` after it always starts a comment."""
_VALUE = re.compile(r"\s*(?:[-?] +)*(?:(?:[a-z_]+|any of): +)*(?P<value>\S.*?)\s*$")
"""A line of a file: captures its text value."""

Place = tuple[int, int]
"""Line and column, counted from 1."""
PathInFile = Sequence[str | int]
"""Keys and indices from the top of the file down."""

_SHORTHAND = {"alternatives": ("any of",), "text": ("not", "statement")}
"""Fields of the models -> the keys that are used for them in a file."""


@dataclass(frozen=True)
class Source:
    """The text of a constitution file, its tree, and the place of each part."""

    file: str
    """As it is named in problems."""
    tree: object
    """ruamel.yaml's round-trip tree: edit it and `dump` it, and comments stay where they were."""
    remarks: Mapping[Place, str] = field(default_factory=dict[Place, str])
    """Comments on the line where an unquoted text ends, by the place where that text begins."""
    _names: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    """Cache of each mapping's keys by their text. A key need not be text: `1: x`."""

    def data(self) -> object:
        """The tree as plain dicts, lists, strings and numbers."""
        return _plain(self.tree)

    def locate(self, path: PathInFile, *, key: bool = False) -> Place:
        """Where `path` stands, such as ("rules", 0, "severity"): its value, or with `key` its key.

        Parts that the file does not have are skipped, so a missing key is placed at its mapping.
        """
        node, place = self.tree, _start(self.tree)
        for i, part in enumerate(path):
            name = self._find(node, part)
            if name is None:
                continue
            place = _place(node, name, key=key and i == len(path) - 1)
            node = cast("Any", node)[name]
        return place[0] + 1, place[1] + 1

    def problem(
        self,
        severity: Literal["error", "advice"],
        code: str,
        path: PathInFile,
        message: str,
        suggestion: str | None,
        *,
        key: bool = False,
    ) -> Problem:
        """A problem of the part at `path`; see `locate`."""
        line, column = self.locate(path, key=key)
        return Problem(severity, line, column, message, suggestion, code, self.file)

    def is_flow(self, path: PathInFile) -> bool:
        """True where `path` is a list or mapping written in brackets."""
        node = self.tree
        for part in path:
            name = self._find(node, part)
            if name is None:
                return False
            node = cast("Any", node)[name]
        return isinstance(node, CommentedMap | CommentedSeq) and bool(node.fa.flow_style())

    def _find(self, node: object, part: str | int) -> Any:
        """The key or index by which `node` holds `part`, or None."""
        if isinstance(node, CommentedSeq):
            return part if isinstance(part, int) and part < len(cast("list[object]", node)) else None
        if isinstance(node, CommentedMap):
            keys = cast("dict[Any, object]", node)
            names = self._names.get(id(node)) or self._names.setdefault(
                id(node), {str(key): key for key in keys}
            )
            spellings = (str(part), *_SHORTHAND.get(str(part), ()))
            return next((names[name] for name in spellings if name in names), None)
        return None

    def dump(self) -> str:
        """The tree as YAML text, with its comments."""
        return to_text(self.tree)


def read_source(ref: str | Path) -> Source:
    """Reads a path or `shelf:NAME`. Raises ConstitutionError if its YAML is not allowed in a constitution."""
    path = find_file(ref)
    return parse_source(read_text(path), str(path))


def parse_source(text: str, file: str) -> Source:
    """Raises ConstitutionError, whose `problems` say what cannot be read and where."""
    remarks: dict[Place, str] = {}
    problems = _guard(text, file, remarks)
    if not problems:
        try:
            return Source(file, yaml().load(text), remarks)
        except (YAMLError, ValueError) as error:  # ValueError: a number too long for int()
            problems = [_syntax(error, text, file)]
    raise ConstitutionError.of_problems(file, problems)


def yaml() -> YAML:
    """The reader and writer of constitutions: round trip, quotes kept, no line wrapped."""
    reader = YAML(typ="rt")
    reader.Constructor = _Constructor
    reader.preserve_quotes = True
    reader.width = 1_000_000
    reader.indent(mapping=2, sequence=4, offset=2)
    return reader


def to_text(value: object) -> str:
    """A tree, or plain dicts and lists, as YAML text."""
    stream = io.StringIO()
    yaml().dump(value, stream)
    return stream.getvalue()


def in_quotes(text: str) -> str:
    """The text in YAML quotes that fit its content, in place of quotes around it."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    if '"' in text or "\\" in text:
        return "'" + text.replace("'", "''") + "'"
    return f'"{text}"'


class _Constructor(RoundTripConstructor):
    """Keeps dates (`version: 2026-11-03`) and numbers of more than 100 digits as text; reads JSON's surrogate
    escapes: `"\\ud83d\\ude00"`."""

    def construct_yaml_int(self, node: Any) -> Any:
        return str(node.value) if len(node.value) > _MAX_DIGITS else super().construct_yaml_int(node)

    def construct_scalar(self, node: Any) -> Any:
        if isinstance(node.value, str) and any("\ud800" <= c <= "\udfff" for c in node.value):
            with suppress(UnicodeDecodeError):  # a half without the other half
                node.value = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
        return super().construct_scalar(node)


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", RoundTripConstructor.construct_yaml_str)
_Constructor.add_constructor("tag:yaml.org,2002:int", _Constructor.construct_yaml_int)


Refused: TypeAlias = tuple[Any, str, str, str | None]
"""The event of something that a constitution may not contain; code, message, suggestion."""


@dataclass
class _Level:
    """A list or mapping that is being read."""

    mapping: bool
    column: int
    """Where it begins; the lines of a text inside it are indented further."""
    keys: dict[str, int] = field(default_factory=dict[str, int])
    """Key -> its line, from 0."""
    at_key: bool = True
    key: str = ""
    """The last one that was read."""
    key_end: Any = None
    """The parser's mark of where it ends."""

    def repeated(self, key: str, line: int) -> int | None:
        """The line where `key` stood before, if it did."""
        return before if (before := self.keys.setdefault(key, line)) != line else None


def _guard(text: str, file: str, remarks: dict[Place, str]) -> list[Problem]:
    """Problems of what a constitution may not contain; also collects `Source.remarks`."""
    problems: list[Problem] = []
    try:
        for event, code, message, advice in _refused(text, remarks):
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            problems.append(Problem("error", line, column, message, advice, code, file))
    except (YAMLError, ValueError) as error:
        problems.append(_syntax(error, text, file))
    return problems


def _refused(text: str, remarks: dict[Place, str]) -> Iterator[Refused]:
    """Each thing that a constitution may not contain."""
    stack: list[_Level] = []
    documents = 0
    for event in cast("Iterator[Any]", yaml().parse(io.StringIO(text))):
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents == 2:
                advice = "Put each constitution in a file of its own."
                yield event, "syntax", "a second document starts here", advice
        elif isinstance(event, CollectionEndEvent):
            stack.pop()
        elif isinstance(event, NodeEvent):
            level = stack[-1] if stack else None
            if level and level.mapping:
                if level.at_key:
                    level.key = str(event.value) if isinstance(event, ScalarEvent) else ""
                    level.key_end = event.end_mark
                    yield from _refused_key(event, level)
                level.at_key = not level.at_key
            yield from _refused_node(event, text)
            if isinstance(event, ScalarEvent):
                yield from _refused_end(event, text, level, remarks)
            if isinstance(event, CollectionStartEvent):
                column = -1 if event.flow_style else event.start_mark.column
                stack.append(_Level(isinstance(event, MappingStartEvent), column))
                if len(stack) > MAX_DEPTH:
                    yield event, "too-deep", f"lists and mappings are nested more than {MAX_DEPTH} deep", None
                    return


def _refused_node(event: Any, text: str) -> Iterator[Refused]:
    if isinstance(event, AliasEvent) or event.anchor is not None:
        message = f"anchors and aliases are not read (`{event.anchor}`)"
        advice = "Write the text out again: a statement that occurs twice is asked only once."
        yield event, "alias", message, _or_quotes(advice, text, event)
    elif event.tag is not None:
        message = f"tags are not read (`{event.tag}`)"
        yield event, "tag", message, _or_quotes("Leave the tag out.", text, event)


def _or_quotes(advice: str, text: str, event: Any) -> str:
    """The advice, and that a text beginning with `&`, `*` or `!` needs quotes."""
    line = text[event.start_mark.index :].partition("\n")[0].strip()
    return f"{advice} If it is text, put it in quotes: {in_quotes(line)}" if " " in line else advice


def _refused_end(event: Any, text: str, level: _Level | None, remarks: dict[Place, str]) -> Iterator[Refused]:
    """An unquoted text that is cut by a ` #` which its author meant as text: `the text #1 Dad`."""
    end = event.end_mark.index
    if not event.value and level and level.mapping and (colon := _COLON.match(text, level.key_end.index)):
        end = colon.end()  # the parser places a missing value where the next thing begins
        event = ScalarEvent(None, None, (True, False), "", level.key_end, level.key_end)
    match = None if event.style not in (None, "") else _REMARK.match(text, end)
    if match is None:
        return
    value = str(event.value)
    if match["indent"] is not None:  # on its own line, where the text could continue
        whole = value.endswith((".", "!", "?")) or not value
        if whole or len(match["indent"]) <= (level.column if level else -1):
            return
    else:
        remarks[event.start_mark.line + 1, event.start_mark.column + 1] = match["remark"].strip()
    if _NO_REMARK.match(match["remark"]) and not (level and level.key in _NO_TEXT):
        whole = f"{value} {match['remark']}".strip()
        message = f"YAML takes `{_short(match['remark'].strip())}` for a remark: it is no part of the text"
        advice = (
            f"Put the whole text in quotes: {in_quotes(_short(whole))}; a remark has a blank behind its #."
        )
        yield event, "cut-text", message, advice


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"


def _refused_key(event: Any, level: _Level) -> Iterator[Refused]:
    if not isinstance(event, ScalarEvent):
        advice = 'Put a text that starts with a bracket in quotes: "[...]".'
        yield event, "syntax", "a key must be text", advice
    elif event.value == "<<":
        yield event, "alias", "merge keys are not read", "Write the keys out."
    elif (before := level.repeated(event.value, event.start_mark.line)) is not None:
        message = f"the key `{event.value}` was already given on line {before + 1}"
        yield event, "duplicate-key", message, "Keep one of the two."


def _syntax(error: Exception, text: str, file: str) -> Problem:
    line, column = 0, 0
    message = " ".join(str(error).split())
    if isinstance(error, MarkedYAMLError):
        open_quote = "quoted scalar" in str(error.context) and "end of stream" in str(error.problem)
        mark: Any = error.context_mark if open_quote else error.problem_mark or error.context_mark
        if mark is not None:
            line, column = mark.line, mark.column
        message = " ".join(str(error.problem or error.context or "not YAML").split())
        if open_quote:
            message = "the quotes that open here are never closed"
    elif isinstance(error, ReaderError):
        before = text[: error.position]
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
        message = "a control character, which YAML does not allow"
    lines = text.splitlines()
    advice = _syntax_advice(message, lines[line] if line < len(lines) else "")
    if not re.search(r"^(name|rules)[ \t]*:", text, re.MULTILINE):
        advice = FROM_PROSE
    return Problem("error", line + 1, column + 1, f"not YAML: {message}", advice, "syntax", file)


def _syntax_advice(message: str, line: str) -> str | None:
    if "\\t" in message:
        return "Indent with spaces, not with tabs."
    value = match["value"] if (match := _VALUE.match(line)) else ""
    text = " " in value and (value[0] in "\"'[]{}*&!@`%|>,?" or value[0].isalnum())
    quoted = f": {in_quotes(_short(value))}" if text else ""
    if "mapping values are not allowed" in message or "sequence entries are not allowed" in message:
        return f"Put a text that holds a colon in quotes{quoted}, and check the indentation."
    if text and value[0] in "\"'[]{}*&!@`%|>,?" and "end of stream" not in message:
        return f"If this is a text, put the whole of it in quotes{quoted}"
    return None


def _plain(node: object) -> object:
    match node:
        case dict():
            return {str(key): _plain(value) for key, value in cast("dict[object, object]", node).items()}
        case list():
            return [_plain(item) for item in cast("list[object]", node)]
        case bool() | None:
            return node
        case str():
            return str(node)
        case int():
            return int(node)
        case float():
            return float(node)
        case _:
            return str(node)


def _start(node: object) -> Place:
    lc: Any = getattr(node, "lc", None)
    return (lc.line, lc.col) if lc is not None else (0, 0)


def _place(node: object, name: str | int, *, key: bool) -> Place:
    lc = cast("Any", node).lc
    if isinstance(node, CommentedSeq):
        return lc.item(name)
    empty = cast("Any", node)[name] is None  # ruamel.yaml would put it where the next thing begins
    return lc.key(name) if key or empty else lc.value(name)
