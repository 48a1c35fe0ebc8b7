"""Decoding a file has a budget of time and memory and runs in a process that can be killed."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jurat.cli.interrupts import LONG
from jurat.content import ImageError
from jurat.media import decode, limits
from jurat.media import decoder_pool as pool
from jurat.media.decoding import QUICK_PIXELS, still

Encode = Callable[..., bytes]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")


def reason_for(data: bytes) -> str:
    with pytest.raises(ImageError) as raised:
        decode(data)
    return raised.value.message


def slow_ppm() -> bytes:
    """Takes tens of seconds: numbers as text."""
    side = 3000
    return b"P3 %d %d 9 " % (side, side) + b"1 " * (side * side * 3)


def processes() -> list[int]:
    """Idle processes of the pool."""
    return [process._popen.pid for process in pool._POOL._free]


# --- budgets -------------------------------------------------------------------------------------


@LINUX
def test_slow_file_is_abandoned_and_the_process_replaced(
    monkeypatch: pytest.MonkeyPatch, picture: Image.Image, encode: Encode
) -> None:
    monkeypatch.setattr(limits, "DEFAULT_SECONDS", 0.3)
    started = time.monotonic()
    assert reason_for(slow_ppm()) == "decoding it takes longer than the limit of 0.3 s, and was given up"
    assert time.monotonic() - started < 20
    monkeypatch.undo()
    assert decode(encode(picture, "GIF")).width == 48


def test_parent_kills_a_process_that_ignores_its_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "WALL", 0.0005)
    assert "longer than the limit of 20 s" in reason_for(slow_ppm())


@LINUX
def test_file_over_the_memory_limit_is_abandoned(monkeypatch: pytest.MonkeyPatch, encode: Encode) -> None:
    data = encode(Image.new("I;16", (6000, 6000)), "TIFF", compression="tiff_lzw")
    assert len(data) < 1_000_000
    monkeypatch.setattr(limits, "_BYTES_A_PIXEL", 1)
    assert reason_for(data) == "decoding it takes more memory than the limit of 64,000,000 bytes"


@LINUX
def test_largest_16_bit_tiff_stays_within_the_memory_limit(encode: Encode) -> None:
    decoded = decode(encode(Image.new("I;16", (8000, 8000), 65535), "TIFF", compression="tiff_lzw"))
    assert decoded.frames[0].getpixel((3999, 3999)) == (255, 255, 255)


def overlapping_directories(count: int) -> bytes:
    """Each directory begins four bytes behind the one before, and has 30,000 entries."""
    starts = range(8, 8 + 4 * count, 4)
    data = bytearray(b"II*\0" + struct.pack("<I", 8) + bytes(360_000 + 8 * count))
    for start in starts:
        data[start : start + 2] = struct.pack("<H", 30_000)
        following = start + 2 + 12 * 30_000
        data[following : following + 4] = struct.pack("<I", start + 4)
    return bytes(data)


def jpeg_of_empty_scans(count: int, encode: Encode) -> bytes:
    data = encode(Image.new("L", (2000, 2000), 128), "JPEG", progressive=True)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x01\x10\x00\x00"
    return data[:-2] + scan * count + b"\xff\xd9"


def png_of_empty_chunks(count: int, encode: Encode) -> bytes:
    data = encode(Image.new("L", (8, 8)), "PNG")
    chunk = struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT"))
    return data[:-12] + chunk * count + data[-12:]


HOSTILE: dict[str, tuple[Callable[[Encode], bytes], str]] = {
    "overlapping directories": (
        lambda encode: overlapping_directories(5_000),
        "the TIFF image has more directory entries than the limit of 200,000",
    ),
    "empty scans": (
        lambda encode: jpeg_of_empty_scans(100_000, encode),
        "the JPEG image has more scans than the limit of 100",
    ),
    "comments of a GIF": (
        lambda encode: encode(Image.new("L", (8, 8)), "GIF")[:-1] + b"!\xfe" + b"\1x" * 3_000_000 + b"\0;",
        "the GIF image has more blocks than the limit of 2,000,000",
    ),
    "empty chunks": (
        lambda encode: png_of_empty_chunks(150_000, encode),
        "the PNG image has more chunks than the limit of 100,000",
    ),
    "segments": (
        lambda encode: b"\xff\xd8" + b"\xff\xe1\0\2" * 20_000,
        "the JPEG image has more segments than the limit of 10,000",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_small_hostile_files_are_refused_quickly(kind: str, encode: Encode) -> None:
    make, message = HOSTILE[kind]
    data = make(encode)
    started = time.monotonic()
    assert reason_for(data) == message
    assert time.monotonic() - started < 20


@LINUX
@pytest.mark.slow
def test_decoding_many_large_files_releases_memory(encode: Encode) -> None:
    script = r"""
import io, re
from PIL import Image
from jurat.media import decode
out = io.BytesIO()
Image.new("1", (8000, 8000)).save(out, "PNG")
for _ in range(4):
    decode(out.getvalue())
