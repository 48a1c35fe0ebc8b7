"""The bundled writer: a small text model that turns a rule of the pictogram world into clauses, offline.

It reads one sentence and writes what the sentence forbids, a clause after the other: alternatives in
braces, `not:` before what must be missing, `unless:` before what makes an exception::

    A child touches a beer or a wine glass.
    not: {A man is visible. A woman is visible.}
    unless: A sign reads STOP.

Nothing that it writes is taken on trust. Beside its weights lies `language.json`, the world's names and
canonical statements: what does not follow it, or speaks of other things than the rule does, is the
failure `unparsed`; a rule with a word that the writer never learned, or that forbids nothing, is
`out_of_domain`. The rest follows from the clauses without a model: that what touches is visible, each
clause's objects (the names in it), and the description (its statements, as one phrase). A `RuleDraft` has
no exceptions, so that there they are clauses too: broken *unless A* is broken where *not A*.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jurat.content import Chat, Failure, Reply, Usage
from jurat.models.hf.loading import choose_device, choose_dtype, weights_digest, without_bars
from jurat.models.hf.torch_threads import one_thread
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.models.protocol import (
    Answer,
    C,
    Inquiry,
    Model,
    ModelError,
    RuleDraft,
    RuleWriter,
    Vocabulary,
    check_settings,
    invalid_setting,
)

if TYPE_CHECKING:
    from jurat.models.spec import ModelSpec

WEIGHTS = Path(__file__).parent / "writer"
LANGUAGE = "language.json"
VERSION = 1
PAD, START, WRITE, END, UNKNOWN = "<pad>", "<s>", "<clauses>", "</s>", "<unk>"
NOTHING = "nothing."
"""What it writes of a sentence that forbids nothing."""
MOST_WRITTEN = 160
"""Tokens; the longest drafts that it learned have half of that."""
MOST_READ = 200

_BLIND = "The bundled writer sees nothing and answers no questions: it turns rules into clauses."
_NO_RULE = "It is not one rule of the pictogram world that forbids something."


# --- the language that it writes -------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """One statement, read."""

    kind: str
    """A key of `Language.statements`."""
    slots: dict[str, str]
    text: str
    """In its canonical spelling."""
    negated: bool = False


Clauses = tuple[tuple[Said, ...], ...]
"""Each a tuple of alternatives."""


@dataclass(frozen=True)
class Language:
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
    """Kind -> those of its slots whose things must be visible for it to be true, where that goes unsaid."""

    @classmethod
    def load(cls, folder: Path) -> Language:
        """Raises ModelError: there is none, or it is not of this version."""
        try:
            data = json.loads((folder / LANGUAGE).read_text(encoding="utf-8"))
            if data["version"] != VERSION:
                raise ModelError(
                    f"{folder / LANGUAGE} is of version {data['version']}; this jurat reads {VERSION}."
                )
            return cls(
                {name: (a, plural) for name, (a, plural) in data["nouns"].items()},
                tuple(data["words"]),
                tuple(data["numbers"]),
                data["statements"],
                data["phrases"],
                {kind: tuple(slots) for kind, slots in data["shown"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"The writer's language in {folder} cannot be read: {error}") from error

    def save(self, folder: Path) -> None:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        (folder / LANGUAGE).write_text(json.dumps({"version": VERSION, **fields}, indent=1) + "\n", "utf-8")

    def read(self, text: str) -> tuple[Clauses, Clauses]:
        """The clauses and the exceptions of what the writer wrote; raises ValueError where it is no draft."""
        pieces = re.findall(r"unless:|not:|[{}]|[^{}.:]+\.|\S", re.sub(r"\s+([.,:])", r"\1", text).strip())
        clauses: list[tuple[Said, ...]] = []
        unless: list[tuple[Said, ...]] = []
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
            said = tuple(self.statement(piece, negated) for piece in inner)
            # Not: {A. B.} says that both are missing, which is two clauses.
            into += [(each,) for each in said] if negated else [said]
        if not clauses:
            raise ValueError("no clauses")
        return tuple(clauses), tuple(unless)

    def statement(self, sentence: str, negated: bool = False) -> Said:
        """Reads one statement; raises ValueError where it is not a canonical one of this world."""
        sentence = " ".join(sentence.lower().split())
        for kind, pattern in self._patterns.items():
            if match := pattern.fullmatch(sentence):
                slots = match.groupdict()
                if "w" in slots:
                    slots["w"] = slots["w"].upper()
                text = self.statements[kind].format_map(slots)
                return Said(kind, slots, text[0].upper() + text[1:], negated)
        raise ValueError(f"no statement of the pictogram world: {sentence!r}")

    def spoken(self, text: str) -> list[str]:
        """The singular names, and the words of signs, that a text speaks of, in order, once each."""
        return list(dict.fromkeys(self._named[found] for found in self._name.findall(text.lower())))

    @cached_property
    def _named(self) -> dict[str, str]:
        named = {form: name for name, (_, plural) in self.nouns.items() for form in (name, plural)}
        return named | {word.lower(): word for word in self.words}

    @cached_property
    def _name(self) -> re.Pattern[str]:
        return re.compile(rf"\b(?:{_any_of(self._named)})\b")

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        one = f"(?:{_any_of(indefinite for indefinite, _ in self.nouns.values())})"
        slots = {
            "a": one,
            "b": f"{one}(?:(?:, {one})* or {one})?",
            "n": f"(?:exactly|at least) (?:{_any_of(self.numbers)}) (?:{_any_of(self._named)})",
            "w": _any_of(word.lower() for word in self.words),
        }
        return {
            kind: re.compile(
                re.sub(r"\\{(\w)\\}", lambda m: f"(?P<{m[1]}>{slots[m[1]]})", re.escape(template))
            )
            for kind, template in self.statements.items()
        }


def _any_of(names: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))


# --- from clauses to a draft -----------------------------------------------------------------------


def complete(clauses: Clauses, language: Language) -> Clauses:
    """The clauses, each after what it takes for granted: that the things it is about are visible.

    A rule says the same with and without; a judge can stop early with them.
    """
    found: list[tuple[Said, ...]] = []
    for clause in clauses:
        if len(clause) == 1 and not clause[0].negated:
            for slot in language.shown.get(clause[0].kind, ()):
                things = re.split(r", | or ", clause[0].slots[slot])
                seen = tuple(language.statement(f"{thing} is visible.") for thing in things)
                found += [] if seen in found else [seen]
        found += [] if clause in found else [clause]
    return tuple(found)


def objects_of(clause: Sequence[Said], language: Language) -> tuple[str, ...]:
    """The names in a clause, in order, once each."""
    names = language.spoken(" ".join(said.text for said in clause))
    return tuple(name for name in names if name in language.nouns)


def describe(clauses: Clauses, language: Language) -> str:
    """What breaks the rule, as one phrase: "a child touching a beer or a wine glass".

    Of what must be missing it says nothing; "" where there is nothing else.
    """
    positive = [clause for clause in clauses if not clause[0].negated]
    told = {
        name for clause in positive if clause[0].kind != "visible" for name in objects_of(clause, language)
    }
    said: list[str] = []
    for clause in positive:
        if clause[0].kind == "visible" and told.issuperset(objects_of(clause, language)):
            continue
        ways = [language.phrases[each.kind].format_map(each.slots) for each in clause]
        said.append(ways[0] if len(ways) == 1 else f"{', '.join(ways[:-1])} or {ways[-1]}")
    return " and ".join(said)


def without_exceptions(clauses: Clauses, unless: Clauses) -> Clauses:
    """Clauses that all hold where `clauses` do and not all of `unless`: by De Morgan, one for every way to
    pick an alternative from each exception, in which one of those picked is false."""
    if not unless:
        return clauses
    ways = [tuple(replace(said, negated=not said.negated) for said in picked) for picked in product(*unless)]
    return clauses + tuple(way for way in ways if way not in clauses)


def in_lines(clauses: Clauses, unless: Clauses = ()) -> str:
    """In the line format of this module's docstring."""

    def line(clause: tuple[Said, ...]) -> str:
        said = [f"not: {each.text}" if each.negated else each.text for each in clause]
        return said[0] if len(said) == 1 else f"{{{' '.join(said)}}}"

    return "\n".join([*map(line, clauses), *(f"unless: {line(clause)}" for clause in unless)])


