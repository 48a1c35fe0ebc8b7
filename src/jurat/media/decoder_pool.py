"""Decodes in child processes with a budget of time and memory; one that exceeds it is replaced.

A decoder is a C library that cannot be interrupted, and a small file may keep one busy for hours or make
it take gigabytes. So a child process (`jurat.media.decoder_process`), kept for the next file, decodes it.
Its own timer or the parent's ends it when the budget is spent. It is started as a command of its own, so
that the user's program is not imported again.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import IO, Any, cast

from PIL import Image

from jurat.content import ImageError
from jurat.media.decoded import Decoded
from jurat.media.frames import Sampling
from jurat.media.limits import WALL, Limits
from jurat.media.video import container_of
from jurat.text import one_line

HEADER = struct.Struct("<QQ")
"""How many bytes of JSON follow, and how many bytes behind it."""

# The path is set before anything is imported: the folder in which a command is given comes first there.
_COMMAND = "import sys; sys.path[:] = sys.argv[1:]; from jurat.media.decoder_process import main; main()"
_PASSED_ON = re.compile(r"(PATH|HOME|LANG|TE?MP|TMPDIR|SYSTEMROOT|(PYTHON|LC_|LD_|DYLD_)\w*)$", re.I)
"""Environment variables that are passed on: what a program needs to start, and no keys of services."""
_MOST_JSON = 2**20
_VIDEO_MEMORY = 3
"""A video may take so many times the memory of a picture."""
_SPENT = {getattr(signal, name) for name in ("SIGPROF", "SIGALRM", "SIGXCPU") if hasattr(signal, name)}


def decode_elsewhere(data: bytes, limits: Limits, sampling: Sampling) -> Decoded:
    """Like `jurat.media.decoding.decode_here`, within a budget.

    Raises:
        ImageError: likewise; or the budget was spent, or the decoder ended its process.
    """
    told, frames = _ask("decode", data, limits, {"sampling": asdict(sampling)})
    for name in ("indices", "times", "renderings", "scales"):
        told[name] = tuple(told[name])
    return Decoded(tuple(frames), sha256=hashlib.sha256(data).hexdigest(), **told)


def still_elsewhere(
    data: bytes, limits: Limits, index: int, rendering: str | None, time: float | None, longest: int
) -> Image.Image:
    """Like `jurat.media.decoding.still_here`, within a budget.

    Raises:
        ImageError: as `decode_elsewhere` does.
    """
    frame = {"index": index, "rendering": rendering, "time": time, "longest": longest}
    return _ask("still", data, limits, {"frame": frame})[1][0]


def _ask(
    job: str, data: bytes, limits: Limits, told: dict[str, Any]
) -> tuple[dict[str, Any], list[Image.Image]]:
    video = container_of(data) is not None
    request = {
        "job": job,
        "limits": asdict(limits),
        "seconds": limits.seconds(video),
        "memory": limits.memory * (_VIDEO_MEMORY if video else 1),
        **told,
    }
    with _POOL.process() as process:
        answer, images = process.ask(request, data, 3 * limits.kept_pixels)
    if (error := answer.get("error")) is not None:
        raise ImageError(one_line(str(error)))
    return answer, images


class _Process:
    """A process that decodes one file at a time."""

    def __init__(self) -> None:
        """Raises ImageError where it cannot be started."""
        environment = {name: value for name, value in os.environ.items() if _PASSED_ON.match(name)} | {
            "OMP_NUM_THREADS": "1",  # the threads of libraries count as memory, and none is needed
            "OPENBLAS_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "1",
        }
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, *map(os.path.abspath, sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                bufsize=0,
                start_new_session=True,  # a Ctrl-C at the terminal is the parent's
            )
        except OSError as error:
            raise ImageError(f"the process that decodes could not be started: {error.strerror}") from error

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def ask(
        self, request: dict[str, Any], data: bytes, most: int
    ) -> tuple[dict[str, Any], list[Image.Image]]:
        """Sends a file and returns the answer, with images of at most `most` bytes.

        Raises:
            ImageError: it ended, or was ended, before it had answered.

        After any exception the process has ended.
        """
        late = threading.Event()
        clock = threading.Timer(request["seconds"] * WALL, lambda: (late.set(), self._popen.kill()))
        clock.daemon = True
        try:
            clock.start()
            head = json.dumps(request).encode()
            _send(_pipe(self._popen.stdin), HEADER.pack(len(head), len(data)), head, data)
            return _receive(_pipe(self._popen.stdout), most)
        except (OSError, EOFError) as error:
            self.end()
            raise ImageError(_why_ended(self._popen.returncode, request["seconds"], late.is_set())) from error
        except BaseException:
            self.end()
            raise
        finally:
            clock.cancel()

    def end(self) -> None:
        with suppress(OSError):
            self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            with suppress(OSError):
                _pipe(pipe).close()


def _why_ended(status: int, seconds: float, late: bool) -> str:
    if late or -status in _SPENT:
        return f"decoding it takes longer than the limit of {seconds:g} s, and was given up"
    with suppress(ValueError):
        return f"its decoder ended with {signal.Signals(-status).name}"
    return f"its decoder ended with status {status}"


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # each is asked for
    return pipe


def _send(pipe: IO[bytes], *parts: bytes) -> None:
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[pipe.write(view) :]


def _receive(pipe: IO[bytes], most: int) -> tuple[dict[str, Any], list[Image.Image]]:
    # A process that has read a hostile file is not trusted.
    head, size = HEADER.unpack(_read(pipe, HEADER.size))
    if head > _MOST_JSON or size > most:
        raise ImageError("its decoder's answer makes no sense")
    answer = cast("dict[str, Any]", json.loads(_read(pipe, head)))
    sizes: list[tuple[int, int]] = [(int(width), int(height)) for width, height in answer.pop("sizes", ())]
    if sum(3 * width * height for width, height in sizes) != size or any(min(sides) < 1 for sides in sizes):
        raise ImageError("its decoder's answer makes no sense")
    return answer, [Image.frombytes("RGB", sides, _read(pipe, 3 * sides[0] * sides[1])) for sides in sizes]


def _read(pipe: IO[bytes], size: int) -> bytearray:
    """Raises EOFError where there are fewer bytes."""
    found = bytearray(size)
    view, at = memoryview(found), 0
    while at < size:
        if not (some := cast("Any", pipe).readinto(view[at:])):
            raise EOFError
        at += some
    return found


class _Pool:
    """The idle processes; each caller uses one process at a time."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drops the idle processes: a forked process must not use the pipes of its parent."""
        self._lock = threading.Lock()
        self._free: list[_Process] = []
        self._begun: dict[int, float] = {}
        """When each thread that waits for a process began to wait."""

    def waits_for(self) -> float:
        """Seconds for which the slowest file has been decoding; 0 where none is."""
        begun = list(self._begun.values())
        return time.monotonic() - min(begun) if begun else 0.0

    @contextmanager
    def process(self) -> Generator[_Process]:
        with self._lock:
            while self._free and not self._free[-1].is_alive:
                self._free.pop().end()
            process = self._free.pop() if self._free else None
        me = threading.get_ident()
        self._begun[me] = time.monotonic()
        try:
            process = process or _Process()
            yield process  # it has ended where this raises
        finally:
            self._begun.pop(me, None)
        with self._lock:
            self._free.append(process)

    def close(self) -> None:
        while self._free:
            self._free.pop().end()


_POOL = _Pool()


def decoding_for() -> float:
    """Seconds for which the slowest file has been decoding in another process; 0 where none is."""
    return _POOL.waits_for()


atexit.register(_POOL.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.forget)
