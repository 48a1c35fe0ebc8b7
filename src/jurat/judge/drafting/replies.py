"""Parses a chat model's reply at each step of drafting.

Each parser takes the raw reply and returns its content, or raises `ReplyError`, whose one sentence is shown
to the model and to the user; it raises nothing else. Parsers skip what models add around an answer (their
thoughts, a greeting, code fences, bold type) and never guess: a reply without one clear reading is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from string import whitespace

from pydantic import TypeAdapter, ValidationError

from jurat.constitution import Clause, Statement
from jurat.constitution.rules import Text
from jurat.constitution.wording import remarks

MAX_CLAUSES = 20
MAX_OBJECTS = 12
"""The most objects of one clause."""
MAX_OBJECT_LENGTH = 60
MAX_DESCRIPTION_WORDS = 40
"""CLIP's text encoder reads 77 tokens."""
LONGEST_REPLY = 20_000
"""Characters; a longer reply is not read."""

_ITEM = re.compile(r"\s*(\d{1,3})[.)]\s+(\S.*)")
_BRACKETED = re.compile(r"\[\[\s*(\d{1,3})\s*\]\]")
_LABELLED = re.compile(r"^[^\w\n]*(?:rating|score)\W{1,4}(\d{1,3})(?![.,]?\d)", re.IGNORECASE | re.MULTILINE)
_WORD = re.compile(r"\w")
_MARKS = "#>_-" + whitespace
_NOT = re.compile(r"not(?::\s*|\s+)", re.IGNORECASE)
_OR_AFTER_SENTENCE = re.compile(r"(?:(?<=[.!])|(?<=[.!][\"”')]))\s+or\s+", re.IGNORECASE)
_OR_BEFORE_CAPITAL = re.compile(r"\s+or\s+(?=(?:not:?\s+)?[A-Z])")
_BETWEEN_BRACES = re.compile(r"\}\s*or\s*\{", re.IGNORECASE)
_ARTICLE = re.compile(r"(?:an?|the)\s+(?=\S)", re.IGNORECASE)
_NONE = frozenset({"none", "-", "–", "—", "n/a", "nothing"})
_AROUND = " .\"'“”`"
_QUOTES = {'"': '"', "“": "”", "'": "'"}

_text: TypeAdapter[str] = TypeAdapter(Text)


class ReplyError(ValueError):
    """A reply that does not say what it was asked for; the message is one sentence for model and person."""


def parse_rating(reply: str) -> tuple[int, str]:
    """(score from 1 to 10, the reason given for it): the last rating of the reply counts."""
    text = _answer_text(reply)
    ratings = list(_BRACKETED.finditer(text)) or list(_LABELLED.finditer(text))
    if not ratings:
        raise ReplyError('It holds no rating in the form "Rating: [[5]]".')
    score = int(ratings[-1][1])
    if not 1 <= score <= 10:
        raise ReplyError(f"The rating {score} is not from 1 to 10.")
    before = _without_label(text[: ratings[-1].start()])
    return score, " ".join((before if before.strip() else text[ratings[-1].end() :]).split())


def parse_rule(reply: str) -> str:
    """The sentence on the last line that begins with "Rule:"."""
    return _checked(_labelled(reply, "Rule"), "The rule")


def parse_clauses(reply: str) -> tuple[Clause, ...]:
    """The clauses of a numbered list, without objects; see `render_clauses` for how they are written.

    A statement that lacks its capital letter or its full stop is given them.
    """
    items = parse_numbered(reply)
    if len(items) > MAX_CLAUSES:
        raise ReplyError(f"The list has {len(items)} lines, more than {MAX_CLAUSES}.")
    return tuple(_clause(number, item) for number, item in enumerate(items, 1))


def parse_objects(reply: str, count: int) -> tuple[tuple[str, ...], ...]:
    """The objects on each of the `count` lines of a numbered list; none where a line says "none"."""
    items = parse_numbered(reply)
    if len(items) != count:
        raise ReplyError(f"The list has {len(items)} lines where there are {count} statements.")
    return tuple(_objects(number, item) for number, item in enumerate(items, 1))


def parse_description(reply: str) -> str:
    """The words on the last line that begins with "Description:"."""
    text = _checked(_labelled(reply, "Description"), "The description").removesuffix(".").rstrip()
    if not text:
        raise ReplyError("The description is empty.")
    if (words := len(text.split())) > MAX_DESCRIPTION_WORDS:
        raise ReplyError(f"The description has {words} words, more than {MAX_DESCRIPTION_WORDS}.")
    for remark in remarks(text):
        if remark.code in ("negation", "question"):
            raise ReplyError(f"The description {remark.message}. Name what is there.")
    return text


def parse_numbered(reply: str) -> tuple[str, ...]:
    """The items of the reply's one numbered list: 1 to n, each on one line. Text may stand around it."""
    items: list[str] = []
    closed = False
    """After an empty line; what then follows is no item, or the list has ended."""
    ended = False
    for line in _answer_text(reply).splitlines():
        match = _ITEM.fullmatch(line)
        if match is None:
            if line.strip() and items and not closed:
                raise ReplyError(f"A line of the list has no number: {_excerpt(line)}.")
            ended = ended or bool(line.strip() and items)
            closed = not line.strip()
        elif ended or int(match[1]) != len(items) + 1:
            expected = "after the list's end" if ended else f"where {len(items) + 1} belongs"
            raise ReplyError(f"The number {int(match[1])} stands {expected}.")
        else:
            items.append(" ".join(match[2].split()))
            closed = False
    if not items:
        raise ReplyError("It holds no numbered list.")
    return tuple(items)


