"""Our replies as Inspect's outputs, and Inspect's outputs as our replies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast, get_args

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelOutput,
    ModelUsage,
    StopDetails,
    StopReason,
    TopLogprob,
)

from jurat.content import Failure, FailureKind, Reply, Usage
from jurat.errors import JuratError
from jurat.models import Answer, Model, full_name
from jurat.text import storable

_STOPS: dict[str | None, StopReason] = {"stop": "stop", "length": "max_tokens", None: "unknown"}
_REFUSALS = ("refused", "filtered")
_TINY = 1e-300
"""Keeps the logarithm of a probability finite."""
_LEAST_MASS = 0.5
"""P(Yes) + P(No) below which the model answers with neither."""


class ReplyFailed(JuratError):
    """A model gave no reply to one request. Inspect records it as the error of the sample."""

    exit_code = 3

    def __init__(self, failure: Failure) -> None:
        super().__init__(storable(f"{failure.kind}: {failure.reason}"))
        self.failure = failure


def output_of(model: Model, reply: Reply) -> ModelOutput:
    """The output of a reply; one that was refused or filtered has no text and says why.

    Raises:
        ReplyFailed: the reply is a failure of another kind.
    """
    failure = reply.failure
    if failure is None:
        return _output(model, reply.text, _STOPS[reply.finish], reply.usage)
    if failure.kind not in _REFUSALS:
        raise ReplyFailed(failure)
    why = storable(failure.reason)
    details = StopDetails(type=failure.kind, explanation=why)
    output = _output(model, "", "content_filter", reply.usage, details=details)
    output.error = f"{failure.kind}: {why}"
    return output


def yes_no_output(model: Model, answer: Answer, config: GenerateConfig) -> ModelOutput:
    """The output of a closed question: "Yes" or "No", with the log-probabilities of both, each of all its
    spellings together.

    Raises:
        ReplyFailed: the model gave no answer, states it without a probability, or answers with neither.
    """
    found = answer.answers[0] if answer.answers else None
    failure = answer.failure or (found.failure if found else Failure("error", "The model gave no answer."))
    if failure is None and found is not None and (answer.basis == "stated" or found.stated):
        failure = Failure("error", "The model states its answers and measures no probabilities.")
    if failure is None and found is not None and found.mass < _LEAST_MASS:
        why = f"Yes and No have a probability of {found.mass:.3f} together: the model answers with neither."
        failure = Failure("unparsed", why)
    if failure is not None or found is None:
        raise ReplyFailed(failure or Failure("error", "The model gave no answer."))
    ranked = sorted((("Yes", found.yes), ("No", found.no)), key=lambda pair: -pair[1])
    tokens = [TopLogprob(token=text, logprob=math.log(max(p, _TINY))) for text, p in ranked]
    listed = tokens[: config.top_logprobs or 0]
    first = Logprob(token=tokens[0].token, logprob=tokens[0].logprob, top_logprobs=listed or None)
    output = _output(model, ranked[0][0], "max_tokens", answer.usage)
    output.choices[0].logprobs = Logprobs(content=[first])
    return output


def reply_of(output: ModelOutput, error: str | None = None) -> Reply:
    """The reply of an output of any provider.

    Args:
        error: the sample's, if it ended with one.
    """
    usage = output.usage or ModelUsage()
    cost = Usage(usage.input_tokens + (usage.input_tokens_cache_read or 0), usage.output_tokens)
    if output.empty:
        return Reply(
            failure=Failure("error", error or "There is no reply: the sample ended before."), usage=cost
        )
    choice = output.choices[0]
    if choice.stop_reason == "content_filter":
        details = choice.stop_details or StopDetails()
        kind = cast(FailureKind, details.type if details.type in get_args(FailureKind) else "filtered")
        why = details.explanation or output.error or output.completion or "The provider filtered the reply."
        return Reply(failure=Failure(kind, why), usage=cost)
    if output.error is not None:
        return Reply(failure=Failure("error", output.error), usage=cost)
    finish = {"stop": "stop", "max_tokens": "length", "model_length": "length"}.get(choice.stop_reason)
    return Reply(output.completion, cost, finish=cast(Any, finish))


def _output(
    model: Model, text: str, stop: StopReason, usage: Usage, *, details: StopDetails | None = None
) -> ModelOutput:
    shared = usage.shared_tokens
    choice = ChatCompletionChoice(
        message=ChatMessageAssistant(content=storable(text), model=model.name, source="generate"),
        stop_reason=stop,
        stop_details=details,
    )
    facts: Mapping[str, Any] = {} if usage.money is None else {"money": usage.money}
    return ModelOutput(
        model=full_name(model),
        choices=[choice],
        usage=ModelUsage(
            input_tokens=usage.input_tokens - shared,
            output_tokens=usage.output_tokens,
            total_tokens=usage.input_tokens + usage.output_tokens,
            input_tokens_cache_read=shared or None,
        ),
        metadata=dict(facts) or None,
    )
