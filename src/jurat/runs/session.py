"""Facts that `_run.json` records about each session of a run: command, versions, machine."""

from __future__ import annotations

import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from jurat import __version__
from jurat.provenance import machine, now, versions
from jurat.text import recorded as without_secrets

_LIBRARIES = (
    "torch", "transformers", "openai", "numpy", "pillow", "pyarrow", "fsspec", "ray", "pydantic", "av",
)  # fmt: skip


def session() -> dict[str, Any]:
    """Facts about this session, without the machine's name and without credentials."""
    ours = Path(sys.argv[0]).name in ("jurat", "__main__.py")
    return {
        "time": now().replace("+00:00", "Z"),
        "command": command_line() if ours else "jurat",
        "jurat": __version__,
        "python": platform.python_version(),
        "libraries": versions(*_LIBRARIES),
        "machine": machine(),
    }


def command_line() -> str:
    """The command line of this process, without secrets."""
    return shlex.join(["jurat", *map(without_secrets, sys.argv[1:])])
