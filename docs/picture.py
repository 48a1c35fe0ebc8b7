"""Draws README's picture: the report of a verdict of the bundled model on a scene of `examples/`.

python docs/picture.py        writes docs/verdict.png; needs Chromium (JURAT_CHROMIUM names it)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SCENE = "0000-child-with-blade-broken.png"


def main() -> None:
    chromium = os.environ.get("JURAT_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    jurat = [sys.executable, "-m", "jurat"]
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        record, page_file = Path(place) / "verdict.jsonl", Path(place) / "page.html"
        command = [*jurat, "judge", SCENE, "--constitution", "shelf:nursery", "--out", str(record)]
        subprocess.run(command, cwd=ROOT / "examples" / "scenes", check=True)
        subprocess.run(
            [*jurat, "report", str(record), "--out", str(page_file)],
            cwd=ROOT / "examples" / "scenes",
            check=True,
        )
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1200, "height": 640}, device_scale_factor=1.5)
        page.goto(page_file.as_uri())
        page.get_by_role("button", name="Evidence").first.click()
        page.keyboard.press("b")
        page.wait_for_timeout(400)
        page.locator("#item").screenshot(path=ROOT / "docs" / "verdict.png")
        browser.close()


if __name__ == "__main__":
    main()
