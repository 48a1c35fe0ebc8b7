"""The statements that a bundled model may be asked: a small language, as data beside the weights.

`statements.json` holds the names of the pictogram world and the forms of a statement: a template, and how
names or numbers may be phrased in it. It holds only forms that the model answers correctly
(`perf/statement_forms.py` measures them and writes the file; docs/results/statement-forms.md has the
table). Everything else is refused, like a word that the model never learned: a small model answers "Nobody
is visible." as if it were "Somebody is visible.", with great confidence.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jurat.models.bundled import data_files
from jurat.models.bundled.writer_language import any_of

STATEMENTS = "statements.json"
VERSION = 1

_LISTS = {"visible": "a", "touches": "b", "with": "b", "not touches": "b"}
"""Kind -> the slot that may hold several names."""
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven")
_SAME = {"s": "a", "t": "b", "p": "a"}
"""Slots of names without an article -> the slot of the same thing with one."""
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
class ParsedStatement:
    """A statement in one of the forms of the language."""

    kind: str
    """A key of `Language.forms`."""
    template: str
    variant: str
    """How names or numbers are phrased: "one", "list", "exactly two"."""
    slots: Mapping[str, tuple[str, ...]]
    """Slot ("a", "b" or "n") -> the singular names in it, in order."""


@dataclass(frozen=True)
class Language:
    """The statements that a model may be asked; the data of `statements.json`. A
    `jurat.models.StatementReader`.
    """

    asked: str
    """The wording of a question: "Statement: {text}"."""
    nouns: Mapping[str, tuple[str, str, str]]
    """Singular -> with its article, with "the", plural."""
    words: tuple[str, ...]
    """What signs read."""
    forms: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Kind -> template with the slots {a}, {b} (names), {s}, {t} (the same without an article), {p} (the
    plural of {a}), {n} (how many of what), {w} (a sign's word) -> the variants that the model answers
    correctly; none where it may not be asked this way."""
    present: Mapping[str, tuple[str, ...]]
    """Kind of a relation -> the slots whose things are in every picture where it is true."""

    @classmethod
    def load(cls, folder: Path) -> Language | None:
        """None where there is no such file: then only words are checked.

        Raises:
            ModelError: it cannot be read, or is of another version.
        """
        file = folder / STATEMENTS
        if not file.is_file():
            return None
        with data_files.reading(file, VERSION) as data:
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

    def save(self, folder: Path) -> None:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data_files.write(folder / STATEMENTS, VERSION, fields)

    # --- what the judge asks of it -----------------------------------------------------------------

    def refusal(self, statement: str) -> str | None:
        """See `jurat.models.StatementReader`."""
        if self.read(statement) is not None:
            return None
        if negation := _NEGATION.search(statement):
            positive = self._positive(statement)
            advice = f"write `not: {positive}`" if positive else "state it positively, under `not:`"
            return f'it is a negation ("{negation[0]}") that the model may read as its opposite; {advice}'
        if _JOINED.search(statement) and any(map(self.read, _parts(statement))):
            return "the model reads one statement at a time; write each as a clause of its own"
        instead = self._near(statement)
        advice = f'did you mean "{instead}"?' if instead else "see docs/pictograms.md for what can be said"
        if instead and (one := self._one_of_several(statement)):
            several = f', or "{instead}"' if instead != one else ""
            advice = f'write "{one}" where one is enough{several}'
        if self.parse(statement) is not None:
            return f"the model reads this form wrongly too often; {advice}"
        return f"the model never learned to read it; {advice}"

    def presence(self, statement: str) -> tuple[tuple[str, ...], ...]:
        """See `jurat.models.StatementReader`."""
        read = self.read(statement)
        if read is None:
            return ()
        slots = self.present.get(read.kind, ())
        seen = [(_sentence(f"{self._listed(read.slots[slot])} is visible."),) for slot in slots]
        lists = [slot for slot in slots if len(read.slots[slot]) > 1]
        first = next(iter(self.forms[read.kind]))
        each = [
            tuple(
                _sentence(self._filled(first, dict(read.slots) | {slot: (name,)}))
                for name in read.slots[slot]
            )
            for slot in lists
        ]
        return tuple(dict.fromkeys((*seen, *each)))

    def refusal_of_question(self, question: str) -> str | None:
        """`refusal` of the statement in a question; None for a question of another wording."""
        before, _, after = self.asked.partition("{text}")
        if not question.startswith(before) or not question.endswith(after):
            return None
        return self.refusal(question[len(before) : len(question) - len(after)])

    @cached_property
    def numbers(self) -> frozenset[str]:
        """The numbers that are in statements which the model answers correctly."""
        variants = (v for some in self.forms.values() for each in some.values() for v in each)
        return frozenset(word for variant in variants for word in variant.split() if word in _NUMBERS)

    # --- reading -----------------------------------------------------------------------------------

    def read(self, statement: str) -> ParsedStatement | None:
        """A statement in a form that the model answers correctly; else None."""
        read = self.parse(statement)
        return read if read is not None and read.variant in self.forms[read.kind][read.template] else None

    def parse(self, statement: str) -> ParsedStatement | None:
        """A statement in any form of the language, also one that the model answers wrongly; None where it
        has another form, or names one thing twice."""
        phrases: list[_Phrase] = []

        def masked(match: re.Match[str]) -> str:
            phrases.append(self._phrase_of(match))
            return "@"

        skeleton = self._slot_pattern.sub(masked, " ".join(statement.lower().split()))
        every = [name for one in phrases for name in one.names]
        if len(set(every)) < len(every):
            return None
        for kind, template, slots in self._templates.get(skeleton, ()):
            filled = dict(sorted(zip(slots, phrases, strict=True)))
            if all(one.fits(kind, slot) for slot, one in filled.items()):
                variant = next((v.variant for v in filled.values() if v.variant != "one"), "one")
                named = {_SAME.get(slot, slot): one.names for slot, one in filled.items()}
                return ParsedStatement(kind, template, variant, dict(sorted(named.items())))
        return None

    def _phrase_of(self, match: re.Match[str]) -> _Phrase:
        if match["word"]:
            return _Phrase("w", (), "sign")
        if match["number"]:
            name = self._named[match["counted"]]
            agrees = match["counted"] == (name if match["number"].endswith(" one") else self.nouns[name][2])
            return _Phrase("n" if agrees else "", (name,), match["number"])
        if match["bare"]:
            name = self._named[match["bare"]]
            return _Phrase("st" if match["bare"] == name else "p", (name,), "one")
        found = [self._with_article[phrase] for phrase in re.split(r", | or ", match["list"])]
        alike = len({article for _, article in found}) == 1
        variant = "one" if len(found) == 1 else "list" if alike else "a and the"
        bare = "st" if match["list"] == found[0][0] else ""  # a name that never has an article: "money"
        return _Phrase(f"ab{bare}", tuple(name for name, _ in found), variant)

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
    def _slot_pattern(self) -> re.Pattern[str]:
        """What fills a slot."""
        one = f"(?:{any_of(self._with_article)})"
        some, named = any_of(_NUMBERS), any_of(self._named)
        return re.compile(
            rf"\b(?:(?P<number>(?:exactly|at least|fewer than|only|more than) (?:{some})|(?:{some}) or more)"
            rf" (?P<counted>{named})"
            rf"|(?P<list>{one}(?:(?:, {one})* or {one})?)"
            rf"|(?P<bare>{named})"
            rf"|(?P<word>{any_of(word.lower() for word in self.words)}))\b"
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

    def _filled(self, template: str, slots: Mapping[str, Sequence[str]]) -> str:
        """A template with the names of `ParsedStatement.slots` in it."""
        words = {slot: self._listed(names) for slot, names in slots.items()}
        words |= {slot: " or ".join(slots[same]) for slot, same in _SAME.items() if same in slots}
        if "a" in slots:
            words["p"] = self.nouns[slots["a"][0]][2]
        return template.format_map(words)

    def _listed(self, names: Sequence[str]) -> str:
        phrases = [self.nouns[name][0] for name in names]
        return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} or {phrases[-1]}"

    # --- advice ------------------------------------------------------------------------------------

    def _positive(self, statement: str) -> str | None:
        """A statement without its negation, where the language has it."""
        plain = statement.lower()
        for pattern, instead in _POSITIVE:
            plain = re.sub(pattern, instead, plain)
        # "No dogs" denies one dog, not two.
        plurals = any_of(plural for _, _, plural in self.nouns.values())
        several = rf"(?<!two )(?<!three )\b(?:an? |any )?({plurals})\b"
        plain = re.sub(several, lambda match: self.nouns[self._named[match[1]]][0], plain)
        return None if _NEGATION.search(plain) else self._near(plain)

    def _near(self, statement: str) -> str | None:
        """A statement of the language that says nearly the same, or None."""
        repaired = self._repaired(statement)
        for candidate in (repaired, *self._alternatives(repaired)):
            if self.read(candidate) is not None:
                text = _sentence(candidate)
                signs = rf"\b(?:{any_of(map(str.lower, self.words))})\b(?= on |[.?]$)"
                return re.sub(signs, lambda match: match[0].upper(), text) if "sign" in text else text
        return None

    def _repaired(self, statement: str) -> str:
        """The statement with unknown words replaced by the nearest known ones, and articles corrected."""
        words = re.findall(r"[\w'’-]+|[^\w\s]", statement.lower())
        text = re.sub(r"\s+([.,?!])", r"\1", " ".join(map(self._nearest, words))).rstrip(".!")
        name = rf"\b(?:an?|some|any) ({any_of(self.nouns)})\b"
        text = re.sub(name, lambda match: self.nouns[match[1]][0], text)
        return text if text.endswith("?") else f"{text}."

    def _nearest(self, word: str) -> str:
        if word in self._every_word or not word.isalpha():
            return word
        return next(iter(difflib.get_close_matches(word, self._every_word, 1, cutoff=0.75)), word)

    @cached_property
    def _every_word(self) -> tuple[str, ...]:
        templates = (re.sub(r"\{\w\}", " ", template) for some in self.forms.values() for template in some)
        texts = (
            *templates,
            *self._named,
            *self.words,
            "a an the some any or more than at least exactly fewer only " + " ".join(_NUMBERS),
        )
        return tuple(dict.fromkeys(re.findall(r"[a-z]+", " ".join(texts).lower())))

    def _alternatives(self, plain: str) -> Iterator[str]:
        """Statements about the same things, most likely first."""
        if (read := self.parse(plain)) is not None:
            yield from self._canonical(read)
        found = re.findall(rf"\b({any_of(self._named)})\b", plain)
        names = list(dict.fromkeys(self._named[word] for word in found))
        articles = [self.nouns[name][0] for name in names]
        if len(names) == 1:
            number = re.search(rf"\b({any_of(_NUMBERS)})\b", plain)
            if number and number[1] == "one" and "at least" not in plain:
                yield f"there is exactly one {names[0]}."
            elif number and number[1] != "one":
                yield f"there are at least {number[1]} {self.nouns[names[0]][2]}."
            elif not number and found[0] != names[0]:
                yield f"there are at least two {self.nouns[names[0]][2]}."
            yield f"{articles[0]} is visible."
        elif len(names) == 2 and _TOGETHER.search(plain):
            yield f"{articles[0]} touches {articles[1]}."

    def _canonical(self, read: ParsedStatement) -> Iterator[str]:
        """The same statement in forms that the model answers correctly."""
        for template, variants in self.forms[read.kind].items():
            if read.kind == "reads":
                continue
            if "n" not in read.slots and variants:
                yield self._filled(template, read.slots)
            elif read.variant in variants and "n" in read.slots:
                (name,) = read.slots["n"]
                yield template.format(
                    n=f"{read.variant} {name if read.kind == 'one' else self.nouns[name][2]}"
                )

    def _one_of_several(self, statement: str) -> str | None:
        """That one of the things is visible, where a statement has a plural and no number: "Dogs are
        visible." may be meant of one dog, or of several."""
        text = statement.lower()
        found = re.findall(rf"\b({any_of(self._named)})\b", text)
        if len(found) != 1 or found[0] in self.nouns or re.search(rf"\b(?:{any_of(_NUMBERS)})\b", text):
            return None
        return self._near(f"{self.nouns[self._named[found[0]]][0]} is visible.")


@dataclass(frozen=True, order=True)
class _Phrase:
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
    """Splits a sentence at "and"."""
    return [f"{part.strip().rstrip('.')}." for part in _JOINED.split(statement)]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
