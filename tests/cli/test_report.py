"""`jurat report` on the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

REMOVED_PARTS = Path(__file__).parents[1] / "judge" / "removed_parts.jsonl"
POLICY = ["--constitution", "colours.yaml", "--model", "colour"]


@pytest.fixture
def record(pics, jurat) -> str:
    assert jurat("judge", "pics", *POLICY, "--out", "v.jsonl").exit_code == 0
    return "v.jsonl"


def test_report_writes_a_page(record, jurat):
    result = jurat("report", record, "--out", "page.html")
    assert (result.exit_code, result.stdout) == (0, "Wrote page.html (7 verdicts). Open it in a browser.\n")
    page = Path("page.html").read_text()
    assert "pics/" in page and page.count("data:image/webp") == 6


def test_images_root_finds_moved_images(record, jurat):
    Path("new").mkdir()
    shutil.move("pics", "new/pics")
    assert jurat("report", record, "-o", "a.html").exit_code == 0
    assert jurat("report", record, "-o", "b.html", "--images-root", "new").exit_code == 0
    counts = [Path(name).read_text().count("data:image/webp") for name in ("a.html", "b.html")]
    assert counts == [0, 6]


def test_record_with_removed_parts_is_shown_as_decided(tmp_path, jurat):
    result = jurat("report", str(REMOVED_PARTS), "--out", str(tmp_path / "page.html"))
    assert result.exit_code == 0, result.output
    page = (tmp_path / "page.html").read_text()
    assert "These verdicts were made with `contrasts`, which jurat no longer has." in page


def test_limit_reports_how_many_are_shown(record, jurat):
    told = jurat("report", record, "--out", "page.html", "--limit", "2").stdout
    assert told == "Wrote page.html (7 verdicts, 2 of them with a picture). Open it in a browser.\n"


@pytest.mark.parametrize("format", ["md", "csv"])
def test_ticket_is_written_for_the_audience(record, jurat, format):
    result = jurat("report", record, "--format", format, "--for", "user")
    assert (result.exit_code, result.stdout) == (0, f"Wrote report.{format} (7 verdicts).\n")
    assert "This image was found to be against the rule no-red" in Path(f"report.{format}").read_text()


def test_report_writes_a_folder_and_figures(record, jurat):
    result = jurat("report", record, "--out", "new/place", "--figures", "drawn")
    assert result.stdout == (
        "Wrote new/place/index.html (7 verdicts). Open it in a browser. It needs files beside it.\n"
        "Drew outcomes.png, rules.png, scores.png in drawn.\n"
    )
    assert Path("new/place/files/columns.js").exists() and Path("drawn/rules.png").exists()


def test_report_compares_two_runs(record, jurat):
    assert jurat("judge", "pics", *POLICY, "--preset", "direct", "--out", "w.jsonl").exit_code == 0
    result = jurat("report", record, "w.jsonl", "--out", "page.html")
    assert result.exit_code == 0 and "of 7 verdicts flip" in result.stdout
    refused = jurat("report", record, record, record)
    assert refused.exit_code == 2 and "One run is shown, or two are compared." in refused.stderr


def test_page_is_replaced_only_with_overwrite(record, jurat):
    Path("page.html").write_text("mine")
    result = jurat("report", record, "--out", "page.html")
    assert result.exit_code == 2
    assert (
        result.stderr == "jurat: page.html already exists and was not changed.\n  --overwrite replaces it.\n"
    )
    assert jurat("report", record, "--out", "page.html", "--overwrite").exit_code == 0


@pytest.mark.parametrize("name", ["nosuch.jsonl", "colours.yaml", "pics"])
def test_file_without_verdicts_is_one_error_line(record, jurat, name):
    result = jurat("report", name, "--out", "page.html")
    assert result.exit_code == 2, result.output
    assert name in result.stderr and "Traceback" not in result.stderr
    assert not Path("page.html").exists()
