"""Calls of one server: many at once within a bound, each tried again by the SDK where that may help.

What is wrong with one call is a `Failure`. What is wrong with the server raises `ModelUnavailable`: it is
unreachable, rejects the key, does not know the model, or has failed many calls in a row. One picture can
look like any of these but the first (a content check answers 403, an image processor fails with 500), so
before a run ends the server is asked once more what it has answered before.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar
from urllib.parse import urlsplit

from jurat.content import Failure, Reply, Usage
from jurat.errors import JuratError
from jurat.models.capabilities import TotalUsage
from jurat.models.model_spec import ModelSpec, Serving
from jurat.models.openai.background_loop import BackgroundLoop
from jurat.models.openai.faults import Fault, ReplyKind
from jurat.models.openai.secrets import KEY, clean
from jurat.models.protocol import UNKNOWN, Answer, ModelUnavailable

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")
Q = TypeVar("Q")
R = TypeVar("R", Answer, Reply)
Adapt: TypeAlias = Callable[[Fault, dict[str, Any]], dict[str, Any] | None]

BASE_URL = "OPENAI_BASE_URL"
NO_KEY = "none"
"""Sent if the environment holds no key; self-hosted servers ignore it."""
_BILL: ContextVar[list[float]] = ContextVar("bill")
"""The cost of the calls made so far for the current item."""
_TRIES = 3
"""One try may take the deadline divided by this."""
_MOST_TOKENS = 10**9
"""Largest token count of one call; larger reports are ignored."""
_ADAPTATIONS = 8
_NO_SETTING = (401, 402, 404, 405)
"""Statuses that are not about a setting, whatever words come with them."""
_LEAST: dict[str, float] = {
    "concurrency": 1,
    "questions_per_call": 1,
    "max_pixels": 1024,
    "deadline": 0.01,
    "retries": 0,
    "input_price": 0,
    "output_price": 0,
}


@dataclass(frozen=True)
class Endpoint:
    """One kind of call of the SDK."""

    reply: ReplyKind
    method: Callable[[AsyncOpenAI], Callable[..., Awaitable[Any]]]
    """Returns the SDK's method for the call."""
    probe: dict[str, Any]
    """Its arguments for the smallest call, which asks whether a server answers at all."""


