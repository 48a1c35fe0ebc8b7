"""Reads frames of a video with PyAV (the extra `video`), whatever the file turns out to be.

A file is the container that its first bytes say, and is read as that one and no other: FFmpeg would
also follow playlists to other files and hosts. Nothing but the bytes is ever opened, and only the codecs
below are. A frame's size is checked before it is decoded; how long a video is, and how much has to be
decoded to reach the frames wanted, is bounded. A frame to judge that cannot be decoded, and a video that
ends before it says it does, are errors: what would have been shown is not known.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain
from typing import Any, NoReturn

from PIL import Image

from jurat.content import ImageError
from jurat.media.decoded import Decoded
from jurat.media.frames import Sampling
from jurat.media.limits import Limits, fitted
from jurat.text import one_line, reason

MAX_SECONDS = 4 * 3600.0
"""Longest video that is read, in seconds."""
MAX_FRAME = 1920 * 1080
"""Most pixels of a frame that is judged; larger ones are scaled down."""
MAX_DECODED = 1000
"""Most pixels decoded to reach the frames wanted, in multiples of the largest frame allowed."""
LEAST_FRAME = 2**16
"""Least pixels that a frame counts for there, so that many small frames are bounded as well."""
MAX_PIXELS = 36_000_000
"""Most pixels of a frame that is decoded: 8K. A decoder holds up to 16 frames."""
SKIPPED = 10.0
"""Seconds between two frames wanted from which on the way is not decoded but skipped, where a file has no
index that tells when skipping pays."""
LEADING = 16
"""Frames after a skip that may be missing: those that refer to what was skipped."""
SHORT = 1.0
"""Seconds that a video may end before it says it does; it may be twice its longest pause as well."""

# What a file may hold: what cameras, browsers and platforms make, and what they made.
_CODECS = (
    "h264,hevc,libdav1d,av1,vp9,vp8,libvpx-vp9,libvpx,mpeg4,mpeg2video,mpeg1video,h263,flv,vp6f,vp6,"
    "msmpeg4v1,msmpeg4v2,msmpeg4,wmv1,wmv2,wmv3,vc1,theora,mjpeg,prores,dnxhd,dvvideo,ffv1,vvc,png,rawvideo"
)
_INSTALL = 'a video, and reading videos needs PyAV: pip install "jurat[video]"'


@dataclass(frozen=True)
class VideoFormat:
    """A format that holds videos."""

    name: str
    """Its name in messages."""
    demuxer: str
    """FFmpeg's name for its reader."""
    start: re.Pattern[bytes]
    """The first bytes of such files."""
    indexed: bool = True
    """Whether times in its index, if it has one, are those of frames."""


_IMAGES = rb"avif|avis|mif1|msf1|hei|hevc|hevx|hevm|hevs|crx |jxl "
"""Brands of images that are stored as videos are."""

