"""Captions against references: BLEU-4, ROUGE-L and CIDEr-D of the COCO toolkit, and sacrebleu's BLEU.

The formulas are those of the toolkit's scorers (github.com/tylin/coco-caption), which are small; its
tokenizer is a Java program. `tokens` is close to it and is ours: for numbers that equal the toolkit's, give
texts that it has tokenized, with the option "given".
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.metrics.metric_rows import MetricRows
    from jurat.metrics.metric_value import MetricValue

Tokens = Literal["ptb-like", "given"]
Words = list[str]

ORDERS = 4
"""n-grams from 1 to this."""
BETA = 1.2
"""Weight of recall in ROUGE-L: beta squared times that of precision."""
SIGMA = 6.0
"""Width of CIDEr-D's Gaussian penalty on differences in length, in tokens."""
_SMALL, _TINY = 1e-9, 1e-15
_DROPPED = frozenset(("''", "'", "``", "`", '"', ".", "?", "!", ",", ":", "-", "--", "...", ";"))
_WORD = re.compile(r"n't|'(?:s|m|d|ll|re|ve)\b|\w+(?:[-.,/'&]\w+)*|\.\.\.|--|[^\w\s]")
_CONTRACTION = re.compile(r"(?<=\w)(n't|'(?:s|m|d|ll|re|ve))\b")
_STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}


def tokens(text: str, how: Tokens = "ptb-like") -> Words:
    """Lower-case tokens with contractions split and punctuation dropped; "given": split at white space."""
    if how == "given":
        return text.split()
    split = _CONTRACTION.sub(r" \1", text.lower().translate(_STRAIGHT).replace("cannot", "can not"))
    words: Words = _WORD.findall(split)
    return [_BRACKETS.get(word, word) for word in words if word not in _DROPPED]


def ngrams(words: Words) -> Counter[tuple[str, ...]]:
    """Counts of the n-grams of 1 to `ORDERS` words."""
    return Counter(
        tuple(words[start : start + n]) for n in range(1, ORDERS + 1) for start in range(len(words) - n + 1)
    )


def bleu_counts(answer: Words, references: Sequence[Words]) -> list[int]:
    """What a row adds to BLEU: clipped matches and n-grams of each order, its length, and the closest length
    of a reference, the shorter of two."""
    said = ngrams(answer)
    most: Counter[tuple[str, ...]] = Counter()
    for reference in references:
        most |= ngrams(reference)
    matches = [0] * ORDERS
    for gram, count in (said & most).items():
        matches[len(gram) - 1] += count
    closest = min((abs(len(each) - len(answer)), len(each)) for each in references)[1]
    sizes = [max(0, len(answer) - n + 1) for n in range(1, ORDERS + 1)]
    return [*matches, *sizes, len(answer), closest]


def bleu4(counts: NDArray[Any]) -> float:
    """COCO's BLEU-4 from the summed `bleu_counts`, in [0, 1]: tiny, not 0, where an order has no match."""
    matches, sizes, (length, closest) = counts[:ORDERS], counts[ORDERS:-2], counts[-2:]
    value = float(np.prod((matches + _TINY) / (sizes + _SMALL))) ** (1 / ORDERS)
    ratio = (float(length) + _TINY) / (float(closest) + _SMALL)
    return value * math.exp(1 - 1 / ratio) if length > 0 and ratio < 1 else value * float(length > 0)


def rouge_l(answer: Words, references: Sequence[Words]) -> float:
    """COCO's ROUGE-L, in [0, 1]: F of the best precision and the best recall over the references."""
    common = [_common_length(answer, each) for each in references]
    precision = max(each / max(len(answer), 1) for each in common)
    recall = max(each / max(len(words), 1) for each, words in zip(common, references, strict=True))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common_length(a: Words, b: Words) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        before = row
        row = [0]
        for place, other in enumerate(b, 1):
            row.append(before[place - 1] + 1 if word == other else max(before[place], row[-1]))
    return row[-1]


@dataclass(frozen=True)
class _Vector:
    """The tf-idf weights of a text's n-grams, its norms by order, and its length in bigrams, as released."""

    weights: dict[tuple[str, ...], float]
    norms: NDArray[np.float64]
    length: int


