"""Where constitutions are found: a path, or `shelf:NAME` for one that ships with jurat."""

from __future__ import annotations

import difflib
from pathlib import Path

from jurat.constitution.problem import ConstitutionError

SHELF_PREFIX = "shelf:"
MAX_BYTES = 256 * 1024
"""Largest size of a constitution file. Thousands of rules fit in it."""

_SHELF = Path(__file__).parent / "shelf"


def shelf_names() -> tuple[str, ...]:
    """The constitutions that ship with jurat, sorted; each loads as `shelf:NAME`."""
    return tuple(sorted(path.stem for path in _SHELF.glob("*.yaml")))


def find_file(ref: str | Path) -> Path:
    """The file that `ref` names. Raises ConstitutionError where there is none."""
    if isinstance(ref, str) and ref.startswith(SHELF_PREFIX):
        return _find_on_shelf(ref.removeprefix(SHELF_PREFIX))
    path = Path(ref)
    if path.is_file():
        return path
    if path.is_dir():
        raise ConstitutionError(f"{path} is a folder, not a constitution file.")
    hint = f"Did you mean {SHELF_PREFIX}{path.stem}?" if path.stem in shelf_names() else None
    raise ConstitutionError(f"There is no constitution file {path}.", hint=hint)


def read_text(path: Path) -> str:
    """The file's text, UTF-8 with or without a byte order mark; not more than `MAX_BYTES` are read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConstitutionError(f"The constitution {path} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise ConstitutionError(f"The constitution {path} is larger than {MAX_BYTES // 1024} KiB.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"line {line} holds the byte 0x{data[error.start]:02x}"
        message = f"The constitution {path} is not UTF-8 text: {what}."
        raise ConstitutionError(message, hint="Save it as UTF-8.") from error


def _find_on_shelf(name: str) -> Path:
    names = shelf_names()
    if name in names:
        return _SHELF / f"{name}.yaml"
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {SHELF_PREFIX}{close[0]}?" if close else f"There are: {', '.join(names)}."
    raise ConstitutionError(f'The shelf holds no constitution "{name}".', hint=hint)
