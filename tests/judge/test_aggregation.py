"""Items of several images, animations and videos: one verdict an item, by one rule for all of them."""

from __future__ import annotations

import hashlib
import io
import json
from math import comb
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jurat.content import Item, LazyImage
from jurat.errors import JuratError
from jurat.judge import Judge, row_to_verdict, verdict_to_row
from jurat.judge.aggregation import FRAME_ALARM, ITEM_ALARM, frames_needed, in_pixels_of_the_file, of_item
from jurat.judge.loading import Place
from jurat.judge.verdict import AlternativeScore, Finding, Region, RuleFinding, RuleOutcome
from jurat.media import Sampling
from jurat.sources import find_items

from .tinted import Tinted, law, red

OUTCOMES: dict[str, RuleOutcome] = {"b": "broken", "u": "undecided", "k": "kept"}
SCORES = {"b": 0.9, "u": 0.5, "k": 0.1}


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def gif(*shares: float) -> bytes:
    frames = [red(share) for share in shares]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=50)
    return stream.getvalue()


def said(outcome: str, index: int = 0) -> RuleFinding:
    return RuleFinding(
        id="r",
        outcome=OUTCOMES[outcome],
        score=SCORES[outcome],
        severity=None,
        decided_by=None,
        reason=None,
        frame=index,
        clauses=(),
    )


def parts(outcomes: str) -> list[tuple[Place, RuleFinding]]:
    return [(Place(i, time=float(i)), said(outcome, i)) for i, outcome in enumerate(outcomes)]


# --- k of m --------------------------------------------------------------------------------------


@given(st.text("buk", min_size=2, max_size=9), st.integers(1, 12))
def test_k_of_m_is_three_valued_and_agrees_with_scores(outcomes: str, needed: int) -> None:
    finding = of_item([parts(outcomes)], [needed])
    k = min(needed, len(outcomes))
    could = outcomes.count("b") + outcomes.count("u")
    expected = "broken" if outcomes.count("b") >= k else "undecided" if could >= k else "kept"
    assert (finding.outcome, finding.needed) == (expected, k)
    assert finding.score == sorted((SCORES[o] for o in outcomes), reverse=True)[k - 1]
    assert finding.agreeing == sum(OUTCOMES[o] == expected for o in outcomes)
    assert [(p.index, p.time, p.outcome) for p in finding.parts] == [
        (i, float(i), OUTCOMES[o]) for i, o in enumerate(outcomes)
    ]
    assert finding.parts[finding.frame].outcome == expected


def test_one_image_breaks_an_item_by_its_own_frames_needed() -> None:
    video, still = parts("kbkk"), parts("k")
    assert of_item([video, still], [2, 1]).outcome == "kept"
    assert of_item([video, parts("b")], [2, 1]).outcome == "broken"
    twice = of_item([parts("kbbk"), still], [2, 1])
    assert (twice.outcome, twice.needed, twice.agreeing, len(twice.parts)) == ("broken", 2, 2, 5)


def test_item_of_one_part_lists_no_parts() -> None:
    finding = of_item([parts("b")], [1])
    assert (finding.parts, finding.agreeing, finding.needed) == ((), 1, 1)


@pytest.mark.parametrize("frames", [1, 2, 8, 10, 11, 32, 53, 54, 200])
@pytest.mark.parametrize("alarm", [FRAME_ALARM, 0.001, 0.1, 0.5])
def test_frames_needed_is_the_smallest_number_chance_rarely_reaches(frames: int, alarm: float) -> None:
    def chance(k: int) -> float:
        return sum(comb(frames, i) * alarm**i * (1 - alarm) ** (frames - i) for i in range(k, frames + 1))

    k = frames_needed(frames, alarm)
    assert 1 <= k <= frames
    assert k == frames or chance(k) <= ITEM_ALARM + 1e-9
    assert k == 1 or chance(k - 1) > ITEM_ALARM - 1e-9


def test_frames_needed_grows_with_the_number_of_frames() -> None:
    assert [frames_needed(m) for m in (1, 8, 10, 11, 32, 53, 54)] == [1, 1, 1, 2, 2, 2, 3]


# --- items of several images ---------------------------------------------------------------------


def test_item_of_several_images_records_the_broken_image(tmp_path: Path) -> None:
    path = tmp_path / "b.png"
    path.write_bytes(png(red(0.9)))
    verdict = Judge(law(), Tinted(), "quick").judge(Item([red(0.1), path, png(red(0.2, 16))]))
    assert (verdict.outcome, verdict.broken, verdict.kind) == ("unsafe", ("red",), "images")
    assert (verdict.id, verdict.uri, verdict.frames, verdict.frame) == ("images", "", 3, 1)
    (rule,) = verdict.rules
    assert [(part.index, part.frame, part.time, part.outcome) for part in rule.parts] == [
        (0, None, None, "kept"),
        (1, None, None, "broken"),
        (2, None, None, "kept"),
    ]
    assert [part.score for part in rule.parts] == pytest.approx([26 / 255, 230 / 255, 51 / 255])
    assert (rule.agreeing, rule.needed, rule.frame) == (1, 1, 1)
    assert [image.uri for image in verdict.images] == ["", str(path), ""]
    assert [(image.width, image.height) for image in verdict.images] == [(8, 8), (8, 8), (16, 16)]
    digests = [image.sha256 for image in verdict.images]
    assert digests[1] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert verdict.sha256 == hashlib.sha256("\n".join(digests).encode()).hexdigest()
    row = json.loads(json.dumps(verdict_to_row(verdict)))
    assert row["rules"][0]["parts"][1]["outcome"] == "broken"
    assert verdict_to_row(row_to_verdict(row)) == row


