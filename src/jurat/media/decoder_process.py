"""The child process of `jurat.media.decoder_pool`: decodes the files that arrive on standard input."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from typing import Any

from PIL import Image

from jurat.content import ImageError
from jurat.media.decoder_pool import HEADER
from jurat.media.decoding import decode_here, still_here
from jurat.media.formats import format_of
from jurat.media.frames import Sampling
from jurat.media.limits import Limits
from jurat.media.video import container_of


def main() -> None:
    """Answers until standard input ends."""
    source = sys.stdin.buffer
    sink = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "wb") as nowhere:  # what libraries print is no answer
        os.dup2(nowhere.fileno(), 1)
    _prepare()
    while len(header := source.read(HEADER.size)) == HEADER.size:
        head, size = HEADER.unpack(header)
        request, data = json.loads(source.read(head)), source.read(size)
        answer, images = _answer(request, data)
        told = json.dumps(answer | {"sizes": [image.size for image in images]}).encode()
        sink.write(HEADER.pack(len(told), sum(3 * image.width * image.height for image in images)))
        sink.write(told)
        for image in images:
            sink.write(image.tobytes())
        sink.flush()
        del request, data, answer, images


def _prepare() -> None:
    with suppress(ImportError):  # AVIF came with Pillow 11.3
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    with suppress(ImportError):  # on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[Image.Image, ...]]:
    limits = Limits(**request["limits"])
    # What decodes the file is imported first: its libraries do not count as the file's memory, and one that
    # could not be loaded for want of memory would count as missing for every later file.
    if container_of(data) is not None:
        with suppress(ImportError):
            import_module("av")
    else:
        with suppress(ImageError):
            format_of(data)
    try:
        with _budget(request["seconds"], request["memory"] + 2 * len(data)):
            if request["job"] == "still":
                return {}, (still_here(data, limits, **request["frame"]),)
            decoded = decode_here(data, limits, Sampling(**request["sampling"]))
    except MemoryError:
        return {"error": f"decoding it takes more memory than the limit of {request['memory']:,} bytes"}, ()
    except ImageError as error:
        return {"error": error.message}, ()
    told = {name: value for name, value in vars(decoded).items() if name not in ("frames", "sha256")}
    return told, decoded.frames


@contextmanager
def _budget(seconds: float, memory: int) -> Generator[None]:
    """Ends this process after some seconds of processor time, and gives it no more than some bytes on top of
    its memory, where the system can do that. The parent watches the clock as well."""
    with ExitStack() as undone:
        with suppress(ImportError):  # on Windows
            from signal import ITIMER_PROF, setitimer

            setitimer(ITIMER_PROF, seconds)  # its signal ends a process, whatever that is doing
            undone.callback(setitimer, ITIMER_PROF, 0)
        with suppress(ImportError, OSError):  # not on Linux
            import resource

            with open("/proc/self/statm", encoding="ascii") as file:
                now = int(file.read().split()[0]) * resource.getpagesize()
            before = resource.getrlimit(resource.RLIMIT_AS)
            most = now + memory if before[1] < 0 else min(now + memory, before[1])
            resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
            undone.callback(resource.setrlimit, resource.RLIMIT_AS, before)
        yield
