"""The bundled model behind HTTP: a small server of the OpenAI protocol, with logprobs.

transformers' own server takes neither `logprobs` nor `response_format`, so it could not stand in for it. One
request is answered by one forward pass over the whole conversation: nothing here knows of packs or prefixes.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import uvicorn
from fastapi import FastAPI, HTTPException
from PIL import Image
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from jurat.cli import app
from jurat.content import Chat, Generation, Turn
from jurat.models.bundled.model import WEIGHTS
from jurat.models.hf.load_model import load
from jurat.models.hf.model import LocalModel

PREFIX = "data:image/png;base64,"


class ImageUrl(BaseModel):
    url: str


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class ImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(BaseModel):
    role: Literal["system", "user", "assistant"]
    content: str | list[Part]

    def turn(self) -> Turn:
        parts = [TextPart(type="text", text=self.content)] if isinstance(self.content, str) else self.content
        return Turn(self.role, tuple(p.text if isinstance(p, TextPart) else _image(p) for p in parts))


class Request(BaseModel):
    model: str
    messages: list[Message]
    max_tokens: int = 16
    temperature: float = 0.0
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)


def _image(part: ImagePart) -> Image.Image:
    if not part.image_url.url.startswith(PREFIX):
        raise HTTPException(400, "Images come as data URLs of PNG files.")
    data = base64.b64decode(part.image_url.url.removeprefix(PREFIX))
    return Image.open(io.BytesIO(data)).convert("RGB")


class Service:
    """What the endpoints do, one request at a time: tokenizers are not safe to share."""

    def __init__(self) -> None:
        self.model = LocalModel(load(WEIGHTS, device="cpu", image_backend="pil"), name="bundled")
        self.requests = 0
        self._lock = threading.Lock()
        self.app = FastAPI()
        self.app.get("/v1/models")(self.models)
        self.app.post("/v1/chat/completions")(self.complete)

    def models(self) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "bundled", "object": "model", "owned_by": "jurat"}]}

    def complete(self, request: Request) -> dict[str, Any]:
        if request.model != "bundled":
            raise HTTPException(404, f"There is no model {request.model!r}.")
        chat = Chat(
            tuple(message.turn() for message in request.messages),
            Generation(request.max_tokens, request.temperature),
        )
        with self._lock:
            self.requests += 1
            if request.logprobs and request.max_tokens == 1:
                text, listed, read = self._next(chat, request.top_logprobs)
            elif not request.logprobs:
                (reply,) = self.model.chat([chat])
                text, listed, read = reply.text, None, reply.usage.input_tokens
            else:
                raise HTTPException(400, "logprobs are of one token: max_tokens must be 1.")
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "length" if request.max_tokens == 1 else "stop",
            "logprobs": None if listed is None else {"content": [{**listed[0], "top_logprobs": listed}]},
        }
        return {
            "id": f"chatcmpl-{self.requests}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": "bundled",
            "system_fingerprint": self.model.revision,
            "choices": [choice],
            "usage": {"prompt_tokens": read, "completion_tokens": 1, "total_tokens": read + 1},
        }

    def _next(self, chat: Chat, count: int) -> tuple[str, list[dict[str, Any]], int]:
        """The likeliest next token, the likeliest few with their logprobs, and the tokens that were read."""
        prompt = self.model.encoder.encode_chat(chat)
        ids = torch.cat([prompt.prefix, torch.tensor(prompt.segments[0])])[None]
        with torch.inference_mode():
            logits = self.model.network(input_ids=ids, **prompt.images).logits[0, -1].float()
        likeliest = logits.log_softmax(-1).topk(max(1, count))
        tokens = self.model.encoder.tokenizer.convert_ids_to_tokens(likeliest.indices.tolist())
        listed = [
            {"token": token, "logprob": value, "bytes": list(token.encode())}
            for token, value in zip(tokens, likeliest.values.tolist(), strict=True)
        ]
        return tokens[0], listed, ids.shape[1]


def judged(out: Path, *args: str) -> list[dict[str, Any]]:
    """The rows that `jurat judge` writes with these arguments."""
    result = CliRunner().invoke(app, ["judge", *args, "--out", str(out)])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in out.read_text().splitlines()]


def fields_of(value: Any, *names: str, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of these names in a part of a row, with its place."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in names:
                yield f"{path}.{name}", inner
            else:
                yield from fields_of(inner, *names, path=f"{path}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from fields_of(inner, *names, path=f"{path}[{number}]")


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """The service on a free port of this machine; its address, up to `/v1`."""
    server = uvicorn.Server(uvicorn.Config(service.app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
