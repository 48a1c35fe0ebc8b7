"""The base class of defenses (settings, four places to intervene, what is needed of a model), and the model
under a defense, which runs the procedures of a batch side by side and counts them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias, cast

from PIL import Image

from jurat.content import Chat, Failure, Part, Reply, Turn
from jurat.defenses.procedure import Job, Steered, Steps, calls_of
from jurat.errors import JuratError
from jurat.models import (
    Answer,
    ChatPair,
    ConcurrencySupport,
    Defended,
    DefenseCost,
    Disclaimer,
    DomainGate,
    Hook,
    Inquiry,
    Model,
    ModelWrapper,
    PairedDecoding,
    StatementReader,
    Steerable,
    UsageMeter,
    Vocabulary,
    check_settings,
)
from jurat.models.chat_each import check_can_chat
from jurat.models.model_spec import DEFENDED_BY
from jurat.models.protocol import C
from jurat.named_settings import written

__all__ = ["DefendedModel", "Defense", "Turns", "conversation_with", "said_yes", "unchecked", "with_images"]

Turns: TypeAlias = tuple[Turn, ...]
LEAST_MASS = 0.5
"""Probability of Yes and No together from which a question counts as answered, as for the judge."""


@dataclass(frozen=True)
class Defense:
    """A defense as settings. `over(model)` is the defended model.

    Four places to intervene, each a method to override:

    - input: `image` changes each picture;
    - prompt: `turns` changes the conversation;
    - inside: `within` is the context of each call, for hooks on activations (`jurat.models.Steerable`);
    - output: `chat` and `ask` are the whole procedure for one item, written as if it were alone; they yield
      requests to the model and return the result. An exception in them is a failure of that item.

        @dataclass(frozen=True)
        class Twice(Defense):
            name = "twice"
            needs = ("chat",)
            words: str = setting("Is that true?", "ours", "What is asked after the first reply.")

            def chat(self, chat):
                first = yield self.shown(chat)
                turns = (*conversation_with(chat, first.text), Turn("user", (self.words,)))
                return (yield replace(chat, turns=turns))
    """

    name: ClassVar[str]
    """As the registry has it."""
    needs: ClassVar[tuple[str | type, ...]] = ()
    """What a model must have: "chat", names of settings of `Generation`, types of capabilities."""

    def image(self, image: Image.Image) -> Image.Image:
        """What the model is shown in the place of a picture, which is not to be changed itself."""
        return image

    def turns(self, turns: Turns) -> Turns:
        """What the model is told in the place of a conversation."""
        return turns

    def within(self, model: Model) -> AbstractContextManager[Any]:
        """The context in which the model is called."""
        return nullcontext()

    def chat(self, chat: Chat) -> Steps[Reply]:
        """The procedure for a conversation."""
        return (yield self.shown(chat))

    def ask(self, inquiry: Inquiry) -> Steps[Answer]:
        """The procedure for closed questions."""
        return (yield replace(inquiry, prefix=self.shown(inquiry.prefix)))

    def views(self, image: Image.Image) -> list[Image.Image]:
        """All that is shown in the place of a picture; a domain gate looks at each."""
        return [self.image(image)]

    def shown(self, chat: Chat) -> Chat:
        """The conversation as the model is given it."""
        return replace(chat, turns=self.turns(with_images(chat.turns, self.image)))

    def wording(self) -> Sequence[str]:
        """The texts that the defense itself puts to the model."""
        return ()

    def check(self, model: Model) -> None:
        """Raises JuratError where a model lacks what the defense needs, or does not know its words."""
        what, given = f"The defense {self.name!r} needs", f"not {model.name!r}"
        supported: frozenset[str] = getattr(model, "supported_settings", frozenset())
        for need in self.needs:
            if need == "chat":
                check_can_chat(model, f"the defense {self.name!r} has it write")
            elif isinstance(need, str):
                if need not in supported:
                    raise JuratError(f"{what} a model with the setting {need}, {given}.")
            elif model.capability(need) is None:
                raise JuratError(f"{what} a model with {need.__name__}, {given}.", hint=_access_hint(model))
        vocabulary = model.capability(Vocabulary)
        unknown = [] if vocabulary is None else vocabulary.unknown_words(" ".join(self.wording()))
        if unknown:
            raise JuratError(
                f"The defense {self.name!r} uses words that the model {model.name!r} never learned: "
                f"{', '.join(map(repr, unknown[:5]))}."
            )

    def over(self, model: Model) -> DefendedModel:
        """The model under this defense.

        Raises:
            JuratError: the model lacks what the defense needs.
        """
        self.check(model)
        return DefendedModel(model, self)

    def __str__(self) -> str:
        """Its name with the settings that differ from their defaults; `open_defense` opens it again."""
        return written(self)


class DefendedModel(ModelWrapper):
    """A model under a defense. Its name is the model's, followed by its defenses.

    Gradients, hooks, embeddings and scores of given texts are denied: they would reach around the defense.
    The domain gate, where the model has one, looks at what the model is shown.
    """

    passes = (Disclaimer, Vocabulary, StatementReader, UsageMeter, ConcurrencySupport)
    provides = (Defended,)

    def __init__(self, inner: Model, defense: Defense) -> None:
        super().__init__(inner)
        self.defense = defense
        self._gate = inner.capability(DomainGate)
        self._cost = DefenseCost(str(defense))
        self._counting = threading.Lock()

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        model, *others = self._inner.name.split(DEFENDED_BY)
        return DEFENDED_BY.join((model, str(self.defense), *others))

    @property
    def defenses(self) -> tuple[DefenseCost, ...]:
        """See `Defended`."""
        inner = self._inner.capability(Defended)
        return (self._cost, *(() if inner is None else inner.defenses))

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return self._run(list(map(self.defense.ask, inquiries)), lambda failure: Answer(failure=failure))

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        check_settings(self, chats)
        return self._run(list(map(self.defense.chat, chats)), lambda failure: Reply(failure=failure))

    def foreign(self, images: Sequence[Image.Image]) -> list[Failure | None]:
        """See `DomainGate`: the failure of the first picture that the model is shown in the place of each."""
        views = [self.defense.views(image) for image in images]
        gate = cast(DomainGate, self._gate)
        found = iter(gate.foreign([view for some in views for view in some]))
        each = [[next(found) for _ in some] for some in views]
        return [next((failure for failure in some if failure is not None), None) for some in each]

    def capability(self, kind: type[C]) -> C | None:
        if kind is DomainGate:
            return None if self._gate is None else cast(C, self)
        return super().capability(kind)

    def check(self, requests: Sequence[Any]) -> list[Any]:
        """Results of requests that are no call of the model; each has a `usage`."""
        raise TypeError(f"{self.defense.name!r} yielded {type(requests[0]).__name__}, which nobody answers.")

    def _run(self, procedures: Sequence[Steps[Any]], failed: Callable[[Failure], Any]) -> list[Any]:
        """The result of each procedure, with the usage of all its calls."""
        jobs = [Job(steps, self.defense.name) for steps in procedures]
        begun, own = time.perf_counter(), 0.0
        try:
            for job in jobs:
                job.resume(None)
            while waiting := [job for job in jobs if not job.is_done]:
                firsts = sum(job.has_first_call for job in waiting)
                requests = [request for job in waiting for request in job.requests]
                start = time.perf_counter()
                results = iter(self._results(requests))
                calls = sum(max(1, calls_of(request)) for request in requests)
                own += (time.perf_counter() - start) * firsts / calls
                for job in waiting:
                    job.resume([next(results) for _ in job.requests])
        finally:
            self._count(jobs, time.perf_counter() - begun - own)
        return [
            replace(job.result if job.failure is None else failed(job.failure), usage=job.usage)
            for job in jobs
        ]

    def _results(self, requests: Sequence[Any]) -> list[Any]:
        """The results of requests of all kinds, in order."""
        groups: dict[Any, list[int]] = {}
        calls = list(requests)
        for place, request in enumerate(requests):
            hooks = ()
            if isinstance(request, Steered):
                calls[place], hooks = request.call, request.hooks
            groups.setdefault((type(calls[place]), hooks), []).append(place)
        found: dict[int, Any] = {}
        with self.defense.within(self._inner):
            for (kind, hooks), places in groups.items():
                with self._hooked(hooks):
                    results = self._verb(kind)([calls[place] for place in places])
                found.update(zip(places, results, strict=True))
        return [found[place] for place in range(len(requests))]

    def _hooked(self, hooks: Sequence[tuple[str, Hook]]) -> AbstractContextManager[None]:
        if not hooks:
            return nullcontext()
        if (steer := self._inner.capability(Steerable)) is None:
            raise TypeError(f"{self.defense.name!r} sets hooks, and does not need Steerable.")
        return steer.hooks(dict(hooks))

    def _verb(self, kind: type) -> Callable[[Sequence[Any]], list[Any]]:
        """What gives the results of requests of this type."""
        if kind is Chat:
            return self._inner.chat
        if kind is Inquiry:
            return self._inner.ask
        if kind is ChatPair and (pairs := self._inner.capability(PairedDecoding)) is not None:
            return pairs.chat_pairs
        return self.check

    def _count(self, jobs: Sequence[Job], seconds: float) -> None:
        events = Counter(event for job in jobs for event in job.events)
        with self._counting:
            cost = self._cost
            self._cost = replace(
                cost,
                items=cost.items + len(jobs),
                blocked=cost.blocked + sum(not job.calls for job in jobs),
                calls=cost.calls + sum(max(0, job.calls - 1) for job in jobs),
                checks=cost.checks + sum(job.checks for job in jobs),
                usage=sum((job.added for job in jobs), cost.usage),
                seconds=cost.seconds + seconds,
                events=dict(Counter(cost.events) + events),
            )


def _access_hint(model: Model) -> str:
    """Where a capability can be had that a model lacks."""
    if model.capability(Defended) is not None:
        return "Other defenses deny it: name this one last, so that it is the closest to the model."
    return "Local models have it: hf/NAME_OR_PATH. See: jurat models"


def with_images(turns: Turns, change: Callable[[Image.Image], Part]) -> Turns:
    """The turns with each picture replaced by what `change` makes of it."""
    return tuple(
        replace(turn, parts=tuple(part if isinstance(part, str) else change(part) for part in turn.parts))
        for turn in turns
    )


def conversation_with(chat: Chat, reply: str) -> Turns:
    """The turns of a conversation with its reply, which continues a last turn of the assistant's."""
    *before, last = chat.turns or (Turn("user", ()),)
    if last.role == "assistant":
        return (*before, Turn("assistant", (last.text + reply,)))
    return (*before, last, Turn("assistant", (reply,)))


def said_yes(answer: Answer) -> float | Failure:
    """The probability of Yes, of Yes and No, to an inquiry's only question; or why it was not answered. With
    less than `LEAST_MASS` on both a question was not answered, and a check by it says nothing."""
    if answer.failure is not None:
        return answer.failure
    (said,) = answer.answers
    if said.failure is None and said.mass < LEAST_MASS:
        return Failure("unparsed", "The model answers neither Yes nor No.")
    return said.failure or said.score


def unchecked(failure: Failure) -> Failure:
    """The failure of a reply that could not be checked: it is not given."""
    return Failure(failure.kind, f"The reply could not be checked: {failure.reason}")
