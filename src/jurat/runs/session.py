"""What `_run.json` records of each session of a run: how and on what it was done."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from jurat import __version__
from jurat.text import recorded as without_secrets

_LIBRARIES = (
    "torch", "transformers", "openai", "numpy", "pillow", "pyarrow", "fsspec", "ray", "pydantic", "av",
)  # fmt: skip


def session() -> dict[str, Any]:
    """How and on what this session is done; nothing that names the machine, or that grants access."""
    ours = Path(sys.argv[0]).name in ("jurat", "__main__.py")
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "command": command_line() if ours else "jurat",
        "jurat": __version__,
        "python": platform.python_version(),
        "libraries": dict(_versions()),
        "machine": _machine(),
    }


def command_line() -> str:
    """The command that this process was given, as it may be recorded and published."""
    return shlex.join(["jurat", *map(without_secrets, sys.argv[1:])])


def _versions() -> Iterator[tuple[str, str]]:
    for name in _LIBRARIES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _machine() -> dict[str, Any]:
    facts: dict[str, Any] = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        facts["memory_gib"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    torch = cast(Any, sys.modules.get("torch"))
    if torch is not None and torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts
