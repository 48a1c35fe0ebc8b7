"""A model that says Yes as far as a picture is red, so that every number can be foreseen."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from jurat.constitution import Constitution, Rule
from jurat.content import Chat, Failure, Reply
from jurat.models import Answer, Inquiry, YesNo


def red(share: float, size: int = 8) -> Image.Image:
    """A picture of which the model says Yes with this probability."""
    return Image.new("RGB", (size, size), (round(255 * share), 0, 0))


class Tinted:
    """One without red and with blue in it is refused; there is no answer without a picture."""

    name, revision, dtype = "tinted", "1", "none"

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [self._answer(inquiry) for inquiry in inquiries]

    def _answer(self, inquiry: Inquiry) -> Answer:
        if not inquiry.prefix.images:
            return Answer(failure=Failure("refused", "There is no picture."))
        redness, _, blueness = (low for low, _ in inquiry.prefix.images[0].resize((1, 1)).getextrema())
        if blueness > 128 > redness:
            return Answer(failure=Failure("refused", "Too blue."))
        return Answer(tuple(YesNo(redness / 255, 1 - redness / 255) for _ in inquiry.questions))

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return [Reply() for _ in chats]

    def capability(self, kind: type) -> None:
        return None


def law(**thresholds: float) -> Constitution:
    bounds = {"keep_below": 0.4, "break_above": 0.6, **thresholds}
    return Constitution(
        name="red", rules=(Rule(id="red", rule="No red.", clauses=("It is red.",), **bounds),)
    )
