"""The provider `jurat`: any model of `jurat.models` as a model of Inspect's, `--model jurat/SPEC`.

SPEC is a name as `jurat models` lists them: "bundled", "hf/PATH", "openai/NAME". The model is opened by the
first request, or by the task before anything runs, so that a log can be scored without it. Concurrent
requests share batches. A reply that failed is never an answer: a refusal or a filter has the stop reason
`content_filter`, anything else raises `ReplyFailed`, which Inspect records as the sample's error.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, Literal, get_type_hints

from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, get_model
from inspect_ai.model import Model as InspectModel
from inspect_ai.tool import ToolChoice, ToolInfo
from pydantic import TypeAdapter, ValidationError
from sniffio import current_async_library

from jurat.content import Chat, Failure, Generation, Reply, Turn
from jurat.errors import JuratError
from jurat.evals.replies import output_of, yes_no_output
from jurat.evals.requests import Wanted, chat_of, wanted
from jurat.evals.waiting import in_thread
from jurat.judge.asking import attempt
from jurat.models import (
    Answer,
    Disclaimer,
    Inquiry,
    MicroBatcher,
    Model,
    ModelSpec,
    ModelUnavailable,
    ModelWrapper,
    Serving,
    UsageMeter,
    open_model,
)
from jurat.models.capabilities import Deterministic
from jurat.models.registry import MODELS, check_name
from jurat.registry import suggestion

MAX_BATCH = 64
_LOCAL = ("device", "dtype", "trust_remote_code", "seed")
_OWN = ("max_batch", "thinking")
_SERVING = tuple(each.name for each in fields(Serving))
ARGUMENTS = (*_LOCAL, *_SERVING, *_OWN)
"""The model arguments (`-M NAME=VALUE`)."""


class JuratModel(ModelAPI):
    """See the module's docstring."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        api_key_vars: Sequence[str] = (),
        config: GenerateConfig | None = None,
        *,
        opened: Model | None = None,
        **model_args: Any,
    ) -> None:
        """
        Args:
            opened: the model itself, which SPEC then only names (`serve`).
            model_args: the fields of `ModelSpec` and `Serving`; `max_batch`: requests of a batch, at most;
                `thinking`: lets a model that can think do so before it replies.

        Raises:
            JuratError: there is no such model or argument, or a setting that no model of jurat honours.
        """
        super().__init__(model_name, base_url, None, list(api_key_vars))
        if api_key is not None:
            raise JuratError(
                "The provider 'jurat' takes no key as an argument.",
                hint="Keys of servers are read from the environment: OPENAI_API_KEY.",
            )
        self.spec = _spec(model_name, base_url, model_args)
        if opened is None:
            check_name(model_name)
        self._given = opened
        self.max_batch: int = _read("max_batch", int, model_args.get("max_batch", MAX_BATCH))
        self.thinking: bool = _read("thinking", bool, model_args.get("thinking", False))
        if self.max_batch < 1:
            raise JuratError(f"max_batch is {self.max_batch}; it is a whole number from 1.")
        wanted(config or GenerateConfig(), model_name, frozenset(each.name for each in fields(Generation)))
        self._opening = threading.Lock()
        self._model: Model | None = None
        self._unbatched: Model | None = None
        self._unavailable: ModelUnavailable | None = None

    @property
    def is_served(self) -> bool:
        """Whether the model is behind a server."""
        backend = MODELS.get(self.spec.backend)
        return backend is not None and backend.served

    def open(self) -> Model:
        """The model, which may be called from many threads; the first call opens it.

        Raises what `open_model` raises.
        """
        with self._opening:
            if self._model is None:
                self._unbatched = self._given or open_model(self.spec)
                alone = EachAlone(self._unbatched)
                # A server takes concurrent calls as they come.
                self._model = alone if self.is_served else MicroBatcher(alone, max_batch=self.max_batch)
            return self._model

    def unbatched(self) -> Model:
        """The model itself, with all that it can do, for attacks; one thread may call it, and no request must
        be under way. Opens it."""
        self.open()
        assert self._unbatched is not None
        return self._unbatched

    @property
    def takes_seeds(self) -> bool:
        """Whether the model honours a seed; opens it."""
        return "seed" in self.open().supported_settings

    def check(self, config: GenerateConfig) -> None:
        """Opens the model and refuses settings that it cannot honour.

        Raises:
            UnsupportedSetting: names them.
            ModelError: the model cannot be opened, or cannot chat.
        """
        self._wanted(self.open(), config)

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        if tools:
            raise JuratError("jurat's models take no tools.")
        if self._unavailable is not None:
            # Its own retries are over; the other samples must not wait for as long again.
            raise self._unavailable
        model = self._model or await in_thread(self.open)
        asked = self._wanted(model, config)
        if any(not isinstance(message.content, str) for message in input):
            chat = await in_thread(partial(chat_of, input, asked.generation))
        else:
            chat = chat_of(input, asked.generation)
        try:
            if asked.yes_or_no:
                return yes_no_output(model, await _one(model, "ask", _inquiry(chat)), config)
            return output_of(model, await _one(model, "chat", chat))
        except ModelUnavailable as error:
            self._unavailable = error
            raise

    def max_connections(self) -> int:
        """Concurrent requests, where Inspect does not adapt their number."""
        return (self.spec.serving or Serving()).concurrency if self.is_served else self.max_batch

    def connection_key(self) -> str:
        return repr((self.spec, self.max_batch, None if self._given is None else id(self._given)))

    def force_reasoning_history(self) -> Literal["none", "all", "last"] | None:
        """Earlier thoughts are no part of a conversation."""
        return "none"

    async def count_text_tokens(self, text: str) -> int:
        """An estimate of four characters a token: Inspect's own downloads a tokenizer."""
        return (len(text) + 3) // 4

    def close(self) -> None:
        """Frees the model; a later request opens it anew."""
        with self._opening:
            model, self._model, self._unbatched, self._unavailable = self._model, None, None, None
        if model is not None:
            model.close()

    def _wanted(self, model: Model, config: GenerateConfig) -> Wanted:
        asked = wanted(config, model.name, model.supported_settings, thinking=self.thinking)
        if not model.can_chat and not asked.yes_or_no:
            raise JuratError(
                f"The model {model.name!r} answers closed questions only.",
                hint="Ask for logprobs with max_tokens=1, or name a model that can chat: jurat models.",
            )
        return asked


