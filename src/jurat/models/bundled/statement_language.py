"""The statements that a bundled model is asked: a small language, as data beside the weights.

`statements.json` holds the names of the pictogram world and the forms in which a statement may be put: a
template, and how names or numbers are said in it. Only forms that the model reads rightly are in it
(`perf/statement_forms.py` measures them and writes the file; docs/results/statement-forms.md has the table).
What the language does not hold whole is refused, as a word that the model never learned is: a small model
answers "No dog is visible." as if it were "A dog is visible.", and is sure of it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jurat.models.protocol import ModelError

STATEMENTS = "statements.json"
VERSION = 1

_LISTS = {"visible": "a", "touches": "b"}
"""Kind -> the slot that may hold several names."""
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|nobody|neither|nor|without|cannot|nothing(?! but)|\w+n['’]t)\b", re.IGNORECASE
)
_POSITIVE: tuple[tuple[str, str], ...] = (
    (r"^(?:no|none of the|not one|not a single) ", "a "),
    (r"\bthere (?:is|are|isn['’]t|aren['’]t) no(?:t an?)? ", "there is a "),
    (r"\b(shows|touches|can see|is touching) no ", r"\1 a "),
    (r"\b(?:does|do|can) ?(?:not|n['’]t) ", ""),
    (r"\b(is|are|can)(?: not|n['’]t|not)\b", r"\1"),
)
"""Negations -> the same without."""
_JOINED = re.compile(r",? and ", re.IGNORECASE)
_TOGETHER = re.compile(r"\b(?:with|on|holds?|holding|carries|wears|has|touch\w*|near|beside)\b")


@dataclass(frozen=True)
class Read:
    """A statement that was read."""

    kind: str
    """A key of `Language.forms`."""
    template: str
    variant: str
    """How names or numbers are said: "one", "list", "exactly two"."""
    slots: Mapping[str, tuple[str, ...]]
    """Slot -> the singular names in it, in order."""


@dataclass(frozen=True)
class Language:
    """What a model may be asked; the data of `statements.json`. A `StatementReader`."""

    asked: str
    """How a statement is put: "Statement: {text}"."""
    nouns: Mapping[str, tuple[str, str, str]]
    """Singular -> with its article, with "the", plural."""
    words: tuple[str, ...]
    """What signs read."""
    forms: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Kind -> template with the slots {a}, {b} (names), {n} (how many of what), {w} (a sign's word) -> the
    variants that are read rightly; none where the model is not to be asked so."""
    present: Mapping[str, tuple[str, ...]]
    """Kind of a relation -> the slots whose things are in the picture where it is true."""

    @classmethod
    def load(cls, folder: Path) -> Language | None:
        """None where there is no such file: then only words are checked.

        Raises ModelError: it is not of this version, or cannot be read.
        """
        file = folder / STATEMENTS
        if not file.is_file():
            return None
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            if data["version"] != VERSION:
                raise ModelError(f"{file} is of version {data['version']}; this jurat reads {VERSION}.")
            return cls(
                data["asked"],
                {name: (a, the, plural) for name, (a, the, plural) in data["nouns"].items()},
                tuple(data["words"]),
                {
                    kind: {template: tuple(variants) for template, variants in templates.items()}
                    for kind, templates in data["forms"].items()
                },
                {kind: tuple(slots) for kind, slots in data["present"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"The statements in {file} cannot be read: {error}") from error

    def save(self, folder: Path) -> None:
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        text = json.dumps({"version": VERSION, **fields}, indent=1) + "\n"
        (folder / STATEMENTS).write_text(text, encoding="utf-8")

    # --- what the judge asks of it -----------------------------------------------------------------

    def refusal(self, statement: str) -> str | None:
        """Why the model is not asked a statement, and what to write; None where it is asked."""
        if self.read(statement) is not None:
            return None
        if negation := _NEGATION.search(statement):
            positive = self._positive(statement)
            advice = f"write `not: {positive}`" if positive else "state it positively, under `not:`"
            return f'it is a negation ("{negation[0]}"), which the model reads as its opposite; {advice}'
        if _JOINED.search(statement) and any(map(self.read, _parts(statement))):
            return "the model reads one statement at a time; write each as a clause of its own"
        instead = self._near(statement)
        advice = f'did you mean "{instead}"?' if instead else "see docs/pictograms.md for what can be said"
        if self.parse(statement) is not None:
            return f"the model reads this form wrongly too often; {advice}"
        return f"the model never learned to read it; {advice}"

    def presence(self, statement: str) -> tuple[tuple[str, ...], ...]:
        """What else is true wherever a relation is: that each thing it names is visible, and of a list that
        the relation is to one of them. Of each inner tuple one is true. Empty for what is no relation, or is
        not read."""
        read = self.read(statement)
        if read is None:
            return ()
        slots = self.present.get(read.kind, ())
        seen = [(_sentence(f"{self._listed(read.slots[slot])} is visible."),) for slot in slots]
        lists = [slot for slot in slots if len(read.slots[slot]) > 1]
        first = next(iter(self.forms[read.kind]))
        each = [
            tuple(
                _sentence(
                    first.format_map(
                        {s: self._listed((name,) if s == slot else read.slots[s]) for s in slots}
                    )
                )
                for name in read.slots[slot]
            )
            for slot in lists
        ]
        return tuple(dict.fromkeys((*seen, *each)))

    def unfit(self, question: str) -> str | None:
        """`refusal` of the statement that a question puts; None for a question that puts none."""
        before, _, after = self.asked.partition("{text}")
        if not question.startswith(before) or not question.endswith(after):
            return None
        return self.refusal(question[len(before) : len(question) - len(after)])

    # --- reading -----------------------------------------------------------------------------------

    def read(self, statement: str) -> Read | None:
        """A statement of the language, in a form that is read rightly; else None."""
        read = self.parse(statement)
        return read if read is not None and read.variant in self.forms[read.kind][read.template] else None

    def parse(self, statement: str) -> Read | None:
        """A statement in any form of the language, rightly read or not; None where it holds something else,
        or names one thing twice."""
        said: list[_Said] = []

        def masked(match: re.Match[str]) -> str:
            said.append(self._said(match))
            return "@"

        skeleton = self._phrase.sub(masked, " ".join(statement.lower().split()))
        named = [name for one in said for name in one.names]
        if len(set(named)) < len(named):
            return None
        for kind, template, slots in self._templates.get(skeleton, ()):
            filled = dict(sorted(zip(slots, said, strict=True)))
            if all(one.fits(kind, slot) for slot, one in filled.items()):
                variant = next((v.variant for v in filled.values() if v.variant != "one"), "one")
                return Read(kind, template, variant, {slot: one.names for slot, one in filled.items()})
        return None

    def _said(self, match: re.Match[str]) -> _Said:
        if match["word"]:
            return _Said("w", (), "sign")
        if match["how"]:
            name, number = self._named[match["counted"]], match["number"]
            agrees = match["counted"] == (name if number == "one" else self.nouns[name][2])
            return _Said("n" if agrees else "", (name,), f"{match['how']} {number}")
        found = [self._with_article[phrase] for phrase in re.split(r", | or ", match["list"])]
        alike = len({article for _, article in found}) == 1
        variant = "one" if len(found) == 1 else "list" if alike else "a and the"
        return _Said("ab", tuple(name for name, _ in found), variant)

    @cached_property
    def _named(self) -> dict[str, str]:
        return {form: name for name, (_, _, plural) in self.nouns.items() for form in (name, plural)}

    @cached_property
    def _with_article(self) -> dict[str, tuple[str, str]]:
        """Name with its article -> singular, and which article."""
        return {
            phrase: (name, article)
            for name, (indefinite, definite, _) in self.nouns.items()
            for phrase, article in ((indefinite, "a"), (definite, "the"))
        }

    @cached_property
    def _phrase(self) -> re.Pattern[str]:
        """What fills a slot."""
        one = f"(?:{_any_of(self._with_article)})"
        return re.compile(
            rf"\b(?:(?P<how>exactly|at least) (?P<number>\w+) (?P<counted>{_any_of(self._named)})"
            rf"|(?P<list>{one}(?:(?:, {one})* or {one})?)"
            rf"|(?P<word>{_any_of(word.lower() for word in self.words)}))\b"
        )

    @cached_property
    def _templates(self) -> dict[str, list[tuple[str, str, list[str]]]]:
        """Template with "@" for each slot -> kind, template, names of the slots."""
        found: dict[str, list[tuple[str, str, list[str]]]] = {}
        for kind, templates in self.forms.items():
            for template in templates:
                skeleton = re.sub(r"\{\w\}", "@", template)
                found.setdefault(skeleton, []).append((kind, template, re.findall(r"\{(\w)\}", template)))
        return found

    def _listed(self, names: Sequence[str]) -> str:
        phrases = [self.nouns[name][0] for name in names]
        return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} or {phrases[-1]}"

    # --- advice ------------------------------------------------------------------------------------

    def _positive(self, statement: str) -> str | None:
        """A statement without its negation, where that is one of the language."""
        plain = statement.lower()
        for pattern, instead in _POSITIVE:
            plain = re.sub(pattern, instead, plain)
        # "No dogs" denies one dog, not two.
        plurals = _any_of(plural for _, _, plural in self.nouns.values())
        several = rf"(?<!two )(?<!three )\b(?:an? |any )?({plurals})\b"
        plain = re.sub(several, lambda match: self.nouns[self._named[match[1]]][0], plain)
        return None if _NEGATION.search(plain) else self._near(plain)

    def _near(self, statement: str) -> str | None:
        """A statement of the language that says nearly the same, or None."""
        repaired = self._repaired(statement)
        for candidate in (repaired, *self._said_otherwise(repaired)):
            if self.read(candidate) is not None:
                text = _sentence(candidate)
                signs = rf"\b(?:{_any_of(map(str.lower, self.words))})\b(?= on |[.?]$)"
                return re.sub(signs, lambda match: match[0].upper(), text) if "sign" in text else text
        return None

    def _repaired(self, statement: str) -> str:
        """With words that the language lacks replaced by the nearest ones, and with articles put right."""
        words = re.findall(r"[\w'’-]+|[^\w\s]", statement.lower())
        text = re.sub(r"\s+([.,?!])", r"\1", " ".join(map(self._nearest, words))).rstrip(".!")
        name = rf"\b(?:an?|some|any) ({_any_of(self.nouns)})\b"
        text = re.sub(name, lambda match: self.nouns[match[1]][0], text)
        return text if text.endswith("?") else f"{text}."

    def _nearest(self, word: str) -> str:
        if word in self._every_word or not word.isalpha():
            return word
        return next(iter(difflib.get_close_matches(word, self._every_word, 1, cutoff=0.75)), word)

    @cached_property
    def _every_word(self) -> tuple[str, ...]:
        templates = (re.sub(r"\{\w\}", " ", template) for some in self.forms.values() for template in some)
        texts = (*templates, *self._named, *self.words, "a an the some any or at least exactly one two three")
        return tuple(dict.fromkeys(re.findall(r"[a-z]+", " ".join(texts).lower())))

    def _said_otherwise(self, plain: str) -> Iterator[str]:
        """Statements about the same things, the most likely first."""
        if (read := self.parse(plain)) is not None:
            yield from self._canonical(read)
        found = re.findall(rf"\b({_any_of(self._named)})\b", plain)
        names = list(dict.fromkeys(self._named[word] for word in found))
        articles = [self.nouns[name][0] for name in names]
        if len(names) == 1:
            number = re.search(r"\b(one|two|three)\b", plain)
            if number and number[1] == "one" and "at least" not in plain:
                yield f"there is exactly one {names[0]}."
            elif number and number[1] != "one":
                yield f"there are at least {number[1]} {self.nouns[names[0]][2]}."
            elif not number and found[0] != names[0]:
                yield f"there are at least two {self.nouns[names[0]][2]}."
            yield f"{articles[0]} is visible."
        elif len(names) == 2 and _TOGETHER.search(plain):
            yield f"{articles[0]} touches {articles[1]}."

    def _canonical(self, read: Read) -> Iterator[str]:
        """The same in forms of its kind that are read rightly."""
        for template, variants in self.forms[read.kind].items():
            if read.kind == "reads":
                continue
            if "n" not in read.slots and variants:
                yield template.format_map({slot: self._listed(names) for slot, names in read.slots.items()})
            elif read.variant in variants and "n" in read.slots:
                (name,) = read.slots["n"]
                yield template.format(
                    n=f"{read.variant} {name if read.kind == 'one' else self.nouns[name][2]}"
                )


@dataclass(frozen=True, order=True)
class _Said:
    """What fills a slot."""

    slots: str
    """Those that it may fill, a letter each."""
    names: tuple[str, ...]
    variant: str

    def fits(self, kind: str, slot: str) -> bool:
        if slot == "n" and (kind == "one") is not self.variant.endswith(" one"):
            return False
        return slot in self.slots and (len(self.names) < 2 or _LISTS.get(kind) == slot)


def _parts(statement: str) -> list[str]:
    """The sentences that a sentence with "and" in it is made of."""
    return [f"{part.strip().rstrip('.')}." for part in _JOINED.split(statement)]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _any_of(names: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))
