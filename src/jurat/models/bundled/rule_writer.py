"""The bundled writer: a small text model that turns a rule of the pictogram world into clauses, offline.

It reads one sentence and writes what the sentence forbids (`writer_language`). What it writes is checked:
a draft that does not follow the language, or names other things than the rule does, is the failure
`unparsed`; a rule with a word that the writer never learned, or that forbids nothing, is `out_of_domain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from jurat.content import Chat, Failure, Reply, Usage
from jurat.models.bundled.word_vocabulary import WordVocabulary
from jurat.models.bundled.writer_language import Clauses, WriterLanguage, in_lines
from jurat.models.capabilities import RuleDraft, RuleWriter, Vocabulary
from jurat.models.hf.load_model import choose_device, choose_dtype, weights_digest, without_bars
from jurat.models.hf.torch_threads import one_thread
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.models.protocol import (
    Answer,
    C,
    Inquiry,
    Model,
    ModelError,
    check_settings,
    invalid_setting,
)

if TYPE_CHECKING:
    from jurat.models.model_spec import ModelSpec

WEIGHTS = Path(__file__).parent / "writer"
PAD, START, WRITE, END, UNKNOWN = "<pad>", "<s>", "<clauses>", "</s>", "<unk>"
NOTHING = "nothing."
"""What it writes of a sentence that forbids nothing."""
MOST_WRITTEN = 160
"""Tokens; the longest drafts that it learned have half of that."""
MOST_READ = 200
_BATCH = 64

_BLIND = "The bundled writer sees nothing and answers no questions: it turns rules into clauses."
_NO_RULE = "It is not one rule of the pictogram world that forbids something."

Draft: TypeAlias = tuple[Clauses, Clauses]
"""Clauses and exceptions."""


def open_writer(spec: ModelSpec) -> BundledWriter:
    spec.check()
    return BundledWriter(device=spec.device, dtype=spec.dtype)


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
        self.language = WriterLanguage.load(path)
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
        only_written = self._tokenizer.convert_tokens_to_ids(list("{}:"))
        self._words = WordVocabulary(self._tokenizer, {*self._tokenizer.all_special_ids, *only_written})
        self.revision = weights_digest(path)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        """Always a failure: the writer takes no images."""
        return [Answer(failure=Failure("out_of_domain", _BLIND)) for _ in inquiries]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        """The clauses of the rule that each conversation's last turn is, in lines."""
        check_settings(self, chats)
        failures = [
            invalid_setting(chat.generation) or (Failure("out_of_domain", _BLIND) if chat.images else None)
            for chat in chats
        ]
        texts = [chat.turns[-1].text if chat.turns else "" for chat in chats]
        limits = [chat.generation.max_tokens for chat in chats]
        return [
            Reply(failure=draft)
            if isinstance(draft, Failure)
            else Reply(lines := in_lines(*draft), Usage(len(text.split()), len(lines.split())), finish="stop")
            for text, draft in zip(texts, self._write(texts, failures, limits), strict=True)
        ]

    def capability(self, kind: type[C]) -> C | None:
        if kind is Vocabulary:
            return cast(C, self._words)
        return cast(C, self) if kind is RuleWriter else None

    def close(self) -> None:
        self.__dict__.pop("_network", None)

    def draft_rule(self, text: str) -> RuleDraft | Failure:
        """See `RuleWriter`."""
        return self.drafts([text])[0]

    def drafts(self, texts: Sequence[str]) -> list[RuleDraft | Failure]:
        """As `draft_rule`, for many rules at once."""
        found = self._write(texts, [None] * len(texts), [MOST_WRITTEN] * len(texts))
        return [each if isinstance(each, Failure) else self.language.draft(*each) for each in found]

    def _write(
        self, texts: Sequence[str], failures: Sequence[Failure | None], limits: Sequence[int]
    ) -> list[Draft | Failure]:
        """The checked draft of each rule that has no failure yet, of at most so many tokens."""
        failures = [failure or self._unreadable(text) for text, failure in zip(texts, failures, strict=True)]
        readable = [text for text, failure in zip(texts, failures, strict=True) if failure is None]
        raw = iter(self._generate(readable))
        return [
            failure or self._checked(text, next(raw), min(limit, MOST_WRITTEN))
            for text, failure, limit in zip(texts, failures, limits, strict=True)
        ]

    def _unreadable(self, text: str) -> Failure | None:
        """Why it cannot read a text."""
        if not text.strip():
            return Failure("out_of_domain", "There is no rule to write clauses for.")
        if unknown := self._words.unknown_words(text):
            named = ", ".join(repr(word) for word in unknown)
            return Failure("out_of_domain", f"The bundled writer never learned {named}.")
        if len(self._tokenizer(text, add_special_tokens=False)["input_ids"]) > MOST_READ:
            return Failure("out_of_domain", f"The rule is longer than {MOST_READ} words.")
        return None

    def _checked(self, text: str, raw: str, limit: int) -> Draft | Failure:
        if raw.replace(" ", "") == NOTHING:
            return Failure("out_of_domain", _NO_RULE)
        if len(raw.split()) >= limit:
            return Failure("unparsed", f"The draft was cut off at the limit of {limit} tokens.")
        try:
            clauses, unless = self.language.read(raw)
        except ValueError as error:
            return Failure("unparsed", f"What the bundled writer wrote is no draft: {error}.")
        drafted = " ".join(each.text for clause in (*clauses, *unless) for each in clause)
        differing = set(self.language.names_in(text)) ^ set(self.language.names_in(drafted))
        if differing:
            named = ", ".join(sorted(differing))
            return Failure("unparsed", f"The rule and what the bundled writer made of it differ in: {named}.")
        return clauses, unless

    def _generate(self, texts: Sequence[str]) -> list[str]:
        """What the model writes, greedily; texts of like lengths together, so that little is padding."""
        import torch

        ids = [
            self._tokenizer(f"{START}{text}{WRITE}", add_special_tokens=False)["input_ids"] for text in texts
        ]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        written = [""] * len(ids)
        for first in range(0, len(order), _BATCH):
            rows = order[first : first + _BATCH]
            inputs = self._tokenizer.pad({"input_ids": [ids[i] for i in rows]}, return_tensors="pt")
            inputs = inputs.to(self._network.device)
            with torch.inference_mode(), one_thread():
                made = self._network.generate(**inputs, do_sample=False, max_new_tokens=MOST_WRITTEN)
            for i, row in zip(rows, made[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
                tokens = self._tokenizer.convert_ids_to_tokens(row)
                written[i] = " ".join(token for token in tokens if token not in (PAD, END))
        return written
