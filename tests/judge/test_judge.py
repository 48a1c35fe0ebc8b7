from __future__ import annotations

import gc
import hashlib
import json
import tracemalloc
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jurat
from jurat.constitution import Constitution, Rule
from jurat.content import ImageError, Item
from jurat.errors import JuratError
from jurat.judge import Judge, Verdict, verdict_to_row
from jurat.models.bundled.model import BundledModel
from jurat.sources import find_items

from ..models import tiny


def png(seed: int) -> bytes:
    stream = BytesIO()
    tiny.picture(seed).save(stream, "PNG")
    return stream.getvalue()


def item(seed: int) -> Item:
    return Item([lambda: png(seed)], f"{seed}", f"memory:{seed}")


def broken(reason: str) -> Item:
    def fail() -> bytes:
        raise ImageError(reason)

    return Item([fail], "broken", "memory:broken")


def essence(verdict: Verdict) -> dict[str, object]:
    """A verdict without what differs between two runs."""
    row = verdict_to_row(verdict)
    return {
        name: value
        for name, value in row.items()
        if name not in ("decision", "time", "seconds", "id", "uri", "sha256")
    }


def test_verdict_names_its_item_model_constitution_and_preset(law: Constitution, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    before = datetime.now(UTC)
    verdict = Judge(law, "null?seed=3")(path)
    assert (verdict.id, verdict.uri, verdict.kind) == (str(path), str(path), "image")
    assert (verdict.width, verdict.height, verdict.frames, verdict.frame) == (40, 40, 1, 0)
    assert verdict.sha256 == hashlib.sha256(png(1)).hexdigest()
    assert verdict.model == "null?seed=3@none"
    assert verdict.constitution == f"kitchen@{law.digest}"
    assert verdict.thresholds == law.thresholds_digest
    assert (verdict.preset, verdict.jurat, verdict.dtype) == ("jurat", jurat.__version__, "none")
    assert len(verdict.prompts) == 12
    assert verdict.note == "The null model draws its answers from a seed: they mean nothing."
    assert verdict.time.endswith("Z")
    assert abs((datetime.fromisoformat(verdict.time) - before).total_seconds()) < 60
    assert 0 < verdict.seconds < 60
    assert [rule.id for rule in verdict.rules] == ["blade", "dog", "whole"]
    assert (verdict.rules[0].severity, verdict.rules[0].action) == ("high", "remove")
    assert [clause.role for clause in verdict.rules[0].clauses] == ["clause", "clause", "unless"]


def test_image_gets_the_same_verdict_from_any_input_type(law: Constitution, tmp_path: Path) -> None:
    judge = Judge(law, "null")
    image = tiny.picture(1)
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    verdicts = [
        judge(path),
        judge(str(path)),
        judge(png(1)),
        judge(image),
        judge(np.asarray(image)),
        judge.judge(path),
    ]
    assert len({json.dumps(essence(verdict), sort_keys=True) for verdict in verdicts}) == 1
    assert [verdict.id for verdict in verdicts[2:4]] == ["image", "image"]
    assert judge(png(1), id="mine").id == "mine"
    assert len({verdict.decision for verdict in verdicts}) == len(verdicts)


@pytest.mark.parametrize("batch_size", [1, 3, 16, 100])
def test_batch_size_changes_no_verdict(law: Constitution, bundled: BundledModel, batch_size: int) -> None:
    judge = Judge(law, bundled, batch_size=batch_size)
    files = [Item([lambda seed=seed: _scene(seed)], str(seed)) for seed in range(7)]
    together = list(judge.stream(files))
    assert [verdict.id for verdict in together] == [str(seed) for seed in range(7)]
    for seed, verdict in enumerate(together):
        alone = judge(_scene(seed))
        assert (verdict.outcome, verdict.broken) == (alone.outcome, alone.broken)
        pairs = zip(verdict.rules, alone.rules, strict=True)
        assert all(a.score == pytest.approx(b.score, abs=1e-4) for a, b in pairs)


def _scene(seed: int) -> bytes:
    stream = BytesIO()
    tiny.scene(seed).save(stream, "PNG")
    return stream.getvalue()


def test_each_rule_is_judged_alone(law: Constitution) -> None:
    """Taking rules away changes nothing that is said of those that stay."""
    whole = Judge(law, "null")(png(1))
    for rule, finding in zip(law.rules, whole.rules, strict=True):
        alone = Judge(Constitution(name="one", rules=(rule,)), "null")(png(1))
        assert alone.rules == (finding,)


def test_bad_items_become_errors_and_the_stream_continues(law: Constitution) -> None:
    def nonsense() -> bytes:
        raise KeyError("someone else's bug")

    items = [
        item(1),
        broken("the disk is on fire"),
        Item([lambda: b"no image"], "text"),
        Item([nonsense], "bug"),
        item(2),
    ]
    verdicts = list(Judge(law, "null", batch_size=2).stream(items))
    assert [verdict.id for verdict in verdicts] == ["1", "broken", "text", "bug", "2"]
    assert [verdict.outcome == "error" for verdict in verdicts] == [False, True, True, True, False]
    for verdict in verdicts[1:4]:
        assert (verdict.reason, verdict.rules, verdict.broken, verdict.sha256) == ("error", (), (), None)
    assert verdicts[1].error == "the disk is on fire"
    assert verdicts[2].error is not None and "not an image" in verdicts[2].error
    assert verdicts[3].error is not None and "someone else's bug" in verdicts[3].error
    assert all(verdict.error is None for verdict in (verdicts[0], verdicts[4]))


def test_missing_file_is_an_error_verdict(law: Constitution, tmp_path: Path) -> None:
    path = tmp_path / "absent.png"
    verdict = Judge(law, "null")(path)
    assert (verdict.outcome, verdict.error) == ("error", f"no such file or folder: {path}")
    (found,) = Judge(law, "null").stream(find_items([str(path)]))
    assert (found.outcome, found.error) == (verdict.outcome, verdict.error)


def test_exception_of_the_model_fails_only_its_items(law: Constitution) -> None:
    judge, sound = Judge(law, "null?crash=0.3", "quick", batch_size=8), Judge(law, "null", "quick")
    verdicts = list(judge.stream(item(seed) for seed in range(24)))
    crashed = [verdict for verdict in verdicts if verdict.outcome == "error"]
    assert 2 <= len(crashed) <= 15
    assert {verdict.error for verdict in crashed} == {
        "The model raised RuntimeError: the null model crashed, as it was asked to"
    }
    for seed, verdict in enumerate(verdicts):
        if verdict.outcome != "error":
            assert verdict.rules == sound(png(seed)).rules


@pytest.mark.parametrize(
    ("kind", "outcome", "rules"),
    [
        ("error", "error", 0),
        ("refused", "unsure", 3),
        ("filtered", "unsure", 3),
        ("unparsed", "unsure", 3),
        ("out_of_domain", "unsure", 3),
    ],
)
def test_failure_to_answer_is_never_safe_nor_unsafe(
    law: Constitution, kind: str, outcome: str, rules: int
) -> None:
    verdict = Judge(law, f"null?fail=1&kind={kind}")(png(1))
    assert (verdict.outcome, verdict.reason, len(verdict.rules)) == (outcome, kind, rules)
    assert {rule.outcome for rule in verdict.rules} <= {"undecided"}
    if outcome == "unsure":
        assert verdict.note is not None and "as it was asked to" in verdict.note


def test_low_mass_is_unsure(law: Constitution) -> None:
    verdict = Judge(law, "null?mass=0.3")(png(1))
    assert (verdict.outcome, verdict.reason) == ("unsure", "low_mass")


def gif(shades: list[int]) -> bytes:
    frames = [Image.new("RGB", (16, 16), (shade, shade, shade)) for shade in shades]
    stream = BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=50)
    return stream.getvalue()


