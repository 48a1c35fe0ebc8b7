"""Training data of the rule writer: rules in many wordings with exact clauses, and telling scenes."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from jurat.models.bundled.rule_writer import NOTHING, BundledWriter
from jurat.models.bundled.writer_language import complete, without_exceptions
from jurat.models.capabilities import RuleDraft
from jurat.pictograms.objects import NOUNS
from jurat.pictograms.reading import parse
from jurat.pictograms.statements import Count, Larger, Lies, Only, Reads, Touches, Visible
from training import rule_templates
from training.lineage import read_lineage, save_stage
from training.loop import train
from training.rule_meanings import Ban, draw_ban, held_out, kind_of
from training.rule_wordings import no_rule, wording
from training.stages import Task, maker_of, stages
from training.writer.evaluation import (
    VIEWS,
    equal,
    evaluate_writer,
    rule_of,
    set_tasks,
    telling_scenes,
    write_writer_card,
)
from training.writer.train import (
    LONGEST,
    build_tokenizer,
    clauses_of,
    draw_pair,
    export_writer,
    language,
    make_batches,
)

DOG, CAT, CHILD, BEER = (NOUNS[name] for name in ("dog", "cat", "child", "beer"))
BLADE, MAN, PERSON, AXE = (NOUNS[name] for name in ("blade", "man", "person", "axe"))
TOUCH = (Touches(CHILD, (BLADE,)),)

BANS = {
    "visible": Ban(((Visible((DOG,)), Visible((CAT,))),)),
    "touches": Ban((TOUCH,)),
    "left of": Ban(((Lies(DOG, "left of", CAT),),)),
    "at least": Ban(((Count("at least", 2, DOG),),)),
    "exactly": Ban(((Count("exactly", 3, DOG),),)),
    "reads": Ban(((Reads("STOP"), Reads("SALE")),)),
    "larger": Ban(((Larger(DOG, CAT),),)),
    "only": Ban(((Only(DOG),),)),
    "together": Ban(((Visible((CHILD,)),), (Visible((BEER,)),))),
    "with a sign": Ban((TOUCH, (Reads("FREE"),))),
    "without": Ban((TOUCH,), (Visible((MAN,)),)),
    "demanded": Ban((), (Visible((DOG,)), Visible((CAT,)))),
    "unless": Ban((TOUCH,), (), ((Visible((MAN,)),), (Reads("OPEN"),))),
}


@pytest.mark.parametrize("name", BANS)
def test_every_shape_has_twelve_wordings_and_some_held_out(name: str) -> None:
    rng = random.Random(0)
    shown = {wording(BANS[name], rng) for _ in range(400)}
    unseen = {wording(BANS[name], rng, unseen=True) for _ in range(60)}
    assert len(shown) >= 12
    assert unseen and not unseen & shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("visible", "No dog or cat may be visible."),
        ("visible", "Neither a dog nor a cat may be shown."),
        ("touches", "A blade must not be touched by a child."),
        ("touches", "No child may be shown touching a blade."),
        ("at least", "No two dogs may be visible."),
        ("reads", "No sign may read STOP or SALE."),
        ("larger", "No cat may be smaller than a dog."),
        ("together", "A child and a beer must never be shown together."),
        ("without", "No child may touch a blade without a man."),
        ("demanded", "Every image must show a dog or a cat."),
    ],
)
def test_expected_wordings_are_generated(name: str, said: str) -> None:
    rng = random.Random(1)
    assert any(
        said in (wording(BANS[name], rng), wording(BANS[name], rng, unseen=True)) for _ in range(20_000)
    )


def test_about_a_sixth_of_bans_is_held_out_by_statements() -> None:
    rng = random.Random(2)
    bans = [draw_ban(rng) for _ in range(3000)]
    assert 0.1 < sum(map(held_out, bans)) / len(bans) < 0.22
    by_shape = defaultdict[str, set[bool]](set)
    for ban in bans:
        by_shape[ban.shape].add(held_out(ban))
    assert any(found == {True} for shape, found in by_shape.items() if "/" in shape or "+" in shape)
    ban = BANS["together"]
    assert held_out(ban) is held_out(replace(ban, parts=ban.parts[::-1]))


def test_drawn_pairs_hold_no_held_out_task() -> None:
    rng = random.Random(3)
    drawn = [draw_pair(rng) for _ in range(600)]
    tasks = {task.text for view in VIEWS[1:] for task in set_tasks(view, 100)}
    assert not tasks & {text for text, _ in drawn}
    nothing = sum(clauses == NOTHING for _, clauses in drawn)
    assert 15 < nothing < 75


def test_held_out_wordings_use_only_trained_tokens() -> None:
    tokenizer, rng = build_tokenizer(), random.Random(4)
    texts = [text for _ in range(4000) for text in draw_pair(rng)]
    shown = {token for ids in tokenizer(texts, add_special_tokens=False)["input_ids"] for token in ids}
    assert tokenizer.unk_token_id not in shown
    unseen = [wording(draw_ban(rng), rng, unseen=True) for _ in range(1000)]
    for text, ids in zip(unseen, tokenizer(unseen, add_special_tokens=False)["input_ids"], strict=True):
        assert shown.issuperset(ids), text
    assert all("_" not in no_rule(draw_ban(rng), rng) for _ in range(50))
    assert len(list(rule_templates.templates())) > 150


def test_names_and_plurals_are_one_token() -> None:
    tokenizer = build_tokenizer()
    (ids,) = tokenizer(["No kitchen knives, stop signs or Glasses of Milk"], add_special_tokens=False)[
        "input_ids"
    ]
    names = ["no", "kitchen knives", ",", "stop signs", "or", "glasses of milk"]
    assert tokenizer.convert_ids_to_tokens(ids) == names


def test_target_clauses_are_equivalent_to_the_ban() -> None:
    rng, known = random.Random(5), language()
    for number in range(60):
        ban = draw_ban(rng)
        clauses, unless = known.read(clauses_of(ban))
        true = ban.rule("as it is")
        for clause in (*clauses, *unless):
            for said in clause:
                assert str(parse(said.text)) == said.text
        text = wording(ban, rng)
        names = " ".join(said.text for clause in (*clauses, *unless) for said in clause)
        assert set(known.names_in(text)) == set(known.names_in(names)), text
        if number < 8:
            whole = without_exceptions(complete(clauses, known), unless)
            lines = tuple(tuple((said.text, said.negated) for said in clause) for clause in whole)
            scenes = telling_scenes((true,), number, recast=120, built=2)
            assert equal(true, rule_of("written", RuleDraft(lines)), scenes)


DIFFERENT = {
    "a look-alike": (BANS["touches"], Ban(((Touches(CHILD, (AXE,)),),))),
    "visible, not touching": (BANS["touches"], Ban(((Visible((CHILD,)),), (Visible((BLADE,)),)))),
    "one of two": (BANS["visible"], Ban(((Visible((DOG,)),),))),
    "both for one": (BANS["visible"], Ban(((Visible((DOG,)),), (Visible((CAT,)),)))),
    "the other side": (BANS["left of"], Ban(((Lies(CAT, "left of", DOG),),))),
    "another number": (BANS["at least"], Ban(((Count("at least", 3, DOG),),))),
    "exactly for at least": (BANS["at least"], Ban(((Count("exactly", 2, DOG),),))),
    "another word": (BANS["with a sign"], Ban((TOUCH, (Reads("SALE"),)))),
    "no exception": (BANS["unless"], BANS["touches"]),
    "half an exception": (BANS["unless"], Ban((TOUCH,), (), ((Visible((MAN,)),),))),
    "an exception demanded": (BANS["without"], Ban((TOUCH, (Visible((MAN,)),)))),
    "smaller": (BANS["larger"], Ban(((Larger(CAT, DOG),),))),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_scenes_distinguish_different_rules(name: str) -> None:
    first, second = (ban.rule(name) for ban in DIFFERENT[name])
    assert not equal(first, second, telling_scenes((first, second), 1, recast=200, built=2))


def test_exception_equals_a_negated_condition() -> None:
    first, second = BANS["without"].rule("x"), Ban((TOUCH,), (), ((Visible((MAN,)),),)).rule("x")
    assert equal(first, second, telling_scenes((first, second), 2, recast=200, built=2))


def test_tasks_of_a_view_are_distinct_and_held_out_as_named() -> None:
    for view in VIEWS:
        tasks = set_tasks(view, 40)
        assert len({task.text for task in tasks}) == 40
        assert {held_out(task.ban) for task in tasks} == {view in ("held-out combinations", "both held out")}


def test_batches_predict_only_the_clauses() -> None:
    tokenizer, words = build_tokenizer(), random.Random(0)
    made = make_batches(tokenizer, [draw_pair(words) for _ in range(10)])
    assert [len(ids) for ids, _ in made] == [3, 3, 3, 1]
    for ids, goal in made:
        assert ids.shape == goal.shape and ids.shape[1] <= LONGEST
        for row, wanted in zip(ids, goal, strict=True):
            at = (row == tokenizer.convert_tokens_to_ids("<clauses>")).nonzero()[0, 0]
            asked = (wanted >= 0).nonzero()[:, 0]
            assert asked[0] == at
            assert wanted[asked][-1] == tokenizer.eos_token_id
            assert wanted[asked][:-1].equal(row[at + 1 : at + len(asked)])


@pytest.mark.slow
def test_training_runs_and_exports(tmp_path: Path) -> None:
    schedule = replace(stages()["writer"].schedule, steps=3, batch=4)
    task = Task(replace(stages()["writer"], schedule=schedule), tmp_path, tmp_path)
    done = train(maker_of(task), schedule, tmp_path / "writer.pt")
    assert sum(done.counts.values()) == 12 and 0 < done.measured["token"] < 1
    stage, folder = save_stage(task, done, tmp_path / "stage"), tmp_path / "writer"
    export_writer(stage, folder)
    assert (folder / "model.safetensors").stat().st_size < 3_000_000
    writer = BundledWriter(folder, device="cpu")
    assert writer.language == language()
    found = evaluate_writer(folder, 3)
    assert [row["n"] for row in found["rows"]] == [3] * len(VIEWS)
    write_writer_card(folder, read_lineage(stage), found)
    assert "| stage `writer` | from nothing, 0 minutes (batch 4, " in (folder / "README.md").read_text()


def test_kind_of_covers_every_statement_kind() -> None:
    assert {kind_of(part) for ban in BANS.values() for part in ban.parts} == {
        "visible",
        "touches",
        "lies",
        "count",
        "reads",
        "larger",
        "only",
    }
