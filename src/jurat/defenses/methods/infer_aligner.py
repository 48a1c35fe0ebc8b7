"""InferAligner: Wang et al. 2024, "InferAligner: inference-time alignment for harmlessness through
cross-model guidance" (arXiv 2401.11206).

Before a request is answered, its hidden states at the last token of the prompt decide, for each chosen layer,
whether the layer's gate is open: g_l = 1 where <a_l(P), s_l> + b_l > 0. While it is answered, the output of
every layer with an open gate is shifted at all tokens:

    h_l <- h_l + alpha g_l theta_l

s_l, theta_l and b_l come from a file that `jurat defense fit inferaligner` wrote (`safety_vectors`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from pydantic import Field

from jurat.content import Chat, Reply
from jurat.content.chat import ask_in
from jurat.defenses.defense import Defense
from jurat.defenses.fitting.fitted_file import check_same_model, digest_of
from jurat.defenses.fitting.safety_vectors import SafetyVectors
from jurat.defenses.last_tokens import LastTokens, Reading, ReadingModel
from jurat.defenses.procedure import Event, Steered, Steps
from jurat.errors import JuratError
from jurat.models import Answer, Hook, Inquiry, Model, Steerable, YesNo, full_name
from jurat.named_settings import setting

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["InferAligner"]

Hooks: TypeAlias = tuple[tuple[str, Hook], ...]


@dataclass(frozen=True)
class InferAligner(Defense):
    """See the module's docstring. Each closed question is a prompt of its own, with gates of its own.

    Event: "steered", for each conversation or question with an open gate.

    Raises:
        JuratError: the file cannot be read, is another one than `digest` says, or has no such layers.
    """

    name: ClassVar[str] = "inferaligner"
    needs: ClassVar[tuple[str | type, ...]] = (Steerable,)

    vectors: str = setting("", "ours", "The file that jurat defense fit inferaligner wrote.")
    digest: str = setting("", "ours", "Its digest; filled in, and checked where it is given.")
    alpha: Annotated[float, Field(allow_inf_nan=False)] = setting(1.0, "recalled", "Length of the shift.")
    layers: str = setting(
        "", "ours", 'Numbers of the decoder layers, from 0: "10-19". Empty: the middle third.'
    )

    def __post_init__(self) -> None:
        if not self.vectors:
            raise JuratError(
                "The defense 'inferaligner' needs vectors that were fitted to the model.",
                hint="Fit them: jurat defense fit inferaligner. Then: inferaligner?vectors=FILE",
            )
        object.__setattr__(self, "digest", digest_of(Path(self.vectors), self.digest, self.name))
        _ = self.chosen

    @cached_property
    def fitted(self) -> SafetyVectors:
        """The vectors, as they were when the defense was made."""
        return SafetyVectors.load(Path(self.vectors))

    @cached_property
    def chosen(self) -> range:
        """Numbers of the layers that are read and shifted."""
        n = len(self.fitted.layers)
        if not self.layers:
            return range(n // 3, math.ceil(2 * n / 3))
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", self.layers)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last < n:
            raise JuratError(
                f"The defense 'inferaligner': {self.layers!r} names no layers of the {n} there are.",
                hint=f'Write a number or a range, from 0 to {n - 1}: "{n // 3}-{n - 1}".',
            )
        return range(first, last + 1)

    def check(self, model: Model) -> None:
        super().check(model)
        check_same_model(self.name, self.fitted.model, full_name(model))

    def over(self, model: Model) -> ReadingModel:
        self.check(model)
        return ReadingModel(model, self)

    def chat(self, chat: Chat) -> Steps[Reply]:
        read: LastTokens = yield self._reading(chat)
        if read.failure is not None:
            return Reply(failure=read.failure)
        hooks = self._hooks(read)
        if hooks:
            yield Event("steered")
        return (yield Steered(chat, hooks))

    def ask(self, inquiry: Inquiry) -> Steps[Answer]:
        turns, questions = inquiry.prefix.turns, inquiry.questions
        reads: list[LastTokens] = yield [self._reading(Chat(ask_in(turns, each))) for each in questions]
        said = {i: YesNo(0.0, 0.0, read.failure) for i, read in enumerate(reads) if read.failure is not None}
        groups: dict[Hooks, list[int]] = {}
        for i, read in enumerate(reads):
            if i not in said:
                groups.setdefault(self._hooks(read), []).append(i)
        for hooks, places in groups.items():
            for _ in places if hooks else ():
                yield Event("steered")
        answers: list[Answer] = yield [
            Steered(replace(inquiry, questions=tuple(questions[i] for i in places)), hooks)
            for hooks, places in groups.items()
        ]
        for answer, places in zip(answers, groups.values(), strict=True):
            if answer.failure is not None:
                return answer
            said.update(zip(places, answer.answers, strict=True))
        return Answer(tuple(said[i] for i in range(len(questions))))

    def _reading(self, chat: Chat) -> Reading:
        return Reading(chat, tuple(self.fitted.layers[i] for i in self.chosen))

    def _hooks(self, read: LastTokens) -> Hooks:
        """The shifts of the layers whose gates a prompt opens."""
        import torch

        names = [self.fitted.layers[i] for i in self.chosen]
        chosen = slice(self.chosen.start, self.chosen.stop)
        is_open = self.fitted[chosen].gates(torch.stack([read.states[name] for name in names])).tolist()
        return tuple((name, self._shifts[name]) for name, each in zip(names, is_open, strict=True) if each)

    @cached_property
    def _shifts(self) -> dict[str, Hook]:
        """Layer to its hook, which is the same for all requests."""

        def shift(by: Tensor) -> Hook:
            return lambda hidden: hidden + by.to(hidden)

        return {self.fitted.layers[i]: shift(self.alpha * self.fitted.steering[i]) for i in self.chosen}
