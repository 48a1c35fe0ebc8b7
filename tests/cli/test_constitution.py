"""`jurat constitution`: its output and exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from jurat.cli import app
from jurat.constitution import load_constitution, shelf_names
from jurat.judge import Judge

SOUND = (
    "name: pets\nrules:\n  - id: dog\n    rule: No dog may be visible.\n    clauses: [A dog is visible.]\n"
)
ADVISED = SOUND.replace("A dog is visible.", "A nice dog is visible.")
BROKEN = SOUND.replace("clauses", "clause")


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["constitution", *map(str, args)], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str, name: str = "pets.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


# --- check --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [(SOUND, [], 0), (SOUND, ["--strict"], 0), (ADVISED, [], 0), (ADVISED, ["--strict"], 1), (BROKEN, [], 1)],
)
def test_check_exits_with_1_on_errors(write: Any, text: str, options: list[str], code: int) -> None:
    assert run("check", write(text), *options).exit_code == code


def test_check_prints_location_problem_and_fix(write: Any) -> None:
    path = write(BROKEN)
    lines = run("check", path).stdout.splitlines()
    assert lines == [
        f"{path}:5:5: error: unknown key `clause` [unknown-key]",
        "    Did you mean `clauses`?",
        "1 error, 0 pieces of advice",
    ]


def test_check_takes_several_files_and_the_shelf(write: Any) -> None:
    result = run("check", write(ADVISED), write(BROKEN, "other.yaml"), "shelf:privacy")
    assert "1 error, 1 piece of advice" in result.stdout
    assert result.exit_code == 1


def test_check_prints_json(write: Any) -> None:
    path = write(BROKEN)
    result = run("check", path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "errors": 1,
        "advice": 0,
        "problems": [
            {
                "file": str(path),
                "line": 5,
                "column": 5,
                "severity": "error",
                "code": "unknown-key",
                "message": "unknown key `clause`",
                "suggestion": "Did you mean `clauses`?",
            }
        ],
    }


def test_check_escapes_control_characters_and_keeps_long_lines(write: Any) -> None:
    name = "k" * 300
    result = run("check", write(SOUND + f"    {name}: x\n" + '    "\\x1b[31m": x\n'))
    assert f"unknown key `{name}`" in result.stdout
    assert "unknown key `\\x1b[31m`" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("command", ["check", "show", "test"])
def test_missing_file_is_wrong_usage(command: str, tmp_path: Path) -> None:
    result = run(command, tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "There is no constitution file" in result.stderr
    assert "Traceback" not in result.stderr


# --- show and shelf -----------------------------------------------------------------------------


def test_show_prints_rules_and_both_digests(write: Any) -> None:
    path = write(
        SOUND + "    severity: high\n    keep_below: 0.1\n    unless: [not: 'A [b]cat is visible.']\n"
    )
    constitution = load_constitution(path)
    result = run("show", path)
    assert result.exit_code == 0
    assert re.search(rf"digest +{constitution.digest}\b", result.stdout)
    assert re.search(rf"thresholds +{constitution.thresholds_digest}\b", result.stdout)
    for text in ("dog", "No dog may be visible.", "not: A [b]cat is visible.", "high", "keep below 0.1"):
        assert text in result.stdout


def test_show_prints_objects_and_descriptions(write: Any) -> None:
    text = SOUND.replace("A dog is visible.", "{statement: A dog is visible., objects: [dog, '[b]tail']}")
    path = write(text + "    description: a [b]dog\n")
    result = run("show", path)
    assert "A dog is visible. [dog, [b]tail]" in result.stdout
    assert "a [b]dog" in result.stdout
    (rule,) = json.loads(run("show", path, "--json").stdout)["rules"]
    assert rule["clauses"] == [{"statement": "A dog is visible.", "objects": ["dog", "[b]tail"]}]
    assert rule["description"] == "a [b]dog"


def test_show_json_equals_the_constitution(write: Any) -> None:
    path = write(SOUND)
    shown = json.loads(run("show", path, "--json").stdout)
    assert shown["digest"] == load_constitution(path).digest
    assert shown["rules"][0]["clauses"] == ["A dog is visible."]


def test_show_of_a_broken_file_lists_its_errors(write: Any) -> None:
    result = run("show", write(BROKEN))
    assert result.exit_code == 2
    assert "unknown key `clause`" in result.stderr


def test_shelf_lists_every_shelf_constitution() -> None:
    result = run("shelf")
    assert result.exit_code == 0
    assert all(f"shelf:{name}" in result.stdout for name in shelf_names())


# --- test ---------------------------------------------------------------------------------------

# The null model draws its answers from a seed and the image; the preset `direct` leaves none undecided.
OPTIONS = ("--model", "null", "--preset", "direct")


@pytest.fixture
def images(tmp_path: Path) -> dict[str, list[str]]:
    """File names of images by what the null model says of the rule in SOUND."""
    constitution = load_constitution(_written(tmp_path / "plain.yaml", SOUND))
    judge = Judge(constitution, "null", "direct")
    found: dict[str, list[str]] = {"broken": [], "kept": []}
    (tmp_path / "scenes").mkdir()
    for i in range(12):
        path = tmp_path / "scenes" / f"{i:02}.png"
        Image.new("RGB", (8, 8), (20 * i, 0, 0)).save(path)
        found[judge.judge(path).rules[0].outcome].append(f"scenes/{path.name}")
    assert found["broken"] and found["kept"]
    return found


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _examples(broken: list[str], kept: list[str]) -> str:
    return SOUND + f"    examples: {json.dumps({'broken': broken, 'kept': kept})}\n"


def test_matching_examples_pass(write: Any, images: dict[str, list[str]]) -> None:
    result = run("test", write(_examples(images["broken"], images["kept"])), *OPTIONS)
    assert result.exit_code == 0, result.output
    assert "12 examples, 12 as expected, 0 not" in result.stdout
    assert "model null@" in result.stdout


def test_failing_example_is_named_with_the_reason(write: Any, images: dict[str, list[str]]) -> None:
    kept = images["kept"][0]
    result = run("test", write(_examples([kept], images["kept"][1:])), *OPTIONS)
    assert result.exit_code == 1
    differing, why, *_ = result.stdout.splitlines()
    assert differing.startswith("differs") and differing.endswith(f"{kept}: dog kept, expected broken")
    assert why.startswith("    ") and "No dog may be visible" in why


def test_unreadable_example_images_fail_alone(
    write: Any, images: dict[str, list[str]], tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty").mkdir()
    path = write(_examples(["none.png", "text.png", "empty"], images["kept"]))
    result = run("test", path, *OPTIONS, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["passed"], report["failed"]) == (len(images["kept"]), 3)
    failed = [example for example in report["examples"] if not example["passed"]]
    assert [example["outcome"] for example in failed] == ["error"] * 3
    assert [Path(example["image"]).name for example in failed] == ["none.png", "text.png", "empty"]
    assert "no such file" in failed[0]["why"]
    assert all(example["why"] for example in failed)


def test_json_report_has_provenance(write: Any, images: dict[str, list[str]]) -> None:
    path = write(_examples(images["broken"], []))
    report = json.loads(run("test", path, *OPTIONS, "--json").stdout)
    constitution = load_constitution(path)
    assert report["constitution"] == f"pets@{constitution.digest}"
    assert report["thresholds"] == constitution.thresholds_digest
    assert (report["model"], report["preset"]) == ("null@none", "direct")
    assert report["examples"][0] == {
        "rule": "dog",
        "image": str(path.parent / images["broken"][0]),
        "expected": "broken",
        "outcome": "broken",
        "passed": True,
        "why": report["examples"][0]["why"],
    }


def test_example_folder_or_glob_is_expanded(write: Any, images: dict[str, list[str]]) -> None:
    path = write(_examples(["scenes"], ["scenes/0*.png"]))
    report = json.loads(run("test", path, *OPTIONS, "--json").stdout)
    assert len(report["examples"]) == 12 + 10


def test_undecided_example_fails(write: Any, images: dict[str, list[str]]) -> None:
    text = _examples(images["broken"], images["kept"]) + "    keep_below: 0.0\n    break_above: 1.0\n"
    result = run("test", write(text), *OPTIONS)
    assert result.exit_code == 1
    assert "12 examples, 0 as expected, 12 not" in result.stdout


def test_reason_names_only_the_rule_of_the_example(write: Any, images: dict[str, list[str]]) -> None:
    second = (
        "  - {id: always, rule: Nothing., clauses: [A cow is visible.], break_above: 0.0, "
        "examples: {broken: [scenes]}}\n"
    )
    text = _examples(images["kept"], []) + second
    report = json.loads(run("test", write(text), *OPTIONS, "--json").stdout)
    of_dog = [example for example in report["examples"] if example["rule"] == "dog"]
    assert all(not example["passed"] and "always" not in example["why"] for example in of_dog)


def test_constitution_without_examples_is_wrong_usage(write: Any) -> None:
    result = run("test", write(SOUND), *OPTIONS)
    assert result.exit_code == 2
    assert "There are no examples to test in" in result.stderr
    assert "examples: {broken: [...], kept: [...]}" in result.stderr


TWO = f"""{SOUND}    examples: {{{{broken: {{}}, kept: {{}}}}}}
  - id: cat
    rule: No cat may be visible.
    clauses: [A cat is visible.]
