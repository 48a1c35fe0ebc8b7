"""Any model behind an OpenAI-compatible server: the backend `openai/NAME`.

vLLM, SGLang, llama.cpp, Ollama, OpenAI and gateways speak this protocol. The key comes from OPENAI_API_KEY in
the environment and from nowhere else; servers of one's own need none.

A closed question is one call for one token with its logprobs: the images come first and the question last,
and an image's first question goes ahead of the others, so that a server which caches prefixes reads the
images once. That the server looks at them is checked (`served_sight`). Where it gives no logprobs, which is
found out once, several questions share a call and are answered in JSON: such answers are *stated*.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import urlsplit

from jurat.content import Chat, Failure, Reply, Turn
from jurat.errors import JuratError
from jurat.models.hf.encoding import ask_in
from jurat.models.openai import answers as answers
from jurat.models.openai.answers import Basis, Part, Said
from jurat.models.openai.calls import Calls, Unmeasured, money, total
from jurat.models.openai.dialect import LEAST_LISTED, Wish
from jurat.models.openai.messages import Message, data_url, messages
from jurat.models.openai.secrets import KEY
from jurat.models.openai.sight_check import Sight
from jurat.models.protocol import (
    UNKNOWN,
    Answer,
    C,
    Inquiry,
    ModelGone,
    Spent,
    UsageMeter,
    YesNo,
    check_settings,
    invalid_setting,
)
from jurat.models.spec import ModelSpec, Serving

log = logging.getLogger("jurat.models")

T = TypeVar("T")

BASE_URL = "OPENAI_BASE_URL"
STATED_TOKENS = 2048
"""At most, in a reply that answers several questions; those that think before they answer need room."""


def open_served(spec: ModelSpec) -> ServedModel:
    """Opens a served model. Nothing is sent before the first question.

    Raises:
        JuratError: no model is named, the server's address or an option makes no sense, or OpenAI's own
            server is meant and there is no key.
    """
    spec.check(reference="NAME")
    serving = spec.serving or Serving()
    _check(serving)
    _check_key(os.environ.get(KEY) or "")
    base_url = spec.base_url or os.environ.get(BASE_URL) or None
    if base_url is not None:
        _check_url(base_url)
    elif not os.environ.get(KEY):
        raise JuratError(
            f"{spec.name!r} is a model of OpenAI's own server, and {KEY} is not set.",
            hint=f"Set {KEY} in the environment, or name your server: --base-url http://localhost:8000/v1",
        )
    return ServedModel(Calls(spec.reference, base_url, serving), name=spec.name)


class ServedModel:
    """See the module's docstring."""

    dtype = "none"
    supported_settings = frozenset({"max_tokens", "temperature", "seed"})

    def __init__(self, calls: Calls, *, name: str) -> None:
        self.name = name
        self.calls = calls
        self._probe = asyncio.Lock()
        self._probed = False
        self._measures = False
        """Whether a reply has come with several tokens' logprobs that differ."""
        self._warned = False
        self._sight = Sight(calls.model, self._plain, self._look_into, self._blind)

    @property
    def revision(self) -> str:
        """The model's id and fingerprint as the server last told them; "unknown" before its first reply."""
        return self.calls.served_by or UNKNOWN

    @property
    def spent(self) -> Spent:
        return self.calls.spent

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return self.calls.run(_together(self._answer(inquiry) for inquiry in inquiries))

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        check_settings(self, chats)
        return self.calls.run(_together(self._reply(chat) for chat in chats))

    def capability(self, kind: type[C]) -> C | None:
        return cast(C, self) if kind is UsageMeter else None

    def close(self) -> None:
        self.calls.close()

    async def _reply(self, chat: Chat) -> Reply:
        settings = chat.generation
        if (failure := invalid_setting(settings)) is not None:
            return Reply(failure=failure)
        urls = await self._urls(chat)
        if isinstance(urls, Failure):
            return Reply(failure=urls)
        wish = Wish(settings.max_tokens, settings.temperature, settings.seed)
        said = await self._say(messages(chat.turns, urls), wish)
        if isinstance(said, Failure):
            return Reply(usage=said.usage, failure=said)
        if urls:
            await self._sight.look()
        finish = said.finish if said.finish in ("stop", "length") else None
        return Reply(said.text if said.text.strip() else "", said.usage, finish=finish)

    async def _answer(self, inquiry: Inquiry) -> Answer:
        if not inquiry.questions:
            return Answer()
        urls = await self._urls(inquiry.prefix)
        if isinstance(urls, Failure):
            return Answer(failure=urls)
        questions = inquiry.questions
        try:
            return await self._in_turn(inquiry, urls, [(one,) for one in questions], "measured")
        except Unmeasured:
            size = self.calls.serving.questions_per_call
            groups = [questions[at : at + size] for at in range(0, len(questions), size)]
            return await self._in_turn(inquiry, urls, groups, "stated")

    async def _in_turn(
        self, inquiry: Inquiry, urls: Sequence[str], groups: Sequence[tuple[str, ...]], basis: Basis
    ) -> Answer:
        """The first call, then all others at once. If the first fails with an error, the others are not
        made."""
        turns = inquiry.prefix.turns

        def put(group: tuple[str, ...]) -> Coroutine[Any, Any, Part]:
            if urls:
                return self._put(turns, group, urls, basis)
            return self._sight.plain(turns, group, basis)

        parts = [await put(groups[0])]
        failure = parts[0].answers[0].failure
        if failure is None or failure.kind != "error":
            parts += await _together(put(group) for group in groups[1:])
            if urls:
                parts = await self._sight.checked(turns, groups, parts, basis)
        return _answer_of(parts, basis)

    async def _put(
        self, turns: Sequence[Turn], group: Sequence[str], urls: Sequence[str], basis: Basis
    ) -> Part:
        """One call."""
        if basis == "stated":
            return await self._state(turns, group, urls)
        return await self._measure(turns, group, urls)

    async def _look_into(self, turns: Sequence[Turn], question: str) -> Part:
        """One question about pictures that are no item's, in whichever way the server answers."""
        urls = await self._urls(Chat(tuple(turns)))
        if isinstance(urls, Failure):
            return Part([YesNo(0.0, 0.0, urls)])
        try:
            return await self._put(turns, (question,), urls, "measured")
        except Unmeasured:
            return await self._put(turns, (question,), urls, "stated")

    async def _plain(self, turns: Sequence[Turn], group: Sequence[str], basis: Basis) -> Part:
        return await self._put(turns, group, (), basis)

    async def _measure(self, turns: Sequence[Turn], questions: Sequence[str], urls: Sequence[str]) -> Part:
        """One question's answer from its first token.

        The first of all goes alone, so that a server without logprobs is found out by one call.
        """
        asked = messages(ask_in(turns, questions[0]), urls)
        if not self._probed:
            async with self._probe:
                if not self._probed:
                    try:
                        return await self._measure_now(asked)
                    finally:
                        self._probed = True
        return await self._measure_now(asked)

    async def _measure_now(self, asked: Sequence[Message]) -> Part:
        said = await self._say(asked, Wish(max_tokens=1, measured=True))
        if isinstance(said, Failure):
            return Part([YesNo(0.0, 0.0, said)], said.usage)
        if not self._measures and (token := answers.certain(said.listed)) is not None:
            return Part([self._certain(token)], said.usage, said.listed)
        # One token alone, however sure, may be all that this server ever lists.
        self._measures = self._measures or len(said.listed) >= LEAST_LISTED
        if answers.suffices(said.listed):
            return Part([answers.measured(said.listed)], said.usage, said.listed)
        if self._measures:
            failure = Failure("unparsed", "The reply came without logprobs, which others came with.")
            return Part([YesNo(0.0, 0.0, failure)], said.usage)
        if not said.text.strip() and said.finish != "length":
            return Part([YesNo(0.0, 0.0, answers.empty(said))], said.usage)
        self.calls.give_up_logprobs()
        raise Unmeasured

    def _blind(self, why: str) -> NoReturn:
        where = self.calls.base_url or "OpenAI"
        raise ModelGone(
            f"{self.calls.model!r} at {where} cannot judge: {why}.",
            hint="Does a gateway before it drop pictures, or does the model take none?",
        )

    def _certain(self, token: str) -> YesNo:
        """The answer of a server that calls each token certain, as it states it."""
        if not self._warned:
            self._warned = True
            log.warning(
                "%s calls one token certain and tells nothing of the others: its answers are stated, not "
                "measured.",
                self.calls.model,
            )
        if (said := answers.spelled(token)) is None:
            why = f"The reply begins with neither Yes nor No: {answers.clean(token)}"
            return YesNo(0.0, 0.0, Failure("unparsed", why), stated=True)
        return YesNo(1.0 * said, 1.0 * (not said), stated=True)

    async def _state(self, turns: Sequence[Turn], questions: Sequence[str], urls: Sequence[str]) -> Part:
        """Several questions' answers from one reply in JSON."""
        asked = messages(ask_in(turns, answers.instruction(questions)), urls)
        wish = Wish(max_tokens=STATED_TOKENS, schema=answers.schema(len(questions)))
        said = await self._say(asked, wish)
        if isinstance(said, Failure):
            return Part([YesNo(0.0, 0.0, said, stated=True)] * len(questions), said.usage)
        return Part(answers.stated(said, len(questions)), said.usage)

    async def _say(self, asked: Sequence[Message], wish: Wish) -> Said | Failure:
        reply = await self.calls.complete(asked, wish)
        if isinstance(reply, Failure):
            return reply
        said = answers.read(reply)
        return replace(said, usage=replace(said.usage, money=money(said.usage, self.calls.serving)))

    async def _urls(self, chat: Chat) -> list[str] | Failure:
        """The data URL of each image, made beside the calls that are under way."""
        limit = self.calls.serving.max_pixels
        try:
            return [await asyncio.to_thread(data_url, image, limit) for image in chat.images]
        except (OSError, ValueError, MemoryError) as error:
            return Failure("error", f"The image could not be sent: {type(error).__name__}: {error}")


