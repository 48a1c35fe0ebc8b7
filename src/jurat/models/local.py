"""Any image-text-to-text model of transformers, run on this machine: the backend `hf/NAME_OR_PATH`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from inspect import signature
from typing import TYPE_CHECKING, TypeVar

from jurat.errors import JuratError
from jurat.models.base import Answer, C, Chat, Failure, Inquiry, ModelError, Reply, Usage
from jurat.models.decoding import decode
from jurat.models.encoding import Encoder, Prompt, answer_ids
from jurat.models.loading import Loaded, load
from jurat.models.scoring import Scorer, by

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
    loaded = load(
        spec.reference, device=spec.device, dtype=spec.dtype, trust_remote_code=spec.trust_remote_code
    )
    return LocalModel(loaded, name=spec.name)


class LocalModel:
    """A loaded transformers model behind the two verbs."""

    def __init__(self, loaded: Loaded, *, name: str) -> None:
        self.name = name
        self.revision = loaded.revision
        self.dtype = loaded.dtype
        self.network = loaded.network
        self.encoder = Encoder(loaded.processor, frozenset(signature(loaded.network.forward).parameters))
        ids = answer_ids(self.encoder.tokenizer)
        self.scorer = Scorer(loaded.network, ids["yes"], ids["no"])

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return self.score(self.encode(inquiries))

    def encode(self, inquiries: Sequence[Inquiry]) -> list[list[Prompt] | Failure]:
        """The inquiries as prompts; a `Failure` for one whose image or text the processor does not take."""
        return [_attempt(self.encoder.encode, inquiry) for inquiry in inquiries]

    def score(self, encoded: Sequence[list[Prompt] | Failure]) -> list[Answer]:
        """Answers to what `encode` made, in order."""
        prompts = [prompt for entry in encoded if isinstance(entry, list) for prompt in entry]
        scored = iter(self.scorer.score(prompts))
        answers: list[Answer] = []
        for entry in encoded:
            if isinstance(entry, Failure):
                answers.append(Answer(failure=entry))
                continue
            parts = [next(scored) for _ in entry]
            usage = Usage(sum(part.tokens for part in parts), 0, sum(part.shared for part in parts))
            answers.append(Answer(tuple(answer for part in parts for answer in part.answers), usage=usage))
        return answers

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        encoded = [_attempt(self.encoder.encode_chat, chat) for chat in chats]
        replies = [Reply(failure=entry) if isinstance(entry, Failure) else Reply() for entry in encoded]
        prompts = {i: entry for i, entry in enumerate(encoded) if isinstance(entry, Prompt)}
        for alike in by(prompts, lambda i: prompts[i].kind):
            settings = [chats[i].generation for i in alike]
            made = decode(self.network, self.encoder.tokenizer, [prompts[i] for i in alike], settings)
            for i, reply in zip(alike, made, strict=True):
                replies[i] = reply
        return replies

    def capability(self, kind: type[C]) -> C | None:
        return None


def _attempt(encode: Callable[[Q], R], what: Q) -> R | Failure:
    try:
        return encode(what)
    except ModelError:
        raise  # of the model, not of this item
    except Exception as error:  # processors raise anything at all of images they cannot take
        log.debug("an item could not be encoded", exc_info=True)
        line = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
        return Failure(
            "error", f"The model's processor could not take it: {type(error).__name__}: {line}".rstrip(": ")
        )
