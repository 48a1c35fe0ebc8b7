"""What of the drafts is a duplicate, and what a person has to look at."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from jurat.benchmarks.building.draft import Draft, Wording
from jurat.benchmarks.building.spec import BuildSpec
from jurat.benchmarks.building.writing import Written
from jurat.benchmarks.drawing import has_glyph

_ALIKE_PHRASES = 0.6
"""Overlap of key phrases from which on they are taken for the same thing."""
_IN_SCRIPT = 0.9
"""Share of the letters that must be of the spec's script."""


def tokens(text: str) -> frozenset[str]:
    """The distinct words of a text, without case, accents' forms and punctuation."""
    return frozenset(_folded(text).split())


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard's index of two sets of words, in [0, 1]; 0 where both are empty."""
    together = len(one | other)
    return len(one & other) / together if together else 0.0


def duplicates(drafts: Sequence[Written], threshold: float) -> dict[str, str]:
    """Id of each draft that repeats an earlier one, to why. Near duplicates have requests that overlap by
    `threshold` or more, and key phrases that overlap by `_ALIKE_PHRASES`."""
    found: dict[str, str] = {}
    exact: dict[tuple[frozenset[str], frozenset[str]], str] = {}
    kept: list[tuple[str, frozenset[str], frozenset[str]]] = []
    index = _PhraseIndex([each.draft.key_phrase for each in drafts if each.draft])
    for each in drafts:
        if each.draft is None:
            continue
        request, phrase = tokens(each.draft.request), tokens(each.draft.key_phrase)
        if (first := exact.setdefault((request, phrase), each.id)) != each.id:
            found[each.id] = f"its request repeats that of {first}"
            continue
        for id, other_request, other_phrase in (kept[at] for at in index.candidates(phrase)):
            shared = overlap(request, other_request)
            if shared >= threshold and overlap(phrase, other_phrase) >= _ALIKE_PHRASES:
                found[each.id] = (
                    f"its request is a near duplicate of that of {id} ({shared:.2f} of the words)"
                )
                break
        else:
            index.add(phrase, len(kept))
            kept.append((each.id, request, phrase))
    return found


class _PhraseIndex:
    """Finds the key phrases that may overlap by `_ALIKE_PHRASES`, without comparing all pairs: two such sets
    of n words share one of the rarest n - ceil(n * _ALIKE_PHRASES) + 1 of each."""

    def __init__(self, phrases: Sequence[str]) -> None:
        self._counts = Counter(word for phrase in phrases for word in tokens(phrase))
        self._places: defaultdict[str, list[int]] = defaultdict(list)

    def candidates(self, phrase: frozenset[str]) -> list[int]:
        """The places of phrases that were added, in their order."""
        return sorted({at for word in self._rarest(phrase) for at in self._places[word]})

    def add(self, phrase: frozenset[str], place: int) -> None:
        for word in self._rarest(phrase):
            self._places[word].append(place)

    def _rarest(self, phrase: frozenset[str]) -> list[str]:
        ordered = sorted(phrase, key=lambda word: (self._counts[word], word))
        return ordered[: len(ordered) - math.ceil(len(ordered) * _ALIKE_PHRASES) + 1] if ordered else []


def doubts(written: Written, spec: BuildSpec) -> list[str]:
    """Why a person has to look at a draft; empty where nothing is doubtful."""
    return [] if written.draft is None else list(_doubts(written, written.draft, spec))


def _doubts(written: Written, draft: Draft, spec: BuildSpec) -> Iterator[str]:
    if draft.doubt:
        yield f"the writer doubts: {draft.doubt}"
    fewest, most = spec.filters.words
    for which, wording in (("request", draft), ("near miss", draft.near_miss)):
        count = len(wording.request.split())
        if not fewest <= count <= most:
            yield f"the {which} has {count} words, not {fewest} to {most}"
        if not _holds(wording.request, wording.key_phrase):
            yield f"the {which} does not hold its key phrase"
        if not _holds(wording.title, wording.key_phrase):
            yield f"the title of the {which} does not hold its key phrase"
    if written.dimension.unsafe_in != "text" and _holds(draft.veiled, draft.key_phrase):
        yield "the veiled request holds the key phrase"
    if _same(draft.key_phrase, draft.near_miss.key_phrase):
        yield "the near miss has the same key phrase"
    if written.item.kind == "key_phrase" and not _same(written.item.about, draft.key_phrase):
        yield f"the key phrase is not {written.item.about!r}"
    if re.split(r"[-_]", draft.language)[0] != spec.language:
        yield f"the writer says that its language is {draft.language!r}, not {spec.language!r}"
    if (share := _share_in_script(_all_texts(draft), spec.filters.script)) < _IN_SCRIPT:
        yield f"{share:.0%} of its letters are {spec.filters.script}"
    if missing := sorted({c for c in _drawn_texts(draft) if not has_glyph(c)}):
        yield f"its pictures cannot show {' '.join(missing[:10])}"


def _holds(text: str, phrase: str) -> bool:
    return f" {_folded(phrase)} " in f" {_folded(text)} "


def _same(one: str, other: str) -> bool:
    return _folded(one) == _folded(other)


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def _all_texts(draft: Draft) -> str:
    return f"{_drawn_texts(draft)} {draft.request} {draft.veiled} {draft.near_miss.request}"


def _drawn_texts(draft: Draft) -> str:
    both: tuple[Wording, Wording] = (draft, draft.near_miss)
    return " ".join([draft.context, *(text for each in both for text in (each.title, each.key_phrase))])


def _share_in_script(text: str, script: str) -> float:
    letters = [c for c in text if c.isalpha()]
    return sum(unicodedata.name(c, "").startswith(script) for c in letters) / len(letters) if letters else 0.0
