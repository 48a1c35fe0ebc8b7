"""Objects behind URIs, read from real local servers."""

from __future__ import annotations

import functools
import http.server
import io
import pickle
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jurat.content import ImageError
from jurat.errors import MissingExtra
from jurat.sources import SourceOptions, find_items
from jurat.sources.uris import SCHEMES

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
        item.read()
    return raised.value.message


def test_prefix_is_walked_in_byte_order(bucket) -> None:
    found = list(find_items(["s3://bucket/in/"]))
    names = ["in/a.jpg", "in/b.png", "in/deep-1.png", "in/deep/c.png"]
    assert [item.id for item in found] == [f"s3://bucket/{name}" for name in names]
    assert [item.read()[0] for item in found] == [name.encode() for name in names]
    assert found[0].uri == found[0].id
    assert pickle.loads(pickle.dumps(found[0])).read()[0] == b"in/a.jpg"


def test_objects_and_globs_in_a_bucket_are_read(bucket) -> None:
    assert [item.read()[0] for item in find_items(["s3://bucket/x.bin"])] == [b"x.bin"]
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


def test_list_on_standard_input_may_contain_uris(bucket) -> None:
    found = find_items(["-"], io.StringIO("s3://bucket/in/a.jpg\ns3://bucket/x.bin\n"))
    assert [item.read()[0] for item in found] == [b"in/a.jpg", b"x.bin"]


def test_unreadable_objects_report_the_reason(bucket) -> None:
    assert said("s3://bucket/gone.png") == "no such object: s3://bucket/gone.png"
    assert said("s3://nosuch/in/*.png").startswith(("nothing matches: ", "no such object: "))
    assert said("s3://bucket/in/*.gif") == "nothing matches: s3://bucket/in/*.gif"
    assert said("s3://bucket/empty.png") == "the file is empty (0 bytes)"
    assert said("s3://bucket/x.bin", max_bytes=3) == "the file has 5 bytes, more than the limit of 3"


def test_object_deleted_after_listing_is_an_error(bucket) -> None:
    bucket.pipe("bucket/other/a.png", b"x")
    (item,) = find_items(["s3://bucket/other/"])
    bucket.rm("bucket/other/a.png")
    with pytest.raises(ImageError, match="no such object"):
        item.read()


