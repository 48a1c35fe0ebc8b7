"""Small copies of what was judged, and of nothing else."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from jurat.report.thumbnails import LONGEST, thumbnail


def picture(url: str) -> Image.Image:
    kind, _, data = url.partition(";base64,")
    assert kind == "data:image/webp"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize(
    ("size", "small"), [((2000, 500), (480, 120)), ((64, 48), (64, 48)), ((30, 3000), (5, 480))]
)
def test_a_thumbnail_keeps_the_shape_and_is_never_enlarged(verdict, size, small):
    found = thumbnail(verdict("x.png", image=size))
    assert picture(found.url).size == (found.width, found.height) == small
    assert max(small) <= LONGEST <= 512


def test_it_shows_the_frame_that_the_verdict_is_about(verdict, tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    found = thumbnail(verdict("moving.gif", image=None, sha256=digest, kind="animation", frames=3, frame=2))
    red, _, blue = picture(found.url).convert("RGB").getpixel((16, 16))
    assert blue > 200 > 50 > red


def test_a_file_that_is_not_what_was_judged_is_not_shown(verdict, tmp_path):
    judged = verdict("x.png")
    Image.new("RGB", (64, 48), "blue").save(tmp_path / "x.png")
    assert thumbnail(judged).url is None
    assert thumbnail(judged).missing == "The file has changed since it was judged."


MISSING = {
    "gone": ({"uri": "/nowhere/x.png", "id": "y.png"}, "The image is not where it was when it was judged."),
    "an error row": ({"sha256": None}, "This item could not be read when it was judged."),
    "a URL, which is never fetched": (
        {"uri": "https://example.invalid/x.png", "id": "https://example.invalid/x.png"},
        "The image is not where it was when it was judged.",
    ),
    "a null byte": ({"uri": "a\0b", "id": "a\0b"}, "The image is not where it was when it was judged."),
    "a folder": ({"uri": "/", "id": "/"}, "The image is not where it was when it was judged."),
}


@pytest.mark.parametrize("case", MISSING)
def test_where_there_is_no_image_it_says_why(verdict, case):
    changes, told = MISSING[case]
    found = thumbnail(verdict("x.png", **changes))
    assert (found.url, found.missing) == (None, told)


def test_images_that_moved_are_found_under_the_root_by_id_or_by_name(verdict, tmp_path):
    judged = verdict("pics/x.png")
    for place in ("new/pics", "flat"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "x.png").write_bytes(Path(judged.uri).read_bytes())
    Path(judged.uri).unlink()
    assert thumbnail(judged).url is None
    assert thumbnail(judged, tmp_path / "new").url
    assert thumbnail(judged, tmp_path / "flat").url
