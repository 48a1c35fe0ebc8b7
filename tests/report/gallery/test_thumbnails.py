"""Thumbnails of exactly the images that were judged."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jurat.constitution import Constitution, Rule
from jurat.content import Item
from jurat.judge import Judge
from jurat.report.gallery.thumbnails import LONGEST, Thumbnail
from jurat.report.gallery.thumbnails import thumbnail as thumbnail_of
from jurat.report.verdicts.pictures import picture_of
from jurat.sources import SourceOptions, find_items
from jurat.sources.reopen import Reopener

from ...videos import video


def thumbnail(verdict, root: Path | None = None, inside=None) -> Thumbnail:
    return thumbnail_of(picture_of(verdict), root, inside)


def picture(url: str) -> Image.Image:
    kind, _, data = url.partition(";base64,")
    assert kind == "data:image/webp"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize(
    ("size", "small"), [((2000, 500), (480, 120)), ((64, 48), (64, 48)), ((30, 3000), (5, 480))]
)
def test_thumbnail_keeps_the_shape_and_is_never_enlarged(verdict, size, small):
    found = thumbnail(verdict("x.png", image=size))
    assert picture(found.url).size == (found.width, found.height) == small
    assert max(small) <= LONGEST <= 512


def test_thumbnail_shows_the_frame_of_the_verdict(verdict, tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    found = thumbnail(verdict("moving.gif", image=None, sha256=digest, kind="animation", frames=3, frame=2))
    red, _, blue = picture(found.url).convert("RGB").getpixel((16, 16))
    assert blue > 200 > 50 > red


def test_thumbnail_shows_the_deciding_moment_or_image(tmp_path):
    pictures = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / "clip.mp4"
    path.write_bytes(video(pictures, fps=2, each=2))
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for picture_, to in zip(pictures, paths, strict=True):
        picture_.save(to)
    policy = Constitution(name="c", rules=(Rule(id="r", rule="R", clauses=("A",)),))
    for given in (path, Item(paths)):
        judged = Judge(policy, "null", "quick").judge(given)
        for frame, channel in ((0, 0), (1, 1), (2, 2)):
            found = thumbnail(judged.model_copy(update={"frame": frame}))
            pixel = picture(found.url).convert("RGB").getpixel((16, 16))
            assert pixel.index(max(pixel)) == channel
    paths[2].write_bytes(b"another")
    assert (
        thumbnail(judged.model_copy(update={"frame": 2})).missing
        == "The file has changed since it was judged."
    )


def test_changed_file_is_not_shown(verdict, tmp_path):
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
def test_missing_image_has_a_reason(verdict, case):
    changes, told = MISSING[case]
    found = thumbnail(verdict("x.png", **changes))
    assert (found.url, found.missing) == (None, told)


def test_moved_images_are_found_by_id_or_name(verdict, tmp_path):
    judged = verdict("pics/x.png")
    for place in ("new/pics", "flat"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "x.png").write_bytes(Path(judged.uri).read_bytes())
    Path(judged.uri).unlink()
    assert thumbnail(judged).url is None
    assert thumbnail(judged, tmp_path / "new").url
    assert thumbnail(judged, tmp_path / "flat").url


def inside(tmp_path: Path, kind: str) -> Path:
    """A shard or a table of three pictures, each of its own colour."""
    made = []
    for colour in ("red", "lime", "blue"):
        data = io.BytesIO()
        Image.new("RGB", (32, 32), colour).save(data, "PNG")
        made.append(data.getvalue())
    path = tmp_path / f"x.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"image": made}), path)
        return path
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
        for number, data in enumerate(made):
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def there(verdicts, root=None):
    return Reopener(root=root).find(uri for one in verdicts for uri in picture_of(one).uris)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 1, 0)])
def test_images_are_reopened_in_any_order(tmp_path, order):
    path = inside(tmp_path, "tar.gz")
    found = Reopener()
    uris = [f"{path}#{number}.png" for number in order]
    colours = [Image.open(io.BytesIO(found.find([uri, "gone"])[uri]())).getpixel((0, 0)) for uri in uris]
    assert colours == [((255, 0, 0), (0, 255, 0), (0, 0, 255))[number] for number in order]
    assert found.find([f"{path}#9.png"]) == {}


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "parquet"])
def test_images_in_local_shards_and_tables_are_shown(tmp_path, kind):
    path = inside(tmp_path, kind)
    policy = Constitution(name="c", rules=(Rule(id="r", rule="R", clauses=("A",)),))
    verdicts = list(Judge(policy, "null", "quick").stream(find_items([str(path)])))
    found = there(verdicts)
    assert len(found) == 3
    for channel, verdict in enumerate(verdicts):
        pixel = picture(thumbnail(verdict, None, found).url).convert("RGB").getpixel((16, 16))
        assert pixel.index(max(pixel)) == channel
    moved = tmp_path / "new"
    moved.mkdir()
    path.rename(moved / path.name)
    assert there(verdicts) == {}
    assert thumbnail(verdicts[0]).missing == "The image is not where it was when it was judged."
    assert thumbnail(verdicts[1], moved, there(verdicts, moved)).url
    another = verdicts[0].model_copy(update={"sha256": "0" * 64})
    assert thumbnail(another, moved, there([another], moved)).missing.startswith("The file has changed")


def test_records_cannot_cause_network_access(verdict, tmp_path):
    (tmp_path / "words.csv").write_text("no,images\n1,2\n")
    table = tmp_path / "t.csv"
    table.write_text("url\nhttps://example.invalid/x.png\n")
    uris = ["https://example.invalid/x.tar#0.png", f"{tmp_path}#x", f"{tmp_path}/words.csv#0", "a\0b#c"]
    uris += [f"{tmp_path}/gone.tar#0.png", f"{table}#0"]
    assert Reopener().find(uris) == {}
    cell = pa.array(
        [{"bytes": None, "path": "https://example.invalid/x.png"}],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    pq.write_table(pa.table({"image": cell}), tmp_path / "t.parquet")
    judged = verdict("x.png", uri=f"{tmp_path}/t.parquet#0")
    assert thumbnail(judged, None, there([judged])).missing == (
        "The image cannot be shown: it is not on this machine: https://example.invalid/x.png"
    )


def test_images_of_an_item_are_found_in_its_table(tmp_path):
    made = []
    for colour in ("red", "blue"):
        buffer = io.BytesIO()
        Image.new("RGB", (32, 32), colour).save(buffer, "PNG")
        made.append(buffer.getvalue())
    table = tmp_path / "several.parquet"
    pq.write_table(pa.table({"frames": pa.array([made], pa.list_(pa.binary()))}), table)
    policy = Constitution(name="c", rules=(Rule(id="r", rule="R", clauses=("A",)),))
    options = SourceOptions(column="frames")
    (judged,) = Judge(policy, "null", "quick").stream(find_items([str(table)], options=options))
    for frame, channel in ((0, 0), (1, 2)):
        shown = judged.model_copy(update={"frame": frame})
        found = Reopener("frames").find(picture_of(shown).uris)
        pixel = picture(thumbnail(shown, None, found).url).convert("RGB").getpixel((16, 16))
        assert pixel.index(max(pixel)) == channel


def test_overlong_names_are_missing_images(verdict):
    found = thumbnail(verdict("x.png", id="x" * 300, uri="/" + "x" * 300))
    assert found.missing == "The image is not where it was when it was judged."
