"""An answer against the texts it should be: token F1, exact match, and target strings.

Token F1 and exact match are SQuAD's (Rajpurkar et al. 2016, arXiv 1606.05250; the official script of v2.0).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from jurat.metrics.normalise import normalised, without_end_marks
from jurat.metrics.vqa import vqa_accuracy

if TYPE_CHECKING:
    from jurat.metrics.metric_rows import MetricRows
    from jurat.metrics.metric_value import MetricValue

Mode = Literal["exact", "prefix", "contains"]
Part = Literal["reply", "first_line"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised_answer(text: str) -> str:
    """SQuAD's normal form: lower case, without ASCII punctuation and English articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(answer: str, answers: Sequence[str]) -> float:
    """F1 of the tokens shared with the best of the accepted answers, in [0, 1]; two empty texts agree."""
    said = normalised_answer(answer).split()
    return max(_f1(said, each.split()) for each in _accepted(answers))


def _accepted(answers: Sequence[str]) -> list[str]:
    """The accepted answers in normal form; as in the script, empty ones only where there is no other."""
    return [text for text in map(normalised_answer, answers) if text] or [""]


def _f1(said: list[str], true: list[str]) -> float:
    if not said or not true:
        return float(said == true)
    common = sum((Counter(said) & Counter(true)).values())
    return 2 * common / (len(said) + len(true))


def exact_match(answer: str, answers: Sequence[str]) -> bool:
    """Whether it is one of the accepted answers, in SQuAD's normal form."""
    return normalised_answer(answer) in _accepted(answers)


def matches_target(answer: str, target: str, mode: Mode, *, fold: bool = True, words: bool = False) -> bool:
    """Whether the answer is, starts with or contains the target, both `normalised`.

    Under "contains" a refusal that quotes the target matches too; an empty target matches any answer.

    Args:
        mode: "exact" leaves out punctuation at the end, and quotation marks around the whole.
        fold: compares without regard to case.
        words: "contains" and "prefix" match whole words only: "cat" is not in "category".
    """
    text, target = normalised(answer, fold=fold), normalised(target, fold=fold)
    if mode == "exact":
        return text == target or without_end_marks(text) == (without_end_marks(target) or target)
    if not words:
        return text.startswith(target) if mode == "prefix" else target in text
    pattern = rf"(?<!\w){re.escape(target)}(?!\w)"
    return bool(re.match(pattern, text) if mode == "prefix" else re.search(pattern, text))


def mean_token_f1(rows: MetricRows) -> MetricValue:
    """Mean of `token_f1` over the rows."""
    return rows.mean([token_f1(a, b) for a, b in zip(rows["answer"], rows["answers"], strict=True)])


def mean_vqa_accuracy(rows: MetricRows) -> MetricValue:
    """Mean VQA accuracy over the rows."""
    scores = [vqa_accuracy(a, b) for a, b in zip(rows["answer"], rows["answers"], strict=True)]
    return rows.mean(np.array(scores, float))


def exact_match_rate(rows: MetricRows) -> MetricValue:
    """Share of the rows with an exact match."""
    return rows.rate([int(exact_match(a, b)) for a, b in zip(rows["answer"], rows["answers"], strict=True)])


def string_match_rate(rows: MetricRows, mode: Mode, part: Part) -> MetricValue:
    """Share of the answers that match one of their target strings, of which empty ones are passed over."""
    targets = [[target for target in each if target.strip()] for each in rows["targets"]]
    rows = rows.select([bool(each) for each in targets], "empty targets")
    answers = [answer if part == "reply" else _first_line(answer) for answer in rows["answer"]]
    hits = [
        int(any(matches_target(answer, target, mode) for target in each))
        for answer, each in zip(answers, filter(None, targets), strict=True)
    ]
    return rows.rate(hits, notes=[f"Matched: the {part.replace('_', ' ')}, by {mode}."])


def _first_line(text: str) -> str:
    """The first line that is not blank."""
    return next((line for line in text.splitlines() if line.strip()), "")