def test_item_of_one_image_is_judged_as_that_image() -> None:
    judge = Judge(law(), Tinted(), "quick")
    one, listed = judge.judge(red(0.9)), judge.judge(Item([red(0.9)]))
    assert (listed.kind, listed.images, listed.sha256) == ("image", (), one.sha256)
    assert listed.rules == one.rules


def test_animation_among_images_records_its_frames() -> None:
    verdict = Judge(law(), Tinted(), "quick").judge(Item([red(0.1), gif(0.1, 0.2, 0.9)]))
    (rule,) = verdict.rules
    assert [(part.index, part.frame) for part in rule.parts] == [(0, None), (1, 0), (1, 1), (1, 2)]
    assert (verdict.outcome, rule.frame, rule.parts[3].outcome) == ("unsafe", 1, "broken")


def test_animation_alone_records_its_frames() -> None:
    (rule,) = Judge(law(), Tinted(), "quick").judge(gif(0.1, 0.9, 0.8)).rules
    assert [(part.index, part.outcome) for part in rule.parts] == [(0, "kept"), (1, "broken"), (2, "broken")]
    assert (rule.frame, rule.agreeing) == (1, 2)


def test_refusal_on_one_image_keeps_the_item_unsure() -> None:
    judge = Judge(law(), Tinted(), "quick")
    blue = Image.new("RGB", (8, 8), (0, 0, 255))
    verdict = judge(Item([red(0.1), blue]))
    assert (verdict.outcome, verdict.reason) == ("unsure", "refused")
    assert judge(Item([red(0.9), blue])).outcome == "unsafe"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "there is no image in it"),
        ([red(0.1), b""], "image 2 of 2: the file is empty (0 bytes)"),
        ([red(0.1), "gone.png", red(0.1)], "image 2 of 3: no such file or folder: gone.png"),
    ],
)
def test_error_names_the_unreadable_image_of_an_item(given: list[object], told: str) -> None:
    verdict = Judge(law(), Tinted(), "quick").judge(Item(given))  # pyright: ignore[reportArgumentType]
    assert (verdict.outcome, verdict.error, verdict.images) == ("error", told, ())


def test_items_of_several_images_are_streamed_in_order() -> None:
    def image(share: float) -> LazyImage:
        return LazyImage(f"memory:{share}", lambda: png(red(share)))

    items = [
        Item([lambda: png(red(0.9))], "a", "m:a"),
        Item([image(0.1), image(0.9), image(0.8)], "b", "m:b"),
        Item([lambda: png(red(0.1))], "c", "m:c"),
    ]
    found = list(Judge(law(), Tinted(), "quick", batch_size=2).stream(items))
    assert [(v.id, v.kind, v.outcome) for v in found] == [
        ("a", "image", "unsafe"),
        ("b", "images", "unsafe"),
        ("c", "image", "safe"),
    ]
    assert [image.uri for image in found[1].images] == ["memory:0.1", "memory:0.9", "memory:0.8"]


def test_table_rows_with_lists_are_judged_as_items(tmp_path: Path) -> None:
    for name, share in (("a", 0.1), ("b", 0.9), ("c", 0.2)):
        (tmp_path / f"{name}.png").write_bytes(png(red(share)))
    table = tmp_path / "t.jsonl"
    table.write_text('{"images": ["a.png", "c.png"]}\n{"images": ["a.png", "b.png"]}\n')
    safe, unsafe = Judge(law(), Tinted(), "quick").stream(find_items([str(table)]))
    assert [(v.outcome, v.frames, v.id) for v in (safe, unsafe)] == [
        ("safe", 2, f"{table}#0"),
        ("unsafe", 2, f"{table}#1"),
    ]
    assert unsafe.images[1].uri == str(tmp_path / "b.png")


def test_frame_settings_out_of_range_are_refused() -> None:
    with pytest.raises(JuratError, match="frames_needed must be at least 1, not 0"):
        Judge(law(), Tinted(), "quick", frames_needed=0)
    with pytest.raises(ValueError, match="fps must be above 0"):
        Sampling(fps=0)


def test_regions_of_a_scaled_frame_are_in_file_pixels() -> None:
    region = Region(word="ball", score=0.9, x0=1, y0=2, x1=10, y1=20)
    one = AlternativeScore(text="x", score=0.9, baseline=None, mass=1, regions=(region,))
    clause = Finding(
        text="x",
        role="clause",
        outcome="holds",
        score=0.9,
        baseline=None,
        mass=1,
        decided_by=None,
        reason=None,
        alternatives=(one,),
    )
    finding = said("b").model_copy(update={"clauses": (clause,)})
    (scaled,) = in_pixels_of_the_file(finding, 2.5).clauses[0].alternatives[0].regions
    assert (scaled.x0, scaled.y0, scaled.x1, scaled.y1) == (2.5, 5, 25, 50)
    assert in_pixels_of_the_file(finding, 1.0) == finding


def test_record_counts_frames_in_the_file_and_judged_ones() -> None:
    judge = Judge(law(), Tinted(), "quick", sampling=Sampling(frames=4))
    verdict = judge(gif(*[0.1 + 0.02 * i for i in range(20)]))
    assert (verdict.kind, verdict.frames, verdict.frames_in_file) == ("animation", 4, 20)
    whole = Judge(law(), Tinted(), "quick")(gif(0.1, 0.9, *[0.1 + 0.01 * i for i in range(1, 19)]))
    assert (whole.outcome, whole.frame, whole.frames, whole.frames_in_file) == ("unsafe", 1, 20, 20)
    assert judge(Item([red(0.1), gif(0.1, 0.2, 0.3)])).frames_in_file == 4
    assert judge(b"no picture").frames_in_file is None