def cider_d(answers: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """CIDEr-D of each answer, in [0, 10]: n-grams weigh by how few of these rows' references hold them.

    Rows are scored against one another, so that scores of two sets, or of a set and a part of it, cannot be
    compared; with one row every weight is 0.
    """
    documents = Counter(gram for texts in references for gram in {g for text in texts for g in ngrams(text)})
    size = math.log(len(references)) if references else 0.0

    def vector(words: Words) -> _Vector:
        counts = ngrams(words)
        weights = {gram: n * (size - math.log(max(1, documents[gram]))) for gram, n in counts.items()}
        squares = np.zeros(ORDERS)
        for gram, weight in weights.items():
            squares[len(gram) - 1] += weight**2
        return _Vector(weights, np.sqrt(squares), sum(n for gram, n in counts.items() if len(gram) == 2))

    return [
        10 * float(np.mean([_similarity(vector(answer), vector(text)) for text in texts]))
        for answer, texts in zip(answers, references, strict=True)
    ]


def _similarity(said: _Vector, true: _Vector) -> float:
    """Clipped cosine, averaged over the orders, with the penalty on the difference in length."""
    products = np.zeros(ORDERS)
    for gram, weight in said.weights.items():
        other = true.weights.get(gram, 0.0)
        products[len(gram) - 1] += min(weight, other) * other
    norms = said.norms * true.norms
    cosines = np.divide(products, norms, out=products, where=norms != 0)
    return float(cosines.mean()) * math.exp(-((said.length - true.length) ** 2) / (2 * SIGMA**2))


def bleu4_coco(rows: MetricRows, tokens: Tokens) -> MetricValue:
    """BLEU-4 of the rows as one corpus."""
    rows, answers, references = _texts(rows, tokens)
    counts = np.array([bleu_counts(a, b) for a, b in zip(answers, references, strict=True)], float)
    return _corpus(rows, counts, bleu4, {})


def bleu_sacrebleu(rows: MetricRows) -> MetricValue:
    """sacrebleu's corpus BLEU with its defaults, in [0, 100]."""
    from sacrebleu.metrics.bleu import BLEU

    if not rows.n:
        return rows.value(None)
    bleu: Any = BLEU()
    pairs = list(zip(rows["answer"], rows["references"], strict=True))
    scores = [bleu.corpus_score([answer], [[text] for text in texts]) for answer, texts in pairs]
    counts = np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in scores], float)

    def score(sums: NDArray[Any]) -> float:
        correct, total = sums[:ORDERS].astype(int).tolist(), sums[ORDERS:-2].astype(int).tolist()
        found: Any = BLEU.compute_bleu(correct, total, int(sums[-2]), int(sums[-1]), smooth_method="exp")
        return float(found.score)

    numbers = {len(texts) for _, texts in pairs}
    parts = {"signature": f"nrefs:{numbers.pop() if len(numbers) == 1 else 'var'}|{_signature(bleu)}"}
    return _corpus(rows, counts, score, parts)


def _signature(bleu: Any) -> str:
    """sacrebleu's signature without the number of references, which is that of one row."""
    return str(bleu.get_signature()).partition("|")[2]


def _corpus(
    rows: MetricRows, counts: NDArray[Any], score: Callable[[NDArray[Any]], float], parts: dict[str, Any]
) -> MetricValue:
    """A score of the rows' summed counts."""
    if not rows.n:
        return rows.value(None)
    if counts[:, -2].sum() == 0:
        return rows.value(None, reason="every answer is empty")
    sums = counts.sum(0)
    parts |= {"answer tokens": int(sums[-2]), "reference tokens": int(sums[-1])}
    return rows.value(
        score(sums), statistic=lambda w: score(w @ counts) if (w @ counts)[-2] else math.nan, parts=parts
    )


def rouge_l_coco(rows: MetricRows, tokens: Tokens) -> MetricValue:
    """Mean ROUGE-L of the rows."""
    rows, answers, references = _texts(rows, tokens)
    return rows.mean([rouge_l(a, b) for a, b in zip(answers, references, strict=True)])


def cider_d_coco(rows: MetricRows, tokens: Tokens) -> MetricValue:
    """Mean CIDEr-D of the rows; the interval takes the weights of the n-grams as fixed."""
    rows, answers, references = _texts(rows, tokens)
    if rows.n < 2:
        return rows.value(None, reason="n-grams are weighed by how many rows hold them: that takes two rows")
    return rows.mean(cider_d(answers, references))


def _texts(rows: MetricRows, how: Tokens) -> tuple[MetricRows, list[Words], list[list[Words]]]:
    """The rows with a reference that is not empty, their answers and references in tokens."""
    references = [[words for text in texts if (words := tokens(text, how))] for texts in rows["references"]]
    rows = rows.select([bool(each) for each in references], "empty references")
    return rows, [tokens(text, how) for text in rows["answer"]], [each for each in references if each]
