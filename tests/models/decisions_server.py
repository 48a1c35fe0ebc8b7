"""A real HTTP server of OpenAI's decisions endpoint: it takes what the SDK's own types allow and no more."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from openai.types.decision_create_params import DecisionCreateParams
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from jurat.content import Chat, Turn
from jurat.models import Inquiry
from jurat.models.openai.sight_check import OTHER, RED

_PARAMETERS: TypeAdapter[Any] = TypeAdapter(DecisionCreateParams)
_MOST_QUESTIONS = 400


@dataclass(frozen=True)
class DecisionRequest:
    """A request as it arrived."""

    body: dict[str, Any]
    headers: dict[str, str]
    at: float

    @property
    def questions(self) -> tuple[str, ...]:
        return tuple(question["instructions"] for question in self.body["questions"])

    @property
    def chat(self) -> Chat:
        return Chat(tuple(Turn(message["role"], _parts(message["content"])) for message in self._messages))

    @property
    def images(self) -> tuple[Image.Image, ...]:
        return self.chat.images

    @property
    def _messages(self) -> list[dict[str, Any]]:
        given = self.body["input"]
        return [{"role": "user", "content": given}] if isinstance(given, str) else given

    @property
    def is_check(self) -> bool:
        """Whether it asks if the server looks at images."""
        return self.questions in ((RED,), (OTHER,))


def _parts(content: Any) -> tuple[str | Image.Image, ...]:
    if isinstance(content, str):
        return (content,)
    return tuple(_image(part) if part["type"] == "input_image" else part["text"] for part in content)


def _image(part: dict[str, Any]) -> Image.Image:
    data = base64.b64decode(part["image_url"].partition(",")[2])
    return Image.open(io.BytesIO(data)).convert("RGB")


Script = Callable[[DecisionRequest], Any]
"""Gives the body of a response, or a `Response`."""


class DecisionsServer:
    """Answers as its script says; `tests.models.bundled_server.serving` runs it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.received: list[DecisionRequest] = []
        """Requests that were valid, in the order in which they came."""
        self._lock = threading.Lock()
        self.app = FastAPI()
        self.app.post("/v1/decisions")(self.decide)

    async def decide(self, request: Request) -> Response:
        # Read as it comes: FastAPI's own parsing would drop what a type does not name.
        body = json.loads(await request.body())
        _validate(body)
        asked = DecisionRequest(body, dict(request.headers), time.monotonic())
        with self._lock:
            self.received.append(asked)
            answer = self.script(asked)
        if isinstance(answer, Response):
            return answer
        text = answer if isinstance(answer, str) else json.dumps(answer)  # NaN included
        return Response(text, media_type="application/json")

    @property
    def asked(self) -> list[DecisionRequest]:
        """Requests about items and their priors."""
        return [request for request in self.received if not request.is_check]


def _validate(body: Any) -> None:
    try:
        # Iterables are validated as they are written out.
        valid = _PARAMETERS.validate_python(body, strict=True)
        written = json.loads(_PARAMETERS.dump_json(valid, warnings="error"))
    except (ValidationError, PydanticSerializationError) as error:
        raise HTTPException(422, str(error)) from None
    if written != body:
        raise HTTPException(422, "The request has fields that the protocol does not know.")
    if not 1 <= len(body["questions"]) <= _MOST_QUESTIONS:
        raise HTTPException(400, f"{len(body['questions'])} questions; a request has 1 to 400.")


def decision(*answers: Any, usage: tuple[int, int, int] = (100, 10, 80), **fields: Any) -> dict[str, Any]:
    """A decision; a number is a predicate's probability, None a refusal, a mapping an answer as it is."""
    return {
        "answers": [_answer(answer, f"q{number}") for number, answer in enumerate(answers, start=1)],
        "model": "tiny-judge-001",
        "usage": {
            "input_tokens": usage[0],
            "output_tokens": usage[1],
            "total_tokens": usage[0] + usage[1],
            "input_tokens_details": {"cached_tokens": usage[2], "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
        **fields,
    }


def _answer(answer: Any, name: str) -> dict[str, Any]:
    if isinstance(answer, dict):
        return answer
    if answer is None:
        return {"type": "refusal", "name": name}
    return {"type": "predicate", "name": name, "probability": answer}


def seeing(asked: DecisionRequest) -> dict[str, Any]:
    """What a server that looks at images answers to the check: a red image, another one, or none."""
    red = bool(asked.images) and asked.images[0].getchannel("R").getpixel((50, 50)) > 250
    return decision(0.97123 if red or OTHER in asked.questions else 0.0312 + 0.11 * bool(asked.images))


def bundled_script(ask: Callable[[list[Inquiry]], Any]) -> Script:
    """Answers with the probabilities of a model that runs here."""

    def script(asked: DecisionRequest) -> dict[str, Any]:
        (answer,) = ask([Inquiry(asked.chat, asked.questions)])
        tokens = answer.usage.input_tokens
        return decision(*(one.score for one in answer.answers), usage=(tokens, len(asked.questions), 0))

    return script
