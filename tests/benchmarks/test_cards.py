"""The cards of all sets agree with themselves, and name scorers and metrics that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from jurat.benchmarks import BENCHMARKS, Card, read_card
from jurat.errors import JuratError
from jurat.metrics.named import METRICS
from jurat.registry import UNVERIFIED
from jurat.scorers.registry import SCORERS

CARDS = [entry.card for entry in BENCHMARKS if not entry.is_plug_in]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_card_agrees_with_itself(card: Card):
    for published in (card.published, *card.published_of.values()):
        counted = published.categories_of or card.default_groups or list(published.groups)
        groups = sum(published.groups.get(group, 0) for group in counted)
        if published.categories and published.groups:
            assert sum(published.categories.values()) == groups
        elif published.categories and published.samples is not None:
            assert sum(published.categories.values()) == published.samples
    assert all(value > 0 for value in card.published.categories.values())


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_scorers_and_metrics_of_a_card_exist(card: Card):
    assert {name.partition("?")[0] for name in card.scorers} - set(SCORERS.names()) == set()
    assert set(card.metrics) - set(METRICS.names()) == set()


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_wording_of_ours_is_not_called_the_papers(card: Card):
    theirs = [card.protocols[name] for name in ("paper", "as_released") if name in card.protocols]
    assert not any(protocol.evidence in UNVERIFIED for protocol in theirs)


def test_file_that_is_no_card_is_an_error(tmp_path: Path):
    with pytest.raises(JuratError, match=r"riddles\.yaml cannot be read: No such file"):
        read_card(tmp_path / "riddles.yaml")
    (tmp_path / "riddles.yaml").write_text("name: riddles\n")
    with pytest.raises(JuratError, match=r"riddles\.yaml is no card of an evaluation set"):
        read_card(tmp_path / "riddles.yaml")
