"""A model as plain data: what a worker, a resumed run or a log needs to open it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl

from jurat.errors import JuratError
from jurat.models.protocol import Model

ImageFormat: TypeAlias = Literal["auto", "png", "jpeg"]
ThinkingField: TypeAlias = Literal["reasoning_effort", "chat_template_kwargs"]


DEFENDED_BY = " + "
"""Stands before each defense in the name of a model."""


def defended_name(name: str, *defenses: str) -> str:
    """The name of a model under defenses, which see a conversation before those that are in its name."""
    plain, *named = name.split(DEFENDED_BY)
    return DEFENDED_BY.join((plain, *filter(None, defenses), *named))


@dataclass(frozen=True)
class Serving:
    """How a served model is called."""

    concurrency: int = 16
    """Calls under way at once, at most."""
    questions_per_call: int = 8
    """Closed questions that share a call where the server gives no logprobs. 1 keeps their answers apart."""
    max_pixels: int = 1 << 20
    """Larger images are scaled down to this area."""
    image_format: ImageFormat = "auto"
    """How images are sent: `png` is lossless; `auto` sends those above 512 x 512 pixels as JPEG."""
    thinking_field: ThinkingField | None = None
    """The field by which the server turns thinking on and off; None where it is not known: thinking is then
    as the server has it."""
    continue_final_message: bool = False
    """Whether the server takes the field of that name, by which vLLM and SGLang continue a last turn of the
    assistant's. Without it the turn is sent as it is: some servers continue it, others reply to it."""
    deadline: float = 300.0
    """Seconds that one call may take, all its tries together; one try may take a third of it."""
    retries: int = 5
    """Further tries of a call that failed for a reason that may pass."""
    input_price: float | None = None
    """Price of a million input tokens, in any currency."""
    output_price: float | None = None
    """Price of a million output tokens, in the same currency."""


@dataclass(frozen=True)
class ModelSpec:
    """Names a model and how to run it; opening it is `jurat.models.open_model`'s business."""

    name: str
    """BACKEND, BACKEND/REFERENCE, and after a question mark the backend's own options: "null?seed=3".
    Defenses follow, in the order in which they see a conversation: "bundled + jpeg?quality=50 + ecso"."""
    device: str | None = None
    """A device of torch: "cpu", "cuda", "cuda:1", "mps"; None chooses."""
    dtype: str | None = None
    """"float32", "bfloat16" or "float16"; None chooses for the device."""
    trust_remote_code: bool = False
    """Runs Python code that comes with the weights. Only for weights whose authors are trusted."""
    seed: int = 0
    """Seed of a model that draws its answers. A conversation's own seed is in its `Generation`."""
    base_url: str | None = None
    """Address of a server: "http://localhost:8000/v1"; None takes OPENAI_BASE_URL, else OpenAI's own."""
    serving: Serving | None = None
    """How a served model is called; None takes the defaults."""

    @property
    def defenses(self) -> tuple[str, ...]:
        """The names of its defenses, with their settings."""
        return tuple(self.name.split(DEFENDED_BY)[1:])

    @property
    def undefended(self) -> ModelSpec:
        """The same without defenses; what backends are given."""
        return replace(self, name=self._plain)

    @property
    def _plain(self) -> str:
        return self.name.partition(DEFENDED_BY)[0]

    @property
    def backend(self) -> str:
        return self._plain.partition("?")[0].partition("/")[0]

    @property
    def reference(self) -> str:
        """What follows the backend's name: a folder or a hub name; "" if nothing does."""
        return self._plain.partition("?")[0].partition("/")[2]

    @property
    def options(self) -> dict[str, str]:
        """What follows the question mark: {"seed": "3"} for "null?seed=3"."""
        return dict(parse_qsl(self._plain.partition("?")[2], keep_blank_values=True))

    def check(self, *options: str, reference: str | None = None, optional: bool = False) -> None:
        """Refuses a name that its backend cannot use; openers call it first.

        Args:
            options: the names of the options that the backend has.
            reference: how help texts call what has to follow the backend's name ("NAME_OR_PATH"); None where
                nothing may follow it.
            optional: whether the backend's name alone, without a slash, names a model too.

        Raises:
            JuratError: an option is unknown or given twice, or the reference is missing or not wanted.
        """
        backend, slash = self.backend, "/" in self._plain.partition("?")[0]
        if reference and not self.reference and (slash or not optional):
            alone = f', or "{backend}" alone' if optional else ""
            raise JuratError(
                f"{self.name!r} names no model.", hint=f"Name one: {backend}/{reference}{alone}."
            )
        if slash and not reference:
            example = f' or "{backend}?{options[0]}=..."' if options else ""
            raise JuratError(
                f"The backend {backend!r} takes no reference: {self.name!r}.",
                hint=f'Name it "{backend}"{example}.',
            )
        given = [name for name, _ in parse_qsl(self.name.partition("?")[2], keep_blank_values=True)]
        for name in given:
            if name not in options:
                known = f"It has {', '.join(options)}." if options else "It has none."
                raise JuratError(f"The backend {backend!r} has no option {name!r}.", hint=known)
            if given.count(name) > 1:
                raise JuratError(f"{self.name!r} has the option {name!r} twice.", hint="Give it once.")


Opener: TypeAlias = Callable[[ModelSpec], Model]
"""What a backend is: opens the model that a spec names, or raises a `JuratError` that says why it cannot."""