def test_animation_takes_the_worst_frame_of_each_rule(law: Constitution) -> None:
    shades = [10, 60, 110, 160, 210, 250]
    judge = Judge(law, "null?seed=5", batch_size=2)
    verdict = judge(gif(shades))
    assert (verdict.kind, verdict.frames) == ("animation", 6)
    stills = [judge(Image.new("RGB", (16, 16), (shade, shade, shade))) for shade in shades]
    order = {"kept": 0, "undecided": 1, "broken": 2}
    for i, rule in enumerate(verdict.rules):
        worst = max((still.rules[i] for still in stills), key=lambda r: (order[r.outcome], r.score or 0))
        assert (rule.outcome, rule.score) == (worst.outcome, worst.score)
        assert stills[rule.frame].rules[i].score == rule.score
    assert set(verdict.broken) == {rule for still in stills for rule in still.broken}
    assert verdict.frame in {rule.frame for rule in verdict.rules}


def test_animation_with_a_failed_frame_is_not_safe() -> None:
    always_kept = Constitution(
        name="c", rules=(Rule(id="r", rule="R", clauses=("A",), keep_below=1.0, break_above=1.0),)
    )  # pyright: ignore[reportArgumentType]
    shades = list(range(0, 250, 31))
    safe = Judge(always_kept, "null")(gif(shades))
    assert safe.outcome == "safe"
    for kind in ("crash=0.4", "fail=0.4&kind=refused"):
        verdict = Judge(always_kept, f"null?{kind}")(gif(shades))
        assert verdict.outcome == "unsure"
        assert verdict.note is not None and "as it was asked to" in verdict.note


def test_streaming_is_lazy_and_holds_one_batch(law: Constitution) -> None:
    opened: list[int] = []
    alive: list[weakref.ref[Item]] = []

    def items() -> Iterator[Item]:
        for seed in range(1000):
            opened.append(seed)
            one = item(seed)
            alive.append(weakref.ref(one))
            yield one

    stream = Judge(law, "null", batch_size=4).stream(items())
    assert opened == []
    next(stream)
    assert len(opened) == 4
    for _ in range(40):
        next(stream)
    assert len(opened) <= 44
    assert sum(ref() is not None for ref in alive) <= 5


