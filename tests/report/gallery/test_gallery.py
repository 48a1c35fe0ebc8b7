"""A gallery page of rows other than verdicts, with a plain layout."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from jurat.report.gallery import Columns, Layout, Picture, Place, Store, thumbnail, write_page

ANSWERS = {"a.png": ("refused", "No.", 0.2), "b.png": ("answered", "A <b>cake</b>.", 0.9)}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The page of two answers of a model."""
    columns = Columns(("refused", "answered"))
    with Store(Place.at(tmp_path / "page.html")) as store:
        for name, (outcome, text, score) in ANSWERS.items():
            Image.new("RGB", (64, 48), "red").save(tmp_path / name)
            sha256 = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
            row = columns.append(name, outcome, score, {"attack": "none" if name == "a.png" else "noise"})
            store.add({"said": [{"text": text}], "width": 64, "height": 48})
            store.add_picture(row, thumbnail(Picture(str(tmp_path / name), sha256)))
        filling = {"outcome_counts": [("refused", 1), ("answered", 1)], "pictures": 2}
        write_page(Layout("jurat.report.gallery"), "base.html", store, columns.payload(), filling)
    return tmp_path / "page.html"


@pytest.mark.browser
def test_rows_other_than_verdicts_are_shown_filtered_and_opened(browser, page):
    tab = browser.new_page()
    complaints = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda message: complaints.append(message.text))
    tab.goto(page.as_uri())
    tab.wait_for_selector("html[data-ready]", state="attached")
    names = tab.locator(".card .name")
    assert names.all_inner_texts() == ["a.png", "b.png"]
    tab.get_by_role("button", name="answered 1").click()
    assert names.all_inner_texts() == ["b.png"]
    tab.get_by_role("button", name="Clear").click()
    tab.get_by_role("combobox", name="attack").select_option(label="none")
    assert names.all_inner_texts() == ["a.png"]
    tab.get_by_role("combobox", name="attack").select_option(label="any")
    tab.get_by_label("Score from").fill("0.5")
    assert names.all_inner_texts() == ["b.png"]
    tab.get_by_role("button", name="Evidence").click()
    tab.get_by_role("dialog").get_by_text("A <b>cake</b>.").wait_for()
    assert complaints == []
    tab.close()