def render_numbered(items: Iterable[str]) -> str:
    """What `parse_numbered` reads."""
    return "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1))


def render_clauses(clauses: Sequence[Clause]) -> str:
    """What `parse_clauses` reads: `1. {A dog sits. or A cat sits.}`, `2. not: A cow is visible.`"""
    return render_numbered(map(_rendered, clauses))


def quoted(reply: str) -> str:
    """A reply's beginning, for a report."""
    try:
        return _excerpt(_answer_text(reply)) if reply.strip() else "nothing"
    except ReplyError:
        return _excerpt(reply)


def _rendered(clause: Clause) -> str:
    texts = [str(statement) for statement in clause.alternatives]
    return texts[0] if len(texts) == 1 else f"{{{' or '.join(texts)}}}"


# --- parts --------------------------------------------------------------------------------------


def _answer_text(reply: str) -> str:
    """The reply without the thinking before it, code fences and bold type."""
    spoken = reply.rpartition("</think>")[2]
    if len(spoken) > LONGEST_REPLY:
        raise ReplyError(f"It has {len(spoken):,} characters, more than {LONGEST_REPLY:,}.")
    if "<think>" in spoken:
        raise ReplyError("It ends before the thinking does.")
    lines = (line for line in spoken.splitlines() if not line.lstrip().startswith("```"))
    return "\n".join(lines).replace("**", "")


def _without_label(text: str) -> str:
    """What stands before a rating, without "Rating:" or "Score:" and the marks of a heading at its end."""
    end = len(text)
    while end and not _WORD.match(text, end - 1):
        end -= 1
    for label in ("rating", "score"):
        if text[max(0, end - len(label)) : end].lower() == label:
            head = text[: end - len(label)]
            bare = head.rstrip(_MARKS)
            if not bare or any(character.isspace() for character in head[len(bare) :]):
                return bare
    return text


def _labelled(reply: str, label: str) -> str:
    lines: list[str] = re.findall(
        rf"^[^\w\n]*{label}[ \t]*:[ \t]*(\S.*)$", _answer_text(reply), re.IGNORECASE | re.MULTILINE
    )
    if not lines:
        raise ReplyError(f'It holds no line that begins with "{label}:".')
    text = lines[-1].strip()
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def _clause(number: int, item: str) -> Clause:
    where = f"Line {number}"
    try:
        return Clause(alternatives=tuple(_statement(where, part) for part in _alternatives(where, item)))
    except ValidationError as invalid:
        raise ReplyError(f"{where} {_reason(invalid)}.") from None


def _alternatives(where: str, item: str) -> list[str]:
    if not item.startswith("{"):
        if _NOT.match(item) and "{" in item:
            raise ReplyError(
                f'{where} negates braces; put "not:" before each statement, on lines of their own.'
            )
        return [item]
    inner = item.rstrip(" .")
    if not inner.endswith("}"):
        raise ReplyError(f"{where} continues after its braces.")
    inner = inner[1:-1]
    if _BETWEEN_BRACES.search(inner):
        return _BETWEEN_BRACES.split(inner)
    parts = _OR_AFTER_SENTENCE.split(inner)
    return parts if len(parts) > 1 else _OR_BEFORE_CAPITAL.split(inner)


def _statement(where: str, text: str) -> Statement:
    text = text.strip(" ,;\t")
    match = _NOT.match(text)
    text = text[match.end() :].strip() if match else text
    if "{" in text or "}" in text:
        raise ReplyError(f"{where} has braces within a statement.")
    if _NOT.match(text):
        raise ReplyError(f"{where} negates twice.")
    return Statement(text=_sentence(_checked(text, where)), negated=match is not None)


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:] if "a" <= text[0] <= "z" else text
    return text if text.rstrip("\"'”’») ").endswith((".", "!", "?", "。")) else f"{text}."


def _objects(number: int, item: str) -> tuple[str, ...]:
    objects: dict[str, str] = {}
    for part in re.split(r"[,;]", item.strip(" .[]{}")):
        word = _ARTICLE.sub("", part.strip(_AROUND), count=1).strip(_AROUND)
        if not word or word.casefold() in _NONE:
            continue
        if len(word) > MAX_OBJECT_LENGTH:
            raise ReplyError(f"Line {number} names an object of more than {MAX_OBJECT_LENGTH} characters.")
        word = _checked(word, f"Line {number}")
        objects.setdefault(word.casefold(), word)
    if len(objects) > MAX_OBJECTS:
        raise ReplyError(f"Line {number} names more than {MAX_OBJECTS} objects.")
    return tuple(objects.values())


def _checked(text: str, name: str) -> str:
    try:
        return _text.validate_python(text)
    except ValidationError as invalid:
        raise ReplyError(f"{name} {_reason(invalid)}.") from None


def _reason(invalid: ValidationError) -> str:
    return invalid.errors(include_url=False)[0]["msg"]


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    return f'"{text}"' if len(text) <= 120 else f'"{text[:119]}…"'
