"""Guidelines in prose or Markdown, as a skeleton of rules to be filled in.

A list item or a sentence that forbids or demands something becomes a rule with its own words; what stands
below a heading or a line that forbids ("Not allowed:") does too. What allows something, and what is neither,
becomes a comment where it stood: nothing is left out in silence. How it is told is words of English.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jurat.constitution.amend import comment
from jurat.constitution.characters import without_invisible
from jurat.constitution.problem import ConstitutionError
from jurat.constitution.rules import MAX_TEXT, make_id
from jurat.constitution.source import yaml
from jurat.constitution.wording import remarks

Stance = Literal["forbids", "allows", "neither"]

_IS_YAML = re.compile(r"^\s*\{|^[\"']?rules[\"']?[ \t]*:", re.MULTILINE)
_NOT_ALLOWED = re.compile(
    r"\b(?:(?:not|never) (?:be )?(?:\w+ )?(?:allowed|permitted|acceptable|accepted|welcome)|"
    r"no|don't|do not|must not|mustn't|may not|can not|cannot|can't|should not|shall not|forbid\w*|"
    r"prohibit\w*|bann?ed|disallow\w*|unacceptable|violat\w*|avoid|never|neither|reject\w*|remove[sd]?)\b"
)
_DEMANDS = re.compile(
    r"\b(?:must|shall|should|ha(?:s|ve) to|needs? to|required?|requires|unless|except|only)\b"
)
_ALLOWS = re.compile(
    r"\b(?:allow(?:ed|s)?|permitted|acceptable|accepted|welcome|fine|okay|ok|exceptions?|encouraged)\b"
)
_MUST = re.compile(r"\b(?:must|shall|should|ha(?:s|ve) to|needs? to|required?|requires)\b")
_MAY = re.compile(r"\b(?:may|can)\b")
_EXCEPTION = re.compile(
    r"(?:exceptions?\b|except\b|unless\b|however\b|but\b|this (?:does|rule does) not|otherwise\b)",
    re.IGNORECASE,
)
_ITEM = re.compile(
    r"(?P<indent>[ \t]*)(?:[-*+•‣–—]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)]|§ ?\d+\.?)[ \t]+"
    r"(?:\[[ xX]\] )?(?P<text>\S.*)"
)
_HEADING = re.compile(
    r"(?:#{1,6}[ \t]+(?P<hash>.*?)[ \t#]*|\*\*(?P<bold>[^*]+)\*\*:?|__(?P<under>[^_]+)__:?)"
)
_UNDERLINE = re.compile(r"[ \t]*(?:=+|-{3,}|\*{3,}|_{3,})[ \t]*")
_SENTENCE = re.compile(r"(?<=[.!?])[\"”')]*\s+(?=[\"“(]?[A-Z])")
_DECORATION = (
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"(\*\*|__|\*|`|~~)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"<[^>\n]{1,200}>"), ""),
)


@dataclass(frozen=True)
class Skeleton:
    """A constitution to be filled in, and how the guidelines were read."""

    text: str
    """YAML. Its rules have no clauses yet."""
    rules: int
    remarks: int
    """Sentences that stand in it as comments: they allow something, or neither allow nor forbid."""


@dataclass
class _Block:
    """A list item or a paragraph."""

    line: int
    """Where it begins, from 1."""
    text: str
    item: bool
    indent: int = 0
    heading: bool = False


@dataclass
class _Found:
    """What becomes of the guidelines, in their order."""

    rules: list[tuple[int, str]] = field(default_factory=list["tuple[int, str]"])
    """(line, text)."""
    comments: dict[int, list[str]] = field(default_factory=dict[int, "list[str]"])
    """Index of the rule that they stand before -> comments."""

    def remark(self, line: int, text: str) -> None:
        self.comments.setdefault(len(self.rules), []).append(f"line {line}: {text}")


def is_guidelines(text: str) -> bool:
    """Whether a text is prose or Markdown and no constitution: it has no `rules:`."""
    return not _IS_YAML.search(text)


def skeleton(text: str, name: str) -> Skeleton:
    """The rules of guidelines, in their own words, to be given clauses.

    Args:
        text: prose or Markdown.
        name: of the constitution; for people, also how the comments call the guidelines.

    Raises:
        ConstitutionError: nothing in the text forbids or demands anything.
    """
    if re.match(r"\s*<(?:!doctype|html|\?xml)", text, re.IGNORECASE):
        raise ConstitutionError(
            f"{name} is a page of HTML or XML.", hint="Save it as plain text or Markdown."
        )
    text, hidden = without_invisible(text)
    found = _Found()
    if hidden:
        found.remark(1, f"{hidden} characters that nobody sees were left out")
    _read(list(_blocks(text)), found)
    if not found.rules:
        raise ConstitutionError(
            f"No sentence or list item of {name} forbids or demands anything.",
            hint='Write rules as sentences, such as "No dog may be visible.", or below "Not allowed:".',
        )
    count = sum(map(len, found.comments.values()))
    return Skeleton(_written(found, name), len(found.rules), count)


def _read(blocks: list[_Block], found: _Found) -> None:
    heading: Stance = "neither"
    leads: list[tuple[int, Stance]] = []
    """Open items and lead-ins: indent, and what they say of the items below."""
    for block in blocks:
        text = block.text
        if block.heading:
            heading, leads = _leads(text), []
            found.remark(block.line, f"## {text}")
            continue
        leads = [lead for lead in leads if block.item and lead[0] < block.indent]
        above = leads[-1][1] if leads else heading
        stance = _stance(text)
        if text.endswith(":"):
            said = _leads(text)
            leads.append((block.indent if block.item else -1, above if said == "neither" else said))
            found.remark(block.line, text)
        elif _EXCEPTION.match(text) and found.rules and above != "allows":
            _append(found, block.line, text)
        elif block.item:
            _item(found, block, stance, above)
            leads.append((block.indent, above if stance == "neither" else stance))
        else:
            _paragraph(found, block)


def _item(found: _Found, block: _Block, stance: Stance, above: Stance) -> None:
    """A list item with all of its sentences is one rule, if it or what it stands under forbids."""
    text = block.text
    if stance == "allows" or (above == "allows" and stance == "neither"):
        found.remark(block.line, f"allowed, no rule: {text}")
    elif (
        above == "forbids" and not _NOT_ALLOWED.search(text.casefold()) and not _MUST.search(text.casefold())
    ):
        plain = not _DEMANDS.search(text.casefold()) and not re.search(r"[.:;,]", text.rstrip("."))
        said = f"{text.rstrip('.')} must not be shown." if plain else f"Not allowed: {text}"
        _rule(found, block.line, said)
    elif stance == "forbids":
        _rule(found, block.line, text)
    else:
        found.remark(block.line, f"{text} (nothing says whether this is forbidden)")


def _paragraph(found: _Found, block: _Block) -> None:
    ruled = False
    for sentence in _SENTENCE.split(block.text):
        if ruled and _EXCEPTION.match(sentence):
            _append(found, block.line, sentence)
        elif _stance(sentence) == "forbids":
            _rule(found, block.line, sentence)
            ruled = True
        else:
            found.remark(block.line, sentence)


def _rule(found: _Found, line: int, text: str) -> None:
    text = text if text.endswith((".", "!", "?")) else f"{text}."
    if any(remark.code == "question" for remark in remarks(text)):
        found.remark(line, f"a question, no rule: {text}")
    elif len(text) > MAX_TEXT:
        found.remark(line, f"longer than {MAX_TEXT} characters, no rule: {text}")
    elif text in [each for _, each in found.rules]:
        found.remark(line, f"said before: {text}")
    else:
        found.rules.append((line, text))


def _append(found: _Found, line: int, text: str) -> None:
    """An exception belongs to the rule before it."""
    at, rule = found.rules[-1]
    if len(rule) + len(text) + 2 > MAX_TEXT:
        found.remark(line, f"belongs to the rule above: {text}")
    else:
        found.rules[-1] = at, f"{rule} {text if text.endswith(('.', '!')) else f'{text}.'}"


def _stance(text: str) -> Stance:
    said = text.casefold().replace("’", "'")
    if _NOT_ALLOWED.search(said):
        return "forbids"
    if _ALLOWS.search(said) and not re.search(r"\bonly\b", said):
        return "allows"
    return "forbids" if _DEMANDS.search(said) else "neither"


def _leads(text: str) -> Stance:
    """What a heading, or a line that ends in a colon, says of the items below."""
    stance = _stance(text)
    return "allows" if stance == "neither" and _MAY.search(text.casefold()) else stance


# --- Markdown -----------------------------------------------------------------------------------


def _blocks(text: str) -> Iterator[_Block]:
    """Headings, list items and paragraphs; code, tables and rulers are paragraphs of their own lines."""
    block: _Block | None = None
    fenced = False
    lines = text.splitlines()
    front = (
        next((i for i, line in enumerate(lines[1:], 1) if line.strip() == "---"), 0)
        if lines[:1] == ["---"]
        else 0
    )
    for number, raw in enumerate(lines, 1):
        line = raw.expandtabs(4).removeprefix("> ")
        if line.lstrip().startswith(("```", "~~~")):
            fenced, line = not fenced, ""
        row = line.lstrip().startswith("|") and not fenced
        passed = (front and number <= front + 1) or (row and not re.search(r"\w", line))
        if not line.strip() or passed or (_UNDERLINE.fullmatch(line) and not block):
            if block:
                yield _plain(block)
            block = None
            continue
        if _UNDERLINE.fullmatch(line) and block and not block.item:
            block.heading = True
            yield _plain(block)
            block = None
            continue
        heading, item = _HEADING.fullmatch(line.strip()), _ITEM.fullmatch(line)
        if (heading or item) and not fenced:
            if block:
                yield _plain(block)
            block = None
        if heading and not fenced:
            said = heading["hash"] or heading["bold"] or heading["under"] or ""
            yield _plain(_Block(number, said, item=False, heading=True))
        elif row:
            if block:
                yield _plain(block)
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            block = _Block(number, " | ".join(cells), item=True)
        elif item and not fenced:
            block = _Block(number, item["text"], item=True, indent=len(item["indent"]))
        elif block is None:
            block = _Block(number, line.strip(), item=False)
        else:
            block.text += f" {line.strip()}"
    if block:
        yield _plain(block)


def _plain(block: _Block) -> _Block:
    for pattern, instead in _DECORATION:
        block.text = pattern.sub(instead, block.text)
    block.text = " ".join(block.text.split())
    return block


# --- YAML ---------------------------------------------------------------------------------------


def _written(found: _Found, name: str) -> str:
    """Each rule with empty clauses, below comments that say where it stands in the guidelines."""
    lines = [
        f"# Made of {comment(name)}. Read every rule: give it clauses, each one thing that can be seen",
        "# (docs/constitution.md), put what excuses it under `unless`, and take the comments away.",
        *_block({"name": Path(name).stem or "guidelines"}),
        "rules:",
    ]
    ids: dict[str, int] = {}
    for at, (line, text) in enumerate(found.rules):
        lines += [f"  # {comment(each)}" for each in found.comments.get(at, [])]
        values = {"rule": text}
        id = make_id(text)
        ids[id] = ids.get(id, 0) + 1
        if ids[id] > 1:
            values = {"id": f"{id[:56]}-{ids[id]}", **values}
        rule = [*_block(values), "clauses:  # each one thing that can be seen"]
        lines += [
            f"  # of line {line}",
            *(f"  {'- ' if not i else '  '}{each}" for i, each in enumerate(rule)),
        ]
    lines += [f"  # {comment(each)}" for each in found.comments.get(len(found.rules), [])]
    return "\n".join(lines) + "\n"


def _block(values: dict[str, Any]) -> list[str]:
    stream = io.StringIO()
    yaml().dump(values, stream)
    return stream.getvalue().splitlines()


__all__ = ["Skeleton", "is_guidelines", "skeleton"]
