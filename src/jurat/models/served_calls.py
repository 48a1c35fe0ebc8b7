"""Calls of one OpenAI-compatible server: many at once within a bound, each tried again where that may help.

What is wrong with one call is a `Failure`. What is wrong with the server raises `ModelGone`: nobody is
there, the key is refused, the model is not known, or nothing has come back for many calls in a row.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import os
import random
import re
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from jurat.models.base import Failure, ModelGone, Spent, Usage
from jurat.models.served_dialect import Dialect, Wish
from jurat.models.spec import Serving

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from openai.types.chat import ChatCompletion

    from jurat.models.served_messages import Message

log = logging.getLogger("jurat.models")

T = TypeVar("T")

KEY = "OPENAI_API_KEY"
NO_KEY = "none"
"""Sent where the environment holds no key: servers of one's own do not look at it."""
_TRIES = 3
"""One try may take the deadline divided by this."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
"""Seconds before the first further try, doubled for each one after it, and their most."""
_ADAPTATIONS = 8
_LEAST_KEY = 8
"""Characters of a key that is a secret: what is shorter ("none", "ollama", "1") only fills the place, and is
found in replies that say nothing of it."""
_FILTER = re.compile(r"content_?(filter|policy)|content management policy|moderation|ResponsibleAI", re.I)
_SECRET = re.compile(r"\b(sk|key|pk)-[\w*.-]{4,}|(?<=bearer )\S+", re.I)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


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


class Calls:
    """See the module's docstring."""

    def __init__(self, model: str, base_url: str | None, serving: Serving) -> None:
        self.model = model
        self.base_url = base_url
        self.serving = serving
        self.dialect = Dialect()
        self.served_by: str | None = None
        """What the server reports of itself: model and fingerprint; None before its first reply."""
        self.spent = Spent(money=None if _price(serving) is None else 0.0)
        self._failed = 0
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

    async def complete(self, messages: Sequence[Message], wish: Wish) -> ChatCompletion | Failure:
        """One call, with its further tries.

        Raises:
            ModelGone: no call of this server can succeed.
            Unmeasured: logprobs were wished for, and the server refuses them.
        """
        from openai import APIStatusError

        for _ in range(_ADAPTATIONS):
            dialect = self.dialect
            if wish.measured and not dialect.top_logprobs:
                raise Unmeasured
            settings = dialect.settings(wish)
            try:
                return await self._call(messages, settings)
            except APIStatusError as error:
                self._failed = 0  # it answers, whatever it says
                refusal = self._told(error)
                if (known := self._judge_status(error, refusal)) is not None:
                    return known
                if self.dialect == dialect:
                    learned = dialect.without(refusal, settings)
                    if learned is None:
                        return self._final(error, refusal)
                    log.debug("the server refuses a setting: %s", refusal)
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
        """One call in one dialect, with its further tries. Raises a status that will not pass."""
        async with self._places:
            end = _now() + self.serving.deadline
            for tries in itertools.count():
                outcome = await self._try(messages, settings, end - _now())
                if not isinstance(outcome, _Again):
                    return outcome
                # A server that asks to wait for no time at all is met by the usual pause.
                pause = max(_back_off(tries), (outcome.after or 0.0) * random.uniform(1.0, 1.25))
                if tries >= self.serving.retries or _now() + pause >= end:
                    return self._failing(outcome)
                log.debug("trying again in %.1f s: %s", pause, outcome.reason)
                await asyncio.sleep(pause)
                if _now() >= end:
                    return self._failing(outcome)
        raise AssertionError  # the loop above has no other end

    async def _try(
        self, messages: Sequence[Message], settings: dict[str, Any], left: float
    ) -> ChatCompletion | Failure | _Again:
        from openai import APIConnectionError, APIStatusError, APITimeoutError

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
        except APIStatusError as error:
            if error.status_code == 429 and error.code == "insufficient_quota":
                self._gone("the account has no credit left (429)")
            if error.status_code < 500 and error.status_code not in (408, 409, 429):
                raise
            return self._passing(error)
        except ValueError:  # what the SDK lets through of JSON that cannot be read
            return _Again("The server's reply is not JSON.")
        return self._counted(reply)

    def _passing(self, error: APIStatusError) -> _Again:
        """A status that may pass."""
        after = retry_after(error.response.headers.get("retry-after"))
        reason = f"The server answered {error.status_code}: {self._told(error)}"
        if error.status_code == 429:
            wait = "" if after is None else f"; it asked to wait {after:.3g} s"
            reason = f"The server's rate limit did not let it through (429{wait})."
        return _Again(reason, after)

    def _connected(self) -> AsyncOpenAI:
        if self._client is None:
            from openai import AsyncOpenAI, Timeout

            limit = self.serving.deadline / _TRIES
            self._client = AsyncOpenAI(
                api_key=os.environ.get(KEY) or NO_KEY,
                base_url=self.base_url,
                timeout=Timeout(limit, connect=min(10.0, limit)),
                max_retries=0,
            )
        return self._client

    def _counted(self, reply: Any) -> ChatCompletion | Failure:
        """The reply, if it is one, with its tokens added to what was spent."""
        from openai.types.chat import ChatCompletion

        if not isinstance(reply, ChatCompletion) or not isinstance(getattr(reply, "choices", None), list):
            return self._failing(_Again("What the server sent is no chat completion."))
        self._failed = 0
        usage, spent = usage_of(reply), self.spent
        self.spent = Spent(
            spent.calls + 1,
            total((spent.usage, usage)),
            None if spent.money is None else spent.money + (money(usage, self.serving) or 0.0),
        )
        names = [getattr(reply, "model", None), getattr(reply, "system_fingerprint", None)]
        told = "+".join(clean(name) for name in names if isinstance(name, str) and name)
        self.served_by = told or self.served_by
        return reply

    def _judge_status(self, error: APIStatusError, refusal: str) -> Failure | None:
        """What a status says whatever was sent: a blocked item, or the end of the run."""
        if error.status_code in (400, 403, 422) and _FILTER.search(f"{error.code} {error.type} {refusal}"):
            return Failure("filtered", f"The server's content filter blocked it: {refusal}")
        if error.status_code == 401:
            self._gone("it refuses the key (401)", hint=f"The key comes from {KEY} in the environment.")
        if error.status_code in (404, 405):
            hint = "Most servers want --base-url to end in /v1."
            self._gone(f"it answers {error.status_code}: {refusal}", hint=hint)
        if error.status_code == 402:
            self._gone(f"it wants to be paid (402): {refusal}")
        return None

    def _final(self, error: APIStatusError, refusal: str) -> Failure:
        if error.status_code == 403:
            self._gone("it refuses the key (403)", hint=f"The key comes from {KEY} in the environment.")
        if error.status_code == 413:
            return Failure("error", "The server finds the request too large (413): lower --max-pixels.")
        return Failure("error", f"The server answered {error.status_code}: {refusal}")

    def _failing(self, last: _Again) -> Failure:
        """A call's failure; the end if nobody is there, or if there has been nothing else for many calls."""
        if last.unreachable:
            self._gone("it cannot be reached")
        self._failed += 1
        if self._failed >= max(8, 2 * self.serving.concurrency):
            self._gone(f"the last {self._failed} calls failed; {last.reason}")
        return Failure("error", last.reason)

    def _gone(self, why: str, *, hint: str | None = None) -> NoReturn:
        where = self.base_url or "OpenAI"
        hint = hint or "What was judged is kept; run it again when the server answers."
        raise ModelGone(f"{self.model!r} does not answer at {where}: {why.rstrip('.')}.", hint=hint) from None

    def _told(self, error: APIStatusError) -> str:
        """What the server said of a status, on one line."""
        body = error.body
        if isinstance(body, dict):
            body = body.get("message") or body.get("detail") or body.get("error") or body
        return clean(body if isinstance(body, str) else str(body or error.message))


def clean(text: str) -> str:
    """Text of a server's on one line of at most 200 characters, without anything that may be a key."""
    return " ".join(_CONTROL.sub(" ", _SECRET.sub("[key]", without_key(text))).split())[:200].rstrip(".")


def without_key(text: str) -> str:
    """The text without the key, for where a server says it back."""
    key = os.environ.get(KEY) or ""
    return text.replace(key, "[key]") if len(key) >= _LEAST_KEY else text


def usage_of(reply: ChatCompletion) -> Usage:
    """The tokens that a server counted; 0 where it counts none."""
    usage = reply.usage
    cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
    counts = (getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None), cached)
    return Usage(*(count if isinstance(count, int) else 0 for count in counts))


def total(usages: Iterable[Usage]) -> Usage:
    """All tokens together."""
    counts = [(usage.input_tokens, usage.output_tokens, usage.shared_tokens) for usage in usages]
    return Usage(*(sum(column) for column in zip(*counts, strict=True))) if counts else Usage()


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
