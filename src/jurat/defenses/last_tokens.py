"""Reads hidden states at the last token of a conversation, by which some defenses decide.

The conversation is read through its model's own chat template, up to where the reply would begin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jurat.content import Chat, Failure, Usage
from jurat.defenses.defense import DefendedModel, Defense
from jurat.errors import JuratError
from jurat.models import Model, ModelUnavailable, Steerable, Vocabulary
from jurat.text import reason

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LastTokens", "Reading", "ReadingModel", "check_readable", "decoder_layers", "last_tokens"]


@dataclass(frozen=True)
class Reading:
    """A request: the hidden states of these layers behind a conversation. It is counted as a check."""

    chat: Chat
    layers: tuple[str, ...]


@dataclass(frozen=True)
class LastTokens:
    """What was read of one conversation."""

    states: Mapping[str, Tensor] = field(default_factory=dict)
    """Layer to its output at the last token, (width,) float32 on the CPU."""
    usage: Usage = field(default_factory=Usage)
    failure: Failure | None = None


class ReadingModel(DefendedModel):
    """A model under a defense that reads hidden states: of this model, or of another, `reader`."""

    def __init__(self, inner: Model, defense: Defense, reader: Model | None = None) -> None:
        super().__init__(inner, defense)
        self._reader = reader

    def check(self, requests: Sequence[Any]) -> list[Any]:
        """What was read for each `Reading`."""
        return [last_tokens(self._reader or self._inner, each.chat, each.layers) for each in requests]

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        super().close()


def check_readable(model: Model) -> None:
    """Raises JuratError where the hidden states of a model cannot be read."""
    if model.capability(Steerable) is None:
        raise JuratError(
            f"The hidden states of {model.name!r} cannot be read.",
            hint="Name a local model, without defenses: hf/NAME_OR_PATH.",
        )


def last_tokens(model: Model, chat: Chat, layers: Sequence[str]) -> LastTokens:
    """The states of a model with `Steerable`; what goes wrong with the conversation is its failure.

    Raises:
        ModelError: the model is closed.
    """
    steer = model.capability(Steerable)
    if steer is None:
        raise TypeError(f"{model.name!r} has no Steerable")
    vocabulary = model.capability(Vocabulary)
    words = " ".join(turn.text for turn in chat.turns)
    if vocabulary is not None and (unknown := vocabulary.unknown_words(words)):
        # They would all be read as one, and different conversations as equal.
        named = ", ".join(map(repr, unknown[:5]))
        return LastTokens(failure=Failure("out_of_domain", f"The model never learned {named}."))
    try:
        (states,) = steer.hidden_states([chat], layers)
    except ModelUnavailable:
        raise
    except Exception as error:  # processors raise anything at all of images they cannot take
        return LastTokens(failure=Failure("error", f"The conversation could not be read: {reason(error)}"))
    if unread := [name for name in layers if name not in states]:
        return LastTokens(failure=Failure("error", f"The conversation passes by the layer {unread[0]}."))
    if unfit := [name for name, state in states.items() if not bool(state[..., -1, :].isfinite().all())]:
        # A gate that compares with what is no number stays shut, as for a harmless prompt.
        return LastTokens(failure=Failure("error", f"The hidden states of {unfit[0]} are not finite."))
    read = max((state.shape[-2] for state in states.values()), default=0)
    return LastTokens(
        {name: state.reshape(-1, state.shape[-1])[-1].float().cpu() for name, state in states.items()},
        Usage(input_tokens=read),
    )


def decoder_layers(model: Model, chat: Chat) -> tuple[str, ...]:
    """The layers of the language model's decoder, in order: those beside the layer that is read last.

    Raises:
        ModelError: the model cannot read the conversation.
    """
    steer = model.capability(Steerable)
    if steer is None:
        raise TypeError(f"{model.name!r} has no Steerable")
    (states,) = steer.hidden_states([chat], steer.layers())
    stack = list(states)[-1].rpartition(".")[0]
    return tuple(name for name in states if name.rpartition(".")[0] == stack)
