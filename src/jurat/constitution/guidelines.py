"""Guidelines in prose or Markdown, as a skeleton of rules to be filled in.

A list item or a sentence that forbids or demands something becomes a rule in its own words, and so does
each item below a heading or a line that forbids ("Not allowed:"). Everything else becomes a comment in its
place, so that nothing is dropped silently. English only: the patterns below are English words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jurat.constitution.amend import comment
from jurat.constitution.characters import without_invisible
from jurat.constitution.problem import ConstitutionError
from jurat.constitution.rules import MAX_TEXT, make_id
from jurat.constitution.source import to_text
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
class _Outline:
    """Rules and comments made of the guidelines, in their order."""

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
    outline = _Outline()
    if hidden:
        outline.remark(1, f"{hidden} characters that nobody sees were left out")
    _read(list(_blocks(text)), outline)
    if not outline.rules:
        raise ConstitutionError(
            f"No sentence or list item of {name} forbids or demands anything.",
            hint='Write rules as sentences, such as "No dog may be visible.", or below "Not allowed:".',
        )
    count = sum(map(len, outline.comments.values()))
    return Skeleton(_written(outline, name), len(outline.rules), count)


def _read(blocks: list[_Block], outline: _Outline) -> None:
    heading: Stance = "neither"
    leads: list[tuple[int, Stance]] = []
    """Open items and lead-ins: indent, and what they say of the items below."""
    for block in blocks:
        text = block.text
        if block.heading:
            heading, leads = _leads(text), []
            outline.remark(block.line, f"## {text}")
            continue
        leads = [lead for lead in leads if block.item and lead[0] < block.indent]
        above = leads[-1][1] if leads else heading
        stance = _stance(text)
        if text.endswith(":"):
            own = _leads(text)
            leads.append((block.indent if block.item else -1, above if own == "neither" else own))
            outline.remark(block.line, text)
        elif _EXCEPTION.match(text) and outline.rules and above != "allows":
            _append(outline, block.line, text)
        elif block.item:
            _item(outline, block, stance, above)
            leads.append((block.indent, above if stance == "neither" else stance))
        else:
            _paragraph(outline, block)


def _item(outline: _Outline, block: _Block, stance: Stance, above: Stance) -> None:
    """A list item with all of its sentences is one rule, if it or its heading or lead-in forbids."""
    text, folded = block.text, block.text.casefold()
    if stance == "allows" or (above == "allows" and stance == "neither"):
        outline.remark(block.line, f"allowed, no rule: {text}")
    elif above == "forbids" and not (_NOT_ALLOWED.search(folded) or _MUST.search(folded)):
        plain = not _DEMANDS.search(folded) and not re.search(r"[.:;,]", text.rstrip("."))
        sentence = f"{text.rstrip('.')} must not be shown." if plain else f"Not allowed: {text}"
        _rule(outline, block.line, sentence)
    elif stance == "forbids":
        _rule(outline, block.line, text)
    else:
        outline.remark(block.line, f"{text} (nothing says whether this is forbidden)")


def _paragraph(outline: _Outline, block: _Block) -> None:
    ruled = False
    for sentence in _SENTENCE.split(block.text):
        if ruled and _EXCEPTION.match(sentence):
            _append(outline, block.line, sentence)
        elif _stance(sentence) == "forbids":
            _rule(outline, block.line, sentence)
            ruled = True
        else:
            outline.remark(block.line, sentence)


def _rule(outline: _Outline, line: int, text: str) -> None:
    text = text if text.endswith((".", "!", "?")) else f"{text}."
    if any(remark.code == "question" for remark in remarks(text)):
        outline.remark(line, f"a question, no rule: {text}")
    elif len(text) > MAX_TEXT:
        outline.remark(line, f"longer than {MAX_TEXT} characters, no rule: {text}")
    elif text in [each for _, each in outline.rules]:
        outline.remark(line, f"said before: {text}")
    else:
        outline.rules.append((line, text))


def _append(outline: _Outline, line: int, text: str) -> None:
    """An exception belongs to the rule before it."""
    at, rule = outline.rules[-1]
    if len(rule) + len(text) + 2 > MAX_TEXT:
        outline.remark(line, f"belongs to the rule above: {text}")
    else:
        outline.rules[-1] = at, f"{rule} {text if text.endswith(('.', '!')) else f'{text}.'}"


def _stance(text: str) -> Stance:
    folded = text.casefold().replace("’", "'")
    if _NOT_ALLOWED.search(folded):
        return "forbids"
    if _ALLOWS.search(folded) and not re.search(r"\bonly\b", folded):
        return "allows"
    return "forbids" if _DEMANDS.search(folded) else "neither"


def _leads(text: str) -> Stance:
    """What a heading, or a line that ends in a colon, says of the items below."""
    stance = _stance(text)
    return "allows" if stance == "neither" and _MAY.search(text.casefold()) else stance


# --- Markdown -----------------------------------------------------------------------------------


def _blocks(text: str) -> Iterator[_Block]:
    """Headings, list items and paragraphs; code, tables and rulers are paragraphs of their own lines."""
    lines = text.splitlines()
    front_matter = 0
    if lines[:1] == ["---"]:
        front_matter = next((i for i, line in enumerate(lines[1:], 2) if line.strip() == "---"), 0)
    block: _Block | None = None
    fenced = False
    for number, raw in enumerate(lines, 1):
        line = raw.expandtabs(4).removeprefix("> ")
        if line.lstrip().startswith(("```", "~~~")):
            fenced, line = not fenced, ""
        ruler = line.lstrip().startswith("|") and not fenced and not re.search(r"\w", line)
        skipped = not line.strip() or number <= front_matter or ruler
        underline = _UNDERLINE.fullmatch(line) is not None and not (block and block.item)
        begun = None if fenced or skipped or underline else _begin(number, line)
        if block and (skipped or underline or begun):
            block.heading = underline and not skipped
            yield _plain(block)
            block = None
        if skipped or underline:
            continue
        if begun and begun.heading:
            yield _plain(begun)
        elif begun:
            block = begun
        elif block:
            block.text += f" {line.strip()}"
        else:
            block = _Block(number, line.strip(), item=False)
    if block:
        yield _plain(block)


def _begin(number: int, line: str) -> _Block | None:
    """The heading, table row or list item that a line begins."""
    if heading := _HEADING.fullmatch(line.strip()):
        text = heading["hash"] or heading["bold"] or heading["under"] or ""
        return _Block(number, text, item=False, heading=True)
    if line.lstrip().startswith("|"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        return _Block(number, " | ".join(cells), item=True)
    if item := _ITEM.fullmatch(line):
        return _Block(number, item["text"], item=True, indent=len(item["indent"]))
    return None


def _plain(block: _Block) -> _Block:
    for pattern, instead in _DECORATION:
        block.text = pattern.sub(instead, block.text)
    block.text = " ".join(block.text.split())
    return block


# --- YAML ---------------------------------------------------------------------------------------


def _written(outline: _Outline, name: str) -> str:
    """Each rule with empty clauses, below comments that say where it stands in the guidelines."""
    lines = [
        f"# Made of {comment(name)}. Read every rule: give it clauses, each one thing that can be seen",
        "# (docs/constitution.md), put what excuses it under `unless`, and take the comments away.",
        *to_text({"name": Path(name).stem or "guidelines"}).splitlines(),
        "rules:",
    ]
    ids: dict[str, int] = {}
    for at, (line, text) in enumerate(outline.rules):
        lines += [f"  # {comment(each)}" for each in outline.comments.get(at, [])]
        values = {"rule": text}
        id = make_id(text)
        ids[id] = ids.get(id, 0) + 1
        if ids[id] > 1:
            values = {"id": f"{id[:56]}-{ids[id]}", **values}
        rule = [*to_text(values).splitlines(), "clauses:  # each one thing that can be seen"]
        lines += [
            f"  # of line {line}",
            *(f"  {'- ' if not i else '  '}{each}" for i, each in enumerate(rule)),
        ]
    lines += [f"  # {comment(each)}" for each in outline.comments.get(len(outline.rules), [])]
    return "\n".join(lines) + "\n"


__all__ = ["Skeleton", "is_guidelines", "skeleton"]
