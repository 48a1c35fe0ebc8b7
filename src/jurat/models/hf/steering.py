"""Hooks on the layers of a local model, which see one sequence at a time.

While hooks are set, the model's scorer is replaced by one that asks every question as a sequence of its own:
nothing is packed, padded, joined or continued from a kept prefix, and no pass is made for a check. Hooks act
on what their own thread asks; other threads wait, or are not affected where the model serves several at once.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import get_ident
from typing import TYPE_CHECKING, Any

from jurat.content import Chat, Failure
from jurat.models.hf.model_parts import ModelParts, attempt
from jurat.models.hf.prompt import Prompt
from jurat.models.hf.scoring import Scorer
from jurat.models.protocol import ModelError
from jurat.models.white_box import Hook

if TYPE_CHECKING:
    from torch import Tensor


_paused: ContextVar[bool] = ContextVar("hooks are paused", default=False)


@contextmanager
def without_hooks() -> Generator[None]:
    """Inside, hooks do not act on what this thread computes: for passes of a check."""
    before = _paused.set(True)
    try:
        yield
    finally:
        _paused.reset(before)


class _SeparateScorer(Scorer):
    """Scores every sequence in a pass of its own."""

    def joins(self, prompts: Sequence[Prompt]) -> bool:
        return False


class LayerHooks:
    """`Steerable` for a local model."""

    def __init__(self, model: ModelParts) -> None:
        self._model = model
        self._layers = dict(_layers(model.network))
        self._alone = _SeparateScorer(model.network, model.answers["yes"], model.answers["no"], path="plain")

    def layers(self) -> tuple[str, ...]:
        """See `jurat.models.Steerable`."""
        return tuple(self._layers)

    @contextmanager
    def hooks(self, functions: Mapping[str, Hook]) -> Generator[None]:
        """See `jurat.models.Steerable`."""
        if unknown := [name for name in functions if name not in self._layers]:
            raise ValueError(
                f"There is no layer {unknown[0]!r}; there are {', '.join(self._layers) or 'none'}."
            )
        with ExitStack() as stack:
            stack.enter_context(self._unpacked())
            for name, function in functions.items():
                hook = _hook(name, function, get_ident())
                stack.callback(self._layers[name].register_forward_hook(hook).remove)
            yield

    def forward(self, chats: Sequence[Chat]) -> list[Tensor]:
        """See `jurat.models.Steerable`."""
        return [self._logits(prompt) for prompt in self._encoded(chats)]

    def hidden_states(self, chats: Sequence[Chat], layers: Sequence[str]) -> list[dict[str, Tensor]]:
        """See `jurat.models.Steerable`."""
        found: list[dict[str, Tensor]] = []
        for prompt in self._encoded(chats):
            seen: dict[str, Tensor] = {}
            with self.hooks({name: _recorder(seen, name) for name in layers}):
                self._logits(prompt)
            found.append(seen)
        return found

    @contextmanager
    def _unpacked(self) -> Generator[None]:
        """The model reads one sequence a pass, and no other thread sets hooks."""
        with self._model.steering, self._model.computing:
            before, self._model.scorer = self._model.scorer, self._alone
            try:
                yield
            finally:
                self._model.scorer = before

    def _encoded(self, chats: Sequence[Chat]) -> list[Prompt]:
        self._model.refuse("conversations")
        with self._model.preparing:
            made = [attempt(self._model.encoder.encode_chat, chat) for chat in chats]
        if failures := [one for one in made if isinstance(one, Failure)]:
            raise ModelError(failures[0].reason)
        return [one for one in made if isinstance(one, Prompt)]

    def _logits(self, prompt: Prompt) -> Tensor:
        import torch

        with self._model.computing, torch.no_grad():
            return self._alone.logits([(prompt, prompt.segments[0])])[0, -1].float()


def _layers(network: Any) -> list[tuple[str, Any]]:
    """The blocks of transformers, by name: members of a list of modules that have attention, or that can be
    recomputed on the way back as layers of decoders can."""
    from torch.nn import ModuleList
    from transformers.modeling_layers import GradientCheckpointingLayer

    def is_layer(module: Any) -> bool:
        names = [name for name, _ in module.named_children()]
        return isinstance(module, GradientCheckpointingLayer) or any(
            "attn" in name or "attention" in name for name in names
        )

    return [
        (f"{name}.{place}", module)
        for name, modules in network.named_modules()
        if isinstance(modules, ModuleList)
        for place, module in modules.named_children()
        if is_layer(module)
    ]


def _hook(name: str, function: Hook, owner: int) -> Any:
    """A forward hook of torch's that acts in the thread `owner` only."""

    def hook(_module: Any, _args: Any, output: Any) -> Any:
        if get_ident() != owner or _paused.get():
            return None
        hidden = output[0] if isinstance(output, tuple) else output
        made = function(hidden)
        if made is None:
            return None
        if made.shape != hidden.shape:
            raise ValueError(
                f"The hook on {name} made {list(made.shape)} in the place of {list(hidden.shape)}."
            )
        return (made, *output[1:]) if isinstance(output, tuple) else made

    return hook


def _recorder(seen: dict[str, Tensor], name: str) -> Hook:
    def record(hidden: Tensor) -> None:
        seen[name] = hidden.detach()

    return record
