"""A model under a defense: the procedures of all items of a batch are run side by side, and counted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from PIL import Image

from jurat.content import Chat, Failure, ImageError, Reply, Usage
from jurat.defenses.defense import Defense, Event, Steps
from jurat.errors import JuratError
from jurat.models import (
    Answer,
    ConcurrencySupport,
    Defended,
    DefenseCost,
    Disclaimer,
    DomainGate,
    Inquiry,
    Model,
    ModelWrapper,
    StatementReader,
    UsageMeter,
    Vocabulary,
    check_settings,
)
from jurat.models.model_spec import DEFENDED_BY
from jurat.models.protocol import C
from jurat.text import reason

__all__ = ["DefendedModel"]


class DefendedModel(ModelWrapper):
    """See the module's docstring. Its name is the model's, followed by its defenses.

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
        """Results of requests that are neither conversations nor inquiries; each has a `usage`."""
        raise TypeError(f"{self.defense.name!r} yielded {type(requests[0]).__name__}, which nobody answers.")

    def _run(self, procedures: Sequence[Steps[Any]], failed: Callable[[Failure], Any]) -> list[Any]:
        """The result of each procedure, with the usage of all its calls."""
        jobs = [_Job(steps, self.defense.name) for steps in procedures]
        begun, own = time.perf_counter(), 0.0
        try:
            for job in jobs:
                job.resume(None)
            while waiting := [job for job in jobs if not job.is_done]:
                firsts = sum(job.has_first_call for job in waiting)
                requests = [request for job in waiting for request in job.requests]
                start = time.perf_counter()
                results = iter(self._results(requests))
                own += (time.perf_counter() - start) * firsts / len(requests)
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
        places: dict[Any, list[int]] = {}
        for place, request in enumerate(requests):
            verb = {Chat: self._inner.chat, Inquiry: self._inner.ask}.get(type(request), self.check)
            places.setdefault(verb, []).append(place)
        found: dict[int, Any] = {}
        with self.defense.within(self._inner):
            for verb, some in places.items():
                found.update(zip(some, verb([requests[place] for place in some]), strict=True))
        return [found[place] for place in range(len(requests))]

    def _count(self, jobs: Sequence[_Job], seconds: float) -> None:
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


@dataclass
class _Job:
    """The procedure of one item under way."""

    steps: Steps[Any]
    defense: str
    requests: list[Any] = field(default_factory=list[Any])
    """What it waits for."""
    is_done: bool = False
    result: Any = None
    failure: Failure | None = None
    """Why its procedure broke off."""
    calls: int = 0
    checks: int = 0
    usage: Usage = field(default_factory=Usage)
    added: Usage = field(default_factory=Usage)
    """Usage of all but the first call."""
    events: list[str] = field(default_factory=list[str])
    _is_list: bool = False

    @property
    def has_first_call(self) -> bool:
        """Whether the item's first call is among `requests`."""
        return not self.calls and any(map(_is_call, self.requests))

    def resume(self, results: list[Any] | None) -> None:
        """Gives the procedure what it waits for, and lets it go on to its next requests, or its end."""
        for request, result in zip(self.requests, results or (), strict=True):
            self._add(request, result)
        given = results[0] if results and not self._is_list else results
        try:
            wanted = self.steps.send(given)
            while isinstance(wanted, Event) or wanted == []:
                if isinstance(wanted, Event):
                    self.events.append(wanted.name)
                wanted = self.steps.send(None if isinstance(wanted, Event) else [])
        except StopIteration as end:
            self.is_done, self.result = True, end.value
        except Exception as error:
            if isinstance(error, JuratError) and not isinstance(error, ImageError):
                raise
            why = f"The defense {self.defense!r} failed: {type(error).__name__}: {reason(error)}"
            self.is_done, self.failure = True, Failure("error", why)
        else:
            self._is_list = isinstance(wanted, list)
            self.requests = cast("list[Any]", wanted) if self._is_list else [wanted]

    def _add(self, request: Any, result: Any) -> None:
        is_call = _is_call(request)
        usage = result.usage
        self.usage += usage
        if not is_call or self.calls:
            self.added += usage
        self.calls += is_call
        self.checks += not is_call


def _is_call(request: object) -> bool:
    return isinstance(request, Chat | Inquiry)
