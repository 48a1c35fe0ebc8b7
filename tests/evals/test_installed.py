"""`inspect eval jurat/SET` from an installed wheel, and its log in Inspect's viewer."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from ..report.conftest import browser  # noqa: F401

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel, and takes what it requires from this one."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others) + "\n")
    return folder


def inspect(environment: Path, *arguments: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "INSPECT"))}
    done = subprocess.run(
        [environment / "env/bin/python", "-m", "inspect_ai", *arguments],
        capture_output=True,
        text=True,
        cwd=environment,
        env={**kept, "HOME": str(environment), "INSPECT_DISPLAY": "plain"},
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def log(environment: Path, copy: str) -> Path:
    options = ("-T", f"data={copy}", "-T", "scorer=target-string?target=Yes&mode=contains")
    inspect(environment, "eval", "jurat/figstep", "--model", "jurat/null?seed=3", *options)
    (found,) = (environment / "logs").glob("*.eval")
    return found


def test_inspect_finds_the_task_the_model_and_the_scorer_of_the_wheel(environment: Path, log: Path) -> None:
    from inspect_ai.log import read_eval_log

    read = read_eval_log(str(log))
    assert read.status == "success" and read.eval.task_registry_name == "jurat/figstep"
    assert read.results.scores[0].metrics["asr"].value == pytest.approx(2 / 3)
    assert read.eval.metadata["commit"] is None, "it ran from the checkout, not from the wheel"
    told = inspect(environment, "score", str(log), "--scorer", "jurat/refusal-phrases-first-sentence",
                   "--action", "append", "--output-file", str(environment / "again.eval"))  # fmt: skip
    assert "refusal-phrases-first-sentence" in told


@pytest.mark.browser
def test_log_opens_in_the_viewer_of_inspect(environment: Path, log: Path, browser) -> None:  # noqa: F811
    from inspect_ai.log import bundle_log_dir

    bundle_log_dir(str(log.parent), output_dir=str(environment / "page"))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(environment / "page"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    try:
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.get_by_text("figstep").first.click()
        page.get_by_text("no_match").first.wait_for()
        page.get_by_text("1-1", exact=True).click()
        page.locator("img[src^='data:image/png']").first.wait_for(timeout=10_000)
    finally:
        page.close()
        server.shutdown()
