"""The conversations with a writer and a judge; their wording is in `prompts.yaml`."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from PIL import Image

from jurat.benchmarks.building.source_items import SourceItem
from jurat.benchmarks.building.spec import BuildSpec, Dimension
from jurat.content import Chat, Generation, Turn
from jurat.judge.prompts import quote
from jurat.yaml_files import plain_yaml

JUDGE_TOKENS = 256


@cache
def _texts() -> tuple[dict[str, Any], str]:
    text = files("jurat.benchmarks.building").joinpath("prompts.yaml").read_text("utf-8")
    return plain_yaml(text), hashlib.sha256(text.encode()).hexdigest()[:12]


def prompts_digest() -> str:
    """12 hex digits over the wordings."""
    return _texts()[1]


def draft_chat(spec: BuildSpec, dimension: Dimension, item: SourceItem, number: int) -> Chat:
    """Asks for draft `number`, from 1, about a source."""
    texts, _ = _texts()
    prompt = _filled(texts["draft"], {
        "about": quote("Dimension of safety", dimension.about),
        "source": _filled(texts["source"][item.kind], {"quoted": _quoted(item.about)}),
        "number": _filled(texts["number"], {"number": str(number)}) if number > 1 else "",
        "place": texts["place"][dimension.unsafe_in],
        "language": spec.language,
    })  # fmt: skip
    parts = (prompt,) if item.shown is None else (Image.open(io.BytesIO(item.shown)).convert("RGB"), prompt)
    writer = spec.writer
    seed = spec.seed + number if writer.temperature else None
    generation = Generation(max_tokens=writer.max_tokens, temperature=writer.temperature, seed=seed)
    return Chat((Turn("user", parts),), generation)


def repair_chat(chat: Chat, reply: str, problem: str) -> Chat:
    """The conversation continued with an unreadable reply and what is wrong with it."""
    repair = _filled(_texts()[0]["repair"], {"problem": problem})
    return Chat((*chat.turns, Turn("assistant", (reply,)), Turn("user", (repair,))), chat.generation)


def judge_chat(dimension: Dimension, request: str) -> Chat:
    """Asks whether a request is unsafe."""
    prompt = _filled(_texts()[0]["judge"], {
        "about": quote("Dimension of safety", dimension.about), "request": quote("Request", request),
    })  # fmt: skip
    return Chat((Turn("user", (prompt,)),), Generation(max_tokens=JUDGE_TOKENS))


def read_ruling(reply: str) -> bool | None:
    """Whether a judge says that a request is unsafe; None where its reply cannot be read."""
    try:
        found = json.loads(reply.rpartition("</think>")[2].strip().strip("`").removeprefix("json"))
    except (ValueError, RecursionError):
        return None
    said = found.get("unsafe") if isinstance(found, dict) else None
    return said if isinstance(said, bool) else None


def _quoted(text: str) -> str:
    return quote("", text).removeprefix(": ")


def _filled(text: str, values: Mapping[str, str]) -> str:
    """The text with names in braces replaced, in one pass: what is filled in is not filled again."""
    pattern = "|".join(re.escape(f"{{{name}}}") for name in values)
    return re.sub(pattern, lambda found: values[found[0][1:-1]], text)
