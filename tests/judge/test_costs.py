"""What verdicts cost: thresholds from severities, and money from calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.constitution import Constitution, Rule
from jurat.constitution.model import Severity
from jurat.images import Item
from jurat.judge import PRESETS, Judge, Preset, verdict_to_row
from jurat.judge.calibration import Bounds, Calibration
from jurat.judge.case import Thresholds
from jurat.judge.costs import COSTS, REVIEW, costs_of
from jurat.models import Answer, Inquiry, Metered, Usage
from jurat.models.base import Spent

from .scripted import WHOLE, Scripted, white

PRESET = Preset("costly", "costs", costs=True)


def rule(severity: str | None = None, **given: float) -> Rule:
    return Rule(id="r", rule="No.", clauses=("A.",), severity=severity, **given)  # pyright: ignore[reportArgumentType]


def test_every_severity_has_its_costs() -> None:
    assert tuple(COSTS) == get_args(Severity)
    assert costs_of(None) == COSTS["medium"]
    kept = [cost.keep_below for cost in COSTS.values()]
    assert kept == sorted(kept, reverse=True), "the graver, the less is called kept"
    for cost in COSTS.values():
        assert 0 < cost.keep_below <= cost.break_above < 1


def test_those_of_medium_are_the_defaults_own() -> None:
    jurat = PRESETS["jurat"]
    cost = COSTS["medium"]
    assert (cost.keep_below, cost.break_above) == pytest.approx((jurat.keep_below, jurat.break_above))


@given(st.floats(0, 1), st.sampled_from([None, *COSTS]))
def test_each_outcome_is_the_cheapest(p: float, severity: str | None) -> None:
    cost = costs_of(severity)
    expected = {
        "holds": cost.false_alarm * (1 - p),
        "fails": cost.miss * p,
        "undecided": REVIEW,
    }
    outcome = Thresholds.of(rule(severity), PRESET).decide(p)
    assert expected[outcome] <= min(expected.values()) + 1e-9


def test_a_users_own_thresholds_win_and_a_calibrations_too() -> None:
    own = rule("critical", keep_below=0.3, break_above=0.7)
    assert Thresholds.of(own, PRESET) == Thresholds(0.3, 0.7)
    assert Thresholds.of(rule("critical", break_above=0.9), PRESET) == Thresholds(0.05, 0.9)
    fitted = Calibration(
        model="m", constitution="c", prompts="p", jurat="0", images=1, images_digest="", debias=0.0,
        shifts={},
        rules={"r": Bounds(keep_below=0.1, break_above=0.8)},
    )  # fmt: skip
    assert Thresholds.of(rule("critical"), PRESET, fitted) == Thresholds(0.1, 0.8)
    assert Thresholds.of(rule("critical"), Preset("free", "")) == Thresholds(0.2, 0.8)


@pytest.mark.parametrize(
    ("severity", "outcome"),
    [("low", "kept"), ("medium", "undecided"), ("high", "undecided"), (None, "undecided")],
)
def test_severity_moves_what_is_decided_and_the_record_says_where_to(
    severity: str | None, outcome: str
) -> None:
    law = Constitution(name="law", rules=(rule(severity),))
    (found,) = verdict_to_row(Judge(law, Scripted({("A.", WHOLE): 0.45}), PRESET)(white()))["rules"]
    assert found["outcome"] == outcome
    assert found["keep_below"] == pytest.approx(costs_of(severity).keep_below)
    assert found["break_above"] == pytest.approx(0.6)


# --- money ---------------------------------------------------------------------------------------


class Priced(Scripted):
    """A model of which a question costs 2."""

    money = 0.0

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        self.money += 2 * sum(len(inquiry.questions) for inquiry in inquiries)
        return super().ask(inquiries)

    @property
    def spent(self) -> Spent:
        return Spent(1, Usage(1, 1), self.money)

    def capability(self, kind: type) -> object:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self if kind is Metered else None


class Unpriced(Priced):
    @property
    def spent(self) -> Spent:
        return Spent(1, Usage(1, 1), None)


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
