"""Objects behind URIs, read from real servers on this machine."""

from __future__ import annotations

import functools
import http.server
import io
import pickle
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jurat.errors import MissingExtra
from jurat.images import ImageError, SourceOptions, find_items
from jurat.images.remote import SCHEMES

from ..servers import s3_server


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_server(tmp_path_factory.mktemp("s3")) as environment:
        yield environment


@pytest.fixture
def bucket(endpoint: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """An S3 file system with a bucket of that name, seen by everything in this process."""
    import s3fs

    for name, value in endpoint.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    if not files.exists("bucket"):
        files.mkdir("bucket")
        for name in (
            "in/b.png",
            "in/a.jpg",
            "in/deep/c.png",
            "in/deep-1.png",
            "in/notes.txt",
            "empty.png",
            "x.bin",
        ):
            files.pipe(f"bucket/{name}", b"" if name == "empty.png" else name.encode())
    yield files
    s3fs.S3FileSystem.clear_instance_cache()


def said(uri: str, **options: int) -> str:
    (item,) = find_items([uri], **options)
    with pytest.raises(ImageError) as raised:
        item.open()
    return raised.value.message


def test_a_prefix_is_walked_in_byte_order_like_a_folder(bucket) -> None:
    found = list(find_items(["s3://bucket/in/"]))
    names = ["in/a.jpg", "in/b.png", "in/deep-1.png", "in/deep/c.png"]
    assert [item.id for item in found] == [f"s3://bucket/{name}" for name in names]
    assert [item.open() for item in found] == [name.encode() for name in names]
    assert found[0].uri == found[0].id
    assert pickle.loads(pickle.dumps(found[0])).open() == b"in/a.jpg"


def test_objects_and_globs(bucket) -> None:
    assert [item.open() for item in find_items(["s3://bucket/x.bin"])] == [b"x.bin"]
    assert [item.id for item in find_items(["s3://bucket/in/*.png"])] == [
        "s3://bucket/in/b.png",
        "s3://bucket/in/deep-1.png",
    ]
    assert [item.id for item in find_items(["s3://bucket/in/**"])] == [
        "s3://bucket/in/a.jpg",
        "s3://bucket/in/b.png",
        "s3://bucket/in/deep-1.png",
        "s3://bucket/in/deep/c.png",
    ]


def test_a_list_on_standard_input_may_have_uris(bucket) -> None:
    found = find_items(["-"], io.StringIO("s3://bucket/in/a.jpg\ns3://bucket/x.bin\n"))
    assert [item.open() for item in found] == [b"in/a.jpg", b"x.bin"]


def test_what_cannot_be_read_says_why(bucket) -> None:
    assert said("s3://bucket/gone.png") == "no such object: s3://bucket/gone.png"
    assert said("s3://nosuch/in/*.png").startswith(("nothing matches: ", "no such object: "))
    assert said("s3://bucket/in/*.gif") == "nothing matches: s3://bucket/in/*.gif"
    assert said("s3://bucket/empty.png") == "the file is empty (0 bytes)"
    assert said("s3://bucket/x.bin", max_bytes=3) == "the file has 5 bytes, more than the limit of 3"


def test_an_object_that_went_away_since_it_was_listed(bucket) -> None:
    bucket.pipe("bucket/other/a.png", b"x")
    (item,) = find_items(["s3://bucket/other/"])
    bucket.rm("bucket/other/a.png")
    with pytest.raises(ImageError, match="no such object"):
        item.open()


def test_tables_and_shards_in_a_bucket(bucket) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"path": ["in/a.jpg", "s3://bucket/x.bin", "../x"], "n": [1, 2, 3]}), buffer)
    bucket.pipe("bucket/t.parquet", buffer.getvalue())
    found = list(find_items(["s3://bucket/t.parquet"]))
    assert [item.open() for item in found[:2]] == [b"in/a.jpg", b"x.bin"]
    assert found[0].uri == "s3://bucket/in/a.jpg"
    assert found[1].columns == {"n": "2"}
    with pytest.raises(ImageError, match=r"a path that leaves the table's folder: \.\./x"):
        found[2].open()

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in (("0.jpg", b"zero"), ("0.txt", b"a zero"), ("1.jpg", b"one")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    bucket.pipe("bucket/shards/00.tar", buffer.getvalue())
    found = list(find_items(["s3://bucket/shards/*.tar"]))
    assert [(item.id, item.open()) for item in found] == [
        ("s3://bucket/shards/00.tar#0.jpg", b"zero"),
        ("s3://bucket/shards/00.tar#1.jpg", b"one"),
    ]
    assert found[0].columns == {"txt": "a zero"}


def test_a_local_table_may_name_objects(bucket, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("key,uri\n1,s3://bucket/in/a.jpg\n2,ftp://x/y.png\n")
    one, two = find_items([str(table)], options=SourceOptions(id_column="key"))
    assert (one.id, one.open()) == ("1", b"in/a.jpg")
    with pytest.raises(ImageError, match="jurat reads no ftp:// URIs"):
        two.open()


def test_https_and_http_are_read_through_the_same_door(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"from a server")
    (tmp_path / "t.jsonl").write_text('{"path": "a.png"}\n')
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        try:
            assert [item.open() for item in find_items([f"{root}/a.png", f"{root}/t.jsonl"])] == [
                b"from a server"
            ] * 2
            assert said(f"{root}/gone.png") == f"no such object: {root}/gone.png"
        finally:
            server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None: ...


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_backend_that_is_not_installed_ends_it_with_the_command_that_installs_it(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    module, extra = SCHEMES[scheme]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra) as raised:
        list(find_items([f"{scheme}://host/a.png"]))
    assert str(raised.value) == (
        f"Reading {scheme}:// URIs needs packages that are not installed.\n"
        f'  Install them: pip install "jurat[{extra}]"'
    )
