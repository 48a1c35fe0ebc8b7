"""Names of models, and the list of backends."""

from __future__ import annotations

from pathlib import Path

import pytest

from jurat.errors import JuratError
from jurat.models import ModelError, ModelSpec, list_backends, open_model


@pytest.mark.parametrize(
    ("name", "backend", "reference", "options"),
    [
        ("bundled", "bundled", "", {}),
        ("hf/org/name", "hf", "org/name", {}),
        ("hf//abs/path", "hf", "/abs/path", {}),
        ("null?seed=3&pace=0.5", "null", "", {"seed": "3", "pace": "0.5"}),
        ("null?seed", "null", "", {"seed": ""}),
    ],
)
def test_name_is_parsed_into_backend_reference_and_options(
    name: str, backend: str, reference: str, options: dict[str, str]
) -> None:
    spec = ModelSpec(name)
    assert (spec.backend, spec.reference, spec.options) == (backend, reference, options)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("bundeld", "There is no model 'bundeld'.", "Did you mean 'bundled'?"),
        ("org/name", "There is no model 'org/name'.", 'name it "hf/org/name"'),
        ("xyz", "There is no model 'xyz'.", "There are bundled, naive, hf, openai, decisions, null"),
        ("", "There is no model ''.", "There are bundled, naive, hf, openai, decisions, null"),
        ("hf", "'hf' names no model.", "hf/NAME_OR_PATH"),
        ("bundled/", "'bundled/' names no model.", 'Name one: bundled/FOLDER, or "bundled" alone.'),
        ("naive/", "takes no reference", 'Name it "naive"'),
        ("bundled-writer/", "takes no reference", 'Name it "bundled-writer"'),
        ("naive/x", "takes no reference", 'Name it "naive"'),
        ("null/x", "takes no reference", "null?seed="),
    ],
)
def test_unknown_name_is_wrong_usage_with_a_hint(name: str, message: str, hint: str) -> None:
    with pytest.raises(JuratError) as raised:
        open_model(name)
    assert message in raised.value.message
    assert raised.value.hint is not None
    assert hint in raised.value.hint
    assert raised.value.exit_code == 2


def test_folder_without_backend_gets_a_hint(tmp_path: Path) -> None:
    with pytest.raises(JuratError, match="There is no model") as raised:
        open_model(str(tmp_path))
    assert f"hf/{tmp_path}" in str(raised.value)


def test_listing_shows_abilities_of_each_backend() -> None:
    backends = {backend.name: backend for backend in list_backends()}
    assert list(backends)[:5] == ["bundled", "naive", "hf", "openai", "decisions"]
    assert backends["hf"].abilities == {"ask", "exact", "chat", "gradients", "hooks"}
    assert backends["null"].abilities == {"ask", "chat"}
    assert backends["hf"].extra == "local"
    assert backends["openai"].extra == "openai"
    assert not backends["null"].modules


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution with two entry points, one of which cannot be imported."""
    info = tmp_path / "acme_models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[jurat.models]\nacme = acme_models:open_acme\n"
        "broken = acme_absent:nothing\nnull = acme_models:open_acme\n"
    )
    (tmp_path / "acme_models.py").write_text(
        "from jurat.models.null import NullModel\n"
        "def open_acme(spec):\n    return NullModel(name=spec.name)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("third_party")
def test_third_party_adds_a_backend_by_entry_point() -> None:
    assert open_model("acme/x").name == "acme/x"
    listed = {backend.name: backend for backend in list_backends()}
    assert listed["acme"].provider == "acme-models"
    assert [backend.name for backend in list_backends()].count("null") == 1


@pytest.mark.usefixtures("third_party")
def test_unloadable_third_party_backend_is_named() -> None:
    with pytest.raises(ModelError, match="plug-in 'broken' of acme-models cannot be imported") as raised:
        open_model("broken")
    assert raised.value.exit_code == 3
