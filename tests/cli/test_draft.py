"""`jurat constitution draft`: its output, files and exit codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jurat.cli import app
from jurat.constitution import check_constitution, parse_constitution
from jurat.constitution.files import find_file

from ..judge.drafting.writers import GOOD, SORRY, Says, Writer, take_apart
from ..models.openai_server import Server, error

TEXT = """\
name: pets
rules:
  - id: dog
    rule: No nice animal.   # mine

  - id: axe
    rule: No axe or dagger may be visible, unless a man holds an axe.
"""


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pets.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


Draft = Callable[..., Result]


@pytest.fixture
def draft() -> Iterator[Draft]:
    """Drafts pets.yaml with a writer that says what it is given, behind a server."""
    with ExitStack() as stack:

        def run(says: dict[str, Says], *options: str, file: str = "pets.yaml") -> Result:
            server = stack.enter_context(Server(Writer(says)).running())
            command = ["constitution", "draft", file, "--writer", "openai/tiny", "--base-url", server.url]
            return CliRunner().invoke(app, [*command, *options], env={"COLUMNS": "200", "TERM": "dumb"})

        yield run


def test_draft_fills_the_file_and_a_second_run_changes_nothing(policy: Path, draft: Draft) -> None:
    result = draft(GOOD)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "drafted  dog: objectivity 3, reworded 9 of 10, 1 clause, 1 object, a description",
        "    rule:  No nice animal.",
        "    draft: An image breaks it if a dog is visible.",
        "drafted  axe: objectivity 9 of 10, 2 clauses, 4 objects, a description",
        "    rule:  No axe or dagger may be visible, unless a man holds an axe.",
        "    draft: An image breaks it if a dagger is visible or an axe is visible, and it is not so that a"
        " man holds an axe.",
        "2 rules: 2 drafted, 0 not",
        "Written to pets.yaml. Read it before you use it.",
    ]
    assert result.stderr.splitlines()[:2] == ["rating: 2 rules", "rewriting: 1 rule"]
    assert check_constitution(policy) == []
    text = policy.read_text()
    assert "    rule: No nice animal.   # mine\n    # proposed: rule: No dog may be visible.\n" in text
    assert all(line in text.splitlines() for line in TEXT.splitlines())
    again = draft(GOOD)
    assert (again.exit_code, policy.read_text()) == (0, text)
    assert again.stdout == "2 rules: 0 drafted, 0 not, 2 with nothing to draft\n"


def test_dry_run_prints_only_a_patch_to_stdout(policy: Path, draft: Draft) -> None:
    result = draft(GOOD, "--dry-run", "--rule", "axe")
    assert result.exit_code == 0
    assert policy.read_text() == TEXT
    lines = result.stdout.splitlines()
    assert lines[:2] == ["--- pets.yaml", "+++ pets.yaml"]
    assert [line for line in lines[2:] if line.startswith("-")] == []
    assert "+    clauses:" in lines and "+        objects: [dagger, axe]" in lines
    assert "drafted  axe" in result.stderr


def test_out_writes_to_another_file(policy: Path, draft: Draft) -> None:
    result = draft(GOOD, "--out", "new.yaml")
    assert result.exit_code == 0 and "Written to new.yaml." in result.stdout
    assert policy.read_text() == TEXT
    assert all(rule.clauses for rule in parse_constitution(Path("new.yaml").read_text()).rules)
    again = draft(GOOD, "--out", "new.yaml")
    assert again.exit_code == 2 and "new.yaml is there already." in again.stderr


def test_undrafted_rule_is_named_and_others_are_written(policy: Path, draft: Draft) -> None:
    def only_axes(request: str) -> str:
        return take_apart(request) if "axe" in request else SORRY

    result = draft(GOOD | {"clauses": only_axes}, "--rounds", "0")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:2] == [
        "failed   dog: objectivity 3 of 10",
        f'    clauses: It holds no numbered list. The writer said "{SORRY}". [unparsed]',
    ]
    assert "2 rules: 1 drafted, 1 not" in result.stdout
    assert [len(rule.clauses) for rule in parse_constitution(policy.read_text()).rules] == [0, 2]


@pytest.mark.parametrize(
    "said", [SORRY, "\x1b[31m1. {", error(401, "Bad key.")], ids=["sorry", "odd", "gone"]
)
def test_failing_writer_exits_with_3_and_writes_nothing(said: Says, policy: Path, draft: Draft) -> None:
    result = draft(dict.fromkeys(GOOD, said))
    assert result.exit_code == 3
    assert "2 rules: 0 drafted, 2 not" in result.stdout and "Written" not in result.stdout
    assert "\x1b" not in result.stdout
    assert policy.read_text() == TEXT


@pytest.mark.parametrize(
    ("options", "file", "message"),
    [
        (("--rule", "cow"), "pets.yaml", "It has dog, axe."),
        ((), "none.yaml", "There is no constitution file none.yaml."),
        ((), "shelf:nursery", "Give --out FILE."),
        (("--rounds", "-1"), "pets.yaml", "--rounds"),
        (("--writer", "opnai/x"), "pets.yaml", "Did you mean 'openai'?"),
    ],
)
def test_wrong_usage_exits_with_2(
    options: tuple[str, ...], file: str, message: str, policy: Path, draft: Draft
) -> None:
    result = draft(GOOD, *options, file=file)
    assert result.exit_code == 2
    assert message in result.stderr


def test_draft_that_omits_part_of_the_rule_is_only_a_comment(policy: Path, draft: Draft) -> None:
    def careless(request: str) -> str:
        return "1. An axe is visible." if "axe" in request else "1. A dog is visible."

    result = draft(GOOD | {"clauses": careless})
    assert result.exit_code == 1
    assert "look at  axe: " in result.stdout
    assert "    draft: An image breaks it if an axe is visible.\n" in result.stdout
    assert (
        '    look at this: The rule names "dagger" as an alternative, and the draft does not.'
        in result.stdout
    )
    assert '    look at this: The rule names "man" as an exception, and the draft does not.' in result.stdout
    assert "2 rules: 1 drafted, 0 not, 1 to be looked at, in comments only" in result.stdout
    text = policy.read_text()
    assert check_constitution(policy)[0].code == "no-clauses"
    assert [len(rule.clauses) for rule in parse_constitution(text).rules] == [1, 0]
    assert "    # proposed: clauses: [{statement: An axe is visible., objects: [axe]}]\n" in text
    assert '    # proposed: look at this: The rule names "man" as an exception' in text
    assert draft(GOOD | {"clauses": careless}).exit_code == 1 and policy.read_text() == text


GUIDELINES = """\
# Ours

