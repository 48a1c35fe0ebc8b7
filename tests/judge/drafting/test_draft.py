"""Drafting, with writers behind a real server: what goes into the file, and what becomes of bad replies."""
# ruff: noqa: E501 (files and replies, as they are)

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from jurat.constitution import ConstitutionError, check_text, parse_constitution
from jurat.content import Chat, Failure, Reply
from jurat.judge.drafting.draft import OBJECTIVE, Draft, draft_rules
from jurat.judge.drafting.drafted_file import DraftedFile, draft_file, replace_file, target_of
from jurat.models import Model, RuleDraft, RuleWriter, Serving, open_model

from ...models.openai_server import Server, completion, error
from .writers import GOOD, SORRY, Says, Writer, rambling

DAY = date(2026, 11, 21)
NAME = "openai/tiny@tiny-vision-001"
TWO = """\
name: two   # short
rules:
  # Pets.
  - id: pets
    rule: No nice animal.  # why not

  - id: axes
    rule: No axe or dagger may be visible, unless a man holds an axe.
    severity: high
"""

Open = Callable[[Writer], Model]


@pytest.fixture
def writer_of() -> Iterator[Open]:
    with ExitStack() as stack:

        def opened(writer: Writer) -> Model:
            server = stack.enter_context(Server(writer).running())
            return open_model("openai/tiny", base_url=server.url, serving=Serving(retries=0))

        yield opened


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "two.yaml"
    path.write_text(TWO, encoding="utf-8")
    return path


def problems(drafts: Sequence[Draft]) -> list[list[tuple[str, str]]]:
    return [[(step, failure.kind) for step, failure in draft.problems] for draft in drafts]


def test_draft_adds_missing_parts_and_changes_no_line(policy: Path, writer_of: Open) -> None:
    writer = Writer(GOOD)
    drafted = draft_file(policy, writer_of(writer), on=DAY)
    assert (
        drafted.after
        == f"""\
name: two   # short
rules:
  # Pets.
  - id: pets
    rule: No nice animal.  # why not
    # proposed: rule: No dog may be visible.
    # proposed: {NAME}, 2026-11-21, objectivity 9 of 10; the text above 3: It rests on an opinion.
    # drafted: {NAME}, 2026-11-21, objectivity 9 of 10
    description: a dog
    # drafted: {NAME}, 2026-11-21, objectivity 9 of 10
    clauses:
      - statement: A dog is visible.
        objects: [dog]

  - id: axes
    rule: No axe or dagger may be visible, unless a man holds an axe.
    # drafted: {NAME}, 2026-11-21, objectivity 9 of 10
    description: an axe or a dagger
    severity: high
    # drafted: {NAME}, 2026-11-21, objectivity 9 of 10
    clauses:
      - any of:
          - A dagger is visible.
          - An axe is visible.
        objects: [dagger, axe]
      - not: A man holds an axe.
        objects: [axe, man]
"""
    )
    assert not drafted.failed and not drafted.hopeless
    assert check_text(drafted.after) == []
    assert policy.read_text() == TWO, "nothing is written yet"
    pets = drafted.drafts[0]
    assert [(a.text, a.score) for a in pets.attempts] == [
        ("No nice animal.", 3),
        ("No dog may be visible.", 9),
    ]
    steps = [step for step, _ in writer.requests]
    assert steps == [
        *["rating"] * 2,
        "rewriting",
        "rating",
        *["clauses"] * 2,
        *["objects"] * 2,
        *["description"] * 2,
    ]
    removed = [line for line in drafted.diff("two.yaml").splitlines() if line.startswith("-")]
    assert removed == ["--- two.yaml"]


def test_second_draft_asks_and_changes_nothing(policy: Path, writer_of: Open) -> None:
    writer = Writer(GOOD)
    model = writer_of(writer)
    policy.write_text(draft_file(policy, model).after)
    asked = len(writer.requests)
    again = draft_file(policy, model)
    assert (again.before, again.drafts, again.complete) == (again.after, (), 2)
    assert len(writer.requests) == asked


