"""Inspect's requests as ours: messages as conversations, generation settings as `Generation`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from inspect_ai.model import (
    ChatMessage,
    Content,
    ContentImage,
    ContentText,
    GenerateConfig,
)

from jurat.benchmarks.protocol import single_frame
from jurat.content import Chat, Generation, Turn
from jurat.content.chat import Part
from jurat.errors import JuratError
from jurat.evals.images import bytes_of
from jurat.models import UnsupportedSetting

HONOURED = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop_seqs": "stop",
}
"""Inspect's settings that models honour, and their names in `Generation`."""
BY_INSPECT = frozenset(
    {
        "max_retries", "timeout", "attempt_timeout", "stream_idle_timeout", "max_connections",
        "adaptive_connections", "system_message", "max_tool_output", "cache", "fail_on_refusal",
    }
)  # fmt: skip
"""Settings that Inspect itself acts on, whatever the provider."""
NEUTRAL: dict[str, tuple[object, ...]] = {
    "best_of": (1,),
    "num_choices": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "top_k": (0, -1),
    "batch": (False,),
    "cache_prompt": (False,),
    "reasoning_effort": ("none",),
    "reasoning_history": ("none", "auto"),
    "logprobs": (False,),
    "extra_headers": ({},),
    "extra_body": ({},),
}
"""Values of other settings that ask for nothing."""
DEFAULT_TOKENS = 2048
"""Most tokens of a reply where nothing is set: Inspect's own default for local models."""
MOST_LOGPROBS = 2
"""Alternatives whose probabilities are measured: Yes and No."""


@dataclass(frozen=True)
class Wanted:
    """What a request asks for."""

    generation: Generation
    yes_or_no: bool = False
    """Whether the probabilities of Yes and No are asked for, instead of a text."""


def wanted(config: GenerateConfig, name: str, supported: frozenset[str], *, thinking: bool = False) -> Wanted:
    """The settings of a request.

    Args:
        config: as Inspect passes it on, all of its sources merged.
        name: the model's, for messages.
        supported: the fields of `Generation` that the model honours.
        thinking: lets a model that can think do so.

    Raises:
        UnsupportedSetting: names the settings that jurat or the model cannot honour.
    """
    given = {key: value for key, value in config.model_dump(exclude_none=True).items()}
    yes_or_no = bool(given.get("logprobs"))
    refused = list(_unknown(given)) + (list(_beyond_one_token(given)) if yes_or_no else [])
    settings: dict[str, Any] = {"thinking": True} if thinking else {}
    for theirs, ours in HONOURED.items():
        if theirs in given:
            settings[ours] = tuple(given[theirs]) if theirs == "stop_seqs" else given[theirs]
    if "max_tokens" not in settings and "max_tokens" in supported:
        settings["max_tokens"] = DEFAULT_TOKENS
    defaults = Generation()
    if not yes_or_no:  # nothing is decoded then
        refused += [
            key for key, value in settings.items() if key not in supported and value != getattr(defaults, key)
        ]
    if refused:
        raise UnsupportedSetting(
            f"The model {name!r} does not support {' and '.join(refused)}.",
            hint="Leave it out." if len(refused) == 1 else "Leave them out.",
        )
    return Wanted(Generation(**settings), yes_or_no)


def chat_of(messages: Sequence[ChatMessage], generation: Generation) -> Chat:
    """The conversation of a request, with its images decoded.

    Raises:
        JuratError: it holds what models are not shown: tools, sound, video, documents.
        ImageError: an image cannot be decoded.
    """
    return Chat(tuple(map(_turn, messages)), generation)


def _unknown(given: dict[str, Any]) -> Iterator[str]:
    for key, value in given.items():
        if key in HONOURED or key in BY_INSPECT or key in ("logprobs", "top_logprobs"):
            continue
        if value not in NEUTRAL.get(key, ()):
            yield key
    if given.get("top_logprobs") and not given.get("logprobs"):
        yield "top_logprobs without logprobs"


def _beyond_one_token(given: dict[str, Any]) -> Iterator[str]:
    if given.get("max_tokens") != 1:
        yield "logprobs of more than one token (it measures those of Yes and No, with max_tokens=1)"
    if given.get("top_logprobs", 0) > MOST_LOGPROBS:
        yield f"top_logprobs above {MOST_LOGPROBS}"
    if given.get("temperature"):
        yield "logprobs with a temperature"


def _turn(message: ChatMessage) -> Turn:
    if message.role == "tool" or getattr(message, "tool_calls", None):
        raise JuratError("jurat's models take no tools, and the conversation has calls of some.")
    content = message.content
    parts = (content,) if isinstance(content, str) else tuple(map(_part, content))
    return Turn(message.role, tuple(part for part in parts if part != ""))


def _part(content: Content) -> Part:
    if isinstance(content, ContentText):
        return content.text
    if isinstance(content, ContentImage):
        return single_frame(bytes_of(content.image))
    raise JuratError(f"jurat's models are shown texts and images, not {content.type}.")
