"""YAML files that hold a model, or do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from jurat import yaml_files
from jurat.errors import JuratError
from jurat.yaml_files import read_yaml


class Slice(BaseModel):
    weight: int


class Loaf(BaseModel):
    model_config = ConfigDict(extra="forbid")

    flour: str
    minutes: int = 40
    slices: tuple[Slice, ...] = ()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_model_is_read_from_a_file(mark: str, tmp_path: Path):
    (tmp_path / "loaf.yaml").write_bytes(f"{mark}flour: &kind rye\r\nminutes: 40\r\n".encode())
    assert read_yaml(tmp_path / "loaf.yaml", Loaf, "loaf") == Loaf(flour="rye")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"minutes: 3", "loaf.yaml is no loaf: flour: it is missing"),
        (b"flour: rye\nminutes: x", "loaf.yaml is no loaf: line 2: minutes: Input should be a valid integer"),
        (b"- rye", "loaf.yaml is no loaf: it is not made of keys and values"),
        (b"", "loaf.yaml is no loaf: it is not made of keys and values"),
        (b"{", "loaf.yaml is no loaf: line 1: while parsing a flow node"),
        (b"flour: rye\nsalt: 3", "loaf.yaml is no loaf: line 2: salt: there is no such key"),
        (
            b"flour: rye\n\nflour: oats",
            "loaf.yaml is no loaf: line 3: while constructing a mapping, found dup",
        ),
        (b"flour: rye\n2: x", "loaf.yaml is no loaf: line 2: 2: Keys should be strings"),
        (b"flour: rye\n---\nflour: oats", "loaf.yaml is no loaf: line 2: expected a single document"),
        (b"flour: !!python/name:os.system x", "loaf.yaml is no loaf: line 1: could not determine"),
        (b"flour: &a [*a]", "loaf.yaml is no loaf: "),
        (b"flour: rye\nslices:\n  - {weight: 3}\n  - {weight: x}", "line 4: slices.1.weight: Input should"),
        (b"flour: rye\nslices: 3", "line 2: slices: it is not a list"),
        (b"[" * 100_000, "loaf.yaml is no loaf: "),
        (b"flour: \xff", "loaf.yaml cannot be read: "),
        (b"flour: " + b"x" * 100, "loaf.yaml has more than 64 bytes"),
        (None, "loaf.yaml cannot be read: No such file"),
    ],
)
def test_file_without_the_model_is_an_error_that_names_it(
    text: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if text is not None:
        (tmp_path / "loaf.yaml").write_bytes(text)
    if message.endswith("64 bytes"):
        monkeypatch.setattr(yaml_files, "MOST_BYTES", 64)
    with pytest.raises(JuratError) as raised:
        read_yaml(tmp_path / "loaf.yaml", Loaf, "loaf")
    assert message in raised.value.message