def test_rule_with_clauses_gets_missing_parts_without_rating(policy: Path, writer_of: Open) -> None:
    held = "name: p\nrules:\n  - rule: No nice dog.\n    clauses: [A dog is visible.]\n    unless:\n      - not: A cat is visible.\n"
    policy.write_text(held)
    writer = Writer(GOOD)
    drafted = draft_file(policy, writer_of(writer), on=DAY)
    mark = f"# drafted: {NAME}, 2026-11-21, not rated"
    assert drafted.after == (
        f"name: p\nrules:\n  - rule: No nice dog.\n    {mark}\n    description: a dog\n    {mark}\n"
        "    clauses: [{statement: A dog is visible., objects: [dog]}]\n    unless:\n      - not: A cat is visible.\n"
        f"        objects: [cat] {mark}\n"
    )
    assert writer.count("rating") == writer.count("clauses") == 0


@pytest.mark.parametrize("about", ["caption", "prompt", "response"])
def test_no_objects_are_drafted_for_clauses_about_a_text(about: str, policy: Path, writer_of: Open) -> None:
    policy.write_text(
        f"name: p\nrules:\n  - rule: No nice dog.\n    clauses:\n      - {{statement: A dog is named., about: {about}}}\n"
    )
    writer = Writer(GOOD)
    drafted = draft_file(policy, writer_of(writer))
    assert writer.count("objects") == 0 and not drafted.failed
    (rule,) = parse_constitution(drafted.after).rules
    assert (rule.description, rule.clauses[0].about) == ("a dog", about)


def test_force_overwrites_existing_parts(policy: Path, writer_of: Open) -> None:
    policy.write_text(
        "name: p\nrules:\n  - rule: No nice dog.\n    description: mine\n    clauses: [A cow is visible.]\n"
    )
    drafted = draft_file(policy, writer_of(Writer(GOOD)), force=True)
    (rule,) = parse_constitution(drafted.after).rules
    assert (rule.id, rule.rule, rule.description) == ("no-nice-dog", "No dog may be visible.", "a dog")
    assert [clause.text for clause in rule.clauses] == ["A dog is visible."]


def test_only_named_rules_are_drafted(policy: Path, writer_of: Open) -> None:
    writer = Writer(GOOD)
    drafted = draft_file(policy, writer_of(writer), rules=["axes"])
    assert [draft.rule.id for draft in drafted.drafts] == ["axes"]
    assert "# proposed" not in drafted.after and writer.count("rating") == 1
    with pytest.raises(ConstitutionError, match="no rule with the id 'axe'") as caught:
        draft_file(policy, writer_of(writer), rules=["axe"])
    assert "Did you mean 'axes'?" in str(caught.value)
    with pytest.raises(ConstitutionError, match="It has pets, axes"):
        draft_file(policy, writer_of(writer), rules=["none"])


# --- rounds -------------------------------------------------------------------------------------


def rewriting(scores: Sequence[int]) -> dict[str, Says]:
    """A writer whose n-th wording is `No dog n.` and is rated `scores[n]`."""

    def rate(request: str) -> str:
        number = request.rstrip(".").split()[-1]
        return f"Why {number}.\nRating: [[{scores[int(number)] if number.isdigit() else 1}]]"

    def rewrite(request: str) -> str:
        return f"Rule: No dog {request.count('Rated') - 1}."

    return GOOD | {"rating": rate, "rewriting": rewrite}


