"""Looking up a model in folders, the hub and its cache, and quick errors for missing ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from jurat.models import ModelError, open_model

OPEN = """
import logging, sys
logging.basicConfig(level=logging.WARNING, format="%(message)s")
from jurat.models import ModelError, open_model
for name in sys.argv[1:]:
    try:
        print("opened", open_model(name, device="cpu").revision)
    except ModelError as error:
        print(error)
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Knows no model: `acme/...` is absent, and of `down/...` it answers nothing but 503."""

    asked: list[str]

    def answer(self) -> None:
        self.asked.append(self.path)
        absent = "acme" in self.path
        self.send_response(404 if absent else 503)
        if absent:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = answer

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("AHub", (Hub,), {"asked": asked}))
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def models(asked: list[str]) -> list[str]:
    """Requests about models only: the hub client also requests its own metadata."""
    return [path for path in asked if "agent" not in path]


def opened(endpoint: str, cache: Path, *names: str) -> str:
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache)}
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", OPEN, *names],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=cache,
        timeout=90,
    )
    return done.stdout + done.stderr


def test_model_missing_on_the_hub_is_requested_once(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    endpoint, asked = hub
    (tmp_path / "acme" / "llava-tiny").mkdir(parents=True)
    told = opened(endpoint, tmp_path, "hf/acme/llava-tinyy")
    assert "There is no folder 'acme/llava-tinyy', and no such model on the hub" in told
    assert "Did you mean hf/acme/llava-tiny?" in told
    assert len(models(asked)) == 1


def test_failing_hub_is_requested_once_and_named(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    endpoint, asked = hub
    told = opened(endpoint, tmp_path, "hf/down/model")
    assert "the hub gave no answer about that name" in told and "503" in told
    assert len(models(asked)) == 1


@pytest.mark.slow
def test_cached_model_is_used_when_the_hub_fails(
    hub: tuple[str, list[str]], tmp_path: Path, llava_folder: Path
) -> None:
    endpoint, asked = hub
    for name in ("tiny", "pickled"):
        repository = tmp_path / f"models--down--{name}"
        shutil.copytree(llava_folder, repository / "snapshots" / COMMIT)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
    index = repository / "snapshots" / COMMIT / "model.safetensors.index.json"
    index.write_text('{"metadata": {}, "weight_map": {"a": "pytorch_model.bin"}}')
    told = opened(endpoint, tmp_path, "hf/down/tiny", "hf/down/pickled")
    assert told.count(f"opened {COMMIT[:12]}-pil") == 1
    assert told.count("the copy in its cache is used") == 2
    assert "names 'pytorch_model.bin' as weights" in told
    assert len(models(asked)) == 2


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("llava-tinyy", "Did you mean hf/llava-tiny?"),
        ("models/deep/llava-tinyy", "Did you mean hf/models/deep/llava-tiny?"),
        ("./llava-tinyy", "Did you mean hf/llava-tiny?"),
        ("nothing-like-it", "Name a folder, or a model of the hub: hf/ORG/NAME."),
    ],
)
def test_mistyped_folder_suggests_the_nearest(
    name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "llava-tiny").mkdir()
    (tmp_path / "models" / "deep" / "llava-tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    begin = time.monotonic()
    with pytest.raises(ModelError, match="There is no folder") as raised:
        open_model(f"hf/{name}")
    assert raised.value.hint == hint
    assert time.monotonic() - begin < 5


def test_unknown_option_of_a_local_model_is_refused(llava_folder: Path) -> None:
    from jurat.errors import JuratError

    for option, problem in {
        "colour=blue": "The backend 'hf' has no option 'colour'.\n  It has image_backend.",
        "image_backend=gimp": "The option image_backend cannot be 'gimp'.",
        "image_backend=pil&image_backend=pil": "has the option 'image_backend' twice",
    }.items():
        with pytest.raises(JuratError, match=problem):
            open_model(f"hf/{llava_folder}?{option}")
