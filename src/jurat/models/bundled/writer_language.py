"""The language that the bundled writer writes, and what follows from its clauses without a model.

What a rule forbids is written as clauses, one after the other: alternatives in braces, `not:` before what
must be missing, `unless:` before an exception::

    A child touches a beer or a wine glass.
    not: {A man is visible. A woman is visible.}
    unless: A sign reads STOP.

The names and canonical statements of the pictogram world are data beside the weights (`language.json`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TypeAlias

from jurat.models.bundled import data_files
from jurat.models.capabilities import RuleDraft

LANGUAGE = "language.json"
VERSION = 1


@dataclass(frozen=True)
class WrittenStatement:
    """One statement of a clause."""

    kind: str
    """A key of `WriterLanguage.statements`."""
    slots: dict[str, str]
    text: str
    """Its canonical spelling."""
    negated: bool = False


Clauses: TypeAlias = tuple[tuple[WrittenStatement, ...], ...]
"""Each a tuple of alternatives."""


@dataclass(frozen=True)
class WriterLanguage:
    """Names and canonical statements of the world: the data of `language.json`."""

    nouns: dict[str, tuple[str, str]]
    """Singular -> with its article, plural."""
    words: tuple[str, ...]
    """What signs read."""
    numbers: tuple[str, ...]
    statements: dict[str, str]
    """Kind -> template with the slots {a} (a name), {b} (names), {n} (how many of what), {w} (a word)."""
    phrases: dict[str, str]
    """Kind -> the same as something that an image shows, for descriptions."""
    shown: dict[str, tuple[str, ...]]
    """Kind -> the slots whose things must be visible for it to be true, where that goes unsaid."""

    @classmethod
    def load(cls, folder: Path) -> WriterLanguage:
        """Raises ModelError: there is none, or it is of another version."""
        with data_files.reading(folder / LANGUAGE, VERSION) as data:
            return cls(
                {name: (a, plural) for name, (a, plural) in data["nouns"].items()},
                tuple(data["words"]),
                tuple(data["numbers"]),
                data["statements"],
                data["phrases"],
                {kind: tuple(slots) for kind, slots in data["shown"].items()},
            )

    def save(self, folder: Path) -> None:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data_files.write(folder / LANGUAGE, VERSION, fields)

    def read(self, text: str) -> tuple[Clauses, Clauses]:
        """The clauses and the exceptions in what the writer wrote; raises ValueError where it is no draft."""
        pieces = re.findall(r"unless:|not:|[{}]|[^{}.:]+\.|\S", re.sub(r"\s+([.,:])", r"\1", text).strip())
        clauses: list[tuple[WrittenStatement, ...]] = []
        unless: list[tuple[WrittenStatement, ...]] = []
        while pieces:
            into = unless if pieces[0] == "unless:" else clauses
            del pieces[: into is unless]
            negated = pieces[:1] == ["not:"]
            del pieces[:negated]
            if pieces[:1] == ["{"] and "}" in pieces:
                inner, pieces = pieces[1 : pieces.index("}")], pieces[pieces.index("}") + 1 :]
            else:
                inner, pieces = pieces[:1], pieces[1:]
            if not inner:
                raise ValueError("a clause without a statement")
            statements = tuple(self.statement(piece, negated) for piece in inner)
            # Not: {A. B.} says that both are missing, which is two clauses.
            into += [(each,) for each in statements] if negated else [statements]
        if not clauses:
            raise ValueError("no clauses")
        return tuple(clauses), tuple(unless)

    def statement(self, sentence: str, negated: bool = False) -> WrittenStatement:
        """Reads one statement; raises ValueError where it is not a canonical one of this world."""
        sentence = " ".join(sentence.lower().split())
        for kind, pattern in self._patterns.items():
            if match := pattern.fullmatch(sentence):
                slots = match.groupdict()
                if "w" in slots:
                    slots["w"] = slots["w"].upper()
                text = self.statements[kind].format_map(slots)
                return WrittenStatement(kind, slots, text[0].upper() + text[1:], negated)
        raise ValueError(f"no statement of the pictogram world: {sentence!r}")

    def names_in(self, text: str) -> list[str]:
        """The singular names, and the words of signs, that occur in a text, in order, once each."""
        return list(dict.fromkeys(self._named[found] for found in self._name.findall(text.lower())))

    def objects_in(self, clause: Sequence[WrittenStatement]) -> tuple[str, ...]:
        """The names of things in a clause, in order, once each."""
        names = self.names_in(" ".join(statement.text for statement in clause))
        return tuple(name for name in names if name in self.nouns)

    def draft(self, clauses: Clauses, unless: Clauses) -> RuleDraft:
        """Clauses and exceptions as a `RuleDraft`, which has no exceptions: broken *unless A* is broken where
        *not A*."""
        clauses = without_exceptions(complete(clauses, self), unless)
        return RuleDraft(
            tuple(tuple((statement.text, statement.negated) for statement in clause) for clause in clauses),
            tuple(self.objects_in(clause) for clause in clauses),
            describe(clauses, self) or None,
        )

    @cached_property
    def _named(self) -> dict[str, str]:
        named = {form: name for name, (_, plural) in self.nouns.items() for form in (name, plural)}
        return named | {word.lower(): word for word in self.words}

    @cached_property
    def _name(self) -> re.Pattern[str]:
        return re.compile(rf"\b(?:{any_of(self._named)})\b")

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        one = f"(?:{any_of(indefinite for indefinite, _ in self.nouns.values())})"
        slots = {
            "a": one,
            "b": f"{one}(?:(?:, {one})* or {one})?",
            "n": f"(?:exactly|at least) (?:{any_of(self.numbers)}) (?:{any_of(self._named)})",
            "w": any_of(word.lower() for word in self.words),
        }
        return {
            kind: re.compile(
                re.sub(r"\\{(\w)\\}", lambda m: f"(?P<{m[1]}>{slots[m[1]]})", re.escape(template))
            )
            for kind, template in self.statements.items()
        }


def any_of(texts: Iterable[str]) -> str:
    """A regular expression for any of some texts, longest match first."""
    return "|".join(sorted(map(re.escape, texts), key=len, reverse=True))


def complete(clauses: Clauses, language: WriterLanguage) -> Clauses:
    """The clauses, each after those that it implies: that the things it names are visible.

    A rule says the same with and without; a judge can stop early with them.
    """
    found: list[tuple[WrittenStatement, ...]] = []
    for clause in clauses:
        if len(clause) == 1 and not clause[0].negated:
            for slot in language.shown.get(clause[0].kind, ()):
                things = re.split(r", | or ", clause[0].slots[slot])
                visible = tuple(language.statement(f"{thing} is visible.") for thing in things)
                found += [] if visible in found else [visible]
        found += [] if clause in found else [clause]
    return tuple(found)


def describe(clauses: Clauses, language: WriterLanguage) -> str:
    """What breaks the rule, as one phrase: "a child touching a beer or a wine glass".

    What must be missing is left out; "" where there is nothing else.
    """
    positive = [clause for clause in clauses if not clause[0].negated]
    named = {
        name for clause in positive if clause[0].kind != "visible" for name in language.objects_in(clause)
    }
    phrases: list[str] = []
    for clause in positive:
        if clause[0].kind == "visible" and named.issuperset(language.objects_in(clause)):
            continue
        ways = [language.phrases[each.kind].format_map(each.slots) for each in clause]
        phrases.append(ways[0] if len(ways) == 1 else f"{', '.join(ways[:-1])} or {ways[-1]}")
    return " and ".join(phrases)


def without_exceptions(clauses: Clauses, unless: Clauses) -> Clauses:
    """Clauses that all hold where `clauses` do and not all of `unless`: by De Morgan, one for every way to
    pick an alternative from each exception, in which one of those picked is false."""
    if not unless:
        return clauses
    ways = [tuple(replace(one, negated=not one.negated) for one in picked) for picked in product(*unless)]
    return clauses + tuple(way for way in ways if way not in clauses)


def in_lines(clauses: Clauses, unless: Clauses = ()) -> str:
    """The clauses in the line format of this module's docstring."""

    def line(clause: tuple[WrittenStatement, ...]) -> str:
        texts = [f"not: {each.text}" if each.negated else each.text for each in clause]
        return texts[0] if len(texts) == 1 else f"{{{' '.join(texts)}}}"

    return "\n".join([*map(line, clauses), *(f"unless: {line(clause)}" for clause in unless)])