def _answer_of(parts: Sequence[Part], basis: Basis) -> Answer:
    found = tuple(answer for part in parts for answer in part.answers)
    basis = "stated" if all(answer.stated for answer in found) else basis
    usage = total(part.usage for part in parts)
    failures = [answer.failure for answer in found if answer.failure is not None]
    if len(failures) == len(found) and len({failure.kind for failure in failures}) == 1:
        return Answer((), basis, usage, failures[0])
    return Answer(found, basis, usage)


async def _together(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All of them at once. If one raises, the others are cancelled, and what it raised is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as raised:
        raise raised.exceptions[0] from None
    return [task.result() for task in tasks]


def _check(serving: Serving) -> None:
    least: dict[str, float] = {
        "concurrency": 1,
        "questions_per_call": 1,
        "max_pixels": 1024,
        "deadline": 0.01,
        "retries": 0,
        "input_price": 0,
        "output_price": 0,
    }
    for name, low in least.items():
        value = getattr(serving, name)
        if value is not None and not low <= value < math.inf:
            raise JuratError(f"{name.replace('_', ' ')} must be at least {low:g}, not {value}.")


def _check_key(key: str) -> None:
    if not all("!" <= character <= "~" for character in key):
        raise JuratError(
            f"{KEY} holds a character that no key has: a space, a line's end, or one that is not ASCII.",
            hint="It may have come along when the key was copied. Set it again.",
        )


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