- No dog may be visible.
- No axe or dagger may be visible, unless a man holds an axe.

Thanks.
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["constitution", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def test_guidelines_become_empty_rules_without_a_writer(policy: Path) -> None:
    Path("ours.md").write_text(GUIDELINES)
    result = run("draft", "ours.md")
    assert result.exit_code == 0, result.output
    assert "2 rules read from ours.md, 2 other sentences put beside them as comments" in result.stdout
    constitution = parse_constitution(Path("ours.yaml").read_text())
    assert [rule.rule for rule in constitution.rules] == [
        line[2:] for line in GUIDELINES.splitlines() if line[:1] == "-"
    ]
    assert Path("ours.md").read_text() == GUIDELINES
    assert "ours.yaml is there already." in run("draft", "ours.md").stderr
    assert "takes a writer" in run("draft", "pets.yaml").stderr


def test_guidelines_are_drafted_by_a_writer(policy: Path, draft: Draft) -> None:
    Path("ours.md").write_text(GUIDELINES)
    shown = draft(GOOD, "--dry-run", file="ours.md")
    assert shown.exit_code == 0 and not Path("ours.yaml").exists()
    assert "+  - rule: No dog may be visible." in shown.stdout.splitlines()
    result = draft(GOOD, file="ours.md")
    assert result.exit_code == 0, result.output
    assert "2 rules: 2 drafted, 0 not" in result.stdout and "Written to ours.yaml." in result.stdout
    assert [len(rule.clauses) for rule in parse_constitution(Path("ours.yaml").read_text()).rules] == [1, 2]


def test_new_copies_the_shelf_with_its_comments(policy: Path) -> None:
    result = run("new", "--from", "shelf:community", "mine.yaml")
    assert result.exit_code == 0 and "mine.yaml written: community, 7 rules." in result.stdout
    assert Path("mine.yaml").read_text() == find_file("shelf:community").read_text()
    again = run("new", "--from", "shelf:nursery", "mine.yaml")
    assert (again.exit_code, "--force replaces it" in again.stderr) == (2, True)
    assert run("new", "--from", "shelf:nursery", "mine.yaml", "--force").exit_code == 0
    assert "Did you mean shelf:nursery?" in run("new", "--from", "shelf:nursry", "x.yaml").stderr


def test_new_without_a_source_writes_a_valid_example(policy: Path) -> None:
    assert run("new", "my policy.yaml").exit_code == 0
    assert check_constitution("my policy.yaml") == []
    assert parse_constitution(Path("my policy.yaml").read_text()).name == "my policy"
