"""The cost of verdicts: each item pays for its own calls and a share of the priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from io import BytesIO
from threading import Barrier, Lock
from typing import Any

import pytest

from jurat.constitution import Constitution, Rule
from jurat.content import Chat, Failure, Item, Reply, Usage
from jurat.judge import Judge, Preset
from jurat.judge.decision import LogOdds
from jurat.judge.stages import Quick, Reason
from jurat.models import Answer, ConcurrencySupport, Inquiry, UsageMeter
from jurat.models.capabilities import TotalUsage

from .scripted import Scripted, white


class Priced(Scripted):
    """A model of which a question costs 2, and a reply 3."""

    def __init__(self, replies: Mapping[str, Any] | None = None) -> None:
        super().__init__({}, replies or {})
        self.money, self._counting = 0.0, Lock()

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [
            replace(answer, usage=self._priced(answer.usage, 2 * len(inquiry.questions)))
            for answer, inquiry in zip(super().ask(inquiries), inquiries, strict=True)
        ]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return [replace(reply, usage=self._priced(reply.usage, 3)) for reply in super().chat(chats)]

    def _priced(self, usage: Usage, money: float) -> Usage:
        with self._counting:
            self.money += money
        return replace(usage, money=money)

    @property
    def spent(self) -> TotalUsage:
        return TotalUsage(1, Usage(1, 1, money=self.money))

    def capability(self, kind: type) -> Any:
        return self if kind is UsageMeter else None


class Unpriced(Scripted):
    spent = TotalUsage(1, Usage(1, 1))

    def capability(self, kind: type) -> Any:
        return self if kind is UsageMeter else None


class Concurrent(Priced):
    """A model of which four calls are always under way at once."""

    lanes = 4

    def __init__(self) -> None:
        super().__init__()
        self._together = Barrier(4, timeout=20)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        self._together.wait()
        answers = super().ask(inquiries)
        self._together.wait()
        return answers

    def at_work(self) -> AbstractContextManager[None]:
        return nullcontext()

    def capability(self, kind: type) -> Any:
        return self if kind in (ConcurrencySupport, UsageMeter) else None


CONSTITUTION = Constitution(
    name="law",
    rules=(Rule(id="r", rule="No.", clauses=("A.", "B.")),),  # pyright: ignore[reportArgumentType]
)


def items(count: int) -> list[Item]:
    stream = BytesIO()
    white().save(stream, "PNG")
    return [Item([stream.getvalue], str(n)) for n in range(count)] + [Item([lambda: b"no image"], "bad")]


def test_items_pay_their_calls_and_a_share_of_priors() -> None:
    model = Priced()
    judge = Judge(CONSTITUTION, model, Preset("p", decision=LogOdds(debias=0.5)), batch_size=4)
    dollars = [verdict.cost.dollars for verdict in judge.stream(items(6))]
    assert dollars == pytest.approx([5, 5, 5, 5, 4, 4, 0]), "the prior's four are the first batch's"
    assert sum(d or 0 for d in dollars) == model.money


def test_concurrent_batches_pay_only_their_own_calls() -> None:
    model = Concurrent()
    verdicts = list(Judge(CONSTITUTION, model, Preset("p"), batch_size=1).stream(items(8)[:8]))
    assert [verdict.cost.dollars for verdict in verdicts] == [4] * 8
    assert model.money == 32


def test_reasoning_and_failed_answers_cost_money() -> None:
    model = Priced({"A.": ["Hm.", '{"rating": "No"}'], "B.": Failure("refused", "No.")})
    verdict = Judge(CONSTITUTION, model, Preset("p", stages=(Quick(), Reason())))(white())
    assert verdict.cost.dollars == model.money > 4


def test_cost_is_null_without_prices() -> None:
    for model in (Scripted({}), Unpriced({})):
        assert Judge(CONSTITUTION, model, Preset("p"))(white()).cost.dollars is None