print(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 250_000  # KiB: the frame has 48 MB, and is copied once


# --- the processes -------------------------------------------------------------------------------


def test_small_plain_images_are_decoded_in_process(picture: Image.Image, encode: Encode) -> None:
    pool._POOL.close()
    for format in ("PNG", "JPEG", "WEBP"):
        assert decode(encode(picture, format)).width == 48
    assert not processes()
    assert decode(encode(Image.new("1", (4001, QUICK_PIXELS // 4000)), "PNG")).width == 4001
    assert len(processes()) == 1


def test_decoder_process_is_reused_and_replaced_when_dead(picture: Image.Image, encode: Encode) -> None:
    data = encode(picture, "GIF")
    decode(data)
    (first, *_) = before = processes()
    decode(data)
    assert processes() == before
    os.kill(before[-1], signal.SIGKILL)
    time.sleep(0.2)
    assert decode(data).width == 48
    assert before[-1] not in processes()
    assert first


def test_threads_decode_concurrently(picture: Image.Image, encode: Encode) -> None:
    files = [
        encode(picture.resize((8 + i, 8)), format) for i in range(6) for format in ("GIF", "BMP", "TIFF")
    ]
    with ThreadPoolExecutor(4) as threads:
        assert [d.width for d in threads.map(decode, files)] == [8 + i for i in range(6) for _ in range(3)]


@LINUX
def test_decoder_process_has_no_api_keys(
    monkeypatch: pytest.MonkeyPatch, picture: Image.Image, encode: Encode
) -> None:
    pool._POOL.close()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert decode(encode(picture, "GIF")).width == 48
    (pid,) = processes()
    told = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"PATH=" in told and b"sk-secret" not in told


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_process_starts_its_own_decoders(picture: Image.Image, encode: Encode) -> None:
    data, other = encode(picture, "GIF"), encode(picture.resize((20, 20)), "GIF")
    decode(data)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"%d" % decode(other).width)
        os._exit(0)
    widths = [decode(data).width for _ in range(5)]
    os.waitpid(child, 0)
    assert (os.read(read, 10), set(widths)) == (b"20", {48})


def test_script_without_a_main_guard_runs_once(tmp_path: Path, picture: Image.Image, encode: Encode) -> None:
    (tmp_path / "picture.gif").write_bytes(encode(picture, "GIF"))
    (tmp_path / "json.py").write_text("raise SystemExit('the module of the folder was taken')")
    script = tmp_path / "sub" / "script.py"
    script.parent.mkdir()
    script.write_text(
        "from jurat.media import decode\nprint('once')\n"
        "print(decode(open('picture.gif', 'rb').read()).width)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert (done.stdout.split(), done.stderr) == (["once", "48"], "")


INTERRUPTED = """
import sys, time
from jurat.media import decode
print("ready", flush=True)
try:
    decode(open(sys.argv[1], "rb").read())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_interrupt_stops_decoding_and_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "slow.ppm"
    path.write_bytes(slow_ppm())
    running = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(path)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    deadline = time.monotonic() + 60
    while not (decoders := children.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)  # it has been sent the file
    started = time.monotonic()
    running.send_signal(signal.SIGINT)
    assert running.stdout.read() == "interrupted\n"
    assert running.wait(timeout=10) == 0
    assert time.monotonic() - started < 5
    assert decoders and not any(Path(f"/proc/{pid}").exists() for pid in decoders)


@pytest.mark.slow
def test_one_interrupt_stops_a_run_in_a_long_decode(tmp_path: Path) -> None:
    path = tmp_path / "slow.ppm"
    path.write_bytes(slow_ppm())
    command = [sys.executable, "-m", "jurat", "judge", str(path), "-c", "shelf:nursery", "--model", "null"]
    running = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    deadline = time.monotonic() + 60
    while children.exists() and not children.read_text().split() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(LONG + 2)
    started = time.monotonic()
    running.send_signal(signal.SIGINT)
    told = running.communicate(timeout=30)[0].decode()
    assert running.returncode == 130, told
    assert time.monotonic() - started < 8
    assert "interrupted after 0 items" in told


def test_report_still_is_decoded_within_the_budget(monkeypatch: pytest.MonkeyPatch, encode: Encode) -> None:
    frames = [Image.new("RGB", (900, 600), (30 * i, 0, 0)) for i in range(6)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    image = still(data, 4, None, None, 480)
    assert (image.size, image.getpixel((5, 5))) == ((480, 320), (120, 0, 0))
    monkeypatch.setattr(pool, "WALL", 0.0005)
    with pytest.raises(ImageError, match="takes longer than the limit"):
        still(slow_ppm(), 0, None, None, 480)


def test_decoder_replies_are_validated() -> None:
    def answer(told: bytes, pixels: bytes) -> io.BytesIO:
        return io.BytesIO(pool.HEADER.pack(len(told), len(pixels)) + told + pixels)

    told, (image,) = pool._receive(answer(b'{"sizes": [[2, 1]], "width": 2}', b"abcdef"), 100)
    assert (told, np.asarray(image).tobytes()) == ({"width": 2}, b"abcdef")
    for wrong in (b'{"sizes": [[3, 1]]}', b'{"sizes": [[-2, -1]]}', b'{"sizes": []}'):
        with pytest.raises(ImageError, match="makes no sense"):
            pool._receive(answer(wrong, b"abcdef"), 100)
    with pytest.raises(ImageError, match="makes no sense"):
        pool._receive(answer(b'{"sizes": [[2, 1]]}', b"abcdef"), 5)


@pytest.mark.parametrize("max_pixels", [20_000, 60_000])
def test_small_limit_does_not_count_the_library_of_a_format_as_missing(max_pixels: int) -> None:
    """In a process of its own, whose decoder has seen no picture yet."""
    code = f"""
import io
from PIL import Image
from jurat.media import decode
Image.new("RGB", (8, 8), "red").save(file := io.BytesIO(), "WEBP", save_all=True,
                                     append_images=[Image.new("RGB", (8, 8), "blue")])
for limit in ({max_pixels}, 64_000_000):
    print(len(decode(file.getvalue(), max_pixels=limit).frames))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["2", "2"], done.stderr
