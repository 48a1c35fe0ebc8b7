"""What a server says is wrong: with an HTTP status, or in the body of a 200.

Gateways answer 200 with `{"error": {"code": 502, ...}}` where they had sent the status line before the server
behind them failed; the code in the body then counts as the status. Content filters answer with many statuses
and in many words; all of them mean `filtered`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from jurat.content import Failure
from jurat.models.openai.secrets import clean

if TYPE_CHECKING:
    from openai import APIStatusError

_PASSING = (408, 409, 425, 429)
_OF_THE_SERVER = (401, 402, 403, 404, 405)
"""Statuses that speak of the key, the account or the address, as a rule, and not of what was sent."""
_CODES = ("code", "status", "status_code", "http_status", "error_code")
_TEXTS = ("message", "msg", "detail", "status_msg", "error_msg", "error_message", "error", "reason")
_NESTED = ("error", "detail", "base_resp", "errors")
_UNREAD = ("input", "messages", "prompt", "ctx", "loc", "url", "image_url", "content_filter_results")
"""Fields that repeat what was sent, or list what a filter has looked for and not found."""
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
"""In an error without a status: what another try will not change."""


@dataclass(frozen=True)
class Fault:
    """What a server says is wrong with one call."""

    status: int
    """HTTP's, or the one that the body of a 200 names; 0 where it names none."""
    told: str
    """What it says, on one line, without the key."""
    words: str
    """All that it says, the names of fields and codes too."""
    in_body: bool = False
    """Whether it came in the body of a 200."""
    after: str | None = None
    """Its `Retry-After`."""

    @property
    def filtered(self) -> bool:
        """Whether a content filter speaks."""
        return self.status not in (401, 402, 404, 429) and bool(
            self.status == 451 or _FILTER.search(self.words)
        )

    @property
    def passes(self) -> bool:
        """Whether the same call may be answered later."""
        if not self.status:
            return not _HOPELESS.search(self.words)
        return self.status in _PASSING or self.status >= 500

    @property
    def no_credit(self) -> bool:
        return "insufficient_quota" in self.words

    @property
    def of_the_server(self) -> bool:
        """Whether it may be about the key, the account or the address, and not about what was sent."""
        return self.status in _OF_THE_SERVER or 300 <= self.status < 400

    @property
    def reason(self) -> str:
        """For a person, in one sentence."""
        if not self.in_body:
            return f"The server answered {self.status}: {self.told}"
        code = f" {self.status}" if self.status else ""
        return f"The server answered with an error{code}: {self.told}"


class Refused(Exception):
    """A fault that will not pass."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.told)
        self.fault = fault


def fault_of(error: APIStatusError) -> Fault:
    """What an HTTP status and its body say."""
    response = error.response
    try:
        body: object = response.json()
    except (ValueError, RecursionError):
        body = response.text
    told = _told(body) or clean(error.message)
    if 300 <= error.status_code < 400:
        parts = urlsplit(response.headers.get("location", ""))
        told = clean(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "elsewhere")
    return Fault(error.status_code, told, _words(body), after=response.headers.get("retry-after"))


def fault_in(reply: object) -> Fault | None:
    """What the body of a 200, or its first choice, says is wrong; None where it says nothing of the kind."""
    body = cast("Mapping[str, Any]", getattr(reply, "model_extra", None) or {})
    choices = getattr(reply, "choices", None)
    choice: Any = choices[0] if isinstance(choices, list) and choices else None
    inside = getattr(choice, "error", None)
    ended = getattr(choice, "finish_reason", None) == "error"
    if inside or ended:
        error = inside or body.get("error") or {}
    elif body.get("error") or (choice is None and _says_something(body)):
        error = body
    else:
        return None
    said = {"error": error}
    status = next(_statuses(said), 0)
    return Fault(status, _told(said) or "it does not say which", _words(said), in_body=True)


def filtered_finish(choice: object) -> str | None:
    """The reason why a choice ended, if it is that a content filter blocked it."""
    for name in ("finish_reason", "native_finish_reason"):
        reason = getattr(choice, name, None)
        if isinstance(reason, str) and _FILTERED_FINISH.search(reason):
            return clean(reason)
    return None


def blocked(fault: Fault) -> Failure:
    return Failure("filtered", f"The server's content filter blocked it: {fault.told}")


def _says_something(body: Mapping[str, Any]) -> bool:
    """Whether a body without a choice has a text or a code of an error."""
    return bool(_told(body) or next(_statuses(body), 0) or _FILTER.search(_words(body)))


def _statuses(value: object, depth: int = 0) -> Iterator[int]:
    """What stands in the places of statuses and may be one, the outermost first."""
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


def _told(body: object) -> str:
    """The text of an error, on one line; empty where there is none."""
    if isinstance(body, str):
        return clean(body)
    if isinstance(body, list) and body:
        return clean(str(cast("list[object]", body)))
    if not isinstance(body, Mapping):
        return ""
    fields = cast("Mapping[str, object]", body)
    for name in (*_NESTED, *_TEXTS):
        if (found := fields.get(name)) and (told := _told(found)):
            return told
    return ""


def _words(value: object, depth: int = 0) -> str:
    """Names of fields, codes and texts, without what only repeats what was sent."""
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
