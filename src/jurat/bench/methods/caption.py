"""Caption, then logic: the model describes the image in a sentence, and the clauses are decided on that
sentence alone.

What the sentence names is there, as often as it is named, and what comes first in it is at the left, as
the bundled model's descriptions have it; a statement about touching, height or size is left open by any
such sentence. For statements that are not of the pictogram world the same model is asked, without the
image, whether they follow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from jurat.bench.cost import Spending
from jurat.bench.methods.closed_questions import continued, knows, unanswered
from jurat.bench.methods.interface import (
    NotApplicable,
    Prediction,
    Setup,
    all_of,
    any_of,
    decided,
    in_batches,
)
from jurat.bench.pictogram.items import BenchItem
from jurat.constitution import Clause, Constitution
from jurat.content import Chat, Generation, Turn
from jurat.judge.prompts import STATEMENT
from jurat.metrics import UNSURE
from jurat.models import Inquiry
from jurat.pictograms.objects import OBJECTS, WORDS
from jurat.pictograms.reading import parse
from jurat.pictograms.statements import NUMBERS, Facts, Statement

REQUEST = "Describe the image in one sentence."
GENERATION = Generation(max_tokens=160)


def describe(setup: Setup, items: Sequence[BenchItem]) -> Iterator[Prediction]:
    """See the module's docstring."""
    knows(setup.model, REQUEST)
    statements = list(setup.constitution.statements())
    ours = [text for text in statements if _parsed(text) is not None]
    others = [text for text in statements if _parsed(text) is None]
    for batch in in_batches(items):
        chats = [Chat((Turn("user", (item.image, REQUEST)),), GENERATION) for item in batch]
        replies = continued(setup, chats)
        captions = [reply.text for reply, _ in replies if reply.failure is None]
        entailed = iter(_entailed(setup, captions, others))
        for reply, spending in replies:
            if reply.failure is not None:
                yield _undecided(setup.constitution, spending, reply.failure.kind)
                continue
            probabilities, more = next(entailed)
            truths = {text: _follows(text, reply.text) for text in ours} | probabilities
            yield _prediction(setup.constitution, truths, spending + more)


def objects_of(sentence: str) -> list[int]:
    """The classes that a sentence names, in its order; "two dogs" names a dog twice."""
    names = {noun.singular: i for i, noun in enumerate(OBJECTS)}
    names |= {noun.plural: i for i, noun in enumerate(OBJECTS)}
    names |= {f"sign that reads {word.lower()}": len(OBJECTS) + i for i, word in enumerate(WORDS)}
    longest = sorted(names, key=len, reverse=True)
    pattern = rf"\b(?:({'|'.join(NUMBERS[1:])}) )?({'|'.join(map(re.escape, longest))})\b"
    found: list[int] = []
    for number, name in re.findall(pattern, sentence.lower()):
        found += [names[name]] * (NUMBERS.index(number) if number else 1)
    return found


def _follows(text: str, caption: str) -> float:
    """1 or 0, or 0.5 where the caption does not tell."""
    statement = _parsed(text)
    assert statement is not None
    kinds = objects_of(caption)
    count = len(kinds)
    centres = np.stack([np.arange(count) * 1000.0, np.zeros(count)], 1)  # far apart, from left to right
    facts = Facts(np.array(kinds, int), centres, np.ones(count), np.full((count, count), 3.0))
    # Gaps, areas and heights are such that statements about them stay open.
    truth = statement.truth(facts)
    return 0.5 if truth is None else float(truth)


def _entailed(
    setup: Setup, sentences: Sequence[str], texts: Sequence[str]
) -> Iterator[tuple[dict[str, float], Spending]]:
    """How far each text follows from each sentence, as the model sees it (nan where it gave no answer), and
    what asking took."""
    if not texts:
        yield from (({}, Spending()) for _ in sentences)
        return
    openings = [f"An image is described so: {each}\n{STATEMENT.instruction}" for each in sentences]
    knows(setup.model, *openings)
    questions = tuple(STATEMENT.ask(text) for text in texts)
    start = setup.clock()
    replies = setup.model.ask([Inquiry(Chat((Turn("user", (one,)),)), questions) for one in openings])
    seconds = (setup.clock() - start) / max(1, len(openings))
    for reply in replies:
        spending = Spending(question_tokens=reply.usage.input_tokens, seconds=seconds)
        if reply.failure is not None:
            yield dict.fromkeys(texts, math.nan), spending
            continue
        scores = (math.nan if unanswered(a) else a.score for a in reply.answers)
        yield dict(zip(texts, scores, strict=True)), spending


def _prediction(constitution: Constitution, truths: dict[str, float], spending: Spending) -> Prediction:
    scores: dict[str, float] = {}
    for rule in constitution.rules:
        if not rule.clauses:
            raise NotApplicable(f"rule {rule.id!r} has no clauses")
        parts = [_clause(clause, truths) for clause in rule.clauses]
        if rule.unless:
            parts.append(1 - all_of(_clause(clause, truths) for clause in rule.unless))
        scores[rule.id] = all_of(parts)
    rules = {name: UNSURE if score == 0.5 else decided(score) for name, score in scores.items()}
    open_ = UNSURE in rules.values() and 1 not in rules.values()
    return Prediction.of_rules(rules, scores, spending, "margin" if open_ else None)


def _clause(clause: Clause, truths: dict[str, float]) -> float:
    return any_of(1 - truths[s.text] if s.negated else truths[s.text] for s in clause.alternatives)


def _undecided(constitution: Constitution, spending: Spending, reason: str) -> Prediction:
    names = [rule.id for rule in constitution.rules]
    return Prediction.of_rules(dict.fromkeys(names, UNSURE), dict.fromkeys(names, math.nan), spending, reason)


def _parsed(text: str) -> Statement | None:
    try:
        return parse(text)
    except ValueError:
        return None