def serve(model: Model, *, max_batch: int = MAX_BATCH) -> InspectModel:
    """A model of ours that is open already, a defended one say, as a model of Inspect's: for
    `inspect_ai.eval(..., model=serve(model))`. A log names it `jurat/NAME`, and cannot open it again."""
    served = get_model(f"jurat/{model.name}", memoize=False, opened=model, max_batch=max_batch)
    served.model_args = {"max_batch": max_batch}  # what a log holds of them
    return served


async def _one(model: Model, verb: Literal["ask", "chat"], item: Any) -> Any:
    """The result of one item."""
    if isinstance(model, MicroBatcher) and current_async_library() == "asyncio":
        return (await getattr(model, f"{verb}_async")([item]))[0]
    return (await in_thread(partial(getattr(model, verb), [item])))[0]


class EachAlone(ModelWrapper):
    """A model that answers the items of a batch one by one where the batch raises, so that only its cause
    fails."""

    passes = (Deterministic, Disclaimer, UsageMeter)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        found = attempt(super().ask, inquiries)
        return [Answer(failure=each) if isinstance(each, Failure) else each for each in found]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        found = attempt(super().chat, chats)
        return [Reply(failure=each) if isinstance(each, Failure) else each for each in found]


def _inquiry(chat: Chat) -> Inquiry:
    """The last text of the last turn as a closed question about what comes before it."""
    last = chat.turns[-1] if chat.turns else None
    if last is None or last.role != "user" or not last.parts or not isinstance(last.parts[-1], str):
        raise JuratError(
            "The probabilities of Yes and No need a request that ends with a text of the user's."
        )
    *before, question = last.parts
    return Inquiry(Chat((*chat.turns[:-1], Turn("user", tuple(before)))), (str(question),))


def _spec(name: str, base_url: str | None, arguments: Mapping[str, Any]) -> ModelSpec:
    for key in arguments:
        if key not in ARGUMENTS:
            raise JuratError(
                f"The provider 'jurat' has no model argument {key!r}.", hint=suggestion(key, ARGUMENTS)
            )
    local = {key: _read(key, _TYPES[key], arguments[key]) for key in _LOCAL if key in arguments}
    serving = {key: _read(key, _TYPES[key], arguments[key]) for key in _SERVING if key in arguments}
    return ModelSpec(name, base_url=base_url, serving=Serving(**serving) if serving else None, **local)


_TYPES: dict[str, Any] = {**get_type_hints(ModelSpec), **get_type_hints(Serving)}


def _read(key: str, kind: Any, value: object) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"]
        raise JuratError(f"The model argument {key} cannot be {value!r}: {why}.") from error
