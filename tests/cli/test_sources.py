"""`jurat judge` reports skipped files, writes to any terminal, and abandons a server that hangs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

POLICY = ["--constitution", "colours.yaml", "--model", "null"]


def run(*args: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "jurat", *args],
        capture_output=True,
        timeout=100,
        env={**os.environ, **environment},
    )


def test_skipped_files_are_reported_and_recorded(pics, jurat):
    for name in ("a.dng", "b.dng", "c", "00.tar"):
        Path("pics", name).write_bytes(b"x")
    line = (
        "jurat: 4 files were passed over by the name (.dng 2, .tar 1, no suffix 1);"
        " there is a file of many items (WebDataset shard): jurat judge 'pics/*.tar'.\n"
    )
    for extra in ([], ["--quiet"]):
        result = jurat("judge", "pics", *POLICY, *extra, "--overwrite", "--out", "v.jsonl")
        assert result.exit_code == 0
        assert result.stderr.endswith(line)
    for _ in range(2):
        assert jurat("judge", "pics", *POLICY, "--out", "run", "--quiet").stderr == line
    sessions = json.loads(Path("run/_run.json").read_text())["sessions"]
    assert [session["passed_over"] for session in sessions] == [
        {"files": {".dng": 2, ".tar": 1, "no suffix": 1}}
    ] * 2


def test_folder_without_images_reports_its_files(pics, jurat):
    Path("shards").mkdir()
    Path("shards/0.tar").write_bytes(b"x")
    result = jurat("judge", "shards", *POLICY)
    assert result.exit_code == 2
    assert result.stderr == (
        "jurat: No images were found in shards.\n"
        "  1 file was passed over by the name (.tar 1); there is a file of many items (WebDataset shard):"
        " jurat judge 'shards/*.tar'.\n"
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_names_outside_the_output_encoding_are_escaped(pics: Path, encoding: str) -> None:
    Path("pics/日本語-ü.png").write_bytes(Path("pics/green.png").read_bytes())
    shown = run("judge", "pics/日本語-ü.png", "日本語-none.png", *POLICY, PYTHONIOENCODING=encoding)
    assert shown.returncode == 0, shown.stderr
    u = "ü".encode(encoding, "backslashreplace")
    assert rb"pics/\u65e5\u672c\u8a9e-" + u + b".png" in shown.stdout
    assert rb"no such file or folder: \u65e5\u672c\u8a9e-none.png" in shown.stdout
    rows = run("judge", "pics/日本語-ü.png", *POLICY, "--out", "-", "--quiet", PYTHONIOENCODING=encoding)
    assert json.loads(rows.stdout)["id"] == "pics/日本語-ü.png"
    assert run("constitution", "show", "colours.yaml", PYTHONIOENCODING=encoding).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "args", [("judge", "pics", *POLICY), ("--help",), ("constitution", "show", "colours.yaml")]
)
def test_output_to_a_full_disk_is_one_error_line(pics: Path, args: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "jurat", *args], stdout=full, stderr=subprocess.PIPE, timeout=100
        )
    assert result.returncode == 2
    assert result.stderr == b"jurat: standard output cannot be written: No space left on device.\n"


def test_closed_output_is_not_reported_as_a_bug(pics: Path) -> None:
    command = f"{sys.executable} -m jurat judge pics {' '.join(POLICY)}"
    piped = subprocess.run(
        ["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"], capture_output=True, timeout=100
    )
    assert (piped.returncode in (0, 1), b"bug" in piped.stderr) == (True, False)
    closed = subprocess.run(["bash", "-c", f"{command} >&-"], stderr=subprocess.PIPE, timeout=100)
    assert (closed.returncode, b"bug" in closed.stderr) == (0, False)


@pytest.fixture
def hanging() -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that takes connections and never answers: its address, and the connections."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", taken
    for connection in taken:
        connection.close()


@pytest.mark.parametrize("interrupts", [1, 2])
def test_ctrl_c_does_not_wait_for_a_server_that_hangs(
    pics: Path, hanging: tuple[str, list[socket.socket]], interrupts: int
) -> None:
    address, taken = hanging
    uris = "".join(f"{address}/{number}.png\n" for number in range(100))
    Path("list.csv").write_text(f"url\n{uris}")
    command = [sys.executable, "-m", "jurat", "judge", "list.csv", *POLICY, "--allow-private-hosts"]
    process = subprocess.Popen([*command, "--out", "run"], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not taken and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    start = time.monotonic()
    for _ in range(interrupts):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - start < 10
    assert process.returncode == 130, errors
    assert b"interrupted after 0 items" in errors


def test_hanging_server_is_abandoned_after_a_few_requests(
    pics: Path, hanging: tuple[str, list[socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from jurat.content import ImageError
    from jurat.sources import SourceOptions, find_items, remote
    from jurat.sources.prefetch import SourceFolders, read_ahead
    from jurat.sources.unresponsive_hosts import HANGING, TimeoutCounter

    monkeypatch.setattr(remote, "HANGING", TimeoutCounter())
    monkeypatch.setattr(remote, "_READ_SECONDS", 0.5)
    monkeypatch.setattr(remote, "_PAUSE", 0.0)
    assert isinstance(HANGING, TimeoutCounter)
    address, taken = hanging
    Path("list.csv").write_text("url\n" + "".join(f"{address}/{number}.png\n" for number in range(200)))
    found = find_items(["list.csv"], options=SourceOptions(allow_private_hosts=True))
    start, told = time.monotonic(), []
    for item in read_ahead(found, SourceFolders()):
        with pytest.raises(ImageError) as raised:
            item.read()
        told.append(raised.value.message)
    assert time.monotonic() - start < 20
    assert len(told) == 200
    assert len(taken) < 60
    assert "the server did not answer" in told[-1]
    assert "in a row and is given up for a minute" in told[-1]
