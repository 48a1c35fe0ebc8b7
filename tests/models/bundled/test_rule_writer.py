"""The bundled rule writer on a few memorised rules: its drafts and refusals.

The card of the shipped writer measures how well it writes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from jurat.content import Chat, Failure, Turn
from jurat.errors import JuratError
from jurat.models import (
    Inquiry,
    Model,
    ModelError,
    RuleDraft,
    RuleWriter,
    Vocabulary,
    list_backends,
    open_model,
)
from jurat.models.bundled.rule_writer import (
    END,
    NOTHING,
    START,
    WEIGHTS,
    WRITE,
    BundledWriter,
)
from jurat.models.bundled.writer_language import (
    WriterLanguage,
    complete,
    describe,
    in_lines,
    without_exceptions,
)

from ..tiny import scene

RULES = {
    "No child may touch a beer, unless a man is visible.": (
        "A child touches a beer. unless: A man is visible."
    ),
    "Neither a dog nor a cat may be shown.": "{A dog is visible. A cat is visible.}",
    "Dogs may be shown.": NOTHING,
    "No cat may be visible.": "A dog is visible.",
    "No bus may be visible.": "A bus bus bus.",
}


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> BundledWriter:
    """A writer of the real layout that knows `RULES` by heart: wrong ones among them."""
    from training.writer.train import build_tokenizer, fresh, language

    folder = tmp_path_factory.mktemp("writer")
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    model = fresh(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    rows = [
        (tokenizer(f"{START}{rule}{WRITE}")["input_ids"], tokenizer(f"{text}{END}")["input_ids"])
        for rule, text in RULES.items()
    ]
    ids = torch.full((len(rows), 40), tokenizer.pad_token_id)
    goal = torch.full((len(rows), 40), -100)
    for row, (asked, said) in enumerate(rows):
        ids[row, : len(asked) + len(said)] = torch.tensor(asked + said)
        goal[row, len(asked) - 1 : len(asked) + len(said) - 1] = torch.tensor(said)
    for _ in range(80):
        loss = torch.nn.functional.cross_entropy(model(input_ids=ids).logits.flatten(0, 1), goal.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 0.02:
            break
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    language().save(folder)
    return BundledWriter(folder, device="cpu")


def said(*turns: str) -> Chat:
    return Chat(tuple(Turn("user", (text,)) for text in turns))


def test_draft_has_preconditions_objects_and_description(writer: BundledWriter) -> None:
    assert writer.draft_rule("No child may touch a beer, unless a man is visible.") == RuleDraft(
        clauses=(
            (("A child is visible.", False),),
            (("A beer is visible.", False),),
            (("A child touches a beer.", False),),
            (("A man is visible.", True),),
        ),
        objects=(("child",), ("beer",), ("child", "beer"), ("man",)),
        description="a child touching a beer",
    )


def test_alternatives_stay_in_one_clause(writer: BundledWriter) -> None:
    draft = writer.draft_rule("neither a DOG nor a cat  may be shown.")
    assert isinstance(draft, RuleDraft)
    assert draft.clauses == ((("A dog is visible.", False), ("A cat is visible.", False)),)
    assert draft.description == "a dog or a cat"


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("No unicorn may wear a helmet.", "out_of_domain", "never learned 'unicorn', 'wear', 'helmet'"),
        ("No {cat} may be visible.</s>", "out_of_domain", "never learned '{', '}', '</s>'"),
        ("  ", "out_of_domain", "There is no rule"),
        ("No cat may be visible. " * 60, "out_of_domain", "longer than 200 words"),
        ("Dogs may be shown.", "out_of_domain", "not one rule of the pictogram world"),
        ("No cat may be visible.", "unparsed", "differ in: cat, dog"),
        ("No bus may be visible.", "unparsed", "is no draft: no statement of the pictogram world"),
    ],
)
def test_rule_outside_the_language_is_a_failure(
    writer: BundledWriter, text: str, kind: str, reason: str
) -> None:
    failure = writer.draft_rule(text)
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert reason in failure.reason


def test_failed_rules_leave_the_rest_of_the_batch_alone(writer: BundledWriter) -> None:
    texts = ["No bus may be visible.", "Neither a dog nor a cat may be shown.", "No unicorn may be visible."]
    kinds = [type(draft) for draft in writer.drafts(texts)]
    assert kinds == [Failure, RuleDraft, Failure]


def test_chat_writes_lines_and_refuses_images(writer: BundledWriter) -> None:
    seeing = Chat((Turn("user", (scene(1), "Neither a dog nor a cat may be shown.")),))
    rule = "No child may touch a beer, unless a man is visible."
    answered, blind, empty = writer.chat([said("Hello", rule), seeing, Chat()])
    assert answered.text == "A child touches a beer.\nunless: A man is visible."
    assert answered.usage.output_tokens > 0
    assert blind.failure is not None and "sees nothing" in blind.failure.reason
    assert empty.failure is not None and not empty.text
    (answer,) = writer.ask([Inquiry(said("A"), ("B?",))])
    assert answer.failure is not None and answer.failure.kind == "out_of_domain"


def test_writer_is_a_model_with_rule_writing_and_vocabulary(writer: BundledWriter) -> None:
    assert isinstance(writer, Model)
    assert writer.capability(RuleWriter) is writer
    vocabulary = writer.capability(Vocabulary)
    assert vocabulary is not None
    assert vocabulary.unknown_words("No helmet: no dog.") == ["helmet", ":"]
    assert writer.capability(int) is None
    assert len(writer.revision) == 12
    assert {each.name: each.abilities for each in list_backends()}["bundled-writer"] == {"chat"}


def test_wrong_names_and_missing_weights_are_errors(tmp_path: Path) -> None:
    with pytest.raises(JuratError, match="takes no reference") as raised:
        open_model("bundled-writer/x")
    assert raised.value.hint == 'Name it "bundled-writer".'
    with pytest.raises(ModelError, match="weights of the bundled writer are not there"):
        BundledWriter(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"language.json cannot be read"):
        BundledWriter(tmp_path)
    (tmp_path / "language.json").write_text('{"version": 2}')
    with pytest.raises(ModelError, match="of version 2; this jurat reads 1"):
        BundledWriter(tmp_path)


# --- its language ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def language(writer: BundledWriter) -> WriterLanguage:
    return writer.language


LINES = """A child touches a beer or a wine glass.
{A sign reads SALE. A sign reads OPEN.}
There are at least two stop signs.
not: A man is visible.
unless: {A dog is visible. A cat is visible.}
unless: A sign reads STOP."""


def test_clause_lines_round_trip(language: WriterLanguage) -> None:
    clauses, unless = language.read(LINES)
    assert (len(clauses), len(unless)) == (4, 2)
    assert in_lines(clauses, unless) == LINES
    spaced = LINES.lower().replace(".", " .").replace(":", " :").replace("{", "{ ").replace("\n", " ")
    assert language.read(spaced) == (clauses, unless)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unless: A man is visible.",
        "A child is.",
        "A child is visible",
        "{A dog is visible.",
        "A dog is visible.}",
        "{}",
        "not: not: A dog is visible.",
        "A unicorn is visible.",
        "There are at least nine dogs.",
        "A sign reads HELLO.",
        "A child touches a beer and a dog.",
        "nothing.",
    ],
)
def test_malformed_drafts_are_refused(language: WriterLanguage, text: str) -> None:
    with pytest.raises(ValueError):
        language.read(text)


def test_exceptions_become_clauses_by_de_morgan(language: WriterLanguage) -> None:
    clauses, unless = language.read(LINES)
    whole = without_exceptions(clauses, unless)
    assert in_lines(whole[len(clauses) :]).splitlines() == [
        "{not: A dog is visible. not: A sign reads STOP.}",
        "{not: A cat is visible. not: A sign reads STOP.}",
    ]
    assert without_exceptions(clauses, ()) == clauses


def test_objects_and_description_are_derived_from_clauses(language: WriterLanguage) -> None:
    clauses, _ = language.read(LINES)
    assert [language.objects_in(clause) for clause in clauses] == [
        ("child", "beer", "wine glass"),
        (),
        ("stop sign",),
        ("man",),
    ]
    assert describe(complete(clauses, language), language) == (
        "a child touching a beer or a wine glass and a sign that reads SALE or a sign that reads OPEN "
        "and at least two stop signs"
    )
    missing, _ = language.read("not: A man is visible.")
    assert describe(missing, language) == ""


def test_names_are_found_in_singular_and_plural(language: WriterLanguage) -> None:
    text = "No STOP sign... Kitchen Knives near a stop sign or a sign that reads free"
    assert language.names_in(text) == ["stop sign", "kitchen knife", "FREE"]


def test_shipped_writer_meets_its_bar_and_drafts_a_rule() -> None:
    found = json.loads((WEIGHTS / "measurements.json").read_text())
    assert {row["view"]: row["percent"] for row in found["rows"]}["held-out combinations"] >= 95
    assert (WEIGHTS / "model.safetensors").stat().st_size <= 3_000_000
    model = open_model("bundled-writer", device="cpu")
    writer = model.capability(RuleWriter)
    assert writer is not None
    draft = writer.draft_rule("No child may be shown touching a blade.")
    assert isinstance(draft, RuleDraft)
    assert draft.clauses[-1] == (("A child touches a blade.", False),)