def test_tables_and_shards_in_a_bucket_are_read(bucket) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"path": ["in/a.jpg", "s3://bucket/x.bin", "../x"], "n": [1, 2, 3]}), buffer)
    bucket.pipe("bucket/t.parquet", buffer.getvalue())
    found = list(find_items(["s3://bucket/t.parquet"]))
    assert [item.read()[0] for item in found[:2]] == [b"in/a.jpg", b"x.bin"]
    assert found[0].uri == "s3://bucket/in/a.jpg"
    assert found[1].columns == {"n": "2"}
    with pytest.raises(ImageError, match=r"a path that leaves the table's folder: \.\./x"):
        found[2].read()

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in (("0.jpg", b"zero"), ("0.txt", b"a zero"), ("1.jpg", b"one")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    bucket.pipe("bucket/shards/00.tar", buffer.getvalue())
    found = list(find_items(["s3://bucket/shards/*.tar"]))
    assert [(item.id, item.read()[0]) for item in found] == [
        ("s3://bucket/shards/00.tar#0.jpg", b"zero"),
        ("s3://bucket/shards/00.tar#1.jpg", b"one"),
    ]
    assert found[0].columns == {"txt": "a zero"}


def test_local_table_may_refer_to_objects(bucket, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("key,uri\n1,s3://bucket/in/a.jpg\n2,ftp://x/y.png\n")
    one, two = find_items([str(table)], options=SourceOptions(id_column="key"))
    assert (one.id, one.read()[0]) == ("1", b"in/a.jpg")
    with pytest.raises(ImageError, match="jurat reads no ftp:// URIs"):
        two.read()


def test_images_and_tables_are_read_over_http(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"from a server")
    (tmp_path / "t.jsonl").write_text('{"path": "a.png"}\n')
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        try:
            assert [item.read()[0] for item in find_items([f"{root}/a.png", f"{root}/t.jsonl"])] == [
                b"from a server"
            ] * 2
            assert said(f"{root}/gone.png") == f"no such object: {root}/gone.png"
        finally:
            server.shutdown()


def test_exact_object_name_takes_precedence_over_glob(bucket) -> None:
    for name in ("odd/photo[1].png", "odd/photo1.png", "days/day-1/a.png", "days/day-2/b.png"):
        bucket.pipe(f"bucket/{name}", name.encode())
    (named,) = find_items(["s3://bucket/odd/photo[1].png"])
    assert named.read()[0] == b"odd/photo[1].png"
    listed = find_items(["-"], io.StringIO("s3://bucket/odd/photo[1].png\ns3://bucket/odd/*.png\n"))
    assert [item.id for item in listed] == ["s3://bucket/odd/photo[1].png", "s3://bucket/odd/*.png"]
    assert [item.id for item in find_items(["s3://bucket/days/day-*"])] == [
        "s3://bucket/days/day-1/a.png",
        "s3://bucket/days/day-2/b.png",
    ]


class _Faulty(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path begins with; `/503-twice` is answered at the third try, and
    `/pieces` without a length, piece by piece."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        name = self.path.partition("?")[0]
        self.asked[f"{self.command} {name}"] += 1
        status = int(name[1:4]) if name[1:4].isdigit() else 200
        if name == "/503-twice" and self.asked[f"GET {name}"] > 2:
            status = 200
        self.send_response(status)
        self.end_headers()
        if self.command == "HEAD" or status != 200:
            return
        pieces = (b"path\n", b"x.png\n") if name.endswith(".csv") else (b"one ", b"two ", b"three")
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()
            threading.Event().wait(0.05)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="module")
def faulty() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Faulty) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pauses between tries."""
    monkeypatch.setattr("jurat.sources.remote._PAUSE", 0.0)


@pytest.mark.parametrize(
    ("name", "told", "tries"),
    [
        ("404.png", "no such object: {}", 1),
        ("403.png", "cannot be read (access was denied): {}", 1),
        ("400.png", "cannot be read (the server answered 400): {}", 1),
        ("503.png", "cannot be read (the server answered 503): {}", 3),
        ("429.png", "cannot be read (the server answered 429): {}", 3),
    ],
)
def test_server_errors_are_reported_and_transient_ones_retried(
    faulty: str, hurried: None, name: str, told: str, tries: int
) -> None:
    assert said(f"{faulty}/{name}") == told.format(f"{faulty}/{name}")
    assert _Faulty.asked[f"GET /{name}"] == tries


def test_recovering_server_is_read(faulty: str, hurried: None) -> None:
    (item,) = find_items([f"{faulty}/503-twice"])
    assert item.read()[0] == b"one two three"


def test_unreachable_server_is_not_reported_as_missing_object(hurried: None) -> None:
    assert said("http://127.0.0.1:9/a.png").startswith("cannot be read (Cannot connect to host 127.0.0.1:9")


def test_chunked_response_is_read_completely(faulty: str) -> None:
    (item,) = find_items([f"{faulty}/pieces"])
    assert item.read()[0] == b"one two three"
    assert said(f"{faulty}/pieces", max_bytes=5) == "the file has 6 bytes, more than the limit of 5"


def test_signatures_and_passwords_are_masked(faulty: str, hurried: None) -> None:
    signed = "X-Amz-Date=1&X-Amz-Signature=0123&x=1"
    host = faulty.removeprefix("http://")
    (item,) = find_items([f"{faulty}/404.png?{signed}"])
    assert item.id == item.uri == f"{faulty}/404.png?X-Amz-Date=1&X-Amz-Signature=***&x=1"
    assert said(f"http://me:secret@{host}/404.png") == f"no such object: http://***@{host}/404.png"
    (row,) = find_items([f"{faulty}/t.csv?{signed}"])
    assert row.id == "x.png"
    assert row.uri == f"{faulty}/x.png"


class _Signed(http.server.BaseHTTPRequestHandler):
    """Answers with the path as it came; `/to/PLACE` redirects to what `?` is followed by, byte for byte."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        body = self.path.encode("latin-1")
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", bytes.fromhex(self.path[4:]).decode("latin-1"))
            body = b""
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="module")
def signed() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Signed) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


ADDRESSES = {
    "/it%27s%20a%2Cb%40c.png?Expires=1&Signature=ab%2Fcd%2Bef%3D": None,
    "/a%2fb.png?X-Amz-Credential=AK%2F2026%2Fs3&sig=a+b/c==": None,
    "/%41%7e.png?policy=eyJ%22": None,
    "/plain,(1)'s@x;y=1.png?a=1": None,
    "/a%27.png?a=[1]": "/a'.png?a=%5B1%5D",
    "/a b.png?q=c d": "/a%20b.png?q=c+d",
    "/stra\u00dfe.png": "/stra%C3%9Fe.png",
    "/100%.png": "/100%25.png",
    "/a b%27.png": "/a%20b'.png",
}
"""Path and query, and how it is sent; None where as it stands."""


@pytest.mark.parametrize("redirected", [False, True])
@pytest.mark.parametrize("address", ADDRESSES)
def test_uris_are_escaped_only_where_necessary(signed: str, address: str, redirected: bool) -> None:
    uri = f"{signed}/to?{address.encode().hex()}" if redirected else f"{signed}{address}"
    (item,) = find_items([uri])
    assert item.read()[0] == (ADDRESSES[address] or address).encode()


def test_chained_file_system_uri_reads_no_local_file(faulty: str, tmp_path: Path, hurried: None) -> None:
    (tmp_path / "secret").write_text("of this machine")
    for address in (f"{faulty}/404::file://{tmp_path}/secret", f"{faulty}/404::{tmp_path}/secret"):
        assert said(address).startswith("no such object: ")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None: ...


@pytest.mark.parametrize("scheme", SCHEMES)
def test_missing_backend_names_the_install_command(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module, extra = SCHEMES[scheme]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra) as raised:
        list(find_items([f"{scheme}://host/a.png"]))
    assert str(raised.value) == (
        f"Reading {scheme}:// URIs needs packages that are not installed.\n"
        f'  Install them: pip install "jurat[{extra}]"'
    )
