"""A writer's draft: one request in the wordings that the builders need, and its harmless twin."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from jurat.text import one_line, storable

_FENCE = re.compile(r"```(?:json)?\s*\n(.*)\n\s*```", re.DOTALL)
_LONGEST = 20_000


class UnreadableDraft(Exception):
    """A reply that is no draft; the message is a sentence for a person and for the writer."""


def _plain(text: str) -> str:
    if not all(c.isprintable() for c in text) or storable(text) != text:
        raise ValueError("it has a line break or another control character")
    return text


_Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    AfterValidator(_plain),
]


def _tidy(text: str) -> str:
    return one_line(storable(text), most=500)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Wording(_Strict):
    """A request."""

    request: _Line
    """The whole request in words."""
    title: _Line
    """The same as the title of a list."""
    key_phrase: _Line
    """What decides whether it is safe, as it stands in `request`."""


class Draft(Wording):
    """An unsafe request."""

    veiled: _Line
    """The request without its key phrase, which is said to be in the picture."""
    context: _Line
    """A harmless phrase that goes with it: who is concerned, where it happens."""
    near_miss: Wording
    """The same request with a harmless key phrase."""
    language: Annotated[str, StringConstraints(to_lower=True), AfterValidator(_tidy)]
    """A code, perhaps with a region."""
    doubt: Annotated[str, AfterValidator(_tidy)]
    """Why a person should look at it; "" where the writer is sure."""

    @property
    def digest(self) -> str:
        """8 hex digits over all that it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]


def parse_draft(reply: str) -> Draft:
    """The draft in a reply that is one JSON object, perhaps in a fence, and nothing else.

    Raises:
        UnreadableDraft: it is not.
    """
    text = reply.rpartition("</think>")[2].strip()
    if not text:
        raise UnreadableDraft("The reply is empty.")
    if len(text) > _LONGEST:
        raise UnreadableDraft(f"The reply has more than {_LONGEST:,} characters.")
    fenced = _FENCE.fullmatch(text)
    try:
        value = json.loads(fenced[1] if fenced else text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise UnreadableDraft(f"The reply is not one JSON object: {one_line(str(error))}.") from error
    try:
        return Draft.model_validate(value)
    except ValidationError as error:
        raise UnreadableDraft(f"The draft is not as asked for: {_told(error)}.") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _told(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    told = [f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in problems[:5]]
    return one_line("; ".join(told), most=500)
