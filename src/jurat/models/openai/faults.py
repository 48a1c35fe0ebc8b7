"""Errors of a server: with an HTTP status, or in the body of a 200.

Gateways answer 200 with `{"error": {"code": 502, ...}}` where they had sent the status line before the server
behind them failed; the code in the body then counts as the status. Content filters answer with many statuses
and in many words; all of them mean `filtered`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http.client import responses
from typing import Any, cast
from urllib.parse import urlsplit

from jurat.models.openai.secrets import clean

_PASSING = (408, 409, 425, 429)
_ABOUT_SERVER = (401, 402, 403, 404, 405)
"""Statuses that usually concern the key, the account or the address, not the request."""
_CODES = ("code", "status", "status_code", "http_status", "error_code")
_TEXTS = ("message", "msg", "detail", "status_msg", "error_msg", "error_message", "error", "reason")
_NESTED = ("error", "detail", "base_resp", "errors")
_UNREAD = ("input", "messages", "prompt", "ctx", "loc", "url", "image_url", "content_filter_results")
"""Fields that repeat the request, or list filter categories that did not match."""
_FILTER = re.compile(
    r"""content[ _-]?(filter|polic|moderation|management|safety|guideline|check|exists?[ _]risk|violat)
    | moderation | responsible[ _]?ai | data[ _]?inspection | inappropriate | flagged | guardrail | nsfw
    | (usage|safety|community|acceptable[ -]use)[ _](polic|guideline|rule|standard)
    | safety[ _-]?(system|check|filter|reason|block|violation|concern)
    | (sensitive|unsafe|harmful|prohibited|disallowed|objectionable)[ _-]?
      (content(?![ _-]?(type|length|encoding))|information|material|image|media)
    | new_sensitive | image_safety | blocklist | \bspii\b | harm_category | block_?reason | \breasons:
    | (content|risk)[ _]is[ _]high | high[ _]risk
    | violat\w*\b.{0,60}\b(polic|guideline|terms|rules|standards)
    | \b(polic(y|ies)|guidelines?)\b.{0,40}violat
    | \b(prompt|input|output|response|image|content|generation)s?\b.{0,24}\bblocked""",
    re.I | re.X | re.S,
)
_FILTERED_FINISH = re.compile(
    r"content[_ -]?filter|safety|prohibited|block|spii|^image_|recitation|sensitive|guardrail|moderat|toxic"
    r"|model_armor|policy|flagged",
    re.I,
)
_HOPELESS = re.compile(
    r"invalid|unsupported|not supported|not found|malformed|bad request|unauthori[sz]ed", re.I
)
"""Errors without a status that a retry will not change."""


_REPLY_FIELDS = frozenset({"id", "object", "created", "model", "service_tier", "system_fingerprint", "usage"})
"""Fields of a reply that say nothing about an error."""


@dataclass(frozen=True)
class ReplyKind:
    """The kind of reply that an endpoint gives."""

    name: str
    """In messages: "chat completion"."""
    field: str
    """The list that such a reply always has."""


@dataclass(frozen=True)
class Fault:
    """Why one call of a server failed."""

    reason: str
    """One sentence for the user."""
    failed: bool = False
    """True where the server or the connection failed; False where the server rejected the call."""
    retry: bool = False
    """Whether the same call may be answered later."""
    status: int = 0
    """HTTP's, or the one that the body of a 200 names; 0 where there is none."""
    message: str = ""
    """What the server says, on one line, without the key."""
    words: str = ""
    """The whole error text, with names of fields and codes."""
    wait: float = 0.0
    """Seconds that its `Retry-After` asks to wait; 0 where that is a date, which only the SDK reads."""
    unreachable: bool = False
    """Whether no connection could be made."""

    @property
    def filtered(self) -> bool:
        """Whether a content filter rejected the call."""
        return self.status not in (401, 402, 404, 429) and bool(
            self.status == 451 or _FILTER.search(self.words)
        )

    @property
    def no_credit(self) -> bool:
        """Whether the account has no credit left."""
        return "insufficient_quota" in self.words and self.status in (0, 402, 429)

    @property
    def about_server(self) -> bool:
        """Whether it may be about the key, the account or the address, and not about what was sent."""
        return self.status in _ABOUT_SERVER or 300 <= self.status < 400


