"""What verdicts cost: the money of a model's calls, shared out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jurat.constitution import Constitution, Rule
from jurat.content import Item, Usage
from jurat.judge import Judge, Preset
from jurat.models import Answer, Inquiry, UsageMeter
from jurat.models.protocol import Spent

from .scripted import Scripted, white


class Priced(Scripted):
    """A model of which a question costs 2."""

    money = 0.0

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        self.money += 2 * sum(len(inquiry.questions) for inquiry in inquiries)
        return super().ask(inquiries)

    @property
    def spent(self) -> Spent:
        return Spent(1, Usage(1, 1, money=self.money))

    def capability(self, kind: type) -> object:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self if kind is UsageMeter else None


class Unpriced(Priced):
    @property
    def spent(self) -> Spent:
        return Spent(1, Usage(1, 1))


LAW = Constitution(
    name="law",
    rules=(Rule(id="r", rule="No.", clauses=("A.", "B.")),),  # pyright: ignore[reportArgumentType]
)


def items(count: int) -> list[Item]:
    from io import BytesIO

    stream = BytesIO()
    white().save(stream, "PNG")
    return [Item(str(n), "", stream.getvalue) for n in range(count)] + [Item("bad", "", lambda: b"no image")]


def test_money_is_shared_out_by_tokens_and_nothing_is_lost() -> None:
    model = Priced({})
    verdicts = list(Judge(LAW, model, Preset("p", "", debias=0.5), batch_size=4).stream(items(6)))
    dollars = [verdict.cost.dollars for verdict in verdicts]
    assert None not in dollars
    assert sum(d or 0 for d in dollars) == pytest.approx(model.money)
    assert dollars[-1] == 0
    assert dollars[4] == dollars[5] == pytest.approx(4)
    assert dollars[0] == pytest.approx(5), "the prior's four are the first batch's"


def test_without_prices_there_is_no_money() -> None:
    for model in (Scripted({}), Unpriced({})):
        assert Judge(LAW, model, Preset("p", ""))(white()).cost.dollars is None
