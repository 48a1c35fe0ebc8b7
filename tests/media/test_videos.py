"""Videos: which frames are sampled, their times, and reasons why a video is not judged."""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jurat.content import ImageError
from jurat.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Sampling, decode
from jurat.media import video as module
from jurat.media.decoded import Decoded
from jurat.media.decoding import decode_here
from jurat.media.limits import DEFAULT_MAX_FRAMES, Limits
from jurat.media.video import container_of, frame_at
from jurat.sources import find_items

from ..videos import video

KINDS = {
    "mp4": ("libx264", "mp4"),
    "quicktime": ("mpeg4", "mov"),
    "matroska": ("libx264", "matroska"),
    "webm": ("libvpx", "webm"),
    "webm vp9": ("libvpx-vp9", "webm"),
    "avi": ("mpeg4", "avi"),
    "transport stream": ("libx264", "mpegts"),
    "flash": ("libx264", "flv"),
}


def tint(share: float, size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.new("RGB", size, (round(255 * share), 0, 0))


def rising(count: int) -> list[Image.Image]:
    return [tint(i / count) for i in range(count)]


def shares(frames: tuple[Image.Image, ...]) -> list[float]:
    return [frame.getpixel((frame.width // 2, frame.height // 2))[0] / 255 for frame in frames]


def reason_for(data: bytes, **options: object) -> str:
    with pytest.raises(ImageError) as raised:
        decode(data, **options)  # pyright: ignore[reportArgumentType]
    assert "\n" not in raised.value.message
    return raised.value.message


def here(data: bytes, sampling: Sampling | None = None) -> Decoded:
    """Decoded in this process, whose settings a test may change."""
    return decode_here(data, Limits(), sampling or Sampling())


def reason_here(data: bytes) -> str:
    with pytest.raises(ImageError) as raised:
        here(data)
    return raised.value.message


# --- which frames --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_one_frame_per_second_is_sampled(kind: str) -> None:
    codec, format = KINDS[kind]
    decoded = decode(video(rising(40), codec=codec, format=format))
    assert (decoded.kind, decoded.width, decoded.height, decoded.animated) == ("video", 64, 48, True)
    assert decoded.times[:8] == (0, 1, 2, 3, 4, 5, 6, 7)
    assert decoded.duration == pytest.approx(8, abs=0.5)
    assert decoded.indices == tuple(range(len(decoded.frames)))
    assert shares(decoded.frames)[:8] == pytest.approx([i / 8 for i in range(8)], abs=0.04)


def test_sampling_options_set_rate_and_count() -> None:
    data = video(rising(40))
    assert decode(data, sampling=Sampling(fps=2)).times == tuple(i / 2 - (i % 2) / 10 for i in range(16))
    assert decode(data, sampling=Sampling(fps=0.25)).times == (0, 4)
    assert decode(data, sampling=Sampling(fps=2, frames=4)).times == (0, 2.4, 5, 7.4)
    assert len(decode(data, sampling=Sampling(fps=240, frames=1000)).frames) == 40  # none comes twice


@given(st.floats(0.01, 20_000), st.floats(0.01, 60), st.integers(1, 200))
def test_sampled_times_increase_within_the_duration(duration: float, fps: float, frames: int) -> None:
    times = Sampling(fps, frames).times(duration)
    assert times[0] == 0
    assert 1 <= len(times) <= frames
    assert list(times) == sorted(set(times))
    assert times[-1] < duration
    if len(times) < frames:
        assert times[-1] >= duration - 1 / fps - 1e-3


def test_long_video_is_sampled_by_seeking() -> None:
    """Five samples of 100 seconds; the frames between need not be decoded."""
    data = video(rising(50), fps=5, each=10, g="25")
    decoded = decode(data, sampling=Sampling(1, 5))
    assert decoded.times == (0, 25, 50, 74, 99)
    assert shares(decoded.frames) == pytest.approx([0, 0.24, 0.5, 0.74, 0.98], abs=0.04)


OPEN = "open-gop=1:bframes=3:keyint=20"
REFERRING = {
    "closed": {"codec": "libx264", "g": "20"},
    "open": {"codec": "libx264", "x264-params": OPEN},
    "open, matroska": {"codec": "libx264", "format": "matroska", "x264-params": OPEN},
    "open, H.265": {"codec": "libx265", "x265-params": f"{OPEN}:log-level=none"},
    "refreshed": {"codec": "libx264", "x264-params": "intra-refresh=1:keyint=20"},
    "MPEG-2": {"codec": "mpeg2video", "format": "mpeg", "fps": 25, "each": 5, "bf": "2"},
    "VP9": {"codec": "libvpx-vp9", "format": "webm", "g": "20"},
}


@pytest.mark.parametrize("kind", REFERRING)
def test_seeking_gives_the_frames_of_sequential_decoding(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with frames that refer to earlier ones across the seek point."""
    data = video(rising(100), **REFERRING[kind])  # pyright: ignore[reportArgumentType]
    samplings = [Sampling(1), Sampling(0.3), Sampling(1, 4)]
    skipped = [here(data, sampling=sampling) for sampling in samplings]
    monkeypatch.setattr(module._Reader, "skipping_pays", lambda self, time: False)
    for sampling, found in zip(samplings, skipped, strict=True):
        through = here(data, sampling=sampling)
        assert (found.times, found.duration) == (through.times, through.duration)
        assert [f.tobytes() for f in found.frames] == [f.tobytes() for f in through.frames]


def test_frames_between_samples_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = video(rising(100), g="5")
    monkeypatch.setattr(module, "LEAST_FRAME", module.MAX_DECODED * Limits().max_pixels // 50)
    assert len(here(data, sampling=Sampling(0.25)).frames) == 5
    with pytest.raises(ImageError, match="pixels must be decoded"):
        here(data, sampling=Sampling(5, 100))


def test_video_without_duration_is_decoded_sequentially() -> None:
    data = video(rising(40), codec="libvpx", format="webm", container={"live": "1"})
    decoded = decode(data)
    assert (decoded.times, decoded.duration) == ((0, 1, 2, 3, 4, 5, 6, 7), pytest.approx(8, abs=0.3))
    few = decode(data, sampling=Sampling(5, 8))
    assert 4 <= len(few.frames) <= 8
    assert few.times[0] == 0 and few.times[-1] > 5
    assert shares(few.frames) == pytest.approx([time / 8 for time in few.times], abs=0.04)


def test_video_of_one_frame_has_one_sample() -> None:
    decoded = decode(video([tint(0.5)]))
    assert (decoded.kind, decoded.times) == ("video", (0,))


def test_frame_at_returns_the_frame_at_a_time() -> None:
    data = video(rising(40))
    assert shares((frame_at(data, 5.1),)) == pytest.approx([25 / 40], abs=0.04)
    with pytest.raises(ImageError, match="not a video"):
        frame_at(b"x", 0)


@pytest.mark.parametrize(
    ("turned", "corner"), [(90, "left bottom"), (180, "right bottom"), (-90, "right top")]
)
def test_rotated_video_is_turned_upright(turned: float, corner: str) -> None:
    picture = tint(0)
    picture.paste((0, 255, 0), (0, 0, 16, 16))  # left top
    decoded = decode(video([picture] * 3, turned=turned))
    (frame, *_) = decoded.frames
    assert frame.size == (decoded.width, decoded.height) == ((64, 48) if turned == 180 else (48, 64))
    across, down = corner.split()
    at = (4 if across == "left" else frame.width - 5, 4 if down == "top" else frame.height - 5)
    assert frame.getpixel(at)[1] > 200


# --- limits --------------------------------------------------------------------------------------


def test_large_frames_are_scaled_and_the_original_size_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_FRAME", 32 * 24)
    decoded = here(video(rising(5)))
    assert (decoded.width, decoded.height) == (64, 48)
    assert decoded.frames[0].size == (32, 24)


def test_frames_over_the_pixel_limit_are_not_decoded() -> None:
    told = (
        "64 x 48 pixels are more than the limit of 3,000; it may be a decompression bomb and was not decoded"
    )
    assert reason_for(video(rising(5)), max_pixels=3000).startswith(told)


def test_frames_up_to_8k_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_PIXELS > 8192 * 4320
    monkeypatch.setattr(module, "MAX_PIXELS", 3000)
    assert reason_here(video(rising(5))).startswith("64 x 48 pixels are more than the limit of 3,000;")


def test_overlong_or_costly_video_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, live = video(rising(40)), video(rising(40), codec="libvpx", format="webm", container={"live": "1"})
    monkeypatch.setattr(module, "MAX_SECONDS", 6.0)
    assert reason_here(data) == "the video lasts 8 s, more than the limit of 6 s"
    assert reason_here(live) == "the video lasts 6 s, more than the limit of 6 s"
    monkeypatch.undo()
    monkeypatch.setattr(module, "LEAST_FRAME", 10**10)
    assert "pixels must be decoded to reach its frames, more than the limit of" in reason_here(data)


def test_playlists_are_not_videos(tmp_path: Path) -> None:
    """A playlist is never a video, whatever its suffix."""
    (tmp_path / "secret.mp4").write_bytes(video(rising(5)))
    for text in (
        f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/secret.mp4\n",
        "ffconcat version 1.0\nfile secret.mp4\n",
    ):
        assert container_of(text.encode()) is None
        assert reason_for(text.encode()) == "not an image: it looks like plain text"


# --- what is wrong with them ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "keep", "told"),
    [
        ("mp4", 0.5, "the MP4 or QuickTime video is damaged: its header: "),
        ("matroska", 0.6, "the WebM or Matroska video is truncated: it ends at "),
        ("webm", 0.6, "the WebM or Matroska video is truncated: it ends at "),
        ("flash", 0.6, "the Flash video is damaged: after "),
        ("webm", 0.02, "the WebM or Matroska video is damaged: its header: "),
    ],
)
def test_truncated_video_is_reported(kind: str, keep: float, told: str) -> None:
    codec, format = KINDS[kind]
    data = video(rising(40), codec=codec, format=format)
    assert reason_for(data[: int(len(data) * keep)]).startswith(told)


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.8])
def test_video_with_complete_index_and_missing_frames_is_reported(keep: float, tmp_path: Path) -> None:
    import av

    path, noise = tmp_path / "v.mp4", random.Random(1)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=2)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.options = {"g": "2", "crf": "10"}
        for _ in range(80):
            picture = Image.frombytes("RGB", (160, 120), noise.randbytes(160 * 120 * 3))
            file.mux(stream.encode(av.VideoFrame.from_image(picture)))
        file.mux(stream.encode())
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat") and len(data) > 2**20
    told = reason_for(data[: int(len(data) * keep)])
    assert told.startswith(
        ("the MP4 or QuickTime video is truncated", "the MP4 or QuickTime video is damaged")
    )


def test_gif_resembling_a_transport_stream_is_an_image() -> None:
    data = bytearray(b"GIF89a" + bytes(400))
    data[188] = data[376] = ord("G")
    assert container_of(bytes(data)) is None


def test_damaged_frame_makes_the_video_an_error() -> None:
    data = bytearray(video(rising(40), format="matroska", g="5"))
    at = len(data) // 2
    data[at : at + 60] = bytes(60)
    assert reason_for(bytes(data)).startswith("the WebM or Matroska video is ")


def test_audio_only_file_is_refused() -> None:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mov") as file:
        stream = file.add_stream("pcm_s16le", rate=44100, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=1024)
        frame.sample_rate, frame.pts = 44100, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert reason_for(buffer.getvalue()) == "the MP4 or QuickTime file has no video in it"


def test_missing_pyav_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    data = video([tint(0.5)])
    monkeypatch.setitem(sys.modules, "av", None)
    assert reason_for(data) == 'a video, and reading videos needs PyAV: pip install "jurat[video]"'


@given(st.data())
def test_damaged_videos_decode_or_give_one_line(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(SMALL)))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(damaged[: data.draw(st.integers(1, len(damaged)))]))
    except ImageError as error:
        assert "\n" not in error.message and error.message
    else:
        assert decoded.frames and len(decoded.frames) <= DEFAULT_MAX_FRAMES
        assert all(frame.mode == "RGB" for frame in decoded.frames)


SMALL = [video(rising(6), codec=codec, format=format) for codec, format in KINDS.values()]


# --- where they come from ------------------------------------------------------------------------


def test_videos_in_folders_are_items(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.WEBM", "c.ts", "d.png", "e.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [Path(item.id).name for item in find_items([str(tmp_path)])] == ["a.mp4", "b.WEBM", "d.png"]
    assert not VIDEO_SUFFIXES & IMAGE_SUFFIXES


def test_avif_and_heic_are_not_videos() -> None:
    for brand in (b"avif", b"heic", b"mif1"):
        assert container_of(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic") is None
    assert Limits().kept_pixels // DEFAULT_MAX_FRAMES >= 1920 * 1080
