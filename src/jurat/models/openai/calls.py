"""Calls of one OpenAI-compatible server: many at once within a bound, each tried again where that may help.

What is wrong with one call is a `Failure`. What is wrong with the server raises `ModelGone`: nobody is there,
the key is refused, the model is not known, or nothing has come back for many calls in a row. One picture can
look like any of these but the first (a content check answers 403, an image processor fails with 500): before
a run ends, the server is asked once more what it has answered before.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import os
import random
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from jurat.content import Failure, Usage
from jurat.models.openai.dialect import Dialect, Wish
from jurat.models.openai.faults import Fault, Refused, blocked, fault_in, fault_of
from jurat.models.openai.secrets import KEY, clean
from jurat.models.protocol import ModelGone, Spent
from jurat.models.spec import Serving

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

    from jurat.models.openai.messages import Message

log = logging.getLogger("jurat.models")

T = TypeVar("T")

NO_KEY = "none"
"""Sent where the environment holds no key: servers of one's own do not look at it."""
_TRIES = 3
"""One try may take the deadline divided by this."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
"""Seconds before the first further try, doubled for each one after it, and their most."""
_ADAPTATIONS = 8
_NO_SETTING = (401, 402, 404, 405)
"""Statuses that are not about a setting, whatever words come with them."""
_MOST_TOKENS = 10**9
"""Of one call. A server that counts more counts wrong."""
_PLAIN: Message = {"role": "user", "content": "Is one and one two? Answer with Yes or No."}
"""Asked where nothing has been answered yet, to learn whether anything is."""


class Unmeasured(Exception):
    """The server gives no logprobs."""


@dataclass(frozen=True)
class _Again:
    """A try that failed for a reason that may pass."""

    reason: str
    after: float | None = None
    """Seconds that the server asks to wait."""
    unreachable: bool = False
    """Whether there was nobody to talk to."""
    final: bool = False
    """Whether the same call is not worth another try."""


class Calls:
    """See the module's docstring."""

    def __init__(self, model: str, base_url: str | None, serving: Serving) -> None:
        self.model = model
        self.base_url = base_url
        self.serving = serving
        self.dialect = Dialect()
        self.served_by: str | None = None
        """What the server reports of itself: model and fingerprint; None before its first reply."""
        self.spent = Spent(usage=Usage(money=None if _price(serving) is None else 0.0))
        self._failed = 0
        """Calls in a row that came to nothing for reasons that may pass."""
        self._answered: tuple[Sequence[Message], dict[str, Any]] | None = None
        """A call that was answered, with an image if there was one: it is known to be answerable."""
        self._checking = asyncio.Lock()
        self._checked = -math.inf
        """When the server was last found to answer."""
        self._client: AsyncOpenAI | None = None
        self._places = asyncio.Semaphore(serving.concurrency)
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end in a thread of its own, so that it works in a notebook too.

        Ctrl-C cancels it, and with it the calls under way.
        """
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            Thread(target=self._loop.run_forever, name="jurat-calls", daemon=True).start()
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # does nothing to one that has ended

    def close(self) -> None:
        """Closes the connections and ends the thread of the calls."""
        loop, client, self._loop, self._client = self._loop, self._client, None, None
        if loop is None:
            return
        if client is not None:
            asyncio.run_coroutine_threadsafe(client.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)

    async def complete(self, messages: Sequence[Message], wish: Wish) -> ChatCompletion | Failure:
        """One call, with its further tries.

        Raises:
            ModelGone: no call of this server can succeed.
            Unmeasured: logprobs were wished for, and the server refuses them.
        """
        for _ in range(_ADAPTATIONS):
            dialect = self.dialect
            if wish.measured and not dialect.top_logprobs:
                raise Unmeasured
            settings = dialect.settings(wish)
            start = _now()
            try:
                return await self._call(messages, settings)
            except Refused as refused:
                self._failed = 0  # it answers, whatever it says
                fault = refused.fault
            if fault.filtered:
                return blocked(fault)
            if self.dialect == dialect:
                learned = None if fault.status in _NO_SETTING else dialect.without(fault.told, settings)
                if learned is None:
                    return await self._final(fault, start)
                log.debug("the server refuses a setting: %s", fault.told)
                self._learn(learned)
        return Failure("error", "The server goes on refusing the settings of the call.")

    def give_up_logprobs(self) -> None:
        """Takes note that the server gives none, whatever it is asked for."""
        self._learn(replace(self.dialect, top_logprobs=0))

    def _learn(self, learned: Dialect) -> None:
        if self.dialect.top_logprobs and not learned.top_logprobs:
            log.warning("%s gives no logprobs: its answers are stated in text, not measured.", self.model)
        self.dialect = learned

    async def _call(self, messages: Sequence[Message], settings: dict[str, Any]) -> ChatCompletion | Failure:
        """One call in one dialect, with its further tries.

        Raises:
            Refused: by a fault that will not pass.
            ModelGone: the server is gone.
        """
        async with self._places:
            start = _now()
            outcome = await self._tried(messages, settings)
            return await self._failing(outcome, start) if isinstance(outcome, _Again) else outcome

    async def _tried(
        self, messages: Sequence[Message], settings: dict[str, Any]
    ) -> ChatCompletion | Failure | _Again:
        end = _now() + self.serving.deadline
        for tries in itertools.count():
            outcome = await self._try(messages, settings, end - _now())
            if not isinstance(outcome, _Again):
                return outcome
            # A server that asks to wait for no time at all is met by the usual pause.
            pause = max(_back_off(tries), (outcome.after or 0.0) * random.uniform(1.0, 1.25))
            if outcome.final or tries >= self.serving.retries or _now() + pause >= end:
                return outcome
            log.debug("trying again in %.1f s: %s", pause, outcome.reason)
            await asyncio.sleep(pause)
            if _now() >= end:
                return outcome
        raise AssertionError  # the loop above has no other end

    async def _try(
        self, messages: Sequence[Message], settings: dict[str, Any], left: float
    ) -> ChatCompletion | Failure | _Again:
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        from jurat.models.openai.client import LONGEST_REPLY, ReplyTooLong

        limit = min(left, self.serving.deadline / _TRIES)
        # Outside the limit, since the SDK imports its parts here. Its overloads take no dict of settings.
        create: Any = self._connected().chat.completions.create
        try:
            async with asyncio.timeout(limit):
                reply = await create(model=self.model, messages=list(messages), **settings)
        except APIConnectionError as error:
            if type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout"):
                return _Again("The server cannot be reached.", unreachable=True)
            if isinstance(error, APITimeoutError):
                return _Again(f"The server did not answer within {limit:.3g} s.")
            return _Again("The connection broke off before the reply was whole.")
        except TimeoutError:
            return _Again(f"The server did not answer within {limit:.3g} s.")
        except ReplyTooLong:
            return _Again(f"The server's reply is longer than {LONGEST_REPLY:,} bytes.", final=True)
        except APIStatusError as error:
            return self._passing(fault_of(error))
        except (ValueError, RecursionError):  # what the SDK lets through of JSON that cannot be read
            return _Again("The server's reply is not JSON.")
        if (fault := fault_in(reply)) is not None:
            return self._passing(fault)
        if not _is_completion(reply):
            return _Again("What the server sent is no chat completion.", final=not hasattr(reply, "choices"))
        self._note(reply, messages, settings)
        return reply

    def _passing(self, fault: Fault) -> _Again:
        """A fault that may pass. Raises Refused, or ModelGone, where it is another one."""
        if fault.no_credit and fault.status in (0, 402, 429):
            self._gone("the account has no credit left (429)")
        if fault.filtered or not fault.passes:
            raise Refused(fault)
        after = retry_after(fault.after)
        if fault.status == 429:
            wait = "" if after is None else f"; it asked to wait {after:.3g} s"
            return _Again(f"The server's rate limit did not let it through (429{wait}).", after)
        return _Again(fault.reason, after)

    def _connected(self) -> AsyncOpenAI:
        if self._client is None:
            from jurat.models.openai.client import connect

            key = os.environ.get(KEY) or NO_KEY
            self._client = connect(self.base_url, key, self.serving.deadline / _TRIES)
        return self._client

    def _note(self, reply: ChatCompletion, messages: Sequence[Message], settings: dict[str, Any]) -> None:
        """Counts a reply's tokens, and keeps what it tells of the server."""
        self._failed = 0
        if self._answered is None or _shows(messages):
            self._answered = messages, settings
        usage = usage_of(reply)
        usage = replace(usage, money=money(usage, self.serving))
        self.spent = Spent(self.spent.calls + 1, self.spent.usage + usage)
        names = [getattr(reply, "model", None), getattr(reply, "system_fingerprint", None)]
        told = "+".join(clean(name) for name in names if isinstance(name, str) and name)
        self.served_by = told or self.served_by

    async def _final(self, fault: Fault, start: float) -> Failure:
        """The failure of a call that was refused; the end if the same is said of what can be answered."""
        if fault.of_the_server and not await self._answers(start):
            self._refuses(fault)
        if fault.status == 413:
            return Failure("error", "The server finds the request too large (413): lower --max-pixels.")
        return Failure("error", fault.reason)

    def _refuses(self, fault: Fault) -> NoReturn:
        status = fault.status
        if status in (401, 403):
            self._gone(f"it refuses the key ({status})", hint=f"The key comes from {KEY} in the environment.")
        if status == 402:
            self._gone(f"it wants to be paid (402): {fault.told}")
        if status < 400:
            self._gone(
                f"it redirects to {fault.told} ({status})",
                hint="Pictures are sent to the address that was named and to no other: "
                "if you trust that one, give it as --base-url.",
            )
        raise ModelGone(
            f"{self.model!r} is not to be had at {self.base_url or 'OpenAI'}: the server answers {status}: "
            f"{fault.told}.",
            hint="Most servers want --base-url to end in /v1, and the model as they name it.",
        )

    async def _failing(self, last: _Again, start: float) -> Failure:
        """A call's failure; the end if nobody is there, or if there has been nothing else for many calls."""
        if last.unreachable:
            self._gone("it cannot be reached")
        self._failed += 1
        if self._failed >= max(8, 2 * self.serving.concurrency):
            failed = self._failed
            if not await self._answers(start):
                self._gone(f"the last {failed} calls failed; {last.reason}")
        return Failure("error", last.reason)

    async def _answers(self, since: float) -> bool:
        """Whether the server answers what it answered before, or a question without an image; whoever waits
        while another one asks takes what that one learned."""
        async with self._checking:
            if self._checked >= since:
                return True
            plain = [_PLAIN], self.dialect.settings(Wish(max_tokens=1))
            try:
                outcome = await self._tried(*(self._answered or plain))
            except Refused as refused:
                outcome = None if refused.fault.of_the_server else refused.fault
            if outcome is None or isinstance(outcome, _Again):
                return False
            self._checked, self._failed = _now(), 0
            return True

    def _gone(self, why: str, *, hint: str | None = None) -> NoReturn:
        where = self.base_url or "OpenAI"
        hint = hint or "What was judged is kept; run it again when the server answers."
        raise ModelGone(f"{self.model!r} does not answer at {where}: {why.rstrip('.')}.", hint=hint) from None


