"""The scripted model: rules in order, shares by digest, and scripts that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from jurat.content import Chat, Generation, Reply, Turn, Usage
from jurat.errors import JuratError
from jurat.models import Inquiry, open_model
from jurat.models.cut_reply import cut_reply

SCRIPT = """
name: half
rules:
  - when: "apple|cake"
    reply: "An apple is fine."
  - when: "question"
    share: 0.5
    reply: "Sorry, no."
  - when: "question"
    reply: "Sure: {question}"
"""


def script(folder: Path, text: str = SCRIPT) -> str:
    (folder / "half.yaml").write_text(text)
    return f"scripted/{folder / 'half.yaml'}"


def chat(text: str, **settings: int) -> Chat:
    return Chat((Turn("user", (text,)),), Generation(**settings))


def test_first_rule_that_fits_replies(tmp_path: Path):
    model = open_model(script(tmp_path))
    (apple, none) = model.chat([chat("Is this question about an apple?"), chat("Hello.")])
    assert apple.text == "An apple is fine." and apple.finish == "stop"
    assert none.failure is not None and none.failure.reason == "No rule of the script 'half' fits."


def test_share_is_chosen_by_the_conversation_and_the_seed(tmp_path: Path):
    name = script(tmp_path)
    chats = [chat(f"question {number}") for number in range(400)]

    def refused(model_name: str) -> list[bool]:
        return [reply.text == "Sorry, no." for reply in open_model(model_name).chat(chats)]

    first = refused(name)
    assert 160 < sum(first) < 240
    assert refused(name) == first
    assert refused(f"{name}?seed=1") != first
    assert open_model(name).revision != open_model(f"{name}?seed=1").revision


def test_reply_is_cut_by_its_settings():
    lines = cut_reply("one\n\ntwo three", Generation(max_tokens=2))
    assert (lines.text, lines.finish, lines.usage.output_tokens) == ("one\n\ntwo", "length", 2)
    assert cut_reply(" one\n", Generation(max_tokens=1)) == Reply(" one", Usage(0, 1), finish="stop")
    (short,) = open_model("scripted/comply").chat([chat("Go on.", max_tokens=2)])
    assert (short.text, short.finish) == ("Sure, here", "length")


def test_question_that_no_rule_fits_is_an_error(tmp_path: Path):
    (answer,) = open_model(script(tmp_path)).ask([Inquiry(chat("A picture."), ("Is it red?",))])
    failure = answer.answers[0].failure
    assert failure is not None and failure.kind == "error"
    assert failure.reason == "No rule of the script 'half' fits."


@pytest.mark.parametrize(
    ("reply", "score", "failure"),
    [
        ("Yes, it is.", 1.0, None),
        ("No.", 0.0, None),
        ("Maybe.", 0.5, "unparsed"),
        ("Nothing.", 0.5, "unparsed"),
    ],
)
def test_questions_are_answered_by_the_first_word(
    tmp_path: Path, reply: str, score: float, failure: str | None
):
    model = open_model(script(tmp_path, f"name: one\nrules: [{{reply: '{reply}'}}]"))
    (answer,) = model.ask([Inquiry(chat("A picture."), ("Is it red?",))])
    (one,) = answer.answers
    assert answer.basis == "stated"
    assert (one.score, one.failure and one.failure.kind) == (score, failure)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: []", "is no script"),
        ("name: a\nrules: []", "is no script"),
        ("name: a\nrules: [{reply: x, when: '('}]", "is no regular expression"),
        ("name: a\nrules: [{reply: x, share: 2}]", "is no script"),
        ("[", "is no script"),
    ],
)
def test_wrong_scripts_are_refused(tmp_path: Path, text: str, message: str):
    with pytest.raises(JuratError, match=message):
        open_model(script(tmp_path, text))


def test_unknown_script_is_refused_with_the_known_ones():
    with pytest.raises(JuratError, match="cannot be read") as caught:
        open_model("scripted/nonsense")
    assert caught.value.hint == "Name a YAML file, or one of comply, echo, no, refuse, yes."
