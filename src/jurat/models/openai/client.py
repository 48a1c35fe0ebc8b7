"""The openai SDK's client, with its own retries, on an HTTP client of ours.

What the SDK leaves open is done where a response arrives: a reply has a limit of bytes, a try a limit of
time (the SDK's bounds the wait for each piece, and a reply may trickle for ever), and redirects are not
followed, since each would send the picture and the key to an address that nobody named. The SDK retries by
status; `x-should-retry`, which it obeys, adds errors in the body of a 200 and broken JSON, and takes out
rejections by a content filter (some answer 500), accounts without credit, and waits beyond the deadline.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

from httpx2 import (
    ConnectError,
    ConnectTimeout,
    ReadTimeout,
    Request,
    Response,
    TimeoutException,
    create_ssl_context,
)
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

from jurat.models.openai.faults import Fault, ReplyKind, fault_in

LONGEST_REPLY = 4 * 2**20
"""Bytes of a reply, decompressed. The answers to a call of eight questions take a few thousand."""
_WAITS = ("retry-after", "retry-after-ms")


@dataclass
class CallState:
    """One call, with all its tries."""

    end: float
    """Its deadline, by the event loop's clock."""
    fault: Fault | None = None
    """Fault of the last try that failed."""


CALL: ContextVar[CallState] = ContextVar("CALL")
"""The call of the current task."""


class _ReplyTooLong(Exception):
    pass


_tls = cache(create_ssl_context)
"""One for all clients of the process: reading the certificates takes 25 ms."""


class _HttpClient(DefaultAsyncHttpxClient):
    """Notes what is wrong with a response, and tells the SDK by headers whether to try again."""

    def __init__(self, kind: ReplyKind, limit: Timeout, seconds: float) -> None:
        super().__init__(timeout=limit, follow_redirects=False, verify=_tls())
        self._kind, self._seconds = kind, seconds

    async def send(self, request: Request, *, stream: bool = False, **settings: Any) -> Response:
        call, waits = CALL.get(), {}
        try:
            async with asyncio.timeout(self._seconds):
                response, content = await self._read(request, **settings)
        except (ConnectError, ConnectTimeout):
            call.fault = Fault("The server cannot be reached.", failed=True, unreachable=True)
            raise
        except (TimeoutError, TimeoutException):
            call.fault = Fault(f"The server did not answer within {self._seconds:.3g} s.", failed=True)
            raise ReadTimeout("the try took too long", request=request) from None
        except _ReplyTooLong:
            fault = Fault(f"The server's reply is longer than {LONGEST_REPLY:,} bytes.", failed=True)
        except Exception:
            call.fault = Fault("The connection broke off before the reply was whole.", failed=True)
            raise
        else:
            fault = fault_in(response.status_code, response.headers, content, self._kind)
            if fault is None:
                return _response(200, {"content-type": "application/json"}, request, content)
            waits = {name: value for name, value in response.headers.items() if name in _WAITS}
        call.fault = fault
        retry = fault.retry and asyncio.get_running_loop().time() + fault.wait < call.end
        headers = {"x-should-retry": "true" if retry else "false", **waits}
        return _response(fault.status if fault.status >= 300 else 500, headers, request)

    async def _read(self, request: Request, **settings: Any) -> tuple[Response, bytes]:
        response = await super().send(request, stream=True, **settings)
        content = bytearray()
        try:
            async for part in response.aiter_bytes():  # decompressed piece by piece
                content += part
                if len(content) > LONGEST_REPLY:
                    raise _ReplyTooLong
        finally:
            await response.aclose()
        return response, bytes(content)


def _response(status: int, headers: dict[str, str], request: Request, content: bytes = b"") -> Response:
    return Response(status, headers=headers, content=content, request=request)


def connect(base_url: str | None, key: str, kind: ReplyKind, *, seconds: float, retries: int) -> AsyncOpenAI:
    """A client whose tries may take `seconds` each."""
    limit = Timeout(seconds, connect=min(10.0, seconds))
    return AsyncOpenAI(
        api_key=key,
        base_url=base_url,
        timeout=limit,
        max_retries=retries,
        http_client=_HttpClient(kind, limit, seconds),
    )