def _is_completion(reply: object) -> bool:
    from openai.types.chat import ChatCompletion

    return isinstance(reply, ChatCompletion) and isinstance(getattr(reply, "choices", None), list)


def _shows(messages: Sequence[Message]) -> bool:
    """Whether there is an image among them."""
    return any(not isinstance(message["content"], str) for message in messages)


def usage_of(reply: ChatCompletion) -> Usage:
    """The tokens that a server counted; 0 where it counts none, or what cannot be."""
    usage = reply.usage
    cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
    counts = (getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None), cached)
    return Usage(*(count if type(count) is int and 0 <= count <= _MOST_TOKENS else 0 for count in counts))


def total(usages: Iterable[Usage]) -> Usage:
    return sum(usages, Usage())


def money(usage: Usage, serving: Serving) -> float | None:
    """What tokens cost at the prices given; None if none were. Cached tokens count in full."""
    if (price := _price(serving)) is None:
        return None
    return (usage.input_tokens * price[0] + usage.output_tokens * price[1]) / 1e6


def _now() -> float:
    return asyncio.get_running_loop().time()


def _back_off(tries: int) -> float:
    """Seconds to wait after so many further tries; drawn, so that calls which failed together do not return
    together."""
    return min(_FIRST_PAUSE * 2**tries, _LONGEST_PAUSE) * random.uniform(0.75, 1.0)


def retry_after(header: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for: it holds them, or a date (RFC 9110, section 10.2.3)."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _price(serving: Serving) -> tuple[float, float] | None:
    if serving.input_price is None and serving.output_price is None:
        return None
    return serving.input_price or 0.0, serving.output_price or 0.0
