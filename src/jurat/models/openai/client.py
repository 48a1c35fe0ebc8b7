"""The openai SDK's client, with what a judge needs besides: replies have a limit, and redirects are not
followed, since each would send the picture and the key to an address that nobody named."""

from __future__ import annotations

from typing import Any

from httpx2 import Request, Response
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

LONGEST_REPLY = 4 * 2**20
"""Bytes of a reply, decompressed. The answers to a call of eight questions take a few thousand."""

_OF_THE_BODY = ("content-encoding", "content-length", "transfer-encoding")


class ReplyTooLong(Exception):
    """A reply of more than `LONGEST_REPLY` bytes; it is not read to its end."""


class _Bounded(DefaultAsyncHttpxClient):
    async def send(self, request: Request, *, stream: bool = False, **settings: Any) -> Response:
        response = await super().send(request, stream=True, **settings)
        parts: list[bytes] = []
        size = 0
        try:
            async for part in response.aiter_bytes():  # decompressed piece by piece
                size += len(part)
                if size > LONGEST_REPLY:
                    raise ReplyTooLong
                parts.append(part)
        finally:
            await response.aclose()
        headers = [
            (name, value) for name, value in response.headers.multi_items() if name not in _OF_THE_BODY
        ]
        return Response(response.status_code, headers=headers, content=b"".join(parts), request=request)


def connect(base_url: str | None, key: str, seconds: float) -> AsyncOpenAI:
    """A client without tries of its own; `seconds` is the limit of one call."""
    limit = Timeout(seconds, connect=min(10.0, seconds))
    return AsyncOpenAI(
        api_key=key,
        base_url=base_url,
        timeout=limit,
        max_retries=0,
        http_client=_Bounded(timeout=limit, follow_redirects=False),
    )