def test_memory_does_not_grow_with_items(law: Constitution) -> None:
    stream = Judge(law, "null", batch_size=4).stream(item(seed % 10) for seed in range(120))
    held: list[int] = []
    for n, _ in enumerate(stream, start=1):
        if n == 40:  # what is loaded once has been loaded
            tracemalloc.start()
        if n % 40 == 0:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[-1] - held[1] < 100_000, held


# --- words and worlds


def test_unknown_words_are_refused_by_name(bundled: BundledModel) -> None:
    strange = Constitution(
        name="c",
        rules=(
            Rule(id="helmet", rule="No helmets.", clauses=("A helmet is visible.", "A dog is visible.")),  # pyright: ignore[reportArgumentType]
            Rule(
                id="other", rule="Nothing.", clauses=("A cat is visible.",), unless=("A harness is visible.",)
            ),  # pyright: ignore[reportArgumentType]
        ),
    )
    with pytest.raises(JuratError, match="never learned some words") as raised:
        Judge(strange, bundled)
    first, *words = str(raised.value).splitlines()
    assert first.startswith(
        "The model 'bundled' never learned some words of this constitution, in 2 of its 4 questions:"
    )
    assert all(option in first for option in ("--model", "docs/pictograms.md", "--allow-unknown"))
    assert words == [
        "  These are the words:",
        "  'helmet' in 'A helmet is visible.' of helmet",
        "  'harness' in 'A harness is visible.' of other",
    ]
    assert raised.value.exit_code == 2


def test_allowed_unknown_words_are_out_of_domain(bundled: BundledModel) -> None:
    strange = Constitution(name="c", rules=(Rule(id="r", rule="R", clauses=("A helmet is visible.",)),))  # pyright: ignore[reportArgumentType]
    verdict = Judge(strange, bundled, allow_unknown=True)(tiny.scene(1))
    assert (verdict.outcome, verdict.reason) == ("unsure", "out_of_domain")
    assert verdict.rules[0].clauses[0].alternatives[0].score is None


def test_only_words_of_questions_are_checked(bundled: BundledModel) -> None:
    """The rule's own text is for people, unless the preset puts it as a question."""
    law = Constitution(name="c", rules=(Rule(id="r", rule="No frolicking.", clauses=("A dog is visible.",)),))  # pyright: ignore[reportArgumentType]
    Judge(law, bundled)
    with pytest.raises(JuratError, match=r"'frolicking' in 'No frolicking\.' of r"):
        Judge(law, bundled, "direct")


def test_foreign_image_is_unsure_and_out_of_domain(law: Constitution, bundled: BundledModel) -> None:
    judge = Judge(law, bundled)
    verdict = judge(tiny.noise())
    assert (verdict.outcome, verdict.reason, verdict.broken) == ("unsure", "out_of_domain", ())
    assert verdict.note == "The image is unlike the scenes of pictograms that the bundled model knows."
    assert judge(tiny.scene(1)).reason != "out_of_domain"


@pytest.mark.parametrize("preset", ["quick", "clue-quick", "direct"])
def test_presets_judge_with_the_bundled_model(law: Constitution, bundled: BundledModel, preset: str) -> None:
    verdict = Judge(law, bundled, preset, allow_unknown=True)(tiny.scene(3))
    assert verdict.preset == preset
    assert verdict.model == f"bundled@{bundled.revision}"
    assert verdict.outcome in ("safe", "unsafe", "unsure")
    for rule in verdict.rules:
        for clause in rule.clauses:
            for alternative in clause.alternatives:
                assert alternative.mass is not None
                assert (alternative.baseline is None) == (
                    preset == "direct" or alternative.mass < 0.5 or alternative.baseline is None
                )


def test_recorded_scores_equal_those_of_asking_directly(law: Constitution, bundled: BundledModel) -> None:
    """What the record says of a statement is what asking it alone gives."""
    from jurat.content import Chat, Turn
    from jurat.models import Inquiry

    image = tiny.scene(2)
    verdict = Judge(law, bundled)(image)
    instruction = "Is the following statement true of this image? Answer with Yes or No."
    for rule in verdict.rules[:2]:
        for alternative in (a for clause in rule.clauses for a in clause.alternatives):
            question = f"Statement: {alternative.text}"
            (answer,) = bundled.ask([Inquiry(Chat((Turn("user", (image, instruction)),)), (question,))])
            assert alternative.score == pytest.approx(answer.answers[0].score, abs=1e-5)
            assert alternative.mass == pytest.approx(answer.answers[0].mass, abs=1e-5)


def test_judge_opens_names_and_paths(tmp_path: Path) -> None:
    path = tmp_path / "law.yaml"
    path.write_text(
        "name: mine\nrules:\n  - rule: No dog may be visible.\n    clauses: [A dog is visible.]\n"
    )
    verdict = jurat.Judge(path, "null")(png(1))
    assert verdict.constitution.startswith("mine@")
    with pytest.raises(JuratError, match="There is no model 'nul'"):
        jurat.Judge(path, "nul")
    with pytest.raises(JuratError, match="batch_size must be at least 1"):
        jurat.Judge(path, "null", batch_size=0)
