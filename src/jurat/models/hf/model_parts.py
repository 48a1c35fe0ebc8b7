"""Parts of a local model: its network, encoder and scorer, and the locks that guard them.

The verbs (`model`), the trial on opening (`probe`), what a model tells of itself (`diagnosis`) and its other
capabilities all work on these.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from inspect import signature
from threading import Lock, RLock
from typing import Any, TypeVar

from jurat.content import Failure
from jurat.models.hf.adapters import adapted
from jurat.models.hf.encoding import Encoder, TooManyImages, answer_ids
from jurat.models.hf.failures import line_of
from jurat.models.hf.joinable_inputs import obstacle
from jurat.models.hf.load_model import LoadedModel
from jurat.models.hf.pass_checks import names_of
from jurat.models.hf.scoring import Scorer
from jurat.models.protocol import SETTINGS, ModelError

log = logging.getLogger("jurat.models")

Q = TypeVar("Q")
R = TypeVar("R")

_HINTS = {
    "questions without an image": "Use a preset that needs no language prior: --preset direct.",
    "conversations": "Use a preset that asks closed questions only.",
}


class ModelParts:
    """See the module's docstring."""

    def __init__(self, loaded: LoadedModel, *, name: str) -> None:
        self.name = name
        self.revision = loaded.revision
        self.dtype = loaded.dtype
        self.network = adapted(loaded.network)
        self.encoder = Encoder(
            loaded.processor,
            frozenset(signature(loaded.network.forward).parameters),
            str(loaded.network.config.model_type),
        )
        thinks = self.encoder.template.thoughts is not None
        self.supported_settings = frozenset(SETTINGS) if thinks else frozenset(SETTINGS) - {"thinking"}
        """All settings; thinking where the chat template can switch it on."""
        self.can_chat = True
        """False where the probe found that it cannot."""
        self.answers = answer_ids(self.encoder.tokenizer)
        """The tokens that spell each answer."""
        self.scorer = Scorer(self.network, self.answers["yes"], self.answers["no"])
        self._recognised = False
        self.continuation_refusals: dict[tuple[str, ...], Failure | None] = {}
        """Why continuations cannot be scored, by the names of a prompt's inputs; None where they can."""
        self.unable: dict[str, str] = {}
        """What it cannot take, and why, as the probe found."""
        self.preparing = Lock()
        """For the processor: its tokenizers serve one thread at a time."""
        self.computing: AbstractContextManager[Any] = RLock()
        """For the network: some keep the state of a pass in themselves."""
        self.steering = RLock()
        """Held by the one thread that has set hooks on layers."""

    def refuse(self, what: str) -> None:
        """Raises ModelError where the probe found that the model cannot do something."""
        if reason := self.unable.get(what):
            raise ModelError(f"{self.name!r} cannot take {what}: {reason}.", hint=_HINTS[what])

    def recognise(self, shown: int) -> None:
        """Finds out whether a pass may hold several items with images, before one does."""
        if shown < 2 or self._recognised:
            return
        self._recognised = True
        if (found := obstacle(self.encoder)) is not None:
            prompt, reason = found
            self.scorer.part(names_of(prompt), reason)


def attempt(encode: Callable[[Q], R], what: Q) -> R | Failure:
    """The encoded item, or the failure of its processor."""
    try:
        return encode(what)
    except ModelError:
        raise  # of the model, not of this item
    except TooManyImages as error:
        return Failure("error", str(error))
    except Exception as error:  # processors raise anything at all of images they cannot take
        log.debug("an item could not be encoded", exc_info=True)
        return Failure("error", f"The model's processor could not take it: {line_of(error)}")
