"""A model as plain data: what a worker, a resumed run or a log needs to open it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import parse_qsl

from jurat.models.protocol import Model


@dataclass(frozen=True)
class Serving:
    """How a served model is called."""

    concurrency: int = 16
    """Calls under way at once, at most."""
    questions_per_call: int = 8
    """Closed questions that share a call where the server gives no logprobs. 1 keeps their answers apart."""
    max_pixels: int = 1 << 20
    """Larger images are scaled down to this area."""
    deadline: float = 300.0
    """Seconds that one call may take, all its tries together; one try may take a third of it."""
    retries: int = 5
    """Further tries of a call that failed for a reason that may pass."""
    input_price: float | None = None
    """Of a million tokens, in any currency."""
    output_price: float | None = None
    """Of a million tokens, in the same currency."""


@dataclass(frozen=True)
class ModelSpec:
    """Names a model and how to run it; opening it is `jurat.models.open_model`'s business."""

    name: str
    """BACKEND, BACKEND/REFERENCE, and after a question mark the backend's own options: "null?seed=3"."""
    device: str | None = None
    """As torch names it: "cpu", "cuda", "cuda:1", "mps"; None chooses."""
    dtype: str | None = None
    """"float32", "bfloat16" or "float16"; None chooses for the device."""
    trust_remote_code: bool = False
    """Runs Python code that comes with the weights. Only for weights whose authors are trusted."""
    seed: int = 0
    """Of a model that draws its answers. A conversation's own seed is in its `Generation`."""
    base_url: str | None = None
    """Of a served model: "http://localhost:8000/v1"; None takes OPENAI_BASE_URL, else OpenAI's own."""
    serving: Serving | None = None
    """Of a served model; None takes the defaults."""

    @property
    def backend(self) -> str:
        return self.name.partition("?")[0].partition("/")[0]

    @property
    def reference(self) -> str:
        """What follows the backend's name: a folder or a hub name; "" if nothing does."""
        return self.name.partition("?")[0].partition("/")[2]

    @property
    def options(self) -> dict[str, str]:
        """What follows the question mark: {"seed": "3"} for "null?seed=3"."""
        return dict(parse_qsl(self.name.partition("?")[2], keep_blank_values=True))


Opener: TypeAlias = Callable[[ModelSpec], Model]
"""What a backend is: opens the model that a spec names, or raises a `JuratError` that says why it cannot."""
