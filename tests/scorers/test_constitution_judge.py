"""The constitution judge on replies."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from PIL import Image

from jurat.constitution import Constitution
from jurat.content import Chat, Failure, Item, Reply, Turn
from jurat.errors import JuratError
from jurat.models import Answer, Model, YesNo
from jurat.scorers import Answered, open_scorer

from .answers import FAILURES, Scripted, answered, sample

SALT = {
    "id": "salt",
    "rule": "No salt.",
    "clauses": [{"statement": "The response recommends salt.", "about": "response"}],
}
BOTH = {
    "id": "both",
    "rule": "No cake.",
    "clauses": [{"statement": "Cake is served.", "about": "conversation"}],
}
PICTURE = {"id": "picture", "rule": "No dog.", "clauses": ["A dog is visible."]}


@dataclass
class Reader(Model):
    """Says Yes where the text has "salt" or "cake", fails on "fail", and is unsure of "perhaps"."""

    name: str = "reader"
    revision: str = "1"
    dtype: str = "none"
    asked: list[tuple[int, str]] = field(default_factory=list)

    def ask(self, inquiries):
        return [self._answer(inquiry) for inquiry in inquiries]

    def _answer(self, inquiry):
        text = inquiry.prefix.turns[0].text
        self.asked.append((len(inquiry.prefix.images), text))
        for kind in ("refused", "filtered", "unparsed", "out_of_domain", "error"):
            if f"fail {kind}" in text:
                return Answer(failure=Failure(kind, f"It is {kind}."))
        yes = 0.5 if "perhaps" in text else 0.97 if "salt" in text or "cake" in text else 0.03
        mass = 0.1 if "mumble" in text else 1
        return Answer(tuple(YesNo(mass * yes, mass * (1 - yes)) for _ in inquiry.questions))


def law(*rules) -> Constitution:
    return Constitution(name="kitchen", rules=list(rules))


def scorer(*rules, model=None, **options):
    return open_scorer(
        "constitution", constitution=law(*(rules or (SALT,))), model=model or Reader(), **options
    )


def test_outcomes_become_labels_and_unsure_becomes_none():
    texts = {
        "Add salt.": ("scored", "unsafe"),
        "Add sugar.": ("scored", "safe"),
        "Add perhaps.": ("unparsed", None),
        "mumble": ("unparsed", None),
        "fail refused": ("refused", None),
        "fail filtered": ("refused", None),
        "fail unparsed": ("unparsed", None),
        "fail out_of_domain": ("unparsed", None),
        "fail error": ("error", None),
    }
    found = scorer(preset="quick").score([answered(text) for text in texts])
    assert [(one.state, one.label) for one in found] == list(texts.values())
    assert (found[0].details["broken"], found[0].details["judge"]) == ("salt", "reader@1")
    assert found[0].value > 0.8 > 0.2 > found[1].value
    assert found[2].details["unsure"] == "margin"
    assert found[2].reason


def test_response_alone_is_shown_without_images():
    model = Reader()
    one = Answered(sample(), Reply("Add sugar."), Chat((Turn("user", (Image.new("RGB", (4, 4)), "What?")),)))
    gone = Answered(sample(), Reply("Add sugar."))
    scorer(model=model, preset="quick").score([one, gone])
    assert {(images, text.partition("\n")[0]) for images, text in model.asked} >= {
        (0, 'Response: "Add sugar."')
    }
    assert all(images == 0 for images, _ in model.asked)


def test_conversation_is_shown_with_its_images(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    turns = (Turn("user", ("Cake?",)),)
    from jurat.benchmarks import Sample

    several = [
        Answered(sample(), Reply("Eat cake."), Chat((Turn("user", (Image.new("RGB", (4, 4)), "Cake?")),))),
        Answered(Sample("s1", Item([str(tmp_path / "a.png")], turns=turns)), Reply("Eat cake.")),
        Answered(Sample("s1", Item([str(tmp_path / "b.png")], turns=turns)), Reply("Eat cake.")),
        answered("Eat cake."),
    ]
    model = Reader()
    found = scorer(BOTH, model=model, preset="quick").score(several)
    assert [(one.state, one.label) for one in found] == [("scored", "unsafe")] * 2 + [("error", None)] * 2
    assert found[3].reason == "Rules are about the image as well, and the conversation has none."
    assert sum(images == 1 and 'Assistant: "Eat cake."' in text for images, text in model.asked) >= 2


def test_reply_continues_a_prefilled_turn():
    model = Reader()
    chat = Chat((Turn("user", ("How?",)), Turn("assistant", ("Sure: ",))))
    scorer(model=model, preset="quick").score([Answered(sample(), Reply("flour."), chat)])
    assert any('Response: "Sure: flour."' in text for _, text in model.asked)


def test_replies_without_a_text_are_not_judged():
    model = Reader()
    found = scorer(model=model, preset="quick").score(list(map(answered, [*FAILURES.values(), Reply("  ")])))
    assert [(one.state, one.label) for one in found] == [("error", None)] * 5 + [("unparsed", None)]
    assert model.asked == []


def test_rules_that_do_not_look_at_the_reply_are_refused():
    with pytest.raises(JuratError) as raised:
        scorer(SALT, PICTURE)
    assert raised.value.message == "Rules of 'kitchen' say nothing about a reply: picture."


def test_name_has_constitution_model_and_preset():
    assert scorer(preset="quick").name == f"constitution@1[kitchen@{law(SALT).digest},reader,quick]"


def test_model_that_reasons_needs_words():
    """A preset that reasons asks the model to chat; what it cannot read stays undecided."""
    model = Scripted("Hm.")
    with pytest.raises(JuratError, match="needs a detector"):
        scorer(model=model, preset="clue")
