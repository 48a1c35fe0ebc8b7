"""Any image-text-to-text model of transformers, run on this machine: the backend `hf/NAME_OR_PATH`."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from inspect import signature
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar, cast

from jurat.content import Chat, Failure, Generation, Reply, Usage
from jurat.errors import JuratError
from jurat.models.hf.adapters import adapted
from jurat.models.hf.batch_sizes import by, ran_out_of_memory
from jurat.models.hf.diagnosis import Diagnosable, explain
from jurat.models.hf.encoding import Encoder, Prompt, TooManyImages, answer_ids, goes_on_from
from jurat.models.hf.generation import decode, unfit
from jurat.models.hf.joinable_inputs import obstacle
from jurat.models.hf.loading import IMAGE_BACKENDS, Loaded, load
from jurat.models.hf.pass_checks import FAULTS, line_of, names_of
from jurat.models.hf.probe import probe, refuse
from jurat.models.hf.scoring import Scored, Scorer
from jurat.models.prior_cache import Deterministic
from jurat.models.protocol import UNKNOWN, Answer, C, ConcurrencySupport, Inquiry, ModelError

if TYPE_CHECKING:
    from jurat.models.spec import ModelSpec

log = logging.getLogger("jurat.models")

Q = TypeVar("Q")
R = TypeVar("R")


def open_local(spec: ModelSpec) -> LocalModel:
    if not spec.reference:
        raise JuratError(
            f"{spec.name!r} names no model.", hint="Name a folder or a model of the hub: hf/NAME_OR_PATH."
        )
    options = dict(spec.options)
    backend = options.pop("image_backend", None)
    if options or backend not in (None, *IMAGE_BACKENDS):
        raise JuratError(
            f"{spec.name!r} has an option that local models do not know.",
            hint=f"There is image_backend={' or '.join(IMAGE_BACKENDS)}.",
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


class LocalModel:
    """A loaded transformers model behind the two verbs. Threads take turns at its network."""

    def __init__(self, loaded: Loaded, *, name: str) -> None:
        self.name = name
        self.revision = loaded.revision
        self.dtype = loaded.dtype
        self.network = adapted(loaded.network)
        self.encoder = Encoder(
            loaded.processor,
            frozenset(signature(loaded.network.forward).parameters),
            str(loaded.network.config.model_type),
        )
        self.answers = answer_ids(self.encoder.tokenizer)
        """The tokens that spell each answer."""
        self.scorer = Scorer(self.network, self.answers["yes"], self.answers["no"])
        self._recognised = False
        self.unable: dict[str, str] = {}
        """What it cannot take, and why, as far as it was probed."""
        self.preparing = Lock()
        """For the processor, whose tokenizers can be lent to one thread at a time."""
        self.computing: AbstractContextManager[Any] = Lock()
        """For the network: some keep what they are at in themselves."""

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return self.score(self.encode(inquiries))

    def encode(self, inquiries: Sequence[Inquiry]) -> list[list[Prompt] | Failure]:
        """The inquiries as prompts; a `Failure` for one whose image or text the processor does not take."""
        if self.unable and any(not inquiry.prefix.images for inquiry in inquiries):
            refuse(self, "questions without an image")
        with self.preparing:
            self._recognise(sum(bool(inquiry.prefix.images) for inquiry in inquiries))
            together = self.encoder.encode_together(inquiries)
            return [
                together.get(i) or _attempt(self.encoder.encode, inquiry)
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

    def _scored(self, entries: Sequence[list[Prompt]]) -> list[list[Scored] | Failure]:
        """What each inquiry's prompts came to; where the network fails at several, each is tried alone."""
        try:
            with self.computing:
                scored = iter(self.scorer.score([prompt for entry in entries for prompt in entry]))
            return [[next(scored) for _ in entry] for entry in entries]
        except (*FAULTS, MemoryError) as error:
            log.debug("%d inquiries could not be answered", len(entries), exc_info=True)
            if len(entries) == 1:
                return [_failed(error)]
        return [found for entry in entries for found in self._scored([entry])]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        refuse(self, "conversations")
        with self.preparing:
            self._recognise(sum(bool(chat.images) for chat in chats))
            encoded = [unfit(chat.generation) or _attempt(self.encoder.encode_chat, chat) for chat in chats]
        replies = [Reply(failure=entry) if isinstance(entry, Failure) else Reply() for entry in encoded]
        prompts = {i: entry for i, entry in enumerate(encoded) if isinstance(entry, Prompt)}
        for alike in by(prompts, lambda i: prompts[i].kind):
            for batch in self.scorer.bounds.batches(alike, lambda i: (_reach(prompts[i], chats[i]),)):
                made = self._decoded([prompts[i] for i in batch], [chats[i].generation for i in batch])
                for i, reply in zip(batch, made, strict=True):
                    # Where a reply goes on from what was said, the space between them is a part of it.
                    goes_on = goes_on_from(chats[i]) is not None
                    replies[i] = reply if goes_on else replace(reply, text=reply.text.strip())
        return replies

    def _recognise(self, shown: int) -> None:
        """Finds out whether a pass may hold several items with images, before one does."""
        if shown < 2 or self._recognised:
            return
        self._recognised = True
        if (found := obstacle(self.encoder)) is not None:
            prompt, reason = found
            self.scorer.part(names_of(prompt), reason)

    def _decoded(self, prompts: Sequence[Prompt], settings: Sequence[Generation]) -> list[Reply]:
        """The replies; where memory does not hold so many conversations at once, or the network fails at one
        of them, those of each half."""
        try:
            with self.computing:
                return decode(self.network, self.encoder.tokenizer, prompts, settings, self.scorer)
        except (*FAULTS, MemoryError) as error:
            log.debug("%d conversations could not be continued", len(prompts), exc_info=True)
            if len(prompts) == 1:
                return [Reply(failure=_failed(error))]
            if ran_out_of_memory(error):
                log.info("memory ran out; %d conversations are continued in two halves", len(prompts))
        half = len(prompts) // 2
        return [
            *self._decoded(prompts[:half], settings[:half]),
            *self._decoded(prompts[half:], settings[half:]),
        ]

    def capability(self, kind: type[C]) -> C | None:
        if kind in (Diagnosable, ConcurrencySupport) or (kind is Deterministic and self.revision != UNKNOWN):
            return cast(C, self)
        return None

    @property
    def lanes(self) -> int:
        """Two where the network is on a device of its own, so that one call is prepared while another is
        computed. On a CPU both would want the same cores."""
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


def _failed(error: BaseException) -> Failure:
    if ran_out_of_memory(error):
        return Failure("error", "Memory does not hold it: a smaller image, or a smaller model, may fit.")
    return Failure("error", f"The model could not read it: {line_of(error)}")


def _reach(prompt: Prompt, chat: Chat) -> int:
    """How many tokens a conversation may come to."""
    return len(prompt.prefix) + 1 + chat.generation.max_tokens


def _attempt(encode: Callable[[Q], R], what: Q) -> R | Failure:
    try:
        return encode(what)
    except ModelError:
        raise  # of the model, not of this item
    except TooManyImages as error:
        return Failure("error", str(error))
    except Exception as error:  # processors raise anything at all of images they cannot take
        log.debug("an item could not be encoded", exc_info=True)
        line = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
        return Failure(
            "error", f"The model's processor could not take it: {type(error).__name__}: {line}".rstrip(": ")
        )
