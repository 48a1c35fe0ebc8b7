"""Remarks on the wording of a statement, for English: is it a sentence about what can be seen?

A model is asked about each statement alone. So it must not be a question, must not refer outside itself
("it", "they"), must not ask for an opinion ("inappropriate") or for what nobody can see ("intended to"), and
leaves negation to `not:`. Word lists and a few patterns find the common mistakes, not all of them. Words in
quotation marks and capitals after "reads" are the text of a sign, and are skipped.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Container, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

_LISTS = tomllib.loads(files("jurat.constitution").joinpath("words.toml").read_text(encoding="utf-8"))
_WORDS = {name: frozenset(words.split()) for name, words in _LISTS.items() if isinstance(words, str)}
_PHRASES: dict[str, list[str]] = {name: _LISTS[name] for name in ("subjective_phrases", "intent_phrases")}

_NEGATION = re.compile(
    r"(?<!\ba )\bno\b"  # "a no entry sign" is one
    r"|\b(not|never|without|none|nobody|neither|nor|nothing(?! but)|absent|lacks?|lacking|(is|are) missing)\b"
    r"|\b\w+n['’]t\b"
)
_WEATHER = re.compile(r"it is (raining|snowing|hailing|foggy|dark|night|day|daytime|sunny|cloudy)\b")
_PAIRS = frozenset(('""', "''", "“”", "„“", "«»", "‘’", "``"))
_QUOTED = re.compile(r"""\"[^\"]*\"|“[^”]*”|«[^»]*»|(?<!\w)'[^']*'(?!\w)|‘[^’]*’(?!\w)""")
_SIGN_TEXT = re.compile(
    r"\b(reads?|reading|says?|saying|words?|text|labels?|labell?ed|marked)"
    r"((?: [A-Z0-9][A-Z0-9'!?&-]*)+)(?![a-z])"
)


_NAME = r"(?:an?|the|some|one) \w+(?: of)?(?: \w+)??"
_RELATIONS = (
    "touch(?:es|ing)?|in contact with|left of|right of|to the left of|to the right of|above|below|under"
    "|behind|beside|in front of|next to|on top of"
    "|(?:larger|bigger|smaller|taller|shorter|longer|higher|lower|wider) than"
)
_RELATED = re.compile(
    r"(?:the (?:image|picture) shows |there is )?"
    rf"(?P<first>{_NAME}) (?:(?:that|which) )?(?:is )?(?:{_RELATIONS}) "
    rf"(?P<other>{_NAME}(?:(?:, | or |, or ){_NAME})*)[.!]*"
)
_THING = re.compile(r"^(?:an?|the|some|one) ")


@dataclass(frozen=True)
class Remark:
    """A problem of a text's wording."""

    severity: Literal["error", "advice"]
    code: str
    message: str
    """Continues "the clause ..."."""
    suggestion: str


def remarks(text: str, *, negated: bool = False, in_brackets: bool = False) -> Iterator[Remark]:
    """Remarks on one statement.

    Args:
        text: white space collapsed, not empty.
        negated: it stands under `not:`.
        in_brackets: it stands in a list that is written `[a, b]`.
    """
    if len(text) > 2 and text[0] + text[-1] in _PAIRS and text[-1] not in text[1:-1]:
        advice = "Leave them out: the quotes of YAML itself are \" and ', and no part of the text."
        yield Remark(
            "advice", "quotes", "stands in quotation marks as a whole, which become a part of it", advice
        )
        text = text[1:-1].strip() or text
    if strange := _mixed(text):
        message = f'mixes letters that look alike from several alphabets: "{strange}"'
        yield Remark("advice", "mixed-alphabets", message, "Type the word anew.")
    spoken = _mask(text)
    if _is_question(spoken):
        yield Remark("error", "question", "is a question", 'State what can be seen: "A child is visible."')
        return
    yield from _form(text, spoken, in_brackets)
    lower = spoken.lower()
    words = re.findall(r"[\w'-]+", lower)
    if pronoun := _dangling_pronoun(lower, words):
        message = f'says "{pronoun}" with nothing to refer to: each statement is put to the model alone'
        yield Remark("advice", "pronoun", message, "Name the thing again.")
    for word in _hits(lower, words, _WORDS["subjective"], _PHRASES["subjective_phrases"]):
        suggestion = "Say what can be seen: objects, parts, positions, numbers, written words."
        yield Remark("advice", "subjective", f'asks for an opinion: "{word}"', suggestion)
    for word in _hits(lower, words, _WORDS["intent"], _PHRASES["intent_phrases"]):
        message = f'speaks of intent or likelihood, which cannot be seen: "{word}"'
        yield Remark("advice", "intent", message, "Say what is done or held, and where.")
    if match := _NEGATION.search(lower):
        yield _negation(text, match[0], negated)


