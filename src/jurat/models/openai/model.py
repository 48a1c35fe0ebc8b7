"""Any model behind an OpenAI-compatible server: the backend `openai/NAME`.

vLLM, SGLang, llama.cpp, Ollama, OpenAI and gateways speak this protocol. The key comes from OPENAI_API_KEY in
the environment and from nowhere else; servers of one's own need none.

A closed question is one call for one token with its logprobs: the images come first and the question last,
and an image's first question goes ahead of the others, so that a server which caches prefixes reads the
images once. That the server looks at them is checked (`sight_check`). Where it gives no logprobs, which is
found out once, several questions share a call and are answered in JSON: such answers are *stated*.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from jurat.content import Chat, Failure, Generation, Reply, Turn
from jurat.content.chat import ask_in
from jurat.models.model_spec import ModelSpec
from jurat.models.openai import closed_answers as closed
from jurat.models.openai.call_settings import LEAST_LISTED, ServerSupport, rejected_setting
from jurat.models.openai.choices import Choice, read_choice, without_thoughts
from jurat.models.openai.closed_answers import Basis, CallAnswers, NoLogprobs, failed_call
from jurat.models.openai.estimate import CallForm
from jurat.models.openai.faults import Fault, ReplyKind
from jurat.models.openai.messages import Message, data_urls, messages
from jurat.models.openai.secrets import clean
from jurat.models.openai.server import Endpoint, Server, gather, open_server, usage_of
from jurat.models.openai.server_model import ServerModel
from jurat.models.openai.sight_check import SightCheck
from jurat.models.protocol import (
    Answer,
    Inquiry,
    UnsupportedSetting,
    YesNo,
    check_settings,
    invalid_setting,
)

log = logging.getLogger("jurat.models")

STATED_TOKENS = 2048
"""Largest reply that answers several questions; models that think first need the room."""
_ENDPOINT = Endpoint(
    ReplyKind("chat completion", "choices"),
    lambda client: client.chat.completions.create,
    {"messages": [{"role": "user", "content": "Is one and one two? Answer with Yes or No."}]},
)


def open_served(spec: ModelSpec) -> ServedModel:
    """Opens a served model; see `open_server`."""
    return ServedModel(open_server(spec, _ENDPOINT), name=spec.name)


class ServedModel(ServerModel):
    """See the module's docstring."""

    call_forms: ClassVar = {"gives logprobs": CallForm(), "gives none": CallForm(None, stated=True)}

    def __init__(self, server: Server, *, name: str) -> None:
        super().__init__(server, name=name)
        thinking = () if server.serving.thinking_field is None else ("thinking",)
        self.supported_settings = frozenset({"max_tokens", "temperature", "top_p", "seed", "stop", *thinking})
        self.support = ServerSupport(
            thinking=server.serving.thinking_field,
            continue_final_message=server.serving.continue_final_message,
        )
        self._probe = asyncio.Lock()
        self._probed = False
        self._measures = False
        """Whether any reply so far listed several tokens with different logprobs."""
        self._warned = False
        self._sight = SightCheck(server, self._answers)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return self.server.run(self._answer, inquiries)

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        check_settings(self, chats)
        return self.server.run(self._reply, chats)

    def give_up_logprobs(self) -> None:
        """Stops asking for logprobs."""
        if self.support.top_logprobs:
            self._learn(replace(self.support, top_logprobs=0))

    async def _reply(self, chat: Chat) -> Reply:
        wanted = chat.generation
        if (failure := invalid_setting(wanted)) is not None:
            return Reply(failure=failure)
        urls = await data_urls(chat.images, self.server.serving)
        if isinstance(urls, Failure):
            return Reply(failure=urls)
        continues = chat.prefilled_text is not None
        choice = await self._complete(messages(chat.turns, urls), wanted, continues=continues)
        if isinstance(choice, Failure):
            return Reply(usage=choice.usage, failure=choice)
        if urls:
            await self._sight.look()
        finish = choice.finish if choice.finish in ("stop", "length") else None
        return Reply(without_thoughts(choice.text), choice.usage, finish=finish)

    async def _answer(self, inquiry: Inquiry) -> Answer:
        if not inquiry.questions:
            return Answer()
        urls = await data_urls(inquiry.prefix.images, self.server.serving)
        if isinstance(urls, Failure):
            return Answer(failure=urls)
        questions = inquiry.questions
        try:
            return await self._answer_groups(inquiry, urls, [(one,) for one in questions], "measured")
        except NoLogprobs:
            size = self.server.serving.questions_per_call
            groups = [questions[at : at + size] for at in range(0, len(questions), size)]
            return await self._answer_groups(inquiry, urls, groups, "stated")

    async def _answer_groups(
        self, inquiry: Inquiry, urls: Sequence[str], groups: Sequence[tuple[str, ...]], basis: Basis
    ) -> Answer:
        """One call a group: the first alone, then the others concurrently, unless the first fails with an
        error."""
        turns = inquiry.prefix.turns

        def answers(group: tuple[str, ...]) -> Coroutine[Any, Any, CallAnswers]:
            if urls:
                return self._answers(turns, group, urls, basis)
            return self._sight.prior(turns, group, basis)

        calls = [await answers(groups[0])]
        failure = calls[0].answers[0].failure
        if failure is None or failure.kind != "error":
            calls += await gather(answers(group) for group in groups[1:])
            if urls:
                calls = await self._sight.checked(turns, groups, calls, basis)
        return closed.joined(calls, basis)

    async def _answers(
        self, turns: Sequence[Turn], group: Sequence[str], urls: Sequence[str], basis: Basis
    ) -> CallAnswers:
        """One call; raises NoLogprobs if answers should be measured and the server gives no logprobs."""
        if basis == "stated":
            return await self._stated(turns, group, urls)
        return await self._measured(turns, group[0], urls)

    async def _measured(self, turns: Sequence[Turn], question: str, urls: Sequence[str]) -> CallAnswers:
        """One question's answer from its first token.

        The first of all goes alone, so that a server without logprobs is found out by one call.
        """
        asked = messages(ask_in(turns, question), urls)
        if not self._probed:
            async with self._probe:
                if not self._probed:
                    try:
                        return await self._measured_now(asked)
                    finally:
                        self._probed = True
        return await self._measured_now(asked)

    async def _measured_now(self, asked: Sequence[Message]) -> CallAnswers:
        choice = await self._complete(asked, Generation(max_tokens=1), logprobs=True)
        if isinstance(choice, Failure):
            return failed_call(choice, 1)
        listed, usage = choice.listed, choice.usage
        if not self._measures and (token := closed.certain_token(listed)) is not None:
            return CallAnswers([self._certain(token)], usage, listed)
        # A single certain token may be all that this server ever lists.
        self._measures = self._measures or len(listed) >= LEAST_LISTED
        if closed.enough_listed(listed):
            return CallAnswers([closed.measured_answer(listed)], usage, listed)
        if self._measures:
            failure = Failure("unparsed", "The reply came without logprobs, which others came with.", usage)
            return failed_call(failure, 1)
        if not choice.text.strip() and choice.finish != "length":
            return CallAnswers([YesNo(0.0, 0.0, closed.empty_reply(choice))], usage)
        self.give_up_logprobs()
        raise NoLogprobs

    def _certain(self, token: str) -> YesNo:
        """The answer of a server that calls each token certain, as it states it."""
        if not self._warned:
            self._warned = True
            log.warning(
                "%s calls one token certain and tells nothing of the others: its answers are stated, not "
                "measured.",
                self.server.model,
            )
        if (answer := closed.answer_spelled_by(token)) is None:
            why = f"The reply begins with neither Yes nor No: {clean(token)}"
            return YesNo(0.0, 0.0, Failure("unparsed", why), stated=True)
        return YesNo(1.0 * answer, 1.0 * (not answer), stated=True)

    async def _stated(
        self, turns: Sequence[Turn], questions: Sequence[str], urls: Sequence[str]
    ) -> CallAnswers:
        """Several questions' answers from one reply in JSON."""
        asked = messages(ask_in(turns, closed.numbered_questions(questions)), urls)
        schema = closed.answer_schema(len(questions))
        choice = await self._complete(asked, Generation(STATED_TOKENS), schema=schema)
        if isinstance(choice, Failure):
            return failed_call(choice, len(questions), stated=True)
        return CallAnswers(closed.stated_answers(choice, len(questions)), choice.usage)

    async def _complete(
        self, asked: Sequence[Message], wanted: Generation, *, logprobs: bool = False, **more: Any
    ) -> Choice | Failure:
        """One chat completion, with the settings that the server takes; see `ServerSupport.arguments`.

        Raises:
            ModelUnavailable: no call of this server can succeed.
            NoLogprobs: logprobs are wanted, and the server gives none.
        """
        support = self.support

        def request() -> dict[str, Any]:
            nonlocal support
            support = self.support
            if logprobs and not support.top_logprobs:
                raise NoLogprobs
            return {"messages": list(asked), **support.arguments(wanted, logprobs=logprobs, **more)}

        def adapt(fault: Fault, sent: dict[str, Any]) -> dict[str, Any] | None:
            if self.support == support:  # else another call has changed it meanwhile
                learned = support.without(fault.message, sent)
                if learned is None:
                    self._check_honoured(fault, sent)
                    return None
                log.debug("the server rejects a setting: %s", fault.message)
                self._learn(learned)
            return request()

        shows = any(not isinstance(message["content"], str) for message in asked)
        reply = await self.server.call(request(), image=shows, adapt=adapt)
        if isinstance(reply, Failure):
            return reply
        return read_choice(reply, usage_of(reply, self.server.serving))

    def _check_honoured(self, fault: Fault, sent: dict[str, Any]) -> None:
        """Raises if the server rejects a setting of the conversation that changes the reply."""
        if (name := rejected_setting(fault.message, sent)) is not None:
            raise UnsupportedSetting(
                f"The server of {self.name!r} does not support {name}: {fault.message.rstrip('.')}.",
                hint="Leave it out.",
            )

    def _learn(self, support: ServerSupport) -> None:
        if self.support.top_logprobs and not support.top_logprobs:
            log.warning(
                "%s gives no logprobs: its answers are stated in text, not measured.", self.server.model
            )
        self.support = support
