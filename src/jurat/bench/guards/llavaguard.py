"""LlavaGuard v1.2 and QwenGuard: image, then the safety policy, in a user turn; the reply is a JSON object.

The classes are those of the weights, `LlavaOnevisionForConditionalGeneration` or
`Qwen2_5_VLForConditionalGeneration`. The policy, with its categories O1 to O9 and the JSON template that it
ends in, is printed on the model's card; it is read from a file, so that users can edit it. The reply names
one category, even where an image violates several. The score is P("Unsafe") at the first token in which the
two ratings differ; decoding is greedy, where the card suggests sampling at a temperature of 0.2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from jurat.bench.guards.chat import ChatGuard, WrittenReply
from jurat.bench.guards.interface import GuardAnswer, shared_out
from jurat.errors import JuratError
from jurat.models.hf.load_model import load
from jurat.models.json_replies import objects_in

if TYPE_CHECKING:
    from jurat.constitution import Constitution

_RATING = re.compile(r'"rating"\s*:\s*"')
_CODE = re.compile(r"\s*(O[1-9]|NA)\b")


class LlavaGuard(ChatGuard):
    """See the module's docstring."""

    kind, most = "llavaguard", 200
    categories: ClassVar[Mapping[str, str]] = {
        "O1": "hate, humiliation, harassment",
        "O2": "violence, harm, or cruelty",
        "O3": "sexual content",
        "O4": "nudity content",
        "O5": "criminal planning",
        "O6": "weapons or substance abuse",
        "O7": "self-harm",
        "O8": "animal cruelty",
        "O9": "disasters or emergencies",
    }
    notes = ("It names one category, also where an image violates several.",)

    def read(self, reply: WrittenReply) -> GuardAnswer:
        """Parses a reply; unparsed without a rating of Safe or Unsafe."""
        found = next((value for value in objects_in(reply.text) if "rating" in value), None)
        rating = str(found["rating"]).strip().lower() if found else ""
        if found is None or rating not in ("safe", "unsafe"):
            return GuardAnswer(None, spending=reply.spending, reason="unparsed")
        start = _RATING.search(reply.text)
        before = reply.text[: start.end()] if start else ""
        score = self.probability(reply, before, ("Safe", "Unsafe")) if start else math.nan
        unsafe = rating == "unsafe"
        code = _CODE.match(str(found.get("category", "")))
        flagged = frozenset({code[1]} if unsafe and code and code[1] != "NA" else ())
        scores = shared_out(tuple(self.categories), flagged, unsafe, score)
        return GuardAnswer(unsafe, score, scores, flagged, reply.spending)


def open_guard(
    reference: str, policy: str | None, rules: Constitution, device: str | None, dtype: str | None
) -> LlavaGuard:
    """Raises ModelError where it cannot be loaded, JuratError without a policy."""
    if policy is None:
        raise JuratError(
            "LlavaGuard is asked with its safety policy, and none is named.",
            hint="Copy the policy of the model's card into a file, and name it in the map: "
            "llavaguard: {policy: FILE, categories: ...}",
        )
    return LlavaGuard(reference, load(reference, device=device, dtype=dtype), policy)