"""


def test_untested_rules_are_reported_and_fail_under_strict(write: Any, images: dict[str, list[str]]) -> None:
    path = write(TWO.format(json.dumps(images["broken"]), "[]"))
    result = run("test", path, *OPTIONS)
    assert result.exit_code == 0
    assert "not tested   dog: no example that keeps it" in result.stdout
    assert "not tested   cat: no examples" in result.stdout
    assert run("test", path, *OPTIONS, "--strict").exit_code == 1
    report = json.loads(run("test", path, *OPTIONS, "--json").stdout)
    assert report["untested"] == {"dog": "no example that keeps it", "cat": "no examples"}
    whole = write(_examples(images["broken"], images["kept"]))
    assert run("test", whole, *OPTIONS, "--strict").exit_code == 0


# --- a bundled model's language ---------------------------------------------------------------------


def test_negated_clause_is_an_error_for_a_model_that_misreads_it(write: Any) -> None:
    path = write(SOUND.replace("A dog is visible.", "No dog is visible."))
    advised, wrong = run("check", path), run("check", path, "--model", "naive")
    assert advised.exit_code == 0 and "advice" in advised.output
    assert wrong.exit_code == 1 and "may read as its opposite" in wrong.output
    assert "Write `not: A dog is visible.`" in wrong.output and "1 error, 0 pieces" in wrong.output
    assert run("check", path, "--model", "hf/some/model").exit_code == 0
    twice = write(SOUND.replace("[A dog is visible.]", "[{not: No dog is visible.}]"))
    assert "Write `A dog is visible.` without `not:`" in run("check", twice, "--model", "naive").output


@pytest.mark.parametrize(
    ("clause", "advice"),
    [
        ("A man with a guitar is visible.", 'Did you mean "A man touches a guitar."?'),
        ("Dogs are visible.", 'Write "A dog is visible." where one is enough'),
        ("A helmet is visible.", "See docs/pictograms.md for what can be said"),
    ],
)
def test_clause_that_the_model_misreads_is_an_error(write: Any, clause: str, advice: str) -> None:
    path = write(SOUND.replace("A dog is visible.", clause))
    assert run("check", path).exit_code == 0
    found = run("check", path, "--model", "naive")
    assert found.exit_code == 1 and "[unread]" in found.output and advice in found.output


def test_check_refuses_an_unknown_model(write: Any) -> None:
    found = run("check", write(SOUND), "--model", "bundeld")
    assert found.exit_code == 2 and "There is no model 'bundeld'" in found.output
    assert run("check", write(SOUND), "--model", "hf/some/model").exit_code == 0


@pytest.mark.parametrize(
    ("clauses", "told"),
    [
        ("[A ball is larger than a horse.]", True),
        ("[A ball is visible., A ball is larger than a horse.]", True),
        ("[A ball is visible., A horse is visible., A ball is larger than a horse.]", False),
        (
            "[A child is visible., A cup or a mug is visible., 'A child touches a cup, a glass or a mug.']",
            False,
        ),
        ("[{statement: A ball is larger than a horse., objects: [ball, horse]}]", False),
        ("[{not: A ball is larger than a horse.}]", False),
        ("[A dog is visible.]", False),
        ("[A person sits on a chair.]", False),
    ],
)
def test_relation_without_presence_gets_advice(write: Any, clauses: str, told: bool) -> None:
    found = run("check", write(SOUND.replace("[A dog is visible.]", clauses)))
    assert found.exit_code == 0 and ("[no-presence]" in found.output) is told
    assert not told or 'Add "A ball is visible." and "A horse is visible."' in found.output