def fault_in(status: int, headers: Mapping[str, str], content: bytes, kind: ReplyKind) -> Fault | None:
    """The fault that a response reports; None if it holds a reply of that kind."""
    success = 200 <= status < 300
    try:
        body: object = json.loads(content)
    except (ValueError, RecursionError):
        if success:
            return _unreadable(headers, kind)
        body = content.decode("utf-8", "replace")
    if not success:
        message = _message(body) or clean(responses.get(status, "no message"))
        if 300 <= status < 400:
            parts = urlsplit(headers.get("location", ""))
            origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            message = clean(origin if parts.netloc else "elsewhere")
        reason = f"The server answered {status}: {message}"
        return _server_fault(reason, status, message, _words(body), headers.get("retry-after"))
    if not isinstance(body, Mapping):
        return Fault(f"What the server sent is no {kind.name}.", failed=True)
    fields = cast("Mapping[str, Any]", body)
    if (error := _error_in(fields, kind)) is not None:
        named = next(_statuses(error), 0)
        message = _message(error) or "it does not say which"
        code = f" {named}" if named else ""
        reason = f"The server answered with an error{code}: {message}"
        return _server_fault(reason, named, message, _words(error), headers.get("retry-after"))
    if not isinstance(fields.get(kind.field), list):
        return Fault(f"What the server sent is no {kind.name}.", failed=True, retry=kind.field in fields)
    return None


def _unreadable(headers: Mapping[str, str], kind: ReplyKind) -> Fault:
    if "json" in headers.get("content-type", ""):
        return Fault("The server's reply is not JSON.", failed=True, retry=True)
    return Fault(f"What the server sent is no {kind.name}.", failed=True)  # a page, as a rule


def _server_fault(reason: str, status: int, message: str, words: str, wait: str | None) -> Fault:
    fault = Fault(reason, status=status, message=message, words=words)
    passing = status in _PASSING or status >= 500 if status else not _HOPELESS.search(words)
    if fault.filtered or fault.no_credit or not passing:
        return fault
    seconds = _seconds(wait)
    if status == 429:
        asked = f"; it asked to wait {seconds:.3g} s" if seconds else ""
        reason = f"The server's rate limit did not let it through (429{asked})."
    return replace(fault, reason=reason, failed=True, retry=True, wait=seconds)


def _seconds(header: str | None) -> float:
    try:
        seconds = float(header or 0)
    except ValueError:
        return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def _error_in(body: Mapping[str, Any], kind: ReplyKind) -> Mapping[str, Any] | None:
    """The part of a 200's body, or of its first choice, that reports an error; None if there is none."""
    rest = {name: value for name, value in body.items() if name not in {*_REPLY_FIELDS, kind.field}}
    found = body.get(kind.field)
    first: Any = found[0] if isinstance(found, list) and found else None
    inside = first.get("error") if isinstance(first, Mapping) else None
    if inside or (isinstance(first, Mapping) and first.get("finish_reason") == "error"):
        return {"error": inside or rest.get("error") or {}}
    if rest.get("error"):
        return {"error": rest}
    says = _message(rest) or next(_statuses(rest), 0) or _FILTER.search(_words(rest))
    return {"error": rest} if first is None and says else None


def filtered_finish(choice: object) -> str | None:
    """The finish reason of a choice if a content filter blocked it."""
    for name in ("finish_reason", "native_finish_reason"):
        reason = getattr(choice, name, None)
        if isinstance(reason, str) and _FILTERED_FINISH.search(reason):
            return clean(reason)
    return None


def _statuses(value: object, depth: int = 0) -> Iterator[int]:
    """Values at the usual places of statuses, outermost first."""
    if isinstance(value, list) and value:
        value = cast("list[object]", value)[0]
    if not isinstance(value, Mapping) or depth > 3:
        return
    fields = cast("Mapping[str, object]", value)
    for name in _CODES:
        code = str(fields.get(name, ""))
        if re.fullmatch(r"[345]\d\d", code):
            yield int(code)
    for name in _NESTED:
        yield from _statuses(fields.get(name), depth + 1)


def _message(body: object) -> str:
    """The text of an error, on one line; empty where there is none."""
    if isinstance(body, str):
        return clean(body)
    if isinstance(body, list) and body:
        return clean(str(cast("list[object]", body)))
    if not isinstance(body, Mapping):
        return ""
    fields = cast("Mapping[str, object]", body)
    for name in (*_NESTED, *_TEXTS):
        if (found := fields.get(name)) and (message := _message(found)):
            return message
    return ""


def _words(value: object, depth: int = 0) -> str:
    """Names of fields, codes and texts, without parts that repeat the request."""
    if isinstance(value, str):
        return value[:2000]
    if isinstance(value, list) and depth < 5:
        return " ".join(_words(inner, depth + 1) for inner in cast("list[object]", value)[:20])
    if isinstance(value, Mapping) and depth < 5:
        fields = list(cast("Mapping[str, object]", value).items())[:40]
        return " ".join(
            f"{name}: {_words(inner, depth + 1)}" for name, inner in fields if name not in _UNREAD
        )
    return ""