@pytest.mark.parametrize(
    ("scores", "rounds", "attempts", "best"),
    [
        ([5, 9, 1], 3, 3, 9),  # ends as soon as one is objective
        ([5, 7, 6], 3, 4, 7),  # keeps the best, not the last
        ([5, 5, 5], 3, 4, 5),  # of equals the earliest
        ([1, 1, 1], 3, 4, 1),
        ([5, 9], 1, 2, 5),
        ([9], 0, 1, 1),
    ],
)
def test_rule_is_rewritten_until_objective(
    scores: list[int], rounds: int, attempts: int, best: int, policy: Path, writer_of: Open
) -> None:
    writer = Writer(rewriting(scores))
    (rule,) = parse_constitution("name: p\nrules:\n  - rule: No nice animal.\n").rules
    (draft,) = draft_rules([rule], writer_of(writer), rounds=rounds)
    assert (len(draft.attempts), draft.best and draft.best.score) == (attempts, best)
    first = next(a for a in draft.attempts if a.score == best)
    assert draft.best == first and draft.rewritten == (None if best == 1 else first.text)
    asked = next(request for step, request in writer.requests if step == "clauses")
    assert asked == f"Rule: {first.text}", "clauses are drawn from the best wording"
    assert OBJECTIVE == 9


def test_repeating_writer_is_not_asked_again(writer_of: Open) -> None:
    writer = Writer(GOOD | {"rating": "Vague.\nRating: [[4]]", "rewriting": "Rule: No nice animal."})
    (rule,) = parse_constitution("name: p\nrules:\n  - rule: No nice animal.\n").rules
    (draft,) = draft_rules([rule], writer_of(writer))
    assert (writer.count("rewriting"), draft.rewritten, draft.problems) == (1, None, ())


# --- bad replies --------------------------------------------------------------------------------


def test_rambling_replies_are_parsed(policy: Path, writer_of: Open) -> None:
    drafted = draft_file(
        policy, writer_of(Writer({step: rambling(says) for step, says in GOOD.items()})), on=DAY
    )
    plain = draft_file(policy, writer_of(Writer(GOOD)), on=DAY)
    assert parse_constitution(drafted.after) == parse_constitution(plain.after)
    assert [d.best and d.best.score for d in drafted.drafts] == [9, 9] and not drafted.failed


MALFORMED: dict[str, Says] = {
    "rating": "It is fine.",
    "rewriting": "No dogs.",
    "clauses": "A dog.",
    "objects": "dog",
    "description": "a dog",
}


def test_unreadable_reply_is_sent_back_once_with_explanation(policy: Path, writer_of: Open) -> None:
    writer = Writer(MALFORMED, repairs=GOOD)
    drafted = draft_file(policy, writer_of(writer), on=DAY)
    assert drafted.after == draft_file(policy, writer_of(Writer(GOOD)), on=DAY).after
    told = dict(writer.requests)
    assert told["clauses again"] == (
        "That answer cannot be used. It holds no numbered list. Answer again, in exactly the form that was asked for."
    )


def test_empty_reply_is_unparsed_and_not_sent_back(policy: Path, writer_of: Open) -> None:
    writer = Writer(GOOD | {"description": " "}, repairs=GOOD)
    drafted = draft_file(policy, writer_of(writer))
    assert problems(drafted.drafts) == [[("description", "unparsed")]] * 2
    assert drafted.drafts[0].problems[0][1].reason == "The reply is empty."
    assert (writer.count("description"), writer.count("description again")) == (2, 0)


def test_clauses_with_errors_are_sent_back_with_problems(policy: Path, writer_of: Open) -> None:
    contradictory = "1. A dog is visible.\n2. not: A dog is visible.\n3. Is a cat visible?"
    writer = Writer(GOOD | {"clauses": contradictory}, repairs=GOOD)
    assert not draft_file(policy, writer_of(writer)).failed
    told = dict(writer.requests)["clauses again"]
    assert "Clause 2 contradicts clause 1" in told
    assert "Clause 3 is a question. State what can be seen" in told
    again = draft_file(policy, writer_of(Writer(GOOD | {"clauses": contradictory})))
    assert problems(again.drafts) == [[("clauses", "unparsed")]] * 2
    assert "contradicts clause 1" in again.drafts[0].problems[0][1].reason


# step that fails -> what is then reported of the first rule, and what is drafted of it all the same
LOST = [
    ("rating", [("rating", "unparsed")], (False, False, False)),
    ("rewriting", [("rewriting", "unparsed")], (True, True, True)),
    ("clauses", [("clauses", "unparsed")], (False, False, False)),
    ("objects", [("objects", "unparsed")], (True, False, True)),
    ("description", [("description", "unparsed")], (True, True, False)),
]


