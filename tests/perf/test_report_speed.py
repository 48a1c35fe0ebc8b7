"""perf/report.py compares the page of a run with a bare pass (a small run; no time is asserted)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from .scripts import PERF


@pytest.mark.browser
def test_page_filters_find_the_expected_rows(tmp_path) -> None:
    names = (os.environ.get("JURAT_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    if not any(name and shutil.which(name) for name in names):
        pytest.skip("Chromium is not installed (package 'chromium', or name it in JURAT_CHROMIUM)")
    pytest.importorskip("playwright", reason="playwright is not installed (the extra 'dev')")
    options = ["--n", "700", "--runs", "1", "--json", str(tmp_path / "r.json")]
    command = [sys.executable, str(PERF / "report.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "700 rows: written in" in done.stdout, done.stderr
    found = {row["filter"]: row["found"] for row in json.loads((tmp_path / "r.json").read_text())["rows"]}
    assert (found["an outcome"], found["two outcomes"], found["a rule"]) == (100, 700, 100)
