"""The page as a file: scripts and style, the policy that admits them alone, and data made safe to embed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

SCRIPTS = (
    "dom",
    "data",
    "thresholds",
    "filter",
    "care",
    "charts",
    "picture",
    "evidence",
    "labels",
    "gallery",
    "item",
    "scores",
    "page",
)
"""Files of `templates/script/`, in the order in which they need each other."""
STYLES = ("page", "gallery", "scores", "item")
"""Files of `templates/style/`."""


@cache
def asset(name: str) -> str:
    """A file of `templates/`."""
    return (files("jurat.report") / "templates" / name).read_text(encoding="utf-8")


def scripts() -> list[str]:
    return [asset(f"script/{name}.js") for name in SCRIPTS]


def style() -> str:
    return "".join(asset(f"style/{name}.css") for name in STYLES)


def policy(scripts: Sequence[str], style: str, *, beside: bool) -> str:
    """A content-security policy that works from a file: nothing but what the page is made of.

    `beside`: whether data and pictures lie in a folder next to the page. Browsers differ in whether a file is
    its own `'self'`, so files are named too; what may be loaded as a script is then held to data of this page
    by its trusted types.
    """
    near = " 'self' file:" if beside else ""
    own = " ".join(f"'{_digest(text)}'" for text in scripts)
    return (
        f"default-src 'none'; img-src data:{near}; style-src '{_digest(style)}'; script-src {own}{near}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types jurat"
    )


def to_json(value: Any) -> str:
    """JSON that can stand inside a script element, whatever texts it holds."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPES)


_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