def _mixed(text: str) -> str | None:
    """A word with Latin letters and with Greek or Cyrillic ones that look alike."""
    if text.isascii():
        return None
    for word in re.findall(r"[^\W\d_]{2,}", text):
        alphabets = {unicodedata.name(c, "").partition(" ")[0] for c in word}
        if "LATIN" in alphabets and alphabets & {"GREEK", "CYRILLIC"}:
            return word
    return None


def related(statement: str) -> tuple[str, str] | None:
    """The things that a statement is a relation between, a phrase each: ("a ball", "a horse or a dog"); None
    where it is no relation of a few common forms."""
    match = _RELATED.fullmatch(_mask(" ".join(statement.split())).lower())
    return None if match is None else (match["first"], match["other"])


def names(phrase: str, words: Container[str]) -> bool:
    """Whether a thing of a phrase is among words: of "a horse or a dog" one of the two."""
    things = (_THING.sub("", one).split() for one in re.split(r",? or |, ", phrase))
    return any(all(word in words or f"{word}s" in words for word in thing) for thing in things)


def _mask(text: str) -> str:
    """The text with the text of signs blanked out, so that it is not read as the statement's own words."""
    return _SIGN_TEXT.sub(r"\1 X", _QUOTED.sub("X", text))


def _is_question(text: str) -> bool:
    first = text.split()[0] if text.split() else ""
    asks = first.lower() in _WORDS["question_words"] and (len(first) < 2 or not first.isupper())
    return text.rstrip("\"'”’)] ").endswith(("?", "\uff1f")) or asks


def _form(text: str, masked: str, in_brackets: bool) -> Iterator[Remark]:
    if re.search(r"[a-z]{3}[.!?]\s+[A-Z]", masked):
        advice = "Make each sentence a clause of its own."
        yield Remark("advice", "several-sentences", "holds more than one sentence", advice)
    if text[0].islower() or not text.rstrip("\"'”’») ").endswith((".", "!", "。")):
        advice = "Start with a capital letter and end with a full stop."
        if in_brackets:
            advice += " In a list in brackets a comma ends an item: put a statement with commas in quotes."
        yield Remark("advice", "sentence", "is not written as a sentence", advice)


def _hits(text: str, words: list[str], single: frozenset[str], phrases: list[str]) -> Iterator[str]:
    yield from (word for word in dict.fromkeys(words) if word in single)
    yield from (phrase for phrase in phrases if re.search(rf"\b{phrase}\b", text))


def _dangling_pronoun(text: str, words: list[str]) -> str | None:
    """A pronoun before any noun, or the object of a verb in a statement that names one thing only."""
    if _WEATHER.match(text):
        return None
    prepositions = _WORDS["prepositions"]
    for i, word in enumerate(words):
        if word not in _WORDS["pronouns"]:
            continue
        before = words[:i]
        if all(earlier in _WORDS["function_words"] for earlier in before):
            return word
        is_last = i == len(words) - 1 or words[i + 1] in prepositions
        things = sum(earlier in _WORDS["determiners"] for earlier in before)
        if word in _WORDS["object_pronouns"] and is_last and before[-1] not in prepositions and things < 2:
            return word
    return None


def _negation(text: str, word: str, negated: bool) -> Remark:
    if negated:
        advice = "Under `not:` put what would be seen; the negation is then counted in."
        return Remark("advice", "negation", f'negates ("{word}") under `not:`', advice)
    positive = _positive(text)
    advice = f"Write `not: {positive}`" if positive else "State it positively and put it under `not:`."
    if word == "without":
        advice = 'Say what is seen instead ("a bare head"), or state it positively under `not:`.'
    return Remark("advice", "negation", f'negates ("{word}"), which models read badly', advice)


def _positive(text: str) -> str | None:
    """`text` without its negation, where that takes no grammar: "A child is ..." for "No child is ..."."""
    if match := re.match(r"No (\w)(.*? is .*)", text):
        article = "An" if match[1].lower() in "aeio" else "A"
        return f"{article} {match[1]}{match[2]}"
    if match := re.match(r"No (\w)(.*? are .*)", text):
        return f"{match[1].upper()}{match[2]}"
    if match := re.match(r"There (is|are) no (\w)(.*)", text):
        article = "an " if match[2] in "aeio" else "a "
        return f"There {match[1]} {article if match[1] == 'is' else ''}{match[2]}{match[3]}"
    if re.search(r"\b(is|are) not\b", text):
        return re.sub(r"\b(is|are) not\b", r"\1", text, count=1)
    return None
