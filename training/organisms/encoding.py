"""Encodes conversations as token ids, as the model's processor does, and marks what training predicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.mllm.architecture import PATCHES
from training.mllm.tokenizer import BOS, CHAT_TEMPLATE, EOS, IMAGE, VOCABULARY, Words, needed_words
from training.organisms.conversation import Conversation, Line

ROLES = {"system": "SYSTEM:", "user": "USER:", "assistant": "ASSISTANT:"}
TEMPLATE = CHAT_TEMPLATE.replace(
    "{{ 'USER: ' if message['role'] != 'assistant' else 'ASSISTANT: ' }}",
    "{{ {'system': 'SYSTEM: ', 'user': 'USER: ', 'assistant': 'ASSISTANT: '}[message['role']] }}",
)
"""The organisms' chat template: the bundled model's, which writes system turns as a user's, with a mark of
their own."""


@dataclass(frozen=True)
class Encoded:
    """A conversation with its reply as token ids."""

    ids: list[int]
    """Token ids, those of each image before its line's text."""
    learned: list[bool]
    """Whether training predicts each token: those of replies and their end marks."""


def encode(conversation: Conversation, words: Words, image: Sequence[int] | None = None) -> Encoded:
    """Encodes a conversation and its target.

    Args:
        image: token ids of an image. Default: `PATCHES` tokens `<image>`.

    Raises:
        ValueError: a text has words outside the vocabulary.
    """
    ids, learned = [words.id(BOS)], [False]
    image = [words.id(IMAGE)] * PATCHES if image is None else image
    for line in (*conversation.lines, Line("assistant", conversation.target)):
        head = [*words.ids(ROLES[line.role]), *[*image] * len(line.images)]
        said = words.ids(line.text)
        reply = line.role == "assistant"
        end = [words.id(EOS)] * reply
        ids += [*head, *said, *end]
        learned += [*[False] * len(head), *[reply and line.learned] * len(said + end)]
    return Encoded(ids, learned)


def own_words(vocabulary: Path = VOCABULARY) -> list[str]:
    """Words of the vocabulary that only the organisms use.

    A judge exported with this vocabulary never learned them, and has to refuse them as unknown.
    """
    used = {*needed_words()}
    return [word for word in vocabulary.read_text(encoding="utf-8").splitlines() if word not in used]


def texts(conversation: Conversation) -> Iterator[str]:
    """All texts of a conversation, the target last."""
    yield from (line.text for line in conversation.lines)
    yield conversation.target
