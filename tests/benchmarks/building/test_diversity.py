"""Diversity of texts, computed by hand and by sacrebleu."""

from __future__ import annotations

import pytest
import sacrebleu

from jurat.benchmarks.building.diversity import distinct, diversity

TEXTS = ["the red pot", "the red cup", "a blue jug"]


def test_distinct_n_counts_different_ngrams():
    """By hand: 7 different words of 9; "the red" occurs twice among 6 pairs."""
    assert distinct(TEXTS, 1) == pytest.approx(7 / 9)
    assert distinct(TEXTS, 2) == pytest.approx(5 / 6)
    assert distinct(["one"], 2) is None


def test_mean_overlap_is_over_all_pairs():
    """By hand: the first two share 2 of 4 words, the others none."""
    assert diversity(TEXTS)["mean_overlap"] == pytest.approx((0.5 + 0 + 0) / 3, abs=1e-4)
    assert diversity(["the pot", "The pot!"])["mean_overlap"] == 1


def test_self_bleu_is_the_mean_of_sacrebleus_sentence_scores():
    scores = [
        sacrebleu.sentence_bleu(
            text, [other for other in TEXTS if other != text], use_effective_order=True
        ).score
        for text in TEXTS
    ]
    assert diversity(TEXTS)["self_bleu"] == pytest.approx(sum(scores) / 3, abs=0.01)


@pytest.mark.parametrize("texts", [[], ["one pot"]])
def test_diversity_of_fewer_than_two_texts_is_not_available(texts: list[str]):
    found = diversity(texts)
    assert (found["self_bleu"], found["mean_overlap"]) == (None, None)
    assert found["self_bleu_reason"] == "there are fewer than two texts"
