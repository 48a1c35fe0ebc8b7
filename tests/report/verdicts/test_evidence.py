"""Evidence of items with several parts, of captions, and of what clauses are about."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jurat.constitution import Clause, Constitution, Rule, Statement
from jurat.content import Item
from jurat.judge import Judge, Verdict
from jurat.judge.verdict import Part
from jurat.report import write_report
from jurat.report.verdicts.evidence import Texts, evidence
from jurat.report.verdicts.read_run import Entry

from ...videos import video

CONSTITUTION = Constitution(name="c", rules=(Rule(id="r", rule="R", clauses=("A",)),))
COLOURS = ("red", "lime", "blue")
OUTCOMES = ("kept", "broken", "undecided")


def parts(verdict: Verdict, worst: int, needed: int = 1) -> Verdict:
    """The verdict with a rule that is broken in its second part."""
    (rule,) = verdict.rules
    said = tuple(
        part.model_copy(update={"outcome": outcome, "score": score})
        for part, outcome, score in zip(rule.parts, OUTCOMES, (0.1, 0.91, 0.5), strict=True)
    )
    rule = rule.model_copy(update={"parts": said, "frame": worst, "needed": needed})
    return verdict.model_copy(update={"rules": (rule,), "frame": worst})


@pytest.fixture
def clip(tmp_path: Path) -> Verdict:
    pictures = [Image.new("RGB", (32, 32), colour) for colour in COLOURS]
    (tmp_path / "clip.mp4").write_bytes(video(pictures, fps=2, each=2))
    return parts(Judge(CONSTITUTION, "null", "quick").judge(tmp_path / "clip.mp4"), worst=1, needed=2)


def told(verdict: Verdict, **carried: str) -> dict[str, Any]:
    return evidence(Entry(verdict, carried), (), Texts())


def test_video_evidence_has_times_and_needed_frames(clip: Verdict) -> None:
    item = told(clip)
    assert (item["kind"], item["frames"], item["shows"]) == ("video", 3, "1.0 s")
    (rule,) = item["rules"]
    assert rule["parts"] == [["0.0 s", "kept", 0.1], ["1.0 s", "broken", 0.91], ["2.0 s", "undecided", 0.5]]
    assert rule["needed"] == 2 and "frame" not in rule
    elsewhere = clip.rules[0].model_copy(update={"frame": 2})
    assert told(clip.model_copy(update={"rules": (elsewhere,)}))["rules"][0]["frame"] == "2.0 s"


def test_evidence_of_several_images_names_the_one_shown(
    tmp_path: Path,
) -> None:
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (16 * (number + 1), 16), COLOURS[number]).save(path)
    item = told(parts(Judge(CONSTITUTION, "null", "quick").judge(Item(paths)), worst=1))
    assert (item["kind"], item["shows"], item["width"], item["height"]) == ("images", "image 2", 32, 16)
    assert [place for place, _, _ in item["rules"][0]["parts"]] == ["image 1", "image 2", "image 3"]
    within = Part(index=1, frame=4, outcome="broken", score=0.9)
    (rule,) = parts(Judge(CONSTITUTION, "null", "quick").judge(Item(paths)), worst=1).rules
    verdict = Judge(CONSTITUTION, "null", "quick").judge(Item(paths))
    moved = verdict.model_copy(update={"frame": 1, "rules": (rule.model_copy(update={"parts": (within,)}),)})
    assert told(moved)["shows"] == "image 2, frame 4"


def test_evidence_of_one_image_has_no_parts(verdict: Any) -> None:
    item = told(verdict("x.png", "unsafe"))
    assert not {"kind", "frames", "shows"} & item.keys()
    assert not {"parts", "needed", "frame"} & item["rules"][0].keys()


def test_evidence_has_the_caption_and_what_clauses_are_about(tmp_path: Path) -> None:
    clauses = tuple(
        Clause(alternatives=(Statement(text=f"{about} speaks."),), about=about)
        for about in ("image", "caption", "pair", "text_in_image")
    )
    policy = Constitution(name="c", rules=(Rule(id="r", rule="R", clauses=clauses),))
    Image.new("RGB", (16, 16)).save(tmp_path / "x.png")
    judged = Judge(policy, "null", "quick").judge(tmp_path / "x.png", caption="Buy \u202enow")
    item = told(judged, source="crawl")
    assert item["carried"] == {"caption": "Buy \\u202enow", "source": "crawl"}
    assert [clause.get("about") for clause in item["rules"][0]["clauses"]] == [
        None, "in the caption", "image and caption", "text in the image",
    ]  # fmt: skip
    assert told(judged, title="Buy \u202enow")["carried"] == {"title": "Buy \\u202enow"}


def test_picture_of_a_video_is_the_deciding_frame(clip: Verdict, record: Any, tmp_path: Path) -> None:
    write_report(record(clip), tmp_path / "page.html")
    (url,) = re.findall(r'"data:image/webp;base64,([^"]+)"', (tmp_path / "page.html").read_text())
    pixel = Image.open(io.BytesIO(base64.b64decode(url))).convert("RGB").getpixel((16, 16))
    assert pixel.index(max(pixel)) == 1


@pytest.mark.browser
def test_page_lists_parts_of_a_video(browser: Any, clip: Verdict, record: Any, tmp_path: Path) -> None:
    write_report(record(clip), tmp_path / "page.html")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.get_by_role("button", name="Evidence").click()
    page.get_by_role("dialog").locator(".parts").first.wait_for(state="attached")
    said = page.get_by_role("dialog").evaluate("e => e.textContent")
    assert "broken in 1 of 3: 1.0 s (0.91); undecided in 1 of 3: 2.0 s (0.50); it takes 2 frames" in said
    assert "video: 1.0 s is shown, of 3 frames judged" in said
    page.close()
