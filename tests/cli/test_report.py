"""`jurat report`: from a record to a page, at the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

POLICY = ["--constitution", "colours.yaml", "--model", "colour"]


@pytest.fixture
def record(pics, jurat) -> str:
    assert jurat("judge", "pics", *POLICY, "--out", "v.jsonl").exit_code == 0
    return "v.jsonl"


def test_it_writes_a_page_and_says_to_open_it(record, jurat):
    result = jurat("report", record, "--out", "page.html")
    assert (result.exit_code, result.stdout) == (0, "Wrote page.html (7 verdicts). Open it in a browser.\n")
    page = Path("page.html").read_text()
    assert "pics/" in page and page.count("data:image/webp") == 6


def test_images_that_moved_are_found_with_images_root(record, jurat):
    Path("new").mkdir()
    shutil.move("pics", "new/pics")
    assert jurat("report", record, "-o", "a.html").exit_code == 0
    assert jurat("report", record, "-o", "b.html", "--images-root", "new").exit_code == 0
    counts = [Path(name).read_text().count("data:image/webp") for name in ("a.html", "b.html")]
    assert counts == [0, 6]


def test_limit_says_how_many_are_shown(record, jurat):
    told = jurat("report", record, "--out", "page.html", "--limit", "2").stdout
    assert told == "Wrote page.html (7 verdicts, 2 of them in the gallery). Open it in a browser.\n"


def test_a_page_is_replaced_only_when_told_to(record, jurat):
    Path("page.html").write_text("mine")
    result = jurat("report", record, "--out", "page.html")
    assert result.exit_code == 2
    assert result.stderr == "jurat: page.html is there already.\n  --overwrite replaces it.\n"
    assert jurat("report", record, "--out", "page.html", "--overwrite").exit_code == 0


@pytest.mark.parametrize("name", ["nosuch.jsonl", "colours.yaml", "pics"])
def test_what_is_no_record_is_one_clear_line(record, jurat, name):
    result = jurat("report", name, "--out", "page.html")
    assert result.exit_code == 2, result.output
    assert name in result.stderr and "Traceback" not in result.stderr
    assert not Path("page.html").exists()