class Server:
    """See the module's docstring; `open_server` makes one."""

    def __init__(self, endpoint: Endpoint, model: str, base_url: str | None, serving: Serving) -> None:
        self.endpoint = endpoint
        self.model = model
        self.base_url = base_url
        self.serving = serving
        self.revision = UNKNOWN
        """Model and fingerprint as the server last reported them."""
        self.spent = TotalUsage(usage=Usage(money=price_of(Usage(), serving)))
        self._failed = 0
        """Calls in a row that failed."""
        self._answered: dict[str, Any] | None = None
        """A request that was answered, with an image if possible; repeated to check the server."""
        self._checking = asyncio.Lock()
        self._checked = -math.inf
        """Time of the last check that found the server answering."""
        self._client: AsyncOpenAI | None = None
        self._slots = asyncio.Semaphore(serving.concurrency)
        self._background = BackgroundLoop()

    @property
    def address(self) -> str:
        """For messages."""
        return self.base_url or "OpenAI"

    def run(self, work: Callable[[Q], Coroutine[Any, Any, R]], items: Iterable[Q]) -> list[R]:
        """Works on items side by side, from any thread. If work on one raises, the others are cancelled.

        The money of a result is that of all calls made for it, those that check the server among them.
        """

        async def billed(item: Q) -> R:
            bill: list[float] = []
            _BILL.set(bill)  # of this task and of those that it starts
            result = await work(item)
            money = None if self.spent.usage.money is None else math.fsum(bill)
            return replace(result, usage=replace(result.usage, money=money))

        return self._background.run(gather(billed(item) for item in items))

    def close(self) -> None:
        """Cancels the calls under way, closes the connections and ends the thread."""
        client, self._client = self._client, None
        self._background.close(None if client is None else client.close)

    async def call(
        self, request: dict[str, Any], *, image: bool, adapt: Adapt | None = None
    ) -> Any | Failure:
        """The SDK's reply to one request, or why there is none.

        Args:
            request: arguments of the SDK's method, without the model.
            image: whether the request shows an image.
            adapt: makes another request from a rejected one and its fault; None where it cannot.

        Raises:
            ModelUnavailable: no call of this server can succeed.
        """
        for _ in range(_ADAPTATIONS):
            async with self._slots:
                start = _now()
                outcome = await self._try(request)
                if not isinstance(outcome, Fault):
                    self._note(outcome, request, image=image)
                    return outcome
                if outcome.no_credit:
                    self._gone("the account has no credit left (429)")
                if outcome.failed:  # in the slot, so that no more calls fail while the server is checked
                    return await self._failure(outcome, start)
            self._failed = 0  # any answer shows that the server works
            if outcome.filtered:
                return Failure("filtered", f"The server's content filter blocked it: {outcome.message}")
            changed = None if adapt is None or outcome.status in _NO_SETTING else adapt(outcome, request)
            if changed is None:
                return await self._rejection(outcome, start)
            request = changed
        return Failure("error", "The server keeps rejecting the settings of the call.")

    async def _try(self, request: dict[str, Any]) -> Any:
        """The reply or the Fault of one request, tried as often as the SDK and the deadline allow."""
        from openai import APIError

        from jurat.models.openai.client import CALL, CallState

        # Found outside the deadline, since the SDK imports its parts here.
        create = self.endpoint.method(self._connected())
        deadline = self.serving.deadline
        call = CallState(_now() + deadline)
        CALL.set(call)
        try:
            # The SDK has no deadline for a call with all its tries.
            async with asyncio.timeout(deadline):
                return await create(model=self.model, **request)
        except (APIError, TimeoutError):
            return call.fault or Fault(f"The server did not answer within {deadline:.3g} s.", failed=True)

    def _connected(self) -> AsyncOpenAI:
        if self._client is None:
            from jurat.models.openai.client import connect

            self._client = connect(
                self.base_url,
                os.environ.get(KEY) or NO_KEY,
                self.endpoint.reply,
                seconds=self.serving.deadline / _TRIES,
                retries=self.serving.retries,
            )
        return self._client

    def _note(self, reply: Any, request: dict[str, Any], *, image: bool) -> None:
        """Counts a reply's tokens, and keeps what it says about the server."""
        self._failed = 0
        if self._answered is None or image:
            self._answered = request
        usage = usage_of(reply, self.serving)
        self.spent = TotalUsage(self.spent.calls + 1, self.spent.usage + usage)
        if usage.money is not None:
            _BILL.get([]).append(usage.money)
        names = [getattr(reply, "model", None), getattr(reply, "system_fingerprint", None)]
        reported = "+".join(clean(name) for name in names if isinstance(name, str) and name)
        self.revision = reported or self.revision

    async def _failure(self, fault: Fault, start: float) -> Failure:
        """A failed call's failure; raises ModelUnavailable after many failures in a row."""
        if fault.unreachable:
            self._gone("it cannot be reached")
        self._failed += 1
        if self._failed >= max(8, 2 * self.serving.concurrency):
            failed = self._failed
            if not await self._answers(start):
                self._gone(f"the last {failed} calls failed; {fault.reason}")
        return Failure("error", fault.reason)

    async def _rejection(self, fault: Fault, start: float) -> Failure:
        """A rejected call's failure; raises ModelUnavailable if what can be answered is rejected too."""
        if fault.about_server and not await self._answers(start):
            self._raise_rejected(fault)
        if fault.status == 413:
            return Failure("error", "The server finds the request too large (413): lower --max-pixels.")
        return Failure("error", fault.reason)

    async def _answers(self, since: float) -> bool:
        """Whether the server answers what it answered before, or else the endpoint's probe; asked once, for
        all calls that wait."""
        async with self._checking:
            if self._checked >= since:
                return True
            request = self._answered or self.endpoint.probe
            outcome = await self._try(request)
            if not isinstance(outcome, Fault):
                self._note(outcome, request, image=False)
            elif outcome.failed or outcome.about_server or outcome.no_credit:
                return False
            self._checked, self._failed = _now(), 0
            return True

    def _raise_rejected(self, fault: Fault) -> NoReturn:
        status = fault.status
        if status in (401, 403):
            self._gone(f"it refuses the key ({status})", hint=f"The key comes from {KEY} in the environment.")
        if status == 402:
            self._gone(f"it asks for payment (402): {fault.message}")
        if status < 400:
            self._gone(
                f"it redirects to {fault.message} ({status})",
                hint="Pictures are sent to the address that was named and to no other: "
                "if you trust that one, give it as --base-url.",
            )
        raise ModelUnavailable(
            f"{self.model!r} is not available at {self.address}: the server answers {status}: "
            f"{fault.message}.",
            hint="Most servers want --base-url to end in /v1, and the model as they name it.",
        )

    def _gone(self, why: str, *, hint: str | None = None) -> NoReturn:
        hint = hint or "What was judged is kept; run it again when the server answers."
        raise ModelUnavailable(
            f"{self.model!r} does not answer at {self.address}: {why.rstrip('.')}.", hint=hint
        ) from None