CONTAINERS = tuple(
    VideoFormat(name, demuxer, re.compile(start, re.S), indexed=demuxer != "mpeg")
    for name, demuxer, start in (
        ("MP4 or QuickTime", "mov", rb".{4}(ftyp(?!" + _IMAGES + rb")|moov|mdat|wide)"),
        ("WebM or Matroska", "matroska", rb"\x1aE\xdf\xa3"),
        ("AVI", "avi", rb"RIFF.{4}AVI "),
        ("Flash", "flv", rb"FLV\x01"),
        ("Ogg", "ogg", rb"OggS\x00"),
        ("Windows Media", "asf", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
        ("MPEG transport stream", "mpegts", rb"G(?!IF8).{187}G.{187}G"),
        ("MPEG", "mpeg", rb"\x00\x00\x01\xba"),
    )
)


def container_of(data: bytes) -> VideoFormat | None:
    """The video format of a file by its first bytes; None for anything else."""
    return next((container for container in CONTAINERS if container.start.match(data)), None)


def require_pyav() -> None:
    """Raises ImageError where PyAV is not installed."""
    if find_spec("av") is None:
        raise ImageError(_INSTALL)


def read_video(data: bytes, container: VideoFormat, limits: Limits, sampling: Sampling) -> Decoded:
    """The frames of a video that `sampling` wants: each is the one that is shown at its time. Fewer where one
    frame is shown at several times.

    Raises:
        ImageError: the video is damaged, cut off, too large or too long, or PyAV is not installed.
    """
    with _opened(data, container, limits) as reader:
        if reader.duration is None:
            found, duration = _streamed(reader, sampling)
        else:
            wanted = sampling.times(reader.duration)
            largest = min(MAX_FRAME, limits.kept_pixels // len(wanted))
            found = [(time, _picture(frame, largest)) for time, frame in _shown_at(reader, wanted)]
            duration = reader.duration
        if not found:
            raise ImageError(f"the {container.name} video has no pictures")
        width, height = reader.sides
    frames = tuple(frame for _, frame in found)
    return Decoded(
        frames,
        tuple(range(len(frames))),
        width,
        height,
        animated=len(frames) > 1,
        sha256=hashlib.sha256(data).hexdigest(),
        times=tuple(round(time, 3) for time, _ in found),
        duration=round(duration, 3),
        scales=tuple(width / frame.width for frame in frames) if frames[0].width < width else (),
        count=None,
    )


def frame_at(data: bytes, time: float) -> Image.Image:
    """The frame that a video shows `time` seconds from its beginning. Raises ImageError as `decode` does."""
    container, limits = container_of(data), Limits()
    if container is None:
        raise ImageError("not a video")
    with _opened(data, container, limits) as reader:
        for _, frame in _shown_at(reader, (time,)):
            return _picture(frame, MAX_FRAME)
    raise ImageError(f"the {container.name} video has no pictures")


# --- which frames --------------------------------------------------------------------------------


def _shown_at(reader: _Reader, wanted: tuple[float, ...]) -> Iterator[tuple[float, Any]]:
    """The frames that are shown at some times, which rise; one that is shown at several comes once."""
    frames = reader.frames()
    before: tuple[float, Any] | None = None
    after = next(frames, None)
    given: float | None = None
    for target in wanted:
        if before is not None and reader.skipping_pays(target):
            frames = reader.frames_from(target)
            before, after = None, next(frames, None)
        while after is not None and after[0] <= target + 1e-6:
            before, after = after, next(frames, None)
        if after is None and before is not None and reader.ends_before(target):
            raise ImageError(
                f"the {reader.name} video is truncated: it ends at {before[0]:.1f} s"
                f" of {reader.duration or target:.1f} s"
            )
        shown = before or after  # the first frame may be due after the beginning
        if shown is not None and shown[0] != given:
            given = shown[0]
            yield shown


def _streamed(reader: _Reader, sampling: Sampling) -> tuple[list[tuple[float, Image.Image]], float]:
    """Frames of a video that does not say how long it is, as `sampling` asks for them, and its length.

    Where they become too many, every second one is dropped, and the interval is doubled from then on.
    """
    pause, due, last = 1 / sampling.fps, 0.0, 0.0
    largest = min(MAX_FRAME, reader.limits.kept_pixels // (sampling.frames + 1))
    found: list[tuple[float, Image.Image]] = []
    for time, frame in reader.frames():
        last = time
        if time > MAX_SECONDS:
            raise ImageError(_too_long(time))
        if time + 1e-6 >= due:
            found.append((time, _picture(frame, largest)))
            if len(found) > sampling.frames:
                found = found[::2]
                pause *= 2
            due = found[-1][0] + pause
    return found, last + reader.period


# --- the file ------------------------------------------------------------------------------------


class _Reader:
    """An open video."""

    def __init__(self, container: VideoFormat, file: Any, stream: Any, limits: Limits) -> None:
        self.name = container.name
        self._container = container
        self._file = file
        self._stream = stream
        self.limits = limits
        self.sides = (0, 0)
        """Width and height of the first frame as it is shown."""
        self._decoded = 0
        self._start = stream.start_time or 0
        self._longest_pause = 0.0
        self._last: float | None = None
        rate = stream.average_rate or stream.guessed_rate
        self.period = 1 / float(rate) if rate else 0.04
        """Average seconds a frame."""
        self.duration = self._duration()
        """In seconds; None where the file does not say."""

    def _duration(self) -> float | None:
        seconds = None
        if self._stream.duration:
            seconds = float(self._stream.duration * self._stream.time_base)
        elif self._file.duration:
            seconds = self._file.duration / 1_000_000
        if seconds is not None and seconds > MAX_SECONDS:
            raise ImageError(_too_long(seconds))
        return seconds if seconds is not None and seconds > 0 else None

    def skipping_pays(self, time: float) -> bool:
        """Whether a frame that can be decoded alone lies between the frames read so far and a time."""
        last, index = self._last or 0.0, self._stream.index_entries
        if not index or not self._container.indexed:
            return time - last > SKIPPED
        nearest = index.search_timestamp(self._stamp(time))
        return nearest >= 0 and index[nearest].timestamp > self._stamp(last)

    def frames_from(self, time: float) -> Iterator[tuple[float, Any]]:
        """Frames from one on that is shown at a time, or before it."""
        for earlier in (time, time - SKIPPED, 0.0):
            with suppress(Exception):  # what cannot be skipped is decoded
                self._file.seek(self._stamp(max(0.0, earlier)), stream=self._stream, backward=True)
                self._last = None
            frames = self.frames(leading=LEADING if earlier > 0 else 0)
            try:
                first = next(frames, None)
            except ImageError:
                if earlier <= 0:
                    raise
                continue
            # Nothing at all may be the end of a file that was cut off: what is before it tells.
            if first is not None and first[0] <= time:
                break
        return frames if first is None else chain((first,), frames)

    def frames(self, leading: int = 0) -> Iterator[tuple[float, Any]]:
        """Frames with their times, from where the file was read to; `leading` of the first may be missing."""
        while True:
            try:
                for frame in self._file.decode(self._stream):
                    self._count(frame)
                    if frame.is_corrupt and leading:
                        leading -= 1
                        continue
                    if frame.is_corrupt:
                        raise ImageError(f"the {self.name} video is damaged: a frame is not whole")
                    leading = 0
                    yield self._time(frame), frame
                return
            except ImageError:
                raise
            except Exception as error:  # FFmpeg raises many kinds on hostile input
                if not leading:
                    at = "" if self._last is None else f"after {self._last:.1f} s: "
                    raise ImageError(f"the {self.name} video is damaged: {at}{_why(error)}") from error
                leading -= 1

    def ends_before(self, time: float) -> bool:
        """Whether the frames read so far end long before a time."""
        return self._last is not None and time - self._last > max(SHORT, 2 * self._longest_pause, self.period)

    def _stamp(self, time: float) -> int:
        return self._start + int(time / self._stream.time_base)

    def _count(self, frame: Any) -> None:
        _check_size(self.limits, frame)
        if self.sides == (0, 0):
            self.sides = _upright(frame)
        self._decoded += max(frame.width * frame.height, LEAST_FRAME)
        if self._decoded > MAX_DECODED * self.limits.max_pixels:
            raise ImageError(
                f"{self._decoded:,} pixels must be decoded to reach its frames,"
                f" more than the limit of {MAX_DECODED * self.limits.max_pixels:,}"
            )

    def _time(self, frame: Any) -> float:
        before = self._last
        if frame.pts is None:
            time = 0.0 if before is None else before + self.period
        else:
            time = max(0.0, float((frame.pts - self._start) * frame.time_base))
        if before is not None:
            self._longest_pause = max(self._longest_pause, time - before)
        self._last = time
        return time


@contextmanager
def _opened(data: bytes, container: VideoFormat, limits: Limits) -> Generator[_Reader]:
    try:
        import av
    except ImportError as error:
        raise ImageError(_INSTALL) from error
    options = {"max_pixels": str(min(limits.max_pixels, MAX_PIXELS)), "codec_whitelist": _CODECS}
    try:
        file = av.open(
            io.BytesIO(data),
            format=container.demuxer,
            options=options,
            io_open=_refuse,
            metadata_errors="replace",
            timeout=60,
        )
    except Exception as error:
        raise ImageError(f"the {container.name} video is damaged: its header: {_why(error)}") from error
    with file:
        stream: Any = next((each for each in file.streams.video if not _is_cover(each)), None)
        if stream is None:
            raise ImageError(f"the {container.name} file has no video in it")
        if stream.codec_context is None or stream.codec_context.name not in _CODECS.split(","):
            raise ImageError(f"the {container.name} video is in a codec that is not read")
        if stream.codec_context.width or stream.codec_context.height:
            _check_size(limits, stream.codec_context)
        stream.codec_context.options = options | {"err_detect": "crccheck+bitstream+buffer+explode"}
        stream.codec_context.thread_count = 1
        yield _Reader(container, file, stream, limits)


def _check_size(limits: Limits, given: Any) -> None:
    if limits.max_pixels > MAX_PIXELS:
        limits = replace(limits, max_pixels=MAX_PIXELS, hint="")
    limits.check_size(given.width, given.height)


def _is_cover(stream: Any) -> bool:
    """Whether a stream is a picture that goes with the file."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _refuse(url: str, flags: int, options: object) -> NoReturn:
    raise ImageError("it refers to another file, which is not opened")


def _why(error: Exception) -> str:
    """FFmpeg's message, without its numbers and the names of its functions."""
    said = getattr(error, "strerror", None)
    return one_line(said) if isinstance(said, str) and said else reason(error)


def _too_long(seconds: float) -> str:
    return f"the video lasts {seconds:,.0f} s, more than the limit of {MAX_SECONDS:,.0f} s"


# --- its pictures --------------------------------------------------------------------------------


_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


def _upright(frame: Any) -> tuple[int, int]:
    """Width and height as shown."""
    sides = (frame.width, frame.height)
    return sides if frame.rotation % 180 == 0 else sides[::-1]


def _picture(frame: Any, largest: int) -> Image.Image:
    """A frame as shown, scaled down to at most `largest` pixels."""
    width, height = fitted(frame.width, frame.height, largest)
    try:
        image: Image.Image = frame.to_image(width=width, height=height, interpolation="AREA")
    except Exception as error:
        raise ImageError(f"a frame cannot be made a picture: {reason(error)}") from error
    turn = _TURNS.get(frame.rotation % 360)
    return image if turn is None else image.transpose(turn)
