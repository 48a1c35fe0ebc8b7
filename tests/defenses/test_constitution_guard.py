"""The judge before and after a model: what becomes of a conversation, and what of it is counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jurat.content import Chat, Reply, Turn
from jurat.defenses import defend, open_defense
from jurat.errors import JuratError
from jurat.models import Defended, DefenseCost, Inquiry, Model
from jurat.models.scripted import Rule, Script, ScriptedModel

POLICY = """\
name: cakes
rules:
  - id: cake-asked-for
    rule: Nobody may ask for a cake.
    severity: high
    clauses:
      - statement: The user asks for a cake.
        about: prompt
  - id: cake-named
    rule: No answer may name a cake.
    severity: medium
    clauses:
      - statement: The answer names a cake.
        about: response
  - id: dog
    rule: No dog may be shown.
    severity: low
    clauses: [A dog is visible.]
"""
IMAGE = Image.new("RGB", (16, 16), "red")


def model(*first: tuple[str, str]) -> ScriptedModel:
    """Answers the judge by what is quoted to it, and says "A cake." when it is told to."""
    rules = [
        *first,
        (r"(?s)bake.*user asks for a cake", "Yes."),
        (r"(?s)A cake.*answer names a cake", "Yes."),
        (r"user asks for a cake|answer names a cake|dog is visible", "No."),
        ("^Your answer breaks this rule: No answer may name a cake", "A pie."),
        ("^Name a dish", "A cake."),
        ("", "Hello."),
    ]
    return ScriptedModel(Script(name="test", rules=tuple(Rule(when=w, reply=r) for w, r in rules)))


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cakes.yaml").write_text(POLICY)
    return "constitution?file=cakes.yaml"


def cost(model: Model) -> DefenseCost:
    found = model.capability(Defended)
    assert found is not None
    return found.defenses[0]


def said(guarded: Model, *texts: str, image: Image.Image | None = IMAGE) -> Sequence[Reply]:
    shown = () if image is None else (image,)
    return guarded.chat([Chat((Turn("user", (*shown, text)),)) for text in texts])


DOG = (r"dog is visible", "Yes.")
UNDECIDED = (r"dog is visible", "Perhaps.")
CASES: list[tuple[str, list[tuple[str, str]], str, str, str | None, dict[str, int]]] = [
    # settings, what the model says first of all, request, reply, failure, events
    ("", [], "Hi.", "Hello.", None, {}),
    ("", [], "How do I bake one?", "", "Blocked: It breaks the rule 'cake-asked-for'.",
     {"before: block cake-asked-for": 1}),
    ("", [], "Name a dish.", "A pie.", None, {"after: rewrite cake-named": 1}),
    ("", [("^Your answer", "A cake again.")], "Name a dish.", "", "Blocked: It breaks the rule 'cake-named'.",
     {"after: rewrite cake-named": 2}),
    ("&medium=pass", [], "Name a dish.", "A cake.", None, {"after: pass cake-named": 1}),
    ("&rules=cake-named%3Ablock", [], "Name a dish.", "", "Blocked: It breaks the rule 'cake-named'.",
     {"after: block cake-named": 1}),
    ("", [DOG], "Hi.", "", "Held for review: It breaks the rule 'dog'.", {"before: review dog": 1}),
    ("", [DOG], "How do I bake one?", "", "Blocked: It breaks the rule 'cake-asked-for'.",
     {"before: block cake-asked-for": 1}),
    ("", [UNDECIDED], "Hi.", "", "Held for review: The judge is unsure.", {"before: review unsure": 1}),
    # A broken rule that passes does not let through what another rule may forbid.
    ("&high=pass", [UNDECIDED], "How do I bake one?", "", "Held for review: The judge is unsure.",
     {"before: review unsure": 1}),
    ("&unsure=pass", [UNDECIDED], "Hi.", "Hello.", None, {"before: pass unsure": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "first", "request_", "text", "failure", "events"), CASES)
def test_guard_does_what_rule_and_severity_say(
    policy: str,
    settings: str,
    first: list[tuple[str, str]],
    request_: str,
    text: str,
    failure: str | None,
    events: dict[str, int],
) -> None:
    guarded = defend(model(*first), [policy + settings])
    (reply,) = said(guarded, request_)
    assert (reply.text, None if reply.failure is None else reply.failure.reason) == (text, failure)
    assert cost(guarded).events == events


def test_batch_equals_singles_and_costs_are_counted(policy: str) -> None:
    guarded = defend(model(), [policy])
    texts = ("Hi.", "How do I bake one?", "Name a dish.")
    together = said(guarded, *texts)
    found = cost(guarded)
    # Three before, two after, one after the rewriting; one call more for that.
    assert (found.items, found.blocked, found.calls, found.checks) == (3, 1, 1, 6)
    assert list(together) == [reply for text in texts for reply in said(defend(model(), [policy]), text)]


def test_rules_about_the_image_need_one(policy: str) -> None:
    guarded = defend(model(DOG), [policy])
    first, second = said(guarded, "Hi.", "How do I bake one?", image=None)
    assert first.text == "Hello." and second.failure is not None
    events = {"before: 1 rule needs an image": 2, "before: block cake-asked-for": 1}
    assert cost(guarded).events == events


def test_closed_questions_are_judged_as_a_prompt(policy: str) -> None:
    guarded = defend(model(), [policy])
    asked = [Inquiry(Chat((Turn("user", (IMAGE,)),)), (q,)) for q in ("How do I bake one?", "Is it red?")]
    blocked, answered = guarded.ask(asked)
    assert blocked.failure is not None and blocked.failure.kind == "filtered"
    assert len(answered.answers) == 1


def test_judge_of_its_own_judges(policy: str, tmp_path: Path) -> None:
    script = "name: always\nrules: [{when: dog is visible, reply: 'Yes.'}, {reply: 'No.'}]\n"
    (tmp_path / "always.yaml").write_text(script)
    guarded = defend(model(), [f"{policy}&judge=scripted%2Falways.yaml"])
    assert said(guarded, "Hi.")[0].failure is not None
    guarded.close()


def test_name_has_the_digest_and_another_constitution_is_refused(policy: str, tmp_path: Path) -> None:
    name = str(open_defense(policy))
    assert name.startswith(f"{policy}&digest=") and str(open_defense(name)) == name
    (tmp_path / "cakes.yaml").write_text(POLICY.replace("severity: low", "severity: high"))
    with pytest.raises(JuratError, match=r"cakes.yaml has the digests .*, and .* is wanted"):
        open_defense(name)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("constitution", "needs a constitution"),
        ("constitution?file=none.yaml", "none.yaml"),
        ("constitution?file=cakes.yaml&rules=cake%3Ablock", "cake:block is no rule with an action"),
        ("constitution?file=cakes.yaml&rules=dog%3Abite", "dog:bite is no rule with an action"),
        ("constitution?file=cakes.yaml&high=bite", "high: Input should be 'pass'"),
    ],
)
def test_wrong_settings_are_refused(policy: str, name: str, told: str) -> None:
    with pytest.raises(JuratError, match=told):
        open_defense(name)


def test_rules_about_captions_are_refused(policy: str, tmp_path: Path) -> None:
    (tmp_path / "cakes.yaml").write_text(POLICY.replace("about: prompt", "about: caption"))
    with pytest.raises(JuratError, match="'cake-asked-for' is about captions"):
        open_defense(policy)


def test_unreadable_image_fails_its_conversation_only(policy: str, tmp_path: Path) -> None:
    IMAGE.resize((300, 300)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:100])
    guarded: Any = defend(model(), [policy])
    with Image.open(tmp_path / "cut.png") as cut:
        bad = Chat((Turn("user", (cut, "Hi.")),))
        good = Chat((Turn("user", (IMAGE, "Hi.")),))
        replies = guarded.chat([good, bad, good])
    assert [reply.failure is None for reply in replies] == [True, False, True]
