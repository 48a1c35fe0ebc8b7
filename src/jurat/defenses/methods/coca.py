"""CoCA, constitutional calibration: Gao et al. 2024, "CoCA: regaining safety-awareness of multimodal large
language models with constitutional calibration" (arXiv 2409.11365).

A model is given each conversation with a safety principle and without it. What the principle changes in the
logits of the next token, z_with - z_without, is amplified:

    z' = z_with + alpha (z_with - z_without)

alpha = 0 is the model with the principle in its prompt, alpha = -1 the model without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from jurat.content import Chat, Reply
from jurat.defenses.methods.prompts import Placement, SystemPrompt
from jurat.defenses.procedure import Steps
from jurat.models import Answer, ChatPair, Inquiry, PairedDecoding, PairReply, YesNo
from jurat.named_settings import setting

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Coca"]


@dataclass(frozen=True)
class Coca(SystemPrompt):
    """See the module's docstring. Closed questions are asked with and without the principle, and the same
    formula is applied to the log-odds of Yes against No; the probability of both together stays that with the
    principle.

    Raises:
        JuratError: there is no such variant.
    """

    name: ClassVar[str] = "coca"
    needs: ClassVar[tuple[str | type, ...]] = ("chat", PairedDecoding)

    variant: str = setting("principle", "ours", "Wording of the shelf that is the principle.")
    placement: Placement = setting("system", "ours", "Where it stands: system, before or after.")
    alpha: Annotated[float, Field(ge=-1, allow_inf_nan=False)] = setting(
        4.0, "third party", "How much what the principle changes is amplified; 0 is the principle alone."
    )
    plausible: Annotated[float, Field(ge=0, le=1)] = setting(
        0.1, "ours", "Least share of the largest probability under the principle that a token must have."
    )

    def chat(self, chat: Chat) -> Steps[Reply]:
        made: PairReply = yield ChatPair(self.shown(chat), chat, self.combine)
        return made.reply

    def ask(self, inquiry: Inquiry) -> Steps[Answer]:
        both: list[Answer] = yield [self.asked(inquiry), inquiry]
        told, plain = both
        failed = next((answer for answer in both if answer.failure is not None), None)
        if failed is not None:
            return failed
        pairs = zip(told.answers, plain.answers, strict=True)
        return replace(told, answers=tuple(self._answer(*pair) for pair in pairs))

    def combine(self, told: Tensor, plain: Tensor) -> Tensor:
        """The calibrated logits (rows, vocabulary); -inf for tokens that are not plausible."""
        made = told + self.alpha * (told - plain)
        made = made.where(~(told.isinf() | plain.isinf()), told)  # tokens that the model itself rules out
        if not self.plausible:
            return made
        least = told.amax(-1, keepdim=True) + math.log(self.plausible)
        return made.masked_fill(told < least, -math.inf)

    def _answer(self, told: YesNo, plain: YesNo) -> YesNo:
        if told.failure is not None or plain.failure is not None:
            return told if told.failure is not None else plain
        odds = told.log_odds + self.alpha * (told.log_odds - plain.log_odds)
        yes = told.mass * (1 + math.tanh(odds / 2)) / 2
        return replace(told, yes=yes, no=told.mass - yes)
