"""Reads and lists objects behind URIs, through fsspec. Only this part of jurat.sources uses the network.

Credentials, endpoints and the like are the backends' own: AWS_ENDPOINT_URL, AWS_PROFILE,
GOOGLE_APPLICATION_CREDENTIALS, HF_TOKEN, and fsspec's configuration (FSSPEC_S3_ANON=true).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, TypeVar, cast

from jurat.content import ImageError
from jurat.errors import JuratError
from jurat.media.formats import MEDIA_SUFFIXES
from jurat.media.limits import Limits
from jurat.sources.passed_over import PassedOver
from jurat.sources.private_hosts import (
    NO_PRIVATE_HOSTS,
    REFUSED,
    WELL_FORMED,
    PrivateHosts,
    client,
    well_formed,
)
from jurat.sources.unresponsive_hosts import HANGING
from jurat.sources.uris import SCHEME, is_http, scheme_of
from jurat.text import one_line, reason, recorded, shown

_TRIES = 3
_PAUSE = 0.2
"""Seconds; before each further try four times as long."""
_SECONDS, _CONNECT_SECONDS, _READ_SECONDS = 60, 10, 20
"""Seconds for one HTTP request, for connecting, and between two pieces of an answer."""
_GONE, _DENIED, _BUSY = (404, 410), (401, 403), (408, 425, 429)
"""Statuses of HTTP; of the busy ones, and those from 500 on, another try may be answered."""
_T = TypeVar("_T")


def read_uri(uri: str, *, max_bytes: int, private_hosts: PrivateHosts = NO_PRIVATE_HOSTS) -> bytes:
    """The bytes of one object, tried again where the failure may pass.

    Args:
        private_hosts: the hosts of private addresses that may be connected to.

    Raises:
        ImageError: there is none, it may not be read, or it is larger than `max_bytes`.
    """

    def read() -> bytes:
        files, path = _open_system(uri, private_hosts)
        size = files.info(path).get("size")
        limits = Limits(max_bytes=max_bytes)
        if size is not None:
            limits.check_bytes(size)
        if is_http(uri):
            # A stream, whatever size the server told; without one it would be asked for once more.
            with files.open(path, "rb", block_size=0, size=size or 1) as file:
                data = _up_to(file, max_bytes + 1)
        else:
            data = files.cat_file(path)
        limits.check_bytes(len(data))
        return data

    return _trying(uri, read)


def _up_to(file: BinaryIO, size: int) -> bytes:
    """Reads at most `size` bytes of a stream, or as many as have arrived."""
    parts: list[bytes] = []
    while size > 0 and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def open_uri(uri: str, private_hosts: PrivateHosts = NO_PRIVATE_HOSTS) -> BinaryIO:
    """The object as a file that can be sought, read in blocks. Raises ImageError as `read_uri` does."""

    def open_() -> BinaryIO:
        files, path = _open_system(uri, private_hosts)
        return cast(BinaryIO, files.open(path, "rb"))

    return _trying(uri, open_)


def walk_uri(uri: str, passed_over: PassedOver, *, globs: bool = True) -> Iterator[str]:
    """URIs of the objects at a URI: itself, the images below a prefix, or what a glob matches; byte order.

    The names in one folder are held at a time; those that a glob matches, all of them.

    Args:
        uri: is a glob only if no object has that very name.
        passed_over: counts objects that are no images by their suffix.
        globs: whether it may be one.

    Raises:
        ImageError: there is nothing, or it cannot be listed.
    """
    if is_http(uri):
        yield uri
        return
    files, path = _trying(uri, lambda: _open_system(uri))
    try:
        is_folder = _trying(uri, lambda: files.info(path))["type"] == "directory"
    except ImageError:
        if not globs or not any(c in path for c in "*?["):
            raise
        yield from _matching(files, path, uri, passed_over)
        return
    if is_folder:
        yield from _below(files, path, uri, passed_over)
    else:
        yield uri


def _matching(files: Any, path: str, uri: str, passed_over: PassedOver) -> Iterator[str]:
    """What a glob matches; a prefix that it matches is walked."""
    found = _trying(uri, lambda: cast("dict[str, Any]", files.glob(path, detail=True)))
    if not found:
        raise ImageError(f"nothing matches: {shown(uri)}")
    suffix = "." in path.rpartition("/")[2]
    below = "**" in path  # which matches what lies in the prefixes, too
    for name in sorted(found, key=str.encode):
        if found[name]["type"] == "directory":
            if not below:
                yield from _below(files, name, uri, passed_over)
        elif suffix or _is_image(name):
            yield str(files.unstrip_protocol(name))
        else:
            passed_over.file(str(files.unstrip_protocol(name)))


def stamp_uri(uri: str, private_hosts: PrivateHosts = NO_PRIVATE_HOSTS) -> tuple[object, ...] | None:
    """What changes when an object is written anew: its size and tag; None where the server tells nothing."""
    files, path = _trying(uri, lambda: _open_system(uri, private_hosts))
    files.invalidate_cache()
    info = _trying(uri, lambda: files.info(path))
    return (info.get("size"), str(info.get("ETag") or info.get("etag") or info.get("mtime")))


def _below(files: Any, folder: str, uri: str, passed_over: PassedOver) -> Iterator[str]:
    entries = _trying(uri, lambda: files.ls(folder, detail=True, refresh=True))
    files.invalidate_cache(folder)  # it would keep all listings
    names: list[tuple[bytes, bool]] = []
    for entry in entries:
        name = str(entry["name"])
        is_folder = entry["type"] == "directory"
        if name.rstrip("/") == folder.rstrip("/"):  # the marker of a folder
            continue
        if is_folder or _is_image(name):
            sorted_by = (name.rstrip("/") + "/" * is_folder).encode("utf-8", "surrogateescape")
            names.append((sorted_by, is_folder))
        else:
            passed_over.file(str(files.unstrip_protocol(name)))
    del entries
    names.sort()
    for name, is_folder in names:
        text = name.decode("utf-8", "surrogateescape")
        if is_folder:
            yield from _below(files, text.rstrip("/"), uri, passed_over)
        else:
            yield str(files.unstrip_protocol(text))


def _is_image(name: str) -> bool:
    base, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return bool(base and dot) and f".{suffix.lower()}" in MEDIA_SUFFIXES


def _open_system(uri: str, private_hosts: PrivateHosts = NO_PRIVATE_HOSTS) -> tuple[Any, str]:
    from fsspec import get_filesystem_class
    from fsspec.config import conf

    options: dict[str, Any] = {}
    scheme = scheme_of(uri)
    if is_http(uri):
        import aiohttp

        timeout = aiohttp.ClientTimeout(
            total=_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS
        )
        # A signature is over the very bytes of an address: what is well-formed is sent as it stands.
        options["encoded"] = WELL_FORMED.fullmatch(uri) is not None
        options["client_kwargs"] = {
            "timeout": timeout,
            "requote_redirect_url": False,
            "middlewares": (well_formed,),
        }
        options["get_client"] = partial(client, private_hosts)
    elif scheme == "s3":
        limits = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
        options["config_kwargs"] = limits | conf.get("s3", {}).get("config_kwargs", {})
    # Not `url_to_fs`: to it `a::b` is a chain of systems, of which any may read what is on this machine.
    system: Any = get_filesystem_class(scheme)
    uri = SCHEME.sub(lambda found: found[0].lower(), uri, count=1)
    options |= system._get_kwargs_from_urls(uri)
    return system(**options), str(system._strip_protocol(uri))


def _trying(uri: str, work: Callable[[], _T]) -> _T:
    """Runs `work`, retrying transient failures; gives up early on a server that hangs."""
    host = "/".join(uri.split("/", 3)[:3])
    for attempt in range(1, _TRIES + 1):
        if (given_up := HANGING.given_up(host)) is not None:
            raise ImageError(f"cannot be read ({given_up}): {shown(uri)}")
        try:
            found = work()
        except JuratError:
            raise
        except Exception as error:  # each backend raises its own
            HANGING.failed(host, error)
            problem, passes = _problem(uri, error)
            if attempt == _TRIES or not passes:
                raise ImageError(f"{problem}: {shown(uri)}") from error
            time.sleep(_PAUSE * 4**attempt)
        else:
            HANGING.answered(host)
            return found
    raise AssertionError("the last try returns or raises")


def _problem(uri: str, error: Exception) -> tuple[str, bool]:
    """The error message, and whether the failure is transient."""
    if is_http(uri) and isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # fsspec calls every failure of a request "not found"
    status = getattr(error, "status", None)
    if REFUSED in str(error):
        address = re.search(rf"[0-9a-fA-F.:%]+ {re.escape(REFUSED)}", str(error))
        return f"refused ({address[0] if address else 'it ' + REFUSED})", False
    if isinstance(error, FileNotFoundError) or status in _GONE:
        return "no such object", False
    if isinstance(error, PermissionError) or status in _DENIED:
        return "cannot be read (access was denied)", False
    if isinstance(status, int):
        return f"cannot be read (the server answered {status})", status in _BUSY or status >= 500
    told = recorded(str(error) if isinstance(error, OSError) and is_http(uri) else reason(error))
    return f"cannot be read ({one_line(told) or reason(error)})", not isinstance(error, ValueError)
