"""VQA accuracy of Antol et al. 2015 and Goyal et al. 2017, as the authors' script computes it
(GT-Vision-Lab/VQA, `vqaEval.py`, commit a013f00).

The script differs from the formula on the authors' page, min(people who gave the answer / 3, 1): each person
is compared with the others only, and answers are normalised only where the people do not all agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_MOST_PERIODS = 32
"""The script passes `re.UNICODE`, 32, where `re.sub` takes the number of replacements."""
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBERS)}
_ARTICLES = frozenset({"a", "an", "the"})


def vqa_accuracy(answer: str, references: Sequence[str]) -> float | None:
    """Agreement of an answer with those of several people, ten in VQAv2: for each person min(1, k / 3),
    where k of the others gave this answer; and the mean over the people.

    Args:
        answer: the model's, short; it counts only where it is equal to a reference after `normalize_answer`.
        references: one for each person, equal ones among them.

    Returns:
        0 to 1; None where there are no references.
    """
    if not references:
        return None
    given, said = [_one_line(text) for text in references], _one_line(answer)
    if len(set(given)) > 1:
        given, said = [normalize_answer(text) for text in given], normalize_answer(said)
    equal = [text == said for text in given]
    return sum(min(1.0, (sum(equal) - same) / 3) for same in equal) / len(equal)


def normalize_answer(text: str) -> str:
    """Text as the authors' script compares it: in lower case, without punctuation and articles, with number
    words as digits and with the apostrophes of contractions.

    A punctuation mark is dropped where it stands beside a space anywhere in the text, or where the text has a
    number with a comma; else it becomes a space.
    """
    words = (_DIGITS.get(word, word) for word in without_punctuation(text).lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def without_punctuation(text: str) -> str:
    """Text without punctuation, as the authors' script removes it; periods before a digit stay."""
    number = _COMMA_IN_NUMBER.search(text) is not None
    cleaned = text
    for mark in _PUNCTUATION:
        dropped = number or f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if dropped else " ")
    return _PERIOD.sub("", cleaned, count=_MOST_PERIODS)


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _contractions() -> Iterator[tuple[str, str]]:
    """Words that lack an apostrophe, with the word that has it. The script knows these and no others ("wed"
    and "ill" are words of their own); those that it writes in upper case never match and are left out."""
    not_have = "could had might should would"
    for stem in f"ai are ca did does do has have is must need ought sha was were wo {not_have}".split():
        yield f"{stem}nt", f"{stem}n't"
    for stem in not_have.split():
        yield f"{stem}n'tve", f"{stem}n't've"
        yield f"{stem}nt've", f"{stem}n't've"
    for end, stems in {
        "ve": "could might must not should they we what where who would you",
        "d": "he how it someone something there they where who you",
        "ll": "how it somebody someone something they what who why you",
        "s": "he how somebody someone that there what when where who why",
        "re": "there they what why you",
    }.items():
        for stem in stems.split():
            yield f"{stem}{end}", f"{stem}'{end}"
    persons = "he it she somebody someone something there they we who you y'all"
    for stem in persons.split():
        yield f"{stem}'dve", f"{stem}'d've"
        yield f"{stem}d've", f"{stem}'d've"
    yield from {"maam": "ma'am", "oclock": "o'clock", "twas": "'twas", "yall": "y'all"}.items()
    yield from {"yall'll": "y'all'll", "y'allll": "y'all'll", "yall'd've": "y'all'd've"}.items()
    yield from {"ow's'at": "'ow's'at", "'ows'at": "'ow's'at", "'ow'sat": "'ow's'at"}.items()
    yield "somebody'd", "somebodyd"


_CONTRACTIONS = dict(_contractions())
