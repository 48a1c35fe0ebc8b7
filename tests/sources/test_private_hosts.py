"""URIs from untrusted data never reach a private address."""

from __future__ import annotations

import http.server
import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jurat.content import ImageError
from jurat.sources import SourceOptions, find_items
from jurat.sources.private_hosts import REFUSED, PrivateHosts, is_public


class _Server(http.server.ThreadingHTTPServer):
    """Answers `/to?URI` with a redirect, and all else with bytes."""

    asked = 0
    target = ""

    @property
    def port(self) -> int:
        return self.server_address[1]

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.path == "/redirect.png":
            self.send_response(302)
            self.send_header("Location", self.server.target)
            self.end_headers()
            return
        data = b'{"path": "a.png"}\n' if self.path.endswith(".jsonl") else b"private"
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[_Server, _Server]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jurat.sources.remote._PAUSE", 0.0)
    with _Server(("127.0.0.1", 0), _Handler) as one, _Server(("127.0.0.1", 0), _Handler) as two:
        for server in (one, two):
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield one, two
        for server in (one, two):
            server.shutdown()


def in_table(uri: str, **options: Any) -> bytes | str:
    """What is behind a URI in a table, or why it is not read."""
    Path("t.csv").write_text(f"url\n{uri}\n")
    (item,) = find_items(["t.csv"], options=SourceOptions(**options))
    return opened(item)


def opened(item: Any) -> bytes | str:
    try:
        return item.read()[0]
    except ImageError as error:
        return error.message


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1", "2130706433"]
)
def test_uris_in_tables_cannot_reach_private_addresses(servers: tuple[_Server, _Server], host: str) -> None:
    server, _ = servers
    said = in_table(server.url("/a.png", host))
    assert isinstance(said, str)
    assert server.asked == 0
    if host in ("127.0.0.1", "localhost", "0.0.0.0"):
        assert said.startswith("refused (") and REFUSED in said
    if host in ("127.0.0.1", "localhost"):
        assert in_table(server.url("/a.png", host), allow_private_hosts=True) == b"private"


def test_uris_on_standard_input_cannot_reach_private_addresses(servers: tuple[_Server, _Server]) -> None:
    server, _ = servers
    (item,) = find_items(["-"], io.StringIO(server.url("/a.png")))
    assert REFUSED in str(opened(item))
    assert server.asked == 0


def test_private_host_from_the_command_line_may_not_redirect(
    servers: tuple[_Server, _Server],
) -> None:
    typed, other = servers
    typed.target = other.url("/a.png")
    direct, redirected = find_items([typed.url("/a.png"), typed.url("/redirect.png")])
    assert opened(direct) == b"private"
    assert opened(redirected) == f"refused (127.0.0.1 {REFUSED}): {typed.url('/redirect.png')}"
    assert other.asked == 0
    allowed = SourceOptions(allow_private_hosts=True)
    (redirected,) = find_items([typed.url("/redirect.png")], options=allowed)
    assert opened(redirected) == b"private"


def test_table_on_a_private_host_may_refer_to_that_host(servers: tuple[_Server, _Server]) -> None:
    typed, _ = servers
    (item,) = find_items([typed.url("/t.jsonl", "localhost")])
    assert item.uri == typed.url("/a.png", "localhost")
    assert opened(item) == b"private"


@pytest.mark.parametrize("typed", [False, True])
def test_dns_rebinding_to_a_private_address_is_refused(
    servers: tuple[_Server, _Server], monkeypatch: pytest.MonkeyPatch, typed: bool
) -> None:
    server, _ = servers
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host == "images.example.com" else host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    uri = server.url("/a.png", "images.example.com")
    said = opened(next(find_items([uri]))) if typed else in_table(uri)
    assert said == f"refused (127.0.0.1 {REFUSED}): {uri}"
    assert server.asked == 0
    assert in_table(uri, allow_private_hosts=True) == b"private"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *((address, True) for address in ("93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8")),
        *((address, False) for address in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "0.0.0.0")),
        *((address, False) for address in ("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255")),
        *(
            (address, False)
            for address in ("::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1")
        ),
        *(
            (address, False)
            for address in ("64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "localhost", "")
        ),
    ],
)
def test_public_and_private_addresses_are_distinguished(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("http://localhost:8000/a.png", ("localhost", 8000)),
        ("https://10.0.0.7/a.png", ("10.0.0.7", 443)),
        ("http://[::1]:8/a.png", ("::1", 8)),
        ("http://nas/a.png", ("nas", 80)),
        ("http://printer.local/a.png", ("printer.local", 80)),
        ("https://example.com/a.png", None),
        ("https://8.8.8.8/a.png", None),
        ("http://user@localhost.example.com/", None),
        ("http://[bad/a.png", None),
        ("/a/path.png", None),
    ],
)
def test_visibly_private_hosts_of_a_uri_are_allowed(uri: str, host: tuple[str, int] | None) -> None:
    assert PrivateHosts().with_host_of(uri).named == ({host} if host else set())
