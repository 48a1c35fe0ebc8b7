"""What `_run.json` records of each session of a run: how and on what it was done."""

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
    """How and on what this session is done; nothing that names the machine, or that grants access."""
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
    """The command that this process was given, as it may be recorded and published."""
    return shlex.join(["jurat", *map(without_secrets, sys.argv[1:])])
