"""The procedure of a defense for one item: a generator that yields requests and receives their results."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, cast

from jurat.content import Chat, Failure, ImageError, Usage
from jurat.errors import JuratError
from jurat.models import ChatPair, Hook, Inquiry, PairReply
from jurat.text import reason

__all__ = ["Event", "Job", "Steered", "Steps", "calls_of"]

T = TypeVar("T")
Steps: TypeAlias = Generator[Any, Any, T]
"""The procedure for one item. It yields requests and receives their results: a `Reply` for a `Chat`, an
`Answer` for an `Inquiry`, either for a `Steered` one, a `PairReply` for a `ChatPair`, and as many results for
a list of requests; an `Event` is counted. It returns the item's result. The requests of all items of a batch
that wait at the same time are put to the model together."""


@dataclass(frozen=True)
class Event:
    """Something a defense did that is worth counting (`jurat.models.DefenseCost.events`)."""

    name: str


@dataclass(frozen=True)
class Steered:
    """A call of the model while hooks are set on its layers (`jurat.models.Steerable`). Those of a batch with
    the same hooks are made together."""

    call: Chat | Inquiry
    hooks: tuple[tuple[str, Hook], ...]
    """Names of layers, and the hook on each; hooks are the same if they are equal."""


@dataclass
class Job:
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
        return not self.calls and any(map(calls_of, self.requests))

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
        calls, usage = calls_of(request), result.usage
        self.usage += usage
        if not calls or self.calls:
            self.added += usage
        elif isinstance(result, PairReply):
            self.added += result.added
        self.calls += calls
        self.checks += not calls


def calls_of(request: object) -> int:
    """How often a request calls the model; 0 for one that is put to something else."""
    return 2 if isinstance(request, ChatPair) else int(isinstance(request, Chat | Inquiry | Steered))
