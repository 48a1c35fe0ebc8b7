"""Replies whose whole text is known beforehand, cut as decoding settings say."""

from __future__ import annotations

import re

from jurat.content import Generation, Reply, Usage


def cut_reply(text: str, settings: Generation, *, input_tokens: int = 0) -> Reply:
    """The text up to the first stop text, at most `max_tokens` words of it; a word counts as a token."""
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    is_whole = len(ends) <= settings.max_tokens
    kept = text if is_whole else text[: ends[settings.max_tokens - 1]]
    cut = min((at for stop in settings.stop if (at := kept.find(stop)) >= 0), default=None)
    ended = cut is not None or is_whole
    usage = Usage(input_tokens=input_tokens, output_tokens=len(kept[:cut].split()))
    return Reply(kept[:cut].rstrip(), usage, finish="stop" if ended else "length")
