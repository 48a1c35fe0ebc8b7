"""ShieldGemma 2 (4B): `ShieldGemma2ForImageClassification` with its own processor, one query a policy.

`probabilities[:, 0]` is P(Yes), and Yes means that the image violates the policy; the class's docstring names
the other column. `shieldgemma2` asks about the policies of the processor, `shieldgemma2-rules` about the
user's rules, given as custom policies, which its authors did not test.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jurat.bench.cost import Spending, flops, sizes_of
from jurat.bench.guards.chat import each
from jurat.bench.guards.interface import GuardAnswer
from jurat.models.hf.load_model import LoadedModel, load

if TYPE_CHECKING:
    from PIL import Image

    from jurat.constitution import Constitution

_CUT = 0.5
_BUILT_IN = "The score is P(Yes) of the raw token, cut at one half."
_CUSTOM = "Its authors did not test policies other than its three."


class ShieldGemma2:
    """See the module's docstring."""

    def __init__(self, name: str, loaded: LoadedModel, rules: Mapping[str, str] | None = None) -> None:
        """`rules`: id -> text of the policies to ask about instead of its own."""
        self.kind = "shieldgemma2" if rules is None else "shieldgemma2-rules"
        self.name, self.revision = name, loaded.full_revision
        self.network, self._processor = loaded.network, loaded.processor
        self._custom = rules
        self.categories: Mapping[str, str] = rules or dict(loaded.processor.policy_definitions)
        self.notes = (_BUILT_IN,) if rules is None else (_BUILT_IN, _CUSTOM)
        self._sizes = sizes_of(self)

    def look(self, images: Sequence[Image.Image]) -> list[GuardAnswer]:
        """See `Guard`."""
        return each(images, self._look)

    def _look(self, image: Image.Image) -> GuardAnswer:
        import torch

        names = list(self.categories)
        custom: dict[str, Any] = {} if self._custom is None else {"custom_policies": dict(self._custom)}
        start = time.perf_counter()
        inputs = self._processor(images=[image.convert("RGB")], policies=names, return_tensors="pt", **custom)
        inputs = inputs.to(self.network.device, dtype=self.network.dtype)
        with torch.inference_mode():
            found = self.network(**inputs).probabilities[:, 0].float().tolist()
        if any(math.isnan(p) for p in found):
            return GuardAnswer(None, reason="error")
        scores = dict(zip(names, found, strict=True))
        read = int(inputs["attention_mask"].sum())
        spent = Spending(len(names), read, seconds=time.perf_counter() - start)
        spent = replace(spent, flops=flops(spent, self._sizes))
        flagged = frozenset(name for name, p in scores.items() if p > _CUT)
        return GuardAnswer(bool(flagged), max(found), scores, flagged, spent)


def open_guard(
    reference: str, policy: str | None, rules: Constitution, device: str | None, dtype: str | None
) -> ShieldGemma2:
    """With its own policies. Raises ModelError where it cannot be loaded."""
    return ShieldGemma2(reference, _load(reference, device, dtype))


def open_with_rules(
    reference: str, policy: str | None, rules: Constitution, device: str | None, dtype: str | None
) -> ShieldGemma2:
    """With the user's rules as custom policies."""
    return ShieldGemma2(reference, _load(reference, device, dtype), {r.id: r.rule for r in rules.rules})


def _load(reference: str, device: str | None, dtype: str | None) -> LoadedModel:
    return load(reference, device=device, dtype=dtype, family="ShieldGemma2ForImageClassification")
