"""Which backends there are, and how a model is opened by name.

A backend of ours is a file of this folder and a line of `BACKENDS`. A third party's is an entry
point of the group `jurat.models`, whose name is the backend's name and which loads to an `Opener`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, cast

from jurat.errors import JuratError, MissingExtra
from jurat.models.plugins import PlugIn, plug_ins
from jurat.models.protocol import Model
from jurat.models.spec import ModelSpec, Opener, Serving

Ability = Literal["ask", "exact", "chat", "gradients", "hooks"]
"""`exact`: answers are measured from logits. `gradients`: from pixels. `hooks`: on activations."""


@dataclass(frozen=True)
class Backend:
    """One way to run models: a line of the registry."""

    name: str
    usage: str
    """How a model of it is named."""
    summary: str
    opener: str
    """Module and function: "jurat.models.null:open_null"."""
    abilities: frozenset[Ability]
    extra: str | None = None
    """Of jurat's extras, the one that installs what it needs."""
    modules: tuple[str, ...] = ()
    """What it needs, as import names."""
    provider: str = "jurat"
    """The distribution that it comes from."""
    served: bool = False
    """True where it calls a server: takes `base_url` and `serving`."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The modules that are not installed. Nothing is imported to find out."""
        return tuple(module for module in self.modules if find_spec(module) is None)


_LOCAL = ("local", ("torch", "transformers", "safetensors"))
_EXACT: frozenset[Ability] = frozenset({"ask", "exact", "chat"})

BACKENDS: tuple[Backend, ...] = (
    Backend(
        "bundled",
        "bundled",
        "a small MLLM for scenes of pictograms",
        "jurat.models.bundled.model:open_bundled",
        _EXACT,
        *_LOCAL,
    ),
    Backend(
        "naive",
        "naive",
        "its twin for the bench: the same tower, another decoder",
        "jurat.models.bundled.model:open_naive",
        _EXACT,
        *_LOCAL,
    ),
    Backend(
        "hf",
        "hf/NAME_OR_PATH",
        "any transformers image-text-to-text model",
        "jurat.models.hf.model:open_local",
        _EXACT,
        *_LOCAL,
    ),
    Backend(
        "openai",
        "openai/NAME",
        "any model behind an OpenAI-compatible server",
        "jurat.models.openai.model:open_served",
        _EXACT,
        "openai",
        ("openai",),
        served=True,
    ),
    Backend(
        "null",
        "null?seed=0&pace=0",
        "answers drawn from a seed, for measuring",
        "jurat.models.null:open_null",
        frozenset({"ask", "chat"}),
    ),
    Backend(
        "bundled-writer",
        "bundled-writer",
        "a small text model that drafts clauses for rules about pictograms",
        "jurat.models.bundled.rule_writer:open_writer",
        frozenset({"chat"}),
        *_LOCAL,
    ),
)


def list_backends() -> list[Backend]:
    """Our backends, then those of installed third parties. Loads none of them."""
    return [*BACKENDS, *(_described(plug_in) for plug_in in _third_parties())]


def check_name(name: str) -> None:
    """Loads nothing.

    Raises:
        JuratError: no backend has that name.
    """
    if ModelSpec(name).backend not in {backend.name for backend in list_backends()}:
        raise _unknown(name)


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
    or a third party's.

    A `ModelSpec` is opened as it stands. See `ModelSpec` for what the options mean.

    Raises:
        JuratError: no backend has that name.
        MissingExtra: the backend needs packages that are not installed.
        ModelError: the model could not be loaded, or the third party's code failed (the message names it).
    """
    if isinstance(name, ModelSpec):
        spec = name
    else:
        spec = ModelSpec(name, device, dtype, trust_remote_code, seed, base_url, serving)
    return _opener(spec)(spec)


def _opener(spec: ModelSpec) -> Opener:
    for backend in BACKENDS:
        if backend.name == spec.backend:
            if backend.missing and backend.extra:
                raise MissingExtra(f"The model {spec.name!r}", backend.extra)
            if not backend.served and (spec.base_url or spec.serving):
                raise JuratError(
                    f"The model {spec.name!r} runs here: it has no server to call.",
                    hint="--base-url and the options of servers belong to openai/NAME.",
                )
            module, _, function = backend.opener.partition(":")
            return cast(Opener, getattr(import_module(module), function))
    for plug_in in _third_parties():
        if plug_in.name == spec.backend:
            return plug_in.open
    raise _unknown(spec.name)


def _third_parties() -> Iterator[PlugIn]:
    return plug_ins([backend.name for backend in BACKENDS])


def _described(plug_in: PlugIn) -> Backend:
    # What it can do is known only to its code, which listing does not load.
    name, value = plug_in.name, plug_in.point.value
    return Backend(name, f"{name}/...", value, value, frozenset(), provider=plug_in.provider)


def _unknown(name: str) -> JuratError:
    known = [backend.name for backend in list_backends()]
    close = difflib.get_close_matches(name.partition("?")[0].partition("/")[0], known, n=1)
    if name and (Path(name).expanduser().is_dir() or (name.count("/") == 1 and not close)):
        hint = f'To run it with transformers, name it "hf/{name}".'
    elif close:
        hint = f"Did you mean {close[0]!r}? See: jurat models"
    else:
        hint = f"There are {', '.join(known)}. See: jurat models"
    return JuratError(f"There is no model {name!r}.", hint=hint)
