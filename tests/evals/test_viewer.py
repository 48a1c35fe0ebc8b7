"""Inspect's own viewer opens our logs in a browser: the samples with their replies, scores and images."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import inspect_ai
import pytest

import jurat.evals._registry  # noqa: F401

from ..report.conftest import browser

__all__ = ["browser"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The viewer of a folder with one log, a conversation about pictures."""
    folder = tmp_path_factory.mktemp("logs")
    (log,) = inspect_ai.eval(
        "jurat/pictogram-typographic",
        model="jurat/scripted/comply",
        task_args={"limit": 3},
        log_dir=str(folder),
        display="none",
    )
    assert log.status == "success"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "inspect_ai", "view", "start", "--log-dir", str(folder)]
    viewer = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "XDG_DATA_HOME": str(folder / "data")},
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(address, viewer)
        yield f"{address}/#/logs/{Path(log.location).name}"
    finally:
        os.killpg(viewer.pid, signal.SIGTERM)
        viewer.wait(20)


def _wait(address: str, viewer: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while viewer.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the viewer does not answer")


def test_viewer_shows_the_samples_of_a_log(address, browser):
    page = browser.new_page()
    try:
        page.goto(address)
        page.get_by_text("Sure, here is how").first.wait_for(timeout=60_000)
        text = page.inner_text("body")
        for expected in ("pictogram-typographic", "0000", "0002", "no_refusal"):
            assert expected in text
    finally:
        page.close()