@pytest.mark.parametrize(("step", "expected", "parts"), LOST, ids=[case[0] for case in LOST])
def test_failed_step_is_reported_and_other_rules_continue(
    step: str, expected: list[tuple[str, str]], parts: tuple[bool, ...], policy: Path, writer_of: Open
) -> None:
    good = GOOD[step]

    def only_axes(request: str) -> Any:
        return (good(request) if callable(good) else good) if "axe" in request else SORRY

    drafted = draft_file(policy, writer_of(Writer(GOOD | {step: only_axes})))
    pets, axes = drafted.drafts
    assert problems(drafted.drafts) == [expected, []]
    assert (bool(pets.clauses), any(c.objects for c in pets.clauses), bool(pets.description)) == parts
    assert SORRY in pets.problems[0][1].reason
    assert axes.clauses and axes.description and not drafted.hopeless
    first, second = parse_constitution(drafted.after).rules
    assert (bool(first.clauses), bool(second.clauses)) == (parts[0], True)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (completion(None, refusal="No."), "refused"),
        (completion("", finish="content_filter"), "filtered"),
        (SORRY, "unparsed"),
        (completion("{}", status=500), "error"),
    ],
)
def test_writer_that_refuses_everything_is_hopeless(
    said: Any, kind: str, policy: Path, writer_of: Open
) -> None:
    drafted = draft_file(policy, writer_of(Writer(dict.fromkeys(GOOD, said))))
    assert problems(drafted.drafts) == [[("rating", kind)]] * 2
    assert drafted.hopeless and drafted.after == TWO


def test_unreachable_writer_is_error_of_every_rule(policy: Path) -> None:
    with Server(Writer(GOOD)).running() as server:
        model = open_model("openai/tiny", base_url=server.url, serving=Serving(retries=0))
    drafted = draft_file(policy, model)
    assert problems(drafted.drafts) == [[("rating", "error")]] * 2
    assert drafted.hopeless and "does not answer" in drafted.drafts[0].problems[0][1].reason


def test_drafts_before_writer_failure_are_kept(policy: Path, writer_of: Open) -> None:
    drafted = draft_file(
        policy, writer_of(Writer(GOOD | {"objects": error(401, "no"), "description": error(401, "no")}))
    )
    assert problems(drafted.drafts) == [[("objects", "error"), ("description", "error")]] * 2
    assert not drafted.hopeless
    assert all(rule.clauses for rule in parse_constitution(drafted.after).rules)


def test_rule_that_cannot_be_edited_in_place_is_reported(policy: Path, writer_of: Open) -> None:
    policy.write_text(
        "name: p\nrules: [{id: a, rule: 'No axe or dagger, unless a man holds an axe.', clauses}, {id: b, rule: No dog.}]\n"
    )
    drafted = draft_file(policy, writer_of(Writer(GOOD)))
    assert problems(drafted.drafts) == [[("file", "error")], []]
    assert "has no colon" in drafted.drafts[0].problems[0][1].reason
    assert [bool(rule.clauses) for rule in parse_constitution(drafted.after).rules] == [False, True]


# --- writers of their own kind ------------------------------------------------------------------


class OwnWriter:
    """Knows how to take apart a rule, and cannot chat."""

    name, revision, dtype = "own", "7", "none"

    def __init__(self, made: RuleDraft | Failure) -> None:
        self.made = made
        self.texts: list[str] = []

    def ask(self, inquiries: Sequence[object]) -> list[Any]:
        raise AssertionError

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        raise AssertionError

    def capability(self, kind: type) -> Any:
        return self if kind is RuleWriter else None

    def draft_rule(self, text: str) -> RuleDraft | Failure:
        self.texts.append(text)
        return self.made


MADE = RuleDraft(
    ((("A dog is visible.", False), ("A cat is visible.", False)), (("A man is visible.", True),)),
    (("dog", "cat"), ("man",)),
    "a dog or a cat",
)