def open_server(spec: ModelSpec, endpoint: Endpoint) -> Server:
    """Nothing is sent before the first call.

    Raises:
        JuratError: no model is named, the server's address or an option makes no sense, or OpenAI's own
            server is meant and there is no key.
    """
    spec.check(reference="NAME")
    serving = spec.serving or Serving()
    for name, low in _LEAST.items():
        value = getattr(serving, name)
        if value is not None and not low <= value < math.inf:
            raise JuratError(f"{name.replace('_', ' ')} must be at least {low:g}, not {value}.")
    key = os.environ.get(KEY) or ""
    if not all("!" <= character <= "~" for character in key):
        raise JuratError(
            f"{KEY} holds a character that no key has: a space, a line's end, or one that is not ASCII.",
            hint="It may have come along when the key was copied. Set it again.",
        )
    base_url = spec.base_url or os.environ.get(BASE_URL) or None
    if base_url is not None:
        _check_url(base_url)
    elif not key:
        raise JuratError(
            f"{spec.name!r} is a model of OpenAI's own server, and {KEY} is not set.",
            hint=f"Set {KEY} in the environment, or name your server: --base-url http://localhost:8000/v1",
        )
    return Server(endpoint, spec.reference, base_url, serving)


async def gather(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Their results, in order. If one raises, the others are cancelled, and what it raised is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as raised:
        raise raised.exceptions[0] from None
    return [task.result() for task in tasks]


def usage_of(reply: Any, serving: Serving) -> Usage:
    """The tokens that a server reports, with their price; 0 where it reports none, or what cannot be."""
    usage = getattr(reply, "usage", None)

    def count(*names: str) -> int:
        value: Any = usage
        for name in names:
            value = getattr(value, name, None)
        return value if type(value) is int and 0 <= value <= _MOST_TOKENS else 0

    found = Usage(
        count("prompt_tokens") or count("input_tokens"),
        count("completion_tokens") or count("output_tokens"),
        count("prompt_tokens_details", "cached_tokens") or count("input_tokens_details", "cached_tokens"),
    )
    return replace(found, money=price_of(found, serving))


def price_of(usage: Usage, serving: Serving) -> float | None:
    """What tokens cost at the prices given; None if none were. Cached tokens count in full."""
    if serving.input_price is None and serving.output_price is None:
        return None
    inputs, outputs = serving.input_price or 0.0, serving.output_price or 0.0
    return (usage.input_tokens * inputs + usage.output_tokens * outputs) / 1e6


def _now() -> float:
    return asyncio.get_running_loop().time()


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read, since only that tells whether it is a number
    except ValueError as error:
        raise JuratError(f"The base URL is no address: {error}.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise JuratError(
            "The base URL of a server begins with http:// or https://.",
            hint="As a rule it ends in /v1: http://localhost:8000/v1",
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise JuratError(
            "The base URL may hold no user, password or query: it is shown and recorded.",
            hint=f"Put the key into {KEY} in the environment.",
        )
