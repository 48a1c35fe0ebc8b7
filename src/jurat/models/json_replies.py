"""JSON in what a chat model replied, wherever it stands in the text."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

_START = re.compile(r'\{\s*"')
_TRIED = 64
"""Places where an object may begin that are looked at. Each is read to the reply's end at most, so that the
time does not grow with the square of a hostile reply's length."""


def objects_in(reply: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Iterator[Any]:
    """The JSON objects of a reply that are not empty, the one that begins last first; they may stand in a
    fence, behind other words, or in each other. `pairs` makes something else of an object's pairs, as
    `object_pairs_hook` does."""
    decoder = json.JSONDecoder(object_pairs_hook=pairs)
    for start in reversed(deque((match.start() for match in _START.finditer(reply)), maxlen=_TRIED)):
        try:
            found, _ = decoder.raw_decode(reply, start)
        except (ValueError, RecursionError):
            continue
        yield found
