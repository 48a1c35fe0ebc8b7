"""Videos that PyAV makes of pictures."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import av
from PIL import Image


def video(
    pictures: Iterable[Image.Image],
    *,
    fps: int = 5,
    each: int = 1,
    codec: str = "libx264",
    format: str = "mp4",
    turned: float = 0,
    container: dict[str, str] | None = None,
    **options: str,
) -> bytes:
    """Each picture is shown for `each` frames; `turned` is how a player is told to turn it."""
    stream: Any = None
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=format, options=container or {}) as file:
        for picture in pictures:
            if stream is None:
                stream = file.add_stream(codec, rate=fps)
                stream.width, stream.height = picture.size
                stream.pix_fmt = "yuv420p"
                stream.options = options
                if turned:
                    stream.set_display_rotation(turned)
            for _ in range(each):
                file.mux(stream.encode(av.VideoFrame.from_image(picture)))
        file.mux(stream.encode())
    return buffer.getvalue()
