"""A model's name is refused where its backend cannot use all of it."""

from __future__ import annotations

import pytest

from jurat.errors import JuratError
from jurat.models import ModelSpec, open_model
from jurat.models.registry import MODELS

NAMED = {"hf": "hf/x", "openai": "openai/x", "decisions": "decisions/x"}


def test_a_name_has_three_parts() -> None:
    spec = ModelSpec("hf/org/name?image_backend=pil&empty=")
    assert (spec.backend, spec.reference) == ("hf", "org/name")
    assert spec.options == {"image_backend": "pil", "empty": ""}


@pytest.mark.parametrize("backend", [entry.name for entry in MODELS])
def test_every_backend_refuses_an_unknown_option_and_names_those_it_has(backend: str) -> None:
    name = f"{NAMED.get(backend, backend)}?nonsense=7"
    with pytest.raises(JuratError, match=f"The backend '{backend}' has no option 'nonsense'") as raised:
        open_model(name)
    known = {
        "null": "It has seed, pace, mass, fail, crash, kind.",
        "hf": "It has image_backend.",
    }
    assert raised.value.hint == known.get(backend, "It has none.")


def test_an_option_given_twice_is_refused() -> None:
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
def test_a_reference_is_there_if_and_only_if_the_backend_takes_one(
    name: str, reference: str | None, problem: str, hint: str
) -> None:
    with pytest.raises(JuratError) as raised:
        ModelSpec(name).check("depth", reference=reference)
    assert (raised.value.message, raised.value.hint) == (problem, hint)


def test_a_name_that_the_backend_can_use_passes() -> None:
    ModelSpec("acme/x?depth=3").check("depth", "width", reference="NAME")
    ModelSpec("acme").check()
