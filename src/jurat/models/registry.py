"""Which backends there are, and how a model is opened by name.

A backend of ours is a file of this folder and an entry of `MODELS`. A third party's is an entry point of the
group `jurat.models`. Either way its factory is an `Opener`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from jurat.errors import JuratError
from jurat.models.model_spec import ModelSpec, Opener, Serving
from jurat.models.plugins import open_plug_in
from jurat.models.protocol import Model, ModelError
from jurat.named_settings import open_named
from jurat.registry import Entry, Registry, registry_of

Ability = Literal["ask", "exact", "chat", "gradients", "hooks"]
"""`exact`: answers are measured from logits. `gradients`: from pixels. `hooks`: on activations."""


@dataclass(frozen=True, kw_only=True)
class Backend(Entry):
    """One way to run models."""

    error: ClassVar = ModelError

    abilities: frozenset[Ability] = frozenset()
    """Empty for a third party's: what it can do is known only to its code, which listing does not load."""
    served: bool = False
    """True where it calls a server: takes `base_url` and `serving`."""


def _plug_in(**known: Any) -> Backend:
    return Backend(**known, usage=f"{known['name']}/...")


_EXACT: frozenset[Ability] = frozenset({"ask", "exact", "chat"})
_LOCAL: frozenset[Ability] = frozenset({*_EXACT, "gradients", "hooks"})

MODELS = Registry(
    "models",
    "model",
    _plug_in,
    [
        Backend(
            "bundled",
            "a small MLLM for scenes of pictograms",
            "jurat.models.bundled.model:open_bundled",
            abilities=_LOCAL,
            extra="local",
        ),
        Backend(
            "naive",
            "its twin for the bench: an earlier tower, another decoder",
            "jurat.models.bundled.model:open_naive",
            abilities=_LOCAL,
            extra="local",
        ),
        Backend(
            "hf",
            "any transformers image-text-to-text model",
            "jurat.models.hf.model:open_local",
            usage="hf/NAME_OR_PATH",
            abilities=_LOCAL,
            extra="local",
        ),
        Backend(
            "openai",
            "any model behind an OpenAI-compatible server",
            "jurat.models.openai.model:open_served",
            usage="openai/NAME",
            abilities=_EXACT,
            served=True,
            extra="openai",
        ),
        Backend(
            "decisions",
            "any model behind OpenAI's decisions endpoint, or a server that speaks its protocol",
            "jurat.models.decisions.model:open_decisions",
            usage="decisions/NAME",
            abilities=frozenset({"ask", "exact"}),
            served=True,
            extra="openai",
        ),
        Backend(
            "null",
            "answers drawn from a seed, for measuring",
            "jurat.models.null:open_null",
            usage="null?seed=0&pace=0",
            abilities=frozenset({"ask", "chat"}),
        ),
        Backend(
            "scripted",
            "replies by a script: controls whose answers are known",
            "jurat.models.scripted:open_scripted",
            usage="scripted/FILE_OR_NAME",
            abilities=frozenset({"ask", "chat"}),
        ),
        Backend(
            "bundled-writer",
            "a small text model that drafts clauses for rules about pictograms",
            "jurat.models.bundled.rule_writer:open_writer",
            abilities=frozenset({"chat"}),
            extra="local",
        ),
    ],
    see=" See: jurat models",
)


def list_backends() -> list[Backend]:
    """Our backends, then those of installed third parties. Loads none of them."""
    return list(MODELS)


def check_name(name: str) -> None:
    """Checks that there are a backend and defenses of these names, without loading the model.

    Raises:
        JuratError: there is one that does not exist.
    """
    spec = ModelSpec(name)
    _find(spec.undefended)
    _opened(spec.defenses)


def open_model(
    name: str | ModelSpec,
    *,
    device: str | None = None,
    dtype: str | None = None,
    trust_remote_code: bool = False,
    seed: int = 0,
    base_url: str | None = None,
    serving: Serving | None = None,
) -> Model:
    """Opens the model that `name` names: "bundled", "hf/PATH", "hf/HUB/NAME", "openai/NAME", "null?seed=3",
    or a third party's; with defenses, "bundled + jpeg + ecso".

    A `ModelSpec` is opened as it stands. See `ModelSpec` for what the options mean.

    Raises:
        JuratError: no backend or defense has that name, or a defense needs what the model lacks.
        MissingExtra: the backend needs packages that are not installed.
        ModelError: the model could not be loaded, or the third party's code failed (the message names it).
    """
    if isinstance(name, ModelSpec):
        spec = name
    else:
        spec = ModelSpec(name, device, dtype, trust_remote_code, seed, base_url, serving)
    defenses = _opened(spec.defenses)  # before anything is loaded, so that a wrong name costs nothing
    model = _open(spec.undefended)
    try:
        for defense in reversed(defenses):
            model = defense.over(model)
    except BaseException:
        model.close()
        raise
    return model


def _open(spec: ModelSpec) -> Model:
    backend = _find(spec)
    if backend.is_plug_in:
        return open_plug_in(backend, spec)
    opener = cast(Opener, backend.load(f"The model {spec.name!r}"))
    if not backend.served and (spec.base_url or spec.serving):
        raise JuratError(
            f"The model {spec.name!r} runs here: it has no server to call.",
            hint="--base-url and the options of servers belong to openai/NAME and decisions/NAME.",
        )
    return opener(spec)


def _opened(defenses: Sequence[str]) -> list[Any]:
    """Defenses by their names. They stand above models, which know them by the registry only."""
    return [open_named(registry_of("defenses"), name) for name in defenses]


def _find(spec: ModelSpec) -> Backend:
    found = MODELS.get(spec.backend)
    if found is None:
        raise _unknown(spec)
    return found


def _unknown(spec: ModelSpec) -> JuratError:
    name, hint = spec.name, None
    is_folder = bool(name) and Path(name).expanduser().is_dir()
    if is_folder or (name.count("/") == 1 and MODELS.closest(spec.backend) is None):
        hint = f'To run it with transformers, name it "hf/{name}".'
    return MODELS.unknown(name, closest_to=spec.backend, hint=hint)