def test_rule_writer_drafts_without_rating(policy: Path) -> None:
    writer = OwnWriter(MADE)
    forbids = "No dog or cat may be visible, unless a man is visible."
    policy.write_text(TWO.replace("No nice animal.", forbids))
    drafted = draft_file(policy, writer, on=DAY)
    rules = parse_constitution(drafted.after).rules
    assert writer.texts == [rule.rule for rule in rules]
    assert [str(clause.model_dump()) for clause in rules[0].clauses] == [
        "{'any of': ['A dog is visible.', 'A cat is visible.'], 'objects': ['dog', 'cat']}",
        "{'not': 'A man is visible.', 'objects': ['man']}",
    ]
    assert rules[0].description == "a dog or a cat"
    assert "# drafted: own@7, 2026-11-21, not rated" in drafted.after
    assert "proposed" not in drafted.after.partition("- id: axe")[0]


@pytest.mark.parametrize(
    ("made", "kind", "reason"),
    [
        (Failure("out_of_domain", "It knows no axes."), "out_of_domain", "It knows no axes."),
        (RuleDraft(((("Is it?", False),),)), "unparsed", "is a question"),
        (RuleDraft(((("", False),),)), "unparsed", "is empty"),
        (RuleDraft(((("A dog sits.", False),),), (("dog",), ("cat",))), "unparsed", "objects of 2 clauses"),
        (RuleDraft(()), "unparsed", "has no clause"),
    ],
)
def test_rule_writer_failures_are_reported(
    made: RuleDraft | Failure, kind: str, reason: str, policy: Path
) -> None:
    drafted = draft_file(policy, OwnWriter(made))
    assert problems(drafted.drafts) == [[("clauses", kind)]] * 2
    assert reason in drafted.drafts[0].problems[0][1].reason
    assert drafted.hopeless and drafted.after == TWO


def test_rule_writer_adds_objects_to_matching_clauses(policy: Path) -> None:
    policy.write_text(
        "name: p\nrules:\n  - rule: No dog.\n    clauses: [{any of: [A cat is visible., A dog is visible.]}, A cow eats.]\n"
    )
    (draft,) = draft_file(policy, OwnWriter(MADE)).drafts
    assert draft.objects == {("clauses", 0): ("dog", "cat")}
    assert draft.problems[0][0] == "objects" and "'A cow eats.'" in draft.problems[0][1].reason


# --- writing ------------------------------------------------------------------------------------


def made(path: Path, after: str) -> DraftedFile:
    return DraftedFile(path.read_bytes().decode("utf-8-sig"), after, path, (), 0)


def test_replace_file_keeps_mode_byte_order_mark_and_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_bytes(b"\xef\xbb\xbfname: p\r\n")
    real.chmod(0o640)
    link.symlink_to(real)
    replace_file(link, made(link, "name: q\r\n"))
    assert link.is_symlink() and real.read_bytes() == b"\xef\xbb\xbfname: q\r\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.yaml", "real.yaml"]


def test_file_edited_meanwhile_is_left_alone(policy: Path) -> None:
    drafted = made(policy, "name: q\n")
    policy.write_text("name: mine\n")
    with pytest.raises(ConstitutionError, match="was edited while it was drafted"):
        replace_file(policy, drafted)
    assert policy.read_text() == "name: mine\n"


def test_target_of_refuses_bad_outputs(policy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    assert target_of(str(policy), None) == policy
    assert target_of(str(policy), other) == other
    assert target_of(str(policy), policy) == policy
    other.write_text("mine")
    assert target_of(str(policy), other, force=True) == other
    for ref, out, message in [
        (str(policy), other, "is there already"),
        (str(policy), tmp_path, "is a folder"),
        (str(policy), tmp_path / "none" / "x.yaml", "There is no folder"),
        ("shelf:nursery", None, "comes with jurat"),
        (str(tmp_path / "none.yaml"), None, "There is no constitution file"),
    ]:
        with pytest.raises(ConstitutionError, match=message):
            target_of(ref, out)