# --- the model -------------------------------------------------------------------------------------


def open_writer(spec: ModelSpec) -> BundledWriter:
    spec.check()
    return BundledWriter(device=spec.device, dtype=spec.dtype)


def _refused(chat: Chat) -> Failure | None:
    """Why a conversation is none that it can continue."""
    return invalid_setting(chat.generation) or (Failure("out_of_domain", _BLIND) if chat.images else None)


class ReadWords:
    """The `Vocabulary` of the writer: the words that it was shown in rules."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        only_written = tokenizer.convert_tokens_to_ids(list("{}:"))
        self._unread = frozenset([*tokenizer.all_special_ids, *only_written])

    def unknown_words(self, text: str) -> list[str]:
        encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
        return list(dict.fromkeys(text[start:end] for token, (start, end) in spans if token in self._unread))


class BundledWriter(Model):
    """See the module's docstring."""

    supported_settings = frozenset({"max_tokens"})

    def __init__(
        self,
        path: Path = WEIGHTS,
        *,
        name: str = "bundled-writer",
        device: str | None = None,
        dtype: str | None = None,
    ) -> None:
        """`path` is a folder with a causal language model, its tokenizer and its language, as training
        writes it.

        Raises:
            ModelError: the weights are not there or cannot be loaded.
        """
        import torch

        prepare_torchvision()
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if not path.is_dir():
            raise ModelError(
                f"The weights of the bundled writer are not there: {path}",
                hint="This installation of jurat is incomplete: install it again, or name another model.",
            )
        self.name = name
        self.language = Language.load(path)
        place = choose_device(device)
        self.dtype = choose_dtype(dtype, place)
        try:
            with without_bars(True):
                self._tokenizer: Any = AutoTokenizer.from_pretrained(str(path), local_files_only=True)
                network: Any = AutoModelForCausalLM.from_pretrained(
                    str(path), dtype=getattr(torch, self.dtype), use_safetensors=True, local_files_only=True
                )
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"The writer in {path} cannot be loaded: {error}") from error
        self._network = network.to(place).eval()
        self._words = ReadWords(self._tokenizer)
        self.revision = weights_digest(path)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        """Always a failure: it cannot see."""
        return [Answer(failure=Failure("out_of_domain", _BLIND)) for _ in inquiries]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        """The clauses of the rule that each conversation's last turn is, in lines."""
        check_settings(self, chats)
        refused = [_refused(chat) for chat in chats]
        put = [chat for chat, failure in zip(chats, refused, strict=True) if failure is None]
        texts = [chat.turns[-1].text if chat.turns else "" for chat in put]
        written = iter(self.write(texts, [chat.generation.max_tokens for chat in put]))
        replies: list[Reply] = []
        for chat, failure in zip(chats, refused, strict=True):
            found = failure or next(written)
            if isinstance(found, Failure):
                replies.append(Reply(failure=found))
                continue
            text = in_lines(*found)
            usage = Usage(len(chat.turns[-1].text.split()), len(text.split()))
            replies.append(Reply(text, usage, finish="stop"))
        return replies

    def close(self) -> None:
        self.__dict__.pop("_network", None)

    def capability(self, kind: type[C]) -> C | None:
        if kind is Vocabulary:
            return cast(C, self._words)
        return cast(C, self) if kind is RuleWriter else None

    def draft_rule(self, text: str) -> RuleDraft | Failure:
        """The clauses of a rule, with each clause's objects and a description; or why there are none."""
        return self.drafts([text])[0]

    def drafts(self, texts: Sequence[str]) -> list[RuleDraft | Failure]:
        """As `draft_rule`, of many at once."""
        return [each if isinstance(each, Failure) else self._draft(*each) for each in self.write(texts)]

    def _draft(self, clauses: Clauses, unless: Clauses) -> RuleDraft:
        clauses = without_exceptions(complete(clauses, self.language), unless)
        return RuleDraft(
            tuple(tuple((said.text, said.negated) for said in clause) for clause in clauses),
            tuple(objects_of(clause, self.language) for clause in clauses),
            describe(clauses, self.language) or None,
        )

    def write(
        self, texts: Sequence[str], limits: Sequence[int] = ()
    ) -> list[tuple[Clauses, Clauses] | Failure]:
        """The clauses and the exceptions of each rule, as the model writes them, checked; `limits` are those
        of the tokens that each draft may have."""
        limits = [min(limit, MOST_WRITTEN) for limit in limits] or [MOST_WRITTEN] * len(texts)
        found: list[Failure | None] = [self._beyond(text) for text in texts]
        raw = iter(self._generate([text for text, fail in zip(texts, found, strict=True) if fail is None]))
        return [
            failure or self._checked(text, next(raw), limit)
            for text, limit, failure in zip(texts, limits, found, strict=True)
        ]

    def _beyond(self, text: str) -> Failure | None:
        """Why a text is not one that it can read."""
        if not text.strip():
            return Failure("out_of_domain", "There is no rule to write clauses for.")
        if unknown := self._words.unknown_words(text):
            named = ", ".join(repr(word) for word in unknown)
            return Failure("out_of_domain", f"The bundled writer never learned {named}.")
        if len(self._tokenizer(text, add_special_tokens=False)["input_ids"]) > MOST_READ:
            return Failure("out_of_domain", f"The rule is longer than {MOST_READ} words.")
        return None

    def _checked(self, text: str, raw: str, limit: int) -> tuple[Clauses, Clauses] | Failure:
        if len(raw.split()) >= limit:
            return Failure("unparsed", f"The draft has more than {limit} tokens, and was cut off.")
        if raw.replace(" ", "") == NOTHING:
            return Failure("out_of_domain", _NO_RULE)
        try:
            clauses, unless = self.language.read(raw)
        except ValueError as error:
            return Failure("unparsed", f"What the bundled writer wrote is no draft: {error}.")
        said = " ".join(each.text for clause in (*clauses, *unless) for each in clause)
        missed = set(self.language.spoken(text)) ^ set(self.language.spoken(said))
        if missed:
            named = ", ".join(sorted(missed))
            return Failure("unparsed", f"The rule and what the bundled writer made of it differ in: {named}.")
        return clauses, unless

    def _generate(self, texts: Sequence[str], batch: int = 64) -> list[str]:
        """What the model writes, greedily; alike ones together, so that little is padding."""
        import torch

        ids = [
            self._tokenizer(f"{START}{text}{WRITE}", add_special_tokens=False)["input_ids"] for text in texts
        ]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        written = [""] * len(ids)
        for first in range(0, len(order), batch):
            rows = order[first : first + batch]
            inputs = self._tokenizer.pad({"input_ids": [ids[i] for i in rows]}, return_tensors="pt")
            inputs = inputs.to(self._network.device)
            with torch.inference_mode(), one_thread():
                made = self._network.generate(**inputs, do_sample=False, max_new_tokens=MOST_WRITTEN)
            for i, row in zip(rows, made[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
                tokens = self._tokenizer.convert_ids_to_tokens(row)
                written[i] = " ".join(token for token in tokens if token not in (PAD, END))
        return written
