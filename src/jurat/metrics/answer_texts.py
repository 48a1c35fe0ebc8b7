"""An answer against the texts it should be: token F1, exact match, and target strings.

Token F1 and exact match are SQuAD's (Rajpurkar et al. 2016, arXiv 1606.05250; the official script of v2.0).
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from jurat.metrics.vqa import vqa_accuracy

if TYPE_CHECKING:
    from jurat.metrics.metric_rows import MetricRows
    from jurat.metrics.metric_value import MetricValue

Mode = Literal["exact", "starts-with", "contains"]
Part = Literal["whole", "first-line"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})


def normalised_answer(text: str) -> str:
    """SQuAD's normal form: lower case, without ASCII punctuation and English articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(answer: str, answers: Sequence[str]) -> float:
    """F1 of the tokens in common with the best of the accepted answers, in [0, 1]; two empty texts agree."""
    return max(_f1(normalised_answer(answer).split(), normalised_answer(each).split()) for each in answers)


def _f1(said: list[str], true: list[str]) -> float:
    if not said or not true:
        return float(said == true)
    common = sum((Counter(said) & Counter(true)).values())
    return 2 * common / (len(said) + len(true))


def exact_match(answer: str, answers: Sequence[str]) -> bool:
    """Whether it is one of the accepted answers, in SQuAD's normal form."""
    return normalised_answer(answer) in map(normalised_answer, answers)


def plain_form(text: str) -> str:
    """NFKC, case folded, straight quotes, single spaces, without punctuation at the end."""
    folded = unicodedata.normalize("NFKC", text).translate(_STRAIGHT).casefold()
    return " ".join(folded.split()).rstrip(".!?,;:… ")


def matches_target(answer: str, targets: Sequence[str], mode: Mode, part: Part = "whole") -> bool:
    """Whether the answer is, starts with or contains one of the targets, in their plain forms.

    Under "contains" a refusal that quotes the target matches too.
    """
    if part == "first-line":
        answer = next((line for line in answer.splitlines() if line.strip()), "")
    text = plain_form(answer)
    for target in map(plain_form, targets):
        if mode == "exact" and text == target:
            return True
        if target and (
            (mode == "starts-with" and text.startswith(target)) or (mode == "contains" and target in text)
        ):
            return True
    return False


def mean_token_f1(rows: MetricRows) -> MetricValue:
    """Mean of `token_f1` over the rows."""
    return rows.mean([token_f1(a, b) for a, b in zip(rows["answer"], rows["answers"], strict=True)])


def mean_vqa_accuracy(rows: MetricRows) -> MetricValue:
    """Mean VQA accuracy over the rows."""
    scores = [vqa_accuracy(a, b) for a, b in zip(rows["answer"], rows["answers"], strict=True)]
    return rows.mean([0.0 if score is None else score for score in scores])


def exact_match_rate(rows: MetricRows) -> MetricValue:
    """Share of the rows with an exact match."""
    return rows.rate([int(exact_match(a, b)) for a, b in zip(rows["answer"], rows["answers"], strict=True)])


def string_match_rate(rows: MetricRows, mode: Mode, part: Part) -> MetricValue:
    """Share of the answers that match a target string."""
    rows = rows.select([any(map(plain_form, each)) for each in rows["targets"]], "empty targets")
    hits = [
        int(matches_target(a, b, mode, part)) for a, b in zip(rows["answer"], rows["targets"], strict=True)
    ]
    return rows.rate(hits, notes=[f"The {'whole answer' if part == 'whole' else 'first line'} is matched."])
