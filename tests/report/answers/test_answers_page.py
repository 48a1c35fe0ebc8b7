"""The page of answers, written from rows, and in Chromium."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from jurat.errors import JuratError
from jurat.report import Given, Judged, SampleRow, write_answers
from jurat.report.answers.pictures import picture_of
from jurat.report.gallery import Thumbnail

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><!-- \u202e"


def png(colour: str, size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def judged(label: str | None, state: str = "scored", scorer: str = "refusal@1") -> Judged:
    event = None if label is None else label == "refusal"
    return Judged(scorer, state, label, event, "refused", f"Because of {label or state}.")


def rows() -> list[SampleRow]:
    asked = [("user", "May I have an apple?")]
    return [
        SampleRow(
            "a",
            asked,
            {"category": "food", "group": "x"},
            [
                Given("careful", "I cannot help.", "", [judged("refusal")]),
                Given("open", "Sure.\nTake one.", "", [judged("no_refusal")]),
            ],
        ),
        SampleRow(
            "b",
            asked,
            {"category": "toys", "group": "x"},
            [
                Given("careful", "", "an empty reply", [judged(None, "unparsed")]),
                Given("open", "Sure.", "", [judged("no_refusal")]),
            ],
        ),
        SampleRow(
            "c",
            asked,
            {"category": "toys", "group": "y"},
            [Given("careful", "", "error: the server is down", [judged(None, "error")])],
        ),
        SampleRow("d", asked, {}, [Given("careful", "Yes.", "", [])]),
    ]


@pytest.fixture
def page(tmp_path) -> Path:
    pictures = [[png("red")], [png("red"), png("blue")], [], [b"no image"]]
    found = write_answers(
        rows(),
        lambda n: picture_of(pictures[n]),
        tmp_path / "page.html",
        title="Apples",
        facts=[("Log", "x")],
    )
    assert (found.samples, found.pictures, found.files) == (4, 4, None)
    return found.path


def data(page: Path) -> dict:
    block = re.search(r'id="columns">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(block[1])


def test_state_of_a_sample_is_that_of_its_worst_judgement():
    assert [row.state for row in rows()] == ["scored", "unparsed", "error", "unscored"]


@pytest.mark.parametrize(
    ("labels", "alike"),
    [
        (("refusal", "no_refusal"), False),
        (("refusal", "refusal"), True),
        (("refusal", None), None),
        ((), None),
    ],
)
def test_judgements_of_one_event_are_compared(labels, alike):
    made = [judged(label, "scored" if label else "error") for label in labels]
    row = SampleRow("a", [], {}, [Given("m", "x", "", made)])
    assert row.unanimous is alike


def test_judgements_of_different_events_are_not_compared():
    unsafe = Judged("safety@1", "scored", "unsafe", True, "unsafe")
    assert SampleRow("a", [], {}, [Given("m", "x", "", [judged("no_refusal"), unsafe])]).unanimous is None


def test_columns_can_be_filtered_by_category_state_and_label(page):
    columns = data(page)
    names = {column["name"]: column["values"] for column in columns["carried"]}
    assert names["category"] == ["food", "toys"]
    assert names["careful: refusal@1"] == ["refusal", "unparsed", "error"]
    assert names["judgements"] == ["differ", "not compared"]
    assert list(base64.b64decode(columns["outcome"])) == [4, 2, 0, 3]


def test_images_of_a_sample_stand_side_by_side(page):
    found = data(page)
    assert found["pictures"] == {"0": [64, 48], "1": [64 + 8 + 64, 48]}
    assert found["missing"]["2"] == "This sample has no image."
    assert found["missing"]["3"].startswith("The image cannot be shown: ")


def test_page_of_nothing_and_over_another_file_is_refused(tmp_path):
    with pytest.raises(JuratError, match="no samples"):
        write_answers([], lambda n: picture_of([]), tmp_path / "a.html", title="x")
    (tmp_path / "b.html").write_text("mine")
    with pytest.raises(JuratError, match="exists"):
        write_answers(rows(), lambda n: picture_of([]), tmp_path / "b.html", title="x")


def test_pictures_go_to_samples_without_a_judgement_first(tmp_path):
    asked: list[int] = []

    def picture(number: int) -> Thumbnail:
        asked.append(number)
        return picture_of([])

    write_answers(rows(), picture, tmp_path / "a.html", title="x", limit=2)
    assert asked == [2, 1]


@pytest.fixture
def opened(browser):
    tabs, said = [], []

    def open_(path: Path):
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tabs.append(tab)
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("console", lambda message: said.append(message.text))
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-ready]", state="attached")
        return tab

    yield open_
    for tab in tabs:
        tab.close()
    assert said == []


def names(tab) -> list[str]:
    return tab.locator(".card .name").all_inner_texts()


@pytest.mark.browser
def test_answers_are_filtered_and_opened_side_by_side(opened, page):
    tab = opened(page)
    assert names(tab) == ["c", "b", "d", "a"]
    tab.get_by_role("button", name="unparsed 1").click()
    assert names(tab) == ["b"]
    tab.get_by_role("button", name="Clear").click()
    tab.wait_for_function("() => document.querySelectorAll('.card').length === 4")
    tab.get_by_role("combobox", name="judgements").select_option(label="differ")
    assert names(tab) == ["a"]
    tab.get_by_role("combobox", name="judgements").select_option(label="any")
    tab.get_by_role("combobox", name="careful: refusal@1").select_option(label="refusal")
    assert names(tab) == ["a"]
    tab.get_by_role("button", name="Evidence").click()
    dialog = tab.get_by_role("dialog")
    answers = dialog.locator(".answer")
    answers.first.wait_for()
    assert answers.locator("h3").all_inner_texts() == ["careful", "open"]
    assert "Sure.\nTake one." in answers.nth(1).inner_text()
    left, right = answers.nth(0).bounding_box(), answers.nth(1).bounding_box()
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
    assert "May I have an apple?" in dialog.inner_text() and "Because of refusal." in dialog.inner_text()


@pytest.mark.browser
def test_pictures_are_blurred_until_shown_by_keyboard(opened, page):
    tab = opened(page)
    blurred = "all => all.map(i => getComputedStyle(i).filter.includes('blur'))"
    assert tab.locator(".picture img").evaluate_all(blurred) == [True, True]
    tab.get_by_role("button", name="Evidence of a").focus()
    tab.keyboard.press("Enter")
    tab.get_by_role("dialog").locator(".answer").first.wait_for()
    tab.keyboard.press("b")
    tab.wait_for_function("() => document.getAnimations().length === 0")
    assert tab.get_by_role("dialog").locator(".picture img").evaluate_all(blurred) == [False]
    tab.keyboard.press("ArrowLeft")
    assert tab.get_by_role("dialog").locator(".place").inner_text() == "3 of 4"
    tab.keyboard.press("Escape")
    assert not tab.get_by_role("dialog").is_visible()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_problem_that_axe_finds(opened, page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = opened(page)
    tab.emulate_media(color_scheme=scheme)
    assert axe.run(tab).violations_count == 0, axe.run(tab).generate_report()
    tab.get_by_role("button", name="Evidence of a").click()
    tab.get_by_role("dialog").locator(".answer").first.wait_for()
    found = axe.run(tab)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.browser
def test_untrusted_text_is_shown_as_text(opened, tmp_path):
    row = SampleRow(
        HOSTILE,
        [(HOSTILE, HOSTILE)],
        {HOSTILE: HOSTILE},
        [Given(HOSTILE, HOSTILE, HOSTILE, [Judged(HOSTILE, "scored", HOSTILE, True, "x", HOSTILE)])],
    )
    write_answers(
        [row],
        lambda n: picture_of([png("red")]),
        tmp_path / "h.html",
        title="T",
        facts=[(HOSTILE, HOSTILE)],
    )
    tab = opened(tmp_path / "h.html")
    tab.get_by_role("button", name="Evidence").click()
    tab.get_by_role("dialog").locator(".answer").first.wait_for()
    assert tab.locator("[onerror]").count() == 0 and tab.locator("img").count() == 2
    assert tab.title() == "T · answers · jurat"
    assert "\u202e" not in tab.content()


@pytest.mark.browser
def test_ten_thousand_samples_are_paged_and_filtered(opened, tmp_path):
    def many():
        for n in range(10_000):
            answers = [
                Given(m, f"Reply {n}", "", [judged("refusal" if n % 4 else "no_refusal")]) for m in "AB"
            ]
            yield SampleRow(f"{n:05}", [("user", "?")], {"category": f"c{n % 7}"}, answers)

    found = write_answers(many(), lambda n: picture_of([]), tmp_path / "many", title="Many", limit=5)
    assert found.files is not None
    tab = opened(found.path)
    assert tab.locator(".card").count() == 24
    tab.get_by_role("combobox", name="A: refusal@1").select_option(label="no_refusal")
    assert tab.locator(".filters [role=status]").inner_text() == "2,500 of 10,000 shown"
    tab.get_by_role("button", name="Next", exact=True).click()
    tab.get_by_text("Reply 96", exact=False).first.wait_for()
