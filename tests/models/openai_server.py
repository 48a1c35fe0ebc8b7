"""A real HTTP server that speaks as much of the OpenAI protocol as a script has it say."""

from __future__ import annotations

import base64
import io
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from jurat.models.openai.sight_check import OTHER, RED


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    """By names in lower case."""
    at: float

    @property
    def content(self) -> list[dict[str, Any]]:
        """Parts of the last message."""
        content = self.body["messages"][-1]["content"]
        return [{"type": "text", "text": content}] if isinstance(content, str) else content

    @property
    def text(self) -> str:
        return "\n".join(part["text"] for part in self.content if part["type"] == "text")

    @property
    def question(self) -> str:
        return self.text.splitlines()[-1]

    @property
    def urls(self) -> list[str]:
        return [part["image_url"]["url"] for part in self.content if part["type"] == "image_url"]

    @property
    def images(self) -> list[Image.Image]:
        return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in self.urls]


@dataclass(frozen=True)
class Told:
    """A response: its body is JSON unless it is text or bytes."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before anything is sent."""
    broken: bool = False
    """Whether the connection is closed in the middle of the body."""


Script = Callable[[Asked], Told]


REDS = ((255, 0, 0), (254, 0, 0))
"""Red as PNG and as JPEG keep it."""


def looking(asked: Asked) -> Told:
    """What a server that sees says of the pictures of known colours that it is checked with."""
    red = bool(asked.urls) and asked.images[0].convert("RGB").getpixel((50, 50)) in REDS
    yes = 0.9 if red or OTHER in asked.text else 0.1 + 0.1 * bool(asked.urls)
    if asked.body.get("logprobs"):
        return completion("Yes" if yes > 0.5 else "No", {"Yes": yes, "No": 0.93 - yes, "The": 0.01})
    return completion(json.dumps({"1": "Yes" if yes > 0.5 else "No"}))


class Server:
    """Running, with what it was asked so far."""

    def __init__(self, script: Script, port: int = 0, *, check: Script | None = looking) -> None:
        """`port` 0 takes a free one. `check` answers what is asked to learn whether the server sees: about
        pictures of known colours, and without a picture what was asked about one. None leaves that to the
        script."""
        self.script, self.check = script, check
        self.asked: list[Asked] = []
        self.checks: list[Asked] = []
        """What `check` answered."""
        self._shown: set[str] = set()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def _checks(self, asked: Asked) -> bool:
        known = RED in asked.text or OTHER in asked.text
        return known or (not asked.urls and asked.text in self._shown)

    def answer(self, asked: Asked) -> Told:
        if self.check is not None and self._checks(asked):
            self.checks.append(asked)
            return self.check(asked)
        with self._lock:
            self.asked.append(asked)
            if asked.urls:
                self._shown.add(asked.text)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            told = self.script(asked)
            time.sleep(told.delay)
            return told
        finally:
            with self._lock:
                self._at_once -= 1

    def _handler(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            """Else each body waits 40 ms for the client to acknowledge the headers before it."""

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                if not raw.endswith(b"}"):
                    return  # the client has gone away while it sent
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(json.loads(raw), headers, time.monotonic())
                if self.path != "/v1/chat/completions":
                    told = error(404, f"There is nothing at {self.path}.")
                else:
                    told = server.answer(asked)
                body = told.body if isinstance(told.body, str | bytes) else json.dumps(told.body)
                data = body.encode() if isinstance(body, str) else body
                self.send_response(told.status)
                for name, value in ({"content-type": "application/json"} | dict(told.headers)).items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                if told.broken:
                    self.wfile.write(data[: len(data) // 2])
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.shutdown(2)
                    return
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

            def handle(self) -> None:
                with suppress(ConnectionError):  # the client goes away at its deadline
                    super().handle()

        return Handler

    @contextmanager
    def running(self) -> Iterator[Server]:
        thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()


def completion(
    text: str | None = "Yes",
    listed: Mapping[str, float] | None = None,
    *,
    finish: str = "stop",
    refusal: str | None = None,
    usage: tuple[int, int, int] | None = (100, 1, 80),
    fingerprint: str | None = None,
    **kwargs: Any,
) -> Told:
    """A chat completion; `listed` are the probabilities of its first token's alternatives."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    if listed is not None:
        entries = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in listed.items()]
        choice["logprobs"] = {
            "content": [{**max(entries, key=lambda e: e["logprob"]), "top_logprobs": entries}]
        }
    body: dict[str, Any] = {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny-vision-001",
        "choices": [choice],
    }
    if usage is not None:
        body["usage"] = {
            "prompt_tokens": usage[0],
            "completion_tokens": usage[1],
            "total_tokens": usage[0] + usage[1],
            "prompt_tokens_details": {"cached_tokens": usage[2]},
        }
    if fingerprint is not None:
        body["system_fingerprint"] = fingerprint
    return Told(body, **kwargs)


def error(
    status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
) -> Told:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return Told(body, status, headers or {})
