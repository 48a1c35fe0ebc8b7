"""Settings of a call, and which of them a server accepts.

`ServerSupport` starts with every setting and drops those that the server rejects by name, for all later
calls. Settings that change a reply are never dropped: a server that rejects one cannot honour it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from jurat.content import Generation
from jurat.models.model_spec import ThinkingField

TOP_LOGPROBS = (20, 10, 5)
"""Tokens to list: the protocol's most, then what some servers have as their own limit."""
LEAST_LISTED = 3
"""With fewer listed tokens P(Yes) + P(No) is not known well enough to be called measured."""
LEAST_TOKENS = 16
"""The smallest limit that some gateways accept."""
FORMATS = ("json_schema", "json_object", "none")
_THINKING: dict[ThinkingField, dict[bool, dict[str, Any]]] = {
    "reasoning_effort": {False: {"reasoning_effort": "none"}, True: {"reasoning_effort": "medium"}},
    "chat_template_kwargs": {on: {"chat_template_kwargs": {"enable_thinking": on}} for on in (False, True)},
}
"""What turns thinking off and on."""
_TOO_LONG = re.compile(
    r"too (large|long|many)|context (length|window|size)|maximum (context|model) length", re.I
)


@dataclass(frozen=True)
class ServerSupport:
    """The settings that a server accepts, as far as is known."""

    top_logprobs: int = TOP_LOGPROBS[0]
    """How many tokens it lists; 0 if it gives no logprobs."""
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    least_tokens: int = 1
    zero_temperature: bool = True
    """Whether it takes a temperature of 0; models that reason may take none but 1."""
    seed: bool = True
    format: str = FORMATS[0]
    thinking: ThinkingField | None = None
    """The field that turns thinking on and off; None where none is known."""
    continue_final_message: bool = False

    def arguments(
        self,
        wanted: Generation,
        *,
        logprobs: bool = False,
        schema: dict[str, Any] | None = None,
        continues: bool = False,
    ) -> dict[str, Any]:
        """Settings of a call as arguments of the SDK's method.

        Args:
            wanted: settings of the conversation.
            logprobs: whether the first token's alternatives are to be listed, with their logprobs.
            schema: a JSON schema that the reply is to follow.
            continues: whether the last message is the assistant's and is to be continued.
        """
        made: dict[str, Any] = {self.limit: max(wanted.max_tokens, self.least_tokens)}
        if wanted.temperature > 0 or self.zero_temperature:
            made["temperature"] = wanted.temperature
        if wanted.seed is not None and (wanted.temperature > 0 or self.seed):
            made["seed"] = wanted.seed  # at a temperature of 0 nothing is drawn
        if wanted.top_p < 1:
            made["top_p"] = wanted.top_p
        if wanted.stop:
            made["stop"] = list(wanted.stop)
        extra: dict[str, Any] = {}
        if self.thinking is not None:
            extra |= _THINKING[self.thinking][wanted.thinking]
        if self.continue_final_message and continues:
            extra |= {"continue_final_message": True, "add_generation_prompt": False}
        if extra:
            made["extra_body"] = extra  # fields of the request that the SDK does not know
        if logprobs:
            made |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        if schema is not None and self.format == "json_schema":
            named = {"name": "answers", "strict": True, "schema": schema}
            made["response_format"] = {"type": "json_schema", "json_schema": named}
        elif schema is not None and self.format == "json_object":
            made["response_format"] = {"type": "json_object"}
        return made

    def without(self, message: str, sent: dict[str, Any]) -> ServerSupport | None:
        """The support without the setting that a rejection names; None if it names none that was `sent` and
        may be dropped."""
        if "response_format" in sent and re.search(r"response_format|json_?schema|json_?object", message):
            return replace(self, format=FORMATS[FORMATS.index(self.format) + 1])
        if "logprobs" in sent and "logprobs" in message:
            return replace(self, top_logprobs=_fewer(message, self.top_logprobs))
        # A conversation that is too long says nothing about the settings.
        if not _TOO_LONG.search(message):
            if self.limit == "max_tokens" and "max_completion_tokens" in message:
                return replace(self, limit="max_completion_tokens")
            if sent[self.limit] < LEAST_TOKENS and re.search(r"max_(completion_|output_)?tokens", message):
                return replace(self, least_tokens=LEAST_TOKENS)
        if sent.get("temperature") == 0 and "temperature" in message:
            return replace(self, zero_temperature=False)
        if "seed" in sent and "seed" in message and not sent.get("temperature"):
            return replace(self, seed=False)
        return None


def rejected_setting(message: str, sent: dict[str, Any]) -> str | None:
    """The setting that a rejection names and that changes the reply; None where it names none."""
    names = ("temperature", "top_p", "seed", "stop", *_THINKING, "continue_final_message")
    names_sent = {*sent, *sent.get("extra_body", {})}
    return next((name for name in names if name in names_sent and re.search(rf"\b{name}\b", message)), None)


def _fewer(message: str, asked: int) -> int:
    """How many logprobs to ask for after a rejection: its own limit if it names one, else a step less."""
    limits = [int(number) for number in re.findall(r"\b\d{1,2}\b", message) if 0 < int(number) < asked]
    if limits:
        return max(limits) if max(limits) >= LEAST_LISTED else 0
    if not re.search(r"less|great|most|max|range|between|exceed|large|many|allowed value", message):
        return 0
    return next((step for step in TOP_LOGPROBS if step < asked), 0)
