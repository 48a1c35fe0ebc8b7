"""Judgements, and the base of scorers."""

from typing import ClassVar

import pytest

from jurat.errors import JuratError
from jurat.scorers import Judgement, ReplyScorer

from .answers import answered


@pytest.mark.parametrize(("state", "label"), [("scored", None), ("unparsed", "safe"), ("refused", "safe")])
def test_only_a_scored_judgement_has_a_label(state, label):
    with pytest.raises(ValueError, match=f"A judgement with the state '{state}' cannot have the label "):
        Judgement(state, label)


class Fragile(ReplyScorer):
    name, labels, positive = "fragile@1", ("long", "short"), "long"

    def judge(self, answered):
        if answered.reply.text == "raise":
            raise KeyError("lost")
        if answered.reply.text == "say":
            raise JuratError("The file is gone.")
        return self.scored(answered.reply.text)


def test_one_reply_that_makes_a_scorer_fail_leaves_the_others():
    found = Fragile().score([answered(text) for text in ("long", "raise", "say", "medium", "short")])
    assert [(one.label, one.reason) for one in found] == [
        ("long", ""),
        (None, "The scorer failed: KeyError: 'lost'"),
        (None, "The file is gone."),
        (None, "The scorer failed: ValueError: fragile@1 has no label 'medium'"),
        ("short", ""),
    ]
    assert {one.state for one in found if one.label is None} == {"error"}


def test_no_replies_give_no_judgements():
    assert Fragile().score([]) == []


def test_replies_are_judged_in_batches_and_keep_their_order():
    class Batches(Fragile):
        batch_size = 3
        sizes: ClassVar[list[int]] = []

        def judge_all(self, answered):
            self.sizes.append(len(answered))
            return super().judge_all(answered)

    texts = ["long", "", "short", "long", "short", " ", "long", "short", "short"]
    found = Batches().score([answered(text) for text in texts])
    assert [one.label for one in found] == [text.strip() or None for text in texts]
    assert Batches.sizes == [3, 3, 1]
