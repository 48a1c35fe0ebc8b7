"""The options on how a model is opened: the same for every command that opens one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal

from jurat.cli import endpoint_options as serving
from jurat.cli import model_choice
from jurat.cli.remote_code import TrustRemoteCode

if TYPE_CHECKING:
    from jurat.models import ModelSpec

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "defense": (model_choice.DefenseNames, None),
    "device": (model_choice.Device, None),
    "dtype": (model_choice.Dtype, None),
    "trust_remote_code": (TrustRemoteCode, False),
    "base_url": (serving.BaseUrl, None),
    "concurrency": (serving.Concurrency, None),
    "questions_per_call": (serving.QuestionsPerCall, None),
    "max_pixels": (serving.MaxPixels, None),
    "image_format": (serving.ImageFormat, None),
    "thinking_field": (serving.ThinkingField, None),
    "deadline": (serving.Deadline, None),
    "input_price": (serving.Price, None),
    "output_price": (serving.Price, None),
}
"""Name -> annotation and default."""
_SERVED = tuple(_OPTIONS)[tuple(_OPTIONS).index("concurrency") :]
"""Those of `jurat.models.Serving`."""


@dataclass(frozen=True)
class ModelOptions:
    """Command-line options on how a model is opened; None for each that was not given."""

    defense: tuple[str, ...] = ()
    """Defenses, the one that sees a conversation first at the front."""
    device: str | None = None
    dtype: str | None = None
    trust_remote_code: bool = False
    base_url: str | None = None
    concurrency: int | None = None
    questions_per_call: int | None = None
    max_pixels: int | None = None
    image_format: Literal["auto", "png", "jpeg"] | None = None
    thinking_field: Literal["reasoning_effort", "chat_template_kwargs"] | None = None
    deadline: float | None = None
    input_price: float | None = None
    output_price: float | None = None

    @property
    def given(self) -> list[str]:
        """The options that were given, as they are typed."""
        return [
            f"--{each.name.replace('_', '-')}"
            for each in fields(self)
            if getattr(self, each.name) != each.default
        ]

    def defended(self, name: str) -> str:
        """The model `name` with the defenses, as `jurat.models.open_model` takes it. Those in the name are
        closer to the model."""
        from jurat.models.model_spec import defended_name

        return defended_name(name, *self.defense)

    def spec(self, name: str) -> ModelSpec:
        """The model `name`, opened like this."""
        from jurat.models import ModelSpec

        served = {key: getattr(self, key) for key in _SERVED}
        return ModelSpec(
            self.defended(name),
            device=self.device,
            dtype=self.dtype,
            trust_remote_code=self.trust_remote_code,
            base_url=self.base_url,
            serving=serving.serving_of(**served),
        )


def opens_model(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options on how a model is opened. It takes them as one argument, `opening`."""
    signature = inspect.signature(command, eval_str=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.name != "opening"
    ]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _OPTIONS.items()
    ]

    @wraps(command)
    def with_options(**given: Any) -> None:
        chosen: dict[str, Any] = {name: given.pop(name) for name in _OPTIONS}
        chosen["defense"] = tuple(chosen["defense"] or ())
        opening = ModelOptions(**chosen)
        command(**given, opening=opening)

    made: Any = with_options
    made.__signature__ = signature.replace(parameters=[*own, *options])
    made.__annotations__ = {each.name: each.annotation for each in (*own, *options)}
    del made.__wrapped__
    return made


__all__ = ["ModelOptions", "opens_model"]
