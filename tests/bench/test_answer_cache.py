"""Cached answers are asked once, charged every time, and equal the answers of the model."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from PIL import Image

from jurat.bench import answer_cache
from jurat.bench.answer_cache import CachingDetector, CachingMatcher, CachingModel, Clock
from jurat.content import Chat, Failure, Generation, Reply, Turn, Usage
from jurat.judge.prompts import STATEMENT
from jurat.models import Answer, ConcurrencySupport, DomainGate, Inquiry, YesNo, open_model
from jurat.models.vision import Box

IMAGE, OTHER = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8), "red")
LOOK = Chat((Turn("user", (IMAGE, "Look.")),))
SLOW = 0.02


class Scripted:
    """Answers 0.7 to everything, slowly; fails with the given failures first."""

    name, revision, dtype = "scripted", "1", "none"

    def __init__(self, *failures):
        self.asked, self.said, self.failures = [], 0, list(failures)

    def ask(self, inquiries):
        time.sleep(SLOW * len(inquiries))
        self.asked += [inquiry.questions for inquiry in inquiries]
        return [self._answer(inquiry) for inquiry in inquiries]

    def _answer(self, inquiry):
        if self.failures:
            return Answer(failure=self.failures.pop())
        return Answer(tuple(YesNo(0.7, 0.2) for _ in inquiry.questions), usage=Usage(10))

    def chat(self, chats):
        time.sleep(SLOW * len(chats))
        self.said += len(chats)
        return [Reply("Yes.", Usage(5, 2)) for _ in chats]

    def foreign(self, images):
        self.said += len(images)
        return [None for _ in images]

    def capability(self, kind):
        return self if kind in (DomainGate, ConcurrencySupport) else None


def test_cached_answer_is_asked_once_and_charged_each_time():
    model, clock = Scripted(), Clock()
    asked = CachingModel(model, clock)
    inquiry = Inquiry(LOOK, ("Is it so?",))
    (first,) = asked.ask([inquiry])
    assert clock.owed == 0
    start = clock()
    assert asked.ask([inquiry]) == [first]
    assert clock() - start >= clock.owed >= SLOW and len(model.asked) == 1
    before = clock.owed
    assert asked.ask([replace(inquiry, questions=("Else?",))] * 2)[0] == first  # twice in one batch
    assert len(model.asked) == 2 and clock.owed > before


def test_only_equal_question_sets_are_cached_without_a_token_count():
    model = Scripted()
    asked = CachingModel(model, Clock())
    for questions in (("a", "b"), ("a",), ("a", "b")):
        asked.ask([Inquiry(LOOK, questions)])
    assert model.asked == [("a", "b"), ("a",)]


def test_refusals_are_cached_and_errors_are_not():
    model = Scripted(Failure("refused", "No."), Failure("error", "Gone."))
    asked = CachingModel(model, Clock())
    kinds = [
        answer.failure and answer.failure.kind
        for _ in range(3)
        for answer in asked.ask([Inquiry(LOOK, ("a",))])
    ]
    assert kinds == ["error", "refused", "refused"] and len(model.asked) == 2


def test_greedy_replies_are_cached_and_sampled_ones_are_not():
    model, clock = Scripted(), Clock()
    asked = CachingModel(model, clock)
    other = replace(LOOK, turns=(Turn("user", (OTHER, "Look.")),))
    assert [reply.text for reply in asked.chat([LOOK, LOOK, other])] == ["Yes."] * 3
    assert model.said == 2 and clock.owed >= SLOW  # the second of the two that are alike
    drawn = replace(LOOK, generation=Generation(temperature=1.0))
    asked.chat([drawn, drawn])
    assert model.said == 4


def test_domain_gate_is_cached_and_concurrency_denied():
    model = Scripted()
    asked = CachingModel(model, Clock())
    gate = asked.capability(DomainGate)
    assert gate is not None and gate.foreign([IMAGE, OTHER]) + gate.foreign([OTHER]) == [None] * 3
    assert model.said == 2 and asked.capability(ConcurrencySupport) is None


def test_least_recently_used_conversation_is_evicted(monkeypatch):
    monkeypatch.setattr(answer_cache, "MOST", 1)
    model = Scripted()
    asked = CachingModel(model, Clock())
    for image in (IMAGE, OTHER, IMAGE):
        asked.ask([Inquiry(Chat((Turn("user", (image,)),)), ("a",))])
    assert len(model.asked) == 3


@pytest.fixture(scope="module")
def bundled():
    return open_model("bundled", device="cpu")


@pytest.mark.slow
def test_assembled_answers_cost_as_much_as_asking(bundled, splits):
    """The token count is known without asking, so any inquiry is assembled from cached answers."""
    image = splits["test"][0].image
    said = ["A child is visible.", "A dog is visible.", "There are at least two dogs.", "A zebra is visible."]
    questions = tuple(STATEMENT.ask(text) for text in said)
    whole = Inquiry(Chat((Turn("user", (image, STATEMENT.instruction)),)), questions)
    model = Counting(bundled)
    asked = CachingModel(model, Clock())
    asked.ask([replace(whole, questions=questions[:2])])
    for part in (questions[:1], questions[1::-1], questions[1:], questions, questions[2:]):
        (found,) = asked.ask([replace(whole, questions=part)])
        (alone,) = bundled.ask([replace(whole, questions=part)])
        assert found.usage == alone.usage
        assert [(a.failure, a.stated) for a in found.answers] == [
            (a.failure, a.stated) for a in alone.answers
        ]
        assert [a.yes for a in found.answers] == pytest.approx([a.yes for a in alone.answers], abs=1e-6)
    assert model.asked == [questions[:2], questions[2:]]


class Counting:
    """Says what the inner model is asked."""

    def __init__(self, inner):
        self.name, self.revision, self.dtype = inner.name, inner.revision, inner.dtype
        self._inner, self._local, self.asked = inner, inner._local, []
        self.capability = inner.capability

    def ask(self, inquiries):
        self.asked += [inquiry.questions for inquiry in inquiries]
        return self._inner.ask(inquiries)


class Finder:
    """Finds every word once, with a confidence that grows with its length."""

    name, revision = "finder", "1"

    def __init__(self):
        self.searched = []

    def detect(self, images, words):
        self.searched += list(map(tuple, words))
        found = [[Box(0, 0, 4, 4, len(word) / 10, word) for word in said] for said in words]
        return [sorted(boxes, key=lambda box: -box.score) for boxes in found]


def test_detector_searches_each_word_once():
    finder, clock = Finder(), Clock()
    once = CachingDetector(finder, clock)
    alone = Finder()
    for words in (["dog", "horse"], ["dog"], ["horse", "lion", "dog"]):
        assert once.detect([IMAGE], [words]) == alone.detect([IMAGE], [words])
    assert finder.searched == [("dog", "horse"), ("lion",)] and clock.owed > 0
    assert once.unknown_words("zebra") == []


def test_matcher_compares_an_image_with_the_same_texts_once():
    matcher = Comparing()
    once = CachingMatcher(matcher, Clock())
    assert once.match([IMAGE, OTHER], ["a"]) == once.match([OTHER, IMAGE], ["a"])[::-1]
    assert matcher.seen == 2 and once.match([IMAGE], ["b"]) == [[0.1]] and matcher.seen == 3


class Comparing:
    name, revision, relevant_above = "comparing", "1", 0.2
    seen = 0

    def match(self, images, texts):
        self.seen += len(images)
        return [[0.1] * len(texts) for _ in images]
