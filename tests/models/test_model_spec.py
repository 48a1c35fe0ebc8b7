"""Model names with parts that the backend cannot use are refused."""

from __future__ import annotations

import pytest

from jurat.errors import JuratError
from jurat.models import ModelSpec, open_model
from jurat.models.registry import MODELS

NAMED = {"hf": "hf/x", "openai": "openai/x", "decisions": "decisions/x", "scripted": "scripted/refuse"}


def test_name_has_three_parts() -> None:
    spec = ModelSpec("hf/org/name?image_backend=pil&empty=")
    assert (spec.backend, spec.reference) == ("hf", "org/name")
    assert spec.options == {"image_backend": "pil", "empty": ""}


@pytest.mark.parametrize("backend", [entry.name for entry in MODELS])
def test_unknown_option_error_lists_the_options(backend: str) -> None:
    name = f"{NAMED.get(backend, backend)}?nonsense=7"
    with pytest.raises(JuratError, match=f"The backend '{backend}' has no option 'nonsense'") as raised:
        open_model(name)
    known = {
        "null": "It has seed, pace, mass, fail, crash, kind.",
        "hf": "It has image_backend.",
        "scripted": "It has seed.",
    }
    assert raised.value.hint == known.get(backend, "It has none.")


def test_option_given_twice_is_refused() -> None:
    with pytest.raises(JuratError, match="has the option 'seed' twice"):
        open_model("null?seed=1&seed=2")


@pytest.mark.parametrize(
    ("name", "reference", "problem", "hint"),
    [
        ("acme", "NAME", "'acme' names no model.", "Name one: acme/NAME."),
        ("acme/", "NAME", "'acme/' names no model.", "Name one: acme/NAME."),
        (
            "acme/x",
            None,
            "The backend 'acme' takes no reference: 'acme/x'.",
            'Name it "acme" or "acme?depth=...".',
        ),
    ],
)
def test_missing_or_unexpected_reference_is_refused(
    name: str, reference: str | None, problem: str, hint: str
) -> None:
    with pytest.raises(JuratError) as raised:
        ModelSpec(name).check("depth", reference=reference)
    assert (raised.value.message, raised.value.hint) == (problem, hint)


@pytest.mark.parametrize("name", ["acme/", "acme/?depth=3", "acme/ + jpeg"])
def test_nothing_behind_the_slash_is_refused(name: str) -> None:
    with pytest.raises(JuratError, match="takes no reference"):
        ModelSpec(name).check("depth")
    with pytest.raises(JuratError, match="names no model") as raised:
        ModelSpec(name).check("depth", reference="FOLDER", optional=True)
    assert raised.value.hint == 'Name one: acme/FOLDER, or "acme" alone.'


def test_usable_name_passes() -> None:
    ModelSpec("acme").check(reference="FOLDER", optional=True)
    ModelSpec("acme/x?depth=3").check("depth", "width", reference="NAME")
    ModelSpec("acme").check()
