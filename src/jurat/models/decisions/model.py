"""Any model behind OpenAI's decisions endpoint, or a server that speaks the same protocol: `decisions/NAME`.

One request holds a conversation, with its images, and all closed questions about it as predicates; each comes
back with its probability. What fails is that question's: a refusal, a missing answer, one in another place
than its question, a number that is no probability. Keys, faults, retries and the check that the server looks
at images are those of `openai/NAME`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from jurat.content import Chat, Failure, Reply, Turn
from jurat.errors import JuratError
from jurat.models.model_spec import ModelSpec, Serving
from jurat.models.openai.closed_answers import CallAnswers, failed_call, joined
from jurat.models.openai.estimate import CallForm
from jurat.models.openai.faults import ReplyKind
from jurat.models.openai.messages import data_urls, messages
from jurat.models.openai.server import Endpoint, Server, gather, open_server, usage_of
from jurat.models.openai.server_model import ServerModel
from jurat.models.openai.sight_check import SightCheck
from jurat.models.protocol import Answer, Inquiry, YesNo

MOST_QUESTIONS = 400
"""Most questions in one request, by the protocol."""


def _predicates(questions: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"type": "predicate", "name": f"q{number}", "instructions": question}
        for number, question in enumerate(questions, start=1)
    ]


_ENDPOINT = Endpoint(
    ReplyKind("decision", "answers"),
    lambda client: client.decisions.create,
    {"input": "One and one.", "questions": _predicates(["The sum is two."])},
)


def open_decisions(spec: ModelSpec) -> DecisionsModel:
    """Opens a model behind a decisions endpoint; see `open_server`."""
    serving = spec.serving or Serving()
    if serving.image_format == "auto":  # all questions share one upload of the images
        serving = replace(serving, image_format="png")
    return DecisionsModel(open_server(replace(spec, serving=serving), _ENDPOINT), name=spec.name)


class DecisionsModel(ServerModel):
    """See the module's docstring."""

    can_chat = False
    call_forms: ClassVar = {"takes decisions": CallForm(MOST_QUESTIONS)}

    def __init__(self, server: Server, *, name: str) -> None:
        super().__init__(server, name=name)
        self._sight = SightCheck(server, self._answers)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return self.server.run(self._answer, inquiries)

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        """Raises a JuratError: the endpoint gives no text."""
        if not chats:
            return []
        raise JuratError(
            f"The model {self.name!r} answers closed questions only: it cannot chat.",
            hint="Name another model, for example openai/NAME.",
        )

    async def _answer(self, inquiry: Inquiry) -> Answer:
        turns, questions = inquiry.prefix.turns, inquiry.questions
        groups = [questions[at : at + MOST_QUESTIONS] for at in range(0, len(questions), MOST_QUESTIONS)]
        if not groups:
            return Answer()
        images = inquiry.prefix.images
        if not images:
            calls = await gather(self._sight.prior(turns, group, "measured") for group in groups)
            return joined(calls, "measured")
        urls = await data_urls(images, self.server.serving)
        if isinstance(urls, Failure):
            return Answer(failure=urls)
        calls = await gather(self._answers(turns, group, urls) for group in groups)
        return joined(await self._sight.checked(turns, groups, calls, "measured"), "measured")

    async def _answers(
        self, turns: Sequence[Turn], questions: Sequence[str], urls: Sequence[str], _basis: str = "measured"
    ) -> CallAnswers:
        """One request."""
        request = {
            "input": messages(turns, urls, _text_part, _image_part),
            "questions": _predicates(questions),
        }
        reply = await self.server.call(request, image=bool(urls))
        if isinstance(reply, Failure):
            return failed_call(reply, len(questions))
        answers = read_answers(reply.answers, len(questions))
        # Probabilities that a server rounds may be equal with and without an image.
        exact = any(round(answer.yes, 4) != answer.yes for answer in answers)
        found = zip(questions, answers, strict=True)
        numbers = tuple((question, answer.yes) for question, answer in found if not answer.failure)
        return CallAnswers(answers, usage_of(reply, self.server.serving), numbers if exact else ())


def read_answers(found: Sequence[Any], count: int) -> list[YesNo]:
    """The answers of a decision to `count` questions named q1, q2, ... Never raises, although servers
    may leave out any field."""
    if len(found) > count:
        why = f"The server gave {len(found)} answers to {count} questions."
        return [YesNo(0.0, 0.0, Failure("error", why))] * count
    missing = YesNo(0.0, 0.0, Failure("error", "The server's decision leaves this question out."))
    read = [_read(answer, f"q{number}") for number, answer in enumerate(found, start=1)]
    return read + [missing] * (count - len(found))


def _read(answer: Any, name: str) -> YesNo:
    given, kind = getattr(answer, "name", None), getattr(answer, "type", None)
    if given != name:
        # Not sorted by name: a server that mixes up its answers may mix up the names too.
        return _failed("The server's answer in this question's place is to another question.")
    if kind == "refusal":
        return YesNo(0.0, 0.0, Failure("refused", "The model declined to answer this question."))
    if kind != "predicate":
        return _failed("The server's answer to this question is no predicate.")
    probability = getattr(answer, "probability", None)
    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
        return _failed("The server's answer to this question is no probability.")
    return YesNo(float(probability), 1.0 - probability)


def _failed(why: str) -> YesNo:
    return YesNo(0.0, 0.0, Failure("error", why))


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def _image_part(url: str) -> dict[str, Any]:
    return {"type": "input_image", "image_url": url, "detail": "original"}
