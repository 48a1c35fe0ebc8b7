"""How unlike each other the requests of a set are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from jurat.benchmarks.building.filters import overlap, tokens
from jurat.metrics.captions import tokens as words_of

_MOST_TEXTS = 200
"""Texts that self-BLEU compares; of more, this many are drawn."""
_MOST_PAIRS = 200_000
ORDERS = (1, 2, 3)


def diversity(texts: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Numbers of diversity; None with a reason where one is not available.

    `distinct_1` to `distinct_3`: different n-grams of all texts / n-grams of all texts (Li et al. 2016,
    arXiv:1510.03055). `self_bleu`: mean of sacrebleu's sentence BLEU of each text against all others, in
    [0, 100], lower is more diverse (Zhu et al. 2018, arXiv:1802.01886). `mean_overlap`: mean Jaccard index of
    the words of two texts, in [0, 1].
    """
    found: dict[str, Any] = {"texts": len(texts)}
    for n in ORDERS:
        found[f"distinct_{n}"] = _rounded(distinct(texts, n))
    found["mean_overlap"] = _rounded(_mean_overlap(texts, seed))
    return found | _self_bleu(texts, seed)


def distinct(texts: Sequence[str], n: int) -> float | None:
    """Different n-grams / n-grams; None where there is none."""
    grams = [
        tuple(words[start : start + n])
        for words in map(words_of, texts)
        for start in range(len(words) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else None


def _mean_overlap(texts: Sequence[str], seed: int) -> float | None:
    sets = [tokens(text) for text in texts]
    pairs = len(sets) * (len(sets) - 1) // 2
    if not pairs:
        return None
    if pairs <= _MOST_PAIRS:
        return float(np.mean([overlap(a, b) for a, b in combinations(sets, 2)]))
    rng = np.random.default_rng(seed)
    first = rng.integers(len(sets), size=_MOST_PAIRS)
    second = (first + rng.integers(1, len(sets), size=_MOST_PAIRS)) % len(sets)
    return float(np.mean([overlap(sets[a], sets[b]) for a, b in zip(first, second, strict=True)]))


def _self_bleu(texts: Sequence[str], seed: int) -> dict[str, Any]:
    if len(texts) < 2:
        return {"self_bleu": None, "self_bleu_reason": "there are fewer than two texts"}
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ModuleNotFoundError:
        return {"self_bleu": None, "self_bleu_reason": 'it needs sacrebleu: pip install "jurat[eval]"'}
    if len(texts) > _MOST_TEXTS:
        drawn = np.random.default_rng(seed).choice(len(texts), _MOST_TEXTS, replace=False)
        texts = [texts[int(at)] for at in sorted(drawn)]
    bleu: Any = BLEU(effective_order=True)
    scores = [
        bleu.sentence_score(text, [*texts[:at], *texts[at + 1 :]]).score for at, text in enumerate(texts)
    ]
    return {"self_bleu": round(float(np.mean(scores)), 2), "self_bleu_texts": len(texts)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
