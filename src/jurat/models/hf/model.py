"""Any image-text-to-text model of transformers, run on this machine: the backend `hf/NAME_OR_PATH`."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from jurat.content import Chat, Failure, Generation, Reply, Usage
from jurat.errors import JuratError
from jurat.models.capabilities import ConcurrencySupport, Deterministic, PromptScores, Sized
from jurat.models.hf.batch_sizes import by
from jurat.models.hf.diagnosis import Diagnosable, explain
from jurat.models.hf.differentiable import PixelGradients
from jurat.models.hf.embedding import TowerFeatures
from jurat.models.hf.failures import FAULTS, failed, ran_out_of_memory
from jurat.models.hf.generation import decode
from jurat.models.hf.load_model import IMAGE_BACKENDS, load
from jurat.models.hf.model_parts import ModelParts, attempt
from jurat.models.hf.paired_decoding import PairDecoder
from jurat.models.hf.probe import probe
from jurat.models.hf.prompt import Prompt
from jurat.models.hf.prompt_scores import PromptScorer
from jurat.models.hf.row_settings import reach, settings_of, trimmed
from jurat.models.hf.scoring import ScoredPrompt
from jurat.models.hf.sized import ModelSize
from jurat.models.hf.steering import LayerHooks
from jurat.models.hf.text_gradients import TextGradients
from jurat.models.protocol import (
    UNKNOWN,
    Answer,
    C,
    Inquiry,
    Model,
    ModelError,
    check_settings,
    invalid_setting,
)
from jurat.models.white_box import Differentiable, DifferentiableText, Embedder, PairedDecoding, Steerable

if TYPE_CHECKING:
    from jurat.models.model_spec import ModelSpec

log = logging.getLogger("jurat.models")

_FREED = ("network", "scorer")
"""Attributes that `close` removes."""


def open_local(spec: ModelSpec) -> LocalModel:
    spec.check("image_backend", reference="NAME_OR_PATH")
    backend = spec.options.get("image_backend")
    if backend not in (None, *IMAGE_BACKENDS):
        raise JuratError(
            f"The option image_backend cannot be {backend!r}.", hint=f"It is {' or '.join(IMAGE_BACKENDS)}."
        )
    loaded = load(
        spec.reference,
        device=spec.device,
        dtype=spec.dtype,
        trust_remote_code=spec.trust_remote_code,
        image_backend=backend,
    )
    model = LocalModel(replace(loaded, revision=loaded.full_revision), name=spec.name)
    probe(model)
    return model


class LocalModel(ModelParts, Model):
    """A loaded transformers model behind the two verbs. Threads take turns at its network."""

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return self.score(self.encode(inquiries))

    def encode(self, inquiries: Sequence[Inquiry]) -> list[list[Prompt] | Failure]:
        """The inquiries as prompts; a `Failure` for one whose image or text the processor does not take."""
        if self.unable and any(not inquiry.prefix.images for inquiry in inquiries):
            self.refuse("questions without an image")
        with self.preparing:
            self.recognise(sum(bool(inquiry.prefix.images) for inquiry in inquiries))
            together = self.encoder.encode_together(inquiries)
            return [
                together.get(i) or attempt(self.encoder.encode, inquiry)
                for i, inquiry in enumerate(inquiries)
            ]

    def score(self, encoded: Sequence[list[Prompt] | Failure]) -> list[Answer]:
        """Answers to what `encode` made, in order."""
        scored = iter(self._scored([entry for entry in encoded if isinstance(entry, list)]))
        answers: list[Answer] = []
        for entry in encoded:
            parts = entry if isinstance(entry, Failure) else next(scored)
            if isinstance(parts, Failure):
                answers.append(Answer(failure=parts))
                continue
            usage = Usage(sum(part.tokens for part in parts), 0, sum(part.shared for part in parts))
            answers.append(Answer(tuple(answer for part in parts for answer in part.answers), usage=usage))
        return answers

    def _scored(self, entries: Sequence[list[Prompt]]) -> list[list[ScoredPrompt] | Failure]:
        """The scores of each inquiry's prompts; where the network fails at several, each is tried alone."""
        try:
            with self.computing:
                scored = iter(self.scorer.score([prompt for entry in entries for prompt in entry]))
            return [[next(scored) for _ in entry] for entry in entries]
        except (*FAULTS, MemoryError) as error:
            log.debug("%d inquiries could not be answered", len(entries), exc_info=True)
            if len(entries) == 1:
                return [failed(error)]
        return [found for entry in entries for found in self._scored([entry])]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        check_settings(self, chats)
        self.refuse("conversations")
        with self.preparing:
            self.recognise(sum(bool(chat.images) for chat in chats))
            encoded = [
                invalid_setting(chat.generation) or attempt(self.encoder.encode_chat, chat) for chat in chats
            ]
        replies = {i: Reply(failure=entry) for i, entry in enumerate(encoded) if isinstance(entry, Failure)}
        prompts = {i: entry for i, entry in enumerate(encoded) if isinstance(entry, Prompt)}
        for alike in by(prompts, lambda i: prompts[i].kind):
            for batch in self.scorer.bounds.batches(alike, lambda i: (reach(prompts[i], chats[i]),)):
                made = self._decoded([prompts[i] for i in batch], [settings_of(chats[i]) for i in batch])
                replies.update({i: trimmed(reply, chats[i]) for i, reply in zip(batch, made, strict=True)})
        return [replies[i] for i in range(len(chats))]

    def _decoded(self, prompts: Sequence[Prompt], settings: Sequence[Generation]) -> list[Reply]:
        """The replies; where memory runs out, or the network fails at one of the conversations, they are
        continued in two halves."""
        try:
            with self.computing:
                encoder = self.encoder
                thoughts = encoder.template.thoughts
                return decode(self.network, encoder.tokenizer, prompts, settings, self.scorer, thoughts)
        except (*FAULTS, MemoryError) as error:
            log.debug("%d conversations could not be continued", len(prompts), exc_info=True)
            if len(prompts) == 1:
                return [Reply(failure=failed(error))]
            if ran_out_of_memory(error):
                log.info("memory ran out; %d conversations are continued in two halves", len(prompts))
        half = len(prompts) // 2
        return [
            *self._decoded(prompts[:half], settings[:half]),
            *self._decoded(prompts[half:], settings[half:]),
        ]

    def capability(self, kind: type[C]) -> C | None:
        make = CAPABILITIES.get(kind)
        return None if make is None else cast("C | None", make(self))

    def close(self) -> None:
        for held in _FREED:
            self.__dict__.pop(held, None)

    def __getattr__(self, name: str) -> Any:
        if name in _FREED:  # not an AttributeError, which would pass for a failure of each item
            raise ModelError(f"{self.name!r} is closed.")
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    @property
    def lanes(self) -> int:
        """Two where the network is on an accelerator, so that one call is prepared while another is computed.
        On a CPU both would compete for the same cores."""
        return 1 if self.network.device.type == "cpu" else 2

    def at_work(self) -> AbstractContextManager[None]:
        return nullcontext()

    def explain(self) -> list[tuple[str, str]]:
        return explain(self)

    @property
    def pin(self) -> str:
        processor = self.encoder.processor
        made_of = (
            self.encoder.template.pin,
            self.network.config.to_json_string(),
            processor.to_json_string() if hasattr(processor, "to_json_string") else "",
        )
        digest = hashlib.sha256("\0".join(made_of).encode()).hexdigest()
        return f"{type(self.network).__name__} {self.revision} {self.dtype} {digest}"


def _itself(model: LocalModel) -> LocalModel:
    return model


CAPABILITIES: dict[type[Any], Callable[[LocalModel], Any]] = {
    Diagnosable: _itself,
    ConcurrencySupport: _itself,
    PromptScores: PromptScorer,
    Sized: ModelSize,
    Differentiable: PixelGradients,
    DifferentiableText: TextGradients,
    Steerable: LayerHooks,
    Embedder: TowerFeatures,
    PairedDecoding: PairDecoder,
    Deterministic: lambda model: model if model.revision != UNKNOWN else None,
}
"""What gives each capability of a local model; None where this one does not have it."""
