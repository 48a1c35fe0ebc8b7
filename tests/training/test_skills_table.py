"""The table of skills covers every attack and defense, is what the page shows, and calls a row not testable
where its model stays below the bar."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from jurat.errors import JuratError
from training.organisms import __main__ as command
from training.organisms import table
from training.organisms.exams import Result
from training.organisms.table import (
    FEWEST,
    Need,
    Row,
    can_be_tested,
    load_skills,
    markdown,
    record,
    taught_in,
)

ATTACKS = (
    ("Carlini", "Shayegani", "Qi", "Tu", "Luo", "Bagdasaryan", "Schlarmann"),
    ("Bailey", "Fu", "Chen", "Liu", "Gong", "Wu"),
)
VARIANTS = ("image embedding", "text description", "face detector", "toxicity filter")
"""Variants of Dong's attack in the table."""
DEFENSES = (
    "System prompt",
    "Self-Moderation",
    "InferAligner",
    "DRESS",
    "MLLM-Protector",
    "CoCA",
    "MIS",
    "constitution",
    "ECSO",
    "AdaShield",
    "JPEG",
    "Embedding-based",
    "Randomised views",
    "OCR first",
    "Adversarially trained",
    "preference training",
)


@pytest.fixture(autouse=True)
def _read_again() -> None:
    table._reached.cache_clear()


def test_there_is_a_row_for_every_attack_and_every_defense() -> None:
    rows = load_skills().rows
    attacks = [row.name for row in rows if row.kind == "attack"]
    for name in (*ATTACKS[0], *ATTACKS[1]):
        assert any(attack.startswith(name) for attack in attacks), name
    for variant in VARIANTS:
        assert any(attack.startswith("Dong") and variant in attack for attack in attacks), variant
    assert len(attacks) == len(ATTACKS[0]) + len(ATTACKS[1]) + len(VARIANTS)
    defenses = [row.name for row in rows if row.kind == "defense"]
    for name in DEFENSES:
        assert any(name in defense for defense in defenses), name
    assert len(defenses) == len(DEFENSES)
    assert sum(row.kind == "control" for row in rows) == 3


def test_what_a_stage_must_reach_is_taught_on_the_way_to_it_or_is_known_before() -> None:
    for row in load_skills().rows:
        for need in row.needs:
            if need.model != "bundled" and need.exam != "vault, reply begun":
                assert taught_in(need.exam, need.model), (row.name, need)


def test_the_page_shows_the_table() -> None:
    page = command.PAGE.read_text(encoding="utf-8")
    assert command.with_tables(page) == page, "run python -m training.organisms table"
    found = CliRunner().invoke(command.app, ["table", "--check"])
    assert (found.exit_code, found.output) == (0, "")


def test_a_page_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(JuratError, match="The page has not one place for the tables"):
        command.with_tables("# Organisms\n")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("{exam: juggling, model: tuned}", "there is no exam 'juggling'"),
        ("{exam: caption, model: dog}", "there is no model 'dog'; there are knows, text-aligned"),
        ("{exam: caption, model: tuned, bar: 95}", "less than or equal to 1"),
        ("{exam: caption, model: tuned, share: 1}", "there is no such key"),
    ],
)
def test_a_wrong_need_is_named(tmp_path: Path, broken: str, message: str) -> None:
    file = tmp_path / "skills.yaml"
    row = "{name: A, kind: attack, skill: b, stand_in: c, needs: [%s]}" % broken  # noqa: UP031
    file.write_text(f"bar: 0.9\nrows:\n  - {row}\n")
    with pytest.raises(JuratError, match=r"is no table of skills: line 3: rows\.0\.needs\.0") as found:
        load_skills(file)
    assert message in str(found.value)


def test_two_rows_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "skills.yaml"
    row = "{name: A, kind: attack, skill: b, stand_in: c, needs: [{exam: caption, model: tuned}]}"
    file.write_text(f"bar: 0.9\nrows:\n  - {row}\n  - {row}\n")
    with pytest.raises(JuratError, match="two rows have the name 'A'"):
        load_skills(file)


ROW = Row(
    name="A",
    kind="attack",
    skill="b",
    stand_in="c",
    needs=[Need(exam="caption", model="tuned"), Need(exam="sign obeyed", model="tuned", bar=0.8)],
)


@pytest.mark.parametrize(
    ("caption", "obeyed", "state", "cell"),
    [
        (None, None, None, "not measured"),
        ((96, 100), None, None, "not measured"),
        ((89, 100), None, False, "**not testable**"),
        ((90, 100), (80, 100), True, "yes"),
        ((90, 100), (79, 100), False, "**not testable**"),
        ((FEWEST - 1, FEWEST - 1), (80, 100), None, "not measured"),  # too few questions
    ],
)
def test_a_row_is_testable_where_every_need_is_met(
    tmp_path: Path,
    caption: tuple[int, int] | None,
    obeyed: tuple[int, int] | None,
    state: bool | None,
    cell: str,
) -> None:
    for skill, found in (("caption", caption), ("sign obeyed", obeyed)):
        if found is not None:
            record("tuned", [Result(skill, found[1], found[0], {"": found})], {"commit": "abc"}, tmp_path)
    assert can_be_tested(ROW, 0.9, tmp_path) is state
    assert table._row(ROW, 0.9, tmp_path).endswith(f"| {cell} |")


def test_an_exam_recorded_again_replaces_its_figures_and_keeps_the_others(tmp_path: Path) -> None:
    need = Need(exam="caption", model="tuned")
    record("tuned", [Result("caption", 100, 50), Result("list", 60, 60)], {}, tmp_path)
    record("tuned", [Result("caption", 100, 97, {"a": (47, 50), "b": (50, 50)})], {}, tmp_path)
    record("tuned", [Result("caption", 100, 10, pictures="jpeg")], {}, tmp_path)
    found = table.reached(need, tmp_path)
    assert found is not None and (found.right, found.weakest) == (97, 0.94)
    assert table.reached(Need(exam="list", model="tuned"), tmp_path) is not None
    page = markdown(load_skills(), tmp_path)
    row = "| `tuned` | caption | `knows-seeing`, `aligned`, `tuned` | 90% "
    assert f"{row}| 97.0% (91.5% to 99.0%) | 100 | 94.0% |" in page


def test_unknown_names_on_the_command_line_list_the_known_ones() -> None:
    say = CliRunner(env={"COLUMNS": "2000"}).invoke
    assert "there is no stage 'dog'; there are knows, " in say(command.app, ["show", "--mix", "dog"]).output
    assert "there is no exam 'dog'" in say(command.app, ["exam", "--model", "null", "--exam", "dog"]).output
    assert "there is no model 'dog'" in say(command.app, ["exam", "--model", "null", "--as", "dog"]).output
