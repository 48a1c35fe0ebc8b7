"""YAML files that hold a model, or do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from jurat import yaml_files
from jurat.errors import JuratError
from jurat.yaml_files import read_yaml


class Loaf(BaseModel):
    flour: str
    minutes: int = 40


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_model_is_read_from_a_file(mark: str, tmp_path: Path):
    (tmp_path / "loaf.yaml").write_text(f"{mark}flour: rye\n", encoding="utf-8")
    assert read_yaml(tmp_path / "loaf.yaml", Loaf, "loaf") == Loaf(flour="rye")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"minutes: 3", "loaf.yaml is no loaf: flour: Field required"),
        (b"flour: rye\nminutes: x", "loaf.yaml is no loaf: minutes: Input should be a valid integer"),
        (b"- rye", "loaf.yaml is no loaf: Input should be "),
        (b"", "loaf.yaml is no loaf: Input should be "),
        (b"{", "loaf.yaml is no loaf: while parsing a flow node"),
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
